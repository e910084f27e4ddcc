// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The ACPI tables but for the DSDT's body.
 * Source: ACPI 6.4 §5.2.5 (RSDP), §5.2.6 (header), §5.2.7-8 (RSDT, XSDT), §5.2.9 (FADT), §5.2.10
 * (FACS), §5.2.12 (MADT); IA-PC HPET Specification 1.0a §3.2.4. Threads: one at a time.
 */
#include "firmware/acpi.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"
#include "firmware/dsdt.h"
#include "firmware/platform.h"

#define HEADER_BYTES 36u
#define HEADER_LENGTH 4u
#define HEADER_CHECKSUM 9u
#define TABLE_ALIGN 16u

static const uint8_t oem_id[6] = "LODGE ";

/* Power management registers in the FADT: 32-bit address, length, and the extended form. */
enum {
	FADT_FACS = 36,
	FADT_DSDT = 40,
	FADT_PROFILE = 45,
	FADT_SCI_INT = 46,
	FADT_SMI_CMD = 48,
	FADT_ACPI_ENABLE = 52,
	FADT_ACPI_DISABLE = 53,
	FADT_PM1A_EVT = 56,
	FADT_PM1A_CNT = 64,
	FADT_PM_TMR = 76,
	FADT_GPE0 = 80,
	FADT_PM1_EVT_LEN = 88,
	FADT_PM1_CNT_LEN = 89,
	FADT_PM_TMR_LEN = 91,
	FADT_GPE0_LEN = 92,
	FADT_C2_LATENCY = 96,
	FADT_C3_LATENCY = 98,
	FADT_CENTURY = 108,
	FADT_BOOT_ARCH = 109,
	FADT_FLAGS = 112,
	FADT_RESET_REG = 116,
	FADT_RESET_VALUE = 128,
	FADT_X_DSDT = 140,
	FADT_X_PM1A_EVT = 148,
	FADT_X_PM1A_CNT = 172,
	FADT_X_PM_TMR = 208,
	FADT_X_GPE0 = 220,
	FADT_BYTES = 244,
};

#define FADT_REVISION 3u
#define PROFILE_DESKTOP 1u
#define BOOT_LEGACY_DEVICES 0x01u
#define BOOT_8042 0x02u
#define BOOT_NO_VGA 0x04u
#define FLAG_WBINVD (1u << 0)
#define FLAG_PROC_C1 (1u << 2)
#define FLAG_NO_SLEEP_BUTTON (1u << 5)
#define FLAG_RESET_REG (1u << 10)
/* FLAG 4 clear: the power button is fixed hardware. FLAG 8 clear: the PM timer has 24 bits. */
#define NO_C2 0xfffu
#define NO_C3 0xfffu
#define CMOS_CENTURY 0x32u

#define MADT_REVISION 4u
#define MADT_PCAT_COMPAT 1u
#define APIC_ID_LIMIT 255u /* the first ID only an x2APIC can have */
#define UID_ALL_LAPIC 0xffu
#define UID_ALL_X2APIC 0xffffffffu
#define INTI_CONFORMS 0x0u
#define INTI_HIGH_LEVEL 0xdu

#define GAS_BYTES 12u
#define HPET_TABLE_BYTES 56u
#define HPET_MIN_TICK 100u

uint8_t fw_checksum(const uint8_t *p, uint64_t len)
{
	uint8_t sum = 0;

	while (len--)
		sum = (uint8_t)(sum + *p++);
	return (uint8_t)-sum;
}

/* Open table `t`: header without length and checksum. Returns its offset. */
static uint32_t table_begin(struct acpi_block *b, enum acpi_table t, const char *sig,
			    uint8_t revision)
{
	size_t pad = (size_t)align_up(b->bytes.len, TABLE_ALIGN) - b->bytes.len;
	uint8_t h[HEADER_BYTES] = {0};

	aml_reserve(&b->bytes, pad);
	b->table[t].off = (uint32_t)b->bytes.len;
	memcpy(h, sig, 4);
	h[8] = revision;
	memcpy(h + 10, oem_id, sizeof(oem_id));
	memcpy(h + 16, "LODGEPC ", 8);
	st_le32(h + 24, 1);
	memcpy(h + 28, "LODG", 4);
	st_le32(h + 32, 1);
	aml_raw(&b->bytes, h, sizeof(h));
	return b->table[t].off;
}

static void table_end(struct acpi_block *b, enum acpi_table t)
{
	b->table[t].len = (uint32_t)b->bytes.len - b->table[t].off;
	if (!b->bytes.failed)
		st_le32(b->bytes.buf + b->table[t].off + HEADER_LENGTH, b->table[t].len);
}

static void add_pointer(struct acpi_block *b, uint32_t at, enum acpi_table target, uint8_t bytes)
{
	assert(b->pointers < ARRAY_SIZE(b->pointer));
	b->pointer[b->pointers].at = at;
	b->pointer[b->pointers].target = (uint8_t)target;
	b->pointer[b->pointers++].bytes = bytes;
}

/* Generic address structure for an I/O port, §5.2.3.2. */
static void put_gas_io(uint8_t *p, uint16_t port, uint8_t bytes)
{
	p[0] = AML_SPACE_IO;
	p[1] = (uint8_t)(bytes * 8);
	p[2] = 0;
	p[3] = bytes == 1 ? 1 : bytes == 2 ? 2 : 3;
	st_le64(p + 4, port);
}

static void build_fadt(struct acpi_block *b, const struct fw_tables_config *cfg)
{
	static const struct {
		uint16_t addr, len, ext;
		uint16_t port;
		uint8_t bytes;
		bool in_pm; /* the port counts from the PM block's base */
	} regs[] = {
		{FADT_PM1A_EVT, FADT_PM1_EVT_LEN, FADT_X_PM1A_EVT, PC_PM1_EVT, 4, true},
		{FADT_PM1A_CNT, FADT_PM1_CNT_LEN, FADT_X_PM1A_CNT, PC_PM1_CNT, 2, true},
		{FADT_PM_TMR, FADT_PM_TMR_LEN, FADT_X_PM_TMR, PC_PM_TMR, 4, true},
		{FADT_GPE0, FADT_GPE0_LEN, FADT_X_GPE0, PC_GPE0_BLK, PC_GPE0_LEN, false},
	};
	const uint16_t pm_base = cfg->pm_base ? cfg->pm_base : PC_PM_BASE;
	uint8_t f[FADT_BYTES] = {0};
	uint32_t at = table_begin(b, ACPI_FADT, "FACP", FADT_REVISION);

	f[FADT_PROFILE] = PROFILE_DESKTOP;
	st_le16(f + FADT_SCI_INT, PC_SCI_IRQ);
	st_le32(f + FADT_SMI_CMD, PC_SMI_CMD);
	f[FADT_ACPI_ENABLE] = PC_ACPI_ENABLE;
	f[FADT_ACPI_DISABLE] = PC_ACPI_DISABLE;
	for (unsigned i = 0; i < ARRAY_SIZE(regs); i++) {
		uint16_t port = (uint16_t)(regs[i].port + (regs[i].in_pm ? pm_base : 0));

		st_le32(f + regs[i].addr, port);
		f[regs[i].len] = regs[i].bytes;
		put_gas_io(f + regs[i].ext, port, regs[i].bytes);
	}
	st_le16(f + FADT_C2_LATENCY, NO_C2);
	st_le16(f + FADT_C3_LATENCY, NO_C3);
	f[FADT_CENTURY] = CMOS_CENTURY;
	st_le16(f + FADT_BOOT_ARCH,
		(uint16_t)(BOOT_LEGACY_DEVICES | (cfg->no_i8042 ? 0 : BOOT_8042) |
			   (cfg->vga ? 0 : BOOT_NO_VGA)));
	st_le32(f + FADT_FLAGS, FLAG_WBINVD | FLAG_PROC_C1 | FLAG_NO_SLEEP_BUTTON | FLAG_RESET_REG);
	put_gas_io(f + FADT_RESET_REG, PC_RESET_PORT, 1);
	f[FADT_RESET_VALUE] = PC_RESET_VALUE;
	aml_raw(&b->bytes, f + HEADER_BYTES, sizeof(f) - HEADER_BYTES);
	add_pointer(b, at + FADT_FACS, ACPI_FACS, 4);
	add_pointer(b, at + FADT_DSDT, ACPI_DSDT, 4);
	add_pointer(b, at + FADT_X_DSDT, ACPI_DSDT, 8);
	table_end(b, ACPI_FADT);
}

static void madt_processors(struct aml *a, unsigned cpus)
{
	for (unsigned i = 0; i < cpus && i < APIC_ID_LIMIT; i++) {
		uint8_t e[8] = {0, sizeof(e), (uint8_t)i, (uint8_t)i, 1 /* enabled */};

		aml_raw(a, e, sizeof(e));
	}
	for (unsigned i = APIC_ID_LIMIT; i < cpus; i++) {
		uint8_t e[16] = {9, sizeof(e)};

		st_le32(e + 4, i);
		st_le32(e + 8, 1);
		st_le32(e + 12, i);
		aml_raw(a, e, sizeof(e));
	}
}

/* ISA interrupts that differ from "pin = IRQ, edge, active high", and NMI on LINT1. */
static void madt_wires(struct aml *a, bool x2apic)
{
	static const struct {
		uint8_t irq;
		uint8_t gsi;
		uint16_t flags;
	} overrides[] = {
		{0, 2, INTI_CONFORMS},	   {5, 5, INTI_HIGH_LEVEL},   {9, 9, INTI_HIGH_LEVEL},
		{10, 10, INTI_HIGH_LEVEL}, {11, 11, INTI_HIGH_LEVEL},
	};
	const uint8_t nmi[6] = {4, sizeof(nmi), UID_ALL_LAPIC, 0, 0, 1};
	uint8_t nmi2[12] = {10, sizeof(nmi2)};

	for (unsigned i = 0; i < ARRAY_SIZE(overrides); i++) {
		uint8_t e[10] = {2, sizeof(e), 0, overrides[i].irq};

		st_le32(e + 4, overrides[i].gsi);
		st_le16(e + 8, overrides[i].flags);
		aml_raw(a, e, sizeof(e));
	}
	aml_raw(a, nmi, sizeof(nmi));
	if (!x2apic)
		return;
	st_le32(nmi2 + 4, UID_ALL_X2APIC);
	nmi2[8] = 1;
	aml_raw(a, nmi2, sizeof(nmi2));
}

static void build_madt(struct acpi_block *b, const struct fw_tables_config *cfg)
{
	uint8_t fixed[8], ioapic[12] = {1, sizeof(ioapic), 0 /* id */};

	table_begin(b, ACPI_MADT, "APIC", MADT_REVISION);
	st_le32(fixed, PC_LAPIC_BASE);
	st_le32(fixed + 4, MADT_PCAT_COMPAT);
	aml_raw(&b->bytes, fixed, sizeof(fixed));
	madt_processors(&b->bytes, cfg->cpus);
	st_le32(ioapic + 4, PC_IOAPIC_BASE);
	st_le32(ioapic + 8, 0);
	aml_raw(&b->bytes, ioapic, sizeof(ioapic));
	madt_wires(&b->bytes, cfg->cpus > APIC_ID_LIMIT);
	table_end(b, ACPI_MADT);
}

static void build_hpet(struct acpi_block *b)
{
	uint8_t t[HPET_TABLE_BYTES - HEADER_BYTES] = {0};

	table_begin(b, ACPI_HPET, "HPET", 1);
	st_le32(t, PC_HPET_BLOCK_ID);
	t[4] = AML_SPACE_MEMORY;
	t[5] = 64;
	st_le64(t + 8, PC_HPET_BASE);
	st_le16(t + 17, HPET_MIN_TICK);
	aml_raw(&b->bytes, t, sizeof(t));
	table_end(b, ACPI_HPET);
}

/* RSDT and XSDT: the same list, with 4- or 8-byte addresses. */
static void build_root(struct acpi_block *b, enum acpi_table t, const char *sig, uint8_t bytes)
{
	static const enum acpi_table listed[] = {ACPI_FADT, ACPI_MADT, ACPI_HPET};

	table_begin(b, t, sig, 1);
	for (unsigned i = 0; i < ARRAY_SIZE(listed); i++)
		if (b->table[listed[i]].len)
			add_pointer(b, (uint32_t)aml_reserve(&b->bytes, bytes), listed[i], bytes);
	table_end(b, t);
}

int acpi_block_build(struct acpi_block *b, const struct fw_tables_config *cfg)
{
	*b = (struct acpi_block){0};
	aml_init(&b->bytes);
	table_begin(b, ACPI_DSDT, "DSDT", 2);
	dsdt_append(&b->bytes, cfg);
	table_end(b, ACPI_DSDT);
	build_fadt(b, cfg);
	build_madt(b, cfg);
	if (!cfg->no_hpet)
		build_hpet(b);
	build_root(b, ACPI_RSDT, "RSDT", 4);
	build_root(b, ACPI_XSDT, "XSDT", 8);
	return b->bytes.failed ? -ENOMEM : 0;
}

void acpi_block_free(struct acpi_block *b)
{
	aml_free(&b->bytes);
}

void acpi_block_place(struct acpi_block *b, uint64_t base, uint64_t facs)
{
	for (unsigned i = 0; i < b->pointers; i++) {
		unsigned target = b->pointer[i].target;
		uint64_t addr = target == ACPI_FACS ? facs : base + b->table[target].off;
		uint8_t *p = b->bytes.buf + b->pointer[i].at;

		if (b->pointer[i].bytes == 4)
			st_le32(p, (uint32_t)addr);
		else
			st_le64(p, addr);
	}
	for (unsigned t = 0; t < ACPI_TABLES; t++) {
		uint8_t *p = b->bytes.buf + b->table[t].off;

		if (!b->table[t].len)
			continue;
		p[HEADER_CHECKSUM] = 0;
		p[HEADER_CHECKSUM] = fw_checksum(p, b->table[t].len);
	}
}

void acpi_facs_fill(uint8_t facs[ACPI_FACS_BYTES])
{
	memset(facs, 0, ACPI_FACS_BYTES);
	memcpy(facs, "FACS", 4);
	st_le32(facs + 4, ACPI_FACS_BYTES);
	facs[32] = 1; /* version: ACPI 2.0 and up */
}

void acpi_rsdp_fill(const struct acpi_block *b, uint64_t base, uint8_t rsdp[ACPI_RSDP_BYTES])
{
	memset(rsdp, 0, ACPI_RSDP_BYTES);
	memcpy(rsdp, "RSD PTR ", 8);
	memcpy(rsdp + 9, oem_id, sizeof(oem_id));
	rsdp[15] = 2;
	st_le32(rsdp + 16, (uint32_t)(base + b->table[ACPI_RSDT].off));
	st_le32(rsdp + 20, ACPI_RSDP_BYTES);
	st_le64(rsdp + 24, base + b->table[ACPI_XSDT].off);
	rsdp[8] = fw_checksum(rsdp, 20); /* the ACPI 1.0 part */
	rsdp[32] = fw_checksum(rsdp, ACPI_RSDP_BYTES);
}
