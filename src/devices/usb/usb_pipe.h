/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A USB device behind a controller that sends packets (UHCI): its address, and endpoint 0's control transfers put
 * together from their packets.
 * Source: USB 2.0 §5.5 and §8.5.3 (control transfers), §9.4.6 (Set Address). Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_USB_USB_PIPE_H
#define LODGE_DEVICES_USB_USB_PIPE_H

#include "devices/usb/usb.h"

#define USB_PID_OUT 0xe1u
#define USB_PID_IN 0x69u
#define USB_PID_SETUP 0x2du

enum usb_pipe_stage {
	USB_PIPE_IDLE,
	USB_PIPE_DATA_IN,
	USB_PIPE_DATA_OUT,
	USB_PIPE_STATUS,  /* the host asks how it went */
	USB_PIPE_STALLED, /* until the next SETUP */
	USB_PIPE_STAGES
};

struct usb_pipe {
	uint8_t addr, stage;
	uint8_t setup[8];
	uint16_t len, at; /* bytes of data there are, and were moved; OUT: expected, and came */
	uint8_t data[USB_CONTROL_MAX];
};

/* Saved-state fields of an array `arr` of pipes in a device struct. */
#define USB_PIPE_STATE_FIELDS(type, arr)                                         \
	STATE_EACH(type, arr, addr), STATE_EACH(type, arr, stage),               \
		STATE_EACH_BUFFER(type, arr, setup), STATE_EACH(type, arr, len), \
		STATE_EACH(type, arr, at), STATE_EACH_BUFFER(type, arr, data)

/* The bus is reset: address 0, nothing under way. */
void usb_pipe_reset(struct usb_pipe *p);
bool usb_pipe_is_sound(const struct usb_pipe *p);
/*
 * One transaction with `d`, whose pipe it is: a token, and `len` bytes of `data` that go out, or room for them. How
 * many went, or USB_NAK, USB_STALL, USB_BABBLE, USB_TIMEOUT.
 */
int usb_pipe_token(struct usb_pipe *p, struct usb_device *d, uint8_t pid, unsigned ep,
		   uint8_t *data, unsigned len);

#endif
