// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Realtek RTL8139C+: registers, interrupts, life.
 * Source: RTL8139C(L)+ data sheet, rev. 1.6, chapters 6 (registers), 7 (EEPROM), 9 (C+ mode).
 * Saved state: version 1. No frame is in flight: see rtl8139_tx.c.
 * Threads: with the VM lock held; timers on the io thread.
 */
#include "devices/net/rtl8139.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/range.h"
#include "devices/net/rtl8139_int.h"

#define BAR_BYTES 256u
#define TIMER_HZ 33000000u /* the PCI clock */
#define TCR_VERSION 0x74800000u
#define TCR_VERSION_MASK 0x7cc00000u
#define MSR_LINKB 0x04u /* 1: the link is down */
#define BMSR_LINK 0x0024u
#define BMCR_RESET 0x8000u
#define EE_DO 0x01u
#define EE_DI 0x02u
#define EE_SK 0x04u
#define EE_CS 0x08u
#define EE_MODE 0xc0u
#define EE_PROGRAM 0x80u
#define EE_CONFIG 0xc0u

/* ---- Interrupts and timer ---- */

static void update_irq(struct rtl8139 *s)
{
	pci_irq_set(&s->pci, s->isr & rtl_get(s, IMR, 2));
}

void rtl8139_cause(struct rtl8139 *s, uint16_t causes)
{
	s->isr |= causes & ISR_ALL;
	update_irq(s);
}

static uint32_t counter(const struct rtl8139 *s)
{
	return (uint32_t)mul_div_u64(clock_vm_ns() - s->timer_ns, TIMER_HZ, NS_PER_SEC);
}

/* TimeOut when the counter reaches TimerInt, unless that is 0. */
static void arm_timer(struct rtl8139 *s)
{
	uint32_t at = rtl_get(s, TIMERINT, 4), ticks = at - counter(s);

	io_timer_cancel(&s->timer);
	if (at)
		io_timer_arm(&s->timer, clock_vm_ns() + mul_div_u64(ticks ? ticks : 1ull << 32,
								    NS_PER_SEC, TIMER_HZ));
}

static void timer_over(void *opaque)
{
	struct rtl8139 *s = opaque;

	rtl8139_cause(s, ISR_TIMEOUT);
	arm_timer(s);
}

/* ---- Link and receive buffer ---- */

static void end_link(void *opaque, bool up)
{
	struct rtl8139 *s = opaque;

	(void)up;
	up = s->end.peer && !s->end.link_down && !s->end.peer->link_down;
	if (s->link_up == up)
		return;
	s->link_up = up;
	rtl8139_cause(s, ISR_LINK);
}

static void end_ready(void *opaque)
{
	rtl8139_tx(opaque);
}

static const struct net_end_ops end_ops = {
	.receive = rtl8139_receive,
	.ready = end_ready,
	.link = end_link,
};

uint32_t rtl8139_rx_size(const struct rtl8139 *s)
{
	return 8192u << (rtl_get(s, RCR, 4) >> RCR_RBLEN_SHIFT & 3);
}

bool rtl8139_rx_empty(const struct rtl8139 *s)
{
	return (rtl_get(s, CAPR, 2) + 16u) % rtl8139_rx_size(s) == s->rx_at;
}

/* ---- Registers ---- */

/* Which bits of each byte a driver can write, by ranges; others have a case of their own. */
static const struct {
	uint8_t first, last, write;
} plain[] = {
	{IDR0, IDR0 + 5, 0xff},	   {MAR0, MAR0 + 7, 0xff},
	{TSAD0, TSAD0 + 15, 0xff}, {RBSTART, RBSTART + 3, 0xff},
	{IMR, IMR, 0xff},	   {IMR + 1, IMR + 1, 0xe1},
	{RCR, RCR + 3, 0xff},	   {TIMERINT, TIMERINT + 3, 0xff},
	{MSR, MSR, 0xc0},	   {MULINT, MULINT + 1, 0x0f},
	{ANAR, ANAR + 1, 0xff},	   {CSCR, CSCR + 1, 0xff},
	{CPCR, CPCR, 0x7f},	   {CPCR + 1, CPCR + 1, 0x02},
	{RDSAR, RDSAR + 7, 0xff},  {ETTHR, ETTHR, 0x3f},
	{TCR, TCR + 2, 0x17},
};

/* Those that count only while 93C46CR says "config register write enable". */
static const uint8_t config_regs[] = {CONFIG0, CONFIG1, CONFIG3, CONFIG4, CONFIG5};

static void soft_reset(struct rtl8139 *s);

static uint8_t read_byte(struct rtl8139 *s, unsigned off)
{
	uint8_t v = s->reg[off];
	uint32_t t;

	switch (off) {
	case CR:
		return (uint8_t)(v | (rtl8139_rx_empty(s) ? CR_BUFE : 0));
	case CBR:
	case CBR + 1:
		return (uint8_t)(s->rx_at >> 8 * (off - CBR));
	case ISR:
	case ISR + 1:
		return (uint8_t)(s->isr >> 8 * (off - ISR));
	case TCTR ... TCTR + 3:
		t = counter(s);
		return (uint8_t)(t >> 8 * (off - TCTR));
	case CR9346:
		return (uint8_t)(v | (eeprom93_out(&s->eeprom) ? EE_DO : 0));
	case MSR:
		return (uint8_t)(v | (s->link_up ? 0 : MSR_LINKB));
	case BMSR:
		return (uint8_t)(v | (s->link_up ? BMSR_LINK : 0));
	case TSAD:
	case TSAD + 1:
		/* OWN, TABT, TUN, TOK of the four, each four bits: those of OWN and TOK. */
		t = 0;
		for (unsigned i = 0; i < RTL_TX_REGS; i++) {
			t |= (rtl_get(s, TSD0 + 4 * i, 4) & TSD_OWN ? 1u : 0) << i;
			t |= (rtl_get(s, TSD0 + 4 * i, 4) & TSD_TOK ? 1u : 0) << (12 + i);
		}
		return (uint8_t)(t >> 8 * (off - TSAD));
	default:
		return v;
	}
}

static void write_cr(struct rtl8139 *s, uint8_t val)
{
	if (val & CR_RST) {
		soft_reset(s);
		return;
	}
	if (val & ~s->reg[CR] & CR_RE) {
		s->rx_desc = 0;
		s->rx_at = 0;
	}
	if (val & ~s->reg[CR] & CR_TE)
		s->tx_desc = s->tx_next = 0;
	s->reg[CR] = val & (CR_TE | CR_RE);
	net_ready(&s->end);
	rtl8139_tx(s);
}

static void write_9346(struct rtl8139 *s, uint8_t val)
{
	s->reg[CR9346] = val & (EE_MODE | EE_CS | EE_SK | EE_DI);
	if ((val & EE_MODE) == EE_PROGRAM)
		eeprom93_set(&s->eeprom, val & EE_CS, val & EE_SK, val & EE_DI);
	else
		eeprom93_set(&s->eeprom, false, false, false);
}

static void write_plain(struct rtl8139 *s, unsigned off, uint8_t val)
{
	for (size_t i = 0; i < ARRAY_SIZE(plain); i++) {
		if (off >= plain[i].first && off <= plain[i].last)
			s->reg[off] =
				(uint8_t)((s->reg[off] & ~plain[i].write) | (val & plain[i].write));
	}
	for (size_t i = 0; i < ARRAY_SIZE(config_regs); i++) {
		if (off == config_regs[i] && (s->reg[CR9346] & EE_MODE) == EE_CONFIG)
			s->reg[off] = val;
	}
}

static void write_byte(struct rtl8139 *s, unsigned off, uint8_t val)
{
	switch (off) {
	case CR:
		write_cr(s, val);
		break;
	case CR9346:
		write_9346(s, val);
		break;
	case ISR:
	case ISR + 1:
		s->isr &= (uint16_t) ~(val << 8 * (off - ISR));
		break;
	case CAPR:
	case CAPR + 1:
		s->reg[off] = val;
		break;
	case BMCR + 1:
		/* Reset and restart end by themselves. */
		s->reg[off] = val & 0x31;
		break;
	case TPPOLL:
		s->reg[off] = (uint8_t)(s->reg[off] | (val & 0x40));
		if (val & 1)
			rtl8139_cause(s, ISR_SWINT);
		rtl8139_tx(s);
		break;
	default:
		write_plain(s, off, val);
		break;
	}
}

/* A transmit status is written whole, and begins the transmission. */
static void write_tsd(struct rtl8139 *s, unsigned i, uint32_t val)
{
	if (rtl_cplus(s, CPCR_TE))
		return;
	rtl_set(s, TSD0 + 4 * i, 4, val & (TSD_OWN | TSD_SIZE | 0x003f0000u));
	rtl8139_tx(s);
}

static uint64_t read_regs(void *dev, uint64_t off, unsigned size)
{
	uint64_t v = 0;

	for (unsigned i = size; i-- > 0;)
		v = v << 8 | read_byte(dev, (unsigned)(off + i) % RTL_REGS);
	return v;
}

static void write_regs(void *dev, uint64_t off, uint64_t val, unsigned size)
{
	struct rtl8139 *s = dev;
	unsigned at = (unsigned)off % RTL_REGS;

	if (size == 4 && at >= TSD0 && at < TSD0 + 16 && at % 4 == 0) {
		write_tsd(s, (at - TSD0) / 4, (uint32_t)val);
		return;
	}
	if (at >= TCTR && at < TCTR + 4)
		s->timer_ns = clock_vm_ns();
	for (unsigned i = 0; i < size; i++)
		write_byte(s, (at + i) % RTL_REGS, (uint8_t)(val >> 8 * i));
	if (reg_hit(at, size, TIMERINT, 4) || reg_hit(at, size, TCTR, 4))
		arm_timer(s);
	if (reg_hit(at, size, IMR, 4))
		update_irq(s);
	/* There may be room again, or another ring. */
	if (reg_hit(at, size, CAPR, 2) || reg_hit(at, size, RCR, 4) || reg_hit(at, size, ISR, 2) ||
	    reg_hit(at, size, RDSAR, 8)) {
		s->rx_at %= rtl8139_rx_size(s);
		net_ready(&s->end);
	}
}

static const struct bus_ops reg_ops = {read_regs, write_regs, 1, 4};

/* ---- Life ---- */

static void fill_eeprom(struct rtl8139 *s)
{
	/* Data sheet table 7: the identity, the address, what Config registers begin with. */
	memset(s->eeprom.word, 0, sizeof(s->eeprom.word));
	s->eeprom.word[0] = 0x8129;
	s->eeprom.word[1] = 0x10ec;
	s->eeprom.word[2] = 0x8139;
	s->eeprom.word[3] = 0x1af4;
	s->eeprom.word[4] = 0x1100;
	for (unsigned i = 0; i < 3; i++)
		s->eeprom.word[7 + i] = ld_le16(s->cfg.mac + 2 * i);
}

static void soft_reset(struct rtl8139 *s)
{
	uint8_t mac[6];

	io_timer_cancel(&s->timer);
	io_timer_cancel(&s->more);
	memcpy(mac, s->cfg.mac, 6);
	memset(s->reg, 0, sizeof(s->reg));
	memcpy(s->reg + IDR0, mac, 6);
	eeprom93_set(&s->eeprom, false, false, false);
	s->isr = 0;
	s->rx_at = s->rx_desc = s->tx_desc = s->tx_next = 0;
	for (unsigned i = 0; i < RTL_TX_REGS; i++)
		rtl_set(s, TSD0 + 4 * i, 4, TSD_OWN);
	rtl_set(s, CAPR, 2, 0xfff0);
	rtl_set(s, TCR, 4, TCR_VERSION);
	rtl_set(s, MSR, 1, 0x10);
	rtl_set(s, CONFIG1, 1, 0x0c); /* registers by memory and by ports */
	rtl_set(s, CONFIG3, 1, 0x01);
	rtl_set(s, RERID, 1, 0x20);
	rtl_set(s, BMCR, 2, 0x3100); /* 100 Mbit/s, full duplex, negotiation */
	rtl_set(s, BMSR, 2, 0x7809);
	rtl_set(s, ANAR, 2, 0x05e1);
	rtl_set(s, ANLPAR, 2, 0x45e1);
	rtl_set(s, ANER, 2, 0x0001);
	rtl_set(s, CSCR, 2, 0x03c0);
	s->timer_ns = clock_vm_ns();
	update_irq(s);
	net_ready(&s->end);
}

static void rtl8139_reset(struct device *dev)
{
	struct rtl8139 *s = container_of(dev, struct rtl8139, pci.dev);

	pci_dev_reset(&s->pci);
	soft_reset(s);
}

static int rtl8139_post_load(struct device *dev)
{
	struct rtl8139 *s = container_of(dev, struct rtl8139, pci.dev);

	if (pci_dev_loaded(&s->pci) || !eeprom93_ok(&s->eeprom) || s->isr & ~ISR_ALL ||
	    s->rx_at >= rtl8139_rx_size(s) || s->rx_desc >= 64 || s->tx_desc >= 64 ||
	    s->tx_next >= RTL_TX_REGS || s->link_up > 1 ||
	    (rtl_get(s, TCR, 4) & TCR_VERSION_MASK) != TCR_VERSION)
		return -EINVAL;
	if (!s->timer_ns || s->timer_ns > clock_vm_ns())
		s->timer_ns = clock_vm_ns();
	arm_timer(s);
	update_irq(s);
	end_link(s, false);
	io_timer_arm(&s->more, clock_vm_ns());
	net_ready(&s->end);
	return 0;
}

static const struct state_field rtl8139_fields[] = {
	PCI_STATE_FIELDS(struct rtl8139, pci),
	STATE_BUFFER(struct rtl8139, reg),
	EEPROM93_STATE_FIELDS(struct rtl8139, eeprom),
	STATE_FIELD(struct rtl8139, isr),
	STATE_FIELD(struct rtl8139, rx_at),
	STATE_FIELD(struct rtl8139, rx_desc),
	STATE_FIELD(struct rtl8139, tx_desc),
	STATE_FIELD(struct rtl8139, tx_next),
	STATE_FIELD(struct rtl8139, link_up),
	STATE_TIME(struct rtl8139, timer_ns),
	STATE_END,
};

static const struct device_class rtl8139_class = {
	.name = "rtl8139",
	.version = 1,
	.reset = rtl8139_reset,
	.fields = rtl8139_fields,
	.post_load = rtl8139_post_load,
};

static const struct pci_ident rtl8139_ident = {
	.vendor = 0x10ec,
	.device = 0x8139,
	.class_code = 0x0200,
	.revision = 0x20, /* C+ */
	.subsys_vendor = 0x1af4,
	.subsys = 0x1100,
	.int_pin = 1,
};

static void config_written(struct pci_dev *d, unsigned off, unsigned size)
{
	struct rtl8139 *s = container_of(d, struct rtl8139, pci);

	if (reg_hit(off, size, PCI_COMMAND, 2)) {
		rtl8139_tx(s);
		net_ready(&s->end);
	}
}

static const struct pci_dev_ops pci_ops = {.config_written = config_written};

static void tx_more(void *opaque)
{
	rtl8139_tx(opaque);
}

struct rtl8139 *rtl8139_new(struct pci_bus *pb, const struct rtl8139_config *cfg,
			    struct lodge_err *err)
{
	struct rtl8139 *s = calloc(1, sizeof(*s));

	if (!s) {
		err_set(err, -ENOMEM, "no memory for a network card");
		return NULL;
	}
	if (pci_dev_init(&s->pci, pb, cfg->devfn, &rtl8139_ident, &rtl8139_class, &pci_ops, err)) {
		free(s);
		return NULL;
	}
	s->cfg = *cfg;
	net_end_init(&s->end, &end_ops, s, 0);
	io_timer_init(&s->timer, cfg->loop, timer_over, s);
	io_timer_init(&s->more, cfg->loop, tx_more, s);
	fill_eeprom(s);
	if (pci_dev_add_bar(&s->pci, 0, PCI_BAR_IO, false, BAR_BYTES, &reg_ops, s, "rtl8139") ||
	    pci_dev_add_bar(&s->pci, 1, PCI_BAR_MEM32, false, BAR_BYTES, &reg_ops, s, "rtl8139")) {
		err_set(err, -ENOMEM, "no memory for a network card");
		rtl8139_free(s);
		return NULL;
	}
	return s;
}

void rtl8139_free(struct rtl8139 *s)
{
	if (!s)
		return;
	net_disconnect(&s->end);
	io_timer_cancel(&s->timer);
	io_timer_cancel(&s->more);
	pci_dev_remove(&s->pci);
	free(s);
}

struct device *rtl8139_device(struct rtl8139 *s)
{
	return &s->pci.dev;
}

struct pci_dev *rtl8139_pci(struct rtl8139 *s)
{
	return &s->pci;
}

struct net_end *rtl8139_end(struct rtl8139 *s)
{
	return &s->end;
}
