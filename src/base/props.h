/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An option string, parsed and asked for key by key: what nobody asked for is refused, never ignored.
 * Spelling: base/keyval.h. Threads: the owner's.
 */
#ifndef LODGE_BASE_PROPS_H
#define LODGE_BASE_PROPS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct props;

/*
 * Parse `text`; `what` names the option in messages ("-drive") and is borrowed, as nothing else is.
 * NULL and a sentence when it cannot be read or a key comes twice, but those that are lists (hostfwd and its
 * like, for props_next). props_free is due.
 */
struct props *props_parse(const char *what, const char *text, const char *implied,
			  struct lodge_err *err);
/*
 * The same of a JSON object: {"file": {"driver": "file"}, "read-only": true} is file.driver=file,read-only=on. null,
 * fractions, and names with dots are refused; text, depth and values are bounded.
 */
struct props *props_parse_json(const char *what, const char *text, struct lodge_err *err);
void props_free(struct props *p); /* NULL is allowed */
/* Add a pair, as if it had been written; replaces what was there. -ENOMEM. */
int props_set(struct props *p, const char *key, const char *val) MUST_CHECK;

/* Add one more, as if it had been written. -EEXIST if it is there and is no list; -ENOMEM. */
int props_add(struct props *p, const char *key, const char *val) MUST_CHECK;

const char *props_what(const struct props *p);
/* The value, which lives as long as `p`, or NULL; the key counts as understood. */
const char *props_get(struct props *p, const char *key);
/*
 * For keys that may come several times: the next value that has not been asked for, NULL after the
 * last.
 */
const char *props_next(struct props *p, const char *key);
/* Is it there? It does not count as understood by that. */
bool props_has(const struct props *p, const char *key);
/* The same as numbers and switches. *out is left alone where the key is missing. -EINVAL with a sentence. */
int props_bool(struct props *p, const char *key, bool *out, struct lodge_err *err) MUST_CHECK;
int props_u64(struct props *p, const char *key, uint64_t max, uint64_t *out,
	      struct lodge_err *err) MUST_CHECK;
/* A size with a suffix; without one it counts in bytes. */
int props_size(struct props *p, const char *key, uint64_t *out, struct lodge_err *err) MUST_CHECK;
/* Which of `words` (ends with NULL) the value is; *out is left alone where the key is missing. */
int props_choice(struct props *p, const char *key, const char *const *words, unsigned *out,
		 struct lodge_err *err) MUST_CHECK;
/* Every key has been asked for: 0, or -EINVAL with a sentence that names the first that has not. */
int props_done(const struct props *p, struct lodge_err *err) MUST_CHECK;

#endif
