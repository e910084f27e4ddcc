// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Local APICs in the kernel ("split irqchip"; fullchip.c has the others there as well): HLT, IPIs, timers and end of interrupt never leave it. The I/O
 * APIC and the 8259s stay the machine's: their messages come by KVM_SIGNAL_MSI, the 8259s' by KVM_INTERRUPT
 * as without (run.c), and the kernel tells of the end of interrupts that it was given routes of.
 *
 * What only the kernel knows while it runs: whether the vCPU is halted or waits for a SIPI.
 * Source: Linux, Documentation/virt/kvm/api.rst (KVM_CAP_SPLIT_IRQCHIP, KVM_SET_GSI_ROUTING, KVM_SET_LAPIC,
 * KVM_SET_MP_STATE); Intel SDM 3A §10.5.1 (LVT).
 * Threads: with the VM lock held; those of one vCPU while it does not run, or on its own.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/range.h"
#include "engine/kvm/kvm_int.h"
#include "x86/msr.h"

#define LVT1 0x360u
#define LVT_MODE 0x700u
#define LVT_NMI 0x400u
#define LVT_MASKED 0x10000u
#define MSI_LEVEL 0x8000u

_Static_assert(sizeof(struct kvm_lapic_state) == ENGINE_LAPIC_PAGE, "one layout");

static bool has(const struct kvm_engine *e, int what)
{
	return ioctl(e->vm, KVM_CHECK_EXTENSION, what) > 0;
}

static bool can_split(const struct kvm_engine *e)
{
	return has(e, KVM_CAP_SPLIT_IRQCHIP) && has(e, KVM_CAP_SIGNAL_MSI) &&
	       has(e, KVM_CAP_MP_STATE) &&
	       ioctl(e->vm, KVM_CHECK_EXTENSION, KVM_CAP_IRQ_ROUTING) >= (int)KVM_PINS;
}

int kvm_irqchip_create(struct kvm_engine *e, struct lodge_err *err)
{
	struct kvm_enable_cap split = {.cap = KVM_CAP_SPLIT_IRQCHIP, .args[0] = KVM_PINS};
	enum engine_irqchip wish = e->cfg.kvm.irqchip;

	e->chip = ENGINE_IRQCHIP_OFF;
	if (wish == ENGINE_IRQCHIP_OFF)
		return 0;
	if (wish == ENGINE_IRQCHIP_ON) {
		int r = kvm_full_create(e, err);

		if (r)
			return r;
		e->chip = ENGINE_IRQCHIP_ON;
		e->has_smm = has(e, KVM_CAP_X86_SMM);
		r = kvm_routes_create(e, err);
		if (!r)
			kvm_full_routes(e);
		return r;
	}
	if (!can_split(e) || ioctl(e->vm, KVM_ENABLE_CAP, &split) < 0) {
		if (wish == ENGINE_IRQCHIP_BEST)
			return 0;
		return err_set(err, -ENOTSUP,
			       "kernel-irqchip=split: this host's KVM does not have it; leave the "
			       "option out, or say kernel-irqchip=off");
	}
	e->has_smm = has(e, KVM_CAP_X86_SMM);
	e->chip = ENGINE_IRQCHIP_SPLIT;
	return kvm_routes_create(e, err);
}

/* ---- What vCPUs do without the machine -------------------------------------------------------- */

int kvm_fetch_run_state(struct kvm_cpu *cpu)
{
	struct kvm_mp_state mp;

	if (ioctl(cpu->fd, KVM_GET_MP_STATE, &mp) < 0)
		return -1;
	/* A triple fault is ours to remember. */
	if (cpu->s.run_state == X86_SHUTDOWN)
		return 0;
	if (mp.mp_state == KVM_MP_STATE_HALTED)
		cpu->s.run_state = X86_HALTED;
	else if (mp.mp_state == KVM_MP_STATE_UNINITIALIZED ||
		 mp.mp_state == KVM_MP_STATE_INIT_RECEIVED)
		cpu->s.run_state = X86_WAIT_SIPI;
	else
		cpu->s.run_state = X86_RUNNING;
	return 0;
}

int kvm_store_run_state(struct kvm_cpu *cpu)
{
	struct kvm_mp_state mp = {.mp_state = KVM_MP_STATE_RUNNABLE};

	if (cpu->s.run_state == X86_HALTED)
		mp.mp_state = KVM_MP_STATE_HALTED;
	else if (cpu->s.run_state == X86_WAIT_SIPI)
		mp.mp_state = KVM_MP_STATE_INIT_RECEIVED;
	return ioctl(cpu->fd, KVM_SET_MP_STATE, &mp);
}

/* ---- Registers -------------------------------------------------------------------------------- */

void kvm_rearm_deadline(struct kvm_cpu *cpu)
{
	uint64_t tsc = cpu->deadline ? cpu->deadline : kvm_get_msr(cpu, MSR_TSC_DEADLINE);

	cpu->deadline = 0;
	if (tsc && kvm_set_msr(cpu, MSR_TSC_DEADLINE, tsc))
		log_trace(LOG_UNIMP, "cpu%u: KVM refuses a TSC deadline\n", cpu->index);
}

bool kvm_lint1_is_nmi(const struct kvm_cpu *cpu)
{
	struct kvm_lapic_state l;
	uint32_t lvt;

	if (ioctl(cpu->fd, KVM_GET_LAPIC, &l) < 0)
		return false;
	lvt = ld_le32((const uint8_t *)l.regs + LVT1);
	return !(lvt & LVT_MASKED) && (lvt & LVT_MODE) == LVT_NMI;
}

static int lapic_get(struct vcpu *v, struct engine_lapic *out)
{
	struct kvm_cpu *cpu = (struct kvm_cpu *)v;

	if (ioctl(cpu->fd, KVM_GET_LAPIC, (struct kvm_lapic_state *)out->page) < 0)
		return -errno;
	out->base = kvm_get_msr(cpu, MSR_APIC_BASE);
	out->deadline_tsc = cpu->deadline ? cpu->deadline : kvm_get_msr(cpu, MSR_TSC_DEADLINE);
	kvm_timer_show(cpu, out);
	return 0;
}

static int lapic_set(struct vcpu *v, const struct engine_lapic *in)
{
	struct kvm_cpu *cpu = (struct kvm_cpu *)v;
	struct engine_lapic l = *in;

	kvm_timer_take(cpu, &l);
	if (kvm_set_msr(cpu, MSR_APIC_BASE, l.base))
		return -EINVAL;
	if (ioctl(cpu->fd, KVM_SET_LAPIC, (struct kvm_lapic_state *)l.page) < 0)
		return -errno;
	/* It is a value of the TSC, which may be about to move. */
	pthread_mutex_lock(&cpu->lock);
	cpu->deadline = l.deadline_tsc;
	if (cpu->where != WHERE_STATE)
		kvm_rearm_deadline(cpu);
	pthread_mutex_unlock(&cpu->lock);
	return 0;
}

/* ---- Messages --------------------------------------------------------------------------------- */

static enum engine_irqchip kind(const struct engine *e)
{
	return ((const struct kvm_engine *)(uintptr_t)e)->chip;
}

static bool msi(struct engine *engine, uint64_t addr, uint32_t data)
{
	struct kvm_engine *e = (struct kvm_engine *)engine;
	struct kvm_msi m = {.address_lo = (uint32_t)addr,
			    .address_hi = (uint32_t)(addr >> 32),
			    .data = data};

	return ioctl(e->vm, KVM_SIGNAL_MSI, &m) > 0;
}

static void route(struct engine *engine, unsigned pin, uint64_t addr, uint32_t data)
{
	struct kvm_engine *e = (struct kvm_engine *)engine;

	/* Each change costs the kernel a grace period, and edges have no end to be told of. */
	if (e->chip == ENGINE_IRQCHIP_SPLIT && pin < KVM_PINS &&
	    (kvm_route_known(e, pin) || (data & MSI_LEVEL)))
		kvm_route_set(e, pin, addr, data);
}

const struct engine_irqchip_ops kvm_irqchip_ops = {
	.kind = kind,
	.msi = msi,
	.route = route,
	.lapic_get = lapic_get,
	.lapic_set = lapic_set,
	.hold = kvm_timers_hold,
	.way_open = kvm_way_open,
	.way_close = kvm_way_close,
	.way_send = kvm_way_send,
	.ways_settle = kvm_ways_settle,
	.line = kvm_full_line,
	.hpet_legacy = kvm_full_hpet_legacy,
	.chips_get = kvm_full_get,
	.chips_set = kvm_full_set,
};
