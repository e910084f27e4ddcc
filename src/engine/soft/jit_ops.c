// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From one guest instruction to host instructions: addresses, the soft TLB's inline check, and
 * the instruction itself with its registers and operand renamed.
 * Source: Intel SDM vol. 2. Threads: with the cache lock.
 */
#include "engine/soft/jit_xlat.h"

#define CC_AE 3u
#define CC_NE 5u
#define CC_A 7u
#define TLB_INDEX_SHIFT (PAGE_BITS - 4)
#define TLB_INDEX_MASK ((SOFT_TLB_ENTRIES - 1) << 4)

_Static_assert(sizeof(struct soft_tlb_ent) == 16, "TLB index is scaled by 16");
#define WINDOW_INDEX_SHIFT (PAGE_BITS - 4)
#define WINDOW_INDEX_MASK ((SOFT_WINDOWS - 1) << 4)
#define WINDOW_GROUP_SHIFT 10
/* Windows are named by their offset from here on; r11 points to IN_SPACE(win). */
#define IN_SPACE(member) ((int32_t)offsetof(struct soft_space, member))
#define WRITE_WINDOWS ((int32_t)sizeof(((struct soft_space *)0)->win[0]))

_Static_assert(sizeof(struct soft_window) == 16, "a window's index is scaled by 16");
_Static_assert(SOFT_WINDOW_GROUP * 16 == 1u << WINDOW_GROUP_SHIFT, "groups of windows");
_Static_assert(offsetof(struct soft_space, slot) == 0 &&
		       offsetof(struct soft_space, win) == SOFT_WINDOW_GROUP * 16,
	       "the slots are the first group of windows");

/* ---- Flags ---------------------------------------------------------------------------------- */

static struct jit_op *cur(struct xlat *x)
{
	return &x->ops[x->cur];
}

void jit_need_flags(struct xlat *x)
{
	if (x->flags == FLAGS_HOST)
		return;
	em_unpark(&x->e, T1);
	jit_run_forget(x);
	x->flags = FLAGS_HOST;
}

void jit_lose_flags(struct xlat *x)
{
	struct jit_op *o = cur(x);
	unsigned wanted = o->use.reads | (o->live & ~o->use.writes);

	if (x->flags == FLAGS_PARKED || !wanted)
		return;
	em_park(&x->e);
	x->flags = FLAGS_PARKED;
}

/* ---- Memory --------------------------------------------------------------------------------- */

struct jit_place jit_insn_place(const struct jit_op *o)
{
	const struct x86_insn *insn = &o->insn;
	bool rip = insn->base == X86_REG_RIP;

	return (struct jit_place){.base = rip ? X86_NO_REG : insn->base,
				  .index = insn->index,
				  .scale = insn->scale,
				  .moves = rip,
				  .disp = rip ? insn->disp + (int64_t)(o->op->rip + insn->len)
					      : insn->disp};
}

void jit_address(struct xlat *x, const struct jit_place *at, unsigned addrsize)
{
	struct emit *e = &x->e;
	unsigned base = at->base, index = at->index;
	int64_t disp = at->disp;
	bool wide = addrsize == 8;

	if (base < 16 && jit_in_memory(base)) {
		em_load_gs(e, T0, GS_GPR(base));
		base = T0;
	}
	if (index < 16 && jit_in_memory(index)) {
		em_load_gs(e, T1, GS_GPR(index));
		index = T1;
	}
	if (base >= 16 && index >= 16) {
		uint64_t mask = wide ? ~0ull : addrsize == 4 ? 0xffffffff : 0xffff;

		if (at->moves && wide)
			jit_mov_moving(x, T0, (uint64_t)disp);
		else if (at->moves)
			jit_mov_moving32(x, T0, (uint32_t)disp);
		else
			em_mov_imm(e, T0, (uint64_t)disp & mask);
	} else if (base < 16 && index >= 16 && disp == 0) {
		if (base != T0 || !wide)
			em_rr(e, wide, 0x89, base, T0);
	} else {
		em_lea(e, wide, T0, base, index, at->scale, (int32_t)disp);
	}
	if (addrsize == 2 && (base < 16 || index < 16))
		em_movzx16(e, T0, T0);
}

void jit_slow_stub(struct xlat *x, uint32_t rel, bool indirect)
{
	x->slow[x->nslow].rel = rel;
	x->slow[x->nslow].op = (uint16_t)x->cur;
	x->slow[x->nslow].parked = x->flags == FLAGS_PARKED;
	x->slow[x->nslow].indirect = indirect;
	x->slow[x->nslow].by_entry = false;
	x->slow[x->nslow].recheck = false;
	x->nslow++;
}

/* Offset in the space. The stack's are in reach of a byte from r11. */
static int32_t slot_offset(unsigned key, enum soft_access access)
{
	unsigned n = 2 * (key ^ R_RSP) + (access == SOFT_WRITE ? 1u : 0u);

	return (int32_t)((SOFT_SLOTS - 1 - n % SOFT_SLOTS) * sizeof(struct soft_window));
}

/* T1 = offset of the window of the address in T0. */
static void emit_window_index(struct emit *e)
{
	if (__builtin_cpu_supports("bmi2")) {
		em_rorx(e, T1, T0, WINDOW_INDEX_SHIFT);
	} else {
		em_mov_rr(e, T1, T0);
		em_shift_imm(e, 1, 5, T1, WINDOW_INDEX_SHIFT);
	}
	em_alu_imm(e, 0, 4, T1, WINDOW_INDEX_MASK);
}

void jit_check(struct xlat *x, unsigned key, unsigned size, enum soft_access access)
{
	struct emit *e = &x->e;
	struct jit_cold *c = &x->cold[x->ncold++];
	unsigned index = key < JIT_BY_WINDOW ? X86_NO_REG : T1;
	int32_t at = index != T1	    ? slot_offset(key, access)
		     : access == SOFT_WRITE ? IN_SPACE(win) + WRITE_WINDOWS
					    : IN_SPACE(win);

	jit_lose_flags(x);
	if (index == T1)
		emit_window_index(e);
	em_at(e, 1, 0x2b, T0, BASE, index, at - IN_SPACE(win)); /* sub r9, [page] */
	em_alu_imm(e, 1, 7, T0, PAGE_BYTES - size);
	c->rel = em_jcc_later(e, CC_A);
	em_at(e, 1, 0x03, T0, BASE, index, at - IN_SPACE(win) + 8); /* add r9, [host] */
	c->back = e->pos;
	c->how = (uint32_t)at | (size - 1) << JIT_MISS_SIZE;
	c->write = access == SOFT_WRITE;
	c->indexed = index == T1;
}

/* Out of line: the page is not the window's. */
void jit_emit_cold(struct xlat *x, const struct jit_cold *c)
{
	struct emit *e = &x->e;

	em_patch_rel(e->rw, c->rel, e->pos);
	jit_note_jump(x, c->rel, e->pos);
	em_rex(e, 1, T2, 0, 0); /* lea r11, [back] */
	em8(e, 0x8d);
	em8(e, (T2 & 7) << 3 | 5);
	em32(e, c->back - (e->pos + 4));
	jit_note_jump(x, e->pos - 4, c->back);
	if (c->indexed)
		em_lea(e, 0, T1, T1, X86_NO_REG, 0, (int32_t)c->how);
	else
		em_mov_imm(e, T1, c->how);
	em_jmp_to(e, x->jc->miss[x->view][c->write]);
	jit_note_jump(x, e->pos - 4, x->jc->miss[x->view][c->write]);
}

/* rcx = offset of the TLB entry of the address in T0, rax = what its tag has to be. */
static void emit_tlb_tag(struct emit *e)
{
	em_lea(e, 1, R_RAX, T0, R_RAX, 0, 0);
	em_mov_rr(e, R_RCX, T0);
	em_shift_imm(e, 1, 5, R_RCX, PAGE_BITS + SOFT_TLB_BITS); /* soft_tlb_index() */
	em_shift_imm(e, 1, 4, R_RCX, PAGE_BITS + 1);
	em_rr(e, 1, 0x31, T0, R_RCX); /* xor rcx, r9 */
	em_shift_imm(e, 0, 5, R_RCX, TLB_INDEX_SHIFT);
	em_alu_imm(e, 0, 4, R_RCX, TLB_INDEX_MASK);
	em_alu_imm(e, 1, 4, R_RAX, (uint32_t)PAGE_MASK);
	em_gs(e, 1, 0x0b, R_RAX, GS_OFF(tlb_gen));
}

/* mov byte [r11 + reg + field of the space], 1 */
static void emit_note(struct emit *e, unsigned reg, int32_t field)
{
	em_rex(e, 0, 0, reg, BASE);
	em8(e, 0xc6);
	em_mem(e, 0, BASE, reg, 0, field - IN_SPACE(win));
	em8(e, 1);
}

/* T0 = host address; the window T1 = page rax at host address rcx. */
static void emit_fill_read(struct emit *e)
{
	em_at(e, 1, 0x89, R_RCX, BASE, T1, 8 - IN_SPACE(win));
	em_at(e, 1, 0x89, R_RAX, BASE, T1, -IN_SPACE(win));
	em_rr(e, 1, 0x29, R_RAX, T0);
	em_rr(e, 1, 0x01, R_RCX, T0);
	em_shift_imm(e, 0, 5, T1, WINDOW_GROUP_SHIFT);
	emit_note(e, T1, IN_SPACE(used));
}

/*
 * The same for writing. Another thread may take the TLB's entry, at jit_save[2], meanwhile
 * (soft_tlb_drop_write, which looks here afterwards): then the window is emptied again. Returns the
 * jump that goes on in that case.
 */
static uint32_t emit_fill_write(struct emit *e, uint32_t tab)
{
	uint32_t kept, lost;

	em_at(e, 1, 0x89, R_RCX, BASE, T1, 8 - IN_SPACE(win));
	em_rr(e, 1, 0x29, R_RAX, T0);
	em_rr(e, 1, 0x01, R_RCX, T0);
	em_shift_imm(e, 1, 5, R_RCX, PAGE_BITS);
	em_alu_imm(e, 0, 4, R_RCX, SOFT_SPACE_HOSTS - 1);
	emit_note(e, R_RCX, IN_SPACE(hosts));
	em_mov_rr(e, R_RCX, T1);
	em_shift_imm(e, 0, 5, R_RCX, WINDOW_GROUP_SHIFT);
	emit_note(e, R_RCX, IN_SPACE(used));
	em_at(e, 1, 0x87, R_RAX, BASE, T1, -IN_SPACE(win)); /* xchg: a barrier, too */
	em_load_gs(e, R_RCX, GS_OFF(jit_save[2]));
	em8(e, 0x65); /* cmp qword gs:[rcx + tab], 0: the tag */
	em_rex(e, 1, 0, 0, R_RCX);
	em8(e, 0x83);
	em8(e, 0x80 | 7 << 3 | R_RCX);
	em32(e, tab);
	em8(e, 0);
	kept = em_jcc_later(e, CC_NE);
	em_mov_imm(e, R_RAX, SOFT_WINDOW_EMPTY);
	em_at(e, 1, 0x89, R_RAX, BASE, T1, -IN_SPACE(win));
	em8(e, 0xe9);
	em32(e, 0);
	lost = e->pos - 4;
	em_patch_rel(e->rw, kept, e->pos);
	return lost;
}

/*
 * The common part: T0 = address - window.page, T1 = the window (as jit_cold.how), r11 = where to go
 * on. By the soft TLB, whose entry goes into the window; else jit_run.c's on_miss.
 */
uint32_t jit_emit_miss(struct emit *e, enum soft_view view, enum soft_access access,
		       uint32_t stub_miss)
{
	uint32_t start = e->pos, slow, lost = 0;
	uint32_t tab = (uint32_t)(offsetof(struct soft_cpu, views) +
				  (unsigned)view * sizeof(struct soft_tlb) +
				  (unsigned)access * sizeof(((struct soft_tlb *)0)->ent[0]));

	em_store_gs(e, T2, GS_OFF(jit_ret));
	em_load_gs(e, BASE, GS_OFF(space_base));
	em_store_gs(e, R_RAX, GS_OFF(jit_save[0]));
	em_store_gs(e, R_RCX, GS_OFF(jit_save[1]));
	em_rr(e, 0, 0x89, T1, R_RAX);
	em_shift_imm(e, 0, 5, R_RAX, JIT_MISS_SIZE);
	em_gs(e, 0, 0x89, R_RAX, GS_OFF(jit_miss_size));
	em_alu_imm(e, 0, 4, T1, (1u << JIT_MISS_SIZE) - 1);
	em_at(e, 1, 0x03, T0, BASE, T1, -IN_SPACE(win)); /* the linear address again */
	emit_tlb_tag(e);
	em_gs_at(e, 1, 0x3b, R_RAX, R_RCX, tab); /* the last byte's page, in the first one's slot */
	slow = em_jcc_later(e, CC_NE);
	if (access == SOFT_WRITE)
		em_store_gs(e, R_RCX, GS_OFF(jit_save[2]));
	em_alu_imm(e, 1, 4, R_RAX, (uint32_t)PAGE_MASK);
	em_gs_at(e, 1, 0x8b, R_RCX, R_RCX, tab + 8);
	em_rr(e, 1, 0x01, R_RAX, R_RCX);
	if (access == SOFT_WRITE)
		lost = emit_fill_write(e, tab);
	else
		emit_fill_read(e);
	em_load_gs(e, R_RCX, GS_OFF(jit_save[1]));
	em_load_gs(e, R_RAX, GS_OFF(jit_save[0]));
	em_jmp_gs(e, GS_OFF(jit_ret));
	em_patch_rel(e->rw, slow, e->pos);
	if (lost)
		em_patch_rel(e->rw, lost, e->pos);
	em_load_gs(e, R_RCX, GS_OFF(jit_save[1]));
	em_load_gs(e, R_RAX, GS_OFF(jit_save[0]));
	em_load_gs(e, T2, GS_OFF(jit_ret));
	em_jmp_to(e, stub_miss);
	return start;
}

static uint32_t gs_segbase(unsigned seg)
{
	return (uint32_t)(offsetof(struct soft_cpu, segbase) + 8u * seg);
}

bool jit_is_flat(const struct xlat *x, unsigned seg)
{
	if (seg == SEG_FS || seg == SEG_GS)
		return false;
	return x->m64 || ((x->mode & SOFT_MODE_FLAT) && seg != SEG_CS);
}

void jit_segment(struct xlat *x, unsigned seg, unsigned size, enum soft_access access)
{
	struct emit *e = &x->e;
	uint32_t room = access == SOFT_WRITE ? GS_OFF(seg_room[1]) : GS_OFF(seg_room[0]);

	if (jit_is_flat(x, seg))
		return;
	jit_lose_flags(x);
	if (x->m64) {
		em_gs(e, 1, 0x03, T0, gs_segbase(seg));
		return;
	}
	if (size > 1)
		em_lea(e, 1, T1, T0, X86_NO_REG, 0, (int32_t)size - 1);
	em_gs(e, 1, 0x3b, size > 1 ? T1 : T0, room + 8u * seg); /* 64 bits: no wrap */
	jit_slow_stub(x, em_jcc_later(e, CC_AE), false);
	em_gs(e, 0, 0x03, T0, gs_segbase(seg)); /* 32 bits: wraps */
}

bool jit_place_of(const struct xlat *x, const struct jit_op *o, struct jit_place *at)
{
	const struct x86_insn *insn = &o->insn;

	*at = jit_insn_place(o);
	return x->m64 && insn->addrsize == 8 && jit_is_flat(x, o->op->seg) &&
	       !(insn->flags & X86_IF_VSIB) && !(insn->index < 16 && jit_in_memory(insn->index));
}

void jit_operand(struct xlat *x, const struct jit_op *o, unsigned size, enum soft_access access)
{
	struct jit_place at;

	if (jit_place_of(x, o, &at)) {
		jit_reach(x, &at, size, access);
		return;
	}
	x->at = 0;
	jit_address(x, &at, o->insn.addrsize);
	jit_segment(x, o->op->seg, size, access);
	jit_check(x, jit_choose_slot(x, &at), size, access);
}

bool jit_may_split(const struct xlat *x, const struct x86_insn *insn)
{
	const struct x86_operand *mem = thunk_mem_operand(insn);

	return x->cpu->e->no_splits && mem && mem->size > 1 &&
	       ((insn->flags & X86_IF_LOCK) || insn->op == X86_OP_XCHG);
}

/* The operand is at [T0]: to the slow path if its last byte is in another line than its first. */
static void check_line(struct xlat *x, const struct x86_insn *insn)
{
	struct emit *e = &x->e;

	if (!jit_may_split(x, insn))
		return;
	em_lea(e, 0, T1, T0, X86_NO_REG, 0, (int32_t)thunk_mem_operand(insn)->size - 1);
	em_rr(e, 0, 0x31, T0, T1);
	em_alu_imm(e, 0, 4, T1, SOFT_LINE_BYTES);
	jit_slow_stub(x, em_jcc_later(e, CC_NE), false);
}

/* ---- The instruction itself ----------------------------------------------------------------- */

/* What of it is a general register. */
struct fields {
	unsigned reg, rm, vvvv;
	bool mem, reg_gpr, rm_gpr, vvvv_gpr, opcode_reg;
	bool size16; /* needs 66 as an operand size */
	bool gpr;    /* VEX: an operand is a general register, or memory in its place */
};

/* ModRM.reg is part of the opcode. */
static bool is_group(const struct x86_insn *insn)
{
	unsigned op = insn->opcode;

	if (insn->map == X86_MAP_1B)
		return (op >= 0x80 && op <= 0x83) || op == 0x8f || op == 0xc0 || op == 0xc1 ||
		       op == 0xc6 || op == 0xc7 || (op >= 0xd0 && op <= 0xd3) || op == 0xf6 ||
		       op == 0xf7 || op == 0xfe || op == 0xff;
	return insn->map == X86_MAP_0F && (op == 0xba || op == 0xc7 || op == 0xae || op == 0x0d ||
					   (op >= 0x18 && op <= 0x1f) || (op & 0xf0) == 0x90);
}

/* Lengths in rAX and rDX. */
static bool is_pcmpestr(const struct x86_insn *insn)
{
	return insn->map == X86_MAP_0F3A && (insn->opcode == 0x60 || insn->opcode == 0x61);
}

static struct fields fields_of(const struct x86_insn *insn)
{
	bool modrm = insn->flags & X86_IF_MODRM, vex = insn->flags & X86_IF_VEX;
	bool host = insn->flags & X86_IF_HOST;
	struct fields f = {0};

	f.reg = (insn->modrm >> 3 & 7u) | (insn->rex & 4u) << 1;
	f.rm = (insn->modrm & 7u) | (insn->rex & 1u) << 3;
	f.vvvv = insn->vvvv;
	f.mem = modrm && insn->modrm < 0xc0;
	if (host) {
		unsigned role = thunk_role(insn->map, insn->opcode, insn->pp, insn->modrm, vex);

		f.reg_gpr = role & TR_REG;
		f.rm_gpr = !f.mem && (role & TR_RM);
		f.vvvv_gpr = role & TR_VVVV;
		f.gpr = (role & (TR_REG | TR_RM | TR_VVVV)) || is_pcmpestr(insn);
		f.size16 = (role & TR_OPSIZE) && thunk_has_size2(insn);
		if (insn->mode != X86_MODE_64) {
			f.reg &= 7;
			f.rm &= 7;
			f.vvvv &= 7;
		}
		return f;
	}
	/* 66 makes other instructions of these, or none. */
	f.size16 = insn->opsize == 2 && insn->op != X86_OP_MOVNTI &&
		   !(insn->op >= X86_OP_LFENCE && insn->op <= X86_OP_SFENCE);
	if (modrm) {
		f.reg_gpr = !is_group(insn);
		f.rm_gpr = !f.mem;
	} else {
		unsigned op = insn->opcode;

		f.opcode_reg = insn->map == X86_MAP_1B
				       ? (op >= 0x90 && op <= 0x97) || (op >= 0xb0 && op <= 0xbf)
				       : op >= 0xc8 && op <= 0xcf;
		f.rm = (op & 7u) | (insn->rex & 1u) << 3;
	}
	return f;
}

static const struct x86_operand *gpr_operand(const struct x86_insn *insn, unsigned reg)
{
	for (unsigned i = 0; i < insn->nopds; i++) {
		const struct x86_operand *o = &insn->opd[i];

		if (o->kind == X86_OPD_REG && o->rc == X86_RC_GPR && o->reg == reg && !o->implicit)
			return o;
	}
	return NULL;
}

/* One general register that lives in memory, and the scratch register that stands for it. */
struct rename {
	unsigned guest, host;
	bool read, write;
};

static bool rename_reg(const struct x86_insn *insn, bool gpr, unsigned *reg, unsigned host,
		       struct rename *r)
{
	const struct x86_operand *o;
	unsigned access = 0;
	bool part = false;

	if (!gpr || !jit_in_memory(*reg))
		return false;
	/* The same register may be two operands. */
	for (unsigned i = 0; i < insn->nopds; i++) {
		o = &insn->opd[i];
		if (o->kind != X86_OPD_REG || o->rc != X86_RC_GPR || o->reg != *reg)
			continue;
		access |= o->access;
		part |= o->size < 4;
	}
	o = gpr_operand(insn, *reg);
	r->guest = *reg;
	r->host = host;
	r->read = !o || (access & X86_ACC_R) || part;
	r->write = !o || (access & X86_ACC_W);
	*reg = host;
	return true;
}

static void emit_legacy_prefixes(struct emit *e, const struct x86_insn *insn, bool size16)
{
	static const uint8_t pp_byte[4] = {0, 0x66, 0xf3, 0xf2};

	if (insn->flags & X86_IF_LOCK)
		em8(e, 0xf0);
	if (size16)
		em8(e, 0x66);
	if (insn->pp && !(insn->pp == 1 && size16))
		em8(e, pp_byte[insn->pp]);
}

/* The operand that is one of AH to BH: byte registers 4 to 7 where there is no REX. */
static const struct x86_operand *high8(const struct x86_insn *insn)
{
	for (unsigned i = 0; i < insn->nopds; i++) {
		if (insn->opd[i].kind == X86_OPD_REG && insn->opd[i].rc == X86_RC_GPRH)
			return &insn->opd[i];
	}
	return NULL;
}

static unsigned opcode_of(const struct x86_insn *insn)
{
	if (insn->map == X86_MAP_1B && insn->opcode == 0x82)
		return 0x80; /* its old alias */
	return insn->opcode;
}

/* The instruction with these fields; a memory operand is [T0 + at]. */
static void emit_insn(struct emit *e, const struct x86_insn *insn, const struct fields *f,
		      int32_t at, const uint8_t *imm)
{
	bool modrm = insn->flags & X86_IF_MODRM;
	unsigned w = insn->mode == X86_MODE_64 ? insn->rex >> 3 & 1 : 0;
	unsigned rm = f->mem ? T0 : f->rm, op = opcode_of(insn);
	unsigned rex = w << 3;

	if (modrm)
		rex |= (f->reg >> 3 & 1) << 2;
	if (modrm || f->opcode_reg)
		rex |= rm >> 3 & 1;
	if (insn->flags & X86_IF_VEX) {
		if (insn->mode != X86_MODE_64 && !f->gpr)
			rex |= insn->rex & 8u; /* W is part of the opcode, not a size */
		em8(e, 0xc4);
		em8(e, (~rex & 7) << 5 | insn->map);
		em8(e, (rex & 8) << 4 | (~f->vvvv & 15) << 3 | (insn->vex_l & 1u) << 2 | insn->pp);
	} else {
		emit_legacy_prefixes(e, insn, f->size16);
		if (rex || (insn->mode == X86_MODE_64 && insn->rex))
			em8(e, 0x40 | rex);
		if (insn->map != X86_MAP_1B)
			em8(e, 0x0f);
		if (insn->map == X86_MAP_0F38 || insn->map == X86_MAP_0F3A)
			em8(e, insn->map == X86_MAP_0F38 ? 0x38 : 0x3a);
	}
	em8(e, f->opcode_reg ? (op & ~7u) | (rm & 7) : op);
	if (modrm && f->mem)
		em_mem(e, f->reg, T0, X86_NO_REG, 0, at);
	else if (modrm)
		em8(e, 0xc0 | (f->reg & 7) << 3 | (rm & 7));
	for (unsigned i = 0; i < insn->imm_len; i++)
		em8(e, imm[i]);
}

/* AH to BH cannot be named beside a REX prefix: r10b = the register, or the other way. Keeps flags. */
static void move_high8(struct emit *e, unsigned reg, bool to_scratch)
{
	unsigned swap = 0xc0 | (reg + 4) << 3 | reg;

	em8(e, 0x86); /* xchg low, high */
	em8(e, swap);
	em_rr(e, 0, to_scratch ? 0x8a : 0x88, T1, reg);
	em8(e, 0x86);
	em8(e, swap);
}

/*
 * The scratch register that stands for r9, r10 or r11. In a run T0 is taken, T1 keeps r9 or r10, and T2 keeps r11
 * from one operation to the next.
 */
static unsigned stand_in(const struct xlat *x, unsigned reg, unsigned outside)
{
	return !jit_in_long_run(x) ? outside : reg == T2 ? (unsigned)T2 : (unsigned)T1;
}

/* A scratch register has got the value of r9 to r11, or another one (`guest` 0). */
static void note_scratch(struct xlat *x, unsigned host, unsigned guest)
{
	if (!jit_in_long_run(x))
		return;
	for (unsigned i = 0; i < 3; i++) {
		if (x->run.kept[i] == guest)
			x->run.kept[i] = 0; /* it may have changed */
	}
	x->run.kept[host - T0] = (uint8_t)guest;
	x->run.base_lost |= host == BASE;
}

/* The scratch register = the guest's. */
static void load_guest(struct xlat *x, unsigned host, unsigned guest)
{
	if (!jit_in_long_run(x) || x->run.kept[host - T0] != guest)
		em_load_gs(&x->e, host, GS_GPR(guest));
	note_scratch(x, host, guest);
}

static void store_guest(struct xlat *x, unsigned host, unsigned guest)
{
	em_store_gs(&x->e, host, GS_GPR(guest));
	note_scratch(x, host, guest);
}

static bool tracks_x87(const struct soft_op *op, const struct x86_insn *insn)
{
	unsigned shape = op->aux >> AUX_SHAPE;

	return (insn->flags & X86_IF_HOST) && shape >= SHAPE_X87_REG && shape <= SHAPE_X87_STORE;
}

/* mov byte gs:[off], v */
static void store_byte(struct emit *e, uint32_t off, unsigned v)
{
	em_gs(e, 0, 0xc6, 0, off);
	em8(e, v);
}

/*
 * What FIP, FOP, FDP and the selectors beside them are made of when generated code is left
 * (settle_x87 in jit_run.c). Keeps flags. Outside 64-bit mode generated code changes DS as well, so its selector
 * is noted here.
 */
static void track_x87(struct xlat *x, const struct jit_op *o, bool mem)
{
	const struct thunk_cache *tc = x->cpu->e->thunks;
	struct emit *e = &x->e;

	x->fixed = true;
	jit_run_forget(x);
	em_mov_imm(e, T1, o->op->rip << 16 | SOFT_X87_IP | ((unsigned)o->op->imm & 0x7ff));
	em_store_gs(e, T1, GS_OFF(x87_ip));
	if (tc->fop_on_error)
		store_byte(e, GS_OFF(x87_quiet), 0);
	if (!mem) {
		if (tc->fdp_on_error)
			store_byte(e, GS_OFF(x87_seg), 0);
		return;
	}
	em_load_gs(e, T1, GS_OFF(jit_tmp));
	em_store_gs(e, T1, GS_OFF(x87_dp));
	store_byte(e, GS_OFF(x87_seg), (x->m64 ? SOFT_X87_DP : SOFT_X87_DP_ONLY) | o->op->seg);
	if (x->m64 || tc->no_selectors)
		return;
	em_gs_movzx16(e, T1,
		      (uint32_t)(offsetof(struct soft_cpu, s.seg) +
				 sizeof(struct x86_seg) * o->op->seg +
				 offsetof(struct x86_seg, sel)));
	em8(e, 0x66);
	em_gs(e, 0, 0x89, T1, GS_OFF(s.xsave) + FX_FDS);
}

/* jit_tmp = offset of an x87 operand. */
static void note_x87_operand(struct xlat *x, const struct jit_op *o)
{
	struct jit_place at;
	struct emit *e = &x->e;

	if (!jit_place_of(x, o, &at)) {
		jit_address(x, &at, o->insn.addrsize);
		em_store_gs(e, T0, GS_OFF(jit_tmp));
		return;
	}
	jit_run_forget(x);
	if (at.base < 16 && jit_in_memory(at.base)) {
		em_load_gs(e, T1, GS_GPR(at.base));
		at.base = T1;
	}
	if (at.base >= 16 && at.index >= 16)
		em_mov_imm(e, T1, (uint64_t)at.disp);
	else
		em_lea(e, 1, T1, at.base, at.index, at.scale, (int32_t)at.disp);
	em_store_gs(e, T1, GS_OFF(jit_tmp));
}

/* r9 to r11 among its registers. Without a memory operand each stands for itself. */
static unsigned rename_regs(const struct xlat *x, const struct x86_insn *insn, struct fields *f,
			    struct rename *r)
{
	unsigned n = 0, host;

	n += rename_reg(insn, f->reg_gpr, &f->reg, stand_in(x, f->reg, f->mem ? T1 : f->reg),
			&r[n]);
	if (n && f->mem && f->vvvv_gpr && f->vvvv == r[0].guest) {
		f->vvvv = r[0].host; /* it is written once */
		return n;
	}
	host = stand_in(x, f->vvvv, f->mem ? T2 : f->vvvv);
	if (n && f->mem && host == r[0].host)
		host = T1 + T2 - host;
	n += rename_reg(insn, f->vvvv_gpr, &f->vvvv, host, &r[n]);
	n += rename_reg(insn, f->rm_gpr || f->opcode_reg, &f->rm, stand_in(x, f->rm, f->rm), &r[n]);
	return n;
}

/* A register that is two operands by the same stand-in is loaded and stored once. */
static unsigned once_each(struct rename *r, unsigned n)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < n; i++) {
		unsigned k = 0;

		while (k < kept && (r[k].guest != r[i].guest || r[k].host != r[i].host))
			k++;
		r[k] = r[i]; /* what is read and written is the instruction's */
		kept += k == kept;
	}
	return kept;
}

/* Registers renamed, a memory operand checked. */
void jit_emit_plain(struct xlat *x, struct jit_op *o)
{
	const struct x86_insn *insn = &o->insn;
	const struct x86_operand *mem = thunk_mem_operand(insn);
	const uint8_t *imm = o->bytes + insn->imm_off;
	struct emit *e = &x->e;
	struct fields f = fields_of(insn);
	struct rename r[3];
	unsigned n;
	const struct x86_operand *high = mem ? high8(insn) : NULL;
	bool touches = mem && mem->size, x87 = tracks_x87(o->op, insn), lost_base = false;

	if (touches) {
		if (x87)
			note_x87_operand(x, o);
		jit_operand(x, o, mem->size, mem->access & X86_ACC_W ? SOFT_WRITE : SOFT_READ);
		check_line(x, insn);
	}
	if (o->use.reads || (o->changes && (o->live & ~o->use.writes)))
		jit_need_flags(x); /* it reads some, or leaves some that are wanted */
	n = once_each(r, rename_regs(x, insn, &f, r));
	for (unsigned i = 0; i < n; i++) {
		if (r[i].read)
			load_guest(x, r[i].host, r[i].guest);
	}
	if (high) {
		f.reg = T1;
		note_scratch(x, T1, 0);
		if (high->access & X86_ACC_R)
			move_high8(e, high->reg, true);
	}
	emit_insn(e, insn, &f, touches ? x->at : 0, imm);
	if (high && (high->access & X86_ACC_W))
		move_high8(e, high->reg, false);
	for (unsigned i = 0; i < n; i++) {
		if (r[i].write)
			store_guest(x, r[i].host, r[i].guest);
		lost_base |= r[i].host == BASE;
	}
	if (lost_base && !jit_in_long_run(x))
		em_load_gs(e, BASE, GS_OFF(space_base));
	if (o->changes)
		x->flags = FLAGS_HOST;
	if (x87)
		track_x87(x, o, touches);
	else if (insn->op == X86_OP_FLDCW && x->cpu->e->thunks->fop_on_error)
		store_byte(e, GS_OFF(x87_quiet), 1);
}

static void emit_nothing(struct xlat *x, struct jit_op *o)
{
	(void)x;
	(void)o;
}

bool jit_lea_fits_run(const struct x86_insn *insn)
{
	unsigned dst = insn->opd[0].reg;
	bool t0 = insn->base == T0 || insn->index == T0 || dst == T0;
	bool t1 = insn->base == T1 || insn->index == T1 || dst == T1;

	return insn->addrsize >= 4 && insn->opsize >= 4 && insn->addrsize >= insn->opsize &&
	       !(t0 && t1);
}

/* The same anywhere: no register of it is in memory. */
static bool lea_is_plain(const struct x86_insn *insn)
{
	return jit_lea_fits_run(insn) && !jit_in_memory(insn->opd[0].reg) &&
	       !jit_in_memory(insn->base) && !jit_in_memory(insn->index);
}

/* The host's register that has a guest register's value, for reading; in a run, if it is r9 to r11. */
static uint8_t bring(struct xlat *x, uint8_t guest)
{
	unsigned host;

	if (!jit_in_memory(guest))
		return guest;
	host = stand_in(x, guest, guest);
	load_guest(x, host, guest);
	return (uint8_t)host;
}

static void emit_lea_itself(struct xlat *x, const struct jit_op *o)
{
	const struct x86_insn *insn = &o->insn;
	struct jit_place at = jit_insn_place(o);
	unsigned dst = insn->opd[0].reg, host = dst;
	bool wide = insn->opsize == 8;

	at.base = bring(x, at.base);
	at.index = bring(x, at.index);
	if (jit_in_memory(dst))
		host = stand_in(x, dst, dst);
	if (at.base < 16 || at.index < 16)
		em_lea(&x->e, wide, host, at.base, at.index, at.scale, (int32_t)at.disp);
	else if (at.moves && wide && insn->addrsize == 8)
		jit_mov_moving(x, host, (uint64_t)at.disp);
	else if (at.moves)
		jit_mov_moving32(x, host, (uint32_t)at.disp);
	else
		em_mov_imm(&x->e, host,
			   wide && insn->addrsize == 8 ? (uint64_t)at.disp : (uint32_t)at.disp);
	if (jit_in_memory(dst))
		store_guest(x, host, dst);
}

static void emit_lea(struct xlat *x, struct jit_op *o)
{
	const struct x86_insn *insn = &o->insn;
	struct jit_place at = jit_insn_place(o);
	unsigned dst = insn->opd[0].reg;

	if (lea_is_plain(insn) || jit_in_long_run(x)) {
		emit_lea_itself(x, o);
		return;
	}
	jit_address(x, &at, insn->addrsize);
	if (insn->opsize == 2 && jit_in_memory(dst)) {
		em8(&x->e, 0x66);
		em_gs(&x->e, 0, 0x89, T0, GS_GPR(dst));
		return;
	}
	if (insn->opsize == 4)
		em_rr(&x->e, 0, 0x89, T0, T0);
	if (jit_in_memory(dst)) {
		em_store_gs(&x->e, T0, GS_GPR(dst));
		return;
	}
	if (insn->opsize == 2)
		em8(&x->e, 0x66);
	em_rr(&x->e, insn->opsize == 8, 0x89, T0, dst);
}

/* BT, BTS, BTR, BTC of a bit string in memory: the register is an index from the operand on. */
static void emit_bit_string(struct xlat *x, struct jit_op *o)
{
	struct x86_insn *insn = &o->insn;
	struct fields f = fields_of(insn);
	unsigned size = insn->opsize, log = size == 8 ? 3 : size == 4 ? 2 : 1;
	enum soft_access access = insn->op == X86_OP_BT ? SOFT_READ : SOFT_WRITE;
	struct jit_place at = jit_insn_place(o);
	struct emit *e = &x->e;

	jit_lose_flags(x);
	jit_address(x, &at, insn->addrsize);
	if (jit_in_memory(f.reg))
		em_load_gs(e, T1, GS_GPR(f.reg));
	else
		em_mov_rr(e, T1, f.reg);
	if (size == 4) {
		em_rr(e, 1, 0x63, T1, T1); /* movsxd */
	} else if (size == 2) {
		em_rex(e, 1, T1, 0, T1); /* movsx r10, r10w */
		em8(e, 0x0f);
		em8(e, 0xbf);
		em8(e, 0xc0 | (T1 & 7) << 3 | (T1 & 7));
	}
	em_shift_imm(e, 1, 7, T1, log + 3); /* sar */
	em_lea(e, insn->addrsize == 8, T0, T0, T1, log, 0);
	if (insn->addrsize == 2)
		em_movzx16(e, T0, T0);
	jit_segment(x, o->op->seg, size, access);
	jit_check(x, jit_choose_slot(x, &at), size, access);
	check_line(x, insn);
	if (jit_in_memory(f.reg))
		em_load_gs(e, T1, GS_GPR(f.reg));
	else
		em_mov_rr(e, T1, f.reg);
	/* Only the bit inside the operand: the host would go on adding the rest to the address. */
	em_alu_imm(e, 0, 4, T1, size * 8 - 1);
	if (x->flags == FLAGS_PARKED && (o->live & ~o->use.writes)) {
		em_unpark(e, T2);
		em_load_gs(e, BASE, GS_OFF(space_base));
	}
	f.reg = T1;
	emit_insn(e, insn, &f, 0, NULL);
	x->flags = FLAGS_HOST;
}

/* ---- Choosing ------------------------------------------------------------------------------- */

static bool integer_plain(enum x86_op op)
{
	switch (op) {
	case X86_OP_JCC:
	case X86_OP_JMP:
	case X86_OP_JMP_IND:
	case X86_OP_CALL:
	case X86_OP_CALL_IND:
	case X86_OP_RET:
	case X86_OP_XLAT:
	case X86_OP_CLZERO:
		return false;
	default:
		return (op >= X86_OP_ADD && op <= X86_OP_CMOVCC) ||
		       (op >= X86_OP_LAHF && op <= X86_OP_CMC) ||
		       (op >= X86_OP_LFENCE && op <= X86_OP_SFENCE);
	}
}

static bool host_plain(const struct xlat *x, const struct x86_insn *insn, const struct soft_op *op)
{
	unsigned shape = op->aux >> AUX_SHAPE, class = op->aux & AUX_CLASS;

	if (class != FPU_NONE && (x->mode & SOFT_MODE_NOFPU))
		return false;
	if (!x->m64 && (insn->flags & X86_IF_VEX) && insn->map == X86_MAP_0F3A &&
	    insn->opcode >= 0x4a && insn->opcode <= 0x4c && (insn->imm & 0x80))
		return false;
	return shape <= SHAPE_RMW || tracks_x87(op, insn);
}

jit_emit_fn jit_pick(const struct xlat *x, const struct x86_insn *insn, const struct soft_op *op)
{
	const struct x86_operand *mem = thunk_mem_operand(insn);
	enum x86_op id = (enum x86_op)insn->op;
	bool narrow = insn->opsize == 2;

	if (op->flags & (SOFT_OP_END | SOFT_OP_UD))
		return NULL;
	if (narrow && x->m64 &&
	    (id == X86_OP_CALL || id == X86_OP_RET || id == X86_OP_JMP_IND ||
	     id == X86_OP_CALL_IND))
		return NULL; /* processors differ */
	switch (id) {
	case X86_OP_NOP:
	case X86_OP_PREFETCH:
		return emit_nothing;
	case X86_OP_LEA:
		return emit_lea;
	case X86_OP_JCC:
		return op->cc & SOFT_CC_BAD_TARGET ? NULL : jit_emit_jcc;
	case X86_OP_JMP:
		return op->cc & SOFT_CC_BAD_TARGET ? NULL : jit_emit_jmp;
	case X86_OP_CALL:
		return op->cc & SOFT_CC_BAD_TARGET ? NULL : jit_emit_call;
	case X86_OP_JMP_IND:
		return jit_emit_jmp_ind;
	case X86_OP_CALL_IND:
		return jit_emit_call_ind;
	case X86_OP_RET:
		return jit_emit_ret;
	case X86_OP_LOOP:
	case X86_OP_LOOPE:
	case X86_OP_LOOPNE:
	case X86_OP_JCXZ:
		return op->cc & SOFT_CC_BAD_TARGET ? NULL : jit_emit_loop;
	case X86_OP_PUSH:
		return jit_emit_push;
	case X86_OP_POP:
		return mem ? NULL : jit_emit_pop;
	case X86_OP_LEAVE:
		return jit_emit_leave;
	case X86_OP_BT:
	case X86_OP_BTS:
	case X86_OP_BTR:
	case X86_OP_BTC:
		if (mem && insn->opd[1].kind == X86_OPD_REG)
			return emit_bit_string;
		return jit_emit_plain;
	default:
		break;
	}
	if (insn->flags & X86_IF_HOST)
		return host_plain(x, insn, op) ? jit_emit_plain : NULL;
	if (id >= X86_OP_MOV_FROM_SEG && id <= X86_OP_LGS)
		return jit_pick_seg(x, insn);
	return integer_plain(id) ? jit_emit_plain : jit_pick_sys(x, insn, op);
}
