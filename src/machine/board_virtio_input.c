// SPDX-License-Identifier: GPL-2.0-or-later
/* -device virtio-keyboard-pci, virtio-mouse-pci, virtio-tablet-pci. Threads: before threads start. */
#include <errno.h>
#include <stdlib.h>

#include "base/props.h"
#include "devices/virtio/virtio_input.h"
#include "machine/board_virtio.h"

struct board_virtio_input {
	struct board *b;
	struct virtio_input *s;
};

static void free_input(void *obj)
{
	struct board_virtio_input *bi = obj;

	input_remove(bi->b->input, virtio_input_sink(bi->s));
	virtio_input_free(bi->s);
	free(bi);
}

static int make(struct board *b, struct props *p, enum virtio_input_kind kind,
		struct lodge_err *err)
{
	struct virtio_input_config c = {.kind = kind};
	struct board_virtio_input *bi;
	int r = board_virtio_config(b, p, VIRTIO_INPUT_QUEUES, 64, &c.virtio, err);

	if (r)
		return r;
	if (c.virtio.no_modern)
		return err_set(err, -EINVAL, "%s: there is no legacy interface of it",
			       props_what(p));
	bi = calloc(1, sizeof(*bi));
	if (!bi)
		return err_set(err, -ENOMEM, "no memory for a virtio-input device");
	bi->b = b;
	bi->s = virtio_input_new(&c, err);
	if (!bi->s) {
		free(bi);
		return -EINVAL;
	}
	input_add(b->input, virtio_input_sink(bi->s));
	return board_adopt(b, props_get(p, "id"), virtio_input_device(bi->s), bi, free_input, err);
}

static int make_keyboard(struct board *b, struct props *p, struct lodge_err *err)
{
	return make(b, p, VIRTIO_INPUT_KEYBOARD, err);
}

static int make_mouse(struct board *b, struct props *p, struct lodge_err *err)
{
	return make(b, p, VIRTIO_INPUT_MOUSE, err);
}

static int make_tablet(struct board *b, struct props *p, struct lodge_err *err)
{
	return make(b, p, VIRTIO_INPUT_TABLET, err);
}

const struct board_kind board_virtio_keyboard = {
	.name = "virtio-keyboard-pci",
	.help = "keyboard, once the guest has a driver for it: id=, addr=",
	.make = make_keyboard,
};
const struct board_kind board_virtio_mouse = {
	.name = "virtio-mouse-pci",
	.help = "mouse, likewise",
	.make = make_mouse,
};
const struct board_kind board_virtio_tablet = {
	.name = "virtio-tablet-pci",
	.help = "pointer that says where it is, likewise",
	.make = make_tablet,
};
