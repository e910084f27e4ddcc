// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The AML writer.
 * Source: ACPI 6.4 §20.2 (encoding), §6.4 (resource descriptors). Threads: one at a time.
 */
#include "firmware/aml.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

enum {
	OP_NAME = 0x08,
	OP_BYTE = 0x0a,
	OP_WORD = 0x0b,
	OP_DWORD = 0x0c,
	OP_STRING = 0x0d,
	OP_QWORD = 0x0e,
	OP_SCOPE = 0x10,
	OP_BUFFER = 0x11,
	OP_PACKAGE = 0x12,
	OP_METHOD = 0x14,
	OP_DUAL_NAME = 0x2e,
	OP_MULTI_NAME = 0x2f,
	OP_EXT = 0x5b,
	OP_EXT_REGION = 0x80,
	OP_EXT_FIELD = 0x81,
	OP_EXT_DEVICE = 0x82,
	OP_IF = 0xa0,
	OP_ELSE = 0xa1,
};

#define NAME_SEG 4u
#define FIELD_BYTE_ACC 0x01u /* byte access, no lock, preserve */

void aml_init(struct aml *a)
{
	*a = (struct aml){0};
}

void aml_free(struct aml *a)
{
	free(a->buf);
	*a = (struct aml){0};
}

size_t aml_reserve(struct aml *a, size_t len)
{
	size_t at = a->len;

	if (a->failed || !len)
		return at;
	if (len > a->cap - a->len) {
		size_t cap = 2 * a->cap + len + 1024;
		uint8_t *buf = realloc(a->buf, cap);

		if (!buf) {
			a->failed = true;
			return at;
		}
		a->buf = buf;
		a->cap = cap;
	}
	memset(a->buf + at, 0, len);
	a->len += len;
	return at;
}

void aml_raw(struct aml *a, const void *bytes, size_t len)
{
	size_t at = aml_reserve(a, len);

	if (!a->failed && len)
		memcpy(a->buf + at, bytes, len);
}

void aml_op(struct aml *a, uint8_t op)
{
	aml_raw(a, &op, 1);
}

static void put_name_seg(struct aml *a, const char *seg, size_t len)
{
	char name[NAME_SEG] = {'_', '_', '_', '_'};

	assert(len >= 1 && len <= NAME_SEG);
	memcpy(name, seg, len);
	aml_raw(a, name, sizeof(name));
}

/* §20.2.2. */
void aml_path(struct aml *a, const char *path)
{
	uint8_t segs = 0;

	while (*path == '\\' || *path == '^')
		aml_op(a, (uint8_t)*path++);
	for (const char *p = path; *p; p++)
		segs = (uint8_t)(segs + (p == path || *p == '.'));
	if (segs == 0)
		aml_op(a, AML_ZERO);
	else if (segs == 2)
		aml_op(a, OP_DUAL_NAME);
	else if (segs > 2) {
		aml_op(a, OP_MULTI_NAME);
		aml_op(a, segs);
	}
	while (*path) {
		size_t len = strcspn(path, ".");

		put_name_seg(a, path, len);
		path += len + (path[len] == '.');
	}
}

/* §20.2.3: the shortest form, in up to 9 bytes. */
static unsigned put_int(uint8_t *b, uint64_t v)
{
	unsigned len = v > UINT32_MAX ? 8 : v > UINT16_MAX ? 4 : v > UINT8_MAX ? 2 : 1;

	if (v <= 1) {
		b[0] = v ? AML_ONE : AML_ZERO;
		return 1;
	}
	b[0] = len == 8 ? OP_QWORD : len == 4 ? OP_DWORD : len == 2 ? OP_WORD : OP_BYTE;
	st_le64(b + 1, v);
	return 1 + len;
}

void aml_int(struct aml *a, uint64_t v)
{
	uint8_t b[9];

	aml_raw(a, b, put_int(b, v));
}

void aml_string(struct aml *a, const char *s)
{
	aml_op(a, OP_STRING);
	aml_raw(a, s, strlen(s) + 1);
}

static unsigned hex_digit(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : c - 'A' + 10) & 0xf;
}

/* §19.3.4: three letters of 5 bits, four digits of 4, the bytes swapped. */
void aml_eisaid(struct aml *a, const char *id)
{
	uint32_t v;
	uint8_t b[5] = {OP_DWORD};

	assert(strlen(id) == 7);
	v = (uint32_t)(id[0] - '@') << 26 | (uint32_t)(id[1] - '@') << 21 |
	    (uint32_t)(id[2] - '@') << 16;
	for (unsigned i = 0; i < 4; i++)
		v |= hex_digit(id[3 + i]) << (12 - 4 * i);
	st_be32(b + 1, v);
	aml_raw(a, b, sizeof(b));
}

/* §20.2.4: `len` counts the PkgLength bytes themselves. */
static unsigned put_pkg_length(uint8_t *b, size_t body)
{
	unsigned bytes = body + 1 <= 0x3f ? 1 : body + 2 <= 0xfff ? 2 : body + 3 <= 0xfffff ? 3 : 4;
	size_t len = body + bytes;

	if (bytes == 1) {
		b[0] = (uint8_t)len;
		return 1;
	}
	b[0] = (uint8_t)((bytes - 1) << 6 | (len & 0xf));
	for (unsigned i = 1; i < bytes; i++)
		b[i] = (uint8_t)(len >> (4 + 8 * (i - 1)));
	return bytes;
}

static void begin(struct aml *a)
{
	assert(a->depth < AML_DEPTH_MAX);
	a->open[a->depth].counted = false;
	a->open[a->depth++].at = a->len;
}

/* Make room at `at` and put `bytes` there. */
static void insert(struct aml *a, size_t at, const uint8_t *bytes, size_t len)
{
	aml_reserve(a, len);
	if (a->failed)
		return;
	memmove(a->buf + at + len, a->buf + at, a->len - len - at);
	memcpy(a->buf + at, bytes, len);
}

void aml_end(struct aml *a)
{
	uint8_t b[9];
	size_t at;

	assert(a->depth > 0);
	at = a->open[--a->depth].at;
	if (a->open[a->depth].counted) {
		const uint8_t end_tag[2] = {0x79, 0};

		aml_raw(a, end_tag, sizeof(end_tag));
		insert(a, at, b, put_int(b, a->len - at));
	}
	insert(a, at, b, put_pkg_length(b, a->len - at));
}

static void begin_ext(struct aml *a, uint8_t op)
{
	aml_op(a, OP_EXT);
	aml_op(a, op);
	begin(a);
}

void aml_scope_begin(struct aml *a, const char *path)
{
	aml_op(a, OP_SCOPE);
	begin(a);
	aml_path(a, path);
}

void aml_device_begin(struct aml *a, const char *name)
{
	begin_ext(a, OP_EXT_DEVICE);
	aml_path(a, name);
}

void aml_method_begin(struct aml *a, const char *name, unsigned args, bool serialized)
{
	aml_op(a, OP_METHOD);
	begin(a);
	aml_path(a, name);
	aml_op(a, (uint8_t)((args & 7) | (serialized ? 8 : 0)));
}

void aml_package_begin(struct aml *a, uint8_t elements)
{
	aml_op(a, OP_PACKAGE);
	begin(a);
	aml_op(a, elements);
}

void aml_if_begin(struct aml *a)
{
	aml_op(a, OP_IF);
	begin(a);
}

void aml_else_begin(struct aml *a)
{
	aml_op(a, OP_ELSE);
	begin(a);
}

void aml_region(struct aml *a, const char *name, uint8_t space, uint64_t off, uint64_t len)
{
	aml_op(a, OP_EXT);
	aml_op(a, OP_EXT_REGION);
	aml_path(a, name);
	aml_op(a, space);
	aml_int(a, off);
	aml_int(a, len);
}

void aml_field_begin(struct aml *a, const char *region)
{
	begin_ext(a, OP_EXT_FIELD);
	aml_path(a, region);
	aml_op(a, FIELD_BYTE_ACC);
}

void aml_field_unit(struct aml *a, const char *name, unsigned bits)
{
	uint8_t b[4];

	put_name_seg(a, name, strlen(name));
	/* A bit count has the form of a PkgLength, but does not count itself. */
	assert(bits <= 0x3f);
	b[0] = (uint8_t)bits;
	aml_raw(a, b, 1);
}

void aml_name(struct aml *a, const char *name)
{
	aml_op(a, OP_NAME);
	aml_path(a, name);
}

void aml_name_int(struct aml *a, const char *name, uint64_t v)
{
	aml_name(a, name);
	aml_int(a, v);
}

void aml_name_string(struct aml *a, const char *name, const char *s)
{
	aml_name(a, name);
	aml_string(a, s);
}

void aml_name_eisaid(struct aml *a, const char *name, const char *id)
{
	aml_name(a, name);
	aml_eisaid(a, id);
}

void aml_return_int(struct aml *a, uint64_t v)
{
	aml_op(a, AML_RETURN);
	aml_int(a, v);
}

void aml_resources_begin(struct aml *a)
{
	aml_op(a, OP_BUFFER);
	begin(a);
	a->open[a->depth - 1].counted = true;
}

/* §6.4.2.5 */
void aml_res_io(struct aml *a, uint16_t port, uint8_t align, uint8_t len)
{
	uint8_t b[8] = {0x47, 1 /* decodes 16 bits */};

	st_le16(b + 2, port);
	st_le16(b + 4, port);
	b[6] = align;
	b[7] = len;
	aml_raw(a, b, sizeof(b));
}

/* §6.4.2.1: two-byte form, edge, active high, exclusive. */
void aml_res_irq_edge(struct aml *a, unsigned irq)
{
	uint8_t b[3] = {0x22};

	st_le16(b + 1, (uint16_t)(1u << irq));
	aml_raw(a, b, sizeof(b));
}

/* §6.4.3.6: consumer, level, active high, shared. */
void aml_res_irq_level(struct aml *a, const uint32_t *irqs, uint8_t n)
{
	uint8_t b[5] = {0x89};

	st_le16(b + 1, (uint16_t)(2 + 4 * n));
	b[3] = 1 | 1 << 3;
	b[4] = n;
	aml_raw(a, b, sizeof(b));
	for (unsigned i = 0; i < n; i++) {
		st_le32(b, irqs[i]);
		aml_raw(a, b, 4);
	}
}

/* §6.4.3.4 */
void aml_res_memory32(struct aml *a, uint32_t base, uint32_t len, bool writable)
{
	uint8_t b[12] = {0x86, 9, 0, writable};

	st_le32(b + 4, base);
	st_le32(b + 8, len);
	aml_raw(a, b, sizeof(b));
}

enum { RES_MEMORY = 0, RES_IO = 1, RES_BUS = 2 };
#define ADDR_FIXED_PRODUCER 0x0cu /* fixed minimum and maximum, positive decode, producer */
#define ADDR_MEM_WRITABLE 0x01u
#define ADDR_MEM_CACHEABLE 0x02u
#define ADDR_IO_ENTIRE 0x03u

/* §6.4.3.5: address space descriptors, `width` bytes an address: tag by width. */
static void put_window(struct aml *a, unsigned width, uint8_t type, uint8_t flags, uint64_t first,
		       uint64_t last)
{
	const uint64_t v[5] = {0 /* granularity */, first, last, 0 /* translation */,
			       last - first + 1};
	uint8_t b[8];

	b[0] = width == 8 ? 0x8a : width == 4 ? 0x87 : 0x88;
	st_le16(b + 1, (uint16_t)(3 + 5 * width));
	b[3] = type;
	b[4] = ADDR_FIXED_PRODUCER;
	b[5] = flags;
	aml_raw(a, b, 6);
	for (unsigned i = 0; i < 5; i++) {
		st_le64(b, v[i]);
		aml_raw(a, b, width);
	}
}

void aml_res_bus(struct aml *a, uint16_t first, uint16_t last)
{
	put_window(a, 2, RES_BUS, 0, first, last);
}

void aml_res_io_window(struct aml *a, uint16_t first, uint16_t last)
{
	put_window(a, 2, RES_IO, ADDR_IO_ENTIRE, first, last);
}

void aml_res_memory_window(struct aml *a, uint64_t first, uint64_t last, bool cacheable)
{
	put_window(a, last > UINT32_MAX ? 8 : 4, RES_MEMORY,
		   ADDR_MEM_WRITABLE | (cacheable ? ADDR_MEM_CACHEABLE : 0), first, last);
}
