// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The instruction emulator's task switch: 16- and 32-bit TSS, old task saved, new one loaded.
 * Source: Intel SDM vol. 3A ch. 7 (figures 7-2 and 7-10, §7.3). Threads: the vCPU's own.
 */
#include "emu_int.h"

/* Where a TSS has what; `saved`: rIP, rFLAGS, eight registers, then selectors, each in `width` bytes. */
struct layout {
	uint8_t width, saved, sels, ldt, limit;
};
static const struct layout tss32 = {4, 0x20, 6, 0x60, 103}, tss16 = {2, 0x0e, 4, 0x2a, 43};
#define TSS32_CR3 0x1c
#define TSS32_T 0x64

struct task {
	uint32_t rip, flags, gpr[8];
	uint16_t sel[6], ldt;
	uint32_t cr3;
	bool t;
};

static const struct layout *layout_of(const struct lodge_emu_seg *tss)
{
	return tss->attr & 8 ? &tss32 : &tss16;
}

static void save(struct lodge_emu *e, const struct lodge_emu_seg *tss, uint64_t flags)
{
	const struct layout *l = layout_of(tss);
	uint64_t at = tss->base + l->saved;
	unsigned w = l->width;

	emu_write_sys(e, at, e->wrip, w);
	emu_write_sys(e, at + w, flags, w);
	for (unsigned i = 0; i < 8; i++)
		emu_write_sys(e, at + (2 + i) * w, e->w[i], w);
	for (unsigned i = 0; i < l->sels; i++)
		emu_write_sys(e, at + (10 + i) * w, emu_seg(e, i)->sel, 2);
}

static void load(struct lodge_emu *e, const struct lodge_emu_seg *tss, struct task *t)
{
	const struct layout *l = layout_of(tss);
	uint64_t at = tss->base + l->saved;
	unsigned w = l->width;

	if (w == 4)
		t->cr3 = (uint32_t)emu_read_sys(e, tss->base + TSS32_CR3, 4);
	t->rip = (uint32_t)emu_read_sys(e, at, w);
	t->flags = (uint32_t)emu_read_sys(e, at + w, w);
	for (unsigned i = 0; i < 8; i++)
		t->gpr[i] =
			(uint32_t)emu_read_sys(e, at + (2 + i) * w, w) | (w == 2 ? 0xffff0000 : 0);
	for (unsigned i = 0; i < l->sels; i++)
		t->sel[i] = (uint16_t)emu_read_sys(e, at + (10 + i) * w, w);
	t->ldt = (uint16_t)emu_read_sys(e, tss->base + l->ldt, 2);
	t->t = w == 4 && (emu_read_sys(e, tss->base + TSS32_T, 2) & 1);
}

static void load_code(struct lodge_emu *e, uint16_t sel)
{
	unsigned rpl = sel & 3u;
	struct emu_desc d;

	emu_find_desc(e, sel, &d, VEC_TS);
	emu_check_code(e, &d, sel, EMU_TYPE(&d) & 4 ? EMU_DPL(&d) <= rpl : EMU_DPL(&d) == rpl,
		       VEC_TS);
	emu_enter_code(e, &d, sel, rpl);
}

/* LDT and segments of the new task. Their faults are the new task's on hardware; here, the switch has
 * not happened then. */
static void load_segments(struct lodge_emu *e, const struct task *t)
{
	static const uint8_t data[] = {LODGE_EMU_SS, LODGE_EMU_ES, LODGE_EMU_DS, LODGE_EMU_FS,
				       LODGE_EMU_GS};

	emu_load_ldt(e, t->ldt, VEC_TS);
	if (t->flags & FLAG_VM) {
		for (unsigned i = 0; i < 6; i++)
			emu_load_paragraph(e, i, t->sel[i]);
		e->wcpl = 3;
		e->mode = X86_MODE_16;
		return;
	}
	load_code(e, t->sel[LODGE_EMU_CS]);
	for (unsigned i = 0; i < sizeof(data); i++)
		emu_load_data_seg(e, data[i], t->sel[data[i]], e->wcpl, VEC_TS);
	if (t->rip > emu_seg(e, LODGE_EMU_CS)->limit)
		emu_gp(e);
}

static void enter_new(struct lodge_emu *e, const struct task *t, const struct lodge_emu_seg *tss,
		      bool nested)
{
	struct lodge_emu_seg s = *tss;
	struct lodge_emu_exception none;
	uint64_t old;

	s.attr |= 2;
	emu_put_seg(e, LODGE_EMU_TR, &s);
	for (unsigned i = 0; i < 8; i++)
		e->w[i] = t->gpr[i];
	e->wrip = t->rip;
	e->wflags = (t->flags & 0x3f7fd5) | FLAG_FIXED | (nested ? FLAG_NT : 0);
	old = emu_get_sys(e, LODGE_EMU_CR, 3);
	/* The tables the segments come from are read by the new CR3, what was saved went by the old. */
	if (!(e->cr0 & CR0_PG) || !(s.attr & 8) || (uint32_t)old == t->cr3 || e->end) {
		load_segments(e, t);
		return;
	}
	emu_set_sys(e, LODGE_EMU_CR, 3, t->cr3);
	load_segments(e, t);
	if (e->end)
		e->ops->set_sys(e->cpu, LODGE_EMU_CR, 3, old, &none);
}

void emu_task(struct lodge_emu *e)
{
	unsigned reason = e->arg_reason;
	bool nested = reason == LODGE_EMU_TASK_CALL || reason == LODGE_EMU_TASK_GATE;
	bool back = reason == LODGE_EMU_TASK_IRET;
	struct lodge_emu_seg old = *emu_seg(e, LODGE_EMU_TR), tss;
	struct task t = {0};

	if (EMU_LONG(e) || !(e->cr0 & CR0_PE))
		emu_end(e, LODGE_EMU_REFUSED);
	/* Free TSSs of both kinds; busy ones for the way back. */
	emu_system_seg(e, e->arg, back ? 1u << 3 | 1u << 11 : 1u << 1 | 1u << 9,
		       back ? VEC_TS : VEC_GP, VEC_NP, &tss);
	if (tss.limit < layout_of(&tss)->limit)
		emu_raise_sel(e, VEC_TS, e->arg);
	load(e, &tss, &t);
	save(e, &old, back ? e->wflags & ~(uint64_t)FLAG_NT : e->wflags);
	if (!nested)
		emu_set_busy(e, old.sel, false);
	else
		emu_write_sys(e, tss.base, old.sel, 2);
	if (!back)
		emu_set_busy(e, e->arg, true);
	enter_new(e, &t, &tss, nested);
	if (e->arg_has_error)
		emu_push(e, e->arg_error, layout_of(&tss)->width);
	e->t_bit = t.t;
	emu_set_sys(e, LODGE_EMU_CR, 0, e->cr0 | CR0_TS);
}
