// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What of a running machine is in a file of it (docs/state.md): sections, memory, what was written meanwhile. When
 * that is done, and by whom: save_run.c. Threads: with the VM lock, every vCPU parked.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/range.h"
#include "machine/board_int.h"
#include "machine/drive.h"
#include "machine/save_int.h"

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

int save_sections(struct vm *vm, struct state_writer *w, bool runs, struct lodge_err *err)
{
	int r = add_machine(vm, w, runs, err);

	if (!r) {
		add_options(vm, w);
		r = add_drives(vm, w, err);
	}
	if (!r)
		r = add_cpus(vm, w, err);
	return r ? r : board_save(vm->board, w, err);
}

int save_some_memory(struct vm *vm, struct state_writer *w, struct lodge_err *err)
{
	return state_writer_some(w, mem_base(vm->mem), next_data, vm->mem, SAVE_PIECE_BYTES, err);
}

int save_noted(struct vm *vm, struct state_writer *w, const uint64_t *bits, struct lodge_err *err)
{
	uint64_t pages = mem_backing_bytes(vm->mem) >> PAGE_BITS;
	int r = 0;

	for (uint64_t p = 0; p < pages && !r; p++) {
		uint64_t first = p;

		if (!(bits[p / 64] >> p % 64)) {
			p |= 63;
			continue;
		}
		while (p < pages && bits[p / 64] >> p % 64 & 1)
			p++;
		r = state_writer_again(w, mem_base(vm->mem), first << PAGE_BITS,
				       (p - first) << PAGE_BITS, err);
	}
	return r;
}
