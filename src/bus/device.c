// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Saved state of one device: class name, version, then every field with its name, shape and value.
 *
 * The stream (little-endian): u8 name length, name, u8 version, u16 fields; per field: u8 name
 * length, name, u8 kind, u16 element size, u32 count, count * size bytes.
 * The reader is strict: it takes the fields the class had at the stream's version, in order, and
 * checks all of them before it stores any.
 * Threads: with the VM lock held.
 */
#include "bus/device.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/range.h"

struct writer {
	uint8_t *buf;
	size_t cap, len;
	bool full;
};

struct reader {
	const uint8_t *buf;
	size_t len, pos;
	bool bad;
};

static void put(struct writer *w, const void *p, size_t n)
{
	if (!range_ok(w->len, n, w->cap)) {
		w->full = true;
		return;
	}
	memcpy(w->buf + w->len, p, n);
	w->len += n;
}

static void put_uint(struct writer *w, uint64_t v, size_t n)
{
	uint8_t b[8];

	st_le64(b, v);
	put(w, b, n);
}

static void put_name(struct writer *w, const char *name)
{
	size_t n = strlen(name);

	put_uint(w, n & 0xff, 1);
	put(w, name, n & 0xff);
}

static const uint8_t *get(struct reader *r, uint64_t n)
{
	if (r->bad || !range_ok(r->pos, n, r->len)) {
		r->bad = true;
		return NULL;
	}

	const uint8_t *p = r->buf + r->pos;

	r->pos += (size_t)n;
	return p;
}

static uint64_t get_uint(struct reader *r, size_t n)
{
	const uint8_t *p = get(r, n);
	uint8_t b[8] = {0};

	if (!p)
		return 0;
	memcpy(b, p, n);
	return ld_le64(b);
}

static bool get_name_is(struct reader *r, const char *name)
{
	uint64_t n = get_uint(r, 1);
	const uint8_t *p = get(r, n);

	return p && n == strlen(name) && memcmp(p, name, (size_t)n) == 0;
}

/* Host integers into the stream's order and back. The host is little-endian; the loop would not
 * mind. */
static uint64_t elem_load(const void *p, unsigned size)
{
	switch (size) {
	case 1:
		return *(const uint8_t *)p;
	case 2:
		return *(const uint16_t *)p;
	case 4:
		return *(const uint32_t *)p;
	default:
		return *(const uint64_t *)p;
	}
}

static void elem_store(void *p, unsigned size, uint64_t v)
{
	switch (size) {
	case 1:
		*(uint8_t *)p = (uint8_t)v;
		break;
	case 2:
		*(uint16_t *)p = (uint16_t)v;
		break;
	case 4:
		*(uint32_t *)p = (uint32_t)v;
		break;
	default:
		*(uint64_t *)p = v;
		break;
	}
}

/* Times in the stream: the distance from now, within TIME_FAR; TIME_NONE for 0. */
#define TIME_FAR (1ll << 62)
#define TIME_NONE INT64_MIN

static uint64_t time_to_stream(uint64_t t, uint64_t now)
{
	int64_t d = (int64_t)(t - now);

	if (t == 0)
		return (uint64_t)TIME_NONE;
	return (uint64_t)(d > TIME_FAR ? TIME_FAR : d < -TIME_FAR ? -TIME_FAR : d);
}

static uint64_t time_from_stream(uint64_t v, uint64_t now)
{
	int64_t d = (int64_t)v;

	if (d == TIME_NONE)
		return 0;
	d = d > TIME_FAR ? TIME_FAR : d < -TIME_FAR ? -TIME_FAR : d;
	/* What was before this host's clock began becomes its first nanosecond. */
	return d < 0 && (uint64_t)-d >= now ? 1 : now + (uint64_t)d;
}

static uint32_t stride_of(const struct state_field *f)
{
	return f->stride ? f->stride : f->elem_size;
}

long device_save(const struct device *dev, uint8_t *buf, size_t cap)
{
	const struct device_class *cls = dev->cls;
	struct writer w = {.buf = buf, .cap = cap};
	uint64_t now = clock_vm_ns();
	unsigned fields = 0;

	for (const struct state_field *f = cls->fields; f && f->name; f++)
		fields++;
	put_name(&w, cls->name);
	put_uint(&w, cls->version, 1);
	put_uint(&w, fields, 2);
	for (const struct state_field *f = cls->fields; f && f->name; f++) {
		const uint8_t *p = (const uint8_t *)dev + f->offset;

		put_name(&w, f->name);
		put_uint(&w, f->kind, 1);
		put_uint(&w, f->elem_size, 2);
		put_uint(&w, f->count, 4);
		if (f->kind == STATE_BYTES && !f->stride) {
			put(&w, p, (size_t)f->elem_size * f->count);
			continue;
		}
		for (uint32_t i = 0; i < f->count; i++, p += stride_of(f)) {
			uint64_t v;

			if (f->kind == STATE_BYTES) {
				put(&w, p, f->elem_size);
				continue;
			}
			v = elem_load(p, f->elem_size);
			if (f->kind == STATE_MONO_NS)
				v = time_to_stream(v, now);
			put_uint(&w, v, f->elem_size);
		}
	}
	return w.full ? -ENOSPC : (long)w.len;
}

/* Walk the fields of the stream; with `store`, into the device. False when one does not match. */
static bool load_fields(struct device *dev, struct reader *r, uint8_t version, bool store)
{
	uint64_t now = clock_vm_ns();

	for (const struct state_field *f = dev->cls->fields; f && f->name; f++) {
		uint8_t *p = (uint8_t *)dev + f->offset;

		if (f->since > version)
			continue;
		if (!get_name_is(r, f->name) || get_uint(r, 1) != f->kind ||
		    get_uint(r, 2) != f->elem_size || get_uint(r, 4) != f->count)
			return false;

		const uint8_t *in = get(r, (uint64_t)f->elem_size * f->count);

		if (!in)
			return false;
		if (!store)
			continue;
		if (f->kind == STATE_BYTES && !f->stride) {
			memcpy(p, in, (size_t)f->elem_size * f->count);
			continue;
		}
		for (uint32_t i = 0; i < f->count; i++, p += stride_of(f), in += f->elem_size) {
			uint8_t b[8] = {0};

			if (f->kind == STATE_BYTES) {
				memcpy(p, in, f->elem_size);
				continue;
			}
			memcpy(b, in, f->elem_size);

			uint64_t v = ld_le64(b);

			if (f->kind == STATE_MONO_NS)
				v = time_from_stream(v, now);
			elem_store(p, f->elem_size, v);
		}
	}
	return !r->bad && r->pos == r->len;
}

static unsigned fields_at(const struct device_class *cls, uint8_t version)
{
	unsigned n = 0;

	for (const struct state_field *f = cls->fields; f && f->name; f++)
		n += f->since <= version;
	return n;
}

int device_load(struct device *dev, const uint8_t *buf, size_t len, struct lodge_err *err)
{
	const struct device_class *cls = dev->cls;
	struct reader r = {.buf = buf, .len = len};

	if (!get_name_is(&r, cls->name))
		return err_set(err, -EINVAL, "saved state is not that of device %s", cls->name);

	uint8_t version = (uint8_t)get_uint(&r, 1);

	if (r.bad || version == 0 || version > cls->version)
		return err_set(err, -EINVAL,
			       "saved state of %s has version %u; this program knows up to %u",
			       cls->name, version, cls->version);
	if (get_uint(&r, 2) != fields_at(cls, version) || r.bad)
		return err_set(err, -EINVAL, "saved state of %s is malformed", cls->name);

	struct reader check = r;

	if (!load_fields(dev, &check, version, false))
		return err_set(err, -EINVAL, "saved state of %s is malformed", cls->name);
	load_fields(dev, &r, version, true);
	if (cls->post_load) {
		int rc = cls->post_load(dev);

		if (rc < 0)
			return err_set(err, rc, "saved state of %s is impossible", cls->name);
	}
	return 0;
}
