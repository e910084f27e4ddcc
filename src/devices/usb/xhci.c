// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * xHCI: registers, ports, life.
 * Source: xHCI 1.1 §5 (registers), §4.19 (ports), §7 (extended capabilities). Table: docs/devices/xhci.md.
 * Saved state: version 2. Threads: with the VM lock held.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/range.h"
#include "devices/usb/xhci_int.h"

#define BAR_BYTES 0x4000u
#define CAP_BYTES 0x40u
#define OPER 0x40u
#define PORTS_AT 0x440u
#define RUNTIME 0x1000u
#define IR0 (RUNTIME + 0x20)
#define DOORBELLS 0x2000u
#define EXT_USB2 0x20u
#define EXT_USB3 0x30u
#define MSIX_BAR 1u

#define USBCMD_RS 1u
#define USBCMD_HCRST 2u
#define USBCMD_INTE 4u
#define USBCMD_HSEE 8u
#define USBCMD_KEPT (USBCMD_RS | USBCMD_INTE | USBCMD_HSEE | 0x400u)
#define USBSTS_HCH 1u
#define USBSTS_EINT 8u
#define USBSTS_PCD 0x10u
#define USBSTS_W1C 0x41cu

#define PORTSC_CCS 1u
#define PORTSC_PED 2u
#define PORTSC_PR 0x10u
#define PORTSC_PLS (15u << 5)
#define PORTSC_PP 0x200u
#define PORTSC_SPEED (15u << 10)
#define PORTSC_LWS (1u << 16)
#define PORTSC_CSC (1u << 17)
#define PORTSC_PRC (1u << 21)
#define PORTSC_PLC (1u << 22)
#define PORTSC_CHANGES (0x7fu << 17)
#define PORTSC_WAKE (7u << 25)
#define PLS_U0 0u
#define PLS_U3 3u
#define PLS_RX_DETECT 5u
#define PLS_POLLING 7u
#define PLS_RESUME 15u

#define CRCR_CS 2u
#define CRCR_CA 4u
#define CRCR_CRR 8u

static void kick(struct xhci *x);

bool xhci_running(const struct xhci *x)
{
	return !(x->sts & USBSTS_HCH);
}

/* ---- Ports -------------------------------------------------------------------------------------- */

static struct usb_device *device_at(const struct xhci *x, unsigned port)
{
	return port < XHCI_USB2_PORTS ? x->at[port] : NULL;
}

static void set_link(struct xhci *x, unsigned port, unsigned state)
{
	x->portsc[port] = (x->portsc[port] & ~PORTSC_PLS) | state << 5;
}

struct usb_device *xhci_device_at(const struct xhci *x, unsigned port, uint32_t route)
{
	struct usb_device *d = NULL;

	if (port >= 1 && port <= XHCI_USB2_PORTS && x->portsc[port - 1] & PORTSC_PED &&
	    !(x->portsc[port - 1] & PORTSC_PLS))
		d = x->at[port - 1];
	for (; d && route; route >>= 4)
		d = d->ops->child ? d->ops->child(d, route & 15) : NULL;
	return d;
}

/* Something happened at a port: the guest hears once until it has taken that back. */
static void port_changed(struct xhci *x, unsigned port, uint32_t what)
{
	if (x->portsc[port] & what)
		return;
	x->portsc[port] |= what;
	x->sts |= USBSTS_PCD;
	if (xhci_running(x))
		xhci_event(x, (uint64_t)(port + 1) << 24, CC_SUCCESS << 24, EVENT_PORT << 10);
}

/* Power on: what is there is seen. */
static void port_power(struct xhci *x, unsigned port)
{
	const struct usb_device *d = device_at(x, port);

	x->portsc[port] = PORTSC_PP;
	if (d)
		x->portsc[port] |= PORTSC_CCS | PORTSC_CSC | (uint32_t)d->speed << 10;
	set_link(x, port, d ? PLS_POLLING : PLS_RX_DETECT);
}

static void port_reset(struct xhci *x, unsigned port)
{
	struct usb_device *d = device_at(x, port);

	if (!d)
		return;
	d->ops->reset(d);
	set_link(x, port, PLS_U0);
	x->portsc[port] |= PORTSC_PED;
	port_changed(x, port, PORTSC_PRC);
}

static void port_link(struct xhci *x, unsigned port, unsigned state)
{
	unsigned now = (x->portsc[port] & PORTSC_PLS) >> 5;

	if (!(x->portsc[port] & PORTSC_PED))
		return;
	if (state == PLS_U0 && (now == PLS_U3 || now == PLS_RESUME)) {
		set_link(x, port, PLS_U0);
		port_changed(x, port, PORTSC_PLC);
		kick(x); /* what waited for that */
	} else if (state == PLS_U3 || (state == PLS_RESUME && now == PLS_U3)) {
		set_link(x, port, state);
	}
}

static void write_portsc(struct xhci *x, unsigned port, uint32_t val)
{
	x->portsc[port] &= ~(val & PORTSC_CHANGES);
	x->portsc[port] = (x->portsc[port] & ~PORTSC_WAKE) | (val & PORTSC_WAKE);
	if (val & PORTSC_PED) /* written as one: off */
		x->portsc[port] &= ~PORTSC_PED;
	if (!(val & PORTSC_PP)) {
		x->portsc[port] = 0;
		set_link(x, port, 4); /* disabled */
		return;
	}
	if (!(x->portsc[port] & PORTSC_PP))
		port_power(x, port);
	if (val & PORTSC_PR || val >> 31)
		port_reset(x, port);
	else if (val & PORTSC_LWS)
		port_link(x, port, (val & PORTSC_PLS) >> 5);
}

/* ---- Reading ------------------------------------------------------------------------------------ */

static uint32_t read_cap(unsigned off)
{
	static const uint32_t cap[CAP_BYTES / 4] = {
		[0] = 0x0100u << 16 | OPER,		       /* HCIVERSION, CAPLENGTH */
		[1] = XHCI_PORTS << 24 | 1u << 8 | XHCI_SLOTS, /* HCSPARAMS1 */
		[2] = 0x0000000f,			       /* HCSPARAMS2: IST, one segment */
		[3] = 0,				       /* HCSPARAMS3 */
		[4] = (EXT_USB2 / 4) << 16 | 1, /* HCCPARAMS1: where more is, 64 bits */
		[5] = DOORBELLS,		/* DBOFF */
		[6] = RUNTIME,			/* RTSOFF */
		/* Supported Protocol: 2.0 at ports 1 to 4, 3.0 at 5 to 8 */
		[EXT_USB2 / 4] = 0x02000000u | (EXT_USB3 - EXT_USB2) / 4 << 8 | 2,
		[EXT_USB2 / 4 + 1] = 0x20425355, /* "USB " */
		[EXT_USB2 / 4 + 2] = XHCI_USB2_PORTS << 8 | 1,
		[EXT_USB3 / 4] = 0x03000000u | 2,
		[EXT_USB3 / 4 + 1] = 0x20425355,
		[EXT_USB3 / 4 + 2] = XHCI_USB2_PORTS << 8 | (XHCI_USB2_PORTS + 1),
	};

	return cap[off / 4];
}

static uint32_t read_oper(const struct xhci *x, unsigned off)
{
	switch (off) {
	case 0x00:
		return x->cmd;
	case 0x04:
		return x->sts;
	case 0x08:
		return 1; /* pages of 4 KiB */
	case 0x14:
		return x->dnctrl;
	case 0x18:
		return x->cr_running ? CRCR_CRR : 0;
	case 0x30:
		return (uint32_t)x->dcbaap;
	case 0x34:
		return (uint32_t)(x->dcbaap >> 32);
	case 0x38:
		return x->config;
	default:
		return 0;
	}
}

static uint32_t read_runtime(const struct xhci *x, unsigned off)
{
	switch (off) {
	case 0x00: /* MFINDEX: eighths of a ms */
		return (uint32_t)(clock_vm_ns() / 125000 & 0x3fff);
	case 0x20:
		return x->iman;
	case 0x24:
		return x->imod;
	case 0x28:
		return x->erstsz;
	case 0x30:
		return (uint32_t)x->erstba;
	case 0x34:
		return (uint32_t)(x->erstba >> 32);
	case 0x38:
		return (uint32_t)x->erdp;
	case 0x3c:
		return (uint32_t)(x->erdp >> 32);
	default:
		return 0;
	}
}

static uint32_t read_reg(const struct xhci *x, unsigned off)
{
	if (off < CAP_BYTES)
		return read_cap(off);
	if (off >= PORTS_AT && off < PORTS_AT + 16 * XHCI_PORTS)
		return off % 16 ? 0 : x->portsc[(off - PORTS_AT) / 16];
	if (off < PORTS_AT)
		return read_oper(x, off - OPER);
	if (off >= RUNTIME && off < DOORBELLS)
		return read_runtime(x, off - RUNTIME);
	return 0;
}

static uint64_t bar_read(void *dev, uint64_t off, unsigned size)
{
	uint32_t val = read_reg(dev, (unsigned)off & ~3u) >> (off & 3) * 8;

	return size == 4 ? val : val & ((1u << size * 8) - 1);
}

/* ---- Writing ------------------------------------------------------------------------------------ */

static void controller_reset(struct xhci *x)
{
	for (unsigned slot = 1; slot <= XHCI_SLOTS; slot++)
		xhci_slot_off(x, slot);
	x->cmd = x->dnctrl = x->config = 0;
	x->sts = USBSTS_HCH;
	x->dcbaap = x->cr_at = x->erstba = x->erdp = 0;
	x->cr_cycle = x->cr_running = 0;
	x->iman = x->erstsz = 0;
	x->imod = 4000;
	xhci_event_ring_reset(x);
	for (unsigned port = 0; port < XHCI_PORTS; port++) {
		struct usb_device *d = device_at(x, port);

		if (d)
			d->ops->reset(d);
		port_power(x, port);
	}
	xhci_update_irq(x);
}

/* Whatever can go on now. */
static void kick(struct xhci *x)
{
	xhci_commands(x);
	for (unsigned slot = 1; slot <= XHCI_SLOTS; slot++) {
		if (!x->slot[slot - 1].on)
			continue;
		for (unsigned dci = 1; dci <= XHCI_EPS; dci++)
			xhci_transfer(x, slot, dci);
	}
}

static void write_cmd(struct xhci *x, uint32_t val)
{
	if (val & USBCMD_HCRST) {
		controller_reset(x);
		return;
	}
	x->cmd = val & USBCMD_KEPT;
	if (val & USBCMD_RS) {
		x->sts &= ~USBSTS_HCH;
	} else {
		x->sts |= USBSTS_HCH;
		x->cr_running = 0;
	}
	xhci_update_irq(x);
}

static void write_crcr(struct xhci *x, unsigned off, uint32_t val)
{
	if (off == 0x1c) {
		if (!x->cr_running)
			x->cr_at = (x->cr_at & UINT32_MAX) | (uint64_t)val << 32;
		return;
	}
	if (x->cr_running && val & (CRCR_CS | CRCR_CA)) {
		/* Commands are done at once: there is none to be aborted. Code 24: ring stopped. */
		x->cr_running = 0;
		xhci_event(x, x->cr_at, 24u << 24, EVENT_COMMAND << 10);
		return;
	}
	if (x->cr_running)
		return;
	x->cr_at = (x->cr_at & ~(uint64_t)UINT32_MAX) | (val & ~63u);
	x->cr_cycle = val & 1;
}

static void set_half(uint64_t *reg, unsigned off, uint32_t val, uint32_t mask)
{
	if (off & 4)
		*reg = (*reg & UINT32_MAX) | (uint64_t)val << 32;
	else
		*reg = (*reg & ~(uint64_t)UINT32_MAX) | (val & mask);
}

static void write_oper(struct xhci *x, unsigned off, uint32_t val)
{
	switch (off) {
	case 0x00:
		write_cmd(x, val);
		break;
	case 0x04:
		x->sts &= ~(val & USBSTS_W1C);
		break;
	case 0x14:
		x->dnctrl = val & 0xffff;
		break;
	case 0x18:
	case 0x1c:
		write_crcr(x, off, val);
		break;
	case 0x30:
	case 0x34:
		set_half(&x->dcbaap, off, val, ~63u);
		break;
	case 0x38:
		x->config = val & 0xff;
		break;
	default:
		break;
	}
}

static void write_runtime(struct xhci *x, unsigned off, uint32_t val)
{
	switch (off) {
	case 0x20:
		x->iman = (x->iman & ~(val & 1) & 1) | (val & 2);
		xhci_update_irq(x);
		break;
	case 0x24:
		x->imod = val;
		break;
	case 0x28:
		x->erstsz = val & 0xffff;
		break;
	case 0x30:
	case 0x34:
		set_half(&x->erstba, off, val, ~63u);
		if (off & 4) /* the ring begins anew */
			xhci_event_ring_reset(x);
		break;
	case 0x38: {
		uint32_t busy = (uint32_t)x->erdp & 8 & ~val; /* written as one: off */

		set_half(&x->erdp, off, val, ~8u);
		x->erdp |= busy;
		kick(x); /* there is room again */
		break;
	}
	case 0x3c:
		set_half(&x->erdp, off, val, 0);
		break;
	default:
		break;
	}
}

static void doorbell(struct xhci *x, unsigned n, uint32_t val)
{
	unsigned dci = val & 0xff;

	if (!xhci_running(x))
		return;
	if (n == 0 && dci == 0) {
		x->cr_running = 1;
		xhci_commands(x);
	} else if (n >= 1 && n <= XHCI_SLOTS && dci >= 1 && dci <= XHCI_EPS) {
		struct xhci_ep *ep = xhci_ep(x, n, dci);

		if (x->slot[n - 1].on && ep->state == EP_STOPPED) {
			ep->state = EP_RUNNING;
			xhci_put_ep(x, n, dci);
		}
		xhci_transfer(x, n, dci);
	}
}

static void bar_write(void *dev, uint64_t off, uint64_t val64, unsigned size)
{
	struct xhci *x = dev;
	uint32_t val = (uint32_t)val64;

	if (size != 4 || off & 3)
		return;
	if (off >= DOORBELLS)
		doorbell(x, (unsigned)(off - DOORBELLS) / 4, val);
	else if (off >= RUNTIME)
		write_runtime(x, (unsigned)(off - RUNTIME), val);
	else if (off >= PORTS_AT && off < PORTS_AT + 16 * XHCI_PORTS && !(off % 16))
		write_portsc(x, (unsigned)(off - PORTS_AT) / 16, val);
	else if (off >= OPER && off < PORTS_AT)
		write_oper(x, (unsigned)(off - OPER), val);
}

static const struct bus_ops bar_ops = {bar_read, bar_write, 1, 4};

/* ---- Devices ------------------------------------------------------------------------------------ */

/* A device has data: it wakes its port if that sleeps and it may, and IN endpoints look. */
static void on_ready(void *opaque, struct usb_device *d)
{
	struct xhci *x = opaque;

	for (unsigned port = 0; port < XHCI_USB2_PORTS; port++) {
		if (x->at[port] == d && d->remote_wakeup &&
		    (x->portsc[port] & PORTSC_PLS) == PLS_U3 << 5) {
			set_link(x, port, PLS_RESUME);
			port_changed(x, port, PORTSC_PLC);
		}
	}
	for (unsigned slot = 1; slot <= XHCI_SLOTS; slot++) {
		for (unsigned dci = 3; x->slot[slot - 1].on && dci <= XHCI_EPS; dci += 2)
			xhci_transfer(x, slot, dci);
	}
}

int xhci_plug(struct xhci *x, struct usb_device *d, unsigned port)
{
	if (port > XHCI_USB2_PORTS)
		return -EINVAL;
	if (port && x->at[port - 1])
		return -EBUSY;
	for (unsigned i = 1; !port && i <= XHCI_USB2_PORTS; i++) {
		if (!x->at[i - 1])
			port = i;
	}
	if (!port)
		return -ENOSPC;
	d->speed = USB_HIGH;
	d->ready = on_ready;
	d->opaque = x;
	x->at[port - 1] = d;
	port_power(x, port - 1);
	return (int)port;
}

/* ---- Reset and saved state ----------------------------------------------------------------------- */

static void xhci_reset(struct device *dev)
{
	struct xhci *x = (struct xhci *)dev;

	pci_dev_reset(&x->pci);
	msix_reset(&x->msix);
	controller_reset(x);
}

static int xhci_post_load(struct device *dev)
{
	struct xhci *x = (struct xhci *)dev;
	int r = pci_dev_loaded(&x->pci);

	if (!r)
		r = msix_loaded(&x->msix);
	if (r)
		return r;
	if (x->erstsz > 0xffff || x->er_segment > 0xffff || x->er_index > 0xffff ||
	    x->er_cycle > 1 || x->cr_cycle > 1 || x->cr_running > 1 || x->config > 0xff)
		return -EINVAL;
	for (unsigned i = 0; i < XHCI_SLOTS; i++) {
		const struct xhci_slot *s = &x->slot[i];

		if (s->on > 1 || s->state > SLOT_CONFIGURED || s->port > XHCI_USB2_PORTS ||
		    s->route > 0xfffff)
			return -EINVAL;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(x->ep); i++) {
		const struct xhci_ep *ep = &x->ep[i];

		if (ep->state > EP_STOPPED || ep->type > 7 || ep->cycle > 1 || ep->has_setup > 1 ||
		    ep->done > 1 || ep->data_len > USB_CONTROL_MAX || ep->data_at > ep->data_len)
			return -EINVAL;
	}
	xhci_update_irq(x);
	return 0;
}

static const struct state_field xhci_fields[] = {
	PCI_STATE_FIELDS(struct xhci, pci),
	MSIX_STATE_FIELDS(struct xhci, msix),
	STATE_FIELD(struct xhci, cmd),
	STATE_FIELD(struct xhci, sts),
	STATE_FIELD(struct xhci, dnctrl),
	STATE_FIELD(struct xhci, config),
	STATE_FIELD(struct xhci, dcbaap),
	STATE_FIELD(struct xhci, cr_at),
	STATE_FIELD(struct xhci, cr_cycle),
	STATE_FIELD(struct xhci, cr_running),
	STATE_ARRAY(struct xhci, portsc),
	STATE_FIELD(struct xhci, iman),
	STATE_FIELD(struct xhci, imod),
	STATE_FIELD(struct xhci, erstsz),
	STATE_FIELD(struct xhci, erstba),
	STATE_FIELD(struct xhci, erdp),
	STATE_FIELD(struct xhci, er_segment),
	STATE_FIELD(struct xhci, er_index),
	STATE_FIELD(struct xhci, er_cycle),
	STATE_EACH(struct xhci, slot, on),
	STATE_EACH(struct xhci, slot, state),
	STATE_EACH(struct xhci, slot, port),
	STATE_EACH(struct xhci, ep, state),
	STATE_EACH(struct xhci, ep, type),
	STATE_EACH(struct xhci, ep, cycle),
	STATE_EACH(struct xhci, ep, dequeue),
	STATE_EACH(struct xhci, ep, has_setup),
	STATE_EACH(struct xhci, ep, done),
	STATE_EACH_BUFFER(struct xhci, ep, setup),
	STATE_EACH(struct xhci, ep, data_len),
	STATE_EACH(struct xhci, ep, data_at),
	STATE_BUFFER(struct xhci, data),
	{.name = "slot.route",
	 .offset = offsetof(struct xhci, slot[0].route),
	 .elem_size = sizeof(uint32_t),
	 .kind = STATE_UINT,
	 .count = XHCI_SLOTS,
	 .stride = sizeof(struct xhci_slot),
	 .since = 2},
	STATE_END,
};

static const struct device_class xhci_class = {
	.name = "qemu-xhci",
	.version = 2,
	.reset = xhci_reset,
	.fields = xhci_fields,
	.post_load = xhci_post_load,
};

static void config_written(struct pci_dev *pd, unsigned off, unsigned size)
{
	struct xhci *x = (struct xhci *)pd;

	msix_config_written(&x->msix, off, size);
	xhci_update_irq(x);
}

static const struct pci_dev_ops pci_ops = {.config_written = config_written};

/* ---- Life --------------------------------------------------------------------------------------- */

static const struct pci_ident ident = {
	.vendor = 0x1b36,
	.device = 0x000d,
	.class_code = 0x0c03,
	.prog_if = 0x30,
	.revision = 1,
	.subsys_vendor = 0x1af4,
	.subsys = 0x1100,
	.int_pin = 1,
};

static const struct reg_desc pci_regs[] = {
	{.off = 0x60, .size = 1, .reset = 0x30}, /* SBRN: USB 3.0 */
};

struct xhci *xhci_new(struct pci_bus *pb, uint8_t devfn, struct mem *mem, struct lodge_err *err)
{
	struct xhci *x = calloc(1, sizeof(*x));

	if (!x) {
		err_set(err, -ENOMEM, "no memory for a USB controller: free some and retry");
		return NULL;
	}
	if (pci_dev_init(&x->pci, pb, devfn, &ident, &xhci_class, &pci_ops, err)) {
		free(x);
		return NULL;
	}
	x->mem = mem;
	if (pci_dev_add_bar(&x->pci, 0, PCI_BAR_MEM32, false, BAR_BYTES, &bar_ops, x, "xhci")) {
		err_set(err, -ENOMEM, "no memory for a USB controller: free some and retry");
		xhci_free(x);
		return NULL;
	}
	if (msix_init(&x->msix, &x->pci, MSIX_BAR, 1, err)) {
		xhci_free(x);
		return NULL;
	}
	/* Behind the capabilities, which end below. */
	pci_dev_add_regs(&x->pci, pci_regs, ARRAY_SIZE(pci_regs));
	xhci_reset(&x->pci.dev);
	return x;
}

void xhci_free(struct xhci *x)
{
	if (!x)
		return;
	pci_dev_remove(&x->pci);
	free(x);
}

struct device *xhci_device(struct xhci *x)
{
	return &x->pci.dev;
}
