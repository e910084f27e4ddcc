// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Instructions on the engine against the real processor.
 * Run: make t T=oracle/oracle. LODGE_COUNT=N pairs (default 1400000, half with a fixed and half
 * with a fresh seed); LODGE_ONLY=mnemonic for one operation; LODGE_SEED=S with LODGE_FIRST=N
 * LODGE_COUNT=1 replays one.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "oracle/oracle.h"
#include "x86/disasm.h"
#include "x86/state.h"

#define BATCH 128
#define MAX_FAILURES 25
#define FLAG_COMPARE (FLAGS_ARITH | FLAG_DF | FLAG_TF | FLAG_AC | FLAG_RF)

struct run {
	struct host *host;
	struct soft *soft;
	uint64_t seed;
	uint64_t compared, skipped, failures, deaths;
	uint64_t *families;
	const char *only;
	bool ops[X86_OP_COUNT];
	struct x86_insn insn[BATCH];
	int len[BATCH];
	uint64_t number[BATCH];
};

/* ---- Comparing ------------------------------------------------------------------------------ */

struct diff {
	char text[4096];
	size_t used;
};

static void note(struct diff *d, const char *what, uint64_t host, uint64_t soft)
{
	if (d->used + 128 > sizeof(d->text))
		return;
	d->used += (size_t)snprintf(d->text + d->used, sizeof(d->text) - d->used,
				    "    %-10s host %016" PRIx64 " engine %016" PRIx64 "\n", what,
				    host, soft);
}

static void compare(struct diff *d, const char *what, uint64_t host, uint64_t soft)
{
	if (host != soft)
		note(d, what, host, soft);
}

static void compare_bytes(struct diff *d, const char *what, const uint8_t *h, const uint8_t *s,
			  size_t n)
{
	char name[48];
	unsigned shown = 0;

	if (!memcmp(h, s, n))
		return;
	for (size_t i = 0; i < n && shown < 6; i += 8) {
		uint64_t a, b;

		memcpy(&a, h + i, 8);
		memcpy(&b, s + i, 8);
		if (a == b)
			continue;
		snprintf(name, sizeof(name), "%s+%zx", what, i);
		note(d, name, a, b);
		shown++;
	}
}

/* x87 and vectors. The x87 instruction and data pointers are each side's own. */
static void compare_xsave(struct diff *d, const uint8_t *h, const uint8_t *s)
{
	uint16_t hw[2], sw[2];
	uint32_t hm, sm;

	memcpy(hw, h, 4);
	memcpy(sw, s, 4);
	memcpy(&hm, h + 24, 4);
	memcpy(&sm, s + 24, 4);
	compare(d, "fcw", hw[0], sw[0]);
	compare(d, "fsw", hw[1], sw[1]);
	compare(d, "ftw", h[4], s[4]);
	compare(d, "mxcsr", hm, sm);
	for (unsigned i = 0; i < 8; i++) {
		char name[16];

		if (memcmp(h + 32 + 16 * i, s + 32 + 16 * i, 10)) {
			snprintf(name, sizeof(name), "st%u", i);
			compare_bytes(d, name, h + 32 + 16 * i, s + 32 + 16 * i, 16);
		}
	}
	compare_bytes(d, "xmm", h + 160, s + 160, 256);
	compare_bytes(d, "ymmh", h + 576, s + 576, 256);
}

static bool operand_fault(uint8_t vector)
{
	return vector == VEC_PF || vector == VEC_GP || vector == VEC_SS || vector == VEC_AC;
}

static void compare_results(struct diff *d, const struct oracle_test *t,
			    const struct x86_insn *insn, int len, const struct oracle_result *s)
{
	static const char *const names[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp",
					      "rsi", "rdi", "r8",  "r9",  "r10", "r11",
					      "r12", "r13", "r14", "r15"};
	const struct oracle_result *h = &t->host;
	uint64_t mask = t->mode == X86_MODE_64 ? ~0ull : 0xffffffffull;
	uint64_t flags = FLAG_COMPARE & ~(len > 0 ? gen_undefined_flags(insn, t) : 0);
	unsigned regs = t->mode == X86_MODE_64 ? 16 : 8;

	bool image = len > 0 && (insn->op == X86_OP_FNSAVE || insn->op == X86_OP_FRSTOR ||
				 insn->op == X86_OP_FNSTENV || insn->op == X86_OP_FLDENV);

	/*
	 * Known difference: under TF a gather that faults after it has loaded some elements traps first
	 * on AMD, at the same instruction; the engine goes to the fault at once.
	 */
	if (len > 0 && (insn->flags & X86_IF_VSIB) && h->vector == VEC_DB && h->s.rip == t->in.rip &&
	    operand_fault(s->vector))
		return;
	/*
	 * Which byte of an x87 state image is touched first is the processor's business: of several
	 * faults that one image earns, any may win.
	 */
	if (image && operand_fault(h->vector) && operand_fault(s->vector) && h->vector != s->vector)
		return;
	compare(d, "vector", h->vector, s->vector);
	/* Linux reports every fault in the kernel's half as a protection fault, to hide its layout.
	 */
	compare(d, "error", h->error,
		s->error | (s->vector == VEC_PF && s->cr2 >= 0x7ffffffff000 ? PF_P : 0));
	if (h->vector == VEC_PF && s->vector == VEC_PF) {
		uint64_t page = image ? ~0xfffull : ~0ull;

		compare(d, "cr2", h->cr2 & page, s->cr2 & page);
	}
	for (unsigned i = 0; i < regs; i++)
		compare(d, names[i], h->s.gpr[i] & mask, s->s.gpr[i] & mask);
	compare(d, "rip", h->s.rip & mask, s->s.rip & mask);
	compare(d, "rflags", h->s.rflags & flags, s->s.rflags & flags);
	compare_xsave(d, h->s.xsave, s->s.xsave);
	compare_bytes(d, "data", h->data, s->data, ORACLE_DATA_BYTES);
}

static void describe(const struct run *r, unsigned i, const char *why)
{
	const struct oracle_test *t = &host_tests(r->host)[i];
	char text[128] = "?";

	if (r->len[i] > 0)
		x86_disasm(text, sizeof(text), &r->insn[i], t->in.rip);
	printf("FAIL pair %" PRIu64 ": %s\n    replay: LODGE_SEED=%" PRIu64 " LODGE_FIRST=%" PRIu64
	       " LODGE_COUNT=1 make t T=oracle/oracle\n    mode %s  %s   bytes",
	       r->number[i], why, r->seed, r->number[i],
	       t->mode == X86_MODE_64	? "64"
	       : t->mode == X86_MODE_32 ? "32"
					: "16",
	       r->len[i] > 0 ? text : "(refused by the decoder)");
	for (int k = 0; k < (r->len[i] > 0 ? r->len[i] : 15); k++)
		printf(" %02x", t->code[k]);
	printf("\n");
}

/* ---- Running -------------------------------------------------------------------------------- */

static void run_one(struct run *r, unsigned i)
{
	static struct oracle_result out;
	const struct oracle_test *t = &host_tests(r->host)[i];
	struct diff d = {.used = 0};

	r->compared++;
	r->families[gen_family_index(&r->insn[i], r->len[i])]++;
	if (r->len[i] > 0)
		r->ops[r->insn[i].op] = true;
	if (!soft_run_test(r->soft, t, &out)) {
		r->failures++;
		describe(r, i, "the engine did not come back by an exception");
		return;
	}
	compare_results(&d, t, &r->insn[i], r->len[i], &out);
	if (d.used) {
		r->failures++;
		describe(r, i, "differs");
		fputs(d.text, stdout);
	}
}

/* LODGE_ONLY=mnemonic compares that operation alone. */
static bool wanted(const struct run *r, unsigned n)
{
	if (!r->only)
		return true;
	return r->len[n] > 0 && !strcmp(r->only, x86_op_name((enum x86_op)r->insn[n].op));
}

static unsigned fill(struct run *r, uint64_t *next, uint64_t end, unsigned want)
{
	struct oracle_test *tests = host_tests(r->host);
	unsigned n = 0;

	while (n < want && *next < end) {
		r->number[n] = (*next)++;
		if (gen_test(&tests[n], r->seed, r->number[n], &r->insn[n], &r->len[n]) &&
		    wanted(r, n) && (tests[n].mode != X86_MODE_16 || host_has_16bit(r->host)))
			n++;
		else
			r->skipped++;
	}
	return n;
}

static bool run_range(struct run *r, const char *what, uint64_t first, uint64_t count)
{
	uint64_t next = first, before = r->failures, had = r->compared;

	while (r->compared - had < count && r->failures < MAX_FAILURES) {
		uint64_t left = count - (r->compared - had);
		unsigned died = 0, n = fill(r, &next, count == 1 ? next + 1 : ~0ull,
					    (unsigned)(left < BATCH ? left : BATCH));

		if (!n && count == 1)
			break;
		if (!host_run(r->host, n, &died)) {
			r->failures++;
			r->deaths++;
			describe(r, died, "killed the host's child process");
			n = died;
		}
		for (unsigned i = 0; i < n && r->failures < MAX_FAILURES; i++)
			run_one(r, i);
	}
	if (r->failures == before)
		printf("ok %s: seed %" PRIu64 ", %" PRIu64 " pairs\n", what, r->seed,
		       r->compared - had);
	return r->failures == before;
}

static void report(const struct run *r)
{
	unsigned covered = 0;

	printf("pairs compared: %" PRIu64 ", passed over (cannot run in a host process): %" PRIu64
	       "\n",
	       r->compared, r->skipped);
	for (unsigned i = 0; i < gen_families(); i++) {
		if (r->families[i])
			printf("  %-18s %" PRIu64 "\n", gen_family_name(i), r->families[i]);
	}
	for (unsigned i = 1; i < X86_OP_COUNT; i++)
		covered += r->ops[i];
	printf("operations covered: %u of %u", covered, X86_OP_COUNT - 1);
	if (r->compared < 100000) {
		printf("\n");
		return;
	}
	printf("; not covered:");
	for (unsigned i = 1; i < X86_OP_COUNT; i++) {
		if (!r->ops[i])
			printf(" %s", x86_op_name((enum x86_op)i));
	}
	printf("\n");
}

static uint64_t env_number(const char *name, uint64_t otherwise)
{
	const char *v = getenv(name);

	return v && *v ? strtoull(v, NULL, 0) : otherwise;
}

int main(void)
{
	struct run *r = calloc(1, sizeof(*r));
	uint64_t count = env_number("LODGE_COUNT", 1400000), first = env_number("LODGE_FIRST", 0);
	struct timespec now;

	r->only = getenv("LODGE_ONLY");
	setvbuf(stdout, NULL, _IOLBF, 0);
	clock_gettime(CLOCK_REALTIME, &now);
	r->families = calloc(gen_families(), sizeof(*r->families));
	r->host = host_start(BATCH);
	r->soft = soft_start();
	if (!r->host || !r->soft)
		return 2;
	if (!host_has_16bit(r->host))
		printf("this kernel gives no 16-bit segments: 16-bit code is not compared\n");
	if (getenv("LODGE_SEED")) {
		r->seed = env_number("LODGE_SEED", 0);
		run_range(r, "given seed", first, count);
	} else {
		r->seed = 20261122;
		run_range(r, "fixed seed", 0, count / 2);
		r->seed = (uint64_t)now.tv_sec * 1000003u + (uint64_t)now.tv_nsec;
		run_range(r, "fresh seed", 0, count / 2);
	}
	report(r);
	host_stop(r->host);
	soft_stop(r->soft);
	return r->failures ? 1 : 0;
}
