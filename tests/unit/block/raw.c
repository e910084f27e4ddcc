// SPDX-License-Identifier: GPL-2.0-or-later
/* Raw images, files, locks. Run: make t T=block/raw */
#include "blk_env.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/range.h"
#include "block/block_int.h"

#define MIB (1u << 20)

static void read_when_written_expect_the_same_bytes(void **state)
{
	uint8_t in[3000], out[3000];
	struct blk *b;

	tmp_make(MIB, 0);
	b = open_how((struct blk_open){.format = "raw"});
	assert_int_equal(blk_size(b), MIB);
	assert_string_equal(blk_format(b), "raw");
	assert_false(blk_probed(b));
	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)(i * 7);
	assert_int_equal(blk_write(b, 1234, in, sizeof(in)), 0);
	assert_int_equal(blk_read(b, 1234, out, sizeof(out)), 0);
	assert_memory_equal(in, out, sizeof(in));
	assert_int_equal(blk_close(b), 0);
	file_read(1234, out, sizeof(out));
	assert_memory_equal(in, out, sizeof(in));
}

static void access_when_behind_the_end_expect_einval(void **state)
{
	uint8_t buf[512] = {0};
	struct blk *b;

	tmp_make(MIB, 0);
	b = open_how((struct blk_open){.format = "raw"});
	assert_int_equal(blk_read(b, MIB, buf, 1), -EINVAL);
	assert_int_equal(blk_read(b, MIB - 511, buf, 512), -EINVAL);
	assert_int_equal(blk_write(b, UINT64_MAX - 3, buf, 512), -EINVAL);
	assert_int_equal(blk_zero(b, MIB, 1, false), -EINVAL);
	assert_int_equal(blk_discard(b, 0, UINT64_MAX), -EINVAL);
	assert_int_equal(blk_read(b, MIB, buf, 0), 0);
	blk_close(b);
}

static void write_when_read_only_expect_erofs(void **state)
{
	uint8_t buf[512] = {0};
	struct blk *b;

	tmp_make(MIB, 0x55);
	b = open_how((struct blk_open){.format = "raw", .read_only = true});
	assert_true(blk_is_read_only(b));
	assert_int_equal(blk_write(b, 0, buf, 512), -EROFS);
	assert_int_equal(blk_zero(b, 0, 512, true), -EROFS);
	assert_int_equal(blk_discard(b, 0, 512), -EROFS);
	assert_int_equal(blk_resize(b, 0, &err), -EROFS);
	assert_int_equal(blk_flush(b), 0);
	blk_close(b);
}

/* The last sector is not all there: zeros, until it is written. */
static void size_when_odd_expect_a_last_sector(void **state)
{
	uint8_t buf[512];
	struct stat st;
	struct blk *b;

	for (unsigned direct = 0; direct < 2; direct++) {
		tmp_make(1000, 0xaa);
		b = open_how(
			(struct blk_open){.format = "raw",
					  .cache = direct ? BLK_CACHE_NONE : BLK_CACHE_WRITEBACK});
		assert_int_equal(blk_size(b), 1024);
		assert_int_equal(blk_read(b, 512, buf, 512), 0);
		assert_int_equal(buf[487], 0xaa);
		assert_int_equal(buf[488], 0);
		memset(buf, 0x11, sizeof(buf));
		assert_int_equal(blk_write(b, 512, buf, 512), 0);
		assert_int_equal(blk_close(b), 0);
		assert_int_equal(stat(tmp_path, &st), 0);
		assert_int_equal(st.st_size, 1024);
		file_read(511, buf, 512);
		assert_int_equal(buf[0], 0xaa);
		assert_int_equal(buf[511], 0x11);
		tmp_remove(NULL);
	}
}

/* Any alignment with O_DIRECT, against a copy in memory. */
static void direct_when_unaligned_expect_what_a_shadow_holds(void **state)
{
	static uint8_t shadow[MIB + 700], buf[MIB + 700], got[MIB + 700];
	unsigned seed = 1;
	struct stat st;
	struct blk *b;

	tmp_make(sizeof(shadow), 0);
	b = open_how((struct blk_open){.format = "raw", .cache = BLK_CACHE_NONE});
	assert_true(blk_align(b) >= 512);
	for (unsigned i = 0; i < 300; i++) {
		uint64_t off = (unsigned)rand_r(&seed) % sizeof(shadow);
		uint64_t len = (unsigned)rand_r(&seed) % (i % 8 ? 10000 : sizeof(shadow));
		unsigned at = (unsigned)rand_r(&seed) % 600;
		struct iovec iov[2];

		len = min_u64(len, sizeof(shadow) - off);
		len = min_u64(len, sizeof(buf) - at);
		memset(buf + at, (int)i, len);
		iov[0] = (struct iovec){buf + at, len / 3};
		iov[1] = (struct iovec){buf + at + len / 3, len - len / 3};
		if (i & 1) {
			assert_int_equal(blk_pwritev(b, off, iov, 2), 0);
			memset(shadow + off, (int)i, len);
		} else {
			assert_int_equal(blk_preadv(b, off, iov, 2), 0);
			assert_memory_equal(buf + at, shadow + off, len);
		}
	}
	assert_int_equal(blk_close(b), 0);
	file_read(0, got, sizeof(got));
	assert_memory_equal(got, shadow, sizeof(shadow));
	/* What completed the last block is not left behind. */
	assert_int_equal(stat(tmp_path, &st), 0);
	assert_true((uint64_t)st.st_size <=
		    blk_size(b = open_how((struct blk_open){.format = "raw"})));
	blk_close(b);
}

static void zero_when_unmapped_expect_a_hole(void **state)
{
	struct blk_extent ext;
	uint8_t buf[512];
	struct blk *b;
	struct stat st;

	tmp_make(4 * MIB, 0x77);
	b = open_how((struct blk_open){.format = "raw", .discard = true});
	assert_int_equal(blk_map(b, 0, 4 * MIB, &ext), 0);
	assert_true(ext.data && ext.len == 4 * MIB && ext.has_host && ext.host_off == 0);
	assert_int_equal(blk_zero(b, MIB, MIB, true), 0);
	assert_int_equal(blk_discard(b, 2 * MIB, MIB), 0);
	assert_int_equal(blk_map(b, MIB + 512, 3 * MIB - 512, &ext), 0);
	assert_true(!ext.data && ext.zero && ext.len == 2 * MIB - 512);
	assert_int_equal(blk_read(b, 2 * MIB - 512, buf, 512), 0);
	for (unsigned i = 0; i < sizeof(buf); i++)
		assert_int_equal(buf[i], 0);
	assert_int_equal(blk_zero(b, 3 * MIB + 5, 100, false), 0);
	assert_int_equal(blk_read(b, 3 * MIB, buf, 512), 0);
	assert_true(buf[4] == 0x77 && buf[5] == 0 && buf[104] == 0 && buf[105] == 0x77);
	blk_close(b);
	assert_int_equal(stat(tmp_path, &st), 0);
	assert_true(st.st_blocks * 512 <= 2 * MIB + 65536);
}

static void discard_when_not_wanted_expect_nothing_done(void **state)
{
	uint8_t buf[512];
	struct blk *b;

	tmp_make(MIB, 0x77);
	b = open_how((struct blk_open){.format = "raw"});
	assert_int_equal(blk_discard(b, 0, MIB), 0);
	assert_int_equal(blk_read(b, 0, buf, 512), 0);
	assert_int_equal(buf[0], 0x77);
	blk_close(b);
}

static void resize_when_grown_expect_zeros(void **state)
{
	uint8_t buf[512];
	struct blk *b;

	tmp_make(MIB, 0x77);
	b = open_how((struct blk_open){.format = "raw"});
	assert_int_equal(blk_resize(b, 2 * MIB, &err), 0);
	assert_int_equal(blk_size(b), 2 * MIB);
	assert_int_equal(blk_read(b, 2 * MIB - 512, buf, 512), 0);
	assert_int_equal(buf[0], 0);
	blk_close(b);
}

static void probed_when_guest_writes_a_header_expect_eperm(void **state)
{
	uint8_t sector[512] = "QFI\xfb\0\0\0\3";
	const struct blk_format *as = blk_probe(sector, sizeof(sector), MIB, "x");
	struct iovec iov[2] = {{sector, 2}, {sector + 2, 510}};
	struct blk *b;

	tmp_make(MIB, 0);
	b = open_how((struct blk_open){0});
	assert_true(blk_probed(b));
	/* Where qcow2 is not built in, there is nothing it could be taken for. */
	if (as != &blk_raw) {
		assert_int_equal(blk_write(b, 0, sector, 512), -EPERM);
		assert_int_equal(blk_pwritev(b, 0, iov, 2), -EPERM);
		/* In two steps neither. */
		assert_int_equal(blk_write(b, 4, sector + 4, 508), 0);
		assert_int_equal(blk_write(b, 0, sector, 4), -EPERM);
		assert_int_equal(blk_read(b, 0, sector, 512), 0);
		assert_int_equal(sector[0], 0);
	}
	memset(sector, 0xeb, sizeof(sector));
	assert_int_equal(blk_write(b, 0, sector, 512), 0);
	assert_int_equal(blk_pwritev(b, 3584, iov, 2), 0);
	blk_close(b);
	tmp_remove(NULL);

	tmp_make(MIB, 0);
	memcpy(sector, "QFI\xfb\0\0\0\3", 8);
	b = open_how((struct blk_open){.format = "raw"});
	assert_int_equal(blk_write(b, 0, sector, 512), 0);
	blk_close(b);
}

static void open_when_a_writer_has_it_expect_ebusy(void **state)
{
	struct blk_open how = {.format = "raw"};
	struct blk *a, *b;

	tmp_make(MIB, 0);
	how.path = tmp_path;
	a = open_how(how);
	assert_int_equal(blk_open(&how, &b, &err), -EBUSY);
	assert_non_null(strstr(err.msg, tmp_path));
	how.read_only = true;
	assert_int_equal(blk_open(&how, &b, &err), -EBUSY);
	how.no_lock = true;
	assert_int_equal(blk_open(&how, &b, &err), 0);
	blk_close(b);
	blk_close(a);
	how.no_lock = false;
	a = open_how(how);
	b = open_how(how); /* readers bear each other */
	blk_close(a);
	how.read_only = false;
	assert_int_equal(blk_open(&how, &a, &err), -EBUSY);
	blk_close(b);
	a = open_how(how);
	blk_close(a);
}

static int qemu_img_info(void)
{
	char cmd[160];
	int r;

	snprintf(cmd, sizeof(cmd), "qemu-io -f raw -c 'write 0 512' %s >/dev/null 2>&1", tmp_path);
	r = system(cmd);
	return WIFEXITED(r) ? WEXITSTATUS(r) : -1;
}

/* QEMU's own locks and ours are the same. */
static void lock_when_qemu_comes_expect_it_refused(void **state)
{
	struct blk *b;

	tmp_make(MIB, 0);
	if (system("command -v qemu-io >/dev/null 2>&1"))
		skip();
	assert_int_equal(qemu_img_info(), 0);
	b = open_how((struct blk_open){.format = "raw"});
	assert_int_equal(qemu_img_info(), 1);
	blk_close(b);
	b = open_how((struct blk_open){.format = "raw", .read_only = true});
	assert_int_equal(qemu_img_info(), 1);
	blk_close(b);
	assert_int_equal(qemu_img_info(), 0);
}

static void open_when_no_file_expect_a_sentence(void **state)
{
	struct blk_open how = {.path = "/nonexistent/disk.img"};
	struct blk *b;

	assert_int_equal(blk_open(&how, &b, &err), -ENOENT);
	assert_non_null(strstr(err.msg, "/nonexistent/disk.img"));
	how.path = "/tmp";
	how.read_only = true;
	assert_int_equal(blk_open(&how, &b, &err), -EINVAL);
	how.path = "/dev/null";
	assert_int_equal(blk_open(&how, &b, &err), -EINVAL);
	tmp_make(512, 0);
	how = (struct blk_open){.path = tmp_path, .format = "nonsense"};
	assert_int_equal(blk_open(&how, &b, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "nonsense"));
}

/* The C library's, with a fault where it is asked for: this one is found first. */
static int sync_fails;

int fdatasync(int fd)
{
	if (sync_fails) {
		sync_fails--;
		errno = EIO;
		return -1;
	}
	return fsync(fd);
}

/* Linux forgets what it could not write: a second try must not say that all is well. */
static void flush_when_it_failed_once_expect_it_fails_for_good(void **state)
{
	uint8_t buf[4096] = {1};
	struct blk *b;

	tmp_make(MIB, 0);
	b = open_how((struct blk_open){.format = "raw"});
	assert_int_equal(blk_write(b, 0, buf, 4096), 0);
	assert_int_equal(blk_flush(b), 0);
	sync_fails = 1;
	assert_int_equal(blk_flush(b), -EIO);
	assert_int_equal(sync_fails, 0);
	assert_int_equal(blk_flush(b), -EIO);
	assert_int_equal(blk_close(b), -EIO);
	/* Without the page cache nothing is forgotten. */
	b = open_how((struct blk_open){.format = "raw", .cache = BLK_CACHE_NONE});
	sync_fails = 1;
	assert_int_equal(blk_flush(b), -EIO);
	assert_int_equal(blk_flush(b), 0);
	assert_int_equal(blk_close(b), 0);
	/* And who does not want to know is not told. */
	b = open_how((struct blk_open){.format = "raw", .cache = BLK_CACHE_UNSAFE});
	sync_fails = 1;
	assert_int_equal(blk_close(b), 0);
	assert_int_equal(sync_fails, 1);
	sync_fails = 0;
}

/* A loop device over the file; false where that is not allowed. */
static bool loop_make(unsigned sector, char dev[64])
{
	char cmd[160];
	FILE *p;
	bool ok;

	snprintf(cmd, sizeof(cmd), "losetup -f --show -b %u %s 2>/dev/null", sector, tmp_path);
	p = popen(cmd, "r");
	ok = p && fgets(dev, 64, p) && dev[0] == '/';
	dev[strcspn(dev, "\n")] = '\0';
	return p && pclose(p) == 0 && ok;
}

static void loop_remove(const char *dev)
{
	char cmd[160];

	snprintf(cmd, sizeof(cmd), "losetup -d %s", dev);
	assert_int_equal(system(cmd), 0);
}

/* Block devices: their size, their sectors, and requests that keep to none. */
static void device_when_its_sectors_are_large_expect_any_request_served(void **state)
{
	static uint8_t in[20000], out[20000];
	struct blk_extent ext;
	char dev[64] = "";
	struct blk *b;

	tmp_make(4 * MIB, 0x21);
	if (!loop_make(4096, dev))
		skip();
	for (unsigned direct = 0; direct < 2; direct++) {
		b = open_how(
			(struct blk_open){.path = dev,
					  .format = "raw",
					  .discard = true,
					  .cache = direct ? BLK_CACHE_NONE : BLK_CACHE_WRITEBACK});
		assert_int_equal(blk_size(b), 4 * MIB);
		assert_int_equal(blk_align(b), direct ? 4096 : 512);
		memset(in, 0x50 + (int)direct, sizeof(in));
		assert_int_equal(blk_write(b, 1001, in, sizeof(in)), 0);
		assert_int_equal(blk_read(b, 1000, out, sizeof(out)), 0);
		assert_int_equal(out[0], 0x21);
		assert_memory_equal(out + 1, in, sizeof(out) - 1);
		assert_int_equal(blk_zero(b, MIB, MIB, true), 0);
		assert_int_equal(blk_zero(b, 2 * MIB + 512, 1024, false), 0);
		assert_int_equal(blk_discard(b, 3 * MIB + 512, 5000), 0);
		assert_int_equal(blk_read(b, 2 * MIB + 500, out, 1100), 0);
		assert_true(out[11] == 0x21 && out[12] == 0 && out[1035] == 0 && out[1036] == 0x21);
		assert_int_equal(blk_read(b, MIB + 4096, out, 10), 0);
		assert_int_equal(out[0], 0);
		assert_int_equal(blk_map(b, 0, MIB, &ext), 0);
		assert_true(ext.has_host && ext.data);
		assert_true(blk_resize(b, 8 * MIB, &err) < 0);
		assert_int_equal(blk_flush(b), 0);
		assert_int_equal(blk_close(b), 0);
	}
	loop_remove(dev);
}

static void iov_when_parted_expect_the_pieces(void **state)
{
	uint8_t a[10], c[10], out[20];
	struct iovec iov[3] = {{a, 10}, {NULL, 0}, {c, 10}}, part[3];

	memset(a, 1, 10);
	memset(c, 2, 10);
	assert_int_equal(blk_iov_len(iov, 3), 20);
	assert_int_equal(blk_iov_part(iov, 3, 8, 5, part, 3), 2);
	assert_true(part[0].iov_base == a + 8 && part[0].iov_len == 2);
	assert_true(part[1].iov_base == c && part[1].iov_len == 3);
	assert_int_equal(blk_iov_part(iov, 3, 20, 5, part, 3), 0);
	blk_iov_to(iov, 3, 9, out, 2);
	assert_true(out[0] == 1 && out[1] == 2);
	blk_iov_zero(iov, 3, 9, 2);
	assert_true(a[8] == 1 && a[9] == 0 && c[0] == 0 && c[1] == 2);
	blk_iov_from(iov, 3, 5, "xyz", 3);
	assert_memory_equal(a + 5, "xyz", 3);
	iov[0].iov_len = UINT64_MAX;
	assert_true(blk_iov_len(iov, 3) == UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(read_when_written_expect_the_same_bytes, tmp_remove),
		cmocka_unit_test_teardown(access_when_behind_the_end_expect_einval, tmp_remove),
		cmocka_unit_test_teardown(write_when_read_only_expect_erofs, tmp_remove),
		cmocka_unit_test_teardown(size_when_odd_expect_a_last_sector, tmp_remove),
		cmocka_unit_test_teardown(direct_when_unaligned_expect_what_a_shadow_holds,
					  tmp_remove),
		cmocka_unit_test_teardown(zero_when_unmapped_expect_a_hole, tmp_remove),
		cmocka_unit_test_teardown(discard_when_not_wanted_expect_nothing_done, tmp_remove),
		cmocka_unit_test_teardown(resize_when_grown_expect_zeros, tmp_remove),
		cmocka_unit_test_teardown(probed_when_guest_writes_a_header_expect_eperm,
					  tmp_remove),
		cmocka_unit_test_teardown(open_when_a_writer_has_it_expect_ebusy, tmp_remove),
		cmocka_unit_test_teardown(lock_when_qemu_comes_expect_it_refused, tmp_remove),
		cmocka_unit_test_teardown(open_when_no_file_expect_a_sentence, tmp_remove),
		cmocka_unit_test_teardown(flush_when_it_failed_once_expect_it_fails_for_good,
					  tmp_remove),
		cmocka_unit_test_teardown(
			device_when_its_sectors_are_large_expect_any_request_served, tmp_remove),
		cmocka_unit_test(iov_when_parted_expect_the_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
