// SPDX-License-Identifier: GPL-2.0-or-later
/* Fuzz the framing of byte streams: bytes of any peer, in pieces of any size: make t T=fuzz/net_stream */
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/props.h"
#include "io/loop.h"
#include "net_frames.h"

/* The loop, by hand: what is watched is called when there is something to read. */
struct io_watch {
	void (*fn)(void *opaque, uint32_t events);
	void *opaque;
	uint32_t events;
};
static struct io_watch watch;

struct io_watch *io_watch_add(struct io_loop *loop, int fd, uint32_t events,
			      void (*fn)(void *opaque, uint32_t events), void *opaque)
{
	watch = (struct io_watch){fn, opaque, events};
	return &watch;
}

void io_watch_mod(struct io_watch *w, uint32_t events)
{
	w->events = events;
}

void io_watch_del(struct io_watch *w)
{
	if (w)
		w->fn = NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct sink card;
	struct lodge_err err;
	struct net_host host = {.loop = NULL};
	struct net_backend *nb;
	struct props *p;
	char text[64];
	size_t at = 0;
	int pair[2];

	if (!freopen("/dev/null", "w", stderr))
		return 0;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		return 0;
	snprintf(text, sizeof(text), "socket,id=n,fd=%d", pair[1]);
	p = props_parse("-netdev", text, "type", &err);
	nb = net_backend_open(p, &host, &err);
	props_free(p);
	if (!nb)
		abort();
	sink_init(&card, 8, 0);
	net_connect(&card.end, net_backend_end(nb));
	while (at < size && watch.fn) {
		size_t n = 1 + data[at] * 7u;

		n = n < size - at ? n : size - at;
		if (send(pair[0], data + at, n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			break;
		at += n;
		watch.fn(watch.opaque, watch.events);
		if (at & 1) {
			card.room = 8;
			net_ready(&card.end);
		}
		if (watch.fn && at & 2)
			send_frame(&card.end, data, size < 60 ? size : 60, NULL);
		for (unsigned i = 0; i < card.n; i++) {
			if (card.len[i] < 14 || card.len[i] > NET_FRAME_MAX)
				abort();
		}
		sink_clear(&card);
	}
	close(pair[0]);
	if (watch.fn)
		watch.fn(watch.opaque, 1 | 0x10);
	net_backend_close(nb);
	sink_clear(&card);
	return 0;
}
