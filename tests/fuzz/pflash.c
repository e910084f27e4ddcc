// SPDX-License-Identifier: GPL-2.0-or-later
/* Fuzz the flash's commands and saved state: make t T=fuzz/pflash */
#include "device_harness.h"
#include "devices/legacy/pflash.h"

#define LEN (2u * PFLASH_SECTOR)

struct host {
	uint8_t *bytes;
	bool array, read_only;
};

static void read_mode(void *opaque, bool array)
{
	((struct host *)opaque)->array = array;
}

static void changed(void *opaque, uint32_t off, uint32_t len)
{
	struct host *h = opaque;

	FUZZ_CHECK(!h->read_only && len && off < LEN && len <= LEN - off);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* What commands are made of; others now and then. */
	static const uint8_t bytes[] = {0x10, 0x20, 0x40, 0x50, 0x60, 0x70, 0x90,
					0x98, 0xd0, 0xe8, 0xff, 0x00, 0x01, 0x02};
	struct fuzz_in in = {data, size};
	struct host h = {.bytes = malloc(LEN), .read_only = fuzz_u8(&in) & 1};
	const struct pflash_config cfg = {.bytes = h.bytes,
					  .len = LEN,
					  .read_only = h.read_only,
					  .read_mode = read_mode,
					  .changed = changed,
					  .opaque = &h};
	struct pflash *f = pflash_new(&cfg);

	memset(h.bytes, 0xff, LEN);
	pflash_device(f)->cls->reset(pflash_device(f));
	FUZZ_CHECK(h.array);
	for (unsigned step = 0; in.left && step < FUZZ_MAX_STEPS; step++) {
		uint8_t op = fuzz_u8(&in);
		uint64_t off = (op & 0x40 ? LEN - 2 : 0x1ff) + (op & 3);

		if ((op & 0x3f) == 0x3f)
			fuzz_save_load(pflash_device(f));
		else if ((op & 0x3f) == 0x3e)
			fuzz_load_damaged(&in, pflash_device(f));
		else if (op & 0x80)
			FUZZ_CHECK(pflash_ops.read(f, off, 1) <= 0xff);
		else
			pflash_ops.write(f, off,
					 (op >> 2 & 15) < sizeof(bytes) ? bytes[op >> 2 & 15]
									: fuzz_u8(&in),
					 1);
		if (h.read_only)
			FUZZ_CHECK(h.bytes[off & (LEN - 1)] == 0xff);
	}
	pflash_free(f);
	free(h.bytes);
	return 0;
}
