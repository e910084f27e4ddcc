// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The kernel component's instruction emulator (kmod/emulate.h) against the real processor: the same
 * random instruction, registers, flags and memory on both. Each test runs on the emulator twice: with
 * its data as memory, and with its data as a device that user space answers for, which must see every
 * access exactly once.
 * Run: make t T=oracle/kemu. LODGE_COUNT=N tests (default 600000, half with a fixed and half with a
 * fresh seed); LODGE_ONLY=mnemonic; LODGE_SEED=S LODGE_FIRST=N LODGE_COUNT=1 replays one.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "emulate.h"
#include "oracle/oracle.h"
#include "x86/disasm.h"
#include "x86/state.h"

#define BATCH 128
#define MAX_FAILURES 25
#define FLAG_COMPARE (FLAGS_ARITH | FLAG_DF | FLAG_TF | FLAG_AC)
#define MAX_ROUNDS 40000

/* ---- A machine for the emulator: the oracle's two pages of code and two of data ---------------- */

struct env {
	struct lodge_emu e;
	const struct oracle_test *t;
	bool device; /* the data is one */
	uint8_t code[ORACLE_CODE_BYTES], data[ORACLE_DATA_BYTES], xsave[ORACLE_XSAVE_BYTES];
	bool mmx;
	unsigned accesses;
};

static uint8_t *at(struct env *v, uint64_t gpa, bool *code)
{
	*code = gpa - ORACLE_CODE < ORACLE_CODE_BYTES;
	if (*code)
		return v->code + (gpa - ORACLE_CODE);
	return gpa - ORACLE_DATA < ORACLE_DATA_BYTES ? v->data + (gpa - ORACLE_DATA) : NULL;
}

static int env_translate(void *cpu, uint64_t lin, unsigned access, uint64_t *gpa,
			 struct lodge_emu_exception *ex)
{
	bool code;
	bool there = at(cpu, lin, &code);

	*gpa = lin;
	if (there && !(code && (access & LODGE_EMU_W)) && !(!code && (access & LODGE_EMU_X)))
		return LODGE_EMU_OK;
	ex->vector = VEC_PF;
	ex->has_error = true;
	ex->error = (there ? PF_P : 0) | (access & LODGE_EMU_W ? PF_W : 0) |
		    (access & LODGE_EMU_U ? PF_U : 0) | (access & LODGE_EMU_X ? PF_I : 0);
	ex->cr2 = lin;
	return LODGE_EMU_FAULT;
}

static int env_read(void *cpu, uint64_t gpa, void *buf, unsigned len)
{
	struct env *v = cpu;
	bool code;
	uint8_t *p = at(v, gpa, &code);

	if (v->device && !code)
		return LODGE_EMU_MMIO;
	memcpy(buf, p, len);
	return LODGE_EMU_OK;
}

static int env_write(void *cpu, uint64_t gpa, const void *buf, unsigned len)
{
	struct env *v = cpu;
	bool code;
	uint8_t *p = at(v, gpa, &code);

	if (v->device && !code)
		return LODGE_EMU_MMIO;
	memcpy(p, buf, len);
	return LODGE_EMU_OK;
}

static int env_cmpxchg(void *cpu, uint64_t gpa, const void *old, const void *new, unsigned len)
{
	struct env *v = cpu;
	bool code;
	uint8_t *p = at(v, gpa, &code);

	if (v->device && !code)
		return LODGE_EMU_MMIO;
	if (memcmp(p, old, len))
		return LODGE_EMU_AGAIN;
	memcpy(p, new, len);
	return LODGE_EMU_OK;
}

static int env_mmio(void *cpu, uint64_t gpa, void *buf, unsigned len, bool write)
{
	struct env *v = cpu;

	(void)gpa, (void)buf, (void)len, (void)write;
	v->accesses++;
	return LODGE_EMU_USER;
}

static int env_pio(void *cpu, uint16_t port, unsigned size, void *buf, unsigned count, bool write)
{
	(void)cpu, (void)port, (void)size, (void)buf, (void)count, (void)write;
	return LODGE_EMU_BROKEN; /* no test may use ports */
}

static void env_get_seg(void *cpu, unsigned seg, struct lodge_emu_seg *s)
{
	struct env *v = cpu;
	unsigned mode = v->t->mode;

	*s = (struct lodge_emu_seg){.limit = 0xffffffff, .attr = 0xc0f3, .sel = 0x2b};
	if (seg == LODGE_EMU_CS) {
		s->attr = mode == X86_MODE_64 ? 0xa0fb : 0xc0fb;
		s->sel = mode == X86_MODE_64 ? 0x33 : 0x23;
	}
	if (mode == X86_MODE_16 && seg <= LODGE_EMU_DS) {
		s->base = seg == LODGE_EMU_CS ? ORACLE_CODE : ORACLE_DATA;
		s->limit = 0x1fff;
		s->attr = seg == LODGE_EMU_CS ? 0x00fb : 0x00f3;
		s->sel = seg == LODGE_EMU_CS ? 7 : 15;
	}
	if (seg >= LODGE_EMU_FS)
		*s = (struct lodge_emu_seg){.unusable = true};
	if (seg == LODGE_EMU_TR)
		*s = (struct lodge_emu_seg){.limit = 0x67, .attr = 0x8b, .sel = 0x40};
	if (seg == LODGE_EMU_TR)
		s->limit = 0x60; /* no I/O bitmap */
}

static void env_set_seg(void *cpu, unsigned seg, const struct lodge_emu_seg *s)
{
	(void)cpu, (void)seg, (void)s;
}

/* XCR0 alone. */
static int env_get_sys(void *cpu, enum lodge_emu_kind kind, uint32_t n, uint64_t *val,
		       struct lodge_emu_exception *ex)
{
	(void)cpu, (void)n, (void)ex;
	*val = 7;
	return kind == LODGE_EMU_XCR ? LODGE_EMU_OK : LODGE_EMU_BROKEN;
}

static int env_set_sys(void *cpu, enum lodge_emu_kind kind, uint32_t n, uint64_t val,
		       struct lodge_emu_exception *ex)
{
	(void)cpu, (void)kind, (void)n, (void)val, (void)ex;
	return LODGE_EMU_BROKEN;
}

/* st(i) in an XSAVE image is physical register i + TOP. */
static uint8_t *mmx_at(struct env *v, unsigned reg)
{
	unsigned top = v->xsave[3] >> 3 & 7;

	return v->xsave + 32 + 16 * ((reg - top) & 7);
}

static int env_get_vec(void *cpu, unsigned reg, void *buf, unsigned len)
{
	struct env *v = cpu;

	v->mmx = v->mmx || len == 8;
	memcpy(buf, len == 8 ? mmx_at(v, reg) : v->xsave + 160 + 16 * reg, len == 8 ? 8 : 16);
	if (len == 32)
		memcpy((uint8_t *)buf + 16, v->xsave + 576 + 16 * reg, 16);
	return LODGE_EMU_OK;
}

static int env_set_vec(void *cpu, unsigned reg, const void *buf, unsigned len)
{
	struct env *v = cpu;
	uint8_t *p = len == 8 ? mmx_at(v, reg) : v->xsave + 160 + 16 * reg;

	memcpy(p, buf, len == 8 ? 8 : 16);
	if (len == 8) {
		p[8] = 0xff;
		p[9] = 0xff;
		v->mmx = true;
	}
	if (len == 32)
		memcpy(v->xsave + 576 + 16 * reg, (const uint8_t *)buf + 16, 16);
	return LODGE_EMU_OK;
}

/* Using MMX makes TOP 0 and every register valid. */
static void end_mmx(struct env *v)
{
	unsigned top = v->xsave[3] >> 3 & 7;
	uint8_t st[128];

	if (!v->mmx)
		return;
	for (unsigned i = 0; i < 8; i++)
		memcpy(st + 16 * ((i + top) & 7), v->xsave + 32 + 16 * i, 16);
	memcpy(v->xsave + 32, st, 128);
	v->xsave[3] &= 0xc7;
	v->xsave[4] = 0xff;
}

static const struct lodge_emu_ops env_ops = {
	.translate = env_translate,
	.read = env_read,
	.write = env_write,
	.cmpxchg = env_cmpxchg,
	.mmio = env_mmio,
	.pio = env_pio,
	.get_seg = env_get_seg,
	.set_seg = env_set_seg,
	.get_sys = env_get_sys,
	.set_sys = env_set_sys,
	.get_vec = env_get_vec,
	.set_vec = env_set_vec,
};

static void load(struct env *v, const struct oracle_test *t)
{
	v->t = t;
	v->mmx = false;
	v->accesses = 0;
	memset(v->code, 0xcc, sizeof(v->code));
	for (unsigned i = 0; i < ORACLE_CODE_MAX && t->code_off + i < ORACLE_CODE_BYTES; i++)
		v->code[t->code_off + i] = t->code[i];
	memset(v->data, 0, sizeof(v->data));
	memcpy(v->data + (ORACLE_DATA_BYTES - ORACLE_WINDOW) / 2, t->window, ORACLE_WINDOW);
	memcpy(v->xsave, t->in.xsave, sizeof(v->xsave));
	lodge_emu_init(&v->e, &env_ops, v);
	v->e.intel = !x86_host_is_amd();
	memcpy(v->e.gpr, t->in.gpr, sizeof(v->e.gpr));
	v->e.rip = t->in.rip;
	v->e.rflags = t->in.rflags;
	v->e.cr0 = CR0_PE | CR0_PG | CR0_AM | CR0_WP | CR0_NE | CR0_MP | CR0_ET;
	v->e.cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE | CR4_FSGSBASE;
	v->e.efer = EFER_LMA | EFER_LME | EFER_NXE;
	v->e.cpl = 3;
}

/* User space: the data as a device of bytes. */
static void answer(struct env *v)
{
	uint8_t *p = v->data + (v->e.io.addr - ORACLE_DATA);

	if (v->e.io.write)
		memcpy(p, v->e.io.data, v->e.io.size);
	else
		memcpy(v->e.io.data, p, v->e.io.size);
}

/* Run until the instruction is left. */
static enum lodge_emu_result run_emu(struct env *v)
{
	enum lodge_emu_result r = LODGE_EMU_DONE;
	uint64_t rip = v->e.rip;

	for (unsigned i = 0; i < MAX_ROUNDS; i++) {
		r = lodge_emu_waits(&v->e) ? lodge_emu_resume(&v->e) : lodge_emu_run(&v->e);
		if (r == LODGE_EMU_NEED_IO) {
			answer(v);
			continue;
		}
		if (r != LODGE_EMU_DONE || v->e.trap || v->e.rip != rip)
			break;
	}
	if (r == LODGE_EMU_DONE)
		end_mmx(v);
	return r;
}

/* ---- Comparing --------------------------------------------------------------------------------- */

struct run {
	struct host *host;
	struct env env;
	const char *only;
	uint64_t seed, compared, refused, passed_over, failures, faults, devices;
	bool done[X86_OP_COUNT], not_here[X86_OP_COUNT];
	struct x86_insn insn[BATCH];
	int len[BATCH];
	uint64_t number[BATCH];
	char text[4096];
	size_t used;
};

static void compare(struct run *r, const char *what, uint64_t host, uint64_t emu)
{
	if (host == emu || r->used + 128 > sizeof(r->text))
		return;
	r->used += (size_t)snprintf(r->text + r->used, sizeof(r->text) - r->used,
				    "    %-10s host %016" PRIx64 " emulator %016" PRIx64 "\n", what,
				    host, emu);
}

static void compare_bytes(struct run *r, const char *what, const uint8_t *h, const uint8_t *s,
			  size_t n)
{
	for (size_t i = 0; i < n; i += 8) {
		char name[48];
		uint64_t a, b;

		memcpy(&a, h + i, 8);
		memcpy(&b, s + i, 8);
		snprintf(name, sizeof(name), "%s+%zx", what, i);
		compare(r, name, a, b);
	}
}

static bool is_fault(uint8_t vector)
{
	return vector != VEC_DB && vector != VEC_BP && vector != VEC_OF;
}

static bool has_mmx(const struct x86_insn *in)
{
	for (unsigned i = 0; i < in->nopds; i++) {
		if (in->opd[i].kind == X86_OPD_REG && in->opd[i].rc == X86_RC_MMX)
			return true;
	}
	return false;
}

/* The emulator runs rotations by CL; by a number Intel's processors leave another OF, which nobody defines. */
static uint64_t undefined_flags(const struct run *r, const struct x86_insn *in,
				const struct oracle_test *t)
{
	bool rotates = in->op == X86_OP_ROL || in->op == X86_OP_ROR;

	return gen_undefined_flags(in, t) |
	       (rotates && r->env.e.intel && in->imm_len ? FLAG_OF : 0);
}

static void compare_state(struct run *r, const struct oracle_test *t, const struct x86_insn *in,
			  uint64_t rip, uint64_t flag_mask)
{
	static const char *const names[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp",
					      "rsi", "rdi", "r8",  "r9",  "r10", "r11",
					      "r12", "r13", "r14", "r15"};
	uint64_t mask = t->mode == X86_MODE_64 ? ~0ull : 0xffffffff;
	const struct oracle_state *h = &t->host.s;
	struct env *v = &r->env;

	bool fault = is_fault(t->host.vector);

	flag_mask &= ~undefined_flags(r, in, t);
	/* The processor leaves behind what POPA popped before a fault; the emulator does not. */
	for (unsigned i = 0;
	     i < (t->mode == X86_MODE_64 ? 16 : 8) && !(fault && in->op == X86_OP_POPA); i++)
		compare(r, names[i], h->gpr[i] & mask, v->e.gpr[i] & mask);
	compare(r, "rip", h->rip & mask, rip & mask);
	compare(r, "rflags", h->rflags & flag_mask, v->e.rflags & flag_mask);
	/* To Intel's processors x87 registers are MMX's before an operand faults, to the emulator after. */
	if (!(fault && has_mmx(in))) {
		compare(r, "fsw", h->xsave[3], v->xsave[3]);
		compare(r, "ftw", h->xsave[4], v->xsave[4]);
		for (unsigned i = 0; i < 8; i++)
			compare_bytes(r, "st", h->xsave + 32 + 16 * i, v->xsave + 32 + 16 * i, 8);
	}
	compare_bytes(r, "xmm", h->xsave + 160, v->xsave + 160, 256);
	compare_bytes(r, "ymmh", h->xsave + 576, v->xsave + 576, 256);
	/* The processor leaves behind what ENTER, PUSHA, and Intel's CALL, pushed before a fault; the emulator does not. */
	if (fault && (in->op == X86_OP_ENTER || in->op == X86_OP_PUSHA || in->op == X86_OP_CALL ||
		      in->op == X86_OP_CALL_IND))
		return;
	compare_bytes(r, "data", t->host.data, v->data, ORACLE_DATA_BYTES);
}

static void compare_exception(struct run *r, const struct oracle_test *t)
{
	const struct oracle_result *h = &t->host;
	const struct lodge_emu_exception *x = &r->env.e.ex;

	compare(r, "vector", h->vector, x->vector);
	compare(r, "error", h->error,
		(x->has_error ? x->error : 0) |
			(x->vector == VEC_PF && x->cr2 >= 0x7ffffffff000 ? PF_P : 0));
	if (h->vector == VEC_PF && x->vector == VEC_PF)
		compare(r, "cr2", h->cr2, x->cr2);
	r->faults++;
}

/* INT n goes to a gate that only INT3 and INTO may use. */
static void compare_event(struct run *r, const struct oracle_test *t)
{
	const struct lodge_emu *e = &r->env.e;
	unsigned vector = e->ex.vector;

	if (vector == VEC_BP || vector == VEC_OF) {
		compare(r, "vector", t->host.vector, vector);
		compare(r, "next rip", t->host.s.rip, e->next_rip);
		return;
	}
	compare(r, "vector", t->host.vector, VEC_GP);
	compare(r, "error", t->host.error, vector << 3 | 2);
}

/* The instruction ended: the host has trapped behind it, or run into INT3. */
static void compare_done(struct run *r, const struct oracle_test *t, const struct x86_insn *in)
{
	struct env *v = &r->env;
	bool code;
	const uint8_t *next;

	if (t->kind == ORACLE_STEP) {
		compare(r, "vector", t->host.vector, VEC_DB);
		compare_state(r, t, in, v->e.rip, FLAG_COMPARE);
		return;
	}
	next = at(v, v->e.rip + (t->mode == X86_MODE_16 ? ORACLE_CODE : 0), &code);
	if (!next || !code || *next != 0xcc)
		return;
	compare(r, "vector", t->host.vector, VEC_BP);
	compare_state(r, t, in, v->e.rip + 1, FLAG_COMPARE);
}

/* False: it differs, as r->text says. */
static bool check(struct run *r, unsigned i, bool device)
{
	const struct oracle_test *t = &host_tests(r->host)[i];
	enum lodge_emu_result res;

	r->used = 0;
	load(&r->env, t);
	r->env.device = device;
	res = run_emu(&r->env);
	switch (res) {
	case LODGE_EMU_DONE:
		compare_done(r, t, &r->insn[i]);
		r->done[r->insn[i].op] = true;
		break;
	case LODGE_EMU_EXCEPTION:
		compare_exception(r, t);
		if (t->host.vector == r->env.e.ex.vector)
			compare_state(r, t, &r->insn[i], r->env.e.rip, FLAG_COMPARE);
		break;
	case LODGE_EMU_EVENT:
		compare_event(r, t);
		break;
	case LODGE_EMU_REFUSED:
		r->refused++;
		r->not_here[r->insn[i].op] = true;
		break;
	default:
		compare(r, "result", LODGE_EMU_DONE, res);
		break;
	}
	r->devices += r->env.accesses;
	return !r->used;
}

static void describe(const struct run *r, unsigned i, bool device)
{
	const struct oracle_test *t = &host_tests(r->host)[i];
	char text[128] = "?";
	int len = r->len[i];

	if (len > 0)
		x86_disasm(text, sizeof(text), &r->insn[i], t->in.rip);
	printf("FAIL test %" PRIu64 ": differs\n    replay: LODGE_SEED=%" PRIu64
	       " LODGE_FIRST=%" PRIu64
	       " LODGE_COUNT=1 make t T=oracle/kemu\n    %s-bit mode, %s, data is %s: %s ",
	       r->number[i], r->seed, r->number[i],
	       t->mode == X86_MODE_64	? "64"
	       : t->mode == X86_MODE_32 ? "32"
					: "16",
	       t->kind == ORACLE_STEP ? "step" : "run", device ? "a device" : "memory", text);
	for (int k = 0; k < (len > 0 ? len : 15); k++)
		printf(" %02x", t->code[k]);
	printf("\n%.*s", (int)r->used, r->text);
}

/* ---- Running ----------------------------------------------------------------------------------- */

static bool wanted(const struct run *r, unsigned n)
{
	const struct x86_insn *in = &r->insn[n];

	if (r->len[n] <= 0)
		return false;
	/* To AMD's processors a repeat prefix means something to LOOPE and LOOPNE. */
	if ((in->op == X86_OP_LOOPE || in->op == X86_OP_LOOPNE) &&
	    (in->flags & (X86_IF_REP | X86_IF_REPNE)))
		return false;
	return !r->only || !strcmp(r->only, x86_op_name((enum x86_op)r->insn[n].op));
}

static unsigned fill(struct run *r, uint64_t *next, uint64_t end)
{
	struct oracle_test *tests = host_tests(r->host);
	unsigned n = 0;

	while (n < BATCH && *next < end) {
		r->number[n] = (*next)++;
		tests[n].kind = r->number[n] & 1 ? ORACLE_STEP : ORACLE_RUN;
		if (gen_test(&tests[n], r->seed, r->number[n], &r->insn[n], &r->len[n]) &&
		    wanted(r, n) && (tests[n].mode != X86_MODE_16 || host_has_16bit(r->host)))
			n++;
		else
			r->passed_over++;
	}
	return n;
}

static void run_range(struct run *r, const char *what, uint64_t first, uint64_t count)
{
	uint64_t next = first, failed = r->failures, refused = r->refused;
	unsigned died;

	while (next < first + count && r->failures < MAX_FAILURES) {
		unsigned n = fill(r, &next, first + count);

		if (n && !host_run(r->host, n, &died))
			n = died;
		for (unsigned i = 0; i < n && r->failures < MAX_FAILURES; i++) {
			if (host_tests(r->host)[i].host.vector == ORACLE_NO_END)
				continue;
			for (unsigned device = 0; device < 2; device++) {
				r->compared++;
				if (check(r, i, device))
					continue;
				r->failures++;
				describe(r, i, device);
				break;
			}
		}
	}
	if (failed == r->failures)
		printf("ok %s: seed %" PRIu64 ", %" PRIu64 " tests, refused %" PRIu64 "\n", what,
		       r->seed, count, r->refused - refused);
}

static void report(const struct run *r)
{
	unsigned done = 0;

	printf("compared: %" PRIu64 ", exceptions %" PRIu64 ", refused %" PRIu64
	       ", accesses of devices %" PRIu64 ", passed over %" PRIu64 "\n",
	       r->compared, r->faults, r->refused, r->devices, r->passed_over);
	printf("operations done:");
	for (unsigned i = 1; i < X86_OP_COUNT; i++) {
		if (r->done[i]) {
			done++;
			printf(" %s", x86_op_name((enum x86_op)i));
		}
	}
	printf("\n%u operations; refused though done elsewhere:", done);
	for (unsigned i = 1; i < X86_OP_COUNT; i++) {
		if (r->done[i] && r->not_here[i])
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
	uint64_t count = env_number("LODGE_COUNT", 600000), first = env_number("LODGE_FIRST", 0);
	struct timespec now;

	setvbuf(stdout, NULL, _IOLBF, 0);
	clock_gettime(CLOCK_REALTIME, &now);
	if (!r)
		return 2;
	r->only = getenv("LODGE_ONLY");
	r->host = host_start(BATCH);
	if (!r->host)
		return 2;
	if (getenv("LODGE_SEED")) {
		r->seed = env_number("LODGE_SEED", 0);
		run_range(r, "given seed", first, count);
	} else {
		r->seed = 20261130;
		run_range(r, "fixed seed", 0, count / 2);
		r->seed = (uint64_t)now.tv_sec * 1000003u + (uint64_t)now.tv_nsec;
		run_range(r, "fresh seed", 0, count / 2);
	}
	report(r);
	host_stop(r->host);
	return r->failures ? 1 : 0;
}
