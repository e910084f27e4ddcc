// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Devices that are here: a vCPU's access goes to one of them, or to user space. ioeventfd: a write that does no more
 * than to wake who waits for an eventfd.
 * Source: Linux, Documentation/virt/kvm/api.rst (KVM_IOEVENTFD, KVM_CAP_IOEVENTFD_ANY_LENGTH).
 * Threads: vCPUs' own, with srcu; the list changes with vm->lock.
 */
#include <linux/eventfd.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "compat/compat.h"
#include "lodge.h"

#define FLAGS (KVM_IOEVENTFD_FLAG_DATAMATCH | KVM_IOEVENTFD_FLAG_PIO | KVM_IOEVENTFD_FLAG_DEASSIGN)
#define MAX_BELLS 1000

struct doorbell {
	struct list_head list;
	struct eventfd_ctx *ctx;
	u64 addr, match;
	u32 len; /* 0: any */
	bool pio, matches;
};

/* ---- Writes --------------------------------------------------------------------------------------------------- */

static bool ring(struct lodge_vm *vm, bool pio, u64 addr, const void *data, unsigned int len)
{
	struct doorbell *d;
	u64 val = 0;

	memcpy(&val, data, min(len, 8u));
	list_for_each_entry_srcu(d, &vm->doorbells, list, srcu_read_lock_held(&vm->srcu))
	{
		if (d->addr != addr || d->pio != pio || (d->len && d->len != len))
			continue;
		if (d->matches && d->match != val)
			continue;
		lodge_eventfd_signal(d->ctx);
		return true;
	}
	return false;
}

bool lodge_device_mmio(struct lodge_vcpu *vcpu, u64 gpa, void *data, unsigned int len, bool write)
{
	struct lodge_vm *vm = vcpu->vm;

	if (lodge_apic_at(vcpu, gpa))
		lodge_apic_mmio(vcpu, offset_in_page(gpa), data, len, write);
	else if (vm->chips && gpa - LODGE_IOAPIC_BASE < 0x100)
		lodge_ioapic_mmio(vm, gpa - LODGE_IOAPIC_BASE, data, len, write);
	else
		return write && ring(vm, false, gpa, data, len);
	return true;
}

bool lodge_device_port(struct lodge_vcpu *vcpu, u16 port, void *data, unsigned int len, bool write)
{
	struct lodge_vm *vm = vcpu->vm;
	u8 *val = data;

	/* Wider accesses are several: ports 0x20 and 0x21 with one OUT of 16 bits. */
	if (vm->chips &&
	    (lodge_pic_io(vm, port, val, write) || lodge_pit_io(vm, port, val, write))) {
		for (unsigned int i = 1; i < len; i++) {
			if (!lodge_pic_io(vm, port + i, val + i, write) &&
			    !lodge_pit_io(vm, port + i, val + i, write) && !write)
				val[i] = 0xff;
		}
		return true;
	}
	return write && ring(vm, true, port, data, len);
}

/* ---- The list, with vm->lock ------------------------------------------------------------------------------------ */

static bool is_same(const struct doorbell *d, const struct kvm_ioeventfd *k)
{
	return d->addr == k->addr && d->len == k->len &&
	       d->pio == !!(k->flags & KVM_IOEVENTFD_FLAG_PIO);
}

static int assign(struct lodge_vm *vm, const struct kvm_ioeventfd *k, struct eventfd_ctx *ctx)
{
	bool matches = k->flags & KVM_IOEVENTFD_FLAG_DATAMATCH;
	struct doorbell *d;
	unsigned int n = 0;

	list_for_each_entry (d, &vm->doorbells, list) {
		if (is_same(d, k) && (!matches || !d->matches || d->match == k->datamatch))
			return -EEXIST;
		n++;
	}
	if (n >= MAX_BELLS)
		return -ENOSPC;
	d = kzalloc(sizeof(*d), GFP_KERNEL_ACCOUNT);
	if (!d)
		return -ENOMEM;
	d->ctx = ctx;
	d->addr = k->addr;
	d->len = k->len;
	d->pio = k->flags & KVM_IOEVENTFD_FLAG_PIO;
	d->matches = matches;
	d->match = k->datamatch;
	list_add_tail_rcu(&d->list, &vm->doorbells);
	atomic_inc(&lodge_counts.eventfds);
	return 0;
}

static void doorbell_free(struct doorbell *d)
{
	eventfd_ctx_put(d->ctx);
	kfree(d);
	atomic_dec(&lodge_counts.eventfds);
}

static int deassign(struct lodge_vm *vm, const struct kvm_ioeventfd *k,
		    const struct eventfd_ctx *ctx)
{
	bool matches = k->flags & KVM_IOEVENTFD_FLAG_DATAMATCH;
	struct doorbell *d;

	list_for_each_entry (d, &vm->doorbells, list) {
		if (!is_same(d, k) || d->ctx != ctx || d->matches != matches ||
		    (matches && d->match != k->datamatch))
			continue;
		list_del_rcu(&d->list);
		synchronize_srcu_expedited(&vm->srcu);
		doorbell_free(d);
		return 0;
	}
	return -ENOENT;
}

long lodge_ioeventfd(struct lodge_vm *vm, void __user *arg)
{
	struct eventfd_ctx *ctx;
	struct kvm_ioeventfd k;
	long r;

	if (copy_from_user(&k, arg, sizeof(k)))
		return -EFAULT;
	if ((k.flags & ~(u32)FLAGS) || k.addr + k.len < k.addr)
		return -EINVAL;
	if (k.len > 8 || (k.len & (k.len - 1)))
		return -EINVAL;
	if (!k.len && (k.flags & KVM_IOEVENTFD_FLAG_DATAMATCH))
		return -EINVAL;
	ctx = eventfd_ctx_fdget(k.fd);
	if (IS_ERR(ctx))
		return PTR_ERR(ctx);
	mutex_lock(&vm->lock);
	if (k.flags & KVM_IOEVENTFD_FLAG_DEASSIGN)
		r = deassign(vm, &k, ctx);
	else
		r = assign(vm, &k, ctx);
	mutex_unlock(&vm->lock);
	if (r || (k.flags & KVM_IOEVENTFD_FLAG_DEASSIGN))
		eventfd_ctx_put(ctx);
	return r;
}

/* The last user is gone. */
void lodge_ioeventfd_release(struct lodge_vm *vm)
{
	struct doorbell *d, *next;

	list_for_each_entry_safe(d, next, &vm->doorbells, list) doorbell_free(d);
}
