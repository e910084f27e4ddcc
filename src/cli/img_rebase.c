// SPDX-License-Identifier: GPL-2.0-or-later
/* `lodge img rebase`: another backing file under an image. */
#include <stdio.h>
#include <string.h>

#include "block/qcow2.h"
#include "cli/img.h"

/* The new backing file, open; NULL with `ok` for none. */
static struct blk *open_new(struct img_args *a, const char *name, bool *ok)
{
	struct blk_open how = {.read_only = true};
	struct lodge_err err = {""};
	char path[4096];
	struct blk *b = NULL;

	*ok = !name[0];
	if (!name[0])
		return NULL;
	if (img_open_how(a, 'F', 'T', &how, &err) ||
	    q_backing_path(a->argv[0], name, path, sizeof(path), &err))
		img_fail(a, 1, "%s", err.msg);
	else
		b = img_open(a, &how, path);
	*ok = b;
	return b;
}

static int rebase(struct img_args *a, struct blk *b, const char *name)
{
	struct lodge_err err = {""};
	struct blk *onto = NULL;
	struct blk_progress p;
	struct img_bar bar;
	bool ok = true;
	int r;

	if (!a->val['u'])
		onto = open_new(a, name, &ok);
	if (!ok)
		return 1;
	p = img_bar(&bar, a);
	r = a->val['u'] ? q_set_backing(b, name[0] ? name : NULL, a->val['F'], &err)
			: blk_rebase(b, onto, name[0] ? name : NULL, a->val['F'], &p, &err);
	img_bar_end(&bar, !r);
	if (onto && blk_close(onto) && !r)
		r = -1;
	return r ? img_fail(a, 1, "%s", err.msg) : 0;
}

int img_rebase(struct img_args *a)
{
	struct blk_open how = {.no_backing = a->val['u']};
	const char *name = a->val['b'];
	struct lodge_err err = {""};
	struct blk *b;
	int r;

	if (img_names(a, 1, 1, "a file's name is wanted"))
		return 1;
	if (!name)
		return img_fail(a, 1, "which backing file? -b FILE, or -b '' for none");
	if (name[0] && !a->val['F'])
		return img_fail(a, 1,
				"which format has '%s'? Say so with -F (a guessed one could be the "
				"guest's idea)",
				name);
	if (img_open_how(a, 'f', 't', &how, &err))
		return img_fail(a, 1, "%s", err.msg);
	b = img_open(a, &how, a->argv[0]);
	if (!b)
		return 1;
	if (strcmp(blk_format(b), "qcow2"))
		r = img_fail(a, 1, "images of the format %s have no backing files", blk_format(b));
	else
		r = rebase(a, b, name);
	if (blk_close(b) && !r)
		r = img_fail(a, 1, "cannot write '%s'", a->argv[0]);
	return r;
}
