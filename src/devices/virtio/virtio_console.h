/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-console: up to 31 ports, consoles or plain serial channels, each on a character device.
 * Source: virtio 1.2 §5.3. Registers and messages: docs/devices/virtio_console.md.
 * Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_VIRTIO_VIRTIO_CONSOLE_H
#define LODGE_DEVICES_VIRTIO_VIRTIO_CONSOLE_H

#include "chardev/chardev.h"
#include "devices/virtio/virtio.h"

#define VIRTIO_CONSOLE_PORTS 31u
#define VIRTIO_CONSOLE_NAME 64u

struct virtio_console;

struct virtio_console_port {
	struct chardev *chr; /* borrowed, outlives the device; NULL: output vanishes */
	const char *name;    /* what the driver may call it; copied; NULL: none */
	bool console;	     /* the driver makes a terminal of it */
	bool waits;	     /* nobody is at the other end of `chr` before it says so */
};

/* `ports` is 1 to VIRTIO_CONSOLE_PORTS. cfg->queues and cfg->features are left 0. NULL and a sentence on failure. */
struct virtio_console *virtio_console_new(const struct virtio_config *cfg, unsigned ports,
					  struct lodge_err *err);
void virtio_console_free(struct virtio_console *s);
struct device *virtio_console_device(struct virtio_console *s);
extern const struct device_class virtio_console_class;
/* The device that virtio_console_device() gave. */
struct virtio_console *virtio_console_of(struct device *dev);
/*
 * Put something on port `nr`, or on the first free one if `nr` is negative: consoles from port 0 on,
 * others from 1. Before the machine runs. The port's number, or -EINVAL, -EBUSY, -ENOSPC with a sentence.
 */
int virtio_console_add(struct virtio_console *s, int nr, const struct virtio_console_port *port,
		       struct lodge_err *err) MUST_CHECK;

#endif
