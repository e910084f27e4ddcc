// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The KVM engine's run loop: what asked for attention, events for the guest, KVM_RUN, its exits.
 *
 * Without interrupt controllers in the kernel the machine's own serve. So the kernel is told of one
 * interrupt at a time (KVM_INTERRUPT), when the guest can take it, and says when that is
 * (request_interrupt_window); HLT comes back, and INIT and SIPI are done here. With local APICs in
 * the kernel (irqchip.c) only the 8259s' interrupts come this way; HLT, INIT and SIPI stay there.
 *
 * Source: Linux, Documentation/virt/kvm/api.rst; Intel SDM 3A §9.1 (INIT), §8.4 (SIPI).
 * Threads: run() on the vCPU's own; the functions others may call say so in engine.h.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "engine/kvm/kvm_int.h"

static struct kvm_cpu *cpu_of(const struct vcpu *v)
{
	return (struct kvm_cpu *)(uintptr_t)v;
}

/* ---- State ---------------------------------------------------------------------------------- */

/* From now on only run() has the state, or no longer. */
static void set_runs(struct kvm_cpu *cpu, bool runs)
{
	pthread_mutex_lock(&cpu->lock);
	atomic_store(&cpu->runs, runs);
	pthread_mutex_unlock(&cpu->lock);
}

struct x86_state *kvm_op_state(struct vcpu *v)
{
	struct kvm_cpu *cpu = cpu_of(v);

	/* While it runs, tsc_offset alone is read, and that is here. */
	pthread_mutex_lock(&cpu->lock);
	if (!atomic_load(&cpu->runs))
		(void)!kvm_fetch(cpu);
	pthread_mutex_unlock(&cpu->lock);
	return &cpu->s;
}

void kvm_op_state_changed(struct vcpu *v)
{
	struct kvm_cpu *cpu = cpu_of(v);

	cpu->s.zero = 0;
	/* What was latched belonged to the state before; the INTR pin is its driver's. */
	atomic_fetch_and(&cpu->requests, ~(KVM_REQ_NMI | KVM_REQ_INIT | KVM_REQ_SIPI));
	pthread_mutex_lock(&cpu->lock);
	cpu->where = WHERE_STATE;
	pthread_mutex_unlock(&cpu->lock);
	atomic_store(&cpu->if_on, (cpu->s.rflags & FLAG_IF) != 0);
}

void kvm_op_settle(struct vcpu *v)
{
	struct kvm_cpu *cpu = cpu_of(v);
	uint32_t req =
		atomic_fetch_and(&cpu->requests, ~(KVM_REQ_NMI | KVM_REQ_INIT | KVM_REQ_SIPI));

	(void)kvm_op_state(v);
	if (req & KVM_REQ_NMI) {
		cpu->s.nmi_pending = true;
		kvm_op_state_changed(v);
	}
	cpu->s.init_pending = req & KVM_REQ_INIT;
	cpu->s.sipi_pending = req & KVM_REQ_SIPI;
	cpu->s.sipi_vector = cpu->s.sipi_pending ? atomic_load(&cpu->sipi_vector) : 0;
}

/* ---- Into the guest ------------------------------------------------------------------------- */

/* False: it cannot be entered now, look again. */
static bool go_inside(struct kvm_cpu *cpu, uint32_t stop_for)
{
	struct kvm_engine *e = cpu->e;

	__atomic_store_n(&cpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
	atomic_store(&cpu->inside, true);
	if (!atomic_load(&e->gate_shut) && !(atomic_load(&cpu->requests) & stop_for) &&
	    !atomic_load(&e->broken))
		return true;
	atomic_store(&cpu->inside, false);
	pthread_mutex_lock(&e->gate_lock);
	while (atomic_load(&e->gate_shut))
		pthread_cond_wait(&e->gate_cond, &e->gate_lock);
	pthread_mutex_unlock(&e->gate_lock);
	return false;
}

static enum kvm_next run_failed(struct kvm_cpu *cpu, int err)
{
	if (err == EINTR || err == EAGAIN) {
		kvm_count(cpu, COUNT_KICK);
		return NEXT_RUN;
	}
	if (err == EFAULT)
		kvm_report(cpu, "KVM cannot reach the guest's memory; is the host out of memory?");
	else
		kvm_report(cpu, "KVM_RUN fails: %s; '-accel soft' runs the guest without KVM",
			   strerror(err));
	return NEXT_ERROR;
}

/* KVM_RUN, with what goes in and comes out beside it. */
static enum kvm_next enter(struct kvm_cpu *cpu)
{
	const struct engine_host *h = &cpu->e->cfg.host;
	struct kvm_run *run = cpu->run;
	uint8_t cr8;
	int r;

	if (cpu->tpr_stale && !kvm_has_chip(cpu->e)) {
		cpu->tpr_stale = false;
		run->cr8 = h->cr8_read(h->opaque, cpu->index);
	}
	cr8 = (uint8_t)run->cr8;
	cpu->unfinished = false;
	cpu->where = WHERE_KERNEL;
	kvm_count(cpu, COUNT_RUNS);
	r = ioctl(cpu->fd, KVM_RUN, 0) < 0 ? errno : 0;
	atomic_store(&cpu->inside, false);
	atomic_store(&cpu->if_on, run->if_flag);
	if ((run->cr8 & 15) != cr8 && !kvm_has_chip(cpu->e))
		h->cr8_write(h->opaque, cpu->index, run->cr8 & 15);
	return r ? run_failed(cpu, r) : kvm_handle_exit(cpu);
}

/*
 * Let the kernel finish the instruction whose access the machine has answered, so that the state is
 * that between two instructions. A long access may ask for more.
 */
static enum kvm_next finish(struct kvm_cpu *cpu)
{
	enum kvm_next next = NEXT_RUN;

	while (cpu->unfinished && next == NEXT_RUN) {
		if (!go_inside(cpu, 0)) {
			if (atomic_load(&cpu->e->broken))
				return NEXT_RUN;
			continue;
		}
		__atomic_store_n(&cpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
		cpu->run->request_interrupt_window = 0;
		next = enter(cpu);
	}
	return next;
}

/* ---- Events --------------------------------------------------------------------------------- */

static bool do_init(struct kvm_cpu *cpu)
{
	if (kvm_fetch(cpu) < 0)
		return false;
	x86_state_init_ipi(&cpu->s, cpu->index == 0);
	cpu->where = WHERE_STATE;
	atomic_store(&cpu->if_on, false);
	return true;
}

static void do_sipi(struct kvm_cpu *cpu)
{
	uint8_t page = atomic_load(&cpu->sipi_vector);

	/* It waits since INIT or the reset, so `s` is the newer one, or both are the same. */
	if (cpu->s.run_state != X86_WAIT_SIPI)
		return;
	cpu->s.seg[SEG_CS].sel = (uint16_t)(page << 8);
	cpu->s.seg[SEG_CS].base = (uint64_t)page << 12;
	cpu->s.rip = 0;
	cpu->s.run_state = X86_RUNNING;
	cpu->where = WHERE_STATE;
}

static bool do_nmi(struct kvm_cpu *cpu)
{
	struct kvm_vcpu_events ev;

	if (kvm_has_chip(cpu->e)) {
		if (cpu->where == WHERE_BOTH)
			cpu->where = WHERE_KERNEL;
		return !kvm_lint1_is_nmi(cpu) || ioctl(cpu->fd, KVM_NMI) == 0;
	}
	/* One that is blocked does not wake. */
	if (cpu->s.run_state == X86_HALTED &&
	    (ioctl(cpu->fd, KVM_GET_VCPU_EVENTS, &ev) < 0 || !ev.nmi.masked))
		cpu->s.run_state = X86_RUNNING;
	if (cpu->where == WHERE_BOTH)
		cpu->where = WHERE_KERNEL;
	return ioctl(cpu->fd, KVM_NMI) == 0;
}

/* An interrupt, if there is one and the guest can take it now; else a window for it. */
static bool do_intr(struct kvm_cpu *cpu, uint32_t req)
{
	const struct engine_host *h = &cpu->e->cfg.host;
	struct kvm_run *run = cpu->run;
	struct kvm_interrupt irq;
	int vector;

	run->request_interrupt_window = 0;
	if (!(req & KVM_REQ_INTR))
		return true;
	if (!run->ready_for_interrupt_injection || !run->if_flag || !atomic_load(&cpu->if_on)) {
		run->request_interrupt_window = 1;
		/* It waits for nothing else, and the window is opened by going there. */
		if (cpu->s.run_state == X86_HALTED && atomic_load(&cpu->if_on) &&
		    !kvm_has_chip(cpu->e))
			cpu->s.run_state = X86_RUNNING;
		return true;
	}
	vector = h->irq_ack(h->opaque, cpu->index);
	if (vector >= 0) {
		irq.irq = (uint32_t)vector;
		if (!kvm_has_chip(cpu->e))
			cpu->s.run_state = X86_RUNNING;
		if (cpu->where == WHERE_BOTH)
			cpu->where = WHERE_KERNEL;
		if (ioctl(cpu->fd, KVM_INTERRUPT, &irq) < 0) {
			snprintf(cpu->error, sizeof(cpu->error),
				 "KVM does not take interrupt %d of vCPU %u: %s", vector,
				 cpu->index, strerror(errno));
			return false;
		}
		run->ready_for_interrupt_injection = 0;
		/* The next one, as soon as it can be. */
		if (atomic_load(&cpu->requests) & KVM_REQ_INTR)
			run->request_interrupt_window = 1;
	}
	return true;
}

/* What came from outside. False: *out is what run() returns. */
static bool accept_requests(struct kvm_cpu *cpu, enum engine_exit *out)
{
	uint32_t req = atomic_load(&cpu->requests);

	*out = ENGINE_EXIT_ERROR;
	if (req & (KVM_REQ_KICK | KVM_REQ_INIT)) {
		switch (finish(cpu)) {
		case NEXT_SHUTDOWN:
			cpu->s.run_state = X86_SHUTDOWN;
			break;
		case NEXT_HALT:
			cpu->s.run_state = X86_HALTED;
			break;
		case NEXT_ERROR:
			return false;
		case NEXT_DEBUG: /* the instruction that was finished */
			*out = ENGINE_EXIT_DEBUG;
			return false;
		case NEXT_RUN:
			break;
		}
	}
	atomic_fetch_and(&cpu->requests, ~(req & (KVM_REQ_INIT | KVM_REQ_SIPI)));
	if ((req & KVM_REQ_INIT) && !do_init(cpu))
		return false;
	if (req & KVM_REQ_SIPI)
		do_sipi(cpu);
	if (cpu->s.run_state == X86_SHUTDOWN) {
		*out = ENGINE_EXIT_SHUTDOWN;
		return false;
	}
	if (req & KVM_REQ_KICK) {
		atomic_fetch_and(&cpu->requests, ~KVM_REQ_KICK);
		*out = ENGINE_EXIT_KICK;
		return false;
	}
	return true;
}

/* Everything before KVM_RUN. False: leave run() with *out. */
static bool service(struct kvm_cpu *cpu, enum engine_exit *out)
{
	if (atomic_load(&cpu->e->broken)) {
		memcpy(cpu->error, cpu->e->broken_msg, sizeof(cpu->error));
		*out = ENGINE_EXIT_ERROR;
		return false;
	}
	if (!accept_requests(cpu, out))
		return false;
	if (cpu->s.run_state == X86_WAIT_SIPI && !kvm_has_chip(cpu->e)) {
		*out = ENGINE_EXIT_HALT;
		return false;
	}
	*out = ENGINE_EXIT_ERROR;
	if (cpu->where == WHERE_STATE) {
		/* A new state, where the last exit says nothing. */
		cpu->run->ready_for_interrupt_injection = 0;
		cpu->unfinished = false;
		if (kvm_store(cpu) < 0)
			return false;
	}
	return true;
}

/* False: leave run() with *out. */
static bool events(struct kvm_cpu *cpu, enum engine_exit *out)
{
	*out = ENGINE_EXIT_ERROR;
	if (!kvm_debug_enter(cpu))
		return false;
	/* Events wait while a debugger steps. */
	if (cpu->debug_step && cpu->s.run_state == X86_RUNNING) {
		cpu->run->request_interrupt_window = 0;
		return true;
	}
	if (atomic_load(&cpu->requests) & KVM_REQ_NMI) {
		atomic_fetch_and(&cpu->requests, ~KVM_REQ_NMI);
		if (!do_nmi(cpu)) {
			kvm_report(cpu, "KVM does not take an NMI: %s", strerror(errno));
			return false;
		}
	}
	if (!do_intr(cpu, atomic_load(&cpu->requests)))
		return false;
	if (cpu->s.run_state == X86_HALTED && !kvm_has_chip(cpu->e)) {
		*out = ENGINE_EXIT_HALT;
		return false;
	}
	return true;
}

enum engine_exit kvm_op_run(struct vcpu *v)
{
	struct kvm_cpu *cpu = cpu_of(v);
	enum engine_exit out = ENGINE_EXIT_KICK;

	kvm_signals_thread(cpu);
	kvm_breaks_enter(cpu);
	set_runs(cpu, true);
	kvm_clock_enter(cpu);
	while (service(cpu, &out) && events(cpu, &out)) {
		uint32_t stop_for = KVM_REQ_KICK | KVM_REQ_INIT | KVM_REQ_NMI | KVM_REQ_SIPI;

		if (cpu->debug_step && cpu->s.run_state == X86_RUNNING)
			stop_for = KVM_REQ_KICK | KVM_REQ_INIT | KVM_REQ_SIPI;
		/* An interrupt that came after the last look, too. */
		else if (!cpu->run->request_interrupt_window)
			stop_for |= KVM_REQ_INTR;
		if (!go_inside(cpu, stop_for))
			continue;
		switch (enter(cpu)) {
		case NEXT_RUN:
			continue;
		case NEXT_HALT:
			cpu->s.run_state = X86_HALTED;
			continue;
		case NEXT_SHUTDOWN:
			cpu->s.run_state = X86_SHUTDOWN;
			continue;
		case NEXT_DEBUG:
			out = ENGINE_EXIT_DEBUG;
			break;
		case NEXT_ERROR:
			out = ENGINE_EXIT_ERROR;
			break;
		}
		break;
	}
	set_runs(cpu, false);
	kvm_breaks_leave(cpu);
	return out;
}

/* ---- From other threads ----------------------------------------------------------------------- */

static void request(struct kvm_cpu *cpu, uint32_t what)
{
	atomic_fetch_or(&cpu->requests, what);
	kvm_poke(cpu);
}

void kvm_op_kick(struct vcpu *v)
{
	request(cpu_of(v), KVM_REQ_KICK);
}

bool kvm_op_alarm(struct vcpu *v, uint64_t deadline_ns)
{
	return kvm_alarm_set(cpu_of(v), deadline_ns);
}

void kvm_op_signal(struct vcpu *v, enum vcpu_signal sig, uint8_t arg)
{
	struct kvm_cpu *cpu = cpu_of(v);

	switch (sig) {
	case VCPU_SIGNAL_INTR_ON:
		request(cpu, KVM_REQ_INTR);
		break;
	case VCPU_SIGNAL_INTR_OFF:
		atomic_fetch_and(&cpu->requests, ~KVM_REQ_INTR);
		break;
	case VCPU_SIGNAL_NMI:
		request(cpu, KVM_REQ_NMI);
		break;
	case VCPU_SIGNAL_INIT:
		/* A SIPI that came before it would have started what INIT now stops. */
		atomic_fetch_and(&cpu->requests, ~KVM_REQ_SIPI);
		request(cpu, KVM_REQ_INIT);
		break;
	case VCPU_SIGNAL_SIPI:
		atomic_store(&cpu->sipi_vector, arg);
		request(cpu, KVM_REQ_SIPI);
		break;
	}
}

bool kvm_op_has_work(const struct vcpu *v)
{
	const struct kvm_cpu *cpu = cpu_of(v);
	uint32_t req = atomic_load(&cpu->requests);

	if ((req & (KVM_REQ_KICK | KVM_REQ_INIT)) || atomic_load(&cpu->e->broken) ||
	    kvm_has_chip(cpu->e))
		return true;
	switch (cpu->s.run_state) {
	case X86_WAIT_SIPI:
		return req & KVM_REQ_SIPI;
	case X86_HALTED:
		return (req & KVM_REQ_NMI) || ((req & KVM_REQ_INTR) && atomic_load(&cpu->if_on));
	default:
		return true;
	}
}

const char *kvm_op_error(const struct vcpu *v)
{
	return cpu_of(v)->error;
}
