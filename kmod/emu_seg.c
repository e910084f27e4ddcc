// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The instruction emulator's segments: loading them by paragraph or by descriptor, LDTR and TR, the
 * tables' registers, and the instructions that only look.
 * Source: Intel SDM vol. 3A §3.4, §5.5–5.10; vol. 2 (MOV, LLDT, LTR, LAR, LSL, VERR, ARPL).
 * Threads: the vCPU's own.
 */
#include "emu_int.h"

int emu_read_desc(struct lodge_emu *e, uint16_t sel, struct emu_desc *d, uint8_t vector)
{
	uint64_t base = 0;
	uint32_t limit;

	if (sel & 4) {
		const struct lodge_emu_seg *ldt = emu_seg(e, LODGE_EMU_LDTR);

		base = ldt->base;
		limit = ldt->limit;
		if (ldt->unusable)
			return emu_raise(e, vector, EMU_SEL_ERROR(sel));
	} else {
		uint16_t small;

		e->ops->get_table(e->cpu, LODGE_EMU_GDTR, &base, &small);
		limit = small;
	}
	if ((sel | 7u) > limit)
		return emu_raise(e, vector, EMU_SEL_ERROR(sel));
	d->at = base + (sel & 0xfff8u);
	d->high = 0;
	d->has_high = (sel | 7u) + 8 <= limit;
	return emu_read_lin(e, d->at, &d->raw, 8, LODGE_EMU_R | LODGE_EMU_SYS);
}

/* The upper half of LDT, TSS and gate descriptors in long mode. */
int emu_read_high(struct lodge_emu *e, struct emu_desc *d, uint16_t sel)
{
	int r;

	if (!EMU_LONG(e))
		return 0;
	if (!d->has_high)
		return emu_gp_sel(e, sel);
	r = emu_read_lin(e, d->at + 8, &d->high, 8, LODGE_EMU_R | LODGE_EMU_SYS);
	if (!r && (d->high >> 40 & 0x1f))
		return emu_gp_sel(e, sel);
	return r;
}

void emu_desc_seg(const struct emu_desc *d, uint16_t sel, struct lodge_emu_seg *s)
{
	uint32_t limit = (uint32_t)((d->raw & 0xffff) | (d->raw >> 32 & 0xf0000));

	s->base = (d->raw >> 16 & 0xffffff) | (d->raw >> 32 & 0xff000000) | d->high << 32;
	s->attr = (uint16_t)(d->raw >> 40 & 0xf0ff);
	s->limit = s->attr & SEG_ATTR_G ? limit << 12 | 0xfff : limit;
	s->sel = sel;
	s->unusable = false;
}

int emu_write_type(struct lodge_emu *e, const struct emu_desc *d)
{
	uint8_t access = (uint8_t)(d->raw >> 40);

	return emu_write_lin(e, d->at + 5, &access, 1, LODGE_EMU_SYS);
}

int emu_set_accessed(struct lodge_emu *e, struct emu_desc *d)
{
	if (EMU_TYPE(d) & 1)
		return 0;
	d->raw |= 1ull << 40;
	return emu_write_type(e, d);
}

void emu_load_paragraph(struct lodge_emu *e, unsigned seg, uint16_t sel)
{
	struct lodge_emu_seg s = *emu_seg(e, seg);

	s.sel = sel;
	s.base = (uint64_t)sel << 4;
	s.unusable = false;
	if (e->wflags & FLAG_VM) {
		s.limit = 0xffff;
		s.attr = 0xf3;
	}
	emu_put_seg(e, seg, &s);
}

static void load_null(struct lodge_emu *e, unsigned seg, uint16_t sel, unsigned dpl)
{
	struct lodge_emu_seg s = {.sel = sel,
				  .unusable = true,
				  .attr = (uint16_t)(dpl << SEG_ATTR_DPL_SHIFT)};

	/* FS and GS keep their base on AMD, lose it on Intel. */
	emu_put_seg(e, seg, &s);
}

static int data_desc_ok(struct lodge_emu *e, const struct emu_desc *d, unsigned seg, uint16_t sel,
			unsigned cpl, uint8_t vector)
{
	unsigned type = EMU_TYPE(d), dpl = EMU_DPL(d), rpl = sel & 3u;

	if (!EMU_S(d))
		return emu_raise(e, vector, EMU_SEL_ERROR(sel));
	if (seg == LODGE_EMU_SS) {
		if (rpl != cpl || dpl != cpl || (type & 10) != 2)
			return emu_raise(e, vector, EMU_SEL_ERROR(sel));
	} else if ((type & 10) == 8) {
		return emu_raise(e, vector, EMU_SEL_ERROR(sel)); /* code that cannot be read */
	} else if ((type & 12) != 12 && dpl < (rpl > cpl ? rpl : cpl)) {
		return emu_raise(e, vector, EMU_SEL_ERROR(sel));
	}
	if (!EMU_P(d))
		return emu_raise(e, seg == LODGE_EMU_SS ? VEC_SS : VEC_NP, EMU_SEL_ERROR(sel));
	return 0;
}

int emu_load_data_seg(struct lodge_emu *e, unsigned seg, uint16_t sel, unsigned cpl, uint8_t vector)
{
	struct emu_desc d;
	struct lodge_emu_seg s;
	int r;

	if (!(sel & 0xfffc)) {
		if (seg == LODGE_EMU_SS && !(EMU_64(e) && cpl < 3 && (sel & 3u) == cpl))
			return emu_raise(e, vector, 0);
		load_null(e, seg, sel, seg == LODGE_EMU_SS ? cpl : 0);
		return 0;
	}
	r = emu_read_desc(e, sel, &d, vector);
	if (!r)
		r = data_desc_ok(e, &d, seg, sel, cpl, vector);
	if (!r)
		r = emu_set_accessed(e, &d);
	if (r)
		return r;
	emu_desc_seg(&d, sel, &s);
	emu_put_seg(e, seg, &s);
	return 0;
}

static int load_seg(struct lodge_emu *e, unsigned seg, uint16_t sel)
{
	if (EMU_PM(e))
		return emu_load_data_seg(e, seg, sel, e->cpl, VEC_GP);
	emu_load_paragraph(e, seg, sel);
	return 0;
}

/* ---- Instructions that load and store segment registers --------------------------------------- */

int emu_do_mov_seg(struct lodge_emu *e)
{
	uint64_t v = 0;
	int r;

	if (e->insn.op == X86_OP_MOV_FROM_SEG)
		return emu_set(e, 0, emu_seg(e, e->insn.opd[1].reg)->sel);
	r = emu_get(e, 1, &v);
	if (!r)
		r = load_seg(e, e->insn.opd[0].reg, (uint16_t)v);
	if (e->insn.opd[0].reg == LODGE_EMU_SS)
		e->wshadow |= LODGE_EMU_SHADOW_SS;
	return r;
}

/* All of the slot is written, as AMD does; Intel leaves the upper half of 32 bits alone. */
int emu_do_push_seg(struct lodge_emu *e)
{
	return emu_push(e, emu_seg(e, e->insn.opd[0].reg)->sel, e->insn.opsize);
}

int emu_do_pop_seg(struct lodge_emu *e)
{
	uint64_t v = 0;
	int r = emu_pop(e, &v, e->insn.opsize);

	if (!r)
		r = load_seg(e, e->insn.opd[0].reg, (uint16_t)v);
	if (e->insn.opd[0].reg == LODGE_EMU_SS)
		e->wshadow |= LODGE_EMU_SHADOW_SS;
	return r;
}

/* LES, LDS, LSS, LFS, LGS */
int emu_do_load_far(struct lodge_emu *e)
{
	unsigned size = e->insn.opd[1].size - 2u, seg = LODGE_EMU_GS;
	uint64_t off = 0;
	uint16_t sel = 0;
	int r = emu_get_far(e, size, &off, &sel);

	if (r)
		return r;
	switch (e->insn.op) {
	case X86_OP_LES:
		seg = LODGE_EMU_ES;
		break;
	case X86_OP_LDS:
		seg = LODGE_EMU_DS;
		break;
	case X86_OP_LSS:
		seg = LODGE_EMU_SS;
		break;
	case X86_OP_LFS:
		seg = LODGE_EMU_FS;
		break;
	default:
		break;
	}
	r = load_seg(e, seg, sel);
	if (!r)
		emu_set_gpr(e, e->insn.opd[0].reg, off, e->insn.opd[0].size);
	return r;
}

/* ---- LDTR, TR -------------------------------------------------------------------------------- */

int emu_load_ldt(struct lodge_emu *e, uint16_t sel, uint8_t vector)
{
	struct emu_desc d;
	struct lodge_emu_seg s;
	int r;

	if (!(sel & 0xfffc)) {
		load_null(e, LODGE_EMU_LDTR, sel, 0);
		return 0;
	}
	if (sel & 4)
		return emu_raise(e, vector, EMU_SEL_ERROR(sel));
	r = emu_read_desc(e, sel, &d, vector);
	if (!r)
		r = emu_read_high(e, &d, sel);
	if (r)
		return r;
	if (EMU_S(&d) || EMU_TYPE(&d) != 2)
		return emu_raise(e, vector, EMU_SEL_ERROR(sel));
	if (!EMU_P(&d))
		return emu_raise(e, vector == VEC_TS ? VEC_TS : VEC_NP, EMU_SEL_ERROR(sel));
	emu_desc_seg(&d, sel, &s);
	emu_put_seg(e, LODGE_EMU_LDTR, &s);
	return 0;
}

static int load_tr(struct lodge_emu *e, uint16_t sel)
{
	struct emu_desc d;
	struct lodge_emu_seg s;
	int r;

	if (!(sel & 0xfffc) || (sel & 4))
		return emu_raise(e, VEC_GP, EMU_SEL_ERROR(sel));
	r = emu_read_desc(e, sel, &d, VEC_GP);
	if (!r)
		r = emu_read_high(e, &d, sel);
	if (r)
		return r;
	if (EMU_S(&d) || (EMU_TYPE(&d) != 9 && (EMU_TYPE(&d) != 1 || EMU_LONG(e))))
		return emu_raise(e, VEC_GP, EMU_SEL_ERROR(sel));
	if (!EMU_P(&d))
		return emu_raise(e, VEC_NP, EMU_SEL_ERROR(sel));
	d.raw |= 2ull << 40; /* busy */
	r = emu_write_type(e, &d);
	if (r)
		return r;
	emu_desc_seg(&d, sel, &s);
	emu_put_seg(e, LODGE_EMU_TR, &s);
	return 0;
}

int emu_do_ldt_tr(struct lodge_emu *e)
{
	uint64_t sel = 0;
	int r;

	if (!EMU_PM(e))
		return emu_ud(e);
	if (e->cpl)
		return emu_gp(e);
	r = emu_get(e, 0, &sel);
	if (r)
		return r;
	return e->insn.op == X86_OP_LLDT ? emu_load_ldt(e, (uint16_t)sel, VEC_GP)
					 : load_tr(e, (uint16_t)sel);
}

int emu_do_store_sel(struct lodge_emu *e)
{
	if (!EMU_PM(e))
		return emu_ud(e);
	if ((e->cr4 & CR4_UMIP) && e->cpl)
		return emu_gp(e);
	return emu_set(e, 0,
		       emu_seg(e, e->insn.op == X86_OP_STR ? LODGE_EMU_TR : LODGE_EMU_LDTR)->sel);
}

/* ---- GDTR, IDTR ------------------------------------------------------------------------------ */

int emu_do_table(struct lodge_emu *e)
{
	unsigned op = e->insn.op, size = EMU_64(e) ? 8 : 4;
	unsigned table = op == X86_OP_LIDT || op == X86_OP_SIDT ? LODGE_EMU_IDTR : LODGE_EMU_GDTR;
	bool wide = EMU_64(e) || (e->mode == X86_MODE_32) != ((e->insn.flags & X86_IF_66) != 0);
	uint64_t base = 0;
	uint16_t limit = 0;
	uint8_t buf[10];
	int r;

	if (op == X86_OP_SGDT || op == X86_OP_SIDT) {
		if ((e->cr4 & CR4_UMIP) && e->cpl)
			return emu_gp(e);
		e->ops->get_table(e->cpu, table, &base, &limit);
		__builtin_memcpy(buf, &limit, 2);
		__builtin_memcpy(buf + 2, &base, 8);
		return emu_set_mem(e, 0, buf, size + 2);
	}
	r = emu_get_mem(e, 0, buf, size + 2);
	if (r)
		return r;
	__builtin_memcpy(&limit, buf, 2);
	__builtin_memcpy(&base, buf + 2, size);
	if (EMU_64(e) && !emu_canonical(e, base))
		return emu_gp(e);
	e->table_base[table] = wide ? base : base & 0xffffff;
	e->table_limit[table] = limit;
	e->table_dirty = (uint8_t)(1u << table);
	return 0;
}

/* ---- LAR, LSL, VERR, VERW, ARPL --------------------------------------------------------------- */

/* Descriptor types that LAR and LSL know, a bit each; in long mode fewer. */
#define LAR_TYPES 0x1a3eu /* 1, 2, 3, 4, 5, 9, B, C */
#define LAR_LONG 0x1a04u  /* 2, 9, B, C */
#define LSL_TYPES 0x0a0eu /* 1, 2, 3, 9, B */
#define LSL_LONG 0x0a04u

static bool may_look(struct lodge_emu *e, const struct emu_desc *d, uint16_t sel)
{
	unsigned type = EMU_TYPE(d), op = e->insn.op, rpl = sel & 3u;
	unsigned most = rpl > e->cpl ? rpl : e->cpl;

	if (!EMU_S(d)) {
		unsigned lar = EMU_LONG(e) ? LAR_LONG : LAR_TYPES,
			 lsl = EMU_LONG(e) ? LSL_LONG : LSL_TYPES;

		if (op != X86_OP_LAR && op != X86_OP_LSL)
			return false;
		if (!((op == X86_OP_LAR ? lar : lsl) >> type & 1))
			return false;
	} else if (op == X86_OP_VERR && (type & 10) == 8) {
		return false;
	} else if (op == X86_OP_VERW && (type & 10) != 2) {
		return false;
	}
	return (EMU_S(d) && (type & 12) == 12) || EMU_DPL(d) >= most;
}

static int arpl(struct lodge_emu *e)
{
	uint64_t d = 0, s = 0;
	int r;

	/* Memory is written, and checked for that, only if it changes. */
	if (e->insn.opd[0].kind == X86_OPD_MEM)
		r = emu_read_seg(e, e->insn.seg, emu_ea(e), &d, 2);
	else
		r = emu_get(e, 0, &d);
	if (!r)
		r = emu_get(e, 1, &s);
	if (r)
		return r;
	e->wflags &= ~(uint64_t)FLAG_ZF;
	if ((d & 3) >= (s & 3))
		return 0;
	e->wflags |= FLAG_ZF;
	return emu_set(e, 0, (d & ~3ull) | (s & 3));
}

/* A selector that cannot be looked at clears ZF, without an exception. */
static int look(struct lodge_emu *e, uint16_t sel, struct emu_desc *d, bool *ok)
{
	int r;

	*ok = false;
	if (!(sel & 0xfffc))
		return 0;
	r = emu_read_desc(e, sel, d, VEC_GP);
	if (!r && !EMU_S(d))
		r = emu_read_high(e, d, sel);
	if (r == LODGE_EMU_EXCEPTION && e->ex.vector == VEC_GP)
		return 0;
	*ok = !r && may_look(e, d, sel);
	return r;
}

int emu_do_verify(struct lodge_emu *e)
{
	unsigned op = e->insn.op;
	struct emu_desc d = {0};
	struct lodge_emu_seg s;
	uint64_t sel = 0;
	bool ok = false;
	int r;

	if (!EMU_PM(e))
		return emu_ud(e);
	if (op == X86_OP_ARPL)
		return arpl(e);
	r = emu_get(e, op == X86_OP_LAR || op == X86_OP_LSL ? 1 : 0, &sel);
	if (!r)
		r = look(e, (uint16_t)sel, &d, &ok);
	if (r)
		return r;
	e->wflags &= ~(uint64_t)FLAG_ZF;
	if (!ok)
		return 0;
	e->wflags |= FLAG_ZF;
	emu_desc_seg(&d, (uint16_t)sel, &s);
	if (op == X86_OP_LAR)
		return emu_set(e, 0, d.raw >> 32 & 0xffff00);
	if (op == X86_OP_LSL)
		return emu_set(e, 0, s.limit);
	return 0;
}
