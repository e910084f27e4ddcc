// SPDX-License-Identifier: GPL-2.0-or-later
/* Fuzz the ISA bridge's interrupt routing: make t T=fuzz/piix3 */
#include "pci_harness.h"
#include "devices/legacy/piix3.h"
#include "wire.h"

static const struct device_class card_class = {.name = "card", .version = 1};
static const struct pci_ident card_ident = {.vendor = 1, .device = 1, .int_pin = 1};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t ports[] = {0xcf9, 0xcf8, 0xcfc};
	struct fuzz_in in = {data, size};
	struct piix3_config cfg = {0};
	struct pci_dev card[4];
	struct wire irq[16] = {0};
	bool on[4] = {0};

	fake_begin();

	struct fuzz_pci p = fuzz_pci_new();

	for (unsigned i = 0; i < 16; i++)
		cfg.isa_irq[i] = wire_line(&irq[i]);

	struct piix3 *s = piix3_new(p.pb, &cfg, NULL);
	struct device *d = piix3_device(s);

	for (unsigned i = 0; i < 4; i++)
		FUZZ_CHECK(!pci_dev_init(&card[i], p.pb, pci_devfn(5 + i, 0), &card_ident,
					 &card_class, NULL, NULL));
	for (unsigned step = 0; in.left && step < FUZZ_MAX_STEPS; step++) {
		uint8_t op = fuzz_u8(&in);
		uint16_t expect = 0;

		switch (op & 7) {
		case 0:
			fuzz_save_load(d);
			break;
		case 1:
			fuzz_load_damaged(&in, d);
			break;
		case 2:
		case 3:
			on[op >> 4 & 3] = op & 8;
			pci_irq_set(&card[op >> 4 & 3], op & 8);
			break;
		case 4:
			fuzz_port_access(&in, p.bus, ports, 3);
			break;
		case 5:
			if (op == 5)
				d->cls->reset(d);
			break;
		default:
			fuzz_pci_config(&in, &p, 8);
			break;
		}
		fuzz_pci_check(&p, 8, 0x70008086);
		for (unsigned i = 0; i < 4; i++) {
			int n = piix3_pirq(s, i);

			FUZZ_CHECK(n == -1 || (n >= 3 && n <= 15 && n != 8 && n != 13));
			if (on[i] && n >= 0)
				expect |= 1u << n;
		}
		for (unsigned i = 0; i < 16; i++)
			FUZZ_CHECK(irq[i].level == (expect >> i & 1));
	}
	for (unsigned i = 0; i < 4; i++)
		pci_dev_remove(&card[i]);
	piix3_free(s);
	fuzz_pci_free(&p);
	return 0;
}
