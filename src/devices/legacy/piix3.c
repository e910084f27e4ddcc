// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The PIIX3 ISA bridge: PCI interrupt routing and the reset control port. See piix3.h.
 * Source: Intel 82371FB/82371SB data sheet (290550-002) chapters 2.2 and 2.5.
 * Threads: with the VM lock held.
 * Saved state: version 1.
 */
#include "devices/legacy/piix3.h"

#include <errno.h>
#include <stdlib.h>

#include "base/range.h"

#define PIRQ_ROUTE 0x60u /* PIRQRCA–D */
#define PIRQ_OFF 0x80u
#define PIRQS 4u
#define IRQS 16u
/* Interrupts that PIRQ lines may be steered to (§2.2.6): not 0, 1, 2, 8, 13. */
#define PIRQ_IRQS 0xdef8u

/* Reset control register, port 0xCF9 (§2.5.5.2). */
#define RCR_HARD 0x02u
#define RCR_GO 0x04u

struct piix3 {
	struct pci_dev pci;
	struct piix3_config cfg;
	struct pci_bus *pb;
	uint8_t rcr;
	uint8_t pirq_level; /* bit n: PIRQ n is asserted; the bus's to tell, not state */
	uint16_t irq_level; /* what the outputs show */
};

static const struct reg_desc piix3_regs[] = {
	{"PCICMD", PCI_COMMAND, 2, 0x0007, 0x0108, 0, 0},
	{"PCISTS", PCI_STATUS, 2, 0x0200, 0, 0x7800, 0},
	{"CLT", PCI_CACHE_LINE, 2, 0, 0, 0, 0}, /* and no latency timer */
	{"IORT", 0x4c, 1, 0x4d, 0xff, 0, 0},
	{"XBCS", 0x4e, 2, 0x0003, 0x1fff, 0, 0},
	{"PIRQRCA", 0x60, 1, 0x80, 0x8f, 0, 0},
	{"PIRQRCB", 0x61, 1, 0x80, 0x8f, 0, 0},
	{"PIRQRCC", 0x62, 1, 0x80, 0x8f, 0, 0},
	{"PIRQRCD", 0x63, 1, 0x80, 0x8f, 0, 0},
	{"TOM", 0x69, 1, 0x02, 0xfe, 0, 0},
	{"MSTAT", 0x6a, 2, 0, 0x8090, 0, 0},
	{"MBIRQ0", 0x70, 1, 0x80, 0xef, 0, 0},
	{"MBDMA0", 0x76, 1, 0x0c, 0x8f, 0, 0},
	{"MBDMA1", 0x77, 1, 0x0c, 0x8f, 0, 0},
	{"PCSC", 0x78, 2, 0x0002, 0xffff, 0, 0},
	{"APICBASE", 0x80, 1, 0, 0x7f, 0, 0},
	{"DLC", 0x82, 1, 0, 0x0f, 0, 0},
	{"SMICNTL", 0xa0, 1, 0x08, 0x1f, 0, 0},
	{"SMIEN", 0xa2, 2, 0, 0x01ff, 0, 0},
	{"SEE", 0xa4, 4, 0, 0xe000fffb, 0, 0},
	{"FTMR", 0xa8, 1, 0x0f, 0xff, 0, 0},
	{"SMIREQ", 0xaa, 2, 0, 0x01ff, 0, 0},
	{"CTLTMR", 0xac, 1, 0, 0xff, 0, 0},
	{"CTHTMR", 0xae, 1, 0, 0xff, 0, 0},
};

static const struct pci_ident piix3_ident = {
	.vendor = 0x8086,
	.device = 0x7000,
	.class_code = 0x0601,
	.subsys_vendor = 0x1af4,
	.subsys = 0x1100,
	.multifunction = true,
};

int piix3_pirq(const struct piix3 *s, unsigned n)
{
	uint8_t route = reg_get8(&s->pci.cfg, PIRQ_ROUTE + n % PIRQS);
	unsigned irq = route & 0xf;

	return (route & PIRQ_OFF) || !(PIRQ_IRQS >> irq & 1) ? -1 : (int)irq;
}

/* Several PIRQ lines may share an interrupt; it follows the OR of them. */
static void piix3_update(struct piix3 *s)
{
	uint16_t level = 0;
	uint16_t changed;

	for (unsigned n = 0; n < PIRQS; n++) {
		int irq = piix3_pirq(s, n);

		if ((s->pirq_level >> n & 1) && irq >= 0)
			level = (uint16_t)(level | 1u << irq);
	}
	changed = level ^ s->irq_level;
	s->irq_level = level;
	for (unsigned i = 0; i < IRQS; i++) {
		if (changed >> i & 1)
			irq_set(&s->cfg.isa_irq[i], level >> i & 1);
	}
}

static void piix3_set_pirq(void *opaque, unsigned n, bool level)
{
	struct piix3 *s = opaque;

	s->pirq_level = (uint8_t)(level ? s->pirq_level | 1u << n : s->pirq_level & ~(1u << n));
	piix3_update(s);
}

void piix3_set_pirqs(struct piix3 *s, const uint8_t irq[4])
{
	for (unsigned n = 0; n < PIRQS; n++)
		reg_set8(&s->pci.cfg, PIRQ_ROUTE + n, irq[n] & 0xf);
	piix3_update(s);
}

static void piix3_config_written(struct pci_dev *d, unsigned off, unsigned size)
{
	if (reg_hit(off, size, PIRQ_ROUTE, PIRQS))
		piix3_update(container_of(d, struct piix3, pci));
}

static uint8_t piix3_rcr_read(void *opaque)
{
	struct piix3 *s = opaque;

	return s->rcr;
}

/* The reset happens on the 0-to-1 edge of RCPU, which is never seen set. */
static void piix3_rcr_write(void *opaque, uint8_t val)
{
	struct piix3 *s = opaque;

	s->rcr = val & RCR_HARD;
	if ((val & RCR_GO) && s->cfg.reset)
		s->cfg.reset(s->cfg.opaque, val & RCR_HARD);
}

static void piix3_reset(struct device *dev)
{
	struct piix3 *s = container_of(dev, struct piix3, pci.dev);

	pci_dev_reset(&s->pci);
	s->rcr = 0;
	piix3_update(s);
}

static int piix3_post_load(struct device *dev)
{
	struct piix3 *s = container_of(dev, struct piix3, pci.dev);

	if (pci_dev_loaded(&s->pci))
		return -EINVAL;
	s->rcr &= RCR_HARD;
	piix3_update(s);
	return 0;
}

static const struct state_field piix3_fields[] = {
	PCI_STATE_FIELDS(struct piix3, pci),
	STATE_FIELD(struct piix3, rcr),
	STATE_END,
};

static const struct device_class piix3_class = {
	.name = "piix3",
	.version = 1,
	.reset = piix3_reset,
	.fields = piix3_fields,
	.post_load = piix3_post_load,
};

static const struct pci_dev_ops piix3_ops = {
	.config_written = piix3_config_written,
};

struct piix3 *piix3_new(struct pci_bus *pb, const struct piix3_config *cfg, struct lodge_err *err)
{
	struct pci_reset_port port = {.read = piix3_rcr_read, .write = piix3_rcr_write};
	struct irq_line pirq[PIRQS];
	struct piix3 *s = calloc(1, sizeof(*s));

	if (!s) {
		err_set(err, -ENOMEM, "no memory for the ISA bridge: free some and retry");
		return NULL;
	}
	if (pci_dev_init(&s->pci, pb, pci_devfn(1, 0), &piix3_ident, &piix3_class, &piix3_ops,
			 err)) {
		free(s);
		return NULL;
	}
	pci_dev_add_regs(&s->pci, piix3_regs, ARRAY_SIZE(piix3_regs));
	s->cfg = *cfg;
	s->pb = pb;
	for (unsigned n = 0; n < PIRQS; n++)
		pirq[n] = (struct irq_line){.set = piix3_set_pirq, .opaque = s, .n = n};
	pci_bus_set_pirq(pb, pirq);
	port.opaque = s;
	pci_bus_set_reset_port(pb, &port);
	return s;
}

void piix3_free(struct piix3 *s)
{
	const struct irq_line none[PIRQS] = {0};

	if (!s)
		return;
	pci_bus_set_pirq(s->pb, none);
	pci_bus_set_reset_port(s->pb, &(struct pci_reset_port){0});
	pci_dev_remove(&s->pci);
	free(s);
}

struct device *piix3_device(struct piix3 *s)
{
	return &s->pci.dev;
}
