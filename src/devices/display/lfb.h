/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A linear frame buffer as a picture. Pure: it looks at nothing but its arguments. */
#ifndef LODGE_DEVICES_DISPLAY_LFB_H
#define LODGE_DEVICES_DISPLAY_LFB_H

#include "devices/display/dispi.h"
#include "display/picture.h"

/*
 * Draw mode `m` (as dispi_mode() made it, for this memory) from `vram`. `palette` has the 256 colours of 8
 * bits a pixel, 0x00RRGGBB; with 4 bits a pixel, the first 16. -ENOMEM.
 */
int lfb_draw(const struct dispi_mode *m, const uint8_t *vram, bool big_endian,
	     const uint32_t *palette, struct display_picture *pic) MUST_CHECK;

#endif
