// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Shutting in the window's process, once it has its connection to the X server: no files, no more sockets, no
 * processes. It keeps that connection, by which a program may do on the screen what the X server lets any do: see
 * docs/threat-model.md. Memory shared with the X server wants the host's numbers of it (System V).
 *
 * Source: seccomp(2), shmget(2), what libX11, libxcb and SDL 2 call. Threads: the process's only one.
 */
#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "base/range.h"
#include "sandbox/filter.h"
#include "vnc/vnc_int.h"

#define W 1u
#define LOW 0xffffffffull
#define CALL(name) SANDBOX_CALL(name, W)
#define IF(name, arg, mask, val) SANDBOX_IF(name, W, arg, mask, val)
#define REFUSE(name, error) SANDBOX_REFUSE(name, W, error)

static const struct sandbox_call calls[] = {
	/* descriptors there are */
	CALL(read),
	CALL(write),
	CALL(writev),
	CALL(recvfrom),
	CALL(recvmsg),
	CALL(sendto),
	CALL(sendmsg),
	CALL(poll),
	CALL(select),
	CALL(close),
	CALL(shutdown),
	CALL(lseek),
	CALL(fstat),
	IF(newfstatat, 3, 0x1000, 0x1000), /* AT_EMPTY_PATH: also fstat() */
	IF(fcntl, 1, LOW, F_GETFL),
	IF(fcntl, 1, LOW, F_SETFL),
	IF(ioctl, 1, LOW, FIONREAD),
	/* memory of its own, and what the X server sees of it */
	CALL(brk),
	CALL(munmap),
	CALL(mremap),
	CALL(madvise),
	IF(mmap, 2, PROT_EXEC, 0),
	IF(mprotect, 2, PROT_EXEC, 0),
	CALL(shmget),
	CALL(shmat),
	CALL(shmdt),
	CALL(shmctl),
	/* time */
	CALL(futex),
	CALL(clock_gettime),
	CALL(gettimeofday),
	CALL(clock_nanosleep),
	CALL(getrandom),
	/* its own end */
	CALL(rt_sigreturn),
	CALL(rt_sigprocmask),
	CALL(rt_sigaction),
	CALL(restart_syscall),
	CALL(exit),
	CALL(exit_group),
	CALL(getpid),
	CALL(gettid),
	CALL(getuid),
	CALL(geteuid),
	CALL(uname),
	CALL(sched_yield),
	/* Libraries look for files and servers that may be there, and go on without. */
	REFUSE(openat, EACCES),
	SANDBOX_REFUSE2(newfstatat, W, 3, 0x1000, 0, 2, 0, 0, EACCES),
	REFUSE(statx, ENOSYS),
	REFUSE(access, EACCES),
	REFUSE(faccessat, EACCES),
	REFUSE(faccessat2, ENOSYS),
	REFUSE(readlink, EACCES),
	REFUSE(socket, EACCES),
	REFUSE(sched_getaffinity, ENOSYS),
};

unsigned vnc_confine_window_count(void)
{
	return sandbox_filter_count(calls, ARRAY_SIZE(calls), W);
}

int vnc_confine_window(struct lodge_err *err)
{
	int r = vnc_confine_rights(true, err);

	return r ? r : sandbox_filter_take(calls, ARRAY_SIZE(calls), W, "the window", err);
}
