// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The DSDT.
 * Source: ACPI 6.4 §6.1 (identification), §6.2 (_PRT, _CRS, _PRS, _SRS, _DIS), §7.4.2 (_S5), §8.4
 * (processors), PCI Firmware Specification 3.3 §4; Intel PIIX3 data sheet (PIRQRC registers).
 * Threads: one at a time.
 */
#include "firmware/dsdt.h"

#include <stdio.h>

#include "base/range.h"
#include "firmware/platform.h"

#define PCI_SLOTS 32u
#define PCI_PINS 4u
#define LINKS 4u
#define PIRQ_OFF 0x80u /* PIRQRC: not routed */

static const char *const link_names[LINKS] = {"LNKA", "LNKB", "LNKC", "LNKD"};
static const char *const pirq_names[LINKS] = {"PRQ0", "PRQ1", "PRQ2", "PRQ3"};
static const uint32_t link_irqs[] = {5, 10, 11};

static void resources_irq(struct aml *a, const char *name, const uint32_t *irqs, uint8_t n)
{
	aml_name(a, name);
	aml_resources_begin(a);
	aml_res_irq_level(a, irqs, n);
	aml_end(a);
}

static void pci_windows(struct aml *a, const struct fw_tables_config *cfg)
{
	aml_name(a, "_CRS");
	aml_resources_begin(a);
	aml_res_bus(a, 0, 0xff);
	aml_res_io(a, 0xcf8, 1, 8);
	aml_res_io_window(a, 0, 0xcf7);
	aml_res_io_window(a, 0xd00, 0xffff);
	aml_res_memory_window(a, PC_VGA_START, 0xbffff, true);
	aml_res_memory_window(a, cfg->pci32_start ? cfg->pci32_start : PC_PCI32_START,
			      PC_PCI32_END - 1, false);
	if (cfg->pci64_len)
		aml_res_memory_window(a, cfg->pci64_start, cfg->pci64_start + cfg->pci64_len - 1,
				      true);
	aml_end(a);
}

/* Slot 1 pin A is the PIIX4's and wired to the SCI; slot 0 (host bridge) has no pins. */
static void pci_routing(struct aml *a)
{
	aml_name(a, "_PRT");
	aml_package_begin(a, (PCI_SLOTS - 1) * PCI_PINS);
	for (unsigned slot = 1; slot < PCI_SLOTS; slot++) {
		for (unsigned pin = 0; pin < PCI_PINS; pin++) {
			bool sci = slot == PC_PIIX_SLOT && pin == 0;

			aml_package_begin(a, 4);
			aml_int(a, slot << 16 | 0xffff);
			aml_int(a, pin);
			aml_path(a, sci ? "LNKS" : link_names[pc_pirq_of(slot, pin)]);
			aml_int(a, 0);
			aml_end(a);
		}
	}
	aml_end(a);
}

/* A PIRQRC value as _STA: present, and enabled when routed. */
static void method_status(struct aml *a)
{
	aml_method_begin(a, "IQST", 1, false);
	aml_if_begin(a);
	aml_op(a, AML_AND);
	aml_op(a, AML_ARG0);
	aml_int(a, PIRQ_OFF);
	aml_op(a, AML_ZERO);
	aml_return_int(a, 0x09);
	aml_end(a);
	aml_return_int(a, 0x0b);
	aml_end(a);
}

/* A PIRQRC value as _CRS: the IRQ, or 0 when not routed. */
static void method_current(struct aml *a)
{
	const uint32_t none = 0;

	aml_method_begin(a, "IQCR", 1, true);
	aml_op(a, AML_STORE);
	aml_resources_begin(a);
	aml_res_irq_level(a, &none, 1);
	aml_end(a);
	aml_op(a, AML_LOCAL0);
	aml_op(a, AML_CREATE_DWORD_FIELD);
	aml_op(a, AML_LOCAL0);
	aml_int(a, 5); /* the first interrupt number in the descriptor */
	aml_path(a, "PRRI");
	aml_if_begin(a);
	aml_op(a, AML_LEQUAL);
	aml_op(a, AML_AND);
	aml_op(a, AML_ARG0);
	aml_int(a, PIRQ_OFF);
	aml_op(a, AML_ZERO);
	aml_int(a, 0);
	aml_op(a, AML_STORE);
	aml_op(a, AML_ARG0);
	aml_path(a, "PRRI");
	aml_end(a);
	aml_op(a, AML_RETURN);
	aml_op(a, AML_LOCAL0);
	aml_end(a);
}

/* Method (name) { Return (function (arg)) } */
static void method_forward(struct aml *a, const char *name, const char *function, const char *arg)
{
	aml_method_begin(a, name, 0, false);
	aml_op(a, AML_RETURN);
	aml_path(a, function);
	aml_path(a, arg);
	aml_end(a);
}

static void link_device(struct aml *a, unsigned n)
{
	const char *pirq = pirq_names[n];

	aml_device_begin(a, link_names[n]);
	aml_name_eisaid(a, "_HID", "PNP0C0F");
	aml_name_int(a, "_UID", n);
	resources_irq(a, "_PRS", link_irqs, ARRAY_SIZE(link_irqs));
	method_forward(a, "_STA", "IQST", pirq);
	aml_method_begin(a, "_DIS", 0, false);
	aml_op(a, AML_OR);
	aml_path(a, pirq);
	aml_int(a, PIRQ_OFF);
	aml_path(a, pirq);
	aml_end(a);
	method_forward(a, "_CRS", "IQCR", pirq);
	aml_method_begin(a, "_SRS", 1, true);
	aml_op(a, AML_CREATE_DWORD_FIELD);
	aml_op(a, AML_ARG0);
	aml_int(a, 5);
	aml_path(a, "PRRI");
	aml_op(a, AML_STORE);
	aml_path(a, "PRRI");
	aml_path(a, pirq);
	aml_end(a);
	aml_end(a);
}

/* The SCI as a link: fixed, so every method but the reading ones does nothing. */
static void sci_link(struct aml *a)
{
	const uint32_t irq = PC_SCI_IRQ;

	aml_device_begin(a, "LNKS");
	aml_name_eisaid(a, "_HID", "PNP0C0F");
	aml_name_int(a, "_UID", LINKS);
	resources_irq(a, "_PRS", &irq, 1);
	aml_name_int(a, "_STA", 0x0b);
	aml_method_begin(a, "_DIS", 0, false);
	aml_end(a);
	resources_irq(a, "_CRS", &irq, 1);
	aml_method_begin(a, "_SRS", 1, false);
	aml_end(a);
	aml_end(a);
}

static void interrupt_links(struct aml *a)
{
	aml_field_begin(a, "PCI0.ISA.P40C");
	for (unsigned i = 0; i < LINKS; i++)
		aml_field_unit(a, pirq_names[i], 8);
	aml_end(a);
	method_status(a);
	method_current(a);
	for (unsigned i = 0; i < LINKS; i++)
		link_device(a, i);
	sci_link(a);
}

static void isa_device(struct aml *a, const char *name, const char *hid, uint16_t port, uint8_t len,
		       unsigned irq)
{
	aml_device_begin(a, name);
	aml_name_eisaid(a, "_HID", hid);
	aml_name(a, "_CRS");
	aml_resources_begin(a);
	if (len)
		aml_res_io(a, port, 1, len);
	aml_res_irq_edge(a, irq);
	aml_end(a);
	aml_end(a);
}

static void keyboard_and_mouse(struct aml *a)
{
	aml_device_begin(a, "KBD");
	aml_name_eisaid(a, "_HID", "PNP0303");
	aml_name(a, "_CRS");
	aml_resources_begin(a);
	aml_res_io(a, 0x60, 1, 1);
	aml_res_io(a, 0x64, 1, 1);
	aml_res_irq_edge(a, 1);
	aml_end(a);
	aml_end(a);
	isa_device(a, "MOU", "PNP0F13", 0, 0, 12);
}

static void serial_ports(struct aml *a, unsigned n)
{
	static const struct {
		char name[5];
		uint16_t port;
		uint8_t irq;
	} com[] = {{"COM1", 0x3f8, 4}, {"COM2", 0x2f8, 3}, {"COM3", 0x3e8, 4}, {"COM4", 0x2e8, 3}};

	for (unsigned i = 0; i < n && i < ARRAY_SIZE(com); i++) {
		aml_device_begin(a, com[i].name);
		aml_name_eisaid(a, "_HID", "PNP0501");
		aml_name_int(a, "_UID", i + 1);
		aml_name(a, "_CRS");
		aml_resources_begin(a);
		aml_res_io(a, com[i].port, 8, 8);
		aml_res_irq_edge(a, com[i].irq);
		aml_end(a);
		aml_end(a);
	}
}

/* Ports of the board that no other device claims: power management, GPE0, SMI commands. */
static void board_ports(struct aml *a, const struct fw_tables_config *cfg)
{
	aml_device_begin(a, "MBRD");
	aml_name_eisaid(a, "_HID", "PNP0C02");
	aml_name(a, "_CRS");
	aml_resources_begin(a);
	aml_res_io(a, cfg->pm_base ? cfg->pm_base : PC_PM_BASE, 1, 0x40);
	aml_res_io(a, PC_GPE0_BLK, 1, PC_GPE0_LEN);
	aml_res_io(a, PC_SMI_CMD, 1, 2);
	aml_res_io(a, PC_HOTPLUG_PORT, 1, PC_HOTPLUG_LEN);
	aml_end(a);
	aml_end(a);
}

static void fw_cfg_device(struct aml *a)
{
	aml_device_begin(a, "FWCF");
	aml_name_string(a, "_HID", "QEMU0002"); /* the ID drivers know this interface by */
	aml_name_int(a, "_STA", 0x0b);
	aml_name(a, "_CRS");
	aml_resources_begin(a);
	aml_res_io(a, PC_FWCFG_PORT, 1, 0x0c);
	aml_end(a);
	aml_end(a);
}

static void isa_bridge(struct aml *a, const struct fw_tables_config *cfg)
{
	aml_device_begin(a, "ISA");
	aml_name_int(a, "_ADR", PC_PIIX_SLOT << 16);
	aml_region(a, "P40C", AML_SPACE_PCI, PC_PIRQ_REG, LINKS);
	isa_device(a, "RTC", "PNP0B00", 0x70, 2, 8);
	if (!cfg->no_i8042)
		keyboard_and_mouse(a);
	serial_ports(a, cfg->com_ports);
	if (!cfg->no_fwcfg)
		fw_cfg_device(a);
	aml_end(a);
}

/* ---- PCI hotplug: event 1, devices/legacy/pci_hotplug.c ----------------------------------------- */

#define FIRST_SLOT 2u
#define NOTIFY_DEVICE_CHECK 1u
#define NOTIFY_EJECT_REQUEST 3u

static void slot_name(char name[5], unsigned slot)
{
	snprintf(name, 5, "S%03X", slot & 0x1f);
}

/* Local0 = bits; bits = Local0 (which clears them); a notification for each slot that was set. */
static void notify_slots(struct aml *a, const char *bits, unsigned why)
{
	char name[5];

	aml_op(a, AML_STORE);
	aml_path(a, bits);
	aml_op(a, AML_LOCAL0);
	aml_op(a, AML_STORE);
	aml_op(a, AML_LOCAL0);
	aml_path(a, bits);
	for (unsigned slot = FIRST_SLOT; slot < PCI_SLOTS; slot++) {
		slot_name(name, slot);
		aml_if_begin(a);
		aml_op(a, AML_AND);
		aml_op(a, AML_LOCAL0);
		aml_int(a, 1ull << slot);
		aml_op(a, AML_ZERO);
		aml_op(a, AML_NOTIFY);
		aml_path(a, name);
		aml_int(a, why);
		aml_end(a);
	}
}

static void pci_slots(struct aml *a)
{
	char name[5];

	aml_region(a, "HPLG", AML_SPACE_IO, PC_HOTPLUG_PORT, PC_HOTPLUG_LEN);
	aml_field_begin(a, "HPLG");
	aml_field_unit(a, "PCIU", 32);
	aml_field_unit(a, "PCID", 32);
	aml_field_unit(a, "B0EJ", 32);
	aml_end(a);
	for (unsigned slot = FIRST_SLOT; slot < PCI_SLOTS; slot++) {
		slot_name(name, slot);
		aml_device_begin(a, name);
		aml_name_int(a, "_ADR", slot << 16);
		aml_name_int(a, "_SUN", slot);
		aml_method_begin(a, "_EJ0", 1, true);
		aml_op(a, AML_STORE);
		aml_int(a, 1ull << slot);
		aml_path(a, "B0EJ");
		aml_end(a);
		aml_end(a);
	}
	aml_method_begin(a, "PCNT", 0, true);
	notify_slots(a, "PCIU", NOTIFY_DEVICE_CHECK);
	notify_slots(a, "PCID", NOTIFY_EJECT_REQUEST);
	aml_end(a);
}

static void hotplug_event(struct aml *a)
{
	aml_scope_begin(a, "\\_GPE");
	aml_method_begin(a, "_E01", 0, false);
	aml_path(a, "\\_SB.PCI0.PCNT");
	aml_end(a);
	aml_end(a);
}

static void hpet(struct aml *a)
{
	aml_device_begin(a, "HPET");
	aml_name_eisaid(a, "_HID", "PNP0103");
	aml_name_int(a, "_UID", 0);
	aml_name(a, "_CRS");
	aml_resources_begin(a);
	aml_res_memory32(a, PC_HPET_BASE, 0x400, false);
	aml_end(a);
	aml_end(a);
}

static void processors(struct aml *a, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		char name[5];

		snprintf(name, sizeof(name), "C%03X", i & 0xfff);
		aml_device_begin(a, name);
		aml_name_string(a, "_HID", "ACPI0007");
		aml_name_int(a, "_UID", i);
		aml_end(a);
	}
}

void dsdt_append(struct aml *a, const struct fw_tables_config *cfg)
{
	aml_scope_begin(a, "\\_SB");
	aml_device_begin(a, "PCI0");
	aml_name_eisaid(a, "_HID", "PNP0A03");
	aml_name_int(a, "_UID", 0);
	aml_name_int(a, "_BBN", 0);
	pci_windows(a, cfg);
	pci_routing(a);
	isa_bridge(a, cfg);
	board_ports(a, cfg);
	pci_slots(a);
	aml_end(a);
	interrupt_links(a);
	if (!cfg->no_hpet)
		hpet(a);
	processors(a, cfg->cpus);
	aml_end(a);
	hotplug_event(a);

	aml_name(a, "\\_S5");
	aml_package_begin(a, 4);
	aml_int(a, PC_SLP_TYP_S5);
	aml_int(a, PC_SLP_TYP_S5);
	aml_int(a, 0);
	aml_int(a, 0);
	aml_end(a);
}
