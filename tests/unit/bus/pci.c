// SPDX-License-Identifier: GPL-2.0-or-later
/* PCI configuration space, BARs, INTx: make t T=bus/pci */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "bus/pci.h"
#include "wire.h"

#define REG 0x44

struct toy {
	struct pci_dev pci;
	unsigned accesses, config_writes, moves;
	uint64_t moved_base;
	bool moved_on;
};

static uint64_t toy_read(void *dev, uint64_t off, unsigned size)
{
	struct toy *t = dev;

	(void)size;
	t->accesses++;
	return 0x50 + off;
}

static void toy_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
	(void)dev, (void)off, (void)val, (void)size;
}

static const struct bus_ops toy_ops = {.read = toy_read, .write = toy_write};

static void toy_config_written(struct pci_dev *d, unsigned off, unsigned size)
{
	(void)off, (void)size;
	((struct toy *)d)->config_writes++;
}

static void toy_bar_moved(struct pci_dev *d, unsigned bar, bool on, uint64_t base)
{
	struct toy *t = (struct toy *)d;

	if (bar != 4)
		return;
	t->moves++;
	t->moved_on = on;
	t->moved_base = base;
}

static const struct pci_dev_ops toy_dev_ops = {.config_written = toy_config_written,
					       .bar_moved = toy_bar_moved};
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
static const struct pci_ident toy_ident = {.vendor = 0x1234,
					   .device = 0x5678,
					   .class_code = 0x0200,
					   .revision = 7,
					   .subsys_vendor = 0xaaaa,
					   .subsys = 0xbbbb,
					   .int_pin = 1};

struct fixture {
	struct bus *bus;
	struct pci_bus *pb;
	struct wire pirq[4];
	struct toy a, b;
};

static void add_toy(struct fixture *f, struct toy *t, uint8_t devfn)
{
	static const struct reg_desc regs[] = {
		{"MIXED", REG, 4, 0xa5000011, 0x0000ff00, 0x000000ff, 0},
	};

	assert_int_equal(
		pci_dev_init(&t->pci, f->pb, devfn, &toy_ident, &toy_class, &toy_dev_ops, NULL), 0);
	pci_dev_add_regs(&t->pci, regs, 1);
	assert_int_equal(pci_dev_add_bar(&t->pci, 0, PCI_BAR_IO, false, 32, &toy_ops, t, "toy"), 0);
	assert_int_equal(
		pci_dev_add_bar(&t->pci, 1, PCI_BAR_MEM32, false, 4096, &toy_ops, t, "toy"), 0);
	assert_int_equal(
		pci_dev_add_bar(&t->pci, 2, PCI_BAR_MEM64, true, 1 << 20, &toy_ops, t, "toy"), 0);
	assert_int_equal(pci_dev_add_bar(&t->pci, 4, PCI_BAR_MEM32, true, 65536, NULL, t, "toy"),
			 0);
	assert_int_equal(pci_dev_add_bar(&t->pci, PCI_BAR_ROM, PCI_BAR_MEM32, false, 2048, &toy_ops,
					 t, "toy"),
			 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct irq_line lines[4];

	f->bus = bus_new();
	f->pb = pci_bus_new(f->bus);
	for (unsigned i = 0; i < 4; i++)
		lines[i] = wire_line(&f->pirq[i]);
	pci_bus_set_pirq(f->pb, lines);
	assert_non_null(
		bus_map_pio(f->bus, PCI_CFG1_PORT, PCI_CFG1_LEN, &pci_cfg1_ops, f->pb, "pci"));
	add_toy(f, &f->a, pci_devfn(3, 0));
	add_toy(f, &f->b, pci_devfn(7, 0));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	pci_dev_remove(&f->a.pci);
	pci_dev_remove(&f->b.pci);
	pci_bus_free(f->pb);
	bus_free(f->bus);
	free(f);
	return 0;
}

static uint32_t rd(struct fixture *f, unsigned off, unsigned size)
{
	return pci_config_read(f->pb, pci_devfn(3, 0), off, size);
}

static void wr(struct fixture *f, unsigned off, uint32_t val, unsigned size)
{
	pci_config_write(f->pb, pci_devfn(3, 0), off, val, size);
}

static void config_when_read_by_ports_expect_every_width(void **state)
{
	struct fixture *f = *state;

	bus_pio_write(f->bus, 0xcf8, 0x80001800, 4);
	assert_int_equal(bus_pio_read(f->bus, 0xcf8, 4), 0x80001800);
	assert_int_equal(bus_pio_read(f->bus, 0xcfc, 4), 0x56781234);
	assert_int_equal(bus_pio_read(f->bus, 0xcfe, 2), 0x5678);
	assert_int_equal(inb(f->bus, 0xcfd), 0x12);
	/* An access that runs past 0xCFF finds nobody there. */
	assert_int_equal(bus_pio_read(f->bus, 0xcfe, 4), 0xffff5678);
	bus_pio_write(f->bus, 0xcf8, 0x8000183c, 4);
	outb(f->bus, 0xcfc, 11);
	assert_int_equal(bus_pio_read(f->bus, 0xcfc, 4), 0x0000010b);
	bus_pio_write(f->bus, 0xcf8, 0x80001800 | REG, 4);
	outb(f->bus, 0xcfd, 0x77);
	assert_int_equal(bus_pio_read(f->bus, 0xcfc, 4), 0xa5007711);
}

static void config_when_disabled_or_absent_expect_ones(void **state)
{
	struct fixture *f = *state;

	bus_pio_write(f->bus, 0xcf8, 0x00001800, 4);
	assert_int_equal(bus_pio_read(f->bus, 0xcfc, 4), 0xffffffff);
	bus_pio_write(f->bus, 0xcf8, 0x80002000, 4);
	assert_int_equal(bus_pio_read(f->bus, 0xcfc, 4), 0xffffffff);
	bus_pio_write(f->bus, 0xcfc, 0, 4);
	/* Bus 1. */
	bus_pio_write(f->bus, 0xcf8, 0x80011800, 4);
	assert_int_equal(bus_pio_read(f->bus, 0xcfc, 2), 0xffff);
	assert_int_equal(pci_config_read(f->pb, pci_devfn(9, 1), 0, 1), 0xff);
}

static void address_when_written_narrow_expect_no_change(void **state)
{
	struct fixture *f = *state;

	bus_pio_write(f->bus, 0xcf8, 0xff0018ff, 4);
	assert_int_equal(bus_pio_read(f->bus, 0xcf8, 4), 0x800018fc);
	outb(f->bus, 0xcfb, 0);
	bus_pio_write(f->bus, 0xcf8, 0, 2);
	assert_int_equal(bus_pio_read(f->bus, 0xcf8, 4), 0x800018fc);
	/* The probe for mechanism #2 must not find two zeros. */
	assert_int_equal(inb(f->bus, 0xcf8), 0xff);
}

static uint8_t reset_port_read(void *opaque)
{
	return *(uint8_t *)opaque;
}

static void reset_port_write(void *opaque, uint8_t val)
{
	*(uint8_t *)opaque = val;
}

static void reset_port_when_byte_access_expect_hook(void **state)
{
	struct fixture *f = *state;
	uint8_t last = 0;
	struct pci_reset_port port = {reset_port_read, reset_port_write, &last};

	pci_bus_set_reset_port(f->pb, &port);
	outb(f->bus, 0xcf9, 6);
	assert_int_equal(last, 6);
	assert_int_equal(inb(f->bus, 0xcf9), 6);
	bus_pio_write(f->bus, 0xcf8, 0x80001800, 4);
	assert_int_equal(last, 6);
}

static void registers_when_written_expect_masks_and_w1c(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(rd(f, REG, 4), 0xa5000011);
	wr(f, REG, 0xffffff01, 4);
	assert_int_equal(rd(f, REG, 4), 0xa500ff10);
	wr(f, REG + 1, 0x12, 1);
	assert_int_equal(rd(f, REG, 4), 0xa5001210);
	/* The identity is read-only. */
	wr(f, PCI_VENDOR_ID, 0, 4);
	wr(f, PCI_REVISION, 0, 4);
	assert_int_equal(rd(f, PCI_VENDOR_ID, 4), 0x56781234);
	assert_int_equal(rd(f, PCI_REVISION, 4), 0x02000007);
	assert_int_equal(rd(f, PCI_SUBSYS_VENDOR, 4), 0xbbbbaaaa);
	wr(f, PCI_COMMAND, 0xffff, 2);
	assert_int_equal(rd(f, PCI_COMMAND, 2), 0x0547);
	assert_int_equal(f->a.config_writes, 5);
	f->a.pci.dev.cls->reset(&f->a.pci.dev);
	assert_int_equal(rd(f, REG, 4), 0xa5000011);
	assert_int_equal(rd(f, PCI_COMMAND, 2), 0);
}

static void bars_when_sized_expect_size_and_kind(void **state)
{
	struct fixture *f = *state;

	for (unsigned off = PCI_BAR0; off < PCI_BAR0 + 24; off += 4)
		wr(f, off, 0xffffffff, 4);
	assert_int_equal(rd(f, 0x10, 4), 0xffffffe1);
	assert_int_equal(rd(f, 0x14, 4), 0xfffff000);
	assert_int_equal(rd(f, 0x18, 4), 0xfff0000c);
	assert_int_equal(rd(f, 0x1c, 4), 0xffffffff);
	assert_int_equal(rd(f, 0x20, 4), 0xffff0008);
	assert_int_equal(rd(f, 0x24, 4), 0);
	wr(f, PCI_ROM_BAR, 0xfffffffe, 4);
	assert_int_equal(rd(f, PCI_ROM_BAR, 4), 0xfffff800);
}

static void bars_when_enabled_expect_mapped(void **state)
{
	struct fixture *f = *state;

	wr(f, 0x10, 0xc000, 4);
	wr(f, 0x14, 0xfebf0000, 4);
	wr(f, 0x18, 0x00100000, 4);
	wr(f, 0x1c, 0x00000040, 4);
	assert_int_equal(inb(f->bus, 0xc001), 0xff);
	wr(f, PCI_COMMAND, PCI_COMMAND_IO, 2);
	assert_int_equal(inb(f->bus, 0xc001), 0x51);
	assert_int_equal(bus_mmio_read(f->bus, 0xfebf0002, 1), 0xff);
	wr(f, PCI_COMMAND, PCI_COMMAND_MEM, 2);
	assert_int_equal(inb(f->bus, 0xc001), 0xff);
	assert_int_equal(bus_mmio_read(f->bus, 0xfebf0002, 1), 0x52);
	assert_int_equal(bus_mmio_read(f->bus, 0x4000100003, 1), 0x53);
	wr(f, 0x14, 0xfebe0000, 4);
	assert_int_equal(bus_mmio_read(f->bus, 0xfebf0002, 1), 0xff);
	assert_int_equal(bus_mmio_read(f->bus, 0xfebe0002, 1), 0x52);
	/* The ROM has an enable bit of its own. */
	wr(f, PCI_ROM_BAR, 0xfeb00000, 4);
	assert_int_equal(bus_mmio_read(f->bus, 0xfeb00004, 1), 0xff);
	wr(f, PCI_ROM_BAR, 0xfeb00001, 4);
	assert_int_equal(bus_mmio_read(f->bus, 0xfeb00004, 1), 0x54);
	f->a.pci.dev.cls->reset(&f->a.pci.dev);
	assert_int_equal(bus_mmio_read(f->bus, 0xfebe0002, 1), 0xff);
}

static void bars_when_zero_or_sizing_value_expect_unmapped(void **state)
{
	struct fixture *f = *state;

	wr(f, PCI_COMMAND, 3, 2);
	assert_int_equal(inb(f->bus, 0), 0xff);
	assert_int_equal(bus_mmio_read(f->bus, 0, 1), 0xff);
	wr(f, 0x10, 0xffffffff, 4);
	wr(f, 0x14, 0xffffffff, 4);
	assert_int_equal(bus_mmio_read(f->bus, 0xfffff000, 1), 0xff);
	assert_int_equal(inb(f->bus, 0xffe0), 0xff);
	wr(f, 0x18, 0xffffffff, 4);
	wr(f, 0x1c, 0xffffffff, 4);
	assert_int_equal(bus_mmio_read(f->bus, 0xfffffffffff00000, 1), 0xff);
	assert_int_equal(f->a.accesses, 0);
}

static void bar_without_ops_when_moved_expect_told(void **state)
{
	struct fixture *f = *state;

	wr(f, 0x20, 0xe0000000, 4);
	assert_int_equal(f->a.moves, 0);
	wr(f, PCI_COMMAND, PCI_COMMAND_MEM, 2);
	assert_int_equal(f->a.moves, 1);
	assert_true(f->a.moved_on && f->a.moved_base == 0xe0000000);
	wr(f, 0x20, 0xe0010000, 4);
	assert_int_equal(f->a.moves, 3);
	assert_true(f->a.moved_on && f->a.moved_base == 0xe0010000);
	wr(f, PCI_COMMAND, 0, 2);
	assert_int_equal(f->a.moves, 4);
	assert_false(f->a.moved_on);
}

static void add_bar_when_bad_expect_einval(void **state)
{
	struct fixture *f = *state;
	struct pci_dev *d = &f->a.pci;

	assert_int_equal(pci_dev_add_bar(d, 0, PCI_BAR_IO, false, 32, NULL, NULL, ""), -EINVAL);
	assert_int_equal(pci_dev_add_bar(d, 3, PCI_BAR_IO, false, 32, NULL, NULL, ""), -EINVAL);
	assert_int_equal(pci_dev_add_bar(d, 5, PCI_BAR_IO, false, 512, NULL, NULL, ""), -EINVAL);
	assert_int_equal(pci_dev_add_bar(d, 5, PCI_BAR_MEM32, false, 48, NULL, NULL, ""), -EINVAL);
	assert_int_equal(pci_dev_add_bar(d, 5, PCI_BAR_MEM64, false, 64, NULL, NULL, ""), -EINVAL);
	assert_int_equal(pci_dev_add_bar(d, 7, PCI_BAR_IO, false, 32, NULL, NULL, ""), -EINVAL);
}

static void init_when_slot_taken_expect_ebusy(void **state)
{
	struct fixture *f = *state;
	struct lodge_err err = {""};
	struct pci_dev d;

	assert_int_equal(
		pci_dev_init(&d, f->pb, pci_devfn(3, 0), &toy_ident, &toy_class, NULL, &err),
		-EBUSY);
	assert_non_null(strstr(err.msg, "03.0"));
}

static void caps_when_added_expect_linked_list(void **state)
{
	struct fixture *f = *state;
	int first = pci_dev_add_cap(&f->a.pci, 0x11, 12);
	int second = pci_dev_add_cap(&f->a.pci, 0x09, 17);

	assert_int_equal(first, 0x40);
	assert_int_equal(second, 0x4c);
	assert_int_equal(rd(f, PCI_STATUS, 2) & PCI_STATUS_CAPS, PCI_STATUS_CAPS);
	assert_int_equal(rd(f, PCI_CAP_PTR, 1), 0x4c);
	assert_int_equal(rd(f, 0x4c, 2), 0x4009);
	assert_int_equal(rd(f, 0x40, 2), 0x0011);
	assert_int_equal(pci_dev_add_cap(&f->a.pci, 0x09, 250), -ENOSPC);
	f->a.pci.dev.cls->reset(&f->a.pci.dev);
	assert_int_equal(rd(f, PCI_CAP_PTR, 1), 0x4c);
	assert_int_equal(rd(f, PCI_STATUS, 2) & PCI_STATUS_CAPS, PCI_STATUS_CAPS);
}

static void intx_when_shared_expect_or_of_functions(void **state)
{
	struct fixture *f = *state;

	/* Slots 3 and 7 both have INTA# on PIRQ 2. */
	assert_int_equal(pci_pirq_of(pci_devfn(1, 0), 1), 0);
	assert_int_equal(pci_pirq_of(pci_devfn(3, 0), 1), 2);
	assert_int_equal(pci_pirq_of(pci_devfn(0, 0), 1), 3);
	pci_irq_set(&f->a.pci, true);
	pci_irq_set(&f->b.pci, true);
	pci_irq_set(&f->b.pci, true);
	assert_true(f->pirq[2].level);
	assert_int_equal(rd(f, PCI_STATUS, 2) & PCI_STATUS_INTX, PCI_STATUS_INTX);
	pci_irq_set(&f->a.pci, false);
	assert_true(f->pirq[2].level);
	assert_int_equal(rd(f, PCI_STATUS, 2) & PCI_STATUS_INTX, 0);
	pci_irq_set(&f->b.pci, false);
	assert_false(f->pirq[2].level);
	assert_int_equal(f->pirq[2].calls, 3); /* one from setting up */
}

static void intx_when_disabled_expect_line_low_and_status_kept(void **state)
{
	struct fixture *f = *state;

	pci_irq_set(&f->a.pci, true);
	wr(f, PCI_COMMAND, PCI_COMMAND_INTX_OFF, 2);
	assert_false(f->pirq[2].level);
	assert_int_equal(rd(f, PCI_STATUS, 2) & PCI_STATUS_INTX, PCI_STATUS_INTX);
	wr(f, PCI_COMMAND, 0, 2);
	assert_true(f->pirq[2].level);
	f->a.pci.dev.cls->reset(&f->a.pci.dev);
	assert_false(f->pirq[2].level);
}

static unsigned msis;
static void count_msi(void *opaque, uint64_t addr, uint32_t data)
{
	(void)opaque;
	msis += addr == 0xfee00000 && data == 0x31;
}

static void msi_when_not_master_expect_dropped(void **state)
{
	struct fixture *f = *state;

	pci_bus_set_msi(f->pb, count_msi, NULL);
	pci_msi_send(&f->a.pci, 0xfee00000, 0x31);
	assert_int_equal(msis, 0);
	wr(f, PCI_COMMAND, PCI_COMMAND_MASTER, 2);
	pci_msi_send(&f->a.pci, 0xfee00000, 0x31);
	assert_int_equal(msis, 1);
}

static void load_when_saved_expect_bars_and_pin(void **state)
{
	struct fixture *f = *state;

	wr(f, 0x14, 0xfebf0000, 4);
	wr(f, PCI_COMMAND, PCI_COMMAND_MEM, 2);
	pci_irq_set(&f->a.pci, true);
	wire_transfer(&f->a.pci.dev, &f->b.pci.dev);
	pci_irq_set(&f->a.pci, false);
	assert_true(f->pirq[2].level);
	assert_int_equal(bus_mmio_read(f->bus, 0xfebf0000, 1), 0x50);
	assert_int_equal(f->b.accesses, 1);
}

static void load_when_identity_differs_expect_refusal(void **state)
{
	struct fixture *f = *state;
	uint8_t buf[512];
	long n = device_save(&f->a.pci.dev, buf, sizeof(buf));

	assert_true(n > 0);
	for (long i = 0; i < n - 1; i++) {
		if (buf[i] == 0x34 && buf[i + 1] == 0x12)
			buf[i] = 0x35;
	}
	assert_int_equal(device_load(&f->b.pci.dev, buf, (size_t)n, NULL), -EINVAL);
}

static void bus_when_saved_expect_address(void **state)
{
	struct fixture *f = *state;
	struct pci_bus *other = pci_bus_new(f->bus);

	bus_pio_write(f->bus, 0xcf8, 0x80001810, 4);
	wire_transfer(pci_bus_device(f->pb), pci_bus_device(other));
	assert_int_equal(pci_cfg1_ops.read(other, 0, 4), 0x80001810);
	pci_bus_device(other)->cls->reset(pci_bus_device(other));
	assert_int_equal(pci_cfg1_ops.read(other, 0, 4), 0);
	pci_bus_free(other);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(config_when_read_by_ports_expect_every_width),
		T(config_when_disabled_or_absent_expect_ones),
		T(address_when_written_narrow_expect_no_change),
		T(reset_port_when_byte_access_expect_hook),
		T(registers_when_written_expect_masks_and_w1c),
		T(bars_when_sized_expect_size_and_kind),
		T(bars_when_enabled_expect_mapped),
		T(bars_when_zero_or_sizing_value_expect_unmapped),
		T(bar_without_ops_when_moved_expect_told),
		T(add_bar_when_bad_expect_einval),
		T(init_when_slot_taken_expect_ebusy),
		T(caps_when_added_expect_linked_list),
		T(intx_when_shared_expect_or_of_functions),
		T(intx_when_disabled_expect_line_low_and_status_kept),
		T(msi_when_not_master_expect_dropped),
		T(load_when_saved_expect_bars_and_pin),
		T(load_when_identity_differs_expect_refusal),
		T(bus_when_saved_expect_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
