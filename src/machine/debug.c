// SPDX-License-Identifier: GPL-2.0-or-later
/* Stopping, going on and breakpoints, for a debugger. Threads: see machine/debug.h; vm_debug_hit: a vCPU's. */
#include "machine/debug.h"

#include <errno.h>

#include "machine/drive.h"
#include "machine/vm_int.h"

int vm_debug_attach(struct vm *vm, struct lodge_err *err)
{
	if (vm->debugged)
		return err_set(err, -EBUSY, "a debugger is at work already: end it first");
	if (!vm->ops->debug)
		return err_set(err, -EOPNOTSUPP, "the %s engine knows no debugger", vm->ops->name);
	vm->debugged = true;
	return 0;
}

unsigned vm_debug_cpus(const struct vm *vm)
{
	return vm->cfg.cpus;
}

bool vm_debug_has_long_mode(const struct vm *vm)
{
	return vm->cpuid.has[X86_FEAT_LM];
}

bool vm_debug_has_avx(const struct vm *vm)
{
	return vm->cpuid.has[X86_FEAT_AVX];
}

bool vm_debug_is_32bit(struct vm *vm)
{
	const struct x86_state *s = vm_debug_state(vm, 0);

	return (s->cr0 & CR0_PG) && !(s->efer & EFER_LMA);
}

/* ---- Stopping ----------------------------------------------------------------------------------- */

void vm_debug_hit(struct vm *vm, unsigned cpu)
{
	struct engine_stop stop = vm->ops->debug_stop(vm->cpus[cpu].vcpu);

	pthread_mutex_lock(&vm->run_lock);
	vm->cpus[cpu].stop = stop;
	pthread_mutex_unlock(&vm->run_lock);
	vm_pause(vm, VM_PAUSE_DEBUG);
	vm_tell(vm, &(struct vm_event){.kind = VM_EVENT_DEBUG});
}

int vm_debug_stop(struct vm *vm, struct lodge_err *err)
{
	return vm_stop_for(vm, VM_PAUSE_DEBUG, err);
}

bool vm_debug_stopped(const struct vm *vm)
{
	return atomic_load(&vm->pause) & VM_PAUSE_DEBUG;
}

bool vm_debug_take_hit(struct vm *vm, struct vm_debug_hit *hit)
{
	bool found = false;

	pthread_mutex_lock(&vm->run_lock);
	for (unsigned i = 0; i < vm->cfg.cpus && !found; i++) {
		struct engine_stop *s = &vm->cpus[i].stop;

		found = s->kind != ENGINE_STOP_NONE;
		*hit = (struct vm_debug_hit){.cpu = i, .stop = *s};
		s->kind = ENGINE_STOP_NONE;
	}
	pthread_mutex_unlock(&vm->run_lock);
	if (found && hit->stop.kind == ENGINE_STOP_BREAK) {
		struct vm_cpu *c = &vm->cpus[hit->cpu];

		c->debug_told = true;
		c->debug_rip = vm->ops->state(c->vcpu)->rip;
	}
	return found;
}

/* What was met behind an instruction is not met again. */
static bool watch_waits(struct vm *vm)
{
	bool waits = false;

	pthread_mutex_lock(&vm->run_lock);
	for (unsigned i = 0; i < vm->cfg.cpus; i++)
		waits |= vm->cpus[i].stop.kind == ENGINE_STOP_WATCH;
	pthread_mutex_unlock(&vm->run_lock);
	return waits;
}

/* ---- Going on ----------------------------------------------------------------------------------- */

/* Everybody is parked. */
static void prepare(struct vm *vm, const enum vm_debug_how *how)
{
	for (unsigned i = 0; i < vm->cfg.cpus; i++) {
		struct vm_cpu *c = &vm->cpus[i];
		unsigned flags = how[i] == VM_DEBUG_STEP ? ENGINE_DEBUG_STEP : 0;

		/* Where it has been told to have stopped, it goes on. */
		if (c->debug_told && vm->ops->state(c->vcpu)->rip == c->debug_rip)
			flags |= ENGINE_DEBUG_PASS;
		if (c->debug_changed)
			flags |= ENGINE_DEBUG_CHANGED;
		vm->ops->debug_cpu(c->vcpu, flags);
		if (how[i] == VM_DEBUG_HOLD)
			continue;
		c->debug_told = c->debug_changed = false;
	}
	pthread_mutex_lock(&vm->run_lock);
	for (unsigned i = 0; i < vm->cfg.cpus; i++) {
		atomic_store(&vm->cpus[i].held, how[i] == VM_DEBUG_HOLD);
		vm->cpus[i].stop.kind = ENGINE_STOP_NONE;
	}
	pthread_mutex_unlock(&vm->run_lock);
}

int vm_debug_go(struct vm *vm, const enum vm_debug_how *how, struct lodge_err *err)
{
	uint32_t why;

	if (vm_is_being_saved(vm))
		return err_set(err, -EBUSY, "the machine is being saved: wait, or migrate_cancel");
	if (watch_waits(vm))
		return -EALREADY;
	prepare(vm, how);
	pthread_mutex_lock(&vm->lock);
	why = atomic_load(&vm->pause);
	if (!(why & VM_PAUSE_STOPPED)) {
		if (why & VM_PAUSE_IO)
			drives_resume(vm->board);
		vm_go_locked(vm, VM_PAUSE_USER | VM_PAUSE_IO | VM_PAUSE_DEBUG);
	}
	pthread_mutex_unlock(&vm->lock);
	if (why & VM_PAUSE_STOPPED)
		return err_set(err, -EPERM,
			       "the machine is powered off: reset it first (system_reset)");
	return 0;
}

/* What the vCPUs were told, taken back. */
static void let_all_go(struct vm *vm)
{
	enum vm_debug_how how[VM_CPUS_MAX];

	for (unsigned i = 0; i < vm->cfg.cpus; i++)
		how[i] = VM_DEBUG_GO;
	prepare(vm, how);
}

void vm_debug_detach(struct vm *vm, bool go)
{
	struct lodge_err err;

	/* Points are changed while nobody runs. */
	if (!vm_debug_stop(vm, &err)) {
		(void)!vm->ops->debug(vm->engine, NULL, 0, &err);
		let_all_go(vm);
	}
	pthread_mutex_lock(&vm->lock);
	go &= !vm_is_being_saved(vm);
	vm_go_locked(vm, go ? VM_PAUSE_USER | VM_PAUSE_DEBUG : VM_PAUSE_DEBUG);
	pthread_mutex_unlock(&vm->lock);
	vm->debugged = false;
}

/* ---- Points and registers ----------------------------------------------------------------------- */

int vm_debug_points(struct vm *vm, const struct engine_point *points, unsigned n,
		    struct lodge_err *err)
{
	struct engine_point placed[ENGINE_POINTS_MAX];

	for (unsigned i = 0; i < n && n <= ENGINE_POINTS_MAX; i++) {
		placed[i] = points[i];
		placed[i].gpa = GPA_NONE;
		for (unsigned c = 0; c < vm->cfg.cpus && placed[i].kind == ENGINE_POINT_BREAK &&
				     placed[i].gpa == GPA_NONE;
		     c++) {
			if (!vm_debug_translate(vm, c, points[i].lin, &placed[i].gpa))
				placed[i].gpa = GPA_NONE;
		}
	}
	return vm->ops->debug(vm->engine, placed, n, err);
}

struct x86_state *vm_debug_state(struct vm *vm, unsigned cpu)
{
	return vm->ops->state(vm->cpus[cpu].vcpu);
}

void vm_debug_changed(struct vm *vm, unsigned cpu)
{
	vm->cpus[cpu].debug_changed = true;
}

uint8_t vm_debug_cr8(struct vm *vm, unsigned cpu)
{
	struct engine_host h = vm_engine_host(vm);

	return h.cr8_read(h.opaque, cpu);
}
