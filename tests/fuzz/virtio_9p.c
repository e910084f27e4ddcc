// SPDX-License-Identifier: GPL-2.0-or-later
/* Fuzz virtio-9p with a server of a read-only folder behind it: make t T=fuzz/virtio_9p */
#include <stdio.h>
#include <unistd.h>

#include "device_harness.h"
#include "fake_p9_queue.h"
#include "virtio_harness.h"
#include "devices/virtio/virtio_9p.h"

static size_t answer(void *opaque, struct p9_job *job)
{
	size_t n = p9_server_handle(opaque, job->req, job->len, job->reply, job->cap);

	FUZZ_CHECK(n <= job->cap);
	return n;
}

static void event(void *opaque, struct fuzz_in *in)
{
	struct p9_queue *q = opaque;

	FUZZ_CHECK(q->waits <= 16);
	for (unsigned n = fuzz_u8(in) & 15; n; n--)
		fake_p9_step(q);
}

/* Version, attach and walk in sixteen bytes are not; but sizes, types and fids. */
static void header(void *opaque, struct fuzz_in *in, unsigned q, uint8_t *p)
{
	static const uint8_t types[] = {100, 104, 110, 24, 12, 40, 116, 120};

	st_le32(p, fuzz_u8(in) & 31);
	p[4] = types[fuzz_u8(in) & 7];
	st_le32(p + 7, fuzz_u8(in) & 3);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	static struct fuzz_virtio f;
	const struct p9_config folder = {.path = "/usr/include/linux", .read_only = true};
	struct p9_server *server = p9_server_new(&folder, NULL);
	struct p9_queue queue = {.answer = answer, .opaque = server};
	struct virtio_9p_config cfg = {
		.virtio = {.devfn = DRV_DEVFN, .loop = fake_begin()},
		.tag = "tag",
		.queue = &queue,
	};
	struct virtio_9p *s;

	FUZZ_CHECK(server);
	list_init(&queue.waiting);
	drv_init(&f.d);
	cfg.virtio.bus = f.d.pb;
	cfg.virtio.mem = f.d.mem;
	s = virtio_9p_new(&cfg, NULL);
	FUZZ_CHECK(s);
	f.v = (struct virtio_dev *)virtio_9p_device(s);
	f.device_id = 0x1009;
	f.event = event;
	f.header = header;
	f.opaque = &queue;
	fuzz_virtio_run(&in, &f);
	virtio_9p_free(s);
	FUZZ_CHECK(!queue.waits);
	p9_server_free(server);
	drv_free(&f.d);
	return 0;
}
