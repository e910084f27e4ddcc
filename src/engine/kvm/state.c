// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * struct x86_state and KVM's structures: the same state in two forms. No system calls.
 * Source: Linux, Documentation/virt/kvm/api.rst (KVM_SET_REGS … KVM_SET_VCPU_EVENTS); Intel SDM
 * vol. 1 ch. 13 (XSAVE), vol. 3A §2.
 * Threads: no shared state.
 */
#include <stddef.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"
#include "engine/kvm/kvm_int.h"
#include "x86/msr.h"

/* ---- Segments ------------------------------------------------------------------------------- */

static struct kvm_segment segment_out(const struct x86_seg *s)
{
	return (struct kvm_segment){
		.base = s->base,
		.limit = s->limit,
		.selector = s->sel,
		.type = s->attr & SEG_ATTR_TYPE,
		.s = !!(s->attr & SEG_ATTR_S),
		.dpl = s->attr >> SEG_ATTR_DPL_SHIFT & 3,
		.present = !!(s->attr & SEG_ATTR_P),
		.avl = !!(s->attr & SEG_ATTR_AVL),
		.l = !!(s->attr & SEG_ATTR_L),
		.db = !!(s->attr & SEG_ATTR_DB),
		.g = !!(s->attr & SEG_ATTR_G),
		.unusable = s->unusable,
	};
}

static struct x86_seg segment_in(const struct kvm_segment *k)
{
	unsigned attr = k->type & SEG_ATTR_TYPE;

	attr |= k->s ? SEG_ATTR_S : 0;
	attr |= (k->dpl & 3u) << SEG_ATTR_DPL_SHIFT;
	attr |= k->present ? SEG_ATTR_P : 0;
	attr |= k->avl ? SEG_ATTR_AVL : 0;
	attr |= k->l ? SEG_ATTR_L : 0;
	attr |= k->db ? SEG_ATTR_DB : 0;
	attr |= k->g ? SEG_ATTR_G : 0;
	return (struct x86_seg){.base = k->base,
				.limit = k->limit,
				.sel = k->selector,
				.attr = (uint16_t)attr,
				.unusable = k->unusable};
}

static void sregs_out(struct kvm_sregs2 *k, const struct x86_state *s)
{
	struct kvm_segment *const to[SEG_COUNT] = {
		[SEG_ES] = &k->es, [SEG_CS] = &k->cs, [SEG_SS] = &k->ss,
		[SEG_DS] = &k->ds, [SEG_FS] = &k->fs, [SEG_GS] = &k->gs,
	};

	for (unsigned i = 0; i < SEG_COUNT; i++)
		*to[i] = segment_out(&s->seg[i]);
	k->ldt = segment_out(&s->ldtr);
	k->tr = segment_out(&s->tr);
	k->gdt = (struct kvm_dtable){.base = s->gdtr.base, .limit = s->gdtr.limit};
	k->idt = (struct kvm_dtable){.base = s->idtr.base, .limit = s->idtr.limit};
	k->cr0 = s->cr0;
	k->cr2 = s->cr2;
	k->cr3 = s->cr3;
	k->cr4 = s->cr4;
	k->efer = s->efer;
	if ((s->cr0 & CR0_PG) && (s->cr4 & CR4_PAE) && !(s->efer & EFER_LMA)) {
		k->flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
		memcpy(k->pdptrs, s->pdpte, sizeof(k->pdptrs));
	}
}

static void sregs_in(struct x86_state *s, const struct kvm_sregs2 *k)
{
	const struct kvm_segment *const from[SEG_COUNT] = {
		[SEG_ES] = &k->es, [SEG_CS] = &k->cs, [SEG_SS] = &k->ss,
		[SEG_DS] = &k->ds, [SEG_FS] = &k->fs, [SEG_GS] = &k->gs,
	};

	for (unsigned i = 0; i < SEG_COUNT; i++)
		s->seg[i] = segment_in(from[i]);
	s->ldtr = segment_in(&k->ldt);
	s->tr = segment_in(&k->tr);
	s->gdtr = (struct x86_dtable){.base = k->gdt.base, .limit = k->gdt.limit};
	s->idtr = (struct x86_dtable){.base = k->idt.base, .limit = k->idt.limit};
	s->cr0 = k->cr0;
	s->cr2 = k->cr2;
	s->cr3 = k->cr3;
	s->cr4 = k->cr4;
	s->efer = k->efer;
	if (k->flags & KVM_SREGS2_FLAGS_PDPTRS_VALID)
		memcpy(s->pdpte, k->pdptrs, sizeof(s->pdpte));
}

/* ---- General registers ---------------------------------------------------------------------- */

/* struct kvm_regs has them in an order of its own: rax rbx rcx rdx rsi rdi rsp rbp r8 … */
static const uint8_t kvm_gpr[16] = {R_RAX, R_RBX, R_RCX, R_RDX, R_RSI, R_RDI, R_RSP, R_RBP,
				    R_R8,  R_R9,  R_R10, R_R11, R_R12, R_R13, R_R14, R_R15};

_Static_assert(offsetof(struct kvm_regs, r15) == 15 * sizeof(uint64_t), "sixteen in a row");

static void regs_out(struct kvm_regs *k, const struct x86_state *s)
{
	__u64 *r = &k->rax;

	for (unsigned i = 0; i < 16; i++)
		r[i] = s->gpr[kvm_gpr[i]];
	k->rip = s->rip;
	k->rflags = s->rflags;
}

static void regs_in(struct x86_state *s, const struct kvm_regs *k)
{
	const __u64 *r = &k->rax;

	for (unsigned i = 0; i < 16; i++)
		s->gpr[kvm_gpr[i]] = r[i];
	s->rip = k->rip;
	s->rflags = k->rflags;
}

/* ---- x87, SSE, AVX --------------------------------------------------------------------------- */

enum { FX_MXCSR = 24, FX_ST = 32, FX_XMM = 160, XS_BV = 512, XS_YMM = 576 };
enum { X87_INIT_FCW = 0x37f };

/* What XSTATE_BV says is in its initial state is written out, so that all of it can be named. */
static void xsave_out(struct kvm_xsave *k, const struct x86_state *s, uint64_t xcr0)
{
	uint64_t bv = ld_le64(s->xsave + XS_BV);
	uint8_t *x = (uint8_t *)k->region;

	memset(k, 0, sizeof(*k));
	if (bv & 1) {
		memcpy(x, s->xsave, FX_MXCSR);
		memcpy(x + FX_ST, s->xsave + FX_ST, FX_XMM - FX_ST);
	} else {
		st_le16(x, X87_INIT_FCW);
	}
	st_le32(x + FX_MXCSR, ld_le32(s->xsave + FX_MXCSR));
	if (bv & 2)
		memcpy(x + FX_XMM, s->xsave + FX_XMM, 256);
	if (bv & 4 & xcr0)
		memcpy(x + XS_YMM, s->xsave + XS_YMM, 256);
	st_le64(x + XS_BV, 3 | (xcr0 & 4));
}

static void xsave_in(struct x86_state *s, const struct kvm_xsave *k)
{
	const uint8_t *x = (const uint8_t *)k->region;

	memset(s->xsave, 0, sizeof(s->xsave));
	memcpy(s->xsave, x, 416);
	memset(s->xsave + FX_MXCSR + 4, 0, 4); /* the mask is the processor's */
	st_le64(s->xsave + XS_BV, ld_le64(x + XS_BV) & 7);
	if (ld_le64(x + XS_BV) & 4)
		memcpy(s->xsave + XS_YMM, x + XS_YMM, 256);
}

/* ---- MSRs ----------------------------------------------------------------------------------- */

#define FIELD(f) offsetof(struct x86_state, f)

static const struct {
	uint32_t index;
	uint32_t offset;
} msr_fields[] = {
	{MSR_STAR, FIELD(star)},
	{MSR_LSTAR, FIELD(lstar)},
	{MSR_CSTAR, FIELD(cstar)},
	{MSR_SFMASK, FIELD(sfmask)},
	{MSR_KERNEL_GS_BASE, FIELD(kernel_gs_base)},
	{MSR_SYSENTER_CS, FIELD(sysenter_cs)},
	{MSR_SYSENTER_ESP, FIELD(sysenter_esp)},
	{MSR_SYSENTER_EIP, FIELD(sysenter_eip)},
	{MSR_TSC_AUX, FIELD(tsc_aux)},
	{MSR_PAT, FIELD(pat)},
	{MSR_MISC_ENABLE, FIELD(misc_enable)},
	{MSR_DEBUGCTL, FIELD(debugctl)},
	{MSR_SPEC_CTRL, FIELD(spec_ctrl)},
	{MSR_MCG_STATUS, FIELD(mcg_status)},
	{MSR_MCG_CTL, FIELD(mcg_ctl)},
	{MSR_TSC_ADJUST, FIELD(tsc_adjust)},
	{MSR_K7_HWCR, FIELD(hwcr)},
	{MSR_K8_SYSCFG, FIELD(syscfg)},
	{MSR_MTRR_DEF_TYPE, FIELD(mtrr_def_type)},
	{MSR_MTRR_FIX_64K, FIELD(mtrr_fixed[0])},
	{MSR_MTRR_FIX_16K_80000, FIELD(mtrr_fixed[1])},
	{MSR_MTRR_FIX_16K_A0000, FIELD(mtrr_fixed[2])},
	{MSR_MTRR_FIX_4K + 0, FIELD(mtrr_fixed[3])},
	{MSR_MTRR_FIX_4K + 1, FIELD(mtrr_fixed[4])},
	{MSR_MTRR_FIX_4K + 2, FIELD(mtrr_fixed[5])},
	{MSR_MTRR_FIX_4K + 3, FIELD(mtrr_fixed[6])},
	{MSR_MTRR_FIX_4K + 4, FIELD(mtrr_fixed[7])},
	{MSR_MTRR_FIX_4K + 5, FIELD(mtrr_fixed[8])},
	{MSR_MTRR_FIX_4K + 6, FIELD(mtrr_fixed[9])},
	{MSR_MTRR_FIX_4K + 7, FIELD(mtrr_fixed[10])},
#define VAR(n)                                                      \
	{MSR_MTRR_VAR + 2 * (n), FIELD(mtrr_var[n].base)},          \
	{                                                           \
		MSR_MTRR_VAR + 2 * (n) + 1, FIELD(mtrr_var[n].mask) \
	}
	VAR(0),
	VAR(1),
	VAR(2),
	VAR(3),
	VAR(4),
	VAR(5),
	VAR(6),
	VAR(7),
#undef VAR
	{MSR_PV_WALL_CLOCK, FIELD(pv.wall_clock)},
	{MSR_PV_SYSTEM_TIME, FIELD(pv.system_time)},
	{MSR_PV_STEAL_TIME, FIELD(pv.steal_time)},
	{MSR_PV_EOI, FIELD(pv.eoi)},
	{MSR_PV_POLL_CONTROL, FIELD(pv.poll_control)},
	/* Who the guest is, before what needs that. */
	{MSR_HV_GUEST_OS_ID, FIELD(hv.guest_os_id)},
	{MSR_HV_HYPERCALL, FIELD(hv.hypercall)},
	{MSR_HV_REFERENCE_TSC, FIELD(hv.reference_tsc)},
	{MSR_HV_RUNTIME, FIELD(hv.runtime)},
	{MSR_HV_APIC_ASSIST, FIELD(hv.apic_assist)},
	{MSR_HV_SCONTROL, FIELD(hv.scontrol)},
	{MSR_HV_SIEFP, FIELD(hv.siefp)},
	{MSR_HV_SIMP, FIELD(hv.simp)},
#define SINT(n)                                      \
	{                                            \
		MSR_HV_SINT + (n), FIELD(hv.sint[n]) \
	}
	SINT(0),
	SINT(1),
	SINT(2),
	SINT(3),
	SINT(4),
	SINT(5),
	SINT(6),
	SINT(7),
	SINT(8),
	SINT(9),
	SINT(10),
	SINT(11),
	SINT(12),
	SINT(13),
	SINT(14),
	SINT(15),
#undef SINT
#define STIMER(n)                                        \
	{                                                \
		MSR_HV_STIMER + (n), FIELD(hv.stimer[n]) \
	}
	STIMER(0),
	STIMER(1),
	STIMER(2),
	STIMER(3),
	STIMER(4),
	STIMER(5),
	STIMER(6),
	STIMER(7),
#undef STIMER
};

_Static_assert(ARRAY_SIZE(msr_fields) <= KVM_MSRS_MAX, "all have a place");

unsigned kvm_msr_count(void)
{
	return ARRAY_SIZE(msr_fields);
}

uint32_t kvm_msr_index(unsigned i)
{
	return msr_fields[i].index;
}

static void msrs_out(uint64_t *msr, const struct x86_state *s)
{
	for (unsigned i = 0; i < ARRAY_SIZE(msr_fields); i++)
		memcpy(&msr[i], (const uint8_t *)s + msr_fields[i].offset, sizeof(msr[i]));
}

static void msrs_in(struct x86_state *s, const uint64_t *msr)
{
	for (unsigned i = 0; i < ARRAY_SIZE(msr_fields); i++)
		memcpy((uint8_t *)s + msr_fields[i].offset, &msr[i], sizeof(msr[i]));
}

/* ---- The rest -------------------------------------------------------------------------------- */

static void debug_out(struct kvm_debugregs *k, const struct x86_state *s)
{
	memcpy(k->db, s->dr, sizeof(k->db));
	k->dr6 = s->dr[6];
	k->dr7 = s->dr[7];
}

static void debug_in(struct x86_state *s, const struct kvm_debugregs *k)
{
	memset(s->dr, 0, sizeof(s->dr));
	memcpy(s->dr, k->db, sizeof(k->db));
	s->dr[6] = k->dr6;
	s->dr[7] = k->dr7;
}

static void events_out(struct kvm_vcpu_events *k, const struct x86_state *s)
{
	memset(k, 0, sizeof(*k));
	k->flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
	k->nmi.pending = s->nmi_pending;
	k->nmi.masked = s->nmi_blocked;
	k->interrupt.injected = s->irq_taken;
	k->interrupt.nr = s->irq_taken ? s->irq_vector : 0;
	if (s->int_shadow & X86_SHADOW_STI)
		k->interrupt.shadow |= KVM_X86_SHADOW_INT_STI;
	if (s->int_shadow & X86_SHADOW_SS)
		k->interrupt.shadow |= KVM_X86_SHADOW_INT_MOV_SS;
}

static void events_in(struct x86_state *s, const struct kvm_vcpu_events *k)
{
	s->nmi_pending = k->nmi.pending || k->nmi.injected;
	s->nmi_blocked = k->nmi.masked && !k->nmi.injected;
	/* INT n, and faults, come again by themselves: the instruction pointer is at their instruction. */
	s->irq_taken = k->interrupt.injected && !k->interrupt.soft;
	s->irq_vector = s->irq_taken ? k->interrupt.nr : 0;
	s->int_shadow = 0;
	if (k->interrupt.shadow & KVM_X86_SHADOW_INT_STI)
		s->int_shadow |= X86_SHADOW_STI;
	if (k->interrupt.shadow & KVM_X86_SHADOW_INT_MOV_SS)
		s->int_shadow |= X86_SHADOW_SS;
}

void kvm_image_of_state(struct kvm_image *im, const struct x86_state *s, uint64_t xcr0)
{
	memset(im, 0, sizeof(*im));
	regs_out(&im->regs, s);
	sregs_out(&im->sregs, s);
	xsave_out(&im->xsave, s, xcr0);
	im->xcrs.nr_xcrs = 1;
	im->xcrs.xcrs[0].value = s->xcr0;
	debug_out(&im->dr, s);
	events_out(&im->ev, s);
	msrs_out(im->msr, s);
}

void kvm_state_of_image(struct x86_state *s, const struct kvm_image *im)
{
	regs_in(s, &im->regs);
	sregs_in(s, &im->sregs);
	xsave_in(s, &im->xsave);
	if (im->xcrs.nr_xcrs)
		s->xcr0 = im->xcrs.xcrs[0].value;
	debug_in(s, &im->dr);
	events_in(s, &im->ev);
	msrs_in(s, im->msr);
}
