// SPDX-License-Identifier: GPL-2.0-or-later
/* Fuzz virtio-input of all kinds, with people's events between: make t T=fuzz/virtio_input */
#include "device_harness.h"
#include "virtio_harness.h"
#include "devices/virtio/virtio_input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	static struct fuzz_virtio f;
	uint8_t how = fuzz_u8(&in);
	struct virtio_input_config cfg = {
		.virtio = {.devfn = DRV_DEVFN,
			   .loop = fake_begin(),
			   .queues = VIRTIO_INPUT_QUEUES,
			   .queue_size = 64},
		.kind = (enum virtio_input_kind)(how % 3),
	};
	struct virtio_input *s;
	struct input_sink *k;

	drv_init(&f.d);
	cfg.virtio.bus = f.d.pb;
	cfg.virtio.mem = f.d.mem;
	s = virtio_input_new(&cfg, NULL);
	FUZZ_CHECK(s);
	k = virtio_input_sink(s);
	/* What comes before the driver and its queues waits for them. */
	for (unsigned i = 0; i < how; i++) {
		const struct input_event ev = {
			.kind = (uint8_t)(i % 4),
			.code = (uint16_t)(i % 4 == INPUT_KEY ? 1 + i % (INPUT_KEYS - 1) : i % 2),
			.value = (int32_t)i,
			.down = i & 8,
		};

		k->event(k->opaque, &ev);
		k->sync(k->opaque);
	}
	f.v = (struct virtio_dev *)virtio_input_device(s);
	f.device_id = 0x1052;
	fuzz_virtio_run(&in, &f);
	virtio_input_free(s);
	FUZZ_CHECK(list_empty(&fake.loop.timers));
	drv_free(&f.d);
	return 0;
}
