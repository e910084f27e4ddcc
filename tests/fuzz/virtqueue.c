// SPDX-License-Identifier: GPL-2.0-or-later
/* Fuzz virtqueues and the PCI transport of virtio by the smallest device: make t T=fuzz/virtqueue */
#include "device_harness.h"
#include "virtio_harness.h"
#include "virtio_echo.h"

/* The chain that is kept ends, if it can. */
static void event(void *opaque, struct fuzz_in *in)
{
	struct echo *e = opaque;
	uint8_t how = fuzz_u8(in);
	struct vq_chain *c = e->kept;

	e->keep = how & 1;
	if (!c)
		return;
	e->kept = NULL;
	if (how & 2)
		virtqueue_push(c->vq, c, fuzz_uint(in, 2));
	else if (how & 4 && c->vq->last_avail == (uint16_t)(how >> 3))
		virtqueue_unpop(c->vq, c);
	else
		e->kept = c;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	static struct fuzz_virtio f;
	static struct echo e;
	uint8_t how = fuzz_u8(&in);
	struct virtio_config cfg = {
		.devfn = DRV_DEVFN,
		.loop = fake_begin(),
		.queues = 1 + (how & 3),
		.queue_size = (uint16_t)(1u << (how >> 2) % 11),
		.no_event_idx = how & 128,
	};

	drv_init(&f.d);
	cfg.bus = f.d.pb;
	cfg.mem = f.d.mem;
	FUZZ_CHECK(!echo_init(&e, &cfg, NULL));
	f.v = &e.v;
	f.device_id = 0x1005;
	f.event = event;
	f.opaque = &e;
	e.keep = how & 64;
	fuzz_virtio_run(&in, &f);
	virtio_dev_free(&e.v);
	FUZZ_CHECK(!e.kept);
	drv_free(&f.d);
	return 0;
}
