// SPDX-License-Identifier: GPL-2.0-or-later
/* Fuzz target: the -cpu option. Run: make t T=fuzz/cpu_model */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "x86/cpuid.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lodge_err err = {.msg = ""};
	struct x86_cpuid c;
	char spec[256];
	uint32_t r[4];

	if (size < 1 || size >= sizeof(spec))
		return 0;
	memcpy(spec, data + 1, size - 1);
	spec[size - 1] = 0;
	if (x86_cpuid_build(&c, spec, data[0], &err) < 0) {
		if (!err.msg[0])
			abort();
		return 0;
	}
	for (uint32_t leaf = 0; leaf < 0x30; leaf++) {
		x86_cpuid_query(&c, data[0], ~0ull, 7, true, leaf, leaf & 3, r);
		x86_cpuid_query(&c, data[0], 0, 1, false, 0x80000000 | leaf, leaf & 3, r);
	}
	return c.count > X86_CPUID_LEAVES;
}
