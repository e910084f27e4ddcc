// SPDX-License-Identifier: GPL-2.0-or-later
/* Fuzz the xHCI and its tablet: registers, rings and contexts of any content: make t T=fuzz/xhci */
#include "base/range.h"
#include "device_harness.h"
#include "pci_harness.h"
#include "xhci_driver.h"

static void fuzz_register(struct fuzz_in *in, struct xd *d)
{
	static const uint16_t places[] = {0x00, 0x40, 0x44, 0x54, 0x58, 0x5c, 0x70, 0x74, 0x78, 0x440, 0x450,
					  0x480, 0x1020, 0x1024, 0x1028, 0x1030, 0x1034, 0x1038, 0x103c,
					  0x2000, 0x2004, 0x2008, 0x2020, 0x3ffc};
	uint8_t how = fuzz_u8(in);
	unsigned off = places[how % ARRAY_SIZE(places)];
	unsigned size = 1u << (how >> 5) % 3;

	if (how & 0x80)
		bus_mmio_read(d->bus, XD_BAR + off, size);
	else
		bus_mmio_write(d->bus, XD_BAR + off, fuzz_uint(in, 4), 4);
}

/* A TRB or context somewhere among the rings, or any bytes. */
static void fuzz_memory(struct fuzz_in *in, struct xd *d)
{
	uint8_t how = fuzz_u8(in), type = fuzz_u8(in);
	gpa_t at = ((how & 7) + 1) * 0x1000u + (fuzz_u8(in) & 63) * 16u;

	if (how & 0x80)
		xd_trb(d, at, fuzz_uint(in, 8), (uint32_t)fuzz_uint(in, 4), (uint32_t)fuzz_uint(in, 4));
	else
		xd_trb(d, at, (how & 0x40 ? XD_EP0 : XD_DATA) + (fuzz_u8(in) & 63) * 16u, type & 31,
		       (uint32_t)(type & 63) << 10 | (how & 1) | (fuzz_u8(in) & 0x7e) | 1u << 24 |
			       (uint32_t)(how & 3) << 16);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	static struct xd d;
	uint8_t how = fuzz_u8(&in);
	uint32_t got;

	xd_init(&d);
	if (how & 1)
		xd_start(&d);
	if ((how & 3) == 3)
		xd_address(&d);
	if ((how & 7) == 7)
		xd_configure(&d);
	for (unsigned step = 0; in.left && step < FUZZ_MAX_STEPS; step++) {
		uint8_t op = fuzz_u8(&in);
		struct fuzz_pci p = {d.bus, d.pb};

		switch (op & 15) {
		case 0:
			fuzz_save_load(xhci_device(d.x));
			fuzz_save_load(&d.t->usb.dev);
			break;
		case 1:
			fuzz_load_damaged(&in, op & 16 ? xhci_device(d.x)
						       : &d.t->usb.dev);
			break;
		case 2:
			fuzz_pci_config(&in, &p, XD_DEVFN);
			break;
		case 3:
			if (op == 3)
				xhci_device(d.x)->cls->reset(xhci_device(d.x));
			xd_place(&d);
			break;
		case 4:
			if (op & 16)
				xd_start(&d);
			xd_queue(&d, op);
			d.ep1 &= 63;
			break;
		case 5:
			xd_control(&d, (uint16_t)fuzz_uint(&in, 2), (uint16_t)fuzz_uint(&in, 2),
				   (uint16_t)fuzz_uint(&in, 2), fuzz_u8(&in), &got);
			d.ep0 &= 63;
			break;
		case 6:
			xd_point(&d, fuzz_u8(&in) << 7, fuzz_u8(&in) << 7, op >> 4 & 7, op & 128);
			break;
		case 7:
			xd_command(&d, (uint64_t)(op >> 4) << 12, (uint32_t)fuzz_uint(&in, 4));
			d.cmd &= 63;
			break;
		case 8:
		case 9:
		case 10:
			fuzz_memory(&in, &d);
			break;
		default:
			fuzz_register(&in, &d);
			break;
		}
		fuzz_pci_check(&p, XD_DEVFN, 0x000d1b36);
	}
	xd_free(&d);
	return 0;
}
