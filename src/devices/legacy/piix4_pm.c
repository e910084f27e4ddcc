// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * PIIX4 power management: ACPI fixed hardware, SMI command port, SMBus host. See piix4_pm.h.
 * Source: Intel 82371AB data sheet (290562-001) chapters 7.1, 7.2, 7.3; ACPI 6.5 §4.8.3.
 * Threads: with the VM lock held; the PM timer's overflow runs on the io thread.
 * Saved state: version 1.
 */
#include "devices/legacy/piix4_pm.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/range.h"

/* Configuration space (§7.1). */
#define CFG_PMBA 0x40u
#define CFG_PMREGMISC 0x80u
#define CFG_SMBBA 0x90u
#define CFG_SMBHSTCFG 0xd2u
#define PMBA_BASE 0xffc0u
#define SMBBA_BASE 0xfff0u
#define CFG_IO_ON 1u /* of PMREGMISC and SMBHSTCFG */

/* PM block (§7.2); ACPI 6.5 §4.8.3. */
#define PM1_STS 0x00u
#define PM1_EN 0x02u
#define PM1_CNT 0x04u
#define PM_TMR 0x08u
#define STS_TMR 0x0001u
#define STS_GBL 0x0020u
#define STS_PWRBTN 0x0100u
#define STS_RTC 0x0400u
#define STS_WAK 0x8000u
#define STS_SCI (STS_TMR | STS_GBL | STS_PWRBTN | STS_RTC)
#define CNT_SCI_EN 0x0001u
/* SLP_TYP and SLP_EN, in the upper byte of PM1_CNT. */
#define CNT_HIGH_SLP_TYP_SHIFT 2
#define CNT_HIGH_SLP_EN 0x20u

#define TMR_BITS 24
#define TMR_HALF (1u << (TMR_BITS - 1)) /* its top bit changes every so many ticks */

#define GPE_STS 0u
#define GPE_EN 2u

/* SMBus host (§7.3). */
#define SMB_STS 0u
#define SMB_CNT 2u
#define SMB_STS_DEV_ERR 0x04u
#define SMB_CNT_START 0x40u

struct piix4_pm {
	struct pci_dev pci;
	struct piix4_pm_config cfg;
	struct reg_file pm, gpe, smb;
	struct bus_region *pm_io, *smb_io, *gpe_io, *smi_io;
	uint8_t apmc, apms;  /* ports 0xb2, 0xb3 */
	uint8_t sci_on;	     /* what the line shows */
	uint64_t tmr_ns;     /* when the PM timer was 0 */
	uint64_t tmr_change; /* tick of the next change of its top bit, counted from tmr_ns */
	struct io_timer timer;
};

static const struct reg_desc config_regs[] = {
	{"PCICMD", PCI_COMMAND, 2, 0, 0x0001, 0, 0},
	{"PCISTS", PCI_STATUS, 2, 0x0280, 0, 0x0800, 0},
	{"CLT", PCI_CACHE_LINE, 2, 0, 0, 0, 0},
	{"PMBA", CFG_PMBA, 4, 1, PMBA_BASE, 0, 0},
	{"CNTA", 0x44, 4, 0, 0xffffffff, 0, 0},
	{"CNTB", 0x48, 4, 0, 0xffffffff, 0, 0},
	{"GPICTL", 0x4c, 4, 0, 0xffffffff, 0, 0},
	{"DEVRESD", 0x50, 4, 0, 0xffffffff, 0, 0},
	{"DEVACTA", 0x54, 4, 0, 0xffffffff, 0, 0},
	/* APMC_EN is set: firmware takes that as SMM being set up already, and there is none. */
	{"DEVACTB", 0x58, 4, 0x02000000, 0xffffffff, 0, 0},
	{"DEVRESA", 0x5c, 4, 0, 0xffffffff, 0, 0},
	{"DEVRESB", 0x60, 4, 0, 0xffffffff, 0, 0},
	{"DEVRESC", 0x64, 4, 0, 0xffffffff, 0, 0},
	{"DEVRESE", 0x68, 4, 0, 0xffffffff, 0, 0},
	{"DEVRESF", 0x6c, 4, 0, 0xffffffff, 0, 0},
	{"DEVRESG", 0x70, 4, 0, 0xffffffff, 0, 0},
	{"DEVRESH", 0x74, 4, 0, 0xffffffff, 0, 0},
	{"DEVRESI", 0x78, 4, 0, 0xffffffff, 0, 0},
	{"DEVRESJ", 0x7c, 4, 0, 0xffffffff, 0, 0},
	{"PMREGMISC", CFG_PMREGMISC, 1, 0, 0x01, 0, 0},
	{"SMBBA", CFG_SMBBA, 4, 1, SMBBA_BASE, 0, 0},
	{"SMBHSTCFG", CFG_SMBHSTCFG, 1, 0, 0x0f, 0, 0},
	{"SMBSLVC", 0xd3, 1, 0, 0xff, 0, 0},
	{"SMBSHDW1", 0xd4, 1, 0, 0xff, 0, 0},
	{"SMBSHDW2", 0xd5, 1, 0, 0xff, 0, 0},
};

static const struct reg_desc pm_regs[] = {
	{"PMSTS", PM1_STS, 2, 0, 0, 0x8d31, STS_SCI | STS_WAK},
	{"PMEN", PM1_EN, 2, 0, 0x0521, 0, 0},
	/* SUS_EN is no state; GBL_RLS has nobody to tell. SMI command port: SCI_EN. */
	{"PMCNTRL", PM1_CNT, 2, 0, 0x1c03, 0, 0},
	{"PMTMR", PM_TMR, 4, 0, 0, 0, 0x00ffffff},
};

static const struct reg_desc gpe_regs[] = {
	{"GPE0_STS", GPE_STS, 2, 0, 0, 0xffff, 0},
	{"GPE0_EN", GPE_EN, 2, 0, 0xffff, 0, 0},
};

static const struct reg_desc smb_regs[] = {
	{"SMBHSTSTS", SMB_STS, 1, 0, 0, 0x1e, 0}, {"SMBSLVSTS", 1, 1, 0, 0, 0x3c, 0},
	{"SMBHSTCNT", SMB_CNT, 1, 0, 0x1f, 0, 0}, {"SMBHSTCMD", 3, 1, 0, 0xff, 0, 0},
	{"SMBHSTADD", 4, 1, 0, 0xff, 0, 0},	  {"SMBHSTDAT0", 5, 1, 0, 0xff, 0, 0},
	{"SMBHSTDAT1", 6, 1, 0, 0xff, 0, 0},	  {"SMBBLKDAT", 7, 1, 0, 0xff, 0, 0},
	{"SMBSLVCNT", 8, 1, 0, 0x0f, 0, 0},	  {"SMBSHDWCMD", 9, 1, 0, 0, 0, 0},
	{"SMBSLVEVT", 0x0a, 2, 0, 0xffff, 0, 0},  {"SMBSLVDAT", 0x0c, 2, 0, 0, 0, 0},
};

static const struct pci_ident piix4_pm_ident = {
	.vendor = 0x8086,
	.device = 0x7113,
	.class_code = 0x0680,
	.revision = 3,
	.subsys_vendor = 0x1af4,
	.subsys = 0x1100,
	.int_pin = 1,
};

/* PM timer. */

static uint64_t tmr_ticks(const struct piix4_pm *s)
{
	return mul_div_u64(clock_vm_ns() - s->tmr_ns, PM_TIMER_HZ, NS_PER_SEC);
}

/* The first nanosecond at which tmr_ticks is `tick`. */
static uint64_t tmr_tick_ns(const struct piix4_pm *s, uint64_t tick)
{
	return s->tmr_ns + mul_div_u64(tick, NS_PER_SEC, PM_TIMER_HZ) + 1;
}

/* TMR_STS is set when the top bit changes, in both directions (ACPI 6.5 §4.8.3.1.1). */
static void tmr_catch_up(struct piix4_pm *s)
{
	uint64_t ticks = tmr_ticks(s);

	if (ticks < s->tmr_change)
		return;
	s->tmr_change = (ticks | (TMR_HALF - 1)) + 1;
	reg_set16(&s->pm, PM1_STS, reg_get16(&s->pm, PM1_STS) | STS_TMR);
}

/*
 * Bring status, SCI and the overflow timer in line with the registers. SCI needs ACPI mode: without
 * it these events are SMIs, which nobody takes.
 */
static void pm_update(struct piix4_pm *s)
{
	uint16_t sts, en;
	bool sci;

	tmr_catch_up(s);
	sts = reg_get16(&s->pm, PM1_STS);
	en = reg_get16(&s->pm, PM1_EN);
	sci = (sts & en & STS_SCI) || (reg_get16(&s->gpe, GPE_STS) & reg_get16(&s->gpe, GPE_EN));
	sci = sci && (reg_get16(&s->pm, PM1_CNT) & CNT_SCI_EN);
	if (sci != s->sci_on) {
		s->sci_on = sci;
		irq_set(&s->cfg.sci, sci);
	}
	if ((en & STS_TMR) && !(sts & STS_TMR))
		io_timer_arm(&s->timer, tmr_tick_ns(s, s->tmr_change));
	else
		io_timer_cancel(&s->timer);
}

static void tmr_expired(void *opaque)
{
	pm_update(opaque);
}

static void pm_raise(struct piix4_pm *s, uint16_t sts)
{
	reg_set16(&s->pm, PM1_STS, reg_get16(&s->pm, PM1_STS) | sts);
	pm_update(s);
}

uint16_t piix4_pm_base(const struct piix4_pm *s)
{
	if (!(reg_get8(&s->pci.cfg, CFG_PMREGMISC) & CFG_IO_ON))
		return 0;
	return (uint16_t)(reg_get32(&s->pci.cfg, CFG_PMBA) & PMBA_BASE);
}

void piix4_pm_power_button(struct piix4_pm *s)
{
	pm_raise(s, STS_PWRBTN);
}

void piix4_pm_woke(struct piix4_pm *s, bool power_button)
{
	pm_raise(s, power_button ? STS_WAK | STS_PWRBTN : STS_WAK);
}

void piix4_pm_gpe(struct piix4_pm *s, unsigned n)
{
	if (n >= 16)
		return;
	reg_set16(&s->gpe, GPE_STS, (uint16_t)(reg_get16(&s->gpe, GPE_STS) | 1u << n));
	pm_update(s);
}

static void pm_sleep(struct piix4_pm *s, unsigned type)
{
	log_trace(LOG_PCI, "piix4: sleep type %u\n", type);
	if (type == PIIX4_SLP_TYP_S5 || type == PIIX4_SLP_TYP_S4) {
		if (s->cfg.power_off)
			s->cfg.power_off(s->cfg.opaque);
	} else if (type == PIIX4_SLP_TYP_S3 && s->cfg.suspend) {
		s->cfg.suspend(s->cfg.opaque);
	}
}

/* Register blocks. */

static uint64_t pm_read(void *dev, uint64_t off, unsigned size)
{
	struct piix4_pm *s = dev;

	pm_update(s);
	reg_set32(&s->pm, PM_TMR, (uint32_t)tmr_ticks(s) & (2 * TMR_HALF - 1));
	return reg_file_read(&s->pm, (uint32_t)off, size);
}

static void pm_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
	struct piix4_pm *s = dev;

	tmr_catch_up(s);
	reg_file_write(&s->pm, (uint32_t)off, val, size);
	pm_update(s);
	if (reg_hit((uint32_t)off, size, PM1_CNT + 1, 1)) {
		uint8_t high = (uint8_t)(val >> (8 * (PM1_CNT + 1 - off)));

		if (high & CNT_HIGH_SLP_EN)
			pm_sleep(s, high >> CNT_HIGH_SLP_TYP_SHIFT & 7);
	}
}

static uint64_t gpe_read(void *dev, uint64_t off, unsigned size)
{
	struct piix4_pm *s = dev;

	return reg_file_read(&s->gpe, (uint32_t)off, size);
}

static void gpe_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
	struct piix4_pm *s = dev;

	reg_file_write(&s->gpe, (uint32_t)off, val, size);
	pm_update(s);
}

static uint64_t smi_read(void *dev, uint64_t off, unsigned size)
{
	struct piix4_pm *s = dev;

	(void)size;
	return off ? s->apms : s->apmc;
}

/* What the SMI handler of a firmware would do (ACPI 6.5 §4.8.3.1.1, SMI_CMD). */
static void smi_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
	struct piix4_pm *s = dev;
	uint16_t cnt = reg_get16(&s->pm, PM1_CNT);

	(void)size;
	if (off) {
		s->apms = (uint8_t)val;
		return;
	}
	s->apmc = (uint8_t)val;
	if (s->apmc == PIIX4_ACPI_ENABLE)
		cnt |= CNT_SCI_EN;
	else if (s->apmc == PIIX4_ACPI_DISABLE)
		cnt &= (uint16_t)~CNT_SCI_EN;
	reg_set16(&s->pm, PM1_CNT, cnt);
	pm_update(s);
}

static uint64_t smb_read(void *dev, uint64_t off, unsigned size)
{
	struct piix4_pm *s = dev;

	return reg_file_read(&s->smb, (uint32_t)off, size);
}

/* Nobody answers on the bus: every transaction ends at once, unacknowledged. */
static void smb_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
	struct piix4_pm *s = dev;

	reg_file_write(&s->smb, (uint32_t)off, val, size);
	if (reg_hit((uint32_t)off, size, SMB_CNT, 1) &&
	    (val >> (8 * (SMB_CNT - off)) & SMB_CNT_START))
		reg_set8(&s->smb, SMB_STS, reg_get8(&s->smb, SMB_STS) | SMB_STS_DEV_ERR);
}

static const struct bus_ops pm_ops = {.read = pm_read, .write = pm_write};
static const struct bus_ops gpe_ops = {.read = gpe_read, .write = gpe_write};
static const struct bus_ops smb_ops = {.read = smb_read, .write = smb_write};
static const struct bus_ops smi_ops = {
	.read = smi_read, .write = smi_write, .min_size = 1, .max_size = 1};

/* Configuration. */

static void pm_map(struct piix4_pm *s)
{
	struct reg_file *cfg = &s->pci.cfg;
	uint16_t pm = reg_get16(cfg, CFG_PMBA) & PMBA_BASE;
	uint16_t smb = reg_get16(cfg, CFG_SMBBA) & SMBBA_BASE;
	bool smb_on = (reg_get8(cfg, CFG_SMBHSTCFG) & CFG_IO_ON) &&
		      (reg_get16(cfg, PCI_COMMAND) & PCI_COMMAND_IO) &&
		      range_ok(smb, PIIX4_SMB_LEN, 0x10000);

	bus_region_enable(s->pm_io, false);
	bus_region_enable(s->smb_io, false);
	if (reg_get8(cfg, CFG_PMREGMISC) & CFG_IO_ON) {
		bus_region_move(s->pm_io, pm);
		bus_region_enable(s->pm_io, true);
	}
	if (smb_on) {
		bus_region_move(s->smb_io, smb);
		bus_region_enable(s->smb_io, true);
	}
}

static void pm_config_written(struct pci_dev *d, unsigned off, unsigned size)
{
	if (reg_hit(off, size, CFG_PMBA, 4) || reg_hit(off, size, CFG_PMREGMISC, 1) ||
	    reg_hit(off, size, CFG_SMBBA, 4) || reg_hit(off, size, CFG_SMBHSTCFG, 1) ||
	    reg_hit(off, size, PCI_COMMAND, 2))
		pm_map(container_of(d, struct piix4_pm, pci));
}

void piix4_pm_program(struct piix4_pm *s)
{
	struct reg_file *cfg = &s->pci.cfg;

	reg_set32(cfg, CFG_PMBA, PIIX4_PM_BASE | 1);
	reg_set8(cfg, CFG_PMREGMISC, CFG_IO_ON);
	reg_set32(cfg, CFG_SMBBA, PIIX4_SMB_BASE | 1);
	reg_set8(cfg, CFG_SMBHSTCFG, 0x08 | CFG_IO_ON);
	reg_set8(cfg, PCI_INT_LINE, PIIX4_SCI_IRQ);
	reg_set16(cfg, PCI_COMMAND, PCI_COMMAND_IO);
	pm_map(s);
}

static void tmr_restart(struct piix4_pm *s)
{
	s->tmr_ns = clock_vm_ns();
	s->tmr_change = TMR_HALF;
}

static void piix4_pm_reset(struct device *dev)
{
	struct piix4_pm *s = container_of(dev, struct piix4_pm, pci.dev);

	pci_dev_reset(&s->pci);
	reg_file_reset(&s->pm);
	reg_file_reset(&s->gpe);
	reg_file_reset(&s->smb);
	s->apmc = s->apms = 0;
	tmr_restart(s);
	pm_map(s);
	pm_update(s);
}

static int piix4_pm_post_load(struct device *dev)
{
	struct piix4_pm *s = container_of(dev, struct piix4_pm, pci.dev);

	if (pci_dev_loaded(&s->pci) || reg_file_check(&s->pm) || reg_file_check(&s->gpe) ||
	    reg_file_check(&s->smb))
		return -EINVAL;
	if (!s->tmr_ns || s->tmr_ns > clock_vm_ns())
		tmr_restart(s);
	/* The next change is at most half a round away. */
	s->tmr_change = min_u64(s->tmr_change, (tmr_ticks(s) | (TMR_HALF - 1)) + 1);
	pm_map(s);
	pm_update(s);
	return 0;
}

static void piix4_pm_pre_save(struct device *dev)
{
	pm_update(container_of(dev, struct piix4_pm, pci.dev));
}

static const struct state_field piix4_pm_fields[] = {
	PCI_STATE_FIELDS(struct piix4_pm, pci),
	STATE_BUFFER(struct piix4_pm, pm.val),
	STATE_BUFFER(struct piix4_pm, gpe.val),
	STATE_BUFFER(struct piix4_pm, smb.val),
	STATE_FIELD(struct piix4_pm, apmc),
	STATE_FIELD(struct piix4_pm, apms),
	STATE_TIME(struct piix4_pm, tmr_ns),
	STATE_FIELD(struct piix4_pm, tmr_change),
	STATE_END,
};

static const struct device_class piix4_pm_class = {
	.name = "piix4-pm",
	.version = 1,
	.reset = piix4_pm_reset,
	.fields = piix4_pm_fields,
	.pre_save = piix4_pm_pre_save,
	.post_load = piix4_pm_post_load,
};

static const struct pci_dev_ops piix4_pm_ops = {
	.config_written = pm_config_written,
};

static bool pm_map_ports(struct piix4_pm *s)
{
	struct bus *bus = pci_bus_space(s->pci.bus);

	s->pm_io = bus_map_pio(bus, 0, PIIX4_PM_LEN, &pm_ops, s, "piix4-pm");
	if (s->pm_io)
		bus_region_enable(s->pm_io, false);
	s->smb_io = bus_map_pio(bus, 0, PIIX4_SMB_LEN, &smb_ops, s, "piix4-smbus");
	if (s->smb_io)
		bus_region_enable(s->smb_io, false);
	s->gpe_io = bus_map_pio(bus, PIIX4_GPE_BASE, PIIX4_GPE_LEN, &gpe_ops, s, "acpi-gpe0");
	s->smi_io = bus_map_pio(bus, PIIX4_SMI_CMD, 2, &smi_ops, s, "smi-command");
	return s->pm_io && s->smb_io && s->gpe_io && s->smi_io;
}

struct piix4_pm *piix4_pm_new(struct pci_bus *pb, struct io_loop *loop,
			      const struct piix4_pm_config *cfg, struct lodge_err *err)
{
	struct piix4_pm *s = calloc(1, sizeof(*s));

	if (!s) {
		err_set(err, -ENOMEM, "no memory for power management: free some and retry");
		return NULL;
	}
	if (pci_dev_init(&s->pci, pb, pci_devfn(1, 3), &piix4_pm_ident, &piix4_pm_class,
			 &piix4_pm_ops, err)) {
		free(s);
		return NULL;
	}
	pci_dev_add_regs(&s->pci, config_regs, ARRAY_SIZE(config_regs));
	reg_file_add(&s->pm, pm_regs, ARRAY_SIZE(pm_regs));
	reg_file_add(&s->gpe, gpe_regs, ARRAY_SIZE(gpe_regs));
	reg_file_add(&s->smb, smb_regs, ARRAY_SIZE(smb_regs));
	s->cfg = *cfg;
	io_timer_init(&s->timer, loop, tmr_expired, s);
	tmr_restart(s);
	if (!pm_map_ports(s)) {
		err_set(err, -ENOMEM, "no memory for power management ports: free some and retry");
		piix4_pm_free(s);
		return NULL;
	}
	return s;
}

void piix4_pm_free(struct piix4_pm *s)
{
	struct bus_region *r[] = {s ? s->pm_io : NULL, s ? s->smb_io : NULL, s ? s->gpe_io : NULL,
				  s ? s->smi_io : NULL};

	if (!s)
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(r); i++) {
		if (r[i])
			bus_region_enable(r[i], false);
	}
	io_timer_cancel(&s->timer);
	pci_dev_remove(&s->pci);
	free(s);
}

struct device *piix4_pm_device(struct piix4_pm *s)
{
	return &s->pci.dev;
}
