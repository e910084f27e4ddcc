// SPDX-License-Identifier: GPL-2.0-or-later
/* The PIIX3 ISA bridge: make t T=devices/piix3 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "devices/legacy/piix3.h"
#include "wire.h"

struct fixture {
	struct bus *bus;
	struct pci_bus *pb;
	struct piix3 *dev;
	struct pci_dev card[4]; /* one on each PIRQ */
	struct wire irq[16];
	unsigned hard, soft;
};

static void on_reset(void *opaque, bool hard)
{
	struct fixture *f = opaque;

	f->hard += hard;
	f->soft += !hard;
}

static const struct device_class card_class = {.name = "card", .version = 1};
static const struct pci_ident card_ident = {.vendor = 1, .device = 1, .int_pin = 1};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct piix3_config cfg = {.reset = on_reset, .opaque = f};

	f->bus = bus_new();
	f->pb = pci_bus_new(f->bus);
	for (unsigned i = 0; i < 16; i++)
		cfg.isa_irq[i] = wire_line(&f->irq[i]);
	f->dev = piix3_new(f->pb, &cfg, NULL);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pci_dev_init(&f->card[i], f->pb, pci_devfn(5 + i, 0), &card_ident,
					      &card_class, NULL, NULL),
				 0);
	assert_non_null(
		bus_map_pio(f->bus, PCI_CFG1_PORT, PCI_CFG1_LEN, &pci_cfg1_ops, f->pb, "pci"));
	piix3_device(f->dev)->cls->reset(piix3_device(f->dev));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 4; i++)
		pci_dev_remove(&f->card[i]);
	piix3_free(f->dev);
	pci_bus_free(f->pb);
	bus_free(f->bus);
	free(f);
	return 0;
}

static void wr(struct fixture *f, unsigned off, uint32_t v, unsigned size)
{
	pci_config_write(f->pb, pci_devfn(1, 0), off, v, size);
}

static uint32_t rd(struct fixture *f, unsigned off, unsigned size)
{
	return pci_config_read(f->pb, pci_devfn(1, 0), off, size);
}

static void reset_expect_identity_and_no_routes(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(rd(f, 0, 4), 0x70008086);
	assert_int_equal(rd(f, PCI_CLASS, 2), 0x0601);
	assert_int_equal(rd(f, PCI_HEADER_TYPE, 1), 0x80);
	assert_int_equal(rd(f, 0x60, 4), 0x80808080);
	assert_int_equal(piix3_pirq(f->dev, 0), -1);
	pci_irq_set(&f->card[0], true);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(f->irq[i].calls, 0);
}

static void pirq_when_routed_expect_isa_irq(void **state)
{
	struct fixture *f = *state;

	wr(f, 0x60, 0x0b0b0a0a, 4);
	pci_irq_set(&f->card[0], true);
	assert_true(f->irq[10].level);
	pci_irq_set(&f->card[1], true);
	pci_irq_set(&f->card[0], false);
	assert_true(f->irq[10].level); /* shared by PIRQ A and B */
	assert_int_equal(f->irq[10].calls, 1);
	pci_irq_set(&f->card[1], false);
	assert_false(f->irq[10].level);
	pci_irq_set(&f->card[3], true);
	assert_true(f->irq[11].level);
}

static void pirq_when_rerouted_while_asserted_expect_line_moves(void **state)
{
	struct fixture *f = *state;

	wr(f, 0x60, 0x0a, 1);
	pci_irq_set(&f->card[0], true);
	wr(f, 0x60, 0x05, 1);
	assert_false(f->irq[10].level);
	assert_true(f->irq[5].level);
	wr(f, 0x60, 0x85, 1);
	assert_false(f->irq[5].level);
	assert_int_equal(rd(f, 0x60, 1), 0x85);
	/* Reserved choices route nowhere. */
	wr(f, 0x60, 0x0d, 1);
	assert_int_equal(piix3_pirq(f->dev, 0), -1);
	assert_false(f->irq[13].level);
	wr(f, 0x60, 0x00, 1);
	assert_false(f->irq[0].level);
}

static void set_pirqs_when_called_expect_firmware_routes(void **state)
{
	struct fixture *f = *state;
	static const uint8_t irq[4] = {10, 10, 11, 11};

	piix3_set_pirqs(f->dev, irq);
	assert_int_equal(rd(f, 0x60, 4), 0x0b0b0a0a);
	assert_int_equal(piix3_pirq(f->dev, 2), 11);
}

static void reset_port_when_written_expect_reset_on_rcpu(void **state)
{
	struct fixture *f = *state;

	outb(f->bus, 0xcf9, 0x02);
	assert_int_equal(f->hard + f->soft, 0);
	assert_int_equal(inb(f->bus, 0xcf9), 0x02);
	outb(f->bus, 0xcf9, 0x06);
	assert_int_equal(f->hard, 1);
	assert_int_equal(inb(f->bus, 0xcf9), 0x02);
	outb(f->bus, 0xcf9, 0x04);
	assert_int_equal(f->soft, 1);
}

static void reset_when_line_asserted_expect_lowered(void **state)
{
	struct fixture *f = *state;

	wr(f, 0x60, 0x0a, 1);
	pci_irq_set(&f->card[0], true);
	piix3_device(f->dev)->cls->reset(piix3_device(f->dev));
	assert_false(f->irq[10].level);
	assert_int_equal(rd(f, 0x60, 1), 0x80);
}

static void load_when_saved_expect_routes_and_lines(void **state)
{
	struct fixture *f = *state, *g;

	assert_int_equal(setup((void **)&g), 0);
	wr(f, 0x60, 0x0a, 1);
	outb(f->bus, 0xcf9, 2);
	pci_irq_set(&g->card[0], true);
	wire_transfer(piix3_device(f->dev), piix3_device(g->dev));
	assert_true(g->irq[10].level);
	assert_int_equal(inb(g->bus, 0xcf9), 2);
	teardown((void **)&g);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(reset_expect_identity_and_no_routes),
		T(pirq_when_routed_expect_isa_irq),
		T(pirq_when_rerouted_while_asserted_expect_line_moves),
		T(set_pirqs_when_called_expect_firmware_routes),
		T(reset_port_when_written_expect_reset_on_rcpu),
		T(reset_when_line_asserted_expect_lowered),
		T(load_when_saved_expect_routes_and_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
