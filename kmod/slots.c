// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory slots: pieces of user memory that the guest sees as its own.
 *
 * Readers find slots in an array that never changes; a writer publishes another and waits until nobody reads
 * the old one. A slot that goes loses its mappings first, and is marked so that no fault makes others.
 * Source: Linux, Documentation/virt/kvm/api.rst (KVM_SET_USER_MEMORY_REGION).
 * Threads: writers hold vm->lock, readers vm->srcu.
 */
#include <linux/slab.h>

#include "lodge.h"

#define MAX_PAGES 0x7fffffffull /* their bits are at most 256 MiB */

int lodge_slots_init(struct lodge_vm *vm)
{
	struct lodge_slots *s = kvzalloc(sizeof(*s), GFP_KERNEL_ACCOUNT);

	if (!s)
		return -ENOMEM;
	rcu_assign_pointer(vm->slots, s);
	return 0;
}

static void slot_free(struct lodge_slot *slot)
{
	kvfree(slot->dirty);
	kfree(slot);
	atomic_dec(&lodge_counts.slots);
}

/* The last user is gone. */
void lodge_slots_free(struct lodge_vm *vm)
{
	struct lodge_slots *s = rcu_dereference_protected(vm->slots, true);

	for (unsigned int i = 0; i < s->count; i++)
		slot_free(s->slot[i]);
	kvfree(s);
}

/* ---- Finding --------------------------------------------------------------------------------------- */

struct lodge_slot *lodge_slot_find(struct lodge_vm *vm, u64 gfn)
{
	struct lodge_slots *s = srcu_dereference(vm->slots, &vm->srcu);
	unsigned int low = 0, high = s->count;

	while (low < high) {
		unsigned int mid = (low + high) / 2;

		if (lodge_slot_has(s->slot[mid], gfn))
			return s->slot[mid];
		if (gfn < s->slot[mid]->base_gfn)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}

static struct lodge_slots *slots_locked(struct lodge_vm *vm)
{
	return rcu_dereference_protected(vm->slots, lockdep_is_held(&vm->lock));
}

struct lodge_slot *lodge_slot_by_id(struct lodge_vm *vm, u32 id)
{
	struct lodge_slots *s = slots_locked(vm);

	for (unsigned int i = 0; i < s->count; i++) {
		if (s->slot[i]->id == id)
			return s->slot[i];
	}
	return NULL;
}

/* ---- Changing -------------------------------------------------------------------------------------- */

/* Publishes the list without `gone` and with `come`; either may be NULL. */
static int publish(struct lodge_vm *vm, struct lodge_slot *gone, struct lodge_slot *come)
{
	struct lodge_slots *old = slots_locked(vm), *new;

	if (come && !gone && old->count >= LODGE_MAX_SLOTS)
		return -ENOSPC;
	new = kvzalloc(sizeof(*new), GFP_KERNEL_ACCOUNT);
	if (!new)
		return -ENOMEM;
	for (unsigned int i = 0; i < old->count; i++) {
		struct lodge_slot *slot = old->slot[i];

		if (slot == gone)
			continue;
		if (come && come->base_gfn < slot->base_gfn) {
			new->slot[new->count++] = come;
			come = NULL;
		}
		new->slot[new->count++] = slot;
	}
	if (come)
		new->slot[new->count++] = come;
	rcu_assign_pointer(vm->slots, new);
	synchronize_srcu_expedited(&vm->srcu);
	kvfree(old);
	return 0;
}

static bool overlaps(struct lodge_vm *vm, u64 base, u64 npages, const struct lodge_slot *but)
{
	struct lodge_slots *s = slots_locked(vm);

	for (unsigned int i = 0; i < s->count; i++) {
		const struct lodge_slot *slot = s->slot[i];

		if (slot != but && base < slot->base_gfn + slot->npages &&
		    slot->base_gfn < base + npages)
			return true;
	}
	return false;
}

static int check(const struct kvm_userspace_memory_region *r)
{
	if (r->slot >= LODGE_MAX_SLOTS ||
	    (r->flags & ~(KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY)))
		return -EINVAL;
	if (((r->guest_phys_addr | r->memory_size | r->userspace_addr) & ~PAGE_MASK))
		return -EINVAL;
	if (r->guest_phys_addr + r->memory_size < r->guest_phys_addr ||
	    r->guest_phys_addr + r->memory_size > 1ull << LODGE_GPA_BITS)
		return -EINVAL;
	if (r->memory_size >> PAGE_SHIFT > MAX_PAGES)
		return -EINVAL;
	if (r->memory_size &&
	    !access_ok((void __user *)(unsigned long)r->userspace_addr, r->memory_size))
		return -EINVAL;
	return 0;
}

static int dirty_bits(struct lodge_slot *slot)
{
	slot->dirty = kvcalloc(BITS_TO_LONGS(slot->npages), sizeof(long), GFP_KERNEL_ACCOUNT);
	return slot->dirty ? 0 : -ENOMEM;
}

static struct lodge_slot *slot_new(const struct kvm_userspace_memory_region *r)
{
	struct lodge_slot *slot = kzalloc(sizeof(*slot), GFP_KERNEL_ACCOUNT);

	if (!slot)
		return NULL;
	atomic_inc(&lodge_counts.slots);
	slot->id = r->slot;
	slot->flags = r->flags;
	slot->base_gfn = r->guest_phys_addr >> PAGE_SHIFT;
	slot->npages = r->memory_size >> PAGE_SHIFT;
	slot->hva = r->userspace_addr;
	if ((slot->flags & KVM_MEM_LOG_DIRTY_PAGES) && dirty_bits(slot)) {
		slot_free(slot);
		return NULL;
	}
	return slot;
}

/* Same memory, other flags: a copy takes its place, and if writes are to be noted, none is allowed unseen. */
static int change_flags(struct lodge_vm *vm, struct lodge_slot *old,
			const struct kvm_userspace_memory_region *r)
{
	struct lodge_slot *new;
	unsigned int changed = old->flags ^ r->flags;
	int ret;

	if (!changed)
		return 0;
	if (changed & KVM_MEM_READONLY)
		return -EINVAL;
	new = slot_new(r);
	if (!new)
		return -ENOMEM;
	ret = publish(vm, old, new);
	if (ret) {
		slot_free(new);
		return ret;
	}
	/* Big pages go altogether: writes are noted by 4 KiB. */
	if (new->dirty)
		lodge_zap(vm, new->base_gfn, new->base_gfn + new->npages);
	slot_free(old);
	return 0;
}

/* It goes, or moves. Its mappings go while the host still finds them by it (notifier.c), and none comes after. */
static int replace(struct lodge_vm *vm, struct lodge_slot *old, struct lodge_slot *new)
{
	int ret;

	WRITE_ONCE(old->gone, true);
	lodge_zap(vm, old->base_gfn, old->base_gfn + old->npages);
	ret = publish(vm, old, new);
	if (ret)
		WRITE_ONCE(old->gone, false);
	else
		slot_free(old);
	return ret;
}

/* With vm->lock. */
int lodge_slot_set(struct lodge_vm *vm, const struct kvm_userspace_memory_region *r)
{
	struct lodge_slot *old, *new;
	int ret = check(r);

	if (ret)
		return ret;
	old = lodge_slot_by_id(vm, r->slot);
	if (!r->memory_size)
		return old ? replace(vm, old, NULL) : -EINVAL;
	if (old) {
		/* It may move, but keeps its size and its user memory. */
		if (old->hva != r->userspace_addr || old->npages != r->memory_size >> PAGE_SHIFT)
			return -EINVAL;
		if (old->base_gfn == r->guest_phys_addr >> PAGE_SHIFT)
			return change_flags(vm, old, r);
		if ((old->flags ^ r->flags) & KVM_MEM_READONLY)
			return -EINVAL;
	}
	if (overlaps(vm, r->guest_phys_addr >> PAGE_SHIFT, r->memory_size >> PAGE_SHIFT, old))
		return -EEXIST;
	new = slot_new(r);
	if (!new)
		return -ENOMEM;
	ret = old ? replace(vm, old, new) : publish(vm, NULL, new);
	if (ret)
		slot_free(new);
	return ret;
}
