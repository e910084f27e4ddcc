// SPDX-License-Identifier: GPL-2.0-or-later
/* Fuzz configuration space, BARs and INTx: make t T=fuzz/pci */
#include "pci_harness.h"
#include "wire.h"

struct toy {
	struct pci_dev pci;
	struct bus *bus;
	unsigned maps; /* bar_moved on minus off, for BAR 5 */
};

static uint64_t toy_read(void *dev, uint64_t off, unsigned size)
{
	(void)dev, (void)size;
	return off;
}

static void toy_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
	(void)dev, (void)off, (void)val, (void)size;
}

static void toy_moved(struct pci_dev *d, unsigned bar, bool on, uint64_t base)
{
	struct toy *t = (struct toy *)d;

	if (bar != 5)
		return;
	FUZZ_CHECK(base && base % d->bar[5].size == 0);
	t->maps = on ? t->maps + 1 : t->maps - 1;
	FUZZ_CHECK(t->maps <= 1);
}

static const struct bus_ops toy_ops = {.read = toy_read, .write = toy_write};
static const struct pci_dev_ops toy_dev_ops = {.bar_moved = toy_moved};
static const struct state_field toy_fields[] = {PCI_STATE_FIELDS(struct toy, pci), STATE_END};
static void toy_reset(struct device *dev)
{
	pci_dev_reset((struct pci_dev *)dev);
}
static int toy_post_load(struct device *dev)
{
	return pci_dev_loaded((struct pci_dev *)dev);
}
static const struct device_class toy_class = {
	.name = "toy",
	.version = 1,
	.reset = toy_reset,
	.fields = toy_fields,
	.post_load = toy_post_load,
};
static const struct pci_ident toy_ident = {.vendor = 0x1234, .device = 0x5678, .int_pin = 1};

static void toy_add(struct toy *t, struct fuzz_pci *p, uint8_t devfn)
{
	struct pci_dev *d = &t->pci;

	FUZZ_CHECK(!pci_dev_init(d, p->pb, devfn, &toy_ident, &toy_class, &toy_dev_ops, NULL));
	FUZZ_CHECK(!pci_dev_add_bar(d, 0, PCI_BAR_IO, false, 64, &toy_ops, t, "toy"));
	FUZZ_CHECK(!pci_dev_add_bar(d, 1, PCI_BAR_MEM32, false, 4096, &toy_ops, t, "toy"));
	FUZZ_CHECK(!pci_dev_add_bar(d, 2, PCI_BAR_MEM64, true, 1 << 20, &toy_ops, t, "toy"));
	FUZZ_CHECK(!pci_dev_add_bar(d, 5, PCI_BAR_MEM32, true, 1 << 24, NULL, t, "toy"));
	FUZZ_CHECK(!pci_dev_add_bar(d, 6, PCI_BAR_MEM32, false, 65536, &toy_ops, t, "toy"));
	FUZZ_CHECK(pci_dev_add_cap(d, 9, 20) > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t ports[] = {0xcf8, 0xcf9, 0xcfa, 0xcfc, 0xcfd, 0xcff, 0xc000, 0xffc0};
	struct fuzz_in in = {data, size};
	struct toy toy[2] = {0};
	struct wire pirq[4] = {0};
	struct irq_line lines[4];

	fake_begin();

	struct fuzz_pci p = fuzz_pci_new();

	for (unsigned i = 0; i < 4; i++)
		lines[i] = wire_line(&pirq[i]);
	pci_bus_set_pirq(p.pb, lines);
	toy_add(&toy[0], &p, 0x18);
	toy_add(&toy[1], &p, 0x38);
	for (unsigned step = 0; in.left && step < FUZZ_MAX_STEPS; step++) {
		uint8_t op = fuzz_u8(&in);
		struct toy *t = &toy[op >> 7];
		uint8_t devfn = op & 0x80 ? 0x38 : 0x18;

		switch (op & 7) {
		case 0:
			pci_irq_set(&t->pci, op & 8);
			break;
		case 1:
			fuzz_save_load(&t->pci.dev);
			break;
		case 2:
			fuzz_load_damaged(&in, &t->pci.dev);
			break;
		case 3:
			fuzz_port_access(&in, p.bus, ports, 8);
			break;
		case 4:
			bus_mmio_write(p.bus, fuzz_uint(&in, 4), 0, 4);
			fuzz_load_damaged(&in, pci_bus_device(p.pb));
			break;
		default:
			fuzz_pci_config(&in, &p, devfn);
			break;
		}
		fuzz_pci_check(&p, devfn, 0x56781234);
		/* Both functions' INTA# is PIRQ 2. */
		FUZZ_CHECK(pirq[2].level == (toy[0].pci.intx_on || toy[1].pci.intx_on));
	}
	for (unsigned i = 0; i < 2; i++) {
		toy_reset(&toy[i].pci.dev);
		FUZZ_CHECK(!toy[i].maps);
		pci_dev_remove(&toy[i].pci);
	}
	FUZZ_CHECK(!pirq[2].level);
	fuzz_pci_free(&p);
	return 0;
}
