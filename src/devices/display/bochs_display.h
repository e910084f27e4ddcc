/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * QEMU's bochs-display, 1234:1111: a linear frame buffer and nothing of a VGA. BAR 0 is the memory, BAR 2 the
 * registers (bochs_bar.h).
 *
 * Source: QEMU documentation, docs/specs/standard-vga.rst; register table: docs/devices/bochs_display.md.
 * Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_DISPLAY_BOCHS_DISPLAY_H
#define LODGE_DEVICES_DISPLAY_BOCHS_DISPLAY_H

#include "bus/pci.h"
#include "devices/display/vram.h"
#include "display/source.h"

struct bochs_display_config {
	uint8_t devfn;
	struct vram vram; /* copied */
	bool no_edid;
	unsigned width, height; /* of the monitor, within EDID's bounds */
};

struct bochs_display;

/* NULL and a sentence on failure. `cfg` is copied. */
struct bochs_display *bochs_display_new(struct pci_bus *pb, const struct bochs_display_config *cfg,
					struct lodge_err *err);
void bochs_display_free(struct bochs_display *s); /* NULL is allowed */
struct device *bochs_display_device(struct bochs_display *s);
/* What is to be seen; lives as long as the device. */
const struct display_source *bochs_display_source(struct bochs_display *s);

#endif
