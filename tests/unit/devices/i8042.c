// SPDX-License-Identifier: GPL-2.0-or-later
/* Keyboard controller, keyboard, mouse: make t T=devices/i8042 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "devices/legacy/i8042.h"
#include "wire.h"

struct fix {
	struct bus *bus;
	struct i8042 *c;
	struct ps2_keyboard *k;
	struct ps2_mouse *m;
	struct wire irq1, irq12, a20, reset;
	char text[256];
};

static int setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));
	struct i8042_config cfg = {wire_line(&f->irq1), wire_line(&f->irq12), wire_line(&f->a20),
				   wire_line(&f->reset)};

	f->bus = bus_new();
	f->c = i8042_new(&cfg);
	f->k = i8042_keyboard(f->c);
	f->m = i8042_mouse(f->c);
	*state = f;
	return i8042_map(f->c, f->bus);
}

static int teardown(void **state)
{
	struct fix *f = *state;

	bus_free(f->bus);
	i8042_free(f->c);
	free(f);
	return 0;
}

static void cmd(struct fix *f, uint8_t v)
{
	outb(f->bus, 0x64, v);
}

static void data(struct fix *f, uint8_t v)
{
	outb(f->bus, 0x60, v);
}

static void mouse(struct fix *f, uint8_t v)
{
	cmd(f, 0xd4);
	data(f, v);
}

/* Everything in the output buffer as text, "a:" before each byte of the mouse. */
static const char *drain(struct fix *f)
{
	char *p = f->text;
	uint8_t s;

	*p = 0;
	while ((s = inb(f->bus, 0x64)) & 1) {
		const char *sep = p == f->text ? "" : " ";

		p += sprintf(p, "%s%s%02x", sep, s & 0x20 ? "a:" : "", inb(f->bus, 0x60));
		if (p - f->text > 200)
			return "endless";
	}
	return f->text;
}

static void set_mode(struct fix *f, uint8_t v)
{
	cmd(f, 0x60);
	data(f, v);
}

#define EXPECT(f, want) assert_string_equal(drain(f), want)

static void reset_when_new_expect_pc_defaults(void **state)
{
	struct fix *f = *state;

	assert_int_equal(inb(f->bus, 0x64), 0x1c);
	assert_true(f->a20.level);
	cmd(f, 0x20);
	EXPECT(f, "47");
	cmd(f, 0xd0);
	assert_int_equal(inb(f->bus, 0x60), 0xcf);
}

static void self_test_when_asked_expect_good(void **state)
{
	struct fix *f = *state;

	set_mode(f, 0);
	assert_int_equal(inb(f->bus, 0x64) & 4, 0);
	cmd(f, 0xaa);
	assert_int_equal(inb(f->bus, 0x64) & 5, 5);
	EXPECT(f, "55");
	cmd(f, 0xab);
	EXPECT(f, "00");
	cmd(f, 0xa9);
	EXPECT(f, "00");
	cmd(f, 0xa4);
	EXPECT(f, "f1");
	cmd(f, 0xc0);
	EXPECT(f, "80");
	assert_int_equal(f->irq1.rises, 0);
}

static void ram_when_written_expect_read_back(void **state)
{
	struct fix *f = *state;

	cmd(f, 0x7f);
	data(f, 0x5a);
	cmd(f, 0x3f);
	EXPECT(f, "5a");
	cmd(f, 0x65);
	assert_int_equal(inb(f->bus, 0x64) & 8, 8);
	data(f, 0xa5);
	assert_int_equal(inb(f->bus, 0x64) & 8, 0);
	cmd(f, 0x25);
	EXPECT(f, "a5");
}

static void outport_when_written_expect_a20_and_reset(void **state)
{
	struct fix *f = *state;

	cmd(f, 0xd1);
	data(f, 0xdd);
	assert_false(f->a20.level);
	cmd(f, 0xd0);
	assert_int_equal(inb(f->bus, 0x60) & 3, 1);
	cmd(f, 0xdf);
	assert_true(f->a20.level);
	cmd(f, 0xdd);
	assert_false(f->a20.level);
	assert_int_equal(f->reset.rises, 0);
	cmd(f, 0xff);
	assert_int_equal(f->reset.rises, 0);
	cmd(f, 0xfe);
	assert_int_equal(f->reset.rises, 1);
	cmd(f, 0xd1);
	data(f, 0x02);
	assert_int_equal(f->reset.rises, 2);
	assert_true(f->a20.level);
}

static void loopback_when_d2_d3_expect_interrupt_of_that_device(void **state)
{
	struct fix *f = *state;

	cmd(f, 0xd2);
	data(f, 0x12);
	assert_true(f->irq1.level);
	assert_false(f->irq12.level);
	EXPECT(f, "12");
	assert_false(f->irq1.level);
	cmd(f, 0xd3);
	data(f, 0x34);
	assert_true(f->irq12.level);
	assert_false(f->irq1.level);
	cmd(f, 0xd0); /* waits behind the mouse's byte */
	EXPECT(f, "a:34 ef");
	assert_int_equal(inb(f->bus, 0x60), 0xef);
}

static void key_when_translated_expect_set_1_and_interrupts(void **state)
{
	struct fix *f = *state;

	ps2_keyboard_key(f->k, 0x1e, true);
	assert_true(f->irq1.level);
	ps2_keyboard_key(f->k, 0x1e, false);
	ps2_keyboard_key(f->k, 0x9d, true);
	ps2_keyboard_key(f->k, 0x9d, false);
	ps2_keyboard_key(f->k, 0x41, true); /* F7, 0x83 in set 2 */
	ps2_keyboard_key(f->k, 0x41, false);
	EXPECT(f, "1e 9e e0 1d e0 9d 41 c1");
	assert_int_equal(f->irq1.rises, 8);
	assert_false(f->irq1.level);
	ps2_keyboard_key(f->k, 0xc6, true);
	ps2_keyboard_key(f->k, 0xc6, false);
	EXPECT(f, "e1 1d 45 e1 9d c5");
	ps2_keyboard_key(f->k, 0xb7, true);
	ps2_keyboard_key(f->k, 0xb7, false);
	EXPECT(f, "e0 2a e0 37 e0 b7 e0 aa");
	ps2_keyboard_key(f->k, 0x38, true); /* Alt + Print = SysRq */
	ps2_keyboard_key(f->k, 0xb7, true);
	ps2_keyboard_key(f->k, 0xb7, false);
	ps2_keyboard_key(f->k, 0x38, false);
	EXPECT(f, "38 54 d4 b8");
	ps2_keyboard_key(f->k, 0x1d, true); /* Ctrl + Pause = Break */
	ps2_keyboard_key(f->k, 0xc6, true);
	ps2_keyboard_key(f->k, 0xc6, false);
	EXPECT(f, "1d e0 46 e0 c6");
}

static void key_when_every_key_translated_expect_its_own_number(void **state)
{
	struct fix *f = *state;
	unsigned known = 0;

	for (unsigned key = 1; key < 256; key++) {
		char want[32];

		if (key == 0xb7 || key == 0xc6)
			continue;
		ps2_keyboard_key(f->k, (uint8_t)key, true);
		ps2_keyboard_key(f->k, (uint8_t)key, false);
		snprintf(want, sizeof(want), key & 0x80 ? "e0 %02x e0 %02x" : "%02x %02x",
			 key & 0x7f, key | 0x80);
		if (!*drain(f))
			continue;
		assert_string_equal(f->text, want);
		known++;
	}
	assert_int_equal(known, 86 + 38);
}

static void key_when_raw_sets_expect_their_codes(void **state)
{
	struct fix *f = *state;

	set_mode(f, 0x03);
	ps2_keyboard_key(f->k, 0x1e, true);
	ps2_keyboard_key(f->k, 0x1e, false);
	ps2_keyboard_key(f->k, 0xc8, true);
	ps2_keyboard_key(f->k, 0xc8, false);
	EXPECT(f, "1c f0 1c e0 75 e0 f0 75");
	ps2_keyboard_key(f->k, 0xc6, true);
	ps2_keyboard_key(f->k, 0xc6, true);
	EXPECT(f, "e1 14 77 e1 f0 14 f0 77");
	data(f, 0xf0);
	EXPECT(f, "fa");
	data(f, 1);
	EXPECT(f, "fa");
	ps2_keyboard_key(f->k, 0x1e, true);
	ps2_keyboard_key(f->k, 0xc8, false); /* is not down: nothing */
	ps2_keyboard_key(f->k, 0x1e, false);
	EXPECT(f, "1e 9e");
	data(f, 0xf0);
	data(f, 3);
	EXPECT(f, "fa fa");
	data(f, 0xf0);
	data(f, 0);
	EXPECT(f, "fa fa 03");
	/* Set 3: a repeats and has no break; Shift breaks and does not repeat. */
	ps2_keyboard_key(f->k, 0x1e, true);
	ps2_keyboard_key(f->k, 0x1e, true);
	ps2_keyboard_key(f->k, 0x1e, false);
	ps2_keyboard_key(f->k, 0x2a, true);
	ps2_keyboard_key(f->k, 0x2a, true);
	ps2_keyboard_key(f->k, 0x2a, false);
	ps2_keyboard_key(f->k, 0xc8, true);
	EXPECT(f, "1c 1c 12 f0 12 63");
	data(f, 0xf8);
	data(f, 0xfb);
	data(f, 0x1c);
	data(f, 0x1b);
	data(f, 0xf4);
	EXPECT(f, "fa fa");
	ps2_keyboard_key(f->k, 0x1f, true);
	ps2_keyboard_key(f->k, 0x1f, false);
	ps2_keyboard_key(f->k, 0x20, true);
	ps2_keyboard_key(f->k, 0x20, true);
	ps2_keyboard_key(f->k, 0x20, false);
	EXPECT(f, "1b 23 f0 23");
}

static void keyboard_when_commanded_expect_answers(void **state)
{
	struct fix *f = *state;

	set_mode(f, 0x03);
	data(f, 0xff);
	EXPECT(f, "fa aa");
	data(f, 0xf2);
	EXPECT(f, "fa ab 83");
	data(f, 0xee);
	EXPECT(f, "ee");
	data(f, 0xfe);
	EXPECT(f, "ee");
	data(f, 0xed);
	EXPECT(f, "fa");
	data(f, 0x05);
	EXPECT(f, "fa");
	assert_int_equal(ps2_keyboard_leds(f->k), 5);
	data(f, 0xed);
	EXPECT(f, "fa");
	data(f, 0xf4); /* a command in place of the argument */
	EXPECT(f, "fa");
	assert_int_equal(ps2_keyboard_leds(f->k), 5);
	data(f, 0xf3);
	EXPECT(f, "fa");
	data(f, 0x20);
	EXPECT(f, "fa");
	data(f, 0x12);
	EXPECT(f, "fe");
	data(f, 0xf0);
	EXPECT(f, "fa");
	data(f, 0x09);
	EXPECT(f, "fe");
	data(f, 0xf5);
	ps2_keyboard_key(f->k, 0x1e, true);
	EXPECT(f, "fa");
	data(f, 0xf4);
	EXPECT(f, "fa");
	ps2_keyboard_key(f->k, 0x1f, true);
	EXPECT(f, "1b");
	/* The identity goes through the translation, too. */
	set_mode(f, 0x43);
	data(f, 0xf2);
	EXPECT(f, "fa ab 41");
}

static void keyboard_when_disabled_expect_bytes_wait(void **state)
{
	struct fix *f = *state;

	cmd(f, 0xad);
	ps2_keyboard_key(f->k, 0x1e, true);
	EXPECT(f, "");
	assert_int_equal(f->irq1.rises, 0);
	cmd(f, 0x20);
	assert_false(f->irq1.level);
	EXPECT(f, "57");
	cmd(f, 0xae);
	assert_true(f->irq1.level);
	EXPECT(f, "1e");
	cmd(f, 0xad);
	data(f, 0xee); /* writing to it enables it */
	EXPECT(f, "ee");
	cmd(f, 0x20);
	EXPECT(f, "47");
	/* Interrupts off: the byte is there all the same. */
	set_mode(f, 0x40);
	f->irq1.rises = 0;
	ps2_keyboard_key(f->k, 0x1f, true);
	assert_int_equal(f->irq1.rises, 0);
	EXPECT(f, "1f");
}

static void keyboard_when_queue_full_expect_whole_strokes_lost(void **state)
{
	struct fix *f = *state;
	unsigned n = 0;

	set_mode(f, 0x03);
	for (int i = 0; i < 40; i++) { /* 2 + 3 bytes each */
		ps2_keyboard_key(f->k, 0xc8, true);
		ps2_keyboard_key(f->k, 0xc8, false);
	}
	drain(f);
	for (const char *p = f->text; *p; p += p[2] ? 3 : 2)
		n++;
	assert_in_range(n, 30, 33);
	/* Each E0 is followed by its code. */
	assert_string_equal(f->text + strlen(f->text) - 2, "75");
	ps2_keyboard_key(f->k, 0x1e, true);
	EXPECT(f, "1c");
}

static void mouse_when_commanded_expect_answers(void **state)
{
	struct fix *f = *state;

	mouse(f, 0xff);
	assert_true(f->irq12.level);
	EXPECT(f, "a:fa a:aa a:00");
	mouse(f, 0xf2);
	EXPECT(f, "a:fa a:00");
	mouse(f, 0xe8);
	EXPECT(f, "a:fa");
	mouse(f, 3);
	EXPECT(f, "a:fa");
	mouse(f, 0xe8);
	mouse(f, 4);
	EXPECT(f, "a:fa a:fe");
	mouse(f, 0xe7);
	EXPECT(f, "a:fa");
	mouse(f, 0xf4);
	EXPECT(f, "a:fa");
	ps2_mouse_move(f->m, 0, 0, 0, PS2_MOUSE_LEFT);
	EXPECT(f, "a:09 a:00 a:00");
	mouse(f, 0xe9);
	EXPECT(f, "a:fa a:34 a:03 a:64");
	mouse(f, 0xee);
	EXPECT(f, "a:fa");
	mouse(f, 0xf2);
	EXPECT(f, "a:f2");
	mouse(f, 0xec);
	EXPECT(f, "a:fa");
	mouse(f, 0x01);
	EXPECT(f, "a:fe");
	mouse(f, 0xf6);
	EXPECT(f, "a:fa");
	mouse(f, 0xe9);
	EXPECT(f, "a:fa a:04 a:02 a:64");
	mouse(f, 0xfe);
	EXPECT(f, "a:64");
}

static void mouse_when_moved_expect_packets(void **state)
{
	struct fix *f = *state;

	ps2_mouse_move(f->m, 5, 5, 0, 0);
	EXPECT(f, "");
	mouse(f, 0xf4);
	EXPECT(f, "a:fa");
	ps2_mouse_move(f->m, 5, -3, 7, PS2_MOUSE_RIGHT);
	EXPECT(f, "a:2a a:05 a:fd");
	ps2_mouse_move(f->m, 0, 0, 0, PS2_MOUSE_RIGHT);
	EXPECT(f, "");
	ps2_mouse_move(f->m, -300, 600, 0, 0); /* more than a packet holds */
	EXPECT(f, "a:18 a:01 a:ff a:18 a:d3 a:ff a:08 a:00 a:5a");
	mouse(f, 0xe7); /* 2:1 */
	EXPECT(f, "a:fa");
	ps2_mouse_move(f->m, 3, -5, 0, 0);
	EXPECT(f, "a:28 a:03 a:f7");
	mouse(f, 0xf0); /* remote: only when asked */
	EXPECT(f, "a:fa");
	ps2_mouse_move(f->m, 9, 9, 0, 0);
	EXPECT(f, "");
	mouse(f, 0xeb);
	EXPECT(f, "a:fa a:08 a:09 a:09");
}

static void knock(struct fix *f, uint8_t a, uint8_t b, uint8_t c)
{
	const uint8_t rates[3] = {a, b, c};

	for (int i = 0; i < 3; i++) {
		mouse(f, 0xf3);
		mouse(f, rates[i]);
		drain(f);
	}
}

static void mouse_when_knocked_expect_wheel_and_buttons(void **state)
{
	struct fix *f = *state;

	knock(f, 200, 200, 80); /* Explorer may be asked for at once */
	mouse(f, 0xf2);
	EXPECT(f, "a:fa a:04");
	mouse(f, 0xf4);
	drain(f);
	ps2_mouse_move(f->m, 1, 0, -1, PS2_MOUSE_SIDE);
	EXPECT(f, "a:08 a:01 a:00 a:1f");
	ps2_mouse_move(f->m, 0, 0, 9, PS2_MOUSE_EXTRA | PS2_MOUSE_MIDDLE);
	EXPECT(f, "a:0c a:00 a:00 a:27 a:0c a:00 a:00 a:22");
	mouse(f, 0xff);
	EXPECT(f, "a:fa a:aa a:00");
	knock(f, 200, 100, 80);
	mouse(f, 0xf2);
	EXPECT(f, "a:fa a:03");
	mouse(f, 0xf4);
	drain(f);
	ps2_mouse_move(f->m, 0, 0, -2, PS2_MOUSE_SIDE);
	EXPECT(f, "a:08 a:00 a:00 a:fe");
}

static void mouse_when_nobody_reads_expect_sum_of_movement(void **state)
{
	struct fix *f = *state;
	int x = 0, bytes = 0;

	mouse(f, 0xf4);
	drain(f);
	for (int i = 0; i < 1000; i++)
		ps2_mouse_move(f->m, 1, 0, 0, 0);
	while (inb(f->bus, 0x64) & 1) {
		uint8_t b[3];

		for (int i = 0; i < 3; i++)
			b[i] = inb(f->bus, 0x60);
		x += b[1];
		bytes += 3;
	}
	assert_int_equal(x, 1000);
	assert_true(bytes < 60);
}

static void load_when_saved_expect_queues(void **state)
{
	struct fix *f = *state, *g;
	void *other;

	assert_int_equal(setup(&other), 0);
	g = other;
	ps2_keyboard_key(f->k, 0x1e, true);
	ps2_keyboard_key(f->k, 0x9d, true);
	cmd(f, 0xdd);
	mouse(f, 0xf4);
	/* In the board's order, the controller first. */
	wire_transfer(i8042_device(f->c), i8042_device(g->c));
	wire_transfer(ps2_keyboard_device(f->k), ps2_keyboard_device(g->k));
	wire_transfer(ps2_mouse_device(f->m), ps2_mouse_device(g->m));
	assert_true(g->irq1.level);
	assert_false(g->a20.level);
	EXPECT(g, "1e e0 1d a:fa");
	teardown(&other);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(reset_when_new_expect_pc_defaults),
		T(self_test_when_asked_expect_good),
		T(ram_when_written_expect_read_back),
		T(outport_when_written_expect_a20_and_reset),
		T(loopback_when_d2_d3_expect_interrupt_of_that_device),
		T(key_when_translated_expect_set_1_and_interrupts),
		T(key_when_every_key_translated_expect_its_own_number),
		T(key_when_raw_sets_expect_their_codes),
		T(keyboard_when_commanded_expect_answers),
		T(keyboard_when_disabled_expect_bytes_wait),
		T(keyboard_when_queue_full_expect_whole_strokes_lost),
		T(mouse_when_commanded_expect_answers),
		T(mouse_when_moved_expect_packets),
		T(mouse_when_knocked_expect_wheel_and_buttons),
		T(mouse_when_nobody_reads_expect_sum_of_movement),
		T(load_when_saved_expect_queues),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
