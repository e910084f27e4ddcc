// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which vendor's module there is, and on which processors virtualization is on: on all of them while there is
 * a VM, on none otherwise, so that another hypervisor can have them. Processors that come and go, sleep and reboot.
 * Threads: any; lodge_hw_lock.
 */
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/module.h>
#include <linux/reboot.h>
#include <linux/syscore_ops.h>
#include <asm/tsc.h>

#include "lodge.h"

const struct lodge_vendor_ops *lodge_ops;
EXPORT_SYMBOL_GPL(lodge_vendor_register);
EXPORT_SYMBOL_GPL(lodge_vendor_unregister);

static DEFINE_MUTEX(lodge_hw_lock);
static unsigned int users;
static enum cpuhp_state hp_state;
static DEFINE_PER_CPU(bool, is_on);
static atomic_t failures;

u64 lodge_tsc_lost;
EXPORT_SYMBOL_GPL(lodge_tsc_lost);
static u64 tsc_asleep;

/* ---- One processor --------------------------------------------------------------------------------- */

static void turn_on(void *unused)
{
	int r;

	if (this_cpu_read(is_on))
		return;
	r = lodge_ops->hardware_enable();
	if (r)
		atomic_inc(&failures);
	else
		this_cpu_write(is_on, true);
}

static void turn_off(void *unused)
{
	if (!this_cpu_read(is_on))
		return;
	lodge_ops->hardware_disable();
	this_cpu_write(is_on, false);
}

static int cpu_comes(unsigned int cpu)
{
	unsigned long flags;
	int r = 0;

	mutex_lock(&lodge_hw_lock);
	if (users) {
		atomic_set(&failures, 0);
		local_irq_save(flags);
		turn_on(NULL);
		local_irq_restore(flags);
		if (atomic_read(&failures))
			r = -EIO;
	}
	mutex_unlock(&lodge_hw_lock);
	return r;
}

static int cpu_goes(unsigned int cpu)
{
	unsigned long flags;

	mutex_lock(&lodge_hw_lock);
	local_irq_save(flags);
	if (users)
		turn_off(NULL);
	local_irq_restore(flags);
	mutex_unlock(&lodge_hw_lock);
	return 0;
}

/* With interrupts off: may a guest be entered here? Not on a processor that is going, nor in a reboot. */
bool lodge_hardware_is_on(void)
{
	return this_cpu_read(is_on);
}
EXPORT_SYMBOL_GPL(lodge_hardware_is_on);

/* ---- All of them ----------------------------------------------------------------------------------- */

/* A VM comes: 0, or why not. The vendor's module stays as long. */
int lodge_hardware_get(void)
{
	int r = 0;

	cpus_read_lock();
	mutex_lock(&lodge_hw_lock);
	if (!lodge_ops || !try_module_get(lodge_ops->owner)) {
		r = -ENODEV;
	} else if (users++ == 0) {
		atomic_set(&failures, 0);
		on_each_cpu(turn_on, NULL, 1);
		if (atomic_read(&failures)) {
			on_each_cpu(turn_off, NULL, 1);
			users--;
			module_put(lodge_ops->owner);
			r = -EBUSY;
		}
	}
	mutex_unlock(&lodge_hw_lock);
	cpus_read_unlock();
	return r;
}

void lodge_hardware_put(void)
{
	cpus_read_lock();
	mutex_lock(&lodge_hw_lock);
	if (--users == 0)
		on_each_cpu(turn_off, NULL, 1);
	module_put(lodge_ops->owner);
	mutex_unlock(&lodge_hw_lock);
	cpus_read_unlock();
}

static void forget_vendor(void)
{
	preempt_notifier_dec();
	mutex_lock(&lodge_hw_lock);
	lodge_ops = NULL;
	mutex_unlock(&lodge_hw_lock);
}

int lodge_vendor_register(const struct lodge_vendor_ops *ops)
{
	int r = -EEXIST;

	mutex_lock(&lodge_hw_lock);
	if (!lodge_ops) {
		lodge_ops = ops;
		r = 0;
	}
	mutex_unlock(&lodge_hw_lock);
	if (r)
		return r;
	/* Nobody has a VM while it can still fail. */
	preempt_notifier_inc();
	r = lodge_selftest();
	if (!r)
		r = lodge_device_create();
	if (r)
		forget_vendor();
	return r;
}

/* There is no VM and no open device: each holds the module. */
void lodge_vendor_unregister(const struct lodge_vendor_ops *ops)
{
	lodge_device_remove();
	forget_vendor();
}

/* ---- Sleep and reboot -------------------------------------------------------------------------------- */

/* One processor is left, interrupts are off: no lock is held by anybody who matters. */
static int going_to_sleep(void)
{
	tsc_asleep = rdtsc();
	if (users)
		turn_off(NULL);
	return 0;
}

static void woken_up(void)
{
	u64 tsc = rdtsc();

	/* It begins anew after most kinds of sleep. */
	if (tsc < tsc_asleep)
		lodge_tsc_lost += tsc_asleep - tsc;
	if (users)
		turn_on(NULL);
}

static struct syscore_ops syscore = {.suspend = going_to_sleep, .resume = woken_up};

static int rebooting(struct notifier_block *nb, unsigned long val, void *v)
{
	if (users)
		on_each_cpu(turn_off, NULL, 1);
	return NOTIFY_OK;
}

static struct notifier_block reboot = {.notifier_call = rebooting};

int lodge_hardware_init(void)
{
	int r;

	if (!tsc_khz) {
		pr_err("lodge: this machine's time stamp counter is not known to count evenly\n");
		return -ENODEV;
	}
	r = cpuhp_setup_state_nocalls(CPUHP_AP_ONLINE_DYN, "virt/lodge:online", cpu_comes,
				      cpu_goes);
	if (r < 0)
		return r;
	hp_state = r;
	register_syscore_ops(&syscore);
	return register_reboot_notifier(&reboot);
}

void lodge_hardware_exit(void)
{
	unregister_reboot_notifier(&reboot);
	unregister_syscore_ops(&syscore);
	cpuhp_remove_state_nocalls(hp_state);
}
