// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The core module: its device, its parameters, what it says it can do, and the counters in debugfs.
 * Source: Linux, Documentation/virt/kvm/api.rst §4 (system ioctls).
 * Threads: any.
 */
#include <linux/debugfs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "lodge.h"

static char *device = "lodge";
module_param(device, charp, 0444);
MODULE_PARM_DESC(device, "name of the device in /dev: lodge, or kvm where no other module has it");

struct lodge_counts lodge_counts;
static struct dentry *debug_dir;

void *lodge_dup_user(const void __user *from, size_t size)
{
	void *p = kvmalloc(size, GFP_KERNEL_ACCOUNT);

	if (!p)
		return ERR_PTR(-ENOMEM);
	if (!copy_from_user(p, from, size))
		return p;
	kvfree(p);
	return ERR_PTR(-EFAULT);
}

/* ---- Capabilities -------------------------------------------------------------------------------- */

int lodge_check_extension(long cap)
{
	switch (cap) {
	case KVM_CAP_USER_MEMORY:
	case KVM_CAP_DESTROY_MEMORY_REGION_WORKS:
	case KVM_CAP_JOIN_MEMORY_REGIONS_WORKS:
	case KVM_CAP_READONLY_MEM:
	case KVM_CAP_SET_TSS_ADDR:
	case KVM_CAP_SET_IDENTITY_MAP_ADDR:
	case KVM_CAP_EXT_CPUID:
	case KVM_CAP_GET_MSR_FEATURES:
	case KVM_CAP_MP_STATE:
	case KVM_CAP_SYNC_MMU:
	case KVM_CAP_USER_NMI:
	case KVM_CAP_VCPU_EVENTS:
	case KVM_CAP_DEBUGREGS:
	case KVM_CAP_XSAVE:
	case KVM_CAP_GET_TSC_KHZ:
	case KVM_CAP_SET_GUEST_DEBUG:
	case KVM_CAP_IMMEDIATE_EXIT:
	case KVM_CAP_SREGS2:
	case KVM_CAP_CHECK_EXTENSION_VM:
	case KVM_CAP_VCPU_ATTRIBUTES:
	case KVM_CAP_ENABLE_CAP_VM:
	case KVM_CAP_X86_USER_SPACE_MSR:
	case KVM_CAP_X86_MSR_FILTER:
	case KVM_CAP_IRQCHIP:
	case KVM_CAP_IRQ_INJECT_STATUS:
	case KVM_CAP_PIT2:
	case KVM_CAP_PIT_STATE2:
	case KVM_CAP_REINJECT_CONTROL:
	case KVM_CAP_SPLIT_IRQCHIP:
	case KVM_CAP_SIGNAL_MSI:
	case KVM_CAP_IRQFD:
	case KVM_CAP_IOEVENTFD:
	case KVM_CAP_IOEVENTFD_ANY_LENGTH:
	case KVM_CAP_TSC_DEADLINE_TIMER:
	case KVM_CAP_KVMCLOCK_CTRL:
		return 1;
	case KVM_CAP_IRQ_ROUTING:
		return LODGE_MAX_GSI;
	case KVM_CAP_ADJUST_CLOCK:
		return KVM_CLOCK_TSC_STABLE;
	case KVM_CAP_XCRS:
		return lodge_xcr0_supported() != 0;
	case KVM_CAP_NR_VCPUS:
		return min_t(int, num_online_cpus(), LODGE_MAX_VCPUS);
	case KVM_CAP_MAX_VCPUS:
	case KVM_CAP_MAX_VCPU_ID:
		return LODGE_MAX_VCPUS;
	case KVM_CAP_NR_MEMSLOTS:
		return LODGE_MAX_SLOTS;
	}
	return 0;
}

static long device_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *p = (void __user *)arg;

	switch (cmd) {
	case KVM_GET_API_VERSION:
		return arg ? -EINVAL : KVM_API_VERSION;
	case KVM_CREATE_VM:
		return arg ? -EINVAL : lodge_vm_create();
	case KVM_CHECK_EXTENSION:
		return lodge_check_extension(arg);
	case KVM_GET_VCPU_MMAP_SIZE:
		return arg ? -EINVAL : LODGE_RUN_PAGES * PAGE_SIZE;
	case KVM_GET_SUPPORTED_CPUID:
		return lodge_cpuid_supported(p);
	case KVM_GET_MSR_INDEX_LIST:
		return lodge_msr_list(p, false);
	case KVM_GET_MSR_FEATURE_INDEX_LIST:
		return lodge_msr_list(p, true);
	case KVM_GET_MSRS:
		return lodge_msrs_io(NULL, p, false);
	}
	return -ENOTTY;
}

/* ---- The device ---------------------------------------------------------------------------------- */

/* What it answers is the vendor's too; that module goes after the device (misc_register's lock orders the two). */
static int device_open(struct inode *inode, struct file *file)
{
	return try_module_get(lodge_ops->owner) ? 0 : -ENODEV;
}

static int device_release(struct inode *inode, struct file *file)
{
	module_put(lodge_ops->owner);
	return 0;
}

static const struct file_operations device_fops = {
	.owner = THIS_MODULE,
	.open = device_open,
	.release = device_release,
	.unlocked_ioctl = device_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.fops = &device_fops,
	.mode = 0660,
};

int lodge_device_create(void)
{
	misc.name = device;
	return misc_register(&misc);
}

void lodge_device_remove(void)
{
	misc_deregister(&misc);
}

static int __init lodge_init(void)
{
	int r = lodge_hardware_init();

	if (r)
		return r;
	debug_dir = debugfs_create_dir("lodge", NULL);
	debugfs_create_atomic_t("vms", 0444, debug_dir, &lodge_counts.vms);
	debugfs_create_atomic_t("vcpus", 0444, debug_dir, &lodge_counts.vcpus);
	debugfs_create_atomic_t("tables", 0444, debug_dir, &lodge_counts.tables);
	debugfs_create_atomic_t("slots", 0444, debug_dir, &lodge_counts.slots);
	debugfs_create_atomic_t("eventfds", 0444, debug_dir, &lodge_counts.eventfds);
	return 0;
}

static void __exit lodge_exit_module(void)
{
	debugfs_remove_recursive(debug_dir);
	lodge_hardware_exit();
}

module_init(lodge_init);
module_exit(lodge_exit_module);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Lodge's hypervisor: the core");
