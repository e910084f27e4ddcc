// SPDX-License-Identifier: GPL-2.0-or-later
/* Fuzz virtio-balloon: make t T=fuzz/virtio_balloon */
#include "device_harness.h"
#include "virtio_harness.h"
#include "devices/virtio/virtio_balloon.h"

static void event(void *opaque, struct fuzz_in *in)
{
	virtio_balloon_set_target(opaque, fuzz_uint(in, 3));
	FUZZ_CHECK(virtio_balloon_actual(opaque) <= DRV_RAM);
}

/* Page numbers, in and outside of memory. */
static void header(void *opaque, struct fuzz_in *in, unsigned q, uint8_t *p)
{
	for (unsigned i = 0; i < 4; i++)
		st_le32(p + 4 * i, (uint32_t)fuzz_uint(in, 2) & 0x4ff);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	static struct fuzz_virtio f;
	uint8_t how = fuzz_u8(&in);
	struct virtio_balloon_config cfg = {
		.virtio = {.devfn = DRV_DEVFN, .loop = fake_begin()},
		.reporting = how & 1,
		.stats_s = how >> 1 & 1,
	};
	struct virtio_balloon *s;

	drv_init(&f.d);
	cfg.virtio.bus = f.d.pb;
	cfg.virtio.mem = f.d.mem;
	s = virtio_balloon_new(&cfg, NULL);
	FUZZ_CHECK(s);
	f.v = (struct virtio_dev *)virtio_balloon_device(s);
	f.device_id = 0x1002;
	f.event = event;
	f.header = header;
	f.opaque = s;
	fuzz_virtio_run(&in, &f);
	virtio_balloon_free(s);
	FUZZ_CHECK(list_empty(&fake.loop.timers));
	drv_free(&f.d);
	return 0;
}
