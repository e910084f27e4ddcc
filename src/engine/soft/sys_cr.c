// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Control registers, XCR0, and TLB invalidation.
 * Source: Intel SDM 3A §2.5, §2.6, §4.1 (paging modes), §4.4.1 (PDPTEs), §4.10.4 (invalidation),
 * §9.8.5 (entering IA-32e mode); vol. 2 MOV CR, LMSW, XSETBV, INVPCID.
 * Threads: the vCPU's own.
 *
 * More may be invalidated than asked for (SDM 3A §4.10.4.2): INVPCID of one address in a PCID that is
 * not the current one flushes that PCID.
 */
#include "engine/soft/sys_int.h"

#define CR0_KNOWN                                                                                  \
	(CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | \
	 CR0_PG)
#define CR3_NOFLUSH (1ull << 63)

/* ---- PDPTEs --------------------------------------------------------------------------------- */

static bool pae_paging(uint64_t cr0, uint64_t cr4, uint64_t efer)
{
	return (cr0 & CR0_PG) && (cr4 & CR4_PAE) && !(efer & EFER_LMA);
}

bool sys_load_pdptes(struct soft_cpu *cpu, uint64_t cr3)
{
	uint64_t reserved = ~((1ull << cpu->e->cfg.cpuid->phys_bits) - 1) | 0x1e6;
	uint64_t table[4];

	if (mem_read(cpu->e->mem, cr3 & 0xffffffe0, table, sizeof(table)) < 0)
		return false;
	for (unsigned i = 0; i < 4; i++) {
		if ((table[i] & 1) && (table[i] & reserved))
			return false;
	}
	for (unsigned i = 0; i < 4; i++)
		cpu->s.pdpte[i] = table[i];
	return true;
}

/* ---- CR0 ------------------------------------------------------------------------------------ */

static bool cr0_ok(const struct soft_cpu *cpu, uint64_t new, bool enable, bool disable)
{
	const struct x86_state *s = &cpu->s;

	if (new >> 32)
		return false;
	if ((new &CR0_PG) && !(new &CR0_PE))
		return false;
	if ((new &CR0_NW) && !(new &CR0_CD))
		return false;
	if (enable && (s->efer & EFER_LME) &&
	    (!(s->cr4 & CR4_PAE) || (s->seg[SEG_CS].attr & SEG_ATTR_L)))
		return false;
	if (disable && (soft_mode64(cpu) || (s->cr4 & CR4_PCIDE)))
		return false;
	return true;
}

static void set_cr0(struct soft_cpu *cpu, uint64_t new)
{
	struct x86_state *s = &cpu->s;
	uint64_t old = s->cr0, efer = s->efer;
	bool enable = (new & ~old &CR0_PG) != 0, disable = (old & ~new &CR0_PG) != 0;

	if (!cr0_ok(cpu, new, enable, disable))
		soft_raise_err(cpu, VEC_GP, 0);
	new = (new &CR0_KNOWN) | CR0_ET;
	if (enable && (efer & EFER_LME))
		efer |= EFER_LMA;
	if (disable)
		efer &= ~(uint64_t)EFER_LMA;
	if (pae_paging(new, s->cr4, efer) && ((new ^ old) & (CR0_PG | CR0_CD | CR0_NW)) &&
	    !sys_load_pdptes(cpu, s->cr3))
		soft_raise_err(cpu, VEC_GP, 0);
	s->cr0 = new;
	s->efer = efer;
	/* Without paging before and after, linear addresses stay what they are (BIOS calls change PE alone). */
	if (((new ^ old) & (CR0_PG | CR0_WP | CR0_PE)) && ((new | old) & CR0_PG))
		soft_tlb_flush(cpu);
	soft_mode_changed(cpu);
}

/* ---- CR3, CR4, CR8 -------------------------------------------------------------------------- */

static void set_cr3(struct soft_cpu *cpu, uint64_t new)
{
	struct x86_state *s = &cpu->s;
	bool pcids = sys_lma(cpu) && (s->cr4 & CR4_PCIDE), keep = pcids && (new &CR3_NOFLUSH);

	if (sys_lma(cpu)) {
		if (pcids)
			new &= ~CR3_NOFLUSH;
		if (new >> cpu->e->cfg.cpuid->phys_bits)
			soft_raise_err(cpu, VEC_GP, 0);
	} else if (pae_paging(s->cr0, s->cr4, s->efer) && !sys_load_pdptes(cpu, new)) {
		soft_raise_err(cpu, VEC_GP, 0);
	}
	s->cr3 = new;
	if (!pcids) {
		soft_tlb_flush_pcid(cpu, 0);
	} else {
		if (!keep)
			soft_tlb_flush_pcid(cpu, new & 0xfff);
		soft_tlb_switch(cpu);
	}
	soft_mode_changed(cpu);
}

/* Bits of CR4 and the feature that brings each. */
static const struct {
	uint32_t bits;
	enum x86_feature feature;
} cr4_bits[] = {
	{CR4_VME | CR4_PVI, X86_FEAT_VME},
	{CR4_TSD, X86_FEAT_TSC},
	{CR4_DE, X86_FEAT_DE},
	{CR4_PSE, X86_FEAT_PSE},
	{CR4_PAE, X86_FEAT_PAE},
	{CR4_MCE, X86_FEAT_MCE},
	{CR4_PGE, X86_FEAT_PGE},
	{CR4_PCE, X86_FEAT_NONE},
	{CR4_OSFXSR, X86_FEAT_FXSR},
	{CR4_OSXMMEXCPT, X86_FEAT_SSE},
	{CR4_UMIP, X86_FEAT_UMIP},
	{CR4_FSGSBASE, X86_FEAT_FSGSBASE},
	{CR4_PCIDE, X86_FEAT_PCID},
	{CR4_OSXSAVE, X86_FEAT_XSAVE},
	{CR4_SMEP, X86_FEAT_SMEP},
	{CR4_SMAP, X86_FEAT_SMAP},
};

static uint64_t cr4_allowed(const struct soft_cpu *cpu)
{
	uint64_t mask = 0;

	for (unsigned i = 0; i < sizeof(cr4_bits) / sizeof(cr4_bits[0]); i++) {
		if (cr4_bits[i].feature == X86_FEAT_NONE || sys_has(cpu, cr4_bits[i].feature))
			mask |= cr4_bits[i].bits;
	}
	return mask;
}

static void set_cr4(struct soft_cpu *cpu, uint64_t new)
{
	struct x86_state *s = &cpu->s;
	uint64_t changed = new ^ s->cr4;
	const uint64_t paging = CR4_PSE | CR4_PAE | CR4_PGE | CR4_PCIDE | CR4_SMEP | CR4_SMAP;

	if (new & ~cr4_allowed(cpu))
		soft_raise_err(cpu, VEC_GP, 0);
	if (sys_lma(cpu) && !(new &CR4_PAE))
		soft_raise_err(cpu, VEC_GP, 0);
	if ((changed & new &CR4_PCIDE) && (!sys_lma(cpu) || (s->cr3 & 0xfff)))
		soft_raise_err(cpu, VEC_GP, 0);
	if (pae_paging(s->cr0, new, s->efer) &&
	    (changed & (CR4_PAE | CR4_PSE | CR4_PGE | CR4_SMEP)) && !sys_load_pdptes(cpu, s->cr3))
		soft_raise_err(cpu, VEC_GP, 0);
	s->cr4 = new;
	if (changed & paging)
		soft_tlb_flush(cpu);
	soft_mode_changed(cpu);
}

static void set_cr8(struct soft_cpu *cpu, uint64_t val)
{
	const struct engine_host *host = &cpu->e->cfg.host;
	enum soft_aside simd;

	if (val > 15)
		soft_raise_err(cpu, VEC_GP, 0);
	simd = soft_fpu_aside(cpu);
	host->cr8_write(host->opaque, cpu->index, (uint8_t)val);
	soft_fpu_back(cpu, simd);
}

static void need_cr(struct soft_cpu *cpu, unsigned n)
{
	bool known = n == 0 || n == 2 || n == 3 || n == 4 || (n == 8 && soft_mode64(cpu));

	if (!known)
		soft_raise(cpu, VEC_UD);
	sys_need_cpl0(cpu);
}

void sys_mov_from_cr(struct soft_cpu *cpu, const struct soft_op *op)
{
	const struct engine_host *host = &cpu->e->cfg.host;
	const struct x86_state *s = &cpu->s;
	unsigned n = sys_reg(op, 1);
	uint64_t val;

	need_cr(cpu, n);
	if (n == 8) {
		enum soft_aside simd = soft_fpu_aside(cpu);

		val = host->cr8_read(host->opaque, cpu->index);
		soft_fpu_back(cpu, simd);
	} else {
		val = n == 0 ? s->cr0 : n == 2 ? s->cr2 : n == 3 ? s->cr3 : s->cr4;
	}
	sys_set_reg(cpu, sys_reg(op, 0), val, soft_mode64(cpu) ? 8 : 4);
}

void sys_mov_to_cr(struct soft_cpu *cpu, const struct soft_op *op)
{
	unsigned n = sys_reg(op, 0);
	uint64_t val = cpu->s.gpr[sys_reg(op, 1)];

	need_cr(cpu, n);
	if (!soft_mode64(cpu))
		val = (uint32_t)val;
	if (n == 0)
		set_cr0(cpu, val);
	else if (n == 2)
		cpu->s.cr2 = val;
	else if (n == 3)
		set_cr3(cpu, val);
	else if (n == 4)
		set_cr4(cpu, val);
	else
		set_cr8(cpu, val);
}

void sys_clts(struct soft_cpu *cpu, const struct soft_op *op)
{
	(void)op;
	sys_need_cpl0(cpu);
	cpu->s.cr0 &= ~(uint64_t)CR0_TS;
	soft_mode_changed(cpu);
}

/* Sets PE, never clears it. */
void sys_lmsw(struct soft_cpu *cpu, const struct soft_op *op)
{
	const uint64_t low = CR0_PE | CR0_MP | CR0_EM | CR0_TS;
	uint64_t val;

	sys_need_cpl0(cpu);
	val = sys_get_rm16(cpu, op, 0) & low;
	set_cr0(cpu, (cpu->s.cr0 & ~(low & ~(uint64_t)CR0_PE)) | val);
}

void sys_need_umip(struct soft_cpu *cpu)
{
	if ((cpu->s.cr4 & CR4_UMIP) && (cpu->s.cr0 & CR0_PE) && x86_cpl(&cpu->s) != 0)
		soft_raise_err(cpu, VEC_GP, 0);
}

void sys_smsw(struct soft_cpu *cpu, const struct soft_op *op)
{
	sys_need_umip(cpu);
	sys_put_rm16(cpu, op, 0, cpu->s.cr0);
}

/* ---- XCR0 ----------------------------------------------------------------------------------- */

static uint64_t xinuse(struct soft_cpu *cpu)
{
	uint64_t bv = 0;

	soft_fpu_leave(cpu);
	for (unsigned i = 0; i < 8; i++)
		bv |= (uint64_t)cpu->s.xsave[512 + i] << (8 * i);
	return bv & cpu->s.xcr0;
}

void sys_xgetbv(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint32_t index = (uint32_t)cpu->s.gpr[R_RCX];
	uint64_t val;

	(void)op;
	if (!(cpu->s.cr4 & CR4_OSXSAVE))
		soft_raise(cpu, VEC_UD);
	if (index > 1 || (index == 1 && !sys_has(cpu, X86_FEAT_XGETBV1)))
		soft_raise_err(cpu, VEC_GP, 0);
	val = index ? xinuse(cpu) : cpu->s.xcr0;
	cpu->s.gpr[R_RAX] = (uint32_t)val;
	cpu->s.gpr[R_RDX] = val >> 32;
}

void sys_xsetbv(struct soft_cpu *cpu, const struct soft_op *op)
{
	const uint64_t *gpr = cpu->s.gpr;
	uint64_t val = (uint32_t)gpr[R_RAX] | gpr[R_RDX] << 32;

	(void)op;
	if (!(cpu->s.cr4 & CR4_OSXSAVE))
		soft_raise(cpu, VEC_UD);
	sys_need_cpl0(cpu);
	if ((uint32_t)gpr[R_RCX] != 0 || (val & ~cpu->e->cfg.cpuid->xcr0_mask) || !(val & 1) ||
	    (val & 6) == 4) /* x87 always; AVX only with SSE */
		soft_raise_err(cpu, VEC_GP, 0);
	soft_fpu_leave(cpu);
	cpu->s.xcr0 = val;
	soft_mode_changed(cpu);
}

/* ---- Invalidation --------------------------------------------------------------------------- */

void sys_invlpg(struct soft_cpu *cpu, const struct soft_op *op)
{
	gva_t lin;

	sys_need_cpl0(cpu);
	lin = sys_wrap(cpu, cpu->segbase[op->seg] + soft_ea_off(cpu, op));
	if (!soft_mode64(cpu) || sys_canonical(lin))
		soft_tlb_invlpg(cpu, lin);
}

void sys_invpcid(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint64_t type = cpu->s.gpr[sys_reg(op, 0)], pcid, lin;
	gva_t at;
	bool bad;

	sys_need_cpl0(cpu);
	if (!soft_mode64(cpu))
		type = (uint32_t)type;
	at = soft_ea_lin(cpu, op, 16, false);
	pcid = soft_ld(cpu, at, 8);
	lin = soft_ld(cpu, sys_wrap(cpu, at + 8), 8);
	bad = type > 3 || (type < 2 && pcid > 0xfff) ||
	      (type < 2 && pcid != 0 && !(cpu->s.cr4 & CR4_PCIDE)) ||
	      (type == 0 && !sys_canonical(lin));
	if (bad)
		soft_raise_err(cpu, VEC_GP, 0);
	if (type == 0 && pcid == (cpu->s.cr4 & CR4_PCIDE ? cpu->s.cr3 & 0xfff : 0))
		soft_tlb_invlpg(cpu, lin);
	else if (type < 2)
		soft_tlb_flush_pcid(cpu, (unsigned)pcid);
	else if (type == 2)
		soft_tlb_flush(cpu);
	else
		soft_tlb_flush_all_pcids(cpu);
}
