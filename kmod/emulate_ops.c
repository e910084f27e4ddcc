// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Between the emulator, which knows no kernel, and a vCPU: what it reads, writes and asks for.
 * Source: emulate.h; Linux, Documentation/virt/kvm/api.rst §5 (KVM_EXIT_IO, KVM_EXIT_MMIO).
 * Threads: the vCPU's own; srcu is held; may sleep.
 */
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <asm/fpu/api.h>

#include "emulate.h"
#include "lodge.h"

/* Its names for the processor's bits are user space's, which are the kernel's too. */
#define DR6_BS (1u << 14)
#define DR6_BT (1u << 15)

/* It has the core's numbers. */
static_assert(LODGE_EMU_W == LODGE_WRITE && LODGE_EMU_X == LODGE_FETCH &&
	      LODGE_EMU_U == LODGE_USER && LODGE_EMU_SYS == LODGE_SYSTEM);
static_assert((int)LODGE_EMU_GS == (int)LODGE_GS && (int)LODGE_EMU_TR == (int)LODGE_TR &&
	      (int)LODGE_EMU_LDTR == (int)LODGE_LDTR);
static_assert(LODGE_EMU_SHADOW_SS == KVM_X86_SHADOW_INT_MOV_SS &&
	      LODGE_EMU_SHADOW_STI == KVM_X86_SHADOW_INT_STI);

static int gp(struct lodge_emu_exception *ex)
{
	*ex = (struct lodge_emu_exception){.vector = LODGE_GP, .has_error = true};
	return LODGE_EMU_FAULT;
}

/* ---- Memory ---------------------------------------------------------------------------------------------- */

/* User space has taken memory away: that is its own fault, no instruction's that cannot be emulated. */
static int broken(struct lodge_vcpu *vcpu, int r)
{
	vcpu->memory_gone = r == -EIO;
	return LODGE_EMU_BROKEN;
}

static int translate(void *cpu, uint64_t lin, unsigned int access, uint64_t *gpa,
		     struct lodge_emu_exception *ex)
{
	struct lodge_walk w;
	int r = lodge_walk(cpu, lin, access & ~LODGE_EMU_R, &w);

	if (!r) {
		*gpa = w.gpa;
		return LODGE_EMU_OK;
	}
	if (r != -EFAULT)
		return broken(cpu, r);
	*ex = (struct lodge_emu_exception){.vector = LODGE_PF,
					   .has_error = true,
					   .error = w.error,
					   .cr2 = lin};
	return LODGE_EMU_FAULT;
}

static int outcome(struct lodge_vcpu *vcpu, int r)
{
	return !r ? LODGE_EMU_OK : r == -ENOENT ? LODGE_EMU_MMIO : broken(vcpu, r);
}

static int mem_read(void *cpu, uint64_t gpa, void *buf, unsigned int len)
{
	struct lodge_vcpu *vcpu = cpu;

	return outcome(vcpu, lodge_read_gpa(vcpu->vm, gpa, buf, len));
}

static int mem_write(void *cpu, uint64_t gpa, const void *buf, unsigned int len)
{
	struct lodge_vcpu *vcpu = cpu;

	return outcome(vcpu, lodge_write_gpa(vcpu->vm, gpa, buf, len));
}

static int mem_cmpxchg(void *cpu, uint64_t gpa, const void *old, const void *new, unsigned int len)
{
	struct lodge_vcpu *vcpu = cpu;
	int r = lodge_cmpxchg_gpa(vcpu->vm, gpa, old, new, len);

	return r == -EAGAIN ? LODGE_EMU_AGAIN : outcome(vcpu, r);
}

static int mmio(void *cpu, uint64_t gpa, void *buf, unsigned int len, bool write)
{
	return lodge_device_mmio(cpu, gpa, buf, len, write) ? LODGE_EMU_OK : LODGE_EMU_USER;
}

/* All elements, or none. */
static int pio(void *cpu, uint16_t port, unsigned int size, void *buf, unsigned int count,
	       bool write)
{
	for (unsigned int i = 0; i < count; i++) {
		if (lodge_device_port(cpu, port, buf + i * size, size, write))
			continue;
		/* One that rings a bell for some values alone: the others are not told of. */
		if (!i)
			return LODGE_EMU_USER;
	}
	return LODGE_EMU_OK;
}

/* ---- Registers ------------------------------------------------------------------------------------------- */

/* GDTR and IDTR are `t`. */
static bool get_table(struct lodge_vcpu *vcpu, unsigned int n, struct kvm_dtable t[2])
{
	if (n >= LODGE_EMU_GDTR)
		lodge_ops->get_tables(vcpu, &t[0], &t[1]);
	return n >= LODGE_EMU_GDTR;
}

static void get_seg(void *cpu, unsigned int n, struct lodge_emu_seg *s)
{
	struct kvm_dtable t[2], *table = &t[n == LODGE_EMU_IDTR];
	struct kvm_segment k;

	if (get_table(cpu, n, t)) {
		*s = (struct lodge_emu_seg){.base = table->base, .limit = table->limit};
		return;
	}
	lodge_ops->get_seg(cpu, n, &k);
	*s = (struct lodge_emu_seg){
		.base = k.base,
		.limit = k.limit,
		.sel = k.selector,
		.attr = lodge_seg_attr(&k),
		.unusable = k.unusable,
	};
}

static void set_seg(void *cpu, unsigned int n, const struct lodge_emu_seg *s)
{
	struct kvm_segment k = {
		.base = s->base,
		.limit = s->limit,
		.selector = s->sel,
		.unusable = s->unusable,
	};
	struct kvm_dtable t[2];

	lodge_seg_set_attr(&k, s->attr);
	if (get_table(cpu, n, t)) {
		t[n == LODGE_EMU_IDTR].base = s->base;
		t[n == LODGE_EMU_IDTR].limit = s->limit;
		lodge_ops->set_tables(cpu, &t[0], &t[1]);
		return;
	}
	lodge_ops->set_seg(cpu, n, &k);
}

static u64 *cr_of(struct lodge_vcpu *vcpu, u32 n)
{
	u64 *const all[] = {&vcpu->cr0, NULL, &vcpu->cr2, &vcpu->cr3, &vcpu->cr4};

	return n < ARRAY_SIZE(all) ? all[n] : &vcpu->cr8;
}

static u64 *dr_of(struct lodge_vcpu *vcpu, u32 n)
{
	return n < 4 ? &vcpu->dr[n] : n & 1 ? &vcpu->dr7 : &vcpu->dr6;
}

/* User space's filter is for instructions that name it; it is not asked, as it is by exits. */
static bool filtered(struct lodge_vcpu *vcpu, u32 msr)
{
	unsigned int op = vcpu->emu->insn.op;

	return (op == X86_OP_RDMSR || op == X86_OP_WRMSR) &&
	       !lodge_msr_allowed(vcpu->vm, msr, op == X86_OP_WRMSR);
}

static int get_sys(void *cpu, enum lodge_emu_kind kind, uint32_t n, uint64_t *v,
		   struct lodge_emu_exception *ex)
{
	struct lodge_vcpu *vcpu = cpu;

	if (kind == LODGE_EMU_CR)
		*v = *cr_of(vcpu, n);
	else if (kind == LODGE_EMU_DR)
		*v = *dr_of(vcpu, n);
	else if (kind == LODGE_EMU_MSR)
		return filtered(vcpu, n) || lodge_msr_read(vcpu, n, v) ? gp(ex) : LODGE_EMU_OK;
	else
		*v = vcpu->xcr0;
	return kind == LODGE_EMU_XCR && n ? gp(ex) : LODGE_EMU_OK;
}

static int set_cr(struct lodge_vcpu *vcpu, u32 n, u64 v)
{
	if (n == 0)
		return lodge_set_cr0(vcpu, v);
	if (n == 3)
		return lodge_set_cr3(vcpu, v);
	if (n == 4)
		return lodge_set_cr4(vcpu, v);
	if (n == 2) {
		vcpu->cr2 = v;
		return 0;
	}
	if (v > 15)
		return -EINVAL;
	vcpu->tpr_lowered = v < vcpu->cr8 && !vcpu->apic;
	lodge_apic_cr8(vcpu, v);
	return 0;
}

static int set_dr(struct lodge_vcpu *vcpu, u32 n, u64 v)
{
	if (n >= 4 && v >> 32)
		return -EINVAL;
	if (n >= 4)
		v = n & 1 ? (v & 0xffff2fffu) | 0x400 : (v & 0xe00f) | 0xffff0ff0u;
	*dr_of(vcpu, n) = v;
	lodge_ops->state_changed(vcpu);
	return 0;
}

static int set_sys(void *cpu, enum lodge_emu_kind kind, uint32_t n, uint64_t v,
		   struct lodge_emu_exception *ex)
{
	struct lodge_vcpu *vcpu = cpu;
	struct lodge_emu *e = vcpu->emu;
	int r;

	if (kind == LODGE_EMU_CR)
		r = set_cr(vcpu, n, v);
	else if (kind == LODGE_EMU_DR)
		r = set_dr(vcpu, n, v);
	else if (kind == LODGE_EMU_MSR)
		r = filtered(vcpu, n) ? -EINVAL : lodge_msr_write(vcpu, n, v, false);
	else
		r = n ? -EINVAL : lodge_set_xcr0(vcpu, v);
	e->cr0 = vcpu->cr0;
	e->cr4 = vcpu->cr4;
	e->efer = vcpu->efer;
	return r ? gp(ex) : LODGE_EMU_OK;
}

static int cpuid_regs(void *cpu, uint32_t regs[4])
{
	lodge_cpuid_query(cpu, regs);
	return LODGE_EMU_OK;
}

/* ---- Vector registers: they are in the processor, or about to be ------------------------------------------- */

static void lock_fpu(void)
{
	fpregs_lock();
	if (test_thread_flag(TIF_NEED_FPU_LOAD))
		switch_fpu_return();
}

/* One of them, out or in. */
static int move_xmm(unsigned int reg, void *out, const void *in, unsigned int len)
{
	struct fxregs_state fx __aligned(16);

	if (len != sizeof(fx.xmm_space) / 16 || reg > 15)
		return LODGE_EMU_BROKEN;
	lock_fpu();
	asm volatile("fxsaveq %0" : "=m"(fx));
	if (out) {
		memcpy(out, &fx.xmm_space[4 * reg], len);
	} else {
		memcpy(&fx.xmm_space[4 * reg], in, len);
		asm volatile("fxrstorq %0" : : "m"(fx));
	}
	fpregs_unlock();
	return LODGE_EMU_OK;
}

static int get_vec(void *cpu, unsigned int reg, void *buf, unsigned int len)
{
	return move_xmm(reg, buf, NULL, len);
}

static int set_vec(void *cpu, unsigned int reg, const void *buf, unsigned int len)
{
	return move_xmm(reg, NULL, buf, len);
}

static int x87(void *cpu, unsigned int op, uint16_t *v)
{
	lock_fpu();
	if (op == X86_OP_FNINIT)
		asm volatile("fninit");
	else if (op == X86_OP_FNSTCW)
		asm volatile("fnstcw %0" : "=m"(*v));
	else
		asm volatile("fnstsw %0" : "=m"(*v));
	fpregs_unlock();
	return LODGE_EMU_OK;
}

static bool pending(void *cpu)
{
	return signal_pending(current);
}

static const struct lodge_emu_ops ops = {
	.translate = translate,
	.read = mem_read,
	.write = mem_write,
	.cmpxchg = mem_cmpxchg,
	.mmio = mmio,
	.pio = pio,
	.get_seg = get_seg,
	.set_seg = set_seg,
	.get_sys = get_sys,
	.set_sys = set_sys,
	.cpuid = cpuid_regs,
	.get_vec = get_vec,
	.set_vec = set_vec,
	.x87 = x87,
	.pending = pending,
};

/* ---- Results ----------------------------------------------------------------------------------------------- */

static int finish(struct lodge_vcpu *vcpu, enum lodge_emu_result r);

static int answered(struct lodge_vcpu *vcpu)
{
	struct lodge_emu *e = vcpu->emu;
	struct lodge_emu_io *io = &e->io;

	if (!io->write)
		memcpy(io->data, io->port ? vcpu->pio : vcpu->run->mmio.data, io->size * io->count);
	return finish(vcpu, lodge_emu_resume(e));
}

static int ask_user(struct lodge_vcpu *vcpu)
{
	const struct lodge_emu_io *io = &vcpu->emu->io;
	struct kvm_run *run = vcpu->run;

	vcpu->complete = answered;
	if (!io->port) {
		run->mmio.phys_addr = io->addr;
		run->mmio.len = io->size;
		run->mmio.is_write = io->write;
		memcpy(run->mmio.data, io->data, sizeof(run->mmio.data));
		return lodge_exit(vcpu, KVM_EXIT_MMIO);
	}
	run->io.direction = io->write ? KVM_EXIT_IO_OUT : KVM_EXIT_IO_IN;
	run->io.size = io->size;
	run->io.port = io->addr;
	run->io.count = io->count;
	run->io.data_offset = PAGE_SIZE;
	if (io->write)
		memcpy(vcpu->pio, io->data, io->size * io->count);
	return lodge_exit(vcpu, KVM_EXIT_IO);
}

static void take(struct lodge_vcpu *vcpu)
{
	const struct lodge_emu *e = vcpu->emu;

	memcpy(vcpu->regs, e->gpr, sizeof(vcpu->regs));
	vcpu->rip = e->rip;
	vcpu->rflags = e->rflags;
	lodge_ops->set_shadow(vcpu, e->shadow);
}

static int done(struct lodge_vcpu *vcpu)
{
	const struct lodge_emu *e = vcpu->emu;

	take(vcpu);
	if (e->todo == LODGE_EMU_TODO_INVLPG)
		set_bit(LODGE_REQ_FLUSH, &vcpu->requests);
	else if (e->todo == LODGE_EMU_TODO_HYPERCALL)
		vcpu->regs[LODGE_RAX] = -1000; /* KVM_ENOSYS */
	else if (e->todo == LODGE_EMU_TODO_IRET)
		lodge_ops->set_nmi_masked(vcpu, false);
	if (e->trap && (vcpu->debug.control & KVM_GUESTDBG_SINGLESTEP))
		return lodge_exit_debug(vcpu, LODGE_DB, 0xffff0ff0 | DR6_BS);
	if (e->trap || e->t_bit)
		lodge_queue_db(vcpu, (e->trap ? DR6_BS : 0) | (e->t_bit ? DR6_BT : 0));
	if (vcpu->tpr_lowered) {
		vcpu->tpr_lowered = false;
		return lodge_exit(vcpu, KVM_EXIT_SET_TPR);
	}
	return e->todo == LODGE_EMU_TODO_HLT ? lodge_halt(vcpu) : 1;
}

static void raise(struct lodge_vcpu *vcpu)
{
	const struct lodge_emu_exception *ex = &vcpu->emu->ex;

	if (ex->vector == LODGE_PF)
		lodge_queue_pf(vcpu, ex->cr2, ex->error);
	else if (ex->has_error)
		lodge_queue_error(vcpu, ex->vector, ex->error);
	else
		lodge_queue(vcpu, ex->vector);
}

static int refused(struct lodge_vcpu *vcpu)
{
	const struct lodge_emu *e = vcpu->emu;
	u64 bytes[2] = {0};

	if (vcpu->memory_gone)
		return -EFAULT;
	memcpy(bytes, e->bytes, sizeof(e->bytes));
	pr_warn_ratelimited("lodge: cannot emulate at %llx: %16phN\n", vcpu->rip, bytes);
	return lodge_exit_internal(vcpu, KVM_INTERNAL_ERROR_EMULATION, bytes[0], bytes[1]);
}

static int finish(struct lodge_vcpu *vcpu, enum lodge_emu_result r)
{
	struct lodge_emu *e = vcpu->emu;

	switch (r) {
	case LODGE_EMU_DONE:
		return done(vcpu);
	case LODGE_EMU_EXCEPTION:
		take(vcpu);
		raise(vcpu);
		return 1;
	case LODGE_EMU_EVENT:
		vcpu->rip = e->next_rip;
		vcpu->ev.irq_injected = vcpu->ev.irq_soft = true;
		vcpu->ev.irq = e->ex.vector;
		return 1;
	case LODGE_EMU_NEED_IO:
		return ask_user(vcpu);
	case LODGE_EMU_RETRY:
		return 1;
	case LODGE_EMU_SHUTDOWN:
		vcpu->ev.triple_fault = true;
		return 1;
	default:
		return refused(vcpu);
	}
}

static void fill(struct lodge_vcpu *vcpu, unsigned int hints)
{
	struct lodge_emu *e = vcpu->emu;

	memcpy(e->gpr, vcpu->regs, sizeof(e->gpr));
	e->rip = vcpu->rip;
	e->rflags = vcpu->rflags;
	e->cr0 = vcpu->cr0;
	e->cr4 = vcpu->cr4;
	e->efer = vcpu->efer;
	e->cpl = lodge_ops->cpl(vcpu);
	e->shadow = lodge_ops->get_shadow(vcpu);
	e->hints = hints;
	e->fetched = 0;
	vcpu->memory_gone = false;
}

int lodge_emulate(struct lodge_vcpu *vcpu, bool io_checked)
{
	fill(vcpu, LODGE_EMU_VALID | (io_checked ? LODGE_EMU_IO_CHECKED : 0));
	return finish(vcpu, lodge_emu_run(vcpu->emu));
}
EXPORT_SYMBOL_GPL(lodge_emulate);

int lodge_emulate_task_switch(struct lodge_vcpu *vcpu, u16 sel, unsigned int reason, bool has_error,
			      u32 error)
{
	fill(vcpu, 0);
	return finish(vcpu, lodge_emu_task_switch(vcpu->emu, sel, reason, has_error, error));
}
EXPORT_SYMBOL_GPL(lodge_emulate_task_switch);

int lodge_emulate_next(struct lodge_vcpu *vcpu)
{
	fill(vcpu, 0);
	/* A debugger's breakpoints. */
	if ((vcpu->debug.control & KVM_GUESTDBG_USE_SW_BP) &&
	    lodge_emu_decode(vcpu->emu) == LODGE_EMU_DONE && vcpu->emu->insn.op == X86_OP_INT3)
		return lodge_exit_debug(vcpu, LODGE_BP, 0);
	return finish(vcpu, lodge_emu_run(vcpu->emu));
}
EXPORT_SYMBOL_GPL(lodge_emulate_next);

int lodge_emulate_event(struct lodge_vcpu *vcpu, u8 vector, u64 return_rip)
{
	fill(vcpu, 0);
	return finish(vcpu, lodge_emu_real_event(vcpu->emu, vector, return_rip));
}
EXPORT_SYMBOL_GPL(lodge_emulate_event);

u64 lodge_insn_end(struct lodge_vcpu *vcpu)
{
	fill(vcpu, LODGE_EMU_VALID);
	return lodge_emu_decode(vcpu->emu) == LODGE_EMU_DONE ? vcpu->emu->next_rip : 0;
}
EXPORT_SYMBOL_GPL(lodge_insn_end);

/* ---- Life ---------------------------------------------------------------------------------------------------- */

int lodge_emulate_init(struct lodge_vcpu *vcpu)
{
	vcpu->emu = kvzalloc(sizeof(*vcpu->emu), GFP_KERNEL_ACCOUNT);
	if (!vcpu->emu)
		return -ENOMEM;
	lodge_emu_init(vcpu->emu, &ops, vcpu);
	/* As the instructions that the processor runs itself, whatever CPUID the guest has. */
	vcpu->emu->intel = boot_cpu_data.x86_vendor != X86_VENDOR_AMD &&
			   boot_cpu_data.x86_vendor != X86_VENDOR_HYGON;
	return 0;
}

void lodge_emulate_free(struct lodge_vcpu *vcpu)
{
	kvfree(vcpu->emu);
}

void lodge_emulate_drop(struct lodge_vcpu *vcpu)
{
	if (!lodge_emu_waits(vcpu->emu))
		return;
	lodge_emu_drop(vcpu->emu);
	if (vcpu->complete == answered)
		vcpu->complete = NULL;
}
