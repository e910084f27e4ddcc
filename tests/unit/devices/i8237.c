// SPDX-License-Identifier: GPL-2.0-or-later
/* DMA controllers' registers: make t T=devices/i8237 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "devices/legacy/i8237.h"
#include "wire.h"

struct fix {
	struct bus *bus;
	struct i8237_pair *p;
};

static int setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));

	f->bus = bus_new();
	f->p = i8237_new(NULL);
	*state = f;
	return i8237_map(f->p, f->bus);
}

static int teardown(void **state)
{
	struct fix *f = *state;

	bus_free(f->bus);
	i8237_free(f->p);
	free(f);
	return 0;
}

/* How old systems look for the controllers: patterns in address and count. */
static void channels_when_written_expect_read_back(void **state)
{
	struct fix *f = *state;

	for (unsigned chip = 0; chip < 2; chip++) {
		uint16_t base = chip ? 0xc0 : 0;
		unsigned step = chip ? 2 : 1;

		outb(f->bus, (uint16_t)(base + 0xd * step), 0);
		for (uint16_t reg = 0; reg < 8; reg++) {
			uint16_t port = (uint16_t)(base + reg * step);

			outb(f->bus, port, (uint8_t)(0x5a + reg));
			outb(f->bus, port, (uint8_t)(0xa5 - reg));
			assert_int_equal(inb(f->bus, port), 0x5a + reg);
			assert_int_equal(inb(f->bus, port), 0xa5 - reg);
		}
		outb(f->bus, base, 0x11); /* half-way, then start over */
		outb(f->bus, (uint16_t)(base + 0xc * step), 0);
		assert_int_equal(inb(f->bus, base), 0x11);
		assert_int_equal(inb(f->bus, base), 0xa5);
	}
}

static void masks_when_written_expect_bits(void **state)
{
	struct fix *f = *state;

	assert_int_equal(inb(f->bus, 0x0f), 0xff);
	outb(f->bus, 0x0a, 0x02);
	assert_int_equal(inb(f->bus, 0x0f), 0xfb);
	outb(f->bus, 0x0e, 0);
	assert_int_equal(inb(f->bus, 0x0f), 0xf0);
	outb(f->bus, 0xd4, 0x01);
	assert_int_equal(inb(f->bus, 0xde), 0xfd);
	outb(f->bus, 0x09, 0x06);
	assert_int_equal(inb(f->bus, 0x08), 0x40);
	outb(f->bus, 0x0d, 0);
	assert_int_equal(inb(f->bus, 0x0f), 0xff);
	assert_int_equal(inb(f->bus, 0x08), 0);
}

static void pages_when_written_expect_memory(void **state)
{
	struct fix *f = *state;

	for (uint16_t i = 0; i < 16; i++)
		outb(f->bus, (uint16_t)(0x80 + i), (uint8_t)(i * 7));
	for (uint16_t i = 0; i < 16; i++)
		assert_int_equal(inb(f->bus, (uint16_t)(0x80 + i)), i * 7);
}

static void load_when_saved_expect_registers(void **state)
{
	struct fix *f = *state, *g;
	void *other;

	assert_int_equal(setup(&other), 0);
	g = other;
	outb(f->bus, 0x04, 0x34);
	outb(f->bus, 0x87, 0x12);
	wire_transfer(i8237_device(f->p), i8237_device(g->p));
	assert_int_equal(inb(g->bus, 0x87), 0x12);
	outb(g->bus, 0x0c, 0);
	assert_int_equal(inb(g->bus, 0x04), 0x34);
	teardown(&other);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(channels_when_written_expect_read_back),
		T(masks_when_written_expect_bits),
		T(pages_when_written_expect_memory),
		T(load_when_saved_expect_registers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
