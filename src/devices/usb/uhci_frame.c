// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * UHCI: a frame of the schedule: the list's entry, its TDs and queues.
 * Source: UHCI Design Guide 1.1 §3 (data structures), §3.4 (traversal). Threads: with the VM lock held.
 *
 * Data toggles are not compared: a packet here is never lost. Transactions take no time, so a frame carries out what
 * its schedule has, up to UHCI_WORK steps.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"
#include "devices/usb/uhci_int.h"

#define LINK_T 1u
#define LINK_Q 2u
#define LINK_VF 4u
#define LINK_AT(l) ((l) & ~15u)

#define TD_ACTLEN 0x7ffu
#define TD_TIMEOUT (1u << 18)
#define TD_NAK (1u << 19)
#define TD_BABBLE (1u << 20)
#define TD_STALLED (1u << 22)
#define TD_ACTIVE (1u << 23)
#define TD_IOC (1u << 24)
#define TD_ISO (1u << 25)
#define TD_CERR (3u << 27)
#define TD_CERR_ONE (1u << 27)
#define TD_SPD (1u << 29)
#define TD_ERRORS (0x7eu << 16)

#define LEN_NONE 0x7ffu
#define LEN_MAX 0x4ffu /* the most that is no error (§3.2.3) */

struct td {
	uint32_t at, link, ctrl, token, buffer;
};

struct walk {
	struct uhci *u;
	bool did;	  /* something happened */
	uint8_t why;	  /* UHCI_WHY_*: to be told at the frame's end */
	uint32_t qh;	  /* the queue being worked at; 0: none */
	uint32_t qh_link; /* what comes behind it */
	/* A circle of queues in which nothing more happens: one queue is remembered, later and later ones. */
	uint32_t mark;
	unsigned queues;
	bool did_since;
};

enum step { STEP_NEXT, STEP_ASIDE, STEP_END };

static bool read_words(struct uhci *u, uint32_t at, uint32_t *words, unsigned n)
{
	uint8_t raw[16];

	if (mem_read(u->mem, at, raw, 4 * n)) {
		uhci_halt(u, USBSTS_HSE);
		return false;
	}
	for (unsigned i = 0; i < n; i++)
		words[i] = ld_le32(raw + 4 * i);
	return true;
}

static bool write_word(struct uhci *u, uint32_t at, uint32_t word)
{
	uint8_t raw[4];

	st_le32(raw, word);
	if (!mem_write(u->mem, at, raw, sizeof(raw)))
		return true;
	uhci_halt(u, USBSTS_HSE);
	return false;
}

/* ---- Transactions ------------------------------------------------------------------------------- */

/* Whoever hears that address: at a port that is enabled and neither reset nor suspended, or below a hub there. NULL: nobody. */
static struct usb_device *listener(struct uhci *u, unsigned addr, struct usb_pipe **pipe)
{
	for (unsigned port = 0; port < UHCI_PORTS; port++) {
		struct usb_device *d = u->at[port];

		if (!d ||
		    (u->portsc[port] & (PORTSC_PED | PORTSC_PR | PORTSC_SUSPEND)) != PORTSC_PED)
			continue;
		*pipe = &u->pipe[port];
		if ((*pipe)->addr == addr)
			return d;
		d = d->ops->find ? d->ops->find(d, addr, pipe) : NULL;
		if (d)
			return d;
	}
	return NULL;
}

/* Bytes that were moved, or USB_NAK and so on. A halted controller means that its memory is not there. */
static int transact(struct uhci *u, const struct td *t, uint8_t pid, unsigned len)
{
	uint8_t data[LEN_MAX + 1];
	struct usb_pipe *pipe = NULL;
	struct usb_device *d = listener(u, t->token >> 8 & 127, &pipe);
	int n;

	if (!d)
		return USB_TIMEOUT;
	if (pid != USB_PID_IN && len && mem_read(u->mem, t->buffer, data, len)) {
		uhci_halt(u, USBSTS_HSE);
		return USB_TIMEOUT;
	}
	n = usb_pipe_token(pipe, d, pid, t->token >> 15 & 15, data, len);
	if (pid == USB_PID_IN && n > 0 && mem_write(u->mem, t->buffer, data, (unsigned)n)) {
		uhci_halt(u, USBSTS_HSE);
		return USB_TIMEOUT;
	}
	return n;
}

/* No answer: another try next frame, while there are some. True: this was the last. */
static bool no_answer(struct td *t)
{
	unsigned tries = (t->ctrl & TD_CERR) / TD_CERR_ONE;

	t->ctrl |= TD_TIMEOUT;
	if (t->ctrl & TD_ISO) {
		t->ctrl &= ~TD_ACTIVE;
		return false;
	}
	if (!tries) /* without end */
		return false;
	t->ctrl -= TD_CERR_ONE;
	if (tries > 1)
		return false;
	t->ctrl = (t->ctrl & ~TD_ACTIVE) | TD_STALLED;
	return true;
}

/* What the transaction came to, in the TD. True: it is an error. */
static bool settle(struct td *t, int n)
{
	t->ctrl &= ~(TD_ACTLEN | TD_ERRORS);
	switch (n) {
	case USB_NAK:
		t->ctrl |= TD_NAK | LEN_NONE;
		if (t->ctrl & TD_ISO)
			t->ctrl &= ~TD_ACTIVE;
		return false;
	case USB_TIMEOUT:
		t->ctrl |= LEN_NONE;
		return no_answer(t);
	case USB_STALL:
	case USB_BABBLE:
		t->ctrl |= TD_STALLED | LEN_NONE | (n == USB_BABBLE ? TD_BABBLE : 0);
		t->ctrl &= ~TD_ACTIVE;
		return true;
	default:
		t->ctrl &= ~TD_ACTIVE;
		t->ctrl |= (uint32_t)(n - 1) & TD_ACTLEN;
		return false;
	}
}

/* One TD. */
static enum step do_td(struct walk *w, struct td *t)
{
	struct uhci *u = w->u;
	uint8_t pid = (uint8_t)t->token;
	unsigned len = ((t->token >> 21) + 1) & 0x7ff;
	uint32_t before = t->ctrl;
	bool is_short;
	int n;

	if (t->ctrl & TD_IOC && !(t->ctrl & TD_ACTIVE))
		w->why |= UHCI_WHY_IOC; /* §3.2.2: also then */
	if (!(t->ctrl & TD_ACTIVE))
		return STEP_ASIDE;
	if ((pid != USB_PID_IN && pid != USB_PID_OUT && pid != USB_PID_SETUP) ||
	    len > LEN_MAX + 1) {
		uhci_halt(u, USBSTS_HCPE);
		return STEP_END;
	}
	n = transact(u, t, pid, len);
	if (!uhci_running(u))
		return STEP_END;
	if (settle(t, n))
		u->sts |= USBSTS_ERROR;
	is_short = n >= 0 && pid == USB_PID_IN && (unsigned)n < len && w->qh && t->ctrl & TD_SPD;
	if (t->ctrl != before && !write_word(u, t->at + 4, t->ctrl))
		return STEP_END;
	w->did |= t->ctrl != before;
	if (t->ctrl & TD_ACTIVE)
		return STEP_ASIDE;
	w->did_since = true;
	if (t->ctrl & TD_IOC)
		w->why |= UHCI_WHY_IOC;
	if (is_short)
		w->why |= UHCI_WHY_SPD;
	if (u->cmd & USBCMD_SWDBG) {
		uhci_halt(u, 0);
		/* Its queue goes on, for the next time. */
		if (n >= 0 && !is_short && w->qh)
			(void)!write_word(u, w->qh + 4, t->link);
		return STEP_END;
	}
	return n >= 0 && !is_short ? STEP_NEXT : STEP_ASIDE;
}

/* ---- The schedule ------------------------------------------------------------------------------- */

/* Has the walk come round to a queue without anything having happened since? */
static bool goes_in_circles(struct walk *w, uint32_t at)
{
	if (w->queues && at == w->mark) {
		if (!w->did_since)
			return true;
		w->did_since = false;
	}
	w->queues++;
	if (!(w->queues & (w->queues - 1))) {
		w->mark = at;
		w->did_since = false;
	}
	return false;
}

/* A queue: *link is what is to be done next. False: the frame is over. */
static bool enter_queue(struct walk *w, uint32_t *link)
{
	uint32_t at = LINK_AT(*link), words[2];

	if (goes_in_circles(w, at) || !read_words(w->u, at, words, 2))
		return false;
	w->qh = 0;
	if (words[1] & LINK_T) {
		*link = words[0];
		return true;
	}
	if (!(words[1] & LINK_Q)) {
		w->qh = at;
		w->qh_link = words[0];
	}
	*link = words[1];
	return true;
}

/* A TD, alone or of a queue: likewise. */
static bool enter_td(struct walk *w, uint32_t *link)
{
	uint32_t words[4];
	struct td t;
	enum step step;

	if (!read_words(w->u, LINK_AT(*link), words, 4))
		return false;
	t = (struct td){LINK_AT(*link), words[0], words[1], words[2], words[3]};
	step = do_td(w, &t);
	if (step == STEP_END)
		return false;
	if (!w->qh) {
		*link = t.link;
		return true;
	}
	if (step == STEP_NEXT) {
		if (!write_word(w->u, w->qh + 4, t.link))
			return false;
		/* Depth first: the same queue's next. */
		if (t.link & LINK_VF && !(t.link & LINK_T)) {
			*link = t.link;
			return true;
		}
	}
	*link = w->qh_link;
	w->qh = 0;
	return true;
}

bool uhci_entry(struct uhci *u, uint32_t *entry)
{
	return read_words(u, u->flbase + 4u * (u->frnum & 1023), entry, 1);
}

bool uhci_frame(struct uhci *u, uint32_t entry)
{
	struct walk w = {.u = u};
	uint32_t link = entry;

	for (unsigned i = 0; i < UHCI_WORK && !(link & LINK_T); i++) {
		if (!(link & LINK_Q ? enter_queue(&w, &link) : enter_td(&w, &link)))
			break;
	}
	if (w.why) {
		u->sts |= USBSTS_USBINT;
		u->why |= w.why;
	}
	return w.did || w.why || !uhci_running(u);
}
