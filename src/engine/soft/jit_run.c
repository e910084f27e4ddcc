// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * In and out of generated code: the common stubs, and what C does when a block comes back to it.
 * Threads: the vCPU's own.
 */
#include "engine/soft/check.h"
#include "engine/soft/jit_xlat.h"
#include "engine/soft/mmu_int.h"
#include "engine/soft/stack.h"
#include "engine/soft/trace.h"

/* ---- Coming back ---------------------------------------------------------------------------- */

/* FIP, FOP, FDP and their selectors, of what generated code executed last. */
static void settle_x87(struct soft_cpu *cpu)
{
	uint8_t *x = cpu->s.xsave, seg = cpu->x87_seg;
	const struct thunk_cache *tc = cpu->e->thunks;
	bool error = (tc->fop_on_error || tc->fdp_on_error) && !cpu->x87_quiet && x87_error(cpu);

	if (error || !tc->fop_on_error)
		st_le16(x + FX_FOP, cpu->x87_ip & 0x7ff);
	st_le64(x + FX_FIP, (uint64_t)((int64_t)cpu->x87_ip >> 16));
	st_le16(x + FX_FCS, cpu->s.seg[SEG_CS].sel);
	cpu->x87_ip = 0;
	cpu->x87_seg = 0;
	if (!seg || (tc->fdp_on_error && !error))
		return;
	st_le64(x + FX_FDP, cpu->x87_dp);
	if (seg & SOFT_X87_DP)
		st_le16(x + FX_FDS, cpu->s.seg[seg & 7].sel);
}

/* LAHF and SETO's image in hflags is the guest's arithmetic flags. */
static void take_flags(struct soft_cpu *cpu)
{
	flags_set(cpu, cpu->hflags);
	if (unlikely(cpu->x87_ip))
		settle_x87(cpu);
	if (cpu->jit_kicked) {
		cpu->jit_kicked = false;
		atomic_fetch_sub(&cpu->e->jit->kicks, 1);
		soft_code_key_changed(cpu);
	}
}

/* Something asks, and what asks can be served now: an interrupt that IF holds off cannot. */
static bool must_look(const struct soft_cpu *cpu)
{
	uint32_t req = atomic_load_explicit(&cpu->requests, memory_order_relaxed);

	if (likely(!req))
		return cpu->yield;
	return (req & ~SOFT_REQ_INTR) || ((cpu->s.rflags & FLAG_IF) && !cpu->s.int_shadow) ||
	       cpu->yield;
}

/* Leave for the run loop. */
static bool must_come_back(struct soft_cpu *cpu)
{
	if (must_look(cpu)) {
		SOFT_COUNT(cpu, exit_interrupt);
		return true;
	}
	return cpu->e->jit->come_back;
}

const void *jit_host_code(struct soft_cpu *cpu, uint32_t off)
{
	if (unlikely(!cpu->fpu_live))
		soft_fpu_enter(cpu);
	return cpu->e->jit->rx + off;
}

static void jc_fill(struct soft_cpu *cpu, uint64_t ip, const struct jit_block *jb)
{
	struct soft_jit_jc *j = jit_jc_slot(cpu, ip);

	j->ip = ip;
	j->host = (uint64_t)(uintptr_t)(cpu->e->jit->rx + jb->pad);
	j->page = (uint64_t)(uintptr_t)cpu->e->ram + (jb->sb->page[0] << PAGE_BITS);
	soft_space_note_exec(cpu, jb->sb->lin, jb->sb->page[0]);
	__atomic_store_n(&j->key, cpu->code_key, __ATOMIC_SEQ_CST);
	if (unlikely(__atomic_load_n(&jb->dead, __ATOMIC_SEQ_CST)))
		__atomic_store_n(&j->key, 0, __ATOMIC_RELAXED); /* partner: jit_kill */
}

/*
 * An entry that was good under another generation (a flush, another address space) still is if the
 * page is: whatever else kills its block clears its key, which is why the key is exchanged.
 */
static bool jc_renew(struct soft_cpu *cpu, struct soft_jit_jc *j)
{
	const uint64_t any = ((1ull << (SOFT_GEN_BITS + SOFT_MOVE_BITS)) - 1) << SOFT_MODE_BITS;
	uint64_t key = __atomic_load_n(&j->key, __ATOMIC_RELAXED);
	gva_t lin = (cpu->segbase[SEG_CS] + cpu->s.rip) & cpu->rip_mask;
	const uint8_t *p;

	if ((key ^ cpu->code_key) & ~any)
		return false;
	cpu->op = NULL; /* a fault is that of s.rip */
	p = soft_code_place(cpu, lin);
	if (!p || ((uint64_t)(uintptr_t)p & PAGE_MASK) != j->page)
		return false;
	SOFT_COUNT(cpu, jit_renewed);
	soft_code_page_seen(cpu, lin);
	soft_space_note_exec(cpu, lin, (j->page - (uint64_t)(uintptr_t)cpu->e->ram) >> PAGE_BITS);
	return __atomic_compare_exchange_n(&j->key, &key, cpu->code_key, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_RELAXED);
}

/* Host code for s.rip by the table, or NULL. */
static const void *jc_find(struct soft_cpu *cpu)
{
	struct soft_jit_jc *j = jit_jc_slot(cpu, cpu->s.rip);

	if (j->ip != cpu->s.rip || (j->key != cpu->code_key && !jc_renew(cpu, j)))
		return NULL;
	if (unlikely(!cpu->fpu_live))
		soft_fpu_enter(cpu);
	return (const void *)(uintptr_t)j->host;
}

/* The host code for s.rip, translated if it is warm; NULL: not yet, or not this code. */
static struct jit_block *find_jit(struct soft_cpu *cpu)
{
	struct soft_block *b;

	cpu->op = NULL;
	b = soft_find_block(cpu);
	if (b->jit)
		return b->jit;
	return jit_warm(cpu->e->jit, b) ? jit_translate(cpu, b) : NULL;
}

/* Go on at s.rip. */
static const void *dispatch(struct soft_cpu *cpu)
{
	struct jit_block *jb;
	const void *code;

	if (must_come_back(cpu))
		return NULL;
	code = jc_find(cpu);
	if (code)
		return code;
	jb = find_jit(cpu);
	if (!jb)
		return NULL;
	jc_fill(cpu, cpu->s.rip, jb);
	return jit_host_code(cpu, jb->checked);
}

/* Behind a single operation: leave with the instruction pointer it carries. */
static const struct soft_op *op_stop(struct soft_cpu *cpu, const struct soft_op *op)
{
	return leave_to(cpu, op->rip);
}

static uint64_t rip_of(const struct soft_cpu *cpu, const struct jit_block *jb, unsigned i)
{
	return (jb->ip + (uint64_t)(int64_t)jb->rip[i]) & cpu->rip_mask;
}

#define PATIENCE 4 /* so many operations of a block are decoded alone, then all are kept */

/* cpu->one[0] = operation `i` of the block; decoded anew if S1's have not been kept. */
static void take_op(struct soft_cpu *cpu, const struct jit_block *jb, unsigned i)
{
	struct soft_block *b = jb->sb;

	if (unlikely(!b->ops) && !jb->dead &&
	    atomic_fetch_add_explicit(&b->runs, 1, memory_order_relaxed) >= PATIENCE)
		soft_block_ops(cpu, b, jb->ip);
	if (likely(__atomic_load_n(&b->ops, __ATOMIC_ACQUIRE)))
		cpu->one[0] = b->ops[i];
	else
		soft_build_one(cpu, jb->sb, rip_of(cpu, jb, i), &cpu->one[0], &cpu->one_insn);
}

/* The operation in cpu->one[0] by its S1 handler. */
static void run_one(struct soft_cpu *cpu, uint64_t next)
{
	const struct soft_op *at = &cpu->one[0];

	cpu->one[1].rip = next;
	atomic_store_explicit(&cpu->one[1].fn, op_stop, memory_order_relaxed);
	cpu->op = at;
	do {
		at = atomic_load_explicit(&at->fn, memory_order_relaxed)(cpu, at);
	} while (at);
	cpu->op = NULL;
}

static uint64_t device_accesses(const struct soft_cpu *cpu)
{
	return cpu->stats.mmio_read + cpu->stats.mmio_write;
}

/* Why was generated code left for an operation? `devices`: as above, before it. */
static void count_op(struct soft_cpu *cpu, unsigned id, uint64_t devices)
{
	enum x86_op op = (enum x86_op)(id & JIT_ID_OP);

	if (device_accesses(cpu) != devices)
		SOFT_COUNT(cpu, exit_mmio);
	else if ((id & JIT_ID_NATIVE) && (id & JIT_ID_WRITE))
		SOFT_COUNT(cpu, exit_tlb_write);
	else if (id & JIT_ID_NATIVE)
		SOFT_COUNT(cpu, exit_tlb_read);
	else if (op >= X86_OP_INS && op <= X86_OP_OUT)
		SOFT_COUNT(cpu, exit_pio);
	else if (id & JIT_ID_SYSTEM)
		SOFT_COUNT(cpu, exit_system);
	else
		SOFT_COUNT_UNSUPPORTED(cpu, op);
}

/* Interrupts are not let in between a native STI and the operation behind it. */
static void keep_shadow(struct soft_cpu *cpu, const struct jit_block *jb, unsigned i)
{
	if (!i || (jb->ids[i - 1] & (JIT_ID_NATIVE | JIT_ID_OP)) != (X86_OP_STI | JIT_ID_NATIVE))
		return;
	cpu->s.int_shadow = X86_SHADOW_STI;
	soft_mode_changed(cpu);
}

/* Operation `i` of the block has to be done by its S1 handler. Returns where to go on, or NULL. */
static const void *on_op(struct soft_cpu *cpu, struct jit_block *jb, uint32_t i)
{
	uint64_t epoch = cpu->e->freed;
	uint32_t mode = cpu->mode;

	take_flags(cpu);
	if (unlikely(cpu->check))
		return soft_check_on_op(cpu, jb, i);
	do {
		uint64_t next = i + 1 < jb->nops ? rip_of(cpu, jb, i + 1) : 0;
		uint64_t devices = device_accesses(cpu);
		unsigned id = jb->ids[i];

		if (unlikely(jb->dead)) { /* its bytes may be others now */
			cpu->s.rip = rip_of(cpu, jb, i);
			keep_shadow(cpu, jb, i);
			SOFT_COUNT(cpu, exit_invalidated);
			return dispatch(cpu);
		}
		take_op(cpu, jb, i);
		run_one(cpu, next);
		count_op(cpu, id, devices);
		if (unlikely(epoch != cpu->e->freed || i + 1 >= jb->nops || cpu->s.rip != next ||
			     cpu->mode != mode || must_look(cpu)))
			return dispatch(cpu);
		i++;
	} while (unlikely((jb->off[i] & (JIT_OFF_GROUPED | JIT_OFF_RUN)) || jb->dead));
	return jit_host_code(cpu, jb->off[i] & JIT_OFF_MASK);
}

/*
 * May a link to another page be made to go to `to`? Its word is set once, so that whoever has just
 * compared it jumps to a block of that page. With the cache lock.
 */
static bool allow_cross(struct soft_cpu *cpu, const struct jit_link *l, const struct jit_block *to)
{
	uint64_t *at = (uint64_t *)(void *)(cpu->e->jit->rw + l->word);
	uint64_t word = soft_exec_word(to->sb->lin, to->sb->page[0]);

	jc_fill(cpu, l->ip, to);
	if (!word)
		return false;
	if (*at == ~0ull)
		__atomic_store_n(at, word, __ATOMIC_RELEASE);
	return *at == word;
}

/*
 * A link to another page that is made, but the space did not have the page: it may again, and the table
 * knows the way. NULL: not so.
 */
static const void *cross_again(struct soft_cpu *cpu, const struct jit_link *l)
{
	const uint64_t *at = (const uint64_t *)(const void *)(cpu->e->jit->rw + l->word);
	gva_t lin = (cpu->segbase[SEG_CS] + cpu->s.rip) & cpu->rip_mask;
	const void *code = jit_is_linked(cpu->e->jit, l) ? jc_find(cpu) : NULL;
	uint64_t page;

	if (!code)
		return NULL;
	page = (jit_jc_slot(cpu, cpu->s.rip)->page - (uint64_t)(uintptr_t)cpu->e->ram) >> PAGE_BITS;
	if (__atomic_load_n(at, __ATOMIC_RELAXED) != soft_exec_word(lin, page))
		return NULL;
	soft_space_note_exec(cpu, lin, page);
	return code;
}

/* Direct exit number `i` is not linked. */
static const void *on_exit(struct soft_cpu *cpu, struct jit_block *jb, uint32_t i)
{
	struct jit_link *l = &jb->links[i];
	uint64_t epoch = cpu->e->freed;
	struct jit_block *to;
	const void *code;

	take_flags(cpu);
	if (unlikely(cpu->check))
		return soft_check_on_exit(cpu, l->ip);
	cpu->s.rip = l->ip;
	SOFT_COUNT(cpu, exit_exec);
	if (must_come_back(cpu))
		return NULL;
	code = l->word ? cross_again(cpu, l) : NULL;
	if (code)
		return code;
	to = l->inner && !jb->dead ? jb : find_jit(cpu);
	if (!to)
		return NULL;
	if (epoch != cpu->e->freed)
		return jit_host_code(cpu, to->checked);
	soft_cache_lock(cpu->e->cache);
	if (!l->word || allow_cross(cpu, l, to))
		jit_link_to(cpu->e->jit, l, to);
	soft_cache_unlock(cpu->e->cache);
	return jit_host_code(cpu, to == jb && l->inner ? l->inner : to->checked);
}

/* An indirect branch to nowhere faults before its stack operation: take that back. */
_Noreturn static void bad_target(struct soft_cpu *cpu, const struct jit_block *jb, unsigned i,
				 bool call, bool ret)
{
	const struct soft_op *op = &cpu->one[0];

	take_op(cpu, jb, i);
	if (call) {
		if (!soft_intel(cpu))
			stack_store(cpu, stack_top(cpu), cpu->jit_old, op->opsize);
		stack_set(cpu, cpu->s.gpr[R_RSP] + op->opsize);
	}
	if (ret)
		stack_set(cpu, cpu->s.gpr[R_RSP] - op->opsize - op->imm);
	cpu->op = &cpu->one[0];
	soft_raise_err(cpu, VEC_GP, 0);
}

/* The indirect branch of operation `i` is not in the table. */
static const void *on_indirect(struct soft_cpu *cpu, struct jit_block *jb, uint32_t i,
			       uint64_t target)
{
	bool ok = soft_mode64(cpu) ? soft_canonical(target) : target <= cpu->s.seg[SEG_CS].limit;

	take_flags(cpu);
	if (unlikely(!ok))
		bad_target(cpu, jb, i, jb->last_op == X86_OP_CALL_IND, jb->last_op == X86_OP_RET);
	if (unlikely(cpu->check))
		return soft_check_on_exit(cpu, target);
	cpu->s.rip = target;
	SOFT_COUNT(cpu, exit_indirect);
	return dispatch(cpu);
}

/* The block is at s.rip, but its second page is not where it was, or not known to be. */
static const void *on_recheck(struct soft_cpu *cpu, const struct jit_block *jb)
{
	take_flags(cpu);
	cpu->s.rip = jb->ip;
	if (must_look(cpu))
		return NULL;
	jb = find_jit(cpu);
	if (!jb)
		return NULL;
	jc_fill(cpu, cpu->s.rip, jb);
	return jit_host_code(cpu, jb->checked);
}

/* Which operation of the block has its code at `pc`? */
static unsigned op_at(const struct jit_cache *jc, const struct jit_block *jb, uint64_t pc)
{
	uint32_t at = (uint32_t)(pc - (uint64_t)(uintptr_t)jc->rx);
	unsigned lo = 0, hi = jb->nops;

	while (hi - lo > 1) {
		unsigned mid = (lo + hi) / 2;

		if ((jb->off[mid] & JIT_OFF_MASK) <= at)
			lo = mid;
		else
			hi = mid;
	}
	while (jb->off[lo] & JIT_OFF_GROUPED)
		lo--;
	return lo;
}

/* The operations, by bit, that are checked with `i` as a group. */
static uint64_t group_at(const struct jit_block *jb, unsigned i)
{
	uint64_t bits = 1ull << i;

	while (++i < jb->nops && (jb->off[i] & JIT_OFF_GROUPED))
		bits |= 1ull << i;
	return bits;
}

/* A range that was to be checked at once keeps crossing pages: operation `i`, or each of its group, goes alone. */
static void give_up_run(struct soft_cpu *cpu, struct jit_block *jb, unsigned i)
{
	SOFT_COUNT(cpu, jit_lone);
	soft_cache_lock(cpu->e->cache);
	jb->sb->lone |= group_at(jb, i);
	if (jb->sb->jit == jb) {
		jb->sb->jit = NULL;
		jb->older = jb->sb->old;
		jb->sb->old = jb;
		jit_cut_off(cpu->e->jit, jb);
	}
	soft_cache_unlock(cpu->e->cache);
}

/* Operation `i`, of which nothing has been done, goes on at this offset in the code memory. */
static const void *again(struct soft_cpu *cpu, const struct jit_block *jb, unsigned i, uint32_t off)
{
	take_flags(cpu);
	cpu->s.rip = rip_of(cpu, jb, i); /* it may go no further */
	return jit_host_code(cpu, off);
}

/*
 * An entry for a whole page, so that operation `i` can begin again. A run may be checked for writing at an operation
 * that only reads: then only where the page has been written before, since its D flag is not this one's to set.
 */
static bool enter_page_of(struct soft_cpu *cpu, gva_t lin, enum soft_access access, bool writes,
			  struct soft_page *pg)
{
	if (access == SOFT_READ || writes)
		return soft_tlb_try(cpu, lin, access, pg);
	return soft_tlb_try(cpu, lin, SOFT_READ, pg) &&
	       soft_tlb_hit_in(cpu->tlb, cpu->tlb_gen, lin, 1, SOFT_WRITE);
}

/*
 * The operand of the operation at `pc`, at linear address `lin`, is not in the TLB. Its flags are
 * parked, or dead. If all it takes is an entry, the operation begins again; if it writes beside code, it goes
 * on behind the lookup, once; otherwise S1 does it. (What writes more than it looks up, strings, has no JIT_ID_WRITE.)
 */
static const void *miss(struct soft_cpu *cpu, uint64_t pc, uint64_t lin, enum soft_access access)
{
	struct jit_block *jb = jit_block_of(cpu->e->jit, pc);
	unsigned i = op_at(cpu->e->jit, jb, pc);
	bool crosses = (lin & ~PAGE_MASK) + cpu->jit_miss_size >= PAGE_BYTES;
	bool writes = access == SOFT_WRITE && (jb->ids[i] & JIT_ID_WRITE);
	struct soft_page pg = {0};
	const void *code;
	uint8_t *host;

	if (!crosses && !cpu->check && !jb->dead && !(jb->off[i] & JIT_OFF_RUN)) {
		host = writes ? soft_write_beside_again(cpu, lin, cpu->jit_miss_size + 1) : NULL;
		if (!host && enter_page_of(cpu, lin, access, writes, &pg)) {
			SOFT_COUNT(cpu, exit_tlb_again);
			return again(cpu, jb, i, jb->off[i] & JIT_OFF_MASK);
		}
		if (!host && writes &&
		    soft_write_beside_code(cpu, lin, cpu->jit_miss_size + 1, &pg))
			host = pg.host;
		if (host) {
			SOFT_COUNT(cpu, exit_beside);
			cpu->jit_t0 = (uint64_t)(uintptr_t)host;
			return again(cpu, jb, i,
				     (uint32_t)(pc - (uint64_t)(uintptr_t)cpu->e->jit->rx));
		}
		if (pg.gpa && pg.kind == MEM_MMIO && (writes || access == SOFT_READ)) {
			cpu->walked.lin = lin;
			cpu->walked.gpa = pg.gpa;
			cpu->walked.access = (uint8_t)access;
			cpu->walked.view = (uint8_t)cpu->view;
			cpu->walked.is = true;
		}
	}
	if (crosses && i + 1 < jb->nops && (jb->off[i + 1] & (JIT_OFF_RUN | JIT_OFF_GROUPED)) &&
	    ++jb->crossings == JIT_MAX_CROSSINGS)
		give_up_run(cpu, jb, i);
	code = on_op(cpu, jb, i);
	cpu->walked.is = false;
	return code;
}

static const void *on_miss_read(struct soft_cpu *cpu, uint64_t pc, uint64_t unused, uint64_t lin)
{
	(void)unused;
	return miss(cpu, pc, lin, SOFT_READ);
}

static const void *on_miss_write(struct soft_cpu *cpu, uint64_t pc, uint64_t unused, uint64_t lin)
{
	(void)unused;
	return miss(cpu, pc, lin, SOFT_WRITE);
}

/* A host instruction faulted on its guest's account; signals.c has noted where. */
static const void *on_fault(struct soft_cpu *cpu)
{
	struct jit_block *jb = jit_block_of(cpu->e->jit, cpu->jit_fault.pc);
	unsigned i = op_at(cpu->e->jit, jb, cpu->jit_fault.pc);

	SOFT_COUNT(cpu, exit_fault);
	if (!(jb->off[i] & JIT_OFF_PARKED))
		cpu->hflags = (uint16_t)((cpu->jit_fault.eflags & 0xff) << 8 |
					 (cpu->jit_fault.eflags >> 11 & 1));
	/* Misaligned, or not canonical: S1 knows which fault that is. */
	if (cpu->jit_fault.trap == VEC_GP)
		return on_op(cpu, jb, i);
	take_flags(cpu);
	take_op(cpu, jb, i);
	cpu->op = &cpu->one[0];
	thunk_fault(cpu, cpu->jit_fault.trap);
}

/* ---- Getting out of generated code ---------------------------------------------------------- */

/* Where the jump through a table at `pc`, or behind the Jcc there, goes: 0 if there is none. */
static uint64_t table_jump(const struct soft_cpu *cpu, uint64_t pc, uint64_t r10)
{
	const uint8_t *p = (const uint8_t *)(uintptr_t)pc;
	uint32_t disp;
	uint64_t to;

	if (p[0] == 0x0f && p[1] == 0x85)
		p += 6;
	if (p[0] != 0x65)
		return 0;
	if (p[1] == 0x41 && p[2] == 0xff && p[3] == 0xa2) {
		gp_memcpy(&disp, p + 4, 4);
		disp += (uint32_t)r10;
	} else if (p[1] == 0xff && p[2] == 0x24 && p[3] == 0x25) {
		gp_memcpy(&disp, p + 4, 4);
	} else {
		return 0;
	}
	if (disp > sizeof(*cpu) - 8)
		return 0;
	gp_memcpy(&to, (const uint8_t *)cpu + disp, 8);
	return to;
}

/*
 * The thread is at `pc` in generated code. Its block's exits all come back to C, as do all lookups
 * once code_key is spoilt; only one that was past its comparison needs a look at its target too.
 */
static uint64_t on_kick(struct soft_cpu *cpu, uint64_t pc, uint64_t r10, uint64_t r11)
{
	struct jit_cache *jc = cpu->e->jit;
	uint64_t off = pc - (uint64_t)(uintptr_t)jc->rx, to;
	struct jit_block *jb;

	if (off >= jc->resume && off < jc->leave)
		return (uint64_t)(uintptr_t)(jc->rx + jc->leave);
	/* A lookup goes back to what was in r11; every other stub goes to C. */
	if (off < jc->stubs_end && !jit_contains(jc, r11))
		r11 = cpu->jit_ret;
	if (off < jc->stubs_end && !jit_contains(jc, r11))
		return pc;
	if (!cpu->jit_kicked) {
		cpu->jit_kicked = true;
		atomic_fetch_add(&jc->kicks, 1);
	}
	cpu->code_key = SOFT_NO_KEY;
	jb = jit_block_of(jc, off < jc->stubs_end ? r11 : pc);
	if (jb)
		jit_unlink_exits(jc, jb);
	if (off < jc->stubs_end)
		return pc;
	to = table_jump(cpu, pc, r10);
	jb = to && jit_contains(jc, to) ? jit_block_of(jc, to) : NULL;
	if (jb)
		jit_unlink_exits(jc, jb);
	return pc;
}

/* ---- The stubs ------------------------------------------------------------------------------ */

/* cpu->field's address is gs:[offset]; guest registers that are the host's. */
static bool is_mapped(unsigned reg)
{
	return !jit_in_memory(reg);
}

static void save_regs(struct emit *e, unsigned first)
{
	for (unsigned r = first; r < 16; r++) {
		if (is_mapped(r))
			em_store_gs(e, r, GS_GPR(r));
	}
}

/* rsp, rdi = vCPU; rsi, rdx, rcx from r11, r10, r9; call `fn`. */
static void call_c(struct emit *e, uint64_t fn)
{
	em_load_gs(e, R_RSP, GS_OFF(host_rsp));
	em_load_gs(e, R_RDI, GS_OFF(self));
	em_mov_rr(e, R_RSI, T2);
	em_mov_rr(e, R_RDX, T1);
	em_mov_rr(e, R_RCX, T0);
	em_mov_imm(e, R_RAX, fn);
	em8(e, 0xff); /* call rax */
	em8(e, 0xd0);
}

/* Returns the offset of the variant that saves flags, and of the other. */
static uint32_t emit_stub(struct emit *e, uint64_t fn, uint32_t *parked, uint32_t resume)
{
	uint32_t live = e->pos;

	em_store_gs(e, R_RAX, GS_GPR(R_RAX));
	em_save_flags(e);
	em8(e, 0xeb); /* jmp over the next store */
	em8(e, 0);
	uint32_t jump = e->pos;

	*parked = e->pos;
	em_store_gs(e, R_RAX, GS_GPR(R_RAX));
	e->rw[jump - 1] = (uint8_t)(e->pos - jump);
	save_regs(e, 1);
	call_c(e, fn);
	em_jmp_to(e, resume);
	return live;
}

/* rax = where to go on, or 0: leave jit_enter(). Everything is in cpu->s. */
static void emit_resume(struct jit_cache *jc, struct emit *e)
{
	static const uint8_t pops[] = {0x48, 0x83, 0xc4, 0x08, 0x41, 0x5f, 0x41, 0x5e,
				       0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b, 0xc3};
	uint32_t stop, none, off = GS_OFF(s.rflags);

	jc->resume = e->pos;
	em_store_gs(e, R_RAX, GS_OFF(jit_resume));
	em_rr(e, 1, 0x85, R_RAX, R_RAX);
	none = em_jcc_later(e, 4);
	em8(e, 0x65); /* cmp dword gs:[jit_stop], 0 */
	em8(e, 0x83);
	em8(e, 0x3c);
	em8(e, 0x25);
	em32(e, GS_OFF(jit_stop));
	em8(e, 0);
	stop = em_jcc_later(e, 5);
	em_gs(e, 0, 0x8a, 0, off + 1); /* mov al, OF's byte */
	em8(e, 0xc0);		       /* shr al, 3 */
	em8(e, 0xe8);
	em8(e, 3);
	em8(e, 0x24); /* and al, 1 */
	em8(e, 1);
	em8(e, 0x65); /* mov ah, the other flags (no REX: AH) */
	em8(e, 0x8a);
	em8(e, 0x24);
	em8(e, 0x25);
	em32(e, off);
	em8(e, 0x66);
	em_gs(e, 0, 0x89, R_RAX, GS_OFF(hflags));
	em8(e, 0x04); /* add al, 0x7f */
	em8(e, 0x7f);
	em8(e, 0x9e); /* sahf */
	for (unsigned r = 0; r < 16; r++) {
		if (is_mapped(r))
			em_load_gs(e, r, GS_GPR(r));
	}
	em_load_gs(e, BASE, GS_OFF(space_base));
	em_load_gs(e, T0, GS_OFF(jit_t0));
	em_jmp_gs(e, GS_OFF(jit_resume));
	jc->leave = e->pos;
	em_patch_rel(e->rw, none, e->pos);
	em_patch_rel(e->rw, stop, e->pos);
	em_load_gs(e, R_RSP, GS_OFF(host_rsp));
	for (unsigned i = 0; i < sizeof(pops); i++)
		em8(e, pops[i]);
}

static void emit_enter(struct jit_cache *jc, struct emit *e)
{
	static const uint8_t pushes[] = {0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41,
					 0x56, 0x41, 0x57, 0x48, 0x83, 0xec, 0x08};

	jc->enter = e->pos;
	for (unsigned i = 0; i < sizeof(pushes); i++)
		em8(e, pushes[i]);
	em_store_gs(e, R_RSP, GS_OFF(host_rsp));
	em_mov_rr(e, R_RAX, R_RSI);
	em_jmp_to(e, jc->resume);
}

void jit_emit_stubs(struct jit_cache *jc)
{
	struct emit e = {.rw = jc->rw, .pos = 64};
	uint32_t unused;

	jc->on_kick = on_kick;
	emit_resume(jc, &e);
	emit_enter(jc, &e);
	jc->stub_op = emit_stub(&e, (uint64_t)(uintptr_t)on_op, &jc->stub_op_parked, jc->resume);
	jc->stub_exit =
		emit_stub(&e, (uint64_t)(uintptr_t)on_exit, &jc->stub_exit_parked, jc->resume);
	emit_stub(&e, (uint64_t)(uintptr_t)on_indirect, &jc->stub_indirect, jc->resume);
	emit_stub(&e, (uint64_t)(uintptr_t)on_recheck, &jc->stub_recheck, jc->resume);
	emit_stub(&e, (uint64_t)(uintptr_t)on_miss_read, &jc->stub_miss[SOFT_READ], jc->resume);
	emit_stub(&e, (uint64_t)(uintptr_t)on_miss_write, &jc->stub_miss[SOFT_WRITE], jc->resume);
	for (unsigned v = 0; v < SOFT_VIEWS; v++) {
		jc->miss[v][0] =
			jit_emit_miss(&e, (enum soft_view)v, SOFT_READ, jc->stub_miss[SOFT_READ]);
		jc->miss[v][1] =
			jit_emit_miss(&e, (enum soft_view)v, SOFT_WRITE, jc->stub_miss[SOFT_WRITE]);
	}
	emit_stub(&e, (uint64_t)(uintptr_t)on_fault, &unused, jc->resume);
	jc->stub_fault = unused;
	jc->split = jc->bytes / 2;
	jc->stubs_end = (e.pos + 63) & ~63u;
	jit_cache_use_part(jc, 0);
}

static void enter(struct soft_cpu *cpu, const void *code)
{
	const struct jit_cache *jc = cpu->e->jit;
	void (*fn)(struct soft_cpu *, const void *) =
		(void (*)(struct soft_cpu *, const void *))(uintptr_t)(jc->rx + jc->enter);

	fn(cpu, code);
}

static void enter_if_calm(struct soft_cpu *cpu, const void *code)
{
	cpu->jit_stop = 0;
	atomic_store(&cpu->jit_in, true);
	if (!must_look(cpu))
		enter(cpu, code);
	atomic_store(&cpu->jit_in, false);
}

void jit_enter(struct soft_cpu *cpu, const struct jit_block *jb)
{
	if (!cpu->e->jit->come_back)
		jc_fill(cpu, cpu->s.rip, jb);
	enter_if_calm(cpu, jit_host_code(cpu, jb->checked));
}

bool jit_enter_known(struct soft_cpu *cpu)
{
	const void *code = cpu->e->jit->come_back ? NULL : jc_find(cpu);

	if (code)
		enter_if_calm(cpu, code);
	return code;
}

void jit_enter_at(struct soft_cpu *cpu, uint32_t off)
{
	cpu->jit_stop = 0;
	enter(cpu, jit_host_code(cpu, off));
}

void jit_enter_again(struct soft_cpu *cpu)
{
	cpu->jit_stop = 0;
	enter(cpu, (const void *)(uintptr_t)cpu->jit_resume);
}
