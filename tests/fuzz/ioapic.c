// SPDX-License-Identifier: GPL-2.0-or-later
/* Fuzz the I/O APIC and interrupt messages: make t T=fuzz/ioapic */
#include "device_harness.h"
#include "apic_env.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	struct apic_env *e = apic_env_new();
	struct device *d = ioapic_device(e->ioapic);
	struct bus *bus = bus_new();

	FUZZ_CHECK(bus_map_mmio(bus, IOAPIC_DEFAULT_BASE, IOAPIC_MMIO_LEN, &ioapic_mmio_ops,
				e->ioapic, "ioapic"));
	for (unsigned i = 0; i < ENV_CPUS; i++)
		lapic_mmio_write(e->lapic[i], 0xf0, 0x1ff, 4);
	for (unsigned step = 0; in.left && step < FUZZ_MAX_STEPS; step++) {
		uint8_t op = fuzz_u8(&in);
		unsigned bytes = 1u << (op >> 6);

		switch (op & 7) {
		case 0:
			fuzz_save_load(d);
			break;
		case 1:
			fuzz_load_damaged(&in, d);
			break;
		case 2:
			ioapic_set_pin(e->ioapic, op >> 3, fuzz_u8(&in) & 1);
			break;
		case 3:
			apic_bus_msi(e->bus, 0xfee00000 | fuzz_uint(&in, 2) << 2,
				     (uint32_t)fuzz_uint(&in, 2));
			break;
		case 4:
			for (unsigned i = 0; i < ENV_CPUS; i++) {
				int v = lapic_ack(e->lapic[i]);

				FUZZ_CHECK(v == -1 || v >= 16);
				if (op & 8)
					lapic_mmio_write(e->lapic[i], 0xb0, 0, 4);
			}
			break;
		case 5: /* an entry, as guests write it */
			bus_mmio_write(bus, IOAPIC_DEFAULT_BASE, 0x10 + (op >> 3), 4);
			bus_mmio_write(bus, IOAPIC_DEFAULT_BASE + 0x10, fuzz_uint(&in, 4), 4);
			break;
		case 6:
			bus_mmio_write(bus, IOAPIC_DEFAULT_BASE + fuzz_u8(&in),
				       fuzz_uint(&in, bytes), bytes);
			break;
		default:
			bus_mmio_read(bus, IOAPIC_DEFAULT_BASE + fuzz_uint(&in, 2) % 0x1000, bytes);
			break;
		}
		for (unsigned i = 0; i < ENV_CPUS; i++)
			FUZZ_CHECK(e->cpu[i].intr == lapic_has_intr(e->lapic[i]));
	}
	apic_env_free(e);
	bus_free(bus);
	return 0;
}
