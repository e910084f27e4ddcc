/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the AMD-V module share. */
#ifndef LODGE_SVM_H
#define LODGE_SVM_H

#include "lodge.h"
#include "svm/vmcb.h"

/* One processor's. */
struct svm_cpu {
	struct page *host_save;	 /* the processor's own, at VMRUN */
	struct page *host_extra; /* ours: what VMSAVE takes */
	u64 generation;		 /* of ASIDs; 0 is none */
	u32 next_asid, max_asid;
	struct lodge_vcpu *last;
	u64 host_xss;
};
DECLARE_PER_CPU(struct svm_cpu, svm_cpus);

struct svm_vcpu {
	struct vmcb *vmcb;
	u64 vmcb_pa;
	u64 generation;
	int asid_cpu;
	int cpu; /* where it ran last: that processor may have kept parts of the VMCB */
	u64 host_tsc_aux, loaded_tsc_aux;
	bool gave_irq; /* at this entry */
	bool nmi_masked;
	/* The NMI handler's IRET has been seen, not yet its end. */
	bool iret_seen;
	u64 iret_rip;
	bool stepping_iret;
	bool step_tf; /* TF as it was */
#ifdef LODGE_DEBUG
	struct vmcb seen; /* after the last exit */
#endif
};

static inline struct svm_vcpu *svm_of(const struct lodge_vcpu *vcpu)
{
	return vcpu->vendor;
}

/* The VMCB's parts SVM_CLEAN_… were written to. */
static inline void svm_dirty(const struct lodge_vcpu *vcpu, u32 parts)
{
	svm_of(vcpu)->vmcb->control.clean &= ~(u64)parts;
}

extern u64 svm_iopm_pa, svm_msrpm_pa;

/* vcpu.c */
int svm_vcpu_create(struct lodge_vcpu *vcpu);
void svm_vcpu_free(struct lodge_vcpu *vcpu);
void svm_vcpu_load(struct lodge_vcpu *vcpu, int cpu);
void svm_vcpu_put(struct lodge_vcpu *vcpu);

/* state.c */
void svm_get_seg(struct lodge_vcpu *vcpu, enum lodge_seg n, struct kvm_segment *seg);
void svm_set_seg(struct lodge_vcpu *vcpu, enum lodge_seg n, const struct kvm_segment *seg);
void svm_get_tables(struct lodge_vcpu *vcpu, struct kvm_dtable *gdt, struct kvm_dtable *idt);
void svm_set_tables(struct lodge_vcpu *vcpu, const struct kvm_dtable *gdt,
		    const struct kvm_dtable *idt);
unsigned int svm_cpl(struct lodge_vcpu *vcpu);
void svm_state_changed(struct lodge_vcpu *vcpu);
int svm_get_msr(struct lodge_vcpu *vcpu, u32 msr, u64 *val);
int svm_set_msr(struct lodge_vcpu *vcpu, u32 msr, u64 val);
void svm_tsc_changed(struct lodge_vcpu *vcpu);

/* run.c */
u32 svm_get_shadow(struct lodge_vcpu *vcpu);
void svm_set_shadow(struct lodge_vcpu *vcpu, u32 shadow);
bool svm_nmi_masked(struct lodge_vcpu *vcpu);
void svm_set_nmi_masked(struct lodge_vcpu *vcpu, bool masked);
void svm_inject_exception(struct lodge_vcpu *vcpu);
void svm_inject_nmi(struct lodge_vcpu *vcpu);
void svm_inject_irq(struct lodge_vcpu *vcpu);
void svm_cancel_injection(struct lodge_vcpu *vcpu);
void svm_want_irq_window(struct lodge_vcpu *vcpu, bool on);
void svm_want_nmi_window(struct lodge_vcpu *vcpu);
void svm_stop_stepping(struct lodge_vcpu *vcpu);
void svm_flush_tlb(struct lodge_vcpu *vcpu);
void svm_prepare(struct lodge_vcpu *vcpu);
void svm_enter(struct lodge_vcpu *vcpu);

/* exits.c */
int svm_handle_exit(struct lodge_vcpu *vcpu);

/* enter.S: with interrupts off. */
void svm_switch(u64 *gprs, u64 vmcb_pa, u64 host_extra_pa);

#endif
