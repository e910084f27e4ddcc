// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Local APICs in the kernel ("split irqchip"): HLT, IPIs, timers and end of interrupt never leave it. The I/O
 * APIC and the 8259s stay the machine's: their messages come by KVM_SIGNAL_MSI, the 8259s' by KVM_INTERRUPT
 * as without (run.c), and the kernel tells of the end of interrupts that it was given routes of.
 *
 * What only the kernel knows while it runs: whether the vCPU is halted or waits for a SIPI.
 * Source: Linux, Documentation/virt/kvm/api.rst (KVM_CAP_SPLIT_IRQCHIP, KVM_SET_GSI_ROUTING, KVM_SET_LAPIC,
 * KVM_SET_MP_STATE); Intel SDM 3A §10.5.1 (LVT).
 * Threads: with the VM lock held; those of one vCPU while it does not run, or on its own.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/range.h"
#include "engine/kvm/kvm_int.h"
#include "x86/msr.h"

#define PINS 24u

#define LVT1 0x360u
#define LVT_MODE 0x700u
#define LVT_NMI 0x400u
#define LVT_MASKED 0x10000u
#define MSI_LEVEL 0x8000u

/* struct kvm_irq_routing, with room. */
struct kvm_routes {
	uint32_t nr, flags;
	struct kvm_irq_routing_entry entry[PINS];
};
_Static_assert(offsetof(struct kvm_routes, entry) == sizeof(struct kvm_irq_routing),
	       "as the kernel's");
_Static_assert(sizeof(struct kvm_lapic_state) == ENGINE_LAPIC_PAGE, "one layout");

static bool has(const struct kvm_engine *e, int what)
{
	return ioctl(e->vm, KVM_CHECK_EXTENSION, what) > 0;
}

static bool can_split(const struct kvm_engine *e)
{
	return has(e, KVM_CAP_SPLIT_IRQCHIP) && has(e, KVM_CAP_SIGNAL_MSI) &&
	       has(e, KVM_CAP_MP_STATE) &&
	       ioctl(e->vm, KVM_CHECK_EXTENSION, KVM_CAP_IRQ_ROUTING) >= (int)PINS;
}

int kvm_irqchip_create(struct kvm_engine *e, struct lodge_err *err)
{
	struct kvm_enable_cap split = {.cap = KVM_CAP_SPLIT_IRQCHIP, .args[0] = PINS};
	enum engine_irqchip wish = e->cfg.kvm.irqchip;

	e->chip = ENGINE_IRQCHIP_OFF;
	if (wish == ENGINE_IRQCHIP_OFF)
		return 0;
	if (!can_split(e) || ioctl(e->vm, KVM_ENABLE_CAP, &split) < 0) {
		if (wish == ENGINE_IRQCHIP_BEST)
			return 0;
		return err_set(err, -ENOTSUP,
			       "kernel-irqchip=split: this host's KVM does not have it; leave the "
			       "option out, or say kernel-irqchip=off");
	}
	e->routes = calloc(1, sizeof(*e->routes));
	if (!e->routes)
		return err_set(err, -ENOMEM, "no memory for interrupt routes");
	e->has_smm = has(e, KVM_CAP_X86_SMM);
	e->chip = ENGINE_IRQCHIP_SPLIT;
	return 0;
}

void kvm_irqchip_free(struct kvm_engine *e)
{
	free(e->routes);
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

static uint64_t get_msr(const struct kvm_cpu *cpu, uint32_t msr)
{
	struct kvm_one_msr m = {.nmsrs = 1, .entry.index = msr};

	return ioctl(cpu->fd, KVM_GET_MSRS, &m) == 1 ? m.entry.data : 0;
}

void kvm_rearm_deadline(struct kvm_cpu *cpu)
{
	uint64_t tsc = cpu->deadline ? cpu->deadline : get_msr(cpu, MSR_TSC_DEADLINE);

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
	out->base = get_msr(cpu, MSR_APIC_BASE);
	out->deadline_tsc = cpu->deadline ? cpu->deadline : get_msr(cpu, MSR_TSC_DEADLINE);
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
	struct kvm_routes *r = e->routes;
	struct kvm_irq_routing_entry *at = NULL;

	if (pin >= PINS)
		return;
	for (unsigned i = 0; i < r->nr; i++) {
		if (r->entry[i].gsi == pin)
			at = &r->entry[i];
	}
	if (at && at->u.msi.address_lo == (uint32_t)addr && at->u.msi.data == data)
		return;
	/* Each change costs the kernel a grace period, and edges have no end to be told of. */
	if (!at && !(data & MSI_LEVEL))
		return;
	if (!at)
		at = &r->entry[r->nr++];
	*at = (struct kvm_irq_routing_entry){
		.gsi = pin,
		.type = KVM_IRQ_ROUTING_MSI,
		.u.msi = {.address_lo = (uint32_t)addr,
			  .address_hi = (uint32_t)(addr >> 32),
			  .data = data},
	};
	if (ioctl(e->vm, KVM_SET_GSI_ROUTING, r) < 0)
		kvm_break(e,
			  "KVM does not take the routes of interrupts: %s; "
			  "'-machine kernel-irqchip=off' does without",
			  strerror(errno));
}

const struct engine_irqchip_ops kvm_irqchip_ops = {
	.kind = kind,
	.msi = msi,
	.route = route,
	.lapic_get = lapic_get,
	.lapic_set = lapic_set,
	.hold = kvm_timers_hold,
};
