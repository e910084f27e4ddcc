// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A channel that more may listen to and type on. A client that has gone is only marked, since it may be found
 * out in the middle of a walk over all of them; it is freed before the next one comes.
 * Threads: with the VM lock held, or before threads start.
 */
#include "chardev/hub.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/list.h"
#include "chardev/inq.h"
#include "chardev/outq.h"

struct hub {
	struct chardev c; /* first */
	uid_t uid;	  /* who listens */
	struct chardev *inner;
	bool owned;
	struct io_loop *loop;
	int listen_fd;
	struct io_watch *listen_watch;
	struct list clients;
	unsigned n_clients;
	uint32_t head, len; /* of the ring of what was said last */
	uint8_t recent[HUB_RECENT_BYTES];
};

struct hub_client {
	struct list link;
	struct hub *hub;
	struct chardev nobody; /* who would hear that there is room again */
	int fd;		       /* -1: gone */
	struct io_watch *watch;
	bool want_out;
	struct inq in;
	struct outq out;
};

/* ---- What was said last ------------------------------------------------------------------------- */

static void keep(struct hub *h, const uint8_t *buf, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		h->recent[(h->head + h->len) % HUB_RECENT_BYTES] = buf[i];
		if (h->len < HUB_RECENT_BYTES)
			h->len++;
		else
			h->head = (h->head + 1) % HUB_RECENT_BYTES;
	}
}

static void show_recent(struct hub *h, struct hub_client *cl)
{
	uint32_t first = HUB_RECENT_BYTES - h->head;

	first = first < h->len ? first : h->len;
	outq_put(&cl->out, h->recent + h->head, first);
	outq_put(&cl->out, h->recent, h->len - first);
}

/* ---- Clients ------------------------------------------------------------------------------------ */

static void leave(struct hub_client *cl)
{
	if (cl->fd < 0)
		return;
	io_watch_del(cl->watch);
	cl->watch = NULL;
	outq_set_fd(&cl->out, -1, false);
	close(cl->fd);
	cl->fd = -1;
}

static void sweep(struct hub *h)
{
	struct list *node = h->clients.next;

	while (node != &h->clients) {
		struct hub_client *cl = container_of(node, struct hub_client, link);

		node = node->next;
		if (cl->fd >= 0)
			continue;
		list_del(&cl->link);
		free(cl);
		h->n_clients--;
	}
}

static void set_watch(struct hub_client *cl)
{
	if (cl->watch)
		io_watch_mod(cl->watch, (inq_room(&cl->in) ? (uint32_t)EPOLLIN : 0) |
						(cl->want_out ? (uint32_t)EPOLLOUT : 0));
}

static void want_write(void *opaque, bool on)
{
	struct hub_client *cl = opaque;

	cl->want_out = on;
	set_watch(cl);
}

static void failed(void *opaque, int error)
{
	(void)error;
	leave(opaque);
}

static void client_ready(void *opaque, uint32_t events)
{
	struct hub_client *cl = opaque;
	uint8_t buf[1024];
	size_t room = inq_room(&cl->in);
	ssize_t n;

	if (events & EPOLLOUT)
		outq_flush(&cl->out);
	if (cl->fd >= 0 && events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		n = recv(cl->fd, buf, room < sizeof(buf) ? room : sizeof(buf), MSG_DONTWAIT);
		/* With a full queue 0 bytes are asked for; a hang-up is then as good as an end. */
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
			leave(cl);
			return;
		}
		inq_put(&cl->in, buf, n > 0 ? (size_t)n : 0);
		inq_deliver(&cl->in, &cl->hub->c);
	}
	set_watch(cl);
}

/* The folder of the socket and its mode keep others out; the kernel says who is there all the same. */
static bool may_attach(int fd, uid_t uid)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) && (who.uid == uid || !who.uid);
}

/* Nothing here waits, whatever the descriptor's flags say. */
int chardev_hub_add(struct chardev *hub, int fd)
{
	static const struct outq_ops out_ops = {.want_write = want_write, .failed = failed};
	struct hub *h = (struct hub *)hub;
	struct hub_client *cl;

	sweep(h);
	cl = h->n_clients < HUB_CLIENTS_MAX ? calloc(1, sizeof(*cl)) : NULL;
	if (cl)
		cl->watch = io_watch_add(h->loop, fd, EPOLLIN, client_ready, cl);
	if (!cl || !cl->watch) {
		free(cl);
		close(fd);
		return -EBUSY;
	}
	cl->hub = h;
	cl->fd = fd;
	outq_init(&cl->out, h->loop, &cl->nobody, &out_ops, cl);
	outq_set_fd(&cl->out, fd, true);
	list_add_tail(&h->clients, &cl->link);
	h->n_clients++;
	show_recent(h, cl);
	return 0;
}

static void accept_client(void *opaque, uint32_t events)
{
	struct hub *h = opaque;
	int fd = accept4(h->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd >= 0 && may_attach(fd, h->uid))
		(void)!chardev_hub_add(&h->c, fd);
	else if (fd >= 0)
		close(fd);
}

int chardev_hub_listen(struct chardev *hub, int fd, struct lodge_err *err)
{
	struct hub *h = (struct hub *)hub;

	h->uid = geteuid();
	h->listen_fd = fd;
	h->listen_watch = io_watch_add(h->loop, fd, EPOLLIN, accept_client, h);
	return h->listen_watch ? 0 : err_set(err, -ENOMEM, "cannot watch the console's socket");
}

/* ---- The device's side -------------------------------------------------------------------------- */

static size_t hub_write(struct chardev *c, const uint8_t *buf, size_t len)
{
	struct hub *h = (struct hub *)c;
	size_t n = chardev_write(h->inner, buf, len);
	struct hub_client *cl;

	keep(h, buf, n);
	list_for_each_entry (cl, &h->clients, link)
		outq_put(&cl->out, buf, n);
	return n;
}

static void hub_accept_input(struct chardev *c)
{
	struct hub *h = (struct hub *)c;
	struct hub_client *cl;

	chardev_accept_input(h->inner);
	list_for_each_entry (cl, &h->clients, link) {
		if (!cl->in.len)
			continue;
		inq_deliver(&cl->in, c);
		set_watch(cl);
	}
}

static void hub_set_line(struct chardev *c, unsigned baud, unsigned data_bits, unsigned stop_bits,
			 char parity)
{
	chardev_set_line(((struct hub *)c)->inner, baud, data_bits, stop_bits, parity);
}

static void hub_set_break(struct chardev *c, bool on)
{
	chardev_set_break(((struct hub *)c)->inner, on);
}

static void hub_free(struct chardev *c)
{
	struct hub *h = (struct hub *)c;
	struct hub_client *cl;

	list_for_each_entry (cl, &h->clients, link) {
		outq_flush(&cl->out);
		leave(cl);
	}
	sweep(h);
	io_watch_del(h->listen_watch);
	if (h->listen_fd >= 0)
		close(h->listen_fd);
	if (h->inner)
		chardev_connect(h->inner, NULL);
	if (h->owned)
		chardev_free(h->inner);
	free(h);
}

/* ---- The inner back end's side ------------------------------------------------------------------ */

static size_t inner_can_receive(void *opaque)
{
	return chardev_can_receive(opaque);
}

static void inner_receive(void *opaque, const uint8_t *buf, size_t len)
{
	chardev_receive(opaque, buf, len);
}

static void inner_event(void *opaque, enum chardev_event event)
{
	chardev_event(opaque, event);
}

static void inner_writable(void *opaque)
{
	chardev_writable(opaque);
}

struct chardev *chardev_hub_new(struct chardev *inner, bool owned, struct io_loop *loop)
{
	static const struct chardev_ops ops = {.write = hub_write,
					       .accept_input = hub_accept_input,
					       .set_line = hub_set_line,
					       .set_break = hub_set_break,
					       .free = hub_free};
	struct hub *h = calloc(1, sizeof(*h));
	const struct chardev_frontend fe = {.can_receive = inner_can_receive,
					    .receive = inner_receive,
					    .event = inner_event,
					    .writable = inner_writable,
					    .opaque = h};

	if (!h)
		return NULL;
	h->c.ops = &ops;
	h->inner = inner;
	h->owned = owned;
	h->loop = loop;
	h->listen_fd = -1;
	list_init(&h->clients);
	if (inner)
		chardev_connect(inner, &fe);
	return &h->c;
}
