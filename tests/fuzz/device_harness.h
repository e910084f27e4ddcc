/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the device fuzz targets share: input bytes as choices, random port accesses in virtual
 * time, saving and loading in the middle. Include it once.
 */
#ifndef LODGE_TESTS_FUZZ_DEVICE_HARNESS_H
#define LODGE_TESTS_FUZZ_DEVICE_HARNESS_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bus/bus.h"
#include "bus/device.h"
#include "fake_time.h"
#include "fuzz_in.h"

#define FUZZ_MAX_STEPS 4096u

/* A port or size out of few choices: every byte value means something. */
static inline void fuzz_port_access(struct fuzz_in *in, struct bus *bus, const uint16_t *ports,
				    unsigned count)
{
	uint8_t how = fuzz_u8(in);
	uint16_t port = ports[(how >> 3) % count];
	/* Mostly bytes; 0..5 are byte accesses, then word and doubleword. */
	unsigned size = (how & 7) < 6 ? 1 : (how & 7) == 6 ? 2 : 4;
	uint64_t v;

	if (how & 1) {
		v = bus_pio_read(bus, port, size);
		FUZZ_CHECK(v >> (size * 8) == 0);
	} else {
		bus_pio_write(bus, port, fuzz_uint(in, size), size);
	}
}

/* Let 0 to some seconds of virtual time pass, short steps more often than long ones. */
static inline void fuzz_time(struct fuzz_in *in)
{
	uint8_t b = fuzz_u8(in);

	fake_advance((uint64_t)(b & 15) << (b >> 4) * 2);
}

/* Save and load into the same device: it must accept what it saved itself. */
static inline void fuzz_save_load(struct device *dev)
{
	static uint8_t buf[1 << 17];
	long n = device_save(dev, buf, sizeof(buf));

	FUZZ_CHECK(n > 0);
	FUZZ_CHECK(device_load(dev, buf, (size_t)n, NULL) == 0);
}

/*
 * Load a saved state with some bytes changed: the device refuses it or lives with it. After a
 * refusal it must take its own state back.
 */
static inline void fuzz_load_damaged(struct fuzz_in *in, struct device *dev)
{
	static uint8_t good[1 << 17], bad[1 << 17];
	long n = device_save(dev, good, sizeof(good));

	FUZZ_CHECK(n > 0);
	memcpy(bad, good, (size_t)n);
	for (unsigned i = 0; i < 3; i++) {
		uint64_t at = fuzz_uint(in, 2) % (uint64_t)n;

		bad[at] = fuzz_u8(in);
	}
	if (device_load(dev, bad, (size_t)n, NULL) != 0)
		FUZZ_CHECK(device_load(dev, good, (size_t)n, NULL) == 0);
}

#endif
