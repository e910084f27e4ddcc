// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * RDMSR, WRMSR and every model-specific register the CPU owns. Those of the local APIC go to the
 * machine.
 * Source: Intel SDM vol. 4; AMD APM vol. 2 appendix A; MTRRs and PAT: SDM 3A §11.11, §11.12.
 * Threads: the vCPU's own.
 */
#include <stddef.h>

#include "base/range.h"
#include "engine/soft/sys_int.h"
#include "x86/msr.h"

enum msr_kind {
	MSR_STATE,  /* a field of x86_state; writes outside `bits` are #GP */
	MSR_CANON,  /* a field that must be canonical */
	MSR_CONST,  /* reads `bits`; writes are #GP */
	MSR_IGNORE, /* reads `bits`; writes vanish */
	MSR_FN,	    /* functions */
};

enum msr_vendor { ANY, AMD, INTEL };

struct msr_desc {
	uint32_t index;
	uint16_t count; /* consecutive registers of the same kind; 0 = 1 */
	uint8_t kind, vendor;
	uint16_t feature; /* enum x86_feature it needs */
	uint16_t offset;  /* in x86_state */
	uint64_t bits;
	uint64_t (*read)(struct soft_cpu *cpu);
	bool (*write)(struct soft_cpu *cpu, uint64_t val); /* false: #GP */
};

/* ---- Time ----------------------------------------------------------------------------------- */

static uint64_t host_tsc(void)
{
	uint32_t lo, hi;

	/* Not before what the guest did before: nobody may see it go backwards. */
	__asm__ volatile("lfence\n\trdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}

uint64_t sys_tsc(const struct soft_cpu *cpu)
{
	return host_tsc() + cpu->s.tsc_offset;
}

static uint64_t read_tsc(struct soft_cpu *cpu)
{
	return sys_tsc(cpu);
}

/*
 * The guest's TSC jumps by `delta`: its APIC timer's deadline, if armed, means another moment now.
 * Other threads read the offset (partner: guest_tsc in the machine).
 */
static void move_tsc(struct soft_cpu *cpu, uint64_t delta)
{
	const struct engine_host *host = &cpu->e->cfg.host;
	uint64_t deadline = 0;

	__atomic_store_n(&cpu->s.tsc_offset, cpu->s.tsc_offset + delta, __ATOMIC_RELAXED);
	cpu->s.tsc_adjust += delta;
	soft_fpu_leave(cpu);
	if (host->apic_msr_read(host->opaque, cpu->index, MSR_TSC_DEADLINE, &deadline) == 0 &&
	    deadline)
		(void)host->apic_msr_write(host->opaque, cpu->index, MSR_TSC_DEADLINE, deadline);
}

/* Writing the TSC moves TSC_ADJUST with it (SDM 3B §17.17.3). */
static bool write_tsc(struct soft_cpu *cpu, uint64_t val)
{
	move_tsc(cpu, val - sys_tsc(cpu));
	return true;
}

static uint64_t read_tsc_adjust(struct soft_cpu *cpu)
{
	return cpu->s.tsc_adjust;
}

static bool write_tsc_adjust(struct soft_cpu *cpu, uint64_t val)
{
	move_tsc(cpu, val - cpu->s.tsc_adjust);
	return true;
}

/* ---- EFER, bases ---------------------------------------------------------------------------- */

static uint64_t read_efer(struct soft_cpu *cpu)
{
	return cpu->s.efer;
}

static bool write_efer(struct soft_cpu *cpu, uint64_t val)
{
	struct x86_state *s = &cpu->s;
	uint64_t allowed = EFER_LMA, changed = (val ^ s->efer) & ~(uint64_t)EFER_LMA;

	if (sys_has(cpu, X86_FEAT_SYSCALL))
		allowed |= EFER_SCE;
	if (sys_has(cpu, X86_FEAT_LM))
		allowed |= EFER_LME;
	if (sys_has(cpu, X86_FEAT_NX))
		allowed |= EFER_NXE;
	if (sys_has(cpu, X86_FEAT_FXSR_OPT))
		allowed |= EFER_FFXSR;
	if (sys_has(cpu, X86_FEAT_AUTOIBRS))
		allowed |= EFER_AUTOIBRS;
	if (val & ~allowed)
		return false;
	if ((changed & EFER_LME) && (s->cr0 & CR0_PG))
		return false;
	s->efer = (val & ~(uint64_t)EFER_LMA) | (s->efer & EFER_LMA);
	if (changed & EFER_NXE)
		soft_tlb_flush(cpu);
	soft_mode_changed(cpu);
	return true;
}

static bool write_seg_base(struct soft_cpu *cpu, unsigned seg, uint64_t val)
{
	if (!sys_canonical(val))
		return false;
	cpu->s.seg[seg].base = val;
	cpu->segbase[seg] = val;
	return true;
}

static uint64_t read_fs_base(struct soft_cpu *cpu)
{
	return cpu->s.seg[SEG_FS].base;
}

static bool write_fs_base(struct soft_cpu *cpu, uint64_t val)
{
	return write_seg_base(cpu, SEG_FS, val);
}

static uint64_t read_gs_base(struct soft_cpu *cpu)
{
	return cpu->s.seg[SEG_GS].base;
}

static bool write_gs_base(struct soft_cpu *cpu, uint64_t val)
{
	return write_seg_base(cpu, SEG_GS, val);
}

/* ---- Memory types --------------------------------------------------------------------------- */

static bool pat_type_ok(uint8_t t)
{
	return t < 8 && (1u << t & 0xf3); /* UC WC - - WT WP WB UC- */
}

static bool mtrr_type_ok(uint8_t t)
{
	return t < 7 && (1u << t & 0x73); /* UC WC - - WT WP WB */
}

static uint64_t read_pat(struct soft_cpu *cpu)
{
	return cpu->s.pat;
}

static bool write_pat(struct soft_cpu *cpu, uint64_t val)
{
	for (unsigned i = 0; i < 8; i++) {
		if (!pat_type_ok((uint8_t)(val >> (8 * i))))
			return false;
	}
	cpu->s.pat = val;
	return true;
}

static uint64_t read_mtrr_def(struct soft_cpu *cpu)
{
	return cpu->s.mtrr_def_type;
}

static bool write_mtrr_def(struct soft_cpu *cpu, uint64_t val)
{
	if ((val & ~0xcffull) || !mtrr_type_ok((uint8_t)val))
		return false;
	cpu->s.mtrr_def_type = val;
	return true;
}

/* Slot in mtrr_fixed[], or -1. */
static int mtrr_fixed_slot(uint32_t msr)
{
	if (msr == MSR_MTRR_FIX_64K)
		return 0;
	if (msr == MSR_MTRR_FIX_16K_80000 || msr == MSR_MTRR_FIX_16K_A0000)
		return (int)(1 + msr - MSR_MTRR_FIX_16K_80000);
	if (msr >= MSR_MTRR_FIX_4K && msr < MSR_MTRR_FIX_4K + 8)
		return (int)(3 + msr - MSR_MTRR_FIX_4K);
	return -1;
}

static uint64_t *mtrr_var_reg(struct soft_cpu *cpu, uint32_t msr)
{
	uint32_t n = msr - MSR_MTRR_VAR;

	if (n >= 2 * X86_MTRR_VAR)
		return NULL;
	return n & 1 ? &cpu->s.mtrr_var[n / 2].mask : &cpu->s.mtrr_var[n / 2].base;
}

static bool mtrr_write(struct soft_cpu *cpu, uint32_t msr, uint64_t val)
{
	uint64_t *var = mtrr_var_reg(cpu, msr);
	int slot = mtrr_fixed_slot(msr);

	if (slot >= 0) {
		for (unsigned i = 0; i < 8; i++) {
			if (!mtrr_type_ok((uint8_t)(val >> (8 * i))))
				return false;
		}
		cpu->s.mtrr_fixed[slot] = val;
		return true;
	}
	if (val >> cpu->e->cfg.cpuid->phys_bits)
		return false;
	if (msr & 1 ? (val & 0x7ff) != 0 : (val & 0xf00) != 0 || !mtrr_type_ok((uint8_t)val))
		return false;
	*var = val;
	return true;
}

/* ---- Others --------------------------------------------------------------------------------- */

static uint64_t read_arch_caps(struct soft_cpu *cpu)
{
	return cpu->e->cfg.cpuid->arch_caps;
}

static bool write_refused(struct soft_cpu *cpu, uint64_t val)
{
	(void)cpu;
	(void)val;
	return false;
}

static uint64_t read_ucode_rev(struct soft_cpu *cpu)
{
	return sys_amd(cpu) ? 0x01000065 : 1ull << 32;
}

static bool write_ignored(struct soft_cpu *cpu, uint64_t val)
{
	(void)cpu;
	(void)val;
	return true;
}

static uint64_t read_tsc_aux(struct soft_cpu *cpu)
{
	return cpu->s.tsc_aux;
}

static bool write_tsc_aux(struct soft_cpu *cpu, uint64_t val)
{
	if (val >> 32)
		return false;
	cpu->s.tsc_aux = val;
	return true;
}

/* TscFreqSel: the TSC counts at the P0 frequency, as CPUID's invariant TSC promises. */
static uint64_t read_hwcr(struct soft_cpu *cpu)
{
	return cpu->s.hwcr | HWCR_TSC_FREQ_SEL;
}

static bool write_hwcr(struct soft_cpu *cpu, uint64_t val)
{
	cpu->s.hwcr = val;
	return true;
}

#define FIELD(f) .offset = offsetof(struct x86_state, f)
#define FN(r, w) .kind = MSR_FN, .read = (r), .write = (w)
#define ZERO .kind = MSR_IGNORE

static const struct msr_desc msrs[] = {
	/* What a context switch writes. */
	{MSR_FS_BASE, FN(read_fs_base, write_fs_base), .feature = X86_FEAT_LM},
	{MSR_GS_BASE, FN(read_gs_base, write_gs_base), .feature = X86_FEAT_LM},
	{MSR_KERNEL_GS_BASE, .kind = MSR_CANON, FIELD(kernel_gs_base), .feature = X86_FEAT_LM},

	{MSR_P5_MC_ADDR, .count = 2, ZERO},
	{MSR_TSC, FN(read_tsc, write_tsc)},
	{MSR_PLATFORM_ID, .kind = MSR_CONST, .vendor = INTEL},
	{MSR_EBL_CR_POWERON, ZERO, .vendor = INTEL},
	{MSR_FEATURE_CONTROL, .kind = MSR_CONST, .vendor = INTEL, .bits = 1}, /* locked */
	{MSR_TSC_ADJUST, FN(read_tsc_adjust, write_tsc_adjust), .feature = X86_FEAT_TSC_ADJUST},
	{MSR_SPEC_CTRL, .kind = MSR_STATE, FIELD(spec_ctrl), .bits = 7,
	 .feature = X86_FEAT_ARCH_CAPABILITIES},
	{MSR_PRED_CMD, ZERO, .feature = X86_FEAT_ARCH_CAPABILITIES},
	{MSR_UCODE_WRITE, ZERO},
	{MSR_UCODE_REV, FN(read_ucode_rev, write_ignored)},
	{MSR_PLATFORM_INFO, ZERO, .vendor = INTEL},
	{MSR_MTRR_CAP, .kind = MSR_CONST, .bits = X86_MTRR_VAR | MTRR_CAP_FIX | MTRR_CAP_WC,
	 .feature = X86_FEAT_MTRR},
	{MSR_ARCH_CAPABILITIES, FN(read_arch_caps, write_refused),
	 .feature = X86_FEAT_ARCH_CAPABILITIES},
	{MSR_BBL_CR_CTL3, .kind = MSR_IGNORE, .vendor = INTEL, .bits = 0xbe702111},
	{MSR_SYSENTER_CS, .kind = MSR_STATE, FIELD(sysenter_cs), .bits = 0xffffffff,
	 .feature = X86_FEAT_SEP},
	{MSR_SYSENTER_ESP, .kind = MSR_CANON, FIELD(sysenter_esp), .feature = X86_FEAT_SEP},
	{MSR_SYSENTER_EIP, .kind = MSR_CANON, FIELD(sysenter_eip), .feature = X86_FEAT_SEP},
	{MSR_MCG_CAP, .kind = MSR_CONST, .bits = X86_MC_BANKS | MCG_CAP_CTL_P | MCG_CAP_SER_P,
	 .feature = X86_FEAT_MCA},
	{MSR_MCG_STATUS, .kind = MSR_STATE, FIELD(mcg_status), .bits = 7, .feature = X86_FEAT_MCA},
	{MSR_MCG_CTL, .kind = MSR_STATE, FIELD(mcg_ctl), .bits = ~0ull, .feature = X86_FEAT_MCA},
	{MSR_PERF_STATUS, .count = 2, ZERO, .vendor = INTEL},
	{MSR_MISC_ENABLE, .kind = MSR_STATE, FIELD(misc_enable), .bits = ~0ull},
	{MSR_DEBUGCTL, .kind = MSR_STATE, FIELD(debugctl), .bits = 0x3f},
	{MSR_LAST_BRANCH_FROM, .count = 4, ZERO},
	{MSR_PAT, FN(read_pat, write_pat), .feature = X86_FEAT_PAT},
	{MSR_MTRR_DEF_TYPE, FN(read_mtrr_def, write_mtrr_def), .feature = X86_FEAT_MTRR},
	{MSR_EFER, FN(read_efer, write_efer)},
	{MSR_STAR, .kind = MSR_STATE, FIELD(star), .bits = ~0ull, .feature = X86_FEAT_SYSCALL},
	{MSR_LSTAR, .kind = MSR_CANON, FIELD(lstar), .feature = X86_FEAT_LM},
	{MSR_CSTAR, .kind = MSR_CANON, FIELD(cstar), .feature = X86_FEAT_LM},
	{MSR_SFMASK, .kind = MSR_STATE, FIELD(sfmask), .bits = 0xffffffff, .feature = X86_FEAT_LM},
	{MSR_TSC_AUX, FN(read_tsc_aux, write_tsc_aux), .feature = X86_FEAT_RDTSCP},

	{MSR_K7_EVNTSEL, .count = 8, ZERO, .vendor = AMD},
	{MSR_K8_SYSCFG, .kind = MSR_STATE, FIELD(syscfg), .vendor = AMD, .bits = 0x7fffff},
	{MSR_K7_HWCR, FN(read_hwcr, write_hwcr), .vendor = AMD},
	{MSR_K8_IORR, .count = 4, ZERO, .vendor = AMD},
	{MSR_K8_TOP_MEM, ZERO, .vendor = AMD},
	{MSR_K8_TOP_MEM2, ZERO, .vendor = AMD},
	{MSR_K8_NB_CFG, ZERO, .vendor = AMD},
	{MSR_K8_PATCH_LOADER, ZERO, .vendor = AMD},
	{MSR_K8_INT_PENDING, ZERO, .vendor = AMD},
	{MSR_MMIO_CONF_BASE, ZERO, .vendor = AMD},
	{MSR_PSTATE_LIMIT, .count = 11, ZERO, .vendor = AMD},
	{MSR_K8_TSEG_ADDR, .count = 2, ZERO, .vendor = AMD},
	{MSR_VM_CR, .kind = MSR_IGNORE, .vendor = AMD, .bits = VM_CR_LOCK | VM_CR_SVMDIS},
	{MSR_OSVW_ID_LENGTH, .count = 2, ZERO, .vendor = AMD},
	{MSR_LS_CFG, .count = 4, ZERO, .vendor = AMD},
	{MSR_DE_CFG, .kind = MSR_IGNORE, .vendor = AMD, .bits = DE_CFG_LFENCE_SERIALIZING},
	{MSR_BU_CFG2, .count = 2, ZERO, .vendor = AMD},
};

static const struct msr_desc *msr_find(struct soft_cpu *cpu, uint32_t msr)
{
	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++) {
		const struct msr_desc *m = &msrs[i];
		unsigned count = m->count ? m->count : 1;

		if (msr - m->index >= count)
			continue;
		if (m->vendor != ANY && (m->vendor == AMD) != sys_amd(cpu))
			return NULL;
		if (m->feature != X86_FEAT_NONE && !sys_has(cpu, (enum x86_feature)m->feature))
			return NULL;
		return m;
	}
	return NULL;
}

static bool apic_owned(uint32_t msr)
{
	return msr == MSR_APIC_BASE || msr == MSR_TSC_DEADLINE ||
	       (msr >= MSR_X2APIC && msr <= MSR_X2APIC_LAST);
}

static bool is_mtrr(struct soft_cpu *cpu, uint32_t msr)
{
	return sys_has(cpu, X86_FEAT_MTRR) &&
	       (mtrr_fixed_slot(msr) >= 0 || mtrr_var_reg(cpu, msr) != NULL);
}

static bool is_mc_bank(struct soft_cpu *cpu, uint32_t msr)
{
	return sys_has(cpu, X86_FEAT_MCA) && msr - MSR_MC_BANKS < 4 * X86_MC_BANKS;
}

static uint64_t *msr_field(struct soft_cpu *cpu, const struct msr_desc *m)
{
	return (uint64_t *)(void *)((uint8_t *)&cpu->s + m->offset);
}

bool sys_rdmsr(struct soft_cpu *cpu, uint32_t msr, uint64_t *val)
{
	const struct engine_host *host = &cpu->e->cfg.host;
	const struct msr_desc *m;

	if (apic_owned(msr)) {
		enum soft_aside simd = soft_fpu_aside(cpu);
		int r = host->apic_msr_read(host->opaque, cpu->index, msr, val);

		soft_fpu_back(cpu, simd);
		return r == 0;
	}
	if (is_mtrr(cpu, msr)) {
		int slot = mtrr_fixed_slot(msr);

		*val = slot >= 0 ? cpu->s.mtrr_fixed[slot] : *mtrr_var_reg(cpu, msr);
		return true;
	}
	if (is_mc_bank(cpu, msr)) {
		*val = msr & 3 ? 0 : ~0ull; /* every error source enabled, none seen */
		return true;
	}
	m = msr_find(cpu, msr);
	if (!m)
		return false;
	if (m->kind == MSR_FN)
		*val = m->read(cpu);
	else
		*val = m->kind <= MSR_CANON ? *msr_field(cpu, m) : m->bits;
	return true;
}

static bool table_write(struct soft_cpu *cpu, const struct msr_desc *m, uint64_t val)
{
	switch (m->kind) {
	case MSR_STATE:
		if (val & ~m->bits)
			return false;
		*msr_field(cpu, m) = val;
		return true;
	case MSR_CANON:
		if (!sys_canonical(val))
			return false;
		*msr_field(cpu, m) = val;
		return true;
	case MSR_IGNORE:
		return true;
	case MSR_FN:
		return m->write(cpu, val);
	default:
		return false;
	}
}

bool sys_wrmsr(struct soft_cpu *cpu, uint32_t msr, uint64_t val)
{
	const struct engine_host *host = &cpu->e->cfg.host;
	const struct msr_desc *m;

	if (apic_owned(msr)) {
		enum soft_aside simd = soft_fpu_aside(cpu);
		int r = host->apic_msr_write(host->opaque, cpu->index, msr, val);

		soft_fpu_back(cpu, simd);
		return r == 0;
	}
	if (is_mtrr(cpu, msr))
		return mtrr_write(cpu, msr, val);
	if (is_mc_bank(cpu, msr)) /* status registers take 0 only */
		return !(msr & 3) || val == 0;
	m = msr_find(cpu, msr);
	return m && table_write(cpu, m, val);
}

static void trace_msr(struct soft_cpu *cpu, const char *what, uint32_t msr, uint64_t val)
{
	if (!log_on(LOG_UNIMP))
		return;
	soft_fpu_leave(cpu);
	log_print("cpu%u: %s of MSR %08x refused (value %016llx) at %016llx\n", cpu->index, what,
		  msr, (unsigned long long)val, (unsigned long long)cpu->s.rip);
}

void sys_rdmsr_op(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint32_t msr = (uint32_t)cpu->s.gpr[R_RCX];
	uint64_t val = 0;

	(void)op;
	sys_need_cpl0(cpu);
	if (!sys_rdmsr(cpu, msr, &val)) {
		trace_msr(cpu, "read", msr, 0);
		soft_raise_err(cpu, VEC_GP, 0);
	}
	cpu->s.gpr[R_RAX] = (uint32_t)val;
	cpu->s.gpr[R_RDX] = val >> 32;
}

void sys_wrmsr_op(struct soft_cpu *cpu, const struct soft_op *op)
{
	uint32_t msr = (uint32_t)cpu->s.gpr[R_RCX];
	uint64_t val = (uint32_t)cpu->s.gpr[R_RAX] | cpu->s.gpr[R_RDX] << 32;

	(void)op;
	sys_need_cpl0(cpu);
	if (!sys_wrmsr(cpu, msr, val)) {
		trace_msr(cpu, "write", msr, val);
		soft_raise_err(cpu, VEC_GP, 0);
	}
}
