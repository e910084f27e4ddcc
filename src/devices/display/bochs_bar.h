/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * BAR 2 of QEMU's display adapters, 4 KiB of registers:
 *
 *   0x000  EDID of the monitor
 *   0x400  VGA ports 0x3c0 to 0x3df, where there is a VGA
 *   0x500  dispi registers, 16 bits each
 *   0x600  how many bytes of registers follow from here on (8); 0x604 byte order of the frame buffer
 *
 * Source: QEMU documentation, docs/specs/standard-vga.rst. Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_DISPLAY_BOCHS_BAR_H
#define LODGE_DEVICES_DISPLAY_BOCHS_BAR_H

#include "bus/bus.h"
#include "devices/display/dispi.h"
#include "devices/display/edid.h"

#define BOCHS_BAR_BYTES 4096u

struct bochs_bar {
	uint8_t edid[EDID_BYTES];
	bool has_edid;
	struct dispi *dispi;
	/* The VGA's ports, by offset from 0x3c0; NULL where there is none. */
	uint8_t (*port_read)(void *opaque, unsigned port);
	void (*port_write)(void *opaque, unsigned port, uint8_t val);
	/* A dispi register was written; `clear`: as dispi_write() says. */
	void (*written)(void *opaque, bool clear);
	void *opaque;
};

/* The opaque is the struct bochs_bar. */
extern const struct bus_ops bochs_bar_ops;

#endif
