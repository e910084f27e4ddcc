// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * User-mode NAT, the VM's side: starts the helper process, moves frames, asks for host forwards, and goes on
 * without it when it dies. What the helper sends is taken for hostile: it has a bounded length, and the card
 * takes it as any frame from outside.
 *
 * Threads: with the VM lock held; frames come on the io thread. A request for a host forward waits for the
 * helper's answer, NET_HOSTFWD_MS at most.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/range.h"
#include "net/backend.h"
#include "net/gro.h"
#include "net/offload.h"
#include "net/starter.h"
#include "net/user_int.h"

#define START_MS 20000
#define FWDS_MAX 256u
#define MSG_MAX (sizeof(struct net_user_head) + NET_FRAME_MAX)

struct net_user {
	struct net_backend nb;
	bool alive; /* there is a helper */
	bool retired;
	pid_t pid; /* 0: it is not our child, and ends with its sockets */
	int pidfd, data, ctl;
	struct io_watch *death, *frames;
	bool want_out;	    /* waiting for room in the socket */
	bool held;	    /* a frame waits for the card */
	unsigned got, next; /* of the batch: messages there, the next to hand over */
	struct mmsghdr msg[NET_BATCH];
	struct iovec iov[NET_BATCH];
	uint8_t buf[NET_BATCH][MSG_MAX];
	uint8_t whole[NET_FRAME_MAX];
	struct net_user_fwd fwds[FWDS_MAX];
	unsigned n_fwds;
};

static struct net_user *of(struct net_backend *nb)
{
	return (struct net_user *)nb;
}

/* ---- Frames -------------------------------------------------------------------------------------
 */

static void set_events(struct net_user *u)
{
	uint32_t ev = (u->held ? 0u : (uint32_t)EPOLLIN) | (u->want_out ? (uint32_t)EPOLLOUT : 0u);

	if (u->frames)
		io_watch_mod(u->frames, ev);
}

static bool user_receive(void *opaque, const struct iovec *iov, unsigned n,
			 const struct net_offload *off)
{
	struct net_user *u = opaque;
	struct net_user_head head = {.zero = 0};
	struct iovec v[64];
	struct iovec whole = {u->whole, 0};
	struct msghdr m = {.msg_iov = v};

	if (!u->alive || net_iov_bytes(iov, n) > NET_FRAME_MAX)
		return true; /* lost */
	if (n >= ARRAY_SIZE(v)) {
		/* Very many pieces: one. */
		whole.iov_len = net_gather(iov, n, u->whole, sizeof(u->whole));
		iov = &whole;
		n = 1;
	}
	m.msg_iovlen = n + 1;
	if (off)
		head.off = *off;
	v[0] = (struct iovec){&head, sizeof(head)};
	memcpy(v + 1, iov, n * sizeof(*iov));
	if (sendmsg(u->data, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return true;
	if (errno != EAGAIN && errno != ENOBUFS)
		return true; /* gone; its pidfd tells */
	u->want_out = true;
	set_events(u);
	return false;
}

/*
 * Hand over message `i`; false if the card refuses its frame. What the head says is believed only where the frame's
 * headers say so, too: that it is segments of a TCP connection put together.
 */
static bool send_message(struct net_user *u, unsigned i)
{
	const struct mmsghdr *m = &u->msg[i];
	struct net_user_head head;
	struct net_offload off;
	struct iovec frame;

	if (m->msg_hdr.msg_flags & MSG_TRUNC || m->msg_len < sizeof(head) + NET_ETH_BYTES)
		return true; /* no frame: lost */
	memcpy(&head, u->buf[i], sizeof(head));
	frame = (struct iovec){u->buf[i] + sizeof(head), m->msg_len - sizeof(head)};
	if (head.off.gso_type == NET_GSO_NONE)
		return net_send(&u->nb.end, &frame, 1, NULL);
	if (net_gro_describe(frame.iov_base, frame.iov_len, head.off.gso_size, &off))
		return true;
	return net_send(&u->nb.end, &frame, 1, &off);
}

/* Hand over what was read; stops at a frame that the card refuses. */
static void hand_over(struct net_user *u)
{
	while (u->next < u->got && send_message(u, u->next))
		u->next++;
	u->held = u->next < u->got;
}

static void user_ready(void *opaque)
{
	struct net_user *u = opaque;

	if (!u->held)
		return;
	hand_over(u);
	if (!u->held)
		set_events(u);
}

/* The helper's end is closed, or it sends nonsense: it ends, and its death is seen by the pidfd. */
static void put_down(struct net_user *u)
{
	if (u->pid)
		kill(u->pid, SIGKILL);
	else
		shutdown(u->ctl, SHUT_RDWR);
	io_watch_del(u->frames);
	u->frames = NULL;
}

static void user_frames(void *opaque, uint32_t events)
{
	struct net_user *u = opaque;
	int n;

	if (events & EPOLLOUT) {
		u->want_out = false;
		net_ready(&u->nb.end);
		if (!u->frames)
			return;
		set_events(u);
	}
	if (u->held || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	for (unsigned i = 0; i < NET_BATCH; i++) {
		u->iov[i] = (struct iovec){u->buf[i], MSG_MAX};
		u->msg[i].msg_hdr = (struct msghdr){.msg_iov = &u->iov[i], .msg_iovlen = 1};
	}
	n = recvmmsg(u->data, u->msg, NET_BATCH, MSG_DONTWAIT, NULL);
	if ((n < 0 && errno != EAGAIN && errno != EINTR) || n == 0 ||
	    (n > 0 && !u->msg[0].msg_len)) {
		put_down(u);
		return;
	}
	u->got = n < 0 ? 0 : (unsigned)n;
	u->next = 0;
	hand_over(u);
	if (u->held)
		set_events(u);
}

static const struct net_end_ops user_end_ops = {.receive = user_receive, .ready = user_ready};

/* ---- The helper's life --------------------------------------------------------------------------
 */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* It has ended, or is ended now: no descriptor, no watch, no process is left. */
static int bury(struct net_user *u)
{
	int status = 0;

	io_watch_del(u->death);
	io_watch_del(u->frames);
	u->death = u->frames = NULL;
	/* It ends by itself when they are closed; it may be another user's, which cannot be killed. */
	close_fd(&u->data);
	close_fd(&u->ctl);
	if (u->pid) {
		kill(u->pid, SIGKILL);
		waitpid(u->pid, &status, 0);
		u->pid = 0;
	}
	u->alive = false;
	close_fd(&u->pidfd);
	return status;
}

static void user_died(void *opaque, uint32_t events)
{
	struct net_user *u = opaque;
	bool child = u->pid, retired = u->retired;
	int status = bury(u);

	(void)events;
	if (retired)
		return;
	if (!child)
		net_backend_say(&u->nb,
				"the NAT process has ended; the guest's cable is unplugged");
	else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		net_backend_say(&u->nb,
				"the NAT process tried a system call that it may not make, and was "
				"ended; the guest's cable is unplugged");
	else
		net_backend_say(&u->nb,
				"the NAT process has ended (%s %d); the guest's cable is unplugged",
				WIFSIGNALED(status) ? "signal" : "exit code",
				WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	u->held = u->want_out = false;
	net_set_link(&u->nb.end, false);
}

/* No call here that ends a process: the helper does so itself, and its pidfd tells the io thread. */
static bool user_retire(struct net_backend *nb)
{
	struct net_user *u = of(nb);

	if (!u->retired) {
		u->retired = true;
		io_watch_del(u->frames);
		u->frames = NULL;
		close_fd(&u->data);
		close_fd(&u->ctl);
	}
	return !u->alive;
}

static void user_close(struct net_backend *nb)
{
	struct net_user *u = of(nb);

	bury(u);
	free(u);
}

/* Between fork and exec: only what is safe there. */
static void __attribute__((noreturn)) become_helper(int data, int ctl)
{
	static char name[] = "lodge", role[] = NET_HELPER_ROLE;
	char *argv[] = {name, role, NULL}, *env[] = {NULL};

	/* Out of the way of the numbers they get; dup2 also takes close-on-exec away. */
	data = fcntl(data, F_DUPFD, 10);
	ctl = fcntl(ctl, F_DUPFD, 10);
	if (dup2(data, NET_HELPER_DATA) == NET_HELPER_DATA &&
	    dup2(ctl, NET_HELPER_CTL) == NET_HELPER_CTL)
		execve("/proc/self/exe", argv, env);
	_exit(127);
}

int net_user_spawn(struct net_user_child *out)
{
	int data[2] = {-1, -1}, ctl[2] = {-1, -1}, r;
	const int type = SOCK_SEQPACKET | SOCK_CLOEXEC;

	*out = (struct net_user_child){.pidfd = -1};
	if (net_pair(type | SOCK_NONBLOCK, data) || socketpair(AF_UNIX, type, 0, ctl))
		goto fail;
	out->pid = fork();
	if (out->pid == 0)
		become_helper(data[1], ctl[1]);
	if (out->pid < 0)
		goto fail;
	out->data = data[0];
	out->ctl = ctl[0];
	out->pidfd = (int)syscall(SYS_pidfd_open, out->pid, 0);
	if (out->pidfd < 0)
		goto fail;
	close(data[1]);
	close(ctl[1]);
	return 0;
fail:
	r = -errno;
	for (unsigned i = 0; i < 2; i++) {
		close_fd(&data[i]);
		close_fd(&ctl[i]);
	}
	if (out->pid > 0) {
		kill(out->pid, SIGKILL);
		waitpid(out->pid, NULL, 0);
	}
	out->pid = 0;
	return r;
}

static int start_helper(struct net_user *u, const struct net_host *host, struct lodge_err *err)
{
	struct net_user_child child = {.pidfd = -1, .data = -1, .ctl = -1};
	int r;

	if (host->starter) {
		r = net_starter_ask(host->starter - 1, &child, err);
	} else {
		r = net_user_spawn(&child);
		if (r)
			err_set(err, r, "cannot start the NAT process: %s", strerror(-r));
	}
	if (r)
		return r;
	u->alive = true;
	u->pid = child.pid;
	u->pidfd = child.pidfd;
	u->data = child.data;
	u->ctl = child.ctl;
	return 0;
}

static int send_request(struct net_user *u, const void *req, size_t len, struct lodge_err *err)
{
	struct net_user_answer late;

	/* An answer that came too late for its question is not this one's. */
	while (u->alive && recv(u->ctl, &late, sizeof(late), MSG_DONTWAIT) > 0)
		;
	if (!u->alive || send(u->ctl, req, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return err_set(err, -EPIPE, "the NAT process has ended");
	return 0;
}

/* What has come, if anything. */
static int take_answer(int fd, struct net_user_answer *a, struct lodge_err *err)
{
	ssize_t n = recv(fd, a, sizeof(*a), MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return err_set(err, -ETIMEDOUT, "the NAT process does not answer");
	if (n != sizeof(*a))
		return err_set(err, -EPIPE, "the NAT process has ended before it answered");
	a->msg[sizeof(a->msg) - 1] = '\0';
	return 0;
}

/* Send a request and wait for its answer. */
static int ask(struct net_user *u, const void *req, size_t len, int ms, struct net_user_answer *a,
	       struct lodge_err *err)
{
	struct pollfd p = {.fd = u->ctl, .events = POLLIN};
	int r = send_request(u, req, len, err);

	if (r)
		return r;
	(void)!poll(&p, 1, ms);
	return take_answer(u->ctl, a, err);
}

/* ---- Host forwards ------------------------------------------------------------------------------
 */

static bool is_same(const struct net_user_fwd *a, const struct net_user_fwd *b)
{
	return a->udp == b->udp && a->host_addr.s_addr == b->host_addr.s_addr &&
	       a->host_port == b->host_port;
}

/* So that people can be told: what the helper has now. More than FWDS_MAX are forwarded, but not listed. */
static void note(struct net_user *u, const struct net_user_fwd *f)
{
	unsigned i = 0;

	while (i < u->n_fwds && !is_same(&u->fwds[i], f))
		i++;
	if (!f->add && i < u->n_fwds)
		memmove(&u->fwds[i], &u->fwds[i + 1], (--u->n_fwds - i) * sizeof(*f));
	else if (f->add && i < FWDS_MAX) {
		u->fwds[i] = *f;
		u->n_fwds += i == u->n_fwds;
	}
}

static int settle(struct net_user *u, const struct net_user_fwd *f, const char *rule,
		  const struct net_user_answer *a, struct lodge_err *err)
{
	char addr[INET_ADDRSTRLEN];

	if (!a->error) {
		note(u, f);
		return 0;
	}
	inet_ntop(AF_INET, &f->host_addr, addr, sizeof(addr));
	if (!f->add)
		return err_set(err, -ENOENT, "hostfwd=%s: there is no such forward", rule);
	return err_set(err, -EADDRINUSE, "hostfwd=%s: cannot listen on %s port %u of %s: %s", rule,
		       f->udp ? "UDP" : "TCP", f->host_port, addr, strerror(a->error));
}

static int forward(struct net_user *u, bool add, const char *rule, struct lodge_err *err)
{
	struct net_user_answer a;
	struct net_user_fwd f;
	int r = net_user_parse_fwd(&f, add, rule, err);

	if (!r)
		r = ask(u, &f, sizeof(f), NET_HOSTFWD_MS, &a, err);
	return r ? r : settle(u, &f, rule, &a, err);
}

static int user_hostfwd_ask(struct net_backend *nb, bool add, const char *rule,
			    struct lodge_err *err)
{
	struct net_user_fwd f;
	int r = net_user_parse_fwd(&f, add, rule, err), fd;

	if (!r)
		r = send_request(of(nb), &f, sizeof(f), err);
	if (r)
		return r;
	/* The helper may end, and its descriptors with it, before the answer is looked for. */
	fd = fcntl(of(nb)->ctl, F_DUPFD_CLOEXEC, 3);
	return fd >= 0 ? fd : err_set(err, -errno, "no descriptor is free: %s", strerror(errno));
}

static int user_hostfwd_answer(struct net_backend *nb, int fd, bool add, const char *rule,
			       struct lodge_err *err)
{
	struct net_user_answer a;
	struct net_user_fwd f;
	int r = net_user_parse_fwd(&f, add, rule, err);

	if (!r)
		r = take_answer(fd, &a, err);
	return r ? r : settle(of(nb), &f, rule, &a, err);
}

static void user_hostfwds(struct net_backend *nb, char *out, size_t size)
{
	const struct net_user *u = of(nb);
	size_t used = 0;

	for (unsigned i = 0; i < u->n_fwds && used < size; i++) {
		const struct net_user_fwd *f = &u->fwds[i];
		char host[INET_ADDRSTRLEN], guest[INET_ADDRSTRLEN];

		inet_ntop(AF_INET, &f->host_addr, host, sizeof(host));
		/* None: the first one that DHCP gives. */
		if (!f->guest_addr.s_addr ||
		    !inet_ntop(AF_INET, &f->guest_addr, guest, sizeof(guest)))
			guest[0] = '\0';
		used += (size_t)snprintf(out + used, size - used, "%s:%s:%u-%s:%u\n",
					 f->udp ? "udp" : "tcp", host, f->host_port, guest,
					 f->guest_port);
	}
}

static const struct net_backend_ops user_ops = {
	.type = "user",
	.close = user_close,
	.retire = user_retire,
	.hostfwd_ask = user_hostfwd_ask,
	.hostfwd_answer = user_hostfwd_answer,
	.hostfwds = user_hostfwds,
};

/* ---- Opening ------------------------------------------------------------------------------------
 */

static int user_start(struct net_user *u, struct props *p, const struct net_host *host,
		      struct lodge_err *err)
{
	struct net_user_config c;
	struct net_user_answer a;
	const char *rule;
	int r = net_user_parse(&c, p, err);

	if (r)
		return r;
	r = start_helper(u, host, err);
	if (!r)
		r = ask(u, &c, sizeof(c), START_MS, &a, err);
	if (!r && a.error)
		r = err_set(err, -EINVAL, "%s user: %s", props_what(p), a.msg);
	while (!r && (rule = props_next(p, "hostfwd")))
		r = forward(u, true, rule, err);
	return r;
}

struct net_backend *net_user_open(struct props *p, const struct net_host *host,
				  struct lodge_err *err)
{
	struct net_user *u = calloc(1, sizeof(*u));

	if (!u) {
		err_set(err, -ENOMEM, "no memory for user-mode NAT");
		return NULL;
	}
	u->nb.ops = &user_ops;
	u->pidfd = u->data = u->ctl = -1;
	net_end_init(&u->nb.end, &user_end_ops, u,
		     NET_CAN_CSUM | NET_CAN_TSO4 | NET_CAN_TSO6 | NET_CAN_ECN);
	if (user_start(u, p, host, err))
		goto fail;
	if (host->lock)
		pthread_mutex_lock(host->lock);
	u->death = io_watch_add(host->loop, u->pidfd, EPOLLIN, user_died, u);
	u->frames = io_watch_add(host->loop, u->data, EPOLLIN, user_frames, u);
	if (host->lock)
		pthread_mutex_unlock(host->lock);
	if (u->death && u->frames)
		return &u->nb;
	err_set(err, -ENOMEM, "cannot watch the NAT process");
fail:
	user_close(&u->nb);
	return NULL;
}
