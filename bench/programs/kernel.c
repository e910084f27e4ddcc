// SPDX-License-Identifier: GPL-2.0-or-later
/* Paths through the kernel: system calls, files, switches, processes, page faults, protection. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define PREAD_BYTES 65536
#define PROTECTED_PAGES 16
#define PAGE 4096ul

static uint64_t run_getpid(uint32_t work)
{
	long first = syscall(SYS_getpid);

	for (uint32_t i = 1; i < work; i++) {
		if (syscall(SYS_getpid) != first)
			return i;
	}
	return 0;
}

static uint64_t run_pread(uint32_t work)
{
	static uint8_t buf[PREAD_BYTES];
	int fd = memfd_create("bench", MFD_CLOEXEC);
	uint64_t sum = 0;

	for (uint32_t i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)(i * 7);
	if (fd < 0 || write(fd, buf, sizeof(buf)) != sizeof(buf))
		bench_fail("a system call");
	for (uint32_t i = 0; i < work; i++) {
		if (pread(fd, buf, sizeof(buf), 0) != sizeof(buf))
			bench_fail("a system call");
		sum = bench_mix(sum, buf[i]);
	}
	close(fd);
	return sum;
}

static uint64_t run_pipe(uint32_t work)
{
	int there[2], back[2];
	uint64_t sum = 0;
	pid_t child;

	if (pipe(there) || pipe(back) || (child = fork()) < 0)
		bench_fail("a system call");
	for (uint32_t i = 0; i < work; i++) {
		uint8_t c = (uint8_t)i;

		if (!child) {
			if (read(there[0], &c, 1) != 1)
				_exit(1);
			c++;
			if (write(back[1], &c, 1) != 1)
				_exit(1);
		} else if (write(there[1], &c, 1) != 1 || read(back[0], &c, 1) != 1) {
			bench_fail("a system call");
		}
		sum = bench_mix(sum, c);
	}
	if (!child)
		_exit(0);
	waitpid(child, NULL, 0);
	for (uint32_t i = 0; i < 2; i++) {
		close(there[i]);
		close(back[i]);
	}
	return sum;
}

static uint64_t run_fork_exec(uint32_t work)
{
	uint64_t good = 0;

	for (uint32_t i = 0; i < work; i++) {
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

static uint64_t run_fault(uint32_t work)
{
	uint8_t *p =
		mmap(NULL, work * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t sum = 0;

	if (p == MAP_FAILED)
		bench_fail("a system call");
	madvise(p, work * PAGE, MADV_NOHUGEPAGE);
	for (uint32_t i = 0; i < work; i++) {
		sum += p[i * PAGE + 5];
		p[i * PAGE] = (uint8_t)i;
	}
	for (uint32_t i = 0; i < work; i++)
		sum += p[i * PAGE];
	munmap(p, work * PAGE);
	return sum;
}

static uint64_t run_open(uint32_t work)
{
	uint64_t good = 0;

	for (uint32_t i = 0; i < work; i++) {
		int fd = open(BENCH_WORK_DIR "/in", O_RDONLY | O_CLOEXEC);

		good += fd >= 0 && !close(fd);
	}
	return good;
}

static uint64_t run_mprotect(uint32_t work)
{
	const size_t bytes = PROTECTED_PAGES * PAGE;
	uint8_t *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t sum = 0;

	if (p == MAP_FAILED)
		bench_fail("mmap");
	madvise(p, bytes, MADV_NOHUGEPAGE);
	for (uint32_t i = 0; i < work; i++) {
		uint8_t *q = p + i % PROTECTED_PAGES * PAGE;

		if (mprotect(p, bytes, PROT_READ | PROT_WRITE))
			bench_fail("mprotect");
		q[0] = (uint8_t)(q[0] + i);
		if (mprotect(p, bytes, PROT_READ))
			bench_fail("mprotect");
		sum += q[0];
	}
	munmap(p, bytes);
	return sum;
}

static void prepare_file(uint32_t work)
{
	static const struct bench_command file = {.file = "text"};

	(void)work;
	bench_command_prepare(&file, PAGE);
}

#define PATH(name_, run_, work_) \
	.name = name_, .group = "kernel", .run = run_, .work = work_, .per_one = true

const struct bench bench_kernel[] = {
	{PATH("getpid", run_getpid, 300000)},
	{PATH("pread-64K", run_pread, 8000)},
	{PATH("open-close", run_open, 20000), .prepare = prepare_file},
	{PATH("pipe-ping-pong", run_pipe, 6000)},
	{PATH("fork-exec", run_fork_exec, 80)},
	{PATH("page-fault", run_fault, 15000)},
	{PATH("mprotect", run_mprotect, 8000)},
	{.name = NULL},
};
