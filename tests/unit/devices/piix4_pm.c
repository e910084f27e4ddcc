// SPDX-License-Identifier: GPL-2.0-or-later
/* PIIX4 power management: make t T=devices/piix4_pm */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "devices/legacy/piix4_pm.h"
#include "fake_time.h"
#include "wire.h"

#define STS (PIIX4_PM_BASE + 0)
#define EN (PIIX4_PM_BASE + 2)
#define CNT (PIIX4_PM_BASE + 4)
#define TMR (PIIX4_PM_BASE + 8)
#define HALF_NS 2343484439ull /* 2^23 ticks and a bit */

struct fixture {
	struct bus *bus;
	struct pci_bus *pb;
	struct piix4_pm *dev;
	struct wire sci;
	unsigned off, suspend;
};

static void on_off(void *opaque)
{
	((struct fixture *)opaque)->off++;
}

static void on_suspend(void *opaque)
{
	((struct fixture *)opaque)->suspend++;
}

static struct fixture *fixture_new(struct io_loop *loop)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct piix4_pm_config cfg = {wire_line(&f->sci), on_off, on_suspend, f};

	f->bus = bus_new();
	f->pb = pci_bus_new(f->bus);
	f->dev = piix4_pm_new(f->pb, loop, &cfg, NULL);
	piix4_pm_device(f->dev)->cls->reset(piix4_pm_device(f->dev));
	return f;
}

static void fixture_free(struct fixture *f)
{
	piix4_pm_free(f->dev);
	pci_bus_free(f->pb);
	bus_free(f->bus);
	free(f);
}

static int setup(void **state)
{
	struct fixture *f = fixture_new(fake_begin());

	piix4_pm_program(f->dev);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fixture_free(*state);
	return 0;
}

static uint16_t rw(struct fixture *f, uint16_t port)
{
	return (uint16_t)bus_pio_read(f->bus, port, 2);
}

static void ww(struct fixture *f, uint16_t port, uint16_t v)
{
	bus_pio_write(f->bus, port, v, 2);
}

static void wcfg(struct fixture *f, unsigned off, uint32_t v, unsigned size)
{
	pci_config_write(f->pb, pci_devfn(1, 3), off, v, size);
}

static uint32_t rcfg(struct fixture *f, unsigned off, unsigned size)
{
	return pci_config_read(f->pb, pci_devfn(1, 3), off, size);
}

static void reset_expect_identity_and_blocks_hidden(void **state)
{
	struct fixture *f = *state;

	piix4_pm_device(f->dev)->cls->reset(piix4_pm_device(f->dev));
	assert_int_equal(rcfg(f, 0, 4), 0x71138086);
	assert_int_equal(rcfg(f, PCI_CLASS, 2), 0x0680);
	assert_int_equal(rcfg(f, 0x40, 4), 1);
	assert_int_equal(rcfg(f, 0x80, 1), 0);
	assert_int_equal(rcfg(f, PCI_INT_PIN, 1), 1);
	assert_int_equal(rw(f, STS), 0xffff);
	assert_int_equal(inb(f->bus, PIIX4_SMB_BASE), 0xff);
}

static void pm_base_when_programmed_expect_block_there(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(rcfg(f, PCI_INT_LINE, 1), 9);
	assert_int_equal(rw(f, CNT), 0);
	wcfg(f, 0x40, 0xb03f, 4);
	assert_int_equal(rcfg(f, 0x40, 4), 0xb001);
	assert_int_equal(rw(f, STS), 0xffff);
	assert_int_equal(rw(f, 0xb004), 0);
	wcfg(f, 0x80, 0, 1);
	assert_int_equal(rw(f, 0xb004), 0xffff);
}

static void acpi_mode_when_commanded_expect_sci_en(void **state)
{
	struct fixture *f = *state;

	outb(f->bus, PIIX4_SMI_CMD, PIIX4_ACPI_ENABLE);
	assert_int_equal(rw(f, CNT), 1);
	assert_int_equal(inb(f->bus, PIIX4_SMI_CMD), PIIX4_ACPI_ENABLE);
	outb(f->bus, PIIX4_SMI_CMD, 0x42);
	assert_int_equal(rw(f, CNT), 1);
	outb(f->bus, PIIX4_SMI_CMD, PIIX4_ACPI_DISABLE);
	assert_int_equal(rw(f, CNT), 0);
	outb(f->bus, 0xb3, 0x77);
	assert_int_equal(inb(f->bus, 0xb3), 0x77);
}

static void power_button_when_enabled_expect_sci_until_cleared(void **state)
{
	struct fixture *f = *state;

	outb(f->bus, PIIX4_SMI_CMD, PIIX4_ACPI_ENABLE);
	piix4_pm_power_button(f->dev);
	assert_int_equal(rw(f, STS), 0x0100);
	assert_false(f->sci.level);
	ww(f, EN, 0x0100);
	assert_true(f->sci.level);
	ww(f, STS, 0x0001); /* another bit */
	assert_true(f->sci.level);
	outb(f->bus, STS + 1, 0x01);
	assert_false(f->sci.level);
	assert_int_equal(rw(f, STS), 0);
}

static void power_button_when_not_in_acpi_mode_expect_no_sci(void **state)
{
	struct fixture *f = *state;

	ww(f, EN, 0x0100);
	piix4_pm_power_button(f->dev);
	assert_false(f->sci.level);
	outb(f->bus, PIIX4_SMI_CMD, PIIX4_ACPI_ENABLE);
	assert_true(f->sci.level);
}

static void timer_when_time_passes_expect_3579545_hz_in_24_bits(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(bus_pio_read(f->bus, TMR, 4), 0);
	fake_advance(NS_PER_SEC);
	assert_int_equal(bus_pio_read(f->bus, TMR, 4), 3579545);
	fake_advance(9 * NS_PER_SEC);
	assert_int_equal(bus_pio_read(f->bus, TMR, 4), 35795450 & 0xffffff);
	bus_pio_write(f->bus, TMR, 0, 4);
	assert_int_equal(bus_pio_read(f->bus, TMR, 4), 35795450 & 0xffffff);
}

static void timer_when_top_bit_changes_expect_status_and_sci(void **state)
{
	struct fixture *f = *state;

	outb(f->bus, PIIX4_SMI_CMD, PIIX4_ACPI_ENABLE);
	ww(f, EN, 1);
	fake_advance(HALF_NS - 1000);
	assert_false(f->sci.level);
	fake_advance(1000);
	assert_true(f->sci.level);
	assert_int_equal(rw(f, STS) & 1, 1);
	ww(f, STS, 1);
	assert_false(f->sci.level);
	fake_advance(HALF_NS);
	assert_true(f->sci.level);
	ww(f, STS, 1);
	/* Disabled, it costs nothing and still shows. */
	ww(f, EN, 0);
	f->sci.rises = 0;
	fake.loop.fired = 0;
	fake_advance(10 * HALF_NS);
	assert_int_equal(fake.loop.fired, 0);
	assert_int_equal(rw(f, STS) & 1, 1);
	assert_int_equal(f->sci.rises, 0);
}

static void sleep_when_s5_expect_power_off(void **state)
{
	struct fixture *f = *state;

	ww(f, CNT, 0x0001);
	assert_int_equal(f->off, 0);
	ww(f, CNT, 0x2001);
	assert_int_equal(f->off, 1);
	assert_int_equal(rw(f, CNT), 0x0001);
	/* By bytes: type first, then the trigger. */
	outb(f->bus, CNT + 1, 0x08);
	assert_int_equal(rw(f, CNT), 0x0801);
	outb(f->bus, CNT + 1, 0x28);
	assert_int_equal(f->off, 2);
}

static void sleep_when_s3_expect_suspend_and_wake_status(void **state)
{
	struct fixture *f = *state;

	ww(f, CNT, 0x2401);
	assert_int_equal(f->suspend, 1);
	assert_int_equal(f->off, 0);
	piix4_pm_woke(f->dev, true);
	assert_int_equal(rw(f, STS), 0x8100);
	ww(f, CNT, 0x3c01); /* a type that is none */
	assert_int_equal(f->off + f->suspend, 1);
}

static void gpe_when_enabled_expect_sci_until_cleared(void **state)
{
	struct fixture *f = *state;

	outb(f->bus, PIIX4_SMI_CMD, PIIX4_ACPI_ENABLE);
	outb(f->bus, PIIX4_GPE_BASE + 2, 0x02);
	piix4_pm_gpe(f->dev, 0);
	assert_false(f->sci.level);
	piix4_pm_gpe(f->dev, 1);
	assert_true(f->sci.level);
	assert_int_equal(inb(f->bus, PIIX4_GPE_BASE), 3);
	outb(f->bus, PIIX4_GPE_BASE, 2);
	assert_false(f->sci.level);
	assert_int_equal(inb(f->bus, PIIX4_GPE_BASE), 1);
	piix4_pm_gpe(f->dev, 99);
}

static void smbus_when_started_expect_device_error(void **state)
{
	struct fixture *f = *state;

	outb(f->bus, PIIX4_SMB_BASE + 4, 0xa1);
	outb(f->bus, PIIX4_SMB_BASE + 2, 0x48);
	assert_int_equal(inb(f->bus, PIIX4_SMB_BASE), 0x04);
	assert_int_equal(inb(f->bus, PIIX4_SMB_BASE + 2), 0x08);
	outb(f->bus, PIIX4_SMB_BASE, 0x1e);
	assert_int_equal(inb(f->bus, PIIX4_SMB_BASE), 0);
}

/* The function has no Interrupt Status bit: a state that drives its pin is not one of its own. */
static void load_when_pin_driven_expect_refusal(void **state)
{
	static const char name[] = "pci.intx";
	struct fixture *f = *state;
	struct device *d = piix4_pm_device(f->dev);
	uint8_t buf[8192], *at;
	long n = device_save(d, buf, sizeof(buf));

	assert_true(n > 0);
	at = memmem(buf, (size_t)n, name, strlen(name));
	assert_non_null(at);
	at += strlen(name) + 1 + 2 + 4; /* kind, element size, count */
	assert_int_equal(*at, 0);
	*at = 1;
	assert_int_equal(device_load(d, buf, (size_t)n, NULL), -EINVAL);
	*at = 0;
	assert_int_equal(device_load(d, buf, (size_t)n, NULL), 0);
}

static void load_when_saved_expect_blocks_timer_and_sci(void **state)
{
	struct fixture *f = *state, *g = fixture_new(&fake.loop);

	outb(f->bus, PIIX4_SMI_CMD, PIIX4_ACPI_ENABLE);
	ww(f, EN, 0x0101);
	fake_advance(NS_PER_SEC);
	piix4_pm_power_button(f->dev);
	wire_transfer(piix4_pm_device(f->dev), piix4_pm_device(g->dev));
	assert_true(g->sci.level);
	assert_int_equal(rw(g, CNT), 1);
	assert_int_equal(bus_pio_read(g->bus, TMR, 4), 3579545);
	ww(g, STS, 0x0100);
	assert_false(g->sci.level);
	fake_advance(HALF_NS - NS_PER_SEC);
	assert_true(g->sci.level);
	fixture_free(g);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(reset_expect_identity_and_blocks_hidden),
		T(pm_base_when_programmed_expect_block_there),
		T(acpi_mode_when_commanded_expect_sci_en),
		T(power_button_when_enabled_expect_sci_until_cleared),
		T(power_button_when_not_in_acpi_mode_expect_no_sci),
		T(timer_when_time_passes_expect_3579545_hz_in_24_bits),
		T(timer_when_top_bit_changes_expect_status_and_sci),
		T(sleep_when_s5_expect_power_off),
		T(sleep_when_s3_expect_suspend_and_wake_status),
		T(gpe_when_enabled_expect_sci_until_cleared),
		T(smbus_when_started_expect_device_error),
		T(load_when_pin_driven_expect_refusal),
		T(load_when_saved_expect_blocks_timer_and_sci),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
