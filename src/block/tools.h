/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Work on whole images, for `lodge img`: create, convert, compare, rebase, commit.
 * Threads: each call is one thread's; it may start others and ends them.
 */
#ifndef LODGE_BLOCK_TOOLS_H
#define LODGE_BLOCK_TOOLS_H

#include "base/props.h"
#include "block/block.h"

/* Called now and then, by one thread at a time; may be NULL. */
struct blk_progress {
	void (*report)(void *opaque, uint64_t done, uint64_t total);
	void *opaque;
};

struct blk_create {
	const char *path, *format;
	uint64_t size;
	bool has_size;			      /* otherwise the backing file's */
	const char *backing, *backing_format; /* or NULL */
	bool trust_backing;		      /* do not look for it */
	struct props *options;		      /* of -o; or NULL. What nobody asks for is refused */
};
int blk_create_image(const struct blk_create *c, struct lodge_err *err) MUST_CHECK;
/* The options of -o of a format, for people; NULL: it cannot be created. */
const char *blk_create_help(const char *format);
/* Names of all formats, NULL at the end: [i]. */
const char *blk_format_name(unsigned i);

struct blk_convert {
	struct blk *const *from; /* one after the other */
	unsigned count;
	struct blk *to;
	bool compress;
	bool to_is_zero; /* nothing needs to be written for zeros */
	bool skip_backing; /* what is not in the first image itself is left to the target's backing file */
	bool any_order;
	uint64_t sparse; /* zeros from this many bytes on are not written; 0: all is written */
	unsigned threads;
	struct blk_progress progress;
};
int blk_convert(const struct blk_convert *c, struct lodge_err *err) MUST_CHECK;

/* The first byte that differs, UINT64_MAX: none. Behind the shorter one's end there are zeros. */
struct blk_difference {
	uint64_t off;
	bool allocation; /* `strict`: one has the range, the other one has not */
};
int blk_compare(struct blk *a, struct blk *b, bool strict, const struct blk_progress *p,
		struct blk_difference *out, struct lodge_err *err) MUST_CHECK;

/*
 * Let the image stand on `name` (NULL: on nothing) and read the same as before. `b` is open with its old
 * backing files, `onto` is the new one, or NULL. The image must be closed afterwards.
 */
int blk_rebase(struct blk *b, struct blk *onto, const char *name, const char *format,
	       const struct blk_progress *p, struct lodge_err *err) MUST_CHECK;

/* What `view` has above depth `depth` goes into `base`. */
int blk_commit(struct blk *view, unsigned depth, struct blk *base, const struct blk_progress *p,
	       struct lodge_err *err) MUST_CHECK;

/* Is it all zeros? */
bool blk_all_zero(const uint8_t *p, uint64_t len);

#endif
