/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shortcuts: writes of a guest that need not come to their device at once. Where the engine's kernel can, it takes
 * them without stopping the vCPU; else they come to the device as any write does. A device offers, and works
 * the same either way.
 *
 *   BELL  the write says that it happened and nothing else (or by its value which bell it is): the bell's function is
 *         called soon, by the event loop's thread, once for any number of writes.
 *   LATE  writes without an effect that anybody sees before he accesses a device, or looks at the screen:
 *         they come in their order, before the next access to any device.
 *
 * A shortcut follows its region: it is taken while the region answers there, and given back when the region moves,
 * is hidden or covered.
 *
 * Threads: with the VM lock held.
 */
#ifndef LODGE_BUS_SHORTCUT_H
#define LODGE_BUS_SHORTCUT_H

#include "base/list.h"
#include "bus/bus.h"

enum bus_shortcut_kind { BUS_SHORTCUT_BELL, BUS_SHORTCUT_LATE };

struct bus_bell; /* the host's */

struct bus_shortcut {
	struct list link; /* among its space's, while it is armed */
	struct bus_region *region;
	enum bus_shortcut_kind kind;
	uint64_t off; /* in the region */
	uint32_t len; /* BELL: size of the access; LATE: bytes */
	bool matches; /* BELL: only if `value` is written */
	uint32_t value;
	struct bus_bell *bell; /* BELL: borrowed while it is armed */
	bool armed;
	/* What the host has: */
	bool taken, pio;
	uint64_t addr;
};

struct bus_shortcut_host {
	void *opaque;
	/* Take those writes from now on, or give them back. False: it cannot, and nothing is changed. */
	bool (*take)(void *opaque, const struct bus_shortcut *s, bool on);
	/* NULL: none is to be had. */
	struct bus_bell *(*bell_new)(void *opaque, void (*ring)(void *dev), void *dev);
	void (*bell_free)(struct bus_bell *bell);
};

/* Once, before anything is armed. Copied. */
void bus_set_shortcut_host(struct bus *bus, const struct bus_shortcut_host *host);
/* Is there any use in offering some? */
bool bus_has_shortcuts(const struct bus *bus);

/*
 * A bell for one or more shortcuts, made while the device is; what rings it comes with the VM lock held. NULL: none is
 * to be had. No shortcut of it is armed when it is freed; NULL is allowed.
 */
struct bus_bell *bus_bell_new(struct bus *bus, void (*ring)(void *dev), void *dev);
void bus_bell_free(struct bus *bus, struct bus_bell *bell);

/* Fill `s` for `r`, `kind`, `off` and `len`; the rest is for the caller to set. */
void bus_shortcut_init(struct bus_shortcut *s, struct bus_region *r, enum bus_shortcut_kind kind,
		       uint64_t off, uint32_t len);
/* Offer it, or no longer. `s` stays where it is meanwhile. */
void bus_shortcut_arm(struct bus_shortcut *s, bool on);

#endif
