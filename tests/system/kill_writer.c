// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * In the guest, for test_disk_kill.py: four writers, each in its own part of the disk, write numbered blocks at
 * random, flush now and then, and say how far that was. They never end.
 * usage: kill_writer DEVICE SEED
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define WRITERS 4u
#define BLOCKS 512u /* a writer */
#define BYTES 4096u

/* The test counts along with this. */
static uint32_t next(uint32_t *x)
{
	*x = *x * 1664525u + 1013904223u;
	return *x >> 16;
}

static int writer(const char *dev, unsigned me, uint32_t x)
{
	uint32_t *buf = aligned_alloc(4096, BYTES);
	int fd = open(dev, O_RDWR | O_DIRECT);

	if (fd < 0 || !buf)
		return 1;
	for (uint32_t n = 1;; n++) {
		uint32_t block = next(&x) % BLOCKS;

		for (unsigned i = 0; i < BYTES / 4; i++)
			buf[i] = n;
		if (pwrite(fd, buf, BYTES, (off_t)(me * BLOCKS + block) * BYTES) != BYTES)
			return 1;
		if (n % 16)
			continue;
		if (fdatasync(fd))
			return 1;
		printf("flushed %u %u\n", me, n);
		fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	for (unsigned me = 1; me < WRITERS; me++) {
		if (fork() == 0)
			return writer(argv[1], me, (uint32_t)atoi(argv[2]) + me);
	}
	return writer(argv[1], 0, (uint32_t)atoi(argv[2]));
}
