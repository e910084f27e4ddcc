/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes of the guest that an engine takes without stopping the vCPU: bells, which are counted in an eventfd
 * (KVM: ioeventfd), and late writes, which it keeps and hands out in their order (KVM: coalesced MMIO and ports). The
 * machine offers them (bus/shortcut.h).
 * Source: Linux, Documentation/virt/kvm/api.rst (KVM_IOEVENTFD, KVM_REGISTER_COALESCED_MMIO).
 */
#ifndef LODGE_ENGINE_SHORTCUT_H
#define LODGE_ENGINE_SHORTCUT_H

#include <stdbool.h>
#include <stdint.h>

struct engine;

struct engine_bell {
	bool pio;      /* addr is a port */
	bool matches;  /* only writes of `value` */
	uint32_t size; /* of the write; 0: any */
	uint32_t value;
	uint64_t addr;
	int fd;
};

/* All with the VM lock held. */
struct engine_shortcut_ops {
	/* From now on, or no longer. False: such a bell it cannot have; the write comes to engine_host as any other. */
	bool (*bell)(struct engine *e, const struct engine_bell *b, bool on);
	/* Writes to [addr, addr + len) may come late, from now on or no longer. False: they cannot. */
	bool (*late)(struct engine *e, bool pio, uint64_t addr, uint32_t len, bool on);
	/* `fn` for each late write there is, in order. Costs a look at memory where there are none. */
	void (*drain)(struct engine *e,
		      void (*fn)(void *opaque, bool pio, uint64_t addr, uint64_t val,
				 unsigned size),
		      void *opaque);
};

#endif
