// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * xHCI: the command ring; slots and endpoints as commands make and unmake them.
 * Source: xHCI 1.1 §4.6 (commands), §6.2 (contexts). Threads: with the VM lock held.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"
#include "devices/usb/xhci_int.h"

#define CTX_BYTES 32u
#define COMMANDS_MAX 256u
#define DECONFIGURE (1u << 9)

/* ---- Contexts ----------------------------------------------------------------------------------- */

/* Where a slot's output contexts are; 0: nowhere. */
static uint64_t output(struct xhci *x, unsigned slot)
{
	uint8_t raw[8];

	if (mem_read(x->mem, x->dcbaap + 8ull * slot, raw, sizeof(raw)))
		return 0;
	return ld_le64(raw) & ~(uint64_t)63;
}

/* Context `n`: 0 the slot's, then the endpoints'. False: it is not in memory. */
static bool read_ctx(struct xhci *x, uint64_t base, unsigned n, uint32_t ctx[8])
{
	uint8_t raw[CTX_BYTES];

	if (!base || mem_read(x->mem, base + (uint64_t)n * CTX_BYTES, raw, sizeof(raw)))
		return false;
	for (unsigned i = 0; i < 8; i++)
		ctx[i] = ld_le32(raw + 4 * i);
	return true;
}

static bool write_ctx(struct xhci *x, uint64_t base, unsigned n, const uint32_t ctx[8])
{
	uint8_t raw[CTX_BYTES];

	for (unsigned i = 0; i < 8; i++)
		st_le32(raw + 4 * i, ctx[i]);
	return base && !mem_write(x->mem, base + (uint64_t)n * CTX_BYTES, raw, sizeof(raw));
}

void xhci_put_ep(struct xhci *x, unsigned slot, unsigned dci)
{
	const struct xhci_ep *ep = xhci_ep(x, slot, dci);
	uint64_t base = output(x, slot);
	uint32_t ctx[8];

	if (!read_ctx(x, base, dci, ctx))
		return;
	ctx[0] = (ctx[0] & ~7u) | ep->state;
	ctx[2] = (uint32_t)ep->dequeue | ep->cycle;
	ctx[3] = (uint32_t)(ep->dequeue >> 32);
	(void)!write_ctx(x, base, dci, ctx);
}

static void put_slot(struct xhci *x, unsigned slot, unsigned entries)
{
	const struct xhci_slot *s = &x->slot[slot - 1];
	uint64_t base = output(x, slot);
	uint32_t ctx[8];

	if (!read_ctx(x, base, 0, ctx))
		return;
	if (entries)
		ctx[0] = (ctx[0] & 0x07ffffffu) | entries << 27;
	ctx[3] = (uint32_t)s->state << 27 | (s->state >= SLOT_ADDRESSED ? slot : 0);
	(void)!write_ctx(x, base, 0, ctx);
}

/* An endpoint as an input context has it. False: of no kind that is there. */
static bool take_ep(struct xhci *x, unsigned slot, unsigned dci, uint32_t ctx[8])
{
	struct xhci_ep *ep = xhci_ep(x, slot, dci);

	*ep = (struct xhci_ep){
		.state = EP_RUNNING,
		.type = ctx[1] >> 3 & 7,
		.dequeue = ((uint64_t)ctx[3] << 32 | ctx[2]) & ~(uint64_t)15,
		.cycle = ctx[2] & 1,
	};
	if (!ep->type || (dci == 1) != (ep->type == EP_TYPE_CONTROL)) {
		*ep = (struct xhci_ep){0};
		return false;
	}
	ctx[0] = (ctx[0] & ~7u) | EP_RUNNING;
	return write_ctx(x, output(x, slot), dci, ctx);
}

static void drop_ep(struct xhci *x, unsigned slot, unsigned dci)
{
	*xhci_ep(x, slot, dci) = (struct xhci_ep){0};
	xhci_put_ep(x, slot, dci);
}

void xhci_slot_off(struct xhci *x, unsigned slot)
{
	x->slot[slot - 1] = (struct xhci_slot){0};
	memset(xhci_ep(x, slot, 1), 0, XHCI_EPS * sizeof(struct xhci_ep));
}

/* ---- Commands ----------------------------------------------------------------------------------- */

static unsigned enable_slot(struct xhci *x, unsigned *slot)
{
	unsigned most = x->config & 0xff;

	for (unsigned i = 1; i <= XHCI_SLOTS && i <= most; i++) {
		if (!x->slot[i - 1].on) {
			xhci_slot_off(x, i);
			x->slot[i - 1].on = 1;
			*slot = i;
			return CC_SUCCESS;
		}
	}
	return CC_NO_SLOTS;
}

static unsigned disable_slot(struct xhci *x, unsigned slot)
{
	x->slot[slot - 1].state = SLOT_OFF;
	put_slot(x, slot, 0);
	xhci_slot_off(x, slot);
	return CC_SUCCESS;
}

static bool is_taken(const struct xhci *x, unsigned slot, unsigned port, uint32_t route)
{
	for (unsigned i = 1; i <= XHCI_SLOTS; i++) {
		if (i != slot && x->slot[i - 1].on && x->slot[i - 1].port == port &&
		    x->slot[i - 1].route == route)
			return true;
	}
	return false;
}

static unsigned address(struct xhci *x, unsigned slot, const struct xhci_trb *t)
{
	uint64_t in = t->param & ~(uint64_t)15;
	uint32_t control[8], ctx[8], ep0[8];
	uint32_t route;
	unsigned port;

	if (!read_ctx(x, in, 0, control) || !read_ctx(x, in, 1, ctx) || !read_ctx(x, in, 2, ep0))
		return CC_TRB;
	if ((control[1] & 3) != 3 || control[0])
		return CC_PARAMETER;
	port = ctx[1] >> 16 & 0xff;
	route = ctx[0] & 0xfffff;
	if (!xhci_device_at(x, port, route) || is_taken(x, slot, port, route))
		return CC_PARAMETER;
	x->slot[slot - 1].port = (uint8_t)port;
	x->slot[slot - 1].route = route;
	/* BSR: the device does not hear of its address yet. */
	x->slot[slot - 1].state = t->control >> 9 & 1 ? SLOT_DEFAULT : SLOT_ADDRESSED;
	ctx[3] = 0;
	if (!write_ctx(x, output(x, slot), 0, ctx) || !take_ep(x, slot, 1, ep0))
		return CC_PARAMETER;
	put_slot(x, slot, 0);
	return CC_SUCCESS;
}

static unsigned configure(struct xhci *x, unsigned slot, const struct xhci_trb *t)
{
	uint64_t in = t->param & ~(uint64_t)15;
	uint32_t control[8], slot_ctx[8], ctx[8];
	unsigned entries = 1;

	if (x->slot[slot - 1].state < SLOT_ADDRESSED)
		return CC_CONTEXT_STATE;
	if (t->control & DECONFIGURE) {
		for (unsigned dci = 2; dci <= XHCI_EPS; dci++)
			drop_ep(x, slot, dci);
		x->slot[slot - 1].state = SLOT_ADDRESSED;
		put_slot(x, slot, 1);
		return CC_SUCCESS;
	}
	if (!read_ctx(x, in, 0, control) || !read_ctx(x, in, 1, slot_ctx))
		return CC_TRB;
	if (control[0] & 3 || !(control[1] & 1))
		return CC_PARAMETER;
	for (unsigned dci = 2; dci <= XHCI_EPS; dci++) {
		if (control[0] >> dci & 1)
			drop_ep(x, slot, dci);
		if (!(control[1] >> dci & 1))
			continue;
		if (!read_ctx(x, in, dci + 1, ctx) || !take_ep(x, slot, dci, ctx))
			return CC_PARAMETER;
		entries = dci;
	}
	x->slot[slot - 1].state = SLOT_CONFIGURED;
	put_slot(x, slot, slot_ctx[0] >> 27 ? slot_ctx[0] >> 27 : entries);
	return CC_SUCCESS;
}

static unsigned evaluate(struct xhci *x, unsigned slot, const struct xhci_trb *t)
{
	uint64_t in = t->param & ~(uint64_t)15, out = output(x, slot);
	uint32_t control[8], from[8], to[8];

	if (!read_ctx(x, in, 0, control))
		return CC_TRB;
	if (control[0] || control[1] & ~3u)
		return CC_PARAMETER;
	if (control[1] & 1) { /* exit latency, interrupter */
		if (!read_ctx(x, in, 1, from) || !read_ctx(x, out, 0, to))
			return CC_PARAMETER;
		to[1] = (to[1] & 0xffff0000u) | (from[1] & 0xffff);
		to[2] = (to[2] & 0x003fffffu) | (from[2] & 0xffc00000u);
		if (!write_ctx(x, out, 0, to))
			return CC_PARAMETER;
	}
	if (control[1] & 2) { /* the largest packet */
		if (!read_ctx(x, in, 2, from) || !read_ctx(x, out, 1, to))
			return CC_PARAMETER;
		to[1] = (to[1] & 0xffff) | (from[1] & 0xffff0000u);
		if (!write_ctx(x, out, 1, to))
			return CC_PARAMETER;
	}
	return CC_SUCCESS;
}

/* Reset, stop, and where to go on. */
static unsigned endpoint(struct xhci *x, unsigned slot, const struct xhci_trb *t)
{
	unsigned dci = t->control >> 16 & 31, type = TRB_TYPE(t);
	struct xhci_ep *ep = dci ? xhci_ep(x, slot, dci) : NULL;

	if (!ep || ep->state == EP_DISABLED)
		return ep ? CC_EP_OFF : CC_TRB;
	if (type == CMD_RESET_EP && ep->state != EP_HALTED)
		return CC_CONTEXT_STATE;
	if (type == CMD_STOP_EP && ep->state != EP_RUNNING)
		return CC_CONTEXT_STATE;
	if (type == CMD_SET_DEQUEUE) {
		if (ep->state == EP_RUNNING || ep->state == EP_HALTED)
			return CC_CONTEXT_STATE;
		ep->dequeue = t->param & ~(uint64_t)15;
		ep->cycle = t->param & 1;
		ep->has_setup = 0;
	} else {
		ep->state = EP_STOPPED;
	}
	xhci_put_ep(x, slot, dci);
	return CC_SUCCESS;
}

static unsigned reset_device(struct xhci *x, unsigned slot)
{
	if (x->slot[slot - 1].state < SLOT_ADDRESSED)
		return CC_CONTEXT_STATE;
	for (unsigned dci = 2; dci <= XHCI_EPS; dci++)
		drop_ep(x, slot, dci);
	x->slot[slot - 1].state = SLOT_DEFAULT;
	put_slot(x, slot, 1);
	return CC_SUCCESS;
}

static unsigned carry_out(struct xhci *x, const struct xhci_trb *t, unsigned *slot)
{
	switch (TRB_TYPE(t)) {
	case CMD_ENABLE_SLOT:
		return enable_slot(x, slot);
	case CMD_NOOP:
		return CC_SUCCESS;
	default:
		break;
	}
	*slot = t->control >> 24;
	if (!*slot || *slot > XHCI_SLOTS || !x->slot[*slot - 1].on)
		return CC_SLOT_OFF;
	switch (TRB_TYPE(t)) {
	case CMD_DISABLE_SLOT:
		return disable_slot(x, *slot);
	case CMD_ADDRESS:
		return address(x, *slot, t);
	case CMD_CONFIGURE:
		return configure(x, *slot, t);
	case CMD_EVALUATE:
		return evaluate(x, *slot, t);
	case CMD_RESET_EP:
	case CMD_STOP_EP:
	case CMD_SET_DEQUEUE:
		return endpoint(x, *slot, t);
	case CMD_RESET_DEVICE:
		return reset_device(x, *slot);
	default:
		return CC_TRB;
	}
}

void xhci_commands(struct xhci *x)
{
	struct xhci_trb t;

	for (unsigned i = 0;
	     i < COMMANDS_MAX && x->cr_running && xhci_running(x) && xhci_event_room(x, 2); i++) {
		unsigned slot = 0, code;

		if (!xhci_fetch(x, &x->cr_at, &x->cr_cycle, &t))
			return;
		code = carry_out(x, &t, &slot);
		xhci_event(x, t.at, code << 24, (uint32_t)slot << 24 | EVENT_COMMAND << 10);
	}
}
