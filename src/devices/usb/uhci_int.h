/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside the UHCI. Private to src/devices/usb.
 *
 * The schedule is in guest memory: each list entry, QH and TD is copied once, checked, used. A frame takes UHCI_WORK
 * steps at most, and a look at the schedule UHCI_BATCH frames; frames beyond are counted and not carried out.
 * Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_USB_UHCI_INT_H
#define LODGE_DEVICES_USB_UHCI_INT_H

#include "devices/usb/uhci.h"
#include "devices/usb/usb_pipe.h"

#define UHCI_WORK 256u
#define UHCI_BATCH 128u
#define UHCI_FRAME_NS 1000000ull
/* After so many frames in which nothing happened, the schedule is looked at every UHCI_REST frames only. */
#define UHCI_QUIET 64u
#define UHCI_REST 20u

#define USBCMD_RS 0x01u
#define USBCMD_HCRESET 0x02u
#define USBCMD_GRESET 0x04u
#define USBCMD_EGSM 0x08u
#define USBCMD_FGR 0x10u
#define USBCMD_SWDBG 0x20u

#define USBSTS_USBINT 0x01u
#define USBSTS_ERROR 0x02u
#define USBSTS_RD 0x04u
#define USBSTS_HSE 0x08u
#define USBSTS_HCPE 0x10u
#define USBSTS_HCH 0x20u

#define USBINTR_CRC 1u
#define USBINTR_RESUME 2u
#define USBINTR_IOC 4u
#define USBINTR_SPD 8u

#define PORTSC_CCS 0x0001u
#define PORTSC_CSC 0x0002u
#define PORTSC_PED 0x0004u
#define PORTSC_PEDC 0x0008u
#define PORTSC_RD 0x0040u
#define PORTSC_ONE 0x0080u
#define PORTSC_LSDA 0x0100u
#define PORTSC_PR 0x0200u
#define PORTSC_SUSPEND 0x1000u

/* Why USBSTS_USBINT is set. */
#define UHCI_WHY_IOC 1u
#define UHCI_WHY_SPD 2u

struct uhci {
	struct pci_dev pci; /* first */
	struct mem *mem;
	struct usb_device *at[UHCI_PORTS];
	struct io_timer timer;
	uint64_t next_ns; /* when the next frame begins; while it runs */
	bool busy;	  /* frames are being carried out */
	/* Saved. */
	uint16_t cmd, sts, intr, frnum;
	uint32_t flbase;
	uint8_t sof, why;
	uint32_t quiet; /* frames in a row in which nothing happened */
	uint16_t portsc[UHCI_PORTS];
	struct usb_pipe pipe[UHCI_PORTS];
};

static inline bool uhci_running(const struct uhci *u)
{
	return u->cmd & USBCMD_RS;
}

/* ---- uhci.c ------------------------------------------------------------------------------------- */

/* The interrupt as USBSTS, USBINTR and LEGSUP have it. */
void uhci_update_irq(struct uhci *u);
/* Something is wrong with the schedule: no more frames. */
void uhci_halt(struct uhci *u, uint16_t why);

/* ---- uhci_frame.c ------------------------------------------------------------------------------- */

/* The next frame, whose entry of the list that is: true if anything came of it. */
bool uhci_frame(struct uhci *u, uint32_t entry);
/* The frame list's entry for the next frame. False: it is not in memory. */
bool uhci_entry(struct uhci *u, uint32_t *entry);

#endif
