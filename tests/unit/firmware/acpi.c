// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The ACPI tables as a guest finds them, and as ACPICA's compiler reads them:
 * make t T=firmware/acpi. Needs iasl (acpica-tools); without it the comparison is skipped.
 */
#include "unit/firmware/fw_test.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "firmware/acpi.h"
#include "firmware/tables.h"

#define TABLE_MAX 0x10000u

static const struct fw_tables_config plain = {.cpus = 1, .ram_below_4g = 512 * MIB, .com_ports = 1};
static const struct fw_tables_config many = {.cpus = 300,
					     .ram_below_4g = 3072 * MIB,
					     .ram_above_4g = 5120 * MIB,
					     .pci64_start = 1ull << 39,
					     .pci64_len = 1ull << 39,
					     .vga = true,
					     .com_ports = 4};
static const struct fw_tables_config bare = {
	.cpus = 4, .ram_below_4g = 64 * MIB, .no_hpet = true, .no_i8042 = true, .no_fwcfg = true};

static uint8_t sum(const uint8_t *p, uint64_t len)
{
	uint8_t s = 0;

	while (len--)
		s += *p++;
	return s;
}

static gpa_t build(struct mem *mem, const struct fw_tables_config *cfg)
{
	struct lodge_err err;
	gpa_t rsdp = 0;

	assert_int_equal(firmware_tables_build(mem, cfg, &rsdp, &err), 0);
	return rsdp;
}

/* Copy the table at `gpa` to `buf`, checksum checked; returns its length. */
static uint32_t fetch(const struct mem *mem, gpa_t gpa, uint8_t *buf)
{
	uint32_t len = guest_u(mem, gpa + 4, 4);

	assert_in_range(len, 36, TABLE_MAX);
	assert_int_equal(mem_read(mem, gpa, buf, len), 0);
	assert_int_equal(sum(buf, len), 0);
	return len;
}

/* The table `sig`, by way of the XSDT; the RSDT must name the same. 0 when it is not listed. */
static gpa_t find(const struct mem *mem, gpa_t rsdp, const char *sig)
{
	static uint8_t rsdt[TABLE_MAX], xsdt[TABLE_MAX];
	uint32_t n = (fetch(mem, guest_u(mem, rsdp + 16, 4), rsdt) - 36) / 4;
	gpa_t found = 0;

	assert_memory_equal(rsdt, "RSDT", 4);
	assert_int_equal((fetch(mem, guest_u(mem, rsdp + 24, 8), xsdt) - 36) / 8, n);
	assert_memory_equal(xsdt, "XSDT", 4);
	for (uint32_t i = 0; i < n; i++) {
		gpa_t at = ld_le64(xsdt + 36 + 8 * i);
		uint8_t s[4];

		assert_int_equal(ld_le32(rsdt + 36 + 4 * i), at);
		assert_int_equal(mem_read(mem, at, s, 4), 0);
		if (!memcmp(s, sig, 4))
			found = at;
	}
	return found;
}

static void rsdp_when_built_expect_found_by_scan(void **state)
{
	struct mem *mem = pc_mem(4 * MIB);
	gpa_t rsdp = build(mem, &plain), at;
	uint8_t b[36];

	(void)state;
	for (at = 0xe0000; at < 0x100000; at += 16) {
		assert_int_equal(mem_read(mem, at, b, 8), 0);
		if (!memcmp(b, "RSD PTR ", 8))
			break;
	}
	assert_int_equal(at, rsdp);
	assert_int_equal(mem_read(mem, at, b, sizeof(b)), 0);
	assert_int_equal(sum(b, 20), 0);
	assert_int_equal(sum(b, 36), 0);
	assert_int_equal(b[15], 2);
	mem_free(mem);
}

static void fadt_when_built_expect_pc_registers(void **state)
{
	static uint8_t f[TABLE_MAX];
	struct mem *mem = pc_mem(4 * MIB);
	gpa_t rsdp = build(mem, &plain);
	uint8_t facs[64];

	(void)state;
	assert_int_equal(fetch(mem, find(mem, rsdp, "FACP"), f), 244);
	assert_true(f[8] >= 3);
	assert_int_equal(ld_le16(f + 46), 9);
	assert_int_equal(ld_le32(f + 48), 0xb2);
	assert_int_equal(f[52], 0xf1);
	assert_int_equal(f[53], 0xf0);
	assert_int_equal(ld_le32(f + 56), 0x600);
	assert_int_equal(ld_le32(f + 64), 0x604);
	assert_int_equal(ld_le32(f + 76), 0x608);
	assert_int_equal(ld_le64(f + 148 + 4), 0x600);
	assert_int_equal(ld_le32(f + 112) & 1u << 4, 0); /* fixed power button */
	assert_int_equal(ld_le32(f + 112) & 1u << 10, 1u << 10);
	assert_int_equal(ld_le64(f + 116 + 4), 0xcf9);
	assert_int_equal(f[128], 6);
	assert_int_equal(ld_le32(f + 40), ld_le64(f + 140));
	/* The FACS: aligned, in RAM that the guest may write, below 640 KiB. */
	assert_int_equal(ld_le32(f + 36) % 64, 0);
	assert_int_equal(mem_lookup(mem, ld_le32(f + 36)).kind, MEM_RAM);
	assert_int_equal(mem_read(mem, ld_le32(f + 36), facs, 64), 0);
	assert_memory_equal(facs, "FACS", 4);
	assert_int_equal(ld_le32(facs + 4), 64);
	mem_free(mem);
}

static unsigned madt_count(const uint8_t *t, uint32_t len, uint8_t type, const uint8_t **last)
{
	unsigned n = 0;

	for (uint32_t off = 44; off < len; off += t[off + 1]) {
		assert_true(t[off + 1] >= 2 && off + t[off + 1] <= len);
		if (t[off] == type) {
			n++;
			*last = t + off;
		}
	}
	return n;
}

static void madt_when_300_cpus_expect_x2apic_entries(void **state)
{
	static uint8_t t[TABLE_MAX];
	struct mem *mem = pc_mem(4 * MIB);
	gpa_t rsdp = build(mem, &many);
	uint32_t len = fetch(mem, find(mem, rsdp, "APIC"), t);
	const uint8_t *last = NULL;

	(void)state;
	assert_int_equal(ld_le32(t + 36), 0xfee00000);
	assert_int_equal(madt_count(t, len, 0, &last), 255);
	assert_int_equal(last[3], 254);
	assert_int_equal(madt_count(t, len, 9, &last), 45);
	assert_int_equal(ld_le32(last + 4), 299);
	assert_int_equal(ld_le32(last + 12), 299);
	assert_int_equal(madt_count(t, len, 1, &last), 1);
	assert_int_equal(ld_le32(last + 4), 0xfec00000);
	assert_int_equal(madt_count(t, len, 2, &last), 5);
	assert_int_equal(madt_count(t, len, 4, &last), 1);
	assert_int_equal(madt_count(t, len, 10, &last), 1);
	mem_free(mem);
}

static void overrides_when_built_expect_timer_on_pin_2(void **state)
{
	static uint8_t t[TABLE_MAX];
	struct mem *mem = pc_mem(4 * MIB);
	gpa_t rsdp = build(mem, &plain);
	uint32_t len = fetch(mem, find(mem, rsdp, "APIC"), t);

	(void)state;
	for (uint32_t off = 44; off < len; off += t[off + 1]) {
		unsigned irq = t[off + 3];

		if (t[off] != 2)
			continue;
		assert_int_equal(ld_le32(t + off + 4), irq == 0 ? 2 : irq);
		assert_int_equal(ld_le16(t + off + 8), irq == 0 ? 0 : 0xd);
	}
	mem_free(mem);
}

static void tables_when_device_absent_expect_not_listed(void **state)
{
	struct mem *mem = pc_mem(4 * MIB);
	gpa_t rsdp = build(mem, &bare);

	(void)state;
	assert_int_equal(find(mem, rsdp, "HPET"), 0);
	assert_int_not_equal(find(mem, rsdp, "FACP"), 0);
	rsdp = build(mem, &plain);
	assert_int_not_equal(find(mem, rsdp, "HPET"), 0);
	mem_free(mem);
}

static void build_when_1024_cpus_expect_they_fit(void **state)
{
	struct fw_tables_config cfg = many;
	struct mem *mem = pc_mem(4 * MIB);
	struct lodge_err err;
	gpa_t rsdp;

	(void)state;
	cfg.cpus = FW_CPUS_MAX;
	assert_int_equal(firmware_tables_build(mem, &cfg, &rsdp, &err), 0);
	cfg.cpus = FW_CPUS_MAX + 1;
	assert_int_equal(firmware_tables_build(mem, &cfg, &rsdp, &err), -EINVAL);
	cfg.cpus = 0;
	assert_int_equal(firmware_tables_build(mem, &cfg, &rsdp, &err), -EINVAL);
	mem_free(mem);
}

static void build_when_area_unmapped_expect_sentence(void **state)
{
	struct mem *mem = pc_mem(4 * MIB);
	struct lodge_err err = {""};
	gpa_t rsdp;

	(void)state;
	assert_int_equal(mem_map(mem, PC_FW_START, 0x20000, MEM_MMIO, 0), 0);
	assert_int_equal(firmware_tables_build(mem, &plain, &rsdp, &err), -EFAULT);
	assert_non_null(strstr(err.msg, "below 1 MiB"));
	mem_free(mem);
}

/* ACPICA */

static char dir[] = "/tmp/lodge-acpi-XXXXXX";

static void write_file(const char *name, const void *data, size_t len)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	fclose(f);
}

static size_t read_file(const char *name, uint8_t *buf, size_t cap)
{
	char path[128];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "rb");
	assert_non_null(f);
	n = fread(buf, 1, cap, f);
	fclose(f);
	return n;
}

/* Run in the test's directory; its output must hold none of `bad`. */
static void run(const char *command, const char *const *bad)
{
	static uint8_t out[1 << 20];
	char line[256];
	size_t n;

	snprintf(line, sizeof(line), "cd %s && %s >log 2>&1 </dev/null", dir, command);
	if (system(line)) {
		n = read_file("log", out, sizeof(out) - 1);
		out[n] = 0;
		fail_msg("%s: %s", command, (char *)out);
	}
	n = read_file("log", out, sizeof(out) - 1);
	out[n] = 0;
	for (; *bad; bad++)
		if (strstr((char *)out, *bad))
			fail_msg("%s says '%s': %s", command, *bad, (char *)out);
}

/*
 * Disassemble, compile again without optimization, and compare: all bytes but the compiler's own
 * name and the checksum must come back.
 */
static void round_trip(const char *sig, const uint8_t *table, uint32_t len)
{
	static const char *const bad_read[] = {"Error",	 "rror:",  "ncorrect", "nvalid",
					       "nknown", "arning", NULL};
	static const char *const bad_write[] = {"Error  ", "Warning  ", "Remark  ", NULL};
	static uint8_t again[2 * TABLE_MAX];
	char command[128];

	write_file("t.dat", table, len);
	run("rm -f t.dsl t2.aml && iasl -p t -d t.dat", bad_read);
	snprintf(command, sizeof(command), "iasl -oa -p t2 t.dsl");
	run(command, bad_write);
	assert_int_equal(read_file("t2.aml", again, sizeof(again)), len);
	for (uint32_t i = 0; i < len; i++) {
		if (i == 9 || (i >= 28 && i < 36))
			continue;
		if (again[i] != table[i])
			fail_msg("%s: byte %u is %02x, iasl writes %02x", sig, i, table[i],
				 again[i]);
	}
}

static void iasl_reads_back(const struct fw_tables_config *cfg)
{
	static const char *const sigs[] = {"FACP", "APIC", "HPET"};
	static uint8_t t[TABLE_MAX];
	struct mem *mem = pc_mem(4 * MIB);
	gpa_t rsdp = build(mem, cfg);
	uint32_t len;

	if (system("iasl -v >/dev/null 2>&1"))
		skip();
	for (unsigned i = 0; i < 3; i++) {
		gpa_t at = find(mem, rsdp, sigs[i]);

		if (!at)
			continue;
		len = fetch(mem, at, t);
		round_trip(sigs[i], t, len);
	}
	len = fetch(mem, guest_u(mem, find(mem, rsdp, "FACP") + 40, 4), t);
	round_trip("DSDT", t, len);
	len = fetch(mem, guest_u(mem, rsdp + 16, 4), t);
	round_trip("RSDT", t, len);
	len = fetch(mem, guest_u(mem, rsdp + 24, 8), t);
	round_trip("XSDT", t, len);
	mem_free(mem);
}

static void iasl_when_plain_expect_same_bytes(void **state)
{
	(void)state;
	iasl_reads_back(&plain);
}

static void iasl_when_300_cpus_expect_same_bytes(void **state)
{
	(void)state;
	iasl_reads_back(&many);
}

static void iasl_when_bare_expect_same_bytes(void **state)
{
	(void)state;
	iasl_reads_back(&bare);
}

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	char line[128];

	(void)state;
	snprintf(line, sizeof(line), "rm -rf %s", dir);
	return system(line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rsdp_when_built_expect_found_by_scan),
		cmocka_unit_test(fadt_when_built_expect_pc_registers),
		cmocka_unit_test(madt_when_300_cpus_expect_x2apic_entries),
		cmocka_unit_test(overrides_when_built_expect_timer_on_pin_2),
		cmocka_unit_test(tables_when_device_absent_expect_not_listed),
		cmocka_unit_test(build_when_1024_cpus_expect_they_fit),
		cmocka_unit_test(build_when_area_unmapped_expect_sentence),
		cmocka_unit_test(iasl_when_plain_expect_same_bytes),
		cmocka_unit_test(iasl_when_300_cpus_expect_same_bytes),
		cmocka_unit_test(iasl_when_bare_expect_same_bytes),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
