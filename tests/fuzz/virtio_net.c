// SPDX-License-Identifier: GPL-2.0-or-later
/* Fuzz virtio-net with rings, chains and commands of random content: make t T=fuzz/virtio_net */
#include "device_harness.h"
#include "devices/virtio/virtio_net.h"
#include "net_frames.h"
#include "virtio_driver.h"

#define BUF 0x80000u
#define BUFS 16u
#define PAIRS 3u
#define QUEUES VIRTIO_NET_QUEUES(PAIRS)
#define MQ (1u << 22)

/* A chain of a few buffers, mostly in memory, made available and told of, or not. */
static void fuzz_chain(struct fuzz_in *in, struct drv *d)
{
	unsigned q = fuzz_u8(in) % QUEUES, how = fuzz_u8(in), n = 1 + (how & 3);
	struct drv_buf b[4];
	unsigned out = q == 2 * PAIRS || q == 2 ? n - 1 : q & 1 ? n : 0;

	if (!d->q[q].size)
		return;
	for (unsigned i = 0; i < n; i++) {
		b[i].gpa = BUF + 0x10000 * (fuzz_u8(in) % BUFS) + fuzz_u8(in);
		b[i].len = (uint32_t)(how & 4 ? fuzz_uint(in, 2) : fuzz_u8(in));
		if (how == 0xff)
			b[i].gpa = fuzz_uint(in, 8);
		if (i < out) {
			uint8_t *p = drv_p(d, BUF + 0x10000 * (i % BUFS));

			for (unsigned k = 0; k < 12; k++)
				p[k] = fuzz_u8(in);
			if (how & 8)
				b[i].gpa = BUF + 0x10000 * (i % BUFS);
		}
	}
	if (how & 16)
		out = fuzz_u8(in) % (n + 1);
	if (how & 32)
		drv_submit(d, q, b, out, n - out);
	else
		drv_avail(d, q, drv_chain(d, q, b, out, n - out));
}

static void fuzz_frame(struct fuzz_in *in, struct sink *s)
{
	static uint8_t f[NET_FRAME_MAX];
	struct net_offload off = {0};
	size_t len = make_tcp4(f, fuzz_uint(in, 2) % 30000, fuzz_u8(in));

	for (unsigned i = 0; i < 4; i++)
		f[fuzz_u8(in) % 60] = fuzz_u8(in);
	if (in->left & 1) {
		off.flags = fuzz_u8(in);
		off.gso_type = fuzz_u8(in) & 0x85;
		off.gso_size = (uint16_t)fuzz_uint(in, 2);
		off.csum_start = (uint16_t)fuzz_uint(in, 2);
		off.csum_offset = fuzz_u8(in);
	}
	send_frame(&s->end, f, in->left & 2 ? len : fuzz_uint(in, 2) % len, &off);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	struct io_loop *loop = fake_begin();
	static struct drv d;
	static struct sink outs[PAIRS], *out = outs;
	struct virtio_net_config cfg = {.mq = true, .mac = {0x52, 0x54, 0, 0x12, 0x34, 0x56}};
	struct virtio_net *n;
	struct device *dev;
	uint64_t features;

	drv_init(&d);
	cfg.virtio = (struct virtio_config){.bus = d.pb,
					    .devfn = DRV_DEVFN,
					    .mem = d.mem,
					    .loop = loop,
					    .queues = QUEUES,
					    .queue_size = 256};
	n = virtio_net_new(&cfg, NULL);
	FUZZ_CHECK(n);
	dev = virtio_net_device(n);
	dev->cls->reset(dev);
	for (unsigned i = 0; i < PAIRS; i++) {
		sink_init(&outs[i], SINK_FRAMES, 0);
		net_connect(virtio_net_end(n, i), &outs[i].end);
	}
	drv_place(&d);
	features = fuzz_uint(&in, 4) & drv_offered(&d);
	drv_start(&d, features, QUEUES, 64);
	for (unsigned step = 0; in.left && step < FUZZ_MAX_STEPS; step++) {
		uint8_t op = fuzz_u8(&in);

		switch (op & 15) {
		case 0:
			fuzz_save_load(dev);
			break;
		case 1:
			if (op == 1)
				fuzz_load_damaged(&in, dev);
			break;
		case 2:
			if (op == 2)
				dev->cls->reset(dev);
			if (op < 128) {
				d.heap = 0x10000;
				drv_place(&d);
				features = fuzz_uint(&in, 4) & drv_offered(&d);
				drv_start(&d, features, QUEUES, 64);
			}
			break;
		case 3:
			fuzz_time(&in);
			break;
		case 4:
			out = &outs[(op >> 4) % PAIRS];
			out->room = fuzz_u8(&in) & 15;
			out->end.can = fuzz_u8(&in) & 15;
			net_ready(&out->end);
			break;
		case 5:
			net_set_link(&out->end, op & 16);
			break;
		case 6:
		case 7:
		case 8:
			fuzz_frame(&in, out);
			break;
		case 9:
			drv_kick(&d, (op >> 4) % (QUEUES + 1));
			break;
		case 10:
			drv_wr(&d, fuzz_u8(&in) & 0x3f, (uint32_t)fuzz_uint(&in, 4),
			       1u << (op >> 4) % 3);
			break;
		default:
			fuzz_chain(&in, &d);
			break;
		}
		for (unsigned k = 0; k < PAIRS; k++) {
			for (unsigned i = 0; i < outs[k].n; i++)
				FUZZ_CHECK(outs[k].len[i] <= NET_FRAME_MAX);
			if (outs[k].n > SINK_FRAMES / 2)
				sink_clear(&outs[k]);
		}
	}
	virtio_net_free(n);
	for (unsigned i = 0; i < PAIRS; i++)
		sink_clear(&outs[i]);
	drv_free(&d);
	FUZZ_CHECK(list_empty(&fake.loop.timers));
	return 0;
}
