/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A writer of AML, ACPI's byte code: terms are appended in order; those with a body are opened with
 * aml_*_begin and closed with aml_end, which fills in their length.
 * Source: ACPI 6.4 §20 (AML), §6.4 (resource descriptors). Threads: one at a time.
 */
#ifndef LODGE_FIRMWARE_AML_H
#define LODGE_FIRMWARE_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AML_DEPTH_MAX 16

/* Output bytes; growing stops at the first failed allocation (`failed`). */
struct aml {
	uint8_t *buf;
	size_t len, cap;
	bool failed;
	unsigned depth;
	struct {
		size_t at;    /* where the PkgLength goes */
		bool counted; /* a resource template: the buffer's size is due as well */
	} open[AML_DEPTH_MAX];
};

void aml_init(struct aml *a);
void aml_free(struct aml *a);

/* Append raw bytes; reserve zeroed bytes and return their offset. */
void aml_raw(struct aml *a, const void *bytes, size_t len);
size_t aml_reserve(struct aml *a, size_t len);

/* Names: "\\_SB.PCI0", "^FOO", "_HID" (short segments are padded with '_'). */
void aml_path(struct aml *a, const char *path);
void aml_int(struct aml *a, uint64_t v);
void aml_string(struct aml *a, const char *s);
void aml_eisaid(struct aml *a, const char *id); /* "PNP0A03" */
void aml_op(struct aml *a, uint8_t op);
void aml_end(struct aml *a);

void aml_scope_begin(struct aml *a, const char *path);
void aml_device_begin(struct aml *a, const char *name);
void aml_method_begin(struct aml *a, const char *name, unsigned args, bool serialized);
void aml_package_begin(struct aml *a, uint8_t elements);
void aml_if_begin(struct aml *a); /* the predicate follows */
void aml_else_begin(struct aml *a);
/* Fields of a named region, each `bits` wide, byte access, lock-free, preserve. */
void aml_region(struct aml *a, const char *name, uint8_t space, uint64_t off, uint64_t len);
void aml_field_begin(struct aml *a, const char *region);
void aml_field_unit(struct aml *a, const char *name, unsigned bits);

/* Name (name, value) */
void aml_name(struct aml *a, const char *name); /* the value follows */
void aml_name_int(struct aml *a, const char *name, uint64_t v);
void aml_name_string(struct aml *a, const char *name, const char *s);
void aml_name_eisaid(struct aml *a, const char *name, const char *id);
/* Method (name) { Return (v) } */
void aml_return_int(struct aml *a, uint64_t v);

/* A buffer of resource descriptors, with its end tag: between _begin and aml_end. */
void aml_resources_begin(struct aml *a);
void aml_res_io(struct aml *a, uint16_t port, uint8_t align, uint8_t len);
void aml_res_irq_edge(struct aml *a, unsigned irq);
/* Extended interrupt, level-triggered, active high, shared. */
void aml_res_irq_level(struct aml *a, const uint32_t *irqs, uint8_t n);
void aml_res_memory32(struct aml *a, uint32_t base, uint32_t len, bool writable);
/* Windows a bridge passes on. `last` inclusive. */
void aml_res_bus(struct aml *a, uint16_t first, uint16_t last);
void aml_res_io_window(struct aml *a, uint16_t first, uint16_t last);
void aml_res_memory_window(struct aml *a, uint64_t first, uint64_t last, bool cacheable);

/* Opcodes used one by one. */
enum {
	AML_ZERO = 0x00,
	AML_ONE = 0x01,
	AML_LOCAL0 = 0x60,
	AML_ARG0 = 0x68,
	AML_STORE = 0x70,
	AML_AND = 0x7b,
	AML_OR = 0x7d,
	AML_NOTIFY = 0x86,
	AML_CREATE_DWORD_FIELD = 0x8a,
	AML_LEQUAL = 0x93,
	AML_RETURN = 0xa4,
};
enum { AML_SPACE_MEMORY = 0, AML_SPACE_IO = 1, AML_SPACE_PCI = 2 };

#endif
