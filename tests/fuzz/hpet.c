// SPDX-License-Identifier: GPL-2.0-or-later
/* Fuzz the HPET: make t T=fuzz/hpet */
#include "device_harness.h"
#include "devices/legacy/hpet.h"
#include "wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t regs[] = {0x000, 0x010, 0x020, 0x0f0, 0x100, 0x108, 0x120, 0x128,
					0x140, 0x148, 0x110, 0x160, 0x3f8, 0x0f4, 0x10c, 0x104};
	struct fuzz_in in = {data, size};
	struct wire gsi[HPET_GSIS] = {0};
	struct hpet_config cfg = {.routes = 1u << 2};
	struct io_loop *loop = fake_begin();

	for (unsigned i = 0; i < HPET_GSIS; i++)
		cfg.gsi[i] = wire_line(&gsi[i]);

	struct hpet *h = hpet_new(loop, &cfg);
	struct device *d = hpet_device(h);
	struct bus *bus = bus_new();

	FUZZ_CHECK(bus_map_mmio(bus, HPET_DEFAULT_BASE, HPET_MMIO_LEN, &hpet_mmio_ops, h, "hpet"));
	for (unsigned step = 0; in.left && step < FUZZ_MAX_STEPS; step++) {
		uint8_t op = fuzz_u8(&in), how;
		gpa_t gpa;
		unsigned bytes;
		uint64_t before;

		switch (op & 15) {
		case 0:
			fuzz_save_load(d);
			break;
		case 1:
			fuzz_load_damaged(&in, d);
			break;
		case 2:
			hpet_set_legacy_input(h, op >> 4, op & 16);
			break;
		case 3:
		case 4:
		case 5:
			before = loop->fired;
			how = in.left ? *in.p : 0;
			fuzz_time(&in);
			/* No programming makes the host work faster than the least period. */
			before = loop->fired - before;
			FUZZ_CHECK(before <=
				   HPET_TIMERS * (2 + ((uint64_t)(how & 15) << (how >> 4) * 2) /
							      HPET_MIN_PERIOD_NS));
			break;
		case 6:
			if (op == 6)
				d->cls->reset(d);
			break;
		default:
			how = fuzz_u8(&in);
			gpa = HPET_DEFAULT_BASE + regs[how >> 4];
			bytes = 1u << (how >> 1 & 3);
			if (bytes < 4)
				gpa += how & 3;
			if (how & 1)
				bus_mmio_read(bus, gpa, bytes);
			else
				bus_mmio_write(bus, gpa, fuzz_uint(&in, bytes), bytes);
			break;
		}
		for (unsigned i = 0; i < HPET_GSIS; i++)
			FUZZ_CHECK(!gsi[i].rises || i == 0 || i == 2 || i == 8);
		FUZZ_CHECK(bus_mmio_read(bus, HPET_DEFAULT_BASE, 4) == HPET_BLOCK_ID);
	}
	hpet_free(h);
	FUZZ_CHECK(list_empty(&loop->timers));
	bus_free(bus);
	return 0;
}
