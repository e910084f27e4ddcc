// SPDX-License-Identifier: GPL-2.0-or-later
/* The Linux boot protocol: make t T=firmware/bzimage */
#include "unit/firmware/fw_test.h"

#include <errno.h>
#include <stdio.h>

#include "firmware/e820.h"

#define SETUP_SECTS 2u
#define SETUP_BYTES ((SETUP_SECTS + 1) * 512)
#define PAYLOAD 0x2000u

/* A modern 64-bit kernel's header; tests change what they are about. */
struct image {
	uint8_t bytes[SETUP_BYTES + PAYLOAD];
	uint64_t len;
};

static void make_image(struct image *im, unsigned version)
{
	uint8_t *b = im->bytes;

	memset(b, 0, sizeof(im->bytes));
	for (unsigned i = 0; i < PAYLOAD; i++)
		b[SETUP_BYTES + i] = (uint8_t)(i * 3 + 1);
	im->len = sizeof(im->bytes);
	b[0x1f1] = SETUP_SECTS;
	st_le32(b + 0x1f4, PAYLOAD / 16);
	st_le16(b + 0x1fe, 0xaa55);
	b[0x200] = 0xeb;
	b[0x201] = 0x6a; /* header ends at 0x26c */
	memcpy(b + 0x202, "HdrS", 4);
	st_le16(b + 0x206, (uint16_t)version);
	b[0x211] = 1;
	st_le32(b + 0x214, 0x100000);
	st_le32(b + 0x22c, 0x7fffffff);
	st_le32(b + 0x230, 0x200000);
	b[0x234] = 1;
	st_le16(b + 0x236, 1);
	st_le32(b + 0x238, 2047);
	st_le64(b + 0x250, 0xdeadbeef);
	st_le64(b + 0x258, 0x1000000);
	st_le32(b + 0x260, 0x400000);
}

struct rig {
	struct mem *mem;
	struct boot_config cfg;
	struct boot_module initrd;
	unsigned n;
	struct image im;
	struct x86_state cpu;
	enum boot_kind kind;
	struct lodge_err err;
};

static uint8_t initrd_bytes[3 * 4096 + 5];

static struct rig *rig_new(unsigned version, uint64_t ram)
{
	struct rig *r = aligned_alloc(64, (sizeof(struct rig) + 63) & ~63ull);

	assert_non_null(r);
	memset(r, 0, sizeof(*r));
	make_image(&r->im, version);
	r->mem = pc_mem(ram);
	r->cfg = (struct boot_config){.cmdline = "console=ttyS0 quiet",
				      .ram_below_4g = ram,
				      .rsdp = 0xf0000};
	memset(initrd_bytes, 0x5c, sizeof(initrd_bytes));
	r->initrd.file = fw_file_from_bytes("initrd.img", initrd_bytes, sizeof(initrd_bytes));
	return r;
}

static int rig_load(struct rig *r)
{
	struct fw_file f = fw_file_from_bytes("vmlinuz", r->im.bytes, r->im.len);

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
	assert_non_null(strstr(r->err.msg, "vmlinuz"));
	if (!strstr(r->err.msg, words))
		fail_msg("'%s' is not in: %s", words, r->err.msg);
}

static void load_when_64bit_expect_entry64_and_params(void **state)
{
	struct rig *r = rig_new(0x20f, 64 * MIB);
	uint64_t bp, initrd;

	(void)state;
	r->n = 1;
	assert_int_equal(rig_load(r), 0);
	assert_int_equal(r->kind, BOOT_KIND_BZIMAGE);
	assert_int_equal(r->cpu.rip, 0x100200);
	assert_int_equal(r->cpu.efer, EFER_LME | EFER_LMA);
	assert_guest_bytes(r->mem, 0x100000, r->im.bytes + SETUP_BYTES, PAYLOAD);
	bp = r->cpu.gpr[R_RSI];
	assert_int_equal(bp % 4096, 0);
	assert_int_equal(guest_u(r->mem, bp + 0x1f1, 1), SETUP_SECTS);
	assert_int_equal(guest_u(r->mem, bp + 0x202, 4), 0x53726448);
	assert_int_equal(guest_u(r->mem, bp + 0x210, 1), 0xff);
	assert_int_equal(guest_u(r->mem, bp + 0x214, 4), 0x100000);
	assert_int_equal(guest_u(r->mem, bp + 0x250, 8), 0);
	assert_int_equal(guest_u(r->mem, bp + 0x258, 8), 0x1000000);
	assert_int_equal(guest_u(r->mem, bp + 0x070, 8), 0xf0000);
	assert_int_equal(guest_u(r->mem, bp + 0x1ef, 1), 0); /* sentinel */
	assert_guest_string(r->mem, guest_u(r->mem, bp + 0x228, 4), "console=ttyS0 quiet");
	initrd = guest_u(r->mem, bp + 0x218, 4);
	assert_int_equal(initrd, 64 * MIB - 4 * 4096);
	assert_int_equal(guest_u(r->mem, bp + 0x21c, 4), sizeof(initrd_bytes));
	assert_guest_bytes(r->mem, initrd, initrd_bytes, sizeof(initrd_bytes));
	rig_free(r);
}

static void load_when_64bit_expect_e820(void **state)
{
	struct rig *r = rig_new(0x20f, 64 * MIB);
	struct e820_map map;
	uint64_t bp;

	(void)state;
	r->cfg.ram_above_4g = 128 * MIB;
	assert_int_equal(rig_load(r), 0);
	bp = r->cpu.gpr[R_RSI];
	e820_build(&map, 64 * MIB, 128 * MIB);
	assert_int_equal(guest_u(r->mem, bp + 0x1e8, 1), map.n);
	for (unsigned i = 0; i < map.n; i++) {
		assert_int_equal(guest_u(r->mem, bp + 0x2d0 + 20 * i, 8), map.e[i].addr);
		assert_int_equal(guest_u(r->mem, bp + 0x2d8 + 20 * i, 8), map.e[i].len);
		assert_int_equal(guest_u(r->mem, bp + 0x2e0 + 20 * i, 4), map.e[i].type);
	}
	assert_int_equal(guest_u(r->mem, bp + 0x1e0, 4), 63 * 1024);
	rig_free(r);
}

static void load_when_32bit_expect_code32_start(void **state)
{
	struct rig *r = rig_new(0x20f, 64 * MIB);

	(void)state;
	st_le16(r->im.bytes + 0x236, 0);
	assert_int_equal(rig_load(r), 0);
	assert_int_equal(r->cpu.rip, 0x100000);
	assert_int_equal(r->cpu.cr0, CR0_PE | CR0_ET);
	assert_int_equal(r->cpu.seg[SEG_CS].sel, 0x10);
	assert_int_equal(r->cpu.seg[SEG_DS].sel, 0x18);
	assert_int_not_equal(r->cpu.gpr[R_RSI], 0);
	assert_int_equal(r->cpu.gpr[R_RBX] | r->cpu.gpr[R_RBP] | r->cpu.gpr[R_RDI], 0);
	rig_free(r);
}

static void load_when_protocol_old_expect_32bit_entry(void **state)
{
	/* Fields a version lacks must not be read: give them absurd values. */
	static const unsigned versions[] = {0x202, 0x203, 0x204, 0x205, 0x206, 0x209, 0x20b};

	(void)state;
	for (unsigned i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
		struct rig *r = rig_new(versions[i], 64 * MIB);
		unsigned v = versions[i];

		if (v < 0x203)
			st_le32(r->im.bytes + 0x22c, 1);
		if (v < 0x204)
			st_le32(r->im.bytes + 0x1f4, 0xffffffff);
		if (v < 0x206)
			st_le32(r->im.bytes + 0x238, 3);
		if (v < 0x20a) {
			st_le64(r->im.bytes + 0x258, ~0ull);
			st_le32(r->im.bytes + 0x260, ~0u);
		}
		r->n = 1;
		assert_int_equal(rig_load(r), 0);
		assert_int_equal(r->cpu.rip, 0x100000);
		assert_int_equal(r->cpu.efer, 0);
		rig_free(r);
	}
}

static void load_when_header_short_expect_missing_fields_unused(void **state)
{
	struct rig *r = rig_new(0x206, 64 * MIB);

	(void)state;
	r->im.bytes[0x201] = 0x26; /* the header ends before initrd_addr_max */
	r->n = 1;
	assert_int_equal(rig_load(r), 0);
	assert_int_equal(guest_u(r->mem, r->cpu.gpr[R_RSI] + 0x22c, 4), 0);
	rig_free(r);
}

static void load_when_before_2_02_expect_old_command_line(void **state)
{
	struct rig *r = rig_new(0x201, 64 * MIB);
	uint64_t off;

	(void)state;
	assert_int_equal(rig_load(r), 0);
	assert_int_equal(r->cpu.gpr[R_RSI], 0x90000);
	assert_int_equal(guest_u(r->mem, 0x90020, 2), 0xa33f);
	off = guest_u(r->mem, 0x90022, 2);
	assert_guest_string(r->mem, 0x90000 + off, "console=ttyS0 quiet");
	rig_free(r);
}

static void load_when_initrd_limit_low_expect_below(void **state)
{
	struct rig *r = rig_new(0x20f, 64 * MIB);
	uint64_t at;

	(void)state;
	r->n = 1;
	st_le32(r->im.bytes + 0x22c, 0x2ffffff);
	assert_int_equal(rig_load(r), 0);
	at = guest_u(r->mem, r->cpu.gpr[R_RSI] + 0x218, 4);
	assert_int_equal(at, 0x3000000 - 0x4000);
	rig_free(r);
}

static void load_when_unpack_area_in_the_way_expect_initrd_elsewhere(void **state)
{
	struct rig *r = rig_new(0x20f, 21 * MIB);
	uint64_t at;

	(void)state;
	r->n = 1;
	/* 16..20 MiB is the kernel's; below 20 MiB the initrd must go under 16. */
	st_le32(r->im.bytes + 0x22c, 20 * MIB - 1);
	assert_int_equal(rig_load(r), 0);
	at = guest_u(r->mem, r->cpu.gpr[R_RSI] + 0x218, 4);
	assert_int_equal(at, 16 * MIB - 0x4000);
	rig_free(r);
}

static void load_when_initrd_too_large_expect_sentence(void **state)
{
	struct rig *r = rig_new(0x20f, 32 * MIB);
	static uint8_t dummy;

	(void)state;
	r->n = 1;
	r->initrd.file = fw_file_from_bytes("initrd.img", &dummy, 40 * MIB);
	assert_int_equal(rig_load(r), -ENOMEM);
	assert_non_null(strstr(r->err.msg, "'initrd.img' (40 MiB)"));
	assert_non_null(strstr(r->err.msg, "-m"));
	rig_free(r);
}

static void load_when_memory_too_small_expect_sentence(void **state)
{
	struct rig *r = rig_new(0x20f, 18 * MIB);

	(void)state;
	assert_refused(r, -ENOMEM, "needs 20 MiB");
	assert_non_null(strstr(r->err.msg, "-m"));
	rig_free(r);
	r = rig_new(0x20f, 4 * MIB);
	assert_refused(r, -ENOMEM, "needs 20 MiB of memory to start and the guest has 4 MiB");
	rig_free(r);
}

static void load_when_header_lies_expect_refusal(void **state)
{
	struct rig *r = rig_new(0x20f, 64 * MIB);

	(void)state;
	st_le64(r->im.bytes + 0x258, ~0ull - 5);
	assert_refused(r, -ENOEXEC, "beyond 4 GiB");
	st_le64(r->im.bytes + 0x258, 1ull << 40);
	assert_refused(r, -ENOEXEC, "beyond 4 GiB");
	st_le64(r->im.bytes + 0x258, 0);
	st_le32(r->im.bytes + 0x230, 3); /* no power of two: ignored */
	assert_int_equal(rig_load(r), 0);
	rig_free(r);
}

static void load_when_cut_short_expect_sentence(void **state)
{
	struct rig *r = rig_new(0x20f, 64 * MIB);

	(void)state;
	r->im.len -= 16;
	assert_refused(r, -EINVAL, "cut short");
	r->im.len = SETUP_BYTES;
	assert_refused(r, -EINVAL, "cut short");
	r->im.len = 0x210;
	assert_refused(r, -EINVAL, "cut short");
	rig_free(r);
	/* A last paragraph that is not filled up is how some builds end. */
	r = rig_new(0x20f, 64 * MIB);
	r->im.len -= 15;
	assert_int_equal(rig_load(r), 0);
	rig_free(r);
}

static void load_when_zimage_expect_refusal(void **state)
{
	struct rig *r = rig_new(0x203, 64 * MIB);

	(void)state;
	r->im.bytes[0x211] = 0;
	assert_refused(r, -ENOEXEC, "zImage");
	r->im.bytes[0x211] = 1;
	st_le16(r->im.bytes + 0x206, 0x105);
	assert_refused(r, -ENOEXEC, "protocol 1.05");
	rig_free(r);
}

static void load_when_cpu_is_32bit_expect_64bit_kernel_refused(void **state)
{
	struct rig *r = rig_new(0x20f, 64 * MIB);

	(void)state;
	r->cfg.no_long_mode = true;
	assert_refused(r, -ENOEXEC, "64-bit");
	st_le16(r->im.bytes + 0x236, 0);
	assert_int_equal(rig_load(r), 0);
	rig_free(r);
}

static void load_when_command_line_long_expect_limit(void **state)
{
	struct rig *r = rig_new(0x20f, 64 * MIB);
	char line[2100];

	(void)state;
	memset(line, 'x', sizeof(line));
	line[2047] = 0;
	r->cfg.cmdline = line;
	assert_int_equal(rig_load(r), 0);
	line[2047] = 'x';
	line[2048] = 0;
	assert_refused(r, -E2BIG, "2047");
	rig_free(r);
}

static void load_when_vga_expect_text_mode_told(void **state)
{
	struct rig *r = rig_new(0x20f, 64 * MIB);

	(void)state;
	r->cfg.vga = true;
	assert_int_equal(rig_load(r), 0);
	assert_int_equal(guest_u(r->mem, r->cpu.gpr[R_RSI] + 7, 1), 80);
	assert_int_equal(guest_u(r->mem, r->cpu.gpr[R_RSI] + 0xe, 2), 0x0119);
	r->cfg.vga = false;
	assert_int_equal(rig_load(r), 0);
	assert_int_equal(guest_u(r->mem, r->cpu.gpr[R_RSI] + 7, 1), 0);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(load_when_64bit_expect_entry64_and_params),
		cmocka_unit_test(load_when_64bit_expect_e820),
		cmocka_unit_test(load_when_32bit_expect_code32_start),
		cmocka_unit_test(load_when_protocol_old_expect_32bit_entry),
		cmocka_unit_test(load_when_header_short_expect_missing_fields_unused),
		cmocka_unit_test(load_when_before_2_02_expect_old_command_line),
		cmocka_unit_test(load_when_initrd_limit_low_expect_below),
		cmocka_unit_test(load_when_unpack_area_in_the_way_expect_initrd_elsewhere),
		cmocka_unit_test(load_when_initrd_too_large_expect_sentence),
		cmocka_unit_test(load_when_memory_too_small_expect_sentence),
		cmocka_unit_test(load_when_header_lies_expect_refusal),
		cmocka_unit_test(load_when_cut_short_expect_sentence),
		cmocka_unit_test(load_when_zimage_expect_refusal),
		cmocka_unit_test(load_when_cpu_is_32bit_expect_64bit_kernel_refused),
		cmocka_unit_test(load_when_command_line_long_expect_limit),
		cmocka_unit_test(load_when_vga_expect_text_mode_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
