// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A VM and its descriptor. It lives as long as its descriptor or one of its vCPUs'.
 * Source: Linux, Documentation/virt/kvm/api.rst §4 (VM ioctls).
 * Threads: any.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/uaccess.h>

#include "compat/compat.h"
#include "lodge.h"

void lodge_vm_get(struct lodge_vm *vm)
{
	refcount_inc(&vm->users);
}

static void vm_free(struct lodge_vm *vm)
{
	/* Nobody runs it. The memory's owner may outlive it, and must not call any more. */
	mmu_notifier_unregister(&vm->notifier, vm->mm);
	lodge_pit_free(vm);
	for (unsigned int i = 0; i < vm->vcpu_count; i++)
		lodge_vcpu_free(vm->vcpus[i]);
	lodge_ioeventfd_release(vm);
	lodge_routes_free(vm);
	kfree(vm->chips);
	lodge_tables_free(vm);
	lodge_slots_free(vm);
	lodge_filter_free(vm);
	cleanup_srcu_struct(&vm->srcu);
	mmdrop(vm->mm);
	kvfree(vm);
	atomic_dec(&lodge_counts.vms);
	lodge_hardware_put();
}

void lodge_vm_put(struct lodge_vm *vm)
{
	if (refcount_dec_and_test(&vm->users))
		vm_free(vm);
}

/* ---- Requests -------------------------------------------------------------------------------------- */

static void left(void *unused)
{
	/* That the interrupt came is enough: the guest was left for it. */
}

/*
 * A vCPU says LODGE_IN_GUEST, then looks at its requests; here the request is made, then its mode is looked at.
 * One of them sees the other (partner: run.c, enter_guest).
 */
void lodge_request_all(struct lodge_vm *vm, unsigned int request)
{
	cpumask_var_t cpus;
	bool some = zalloc_cpumask_var(&cpus, GFP_ATOMIC);
	unsigned int count;
	int me = get_cpu();

	/* Who comes after this look finds what the caller has changed. */
	smp_mb();
	count = smp_load_acquire(&vm->vcpu_count);
	for (unsigned int i = 0; i < count; i++)
		set_bit(request, &vm->vcpus[i]->requests);
	smp_mb();
	for (unsigned int i = 0; some && i < count; i++) {
		struct lodge_vcpu *vcpu = vm->vcpus[i];
		int cpu = READ_ONCE(vcpu->cpu);

		if (READ_ONCE(vcpu->mode) == LODGE_IN_GUEST && cpu >= 0 && cpu != me)
			cpumask_set_cpu(cpu, cpus);
	}
	if (!some)
		smp_call_function(left, NULL, 1);
	else if (!cpumask_empty(cpus))
		smp_call_function_many(cpus, left, NULL, 1);
	put_cpu();
	free_cpumask_var(cpus);
}

void lodge_request(struct lodge_vcpu *vcpu, unsigned int request)
{
	int me = get_cpu(), cpu;

	set_bit(request, &vcpu->requests);
	smp_mb__after_atomic();
	cpu = READ_ONCE(vcpu->cpu);
	if (READ_ONCE(vcpu->mode) == LODGE_IN_GUEST && cpu >= 0 && cpu != me)
		smp_send_reschedule(cpu);
	else if (swq_has_sleeper(&vcpu->wait))
		swake_up_one(&vcpu->wait);
	put_cpu();
}

/* ---- The descriptor -------------------------------------------------------------------------------- */

static long set_memory(struct lodge_vm *vm, void __user *arg)
{
	struct kvm_userspace_memory_region r;
	int ret;

	if (copy_from_user(&r, arg, sizeof(r)))
		return -EFAULT;
	mutex_lock(&vm->lock);
	ret = lodge_slot_set(vm, &r);
	mutex_unlock(&vm->lock);
	return ret;
}

static long get_dirty(struct lodge_vm *vm, void __user *arg)
{
	struct kvm_dirty_log log;
	int ret;

	if (copy_from_user(&log, arg, sizeof(log)))
		return -EFAULT;
	mutex_lock(&vm->lock);
	ret = lodge_dirty_get(vm, &log);
	mutex_unlock(&vm->lock);
	return ret;
}

static long set_identity(struct lodge_vm *vm, void __user *arg)
{
	u64 addr;

	if (copy_from_user(&addr, arg, sizeof(addr)))
		return -EFAULT;
	/* For VT-x without unrestricted guest. */
	if (READ_ONCE(vm->vcpu_count))
		return -EINVAL;
	vm->identity_addr = addr;
	return 0;
}

#define REASONS \
	(KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN | KVM_MSR_EXIT_REASON_FILTER)

static long enable_cap(struct lodge_vm *vm, void __user *arg)
{
	struct kvm_enable_cap cap;

	if (copy_from_user(&cap, arg, sizeof(cap)))
		return -EFAULT;
	if (cap.cap == KVM_CAP_SPLIT_IRQCHIP && !cap.flags)
		return lodge_irq_split(vm, cap.args[0]);
	if (cap.flags || cap.cap != KVM_CAP_X86_USER_SPACE_MSR || (cap.args[0] & ~(u64)REASONS))
		return -EINVAL;
	WRITE_ONCE(vm->msr_reasons, cap.args[0]);
	return 0;
}

static long vm_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct lodge_vm *vm = file->private_data;
	void __user *p = (void __user *)arg;

	/* Addresses are those of the process that made it. */
	if (vm->mm != current->mm)
		return -EIO;
	switch (cmd) {
	case KVM_CHECK_EXTENSION:
		return lodge_check_extension(arg);
	case KVM_CREATE_VCPU:
		return arg < LODGE_MAX_VCPUS ? lodge_vcpu_create(vm, arg) : -EINVAL;
	case KVM_SET_USER_MEMORY_REGION:
		return set_memory(vm, p);
	case KVM_GET_DIRTY_LOG:
		return get_dirty(vm, p);
	case KVM_ENABLE_CAP:
		return enable_cap(vm, p);
	case KVM_X86_SET_MSR_FILTER:
		return lodge_filter_set(vm, p);
	case KVM_SET_TSS_ADDR:
		/* Three pages for virtual-8086 mode, in which real mode is not run here. */
		return arg > U32_MAX - 3 * PAGE_SIZE + 1 ? -EINVAL : 0;
	case KVM_SET_IDENTITY_MAP_ADDR:
		return set_identity(vm, p);
	case KVM_GET_CLOCK:
	case KVM_SET_CLOCK:
		return lodge_clock_ioctl(vm, cmd, p);
	}
	return lodge_irq_ioctl(vm, cmd, p);
}

static int vm_release(struct inode *inode, struct file *file)
{
	struct lodge_vm *vm = file->private_data;

	lodge_irqfd_release(vm);
	lodge_vm_put(vm);
	return 0;
}

static const struct file_operations vm_fops = {
	.owner = THIS_MODULE,
	.release = vm_release,
	.unlocked_ioctl = vm_ioctl,
	.llseek = noop_llseek,
};

/* ---- A new one ------------------------------------------------------------------------------------- */

/* Its hardware is the caller's to have got: lodge_vm_put gives it back. */
struct lodge_vm *lodge_vm_new(void)
{
	struct lodge_vm *vm = kvzalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT);
	int r = -ENOMEM;

	if (!vm)
		return ERR_PTR(r);
	mutex_init(&vm->lock);
	spin_lock_init(&vm->mmu_lock);
	spin_lock_init(&vm->tsc_lock);
	spin_lock_init(&vm->chip_lock);
	lodge_irqfd_init(vm);
	INIT_LIST_HEAD(&vm->doorbells);
	lodge_clock_init(vm);
	refcount_set(&vm->users, 1);
	vm->mm = current->mm;
	mmgrab(vm->mm);
	r = init_srcu_struct(&vm->srcu);
	if (r)
		goto no_srcu;
	r = lodge_slots_init(vm);
	if (r)
		goto no_slots;
	r = lodge_tables_init(vm);
	if (r)
		goto no_tables;
	r = lodge_notifier_init(vm);
	if (r)
		goto no_notifier;
	atomic_inc(&lodge_counts.vms);
	return vm;

no_notifier:
	lodge_tables_free(vm);
no_tables:
	lodge_slots_free(vm);
no_slots:
	cleanup_srcu_struct(&vm->srcu);
no_srcu:
	mmdrop(vm->mm);
	kvfree(vm);
	return ERR_PTR(r);
}

int lodge_vm_create(void)
{
	struct lodge_vm *vm;
	int r = lodge_hardware_get();

	if (r)
		return r;
	vm = lodge_vm_new();
	if (IS_ERR(vm)) {
		lodge_hardware_put();
		return PTR_ERR(vm);
	}
	r = anon_inode_getfd("lodge-vm", &vm_fops, vm, O_RDWR | O_CLOEXEC);
	if (r < 0)
		lodge_vm_put(vm);
	return r;
}
