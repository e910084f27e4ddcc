// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Processors without unrestricted guest, which enter neither real mode nor what is left of it in segments after the
 * switch to protected mode: the instruction emulator runs the guest, until it can be entered. Protected mode without
 * paging is entered, on tables that map all of it to itself.
 * Source: Intel SDM 3C §26.3.1.1, §26.3.1.2 (checks on CR0 and segments), §24.6.2 (exits by CR3), §24.7.2 (unrestricted guest).
 * Threads: the vCPU's own; the page of tables is constant.
 */
#include <linux/sched/signal.h>

#include "vmx/vmx.h"

#define AT_ONCE 256 /* instructions until the loop in run.c looks at everything */
#define DEFAULT_ADDR 0xfffbc000u
#define PDES 1024

/* ---- What is entered ---------------------------------------------------------------------------------------- */

static bool vm86_segs_ok(const struct kvm_segment *s)
{
	for (enum lodge_seg n = LODGE_ES; n <= LODGE_GS; n++) {
		if (s[n].base != (u32)s[n].selector << 4 || s[n].limit != 0xffff ||
		    s[n].type != 3 || !s[n].s || s[n].dpl != 3 || s[n].unusable || s[n].avl ||
		    s[n].l || s[n].db || s[n].g)
			return false;
	}
	return true;
}

static bool code_ok(const struct kvm_segment *cs, const struct kvm_segment *ss)
{
	bool conforming = cs->type & 4;

	return !cs->unusable && cs->s && (cs->type & 8) &&
	       (conforming ? cs->dpl <= ss->dpl : cs->dpl == ss->dpl);
}

static bool stack_ok(const struct kvm_segment *cs, const struct kvm_segment *ss)
{
	unsigned int rpl = ss->selector & 3;

	return rpl == (cs->selector & 3) && rpl == ss->dpl &&
	       (ss->unusable || (ss->s && (ss->type & ~4) == 3));
}

static bool data_ok(const struct kvm_segment *s)
{
	return s->unusable || (s->s && (!(s->type & 8) || (s->type & 2)) &&
			       (s->type > 11 || s->dpl >= (s->selector & 3)));
}

static bool system_ok(const struct lodge_vcpu *vcpu, const struct kvm_segment *tr,
		      const struct kvm_segment *ldtr)
{
	return !tr->unusable && !tr->s && !(tr->selector & 4) &&
	       (tr->type == 11 || (tr->type == 3 && !lodge_long_mode(vcpu))) &&
	       (ldtr->unusable || (!ldtr->s && ldtr->type == 2 && !(ldtr->selector & 4)));
}

static bool segs_ok(struct lodge_vcpu *vcpu)
{
	struct kvm_segment s[LODGE_LDTR + 1];

	for (enum lodge_seg n = LODGE_ES; n <= LODGE_LDTR; n++)
		vmx_get_seg(vcpu, n, &s[n]);
	if (!system_ok(vcpu, &s[LODGE_TR], &s[LODGE_LDTR]))
		return false;
	if (vcpu->rflags & X86_EFLAGS_VM)
		return vm86_segs_ok(s);
	return code_ok(&s[LODGE_CS], &s[LODGE_SS]) && stack_ok(&s[LODGE_CS], &s[LODGE_SS]) &&
	       data_ok(&s[LODGE_ES]) && data_ok(&s[LODGE_DS]) && data_ok(&s[LODGE_FS]) &&
	       data_ok(&s[LODGE_GS]);
}

bool vmx_enters(struct lodge_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vmx_of(vcpu);

	if (vmx_caps.unrestricted)
		return true;
	if (!(vcpu->cr0 & X86_CR0_PE))
		return false;
	/* The processor keeps them as it wants them; what else writes them says so. */
	if (vmx->look_at_segs || (vcpu->rflags & X86_EFLAGS_VM)) {
		vmx->look_at_segs = false;
		vmx->segs_ok = segs_ok(vcpu);
	}
	return vmx->segs_ok;
}

/* ---- Instead of it ------------------------------------------------------------------------------------------- */

/* What was to be injected. In protected mode interrupts wait, as nothing else can. */
static int deliver(struct lodge_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vmx_of(vcpu);
	u32 event = vmx->inject, type = event & INTR_INFO_INTR_TYPE_MASK;
	u64 back = vcpu->rip;
	int r;

	if (!event)
		return 1;
	if (vcpu->cr0 & X86_CR0_PE) {
		if (type != INTR_TYPE_EXT_INTR && type != INTR_TYPE_NMI_INTR)
			return lodge_exit_internal(vcpu, KVM_INTERNAL_ERROR_EMULATION, event, back);
		vmx_cancel_injection(vcpu);
		return 1;
	}
	vmx->inject = 0;
	vmx->gave_irq = false;
	if (type == INTR_TYPE_NMI_INTR) {
		vcpu->ev.nmi_injected = false;
		vmx_set_nmi_masked(vcpu, true);
	} else if (type == INTR_TYPE_EXT_INTR || type == INTR_TYPE_SOFT_INTR) {
		vcpu->ev.irq_injected = false;
	} else if (type == INTR_TYPE_SOFT_EXCEPTION) {
		back += vmx->inject_len;
	}
	/* A fault on the way makes a double one of it. */
	r = lodge_emulate_event(vcpu, event, back);
	vcpu->ev.ex.injected = false;
	return r;
}

/* Nothing waits that is looked at between instructions. */
static bool goes_on(struct lodge_vcpu *vcpu)
{
	const struct lodge_events *ev = &vcpu->ev;
	const struct vmx_vcpu *vmx = vmx_of(vcpu);
	bool shadow = vmx_get_shadow(vcpu);

	if (ev->ex.pending || (ev->irq_injected && ev->irq_soft) || ev->triple_fault ||
	    vcpu->mp_state != KVM_MP_STATE_RUNNABLE ||
	    (READ_ONCE(vcpu->requests) & LODGE_REQ_BREAK) || need_resched() ||
	    signal_pending(current))
		return false;
	if (vmx->irq_window && (vcpu->rflags & X86_EFLAGS_IF) && !shadow)
		return false;
	return !(vmx->nmi_window || vmx->nmi_behind_sti) || shadow || vmx_nmi_masked(vcpu);
}

int vmx_emulate(struct lodge_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vmx_of(vcpu);
	int r = deliver(vcpu);

	lodge_timer_counted(vcpu);
	for (unsigned int n = 0; r > 0 && n < AT_ONCE && goes_on(vcpu) && !vmx_enters(vcpu); n++)
		r = lodge_emulate_next(vcpu);
	vmx->nmi_window = vmx->nmi_behind_sti = false;
	return r;
}

/* ---- Without paging -------------------------------------------------------------------------------------------- */

static u32 *identity; /* 4 MiB pages, accessed and written already: no processor writes there */

bool vmx_unpaged(const struct lodge_vcpu *vcpu)
{
	return !vmx_caps.unrestricted && !(vcpu->cr0 & X86_CR0_PG);
}

u64 vmx_identity_cr3(const struct lodge_vcpu *vcpu)
{
	u64 addr = vcpu->vm->identity_addr;

	return (addr ? addr : DEFAULT_ADDR) & PAGE_MASK & U32_MAX;
}

/* All VMs have the same, and find it where the user wants it, if no slot is there. */
int vmx_identity_fault(struct lodge_vcpu *vcpu, u64 gpa)
{
	struct lodge_vm *vm = vcpu->vm;
	bool flush = false;
	int r;

	if (!vmx_unpaged(vcpu) || (gpa & LODGE_PTE_ADDR) != vmx_identity_cr3(vcpu))
		return 0;
	r = lodge_spares_fill(vcpu);
	if (r)
		return r;
	spin_lock(&vm->mmu_lock);
	lodge_table_set(vcpu, gpa >> PAGE_SHIFT, 1, __pa(identity) | LODGE_PTE_P | VMX_EPT_LEAF,
			&flush); /* nothing was there */
	spin_unlock(&vm->mmu_lock);
	return 1;
}

int vmx_identity_make(void)
{
	identity = (u32 *)get_zeroed_page(GFP_KERNEL);
	for (unsigned int i = 0; identity && i < PDES; i++)
		identity[i] = i << 22 | _PAGE_PRESENT | _PAGE_RW | _PAGE_USER | _PAGE_ACCESSED |
			      _PAGE_DIRTY | _PAGE_PSE;
	return identity ? 0 : -ENOMEM;
}

void vmx_identity_free(void)
{
	free_page((unsigned long)identity);
}
