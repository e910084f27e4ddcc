// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The 440FX host bridge: shadow RAM attributes and SMRAM. See i440fx.h.
 * Source: Intel 82441FX data sheet (290549-001) chapter 3.2.
 * Threads: with the VM lock held.
 * Saved state: version 1.
 */
#include "devices/legacy/i440fx.h"

#include <errno.h>
#include <stdlib.h>

#include "base/range.h"

#define PAM0 0x59u
#define PAM_LAST 0x5fu
#define SMRAM 0x72u
#define SMRAM_D_OPEN 0x40u
#define SMRAM_D_LCK 0x10u
#define SMRAM_G_ENABLE 0x08u
#define SMRAM_WRITABLE 0x78u
#define ATTR_MASK 3u

struct i440fx {
	struct pci_dev pci;
	struct i440fx_host host;
	uint8_t pam[I440FX_PAM_REGIONS]; /* what the host was told */
	uint8_t smram;			 /* the same */
	bool told;
};

/* §3.2: what matters to a guest, and what firmware probes. DRAM and timing registers just store. */
static const struct reg_desc i440fx_regs[] = {
	{"PCICMD", PCI_COMMAND, 2, 0x0006, 0x0100, 0, 0},
	{"PCISTS", PCI_STATUS, 2, 0x0280, 0, 0x7900, 0},
	{"MLT", PCI_LATENCY, 1, 0, 0xf8, 0, 0},
	{"PMCCFG", 0x50, 2, 0, 0xffff, 0, 0},
	{"DETURBO", 0x52, 1, 0, 0xff, 0, 0},
	{"DBC", 0x53, 1, 0x83, 0xff, 0, 0},
	{"AXC", 0x54, 1, 0, 0xff, 0, 0},
	{"DRT", 0x55, 2, 0, 0xffff, 0, 0},
	{"DRAMC", 0x57, 1, 0x01, 0xff, 0, 0},
	{"DRAMT", 0x58, 1, 0, 0xff, 0, 0},
	{"PAM0", 0x59, 1, 0, 0x33, 0, 0},
	{"PAM1", 0x5a, 1, 0, 0x33, 0, 0},
	{"PAM2", 0x5b, 1, 0, 0x33, 0, 0},
	{"PAM3", 0x5c, 1, 0, 0x33, 0, 0},
	{"PAM4", 0x5d, 1, 0, 0x33, 0, 0},
	{"PAM5", 0x5e, 1, 0, 0x33, 0, 0},
	{"PAM6", 0x5f, 1, 0, 0x33, 0, 0},
	{"DRB0-3", 0x60, 4, 0x01010101, 0xffffffff, 0, 0},
	{"DRB4-7", 0x64, 4, 0x01010101, 0xffffffff, 0, 0},
	{"FDHC", 0x68, 1, 0, 0xff, 0, 0},
	{"MTT", 0x70, 1, 0, 0xff, 0, 0},
	{"CLT", 0x71, 1, 0x10, 0xff, 0, 0},
	{"SMRAM", SMRAM, 1, 0x02, SMRAM_WRITABLE, 0, 0},
	{"ERRCMD", 0x90, 1, 0, 0xff, 0, 0},
	{"ERRSTS", 0x91, 1, 0, 0, 0x1f, 0},
};

static const struct pci_ident i440fx_ident = {
	.vendor = 0x8086,
	.device = 0x1237,
	.class_code = 0x0600,
	.revision = 2,
	.subsys_vendor = 0x1af4,
	.subsys = 0x1100,
};

/*
 * Region 0 is 0xF0000–0xFFFFF, in the high nibble of PAM0; the other twelve are 16 KiB each from
 * 0xC0000, low nibble first, in PAM1–PAM6 (data sheet table 7).
 */
static void pam_region(unsigned n, gpa_t *gpa, uint32_t *len)
{
	*gpa = n ? 0xc0000u + (n - 1) * 0x4000u : 0xf0000u;
	*len = n ? 0x4000u : 0x10000u;
}

static uint8_t pam_attr(const struct i440fx *s, unsigned n)
{
	unsigned nibble = n + 1;

	return (uint8_t)(reg_get8(&s->pci.cfg, PAM0 + nibble / 2) >> (nibble % 2 ? 4 : 0)) &
	       ATTR_MASK;
}

static void i440fx_update(struct i440fx *s)
{
	uint8_t smram = reg_get8(&s->pci.cfg, SMRAM);

	for (unsigned n = 0; n < I440FX_PAM_REGIONS; n++) {
		uint8_t attr = pam_attr(s, n);
		uint32_t len;
		gpa_t gpa;

		if (s->told && s->pam[n] == attr)
			continue;
		s->pam[n] = attr;
		pam_region(n, &gpa, &len);
		s->host.pam(s->host.opaque, gpa, len, attr);
	}
	if ((!s->told || s->smram != smram) && s->host.smram)
		s->host.smram(s->host.opaque, smram & SMRAM_G_ENABLE, smram & SMRAM_D_OPEN);
	s->smram = smram;
	s->told = true;
}

/* Once D_LCK is set, SMRAM is read-only and D_OPEN reads 0 until reset (§3.2.22). */
static void smram_lock(struct i440fx *s)
{
	uint8_t v = reg_get8(&s->pci.cfg, SMRAM);

	s->pci.cfg.write[SMRAM] = v & SMRAM_D_LCK ? 0 : SMRAM_WRITABLE;
	if (v & SMRAM_D_LCK)
		reg_set8(&s->pci.cfg, SMRAM, (uint8_t)(v & ~SMRAM_D_OPEN));
}

static void i440fx_config_written(struct pci_dev *d, unsigned off, unsigned size)
{
	struct i440fx *s = container_of(d, struct i440fx, pci);

	if (reg_hit(off, size, SMRAM, 1))
		smram_lock(s);
	if (reg_hit(off, size, SMRAM, 1) || reg_hit(off, size, PAM0, PAM_LAST - PAM0 + 1))
		i440fx_update(s);
}

static void i440fx_reset(struct device *dev)
{
	struct i440fx *s = container_of(dev, struct i440fx, pci.dev);

	pci_dev_reset(&s->pci);
	smram_lock(s);
	s->told = false;
	i440fx_update(s);
}

static int i440fx_post_load(struct device *dev)
{
	struct i440fx *s = container_of(dev, struct i440fx, pci.dev);

	s->pci.cfg.write[SMRAM] = SMRAM_WRITABLE;
	if (pci_dev_loaded(&s->pci))
		return -EINVAL;
	smram_lock(s);
	i440fx_update(s);
	return 0;
}

static const struct state_field i440fx_fields[] = {
	PCI_STATE_FIELDS(struct i440fx, pci),
	STATE_END,
};

static const struct device_class i440fx_class = {
	.name = "i440fx",
	.version = 1,
	.reset = i440fx_reset,
	.fields = i440fx_fields,
	.post_load = i440fx_post_load,
};

static const struct pci_dev_ops i440fx_ops = {
	.config_written = i440fx_config_written,
};

struct i440fx *i440fx_new(struct pci_bus *pb, const struct i440fx_host *host, struct lodge_err *err)
{
	struct i440fx *s = calloc(1, sizeof(*s));

	if (!s) {
		err_set(err, -ENOMEM, "no memory for the host bridge: free some and retry");
		return NULL;
	}
	if (pci_dev_init(&s->pci, pb, pci_devfn(0, 0), &i440fx_ident, &i440fx_class, &i440fx_ops,
			 err)) {
		free(s);
		return NULL;
	}
	pci_dev_add_regs(&s->pci, i440fx_regs, ARRAY_SIZE(i440fx_regs));
	s->host = *host;
	return s;
}

void i440fx_free(struct i440fx *s)
{
	if (!s)
		return;
	pci_dev_remove(&s->pci);
	free(s);
}

struct device *i440fx_device(struct i440fx *s)
{
	return &s->pci.dev;
}

void i440fx_set_pam(struct i440fx *s, unsigned attr)
{
	uint8_t both = (uint8_t)((attr & ATTR_MASK) * 0x11u);

	reg_set8(&s->pci.cfg, PAM0, (uint8_t)(both & 0xf0));
	for (unsigned r = PAM0 + 1; r <= PAM_LAST; r++)
		reg_set8(&s->pci.cfg, r, both);
	i440fx_update(s);
}
