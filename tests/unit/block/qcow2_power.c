// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Power loss. Every write to the image's file goes through here; at a random one, in the middle of
 * whatever happens, the disk of that moment is made: all that was there at the last fdatasync(), and of each
 * sector a random one of the versions written since. qemu-img check must find nothing wrong in it, and every
 * flushed byte must be there. Run: make t T=block/qcow2_power; LODGE_SEED=… LODGE_COUNT=1 replays one round
 * (make check-images: 2,000).
 */
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "qcow2_model.h"

#define DISK_BYTES (64u << 20)

/* A sector as it was before a write since the last fdatasync(). */
struct old {
	uint32_t sector;
	uint8_t bytes[512];
};

static struct {
	int fd;		    /* of the image; -1: nothing is watched */
	uint64_t rnd, left; /* calls until the power goes */
	struct old *old;
	size_t count, room;
	bool lost;
} disk = {.fd = -1};

/* ---- The disk ---------------------------------------------------------------------------------- */

static bool is_image(int fd)
{
	struct stat a, b;

	return disk.fd >= 0 && !fstat(fd, &a) && !fstat(disk.fd, &b) && a.st_dev == b.st_dev &&
	       a.st_ino == b.st_ino;
}

static void remember(uint64_t off, uint64_t len)
{
	for (uint64_t s = off / 512; s < (off + len + 511) / 512; s++) {
		struct old *o;

		if (disk.count == disk.room) {
			disk.room = disk.room ? disk.room * 2 : 4096;
			disk.old = realloc(disk.old, disk.room * sizeof(*disk.old));
		}
		o = &disk.old[disk.count++];
		o->sector = (uint32_t)s;
		memset(o->bytes, 0, 512);
		if (syscall(SYS_pread64, disk.fd, o->bytes, 512, s * 512) < 0)
			abort();
	}
}

/* What is on the disk when the power goes now. */
static void lose_power(void)
{
	int fd = open(env_path("lost.qcow2"), O_RDWR | O_CREAT | O_TRUNC, 0600);
	off_t size = lseek(disk.fd, 0, SEEK_END);
	uint8_t *all = malloc(DISK_BYTES);
	uint32_t *versions = calloc(DISK_BYTES / 512, 4);

	if (fd < 0 || size > DISK_BYTES || syscall(SYS_pread64, disk.fd, all, size, 0) != size)
		abort();
	for (size_t i = 0; i < disk.count; i++)
		versions[disk.old[i].sector]++;
	/* Backwards: each write of a sector is taken back with some luck, all later ones before it. */
	for (uint32_t s = 0; s < DISK_BYTES / 512; s++)
		versions[s] = (uint32_t)rnd_below(&disk.rnd, versions[s] + 1);
	for (size_t i = disk.count; i-- > 0;) {
		struct old *o = &disk.old[i];

		if (!versions[o->sector])
			continue;
		versions[o->sector]--;
		if (o->sector * 512ull + 512 <= (uint64_t)size)
			memcpy(all + o->sector * 512ull, o->bytes, 512);
	}
	if (syscall(SYS_pwrite64, fd, all, size, 0) != size)
		abort();
	close(fd);
	free(all);
	free(versions);
	disk.lost = true;
}

static void about_to_write(uint64_t off, uint64_t len)
{
	if (!disk.lost && !disk.left--)
		lose_power();
	remember(off, len);
}

static ssize_t watched_pwritev(int fd, const struct iovec *iov, int n, off_t off)
{
	uint64_t len = 0;

	for (int i = 0; i < n; i++)
		len += iov[i].iov_len;
	if (is_image(fd))
		about_to_write(off, len);
	return syscall(SYS_pwritev, fd, iov, n, off, 0);
}

/* These stand in for the C library's. */
ssize_t pwritev(int fd, const struct iovec *iov, int n, off_t off)
{
	return watched_pwritev(fd, iov, n, off);
}

ssize_t pwritev64(int fd, const struct iovec *iov, int n, off_t off)
{
	return watched_pwritev(fd, iov, n, off);
}

ssize_t pwrite(int fd, const void *buf, size_t len, off_t off)
{
	struct iovec one = {(void *)(uintptr_t)buf, len};

	return watched_pwritev(fd, &one, 1, off);
}

ssize_t pwrite64(int fd, const void *buf, size_t len, off_t off)
{
	return pwrite(fd, buf, len, off);
}

int fallocate(int fd, int mode, off_t off, off_t len)
{
	if (is_image(fd))
		about_to_write(off, len);
	return (int)syscall(SYS_fallocate, fd, mode, off, len);
}

int fdatasync(int fd)
{
	if (is_image(fd)) {
		if (!disk.lost && !disk.left--)
			lose_power();
		disk.count = 0; /* all is safe; there is no need to wait for a real disk */
		return 0;
	}
	return (int)syscall(SYS_fdatasync, fd);
}

/* ---- What is done to it ------------------------------------------------------------------------ */

static void write_some(struct blk *b, struct model *m, uint32_t version, uint8_t *buf)
{
	static const unsigned most[] = {1, 8, 64, 700};
	uint32_t first = (uint32_t)rnd_below(&disk.rnd, SECTORS);
	uint32_t n = 1 + (uint32_t)rnd_below(&disk.rnd, most[rnd_below(&disk.rnd, 4)]);
	bool zero = !rnd_below(&disk.rnd, 5);
	struct message msg;

	n = (uint32_t)min_u64(n, SECTORS - first);
	msg = (struct message){first, n, version | (zero ? ZEROS : 0)};
	note(m, &msg);
	for (uint32_t i = 0; i < n; i++)
		stamp(buf + i * 512, first + i, version);
	if (zero)
		assert_int_equal(blk_zero(b, first * 512ull, n * 512ull, version & 1), 0);
	else
		assert_int_equal(blk_write(b, first * 512ull, buf, n * 512ull), 0);
}

static void write_packed(struct blk *b, struct model *m, uint32_t version, uint8_t *buf)
{
	static uint8_t out[1 << 21];
	uint32_t sectors = (uint32_t)(q_cluster_size(b) / 512);
	uint32_t first = (uint32_t)rnd_below(&disk.rnd, SECTORS / sectors) * sectors;
	struct q_packer *packer = q_packer_new(b);
	struct message msg = {first, sectors, version};
	long n;

	assert_non_null(packer);
	for (uint32_t i = 0; i < sectors; i++)
		stamp(buf + i * 512, first + i, version);
	n = q_pack(packer, buf, out);
	q_packer_free(packer);
	assert_true(n > 0);
	note(m, &msg);
	assert_int_equal(q_write_compressed(b, first * 512ull, out, (uint64_t)n), 0);
}

static void step(struct blk *b, struct model *m, uint32_t version, uint8_t *buf, char *snap)
{
	struct message flushed = {0, 0, FLUSHED};
	struct lodge_err err;
	unsigned op = (unsigned)rnd_below(&disk.rnd, 24);

	if (op < 4) {
		assert_int_equal(blk_flush(b), 0);
	} else if (op == 4 && snap[0]) {
		assert_int_equal(q_snapshot_delete(b, snap, &err), 0);
		snap[0] = '\0';
	} else if (op == 4) {
		snprintf(snap, 32, "s%u", version);
		assert_int_equal(q_snapshot_create(b, snap, &err), 0);
	} else {
		if (op < 8)
			write_packed(b, m, version, buf);
		else
			write_some(b, m, version, buf);
		return;
	}
	/* Before the power went, or it is no promise. */
	if (!disk.lost)
		note(m, &flushed);
}

static void round_of(uint64_t seed)
{
	static struct model m;
	static uint8_t buf[SECTORS * 512];
	const char *path = env_path("p.qcow2");
	char snap[32] = "", *image = strdup(path);
	struct blk *b;

	disk.rnd = seed;
	create(image, &disk.rnd);
	model_start(&m);
	b = env_open(image, "qcow2", false);
	disk.count = 0;
	disk.lost = false;
	disk.left = rnd_below(&disk.rnd, 600);
	disk.fd = open(image, O_RDWR);
	for (uint32_t version = 1; !disk.lost; version++)
		step(b, &m, version, buf, snap);
	close(disk.fd);
	disk.fd = -1;
	env_check_clean("lost.qcow2");
	verify(&m, env_path("lost.qcow2"));
	assert_int_equal(blk_close(b), 0);
	env_check_clean("p.qcow2");
	free(image);
}

static void power_when_lost_at_a_random_write_expect_clean_image_and_flushed_bytes(void **state)
{
	uint64_t seed = env_u64("LODGE_SEED", (uint64_t)time(NULL) << 20);
	uint64_t n = env_u64("LODGE_COUNT", 40);

	for (uint64_t i = 0; i < n; i++, seed++) {
		if (n <= 40 || i % 100 == 0)
			fprintf(stderr, "LODGE_SEED=%llu\n", (unsigned long long)seed);
		round_of(seed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			power_when_lost_at_a_random_write_expect_clean_image_and_flushed_bytes),
	};

	return cmocka_run_group_tests(tests, env_setup, env_teardown);
}
