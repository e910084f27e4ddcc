// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Instructions on the engine against the real processor. Test N is of one of three kinds: one
 * instruction under TF, run by the interpreter; one without TF, and several in a row, both run by
 * the translator (and some of the last by the interpreter too).
 * Run: make t T=oracle/oracle. LODGE_COUNT=N pairs (default 1600000, half with a fixed and half
 * with a fresh seed); LODGE_KIND=step|run|seq for one kind; LODGE_ONLY=mnemonic for one operation;
 * LODGE_TIER=1|2 for all of them on one tier; LODGE_CHECK=1 for tier 2 in lockstep with tier 1; LODGE_SEED=S with LODGE_FIRST=N LODGE_COUNT=1 replays
 * one.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "oracle/oracle.h"
#include "x86/disasm.h"
#include "x86/state.h"

#define BATCH 128
#define MAX_FAILURES 25
#define FLAG_COMPARE (FLAGS_ARITH | FLAG_DF | FLAG_TF | FLAG_AC | FLAG_RF)

static const char *const kind_names[ORACLE_KINDS] = {"step", "run", "seq"};

struct run {
	struct host *host;
	struct soft *soft[3]; /* by tier */
	unsigned tier;	      /* the only one, or 0 */
	int kind;	      /* the only one, or -1 */
	uint64_t seed;
	uint64_t compared, skipped, failures, deaths, no_end, wavered;
	uint64_t kinds[ORACLE_KINDS], faults[ORACLE_KINDS], tiers[3];
	uint64_t *families, *seq_families, in_sequences;
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
static void compare_xsave(struct diff *d, const uint8_t *h, const uint8_t *s, uint32_t mxcsr)
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
	compare(d, "mxcsr", hm & mxcsr, sm & mxcsr);
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

static bool is_fault(uint8_t vector)
{
	return vector != VEC_DB && vector != VEC_BP && vector != VEC_OF;
}

/* Memory operands that the processor takes in several accesses: x87 state images, 80 bits. */
static bool in_parts(const struct x86_insn *insn)
{
	if (insn->op == X86_OP_FNSAVE || insn->op == X86_OP_FRSTOR || insn->op == X86_OP_FNSTENV ||
	    insn->op == X86_OP_FLDENV)
		return true;
	for (unsigned i = 0; i < insn->nopds; i++) {
		if (insn->opd[i].kind == X86_OPD_MEM && insn->opd[i].size == 10)
			return true;
	}
	return false;
}

static void compare_results(struct diff *d, const struct oracle_test *t,
			    const struct x86_insn *insn, int len, const struct oracle_result *s,
			    unsigned tier)
{
	static const char *const names[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp",
					      "rsi", "rdi", "r8",  "r9",  "r10", "r11",
					      "r12", "r13", "r14", "r15"};
	const struct oracle_result *h = &t->host;
	uint64_t mask = t->mode == X86_MODE_64 ? ~0ull : 0xffffffffull;
	uint64_t flags = FLAG_COMPARE & ~(len > 0 ? gen_undefined_flags(insn, t) : 0);
	unsigned regs = t->mode == X86_MODE_64 ? 16 : 8;
	uint32_t mxcsr = ~0u;

	/* The translator may have lost flags that the faulting block overwrites (docs/adr/0010). */
	if (tier == 2 && is_fault(h->vector))
		flags &= ~(uint64_t)FLAGS_ARITH;

	bool image = len > 0 && in_parts(insn);

	/*
	 * Known difference: under TF a gather that faults after it has loaded some elements traps first
	 * on AMD, at the same instruction; the engine goes to the fault at once.
	 */
	if (len > 0 && (insn->flags & X86_IF_VSIB) && h->vector == VEC_DB &&
	    h->s.rip == t->in.rip && operand_fault(s->vector))
		return;
	/*
	 * Which byte of such an operand is touched first is the processor's business: of several
	 * faults that it earns, any may win.
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
	/* Known difference: Intel's processors round before the store of VCVTPS2PH faults, and MXCSR says so. */
	if (len > 0 && insn->op == X86_OP_VCVTPS2PH && operand_fault(h->vector))
		mxcsr &= ~0x3fu;
	compare_xsave(d, h->s.xsave, s->s.xsave, mxcsr);
	/* Known difference: of FBSTP's bytes Intel's processors may have stored some when others fault. */
	if (!(len > 0 && insn->op == X86_OP_FBSTP && operand_fault(h->vector)))
		compare_bytes(d, "data", h->data, s->data, ORACLE_DATA_BYTES);
}

/* ---- Saying what differs -------------------------------------------------------------------- */

static void list_code(const struct oracle_test *t, unsigned bytes)
{
	for (unsigned at = 0; at < bytes;) {
		struct x86_insn in;
		char text[128] = "?";
		int len = oracle_decode(t, &in, t->code + at, ORACLE_CODE_MAX - at);

		if (len == 1 && t->code[at] == 0x90 && at && t->code[at - 1] == 0x90) {
			at++;
			continue;
		}
		if (len > 0)
			x86_disasm(text, sizeof(text), &in, t->in.rip + at);
		printf("    %08" PRIx64 "  %-48s", t->in.rip + at, text);
		for (int k = 0; k < (len > 0 ? len : 15); k++)
			printf(" %02x", t->code[at + (unsigned)k]);
		printf("\n");
		at += len > 0 ? (unsigned)len : bytes;
	}
}

static void describe(const struct run *r, unsigned i, unsigned tier, const char *why)
{
	const struct oracle_test *t = &host_tests(r->host)[i];

	printf("FAIL pair %" PRIu64 ": %s\n    replay: LODGE_SEED=%" PRIu64 " LODGE_FIRST=%" PRIu64
	       " LODGE_COUNT=1 LODGE_TIER=%u make t T=oracle/oracle\n    %s, %s-bit mode, tier "
	       "%u\n",
	       r->number[i], why, r->seed, r->number[i], tier, kind_names[t->kind],
	       t->mode == X86_MODE_64	? "64"
	       : t->mode == X86_MODE_32 ? "32"
					: "16",
	       tier);
	list_code(t, r->len[i] > 0 ? (unsigned)r->len[i] : 1);
}

/* ---- Running -------------------------------------------------------------------------------- */

/* The instruction that the host stopped at, for what is known about single instructions. */
static int stopped_at(const struct oracle_test *t, struct x86_insn *in)
{
	uint64_t at = t->host.s.rip - t->in.rip;

	return at < ORACLE_CODE_MAX ? oracle_decode(t, in, t->code + at, ORACLE_CODE_MAX - at) : 0;
}

/* What the watchdog prints. */
static struct {
	volatile uint64_t seed, number, tick;
	volatile unsigned tier;
} at_work;

static void on_tick(int sig)
{
	static uint64_t seen = ~0ull;

	(void)sig;
	if (seen != at_work.tick) {
		seen = at_work.tick;
		return;
	}
	printf("FAIL pair %" PRIu64
	       ": the engine does not come back\n    replay: LODGE_SEED=%" PRIu64
	       " LODGE_FIRST=%" PRIu64 " LODGE_COUNT=1 LODGE_TIER=%u make t T=oracle/oracle\n",
	       at_work.number, at_work.seed, at_work.number, at_work.tier);
	fflush(stdout);
	_exit(1);
}

/* Run test `i` and compare. False: it differs, as d says. */
static bool check(struct run *r, unsigned i, unsigned tier, bool again, struct diff *d)
{
	static struct oracle_result out;
	const struct oracle_test *t = &host_tests(r->host)[i];
	struct x86_insn insn = r->insn[i];
	int len = r->len[i];

	at_work.seed = r->seed;
	at_work.number = r->number[i];
	at_work.tier = tier;
	at_work.tick++;
	d->used = 0;
	if (t->host.vector == ORACLE_NO_END)
		return true;
	if (!soft_run_test(r->soft[tier], t, again, &out)) {
		d->used = (size_t)snprintf(d->text, sizeof(d->text),
					   "    the engine did not come back by an exception\n");
		return false;
	}
	if (t->kind == ORACLE_SEQ)
		len = stopped_at(t, &insn);
	compare_results(d, t, &insn, len, &out, tier);
	return !d->used;
}

/* Replace by NOPs what is not needed for the difference; test 0 then is the shortened one. */
static void shorten(struct run *r, unsigned tier, bool again)
{
	static struct diff d;
	struct oracle_test *t = host_tests(r->host);
	unsigned died;

	for (unsigned at = 0; at < (unsigned)r->len[0];) {
		uint8_t was[16];
		struct x86_insn in;
		int len = oracle_decode(t, &in, t->code + at, ORACLE_CODE_MAX - at);

		if (len <= 0)
			return;
		memcpy(was, t->code + at, (size_t)len);
		memset(t->code + at, 0x90, (size_t)len);
		if (!host_run(r->host, 1, &died) ||
		    (check(r, 0, tier, false, &d) && (!again || check(r, 0, tier, true, &d))))
			memcpy(t->code + at, was, (size_t)len);
		at += (unsigned)len;
	}
	if (host_run(r->host, 1, &died) && check(r, 0, tier, false, &d) && again)
		check(r, 0, tier, true, &d);
	printf("  shortened:\n");
	list_code(t, (unsigned)r->len[0]);
	fputs(d.text, stdout);
}

static void failed(struct run *r, unsigned i, unsigned tier, bool again, struct diff *d)
{
	static struct oracle_test kept[2];
	struct oracle_test *t = host_tests(r->host);
	int len = r->len[0];

	r->failures++;
	describe(r, i, tier, again ? "differs in its second run" : "differs");
	printf("%.*s", (int)d->used, d->text);
	if (t[i].kind != ORACLE_SEQ)
		return;
	kept[0] = t[0];
	t[0] = t[i];
	r->len[0] = r->len[i];
	shorten(r, tier, again);
	t[0] = kept[0];
	r->len[0] = len;
}

/*
 * Does the host answer otherwise when it is asked again, and as the engine does? AMD processors keep
 * the x87's last addresses over a context switch only while an exception is pending, so a host that
 * switches in between forgets them.
 */
static bool host_wavers(struct run *r, unsigned i, unsigned tier, bool again)
{
	static struct oracle_test kept;
	static struct oracle_result before;
	static struct diff d;
	struct oracle_test *t = host_tests(r->host);
	struct x86_insn insn = r->insn[0];
	uint64_t number = r->number[0];
	int len = r->len[0];
	unsigned died;
	bool wavers = false;

	kept = t[0];
	before = t[i].host;
	t[0] = t[i];
	r->len[0] = r->len[i];
	r->insn[0] = r->insn[i];
	r->number[0] = r->number[i];
	if (host_run(r->host, 1, &died) && memcmp(&before, &t[0].host, sizeof(before)))
		wavers = check(r, 0, tier, false, &d) && (!again || check(r, 0, tier, true, &d));
	t[0] = kept;
	r->len[0] = len;
	r->insn[0] = insn;
	r->number[0] = number;
	r->wavered += wavers;
	return wavers;
}

static void judge(struct run *r, unsigned i, unsigned tier, bool again, struct diff *d)
{
	if (!host_wavers(r, i, tier, again))
		failed(r, i, tier, again, d);
}

static void run_on(struct run *r, unsigned i, unsigned tier)
{
	static struct diff d;

	r->tiers[tier]++;
	if (!check(r, i, tier, false, &d))
		judge(r, i, tier, false, &d);
	else if (host_tests(r->host)[i].kind == ORACLE_SEQ && !(r->number[i] & 4) &&
		 !check(r, i, tier, true, &d))
		judge(r, i, tier, true, &d);
}

/* Does test `i` run on this tier? */
static bool on_tier(const struct run *r, unsigned i, unsigned tier)
{
	unsigned kind = host_tests(r->host)[i].kind;

	if (r->tier)
		return tier == r->tier;
	if (kind == ORACLE_STEP)
		return tier == 1;
	return tier == 2 || (kind == ORACLE_SEQ && !(r->number[i] & 0x38));
}

static void count_sequence(struct run *r, unsigned i)
{
	const struct oracle_test *t = &host_tests(r->host)[i];
	struct x86_insn in;
	int len;

	for (unsigned at = 0; at < (unsigned)r->len[i]; at += (unsigned)len) {
		len = oracle_decode(t, &in, t->code + at, ORACLE_CODE_MAX - at);
		if (len <= 0)
			return;
		r->ops[in.op] = true;
		r->in_sequences++;
		r->seq_families[gen_family_index(&in, len)]++;
	}
}

static void count_test(struct run *r, unsigned i)
{
	const struct oracle_test *t = &host_tests(r->host)[i];

	r->compared++;
	r->kinds[t->kind]++;
	r->faults[t->kind] += is_fault(t->host.vector);
	if (t->host.vector == ORACLE_NO_END)
		r->no_end++;
	if (t->kind == ORACLE_SEQ) {
		count_sequence(r, i);
		return;
	}
	r->families[gen_family_index(&r->insn[i], r->len[i])]++;
	if (r->len[i] > 0)
		r->ops[r->insn[i].op] = true;
}

/* LODGE_ONLY=mnemonic compares that operation alone. */
static bool wanted(const struct run *r, unsigned n)
{
	if (!r->only)
		return true;
	return host_tests(r->host)[n].kind != ORACLE_SEQ && r->len[n] > 0 &&
	       !strcmp(r->only, x86_op_name((enum x86_op)r->insn[n].op));
}

static bool make_test(struct run *r, unsigned n)
{
	static const uint8_t kinds[4] = {ORACLE_SEQ, ORACLE_STEP, ORACLE_SEQ, ORACLE_RUN};
	struct oracle_test *t = &host_tests(r->host)[n];

	t->kind = r->kind >= 0 ? (uint8_t)r->kind : kinds[r->number[n] & 3];
	return t->kind == ORACLE_SEQ ? seq_test(t, r->seed, r->number[n], &r->insn[n], &r->len[n])
				     : gen_test(t, r->seed, r->number[n], &r->insn[n], &r->len[n]);
}

static unsigned fill(struct run *r, uint64_t *next, uint64_t end, unsigned want)
{
	struct oracle_test *tests = host_tests(r->host);
	unsigned n = 0;

	while (n < want && *next < end) {
		at_work.tick++;
		r->number[n] = (*next)++;
		if (make_test(r, n) && wanted(r, n) &&
		    (tests[n].mode != X86_MODE_16 || host_has_16bit(r->host)))
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
			describe(r, died, 0, "killed the host's child process");
			n = died;
		}
		for (unsigned i = 0; i < n; i++)
			count_test(r, i);
		for (unsigned tier = 1; tier <= 2; tier++) {
			for (unsigned i = 0; i < n && r->failures < MAX_FAILURES; i++) {
				if (on_tier(r, i, tier))
					run_on(r, i, tier);
			}
		}
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
	for (unsigned k = 0; k < ORACLE_KINDS; k++)
		printf("  %s: %" PRIu64 ", %" PRIu64 " of them faults\n", kind_names[k],
		       r->kinds[k], r->faults[k]);
	printf("  on tier 1: %" PRIu64 ", on tier 2: %" PRIu64 ", without end: %" PRIu64 "\n",
	       r->tiers[1], r->tiers[2], r->no_end);
	if (r->wavered)
		printf("  the host's own answer changed and was then the engine's: %" PRIu64 "\n",
		       r->wavered);
	printf("  %-18s %10s %10" PRIu64 " in sequences\n", "instructions", "alone",
	       r->in_sequences);
	for (unsigned i = 0; i < gen_families(); i++) {
		if (r->families[i] || r->seq_families[i])
			printf("  %-18s %10" PRIu64 " %10" PRIu64 "\n", gen_family_name(i),
			       r->families[i], r->seq_families[i]);
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

static void watch(void)
{
	struct sigaction sa = {.sa_handler = on_tick, .sa_flags = SA_ONSTACK | SA_RESTART};
	struct itimerval tick = {{10, 0}, {10, 0}};

	sigaction(SIGVTALRM, &sa, NULL);
	setitimer(ITIMER_VIRTUAL, &tick, NULL);
}

static bool start(struct run *r)
{
	const char *kind = getenv("LODGE_KIND");

	r->tier = (unsigned)env_number("LODGE_TIER", 0);
	r->kind = -1;
	for (int k = 0; kind && k < ORACLE_KINDS; k++) {
		if (!strcmp(kind, kind_names[k]))
			r->kind = k;
	}
	r->host = host_start(BATCH);
	for (unsigned tier = 1; tier <= 2; tier++)
		r->soft[tier] = soft_start(tier);
	watch();
	return r->host && r->soft[1] && r->soft[2];
}

int main(void)
{
	struct run *r = calloc(1, sizeof(*r));
	uint64_t count = env_number("LODGE_COUNT", 1600000), first = env_number("LODGE_FIRST", 0);
	struct timespec now;

	r->only = getenv("LODGE_ONLY");
	setvbuf(stdout, NULL, _IOLBF, 0);
	clock_gettime(CLOCK_REALTIME, &now);
	r->families = calloc(gen_families(), sizeof(*r->families));
	r->seq_families = calloc(gen_families(), sizeof(*r->seq_families));
	if (!r->families || !r->seq_families || !start(r))
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
	soft_stop(r->soft[1]);
	soft_stop(r->soft[2]);
	return r->failures ? 1 : 0;
}
