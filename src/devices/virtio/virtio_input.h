/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-input: a keyboard, a mouse, a tablet.
 * Source: virtio 1.2 §5.8; linux/input-event-codes.h for codes. Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_VIRTIO_VIRTIO_INPUT_H
#define LODGE_DEVICES_VIRTIO_VIRTIO_INPUT_H

#include "devices/virtio/virtio.h"
#include "input/input.h"

enum virtio_input_kind { VIRTIO_INPUT_KEYBOARD, VIRTIO_INPUT_MOUSE, VIRTIO_INPUT_TABLET };

struct virtio_input_config {
	struct virtio_config virtio; /* queues: VIRTIO_INPUT_QUEUES */
	enum virtio_input_kind kind;
};

#define VIRTIO_INPUT_QUEUES 2u

struct virtio_input;

/* NULL and a sentence on failure. */
struct virtio_input *virtio_input_new(const struct virtio_input_config *cfg, struct lodge_err *err);
void virtio_input_free(struct virtio_input *s); /* NULL is allowed */
struct device *virtio_input_device(struct virtio_input *s);
/* Where people's keys or pointer go; lives as long as it. */
struct input_sink *virtio_input_sink(struct virtio_input *s);

#endif
