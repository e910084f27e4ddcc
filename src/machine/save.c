// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A running machine into a file: stop, let disks finish, write (docs/state.md).
 *
 * 1. Everything stands still while it is written: vCPUs are parked, the guest's clock is stopped, and the VM lock
 *    is held, so no device hears of the host.
 * 2. Disks are drained and flushed: what the guest was told is written is in the images, and what it was not told
 *    is in no image or is submitted again.
 *
 * Threads: see machine/ctl.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/range.h"
#include "machine/board_int.h"
#include "machine/drive.h"
#include "state/state.h"

#define TEXT_BYTES 8192u

/* ---- Text: "key=value,key=value", as base/keyval.h reads it ------------------------------------- */

struct text {
	char buf[TEXT_BYTES];
	size_t len;
	bool full;
};

static void put_char(struct text *t, char c)
{
	if (t->len + 1 >= sizeof(t->buf))
		t->full = true;
	else
		t->buf[t->len++] = c;
	t->buf[t->len] = '\0';
}

static void put(struct text *t, const char *key, const char *val)
{
	if (t->len)
		put_char(t, ',');
	while (*key)
		put_char(t, *key++);
	put_char(t, '=');
	for (; *val; val++) {
		if (*val == ',')
			put_char(t, ',');
		put_char(t, *val);
	}
}

static void put_number(struct text *t, const char *key, uint64_t val)
{
	char buf[24];

	snprintf(buf, sizeof(buf), "%llu", (unsigned long long)val);
	put(t, key, buf);
}

static int add_text(struct state_writer *w, const char *section, const struct text *t,
		    struct lodge_err *err)
{
	if (t->full)
		return err_set(err, -E2BIG, "a path of this machine is too long to be saved");
	state_writer_add(w, section, t->buf, t->len + 1);
	return 0;
}

/* ---- Sections ----------------------------------------------------------------------------------- */

static int add_machine(struct vm *vm, struct state_writer *w, bool runs, struct lodge_err *err)
{
	struct text *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return err_set(err, -ENOMEM, "no memory to save a machine");
	put(t, "board", "pc");
	put(t, "engine", vm->ops->name);
	put_number(t, "cpus", vm->cfg.cpus);
	put_number(t, "ram", vm->cfg.ram_bytes);
	put_number(t, "backing", mem_backing_bytes(vm->mem));
	put(t, "running", runs ? "on" : "off");
	put_number(t, "saved", clock_real_ns() / NS_PER_SEC);
	if (vm->cfg.folder)
		put(t, "folder", vm->cfg.folder);
	if (vm->cfg.name)
		put(t, "name", vm->cfg.name);
	put(t, "program", LODGE_VERSION);
	r = add_text(w, "machine", t, err);
	free(t);
	return r;
}

static void add_options(struct vm *vm, struct state_writer *w)
{
	for (unsigned i = 0; i < vm->cfg.n_said; i++)
		state_writer_add(w, "option", vm->cfg.said[i], strlen(vm->cfg.said[i]) + 1);
}

static int add_drives(struct vm *vm, struct state_writer *w, struct lodge_err *err)
{
	struct drive *d;
	int r = 0;

	list_for_each_entry (d, &vm->board->drives, link) {
		struct text *t = calloc(1, sizeof(*t));

		if (!t)
			return err_set(err, -ENOMEM, "no memory to save a machine");
		put(t, "id", d->id);
		if (d->said)
			put(t, "said", d->said);
		if (d->image) {
			put(t, "path", blk_path(d->image));
			put(t, "format", blk_format(d->image));
			put_number(t, "size", blk_size(d->image));
			put(t, "read-only", d->read_only ? "on" : "off");
		}
		r = add_text(w, "drive", t, err);
		free(t);
		if (r)
			return r;
	}
	return 0;
}

static int add_cpus(struct vm *vm, struct state_writer *w, struct lodge_err *err)
{
	const struct x86_cpuid *id = vm->ops->cpuid ? vm->ops->cpuid(vm->engine) : &vm->cpuid;
	uint8_t *buf = malloc(STATE_CPU_BYTES);
	long n = buf ? vm_cpuid_save(id, buf, STATE_CPU_BYTES) : -ENOMEM;

	if (n >= 0)
		state_writer_add(w, "cpuid", buf, (size_t)n);
	for (unsigned i = 0; i < vm->cfg.cpus && n >= 0; i++) {
		n = vm_cpu_save(vm, i, buf, STATE_CPU_BYTES);
		if (n >= 0)
			state_writer_add(w, "cpu", buf, (size_t)n);
	}
	free(buf);
	return n < 0 ? err_set(err, (int)n, "cannot save the vCPUs: %s", strerror((int)-n)) : 0;
}

static bool next_data(void *opaque, uint64_t off, uint64_t *from, uint64_t *to)
{
	return mem_next_data(opaque, off, from, to);
}

/* All of it, with the VM lock and everything at rest. */
static int write_all(struct vm *vm, const char *path, bool runs, struct vm_saved *out,
		     struct lodge_err *err)
{
	struct state_writer *w = state_writer_new(path, mem_backing_bytes(vm->mem), err);
	int r;

	if (!w)
		return -EIO;
	r = add_machine(vm, w, runs, err);
	if (!r) {
		add_options(vm, w);
		r = add_drives(vm, w, err);
	}
	if (!r)
		r = add_cpus(vm, w, err);
	if (!r)
		r = board_save(vm->board, w, err);
	if (!r)
		r = state_writer_memory(w, mem_base(vm->mem), next_data, vm->mem, err);
	if (r) {
		state_writer_abort(w);
		return r;
	}
	out->data_bytes = state_writer_data_bytes(w);
	return state_writer_finish(w, err);
}

/* ---- The whole ---------------------------------------------------------------------------------- */

static int save_locked(struct vm *vm, const char *path, bool runs, struct vm_saved *out,
		       struct lodge_err *err)
{
	int r = board_can_save(vm->board, err);

	if (r)
		return r;
	drives_drain(vm->board);
	r = drives_flush(vm->board);
	out->stop_ns = clock_mono_ns();
	if (r)
		return err_set(err, r,
			       "not all that the guest wrote could be brought to its disks");
	return write_all(vm, path, runs, out, err);
}

static int save(struct vm *vm, const char *path, struct vm_saved *out, struct lodge_err *err)
{
	uint64_t start = clock_mono_ns();
	bool runs;
	int r;

	*out = (struct vm_saved){.memory_bytes = mem_backing_bytes(vm->mem)};
	if (!vm->cfg.said)
		return err_set(err, -ENOTSUP,
			       "this machine was not made by options that could be "
			       "saved");
	pthread_mutex_lock(&vm->lock);
	r = board_can_save(vm->board, err);
	pthread_mutex_unlock(&vm->lock);
	if (r)
		return r;
	if (atomic_load(&vm->pause) & VM_PAUSE_STOPPED)
		return err_set(err, -EPERM, "the machine is powered off; there is nothing to save");
	runs = !(atomic_load(&vm->pause) & VM_PAUSE_USER);
	r = vm_ctl_stop(vm, err);
	if (r)
		return r;
	pthread_mutex_lock(&vm->lock);
	r = save_locked(vm, path, runs, out, err);
	if (r && runs)
		vm_go_locked(vm, VM_PAUSE_USER);
	pthread_mutex_unlock(&vm->lock);
	if (out->stop_ns)
		out->stop_ns -= start;
	out->total_ns = clock_mono_ns() - start;
	return r;
}

int vm_ctl_save(struct vm *vm, const char *path, struct vm_saved *out, struct lodge_err *err)
{
	int r = save(vm, path, out, err);

	vm->save_state = r ? VM_SAVE_FAILED : VM_SAVED;
	vm->saved = *out;
	if (r)
		vm->save_why = *err;
	return r;
}

enum vm_save_state vm_ctl_saved(struct vm *vm, struct vm_saved *out, struct lodge_err *why)
{
	*out = vm->saved;
	*why = vm->save_why;
	return vm->save_state;
}
