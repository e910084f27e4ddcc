// SPDX-License-Identifier: GPL-2.0-or-later
/* Fuzz the memory map against a table with one entry a page: make t T=fuzz/mem_map */
#include <errno.h>
#include <string.h>

#include "device_harness.h"
#include "mem/mem.h"

#define PAGES 256u /* of guest physical space, from 0x80000: A20's bit lies inside */
#define BASE 0x80000ull
#define BACKING_PAGES 64u

struct model {
	uint8_t kind;
	uint8_t page; /* of the backing */
};

static const struct model *model_at(const struct model *m, gpa_t gpa, bool a20)
{
	static const struct model none = {MEM_MMIO, 0};

	if (!a20)
		gpa &= ~(1ull << 20);
	return gpa >= BASE && gpa < BASE + PAGES * PAGE_BYTES ? &m[(gpa - BASE) >> PAGE_BITS]
							      : &none;
}

static void check_lookup(struct mem *mem, const struct model *m, gpa_t gpa)
{
	bool a20 = mem_a20(mem);
	gpa_t at = a20 ? gpa : gpa & ~(1ull << 20);
	struct mem_range r = mem_lookup(mem, gpa);
	const struct model *want = model_at(m, gpa, a20);

	FUZZ_CHECK(at >= r.gpa && at - r.gpa < r.len);
	FUZZ_CHECK(r.kind == want->kind);
	if (r.kind != MEM_MMIO)
		FUZZ_CHECK(r.ram_off + (at - r.gpa) == want->page * PAGE_BYTES + (at & 4095));
	/* The range means the same to its last byte. */
	FUZZ_CHECK(model_at(m, r.gpa + r.len - 1, true)->kind == want->kind);
}

static void check_copy(struct mem *mem, const struct model *m, gpa_t gpa, uint64_t len, bool write)
{
	static uint8_t buf[4 * 4096];
	bool ok = true;

	len %= sizeof(buf);
	for (uint64_t i = 0; i < len; i++) {
		uint8_t kind = model_at(m, gpa + i, mem_a20(mem))->kind;

		ok &= kind == MEM_RAM || (kind == MEM_ROM && !write);
	}

	int rc = write ? mem_write(mem, gpa, buf, len) : mem_read(mem, gpa, buf, len);

	FUZZ_CHECK(rc == (ok ? 0 : -EFAULT));
	if (mem_ptr(mem, gpa, len, write))
		FUZZ_CHECK(ok || len == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	struct model m[PAGES] = {0};
	struct mem *mem = mem_new(BACKING_PAGES * PAGE_BYTES, 0, NULL);

	FUZZ_CHECK(mem);
	while (in.left) {
		uint8_t op = fuzz_u8(&in), first = fuzz_u8(&in), count = fuzz_u8(&in);
		uint8_t page = fuzz_u8(&in) % BACKING_PAGES;
		gpa_t gpa = BASE + first * PAGE_BYTES;
		enum mem_kind kind = (op >> 3) % 3;

		switch (op & 7) {
		case 0:
		case 1:
		case 2:
			if (count > PAGES - first)
				break;

			bool fits = count && (kind == MEM_MMIO || page + count <= BACKING_PAGES);
			int rc = mem_map(mem, gpa, count * PAGE_BYTES, kind, page * PAGE_BYTES);

			FUZZ_CHECK(rc == (fits ? 0 : -EINVAL));
			for (unsigned i = 0; fits && i < count; i++)
				m[first + i] = (struct model){(uint8_t)kind, (uint8_t)(page + i)};
			break;
		case 3:
			mem_set_a20(mem, op & 8);
			break;
		case 4:
		case 5:
			check_copy(mem, m, gpa + (count & 63) * 64, page * 300u, op & 8);
			break;
		default:
			check_lookup(mem, m, gpa + count);
			break;
		}
	}
	for (gpa_t gpa = 0; gpa < BASE + (PAGES + 8) * PAGE_BYTES; gpa += PAGE_BYTES)
		check_lookup(mem, m, gpa);
	mem_free(mem);
	return 0;
}
