/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the tests of src/block share: temporary files, and bytes that say where they belong. */
#ifndef LODGE_TESTS_UNIT_BLOCK_BLK_ENV_H
#define LODGE_TESTS_UNIT_BLOCK_BLK_ENV_H

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "block/block.h"

static struct lodge_err err;
static char tmp_path[64];

/* A file of `size` bytes that are all `fill`; its path is tmp_path. */
static inline void tmp_make(uint64_t size, int fill)
{
	static uint8_t buf[65536];
	int fd;

	strcpy(tmp_path, "/var/tmp/lodge-test-XXXXXX");
	fd = mkstemp(tmp_path);
	assert_true(fd >= 0);
	memset(buf, fill, sizeof(buf));
	for (uint64_t off = 0; off < size; off += sizeof(buf)) {
		uint64_t n = size - off < sizeof(buf) ? size - off : sizeof(buf);

		assert_int_equal(pwrite(fd, buf, n, (off_t)off), n);
	}
	close(fd);
}

static inline int tmp_remove(void **state)
{
	(void)state;
	if (tmp_path[0])
		unlink(tmp_path);
	tmp_path[0] = '\0';
	return 0;
}

static inline struct blk *open_how(struct blk_open how)
{
	struct blk *b = NULL;

	how.path = how.path ? how.path : tmp_path;
	err.msg[0] = '\0';
	if (blk_open(&how, &b, &err))
		print_error("%s\n", err.msg);
	assert_non_null(b);
	return b;
}

static inline void file_read(uint64_t off, void *buf, size_t len)
{
	int fd = open(tmp_path, O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, buf, len, (off_t)off), len);
	close(fd);
}

#endif
