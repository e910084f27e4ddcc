// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Instructions with known results: each test carries its code, its registers and memory before and
 * after, and how to run it.
 *
 * Run:    make t T=isa/NAME       one test, or all whose names begin with NAME, or a family
 *         build/gcc/tests/isa/isa [-e ENGINE] [-f FAMILY] [-l] [-s] [NAME…]
 *         -s leaves variants with a 32-bit TSS out, which QEMU's AMD-V does not survive.
 *         ENGINE is kvm, soft1 or soft2 (the software engine's tiers), lockstep (both, compared after
 *         each block), soft for these three, or host for the processor this runs on; without -e, all there are. LODGE_TIER=1|2 leaves one tier out.
 *
 * A family is one file tests/isa/FAMILY.isa, assembled by GNU as with the macros of isa.inc:
 *
 *	.include "isa.inc"
 *	family arith
 *
 *	case add_when_signed_overflow_sets_of, 64    # name what_when_expect, and mode
 *	init	rax, 0x7f                            # before
 *	init	rcx, 1
 *	code
 *	add	%cl, %al                             # any number of instructions
 *	want	rax, 0x80                            # after
 *	want_flags SF+AF+OF
 *	end
 *
 * Modes: 64, 32, 16 (user code; the same test also runs in protected mode without long mode, and
 * on the host's processor), real (also runs in virtual-8086 mode), k64, k32 (CPL 0 in long mode).
 * Code is at CODE + 0x800, or where `code OFFSET` says; its pages are read-only. Two pages of data
 * are at DATA (the middle is a page end), all zero; nothing is mapped around. In 16-bit and real
 * mode all offsets start at 0: limits are 0x1fff in mode 16 and 0xffff in mode real. rSP is data +
 * 0x1800; other registers have values of their own.
 *
 *	init REG, VALUE…        general register; flags (arithmetic flags, DF, AC); mxcsr fcw fsw
 *ftw; xmmN, stN: two quadwords, low first; ymmN: four; cr0 cr4 efer xcr0 init_seg SEG, BASE, LIMIT,
 *ATTR, SELECTOR   hidden parts, as struct x86_seg; ATTR 0: unusable init_mem OFFSET         .byte,
 *.long … follow: memory at data + OFFSET code OFFSET             code follows want REG, VALUE… xmmN
 *alone: the upper half of the YMM register must be unchanged want_mem OFFSET         .byte, .long …
 *follow want_flags VALUE, MASK  MASK defaults to the arithmetic flags and DF same_flags all of
 *those unchanged want_fault VECTOR, ERROR, LABEL, CR2   exception at LABEL (default: start of the
 *code) want_end LABEL          INT3 at LABEL ends the test (default: after the code) need FEATURE
 *not run on a processor without it; amd and intel are features too cpu MODEL               -cpu
 *option of the machine (default max) only engine|long|legacy|plain|v86      not on the host; only
 *that variant
 *
 * Whatever a test does not name must be unchanged: general and vector registers, MXCSR, memory.
 * Exceptions: flags without want_flags and x87 state are not looked at. Each variant runs twice,
 *the second time with the engine's caches warm and, without `init flags`, all arithmetic flags set
 * before instead of clear.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/bytes.h"
#include "isa/isa.h"
#include "oracle/oracle.h"

_Static_assert(ISA_CODE == ORACLE_CODE && ISA_DATA == ORACLE_DATA, "one layout");
_Static_assert(ISA_DATA_BYTES == ORACLE_WINDOW && ISA_XSAVE_BYTES == ORACLE_XSAVE_BYTES,
	       "the host's child takes all data");

#define MODELS 32 /* engines times -cpu models */

extern const struct isa_rec __start_isa_tests[], __stop_isa_tests[];

static const struct isa_engine engines[] = {
	{"soft1", &engine_soft, 1, false}, /* the interpreter */
	{"soft2", &engine_soft, 2, false}, /* the translator, from a block's first run on */
	{"lockstep", &engine_soft, 2, true},
	{"kvm", &engine_kvm, 0, false}, /* when asked for: few hosts have it */
};

struct runner {
	const char *engine, *family;
	char **names;
	int name_count;
	bool list, no_tss32;
	struct {
		const struct isa_engine *engine;
		const char *model;
		struct isa_vm *vm;
	} vm[MODELS];
	struct host *host;
	unsigned passed, failed, on_host, not_run;
};

/* ---- What differs ------------------------------------------------------------------------------
 */

struct diff {
	char text[8192];
	size_t used;
};

__attribute__((format(printf, 2, 3))) static void note(struct diff *d, const char *fmt, ...)
{
	va_list ap;

	if (d->used + 256 > sizeof(d->text))
		return;
	va_start(ap, fmt);
	d->used += (size_t)vsnprintf(d->text + d->used, sizeof(d->text) - d->used, fmt, ap);
	va_end(ap);
}

static void compare(struct diff *d, const char *what, uint64_t want, uint64_t got)
{
	if (want != got)
		note(d, "    %-10s want %016" PRIx64 "  got %016" PRIx64 "\n", what, want, got);
}

static void compare_vec(struct diff *d, unsigned i, const char *part, const uint8_t *want,
			const uint8_t *got)
{
	if (memcmp(want, got, 16) != 0)
		note(d,
		     "    %s%-2u      want %016" PRIx64 "_%016" PRIx64 "  got %016" PRIx64
		     "_%016" PRIx64 "\n",
		     part, i, ld_le64(want + 8), ld_le64(want), ld_le64(got + 8), ld_le64(got));
}

static void compare_data(struct diff *d, const uint8_t *want, const uint8_t *got, unsigned n)
{
	unsigned shown = 0;

	for (unsigned i = 0; i < n && shown < 6; i += 8) {
		uint64_t a = ld_le64(want + i), b = ld_le64(got + i);

		if (a == b)
			continue;
		note(d, "    data+%04x  want %016" PRIx64 "  got %016" PRIx64 "\n", i, a, b);
		shown++;
	}
}

/* ---- What is expected --------------------------------------------------------------------------
 */

static bool is_user_mode(enum isa_mode m)
{
	return m == ISA_64 || m == ISA_32 || m == ISA_16;
}

static uint64_t code_start(const struct isa_test *t)
{
	return (t->mode == ISA_16 || t->mode == ISA_REAL ? 0 : ISA_CODE) + t->code_off;
}

static void put_register(struct isa_state *s, const struct isa_rec *r)
{
	const uint64_t *v = r->val;
	unsigned n = r->arg;

	if (n < 16) {
		s->gpr[n] = v[0];
	} else if (n == ISA_REG_FLAGS) {
		s->rflags = FLAG_FIXED | FLAG_IF | v[0];
	} else if (n == ISA_REG_MXCSR) {
		st_le32(s->xsave + 24, (uint32_t)v[0]);
	} else if (n == ISA_REG_FCW || n == ISA_REG_FSW) {
		st_le16(s->xsave + 2 * (n - ISA_REG_FCW), (uint16_t)v[0]);
	} else if (n == ISA_REG_FTW) {
		s->xsave[4] = (uint8_t)v[0];
	} else if (n >= ISA_REG_ST && n < ISA_REG_ST + 8) {
		memcpy(s->xsave + 32 + 16 * (n - ISA_REG_ST), v, 10);
	} else if (n >= ISA_REG_XMM && n < ISA_REG_XMM + 16) {
		memcpy(s->xsave + 160 + 16 * (n - ISA_REG_XMM), v, 16);
	} else if (n >= ISA_REG_YMM && n < ISA_REG_YMM + 16) {
		memcpy(s->xsave + 160 + 16 * (n - ISA_REG_YMM), v, 16);
		memcpy(s->xsave + 576 + 16 * (n - ISA_REG_YMM), v + 2, 16);
	}
}

static void put_memory(struct isa_state *s, const struct isa_rec *r)
{
	if (r->arg2 + r->len <= ISA_DATA_REAL)
		memcpy(s->data + r->arg2, r->val, r->len);
}

static void initial_state(struct isa_test *t)
{
	struct isa_state *s = &t->in;

	memset(s, 0, sizeof(*s));
	for (unsigned i = 0; i < 16; i++)
		s->gpr[i] = 0x0101010101010101ull * (0x10 + i);
	s->gpr[R_RSP] = (t->mode == ISA_16 || t->mode == ISA_REAL ? 0 : ISA_DATA) + 0x1800;
	s->rflags = FLAG_FIXED | FLAG_IF;
	st_le16(s->xsave, 0x37f);
	st_le32(s->xsave + 24, 0x1f80);
	st_le32(s->xsave + 28, 0xffff);
	for (unsigned i = 0; i < 16; i++) {
		memset(s->xsave + 160 + 16 * i, (int)(0xa0 + i), 16);
		memset(s->xsave + 576 + 16 * i, (int)(0xb0 + i), 16);
	}
}

/* Fill in the test whose ISA_CASE is `r`; returns the record after it. */
static const struct isa_rec *parse(struct isa_test *t, const struct isa_rec *r)
{
	memset(t, 0, offsetof(struct isa_test, in));
	t->name = (const char *)r->val;
	t->mode = (enum isa_mode)r->arg;
	t->model = "max";
	t->flags_given = false;
	t->first = r = isa_next(r);
	initial_state(t);
	for (; r->kind != ISA_END; r = isa_next(r)) {
		if (r->kind == ISA_INIT) {
			put_register(&t->in, r);
			t->flags_given |= r->arg == ISA_REG_FLAGS;
		} else if (r->kind == ISA_INIT_MEM) {
			put_memory(&t->in, r);
		} else if (r->kind == ISA_CPU) {
			t->model = (const char *)r->val;
		} else if (r->kind == ISA_CODE_BYTES_HERE) {
			t->code = (const uint8_t *)r->val;
			t->code_off = r->arg2;
			t->code_len = r->len;
		}
	}
	t->in.rip = code_start(t);
	return isa_next(r);
}

static void expected_state(const struct isa_test *t, struct isa_state *want, uint64_t *flag_mask,
			   bool *cr2)
{
	*want = t->in;
	*flag_mask = 0;
	*cr2 = false;
	want->vector = VEC_BP;
	want->rip = code_start(t) + t->code_len + 1;
	for (const struct isa_rec *r = t->first; r->kind != ISA_END; r = isa_next(r)) {
		if (r->kind == ISA_WANT) {
			put_register(want, r);
		} else if (r->kind == ISA_WANT_MEM) {
			put_memory(want, r);
		} else if (r->kind == ISA_WANT_FLAGS) {
			want->rflags = r->val[0];
			*flag_mask = r->val[1];
		} else if (r->kind == ISA_SAME_FLAGS) {
			*flag_mask = FLAGS_ARITH | FLAG_DF;
		} else if (r->kind == ISA_WANT_END) {
			want->rip = code_start(t) + r->val[0] + 1;
		} else if (r->kind == ISA_WANT_FAULT) {
			want->vector = r->arg;
			want->error = (uint32_t)r->val[0];
			want->rip = code_start(t) + r->val[1];
			*cr2 = r->arg2;
			want->cr2 = r->val[2];
		}
	}
}

static void compare_x87(struct diff *d, const struct isa_test *t, const struct isa_state *want,
			const struct isa_state *got)
{
	for (const struct isa_rec *r = t->first; r->kind != ISA_END; r = isa_next(r)) {
		if (r->kind != ISA_WANT)
			continue;
		if (r->arg == ISA_REG_FCW)
			compare(d, "fcw", ld_le16(want->xsave), ld_le16(got->xsave));
		else if (r->arg == ISA_REG_FSW)
			compare(d, "fsw", ld_le16(want->xsave + 2), ld_le16(got->xsave + 2));
		else if (r->arg == ISA_REG_FTW)
			compare(d, "ftw", want->xsave[4], got->xsave[4]);
		else if (r->arg >= ISA_REG_ST && r->arg < ISA_REG_ST + 8)
			compare_vec(d, r->arg - ISA_REG_ST, "st",
				    want->xsave + 32 + 16 * (r->arg - ISA_REG_ST),
				    got->xsave + 32 + 16 * (r->arg - ISA_REG_ST));
	}
}

static void compare_states(struct diff *d, const struct isa_test *t, const struct isa_state *got,
			   enum isa_variant how, unsigned data_bytes, unsigned tier)
{
	static const char *const names[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp",
					      "rsi", "rdi", "r8",  "r9",  "r10", "r11",
					      "r12", "r13", "r14", "r15"};
	static struct isa_state want;
	bool wide = t->mode == ISA_64 || t->mode == ISA_K64, cr2;
	uint64_t mask = wide ? ~0ull : 0xffffffffull, flags;

	expected_state(t, &want, &flags, &cr2);
	compare(d, "vector", want.vector, got->vector);
	if (how != ISA_PLAIN && want.vector == got->vector)
		compare(d, "error", want.error, got->error);
	if (cr2 && want.vector == got->vector)
		compare(d, "cr2", want.cr2 & mask, got->cr2 & mask);
	compare(d, "rip", want.rip & mask, got->rip & mask);
	for (unsigned i = 0; i < (wide ? 16 : 8); i++)
		compare(d, names[i], want.gpr[i] & mask, got->gpr[i] & mask);
	/* The translator may have lost flags that the faulting block overwrites (docs/adr/0010). */
	if (tier == 2 && want.vector != VEC_BP && want.vector != VEC_DB && want.vector != VEC_OF)
		flags &= ~(uint64_t)FLAGS_ARITH;
	compare(d, "flags", want.rflags & flags, got->rflags & flags);
	compare(d, "mxcsr", ld_le32(want.xsave + 24), ld_le32(got->xsave + 24));
	for (unsigned i = 0; i < 16; i++) {
		compare_vec(d, i, "xmm", want.xsave + 160 + 16 * i, got->xsave + 160 + 16 * i);
		compare_vec(d, i, "hi ", want.xsave + 576 + 16 * i, got->xsave + 576 + 16 * i);
	}
	compare_x87(d, t, &want, got);
	compare_data(d, want.data, got->data, data_bytes);
}

/* ---- Where a test runs
 * --------------------------------------------------------------------------- */

static bool has_word(const struct isa_test *t, enum isa_kind kind, const char *word)
{
	for (const struct isa_rec *r = t->first; r->kind != ISA_END; r = isa_next(r)) {
		if (r->kind == kind && !strcmp((const char *)r->val, word))
			return true;
	}
	return false;
}

static bool feature_there(const struct x86_cpuid *c, const char *name)
{
	if (!strcmp(name, "amd"))
		return c->amd;
	if (!strcmp(name, "intel"))
		return !c->amd;
	for (unsigned f = 1; f < X86_FEAT_COUNT; f++) {
		if (!strcmp(x86_feature_name((enum x86_feature)f), name))
			return c->has[f];
	}
	return false;
}

static const char *missing_feature(const struct isa_test *t, const struct x86_cpuid *c)
{
	for (const struct isa_rec *r = t->first; r->kind != ISA_END; r = isa_next(r)) {
		if (r->kind == ISA_NEED && !feature_there(c, (const char *)r->val))
			return (const char *)r->val;
	}
	return NULL;
}

static bool wants_variant(const struct isa_test *t, enum isa_variant how)
{
	static const char *const word[] = {"long", "legacy", "plain", "v86"};
	bool limited = false;

	for (unsigned i = 0; i < 4; i++) {
		if (has_word(t, ISA_ONLY, word[i])) {
			limited = true;
			if (i == how)
				return true;
		}
	}
	if (limited)
		return false;
	if (t->mode == ISA_REAL)
		return how == ISA_PLAIN || how == ISA_V86;
	return how == ISA_LONG || (how == ISA_LEGACY && (t->mode == ISA_32 || t->mode == ISA_16));
}

static bool runs_on_host(const struct isa_test *t)
{
	if (!is_user_mode(t->mode) || has_word(t, ISA_ONLY, "engine") ||
	    has_word(t, ISA_ONLY, "legacy"))
		return false;
	for (const struct isa_rec *r = t->first; r->kind != ISA_END; r = isa_next(r)) {
		if (r->kind == ISA_INIT_SEG || r->kind == ISA_CPU ||
		    (r->kind == ISA_INIT && r->arg >= ISA_REG_CR0 && r->arg <= ISA_REG_XCR0))
			return false;
	}
	return true;
}

static struct isa_vm *get_vm(struct runner *r, const struct isa_engine *engine, const char *model)
{
	for (unsigned i = 0; i < MODELS; i++) {
		if (r->vm[i].vm && r->vm[i].engine == engine && !strcmp(r->vm[i].model, model))
			return r->vm[i].vm;
		if (!r->vm[i].vm) {
			r->vm[i].engine = engine;
			r->vm[i].model = model;
			r->vm[i].vm = isa_vm_new(engine, model);
			return r->vm[i].vm;
		}
	}
	return NULL;
}

/* ---- Running
 * --------------------------------------------------------------------------------------- */

static void second_flags(struct isa_test *t, unsigned pass)
{
	if (!t->flags_given)
		t->in.rflags = FLAG_FIXED | FLAG_IF | (pass ? FLAGS_ARITH : 0);
}

static void run_engine(const struct runner *r, struct isa_vm *vm, const struct isa_engine *engine,
		       struct isa_test *t, struct diff *d)
{
	static const char *const names[] = {"", ", legacy mode", ", real mode",
					    ", virtual-8086 mode"};
	static struct isa_state got;

	for (unsigned how = ISA_LONG; how <= ISA_V86; how++) {
		if (!wants_variant(t, (enum isa_variant)how))
			continue;
		if (r->no_tss32 && (how == ISA_LEGACY || how == ISA_V86))
			continue;
		for (unsigned pass = 0; pass < 2; pass++) {
			size_t before = d->used;
			const char *why;

			second_flags(t, pass);
			note(d, "  %s%s, run %u\n", engine->name, names[how], pass + 1);
			size_t head = d->used;

			why = isa_vm_run(vm, t, (enum isa_variant)how, &got);
			if (why)
				note(d, "    %s\n", why);
			else
				compare_states(d, t, &got, (enum isa_variant)how, ISA_DATA_REAL,
					       engine->tier);
			if (d->used == head)
				d->used = before;
		}
	}
}

static void run_host(struct runner *r, struct isa_test *t, struct diff *d)
{
	static const uint8_t mode[] = {X86_MODE_64, X86_MODE_32, X86_MODE_16};
	static struct isa_state got;
	struct oracle_test *o = host_tests(r->host);

	if (t->mode == ISA_16 && !host_has_16bit(r->host))
		return;
	r->on_host++;
	for (unsigned pass = 0; pass < 2; pass++) {
		size_t before = d->used;
		unsigned died;

		second_flags(t, pass);
		o->mode = mode[t->mode];
		o->code_off = t->code_off;
		memset(o->code, 0xcc, sizeof(o->code));
		memcpy(o->code, t->code, t->code_len);
		memcpy(o->in.gpr, t->in.gpr, sizeof(o->in.gpr));
		memcpy(o->in.xsave, t->in.xsave, sizeof(o->in.xsave));
		memcpy(o->window, t->in.data, sizeof(o->window));
		o->in.rip = t->in.rip;
		o->in.rflags = t->in.rflags;
		note(d, "  the processor of this host, run %u\n", pass + 1);
		size_t head = d->used;

		if (!host_run(r->host, 1, &died)) {
			note(d, "    the child process died\n");
			continue;
		}
		memset(&got, 0, sizeof(got));
		memcpy(got.gpr, o->host.s.gpr, sizeof(got.gpr));
		memcpy(got.xsave, o->host.s.xsave, sizeof(got.xsave));
		memcpy(got.data, o->host.data, ISA_DATA_BYTES);
		got.rip = o->host.s.rip;
		got.rflags = o->host.s.rflags;
		got.vector = o->host.vector;
		got.error = o->host.vector == VEC_BP ? 0 : o->host.error;
		got.cr2 = o->host.cr2;
		compare_states(d, t, &got, ISA_LONG, ISA_DATA_BYTES, 0);
		if (d->used == head)
			d->used = before;
	}
}

static bool wants_engine(const struct runner *r, const struct isa_engine *engine)
{
	const char *tier = getenv("LODGE_TIER");

	if (!r->engine)
		return engine->ops != &engine_kvm && (!tier || (unsigned)atoi(tier) == engine->tier);
	return !strcmp(r->engine, engine->name) || !strcmp(r->engine, engine->ops->name);
}

static void run_test(struct runner *r, struct isa_test *t)
{
	static struct diff d;
	bool ran = false;
	size_t before;

	d.used = 0;
	if (!t->code || t->code_len > ORACLE_CODE_MAX ||
	    t->code_off + t->code_len > ISA_CODE_BYTES) {
		printf("FAIL %s: no code, or too much of it\n", t->name);
		r->failed++;
		return;
	}
	for (unsigned i = 0; i < sizeof(engines) / sizeof(engines[0]); i++) {
		struct isa_vm *vm;
		const char *lacks;

		if (!wants_engine(r, &engines[i]))
			continue;
		vm = get_vm(r, &engines[i], t->model);
		if (!vm)
			exit(2);
		lacks = missing_feature(t, isa_vm_cpuid(vm));
		if (lacks) {
			printf("not run %s: this processor has no %s\n", t->name, lacks);
			r->not_run++;
			return;
		}
		before = d.used;
		run_engine(r, vm, &engines[i], t, &d);
		if (d.used != before)
			note(&d, "  replay: build/gcc/tests/isa/isa -e %s %s\n", engines[i].name,
			     t->name);
		ran = true;
	}
	if (r->host && runs_on_host(t)) {
		run_host(r, t, &d);
		ran = true;
	}
	if (d.used)
		printf("FAIL %s: see below\n%.*s", t->name, (int)d.used, d.text);
	else if (ran)
		printf("ok %s\n", t->name);
	r->failed += d.used != 0;
	r->passed += ran && !d.used;
}

static bool wanted(const struct runner *r, const struct isa_test *t)
{
	if (r->family && strcmp(r->family, t->family) != 0)
		return false;
	for (int i = 0; i < r->name_count; i++) {
		if (!strncmp(t->name, r->names[i], strlen(r->names[i])) ||
		    !strcmp(t->family, r->names[i]))
			return true;
	}
	return r->name_count == 0;
}

static void run_all(struct runner *r)
{
	static struct isa_test t;
	const struct isa_rec *at = __start_isa_tests;
	const char *family = "?";

	while (at < __stop_isa_tests) {
		if (at->kind == ISA_FAMILY) {
			family = (const char *)at->val;
			at = isa_next(at);
			continue;
		}
		if (at->kind != ISA_CASE) { /* between files */
			at = isa_next(at);
			continue;
		}
		at = parse(&t, at);
		t.family = family;
		if (!wanted(r, &t))
			continue;
		if (r->list)
			printf("%s/%s\n", family, t.name);
		else
			run_test(r, &t);
	}
}

/* The child shares our limits: code that never ends is stopped by the kernel. */
static struct host *start_host(void)
{
	struct rlimit was, limit;
	struct host *h;

	getrlimit(RLIMIT_CPU, &was);
	limit = was;
	limit.rlim_cur = 20;
	setrlimit(RLIMIT_CPU, &limit);
	h = host_start(1);
	setrlimit(RLIMIT_CPU, &was);
	return h;
}

static int options(struct runner *r, int argc, char **argv)
{
	int opt;

	while ((opt = getopt(argc, argv, "e:f:ls")) != -1) {
		if (opt == 'e')
			r->engine = optarg;
		else if (opt == 'f')
			r->family = optarg;
		else if (opt == 'l')
			r->list = true;
		else if (opt == 's')
			r->no_tss32 = true;
		else
			return -1;
	}
	r->names = argv + optind;
	r->name_count = argc - optind;
	return 0;
}

int main(int argc, char **argv)
{
	static struct runner r;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (options(&r, argc, argv) < 0) {
		fprintf(stderr, "usage: isa [-e kvm|soft1|soft2|lockstep|soft|host] [-f FAMILY] [-l] [-s] "
				"[NAME...]\n");
		return 2;
	}
	if (!r.list && (!r.engine || !strcmp(r.engine, "host"))) {
		r.host = start_host();
		if (!r.host)
			return 2;
	}
	run_all(&r);
	if (!r.list && r.passed + r.failed + r.not_run == 0) {
		fprintf(stderr, "isa: no test is called that, or none runs there\n");
		return 2;
	}
	if (!r.list)
		printf("%u passed, %u failed, %u not run; %u checked on this host's processor\n",
		       r.passed, r.failed, r.not_run, r.on_host);
	if (r.host)
		host_stop(r.host);
	for (unsigned i = 0; i < MODELS && r.vm[i].vm; i++)
		isa_vm_free(r.vm[i].vm);
	return r.failed ? 1 : 0;
}
