// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The instruction emulator's task switch: 16- and 32-bit TSS, old task saved, new one loaded.
 * Source: Intel SDM vol. 3A ch. 7 (figures 7-2 and 7-10, §7.3). Threads: the vCPU's own.
 */
#include "emu_int.h"

#define TSS32_CR3 0x1c
#define TSS32_SAVED 0x20 /* EIP, EFLAGS, eight registers, six selectors: 64 bytes */
#define TSS32_LDT 0x60
#define TSS32_T 0x64
#define TSS32_LIMIT 103
#define TSS16_SAVED 0x0e /* IP, FLAGS, eight registers, four selectors: 28 bytes */
#define TSS16_LDT 0x2a
#define TSS16_LIMIT 43

/* What a TSS holds, of either width. */
struct task {
	uint32_t rip, flags, gpr[8];
	uint16_t sel[6], ldt;
	uint32_t cr3;
	bool t;
};

#define SYS_R (LODGE_EMU_R | LODGE_EMU_SYS)

static int find_tss(struct lodge_emu *e, uint16_t sel, bool back, struct emu_desc *d,
		    struct lodge_emu_seg *s)
{
	uint8_t vector = back ? VEC_TS : VEC_GP;
	unsigned busy = back ? 2 : 0;
	int r;

	if (!(sel & 0xfffc) || (sel & 4))
		return emu_raise(e, vector, EMU_SEL_ERROR(sel));
	r = emu_read_desc(e, sel, d, vector);
	if (r)
		return r;
	if (EMU_S(d) || (EMU_TYPE(d) & 5) != 1 || (EMU_TYPE(d) & 2) != busy)
		return emu_raise(e, vector, EMU_SEL_ERROR(sel));
	if (!EMU_P(d))
		return emu_raise(e, VEC_NP, EMU_SEL_ERROR(sel));
	emu_desc_seg(d, sel, s);
	if (s->limit < (EMU_TYPE(d) & 8 ? TSS32_LIMIT : TSS16_LIMIT))
		return emu_raise(e, VEC_TS, EMU_SEL_ERROR(sel));
	return 0;
}

static int save32(struct lodge_emu *e, uint64_t base, uint64_t flags)
{
	uint32_t v[10];
	uint16_t sel;
	int r;

	v[0] = (uint32_t)e->wrip;
	v[1] = (uint32_t)flags;
	for (unsigned i = 0; i < 8; i++)
		v[2 + i] = (uint32_t)e->w[i];
	r = emu_write_lin(e, base + TSS32_SAVED, v, 32, LODGE_EMU_SYS);
	if (!r)
		r = emu_write_lin(e, base + TSS32_SAVED + 32, v + 8, 8, LODGE_EMU_SYS);
	for (unsigned i = 0; i < 6 && !r; i++) {
		sel = emu_seg(e, i)->sel;
		r = emu_write_lin(e, base + 0x48 + 4 * i, &sel, 2, LODGE_EMU_SYS);
	}
	return r;
}

static int save16(struct lodge_emu *e, uint64_t base, uint64_t flags)
{
	uint16_t v[14];

	v[0] = (uint16_t)e->wrip;
	v[1] = (uint16_t)flags;
	for (unsigned i = 0; i < 8; i++)
		v[2 + i] = (uint16_t)e->w[i];
	for (unsigned i = 0; i < 4; i++)
		v[10 + i] = emu_seg(e, i)->sel;
	return emu_write_lin(e, base + TSS16_SAVED, v, 28, LODGE_EMU_SYS);
}

static int load32(struct lodge_emu *e, uint64_t base, struct task *t)
{
	uint32_t v[16];
	uint16_t trap = 0;
	int r = emu_read_lin(e, base + TSS32_CR3, &t->cr3, 4, SYS_R);

	if (!r)
		r = emu_read_lin(e, base + TSS32_SAVED, v, 64, SYS_R);
	if (!r)
		r = emu_read_lin(e, base + TSS32_LDT, &t->ldt, 2, SYS_R);
	if (!r)
		r = emu_read_lin(e, base + TSS32_T, &trap, 2, SYS_R);
	if (r)
		return r;
	t->t = trap & 1;
	t->rip = v[0];
	t->flags = v[1];
	for (unsigned i = 0; i < 8; i++)
		t->gpr[i] = v[2 + i];
	for (unsigned i = 0; i < 6; i++)
		t->sel[i] = (uint16_t)v[10 + i];
	return 0;
}

static int load16(struct lodge_emu *e, uint64_t base, struct task *t)
{
	uint16_t v[14];
	int r = emu_read_lin(e, base + TSS16_SAVED, v, 28, SYS_R);

	if (!r)
		r = emu_read_lin(e, base + TSS16_LDT, &t->ldt, 2, SYS_R);
	if (r)
		return r;
	t->rip = v[0];
	t->flags = v[1];
	for (unsigned i = 0; i < 8; i++)
		t->gpr[i] = 0xffff0000u | v[2 + i];
	for (unsigned i = 0; i < 4; i++)
		t->sel[i] = v[10 + i];
	t->sel[4] = 0;
	t->sel[5] = 0;
	return 0;
}

/* The busy bit of the task that is left or entered. */
static int set_busy(struct lodge_emu *e, uint16_t sel, bool busy)
{
	struct emu_desc d;
	int r = emu_read_desc(e, sel, &d, VEC_TS);

	if (r)
		return r;
	d.raw &= ~(2ull << 40);
	if (busy)
		d.raw |= 2ull << 40;
	return emu_write_type(e, &d);
}

static int load_code(struct lodge_emu *e, uint16_t sel)
{
	struct lodge_emu_seg s;
	struct emu_desc d;
	unsigned rpl = sel & 3u;
	int r;

	if (!(sel & 0xfffc))
		return emu_raise(e, VEC_TS, 0);
	r = emu_read_desc(e, sel, &d, VEC_TS);
	if (r)
		return r;
	if (!EMU_S(&d) || !(EMU_TYPE(&d) & 8) ||
	    (EMU_TYPE(&d) & 4 ? EMU_DPL(&d) > rpl : EMU_DPL(&d) != rpl))
		return emu_raise(e, VEC_TS, EMU_SEL_ERROR(sel));
	if (!EMU_P(&d))
		return emu_raise(e, VEC_NP, EMU_SEL_ERROR(sel));
	r = emu_set_accessed(e, &d);
	if (r)
		return r;
	emu_desc_seg(&d, sel, &s);
	emu_put_seg(e, LODGE_EMU_CS, &s);
	e->wcpl = (uint8_t)rpl;
	e->mode = s.attr & SEG_ATTR_DB ? X86_MODE_32 : X86_MODE_16;
	return 0;
}

/* LDT and segments of the new task. Their faults are the new task's on hardware; here, the switch has
 * not happened then. */
static int load_segments(struct lodge_emu *e, const struct task *t)
{
	static const uint8_t data[] = {LODGE_EMU_ES, LODGE_EMU_DS, LODGE_EMU_FS, LODGE_EMU_GS};
	int r = emu_load_ldt(e, t->ldt, VEC_TS);

	if (r)
		return r;
	if (t->flags & FLAG_VM) {
		for (unsigned i = 0; i < 6; i++)
			emu_load_paragraph(e, i, t->sel[i]);
		e->wcpl = 3;
		e->mode = X86_MODE_16;
		return 0;
	}
	r = load_code(e, t->sel[LODGE_EMU_CS]);
	if (!r)
		r = emu_load_data_seg(e, LODGE_EMU_SS, t->sel[LODGE_EMU_SS], e->wcpl, VEC_TS);
	for (unsigned i = 0; i < sizeof(data) && !r; i++)
		r = emu_load_data_seg(e, data[i], t->sel[data[i]], e->wcpl, VEC_TS);
	if (!r && t->rip > emu_seg(e, LODGE_EMU_CS)->limit)
		r = emu_gp(e);
	return r;
}

static int leave_old(struct lodge_emu *e, bool nested)
{
	const struct lodge_emu_seg *tr = emu_seg(e, LODGE_EMU_TR);
	uint64_t flags = e->wflags;
	int r = 0;

	if (e->arg_reason == LODGE_EMU_TASK_IRET)
		flags &= ~(uint64_t)FLAG_NT;
	r = tr->attr & 8 ? save32(e, tr->base, flags) : save16(e, tr->base, flags);
	return r || nested ? r : set_busy(e, tr->sel, false);
}

static int enter_new(struct lodge_emu *e, const struct task *t, const struct lodge_emu_seg *tss,
		     bool nested)
{
	struct lodge_emu_seg s = *tss;
	uint64_t old = 0;
	int r;

	s.attr |= 2;
	emu_put_seg(e, LODGE_EMU_TR, &s);
	for (unsigned i = 0; i < 8; i++)
		e->w[i] = t->gpr[i];
	e->wrip = t->rip;
	e->wflags = (t->flags & 0x3f7fd5) | FLAG_FIXED;
	if (nested)
		e->wflags |= FLAG_NT;
	if (!(e->cr0 & CR0_PG) || !(s.attr & 8))
		return load_segments(e, t);
	if (!e->ops->get_cr || !e->ops->set_cr)
		return LODGE_EMU_REFUSED;
	r = e->ops->get_cr(e->cpu, 3, &old);
	if (r)
		return emu_answer(r);
	/* The tables the segments come from are read by the new CR3, what was saved went by the old. */
	if ((uint32_t)old == t->cr3)
		return load_segments(e, t);
	r = emu_answer(e->ops->set_cr(e->cpu, 3, t->cr3, &e->ex));
	if (!r)
		r = load_segments(e, t);
	if (r) {
		struct lodge_emu_exception none;

		e->ops->set_cr(e->cpu, 3, old, &none);
	}
	return r;
}

int emu_task(struct lodge_emu *e)
{
	unsigned reason = e->arg_reason;
	bool nested = reason == LODGE_EMU_TASK_CALL || reason == LODGE_EMU_TASK_GATE;
	bool back = reason == LODGE_EMU_TASK_IRET;
	uint16_t old_sel = emu_seg(e, LODGE_EMU_TR)->sel;
	struct lodge_emu_seg tss;
	struct emu_desc d;
	struct task t = {0};
	int r;

	if (EMU_LONG(e) || !(e->cr0 & CR0_PE))
		return LODGE_EMU_REFUSED;
	r = find_tss(e, e->arg, back, &d, &tss);
	if (!r)
		r = tss.attr & 8 ? load32(e, tss.base, &t) : load16(e, tss.base, &t);
	if (!r)
		r = leave_old(e, nested);
	if (!r && nested)
		r = emu_write_lin(e, tss.base, &old_sel, 2, LODGE_EMU_SYS);
	if (!r && !back)
		r = set_busy(e, e->arg, true);
	if (!r)
		r = enter_new(e, &t, &tss, nested);
	if (!r && e->arg_has_error)
		r = emu_push(e, e->arg_error, tss.attr & 8 ? 4 : 2);
	if (r)
		return r;
	e->t_bit = t.t;
	if (!e->ops->set_cr)
		return LODGE_EMU_REFUSED;
	return emu_answer(e->ops->set_cr(e->cpu, 0, e->cr0 | CR0_TS, &e->ex));
}
