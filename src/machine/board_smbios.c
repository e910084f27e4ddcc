// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * -smbios type=N,KEY=VALUE,... and -uuid, as QEMU spells them.
 * Source: DMTF DSP0134 3.0 §7.1 to 7.4, 7.12. Threads: before threads start.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "machine/board_int.h"

#define FIELD(type, key, member)                              \
	{                                                     \
		type, key, offsetof(struct fw_smbios, member) \
	}

/* Settings that are a string of `struct fw_smbios`. */
static const struct {
	unsigned type;
	const char *key;
	size_t at;
} fields[] = {
	FIELD(0, "vendor", bios.vendor),      FIELD(0, "version", bios.version),
	FIELD(0, "date", bios.date),	      FIELD(1, "manufacturer", system.maker),
	FIELD(1, "product", system.product),  FIELD(1, "version", system.version),
	FIELD(1, "serial", system.serial),    FIELD(1, "sku", system.sku),
	FIELD(1, "family", system.family),    FIELD(2, "manufacturer", board.maker),
	FIELD(2, "product", board.product),   FIELD(2, "version", board.version),
	FIELD(2, "serial", board.serial),     FIELD(2, "asset", board.asset),
	FIELD(2, "location", board.location), FIELD(3, "manufacturer", chassis.maker),
	FIELD(3, "version", chassis.version), FIELD(3, "serial", chassis.serial),
	FIELD(3, "asset", chassis.asset),     FIELD(3, "sku", chassis.sku),
};

static int hex_digit(char c)
{
	const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c | 0x20) : NULL;

	return at ? (int)(at - digits) : -1;
}

static int parse_uuid(const char *s, uint8_t uuid[16])
{
	for (unsigned i = 0; i < 16; i++) {
		int high, low;

		if ((i == 4 || i == 6 || i == 8 || i == 10) && *s++ != '-')
			return -EINVAL;
		high = hex_digit(s[0]);
		low = high < 0 ? -1 : hex_digit(s[1]);
		if (low < 0)
			return -EINVAL;
		uuid[i] = (uint8_t)(high << 4 | low);
		s += 2;
	}
	return *s ? -EINVAL : 0;
}

static int set_uuid(struct board *b, const char *what, const char *text, struct lodge_err *err)
{
	if (!text || !parse_uuid(text, b->uuid))
		return 0;
	return err_set(err, -EINVAL,
		       "%s: '%s' is no UUID; one looks like 7f3c8a52-0d6b-4b1e-9a5f-2b9c4e6d8f10",
		       what, text);
}

/* release=MAJOR.MINOR, uefi=on. */
static int read_bios(struct board *b, struct props *p, struct lodge_err *err)
{
	const char *release = props_get(p, "release");
	unsigned long major, minor;
	char *end;

	b->smbios.bios.set = true;
	if (release) {
		major = strtoul(release, &end, 10);
		minor = *end == '.' ? strtoul(end + 1, &end, 10) : 256;
		if (end == release || *end || major > 255 || minor > 255)
			return err_set(err, -EINVAL,
				       "-smbios: release=%s is no release; write MAJOR.MINOR",
				       release);
		b->smbios.bios.major = (uint8_t)major;
		b->smbios.bios.minor = (uint8_t)minor;
	}
	return props_bool(p, "uefi", &b->smbios.bios.uefi, err);
}

static int read_oem(struct board *b, struct props *p, struct lodge_err *err)
{
	const char *value = props_get(p, "value");

	if (!value)
		return err_set(err, -EINVAL, "-smbios type=11: value= is missing");
	if (b->smbios.n_oem == FW_SMBIOS_OEM_MAX)
		return err_set(err, -EINVAL, "-smbios type=11: %u of them are the most",
			       FW_SMBIOS_OEM_MAX);
	b->smbios.oem[b->smbios.n_oem++] = value;
	return 0;
}

static int read_one(struct board *b, struct props *p, struct lodge_err *err)
{
	uint64_t type = UINT64_MAX;
	int r = props_u64(p, "type", 255, &type, err);

	if (r)
		return r;
	if (type > 3 && type != 11)
		return err_set(
			err, -EINVAL,
			"-smbios: there are type=0, 1, 2, 3 and 11; other types, and file=, are "
			"not there yet");
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		const char *val = fields[i].type == type ? props_get(p, fields[i].key) : NULL;

		if (val)
			memcpy((char *)&b->smbios + fields[i].at, &val, sizeof(val));
	}
	if (type == 0)
		r = read_bios(b, p, err);
	else if (type == 1)
		r = set_uuid(b, "-smbios", props_get(p, "uuid"), err);
	else if (type == 11)
		r = read_oem(b, p, err);
	b->smbios.board.set |= type == 2;
	return r ? r : props_done(p, err);
}

int board_read_smbios(struct board *b, struct lodge_err *err)
{
	const struct vm_options *o = &b->vm->cfg.smbios;
	int r = set_uuid(b, "-uuid", b->vm->cfg.uuid, err);

	for (unsigned i = 0; i < o->n && !r; i++)
		r = read_one(b, o->p[i], err);
	return r;
}
