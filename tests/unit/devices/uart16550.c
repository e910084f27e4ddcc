// SPDX-License-Identifier: GPL-2.0-or-later
/* UART: make t T=devices/uart16550 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "devices/legacy/uart16550.h"
#include "fake_time.h"
#include "wire.h"

enum { RBR, IER, IIR, LCR, MCR, LSR, MSR, SCR };

struct host {
	struct chardev chr;
	char text[64];
	size_t len, room;
	unsigned accepts, baud, data_bits, stop_bits, breaks;
	char parity;
	bool broken;
};

struct fix {
	struct bus *bus;
	struct uart16550 *u;
	struct wire irq;
	struct host host;
};

static size_t host_write(struct chardev *c, const uint8_t *buf, size_t len)
{
	struct host *h = (struct host *)c;

	if (len > h->room - h->len)
		len = h->room - h->len;
	memcpy(h->text + h->len, buf, len);
	h->len += len;
	return len;
}

static void host_accept(struct chardev *c)
{
	((struct host *)c)->accepts++;
}

static void host_line(struct chardev *c, unsigned baud, unsigned data, unsigned stop, char parity)
{
	struct host *h = (struct host *)c;

	h->baud = baud;
	h->data_bits = data;
	h->stop_bits = stop;
	h->parity = parity;
}

static void host_break(struct chardev *c, bool on)
{
	((struct host *)c)->broken = on;
	((struct host *)c)->breaks++;
}

static const struct chardev_ops host_ops = {host_write, host_accept, host_line,
					    host_break, NULL,	     NULL};

static int setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));

	f->bus = bus_new();
	f->host.chr.ops = &host_ops;
	f->host.room = sizeof(f->host.text);
	f->u = uart16550_new(fake_begin(), wire_line(&f->irq), &f->host.chr);
	*state = f;
	return uart16550_map(f->u, f->bus, 0x3f8);
}

static int teardown(void **state)
{
	struct fix *f = *state;

	bus_free(f->bus);
	uart16550_free(f->u);
	assert_null(f->host.chr.fe.receive);
	free(f);
	return 0;
}

static uint8_t rd(struct fix *f, unsigned reg)
{
	return inb(f->bus, (uint16_t)(0x3f8 + reg));
}

static void wr(struct fix *f, unsigned reg, uint8_t v)
{
	outb(f->bus, (uint16_t)(0x3f8 + reg), v);
}

static size_t type(struct fix *f, const char *s)
{
	size_t n = strlen(s), can = chardev_can_receive(&f->host.chr);

	n = n < can ? n : can;
	chardev_receive(&f->host.chr, (const uint8_t *)s, n);
	return n;
}

static void reset_when_new_expect_data_sheet_values(void **state)
{
	struct fix *f = *state;
	static const uint8_t want[8] = {0, 0, 1, 0, 0, 0x60, 0xb0, 0};

	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(rd(f, i), want[i]);
	assert_false(f->irq.level);
}

static void registers_when_written_expect_writable_bits(void **state)
{
	struct fix *f = *state;

	wr(f, SCR, 0xa5);
	assert_int_equal(rd(f, SCR), 0xa5);
	wr(f, IER, 0xf0);
	assert_int_equal(rd(f, IER), 0);
	wr(f, MCR, 0xff);
	assert_int_equal(rd(f, MCR), 0x1f);
	wr(f, MCR, 0);
	wr(f, LCR, 0x9f);
	wr(f, 0, 0x34);
	wr(f, 1, 0x12);
	assert_int_equal(rd(f, 0), 0x34);
	assert_int_equal(rd(f, 1), 0x12);
	wr(f, 0, 1);
	wr(f, 1, 0);
	assert_int_equal(rd(f, LCR), 0x9f);
	assert_int_equal(f->host.baud, 115200);
	assert_int_equal(f->host.data_bits, 8);
	assert_int_equal(f->host.stop_bits, 2);
	assert_int_equal(f->host.parity, 'E');
	wr(f, LCR, 0x03);
	assert_int_equal(f->host.parity, 'N');
	assert_int_equal(rd(f, IER), 0);
	wr(f, LSR, 0xff);
	wr(f, MSR, 0xff);
	assert_int_equal(rd(f, LSR), 0x60);
}

static void fcr_when_enabled_expect_16550a_identity(void **state)
{
	struct fix *f = *state;

	assert_int_equal(rd(f, IIR) & 0xc0, 0);
	wr(f, IIR, 0xc0); /* without bit 0 nothing is taken */
	assert_int_equal(rd(f, IIR) & 0xc0, 0);
	wr(f, IIR, 0x01);
	assert_int_equal(rd(f, IIR), 0xc1);
	wr(f, IIR, 0x00);
	assert_int_equal(rd(f, IIR), 0x01);
}

static void thr_when_written_expect_channel_and_thre_interrupt(void **state)
{
	struct fix *f = *state;

	wr(f, IER, 0x02); /* empty: at once */
	assert_true(f->irq.level);
	assert_int_equal(rd(f, IIR), 0x02);
	assert_false(f->irq.level); /* reading IIR took it back */
	assert_int_equal(rd(f, IIR), 0x01);
	wr(f, RBR, 'a');
	assert_true(f->irq.level);
	assert_int_equal(f->host.len, 1);
	assert_int_equal(f->host.text[0], 'a');
	assert_int_equal(rd(f, LSR), 0x60);
	wr(f, IER, 0);
	assert_false(f->irq.level);
}

static void thr_when_channel_is_full_expect_wait_and_thre_later(void **state)
{
	struct fix *f = *state;

	f->host.room = 2;
	wr(f, IIR, 0x01);
	wr(f, IER, 0x02);
	rd(f, IIR);
	for (int i = 0; i < 20; i++) /* 2 go out, 16 wait, 2 are lost */
		wr(f, RBR, (uint8_t)('a' + i));
	assert_int_equal(f->host.len, 2);
	assert_int_equal(rd(f, LSR), 0);
	/* THRE was pending after 'b'; writing 'c' took that back. */
	assert_int_equal(rd(f, IIR), 0xc1);
	f->host.room = 10;
	chardev_writable(&f->host.chr);
	assert_int_equal(f->host.len, 10);
	assert_int_equal(rd(f, LSR), 0);
	assert_false(f->irq.level);
	f->host.room = 64;
	chardev_writable(&f->host.chr);
	assert_int_equal(f->host.len, 18);
	assert_memory_equal(f->host.text, "abcdefghijklmnopqr", 18);
	assert_int_equal(rd(f, LSR), 0x60);
	assert_int_equal(rd(f, IIR), 0xc2);
}

static void receive_when_no_fifo_expect_one_at_a_time(void **state)
{
	struct fix *f = *state;

	wr(f, IER, 0x01);
	assert_int_equal(type(f, "xyz"), 1);
	assert_true(f->irq.level);
	assert_int_equal(rd(f, IIR), 0x04);
	assert_int_equal(rd(f, LSR), 0x61);
	assert_int_equal(type(f, "y"), 0);

	unsigned accepts = f->host.accepts;

	assert_int_equal(rd(f, RBR), 'x');
	assert_int_equal(f->host.accepts, accepts + 1);
	assert_false(f->irq.level);
	assert_int_equal(rd(f, LSR), 0x60);
	assert_int_equal(rd(f, RBR), 'x');
	assert_int_equal(type(f, "y"), 1);
}

static void receive_when_fifo_expect_trigger_and_timeout(void **state)
{
	struct fix *f = *state;

	wr(f, LCR, 0x83);
	wr(f, 0, 1);
	wr(f, LCR, 0x03);
	wr(f, IIR, 0x81); /* trigger 8 */
	wr(f, IER, 0x01);
	assert_int_equal(type(f, "1234567"), 7);
	assert_false(f->irq.level);
	fake_advance(340000); /* 4 characters of 10 bits: 347 us */
	assert_false(f->irq.level);
	type(f, "8");
	assert_int_equal(rd(f, IIR), 0xc4);
	assert_int_equal(rd(f, RBR), '1');
	assert_false(f->irq.level);
	fake_advance(340000); /* the read began the time anew */
	assert_false(f->irq.level);
	fake_advance(10000);
	assert_true(f->irq.level);
	assert_int_equal(rd(f, IIR), 0xcc);
	assert_int_equal(rd(f, RBR), '2');
	assert_int_equal(rd(f, IIR), 0xc1);
	type(f, "abcdefghijklmnopqrstuvwxyz");
	assert_int_equal(chardev_can_receive(&f->host.chr), 0);
	for (const char *p = "345678abcdefghij"; *p; p++)
		assert_int_equal(rd(f, RBR), *p);
	assert_int_equal(rd(f, LSR), 0x60);
	fake_advance(NS_PER_SEC);
	assert_false(f->irq.level);
	/* Reset of the receiver drops what there is. */
	type(f, "abc");
	wr(f, IIR, 0x83);
	assert_int_equal(rd(f, LSR), 0x60);
	fake_advance(NS_PER_SEC);
	assert_false(f->irq.level);
}

static void event_when_break_expect_line_status(void **state)
{
	struct fix *f = *state;

	wr(f, IIR, 0x01);
	wr(f, IER, 0x05);
	type(f, "a");
	chardev_event(&f->host.chr, CHARDEV_EVENT_BREAK);
	type(f, "b");
	chardev_event(&f->host.chr, CHARDEV_EVENT_OPEN);
	assert_int_equal(rd(f, IIR), 0xc4); /* the break is not on top yet */
	assert_int_equal(rd(f, LSR), 0xe1);
	assert_int_equal(rd(f, RBR), 'a');
	assert_int_equal(rd(f, IIR), 0xc6);
	assert_int_equal(rd(f, LSR), 0xf9);
	assert_int_equal(rd(f, LSR), 0x61);
	assert_int_equal(rd(f, RBR), 0);
	assert_int_equal(rd(f, IIR), 0xc4);
	assert_int_equal(rd(f, RBR), 'b');
}

static void iir_when_several_pending_expect_priorities(void **state)
{
	struct fix *f = *state;

	wr(f, IER, 0x0f);
	wr(f, MCR, 0x10); /* loop-back: lines change */
	wr(f, RBR, 'q');
	wr(f, RBR, 'r'); /* overrun */
	assert_int_equal(rd(f, IIR), 0x06);
	assert_int_equal(rd(f, LSR), 0x63);
	assert_int_equal(rd(f, IIR), 0x04);
	assert_int_equal(rd(f, RBR), 'r');
	assert_int_equal(rd(f, IIR), 0x02);
	assert_int_equal(rd(f, IIR), 0x00);
	assert_true(f->irq.level);
	assert_int_equal(rd(f, MSR), 0x0b);
	assert_int_equal(rd(f, MSR), 0x00);
	assert_false(f->irq.level);
	assert_int_equal(rd(f, IIR), 0x01);
	assert_int_equal(f->host.len, 0);
}

static void loopback_when_mcr_changes_expect_modem_lines(void **state)
{
	struct fix *f = *state;

	wr(f, MCR, 0x1a); /* what Linux probes with */
	assert_int_equal(rd(f, MSR) & 0xf0, 0x90);
	wr(f, MCR, 0x15);
	assert_int_equal(rd(f, MSR), 0x6b); /* DCD, CTS fell, DSR rose, RI rose: no TERI */
	wr(f, MCR, 0x11);
	assert_int_equal(rd(f, MSR), 0x24); /* TERI */
	assert_int_equal(chardev_can_receive(&f->host.chr), 0);
	wr(f, MCR, 0x00);
	assert_int_equal(rd(f, MSR), 0xb9);
	assert_int_equal(chardev_can_receive(&f->host.chr), 1);
}

static void loopback_when_fifo_expect_data_returns(void **state)
{
	struct fix *f = *state;

	wr(f, IIR, 0x07);
	wr(f, MCR, 0x1e);
	for (int i = 0; i < 18; i++)
		wr(f, RBR, (uint8_t)i);
	assert_int_equal(rd(f, LSR), 0x63);
	for (int i = 0; i < 16; i++)
		assert_int_equal(rd(f, RBR), i);
	assert_int_equal(rd(f, LSR), 0x60);
	assert_int_equal(f->host.len, 0);
}

static void lcr_when_break_set_expect_channel_told(void **state)
{
	struct fix *f = *state;

	wr(f, LCR, 0x43);
	assert_true(f->host.broken);
	wr(f, LCR, 0x03);
	assert_false(f->host.broken);
	assert_int_equal(f->host.breaks, 2);
}

static void load_when_saved_expect_fifo_and_timeout(void **state)
{
	struct fix *f = *state;
	struct wire irq = {0};
	struct uart16550 *u = uart16550_new(&fake.loop, wire_line(&irq), NULL);
	struct bus *bus = bus_new();

	assert_int_equal(uart16550_map(u, bus, 0x2f8), 0);
	wr(f, IIR, 0xc1);
	wr(f, IER, 0x01);
	type(f, "hello");
	wire_transfer(uart16550_device(f->u), uart16550_device(u));
	assert_false(irq.level);
	fake_advance(NS_PER_SEC);
	assert_true(irq.level);
	for (const char *p = "hello"; *p; p++)
		assert_int_equal(inb(bus, 0x2f8), *p);
	assert_false(irq.level);
	uart16550_free(u);
	bus_free(bus);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(reset_when_new_expect_data_sheet_values),
		T(registers_when_written_expect_writable_bits),
		T(fcr_when_enabled_expect_16550a_identity),
		T(thr_when_written_expect_channel_and_thre_interrupt),
		T(thr_when_channel_is_full_expect_wait_and_thre_later),
		T(receive_when_no_fifo_expect_one_at_a_time),
		T(receive_when_fifo_expect_trigger_and_timeout),
		T(event_when_break_expect_line_status),
		T(iir_when_several_pending_expect_priorities),
		T(loopback_when_mcr_changes_expect_modem_lines),
		T(loopback_when_fifo_expect_data_returns),
		T(lcr_when_break_set_expect_channel_told),
		T(load_when_saved_expect_fifo_and_timeout),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
