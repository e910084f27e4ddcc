// SPDX-License-Identifier: GPL-2.0-or-later
/* Addresses of the socket back end: parsing, listening, connecting. Threads: set-up only. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/files.h"
#include "base/keyval.h"
#include "base/range.h"
#include "chardev/socket.h"

static int set_host_port(struct socket_spec *spec, const char *addr, struct lodge_err *err)
{
	const char *colon = strrchr(addr, ':'), *host = addr;
	size_t len = colon ? (size_t)(colon - addr) : 0;
	uint64_t port;

	/* "[::1]:4444" */
	if (len >= 2 && host[0] == '[' && host[len - 1] == ']') {
		host++;
		len -= 2;
	}
	if (!colon || parse_u64(colon + 1, &port) || port > 65535)
		return err_set(err, -EINVAL, "tcp:%s: write tcp:HOST:PORT, with a port up to 65535",
			       addr);
	if (len >= sizeof(spec->host))
		return err_set(err, -EINVAL, "tcp: the host name is too long");
	memcpy(spec->host, host, len);
	spec->host[len] = '\0';
	snprintf(spec->port, sizeof(spec->port), "%u", (unsigned)port);
	return 0;
}

static int set_path(struct socket_spec *spec, const char *path, struct lodge_err *err)
{
	if (!path[0])
		return err_set(err, -EINVAL, "unix: needs a path, as in unix:/run/vm.sock");
	if (strlen(path) >= sizeof(spec->path))
		return err_set(
			err, -EINVAL,
			"unix:%s: a socket's path has at most %zu bytes; choose a shorter one",
			path, sizeof(spec->path) - 1);
	strcpy(spec->path, path);
	return 0;
}

static int set_switch(struct socket_spec *spec, const struct keyval *kv, struct lodge_err *err)
{
	const struct {
		const char *name;
		bool *where;
	} switches[] = {{"server", &spec->server},
			{"wait", &spec->wait},
			{"nodelay", &spec->nodelay},
			{"delay", NULL}};

	for (size_t i = 0; i < ARRAY_SIZE(switches); i++) {
		bool val;

		if (strcmp(switches[i].name, kv->key))
			continue;
		if (parse_bool(kv->val, &val))
			return err_set(err, -EINVAL, "%s: %s is 'on' or 'off', not '%s'",
				       spec->text, kv->key, kv->val);
		/* "nodelay" reads as a switched-off "delay". */
		if (switches[i].where)
			*switches[i].where = val;
		else
			spec->nodelay = !val;
		return 0;
	}
	return err_set(err, -EINVAL, "%s: there is no property '%s'; there are server and wait",
		       spec->text, kv->key);
}

int socket_parse(struct socket_spec *spec, bool tcp, const char *arg, struct lodge_err *err)
{
	struct keyval kv;
	int r;

	*spec = (struct socket_spec){.tcp = tcp, .wait = true};
	keyval_init(&kv, arg, "path");
	r = keyval_next(&kv, err);
	if (r < 0)
		return r;
	if (strcmp(kv.key, "path") && r)
		return err_set(err, -EINVAL, "%s:%s: the %s comes first", tcp ? "tcp" : "unix", arg,
			       tcp ? "address" : "path");
	r = tcp ? set_host_port(spec, r ? kv.val : "", err) : set_path(spec, r ? kv.val : "", err);
	if (r)
		return r;
	snprintf(spec->text, sizeof(spec->text), "%s:%.250s", tcp ? "tcp" : "unix", kv.val);
	while ((r = keyval_next(&kv, err)) > 0) {
		r = set_switch(spec, &kv, err);
		if (r)
			return r;
	}
	return r;
}

/* True when somebody listens on the path; false for a left-over. */
static bool path_is_alive(const struct sockaddr_un *sun)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool alive;

	if (fd < 0)
		return true;
	alive = !connect(fd, (const struct sockaddr *)sun, sizeof(*sun)) || errno != ECONNREFUSED;
	close(fd);
	return alive;
}

/* Make way for a new socket: remove a dead one, refuse anything else. */
static int clear_path(const struct socket_spec *spec, const struct sockaddr_un *sun,
		      struct lodge_err *err)
{
	struct stat st;

	if (lstat(spec->path, &st))
		return 0; /* bind says what is wrong, if anything */
	if (!S_ISSOCK(st.st_mode))
		return err_set(err, -EEXIST, "%s: the path exists and is no socket; choose another",
			       spec->text);
	if (path_is_alive(sun))
		return err_set(err, -EADDRINUSE,
			       "%s: the socket is taken by another program; choose another path",
			       spec->text);
	unlink(spec->path);
	return 0;
}

static int listen_unix(struct socket_spec *spec, struct lodge_err *err)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	struct stat st;
	int fd, r;

	strcpy(sun.sun_path, spec->path);
	r = clear_path(spec, &sun, err);
	if (r)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sun, sizeof(sun)) || listen(fd, 1)) {
		r = -errno;
		if (fd >= 0)
			close(fd);
		return err_set(err, r, "%s: cannot listen: %s", spec->text, strerror(-r));
	}
	spec->bound = !lstat(spec->path, &st);
	file_note(spec->path, FILE_REMOVE);
	spec->dev = st.st_dev;
	spec->ino = st.st_ino;
	return fd;
}

static int connect_unix(const struct socket_spec *spec, struct lodge_err *err)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r;

	strcpy(sun.sun_path, spec->path);
	if (fd >= 0 && !connect(fd, (struct sockaddr *)&sun, sizeof(sun)))
		return fd;
	r = -errno;
	if (fd >= 0)
		close(fd);
	return err_set(err, r,
		       "%s: cannot connect: %s; start the other side first, or write "
		       "'server=on,wait=off' to be the one that listens",
		       spec->text, strerror(-r));
}

static int try_tcp(const struct socket_spec *spec, const struct addrinfo *ai)
{
	int fd = socket(ai->ai_family, ai->ai_socktype | SOCK_CLOEXEC, ai->ai_protocol), one = 1;

	if (fd < 0)
		return -errno;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (spec->server) {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		if (!bind(fd, ai->ai_addr, ai->ai_addrlen) && !listen(fd, 1))
			return fd;
	} else if (!connect(fd, ai->ai_addr, ai->ai_addrlen)) {
		return fd;
	}
	one = -errno;
	close(fd);
	return one;
}

static int open_tcp(const struct socket_spec *spec, struct lodge_err *err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
				 .ai_flags = spec->server ? AI_PASSIVE : 0};
	struct addrinfo *list, *ai;
	int r = getaddrinfo(spec->host[0] ? spec->host : NULL, spec->port, &hints, &list);

	if (r)
		return err_set(err, -EINVAL, "%s: no address for this host: %s", spec->text,
			       gai_strerror(r));
	r = -EADDRNOTAVAIL;
	for (ai = list; ai && r < 0; ai = ai->ai_next)
		r = try_tcp(spec, ai);
	freeaddrinfo(list);
	if (r == -EADDRINUSE)
		return err_set(err, r, "%s: the port is taken by another program; choose another",
			       spec->text);
	if (r < 0)
		return err_set(err, r, "%s: cannot %s: %s", spec->text,
			       spec->server ? "listen" : "connect", strerror(-r));
	fcntl(r, F_SETFL, O_NONBLOCK);
	return r;
}

int socket_listen(struct socket_spec *spec, struct lodge_err *err)
{
	return spec->tcp ? open_tcp(spec, err) : listen_unix(spec, err);
}

int socket_connect(const struct socket_spec *spec, struct lodge_err *err)
{
	return spec->tcp ? open_tcp(spec, err) : connect_unix(spec, err);
}

void socket_remove(const struct socket_spec *spec)
{
	struct stat st;

	if (spec->bound && !lstat(spec->path, &st) && st.st_dev == spec->dev &&
	    st.st_ino == spec->ino)
		unlink(spec->path);
}
