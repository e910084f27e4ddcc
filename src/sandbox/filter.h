/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Allow-lists of system calls as programs for the kernel (seccomp).
 * Source: seccomp(2), libseccomp's seccomp_rule_add(3). Threads: any; loading binds the calling thread.
 */
#ifndef LODGE_SANDBOX_FILTER_H
#define LODGE_SANDBOX_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Calls that one thread or helper process may make. */
#define SANDBOX_CALLS_MAX 50u

#define SANDBOX_ANY UINT64_MAX

/* One row of an allow-list, for those whose bit is in `who`. */
struct sandbox_call {
	int call; /* SCMP_SYS() */
	unsigned who;
	unsigned args; /* comparisons that follow: 0, 1 or 2; all must hold */
	struct {
		unsigned arg;
		uint64_t mask, val;
	} cmp[2];
	int error; /* not 0: refused with this errno instead of allowed */
};

/* Rows of a table, with the call's name from <seccomp.h>: any arguments; one or two of them compared; refused. */
#define SANDBOX_CALL(name, who)                  \
	{                                        \
		SCMP_SYS(name), who, 0, {{0}}, 0 \
	}
#define SANDBOX_IF(name, who, arg, mask, val)                 \
	{                                                     \
		SCMP_SYS(name), who, 1, {{arg, mask, val}}, 0 \
	}
#define SANDBOX_IF2(name, who, a, am, av, b, bm, bv)                  \
	{                                                             \
		SCMP_SYS(name), who, 2, {{a, am, av}, {b, bm, bv}}, 0 \
	}
#define SANDBOX_REFUSE(name, who, err)             \
	{                                          \
		SCMP_SYS(name), who, 0, {{0}}, err \
	}
#define SANDBOX_REFUSE2(name, who, a, am, av, b, bm, bv, err)           \
	{                                                               \
		SCMP_SYS(name), who, 2, {{a, am, av}, {b, bm, bv}}, err \
	}

/* What becomes of other calls. */
enum sandbox_else {
	SANDBOX_KILL, /* the kernel ends the process */
	SANDBOX_TRAP, /* SIGSYS, whose handler says which call it was; the call is not made */
	SANDBOX_LOG,  /* made, and noted in the kernel's log: to find what a list lacks */
};

struct sandbox_filter {
	struct sock_filter *code;
	unsigned short len;
};

/* From the rows of `table` that have `who`. -errno with a sentence. */
int sandbox_filter_build(struct sandbox_filter *f, const struct sandbox_call *table, size_t n,
			 unsigned who, enum sandbox_else other, struct lodge_err *err) MUST_CHECK;
void sandbox_filter_free(struct sandbox_filter *f);
/* The calling thread takes it on, and what it starts from then on. No new privileges must be set. */
int sandbox_filter_load(const struct sandbox_filter *f) MUST_CHECK;
/*
 * Build it, with the end of the process for other calls, and take it on for good. -errno with a sentence in which `whose`,
 * as "the NAT process", has the calls.
 */
int sandbox_filter_take(const struct sandbox_call *table, size_t n, unsigned who, const char *whose,
			struct lodge_err *err) MUST_CHECK;
/* How many system calls it lets through. */
unsigned sandbox_filter_count(const struct sandbox_call *table, size_t n, unsigned who);

#endif
