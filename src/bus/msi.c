// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * MSI capability.
 * Source: PCI Local Bus Specification 3.0 §6.8.1. Threads: with the VM lock held.
 */
#include "bus/msi.h"

#include "base/range.h"

#define CAP_ID 0x05u
#define CAP_BYTES 14u
#define CONTROL 2u
#define CONTROL_ENABLE 0x01u
#define CONTROL_64BIT 0x80u
#define ADDR_LOW 4u
#define ADDR_HIGH 8u
#define DATA 12u

int msi_init(struct msi *m, struct pci_dev *pci)
{
	int off = pci_dev_add_cap(pci, CAP_ID, CAP_BYTES);

	if (off < 0)
		return off;

	const uint16_t at = (uint16_t)off;
	const struct reg_desc regs[] = {
		{"Message Control", at + CONTROL, 2, CONTROL_64BIT, 0x71, 0, 0},
		{"Message Address", at + ADDR_LOW, 4, 0, 0xfffffffc, 0, 0},
		{"Message Upper Address", at + ADDR_HIGH, 4, 0, 0xffffffff, 0, 0},
		{"Message Data", at + DATA, 2, 0, 0xffff, 0, 0},
	};

	pci_dev_add_regs(pci, regs, ARRAY_SIZE(regs));
	m->pci = pci;
	m->cap = (uint8_t)off;
	return 0;
}

bool msi_enabled(const struct msi *m)
{
	return m->cap && reg_get16(&m->pci->cfg, m->cap + CONTROL) & CONTROL_ENABLE;
}

void msi_notify(struct msi *m)
{
	const struct reg_file *cfg = &m->pci->cfg;

	if (!msi_enabled(m))
		return;
	pci_msi_send(m->pci,
		     reg_get32(cfg, m->cap + ADDR_LOW) |
			     (uint64_t)reg_get32(cfg, m->cap + ADDR_HIGH) << 32,
		     reg_get16(cfg, m->cap + DATA));
}
