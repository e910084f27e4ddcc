// SPDX-License-Identifier: GPL-2.0-or-later
/* ELF images and PVH boot: make t T=firmware/pvh */
#include "unit/firmware/fw_test.h"

#include <errno.h>

#include "firmware/e820.h"
#include "firmware/elf.h"

#define NOTE_OFF 0x2000u
#define ENTRY 0x1000123u

struct rig {
	struct mem *mem;
	struct boot_config cfg;
	struct boot_module initrd;
	unsigned n;
	struct test_elf elf;
	struct x86_state cpu;
	enum boot_kind kind;
	struct lodge_err err;
};

/* Two segments at 16 MiB, the second with BSS, and a note segment with another note before. */
static struct rig *rig_new(bool is64)
{
	struct rig *r = aligned_alloc(64, (sizeof(struct rig) + 63) & ~63ull);
	uint64_t len, virt = is64 ? 0xffffffff81000000ull : 0xc1000000;

	assert_non_null(r);
	memset(r, 0, sizeof(*r));
	test_elf_init(&r->elf, is64, 0x1000000);
	len = test_elf_note(&r->elf, NOTE_OFF, "GNU", 18, 0x666, 4);
	len += test_elf_note(&r->elf, NOTE_OFF + len, "Xen", 17, 0x777, 4);
	len += test_elf_note(&r->elf, NOTE_OFF + len, "Xen", 18, ENTRY, is64 ? 8 : 4);
	test_elf_phdr(&r->elf, 1, 0x200, virt, 0x1000000, 0x1000, 0x1000);
	test_elf_phdr(&r->elf, 1, 0x1200, virt + 0x2000, 0x1002000, 0x800, 0x1800);
	test_elf_phdr(&r->elf, 4, NOTE_OFF, 0, 0, len, len);
	r->mem = pc_mem(32 * MIB);
	r->cfg = (struct boot_config){.cmdline = "panic=-1",
				      .ram_below_4g = 32 * MIB,
				      .rsdp = 0xf0000};
	r->initrd.file = fw_file_from_bytes("initrd.img", "0123456789", 10);
	return r;
}

static int rig_load(struct rig *r)
{
	struct fw_file f = fw_file_from_bytes("vmlinux", r->elf.bytes, r->elf.len);

	return boot_load_files(r->mem, &r->cfg, &f, &r->initrd, r->n, &r->cpu, &r->kind, &r->err);
}

static void rig_free(struct rig *r)
{
	mem_free(r->mem);
	free(r);
}

static void assert_refused(struct rig *r, int code, const char *words)
{
	assert_int_equal(rig_load(r), code);
	assert_non_null(strstr(r->err.msg, "vmlinux"));
	if (!strstr(r->err.msg, words))
		fail_msg("'%s' is not in: %s", words, r->err.msg);
}

static void check_start_info(struct rig *r)
{
	uint64_t si = r->cpu.gpr[R_RBX], mods, map_at;
	struct e820_map map;

	assert_int_equal(guest_u(r->mem, si, 4), 0x336ec578);
	assert_int_equal(guest_u(r->mem, si + 4, 4), 1);
	assert_int_equal(guest_u(r->mem, si + 12, 4), 1);
	assert_guest_string(r->mem, guest_u(r->mem, si + 24, 8), "panic=-1");
	assert_int_equal(guest_u(r->mem, si + 32, 8), 0xf0000);
	mods = guest_u(r->mem, si + 16, 8);
	assert_int_equal(guest_u(r->mem, mods + 8, 8), 10);
	assert_guest_bytes(r->mem, guest_u(r->mem, mods, 8), "0123456789", 10);
	e820_build(&map, 32 * MIB, 0);
	map_at = guest_u(r->mem, si + 40, 8);
	assert_int_equal(guest_u(r->mem, si + 48, 4), map.n);
	for (unsigned i = 0; i < map.n; i++) {
		assert_int_equal(guest_u(r->mem, map_at + 24 * i, 8), map.e[i].addr);
		assert_int_equal(guest_u(r->mem, map_at + 24 * i + 8, 8), map.e[i].len);
		assert_int_equal(guest_u(r->mem, map_at + 24 * i + 16, 4), map.e[i].type);
	}
}

static void check_load(bool is64)
{
	static const uint8_t zeros[0x1000];
	struct rig *r = rig_new(is64);

	/* What an earlier boot left must not shine through the BSS. */
	assert_int_equal(mem_write(r->mem, 0x1002800, "leftover", 8), 0);
	r->n = 1;
	assert_int_equal(rig_load(r), 0);
	assert_int_equal(r->kind, BOOT_KIND_PVH);
	assert_int_equal(r->cpu.rip, ENTRY);
	assert_int_equal(r->cpu.cr0, CR0_PE | CR0_ET);
	assert_int_equal(r->cpu.seg[SEG_CS].base, 0);
	assert_int_equal(r->cpu.seg[SEG_CS].limit, 0xffffffff);
	assert_int_equal(r->cpu.tr.limit, 0x67);
	assert_guest_bytes(r->mem, 0x1000000, r->elf.bytes + 0x200, 0x1000);
	assert_guest_bytes(r->mem, 0x1002000, r->elf.bytes + 0x1200, 0x800);
	assert_guest_bytes(r->mem, 0x1002800, zeros, 0x1000);
	check_start_info(r);
	rig_free(r);
}

static void load_when_elf64_expect_start_info(void **state)
{
	(void)state;
	check_load(true);
}

static void load_when_elf32_expect_start_info(void **state)
{
	(void)state;
	check_load(false);
}

static void load_when_no_note_expect_not_a_kernel(void **state)
{
	struct rig *r = rig_new(true);

	(void)state;
	test_elf_note(&r->elf, NOTE_OFF + 0x24, "Xen", 19, ENTRY, 8);
	test_elf_note(&r->elf, NOTE_OFF, "GNU", 1, 0, 4);
	st_le16(r->elf.bytes + 56, 2);
	assert_refused(r, -ENOEXEC, "neither a PVH note nor a Multiboot header");
	rig_free(r);
}

static void load_when_other_machine_expect_refusal(void **state)
{
	struct rig *r = rig_new(true);

	(void)state;
	st_le16(r->elf.bytes + 18, 183);
	assert_refused(r, -ENOEXEC, "not an executable for x86");
	st_le16(r->elf.bytes + 18, 62);
	r->elf.bytes[5] = 2;
	assert_refused(r, -ENOEXEC, "not an executable for x86");
	r->elf.bytes[5] = 1;
	st_le16(r->elf.bytes + 16, 1); /* an object file */
	assert_refused(r, -ENOEXEC, "not an executable for x86");
	rig_free(r);
}

static void load_when_segments_lie_expect_refusal(void **state)
{
	struct rig *r = rig_new(true);
	uint8_t *ph = r->elf.bytes + 64;

	(void)state;
	st_le64(ph + 24, 0xffffffffffffff00ull); /* wraps */
	assert_refused(r, -ENOEXEC, "wants to be loaded at");
	st_le64(ph + 24, 0x1002000); /* overlaps the second */
	assert_refused(r, -ENOEXEC, "overlap");
	st_le64(ph + 24, 0xa0000);
	assert_refused(r, -ENOEXEC, "wants to be loaded at");
	st_le64(ph + 24, 31 * MIB + 0xff001); /* one byte too far */
	assert_refused(r, -ENOMEM, "-m");
	st_le64(ph + 24, 0x1000000);
	st_le64(ph + 32, 0x1001);
	assert_refused(r, -ENOEXEC, "larger in the file");
	st_le64(ph + 40, ~0ull);
	assert_refused(r, -ENOEXEC, "wants to be loaded at");
	st_le64(ph + 32, ~0ull);
	assert_refused(r, -EINVAL, "cut short");
	st_le32(ph, 6);
	st_le32(ph + 56, 6);
	assert_refused(r, -ENOEXEC, "no segment");
	rig_free(r);
}

static void load_when_cut_short_expect_sentence(void **state)
{
	struct rig *r = rig_new(true);

	(void)state;
	st_le64(r->elf.bytes + 64 + 56 + 8, 0x2fff); /* second segment: beyond the end */
	assert_refused(r, -EINVAL, "cut short");
	rig_free(r);
}

static void load_when_entry_beyond_4g_expect_refusal(void **state)
{
	struct rig *r = rig_new(true);

	(void)state;
	st_le64(r->elf.bytes + 64 + 2 * 56 + 32,
		test_elf_note(&r->elf, NOTE_OFF, "Xen", 18, 1ull << 32, 8));
	assert_refused(r, -ENOEXEC, "4 GiB");
	r->cfg.no_long_mode = true;
	assert_refused(r, -ENOEXEC, "64-bit");
	rig_free(r);
}

static void note_when_sizes_lie_expect_not_found(void **state)
{
	struct rig *r = rig_new(true);
	struct fw_file f = fw_file_from_bytes("vmlinux", r->elf.bytes, r->elf.len);
	struct elf_image elf;
	uint64_t v;

	(void)state;
	assert_int_equal(elf_open(&elf, &f), 0);
	assert_int_equal(elf_note_find(&elf, "Xen", 18, &v), 0);
	assert_int_equal(v, ENTRY);
	st_le32(r->elf.bytes + NOTE_OFF, 0xffffffff);
	assert_int_equal(elf_note_find(&elf, "Xen", 18, &v), -ENOENT);
	st_le32(r->elf.bytes + NOTE_OFF, 4);
	st_le32(r->elf.bytes + NOTE_OFF + 4, 0xfffffff0);
	assert_int_equal(elf_note_find(&elf, "Xen", 18, &v), -ENOENT);
	st_le16(r->elf.bytes + 56, 0xffff); /* more program headers than file */
	assert_int_equal(elf_note_find(&elf, "Xen", 18, &v), -ENOENT);
	rig_free(r);
}

static void load_when_no_initrd_expect_no_modules(void **state)
{
	struct rig *r = rig_new(true);

	(void)state;
	assert_int_equal(rig_load(r), 0);
	assert_int_equal(guest_u(r->mem, r->cpu.gpr[R_RBX] + 12, 4), 0);
	assert_int_equal(guest_u(r->mem, r->cpu.gpr[R_RBX] + 16, 8), 0);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(load_when_elf64_expect_start_info),
		cmocka_unit_test(load_when_elf32_expect_start_info),
		cmocka_unit_test(load_when_no_note_expect_not_a_kernel),
		cmocka_unit_test(load_when_other_machine_expect_refusal),
		cmocka_unit_test(load_when_segments_lie_expect_refusal),
		cmocka_unit_test(load_when_cut_short_expect_sentence),
		cmocka_unit_test(load_when_entry_beyond_4g_expect_refusal),
		cmocka_unit_test(note_when_sizes_lie_expect_not_found),
		cmocka_unit_test(load_when_no_initrd_expect_no_modules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
