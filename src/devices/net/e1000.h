/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel 82540EM gigabit Ethernet controller, 8086:100e.
 * Source: PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual (317453-006).
 * Register table: docs/devices/e1000.md.
 * Threads: with the VM lock held; delayed interrupts come on the io thread.
 */
#ifndef LODGE_DEVICES_NET_E1000_H
#define LODGE_DEVICES_NET_E1000_H

#include "bus/pci.h"
#include "io/loop.h"
#include "mem/mem.h"
#include "net/net.h"

struct e1000;

struct e1000_config {
	struct mem *mem; /* borrowed, as the loop is */
	struct io_loop *loop;
	uint8_t devfn;
	uint8_t mac[6];
};

/* NULL and a sentence on failure. `cfg` is copied. */
struct e1000 *e1000_new(struct pci_bus *pb, const struct e1000_config *cfg, struct lodge_err *err);
/* Its end is disconnected. */
void e1000_free(struct e1000 *s);
struct device *e1000_device(struct e1000 *s);
struct pci_dev *e1000_pci(struct e1000 *s);
struct net_end *e1000_end(struct e1000 *s);

#endif
