/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An NVMe controller with one namespace, 1b36:0010.
 * Source: NVM Express Base Specification 1.4; its PCI identity is QEMU's.
 *
 * Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_STORAGE_NVME_H
#define LODGE_DEVICES_STORAGE_NVME_H

#include "base/err.h"
#include "block/queue.h"
#include "bus/pci.h"
#include "mem/mem.h"

struct nvme_config {
	struct blk_queue *queue; /* borrowed */
	bool read_only;
	const char *serial; /* at most 20 characters count */
	struct mem *mem;
};

struct nvme;

/* NULL and a sentence on failure. The configuration is copied. */
struct nvme *nvme_new(struct pci_bus *pb, uint8_t devfn, const struct nvme_config *cfg,
		      struct lodge_err *err);
/* Waits for its requests. NULL is allowed. */
void nvme_free(struct nvme *n);
struct device *nvme_device(struct nvme *n);

#endif
