// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * In the guest, for bench/disk.py: how many requests a disk takes. O_DIRECT and Linux native AIO by plain system
 * calls, so that a static program without libraries will do.
 * usage: disk DEVICE SECONDS      prints "begin NAME", then "end NAME REQUESTS NANOSECONDS", for each case
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define DEPTH_MAX 16u

static int fd;
static uint64_t disk_bytes;
static uint8_t *buf[DEPTH_MAX];
static struct iocb cb[DEPTH_MAX];

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void fail(const char *what)
{
	printf("disk: %s: %s\n", what, strerror(errno));
	exit(1);
}

struct bench {
	int write, random;
	unsigned bytes, depth;
};

static uint64_t place(const struct bench *c, uint64_t n)
{
	static uint64_t x = 88172645463325252ull;
	uint64_t blocks = disk_bytes / c->bytes;

	if (!c->random)
		return n % blocks * c->bytes;
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x % blocks * c->bytes;
}

static void fill(const struct bench *c, unsigned slot, uint64_t n)
{
	cb[slot] = (struct iocb){
		.aio_data = slot,
		.aio_lio_opcode = c->write ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD,
		.aio_fildes = (uint32_t)fd,
		.aio_buf = (uintptr_t)buf[slot],
		.aio_nbytes = c->bytes,
		.aio_offset = (int64_t)place(c, n),
	};
}

static void submit(aio_context_t ctx, struct iocb **list, long n)
{
	if (syscall(SYS_io_submit, ctx, n, list) != n)
		fail("io_submit");
}

static void run(const struct bench *c, uint64_t duration_ns)
{
	struct io_event ev[DEPTH_MAX];
	struct iocb *list[DEPTH_MAX];
	uint64_t start, done = 0, sent = 0, took;
	aio_context_t ctx = 0;
	char name[64];

	snprintf(name, sizeof(name), "%s-%s-%uk-q%u", c->random ? "rand" : "seq",
		 c->write ? "write" : "read", c->bytes / 1024, c->depth);
	printf("begin %s\n", name);
	fflush(stdout);
	if (syscall(SYS_io_setup, DEPTH_MAX, &ctx))
		fail("io_setup");
	start = now_ns();
	for (unsigned i = 0; i < c->depth; i++) {
		fill(c, i, sent++);
		list[i] = &cb[i];
	}
	submit(ctx, list, c->depth);
	while (done < sent) {
		long n = syscall(SYS_io_getevents, ctx, 1, c->depth, ev, NULL);
		long again = 0;

		if (n < 1)
			fail("io_getevents");
		for (long i = 0; i < n; i++) {
			if (ev[i].res != (int64_t)c->bytes) {
				errno = (int)-ev[i].res;
				fail(name);
			}
			done++;
			if (now_ns() - start < duration_ns) {
				fill(c, (unsigned)ev[i].data, sent++);
				list[again++] = &cb[ev[i].data];
			}
		}
		if (again)
			submit(ctx, list, again);
	}
	took = now_ns() - start;
	syscall(SYS_io_destroy, ctx);
	printf("end %s %llu %llu\n", name, (unsigned long long)done, (unsigned long long)took);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	static const unsigned sizes[] = {4096, 65536}, depths[] = {1, DEPTH_MAX};
	uint64_t duration_ns;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc != 3)
		return 2;
	duration_ns = (uint64_t)(atof(argv[2]) * 1e9);
	fd = open(argv[1], O_RDWR | O_DIRECT);
	if (fd < 0 || ioctl(fd, BLKGETSIZE64, &disk_bytes))
		fail(argv[1]);
	for (unsigned i = 0; i < DEPTH_MAX; i++) {
		if (posix_memalign((void **)&buf[i], 4096, 65536))
			fail("memory");
		memset(buf[i], (int)(i + 1), 65536);
	}
	for (unsigned d = 0; d < 2; d++) {
		for (unsigned s = 0; s < 2; s++) {
			for (int kind = 0; kind < 4; kind++) {
				struct bench c = {kind & 1, kind >> 1, sizes[s], depths[d]};

				run(&c, duration_ns);
			}
		}
	}
	return 0;
}
