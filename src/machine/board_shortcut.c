// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Writes that do not stop a vCPU, between the bus and the engine: bells, which are eventfds that the event loop
 * watches, and late writes, which come to their devices by vm_drain_locked().
 * Threads: with the VM lock held. Bells are made during set-up or by the control thread: no other may make descriptors.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bus/shortcut.h"
#include "machine/board_int.h"

struct bus_bell {
	int fd;
	struct io_watch *watch;
	void (*ring)(void *dev);
	void *dev;
};

static void heard(void *opaque, uint32_t events)
{
	struct bus_bell *b = opaque;
	uint64_t count;

	(void)events;
	if (read(b->fd, &count, sizeof(count)) == (ssize_t)sizeof(count))
		b->ring(b->dev);
}

static void bell_free(struct bus_bell *b)
{
	io_watch_del(b->watch);
	close(b->fd);
	free(b);
}

static struct bus_bell *bell_new(void *opaque, void (*ring)(void *dev), void *dev)
{
	struct vm *vm = opaque;
	struct bus_bell *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	*b = (struct bus_bell){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
			       .ring = ring,
			       .dev = dev};
	if (b->fd >= 0)
		b->watch = io_watch_add(vm->loop, b->fd, EPOLLIN, heard, b);
	if (b->watch)
		return b;
	if (b->fd >= 0)
		close(b->fd);
	free(b);
	return NULL;
}

static bool take(void *opaque, const struct bus_shortcut *s, bool on)
{
	struct vm *vm = opaque;
	struct engine_bell bell = {.pio = s->pio,
				   .matches = s->matches,
				   .size = s->len,
				   .value = s->value,
				   .addr = s->addr};

	if (s->kind == BUS_SHORTCUT_LATE)
		return vm->ops->shortcuts->late(vm->engine, s->pio, s->addr, s->len, on);
	bell.fd = s->bell->fd;
	return vm->ops->shortcuts->bell(vm->engine, &bell, on);
}

static void late_write(void *opaque, bool pio, uint64_t addr, uint64_t val, unsigned size)
{
	struct vm *vm = opaque;

	if (pio)
		bus_pio_write(vm->bus, (uint16_t)addr, val, size);
	else
		bus_mmio_write(vm->bus, addr, val, size);
}

void vm_drain_locked(struct vm *vm)
{
	if (vm->ops->shortcuts)
		vm->ops->shortcuts->drain(vm->engine, late_write, vm);
}

void board_wire_shortcuts(struct vm *vm)
{
	const struct bus_shortcut_host h = {.opaque = vm,
					    .take = take,
					    .bell_new = bell_new,
					    .bell_free = bell_free};

	if (vm->ops->shortcuts)
		bus_set_shortcut_host(vm->bus, &h);
}
