// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The instruction emulator's far transfers: JMP, CALL, RET and IRET between segments, call gates,
 * inner and outer privilege, VM86, and events of real mode.
 * Source: Intel SDM vol. 2 (CALL, JMP, RET, IRET), vol. 3A §5.8, §6.12, §20.1. Threads: the vCPU's
 * own.
 */
#include "emu_int.h"

/* ---- Code segments -------------------------------------------------------------------------- */

void emu_check_code(struct lodge_emu *e, const struct emu_desc *d, uint16_t sel, bool allowed,
		    uint8_t vector)
{
	if (!EMU_S(d) || !(EMU_TYPE(d) & 8) || (EMU_LONG(e) && EMU_L(d) && EMU_DB(d)) || !allowed)
		emu_raise_sel(e, vector, sel);
	if (!EMU_P(d))
		emu_raise_sel(e, VEC_NP, sel);
}

/* emu_jump() then checks rip against it. */
void emu_enter_code(struct lodge_emu *e, struct emu_desc *d, uint16_t sel, unsigned cpl)
{
	emu_put_desc(e, LODGE_EMU_CS, d, (uint16_t)((sel & ~3u) | cpl));
	e->wcpl = (uint8_t)cpl;
	if (EMU_LONG(e) && EMU_L(d))
		e->mode = X86_MODE_64;
	else
		e->mode = EMU_DB(d) ? X86_MODE_32 : X86_MODE_16;
}

static void push_return(struct lodge_emu *e, unsigned bytes)
{
	emu_push(e, emu_seg(e, LODGE_EMU_CS)->sel, bytes);
	emu_push(e, e->next_rip, bytes);
}

static void far_paragraph(struct lodge_emu *e, uint16_t sel, uint64_t rip, unsigned bytes)
{
	rip &= emu_mask(bytes);
	if (rip > emu_seg(e, LODGE_EMU_CS)->limit)
		emu_gp(e);
	emu_load_paragraph(e, LODGE_EMU_CS, sel);
	e->wrip = rip;
}

/* Straight to a code segment: the CPL stays. */
static void far_code(struct lodge_emu *e, struct emu_desc *d, uint16_t sel, uint64_t rip,
		     unsigned bytes, bool call)
{
	unsigned dpl = EMU_DPL(d), cpl = e->cpl;
	bool conforming = EMU_TYPE(d) & 4;

	emu_check_code(e, d, sel, conforming ? dpl <= cpl : (sel & 3u) <= cpl && dpl == cpl,
		       VEC_GP);
	if (call)
		push_return(e, bytes);
	emu_enter_code(e, d, sel, cpl);
	emu_jump(e, rip, bytes);
}

/* ---- Call gates ------------------------------------------------------------------------------ */

/* SS:rSP for `cpl` out of the TSS, checked; SS is loaded. */
static void inner_stack(struct lodge_emu *e, unsigned cpl)
{
	const struct lodge_emu_seg *tr = emu_seg(e, LODGE_EMU_TR);
	unsigned size = EMU_LONG(e) ? 8 : tr->attr & 8 ? 4 : 2;
	unsigned at = size == 2 ? 2 + 4 * cpl : 4 + 8 * cpl;

	if (at + (size == 8 ? 8 : size + 2) - 1 > tr->limit)
		emu_raise_sel(e, VEC_TS, tr->sel);
	e->w[R_RSP] = emu_read_sys(e, tr->base + at, size);
	e->wcpl = (uint8_t)cpl;
	if (size == 8) {
		emu_put_null(e, LODGE_EMU_SS, (uint16_t)cpl, cpl);
		e->mode = X86_MODE_64;
	} else {
		emu_load_data_seg(e, LODGE_EMU_SS,
				  (uint16_t)emu_read_sys(e, tr->base + at + size, 2), cpl, VEC_TS);
	}
}

/* To an inner ring: a new stack with the old one's address and the parameters. */
static void gate_inner(struct lodge_emu *e, const struct emu_desc *gate, unsigned cpl,
		       unsigned size)
{
	uint16_t old_ss = emu_seg(e, LODGE_EMU_SS)->sel;
	uint64_t old_sp = e->w[R_RSP], params[31];
	unsigned n = EMU_LONG(e) ? 0 : (unsigned)(gate->raw >> 32) & 31;
	uint64_t mask = emu_mask(emu_stack_bytes(e));

	for (unsigned i = 0; i < n; i++)
		params[i] = emu_read_seg(e, LODGE_EMU_SS, (old_sp + i * size) & mask, size);
	inner_stack(e, cpl);
	emu_push(e, old_ss, size);
	emu_push(e, old_sp, size);
	while (n > 0)
		emu_push(e, params[--n], size);
}

static void far_gate(struct lodge_emu *e, struct emu_desc *gate, uint16_t gate_sel, bool call)
{
	uint16_t sel = (uint16_t)(gate->raw >> 16);
	uint64_t rip = (gate->raw & 0xffff) | (gate->raw >> 32 & 0xffff0000);
	unsigned size = EMU_LONG(e) ? 8 : EMU_TYPE(gate) & 8 ? 4 : 2, cpl;
	struct emu_desc d;

	emu_read_high(e, gate, gate_sel);
	emu_find_desc(e, sel, &d, VEC_GP);
	emu_check_code(e, &d, sel,
		       EMU_DPL(&d) <= e->cpl && (!EMU_LONG(e) || (EMU_L(&d) && !EMU_DB(&d))),
		       VEC_GP);
	cpl = EMU_TYPE(&d) & 4 ? e->cpl : EMU_DPL(&d);
	if (!call && cpl != e->cpl)
		emu_raise_sel(e, VEC_GP, sel);
	if (call && cpl < e->cpl)
		gate_inner(e, gate, cpl, size);
	if (call)
		push_return(e, size);
	emu_enter_code(e, &d, sel, cpl);
	emu_jump(e, rip | gate->high << 32, size);
}

/* A TSS or a task gate. */
static void far_task(struct lodge_emu *e, const struct emu_desc *d, uint16_t sel, bool call)
{
	e->arg = EMU_TYPE(d) == 5 ? (uint16_t)(d->raw >> 16) : sel;
	e->arg_reason = call ? LODGE_EMU_TASK_CALL : LODGE_EMU_TASK_JMP;
	e->arg_has_error = false;
	emu_task(e);
}

/* Descriptor types, a bit each: call gates (12 is of 32 bits, in long mode of 64); TSSs and task gates. */
#define GATE16 (1u << 4)
#define GATE64 (1u << 12)
#define TASKS (1u << 1 | 1u << 5 | 1u << 9)

/* JMP_FAR, CALL_FAR, and through memory */
void emu_do_far(struct lodge_emu *e)
{
	unsigned op = e->insn.op, size = e->insn.opd[0].size - 2u, types;
	bool call = op == X86_OP_CALL_FAR || op == X86_OP_CALL_FAR_IND;
	uint64_t rip = e->insn.imm;
	uint16_t sel = e->insn.imm2;
	struct emu_desc d;

	if (op == X86_OP_JMP_FAR_IND || op == X86_OP_CALL_FAR_IND)
		sel = emu_get_far(e, size, &rip);
	if (!EMU_PM(e)) {
		if (call)
			push_return(e, size);
		far_paragraph(e, sel, rip, size);
		return;
	}
	emu_find_desc(e, sel, &d, VEC_GP);
	if (EMU_S(&d)) {
		far_code(e, &d, sel, rip, size, call);
		return;
	}
	types = EMU_LONG(e) ? GATE64 : GATE16 | GATE64 | TASKS;
	if (!(types >> EMU_TYPE(&d) & 1) || EMU_DPL(&d) < e->cpl || EMU_DPL(&d) < (sel & 3u))
		emu_raise_sel(e, VEC_GP, sel);
	if (!EMU_P(&d))
		emu_raise_sel(e, VEC_NP, sel);
	if (TASKS >> EMU_TYPE(&d) & 1)
		far_task(e, &d, sel, call);
	else
		far_gate(e, &d, sel, call);
}

/* ---- Returns --------------------------------------------------------------------------------- */

/* Data segments that the outer ring may not have. */
static void drop_inner(struct lodge_emu *e, unsigned cpl)
{
	static const uint8_t segs[] = {LODGE_EMU_ES, LODGE_EMU_DS, LODGE_EMU_FS, LODGE_EMU_GS};

	for (unsigned i = 0; i < sizeof(segs); i++) {
		struct lodge_emu_seg s = *emu_seg(e, segs[i]);
		unsigned dpl = (unsigned)(s.attr >> SEG_ATTR_DPL_SHIFT) & 3;

		if (s.unusable || dpl >= cpl || (s.attr & 12) == 12)
			continue;
		s.sel = 0;
		s.unusable = true;
		emu_put_seg(e, segs[i], &s);
	}
}

/* rip and CS are popped; to an outer ring, or `always`, a stack follows. `add`: bytes of parameters. */
static void return_to(struct lodge_emu *e, uint16_t cs, uint64_t rip, unsigned size, unsigned add,
		      bool always)
{
	unsigned rpl = cs & 3u, sb;
	bool outer = rpl > e->cpl;
	uint64_t sp = 0;
	uint16_t ss = 0;
	struct emu_desc d;

	emu_find_desc(e, cs, &d, VEC_GP);
	emu_check_code(e, &d, cs,
		       rpl >= e->cpl &&
			       (EMU_TYPE(&d) & 4 ? EMU_DPL(&d) <= rpl : EMU_DPL(&d) == rpl),
		       VEC_GP);
	emu_add_gpr(e, R_RSP, add, emu_stack_bytes(e));
	if (outer || always) {
		sp = emu_pop(e, size);
		ss = (uint16_t)emu_pop(e, size);
	}
	emu_enter_code(e, &d, cs, rpl);
	if (outer || always) {
		emu_load_data_seg(e, LODGE_EMU_SS, ss, rpl, VEC_GP);
		sb = emu_stack_bytes(e);
		emu_set_gpr(e, R_RSP, sp + add, sb);
	}
	emu_jump(e, rip, size);
	if (outer)
		drop_inner(e, rpl);
}

void emu_do_ret_far(struct lodge_emu *e)
{
	unsigned size = e->insn.opsize, add = e->insn.nopds ? e->insn.imm & 0xffff : 0;
	uint64_t rip = emu_pop(e, size);
	uint16_t cs = (uint16_t)emu_pop(e, size);

	if (EMU_PM(e)) {
		return_to(e, cs, rip, size, add, false);
	} else {
		far_paragraph(e, cs, rip, size);
		emu_add_gpr(e, R_RSP, add, emu_stack_bytes(e));
	}
}

/* Into VM86: the stack holds EIP, CS, EFLAGS (popped), ESP, SS, ES, DS, FS, GS. */
static void iret_vm86(struct lodge_emu *e, uint64_t rip, uint16_t cs, uint64_t flags)
{
	static const uint8_t order[] = {LODGE_EMU_SS, LODGE_EMU_ES, LODGE_EMU_DS, LODGE_EMU_FS,
					LODGE_EMU_GS};
	uint64_t sp = emu_pop(e, 4), sel[5];

	for (unsigned i = 0; i < 5; i++)
		sel[i] = emu_pop(e, 4);
	if (rip > 0xffff)
		emu_gp(e);
	emu_set_flags(e, flags, 4, FLAG_RF | FLAG_VM | FLAG_IOPL | FLAG_VIF | FLAG_VIP);
	for (unsigned i = 0; i < 5; i++)
		emu_load_paragraph(e, order[i], (uint16_t)sel[i]);
	emu_load_paragraph(e, LODGE_EMU_CS, cs);
	e->w[R_RSP] = sp;
	e->wrip = rip;
	e->wcpl = 3;
}

static void iret_task(struct lodge_emu *e)
{
	if (EMU_LONG(e))
		emu_gp(e);
	e->arg = (uint16_t)emu_read_sys(e, emu_seg(e, LODGE_EMU_TR)->base, 2);
	e->arg_reason = LODGE_EMU_TASK_IRET;
	e->arg_has_error = false;
	emu_task(e);
}

void emu_do_iret(struct lodge_emu *e)
{
	unsigned size = e->insn.opsize;
	bool pm = EMU_PM(e), always = EMU_64(e);
	uint64_t rip, flags;
	uint16_t cs;

	e->wtodo = LODGE_EMU_TODO_IRET;
	emu_vm86_sensitive(e);
	if (pm && (e->wflags & FLAG_NT)) {
		iret_task(e);
		return;
	}
	rip = emu_pop(e, size);
	cs = (uint16_t)emu_pop(e, size);
	flags = emu_pop(e, size);
	if (!pm) {
		far_paragraph(e, cs, rip, size);
		emu_set_flags(e, flags, size, FLAG_RF);
	} else if (!EMU_LONG(e) && size == 4 && (flags & FLAG_VM) && !e->cpl) {
		iret_vm86(e, rip, cs, flags);
	} else {
		return_to(e, cs, rip, size, 0, always);
		emu_set_flags(e, flags, size, FLAG_RF | (e->cpl ? 0 : FLAG_VIF | FLAG_VIP));
	}
}

/* ---- Events of real mode ---------------------------------------------------------------------- */

void emu_real_event(struct lodge_emu *e, uint8_t vector, uint64_t return_rip)
{
	const struct lodge_emu_seg *idt = emu_seg(e, LODGE_EMU_IDTR);
	uint64_t to;

	if (vector * 4u + 3 > idt->limit) {
		/* #GP, then #DF, then nothing is left. */
		if (idt->limit < 4 * VEC_DF + 3 || vector == VEC_DF)
			emu_end(e, LODGE_EMU_SHUTDOWN);
		emu_raise(e, vector == VEC_GP ? VEC_DF : VEC_GP, 0);
	}
	to = emu_read_sys(e, (idt->base + vector * 4u) & 0xffffffff, 4);
	emu_push(e, e->wflags, 2);
	emu_push(e, emu_seg(e, LODGE_EMU_CS)->sel, 2);
	emu_push(e, return_rip, 2);
	far_paragraph(e, (uint16_t)(to >> 16), to, 2);
	emu_set_flag(e, FLAG_IF | FLAG_TF | FLAG_AC | FLAG_RF, false);
}
