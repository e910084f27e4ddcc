// SPDX-License-Identifier: GPL-2.0-or-later
/* Fuzz virtio-blk over a disk in memory: make t T=fuzz/virtio_blk */
#include "device_harness.h"
#include "fake_disk.h"
#include "virtio_harness.h"
#include "devices/virtio/virtio_blk.h"

#define DISK (256u << 10)

struct target {
	struct blk_queue *disk;
	struct virtio_blk *s;
};

static void event(void *opaque, struct fuzz_in *in)
{
	static const int errors[] = {0, -EIO, -ENOSPC, -ENOTSUP};
	struct target *t = opaque;
	uint8_t how = fuzz_u8(in);

	t->disk->hold = how & 1;
	t->disk->fail = errors[how >> 1 & 3];
	for (unsigned n = how >> 4; n; n--)
		fake_disk_step(t->disk);
	if (how & 8) {
		/* It never grows beyond its bytes. */
		t->disk->blk.size = DISK - (uint64_t)(how >> 4) * 1000;
		fake_disk_run(t->disk);
		t->disk->blk.size = DISK;
	}
}

static void header(void *opaque, struct fuzz_in *in, unsigned q, uint8_t *p)
{
	static const uint8_t types[] = {0, 1, 0, 1, 4, 8, 11, 13};
	uint8_t how = fuzz_u8(in);

	st_le32(p, how & 128 ? (uint32_t)fuzz_uint(in, 4) : types[how & 7]);
	st_le64(p + 8, how & 64 ? fuzz_uint(in, 8) : fuzz_u8(in));
	st_le64(p + 16, fuzz_u8(in));
	st_le64(p + 24, fuzz_u8(in));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	static struct fuzz_virtio f;
	uint8_t how = fuzz_u8(&in);
	struct target t = {.disk = fake_disk_new(DISK)};
	struct virtio_blk_config cfg = {
		.virtio = {.devfn = DRV_DEVFN,
			   .loop = fake_begin(),
			   .queues = 1 + (how & 1),
			   .queue_size = 64},
		.queue = t.disk,
		.read_only = (how & 6) == 6,
		.logical_block = how & 8 ? 4096 : 0,
	};

	drv_init(&f.d);
	cfg.virtio.bus = f.d.pb;
	cfg.virtio.mem = f.d.mem;
	t.s = virtio_blk_new(&cfg, NULL);
	FUZZ_CHECK(t.s);
	f.v = (struct virtio_dev *)virtio_blk_device(t.s);
	f.device_id = 0x1001;
	f.event = event;
	f.header = header;
	f.opaque = &t;
	fuzz_virtio_run(&in, &f);
	virtio_blk_free(t.s);
	FUZZ_CHECK(list_empty(&t.disk->waiting) && list_empty(&t.disk->held));
	fake_disk_free(t.disk);
	drv_free(&f.d);
	return 0;
}
