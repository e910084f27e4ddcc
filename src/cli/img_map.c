// SPDX-License-Identifier: GPL-2.0-or-later
/* `lodge img map`: which bytes of an image are where. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/range.h"
#include "cli/img.h"

static bool joins(const struct blk_extent *a, const struct blk_extent *b)
{
	return a->data == b->data && a->zero == b->zero && a->present == b->present &&
	       a->depth == b->depth && a->has_host == b->has_host &&
	       a->compressed == b->compressed &&
	       (!a->has_host || (a->host_off + a->len == b->host_off && a->path == b->path));
}

static int print_text(const struct img_args *a, uint64_t off, const struct blk_extent *e)
{
	if (!e->data || e->zero)
		return 0;
	if (!e->has_host)
		return img_fail(a, 1,
				"the image has compressed data, which is nowhere as it is; use "
				"--output=json");
	printf("%#-16" PRIx64 "%#-16" PRIx64 "%#-16" PRIx64 "%s\n", off, e->len, e->host_off,
	       e->path);
	return 0;
}

static void print_json(bool first, uint64_t off, const struct blk_extent *e)
{
	printf("%s{ \"start\": %" PRIu64 ", \"length\": %" PRIu64
	       ", \"depth\": %u, \"present\": %s, \"zero\": %s, \"data\": %s",
	       first ? "[" : ",\n", off, e->len, e->depth, e->present ? "true" : "false",
	       e->zero ? "true" : "false", e->data ? "true" : "false");
	if (e->has_host)
		printf(", \"offset\": %" PRIu64, e->host_off);
	putchar('}');
}

static int print(const struct img_args *a, bool first, uint64_t off, const struct blk_extent *e)
{
	if (!a->json)
		return print_text(a, off, e);
	print_json(first, off, e);
	return 0;
}

static int walk(const struct img_args *a, struct blk *b, uint64_t off, uint64_t end)
{
	struct blk_extent whole = {0}, e;
	bool first = true;
	uint64_t start = off;
	int r = 0;

	if (!a->json)
		printf("%-16s%-16s%-16s%s\n", "Offset", "Length", "Mapped to", "File");
	while (off < end && !r) {
		if (blk_map(b, off, end - off, &e))
			return img_fail(a, 1, "cannot read '%s'", blk_path(b));
		if (whole.len && joins(&whole, &e)) {
			whole.len += e.len;
		} else {
			if (whole.len) {
				r = print(a, first, start, &whole);
				first = false;
			}
			whole = e;
			start = off;
		}
		off += e.len;
	}
	if (whole.len && !r) {
		r = print(a, first, start, &whole);
		first = false;
	}
	if (a->json)
		puts(first ? "[]" : "]");
	return r;
}

int img_map(struct img_args *a)
{
	struct blk_open how = {.read_only = true};
	const char *start = a->val[IMG_START] ? a->val[IMG_START] : a->val['s'];
	const char *most = a->val[IMG_MAX] ? a->val[IMG_MAX] : a->val['l'];
	uint64_t from = 0, len = UINT64_MAX, end;
	struct lodge_err err = {""};
	struct blk *b;
	int r;

	if (img_names(a, 1, 1, "a file's name is wanted"))
		return 1;
	r = img_open_how(a, 'f', 0, &how, &err);
	if (!r && start)
		r = img_size(a, start, &from, &err);
	if (!r && most)
		r = img_size(a, most, &len, &err);
	if (r)
		return img_fail(a, 1, "%s", err.msg);
	b = img_open(a, &how, a->argv[0]);
	if (!b)
		return 1;
	end = from < blk_size(b) ? from + min_u64(len, blk_size(b) - from) : from;
	r = walk(a, b, from, end);
	return blk_close(b) && !r ? 1 : r;
}
