// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * xHCI: rings of TRBs, events, the interrupter.
 * Source: xHCI 1.1 §4.9 (rings), §4.17 (interrupters), §6.4 (TRBs), §6.5 (event ring segment table).
 * Threads: with the VM lock held.
 */
#include "base/bytes.h"
#include "base/range.h"
#include "devices/usb/xhci_int.h"

#define LINKS_MAX 8u
#define SEGMENT_MIN 16u
#define SEGMENT_MAX 4096u
#define IMAN_IP 1u
#define IMAN_IE 2u
#define USBCMD_INTE 4u
#define USBSTS_EINT 8u
#define ERDP_EHB 8u
#define ERDP_MASK (~(uint64_t)15)

static bool read_trb(struct xhci *x, uint64_t at, struct xhci_trb *t)
{
	uint8_t raw[TRB_BYTES];

	if (!pci_is_master(&x->pci) || mem_read(x->mem, at, raw, sizeof(raw)))
		return false;
	*t = (struct xhci_trb){.param = ld_le64(raw),
			       .status = ld_le32(raw + 8),
			       .control = ld_le32(raw + 12),
			       .at = at};
	return true;
}

bool xhci_fetch(struct xhci *x, uint64_t *dequeue, uint8_t *cycle, struct xhci_trb *t)
{
	for (unsigned links = 0; links < LINKS_MAX; links++) {
		if (!read_trb(x, *dequeue, t) || (t->control & TRB_C) != *cycle)
			return false;
		if (TRB_TYPE(t) != TRB_LINK) {
			*dequeue += TRB_BYTES;
			return true;
		}
		*dequeue = t->param & ERDP_MASK;
		if (t->control & TRB_TC)
			*cycle ^= 1;
	}
	return false;
}

/* ---- The event ring ----------------------------------------------------------------------------- */

/* Segment `n`: where it is, how many TRBs it has; 0: there is none. */
static uint32_t segment(struct xhci *x, uint32_t n, uint64_t *base)
{
	uint8_t raw[16];
	uint32_t size;

	if (n >= x->erstsz || !pci_is_master(&x->pci) ||
	    mem_read(x->mem, (x->erstba & ~(uint64_t)63) + (uint64_t)n * 16, raw, sizeof(raw)))
		return 0;
	*base = ld_le64(raw) & ~(uint64_t)63;
	size = ld_le32(raw + 8) & 0xffff;
	return size >= SEGMENT_MIN && size <= SEGMENT_MAX ? size : 0;
}

/* One place further. */
static bool advance(struct xhci *x, uint32_t *seg, uint32_t *index, uint8_t *cycle)
{
	uint64_t base;
	uint32_t size = segment(x, *seg, &base);

	if (!size)
		return false;
	if (++*index < size)
		return true;
	*index = 0;
	if (++*seg >= x->erstsz) {
		*seg = 0;
		*cycle ^= 1;
	}
	return true;
}

bool xhci_event_room(struct xhci *x, unsigned n)
{
	uint32_t seg = x->er_segment, index = x->er_index;
	uint8_t cycle = x->er_cycle;
	uint64_t base;

	/* One place stays free, by which a full ring differs from an empty one. */
	for (unsigned i = 0; i < n; i++) {
		if (!advance(x, &seg, &index, &cycle) || !segment(x, seg, &base) ||
		    base + (uint64_t)index * TRB_BYTES == (x->erdp & ERDP_MASK))
			return false;
	}
	return true;
}

void xhci_update_irq(struct xhci *x)
{
	bool level =
		(x->iman & (IMAN_IP | IMAN_IE)) == (IMAN_IP | IMAN_IE) && (x->cmd & USBCMD_INTE);

	pci_irq_set(&x->pci, level && !msix_enabled(&x->msix));
}

static void interrupt(struct xhci *x)
{
	x->sts |= USBSTS_EINT;
	x->erdp |= ERDP_EHB;
	x->iman |= IMAN_IP;
	if (msix_enabled(&x->msix) && (x->iman & IMAN_IE) && (x->cmd & USBCMD_INTE)) {
		/* A message takes the pending bit with it. */
		x->iman &= ~IMAN_IP;
		msix_notify(&x->msix, 0);
	}
	xhci_update_irq(x);
}

void xhci_event(struct xhci *x, uint64_t param, uint32_t status, uint32_t control)
{
	uint8_t raw[TRB_BYTES];
	uint64_t base;

	if (!xhci_event_room(x, 1) || !segment(x, x->er_segment, &base))
		return;
	st_le64(raw, param);
	st_le32(raw + 8, status);
	st_le32(raw + 12, (control & ~TRB_C) | x->er_cycle);
	if (mem_write(x->mem, base + (uint64_t)x->er_index * TRB_BYTES, raw, sizeof(raw)))
		return;
	(void)!advance(x, &x->er_segment, &x->er_index, &x->er_cycle);
	interrupt(x);
}

void xhci_event_ring_reset(struct xhci *x)
{
	x->er_segment = x->er_index = 0;
	x->er_cycle = 1;
}
