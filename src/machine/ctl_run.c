// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Stopping and going on: vCPUs, the guest's clock, and who hears of it.
 *
 * The clock stops when every vCPU is parked, and goes before the first one runs, so a guest cannot see that
 * it stood still: the TSC offsets of all vCPUs take up the time that went by.
 * Threads: any, as machine/ctl.h and machine/vm_int.h say.
 */
#include "machine/ctl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <x86intrin.h>

#include "base/clock.h"
#include "chardev/hub.h"
#include "machine/board_int.h"
#include "machine/drive.h"
#include "machine/vm_int.h"

/* ---- Events ------------------------------------------------------------------------------------- */

void vm_set_listener(struct vm *vm, void (*fn)(void *opaque, const struct vm_event *ev),
		     void *opaque)
{
	vm->listener = fn;
	vm->listener_opaque = opaque;
}

void vm_tell(struct vm *vm, const struct vm_event *ev)
{
	if (vm->listener)
		vm->listener(vm->listener_opaque, ev);
}

static void tell(struct vm *vm, enum vm_event_kind kind)
{
	vm_tell(vm, &(struct vm_event){.kind = kind});
}

void vm_tell_end(struct vm *vm, enum vm_cause cause)
{
	vm_tell(vm, &(struct vm_event){.kind = VM_EVENT_SHUTDOWN, .cause = cause});
}

/* ---- The clock ---------------------------------------------------------------------------------- */

uint64_t vm_host_tsc(const struct vm *vm)
{
	const struct x86_cpuid *id = vm->ops->cpuid ? vm->ops->cpuid(vm->engine) : &vm->cpuid;

	return x86_tsc_scale(id, vm->stopped_tsc ? vm->stopped_tsc : __rdtsc());
}

void vm_clock_stop_locked(struct vm *vm)
{
	if (vm->stopped_tsc || !(atomic_load(&vm->pause) & VM_PAUSE_CLOCK))
		return;
	clock_vm_stop();
	vm->stopped_tsc = __rdtsc();
	board_irqchip_hold(vm->board, true);
	if (vm->ops->clock)
		vm->ops->clock->stop(vm->engine);
	io_loop_clock_changed(vm->loop);
	if (vm->launched)
		tell(vm, VM_EVENT_STOP);
}

static void go(struct vm *vm)
{
	uint64_t gone;

	if (!vm->stopped_tsc)
		return;
	clock_vm_go();
	gone = vm_host_tsc(vm);
	vm->stopped_tsc = 0;
	gone = vm_host_tsc(vm) - gone;
	for (unsigned i = 0; i < vm->cfg.cpus; i++) {
		struct x86_state *s = vm->ops->state(vm->cpus[i].vcpu);

		__atomic_store_n(&s->tsc_offset, s->tsc_offset - gone, __ATOMIC_RELAXED);
	}
	if (vm->ops->clock)
		vm->ops->clock->go(vm->engine);
	board_irqchip_hold(vm->board, false);
	io_loop_clock_changed(vm->loop);
	vm->launched = true;
	tell(vm, VM_EVENT_RESUME);
}

void vm_go_locked(struct vm *vm, uint32_t why)
{
	if (!(atomic_load(&vm->pause) & VM_PAUSE_CLOCK & ~why))
		go(vm);
	vm_resume(vm, why);
}

/* ---- What monitors ask -------------------------------------------------------------------------- */

enum vm_state vm_ctl_state(struct vm *vm)
{
	uint32_t why = atomic_load(&vm->pause);
	bool launched;

	pthread_mutex_lock(&vm->lock);
	launched = vm->launched;
	pthread_mutex_unlock(&vm->lock);
	if (why & VM_PAUSE_STOPPED)
		return VM_SHUT_DOWN;
	if (why & (VM_PAUSE_USER | VM_PAUSE_DEBUG) && !launched)
		return VM_PRELAUNCH;
	if (why & VM_PAUSE_USER)
		return VM_PAUSED;
	if (why & VM_PAUSE_IO)
		return VM_IO_ERROR;
	if (why & VM_PAUSE_DEBUG)
		return VM_DEBUG;
	return why & VM_PAUSE_HOLD ? VM_PRELAUNCH : VM_RUNNING;
}

int vm_stop_for(struct vm *vm, uint32_t why, struct lodge_err *err)
{
	vm_pause(vm, why);
	if (!vm_wait_parked(vm))
		return err_set(err, -ESHUTDOWN, "the machine is ending");
	pthread_mutex_lock(&vm->lock);
	vm_clock_stop_locked(vm);
	pthread_mutex_unlock(&vm->lock);
	return 0;
}

int vm_ctl_stop(struct vm *vm, struct lodge_err *err)
{
	/* Should a save fail, it does not let the machine go on. */
	pthread_mutex_lock(&vm->lock);
	vm->save.go_on = false;
	pthread_mutex_unlock(&vm->lock);
	return vm_stop_for(vm, VM_PAUSE_USER, err);
}

int vm_ctl_cont(struct vm *vm, struct lodge_err *err)
{
	uint32_t why;
	bool saving;

	pthread_mutex_lock(&vm->lock);
	why = atomic_load(&vm->pause);
	saving = vm_is_being_saved(vm);
	if (!saving && !(why & (VM_PAUSE_STOPPED | VM_PAUSE_DEBUG))) {
		if (why & VM_PAUSE_IO)
			drives_resume(vm->board);
		vm_go_locked(vm, VM_PAUSE_USER | VM_PAUSE_IO);
	}
	pthread_mutex_unlock(&vm->lock);
	if (why & VM_PAUSE_STOPPED)
		return err_set(err, -EPERM,
			       "the machine is powered off: reset it first (system_reset)");
	if (saving)
		return err_set(err, -EBUSY,
			       "the machine is being saved, and stays stopped meanwhile: "
			       "migrate_cancel lets it go on at once");
	if (why & VM_PAUSE_DEBUG)
		return err_set(err, -EBUSY,
			       "a debugger has stopped the machine: let it go on from there, or "
			       "end the debugger");
	return 0;
}

void vm_ctl_power_button(struct vm *vm)
{
	pthread_mutex_lock(&vm->lock);
	board_power_button(vm->board);
	pthread_mutex_unlock(&vm->lock);
	tell(vm, VM_EVENT_POWERDOWN);
}

void vm_ctl_reset(struct vm *vm)
{
	atomic_store(&vm->reset_cause, VM_CAUSE_CONTROL_RESET);
	vm_request(vm, VM_REQ_RESET);
}

int vm_ctl_console(struct vm *vm, int fd)
{
	int r = -ENODEV;

	pthread_mutex_lock(&vm->lock);
	if (vm->console)
		r = chardev_hub_add(vm->console, fd);
	else
		close(fd);
	pthread_mutex_unlock(&vm->lock);
	return r;
}

void vm_ctl_quit(struct vm *vm)
{
	vm_request_end_by(vm, 0, NULL, VM_CAUSE_QUIT);
}

void vm_ctl_hurry(struct vm *vm)
{
	atomic_store(&vm->hurry, true);
}

void vm_ctl_info(struct vm *vm, struct vm_ctl_info *out)
{
	uint8_t u[16];

	pthread_mutex_lock(&vm->lock);
	board_uuid(vm->board, u);
	pthread_mutex_unlock(&vm->lock);
	*out = (struct vm_ctl_info){
		.name = vm->cfg.name,
		.engine = vm->ops->name,
		.tier = engine_soft_tier_name(&vm->cfg.soft),
		.cpus = vm->cfg.cpus,
		.ram_bytes = vm->cfg.ram_bytes,
	};
	snprintf(out->uuid, sizeof(out->uuid),
		 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1],
		 u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14],
		 u[15]);
}

void vm_ctl_cpu(struct vm *vm, unsigned cpu, struct vm_ctl_cpu *out)
{
	*out = (struct vm_ctl_cpu){.tid = atomic_load(&vm->cpus[cpu].tid),
				   .halted = atomic_load(&vm->cpus[cpu].asleep)};
}
