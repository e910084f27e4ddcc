// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A vCPU and its descriptor: creation, the pages that are shared with user space, being loaded on a processor.
 * Source: Linux, Documentation/virt/kvm/api.rst §4 (vCPU ioctls), include/linux/preempt.h (notifiers).
 * Threads: ioctls of one vCPU exclude each other by vcpu->lock.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "compat/compat.h"
#include "lodge.h"

/* ---- On a processor ---------------------------------------------------------------------------------- */

static void sched_in(struct preempt_notifier *n, int cpu)
{
	struct lodge_vcpu *vcpu = container_of(n, struct lodge_vcpu, notifier);

	lodge_ops->vcpu_load(vcpu, cpu);
	WRITE_ONCE(vcpu->cpu, cpu);
	lodge_clock_moved(vcpu);
}

static void sched_out(struct preempt_notifier *n, struct task_struct *next)
{
	lodge_ops->vcpu_put(container_of(n, struct lodge_vcpu, notifier));
}

static struct preempt_ops preempt_ops = {.sched_in = sched_in, .sched_out = sched_out};

/* From here to put the vendor's state is on whatever processor this thread is on. */
void lodge_vcpu_load(struct lodge_vcpu *vcpu)
{
	int cpu;

	if (vcpu->tsc_lost != lodge_tsc_lost)
		lodge_clock_woken(vcpu);
	cpu = get_cpu();
	preempt_notifier_register(&vcpu->notifier);
	lodge_ops->vcpu_load(vcpu, cpu);
	WRITE_ONCE(vcpu->cpu, cpu);
	lodge_clock_moved(vcpu);
	put_cpu();
}

void lodge_vcpu_put(struct lodge_vcpu *vcpu)
{
	preempt_disable();
	lodge_ops->vcpu_put(vcpu);
	preempt_notifier_unregister(&vcpu->notifier);
	preempt_enable();
}

/* ---- The descriptor ---------------------------------------------------------------------------------- */

static vm_fault_t vcpu_fault(struct vm_fault *vmf)
{
	struct lodge_vcpu *vcpu = vmf->vma->vm_file->private_data;

	if (vmf->pgoff >= LODGE_RUN_PAGES)
		return VM_FAULT_SIGBUS;
	get_page(vcpu->pages[vmf->pgoff]);
	vmf->page = vcpu->pages[vmf->pgoff];
	return 0;
}

static const struct vm_operations_struct vcpu_vm_ops = {.fault = vcpu_fault};

static int vcpu_mmap(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_ops = &vcpu_vm_ops;
	return 0;
}

static long set_signal_mask(struct lodge_vcpu *vcpu, struct kvm_signal_mask __user *arg)
{
	struct kvm_signal_mask m;

	if (!arg) {
		vcpu->sigset_active = false;
		return 0;
	}
	if (copy_from_user(&m, arg, sizeof(m)))
		return -EFAULT;
	if (m.len != sizeof(vcpu->sigset))
		return -EINVAL;
	if (copy_from_user(&vcpu->sigset, arg->sigset, sizeof(vcpu->sigset)))
		return -EFAULT;
	sigdelsetmask(&vcpu->sigset, sigmask(SIGKILL) | sigmask(SIGSTOP));
	vcpu->sigset_active = true;
	return 0;
}

static long interrupt(struct lodge_vcpu *vcpu, void __user *arg)
{
	struct kvm_interrupt irq;

	if (copy_from_user(&irq, arg, sizeof(irq)))
		return -EFAULT;
	if (irq.irq > 255)
		return -EINVAL;
	if (vcpu->vm->chips)
		return -ENXIO;
	if (vcpu->apic) {
		if (vcpu->ext_irq >= 0)
			return -EEXIST;
		vcpu->ext_irq = irq.irq;
		return 0;
	}
	if (vcpu->ev.irq_injected)
		return -EEXIST;
	vcpu->ev.irq_injected = true;
	vcpu->ev.irq_soft = false;
	vcpu->ev.irq = irq.irq;
	return 0;
}

/* A page for a TPR without exits (KVM_CAP_VAPIC): QEMU says that there is none, without asking. */
static long set_vapic(u64 __user *arg)
{
	u64 addr;

	if (get_user(addr, arg))
		return -EFAULT;
	return addr ? -EINVAL : 0;
}

static long vcpu_locked_ioctl(struct lodge_vcpu *vcpu, unsigned int cmd, unsigned long arg)
{
	void __user *p = (void __user *)arg;

	switch (cmd) {
	case KVM_RUN:
		return arg ? -EINVAL : lodge_run(vcpu);
	case KVM_INTERRUPT:
		return interrupt(vcpu, p);
	case KVM_NMI:
		vcpu->ev.nmi_pending = true;
		return 0;
	case KVM_SET_VAPIC_ADDR:
		return set_vapic(p);
	case KVM_KVMCLOCK_CTRL:
		return lodge_clock_stopped(vcpu);
	case KVM_SET_SIGNAL_MASK:
		return set_signal_mask(vcpu, p);
	case KVM_SET_CPUID2:
		return lodge_cpuid_set(vcpu, p);
	case KVM_GET_CPUID2:
		return lodge_cpuid_get(vcpu, p);
	case KVM_GET_MSRS:
		return lodge_msrs_io(vcpu, p, false);
	case KVM_SET_MSRS:
		return lodge_msrs_io(vcpu, p, true);
	}
	return lodge_regs_ioctl(vcpu, cmd, p);
}

static long vcpu_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct lodge_vcpu *vcpu = file->private_data;
	long r;

	if (vcpu->vm->mm != current->mm)
		return -EIO;
	if (mutex_lock_killable(&vcpu->lock))
		return -EINTR;
	r = vcpu_locked_ioctl(vcpu, cmd, arg);
	mutex_unlock(&vcpu->lock);
	return r;
}

static int vcpu_release(struct inode *inode, struct file *file)
{
	struct lodge_vcpu *vcpu = file->private_data;

	lodge_vm_put(vcpu->vm);
	return 0;
}

static const struct file_operations vcpu_fops = {
	.owner = THIS_MODULE,
	.release = vcpu_release,
	.unlocked_ioctl = vcpu_ioctl,
	.mmap = vcpu_mmap,
	.llseek = noop_llseek,
};

/* ---- A new one, and its end -------------------------------------------------------------------------- */

void lodge_vcpu_free(struct lodge_vcpu *vcpu)
{
	if (vcpu->vendor)
		lodge_ops->vcpu_free(vcpu);
	lodge_apic_free(vcpu);
	lodge_emulate_free(vcpu);
	if (vcpu->fpu.fpstate)
		fpu_free_guest_fpstate(&vcpu->fpu);
	lodge_spares_free(vcpu);
	kvfree(vcpu->cpuid);
	vunmap(vcpu->run);
	for (unsigned int i = 0; i < LODGE_RUN_PAGES; i++) {
		if (vcpu->pages[i])
			__free_page(vcpu->pages[i]);
	}
	kfree(vcpu);
	atomic_dec(&lodge_counts.vcpus);
}

static int run_pages(struct lodge_vcpu *vcpu)
{
	for (unsigned int i = 0; i < LODGE_RUN_PAGES; i++) {
		vcpu->pages[i] = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
		if (!vcpu->pages[i])
			return -ENOMEM;
	}
	vcpu->run = vmap(vcpu->pages, LODGE_RUN_PAGES, VM_MAP, PAGE_KERNEL);
	if (!vcpu->run)
		return -ENOMEM;
	vcpu->pio = (u8 *)vcpu->run + PAGE_SIZE;
	return 0;
}

struct lodge_vcpu *lodge_vcpu_new(struct lodge_vm *vm, u32 id)
{
	struct lodge_vcpu *vcpu = kzalloc(sizeof(*vcpu), GFP_KERNEL_ACCOUNT);
	int r;

	if (!vcpu)
		return ERR_PTR(-ENOMEM);
	atomic_inc(&lodge_counts.vcpus);
	mutex_init(&vcpu->lock);
	preempt_notifier_init(&vcpu->notifier, &preempt_ops);
	init_swait_queue_head(&vcpu->wait);
	vcpu->ext_irq = -1;
	vcpu->vm = vm;
	vcpu->id = id;
	vcpu->cpu = -1;
	r = run_pages(vcpu);
	if (!r && !fpu_alloc_guest_fpstate(&vcpu->fpu))
		r = -ENOMEM;
	if (!r)
		r = lodge_emulate_init(vcpu);
	if (!r)
		r = lodge_apic_create(vcpu);
	if (!r)
		r = lodge_ops->vcpu_create(vcpu);
	if (r) {
		lodge_vcpu_free(vcpu);
		return ERR_PTR(r);
	}
	lodge_vcpu_reset(vcpu);
	return vcpu;
}

/* With vm->lock. */
static int can_add(const struct lodge_vm *vm, const struct lodge_vcpu *vcpu, u32 id)
{
	/* Controllers came in between. */
	if (vm->has_apics != !!vcpu->apic)
		return -EINVAL;
	for (unsigned int i = 0; i < vm->vcpu_count; i++) {
		if (vm->vcpus[i]->id == id)
			return -EEXIST;
	}
	return vm->vcpu_count < LODGE_MAX_VCPUS ? 0 : -EINVAL;
}

/* With vm->lock. Once it is in the VM's list it stays there as long as the VM. */
static int add(struct lodge_vm *vm, struct lodge_vcpu *vcpu)
{
	int fd = get_unused_fd_flags(O_CLOEXEC);
	struct file *file;

	if (fd < 0)
		return fd;
	file = anon_inode_getfile("lodge-vcpu", &vcpu_fops, vcpu, O_RDWR);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		return PTR_ERR(file);
	}
	lodge_vm_get(vm);
	vcpu->index = vm->vcpu_count;
	vm->vcpus[vcpu->index] = vcpu;
	/* Partner: lodge_request_all. */
	smp_store_release(&vm->vcpu_count, vcpu->index + 1);
	fd_install(fd, file);
	return fd;
}

int lodge_vcpu_create(struct lodge_vm *vm, u32 id)
{
	struct lodge_vcpu *vcpu = lodge_vcpu_new(vm, id);
	int r;

	if (IS_ERR(vcpu))
		return PTR_ERR(vcpu);
	mutex_lock(&vm->lock);
	r = can_add(vm, vcpu, id);
	if (!r)
		r = add(vm, vcpu);
	mutex_unlock(&vm->lock);
	if (r < 0)
		lodge_vcpu_free(vcpu);
	return r;
}
