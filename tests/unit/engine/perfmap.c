// SPDX-License-Identifier: GPL-2.0-or-later
/* What Linux's perf is told: the files are read back. Run: make t T=engine/perfmap */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "engine/soft/block.h"
#include "engine/soft/perfmap.h"

static char dir[] = "/tmp/lodge-perf-XXXXXX", path[128];
static struct lodge_err err;
static uint8_t file[1 << 20];
static size_t file_len;
static uint8_t code_a[] = {0x90, 0x90, 0xc3}, code_b[] = {0xcc, 0xf4, 0x0f, 0x0b, 0xc3};

static struct soft_perf *start(enum engine_perf kind)
{
	struct soft_perf *p = NULL;

	snprintf(path, sizeof(path), kind == ENGINE_PERF_MAP ? "%s/perf-%d.map" : "%s/jit-%d.dump",
		 dir, (int)getpid());
	assert_int_equal(soft_perf_new(kind, dir, &p, &err), 0);
	assert_non_null(p);
	return p;
}

static void read_back(void)
{
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	file_len = fread(file, 1, sizeof(file) - 1, f);
	file[file_len] = 0;
	fclose(f);
}

static void off_when_asked_for_nothing_expect_no_file(void **state)
{
	struct soft_perf *p = (struct soft_perf *)1;

	assert_int_equal(soft_perf_new(ENGINE_PERF_OFF, dir, &p, &err), 0);
	assert_null(p);
	soft_perf_add(NULL, code_a, sizeof(code_a), "x");
	soft_perf_add_block(NULL, NULL, code_a, sizeof(code_a));
	soft_perf_free(NULL);
	assert_int_equal(rmdir(dir), 0); /* it is empty */
	assert_int_equal(mkdir(dir, 0700), 0);
}

static void map_when_code_added_expect_a_line_each(void **state)
{
	struct soft_perf *p = start(ENGINE_PERF_MAP);
	char want[512], name[200];
	struct stat st;

	soft_perf_add(p, code_a, sizeof(code_a), "first");
	soft_perf_add(p, code_b, sizeof(code_b), "two words\nand more");
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	soft_perf_add(p, (const void *)0x1234, 0x40000, name);
	soft_perf_add(p, code_a, 0, "nothing");
	read_back(); /* it is there at once */
	name[SOFT_PERF_NAME_MAX - 1] = 0;
	snprintf(want, sizeof(want), "%lx 3 first\n%lx 5 two words\n1234 40000 %s\n",
		 (unsigned long)(uintptr_t)code_a, (unsigned long)(uintptr_t)code_b, name);
	assert_string_equal((char *)file, want);
	soft_perf_free(p);
	assert_int_equal(stat(path, &st), 0); /* and stays */
	assert_int_equal(st.st_mode & 0777, 0600);
	unlink(path);
}

static void map_when_block_added_expect_mode_and_address_in_its_name(void **state)
{
	static const struct {
		uint32_t mode;
		uint64_t lin;
		const char *name;
	} cases[] = {
		{SOFT_MODE_CS64 | SOFT_MODE_PE | SOFT_MODE_CPL3, 0x401000, "lodge:64u:401000"},
		{SOFT_MODE_CS64 | SOFT_MODE_PE, 0xffffffff81000000, "lodge:64k:ffffffff81000000"},
		{SOFT_MODE_CS32 | SOFT_MODE_PE, 0xc0100000, "lodge:32k:c0100000"},
		{0, 0, "lodge:16k:0"},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct soft_perf *p = start(ENGINE_PERF_MAP);
		struct soft_block b = {.mode = cases[i].mode, .lin = cases[i].lin};
		char want[128];

		soft_perf_add_block(p, &b, (const void *)0xabc0, 16);
		soft_perf_free(p);
		read_back();
		snprintf(want, sizeof(want), "abc0 10 %s\n", cases[i].name);
		assert_string_equal((char *)file, want);
		unlink(path);
	}
}

static void map_when_file_is_there_expect_it_replaced_not_followed(void **state)
{
	char victim[160];
	struct soft_perf *p;
	struct stat st;

	snprintf(victim, sizeof(victim), "%s/victim", dir);
	snprintf(path, sizeof(path), "%s/perf-%d.map", dir, (int)getpid());
	close(open(victim, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(symlink(victim, path), 0);
	p = start(ENGINE_PERF_MAP);
	soft_perf_add(p, code_a, sizeof(code_a), "x");
	soft_perf_free(p);
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(stat(victim, &st), 0);
	assert_int_equal(st.st_size, 0);
	unlink(path);
	unlink(victim);
}

static void files_when_directory_is_missing_expect_sentence(void **state)
{
	struct soft_perf *p;

	assert_int_equal(soft_perf_new(ENGINE_PERF_MAP, "/nonexistent", &p, &err), -ENOENT);
	assert_null(p);
	assert_non_null(strstr(err.msg, "/nonexistent/perf-"));
	assert_int_equal(soft_perf_new(ENGINE_PERF_JITDUMP, "/nonexistent", &p, &err), -ENOENT);
	assert_non_null(strstr(err.msg, "/nonexistent/jit-"));
}

/* A load record at `at`; returns its size. */
static size_t check_load(size_t at, uint64_t index, const char *name, const uint8_t *code,
			 size_t len, uint64_t *time)
{
	const uint8_t *r = file + at;
	size_t total = 56 + strlen(name) + 1 + len;

	assert_true(at + total <= file_len);
	assert_int_equal(ld_le32(r), 0); /* JIT_CODE_LOAD */
	assert_int_equal(ld_le32(r + 4), total);
	assert_true(ld_le64(r + 8) >= *time);
	*time = ld_le64(r + 8);
	assert_int_equal(ld_le32(r + 16), getpid());
	assert_int_equal(ld_le32(r + 20), gettid());
	assert_int_equal(ld_le64(r + 24), (uintptr_t)code);
	assert_int_equal(ld_le64(r + 32), (uintptr_t)code);
	assert_int_equal(ld_le64(r + 40), len);
	assert_int_equal(ld_le64(r + 48), index);
	assert_string_equal((const char *)r + 56, name);
	assert_memory_equal(r + 56 + strlen(name) + 1, code, len);
	return total;
}

static void jitdump_when_code_added_expect_header_and_records(void **state)
{
	struct soft_perf *p = start(ENGINE_PERF_JITDUMP);
	uint64_t time;
	size_t at = 40;

	soft_perf_add(p, code_a, sizeof(code_a), "first");
	soft_perf_add(p, code_b, sizeof(code_b), "second");
	soft_perf_free(p);
	read_back();
	assert_memory_equal(file, "DTiJ", 4);
	assert_int_equal(ld_le32(file + 4), 1);	  /* version */
	assert_int_equal(ld_le32(file + 8), 40);  /* header bytes */
	assert_int_equal(ld_le32(file + 12), 62); /* EM_X86_64 */
	assert_int_equal(ld_le32(file + 20), getpid());
	time = ld_le64(file + 24);
	assert_true(time > 0);
	assert_int_equal(ld_le64(file + 32), 0); /* flags: CLOCK_MONOTONIC */
	at += check_load(at, 0, "first", code_a, sizeof(code_a), &time);
	at += check_load(at, 1, "second", code_b, sizeof(code_b), &time);
	assert_int_equal(ld_le32(file + at), 3); /* JIT_CODE_CLOSE */
	assert_int_equal(ld_le32(file + at + 4), 16);
	assert_int_equal(file_len, at + 16);
	unlink(path);
}

static void jitdump_when_open_expect_executable_mapping_of_it(void **state)
{
	struct soft_perf *p = start(ENGINE_PERF_JITDUMP);
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512], tail[64];
	bool found = false;

	snprintf(tail, sizeof(tail), "/jit-%d.dump\n", (int)getpid());
	while (fgets(line, sizeof(line), maps))
		found |= strstr(line, " r-xp ") && strstr(line, tail);
	fclose(maps);
	assert_true(found);
	soft_perf_free(p);
	unlink(path);
}

static void map_when_disk_is_full_expect_whole_lines_only(void **state)
{
	struct rlimit old, small;
	struct soft_perf *p = start(ENGINE_PERF_MAP);

	getrlimit(RLIMIT_FSIZE, &old);
	small = old;
	small.rlim_cur = 25;
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &small);
	for (unsigned i = 0; i < 4; i++)
		soft_perf_add(p, (const void *)0x1000, 0x10, "abc");
	setrlimit(RLIMIT_FSIZE, &old);
	soft_perf_add(p, (const void *)0x1000, 0x10, "x");
	soft_perf_free(p);
	read_back();
	assert_string_equal((char *)file, "1000 10 abc\n1000 10 abc\n");
	unlink(path);
}

#define THREADS 4
#define EACH 500

static void *add_many(void *p)
{
	for (unsigned i = 0; i < EACH; i++)
		soft_perf_add(p, code_a, sizeof(code_a), "thread");
	return NULL;
}

static void jitdump_when_threads_add_expect_every_record_whole(void **state)
{
	struct soft_perf *p = start(ENGINE_PERF_JITDUMP);
	pthread_t t[THREADS];
	uint64_t index = 0, time = 0;
	size_t at = 40;

	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, add_many, p), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	soft_perf_free(p);
	read_back();
	for (; at + 16 < file_len; at += ld_le32(file + at + 4), index++) {
		assert_int_equal(ld_le32(file + at), 0);
		assert_int_equal(ld_le32(file + at + 4), 56 + 7 + 3);
		assert_true(ld_le64(file + at + 8) >= time);
		time = ld_le64(file + at + 8);
		assert_int_equal(ld_le64(file + at + 48), index);
	}
	assert_int_equal(index, THREADS * EACH);
	unlink(path);
}

static int make_dir(void **state)
{
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	return rmdir(dir); /* fails when a test left something */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(off_when_asked_for_nothing_expect_no_file),
		cmocka_unit_test(map_when_code_added_expect_a_line_each),
		cmocka_unit_test(map_when_block_added_expect_mode_and_address_in_its_name),
		cmocka_unit_test(map_when_file_is_there_expect_it_replaced_not_followed),
		cmocka_unit_test(files_when_directory_is_missing_expect_sentence),
		cmocka_unit_test(jitdump_when_code_added_expect_header_and_records),
		cmocka_unit_test(jitdump_when_open_expect_executable_mapping_of_it),
		cmocka_unit_test(map_when_disk_is_full_expect_whole_lines_only),
		cmocka_unit_test(jitdump_when_threads_add_expect_every_record_whole),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
