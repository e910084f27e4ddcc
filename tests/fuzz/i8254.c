// SPDX-License-Identifier: GPL-2.0-or-later
/* Fuzz the interval timer and port 0x61: make t T=fuzz/i8254 */
#include "device_harness.h"
#include "devices/legacy/i8254.h"
#include "devices/legacy/port61.h"
#include "wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t ports[] = {0x40, 0x41, 0x42, 0x43, 0x43, 0x61};
	struct fuzz_in in = {data, size};
	struct wire irq = {0}, nmi = {0};
	struct bus *bus = bus_new();
	struct i8254 *pit = i8254_new(fake_begin(), wire_line(&irq));
	struct port61 *p61 = port61_new(pit, wire_line(&nmi));

	FUZZ_CHECK(bus && pit && p61 && i8254_map(pit, bus, 0x40) == 0);
	FUZZ_CHECK(port61_map(p61, bus, 0x61) == 0);
	for (unsigned step = 0; in.left && step < 200; step++) {
		uint8_t op = fuzz_u8(&in);
		uint64_t fired = fake.loop.fired, then = fake.now;

		switch (op & 7) {
		case 0:
			fuzz_time(&in);
			/* However programmed, at most 40 kHz of interrupts. */
			FUZZ_CHECK(fake.loop.fired - fired <= (fake.now - then) / 25000 + 2);
			break;
		case 1:
			fake.now += fuzz_uint(&in, 4); /* the host was late */
			break;
		case 2:
			i8254_set_gate(pit, op >> 3, fuzz_u8(&in) & 1);
			break;
		case 3:
			fuzz_save_load(op & 8 ? i8254_device(pit) : port61_device(p61));
			break;
		case 4:
			fuzz_load_damaged(&in, op & 8 ? i8254_device(pit) : port61_device(p61));
			break;
		case 5:
			port61_raise_serr(p61);
			FUZZ_CHECK(nmi.level == !!(inb(bus, 0x61) & 0xc0));
			break;
		default:
			fuzz_port_access(&in, bus, ports, 6);
			break;
		}
	}
	/* A new program always works. */
	outb(bus, 0x43, 0x30);
	outb(bus, 0x40, 100);
	outb(bus, 0x40, 0);
	i8254_set_gate(pit, 0, true);
	FUZZ_CHECK(!irq.level);
	fake_advance(NS_PER_SEC);
	FUZZ_CHECK(irq.level && i8254_out(pit, 0));
	port61_free(p61);
	i8254_free(pit);
	bus_free(bus);
	return 0;
}
