// SPDX-License-Identifier: GPL-2.0-or-later
/* The requests every USB device has. See usb_std.h. Threads: with the VM lock held. */
#include "devices/usb/usb_std.h"

#include <string.h>

#include "base/bytes.h"
#include "base/range.h"

#define GET_STATUS_DEVICE 0x8000u
#define GET_STATUS_INTERFACE 0x8100u
#define GET_STATUS_ENDPOINT 0x8200u
#define CLEAR_FEATURE_DEVICE 0x0001u
#define SET_FEATURE_DEVICE 0x0003u
#define CLEAR_FEATURE_ENDPOINT 0x0201u
#define SET_FEATURE_ENDPOINT 0x0203u
#define SET_ADDRESS 0x0005u
#define GET_DESCRIPTOR 0x8006u
#define GET_CONFIGURATION 0x8008u
#define SET_CONFIGURATION 0x0009u
#define GET_INTERFACE 0x810au
#define SET_INTERFACE 0x010bu

#define ATTRIBUTES 7u /* in a configuration's descriptor; bit 6: powered by itself */
#define ENDPOINT 0x81u
#define PACKET 64u /* of endpoint 0 */

int usb_give(const struct usb_setup *s, uint8_t *data, const void *from, size_t len)
{
	size_t n = min_u64(len, s->length);

	memcpy(data, from, n);
	return (int)n;
}

/* Descriptors of strings: UTF-16. */
static int string(const struct usb_std *u, const struct usb_setup *s, uint8_t *data)
{
	const char *const text[] = {NULL, "Lodge", u->product, "1"};
	static const uint8_t languages[] = {4, USB_DESC_STRING, 0x09, 0x04};
	unsigned n = s->value & 0xff;
	uint8_t out[64] = {0};
	size_t len;

	if (!n)
		return usb_give(s, data, languages, sizeof(languages));
	if (n >= ARRAY_SIZE(text))
		return USB_STALL;
	len = min_u64(strlen(text[n]), sizeof(out) / 2 - 1);
	out[0] = (uint8_t)(2 + 2 * len);
	out[1] = USB_DESC_STRING;
	for (size_t i = 0; i < len; i++)
		out[2 + 2 * i] = (uint8_t)text[n][i];
	return usb_give(s, data, out, out[0]);
}

static int descriptor(const struct usb_std *u, const struct usb_device *d,
		      const struct usb_setup *s, uint8_t *data, const uint8_t *config,
		      size_t config_len)
{
	/* clang-format off */
	const uint8_t device[] = {
		18, USB_DESC_DEVICE, 0x00, 0x02,       /* USB 2.0 */
		u->cls, 0, u->protocol, PACKET,
		(uint8_t)u->vendor, (uint8_t)(u->vendor >> 8), (uint8_t)u->id, (uint8_t)(u->id >> 8),
		0x00, 0x00, 1, 2, 3, 1,                /* strings; one configuration */
	};
	const uint8_t qualifier[] = {10, USB_DESC_QUALIFIER, 0x00, 0x02, u->cls, 0, 0, PACKET, 1, 0};
	/* clang-format on */

	switch (s->value >> 8) {
	case USB_DESC_DEVICE:
		return usb_give(s, data, device, sizeof(device));
	case USB_DESC_CONFIG:
		return s->value & 0xff ? USB_STALL : usb_give(s, data, config, config_len);
	case USB_DESC_STRING:
		return string(u, s, data);
	case USB_DESC_QUALIFIER: /* one that is fast could be slower */
		return d->speed == USB_HIGH ? usb_give(s, data, qualifier, sizeof(qualifier))
					    : USB_STALL;
	default:
		return USB_STALL;
	}
}

static int feature(struct usb_std *u, struct usb_device *d, const struct usb_setup *s, bool on)
{
	if (s->type == 0 && s->value == 1) /* DEVICE_REMOTE_WAKEUP */
		d->remote_wakeup = on;
	else if (s->type == 2 && s->value == 0 && s->index == ENDPOINT) /* ENDPOINT_HALT */
		u->halted = on;
	else
		return USB_STALL;
	return 0;
}

static int status(const struct usb_std *u, const struct usb_device *d, const struct usb_setup *s,
		  uint8_t *data, uint8_t attributes)
{
	uint8_t out[2] = {0};

	if (s->type == 0x80)
		out[0] = (uint8_t)(d->remote_wakeup << 1 | (attributes >> 6 & 1));
	else if (s->type == 0x82 && s->index == ENDPOINT)
		out[0] = u->halted;
	return usb_give(s, data, out, sizeof(out));
}

int usb_std_control(struct usb_std *u, struct usb_device *d, const struct usb_setup *s,
		    uint8_t *data, const uint8_t *config, size_t config_len, bool *configured)
{
	*configured = false;
	switch (usb_request(s)) {
	case GET_STATUS_DEVICE:
	case GET_STATUS_INTERFACE:
	case GET_STATUS_ENDPOINT:
		return status(u, d, s, data, config[ATTRIBUTES]);
	case CLEAR_FEATURE_DEVICE:
	case CLEAR_FEATURE_ENDPOINT:
		return feature(u, d, s, false);
	case SET_FEATURE_DEVICE:
	case SET_FEATURE_ENDPOINT:
		return feature(u, d, s, true);
	case SET_ADDRESS: /* the controller's */
		return 0;
	case GET_DESCRIPTOR:
		return descriptor(u, d, s, data, config, config_len);
	case GET_CONFIGURATION:
		return usb_give(s, data, &u->config, 1);
	case SET_CONFIGURATION:
		if (s->value > 1)
			return USB_STALL;
		u->config = (uint8_t)s->value;
		u->halted = 0;
		*configured = true;
		return 0;
	case GET_INTERFACE:
		return usb_give(s, data, "", 1);
	case SET_INTERFACE:
		return s->value ? USB_STALL : 0;
	default:
		return USB_STALL;
	}
}

bool usb_std_is_sound(const struct usb_std *u, const struct usb_device *d)
{
	return u->config <= 1 && u->halted <= 1 && d->remote_wakeup <= 1;
}
