/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fixed addresses and wires of the "pc" machine that both the tables written here and the board
 * must agree on. docs/devices/firmware.md has the map drawn out.
 * Source: Intel 440FX, PIIX3 and PIIX4 data sheets; the values SeaBIOS programs on this board.
 */
#ifndef LODGE_FIRMWARE_PLATFORM_H
#define LODGE_FIRMWARE_PLATFORM_H

#include <stdint.h>

/* Physical memory. RAM below 4 GiB ends at the latest at PC_LOW_RAM_MAX. */
#define PC_BASE_MEM_END 0x9fc00u /* conventional memory ends, the EBDA begins */
#define PC_EBDA 0x9fc00u
#define PC_EBDA_BYTES 0x400u
#define PC_VGA_START 0xa0000u
#define PC_FW_START 0xe0000u /* tables; reserved in e820 */
#define PC_FW_END 0x100000u
#define PC_HIGH_MEM 0x100000u
#define PC_LOW_RAM_MAX 0xc0000000ull
#define PC_PCI32_START 0xc0000000ull /* BARs below 4 GiB */
#define PC_PCI32_END 0xfec00000ull
#define PC_IOAPIC_BASE 0xfec00000u
#define PC_HPET_BASE 0xfed00000u
#define PC_LAPIC_BASE 0xfee00000u
/* The board aliases PC_FW_START..PC_FW_END here, read-only, so the reset vector has code. */
#define PC_FW_ALIAS 0xfffe0000u
#define PC_4G 0x100000000ull

/* PIIX4 power management, where firmware puts it. */
#define PC_PM_BASE 0x600u
#define PC_PM1_EVT 0u /* from there; status, enable: 2 bytes each */
#define PC_PM1_CNT 4u
#define PC_PM_TMR 8u /* 24 bits, 3.579545 MHz */
#define PC_GPE0_BLK 0xafe0u
#define PC_GPE0_LEN 4u
#define PC_SCI_IRQ 9u
#define PC_HOTPLUG_PORT 0xae00u /* PCIU, PCID, B0EJ: 4 bytes each, a bit a slot */
#define PC_HOTPLUG_LEN 12u
#define PC_SMI_CMD 0xb2u
#define PC_ACPI_ENABLE 0xf1u  /* written to PC_SMI_CMD: SCI_EN becomes 1 */
#define PC_ACPI_DISABLE 0xf0u /* SCI_EN becomes 0 */
#define PC_RESET_PORT 0xcf9u
#define PC_RESET_VALUE 6u
#define PC_SLP_TYP_S5 0u /* PM1_CNT.SLP_TYP that turns the power off */

#define PC_FWCFG_PORT 0x510u

/*
 * Virtual wire mode (MP 1.4 §3.6.2.2), as firmware leaves the boot processor's local APIC. Without
 * it the 8259s' interrupts never reach a kernel that does not use the APIC.
 */
#define PC_LAPIC_SVR 0x1ffu   /* offset 0xf0: enabled, spurious vector 255 */
#define PC_LAPIC_LINT0 0x700u /* offset 0x350: ExtINT, not masked */
#define PC_LAPIC_LINT1 0x400u /* offset 0x360: NMI */

/* The HPET's capability register, low half: 3 comparators, 64 bits, legacy replacement. */
#define PC_HPET_BLOCK_ID 0x8086a201u

/*
 * PCI interrupts: pin p (0 = INTA) of slot s reaches PIRQ (s + p - 1) & 3, which the PIIX3's
 * PIRQRC registers (01.0, offset 0x60-0x63) lead to an ISA IRQ. Firmware leaves them so, with these
 * IRQs level-triggered in the ELCR. Slot 1 pin A (PIIX4) is the SCI.
 */
#define PC_PIRQ_REG 0x60u
#define PC_PIRQA_IRQ 10u
#define PC_PIRQB_IRQ 10u
#define PC_PIRQC_IRQ 11u
#define PC_PIRQD_IRQ 11u
#define PC_PIIX_SLOT 1u

#define PC_ELCR ((1u << PC_SCI_IRQ) | (1u << PC_PIRQA_IRQ) | (1u << PC_PIRQC_IRQ))

static inline unsigned pc_pirq_of(unsigned slot, unsigned pin)
{
	return (slot + pin + 3) & 3;
}

#endif
