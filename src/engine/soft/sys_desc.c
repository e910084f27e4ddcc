// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Descriptors and stacks: fetching, checking, accessed bits, pushes and pops on stacks that may not
 * be loaded yet.
 * Source: Intel SDM 3A §3.4.5 (descriptors), §5.3 (limits), §5.8.5 (stack switching).
 * Threads: the vCPU's own.
 */
#include "engine/soft/sys_int.h"

static void desc_unpack(struct sys_desc *d)
{
	uint64_t raw = d->raw;

	d->base = (raw >> 16 & 0xffffff) | (raw >> 32 & 0xff000000);
	d->limit = (uint32_t)((raw & 0xffff) | (raw >> 32 & 0xf0000));
	d->attr = (uint16_t)(raw >> 40 & 0xf0ff);
	if (d->attr & SEG_ATTR_G)
		d->limit = d->limit << 12 | 0xfff;
}

/* The table a selector points into and the linear address of its entry; false when outside. */
static bool desc_place(struct soft_cpu *cpu, uint16_t sel, unsigned size, gva_t *lin)
{
	struct x86_state *s = &cpu->s;
	uint32_t off = sel & 0xfff8u;
	uint64_t base = s->gdtr.base;
	uint32_t limit = s->gdtr.limit;

	if (sel & 4) {
		if (s->ldtr.unusable || sel_null(s->ldtr.sel))
			return false;
		base = s->ldtr.base;
		limit = s->ldtr.limit;
	}
	if (off + size - 1 > limit)
		return false;
	*lin = sys_lma(cpu) ? base + off : (uint32_t)(base + off);
	return true;
}

bool sys_desc_fetch(struct soft_cpu *cpu, uint16_t sel, struct sys_desc *d)
{
	if (!desc_place(cpu, sel, 8, &d->lin))
		return false;
	d->raw = soft_ld_sys(cpu, d->lin, 8);
	d->raw_hi = 0;
	desc_unpack(d);
	return true;
}

bool sys_desc_fetch16(struct soft_cpu *cpu, uint16_t sel, struct sys_desc *d)
{
	if (!desc_place(cpu, sel, 16, &d->lin))
		return false;
	d->raw = soft_ld_sys(cpu, d->lin, 8);
	d->raw_hi = soft_ld_sys(cpu, d->lin + 8, 8);
	desc_unpack(d);
	d->base |= d->raw_hi << 32;
	return true;
}

void sys_desc_need(struct soft_cpu *cpu, uint16_t sel, struct sys_desc *d, uint8_t vector)
{
	if (!sys_desc_fetch(cpu, sel, d))
		soft_raise_err(cpu, vector, sel_err(sel));
}

void sys_desc_set_type(struct soft_cpu *cpu, struct sys_desc *d, unsigned set, unsigned clear)
{
	soft_update_sys(cpu, d->lin + 5, (uint8_t)set, (uint8_t)clear);
	d->attr = (uint16_t)((d->attr | set) & ~clear);
}

struct x86_seg sys_seg_make(uint16_t sel, const struct sys_desc *d)
{
	return (struct x86_seg){.base = d->base, .limit = d->limit, .sel = sel, .attr = d->attr};
}

struct x86_seg sys_seg_null(uint16_t sel, unsigned dpl)
{
	return (struct x86_seg){.sel = sel,
				.attr = (uint16_t)(dpl << SEG_ATTR_DPL_SHIFT),
				.unusable = true};
}

struct x86_seg sys_seg_vm86(uint16_t sel)
{
	return (struct x86_seg){.base = (uint64_t)sel << 4,
				.limit = 0xffff,
				.sel = sel,
				.attr = 0xf3};
}

void sys_check_ip(struct soft_cpu *cpu, const struct sys_desc *d, uint64_t ip)
{
	bool ok = sys_code64(cpu, d) ? sys_canonical(ip) : ip <= d->limit;

	if (!ok)
		soft_raise_err(cpu, VEC_GP, 0);
}

void sys_set_cs(struct soft_cpu *cpu, uint16_t sel, const struct sys_desc *d, unsigned cpl)
{
	cpu->s.seg[SEG_CS] = sys_seg_make((uint16_t)((sel & 0xfffcu) | cpl), d);
}

/* Real mode changes base and selector only: limit and attributes are those last loaded. */
void sys_set_cs_real(struct soft_cpu *cpu, uint16_t sel)
{
	struct x86_seg *cs = &cpu->s.seg[SEG_CS];

	cs->sel = sel;
	cs->base = (uint64_t)sel << 4;
	cs->unusable = false;
}

/* ---- Stacks --------------------------------------------------------------------------------- */

struct sys_stack sys_stack_current(const struct soft_cpu *cpu)
{
	return (struct sys_stack){.seg = cpu->s.seg[SEG_SS],
				  .sp = cpu->s.gpr[R_RSP],
				  .mask = soft_sp_mask(cpu),
				  .flat64 = soft_mode64(cpu)};
}

static gva_t stack_lin(struct soft_cpu *cpu, const struct sys_stack *st, unsigned size)
{
	uint64_t off = st->sp & st->mask;

	if (st->flat64) {
		if (!sys_canonical(off) || !sys_canonical(off + size - 1))
			soft_raise_err(cpu, VEC_SS, st->error);
		return off;
	}
	if (st->seg.unusable || !soft_seg_holds(cpu, &st->seg, off, size))
		soft_raise_err(cpu, VEC_SS, st->error);
	return (uint32_t)(st->seg.base + off);
}

void sys_push(struct soft_cpu *cpu, struct sys_stack *st, uint64_t val, unsigned size)
{
	struct sys_stack next = *st;
	gva_t lin;

	next.sp = st->sp - size;
	lin = stack_lin(cpu, &next, size);
	/* A 64-bit stack is out of reach of what compatibility mode itself addresses. */
	if (st->super || (st->flat64 && !soft_mode64(cpu)))
		soft_st_sys(cpu, lin, val, size);
	else
		soft_st(cpu, lin, val, size);
	st->sp = next.sp;
}

uint64_t sys_pop(struct soft_cpu *cpu, struct sys_stack *st, unsigned size)
{
	uint64_t val = soft_ld(cpu, stack_lin(cpu, st, size), size);

	st->sp += size;
	return val;
}

void sys_set_sp(struct soft_cpu *cpu, uint64_t sp, uint64_t mask)
{
	uint64_t *rsp = &cpu->s.gpr[R_RSP];

	if (mask == 0xffff)
		*rsp = (*rsp & ~0xffffull) | (sp & 0xffff);
	else
		*rsp = sp & mask;
}

uint64_t sys_tss64_rsp(struct soft_cpu *cpu, unsigned offset)
{
	const struct x86_seg *tr = &cpu->s.tr;

	if (offset + 7 > tr->limit)
		soft_raise_err(cpu, VEC_TS, sel_err(tr->sel));
	return soft_ld_sys(cpu, tr->base + offset, 8);
}

static void inner_stack64(struct soft_cpu *cpu, unsigned cpl, struct sys_stack *st)
{
	st->sp = sys_tss64_rsp(cpu, 4 + 8 * cpl);
	st->seg = sys_seg_null((uint16_t)cpl, cpl);
	st->mask = ~0ull;
	st->flat64 = true;
}

void sys_inner_stack(struct soft_cpu *cpu, unsigned cpl, struct sys_stack *st)
{
	const struct x86_seg *tr = &cpu->s.tr;
	bool wide = (tr->attr & 8) != 0; /* a 32-bit TSS */
	unsigned at = wide ? 4 + 8 * cpl : 2 + 4 * cpl;
	struct sys_desc d;
	uint16_t sel;

	*st = (struct sys_stack){.super = true};
	if (sys_lma(cpu)) {
		inner_stack64(cpu, cpl, st);
		return;
	}
	if (at + (wide ? 5u : 3u) > tr->limit)
		soft_raise_err(cpu, VEC_TS, sel_err(tr->sel));
	st->sp = soft_ld_sys(cpu, (uint32_t)(tr->base + at), wide ? 4 : 2);
	sel = (uint16_t)soft_ld_sys(cpu, (uint32_t)(tr->base + at + (wide ? 4 : 2)), 2);
	sys_check_ss(cpu, sel, cpl, VEC_TS, &d);
	sys_desc_set_accessed(cpu, &d);
	st->seg = sys_seg_make(sel, &d);
	st->mask = d.attr & SEG_ATTR_DB ? 0xffffffffull : 0xffffull;
	st->error = sel_err(sel);
}
