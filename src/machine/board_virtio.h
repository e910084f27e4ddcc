/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Settings that all virtio devices have. Private to src/machine. Threads: before threads start. */
#ifndef LODGE_MACHINE_BOARD_VIRTIO_H
#define LODGE_MACHINE_BOARD_VIRTIO_H

#include "devices/virtio/virtio.h"
#include "machine/board_int.h"

/*
 * Place, interfaces (the driver's name; disable-legacy=, disable-modern=), event_idx=, indirect_desc= and
 * vectors= of `p` into *vc. `queues` and `queue_size` are taken over.
 */
int board_virtio_config(struct board *b, struct props *p, unsigned queues, uint16_t queue_size,
			struct virtio_config *vc, struct lodge_err *err) MUST_CHECK;
/* "node@SLOT[,FUNC]below": an Open Firmware path below the PCI bus, for board_bootable(). */
void board_pci_node(char *out, size_t size, const char *node, uint8_t devfn, const char *below);

#endif
