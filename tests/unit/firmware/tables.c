// SPDX-License-Identifier: GPL-2.0-or-later
/* SMBIOS, MP table and low memory, as a guest finds them: make t T=firmware/tables */
#include "unit/firmware/fw_test.h"

#include "firmware/tables.h"

static uint8_t sum(const uint8_t *p, uint64_t len)
{
	uint8_t s = 0;

	while (len--)
		s += *p++;
	return s;
}

static struct mem *build(const struct fw_tables_config *cfg)
{
	struct mem *mem = pc_mem(4 * MIB);
	struct lodge_err err;
	gpa_t rsdp;

	assert_int_equal(firmware_tables_build(mem, cfg, &rsdp, &err), 0);
	return mem;
}

/* Scan as the specifications say; 0 when the anchor is not there. */
static gpa_t scan(const struct mem *mem, const char *anchor)
{
	uint8_t b[8];

	for (gpa_t at = 0xf0000; at < 0x100000; at += 16) {
		assert_int_equal(mem_read(mem, at, b, sizeof(b)), 0);
		if (!memcmp(b, anchor, strlen(anchor)))
			return at;
	}
	return 0;
}

static uint8_t *guest_copy(const struct mem *mem, gpa_t gpa, uint64_t len)
{
	uint8_t *p = malloc(len);

	assert_non_null(p);
	assert_int_equal(mem_read(mem, gpa, p, len), 0);
	return p;
}

static const struct fw_tables_config big = {
	.cpus = 8,
	.ram_below_4g = 3072 * MIB,
	.ram_above_4g = 61 * 1024 * MIB,
	.uuid = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
	.cpuid_1_eax = 0x800f12,
	.cpuid_1_edx = 0x178bfbff,
	.com_ports = 2,
};

static void smbios_when_built_expect_structures(void **state)
{
	static const uint8_t types[] = {0, 1, 3, 4, 16, 17, 19, 19, 32, 127};
	static const uint8_t uuid[] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
	struct mem *mem = build(&big);
	gpa_t e21 = scan(mem, "_SM_"), e30 = scan(mem, "_SM3_");
	uint64_t base = guest_u(mem, e30 + 16, 8), len = guest_u(mem, e30 + 12, 4), off = 0;
	uint8_t *p = guest_copy(mem, e21, 31), *s;
	unsigned n = 0, largest = 0;

	(void)state;
	assert_int_equal(sum(p, 31), 0);
	assert_int_equal(sum(p + 16, 15), 0);
	assert_int_equal(ld_le32(p + 24), base);
	assert_int_equal(ld_le16(p + 22), len);
	s = guest_copy(mem, e30, 24);
	assert_int_equal(sum(s, 24), 0);
	free(s);
	s = guest_copy(mem, base, len);
	for (; off < len; n++) {
		uint64_t start = off;

		assert_true(n < sizeof(types));
		assert_int_equal(s[off], types[n]);
		if (s[off] == 1)
			assert_memory_equal(s + off + 8, uuid, 16);
		if (s[off] == 4)
			assert_int_equal(s[off + 35], 8);
		if (s[off] == 17) {
			assert_int_equal(ld_le16(s + off + 12), 0x7fff);
			assert_int_equal(ld_le32(s + off + 28), 64 * 1024);
		}
		if (s[off] == 19 && types[n + 1] == 32) {
			assert_int_equal(ld_le32(s + off + 4), 4 * 1024 * 1024);
			assert_int_equal(ld_le32(s + off + 8), 65 * 1024 * 1024 - 1);
		}
		for (off += s[off + 1]; s[off] || s[off + 1]; off++)
			assert_true(off + 2 < len);
		off += 2;
		if (off - start > largest)
			largest = off - start;
	}
	assert_int_equal(n, sizeof(types));
	assert_int_equal(ld_le16(p + 28), n);
	assert_int_equal(ld_le16(p + 8), largest);
	free(s);
	free(p);
	mem_free(mem);
}

static void mptable_when_built_expect_entries(void **state)
{
	struct mem *mem = build(&big);
	gpa_t fp = scan(mem, "_MP_"), base = guest_u(mem, fp + 4, 4);
	uint64_t len = guest_u(mem, base + 4, 2);
	uint8_t *f = guest_copy(mem, fp, 16), *t = guest_copy(mem, base, len);
	unsigned count[5] = {0}, n = 0, bsps = 0;

	(void)state;
	assert_int_equal(sum(f, 16), 0);
	assert_int_equal(f[9], 4);
	assert_int_equal(sum(t, len), 0);
	assert_memory_equal(t, "PCMP", 4);
	for (uint64_t off = 44; off < len; n++) {
		assert_in_range(t[off], 0, 4);
		count[t[off]]++;
		if (t[off] == 0) {
			bsps += t[off + 3] >> 1 & 1;
			assert_int_equal(ld_le32(t + off + 4), 0x800f12);
		}
		/* The timer; PCI slot 3 INTA, by PIRQ C. */
		if (t[off] == 3 && t[off + 4] == 1 && t[off + 5] == 0)
			assert_int_equal(t[off + 7], 2);
		if (t[off] == 3 && t[off + 4] == 0 && t[off + 5] == 3 << 2)
			assert_int_equal(t[off + 7], PC_PIRQC_IRQ);
		if (t[off] == 3 && t[off + 4] == 0 && t[off + 5] == 1 << 2)
			assert_int_equal(t[off + 7], 9);
		off += t[off] == 0 ? 20 : 8;
	}
	assert_int_equal(n, ld_le16(t + 34));
	assert_int_equal(count[0], 8);
	assert_int_equal(bsps, 1);
	assert_int_equal(count[1], 2);
	assert_int_equal(count[2], 1);
	assert_int_equal(count[3], 12 + 31 * 4);
	assert_int_equal(count[4], 2);
	free(t);
	free(f);
	mem_free(mem);
}

static void mptable_when_300_cpus_expect_8bit_ids_only(void **state)
{
	struct fw_tables_config cfg = big;
	struct mem *mem;
	gpa_t base;
	unsigned cpus = 0;

	(void)state;
	cfg.cpus = 300;
	mem = build(&cfg);
	base = guest_u(mem, scan(mem, "_MP_") + 4, 4) + 44;
	for (; guest_u(mem, base, 1) == 0; base += 20)
		cpus++;
	assert_int_equal(cpus, 255);
	mem_free(mem);
}

static void lowmem_when_built_expect_bios_data(void **state)
{
	struct mem *mem = build(&big);

	(void)state;
	assert_int_equal(guest_u(mem, 0x400, 8), 0x02f803f8);
	assert_int_equal(guest_u(mem, 0x40e, 2) << 4, 0x9fc00);
	assert_int_equal(guest_u(mem, 0x413, 2), 639);
	assert_int_equal(guest_u(mem, 0x410, 2), 0x0406);
	assert_int_equal(guest_u(mem, 0x9fc00, 1), 1);
	mem_free(mem);
}

static void vectors_when_built_expect_iret_or_reset(void **state)
{
	struct mem *mem = build(&big);

	(void)state;
	for (unsigned v = 0; v < 256; v++) {
		uint64_t at = guest_u(mem, 4 * v + 2, 2) << 4;

		at += guest_u(mem, 4 * v, 2);
		assert_int_equal(guest_u(mem, at, 1), v == 0x18 || v == 0x19 ? 0xfa : 0xcf);
	}
	/* jmp far to the same code. */
	assert_int_equal(guest_u(mem, 0xffff0, 1), 0xea);
	assert_int_equal((guest_u(mem, 0xffff3, 2) << 4) + guest_u(mem, 0xffff1, 2),
			 0xf0000 + guest_u(mem, 0x19 * 4, 2));
	assert_int_equal(guest_u(mem, 0xffffe, 1), 0xfc);
	mem_free(mem);
}

static void build_when_repeated_expect_guest_writes_gone(void **state)
{
	struct mem *mem = build(&big);
	struct lodge_err err;
	gpa_t rsdp;

	(void)state;
	assert_int_equal(mem_load(mem, 0xe8000, "RSD PTR ", 8), 0);
	assert_int_equal(mem_load(mem, 0x9fd10, "\1\2\3\4", 4), 0);
	assert_int_equal(firmware_tables_build(mem, &big, &rsdp, &err), 0);
	assert_int_equal(guest_u(mem, 0xe8000, 8), 0);
	assert_int_equal(guest_u(mem, 0x9fd10, 4), 0); /* the global lock in the FACS */
	mem_free(mem);
}

static void platform_when_pins_expect_piix_rotation(void **state)
{
	(void)state;
	assert_int_equal(pc_pirq_of(1, 0), 0);
	assert_int_equal(pc_pirq_of(2, 0), 1);
	assert_int_equal(pc_pirq_of(3, 3), 1);
	assert_int_equal(pc_pirq_of(0, 0), 3);
	assert_int_equal(PC_ELCR, 0xe00);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(smbios_when_built_expect_structures),
		cmocka_unit_test(mptable_when_built_expect_entries),
		cmocka_unit_test(mptable_when_300_cpus_expect_8bit_ids_only),
		cmocka_unit_test(lowmem_when_built_expect_bios_data),
		cmocka_unit_test(vectors_when_built_expect_iret_or_reset),
		cmocka_unit_test(build_when_repeated_expect_guest_writes_gone),
		cmocka_unit_test(platform_when_pins_expect_piix_rotation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
