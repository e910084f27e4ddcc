// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Intel 82540EM: registers, interrupts, life. Transmitter, receiver and EEPROM are in files beside this.
 * Source: 317453-006 chapter 13 (registers), §13.4.17 to §13.4.21 (interrupts), §14 (initialization).
 * Saved state: version 1. No frame is in flight: see e1000_tx.c.
 * Threads: with the VM lock held; timers on the io thread.
 */
#include "devices/net/e1000.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/range.h"
#include "devices/net/e1000_int.h"
#include "net/offload.h"

#define MMIO_BYTES 0x20000u
#define IO_BYTES 64u
#define DELAY_NS 1024u	      /* unit of RDTR, RADV, TIDV, TADV */
#define THROTTLE_NS 256u      /* unit of ITR */
#define DELAY_FPD 0x80000000u /* RDTR, TIDV: now */

/* ---- Interrupts -----------------------------------------------------------------------------------
 */

static void update_irq(struct e1000 *s)
{
	bool on = *e1000_reg(s, ICR) & *e1000_reg(s, IMS);

	if (!on || s->pci.intx) {
		pci_irq_set(&s->pci, on);
		return;
	}
	/* A new interrupt: not before the interval since the last is over (§13.4.18). */
	if (*e1000_reg(s, ITR) & 0xffff) {
		uint64_t now = clock_vm_ns();

		if (now < s->throttle_ns) {
			if (!s->throttle.armed)
				io_timer_arm(&s->throttle, s->throttle_ns);
			return;
		}
		s->throttle_ns = now + (uint64_t)(*e1000_reg(s, ITR) & 0xffff) * THROTTLE_NS;
	}
	pci_irq_set(&s->pci, true);
}

static void throttle_over(void *opaque)
{
	struct e1000 *s = opaque;

	s->throttle_ns = 0;
	update_irq(s);
}

void e1000_cause(struct e1000 *s, uint32_t causes)
{
	*e1000_reg(s, ICR) |= causes & INT_ALL;
	update_irq(s);
}

/* Arm `t` for `delay` units from now, but no later than `*abs_ns`, which the first of a row sets. */
static void arm_delay(struct io_timer *t, uint32_t delay, uint32_t abs, uint64_t *abs_ns)
{
	uint64_t now = clock_vm_ns(), at = now + (uint64_t)(delay & 0xffff) * DELAY_NS;

	if (!t->armed)
		*abs_ns = abs & 0xffff ? now + (uint64_t)(abs & 0xffff) * DELAY_NS : UINT64_MAX;
	io_timer_arm(t, min_u64(at, *abs_ns));
}

static void delay_over(struct e1000 *s, uint32_t mask)
{
	uint32_t causes = s->delayed & mask;

	s->delayed &= ~mask;
	if (causes)
		e1000_cause(s, causes);
}

static void rx_delay_over(void *opaque)
{
	delay_over(opaque, INT_RXT0);
}

static void tx_delay_over(void *opaque)
{
	delay_over(opaque, INT_TXDW);
}

void e1000_cause_rx(struct e1000 *s, uint32_t causes)
{
	if ((causes & INT_RXT0) && (*e1000_reg(s, RDTR) & 0xffff)) {
		causes &= ~INT_RXT0;
		s->delayed |= INT_RXT0;
		arm_delay(&s->rx_timer, *e1000_reg(s, RDTR), *e1000_reg(s, RADV), &s->rx_abs_ns);
	}
	if (causes)
		e1000_cause(s, causes);
}

void e1000_cause_tx(struct e1000 *s, bool delay)
{
	if (delay && (*e1000_reg(s, TIDV) & 0xffff)) {
		s->delayed |= INT_TXDW;
		arm_delay(&s->tx_timer, *e1000_reg(s, TIDV), *e1000_reg(s, TADV), &s->tx_abs_ns);
		return;
	}
	e1000_cause(s, INT_TXDW);
}

/* ---- Counters -------------------------------------------------------------------------------------
 */

void e1000_count(struct e1000 *s, unsigned packets, unsigned octets, size_t len)
{
	uint64_t sum = (uint64_t)*e1000_reg(s, octets + 4) << 32 | *e1000_reg(s, octets);

	e1000_count_one(s, packets);
	/* They stick at their greatest value. */
	if (!add_ok(sum, len, &sum))
		sum = UINT64_MAX;
	*e1000_reg(s, octets) = (uint32_t)sum;
	*e1000_reg(s, octets + 4) = (uint32_t)(sum >> 32);
}

/* ---- Link -----------------------------------------------------------------------------------------
 */

static void set_link(struct e1000 *s)
{
	bool up = s->end.peer && !s->end.link_down && !s->end.peer->link_down;

	if (s->link_up == up)
		return;
	s->link_up = up;
	e1000_cause(s, INT_LSC);
}

static void end_link(void *opaque, bool up)
{
	(void)up;
	set_link(opaque);
}

static void end_ready(void *opaque)
{
	e1000_tx(opaque);
}

static void tx_more(void *opaque)
{
	e1000_tx(opaque);
}

static const struct net_end_ops end_ops = {
	.receive = e1000_receive,
	.ready = end_ready,
	.link = end_link,
};

/* ---- Registers ------------------------------------------------------------------------------------
 */

static void soft_reset(struct e1000 *s);

/* Registers that take what is written, and which bits of it. Others have a case of their own. */
static const struct {
	uint16_t first, last;
	uint32_t write;
} plain[] = {
	{CTRL_EXT, CTRL_EXT, 0xffffffff}, {FCAL, FCT, 0xffffffff},
	{VET, VET, 0x0000ffff},		  {FCTTV, FCTTV, 0x0000ffff},
	{TXCW, TXCW, 0xffffffff},	  {TIPG, TIPG, 0x3fffffff},
	{AIFS, AIFS, 0x0000ffff},	  {LEDCTL, LEDCTL, 0xffffffff},
	{PBA, PBA, 0x0000ffff},		  {FCRTL, FCRTH, 0xffffffff},
	{RDBAL, RDBAL, 0xfffffff0},	  {RDBAH, RDBAH, 0xffffffff},
	{RDLEN, RDLEN, 0x000fff80},	  {RDH, RDH, 0x0000ffff},
	{RXDCTL, RXDCTL, 0xffffffff},	  {RADV, RADV, 0x0000ffff},
	{RSRPD, RSRPD, 0x00000fff},	  {TXDMAC, TXDMAC, 0x00000001},
	{TDBAL, TDBAL, 0xfffffff0},	  {TDBAH, TDBAH, 0xffffffff},
	{TDLEN, TDLEN, 0x000fff80},	  {TDH, TDH, 0x0000ffff},
	{TXDCTL, TXDCTL, 0xffffffff},	  {TADV, TADV, 0x0000ffff},
	{TSPMT, TSPMT, 0xffffffff},	  {RXCSUM, RXCSUM, 0x000007ff},
	{MTA, RA_END - 4, 0xffffffff},	  {VFTA, VFTA_END - 4, 0xffffffff},
	{WUC, WUC, 0x0000000f},		  {WUFC, WUFC, 0x000fffff},
	{MANC, MANC, 0xffffffff},
};

static uint32_t read_reg(struct e1000 *s, unsigned off)
{
	uint32_t val;

	if (off >= E1000_REGS_END)
		return 0;
	val = *e1000_reg(s, off);
	switch (off) {
	case STATUS:
		return STATUS_FD | STATUS_SPEED_1000 | STATUS_ASDV_1000 |
		       (s->link_up ? STATUS_LU : 0);
	case EECD:
		return e1000_eecd_read(s);
	case ICR:
		*e1000_reg(s, ICR) = 0;
		update_irq(s);
		return val;
	case ICS:
	case IMC:
		return 0;
	case CTRL:
		return val & ~(CTRL_RST | CTRL_PHY_RST);
	default:
		if (off >= STATS && off < STATS_END)
			*e1000_reg(s, off) = 0;
		return val;
	}
}

static void write_ctrl(struct e1000 *s, uint32_t val)
{
	if (val & CTRL_RST) {
		soft_reset(s);
		return;
	}
	if (val & CTRL_PHY_RST) {
		e1000_phy_reset(s);
		if (s->link_up)
			e1000_cause(s, INT_LSC);
	}
	*e1000_reg(s, CTRL) = val & ~CTRL_PHY_RST;
}

static void write_delay(struct e1000 *s, unsigned off, uint32_t val)
{
	*e1000_reg(s, off) = val & 0xffff;
	if (!(val & DELAY_FPD))
		return;
	if (off == RDTR) {
		io_timer_cancel(&s->rx_timer);
		rx_delay_over(s);
	} else {
		io_timer_cancel(&s->tx_timer);
		tx_delay_over(s);
	}
}

static void write_plain(struct e1000 *s, unsigned off, uint32_t val)
{
	for (size_t i = 0; i < ARRAY_SIZE(plain); i++) {
		if (off >= plain[i].first && off <= plain[i].last) {
			*e1000_reg(s, off) = val & plain[i].write;
			return;
		}
	}
}

static void write_reg(struct e1000 *s, unsigned off, uint32_t val)
{
	switch (off) {
	case CTRL:
		write_ctrl(s, val);
		return;
	case EECD:
		e1000_eecd_write(s, val);
		return;
	case EERD:
		*e1000_reg(s, EERD) = e1000_eerd(s, val);
		return;
	case MDIC:
		e1000_mdic(s, val);
		return;
	case ICR:
		*e1000_reg(s, ICR) &= ~val;
		update_irq(s);
		return;
	case ITR:
		*e1000_reg(s, ITR) = val & 0xffff;
		return;
	case ICS:
		e1000_cause(s, val);
		return;
	case IMS:
		*e1000_reg(s, IMS) |= val & INT_ALL;
		update_irq(s);
		return;
	case IMC:
		*e1000_reg(s, IMS) &= ~val;
		update_irq(s);
		return;
	case RDTR:
	case TIDV:
		write_delay(s, off, val);
		return;
	case RCTL:
		*e1000_reg(s, RCTL) = val & 0x07fffffe;
		net_ready(&s->end);
		return;
	case RDT:
		*e1000_reg(s, RDT) = val & 0xffff;
		net_ready(&s->end);
		return;
	case TCTL:
		*e1000_reg(s, TCTL) = val & 0x01fffffa;
		e1000_tx(s);
		return;
	case TDT:
		*e1000_reg(s, TDT) = val & 0xffff;
		e1000_tx(s);
		return;
	default:
		write_plain(s, off, val);
		return;
	}
}

/* Only whole registers are there (§13.3); a narrower read gets its part of one. */
static uint64_t mmio_read(void *dev, uint64_t off, unsigned size)
{
	(void)size;
	return read_reg(dev, (unsigned)off & ~3u);
}

static void mmio_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
	if (size == 4)
		write_reg(dev, (unsigned)off & ~3u, (uint32_t)val);
}

/* IOADDR and IODATA (§13.2.2). */
static uint64_t io_read(void *dev, uint64_t off, unsigned size)
{
	struct e1000 *s = dev;

	(void)size;
	if (off < 4)
		return s->ioaddr;
	return off < 8 && s->ioaddr < MMIO_BYTES ? read_reg(s, s->ioaddr & ~3u) : 0;
}

static void io_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
	struct e1000 *s = dev;

	if (size != 4)
		return;
	if (off == 0)
		s->ioaddr = (uint32_t)val;
	else if (off == 4 && s->ioaddr < MMIO_BYTES)
		write_reg(s, s->ioaddr & ~3u, (uint32_t)val);
}

static const struct bus_ops mmio_ops = {mmio_read, mmio_write, 4, 4};
static const struct bus_ops io_ops = {io_read, io_write, 4, 4};

/* ---- Life -----------------------------------------------------------------------------------------
 */

/* CTRL.RST, and the part of power-on that it shares (§14.3, table 13-2). PCI's part stays. */
static void soft_reset(struct e1000 *s)
{
	io_timer_cancel(&s->rx_timer);
	io_timer_cancel(&s->tx_timer);
	io_timer_cancel(&s->throttle);
	io_timer_cancel(&s->more);
	s->delayed = 0;
	s->throttle_ns = s->rx_abs_ns = s->tx_abs_ns = 0;
	memset(s->reg, 0, sizeof(s->reg));
	memset(s->ctx, 0, sizeof(s->ctx));
	eeprom93_set(&s->eeprom, false, false, false);
	*e1000_reg(s, CTRL) = CTRL_FD | CTRL_SLU;
	*e1000_reg(s, VET) = NET_ETHERTYPE_VLAN;
	*e1000_reg(s, PBA) = 0x00100030;
	*e1000_reg(s, LEDCTL) = 0x07068302;
	*e1000_reg(s, RAL0) = ld_le32(s->cfg.mac);
	*e1000_reg(s, RAL0 + 4) = ld_le16(s->cfg.mac + 4) | 0x80000000u;
	e1000_phy_reset(s);
	update_irq(s);
	/* Whoever waited for descriptors is to see that there is no receiver now. */
	net_ready(&s->end);
}

static void e1000_reset(struct device *dev)
{
	struct e1000 *s = container_of(dev, struct e1000, pci.dev);

	pci_dev_reset(&s->pci);
	s->ioaddr = 0;
	soft_reset(s);
}

static int e1000_post_load(struct device *dev)
{
	struct e1000 *s = container_of(dev, struct e1000, pci.dev);

	if (pci_dev_loaded(&s->pci) || !eeprom93_ok(&s->eeprom) || s->link_up > 1)
		return -EINVAL;
	io_timer_cancel(&s->rx_timer);
	io_timer_cancel(&s->tx_timer);
	io_timer_cancel(&s->throttle);
	/* Delays were short: they are over. */
	delay_over(s, s->delayed);
	s->throttle_ns = 0;
	update_irq(s);
	set_link(s);
	io_timer_arm(&s->more, clock_vm_ns());
	net_ready(&s->end);
	return 0;
}

/* The registers from `first` to before `end`. */
#define REGS(what, first, end)                                                                 \
	{                                                                                      \
		.name = what, .offset = offsetof(struct e1000, reg) + (first), .elem_size = 4, \
		.kind = STATE_UINT, .count = ((end) - (first)) / 4, .since = 1                 \
	}
#define CTX_FIELDS(i)                                                                              \
	STATE_FIELD(struct e1000, ctx[i].ipcss), STATE_FIELD(struct e1000, ctx[i].ipcso),          \
		STATE_FIELD(struct e1000, ctx[i].tucss), STATE_FIELD(struct e1000, ctx[i].tucso),  \
		STATE_FIELD(struct e1000, ctx[i].ipcse), STATE_FIELD(struct e1000, ctx[i].tucse),  \
		STATE_FIELD(struct e1000, ctx[i].paylen),                                          \
		STATE_FIELD(struct e1000, ctx[i].hdrlen), STATE_FIELD(struct e1000, ctx[i].tucmd), \
		STATE_FIELD(struct e1000, ctx[i].mss)

static const struct state_field e1000_fields[] = {
	PCI_STATE_FIELDS(struct e1000, pci),
	REGS("reg-general", CTRL, 0x0200),
	REGS("reg-transmit", TCTL, 0x0480),
	REGS("reg-led", LEDCTL, LEDCTL + 4),
	REGS("reg-pba", PBA, PBA + 4),
	REGS("reg-flow", FCRTL, FCRTH + 4),
	REGS("reg-rx-ring", RDBAL, RADV + 4),
	REGS("reg-rsrpd", RSRPD, RSRPD + 4),
	REGS("reg-txdmac", TXDMAC, TXDMAC + 4),
	REGS("reg-tx-ring", TDBAL, TSPMT + 4),
	REGS("reg-counters", STATS, STATS_END),
	REGS("reg-rxcsum", RXCSUM, RXCSUM + 4),
	REGS("reg-filters", MTA, RA_END),
	REGS("reg-vlans", VFTA, VFTA_END),
	REGS("reg-wakeup", WUC, MANC + 4),
	STATE_ARRAY(struct e1000, phy),
	STATE_FIELD(struct e1000, ioaddr),
	EEPROM93_STATE_FIELDS(struct e1000, eeprom),
	CTX_FIELDS(0),
	CTX_FIELDS(1),
	STATE_FIELD(struct e1000, delayed),
	STATE_FIELD(struct e1000, link_up),
	STATE_END,
};

static const struct device_class e1000_class = {
	.name = "e1000",
	.version = 1,
	.reset = e1000_reset,
	.fields = e1000_fields,
	.post_load = e1000_post_load,
};

static const struct pci_ident e1000_ident = {
	.vendor = 0x8086,
	.device = 0x100e,
	.class_code = 0x0200,
	.revision = 3,
	.subsys_vendor = 0x1af4,
	.subsys = 0x1100,
	.int_pin = 1,
};

/* Becoming a bus master may be what the transmitter waited for. */
static void config_written(struct pci_dev *d, unsigned off, unsigned size)
{
	struct e1000 *s = container_of(d, struct e1000, pci);

	if (reg_hit(off, size, PCI_COMMAND, 2)) {
		e1000_tx(s);
		net_ready(&s->end);
	}
}

static const struct pci_dev_ops pci_ops = {.config_written = config_written};

struct e1000 *e1000_new(struct pci_bus *pb, const struct e1000_config *cfg, struct lodge_err *err)
{
	struct e1000 *s = calloc(1, sizeof(*s));

	if (!s) {
		err_set(err, -ENOMEM, "no memory for a network card");
		return NULL;
	}
	if (pci_dev_init(&s->pci, pb, cfg->devfn, &e1000_ident, &e1000_class, &pci_ops, err)) {
		free(s);
		return NULL;
	}
	s->cfg = *cfg;
	net_end_init(&s->end, &end_ops, s, 0);
	io_timer_init(&s->rx_timer, cfg->loop, rx_delay_over, s);
	io_timer_init(&s->tx_timer, cfg->loop, tx_delay_over, s);
	io_timer_init(&s->throttle, cfg->loop, throttle_over, s);
	io_timer_init(&s->more, cfg->loop, tx_more, s);
	e1000_eeprom_fill(s);
	if (pci_dev_add_bar(&s->pci, 0, PCI_BAR_MEM32, false, MMIO_BYTES, &mmio_ops, s, "e1000") ||
	    pci_dev_add_bar(&s->pci, 1, PCI_BAR_IO, false, IO_BYTES, &io_ops, s, "e1000")) {
		err_set(err, -ENOMEM, "no memory for a network card");
		e1000_free(s);
		return NULL;
	}
	return s;
}

void e1000_free(struct e1000 *s)
{
	if (!s)
		return;
	net_disconnect(&s->end);
	io_timer_cancel(&s->rx_timer);
	io_timer_cancel(&s->tx_timer);
	io_timer_cancel(&s->throttle);
	io_timer_cancel(&s->more);
	pci_dev_remove(&s->pci);
	free(s);
}

struct device *e1000_device(struct e1000 *s)
{
	return &s->pci.dev;
}

struct pci_dev *e1000_pci(struct e1000 *s)
{
	return &s->pci;
}

struct net_end *e1000_end(struct e1000 *s)
{
	return &s->end;
}
