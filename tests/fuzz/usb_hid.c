// SPDX-License-Identifier: GPL-2.0-or-later
/* Fuzz requests to USB keyboard, mouse, tablet and hub, by packets, with people at them: make t T=fuzz/usb_hid */
#include "device_harness.h"
#include "devices/usb/usb_hub.h"
#include "devices/usb/usb_kbd.h"
#include "devices/usb/usb_mouse.h"
#include "devices/usb/usb_pipe.h"
#include "devices/usb/usb_tablet.h"

static void fuzz_token(struct fuzz_in *in, struct usb_pipe *p, struct usb_device *d)
{
	static const uint8_t pids[] = {USB_PID_IN, USB_PID_OUT, USB_PID_SETUP, USB_PID_SETUP};
	uint8_t how = fuzz_u8(in), pid = pids[how & 3];
	unsigned len = pid == USB_PID_SETUP && how & 0x3c ? 8 : fuzz_u8(in) * 5;
	uint8_t *data = calloc(1, len + 1);
	int n;

	FUZZ_CHECK(data);
	for (unsigned i = 0; pid != USB_PID_IN && i < len && i < 16; i++)
		data[i] = fuzz_u8(in);
	n = usb_pipe_token(p, d, pid, how & 0x40 ? how >> 2 & 15 : 0, data, len);
	FUZZ_CHECK(n >= USB_TIMEOUT && n <= (int)len);
	FUZZ_CHECK(usb_pipe_is_sound(p));
	free(data);
}

static void fuzz_event(struct fuzz_in *in, struct usb_hid *h)
{
	uint8_t how = fuzz_u8(in);
	struct input_event ev = {.down = how & 1};

	if (h->sink.can & INPUT_CAN_KEYS) {
		ev.kind = INPUT_KEY;
		ev.code = (uint16_t)(1 + fuzz_u8(in) % (INPUT_KEYS - 1));
	} else if (how & 2) {
		ev.kind = INPUT_BUTTON;
		ev.code = fuzz_u8(in) % INPUT_BUTTONS;
	} else if (h->sink.can & INPUT_CAN_ABS) {
		ev.kind = INPUT_ABS;
		ev.code = how >> 2 & 1;
		ev.value = (int32_t)fuzz_uint(in, 2) & INPUT_ABS_MAX;
	} else {
		ev.kind = INPUT_REL;
		ev.code = how >> 2 & 1;
		ev.value = (int32_t)(fuzz_uint(in, 3) & 0x1fffff) - (1 << 20);
	}
	h->sink.event(h->sink.opaque, &ev);
	if (how & 0x80)
		h->sink.sync(h->sink.opaque);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	struct io_loop *loop = fake_begin();
	static struct usb_pipe p[4];
	struct usb_pipe *below = NULL;
	struct usb_hub *hub = usb_hub_new();
	struct usb_hid *h[3] = {usb_kbd_new(loop), usb_mouse_new(loop), usb_tablet_new(loop)};

	FUZZ_CHECK(h[0] && h[1] && h[2] && hub && usb_hub_plug(hub, &h[1]->usb, 3) == 3);
	memset(p, 0, sizeof(p));
	for (unsigned step = 0; in.left && step < FUZZ_MAX_STEPS; step++) {
		uint8_t op = fuzz_u8(&in);
		unsigned i = (op >> 4) % 4;
		struct usb_device *d = i == 3 ? usb_hub_device(hub) : &h[i]->usb;

		switch (op & 15) {
		case 0:
			fuzz_save_load(&d->dev);
			break;
		case 1:
			fuzz_load_damaged(&in, &d->dev);
			break;
		case 2:
			fuzz_time(&in);
			break;
		case 3:
			usb_pipe_reset(&p[i]);
			d->ops->reset(d);
			break;
		case 4:
		case 5:
		case 6:
			fuzz_event(&in, h[i % 3]);
			break;
		default:
			fuzz_token(&in, &p[i], d);
			d = i == 3 ? d->ops->find(d, op & 15, &below) : NULL;
			if (d)
				fuzz_token(&in, below, d);
			break;
		}
	}
	usb_hub_free(hub);
	usb_kbd_free(h[0]);
	usb_mouse_free(h[1]);
	usb_tablet_free(h[2]);
	return 0;
}
