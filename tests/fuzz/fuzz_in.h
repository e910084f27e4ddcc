/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What all fuzz targets share: input bytes as choices, and a check that cannot be compiled away. */
#ifndef LODGE_TESTS_FUZZ_FUZZ_IN_H
#define LODGE_TESTS_FUZZ_FUZZ_IN_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* A broken invariant: the sanitizer's report shows where. */
#define FUZZ_CHECK(cond)         \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

struct fuzz_in {
	const uint8_t *p;
	size_t left;
};

static inline uint8_t fuzz_u8(struct fuzz_in *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->p++;
}

static inline uint64_t fuzz_uint(struct fuzz_in *in, unsigned bytes)
{
	uint64_t v = 0;

	while (bytes-- > 0)
		v = v << 8 | fuzz_u8(in);
	return v;
}

#endif
