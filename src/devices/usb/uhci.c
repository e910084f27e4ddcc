// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * UHCI: registers, ports, when frames are carried out, life.
 * Source: UHCI Design Guide 1.1 §2 (registers), §4 (interrupts), §5.2 (legacy support). Table: docs/devices/uhci.md.
 * Saved state: version 1. Threads: with the VM lock held; frames on the thread the timer fires on, or the vCPU's that looks at a register.
 *
 * A frame is a millisecond. Frames that are due are carried out when the timer fires, and before a register is looked
 * at, so FRNUM is always right. While things happen the timer fires each frame. When nothing has for UHCI_QUIET
 * frames, it fires every UHCI_REST frames, and a device with data, or the guest's hand on a register, ends the rest. What
 * the guest queues in memory meanwhile waits that long at most (docs/adr/0025).
 */
#include "devices/usb/uhci.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/range.h"
#include "devices/usb/uhci_int.h"

#define PORTS_BYTES 32u
#define USBCMD 0x00u
#define USBSTS 0x02u
#define USBINTR 0x04u
#define FRNUM 0x06u
#define FRBASEADD 0x08u
#define SOFMOD 0x0cu
#define PORTSC1 0x10u

#define USBCMD_BITS 0xffu
#define USBSTS_W1C 0x1fu
#define SOFMOD_RESET 0x40u
#define LEGSUP 0xc0u
#define LEGSUP_PIRQDEN 0x2000u
#define LEGSUP_IRQS 0x1000u

#define PORTSC_W1C (PORTSC_CSC | PORTSC_PEDC)
#define PORTSC_WRITE (PORTSC_PED | PORTSC_RD | PORTSC_PR | PORTSC_SUSPEND)

/* Entries of the frame list that a look at the schedule has found to come to nothing. */
#define KNOWN 16u

/* ---- Interrupt ---------------------------------------------------------------------------------- */

void uhci_update_irq(struct uhci *u)
{
	uint16_t legsup = reg_get16(&u->pci.cfg, LEGSUP);
	bool on = (u->sts & (USBSTS_HSE | USBSTS_HCPE)) ||
		  (u->why & UHCI_WHY_IOC && u->intr & USBINTR_IOC) ||
		  (u->why & UHCI_WHY_SPD && u->intr & USBINTR_SPD) ||
		  (u->sts & USBSTS_ERROR && u->intr & USBINTR_CRC) ||
		  (u->sts & USBSTS_RD && u->intr & USBINTR_RESUME);

	legsup = (uint16_t)(on ? legsup | LEGSUP_IRQS : legsup & ~LEGSUP_IRQS);
	reg_set16(&u->pci.cfg, LEGSUP, legsup);
	pci_irq_set(&u->pci, on && legsup & LEGSUP_PIRQDEN);
}

void uhci_halt(struct uhci *u, uint16_t why)
{
	u->cmd &= (uint16_t)~USBCMD_RS;
	u->sts |= (uint16_t)(USBSTS_HCH | why);
}

/* ---- Frames ------------------------------------------------------------------------------------- */

static void arm(struct uhci *u)
{
	uint64_t at = u->next_ns;

	if (!uhci_running(u)) {
		io_timer_cancel(&u->timer);
		return;
	}
	if (u->quiet >= UHCI_QUIET)
		at += (UHCI_REST - 1) * UHCI_FRAME_NS;
	io_timer_arm(&u->timer, at);
}

/* One frame; entries of the list that are in `known` come to nothing. */
static void one_frame(struct uhci *u, uint32_t known[KNOWN], unsigned *n)
{
	uint32_t entry;

	u->quiet++;
	if (!pci_is_master(&u->pci) || !uhci_entry(u, &entry))
		return;
	for (unsigned i = 0; i < *n; i++) {
		if (known[i] == entry)
			return;
	}
	if (uhci_frame(u, entry)) {
		u->quiet = 0;
		*n = 0;
	} else if (*n < KNOWN) {
		known[(*n)++] = entry;
	}
}

/* Carry out the frames that are due. */
static void catch_up(struct uhci *u)
{
	uint64_t now = clock_vm_ns(), due;
	uint32_t known[KNOWN];
	unsigned n = 0;

	if (!uhci_running(u) || u->busy || now < u->next_ns)
		return;
	u->busy = true;
	due = (now - u->next_ns) / UHCI_FRAME_NS + 1;
	if (due > UHCI_BATCH) { /* lost, but counted */
		uint64_t lost = due - UHCI_BATCH;

		u->frnum = (uint16_t)((u->frnum + lost) & 0x7ff);
		u->next_ns += lost * UHCI_FRAME_NS;
		due = UHCI_BATCH;
	}
	for (; due && uhci_running(u); due--) {
		one_frame(u, known, &n);
		u->frnum = (u->frnum + 1) & 0x7ff;
		u->next_ns += UHCI_FRAME_NS;
	}
	if (u->quiet > UHCI_QUIET)
		u->quiet = UHCI_QUIET;
	u->busy = false;
	uhci_update_irq(u);
}

static void on_timer(void *opaque)
{
	struct uhci *u = opaque;

	catch_up(u);
	arm(u);
}

/* Something happened that the schedule may be waiting for: the very next frame looks. */
static void stir(struct uhci *u)
{
	catch_up(u);
	u->quiet = 0;
	if (!u->busy)
		arm(u);
}

static void set_running(struct uhci *u, bool on)
{
	if (on == uhci_running(u))
		return;
	if (on) {
		u->cmd |= USBCMD_RS;
		u->sts &= (uint16_t)~USBSTS_HCH;
		u->next_ns = clock_vm_ns() + UHCI_FRAME_NS;
	} else {
		uhci_halt(u, 0);
	}
}

/* ---- Ports -------------------------------------------------------------------------------------- */

static void bus_reset(struct uhci *u, unsigned port)
{
	usb_pipe_reset(&u->pipe[port]);
	if (u->at[port])
		u->at[port]->ops->reset(u->at[port]);
}

/* As after a reset of the controller: what is there is seen anew. */
static void port_reset(struct uhci *u, unsigned port)
{
	const struct usb_device *d = u->at[port];

	bus_reset(u, port);
	u->portsc[port] = PORTSC_ONE;
	if (d)
		u->portsc[port] |= (uint16_t)(PORTSC_CCS | PORTSC_CSC |
					      (d->speed == USB_LOW ? PORTSC_LSDA : 0));
}

static void write_portsc(struct uhci *u, unsigned port, uint16_t val)
{
	uint16_t now = u->portsc[port];

	now = (uint16_t)((now & ~(val & PORTSC_W1C) & ~PORTSC_WRITE) | (val & PORTSC_WRITE));
	if (val & PORTSC_PR) /* while it is reset, and afterwards until it is told otherwise */
		now &= (uint16_t)~PORTSC_PED;
	if (!(now & PORTSC_CCS))
		now &= (uint16_t)~PORTSC_PED;
	if (u->portsc[port] & PORTSC_PR && !(val & PORTSC_PR))
		bus_reset(u, port);
	u->portsc[port] = now;
}

/* A suspended device wakes the bus, if the guest has allowed it to. */
static void wake(struct uhci *u, const struct usb_device *d)
{
	for (unsigned port = 0; port < UHCI_PORTS; port++) {
		bool asleep = u->portsc[port] & PORTSC_SUSPEND || u->cmd & USBCMD_EGSM;

		if (u->at[port] != d || !asleep || !d->remote_wakeup ||
		    !(u->portsc[port] & PORTSC_PED))
			continue;
		u->portsc[port] |= PORTSC_RD;
		u->sts |= USBSTS_RD;
		if (u->cmd & USBCMD_EGSM)
			u->cmd |= USBCMD_FGR;
		uhci_update_irq(u);
	}
}

static void on_ready(void *opaque, struct usb_device *d)
{
	struct uhci *u = opaque;

	wake(u, d);
	stir(u);
}

/* ---- Registers ---------------------------------------------------------------------------------- */

static void controller_reset(struct uhci *u)
{
	u->cmd = u->intr = u->frnum = 0;
	u->sts = USBSTS_HCH;
	u->flbase = 0;
	u->sof = SOFMOD_RESET;
	u->why = 0;
	u->quiet = 0;
	for (unsigned port = 0; port < UHCI_PORTS; port++)
		port_reset(u, port);
	uhci_update_irq(u);
}

static void write_cmd(struct uhci *u, uint16_t val)
{
	bool global_reset = !(u->cmd & USBCMD_GRESET) && val & USBCMD_GRESET;

	if (val & USBCMD_HCRESET) {
		controller_reset(u);
		return;
	}
	if (global_reset) {
		/* All but this bit, which the guest takes back. */
		controller_reset(u);
		u->cmd = USBCMD_GRESET;
		return;
	}
	set_running(u, val & USBCMD_RS);
	u->cmd = (uint16_t)((val & USBCMD_BITS & ~USBCMD_RS) | (u->cmd & USBCMD_RS));
}

static void write_word(struct uhci *u, unsigned off, uint16_t val)
{
	switch (off) {
	case USBCMD:
		write_cmd(u, val);
		break;
	case USBSTS:
		u->sts &= (uint16_t) ~(val & USBSTS_W1C);
		if (val & USBSTS_USBINT)
			u->why = 0;
		break;
	case USBINTR:
		u->intr = val & 15;
		break;
	case FRNUM:
		if (!uhci_running(u))
			u->frnum = val & 0x7ff;
		break;
	case FRBASEADD:
		u->flbase = (u->flbase & 0xffff0000u) | (val & 0xf000u);
		break;
	case FRBASEADD + 2:
		u->flbase = (u->flbase & 0xffffu) | (uint32_t)val << 16;
		break;
	case PORTSC1:
	case PORTSC1 + 2:
		write_portsc(u, (off - PORTSC1) / 2, val);
		break;
	default:
		break;
	}
}

static uint16_t read_word(const struct uhci *u, unsigned off)
{
	switch (off) {
	case USBCMD:
		return u->cmd;
	case USBSTS:
		return u->sts;
	case USBINTR:
		return u->intr;
	case FRNUM:
		return u->frnum;
	case FRBASEADD:
		return (uint16_t)u->flbase;
	case FRBASEADD + 2:
		return (uint16_t)(u->flbase >> 16);
	case SOFMOD:
		return u->sof;
	case PORTSC1:
	case PORTSC1 + 2:
		return u->portsc[(off - PORTSC1) / 2];
	default:
		/* Drivers count ports by bit 7, which is always set in those there are (§2.1.7). */
		return off > PORTSC1 ? 0xff7f : 0;
	}
}

static uint64_t io_read(void *dev, uint64_t off, unsigned size)
{
	struct uhci *u = dev;
	uint16_t val;

	catch_up(u);
	val = read_word(u, (unsigned)off & ~1u);
	if (uhci_running(u) && u->quiet == 0)
		arm(u);
	return size == 2 ? val : (uint8_t)(val >> (off & 1) * 8);
}

static void io_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
	struct uhci *u = dev;
	unsigned at = (unsigned)off & ~1u;

	catch_up(u);
	if (off == SOFMOD) {
		u->sof = val & 0x7f;
		return;
	}
	/* Registers are words; of a byte, the other half is written as it is, and clears nothing. */
	if (size == 1) {
		uint16_t keep = read_word(u, at);

		if (at == USBSTS)
			keep = 0;
		if (at >= PORTSC1)
			keep &= (uint16_t)~PORTSC_W1C;
		val = off & 1 ? (keep & 0xffu) | (val & 0xff) << 8
			      : (keep & 0xff00u) | (val & 0xff);
	}
	write_word(u, at, (uint16_t)val);
	uhci_update_irq(u);
	stir(u);
}

static const struct bus_ops io_ops = {io_read, io_write, 1, 2};

/* ---- Devices ------------------------------------------------------------------------------------ */

int uhci_plug(struct uhci *u, struct usb_device *d, unsigned port)
{
	if (port > UHCI_PORTS)
		return -EINVAL;
	if (port && u->at[port - 1])
		return -EBUSY;
	for (unsigned i = 1; !port && i <= UHCI_PORTS; i++) {
		if (!u->at[i - 1])
			port = i;
	}
	if (!port)
		return -ENOSPC;
	d->speed = USB_FULL;
	d->ready = on_ready;
	d->opaque = u;
	u->at[port - 1] = d;
	port_reset(u, port - 1);
	return (int)port;
}

/* ---- Reset and saved state ----------------------------------------------------------------------- */

static void uhci_reset(struct device *dev)
{
	struct uhci *u = container_of(dev, struct uhci, pci.dev);

	pci_dev_reset(&u->pci);
	controller_reset(u);
	arm(u);
}

static void uhci_pre_save(struct device *dev)
{
	catch_up(container_of(dev, struct uhci, pci.dev));
}

static int uhci_post_load(struct device *dev)
{
	struct uhci *u = container_of(dev, struct uhci, pci.dev);

	if (pci_dev_loaded(&u->pci))
		return -EINVAL;
	if (u->cmd & ~USBCMD_BITS || u->sts & ~(USBSTS_W1C | USBSTS_HCH) || u->intr > 15 ||
	    u->frnum > 0x7ff || u->flbase & 0xfff || u->sof > 0x7f || u->why > 3 ||
	    u->quiet > UHCI_QUIET || uhci_running(u) == !!(u->sts & USBSTS_HCH))
		return -EINVAL;
	for (unsigned port = 0; port < UHCI_PORTS; port++) {
		if (!usb_pipe_is_sound(&u->pipe[port]))
			return -EINVAL;
	}
	/* The frame under way begins anew. */
	u->next_ns = clock_vm_ns() + UHCI_FRAME_NS;
	uhci_update_irq(u);
	arm(u);
	return 0;
}

static const struct state_field uhci_fields[] = {
	PCI_STATE_FIELDS(struct uhci, pci),
	STATE_FIELD(struct uhci, cmd),
	STATE_FIELD(struct uhci, sts),
	STATE_FIELD(struct uhci, intr),
	STATE_FIELD(struct uhci, frnum),
	STATE_FIELD(struct uhci, flbase),
	STATE_FIELD(struct uhci, sof),
	STATE_FIELD(struct uhci, why),
	STATE_FIELD(struct uhci, quiet),
	STATE_ARRAY(struct uhci, portsc),
	USB_PIPE_STATE_FIELDS(struct uhci, pipe),
	STATE_END,
};

static const struct device_class uhci_class = {
	.name = "piix3-usb-uhci",
	.version = 1,
	.reset = uhci_reset,
	.fields = uhci_fields,
	.pre_save = uhci_pre_save,
	.post_load = uhci_post_load,
};

static void config_written(struct pci_dev *pd, unsigned off, unsigned size)
{
	(void)off;
	(void)size;
	uhci_update_irq(container_of(pd, struct uhci, pci));
}

static const struct pci_dev_ops pci_ops = {.config_written = config_written};

/* ---- Life --------------------------------------------------------------------------------------- */

static const struct pci_ident ident = {
	.vendor = 0x8086,
	.device = 0x7020,
	.class_code = 0x0c03,
	.revision = 1,
	.subsys_vendor = 0x1af4,
	.subsys = 0x1100,
	.int_pin = 4,
};

static const struct reg_desc pci_regs[] = {
	{.name = "SBRNUM", .off = 0x60, .size = 1, .reset = 0x10},
	/* Traps of ports 60h and 64h can be asked for; without SMI none happens, so their status stays 0. */
	{.name = "LEGSUP",
	 .off = LEGSUP,
	 .size = 2,
	 .reset = LEGSUP_PIRQDEN,
	 .write = 0x20bf,
	 .live = LEGSUP_IRQS},
};

struct uhci *uhci_new(struct pci_bus *pb, uint8_t devfn, struct mem *mem, struct io_loop *loop,
		      struct lodge_err *err)
{
	struct uhci *u = calloc(1, sizeof(*u));

	if (!u) {
		err_set(err, -ENOMEM, "no memory for a USB controller: free some and retry");
		return NULL;
	}
	if (pci_dev_init(&u->pci, pb, devfn, &ident, &uhci_class, &pci_ops, err)) {
		free(u);
		return NULL;
	}
	u->mem = mem;
	io_timer_init(&u->timer, loop, on_timer, u);
	pci_dev_add_regs(&u->pci, pci_regs, ARRAY_SIZE(pci_regs));
	if (pci_dev_add_bar(&u->pci, 4, PCI_BAR_IO, false, PORTS_BYTES, &io_ops, u, "uhci")) {
		err_set(err, -ENOMEM, "no memory for a USB controller: free some and retry");
		uhci_free(u);
		return NULL;
	}
	uhci_reset(&u->pci.dev);
	return u;
}

void uhci_free(struct uhci *u)
{
	if (!u)
		return;
	io_timer_cancel(&u->timer);
	pci_dev_remove(&u->pci);
	free(u);
}

struct device *uhci_device(struct uhci *u)
{
	return &u->pci.dev;
}
