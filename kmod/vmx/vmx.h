/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of the VT-x module share. Fields of the VMCS and bits of its controls have the kernel's names.
 *
 * Source: Intel SDM 3C ch. 24 (VMCS), appendix A (capabilities), appendix B (fields).
 */
#ifndef LODGE_VMX_H
#define LODGE_VMX_H

#include <linux/bug.h>
#include <linux/list.h>
#include <asm/asm.h>
#include <asm/vmx.h>

#include "lodge.h"

/* Bits of CR0 and CR4 that the guest writes without leaving. */
#define VMX_CR0_FREE (X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_WP | X86_CR0_AM)
#define VMX_CR4_FREE (X86_CR4_PGE | X86_CR4_TSD)

#define VMX_NO_REASON ~0u     /* the guest was not entered: VMfail */
#define VMX_EMULATE (~0u - 1) /* nor can it be: real.c */

/* EPT entries differ from those of ordinary paging by these. */
#define VMX_EPT_LEAF (VMX_EPTP_MT_WB << VMX_EPT_MT_EPTE_SHIFT | VMX_EPT_IPAT_BIT)

/* Controls, as this processor allows them. */
struct vmx_caps {
	u32 revision, pin, proc, proc2, exit, entry;
	unsigned int timer_shift;
	bool ad, invept_single, invvpid_single, vpid, counters, flush_l1d, unrestricted;
};
extern struct vmx_caps vmx_caps;
extern struct page *vmx_msr_bitmap;

enum vmx_syscall_msr { VMX_STAR, VMX_LSTAR, VMX_SFMASK, VMX_SYSCALL_MSRS };
extern const u32 vmx_syscall_msrs[VMX_SYSCALL_MSRS];
extern u64 vmx_host_syscall[VMX_SYSCALL_MSRS];

/* One processor's. */
struct vmx_cpu {
	struct page *vmxon;
	struct list_head active; /* VMCSs that may be in this processor; interrupts off */
	struct vmx_vcpu *inside; /* the current VMCS */
	struct lodge_vcpu *last;
};
DECLARE_PER_CPU(struct vmx_cpu, vmx_cpus);

/* What a thread of user space has in these registers, while its vCPU is loaded. */
struct vmx_host {
	u16 ds, es, fs, gs, ldt;
	u64 fs_base, kernel_gs_base, tsc_aux;
	unsigned long debugctl;
};

struct vmx_vcpu {
	struct page *vmcs;
	int cpu; /* in which the VMCS may be active; -1: none */
	bool launched;
	struct list_head link;
	u16 vpid; /* 0: none */
	u64 eptp;
	bool loaded; /* KERNEL_GS_BASE and SYSCALL's MSRs are the guest's */
	struct vmx_host host;
	u64 syscall[VMX_SYSCALL_MSRS], cstar, kernel_gs_base, loaded_tsc_aux;

	/* Written at the next entry. */
	bool flush, state_dirty, pdptrs_dirty, tsc_dirty;
	bool look_at_segs, segs_ok; /* real.c */
	u64 pdptrs[4];
	u32 inject, inject_error, inject_len;
	bool irq_window, nmi_window, nmi_behind_sti;

	/* What the VMCS has of these. */
	u32 proc_now, proc2_now, entry_now, shadow_now, timer_now;
	u64 host_cr3, host_cr4;

	/* Both ways: blocking by STI, MOV SS and NMI. */
	u32 shadow;

	/* Of the last exit. */
	u32 reason, insn_len, intr_info, idt_info, idt_error, failure;
	u64 qualification, gpa;
	u32 soft_len;  /* of the INT3 that user space was told of */
	bool gave_irq; /* at this entry */
};

static inline struct vmx_vcpu *vmx_of(const struct lodge_vcpu *vcpu)
{
	return vcpu->vendor;
}

/* ---- Instructions: a processor on which VMX has been turned off meanwhile ignores them ------------------------- */

static __always_inline u64 vmx_read(unsigned long field)
{
	u64 val = 0;

	asm volatile("1: vmread %1, %0\n2:\n" _ASM_EXTABLE(1b, 2b) : "+r"(val) : "r"(field) : "cc");
	return val;
}

static __always_inline void vmx_write(unsigned long field, u64 val)
{
	bool bad = false;

	asm volatile("1: vmwrite %2, %1\n setna %0\n2:\n" _ASM_EXTABLE(1b, 2b)
		     : "+q"(bad)
		     : "r"(field), "rm"(val)
		     : "cc");
	WARN_ONCE(bad, "lodge-intel: VMCS field %lx was not written", field);
}

/* VMXON, VMCLEAR, VMPTRLD: of the region at this physical address. False: it has failed. */
#define VMX_REGION_OP(op)                                                          \
	static __always_inline bool vmx_##op(u64 pa)                               \
	{                                                                          \
		bool bad = true;                                                   \
                                                                                   \
		asm volatile("1: " #op " %1\n setna %0\n2:\n" _ASM_EXTABLE(1b, 2b) \
			     : "+q"(bad)                                           \
			     : "m"(pa)                                             \
			     : "cc", "memory");                                    \
		return !bad;                                                       \
	}
VMX_REGION_OP(vmxon)
VMX_REGION_OP(vmclear)
VMX_REGION_OP(vmptrld)

/* With interrupts off. */
static inline void vmx_invept(u64 eptp)
{
	struct {
		u64 eptp, zero;
	} d = {.eptp = eptp};
	unsigned long how = vmx_caps.invept_single ? VMX_EPT_EXTENT_CONTEXT : VMX_EPT_EXTENT_GLOBAL;

	asm volatile("1: invept %0, %1\n2:\n" _ASM_EXTABLE(1b, 2b)
		     :
		     : "m"(d), "r"(how)
		     : "cc", "memory");
}

static inline void vmx_invvpid(u16 vpid)
{
	struct {
		u64 vpid, linear;
	} d = {.vpid = vpid};
	unsigned long how = vmx_caps.invvpid_single ? VMX_VPID_EXTENT_SINGLE_CONTEXT
						    : VMX_VPID_EXTENT_ALL_CONTEXT;

	asm volatile("1: invvpid %0, %1\n2:\n" _ASM_EXTABLE(1b, 2b)
		     :
		     : "m"(d), "r"(how)
		     : "cc", "memory");
}

/* ---- vcpu.c ---------------------------------------------------------------------------------------------------- */

int vmx_vcpu_create(struct lodge_vcpu *vcpu);
void vmx_vcpu_free(struct lodge_vcpu *vcpu);
void vmx_vcpu_load(struct lodge_vcpu *vcpu, int cpu);
void vmx_vcpu_put(struct lodge_vcpu *vcpu);
/* Between the two the vCPU's VMCS is current, whether it is loaded or not, and preemption is off. May sleep before. */
void vmx_begin(struct lodge_vcpu *vcpu);
void vmx_end(void);
/* With interrupts off: all VMCSs are out of this processor. */
void vmx_clear_all(void);

/* ---- state.c --------------------------------------------------------------------------------------------------- */

void vmx_get_seg(struct lodge_vcpu *vcpu, enum lodge_seg n, struct kvm_segment *seg);
void vmx_set_seg(struct lodge_vcpu *vcpu, enum lodge_seg n, const struct kvm_segment *seg);
void vmx_get_tables(struct lodge_vcpu *vcpu, struct kvm_dtable *gdt, struct kvm_dtable *idt);
void vmx_set_tables(struct lodge_vcpu *vcpu, const struct kvm_dtable *gdt,
		    const struct kvm_dtable *idt);
unsigned int vmx_cpl(struct lodge_vcpu *vcpu);
void vmx_state_changed(struct lodge_vcpu *vcpu);
int vmx_get_msr(struct lodge_vcpu *vcpu, u32 msr, u64 *val);
int vmx_set_msr(struct lodge_vcpu *vcpu, u32 msr, u64 val);
void vmx_tsc_changed(struct lodge_vcpu *vcpu);
/* With the VMCS current: what state_changed has noted. */
void vmx_write_state(struct lodge_vcpu *vcpu);

/* ---- events.c -------------------------------------------------------------------------------------------------- */

u32 vmx_get_shadow(struct lodge_vcpu *vcpu);
void vmx_set_shadow(struct lodge_vcpu *vcpu, u32 shadow);
bool vmx_nmi_masked(struct lodge_vcpu *vcpu);
void vmx_set_nmi_masked(struct lodge_vcpu *vcpu, bool masked);
void vmx_inject_exception(struct lodge_vcpu *vcpu);
void vmx_inject_nmi(struct lodge_vcpu *vcpu);
void vmx_inject_irq(struct lodge_vcpu *vcpu);
void vmx_cancel_injection(struct lodge_vcpu *vcpu);
void vmx_want_irq_window(struct lodge_vcpu *vcpu, bool on);
void vmx_want_nmi_window(struct lodge_vcpu *vcpu);
void vmx_write_events(struct lodge_vcpu *vcpu);
void vmx_take_back_events(struct lodge_vcpu *vcpu);

/* ---- real.c: without unrestricted guest ---------------------------------------------------------------------------- */

/* With the VMCS current. False: vmx_emulate is to be called instead. */
bool vmx_enters(struct lodge_vcpu *vcpu);
int vmx_emulate(struct lodge_vcpu *vcpu);
/* Paging is on for the processor, though not for the guest: CR3, which finds the page that an EPT violation there makes. */
bool vmx_unpaged(const struct lodge_vcpu *vcpu);
u64 vmx_identity_cr3(const struct lodge_vcpu *vcpu);
int vmx_identity_fault(struct lodge_vcpu *vcpu, u64 gpa); /* as lodge_fault */
int vmx_identity_make(void);
void vmx_identity_free(void);

/* ---- run.c, exits.c, enter.S ------------------------------------------------------------------------------------- */

void vmx_flush_tlb(struct lodge_vcpu *vcpu);
void vmx_prepare(struct lodge_vcpu *vcpu);
void vmx_enter(struct lodge_vcpu *vcpu);
int vmx_handle_exit(struct lodge_vcpu *vcpu);
/* With interrupts off. 1: the processor has refused (VMfail). */
int vmx_switch(u64 *gprs, bool launched);
extern const char vmx_left[]; /* where the processor comes back */

#endif
