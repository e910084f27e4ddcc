// SPDX-License-Identifier: GPL-2.0-or-later
/* `lodge img resize`. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/range.h"
#include "cli/img.h"

/* "+1G", "-1G", "10G" from the size as it is. */
static int new_size(const struct img_args *a, const char *text, uint64_t now, uint64_t *out,
		    struct lodge_err *err)
{
	char sign = text[0];
	uint64_t n;
	int r = img_size(a, text + (sign == '+' || sign == '-'), &n, err);

	if (r)
		return r;
	if (sign == '-' && n > now)
		return err_set(err, -1, "the image has only %llu bytes", (unsigned long long)now);
	*out = sign == '+' ? now + n : sign == '-' ? now - n : n;
	*out = align_up(*out, BLK_SECTOR);
	return 0;
}

int img_resize(struct img_args *a)
{
	struct blk_open how = {.discard = true};
	struct lodge_err err = {""};
	uint64_t size = 0;
	struct blk *b;
	int r;

	if (img_names(a, 2, 2, "a file's name and a size are wanted"))
		return 1;
	if (img_open_how(a, 'f', 0, &how, &err))
		return img_fail(a, 1, "%s", err.msg);
	b = img_open(a, &how, a->argv[0]);
	if (!b)
		return 1;
	r = new_size(a, a->argv[1], blk_size(b), &size, &err);
	if (!r && blk_probed(b) && !strcmp(blk_format(b), "raw"))
		r = err_set(&err, -1, "the format of '%s' was guessed; say -f raw", a->argv[0]);
	if (!r && size < blk_size(b) && !a->val[IMG_SHRINK])
		r = err_set(
			&err, -1,
			"the image would become smaller and lose what is behind its new end; say "
			"--shrink if that is wanted");
	if (!r)
		r = blk_resize(b, size, &err);
	if (r)
		r = img_fail(a, 1, "%s", err.msg);
	if (blk_close(b) && !r)
		r = img_fail(a, 1, "cannot write '%s'", a->argv[0]);
	if (!r && !a->val['q'])
		puts("Image resized.");
	return r;
}
