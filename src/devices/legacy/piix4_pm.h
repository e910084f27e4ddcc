/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PIIX4 power management, 8086:7113 at 00:01.3: ACPI fixed hardware (PM1a, PM timer, GPE0), the
 * SMI command port, and an SMBus host with nothing on the bus.
 * Source: Intel 82371AB data sheet (290562-001) chapters 7 and 10; ACPI 6.5 §4.8.
 * Register table: docs/devices/piix4_pm.md.
 *
 * Threads: with the VM lock held. The PM timer's overflow runs on the io thread.
 */
#ifndef LODGE_DEVICES_LEGACY_PIIX4_PM_H
#define LODGE_DEVICES_LEGACY_PIIX4_PM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "bus/pci.h"
#include "io/loop.h"

/* What the FADT tells guests, and what SeaBIOS programs. */
#define PIIX4_PM_BASE 0x600u
#define PIIX4_PM_LEN 64u
#define PIIX4_PM1_EVT 0x00u /* status, enable */
#define PIIX4_PM1_CNT 0x04u
#define PIIX4_PM_TMR 0x08u
#define PIIX4_SMB_BASE 0x700u
#define PIIX4_SMB_LEN 64u
#define PIIX4_GPE_BASE 0xafe0u /* fixed, not the chip's own place */
#define PIIX4_GPE_LEN 4u
#define PIIX4_SMI_CMD 0xb2u
#define PIIX4_ACPI_ENABLE 0xf1u
#define PIIX4_ACPI_DISABLE 0xf0u
#define PIIX4_SCI_IRQ 9u
#define PM_TIMER_HZ 3579545u

/* SLP_TYP values: _S5, _S3 and _S4 of the DSDT. */
#define PIIX4_SLP_TYP_S5 0u
#define PIIX4_SLP_TYP_S3 1u
#define PIIX4_SLP_TYP_S4 2u

struct piix4_pm_config {
	struct irq_line sci; /* ISA IRQ 9: level-triggered, active high */
	/* SLP_EN with S5 (or S4): the guest turned the machine off. */
	void (*power_off)(void *opaque);
	/* SLP_EN with S3. NULL: the write does nothing. */
	void (*suspend)(void *opaque);
	void *opaque;
};

struct piix4_pm;
/*
 * Maps the SMI command port and the GPE0 block on the bus of `pb`; the PM and SMBus blocks follow
 * configuration space. NULL and err on failure. `cfg` is copied.
 */
struct piix4_pm *piix4_pm_new(struct pci_bus *pb, struct io_loop *loop,
			      const struct piix4_pm_config *cfg, struct lodge_err *err);
void piix4_pm_free(struct piix4_pm *s);
struct device *piix4_pm_device(struct piix4_pm *s);
/*
 * What firmware would have done: PM block at PIIX4_PM_BASE and SMBus at PIIX4_SMB_BASE, both on.
 * ACPI mode stays off until the guest writes PIIX4_ACPI_ENABLE to the SMI command port.
 */
void piix4_pm_program(struct piix4_pm *s);
/* Where the PM block is; 0 while it does not decode. */
uint16_t piix4_pm_base(const struct piix4_pm *s);
/* The power button is pressed: PWRBTN_STS, and SCI when enabled. */
void piix4_pm_power_button(struct piix4_pm *s);
/* Set GPE0 status bit `n` (0..15). */
void piix4_pm_gpe(struct piix4_pm *s, unsigned n);
/* The machine woke up from S3: WAK_STS, and why. */
void piix4_pm_woke(struct piix4_pm *s, bool power_button);

#endif
