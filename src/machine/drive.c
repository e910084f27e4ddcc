// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Drives: opened by what the options say, found by devices, and what happens when a disk fails.
 *
 * An error for which the machine is to stop sets VM_PAUSE_IO; the requests wait in their queue until
 * vm_continue() (SIGCONT, Ctrl-A r) tries them again.
 * Threads: with the VM lock held, or before threads start.
 */
#include "machine/drive.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/range.h"
#include "machine/cidata.h"
#include "machine/drive_int.h"

/* So many errors of a drive are told; a broken disk has thousands. */
#define ERRORS_TOLD 3u

static const struct {
	const char *name;
	unsigned per_bus; /* 0: one row of units */
} ifaces[] = {
	[DRIVE_NONE] = {"none", 0},	[DRIVE_IDE] = {"ide", 2},
	[DRIVE_VIRTIO] = {"virtio", 0}, [DRIVE_FLOPPY] = {"floppy", 0},
	[DRIVE_PFLASH] = {"pflash", 0},
};

/* ---- Finding ----------------------------------------------------------------------------------- */

struct drive *drive_find(struct board *b, const char *id)
{
	struct drive *d;

	list_for_each_entry (d, &b->drives, link) {
		if (!strcmp(d->id, id))
			return d;
	}
	return NULL;
}

struct drive *drive_shown_by(struct board *b, const void *device)
{
	struct drive *d;

	list_for_each_entry (d, &b->drives, link) {
		if (d->device == device)
			return d;
	}
	return NULL;
}

struct drive *drive_at(struct board *b, enum drive_if iface, unsigned bus, unsigned unit)
{
	struct drive *d;

	list_for_each_entry (d, &b->drives, link) {
		if (d->iface == iface && d->bus == bus && d->unit == unit)
			return d;
	}
	return NULL;
}

static int apply_settings(struct drive *d, struct props *p, struct lodge_err *err)
{
	unsigned rerror = UINT32_MAX, werror = UINT32_MAX;
	bool write_cache;
	int r = drive_read_errors(p, &rerror, &werror, err);

	if (r || !d->queue)
		return r;
	blk_queue_set_on_error(d->queue,
			       rerror == UINT32_MAX ? BLK_REPORT : (enum blk_on_error)rerror,
			       werror == UINT32_MAX ? BLK_ENOSPC : (enum blk_on_error)werror);
	write_cache = blk_queue_write_cache(d->queue);
	r = props_bool(p, "write-cache", &write_cache, err);
	blk_queue_set_write_cache(d->queue, write_cache);
	return r;
}

struct drive *drive_of(struct board *b, struct props *p, struct lodge_err *err)
{
	const char *id = props_get(p, "drive");
	struct drive *d = id ? drive_find(b, id) : NULL;

	if (!id) {
		err_set(err, -EINVAL, "%s: drive=ID is missing; it names a -drive or -blockdev",
			props_what(p));
	} else if (!d) {
		err_set(err, -ENOENT, "%s: there is no drive '%s'", props_what(p), id);
	} else if (d->used || d->iface == DRIVE_IDE || d->iface == DRIVE_FLOPPY ||
		   d->iface == DRIVE_PFLASH) {
		err_set(err, -EBUSY,
			"%s: the drive '%s' has a device already; write if=none in its -drive",
			props_what(p), id);
	} else if ((!props_has(p, "rerror") && !props_has(p, "werror") &&
		    !props_has(p, "write-cache")) ||
		   !apply_settings(d, p, err)) {
		d->used = true;
		return d;
	}
	return NULL;
}

int drives_check(struct board *b, struct lodge_err *err)
{
	struct drive *d;

	list_for_each_entry (d, &b->drives, link) {
		if (!d->used && d->iface != DRIVE_NONE && d->image)
			return err_set(err, -EINVAL,
				       "-drive if=%s: this machine has nothing that shows drive "
				       "'%s' (%s)",
				       ifaces[d->iface].name, d->id, blk_path(d->image));
	}
	return 0;
}

/* ---- Errors ------------------------------------------------------------------------------------ */

static void tell_error(const struct drive *d, bool write, int result, bool stopped)
{
	struct vm_event ev = {.kind = VM_EVENT_BLOCK_IO_ERROR,
			      .write = write,
			      .error = result,
			      .stopped = stopped};

	snprintf(ev.device, sizeof(ev.device), "%.63s", d->id);
	snprintf(ev.id, sizeof(ev.id), "%s", d->device_id);
	vm_tell(d->board->vm, &ev);
}

static void on_error(void *opaque, struct blk_queue *q, bool write, int result, bool stopped)
{
	struct drive *d = opaque;
	struct vm *vm = d->board->vm;
	const char *path = blk_path(blk_queue_image(q));

	tell_error(d, write, result, stopped);
	if (stopped) {
		if (atomic_load(&vm->pause) & VM_PAUSE_IO)
			return;
		vm_pause(vm, VM_PAUSE_IO);
		vm_request(vm, VM_REQ_CLOCK);
		fprintf(stderr,
			"lodge: drive '%s' (%s): a %s failed: %s. The machine is stopped; once "
			"that "
			"is mended, 'kill -CONT %d' or Ctrl-A r lets it try again\n",
			d->id, path, write ? "write" : "read", strerror(-result), (int)getpid());
		return;
	}
	if (d->errors++ >= ERRORS_TOLD)
		return;
	fprintf(stderr, "lodge: drive '%s' (%s): a %s failed: %s%s\n", d->id, path,
		write ? "write" : "read", strerror(-result),
		d->errors == ERRORS_TOLD ? "; more errors of this drive are not shown" : "");
}

void drives_drain(struct board *b)
{
	struct drive *d;

	list_for_each_entry (d, &b->drives, link) {
		if (d->queue)
			blk_queue_drain(d->queue);
	}
}

void drives_drop_held(struct board *b)
{
	struct drive *d;

	list_for_each_entry (d, &b->drives, link) {
		if (d->queue)
			blk_queue_drop_held(d->queue);
	}
}

void drives_resume(struct board *b)
{
	struct drive *d;

	list_for_each_entry (d, &b->drives, link) {
		if (d->queue)
			blk_queue_resume(d->queue);
	}
}

/* ---- Opening ----------------------------------------------------------------------------------- */

/* Where it goes: index= counts through the buses, and without a word the first free place is it. */
static int place(struct board *b, struct drive *d, const struct drive_spec *s,
		 struct lodge_err *err)
{
	unsigned per_bus = ifaces[d->iface].per_bus;
	unsigned bus = s->bus == UINT64_MAX ? 0 : (unsigned)s->bus;
	unsigned unit = s->unit == UINT64_MAX ? 0 : (unsigned)s->unit;

	if (s->index != UINT64_MAX) {
		bus = per_bus ? (unsigned)s->index / per_bus : 0;
		unit = per_bus ? (unsigned)s->index % per_bus : (unsigned)s->index;
	} else if (s->unit == UINT64_MAX) {
		while (drive_at(b, d->iface, bus, unit)) {
			unit++;
			if (per_bus && unit == per_bus) {
				unit = 0;
				bus++;
			}
		}
	}
	if (per_bus && unit >= per_bus)
		return err_set(err, -EINVAL, "%s: unit=%u is too much: a bus has units 0 to %u",
			       s->what, unit, per_bus - 1);
	if (drive_at(b, d->iface, bus, unit))
		return err_set(err, -EBUSY, "%s: two drives for if=%s, bus %u, unit %u", s->what,
			       ifaces[d->iface].name, bus, unit);
	d->bus = bus;
	d->unit = unit;
	return 0;
}

static int name(struct board *b, struct drive *d, const struct drive_spec *s, struct lodge_err *err)
{
	char made[64];

	if (s->id)
		snprintf(made, sizeof(made), "%s", s->id);
	else if (ifaces[d->iface].per_bus)
		snprintf(made, sizeof(made), "%s%u-%s%u", ifaces[d->iface].name, d->bus,
			 d->cdrom ? "cd" : "hd", d->unit);
	else
		snprintf(made, sizeof(made), "%s%s%u", ifaces[d->iface].name, d->cdrom ? "-cd" : "",
			 d->unit);
	if (s->id && strlen(s->id) >= sizeof(made))
		return err_set(err, -EINVAL, "%s: the id '%.20s...' is too long", s->what, s->id);
	if (drive_find(b, made))
		return err_set(err, -EEXIST, "%s: the id '%s' is taken", s->what, made);
	d->id = strdup(made);
	return d->id ? 0 : err_set(err, -ENOMEM, "no memory for a drive");
}

/* A guess from what a guest may have written is said. */
static void tell_guess(const struct drive_spec *s, const struct blk *image)
{
	bool raw = !strcmp(blk_format(image), "raw");

	if (!blk_probed(image) || (raw && blk_is_read_only(image)))
		return;
	fprintf(stderr,
		"lodge: %s: the format of %s is guessed: %s%s; format=%s says so for sure\n",
		s->what, s->open.path, blk_format(image),
		raw ? ". The guest cannot write another format's header there" : "",
		blk_format(image));
}

void drive_show(struct drive *d, enum drive_shown as, void *device, const char *id)
{
	if (!d)
		return;
	d->shown = as;
	d->device = device;
	if (id)
		snprintf(d->device_id, sizeof(d->device_id), "%s", id);
}

int drive_open_image(struct drive *d, const char *path, const char *format, bool read_only,
		     struct drive_medium *m, struct lodge_err *err)
{
	struct blk_open how = {.path = path, .format = format, .read_only = read_only};
	const struct drive_spec s = {.what = d->id, .open = how};

	*m = (struct drive_medium){.read_only = read_only};
	if (blk_open(&how, &m->image, err))
		return -EINVAL;
	tell_guess(&s, m->image);
	return 0;
}

int drive_make_queue(struct drive *d, struct drive_medium *m, struct lodge_err *err)
{
	const struct blk_queue_config cfg = {
		.loop = d->board->vm->loop,
		.rerror = BLK_REPORT,
		.werror = BLK_ENOSPC,
		.write_cache = true,
		.on_error = on_error,
		.opaque = d,
	};
	int r;

	m->queue = blk_queue_new(m->image, &cfg, err);
	if (!m->queue)
		return -ENOMEM;
	/* The machine runs: the device that will submit can start no thread. */
	r = blk_queue_start(m->queue, err);
	if (r)
		blk_queue_free(m->queue);
	return r;
}

static int open_medium(struct drive *d, const struct drive_spec *s, struct lodge_err *err)
{
	struct blk_open how = s->open;
	bool overlay = s->snapshot && !how.read_only;
	struct blk_queue_config cfg = {
		.loop = d->board->vm->loop,
		.aio = s->aio,
		.rerror = (enum blk_on_error)s->rerror,
		.werror = (enum blk_on_error)s->werror,
		.write_cache =
			how.cache != BLK_CACHE_WRITETHROUGH && how.cache != BLK_CACHE_DIRECTSYNC,
		.on_error = on_error,
		.opaque = d,
	};
	int r;

	how.read_only |= overlay;
	r = blk_open(&how, &d->image, err);
	if (r)
		return r;
	tell_guess(s, d->image);
	if (overlay) {
		struct blk *top;

		r = blk_overlay(d->image, &top, err);
		if (r)
			return r;
		d->image = top;
	}
	d->snapshot = overlay;
	d->read_only = s->open.read_only;
	d->queue = blk_queue_new(d->image, &cfg, err);
	return d->queue ? 0 : -EINVAL;
}

static void tell_lost(struct drive *d, int result)
{
	if (result && !d->lost)
		fprintf(stderr,
			"lodge: drive '%s': not all that the guest wrote could be saved: %s\n",
			d->id, strerror(-result));
	d->lost |= result != 0;
}

static int free_drive(struct drive *d)
{
	int r;

	blk_queue_free(d->queue);
	r = blk_close(d->image);
	tell_lost(d, r);
	free(d->id);
	free(d->said);
	free(d);
	return r;
}

static int add(struct board *b, const struct drive_spec *spec, struct lodge_err *err)
{
	struct drive *d = calloc(1, sizeof(*d));
	struct vm_saved_medium medium = {NULL, NULL, NULL, NULL};
	struct drive_spec now = *spec;
	const struct drive_spec *s = &now;
	int r;

	if (!d)
		return err_set(err, -ENOMEM, "no memory for a drive");
	d->board = b;
	d->iface = (enum drive_if)s->iface;
	d->cdrom = s->cdrom;
	d->read_only = s->open.read_only;
	r = place(b, d, s, err);
	if (!r)
		r = name(b, d, s, err);
	if (!r && s->serial && strlen(s->serial) >= sizeof(d->serial))
		r = err_set(err, -EINVAL, "%s: serial=%s is longer than %zu characters", s->what,
			    s->serial, sizeof(d->serial) - 1);
	if (!r && s->open.path && !(d->said = strdup(s->open.path)))
		r = err_set(err, -ENOMEM, "no memory for a drive");
	/* The saved machine may have changed it since its option was given. */
	if (!r && b->vm->cfg.restore)
		r = vm_restore_medium(b->vm->cfg.restore, d->id, &medium, err);
	if (!r && medium.known &&
	    (!d->said ? !medium.said : medium.said && !strcmp(d->said, medium.said)) &&
	    (medium.path ? !s->open.path || strcmp(medium.path, s->open.path)
			 : s->open.path != NULL)) {
		now.open.path = medium.path;
		now.open.format = medium.format;
	}
	if (!r && !s->open.path && !s->cdrom && d->iface != DRIVE_FLOPPY)
		r = err_set(err, -EINVAL, "%s: file=PATH is missing", s->what);
	if (!r && s->open.path)
		r = open_medium(d, s, err);
	props_free(medium.known);
	if (r) {
		if (free_drive(d) && !err->msg[0])
			return -EIO;
		return r;
	}
	if (s->serial)
		snprintf(d->serial, sizeof(d->serial), "%s", s->serial);
	list_add_tail(&b->drives, &d->link);
	return 0;
}

/* A cloud-init seed is one more disk. */
static int add_cidata(struct board *b, struct lodge_err *err)
{
	char path[32];
	struct drive_spec s = {
		.what = "-cidata",
		.id = "cidata",
		.iface = DRIVE_VIRTIO,
		.bus = UINT64_MAX,
		.unit = UINT64_MAX,
		.index = UINT64_MAX,
		.open = {.path = path, .format = "raw", .read_only = true},
	};
	int fd = cidata_volume(b->vm->cfg.cidata, err), r;

	if (fd < 0)
		return fd;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	r = add(b, &s, err);
	close(fd);
	return r;
}

int drives_start(struct board *b, struct lodge_err *err)
{
	struct drive *d;
	int r = 0;

	list_for_each_entry (d, &b->drives, link) {
		if (!r && d->queue)
			r = blk_queue_start(d->queue, err);
	}
	return r;
}

int drives_open(struct board *b, struct lodge_err *err)
{
	const struct vm_config *cfg = &b->vm->cfg;
	struct drive_spec s;
	int r = 0;

	for (unsigned i = 0; i < cfg->blockdevs.n && !r; i++) {
		r = drive_read_blockdev(&cfg->blockdevs, i, &s, err);
		r = r > 0 ? add(b, &s, err) : r;
	}
	for (unsigned i = 0; i < cfg->drives.n && !r; i++) {
		r = drive_read_drive(cfg->drives.p[i], cfg->snapshot, &s, err);
		if (!r)
			r = add(b, &s, err);
	}
	return !r && cfg->cidata ? add_cidata(b, err) : r;
}

int drives_flush(struct board *b)
{
	struct drive *d;
	int r = 0;

	list_for_each_entry (d, &b->drives, link) {
		int one = d->image ? blk_flush(d->image) : 0;

		tell_lost(d, one);
		r = r ? r : one;
	}
	return r;
}

int drives_close(struct board *b)
{
	int r = 0;

	while (!list_empty(&b->drives)) {
		struct drive *d = container_of(b->drives.next, struct drive, link);
		int one;

		list_del(&d->link);
		one = free_drive(d);
		r = r ? r : one;
	}
	return r;
}
