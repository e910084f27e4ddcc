/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What every device is: a struct that begins with struct device, a class with reset and a typed
 * description of its saved state, and region ops for the ports or memory it answers on.
 * A device does not know where it is mapped; the board wires it.
 *
 * Threads: all device code runs with the VM lock held.
 */
#ifndef LODGE_BUS_DEVICE_H
#define LODGE_BUS_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"

/* Saved state, field by field. Sizes in bytes of one element. */
enum state_kind {
	STATE_UINT,
	STATE_BYTES,
	/*
	 * A uint64_t CLOCK_MONOTONIC time in ns, 0 for none. The stream holds how far it is from
	 * the moment of saving, so that it means the same on another host or after a pause.
	 * post_load may find any time within about 146 years of now.
	 */
	STATE_MONO_NS,
};
struct state_field {
	const char *name;
	uint32_t offset;    /* of the first element in the device struct */
	uint16_t elem_size; /* 1, 2, 4, 8 for STATE_UINT (little-endian in the stream) */
	uint8_t kind;
	uint32_t count;	 /* elements; array length */
	uint32_t stride; /* from one element to the next; 0: elem_size */
	uint8_t since;	 /* first class version that has this field */
};

#define STATE_FIELD(type, member)                                                         \
	{                                                                                 \
		.name = #member, .offset = offsetof(type, member),                        \
		.elem_size = sizeof(((type *)0)->member), .kind = STATE_UINT, .count = 1, \
		.since = 1                                                                \
	}
/* The same, which is there from version `v` of the class on. */
#define STATE_FIELD_SINCE(type, member, v)                                                \
	{                                                                                 \
		.name = #member, .offset = offsetof(type, member),                        \
		.elem_size = sizeof(((type *)0)->member), .kind = STATE_UINT, .count = 1, \
		.since = (v)                                                              \
	}
#define STATE_ARRAY(type, member)                                                                 \
	{                                                                                         \
		.name = #member, .offset = offsetof(type, member),                                \
		.elem_size = sizeof(((type *)0)->member[0]), .kind = STATE_UINT,                  \
		.count = sizeof(((type *)0)->member) / sizeof(((type *)0)->member[0]), .since = 1 \
	}
#define STATE_ARRAY_SINCE(type, member, v)                                                        \
	{                                                                                         \
		.name = #member, .offset = offsetof(type, member),                                \
		.elem_size = sizeof(((type *)0)->member[0]), .kind = STATE_UINT,                  \
		.count = sizeof(((type *)0)->member) / sizeof(((type *)0)->member[0]),            \
		.since = (v)                                                                      \
	}
#define STATE_BUFFER(type, member)                                                    \
	{                                                                             \
		.name = #member, .offset = offsetof(type, member), .elem_size = 1,    \
		.kind = STATE_BYTES, .count = sizeof(((type *)0)->member), .since = 1 \
	}
/* Member `m` of each element of the array of structs `arr`: an integer, and bytes. */
#define STATE_EACH(type, arr, m)                                                 \
	{                                                                        \
		.name = #arr "." #m, .offset = offsetof(type, arr[0].m),         \
		.elem_size = sizeof(((type *)0)->arr[0].m), .kind = STATE_UINT,  \
		.count = sizeof(((type *)0)->arr) / sizeof(((type *)0)->arr[0]), \
		.stride = sizeof(((type *)0)->arr[0]), .since = 1                \
	}
#define STATE_EACH_BUFFER(type, arr, m)                                          \
	{                                                                        \
		.name = #arr "." #m, .offset = offsetof(type, arr[0].m),         \
		.elem_size = sizeof(((type *)0)->arr[0].m), .kind = STATE_BYTES, \
		.count = sizeof(((type *)0)->arr) / sizeof(((type *)0)->arr[0]), \
		.stride = sizeof(((type *)0)->arr[0]), .since = 1                \
	}
#define STATE_TIME(type, member)                                                             \
	{                                                                                    \
		.name = #member, .offset = offsetof(type, member),                           \
		.elem_size = sizeof(((type *)0)->member), .kind = STATE_MONO_NS, .count = 1, \
		.since = 1                                                                   \
	}
#define STATE_END            \
	{                    \
		.name = NULL \
	}

struct device;
struct device_class {
	const char *name;
	uint8_t version; /* of the saved state */
	void (*reset)(struct device *dev);
	const struct state_field *fields; /* ends with STATE_END; may be NULL */
	int (*post_load)(
		struct device *dev); /* check and re-derive; -EINVAL refuses; may be NULL */
	/* Bring up to now what is only worked out when it is looked at. Before device_save(); may be NULL. */
	void (*pre_save)(struct device *dev);
	/* Why its state is not all here now, as the end of a sentence; NULL: it can be saved. May be NULL. */
	const char *(*cannot_save)(const struct device *dev);
};

struct device {
	const struct device_class *cls;
	struct list link; /* the board's device list, in reset order */
};

/*
 * Serialize into `buf` (at most `cap` bytes): class name, version, then each field with name and
 * value. Returns bytes written or -ENOSPC.
 */
long device_save(const struct device *dev, uint8_t *buf, size_t cap) MUST_CHECK;
/* The inverse. -EINVAL (err filled) for a foreign class, a newer version, or malformed bytes. */
int device_load(struct device *dev, const uint8_t *buf, size_t len,
		struct lodge_err *err) MUST_CHECK;

/* An interrupt line: whoever raises it does not know where it goes. */
struct irq_line {
	void (*set)(void *opaque, unsigned n, bool level);
	void *opaque;
	unsigned n;
};

static inline void irq_set(const struct irq_line *line, bool level)
{
	if (line->set)
		line->set(line->opaque, line->n, level);
}

static inline void irq_pulse(const struct irq_line *line)
{
	irq_set(line, true);
	irq_set(line, false);
}

#endif
