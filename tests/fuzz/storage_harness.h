/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the fuzz targets of storage devices share, on top of pci_harness.h: memory, images that may fail. */
#ifndef LODGE_TESTS_FUZZ_STORAGE_HARNESS_H
#define LODGE_TESTS_FUZZ_STORAGE_HARNESS_H

#include "fake_blk.h"
#include "mem/mem.h"
#include "pci_harness.h"
#include "wire.h"

#define FUZZ_RAM (1u << 20)

static inline struct mem *fuzz_mem(void)
{
	static struct mem *mem;

	if (!mem) {
		mem = mem_new(FUZZ_RAM, 0, NULL);
		FUZZ_CHECK(mem && mem_map(mem, 0, FUZZ_RAM, MEM_RAM, 0) == 0);
	}
	memset(mem_base(mem), 0, FUZZ_RAM);
	return mem;
}

/* Some requests; some of them fail. */
static inline void fuzz_blk(struct fuzz_in *in, struct blk_queue *q)
{
	uint8_t how = fuzz_u8(in);

	if (how & 0x80) {
		q->b.bad_from = (uint64_t)(how & 15) * 1024;
		q->b.bad_to = q->b.bad_from + (how >> 4 & 7) * 512u;
	}
	for (unsigned i = how & 15; i && fake_blk_one(q); i--)
		;
}

/* Addresses that mean something: low memory in steps, its end, holes, all ones. */
static inline uint64_t fuzz_gpa(struct fuzz_in *in)
{
	uint8_t b = fuzz_u8(in);

	switch (b >> 5) {
	case 0:
		return FUZZ_RAM - (b & 31);
	case 1:
		return (b & 1) ? 0xfffffffffffff000 : 0xfffff000u;
	case 2:
		return (uint64_t)fuzz_uint(in, 2) << 4;
	default:
		return (uint64_t)(b & 31) << 12;
	}
}

static inline void fuzz_put(struct mem *mem, uint64_t at, const void *b, uint32_t n)
{
	int r = mem_write(mem, at, b, n);

	(void)r;
}

#endif
