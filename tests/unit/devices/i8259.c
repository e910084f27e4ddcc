// SPDX-License-Identifier: GPL-2.0-or-later
/* Interrupt controllers: make t T=devices/i8259 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "devices/legacy/i8259.h"
#include "wire.h"

struct fix {
	struct bus *bus;
	struct i8259_pair *p;
	struct wire intr;
};

static void init_chips(struct fix *f, uint8_t icw4)
{
	const uint8_t cmd[2] = {0x20, 0xa0};

	for (int i = 0; i < 2; i++) {
		outb(f->bus, cmd[i], 0x11);
		outb(f->bus, cmd[i] + 1, i ? 0x28 : 0x20);
		outb(f->bus, cmd[i] + 1, i ? 2 : 4);
		outb(f->bus, cmd[i] + 1, icw4);
	}
}

static int setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));

	f->bus = bus_new();
	f->p = i8259_new(wire_line(&f->intr));
	*state = f;
	if (i8259_map(f->p, f->bus) < 0)
		return -1;
	init_chips(f, 0x01);
	return 0;
}

static int teardown(void **state)
{
	struct fix *f = *state;

	bus_free(f->bus);
	i8259_free(f->p);
	free(f);
	return 0;
}

static void raise(struct fix *f, unsigned n)
{
	i8259_set_irq(f->p, n, true);
}

static void lower(struct fix *f, unsigned n)
{
	i8259_set_irq(f->p, n, false);
}

static void init_when_icw_sequence_expect_vectors_and_clear_masks(void **state)
{
	struct fix *f = *state;

	assert_int_equal(inb(f->bus, 0x21), 0);
	outb(f->bus, 0x21, 0xfb);
	outb(f->bus, 0xa1, 0xee);
	assert_int_equal(inb(f->bus, 0x21), 0xfb);
	assert_int_equal(inb(f->bus, 0xa1), 0xee);
	init_chips(f, 1);
	assert_int_equal(inb(f->bus, 0x21), 0);
	raise(f, 3);
	assert_true(f->intr.level);
	assert_int_equal(i8259_ack(f->p), 0x23);
	assert_false(f->intr.level);
}

static void init_when_no_icw4_expect_mask_writes_after_icw3(void **state)
{
	struct fix *f = *state;

	outb(f->bus, 0x20, 0x10);
	outb(f->bus, 0x21, 0x4f); /* low bits of the base are dropped */
	outb(f->bus, 0x21, 4);
	outb(f->bus, 0x21, 0x7f);
	assert_int_equal(inb(f->bus, 0x21), 0x7f);
	outb(f->bus, 0x20, 0x12); /* single: no ICW3 either */
	outb(f->bus, 0x21, 0x48);
	outb(f->bus, 0x21, 0x55);
	assert_int_equal(inb(f->bus, 0x21), 0x55);
	raise(f, 1);
	assert_int_equal(i8259_ack(f->p), 0x49);
}

static void request_when_priorities_nest_expect_order(void **state)
{
	struct fix *f = *state;

	raise(f, 5);
	assert_int_equal(i8259_ack(f->p), 0x25);
	raise(f, 6); /* lower priority waits */
	assert_false(f->intr.level);
	raise(f, 1); /* higher nests */
	assert_true(f->intr.level);
	assert_int_equal(i8259_ack(f->p), 0x21);
	outb(f->bus, 0x20, 0x0b);
	assert_int_equal(inb(f->bus, 0x20), 0x22); /* ISR */
	outb(f->bus, 0x20, 0x0a);
	assert_int_equal(inb(f->bus, 0x20), 0x40); /* IRR */
	outb(f->bus, 0x20, 0x20);
	assert_false(f->intr.level);
	outb(f->bus, 0x20, 0x20);
	assert_true(f->intr.level);
	assert_int_equal(i8259_ack(f->p), 0x26);
	outb(f->bus, 0x20, 0x66);
	outb(f->bus, 0x20, 0x0b);
	assert_int_equal(inb(f->bus, 0x20), 0);
}

static void edge_when_line_stays_high_expect_one_interrupt(void **state)
{
	struct fix *f = *state;

	raise(f, 4);
	assert_int_equal(i8259_ack(f->p), 0x24);
	outb(f->bus, 0x20, 0x20);
	raise(f, 4);
	assert_false(f->intr.level);
	lower(f, 4);
	raise(f, 4);
	assert_true(f->intr.level);
}

static void level_when_line_stays_high_expect_again_after_eoi(void **state)
{
	struct fix *f = *state;

	outb(f->bus, 0x4d0, 0xff);
	outb(f->bus, 0x4d1, 0xff);
	assert_int_equal(inb(f->bus, 0x4d0), 0xf8);
	assert_int_equal(inb(f->bus, 0x4d1), 0xde);
	raise(f, 11);
	assert_int_equal(i8259_ack(f->p), 0x2b);
	assert_false(f->intr.level);
	outb(f->bus, 0xa0, 0x20);
	outb(f->bus, 0x20, 0x20);
	assert_true(f->intr.level);
	lower(f, 11);
	outb(f->bus, 0x20, 0x0a);
	outb(f->bus, 0xa0, 0x0a);
	assert_int_equal(inb(f->bus, 0xa0), 0);
	/* The master had the request already: the slave answers with its spurious IRQ 15. */
	assert_int_equal(i8259_ack(f->p), 0x2f);
	outb(f->bus, 0x20, 0x0b);
	outb(f->bus, 0xa0, 0x0b);
	assert_int_equal(inb(f->bus, 0x20), 4);
	assert_int_equal(inb(f->bus, 0xa0), 0);
}

static void ack_when_request_has_gone_expect_irq7_without_isr(void **state)
{
	struct fix *f = *state;

	outb(f->bus, 0x4d0, 0x20);
	raise(f, 5);
	lower(f, 5);
	assert_false(f->intr.level);
	assert_int_equal(i8259_ack(f->p), 0x27);
	outb(f->bus, 0x20, 0x0b);
	assert_int_equal(inb(f->bus, 0x20), 0);
}

static void cascade_when_two_slave_requests_expect_both_in_turn(void **state)
{
	struct fix *f = *state;

	raise(f, 14);
	raise(f, 8);
	raise(f, 3);
	assert_int_equal(i8259_ack(f->p), 0x28); /* the slave sits at priority 2 */
	outb(f->bus, 0xa0, 0x20);
	outb(f->bus, 0x20, 0x20);
	assert_int_equal(i8259_ack(f->p), 0x2e);
	assert_false(f->intr.level);
	outb(f->bus, 0xa0, 0x20);
	assert_false(f->intr.level);
	outb(f->bus, 0x20, 0x20);
	assert_int_equal(i8259_ack(f->p), 0x23);
}

static void cascade_when_slave_has_auto_eoi_expect_second_request_too(void **state)
{
	struct fix *f = *state;

	init_chips(f, 0x03);
	raise(f, 9);
	raise(f, 10);
	assert_int_equal(i8259_ack(f->p), 0x29);
	assert_int_equal(i8259_ack(f->p), 0x2a);
	assert_false(f->intr.level);
	outb(f->bus, 0x20, 0x0b);
	assert_int_equal(inb(f->bus, 0x20), 0);
}

static void cascade_when_fully_nested_expect_higher_slave_request_passes(void **state)
{
	struct fix *f = *state;

	raise(f, 12);
	assert_int_equal(i8259_ack(f->p), 0x2c);
	raise(f, 8);
	assert_false(f->intr.level); /* ordinary: the master's IRQ 2 is in service */
	init_chips(f, 0x11);
	lower(f, 12);
	lower(f, 8);
	raise(f, 12);
	assert_int_equal(i8259_ack(f->p), 0x2c);
	raise(f, 8);
	assert_true(f->intr.level);
	assert_int_equal(i8259_ack(f->p), 0x28);
}

static void eoi_when_rotating_expect_lowest_priority(void **state)
{
	struct fix *f = *state;

	raise(f, 3);
	assert_int_equal(i8259_ack(f->p), 0x23);
	outb(f->bus, 0x20, 0xa0); /* rotate on non-specific EOI: 4 is highest now */
	raise(f, 0);
	raise(f, 4);
	assert_int_equal(i8259_ack(f->p), 0x24);
	outb(f->bus, 0x20, 0xe4); /* rotate on specific EOI: 5 highest */
	raise(f, 7);
	assert_int_equal(i8259_ack(f->p), 0x27);
	outb(f->bus, 0x20, 0x67); /* specific EOI */
	outb(f->bus, 0x20, 0xc6); /* set priority: 7 highest */
	lower(f, 7);
	raise(f, 7);
	assert_int_equal(i8259_ack(f->p), 0x27);
	outb(f->bus, 0x20, 0x20);
	assert_int_equal(i8259_ack(f->p), 0x20);
}

static void ack_when_auto_rotate_expect_round_robin(void **state)
{
	struct fix *f = *state;

	init_chips(f, 0x03);
	outb(f->bus, 0x20, 0x80);
	for (unsigned n = 4; n < 7; n++)
		raise(f, n);
	assert_int_equal(i8259_ack(f->p), 0x24);
	lower(f, 4);
	raise(f, 4);
	assert_int_equal(i8259_ack(f->p), 0x25);
	assert_int_equal(i8259_ack(f->p), 0x26);
	assert_int_equal(i8259_ack(f->p), 0x24);
	outb(f->bus, 0x20, 0x00);
	raise(f, 7);
	assert_int_equal(i8259_ack(f->p), 0x27);
	lower(f, 4);
	raise(f, 4);
	lower(f, 5);
	raise(f, 5);
	assert_int_equal(i8259_ack(f->p), 0x25); /* 5 highest since 4 rotated last */
}

static void special_mask_when_set_expect_lower_requests_pass(void **state)
{
	struct fix *f = *state;

	raise(f, 3);
	assert_int_equal(i8259_ack(f->p), 0x23);
	raise(f, 6);
	outb(f->bus, 0x21, 0x08);
	assert_false(f->intr.level);
	outb(f->bus, 0x20, 0x68);
	assert_true(f->intr.level);
	assert_int_equal(i8259_ack(f->p), 0x26);
	/* Non-specific EOI leaves the masked one in service. */
	outb(f->bus, 0x20, 0x20);
	outb(f->bus, 0x20, 0x0b);
	assert_int_equal(inb(f->bus, 0x20), 0x08);
	outb(f->bus, 0x20, 0x48);
	raise(f, 7);
	assert_false(f->intr.level);
}

static void poll_when_request_expect_level_and_in_service(void **state)
{
	struct fix *f = *state;

	outb(f->bus, 0x20, 0x0c);
	assert_int_equal(inb(f->bus, 0x20), 0);
	raise(f, 6);
	outb(f->bus, 0x20, 0x0c);
	assert_int_equal(inb(f->bus, 0x20), 0x86);
	assert_false(f->intr.level);
	outb(f->bus, 0x20, 0x0b);
	assert_int_equal(inb(f->bus, 0x20), 0x40);
	outb(f->bus, 0x20, 0x20);
	raise(f, 13);
	outb(f->bus, 0xa0, 0x0c);
	assert_int_equal(inb(f->bus, 0xa0), 0x85);
	assert_false(f->intr.level);
}

static void mask_when_changed_expect_intr_follows(void **state)
{
	struct fix *f = *state;

	outb(f->bus, 0x21, 0xff);
	raise(f, 0);
	lower(f, 0);
	assert_false(f->intr.level);
	outb(f->bus, 0x21, 0xfe); /* the edge was kept */
	assert_true(f->intr.level);
	outb(f->bus, 0x21, 0xff);
	assert_false(f->intr.level);
}

static void set_irq_when_cascade_or_out_of_range_expect_ignored(void **state)
{
	struct fix *f = *state;

	raise(f, 2);
	raise(f, 16);
	raise(f, 4000000000u);
	assert_false(f->intr.level);
}

static void reset_when_running_expect_initial_state(void **state)
{
	struct fix *f = *state;

	raise(f, 3);
	outb(f->bus, 0x4d0, 0xf8);
	i8259_device(f->p)->cls->reset(i8259_device(f->p));
	assert_false(f->intr.level);
	assert_int_equal(inb(f->bus, 0x4d0), 0);
	assert_int_equal(inb(f->bus, 0x20), 0);
	assert_int_equal(inb(f->bus, 0x21), 0);
}

static void load_when_saved_expect_same_behaviour(void **state)
{
	struct fix *f = *state;
	struct wire intr = {0};
	struct i8259_pair *q = i8259_new(wire_line(&intr));

	raise(f, 12);
	raise(f, 1);
	assert_int_equal(i8259_ack(f->p), 0x21);
	outb(f->bus, 0x20, 0x20);
	wire_transfer(i8259_device(f->p), i8259_device(q));
	assert_true(intr.level);
	assert_int_equal(i8259_ack(q), 0x2c);
	assert_int_equal(i8259_ack(f->p), 0x2c);
	i8259_free(q);
}

/* As a controller elsewhere gives them, and takes them. */
static void registers_when_carried_over_expect_same_behaviour(void **state)
{
	struct fix *f = *state;
	struct i8259_pair *other = i8259_new((struct irq_line){NULL, NULL, 0});
	struct i8259_regs r[2], again;

	outb(f->bus, 0x21, 0x01);
	raise(f, 12);
	raise(f, 6);
	lower(f, 6);
	assert_int_equal(i8259_ack(f->p), 0x2c);
	for (unsigned i = 0; i < 2; i++) {
		i8259_get_regs(f->p, i, &r[i]);
		i8259_set_regs(other, i, &r[i]);
		i8259_get_regs(other, i, &again);
		assert_memory_equal(&again, &r[i], sizeof(again));
	}
	assert_int_equal(r[0].imr, 1);
	assert_int_equal(r[0].isr, 4);
	assert_int_equal(r[0].latch, 0x40);
	assert_int_equal(r[1].isr, 0x10);
	assert_int_equal(r[1].line, 0x10);
	assert_int_equal(r[1].base, 0x28);
	i8259_free(other);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(init_when_icw_sequence_expect_vectors_and_clear_masks),
		T(init_when_no_icw4_expect_mask_writes_after_icw3),
		T(request_when_priorities_nest_expect_order),
		T(edge_when_line_stays_high_expect_one_interrupt),
		T(level_when_line_stays_high_expect_again_after_eoi),
		T(ack_when_request_has_gone_expect_irq7_without_isr),
		T(cascade_when_two_slave_requests_expect_both_in_turn),
		T(cascade_when_slave_has_auto_eoi_expect_second_request_too),
		T(cascade_when_fully_nested_expect_higher_slave_request_passes),
		T(eoi_when_rotating_expect_lowest_priority),
		T(ack_when_auto_rotate_expect_round_robin),
		T(special_mask_when_set_expect_lower_requests_pass),
		T(poll_when_request_expect_level_and_in_service),
		T(mask_when_changed_expect_intr_follows),
		T(set_irq_when_cascade_or_out_of_range_expect_ignored),
		T(reset_when_running_expect_initial_state),
		T(load_when_saved_expect_same_behaviour),
		T(registers_when_carried_over_expect_same_behaviour),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
