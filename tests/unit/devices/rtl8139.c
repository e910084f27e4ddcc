// SPDX-License-Identifier: GPL-2.0-or-later
/* The RTL8139C+: make t T=devices/rtl8139 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/range.h"
#include "fake_time.h"
#include "rtl8139_driver.h"

static struct rdrv d;

static int setup(void **state)
{
	rdrv_init(&d, fake_begin());
	return 0;
}

static int teardown(void **state)
{
	rdrv_free(&d);
	return 0;
}

static bool come(const void *to, size_t len)
{
	static uint8_t f[20000];

	memset(f, 0xa5, sizeof(f));
	memcpy(f, to ? to : "\xff\xff\xff\xff\xff\xff", 6);
	st_be16(f + 12, 0x88b5);
	return send_frame(&d.out.end, f, len, NULL);
}

static void registers_when_reset_expect_data_sheet_values(void **state)
{
	assert_int_equal(pci_config_read(d.pb, RDRV_DEVFN, 0, 4), 0x813910ec);
	assert_int_equal(pci_config_read(d.pb, RDRV_DEVFN, PCI_REVISION, 1), 0x20);
	assert_int_equal(rdrv_rd(&d, IDR0, 4), 0x12005452);
	assert_int_equal(rdrv_rd(&d, TCR, 4) & 0x7cc00000, 0x74800000);
	assert_int_equal(rdrv_rd(&d, CR, 1), CR_BUFE);
	assert_int_equal(rdrv_rd(&d, MSR, 1) & 4, 0);
	assert_int_equal(rdrv_rd(&d, BMSR, 2) & 0x24, 0x24);
	rdrv_wr(&d, TCR, 0xffffffff, 4);
	assert_int_equal(rdrv_rd(&d, TCR, 4) & 0x7cc00000, 0x74800000);
	/* Config registers are locked. */
	rdrv_wr(&d, CONFIG1, 0xff, 1);
	assert_int_equal(rdrv_rd(&d, CONFIG1, 1), 0x0c);
	rdrv_wr(&d, CR9346, 0xc0, 1);
	rdrv_wr(&d, CONFIG1, 0x55, 1);
	assert_int_equal(rdrv_rd(&d, CONFIG1, 1), 0x55);
	/* The same by ports. */
	assert_int_equal(bus_pio_read(d.bus, 0xc100 + IDR0 + 4, 2), 0x5634);
	net_set_link(&d.out.end, false);
	assert_int_equal(rdrv_rd(&d, MSR, 1) & 4, 4);
	assert_int_equal(rdrv_rd(&d, ISR, 2), ISR_LINK);
}

static void interrupt_when_masked_and_cleared_expect_the_line_to_follow(void **state)
{
	rdrv_wr(&d, ISR, 0xffff, 2); /* the link has come up */
	rdrv_wr(&d, TPPOLL, 1, 1);
	assert_false(rdrv_irq(&d));
	rdrv_wr(&d, IMR, ISR_SWINT, 2);
	assert_true(rdrv_irq(&d));
	rdrv_wr(&d, ISR, ISR_SWINT, 2);
	assert_false(rdrv_irq(&d));
	assert_int_equal(rdrv_rd(&d, ISR, 2), 0);
	rdrv_wr(&d, IMR, ISR_TIMEOUT, 2);
	rdrv_wr(&d, TCTR, 0, 4);
	rdrv_wr(&d, TIMERINT, 33000, 4); /* 1 ms */
	fake_advance(900000);
	assert_false(rdrv_irq(&d));
	fake_advance(200000);
	assert_true(rdrv_irq(&d));
}

static void old_frame_when_sent_expect_it_out_and_reported(void **state)
{
	rdrv_old(&d, RCR_AB);
	memcpy(rdrv_p(&d, RDRV_DATA), "abcdefghijklmnopqrstuvwxyz", 26);
	rdrv_wr(&d, TSAD0, RDRV_DATA, 4);
	rdrv_wr(&d, TSD0, 26, 4);
	assert_int_equal(d.out.n, 1);
	assert_memory_equal(d.out.frame[0], "abcdefghijklmnopqrstuvwxyz", 26);
	assert_int_equal(rdrv_rd(&d, TSD0, 4) & (TSD_OWN | TSD_TOK), TSD_OWN | TSD_TOK);
	assert_true(rdrv_rd(&d, ISR, 2) & ISR_TOK);
	/* In turn: the third waits for the second. Refused frames stay. */
	rdrv_wr(&d, TSAD0 + 8, RDRV_DATA, 4);
	rdrv_wr(&d, TSD0 + 8, 20, 4);
	assert_int_equal(d.out.n, 1);
	d.out.room = 0;
	rdrv_wr(&d, TSAD0 + 4, RDRV_DATA, 4);
	rdrv_wr(&d, TSD0 + 4, 22, 4);
	assert_int_equal(rdrv_rd(&d, TSD0 + 4, 4) & TSD_OWN, 0);
	d.out.room = 9;
	net_ready(&d.out.end);
	assert_int_equal(d.out.n, 3);
	assert_int_equal(d.out.len[1], 22);
	assert_int_equal(d.out.len[2], 20);
}

static void old_frames_when_they_come_expect_header_frame_and_wrap(void **state)
{
	uint32_t at = 0;

	rdrv_old(&d, RCR_AB | RCR_APM); /* 8 KiB, wraps */
	for (unsigned i = 0; i < 20; i++) {
		const uint8_t *p = rdrv_p(&d, RDRV_RING + at);

		assert_true(come(i & 1 ? NULL : rdrv_mac, 1000));
		assert_false(rdrv_rd(&d, CR, 1) & CR_BUFE);
		assert_int_equal(ld_le16(p), i & 1 ? 0x2001 : 0x4001);
		assert_int_equal(ld_le16(p + 2), 1004);
		at = (at + 1008) % 8192;
		assert_int_equal(rdrv_rd(&d, CBR, 2), at);
		rdrv_wr(&d, CAPR, (at - 16) & 0xffff, 2);
		assert_true(rdrv_rd(&d, CR, 1) & CR_BUFE);
	}
	/* Full: refused until something was read. */
	for (unsigned i = 0; i < 8; i++)
		assert_true(come(NULL, 1000));
	assert_false(come(NULL, 1000));
	assert_true(rdrv_rd(&d, ISR, 2) & ISR_RXOVW);
	rdrv_wr(&d, CAPR, (at + 1008 - 16) & 0x1fff, 2);
	assert_int_equal(d.out.readies, 1);
	assert_true(come(NULL, 1000));
}

static void frames_when_for_others_expect_filters_to_decide(void **state)
{
	static const uint8_t other[6] = {0x52, 0x54, 0, 1, 2, 3};
	static const uint8_t group[6] = {0x01, 0x00, 0x5e, 0, 0, 1};

	rdrv_old(&d, RCR_APM);
	come(other, 60);
	come(group, 60);
	come(NULL, 60);
	assert_int_equal(rdrv_rd(&d, CBR, 2), 0);
	come(rdrv_mac, 60);
	assert_int_equal(rdrv_rd(&d, CBR, 2), 68);
	rdrv_wr(&d, RCR, RCR_AM, 4);
	rdrv_wr(&d, MAR0, 0, 4);
	rdrv_wr(&d, MAR0 + 4, 0xffffffff, 4);
	come(group, 60); /* 01:00:5e:00:00:01 has bit 31 */
	assert_int_equal(rdrv_rd(&d, CBR, 2), 68);
	rdrv_wr(&d, MAR0, 0x80000000, 4);
	come(group, 60);
	assert_int_equal(rdrv_rd(&d, CBR, 2), 136);
	rdrv_wr(&d, RCR, RCR_AAP, 4);
	come(other, 60);
	assert_int_equal(rdrv_rd(&d, CBR, 2), 204);
}

static void ring_frame_when_sent_expect_checksums_and_segments(void **state)
{
	static uint8_t f[9000];
	size_t len = make_tcp4(f, 4000, 0x18);

	rdrv_cplus(&d, RCR_AB, 0);
	st_be16(f + 24, 0);
	st_be16(f + 50, 0);
	memcpy(rdrv_p(&d, RDRV_DATA), f, len);
	rdrv_desc(&d, RDRV_TX, 0, D_OWN | D_FS | 1000, 0, RDRV_DATA);
	rdrv_wr(&d, TPPOLL, 0x40, 1);
	assert_int_equal(d.out.n, 0); /* not whole */
	rdrv_desc(&d, RDRV_TX, 0, D_OWN | D_FS | 0x08000000 | 1460 << 16 | 1000, 0, RDRV_DATA);
	rdrv_desc(&d, RDRV_TX, 1, D_OWN | D_LS | (uint32_t)(len - 1000), 0, RDRV_DATA + 1000);
	rdrv_wr(&d, TPPOLL, 0x40, 1);
	assert_int_equal(d.out.n, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_true(sums_right(d.out.frame[i], d.out.len[i]));
	assert_int_equal(ld_le32(rdrv_p(&d, RDRV_TX)) & D_OWN, 0);
	assert_int_equal(ld_le32(rdrv_p(&d, RDRV_TX + 16)) & D_OWN, 0);
	/* One frame with checksums, tagged. */
	len = make_tcp4(f, 300, 0x10);
	memcpy(rdrv_p(&d, RDRV_DATA), f, len);
	rdrv_desc(&d, RDRV_TX, 2, D_OWN | D_FS | D_LS | 0x00050000 | (uint32_t)len,
		  0x20000 | 0x2301, RDRV_DATA);
	rdrv_wr(&d, TPPOLL, 0x40, 1);
	assert_int_equal(d.out.len[3], len + 4);
	assert_memory_equal(d.out.frame[3] + 12, "\x81\x00\x01\x23\x08\x00", 6);
	memmove(d.out.frame[3] + 4, d.out.frame[3], 12);
	assert_true(sums_right(d.out.frame[3] + 4, len));
}

static void ring_frames_when_they_come_expect_descriptors_filled(void **state)
{
	uint8_t f[400];
	size_t len = make_tcp4(f, 300, 0x10);
	struct net_offload off = {.flags = NET_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16};
	const uint8_t *p = rdrv_p(&d, RDRV_RX);

	rdrv_cplus(&d, RCR_AB | RCR_AAP, CPCR_RXCSUM);
	assert_true(come(NULL, 60));
	assert_int_equal(ld_le32(p), D_FS | D_LS | 1u << 25 | 64);
	send_frame(&d.out.end, f, len, &off);
	assert_int_equal(ld_le32(p + 16) & 0x0007c000, 1u << 17); /* TCP, all right */
	f[200] ^= 1;
	send_frame(&d.out.end, f, len, NULL);
	assert_int_equal(ld_le32(p + 32) & 0x0007c000, 1u << 17 | 1u << 14);
	for (unsigned i = 3; i < RDRV_DESCS; i++)
		assert_true(come(NULL, 60));
	assert_int_equal(ld_le32(p + 16 * 7) & D_EOR, D_EOR);
	assert_false(come(NULL, 60));
	assert_true(rdrv_rd(&d, ISR, 2) & ISR_RXOVW);
	rdrv_desc(&d, RDRV_RX, 0, D_OWN | 1600, 0, RDRV_BUF);
	rdrv_wr(&d, ISR, ISR_RXOVW, 2);
	assert_int_equal(d.out.readies, 1);
	assert_true(come(NULL, 60));
}

static void state_when_saved_and_loaded_expect_the_same_card(void **state)
{
	static struct rdrv e;

	rdrv_init(&e, &fake.loop);
	rdrv_cplus(&d, RCR_AB, 0);
	assert_true(come(NULL, 60));
	rdrv_wr(&d, IMR, ISR_ROK, 2);
	wire_transfer(rtl8139_device(d.card), rtl8139_device(e.card));
	assert_true(rdrv_irq(&e));
	assert_int_equal(e.card->rx_desc, 1);
	assert_int_equal(rdrv_rd(&e, CPCR, 2), 3);
	rdrv_free(&e);
	d.card->rx_desc = 64;
	assert_int_equal(rtl8139_device(d.card)->cls->post_load(rtl8139_device(d.card)), -EINVAL);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(registers_when_reset_expect_data_sheet_values),
		T(interrupt_when_masked_and_cleared_expect_the_line_to_follow),
		T(old_frame_when_sent_expect_it_out_and_reported),
		T(old_frames_when_they_come_expect_header_frame_and_wrap),
		T(frames_when_for_others_expect_filters_to_decide),
		T(ring_frame_when_sent_expect_checksums_and_segments),
		T(ring_frames_when_they_come_expect_descriptors_filled),
		T(state_when_saved_and_loaded_expect_the_same_card),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
