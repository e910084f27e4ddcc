// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The page for browsers: its files, and who may have them. A token opens one session, which is a cookie from then
 * on; a websocket needs it, too, and must come from the page.
 *
 * All files are read before the helper is shut in. Each request is answered by a process of its own.
 * Source: RFC 9110, RFC 9112; RFC 6265; noVNC's docs/LIBRARY.md. Threads: the process's only one.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/range.h"
#include "vnc/vnc_int.h"

#define FILES_MAX 256u
#define FILE_BYTES_MAX (4u << 20)
#define TOKENS_MAX 16u
#define REQUEST_S 20u
#define LOOK_MS 20

/* page.html and page.js, as they are in the source. */
extern const char vnc_page_html[], vnc_page_html_end[], vnc_page_js[], vnc_page_js_end[];
#define EMBED(name, file)                                                            \
	__asm__(".section .rodata\n.global " #name "\n.global " #name "_end\n" #name \
		":\n.incbin \"" file "\"\n" #name "_end:\n.byte 0\n.previous\n")
EMBED(vnc_page_html, "src/vnc/page.html");
EMBED(vnc_page_js, "src/vnc/page.js");

struct page_file {
	char path[192]; /* as a browser asks for it */
	uint8_t *bytes;
	size_t len;
};

/* Seen by the helper and all its children. */
struct shared_tokens {
	_Atomic uint32_t used[TOKENS_MAX];
};

struct vnc_web {
	struct page_file files[FILES_MAX];
	unsigned n;
	char session[VNC_TOKEN_BYTES * 2 + 1];
	char tokens[TOKENS_MAX][VNC_TOKEN_BYTES * 2 + 1];
	unsigned next_token;
	struct shared_tokens *shared;
};

/* ---- Files -------------------------------------------------------------------------------------- */

static int read_file(struct vnc_web *w, int dir, const char *name, const char *path,
		     struct lodge_err *err)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	struct page_file *f = &w->files[w->n];
	struct stat st;
	ssize_t n = -1;

	if (fd >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_size <= FILE_BYTES_MAX &&
	    w->n < FILES_MAX && strlen(path) < sizeof(f->path)) {
		f->bytes = malloc((size_t)st.st_size + 1);
		n = f->bytes ? read(fd, f->bytes, (size_t)st.st_size) : -1;
	}
	if (fd >= 0)
		close(fd);
	if (n < 0 || n != st.st_size)
		return err_set(err, -EIO, "cannot read the page's file '%s'", path);
	f->len = (size_t)n;
	snprintf(f->path, sizeof(f->path), "%s", path);
	w->n++;
	return 0;
}

static int read_folder(struct vnc_web *w, int at, const char *name, const char *path, unsigned deep,
		       struct lodge_err *err)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;
	char sub[512];

	if (!d)
		return err_set(err, -ENOENT,
			       "there is no '%s' of noVNC: install Debian's package novnc "
			       "(--no-install-recommends), or name a folder with novnc=",
			       path);
	while (!r && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(sub, sizeof(sub), "%s/%s", path, e->d_name);
		if (e->d_type == DT_DIR && deep)
			r = read_folder(w, dirfd(d), e->d_name, sub, deep - 1, err);
		else if (e->d_type == DT_REG)
			r = read_file(w, dirfd(d), e->d_name, sub, err);
	}
	closedir(d);
	return r;
}

struct vnc_web *vnc_web_new(const struct vnc_setup *s, struct lodge_err *err)
{
	struct vnc_web *w = calloc(1, sizeof(*w));
	uint8_t bytes[VNC_TOKEN_BYTES];
	int dir, r;

	if (!w) {
		err_set(err, -ENOMEM, "no memory for the page");
		return NULL;
	}
	dir = open(s->novnc, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = read_folder(w, dir, "core", "/novnc/core", 3, err);
	if (!r)
		r = read_folder(w, dir, "vendor", "/novnc/vendor", 5, err);
	if (dir >= 0)
		close(dir);
	w->shared = mmap(NULL, sizeof(*w->shared), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!r && (w->shared == MAP_FAILED ||
		   getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes)))
		r = err_set(err, -ENOMEM, "no memory for the page");
	if (r)
		return NULL;
	for (unsigned i = 0; i < sizeof(bytes); i++)
		snprintf(w->session + 2 * i, 3, "%02x", bytes[i]);
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

static void send_all(int fd, const void *p, size_t len)
{
	const char *at = p;

	while (len) {
		struct pollfd wait = {.fd = fd, .events = POLLOUT};
		ssize_t n = send(fd, at, len, MSG_NOSIGNAL | MSG_DONTWAIT);

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

static void __attribute__((noreturn))
answer(int fd, const struct http_request *r, const char *status, const char *type, const char *more,
       const void *body, size_t len)
{
	char head[1024], bytes[512];
	int n = snprintf(head, sizeof(head),
			 "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
			 "Connection: close\r\nX-Content-Type-Options: nosniff\r\n"
			 "X-Frame-Options: DENY\r\nReferrer-Policy: no-referrer\r\n"
			 "Content-Security-Policy: default-src 'none'; script-src 'self'; "
			 "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
			 "connect-src 'self'\r\n%s\r\n",
			 status, type, len, more);

	send_all(fd, head, (size_t)n);
	if (!r || !r->head)
		send_all(fd, body, len);
	/* What was not read would make the kernel take the answer back. */
	shutdown(fd, SHUT_WR);
	while (recv(fd, bytes, sizeof(bytes), 0) > 0)
		;
	_exit(0);
}

static void __attribute__((noreturn)) say(int fd, const char *status, const char *text)
{
	answer(fd, NULL, status, "text/plain; charset=utf-8", "", text, strlen(text));
}

static const char *type_of(const char *path)
{
	static const struct {
		const char *end, *type;
	} types[] = {
		{".js", "text/javascript; charset=utf-8"},
		{".css", "text/css"},
		{".html", "text/html; charset=utf-8"},
		{".svg", "image/svg+xml"},
		{".png", "image/png"},
		{".json", "application/json"},
	};
	size_t n = strlen(path);

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		size_t e = strlen(types[i].end);

		if (n > e && !strcmp(path + n - e, types[i].end))
			return types[i].type;
	}
	return "application/octet-stream";
}

static void open_session(const struct vnc_web *w, int fd, const struct http_request *r)
{
	char more[256];

	snprintf(more, sizeof(more),
		 "Location: /\r\nSet-Cookie: lodge=%s; HttpOnly; SameSite=Strict; Path=/\r\n"
		 "Cache-Control: no-store\r\n",
		 w->session);
	answer(fd, r, "303 See Other", "text/plain", more, "", 0);
}

static void serve(struct vnc_web *w, struct vnc_viewer *v, const struct http_request *r)
{
	int fd = v->client;

	if (r->token[0] && r->get && !strcmp(r->path, "/") && take_token(w, r->token))
		open_session(w, fd, r);
	if (!same(r->session, w->session))
		say(fd, "403 Forbidden",
		    "This needs the address that was printed when the machine started; it works "
		    "once, in one browser. A monitor's command 'x-web-address' gives another.\n");
	if (!strcmp(r->path, "/websockify")) {
		if (!r->upgrade || !r->get || !is_own_page(r))
			say(fd, "403 Forbidden", "Only the page may connect here.\n");
		v->web = true;
		v->has_password = false;
		alarm(0);
		vnc_viewer_run(v);
	}
	if (!strcmp(r->path, "/"))
		answer(fd, r, "200 OK", "text/html; charset=utf-8", "Cache-Control: no-store\r\n",
		       vnc_page_html, (size_t)(vnc_page_html_end - vnc_page_html));
	if (!strcmp(r->path, "/page.js"))
		answer(fd, r, "200 OK", type_of(r->path), "Cache-Control: no-store\r\n",
		       vnc_page_js, (size_t)(vnc_page_js_end - vnc_page_js));
	for (unsigned i = 0; i < w->n; i++) {
		if (!strcmp(w->files[i].path, r->path))
			answer(fd, r, "200 OK", type_of(r->path),
			       "Cache-Control: private, max-age=3600\r\n", w->files[i].bytes,
			       w->files[i].len);
	}
	say(fd, "404 Not Found", "There is no such file.\n");
}

void vnc_web_run(struct vnc_web *w, struct vnc_viewer *v)
{
	static char text[HTTP_HEAD_MAX];
	struct http_request r;
	size_t before = 0;

	alarm(REQUEST_S);
	for (;;) {
		/* Left in the socket: libvncserver reads the head of a websocket itself. */
		ssize_t n = recv(v->client, text, sizeof(text), MSG_PEEK);
		enum http_verdict is = n > 0 ? http_parse(text, (size_t)n, &r) : HTTP_BAD;

		if (n <= 0)
			_exit(0);
		if (is == HTTP_BAD)
			say(v->client, "400 Bad Request", "This is no request for a page.\n");
		if (is == HTTP_OK)
			serve(w, v, &r);
		/* What is there hides that more has come, but not that no more will. */
		if ((size_t)n == before) {
			struct pollfd p = {.fd = v->client, .events = POLLRDHUP};

			if (poll(&p, 1, LOOK_MS) > 0)
				say(v->client, "400 Bad Request", "This request is not whole.\n");
		}
		before = (size_t)n;
	}
}
