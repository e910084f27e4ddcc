// SPDX-License-Identifier: GPL-2.0-or-later
/* Memory for generated code. Run: make t T=engine/codemem */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "engine/soft/codemem.h"

#define BYTES (1u << 20)

static void map_when_written_expect_it_runs_at_the_other_place(void **state)
{
	static const uint8_t code[] = {0xb8, 42, 0, 0, 0, 0xc3}; /* mov eax, 42; ret */
	uint8_t *rw, *rx;

	assert_int_equal(soft_code_map(BYTES, &rw, &rx), 0);
	assert_ptr_not_equal(rw, rx);
	memcpy(rw + BYTES - sizeof(code), code, sizeof(code));
	assert_memory_equal(rx + BYTES - sizeof(code), code, sizeof(code));
	assert_int_equal(((int (*)(void))(uintptr_t)(rx + BYTES - sizeof(code)))(), 42);
	rw[BYTES - 5] = 43;
	assert_int_equal(((int (*)(void))(uintptr_t)(rx + BYTES - sizeof(code)))(), 43);
	soft_code_unmap(BYTES, rw, rx);
}

/* W^X, and in a name that perf takes for anonymous: /dev/zero. */
static void map_when_looked_at_expect_write_or_execute_never_both(void **state)
{
	uint8_t *rw, *rx;
	char line[512];
	unsigned found = 0;
	FILE *maps;

	assert_int_equal(soft_code_map(BYTES, &rw, &rx), 0);
	maps = fopen("/proc/self/maps", "r");
	while (fgets(line, sizeof(line), maps)) {
		uintptr_t at = strtoul(line, NULL, 16);

		if (at != (uintptr_t)rw && at != (uintptr_t)rx)
			continue;
		found++;
		assert_non_null(strstr(line, at == (uintptr_t)rw ? " rw-s " : " r-xs "));
		assert_non_null(strstr(line, " /dev/zero"));
	}
	fclose(maps);
	assert_int_equal(found, 2);
	soft_code_unmap(BYTES, rw, rx);
}

static void map_when_too_much_expect_error_and_nothing_mapped(void **state)
{
	uint8_t *rw, *rx;

	assert_int_equal(soft_code_map((size_t)1 << 60, &rw, &rx), -ENOMEM);
	assert_null(rw);
	assert_null(rx);
	soft_code_unmap((size_t)1 << 60, rw, rx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(map_when_written_expect_it_runs_at_the_other_place),
		cmocka_unit_test(map_when_looked_at_expect_write_or_execute_never_both),
		cmocka_unit_test(map_when_too_much_expect_error_and_nothing_mapped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
