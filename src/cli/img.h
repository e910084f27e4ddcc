/* SPDX-License-Identifier: GPL-2.0-or-later */
/* `lodge img VERB`: what its verbs share. Each verb is one file. Threads: main only. */
#ifndef LODGE_CLI_IMG_H
#define LODGE_CLI_IMG_H

#include <jansson.h>

#include "base/err.h"
#include "base/props.h"
#include "block/block.h"
#include "block/tools.h"

/* Options without a letter of their own in qemu-img. */
enum {
	IMG_OUTPUT = 1,
	IMG_JSON,
	IMG_CHAIN,
	IMG_SHRINK,
	IMG_IS_ZERO,
	IMG_START,
	IMG_MAX,
	IMG_PREALLOC
};

struct img_args {
	const char *verb;
	const char *val[128]; /* by letter, or number above; "" where it takes no value */
	char o[4096];	      /* all of -o */
	int argc;
	char **argv; /* what are no options */
	bool json;
};

struct img_verb {
	const char *name, *usage;
	const char *letters; /* as getopt(3) takes them */
	const char *longs;   /* those of the enum that it knows, as bytes */
	int (*fn)(struct img_args *a);
	int failure; /* exit code when it could not be done at all */
};

int img_create(struct img_args *a);
int img_info(struct img_args *a);
int img_check(struct img_args *a);
int img_convert(struct img_args *a);
int img_resize(struct img_args *a);
int img_snapshot(struct img_args *a);
int img_rebase(struct img_args *a);
int img_map(struct img_args *a);
int img_commit(struct img_args *a);
int img_compare(struct img_args *a);

/* "lodge img VERB: sentence" on standard error; returns `code`, the exit code. */
int img_fail(const struct img_args *a, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The number of names that are no options is from `min` to `max`. 0, or the exit code after a sentence. */
int img_names(const struct img_args *a, int min, int max, const char *what);
/* -f, -U and the cache mode of letter `cache` into `how`; -EINVAL with a sentence. */
int img_open_how(const struct img_args *a, char format, char cache, struct blk_open *how,
		 struct lodge_err *err) MUST_CHECK;
/* Open an image as `how` says; NULL after a sentence. */
struct blk *img_open(const struct img_args *a, const struct blk_open *how, const char *path);
/* A size in bytes, as qemu-img takes them. */
int img_size(const struct img_args *a, const char *text, uint64_t *out,
	     struct lodge_err *err) MUST_CHECK;
/* "1.5 GiB". */
void img_human(uint64_t bytes, char *out, size_t n);
/* Print and free. 0, or 1 if the output could not be written. */
int img_print_json(json_t *j);

/* The bar: with -p, or when standard error is a terminal and the work takes a while. */
struct img_bar {
	bool on, drawn, quiet;
	double last;
	unsigned last_promille;
};
struct blk_progress img_bar(struct img_bar *bar, const struct img_args *a);
void img_bar_end(struct img_bar *bar, bool done);

#endif
