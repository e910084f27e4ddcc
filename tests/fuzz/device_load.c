// SPDX-License-Identifier: GPL-2.0-or-later
/* Fuzz the reader of saved state with bytes as they come: make t T=fuzz/device_load */
#include "device_harness.h"

struct toy {
	struct device dev;
	uint8_t guard_a;
	uint8_t a;
	uint16_t b[2];
	uint32_t c;
	uint64_t d, t;
	uint8_t buf[5];
	uint8_t guard_b;
};

static const struct state_field fields[] = {
	STATE_FIELD(struct toy, a),
	STATE_ARRAY(struct toy, b),
	STATE_FIELD(struct toy, c),
	STATE_FIELD(struct toy, d),
	STATE_TIME(struct toy, t),
	STATE_BUFFER(struct toy, buf),
	STATE_END,
};
static const struct device_class toy_class = {.name = "t", .version = 1, .fields = fields};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct toy t = {.dev = {.cls = &toy_class}, .guard_a = 0x5a, .guard_b = 0xa5};
	struct toy copy = t;
	uint8_t buf[512];
	long n;

	fake_begin();
	if (device_load(&t.dev, data, size, NULL) == 0) {
		/* What is accepted has the length of what would be written, and loads again. */
		n = device_save(&t.dev, buf, sizeof(buf));
		FUZZ_CHECK(n == (long)size);
		FUZZ_CHECK(device_load(&copy.dev, buf, (size_t)n, NULL) == 0);
		FUZZ_CHECK(copy.a == t.a && copy.c == t.c && copy.d == t.d);
	} else {
		/* What is refused has stored nothing. */
		FUZZ_CHECK(!memcmp(&t, &copy, sizeof(t)));
		/* Help the fuzzer: damage a good state in the places the input names. */
		n = device_save(&t.dev, buf, sizeof(buf));
		for (size_t i = 0; i + 1 < size && i < 8; i += 2)
			buf[data[i] % n] = data[i + 1];
		(void)!device_load(&t.dev, buf, (size_t)n, NULL);
	}
	FUZZ_CHECK(t.guard_a == 0x5a && t.guard_b == 0xa5);
	return 0;
}
