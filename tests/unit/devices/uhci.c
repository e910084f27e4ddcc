// SPDX-License-Identifier: GPL-2.0-or-later
/* UHCI with a USB keyboard and tablet: make t T=devices/uhci */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "uhci_driver.h"

static struct ud d;

static int setup(void **state)
{
	ud_init(&d);
	return 0;
}

static int teardown(void **state)
{
	ud_free(&d);
	return 0;
}

static void peek(void *buf, size_t len)
{
	assert_int_equal(mem_read(d.mem, UD_DATA, buf, len), 0);
}

static bool irq(void)
{
	return d.pirq[pci_pirq_of(UD_DEVFN, 4)].level;
}

/* Endpoint 1 of the keyboard is asked for a report, in TD 0. */
static void ask_keyboard(void)
{
	ud_make(&d, 0, true, UD_IOC | UD_SPD, USB_PID_IN, 5, 1, 8, UD_DATA);
	ud_queue(&d, 0);
}

static void registers_when_reset_expect_their_values(void **state)
{
	assert_int_equal(pci_config_read(d.pb, UD_DEVFN, 0, 4), 0x70208086);
	assert_int_equal(pci_config_read(d.pb, UD_DEVFN, 8, 4) >> 8, 0x0c0300);
	assert_int_equal(pci_config_read(d.pb, UD_DEVFN, PCI_INT_PIN, 1), 4);
	assert_int_equal(pci_config_read(d.pb, UD_DEVFN, 0x60, 1), 0x10);
	assert_int_equal(pci_config_read(d.pb, UD_DEVFN, 0xc0, 2), 0x2000);
	assert_int_equal(ud_rd(&d, 0), 0);
	assert_int_equal(ud_rd(&d, 2), 0x20);
	assert_int_equal(ud_rd(&d, 4), 0);
	assert_int_equal(ud_rd(&d, 6), 0);
	assert_int_equal(bus_pio_read(d.bus, UD_PORT + 0xc, 1), 0x40);
	/* Something at both ports, full speed; no third port. */
	assert_int_equal(ud_rd(&d, 0x10), 0x83);
	assert_int_equal(ud_rd(&d, 0x12), 0x83);
	assert_int_equal(ud_rd(&d, 0x14) & 0x80, 0);
	/* What can be written. */
	ud_wr(&d, 4, 0xffff);
	assert_int_equal(ud_rd(&d, 4), 15);
	ud_wr(&d, 6, 0xffff);
	assert_int_equal(ud_rd(&d, 6), 0x7ff);
	ud_wr(&d, 8, 0x5fff);
	ud_wr(&d, 10, 0x1234);
	assert_int_equal(bus_pio_read(d.bus, UD_PORT + 8, 4), 0x12345000);
	bus_pio_write(d.bus, UD_PORT + 0xc, 0xff, 1);
	assert_int_equal(bus_pio_read(d.bus, UD_PORT + 0xc, 1), 0x7f);
	pci_config_write(d.pb, UD_DEVFN, 0xc0, 0xffff, 2);
	assert_int_equal(pci_config_read(d.pb, UD_DEVFN, 0xc0, 2), 0x20bf);
	ud_wr(&d, 0, 2); /* HCRESET */
	assert_int_equal(ud_rd(&d, 0), 0);
	assert_int_equal(ud_rd(&d, 6), 0);
}

static void ports_when_told_expect_their_states(void **state)
{
	ud_wr(&d, 0x10, PORTSC_CSC);
	assert_int_equal(ud_rd(&d, 0x10), 0x81);
	/* In reset it cannot be enabled; afterwards it can. */
	ud_wr(&d, 0x10, PORTSC_PR | PORTSC_PED);
	assert_int_equal(ud_rd(&d, 0x10), 0x281);
	ud_wr(&d, 0x10, 0);
	ud_wr(&d, 0x10, PORTSC_PED);
	assert_int_equal(ud_rd(&d, 0x10), 0x85);
	ud_wr(&d, 0x10, PORTSC_PED | PORTSC_SUSPEND);
	assert_int_equal(ud_rd(&d, 0x10), 0x1085);
	/* A byte alone leaves the other and clears nothing. */
	bus_pio_write(d.bus, UD_PORT + 0x11, 0, 1);
	assert_int_equal(ud_rd(&d, 0x10), 0x85);
	bus_pio_write(d.bus, UD_PORT + 0x13, 0, 1);
	assert_int_equal(ud_rd(&d, 0x12), 0x83);
}

static void frames_when_it_runs_expect_them_counted(void **state)
{
	ud_start(&d);
	assert_int_equal(ud_rd(&d, 2) & 0x20, 0);
	fake_advance(10 * UD_MS);
	assert_int_equal(ud_rd(&d, 6), 10);
	/* Also while the schedule is hardly looked at, and after a long time in which nothing was. */
	fake_advance(1000 * UD_MS);
	assert_int_equal(ud_rd(&d, 6), 1010);
	fake.now += 5000ull * UD_MS;
	assert_int_equal(ud_rd(&d, 6), 6010 & 0x7ff);
	ud_wr(&d, 0, 0);
	assert_int_equal(ud_rd(&d, 2), 0x20);
	fake_advance(10 * UD_MS);
	assert_int_equal(ud_rd(&d, 6), 6010 & 0x7ff);
}

static void schedule_when_nothing_happens_expect_few_looks_at_it(void **state)
{
	uint64_t fired;

	ud_start(&d);
	assert_true(ud_enumerate(&d));
	ask_keyboard();
	fake_advance(200 * UD_MS);
	fired = fake.loop.fired;
	fake_advance(10000ull * UD_MS);
	assert_in_range(fake.loop.fired - fired, 400, 600);
	/* A key is there in the next frame. */
	ud_key(&d, INPUT_KEY_a, true);
	fake_advance(UD_MS);
	assert_false(ud_ctrl(&d, 0) & UD_ACTIVE);
	assert_true(irq());
	/* Halted, it costs nothing. */
	ud_wr(&d, 0, 0);
	fired = fake.loop.fired;
	fake_advance(10000ull * UD_MS);
	assert_int_equal(fake.loop.fired, fired);
}

static void descriptors_when_asked_for_expect_a_keyboard_and_a_tablet(void **state)
{
	uint8_t buf[64];

	ud_start(&d);
	assert_true(ud_enumerate(&d));
	assert_int_equal(ud_control(&d, 5, 0x8006, 0x0100, 0, 18, 25), 18);
	peek(buf, 18);
	assert_int_equal(ld_le32(buf + 8), 0x00010627);
	assert_int_equal(ud_control(&d, 5, 0x8006, 0x0200, 0, 34, 25), 34);
	peek(buf, 34);
	assert_int_equal(buf[15], 1); /* boot, */
	assert_int_equal(buf[16], 1); /* keyboard */
	/* One that is slow has no other speed. */
	assert_int_equal(ud_control(&d, 5, 0x8006, 0x0600, 0, 10, 25), -1);
	assert_int_equal(ud_rd(&d, 2) & USBSTS_ERROR, USBSTS_ERROR);
	assert_true(irq());
	ud_wr(&d, 2, USBSTS_ERROR | USBSTS_USBINT);
	assert_false(irq());
	assert_int_equal(ud_control(&d, 6, 0x8006, 0x0302, 0, 64, 25), 34);
	peek(buf, 32);
	assert_memory_equal(buf + 2, "L\0o\0d\0g\0e\0 \0U\0S\0B\0 \0T\0", 22);
}

static void leds_when_reported_expect_them_lit(void **state)
{
	ud_start(&d);
	assert_true(ud_enumerate(&d));
	ud_put(&d, UD_DATA, 0xe3);
	assert_int_equal(ud_control(&d, 5, 0x2109, 0x0200, 0, 1, 25), 1);
	assert_int_equal(usb_kbd_leds(d.k), 3);
	/* A tablet has none. */
	assert_int_equal(ud_control(&d, 6, 0x2109, 0x0200, 0, 1, 25), -1);
}

static void keys_when_pressed_expect_a_report_each(void **state)
{
	uint8_t r[8];

	ud_start(&d);
	assert_true(ud_enumerate(&d));
	assert_true(d.k->sink.active(d.k));
	ask_keyboard();
	fake_advance(5 * UD_MS);
	/* Nothing to say: it is asked again and again. */
	assert_true(ud_ctrl(&d, 0) & UD_ACTIVE);
	assert_true(ud_ctrl(&d, 0) & 1u << 19);
	ud_wr(&d, 2, 0x1f);
	ud_key(&d, INPUT_KEY_shift, true);
	fake_advance(UD_MS);
	assert_int_equal(ud_len(&d, 0), 8);
	assert_false(ud_ctrl(&d, 0) & (UD_ACTIVE | UD_ERRORS));
	assert_int_equal(ud_get(&d, UD_QH + 4), UD_T);
	assert_int_equal(ud_rd(&d, 2), USBSTS_USBINT);
	assert_true(irq());
	peek(r, 8);
	assert_memory_equal(r, "\2\0\0\0\0\0\0\0", 8);
	ud_wr(&d, 2, USBSTS_USBINT);
	assert_false(irq());
	ud_key(&d, INPUT_KEY_a, true);
	assert_false(d.k->sink.idle(d.k));
	ask_keyboard();
	fake_advance(2 * UD_MS);
	assert_true(d.k->sink.idle(d.k));
	peek(r, 8);
	assert_memory_equal(r, "\2\0\4\0\0\0\0\0", 8);
	/* Interrupts that the guest does not want. */
	ud_wr(&d, 2, USBSTS_USBINT);
	ud_wr(&d, 4, 0);
	ud_key(&d, INPUT_KEY_a, false);
	ask_keyboard();
	fake_advance(2 * UD_MS);
	assert_int_equal(ud_rd(&d, 2), USBSTS_USBINT);
	assert_false(irq());
	ud_wr(&d, 4, 4);
	assert_true(irq());
	/* And the switch in LEGSUP. */
	assert_int_equal(pci_config_read(d.pb, UD_DEVFN, 0xc0, 2), 0x3000);
	pci_config_write(d.pb, UD_DEVFN, 0xc0, 0, 2);
	assert_false(irq());
}

static void packet_when_short_expect_the_queue_to_stop(void **state)
{
	ud_start(&d);
	assert_true(ud_enumerate(&d));
	ud_wr(&d, 2, 0x1f);
	/* A tablet's report has 6 bytes. */
	ud_make(&d, 0, false, UD_SPD, USB_PID_IN, 6, 1, 8, UD_DATA);
	ud_make(&d, 1, true, 0, USB_PID_IN, 6, 1, 8, UD_DATA);
	ud_queue(&d, 0);
	usb_hid_changed(d.t);
	fake_advance(25 * UD_MS);
	assert_int_equal(ud_len(&d, 0), 6);
	assert_false(ud_ctrl(&d, 0) & UD_ACTIVE);
	assert_int_equal(ud_get(&d, UD_QH + 4), ud_td(0));
	assert_int_equal(ud_rd(&d, 2), USBSTS_USBINT);
	ud_wr(&d, 4, USBINTR_IOC);
	assert_false(irq());
	ud_wr(&d, 4, USBINTR_SPD);
	assert_true(irq());
	/* One that is longer than the room for it. */
	ud_make(&d, 0, true, 0, USB_PID_IN, 6, 1, 4, UD_DATA);
	ud_queue(&d, 0);
	usb_hid_changed(d.t);
	fake_advance(25 * UD_MS);
	assert_true(ud_ctrl(&d, 0) & UD_STALLED);
	assert_true(ud_ctrl(&d, 0) & 1u << 20);
}

static void transaction_when_nobody_answers_expect_three_tries(void **state)
{
	ud_start(&d);
	ud_make(&d, 0, true, 0, USB_PID_IN, 9, 1, 8, UD_DATA);
	ud_queue(&d, 0);
	fake_advance(UD_MS);
	assert_int_equal(ud_ctrl(&d, 0) & (3u << 27 | UD_ACTIVE), 2u << 27 | UD_ACTIVE);
	assert_int_equal(ud_rd(&d, 2), 0);
	fake_advance(2 * UD_MS);
	assert_int_equal(ud_ctrl(&d, 0) & (3u << 27 | UD_ACTIVE | UD_ERRORS), UD_STALLED | 1u << 18);
	assert_int_equal(ud_rd(&d, 2), USBSTS_ERROR);
	/* An isochronous one has one try, and no error is told; no tries: without end. */
	ud_wr(&d, 2, 0x1f);
	ud_make(&d, 0, true, 1u << 25, USB_PID_IN, 9, 1, 8, UD_DATA);
	ud_put(&d, UD_LIST + 4 * (ud_rd(&d, 6) + 1u), (uint32_t)ud_td(0));
	ud_make(&d, 1, true, 0, USB_PID_IN, 9, 1, 8, UD_DATA);
	ud_put(&d, ud_td(1) + 4, UD_ACTIVE);
	ud_queue(&d, 1);
	fake_advance(3 * UD_MS);
	assert_false(ud_ctrl(&d, 0) & (UD_ACTIVE | UD_STALLED));
	assert_int_equal(ud_ctrl(&d, 1) & (UD_ACTIVE | UD_STALLED), UD_ACTIVE);
	assert_int_equal(ud_rd(&d, 2), 0);
}

static void td_when_inactive_with_ioc_expect_an_interrupt(void **state)
{
	ud_start(&d);
	ud_make(&d, 0, true, 0, USB_PID_IN, 9, 1, 8, UD_DATA);
	ud_put(&d, ud_td(0) + 4, UD_IOC);
	ud_queue(&d, 0);
	fake_advance(UD_MS);
	assert_int_equal(ud_rd(&d, 2), USBSTS_USBINT);
}

static void queues_when_they_lead_in_a_circle_expect_an_end(void **state)
{
	ud_start(&d);
	/* A thousand of them, then the first again; then one that is its own. */
	for (unsigned i = 0; i < 1000; i++) {
		ud_put(&d, 0x10000 + 16 * i, (0x10000 + 16 * ((i + 1) % 1000)) | UD_Q);
		ud_put(&d, 0x10000 + 16 * i + 4, UD_T);
	}
	ud_put(&d, UD_QH, 0x10000 | UD_Q);
	fake_advance(30 * UD_MS);
	assert_int_equal(ud_rd(&d, 6), 30);
	ud_put(&d, UD_QH, UD_QH | UD_Q);
	fake_advance(30 * UD_MS);
	/* One that is in a queue, and TDs that follow each other. */
	ud_put(&d, UD_QH + 4, UD_QH | UD_Q);
	fake_advance(30 * UD_MS);
	ud_make(&d, 0, false, 0, USB_PID_IN, 9, 1, 8, UD_DATA);
	ud_put(&d, ud_td(0), (uint32_t)ud_td(0));
	for (unsigned i = 0; i < 1024; i++)
		ud_put(&d, UD_LIST + 4 * i, (uint32_t)ud_td(0));
	fake_advance(30 * UD_MS);
	assert_int_equal(ud_rd(&d, 6), 120);
	/* A circle in which something happens goes round: bulk transfers do so. */
	assert_int_equal(ud_rd(&d, 2) & 0x20, 0);
}

static void schedule_when_it_is_wrong_expect_a_halt(void **state)
{
	ud_start(&d);
	ud_make(&d, 0, true, 0, 0x42, 5, 1, 8, UD_DATA);
	ud_queue(&d, 0);
	fake_advance(UD_MS);
	assert_int_equal(ud_rd(&d, 2), USBSTS_HCPE | USBSTS_HCH);
	assert_int_equal(ud_rd(&d, 0) & 1, 0);
	assert_true(irq());
	ud_wr(&d, 2, USBSTS_HCPE);
	assert_false(irq());
	/* Memory that is not there. */
	ud_start(&d);
	ud_put(&d, UD_QH + 4, 0xf0000000);
	fake_advance(UD_MS);
	assert_int_equal(ud_rd(&d, 2), USBSTS_HSE | USBSTS_HCH);
	/* Step by step: one transaction, then it stands. */
	ud_wr(&d, 2, 0x1f);
	ud_start(&d);
	ud_make(&d, 0, false, 1u << 25, USB_PID_IN, 9, 1, 8, UD_DATA);
	ud_make(&d, 1, true, 0, USB_PID_IN, 9, 1, 8, UD_DATA);
	ud_queue(&d, 0);
	ud_wr(&d, 0, 0xe1);
	fake_advance(5 * UD_MS);
	assert_int_equal(ud_rd(&d, 2), USBSTS_HCH);
	assert_false(ud_ctrl(&d, 0) & UD_ACTIVE);
	assert_true(ud_ctrl(&d, 1) & UD_ACTIVE);
}

static void port_when_suspended_expect_a_key_to_wake_it(void **state)
{
	ud_start(&d);
	assert_true(ud_enumerate(&d));
	assert_int_equal(ud_control(&d, 5, 0x0003, 1, 0, 0, 25), 0); /* remote wake-up */
	ud_wr(&d, 2, 0x1f);
	ud_wr(&d, 0x10, PORTSC_PED | PORTSC_SUSPEND);
	ud_wr(&d, 0x12, PORTSC_PED | PORTSC_SUSPEND);
	ask_keyboard();
	/* It hears nothing, but it can speak; the tablet may not. */
	usb_hid_changed(d.t);
	d.t->sink.sync(d.t);
	assert_int_equal(ud_rd(&d, 0x12) & PORTSC_RD, 0);
	ud_key(&d, INPUT_KEY_a, true);
	assert_int_equal(ud_rd(&d, 0x10), 0x1085 | PORTSC_RD);
	assert_int_equal(ud_rd(&d, 2), USBSTS_RD);
	assert_true(irq());
	ud_wr(&d, 2, USBSTS_RD);
	ud_wr(&d, 0x10, PORTSC_PED);
	ask_keyboard();
	fake_advance(2 * UD_MS);
	assert_false(ud_ctrl(&d, 0) & UD_ACTIVE);
	/* The whole bus, halted. */
	ud_wr(&d, 0, 0);
	ud_wr(&d, 0, USBCMD_EGSM);
	ud_wr(&d, 2, 0x1f);
	ud_key(&d, INPUT_KEY_a, false);
	assert_int_equal(ud_rd(&d, 0), USBCMD_EGSM | USBCMD_FGR);
	assert_int_equal(ud_rd(&d, 2), USBSTS_RD | USBSTS_HCH);
}

static void state_when_saved_and_loaded_expect_it_goes_on(void **state)
{
	static uint8_t buf[1 << 17];
	uint8_t r[8];
	long n, m;

	ud_start(&d);
	assert_true(ud_enumerate(&d));
	/* In the middle of a control transfer: its setup stage. */
	ud_make(&d, 0, true, 0, USB_PID_SETUP, 5, 0, 8, UD_SETUP);
	ud_put(&d, UD_SETUP, 0x01000680);
	ud_put(&d, UD_SETUP + 4, 0x00080000);
	ud_queue(&d, 0);
	fake_advance(25 * UD_MS);
	ud_key(&d, INPUT_KEY_b, true);
	n = device_save(uhci_device(d.u), buf, sizeof(buf));
	m = device_save(&d.k->usb.dev, buf + n, sizeof(buf) - n);
	assert_true(n > 0 && m > 0);
	uhci_device(d.u)->cls->reset(uhci_device(d.u));
	d.k->usb.dev.cls->reset(&d.k->usb.dev);
	fake_advance(100 * UD_MS);
	assert_int_equal(device_load(uhci_device(d.u), buf, n, NULL), 0);
	assert_int_equal(device_load(&d.k->usb.dev, buf + n, m, NULL), 0);
	ud_make(&d, 0, true, 0, USB_PID_IN, 5, 0, 8, UD_DATA);
	ud_queue(&d, 0);
	fake_advance(25 * UD_MS);
	assert_int_equal(ud_len(&d, 0), 8);
	peek(r, 8);
	assert_int_equal(r[0], 18);
	ask_keyboard();
	fake_advance(25 * UD_MS);
	peek(r, 8);
	assert_int_equal(r[2], 5);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(registers_when_reset_expect_their_values),
		T(ports_when_told_expect_their_states),
		T(frames_when_it_runs_expect_them_counted),
		T(schedule_when_nothing_happens_expect_few_looks_at_it),
		T(descriptors_when_asked_for_expect_a_keyboard_and_a_tablet),
		T(leds_when_reported_expect_them_lit),
		T(keys_when_pressed_expect_a_report_each),
		T(packet_when_short_expect_the_queue_to_stop),
		T(transaction_when_nobody_answers_expect_three_tries),
		T(td_when_inactive_with_ioc_expect_an_interrupt),
		T(queues_when_they_lead_in_a_circle_expect_an_end),
		T(schedule_when_it_is_wrong_expect_a_halt),
		T(port_when_suspended_expect_a_key_to_wake_it),
		T(state_when_saved_and_loaded_expect_it_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
