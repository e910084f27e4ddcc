/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Realtek RTL8139C+ fast Ethernet controller, 10ec:8139, with the old mode (one receive buffer, four
 * transmit registers) and C+ mode (descriptor rings).
 * Source: RTL8139C(L)+ data sheet, rev. 1.6. Register table: docs/devices/rtl8139.md.
 * Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_NET_RTL8139_H
#define LODGE_DEVICES_NET_RTL8139_H

#include "bus/pci.h"
#include "io/loop.h"
#include "mem/mem.h"
#include "net/net.h"

struct rtl8139;

struct rtl8139_config {
	struct mem *mem; /* borrowed, as the loop is */
	struct io_loop *loop;
	uint8_t devfn;
	uint8_t mac[6];
};

/* NULL and a sentence on failure. `cfg` is copied. */
struct rtl8139 *rtl8139_new(struct pci_bus *pb, const struct rtl8139_config *cfg,
			    struct lodge_err *err);
void rtl8139_free(struct rtl8139 *s);
struct device *rtl8139_device(struct rtl8139 *s);
struct pci_dev *rtl8139_pci(struct rtl8139 *s);
struct net_end *rtl8139_end(struct rtl8139 *s);

#endif
