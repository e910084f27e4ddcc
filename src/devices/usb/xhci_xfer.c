// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * xHCI: transfers. Control transfers go stage by stage, interrupt IN as a device has data.
 * Source: xHCI 1.1 §3.2.9 (control), §4.10 (transfer events), §4.11 (TRBs). Threads: with the VM lock held.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"
#include "devices/usb/xhci_int.h"

#define EVENT_ED 4u
#define IN_MAX 1024u

struct usb_device *xhci_slot_device(struct xhci *x, unsigned slot)
{
	return xhci_device_at(x, x->slot[slot - 1].port, x->slot[slot - 1].route);
}

/* `left`: bytes of the TRB that were not moved; `ed`: the event is of event data, whose length it is. */
static void event(struct xhci *x, unsigned slot, unsigned dci, uint64_t param, unsigned code,
		  uint32_t left, bool ed)
{
	xhci_event(x, param, code << 24 | (left & 0xffffff),
		   (uint32_t)slot << 24 | (uint32_t)dci << 16 | EVENT_TRANSFER << 10 |
			   (ed ? EVENT_ED : 0));
}

static void halt(struct xhci *x, unsigned slot, unsigned dci, const struct xhci_trb *t,
		 unsigned code)
{
	struct xhci_ep *ep = xhci_ep(x, slot, dci);

	ep->state = EP_HALTED;
	ep->has_setup = 0;
	/* The driver says where to go on; until then it is the TRB that failed. */
	ep->dequeue = t->at;
	ep->cycle = t->control & TRB_C;
	xhci_put_ep(x, slot, dci);
	event(x, slot, dci, t->at, code, t->status & 0x1ffff, false);
}

/* ---- Control ------------------------------------------------------------------------------------ */

static void read_setup(const struct xhci_ep *ep, struct usb_setup *s)
{
	*s = (struct usb_setup){.type = ep->setup[0],
				.request = ep->setup[1],
				.value = ld_le16(ep->setup + 2),
				.index = ld_le16(ep->setup + 4),
				.length = ld_le16(ep->setup + 6)};
	s->length = (uint16_t)min_u64(s->length, USB_CONTROL_MAX);
}

/* Ask the device, once. False: it stalls. */
static bool ask(struct xhci *x, unsigned slot, struct xhci_ep *ep)
{
	struct usb_device *d = xhci_slot_device(x, slot);
	uint8_t *data = x->data[slot - 1];
	struct usb_setup s;
	int n;

	if (ep->done)
		return true;
	read_setup(ep, &s);
	if (!(s.type & USB_DIR_IN))
		memset(data + ep->data_len, 0, USB_CONTROL_MAX - ep->data_len);
	n = d ? d->ops->control(d, &s, data) : USB_STALL;
	ep->done = 1;
	if (s.type & USB_DIR_IN) {
		ep->data_len = n > 0 ? (uint32_t)min_u64((uint64_t)n, s.length) : 0;
		ep->data_at = 0;
	}
	return n >= 0;
}

static bool setup_stage(struct xhci *x, unsigned slot, struct xhci_ep *ep, const struct xhci_trb *t)
{
	(void)x;
	(void)slot;
	if (!(t->control & TRB_IDT) || (t->status & 0x1ffff) != 8)
		return false;
	st_le64(ep->setup, t->param);
	ep->has_setup = 1;
	ep->done = 0;
	ep->data_len = ep->data_at = 0;
	return true;
}

/* Bytes of one TRB of the data stage that were moved; -1: its memory is not there. */
static long data_stage(struct xhci *x, unsigned slot, struct xhci_ep *ep, const struct xhci_trb *t)
{
	uint8_t *data = x->data[slot - 1];
	uint32_t len = t->status & 0x1ffff;

	if (ep->setup[0] & USB_DIR_IN) {
		len = (uint32_t)min_u64(len, ep->data_len - ep->data_at);
		if (len && mem_write(x->mem, t->param, data + ep->data_at, len))
			return -1;
		ep->data_at += len;
		return len;
	}
	len = (uint32_t)min_u64(len, USB_CONTROL_MAX - ep->data_len);
	if (t->control & TRB_IDT) {
		len = (uint32_t)min_u64(len, 8);
		st_le64(data + min_u64(ep->data_len, USB_CONTROL_MAX - 8), t->param);
	} else if (len && mem_read(x->mem, t->param, data + ep->data_len, len)) {
		return -1;
	}
	ep->data_len += len;
	return len;
}

/* A TRB of the data stage, or one chained to it. False: the endpoint halted. */
static bool control_data(struct xhci *x, unsigned slot, struct xhci_ep *ep,
			 const struct xhci_trb *t)
{
	uint32_t want = t->status & 0x1ffff;
	bool is_in = ep->setup[0] & USB_DIR_IN;
	long n;

	if (!ep->has_setup || (is_in && !ask(x, slot, ep))) {
		halt(x, slot, 1, t, ep->has_setup ? CC_STALL : CC_TRB);
		return false;
	}
	n = data_stage(x, slot, ep, t);
	if (n < 0) {
		halt(x, slot, 1, t, CC_DATA_BUFFER);
		return false;
	}
	if (is_in && n < want && (t->control & (TRB_ISP | TRB_IOC)))
		event(x, slot, 1, t->at, CC_SHORT, want - (uint32_t)n, false);
	else if (t->control & TRB_IOC)
		event(x, slot, 1, t->at, CC_SUCCESS, want - (uint32_t)n, false);
	return true;
}

/* One TRB of endpoint 0. False: it halted. */
static bool control_trb(struct xhci *x, unsigned slot, const struct xhci_trb *t)
{
	struct xhci_ep *ep = xhci_ep(x, slot, 1);

	switch (TRB_TYPE(t)) {
	case TRB_SETUP:
		if (setup_stage(x, slot, ep, t))
			break;
		halt(x, slot, 1, t, CC_TRB);
		return false;
	case TRB_DATA:
	case TRB_NORMAL:
		return control_data(x, slot, ep, t);
	case TRB_STATUS:
		if (!ep->has_setup || !ask(x, slot, ep)) {
			halt(x, slot, 1, t, ep->has_setup ? CC_STALL : CC_TRB);
			return false;
		}
		ep->has_setup = 0;
		if (t->control & TRB_IOC)
			event(x, slot, 1, t->at, CC_SUCCESS, 0, false);
		break;
	case TRB_EVENT_DATA:
		if (t->control & TRB_IOC)
			event(x, slot, 1, t->param, CC_SUCCESS, ep->data_at, true);
		break;
	case TRB_NOOP:
		if (t->control & TRB_IOC)
			event(x, slot, 1, t->at, CC_SUCCESS, 0, false);
		break;
	default:
		halt(x, slot, 1, t, CC_TRB);
		return false;
	}
	return true;
}

static void control(struct xhci *x, unsigned slot)
{
	struct xhci_ep *ep = xhci_ep(x, slot, 1);
	struct xhci_trb t;

	for (unsigned i = 0; i < XHCI_WORK && ep->state == EP_RUNNING && xhci_event_room(x, 2);
	     i++) {
		if (!xhci_fetch(x, &ep->dequeue, &ep->cycle, &t) || !control_trb(x, slot, &t))
			return;
	}
}

/* ---- Interrupt IN ------------------------------------------------------------------------------- */

/* The TRBs of one TD; how many, 0: it is not whole yet. The ring's place goes behind it. */
static unsigned fetch_td(struct xhci *x, uint64_t *dequeue, uint8_t *cycle,
			 struct xhci_trb td[XHCI_TD_TRBS])
{
	for (unsigned n = 0; n < XHCI_TD_TRBS;) {
		if (!xhci_fetch(x, dequeue, cycle, &td[n]))
			return 0;
		if (!(td[n++].control & TRB_CH))
			return n;
	}
	return 0;
}

static uint32_t td_bytes(const struct xhci_trb *td, unsigned n)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum += TRB_TYPE(&td[i]) == TRB_NORMAL ? td[i].status & 0x1ffff : 0;
	return (uint32_t)min_u64(sum, IN_MAX);
}

/* Data into a TD, with its events: one for the TRB in which it ends short, or for those that want one. */
static unsigned fill_td(struct xhci *x, unsigned slot, unsigned dci, const struct xhci_trb *td,
			unsigned n, const uint8_t *data, uint32_t len)
{
	uint32_t at = 0;
	bool told = false;

	for (unsigned i = 0; i < n; i++) {
		uint32_t want = td[i].status & 0x1ffff, now;
		bool is_short;

		if (TRB_TYPE(&td[i]) == TRB_EVENT_DATA) {
			if (td[i].control & TRB_IOC)
				event(x, slot, dci, td[i].param, CC_SUCCESS, at, true);
			continue;
		}
		if (TRB_TYPE(&td[i]) != TRB_NORMAL)
			continue;
		now = (uint32_t)min_u64(want, len - at);
		if (now && mem_write(x->mem, td[i].param, data + at, now))
			return i;
		at += now;
		is_short = now < want;
		if (is_short && told)
			continue;
		if ((td[i].control & TRB_IOC) || (is_short && (td[i].control & TRB_ISP)))
			event(x, slot, dci, td[i].at, is_short ? CC_SHORT : CC_SUCCESS, want - now,
			      false);
		told |= is_short;
	}
	return n;
}

static void interrupt_in(struct xhci *x, unsigned slot, unsigned dci)
{
	struct usb_device *d = xhci_slot_device(x, slot);
	struct xhci_ep *ep = xhci_ep(x, slot, dci);
	struct xhci_trb td[XHCI_TD_TRBS];
	uint8_t data[IN_MAX];

	for (unsigned i = 0; d && i < XHCI_WORK / 8 && xhci_event_room(x, 4); i++) {
		uint64_t dequeue = ep->dequeue;
		uint8_t cycle = ep->cycle;
		unsigned n = fetch_td(x, &dequeue, &cycle, td), bad;
		int len;

		/* More events than that are for nobody. */
		if (!n || !xhci_event_room(x, n))
			return;
		len = d->ops->in(d, dci / 2, data, td_bytes(td, n));
		if (len == USB_NAK)
			return;
		if (len < 0) {
			halt(x, slot, dci, &td[0], len == USB_BABBLE ? CC_BABBLE : CC_STALL);
			return;
		}
		ep->dequeue = dequeue;
		ep->cycle = cycle;
		bad = fill_td(x, slot, dci, td, n, data, (uint32_t)len);
		if (bad < n) {
			halt(x, slot, dci, &td[bad], CC_DATA_BUFFER);
			return;
		}
	}
}

void xhci_transfer(struct xhci *x, unsigned slot, unsigned dci)
{
	struct xhci_ep *ep = xhci_ep(x, slot, dci);

	if (!xhci_running(x) || !x->slot[slot - 1].on || ep->state != EP_RUNNING ||
	    !xhci_slot_device(x, slot))
		return;
	if (ep->type == EP_TYPE_CONTROL)
		control(x, slot);
	else if (ep->type == EP_TYPE_INT_IN)
		interrupt_in(x, slot, dci);
}
