/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An xHCI driver for unit tests and fuzz targets: a PCI bus and guest memory without a machine, with one tablet.
 * Source: xHCI 1.1 §4. Include it once.
 */
#ifndef LODGE_TESTS_XHCI_DRIVER_H
#define LODGE_TESTS_XHCI_DRIVER_H

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "devices/usb/usb_tablet.h"
#include "devices/usb/xhci.h"
#include "devices/usb/xhci_int.h"
#include "fake_time.h"
#include "wire.h"

#define XD_RAM (1u << 20)
#define XD_DEVFN pci_devfn(4, 0)
#define XD_BAR 0xe0000000u
/* Where things are in memory. */
#define XD_DCBAA 0x1000u
#define XD_CMD 0x2000u
#define XD_ERST 0x3000u
#define XD_EVENTS 0x4000u
#define XD_EVENT_TRBS 64u
#define XD_INPUT 0x5000u
#define XD_OUTPUT 0x6000u
#define XD_EP0 0x7000u
#define XD_EP1 0x8000u
#define XD_DATA 0x9000u

struct xd {
	struct bus *bus;
	struct pci_bus *pb;
	struct mem *mem;
	struct xhci *x;
	struct usb_hid *t;
	struct wire pirq[4];
	unsigned cmd, ep0, ep1, event; /* next TRBs */
	uint8_t event_cycle;
};

static inline uint32_t xd_rd(struct xd *d, unsigned off)
{
	return (uint32_t)bus_mmio_read(d->bus, XD_BAR + off, 4);
}

static inline void xd_wr(struct xd *d, unsigned off, uint32_t val)
{
	bus_mmio_write(d->bus, XD_BAR + off, val, 4);
}

static inline void xd_put(struct xd *d, gpa_t at, const void *p, size_t len)
{
	if (mem_write(d->mem, at, p, len))
		abort();
}

static inline void xd_place(struct xd *d)
{
	pci_config_write(d->pb, XD_DEVFN, PCI_BAR0, XD_BAR, 4);
	pci_config_write(d->pb, XD_DEVFN, PCI_COMMAND, PCI_COMMAND_MEM | PCI_COMMAND_MASTER, 2);
}

static inline void xd_init(struct xd *d)
{
	struct irq_line pirq[4];

	memset(d, 0, sizeof(*d));
	d->bus = bus_new();
	d->pb = pci_bus_new(d->bus);
	d->mem = mem_new(XD_RAM, 0, NULL);
	if (!d->mem || mem_map(d->mem, 0, XD_RAM, MEM_RAM, 0))
		abort();
	for (unsigned i = 0; i < 4; i++)
		pirq[i] = wire_line(&d->pirq[i]);
	pci_bus_set_pirq(d->pb, pirq);
	d->x = xhci_new(d->pb, XD_DEVFN, d->mem, NULL);
	d->t = usb_tablet_new(fake_begin());
	if (!d->x || !d->t || xhci_plug(d->x, &d->t->usb, 0) != 1)
		abort();
	xhci_device(d->x)->cls->reset(xhci_device(d->x));
	xd_place(d);
}

static inline void xd_free(struct xd *d)
{
	xhci_free(d->x);
	usb_tablet_free(d->t);
	pci_bus_free(d->pb);
	bus_free(d->bus);
	mem_free(d->mem);
}

static inline void xd_trb(struct xd *d, gpa_t at, uint64_t param, uint32_t status, uint32_t control)
{
	uint8_t raw[16];

	st_le64(raw, param);
	st_le32(raw + 8, status);
	st_le32(raw + 12, control);
	xd_put(d, at, raw, sizeof(raw));
}

/* Running, with rings. */
static inline void xd_start(struct xd *d)
{
	uint8_t erst[16] = {0};

	st_le64(erst, XD_EVENTS);
	st_le32(erst + 8, XD_EVENT_TRBS);
	xd_put(d, XD_ERST, erst, sizeof(erst));
	d->cmd = d->ep0 = d->ep1 = d->event = 0;
	d->event_cycle = 1;
	xd_wr(d, 0x40 + 0x38, XHCI_SLOTS);
	xd_wr(d, 0x40 + 0x30, XD_DCBAA);
	xd_wr(d, 0x40 + 0x34, 0);
	xd_wr(d, 0x40 + 0x18, XD_CMD | 1);
	xd_wr(d, 0x40 + 0x1c, 0);
	xd_wr(d, 0x1028, 1);
	xd_wr(d, 0x1038, XD_EVENTS);
	xd_wr(d, 0x103c, 0);
	xd_wr(d, 0x1030, XD_ERST);
	xd_wr(d, 0x1034, 0);
	xd_wr(d, 0x1020, 2);
	xd_wr(d, 0x40, 5); /* run, interrupts */
}

/* The next event; false: there is none. */
static inline bool xd_event(struct xd *d, struct xhci_trb *t)
{
	uint8_t raw[16];
	gpa_t at = XD_EVENTS + 16 * d->event;

	if (mem_read(d->mem, at, raw, sizeof(raw)))
		abort();
	*t = (struct xhci_trb){ld_le64(raw), ld_le32(raw + 8), ld_le32(raw + 12), at};
	if ((t->control & 1) != d->event_cycle)
		return false;
	if (++d->event == XD_EVENT_TRBS) {
		d->event = 0;
		d->event_cycle ^= 1;
	}
	xd_wr(d, 0x1038, (XD_EVENTS + 16 * d->event) | 8);
	xd_wr(d, 0x1020, 3);
	return true;
}

/* A command, and its completion code; 0: no event. */
static inline unsigned xd_command(struct xd *d, uint64_t param, uint32_t control)
{
	struct xhci_trb t;

	xd_trb(d, XD_CMD + 16 * d->cmd++, param, 0, control | 1);
	xd_wr(d, 0x2000, 0);
	while (xd_event(d, &t)) {
		if (TRB_TYPE(&t) == EVENT_COMMAND)
			return t.status >> 24;
	}
	return 0;
}

static inline void xd_ctx(struct xd *d, gpa_t at, uint32_t a, uint32_t b, uint64_t c)
{
	uint8_t raw[32] = {0};

	st_le32(raw, a);
	st_le32(raw + 4, b);
	st_le64(raw + 8, c);
	xd_put(d, at, raw, sizeof(raw));
}

/* Port 1 reset, slot 1 addressed with endpoint 0. The last command's code. */
static inline unsigned xd_address(struct xd *d)
{
	uint8_t where[8];
	unsigned code;

	xd_wr(d, 0x440, 0x210);
	xd_wr(d, 0x440, 0x200 | 0x7f << 17);
	code = xd_command(d, 0, CMD_ENABLE_SLOT << 10);
	if (code != CC_SUCCESS)
		return code;
	st_le64(where, XD_OUTPUT);
	xd_put(d, XD_DCBAA + 8, where, sizeof(where));
	xd_ctx(d, XD_INPUT, 0, 3, 0);
	xd_ctx(d, XD_INPUT + 32, 1u << 27 | 3u << 20, 1u << 16, 0);
	xd_ctx(d, XD_INPUT + 64, 0, 64u << 16 | EP_TYPE_CONTROL << 3 | 3 << 1, XD_EP0 | 1);
	return xd_command(d, XD_INPUT, CMD_ADDRESS << 10 | 1u << 24);
}

/* A control transfer on endpoint 0: the code of its last event, and its length of data. */
static inline unsigned xd_control(struct xd *d, uint16_t type_request, uint16_t value, uint16_t index,
				  uint16_t length, uint32_t *got)
{
	uint8_t setup[8] = {(uint8_t)(type_request >> 8), (uint8_t)type_request};
	bool in = type_request & 0x8000;
	struct xhci_trb t;
	unsigned code = 0;

	st_le16(setup + 2, value);
	st_le16(setup + 4, index);
	st_le16(setup + 6, length);
	xd_trb(d, XD_EP0 + 16 * d->ep0++, ld_le64(setup), 8, TRB_SETUP << 10 | TRB_IDT | 1);
	*got = length;
	if (length)
		xd_trb(d, XD_EP0 + 16 * d->ep0++, XD_DATA, length,
		       TRB_DATA << 10 | (in ? TRB_DIR_IN : 0) | TRB_ISP | 1);
	xd_trb(d, XD_EP0 + 16 * d->ep0++, 0, 0, TRB_STATUS << 10 | TRB_IOC | 1);
	xd_wr(d, 0x2004, 1);
	while (xd_event(d, &t)) {
		if (TRB_TYPE(&t) != EVENT_TRANSFER)
			continue;
		code = t.status >> 24;
		if (code == CC_SHORT)
			*got = length - (t.status & 0xffffff);
	}
	return code;
}

/* Configured, with the interrupt endpoint. */
static inline unsigned xd_configure(struct xd *d)
{
	uint32_t got;

	xd_ctx(d, XD_INPUT, 0, 1 | 1 << 3, 0);
	xd_ctx(d, XD_INPUT + 32, 3u << 27 | 3u << 20, 1u << 16, 0);
	xd_ctx(d, XD_INPUT + 32 * 4, 3 << 16, 8u << 16 | EP_TYPE_INT_IN << 3 | 3 << 1, XD_EP1 | 1);
	if (xd_command(d, XD_INPUT, CMD_CONFIGURE << 10 | 1u << 24) != CC_SUCCESS)
		return 0;
	return xd_control(d, 0x0009, 1, 0, 0, &got);
}

/* A buffer of `len` bytes for the endpoint. */
static inline void xd_queue(struct xd *d, uint32_t len)
{
	xd_trb(d, XD_EP1 + 16 * d->ep1++, XD_DATA, len, TRB_NORMAL << 10 | TRB_IOC | TRB_ISP | 1);
	xd_wr(d, 0x2004, 3);
}

static inline void xd_point(struct xd *d, int x, int y, int button, bool down)
{
	struct input_sink *s = &d->t->sink;
	const struct input_event ev[3] = {
		{.kind = INPUT_ABS, .code = INPUT_X, .value = x},
		{.kind = INPUT_ABS, .code = INPUT_Y, .value = y},
		{.kind = INPUT_BUTTON, .code = (uint16_t)button, .down = down},
	};

	for (unsigned i = 0; i < 3; i++)
		s->event(s->opaque, &ev[i]);
	s->sync(s->opaque);
}

#endif
