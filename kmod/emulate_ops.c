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
	unsigned int how = (access & LODGE_EMU_W ? LODGE_WRITE : 0) |
			   (access & LODGE_EMU_X ? LODGE_FETCH : 0) |
			   (access & LODGE_EMU_U ? LODGE_USER : 0) |
			   (access & LODGE_EMU_SYS ? LODGE_SYSTEM : 0);
	struct lodge_walk w;
	int r = lodge_walk(cpu, lin, how, &w);

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

static int answer(bool here)
{
	return here ? LODGE_EMU_OK : LODGE_EMU_USER;
}

static int mmio_read(void *cpu, uint64_t gpa, void *buf, unsigned int len)
{
	return answer(lodge_device_mmio(cpu, gpa, buf, len, false));
}

static int mmio_write(void *cpu, uint64_t gpa, const void *buf, unsigned int len)
{
	return answer(lodge_device_mmio(cpu, gpa, (void *)buf, len, true));
}

/* All elements, or none. */
static int ports(struct lodge_vcpu *vcpu, u16 port, unsigned int size, void *buf,
		 unsigned int count, bool write)
{
	for (unsigned int i = 0; i < count; i++) {
		if (lodge_device_port(vcpu, port, buf + i * size, size, write))
			continue;
		/* One that rings a bell for some values alone: the others are not told of. */
		if (!i)
			return LODGE_EMU_USER;
	}
	return LODGE_EMU_OK;
}

static int pio_in(void *cpu, uint16_t port, unsigned int size, void *buf, unsigned int count)
{
	return ports(cpu, port, size, buf, count, false);
}

static int pio_out(void *cpu, uint16_t port, unsigned int size, const void *buf, unsigned int count)
{
	return ports(cpu, port, size, (void *)buf, count, true);
}

/* ---- Registers ------------------------------------------------------------------------------------------- */

static enum lodge_seg seg_of(unsigned int n)
{
	return n == LODGE_EMU_LDTR ? LODGE_LDTR : n == LODGE_EMU_TR ? LODGE_TR : (enum lodge_seg)n;
}

static void get_seg(void *cpu, unsigned int n, struct lodge_emu_seg *s)
{
	struct kvm_segment k;

	lodge_ops->get_seg(cpu, seg_of(n), &k);
	*s = (struct lodge_emu_seg){
		.base = k.base,
		.limit = k.limit,
		.sel = k.selector,
		.attr = k.type | k.s << 4 | k.dpl << 5 | k.present << 7 | k.avl << 12 | k.l << 13 |
			k.db << 14 | k.g << 15,
		.unusable = k.unusable,
	};
}

static void set_seg(void *cpu, unsigned int n, const struct lodge_emu_seg *s)
{
	struct kvm_segment k = {
		.base = s->base,
		.limit = s->limit,
		.selector = s->sel,
		.type = s->attr & 15,
		.s = s->attr >> 4 & 1,
		.dpl = s->attr >> 5 & 3,
		.present = s->attr >> 7 & 1,
		.avl = s->attr >> 12 & 1,
		.l = s->attr >> 13 & 1,
		.db = s->attr >> 14 & 1,
		.g = s->attr >> 15 & 1,
		.unusable = s->unusable,
	};

	lodge_ops->set_seg(cpu, seg_of(n), &k);
}

static void get_table(void *cpu, unsigned int table, uint64_t *base, uint16_t *limit)
{
	struct kvm_dtable t[2];

	lodge_ops->get_tables(cpu, &t[LODGE_EMU_GDTR], &t[LODGE_EMU_IDTR]);
	*base = t[table].base;
	*limit = t[table].limit;
}

static void set_table(void *cpu, unsigned int table, uint64_t base, uint16_t limit)
{
	struct kvm_dtable t[2];

	lodge_ops->get_tables(cpu, &t[LODGE_EMU_GDTR], &t[LODGE_EMU_IDTR]);
	t[table].base = base;
	t[table].limit = limit;
	lodge_ops->set_tables(cpu, &t[LODGE_EMU_GDTR], &t[LODGE_EMU_IDTR]);
}

static int get_cr(void *cpu, unsigned int cr, uint64_t *v)
{
	const struct lodge_vcpu *vcpu = cpu;

	switch (cr) {
	case 0:
		*v = vcpu->cr0;
		return LODGE_EMU_OK;
	case 2:
		*v = vcpu->cr2;
		return LODGE_EMU_OK;
	case 3:
		*v = vcpu->cr3;
		return LODGE_EMU_OK;
	case 4:
		*v = vcpu->cr4;
		return LODGE_EMU_OK;
	case 8:
		*v = vcpu->cr8;
		return LODGE_EMU_OK;
	}
	return LODGE_EMU_BROKEN;
}

static int set_cr(void *cpu, unsigned int cr, uint64_t v, struct lodge_emu_exception *ex)
{
	struct lodge_vcpu *vcpu = cpu;
	struct lodge_emu *e = vcpu->emu;
	int r = 0;

	switch (cr) {
	case 0:
		r = lodge_set_cr0(vcpu, v);
		break;
	case 2:
		vcpu->cr2 = v;
		break;
	case 3:
		r = lodge_set_cr3(vcpu, v);
		break;
	case 4:
		r = lodge_set_cr4(vcpu, v);
		break;
	case 8:
		r = v > 15 ? -EINVAL : 0;
		vcpu->tpr_lowered = !r && v < vcpu->cr8 && !vcpu->apic;
		if (!r)
			lodge_apic_cr8(vcpu, v);
		break;
	default:
		return LODGE_EMU_BROKEN;
	}
	e->cr0 = vcpu->cr0;
	e->cr4 = vcpu->cr4;
	e->efer = vcpu->efer;
	return r ? gp(ex) : LODGE_EMU_OK;
}

static int get_dr(void *cpu, unsigned int dr, uint64_t *v)
{
	const struct lodge_vcpu *vcpu = cpu;

	*v = dr < 4 ? vcpu->dr[dr] : dr & 1 ? vcpu->dr7 : vcpu->dr6;
	return LODGE_EMU_OK;
}

static int set_dr(void *cpu, unsigned int dr, uint64_t v, struct lodge_emu_exception *ex)
{
	struct lodge_vcpu *vcpu = cpu;

	if (dr >= 4 && v >> 32)
		return gp(ex);
	if (dr < 4)
		vcpu->dr[dr] = v;
	else if (dr & 1)
		vcpu->dr7 = (v & 0xffff2fffu) | 0x400;
	else
		vcpu->dr6 = (v & 0xe00f) | 0xffff0ff0u;
	lodge_ops->state_changed(vcpu);
	return LODGE_EMU_OK;
}

static int get_msr(void *cpu, uint32_t msr, uint64_t *v, struct lodge_emu_exception *ex)
{
	return lodge_msr_read(cpu, msr, v) ? gp(ex) : LODGE_EMU_OK;
}

static int set_msr(void *cpu, uint32_t msr, uint64_t v, struct lodge_emu_exception *ex)
{
	return lodge_msr_write(cpu, msr, v, false) ? gp(ex) : LODGE_EMU_OK;
}

static int get_xcr(void *cpu, uint32_t xcr, uint64_t *v, struct lodge_emu_exception *ex)
{
	if (xcr)
		return gp(ex);
	*v = ((struct lodge_vcpu *)cpu)->xcr0;
	return LODGE_EMU_OK;
}

static int set_xcr(void *cpu, uint32_t xcr, uint64_t v, struct lodge_emu_exception *ex)
{
	return xcr || lodge_set_xcr0(cpu, v) ? gp(ex) : LODGE_EMU_OK;
}

static int cpuid_regs(void *cpu, uint32_t regs[4])
{
	lodge_cpuid_query(cpu, regs);
	return LODGE_EMU_OK;
}

/* ---- Vector registers: they are in the processor, or about to be ------------------------------------------- */

#define EACH(op, n)                                                        \
	case n:                                                            \
		if (op)                                                    \
			asm volatile("movdqu %%xmm" #n ", %0" : "=m"(*v)); \
		else                                                       \
			asm volatile("movdqu %0, %%xmm" #n : : "m"(*v));   \
		break;

struct vec {
	u64 q[2];
};

static void move_xmm(bool out, unsigned int reg, struct vec *v)
{
	fpregs_lock();
	if (test_thread_flag(TIF_NEED_FPU_LOAD))
		switch_fpu_return();
	switch (reg) {
		EACH(out, 0)
		EACH(out, 1)
		EACH(out, 2)
		EACH(out, 3) EACH(out, 4) EACH(out, 5) EACH(out, 6) EACH(out, 7) EACH(out, 8)
			EACH(out, 9) EACH(out, 10) EACH(out, 11) EACH(out, 12) EACH(out, 13)
				EACH(out, 14) EACH(out, 15)
	}
	fpregs_unlock();
}

static int get_vec(void *cpu, unsigned int reg, void *buf, unsigned int len)
{
	if (len != sizeof(struct vec) || reg > 15)
		return LODGE_EMU_BROKEN;
	move_xmm(true, reg, buf);
	return LODGE_EMU_OK;
}

static int set_vec(void *cpu, unsigned int reg, const void *buf, unsigned int len)
{
	struct vec v;

	if (len != sizeof(v) || reg > 15)
		return LODGE_EMU_BROKEN;
	memcpy(&v, buf, sizeof(v));
	move_xmm(false, reg, &v);
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
	.mmio_read = mmio_read,
	.mmio_write = mmio_write,
	.pio_in = pio_in,
	.pio_out = pio_out,
	.get_seg = get_seg,
	.set_seg = set_seg,
	.get_table = get_table,
	.set_table = set_table,
	.get_cr = get_cr,
	.set_cr = set_cr,
	.get_dr = get_dr,
	.set_dr = set_dr,
	.get_msr = get_msr,
	.set_msr = set_msr,
	.get_xcr = get_xcr,
	.set_xcr = set_xcr,
	.cpuid = cpuid_regs,
	.get_vec = get_vec,
	.set_vec = set_vec,
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
	lodge_ops->set_shadow(
		vcpu, (e->shadow & LODGE_EMU_SHADOW_STI ? KVM_X86_SHADOW_INT_STI : 0) |
			      (e->shadow & LODGE_EMU_SHADOW_SS ? KVM_X86_SHADOW_INT_MOV_SS : 0));
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
	case LODGE_EMU_REFUSED:
		return refused(vcpu);
	case LODGE_EMU_SHUTDOWN:
		vcpu->ev.triple_fault = true;
		return 1;
	}
	return refused(vcpu);
}

static void fill(struct lodge_vcpu *vcpu, unsigned int hints)
{
	struct lodge_emu *e = vcpu->emu;
	u32 shadow = lodge_ops->get_shadow(vcpu);

	memcpy(e->gpr, vcpu->regs, sizeof(e->gpr));
	e->rip = vcpu->rip;
	e->rflags = vcpu->rflags;
	e->cr0 = vcpu->cr0;
	e->cr4 = vcpu->cr4;
	e->efer = vcpu->efer;
	e->cpl = lodge_ops->cpl(vcpu);
	e->shadow = (shadow & KVM_X86_SHADOW_INT_STI ? LODGE_EMU_SHADOW_STI : 0) |
		    (shadow & KVM_X86_SHADOW_INT_MOV_SS ? LODGE_EMU_SHADOW_SS : 0);
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

u64 lodge_emulate_end(struct lodge_vcpu *vcpu)
{
	fill(vcpu, LODGE_EMU_VALID);
	return lodge_emu_decode(vcpu->emu) == LODGE_EMU_DONE ? vcpu->emu->next_rip : 0;
}
EXPORT_SYMBOL_GPL(lodge_emulate_end);

/* ---- Life ---------------------------------------------------------------------------------------------------- */

int lodge_emulate_init(struct lodge_vcpu *vcpu)
{
	vcpu->emu = kvzalloc(sizeof(*vcpu->emu), GFP_KERNEL_ACCOUNT);
	if (!vcpu->emu)
		return -ENOMEM;
	lodge_emu_init(vcpu->emu, &ops, vcpu);
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
