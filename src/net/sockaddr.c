// SPDX-License-Identifier: GPL-2.0-or-later
/* Addresses of the socket back ends. Threads: set-up only. */
#include "net/sockaddr.h"

#include <errno.h>
#include <netdb.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/files.h"
#include "base/keyval.h"

static int resolve(struct net_addr *a, const char *what, const char *host, const char *port,
		   bool passive, int type, struct lodge_err *err)
{
	struct addrinfo hints = {.ai_socktype = type, .ai_flags = passive ? AI_PASSIVE : 0};
	struct addrinfo *list;
	uint64_t n;
	int r;

	if (parse_u64(port, &n) || n > 65535)
		return err_set(err, -EINVAL, "%s: '%s' is not a port number", what, port);
	/* Without a host: IPv4, as it always was. */
	if (!host[0])
		hints.ai_family = AF_INET;
	r = getaddrinfo(host[0] ? host : NULL, port, &hints, &list);
	if (r)
		return err_set(err, -EINVAL, "%s: no address for '%s': %s", what, host,
			       gai_strerror(r));
	memcpy(&a->all, list->ai_addr, list->ai_addrlen);
	a->len = list->ai_addrlen;
	freeaddrinfo(list);
	snprintf(a->text, sizeof(a->text), "%.120s:%.10s", host, port);
	return 0;
}

int net_addr_inet(struct net_addr *a, const char *what, const char *text, bool passive, int type,
		  struct lodge_err *err)
{
	const char *colon = strrchr(text, ':'), *host = text;
	size_t len = colon ? (size_t)(colon - text) : 0;
	char buf[256];

	if (len >= 2 && host[0] == '[' && host[len - 1] == ']') {
		host++;
		len -= 2;
	}
	if (!colon || len >= sizeof(buf))
		return err_set(err, -EINVAL, "%s: '%s' is not HOST:PORT", what, text);
	memcpy(buf, host, len);
	buf[len] = '\0';
	return resolve(a, what, buf, colon + 1, passive, type, err);
}

int net_addr_fd(int *fd, const char *what, const char *text, int type, struct lodge_err *err)
{
	uint64_t n;
	int is = 0;
	socklen_t len = sizeof(is);

	if (parse_u64(text, &n) || n > INT32_MAX)
		return err_set(err, -EINVAL, "%s: '%s' is not a descriptor's number", what, text);
	if (getsockopt((int)n, SOL_SOCKET, SO_TYPE, &is, &len) || is != type)
		return err_set(err, -EBADF, "%s: descriptor %s is not an open %s socket", what,
			       text, type == SOCK_STREAM ? "stream" : "datagram");
	*fd = (int)n;
	return 0;
}

static int set_unix(struct net_addr *a, const char *what, const char *path, bool abstract,
		    struct lodge_err *err)
{
	size_t len = strlen(path), at = abstract ? 1 : 0;

	if (!len || len + 1 > sizeof(a->un.sun_path))
		return err_set(err, -EINVAL, "%s: a socket's path has 1 to %zu bytes", what,
			       sizeof(a->un.sun_path) - 1);
	a->un.sun_family = AF_UNIX;
	memcpy(a->un.sun_path + at, path, len);
	a->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
	snprintf(a->text, sizeof(a->text), "%s", path);
	return 0;
}

static const char *sub(struct props *p, const char *key, const char *name)
{
	char full[32];

	snprintf(full, sizeof(full), "%s.%s", key, name);
	return props_get(p, full);
}

int net_addr_props(struct net_addr *a, int *fd, struct props *p, const char *key, bool passive,
		   int type, struct lodge_err *err)
{
	const char *kind = sub(p, key, "type"), *text, *host, *port;
	bool abstract = false;

	memset(a, 0, sizeof(*a));
	*fd = 0;
	if (!kind)
		return 0;
	if (!strcmp(kind, "inet")) {
		host = sub(p, key, "host");
		port = sub(p, key, "port");
		if (!host || !port)
			return err_set(err, -EINVAL, "%s: %s.type=inet needs %s.host= and %s.port=",
				       props_what(p), key, key, key);
		return resolve(a, props_what(p), host, port, passive, type, err);
	}
	if (!strcmp(kind, "unix")) {
		text = sub(p, key, "path");
		port = sub(p, key, "abstract");
		if (!text || (port && parse_bool(port, &abstract)))
			return err_set(err, -EINVAL,
				       "%s: %s.type=unix needs %s.path=", props_what(p), key, key);
		return set_unix(a, props_what(p), text, abstract, err);
	}
	if (!strcmp(kind, "fd")) {
		int r;

		text = sub(p, key, "str");
		if (!text)
			return err_set(err, -EINVAL, "%s: %s.type=fd needs %s.str=", props_what(p),
				       key, key);
		r = net_addr_fd(fd, props_what(p), text, type, err);
		*fd += !r;
		return r;
	}
	return err_set(err, -EINVAL, "%s: there is no %s.type=%s; there are inet, unix and fd",
		       props_what(p), key, kind);
}

/* A dead Unix socket makes way; anything else does not. */
static int clear_path(const struct net_addr *a, int fd, struct lodge_err *err)
{
	int type = SOCK_STREAM, s, alive;
	socklen_t len = sizeof(type);
	struct stat st;

	if (lstat(a->un.sun_path, &st))
		return 0;
	if (!S_ISSOCK(st.st_mode))
		return err_set(err, -EEXIST, "'%s' exists and is no socket; choose another path",
			       a->text);
	getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len);
	s = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	alive = s < 0 || !connect(s, &a->sa, a->len) || errno != ECONNREFUSED;
	if (s >= 0)
		close(s);
	if (alive)
		return err_set(err, -EADDRINUSE, "socket '%s' is taken by another program",
			       a->text);
	unlink(a->un.sun_path);
	return 0;
}

int net_addr_bind(struct net_addr *a, int fd, struct lodge_err *err)
{
	struct stat st;
	int one = 1, r;

	if (a->sa.sa_family == AF_UNIX && a->un.sun_path[0]) {
		r = clear_path(a, fd, err);
		if (r)
			return r;
	} else {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	}
	if (bind(fd, &a->sa, a->len))
		return err_set(err, -errno, "cannot bind to %s: %s", a->text, strerror(errno));
	if (a->sa.sa_family == AF_UNIX && a->un.sun_path[0] && !lstat(a->un.sun_path, &st)) {
		a->bound = true;
		file_note(a->un.sun_path, FILE_REMOVE);
		a->dev = st.st_dev;
		a->ino = st.st_ino;
	}
	return 0;
}

void net_addr_unbind(struct net_addr *a)
{
	struct stat st;

	if (a->bound && !lstat(a->un.sun_path, &st) && st.st_dev == a->dev && st.st_ino == a->ino)
		unlink(a->un.sun_path);
	a->bound = false;
}
