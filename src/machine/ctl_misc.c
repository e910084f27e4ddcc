// SPDX-License-Identifier: GPL-2.0-or-later
/* The balloon, character devices and counters of a running machine. Threads: see machine/ctl.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "devices/virtio/virtio_balloon.h"
#include "machine/board_int.h"
#include "machine/chardevs.h"

/* ---- The balloon -------------------------------------------------------------------------------- */

static struct virtio_balloon *find_balloon(struct vm *vm, struct lodge_err *err)
{
	struct device *dev = board_find_added(vm->board, &virtio_balloon_class, NULL);

	if (!dev)
		err_set(err, -ENOTCONN,
			"No balloon device has been activated; start the machine with -device "
			"virtio-balloon-pci");
	return dev ? virtio_balloon_of(dev) : NULL;
}

int vm_ctl_balloon(struct vm *vm, uint64_t bytes, struct lodge_err *err)
{
	struct virtio_balloon *s;
	int r = -ENOTCONN;

	pthread_mutex_lock(&vm->lock);
	s = find_balloon(vm, err);
	if (s && !virtio_balloon_active(s))
		err_set(err, r, "the guest has no driver for its balloon, or not yet");
	else if (s && bytes < VM_BALLOON_MIN)
		r = err_set(err, -EINVAL, "a guest needs %u MiB at least", VM_BALLOON_MIN >> 20);
	else if (s) {
		virtio_balloon_set_target(s, bytes);
		r = 0;
	}
	pthread_mutex_unlock(&vm->lock);
	return r;
}

int vm_ctl_query_balloon(struct vm *vm, uint64_t *bytes, struct lodge_err *err)
{
	struct virtio_balloon *s;

	pthread_mutex_lock(&vm->lock);
	s = find_balloon(vm, err);
	if (s)
		*bytes = virtio_balloon_actual(s);
	pthread_mutex_unlock(&vm->lock);
	return s ? 0 : -ENOTCONN;
}

/* ---- Character devices -------------------------------------------------------------------------- */

static void put_chardev(struct vm_ctl_chardev *out, unsigned *n, const char *label,
			const char *name)
{
	if (*n == VM_CTL_CHARDEVS)
		return;
	out[*n] = (struct vm_ctl_chardev){.open = true};
	snprintf(out[*n].label, sizeof(out[*n].label), "%.63s", label);
	snprintf(out[*n].name, sizeof(out[*n].name), "%.250s", name);
	++*n;
}

unsigned vm_ctl_chardevs(struct vm *vm, struct vm_ctl_chardev *out)
{
	struct named_chardev *c;
	unsigned n = 0;

	pthread_mutex_lock(&vm->lock);
	for (unsigned i = 0; i < VM_SERIALS; i++) {
		char label[16];

		snprintf(label, sizeof(label), "serial%u", i);
		if (vm->cfg.serial[i])
			put_chardev(out, &n, label, vm->cfg.serial[i]);
	}
	if (vm->cfg.debugcon)
		put_chardev(out, &n, "debugcon", vm->cfg.debugcon);
	list_for_each_entry (c, &vm->chardevs, link) {
		put_chardev(out, &n, c->id, "chardev");
		out[n - 1].open = c->used;
	}
	pthread_mutex_unlock(&vm->lock);
	return n;
}

/* ---- Counters ----------------------------------------------------------------------------------- */

void vm_ctl_counters(struct vm *vm, int cpu,
		     void (*fn)(void *opaque, const char *name, const char *what, uint64_t value),
		     void *opaque)
{
	if (vm->ops->counters && cpu < (int)vm->cfg.cpus)
		vm->ops->counters(vm->engine, cpu, fn, opaque);
}
