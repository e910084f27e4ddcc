// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The page for browsers: who may have it, and its answers. A token opens one session, which is a cookie from then on,
 * under a path of the machine's own; a websocket needs it, too, and must come from the page.
 *
 * The path is as hard to guess as the cookie: browsers send cookies to all ports of a host, but not to other paths,
 * so servers of other people on this host do not get it, and two machines do not take each other's.
 *
 * Each connection has a process of its own, and may ask for one file after the other.
 * Source: RFC 9110, RFC 9112; RFC 6265; noVNC's docs/LIBRARY.md. Threads: the process's only one.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/range.h"
#include "vnc/files.h"
#include "vnc/vnc_int.h"

#define TOKENS_MAX 16u
#define REQUEST_S 20u
#define IDLE_MS 5000 /* between two requests */
#define REQUESTS_MAX 1000u
#define LOOK_MS 20
#define ROOM_DIGITS 32u

/* Seen by the helper and all its children. */
struct shared_tokens {
	_Atomic uint32_t used[TOKENS_MAX];
};

struct vnc_web {
	struct vnc_files files;
	char room[ROOM_DIGITS + 3]; /* "/…/": where the page is */
	char session[VNC_TOKEN_BYTES * 2 + 1];
	char tokens[TOKENS_MAX][VNC_TOKEN_BYTES * 2 + 1];
	unsigned next_token;
	struct shared_tokens *shared;
};

static bool make_secret(char *out, size_t digits)
{
	uint8_t bytes[VNC_TOKEN_BYTES];

	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		return false;
	for (size_t i = 0; i < digits / 2; i++)
		snprintf(out + 2 * i, 3, "%02x", bytes[i]);
	return true;
}

struct vnc_web *vnc_web_new(const struct vnc_setup *s, struct lodge_err *err)
{
	struct vnc_web *w = calloc(1, sizeof(*w));
	char room[ROOM_DIGITS + 1];

	if (!w) {
		err_set(err, -ENOMEM, "no memory for the page");
		return NULL;
	}
	if (vnc_files_read(&w->files, s->novnc[0] ? s->novnc : NULL, s->xterm[0] ? s->xterm : NULL,
			   err))
		return NULL;
	w->shared = mmap(NULL, sizeof(*w->shared), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (w->shared == MAP_FAILED || !make_secret(w->session, VNC_TOKEN_BYTES * 2) ||
	    !make_secret(room, ROOM_DIGITS)) {
		err_set(err, -ENOMEM, "no memory for the page");
		return NULL;
	}
	snprintf(w->room, sizeof(w->room), "/%s/", room);
	vnc_web_token(w, s->token);
	return w;
}

/* ---- Who may ------------------------------------------------------------------------------------ */

void vnc_web_token(struct vnc_web *w, const char *token)
{
	unsigned i = w->next_token++ % TOKENS_MAX;

	snprintf(w->tokens[i], sizeof(w->tokens[i]), "%s", token);
	atomic_store(&w->shared->used[i], 0);
}

/* Takes as long whatever differs. */
static bool same(const char *a, const char *b)
{
	size_t n = VNC_TOKEN_BYTES * 2;
	unsigned diff = 0;

	if (strlen(a) != n || strlen(b) != n)
		return false;
	for (size_t i = 0; i < n; i++)
		diff |= (unsigned)(a[i] ^ b[i]);
	return !diff;
}

static bool take_token(struct vnc_web *w, const char *token)
{
	for (unsigned i = 0; i < TOKENS_MAX; i++) {
		if (same(w->tokens[i], token))
			return !atomic_exchange(&w->shared->used[i], 1);
	}
	return false;
}

/* The page of this very server, as the browser says: no other page can have it say that. */
static bool is_own_page(const struct http_request *r)
{
	const char *host = strstr(r->origin, "://");

	return host && r->host[0] && !strcmp(host + 3, r->host);
}

/* ---- Answers ------------------------------------------------------------------------------------ */

/* One connection at work. */
struct conn {
	struct vnc_web *web;
	struct vnc_viewer *v;
	struct http_request r;
	unsigned requests;
	bool looks; /* the helper was told */
};

static void send_all(int fd, const void *p, size_t len, int flags)
{
	const char *at = p;

	while (len) {
		struct pollfd wait = {.fd = fd, .events = POLLOUT};
		ssize_t n = send(fd, at, len, MSG_NOSIGNAL | MSG_DONTWAIT | flags);

		if (n < 0 && errno == EAGAIN) {
			(void)!poll(&wait, 1, -1); /* the alarm ends it */
			continue;
		}
		if (n < 0 && errno != EINTR)
			_exit(0);
		if (n > 0) {
			at += n;
			len -= (size_t)n;
		}
	}
}

static void __attribute__((noreturn)) hang_up(int fd)
{
	char bytes[512];

	/* What was not read would make the kernel take the answer back. */
	shutdown(fd, SHUT_WR);
	while (recv(fd, bytes, sizeof(bytes), 0) > 0)
		;
	_exit(0);
}

/* Returns when the connection goes on. */
static void answer(struct conn *c, const char *status, const char *type, const char *more,
		   const void *body, size_t len)
{
	bool keep = c->r.keep && c->requests < REQUESTS_MAX, bare = c->r.head || !len;
	int fd = c->v->client;
	char head[1024];
	int n = snprintf(head, sizeof(head),
			 "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
			 "Connection: %s\r\nX-Content-Type-Options: nosniff\r\n"
			 "X-Frame-Options: DENY\r\nReferrer-Policy: no-referrer\r\n"
			 "Content-Security-Policy: default-src 'none'; script-src 'self'; "
			 "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
			 "connect-src 'self'; base-uri 'none'; form-action 'none'; "
			 "frame-ancestors 'none'\r\n%s\r\n",
			 status, type, len, keep ? "keep-alive" : "close", more);

	send_all(fd, head, (size_t)n, bare ? 0 : MSG_MORE);
	if (!bare)
		send_all(fd, body, len, 0);
	if (!keep)
		hang_up(fd);
}

static void __attribute__((noreturn)) refuse(struct conn *c, const char *status, const char *text)
{
	c->r.keep = false;
	answer(c, status, "text/plain; charset=utf-8", "", text, strlen(text));
	_exit(0);
}

/* The screen is about to be looked at, and drawn from now on. */
static void tell_looks(struct conn *c)
{
	if (!c->looks)
		vnc_viewer_mark(c->v, VNC_MARK_LOOKS);
	c->looks = true;
}

static void open_session(struct conn *c)
{
	char more[256];

	snprintf(more, sizeof(more),
		 "Location: %s\r\nSet-Cookie: lodge=%s; HttpOnly; SameSite=Strict; Path=%s\r\n"
		 "Cache-Control: no-store\r\n",
		 c->web->room, c->web->session, c->web->room);
	tell_looks(c);
	answer(c, "303 See Other", "text/plain", more, "", 0);
}

static void __attribute__((noreturn)) serve_websocket(struct conn *c, bool screen)
{
	if (!c->r.upgrade || !c->r.get || !is_own_page(&c->r))
		refuse(c, "403 Forbidden", "Only the page may connect here.\n");
	vnc_viewer_mark(c->v, VNC_MARK_IN);
	if (screen)
		tell_looks(c);
	alarm(0);
	if (screen) {
		/* libvncserver reads the head again, and answers. */
		c->v->web = true;
		c->v->has_password = false;
		vnc_viewer_run(c->v);
	}
	if (!c->r.key[0])
		refuse(c, "400 Bad Request", "This is no WebSocket of version 13.\n");
	(void)!recv(c->v->client, (char[HTTP_HEAD_MAX]){0}, c->r.len, 0);
	vnc_serial_run(c->v, c->r.key);
}

static void serve(struct conn *c)
{
	const struct http_request *r = &c->r;
	size_t n = strlen(c->web->room);
	const struct vnc_file *f;
	const char *path;

	if (r->token[0] && r->get && !strcmp(r->path, "/") && take_token(c->web, r->token)) {
		open_session(c);
		return;
	}
	if (strncmp(r->path, c->web->room, n) != 0 || !same(r->session, c->web->session))
		refuse(c, "403 Forbidden",
		       "This needs the address that was printed when the machine started; it works "
		       "once, in one browser. A monitor's command 'x-web-address' gives "
		       "another.\n");
	path = r->path + n;
	if (!strcmp(path, "websockify") || !strcmp(path, "serial"))
		serve_websocket(c, path[0] == 'w');
	f = vnc_files_find(&c->web->files, path);
	if (!f)
		refuse(c, "404 Not Found", "There is no such file.\n");
	if (!path[0])
		tell_looks(c);
	/* What the page itself is may change with the program; the rest is one machine's, as its folder is. */
	answer(c, "200 OK", f->type,
	       strchr(path, '/') ? "Cache-Control: private, max-age=3600\r\n"
				 : "Cache-Control: no-store\r\n",
	       f->bytes, f->len);
}

/* A whole head in the socket, where it stays: libvncserver reads that of a websocket itself. */
static void read_head(struct conn *c)
{
	static char text[HTTP_HEAD_MAX];
	size_t before = 0;

	for (;;) {
		ssize_t n = recv(c->v->client, text, sizeof(text), MSG_PEEK);
		enum http_verdict is = n > 0 ? http_parse(text, (size_t)n, &c->r) : HTTP_BAD;

		if (n <= 0)
			_exit(0);
		if (is == HTTP_BAD)
			refuse(c, "400 Bad Request", "This is no request for a page.\n");
		if (is == HTTP_OK)
			return;
		/* What is there hides that more has come, but not that no more will. */
		if ((size_t)n == before) {
			struct pollfd p = {.fd = c->v->client, .events = POLLRDHUP};

			if (poll(&p, 1, LOOK_MS) > 0)
				refuse(c, "400 Bad Request", "This request is not whole.\n");
		}
		before = (size_t)n;
	}
}

void vnc_web_run(struct vnc_web *w, struct vnc_viewer *v)
{
	static char text[HTTP_HEAD_MAX];
	struct conn c = {.web = w, .v = v};
	struct pollfd p = {.fd = v->client, .events = POLLIN};
	int on = 1;

	if (vnc_confine_viewer())
		_exit(VNC_EXIT_SHUT_IN);
	setsockopt(v->client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	for (;;) {
		alarm(REQUEST_S);
		read_head(&c);
		c.requests++;
		serve(&c);
		(void)!recv(v->client, text, c.r.len, 0);
		if (poll(&p, 1, IDLE_MS) <= 0)
			_exit(0);
	}
}
