// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Translating a superblock: decode it anew, find which flags are live where, emit, place the
 * stubs behind it, and put it into the code memory.
 * Threads: the vCPU that runs it, with the cache lock from the first byte emitted on.
 */
#include "engine/soft/check.h"
#include "engine/soft/debugger.h"
#include "engine/soft/jit_xlat.h"
#include "engine/soft/perfmap.h"
#include "engine/soft/trace.h"

#define SCAN_INSNS 8

/* ---- Decoding ------------------------------------------------------------------------------- */

/* Encodings that mean something else, or nothing, in 64-bit mode: their other forms. */
static void normalize(struct x86_insn *insn)
{
	unsigned op = insn->opcode;

	if (insn->map != X86_MAP_1B)
		return;
	if (op >= 0xa0 && op <= 0xa3) { /* moffs */
		insn->opcode = (uint8_t)((op & 1) | (op < 0xa2 ? 0x8a : 0x88));
		insn->flags |= X86_IF_MODRM;
		insn->modrm = 0;
		insn->rex &= 8;
		insn->imm_len = 0;
	} else if (op >= 0x40 && op <= 0x4f && insn->mode != X86_MODE_64) { /* INC, DEC */
		insn->opcode = 0xff;
		insn->flags |= X86_IF_MODRM;
		insn->modrm = (uint8_t)(0xc0 | (op & 0x0f));
	}
}

/* The guest's CPUID decides what TZCNT and its kin are, as in translate.c. */
static bool decode_at(const struct xlat *x, const uint8_t *bytes, size_t avail,
		      struct x86_insn *insn)
{
	const struct x86_cpuid *id = x->cpu->e->cfg.cpuid;

	if (x86_decode(insn, bytes, avail, soft_decode_mode(x->cpu, x->mode)) < 0)
		return false;
	if (insn->feature && !id->has[insn->feature] && !x86_insn_before_feature(insn))
		return false;
	normalize(insn);
	return true;
}

static const uint8_t *page_bytes(const struct xlat *x)
{
	return x->cpu->e->ram + (x->b->backing & PAGE_MASK);
}

static unsigned page_offset(const struct xlat *x, uint64_t ip)
{
	return (unsigned)((x->cpu->segbase[SEG_CS] + ip) & ~PAGE_MASK);
}

static bool on_page(const struct xlat *x, uint64_t ip)
{
	uint64_t lin = x->cpu->segbase[SEG_CS] + ip;

	return ((x->m64 ? lin : (uint32_t)lin) & PAGE_MASK) == (x->b->lin & PAGE_MASK);
}

/* A branch that goes to op->imm, or not. */
static bool is_conditional(const struct jit_op *o)
{
	return o->emit && (o->insn.op == X86_OP_JCC ||
			   (o->insn.op >= X86_OP_LOOP && o->insn.op <= X86_OP_JCXZ));
}

static bool crosses(const struct xlat *x)
{
	return x->b->page[1] != SOFT_NO_PAGE;
}

/* The bytes of the instruction at `at` in the page. */
static const uint8_t *bytes_at(struct xlat *x, unsigned at)
{
	unsigned first = (unsigned)PAGE_BYTES - at;

	if (!crosses(x) || first >= sizeof(x->crossing))
		return page_bytes(x) + at;
	gp_memcpy(x->crossing, page_bytes(x) + at, first);
	gp_memcpy(x->crossing + first, x->cpu->e->ram + (x->b->page[1] << PAGE_BITS),
		  sizeof(x->crossing) - first);
	return x->crossing;
}

/* Is jit_flags_of() all there is to say of an instruction that S1 may execute? */
static bool flags_known(const struct x86_insn *insn)
{
	return !(insn->flags & X86_IF_BRANCH) && !soft_sys_lookup((enum x86_op)insn->op) &&
	       !(insn->op >= X86_OP_LOOP && insn->op <= X86_OP_JCXZ) &&
	       !(insn->op >= X86_OP_PUSHA && insn->op <= X86_OP_ENTER) &&
	       !(insn->op >= X86_OP_DAA && insn->op <= X86_OP_XLAT) &&
	       !(insn->op >= X86_OP_MOVS && insn->op <= X86_OP_OUT);
}

static void plan_op(struct xlat *x, unsigned i)
{
	const struct soft_op *op = &x->bd->ops[i];
	struct jit_op *o = &x->ops[i];

	o->op = op;
	o->emit = NULL;
	o->inner = -1;
	o->label = false;
	o->touch.kind = TOUCH_UNKNOWN;
	o->changes = true;
	o->use = (struct jit_flag_use){FLAGS_ARITH, 0};
	if (op->flags & SOFT_OP_END)
		return;
	o->insn = x->bd->insns[i];
	if (o->insn.op == X86_OP_INVALID)
		return;
	normalize(&o->insn);
	o->bytes = bytes_at(x, page_offset(x, op->rip));
	o->emit = jit_pick(x, &o->insn, op);
	if (x->cpu->check && !soft_check_can(&o->insn, op, i + 1 < x->n ? op + 1 : NULL))
		o->emit = NULL;
	if (o->emit || flags_known(&o->insn))
		o->use = jit_flags_of(&o->insn);
	if (!o->emit)
		return;
	o->changes = jit_changes_flags(&o->insn);
	if (!is_conditional(o) && o->insn.op != X86_OP_JMP)
		return;
	for (unsigned k = 0; k <= i; k++) {
		if (x->bd->ops[k].rip == op->imm) {
			o->inner = (int16_t)k;
			x->ops[k].label = true;
			break;
		}
	}
}

/* ---- Which flags are live ------------------------------------------------------------------- */

/* Flags that code at `ip` may read before it writes them. Its bytes then belong to this block. */
static unsigned live_at(struct xlat *x, uint64_t ip)
{
	unsigned need = FLAGS_ARITH, live = 0;

	for (unsigned i = 0; i < SCAN_INSNS && need && on_page(x, ip); i++) {
		struct x86_insn insn;
		struct jit_flag_use u;
		unsigned at = page_offset(x, ip);

		if (!decode_at(x, page_bytes(x) + at, PAGE_BYTES - at, &insn))
			break;
		for (unsigned line = at >> 6; line <= (at + insn.len - 1u) >> 6; line++)
			x->lines |= 1ull << line;
		if (insn.op == X86_OP_JMP) {
			ip = soft_branch_target(&insn, ip + insn.len);
			continue;
		}
		if (!flags_known(&insn))
			break;
		u = jit_flags_of(&insn);
		live |= u.reads & need;
		need &= ~(unsigned)u.writes;
		ip += insn.len;
	}
	return live | need;
}

/* With host code it ends its block and goes on behind itself. */
static bool ends_in_next(enum x86_op op)
{
	switch (op) {
	case X86_OP_PAUSE:
	case X86_OP_RDTSC:
	case X86_OP_RDTSCP:
	case X86_OP_SWAPGS:
	case X86_OP_RDFSBASE:
	case X86_OP_WRFSBASE:
	case X86_OP_RDGSBASE:
	case X86_OP_WRGSBASE:
	case X86_OP_MOV_FROM_CR:
	case X86_OP_CLAC:
	case X86_OP_STAC:
		return true;
	default:
		return op >= X86_OP_MOV_FROM_SEG && op <= X86_OP_LGS;
	}
}

/* What is live where a direct branch or the block's end goes to; not for jumps back inside. */
static unsigned live_at_exit(struct xlat *x, const struct jit_op *o)
{
	if (o->op->flags & SOFT_OP_END)
		return live_at(x, o->op->rip);
	if (o->emit && o->inner < 0 &&
	    (o->insn.op == X86_OP_JMP || o->insn.op == X86_OP_CALL || is_conditional(o)))
		return live_at(x, o->op->imm);
	if (o->emit && ends_in_next((enum x86_op)o->insn.op))
		return live_at(x, o->op->rip + o->op->len);
	return FLAGS_ARITH;
}

/* Backwards through the block; `before` has what is live before each operation. */
static void pass_live(struct xlat *x, const uint16_t *exit_live, uint16_t *before)
{
	unsigned live = FLAGS_ARITH;

	for (unsigned i = x->n; i-- > 0;) {
		struct jit_op *o = &x->ops[i];
		unsigned out = o->inner >= 0 ? before[o->inner] : exit_live[i];

		if (is_conditional(o))
			live |= out;
		else if (i + 1 == x->n)
			live = out;
		o->live = (uint16_t)live;
		live = (live & ~(unsigned)o->use.writes) | o->use.reads;
		before[i] = (uint16_t)live;
	}
	x->live_in = live;
}

/* Twice: the first pass takes everything for live at a jump back. */
static void find_live(struct xlat *x)
{
	uint16_t *exit_live = x->live_exit, *before = x->live_before;

	for (unsigned i = 0; i < x->n; i++) {
		exit_live[i] = (uint16_t)live_at_exit(x, &x->ops[i]);
		before[i] = FLAGS_ARITH;
	}
	pass_live(x, exit_live, before);
	pass_live(x, exit_live, before);
}

/* ---- Emission ------------------------------------------------------------------------------- */

/*
 * A block whose instruction runs into a second page begins by looking whether the page behind its
 * first still is the one it was decoded from; links and tables lead here without looking.
 */
static void emit_guard(struct xlat *x)
{
	struct soft_cpu *cpu = x->cpu;
	enum soft_view view = soft_code_view(cpu);
	gva_t next = soft_lin_wrap(cpu, (x->b->lin | ~PAGE_MASK) + 1);
	const uint8_t *host = cpu->e->ram + (x->b->page[1] << PAGE_BITS);
	const struct soft_tlb_ent *ent = soft_tlb_slot(&cpu->views[view], SOFT_EXEC, next);
	uint32_t at = (uint32_t)((const uint8_t *)ent - (const uint8_t *)cpu);
	struct emit *e = &x->e;

	if (x->live_in) {
		em_park(e);
		x->flags = FLAGS_PARKED;
	}
	x->pad = e->pos;
	em_gs_movzx16(e, T0, view == SOFT_VIEW_SUPER ? GS_OFF(super_gen) : GS_OFF(space_gen));
	em_mov_imm(e, T1, next);
	em_rr(e, 1, 0x09, T1, T0);
	em_gs(e, 1, 0x3b, T0, at);
	jit_slow_stub(x, em_jcc_later(e, 5), false);
	x->slow[x->nslow - 1].recheck = true;
	em_mov_imm(e, T1, (uint64_t)(uintptr_t)host - next);
	em_gs(e, 1, 0x3b, T1, at + 8);
	jit_slow_stub(x, em_jcc_later(e, 5), false);
	x->slow[x->nslow - 1].recheck = true;
	x->checked = e->pos;
}

/*
 * Flags are live at the start. Are they better left parked there? Where nobody looks at them before they would be
 * lost, or are parked for the way out: whoever jumps here from another page has parked them already.
 */
static bool starts_parked(const struct xlat *x)
{
	for (unsigned i = 0; i < x->n; i++) {
		const struct jit_op *o = &x->ops[i];

		if ((o->op->flags & SOFT_OP_END) || !o->emit || (o->insn.flags & X86_IF_BRANCH))
			return !(o->use.reads & FLAGS_ARITH) || !o->emit;
		if (o->use.reads || o->changes)
			return false;
		if (thunk_mem_operand(&o->insn) || o->insn.op == X86_OP_PUSH ||
		    o->insn.op == X86_OP_POP || o->insn.op == X86_OP_LEAVE)
			return true;
	}
	return true;
}

/* Its emitter knows that scratch registers may be kept in a run. */
static bool ready_for_runs(const struct jit_op *o)
{
	return !(o->op->flags & SOFT_OP_END) && o->emit &&
	       (o->emit == jit_emit_plain || o->insn.op == X86_OP_LEA || o->insn.op == X86_OP_NOP ||
		o->insn.op == X86_OP_PREFETCH);
}

static void emit_ops(struct xlat *x)
{
	x->cur = 0;
	if (crosses(x))
		emit_guard(x);
	else if (x->live_in && starts_parked(x))
		x->flags = FLAGS_PARKED;
	x->parked_start = x->flags == FLAGS_PARKED;
	for (unsigned i = 0; i < x->n; i++) {
		struct jit_op *o = &x->ops[i];
		uint32_t run;
		unsigned n;

		x->cur = i;
		if (o->label && x->flags == FLAGS_PARKED)
			jit_need_flags(x);
		run = jit_in_run(x) ? JIT_OFF_RUN : 0;
		x->off[i] = x->e.pos;
		o->parked = x->flags == FLAGS_PARKED;
		if (!ready_for_runs(o))
			jit_run_settle(x);
		if (o->op->flags & SOFT_OP_END) {
			jit_emit_exit(x, o->op->rip, -1);
		} else if (o->emit && (n = jit_emit_group(x, i)) > 1) {
			uint32_t grouped = x->off[i] | JIT_OFF_GROUPED;

			if (x->flags == FLAGS_PARKED)
				grouped |= JIT_OFF_PARKED;
			for (unsigned k = 1; k < n; k++) {
				x->off[i + k] = grouped;
				x->ops[i + k].parked = false;
			}
			x->off[i] = (grouped & ~JIT_OFF_GROUPED) | run;
			for (unsigned k = 0; k < n; k++)
				jit_run_pass(x, i + k);
			i += n - 1;
			continue;
		} else if (o->emit) {
			o->emit(x, o);
			if (unlikely(o->insn.op == x->cpu->e->cfg.soft.spoil) &&
			    x->cpu->e->cfg.soft.spoil)
				em_lea(&x->e, 1, R_RAX, R_RAX, X86_NO_REG, 0, 1);
		} else {
			em8(&x->e, 0xe9);
			em32(&x->e, 0);
			jit_slow_stub(x, x->e.pos - 4, false);
			x->flags = FLAGS_HOST;
		}
		x->off[i] |= run;
		jit_run_pass(x, i);
		if (x->flags == FLAGS_PARKED)
			x->off[i] |= JIT_OFF_PARKED;
	}
	x->off[x->n] = x->e.pos;
}

/* r11 = the block; on to a common stub. One for each kind that the block needs. */
static uint32_t emit_hop(struct xlat *x, uint32_t *known, uint32_t stub)
{
	struct emit *e = &x->e;

	if (!*known) {
		*known = e->pos;
		em_rex(e, 1, T2, 0, 0);
		em8(e, 0x8b);
		em8(e, (T2 & 7) << 3 | 5);
		em32(e, x->cold_head - (e->pos + 4));
		em_jmp_to(e, stub);
		jit_note_jump(x, e->pos - 4, stub);
	}
	return *known;
}

/* Of link `i`, to another page: the way by the table. */
static void emit_other_way(struct xlat *x, unsigned i)
{
	struct emit *e = &x->e;
	uint32_t miss[2];

	em_patch_rel(e->rw, x->link[i].fail, e->pos);
	jit_note_jump(x, x->link[i].fail, e->pos);
	jit_emit_by_table(x, x->link[i].ip, miss);
	em_patch_rel(e->rw, miss[0], e->pos);
	em_patch_rel(e->rw, miss[1], e->pos);
}

static void emit_stubs(struct xlat *x, struct jit_block *jb)
{
	struct jit_cache *jc = x->jc;
	struct emit *e = &x->e;
	uint32_t hop[6] = {0};

	jit_emit_far(x);
	for (unsigned i = 0; i < x->nslow; i++) {
		em_patch_rel(jc->rw, x->slow[i].rel, e->pos);
		jit_note_jump(x, x->slow[i].rel, e->pos);
		if (x->slow[i].by_entry)
			em_gs_at(e, 1, 0x8b, T0, T1, (uint32_t)offsetof(struct soft_cpu, jit_jc));
		em_mov_imm(e, T1, x->slow[i].op);
		em8(e, 0xe9);
		em32(e, 0);
		uint32_t at = e->pos - 4;

		em_patch_rel(jc->rw, at,
			     x->slow[i].recheck	   ? emit_hop(x, &hop[5], jc->stub_recheck)
			     : x->slow[i].indirect ? emit_hop(x, &hop[4], jc->stub_indirect)
			     : x->slow[i].parked   ? emit_hop(x, &hop[1], jc->stub_op_parked)
						   : emit_hop(x, &hop[0], jc->stub_op));
	}
	for (unsigned i = 0; i < x->nlinks; i++) {
		struct jit_link *l = &jb->links[i];
		uint32_t at;

		l->from = jb;
		l->to = NULL;
		l->next_in = NULL;
		l->word = 0;
		l->ip = x->link[i].ip;
		l->rel = x->link[i].rel;
		l->parked = x->link[i].parked;
		l->inner = x->link[i].inner >= 0 ? x->off[x->link[i].inner] & JIT_OFF_MASK : 0;
		if (x->link[i].cross)
			emit_other_way(x, i);
		l->stub = e->pos;
		em_mov_imm(e, T1, i);
		em8(e, 0xe9);
		em32(e, 0);
		at = e->pos - 4;
		em_patch_rel(jc->rw, at,
			     l->parked ? emit_hop(x, &hop[3], jc->stub_exit_parked)
				       : emit_hop(x, &hop[2], jc->stub_exit));
		em_patch_rel(jc->rw, l->rel, l->inner && !jc->come_back ? l->inner : l->stub);
	}
}

/* Behind everything, no instructions: the words of links to other pages, which let nobody pass yet. */
static void emit_words(struct xlat *x, struct jit_link *links)
{
	struct emit *e = &x->e;

	e->pos = (e->pos + 7) & ~7u;
	for (unsigned i = 0; i < x->nlinks; i++) {
		if (!x->link[i].cross)
			continue;
		links[i].word = e->pos;
		em_patch_rel(e->rw, x->link[i].load, e->pos);
		jit_note_jump(x, x->link[i].load, e->pos);
		em64(e, ~0ull);
	}
}

static void start_code(struct xlat *x)
{
	struct jit_cache *jc = x->jc;

	x->head = jit_next_head(&jc->hot);
	x->cold_head = jit_next_head(&jc->cold);
	x->e.rw = jc->rw;
	x->e.pos = x->head + 8;
	x->flags = FLAGS_HOST;
}

/* A write that may be of no byte at all. */
static bool writes_by_mask(const struct x86_insn *insn)
{
	return insn->op == X86_OP_VMASKMOVPS || insn->op == X86_OP_VMASKMOVPD ||
	       insn->op == X86_OP_VPMASKMOVD || insn->op == X86_OP_VPMASKMOVQ;
}

/* What counters, lockstep and jit_join want to know about an operation; `before`: flags live before it. */
static uint16_t id_of(const struct jit_op *o, unsigned before)
{
	unsigned id = o->insn.op;

	if (o->parked)
		id |= JIT_ID_PARKED;
	if (before)
		id |= JIT_ID_LIVE;
	if (o->op->flags & SOFT_OP_END)
		return (uint16_t)((id & ~JIT_ID_OP) | JIT_ID_NATIVE);
	if (o->emit)
		id |= JIT_ID_NATIVE;
	else if (soft_sys_lookup((enum x86_op)o->insn.op))
		id |= JIT_ID_SYSTEM;
	for (unsigned i = 0; i < o->insn.nopds && !writes_by_mask(&o->insn); i++) {
		if (o->insn.opd[i].kind == X86_OPD_MEM && (o->insn.opd[i].access & X86_ACC_W))
			id |= JIT_ID_WRITE;
	}
	if (o->insn.op == X86_OP_PUSH || o->insn.op == X86_OP_CALL || o->insn.op == X86_OP_CALL_IND)
		id |= JIT_ID_WRITE;
	return (uint16_t)id;
}

static void add_check_info(struct xlat *x, struct jit_block *jb)
{
	for (unsigned i = 0; i < x->n; i++) {
		const struct jit_op *o = &x->ops[i];

		jb->flags[i].live = x->live_before[i];
		jb->flags[i].exit = o->inner >= 0 ? x->live_before[o->inner] : x->live_exit[i];
		if (o->emit && (o->insn.flags & X86_IF_HOST) && fpu_class_of(&o->insn) != FPU_NONE)
			jb->fpu = true;
	}
}

/* A block and its arrays, one behind the other. */
static struct jit_block *alloc_block(struct xlat *x)
{
	unsigned n = x->n, nlinks = x->nlinks + x->nfar;
	size_t bytes = sizeof(struct jit_block) + nlinks * sizeof(struct jit_link) +
		       (n + 1) * sizeof(uint32_t) + n * (sizeof(uint16_t) + sizeof(int16_t));
	size_t check = x->cpu->check ? n * sizeof(struct jit_op_flags) : 0;
	struct jit_block *jb = jit_meta_alloc(x->jc, bytes + check);

	jb->flags = check ? (struct jit_op_flags *)((uint8_t *)jb + bytes) : NULL;
	jb->links = (struct jit_link *)(jb + 1);
	jb->off = (uint32_t *)(jb->links + nlinks);
	jb->ids = (uint16_t *)(jb->off + n + 1);
	jb->rip = (int16_t *)(jb->ids + n);
	jb->nops = (uint16_t)n;
	jb->nlinks = (uint16_t)nlinks;
	for (unsigned i = 0; i < n; i++) {
		jb->off[i] = x->off[i];
		jb->ids[i] = id_of(&x->ops[i], x->live_before[i]);
		jb->rip[i] = (int16_t)(x->ops[i].op->rip - x->ops[0].op->rip);
	}
	jb->off[n] = x->off[n];
	return jb;
}

static void fill_block(struct xlat *x, struct jit_block *jb)
{
	const struct jit_op *last = &x->ops[x->n - 1];
	uint32_t code = x->head + 8;

	jb->sb = x->b;
	jb->code = jb->body = code;
	jb->len = x->e.pos - code;
	jb->pad = crosses(x) ? x->pad : code;
	jb->checked = crosses(x) ? x->checked : code;
	jb->ip = x->ops[0].op->rip;
	jb->needs_flags = x->live_in != 0;
	jb->dead = jb->fpu = false;
	jb->crossings = 0;
	jb->older = jb->entries = jb->next_entry = NULL;
	jb->last_op = last->op->flags & SOFT_OP_END ? 0 : last->insn.op;
	jb->in = NULL;
}

/* Where the block begins for whom flags come in otherwise than its code expects them. */
static void emit_other_start(struct xlat *x, struct jit_block *jb)
{
	if (x->parked_start) {
		jb->body = x->e.pos;
		em_park(&x->e);
	} else {
		jb->pad = x->e.pos;
		em_unpark(&x->e, T1);
	}
	em_jmp_to(&x->e, jb->code);
	jit_note_jump(x, x->e.pos - 4, jb->code);
}

/* What jit_copy.c needs, behind the other arrays. */
static void add_fixes(struct xlat *x, struct jit_block *jb)
{
	size_t bytes = x->nfix * sizeof(*jb->fix);

	jb->cold_end = x->e.pos;
	jb->fixed = x->fixed || !x->m64 || crosses(x);
	jb->nfix = 0;
	jb->fix = NULL;
	if (jb->fixed)
		return;
	jb->nfix = (uint16_t)x->nfix;
	jb->fix = jit_meta_alloc(x->jc, bytes);
	jb->info_bytes = (uint32_t)((uint8_t *)jb->fix + bytes - (uint8_t *)jb);
	gp_memcpy(jb->fix, x->fix, bytes);
}

static struct jit_block *place(struct xlat *x)
{
	struct jit_block *jb = alloc_block(x);

	fill_block(x, jb);
	x->e.pos = x->cold_head + 8;
	for (unsigned i = 0; i < x->ncold; i++)
		jit_emit_cold(x, &x->cold[i]);
	if (jb->flags)
		add_check_info(x, jb);
	emit_stubs(x, jb);
	if (jb->needs_flags && !crosses(x))
		emit_other_start(x, jb);
	jb->end = x->e.pos;
	emit_words(x, jb->links);
	add_fixes(x, jb);
	return jb;
}

static void plan(struct xlat *x)
{
	for (unsigned i = 0; i < x->n; i++)
		plan_op(x, i);
	find_live(x);
}

static struct jit_block *translate_locked(struct xlat *x)
{
	struct jit_cache *jc = x->jc;
	struct soft_block *b = x->b;
	struct jit_block *jb;

	/* Bytes may have been written since they were read. */
	if (b->jit)
		return b->jit;
	if (!atomic_load(&b->valid) || x->bd->epoch != soft_cache_epoch(x->cpu->e->cache) ||
	    jit_full(jc))
		return NULL;
	start_code(x);
	emit_ops(x);
	jb = place(x);
	jb->cold = x->cold_head + 8;
	soft_cache_note_jit(x->cpu->e->cache, b);
	soft_cache_add_lines(x->cpu->e->cache, b, x->lines);
	jit_commit(jc, x->head, jb, jb->code + jb->len);
	jit_commit(jc, x->cold_head, jb, x->e.pos);
	b->jit = jb;
	for (unsigned i = 1; i < x->n && !crosses(x) && !x->cpu->check; i++) {
		if (!(jb->off[i] & (JIT_OFF_GROUPED | JIT_OFF_RUN)) &&
		    !(x->ops[i].op->flags & SOFT_OP_END))
			soft_cache_note_op(x->cpu->e->cache,
					   (b->backing & PAGE_MASK) |
						   page_offset(x, x->ops[i].op->rip));
	}
	return jb;
}

/* Tell whoever asked. The code may be dead by now, but stays until nobody is inside. */
static void tell(struct xlat *x, const struct jit_block *jb)
{
	struct soft_cpu *cpu = x->cpu;
	const uint8_t *code = x->jc->rx + jb->code;
	uint32_t len = jb->len;

	SOFT_COUNT(cpu, jit_blocks);
	SOFT_COUNT_ADD(cpu, jit_insns, x->n);
	SOFT_COUNT_ADD(cpu, jit_bytes, len + x->e.pos - x->cold_head);
	soft_perf_add_block(cpu->e->perf, x->b, code, len);
	if (!log_on(LOG_OUT_ASM))
		return;
	for (unsigned i = 0; i < x->n; i++)
		x->off[i] = (x->off[i] & JIT_OFF_MASK) - jb->code;
	log_lock();
	soft_trace_out_asm(cpu, x->b, code, len, x->off, len);
	soft_trace_cold(cpu, x->jc->rx + jb->cold, jb->end - jb->cold);
	log_unlock();
}

struct jit_block *jit_translate(struct soft_cpu *cpu, struct soft_block *b)
{
	struct xlat x;
	struct jit_block *jb;
	uint64_t start = __builtin_ia32_rdtsc();

	if (unlikely(soft_break_in_page(cpu->e, b->lin)))
		return NULL;
	x.cpu = cpu;
	x.jc = cpu->e->jit;
	x.b = b;
	x.mode = b->mode;
	x.m64 = b->mode & SOFT_MODE_CS64;
	x.nlinks = x.nslow = x.ncold = x.nfar = x.nfix = 0;
	x.fixed = false;
	x.view = cpu->view;
	x.lines = 0;
	x.run = (struct jit_run){.on = false};
	if (jit_full(x.jc)) {
		soft_cache_next_part(cpu->e->cache, cpu);
		return NULL;
	}
	if (soft_cache_in_flux(cpu, b->page[0]) ||
	    (crosses(&x) && soft_cache_in_flux(cpu, b->page[1])))
		return NULL;
	jb = jit_copy_for(cpu, b);
	if (jb)
		return jb;
	x.e.pos = 0;
	x.bd = soft_built(cpu, b, cpu->s.rip);
	x.n = x.bd->nops;
	plan(&x);
	soft_cache_lock(cpu->e->cache);
	jb = translate_locked(&x);
	soft_cache_sweep(cpu->e->cache);
	soft_cache_unlock(cpu->e->cache);
	SOFT_COUNT_ADD(cpu, jit_ns, __builtin_ia32_rdtsc() - start);
	if (jb && x.e.pos)
		tell(&x, jb);
	return jb;
}

/* ---- Entries in the middle ------------------------------------------------------------------ */

/* For whom flags come in by another way than the code at `to` expects them: `park` them first, or take them. */
static uint32_t emit_entry(struct jit_cache *jc, struct jit_block *in, bool park, uint32_t to)
{
	uint32_t head = jit_next_head(&jc->cold);
	struct emit e = {.rw = jc->rw, .pos = head + 8};

	if (park)
		em_park(&e);
	else
		em_unpark(&e, T1);
	em_jmp_to(&e, to);
	jit_commit(jc, head, in, e.pos); /* a kick there is the other block's */
	return head + 8;
}

/* An entry at operation `i`. Where no flags are live they may come in as they like. */
static struct jit_block *make_entry(struct jit_cache *jc, struct jit_block *in, unsigned i)
{
	bool parked = in->ids[i] & JIT_ID_PARKED, live = in->ids[i] & JIT_ID_LIVE;
	struct jit_block *jb = jit_meta_alloc(jc, sizeof(*jb));
	uint32_t to = in->off[i] & JIT_OFF_MASK;

	gp_memset(jb, 0, sizeof(*jb));
	jb->next_entry = in->entries;
	in->entries = jb;
	jb->code = jb->body = jb->pad = jb->checked = to;
	jb->needs_flags = live;
	if (live && parked)
		jb->body = emit_entry(jc, in, true, to);
	else if (live)
		jb->pad = emit_entry(jc, in, false, to);
	return jb;
}

/* The operation of the block at `ip`; 0: none where it could be entered, which its end is not. */
static unsigned op_at_ip(const struct soft_cpu *cpu, const struct jit_block *jb, uint64_t ip)
{
	unsigned n = jb->last_op == X86_OP_INVALID ? jb->nops - 1u : jb->nops;

	for (unsigned i = 1; jb->nops && i < n; i++) {
		if (((jb->ip + (uint64_t)(int64_t)jb->rip[i]) & cpu->rip_mask) == ip)
			return jb->off[i] & (JIT_OFF_GROUPED | JIT_OFF_RUN) ? 0 : i;
	}
	return 0;
}

struct soft_block *jit_join(struct soft_cpu *cpu, gva_t lin, uint64_t backing)
{
	struct soft_cache *c = cpu->e->cache;
	struct soft_block *b = NULL, *in;
	struct jit_block *jb = NULL;
	unsigned seen = 0;

	if (!soft_cache_has_op(c, backing))
		return NULL;
	soft_cache_lock(c);
	while (!b && (in = soft_cache_around(c, cpu, lin, backing, &seen))) {
		unsigned i = in->jit ? op_at_ip(cpu, in->jit, cpu->s.rip) : 0;

		if (!i || jit_full(cpu->e->jit))
			continue;
		b = soft_cache_add_entry(c, in, lin, backing);
		if (!b)
			break;
		jb = make_entry(cpu->e->jit, in->jit, i);
		jb->sb = b;
		jb->ip = cpu->s.rip;
		b->jit = jb;
		SOFT_COUNT(cpu, jit_joins);
	}
	soft_cache_unlock(c);
	return b;
}
