/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Port 0x92: fast A20 gate and fast reset.
 * Source: 82371SB (PIIX3) data sheet (290550) §2.5.6 (port 92); IBM PS/2 system control port A.
 * Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_LEGACY_PORT92_H
#define LODGE_DEVICES_LEGACY_PORT92_H

#include "bus/bus.h"
#include "bus/device.h"

struct port92; /* begins with struct device */

/*
 * `a20` is told each write's FAST_A20 bit (the last writer of this port and the 8042 wins, as
 * software written for either expects); `reset` is pulsed when bit 0 goes from 0 to 1.
 */
struct port92 *port92_new(struct irq_line a20, struct irq_line reset);
void port92_free(struct port92 *p);
struct device *port92_device(struct port92 *p);
/* One port (0x92). 0 or -ENOMEM. */
int port92_map(struct port92 *p, struct bus *bus, uint16_t port) MUST_CHECK;

#endif
