// SPDX-License-Identifier: GPL-2.0-or-later
/* Saved state: make t T=bus/device */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/clock.h"
#include "bus/device.h"

struct toy {
	struct device dev;
	uint8_t a;
	uint16_t b[3];
	uint32_t c;
	uint64_t d;
	uint8_t fifo[5];
	int loads;
};

static int toy_post_load(struct device *dev)
{
	struct toy *t = (struct toy *)dev;

	t->loads++;
	return t->a == 99 ? -EINVAL : 0;
}

static const struct state_field fields[] = {
	STATE_FIELD(struct toy, a), STATE_ARRAY(struct toy, b),	    STATE_FIELD(struct toy, c),
	STATE_FIELD(struct toy, d), STATE_BUFFER(struct toy, fifo), STATE_END,
};
static const struct device_class toy_class = {
	.name = "toy", .version = 1, .fields = fields, .post_load = toy_post_load};

/* The same device one version later, with one field more. */
static const struct state_field fields2[] = {
	STATE_FIELD(struct toy, a),
	STATE_ARRAY(struct toy, b),
	STATE_FIELD(struct toy, c),
	{.name = "d",
	 .offset = offsetof(struct toy, d),
	 .elem_size = 8,
	 .kind = STATE_UINT,
	 .count = 1,
	 .since = 2},
	STATE_BUFFER(struct toy, fifo),
	STATE_END,
};
static const struct device_class toy_class2 = {
	.name = "toy", .version = 2, .fields = fields2, .post_load = toy_post_load};

static const struct state_field fields1[] = {
	STATE_FIELD(struct toy, a),
	STATE_ARRAY(struct toy, b),
	STATE_FIELD(struct toy, c),
	STATE_BUFFER(struct toy, fifo),
	STATE_END,
};
static const struct device_class toy_class1 = {
	.name = "toy", .version = 1, .fields = fields1, .post_load = toy_post_load};
static const struct device_class bare_class = {.name = "bare", .version = 1};

/* Members of the elements of an array. */
struct nest {
	struct device dev;
	struct {
		uint8_t pad;
		uint16_t n;
		uint8_t bytes[3];
	} e[3];
};

static const struct state_field nest_fields[] = {
	STATE_EACH(struct nest, e, n),
	STATE_EACH_BUFFER(struct nest, e, bytes),
	STATE_END,
};
static const struct device_class nest_class = {.name = "nest", .version = 1, .fields = nest_fields};

static void members_when_saved_each_expect_them_and_nothing_between(void **state)
{
	struct nest a = {.dev = {.cls = &nest_class},
			 .e = {{1, 0x102, "abc"}, {2, 0x304, "def"}, {3, 0x506, "ghi"}}};
	struct nest b = {.dev = {.cls = &nest_class}, .e = {{9}, {9}, {9}}};
	uint8_t buf[256];
	long n = device_save(&a.dev, buf, sizeof(buf));

	(void)state;
	assert_true(n > 0);
	assert_int_equal(device_load(&b.dev, buf, (size_t)n, NULL), 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(b.e[i].pad, 9);
		assert_int_equal(b.e[i].n, a.e[i].n);
		assert_memory_equal(b.e[i].bytes, a.e[i].bytes, 3);
	}
	assert_int_equal(device_load(&b.dev, buf, (size_t)n - 1, NULL), -EINVAL);
}

static struct toy sample(void)
{
	return (struct toy){.dev = {.cls = &toy_class},
			    .a = 7,
			    .b = {1, 0xfffe, 3},
			    .c = 0xdeadbeef,
			    .d = 0x0123456789abcdef,
			    .fifo = "abcd"};
}

static void load_when_saved_expect_same_fields(void **state)
{
	struct toy t = sample(), u = {.dev = {.cls = &toy_class}};
	uint8_t buf[256];
	long n = device_save(&t.dev, buf, sizeof(buf));

	(void)state;
	assert_true(n > 0);
	assert_int_equal(device_load(&u.dev, buf, (size_t)n, NULL), 0);
	assert_int_equal(u.a, 7);
	assert_memory_equal(u.b, t.b, sizeof(t.b));
	assert_int_equal(u.c, 0xdeadbeef);
	assert_true(u.d == 0x0123456789abcdef);
	assert_memory_equal(u.fifo, t.fifo, sizeof(t.fifo));
	assert_int_equal(u.loads, 1);
}

static void save_when_buffer_is_short_expect_enospc(void **state)
{
	struct toy t = sample();
	uint8_t buf[256];
	long n = device_save(&t.dev, buf, sizeof(buf));

	(void)state;
	for (long i = 0; i < n; i++)
		assert_int_equal(device_save(&t.dev, buf, (size_t)i), -ENOSPC);
	assert_int_equal(device_save(&t.dev, buf, (size_t)n), n);
}

static void load_when_cut_or_changed_expect_refusal_and_no_store(void **state)
{
	struct toy t = sample();
	uint8_t buf[256];
	long n = device_save(&t.dev, buf, sizeof(buf));
	struct lodge_err err;

	(void)state;
	for (long i = 0; i < n; i++) {
		struct toy u = {.dev = {.cls = &toy_class}};

		assert_int_equal(device_load(&u.dev, buf, (size_t)i, &err), -EINVAL);
		assert_int_equal(u.a, 0);
		assert_int_equal(u.loads, 0);
	}
	buf[n] = 0;

	struct toy u = {.dev = {.cls = &toy_class}};

	assert_int_equal(device_load(&u.dev, buf, (size_t)n + 1, &err), -EINVAL);
	for (long i = 0; i < n; i++) { /* every byte damaged: refused or merely another value */
		buf[i] ^= 0xff;
		(void)!device_load(&u.dev, buf, (size_t)n, NULL);
		buf[i] ^= 0xff;
	}
	u.dev.cls = &bare_class;
	assert_int_equal(device_load(&u.dev, buf, (size_t)n, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "bare"));
}

static void load_when_older_version_expect_new_field_kept(void **state)
{
	struct toy t = sample(), u = {.dev = {.cls = &toy_class2}, .d = 42};
	uint8_t buf[256];

	(void)state;
	t.dev.cls = &toy_class1;

	long n = device_save(&t.dev, buf, sizeof(buf));

	assert_int_equal(device_load(&u.dev, buf, (size_t)n, NULL), 0);
	assert_int_equal(u.d, 42);
	assert_int_equal(u.c, 0xdeadbeef);
	/* And a newer stream is refused by an older class. */
	n = device_save(&u.dev, buf, sizeof(buf));
	assert_int_equal(device_load(&t.dev, buf, (size_t)n, NULL), -EINVAL);
}

static void load_when_post_load_refuses_expect_error(void **state)
{
	struct toy t = sample();
	uint8_t buf[256];

	(void)state;
	t.a = 99;

	long n = device_save(&t.dev, buf, sizeof(buf));

	assert_int_equal(device_load(&t.dev, buf, (size_t)n, NULL), -EINVAL);
}

static void save_when_no_fields_expect_name_only(void **state)
{
	struct device d = {.cls = &bare_class};
	uint8_t buf[16];
	long n = device_save(&d, buf, sizeof(buf));

	(void)state;
	assert_int_equal(n, 1 + 4 + 1 + 2);
	assert_int_equal(device_load(&d, buf, (size_t)n, NULL), 0);
}

struct clocked {
	struct device dev;
	uint64_t none, past, future;
};

static void load_when_times_saved_expect_same_distance_from_now(void **state)
{
	static const struct state_field f[] = {
		STATE_TIME(struct clocked, none),
		STATE_TIME(struct clocked, past),
		STATE_TIME(struct clocked, future),
		STATE_END,
	};
	static const struct device_class cls = {.name = "clocked", .version = 1, .fields = f};
	const uint64_t second = NS_PER_SEC;
	uint64_t now = clock_mono_ns();
	struct clocked t = {{.cls = &cls}, 0, now - 1, now + 5 * second};
	struct clocked u = {.dev = {.cls = &cls}};
	uint8_t buf[256];
	long n = device_save(&t.dev, buf, sizeof(buf));

	(void)state;
	assert_true(n > 0);
	assert_int_equal(device_load(&u.dev, buf, (size_t)n, NULL), 0);
	assert_int_equal(u.none, 0);
	/* Time went on between saving and loading, and the times with it. */
	assert_true(u.past >= t.past && u.past < t.past + second);
	assert_int_equal(u.future - u.past, t.future - t.past);
	/* The last value of the stream is the distance of `future`: make it absurd. */
	memset(buf + n - 8, 0xff, 7);
	buf[n - 1] = 0x7f;
	assert_int_equal(device_load(&u.dev, buf, (size_t)n, NULL), 0);
	assert_true(u.future > now && u.future <= UINT64_MAX / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(load_when_saved_expect_same_fields),
		cmocka_unit_test(members_when_saved_each_expect_them_and_nothing_between),
		cmocka_unit_test(save_when_buffer_is_short_expect_enospc),
		cmocka_unit_test(load_when_cut_or_changed_expect_refusal_and_no_store),
		cmocka_unit_test(load_when_older_version_expect_new_field_kept),
		cmocka_unit_test(load_when_post_load_refuses_expect_error),
		cmocka_unit_test(save_when_no_fields_expect_name_only),
		cmocka_unit_test(load_when_times_saved_expect_same_distance_from_now),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
