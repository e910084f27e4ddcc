// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * MSI-X: table, pending bits, masks. See msix.h.
 * Source: PCI Local Bus Specification 3.0 §6.8.2 (capability, table), §6.8.3.4 (masking).
 * Threads: with the VM lock held.
 * Saved state: the table and the pending bits, in the owner's.
 */
#include "bus/msix.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/range.h"

#define CAP_MSIX 0x11u
#define CAP_LEN 12u
#define CAP_CONTROL 2u
#define CAP_TABLE 4u
#define CAP_PBA 8u
#define CONTROL_ENABLE 0x8000u
#define CONTROL_MASK 0x4000u

#define ENTRY_ADDR 0u
#define ENTRY_DATA 8u
#define ENTRY_CONTROL 12u
#define ENTRY_MASKED 1u

static const uint8_t *entry(const struct msix *m, unsigned n)
{
	return &m->table[n * MSIX_ENTRY];
}

static bool masked(const struct msix *m, unsigned n)
{
	uint16_t control = reg_get16(&m->pci->cfg, m->cap + CAP_CONTROL);

	return (control & CONTROL_MASK) ||
	       (ld_le32(entry(m, n) + ENTRY_CONTROL) & ENTRY_MASKED) != 0;
}

static void send(struct msix *m, unsigned n)
{
	pci_msi_send_by(m->pci, m->has_ways ? m->way[n] : -1,
			ld_le64(entry(m, n) + ENTRY_ADDR) & ~3ull,
			ld_le32(entry(m, n) + ENTRY_DATA));
}

void msix_notify(struct msix *m, unsigned n)
{
	if (!m->enabled || n >= m->vectors)
		return;
	if (masked(m, n))
		m->pba[n / 8] |= (uint8_t)(1u << n % 8);
	else
		send(m, n);
}

void msix_clear_pending(struct msix *m, unsigned n)
{
	if (n < m->vectors)
		m->pba[n / 8] &= (uint8_t) ~(1u << n % 8);
}

/* What a mask held back goes out when the mask goes. */
static void release(struct msix *m, unsigned n)
{
	if (!m->enabled || !(m->pba[n / 8] & 1u << n % 8) || masked(m, n))
		return;
	msix_clear_pending(m, n);
	send(m, n);
}

static void control_changed(struct msix *m)
{
	uint16_t control = reg_get16(&m->pci->cfg, m->cap + CAP_CONTROL);

	m->enabled = (control & CONTROL_ENABLE) != 0;
	for (unsigned n = 0; n < m->vectors; n++)
		release(m, n);
}

void msix_config_written(struct msix *m, unsigned off, unsigned size)
{
	if (m->cap && reg_hit(off, size, m->cap + CAP_CONTROL, 2))
		control_changed(m);
}

static uint64_t msix_read(void *dev, uint64_t off, unsigned size)
{
	const struct msix *m = dev;
	uint64_t v = 0;

	for (unsigned i = 0; i < size; i++, off++) {
		uint64_t b = 0;

		if (off < (uint64_t)m->vectors * MSIX_ENTRY)
			b = m->table[off];
		else if (off >= MSIX_PBA && off < MSIX_PBA + sizeof(m->pba))
			b = m->pba[off - MSIX_PBA];
		v |= b << (8 * i);
	}
	return v;
}

/* Accesses of anything but aligned doublewords and quadwords are undefined (§6.8.2): ignored. */
static void msix_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
	struct msix *m = dev;
	unsigned n = (unsigned)(off / MSIX_ENTRY);

	if (size < 4 || off % size || n >= m->vectors) {
		log_trace(LOG_GUEST_ERR, "msix: write of %u bytes at 0x%llx ignored\n", size,
			  (unsigned long long)off);
		return;
	}
	for (unsigned i = 0; i < size; i++)
		m->table[off + i] = (uint8_t)(val >> (8 * i));
	/* Reserved bits of the vector control stay 0. */
	m->table[n * MSIX_ENTRY + ENTRY_CONTROL] &= ENTRY_MASKED;
	memset(&m->table[n * MSIX_ENTRY + ENTRY_CONTROL + 1], 0, 3);
	release(m, n);
}

static const struct bus_ops msix_ops = {msix_read, msix_write, 1, 8};

int msix_init(struct msix *m, struct pci_dev *pci, unsigned bar, unsigned vectors,
	      struct lodge_err *err)
{
	int cap, r;

	if (!vectors || vectors > MSIX_VECTORS_MAX)
		return err_set(err, -EINVAL, "%u MSI-X vectors: 1 to %u are possible", vectors,
			       MSIX_VECTORS_MAX);
	memset(m, 0, sizeof(*m));
	m->pci = pci;
	m->vectors = (uint16_t)vectors;
	r = pci_dev_add_bar(pci, bar, PCI_BAR_MEM32, false, MSIX_BAR_BYTES, &msix_ops, m, "msix");
	if (r)
		return err_set(err, r, "no room for an MSI-X table in BAR %u", bar);
	cap = pci_dev_add_cap(pci, CAP_MSIX, CAP_LEN);
	if (cap < 0)
		return err_set(err, cap, "no room for an MSI-X capability");

	const struct reg_desc regs[] = {
		{"Message Control", (uint16_t)(cap + (int)CAP_CONTROL), 2, vectors - 1,
		 CONTROL_ENABLE | CONTROL_MASK, 0, 0},
		{"Table Offset/BIR", (uint16_t)(cap + (int)CAP_TABLE), 4, bar, 0, 0, 0},
		{"PBA Offset/BIR", (uint16_t)(cap + (int)CAP_PBA), 4, MSIX_PBA | bar, 0, 0, 0},
	};

	pci_dev_add_regs(pci, regs, ARRAY_SIZE(regs));
	m->cap = (uint8_t)cap;
	msix_reset(m);
	return 0;
}

void msix_open_ways(struct msix *m)
{
	for (unsigned n = 0; n < m->vectors; n++)
		m->way[n] = (int16_t)pci_msi_way_open(m->pci);
	m->has_ways = true;
}

void msix_close_ways(struct msix *m)
{
	for (unsigned n = 0; m->has_ways && n < m->vectors; n++)
		pci_msi_way_close(m->pci, m->way[n]);
	m->has_ways = false;
}

/* Every vector is masked after a reset (§6.8.2.9). */
void msix_reset(struct msix *m)
{
	if (!m->cap)
		return;
	memset(m->table, 0, sizeof(m->table));
	memset(m->pba, 0, sizeof(m->pba));
	for (unsigned n = 0; n < m->vectors; n++)
		m->table[n * MSIX_ENTRY + ENTRY_CONTROL] = ENTRY_MASKED;
	control_changed(m);
}

/* Nothing outside the vectors there are, and no reserved bits. */
int msix_loaded(struct msix *m)
{
	for (unsigned n = 0; n < MSIX_VECTORS_MAX; n++) {
		uint32_t control = ld_le32(entry(m, n) + ENTRY_CONTROL);

		if (control & ~ENTRY_MASKED || (n >= m->vectors && control))
			return -EINVAL;
		if (n >= m->vectors && (m->pba[n / 8] & 1u << n % 8))
			return -EINVAL;
	}
	if (m->cap)
		control_changed(m);
	return 0;
}
