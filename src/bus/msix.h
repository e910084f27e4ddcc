/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MSI-X: a function's table of messages, in a memory BAR of its own: the table at 0, the pending bits
 * at MSIX_PBA.
 * Source: PCI Local Bus Specification 3.0 §6.8.2, §6.8.3.
 *
 * A function calls msix_init once, msix_config_written from its config_written, msix_reset from its
 * reset behind pci_dev_reset, msix_loaded from its post_load behind pci_dev_loaded. While
 * msix_enabled() it must not use its INTx pin.
 *
 * Threads: with the VM lock held.
 */
#ifndef LODGE_BUS_MSIX_H
#define LODGE_BUS_MSIX_H

#include "bus/pci.h"

#define MSIX_VECTORS_MAX 128u
#define MSIX_ENTRY 16u
#define MSIX_PBA 0x800u
#define MSIX_BAR_BYTES 0x1000u
#define MSIX_NO_VECTOR 0xffffu

struct msix {
	struct pci_dev *pci;
	uint8_t cap;	  /* offset of the capability; 0: the function has none */
	uint8_t enabled;  /* as the control register says */
	uint16_t vectors; /* entries of the table */
	uint8_t table[MSIX_VECTORS_MAX * MSIX_ENTRY];
	uint8_t pba[MSIX_VECTORS_MAX / 8];
	bool has_ways;
	int16_t way[MSIX_VECTORS_MAX]; /* each vector's own way to the processor, negative: none */
};

/* Saved-state fields of a device struct whose struct msix member is `m`. */
#define MSIX_STATE_FIELDS(type, m) STATE_BUFFER(type, m.table), STATE_BUFFER(type, m.pba)

/*
 * Give `pci` a table of `vectors` entries (1 to MSIX_VECTORS_MAX) in BAR `bar`, 32 bits wide. `m` lives as
 * long as the function. -EINVAL, -ENOSPC or -ENOMEM with a sentence.
 */
int msix_init(struct msix *m, struct pci_dev *pci, unsigned bar, unsigned vectors,
	      struct lodge_err *err) MUST_CHECK;
/*
 * Vectors of `m` may have ways of their own, where the bus has any (pci_bus_set_msi_ways). msix_close_ways() is due
 * before the function goes.
 */
void msix_open_ways(struct msix *m);
void msix_close_ways(struct msix *m);
void msix_reset(struct msix *m);
int msix_loaded(struct msix *m) MUST_CHECK;
/* After a guest wrote configuration space. */
void msix_config_written(struct msix *m, unsigned off, unsigned size);

static inline bool msix_enabled(const struct msix *m)
{
	return m->enabled;
}

/* Send vector `n`, or keep it pending while it is masked. Nothing if disabled or out of range. */
void msix_notify(struct msix *m, unsigned n);
/* Take back what is pending of vector `n`. */
void msix_clear_pending(struct msix *m, unsigned n);

#endif
