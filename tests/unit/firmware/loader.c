// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The table loader's script, executed here as firmware executes it: make t T=firmware/loader
 */
#include "unit/firmware/fw_test.h"

#include "firmware/loader.h"

#define FILE_MAX 0x20000u
#define TABLES_AT 0x7ff0000u
#define RSDP_AT 0xf5a00u

static const struct fw_tables_config pc = {
	.cpus = 3,
	.ram_below_4g = 512 * MIB,
	.pci64_start = 1ull << 32,
	.pci64_len = 1ull << 38,
	.com_ports = 2,
	.pm_base = 0xb000,
	.pci32_start = 0x80000000,
	.by_firmware = true,
};

/* What firmware holds: both files, each at its address once it is allocated. */
struct firmware {
	struct {
		const char *name;
		uint8_t bytes[FILE_MAX];
		uint32_t len, align;
		uint8_t zone;
		uint64_t at; /* 0: not allocated */
	} file[2];
};

static unsigned file_of(struct firmware *fw, const uint8_t *name)
{
	for (unsigned i = 0; i < 2; i++) {
		if (!strcmp((const char *)name, fw->file[i].name))
			return i;
	}
	fail_msg("a command names '%s'", (const char *)name);
	return 0;
}

static uint64_t ld(const uint8_t *p, unsigned bytes)
{
	return bytes == 8 ? ld_le64(p) : bytes == 4 ? ld_le32(p) : 0;
}

static uint8_t sum(const uint8_t *p, uint64_t len)
{
	uint8_t s = 0;

	while (len--)
		s = (uint8_t)(s + *p++);
	return s;
}

static void do_pointer(struct firmware *fw, const uint8_t *p)
{
	unsigned dst = file_of(fw, p), src = file_of(fw, p + 56);
	uint32_t off = ld_le32(p + 112);
	uint8_t bytes = p[116], *at = fw->file[dst].bytes + off;
	uint64_t v;

	assert_true(bytes == 4 || bytes == 8);
	assert_true(off + bytes <= fw->file[dst].len);
	assert_int_not_equal(fw->file[dst].at, 0);
	assert_int_not_equal(fw->file[src].at, 0);
	v = ld(at, bytes);
	assert_true(v < fw->file[src].len);
	v += fw->file[src].at;
	if (bytes == 4)
		st_le32(at, (uint32_t)v);
	else
		st_le64(at, v);
}

static void do_checksum(struct firmware *fw, const uint8_t *p)
{
	unsigned f = file_of(fw, p);
	uint32_t off = ld_le32(p + 56), start = ld_le32(p + 60), len = ld_le32(p + 64);
	uint8_t *b = fw->file[f].bytes;

	assert_true(start <= off && off < start + len && start + len <= fw->file[f].len);
	/* OVMF stores the sum, SeaBIOS adds it: the byte must be 0. */
	assert_int_equal(b[off], 0);
	b[off] = (uint8_t)-sum(b + start, len);
}

static void do_allocate(struct firmware *fw, const uint8_t *p)
{
	unsigned f = file_of(fw, p);

	assert_int_equal(fw->file[f].at, 0);
	fw->file[f].align = ld_le32(p + 56);
	fw->file[f].zone = p[60];
	fw->file[f].at = f ? RSDP_AT : TABLES_AT;
}

static void execute(struct firmware *fw, const struct fw_tables_config *cfg)
{
	struct fw_loader l;

	assert_int_equal(fw_loader_build(&l, cfg), 0);
	assert_true(l.tables_len < FILE_MAX);
	*fw = (struct firmware){.file = {{.name = LOADER_TABLES_FILE, .len = l.tables_len},
					 {.name = LOADER_RSDP_FILE, .len = sizeof(l.rsdp)}}};
	memcpy(fw->file[0].bytes, l.tables, l.tables_len);
	memcpy(fw->file[1].bytes, l.rsdp, sizeof(l.rsdp));
	assert_int_equal(l.script_len % 128, 0);
	for (uint32_t off = 0; off < l.script_len; off += 128) {
		const uint8_t *p = l.script + off;

		switch (ld_le32(p)) {
		case 1:
			do_allocate(fw, p + 4);
			break;
		case 2:
			do_pointer(fw, p + 4);
			break;
		case 3:
			do_checksum(fw, p + 4);
			break;
		default:
			fail_msg("command %u", ld_le32(p));
		}
	}
	fw_loader_free(&l);
}

/* A table by its address: its bytes, checked. */
static const uint8_t *table_at(struct firmware *fw, uint64_t at, const char *sig)
{
	const uint8_t *t;

	assert_in_range(at, TABLES_AT, TABLES_AT + fw->file[0].len - 36);
	t = fw->file[0].bytes + (at - TABLES_AT);
	assert_memory_equal(t, sig, 4);
	assert_true(at - TABLES_AT + ld_le32(t + 4) <= fw->file[0].len);
	if (strcmp(sig, "FACS"))
		assert_int_equal(sum(t, ld_le32(t + 4)), 0);
	return t;
}

static void script_when_executed_expect_tables_linked_and_summed(void **state)
{
	static struct firmware fw;
	const uint8_t *rsdp, *rsdt, *xsdt, *fadt;

	(void)state;
	execute(&fw, &pc);
	assert_int_equal(fw.file[0].zone, 1);
	assert_int_equal(fw.file[0].align, 64); /* the FACS's */
	assert_int_equal(fw.file[1].zone, 2);
	assert_int_equal(fw.file[1].align, 16);
	rsdp = fw.file[1].bytes;
	assert_memory_equal(rsdp, "RSD PTR ", 8);
	assert_int_equal(sum(rsdp, 20), 0);
	assert_int_equal(sum(rsdp, 36), 0);
	rsdt = table_at(&fw, ld_le32(rsdp + 16), "RSDT");
	xsdt = table_at(&fw, ld_le64(rsdp + 24), "XSDT");
	assert_int_equal((ld_le32(rsdt + 4) - 36) / 4, (ld_le32(xsdt + 4) - 36) / 8);
	assert_int_equal(ld_le32(rsdt + 36), ld_le64(xsdt + 36));
	fadt = table_at(&fw, ld_le32(rsdt + 36), "FACP");
	table_at(&fw, ld_le32(rsdt + 40), "APIC");
	table_at(&fw, ld_le32(rsdt + 44), "HPET");
	table_at(&fw, ld_le32(fadt + 40), "DSDT");
	assert_int_equal(ld_le32(fadt + 40), ld_le64(fadt + 140));
	table_at(&fw, ld_le32(fadt + 36), "FACS");
	assert_int_equal(ld_le32(fadt + 36) % 64, 0);
}

static void fadt_when_firmware_moves_pm_block_expect_its_place_and_same_length(void **state)
{
	static struct firmware fw;
	struct fw_tables_config cfg = pc;
	const uint8_t *fadt;
	uint32_t len;

	(void)state;
	execute(&fw, &cfg);
	len = fw.file[0].len;
	fadt = table_at(&fw, ld_le32(table_at(&fw, ld_le32(fw.file[1].bytes + 16), "RSDT") + 36),
			"FACP");
	assert_int_equal(ld_le32(fadt + 56), 0xb000);
	assert_int_equal(ld_le32(fadt + 64), 0xb004);
	assert_int_equal(ld_le32(fadt + 76), 0xb008);
	assert_int_equal(ld_le64(fadt + 208 + 4), 0xb008);
	assert_int_equal(ld_le32(fadt + 80), 0xafe0);
	/* The length is told before firmware chooses. */
	cfg.pm_base = 0;
	execute(&fw, &cfg);
	assert_int_equal(fw.file[0].len, len);
}

static void smbios_when_by_firmware_expect_no_bios_structure(void **state)
{
	struct smbios s;

	(void)state;
	assert_int_equal(smbios_build(&s, &pc), 0);
	assert_int_equal(s.bytes[0], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(script_when_executed_expect_tables_linked_and_summed),
		cmocka_unit_test(
			fadt_when_firmware_moves_pm_block_expect_its_place_and_same_length),
		cmocka_unit_test(smbios_when_by_firmware_expect_no_bios_structure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
