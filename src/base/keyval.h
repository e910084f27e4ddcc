/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Option strings as QEMU spells them: "value,key=value,flag,noflag". A doubled comma in a value
 * stands for one comma. The first piece may stand alone for the value of an implied key; any other
 * piece without '=' is a switch, "on", or with a leading "no" "off".
 * Threads: no shared state.
 */
#ifndef LODGE_BASE_KEYVAL_H
#define LODGE_BASE_KEYVAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct keyval {
	const char *rest;    /* what is still to read */
	const char *implied; /* key of a first piece without '=', or NULL once used */
	char key[64];
	char val[4096];
};

/* Start on `text` (borrowed); `implied` may be NULL. */
void keyval_init(struct keyval *kv, const char *text, const char *implied);
/* The next pair into kv->key and kv->val: 1, or 0 at the end, or -EINVAL (a piece is too long). */
int keyval_next(struct keyval *kv, struct lodge_err *err) MUST_CHECK;

/* "on", "yes", "true" / "off", "no", "false". -EINVAL otherwise. */
int parse_bool(const char *text, bool *out) MUST_CHECK;
/* An unsigned number, decimal or 0x hexadecimal, nothing before or behind it. -EINVAL, -ERANGE. */
int parse_u64(const char *text, uint64_t *out) MUST_CHECK;
/*
 * A size in bytes: a number, with a decimal fraction if wanted, and one of B K M G T P E; without a
 * suffix it counts in `unit` bytes. -EINVAL, or -ERANGE above 2^64 - 1.
 */
int parse_size(const char *text, uint64_t unit, uint64_t *out) MUST_CHECK;

#endif
