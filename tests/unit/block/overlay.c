// SPDX-License-Identifier: GPL-2.0-or-later
/* The temporary layer of -snapshot. Run: make t T=block/overlay */
#include "blk_env.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/range.h"
#include "block/block_int.h"

#define BYTES (300000u / 512 * 512) /* ends inside a grain */

static struct blk *layer(void)
{
	struct blk *base, *top = NULL;

	base = open_how((struct blk_open){.format = "raw", .read_only = true});
	assert_int_equal(blk_overlay(base, &top, &err), 0);
	return top;
}

static void layer_when_not_written_expect_what_is_below(void **state)
{
	uint8_t buf[1000];
	struct blk *b;

	tmp_make(BYTES, 0x3c);
	b = layer();
	assert_int_equal(blk_size(b), BYTES);
	assert_false(blk_is_read_only(b));
	assert_int_equal(blk_read(b, 4000, buf, sizeof(buf)), 0);
	assert_true(buf[0] == 0x3c && buf[999] == 0x3c);
	assert_int_equal(blk_write(b, BYTES - 1, buf, 2), -EINVAL);
	assert_int_equal(blk_close(b), 0);
}

/* Random reads, writes and zeros against a copy; the file below stays as it was. */
static void layer_when_written_expect_what_a_shadow_holds(void **state)
{
	static uint8_t shadow[BYTES], buf[BYTES];
	unsigned seed = 7;
	struct blk *b;

	tmp_make(BYTES, 0x3c);
	memset(shadow, 0x3c, sizeof(shadow));
	b = layer();
	for (unsigned i = 0; i < 400; i++) {
		uint64_t off = (unsigned)rand_r(&seed) % BYTES;
		uint64_t len = min_u64((unsigned)rand_r(&seed) % 20000, BYTES - off);

		if (i % 3 == 0) {
			memset(buf, (int)i, len);
			assert_int_equal(blk_write(b, off, buf, len), 0);
			memset(shadow + off, (int)i, len);
		} else if (i % 3 == 1) {
			assert_int_equal(blk_read(b, off, buf, len), 0);
			assert_memory_equal(buf, shadow + off, len);
		} else {
			assert_int_equal(blk_zero(b, off, len / 4, i & 1), 0);
			memset(shadow + off, 0, len / 4);
		}
	}
	assert_int_equal(blk_read(b, 0, buf, BYTES), 0);
	assert_memory_equal(buf, shadow, BYTES);
	assert_int_equal(blk_flush(b), 0);
	assert_int_equal(blk_close(b), 0);
	file_read(0, buf, BYTES);
	for (unsigned i = 0; i < BYTES; i++)
		assert_int_equal(buf[i], 0x3c);
}

static void quick_when_written_expect_the_layers_file(void **state)
{
	uint8_t buf[8192] = {1};
	struct blk_extent ext;
	uint64_t at;
	struct blk *b;
	int below, fd;

	tmp_make(BYTES, 0x3c);
	b = layer();
	assert_true(blk_quick(b, false, 0, 8192, &below, &at));
	blk_quick_done(b);
	assert_false(blk_quick(b, true, 0, 8192, &fd, &at));
	assert_int_equal(blk_write(b, 4096, buf, 8192), 0);
	assert_true(blk_quick(b, true, 4096, 8192, &fd, &at));
	assert_true(fd != below && at == 4096);
	blk_quick_done(b);
	/* Partly here, partly there. */
	assert_false(blk_quick(b, false, 0, 8192, &fd, &at));
	assert_int_equal(blk_map(b, 0, 65536, &ext), 0);
	assert_true(ext.depth == 1 && ext.len == 4096);
	assert_int_equal(blk_map(b, 4096, 60000, &ext), 0);
	assert_true(ext.depth == 0 && ext.data && ext.len == 8192);
	assert_int_equal(blk_close(b), 0);
}

static void layer_when_no_room_for_files_expect_a_sentence(void **state)
{
	struct blk *base, *top;

	tmp_make(BYTES, 0);
	base = open_how((struct blk_open){.format = "raw", .read_only = true});
	setenv("TMPDIR", "/nonexistent/folder", 1);
	assert_int_equal(blk_overlay(base, &top, &err), -ENOENT);
	assert_non_null(strstr(err.msg, "TMPDIR"));
	unsetenv("TMPDIR");
	assert_int_equal(blk_close(base), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(layer_when_not_written_expect_what_is_below, tmp_remove),
		cmocka_unit_test_teardown(layer_when_written_expect_what_a_shadow_holds,
					  tmp_remove),
		cmocka_unit_test_teardown(quick_when_written_expect_the_layers_file, tmp_remove),
		cmocka_unit_test_teardown(layer_when_no_room_for_files_expect_a_sentence,
					  tmp_remove),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
