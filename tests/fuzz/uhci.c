// SPDX-License-Identifier: GPL-2.0-or-later
/* Fuzz the UHCI, its keyboard and tablet: registers, lists, queues and TDs of any content: make t T=fuzz/uhci */
#include "base/range.h"
#include "device_harness.h"
#include "pci_harness.h"
#include "uhci_driver.h"

static void fuzz_register(struct fuzz_in *in, struct ud *d)
{
	uint8_t how = fuzz_u8(in);
	unsigned off = how & 31, size = 1u << (how >> 5) % 3;

	if (how & 0x80)
		FUZZ_CHECK(bus_pio_read(d->bus, (uint16_t)(UD_PORT + off), size) >> 8 * size == 0);
	else
		bus_pio_write(d->bus, (uint16_t)(UD_PORT + off), fuzz_uint(in, size), size);
}

/* A link to a queue or TD among the few there are, or any. */
static uint32_t fuzz_link(struct fuzz_in *in)
{
	uint8_t b = fuzz_u8(in);

	if (b & 0x80)
		return (uint32_t)fuzz_uint(in, 4);
	if (b & 0x40)
		return (UD_QH + 16u * (b >> 3 & 7)) | UD_Q | (b & 1);
	return (uint32_t)ud_td(b >> 3 & 7) | (b & 5);
}

static void fuzz_memory(struct fuzz_in *in, struct ud *d)
{
	static const uint8_t pids[] = {USB_PID_IN, USB_PID_IN, USB_PID_OUT, USB_PID_SETUP};
	uint8_t how = fuzz_u8(in), b = fuzz_u8(in);
	unsigned n = how >> 5;

	switch (how & 7) {
	case 0:
		ud_put(d, UD_QH + 16 * n, fuzz_link(in));
		break;
	case 1:
		ud_put(d, UD_QH + 16 * n + 4, fuzz_link(in));
		break;
	case 2:
		ud_put(d, UD_LIST + 4u * b, fuzz_link(in));
		break;
	case 3:
		ud_put(d, ud_td(n), fuzz_link(in));
		break;
	case 4:
		for (unsigned i = 0; i < 4; i++)
			ud_put(d, ud_td(n) + 4 * i, (uint32_t)fuzz_uint(in, 4));
		break;
	case 5:
		ud_put(d, UD_SETUP, (uint32_t)fuzz_uint(in, 4));
		ud_put(d, UD_SETUP + 4, fuzz_u8(in) << 8 | (uint32_t)fuzz_u8(in) << 16);
		break;
	default:
		ud_make(d, n, b & 1, (uint32_t)fuzz_u8(in) << 24, pids[b >> 1 & 3], b >> 3 & 3 ? 4 + (b >> 3 & 3) : 0,
			b & 0x20 ? 1 : 0, b & 0x40 ? 8 : fuzz_u8(in), b & 0x80 ? UD_SETUP : UD_DATA);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	static struct ud d;
	uint8_t how = fuzz_u8(&in);

	ud_init(&d);
	if (how & 1)
		ud_start(&d);
	if ((how & 3) == 3)
		ud_enumerate(&d);
	for (unsigned step = 0; in.left && step < FUZZ_MAX_STEPS; step++) {
		uint8_t op = fuzz_u8(&in);
		struct fuzz_pci p = {d.bus, d.pb};
		struct device *dev = op & 16   ? uhci_device(d.u)
				     : op & 32 ? &d.k->usb.dev
					       : &d.t->usb.dev;

		switch (op & 15) {
		case 0:
			fuzz_save_load(dev);
			break;
		case 1:
			fuzz_load_damaged(&in, dev);
			break;
		case 2:
			fuzz_pci_config(&in, &p, UD_DEVFN);
			break;
		case 3:
			if (op == 3)
				dev->cls->reset(dev);
			ud_place(&d);
			break;
		case 4:
			if (op & 16)
				ud_start(&d);
			ud_queue(&d, op >> 5);
			break;
		case 5:
			ud_control(&d, op >> 4 & 7, (uint16_t)fuzz_uint(&in, 2), (uint16_t)fuzz_uint(&in, 2),
				   (uint16_t)fuzz_uint(&in, 2), fuzz_u8(&in), 2);
			break;
		case 6:
			ud_key(&d, (enum input_key)(fuzz_u8(&in) % INPUT_KEYS), op & 128);
			break;
		case 7:
		case 8:
			fake_advance((op >> 4) * 1500000ull);
			break;
		case 9:
		case 10:
		case 11:
		case 12:
			fuzz_memory(&in, &d);
			break;
		default:
			fuzz_register(&in, &d);
			break;
		}
		fuzz_pci_check(&p, UD_DEVFN, 0x70208086);
	}
	ud_free(&d);
	return 0;
}
