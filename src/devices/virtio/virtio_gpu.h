/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-gpu: pictures that the guest draws in its memory and has copied to the screen; a pointer laid over them.
 * Alone (QEMU's virtio-gpu-pci), or with a VGA that shows until the guest's driver does (virtio-vga).
 * Source: virtio 1.2 §5.7; register table and what is left out: docs/devices/virtio_gpu.md.
 * Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_VIRTIO_VIRTIO_GPU_H
#define LODGE_DEVICES_VIRTIO_VIRTIO_GPU_H

#include "devices/display/vga.h"
#include "devices/display/vram.h"
#include "devices/virtio/virtio.h"
#include "display/source.h"

#define VIRTIO_GPU_QUEUES 2u

struct virtio_gpu_config {
	struct virtio_config virtio; /* queues: VIRTIO_GPU_QUEUES; `front` is filled here */
	/* Where resources are kept: memory that no guest sees, whole pages (max_hostmem). Copied. */
	struct vram vram;
	bool no_edid;
	unsigned width, height; /* of the monitor, within EDID's bounds */
	const struct vga_config
		*vga; /* virtio-vga: its memory; borrowed for the call. NULL: no VGA */
};

struct virtio_gpu;

/* NULL and a sentence on failure. `cfg` is copied. */
struct virtio_gpu *virtio_gpu_new(const struct virtio_gpu_config *cfg, struct lodge_err *err);
void virtio_gpu_free(struct virtio_gpu *g); /* NULL is allowed */
struct device *virtio_gpu_device(struct virtio_gpu *g);
struct pci_dev *virtio_gpu_pci(struct virtio_gpu *g);
/* What is to be seen; lives as long as the device. */
const struct display_source *virtio_gpu_source(struct virtio_gpu *g);

#endif
