// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * irqfd: an eventfd that is written to drives an interrupt source. The interrupt is sent where the eventfd is written,
 * since all that needs spins at most.
 *
 * An eventfd that goes away wakes those who wait for it once more (EPOLLHUP), when it cannot be left: a worker does.
 * Source: Linux, Documentation/virt/kvm/api.rst (KVM_IRQFD), include/linux/eventfd.h.
 * Threads: irqfd_lock; woken: any context, with the lock of the eventfd's wait queue.
 */
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "compat/compat.h"
#include "lodge.h"

struct irqfd {
	struct lodge_vm *vm;
	struct list_head list;
	struct eventfd_ctx *ctx;
	u32 gsi;
	bool gone; /* its eventfd */
	wait_queue_entry_t wait;
	poll_table table;
};

static void interrupt(struct irqfd *f)
{
	lodge_gsi(f->vm, LODGE_SRC_USER, f->gsi, true);
	lodge_gsi(f->vm, LODGE_SRC_USER, f->gsi, false);
}

static int woken(wait_queue_entry_t *wait, unsigned int mode, int sync, void *key)
{
	struct irqfd *f = container_of(wait, struct irqfd, wait);
	__poll_t what = key_to_poll(key);
	u64 count;

	if (what & EPOLLIN) {
		eventfd_ctx_do_read(f->ctx, &count);
		interrupt(f);
	}
	if (what & EPOLLHUP) {
		WRITE_ONCE(f->gone, true);
		schedule_work(&f->vm->irqfd_reaper);
	}
	return 0;
}

static void queued(struct file *file, wait_queue_head_t *head, poll_table *table)
{
	add_wait_queue(head, &container_of(table, struct irqfd, table)->wait);
}

/* With irqfd_lock. When it returns nothing of it is under way. */
static void drop(struct irqfd *f)
{
	u64 count;

	eventfd_ctx_remove_wait_queue(f->ctx, &f->wait, &count);
	list_del(&f->list);
	eventfd_ctx_put(f->ctx);
	kfree(f);
	atomic_dec(&lodge_counts.eventfds);
}

static void reap(struct work_struct *work)
{
	struct lodge_vm *vm = container_of(work, struct lodge_vm, irqfd_reaper);
	struct irqfd *f, *next;

	mutex_lock(&vm->irqfd_lock);
	list_for_each_entry_safe(f, next, &vm->irqfds, list)
	{
		if (READ_ONCE(f->gone))
			drop(f);
	}
	mutex_unlock(&vm->irqfd_lock);
}

/* With irqfd_lock. */
static int assign(struct lodge_vm *vm, struct file *file, struct eventfd_ctx *ctx, u32 gsi)
{
	struct irqfd *f;

	list_for_each_entry (f, &vm->irqfds, list) {
		if (f->ctx == ctx)
			return -EBUSY;
	}
	f = kzalloc(sizeof(*f), GFP_KERNEL_ACCOUNT);
	if (!f)
		return -ENOMEM;
	f->vm = vm;
	f->ctx = ctx;
	f->gsi = gsi;
	init_waitqueue_func_entry(&f->wait, woken);
	init_poll_funcptr(&f->table, queued);
	list_add(&f->list, &vm->irqfds);
	atomic_inc(&lodge_counts.eventfds);
	/* What was written before. */
	if (vfs_poll(file, &f->table) & EPOLLIN)
		interrupt(f);
	return 0;
}

/* With irqfd_lock. */
static void deassign(struct lodge_vm *vm, const struct eventfd_ctx *ctx, u32 gsi)
{
	struct irqfd *f, *next;

	list_for_each_entry_safe(f, next, &vm->irqfds, list)
	{
		if (f->ctx == ctx && f->gsi == gsi)
			drop(f);
	}
}

long lodge_irqfd(struct lodge_vm *vm, void __user *arg)
{
	struct eventfd_ctx *ctx;
	struct kvm_irqfd k;
	bool keeps = false;
	struct file *file;
	long r = 0;

	if (copy_from_user(&k, arg, sizeof(k)))
		return -EFAULT;
	if (!vm->has_apics || (k.flags & ~(u32)KVM_IRQFD_FLAG_DEASSIGN) || k.gsi >= LODGE_MAX_GSI)
		return -EINVAL;
	file = fget(k.fd);
	if (!file)
		return -EBADF;
	ctx = eventfd_ctx_fileget(file);
	if (IS_ERR(ctx)) {
		fput(file);
		return PTR_ERR(ctx);
	}
	mutex_lock(&vm->irqfd_lock);
	if (k.flags & KVM_IRQFD_FLAG_DEASSIGN) {
		deassign(vm, ctx, k.gsi);
	} else {
		r = assign(vm, file, ctx, k.gsi);
		keeps = !r;
	}
	mutex_unlock(&vm->irqfd_lock);
	if (!keeps)
		eventfd_ctx_put(ctx);
	fput(file);
	return r;
}

void lodge_irqfd_init(struct lodge_vm *vm)
{
	mutex_init(&vm->irqfd_lock);
	INIT_LIST_HEAD(&vm->irqfds);
	INIT_WORK(&vm->irqfd_reaper, reap);
}

/* The VM's descriptor is closed: none comes any more. */
void lodge_irqfd_release(struct lodge_vm *vm)
{
	struct irqfd *f, *next;

	mutex_lock(&vm->irqfd_lock);
	list_for_each_entry_safe(f, next, &vm->irqfds, list) drop(f);
	mutex_unlock(&vm->irqfd_lock);
	cancel_work_sync(&vm->irqfd_reaper);
}
