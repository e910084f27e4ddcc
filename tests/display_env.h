/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For tests of display adapters: memory for one, and what it shows where. */
#ifndef LODGE_TESTS_DISPLAY_ENV_H
#define LODGE_TESTS_DISPLAY_ENV_H

#include <stdlib.h>
#include <string.h>

#include "bus/pci.h"
#include "devices/display/vram.h"
#include "wire.h"

#define ENV_RAM 0x10000u /* of the machine, in front of the adapter's */

struct display_env {
	struct bus *bus;
	struct pci_bus *pb;
	struct mem *mem;
	struct vram vram;
	struct {
		gpa_t gpa;
		uint64_t at, len;
		unsigned changes;
	} window[VRAM_WINDOWS];
};

static inline bool display_env_show(void *opaque, enum vram_window n, gpa_t gpa, uint64_t at,
				    uint64_t len)
{
	struct display_env *e = opaque;

	e->window[n].gpa = gpa;
	e->window[n].at = at;
	e->window[n].len = len;
	e->window[n].changes++;
	if (at > e->vram.bytes || len > e->vram.bytes - at)
		abort();
	return len;
}

/* `mem`: of an earlier one, or NULL. */
static inline void display_env_init_with(struct display_env *e, uint64_t bytes, struct mem *mem)
{
	memset(e, 0, sizeof(*e));
	e->bus = bus_new();
	e->pb = pci_bus_new(e->bus);
	e->mem = mem ? mem : mem_new(ENV_RAM + bytes, 0, NULL);
	if (!e->bus || !e->pb || !e->mem)
		abort();
	e->vram = (struct vram){.mem = e->mem,
				.off = ENV_RAM,
				.bytes = bytes,
				.show = display_env_show,
				.opaque = e};
}

static inline void display_env_init(struct display_env *e, uint64_t bytes)
{
	display_env_init_with(e, bytes, NULL);
}

/* All but the memory, for the next one. */
static inline struct mem *display_env_free_but_mem(struct display_env *e)
{
	pci_bus_free(e->pb);
	bus_free(e->bus);
	return e->mem;
}

static inline void display_env_free(struct display_env *e)
{
	mem_free(display_env_free_but_mem(e));
}

#endif
