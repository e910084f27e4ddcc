// SPDX-License-Identifier: GPL-2.0-or-later
/* `lodge img commit`: what an image adds goes into the backing file. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "block/qcow2.h"
#include "cli/img.h"

static bool same_file(const char *a, const char *b)
{
	struct stat x, y;

	return !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/*
 * Walk down from the image to the base: its path and format, and how deep it is. Without `wanted` it is the
 * first backing file.
 */
static int find_base(struct img_args *a, const char *wanted, char *path, size_t n, char *format,
		     size_t n_format, unsigned *depth)
{
	char here[4096], next_format[32];
	struct lodge_err err = {""};

	snprintf(here, sizeof(here), "%s", a->argv[0]);
	snprintf(next_format, sizeof(next_format), "%s", a->val['f'] ? a->val['f'] : "");
	for (*depth = 1; *depth < 64; ++*depth) {
		struct blk_open how = {.read_only = true,
				       .no_backing = true,
				       .no_lock = true,
				       .format = next_format[0] ? next_format : NULL};
		struct blk *b = img_open(a, &how, here);
		struct q_info q;
		bool has;

		if (!b)
			return 1;
		has = q_get_info(b, &q) && q.backing_name &&
		      !q_backing_path(here, q.backing_name, path, n, &err);
		snprintf(next_format, sizeof(next_format), "%s",
			 has && q.backing_format ? q.backing_format : "");
		if (blk_close(b))
			return img_fail(a, 1, "cannot close '%s'", here);
		if (!has)
			return img_fail(a, 1, "%s%s%s",
					wanted ? "'" : "the image has no backing file",
					wanted ? wanted : "",
					wanted ? "' is not among its backing files" : "");
		snprintf(format, n_format, "%s", next_format);
		if (!wanted || same_file(wanted, path))
			return 0;
		snprintf(here, sizeof(here), "%s", path);
	}
	return img_fail(a, 1, "there are more than 64 backing files");
}

static int copy_down(struct img_args *a, struct blk *top, struct blk *base, unsigned depth)
{
	struct blk_open how = {.read_only = true, .no_lock = true, .format = blk_format(top)};
	struct blk *view = img_open(a, &how, a->argv[0]);
	struct lodge_err err = {""};
	struct blk_progress p;
	struct img_bar bar;
	int r;

	if (!view)
		return 1;
	p = img_bar(&bar, a);
	r = blk_commit(view, depth, base, &p, &err);
	img_bar_end(&bar, !r);
	if (blk_close(view) && !r)
		r = err_set(&err, -1, "cannot close '%s'", a->argv[0]);
	return r ? img_fail(a, 1, "%s", err.msg) : 0;
}

int img_commit(struct img_args *a)
{
	struct blk_open up = {.no_backing = true, .discard = true}, down = {.discard = true};
	struct blk *top = NULL, *base = NULL;
	char path[4096], format[32];
	struct lodge_err err = {""};
	unsigned depth;
	int r;

	if (img_names(a, 1, 1, "a file's name is wanted"))
		return 1;
	if (img_open_how(a, 'f', 't', &up, &err) || img_open_how(a, 0, 't', &down, &err))
		return img_fail(a, 1, "%s", err.msg);
	if (find_base(a, a->val['b'], path, sizeof(path), format, sizeof(format), &depth))
		return 1;
	down.format = format[0] ? format : NULL;
	top = img_open(a, &up, a->argv[0]);
	if (top)
		base = img_open(a, &down, path);
	r = base ? copy_down(a, top, base, depth) : 1;
	if (base && blk_close(base) && !r)
		r = img_fail(a, 1, "cannot write '%s'", path);
	/* What is in the base now need not stand in the image too. */
	if (!r && depth == 1 && !a->val['d'] && q_make_empty(top))
		r = img_fail(a, 1, "cannot write '%s'", a->argv[0]);
	if (blk_close(top) && !r)
		r = img_fail(a, 1, "cannot write '%s'", a->argv[0]);
	if (!r && !a->val['q'])
		puts("Image committed.");
	return r;
}
