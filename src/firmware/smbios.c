// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * SMBIOS structures and entry points.
 * Source: DMTF DSP0134 3.0 §5.2.1, §5.2.2 (entry points), §7.1 to 7.5, 7.12, 7.17, 7.18, 7.20,
 * 7.33, 7.45. Threads: one at a time.
 */
#include "firmware/smbios.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"
#include "firmware/acpi.h"
#include "firmware/platform.h"

/* Handles: type << 8 | instance, in QEMU's fashion. */
#define HANDLE(type, n) ((uint16_t)((type) << 8 | (n)))
#define NO_HANDLE 0xfffeu /* no error information */
#define UNKNOWN16 0xffffu
#define KIB_OVERFLOW 0x80000000u    /* type 16: see the extended field */
#define MIB_OVERFLOW 0x7fffu	    /* type 17: likewise */
#define ADDR_OVERFLOW 0xffffffffu   /* type 19: likewise */
#define CHARS_NOT_SUPPORTED 0x08ull /* type 0: no BIOS characteristics are told */
#define CHARS_EXT2_VM 0x10u	    /* this is a virtual machine */
#define CHARS_EXT2_UEFI 0x08u
#define STATE_SAFE 3u
#define SECURITY_UNKNOWN 2u
#define MAKER "Lodge"
#define PRODUCT "PC (i440FX)"

/* `len` more bytes, zeroed. When there is no room: the beginning of the buffer, which nobody reads then. */
static uint8_t *more(struct smbios *s, size_t len)
{
	uint8_t *p;

	if (!range_ok(s->len, len, SMBIOS_MAX)) {
		s->failed = true;
		s->len = 0;
	}
	p = s->bytes + s->len;
	memset(p, 0, len);
	s->len = (uint16_t)(s->len + len);
	return p;
}

static uint8_t *open_struct(struct smbios *s, uint8_t type, uint8_t len, uint16_t handle)
{
	uint8_t *p = more(s, len);

	p[0] = type;
	p[1] = len;
	st_le16(p + 2, handle);
	s->start = (uint16_t)(s->len - len);
	s->strings = 0;
	return p;
}

/* The string's number; 0, "none", for an empty one. */
static uint8_t add_string(struct smbios *s, const char *str)
{
	size_t len = strlen(str) + 1;

	if (len == 1)
		return 0;
	if (len > SMBIOS_STRING_MAX || s->strings == UINT8_MAX) {
		s->failed = true;
		return 0;
	}
	memcpy(more(s, len), str, len);
	return ++s->strings;
}

/* What the person chose, or the usual. */
static uint8_t add_choice(struct smbios *s, const char *chosen, const char *usual)
{
	return add_string(s, chosen ? chosen : usual);
}

/* The string set ends with an empty string; an empty set has two zeros. */
static void close_struct(struct smbios *s)
{
	more(s, s->strings ? 1 : 2);
	s->count++;
	if (s->len - s->start > s->largest)
		s->largest = (uint16_t)(s->len - s->start);
}

static void bios_information(struct smbios *s, const struct fw_smbios *c)
{
	uint8_t *p = open_struct(s, 0, 24, HANDLE(0, 0));

	p[4] = add_choice(s, c->bios.vendor, MAKER);
	p[5] = add_choice(s, c->bios.version, LODGE_VERSION);
	st_le16(p + 6, PC_FW_START >> 4);
	p[8] = add_choice(s, c->bios.date, "01/01/2025");
	p[9] = PC_FW_END / 0x10000 - PC_FW_START / 0x10000 - 1; /* 64 KiB units, less one */
	st_le64(p + 10, CHARS_NOT_SUPPORTED);
	p[19] = CHARS_EXT2_VM | (c->bios.uefi ? CHARS_EXT2_UEFI : 0);
	p[20] = c->bios.major;
	p[21] = c->bios.minor;
	p[22] = p[23] = 0xff; /* no embedded controller */
	close_struct(s);
}

/* The UUID's first three fields are little-endian, §7.2.1. */
static void put_uuid(uint8_t *p, const uint8_t uuid[16])
{
	st_le32(p, ld_be32(uuid));
	st_le16(p + 4, ld_be16(uuid + 4));
	st_le16(p + 6, ld_be16(uuid + 6));
	memcpy(p + 8, uuid + 8, 8);
}

static void system_information(struct smbios *s, const struct fw_tables_config *cfg,
			       const struct fw_smbios *c)
{
	uint8_t *p = open_struct(s, 1, 27, HANDLE(1, 0));

	p[4] = add_choice(s, c->system.maker, MAKER);
	p[5] = add_choice(s, c->system.product, PRODUCT);
	p[6] = add_choice(s, c->system.version, LODGE_VERSION);
	p[7] = add_choice(s, c->system.serial, "");
	put_uuid(p + 8, cfg->uuid);
	p[24] = 6; /* woken by the power switch */
	p[25] = add_choice(s, c->system.sku, "");
	p[26] = add_choice(s, c->system.family, "");
	close_struct(s);
}

/* Only when asked for: the machine has no board to speak of. */
static void baseboard(struct smbios *s, const struct fw_smbios *c)
{
	uint8_t *p;

	if (!c->board.set)
		return;
	p = open_struct(s, 2, 15, HANDLE(2, 0));
	p[4] = add_choice(s, c->board.maker, MAKER);
	p[5] = add_choice(s, c->board.product, PRODUCT);
	p[6] = add_choice(s, c->board.version, LODGE_VERSION);
	p[7] = add_choice(s, c->board.serial, "");
	p[8] = add_choice(s, c->board.asset, "");
	p[9] = 1; /* hosts the others */
	p[10] = add_choice(s, c->board.location, "");
	st_le16(p + 11, HANDLE(3, 0));
	p[13] = 10; /* motherboard */
	close_struct(s);
}

static void chassis(struct smbios *s, const struct fw_smbios *c)
{
	uint8_t *p = open_struct(s, 3, 22, HANDLE(3, 0));

	p[4] = add_choice(s, c->chassis.maker, MAKER);
	p[5] = 1; /* type: other */
	p[6] = add_choice(s, c->chassis.version, LODGE_VERSION);
	p[7] = add_choice(s, c->chassis.serial, "");
	p[8] = add_choice(s, c->chassis.asset, "");
	p[9] = p[10] = p[11] = STATE_SAFE;
	p[12] = SECURITY_UNKNOWN;
	p[21] = add_choice(s, c->chassis.sku, "");
	close_struct(s);
}

static void oem_strings(struct smbios *s, const struct fw_smbios *c)
{
	uint8_t *p;

	if (!c->n_oem)
		return;
	p = open_struct(s, 11, 5, HANDLE(11, 0));
	for (unsigned i = 0; i < c->n_oem; i++)
		add_string(s, c->oem[i]);
	p[4] = s->strings;
	close_struct(s);
}

static void processor(struct smbios *s, const struct fw_tables_config *cfg)
{
	uint8_t *p = open_struct(s, 4, 48, HANDLE(4, 0));
	uint8_t cores = (uint8_t)min_u64(cfg->cpus, 0xff);

	p[4] = add_string(s, "CPU 0");
	p[5] = 3; /* central processor */
	p[6] = 1; /* family: other */
	p[7] = add_string(s, MAKER);
	st_le32(p + 8, cfg->cpuid_1_eax);
	st_le32(p + 12, cfg->cpuid_1_edx);
	p[24] = 0x41; /* populated, enabled */
	p[25] = 1;    /* upgrade: other */
	st_le16(p + 26, UNKNOWN16);
	st_le16(p + 28, UNKNOWN16);
	st_le16(p + 30, UNKNOWN16);
	p[35] = p[36] = p[37] = cores;
	st_le16(p + 38, 0x02); /* characteristics unknown */
	st_le16(p + 40, 1);
	for (unsigned off = 42; off < 48; off += 2)
		st_le16(p + off, (uint16_t)cfg->cpus);
	close_struct(s);
}

static void memory_array(struct smbios *s, uint64_t ram)
{
	uint8_t *p = open_struct(s, 16, 23, HANDLE(16, 0));
	bool big = ram >> 10 >= KIB_OVERFLOW;

	p[4] = 1; /* location: other */
	p[5] = 3; /* system memory */
	p[6] = 3; /* no error correction */
	st_le32(p + 7, big ? KIB_OVERFLOW : (uint32_t)(ram >> 10));
	st_le16(p + 11, NO_HANDLE);
	st_le16(p + 13, 1);
	st_le64(p + 15, big ? ram : 0);
	close_struct(s);
}

static void memory_device(struct smbios *s, uint64_t ram)
{
	uint8_t *p = open_struct(s, 17, 40, HANDLE(17, 0));
	uint64_t mib = ram >> 20;
	bool big = mib >= MIB_OVERFLOW;

	st_le16(p + 4, HANDLE(16, 0));
	st_le16(p + 6, NO_HANDLE);
	st_le16(p + 8, UNKNOWN16);
	st_le16(p + 10, UNKNOWN16);
	st_le16(p + 12, big ? MIB_OVERFLOW : (uint16_t)mib);
	p[14] = 9; /* DIMM */
	p[16] = add_string(s, "DIMM 0");
	p[18] = 7; /* RAM */
	st_le16(p + 19, 0x02);
	p[23] = add_string(s, MAKER);
	st_le32(p + 28, big ? (uint32_t)mib : 0);
	close_struct(s);
}

static void memory_range(struct smbios *s, uint8_t n, uint64_t start, uint64_t len)
{
	uint8_t *p;
	uint64_t last = start + len - 1;
	bool big = last >> 10 >= ADDR_OVERFLOW;

	if (!len)
		return;
	p = open_struct(s, 19, 31, HANDLE(19, n));
	st_le32(p + 4, big ? ADDR_OVERFLOW : (uint32_t)(start >> 10));
	st_le32(p + 8, big ? ADDR_OVERFLOW : (uint32_t)(last >> 10));
	st_le16(p + 12, HANDLE(16, 0));
	p[14] = 1;
	st_le64(p + 15, big ? start : 0);
	st_le64(p + 23, big ? last : 0);
	close_struct(s);
}

int smbios_build(struct smbios *s, const struct fw_tables_config *cfg)
{
	static const struct fw_smbios usual;
	const struct fw_smbios *c = cfg->smbios ? cfg->smbios : &usual;
	uint64_t ram = cfg->ram_below_4g + cfg->ram_above_4g;

	*s = (struct smbios){0};
	if (!cfg->by_firmware || c->bios.set)
		bios_information(s, c);
	system_information(s, cfg, c);
	baseboard(s, c);
	chassis(s, c);
	processor(s, cfg);
	oem_strings(s, c);
	memory_array(s, ram);
	memory_device(s, ram);
	memory_range(s, 0, 0, cfg->ram_below_4g);
	memory_range(s, 1, PC_4G, cfg->ram_above_4g);
	open_struct(s, 32, 11, HANDLE(32, 0)); /* boot status: no errors */
	close_struct(s);
	open_struct(s, 127, 4, HANDLE(127, 0));
	close_struct(s);
	return s->failed ? -E2BIG : 0;
}

void smbios_entry21_fill(const struct smbios *s, uint32_t base, uint8_t e[SMBIOS_ENTRY21_BYTES])
{
	memset(e, 0, SMBIOS_ENTRY21_BYTES);
	memcpy(e, "_SM_", 4);
	e[5] = SMBIOS_ENTRY21_BYTES;
	e[6] = 2;
	e[7] = 8;
	st_le16(e + 8, s->largest);
	memcpy(e + 16, "_DMI_", 5);
	st_le16(e + 22, s->len);
	st_le32(e + 24, base);
	st_le16(e + 28, s->count);
	e[30] = 0x28;
	e[21] = fw_checksum(e + 16, 15); /* the intermediate part, by itself */
	e[4] = fw_checksum(e, SMBIOS_ENTRY21_BYTES);
}

void smbios_entry30_fill(const struct smbios *s, uint64_t base, uint8_t e[SMBIOS_ENTRY30_BYTES])
{
	memset(e, 0, SMBIOS_ENTRY30_BYTES);
	memcpy(e, "_SM3_", 5);
	e[6] = SMBIOS_ENTRY30_BYTES;
	e[7] = 3;
	e[10] = 1;
	st_le32(e + 12, s->len);
	st_le64(e + 16, base);
	e[5] = fw_checksum(e, SMBIOS_ENTRY30_BYTES);
}
