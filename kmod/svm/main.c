// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The AMD-V module: is it there, on and off on a processor, and what the core calls it by.
 * Source: AMD APM vol. 2 §15.4 (enabling SVM), §15.30 (MSRs); vol. 3 CPUID 8000_000A.
 * Threads: hardware_enable and hardware_disable on their processor, interrupts off.
 */
#include <linux/module.h>
#include <asm/cpufeature.h>
#include <asm/msr-index.h>
#include <asm/msr.h>

#include "svm/svm.h"

#define SVM_LEAF 0x8000000a
#define SVM_HAS_NPT 1u
#define VM_CR_SVM_OFF (1u << 4)

DEFINE_PER_CPU(struct svm_cpu, svm_cpus);

/* Bitmaps for all guests: all ports leave the guest, and all MSRs but those that VMLOAD and VMSAVE carry. */
#define IOPM_PAGES 3
#define MSRPM_PAGES 2
static struct page *iopm, *msrpm;
u64 svm_iopm_pa, svm_msrpm_pa;

/* ---- On and off ---------------------------------------------------------------------------------------- */

static int hardware_enable(void)
{
	struct svm_cpu *c = this_cpu_ptr(&svm_cpus);
	u64 efer;

	rdmsrl(MSR_EFER, efer);
	if (efer & EFER_SVME)
		return -EBUSY; /* somebody else's */
	wrmsrl(MSR_EFER, efer | EFER_SVME);
	wrmsrl(MSR_VM_HSAVE_PA, page_to_phys(c->host_save));
	c->max_asid = cpuid_ebx(SVM_LEAF) - 1;
	c->next_asid = c->max_asid + 1; /* the first one begins a generation */
	c->generation++;
	c->last = NULL;
	c->host_xss = 0;
	if (boot_cpu_has(X86_FEATURE_XSAVES))
		rdmsrl(MSR_IA32_XSS, c->host_xss);
	return 0;
}

static void hardware_disable(void)
{
	u64 efer;

	wrmsrl(MSR_VM_HSAVE_PA, 0);
	rdmsrl(MSR_EFER, efer);
	wrmsrl(MSR_EFER, efer & ~EFER_SVME);
}

/* ---- Is it there ----------------------------------------------------------------------------------------- */

static int check(void)
{
	u64 vm_cr;

	if (!boot_cpu_has(X86_FEATURE_SVM)) {
		pr_err("lodge-amd: this processor has no SVM\n");
		return -ENODEV;
	}
	if (!(cpuid_edx(SVM_LEAF) & SVM_HAS_NPT)) {
		pr_err("lodge-amd: this processor has no nested paging, and there is no way "
		       "without\n");
		return -ENODEV;
	}
	rdmsrl(MSR_VM_CR, vm_cr);
	if (vm_cr & VM_CR_SVM_OFF) {
		pr_err("lodge-amd: SVM is turned off in the firmware's setup\n");
		return -ENODEV;
	}
	return 0;
}

/* ---- Bitmaps --------------------------------------------------------------------------------------------- */

/* Two bits an MSR: read, write. */
static void allow_msr(u32 msr)
{
	static const u32 bases[] = {0, 0xc0000000, 0xc0010000};

	for (unsigned int i = 0; i < ARRAY_SIZE(bases); i++) {
		u32 bit = 2 * (msr - bases[i]);

		if (msr - bases[i] >= 0x2000)
			continue;
		clear_bit(i * 0x4000 + bit, page_address(msrpm));
		clear_bit(i * 0x4000 + bit + 1, page_address(msrpm));
	}
}

static int make_bitmaps(void)
{
	static const u32 carried[] = {
		MSR_STAR,
		MSR_LSTAR,
		MSR_CSTAR,
		MSR_SYSCALL_MASK,
		MSR_FS_BASE,
		MSR_GS_BASE,
		MSR_KERNEL_GS_BASE,
		MSR_IA32_SYSENTER_CS,
		MSR_IA32_SYSENTER_ESP,
		MSR_IA32_SYSENTER_EIP,
	};

	iopm = alloc_pages(GFP_KERNEL, get_order(IOPM_PAGES * PAGE_SIZE));
	msrpm = alloc_pages(GFP_KERNEL, get_order(MSRPM_PAGES * PAGE_SIZE));
	if (!iopm || !msrpm)
		return -ENOMEM;
	memset(page_address(iopm), 0xff, IOPM_PAGES * PAGE_SIZE);
	memset(page_address(msrpm), 0xff, MSRPM_PAGES * PAGE_SIZE);
	for (unsigned int i = 0; i < ARRAY_SIZE(carried); i++)
		allow_msr(carried[i]);
	svm_iopm_pa = page_to_phys(iopm);
	svm_msrpm_pa = page_to_phys(msrpm);
	return 0;
}

static void free_all(void)
{
	int cpu;

	if (iopm)
		__free_pages(iopm, get_order(IOPM_PAGES * PAGE_SIZE));
	if (msrpm)
		__free_pages(msrpm, get_order(MSRPM_PAGES * PAGE_SIZE));
	for_each_possible_cpu(cpu)
	{
		struct svm_cpu *c = per_cpu_ptr(&svm_cpus, cpu);

		if (c->host_save)
			__free_page(c->host_save);
		if (c->host_extra)
			__free_page(c->host_extra);
	}
}

static int make_cpus(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
	{
		struct svm_cpu *c = per_cpu_ptr(&svm_cpus, cpu);

		c->host_save = alloc_page(GFP_KERNEL | __GFP_ZERO);
		c->host_extra = alloc_page(GFP_KERNEL | __GFP_ZERO);
		if (!c->host_save || !c->host_extra)
			return -ENOMEM;
	}
	return 0;
}

/* ---- The module -------------------------------------------------------------------------------------------- */

/* A and D as in ordinary paging. */
static struct lodge_paging paging = {.accessed = 1 << 5, .dirty = 1 << 6, .max_level = 2};

static const struct lodge_vendor_ops svm_ops = {
	.name = "AMD-V",
	.owner = THIS_MODULE,
	.efer_bits = EFER_NX | EFER_FFXSR,
	.paging = &paging,
	.hardware_enable = hardware_enable,
	.hardware_disable = hardware_disable,
	.vcpu_create = svm_vcpu_create,
	.vcpu_free = svm_vcpu_free,
	.vcpu_load = svm_vcpu_load,
	.vcpu_put = svm_vcpu_put,
	.get_seg = svm_get_seg,
	.set_seg = svm_set_seg,
	.get_tables = svm_get_tables,
	.set_tables = svm_set_tables,
	.cpl = svm_cpl,
	.state_changed = svm_state_changed,
	.get_msr = svm_get_msr,
	.set_msr = svm_set_msr,
	.tsc_changed = svm_tsc_changed,
	.get_shadow = svm_get_shadow,
	.set_shadow = svm_set_shadow,
	.nmi_masked = svm_nmi_masked,
	.set_nmi_masked = svm_set_nmi_masked,
	.inject_exception = svm_inject_exception,
	.inject_nmi = svm_inject_nmi,
	.inject_irq = svm_inject_irq,
	.want_irq_window = svm_want_irq_window,
	.want_nmi_window = svm_want_nmi_window,
	.cancel_injection = svm_cancel_injection,
	.flush_tlb = svm_flush_tlb,
	.prepare = svm_prepare,
	.enter = svm_enter,
	.handle_exit = svm_handle_exit,
};

static int __init svm_init(void)
{
	int r = check();

	if (boot_cpu_has(X86_FEATURE_GBPAGES))
		paging.max_level = 3;
	if (!r)
		r = make_bitmaps();
	if (!r)
		r = make_cpus();
	if (!r)
		r = lodge_vendor_register(&svm_ops);
	if (r)
		free_all();
	return r;
}

static void __exit svm_exit(void)
{
	lodge_vendor_unregister(&svm_ops);
	free_all();
}

module_init(svm_init);
module_exit(svm_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Lodge's hypervisor: AMD-V");
