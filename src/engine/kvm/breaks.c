// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A debugger's breakpoints beyond the processor's four debug registers: INT3 in guest memory, whose exception KVM
 * hands to us. The bytes are there only while a vCPU is in run(): whoever looks at a stopped guest's memory sees the
 * guest's own.
 *
 * Source: Linux, Documentation/virt/kvm/api.rst §4.87 (KVM_GUESTDBG_USE_SW_BP); Intel SDM 2A, INT3.
 * Threads: the list is changed while no vCPU runs; vCPUs come and go under breaks_lock.
 */
#include "engine/kvm/kvm_int.h"

#define INT3 0xccu

bool kvm_break_can_be(const struct kvm_engine *e, const struct engine_point *p)
{
	return p->gpa != GPA_NONE && mem_lookup(e->cfg.mem, p->gpa).kind != MEM_MMIO;
}

void kvm_break_add(struct kvm_engine *e, const struct engine_point *p)
{
	struct mem_range r = mem_lookup(e->cfg.mem, p->gpa);

	e->breaks[e->n_breaks++] =
		(struct kvm_break){.lin = p->lin, .off = r.ram_off + (p->gpa - r.gpa)};
}

bool kvm_break_is_at(const struct kvm_engine *e, gva_t lin)
{
	for (unsigned i = 0; i < e->n_breaks; i++) {
		if (e->breaks[i].lin == lin)
			return true;
	}
	return false;
}

void kvm_breaks_enter(struct kvm_cpu *cpu)
{
	struct kvm_engine *e = cpu->e;

	if (!e->n_breaks)
		return;
	pthread_mutex_lock(&e->breaks_lock);
	cpu->breaks_in = true;
	if (!e->breaks_users++) {
		for (unsigned i = 0; i < e->n_breaks; i++) {
			uint8_t *at = mem_base(e->cfg.mem) + e->breaks[i].off;

			/* Two linear addresses may lie at one place. */
			e->breaks[i].was = __atomic_exchange_n(at, INT3, __ATOMIC_SEQ_CST);
		}
	}
	pthread_mutex_unlock(&e->breaks_lock);
}

void kvm_breaks_leave(struct kvm_cpu *cpu)
{
	struct kvm_engine *e = cpu->e;

	if (!cpu->breaks_in)
		return;
	pthread_mutex_lock(&e->breaks_lock);
	cpu->breaks_in = false;
	if (!--e->breaks_users) {
		/* What the guest has put in its place stays. */
		for (unsigned i = e->n_breaks; i-- > 0;) {
			uint8_t *at = mem_base(e->cfg.mem) + e->breaks[i].off, now = INT3;

			__atomic_compare_exchange_n(at, &now, e->breaks[i].was, false,
						    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
		}
	}
	pthread_mutex_unlock(&e->breaks_lock);
}
