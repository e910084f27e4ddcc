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

#include "base/range.h"
#include "vnc/tls.h"
#include "vnc/vnc.h"
#include "vnc/vnc_int.h"

#define FIRST_FREE (VNC_FD_WEB + 1)
#define CHILD_CLIENT VNC_FD_VNC
#define CHILD_WAKE VNC_FD_WEB

struct slot {
	pid_t pid; /* 0: free */
	int wake;  /* our end */
};

struct helper {
	struct vnc_setup setup;
	const struct vnc_shared *shared;
	struct vnc_web *web;
	struct slot slot[VNC_VIEWERS_MAX];
	unsigned viewers;
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

static void tell_lookers(const struct helper *h)
{
	tell(&(struct vnc_msg){.kind = VNC_LOOKERS, .value = h->viewers});
}

/* A connection; one more than may be is closed. */
static void take(struct helper *h, int listener, bool web)
{
	int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC), pair[2] = {-1, -1};
	unsigned slot = 0;
	pid_t pid = -1;

	if (client < 0)
		return;
	while (slot < VNC_VIEWERS_MAX && h->slot[slot].pid)
		slot++;
	if (slot < VNC_VIEWERS_MAX && !socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		pid = fork();
	if (pid == 0)
		become_viewer(h, slot, client, pair[1], web);
	close(client);
	if (pair[1] >= 0)
		close(pair[1]);
	if (pid < 0) {
		if (pair[0] >= 0)
			close(pair[0]);
		return;
	}
	h->slot[slot] = (struct slot){.pid = pid, .wake = pair[0]};
	h->viewers++;
	tell_lookers(h);
}

/* Its end of the pair is closed: it has ended. */
static void bury(struct helper *h, unsigned slot)
{
	struct slot *s = &h->slot[slot];

	waitpid(s->pid, NULL, 0);
	close(s->wake);
	*s = (struct slot){0};
	h->viewers--;
	tell(&(struct vnc_msg){.kind = VNC_GONE, .slot = (uint8_t)slot});
	tell_lookers(h);
}

/* One that has not read the last word needs no other. */
static void wake_all(const struct helper *h)
{
	for (unsigned i = 0; i < VNC_VIEWERS_MAX; i++) {
		if (h->slot[i].pid)
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
	unsigned slot_of[VNC_VIEWERS_MAX], n = 3;

	p[0] = (struct pollfd){.fd = VNC_FD_SOCKET, .events = POLLIN};
	p[1] = (struct pollfd){.fd = h->setup.vnc ? VNC_FD_VNC : -1, .events = POLLIN};
	p[2] = (struct pollfd){.fd = h->setup.web ? VNC_FD_WEB : -1, .events = POLLIN};
	for (unsigned i = 0; i < VNC_VIEWERS_MAX; i++) {
		if (!h->slot[i].pid)
			continue;
		slot_of[n - 3] = i;
		p[n++] = (struct pollfd){.fd = h->slot[i].wake, .events = POLLIN};
	}
	if (poll(p, n, -1) < 0)
		return;
	for (unsigned i = 3; i < n; i++) {
		if (p[i].revents)
			bury(h, slot_of[i - 3]);
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

void vnc_leave_everything(const char *name)
{
	sigset_t none;
	int null = open("/dev/null", O_RDWR);

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_IGN);
	for (int fd = 0; fd <= 2; fd++)
		dup2(null, fd);
	syscall(SYS_close_range, FIRST_FREE, ~0u, 0);
	setsid();
	prctl(PR_SET_NAME, name);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
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

	vnc_leave_everything("lodge-vnc");
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
