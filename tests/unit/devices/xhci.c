// SPDX-License-Identifier: GPL-2.0-or-later
/* xHCI with a USB tablet: make t T=devices/xhci */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "xhci_driver.h"

static struct xd d;

static int setup(void **state)
{
	xd_init(&d);
	return 0;
}

static int teardown(void **state)
{
	xd_free(&d);
	return 0;
}

static void peek(void *buf, size_t len)
{
	assert_int_equal(mem_read(d.mem, XD_DATA, buf, len), 0);
}

static void registers_when_reset_expect_their_values(void **state)
{
	assert_int_equal(pci_config_read(d.pb, XD_DEVFN, 0, 4), 0x000d1b36);
	assert_int_equal(pci_config_read(d.pb, XD_DEVFN, 8, 4) >> 8, 0x0c0330);
	assert_int_equal(pci_config_read(d.pb, XD_DEVFN, 0x60, 1), 0x30);
	assert_int_equal(xd_rd(&d, 0), 0x01000040);
	assert_int_equal(bus_mmio_read(d.bus, XD_BAR, 1), 0x40);
	assert_int_equal(bus_mmio_read(d.bus, XD_BAR + 2, 2), 0x0100);
	assert_int_equal(xd_rd(&d, 4), 0x08000108);
	assert_int_equal(xd_rd(&d, 0x10) & 1, 1);
	assert_int_equal(xd_rd(&d, 0x14), 0x2000);
	assert_int_equal(xd_rd(&d, 0x18), 0x1000);
	/* The protocols: 2.0 for ports 1 to 4, then 3.0 for 5 to 8. */
	assert_int_equal(xd_rd(&d, 0x10) >> 16, 8);
	assert_int_equal(xd_rd(&d, 0x20), 0x02000402);
	assert_int_equal(xd_rd(&d, 0x28), 0x0401);
	assert_int_equal(xd_rd(&d, 0x30), 0x03000002);
	assert_int_equal(xd_rd(&d, 0x38), 0x0405);
	assert_int_equal(xd_rd(&d, 0x44), 1); /* halted */
	assert_int_equal(xd_rd(&d, 0x48), 1);
	/* Read-only, and reserved. */
	xd_wr(&d, 0, 0);
	xd_wr(&d, 0x48, 0xff);
	assert_int_equal(xd_rd(&d, 0), 0x01000040);
	assert_int_equal(xd_rd(&d, 0x48), 1);
	/* A device at port 1, high speed; nothing at the others. */
	assert_int_equal(xd_rd(&d, 0x440), 0x20201 | 3 << 10 | 7 << 5);
	assert_int_equal(xd_rd(&d, 0x450), 0x200 | 5 << 5);
	assert_int_equal(xd_rd(&d, 0x4c0), 0);
}

static void port_when_reset_expect_enabled_and_an_event(void **state)
{
	struct xhci_trb t;

	xd_start(&d);
	assert_int_equal(xd_rd(&d, 0x44) & 1, 0);
	xd_wr(&d, 0x440, 0x210);
	assert_int_equal(xd_rd(&d, 0x440), 0x200203 | 1 << 17 | 3 << 10);
	assert_true(d.pirq[pci_pirq_of(XD_DEVFN, 1)].level);
	assert_true(xd_event(&d, &t));
	assert_int_equal(TRB_TYPE(&t), EVENT_PORT);
	assert_int_equal(t.param >> 24, 1);
	assert_false(d.pirq[pci_pirq_of(XD_DEVFN, 1)].level);
	/* Once, until it is taken back. */
	xd_wr(&d, 0x440, 0x210);
	assert_false(xd_event(&d, &t));
	xd_wr(&d, 0x440, 0x200 | 0x7f << 17);
	assert_int_equal(xd_rd(&d, 0x440) >> 17 & 0x7f, 0);
	/* Suspended and resumed. */
	xd_wr(&d, 0x440, 0x10200 | 3 << 5);
	assert_int_equal(xd_rd(&d, 0x440) >> 5 & 15, 3);
	xd_wr(&d, 0x440, 0x10200 | 15 << 5);
	xd_wr(&d, 0x440, 0x10200);
	assert_int_equal(xd_rd(&d, 0x440) >> 5 & 15, 0);
	assert_true(xd_event(&d, &t));
	/* Off. */
	xd_wr(&d, 0x440, 0x202);
	assert_int_equal(xd_rd(&d, 0x440) & 2, 0);
}

static void commands_when_given_expect_their_codes(void **state)
{
	xd_start(&d);
	assert_int_equal(xd_command(&d, 0, CMD_NOOP << 10), CC_SUCCESS);
	assert_int_equal(xd_command(&d, 0, CMD_DISABLE_SLOT << 10 | 1u << 24), CC_SLOT_OFF);
	assert_int_equal(xd_command(&d, 0, 63 << 10 | 1u << 24), CC_SLOT_OFF);
	for (unsigned i = 0; i < XHCI_SLOTS; i++)
		assert_int_equal(xd_command(&d, 0, CMD_ENABLE_SLOT << 10), CC_SUCCESS);
	assert_int_equal(xd_command(&d, 0, CMD_ENABLE_SLOT << 10), CC_NO_SLOTS);
	assert_int_equal(xd_command(&d, 0, 63 << 10 | 1u << 24), CC_TRB);
	assert_int_equal(xd_command(&d, 0, CMD_STOP_EP << 10 | 1u << 24), CC_TRB);
	assert_int_equal(xd_command(&d, 0, CMD_STOP_EP << 10 | 1u << 24 | 3 << 16), CC_EP_OFF);
	assert_int_equal(xd_command(&d, 0, CMD_CONFIGURE << 10 | 1u << 24), CC_CONTEXT_STATE);
	/* No such port; input that is not in memory. */
	xd_ctx(&d, XD_INPUT, 0, 3, 0);
	xd_ctx(&d, XD_INPUT + 32, 1u << 27, 9u << 16, 0);
	assert_int_equal(xd_command(&d, XD_INPUT, CMD_ADDRESS << 10 | 1u << 24), CC_PARAMETER);
	assert_int_equal(xd_command(&d, ~0xfull, CMD_ADDRESS << 10 | 1u << 24), CC_TRB);
	assert_int_equal(xd_command(&d, 0, CMD_DISABLE_SLOT << 10 | 3u << 24), CC_SUCCESS);
	assert_int_equal(xd_command(&d, 0, CMD_DISABLE_SLOT << 10 | 3u << 24), CC_SLOT_OFF);
}

static void descriptors_when_asked_for_expect_a_tablet(void **state)
{
	uint8_t buf[64];
	uint32_t got;

	xd_start(&d);
	assert_int_equal(xd_address(&d), CC_SUCCESS);
	assert_int_equal(xd_control(&d, 0x8006, 0x0100, 0, 64, &got), CC_SUCCESS);
	assert_int_equal(got, 18);
	peek(buf, 18);
	assert_int_equal(ld_le32(buf + 8), 0x00010627);
	assert_int_equal(xd_control(&d, 0x8006, 0x0200, 0, 9, &got), CC_SUCCESS);
	assert_int_equal(got, 9);
	peek(buf, 9);
	assert_int_equal(ld_le16(buf + 2), 34);
	assert_int_equal(xd_control(&d, 0x8106, 0x2200, 0, 64, &got), CC_SUCCESS);
	peek(buf, 2);
	assert_int_equal(buf[0], 5);
	/* One that there is not: a stall, and the endpoint waits for the driver. */
	assert_int_equal(xd_control(&d, 0x8006, 0x0f00, 0, 64, &got), CC_STALL);
	assert_int_equal(xhci_ep(d.x, 1, 1)->state, EP_HALTED);
	assert_int_equal(xd_command(&d, 0, CMD_RESET_EP << 10 | 1u << 24 | 1 << 16), CC_SUCCESS);
	assert_int_equal(xd_command(&d, (XD_EP0 + 16 * d.ep0) | 1, CMD_SET_DEQUEUE << 10 | 1u << 24 | 1 << 16),
			 CC_SUCCESS);
	assert_int_equal(xd_control(&d, 0x8006, 0x0302, 0, 64, &got), CC_SUCCESS);
	peek(buf, 12);
	assert_int_equal(buf[2], 'L');
}

static void reports_when_the_pointer_moves_expect_them_in_buffers(void **state)
{
	struct xhci_trb t;
	uint8_t r[8];

	xd_start(&d);
	assert_int_equal(xd_address(&d), CC_SUCCESS);
	assert_false(d.t->sink.active(d.t));
	assert_int_equal(xd_configure(&d), CC_SUCCESS);
	assert_true(d.t->sink.active(d.t));
	/* Nothing to say yet. */
	xd_queue(&d, 8);
	assert_false(xd_event(&d, &t));
	xd_point(&d, 0x1234, 0x7fff, INPUT_RIGHT, true);
	assert_true(xd_event(&d, &t));
	assert_int_equal(t.control >> 24, 1);
	assert_int_equal(t.control >> 16 & 31, 3);
	assert_int_equal(t.status, CC_SHORT << 24 | 2);
	peek(r, 6);
	assert_memory_equal(r, "\2\x34\x12\xff\x7f\0", 6);
	assert_true(d.t->sink.idle(d.t));
	/* Without a buffer it waits. */
	xd_point(&d, 1, 2, INPUT_WHEEL_DOWN, true);
	assert_false(d.t->sink.idle(d.t));
	assert_false(xd_event(&d, &t));
	xd_queue(&d, 6);
	assert_true(xd_event(&d, &t));
	assert_int_equal(t.status, CC_SUCCESS << 24);
	peek(r, 6);
	assert_memory_equal(r, "\2\1\0\2\0\xff", 6);
	/* A stopped endpoint says nothing until it is rung. */
	assert_int_equal(xd_command(&d, 0, CMD_STOP_EP << 10 | 1u << 24 | 3 << 16), CC_SUCCESS);
	xd_trb(&d, XD_EP1 + 16 * d.ep1++, XD_DATA, 8, TRB_NORMAL << 10 | TRB_IOC | 1);
	xd_point(&d, 5, 5, INPUT_RIGHT, false);
	assert_false(xd_event(&d, &t));
	xd_wr(&d, 0x2004, 3);
	assert_true(xd_event(&d, &t));
}

static void events_when_the_ring_is_full_expect_none_lost(void **state)
{
	struct xhci_trb t;
	unsigned n = 0;

	xd_start(&d);
	for (unsigned i = 0; i < 100; i++)
		xd_trb(&d, XD_CMD + 16 * i, 0, 0, CMD_NOOP << 10 | 1);
	xd_wr(&d, 0x2000, 0);
	while (xd_event(&d, &t))
		n++;
	assert_int_equal(n, 100);
}

static void ring_when_it_leads_in_a_circle_expect_an_end(void **state)
{
	xd_start(&d);
	xd_trb(&d, XD_CMD, XD_CMD, 0, TRB_LINK << 10 | 1);
	xd_wr(&d, 0x2000, 0);
	assert_int_equal(xd_rd(&d, 0x58), 8);
}

static void state_when_saved_and_loaded_expect_it_goes_on(void **state)
{
	static uint8_t buf[1 << 17];
	struct xhci_trb t;
	long n, m;

	xd_start(&d);
	assert_int_equal(xd_address(&d), CC_SUCCESS);
	assert_int_equal(xd_configure(&d), CC_SUCCESS);
	xd_queue(&d, 8);
	n = device_save(xhci_device(d.x), buf, sizeof(buf));
	m = device_save(&d.t->usb.dev, buf + n, sizeof(buf) - n);
	assert_true(n > 0 && m > 0);
	xhci_device(d.x)->cls->reset(xhci_device(d.x));
	d.t->usb.dev.cls->reset(&d.t->usb.dev);
	assert_int_equal(device_load(xhci_device(d.x), buf, n, NULL), 0);
	assert_int_equal(device_load(&d.t->usb.dev, buf + n, m, NULL), 0);
	xd_point(&d, 9, 9, INPUT_LEFT, true);
	assert_true(xd_event(&d, &t));
	assert_int_equal(TRB_TYPE(&t), EVENT_TRANSFER);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(registers_when_reset_expect_their_values),
		T(port_when_reset_expect_enabled_and_an_event),
		T(commands_when_given_expect_their_codes),
		T(descriptors_when_asked_for_expect_a_tablet),
		T(reports_when_the_pointer_moves_expect_them_in_buffers),
		T(events_when_the_ring_is_full_expect_none_lost),
		T(ring_when_it_leads_in_a_circle_expect_an_end),
		T(state_when_saved_and_loaded_expect_it_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
