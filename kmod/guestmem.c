// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The kernel's own accesses to guest memory, by the user mapping behind it, so that swapping and dirty logging are
 * the host's as usual.
 * Threads: the vCPU's own, in its process; srcu is held; may sleep.
 */
#include <linux/uaccess.h>

#include "lodge.h"

/* One page's part; its user address, or NULL. */
static void __user *part(struct lodge_vm *vm, u64 gpa, bool write, struct lodge_slot **slot)
{
	*slot = lodge_slot_find(vm, gpa >> PAGE_SHIFT);
	if (!*slot || (write && ((*slot)->flags & KVM_MEM_READONLY)))
		return NULL;
	return (void __user *)(lodge_slot_hva(*slot, gpa >> PAGE_SHIFT) + offset_in_page(gpa));
}

static unsigned int in_page(u64 gpa, unsigned int len)
{
	return min_t(unsigned int, len, PAGE_SIZE - offset_in_page(gpa));
}

int lodge_read_gpa(struct lodge_vm *vm, u64 gpa, void *data, unsigned int len)
{
	while (len) {
		unsigned int n = in_page(gpa, len);
		struct lodge_slot *slot;
		void __user *p = part(vm, gpa, false, &slot);

		if (!p || copy_from_user(data, p, n))
			return -ENOENT;
		gpa += n;
		data += n;
		len -= n;
	}
	return 0;
}

int lodge_write_gpa(struct lodge_vm *vm, u64 gpa, const void *data, unsigned int len)
{
	while (len) {
		unsigned int n = in_page(gpa, len);
		struct lodge_slot *slot;
		void __user *p = part(vm, gpa, true, &slot);

		if (!p || copy_to_user(p, data, n))
			return -ENOENT;
		lodge_mark_dirty(slot, gpa >> PAGE_SHIFT);
		gpa += n;
		data += n;
		len -= n;
	}
	return 0;
}

int lodge_cmpxchg_gpa(struct lodge_vm *vm, u64 gpa, u64 old, u64 new, bool wide)
{
	struct lodge_slot *slot;
	void __user *p = part(vm, gpa, true, &slot);
	u32 old32 = old;
	bool done;

	if (!p || !user_access_begin(p, 8))
		return -ENOENT;
	if (wide)
		done = unsafe_try_cmpxchg_user((u64 __user *)p, &old, new, fault);
	else
		done = unsafe_try_cmpxchg_user((u32 __user *)p, &old32, (u32)new, fault);
	user_access_end();
	if (done)
		lodge_mark_dirty(slot, gpa >> PAGE_SHIFT);
	return done ? 0 : -EAGAIN;
fault:
	user_access_end();
	return -ENOENT;
}
