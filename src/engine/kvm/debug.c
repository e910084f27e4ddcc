// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A debugger's points and steps: the processor's own debug registers, which KVM lends (four for all), and memory
 * (breaks.c).
 * Source: Linux, Documentation/virt/kvm/api.rst §4.87 (KVM_SET_GUEST_DEBUG), §5 (KVM_EXIT_DEBUG); Intel SDM 3B §17.2.
 * Threads: the vCPU's own, or anyone while none runs.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/range.h"
#include "engine/kvm/kvm_int.h"

#define DR7_GE 0x200u
#define DR7_FIXED_1 0x400u

static struct kvm_cpu *cpu_of(const struct vcpu *v)
{
	return (struct kvm_cpu *)(uintptr_t)v;
}

/* R/W and LEN of DR7 for it; -EINVAL: the processor has no such one. */
static int dr7_kind(const struct engine_point *p)
{
	unsigned len = p->len == 8 ? 2 : (unsigned)p->len - 1;

	if (p->kind == ENGINE_POINT_BREAK)
		return 0;
	if (p->kind == ENGINE_POINT_READ || !p->len || p->len > 8 || (p->len & (p->len - 1)) ||
	    (p->lin & (p->len - 1)))
		return -EINVAL;
	return (int)(len << 2) | (p->kind == ENGINE_POINT_WRITE ? 1 : 3);
}

/* Where the vCPU is, as a breakpoint's address. */
static gva_t place_of(struct kvm_cpu *cpu)
{
	const struct x86_state *s = kvm_op_state((struct vcpu *)cpu);

	return s->efer & EFER_LMA && s->cr0 & CR0_PG && s->seg[SEG_CS].attr & SEG_ATTR_L
		       ? s->rip
		       : (uint32_t)(s->seg[SEG_CS].base + s->rip);
}

static bool is_here(const struct kvm_engine *e, gva_t lin)
{
	for (unsigned i = 0; i < e->cfg.cpus; i++) {
		if (place_of(e->cpus[i]) == lin)
			return true;
	}
	return false;
}

/*
 * Debug registers are for watchpoints, then for breakpoints where a vCPU stands (which the resume flag lets it leave),
 * then for what is left of them; others go to memory.
 */
static unsigned rank_of(const struct kvm_engine *e, const struct engine_point *p)
{
	if (p->kind != ENGINE_POINT_BREAK)
		return 0;
	return !kvm_break_can_be(e, p) || is_here(e, p->lin) ? 1 : 2;
}

static void distribute(struct kvm_engine *e, const struct engine_point *points, unsigned n)
{
	e->n_points = e->n_breaks = 0;
	for (unsigned rank = 0; rank <= 2; rank++) {
		for (unsigned i = 0; i < n; i++) {
			if (rank_of(e, &points[i]) != rank)
				continue;
			if (e->n_points < ARRAY_SIZE(e->points))
				e->points[e->n_points++] = points[i];
			else
				kvm_break_add(e, &points[i]);
		}
	}
}

int kvm_op_debug(struct engine *engine, const struct engine_point *points, unsigned n,
		 struct lodge_err *err)
{
	struct kvm_engine *e = (struct kvm_engine *)engine;
	unsigned in_registers = 0;

	if (n > ENGINE_POINTS_MAX)
		return err_set(err, -ENOSPC, "%u breakpoints and watchpoints are the most",
			       ENGINE_POINTS_MAX);
	for (unsigned i = 0; i < n; i++) {
		if (dr7_kind(&points[i]) < 0)
			return err_set(err, -EINVAL,
				       "with KVM, a watchpoint is of 1, 2, 4 or 8 aligned bytes, "
				       "for writing or any access");
		in_registers += rank_of(e, &points[i]) < 2;
	}
	if (in_registers > ARRAY_SIZE(e->points))
		return err_set(
			err, -ENOSPC,
			"with KVM, %zu watchpoints and breakpoints where no memory is are the "
			"most; '-accel soft' has more",
			ARRAY_SIZE(e->points));
	for (unsigned i = 0; i < e->cfg.cpus; i++)
		e->cpus[i]->debug_stale = true;
	distribute(e, points, n);
	return 0;
}

void kvm_op_debug_cpu(struct vcpu *v, unsigned how)
{
	struct kvm_cpu *cpu = cpu_of(v);
	bool step = how & ENGINE_DEBUG_STEP;

	pthread_mutex_lock(&cpu->lock);
	if (how & (ENGINE_DEBUG_PASS | ENGINE_DEBUG_STEP) && cpu->e->n_points &&
	    kvm_fetch(cpu) == 0) {
		cpu->s.rflags |= FLAG_RF;
		cpu->where = WHERE_STATE;
	}
	if (how & ENGINE_DEBUG_CHANGED)
		cpu->where = WHERE_STATE;
	pthread_mutex_unlock(&cpu->lock);
	cpu->debug_stale |= step != cpu->debug_step;
	cpu->debug_step = step;
	cpu->stop.kind = ENGINE_STOP_NONE;
}

struct engine_stop kvm_op_debug_stop(const struct vcpu *v)
{
	return cpu_of(v)->stop;
}

/* The processor is told anew; `inject`: and the guest gets an exception that was its own. */
static int set_debug(struct kvm_cpu *cpu, uint32_t inject)
{
	const struct kvm_engine *e = cpu->e;
	struct kvm_guest_debug d = {.control = 0};

	if (cpu->debug_step)
		d.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP;
	if (e->n_points)
		d.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP;
	if (e->n_breaks)
		d.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP;
	if (inject)
		d.control |= KVM_GUESTDBG_ENABLE | inject;
	d.arch.debugreg[7] = DR7_FIXED_1 | (e->n_points ? DR7_GE : 0);
	for (unsigned i = 0; i < e->n_points; i++) {
		d.arch.debugreg[i] = e->points[i].lin;
		d.arch.debugreg[7] |= 2ull << 2 * i | (uint64_t)(unsigned)dr7_kind(&e->points[i])
							      << (16 + 4 * i);
	}
	cpu->debug_stale = false;
	return ioctl(cpu->fd, KVM_SET_GUEST_DEBUG, &d);
}

bool kvm_debug_enter(struct kvm_cpu *cpu)
{
	if (!cpu->debug_stale || !set_debug(cpu, 0))
		return true;
	kvm_report(cpu, "KVM takes no breakpoints: %s", strerror(errno));
	return false;
}

/* An exception that is the guest's own. */
static enum kvm_next give_back(struct kvm_cpu *cpu, const struct kvm_debug_exit_arch *x)
{
	bool db = x->exception == VEC_DB;
	struct kvm_debugregs dr;

	if (db && ioctl(cpu->fd, KVM_GET_DEBUGREGS, &dr) == 0) {
		dr.dr6 = (dr.dr6 & ~0xfull) | (x->dr6 & (0xfu | DR6_BD | DR6_BS | DR6_BT));
		(void)!ioctl(cpu->fd, KVM_SET_DEBUGREGS, &dr);
	}
	if (!set_debug(cpu, db ? KVM_GUESTDBG_INJECT_DB : KVM_GUESTDBG_INJECT_BP))
		return NEXT_RUN;
	kvm_report(cpu, "KVM takes no debug exception: %s", strerror(errno));
	return NEXT_ERROR;
}

enum kvm_next kvm_debug_exit(struct kvm_cpu *cpu)
{
	const struct kvm_debug_exit_arch *x = &cpu->run->debug.arch;
	const struct kvm_engine *e = cpu->e;

	for (unsigned i = 0; i < e->n_points; i++) {
		bool at = e->points[i].kind == ENGINE_POINT_BREAK;

		if (!(x->dr6 >> i & 1) || x->exception != VEC_DB)
			continue;
		cpu->stop = (struct engine_stop){at ? ENGINE_STOP_BREAK : ENGINE_STOP_WATCH,
						 e->points[i].kind, e->points[i].lin};
		return NEXT_DEBUG;
	}
	if (x->exception == VEC_DB && cpu->debug_step && (x->dr6 & DR6_BS)) {
		cpu->stop = (struct engine_stop){.kind = ENGINE_STOP_STEP};
		return NEXT_DEBUG;
	}
	if (x->exception == VEC_BP && kvm_break_is_at(e, x->pc)) {
		cpu->stop = (struct engine_stop){ENGINE_STOP_BREAK, ENGINE_POINT_BREAK, x->pc};
		return NEXT_DEBUG;
	}
	return x->exception == VEC_DB || x->exception == VEC_BP ? give_back(cpu, x) : NEXT_RUN;
}
