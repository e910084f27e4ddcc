// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fuzz virtio-fs from both sides, a guest's driver and a back end that says and writes anything:
 * make t T=fuzz/vhost_user_fs
 */
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "device_harness.h"
#include "fake_vhost.h"
#include "fake_watch.h"
#include "virtio_harness.h"
#include "devices/virtio/vhost_user_fs.h"

#define QUEUES 2u
#define RING_BYTES 0x4000u /* the three rings of a queue, and the first table */

static void quiet(void)
{
	static bool done;

	if (!done)
		stderr = fopen("/dev/null", "w");
	done = true;
}

/* Any bytes at any place of the rings, or of guest memory. */
static void scribble(struct fake_vhost *b, struct fuzz_in *in, bool rings)
{
	uint64_t off = fuzz_uint(in, rings ? 2 : 3);

	if (rings)
		off = off % RING_BYTES + (off & 0x8000 ? b->region[1].size / QUEUES : 0);
	if (b->region[rings].p && off < b->region[rings].size)
		b->region[rings].p[off] = fuzz_u8(in);
}

static void event(void *opaque, struct fuzz_in *in)
{
	struct fake_vhost *b = opaque;
	uint8_t how = fuzz_u8(in), sink[64];
	unsigned q = how >> 3 & 1;
	uint16_t head;

	if (b->sock < 0 || !b->q[q].size)
		return;
	switch (how & 7) {
	case 0:
	case 1: /* as it should be */
		while (fake_vhost_pop(b, q, &head))
			fake_vhost_used(b, q, head, (uint32_t)(how >> 4) << 4);
		fake_vhost_call(b, q);
		break;
	case 2:
		if (fake_vhost_pop(b, q, &head))
			fake_vhost_used(b, q, fuzz_u8(in), (uint32_t)fuzz_uint(in, 4));
		if (how & 16)
			fake_vhost_call(b, q);
		break;
	case 3:
		scribble(b, in, true);
		break;
	case 4:
		scribble(b, in, how & 16);
		fake_vhost_call(b, q);
		break;
	case 5:
		fcntl(b->q[q].kick, F_SETFL, O_NONBLOCK);
		if (read(b->q[q].kick, sink, sizeof(sink)) < 0)
			break;
		fcntl(b->q[q].kick, F_SETFL, how & 16 ? O_NONBLOCK : 0);
		break;
	case 6:
		fake_vhost_call(b, q ^ 1);
		break;
	default:
		/* The device may have left. */
		if (how >> 4 == 15 && send(b->sock, &how, 1, MSG_NOSIGNAL) < 0)
			break;
		else if (how >> 4 == 14)
			fake_vhost_hang_up(b);
		break;
	}
	/* It settles: nothing is called without end. */
	FUZZ_CHECK(fake_watch_poll(1000) < 1000);
}

static void header(void *opaque, struct fuzz_in *in, unsigned q, uint8_t *p)
{
	memset(p, 0, 16);
	st_le32(p, 16);
	st_le32(p + 4, fuzz_u8(in));
	st_le64(p + 8, fuzz_u8(in));
}

/* What the back end says while things are set up. */
static void speak(struct fake_vhost *b, struct fuzz_in *in)
{
	uint8_t how = fuzz_u8(in), raw[512];
	unsigned n = 0;

	if (how & 3) {
		uint64_t features = FAKE_VHOST_FEATURES, protocol = how & 4 ? 9 : how >> 3;

		if (how & 8)
			features &= ~VIRTIO_F_BIT(30);
		fake_vhost_agree(b, features, protocol, QUEUES, how & 16 ? how >> 3 : 0);
		return;
	}
	/* Answers that are nearly right, and what is none. */
	for (unsigned i = how >> 2; i && in->left; i--) {
		uint8_t what = fuzz_u8(in);

		if (what & 0xc0) {
			fake_vhost_reply(b, what & 31, fuzz_uint(in, what & 32 ? 8 : 1));
			continue;
		}
		n = what & 31;
		for (unsigned k = 0; k < n; k++)
			raw[k] = fuzz_u8(in);
		fake_vhost_say(b, raw, n);
	}
	shutdown(b->sock, SHUT_WR);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	static struct fuzz_virtio f;
	static struct fake_vhost back;
	struct vhost_user_fs_config cfg = {
		.virtio = {.devfn = DRV_DEVFN, .loop = fake_begin(), .queue_size = 64},
		.tag = "tag",
		.request_queues = QUEUES - 1,
		.start_ms = 1,
		.reset_ms = 1,
	};
	struct vhost_user_fs *s;
	struct lodge_err err;

	quiet();
	fake_vhost_open(&back);
	speak(&back, &in);
	drv_init(&f.d);
	cfg.virtio.bus = f.d.pb;
	cfg.virtio.mem = f.d.mem;
	cfg.fd = back.front;
	s = vhost_user_fs_new(&cfg, &err);
	if (s) {
		fake_vhost_listen(&back);
		f.v = (struct virtio_dev *)vhost_user_fs_device(s);
		f.device_id = 0x105a;
		f.event = event;
		f.header = header;
		f.opaque = &back;
		fuzz_virtio_run(&in, &f);
		vhost_user_fs_free(s);
	} else {
		fake_vhost_listen(&back);
		FUZZ_CHECK(err.msg[0]);
	}
	FUZZ_CHECK(list_empty(&fake_watches));
	fake_vhost_close(&back);
	drv_free(&f.d);
	return 0;
}
