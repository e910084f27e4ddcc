// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The MP configuration table: processors, two buses, one I/O APIC, its wires.
 * Source: Intel MultiProcessor Specification 1.4 §4.1 (floating pointer), §4.2 (header), §4.3
 * (entries), appendix D (PCI interrupts). Threads: one at a time.
 */
#include "firmware/mptable.h"

#include <assert.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"
#include "firmware/acpi.h"
#include "firmware/platform.h"

enum { ENTRY_CPU, ENTRY_BUS, ENTRY_IOAPIC, ENTRY_IO_INT, ENTRY_LOCAL_INT };
enum { INT_VECTORED, INT_NMI, INT_SMI, INT_EXTINT };
enum { BUS_PCI, BUS_ISA };

#define HEADER_BYTES 44u
#define IOAPIC_ID 0u
#define IOAPIC_VERSION 0x20u
#define LAPIC_VERSION 0x14u
#define ALL_LAPICS 0xffu
#define CPU_ENABLED 1u
#define CPU_BSP 2u
#define CONFORMS 0x0u
#define HIGH_LEVEL 0xdu
#define PCI_SLOTS 32u
#define PCI_PINS 4u
#define LOCAL_LINT0 0u
#define LOCAL_LINT1 1u

static const uint8_t pirq_irq[4] = {PC_PIRQA_IRQ, PC_PIRQB_IRQ, PC_PIRQC_IRQ, PC_PIRQD_IRQ};

static uint8_t *add(struct mptable *t, uint8_t type, unsigned len)
{
	uint8_t *p = t->bytes + t->len;

	assert(range_ok(t->len, len, MP_CONFIG_MAX));
	memset(p, 0, len);
	p[0] = type;
	t->len = (uint16_t)(t->len + len);
	t->entries++;
	return p;
}

static void add_cpu(struct mptable *t, unsigned id, const struct fw_tables_config *cfg)
{
	uint8_t *p = add(t, ENTRY_CPU, 20);

	p[1] = (uint8_t)id;
	p[2] = LAPIC_VERSION;
	p[3] = (uint8_t)(CPU_ENABLED | (id == 0 ? CPU_BSP : 0));
	st_le32(p + 4, cfg->cpuid_1_eax);
	st_le32(p + 8, cfg->cpuid_1_edx);
}

static void add_bus(struct mptable *t, uint8_t id, const char name[6])
{
	uint8_t *p = add(t, ENTRY_BUS, 8);

	p[1] = id;
	memcpy(p + 2, name, 6);
}

static void add_int(struct mptable *t, uint8_t entry, uint8_t type, uint16_t flags, uint8_t bus,
		    unsigned irq, uint8_t apic, unsigned pin)
{
	uint8_t *p = add(t, entry, 8);

	p[1] = type;
	st_le16(p + 2, flags);
	p[4] = bus;
	p[5] = (uint8_t)irq;
	p[6] = apic;
	p[7] = (uint8_t)pin;
}

static bool is_pci_irq(unsigned irq)
{
	for (unsigned i = 0; i < ARRAY_SIZE(pirq_irq); i++)
		if (irq == pirq_irq[i])
			return true;
	return irq == PC_SCI_IRQ;
}

static void add_wires(struct mptable *t)
{
	/* IRQ 2 is the cascade; the timer's IRQ 0 is on its pin. */
	for (unsigned irq = 0; irq < 16; irq++)
		if (irq != 2 && !is_pci_irq(irq))
			add_int(t, ENTRY_IO_INT, INT_VECTORED, CONFORMS, BUS_ISA, irq, IOAPIC_ID,
				irq ? irq : 2);
	for (unsigned slot = 1; slot < PCI_SLOTS; slot++) {
		for (unsigned pin = 0; pin < PCI_PINS; pin++) {
			bool sci = slot == PC_PIIX_SLOT && pin == 0;

			add_int(t, ENTRY_IO_INT, INT_VECTORED, HIGH_LEVEL, BUS_PCI, slot << 2 | pin,
				IOAPIC_ID, sci ? PC_SCI_IRQ : pirq_irq[pc_pirq_of(slot, pin)]);
		}
	}
	add_int(t, ENTRY_LOCAL_INT, INT_EXTINT, CONFORMS, BUS_ISA, 0, 0, LOCAL_LINT0);
	add_int(t, ENTRY_LOCAL_INT, INT_NMI, CONFORMS, BUS_ISA, 0, ALL_LAPICS, LOCAL_LINT1);
}

void mptable_build(struct mptable *t, const struct fw_tables_config *cfg)
{
	uint8_t *h = t->bytes;
	uint8_t *p;

	*t = (struct mptable){.len = HEADER_BYTES};
	for (unsigned i = 0; i < cfg->cpus && i < MP_CPUS_MAX; i++)
		add_cpu(t, i, cfg);
	add_bus(t, BUS_PCI, "PCI   ");
	add_bus(t, BUS_ISA, "ISA   ");
	p = add(t, ENTRY_IOAPIC, 8);
	p[1] = IOAPIC_ID;
	p[2] = IOAPIC_VERSION;
	p[3] = 1; /* usable */
	st_le32(p + 4, PC_IOAPIC_BASE);
	add_wires(t);

	memcpy(h, "PCMP", 4);
	st_le16(h + 4, t->len);
	h[6] = 4; /* specification 1.4 */
	memcpy(h + 8, "LODGE   ", 8);
	memcpy(h + 16, "PC          ", 12);
	st_le16(h + 34, t->entries);
	st_le32(h + 36, PC_LAPIC_BASE);
	h[7] = fw_checksum(h, t->len);
}

void mptable_floating_fill(uint32_t base, uint8_t fp[MP_FLOATING_BYTES])
{
	memset(fp, 0, MP_FLOATING_BYTES);
	memcpy(fp, "_MP_", 4);
	st_le32(fp + 4, base);
	fp[8] = MP_FLOATING_BYTES / 16;
	fp[9] = 4;
	/* Feature bytes 0: a table is there; virtual wire mode, no IMCR. */
	fp[10] = fw_checksum(fp, MP_FLOATING_BYTES);
}
