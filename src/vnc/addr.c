// SPDX-License-Identifier: GPL-2.0-or-later
/* Where viewers connect. See addr.h. Source: QEMU's manual, -vnc. Threads: main. */
#include "vnc/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/files.h"
#include "base/keyval.h"

#define BACKLOG 16

static int open_unix(struct vnc_addr *a, const char *path, const char *what, struct lodge_err *err)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	mode_t mask;
	int r;

	if (path[0] != '/' || strlen(path) >= sizeof(sa.sun_path))
		return err_set(err, -EINVAL, "%s unix:%s: write a whole path, of %zu bytes at most",
			       what, path, sizeof(sa.sun_path) - 1);
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	a->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	unlink(path);
	mask = umask(077); /* this user's alone */
	r = a->fd < 0 || bind(a->fd, (struct sockaddr *)&sa, sizeof(sa)) || listen(a->fd, BACKLOG);
	umask(mask);
	if (r)
		return err_set(err, -errno, "%s unix:%s: cannot listen there: %s", what, path,
			       strerror(errno));
	snprintf(a->unix_path, sizeof(a->unix_path), "%s", path);
	snprintf(a->text, sizeof(a->text), "unix:%s", path);
	file_note(path, FILE_REMOVE);
	return 0;
}

static bool is_loopback(const struct sockaddr *sa)
{
	if (sa->sa_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)(const void *)sa)->sin_addr.s_addr) >>
			       24 ==
		       127;
	return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr);
}

static int bind_tcp(struct vnc_addr *a, const struct addrinfo *ai)
{
	int on = 1;

	a->fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (a->fd < 0)
		return -errno;
	setsockopt(a->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(a->fd, ai->ai_addr, ai->ai_addrlen) || listen(a->fd, BACKLOG))
		return -errno;
	a->loopback = is_loopback(ai->ai_addr);
	return 0;
}

/* What it is bound to, since port 0 is any. */
static void describe(struct vnc_addr *a)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	char host[INET6_ADDRSTRLEN + 1] = "?", port[8] = "?";

	if (!getsockname(a->fd, (struct sockaddr *)&ss, &len))
		getnameinfo((struct sockaddr *)&ss, len, host, sizeof(host), port, sizeof(port),
			    NI_NUMERICHOST | NI_NUMERICSERV);
	snprintf(a->text, sizeof(a->text), strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}

/* "[::1]" is written in brackets. */
static void copy_host(char *out, size_t size, const char *text, const char *colon)
{
	int n = (int)(colon - text);

	if (n >= 2 && text[0] == '[' && text[n - 1] == ']')
		snprintf(out, size, "%.*s", n - 2, text + 1);
	else
		snprintf(out, size, "%.*s", n, text);
}

int vnc_addr_open(struct vnc_addr *a, const char *text, const char *what, unsigned base,
		  struct lodge_err *err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *ai = NULL;
	const char *colon = text ? strrchr(text, ':') : NULL;
	char host[256], port[8];
	uint64_t n;
	int r;

	if (text && !strncmp(text, "unix:", 5))
		return open_unix(a, text + 5, what, err);
	if (!colon || parse_u64(colon + 1, &n) || n + base > 65535 || colon - text > 250)
		return err_set(err, -EINVAL,
			       base ? "%s %s: write [HOST]:DISPLAY, as :0 for port 5900, or "
				      "unix:PATH"
				    : "%s=%s: write HOST:PORT, as 127.0.0.1:6080",
			       what, text ? text : "");
	copy_host(host, sizeof(host), text, colon);
	snprintf(port, sizeof(port), "%u", (unsigned)n + base);
	r = getaddrinfo(host[0] ? host : "127.0.0.1", port, &hints, &ai);
	if (r)
		return err_set(err, -EINVAL, "%s %s: %s", what, text, gai_strerror(r));
	r = bind_tcp(a, ai);
	freeaddrinfo(ai);
	if (r)
		return err_set(err, r, "%s %s: cannot listen on port %s: %s", what, text, port,
			       strerror(-r));
	describe(a);
	return 0;
}

void vnc_addr_given(struct vnc_addr *a)
{
	if (a->fd >= 0)
		close(a->fd);
	a->fd = -1;
}

void vnc_addr_close(struct vnc_addr *a)
{
	vnc_addr_given(a);
	if (a->unix_path[0])
		unlink(a->unix_path);
	a->unix_path[0] = '\0';
}
