/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For tests of qcow2: random numbers that replay, images of random shape, qemu-img as the judge. */
#ifndef QCOW2_ENV_H
#define QCOW2_ENV_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "splitmix.h"
#include "base/range.h"
#include "block/block.h"
#include "block/qcow2.h"

static uint64_t env_u64(const char *name, uint64_t otherwise)
{
	const char *s = getenv(name);

	return s ? strtoull(s, NULL, 0) : otherwise;
}

static uint64_t rnd_below(uint64_t *state, uint64_t n)
{
	return n ? splitmix64(state) % n : 0;
}

static void __attribute__((unused)) rnd_fill(uint64_t *state, uint8_t *p, uint64_t n)
{
	/* Half of it repeats, so that it can be compressed. */
	uint64_t word = splitmix64(state) | 1;

	for (uint64_t i = 0; i < n; i++) {
		if (i % 8 == 0 && (i & 64))
			word = splitmix64(state) | 0x0101010101010101ull;
		p[i] = (uint8_t)(word >> i % 8 * 8);
	}
}

static char env_dir[] = "/tmp/lodge-qcow2-XXXXXX";

static int env_setup(void **state)
{
	return mkdtemp(env_dir) ? 0 : -1;
}

static int env_teardown(void **state)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", env_dir);
	return system(cmd);
}

static const char *env_path(const char *name)
{
	static char buf[8][128];
	static unsigned n;
	char *p = buf[n++ % 8];

	snprintf(p, sizeof(buf[0]), "%s/%s", env_dir, name);
	return p;
}

/* Run a command in the directory; its exit status. Its output goes to out.txt there. */
static int __attribute__((format(printf, 1, 2))) env_run(const char *fmt, ...)
{
	char cmd[2048];
	va_list ap;
	int n = snprintf(cmd, sizeof(cmd), "cd %s && (", env_dir), r;

	va_start(ap, fmt);
	n += vsnprintf(cmd + n, sizeof(cmd) - n, fmt, ap);
	va_end(ap);
	snprintf(cmd + n, sizeof(cmd) - n, ") >out.txt 2>&1");
	r = system(cmd);
	return WIFEXITED(r) ? WEXITSTATUS(r) : 255;
}

static void env_show(void)
{
	char line[256];
	FILE *f = fopen(env_path("out.txt"), "r");

	for (unsigned i = 0; f && i < 12 && fgets(line, sizeof(line), f); i++)
		fprintf(stderr, "  %s", line);
	if (f)
		fclose(f);
}

/* qemu-img check says that nothing is wrong and nothing is leaked. */
static void env_check_clean(const char *image)
{
	int r = env_run("qemu-img check -f qcow2 %s", image);

	if (r) {
		fprintf(stderr, "qemu-img check %s: exit status %d\n", image, r);
		env_show();
	}
	assert_int_equal(r, 0);
}

static struct blk *env_open(const char *path, const char *format, bool read_only)
{
	struct blk_open how = {.path = path,
			       .format = format,
			       .read_only = read_only,
			       .discard = true,
			       .cache = BLK_CACHE_WRITEBACK};
	struct lodge_err err = {""};
	struct blk *b = NULL;

	if (blk_open(&how, &b, &err))
		fprintf(stderr, "%s\n", err.msg);
	assert_non_null(b);
	return b;
}

static void __attribute__((unused)) env_dump(const char *path, const uint8_t *data, uint64_t size)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, size, f), size);
	assert_int_equal(fclose(f), 0);
}

#endif
