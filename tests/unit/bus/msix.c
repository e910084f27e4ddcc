// SPDX-License-Identifier: GPL-2.0-or-later
/* MSI-X: make t T=bus/msix */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "bus/msix.h"
#include "wire.h"

#define DEVFN 0x28u
#define BAR 0xe0000000u
#define VECTORS 20u

struct card {
	struct pci_dev pci;
	struct msix msix;
};

struct fixture {
	struct bus *bus;
	struct pci_bus *pb;
	struct card card;
	unsigned sent;
	uint64_t addr;
	uint32_t data;
};

static void on_msi(void *opaque, uint64_t addr, uint32_t data)
{
	struct fixture *f = opaque;

	f->sent++;
	f->addr = addr;
	f->data = data;
}

static void card_written(struct pci_dev *d, unsigned off, unsigned size)
{
	msix_config_written(&((struct card *)d)->msix, off, size);
}

static void card_reset(struct device *dev)
{
	struct card *c = (struct card *)dev;

	pci_dev_reset(&c->pci);
	msix_reset(&c->msix);
}

static int card_loaded(struct device *dev)
{
	struct card *c = (struct card *)dev;

	return pci_dev_loaded(&c->pci) || msix_loaded(&c->msix) ? -EINVAL : 0;
}

static const struct state_field card_fields[] = {
	PCI_STATE_FIELDS(struct card, pci),
	MSIX_STATE_FIELDS(struct card, msix),
	STATE_END,
};
static const struct device_class card_class = {
	.name = "card",
	.version = 1,
	.reset = card_reset,
	.fields = card_fields,
	.post_load = card_loaded,
};
static const struct pci_dev_ops card_ops = {.config_written = card_written};
static const struct pci_ident card_id = {.vendor = 0x1af4, .device = 0x1234, .int_pin = 1};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->bus = bus_new();
	f->pb = pci_bus_new(f->bus);
	pci_bus_set_msi(f->pb, on_msi, f);
	assert_int_equal(
		pci_dev_init(&f->card.pci, f->pb, DEVFN, &card_id, &card_class, &card_ops, NULL),
		0);
	assert_int_equal(msix_init(&f->card.msix, &f->card.pci, 1, VECTORS, NULL), 0);
	pci_config_write(f->pb, DEVFN, PCI_BAR0 + 4, BAR, 4);
	pci_config_write(f->pb, DEVFN, PCI_COMMAND, 6, 2);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	pci_dev_remove(&f->card.pci);
	pci_bus_free(f->pb);
	bus_free(f->bus);
	free(f);
	return 0;
}

static unsigned cap(struct fixture *f)
{
	return pci_config_read(f->pb, DEVFN, PCI_CAP_PTR, 1);
}

static void control(struct fixture *f, uint32_t v)
{
	pci_config_write(f->pb, DEVFN, cap(f) + 2, v, 2);
}

static void entry(struct fixture *f, unsigned n, uint32_t data, uint32_t ctl)
{
	bus_mmio_write(f->bus, BAR + 16 * n, 0xfee01000, 4);
	bus_mmio_write(f->bus, BAR + 16 * n + 4, 0, 4);
	bus_mmio_write(f->bus, BAR + 16 * n + 8, data, 4);
	bus_mmio_write(f->bus, BAR + 16 * n + 12, ctl, 4);
}

static uint32_t pending(struct fixture *f)
{
	return (uint32_t)bus_mmio_read(f->bus, BAR + MSIX_PBA, 4);
}

static void capability_when_read_expect_size_and_places(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(pci_config_read(f->pb, DEVFN, cap(f), 1), 0x11);
	assert_int_equal(pci_config_read(f->pb, DEVFN, cap(f) + 2, 2), VECTORS - 1);
	assert_int_equal(pci_config_read(f->pb, DEVFN, cap(f) + 4, 4), 1);
	assert_int_equal(pci_config_read(f->pb, DEVFN, cap(f) + 8, 4), MSIX_PBA | 1);
	control(f, 0xffff);
	assert_int_equal(pci_config_read(f->pb, DEVFN, cap(f) + 2, 2), 0xc000 | (VECTORS - 1));
}

static void entries_when_reset_expect_masked(void **state)
{
	struct fixture *f = *state;

	for (unsigned n = 0; n < VECTORS; n++)
		assert_int_equal(bus_mmio_read(f->bus, BAR + 16 * n + 12, 4), 1);
	assert_int_equal(bus_mmio_read(f->bus, BAR + 16 * VECTORS, 8), 0);
}

static void vector_when_notified_expect_message_or_pending(void **state)
{
	struct fixture *f = *state;

	entry(f, 3, 0x77, 0);
	msix_notify(&f->card.msix, 3); /* not enabled */
	assert_int_equal(f->sent, 0);
	assert_int_equal(pending(f), 0);
	control(f, 0x8000);
	msix_notify(&f->card.msix, 3);
	assert_int_equal(f->sent, 1);
	assert_int_equal(f->addr, 0xfee01000);
	assert_int_equal(f->data, 0x77);
	/* Masked alone. */
	entry(f, 3, 0x78, 1);
	msix_notify(&f->card.msix, 3);
	msix_notify(&f->card.msix, 3);
	assert_int_equal(f->sent, 1);
	assert_int_equal(pending(f), 8);
	entry(f, 3, 0x79, 0);
	assert_int_equal(f->sent, 2);
	assert_int_equal(f->data, 0x79);
	assert_int_equal(pending(f), 0);
	/* All masked. */
	control(f, 0xc000);
	msix_notify(&f->card.msix, 3);
	assert_int_equal(pending(f), 8);
	control(f, 0x8000);
	assert_int_equal(f->sent, 3);
	/* Taken back. */
	control(f, 0xc000);
	msix_notify(&f->card.msix, 3);
	msix_clear_pending(&f->card.msix, 3);
	control(f, 0x8000);
	assert_int_equal(f->sent, 3);
	/* None of those. */
	msix_notify(&f->card.msix, VECTORS);
	msix_notify(&f->card.msix, MSIX_NO_VECTOR);
	msix_clear_pending(&f->card.msix, MSIX_NO_VECTOR);
	assert_int_equal(f->sent, 3);
}

static void function_when_no_master_expect_no_message(void **state)
{
	struct fixture *f = *state;

	entry(f, 0, 1, 0);
	control(f, 0x8000);
	pci_config_write(f->pb, DEVFN, PCI_COMMAND, 2, 2);
	msix_notify(&f->card.msix, 0);
	assert_int_equal(f->sent, 0);
}

static void table_when_written_crookedly_expect_unchanged(void **state)
{
	struct fixture *f = *state;

	entry(f, 0, 0x11223344, 0);
	bus_mmio_write(f->bus, BAR + 8, 0, 1);
	bus_mmio_write(f->bus, BAR + 8, 0, 2);
	assert_int_equal(bus_mmio_read(f->bus, BAR + 8, 4), 0x11223344);
	bus_mmio_write(f->bus, BAR + 8, 0x1ffffffff, 8);
	assert_int_equal(bus_mmio_read(f->bus, BAR + 8, 8), 0x1ffffffff);
	bus_mmio_write(f->bus, BAR + 12, 0xfffffffe, 4);
	assert_int_equal(bus_mmio_read(f->bus, BAR + 12, 4), 0);
	bus_mmio_write(f->bus, BAR + MSIX_PBA, 0xffffffff, 4);
	assert_int_equal(pending(f), 0);
	bus_mmio_write(f->bus, BAR + 16 * VECTORS, 0xffffffff, 4);
	assert_int_equal(bus_mmio_read(f->bus, BAR + 16 * VECTORS, 4), 0);
	assert_int_equal(bus_mmio_read(f->bus, BAR + 0xffc, 4), 0);
}

static void state_when_loaded_expect_pending_kept_and_nonsense_refused(void **state)
{
	struct fixture *f = *state;
	struct device *dev = &f->card.pci.dev;
	static uint8_t good[8192], bad[8192];
	long n;

	entry(f, 3, 5, 1);
	control(f, 0x8000);
	msix_notify(&f->card.msix, 3);
	n = device_save(dev, good, sizeof(good));
	assert_true(n > 0);
	card_reset(dev);
	assert_false(msix_enabled(&f->card.msix));
	assert_int_equal(device_load(dev, good, (size_t)n, NULL), 0);
	assert_true(msix_enabled(&f->card.msix));
	assert_int_equal(pending(f), 8);
	entry(f, 3, 5, 0);
	assert_int_equal(f->sent, 1);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(device_load(dev, good, (size_t)n, NULL), 0);
		if (i == 0)
			f->card.msix.pba[2] = 0x10; /* vector 20 */
		else if (i == 1)
			f->card.msix.table[12] = 2;
		else
			f->card.msix.table[VECTORS * 16 + 12] = 1;
		assert_int_equal(device_save(dev, bad, sizeof(bad)), n);
		assert_int_equal(device_load(dev, bad, (size_t)n, NULL), -EINVAL);
	}
	assert_int_equal(device_load(dev, good, (size_t)n, NULL), 0);
}

static struct {
	unsigned open, sent;
	int last;
	bool takes;
} ways;

static int way_open(void *opaque)
{
	return ways.open < 2 ? (int)ways.open++ : -ENOSPC;
}
static void way_close(void *opaque, int way)
{
	ways.open--;
}
static bool way_send(void *opaque, int way, uint64_t addr, uint32_t data)
{
	ways.last = way;
	ways.sent += ways.takes;
	return ways.takes;
}

static void vector_when_it_has_a_way_expect_it_is_tried_first(void **state)
{
	struct fixture *f = *state;
	const struct pci_msi_ways w = {NULL, way_open, way_close, way_send};

	ways.takes = true;
	pci_bus_set_msi_ways(f->pb, &w);
	msix_open_ways(&f->card.msix);
	assert_int_equal(ways.open, 2);
	control(f, 0x8000);
	for (unsigned n = 0; n < 3; n++)
		entry(f, n, n, 0);
	msix_notify(&f->card.msix, 1);
	assert_int_equal(ways.sent, 1);
	assert_int_equal(ways.last, 1);
	assert_int_equal(f->sent, 0);
	msix_notify(&f->card.msix, 2); /* there was none left */
	assert_int_equal(f->sent, 1);
	ways.takes = false;
	msix_notify(&f->card.msix, 0);
	assert_int_equal(f->sent, 2);
	/* No master sends nothing, either way. */
	ways.takes = true;
	pci_config_write(f->pb, DEVFN, PCI_COMMAND, 2, 2);
	msix_notify(&f->card.msix, 0);
	assert_int_equal(ways.sent, 1);
	assert_int_equal(f->sent, 2);
	msix_close_ways(&f->card.msix);
	assert_int_equal(ways.open, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(capability_when_read_expect_size_and_places),
		T(entries_when_reset_expect_masked),
		T(vector_when_notified_expect_message_or_pending),
		T(function_when_no_master_expect_no_message),
		T(table_when_written_crookedly_expect_unchanged),
		T(vector_when_it_has_a_way_expect_it_is_tried_first),
		T(state_when_loaded_expect_pending_kept_and_nonsense_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
