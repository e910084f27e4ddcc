// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Devices and drives that come and go while the machine runs. Images are opened and closed without the VM
 * lock, and the requests of a device that goes are waited for without it as long as that helps.
 * Threads: see machine/ctl.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <poll.h>
#include <unistd.h>

#include "machine/board_int.h"
#include "machine/drive.h"

#define LOOK_MS 1
#define LOOKS 4000

int vm_ctl_device_add(struct vm *vm, struct props *p, struct lodge_err *err)
{
	const char *name = props_get(p, "driver");
	const struct board_kind *k = name ? board_kind_called(name) : NULL;
	int r;

	if (!k)
		return err_set(err, -EINVAL, "'%.60s' is not a valid device model name",
			       name ? name : "");
	pthread_mutex_lock(&vm->lock);
	r = board_hotplug(vm->board, k, p, err);
	pthread_mutex_unlock(&vm->lock);
	return r;
}

int vm_ctl_device_del(struct vm *vm, const char *id, struct lodge_err *err)
{
	int r;

	pthread_mutex_lock(&vm->lock);
	r = board_unplug(vm->board, id, err);
	pthread_mutex_unlock(&vm->lock);
	return r;
}

void vm_ctl_take_out(struct vm *vm)
{
	bool more = true;

	for (unsigned i = 0; more; i++) {
		struct drive *d;

		pthread_mutex_lock(&vm->lock);
		d = board_ejected_drive(vm->board);
		if (!d || !d->queue || blk_queue_idle(d->queue) || i > LOOKS)
			more = board_take_out(vm->board);
		pthread_mutex_unlock(&vm->lock);
		if (d)
			poll(NULL, 0, LOOK_MS);
	}
}

/* ---- Drives ------------------------------------------------------------------------------------- */

int vm_ctl_drive_add(struct vm *vm, const char *id, const char *path, const char *format,
		     bool read_only, struct lodge_err *err)
{
	struct drive *d = calloc(1, sizeof(*d));
	struct drive_medium m;
	int r;

	if (!d || !(d->id = strdup(id))) {
		free(d);
		return err_set(err, -ENOMEM, "no memory for a drive");
	}
	d->board = vm->board;
	d->iface = DRIVE_NONE;
	d->hot = true;
	r = drive_open_image(d, path, format, read_only, &m, err);
	if (!r) {
		pthread_mutex_lock(&vm->lock);
		r = drive_find(vm->board, id) ? err_set(err, -EEXIST, "the id '%.60s' is taken", id)
					      : drive_make_queue(d, &m, err);
		if (!r) {
			d->image = m.image;
			d->queue = m.queue;
			d->read_only = read_only;
			list_add_tail(&vm->board->drives, &d->link);
		}
		pthread_mutex_unlock(&vm->lock);
	}
	if (!r)
		return 0;
	(void)!blk_close(m.image);
	free(d->id);
	free(d);
	return r;
}

int vm_ctl_drive_del(struct vm *vm, const char *id, struct lodge_err *err)
{
	struct drive *d;
	int r = 0;

	pthread_mutex_lock(&vm->lock);
	d = drive_find(vm->board, id);
	if (!d)
		r = err_set(err, -ENODEV, "Device '%.60s' not found", id);
	else if (d->used || d->iface != DRIVE_NONE)
		r = err_set(err, -EBUSY,
			    "Node '%.60s' is busy: node is used as backend of a device", id);
	else {
		list_del(&d->link);
		blk_queue_free(d->queue);
	}
	pthread_mutex_unlock(&vm->lock);
	if (r)
		return r;
	if (blk_close(d->image))
		r = err_set(err, -EIO, "not all that the guest wrote to '%.60s' could be saved",
			    id);
	free(d->id);
	free(d);
	return r;
}
