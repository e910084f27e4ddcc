// SPDX-License-Identifier: GPL-2.0-or-later
/* Port and memory dispatch: make t T=bus/bus */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "bus/bus.h"
#include "bus/shortcut.h"

/* Logs each access it sees; reads give the offset's byte pattern. */
struct dev {
	char log[256];
	uint8_t id;
};

static void note(struct dev *d, char what, uint64_t off, uint64_t val, unsigned size)
{
	size_t n = strlen(d->log);

	snprintf(d->log + n, sizeof(d->log) - n, "%c%llx.%u", what, (unsigned long long)off, size);
	n = strlen(d->log);
	if (what == 'w')
		snprintf(d->log + n, sizeof(d->log) - n, "=%llx", (unsigned long long)val);
	n = strlen(d->log);
	snprintf(d->log + n, sizeof(d->log) - n, " ");
}

static uint64_t dev_read(void *dev, uint64_t off, unsigned size)
{
	struct dev *d = dev;
	uint64_t v = 0;

	note(d, 'r', off, 0, size);
	for (unsigned i = 0; i < 8; i++) /* also above `size`: the bus must cut it */
		v |= (uint64_t)(uint8_t)(d->id + off + i) << i * 8;
	return v;
}

static void dev_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
	note(dev, 'w', off, val, size);
}

static const struct bus_ops ops_any = {dev_read, dev_write, 0, 0};
static const struct bus_ops ops_byte = {dev_read, dev_write, 1, 1};
static const struct bus_ops ops_dword = {dev_read, dev_write, 4, 4};
static const struct bus_ops ops_none = {NULL, NULL, 0, 0};

static void access_when_nobody_answers_expect_ones(void **state)
{
	struct bus *b = bus_new();

	(void)state;
	assert_int_equal(bus_pio_read(b, 0x80, 1), 0xff);
	assert_int_equal(bus_pio_read(b, 0x80, 2), 0xffff);
	assert_int_equal(bus_pio_read(b, 0xffff, 4), 0xffffffff);
	assert_true(bus_mmio_read(b, UINT64_MAX - 3, 8) == UINT64_MAX);
	bus_pio_write(b, 0xffff, 1, 4);
	bus_mmio_write(b, UINT64_MAX, 1, 8);
	bus_free(b);
}

static void access_when_wider_than_device_expect_pieces_in_order(void **state)
{
	struct bus *b = bus_new();
	struct dev d = {.id = 0x10};

	(void)state;
	assert_non_null(bus_map_pio(b, 0x70, 4, &ops_byte, &d, "d"));
	assert_int_equal(bus_pio_read(b, 0x70, 4), 0x13121110);
	bus_pio_write(b, 0x71, 0xbbaa, 2);
	assert_string_equal(d.log, "r0.1 r1.1 r2.1 r3.1 w1.1=aa w2.1=bb ");
	bus_free(b);
}

static void access_when_crossing_the_end_expect_ones_above(void **state)
{
	struct bus *b = bus_new();
	struct dev d = {.id = 0}, e = {.id = 0x40};

	(void)state;
	bus_map_pio(b, 0x100, 3, &ops_any, &d, "d");
	assert_int_equal(bus_pio_read(b, 0x101, 4), 0xffff0201);
	bus_map_pio(b, 0x103, 1, &ops_any, &e, "e");
	assert_int_equal(bus_pio_read(b, 0x101, 4), 0xff400201);
	assert_string_equal(e.log, "r0.1 ");
	bus_free(b);
}

static void read_when_narrower_than_device_expect_aligned_unit(void **state)
{
	struct bus *b = bus_new();
	struct dev d = {.id = 0x20};

	(void)state;
	bus_map_mmio(b, 0xfee00000, 0x1000, &ops_dword, &d, "apic");
	assert_int_equal(bus_mmio_read(b, 0xfee00006, 1), 0x26);
	assert_int_equal(bus_mmio_read(b, 0xfee00002, 4), 0x25242322);
	assert_true(bus_mmio_read(b, 0xfee00008, 8) == 0x2f2e2d2c2b2a2928);
	bus_mmio_write(b, 0xfee00005, 0xee, 1);
	assert_string_equal(d.log, "r4.4 r0.4 r4.4 r8.4 rc.4 w5.1=ee ");
	bus_free(b);
}

static void map_when_overlapping_expect_later_wins(void **state)
{
	struct bus *b = bus_new();
	struct dev d = {.id = 0}, e = {.id = 0x80};
	struct bus_region *r;

	(void)state;
	bus_map_mmio(b, 0x1000, 0x1000, &ops_byte, &d, "d");
	r = bus_map_mmio(b, 0x1800, 0x100, &ops_byte, &e, "e");
	assert_int_equal(bus_mmio_read(b, 0x17ff, 1), 0xff);
	assert_int_equal(bus_mmio_read(b, 0x1800, 1), 0x80);
	assert_int_equal(bus_mmio_read(b, 0x1900, 1), 0x00);
	bus_region_move(r, 0x1f80);
	assert_int_equal(bus_mmio_read(b, 0x1801, 1), 0x01);
	assert_int_equal(bus_mmio_read(b, 0x1f81, 1), 0x81);
	assert_int_equal(bus_mmio_read(b, 0x2001, 1), 0x01);
	bus_region_enable(r, false);
	assert_int_equal(bus_mmio_read(b, 0x1f81, 1), 0x81);
	assert_int_equal(bus_mmio_read(b, 0x2001, 1), 0xff);
	bus_region_enable(r, true);
	assert_string_equal(e.log, "r0.1 r1.1 r81.1 ");
	bus_free(b);
}

static void move_when_it_does_not_fit_expect_hidden(void **state)
{
	struct bus *b = bus_new();
	struct dev d = {.id = 0};
	struct bus_region *r = bus_map_pio(b, 0xc000, 0x40, &ops_byte, &d, "bar");

	(void)state;
	bus_region_move(r, 0xffe0);
	assert_int_equal(bus_pio_read(b, 0xffe1, 1), 0xff);
	bus_region_move(r, 0xffc0);
	bus_region_enable(r, true);
	assert_int_equal(bus_pio_read(b, 0xffc1, 1), 1);
	assert_int_equal(bus_pio_read(b, 0xffff, 1), 0x3f);
	assert_null(bus_map_pio(b, 0xffff, 2, &ops_any, &d, "x"));
	assert_null(bus_map_pio(b, 0, 0, &ops_any, &d, "x"));
	assert_null(bus_map_mmio(b, UINT64_MAX, 2, &ops_any, &d, "x"));
	assert_non_null(bus_map_mmio(b, UINT64_MAX, 1, &ops_none, &d, "last"));
	assert_int_equal(bus_mmio_read(b, UINT64_MAX, 1), 0xff);
	bus_mmio_write(b, UINT64_MAX, 0, 1);
	bus_free(b);
}

/* Random maps against a plain byte table of owners. */
static void map_when_random_expect_same_as_model(void **state)
{
	static struct dev dev[60];
	struct bus_region *r[60];
	uint64_t base[60], len[60];
	bool on[60];
	struct bus *b = bus_new();
	uint32_t x = 12345;

	(void)state;
	for (int i = 0; i < 60; i++) {
		x = x * 1664525 + 1013904223;
		base[i] = x >> 8 & 0x3ff;
		len[i] = 1 + (x >> 20 & 0x7f);
		dev[i].id = (uint8_t)(i * 4);
		r[i] = bus_map_pio(b, (uint16_t)base[i], (uint32_t)len[i], &ops_byte, &dev[i], "d");
		on[i] = true;
	}
	for (int round = 0; round < 200; round++) {
		x = x * 1664525 + 1013904223;

		int k = (int)((x >> 8) % 60);

		if (x >> 31) {
			base[k] = x >> 10 & 0x3ff;
			bus_region_move(r[k], base[k]);
		} else {
			on[k] = !on[k];
			bus_region_enable(r[k], on[k]);
		}
		for (uint16_t p = 0; p < 0x500; p += 3) {
			uint8_t want = 0xff;

			for (int i = 0; i < 60; i++) {
				if (on[i] && p >= base[i] && p - base[i] < len[i])
					want = (uint8_t)(dev[i].id + p - base[i]);
			}
			for (int i = 0; i < 60; i++)
				dev[i].log[0] = 0;
			assert_int_equal(bus_pio_read(b, p, 1), want);
		}
	}
	bus_free(b);
}

/* ---- Shortcuts ---------------------------------------------------------------------------------- */

/* Who takes them: what he has, as text. */
struct taker {
	char has[64];
	unsigned calls;
	bool refuses;
};

static bool take(void *opaque, const struct bus_shortcut *s, bool on)
{
	struct taker *t = opaque;

	t->calls++;
	if (t->refuses)
		return false;
	snprintf(t->has, sizeof(t->has), on ? "%s%llx.%u" : "", s->pio ? "port " : "",
		 (unsigned long long)s->addr, s->len);
	return true;
}

static void shortcut_when_its_region_moves_expect_it_follows(void **state)
{
	struct bus *b = bus_new();
	struct taker t = {.calls = 0};
	const struct bus_shortcut_host h = {.opaque = &t, .take = take};
	struct dev d = {.id = 1}, over = {.id = 2};
	struct bus_region *r = bus_map_mmio(b, 0x1000, 0x100, &ops_any, &d, "d"), *o;
	struct bus_shortcut s;

	(void)state;
	assert_false(bus_has_shortcuts(b));
	bus_shortcut_init(&s, r, BUS_SHORTCUT_BELL, 0x10, 2);
	bus_shortcut_arm(&s, true);
	assert_false(s.armed); /* nobody takes any */
	bus_set_shortcut_host(b, &h);
	assert_true(bus_has_shortcuts(b));
	bus_shortcut_arm(&s, true);
	assert_string_equal(t.has, "1010.2");
	bus_shortcut_arm(&s, true);
	assert_int_equal(t.calls, 1);
	bus_region_move(r, 0x5000);
	assert_string_equal(t.has, "5010.2");
	bus_region_enable(r, false);
	assert_string_equal(t.has, "");
	bus_region_enable(r, true);
	assert_string_equal(t.has, "5010.2");
	/* Half of it is another's now. */
	o = bus_map_mmio(b, 0x5011, 1, &ops_any, &over, "over");
	assert_string_equal(t.has, "");
	bus_unmap(o);
	assert_string_equal(t.has, "5010.2");
	bus_shortcut_arm(&s, false);
	assert_string_equal(t.has, "");
	bus_region_move(r, 0x6000);
	assert_string_equal(t.has, "");
	bus_free(b);
}

static void shortcut_when_its_region_goes_expect_given_back(void **state)
{
	struct bus *b = bus_new();
	struct taker t = {.calls = 0};
	const struct bus_shortcut_host h = {.opaque = &t, .take = take};
	struct dev d = {.id = 1};
	struct bus_region *r = bus_map_pio(b, 0x80, 4, &ops_any, &d, "d");
	struct bus_shortcut s;

	(void)state;
	bus_set_shortcut_host(b, &h);
	bus_shortcut_init(&s, r, BUS_SHORTCUT_LATE, 0, 4);
	bus_shortcut_arm(&s, true);
	assert_string_equal(t.has, "port 80.4");
	bus_unmap(r);
	assert_string_equal(t.has, "");
	assert_false(s.armed);
	bus_shortcut_arm(&s, true); /* it has no region any more */
	assert_false(s.armed);
	bus_free(b);
}

static void shortcut_when_refused_expect_the_device_is_written(void **state)
{
	struct bus *b = bus_new();
	struct taker t = {.refuses = true};
	const struct bus_shortcut_host h = {.opaque = &t, .take = take};
	struct dev d = {.id = 1};
	struct bus_region *r = bus_map_mmio(b, 0x1000, 0x100, &ops_any, &d, "d");
	struct bus_shortcut s;

	(void)state;
	bus_set_shortcut_host(b, &h);
	bus_shortcut_init(&s, r, BUS_SHORTCUT_BELL, 0, 0);
	bus_shortcut_arm(&s, true);
	assert_int_equal(t.calls, 1);
	assert_false(s.taken);
	bus_mmio_write(b, 0x1000, 5, 2);
	assert_string_equal(d.log, "w0.2=5 ");
	bus_shortcut_arm(&s, false);
	assert_int_equal(t.calls, 1); /* nothing to give back */
	bus_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(access_when_nobody_answers_expect_ones),
		cmocka_unit_test(access_when_wider_than_device_expect_pieces_in_order),
		cmocka_unit_test(access_when_crossing_the_end_expect_ones_above),
		cmocka_unit_test(read_when_narrower_than_device_expect_aligned_unit),
		cmocka_unit_test(map_when_overlapping_expect_later_wins),
		cmocka_unit_test(move_when_it_does_not_fit_expect_hidden),
		cmocka_unit_test(map_when_random_expect_same_as_model),
		cmocka_unit_test(shortcut_when_its_region_moves_expect_it_follows),
		cmocka_unit_test(shortcut_when_its_region_goes_expect_given_back),
		cmocka_unit_test(shortcut_when_refused_expect_the_device_is_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
