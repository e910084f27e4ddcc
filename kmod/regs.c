// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A vCPU's registers, to and from user space; and what they are after a reset.
 * Source: Linux, Documentation/virt/kvm/api.rst §4; AMD APM vol. 2 §14.1.3 (initial state).
 * Threads: with vcpu->lock.
 */
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <asm/msr-index.h>
#include <asm/tsc.h>

#include "compat/compat.h"
#include "lodge.h"

/* ---- Segments ---------------------------------------------------------------------------------------- */

u16 lodge_seg_attr(const struct kvm_segment *s)
{
	return (s->type & 15) | (s->s & 1) << 4 | (s->dpl & 3) << 5 | (s->present & 1) << 7 |
	       (s->avl & 1) << 12 | (s->l & 1) << 13 | (s->db & 1) << 14 | (s->g & 1) << 15;
}
EXPORT_SYMBOL_GPL(lodge_seg_attr);

void lodge_seg_set_attr(struct kvm_segment *s, u16 attr)
{
	s->type = attr & 15;
	s->s = attr >> 4 & 1;
	s->dpl = attr >> 5 & 3;
	s->present = attr >> 7 & 1;
	s->avl = attr >> 12 & 1;
	s->l = attr >> 13 & 1;
	s->db = attr >> 14 & 1;
	s->g = attr >> 15 & 1;
}
EXPORT_SYMBOL_GPL(lodge_seg_set_attr);

/* ---- Reset ------------------------------------------------------------------------------------------- */

static void reset_segs(struct lodge_vcpu *vcpu)
{
	struct kvm_dtable none = {.limit = 0xffff};

	for (enum lodge_seg n = LODGE_ES; n <= LODGE_LDTR; n++) {
		struct kvm_segment s = {.limit = 0xffff, .present = 1, .s = 1, .type = 3};

		if (n == LODGE_CS) {
			s.selector = 0xf000;
			s.base = 0xffff0000;
			s.type = 11;
		} else if (n == LODGE_TR || n == LODGE_LDTR) {
			s.s = 0;
			s.type = n == LODGE_TR ? 11 : 2;
		}
		lodge_ops->set_seg(vcpu, n, &s);
	}
	lodge_ops->set_tables(vcpu, &none, &none);
}

void lodge_vcpu_reset(struct lodge_vcpu *vcpu)
{
	memset(vcpu->regs, 0, sizeof(vcpu->regs));
	vcpu->regs[LODGE_RDX] = 0x600;
	vcpu->rip = 0xfff0;
	vcpu->rflags = 2;
	vcpu->cr0 = X86_CR0_ET | X86_CR0_NW | X86_CR0_CD;
	vcpu->cr2 = vcpu->cr3 = vcpu->cr4 = vcpu->cr8 = vcpu->efer = 0;
	vcpu->xcr0 = 1;
	memset(vcpu->dr, 0, sizeof(vcpu->dr));
	vcpu->dr6 = 0xffff0ff0;
	vcpu->dr7 = 0x400;
	vcpu->msrs = (struct lodge_msrs){.pat = 0x0007040600070406ull,
					 .misc_enable = 1,
					 .apic_base = 0xfee00800 | (vcpu->id ? 0 : 0x100)};
	vcpu->tsc_offset = lodge_tsc_offset(vcpu->vm, 0);
	vcpu->msrs.poll_control = 1;
	vcpu->mp_state =
		vcpu->apic && vcpu->id ? KVM_MP_STATE_UNINITIALIZED : KVM_MP_STATE_RUNNABLE;
	vcpu->ev = (struct lodge_events){0};
	vcpu->ext_irq = -1;
	if (vcpu->apic)
		lodge_apic_reset(vcpu);
	reset_segs(vcpu);
	lodge_ops->state_changed(vcpu);
	lodge_ops->tsc_changed(vcpu);
}
EXPORT_SYMBOL_GPL(lodge_vcpu_reset);

/* What an INIT leaves alone: MSRs, vector registers, caches, time (SDM 3A table 9-1). */
void lodge_vcpu_init(struct lodge_vcpu *vcpu)
{
	struct lodge_msrs msrs = vcpu->msrs;
	u64 caches = vcpu->cr0 & (X86_CR0_CD | X86_CR0_NW), xcr0 = vcpu->xcr0;
	s64 tsc_offset = vcpu->tsc_offset;

	lodge_vcpu_reset(vcpu);
	vcpu->msrs = msrs;
	vcpu->xcr0 = xcr0;
	vcpu->tsc_offset = tsc_offset;
	vcpu->cr0 = X86_CR0_ET | caches;
	lodge_emulate_drop(vcpu);
	lodge_ops->set_shadow(vcpu, 0);
	lodge_ops->set_nmi_masked(vcpu, false);
	lodge_ops->state_changed(vcpu);
	lodge_ops->tsc_changed(vcpu);
	set_bit(LODGE_REQ_FLUSH, &vcpu->requests);
	vcpu->mp_state = vcpu->msrs.apic_base & MSR_IA32_APICBASE_BSP ? KVM_MP_STATE_RUNNABLE
								      : KVM_MP_STATE_INIT_RECEIVED;
}

/* ---- General ----------------------------------------------------------------------------------------- */

/* struct kvm_regs has them in an order of its own. */
static const u8 order[] = {LODGE_RAX, LODGE_RBX, LODGE_RCX, LODGE_RDX, LODGE_RSI, LODGE_RDI,
			   LODGE_RSP, LODGE_RBP, 8,	    9,	       10,	  11,
			   12,	      13,	 14,	    15};

static void get_regs(struct lodge_vcpu *vcpu, struct kvm_regs *r)
{
	u64 *out = &r->rax;

	for (unsigned int i = 0; i < LODGE_GPRS; i++)
		out[i] = vcpu->regs[order[i]];
	r->rip = vcpu->rip;
	r->rflags = vcpu->rflags;
	/* A debugger's steps are not the guest's. */
	if (vcpu->debug.control & KVM_GUESTDBG_SINGLESTEP)
		r->rflags &= ~(u64)X86_EFLAGS_TF;
}

static int set_regs(struct lodge_vcpu *vcpu, const struct kvm_regs *r)
{
	const u64 *in = &r->rax;

	for (unsigned int i = 0; i < LODGE_GPRS; i++)
		vcpu->regs[order[i]] = in[i];
	vcpu->rip = r->rip;
	vcpu->rflags = r->rflags | X86_EFLAGS_FIXED;
	if (vcpu->debug.control & KVM_GUESTDBG_SINGLESTEP)
		vcpu->rflags |= X86_EFLAGS_TF;
	vcpu->ev.ex = (struct lodge_exception){0};
	lodge_emulate_drop(vcpu);
	return 0;
}

/* ---- Special ----------------------------------------------------------------------------------------- */

/* Where struct kvm_sregs has them. */
#define AT(field) offsetof(struct kvm_sregs, field)
static const u8 seg_at[] = {AT(es), AT(cs), AT(ss), AT(ds), AT(fs), AT(gs), AT(tr), AT(ldt)};
static_assert(LODGE_GS == 5 && LODGE_TR == 6 && LODGE_LDTR == 7);

static void get_sregs_common(struct lodge_vcpu *vcpu, struct kvm_sregs *s)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(seg_at); i++)
		lodge_ops->get_seg(vcpu, i, (void *)s + seg_at[i]);
	lodge_ops->get_tables(vcpu, &s->gdt, &s->idt);
	s->cr0 = vcpu->cr0;
	s->cr2 = vcpu->cr2;
	s->cr3 = vcpu->cr3;
	s->cr4 = vcpu->cr4;
	s->cr8 = vcpu->cr8;
	s->efer = vcpu->efer;
	s->apic_base = vcpu->msrs.apic_base;
}

static bool sregs_valid(const struct kvm_sregs *s)
{
	bool pg = s->cr0 & X86_CR0_PG;

	if (pg && !(s->cr0 & X86_CR0_PE))
		return false;
	if ((s->cr0 & X86_CR0_NW) && !(s->cr0 & X86_CR0_CD))
		return false;
	if ((s->cr0 | s->cr8) >> 32 || !lodge_cr4_exists(s->cr4))
		return false;
	if (s->efer & ~(EFER_SCE | EFER_LME | EFER_LMA | lodge_ops->efer_bits))
		return false;
	if ((s->efer & EFER_LME) && pg && !((s->cr4 & X86_CR4_PAE) && (s->efer & EFER_LMA)))
		return false;
	return !(s->efer & EFER_LMA) || (pg && (s->efer & EFER_LME));
}

static int set_sregs_common(struct lodge_vcpu *vcpu, const struct kvm_sregs *s)
{
	if (!sregs_valid(s) || lodge_apic_set_base(vcpu, s->apic_base, true))
		return -EINVAL;
	vcpu->cr0 = s->cr0 | X86_CR0_ET;
	vcpu->cr2 = s->cr2;
	vcpu->cr3 = s->cr3;
	vcpu->cr4 = s->cr4;
	lodge_apic_cr8(vcpu, s->cr8);
	vcpu->efer = s->efer;
	for (unsigned int i = 0; i < ARRAY_SIZE(seg_at); i++)
		lodge_ops->set_seg(vcpu, i, (const void *)s + seg_at[i]);
	lodge_ops->set_tables(vcpu, &s->gdt, &s->idt);
	lodge_ops->state_changed(vcpu);
	set_bit(LODGE_REQ_FLUSH, &vcpu->requests);
	lodge_emulate_drop(vcpu);
	return 0;
}

static void get_sregs(struct lodge_vcpu *vcpu, struct kvm_sregs *s)
{
	memset(s, 0, sizeof(*s));
	get_sregs_common(vcpu, s);
	if (vcpu->ev.irq_injected && !vcpu->ev.irq_soft)
		s->interrupt_bitmap[vcpu->ev.irq / 64] |= 1ull << (vcpu->ev.irq & 63);
}

static int set_sregs(struct lodge_vcpu *vcpu, const struct kvm_sregs *s)
{
	int r = set_sregs_common(vcpu, s);

	for (unsigned int i = 0; !r && i < 256; i++) {
		if (!(s->interrupt_bitmap[i / 64] >> (i & 63) & 1))
			continue;
		vcpu->ev.irq_injected = true;
		vcpu->ev.irq_soft = false;
		vcpu->ev.irq = i;
		break;
	}
	return r;
}

/* The two share all but their ends; the second's PDPTRs are read from memory by this hardware. */
#define SREGS_SHARED offsetof(struct kvm_sregs2, flags)
static_assert(offsetof(struct kvm_sregs, interrupt_bitmap) == SREGS_SHARED);

static void get_sregs2(struct lodge_vcpu *vcpu, struct kvm_sregs2 *s)
{
	struct kvm_sregs old = {0};

	get_sregs_common(vcpu, &old);
	memset(s, 0, sizeof(*s));
	memcpy(s, &old, SREGS_SHARED);
}

static int set_sregs2(struct lodge_vcpu *vcpu, const struct kvm_sregs2 *s)
{
	struct kvm_sregs old = {0};

	if (s->flags & ~(u64)KVM_SREGS2_FLAGS_PDPTRS_VALID)
		return -EINVAL;
	memcpy(&old, s, SREGS_SHARED);
	return set_sregs_common(vcpu, &old);
}

/* ---- Vectors ----------------------------------------------------------------------------------------- */

static void get_xsave(struct lodge_vcpu *vcpu, struct kvm_xsave *x)
{
	lodge_fpu_out(&vcpu->fpu, x->region, sizeof(x->region));
}

static int set_xsave(struct lodge_vcpu *vcpu, const struct kvm_xsave *x)
{
	return lodge_fpu_in(&vcpu->fpu, x->region, lodge_xcr0_supported() | 3);
}

static void copy(void *to, void *from, size_t bytes, bool back)
{
	memcpy(back ? from : to, back ? to : from, bytes);
}

/* FXSAVE's image, which an XSAVE area begins with; `back`: into it. */
static void move_fpu(struct kvm_fpu *f, struct fxregs_state *fx, bool back)
{
	copy(f->fpr, fx->st_space, sizeof(f->fpr), back);
	copy(&f->fcw, &fx->cwd, 2, back);
	copy(&f->fsw, &fx->swd, 2, back);
	copy(&f->ftwx, &fx->twd, 1, back);
	copy(&f->last_opcode, &fx->fop, 2, back);
	copy(&f->last_ip, &fx->rip, 8, back);
	copy(&f->last_dp, &fx->rdp, 8, back);
	copy(f->xmm, fx->xmm_space, sizeof(f->xmm), back);
	copy(&f->mxcsr, &fx->mxcsr, 4, back);
}

static int do_fpu(struct lodge_vcpu *vcpu, struct kvm_fpu *f, bool set)
{
	struct kvm_xsave *x = kzalloc(sizeof(*x), GFP_KERNEL_ACCOUNT);
	int r = 0;

	if (!x)
		return -ENOMEM;
	get_xsave(vcpu, x);
	move_fpu(f, (struct fxregs_state *)x->region, set);
	if (set) {
		x->region[512 / 4] |= 3; /* XSTATE_BV: x87 and SSE are not as after a reset */
		r = set_xsave(vcpu, x);
	}
	kfree(x);
	return r;
}

static void get_xcrs(struct lodge_vcpu *vcpu, struct kvm_xcrs *x)
{
	memset(x, 0, sizeof(*x));
	if (!lodge_xcr0_supported())
		return;
	x->nr_xcrs = 1;
	x->xcrs[0].value = vcpu->xcr0;
}

static int set_xcrs(struct lodge_vcpu *vcpu, const struct kvm_xcrs *x)
{
	if (!lodge_xcr0_supported() || x->nr_xcrs > KVM_MAX_XCRS || x->flags)
		return -EINVAL;
	for (unsigned int i = 0; i < x->nr_xcrs; i++) {
		if (x->xcrs[i].xcr == 0)
			return lodge_set_xcr0(vcpu, x->xcrs[i].value);
	}
	return 0;
}

/* ---- The rest ---------------------------------------------------------------------------------------- */

static void get_debugregs(struct lodge_vcpu *vcpu, struct kvm_debugregs *d)
{
	memset(d, 0, sizeof(*d));
	memcpy(d->db, vcpu->dr, sizeof(d->db));
	d->dr6 = vcpu->dr6;
	d->dr7 = vcpu->dr7;
}

static int set_debugregs(struct lodge_vcpu *vcpu, const struct kvm_debugregs *d)
{
	if (d->flags || d->dr6 >> 32 || d->dr7 >> 32)
		return -EINVAL;
	memcpy(vcpu->dr, d->db, sizeof(vcpu->dr));
	vcpu->dr6 = d->dr6;
	vcpu->dr7 = d->dr7;
	lodge_ops->state_changed(vcpu);
	return 0;
}

static int set_mp_state(struct lodge_vcpu *vcpu, const struct kvm_mp_state *m)
{
	/* Without a local APIC here all else is user space's. */
	if (m->mp_state > KVM_MP_STATE_SIPI_RECEIVED ||
	    (!vcpu->apic && m->mp_state != KVM_MP_STATE_RUNNABLE))
		return -EINVAL;
	vcpu->mp_state = m->mp_state;
	if (m->mp_state == KVM_MP_STATE_SIPI_RECEIVED) {
		vcpu->mp_state = KVM_MP_STATE_INIT_RECEIVED;
		set_bit(LODGE_REQ_SIPI, &vcpu->requests);
	}
	return 0;
}

static int tsc_attr(struct lodge_vcpu *vcpu, unsigned int cmd, const struct kvm_device_attr *attr)
{
	u64 __user *p = (u64 __user *)(unsigned long)attr->addr;
	u64 val;

	if (attr->group != KVM_VCPU_TSC_CTRL || attr->attr != KVM_VCPU_TSC_OFFSET)
		return -ENXIO;
	if (cmd == KVM_HAS_DEVICE_ATTR)
		return 0;
	if (cmd == KVM_GET_DEVICE_ATTR)
		return put_user(vcpu->tsc_offset + lodge_tsc_lost, p);
	if (get_user(val, p))
		return -EFAULT;
	vcpu->tsc_offset = val - lodge_tsc_lost;
	lodge_tsc_moved(vcpu);
	return 0;
}

union buffer {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_sregs2 sregs2;
	struct kvm_fpu fpu;
	struct kvm_xsave xsave;
	struct kvm_xcrs xcrs;
	struct kvm_vcpu_events events;
	struct kvm_debugregs debugregs;
	struct kvm_mp_state mp;
	struct kvm_guest_debug debug;
	struct kvm_device_attr attr;
	struct kvm_lapic_state lapic;
};

static long get(struct lodge_vcpu *vcpu, unsigned int cmd, union buffer *b)
{
	switch (cmd) {
	case KVM_GET_REGS:
		get_regs(vcpu, &b->regs);
		return 0;
	case KVM_GET_SREGS:
		get_sregs(vcpu, &b->sregs);
		return 0;
	case KVM_GET_SREGS2:
		get_sregs2(vcpu, &b->sregs2);
		return 0;
	case KVM_GET_FPU:
		return do_fpu(vcpu, &b->fpu, false);
	case KVM_GET_XSAVE:
		get_xsave(vcpu, &b->xsave);
		return 0;
	case KVM_GET_XCRS:
		get_xcrs(vcpu, &b->xcrs);
		return 0;
	case KVM_GET_VCPU_EVENTS:
		lodge_events_get(vcpu, &b->events);
		return 0;
	case KVM_GET_DEBUGREGS:
		get_debugregs(vcpu, &b->debugregs);
		return 0;
	case KVM_GET_LAPIC:
		if (!vcpu->apic)
			return -EINVAL;
		lodge_apic_get(vcpu, &b->lapic);
		return 0;
	case KVM_GET_MP_STATE:
		lodge_take_requests(vcpu);
		b->mp.mp_state = vcpu->mp_state;
		return 0;
	}
	return -ENOTTY;
}

static long set(struct lodge_vcpu *vcpu, unsigned int cmd, union buffer *b)
{
	switch (cmd) {
	case KVM_SET_REGS:
		return set_regs(vcpu, &b->regs);
	case KVM_SET_SREGS:
		return set_sregs(vcpu, &b->sregs);
	case KVM_SET_SREGS2:
		return set_sregs2(vcpu, &b->sregs2);
	case KVM_SET_FPU:
		return do_fpu(vcpu, &b->fpu, true);
	case KVM_SET_XSAVE:
		return set_xsave(vcpu, &b->xsave);
	case KVM_SET_XCRS:
		return set_xcrs(vcpu, &b->xcrs);
	case KVM_SET_VCPU_EVENTS:
		return lodge_events_set(vcpu, &b->events);
	case KVM_SET_DEBUGREGS:
		return set_debugregs(vcpu, &b->debugregs);
	case KVM_SET_LAPIC:
		return vcpu->apic ? lodge_apic_set(vcpu, &b->lapic) : -EINVAL;
	case KVM_SET_MP_STATE:
		return set_mp_state(vcpu, &b->mp);
	case KVM_SET_GUEST_DEBUG:
		return lodge_debug_set(vcpu, &b->debug);
	case KVM_HAS_DEVICE_ATTR:
	case KVM_GET_DEVICE_ATTR:
	case KVM_SET_DEVICE_ATTR:
		return tsc_attr(vcpu, cmd, &b->attr);
	}
	return -ENOTTY;
}

/* The attribute's ioctls are all of the kind that user space writes. */
long lodge_regs_ioctl(struct lodge_vcpu *vcpu, unsigned int cmd, void __user *arg)
{
	size_t size = _IOC_SIZE(cmd);
	union buffer *b;
	long r;

	if (cmd == KVM_GET_TSC_KHZ)
		return tsc_khz;
	if (cmd == KVM_SET_TSC_KHZ)
		return !arg || (unsigned long)arg == tsc_khz ? 0 : -EINVAL;
	if (_IOC_TYPE(cmd) != KVMIO || size > sizeof(*b))
		return -ENOTTY;
	b = kzalloc(sizeof(*b), GFP_KERNEL_ACCOUNT);
	if (!b)
		return -ENOMEM;
	if (_IOC_DIR(cmd) == _IOC_READ) {
		r = get(vcpu, cmd, b);
		if (!r && copy_to_user(arg, b, size))
			r = -EFAULT;
	} else if (copy_from_user(b, arg, size)) {
		r = -EFAULT;
	} else {
		r = set(vcpu, cmd, b);
	}
	kfree(b);
	return r;
}
