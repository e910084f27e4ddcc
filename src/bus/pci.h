/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Conventional PCI: functions with configuration space, BARs and INTx on bus 0, reached by
 * configuration mechanism #1.
 * Source: PCI Local Bus Specification 3.0, chapters 2.2.6 (INTx), 3.2.2.3.2 (mechanism #1),
 * 6 (configuration space); PCI Bus Power/MSI are capabilities added by their owners.
 *
 * A PCI device begins with struct pci_dev (which begins with struct device). It calls pci_dev_init,
 * describes its own registers and BARs, and from then on configuration accesses are handled here:
 * the device only hears of writes that it may care for.
 *
 * Threads: with the VM lock held.
 */
#ifndef LODGE_BUS_PCI_H
#define LODGE_BUS_PCI_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "bus/bus.h"
#include "bus/device.h"
#include "bus/regs.h"

/* Configuration header, type 0 (PCI 3.0 §6.1). */
enum {
	PCI_VENDOR_ID = 0x00,
	PCI_DEVICE_ID = 0x02,
	PCI_COMMAND = 0x04,
	PCI_STATUS = 0x06,
	PCI_REVISION = 0x08,
	PCI_CLASS_PROG = 0x09,
	PCI_CLASS = 0x0a,
	PCI_CACHE_LINE = 0x0c,
	PCI_LATENCY = 0x0d,
	PCI_HEADER_TYPE = 0x0e,
	PCI_BAR0 = 0x10,
	PCI_SUBSYS_VENDOR = 0x2c,
	PCI_SUBSYS_ID = 0x2e,
	PCI_ROM_BAR = 0x30,
	PCI_CAP_PTR = 0x34,
	PCI_INT_LINE = 0x3c,
	PCI_INT_PIN = 0x3d,
};

#define PCI_COMMAND_IO 0x0001u
#define PCI_COMMAND_MEM 0x0002u
#define PCI_COMMAND_MASTER 0x0004u
#define PCI_COMMAND_INTX_OFF 0x0400u
#define PCI_STATUS_INTX 0x0008u
#define PCI_STATUS_CAPS 0x0010u
#define PCI_STATUS_DEVSEL_MEDIUM 0x0200u

#define PCI_BARS 7u /* six, and the expansion ROM */
#define PCI_BAR_ROM 6u

#define PCI_CFG1_PORT 0xcf8u /* where the board maps pci_cfg1_ops */
#define PCI_CFG1_LEN 8u

struct pci_bus;
struct pci_dev;

struct pci_ident {
	uint16_t vendor, device;
	uint16_t class_code; /* base class << 8 | subclass */
	uint8_t prog_if, revision;
	uint16_t subsys_vendor, subsys;
	uint8_t int_pin; /* 0 = none, 1 = INTA# … 4 = INTD# */
	bool multifunction;
};

struct pci_dev_ops {
	/* After a guest wrote [off, off + size) of configuration space. May be NULL. */
	void (*config_written)(struct pci_dev *d, unsigned off, unsigned size);
	/* Before a guest reads [off, off + size): to refresh live registers. May be NULL. */
	void (*config_reading)(struct pci_dev *d, unsigned off, unsigned size);
	/* A BAR began (on) or ceased to decode at `base`. For BARs of memory; may be NULL. */
	void (*bar_moved)(struct pci_dev *d, unsigned bar, bool on, uint64_t base);
};

enum pci_bar_kind { PCI_BAR_NONE, PCI_BAR_IO, PCI_BAR_MEM32, PCI_BAR_MEM64, PCI_BAR_UPPER };

struct pci_bar {
	enum pci_bar_kind kind;
	bool mapped;
	uint64_t size;		   /* power of two */
	uint64_t base;		   /* valid while mapped */
	struct bus_region *region; /* NULL for BARs without bus_ops */
};

struct pci_dev {
	struct device dev; /* first */
	struct pci_bus *bus;
	const struct pci_dev_ops *ops;
	uint8_t devfn;
	uint8_t intx;	 /* what the device wants of its pin */
	uint8_t intx_on; /* what the pin shows: intx, unless disabled in the command register */
	uint8_t cap_end; /* first free byte behind the capabilities */
	struct reg_file cfg;
	struct pci_bar bar[PCI_BARS];
};

/* Saved-state fields of the PCI part of a device struct whose pci_dev member is `m`. */
#define PCI_STATE_FIELDS(type, m) STATE_BUFFER(type, m.cfg.val), STATE_FIELD(type, m.intx)

/* `bus` is borrowed: BARs are mapped there. NULL when out of memory. */
struct pci_bus *pci_bus_new(struct bus *bus);
void pci_bus_free(struct pci_bus *pb); /* devices are their owners' */
struct device *pci_bus_device(struct pci_bus *pb);
/* The bus the BARs and movable port blocks are mapped on. */
struct bus *pci_bus_space(struct pci_bus *pb);

/* Where PIRQ 0..3 go: the OR of all functions on that line, on changes. Copied. */
void pci_bus_set_pirq(struct pci_bus *pb, const struct irq_line pirq[4]);
/* Where message-signalled interrupts go (the APIC bus). */
void pci_bus_set_msi(struct pci_bus *pb, void (*send)(void *opaque, uint64_t addr, uint32_t data),
		     void *opaque);
/*
 * Messages that are sent again and again may have a way of their own (bus/msix.c): a handle, or negative; sent by
 * it, or false. Optional. Copied.
 */
struct pci_msi_ways {
	void *opaque;
	int (*open)(void *opaque);
	void (*close)(void *opaque, int way);
	bool (*send)(void *opaque, int way, uint64_t addr, uint32_t data);
};
void pci_bus_set_msi_ways(struct pci_bus *pb, const struct pci_msi_ways *ways);
/* Who answers port 0xCF9, which lies inside the configuration ports (the ISA bridge). */
struct pci_reset_port {
	uint8_t (*read)(void *opaque);
	void (*write)(void *opaque, uint8_t val);
	void *opaque;
};
void pci_bus_set_reset_port(struct pci_bus *pb, const struct pci_reset_port *port);

/* Ports 0xCF8–0xCFF; the opaque is the struct pci_bus. */
extern const struct bus_ops pci_cfg1_ops;

/*
 * The same accesses without the ports: firmware tables, tests, ECAM. `bdf` is bus << 8 | devfn,
 * `size` 1, 2 or 4. Where no function is: ones, and writes vanish.
 */
uint32_t pci_config_read(struct pci_bus *pb, uint16_t bdf, unsigned off, unsigned size);
void pci_config_write(struct pci_bus *pb, uint16_t bdf, unsigned off, uint32_t val, unsigned size);
/* The function at `devfn`, or NULL. */
struct pci_dev *pci_bus_find(struct pci_bus *pb, uint8_t devfn);

static inline uint8_t pci_devfn(unsigned slot, unsigned func)
{
	return (uint8_t)(slot << 3 | func);
}

/*
 * Make `d` a function of `pb` with the standard header. `cls` and `ops` (may be NULL) are borrowed.
 * -EBUSY with a sentence when the place is taken.
 */
int pci_dev_init(struct pci_dev *d, struct pci_bus *pb, uint8_t devfn, const struct pci_ident *id,
		 const struct device_class *cls, const struct pci_dev_ops *ops,
		 struct lodge_err *err) MUST_CHECK;
/* Take it off the bus and lower its interrupt; its bus regions stay hidden. */
void pci_dev_remove(struct pci_dev *d);
/* Before pci_dev_remove() of one that goes while the bus stays: nothing of it is left there. */
void pci_dev_unmap(struct pci_dev *d);
/* Registers beyond (or instead of) the header's: masks and reset values. */
void pci_dev_add_regs(struct pci_dev *d, const struct reg_desc *descs, size_t n);
/*
 * BAR `n` (PCI_BAR_ROM for the ROM) of `size` bytes, a power of two, at least 16 (memory) or 4
 * (ports). With `ops` the accesses go there; without, the device maps memory in bar_moved.
 * -EINVAL for a bad BAR, -ENOMEM.
 */
int pci_dev_add_bar(struct pci_dev *d, unsigned n, enum pci_bar_kind kind, bool prefetch,
		    uint64_t size, const struct bus_ops *ops, void *opaque,
		    const char *name) MUST_CHECK;
/* A capability of `len` bytes (header included), zeroed and read-only. Its offset, or -ENOSPC. */
int pci_dev_add_cap(struct pci_dev *d, uint8_t id, uint8_t len) MUST_CHECK;
/* For the device's reset: configuration to reset values, BARs unmapped, interrupt lowered. */
void pci_dev_reset(struct pci_dev *d);
/* For the device's post_load: refuse foreign identity, map BARs, drive the pin. */
int pci_dev_loaded(struct pci_dev *d) MUST_CHECK;

/* Drive the function's INTx pin. */
void pci_irq_set(struct pci_dev *d, bool level);
/* Send a message-signalled interrupt; dropped while the function is no bus master. */
void pci_msi_send(struct pci_dev *d, uint64_t addr, uint32_t data);
/* The same by `way`, if it is not negative and takes it. */
void pci_msi_send_by(struct pci_dev *d, int way, uint64_t addr, uint32_t data);
int pci_msi_way_open(struct pci_dev *d);
void pci_msi_way_close(struct pci_dev *d, int way);
bool pci_is_master(const struct pci_dev *d);
/* PIRQ line (0..3) that `pin` (1..4) of `devfn` is wired to: slot 1 INTA# is PIRQ 0, and so on. */
unsigned pci_pirq_of(uint8_t devfn, unsigned pin);

#endif
