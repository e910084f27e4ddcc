// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The VT-x module: what this processor can, on and off on a processor, and what the core calls it by.
 * Source: Intel SDM 3C §23.6 to §23.8 (enabling VMX), §24.6.9 (MSR bitmaps), appendix A (capability MSRs).
 * Threads: hardware_enable and hardware_disable on their processor, interrupts off.
 */
#include <linux/module.h>
#include <asm/cpufeature.h>
#include <asm/msr-index.h>
#include <asm/msr.h>
#include <asm/perf_event.h>
#include <asm/tlbflush.h>

#include "vmx/vmx.h"

static bool ept_ad = true;
module_param(ept_ad, bool, 0444);
MODULE_PARM_DESC(ept_ad, "let the processor note accesses and writes in EPT entries, where it can");
static bool vpid = true;
module_param(vpid, bool, 0444);
MODULE_PARM_DESC(vpid,
		 "keep the TLB's entries of a guest while it is left, where the processor can");

static bool unrestricted_guest = true;
module_param(unrestricted_guest, bool, 0444);
MODULE_PARM_DESC(unrestricted_guest,
		 "enter real mode and protected mode without paging, where the processor can");

static bool l1d_flush = true;
module_param(l1d_flush, bool, 0444);
MODULE_PARM_DESC(l1d_flush, "flush the L1 cache before each entry, on processors with L1TF");
static int big_pages = -1;
module_param(big_pages, int, 0444);
MODULE_PARM_DESC(big_pages, "1: EPT entries of 2 MiB and 1 GiB; 0: 4 KiB alone; -1: big ones where "
			    "no guest can stop the "
			    "processor by them (erratum of multiple hits in the instruction TLB)");

struct vmx_caps vmx_caps;
struct page *vmx_msr_bitmap;
DEFINE_PER_CPU(struct vmx_cpu, vmx_cpus);
static struct lodge_paging paging = {.leaf = VMX_EPT_LEAF, .levels = 4, .max_level = 1};

const u32 vmx_syscall_msrs[] = {MSR_STAR, MSR_LSTAR, MSR_SYSCALL_MASK};
u64 vmx_host_syscall[VMX_SYSCALL_MSRS];

/* ---- On and off ------------------------------------------------------------------------------------------ */

static int allowed_by_firmware(void)
{
	u64 ctl;

	if (rdmsrl_safe(MSR_IA32_FEAT_CTL, &ctl))
		return -EOPNOTSUPP;
	if (!(ctl & FEAT_CTL_LOCKED)) {
		ctl |= FEAT_CTL_LOCKED | FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX;
		if (wrmsrl_safe(MSR_IA32_FEAT_CTL, ctl))
			return -EOPNOTSUPP;
	}
	return ctl & FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX ? 0 : -EOPNOTSUPP;
}

static int hardware_enable(void)
{
	struct vmx_cpu *c = this_cpu_ptr(&vmx_cpus);
	int cpu = smp_processor_id();

	if (cr4_read_shadow() & X86_CR4_VMXE) {
		pr_info("lodge-intel: another hypervisor has VMX on processor %d\n", cpu);
		return -EBUSY;
	}
	if (allowed_by_firmware()) {
		pr_info("lodge-intel: IA32_FEATURE_CONTROL of processor %d forbids VMX\n", cpu);
		return -EOPNOTSUPP;
	}
	for (unsigned int i = 0; i < VMX_SYSCALL_MSRS; i++)
		rdmsrl(vmx_syscall_msrs[i], vmx_host_syscall[i]);
	intel_pt_handle_vmx(1);
	cr4_set_bits(X86_CR4_VMXE);
	if (!vmx_vmxon(page_to_phys(c->vmxon))) {
		cr4_clear_bits(X86_CR4_VMXE);
		intel_pt_handle_vmx(0);
		pr_info("lodge-intel: VMXON fails on processor %d\n", cpu);
		return -EIO;
	}
	c->inside = NULL;
	c->last = NULL;
	return 0;
}

static void hardware_disable(void)
{
	vmx_clear_all();
	asm volatile("1: vmxoff\n2:\n" _ASM_EXTABLE(1b, 2b) : : : "cc", "memory");
	cr4_clear_bits(X86_CR4_VMXE);
	intel_pt_handle_vmx(0);
}

/* ---- What it can ------------------------------------------------------------------------------------------- */

/* A capability MSR says in its low half what must be 1, in its high half what may be. */
static bool pick(u32 msr, u32 must, u32 want, u32 never, const char *what, u32 *out)
{
	u64 cap;

	rdmsrl(msr, cap);
	*out = ((must | want) & (u32)(cap >> 32)) | (u32)cap;
	if ((must & ~*out) || (never & *out)) {
		pr_err("lodge-intel: the processor's %s controls lack %x, have %x always on\n",
		       what, must & ~*out, never & *out);
		return false;
	}
	return true;
}

static bool check_paging(void)
{
	u64 cap;
	u32 ept, ids;

	rdmsrl(MSR_IA32_VMX_EPT_VPID_CAP, cap);
	ept = cap;
	ids = cap >> 32;
	if (!(ept & VMX_EPT_PAGE_WALK_4_BIT) || !(ept & VMX_EPTP_WB_BIT) ||
	    !(ept & VMX_EPT_INVEPT_BIT) ||
	    !(ept & (VMX_EPT_EXTENT_CONTEXT_BIT | VMX_EPT_EXTENT_GLOBAL_BIT))) {
		pr_err("lodge-intel: EPT (%x) without four levels in cached memory, or INVEPT\n",
		       ept);
		return false;
	}
	vmx_caps.invept_single = ept & VMX_EPT_EXTENT_CONTEXT_BIT;
	/* With A and D bits the processor wants to write to tables: those of real.c are constant. */
	vmx_caps.ad = ept_ad && (ept & VMX_EPT_AD_BIT) && vmx_caps.unrestricted;
	vmx_caps.invvpid_single = ids & VMX_VPID_EXTENT_SINGLE_CONTEXT_BIT;
	vmx_caps.vpid =
		vpid && (ids & VMX_VPID_INVVPID_BIT) &&
		(ids & (VMX_VPID_EXTENT_SINGLE_CONTEXT_BIT | VMX_VPID_EXTENT_GLOBAL_CONTEXT_BIT));
	if (big_pages < 0)
		big_pages = !boot_cpu_has_bug(X86_BUG_ITLB_MULTIHIT);
	if (big_pages && (ept & VMX_EPT_2MB_PAGE_BIT))
		paging.max_level = ept & VMX_EPT_1GB_PAGE_BIT ? 3 : 2;
	if (vmx_caps.ad) {
		paging.accessed = VMX_EPT_ACCESS_BIT;
		paging.dirty = VMX_EPT_DIRTY_BIT;
	}
	return true;
}

#define PIN (PIN_BASED_EXT_INTR_MASK | PIN_BASED_NMI_EXITING | PIN_BASED_VIRTUAL_NMIS)
#define PROC                                                                                    \
	(CPU_BASED_HLT_EXITING | CPU_BASED_MWAIT_EXITING | CPU_BASED_MONITOR_EXITING |          \
	 CPU_BASED_RDPMC_EXITING | CPU_BASED_USE_TSC_OFFSETTING | CPU_BASED_CR8_LOAD_EXITING |  \
	 CPU_BASED_CR8_STORE_EXITING | CPU_BASED_MOV_DR_EXITING | CPU_BASED_UNCOND_IO_EXITING | \
	 CPU_BASED_USE_MSR_BITMAPS | CPU_BASED_ACTIVATE_SECONDARY_CONTROLS)
#define PROC_NEVER \
	(CPU_BASED_CR3_LOAD_EXITING | CPU_BASED_CR3_STORE_EXITING | CPU_BASED_INVLPG_EXITING)
#define PROC2 SECONDARY_EXEC_ENABLE_EPT
/* What the guest would not have otherwise; and all caches of the machine are not a guest's to empty. */
#define PROC2_WANT                                                   \
	(SECONDARY_EXEC_ENABLE_VPID | SECONDARY_EXEC_ENABLE_RDTSCP | \
	 SECONDARY_EXEC_ENABLE_INVPCID | SECONDARY_EXEC_DESC | SECONDARY_EXEC_WBINVD_EXITING)
#define EXIT                                                                                  \
	(VM_EXIT_SAVE_DEBUG_CONTROLS | VM_EXIT_HOST_ADDR_SPACE_SIZE | VM_EXIT_LOAD_IA32_PAT | \
	 VM_EXIT_LOAD_IA32_EFER)
#define ENTRY (VM_ENTRY_LOAD_DEBUG_CONTROLS | VM_ENTRY_LOAD_IA32_PAT | VM_ENTRY_LOAD_IA32_EFER)

/* Errata of the first ones ("VMX-Preemption Timer Does Not Count Down at the Rate Specified"): by CPUID's signature. */
static const u32 bad_timers[] = {0x106a0, 0x106a1, 0x106a4, 0x106a5, 0x106e5,
				 0x20652, 0x20655, 0x206e6, 0x306a8};

static void check_timer(void)
{
	u64 misc;

	rdmsrl(MSR_IA32_VMX_MISC, misc);
	vmx_caps.timer_shift = misc & 31; /* its rate */
	for (unsigned int i = 0; i < ARRAY_SIZE(bad_timers); i++) {
		if ((cpuid_eax(1) & 0xfff3fff) == bad_timers[i])
			vmx_caps.pin &= ~PIN_BASED_VMX_PREEMPTION_TIMER;
	}
}

static bool check_controls(void)
{
	struct vmx_caps *c = &vmx_caps;
	u64 basic;
	u32 more = 0;

	rdmsrl(MSR_IA32_VMX_BASIC, basic);
	c->revision = basic & 0x7fffffff;
	/* The true ones say of more bits that they may be 0; all four are as far behind the others. */
	if (basic & VMX_BASIC_TRUE_CTLS)
		more = MSR_IA32_VMX_TRUE_PINBASED_CTLS - MSR_IA32_VMX_PINBASED_CTLS;
	/* Counters stand still in the guest: what some write goes to addresses of the guest's. */
	if (!pick(MSR_IA32_VMX_PROCBASED_CTLS + more, PROC, 0, PROC_NEVER, "processor", &c->proc) ||
	    !pick(MSR_IA32_VMX_PINBASED_CTLS + more, PIN, PIN_BASED_VMX_PREEMPTION_TIMER, 0, "pin",
		  &c->pin) ||
	    !pick(MSR_IA32_VMX_EXIT_CTLS + more, EXIT, VM_EXIT_LOAD_IA32_PERF_GLOBAL_CTRL,
		  VM_EXIT_ACK_INTR_ON_EXIT, "exit", &c->exit) ||
	    !pick(MSR_IA32_VMX_ENTRY_CTLS + more, ENTRY, VM_ENTRY_LOAD_IA32_PERF_GLOBAL_CTRL, 0,
		  "entry", &c->entry))
		return false;
	c->counters = boot_cpu_has(X86_FEATURE_ARCH_PERFMON) &&
		      (c->exit & VM_EXIT_LOAD_IA32_PERF_GLOBAL_CTRL) &&
		      (c->entry & VM_ENTRY_LOAD_IA32_PERF_GLOBAL_CTRL);
	if (!c->counters) {
		c->exit &= ~VM_EXIT_LOAD_IA32_PERF_GLOBAL_CTRL;
		c->entry &= ~VM_ENTRY_LOAD_IA32_PERF_GLOBAL_CTRL;
	}
	if (!pick(MSR_IA32_VMX_PROCBASED_CTLS2, PROC2,
		  PROC2_WANT | (unrestricted_guest ? SECONDARY_EXEC_UNRESTRICTED_GUEST : 0), 0,
		  "secondary", &c->proc2)) {
		pr_err("lodge-intel: without EPT there is no way\n");
		return false;
	}
	c->unrestricted = c->proc2 & SECONDARY_EXEC_UNRESTRICTED_GUEST;
	return check_paging();
}

static int check(void)
{
	if (!(cpuid_ecx(1) & 1u << 5)) {
		pr_err("lodge-intel: this processor has no VMX\n");
		return -EOPNOTSUPP;
	}
	if (!boot_cpu_has(X86_FEATURE_VMX)) {
		pr_err("lodge-intel: VMX is turned off in the firmware's setup\n");
		return -EOPNOTSUPP;
	}
	if (!check_controls())
		return -EOPNOTSUPP;
	check_timer();
	vmx_caps.vpid = vmx_caps.vpid && (vmx_caps.proc2 & SECONDARY_EXEC_ENABLE_VPID);
	if (!boot_cpu_has_bug(X86_BUG_L1TF))
		return 0;
	vmx_caps.flush_l1d = l1d_flush && boot_cpu_has(X86_FEATURE_FLUSH_L1D);
	if (!vmx_caps.flush_l1d)
		pr_warn("lodge-intel: guests can read the L1 cache (L1TF): %s\n",
			l1d_flush ? "new microcode is wanted" : "you asked for it");
	return 0;
}

/* ---- Memory ------------------------------------------------------------------------------------------------ */

/* Four parts of 1 KiB: reads and writes of 0…, then those of C0000000…. */
static void allow_msr(u32 msr, bool write)
{
	u32 bit = (msr & 0x1fff) + (msr >= 0xc0000000 ? 8192 : 0);

	clear_bit(bit, page_address(vmx_msr_bitmap));
	if (write)
		clear_bit(bit + 2 * 8192, page_address(vmx_msr_bitmap));
}

static int make_pages(void)
{
	int cpu;

	vmx_msr_bitmap = alloc_page(GFP_KERNEL);
	if (!vmx_msr_bitmap)
		return -ENOMEM;
	if (vmx_identity_make())
		return -ENOMEM;
	memset(page_address(vmx_msr_bitmap), 0xff, PAGE_SIZE);
	allow_msr(MSR_FS_BASE, true);
	allow_msr(MSR_GS_BASE, true);
	allow_msr(MSR_KERNEL_GS_BASE, true);
	allow_msr(MSR_IA32_SYSENTER_CS, true);
	allow_msr(MSR_IA32_SYSENTER_ESP, true);
	allow_msr(MSR_IA32_SYSENTER_EIP, true);
	allow_msr(MSR_IA32_TSC, false);
	for_each_possible_cpu(cpu)
	{
		struct vmx_cpu *c = per_cpu_ptr(&vmx_cpus, cpu);

		INIT_LIST_HEAD(&c->active);
		c->vmxon = alloc_page(GFP_KERNEL | __GFP_ZERO);
		if (!c->vmxon)
			return -ENOMEM;
		*(u32 *)page_address(c->vmxon) = vmx_caps.revision;
	}
	return 0;
}

static void free_pages_of_all(void)
{
	int cpu;

	if (vmx_msr_bitmap)
		__free_page(vmx_msr_bitmap);
	vmx_identity_free();
	for_each_possible_cpu(cpu)
	{
		if (per_cpu_ptr(&vmx_cpus, cpu)->vmxon)
			__free_page(per_cpu_ptr(&vmx_cpus, cpu)->vmxon);
	}
}

/* ---- The module -------------------------------------------------------------------------------------------- */

static struct lodge_vendor_ops vmx_ops = {
	.name = "VT-x",
	.owner = THIS_MODULE,
	.efer_bits = EFER_NX,
	.paging = &paging,
	.hardware_enable = hardware_enable,
	.hardware_disable = hardware_disable,
	.vcpu_create = vmx_vcpu_create,
	.vcpu_free = vmx_vcpu_free,
	.vcpu_load = vmx_vcpu_load,
	.vcpu_put = vmx_vcpu_put,
	.get_seg = vmx_get_seg,
	.set_seg = vmx_set_seg,
	.get_tables = vmx_get_tables,
	.set_tables = vmx_set_tables,
	.cpl = vmx_cpl,
	.state_changed = vmx_state_changed,
	.get_msr = vmx_get_msr,
	.set_msr = vmx_set_msr,
	.tsc_changed = vmx_tsc_changed,
	.get_shadow = vmx_get_shadow,
	.set_shadow = vmx_set_shadow,
	.nmi_masked = vmx_nmi_masked,
	.set_nmi_masked = vmx_set_nmi_masked,
	.inject_exception = vmx_inject_exception,
	.inject_nmi = vmx_inject_nmi,
	.inject_irq = vmx_inject_irq,
	.want_irq_window = vmx_want_irq_window,
	.want_nmi_window = vmx_want_nmi_window,
	.cancel_injection = vmx_cancel_injection,
	.flush_tlb = vmx_flush_tlb,
	.prepare = vmx_prepare,
	.enter = vmx_enter,
	.handle_exit = vmx_handle_exit,
};

static int __init vmx_init(void)
{
	int r = check();

	if (r)
		return r;
	vmx_ops.makes_umip = vmx_caps.proc2 & SECONDARY_EXEC_DESC;
	vmx_ops.counts_tsc = vmx_caps.pin & PIN_BASED_VMX_PREEMPTION_TIMER;
	r = make_pages();
	if (!r)
		r = lodge_vendor_register(&vmx_ops);
	if (r)
		free_pages_of_all();
	else
		pr_info("lodge-intel: EPT with %s pages%s%s%s%s%s\n",
			paging.max_level > 1 ? "big" : "small", vmx_caps.ad ? ", A and D" : "",
			vmx_caps.vpid ? ", VPID" : "", vmx_ops.counts_tsc ? ", timer" : "",
			vmx_caps.flush_l1d ? ", L1 flushed" : "",
			vmx_caps.unrestricted ? "" : ", real mode emulated");
	return r;
}

static void __exit vmx_exit(void)
{
	lodge_vendor_unregister(&vmx_ops);
	free_pages_of_all();
}

module_init(vmx_init);
module_exit(vmx_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Lodge's hypervisor: VT-x");
