// SPDX-License-Identifier: GPL-2.0-or-later
/* Fuzz the DMA controllers' registers: make t T=fuzz/i8237 */
#include "device_harness.h"
#include "devices/legacy/i8237.h"
#include "wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint16_t ports[64];
	struct fuzz_in in = {data, size};
	struct bus *bus = bus_new();

	fake_begin();

	struct i8237_pair *p = i8237_new(NULL);

	FUZZ_CHECK(bus && p && i8237_map(p, bus) == 0);
	for (uint16_t i = 0; i < 16; i++)
		ports[i] = i;
	for (uint16_t i = 0; i < 32; i++)
		ports[16 + i] = (uint16_t)(0xc0 + i);
	for (uint16_t i = 0; i < 16; i++)
		ports[48 + i] = (uint16_t)(0x80 + i);
	while (in.left) {
		uint8_t op = fuzz_u8(&in);

		if ((op & 15) == 0)
			fuzz_save_load(i8237_device(p));
		else if ((op & 15) == 1)
			fuzz_load_damaged(&in, i8237_device(p));
		else
			fuzz_port_access(&in, bus, ports + (op >> 6) * 16, 16);
	}
	/* Master clear masks everything. */
	outb(bus, 0x0d, 0);
	outb(bus, 0xda, 0);
	FUZZ_CHECK(inb(bus, 0x0f) == 0xff && inb(bus, 0xde) == 0xff);
	i8237_free(p);
	bus_free(bus);
	return 0;
}
