// SPDX-License-Identifier: GPL-2.0-or-later
/* Multiboot 1: make t T=firmware/multiboot */
#include "unit/firmware/fw_test.h"

#include <errno.h>

#include "firmware/e820.h"

struct rig {
	struct mem *mem;
	struct boot_config cfg;
	struct boot_module mods[BOOT_MODULES_MAX];
	unsigned n;
	struct test_elf elf;
	struct x86_state cpu;
	enum boot_kind kind;
	struct lodge_err err;
};

static void put_header(uint8_t *p, uint32_t flags)
{
	st_le32(p, 0x1badb002);
	st_le32(p + 4, flags);
	st_le32(p + 8, 0u - 0x1badb002 - flags);
}

static struct rig *rig_new(bool is64)
{
	struct rig *r = aligned_alloc(64, (sizeof(struct rig) + 63) & ~63ull);

	assert_non_null(r);
	memset(r, 0, sizeof(*r));
	test_elf_init(&r->elf, is64, 0xc0100010);
	test_elf_phdr(&r->elf, 1, 0x200, 0xc0100000, 0x100000, 0x1000, 0x3001);
	put_header(r->elf.bytes + 0x200, 3);
	r->mem = pc_mem(16 * MIB);
	r->cfg = (struct boot_config){.cmdline = "a b", .ram_below_4g = 16 * MIB};
	return r;
}

static int rig_load(struct rig *r)
{
	struct fw_file f = fw_file_from_bytes("kernel.elf", r->elf.bytes, r->elf.len);

	return boot_load_files(r->mem, &r->cfg, &f, r->mods, r->n, &r->cpu, &r->kind, &r->err);
}

static void rig_free(struct rig *r)
{
	mem_free(r->mem);
	free(r);
}

static void assert_refused(struct rig *r, int code, const char *words)
{
	assert_int_equal(rig_load(r), code);
	assert_non_null(strstr(r->err.msg, "kernel.elf"));
	if (!strstr(r->err.msg, words))
		fail_msg("'%s' is not in: %s", words, r->err.msg);
}

static void check_elf(bool is64)
{
	struct rig *r = rig_new(is64);
	struct e820_map map;
	uint64_t mbi, at, end, n = 0;

	assert_int_equal(rig_load(r), 0);
	assert_int_equal(r->kind, BOOT_KIND_MULTIBOOT);
	assert_int_equal(r->cpu.rip, 0x100010); /* physical */
	assert_int_equal(r->cpu.gpr[R_RAX], 0x2badb002);
	assert_int_equal(r->cpu.cr0, CR0_PE | CR0_ET);
	assert_guest_bytes(r->mem, 0x100000, r->elf.bytes + 0x200, 0x1000);
	mbi = r->cpu.gpr[R_RBX];
	assert_int_equal(guest_u(r->mem, mbi, 4), 1 | 1 << 2 | 1 << 3 | 1 << 6 | 1 << 9);
	assert_int_equal(guest_u(r->mem, mbi + 4, 4), 639);
	assert_int_equal(guest_u(r->mem, mbi + 8, 4), 15 * 1024);
	assert_guest_string(r->mem, guest_u(r->mem, mbi + 16, 4), "kernel.elf a b");
	assert_int_equal(guest_u(r->mem, mbi + 20, 4), 0);
	assert_guest_string(r->mem, guest_u(r->mem, mbi + 64, 4), "lodge");
	e820_build(&map, 16 * MIB, 0);
	at = guest_u(r->mem, mbi + 48, 4);
	end = at + guest_u(r->mem, mbi + 44, 4);
	for (; at < end; at += guest_u(r->mem, at, 4) + 4, n++) {
		assert_int_equal(guest_u(r->mem, at + 4, 8), map.e[n].addr);
		assert_int_equal(guest_u(r->mem, at + 12, 8), map.e[n].len);
		assert_int_equal(guest_u(r->mem, at + 20, 4), map.e[n].type);
	}
	assert_int_equal(n, map.n);
	rig_free(r);
}

static void load_when_elf32_expect_information(void **state)
{
	(void)state;
	check_elf(false);
}

static void load_when_elf64_expect_information(void **state)
{
	(void)state;
	check_elf(true);
}

static void load_when_modules_expect_page_aligned_in_order(void **state)
{
	struct rig *r = rig_new(false);
	uint64_t mbi, mods, previous = 0x103001;

	(void)state;
	r->n = BOOT_MODULES_MAX;
	for (unsigned i = 0; i < r->n; i++) {
		r->mods[i].file = fw_file_from_bytes("m", r->elf.bytes + i, 100 + i);
		r->mods[i].cmdline = i % 2 ? "m one two" : NULL;
	}
	assert_int_equal(rig_load(r), 0);
	mbi = r->cpu.gpr[R_RBX];
	assert_int_equal(guest_u(r->mem, mbi + 20, 4), r->n);
	mods = guest_u(r->mem, mbi + 24, 4);
	for (unsigned i = 0; i < r->n; i++, mods += 16) {
		uint64_t start = guest_u(r->mem, mods, 4);

		assert_int_equal(start % 4096, 0);
		assert_true(start >= previous);
		previous = guest_u(r->mem, mods + 4, 4);
		assert_int_equal(previous - start, 100 + i);
		assert_guest_bytes(r->mem, start, r->elf.bytes + i, 100 + i);
		assert_guest_string(r->mem, guest_u(r->mem, mods + 8, 4),
				    i % 2 ? "m one two" : "m");
	}
	rig_free(r);
}

/* A flat binary: header at 0x40, loaded so that the file starts at 1 MiB. */
static uint8_t *make_flat(struct rig *r)
{
	uint8_t *h = r->elf.bytes + 0x40;

	for (unsigned i = 0; i < sizeof(r->elf.bytes); i++)
		r->elf.bytes[i] = (uint8_t)(i * 5 + 3);
	r->elf.len = 0x1800;
	put_header(h, 0x10003);
	st_le32(h + 12, 0x100040);
	st_le32(h + 16, 0x100010); /* skip 16 bytes of the file */
	st_le32(h + 20, 0x101000);
	st_le32(h + 24, 0x102000);
	st_le32(h + 28, 0x100080);
	return h;
}

static void load_when_addresses_in_header_expect_flat_load(void **state)
{
	static const uint8_t zeros[0x1000];
	struct rig *r = rig_new(false);

	(void)state;
	make_flat(r);
	assert_int_equal(mem_write(r->mem, 0x101800, "leftover", 8), 0);
	assert_int_equal(rig_load(r), 0);
	assert_int_equal(r->cpu.rip, 0x100080);
	assert_guest_bytes(r->mem, 0x100010, r->elf.bytes + 0x10, 0xff0);
	assert_guest_bytes(r->mem, 0x101000, zeros, 0x1000);
	rig_free(r);
}

static void load_when_load_end_zero_expect_whole_file(void **state)
{
	struct rig *r = rig_new(false);
	uint8_t *h = make_flat(r);

	(void)state;
	st_le32(h + 20, 0);
	st_le32(h + 24, 0);
	assert_int_equal(rig_load(r), 0);
	assert_guest_bytes(r->mem, 0x100010, r->elf.bytes + 0x10, r->elf.len - 0x10);
	rig_free(r);
}

static void load_when_addresses_lie_expect_refusal(void **state)
{
	static const struct {
		unsigned field;
		uint32_t value;
		int code;
		const char *words;
	} cases[] = {
		{16, 0x100041, -ENOEXEC, "before the file"}, /* load after header */
		{16, 0x0fffff, -ENOEXEC, "before the file"}, /* 0x41 bytes before it */
		{20, 0x10000f, -ENOEXEC, "before its start"},
		{20, 0x200000, -ENOEXEC, "inside its data"},
		{24, 0x100fff, -ENOEXEC, "inside its data"},
		{24, 0x100000, -ENOEXEC, "inside its data"},
		{24, 0x2000000, -ENOMEM, "-m"},
	};
	struct rig *r = rig_new(false);

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t *h = make_flat(r);

		st_le32(h + cases[i].field, cases[i].value);
		assert_refused(r, cases[i].code, cases[i].words);
	}
	st_le32(make_flat(r) + 20, 0x110000); /* past the file's end */
	st_le32(r->elf.bytes + 0x40 + 24, 0);
	assert_refused(r, -EINVAL, "cut short");
	rig_free(r);
}

static void probe_when_header_elsewhere_expect_rules_kept(void **state)
{
	struct rig *r = rig_new(false);
	uint8_t *b = r->elf.bytes;

	(void)state;
	/* At the last place the specification allows. */
	memset(b + 0x200, 0, 12);
	put_header(b + 8192 - 12, 0);
	assert_int_equal(rig_load(r), 0);
	/* Across the limit, unaligned, and with a wrong checksum: not a header. */
	memset(b + 8192 - 12, 0, 12);
	put_header(b + 8192 - 8, 0);
	assert_refused(r, -ENOEXEC, "Multiboot");
	put_header(b + 0x202, 0);
	assert_refused(r, -ENOEXEC, "Multiboot");
	put_header(b + 0x400, 0);
	b[0x408]++;
	assert_refused(r, -ENOEXEC, "Multiboot");
	b[0x408]--;
	assert_int_equal(rig_load(r), 0);
	rig_free(r);
}

static void load_when_flags_unknown_expect_refusal(void **state)
{
	struct rig *r = rig_new(false);

	(void)state;
	put_header(r->elf.bytes + 0x200, 7); /* a video mode request is ignored */
	assert_int_equal(rig_load(r), 0);
	put_header(r->elf.bytes + 0x200, 0x20003); /* optional features too */
	assert_int_equal(rig_load(r), 0);
	put_header(r->elf.bytes + 0x200, 0xb);
	assert_refused(r, -ENOEXEC, "requires Multiboot features");
	rig_free(r);
}

static void load_when_neither_elf_nor_addresses_expect_refusal(void **state)
{
	struct rig *r = rig_new(false);

	(void)state;
	r->elf.bytes[0] = 0;
	assert_refused(r, -ENOEXEC, "no ELF executable");
	rig_free(r);
}

static void load_when_pvh_note_too_expect_pvh(void **state)
{
	struct rig *r = rig_new(false);
	uint64_t len = test_elf_note(&r->elf, 0x2800, "Xen", 18, 0x100020, 4);

	(void)state;
	test_elf_phdr(&r->elf, 4, 0x2800, 0, 0, len, len);
	assert_int_equal(rig_load(r), 0);
	assert_int_equal(r->kind, BOOT_KIND_PVH);
	assert_int_equal(r->cpu.rip, 0x100020);
	rig_free(r);
}

static void load_when_modules_do_not_fit_expect_sentence(void **state)
{
	struct rig *r = rig_new(false);
	static uint8_t dummy;

	(void)state;
	r->n = 2;
	r->mods[0].file = fw_file_from_bytes("first", "x", 1);
	r->mods[1].file = fw_file_from_bytes("second", &dummy, 15 * MIB);
	assert_int_equal(rig_load(r), -ENOMEM);
	assert_non_null(strstr(r->err.msg, "'second' (15 MiB)"));
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(load_when_elf32_expect_information),
		cmocka_unit_test(load_when_elf64_expect_information),
		cmocka_unit_test(load_when_modules_expect_page_aligned_in_order),
		cmocka_unit_test(load_when_addresses_in_header_expect_flat_load),
		cmocka_unit_test(load_when_load_end_zero_expect_whole_file),
		cmocka_unit_test(load_when_addresses_lie_expect_refusal),
		cmocka_unit_test(probe_when_header_elsewhere_expect_rules_kept),
		cmocka_unit_test(load_when_flags_unknown_expect_refusal),
		cmocka_unit_test(load_when_neither_elf_nor_addresses_expect_refusal),
		cmocka_unit_test(load_when_pvh_note_too_expect_pvh),
		cmocka_unit_test(load_when_modules_do_not_fit_expect_sentence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
