// SPDX-License-Identifier: GPL-2.0-or-later
/* Guest memory: make t T=mem/mem */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "mem/mem.h"

#define MIB (1ull << 20)

struct seen {
	int changes;
	int codes, watches;
	uint64_t off;
	uint64_t len;
};

static void on_change(void *opaque)
{
	((struct seen *)opaque)->changes++;
}

static void on_code(void *opaque, uint64_t off, uint64_t len)
{
	struct seen *s = opaque;

	s->codes++;
	s->off = off;
	s->len = len;
}

static void on_watch(void *opaque, uint64_t off, uint64_t len)
{
	struct seen *s = opaque;

	s->watches++;
	s->off = off;
	s->len = len;
}

static struct mem *pc(struct seen *s)
{
	struct mem *m = mem_new(4 * MIB, 64 << 10, NULL);

	assert_non_null(m);
	if (s) {
		struct mem_listener l = {
			.map_changed = on_change,
			.code_written = on_code,
			.watch_writes = on_watch,
			.opaque = s,
		};

		memset(s, 0, sizeof(*s));
		mem_set_listener(m, &l);
	}
	assert_int_equal(mem_map(m, 0, 4 * MIB, MEM_RAM, 0), 0);
	assert_int_equal(mem_map(m, 0xa0000, 0x20000, MEM_MMIO, 0), 0);
	assert_int_equal(mem_map(m, 0xf0000, 0x10000, MEM_ROM, 4 * MIB), 0);
	return m;
}

static void expect(struct mem *m, gpa_t at, gpa_t gpa, uint64_t len, enum mem_kind k, uint64_t off)
{
	struct mem_range r = mem_lookup(m, at);

	assert_int_equal(r.gpa, gpa);
	assert_int_equal(r.len, len);
	assert_int_equal(r.kind, k);
	if (k != MEM_MMIO)
		assert_int_equal(r.ram_off, off);
}

static void new_when_size_is_absurd_expect_sentence(void **state)
{
	struct lodge_err err = {{0}};

	(void)state;
	assert_null(mem_new(1ull << 62, 0, &err));
	assert_non_null(strstr(err.msg, "-m"));
	assert_null(mem_new(UINT64_MAX & ~4095ull, 8192, &err));
	assert_null(mem_new(4097, 0, &err));
	assert_null(mem_new(0, 0, &err));
}

static void new_when_made_expect_sealed_shared_backing(void **state)
{
	struct mem *m = pc(NULL);

	(void)state;
	assert_int_equal(mem_ram_bytes(m), 4 * MIB);
	assert_int_equal(mem_backing_bytes(m), 4 * MIB + 0x10000);
	assert_int_not_equal(ftruncate(mem_fd(m), 4096), 0);
	assert_int_not_equal(ftruncate(mem_fd(m), 64 * MIB), 0);
	mem_base(m)[12345] = 0x5a;

	uint8_t b = 0;

	assert_int_equal(pread(mem_fd(m), &b, 1, 12345), 1);
	assert_int_equal(b, 0x5a);
	mem_free(m);
}

static void map_when_overlaid_expect_split_ranges(void **state)
{
	struct mem *m = pc(NULL);

	(void)state;
	expect(m, 0, 0, 0xa0000, MEM_RAM, 0);
	expect(m, 0xbffff, 0xa0000, 0x20000, MEM_MMIO, 0);
	expect(m, 0xc0000, 0xc0000, 0x30000, MEM_RAM, 0xc0000);
	expect(m, 0xfffff, 0xf0000, 0x10000, MEM_ROM, 4 * MIB);
	expect(m, MIB, MIB, 3 * MIB, MEM_RAM, MIB);
	expect(m, 4 * MIB, 4 * MIB, UINT64_MAX - 4 * MIB, MEM_MMIO, 0);
	expect(m, UINT64_MAX, 4 * MIB, UINT64_MAX - 4 * MIB, MEM_MMIO, 0);
	/* Back to RAM joins the neighbours again. */
	assert_int_equal(mem_map(m, 0xf0000, 0x10000, MEM_RAM, 0xf0000), 0);
	assert_int_equal(mem_map(m, 0xa0000, 0x20000, MEM_RAM, 0xa0000), 0);
	expect(m, 0x12345, 0, 4 * MIB, MEM_RAM, 0);
	mem_free(m);
}

static void map_when_covering_many_expect_one(void **state)
{
	struct mem *m = pc(NULL);

	(void)state;
	assert_int_equal(mem_map(m, 0x9f000, 0x62000, MEM_ROM, 0), 0);
	expect(m, 0x9f000, 0x9f000, 0x62000, MEM_ROM, 0);
	expect(m, 0x9efff, 0, 0x9f000, MEM_RAM, 0);
	expect(m, 0x101000, 0x101000, 4 * MIB - 0x101000, MEM_RAM, 0x101000);
	mem_free(m);
}

static void map_when_malformed_expect_einval(void **state)
{
	struct mem *m = pc(NULL);

	(void)state;
	assert_int_equal(mem_map(m, 1, 4096, MEM_RAM, 0), -EINVAL);
	assert_int_equal(mem_map(m, 0, 4095, MEM_RAM, 0), -EINVAL);
	assert_int_equal(mem_map(m, 0, 0, MEM_RAM, 0), -EINVAL);
	assert_int_equal(mem_map(m, 0, 4096, MEM_RAM, 8), -EINVAL);
	assert_int_equal(mem_map(m, 0, 8192, MEM_RAM, 4 * MIB + 0xf000), -EINVAL);
	assert_int_equal(mem_map(m, ~4095ull, 8192, MEM_RAM, 0), -EINVAL);
	mem_free(m);
}

static void map_when_too_many_pieces_expect_enospc_and_old_map(void **state)
{
	struct mem *m = mem_new(8 * MIB, 0, NULL);
	int rc = 0;
	unsigned n;

	(void)state;
	for (n = 0; n < 2000 && rc == 0; n++)
		rc = mem_map(m, n * 8192ull, 4096, MEM_RAM, 0);
	assert_int_equal(rc, -ENOSPC);
	expect(m, 0, 0, 4096, MEM_RAM, 0);
	assert_int_equal(mem_lookup(m, (n - 1) * 8192ull).kind, MEM_MMIO);
	assert_int_equal(mem_map(m, 0, 8 * MIB, MEM_RAM, 0), 0);
	expect(m, 0, 0, 8 * MIB, MEM_RAM, 0);
	mem_free(m);
}

static void map_when_unchanged_expect_no_notice(void **state)
{
	struct seen s;
	struct mem *m = pc(&s);
	int before = s.changes;

	(void)state;
	assert_int_equal(before, 3);
	assert_int_equal(mem_map(m, 0xf0000, 0x10000, MEM_ROM, 4 * MIB), 0);
	assert_int_equal(s.changes, before);
	mem_set_a20(m, true);
	assert_int_equal(s.changes, before);
	mem_set_a20(m, false);
	assert_int_equal(s.changes, before + 1);
	mem_free(m);
}

static void a20_when_closed_expect_aliases(void **state)
{
	struct mem *m = pc(NULL);
	uint8_t b;

	(void)state;
	mem_base(m)[0x500] = 1;
	mem_base(m)[MIB + 0x500] = 2;
	mem_set_a20(m, false);
	assert_false(mem_a20(m));
	assert_int_equal(mem_read(m, MIB + 0x500, &b, 1), 0);
	assert_int_equal(b, 1);
	expect(m, 3 * MIB + 5, 2 * MIB, MIB, MEM_RAM, 2 * MIB);
	assert_null(mem_ptr(m, 3 * MIB - 16, 32, true));
	/* A copy over the megabyte's end wraps to its start. */
	mem_base(m)[2 * MIB] = 7;
	mem_base(m)[3 * MIB] = 8;

	uint8_t two[2];

	assert_int_equal(mem_read(m, 3 * MIB - 1, two, 2), 0);
	assert_int_equal(two[1], 7);
	mem_set_a20(m, true);
	assert_int_equal(mem_read(m, 3 * MIB - 1, two, 2), 0);
	assert_int_equal(two[1], 8);
	mem_free(m);
}

static void copy_when_over_ranges_expect_whole(void **state)
{
	struct mem *m = pc(NULL);
	uint8_t in[64], out[64];

	(void)state;
	memset(in, 0xa5, sizeof(in));
	assert_int_equal(mem_load(m, 0xf0000 - 32, in, 64), 0);
	assert_int_equal(mem_read(m, 0xf0000 - 32, out, 64), 0);
	assert_memory_equal(in, out, 64);
	assert_int_equal(mem_base(m)[4 * MIB + 31], 0xa5);
	assert_int_equal(mem_write(m, 0xf0000 - 32, in, 64), -EFAULT);
	assert_int_equal(mem_read(m, 0xa0000 - 32, out, 64), -EFAULT);
	assert_int_equal(mem_write(m, 4 * MIB - 8, in, 9), -EFAULT);
	assert_int_equal(mem_read(m, UINT64_MAX - 3, out, 64), -EFAULT);
	assert_null(mem_ptr(m, 0xf0000, 4, true));
	assert_non_null(mem_ptr(m, 0xf0000, 4, false));
	assert_null(mem_ptr(m, 0xf0000 - 2, 4, false));
	mem_free(m);
}

static void write_when_page_has_code_expect_listener_told(void **state)
{
	struct seen s;
	struct mem *m = pc(&s);
	uint8_t buf[16] = {0};

	(void)state;
	assert_int_equal(mem_write(m, 0x1ff8, buf, 16), 0);
	assert_int_equal(s.codes, 0);
	assert_int_equal(mem_page_flags(m)[1], MEM_PAGE_DIRTY);
	assert_int_equal(mem_page_flags(m)[2], MEM_PAGE_DIRTY);
	assert_int_equal(mem_page_flags(m)[3], 0);
	mem_page_flags(m)[2] = MEM_PAGE_CODE;
	assert_int_equal(mem_write(m, 0x1ff8, buf, 16), 0);
	assert_int_equal(s.codes, 1);
	assert_int_equal(s.off, 0x2000);
	assert_int_equal(s.len, 8);
	mem_wrote(m, 0x2ffc, 2);
	assert_int_equal(s.codes, 2);
	assert_int_equal(s.off, 0x2ffc);
	/* Of the backing, mapped or not; nothing beyond its end. */
	mem_page_flags(m)[(4 * MIB >> 12) + 1] = MEM_PAGE_CODE;
	mem_wrote_backing(m, 4 * MIB + 0xff0, 0x20);
	assert_int_equal(s.codes, 3);
	assert_int_equal(s.off, 4 * MIB + 0x1000);
	assert_int_equal(s.len, 0x10);
	assert_int_equal(mem_page_flags(m)[4 * MIB >> 12], MEM_PAGE_DIRTY);
	mem_wrote_backing(m, 4 * MIB + 0xfff0, 0x20);
	mem_wrote_backing(m, 0x2000, 0);
	assert_int_equal(s.codes, 3);
	mem_free(m);
}

static void dirty_when_taken_expect_pages_once_and_one_watch(void **state)
{
	struct seen s;
	struct mem *m = pc(&s);
	uint64_t bits[2] = {~0ull, ~0ull};

	(void)state;
	assert_int_equal(mem_take_dirty(m, 0x10000, 100 << 12, bits), 0);
	assert_int_equal(bits[0] | bits[1], 0);
	assert_int_equal(s.watches, 0);
	mem_wrote(m, 0x12ffc, 8); /* pages 2 and 3 */
	mem_wrote(m, 0x10000 + (80 << 12), 1);
	mem_wrote(m, 0xf000, 1); /* in front of them */
	mem_page_flags(m)[0x12] |= MEM_PAGE_CODE | MEM_PAGE_WRITABLE;
	assert_int_equal(mem_take_dirty(m, 0x10000, 100 << 12, bits), 3);
	assert_int_equal(bits[0], 0x0c);
	assert_int_equal(bits[1], 1ull << 16);
	assert_int_equal(s.watches, 1);
	assert_int_equal(s.off, 0x12000);
	assert_int_equal(s.len, 79 << 12);
	assert_int_equal(mem_page_flags(m)[0x12], MEM_PAGE_CODE | MEM_PAGE_WRITABLE);
	assert_int_equal(mem_page_flags(m)[0xf], MEM_PAGE_DIRTY);
	assert_int_equal(mem_take_dirty(m, 0x10000, 100 << 12, bits), 0);
	assert_int_equal(s.watches, 1);
	/* What is no whole pages, or not there. */
	assert_int_equal(mem_take_dirty(m, 0xf001, 4096, bits), 0);
	assert_int_equal(mem_take_dirty(m, 0xf000, 100, bits), 0);
	assert_int_equal(mem_take_dirty(m, 5 * MIB, 4096, bits), 0);
	assert_int_equal(mem_take_dirty(m, 0xf000, 4096, bits), 1);
	mem_free(m);
}

static void writes_when_noted_expect_pages_of_devices_and_discards(void **state)
{
	struct mem *m = pc(NULL);
	uint64_t bits[17] = {0}, old;
	uint8_t one = 1;

	(void)state;
	assert_int_equal(mem_write(m, 0x1000, &one, 1), 0);
	mem_note_writes(m, bits);
	mem_wrote(m, 0x12ffc, 8); /* pages 0x12 and 0x13 */
	assert_int_equal(mem_write(m, 70 << 12, &one, 1), 0);
	assert_int_equal(mem_load(m, 0xf0000, &one, 1), 0); /* ROM, behind the RAM */
	assert_int_equal(mem_discard(m, 0x80000, 0x2000), 0x2000);
	assert_int_equal(bits[0], 3ull << 0x12);
	assert_int_equal(bits[1], 1ull << 6);
	assert_int_equal(bits[2], 3);
	assert_int_equal(bits[16], 1);
	/* A device's own pages, wherever they are mapped. */
	mem_base(m)[0x90000] = 1;
	mem_discard_backing(m, 0x90000, 0x1000);
	assert_int_equal(mem_base(m)[0x90000], 0);
	assert_int_equal(bits[2], 3 | 1 << 16);
	bits[2] = 3;
	mem_discard_backing(m, 0x90001, 0x1000);
	mem_discard_backing(m, UINT64_MAX & PAGE_MASK, 0x2000);
	/* What is no memory is nobody's page. */
	old = bits[0];
	mem_wrote(m, 0xa0000, 4096);
	mem_wrote(m, 64 * MIB, 4096);
	mem_note_writes(m, NULL);
	mem_wrote(m, 0x5000, 1);
	assert_int_equal(bits[0], old);
	assert_int_equal(bits[2], 3);
	mem_free(m);
}

struct race {
	struct mem *m;
	int stop;
	unsigned wrong;
};

static void *reader(void *opaque)
{
	struct race *r = opaque;

	while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED)) {
		struct mem_range a = mem_lookup(r->m, 0x100000);

		/* Each published map has one of two shapes here. */
		if (!(a.kind == MEM_RAM && a.gpa == 0 && a.len == 4 * MIB && a.ram_off == 0) &&
		    !(a.kind == MEM_ROM && a.gpa == 0xff000 && a.len == 0x2000 &&
		      a.ram_off == 0x3000))
			r->wrong++;
	}
	return NULL;
}

static void lookup_when_map_changes_in_parallel_expect_whole_ranges(void **state)
{
	struct race r = {.m = mem_new(4 * MIB, 0, NULL)};
	pthread_t t;

	(void)state;
	assert_int_equal(mem_map(r.m, 0, 4 * MIB, MEM_RAM, 0), 0);
	assert_int_equal(pthread_create(&t, NULL, reader, &r), 0);
	for (int i = 0; i < 100000; i++) {
		assert_int_equal(mem_map(r.m, 0xff000, 0x2000, MEM_ROM, 0x3000), 0);
		assert_int_equal(mem_map(r.m, 0xff000, 0x2000, MEM_RAM, 0xff000), 0);
	}
	__atomic_store_n(&r.stop, 1, __ATOMIC_RELAXED);
	pthread_join(t, NULL);
	assert_int_equal(r.wrong, 0);
	mem_free(r.m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(new_when_size_is_absurd_expect_sentence),
		cmocka_unit_test(new_when_made_expect_sealed_shared_backing),
		cmocka_unit_test(map_when_overlaid_expect_split_ranges),
		cmocka_unit_test(map_when_covering_many_expect_one),
		cmocka_unit_test(map_when_malformed_expect_einval),
		cmocka_unit_test(map_when_too_many_pieces_expect_enospc_and_old_map),
		cmocka_unit_test(map_when_unchanged_expect_no_notice),
		cmocka_unit_test(a20_when_closed_expect_aliases),
		cmocka_unit_test(copy_when_over_ranges_expect_whole),
		cmocka_unit_test(write_when_page_has_code_expect_listener_told),
		cmocka_unit_test(dirty_when_taken_expect_pages_once_and_one_watch),
		cmocka_unit_test(writes_when_noted_expect_pages_of_devices_and_discards),
		cmocka_unit_test(lookup_when_map_changes_in_parallel_expect_whole_ranges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
