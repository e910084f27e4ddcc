// SPDX-License-Identifier: GPL-2.0-or-later
/* The 440FX host bridge: make t T=devices/i440fx */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "devices/legacy/i440fx.h"
#include "wire.h"

#define BLOCKS 16 /* of 16 KiB, from 0xC0000 */

struct fixture {
	struct bus *bus;
	struct pci_bus *pb;
	struct i440fx *dev;
	unsigned attr[BLOCKS];
	unsigned pam_calls;
	bool enabled, open;
};

static void on_pam(void *opaque, gpa_t gpa, uint32_t len, unsigned attr)
{
	struct fixture *f = opaque;

	f->pam_calls++;
	assert_true(gpa >= 0xc0000 && gpa + len <= 0x100000);
	for (gpa_t a = gpa; a < gpa + len; a += 0x4000)
		f->attr[(a - 0xc0000) / 0x4000] = attr;
}

static void on_smram(void *opaque, bool enabled, bool open)
{
	struct fixture *f = opaque;

	f->enabled = enabled;
	f->open = open;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct i440fx_host host = {f, on_pam, on_smram};

	f->bus = bus_new();
	f->pb = pci_bus_new(f->bus);
	f->dev = i440fx_new(f->pb, &host, NULL);
	i440fx_device(f->dev)->cls->reset(i440fx_device(f->dev));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	i440fx_free(f->dev);
	pci_bus_free(f->pb);
	bus_free(f->bus);
	free(f);
	return 0;
}

static void wr(struct fixture *f, unsigned off, uint32_t v, unsigned size)
{
	pci_config_write(f->pb, 0, off, v, size);
}

static uint32_t rd(struct fixture *f, unsigned off, unsigned size)
{
	return pci_config_read(f->pb, 0, off, size);
}

static void reset_expect_identity_and_no_shadow(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(rd(f, 0, 4), 0x12378086);
	assert_int_equal(rd(f, PCI_CLASS, 2), 0x0600);
	assert_int_equal(rd(f, 0x58, 4), 0);
	assert_int_equal(rd(f, 0x72, 1), 0x02);
	assert_int_equal(f->pam_calls, I440FX_PAM_REGIONS);
	for (unsigned i = 0; i < BLOCKS; i++)
		assert_int_equal(f->attr[i], 0);
	assert_false(f->open || f->enabled);
}

static void pam_when_written_expect_only_that_region(void **state)
{
	struct fixture *f = *state;

	wr(f, 0x59, 0x30, 1);
	assert_int_equal(f->pam_calls, I440FX_PAM_REGIONS + 1);
	for (unsigned i = 0; i < BLOCKS; i++)
		assert_int_equal(f->attr[i], i >= 12 ? 3 : 0);
	wr(f, 0x5a, 0x21, 1);
	assert_int_equal(f->attr[0], I440FX_PAM_READ_RAM);
	assert_int_equal(f->attr[1], I440FX_PAM_WRITE_RAM);
	wr(f, 0x5f, 0x10, 1);
	assert_int_equal(f->attr[11], 1);
	assert_int_equal(f->attr[10], 0);
	/* Reserved bits do not stick, and the low nibble of PAM0 does nothing. */
	wr(f, 0x59, 0xff, 1);
	assert_int_equal(rd(f, 0x59, 1), 0x33);
	assert_int_equal(f->attr[15], 3);
}

static void pam_when_written_as_dword_expect_all(void **state)
{
	struct fixture *f = *state;

	wr(f, 0x5c, 0x33333333, 4);
	for (unsigned i = 4; i < 12; i++)
		assert_int_equal(f->attr[i], 3);
	assert_int_equal(f->attr[3], 0);
}

static void smram_when_locked_expect_closed_until_reset(void **state)
{
	struct fixture *f = *state;

	wr(f, 0x72, 0x4a, 1);
	assert_true(f->open && f->enabled);
	wr(f, 0x72, 0x5a, 1);
	assert_int_equal(rd(f, 0x72, 1), 0x1a);
	assert_false(f->open);
	wr(f, 0x72, 0x4a, 1);
	assert_int_equal(rd(f, 0x72, 1), 0x1a);
	i440fx_device(f->dev)->cls->reset(i440fx_device(f->dev));
	wr(f, 0x72, 0x4a, 1);
	assert_true(f->open);
}

static void set_pam_when_called_expect_registers_follow(void **state)
{
	struct fixture *f = *state;

	i440fx_set_pam(f->dev, I440FX_PAM_READ_RAM);
	for (unsigned i = 0; i < BLOCKS; i++)
		assert_int_equal(f->attr[i], 1);
	assert_int_equal(rd(f, 0x58, 4), 0x11111000 | rd(f, 0x58, 1));
	assert_int_equal(rd(f, 0x5c, 4), 0x11111111);
}

static void load_when_saved_expect_pam_and_lock(void **state)
{
	struct fixture *f = *state, *g;

	assert_int_equal(setup((void **)&g), 0);
	wr(f, 0x5a, 0x33, 1);
	wr(f, 0x72, 0x1a, 1);
	wire_transfer(i440fx_device(f->dev), i440fx_device(g->dev));
	assert_int_equal(g->attr[0], 3);
	assert_int_equal(g->attr[2], 0);
	wr(g, 0x72, 0x4a, 1);
	assert_int_equal(rd(g, 0x72, 1), 0x1a);
	/* And loading an unlocked state unlocks. */
	i440fx_device(f->dev)->cls->reset(i440fx_device(f->dev));
	wire_transfer(i440fx_device(f->dev), i440fx_device(g->dev));
	wr(g, 0x72, 0x4a, 1);
	assert_true(g->open);
	teardown((void **)&g);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(reset_expect_identity_and_no_shadow),
		T(pam_when_written_expect_only_that_region),
		T(pam_when_written_as_dword_expect_all),
		T(smram_when_locked_expect_closed_until_reset),
		T(set_pam_when_called_expect_registers_follow),
		T(load_when_saved_expect_pam_and_lock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
