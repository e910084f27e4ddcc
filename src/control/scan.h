/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Cutting a client's bytes into JSON values, one at a time: values follow one another with or without white
 * space between them, and come in pieces of any size.
 * Source: RFC 8259; QEMU's QMP specification (docs/interop/qmp-spec): strings in single quotes are allowed,
 * a byte 0xff throws away what was begun.
 * Threads: the owner's.
 */
#ifndef LODGE_CONTROL_SCAN_H
#define LODGE_CONTROL_SCAN_H

#include "control/buf.h"

#define SCAN_BYTES_MAX (256u << 10)
#define SCAN_DEPTH_MAX 128u

enum scan_result {
	SCAN_MORE,
	SCAN_VALUE,    /* scan.text is an object or array; parse it, then scan_next() */
	SCAN_STRAY,    /* something that is neither; scan_next() */
	SCAN_TOO_LONG, /* the value has ended and was longer than SCAN_BYTES_MAX; scan_next() */
	SCAN_TOO_DEEP, /* the same, of its nesting */
};

struct scan {
	struct mon_buf text;
	unsigned depth;
	char quote; /* the string's, or 0 */
	bool escaped, too_deep, stray;
};

void scan_init(struct scan *s);
void scan_free(struct scan *s);
enum scan_result scan_byte(struct scan *s, char byte);
void scan_next(struct scan *s);

#endif
