// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The VM's side: starts the helpers, draws while somebody looks, carries out what viewers type, and goes on without
 * a helper when it dies. See vnc.h and vnc_int.h.
 *
 * The screen is looked at 60 times a second while it changes, then less and less often, and not at all while nobody
 * looks; drawing takes a third of a processor at most.
 *
 * Threads: main sets up and ends; `display` does the rest; passwords and tokens come from any.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/range.h"
#include "base/thread.h"
#include "vnc/addr.h"
#include "vnc/frame.h"
#include "vnc/told.h"

#define START_MS 20000
#define NS_PER_MS 1000000ull
#define FAST_MS 16
#define SLOW_MS 100
#define BUSY_NS (2 * NS_PER_SEC) /* after a change it is looked at fast for so long */
#define MESSAGES 64
#define TOKENS 64u
#define STATE_NS (100 * NS_PER_MS) /* how often the machine's state is asked for */

enum { NET, WINDOW, HELPERS };

/* A helper process; the socket is -1 when there is none. It stays open until the end: monitors write to it. */
struct vnc_peer {
	pid_t pid;
	int sock;
	_Atomic bool lives;
};

struct vnc {
	struct vnc_peer peer[HELPERS];
	int memory, wake; /* wake: an eventfd, for the thread to look at `stop` */
	struct vnc_shared *shared;
	struct vnc_addr addr[2]; /* VNC, web */
	struct vnc_setup setup;
	/* Made at the start: the sandbox has the control thread make none later. The first is in `setup`. */
	char tokens[TOKENS][VNC_TOKEN_BYTES * 2 + 1];
	_Atomic unsigned next_token;

	const struct vnc_screen *screen;
	struct vnc_screen screen_copy;
	pthread_t thread;
	bool started;
	_Atomic bool stop;
	_Atomic uint32_t lookers; /* of told, for vnc_info() */
	/* the thread's */
	struct vnc_told told;
	struct display_picture pic;
	bool look_all;	      /* the next picture is put whole */
	uint64_t changed_ns;  /* when it last did */
	uint64_t next_ns;     /* when to look again */
	uint64_t state_ns;    /* when the window was told what the machine does, */
	struct vnc_msg state; /* and what it was */
};

/* ---- The picture -------------------------------------------------------------------------------- */

static bool tell(struct vnc *v, unsigned helper, const struct vnc_msg *m)
{
	/* A helper that does not read has a frame to read about anyway. */
	return atomic_load(&v->peer[helper].lives) &&
	       send(v->peer[helper].sock, m, sizeof(*m), MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof(*m);
}

/* What the window's title says, and which way its pointer goes. */
static void tell_state(struct vnc *v, uint64_t now)
{
	const struct vnc_screen *s = v->screen;
	struct vnc_msg m = {.kind = VNC_STATE};

	if (!atomic_load(&v->peer[WINDOW].lives) || !s->state || now - v->state_ns < STATE_NS)
		return;
	v->state_ns = now;
	m.value = s->absolute(s->opaque);
	snprintf(m.text, sizeof(m.text), "%s", s->state(s->opaque));
	if (memcmp(&m, &v->state, sizeof(m)) != 0 && tell(v, WINDOW, &m))
		v->state = m;
}

static void look(struct vnc *v, uint64_t now)
{
	const struct vnc_screen *s = v->screen;
	struct display_lines lines = s->changed(s->opaque);
	uint64_t took;

	if (v->look_all)
		lines = DISPLAY_ALL_LINES;
	if (lines.first <= lines.last && !s->draw(s->opaque, &v->pic, lines)) {
		if (v->pic.width != v->told.width || v->pic.height != v->told.height)
			s->size(s->opaque, v->pic.width, v->pic.height);
		v->told.width = v->pic.width;
		v->told.height = v->pic.height;
		v->look_all = false;
		if (vnc_frame_put(v->shared, (uint8_t *)v->shared + VNC_PIXELS, &v->pic, lines)) {
			v->changed_ns = now;
			for (unsigned i = 0; i < HELPERS; i++)
				tell(v, i, &(struct vnc_msg){.kind = VNC_FRAME});
		}
	}
	tell_state(v, now);
	took = clock_mono_ns() - now;
	v->next_ns = now + max_u64(3 * took,
				   (now - v->changed_ns < BUSY_NS ? FAST_MS : SLOW_MS) * NS_PER_MS);
}

/* ---- The thread --------------------------------------------------------------------------------- */

static void lost(struct vnc *v, unsigned helper)
{
	static const char *const names[HELPERS] = {"VNC", "window's"};
	static const char *const loss[HELPERS] = {
		"nobody can look at the machine from elsewhere any more",
		"the machine goes on without a window"};
	int status = 0;

	atomic_store(&v->peer[helper].lives, false);
	waitpid(v->peer[helper].pid, &status, 0);
	v->peer[helper].pid = 0;
	vnc_told_gone(&v->told, helper == WINDOW, v->screen);
	atomic_store(&v->lookers, v->told.lookers);
	if (atomic_load(&v->stop))
		return;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		fprintf(stderr,
			"lodge: the %s process tried a system call that it may not make, and was "
			"ended; %s\n",
			names[helper], loss[helper]);
	else
		fprintf(stderr, "lodge: the %s process has ended (%s %d); %s\n", names[helper],
			WIFSIGNALED(status) ? "signal" : "exit code",
			WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), loss[helper]);
}

/* What has come; false when the helper is gone. */
static bool read_messages(struct vnc *v, unsigned helper)
{
	bool before = vnc_told_looked_at(&v->told);
	struct vnc_msg m;

	for (unsigned i = 0; i < MESSAGES; i++) {
		int fd = -1;
		ssize_t n = vnc_told_receive(v->peer[helper].sock, &m, &fd);

		if (fd >= 0 && helper == NET)
			v->screen->console(v->screen->opaque, fd);
		else if (fd >= 0)
			close(fd);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n <= 0)
			return false;
		(void)vnc_told_message(&v->told, &m, (size_t)n, helper == WINDOW, v->screen);
	}
	if (vnc_told_looked_at(&v->told) && !before) {
		v->look_all = true;
		v->next_ns = 0;
	}
	atomic_store(&v->lookers, v->told.lookers);
	return true;
}

/* -1, which poll() leaves out: it does not live. */
static int sock_of(const struct vnc *v, unsigned helper)
{
	return atomic_load(&v->peer[helper].lives) ? v->peer[helper].sock : -1;
}

static void *run(void *opaque)
{
	struct vnc *v = opaque;

	while (!atomic_load(&v->stop)) {
		struct pollfd p[3] = {{.fd = sock_of(v, NET), .events = POLLIN},
				      {.fd = sock_of(v, WINDOW), .events = POLLIN},
				      {.fd = v->wake, .events = POLLIN}};
		bool looked_at = vnc_told_looked_at(&v->told);
		uint64_t now = clock_mono_ns();
		int ms = -1;

		if (looked_at && now >= v->next_ns)
			look(v, now);
		now = clock_mono_ns();
		if (looked_at)
			ms = now >= v->next_ns ? 0 : (int)((v->next_ns - now) / NS_PER_MS) + 1;
		if (poll(p, 3, ms) <= 0)
			continue;
		for (unsigned i = 0; i < HELPERS; i++) {
			if (p[i].revents && !read_messages(v, i))
				lost(v, i);
		}
		/* Somebody types: what comes of it should be seen soon. */
		if ((p[NET].revents || p[WINDOW].revents) && vnc_told_looked_at(&v->told)) {
			now = clock_mono_ns();
			v->changed_ns = now;
			v->next_ns = min_u64(v->next_ns, now + FAST_MS * NS_PER_MS);
		}
	}
	return NULL;
}

int vnc_start(struct vnc *v, const struct vnc_screen *screen, struct lodge_err *err)
{
	int r;

	v->screen_copy = *screen;
	v->screen = &v->screen_copy;
	atomic_store(&v->shared->resizes, screen->resize != NULL);
	r = thread_create(&v->thread, THREAD_DISPLAY, "display", 0, run, v);
	if (r)
		return err_set(err, r, "cannot start the display's thread: %s", strerror(-r));
	v->started = true;
	return 0;
}

void vnc_stop(struct vnc *v)
{
	uint64_t one = 1;

	if (!v || !v->started)
		return;
	atomic_store(&v->stop, true);
	(void)!write(v->wake, &one, sizeof(one));
	pthread_join(v->thread, NULL);
	v->started = false;
}

void vnc_close(struct vnc *v)
{
	if (!v)
		return;
	vnc_stop(v);
	for (unsigned i = 0; i < HELPERS; i++) {
		if (v->peer[i].sock >= 0)
			close(v->peer[i].sock);
		if (v->peer[i].pid) {
			kill(v->peer[i].pid, SIGKILL);
			waitpid(v->peer[i].pid, NULL, 0);
		}
	}
	if (v->wake >= 0)
		close(v->wake);
	if (v->shared)
		munmap(v->shared, VNC_SHARED_BYTES);
	if (v->memory >= 0)
		close(v->memory);
	for (unsigned i = 0; i < 2; i++)
		vnc_addr_close(&v->addr[i]);
	display_picture_free(&v->pic);
	explicit_bzero(&v->setup, sizeof(v->setup));
	free(v);
}

/* ---- The helper's start ------------------------------------------------------------------------- */

/* Between fork and exec: only what is safe there. */
static void __attribute__((noreturn)) become_helper(const int fd[4], char *role, char **env)
{
	static char name[] = "lodge";
	char *argv[] = {name, role, NULL};
	int high[4];

	/* Out of the way of the numbers they get; dup2 also takes close-on-exec away. */
	for (int i = 0; i < 4; i++) {
		int now = fd[i] < 0 ? open("/dev/null", O_RDONLY | O_CLOEXEC) : fd[i];

		high[i] = fcntl(now, F_DUPFD, 20);
	}
	for (int i = 0; i < 4; i++) {
		if (high[i] < 0 || dup2(high[i], VNC_FD_SOCKET + i) < 0)
			_exit(127);
	}
	execve("/proc/self/exe", argv, env);
	_exit(127);
}

static int make_memory(struct vnc *v, struct lodge_err *err)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE;
	void *p = MAP_FAILED;

	v->memory = memfd_create("lodge-screen", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (v->memory >= 0 && !ftruncate(v->memory, (off_t)VNC_SHARED_BYTES))
		p = mmap(NULL, VNC_SHARED_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
			 v->memory, 0);
	if (p == MAP_FAILED)
		return err_set(err, -errno, "no memory for a picture of the screen: %s",
			       strerror(errno));
	v->shared = p;
	/* Others only read. An old kernel cannot say so; then nothing relies on what is there. */
	(void)!fcntl(v->memory, F_ADD_SEALS, seals);
	return 0;
}

static int start_helper(struct vnc *v, unsigned helper, const char *what, struct lodge_err *err)
{
	static char roles[HELPERS][16] = {VNC_HELPER_ROLE, VNC_WINDOW_ROLE};
	struct vnc_peer *peer = &v->peer[helper];
	char *env[VNC_WINDOW_ENV + 1] = {NULL};
	struct pollfd p;
	struct vnc_msg m;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return err_set(err, -errno, "cannot start the %s: %s", what, strerror(errno));
	if (helper == WINDOW)
		vnc_window_env(env);
	peer->pid = fork();
	if (peer->pid == 0) {
		const int fd[4] = {pair[1], v->memory, helper == NET ? v->addr[0].fd : -1,
				   helper == NET ? v->addr[1].fd : -1};

		become_helper(fd, roles[helper], env);
	}
	close(pair[1]);
	peer->sock = pair[0];
	if (peer->pid < 0) {
		peer->pid = 0;
		return err_set(err, -errno, "cannot start the %s: %s", what, strerror(errno));
	}
	p = (struct pollfd){.fd = peer->sock, .events = POLLIN};
	if (send(peer->sock, &v->setup, sizeof(v->setup), MSG_NOSIGNAL) < 0 ||
	    poll(&p, 1, START_MS) <= 0 || recv(peer->sock, &m, sizeof(m), 0) != sizeof(m) ||
	    m.kind != VNC_READY)
		return err_set(err, -EIO, "the %s does not start", what);
	m.text[sizeof(m.text) - 1] = '\0';
	atomic_store(&peer->lives, !m.x);
	return m.x ? err_set(err, -EINVAL, "%s", m.text) : 0;
}

static int start_helpers(struct vnc *v, bool window, struct lodge_err *err)
{
	int r = make_memory(v, err);

	if (r)
		return r;
	v->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (v->wake < 0)
		return err_set(err, -errno, "cannot start a display: %s", strerror(errno));
	if (v->setup.vnc || v->setup.web)
		r = start_helper(v, NET, "VNC process", err);
	for (unsigned i = 0; i < 2; i++)
		vnc_addr_given(&v->addr[i]);
	return r || !window ? r : start_helper(v, WINDOW, "window's process", err);
}

/* ---- Options ------------------------------------------------------------------------------------ */

static void make_token(char *out, size_t digits, const char *alphabet, unsigned letters)
{
	uint8_t bytes[64] = {0};

	(void)!getrandom(bytes, sizeof(bytes), 0);
	for (size_t i = 0; i < digits; i++)
		out[i] = alphabet[bytes[i] % letters];
	out[digits] = '\0';
}

static int read_password_file(struct vnc *v, const char *path, struct lodge_err *err)
{
	FILE *f = fopen(path, "re");
	char line[256];

	if (!f || !fgets(line, sizeof(line), f)) {
		int e = f ? EINVAL : errno;

		if (f)
			fclose(f);
		return err_set(err, -e, "password-file=%s: cannot read a password: %s", path,
			       strerror(e));
	}
	fclose(f);
	line[strcspn(line, "\r\n")] = '\0';
	snprintf(v->setup.password, sizeof(v->setup.password), "%.8s", line);
	explicit_bzero(line, sizeof(line));
	if (!v->setup.password[0])
		return err_set(err, -EINVAL, "password-file=%s: its first line is empty", path);
	return 0;
}

/* No open port without a password: one is made where nobody said anything. */
static int read_password(struct vnc *v, struct props *p, struct lodge_err *err)
{
	/* 56 of them, without those that look alike. */
	static const char letters[] = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
	const char *file = props_get(p, "password-file");
	bool on = false, said = props_has(p, "password");
	int r = props_bool(p, "password", &on, err);

	v->setup.has_password = true;
	if (!said && !file && v->setup.tls.on && v->setup.tls.verify) {
		v->setup.has_password = false; /* a certificate says who may */
		return r;
	}
	if (r || file)
		return r ? r : read_password_file(v, file, err);
	if (on) /* a monitor sets it */
		return 0;
	if (said || v->addr[0].unix_path[0]) {
		v->setup.has_password = false;
		if (v->addr[0].unix_path[0] || v->addr[0].loopback ||
		    (v->setup.tls.on && v->setup.tls.verify))
			return 0;
		return err_set(err, -EPERM,
			       "-vnc %s,password=off: a screen that all of the network can take is "
			       "not offered; write password-file=FILE, have tls-creds= ask for "
			       "certificates, or leave the address out for this host alone",
			       v->addr[0].text);
	}
	make_token(v->setup.password, VNC_PASSWORD_MAX, letters, sizeof(letters) - 1);
	fprintf(stderr, "lodge: VNC at %s, password: %s\n", v->addr[0].text, v->setup.password);
	return 0;
}

static int open_vnc(struct vnc *v, struct props *p, struct props *tls, struct lodge_err *err)
{
	static const char *const shares[] = {"allow-exclusive", "force-shared", "ignore", NULL};
	unsigned share = 1;
	int r = vnc_addr_open(&v->addr[0], props_get(p, "vnc"), "-vnc", 5900, err);

	v->setup.vnc = true;
	if (!r && props_get(p, "tls-creds"))
		r = vnc_tls_options(&v->setup.tls, tls, err);
	if (!r)
		r = read_password(v, p, err);
	if (!r)
		r = props_choice(p, "share", shares, &share, err);
	if (!r && share != 1)
		r = err_set(err, -EINVAL, "-vnc: share=force-shared is what there is");
	return r ? r : props_done(p, err);
}

static int open_web(struct vnc *v, struct props *p, struct lodge_err *err)
{
	const char *novnc = props_get(p, "novnc"), *xterm = props_get(p, "xterm");
	int r = vnc_addr_open(&v->addr[1], props_get(p, "web"), "-display web", 0, err);

	if (r)
		return r;
	if (!v->addr[1].loopback)
		return err_set(err, -EPERM,
			       "-display web=%s: the page has no encryption and is for this host; "
			       "write 127.0.0.1:PORT, and 'ssh -L' brings it elsewhere",
			       v->addr[1].text);
	v->setup.web = true;
	if ((novnc && strlen(novnc) >= sizeof(v->setup.novnc)) ||
	    (xterm && strlen(xterm) >= sizeof(v->setup.xterm)))
		return err_set(err, -EINVAL, "-display web: a folder's path of more than %zu bytes",
			       sizeof(v->setup.novnc) - 1);
	snprintf(v->setup.novnc, sizeof(v->setup.novnc), "%s", novnc ? novnc : "");
	snprintf(v->setup.xterm, sizeof(v->setup.xterm), "%s", xterm ? xterm : "");
	for (unsigned i = 0; i < TOKENS; i++)
		make_token(v->tokens[i], VNC_TOKEN_BYTES * 2, "0123456789abcdef", 16);
	memcpy(v->setup.token, v->tokens[0], sizeof(v->setup.token));
	return props_done(p, err);
}

struct vnc *vnc_open(const struct vnc_wish *wish, struct lodge_err *err)
{
	struct vnc *v = calloc(1, sizeof(*v));
	int r = 0;

	if (!v) {
		err_set(err, -ENOMEM, "no memory for a display");
		return NULL;
	}
	v->peer[NET].sock = v->peer[WINDOW].sock = -1;
	v->memory = v->wake = v->addr[0].fd = v->addr[1].fd = -1;
	snprintf(v->setup.name, sizeof(v->setup.name), "%s", wish->name ? wish->name : "Lodge");
	v->setup.window.full_screen = wish->full_screen;
	if (wish->vnc)
		r = open_vnc(v, wish->vnc, wish->tls, err);
	if (!r && wish->web)
		r = open_web(v, wish->web, err);
	if (!r && wish->window)
		r = vnc_window_options(&v->setup.window, wish->window, err);
	if (!r)
		r = start_helpers(v, wish->window, err);
	if (r) {
		vnc_close(v);
		return NULL;
	}
	if (wish->web)
		fprintf(stderr, "lodge: screen at http://%s/?token=%s\n", v->addr[1].text,
			v->setup.token);
	return v;
}

/* ---- From monitors ------------------------------------------------------------------------------ */

int vnc_set_password(struct vnc *v, const char *password, struct lodge_err *err)
{
	struct vnc_msg m = {.kind = VNC_PASSWORD};

	if (!v->setup.vnc || !v->setup.has_password)
		return err_set(err, -EINVAL,
			       "the machine was started without a password for VNC; "
			       "-vnc ADDRESS,password=on takes one");
	snprintf(m.text, sizeof(m.text), "%.8s", password);
	tell(v, NET, &m);
	explicit_bzero(&m, sizeof(m));
	return 0;
}

int vnc_web_address(struct vnc *v, char *out, size_t size, struct lodge_err *err)
{
	struct vnc_msg m = {.kind = VNC_TOKEN};
	unsigned n;

	if (!v->setup.web)
		return err_set(err, -ENODEV,
			       "the machine has no page; -display web=127.0.0.1:6080 makes one");
	n = atomic_fetch_add(&v->next_token, 1) + 1;
	if (n >= TOKENS)
		return err_set(err, -ENOSPC,
			       "the machine has given away all of its %u addresses; a browser that "
			       "has had one may go on",
			       TOKENS);
	snprintf(m.text, sizeof(m.text), "%s", v->tokens[n]);
	tell(v, NET, &m);
	snprintf(out, size, "http://%s/?token=%s", v->addr[1].text, m.text);
	return 0;
}

void vnc_info(struct vnc *v, struct vnc_info *out)
{
	*out = (struct vnc_info){
		.vnc = v->setup.vnc,
		.web = v->setup.web,
		.running = atomic_load(&v->peer[NET].lives),
		.has_password = v->setup.has_password,
		.auth = vnc_tls_auth_name(&v->setup),
		.viewers = atomic_load(&v->lookers),
	};
	snprintf(out->address, sizeof(out->address), "%s", v->addr[0].text);
}
