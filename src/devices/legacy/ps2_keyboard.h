/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PS/2 keyboard: scan-code sets 1, 2 and 3, all commands, a bounded queue.
 * Source: IBM PS/2 Hardware Interface Technical Reference, "Keyboards (101- and 102-key)".
 * Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_LEGACY_PS2_KEYBOARD_H
#define LODGE_DEVICES_LEGACY_PS2_KEYBOARD_H

#include "bus/device.h"

struct ps2_keyboard; /* begins with struct device */

/* `ready` (may be NULL) is called whenever the output queue may have gone from empty to not. */
struct ps2_keyboard *ps2_keyboard_new(void (*ready)(void *opaque), void *opaque);
void ps2_keyboard_free(struct ps2_keyboard *k);
struct device *ps2_keyboard_device(struct ps2_keyboard *k);

/* What the 8042 does: send a byte, look for and take one. */
void ps2_keyboard_write(struct ps2_keyboard *k, uint8_t val);
bool ps2_keyboard_has_data(const struct ps2_keyboard *k);
uint8_t ps2_keyboard_read(struct ps2_keyboard *k);

/*
 * A key went down or up. `key` is the set-1 make code, plus 0x80 for keys with an E0 prefix
 * (Right Ctrl = 0x9d); Pause is 0xc6, Print Screen 0xb7. A key that stays down is reported by
 * repeated `down`. Keys that do not fit the queue are lost, as on the real one.
 */
void ps2_keyboard_key(struct ps2_keyboard *k, uint8_t key, bool down);
/* Bit 0 Scroll Lock, 1 Num Lock, 2 Caps Lock. */
uint8_t ps2_keyboard_leds(const struct ps2_keyboard *k);

#endif
