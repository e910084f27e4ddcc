// SPDX-License-Identifier: GPL-2.0-or-later
/* Fuzz the real-time clock: make t T=fuzz/mc146818 */
#include "device_harness.h"
#include "devices/legacy/mc146818.h"
#include "wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t ports[] = {0x70, 0x71, 0x72, 0x73};
	struct fuzz_in in = {data, size};
	struct wire irq = {0}, nmi = {0};
	struct mc146818_config cfg = {.loop = fake_begin(),
				      .irq = wire_line(&irq),
				      .nmi_mask = wire_line(&nmi)};
	struct bus *bus = bus_new();

	cfg.offset_s = (int32_t)fuzz_uint(&in, 4);

	struct mc146818 *r = mc146818_new(&cfg);

	FUZZ_CHECK(bus && r && mc146818_map(r, bus, 0x70) == 0);
	for (unsigned step = 0; in.left && step < 200; step++) {
		uint8_t op = fuzz_u8(&in);
		uint64_t fired = fake.loop.fired, then = fake.now;

		switch (op & 7) {
		case 0:
			fuzz_time(&in);
			/* 8192 Hz is the fastest rate, and an unread flag stops the timer. */
			FUZZ_CHECK(fake.loop.fired - fired <= (fake.now - then) / 122000 + 3);
			break;
		case 1:
			fake.now += fuzz_uint(&in, 6);
			break;
		case 2:
			if (op & 8)
				fuzz_save_load(mc146818_device(r));
			else
				fuzz_load_damaged(&in, mc146818_device(r));
			break;
		case 3: /* a register by its number */
		case 4:
			outb(bus, 0x70, op >> 3 & 15);
			if (op & 1)
				(void)inb(bus, 0x71);
			else
				outb(bus, 0x71, fuzz_u8(&in));
			break;
		case 5: /* what the chip shows is a time, unless the guest holds it */
			outb(bus, 0x70, 0x0b);
			if (inb(bus, 0x71) & 0x80)
				break;
			outb(bus, 0x70, 0x0a);
			if ((inb(bus, 0x71) & 0x60) == 0x60)
				break;
			outb(bus, 0x70, 0x08);
			FUZZ_CHECK(inb(bus, 0x71) - 1u < 0x12);
			outb(bus, 0x70, 0x07);
			FUZZ_CHECK(inb(bus, 0x71) - 1u < 0x31);
			break;
		default:
			fuzz_port_access(&in, bus, ports, 4);
			break;
		}
	}
	/* Reading C releases the pin. */
	outb(bus, 0x70, 0x0c);
	(void)inb(bus, 0x71);
	FUZZ_CHECK(!irq.level);
	mc146818_free(r);
	bus_free(bus);
	return 0;
}
