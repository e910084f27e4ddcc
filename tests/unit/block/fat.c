// SPDX-License-Identifier: GPL-2.0-or-later
/* Small FAT volumes, as mtools and the rules for FAT12 read them. Run: make t T=unit/block/fat */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/range.h"
#include "block/fat.h"

static char big[200000];

/* What `command`, with the volume's name in it, prints. */
static size_t ask(int fd, const char *command, char *out, size_t max)
{
	char line[256];
	FILE *f;
	size_t n;

	snprintf(line, sizeof(line), command, (int)getpid(), fd);
	f = popen(line, "r");
	assert_non_null(f);
	n = fread(out, 1, max - 1, f);
	out[n] = '\0';
	assert_int_equal(pclose(f), 0);
	return n;
}

static int make(void)
{
	const struct fat_file files[] = {
		{"user-data", "#cloud-config\n", 14},
		{"meta-data", "", 0},
		{"network-config", big, sizeof(big)},
	};
	struct lodge_err err;
	int fd;

	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 7 + i / 251);
	fd = fat_volume("cidata", files, ARRAY_SIZE(files), &err);
	assert_true(fd >= 0);
	return fd;
}

static void files_when_read_by_mtools_expect_the_same_bytes(void **state)
{
	static char out[sizeof(big) + 1];
	int fd = make();

	(void)state;
	ask(fd, "mtype -i /proc/%d/fd/%d ::user-data", out, sizeof(out));
	assert_string_equal(out, "#cloud-config\n");
	assert_int_equal(ask(fd, "mtype -i /proc/%d/fd/%d ::meta-data", out, sizeof(out)), 0);
	assert_int_equal(ask(fd, "mtype -i /proc/%d/fd/%d ::network-config", out, sizeof(out)),
			 sizeof(big));
	assert_memory_equal(out, big, sizeof(big));
	ask(fd, "mdir -b -i /proc/%d/fd/%d ::", out, sizeof(out));
	assert_string_equal(out, "::/user-data\n::/meta-data\n::/network-config\n");
	ask(fd, "mlabel -s -i /proc/%d/fd/%d ::", out, sizeof(out));
	assert_non_null(strstr(out, "cidata"));
	close(fd);
}

static void volume_when_checked_by_fsck_expect_clean(void **state)
{
	char out[4096];
	int fd = make();

	(void)state;
	ask(fd, "PATH=$PATH:/sbin:/usr/sbin fsck.fat -n /proc/%d/fd/%d", out, sizeof(out));
	assert_non_null(strstr(out, "4 files, 50/51 clusters"));
	close(fd);
}

static void file_when_too_large_expect_refusal(void **state)
{
	const struct fat_file f = {"user-data", big, FAT_FILE_BYTES_MAX + 1};
	struct lodge_err err;

	(void)state;
	assert_true(fat_volume("cidata", &f, 1, &err) < 0);
	assert_string_equal(err.msg, "'user-data' is too large: 1 MiB is the most");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_when_read_by_mtools_expect_the_same_bytes),
		cmocka_unit_test(volume_when_checked_by_fsck_expect_clean),
		cmocka_unit_test(file_when_too_large_expect_refusal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
