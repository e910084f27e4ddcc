// SPDX-License-Identifier: GPL-2.0-or-later
/* Fuzz virtio-rng: make t T=fuzz/virtio_rng */
#include "device_harness.h"
#include "virtio_harness.h"
#include "devices/virtio/virtio_rng.h"

static void fill(void *buf, size_t len)
{
	memset(buf, 4, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	static struct fuzz_virtio f;
	uint8_t how = fuzz_u8(&in);
	struct virtio_rng_config cfg = {
		.virtio = {.devfn = DRV_DEVFN, .loop = fake_begin(), .queues = 1, .queue_size = 8},
		.max_bytes = how & 1 ? 1u + how : 0,
		.period_ms = 1 + (how >> 1 & 7),
		.fill = fill,
	};
	struct virtio_rng *s;

	drv_init(&f.d);
	cfg.virtio.bus = f.d.pb;
	cfg.virtio.mem = f.d.mem;
	s = virtio_rng_new(&cfg, NULL);
	FUZZ_CHECK(s);
	f.v = (struct virtio_dev *)virtio_rng_device(s);
	f.device_id = 0x1005;
	fuzz_virtio_run(&in, &f);
	virtio_rng_free(s);
	FUZZ_CHECK(list_empty(&fake.loop.timers));
	drv_free(&f.d);
	return 0;
}
