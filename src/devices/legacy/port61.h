/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Port 0x61: NMI status and control, speaker gate, refresh toggle.
 * Source: 82371SB (PIIX3) data sheet (290550) §2.5.4 NMISC.
 * Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_LEGACY_PORT61_H
#define LODGE_DEVICES_LEGACY_PORT61_H

#include "bus/bus.h"
#include "bus/device.h"
#include "devices/legacy/i8254.h"

struct port61; /* begins with struct device */

/* `pit` is borrowed. `nmi` follows SERR# or IOCHK# when they are enabled here (may be empty). */
struct port61 *port61_new(struct i8254 *pit, struct irq_line nmi);
void port61_free(struct port61 *p);
struct device *port61_device(struct port61 *p);
/* One port (0x61). 0 or -ENOMEM. */
int port61_map(struct port61 *p, struct bus *bus, uint16_t port) MUST_CHECK;

/* Bits 0 and 1 as the guest wrote them: for a port that works elsewhere, with the 8254 in the host's kernel. */
uint8_t port61_speaker(const struct port61 *p);
void port61_set_speaker(struct port61 *p, uint8_t bits);

/* Latch a system error (SERR#) or an I/O channel check, until the guest clears it. */
void port61_raise_serr(struct port61 *p);
void port61_raise_iochk(struct port61 *p);

#endif
