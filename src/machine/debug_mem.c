// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Guest memory as a vCPU sees it, for a debugger: a page walk that changes nothing.
 * Source: Intel SDM 3A §4.3 (32-bit paging), §4.4 (PAE), §4.5 (4-level). Threads: see machine/debug.h.
 */
#include "base/bytes.h"
#include "base/range.h"
#include "machine/debug.h"
#include "machine/vm_int.h"

#define ENTRY_P 1u
#define ENTRY_PS 0x80u
#define ENTRY_ADDR 0x000ffffffffff000ull

/* One level of a table: `shift` is that of its index. */
struct level {
	unsigned shift, bits;
	bool large; /* an entry may be a page */
};

static const struct level long_levels[] = {
	{39, 9, false}, {30, 9, true}, {21, 9, true}, {12, 9, false}};
static const struct level pae_levels[] = {{30, 2, false}, {21, 9, true}, {12, 9, false}};

static bool walk64(struct vm *vm, uint64_t table, const struct level *l, unsigned n, gva_t lin,
		   gpa_t *gpa)
{
	for (unsigned i = 0; i < n; i++) {
		uint64_t index = lin >> l[i].shift & ((1u << l[i].bits) - 1), rest;
		uint8_t b[8];
		uint64_t e;

		if (mem_read(vm->mem, table + index * 8, b, sizeof(b)))
			return false;
		e = ld_le64(b);
		if (!(e & ENTRY_P))
			return false;
		rest = (1ull << l[i].shift) - 1;
		if (i + 1 == n || (l[i].large && (e & ENTRY_PS))) {
			*gpa = (e & ENTRY_ADDR & ~rest) | (lin & rest);
			return true;
		}
		table = e & ENTRY_ADDR;
	}
	return false;
}

static bool walk32(struct vm *vm, const struct x86_state *s, uint32_t lin, gpa_t *gpa)
{
	uint8_t b[4];
	uint32_t e;

	if (mem_read(vm->mem, (s->cr3 & 0xfffff000u) + (lin >> 22) * 4, b, sizeof(b)))
		return false;
	e = ld_le32(b);
	if (!(e & ENTRY_P))
		return false;
	if ((e & ENTRY_PS) && (s->cr4 & CR4_PSE)) {
		*gpa = (e & 0xffc00000u) | (lin & 0x3fffffu) | (uint64_t)(e >> 13 & 0xff) << 32;
		return true;
	}
	if (mem_read(vm->mem, (e & 0xfffff000u) + (lin >> 12 & 0x3ff) * 4, b, sizeof(b)))
		return false;
	e = ld_le32(b);
	*gpa = (e & 0xfffff000u) | (lin & 0xfffu);
	return e & ENTRY_P;
}

bool vm_debug_translate(struct vm *vm, unsigned cpu, gva_t lin, gpa_t *gpa)
{
	const struct x86_state *s = vm_debug_state(vm, cpu);

	if (!(s->cr0 & CR0_PG)) {
		*gpa = lin & 0xffffffff;
		return true;
	}
	if (s->efer & EFER_LMA)
		return (uint64_t)((int64_t)(lin << 16) >> 16) == lin &&
		       walk64(vm, s->cr3 & ENTRY_ADDR, long_levels, ARRAY_SIZE(long_levels), lin,
			      gpa);
	if (s->cr4 & CR4_PAE)
		return walk64(vm, s->cr3 & 0xffffffe0u, pae_levels, ARRAY_SIZE(pae_levels),
			      (uint32_t)lin, gpa);
	return walk32(vm, s, (uint32_t)lin, gpa);
}

/* ---- Copies ------------------------------------------------------------------------------------- */

/* How many of `len` bytes at *addr are in one page; *addr becomes physical. 0: it is not there. */
static uint64_t piece(struct vm *vm, unsigned cpu, bool physical, uint64_t *addr, uint64_t len)
{
	uint64_t n = min_u64(len, PAGE_BYTES - (*addr & ~PAGE_MASK));

	if (!physical && !vm_debug_translate(vm, cpu, *addr, addr))
		return 0;
	return n;
}

uint64_t vm_debug_read(struct vm *vm, unsigned cpu, bool physical, uint64_t addr, void *buf,
		       uint64_t len)
{
	uint64_t done = 0;

	while (done < len) {
		uint64_t at = addr + done, n = piece(vm, cpu, physical, &at, len - done);

		if (!n || mem_read(vm->mem, at, (uint8_t *)buf + done, n))
			break;
		done += n;
	}
	return done;
}

uint64_t vm_debug_write(struct vm *vm, unsigned cpu, bool physical, uint64_t addr, const void *buf,
			uint64_t len)
{
	uint64_t done = 0;

	pthread_mutex_lock(&vm->lock);
	while (done < len) {
		uint64_t at = addr + done, n = piece(vm, cpu, physical, &at, len - done);

		if (!n || mem_load(vm->mem, at, (const uint8_t *)buf + done, n))
			break;
		done += n;
	}
	pthread_mutex_unlock(&vm->lock);
	return done;
}
