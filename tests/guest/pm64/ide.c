// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * IDE: a disk by PIO and by bus-master DMA, a CD-ROM by packets, interrupts, errors; then a driver that breaks the
 * rules: tables that end early, lead nowhere or lie in what is transferred, and anything at all in the registers.
 * The disk and the CD are this program's own file.
 * Source: ATA/ATAPI-7 volumes 1 and 2, SFF-8038i 1.0, 82371SB data sheet §2.3, 2.7.
 * run: -drive if=ide,index=0,format=raw,snapshot=on,file=build/guest/pm64/ide.elf -drive if=ide,index=2,media=cdrom,format=raw,readonly=on,file=build/guest/pm64/ide.elf
 */
#include "timing.h"

#define BM 0xc100u
#define ROUNDS 4000u

/* Registers of a channel, from its base; the control port has one of its own. */
enum { DATA, ERROR, COUNT, LOW, MID, HIGH, DEVICE, STATUS };
#define BSY 0x80u
#define DRDY 0x40u
#define DRQ 0x08u
#define ERR 0x01u
#define ABRT 0x04u
#define IDNF 0x10u
#define NIEN 0x02u
#define SRST 0x04u

#define BM_START 1u
#define BM_READ 8u
#define BM_ACTIVE 1u
#define BM_ERROR 2u
#define BM_IRQ 4u

#define READ 0x20
#define READ_EXT 0x24
#define WRITE 0x30
#define READ_MULTIPLE 0xc4
#define SET_MULTIPLE 0xc6
#define READ_DMA 0xc8
#define WRITE_DMA 0xca
#define PACKET 0xa0
#define IDENTIFY_PACKET 0xa1
#define IDENTIFY 0xec

static const uint16_t base[2] = {0x1f0, 0x170}, control[2] = {0x3f6, 0x376};
static volatile unsigned irqs[2];
static uint8_t *buf, *other; /* 16 pages each */
static uint32_t *prd;	     /* a table of regions */
static uint32_t sectors;

static void on_irq(struct frame *f)
{
	irqs[f->vec - 0x2e]++;
	pic_eoi((unsigned)f->vec & 15);
}

static uint8_t rd(unsigned ch, unsigned reg)
{
	return inb((uint16_t)(base[ch] + reg));
}

static void wr(unsigned ch, unsigned reg, uint8_t v)
{
	outb((uint16_t)(base[ch] + reg), v);
}

static uint8_t bm_rd(unsigned ch, unsigned reg)
{
	return inb((uint16_t)(BM + 8 * ch + reg));
}

static void bm_wr(unsigned ch, unsigned reg, uint8_t v)
{
	outb((uint16_t)(BM + 8 * ch + reg), v);
}

/* The status once the drive is not busy and shows all of `want`; 0xff when that takes too long. */
static uint8_t wait_drive(unsigned ch, uint8_t want)
{
	for (uint64_t end = usec() + 5000000; usec() < end;) {
		uint8_t s = inb(control[ch]);

		if (!(s & BSY) && ((s & want) == want || (s & ERR)))
			return rd(ch, STATUS);
	}
	return 0xff;
}

static bool wait_irq(unsigned ch, unsigned want)
{
	return wait_count(&irqs[ch], want, 5000);
}

static void reset(unsigned ch)
{
	outb(control[ch], SRST);
	wait_us(10);
	outb(control[ch], 0);
	wait_drive(ch, 0);
}

static void issue(uint32_t lba, unsigned count, uint8_t cmd)
{
	irqs[0] = 0;
	wr(0, DEVICE, (uint8_t)(0xe0 | (lba >> 24 & 15)));
	wr(0, COUNT, (uint8_t)count);
	wr(0, LOW, (uint8_t)lba);
	wr(0, MID, (uint8_t)(lba >> 8));
	wr(0, HIGH, (uint8_t)(lba >> 16));
	wr(0, STATUS, cmd);
}

static void take(unsigned ch, uint8_t *p, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i += 2)
		*(uint16_t *)(p + i) = inw(base[ch]);
}

static void put(unsigned ch, const uint8_t *p, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i += 2)
		outw(base[ch], *(const uint16_t *)(p + i));
}

/* Blocks of `block` sectors by PIO. */
static bool read_pio(uint32_t lba, unsigned count, uint8_t cmd, unsigned block, uint8_t *p)
{
	issue(lba, count, cmd);
	for (unsigned i = 0; i < count; i += block) {
		unsigned n = count - i < block ? count - i : block;

		if ((wait_drive(0, DRQ) & (DRQ | ERR)) != DRQ)
			return false;
		take(0, p + 512 * i, 512 * n);
	}
	return !(wait_drive(0, DRDY) & (DRQ | ERR));
}

static bool write_pio(uint32_t lba, unsigned count, const uint8_t *p)
{
	issue(lba, count, WRITE);
	for (unsigned i = 0; i < count; i++) {
		if ((wait_drive(0, DRQ) & (DRQ | ERR)) != DRQ)
			return false;
		put(0, p + 512 * i, 512);
	}
	return !(wait_drive(0, DRDY) & (DRQ | ERR));
}

static void fill(uint8_t *p, unsigned n, unsigned seed)
{
	for (unsigned i = 0; i < n; i++)
		p[i] = (uint8_t)(seed + i * 7 + i / 253);
}

/* ---- PIO ---------------------------------------------------------------------------------------- */

static void identify(void)
{
	uint16_t *w = (uint16_t *)buf;

	check_eq(rd(0, STATUS) & (BSY | DRDY | DRQ | ERR), DRDY, "the disk is ready");
	wr(0, DEVICE, 0xf0);
	check_eq(rd(0, STATUS), 0, "a drive that is not there");
	issue(0, 0, IDENTIFY);
	check_eq(wait_drive(0, DRQ) & (DRQ | ERR), DRQ, "IDENTIFY DEVICE");
	take(0, buf, 512);
	check(wait_irq(0, 1), "its interrupt");
	check(!(w[0] & 0x8000) && (w[49] & 0x300) == 0x300, "a disk with LBA and DMA");
	sectors = w[60] | (uint32_t)w[61] << 16;
	check(sectors > 64, "it has %u sectors", sectors);
	check(w[83] & 0x400, "it has 48-bit addresses");
}

static void pio(void)
{
	static uint8_t last[512];

	check(read_pio(0, 1, READ, 1, buf) && !memcmp(buf, "\177ELF", 4), "READ SECTORS");
	check_eq(irqs[0], 1, "one interrupt for a sector");
	check(read_pio(0, 9, READ, 1, buf) && irqs[0] == 9, "nine sectors, nine interrupts");
	issue(0, 4, SET_MULTIPLE);
	check(!(wait_drive(0, DRDY) & ERR), "SET MULTIPLE MODE");
	memset(other, 0, 9 * 512);
	check(read_pio(0, 9, READ_MULTIPLE, 4, other), "READ MULTIPLE");
	check_eq(irqs[0], 3, "nine sectors in blocks of four: three interrupts");
	check(!memcmp(buf, other, 9 * 512), "and the same bytes");
	memset(other, 0, 512);
	wr(0, COUNT, 0); /* the upper bytes first */
	wr(0, LOW, 0);
	wr(0, MID, 0);
	wr(0, HIGH, 0);
	check(read_pio(1, 1, READ_EXT, 1, other) && !memcmp(buf + 512, other, 512),
	      "READ SECTORS EXT");
	fill(last, 512, 1);
	check(write_pio(sectors - 1, 1, last), "WRITE SECTORS, the last one");
	check(read_pio(sectors - 1, 1, READ, 1, other) && !memcmp(last, other, 512),
	      "and read back");
	outb(control[0], NIEN);
	check(read_pio(0, 2, READ, 1, other) && !irqs[0], "no interrupts with nIEN");
	outb(control[0], 0);
}

static void errors(void)
{
	issue(sectors, 1, READ);
	check(wait_drive(0, ERR) & ERR, "beyond the end");
	check_eq(rd(0, ERROR), IDNF, "beyond the end: IDNF");
	check(!read_pio(sectors - 1, 2, READ, 1, buf), "over the end");
	issue(0, 1, 0xff);
	check(wait_drive(0, ERR) & ERR, "no such command");
	check_eq(rd(0, ERROR), ABRT, "no such command: ABRT");
	reset(0);
	check_eq(rd(0, ERROR), 1, "after a reset: passed");
	check(rd(0, COUNT) == 1 && rd(0, LOW) == 1 && !rd(0, MID) && !rd(0, HIGH),
	      "after a reset: a disk's signature");
	check(read_pio(0, 1, READ, 1, buf) && !memcmp(buf, "\177ELF", 4), "and it works");
}

/* ---- DMA ---------------------------------------------------------------------------------------- */

static void region(unsigned i, const void *p, unsigned bytes, bool last)
{
	prd[2 * i] = (uint32_t)(word)p;
	prd[2 * i + 1] = (bytes & 0xffff) | (last ? 0x80000000u : 0);
}

static void dma_begin(uint32_t lba, unsigned count, uint8_t cmd)
{
	bm_wr(0, 0, 0);
	bm_wr(0, 2, BM_ERROR | BM_IRQ);
	outl(BM + 4, (uint32_t)(word)prd);
	issue(lba, count, cmd);
	bm_wr(0, 0, BM_START | (cmd == READ_DMA ? BM_READ : 0));
}

/* The bus master's status at the interrupt, or 0xff; the engine is stopped. */
static uint8_t dma_end(void)
{
	uint8_t s;

	if (!wait_irq(0, 1))
		return 0xff;
	s = bm_rd(0, 2) & (BM_ACTIVE | BM_ERROR | BM_IRQ);
	bm_wr(0, 0, 0);
	bm_wr(0, 2, BM_ERROR | BM_IRQ);
	return rd(0, STATUS) & ERR ? 0xff : s;
}

static void dma(void)
{
	unsigned at = 0, i;

	read_pio(0, 32, READ, 1, buf);
	memset(other, 0, 0x8000);
	region(0, other, 32 * 512, true);
	dma_begin(0, 32, READ_DMA);
	check_eq(dma_end(), BM_IRQ, "READ DMA");
	check(!memcmp(buf, other, 32 * 512), "the same as by PIO");
	check(!(bm_rd(0, 2) & BM_IRQ), "its interrupt bit is cleared by writing one");

	/* Regions of odd sizes, with bytes between them that nobody may touch. */
	memset(other, 0xa5, 0x10000);
	for (i = 0; at < 8 * 512; i++) {
		unsigned n = 2 + 2 * (i * 37 % 200);

		n = n > 8 * 512 - at ? 8 * 512 - at : n;
		region(i, other + 1024 * i, n, at + n == 8 * 512);
		at += n;
	}
	dma_begin(0, 8, READ_DMA);
	check_eq(dma_end(), BM_IRQ, "READ DMA into %u regions", i);
	group_begin("every region has its bytes, and no others");
	at = 0;
	for (unsigned k = 0; k < i; k++) {
		unsigned n = prd[2 * k + 1] & 0xffff, dirty = 0;

		for (unsigned b = n; b < 1024; b++)
			dirty += other[1024 * k + b] != 0xa5;
		group_case(!memcmp(buf + at, other + 1024 * k, n) && !dirty, "region %u", k);
		at += n;
	}
	group_end();

	fill(other, 16 * 512, 99);
	region(0, other, 4096, false);
	region(1, other + 4096, 4096, true);
	dma_begin(16, 16, WRITE_DMA);
	check_eq(dma_end(), BM_IRQ, "WRITE DMA");
	check(read_pio(16, 16, READ, 1, buf) && !memcmp(buf, other, 16 * 512), "read back by PIO");
	region(0, buf, 0, true); /* 0 is 64 KiB */
	dma_begin(0, 16, READ_DMA);
	check_eq(dma_end(), BM_IRQ | BM_ACTIVE, "a table that is longer stays active");
}

/* ---- Against the rules -------------------------------------------------------------------------- */

static void works(const char *name)
{
	bm_wr(0, 0, 0);
	reset(0);
	region(0, other, 512, true);
	memset(other, 0, 512);
	dma_begin(0, 1, READ_DMA);
	check(dma_end() == BM_IRQ && !memcmp(other, "\177ELF", 4), "%s: it works after a reset",
	      name);
}

static void bad_tables(void)
{
	region(0, buf, 512, true);
	dma_begin(0, 4, READ_DMA);
	wait_us(20000);
	check(!(bm_rd(0, 2) & BM_ACTIVE) && !irqs[0], "a table that ends early: no interrupt");
	works("a table that ends early");

	region(0, (void *)0xd0000000, 512, true);
	dma_begin(0, 1, READ_DMA);
	wait_us(20000);
	check(bm_rd(0, 2) & BM_ERROR, "a region that is no memory");
	works("a region that is no memory");

	bm_wr(0, 0, 0);
	bm_wr(0, 2, BM_ERROR | BM_IRQ);
	outl(BM + 4, 0xd0000000);
	issue(0, 1, READ_DMA);
	bm_wr(0, 0, BM_START | BM_READ);
	wait_us(20000);
	check(!(bm_rd(0, 2) & BM_IRQ) || bm_rd(0, 2) & BM_ERROR, "a table that is no memory");
	works("a table that is no memory");

	/* What is read goes over the table. */
	region(0, prd, 4096, true);
	dma_begin(0, 8, READ_DMA);
	wait_us(20000);
	works("a table that is read over");

	/* Without an end; the least there can be. */
	for (unsigned i = 0; i < 512; i++)
		region(i, buf + 2 * i, 2, false);
	dma_begin(0, 1, READ_DMA);
	check(dma_end() != 0xff && !memcmp(buf, "\177ELF", 4), "regions of two bytes");
	works("regions of two bytes");

	/* Reset in the middle of anything. */
	for (unsigned i = 0; i < 50; i++) {
		region(0, buf, 0, true);
		dma_begin(i, 64, i & 1 ? READ_DMA : READ);
		wait_us(i * 3);
		reset(0);
	}
	works("resets while it works");
}

static uint32_t seed = 1;

static unsigned any(unsigned n)
{
	seed = seed * 1103515245 + 12345;
	return seed / 65536 % n;
}

static void any_register(void)
{
	static const uint8_t commands[] = {
		READ,	  READ_EXT,  WRITE,  READ_MULTIPLE, SET_MULTIPLE,
		READ_DMA, WRITE_DMA, PACKET, IDENTIFY,	    IDENTIFY_PACKET,
		0x08,	  0x90,	     0xe7,   0xef,	    0xb0};
	unsigned ch = any(2);

	switch (any(8)) {
	case 0:
		wr(ch, STATUS, any(4) ? commands[any(ARRAY_SIZE(commands))] : (uint8_t)any(256));
		break;
	case 1:
		bm_wr(ch, 0, (uint8_t)any(16));
		break;
	case 2:
		outl((uint16_t)(BM + 8 * ch + 4), any(4) ? (uint32_t)(word)prd : any(1u << 31));
		break;
	case 3:
		region(any(8), any(8) ? buf + any(4096) : (void *)(word)(any(60000) * 65536ull),
		       any(65536), any(2));
		break;
	case 4:
		outw(base[ch], (uint16_t)any(65536));
		inw(base[ch]);
		break;
	case 5:
		outb(control[ch], (uint8_t)(any(256) & (any(16) ? 0x82 : 0x86)));
		break;
	default:
		wr(ch, 1 + any(6), (uint8_t)any(256));
		break;
	}
}

static void anything(void)
{
	memset(other + 0x8000, 0xa5, 4096);
	for (unsigned n = 0; n < ROUNDS; n++) {
		any_register();
		rd(any(2), any(8));
	}
	for (unsigned ch = 0; ch < 2; ch++) {
		bm_wr(ch, 0, 0);
		outb(control[ch], 0);
		reset(ch);
	}
	issue(0, 0, IDENTIFY);
	check_eq(wait_drive(0, DRQ) & (DRQ | ERR), DRQ, "after %u of anything: IDENTIFY DEVICE",
		 ROUNDS);
	take(0, buf, 512);
	check_eq(*(uint32_t *)(buf + 120), sectors, "and it is the same disk");
}

/* ---- The CD-ROM ----------------------------------------------------------------------------------- */

/* A packet for at most 2048 bytes into `buf`: the bytes that came, or -1. */
static int packet(const uint8_t *cdb, bool dma)
{
	uint8_t s;
	int n = 0;

	irqs[1] = 0;
	wr(1, DEVICE, 0xa0);
	wr(1, ERROR, dma);
	wr(1, MID, 0);
	wr(1, HIGH, 8);
	if (dma) {
		region(0, buf, 2048, true);
		bm_wr(1, 0, 0);
		bm_wr(1, 2, BM_ERROR | BM_IRQ);
		outl(BM + 12, (uint32_t)(word)prd);
	}
	wr(1, STATUS, PACKET);
	if ((wait_drive(1, DRQ) & (DRQ | ERR)) != DRQ)
		return -1;
	put(1, cdb, 12);
	if (dma) {
		bm_wr(1, 0, BM_START | BM_READ);
		if (!wait_irq(1, 1) || (bm_rd(1, 2) & (BM_ACTIVE | BM_ERROR)))
			return -1;
		bm_wr(1, 0, 0);
		return rd(1, STATUS) & ERR ? -1 : 2048;
	}
	while (((s = wait_drive(1, 0)) & (DRQ | ERR)) == DRQ) {
		int m = rd(1, MID) | rd(1, HIGH) << 8;

		take(1, buf + n, (unsigned)m);
		n += m;
	}
	return s & (ERR | BSY) ? -1 : n;
}

static void cdrom(void)
{
	static const uint8_t ready[12] = {0}, read[12] = {0x28, [8] = 1}, none[12] = {0xff};
	static const uint8_t sense[12] = {0x03, [4] = 18}, capacity[12] = {0x25};
	static const uint8_t beyond[12] = {0x28, 0, 0x7f, [8] = 1};

	reset(1);
	check(rd(1, MID) == 0x14 && rd(1, HIGH) == 0xeb, "a packet device's signature");
	wr(1, DEVICE, 0xa0);
	wr(1, STATUS, IDENTIFY);
	check(wait_drive(1, ERR) & ERR, "IDENTIFY DEVICE is not for it");
	wr(1, STATUS, IDENTIFY_PACKET);
	check_eq(wait_drive(1, DRQ) & (DRQ | ERR), DRQ, "IDENTIFY PACKET DEVICE");
	take(1, buf, 512);
	check_eq(*(uint16_t *)buf >> 8 & 0x1f, 5, "it is a CD-ROM");
	/* One unit attention for the reset. */
	check_eq((unsigned)packet(ready, false), (unsigned)-1, "TEST UNIT READY, after a reset");
	check_eq((unsigned)packet(sense, false), 18, "REQUEST SENSE");
	check_eq(buf[2] & 15, 6, "UNIT ATTENTION");
	check_eq((unsigned)packet(ready, false), 0, "TEST UNIT READY");
	check_eq((unsigned)packet(capacity, false), 8, "READ CAPACITY");
	check_eq(buf[6], 8, "blocks of 2048 bytes");
	check_eq((unsigned)packet(read, false), 2048, "READ (10) by PIO");
	check(!memcmp(buf, "\177ELF", 4), "its bytes");
	memset(buf, 0, 2048);
	check_eq((unsigned)packet(read, true), 2048, "READ (10) by DMA");
	check(!memcmp(buf, "\177ELF", 4), "its bytes by DMA");
	check_eq((unsigned)packet(beyond, false), (unsigned)-1, "beyond the end");
	check_eq((unsigned)packet(none, false), (unsigned)-1, "no such packet");
	packet(sense, false);
	check_eq(buf[2] & 15, 5, "ILLEGAL REQUEST");
	check_eq((unsigned)packet(read, false), 2048, "and it works");
}

static void pci_set(unsigned off, uint32_t v)
{
	outl(0xcf8, 0x80000000u | 1 << 11 | 1 << 8 | off);
	outl(0xcfc, v);
}

void guest_test(void)
{
	buf = alloc_pages(16, 65536);
	other = alloc_pages(16, 65536);
	prd = alloc_pages(1, 4096);
	outl(0xcf8, 0x80000000u | 1 << 11 | 1 << 8);
	if (!check_eq(inl(0xcfc), 0x70108086, "there is a PIIX3 IDE"))
		return;
	pci_set(0x20, BM);
	pci_set(0x40, 0x80008000);
	pci_set(0x04, 5);
	set_handler(0x2e, on_irq);
	set_handler(0x2f, on_irq);
	pic_init(0xc004);
	sti();
	reset(0);
	identify();
	pio();
	errors();
	dma();
	bad_tables();
	cdrom();
	anything();
	cli();
	pic_init(0);
}
