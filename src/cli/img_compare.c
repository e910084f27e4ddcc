// SPDX-License-Identifier: GPL-2.0-or-later
/* `lodge img compare`. Exit codes: 0 the same, 1 different, above 1 it could not be told. */
#include <stdio.h>

#include "cli/img.h"

static int compare(struct img_args *a, struct blk *one, struct blk *two)
{
	struct blk_difference d;
	struct lodge_err err = {""};
	struct img_bar bar;
	struct blk_progress p = img_bar(&bar, a);
	int r;

	if (a->val['s'] && blk_size(one) != blk_size(two)) {
		if (!a->val['q'])
			puts("Strict mode: Image size mismatch!");
		return 1;
	}
	r = blk_compare(one, two, a->val['s'], &p, &d, &err);
	img_bar_end(&bar, !r);
	if (r)
		return img_fail(a, 3, "%s", err.msg);
	if (blk_size(one) != blk_size(two) && !a->val['q'])
		puts("Warning: Image size mismatch!");
	if (d.off == UINT64_MAX) {
		if (!a->val['q'])
			puts("Images are identical.");
		return 0;
	}
	if (!a->val['q'])
		printf(d.allocation ? "Strict mode: Offset %llu block status mismatch!\n"
				    : "Content mismatch at offset %llu!\n",
		       (unsigned long long)d.off);
	return 1;
}

int img_compare(struct img_args *a)
{
	struct blk_open first = {.read_only = true}, second = {.read_only = true};
	struct blk *one = NULL, *two = NULL;
	struct lodge_err err = {""};
	int r = 2;

	if (img_names(a, 2, 2, "two files' names are wanted"))
		return 2;
	if (img_open_how(a, 'f', 'T', &first, &err) || img_open_how(a, 'F', 'T', &second, &err))
		return img_fail(a, 2, "%s", err.msg);
	one = img_open(a, &first, a->argv[0]);
	if (one)
		two = img_open(a, &second, a->argv[1]);
	if (two)
		r = compare(a, one, two);
	if (blk_close(one) | blk_close(two))
		r = r ? r : 3;
	return r;
}
