// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Disks of a running machine: what there is, other media, other sizes, snapshots.
 *
 * What waits for the host's disk is done without the VM lock: images are opened, flushed and closed there, and
 * requests that are under way are waited for by looking now and then. While a queue is frozen the guest's
 * requests wait, as on a slow disk.
 * Threads: see machine/ctl.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <poll.h>
#include <unistd.h>

#include "base/clock.h"
#include "block/tools.h"
#include "devices/virtio/virtio_blk.h"
#include "machine/board_int.h"
#include "machine/drive.h"

#define IDLE_NS (30 * NS_PER_SEC)
#define BUSY_NS (2 * NS_PER_SEC)
#define LOOK_MS 1

/* ---- Finding ------------------------------------------------------------------------------------ */

static struct drive *find_locked(struct vm *vm, const char *name, struct lodge_err *err)
{
	struct drive *d = drive_find(vm->board, name), *by_id;

	if (d)
		return d;
	list_for_each_entry (by_id, &vm->board->drives, link) {
		if (by_id->device_id[0] && !strcmp(by_id->device_id, name))
			return by_id;
	}
	err_set(err, -ENODEV, "Device '%.60s' not found", name);
	return NULL;
}

static bool removable(const struct drive *d)
{
	return d->shown == SHOWN_FLOPPY || (d->shown == SHOWN_ATA && ata_is_cdrom(d->device));
}

static struct drive *find(struct vm *vm, const char *name, struct lodge_err *err)
{
	struct drive *d;

	pthread_mutex_lock(&vm->lock);
	d = find_locked(vm, name, err);
	pthread_mutex_unlock(&vm->lock);
	return d;
}

/* ---- What there is ------------------------------------------------------------------------------ */

static void describe(const struct drive *d, uint32_t pause, struct vm_ctl_drive *o)
{
	static const char *const drivers[] = {[SHOWN_NOT] = "none",
					      [SHOWN_ATA] = "ide",
					      [SHOWN_FLOPPY] = "floppy",
					      [SHOWN_VIRTIO] = "virtio-blk",
					      [SHOWN_NVME] = "nvme"};
	struct blk_queue_stats st = {0};

	*o = (struct vm_ctl_drive){
		.removable = removable(d),
		.inserted = d->image,
		.read_only = d->read_only,
		.snapshot = d->snapshot,
		.io_error = pause & VM_PAUSE_IO,
	};
	snprintf(o->device, sizeof(o->device), "%.63s", d->id);
	snprintf(o->id, sizeof(o->id), "%s", d->device_id);
	snprintf(o->driver, sizeof(o->driver), "%s", drivers[d->shown]);
	if (d->image) {
		snprintf(o->path, sizeof(o->path), "%s", blk_path(d->image));
		snprintf(o->format, sizeof(o->format), "%s", blk_format(d->image));
		o->size = blk_size(d->image);
	}
	if (d->shown == SHOWN_ATA && ata_is_cdrom(d->device)) {
		o->locked = ata_medium_locked(d->device);
		o->tray_open = ata_tray_open(d->device);
	}
	if (d->queue)
		blk_queue_get_stats(d->queue, &st);
#define TAKE(kind, op)                \
	o->kind.ops = st.ops[op];     \
	o->kind.bytes = st.bytes[op]; \
	o->kind.errors = st.errors[op]
	TAKE(read, BLK_READ);
	TAKE(write, BLK_WRITE);
	TAKE(flush, BLK_FLUSH);
	TAKE(unmap, BLK_DISCARD);
#undef TAKE
}

unsigned vm_ctl_drives(struct vm *vm, struct vm_ctl_drive *out)
{
	struct drive *d;
	unsigned n = 0;

	pthread_mutex_lock(&vm->lock);
	list_for_each_entry (d, &vm->board->drives, link) {
		if (n < VM_CTL_DRIVES)
			describe(d, atomic_load(&vm->pause), &out[n++]);
	}
	pthread_mutex_unlock(&vm->lock);
	return n;
}

/* ---- Media -------------------------------------------------------------------------------------- */

/* May the medium go now? With the VM lock. */
static int may_remove(struct drive *d, bool force, struct lodge_err *err)
{
	if (!removable(d))
		return err_set(err, -EINVAL, "Device '%s' is not removable", d->id);
	if (d->shown != SHOWN_ATA || force || !ata_medium_locked(d->device))
		return 0;
	/* The guest is asked to let it go. */
	ata_press_eject(d->device);
	return err_set(err, -EBUSY,
		       "Device '%s' is locked and force was not specified, wait for tray to open "
		       "and try again",
		       d->id);
}

/* Wait, without the lock, until nothing is under way, or for `ns`. Returns with the VM lock held. */
static bool wait_idle(struct vm *vm, const struct drive *d, uint64_t ns)
{
	uint64_t end = clock_mono_ns() + ns;
	bool idle;

	pthread_mutex_lock(&vm->lock);
	while (!(idle = !d->queue || blk_queue_idle(d->queue)) && clock_mono_ns() < end &&
	       !atomic_load(&vm->hurry)) {
		pthread_mutex_unlock(&vm->lock);
		poll(NULL, 0, LOOK_MS);
		pthread_mutex_lock(&vm->lock);
	}
	return idle;
}

/* Put `m` (NULL: none) in; what was there is in `m` or `*old` afterwards. With the VM lock. */
static int swap(struct drive *d, const struct drive_medium *m, struct drive_medium *old,
		struct lodge_err *err)
{
	struct blk_queue *q = m ? m->queue : NULL;
	int r = 0;

	if (d->shown == SHOWN_ATA)
		ata_set_medium(d->device, q);
	else
		r = fdc_set_medium(d->device, d->device_unit, q, m && m->read_only, err);
	if (r)
		return r;
	*old = (struct drive_medium){d->image, d->queue, d->read_only};
	d->image = m ? m->image : NULL;
	d->queue = q;
	d->read_only = m && m->read_only;
	return 0;
}

/* Away with it; the queue with the VM lock, the image without. */
static int put_away(struct vm *vm, const struct drive_medium *m)
{
	if (m->queue) {
		pthread_mutex_lock(&vm->lock);
		blk_queue_free(m->queue);
		pthread_mutex_unlock(&vm->lock);
	}
	return blk_close(m->image);
}

int vm_ctl_eject(struct vm *vm, const char *name, bool force, struct lodge_err *err)
{
	struct drive *d = find(vm, name, err);
	struct drive_medium old = {0};
	int r;

	if (!d)
		return -ENODEV;
	wait_idle(vm, d, BUSY_NS);
	r = may_remove(d, force, err);
	if (!r)
		r = swap(d, NULL, &old, err);
	if (!r && d->shown == SHOWN_ATA)
		ata_press_eject(d->device);
	pthread_mutex_unlock(&vm->lock);
	if (put_away(vm, &old) && !r)
		r = err_set(err, -EIO, "not all that the guest wrote to '%s' could be saved",
			    d->id);
	return r;
}

/* With the VM lock. */
static int change_locked(struct drive *d, struct drive_medium *m, bool force,
			 struct drive_medium *old, struct lodge_err *err)
{
	int r = may_remove(d, force, err);

	if (!r)
		r = drive_make_queue(d, m, err);
	/* The tray opens and closes around the new one. */
	if (!r && d->shown == SHOWN_ATA)
		ata_press_eject(d->device);
	return r ? r : swap(d, m, old, err);
}

int vm_ctl_change(struct vm *vm, const char *name, const char *path, const char *format,
		  bool read_only, bool force, struct lodge_err *err)
{
	struct drive *d = find(vm, name, err);
	struct drive_medium m, old = {0};
	int r;

	if (!d)
		return -ENODEV;
	if (!removable(d))
		return err_set(err, -EINVAL, "Device '%s' is not removable", d->id);
	r = drive_open_image(d, path, format, read_only || d->shown == SHOWN_ATA, &m, err);
	if (r)
		return r;
	wait_idle(vm, d, BUSY_NS);
	r = change_locked(d, &m, force, &old, err);
	pthread_mutex_unlock(&vm->lock);
	if (put_away(vm, r ? &m : &old) && !r)
		r = err_set(err, -EIO, "not all that the guest wrote to '%s' could be saved",
			    d->id);
	return r;
}

int vm_ctl_tray(struct vm *vm, const char *name, bool open, bool force, struct lodge_err *err)
{
	struct drive *d;
	int r = 0;

	pthread_mutex_lock(&vm->lock);
	d = find_locked(vm, name, err);
	if (!d)
		r = -ENODEV;
	else if (d->shown != SHOWN_ATA || !removable(d))
		r = err_set(err, -ENOTSUP, "Device '%s' has no tray", d->id);
	else if (open)
		r = may_remove(d, force, err);
	if (!r)
		ata_move_tray(d->device, open);
	pthread_mutex_unlock(&vm->lock);
	return r;
}

/* ---- A frozen queue ----------------------------------------------------------------------------- */

/* Nothing is under way, and nothing starts. The VM lock is not held before or after. */
static int freeze(struct vm *vm, struct drive *d, struct lodge_err *err)
{
	bool idle;

	pthread_mutex_lock(&vm->lock);
	if (d->queue)
		blk_queue_freeze(d->queue);
	pthread_mutex_unlock(&vm->lock);
	if (!d->queue)
		return err_set(err, -EINVAL, "Device '%s' has no medium", d->id);
	idle = wait_idle(vm, d, IDLE_NS);
	if (!idle)
		blk_queue_thaw(d->queue);
	pthread_mutex_unlock(&vm->lock);
	return idle ? 0
		    : err_set(err, -ETIMEDOUT, "requests of '%s' do not end; the disk is too busy",
			      d->id);
}

static void thaw(struct vm *vm, struct drive *d)
{
	pthread_mutex_lock(&vm->lock);
	blk_queue_thaw(d->queue);
	pthread_mutex_unlock(&vm->lock);
}

/* ---- Size --------------------------------------------------------------------------------------- */

int vm_ctl_resize(struct vm *vm, const char *name, uint64_t bytes, struct lodge_err *err)
{
	struct drive *d = find(vm, name, err);
	int r;

	if (!d)
		return -ENODEV;
	if (d->shown != SHOWN_VIRTIO)
		return err_set(err, -ENOTSUP,
			       "'%s' cannot tell its guest of another size: only virtio disks can; "
			       "stop the machine and use 'lodge img resize'",
			       d->id);
	if (bytes % BLK_SECTOR || bytes > INT64_MAX)
		return err_set(err, -EINVAL, "a size is a multiple of %u bytes", BLK_SECTOR);
	r = freeze(vm, d, err);
	if (r)
		return r;
	r = blk_resize(d->image, bytes, err);
	if (!r) {
		pthread_mutex_lock(&vm->lock);
		virtio_blk_resized(d->device);
		pthread_mutex_unlock(&vm->lock);
	}
	thaw(vm, d);
	return r;
}

/* ---- Snapshots ---------------------------------------------------------------------------------- */

/* The new image's name for the present one: whole, since they may be in different folders. */
static int create(const struct drive *d, const char *path, struct lodge_err *err)
{
	const char *path_now = blk_path(d->image);
	char base[PATH_MAX], from[PATH_MAX];
	const struct blk_create c = {
		.path = path,
		.format = "qcow2",
		.size = blk_size(d->image),
		.has_size = true,
		.backing = base,
		.backing_format = blk_format(d->image),
		.trust_backing = true,
	};

	struct stat st;

	/* From the root on, so that realpath() needs no getcwd(), which this thread may not call. */
	if (snprintf(from, sizeof(from), "%s%s", path_now[0] == '/' ? "" : "/proc/self/cwd/",
		     path_now) >= (int)sizeof(from) ||
	    !realpath(from, base))
		return err_set(err, -errno, "%s: %s", path_now, strerror(errno));
	if (!stat(path, &st))
		return err_set(err, -EEXIST,
			       "%.400s exists; choose another file, or mode=existing to use it",
			       path);
	return blk_create_image(&c, err);
}

static int may_snapshot(const struct drive *d, struct lodge_err *err)
{
	if (!d->image || removable(d))
		return err_set(err, -EINVAL, "Device '%s' has no disk", d->id);
	if (d->snapshot)
		return err_set(err, -EINVAL,
			       "'%s' runs with -snapshot: what it writes is kept nowhere", d->id);
	if (d->read_only)
		return err_set(err, -EINVAL, "'%s' is read-only: there is nothing to keep apart",
			       d->id);
	return 0;
}

/* The new image, open and without its backing file. */
static int open_top(const struct drive *d, const char *path, struct blk **top,
		    struct lodge_err *err)
{
	const struct blk_open how = {.path = path,
				     .format = "qcow2",
				     .no_backing = true,
				     .cache = blk_cache(d->image),
				     .discard = blk_discards(d->image)};
	int r = blk_open(&how, top, err);

	if (!r && blk_size(*top) != blk_size(d->image)) {
		(void)!blk_close(*top);
		r = err_set(err, -EINVAL, "%.400s has another size than '%s'", path, d->id);
	}
	return r;
}

int vm_ctl_snapshot(struct vm *vm, const char *name, const char *path, bool existing,
		    struct lodge_err *err)
{
	struct drive *d = find(vm, name, err);
	struct blk *top = NULL;
	int r;

	if (!d)
		return -ENODEV;
	r = may_snapshot(d, err);
	if (!r && !existing)
		r = create(d, path, err);
	if (!r)
		r = open_top(d, path, &top, err);
	if (r)
		return r;
	r = freeze(vm, d, err);
	if (!r && blk_flush(d->image)) {
		thaw(vm, d);
		r = err_set(err, -EIO, "cannot write what the guest wrote to %s",
			    blk_path(d->image));
	}
	if (r) {
		(void)!blk_close(top);
		return r;
	}
	pthread_mutex_lock(&vm->lock);
	blk_stand_on(top, d->image);
	d->image = top;
	blk_queue_set_image(d->queue, top);
	blk_queue_thaw(d->queue);
	pthread_mutex_unlock(&vm->lock);
	return 0;
}
