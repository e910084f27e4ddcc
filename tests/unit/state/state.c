// SPDX-License-Identifier: GPL-2.0-or-later
/* The file of a saved machine: written, read, cut off, damaged. Run: make t T=state/state */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "state/format.h"
#include "state/state.h"

#define MEM (4u << 20)

static char dir[64], path[96];
static struct lodge_err err;
static uint8_t *mem;

static int setup(void **state)
{
	strcpy(dir, "/tmp/lodge-state-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/saved", dir);
	mem = mmap(NULL, MEM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(&err, 0, sizeof(err));
	return mem == MAP_FAILED ? -1 : 0;
}

static int teardown(void **state)
{
	munmap(mem, MEM);
	unlink(path);
	/* Nothing else may be there. */
	return rmdir(dir);
}

/* All of it may hold something. */
static bool all(void *opaque, uint64_t off, uint64_t *from, uint64_t *to)
{
	*from = off;
	*to = MEM;
	return off < MEM;
}

/* Two pages far from each other. */
static bool some(void *opaque, uint64_t off, uint64_t *from, uint64_t *to)
{
	*from = off <= 0x5000 ? 0x5000 : 0x3ff000;
	*to = *from + 0x1000;
	return off <= 0x3ff000;
}

/* All of memory, in one piece. */
static int memory(struct state_writer *w, bool (*next)(void *, uint64_t, uint64_t *, uint64_t *))
{
	int r = state_writer_memory(w, 0, &err);

	return r ? r : state_writer_some(w, mem, next, NULL, UINT64_MAX, &err);
}

static void save(bool (*next)(void *, uint64_t, uint64_t *, uint64_t *))
{
	struct state_writer *w = state_writer_new(path, MEM, &err);

	assert_non_null(w);
	state_writer_add(w, "one", "abc", 3);
	state_writer_add(w, "two", "", 0);
	state_writer_add(w, "one", "defghijkl", 9);
	assert_int_equal(memory(w, next), 0);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(state_writer_finish(w, &err), 0);
}

static void write_at(uint64_t off, const void *p, size_t len)
{
	int fd = open(path, O_RDWR);

	assert_int_equal(pwrite(fd, p, len, (off_t)off), (ssize_t)len);
	close(fd);
}

static void refused(const char *words)
{
	err.msg[0] = '\0';
	assert_null(state_open(path, &err));
	if (!strstr(err.msg, words))
		print_error("'%s' is not in: %s\n", words, err.msg);
	assert_non_null(strstr(err.msg, words));
	assert_non_null(strstr(err.msg, path));
}

static void file_when_written_expect_the_same_read(void **state)
{
	struct state_file *f;
	size_t len;
	uint8_t *map;
	struct stat st;

	mem[0x5000] = 1;
	mem[0x3ff123] = 2;
	save(some);
	f = state_open(path, &err);
	assert_non_null(f);
	assert_memory_equal(state_section(f, "one", 0, &len), "abc", 3);
	assert_int_equal(len, 3);
	assert_memory_equal(state_section(f, "one", 1, &len), "defghijkl", 9);
	assert_int_equal(len, 9);
	assert_non_null(state_section(f, "two", 0, &len));
	assert_int_equal(len, 0);
	assert_null(state_section(f, "one", 2, &len));
	assert_null(state_section(f, "on", 0, &len));
	assert_int_equal(state_memory_len(f), MEM);
	assert_int_equal(state_memory_off(f) % 4096, 0);
	assert_int_equal(state_check_memory(f, &err), 0);
	map = mmap(NULL, MEM, PROT_READ, MAP_PRIVATE, state_fd(f), (off_t)state_memory_off(f));
	assert_memory_equal(map, mem, MEM);
	munmap(map, MEM);
	assert_int_equal(fstat(state_fd(f), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	/* Two pages of memory, and what is in front of it. */
	assert_true(st.st_blocks * 512 < 256 << 10);
	state_close(f);
}

static void memory_when_zero_expect_holes_and_the_same_sums(void **state)
{
	struct state_file *f;

	memset(mem + 0x100000, 7, 0x3000);
	save(all);
	f = state_open(path, &err);
	assert_int_equal(state_check_memory(f, &err), 0);
	assert_true(lseek(state_fd(f), (off_t)state_memory_off(f) + 0x200000, SEEK_DATA) < 0);
	state_close(f);
}

static void memory_when_changed_expect_the_check_to_tell(void **state)
{
	struct state_file *f;
	uint64_t off;

	mem[MEM - 1] = 9;
	save(all);
	f = state_open(path, &err);
	off = state_memory_off(f);
	state_close(f);
	write_at(off + MEM - 1, "x", 1);
	f = state_open(path, &err);
	assert_non_null(f);
	assert_int_equal(state_check_memory(f, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "checksum of its memory"));
	state_close(f);
}

static void save_when_one_is_there_expect_another_inode(void **state)
{
	struct stat a, b;

	save(all);
	assert_int_equal(stat(path, &a), 0);
	struct state_writer *w = state_writer_new(path, MEM, &err);

	assert_int_equal(memory(w, all), 0);
	state_writer_abort(w);
	assert_int_equal(stat(path, &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	w = state_writer_new(path, MEM, &err);
	assert_int_equal(memory(w, all), 0);
	assert_int_equal(state_writer_finish(w, &err), 0);
	assert_int_equal(stat(path, &b), 0);
	assert_int_not_equal(a.st_ino, b.st_ino);
}

static void save_when_the_folder_is_missing_expect_a_sentence(void **state)
{
	assert_null(state_writer_new("/nowhere/at/all", MEM, &err));
	assert_non_null(strstr(err.msg, "/nowhere/at/all"));
}

static void file_when_cut_off_expect_refusal(void **state)
{
	struct stat st;

	save(all);
	assert_int_equal(stat(path, &st), 0);
	for (off_t at = st.st_size - 1; at > 0; at = at > 70000 ? at - 65536 : at - 1777) {
		assert_int_equal(truncate(path, at), 0);
		refused(at < HDR_LEN ? "is no saved machine" : "is cut off");
	}
	assert_int_equal(truncate(path, 0), 0);
	refused("is no saved machine");
}

static void file_when_any_byte_of_the_head_changes_expect_refusal(void **state)
{
	uint8_t head[8192], bad;
	int fd;

	save(all);
	fd = open(path, O_RDONLY);
	assert_int_equal(read(fd, head, sizeof(head)), sizeof(head));
	close(fd);

	uint64_t end = STATE_PAGE + ld_le64(head + HDR_SECTIONS);

	for (uint64_t at = 0; at < end; at = at + 1 == HDR_LEN ? STATE_PAGE : at + 1) {
		bad = head[at] ^ 0x40;
		write_at(at, &bad, 1);
		err.msg[0] = '\0';
		/* Bytes of padding alone do not count. */
		struct state_file *f = state_open(path, &err);

		if (f)
			assert_int_equal(head[at], 0);
		else
			assert_true(err.msg[0]);
		state_close(f);
		write_at(at, head + at, 1);
	}
}

static void file_when_newer_expect_that_said(void **state)
{
	uint8_t v[4];

	save(all);
	st_le32(v, STATE_VERSION + 1);
	write_at(HDR_VERSION, v, 4);
	refused("newer program");
}

static void file_when_something_else_expect_that_said(void **state)
{
	int fd = open(path, O_CREAT | O_WRONLY, 0600);

	assert_int_equal(ftruncate(fd, 100000), 0);
	close(fd);
	refused("is no saved machine");
}

/* With a right checksum, numbers that make no sense. */
static void header_when_impossible_expect_refusal(void **state)
{
	static const struct {
		unsigned at;
		uint64_t val;
	} bad[] = {
		{HDR_SECTIONS, UINT64_MAX},
		{HDR_SECTIONS, STATE_SECTIONS_BYTES + 1ull},
		{HDR_SECTIONS, 8},
		{HDR_MEMORY, 0},
		{HDR_MEMORY, 4097},
		{HDR_MEMORY, UINT64_MAX - 4095},
		{HDR_MEMORY_LEN, 0},
		{HDR_MEMORY_LEN, 4095},
		{HDR_MEMORY_LEN, 1ull << 62},
		{HDR_MEMORY_LEN, UINT64_MAX - 4095},
	};
	uint8_t head[HDR_LEN], h[HDR_LEN];
	int fd;

	save(all);
	fd = open(path, O_RDONLY);
	assert_int_equal(read(fd, head, sizeof(head)), sizeof(head));
	close(fd);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memcpy(h, head, sizeof(h));
		st_le64(h + bad[i].at, bad[i].val);
		st_le32(h + HDR_CRC, crc32c(0, h, HDR_CRC));
		write_at(0, h, sizeof(h));
		err.msg[0] = '\0';
		assert_null(state_open(path, &err));
		assert_true(err.msg[0]);
	}
}

static void sections_when_too_many_expect_a_failed_save(void **state)
{
	struct state_writer *w = state_writer_new(path, MEM, &err);

	for (unsigned i = 0; i < STATE_SECTIONS_MAX + 1; i++)
		state_writer_add(w, "x", "y", 1);
	assert_int_equal(memory(w, all), 0);
	assert_true(state_writer_finish(w, &err) < 0);
	assert_int_equal(access(path, F_OK), -1);
}

/* As a machine is saved: memory in pieces while something writes it, sections of the last moment. */
static void memory_when_written_meanwhile_expect_the_last_word(void **state)
{
	struct state_writer *w = state_writer_new(path, MEM, &err);
	struct state_file *f;
	uint64_t done = 0, pieces = 0;
	uint8_t *map;
	size_t len;
	int r;

	memset(mem, 7, MEM / 2);
	state_writer_add(w, "early", "x", 1);
	assert_int_equal(state_writer_memory(w, 4096, &err), 0);
	do {
		r = state_writer_some(w, mem, all, NULL, 256 << 10, &err);
		assert_true(r >= 0);
		assert_true(state_writer_done_bytes(w) > done);
		done = state_writer_done_bytes(w);
		/* A page that is done, one under way, and one to come. */
		mem[0x1000] = (uint8_t)(9 + pieces);
		mem[(done & ~0xfffull) - 1] = 1;
		pieces++;
	} while (r);
	assert_true(pieces >= 2);
	assert_int_equal(done, MEM);
	memset(mem + 0x2000, 0, 0x1000); /* zero now, and data when it was written */
	mem[MEM - 1] = 5;                /* a hole when it was written */
	state_writer_drop_sections(w);
	state_writer_add(w, "late", "yz", 2);
	assert_int_equal(state_writer_again(w, mem, 0, MEM, &err), 0);
	assert_int_equal(state_writer_finish(w, &err), 0);
	f = state_open(path, &err);
	assert_non_null(f);
	assert_null(state_section(f, "early", 0, &len));
	assert_memory_equal(state_section(f, "late", 0, &len), "yz", 2);
	assert_int_equal(state_check_memory(f, &err), 0);
	map = mmap(NULL, MEM, PROT_READ, MAP_PRIVATE, state_fd(f), (off_t)state_memory_off(f));
	assert_memory_equal(map, mem, MEM);
	munmap(map, MEM);
	state_close(f);
}

static void page_when_written_again_expect_its_chunk_alone(void **state)
{
	struct state_writer *w = state_writer_new(path, MEM, &err);
	struct state_file *f;

	memset(mem, 7, MEM);
	assert_int_equal(memory(w, all), 0);
	mem[0x101000] = 1;
	mem[0x301000] = 1; /* not told of */
	assert_int_equal(state_writer_again(w, mem, 0x101000, 0x1000, &err), 0);
	assert_int_equal(state_writer_finish(w, &err), 0);
	f = state_open(path, &err);
	assert_non_null(f);
	assert_int_equal(state_check_memory(f, &err), 0);
	state_close(f);
}

static void sections_when_they_outgrow_their_place_expect_no_file(void **state)
{
	struct state_writer *w = state_writer_new(path, MEM, &err);

	assert_int_equal(memory(w, all), 0);
	/* The place ends at 64 KiB. */
	for (unsigned i = 0; i < 20; i++)
		state_writer_add(w, "more", mem, 4096);
	assert_int_equal(state_writer_finish(w, &err), -E2BIG);
	assert_int_equal(access(path, F_OK), -1);
	/* Half of memory is no memory. */
	w = state_writer_new(path, MEM, &err);
	memset(mem, 7, MEM);
	assert_int_equal(state_writer_memory(w, 0, &err), 0);
	assert_int_equal(state_writer_some(w, mem, all, NULL, 1 << 20, &err), 1);
	assert_true(state_writer_finish(w, &err) < 0);
	assert_int_equal(access(path, F_OK), -1);
}

static void crc_when_computed_both_ways_expect_the_same(void **state)
{
	uint8_t buf[257];

	/* RFC 3720 B.4: 32 bytes of zeros, and "123456789" as everybody tests it. */
	memset(buf, 0, sizeof(buf));
	assert_int_equal(crc32c(0, buf, 32), 0x8a9136aa);
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
	for (unsigned i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)(i * 7 + 1);
	for (unsigned n = 0; n < sizeof(buf); n++) {
		assert_int_equal(crc32c(0, buf, n), crc32c_plain(0, buf, n));
		assert_int_equal(crc32c(crc32c(0, buf, n), buf + n, sizeof(buf) - n),
				 crc32c(0, buf, sizeof(buf)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
		TEST(file_when_written_expect_the_same_read),
		TEST(memory_when_zero_expect_holes_and_the_same_sums),
		TEST(memory_when_changed_expect_the_check_to_tell),
		TEST(save_when_one_is_there_expect_another_inode),
		TEST(save_when_the_folder_is_missing_expect_a_sentence),
		TEST(file_when_cut_off_expect_refusal),
		TEST(file_when_any_byte_of_the_head_changes_expect_refusal),
		TEST(file_when_newer_expect_that_said),
		TEST(file_when_something_else_expect_that_said),
		TEST(header_when_impossible_expect_refusal),
		TEST(sections_when_too_many_expect_a_failed_save),
		TEST(memory_when_written_meanwhile_expect_the_last_word),
		TEST(page_when_written_again_expect_its_chunk_alone),
		TEST(sections_when_they_outgrow_their_place_expect_no_file),
		TEST(crc_when_computed_both_ways_expect_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
