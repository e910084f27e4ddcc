// SPDX-License-Identifier: GPL-2.0-or-later
/* `lodge img convert`. */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/keyval.h"
#include "base/range.h"
#include "block/qcow2.h"
#include "cli/img.h"

#define SOURCES 64

struct job {
	struct blk *from[SOURCES];
	struct blk_convert c;
	uint64_t size;
	const char *format;
};

/* "NAME", or snapshot.id=ID, or snapshot.name=NAME. */
static const char *snapshot_of(const char *text)
{
	if (!strncmp(text, "snapshot.id=", 12))
		return text + 12;
	return strncmp(text, "snapshot.name=", 14) ? text : text + 14;
}

static int open_sources(struct img_args *a, struct job *j)
{
	struct blk_open how = {.read_only = true};
	struct lodge_err err = {""};

	if (a->argc - 1 > SOURCES)
		return img_fail(a, 1, "%d images at a time are the most", SOURCES);
	if (img_open_how(a, 'f', 'T', &how, &err))
		return img_fail(a, 1, "%s", err.msg);
	for (int i = 0; i < a->argc - 1; i++) {
		j->from[i] = img_open(a, &how, a->argv[i]);
		if (!j->from[i])
			return 1;
		j->c.count++;
		if (a->val['l'] && q_snapshot_view(j->from[i], snapshot_of(a->val['l']), &err))
			return img_fail(a, 1, "%s", err.msg);
		j->size += blk_size(j->from[i]);
	}
	return 0;
}

static int is_source(const struct img_args *a, const char *target)
{
	struct stat to, from;

	for (int i = 0; i < a->argc - 1; i++) {
		if (!stat(target, &to) && !stat(a->argv[i], &from) && to.st_dev == from.st_dev &&
		    to.st_ino == from.st_ino)
			return 1;
	}
	return 0;
}

static int create_target(struct img_args *a, const struct job *j, const char *path)
{
	struct blk_create c = {.path = path,
			       .format = j->format,
			       .size = j->size,
			       .has_size = true,
			       .backing = a->val['B'],
			       .backing_format = a->val['F']};
	struct lodge_err err = {""};
	struct stat st;
	int r;

	/* A block device is there and stays as large as it is. */
	if (!strcmp(j->format, "raw") && !stat(path, &st) && S_ISBLK(st.st_mode))
		return 0;
	if (a->o[0]) {
		c.options = props_parse("-o", a->o, NULL, &err);
		if (!c.options)
			return img_fail(a, 1, "%s", err.msg);
	}
	r = blk_create_image(&c, &err);
	props_free(c.options);
	return r ? img_fail(a, 1, "%s", err.msg) : 0;
}

/* Copies wait for little: more threads than processors only take turns. Compressing takes long, unevenly. */
static unsigned usual_threads(bool compress)
{
	cpu_set_t set;
	int n = sched_getaffinity(0, sizeof(set), &set) ? 2 : CPU_COUNT(&set);

	if (compress)
		return n < 8 ? 8 : n > 16 ? 16 : (unsigned)n;
	return n < 2 ? 2 : n > 8 ? 8 : (unsigned)n;
}

static int options(struct img_args *a, struct job *j)
{
	struct lodge_err err = {""};
	uint64_t n = 0;

	j->format = a->val['O'] ? a->val['O'] : "raw";
	j->c.compress = a->val['c'];
	j->c.any_order = a->val['W'];
	j->c.sparse = 4096;
	j->c.skip_backing = a->val['B'];
	j->c.from = j->from;
	j->c.threads = usual_threads(j->c.compress);
	if (a->val['S']) {
		if (img_size(a, a->val['S'], &j->c.sparse, &err))
			return img_fail(a, 1, "-S: %s", err.msg);
		if (j->c.sparse % BLK_SECTOR)
			return img_fail(a, 1, "-S must be a multiple of 512");
		if (!j->c.sparse && j->c.compress)
			return img_fail(a, 1, "-S 0 and -c do not go together");
	}
	if (a->val['m']) {
		if (parse_u64(a->val['m'], &n) || n < 1 || n > 16)
			return img_fail(a, 1, "-m is a number from 1 to 16");
		j->c.threads = (unsigned)n;
	}
	if (a->val[IMG_IS_ZERO] && !a->val['n'])
		return img_fail(a, 1, "--target-is-zero needs -n");
	if (a->val['n'] && (a->o[0] || a->val['B']))
		return img_fail(a, 1,
				"-n creates nothing, so that -o and -B have no meaning with it");
	if (a->val['B'] && j->c.compress && strcmp(j->format, "qcow2"))
		return img_fail(a, 1, "-B and -c need -O qcow2");
	return 0;
}

static int convert(struct img_args *a, struct job *j, const char *path)
{
	struct blk_open how = {.format = j->format, .cache = BLK_CACHE_UNSAFE, .discard = true};
	struct lodge_err err = {""};
	struct img_bar bar;
	struct stat st;
	int r;

	if (!a->val['n'] && create_target(a, j, path))
		return 1;
	if (img_open_how(a, 0, 't', &how, &err))
		return img_fail(a, 1, "%s", err.msg);
	how.no_lock = false;
	j->c.to = img_open(a, &how, path);
	if (!j->c.to)
		return 1;
	j->c.to_is_zero =
		(!a->val['n'] && !a->val['B'] && !stat(path, &st) && S_ISREG(st.st_mode)) ||
		a->val[IMG_IS_ZERO];
	j->c.progress = img_bar(&bar, a);
	r = blk_convert(&j->c, &err);
	img_bar_end(&bar, !r);
	if (blk_close(j->c.to) && !r)
		r = err_set(&err, -1, "cannot write '%s'", path);
	return r ? img_fail(a, 1, "%s", err.msg) : 0;
}

int img_convert(struct img_args *a)
{
	struct job *j;
	int r;

	if (a->argc < 2)
		return img_fail(a, 1, "the names of an image and of the new one are wanted");
	if (is_source(a, a->argv[a->argc - 1]))
		return img_fail(a, 1, "'%s' cannot be written while it is read",
				a->argv[a->argc - 1]);
	j = calloc(1, sizeof(*j));
	if (!j)
		return img_fail(a, 1, "not enough memory");
	r = options(a, j);
	if (!r)
		r = open_sources(a, j);
	if (!r)
		r = convert(a, j, a->argv[a->argc - 1]);
	for (unsigned i = 0; i < j->c.count; i++) {
		if (blk_close(j->from[i]) && !r)
			r = img_fail(a, 1, "cannot close '%s'", a->argv[i]);
	}
	free(j);
	return r;
}
