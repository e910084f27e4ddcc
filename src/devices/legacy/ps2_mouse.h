/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PS/2 mouse: the standard 3-byte protocol, IntelliMouse (wheel), IntelliMouse Explorer (5
 * buttons). Source: IBM PS/2 Hardware Interface Technical Reference, "Mouse"; Microsoft,
 * "IntelliMouse". Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_LEGACY_PS2_MOUSE_H
#define LODGE_DEVICES_LEGACY_PS2_MOUSE_H

#include "bus/device.h"

struct ps2_mouse; /* begins with struct device */

/* `ready` (may be NULL) is called whenever the output queue may have gone from empty to not. */
struct ps2_mouse *ps2_mouse_new(void (*ready)(void *opaque), void *opaque);
void ps2_mouse_free(struct ps2_mouse *m);
struct device *ps2_mouse_device(struct ps2_mouse *m);

/* What the 8042 does: send a byte, look for and take one. */
void ps2_mouse_write(struct ps2_mouse *m, uint8_t val);
bool ps2_mouse_has_data(const struct ps2_mouse *m);
uint8_t ps2_mouse_read(struct ps2_mouse *m);

#define PS2_MOUSE_LEFT 1u
#define PS2_MOUSE_RIGHT 2u
#define PS2_MOUSE_MIDDLE 4u
#define PS2_MOUSE_SIDE 8u
#define PS2_MOUSE_EXTRA 16u
/*
 * The mouse moved by dx (right), dy (up) counts and dz wheel steps (towards the person), and has
 * `buttons` down. Movement that does not fit a packet or the queue is kept for the next.
 */
void ps2_mouse_move(struct ps2_mouse *m, int dx, int dy, int dz, unsigned buttons);

#endif
