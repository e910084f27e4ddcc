/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside the xHCI. Private to src/devices/usb.
 *
 * Rings and contexts are in guest memory: each TRB and context is copied once, checked, used. Work an access is
 * bounded: TRBs of a doorbell by XHCI_WORK, events by the room the guest's ring has; what is left waits for the next
 * doorbell or for room.
 * Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_USB_XHCI_INT_H
#define LODGE_DEVICES_USB_XHCI_INT_H

#include "bus/msix.h"
#include "devices/usb/xhci.h"

#define XHCI_PORTS (2 * XHCI_USB2_PORTS)
#define XHCI_SLOTS 8u
#define XHCI_EPS 31u /* device context indexes 1 to 31 */
#define XHCI_WORK 512u
#define XHCI_TD_TRBS 64u

struct xhci_trb {
	uint64_t param;
	uint32_t status, control;
	uint64_t at; /* where it was */
};

#define TRB_BYTES 16u
#define TRB_C 1u
#define TRB_TC 2u  /* of a link: toggle cycle */
#define TRB_ENT 2u /* evaluate next */
#define TRB_ISP 4u
#define TRB_CH 0x10u
#define TRB_IOC 0x20u
#define TRB_IDT 0x40u
#define TRB_DIR_IN (1u << 16)
#define TRB_TYPE(t) ((t)->control >> 10 & 63)

enum {
	TRB_NORMAL = 1,
	TRB_SETUP = 2,
	TRB_DATA = 3,
	TRB_STATUS = 4,
	TRB_LINK = 6,
	TRB_EVENT_DATA = 7,
	TRB_NOOP = 8,
	CMD_ENABLE_SLOT = 9,
	CMD_DISABLE_SLOT = 10,
	CMD_ADDRESS = 11,
	CMD_CONFIGURE = 12,
	CMD_EVALUATE = 13,
	CMD_RESET_EP = 14,
	CMD_STOP_EP = 15,
	CMD_SET_DEQUEUE = 16,
	CMD_RESET_DEVICE = 17,
	CMD_NOOP = 23,
	EVENT_TRANSFER = 32,
	EVENT_COMMAND = 33,
	EVENT_PORT = 34,
};

/* Completion codes (xHCI §6.4.5). */
enum {
	CC_SUCCESS = 1,
	CC_DATA_BUFFER = 2,
	CC_BABBLE = 3,
	CC_TRB = 5,
	CC_STALL = 6,
	CC_NO_SLOTS = 9,
	CC_SLOT_OFF = 11,
	CC_EP_OFF = 12,
	CC_SHORT = 13,
	CC_PARAMETER = 17,
	CC_CONTEXT_STATE = 19,
};

enum { EP_DISABLED = 0, EP_RUNNING = 1, EP_HALTED = 2, EP_STOPPED = 3 };
enum { SLOT_OFF = 0, SLOT_DEFAULT = 1, SLOT_ADDRESSED = 2, SLOT_CONFIGURED = 3 };
enum { EP_TYPE_CONTROL = 4, EP_TYPE_INT_IN = 7 };

struct xhci_ep {
	uint8_t state, type, cycle;
	uint64_t dequeue;
	/* A control transfer between its stages. */
	uint8_t has_setup, done; /* done: the device has been asked */
	uint8_t setup[8];
	uint32_t data_len, data_at; /* IN: bytes there are, given */
};

struct xhci_slot {
	uint8_t on, state, port; /* port: of the root hub, from 1 on; 0: none */
	uint32_t route;		 /* ports of the hubs behind that, four bits each */
};

struct xhci {
	struct pci_dev pci; /* first */
	struct msix msix;
	struct mem *mem;
	struct usb_device *at[XHCI_USB2_PORTS];
	/* registers */
	uint32_t cmd, sts, dnctrl, config;
	uint64_t dcbaap;
	uint64_t cr_at; /* the command ring: the next, its cycle */
	uint8_t cr_cycle, cr_running;
	uint32_t portsc[XHCI_PORTS];
	uint32_t iman, imod, erstsz;
	uint64_t erstba, erdp;
	/* the event ring: next TRB in which segment, cycle */
	uint32_t er_segment, er_index;
	uint8_t er_cycle;
	struct xhci_slot slot[XHCI_SLOTS];
	struct xhci_ep ep[XHCI_SLOTS * XHCI_EPS];
	uint8_t data[XHCI_SLOTS][USB_CONTROL_MAX]; /* of a control transfer's data stage */
};

/* Slots count from 1, endpoints are device context indexes. */
static inline struct xhci_ep *xhci_ep(struct xhci *x, unsigned slot, unsigned dci)
{
	return &x->ep[(slot - 1) * XHCI_EPS + dci - 1];
}

bool xhci_running(const struct xhci *x);
/* The device at that port of the root hub, from 1 on, and behind it; NULL: there is none, or no packet reaches it. */
struct usb_device *xhci_device_at(const struct xhci *x, unsigned port, uint32_t route);

/* ---- xhci_ring.c -------------------------------------------------------------------------------- */

/* The next TRB of a ring, links followed; false: there is none. *dequeue and *cycle go behind it. */
bool xhci_fetch(struct xhci *x, uint64_t *dequeue, uint8_t *cycle, struct xhci_trb *t);
/* Is there room for `n` more events? */
bool xhci_event_room(struct xhci *x, unsigned n);
void xhci_event(struct xhci *x, uint64_t param, uint32_t status, uint32_t control);
/* The interrupt as IMAN and USBCMD have it. */
void xhci_update_irq(struct xhci *x);
void xhci_event_ring_reset(struct xhci *x);

/* ---- xhci_cmd.c --------------------------------------------------------------------------------- */

void xhci_commands(struct xhci *x);
void xhci_slot_off(struct xhci *x, unsigned slot);
/* An endpoint's state and dequeue pointer into its output context. */
void xhci_put_ep(struct xhci *x, unsigned slot, unsigned dci);

/* ---- xhci_xfer.c -------------------------------------------------------------------------------- */

/* Carry out what an endpoint's ring has, as far as the device has data. */
void xhci_transfer(struct xhci *x, unsigned slot, unsigned dci);
struct usb_device *xhci_slot_device(struct xhci *x, unsigned slot);

#endif
