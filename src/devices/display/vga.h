/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A VGA with Bochs' VBE extension, QEMU's "VGA": 1234:1111, class 0300. BAR 0 is its memory, BAR 2 registers
 * in memory (bochs_bar.h), the ROM BAR its BIOS; besides, the ports and the 128 KiB of every VGA.
 *
 * Source: IBM PS/2 Hardware Interface Technical Reference, Video Subsystem (October 1992); register table and
 * what is left out: docs/devices/vga.md. Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_DISPLAY_VGA_H
#define LODGE_DEVICES_DISPLAY_VGA_H

#include "bus/pci.h"
#include "devices/display/vram.h"
#include "display/source.h"

struct vga_config {
	uint8_t devfn;
	struct vram vram; /* copied; at least 256 KiB */
	bool no_edid;
	unsigned width, height; /* of the monitor, within EDID's bounds */
};

struct vga;

/* NULL and a sentence on failure. `cfg` is copied. There is room for one on a bus. */
struct vga *vga_new(struct pci_bus *pb, const struct vga_config *cfg, struct lodge_err *err);
void vga_free(struct vga *s); /* NULL is allowed */
struct device *vga_device(struct vga *s);
struct pci_dev *vga_pci(struct vga *s);
/* What is to be seen; lives as long as the device. */
const struct display_source *vga_source(struct vga *s);

#endif
