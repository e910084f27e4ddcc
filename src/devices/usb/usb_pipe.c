// SPDX-License-Identifier: GPL-2.0-or-later
/* Control transfers by packets. See usb_pipe.h. Threads: with the VM lock held. */
#include "devices/usb/usb_pipe.h"

#include <string.h>

#include "base/bytes.h"
#include "base/range.h"

/* Of endpoint 0, as device descriptors here say. */
#define PACKET 64u
#define SET_ADDRESS 0x0005u
#define SETUP_BYTES 8u

void usb_pipe_reset(struct usb_pipe *p)
{
	p->addr = 0;
	p->stage = USB_PIPE_IDLE;
	p->len = p->at = 0;
}

bool usb_pipe_is_sound(const struct usb_pipe *p)
{
	return p->addr < 128 && p->stage < USB_PIPE_STAGES && p->len <= USB_CONTROL_MAX &&
	       p->at <= p->len;
}

static struct usb_setup read_setup(const struct usb_pipe *p)
{
	return (struct usb_setup){.type = p->setup[0],
				  .request = p->setup[1],
				  .value = ld_le16(p->setup + 2),
				  .index = ld_le16(p->setup + 4),
				  .length = ld_le16(p->setup + 6)};
}

static int stall(struct usb_pipe *p)
{
	p->stage = USB_PIPE_STALLED;
	return USB_STALL;
}

/* A device always takes it; what it thinks of it is told later. */
static int on_setup(struct usb_pipe *p, struct usb_device *d, const uint8_t *data, unsigned len)
{
	struct usb_setup s;
	int n;

	if (len != SETUP_BYTES)
		return USB_TIMEOUT;
	memcpy(p->setup, data, SETUP_BYTES);
	s = read_setup(p);
	p->len = p->at = 0;
	if (!s.length) {
		p->stage = USB_PIPE_STATUS;
	} else if (s.type & USB_DIR_IN) {
		s.length = (uint16_t)min_u64(s.length, USB_CONTROL_MAX);
		n = d->ops->control(d, &s, p->data);
		p->stage = n < 0 ? USB_PIPE_STALLED : USB_PIPE_DATA_IN;
		p->len = n > 0 ? (uint16_t)min_u64((uint64_t)n, s.length) : 0;
	} else if (s.length > USB_CONTROL_MAX) {
		p->stage = USB_PIPE_STALLED;
	} else {
		p->stage = USB_PIPE_DATA_OUT;
		p->len = s.length;
		memset(p->data, 0, sizeof(p->data));
	}
	return SETUP_BYTES;
}

/* How did it go? Requests without data, and those whose data went out, are carried out now. */
static int on_status(struct usb_pipe *p, struct usb_device *d)
{
	struct usb_setup s = read_setup(p);

	if (d->ops->control(d, &s, p->data) < 0)
		return stall(p);
	if (((unsigned)s.type << 8 | s.request) == SET_ADDRESS)
		p->addr = s.value & 127;
	p->stage = USB_PIPE_IDLE;
	return 0;
}

static int on_in(struct usb_pipe *p, struct usb_device *d, uint8_t *data, unsigned len)
{
	unsigned n;

	switch (p->stage) {
	case USB_PIPE_DATA_IN:
		n = (unsigned)min_u64(min_u64(len, PACKET), p->len - p->at);
		memcpy(data, p->data + p->at, n);
		p->at = (uint16_t)(p->at + n);
		return (int)n;
	case USB_PIPE_DATA_OUT:
	case USB_PIPE_STATUS:
		return on_status(p, d);
	default:
		return stall(p);
	}
}

static int on_out(struct usb_pipe *p, const uint8_t *data, unsigned len)
{
	if (p->stage == USB_PIPE_DATA_IN) { /* the status stage: the host has what it wants */
		p->stage = USB_PIPE_IDLE;
		return (int)len;
	}
	if (p->stage != USB_PIPE_DATA_OUT || len > (unsigned)(p->len - p->at))
		return stall(p);
	memcpy(p->data + p->at, data, len);
	p->at = (uint16_t)(p->at + len);
	return (int)len;
}

int usb_pipe_token(struct usb_pipe *p, struct usb_device *d, uint8_t pid, unsigned ep,
		   uint8_t *data, unsigned len)
{
	if (ep)
		return pid == USB_PID_IN ? d->ops->in(d, ep, data, len) : USB_STALL;
	if (pid == USB_PID_SETUP)
		return on_setup(p, d, data, len);
	return pid == USB_PID_IN ? on_in(p, d, data, len) : on_out(p, data, len);
}
