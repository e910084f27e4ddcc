// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The 82540EM: EEPROM, PHY, interrupts, rings that go round, checksums, filters, in the card's own loopback; one
 * question to the NAT's gateway over the cable; then a driver that breaks the rules.
 * Source: PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual (317453-006); RFC 826.
 * run: -netdev user,id=n -device e1000,netdev=n
 */
#include "timing.h"
#include "virtio64.h" /* pci_read, pci_write */

#define BAR 0xe0000000u
#define IRQ 11u
#define DESCS 8u
#define ROUNDS 3000u

#define CTRL 0x0000
#define STATUS 0x0008
#define EERD 0x0014
#define MDIC 0x0020
#define ICR 0x00c0
#define ITR 0x00c4
#define ICS 0x00c8
#define IMS 0x00d0
#define IMC 0x00d8
#define RCTL 0x0100
#define TCTL 0x0400
#define RDBAL 0x2800
#define RDBAH 0x2804
#define RDLEN 0x2808
#define RDH 0x2810
#define RDT 0x2818
#define TDBAL 0x3800
#define TDBAH 0x3804
#define TDLEN 0x3808
#define TDH 0x3810
#define TDT 0x3818
#define GPTC 0x4080
#define RXCSUM 0x5000
#define RAL 0x5400
#define RAH 0x5404

#define CTRL_RST 0x04000000u
#define CTRL_SLU 0x40u
#define RCTL_EN 2u
#define RCTL_UPE 8u
#define RCTL_LOOP 0xc0u
#define RCTL_BAM 0x8000u
#define RCTL_SECRC 0x04000000u
#define INT_TXDW 1u
#define INT_LSC 4u
#define INT_RXT0 0x80u
#define EOP_RS 0x09000000u
#define DEXT 0x20000000u
#define DATA_DESC 0x00100000u

struct desc {
	uint64_t addr;
	uint32_t dw2, dw3;
};

static unsigned slot;
static volatile struct desc *tx, *rx;
static uint8_t *data, *in; /* one page a descriptor */
static uint8_t *guard;
static unsigned at_tx, at_rx;
static uint8_t mac[6];
static volatile unsigned irqs;
static volatile uint32_t seen; /* causes, by the handler */

static uint32_t rd(unsigned off)
{
	return *(volatile uint32_t *)(word)(BAR + off);
}

static void wr(unsigned off, uint32_t v)
{
	*(volatile uint32_t *)(word)(BAR + off) = v;
}

static void on_irq(struct frame *f)
{
	(void)f;
	seen |= rd(ICR);
	irqs++;
	pic_eoi(IRQ);
}

/* Reset, both rings, everything on. */
static void start(uint32_t rctl)
{
	wr(IMC, ~0u);
	wr(CTRL, CTRL_RST);
	wait_us(1000);
	wr(CTRL, CTRL_SLU);
	memset((void *)tx, 0, 4096);
	memset((void *)rx, 0, 4096);
	for (unsigned i = 0; i < DESCS; i++)
		rx[i].addr = (word)in + 4096 * i;
	at_tx = at_rx = 0;
	wr(TDBAL, (uint32_t)(word)tx);
	wr(TDBAH, 0);
	wr(TDLEN, DESCS * 16);
	wr(RDBAL, (uint32_t)(word)rx);
	wr(RDBAH, 0);
	wr(RDLEN, DESCS * 16);
	wr(TCTL, 2);
	wr(RCTL, RCTL_EN | RCTL_BAM | RCTL_SECRC | rctl);
	wr(RDT, DESCS - 1);
	rd(ICR);
	irqs = 0;
	seen = 0;
}

static void put(const void *p, unsigned len, uint32_t dw2, uint32_t dw3)
{
	tx[at_tx].addr = (word)p;
	tx[at_tx].dw2 = len | dw2;
	tx[at_tx].dw3 = dw3;
	at_tx = (at_tx + 1) % DESCS;
}

/* The descriptor before the tail is done. */
static bool sent(void)
{
	unsigned last = (at_tx + DESCS - 1) % DESCS;

	for (uint64_t end = usec() + 5000000; usec() < end;) {
		if (tx[last].dw3 & 1)
			return true;
	}
	return false;
}

static bool send(const void *p, unsigned len)
{
	put(p, len, EOP_RS, 0);
	wr(TDT, at_tx);
	return sent();
}

/* The next frame that has come: its length, or 0; its descriptor goes back. */
static unsigned receive(uint8_t **p, uint32_t *status, unsigned ms)
{
	volatile struct desc *d = &rx[at_rx];
	unsigned len;

	for (uint64_t end = usec() + ms * 1000; !(d->dw3 & 1);) {
		if (usec() >= end)
			return 0;
	}
	len = d->dw2 & 0xffff;
	*status = d->dw3;
	*p = in + 4096 * at_rx;
	d->dw3 = 0;
	wr(RDT, at_rx);
	at_rx = (at_rx + 1) % DESCS;
	return len;
}

static void fill(uint8_t *f, unsigned len, unsigned seed)
{
	memset(f, 0xff, 6);
	memcpy(f + 6, mac, 6);
	f[12] = 0x88;
	f[13] = 0xb5;
	for (unsigned i = 14; i < len; i++)
		f[i] = (uint8_t)(seed + i * 7);
}

/* ---- Registers ------------------------------------------------------------------------------------ */

static uint16_t eeprom(unsigned at)
{
	uint32_t v = 0;

	wr(EERD, 1 | at << 8);
	for (unsigned i = 0; i < 1000 && !(v & 0x10); i++)
		v = rd(EERD);
	return (uint16_t)(v >> 16);
}

static uint16_t phy(unsigned reg)
{
	uint32_t v = 0;

	wr(MDIC, 1u << 21 | reg << 16 | 2u << 26);
	for (unsigned i = 0; i < 1000 && !(v & 0x10000000); i++)
		v = rd(MDIC);
	return (uint16_t)v;
}

static void registers(void)
{
	uint16_t sum = 0;

	check_eq(rd(STATUS) & 3, 3, "full duplex and a link");
	for (unsigned i = 0; i < 3; i++) {
		mac[2 * i] = (uint8_t)eeprom(i);
		mac[2 * i + 1] = (uint8_t)(eeprom(i) >> 8);
	}
	for (unsigned i = 0; i < 64; i++)
		sum = (uint16_t)(sum + eeprom(i));
	check_eq(sum, 0xbaba, "the EEPROM's sum");
	check(rd(RAL) == (mac[0] | mac[1] << 8 | mac[2] << 16 | (uint32_t)mac[3] << 24) &&
		      rd(RAH) == (0x80000000u | mac[4] | mac[5] << 8),
	      "the first address is the EEPROM's");
	check_eq(phy(2), 0x0141, "the PHY");
	check(phy(1) & 4, "which has a link");
}

static void interrupts(void)
{
	start(RCTL_LOOP);
	wr(ICS, INT_LSC);
	wait_us(1000);
	check_eq(irqs, 0, "a cause that is masked");
	wr(IMS, INT_LSC);
	check(wait_count(&irqs, 1, 3000) && (seen & INT_LSC), "and when it is not");
	check_eq(rd(ICR), 0, "reading ICR has cleared it");
	wr(IMS, INT_TXDW | INT_RXT0);
	fill(data, 60, 1);
	check(send(data, 60), "a frame is sent");
	check(wait_count(&irqs, 2, 3000), "and interrupts");
	check((seen & (INT_TXDW | INT_RXT0)) == (INT_TXDW | INT_RXT0), "for both ends of it");
	wr(IMC, ~0u);
}

/* ---- In its own loop -------------------------------------------------------------------------------- */

static void rings(void)
{
	unsigned len;
	uint32_t status;
	uint8_t *p;

	start(RCTL_LOOP);
	group_begin("frames round both rings");
	for (unsigned n = 0; n < 50; n++) {
		len = 60 + n * 29 % 1400;
		fill(data, len, n);
		if (n & 1) {
			/* In pieces, which need not be even. */
			put(data, 13, 0, 0);
			put(data + 13, 20, 0, 0);
			put(data + 33, len - 33, EOP_RS, 0);
		} else {
			put(data, len, EOP_RS, 0);
		}
		wr(TDT, at_tx);
		group_case(sent() && receive(&p, &status, 1000) == len && (status & 3) == 3 &&
				   !memcmp(p, data, len),
			   "frame %u of %u bytes", n, len);
	}
	group_end();
	check_eq(rd(GPTC), 50, "they were counted");
	check_eq(rd(GPTC), 0, "once");
	start(RCTL_LOOP);
	fill(data, 60, 9);
	for (unsigned n = 0; n < DESCS + 2; n++)
		send(data, 60);
	check_eq(rd(RDH), DESCS - 1, "a full ring takes no more");
	fill(data, 60, 10);
	memcpy(data, "\x52\x54\0\1\2\3", 6);
	start(RCTL_LOOP);
	check(send(data, 60) && !receive(&p, &status, 5), "a frame for somebody else");
	start(RCTL_LOOP | RCTL_UPE);
	check(send(data, 60) && receive(&p, &status, 1000) == 60, "heard when promiscuous");
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static uint32_t add(const uint8_t *p, unsigned n, uint32_t sum)
{
	for (unsigned i = 0; i < n; i++)
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	return sum;
}

static void set16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* UDP over IPv4 whose checksums are left to the card. */
static void checksums(void)
{
	static const uint8_t ip[20] = {0x45, 0, 0,  128, 0, 1,	0,  0, 64, 17,
				       0,    0, 10, 0,	 2, 15, 10, 0, 2,  2};
	uint32_t status;
	uint16_t want;
	uint8_t *p;

	start(RCTL_LOOP);
	wr(RXCSUM, 0x300);
	fill(data, 142, 5);
	set16(data + 12, 0x0800);
	memcpy(data + 14, ip, 20);
	set16(data + 38, 108);
	set16(data + 40, (uint16_t)~fold(add(data + 26, 8, 17 + 108)));
	at_tx = 1;
	tx[0].addr = 14 | 24 << 8 | 33ull << 16 | 34ull << 32 | 40ull << 40;
	tx[0].dw2 = DEXT | 0x02000000; /* a context: IP */
	put(data, 142, DEXT | DATA_DESC | EOP_RS, 0x0300);
	wr(TDT, at_tx);
	check(sent() && receive(&p, &status, 1000) == 142, "a frame with checksums to make");
	check_eq(fold(add(p + 14, 20, 0)), 0, "IP's");
	want = fold(add(p + 34, 108, add(p + 26, 8, 17 + 108)));
	check_eq(want, 0, "UDP's");
	check((status & 0x60) == 0x60 && !(status & 0x6000), "and the receiver finds them right");
	memcpy(data, p, 142);
	data[100] ^= 1;
	check(send(data, 142) && receive(&p, &status, 1000) == 142, "one whose data have changed");
	check_eq(status & 0x6000, 0x2000, "is found out");
}

/* ---- Over the cable --------------------------------------------------------------------------------- */

static bool ask(void)
{
	static const uint8_t arp[] = {0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1};
	uint32_t status;
	uint8_t *p;

	start(0);
	memset(data, 0, 60);
	memset(data, 0xff, 6);
	memcpy(data + 6, mac, 6);
	memcpy(data + 12, arp, sizeof(arp));
	memcpy(data + 22, mac, 6);
	memcpy(data + 28, "\x0a\0\2\x0f", 4);
	memcpy(data + 38, "\x0a\0\2\2", 4);
	if (!send(data, 60))
		return false;
	for (unsigned n = 0; n < 20; n++) {
		if (receive(&p, &status, 1000) >= 42 && p[13] == 6 && p[21] == 2 &&
		    !memcmp(p + 28, "\x0a\0\2\2", 4))
			return !memcmp(p, mac, 6);
	}
	return false;
}

/* ---- Against the rules ------------------------------------------------------------------------------ */

static bool works(void)
{
	uint32_t status;
	uint8_t *p;

	start(RCTL_LOOP);
	fill(data, 100, 77);
	return send(data, 100) && receive(&p, &status, 1000) == 100 && !memcmp(p, data, 100);
}

static void bad_rings(void)
{
	static const uint32_t places[] = {BAR, 0xd0000000, 0xfffffff0, 0xfee00000, 8};

	for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
		start(RCTL_LOOP);
		wr(TDBAL, places[i]);
		wr(RDBAL, places[ARRAY_SIZE(places) - 1 - i]);
		wr(TDT, DESCS - 1);
		wr(RDT, 3);
		check(works(), "rings at %x", places[i]);
	}
	start(RCTL_LOOP);
	wr(TDBAH, 0xffffffff);
	wr(TDT, 5);
	check(works(), "a ring beyond all memory");
	start(RCTL_LOOP);
	wr(TDT, 0xffff);
	wr(RDT, 0xffff);
	wr(RDH, 0x8000);
	send(data, 60);
	check(works(), "heads and tails beyond the rings");
	start(RCTL_LOOP);
	wr(TDLEN, 0);
	wr(RDLEN, 0);
	wr(TDT, 1);
	check(works(), "rings without descriptors");
	/* Both rings, and the data, are the same bytes. */
	start(RCTL_LOOP | RCTL_UPE);
	wr(RDBAL, (uint32_t)(word)tx);
	for (unsigned i = 0; i < DESCS; i++) {
		tx[i].addr = (word)tx;
		tx[i].dw2 = 128 | EOP_RS;
	}
	wr(TDT, DESCS - 1);
	check(works(), "rings that overlap");
	/* A frame without an end, as long as a ring can be. */
	start(RCTL_LOOP);
	for (unsigned i = 0; i < DESCS; i++) {
		tx[i].addr = (word)data;
		tx[i].dw2 = 0xffff;
	}
	for (unsigned n = 0; n < 200; n++)
		wr(TDT, n % DESCS);
	check(works(), "frames without an end");
	start(RCTL_LOOP);
	put((void *)(word)BAR, 128, EOP_RS, 0);
	put((void *)0xd0000000, 128, EOP_RS, 0);
	put((void *)(1ull << 60), 128, EOP_RS, 0);
	wr(TDT, at_tx);
	check(works(), "data that are no memory");
}

static uint32_t seed = 1;

static uint32_t any(uint32_t n)
{
	seed = seed * 1103515245 + 12345;
	return (seed / 65536) % n;
}

static uint32_t any32(void)
{
	return any(65536) << 16 | any(65536);
}

static void anything(void)
{
	static const uint16_t regs[] = {CTRL,	RCTL,	TCTL,	RDBAL, RDLEN, RDH,    RDT,
					TDBAL,	TDLEN,	TDH,	TDT,   TDT,   RDT,    EERD,
					MDIC,	ICS,	IMS,	IMC,   ITR,   0x10,   0x38,
					RXCSUM, 0x2820, 0x282c, RAL,   RAH,   0x5200, 0x5600};

	start(RCTL_LOOP);
	for (unsigned n = 0; n < ROUNDS; n++) {
		volatile struct desc *d = any(2) ? &tx[any(DESCS)] : &rx[any(DESCS)];

		/* Nothing is received into this program: it ends below. */
		d->addr = any(8) ? (word)data + any(4096) : (uint64_t)any32() << any(32) | 1u << 29;
		d->dw2 = any(4) ? (any(2000) | (any(256) << 24)) : any32();
		d->dw3 = any(4) ? any(0x400) : any32();
		switch (any(4)) {
		case 0:
			/* Rings stay where they do no harm to this program. */
			wr(TDBAL, (uint32_t)(word)tx);
			wr(RDBAL, (uint32_t)(word)rx);
			wr(TDBAH, 0);
			wr(RDBAH, 0);
			wr(TDLEN, DESCS * 16);
			wr(RDLEN, DESCS * 16);
			wr(RCTL, RCTL_EN | RCTL_LOOP | (any32() & 0x0603ff3c));
			wr(TCTL, 2);
			break;
		case 1: {
			unsigned reg = regs[any(ARRAY_SIZE(regs))];

			if (reg == TDBAL || reg == RDBAL)
				wr(reg, (uint32_t)(word)tx + any(64) * 16);
			else if (reg == TDLEN || reg == RDLEN)
				wr(reg, any(32) * 16);
			else
				wr(reg, reg == RCTL ? any32() | RCTL_LOOP : any32());
			break;
		}
		default:
			wr(TDT, any(DESCS + 1));
			wr(RDT, any(DESCS + 1));
			break;
		}
		rd(regs[any(ARRAY_SIZE(regs))]);
	}
	check(works(), "after %u of anything", ROUNDS);
}

void guest_test(void)
{
	for (slot = 0; slot < 32 && pci_read(slot, 0) != 0x100e8086; slot++)
		;
	if (!check(slot < 32, "there is an 82540EM"))
		return;
	pci_write(slot, 0x10, BAR);
	pci_write(slot, 0x04, 6);
	/* All four PCI interrupts at one line. */
	outl(0xcf8, 0x80000000u | 1 << 11 | 0x60);
	outl(0xcfc, IRQ * 0x01010101u);
	outb(0x4d1, 1u << (IRQ - 8)); /* by level */
	tx = alloc_pages(1, 4096);
	rx = alloc_pages(1, 4096);
	data = alloc_pages(17, 4096);
	in = alloc_pages(DESCS, 4096);
	guard = alloc_pages(1, 4096);
	memset(guard, 0xa5, 4096);
	set_handler(0x20 + IRQ, on_irq);
	pic_init(1u << IRQ | 4);
	start(RCTL_LOOP);
	sti();
	registers();
	interrupts();
	rings();
	checksums();
	check(ask(), "the gateway answers");
	bad_rings();
	anything();
	check(ask(), "the gateway still answers");
	group_begin("memory behind the buffers is as it was");
	for (unsigned i = 0; i < 4096; i++)
		group_case(guard[i] == 0xa5, "byte %u", i);
	group_end();
	cli();
	pic_init(0);
}
