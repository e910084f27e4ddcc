// SPDX-License-Identifier: GPL-2.0-or-later
/* Errors of set-up paths. Threads: no shared state. */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

int err_set(struct lodge_err *err, int code, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return code;
	va_start(ap, fmt);
	vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	return code;
}
