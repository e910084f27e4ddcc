// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The allow-lists of the VM's threads. They hold from the end of the set-up until the process ends, so what
 * ends a machine is in main's. A thread made later has its maker's list, too: control's holds what disk's has.
 *
 * To add a call, put its row in the group where it belongs, with the threads that make it; unit/sandbox/calls
 * counts. `-sandbox on,log=on` lets all calls pass and has the kernel note what is not here.
 *
 * Source: signal-safety(7), each call's manual page. Threads: any.
 */
#include "sandbox/calls.h"

#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <linux/if_tun.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/range.h"

#define BIT(kind) (1u << (kind))
#define M BIT(THREAD_MAIN)
#define C BIT(THREAD_CONTROL)
#define I BIT(THREAD_IO)
#define V BIT(THREAD_VCPU)
#define D BIT(THREAD_DISK)
#define P BIT(THREAD_9P)
#define S BIT(THREAD_DISPLAY)
#define E BIT(THREAD_ENGINE)
#define VSOCK (1u << 16) /* of the io thread, with a vsock, */
#define DGRAM (1u << 17) /* with a network by datagrams */
#define ALL (M | C | I | V | D | P | S | E)
#define DEVICES (M | C | I | V | S) /* those that run code of devices */
#define IMAGES (M | C | D)	    /* those that wait for a disk */
#define MAKERS (C | D)		    /* those that start threads later */

#define CALL SANDBOX_CALL
#define IF SANDBOX_IF
#define IF2 SANDBOX_IF2
#define REFUSE SANDBOX_REFUSE

/* ioctl numbers are 32 bits; a C library may extend the sign. */
#define LOW 0xffffffffull
#define GROUPS 0x80000000ull /* a negative process number */
#define KVM_IOCTLS 0xff00ull
#define KVM_TYPE 0xae00ull

/* A thread of this process, and nothing else that clone() can make. */
#define CLONE_MASK                                                                               \
	(CLONE_VM | CLONE_THREAD | CLONE_SIGHAND | CLONE_PTRACE | CLONE_UNTRACED | CLONE_NEWNS | \
	 CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |             \
	 CLONE_NEWCGROUP)
#define CLONE_OURS (CLONE_VM | CLONE_THREAD | CLONE_SIGHAND)

static const struct sandbox_call calls[] = {
	/* memory: never executable */
	IF(mmap, ALL, 2, PROT_EXEC, 0),
	IF(mprotect, ALL, 2, PROT_EXEC, 0),
	CALL(munmap, ALL),
	CALL(mremap, ALL),
	CALL(madvise, ALL),
	CALL(brk, ALL),
	/* threads, time, signals */
	CALL(futex, ALL),
	CALL(gettid, ALL),
	CALL(getpid, ALL),
	CALL(tgkill, ALL), /* of this process only: sandbox_calls_build() */
	CALL(clock_gettime, ALL),
	CALL(clock_nanosleep, M),
	CALL(sched_yield, M | I | V | S),
	REFUSE(sched_yield, C, ENOSYS), /* it waits without */
	CALL(restart_syscall, ALL),
	CALL(rt_sigprocmask, ALL),
	CALL(rt_sigaction, ALL),
	CALL(rt_sigreturn, ALL),
	CALL(exit, ALL),
	CALL(exit_group, ALL),
	IF(prctl, ALL, 0, LOW, PR_SET_NAME),
	IF(prctl, ALL, 0, LOW, PR_GET_NAME),
	IF(prctl, V, 0, LOW, PR_SET_TIMERSLACK),
	CALL(sigaltstack, V),
	CALL(arch_prctl, V),
	CALL(timer_create, V),
	CALL(timer_settime, V),
	CALL(timer_delete, M | V),
	IF(clone, MAKERS, 0, CLONE_MASK, CLONE_OURS),
	REFUSE(clone3, MAKERS, ENOSYS), /* its flags cannot be seen; the library takes clone */
	CALL(seccomp, C),		/* a new thread's own list; only ever stricter */
	CALL(set_robust_list, MAKERS),
	CALL(rseq, MAKERS),
	CALL(alarm, M),
	CALL(wait4, M | I | S),
	/* helpers; no groups, nor everybody */
	IF2(kill, M | I, 0, GROUPS, 0, 1, LOW, SIGKILL),
	IF2(kill, M, 0, GROUPS, 0, 1, LOW, SIGTERM),
	/* descriptors that there are */
	CALL(read, ALL),
	CALL(write, ALL),
	CALL(readv, I | V),
	CALL(writev, I | V),
	CALL(close, ALL),
	CALL(recvfrom, DEVICES),
	CALL(recvmsg, M | C | I | V | S), /* control: a new network's descriptors */
	CALL(recvmmsg, I | V),
	CALL(sendto, DEVICES),
	CALL(sendmsg, M | I | V),
	CALL(sendmmsg, I | V),
	CALL(shutdown, I | V),
	CALL(getrandom, I | V), /* the guest's */
	CALL(poll, DEVICES),
	CALL(epoll_ctl, DEVICES),
	CALL(eventfd2, C), /* of an added disk */
	CALL(epoll_wait, C | I),
	CALL(timerfd_settime, DEVICES),
	CALL(io_uring_enter, DEVICES), /* rings take reads and writes only: block/uring.c */
	REFUSE(io_uring_setup, C, EPERM),
	CALL(accept4, C | I),
	IF(socketpair, I, 0, LOW, AF_UNIX), /* a session of a monitor */
	IF2(socket, VSOCK, 0, LOW, AF_UNIX, 1, 0xf, SOCK_STREAM),
	CALL(connect, VSOCK | DGRAM),
	IF(setsockopt, I, 1, LOW, IPPROTO_TCP),
	IF(getsockopt, C | I | S, 1, LOW, SOL_SOCKET),
	IF(fcntl, ALL & ~P, 1, LOW, F_GETFL),
	IF(fcntl, ALL & ~P, 1, LOW, F_SETFL),
	IF(fcntl, IMAGES | I, 1, LOW, F_SETFD),
	IF(fcntl, C, 1, LOW, F_DUPFD_CLOEXEC), /* the NAT's socket, while it answers */
	IF(fcntl, IMAGES, 1, LOW, F_OFD_SETLK),
	IF(fcntl, IMAGES, 1, LOW, F_OFD_GETLK),
	/* the terminal, by whoever crashes as well */
	IF(ioctl, ALL, 1, LOW, TCGETS),
	IF(ioctl, ALL, 1, LOW, TCSETS),
	IF(ioctl, ALL, 1, LOW, TIOCGPGRP),
	IF(ioctl, M | I | V, 1, LOW, TIOCGWINSZ),
	IF(ioctl, DEVICES, 1, LOW, TUNSETOFFLOAD),
	IF(ioctl, DEVICES, 1, LOW, TUNSETQUEUE),
	IF(ioctl, DEVICES, 1, KVM_IOCTLS, KVM_TYPE),
	IF(ioctl, IMAGES, 1, LOW, BLKGETSIZE64),
	IF(ioctl, IMAGES, 1, LOW, BLKSSZGET),
	/* files that are open */
	CALL(fstat, ALL),
	IF(newfstatat, ALL & ~(M | C | P), 3, AT_EMPTY_PATH, AT_EMPTY_PATH), /* also fstat() */
	CALL(lseek, IMAGES | P),
	CALL(pread64, M | P),
	CALL(pwrite64, M | P),
	CALL(preadv, IMAGES),
	CALL(pwritev, IMAGES | V),
	CALL(fsync, P),
	CALL(fdatasync, IMAGES | P),
	CALL(fallocate, IMAGES | V | I), /* and memory that a balloon or a screen gives back */
	CALL(ftruncate, IMAGES | V | P),
	/* files by name: those that Landlock leaves */
	CALL(newfstatat, M | C | P),
	CALL(openat, M | C | P),
	/*
	 * The C library asks for the host's processors and settings when it grows or shrinks its memory, and
	 * takes no for an answer.
	 */
	REFUSE(openat, I | V | D | S | E, EACCES),
	REFUSE(sched_getaffinity, ALL, ENOSYS),
	CALL(unlink, M | C),
	CALL(rename, C), /* a saved machine gets its name */
	CALL(unlinkat, M | P),
	CALL(readlink, C),
	/* shared folders */
	CALL(openat2, P),
	CALL(getdents64, P),
	CALL(fstatfs, P),
	REFUSE(statx, C, ENOSYS), /* where direct access is asked for; it is tried instead */
	CALL(readlinkat, P),
	CALL(mkdirat, P),
	CALL(mknodat, P),
	CALL(symlinkat, P),
	CALL(linkat, P),
	CALL(renameat, P),
	CALL(chmod, P),
	CALL(fchownat, P),
	CALL(utimensat, P),
	CALL(getxattr, P),
	CALL(setxattr, P),
};

static const char *const names[THREAD_KINDS] = {
	[THREAD_MAIN] = "main",	      [THREAD_CONTROL] = "control", [THREAD_IO] = "io",
	[THREAD_VCPU] = "vcpu",	      [THREAD_DISK] = "disk",	    [THREAD_9P] = "9p",
	[THREAD_DISPLAY] = "display", [THREAD_ENGINE] = "engine",
};

static unsigned who(enum thread_kind kind, unsigned extras)
{
	unsigned bits = (extras & SANDBOX_VSOCK ? VSOCK : 0) | (extras & SANDBOX_DGRAM ? DGRAM : 0);

	return BIT(kind) | (kind == THREAD_IO ? bits : 0);
}

int sandbox_calls_build(struct sandbox_filter *f, enum thread_kind kind, unsigned extras,
			enum sandbox_else other, struct lodge_err *err)
{
	struct sandbox_call now[ARRAY_SIZE(calls)];

	memcpy(now, calls, sizeof(calls));
	for (size_t i = 0; i < ARRAY_SIZE(now); i++) {
		if (now[i].call != SCMP_SYS(tgkill))
			continue;
		now[i].args = 1;
		now[i].cmp[0].mask = LOW;
		now[i].cmp[0].val = (uint64_t)getpid();
	}
	return sandbox_filter_build(f, now, ARRAY_SIZE(now), who(kind, extras), other, err);
}

unsigned sandbox_calls_count(enum thread_kind kind, unsigned extras)
{
	return sandbox_filter_count(calls, ARRAY_SIZE(calls), who(kind, extras));
}

const char *sandbox_kind_name(enum thread_kind kind)
{
	return kind < THREAD_KINDS ? names[kind] : "?";
}
