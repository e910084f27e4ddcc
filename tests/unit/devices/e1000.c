// SPDX-License-Identifier: GPL-2.0-or-later
/* The 82540EM: make t T=devices/e1000 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/range.h"
#include "fake_time.h"
#include "e1000_driver.h"

#define EOP_RS 0x09000000u /* legacy and extended: EOP and RS */
#define DEXT 0x20000000u
#define DATA_DESC 0x00100000u
#define TSE 0x04000000u
#define IDE 0x80000000u
#define VLE 0x40000000u

static struct edrv d;

static int setup(void **state)
{
	edrv_init(&d, fake_begin());
	return 0;
}

static int teardown(void **state)
{
	edrv_free(&d);
	return 0;
}

static void put_data(const void *p, size_t len)
{
	memcpy(edrv_p(&d, EDRV_DATA), p, len);
}

static uint8_t tx_status(unsigned i)
{
	return edrv_p(&d, EDRV_TX + DESC_BYTES * i)[12];
}

static const uint8_t *rx_desc(unsigned i)
{
	return edrv_p(&d, EDRV_RX + DESC_BYTES * i);
}

/* A frame from outside: broadcast unless `to` says otherwise. */
static bool come(const void *to, size_t len)
{
	static uint8_t f[20000];

	memset(f, 0xa5, sizeof(f));
	memcpy(f, to ? to : "\xff\xff\xff\xff\xff\xff", 6);
	st_be16(f + 12, 0x88b5);
	return send_frame(&d.out.end, f, len, NULL);
}

/* ---- Identity and registers ---- */

static void registers_when_reset_expect_data_sheet_values(void **state)
{
	assert_int_equal(pci_config_read(d.pb, EDRV_DEVFN, 0, 4), 0x100e8086);
	assert_int_equal(pci_config_read(d.pb, EDRV_DEVFN, PCI_CLASS, 2), 0x0200);
	assert_int_equal(edrv_rd(&d, STATUS) & 0xc3, 0x83);
	assert_int_equal(edrv_rd(&d, RAL0), 0x12005452);
	assert_int_equal(edrv_rd(&d, RAL0 + 4), 0x80005634);
	assert_int_equal(edrv_rd(&d, VET), 0x8100);
	assert_int_equal(edrv_rd(&d, PBA), 0x100030);
	assert_int_equal(edrv_rd(&d, IMS), 0);
	assert_int_equal(edrv_rd(&d, 0x1fffc), 0);
	edrv_wr(&d, 0x1fffc, 0xffffffff);
	edrv_wr(&d, STATUS, 0xffffffff);
	assert_int_equal(edrv_rd(&d, STATUS) & 0xc3, 0x83);
}

static void io_ports_when_used_expect_the_same_registers(void **state)
{
	bus_pio_write(d.bus, EDRV_IO, RDBAH, 4);
	bus_pio_write(d.bus, EDRV_IO + 4, 0x1234, 4);
	assert_int_equal(edrv_rd(&d, RDBAH), 0x1234);
	assert_int_equal(bus_pio_read(d.bus, EDRV_IO + 4, 4), 0x1234);
	bus_pio_write(d.bus, EDRV_IO, CTRL, 4);
	bus_pio_write(d.bus, EDRV_IO + 4, CTRL_RST, 4);
	assert_int_equal(edrv_rd(&d, RDBAH), 0);
	bus_pio_write(d.bus, EDRV_IO, 0xfffffff0, 4);
	assert_int_equal(bus_pio_read(d.bus, EDRV_IO + 4, 4), 0);
	bus_pio_write(d.bus, EDRV_IO + 4, 1, 4);
}

static unsigned ee_bit(unsigned in)
{
	uint32_t v = EECD_CS | EECD_REQ | (in ? EECD_DI : 0);

	edrv_wr(&d, EECD, v);
	edrv_wr(&d, EECD, v | EECD_SK);
	v = edrv_rd(&d, EECD) & EECD_DO ? 1 : 0;
	edrv_wr(&d, EECD, EECD_CS | EECD_REQ);
	return v;
}

static uint16_t ee_read(unsigned addr)
{
	unsigned val = 0;

	edrv_wr(&d, EECD, EECD_REQ | EECD_CS);
	for (int i = 2; i >= 0; i--)
		ee_bit(6 >> i & 1);
	for (int i = 5; i >= 0; i--)
		ee_bit(addr >> i & 1);
	for (unsigned i = 0; i < 16; i++)
		val = val << 1 | ee_bit(0);
	edrv_wr(&d, EECD, 0);
	return (uint16_t)val;
}

static void eeprom_when_read_bit_by_bit_expect_address_and_checksum(void **state)
{
	uint16_t sum = 0;

	assert_true(edrv_rd(&d, EECD) & EECD_PRES);
	assert_false(edrv_rd(&d, EECD) & EECD_GNT);
	edrv_wr(&d, EECD, EECD_REQ);
	assert_true(edrv_rd(&d, EECD) & EECD_GNT);
	assert_int_equal(ee_read(0), 0x5452);
	assert_int_equal(ee_read(2), 0x5634);
	for (unsigned i = 0; i < 64; i++) {
		edrv_wr(&d, EERD, i << 8 | 1);
		assert_int_equal(edrv_rd(&d, EERD), (uint32_t)ee_read(i) << 16 | i << 8 | 0x10);
		sum = (uint16_t)(sum + ee_read(i));
	}
	assert_int_equal(sum, 0xbaba);
}

static uint32_t mdic(uint32_t val)
{
	edrv_wr(&d, MDIC, val);
	return edrv_rd(&d, MDIC);
}

static void phy_when_read_expect_m88e1011_with_link(void **state)
{
	assert_int_equal(mdic(0x08220000) & 0x5000ffff, 0x10000141);
	assert_int_equal(mdic(0x08230000) & 0xfff0, 0x0c20);
	assert_int_equal(mdic(0x08210000) & 0x24, 0x24);
	net_set_link(&d.out.end, false);
	assert_int_equal(mdic(0x08210000) & 0x24, 0);
	assert_false(edrv_rd(&d, STATUS) & STATUS_LU);
	assert_true(edrv_rd(&d, ICR) & INT_LSC);
	/* No other PHY; no other operation. */
	assert_true(mdic(0x08410000) & 0x40000000);
	assert_true(mdic(0x00210000) & 0x40000000);
	/* Writable and read-only registers. */
	mdic(0x04290123);
	assert_int_equal(mdic(0x08290000) & 0xffff, 0x0123);
	mdic(0x0422ffff);
	assert_int_equal(mdic(0x08220000) & 0xffff, 0x0141);
}

/* ---- Interrupts ---- */

static void interrupt_when_caused_and_masked_expect_the_line_to_follow(void **state)
{
	edrv_rd(&d, ICR);
	edrv_wr(&d, ICS, INT_LSC);
	assert_false(edrv_irq(&d));
	edrv_wr(&d, IMS, INT_LSC | INT_RXT0);
	assert_true(edrv_irq(&d));
	edrv_wr(&d, IMC, INT_LSC);
	assert_false(edrv_irq(&d));
	edrv_wr(&d, IMS, INT_LSC);
	assert_true(edrv_irq(&d));
	assert_int_equal(edrv_rd(&d, ICR), INT_LSC);
	assert_false(edrv_irq(&d));
	edrv_wr(&d, ICS, INT_LSC | INT_RXT0);
	edrv_wr(&d, ICR, INT_LSC);
	assert_int_equal(edrv_rd(&d, ICR), INT_RXT0);
}

static void interrupt_when_throttled_expect_it_at_the_interval(void **state)
{
	edrv_rd(&d, ICR);
	edrv_wr(&d, IMS, INT_ALL);
	edrv_wr(&d, ITR, 1000); /* 256 us */
	edrv_wr(&d, ICS, INT_RXT0);
	assert_true(edrv_irq(&d));
	edrv_rd(&d, ICR);
	edrv_wr(&d, ICS, INT_RXT0);
	assert_false(edrv_irq(&d));
	fake_advance(200000);
	assert_false(edrv_irq(&d));
	fake_advance(60000);
	assert_true(edrv_irq(&d));
}

static void interrupt_when_delayed_expect_packet_and_absolute_timers(void **state)
{
	edrv_start(&d, 0);
	edrv_rd(&d, ICR);
	edrv_wr(&d, IMS, INT_RXT0);
	edrv_wr(&d, RDTR, 100); /* 102 us behind the last */
	edrv_wr(&d, RADV, 200); /* 205 us behind the first */
	assert_true(come(NULL, 60));
	fake_advance(90000);
	assert_false(edrv_irq(&d));
	assert_true(come(NULL, 60));
	fake_advance(90000);
	assert_true(come(NULL, 60));
	assert_false(edrv_irq(&d));
	fake_advance(30000);
	assert_true(edrv_irq(&d));
	edrv_rd(&d, ICR);
	assert_true(come(NULL, 60));
	edrv_wr(&d, RDTR, 100 | 0x80000000u); /* flush */
	assert_true(edrv_irq(&d));
}

/* ---- Transmit ---- */

static void legacy_frame_when_sent_expect_it_out_and_reported(void **state)
{
	edrv_start(&d, 0);
	edrv_rd(&d, ICR);
	put_data("abcdefghijklmnopqrstuvwxyz", 26);
	edrv_desc(&d, 0, EDRV_DATA, 10, 0); /* in two pieces */
	edrv_desc(&d, 1, EDRV_DATA + 10, EOP_RS | 16, 0);
	edrv_wr(&d, TDT, 1);
	assert_int_equal(d.out.n, 0); /* not whole yet */
	edrv_wr(&d, TDT, 2);
	assert_int_equal(d.out.n, 1);
	assert_int_equal(d.out.len[0], 26);
	assert_memory_equal(d.out.frame[0], "abcdefghijklmnopqrstuvwxyz", 26);
	assert_int_equal(tx_status(1), 1);
	assert_int_equal(tx_status(0), 0);
	assert_int_equal(edrv_rd(&d, TDH), 2);
	assert_int_equal(edrv_rd(&d, ICR) & 3, INT_TXDW | INT_TXQE);
	assert_int_equal(edrv_rd(&d, GPTC), 1);
	assert_int_equal(edrv_rd(&d, GPTC), 0);
}

static void frame_when_refused_expect_it_in_the_ring_until_taken(void **state)
{
	edrv_start(&d, 0);
	d.out.room = 0;
	edrv_desc(&d, 0, EDRV_DATA, EOP_RS | 64, 0);
	edrv_desc(&d, 1, EDRV_DATA, EOP_RS | 65, 0);
	edrv_wr(&d, TDT, 2);
	assert_int_equal(edrv_rd(&d, TDH), 0);
	assert_int_equal(tx_status(0), 0);
	d.out.room = 9;
	net_ready(&d.out.end);
	assert_int_equal(edrv_rd(&d, TDH), 2);
	assert_int_equal(d.out.n, 2);
	assert_int_equal(d.out.len[1], 65);
}

static void put_context(unsigned at, bool tse, unsigned mss, unsigned paylen)
{
	/* IPCSS 14, IPCSO 24, IPCSE 33; TUCSS 34, TUCSO 50; IPv4, TCP; header 54 bytes. */
	edrv_desc(&d, at, 14u | 24u << 8 | 33u << 16 | 34ull << 32 | 50ull << 40,
		  DEXT | 0x03000000u | (tse ? TSE : 0) | paylen, 54u << 8 | mss << 16);
}

static void checksums_when_asked_for_expect_them_in_the_frame(void **state)
{
	uint8_t f[400];
	size_t len = make_tcp4(f, 300, 0x10);

	edrv_start(&d, 0);
	st_be16(f + 24, 0);
	put_data(f, len);
	put_context(0, false, 0, 0);
	edrv_desc(&d, 1, EDRV_DATA, DEXT | DATA_DESC | EOP_RS | (uint32_t)len, 0x0300);
	edrv_wr(&d, TDT, 2);
	assert_int_equal(d.out.n, 1);
	assert_true(sums_right(d.out.frame[0], d.out.len[0]));
	assert_int_equal(tx_status(1), 1);
	/* Without being asked: as it is. */
	edrv_desc(&d, 2, EDRV_DATA, DEXT | DATA_DESC | EOP_RS | (uint32_t)len, 0);
	edrv_wr(&d, TDT, 3);
	assert_memory_equal(d.out.frame[1], f, len);
}

static void long_frame_when_segmented_expect_right_segments(void **state)
{
	static uint8_t f[9000];
	size_t len = make_tcp4(f, 4000, 0x18), total = 0;

	edrv_start(&d, 0);
	/* As a driver leaves it: no length, and a sum without it. */
	st_be16(f + 16, 0);
	st_be16(f + 24, 0);
	st_be16(f + 50, (uint16_t)~plain_csum(f + 26, 8, 6));
	put_data(f, len);
	put_context(0, true, 1460, 4000);
	edrv_desc(&d, 1, EDRV_DATA, DEXT | DATA_DESC | TSE | 54, 0x0300);
	edrv_desc(&d, 2, EDRV_DATA + 54, DEXT | DATA_DESC | TSE | EOP_RS | (uint32_t)(len - 54),
		  0x0300);
	edrv_wr(&d, TDT, 3);
	assert_int_equal(d.out.n, 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(sums_right(d.out.frame[i], d.out.len[i]));
		total += d.out.len[i] - 54;
	}
	assert_int_equal(total, 4000);
	assert_int_equal(edrv_rd(&d, TSCTC), 1);
	/* To one that can, it goes whole, with length and sum mended. */
	sink_clear(&d.out);
	d.out.end.can = NET_CAN_CSUM | NET_CAN_TSO4;
	edrv_wr(&d, TDT, 0);
	edrv_wr(&d, TDH, 0);
	edrv_wr(&d, TDT, 3);
	assert_int_equal(d.out.n, 1);
	assert_int_equal(d.out.off[0].gso_size, 1460);
	assert_int_equal(ld_be16(d.out.frame[0] + 16), len - 14);
	assert_int_equal(net_finish_csum(d.out.frame[0], len, &d.out.off[0]), 0);
	assert_true(sums_right(d.out.frame[0], len));
}

static void vlan_tag_when_asked_for_expect_it_inserted(void **state)
{
	edrv_start(&d, 0);
	edrv_wr(&d, CTRL, edrv_rd(&d, CTRL) | CTRL_VME);
	put_data("abcdefghijklmnopqrstuvwxyz", 26);
	edrv_desc(&d, 0, EDRV_DATA, EOP_RS | VLE | 26, 0x0123u << 16);
	edrv_wr(&d, TDT, 1);
	assert_int_equal(d.out.len[0], 30);
	assert_memory_equal(d.out.frame[0], "abcdefghijkl\x81\x00\x01\x23mnop", 20);
}

static void ring_when_mad_expect_bounded_work_and_nothing_out(void **state)
{
	edrv_start(&d, 0);
	/* Descriptors without an end, all around; a buffer outside memory; frames too long. */
	for (unsigned i = 0; i < EDRV_DESCS; i++)
		edrv_desc(&d, i, EDRV_DATA, 0xffff, 0);
	edrv_wr(&d, TDT, 15);
	assert_int_equal(edrv_rd(&d, TDH), 0);
	edrv_desc(&d, 14, EDRV_DATA, EOP_RS | 0xffff, 0);
	edrv_wr(&d, TDT, 15);
	assert_int_equal(edrv_rd(&d, TDH), 15);
	edrv_desc(&d, 15, 0xdead00000000ull, EOP_RS | 100, 0);
	edrv_wr(&d, TDT, 0);
	assert_int_equal(tx_status(15), 1);
	assert_int_equal(d.out.n, 0);
	/* Ring outside memory, indices outside the ring, no bus master. */
	edrv_wr(&d, TDT, 0xffff);
	edrv_wr(&d, TDH, 0xffff);
	edrv_wr(&d, TDH, 0);
	edrv_wr(&d, TDBAH, 0xff);
	edrv_wr(&d, TDT, 7);
	edrv_wr(&d, TDBAH, 0);
	pci_config_write(d.pb, EDRV_DEVFN, PCI_COMMAND, 3, 2);
	edrv_wr(&d, TDH, 0);
	edrv_desc(&d, 0, EDRV_DATA, EOP_RS | 100, 0);
	edrv_wr(&d, TDT, 1);
	assert_int_equal(d.out.n, 0);
	/* Allowed again: it goes. */
	pci_config_write(d.pb, EDRV_DEVFN, PCI_COMMAND, 7, 2);
	assert_int_equal(d.out.n, 1);
}

static void transmit_interrupt_when_delayed_expect_it_after_the_timer(void **state)
{
	edrv_start(&d, 0);
	edrv_rd(&d, ICR);
	edrv_wr(&d, IMS, INT_TXDW);
	edrv_wr(&d, TIDV, 50);
	edrv_desc(&d, 0, EDRV_DATA, EOP_RS | IDE | 64, 0);
	edrv_wr(&d, TDT, 1);
	assert_false(edrv_irq(&d));
	fake_advance(60000);
	assert_true(edrv_irq(&d));
}

/* ---- Receive ---- */

static void frame_when_it_comes_expect_it_in_the_buffer(void **state)
{
	edrv_start(&d, 0);
	edrv_rd(&d, ICR);
	edrv_wr(&d, IMS, INT_RXT0);
	assert_true(come(NULL, 100));
	assert_int_equal(ld_le16(rx_desc(0) + 8), 100);
	assert_int_equal(rx_desc(0)[12] & 3, 3);
	assert_int_equal(rx_desc(0)[13], 0);
	assert_memory_equal(edrv_p(&d, EDRV_BUF), "\xff\xff\xff\xff\xff\xff\xa5", 7);
	assert_int_equal(edrv_rd(&d, RDH), 1);
	assert_true(edrv_irq(&d));
	assert_int_equal(edrv_rd(&d, GPRC), 1);
	/* Short ones are padded; without SECRC there is a frame check sequence. */
	assert_true(come(NULL, 20));
	assert_int_equal(ld_le16(rx_desc(1) + 8), 60);
	assert_int_equal(edrv_p(&d, EDRV_BUF + 0x1000)[20], 0);
	edrv_wr(&d, RCTL, RCTL_EN | RCTL_BAM);
	assert_true(come(NULL, 100));
	assert_int_equal(ld_le16(rx_desc(2) + 8), 104);
}

static void frame_when_for_others_expect_filters_to_decide(void **state)
{
	static const uint8_t other[6] = {0x52, 0x54, 0, 1, 2, 3};
	static const uint8_t group[6] = {0x01, 0x00, 0x5e, 0, 0, 0xfb};

	edrv_start(&d, 0);
	come(edrv_mac, 60);
	assert_int_equal(edrv_rd(&d, RDH), 1);
	come(other, 60);
	come(group, 60);
	assert_int_equal(edrv_rd(&d, RDH), 1);
	edrv_wr(&d, RCTL, edrv_rd(&d, RCTL) | RCTL_MPE);
	come(other, 60);
	come(group, 60);
	assert_int_equal(edrv_rd(&d, RDH), 2);
	edrv_wr(&d, RCTL, RCTL_EN | RCTL_UPE);
	come(other, 60);
	come(group, 60);
	assert_int_equal(edrv_rd(&d, RDH), 3);
	edrv_wr(&d, RCTL, RCTL_EN);
	come(NULL, 60);
	assert_int_equal(edrv_rd(&d, RDH), 3);
	/* Its bit in the table: bits 47:36 of the address, of which the lowest five are the bit. */
	unsigned hash = (0xfbu << 8 | 0) >> 4;

	edrv_wr(&d, MTA + 4 * (hash >> 5), 1u << (hash & 31));
	come(group, 60);
	assert_int_equal(edrv_rd(&d, RDH), 4);
	/* A second exact address. */
	edrv_wr(&d, RAL0 + 8, ld_le32(other));
	edrv_wr(&d, RAL0 + 12, ld_le16(other + 4) | 0x80000000u);
	come(other, 60);
	assert_int_equal(edrv_rd(&d, RDH), 5);
}

static void frame_when_ring_is_full_expect_refusal_until_tail_moves(void **state)
{
	edrv_start(&d, 0);
	edrv_rd(&d, ICR);
	for (unsigned i = 0; i < EDRV_DESCS - 1; i++)
		assert_true(come(NULL, 60));
	assert_false(come(NULL, 60));
	assert_true(edrv_rd(&d, ICR) & INT_RXO);
	assert_int_equal(d.out.readies, 0);
	edrv_wr(&d, RDT, 3);
	assert_int_equal(d.out.readies, 1);
	assert_true(come(NULL, 60));
}

static void frame_when_longer_than_a_buffer_expect_several_or_loss(void **state)
{
	edrv_start(&d, 3u << RCTL_BSIZE_SHIFT); /* 256 bytes */
	assert_true(come(NULL, 1518));
	assert_int_equal(edrv_rd(&d, RDH), 6);
	assert_int_equal(rx_desc(0)[12], 1); /* DD only */
	assert_int_equal(ld_le16(rx_desc(4) + 8), 256);
	assert_int_equal(rx_desc(5)[12] & 3, 3);
	assert_int_equal(ld_le16(rx_desc(5) + 8), 1518 - 5 * 256);
	/* Longer than a frame may be. */
	assert_true(come(NULL, 1519));
	assert_int_equal(edrv_rd(&d, RDH), 6);
	assert_int_equal(edrv_rd(&d, ROC), 1);
	edrv_wr(&d, RCTL, RCTL_EN | RCTL_BAM | RCTL_LPE | RCTL_SECRC);
	assert_true(come(NULL, 9000));
	assert_int_equal(edrv_rd(&d, RDH), 11);
	assert_true(come(NULL, 17000));
	assert_int_equal(edrv_rd(&d, RDH), 11);
}

static void frame_when_tagged_expect_the_tag_stripped_and_filtered(void **state)
{
	uint8_t f[64] = "\xff\xff\xff\xff\xff\xff\x01\x02\x03\x04\x05\x06\x81\x00\x20\x05\x88\xb5";

	edrv_start(&d, 0);
	edrv_wr(&d, CTRL, CTRL_VME);
	send_frame(&d.out.end, f, 64, NULL);
	assert_int_equal(ld_le16(rx_desc(0) + 8), 60);
	assert_int_equal(ld_le16(rx_desc(0) + 14), 0x2005);
	assert_true(rx_desc(0)[12] & 8);
	assert_memory_equal(edrv_p(&d, EDRV_BUF),
			    "\xff\xff\xff\xff\xff\xff\x01\x02\x03\x04\x05\x06\x88\xb5", 14);
	edrv_wr(&d, RCTL, edrv_rd(&d, RCTL) | RCTL_VFE);
	send_frame(&d.out.end, f, 64, NULL);
	assert_int_equal(edrv_rd(&d, RDH), 1);
	edrv_wr(&d, VFTA, 1u << 5);
	send_frame(&d.out.end, f, 64, NULL);
	assert_int_equal(edrv_rd(&d, RDH), 2);
}

static void checksums_of_a_frame_that_comes_expect_them_judged(void **state)
{
	uint8_t f[400];
	size_t len = make_tcp4(f, 300, 0x10);
	struct net_offload off = {.flags = NET_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16};

	edrv_start(&d, RCTL_UPE);
	edrv_wr(&d, RXCSUM, RXCSUM_IPOFL | RXCSUM_TUOFL);
	send_frame(&d.out.end, f, len, &off); /* the wire computes it */
	assert_int_equal(rx_desc(0)[12], 0x63);
	assert_int_equal(rx_desc(0)[13], 0);
	f[200] ^= 1;
	send_frame(&d.out.end, f, len, NULL);
	assert_int_equal(rx_desc(1)[12], 0x63);
	assert_int_equal(rx_desc(1)[13], 0x20);
	come(NULL, 60); /* no IP */
	assert_int_equal(rx_desc(2)[12], 0x07);
	edrv_wr(&d, RXCSUM, 0);
	send_frame(&d.out.end, f, len, NULL);
	assert_int_equal(rx_desc(3)[12], 0x07);
}

static void receiver_when_off_expect_frames_lost(void **state)
{
	assert_true(come(NULL, 60));
	edrv_start(&d, 0);
	edrv_wr(&d, RDLEN, 0);
	assert_true(come(NULL, 60));
	edrv_wr(&d, RDLEN, EDRV_DESCS * DESC_BYTES);
	edrv_wr(&d, RDBAH, 0xffff);
	assert_true(come(NULL, 60));
	assert_true(edrv_rd(&d, ICR) & INT_RXO);
}

/* ---- State ---- */

static void state_when_saved_and_loaded_expect_the_same_card(void **state)
{
	static struct edrv e;

	edrv_init(&e, &fake.loop);
	edrv_start(&d, RCTL_UPE);
	put_context(0, true, 1460, 4000);
	edrv_wr(&d, TDT, 1);
	edrv_wr(&d, IMS, INT_LSC);
	edrv_wr(&d, ICS, INT_LSC);
	mdic(0x04290123);
	wire_transfer(e1000_device(d.card), e1000_device(e.card));
	assert_true(edrv_irq(&e));
	assert_int_equal(edrv_rd(&e, RDT), EDRV_DESCS - 1);
	assert_int_equal(e.card->ctx[1].mss, 1460);
	assert_int_equal(e.card->phy[9], 0x0123);
	edrv_free(&e);
}

static void state_when_damaged_expect_refusal(void **state)
{
	struct device *dev = e1000_device(d.card);

	d.card->eeprom.bits = 10;
	assert_int_equal(dev->cls->post_load(dev), -EINVAL);
	d.card->eeprom.bits = 0;
	d.card->link_up = 2;
	assert_int_equal(dev->cls->post_load(dev), -EINVAL);
	d.card->link_up = 1;
	assert_int_equal(dev->cls->post_load(dev), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(registers_when_reset_expect_data_sheet_values),
		T(io_ports_when_used_expect_the_same_registers),
		T(eeprom_when_read_bit_by_bit_expect_address_and_checksum),
		T(phy_when_read_expect_m88e1011_with_link),
		T(interrupt_when_caused_and_masked_expect_the_line_to_follow),
		T(interrupt_when_throttled_expect_it_at_the_interval),
		T(interrupt_when_delayed_expect_packet_and_absolute_timers),
		T(legacy_frame_when_sent_expect_it_out_and_reported),
		T(frame_when_refused_expect_it_in_the_ring_until_taken),
		T(checksums_when_asked_for_expect_them_in_the_frame),
		T(long_frame_when_segmented_expect_right_segments),
		T(vlan_tag_when_asked_for_expect_it_inserted),
		T(ring_when_mad_expect_bounded_work_and_nothing_out),
		T(transmit_interrupt_when_delayed_expect_it_after_the_timer),
		T(frame_when_it_comes_expect_it_in_the_buffer),
		T(frame_when_for_others_expect_filters_to_decide),
		T(frame_when_ring_is_full_expect_refusal_until_tail_moves),
		T(frame_when_longer_than_a_buffer_expect_several_or_loss),
		T(frame_when_tagged_expect_the_tag_stripped_and_filtered),
		T(checksums_of_a_frame_that_comes_expect_them_judged),
		T(receiver_when_off_expect_frames_lost),
		T(state_when_saved_and_loaded_expect_the_same_card),
		T(state_when_damaged_expect_refusal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
