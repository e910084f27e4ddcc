// SPDX-License-Identifier: GPL-2.0-or-later
/* Fuzz the keyboard controller with keyboard and mouse: make t T=fuzz/i8042 */
#include "device_harness.h"
#include "devices/legacy/i8042.h"
#include "wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t ports[] = {0x60, 0x64};
	struct fuzz_in in = {data, size};
	struct wire w[4] = {0};
	struct i8042_config cfg = {wire_line(&w[0]), wire_line(&w[1]), wire_line(&w[2]),
				   wire_line(&w[3])};
	struct bus *bus = bus_new();

	fake_begin();

	struct i8042 *c = i8042_new(&cfg);

	FUZZ_CHECK(bus && c && i8042_map(c, bus) == 0);

	struct device *devs[3] = {i8042_device(c), ps2_keyboard_device(i8042_keyboard(c)),
				  ps2_mouse_device(i8042_mouse(c))};

	while (in.left) {
		uint8_t op = fuzz_u8(&in);

		switch (op & 7) {
		case 0:
			ps2_keyboard_key(i8042_keyboard(c), fuzz_u8(&in), op & 8);
			break;
		case 1:
			ps2_mouse_move(i8042_mouse(c), (int)fuzz_uint(&in, op & 8 ? 4 : 1),
				       (int8_t)fuzz_u8(&in), (int8_t)fuzz_u8(&in), op >> 3);
			break;
		case 2:
			if (op & 8)
				fuzz_save_load(devs[op % 3]);
			else
				fuzz_load_damaged(&in, devs[op % 3]);
			break;
		default:
			fuzz_port_access(&in, bus, ports, 2);
			break;
		}
		uint8_t s = inb(bus, 0x64);

		FUZZ_CHECK(!(s & 1) || !(w[0].level && w[1].level));
		FUZZ_CHECK((s & 1) || (!w[0].level && !w[1].level));
		FUZZ_CHECK(!w[3].level);
	}
	/* The queues are bounded: reading ends. */
	unsigned n = 0;

	while (inb(bus, 0x64) & 1) {
		(void)inb(bus, 0x60);
		FUZZ_CHECK(++n < 100000);
	}
	i8042_free(c);
	bus_free(bus);
	return 0;
}
