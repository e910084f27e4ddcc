// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A look at processors and memory of a running machine. For registers, and for page tables they point to, the vCPUs
 * are parked for a moment; the guest's clock goes on. Threads: see machine/ctl.h.
 */
#include <errno.h>

#include "machine/board_int.h"
#include "machine/debug.h"

int vm_look_begin(struct vm *vm, unsigned cpu, struct lodge_err *err)
{
	if (cpu >= vm->cfg.cpus)
		return err_set(err, -EINVAL, "there is no processor %u; there are %u, from 0 on",
			       cpu, vm->cfg.cpus);
	vm_pause(vm, VM_PAUSE_LOOK);
	if (vm_wait_parked(vm))
		return 0;
	vm_resume(vm, VM_PAUSE_LOOK);
	return err_set(err, -ESHUTDOWN, "the machine is ending");
}

void vm_look_end(struct vm *vm)
{
	vm_resume(vm, VM_PAUSE_LOOK);
}

int vm_ctl_registers(struct vm *vm, unsigned cpu, struct x86_state *out, struct lodge_err *err)
{
	int r = vm_look_begin(vm, cpu, err);

	if (r)
		return r;
	*out = *vm_debug_state(vm, cpu);
	vm_look_end(vm);
	return 0;
}

int vm_ctl_translate(struct vm *vm, unsigned cpu, uint64_t lin, uint64_t *gpa,
		     struct lodge_err *err)
{
	int r = vm_look_begin(vm, cpu, err);
	bool found;

	if (r)
		return r;
	found = vm_debug_translate(vm, cpu, lin, gpa);
	vm_look_end(vm);
	return found ? 0
		     : err_set(err, -EFAULT, "nothing is mapped at 0x%llx",
			       (unsigned long long)lin);
}

int vm_ctl_memory(struct vm *vm, unsigned cpu, bool physical, uint64_t addr, void *buf, size_t len,
		  struct lodge_err *err)
{
	uint64_t got;
	int r = physical ? 0 : vm_look_begin(vm, cpu, err);

	if (r)
		return r;
	got = vm_debug_read(vm, cpu, physical, addr, buf, len);
	if (!physical)
		vm_look_end(vm);
	return got == len ? 0
			  : err_set(err, -EFAULT, "there is no memory at %s address 0x%llx",
				    physical ? "physical" : "linear",
				    (unsigned long long)(addr + got));
}

const void *vm_ctl_host_address(struct vm *vm, uint64_t gpa)
{
	return mem_ptr(vm->mem, gpa, 1, false);
}

void vm_ctl_nmi(struct vm *vm)
{
	pthread_mutex_lock(&vm->lock);
	board_press_nmi(vm->board);
	pthread_mutex_unlock(&vm->lock);
}
