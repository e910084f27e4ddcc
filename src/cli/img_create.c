// SPDX-License-Identifier: GPL-2.0-or-later
/* `lodge img create`. */
#include <stdio.h>
#include <string.h>

#include "cli/img.h"

static int print_options(const struct img_args *a, const char *format)
{
	const char *help = blk_create_help(format);

	if (!help)
		return img_fail(a, 1, "images of the format '%s' cannot be created", format);
	printf("Options of %s images (-o NAME=VALUE,...):\n%s", format, help);
	return 0;
}

int img_create(struct img_args *a)
{
	struct blk_create c = {.format = a->val['f'] ? a->val['f'] : "raw",
			       .backing = a->val['b'],
			       .backing_format = a->val['F'],
			       .trust_backing = a->val['u']};
	struct lodge_err err = {""};
	int r;

	if (!strcmp(a->o, "help") || !strcmp(a->o, "?"))
		return print_options(a, c.format);
	if (img_names(a, 1, 2, "a file's name is wanted, and a size"))
		return 1;
	c.path = a->argv[0];
	c.has_size = a->argc == 2;
	if (c.has_size && img_size(a, a->argv[1], &c.size, &err))
		return img_fail(a, 1, "%s", err.msg);
	if (a->o[0]) {
		c.options = props_parse("-o", a->o, NULL, &err);
		if (!c.options)
			return img_fail(a, 1, "%s", err.msg);
	}
	r = blk_create_image(&c, &err);
	props_free(c.options);
	if (r)
		return img_fail(a, 1, "%s", err.msg);
	if (!a->val['q'])
		printf("Formatted '%s', fmt=%s\n", c.path, c.format);
	return 0;
}
