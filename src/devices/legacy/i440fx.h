/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The 440FX host bridge, 8086:1237 at 00:00.0: shadow RAM attributes (PAM) and SMRAM.
 * Source: Intel 82441FX data sheet (290549-001). Register table: docs/devices/i440fx.md.
 *
 * Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_LEGACY_I440FX_H
#define LODGE_DEVICES_LEGACY_I440FX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "bus/pci.h"
#include "mem/gpa.h"

#define I440FX_PAM_REGIONS 13u

/* Where accesses to a PAM region go: to DRAM, or over PCI to the ISA bus and its ROMs. */
#define I440FX_PAM_READ_RAM 1u
#define I440FX_PAM_WRITE_RAM 2u

struct i440fx_host {
	void *opaque;
	/*
	 * Region [gpa, gpa + len) of 0xC0000–0xFFFFF now has `attr` (I440FX_PAM_*). Called for
	 * every region that changed, and for all at reset.
	 */
	void (*pam)(void *opaque, gpa_t gpa, uint32_t len, unsigned attr);
	/*
	 * SMRAM at 0xA0000–0xBFFFF: `open` = visible outside SMM (instead of the video adapter),
	 * `enabled` = there for SMM. May be NULL.
	 */
	void (*smram)(void *opaque, bool enabled, bool open);
};

struct i440fx;
/* NULL and err on failure. `host` is copied. Callbacks begin with the first reset. */
struct i440fx *i440fx_new(struct pci_bus *pb, const struct i440fx_host *host,
			  struct lodge_err *err);
void i440fx_free(struct i440fx *s);
struct device *i440fx_device(struct i440fx *s);
/* What firmware's shadowing would have set: all of 0xC0000–0xFFFFF with `attr`. */
void i440fx_set_pam(struct i440fx *s, unsigned attr);

#endif
