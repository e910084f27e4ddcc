/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 16550A UART.
 * Source: National Semiconductor PC16550D data sheet (June 1995).
 * Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_LEGACY_UART16550_H
#define LODGE_DEVICES_LEGACY_UART16550_H

#include "bus/bus.h"
#include "bus/device.h"
#include "chardev/chardev.h"
#include "io/loop.h"

struct uart16550; /* begins with struct device */

/* `chr` is borrowed and may be NULL (nothing is plugged in). NULL when out of memory. */
struct uart16550 *uart16550_new(struct io_loop *loop, struct irq_line irq, struct chardev *chr);
void uart16550_free(struct uart16550 *u);
struct device *uart16550_device(struct uart16550 *u);
/* Ports base..base+7 (COM1 0x3f8, IRQ 4; COM2 0x2f8, IRQ 3). 0 or -ENOMEM. */
int uart16550_map(struct uart16550 *u, struct bus *bus, uint16_t base) MUST_CHECK;

#endif
