// SPDX-License-Identifier: GPL-2.0-or-later
/* Opening a back end by its type. Threads: see net/net.h. */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/backend.h"

typedef struct net_backend *open_fn(struct props *p, const struct net_host *host,
				    struct lodge_err *err);

static const struct {
	const char *type;
	open_fn *open; /* NULL: there is no such back end here, and `why` says so */
	const char *why;
} types[] = {
	{"user", net_user_open, NULL},
	{"passt", net_passt_open, NULL},
	{"tap", net_tap_open, NULL},
	{"socket", net_socket_open, NULL},
	{"stream", net_stream_open, NULL},
	{"dgram", net_dgram_open, NULL},
	{"bridge", NULL, "there is no bridge helper; make a tap device and use tap,ifname=NAME"},
	{"hubport", NULL, "there are no hubs; connect each card to a back end of its own"},
	{"l2tpv3", NULL, "L2TPv3 is not there; use user, passt, tap, socket, stream or dgram"},
	{"vde", NULL, "VDE is not there; use user, passt, tap, socket, stream or dgram"},
	{"netmap", NULL, "netmap is not there; use tap"},
	{"vhost-user", NULL,
	 "vhost-user is not there; use user, passt, tap, socket, stream or dgram"},
	{"vhost-vdpa", NULL, "vhost-vdpa is not there; use tap"},
};

struct net_backend *net_backend_open(struct props *p, const struct net_host *host,
				     struct lodge_err *err)
{
	const char *type = props_get(p, "type"), *id = props_get(p, "id");
	struct net_backend *nb;
	size_t i = 0;

	if (!type) {
		err_set(err, -EINVAL,
			"%s: the type comes first: user, passt, tap, socket, stream "
			"or dgram",
			props_what(p));
		return NULL;
	}
	if (!id || !id[0] || strlen(id) >= NET_ID_BYTES) {
		err_set(err, -EINVAL, "%s %s: give it a name of up to %u bytes, as id=net0",
			props_what(p), type, NET_ID_BYTES - 1);
		return NULL;
	}
	while (i < sizeof(types) / sizeof(types[0]) && strcmp(types[i].type, type))
		i++;
	if (i == sizeof(types) / sizeof(types[0]) || !types[i].open) {
		err_set(err, -EINVAL, "%s %s: %s", props_what(p), type,
			i < sizeof(types) / sizeof(types[0])
				? types[i].why
				: "there is no such type; there are user, passt, tap, socket, "
				  "stream and dgram");
		return NULL;
	}
	nb = types[i].open(p, host, err);
	if (!nb)
		return NULL;
	nb->host = *host;
	snprintf(nb->id, sizeof(nb->id), "%s", id);
	if (props_done(p, err)) {
		net_backend_close(nb);
		return NULL;
	}
	return nb;
}

void net_backend_close(struct net_backend *nb)
{
	if (!nb)
		return;
	for (unsigned i = 0; i < net_backend_queues(nb); i++)
		net_disconnect(net_backend_queue(nb, i));
	nb->ops->close(nb);
}

bool net_backend_retire(struct net_backend *nb)
{
	for (unsigned i = 0; i < net_backend_queues(nb); i++)
		net_disconnect(net_backend_queue(nb, i));
	return !nb->ops->retire || nb->ops->retire(nb);
}

const char *net_backend_id(const struct net_backend *nb)
{
	return nb->id;
}

struct net_end *net_backend_end(struct net_backend *nb)
{
	return &nb->end;
}

unsigned net_backend_queues(const struct net_backend *nb)
{
	return nb->queues ? nb->queues : 1;
}

struct net_end *net_backend_queue(struct net_backend *nb, unsigned n)
{
	return n ? nb->ops->queue(nb, n) : &nb->end;
}

int net_backend_hostfwd_ask(struct net_backend *nb, bool add, const char *rule,
			    struct lodge_err *err)
{
	if (!nb->ops->hostfwd_ask)
		return err_set(err, -ENOTSUP,
			       "network '%s' is of type %s; only user has host forwards", nb->id,
			       nb->ops->type);
	return nb->ops->hostfwd_ask(nb, add, rule, err);
}

int net_backend_hostfwd_answer(struct net_backend *nb, int fd, bool add, const char *rule,
			       struct lodge_err *err)
{
	int r = nb->ops->hostfwd_answer(nb, fd, add, rule, err);

	close(fd);
	return r;
}

int net_backend_hostfwd(struct net_backend *nb, bool add, const char *rule, struct lodge_err *err)
{
	struct pollfd p = {.events = POLLIN};

	p.fd = net_backend_hostfwd_ask(nb, add, rule, err);
	if (p.fd < 0)
		return p.fd;
	(void)!poll(&p, 1, NET_HOSTFWD_MS);
	return net_backend_hostfwd_answer(nb, p.fd, add, rule, err);
}

bool net_backend_has_hostfwd(const struct net_backend *nb)
{
	return nb->ops->hostfwd_ask;
}

void net_backend_hostfwds(struct net_backend *nb, char *out, size_t size)
{
	if (size)
		out[0] = '\0';
	if (nb->ops->hostfwds)
		nb->ops->hostfwds(nb, out, size);
}

const char *net_backend_type(const struct net_backend *nb)
{
	return nb->ops->type;
}

int net_pair(int type, int pair[2])
{
	const int bytes = 4 << 20;

	if (socketpair(AF_UNIX, type, 0, pair))
		return -errno;
	for (unsigned i = 0; i < 2; i++) {
		if (setsockopt(pair[i], SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)))
			setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	}
	return 0;
}

void net_backend_say(const struct net_backend *nb, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fprintf(stderr, "lodge: network '%s': %s\n", nb->id, text);
}
