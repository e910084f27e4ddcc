// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Saving a machine to a file: when what is written, progress, cancelling (docs/state.md).
 *
 * 1. vCPUs are parked and the guest's clock stops, for as long as it takes. Disks are drained and flushed.
 * 2. Memory is written piece by piece. Between two pieces the VM lock is free: monitors are answered, and devices may
 *    hear of the host. What they write to memory meanwhile is noted (mem_note_writes()).
 * 3. With the lock held: disks are drained and flushed again, so what the guest was told is written is in the images,
 *    and what it was not told is in no image or is submitted again; then devices and vCPUs, and the noted pages once more.
 * 4. Without it: the file is brought to the disk and gets its name.
 *
 * Threads: the control thread starts one of its own kind for a save; vm_ctl_save_end() waits for it. `vm->save.lock`
 * protects what it tells of itself; a leaf.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/thread.h"
#include "machine/board_int.h"
#include "machine/drive.h"
#include "machine/save_int.h"

#define STACK_BYTES (256u << 10)
/*
 * How long the VM lock stays free after a piece: who waits for it has to wake up first, and would find it taken again.
 */
#define FREE_NS 50000
/* Device state may grow by so much between the first look and the last. */
#define SPARE_BYTES (1u << 20)

/* ---- What is told of it ------------------------------------------------------------------------- */

static void tell(struct vm *vm, enum vm_save_state state)
{
	vm_tell(vm, &(struct vm_event){.kind = VM_EVENT_MIGRATION, .save = state});
}

static void become(struct vm *vm, enum vm_save_state state)
{
	pthread_mutex_lock(&vm->save.lock);
	vm->save.state = state;
	pthread_mutex_unlock(&vm->save.lock);
	tell(vm, state);
}

/* How far it is. */
static void note_progress(struct vm *vm, const struct state_writer *w)
{
	pthread_mutex_lock(&vm->save.lock);
	vm->save.figures.done_bytes = state_writer_done_bytes(w);
	vm->save.figures.data_bytes = state_writer_data_bytes(w);
	pthread_mutex_unlock(&vm->save.lock);
}

enum vm_save_state vm_ctl_saved(struct vm *vm, struct vm_saved *out, struct lodge_err *why)
{
	enum vm_save_state state;

	pthread_mutex_lock(&vm->save.lock);
	state = vm->save.state;
	*out = vm->save.figures;
	*why = vm->save.why;
	if (vm_save_goes_on(state))
		out->total_ns = clock_mono_ns() - vm->save.start_ns;
	pthread_mutex_unlock(&vm->save.lock);
	return state;
}

bool vm_save_goes_on(enum vm_save_state state)
{
	return state == VM_SAVE_SETUP || state == VM_SAVING || state == VM_SAVE_CANCELLING;
}

bool vm_is_being_saved(struct vm *vm)
{
	bool is;

	pthread_mutex_lock(&vm->save.lock);
	is = vm_save_goes_on(vm->save.state);
	pthread_mutex_unlock(&vm->save.lock);
	return is;
}

/* ---- The work ----------------------------------------------------------------------------------- */

static int may_go_on(struct vm *vm, struct lodge_err *err)
{
	if (atomic_load(&vm->save.cancel))
		return err_set(err, -ECANCELED, "it was cancelled");
	if (atomic_load(&vm->save.spoilt))
		return err_set(err, -EAGAIN, "the machine was reset meanwhile");
	return 0;
}

/* With the lock: disks at rest. */
static int settle_disks(struct vm *vm, struct lodge_err *err)
{
	int r = board_can_save(vm->board, err);

	if (r)
		return r;
	drives_drain(vm->board);
	r = drives_flush(vm->board);
	return r ? err_set(err, r, "not all that the guest wrote could be brought to its disks")
		 : 0;
}

/* Step 1's end: what there will be, so that memory knows its place. */
static int begin(struct vm *vm, struct state_writer *w, uint64_t *bits, struct lodge_err *err)
{
	int r;

	pthread_mutex_lock(&vm->lock);
	r = settle_disks(vm, err);
	pthread_mutex_lock(&vm->save.lock);
	vm->save.figures.stop_ns = clock_mono_ns() - vm->save.start_ns;
	pthread_mutex_unlock(&vm->save.lock);
	if (!r)
		r = save_sections(vm, w, vm->save.runs, err);
	if (!r)
		r = state_writer_memory(w, SPARE_BYTES, err);
	if (!r)
		mem_note_writes(vm->mem, bits);
	pthread_mutex_unlock(&vm->lock);
	return r;
}

/* By a condition nobody signals: the sandbox lets the control's threads wait, not sleep. */
static void let_others_in(void)
{
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t never = PTHREAD_COND_INITIALIZER;
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += FREE_NS;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	pthread_mutex_lock(&lock);
	pthread_cond_clockwait(&never, &lock, CLOCK_MONOTONIC, &until);
	pthread_mutex_unlock(&lock);
}

static int write_memory(struct vm *vm, struct state_writer *w, struct lodge_err *err)
{
	int r = 1;

	while (r > 0) {
		r = may_go_on(vm, err);
		if (r)
			break;
		pthread_mutex_lock(&vm->lock);
		r = save_some_memory(vm, w, err);
		pthread_mutex_unlock(&vm->lock);
		note_progress(vm, w);
		let_others_in();
	}
	return r;
}

static int write_rest(struct vm *vm, struct state_writer *w, const uint64_t *bits,
		      struct lodge_err *err)
{
	int r;

	pthread_mutex_lock(&vm->lock);
	r = may_go_on(vm, err);
	if (!r)
		r = settle_disks(vm, err);
	state_writer_drop_sections(w);
	if (!r)
		r = save_sections(vm, w, vm->save.runs, err);
	if (!r)
		r = save_noted(vm, w, bits, err);
	mem_note_writes(vm->mem, NULL);
	pthread_mutex_unlock(&vm->lock);
	note_progress(vm, w);
	return r;
}

static int write_file(struct vm *vm, struct lodge_err *err)
{
	uint64_t bytes = mem_backing_bytes(vm->mem);
	uint64_t *bits = calloc((size_t)((bytes >> PAGE_BITS) / 64 + 1), sizeof(*bits));
	struct state_writer *w = bits ? state_writer_new(vm->save.path, bytes, err) : NULL;
	int r;

	if (!w) {
		r = bits ? -EIO : err_set(err, -ENOMEM, "no memory to save a machine");
		free(bits);
		return r;
	}
	r = begin(vm, w, bits, err);
	if (!r) {
		become(vm, VM_SAVING);
		r = write_memory(vm, w, err);
	}
	if (!r)
		r = write_rest(vm, w, bits, err);
	if (r) {
		pthread_mutex_lock(&vm->lock);
		mem_note_writes(vm->mem, NULL);
		pthread_mutex_unlock(&vm->lock);
		state_writer_abort(w);
	} else {
		r = state_writer_finish(w, err);
	}
	free(bits);
	return r;
}

static void finish(struct vm *vm, int r, const struct lodge_err *err)
{
	enum vm_save_state state = !r		     ? VM_SAVED
				   : r == -ECANCELED ? VM_SAVE_CANCELLED
						     : VM_SAVE_FAILED;

	pthread_mutex_lock(&vm->lock);
	pthread_mutex_lock(&vm->save.lock);
	vm->save.figures.total_ns = clock_mono_ns() - vm->save.start_ns;
	vm->save.state = state;
	vm->save.why = *err;
	pthread_mutex_unlock(&vm->save.lock);
	if (r && vm->save.go_on)
		vm_go_locked(vm, VM_PAUSE_USER);
	pthread_mutex_unlock(&vm->lock);
	tell(vm, state);
}

static void *save_main(void *arg)
{
	struct lodge_err err = {""};
	struct vm *vm = arg;
	int r;

	tell(vm, VM_SAVE_SETUP);
	r = vm_stop_for(vm, VM_PAUSE_USER, &err);
	if (!r)
		r = write_file(vm, &err);
	finish(vm, r, &err);
	return NULL;
}

/* ---- From outside ------------------------------------------------------------------------------- */

static void join(struct vm *vm)
{
	if (vm->save.started)
		pthread_join(vm->save.thread, NULL);
	vm->save.started = false;
	free(vm->save.path);
	vm->save.path = NULL;
}

/* What can be said before anything is stopped. */
static int check(struct vm *vm, struct lodge_err *err)
{
	int r;

	if (vm_is_being_saved(vm))
		return err_set(err, -EBUSY, "There's a migration process in progress");
	if (!vm->cfg.said)
		return err_set(err, -ENOTSUP,
			       "this machine was not made by options that could be "
			       "saved");
	pthread_mutex_lock(&vm->lock);
	r = board_can_save(vm->board, err);
	pthread_mutex_unlock(&vm->lock);
	if (!r && atomic_load(&vm->pause) & VM_PAUSE_STOPPED)
		r = err_set(err, -EPERM, "the machine is powered off; there is nothing to save");
	return r;
}

int vm_ctl_save(struct vm *vm, const char *path, struct lodge_err *err)
{
	int r = check(vm, err);

	if (r)
		return r;
	join(vm);
	vm->save.path = strdup(path);
	if (!vm->save.path)
		return err_set(err, -ENOMEM, "no memory to save a machine");
	atomic_store(&vm->save.cancel, false);
	atomic_store(&vm->save.spoilt, false);
	pthread_mutex_lock(&vm->lock);
	vm->save.runs = vm->save.go_on = !(atomic_load(&vm->pause) & VM_PAUSE_USER);
	pthread_mutex_unlock(&vm->lock);
	pthread_mutex_lock(&vm->save.lock);
	vm->save.state = VM_SAVE_SETUP;
	vm->save.start_ns = clock_mono_ns();
	vm->save.figures = (struct vm_saved){.memory_bytes = mem_backing_bytes(vm->mem)};
	pthread_mutex_unlock(&vm->save.lock);
	r = thread_create(&vm->save.thread, THREAD_CONTROL, "save", STACK_BYTES, save_main, vm);
	vm->save.started = !r;
	if (!r)
		return 0;
	pthread_mutex_lock(&vm->save.lock);
	vm->save.state = VM_SAVE_FAILED;
	err_set(&vm->save.why, r, "cannot start a thread to save the machine: %s", strerror(-r));
	*err = vm->save.why;
	pthread_mutex_unlock(&vm->save.lock);
	return r;
}

void vm_ctl_save_cancel(struct vm *vm)
{
	bool goes_on;

	pthread_mutex_lock(&vm->save.lock);
	goes_on = vm_save_goes_on(vm->save.state) && vm->save.state != VM_SAVE_CANCELLING;
	if (goes_on)
		vm->save.state = VM_SAVE_CANCELLING;
	pthread_mutex_unlock(&vm->save.lock);
	if (!goes_on)
		return;
	atomic_store(&vm->save.cancel, true);
	tell(vm, VM_SAVE_CANCELLING);
}

void vm_ctl_save_end(struct vm *vm)
{
	vm_ctl_save_cancel(vm);
	join(vm);
}
