// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * -netdev passt: Debian's passt, started with one end of a socket pair; frames as in net/stream.h. It shuts
 * itself in; a small process of ours ends it with its machine.
 * Source: passt(1). Threads: set-up.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/range.h"
#include "net/stream.h"

#define ARGS_MAX 64u
#define PASST_FD 3

/* Settings that are options of passt, by its names or by QEMU's. */
static const struct {
	const char *key, *option;
} options[] = {
	{"mtu", "--mtu"},
	{"address", "--address"},
	{"netmask", "--netmask"},
	{"mac", "--mac-addr"},
	{"gateway", "--gateway"},
	{"interface", "--interface"},
	{"tcp-ports", "--tcp-ports"},
	{"udp-ports", "--udp-ports"},
};

struct passt_args {
	char *argv[ARGS_MAX];
	unsigned n;
};

static void add(struct passt_args *a, const char *arg)
{
	if (a->n < ARGS_MAX - 1)
		a->argv[a->n++] = (char *)(uintptr_t)arg;
}

static void __attribute__((noreturn)) become_passt(int report, char **argv)
{
	sigset_t none;
	int e;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execvp(argv[0], argv);
	e = errno;
	if (write(report, &e, sizeof(e)) < 0)
		_exit(126);
	_exit(127);
}

/*
 * passt becomes another user, after which neither a parent's death nor a machine that has left root reaches it by
 * a signal, and Debian 12's turns in circles when its socket ends. So this process stays between them, until the
 * machine closes its end, or one of them ends.
 */
static void __attribute__((noreturn)) keep_passt(int fd, int report, char **argv)
{
	int null = open("/dev/null", O_RDWR), signals;
	struct pollfd p[2];
	sigset_t set;
	pid_t pid;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_SETMASK, &set, NULL);
	report = fcntl(report, F_DUPFD, 10);
	fd = fcntl(fd, F_DUPFD, 10);
	for (int i = 0; i < PASST_FD; i++)
		dup2(null, i);
	dup2(fd, PASST_FD);
	fd = PASST_FD;
	report = dup2(report, PASST_FD + 1);
	syscall(SYS_close_range, PASST_FD + 2, ~0u, 0);
	fcntl(report, F_SETFD, FD_CLOEXEC);
	setsid();
	prctl(PR_SET_NAME, "lodge-passt");
	signals = signalfd(-1, &set, SFD_CLOEXEC);
	pid = fork();
	if (pid == 0)
		become_passt(report, argv);
	close(report);
	p[0] = (struct pollfd){.fd = fd, .events = POLLRDHUP};
	p[1] = (struct pollfd){.fd = signals, .events = POLLIN};
	while (pid > 0 && poll(p, 2, -1) < 0 && errno == EINTR)
		;
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	_exit(pid < 0);
}

/* Start it; -errno with a sentence when it cannot be executed. */
static int start_passt(struct net_stream *s, struct passt_args *a, struct lodge_err *err)
{
	int pair[2], report[2], e = 0;
	ssize_t n;
	int r = net_pair(SOCK_STREAM | SOCK_CLOEXEC, pair);

	if (r)
		return err_set(err, r, "cannot start passt: %s", strerror(-r));
	if (pipe2(report, O_CLOEXEC)) {
		close(pair[0]);
		close(pair[1]);
		return err_set(err, -errno, "cannot start passt: %s", strerror(errno));
	}
	s->pid = fork();
	if (s->pid == 0)
		keep_passt(pair[1], report[1], a->argv);
	close(pair[1]);
	close(report[1]);
	n = s->pid < 0 ? -1 : read(report[0], &e, sizeof(e));
	close(report[0]);
	if (n == 0)
		return net_stream_connect(s, pair[0], err);
	close(pair[0]);
	return err_set(err, -ENOENT,
		       "cannot start '%s': %s; install Debian's package passt, or use -netdev user",
		       a->argv[0], strerror(n > 0 ? e : EAGAIN));
}

struct net_backend *net_passt_open(struct props *p, const struct net_host *host,
				   struct lodge_err *err)
{
	const char *path = props_get(p, "path");
	struct passt_args a = {.n = 0};
	struct net_stream *s;

	if (props_has(p, "hostfwd")) {
		err_set(err, -ENOTSUP,
			"%s passt: hostfwd= is of -netdev user; here it is tcp-ports= and "
			"udp-ports=, as passt(1) has them",
			props_what(p));
		return NULL;
	}
	add(&a, path ? path : "passt");
	add(&a, "--foreground");
	add(&a, "--quiet");
	add(&a, "--fd");
	add(&a, "3");
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		const char *val = props_get(p, options[i].key);

		if (val) {
			add(&a, options[i].option);
			add(&a, val);
		}
	}
	s = net_stream_new("passt", host, err);
	if (!s)
		return NULL;
	/* Debian 12's passt takes what pads an acknowledgement for bytes of the connection. */
	s->no_padding = true;
	if (start_passt(s, &a, err)) {
		net_backend_close(&s->nb);
		return NULL;
	}
	return &s->nb;
}
