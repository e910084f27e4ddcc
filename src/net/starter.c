// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The process that starts NAT processes for a machine that has shut itself in, and so can start none.
 *
 * It is forked before that, waits, and knows one thing: to make the two pairs of sockets and start the helper, as
 * user.c does before the sandbox. The machine's side gets its ends and a pidfd, no more: what is started, and with what
 * rights, is not its choice. The helper shuts itself in as always (confine.c) before it takes a frame.
 *
 * One message there: a byte. One back: an errno (0: three descriptors come with it: frames, control, the pidfd).
 * It ends with the machine's end of its socket. Threads: the machine's side: the owner's; the process: its only one.
 */
#include "net/starter.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "net/user_int.h"

#define STARTER_FD 3
#define STARTER_MS 10000
#define FDS 3u

union control {
	struct cmsghdr h;
	char bytes[CMSG_SPACE(FDS * sizeof(int))];
};

/* ---- The process -------------------------------------------------------------------------------- */

static void reply(int error, const int fd[FDS])
{
	struct iovec iov = {&error, sizeof(error)};
	union control c = {.bytes = {0}};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	if (!error) {
		m.msg_control = &c;
		m.msg_controllen = sizeof(c.bytes);
		c.h.cmsg_level = SOL_SOCKET;
		c.h.cmsg_type = SCM_RIGHTS;
		c.h.cmsg_len = CMSG_LEN(FDS * sizeof(int));
		memcpy(CMSG_DATA(&c.h), fd, FDS * sizeof(int));
	}
	if (sendmsg(STARTER_FD, &m, MSG_NOSIGNAL) < 0)
		_exit(1);
}

static void start_one(void)
{
	struct net_user_child child;
	int fd[FDS], r = net_user_spawn(&child);

	if (r) {
		reply(-r, NULL);
		return;
	}
	fd[0] = child.data;
	fd[1] = child.ctl;
	fd[2] = child.pidfd;
	reply(0, fd);
	for (unsigned i = 0; i < FDS; i++)
		close(fd[i]);
}

static void __attribute__((noreturn)) starter(int fd)
{
	char byte;

	int null = open("/dev/null", O_RDWR);

	prctl(PR_SET_NAME, "lodge-starter");
	signal(SIGCHLD, SIG_IGN); /* nobody waits for them */
	/* Nothing of the machine's is kept open, nor of the person's, who may wait for the end of a pipe. */
	for (int i = 0; i < STARTER_FD; i++) {
		if (null < 0 || dup2(null, i) < 0)
			_exit(1);
	}
	fd = fcntl(fd, F_DUPFD, STARTER_FD + 1);
	if (dup2(fd, STARTER_FD) < 0 || close_range(STARTER_FD + 1, ~0u, 0))
		_exit(1);
	fcntl(STARTER_FD, F_SETFD, FD_CLOEXEC);
	for (;;) {
		ssize_t n = recv(STARTER_FD, &byte, 1, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n != 1)
			_exit(0);
		start_one();
	}
}

/* ---- The machine's side ------------------------------------------------------------------------- */

int net_starter_new(struct lodge_err *err)
{
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return err_set(err, -errno, "cannot start a process for later networks: %s",
			       strerror(errno));
	pid = fork();
	if (!pid)
		starter(pair[1]);
	if (pid < 0) {
		err_set(err, -errno, "cannot start a process for later networks: %s",
			strerror(errno));
		close(pair[0]);
	}
	close(pair[1]);
	return pid < 0 ? -EAGAIN : pair[0];
}

static int take(const struct msghdr *m, struct net_user_child *out)
{
	const struct cmsghdr *h = CMSG_FIRSTHDR(m);
	int fd[FDS];

	if (!h || h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS ||
	    h->cmsg_len != CMSG_LEN(sizeof(fd)))
		return -EPROTO;
	memcpy(fd, CMSG_DATA(h), sizeof(fd));
	*out = (struct net_user_child){.data = fd[0], .ctl = fd[1], .pidfd = fd[2]};
	return 0;
}

int net_starter_ask(int fd, struct net_user_child *out, struct lodge_err *err)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int error = 0, r = 0;
	struct iovec iov = {&error, sizeof(error)};
	union control c;
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = &c,
			   .msg_controllen = sizeof(c.bytes)};

	if (send(fd, "", 1, MSG_NOSIGNAL) != 1)
		r = -EPIPE;
	else if (poll(&p, 1, STARTER_MS) != 1)
		r = -ETIMEDOUT;
	else if (recvmsg(fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) != sizeof(error))
		r = -EPIPE;
	else
		r = error ? -error : take(&m, out);
	return r ? err_set(err, r, "cannot start the NAT process: %s", strerror(-r)) : 0;
}
