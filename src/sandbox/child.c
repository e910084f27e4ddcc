// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The first steps of a confined process (child.h).
 * Source: setrlimit(2), close_range(2), prctl(2). Threads: the process's only one.
 */
#include "sandbox/child.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/range.h"

void child_leave_everything(unsigned first_free, const char *name)
{
	sigset_t none;
	int null = open("/dev/null", O_RDWR);

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_IGN);
	for (int fd = 0; fd <= 2; fd++)
		dup2(null, fd);
	syscall(SYS_close_range, first_free, ~0u, 0);
	setsid();
	prctl(PR_SET_NAME, name);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static void limit(__rlimit_resource_t what, rlim_t most)
{
	struct rlimit now;

	if (getrlimit(what, &now))
		return;
	now.rlim_max = min_u64(now.rlim_max, most);
	now.rlim_cur = now.rlim_max;
	setrlimit(what, &now);
}

void child_limit(unsigned files, uint64_t memory_bytes)
{
	limit(RLIMIT_NOFILE, files);
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_FSIZE, 0);
#ifndef __SANITIZE_ADDRESS__ /* whose shadow is terabytes */
	limit(RLIMIT_AS, memory_bytes);
#else
	(void)memory_bytes;
#endif
}

void child_limit_alone(void)
{
	limit(RLIMIT_NPROC, 0);
}
