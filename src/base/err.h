/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Errors of set-up paths: a negative errno for the program, one sentence for the person.
 * The sentence names the thing and the mend. It is reported once, where it is handled.
 */
#ifndef LODGE_BASE_ERR_H
#define LODGE_BASE_ERR_H

#define MUST_CHECK __attribute__((warn_unused_result))

struct lodge_err {
	char msg[512];
};

/*
 * Fill `err` (may be NULL) with a formatted sentence and return `code` (a negative errno), so that
 * a caller can write `return err_set(err, -EINVAL, "…")`.
 */
int err_set(struct lodge_err *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
