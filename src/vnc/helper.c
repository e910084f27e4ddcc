// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The process that takes viewers' connections: it makes a process for each, tells them of new pictures, and does
 * nothing else. See vnc_int.h. Threads: its only one.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/range.h"
#include "sandbox/child.h"
#include "vnc/tls.h"
#include "vnc/vnc.h"
#include "vnc/vnc_int.h"

#define FIRST_FREE (VNC_FD_WEB + 1)
#define CHILD_CLIENT VNC_FD_VNC
#define CHILD_WAKE VNC_FD_WEB
#define DYING_MS 5
#define SOON_NS 20000000ull
#define EVICT_NS 500000000ull
#define GRACE_NS NS_PER_SEC

struct slot {
	pid_t pid;  /* 0: free */
	int wake;   /* our end; -1: its process is about to end */
	int client; /* while it has to make room for others; else -1 */
	uint64_t since_ns;
	bool looks;   /* shows the screen */
	bool evicted; /* was told to make room */
};

struct helper {
	struct vnc_setup setup;
	const struct vnc_shared *shared;
	struct vnc_web *web;
	struct slot slot[VNC_VIEWERS_MAX];
	unsigned looking;	 /* slots that do */
	uint64_t evict_until_ns; /* somebody makes room */
};

static void tell(const struct vnc_msg *m)
{
	if (send(VNC_FD_SOCKET, m, sizeof(*m), MSG_NOSIGNAL) < 0 && errno != EINTR)
		_exit(0); /* the VM is gone */
}

void vnc_helper_ready(int error, const char *text)
{
	struct vnc_msg m = {.kind = VNC_READY, .x = error};

	snprintf(m.text, sizeof(m.text), "%s", text);
	tell(&m);
}

/* ---- Viewers ------------------------------------------------------------------------------------ */

static void __attribute__((noreturn))
become_viewer(struct helper *h, unsigned slot, int client, int wake, bool web)
{
	struct vnc_viewer v = {
		.shared = h->shared,
		.socket = VNC_FD_SOCKET,
		.client = CHILD_CLIENT,
		.wake = CHILD_WAKE,
		.slot = (uint8_t)slot,
		.name = h->setup.name,
		.has_password = h->setup.has_password,
	};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, web ? "lodge-web" : "lodge-vnc");
	if (h->setup.tls.on && !web)
		client = vnc_tls_split(client, h->setup.has_password);
	/* Both are above; the numbers are the listening sockets', which a viewer has not. */
	if (dup2(client, CHILD_CLIENT) < 0 || dup2(wake, CHILD_WAKE) < 0)
		_exit(1);
	syscall(SYS_close_range, FIRST_FREE, ~0u, 0);
	memcpy(v.password, h->setup.password, sizeof(v.password));
	if (web)
		vnc_web_run(h->web, &v);
	vnc_viewer_run(&v);
}

static void set_looks(struct helper *h, struct slot *s, bool on)
{
	if (s->looks == on)
		return;
	s->looks = on;
	h->looking += on ? 1u : -1u;
	tell(&(struct vnc_msg){.kind = VNC_LOOKERS, .value = h->looking});
}

/*
 * All slots are taken, and somebody waits: the oldest one goes that has shown no password, or only fetches files
 * of the page (browsers ask again). False: there is none such.
 */
static bool evict(struct helper *h)
{
	uint64_t now = clock_mono_ns();
	struct slot *oldest = NULL;

	for (unsigned i = 0; i < VNC_VIEWERS_MAX; i++) {
		struct slot *s = &h->slot[i];

		if (s->pid && s->client >= 0 && !s->evicted &&
		    (!oldest || s->since_ns < oldest->since_ns))
			oldest = s;
	}
	if (!oldest)
		return false;
	h->evict_until_ns = now + SOON_NS;
	if (now - oldest->since_ns < GRACE_NS)
		return true; /* it may be about to */
	h->evict_until_ns = now + EVICT_NS;
	oldest->evicted = true;
	shutdown(oldest->client, SHUT_RDWR); /* it finds its connection closed */
	return true;
}

/* A connection; one more than may be makes one go, or is closed. */
static void take(struct helper *h, int listener, bool web)
{
	int client, pair[2] = {-1, -1};
	unsigned slot = 0;
	pid_t pid = -1;

	while (slot < VNC_VIEWERS_MAX && h->slot[slot].pid)
		slot++;
	if (slot == VNC_VIEWERS_MAX && evict(h))
		return; /* it is taken when there is room */
	client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (client < 0)
		return;
	if (slot < VNC_VIEWERS_MAX && !socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		pid = fork();
	if (pid == 0)
		become_viewer(h, slot, client, pair[1], web);
	if (pair[1] >= 0)
		close(pair[1]);
	if (pid < 0) {
		close(client);
		if (pair[0] >= 0)
			close(pair[0]);
		return;
	}
	h->slot[slot] = (struct slot){.pid = pid,
				      .wake = pair[0],
				      .client = client,
				      .since_ns = clock_mono_ns()};
	/* A viewer's first picture is then a new one. */
	set_looks(h, &h->slot[slot], !web);
}

/* It has ended, or is about to: nothing here waits for that. */
static void bury(struct helper *h, unsigned slot)
{
	struct slot *s = &h->slot[slot];

	if (s->wake >= 0) {
		close(s->wake);
		s->wake = -1;
		if (s->client >= 0)
			close(s->client);
		s->client = -1;
		set_looks(h, s, false);
		tell(&(struct vnc_msg){.kind = VNC_GONE, .slot = (uint8_t)slot});
	}
	if (waitpid(s->pid, NULL, WNOHANG) == s->pid) {
		*s = (struct slot){0};
		h->evict_until_ns = 0;
	}
}

/* Its end of the pair is closed, or it says what it is. */
static void hear(struct helper *h, unsigned slot)
{
	struct slot *s = &h->slot[slot];
	char marks[16];
	ssize_t n = recv(s->wake, marks, sizeof(marks), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		bury(h, slot);
		return;
	}
	if (s->client >= 0 && memchr(marks, VNC_MARK_IN, (size_t)n)) {
		close(s->client);
		s->client = -1;
	}
	if (memchr(marks, VNC_MARK_LOOKS, (size_t)n))
		set_looks(h, s, true);
}

/* One that has not read the last word needs no other. */
static void wake_all(const struct helper *h)
{
	for (unsigned i = 0; i < VNC_VIEWERS_MAX; i++) {
		if (h->slot[i].pid && h->slot[i].wake >= 0)
			(void)!send(h->slot[i].wake, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
}

/* ---- The VM's messages -------------------------------------------------------------------------- */

static void take_message(struct helper *h)
{
	struct vnc_msg m;
	ssize_t n = recv(VNC_FD_SOCKET, &m, sizeof(m), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != (ssize_t)sizeof(m))
		_exit(0);
	m.text[sizeof(m.text) - 1] = '\0';
	if (m.kind == VNC_FRAME)
		wake_all(h);
	else if (m.kind == VNC_PASSWORD)
		snprintf(h->setup.password, sizeof(h->setup.password), "%.8s", m.text);
	else if (m.kind == VNC_TOKEN && h->web)
		vnc_web_token(h->web, m.text);
}

static void turn(struct helper *h)
{
	struct pollfd p[3 + VNC_VIEWERS_MAX];
	bool full = clock_mono_ns() < h->evict_until_ns, dying = false;
	unsigned slot_of[VNC_VIEWERS_MAX], n = 3;

	p[0] = (struct pollfd){.fd = VNC_FD_SOCKET, .events = POLLIN};
	p[1] = (struct pollfd){.fd = h->setup.vnc && !full ? VNC_FD_VNC : -1, .events = POLLIN};
	p[2] = (struct pollfd){.fd = h->setup.web && !full ? VNC_FD_WEB : -1, .events = POLLIN};
	for (unsigned i = 0; i < VNC_VIEWERS_MAX; i++) {
		if (!h->slot[i].pid)
			continue;
		if (h->slot[i].wake < 0)
			bury(h, i);
		if (!h->slot[i].pid)
			continue;
		dying |= h->slot[i].wake < 0;
		slot_of[n - 3] = i;
		p[n++] = (struct pollfd){.fd = h->slot[i].wake, .events = POLLIN};
	}
	if (poll(p, n, full || dying ? DYING_MS : -1) < 0)
		return;
	for (unsigned i = 3; i < n; i++) {
		if (p[i].revents)
			hear(h, slot_of[i - 3]);
	}
	if (p[0].revents)
		take_message(h);
	if (p[1].revents)
		take(h, VNC_FD_VNC, false);
	if (p[2].revents)
		take(h, VNC_FD_WEB, true);
}

/* ---- Set-up ------------------------------------------------------------------------------------- */

static void __attribute__((noreturn)) refuse(const struct lodge_err *err)
{
	vnc_helper_ready(EINVAL, err->msg);
	_exit(1);
}

const struct vnc_shared *vnc_map_shared(struct lodge_err *err)
{
	void *p = mmap(NULL, VNC_SHARED_BYTES, PROT_READ, MAP_SHARED, VNC_FD_MEMORY, 0);

	if (p != MAP_FAILED)
		return p;
	err_set(err, -errno, "no memory for a picture of the screen: %s", strerror(errno));
	return NULL;
}

static void __attribute__((noreturn)) helper_run(void)
{
	static struct helper h;
	struct lodge_err err = {""};

	child_leave_everything(FIRST_FREE, "lodge-vnc");
	if (recv(VNC_FD_SOCKET, &h.setup, sizeof(h.setup), 0) != sizeof(h.setup))
		_exit(1);
	h.shared = vnc_map_shared(&err);
	if (!h.shared || vnc_viewer_load(&err))
		refuse(&err);
	if (h.setup.tls.on && vnc_tls_load(&h.setup.tls, &err))
		refuse(&err);
	if (h.setup.web) {
		h.web = vnc_web_new(&h.setup, &err);
		if (!h.web)
			refuse(&err);
	}
	if (vnc_confine_helper(&err))
		refuse(&err);
	vnc_helper_ready(0, "");
	for (;;)
		turn(&h);
}

void vnc_helper_main(int argc, char **argv)
{
	if (argc >= 2 && !strcmp(argv[1], VNC_HELPER_ROLE))
		helper_run();
	if (argc >= 2 && !strcmp(argv[1], VNC_WINDOW_ROLE))
		vnc_window_run();
}
