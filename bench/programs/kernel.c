// SPDX-License-Identifier: GPL-2.0-or-later
/* Paths through the kernel: a system call, a file read, switches, processes, page faults. */
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define GETPIDS 20000
#define PREADS 500
#define PREAD_BYTES 65536
#define ROUND_TRIPS 1000
#define EXECS 20
#define FAULTS 2000

static uint64_t run_getpid(void)
{
	long first = syscall(SYS_getpid);

	for (unsigned i = 1; i < GETPIDS; i++) {
		if (syscall(SYS_getpid) != first)
			return i;
	}
	return 0;
}

static uint64_t run_pread(void)
{
	static uint8_t buf[PREAD_BYTES];
	int fd = memfd_create("bench", MFD_CLOEXEC);
	uint64_t sum = 0;

	for (unsigned i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)(i * 7);
	if (fd < 0 || write(fd, buf, sizeof(buf)) != sizeof(buf))
		abort();
	for (unsigned i = 0; i < PREADS; i++) {
		if (pread(fd, buf, sizeof(buf), 0) != sizeof(buf))
			abort();
		sum = bench_mix(sum, buf[i]);
	}
	close(fd);
	return sum;
}

static uint64_t run_pipe(void)
{
	int there[2], back[2];
	uint64_t sum = 0;
	pid_t child;

	if (pipe(there) || pipe(back) || (child = fork()) < 0)
		abort();
	for (unsigned i = 0; i < ROUND_TRIPS; i++) {
		uint8_t c = (uint8_t)i;

		if (!child) {
			if (read(there[0], &c, 1) != 1)
				_exit(1);
			c++;
			if (write(back[1], &c, 1) != 1)
				_exit(1);
		} else if (write(there[1], &c, 1) != 1 || read(back[0], &c, 1) != 1) {
			abort();
		}
		sum = bench_mix(sum, c);
	}
	if (!child)
		_exit(0);
	waitpid(child, NULL, 0);
	for (unsigned i = 0; i < 2; i++) {
		close(there[i]);
		close(back[i]);
	}
	return sum;
}

static uint64_t run_fork_exec(void)
{
	uint64_t good = 0;

	for (unsigned i = 0; i < EXECS; i++) {
		pid_t child = fork();
		int status = -1;

		if (!child) {
			execl("/proc/self/exe", "lodge-bench", "--exit", (char *)NULL);
			_exit(1);
		}
		waitpid(child, &status, 0);
		good += status == 0;
	}
	return good;
}

static uint64_t run_fault(void)
{
	uint8_t *p = mmap(NULL, FAULTS * 4096ul, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t sum = 0;

	if (p == MAP_FAILED)
		abort();
	madvise(p, FAULTS * 4096ul, MADV_NOHUGEPAGE);
	for (unsigned i = 0; i < FAULTS; i++) {
		sum += p[i * 4096ul + 5];
		p[i * 4096ul] = (uint8_t)i;
	}
	for (unsigned i = 0; i < FAULTS; i++)
		sum += p[i * 4096ul];
	munmap(p, FAULTS * 4096ul);
	return sum;
}

const struct bench bench_getpid = {"getpid", "kernel", run_getpid, GETPIDS};
const struct bench bench_pread = {"pread-64K", "kernel", run_pread, PREADS};
const struct bench bench_pipe = {"pipe-ping-pong", "kernel", run_pipe, ROUND_TRIPS};
const struct bench bench_fork_exec = {"fork-exec", "kernel", run_fork_exec, EXECS};
const struct bench bench_fault = {"page-fault", "kernel", run_fault, FAULTS};
