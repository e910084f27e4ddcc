// SPDX-License-Identifier: GPL-2.0-or-later
/* Allow-lists as seccomp programs. See filter.h. Threads: any. */
#include "sandbox/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int add_row(scmp_filter_ctx ctx, const struct sandbox_call *c)
{
	uint32_t action = c->error ? SCMP_ACT_ERRNO((uint32_t)c->error) : SCMP_ACT_ALLOW;
	struct scmp_arg_cmp cmp[2];

	for (unsigned i = 0; i < c->args; i++)
		cmp[i] = (struct scmp_arg_cmp){.arg = c->cmp[i].arg,
					       .op = SCMP_CMP_MASKED_EQ,
					       .datum_a = c->cmp[i].mask,
					       .datum_b = c->cmp[i].val};
	return seccomp_rule_add_array(ctx, action, c->call, c->args, cmp);
}

/* The program's bytes, through a pipe, which is large enough: the library writes to descriptors only. */
static int take_code(scmp_filter_ctx ctx, struct sandbox_filter *f)
{
	const size_t most = BPF_MAXINSNS * sizeof(*f->code);
	ssize_t size = 0;
	int fds[2], r;

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	r = seccomp_export_bpf(ctx, fds[1]);
	f->code = r ? NULL : malloc(most);
	if (!r && !f->code)
		r = -ENOMEM;
	if (!r)
		size = read(fds[0], f->code, most);
	if (!r && (size <= 0 || size % (ssize_t)sizeof(*f->code)))
		r = -EIO;
	f->len = (unsigned short)((size_t)size / sizeof(*f->code));
	close(fds[0]);
	close(fds[1]);
	return r;
}

int sandbox_filter_build(struct sandbox_filter *f, const struct sandbox_call *table, size_t n,
			 unsigned who, enum sandbox_else other, struct lodge_err *err)
{
	static const uint32_t actions[] = {
		[SANDBOX_KILL] = SCMP_ACT_KILL_PROCESS,
		[SANDBOX_TRAP] = SCMP_ACT_TRAP,
		[SANDBOX_LOG] = SCMP_ACT_LOG,
	};
	scmp_filter_ctx ctx = seccomp_init(actions[other]);
	int r = ctx ? seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS)
		    : -ENOMEM;

	*f = (struct sandbox_filter){.code = NULL};
	for (size_t i = 0; i < n && !r; i++) {
		if (table[i].who & who)
			r = add_row(ctx, &table[i]);
	}
	if (!r)
		r = take_code(ctx, f);
	if (ctx)
		seccomp_release(ctx);
	if (!r)
		return 0;
	sandbox_filter_free(f);
	return err_set(err, r, "cannot make a filter of system calls: %s", strerror(-r));
}

void sandbox_filter_free(struct sandbox_filter *f)
{
	free(f->code);
	*f = (struct sandbox_filter){.code = NULL};
}

int sandbox_filter_load(const struct sandbox_filter *f)
{
	struct sock_fprog prog = {.len = f->len, .filter = f->code};

	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) ? -errno : 0;
}

int sandbox_filter_take(const struct sandbox_call *table, size_t n, unsigned who, const char *whose,
			struct lodge_err *err)
{
	struct sandbox_filter f;
	int r = sandbox_filter_build(&f, table, n, who, SANDBOX_KILL, err);

	if (r)
		return r;
	r = sandbox_filter_load(&f);
	sandbox_filter_free(&f);
	return r ? err_set(err, r, "cannot filter %s's system calls: %s", whose, strerror(-r)) : 0;
}

unsigned sandbox_filter_count(const struct sandbox_call *table, size_t n, unsigned who)
{
	unsigned count = 0;

	for (size_t i = 0; i < n; i++) {
		bool seen = !(table[i].who & who) || table[i].error;

		for (size_t j = 0; j < i && !seen; j++)
			seen = table[j].call == table[i].call && table[j].who & who &&
			       !table[j].error;
		count += !seen;
	}
	return count;
}
