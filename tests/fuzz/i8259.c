// SPDX-License-Identifier: GPL-2.0-or-later
/* Fuzz the interrupt controllers: make t T=fuzz/i8259 */
#include "device_harness.h"
#include "devices/legacy/i8259.h"
#include "wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t ports[] = {0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1};
	struct fuzz_in in = {data, size};
	struct wire intr = {0};
	struct bus *bus = bus_new();

	fake_begin();

	struct i8259_pair *p = i8259_new(wire_line(&intr));

	FUZZ_CHECK(bus && p && i8259_map(p, bus) == 0);
	while (in.left) {
		uint8_t op = fuzz_u8(&in);
		int vector;

		switch (op & 7) {
		case 0:
			vector = i8259_ack(p);
			FUZZ_CHECK(vector >= 0 && vector <= 0xff);
			break;
		case 1:
		case 2:
			i8259_set_irq(p, op >> 3, op & 1);
			break;
		case 3:
			fuzz_save_load(i8259_device(p));
			break;
		case 4:
			fuzz_load_damaged(&in, i8259_device(p));
			break;
		default:
			fuzz_port_access(&in, bus, ports, 6);
			break;
		}
		FUZZ_CHECK(intr.level == i8259_intr(p));
	}
	/* Whatever happened, a new initialization makes it work. */
	for (int i = 0; i < 2; i++) {
		uint16_t port = i ? 0xa0 : 0x20;

		outb(bus, 0x4d0 + i, 0);
		outb(bus, port, 0x11);
		outb(bus, port + 1, 0x20);
		outb(bus, port + 1, 0);
		outb(bus, port + 1, 1);
		outb(bus, port + 1, 0xff);
	}
	outb(bus, 0x21, 0xf7);
	i8259_set_irq(p, 3, false);
	i8259_set_irq(p, 3, true);
	FUZZ_CHECK(intr.level && i8259_ack(p) == 0x23);
	i8259_free(p);
	bus_free(bus);
	return 0;
}
