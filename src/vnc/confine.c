// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Shutting in the processes that serve viewers, and what the window has of it: what they may do (rights, system
 * calls), how much they can take (limits), and no files at all: no system call that takes a name is on their lists, and where the kernel has
 * Landlock or lets them have namespaces of their own, there is nothing to name either.
 *
 * Source: seccomp(2), landlock(7), unshare(2). Threads: the process's only one.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/range.h"
#include "sandbox/child.h"
#include "sandbox/filter.h"
#include "sandbox/landlock.h"
#include "sandbox/rights.h"
#include "vnc/vnc_int.h"

#define MEMORY_MAX (2ull << 30) /* the picture's memory is mapped whole */
#define FILES_MAX 256u

#define H 1u /* the helper */
#define V 2u /* a viewer; its calls are the helper's as well, since filters add up */
#define BOTH (H | V)
#define LOW 0xffffffffull
#define CALL(name) SANDBOX_CALL(name, BOTH)
#define IF(name, arg, mask, val) SANDBOX_IF(name, BOTH, arg, mask, val)

static const struct sandbox_call calls[] = {
	/* descriptors there are */
	CALL(read),
	CALL(write),
	CALL(recvfrom),
	CALL(sendto),
	CALL(poll),
	CALL(select),
	CALL(pselect6),
	CALL(close),
	CALL(shutdown),
	CALL(getsockname),
	CALL(getpeername),
	CALL(sendmsg), /* the serial line's socket */
	IF(socketpair, 0, LOW, AF_UNIX),
	CALL(pipe2), /* libvncserver makes one for each client */
	IF(setsockopt, 1, LOW, IPPROTO_TCP),
	IF(fcntl, 1, LOW, F_GETFL),
	IF(fcntl, 1, LOW, F_SETFL),
	IF(ioctl, 1, LOW, FIONREAD),
	CALL(fstat),
	IF(newfstatat, 3, 0x1000, 0x1000), /* AT_EMPTY_PATH: also fstat() */
	/* memory and time */
	CALL(brk),
	CALL(munmap),
	CALL(mremap),
	CALL(madvise),
	IF(mmap, 2, PROT_EXEC, 0),
	IF(mprotect, 2, PROT_EXEC, 0),
	CALL(futex),
	CALL(clock_gettime),
	CALL(gettimeofday),
	CALL(clock_nanosleep),
	CALL(getrandom),
	CALL(alarm),
	CALL(prlimit64),
	/* its own end */
	CALL(rt_sigreturn),
	CALL(rt_sigprocmask),
	CALL(rt_sigaction),
	CALL(restart_syscall),
	CALL(exit),
	CALL(exit_group),
	CALL(getpid),
	CALL(gettid),
	/* The C library's memory asks for the host's processors, and takes no for an answer. */
	SANDBOX_REFUSE(openat, BOTH, EACCES),
	SANDBOX_REFUSE(sched_getaffinity, BOTH, ENOSYS),
	/* processes of viewers */
	SANDBOX_CALL(accept4, H),
	SANDBOX_IF(clone, H, 0,
		   CLONE_VM | CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET, 0),
	SANDBOX_REFUSE(clone3, H, ENOSYS),
	SANDBOX_CALL(set_robust_list, H),
	SANDBOX_CALL(rseq, H),
	SANDBOX_CALL(wait4, H),
	SANDBOX_CALL(dup2, H),
	SANDBOX_CALL(close_range, H),
	SANDBOX_IF(fcntl, H, 1, LOW, F_DUPFD),
	SANDBOX_IF(fcntl, H, 1, LOW, F_SETFD),
	SANDBOX_IF(prctl, H, 0, LOW, PR_SET_PDEATHSIG),
	SANDBOX_IF(prctl, H, 0, LOW, PR_SET_NAME),
	SANDBOX_CALL(seccomp, H),
};

unsigned vnc_confine_count(bool viewer)
{
	return sandbox_filter_count(calls, ARRAY_SIZE(calls), viewer ? V : H);
}

/* Built while that is still cheap: a viewer only takes it on. */
static struct sandbox_filter of_viewer;

static int load_helper(struct lodge_err *err)
{
	int r = sandbox_filter_build(&of_viewer, calls, ARRAY_SIZE(calls), V, SANDBOX_KILL, err);

	return r ? r : sandbox_filter_take(calls, ARRAY_SIZE(calls), H, "the VNC process", err);
}

/* No names of files: as far as the kernel goes along. The list of system calls has none anyway. */
static void leave_files(int spaces)
{
	int error, version = landlock_version(&error), rules;

	if (unshare(spaces))
		(void)!unshare(CLONE_NEWUSER | spaces);
	rules = version ? landlock_new(version) : -1;
	if (rules >= 0) {
		(void)!landlock_take(rules);
		close(rules);
	}
}

int vnc_confine_rights(bool ipc, struct lodge_err *err)
{
	int r = rights_no_new();

	if (r)
		return err_set(err, r, "cannot give up new privileges: %s", strerror(-r));
	leave_files(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | (ipc ? 0 : CLONE_NEWIPC));
	rights_bound();
	(void)!rights_drop(0);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	child_limit(FILES_MAX, MEMORY_MAX);
	return 0;
}

int vnc_confine_helper(struct lodge_err *err)
{
	int r = vnc_confine_rights(false, err);

	return r ? r : load_helper(err);
}

int vnc_confine_viewer(void)
{
	return sandbox_filter_load(&of_viewer);
}
