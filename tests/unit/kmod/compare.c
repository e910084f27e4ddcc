// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The kernel component's instruction emulator against the software engine, in what no host process
 * can run: segments, far transfers, gates, IRET, tables, ports, in every mode. The same random
 * instruction, registers, tables and stack on both, one step each.
 * Run: make t T=kmod/compare. LODGE_COUNT=N (default 40000 a test); LODGE_SEED=S replays.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <cmocka.h>

#include "kemu_machine.h"
#include "splitmix.h"
#include "unit/engine/sys_machine.h"
#include "x86/disasm.h"

#define COMPARED 0x110000u
#define TABLES A_PML4 /* the emulator's machine has no page tables to set bits in */
#define MAX_FAILURES 12

static struct kemu K;
static uint64_t rnd_state;

static uint64_t rnd(void)
{
	return splitmix64(&rnd_state);
}

static unsigned pick(unsigned n)
{
	return (unsigned)(rnd() % n);
}

/* ---- Random states -------------------------------------------------------------------------- */

static uint16_t selector(void)
{
	static const uint16_t sels[] = {0,	  3,	    S_CODE0,	S_DATA0,  S_CODE1,
					S_DATA1,  S_CODE3,  S_DATA3,	S_CONF0,  S_CODE16,
					S_DATA16, S_CODE64, S_CODE64_3, S_TSS,	  S_LDT,
					S_TSS2,	  S_TSS16,  S_GATE,	S_ABSENT, S_EXECONLY,
					S_ROD,	  S_FREE,   0x4,	0xf8,	  0x100};
	uint16_t s = sels[pick(sizeof(sels) / sizeof(sels[0]))];

	return (uint16_t)(pick(4) ? s : s ^ pick(4));
}

static void pick_mode(void)
{
	switch (pick(8)) {
	case 0:
	case 1:
		env_real();
		break;
	case 2:
		env_pm(0);
		break;
	case 3:
		env_pm(pick(2) ? 1 : 3);
		break;
	case 4:
		env_vm86(pick(2) ? 3 : 0);
		break;
	case 5:
		env_long(0);
		break;
	case 6:
		env_long(3);
		break;
	default:
		env_long(0);
		S->seg[SEG_CS] = seg_of(S_CODE0);
		break;
	}
}

static void make_gate(void)
{
	static const uint8_t types[] = {4, 12, 12, 5};
	unsigned type = types[pick(4)];

	put_gate(R + A_GDT + S_GATE, selector(), A_CODE2, type, pick(4) ? 3 : 0,
		 type == 5 ? 0 : pick(4), S->efer & EFER_LMA);
}

static uint64_t value(void)
{
	switch (pick(5)) {
	case 0:
		return selector();
	case 1:
		return A_DATA + pick(0x800);
	case 2:
		return A_CODE2 + pick(64);
	case 3:
		return pick(256);
	default:
		return rnd() >> pick(64);
	}
}

/* Frames of IRET and RET: likely rip, selector, flags, stack, selector. */
static void make_stack(unsigned bytes)
{
	uint64_t sp = S->gpr[R_RSP];
	unsigned target = S->seg[SEG_CS].base && pick(4) ? pick(64) : A_CODE2 + pick(64);

	for (unsigned i = 0; i < 12; i++) {
		uint64_t v = i == 0   ? target
			     : i == 2 ? (rnd() & 0x3f7fd7 & ~(pick(8) ? FLAG_VM : 0) & ~FLAG_TF) | 2
			     : i == 3 ? A_STACK3 - 0x100
				      : selector();

		if (pick(12) == 0)
			v = value();
		memcpy(R + S->seg[SEG_SS].base + sp + (size_t)bytes * i, &v, bytes);
	}
}

static void make_state(void)
{
	pick_mode();
	make_gate();
	if (pick(2))
		S->gpr[R_RSP] -= 0x100;
	for (unsigned i = 0; i < 16; i++) {
		if (i != R_RSP)
			S->gpr[i] = value() & (S->efer & EFER_LMA ? ~0ull : 0xffffffff);
	}
	for (unsigned i = 0; i < 0x900; i += 8) {
		uint64_t v = value();

		if (pick(3) == 0)
			v = (v & 0xffffffff) | (uint64_t)selector() << (pick(2) ? 32 : 16);
		st_le64(R + A_DATA + i, v);
	}
	S->rflags |= rnd() & (FLAGS_ARITH | FLAG_DF | (pick(4) ? 0 : FLAG_IF));
	if (!(S->rflags & FLAG_VM) && pick(6) == 0)
		S->rflags |= FLAG_IOPL;
	if (S->cr0 & CR0_PE && pick(6) == 0)
		S->cr4 |= CR4_UMIP;
}

/* ---- Random instructions -------------------------------------------------------------------- */

/* Opcodes with ModRM have 1 in the first byte's place. */
static const struct {
	uint8_t n, b[3];
	bool modrm;
	int8_t reg; /* of ModRM, or -1 */
} opcodes[] = {
	{1, {0x8e}, true, -1},	      {1, {0x8c}, true, -1},
	{1, {0x06}, false, -1},	      {1, {0x07}, false, -1},
	{1, {0x0e}, false, -1},	      {1, {0x16}, false, -1},
	{1, {0x17}, false, -1},	      {1, {0x1e}, false, -1},
	{1, {0x1f}, false, -1},	      {2, {0x0f, 0xa0}, false, -1},
	{2, {0x0f, 0xa1}, false, -1}, {2, {0x0f, 0xa9}, false, -1},
	{1, {0xc4}, true, -1},	      {1, {0xc5}, true, -1},
	{2, {0x0f, 0xb2}, true, -1},  {2, {0x0f, 0xb4}, true, -1},
	{2, {0x0f, 0xb5}, true, -1},  {1, {0xea}, false, -2},
	{1, {0x9a}, false, -2},	      {1, {0xff}, true, 3},
	{1, {0xff}, true, 5},	      {1, {0xcb}, false, -3},
	{1, {0xca}, false, -3},	      {1, {0xcf}, false, -3},
	{1, {0xcf}, false, -3},	      {1, {0xcf}, false, -3},
	{1, {0xcb}, false, -3},	      {2, {0x0f, 0x00}, true, -1},
	{2, {0x0f, 0x00}, true, -1},  {2, {0x0f, 0x01}, true, 0},
	{2, {0x0f, 0x01}, true, 1},   {2, {0x0f, 0x01}, true, 2},
	{2, {0x0f, 0x01}, true, 3},   {2, {0x0f, 0x01}, true, 4},
	{2, {0x0f, 0x01}, true, 6},   {2, {0x0f, 0x02}, true, -1},
	{2, {0x0f, 0x03}, true, -1},  {1, {0x63}, true, -1},
	{2, {0x0f, 0x06}, false, -1}, {1, {0xcc}, false, -1},
	{1, {0xcd}, false, -1},	      {1, {0xce}, false, -1},
	{1, {0x9c}, false, -1},	      {1, {0x9d}, false, -3},
	{1, {0x60}, false, -1},	      {1, {0x61}, false, -1},
	{1, {0xc8}, false, -1},	      {1, {0xc9}, false, -1},
	{1, {0xe4}, false, -1},	      {1, {0xed}, false, -1},
	{1, {0xef}, false, -1},	      {1, {0xe6}, false, -1},
	{1, {0x6c}, false, -1},	      {1, {0x6d}, false, -1},
	{1, {0x6e}, false, -1},	      {1, {0x6f}, false, -1},
	{1, {0xfa}, false, -1},	      {1, {0xfb}, false, -1},
	{1, {0xc2}, false, -3},	      {1, {0xc3}, false, -3},
	{1, {0xe8}, false, -1},	      {1, {0xe9}, false, -1},
	{1, {0x74}, false, -1},	      {1, {0xe2}, false, -1},
	{1, {0xe3}, false, -1},	      {1, {0xff}, true, -1},
	{1, {0x8f}, true, 0},	      {1, {0x50}, false, -1},
	{1, {0x58}, false, -1},	      {1, {0x68}, false, -1},
	{1, {0x62}, true, -1},	      {1, {0xd7}, false, -1},
	{1, {0xa4}, false, -1},	      {1, {0xa7}, false, -1},
	{1, {0xae}, false, -1},	      {1, {0xab}, false, -1},
	{1, {0xad}, false, -1},	      {1, {0x0b}, true, -1},
	{2, {0x0f, 0x0b}, false, -1}, {3, {0x0f, 0x01, 0xf8}, false, -1},
};

static unsigned make_insn(uint8_t *p)
{
	unsigned i = pick(sizeof(opcodes) / sizeof(opcodes[0])), n = 0;
	bool is64 = S->efer & EFER_LMA && S->seg[SEG_CS].attr & SEG_ATTR_L;
	unsigned bytes = is64							       ? 8
			 : S->seg[SEG_CS].attr & SEG_ATTR_DB && !(S->rflags & FLAG_VM) ? 4
										       : 2;

	if (pick(4) == 0) {
		p[n++] = 0x66;
		bytes = bytes == 2 ? 4 : 2;
	}
	if (pick(10) == 0)
		p[n++] = 0x67;
	if (is64 && pick(3) == 0) {
		p[n] = (uint8_t)(0x40 | pick(16));
		bytes = p[n++] & 8 ? 8 : bytes;
	}
	for (unsigned k = 0; k < opcodes[i].n; k++)
		p[n++] = opcodes[i].b[k];
	if (opcodes[i].modrm) {
		unsigned reg = opcodes[i].reg >= 0 ? (unsigned)opcodes[i].reg : pick(8);

		p[n++] = (uint8_t)(pick(2) << 7 | pick(2) << 6 | reg << 3 | pick(8));
	}
	if (opcodes[i].reg == -3)
		make_stack(bytes);
	for (unsigned k = 0; k < 8; k++)
		p[n + k] = pick(2) ? 0 : (uint8_t)rnd();
	if (opcodes[i].reg == -2) {
		uint16_t sel = S->cr0 & CR0_PE ? selector() : A_CODE2 >> 4;
		uint32_t off = pick(2) ? A_CODE2 : pick(64);
		unsigned w = bytes == 4 ? 4 : 2;

		memcpy(p + n, &off, w);
		memcpy(p + n + w, &sel, 2);
	}
	return n;
}

/* ---- One step on both ----------------------------------------------------------------------- */

static char text[4096];
static size_t used;

static void differ(const char *what, uint64_t engine, uint64_t emu)
{
	if (engine == emu || used + 128 > sizeof(text))
		return;
	used += (size_t)snprintf(text + used, sizeof(text) - used,
				 "    %-10s engine %016" PRIx64 " emulator %016" PRIx64 "\n", what,
				 engine, emu);
}

static void compare_seg(const char *name, const struct x86_seg *a, const struct x86_seg *b)
{
	char what[24];

	snprintf(what, sizeof(what), "%s.sel", name);
	differ(what, a->sel, b->sel);
	snprintf(what, sizeof(what), "%s.unusable", name);
	differ(what, a->unusable, b->unusable);
	if (a->unusable)
		return;
	snprintf(what, sizeof(what), "%s.base", name);
	differ(what, a->base, b->base);
	snprintf(what, sizeof(what), "%s.limit", name);
	differ(what, a->limit, b->limit);
	snprintf(what, sizeof(what), "%s.attr", name);
	differ(what, a->attr, b->attr);
}

static void compare_done(const struct x86_insn *in)
{
	static const char *const segs[] = {"es", "cs", "ss", "ds", "fs", "gs"};
	char what[16];

	for (unsigned i = 0; i < 16; i++) {
		snprintf(what, sizeof(what), "gpr%u", i);
		differ(what, S->gpr[i], K.s.gpr[i]);
	}
	differ("rip", S->rip, K.s.rip);
	/* RF lasts for the instruction after IRET; the engine's step ends behind that. */
	differ("rflags", S->rflags & ~(uint64_t)FLAG_RF, K.s.rflags & ~(uint64_t)FLAG_RF);
	differ("cr0", S->cr0, K.s.cr0);
	differ("cr3", S->cr3, K.s.cr3);
	for (unsigned i = 0; i < 6; i++)
		compare_seg(segs[i], &S->seg[i], &K.s.seg[i]);
	compare_seg("ldtr", &S->ldtr, &K.s.ldtr);
	compare_seg("tr", &S->tr, &K.s.tr);
	differ("gdtr", S->gdtr.base + S->gdtr.limit, K.s.gdtr.base + K.s.gdtr.limit);
	differ("idtr", S->idtr.base + S->idtr.limit, K.s.idtr.base + K.s.idtr.limit);
	if (in->op == X86_OP_MOV_TO_SEG || in->op == X86_OP_STI || in->op == X86_OP_POP_SEG)
		differ("shadow", S->int_shadow, K.s.int_shadow);
	for (size_t i = 0; i < TABLES; i += 8) {
		if (memcmp(R + i, K.ram + i, 8)) {
			snprintf(what, sizeof(what), "ram %zx", i);
			differ(what, ld_le64(R + i), ld_le64(K.ram + i));
		}
	}
}

/* The engine has gone into the handler. */
static void compare_vector(bool is_event)
{
	const struct lodge_emu_exception *x = &K.e.ex;
	bool long_cs = S->efer & EFER_LMA && S->seg[SEG_CS].attr & SEG_ATTR_L;
	uint64_t at = (long_cs ? 0 : S->seg[SEG_CS].base) + S->rip;
	uint64_t error = 0;

	if (at < A_HANDLERS || at >= A_HANDLERS + 256 * 16) {
		differ("vector", ~at, x->vector);
		return;
	}
	if (is_event && (at - A_HANDLERS) / 16 == VEC_GP)
		return; /* the gate's DPL: whoever injects it finds out */
	differ("vector", (at - A_HANDLERS) / 16, x->vector);
	if (!x->has_error)
		return;
	memcpy(&error, R + (long_cs ? 0 : S->seg[SEG_SS].base) + S->gpr[R_RSP], 4);
	differ("error", error, x->error);
}

static bool engine_step(void)
{
	mem_wrote(env_mem, 0, COMPARED);
	engine_soft.state_changed(env_vcpu);
	engine_soft.debug_cpu(env_vcpu, ENGINE_DEBUG_STEP | ENGINE_DEBUG_CHANGED);
	return engine_soft.run(env_vcpu) == ENGINE_EXIT_DEBUG;
}

/* What the engine's CPUID does not offer, and what one step of it is more than one round of. */
static bool left_out(const struct x86_insn *in)
{
	switch (in->op) {
	case X86_OP_MONITOR:
	case X86_OP_MWAIT:
	case X86_OP_VMCALL:
	case X86_OP_VMMCALL:
	case X86_OP_HLT:
		return true;
	default:
		return in->flags & (X86_IF_REP | X86_IF_REPNE);
	}
}

static unsigned done_count, exception_count, event_count, refused_count;
static bool done_ops[X86_OP_COUNT];

/* False: they differ. */
static bool one(uint64_t seed)
{
	uint8_t code[24] = {0};
	struct x86_insn in = {0};
	enum lodge_emu_result r;
	uint64_t at;

	rnd_state = seed;
	make_state();
	make_insn(code);
	at = (S->efer & EFER_LMA && S->seg[SEG_CS].attr & SEG_ATTR_L ? 0 : S->seg[SEG_CS].base) +
	     S->rip;
	memcpy(R + at, code, sizeof(code));
	memcpy(K.ram, R, COMPARED);
	K.s = *S;
	K.logged = 0;
	lodge_emu_init(&K.e, &kemu_ops, &K);
	K.e.intel = !x86_host_is_amd();
	r = kemu_run(&K);
	in = K.e.insn;
	if (r == LODGE_EMU_REFUSED || left_out(&in)) {
		refused_count++;
		return true;
	}
	if (!engine_step())
		return true;
	used = 0;
	if (r == LODGE_EMU_DONE) {
		done_count++;
		done_ops[in.op] = true;
		compare_done(&in);
	} else if (r == LODGE_EMU_EXCEPTION) {
		exception_count++;
		compare_vector(false);
	} else if (r == LODGE_EMU_EVENT) {
		event_count++;
		compare_vector(true);
	} else {
		differ("result", LODGE_EMU_DONE, r);
	}
	if (!used)
		return true;
	x86_disasm(text + used, 100, &in, K.e.rip);
	print_message(
		"seed %" PRIu64
		": %s (cr0 %x, efer %x, mode %u, cpl %u, flags %x, result %d, vector %d)\n%.*s",
		seed, text + used, (unsigned)K.s.cr0, (unsigned)K.s.efer, in.mode, K.e.cpl,
		(unsigned)K.e.rflags, r, K.e.ex.vector, (int)used, text);
	return false;
}

static uint64_t env_number(const char *name, uint64_t otherwise)
{
	const char *v = getenv(name);

	return v && *v ? strtoull(v, NULL, 0) : otherwise;
}

static void run_seeds(uint64_t first, uint64_t count)
{
	unsigned failures = 0;

	for (uint64_t i = 0; i < count && failures < MAX_FAILURES; i++)
		failures += !one(first + i * 0x10001);
	print_message("first seed %" PRIu64 ": done %u, exceptions %u, events %u, left out %u\n",
		      first, done_count, exception_count, event_count, refused_count);
	assert_int_equal(failures, 0);
}

static void system_instructions_when_random_expect_the_engine_agrees(void **state)
{
	(void)state;
	if (getenv("LODGE_SEED"))
		run_seeds(env_number("LODGE_SEED", 0), 1);
	else
		run_seeds(20261130, env_number("LODGE_COUNT", 40000));
}

static void system_instructions_when_fresh_seed_expect_the_engine_agrees(void **state)
{
	struct timespec now;

	(void)state;
	if (getenv("LODGE_SEED"))
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	run_seeds((uint64_t)now.tv_sec * 1000003u + (uint64_t)now.tv_nsec,
		  env_number("LODGE_COUNT", 40000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(system_instructions_when_random_expect_the_engine_agrees),
		cmocka_unit_test(system_instructions_when_fresh_seed_expect_the_engine_agrees),
	};

	K.ram = calloc(1, RAM_BYTES);
	K.ram_bytes = RAM_BYTES;
	return K.ram ? cmocka_run_group_tests(tests, env_setup, env_teardown) : 2;
}
