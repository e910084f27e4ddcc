// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory slots: the memory map, told to the kernel. RAM and ROM have slots, ROM's are read-only;
 * everything else has none and ends in KVM_EXIT_MMIO.
 *
 * A slot cannot be changed, only taken away and made again; meanwhile what was in it is absent. So
 * all vCPUs are out of KVM_RUN while slots go.
 *
 * With the A20 gate closed, the first A20_SPAN bytes are mapped as the gate shows them, and nothing
 * above: accesses to that end in exits.c, which asks the memory map.
 *
 * Source: Linux, Documentation/virt/kvm/api.rst (KVM_SET_USER_MEMORY_REGION).
 * Threads: whoever changes the map, with the VM lock held.
 */
#include <errno.h>
#include <string.h>
#include <sched.h>
#include <sys/ioctl.h>

#include "base/range.h"
#include "engine/kvm/kvm_int.h"

#define A20_SPAN (32ull << 20)

/* ---- Nobody in KVM_RUN ---------------------------------------------------------------------- */

static void gate_shut(struct kvm_engine *e)
{
	pthread_mutex_lock(&e->gate_lock);
	atomic_store(&e->gate_shut, true);
	pthread_mutex_unlock(&e->gate_lock);
	for (unsigned i = 0; i < e->cfg.cpus; i++) {
		struct kvm_cpu *cpu = e->cpus[i];

		/* It leaves KVM_RUN and may then wait for the VM lock; it does not enter again. */
		while (cpu && atomic_load(&cpu->inside)) {
			kvm_poke(cpu);
			sched_yield();
		}
	}
}

static void gate_open(struct kvm_engine *e)
{
	pthread_mutex_lock(&e->gate_lock);
	atomic_store(&e->gate_shut, false);
	pthread_cond_broadcast(&e->gate_cond);
	pthread_mutex_unlock(&e->gate_lock);
}

/* ---- What there should be ------------------------------------------------------------------- */

/* False when there are too many. */
static bool want(struct kvm_engine *e, unsigned *n, const struct kvm_slot *s)
{
	struct kvm_slot *last = *n ? &e->wanted[*n - 1] : NULL;

	if (last && last->rom == s->rom && last->gpa + last->len == s->gpa &&
	    last->off + last->len == s->off) {
		last->len += s->len;
		return true;
	}
	if (*n >= KVM_SLOTS_MAX || *n >= e->slots_max)
		return false;
	e->wanted[(*n)++] = *s;
	return true;
}

static bool collect(struct kvm_engine *e, unsigned *n)
{
	const struct mem *mem = e->cfg.mem;
	bool a20 = mem_a20(mem);
	uint64_t end = a20 ? 1ull << 52 : A20_SPAN;
	gpa_t gpa = 0;

	*n = 0;
	while (gpa < end) {
		struct mem_range r = mem_lookup(mem, gpa);
		gpa_t seen = a20 ? gpa : gpa & ~(1ull << 20);
		uint64_t skip = seen - r.gpa, len;
		struct kvm_slot s;

		if (skip >= r.len)
			return true;
		len = min_u64(r.len - skip, end - gpa);
		s = (struct kvm_slot){.gpa = gpa,
				      .len = len,
				      .off = r.ram_off + skip,
				      .rom = r.kind == MEM_ROM};
		if (r.kind != MEM_MMIO && !want(e, n, &s))
			return false;
		gpa += len;
	}
	return true;
}

/* ---- From what there is to that ------------------------------------------------------------- */

static bool same(const struct kvm_slot *a, const struct kvm_slot *b)
{
	return a->gpa == b->gpa && a->len == b->len && a->off == b->off && a->rom == b->rom;
}

int kvm_slot_set(const struct kvm_engine *e, unsigned id, const struct kvm_slot *s, bool there)
{
	struct kvm_userspace_memory_region r = {
		.slot = id,
		.flags = !there ? 0
				: (s->rom ? KVM_MEM_READONLY : 0) |
					  (s->logs ? KVM_MEM_LOG_DIRTY_PAGES : 0),
		.guest_phys_addr = s->gpa,
		.memory_size = there ? s->len : 0,
		.userspace_addr = (uint64_t)(uintptr_t)mem_base(e->cfg.mem) + s->off,
	};

	return ioctl(e->vm, KVM_SET_USER_MEMORY_REGION, &r) < 0 ? -errno : 0;
}

static bool is_wanted(const struct kvm_engine *e, unsigned n, const struct kvm_slot *s)
{
	for (unsigned i = 0; i < n; i++) {
		if (same(&e->wanted[i], s))
			return true;
	}
	return false;
}

static bool is_there(const struct kvm_engine *e, const struct kvm_slot *s)
{
	for (unsigned i = 0; i < e->slot_count; i++) {
		if (e->slots[i].used && same(&e->slots[i], s))
			return true;
	}
	return false;
}

static int take_away(struct kvm_engine *e, unsigned n, bool *any)
{
	for (unsigned i = 0; i < e->slot_count; i++) {
		struct kvm_slot *s = &e->slots[i];
		int r;

		if (!s->used || is_wanted(e, n, s))
			continue;
		if (!*any)
			gate_shut(e);
		*any = true;
		kvm_slot_take_log(e, i);
		r = kvm_slot_set(e, i, s, false);
		if (r < 0)
			return r;
		s->used = false;
	}
	return 0;
}

static int make_new(struct kvm_engine *e, unsigned n)
{
	unsigned id = 0;

	for (unsigned i = 0; i < n; i++) {
		int r;

		if (is_there(e, &e->wanted[i]))
			continue;
		while (id < e->slot_count && e->slots[id].used)
			id++;
		if (id >= e->slots_max || id >= KVM_SLOTS_MAX)
			return -ENOSPC;
		e->wanted[i].logs = kvm_slot_is_watched(e, &e->wanted[i]);
		r = kvm_slot_set(e, id, &e->wanted[i], true);
		if (r < 0)
			return r;
		e->slots[id] = e->wanted[i];
		e->slots[id].used = true;
		if (id == e->slot_count)
			e->slot_count++;
	}
	return 0;
}

void kvm_slots_update(struct kvm_engine *e)
{
	bool stopped = false;
	unsigned n;
	int r;

	pthread_mutex_lock(&e->slots_lock);
	r = collect(e, &n) ? 0 : -ENOSPC;
	if (!r)
		r = take_away(e, n, &stopped);
	if (!r)
		r = make_new(e, n);
	if (r)
		kvm_break(e,
			  "KVM cannot map the guest's memory (%s) in %u slots; '-accel soft' runs "
			  "the guest without KVM",
			  strerror(-r), n);
	if (stopped)
		gate_open(e);
	pthread_mutex_unlock(&e->slots_lock);
}
