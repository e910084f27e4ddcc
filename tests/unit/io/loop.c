// SPDX-License-Identifier: GPL-2.0-or-later
/* The event loop: make t T=io/loop */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/range.h"
#include "io/loop.h"

#define MS 1000000ull

struct fix {
	pthread_mutex_t lock;
	struct io_loop *loop;
	struct io_timer t[4];
	struct io_watch *w[3];
	int pipe[3][2];
	char log[64];
	unsigned fired;
	bool lock_held;
};

static int setup(void **state)
{
	static struct fix f;

	memset(&f, 0, sizeof(f));
	pthread_mutex_init(&f.lock, NULL);
	f.loop = io_loop_new(&f.lock, NULL);
	if (!f.loop)
		return -1;
	for (unsigned i = 0; i < ARRAY_SIZE(f.pipe); i++) {
		if (pipe(f.pipe[i]) < 0)
			return -1;
	}
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fix *f = *state;

	io_loop_free(f->loop);
	for (unsigned i = 0; i < ARRAY_SIZE(f->pipe); i++) {
		close(f->pipe[i][0]);
		close(f->pipe[i][1]);
	}
	return 0;
}

static void put(struct fix *f, char c)
{
	f->log[strlen(f->log)] = c;
	/* The lock must be held by this very thread's loop. */
	f->lock_held = pthread_mutex_trylock(&f->lock) != 0;
}

static void fire_a(void *o)
{
	put(o, 'a');
}

static void fire_b(void *o)
{
	put(o, 'b');
}

static void fire_stop(void *o)
{
	struct fix *f = o;

	put(f, 's');
	io_loop_stop(f->loop);
}

static void timers_when_armed_out_of_order_expect_sorted_firing(void **state)
{
	struct fix *f = *state;
	uint64_t now = clock_mono_ns();

	io_timer_init(&f->t[0], f->loop, fire_a, f);
	io_timer_init(&f->t[1], f->loop, fire_b, f);
	io_timer_init(&f->t[2], f->loop, fire_stop, f);
	io_timer_init(&f->t[3], f->loop, fire_b, f);
	io_timer_arm(&f->t[2], now + 30 * MS);
	io_timer_arm(&f->t[0], now + 20 * MS);
	io_timer_arm(&f->t[1], now + 10 * MS);
	io_timer_arm(&f->t[3], now + 5 * MS);
	io_timer_cancel(&f->t[3]);
	io_timer_cancel(&f->t[3]);
	io_loop_run(f->loop);
	assert_string_equal(f->log, "bas");
	assert_true(f->lock_held);
	assert_false(f->t[0].armed);
	assert_true(clock_mono_ns() >= now + 30 * MS);
}

static void timer_when_rearmed_later_expect_one_firing_at_new_time(void **state)
{
	struct fix *f = *state;
	uint64_t now = clock_mono_ns();

	io_timer_init(&f->t[0], f->loop, fire_stop, f);
	io_timer_arm(&f->t[0], now + 2 * MS);
	io_timer_arm(&f->t[0], now + 25 * MS);
	io_loop_run(f->loop);
	assert_true(clock_mono_ns() >= now + 25 * MS);
	assert_string_equal(f->log, "s");
}

static void fire_again(void *o)
{
	struct fix *f = o;

	if (++f->fired < 1000)
		io_timer_arm(&f->t[0], 0); /* always in the past */
	else
		io_loop_stop(f->loop);
}

static void on_byte(void *o, uint32_t events)
{
	struct fix *f = o;
	char c;

	assert_true(events & EPOLLIN);
	assert_int_equal(read(f->pipe[0][0], &c, 1), 1);
	put(f, f->fired < 1000 ? 'e' : 'l'); /* early, late */
}

static void timer_when_always_past_expect_watches_still_served(void **state)
{
	struct fix *f = *state;

	io_timer_init(&f->t[0], f->loop, fire_again, f);
	io_timer_arm(&f->t[0], 0);
	f->w[0] = io_watch_add(f->loop, f->pipe[0][0], EPOLLIN, on_byte, f);
	assert_non_null(f->w[0]);
	assert_int_equal(write(f->pipe[0][1], "x", 1), 1);
	io_loop_run(f->loop);
	assert_int_equal(f->fired, 1000);
	assert_string_equal(f->log, "e");
}

static void on_del_all(void *o, uint32_t events)
{
	struct fix *f = o;

	(void)events;
	put(f, 'd');
	for (int i = 0; i < 3; i++)
		io_watch_del(f->w[i]); /* itself among them */
	io_timer_init(&f->t[0], f->loop, fire_stop, f);
	io_timer_arm(&f->t[0], clock_mono_ns() + 5 * MS);
}

static void watches_when_deleted_in_callback_expect_no_more_calls(void **state)
{
	struct fix *f = *state;

	for (int i = 0; i < 3; i++) {
		f->w[i] = io_watch_add(f->loop, f->pipe[i][0], EPOLLIN, on_del_all, f);
		assert_non_null(f->w[i]);
		assert_int_equal(write(f->pipe[i][1], "x", 1), 1);
	}
	io_loop_run(f->loop);
	assert_string_equal(f->log, "ds");
}

static void *other_thread(void *o)
{
	struct fix *f = o;

	usleep(10000);
	pthread_mutex_lock(&f->lock);
	io_timer_arm(&f->t[1], clock_mono_ns() + MS);
	pthread_mutex_unlock(&f->lock);
	usleep(10000);
	pthread_mutex_lock(&f->lock);
	io_watch_mod(f->w[0], EPOLLIN);
	pthread_mutex_unlock(&f->lock);
	usleep(10000);
	io_loop_stop(f->loop);
	return NULL;
}

static void loop_when_changed_from_other_thread_expect_woken(void **state)
{
	struct fix *f = *state;
	pthread_t t;

	io_timer_init(&f->t[0], f->loop, fire_b, f);
	io_timer_init(&f->t[1], f->loop, fire_a, f);
	io_timer_arm(&f->t[0], clock_mono_ns() + 3600 * 1000 * MS);
	f->w[0] = io_watch_add(f->loop, f->pipe[0][0], 0, on_byte, f);
	assert_int_equal(write(f->pipe[0][1], "x", 1), 1);
	assert_int_equal(pthread_create(&t, NULL, other_thread, f), 0);
	io_loop_run(f->loop);
	pthread_join(t, NULL);
	assert_string_equal(f->log, "ae");
}

struct offer {
	bool take;
	unsigned asked;
	uint64_t deadline_ns;
};

static bool offered(void *opaque, uint64_t deadline_ns)
{
	struct offer *o = opaque;

	o->asked++;
	o->deadline_ns = deadline_ns;
	return o->take;
}

static void alarm_when_taken_expect_timers_fired_by_who_offered(void **state)
{
	struct fix *f = *state;
	struct offer o = {.take = true};
	uint64_t now = clock_mono_ns();

	io_loop_set_alarm(f->loop, offered, &o);
	io_timer_init(&f->t[0], f->loop, fire_a, f);
	io_timer_init(&f->t[1], f->loop, fire_b, f);
	io_timer_arm(&f->t[0], now);
	assert_int_equal(o.asked, 1);
	assert_int_equal(o.deadline_ns, now);
	io_timer_arm(&f->t[1], now + 3600 * 1000 * MS);
	assert_int_equal(o.asked, 1); /* a later one asks nobody */
	io_loop_fire(f->loop);
	assert_string_equal(f->log, "a");
	assert_int_equal(o.asked, 2);
	assert_int_equal(o.deadline_ns, now + 3600 * 1000 * MS);
	io_timer_cancel(&f->t[1]);
}

static void alarm_when_taken_over_or_refused_expect_io_thread_fires(void **state)
{
	struct fix *f = *state;
	struct offer o = {.take = true};
	pthread_t t;

	io_loop_set_alarm(f->loop, offered, &o);
	io_timer_init(&f->t[0], f->loop, fire_b, f);
	io_timer_init(&f->t[1], f->loop, fire_a, f); /* other_thread's */
	io_timer_arm(&f->t[0], clock_mono_ns() + MS);
	io_loop_take_over(f->loop);
	o.take = false;
	f->w[0] = io_watch_add(f->loop, f->pipe[0][0], 0, on_byte, f);
	assert_int_equal(write(f->pipe[0][1], "x", 1), 1);
	assert_int_equal(pthread_create(&t, NULL, other_thread, f), 0);
	io_loop_run(f->loop);
	pthread_join(t, NULL);
	assert_string_equal(f->log, "bae");
}

/* A timer of the guest's waits while its clock stands still; one of the host's does not. */
static void clock_when_stopped_expect_guest_timers_wait_and_host_timers_fire(void **state)
{
	struct fix *f = *state;
	uint64_t before;

	io_timer_init(&f->t[0], f->loop, fire_a, f);
	io_timer_init(&f->t[1], f->loop, fire_b, f);
	io_timer_init(&f->t[2], f->loop, fire_stop, f);
	f->t[1].host = f->t[2].host = true;
	io_timer_arm(&f->t[0], clock_vm_ns() + 10 * MS);
	clock_vm_stop();
	before = clock_vm_ns();
	io_loop_clock_changed(f->loop);
	io_timer_arm(&f->t[1], clock_mono_ns() + 20 * MS);
	io_timer_arm(&f->t[2], clock_mono_ns() + 40 * MS);
	io_loop_run(f->loop);
	assert_string_equal(f->log, "bs");
	assert_true(f->t[0].armed);
	assert_int_equal(clock_vm_ns(), before);
	clock_vm_go();
	assert_true(clock_vm_ns() - before < 10 * MS);
	io_loop_clock_changed(f->loop);
	assert_true(clock_mono_ns() - clock_vm_ns() >= 40 * MS);
	io_loop_fire(f->loop);
	assert_string_equal(f->log, "bs");
	usleep(12000);
	io_loop_fire(f->loop);
	assert_string_equal(f->log, "bsa");
}

static void watch_when_regular_file_expect_refused(void **state)
{
	struct fix *f = *state;
	FILE *file = tmpfile();

	assert_non_null(file);
	assert_null(io_watch_add(f->loop, fileno(file), EPOLLIN, on_byte, f));
	fclose(file);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(timers_when_armed_out_of_order_expect_sorted_firing),
		T(timer_when_rearmed_later_expect_one_firing_at_new_time),
		T(timer_when_always_past_expect_watches_still_served),
		T(watches_when_deleted_in_callback_expect_no_more_calls),
		T(loop_when_changed_from_other_thread_expect_woken),
		T(alarm_when_taken_expect_timers_fired_by_who_offered),
		T(alarm_when_taken_over_or_refused_expect_io_thread_fires),
		T(clock_when_stopped_expect_guest_timers_wait_and_host_timers_fire),
		T(watch_when_regular_file_expect_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
