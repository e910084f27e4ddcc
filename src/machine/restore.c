// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A machine goes on from a file: built by its options as always, but nothing boots; memory is mapped from the file,
 * devices and vCPUs are loaded, with the guest's clock standing still until vm_start().
 *
 * Threads: main, before others start.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <x86intrin.h>

#include "base/clock.h"
#include "base/files.h"
#include "base/props.h"
#include "machine/board_int.h"
#include "machine/drive.h"
#include "state/state.h"

/* The nth section of that name as text, or NULL. */
static const char *text_section(const struct state_file *f, const char *name, unsigned n)
{
	size_t len;
	const uint8_t *p = state_section(f, name, n, &len);

	return p && len && !p[len - 1] ? (const char *)p : NULL;
}

static struct props *machine_props(const struct state_file *f, struct lodge_err *err)
{
	const char *text = text_section(f, "machine", 0);

	if (text)
		return props_parse("-restore", text, NULL, err);
	err_set(err, -EINVAL, "'%s' does not say what machine it is of", state_path(f));
	return NULL;
}

/* What it must be, for what the options made it. */
static int check_number(struct props *p, const char *key, uint64_t have, const char *what,
			const struct state_file *f, struct lodge_err *err)
{
	uint64_t said = UINT64_MAX;
	int r = props_u64(p, key, UINT64_MAX, &said, err);

	if (!r && said != have)
		r = err_set(err, -EINVAL,
			    "'%s' is of a machine with another %s (%llu) than these options make "
			    "(%llu)",
			    state_path(f), what, (unsigned long long)said,
			    (unsigned long long)have);
	return r;
}

int vm_restore_begin(struct vm *vm, struct lodge_err *err)
{
	const struct state_file *f = vm->cfg.restore;
	struct props *p = machine_props(f, err);
	const char *board;
	const uint8_t *id;
	bool runs = true;
	size_t len;
	int r = p ? 0 : -EINVAL;

	board = p ? props_get(p, "board") : NULL;
	if (!r && (!board || strcmp(board, "pc")))
		r = err_set(err, -EINVAL, "'%s' is of a machine that this program does not make",
			    state_path(f));
	if (!r)
		r = check_number(p, "cpus", vm->cfg.cpus, "number of processors", f, err);
	if (!r)
		r = check_number(p, "ram", vm->cfg.ram_bytes, "size of memory", f, err);
	if (!r)
		r = props_bool(p, "running", &runs, err);
	if (!r && !runs)
		vm->cfg.start_stopped = true;
	props_free(p);
	if (r)
		return r;
	id = state_section(f, "cpuid", 0, &len);
	return id ? vm_cpuid_load(&vm->cpuid, id, len, err)
		  : err_set(err, -EINVAL, "'%s' does not say what its processors can do",
			    state_path(f));
}

/* The engine may have taken away what the guest has seen. */
static int check_engine(struct vm *vm, struct lodge_err *err)
{
	const struct x86_cpuid *id = vm->ops->cpuid ? vm->ops->cpuid(vm->engine) : &vm->cpuid;

	for (unsigned f = 1; f < X86_FEAT_COUNT; f++) {
		if (vm->cpuid.has[f] && !id->has[f])
			return err_set(err, -EINVAL,
				       "the saved guest uses the processor feature %s, which the "
				       "engine %s does not give it; try another -accel",
				       x86_feature_name((enum x86_feature)f), vm->ops->name);
	}
	if (vm->cpuid.host_tsc_hz && !id->tsc_guest_khz)
		return err_set(err, -EINVAL,
			       "the guest was saved on a host whose TSC has %llu MHz; this one's "
			       "has %llu MHz, the engine %s cannot scale it, and the guest's clock "
			       "would go wrong",
			       (unsigned long long)(vm->cpuid.tsc_hz / 1000000),
			       (unsigned long long)(vm->cpuid.host_tsc_hz / 1000000),
			       vm->ops->name);
	return 0;
}

/* ---- Disks -------------------------------------------------------------------------------------- */

int vm_restore_medium(const struct state_file *f, const char *id, struct vm_saved_medium *out,
		      struct lodge_err *err)
{
	const char *text, *its;

	*out = (struct vm_saved_medium){NULL, NULL, NULL, NULL};
	for (unsigned n = 0; (text = text_section(f, "drive", n)); n++) {
		struct props *p = props_parse("-restore", text, NULL, err);

		if (!p)
			return -EINVAL;
		its = props_get(p, "id");
		if (its && !strcmp(its, id)) {
			out->known = p;
			out->said = props_get(p, "said");
			out->path = props_get(p, "path");
			out->format = props_get(p, "format");
			return 0;
		}
		props_free(p);
	}
	return 0;
}

/* Seconds within which the saved machine's own end may write to its disks. */
#define END_S 5u

static void warn_if_written(const struct drive *d, uint64_t saved_s)
{
	struct stat st;

	if (d->read_only || stat(blk_path(d->image), &st) || st.st_mtime < 0 ||
	    (uint64_t)st.st_mtime <= saved_s + END_S)
		return;
	fprintf(stderr,
		"lodge: drive '%s': %s was written after the machine was saved; its guest may find "
		"the disk damaged\n",
		d->id, blk_path(d->image));
}

static int check_drive(struct board *b, const struct state_file *f, struct props *p,
		       uint64_t saved_s, struct lodge_err *err)
{
	const char *id = props_get(p, "id"), *path = props_get(p, "path");
	struct drive *d = id ? drive_find(b, id) : NULL;
	uint64_t size = 0;
	int r = props_size(p, "size", &size, err);

	if (r)
		return r;
	if (!d)
		return err_set(err, -EINVAL,
			       "'%s' is of a machine with a drive '%s'; there is none",
			       state_path(f), id ? id : "");
	if (path && !d->image)
		return err_set(err, -EINVAL,
			       "drive '%s' had the disk %s when the machine was saved, and has "
			       "none now",
			       id, path);
	if (path && blk_size(d->image) != size)
		return err_set(err, -EINVAL,
			       "drive '%s': %s has another size (%llu bytes) than the disk had "
			       "when the machine was saved (%llu)",
			       id, blk_path(d->image), (unsigned long long)blk_size(d->image),
			       (unsigned long long)size);
	if (path)
		warn_if_written(d, saved_s);
	return 0;
}

static int check_drives(struct board *b, const struct state_file *f, struct lodge_err *err)
{
	struct props *machine = machine_props(f, err);
	uint64_t saved_s = UINT64_MAX - END_S;
	const char *text;
	int r = machine ? props_u64(machine, "saved", INT64_MAX, &saved_s, err) : -EINVAL;

	props_free(machine);

	for (unsigned n = 0; !r && (text = text_section(f, "drive", n)); n++) {
		struct props *p = props_parse("-restore", text, NULL, err);

		r = p ? check_drive(b, f, p, saved_s, err) : -EINVAL;
		props_free(p);
	}
	return r;
}

/* ---- The whole ---------------------------------------------------------------------------------- */

static int load_cpus(struct vm *vm, struct lodge_err *err)
{
	const struct state_file *f = vm->cfg.restore;
	int r = 0;

	for (unsigned i = 0; i < vm->cfg.cpus && !r; i++) {
		struct lodge_err why = {""};
		size_t len;
		const uint8_t *p = state_section(f, "cpu", i, &len);

		r = p ? vm_cpu_load(vm, i, p, len, &why) : -EINVAL;
		if (r)
			err_set(err, r, "'%s': vCPU %u: %.400s", state_path(f), i,
				p ? why.msg : "its state is missing");
	}
	return r;
}

int vm_restore(struct vm *vm, struct lodge_err *err)
{
	const struct state_file *f = vm->cfg.restore;
	int r = check_engine(vm, err);

	if (!r && state_memory_len(f) != mem_backing_bytes(vm->mem))
		r = err_set(err, -EINVAL,
			    "'%s' has %llu bytes of memory, firmware and video; these options "
			    "make %llu",
			    state_path(f), (unsigned long long)state_memory_len(f),
			    (unsigned long long)mem_backing_bytes(vm->mem));
	if (!r)
		r = check_drives(vm->board, f, err);
	if (!r && vm->cfg.restore_check)
		r = state_check_memory(f, err);
	if (!r)
		r = mem_map_file(vm->mem, state_fd(f), state_memory_off(f), err);
	if (r)
		return r;
	vm_watch_file(vm, state_path(f));
	pthread_mutex_lock(&vm->lock);
	/* The guest's time is that of the save until vm_start(). */
	clock_vm_stop();
	vm->stopped_tsc = __rdtsc();
	board_irqchip_hold(vm->board, true);
	board_reset_devices(vm->board);
	/* Nothing is booted now, but a reset will read them. */
	if (vm->cfg.kernel)
		file_note(vm->cfg.kernel, FILE_READ);
	if (vm->cfg.initrd)
		file_note(vm->cfg.initrd, FILE_READ);
	/* TSCs first: deadlines of local APICs are by them. */
	r = load_cpus(vm, err);
	if (!r)
		r = board_load(vm->board, f, err);
	pthread_mutex_unlock(&vm->lock);
	vm->cfg.restore = NULL;
	return r;
}
