// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The kernel's own accesses to guest memory, by the user mapping behind it, so that swapping and dirty logging are
 * the host's as usual.
 * Threads: the vCPU's own, in its process; srcu is held; may sleep.
 */
#include <linux/module.h>
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

/* What is aligned is read and written at once, as the guest's processor would. */
static int get_bytes(void *data, const void __user *p, unsigned int n)
{
	if (n == 8 && IS_ALIGNED((unsigned long)p, 8))
		return get_user(*(u64 *)data, (const u64 __user *)p);
	if (n == 4 && IS_ALIGNED((unsigned long)p, 4))
		return get_user(*(u32 *)data, (const u32 __user *)p);
	if (n == 2 && IS_ALIGNED((unsigned long)p, 2))
		return get_user(*(u16 *)data, (const u16 __user *)p);
	return copy_from_user(data, p, n) ? -EFAULT : 0;
}

static int put_bytes(void __user *p, const void *data, unsigned int n)
{
	if (n == 8 && IS_ALIGNED((unsigned long)p, 8))
		return put_user(*(const u64 *)data, (u64 __user *)p);
	if (n == 4 && IS_ALIGNED((unsigned long)p, 4))
		return put_user(*(const u32 *)data, (u32 __user *)p);
	if (n == 2 && IS_ALIGNED((unsigned long)p, 2))
		return put_user(*(const u16 *)data, (u16 __user *)p);
	return copy_to_user(p, data, n) ? -EFAULT : 0;
}

int lodge_read_gpa(struct lodge_vm *vm, u64 gpa, void *data, unsigned int len)
{
	while (len) {
		unsigned int n = in_page(gpa, len);
		struct lodge_slot *slot;
		void __user *p = part(vm, gpa, false, &slot);

		if (!p)
			return -ENOENT;
		if (get_bytes(data, p, n))
			return -EIO;
		gpa += n;
		data += n;
		len -= n;
	}
	return 0;
}
EXPORT_SYMBOL_GPL(lodge_read_gpa);

int lodge_write_gpa(struct lodge_vm *vm, u64 gpa, const void *data, unsigned int len)
{
	while (len) {
		unsigned int n = in_page(gpa, len);
		struct lodge_slot *slot;
		void __user *p = part(vm, gpa, true, &slot);

		if (!p)
			return -ENOENT;
		if (put_bytes(p, data, n))
			return -EIO;
		lodge_mark_dirty(slot, gpa >> PAGE_SHIFT);
		gpa += n;
		data += n;
		len -= n;
	}
	return 0;
}

#define EXCHANGE(type)                                                                             \
	do {                                                                                       \
		type was = *(const type *)old;                                                     \
		done = unsafe_try_cmpxchg_user((type __user *)p, &was, *(const type *)new, fault); \
	} while (0)

int lodge_cmpxchg_gpa(struct lodge_vm *vm, u64 gpa, const void *old, const void *new,
		      unsigned int len)
{
	struct lodge_slot *slot;
	void __user *p = part(vm, gpa, true, &slot);
	bool done = false;

	if (len > 8 || (gpa & (len - 1)))
		return -EINVAL;
	if (!p)
		return -ENOENT;
	if (!user_access_begin(p, len))
		return -EIO;
	switch (len) {
	case 1:
		EXCHANGE(u8);
		break;
	case 2:
		EXCHANGE(u16);
		break;
	case 4:
		EXCHANGE(u32);
		break;
	case 8:
		EXCHANGE(u64);
		break;
	}
	user_access_end();
	if (done)
		lodge_mark_dirty(slot, gpa >> PAGE_SHIFT);
	return done ? 0 : -EAGAIN;
fault:
	user_access_end();
	return -EIO;
}
