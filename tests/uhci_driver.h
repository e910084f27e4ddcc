/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A UHCI driver for unit tests and fuzz targets: a PCI bus and guest memory without a machine, a keyboard at port 1 and
 * a tablet at port 2. Every frame has one queue.
 * Source: UHCI Design Guide 1.1. Include it once.
 */
#ifndef LODGE_TESTS_UHCI_DRIVER_H
#define LODGE_TESTS_UHCI_DRIVER_H

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "devices/usb/uhci.h"
#include "devices/usb/uhci_int.h"
#include "devices/usb/usb_kbd.h"
#include "devices/usb/usb_tablet.h"
#include "fake_time.h"
#include "wire.h"

#define UD_RAM (1u << 20)
#define UD_DEVFN pci_devfn(1, 2)
#define UD_PORT 0xc000u
/* Where things are in memory. */
#define UD_LIST 0x1000u
#define UD_QH 0x2000u
#define UD_TD 0x3000u
#define UD_SETUP 0x8000u
#define UD_DATA 0x9000u
#define UD_MS 1000000u

#define UD_T 1u
#define UD_Q 2u
#define UD_VF 4u
#define UD_ACTIVE (1u << 23)
#define UD_IOC (1u << 24)
#define UD_SPD (1u << 29)
#define UD_TRIES (3u << 27)
#define UD_STALLED (1u << 22)
#define UD_ERRORS (0x7eu << 16)

struct ud {
	struct bus *bus;
	struct pci_bus *pb;
	struct mem *mem;
	struct uhci *u;
	struct usb_hid *k, *t;
	struct wire pirq[4];
};

static inline uint16_t ud_rd(struct ud *d, unsigned off)
{
	return (uint16_t)bus_pio_read(d->bus, (uint16_t)(UD_PORT + off), 2);
}

static inline void ud_wr(struct ud *d, unsigned off, uint16_t val)
{
	bus_pio_write(d->bus, (uint16_t)(UD_PORT + off), val, 2);
}

static inline void ud_put(struct ud *d, gpa_t at, uint32_t word)
{
	uint8_t raw[4];

	st_le32(raw, word);
	if (mem_write(d->mem, at, raw, 4))
		abort();
}

static inline uint32_t ud_get(struct ud *d, gpa_t at)
{
	uint8_t raw[4];

	if (mem_read(d->mem, at, raw, 4))
		abort();
	return ld_le32(raw);
}

static inline void ud_place(struct ud *d)
{
	pci_config_write(d->pb, UD_DEVFN, PCI_BAR0 + 16, UD_PORT, 4);
	pci_config_write(d->pb, UD_DEVFN, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MASTER, 2);
}

static inline void ud_init(struct ud *d)
{
	struct io_loop *loop = fake_begin();
	struct irq_line pirq[4];

	memset(d, 0, sizeof(*d));
	d->bus = bus_new();
	d->pb = pci_bus_new(d->bus);
	d->mem = mem_new(UD_RAM, 0, NULL);
	if (!d->mem || mem_map(d->mem, 0, UD_RAM, MEM_RAM, 0))
		abort();
	for (unsigned i = 0; i < 4; i++)
		pirq[i] = wire_line(&d->pirq[i]);
	pci_bus_set_pirq(d->pb, pirq);
	d->u = uhci_new(d->pb, UD_DEVFN, d->mem, loop, NULL);
	d->k = usb_kbd_new(loop);
	d->t = usb_tablet_new(loop);
	if (!d->u || !d->k || !d->t || uhci_plug(d->u, &d->t->usb, 2) != 2 ||
	    uhci_plug(d->u, &d->k->usb, 0) != 1)
		abort();
	uhci_device(d->u)->cls->reset(uhci_device(d->u));
	ud_place(d);
}

static inline void ud_free(struct ud *d)
{
	uhci_free(d->u);
	usb_kbd_free(d->k);
	usb_tablet_free(d->t);
	pci_bus_free(d->pb);
	bus_free(d->bus);
	mem_free(d->mem);
}

/* An empty queue in every frame, and running. */
static inline void ud_start(struct ud *d)
{
	for (unsigned i = 0; i < 1024; i++)
		ud_put(d, UD_LIST + 4 * i, UD_QH | UD_Q);
	ud_put(d, UD_QH, UD_T);
	ud_put(d, UD_QH + 4, UD_T);
	ud_wr(d, 8, UD_LIST);
	ud_wr(d, 10, 0);
	ud_wr(d, 4, 15);
	ud_wr(d, 0, 0xc1);
}

static inline void ud_ports(struct ud *d)
{
	for (unsigned off = 0x10; off <= 0x12; off += 2) {
		ud_wr(d, off, PORTSC_PR);
		ud_wr(d, off, 0);
		ud_wr(d, off, PORTSC_PED | PORTSC_CSC);
	}
}

static inline gpa_t ud_td(unsigned n)
{
	return UD_TD + 32 * n;
}

/* TD number `n`; the next one follows unless it is the last. */
static inline void ud_make(struct ud *d, unsigned n, bool last, uint32_t ctrl, uint8_t pid, unsigned addr,
			   unsigned ep, unsigned len, uint32_t buffer)
{
	ud_put(d, ud_td(n), last ? UD_T : (uint32_t)ud_td(n + 1) | UD_VF);
	ud_put(d, ud_td(n) + 4, UD_ACTIVE | UD_TRIES | ctrl);
	ud_put(d, ud_td(n) + 8, ((len - 1) & 0x7ff) << 21 | ep << 15 | addr << 8 | pid);
	ud_put(d, ud_td(n) + 12, buffer);
}

static inline uint32_t ud_ctrl(struct ud *d, unsigned n)
{
	return ud_get(d, ud_td(n) + 4);
}

static inline unsigned ud_len(struct ud *d, unsigned n)
{
	return (ud_ctrl(d, n) + 1) & 0x7ff;
}

/* The queue gets TDs from number `n` on. */
static inline void ud_queue(struct ud *d, unsigned n)
{
	ud_put(d, UD_QH + 4, (uint32_t)ud_td(n));
}

/*
 * A control transfer in packets of 8 bytes, in TDs from 0 on: bytes of data, or -1: it stalled. `ms`: how long it may take.
 */
static inline int ud_control(struct ud *d, unsigned addr, uint16_t type_request, uint16_t value, uint16_t index,
			     uint16_t length, unsigned ms)
{
	bool in = type_request & 0x8000;
	uint8_t setup[8] = {(uint8_t)(type_request >> 8), (uint8_t)type_request};
	unsigned n = 0, got = 0;

	st_le16(setup + 2, value);
	st_le16(setup + 4, index);
	st_le16(setup + 6, length);
	if (mem_write(d->mem, UD_SETUP, setup, 8))
		abort();
	ud_make(d, n++, false, 0, USB_PID_SETUP, addr, 0, 8, UD_SETUP);
	for (unsigned at = 0; at < length && n < 100; at += 8)
		ud_make(d, n++, false, 0, in ? USB_PID_IN : USB_PID_OUT, addr, 0,
			length - at < 8 ? length - at : 8, UD_DATA + at);
	ud_make(d, n, true, UD_IOC, in && length ? USB_PID_OUT : USB_PID_IN, addr, 0, 0, 0);
	ud_queue(d, 0);
	fake_advance((uint64_t)ms * UD_MS);
	for (unsigned i = 0; i <= n; i++) {
		if (ud_ctrl(d, i) & (UD_ACTIVE | UD_STALLED))
			return -1;
		got += i && i < n ? ud_len(d, i) : 0;
	}
	return (int)got;
}

/* Addresses 5 and 6, both configured. */
static inline bool ud_enumerate(struct ud *d)
{
	bool ok = true;

	ud_ports(d);
	/* One at a time at address 0. */
	ud_wr(d, 0x12, 0);
	ok &= ud_control(d, 0, 0x0005, 5, 0, 0, 25) == 0;
	ud_wr(d, 0x12, PORTSC_PED);
	ok &= ud_control(d, 0, 0x0005, 6, 0, 0, 25) == 0;
	ok &= ud_control(d, 5, 0x0009, 1, 0, 0, 25) == 0;
	ok &= ud_control(d, 6, 0x0009, 1, 0, 0, 25) == 0;
	return ok;
}

static inline void ud_key(struct ud *d, enum input_key key, bool down)
{
	const struct input_event ev = {.kind = INPUT_KEY, .code = (uint16_t)key, .down = down};

	d->k->sink.event(d->k->sink.opaque, &ev);
	d->k->sink.sync(d->k->sink.opaque);
}

#endif
