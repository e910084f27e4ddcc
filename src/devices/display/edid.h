/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a monitor says of itself: an EDID of one block.
 * Source: VESA E-EDID Standard, release A2 (EDID 1.4), chapter 3; timings: VESA CVT 1.2, reduced blanking.
 */
#ifndef LODGE_DEVICES_DISPLAY_EDID_H
#define LODGE_DEVICES_DISPLAY_EDID_H

#include <stdint.h>

#define EDID_BYTES 128u
#define EDID_SIZE_MIN 64u
#define EDID_SIZE_MAX 4095u /* what a detailed timing can say */

/* A monitor of `width` by `height` pixels (EDID_SIZE_MIN to _MAX) that it likes best, at 60 Hz. */
void edid_make(uint8_t out[EDID_BYTES], unsigned width, unsigned height);

#endif
