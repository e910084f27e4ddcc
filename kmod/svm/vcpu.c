// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A vCPU's VMCB: made, loaded on a processor, put away.
 * Source: AMD APM vol. 2 §15.9 to §15.13 (intercepts), §15.16 (ASIDs), §15.25 (nested paging).
 * Threads: as lodge.h says.
 */
#include <linux/slab.h>
#include <asm/cpufeature.h>
#include <asm/msr-index.h>
#include <asm/msr.h>
#include <asm/nospec-branch.h>

#include "svm/svm.h"

/* #DB and #AC as well, since a guest could keep the processor busy delivering them for ever. */
#define EXCEPTIONS (1u << 1 | 1u << 17 | 1u << 18)

static void set_up(struct lodge_vcpu *vcpu)
{
	struct svm_control *c = &svm_of(vcpu)->vmcb->control;

	c->dr_read = c->dr_write = 0xffff;
	c->cr_write = 1u << 4 | 1u << 8;
	c->exceptions = EXCEPTIONS;
	c->misc1 = SVM_I_INTR | SVM_I_NMI | SVM_I_SMI | SVM_I_INIT | SVM_I_CR0_SEL | SVM_I_RDPMC |
		   SVM_I_CPUID | SVM_I_INVD | SVM_I_HLT | SVM_I_INVLPGA | SVM_I_IO | SVM_I_MSR |
		   SVM_I_TASK | SVM_I_SHUTDOWN;
	c->misc2 =
		SVM_I_SVM | SVM_I_WBINVD | SVM_I_MONITOR | SVM_I_MWAIT | SVM_I_XSETBV | SVM_I_RDPRU;
	c->iopm = svm_iopm_pa;
	c->msrpm = svm_msrpm_pa;
	c->vintr = SVM_V_MASKING;
	c->np_enable = 1;
	c->n_cr3 = __pa(vcpu->vm->root);
}

int svm_vcpu_create(struct lodge_vcpu *vcpu)
{
	struct svm_vcpu *svm = kzalloc(sizeof(*svm), GFP_KERNEL_ACCOUNT);

	if (!svm)
		return -ENOMEM;
	svm->vmcb = (struct vmcb *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!svm->vmcb) {
		kfree(svm);
		return -ENOMEM;
	}
	svm->vmcb_pa = __pa(svm->vmcb);
	svm->asid_cpu = svm->cpu = -1;
	vcpu->vendor = svm;
	set_up(vcpu);
	return 0;
}

void svm_vcpu_free(struct lodge_vcpu *vcpu)
{
	struct svm_vcpu *svm = svm_of(vcpu);
	int cpu;

	/* Another may come to be where this one was, and is not to be taken for it. */
	for_each_possible_cpu(cpu) cmpxchg(&per_cpu_ptr(&svm_cpus, cpu)->last, vcpu, NULL);
	free_page((unsigned long)svm->vmcb);
	kfree(svm);
	vcpu->vendor = NULL;
}

void svm_vcpu_load(struct lodge_vcpu *vcpu, int cpu)
{
	struct svm_vcpu *svm = svm_of(vcpu);
	struct svm_cpu *c = per_cpu_ptr(&svm_cpus, cpu);

	/* One guest's branches are no hints for another's. */
	if (c->last != vcpu) {
		c->last = vcpu;
		indirect_branch_prediction_barrier();
	}
	if (boot_cpu_has(X86_FEATURE_RDTSCP)) {
		rdmsrl(MSR_TSC_AUX, svm->host_tsc_aux);
		svm->loaded_tsc_aux = vcpu->msrs.tsc_aux;
		wrmsrl(MSR_TSC_AUX, svm->loaded_tsc_aux);
	}
}

void svm_vcpu_put(struct lodge_vcpu *vcpu)
{
	if (boot_cpu_has(X86_FEATURE_RDTSCP))
		wrmsrl(MSR_TSC_AUX, svm_of(vcpu)->host_tsc_aux);
}
