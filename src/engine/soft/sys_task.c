// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Task switches through 16- and 32-bit TSSs.
 * Source: Intel SDM 3A §7.2 (structures), §7.3 (the switch and table 7-1's checks), §7.4 (nesting).
 * Threads: the vCPU's own.
 *
 * Everything that may fault in the old task's context (both TSSs, their descriptors) is touched or
 * probed first. After that s and memory change together, and later faults (segments, LDT, IP) are
 * the new task's: cpu->op points at cpu->here by then.
 */
#include "engine/soft/sys_int.h"

/* Byte offsets in the two formats. */
struct tss_layout {
	uint8_t ip, flags, gpr, seg, ldt;
	uint8_t slot; /* bytes of a register slot */
	uint8_t seg_slot;
	uint8_t segs; /* segment registers held: ES, CS, SS, DS (, FS, GS) */
	uint8_t min_limit;
};

static const struct tss_layout tss16 = {0x0e, 0x10, 0x12, 0x22, 0x2a, 2, 2, 4, 0x2b};
static const struct tss_layout tss32 = {0x20, 0x24, 0x28, 0x48, 0x60, 4, 4, 6, 0x67};
#define TSS32_CR3 0x1c
#define TSS32_TRAP 0x64

struct task_image {
	uint32_t cr3, ip, flags;
	uint32_t gpr[8];
	uint16_t seg[SEG_COUNT], ldt;
	bool trap;
};

static const struct tss_layout *layout_of(unsigned type)
{
	return type & 8 ? &tss32 : &tss16;
}

static uint32_t tss_ld(struct soft_cpu *cpu, uint64_t base, unsigned off, unsigned size)
{
	return (uint32_t)soft_ld_sys(cpu, (uint32_t)(base + off), size);
}

static void tss_st(struct soft_cpu *cpu, uint64_t base, unsigned off, uint64_t val, unsigned size)
{
	soft_st_sys(cpu, (uint32_t)(base + off), val, size);
}

static void image_load(struct soft_cpu *cpu, const struct tss_layout *l, uint64_t base,
		       struct task_image *img)
{
	*img = (struct task_image){0};
	img->ip = tss_ld(cpu, base, l->ip, l->slot);
	img->flags = tss_ld(cpu, base, l->flags, l->slot);
	for (unsigned i = 0; i < 8; i++)
		img->gpr[i] = tss_ld(cpu, base, l->gpr + i * l->slot, l->slot);
	for (unsigned i = 0; i < l->segs; i++)
		img->seg[i] = (uint16_t)tss_ld(cpu, base, l->seg + i * l->seg_slot, 2);
	img->ldt = (uint16_t)tss_ld(cpu, base, l->ldt, 2);
	if (l == &tss32) {
		img->cr3 = tss_ld(cpu, base, TSS32_CR3, 4);
		img->trap = tss_ld(cpu, base, TSS32_TRAP, 2) & 1;
	}
}

static void image_save(struct soft_cpu *cpu, const struct tss_layout *l, uint64_t base, uint64_t ip,
		       uint64_t flags)
{
	struct x86_state *s = &cpu->s;

	tss_st(cpu, base, l->ip, ip, l->slot);
	tss_st(cpu, base, l->flags, flags, l->slot);
	for (unsigned i = 0; i < 8; i++)
		tss_st(cpu, base, l->gpr + i * l->slot, s->gpr[i], l->slot);
	for (unsigned i = 0; i < l->segs; i++)
		tss_st(cpu, base, l->seg + i * l->seg_slot, s->seg[i].sel, 2);
}

/* ---- The new task's segments, in its own context -------------------------------------------- */

static void task_ldt(struct soft_cpu *cpu, uint16_t sel)
{
	struct sys_desc d;

	if (sel_null(sel))
		return;
	if ((sel & 4) || !sys_desc_fetch(cpu, sel, &d) || !desc_system(&d) ||
	    desc_type(&d) != DESC_LDT || !desc_present(&d))
		soft_raise_err(cpu, VEC_TS, sel_err(sel));
	cpu->s.ldtr = sys_seg_make(sel, &d);
}

static void task_cs(struct soft_cpu *cpu, uint16_t sel)
{
	unsigned rpl = sel & 3;
	struct sys_desc d;

	if (sel_null(sel))
		soft_raise_err(cpu, VEC_TS, 0);
	sys_desc_need(cpu, sel, &d, VEC_TS);
	if (!desc_code(&d) || (desc_conforming(&d) ? desc_dpl(&d) > rpl : desc_dpl(&d) != rpl))
		soft_raise_err(cpu, VEC_TS, sel_err(sel));
	if (!desc_present(&d))
		soft_raise_err(cpu, VEC_NP, sel_err(sel));
	sys_desc_set_accessed(cpu, &d);
	sys_set_cs(cpu, sel, &d, rpl);
}

static void task_ss(struct soft_cpu *cpu, uint16_t sel)
{
	struct sys_desc d;

	sys_check_ss(cpu, sel, x86_cpl(&cpu->s), VEC_TS, &d);
	sys_desc_set_accessed(cpu, &d);
	cpu->s.seg[SEG_SS] = sys_seg_make(sel, &d);
}

static void task_data(struct soft_cpu *cpu, unsigned seg, uint16_t sel)
{
	unsigned need = x86_cpl(&cpu->s);
	struct sys_desc d;

	if (sel_null(sel))
		return;
	if ((sel & 3) > need)
		need = sel & 3;
	sys_desc_need(cpu, sel, &d, VEC_TS);
	if (desc_system(&d) || (desc_code(&d) && !(d.attr & SEG_ATTR_WRITE)) ||
	    (!desc_conforming(&d) && need > desc_dpl(&d)))
		soft_raise_err(cpu, VEC_TS, sel_err(sel));
	if (!desc_present(&d))
		soft_raise_err(cpu, VEC_NP, sel_err(sel));
	sys_desc_set_accessed(cpu, &d);
	cpu->s.seg[seg] = sys_seg_make(sel, &d);
}

static void task_segments(struct soft_cpu *cpu, const struct task_image *img)
{
	static const uint8_t data[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};

	task_ldt(cpu, img->ldt);
	if (sys_vm86(cpu)) {
		for (unsigned i = 0; i < SEG_COUNT; i++)
			cpu->s.seg[i] = sys_seg_vm86(img->seg[i]);
		return;
	}
	task_cs(cpu, img->seg[SEG_CS]);
	task_ss(cpu, img->seg[SEG_SS]);
	for (unsigned i = 0; i < sizeof(data); i++)
		task_data(cpu, data[i], img->seg[data[i]]);
}

/* ---- The switch ----------------------------------------------------------------------------- */

/* Registers of the new task, segments as bare selectors: valid enough to report a fault from. */
static void take_image(struct soft_cpu *cpu, const struct task_image *img, bool wide, bool nested)
{
	struct x86_state *s = &cpu->s;
	const uint32_t flags = FLAGS_ARITH | FLAG_TF | FLAG_IF | FLAG_DF | FLAG_IOPL | FLAG_NT |
			       FLAG_RF | FLAG_VM | FLAG_AC | FLAG_VIF | FLAG_VIP | FLAG_ID;
	unsigned cpl = img->flags & FLAG_VM ? 3 : img->seg[SEG_CS] & 3u;

	s->rip = img->ip;
	s->rflags = (img->flags & flags) | FLAG_FIXED | (nested ? FLAG_NT : 0);
	for (unsigned i = 0; i < 8; i++)
		s->gpr[i] = wide ? img->gpr[i] : (s->gpr[i] & 0xffff0000) | img->gpr[i];
	for (unsigned i = 0; i < SEG_COUNT; i++)
		s->seg[i] = sys_seg_null(img->seg[i], cpl);
	s->ldtr = sys_seg_null(img->ldt, 0);
	s->dr[7] &= ~0x155ull; /* local enables */
	if (!(s->dr[7] & 0xff))
		s->rflags &= ~(uint64_t)FLAG_RF;
	s->cr0 |= CR0_TS;
}

static void take_cr3(struct soft_cpu *cpu, uint32_t cr3)
{
	cpu->s.cr3 = cr3;
	soft_tlb_flush(cpu);
	if ((cpu->s.cr4 & CR4_PAE) && !sys_load_pdptes(cpu, cr3))
		soft_raise_err(cpu, VEC_TS, sel_err(cpu->s.tr.sel));
}

/* Make sure that nothing in the old task's context faults after the first change. */
static void probe_all(struct soft_cpu *cpu, const struct sys_desc *d, gva_t old_desc,
		      enum sys_task_reason why)
{
	const struct x86_seg *tr = &cpu->s.tr;
	const struct tss_layout *l = layout_of(tr->attr & SEG_ATTR_TYPE);

	soft_probe_write_sys(cpu, (uint32_t)(tr->base + l->ip), (unsigned)(l->ldt - l->ip));
	if (why == TASK_CALL || why == TASK_INT)
		soft_probe_write_sys(cpu, (uint32_t)d->base, 2);
	else
		soft_probe_write_sys(cpu, old_desc, 8);
	soft_probe_write_sys(cpu, d->lin, 8);
}

/* The old task ends or nests: busy bits, links, state. */
static void leave_old(struct soft_cpu *cpu, struct sys_desc *d, struct sys_desc *old,
		      enum sys_task_reason why, uint64_t next_ip)
{
	const struct x86_seg *tr = &cpu->s.tr;
	uint64_t flags = cpu->s.rflags;

	if (why == TASK_IRET)
		flags &= ~(uint64_t)FLAG_NT;
	image_save(cpu, layout_of(tr->attr & SEG_ATTR_TYPE), tr->base, next_ip, flags);
	if (why == TASK_JMP || why == TASK_IRET)
		sys_desc_set_type(cpu, old, 0, DESC_BUSY);
	else
		tss_st(cpu, d->base, 0, tr->sel, 2);
	if (why != TASK_IRET)
		sys_desc_set_type(cpu, d, DESC_BUSY, 0);
}

static void raise_task_trap(struct soft_cpu *cpu)
{
	const struct soft_event ev = {.vector = VEC_DB, .dr6 = DR6_BT};

	soft_raise_event(cpu, &ev);
}

void sys_task_switch(struct soft_cpu *cpu, uint16_t sel, struct sys_desc *d,
		     enum sys_task_reason why, uint64_t next_ip, const uint32_t *error)
{
	struct x86_state *s = &cpu->s;
	const struct tss_layout *l = layout_of(desc_type(d));
	bool wide = l == &tss32;
	struct task_image img;
	struct sys_desc old = {0};

	if (d->limit < l->min_limit)
		soft_raise_err(cpu, VEC_TS, sel_err(sel));
	image_load(cpu, l, d->base, &img);
	if (!sys_desc_fetch(cpu, s->tr.sel, &old))
		soft_raise_err(cpu, VEC_TS, sel_err(s->tr.sel));
	probe_all(cpu, d, old.lin, why);

	leave_old(cpu, d, &old, why, next_ip);
	s->tr = sys_seg_make(sel, d);
	take_image(cpu, &img, wide, why == TASK_CALL || why == TASK_INT);
	sys_commit_ip(cpu);
	soft_mode_changed(cpu);
	if (wide && (s->cr0 & CR0_PG))
		take_cr3(cpu, img.cr3);
	task_segments(cpu, &img);
	soft_mode_changed(cpu);
	if (s->rip > s->seg[SEG_CS].limit)
		soft_raise_err(cpu, VEC_GP, 0);
	if (error) {
		struct sys_stack st = sys_stack_current(cpu);

		sys_push(cpu, &st, *error, wide ? 4 : 2);
		sys_set_sp(cpu, st.sp, st.mask);
	}
	if (img.trap)
		raise_task_trap(cpu);
}

void sys_task_gate(struct soft_cpu *cpu, uint64_t gate_raw, enum sys_task_reason why,
		   uint64_t next_ip, const uint32_t *error)
{
	uint16_t sel = (uint16_t)(gate_raw >> 16);
	struct sys_desc d;

	if ((sel & 4) || !sys_desc_fetch(cpu, sel, &d) || !desc_system(&d) ||
	    (desc_type(&d) != DESC_TSS16 && desc_type(&d) != DESC_TSS32))
		soft_raise_err(cpu, VEC_GP, sel_err(sel));
	if (!desc_present(&d))
		soft_raise_err(cpu, VEC_NP, sel_err(sel));
	sys_task_switch(cpu, sel, &d, why, next_ip, error);
}

void sys_task_return(struct soft_cpu *cpu, uint64_t next_ip)
{
	uint16_t sel = (uint16_t)tss_ld(cpu, cpu->s.tr.base, 0, 2);
	struct sys_desc d;

	if ((sel & 4) || sel_null(sel) || !sys_desc_fetch(cpu, sel, &d) || !desc_system(&d) ||
	    (desc_type(&d) != DESC_TSS16_BUSY && desc_type(&d) != DESC_TSS32_BUSY))
		soft_raise_err(cpu, VEC_TS, sel_err(sel));
	if (!desc_present(&d))
		soft_raise_err(cpu, VEC_NP, sel_err(sel));
	sys_task_switch(cpu, sel, &d, TASK_IRET, next_ip, NULL);
}
