// SPDX-License-Identifier: GPL-2.0-or-later
/* Fuzz power management: make t T=fuzz/piix4_pm */
#include "pci_harness.h"
#include "devices/legacy/piix4_pm.h"
#include "wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t ports[] = {0x600, 0x602, 0x604, 0x605,  0x608,  0x63e,  0xb2,  0xb3,
					 0x700, 0x702, 0x704, 0xafe0, 0xafe2, 0xafe3, 0x601, 0x607};
	struct fuzz_in in = {data, size};
	struct wire sci = {0};
	struct piix4_pm_config cfg = {.sci = wire_line(&sci)};
	struct io_loop *loop = fake_begin();
	struct fuzz_pci p = fuzz_pci_new();
	struct piix4_pm *s = piix4_pm_new(p.pb, loop, &cfg, NULL);
	struct device *d = piix4_pm_device(s);

	d->cls->reset(d);
	piix4_pm_program(s);
	for (unsigned step = 0; in.left && step < FUZZ_MAX_STEPS; step++) {
		uint8_t op = fuzz_u8(&in);

		switch (op & 15) {
		case 0:
			fuzz_save_load(d);
			break;
		case 1:
			fuzz_load_damaged(&in, d);
			break;
		case 2:
			piix4_pm_power_button(s);
			break;
		case 3:
			piix4_pm_gpe(s, op >> 4);
			break;
		case 4:
		case 5:
			fuzz_time(&in);
			break;
		case 6:
			piix4_pm_woke(s, op & 16);
			break;
		case 7:
		case 8:
			fuzz_pci_config(&in, &p, 0x0b);
			break;
		case 9:
			if (op == 9)
				d->cls->reset(d);
			piix4_pm_program(s);
			break;
		default:
			fuzz_port_access(&in, p.bus, ports, 16);
			break;
		}
		fuzz_pci_check(&p, 0x0b, 0x71138086);
	}
	/* Whatever happened, reset and programming make the power button work. */
	d->cls->reset(d);
	FUZZ_CHECK(!sci.level);
	piix4_pm_program(s);
	outb(p.bus, PIIX4_SMI_CMD, PIIX4_ACPI_ENABLE);
	outb(p.bus, PIIX4_PM_BASE + 3, 1);
	piix4_pm_power_button(s);
	FUZZ_CHECK(sci.level);
	piix4_pm_free(s);
	fuzz_pci_free(&p);
	return 0;
}
