// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A host disk that fails or is full. Calls that change or read the image's file fail at random, some after a part was
 * written; what failed is now and then tried again on a disk that is well, as after werror=stop. In the end the disk is
 * well: a flush succeeds, qemu-img check finds nothing, not even a leak, the image reads as it did before it was closed,
 * and each sector is one that may be there. Run: make t T=block/qcow2_errors; LODGE_SEED=… LODGE_COUNT=1 replays one
 * round (make check-images: 2,000).
 */
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "qcow2_model.h"

#define STEPS 120u

static struct {
	int fd; /* of the image; -1: nothing is watched */
	uint64_t rnd;
	unsigned odds; /* one call in so many fails; 0: none */
	uint64_t failed;
} disk = {.fd = -1};

/* ---- The disk ---------------------------------------------------------------------------------- */

static bool is_image(int fd)
{
	struct stat a, b;

	return disk.fd >= 0 && !fstat(fd, &a) && !fstat(disk.fd, &b) && a.st_dev == b.st_dev &&
	       a.st_ino == b.st_ino;
}

static bool fails(int fd)
{
	if (!disk.odds || !is_image(fd) || rnd_below(&disk.rnd, disk.odds))
		return false;
	disk.failed++;
	errno = rnd_below(&disk.rnd, 2) ? ENOSPC : EIO;
	return true;
}

/* Of a write that will fail, the first sectors may be written; the call that goes on fails then. */
static ssize_t write_or_fail(int fd, const struct iovec *iov, int n, off_t off)
{
	int error;

	if (!fails(fd))
		return syscall(SYS_pwritev, fd, iov, n, off, 0);
	error = errno;
	if (iov[0].iov_len >= 1024 && off % 512 == 0 && rnd_below(&disk.rnd, 2)) {
		uint64_t len = 512 * (1 + rnd_below(&disk.rnd, iov[0].iov_len / 512 - 1));

		if (syscall(SYS_pwrite64, fd, iov[0].iov_base, len, off) < 0)
			abort();
	}
	errno = error;
	return -1;
}

/* These stand in for the C library's. */
ssize_t pwritev(int fd, const struct iovec *iov, int n, off_t off)
{
	return write_or_fail(fd, iov, n, off);
}

ssize_t pwritev64(int fd, const struct iovec *iov, int n, off_t off)
{
	return write_or_fail(fd, iov, n, off);
}

ssize_t preadv(int fd, const struct iovec *iov, int n, off_t off)
{
	return fails(fd) ? -1 : syscall(SYS_preadv, fd, iov, n, off, 0);
}

ssize_t preadv64(int fd, const struct iovec *iov, int n, off_t off)
{
	return preadv(fd, iov, n, off);
}

int fallocate(int fd, int mode, off_t off, off_t len)
{
	return fails(fd) ? -1 : (int)syscall(SYS_fallocate, fd, mode, off, len);
}

/* There is no power loss here, and no need to wait for a real disk. */
int fdatasync(int fd)
{
	return is_image(fd) ? 0 : (int)syscall(SYS_fdatasync, fd);
}

/* ---- What is done to it ------------------------------------------------------------------------ */

struct life {
	struct blk *b;
	struct model m;
	struct q_packer *packer;
	uint8_t buf[SECTORS * 512], out[1 << 21];
	char snap[32];
	uint64_t again;
	bool dead; /* neither changed nor read again: what is in memory is given up, the file is whole */
};

static int write_packed(struct life *l, uint32_t version)
{
	uint32_t sectors = (uint32_t)(q_cluster_size(l->b) / 512);
	uint32_t first = (uint32_t)rnd_below(&disk.rnd, SECTORS / sectors) * sectors;
	struct message msg = {first, sectors, version};
	long n;

	for (uint32_t i = 0; i < sectors; i++)
		stamp(l->buf + i * 512, first + i, version);
	n = q_pack(l->packer, l->buf, l->out);
	assert_true(n >= 0);
	if (!n)
		return 0;
	note(&l->m, &msg);
	return q_write_compressed(l->b, first * 512ull, l->out, (uint64_t)n);
}

static int write_or_zero(struct life *l, uint32_t version, bool zero)
{
	static const unsigned most[] = {1, 8, 64, 700};
	uint32_t first = (uint32_t)rnd_below(&disk.rnd, SECTORS);
	uint32_t n = 1 + (uint32_t)rnd_below(&disk.rnd, most[rnd_below(&disk.rnd, 4)]);
	struct message msg;

	n = (uint32_t)min_u64(n, SECTORS - first);
	msg = (struct message){first, n, version | (zero ? ZEROS : 0)};
	note(&l->m, &msg);
	for (uint32_t i = 0; i < n; i++)
		stamp(l->buf + i * 512, first + i, version);
	return zero ? blk_zero(l->b, first * 512ull, n * 512ull, version & 1)
		    : blk_write(l->b, first * 512ull, l->buf, n * 512ull);
}

static int flush(struct life *l)
{
	struct message flushed = {0, 0, FLUSHED};
	int r = blk_flush(l->b);

	/* What failed before that may be there or not. */
	if (!r && !l->again)
		note(&l->m, &flushed);
	return r;
}

static int snapshot(struct life *l, uint32_t version)
{
	struct lodge_err err = {""};
	int r;

	if (l->snap[0]) {
		r = q_snapshot_delete(l->b, l->snap, &err);
		l->snap[0] = r ? l->snap[0] : '\0';
	} else {
		snprintf(l->snap, sizeof(l->snap), "s%u", version);
		r = q_snapshot_create(l->b, l->snap, &err);
		l->snap[0] = r ? '\0' : l->snap[0];
	}
	assert_true(!r || err.msg[0]);
	l->dead = strstr(err.msg, "cannot be read any more");
	return r;
}

static int one(struct life *l, unsigned op, uint32_t version)
{
	switch (op) {
	case 0:
	case 1:
		return flush(l);
	case 2:
		return snapshot(l, version);
	case 3:
	case 4:
		return write_packed(l, version);
	default:
		return write_or_zero(l, version, op < 8);
	}
}

static void step(struct life *l, uint32_t version)
{
	unsigned op = (unsigned)rnd_below(&disk.rnd, 20), odds = disk.odds;
	uint64_t rnd = disk.rnd;
	int r = one(l, op, version);

	if (!r || l->dead)
		return;
	if (rnd_below(&disk.rnd, 2)) {
		l->again++;
		return;
	}
	/* The same again, on a disk that is well. */
	disk.odds = 0;
	disk.rnd = rnd;
	r = one(l, op, version);
	if (r)
		fprintf(stderr, "operation %u, tried again: %s\n", op, strerror(-r));
	assert_int_equal(r, 0);
	disk.odds = odds;
}

static void round_of(uint64_t seed, uint64_t *failed)
{
	static struct life l;
	static uint8_t before[SECTORS * 512];
	char *image = strdup(env_path("e.qcow2"));
	struct blk *b;

	disk.rnd = seed;
	disk.odds = 0;
	disk.failed = 0;
	create(image, &disk.rnd);
	model_start(&l.m);
	l.snap[0] = '\0';
	l.again = 0;
	l.dead = false;
	l.b = env_open(image, "qcow2", false);
	l.packer = q_packer_new(l.b);
	assert_non_null(l.packer);
	disk.fd = open(image, O_RDWR);
	disk.odds = 3 + (unsigned)rnd_below(&disk.rnd, 60);
	for (uint32_t version = 1; version <= STEPS && !l.dead; version++)
		step(&l, version);
	disk.odds = 0;
	if (l.dead) {
		assert_int_equal(blk_flush(l.b), -EIO);
		assert_int_equal(blk_close(l.b), -EIO);
	} else {
		assert_int_equal(blk_flush(l.b), 0);
		assert_int_equal(blk_read(l.b, 0, before, sizeof(before)), 0);
		assert_int_equal(blk_close(l.b), 0);
	}
	close(disk.fd);
	disk.fd = -1;
	q_packer_free(l.packer);
	env_check_clean("e.qcow2");
	verify(&l.m, image);
	if (!l.dead) {
		b = env_open(image, "qcow2", true);
		assert_int_equal(blk_read(b, 0, l.buf, sizeof(before)), 0);
		assert_memory_equal(l.buf, before, sizeof(before));
		assert_int_equal(blk_close(b), 0);
	}
	*failed += disk.failed;
	free(image);
}

static void disk_when_calls_fail_at_random_expect_clean_image_and_nothing_lost(void **state)
{
	uint64_t seed = env_u64("LODGE_SEED", (uint64_t)time(NULL) << 20), failed = 0;
	uint64_t n = env_u64("LODGE_COUNT", 40);

	for (uint64_t i = 0; i < n; i++, seed++) {
		if (n <= 40 || i % 100 == 0)
			fprintf(stderr, "LODGE_SEED=%llu\n", (unsigned long long)seed);
		round_of(seed, &failed);
	}
	fprintf(stderr, "%llu calls failed\n", (unsigned long long)failed);
	assert_true(failed >= n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			disk_when_calls_fail_at_random_expect_clean_image_and_nothing_lost),
	};

	return cmocka_run_group_tests(tests, env_setup, env_teardown);
}
