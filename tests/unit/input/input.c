// SPDX-License-Identifier: GPL-2.0-or-later
/* The row of input events, and the tables of keys. Run: make t T=input/input */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/clock.h"
#include "input/input.h"

#define MS 1000000ull

struct dev {
	struct input_sink sink;
	struct input_event got[4096];
	unsigned n, syncs;
	bool busy;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct io_loop *loop;
static struct input *in;
static struct dev kbd, mouse, tablet;

static void event(void *opaque, const struct input_event *ev)
{
	struct dev *d = opaque;

	assert_true(d->n < 4096);
	d->got[d->n++] = *ev;
}

static void sync_dev(void *opaque)
{
	((struct dev *)opaque)->syncs++;
}

static bool idle(void *opaque)
{
	return !((struct dev *)opaque)->busy;
}

static void add(struct dev *d, const char *name, unsigned can)
{
	memset(d, 0, sizeof(*d));
	d->sink = (struct input_sink){
		.name = name, .can = can, .opaque = d, .event = event, .sync = sync_dev, .idle = idle};
	input_add(in, &d->sink);
}

static int setup(void **state)
{
	pthread_mutex_lock(&lock);
	loop = io_loop_new(&lock, NULL);
	in = input_new(loop);
	if (!in)
		return -1;
	add(&kbd, "kbd", INPUT_CAN_KEYS);
	add(&mouse, "mouse", INPUT_CAN_REL);
	return 0;
}

static int teardown(void **state)
{
	input_free(in);
	io_loop_free(loop);
	pthread_mutex_unlock(&lock);
	return 0;
}

static void wait_ms(unsigned ms)
{
	uint64_t end = clock_vm_ns() + ms * MS;

	do
		io_loop_fire(loop);
	while (clock_vm_ns() < end);
	io_loop_fire(loop);
}

static int send(enum input_kind kind, unsigned code, int value)
{
	const struct input_event ev = {
		.kind = (uint8_t)kind, .code = (uint16_t)code, .value = value, .down = value};

	return input_send(in, &ev);
}

static void key_when_device_is_idle_expect_it_at_once(void **state)
{
	assert_int_equal(input_send_key(in, INPUT_KEY_a, true), 0);
	assert_int_equal(kbd.n, 1);
	assert_int_equal(kbd.got[0].code, INPUT_KEY_a);
	assert_true(kbd.got[0].down);
	assert_int_equal(kbd.syncs, 1);
	assert_int_equal(mouse.n + mouse.syncs, 0);
}

static void key_when_guest_has_not_read_expect_it_waits_and_is_not_lost(void **state)
{
	kbd.busy = true;
	input_send_key(in, INPUT_KEY_a, true);
	input_send_key(in, INPUT_KEY_a, false);
	wait_ms(10);
	assert_int_equal(kbd.n, 0);
	kbd.busy = false;
	wait_ms(5);
	assert_int_equal(kbd.n, 2);
	assert_false(kbd.got[1].down);
	assert_int_equal(input_waiting(in), 0);
}

static void key_when_guest_never_reads_expect_it_given_after_half_a_second(void **state)
{
	uint64_t start = clock_vm_ns();

	kbd.busy = true;
	input_send_key(in, INPUT_KEY_a, true);
	wait_ms(INPUT_WAIT_MS / 2);
	/* Unless this process was not let run for so long. */
	if (clock_vm_ns() - start < INPUT_WAIT_MS * MS)
		assert_int_equal(kbd.n, 0);
	wait_ms(INPUT_WAIT_MS / 2 + 50);
	assert_int_equal(kbd.n, 1);
}

static void delay_when_between_events_expect_the_later_one_later(void **state)
{
	send(INPUT_KEY, INPUT_KEY_a, 1);
	send(INPUT_DELAY, 0, 30);
	send(INPUT_KEY, INPUT_KEY_a, 0);
	assert_int_equal(kbd.n, 1);
	wait_ms(15);
	assert_int_equal(kbd.n, 1);
	wait_ms(30);
	assert_int_equal(kbd.n, 2);
}

static void row_when_full_expect_presses_refused_and_releases_taken(void **state)
{
	unsigned n = 0;

	input_send_key(in, INPUT_KEY_b, true);
	kbd.busy = true;
	while (!send(INPUT_KEY, INPUT_KEY_a, 1))
		n++;
	assert_true(n >= INPUT_ROW_MAX - 2 && n <= INPUT_ROW_MAX);
	assert_int_equal(send(INPUT_KEY, INPUT_KEY_c, 1), -EAGAIN);
	assert_int_equal(input_room(in), 0);
	assert_int_equal(send(INPUT_KEY, INPUT_KEY_b, 0), 0);
	/* What was refused is not down. */
	assert_int_equal(send(INPUT_KEY, INPUT_KEY_c, 0), 0);
	kbd.busy = false;
	wait_ms(5);
	assert_int_equal(kbd.got[kbd.n - 1].code, INPUT_KEY_b);
	assert_false(kbd.got[kbd.n - 1].down);
	assert_int_equal(input_waiting(in), 0);
}

static void release_when_it_was_not_down_expect_nothing(void **state)
{
	assert_int_equal(input_send_key(in, INPUT_KEY_a, false), 0);
	assert_int_equal(kbd.n, 0);
}

static void release_all_when_row_is_full_expect_all_let_go_once(void **state)
{
	for (unsigned k = 1; k < INPUT_KEYS; k++)
		send(INPUT_KEY, k, 1);
	send(INPUT_BUTTON, INPUT_LEFT, 1);
	kbd.busy = mouse.busy = true;
	while (!send(INPUT_KEY, INPUT_KEY_a, 1))
		;
	input_release_all(in);
	input_release_all(in);
	kbd.busy = mouse.busy = false;
	kbd.n = 0;
	wait_ms(5);
	unsigned ups = 0;
	for (unsigned i = 0; i < kbd.n; i++)
		ups += !kbd.got[i].down;
	assert_int_equal(ups, INPUT_KEYS - 1);
	assert_false(mouse.got[mouse.n - 1].down);
}

static void movement_when_it_waits_behind_a_key_expect_one_sum(void **state)
{
	kbd.busy = true;
	send(INPUT_KEY, INPUT_KEY_a, 1);
	for (int i = 0; i < 5000; i++) {
		assert_int_equal(send(INPUT_REL, INPUT_X, 2), 0);
		send(INPUT_REL, INPUT_Y, -1);
		input_sync(in);
	}
	assert_true(input_waiting(in) < 8);
	kbd.busy = false;
	wait_ms(5);
	assert_int_equal(mouse.n, 2);
	assert_int_equal(mouse.got[0].value, 10000);
	assert_int_equal(mouse.got[1].value, -5000);
	assert_true(mouse.syncs >= 1);
}

static void button_when_mouse_was_not_read_expect_it_waits_but_movement_does_not(void **state)
{
	mouse.busy = true;
	send(INPUT_REL, INPUT_X, 3);
	assert_int_equal(mouse.n, 1);
	send(INPUT_BUTTON, INPUT_LEFT, 1);
	assert_int_equal(mouse.n, 1);
	mouse.busy = false;
	wait_ms(5);
	assert_int_equal(mouse.n, 2);
}

static void absolute_when_only_a_mouse_expect_movement_in_dots(void **state)
{
	input_set_screen(in, 1025, 769);
	/* Where the guest's pointer is is not known: the first place only counts. */
	send(INPUT_ABS, INPUT_X, 0);
	send(INPUT_ABS, INPUT_Y, INPUT_ABS_MAX);
	assert_int_equal(mouse.n, 0);
	send(INPUT_ABS, INPUT_X, INPUT_ABS_MAX);
	send(INPUT_ABS, INPUT_Y, 0);
	assert_int_equal(mouse.n, 2);
	assert_int_equal(mouse.got[0].kind, INPUT_REL);
	assert_int_equal(mouse.got[0].value, 1024);
	assert_int_equal(mouse.got[1].value, -768);
}

static void tablet_when_added_expect_positions_and_buttons_there_movements_at_the_mouse(void **state)
{
	add(&tablet, "tablet", INPUT_CAN_ABS);
	send(INPUT_ABS, INPUT_X, 77);
	send(INPUT_BUTTON, INPUT_RIGHT, 1);
	send(INPUT_REL, INPUT_X, 5);
	input_sync(in);
	assert_int_equal(tablet.n, 2);
	assert_int_equal(tablet.got[0].value, 77);
	assert_int_equal(mouse.n, 1);
	assert_int_equal(tablet.syncs, 1);
	assert_int_equal(mouse.syncs, 1);
	assert_string_equal(input_current(in, INPUT_CAN_ABS)->name, "tablet");
	input_remove(in, &tablet.sink);
	assert_null(input_current(in, INPUT_CAN_ABS));
	send(INPUT_BUTTON, INPUT_RIGHT, 0);
	assert_int_equal(mouse.n, 2);
}

static void event_when_out_of_range_expect_einval(void **state)
{
	assert_int_equal(send(INPUT_KEY, 0, 1), -EINVAL);
	assert_int_equal(send(INPUT_KEY, INPUT_KEYS, 1), -EINVAL);
	assert_int_equal(send(INPUT_BUTTON, INPUT_BUTTONS, 1), -EINVAL);
	assert_int_equal(send(INPUT_REL, 2, 1), -EINVAL);
	assert_int_equal(send(INPUT_REL, 0, (1 << 20) + 1), -EINVAL);
	assert_int_equal(send(INPUT_ABS, 0, -1), -EINVAL);
	assert_int_equal(send(INPUT_ABS, 0, INPUT_ABS_MAX + 1), -EINVAL);
	assert_int_equal(send(INPUT_DELAY, 0, -1), -EINVAL);
	assert_int_equal(send(INPUT_SYNC, 0, 0), -EINVAL);
	assert_int_equal(send(99, 0, 0), -EINVAL);
	input_remove(in, &kbd.sink);
	assert_int_equal(send(INPUT_KEY, INPUT_KEY_a, 1), -ENODEV);
}

static void names_when_looked_up_expect_qemus_and_peoples(void **state)
{
	assert_int_equal(input_key_named("ret", 3), INPUT_KEY_ret);
	assert_int_equal(input_key_named("Enter", 5), INPUT_KEY_ret);
	assert_int_equal(input_key_named("retx", 3), INPUT_KEY_ret);
	assert_int_equal(input_key_named("re", 2), INPUT_KEY_unmapped);
	assert_int_equal(input_key_named("unmapped", 8), INPUT_KEY_unmapped);
	assert_int_equal(input_key_ps2(INPUT_KEY_delete), 0xd3);
	assert_int_equal(input_key_hid(INPUT_KEY_delete), 0x4c);
	assert_int_equal(input_key_evdev(INPUT_KEY_delete), 111);
	assert_int_equal(input_key_of_ps2(0x1c), INPUT_KEY_ret);
	assert_int_equal(input_key_of_ps2(0), INPUT_KEY_unmapped);
	assert_string_equal(input_key_name((enum input_key)9999), "unmapped");
}

static void characters_when_ascii_expect_each_a_key(void **state)
{
	bool shift;

	for (uint32_t c = 0x20; c < 0x7f; c++) {
		assert_int_not_equal(input_key_of_char(c, &shift), INPUT_KEY_unmapped);
		assert_int_equal(input_key_of_keysym(c), input_key_of_char(c, &shift));
	}
	assert_int_equal(input_key_of_char('A', &shift), INPUT_KEY_a);
	assert_true(shift);
	assert_int_equal(input_key_of_char('_', &shift), INPUT_KEY_minus);
	assert_true(shift);
	assert_int_equal(input_key_of_char('\n', &shift), INPUT_KEY_ret);
	assert_false(shift);
	assert_int_equal(input_key_of_char(0, &shift), INPUT_KEY_unmapped);
	assert_int_equal(input_key_of_char(0xe4, &shift), INPUT_KEY_unmapped);
	assert_int_equal(input_key_of_keysym(0xffbe), INPUT_KEY_f1);
	assert_int_equal(input_key_of_keysym(0xffc7), INPUT_KEY_f10);
	assert_int_equal(input_key_of_keysym(0xffc9), INPUT_KEY_f12);
	assert_int_equal(input_key_of_keysym(0xffff), INPUT_KEY_delete);
	assert_int_equal(input_key_of_keysym(0xffffffff), INPUT_KEY_unmapped);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static void events_when_a_delay_follows_expect_the_device_told_before_it(void **state)
{
	const struct input_event ev[3] = {{.kind = INPUT_KEY, .code = INPUT_KEY_a, .down = true},
					  {.kind = INPUT_DELAY, .value = 20},
					  {.kind = INPUT_KEY, .code = INPUT_KEY_a}};

	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(input_send(in, &ev[i]), 0);
	input_sync(in);
	assert_int_equal(kbd.n, 1);
	assert_int_equal(kbd.syncs, 1);
	wait_ms(40);
	assert_int_equal(kbd.n, 2);
	assert_int_equal(kbd.syncs, 2);
	/* Likewise what comes before an event that waits for the guest. */
	assert_int_equal(input_send(in, &ev[0]), 0);
	kbd.busy = true;
	assert_int_equal(input_send(in, &ev[2]), 0);
	assert_int_equal(kbd.n, 3);
	assert_int_equal(kbd.syncs, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(events_when_a_delay_follows_expect_the_device_told_before_it),
		T(key_when_device_is_idle_expect_it_at_once),
		T(key_when_guest_has_not_read_expect_it_waits_and_is_not_lost),
		T(key_when_guest_never_reads_expect_it_given_after_half_a_second),
		T(delay_when_between_events_expect_the_later_one_later),
		T(row_when_full_expect_presses_refused_and_releases_taken),
		T(release_when_it_was_not_down_expect_nothing),
		T(release_all_when_row_is_full_expect_all_let_go_once),
		T(movement_when_it_waits_behind_a_key_expect_one_sum),
		T(button_when_mouse_was_not_read_expect_it_waits_but_movement_does_not),
		T(absolute_when_only_a_mouse_expect_movement_in_dots),
		T(tablet_when_added_expect_positions_and_buttons_there_movements_at_the_mouse),
		T(event_when_out_of_range_expect_einval),
		T(names_when_looked_up_expect_qemus_and_peoples),
		T(characters_when_ascii_expect_each_a_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
