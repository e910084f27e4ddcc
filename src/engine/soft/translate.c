// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From guest bytes to a superblock of pre-decoded operations: follows fall-through and direct jumps
 * inside one page.
 * Source: Intel SDM 3A §9.1.3 (code fetch), vol. 2 ch. 2.
 * Threads: the vCPU's own.
 */
#include "engine/soft/block.h"
#include "engine/soft/debugger.h"
#include "engine/soft/exclusive.h"
#include "engine/soft/interp.h"
#include "engine/soft/jit_int.h"
#include "engine/soft/trace.h"

#define MAX_FOLLOWED_JUMPS 4
#define SCRATCH_HEAD 256 /* of the scratch block, whose operations follow */

_Static_assert(sizeof(struct soft_block) <= SCRATCH_HEAD, "a block fits");

/* ---- Handlers that stand for no instruction of their own ------------------------------------ */

static const struct soft_op *op_end(struct soft_cpu *cpu, const struct soft_op *op)
{
	return leave_to(cpu, op->rip);
}

static const struct soft_op *op_ud(struct soft_cpu *cpu, const struct soft_op *op)
{
	(void)op;
	soft_raise(cpu, VEC_UD);
}

static const struct soft_op *op_gp(struct soft_cpu *cpu, const struct soft_op *op)
{
	(void)op;
	soft_raise_err(cpu, VEC_GP, 0);
}

/* A debugger's breakpoint, in place of the instruction. */
static const struct soft_op *op_break(struct soft_cpu *cpu, const struct soft_op *op)
{
	soft_debugger_break(cpu, soft_lin_wrap(cpu, cpu->segbase[SEG_CS] + op->rip));
	return leave_to(cpu, op->rip);
}

/* A system operation; op->imm is its soft_sys_fn. */
static const struct soft_op *op_sys(struct soft_cpu *cpu, const struct soft_op *op)
{
	cpu->s.rip = next_ip(cpu, op);
	((soft_sys_fn)(uintptr_t)op->imm)(cpu, op);
	return NULL;
}

static const struct soft_op *op_xstate(struct soft_cpu *cpu, const struct soft_op *op)
{
	soft_xstate_op(cpu, op);
	return soft_next(cpu, op);
}

/* ---- Which file has the handlers of an operation -------------------------------------------- */

static const soft_pick_fn picks[X86_OP_COUNT] = {
	[X86_OP_ADD] = soft_pick_alu,	       [X86_OP_OR] = soft_pick_alu,
	[X86_OP_ADC] = soft_pick_alu,	       [X86_OP_SBB] = soft_pick_alu,
	[X86_OP_AND] = soft_pick_alu,	       [X86_OP_SUB] = soft_pick_alu,
	[X86_OP_XOR] = soft_pick_alu,	       [X86_OP_CMP] = soft_pick_alu,
	[X86_OP_TEST] = soft_pick_alu,	       [X86_OP_INC] = soft_pick_unary,
	[X86_OP_DEC] = soft_pick_unary,	       [X86_OP_NEG] = soft_pick_unary,
	[X86_OP_NOT] = soft_pick_unary,	       [X86_OP_ROL] = soft_pick_shift,
	[X86_OP_ROR] = soft_pick_shift,	       [X86_OP_RCL] = soft_pick_shift,
	[X86_OP_RCR] = soft_pick_shift,	       [X86_OP_SHL] = soft_pick_shift,
	[X86_OP_SHR] = soft_pick_shift,	       [X86_OP_SAR] = soft_pick_shift,
	[X86_OP_SHLD] = soft_pick_shift,       [X86_OP_SHRD] = soft_pick_shift,
	[X86_OP_MUL] = soft_pick_muldiv,       [X86_OP_IMUL] = soft_pick_muldiv,
	[X86_OP_DIV] = soft_pick_muldiv,       [X86_OP_IDIV] = soft_pick_muldiv,
	[X86_OP_BT] = soft_pick_bits,	       [X86_OP_BTS] = soft_pick_bits,
	[X86_OP_BTR] = soft_pick_bits,	       [X86_OP_BTC] = soft_pick_bits,
	[X86_OP_BSF] = soft_pick_bits,	       [X86_OP_BSR] = soft_pick_bits,
	[X86_OP_MOV] = soft_pick_move,	       [X86_OP_MOVZX] = soft_pick_move,
	[X86_OP_MOVSX] = soft_pick_move,       [X86_OP_MOVSXD] = soft_pick_move,
	[X86_OP_LEA] = soft_pick_move,	       [X86_OP_MOVBE] = soft_pick_move,
	[X86_OP_MOVNTI] = soft_pick_move,      [X86_OP_BSWAP] = soft_pick_move,
	[X86_OP_CMOVCC] = soft_pick_move,      [X86_OP_SETCC] = soft_pick_move,
	[X86_OP_CBW] = soft_pick_misc,	       [X86_OP_CWD] = soft_pick_misc,
	[X86_OP_XLAT] = soft_pick_misc,	       [X86_OP_NOP] = soft_pick_misc,
	[X86_OP_PAUSE] = soft_pick_misc,       [X86_OP_PREFETCH] = soft_pick_misc,
	[X86_OP_CLFLUSH] = soft_pick_misc,     [X86_OP_CLFLUSHOPT] = soft_pick_misc,
	[X86_OP_CLWB] = soft_pick_misc,	       [X86_OP_LFENCE] = soft_pick_misc,
	[X86_OP_MFENCE] = soft_pick_misc,      [X86_OP_SFENCE] = soft_pick_misc,
	[X86_OP_CLZERO] = soft_pick_misc,      [X86_OP_XCHG] = soft_pick_atomic,
	[X86_OP_XADD] = soft_pick_atomic,      [X86_OP_CMPXCHG] = soft_pick_atomic,
	[X86_OP_CMPXCHG8B] = soft_pick_atomic, [X86_OP_CMPXCHG16B] = soft_pick_atomic,
	[X86_OP_JCC] = soft_pick_flow,	       [X86_OP_JMP] = soft_pick_flow,
	[X86_OP_JMP_IND] = soft_pick_flow,     [X86_OP_CALL] = soft_pick_flow,
	[X86_OP_CALL_IND] = soft_pick_flow,    [X86_OP_RET] = soft_pick_flow,
	[X86_OP_LOOP] = soft_pick_flow,	       [X86_OP_LOOPE] = soft_pick_flow,
	[X86_OP_LOOPNE] = soft_pick_flow,      [X86_OP_JCXZ] = soft_pick_flow,
	[X86_OP_PUSH] = soft_pick_stack,       [X86_OP_POP] = soft_pick_stack,
	[X86_OP_PUSHA] = soft_pick_stack,      [X86_OP_POPA] = soft_pick_stack,
	[X86_OP_PUSHF] = soft_pick_stack,      [X86_OP_POPF] = soft_pick_stack,
	[X86_OP_ENTER] = soft_pick_stack,      [X86_OP_LEAVE] = soft_pick_stack,
	[X86_OP_LAHF] = soft_pick_flag_ops,    [X86_OP_SAHF] = soft_pick_flag_ops,
	[X86_OP_CLC] = soft_pick_flag_ops,     [X86_OP_STC] = soft_pick_flag_ops,
	[X86_OP_CMC] = soft_pick_flag_ops,     [X86_OP_CLD] = soft_pick_flag_ops,
	[X86_OP_STD] = soft_pick_flag_ops,     [X86_OP_CLI] = soft_pick_flag_ops,
	[X86_OP_STI] = soft_pick_flag_ops,     [X86_OP_SALC] = soft_pick_flag_ops,
	[X86_OP_DAA] = soft_pick_bcd,	       [X86_OP_DAS] = soft_pick_bcd,
	[X86_OP_AAA] = soft_pick_bcd,	       [X86_OP_AAS] = soft_pick_bcd,
	[X86_OP_AAM] = soft_pick_bcd,	       [X86_OP_AAD] = soft_pick_bcd,
	[X86_OP_MOVS] = soft_pick_string,      [X86_OP_STOS] = soft_pick_string,
	[X86_OP_LODS] = soft_pick_string,      [X86_OP_SCAS] = soft_pick_string,
	[X86_OP_CMPS] = soft_pick_string,      [X86_OP_INS] = soft_pick_io,
	[X86_OP_OUTS] = soft_pick_io,	       [X86_OP_IN] = soft_pick_io,
	[X86_OP_OUT] = soft_pick_io,
};

/* Operations of `picks` whose handlers always leave the block. */
static bool ends_block(enum x86_op op, bool jit)
{
	switch (op) {
	case X86_OP_JMP:
	case X86_OP_JMP_IND:
	case X86_OP_CALL:
	case X86_OP_CALL_IND:
	case X86_OP_RET:
	case X86_OP_IN:
	case X86_OP_OUT:
	case X86_OP_INS:
	case X86_OP_OUTS:
	case X86_OP_PAUSE:
		return true;
	case X86_OP_POPF:
	case X86_OP_STI:
		return !jit; /* generated code goes on behind them */
	default:
		return false;
	}
}

/* ---- One operation -------------------------------------------------------------------------- */

/* State of a block being built. */
struct builder {
	struct soft_cpu *cpu;
	struct soft_build *bd;
	enum x86_mode mode;
	uint64_t ip;	     /* of the instruction at hand */
	gva_t page_lin;	     /* linear address of the block's page */
	const uint8_t *page; /* its bytes */
	unsigned jumps;
	bool done;
	bool again; /* the block is in the cache: its pages are known */
};

#define OP_WORDS 8
_Static_assert(sizeof(struct soft_op) == OP_WORDS * 8, "clear_op clears exactly struct soft_op");

/* An assignment of {0} would become `rep stos`, a quarter of the time of building. */
static void clear_op(struct soft_op *op)
{
	uint64_t *w = (uint64_t *)op;

	w[0] = w[1] = w[2] = w[3] = w[4] = w[5] = w[6] = w[7] = 0;
}

static struct soft_op *new_op(struct builder *b, soft_fn fn, unsigned len)
{
	struct soft_op *op = &b->bd->ops[b->bd->nops];

	clear_op(op);
	op->rip = b->ip;
	op->len = (uint8_t)len;
	op->base = op->index = SOFT_NO_REG;
	atomic_init(&op->fn, fn);
	b->bd->has_insn[b->bd->nops] = b->bd->has_target[b->bd->nops] = false;
	b->bd->nops++;
	return op;
}

/* The operation just made wants its decoded instruction kept. */
static void keep_insn(struct builder *b, struct soft_op *op)
{
	b->bd->ninsns++;
	b->bd->has_insn[op - b->bd->ops] = true;
}

static bool needs_segment_check(const struct soft_cpu *cpu, unsigned seg)
{
	if (cpu->mode & SOFT_MODE_CS64)
		return false;
	return !(cpu->mode & SOFT_MODE_FLAT) || seg == SEG_FS || seg == SEG_GS || seg == SEG_CS;
}

static uint64_t size_mask(unsigned bytes)
{
	return bytes == 8 ? ~0ull : bytes == 4 ? 0xffffffffull : 0xffffull;
}

static uint8_t reg_offset(const struct x86_operand *o)
{
	return (uint8_t)(o->reg * 8 + (o->rc == X86_RC_GPRH));
}

static void fill_memory(struct soft_cpu *cpu, struct soft_op *op, const struct x86_insn *insn)
{
	op->seg = insn->seg < SEG_COUNT ? insn->seg : SEG_DS;
	op->addrsize = insn->addrsize;
	op->ea_mask = size_mask(insn->addrsize);
	op->base = insn->base == X86_REG_RIP ? SOFT_NO_REG : insn->base;
	op->index = insn->index;
	op->scale = insn->scale;
	op->disp = insn->disp;
	if (insn->base == X86_REG_RIP)
		op->disp += (int64_t)(op->rip + insn->len);
	if (needs_segment_check(cpu, op->seg))
		op->flags |= SOFT_OP_SEGCHECK;
}

static void fill_operands(struct soft_cpu *cpu, struct soft_op *op, const struct x86_insn *insn)
{
	const struct x86_operand *o = insn->opd;

	fill_memory(cpu, op, insn);
	op->opsize = insn->opsize;
	op->imm = insn->imm;
	op->cc = insn->cc;
	if (insn->flags & X86_IF_LOCK)
		op->flags |= SOFT_OP_LOCK;
	if (insn->flags & X86_IF_REP)
		op->flags |= SOFT_OP_REP;
	if (insn->flags & X86_IF_REPNE)
		op->flags |= SOFT_OP_REPNE;
	for (unsigned i = 0; i < insn->nopds && i < 3; i++) {
		bool gpr = o[i].kind == X86_OPD_REG && o[i].rc <= X86_RC_GPRH;

		if (o[i].kind == X86_OPD_MEM)
			op->msize = (uint8_t)o[i].size;
		if (gpr && i == 0)
			op->dst = reg_offset(&o[i]);
		else if (gpr && i == 1)
			op->src = reg_offset(&o[i]);
		else if (gpr)
			op->src2 = reg_offset(&o[i]);
	}
}

static bool target_ok(const struct soft_cpu *cpu, uint64_t ip)
{
	if (cpu->mode & SOFT_MODE_CS64)
		return soft_canonical(ip);
	return ip <= cpu->s.seg[SEG_CS].limit;
}

/* A direct branch: its target, and the operation of this block it may jump back to. */
static void fill_target(struct builder *b, struct soft_op *op, const struct x86_insn *insn)
{
	unsigned self = (unsigned)(op - b->bd->ops);

	op->imm = soft_branch_target(insn, op->rip + insn->len);
	if (!target_ok(b->cpu, op->imm)) {
		op->cc |= SOFT_CC_BAD_TARGET;
		return;
	}
	/* With the translator every round of a loop comes back, to be counted. */
	for (unsigned i = 0; i <= self && !(b->cpu->mode & SOFT_MODE_STEP) && !b->cpu->e->jit;
	     i++) {
		if (b->bd->ops[i].rip == op->imm) {
			op->target = (const struct soft_op *)(uintptr_t)(i + 1);
			b->bd->has_target[self] = true;
			return;
		}
	}
}

static bool direct_branch(enum x86_op op)
{
	return op == X86_OP_JCC || op == X86_OP_JMP || op == X86_OP_CALL ||
	       (op >= X86_OP_LOOP && op <= X86_OP_JCXZ);
}

/* Follow a jump inside the page instead of making an operation of it. */
static bool follow_jump(struct builder *b, const struct x86_insn *insn)
{
	uint64_t target = soft_branch_target(insn, b->ip + insn->len);
	gva_t lin = soft_lin_wrap(b->cpu, b->cpu->segbase[SEG_CS] + target);

	if ((b->cpu->mode & SOFT_MODE_STEP) || b->jumps == MAX_FOLLOWED_JUMPS || !b->bd->nops ||
	    !target_ok(b->cpu, target))
		return false;
	if ((lin & PAGE_MASK) != b->page_lin)
		return false;
	for (unsigned i = 0; i < b->bd->nops; i++) {
		if (b->bd->ops[i].rip == target)
			return false; /* a loop: jump back to the operation instead */
	}
	b->jumps++;
	b->ip = target;
	return true;
}

static void emit(struct builder *b, const struct x86_insn *insn)
{
	struct soft_cpu *cpu = b->cpu;
	soft_sys_fn sys = soft_sys_lookup((enum x86_op)insn->op);
	struct soft_op *op = new_op(b, NULL, insn->len);
	soft_fn fn = NULL;

	fill_operands(cpu, op, insn);
	if (sys) {
		fn = op_sys;
		op->imm = (uint64_t)(uintptr_t)sys;
		keep_insn(b, op);
		b->done = true;
	} else if (insn->op >= X86_OP_FXSAVE && insn->op <= X86_OP_STMXCSR) {
		fn = op_xstate;
		keep_insn(b, op);
	} else if (picks[insn->op]) {
		if (direct_branch((enum x86_op)insn->op))
			fill_target(b, op, insn);
		fn = picks[insn->op](cpu, op, insn);
		b->done = ends_block((enum x86_op)insn->op, cpu->e->jit);
	} else if (b->bd->lean ? soft_thunk_describe(cpu, op, insn)
			       : soft_thunk_build(cpu, op, insn)) {
		return;
	}
	atomic_init(&op->fn, fn ? fn : op_ud);
	if (!fn) {
		op->flags |= SOFT_OP_UD;
		b->done = true;
	}
}

/* ---- The block ------------------------------------------------------------------------------ */

static void mark_lines(struct builder *b, unsigned slot, unsigned off, unsigned len)
{
	for (unsigned line = off >> 6; line <= (off + len - 1) >> 6 && line < 64; line++)
		b->bd->head.lines[slot] |= 1ull << line;
}

static void stop_with(struct builder *b, soft_fn fn)
{
	struct soft_op *op;

	b->bd->insns[b->bd->nops].op = X86_OP_INVALID;
	op = new_op(b, fn, 0);
	op->flags |= fn == op_end ? SOFT_OP_END : SOFT_OP_UD;
	b->done = true;
}

static void refuse(struct builder *b, int code)
{
	stop_with(b, code == X86_DECODE_LONG ? op_gp : op_ud);
}

/* An instruction that runs off CS faults before it does anything. */
static bool beyond_limit(const struct soft_cpu *cpu, uint64_t ip, unsigned len)
{
	return !(cpu->mode & SOFT_MODE_CS64) && ip + len - 1 > cpu->s.seg[SEG_CS].limit;
}

/* The guest's CPUID has what `insn` needs, or its bytes mean something older: `insn` is then that.
 */
static bool guest_has(const struct builder *b, struct x86_insn *insn)
{
	const struct x86_cpuid *id = b->cpu->e->cfg.cpuid;

	return !insn->feature || id->has[insn->feature] || x86_insn_before_feature(insn);
}

static void accept(struct builder *b, struct x86_insn *insn, const uint8_t *bytes)
{
	if (log_on(LOG_IN_ASM) && !b->again)
		soft_trace_insn(b->cpu, b->ip, insn, bytes);
	if (beyond_limit(b->cpu, b->ip, insn->len)) {
		refuse(b, X86_DECODE_LONG);
	} else if (!guest_has(b, insn)) {
		refuse(b, X86_DECODE_UD);
	} else if (insn->op == X86_OP_JMP && follow_jump(b, insn)) {
		return;
	} else {
		emit(b, insn);
		b->ip = (b->ip + insn->len) & b->cpu->rip_mask;
	}
}

/* `n` bytes of the page behind the block's, at `lin`. False: a device has them. */
static bool second_page(struct builder *b, gva_t lin, uint8_t *buf, unsigned n)
{
	struct soft_cpu *cpu = b->cpu;
	struct soft_block *head = &b->bd->head;
	struct soft_page pg;

	if (!b->again) {
		pg = soft_translate(cpu, soft_code_view(cpu), lin, SOFT_EXEC);
		if (pg.kind == MEM_MMIO) {
			for (unsigned i = 0; i < n; i++)
				buf[i] = (uint8_t)soft_mmio_read(cpu, pg.gpa + i, 1);
			return false;
		}
		head->page[1] = pg.backing >> PAGE_BITS;
		soft_cache_mark_page(cpu->e->cache, cpu, head->page[1]);
	}
	gp_memcpy(buf, cpu->e->ram + (head->page[1] << PAGE_BITS), n);
	return true;
}

/* The first instruction runs into the next page: fetch that page's bytes too. */
static void accept_crossing(struct builder *b, unsigned off)
{
	struct soft_cpu *cpu = b->cpu;
	struct x86_insn *insn = &b->bd->insns[b->bd->nops];
	uint8_t buf[X86_MAX_INSN_BYTES];
	unsigned first = (unsigned)PAGE_BYTES - off, rest = X86_MAX_INSN_BYTES - first;

	if (beyond_limit(cpu, b->ip, first + 1)) {
		refuse(b, X86_DECODE_LONG);
		return;
	}

	if (b->again && b->bd->head.page[1] == SOFT_NO_PAGE) { /* only S1 can have it */
		b->bd->lean = true;
		refuse(b, X86_DECODE_UD);
		return;
	}
	gp_memcpy(buf, b->page + off, first);
	if (!second_page(b, soft_lin_wrap(cpu, b->page_lin + PAGE_BYTES), buf + first, rest))
		b->bd->lean = false; /* a device: S1 alone can run it */

	int len = x86_decode(insn, buf, sizeof(buf), b->mode);

	if (len > 0 && b->bd->head.page[1] != SOFT_NO_PAGE)
		mark_lines(b, 1, 0, (unsigned)len - first);
	else if (b->bd->head.page[1] != SOFT_NO_PAGE)
		mark_lines(b, 1, 0, rest);
	if (len < 0)
		refuse(b, len == X86_DECODE_MORE ? X86_DECODE_LONG : len);
	else
		accept(b, insn, buf);
	if (b->bd->head.page[1] == SOFT_NO_PAGE)
		b->bd->insns[0].op = X86_OP_INVALID;
}

static void build_ops(struct builder *b)
{
	unsigned max = b->cpu->mode & SOFT_MODE_STEP ? 1 : SOFT_BLOCK_OPS;
	uint64_t cs_base = b->cpu->segbase[SEG_CS];

	while (!b->done && b->bd->nops < max) {
		struct x86_insn *insn = &b->bd->insns[b->bd->nops];
		gva_t lin = soft_lin_wrap(b->cpu, cs_base + b->ip);
		unsigned off = (unsigned)(lin & ~PAGE_MASK);

		if ((lin & PAGE_MASK) != b->page_lin)
			break;
		/* run_step() looks by itself. */
		if (unlikely(soft_break_at(b->cpu->e, lin)) && !(b->cpu->mode & SOFT_MODE_STEP)) {
			mark_lines(b, 0, off, 1);
			stop_with(b, op_break);
			break;
		}

		int len = x86_decode(insn, b->page + off, PAGE_BYTES - off, b->mode);

		if (len == X86_DECODE_MORE) {
			if (b->bd->nops || b->jumps)
				break;
			mark_lines(b, 0, off, (unsigned)PAGE_BYTES - off);
			accept_crossing(b, off);
			return;
		}
		mark_lines(b, 0, off, len > 0 ? (unsigned)len : X86_MAX_INSN_BYTES);
		if (len < 0)
			refuse(b, len);
		else
			accept(b, insn, b->page + off);
	}
}

/* Code in a device: fetch one instruction byte by byte; such a block is run once. */
static struct soft_block *build_from_device(struct builder *b, gpa_t gpa)
{
	struct soft_cpu *cpu = b->cpu;
	struct x86_insn *insn = &b->bd->insns[0];
	uint8_t buf[X86_MAX_INSN_BYTES];

	for (unsigned i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)soft_mmio_read(cpu, gpa + i, 1);

	int len = x86_decode(insn, buf, sizeof(buf), b->mode);

	if (len < 0)
		refuse(b, len);
	else
		accept(b, insn, buf);
	if (!b->done)
		stop_with(b, op_end);
	b->bd->head.page[0] = SOFT_NO_PAGE;
	*cpu->scratch = b->bd->head;
	soft_build_place(b->bd, cpu->scratch, (uint8_t *)cpu->scratch + SCRATCH_HEAD);
	return cpu->scratch;
}

static void builder_start(struct builder *b, struct soft_cpu *cpu, struct soft_build *bd, gva_t lin,
			  uint64_t ip, uint32_t mode)
{
	b->cpu = cpu;
	b->bd = bd;
	b->mode = soft_decode_mode(cpu, mode);
	b->ip = ip;
	b->page_lin = lin & PAGE_MASK;
	b->jumps = 0;
	b->done = b->again = false;
	bd->block = NULL;
	bd->nops = bd->ninsns = 0;
	bd->lean = false;
}

/* Does S2 take blocks as soon as they are built, so that S1 hardly ever runs one? */
static bool builds_lean(const struct soft_cpu *cpu)
{
	return cpu->e->jit && cpu->e->cfg.soft.warm <= 1 && jit_mode_ok(cpu->mode) && !cpu->check &&
	       !log_on(LOG_OUT_ASM);
}

/* NULL: what lies under it changed meanwhile. */
static struct soft_block *build_once(struct soft_cpu *cpu, gva_t lin, const struct soft_page *pg,
				     bool lean)
{
	struct soft_build *bd = cpu->built;
	struct soft_block *block;
	struct builder b;

	builder_start(&b, cpu, bd, lin, cpu->s.rip, cpu->mode);
	soft_build_start(cpu->e->cache, bd);
	bd->head = (struct soft_block){.lin = lin,
				       .backing = pg->backing,
				       .cs_key = cpu->cs_key,
				       .mode = cpu->mode,
				       .page = {pg->backing >> PAGE_BITS, SOFT_NO_PAGE}};
	if (pg->kind == MEM_MMIO)
		return build_from_device(&b, pg->gpa);
	bd->lean = lean;
	soft_cache_mark_page(cpu->e->cache, cpu, bd->head.page[0]);
	b.page = pg->host - (lin & ~PAGE_MASK);
	build_ops(&b);
	if (!b.done)
		stop_with(&b, op_end);
	block = soft_cache_commit(cpu->e->cache, cpu, bd);
	bd->freed = cpu->e->freed;
	bd->block = block;
	return block;
}

struct soft_build *soft_built(struct soft_cpu *cpu, struct soft_block *block, uint64_t ip)
{
	struct soft_build *bd = cpu->built;
	struct builder b;

	if (bd->block == block && bd->freed == cpu->e->freed &&
	    bd->epoch == soft_cache_epoch(cpu->e->cache))
		return bd;
	builder_start(&b, cpu, bd, block->lin, ip, block->mode);
	soft_build_start(cpu->e->cache, bd);
	bd->head = *block;
	bd->head.lines[0] = bd->head.lines[1] = 0;
	b.again = true;
	b.page = cpu->e->ram + (block->backing & PAGE_MASK);
	build_ops(&b);
	if (!b.done)
		stop_with(&b, op_end);
	return bd;
}

void soft_block_ops(struct soft_cpu *cpu, struct soft_block *block, uint64_t ip)
{
	struct soft_build *bd = cpu->built;

	if (block->ops || soft_cache_in_flux(cpu, block->page[0]) ||
	    (block->page[1] != SOFT_NO_PAGE && soft_cache_in_flux(cpu, block->page[1])))
		return;
	bd->block = NULL; /* what is there may have no handlers */
	soft_cache_attach(cpu->e->cache, block, soft_built(cpu, block, ip));
}

void soft_build_one(struct soft_cpu *cpu, const struct soft_block *block, uint64_t ip,
		    struct soft_op *op, struct x86_insn *insn)
{
	struct soft_build *bd = cpu->built;
	uint8_t buf[X86_MAX_INSN_BYTES];
	unsigned off = (unsigned)((cpu->segbase[SEG_CS] + ip) & ~PAGE_MASK);
	unsigned first = (unsigned)min_u64(sizeof(buf), PAGE_BYTES - off), avail = first;
	struct builder b;

	builder_start(&b, cpu, bd, block->lin, ip, block->mode);
	bd->block = NULL;
	gp_memcpy(buf, cpu->e->ram + (block->page[0] << PAGE_BITS) + off, first);
	if (block->page[1] != SOFT_NO_PAGE) {
		gp_memcpy(buf + first, cpu->e->ram + (block->page[1] << PAGE_BITS),
			  sizeof(buf) - first);
		avail = sizeof(buf);
	}

	int len = x86_decode(insn, buf, avail, b.mode);

	/* It runs into a page it may not have, or did not get: accept_crossing. */
	if (len == X86_DECODE_MORE && beyond_limit(cpu, ip, first + 1))
		len = X86_DECODE_LONG;
	if (len < 0)
		refuse(&b, len);
	else
		accept(&b, insn, buf);
	*op = bd->ops[0];
	if (bd->has_insn[0])
		op->insn = insn;
}

#define TRIES_IN_PARALLEL 4

static struct soft_block *build(struct soft_cpu *cpu, gva_t lin, bool lean)
{
	struct soft_page pg = soft_translate(cpu, soft_code_view(cpu), lin, SOFT_EXEC);
	struct soft_block *block = NULL;

	if (lean && pg.kind != MEM_MMIO && soft_cache_patience(cpu->e->cache, pg.backing))
		lean = false;
	if (lean && pg.kind != MEM_MMIO)
		block = jit_join(cpu, lin, pg.backing);
	if (!block && lean && pg.kind != MEM_MMIO)
		block = jit_copy_block(cpu, lin, pg.backing);
	if (block)
		return block;
	for (unsigned i = 0; !block && i < TRIES_IN_PARALLEL; i++)
		block = build_once(cpu, lin, &pg, lean);
	/* Other vCPUs keep writing there: stop them for once, so that this one comes on. */
	if (!block) {
		soft_exclusive_begin(cpu);
		while (!block)
			block = build_once(cpu, lin, &pg, lean);
		soft_exclusive_end(cpu);
	}
	SOFT_COUNT(cpu, blocks_decoded);
	SOFT_COUNT_ADD(cpu, insns_decoded, block->nops);
	return block;
}

struct soft_block *soft_block_build(struct soft_cpu *cpu, gva_t lin)
{
	return build(cpu, lin, builds_lean(cpu) && !soft_break_in_page(cpu->e, lin));
}

struct soft_block *soft_block_build_ops(struct soft_cpu *cpu, gva_t lin)
{
	return build(cpu, lin, false);
}
