// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * 16550A UART.
 * Source: National Semiconductor PC16550D data sheet (June 1995). Register table:
 * docs/devices/uart16550.md. Saved state: version 1.
 *
 * Transmission takes no time: what the guest writes goes to the channel at once, and waits in the
 * transmitter FIFO only while the channel is full. Line speed matters for the receiver's time-out.
 * The interrupt pin is not gated by OUT2 (the PC's board does that): guests made for QEMU rely on
 * it. Threads: with the VM lock held; the time-out on the io thread.
 */
#include "devices/legacy/uart16550.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define FIFO_LEN 16u
#define UART_CLOCK_BAUD 115200u /* 1.8432 MHz / 16 */

/* §8.6 */
#define IER_RDA 0x01u
#define IER_THRE 0x02u
#define IER_RLS 0x04u
#define IER_MSR 0x08u
#define IER_WRITABLE 0x0fu
#define IIR_NONE 0x01u
#define IIR_MSR 0x00u
#define IIR_THRE 0x02u
#define IIR_RDA 0x04u
#define IIR_RLS 0x06u
#define IIR_TIMEOUT 0x0cu
#define IIR_FIFOS 0xc0u
#define FCR_ENABLE 0x01u
#define FCR_RX_RESET 0x02u
#define FCR_TX_RESET 0x04u
#define LCR_STOP 0x04u
#define LCR_PARITY 0x08u
#define LCR_EVEN 0x10u
#define LCR_BREAK 0x40u
#define LCR_DLAB 0x80u
#define MCR_DTR 0x01u
#define MCR_RTS 0x02u
#define MCR_OUT1 0x04u
#define MCR_OUT2 0x08u
#define MCR_LOOP 0x10u
#define MCR_WRITABLE 0x1fu
#define LSR_DR 0x01u
#define LSR_OE 0x02u
#define LSR_PE 0x04u
#define LSR_FE 0x08u
#define LSR_BI 0x10u
#define LSR_THRE 0x20u
#define LSR_TEMT 0x40u
#define LSR_FIFO_ERR 0x80u
#define LSR_CHAR_ERRS (LSR_PE | LSR_FE | LSR_BI)
#define MSR_TERI 0x04u
#define MSR_CTS 0x10u
#define MSR_DSR 0x20u
#define MSR_RI 0x40u
#define MSR_DCD 0x80u
#define MSR_LINES 0xf0u

struct fifo {
	uint8_t data[FIFO_LEN];
	uint8_t err[FIFO_LEN]; /* LSR_CHAR_ERRS of each character; receiver only */
	uint8_t head, count;
};

struct uart16550 {
	struct device dev;
	struct irq_line irq;
	struct chardev *chr;
	struct io_timer timeout;
	struct fifo rx, tx;
	uint64_t timeout_ns; /* when the receiver times out; 0 while it waits for nothing */
	uint16_t divisor;
	uint8_t ier, fcr, lcr, mcr, msr, scr;
	uint8_t line_errs;    /* OE, and PE, FE, BI of the character on top, until LSR is read */
	uint8_t thre_pending; /* the THRE interrupt, until IIR or THR is touched */
	uint8_t timed_out;
	uint8_t irq_level;
};

static bool fifos_on(const struct uart16550 *u)
{
	return u->fcr & FCR_ENABLE;
}

static unsigned fifo_capacity(const struct uart16550 *u)
{
	return fifos_on(u) ? FIFO_LEN : 1;
}

static void fifo_push(struct fifo *f, uint8_t data, uint8_t err)
{
	unsigned at = (f->head + f->count) % FIFO_LEN;

	f->data[at] = data;
	f->err[at] = err;
	f->count++;
}

static uint8_t fifo_pop(struct fifo *f)
{
	uint8_t v = f->data[f->head];

	f->head = (f->head + 1) % FIFO_LEN;
	f->count--;
	return v;
}

static unsigned rx_trigger(const struct uart16550 *u)
{
	static const uint8_t levels[4] = {1, 4, 8, 14};

	return fifos_on(u) ? levels[u->fcr >> 6] : 1;
}

/* The interrupt of the highest priority, as IIR shows it (§8.5, table IV). */
static uint8_t pending_iir(const struct uart16550 *u)
{
	if (u->ier & IER_RLS && u->line_errs)
		return IIR_RLS;
	if (u->ier & IER_RDA && u->rx.count >= rx_trigger(u))
		return IIR_RDA;
	if (u->ier & IER_RDA && u->timed_out)
		return IIR_TIMEOUT;
	if (u->ier & IER_THRE && u->thre_pending)
		return IIR_THRE;
	if (u->ier & IER_MSR && u->msr & ~MSR_LINES)
		return IIR_MSR;
	return IIR_NONE;
}

static void update_irq(struct uart16550 *u)
{
	bool level = pending_iir(u) != IIR_NONE;

	if (level != u->irq_level) {
		u->irq_level = level;
		irq_set(&u->irq, level);
	}
}

/* Receiver. */

/* Start, data, parity and stop bits of one character. */
static uint64_t char_ns(const struct uart16550 *u)
{
	unsigned bits =
		7u + (u->lcr & 3u) + (u->lcr & LCR_PARITY ? 1 : 0) + (u->lcr & LCR_STOP ? 1 : 0);
	unsigned divisor = u->divisor ? u->divisor : 1;

	return NS_PER_SEC * bits * divisor / UART_CLOCK_BAUD;
}

/* Characters wait below the trigger level: after four character times that is an interrupt. */
static void restart_timeout(struct uart16550 *u)
{
	u->timed_out = 0;
	if (!fifos_on(u) || u->rx.count == 0) {
		u->timeout_ns = 0;
		io_timer_cancel(&u->timeout);
		return;
	}
	u->timeout_ns = clock_vm_ns() + 4 * char_ns(u);
	io_timer_arm(&u->timeout, u->timeout_ns);
}

static void on_timeout(void *opaque)
{
	struct uart16550 *u = opaque;

	u->timeout_ns = 0;
	if (u->rx.count == 0)
		return;
	u->timed_out = 1;
	update_irq(u);
}

/* Errors of a character show in LSR when it comes to the top (§8.4, note on bits 2..4). */
static void show_top_errors(struct uart16550 *u)
{
	if (u->rx.count > 0) {
		u->line_errs |= u->rx.err[u->rx.head];
		u->rx.err[u->rx.head] = 0;
	}
}

static void rx_char(struct uart16550 *u, uint8_t data, uint8_t err)
{
	if (u->rx.count >= fifo_capacity(u)) {
		u->line_errs |= LSR_OE;
		/* Without FIFOs the new character replaces the old one. */
		if (fifos_on(u))
			return;
		u->rx.count = 0;
	}
	fifo_push(&u->rx, data, err);
	show_top_errors(u);
}

static size_t uart_can_receive(void *opaque)
{
	const struct uart16550 *u = opaque;

	if (u->mcr & MCR_LOOP)
		return 0;
	return u->rx.count < fifo_capacity(u) ? fifo_capacity(u) - u->rx.count : 0;
}

static void uart_receive(void *opaque, const uint8_t *buf, size_t len)
{
	struct uart16550 *u = opaque;

	for (size_t i = 0; i < len; i++)
		rx_char(u, buf[i], 0);
	restart_timeout(u);
	update_irq(u);
}

static void uart_event(void *opaque, enum chardev_event event)
{
	struct uart16550 *u = opaque;

	if (event != CHARDEV_EVENT_BREAK || u->mcr & MCR_LOOP)
		return;
	rx_char(u, 0, LSR_BI | LSR_FE);
	restart_timeout(u);
	update_irq(u);
}

static uint8_t read_rbr(struct uart16550 *u)
{
	uint8_t v;

	/* An empty receiver shows its last character again. */
	if (u->rx.count == 0)
		return u->rx.data[(u->rx.head + FIFO_LEN - 1) % FIFO_LEN];

	bool was_full = u->rx.count >= fifo_capacity(u);

	v = fifo_pop(&u->rx);
	show_top_errors(u);
	restart_timeout(u);
	update_irq(u);
	if (was_full)
		chardev_accept_input(u->chr);
	return v;
}

/* Transmitter. */

/* Hand over what waits. The THRE interrupt comes when the last character has gone. */
static void tx_flush(struct uart16550 *u)
{
	bool had = u->tx.count > 0;

	while (u->tx.count > 0) {
		uint8_t c = u->tx.data[u->tx.head];

		if (u->mcr & MCR_LOOP)
			rx_char(u, c, 0);
		else if (chardev_write(u->chr, &c, 1) == 0)
			break;
		fifo_pop(&u->tx);
	}
	if (had && u->tx.count == 0) {
		u->thre_pending = 1;
		if (u->mcr & MCR_LOOP)
			restart_timeout(u);
	}
	update_irq(u);
}

static void uart_writable(void *opaque)
{
	tx_flush(opaque);
}

static void write_thr(struct uart16550 *u, uint8_t val)
{
	u->thre_pending = 0;
	/* A full transmitter loses the character: THRE was 0, the guest did not look. */
	if (u->tx.count < fifo_capacity(u))
		fifo_push(&u->tx, val, 0);
	tx_flush(u);
}

/* Line and modem control. */

static void line_changed(struct uart16550 *u)
{
	char parity = !(u->lcr & LCR_PARITY) ? 'N' : u->lcr & LCR_EVEN ? 'E' : 'O';
	unsigned divisor = u->divisor ? u->divisor : 1;

	chardev_set_line(u->chr, UART_CLOCK_BAUD / divisor, 5 + (u->lcr & 3),
			 u->lcr & LCR_STOP ? 2 : 1, parity);
}

/* Modem input lines: our own outputs in loop-back, else those of a ready peer. */
static void update_msr(struct uart16550 *u)
{
	uint8_t lines = MSR_CTS | MSR_DSR | MSR_DCD;
	uint8_t old = u->msr & MSR_LINES;

	if (u->mcr & MCR_LOOP)
		lines = (uint8_t)((u->mcr & MCR_RTS ? MSR_CTS : 0) |
				  (u->mcr & MCR_DTR ? MSR_DSR : 0) |
				  (u->mcr & MCR_OUT1 ? MSR_RI : 0) |
				  (u->mcr & MCR_OUT2 ? MSR_DCD : 0));

	uint8_t changed = old ^ lines;
	/* RI counts only when it falls. */
	uint8_t delta = (uint8_t)((changed & (MSR_CTS | MSR_DSR | MSR_DCD)) >> 4);

	if (changed & MSR_RI && old & MSR_RI)
		delta |= MSR_TERI;
	u->msr = (uint8_t)(lines | (u->msr & ~MSR_LINES) | delta);
}

static void write_mcr(struct uart16550 *u, uint8_t val)
{
	bool was_loop = u->mcr & MCR_LOOP;

	u->mcr = val & MCR_WRITABLE;
	update_msr(u);
	tx_flush(u);
	if (was_loop && !(u->mcr & MCR_LOOP))
		chardev_accept_input(u->chr);
}

static void write_fcr(struct uart16550 *u, uint8_t val)
{
	bool toggled = (val ^ u->fcr) & FCR_ENABLE;

	/* Other bits are taken only together with bit 0 (§8.4). */
	u->fcr = val & FCR_ENABLE ? val & (FCR_ENABLE | 0xc0) : 0;
	if (toggled || (val & FCR_ENABLE && val & FCR_RX_RESET)) {
		u->rx.count = 0;
		u->line_errs = 0;
		restart_timeout(u);
	}
	if (toggled || (val & FCR_ENABLE && val & FCR_TX_RESET)) {
		if (u->tx.count > 0)
			u->thre_pending = 1;
		u->tx.count = 0;
	}
	update_irq(u);
	chardev_accept_input(u->chr);
}

static void write_ier(struct uart16550 *u, uint8_t val)
{
	/* Enabling THRE while the transmitter is empty interrupts at once. */
	if (val & ~u->ier & IER_THRE && u->tx.count == 0)
		u->thre_pending = 1;
	u->ier = val & IER_WRITABLE;
	update_irq(u);
}

static void write_lcr(struct uart16550 *u, uint8_t val)
{
	uint8_t old = u->lcr;

	u->lcr = val;
	if ((old ^ val) & LCR_BREAK)
		chardev_set_break(u->chr, val & LCR_BREAK);
	if ((old ^ val) & 0x3f)
		line_changed(u);
}

static uint8_t read_iir(struct uart16550 *u)
{
	uint8_t iir = pending_iir(u);

	if (iir == IIR_THRE) {
		u->thre_pending = 0;
		update_irq(u);
	}
	return (uint8_t)(iir | (fifos_on(u) ? IIR_FIFOS : 0));
}

static uint8_t read_lsr(struct uart16550 *u)
{
	uint8_t v = u->line_errs;

	if (u->rx.count > 0)
		v |= LSR_DR;
	/* In FIFO mode THRE means that the FIFO is empty, not that there is room. */
	if (u->tx.count == 0)
		v |= LSR_THRE | LSR_TEMT;
	if (fifos_on(u)) {
		uint8_t errs = u->line_errs & LSR_CHAR_ERRS;

		for (unsigned i = 0; i < u->rx.count; i++)
			errs |= u->rx.err[(u->rx.head + i) % FIFO_LEN];
		if (errs)
			v |= LSR_FIFO_ERR;
	}
	u->line_errs = 0;
	update_irq(u);
	return v;
}

static uint8_t read_msr(struct uart16550 *u)
{
	uint8_t v = u->msr;

	u->msr &= MSR_LINES;
	update_irq(u);
	return v;
}

static uint64_t uart_read(void *dev, uint64_t off, unsigned size)
{
	struct uart16550 *u = dev;
	bool dlab = u->lcr & LCR_DLAB;

	(void)size;
	switch (off) {
	case 0:
		return dlab ? u->divisor & 0xff : read_rbr(u);
	case 1:
		return dlab ? u->divisor >> 8 : u->ier;
	case 2:
		return read_iir(u);
	case 3:
		return u->lcr;
	case 4:
		return u->mcr;
	case 5:
		return read_lsr(u);
	case 6:
		return read_msr(u);
	default:
		return u->scr;
	}
}

static void write_divisor(struct uart16550 *u, uint16_t divisor)
{
	if (u->divisor == divisor)
		return;
	u->divisor = divisor;
	line_changed(u);
}

static void uart_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
	struct uart16550 *u = dev;
	bool dlab = u->lcr & LCR_DLAB;
	uint8_t v = (uint8_t)val;

	(void)size;
	switch (off) {
	case 0:
		if (dlab)
			write_divisor(u, (uint16_t)((u->divisor & 0xff00) | v));
		else
			write_thr(u, v);
		break;
	case 1:
		if (dlab)
			write_divisor(u, (uint16_t)((u->divisor & 0xff) | v << 8));
		else
			write_ier(u, v);
		break;
	case 2:
		write_fcr(u, v);
		break;
	case 3:
		write_lcr(u, v);
		break;
	case 4:
		write_mcr(u, v);
		break;
	case 7:
		u->scr = v;
		break;
	default: /* LSR and MSR: writes are for factory tests */
		break;
	}
}

static const struct bus_ops uart_ops = {uart_read, uart_write, 1, 1};

int uart16550_map(struct uart16550 *u, struct bus *bus, uint16_t base)
{
	return bus_map_pio(bus, base, 8, &uart_ops, u, "uart16550") ? 0 : -ENOMEM;
}

static void uart_reset(struct device *dev)
{
	struct uart16550 *u = (struct uart16550 *)dev;

	if (u->lcr & LCR_BREAK)
		chardev_set_break(u->chr, false);
	u->rx = (struct fifo){0};
	u->tx = (struct fifo){0};
	/* The chip leaves it undefined; 9600 baud, as firmware would. */
	u->divisor = 12;
	u->ier = u->fcr = u->lcr = u->scr = 0;
	u->mcr = 0;
	u->msr = MSR_CTS | MSR_DSR | MSR_DCD;
	u->line_errs = 0;
	u->thre_pending = 0;
	restart_timeout(u);
	update_irq(u);
	chardev_accept_input(u->chr);
}

static int uart_post_load(struct device *dev)
{
	struct uart16550 *u = (struct uart16550 *)dev;
	const struct fifo *fifos[2] = {&u->rx, &u->tx};

	for (unsigned i = 0; i < 2; i++) {
		if (fifos[i]->head >= FIFO_LEN || fifos[i]->count > fifo_capacity(u))
			return -EINVAL;
		for (unsigned k = 0; k < FIFO_LEN; k++) {
			if (fifos[i]->err[k] & ~LSR_CHAR_ERRS)
				return -EINVAL;
		}
	}
	if (u->ier & ~IER_WRITABLE || u->mcr & ~MCR_WRITABLE ||
	    u->line_errs & ~(LSR_OE | LSR_CHAR_ERRS))
		return -EINVAL;
	io_timer_cancel(&u->timeout);
	if (u->timeout_ns)
		io_timer_arm(&u->timeout, u->timeout_ns);
	line_changed(u);
	chardev_set_break(u->chr, u->lcr & LCR_BREAK);
	u->irq_level = 0;
	irq_set(&u->irq, false);
	tx_flush(u);
	chardev_accept_input(u->chr);
	return 0;
}

static const struct state_field uart_fields[] = {
	STATE_BUFFER(struct uart16550, rx.data),  STATE_BUFFER(struct uart16550, rx.err),
	STATE_FIELD(struct uart16550, rx.head),	  STATE_FIELD(struct uart16550, rx.count),
	STATE_BUFFER(struct uart16550, tx.data),  STATE_BUFFER(struct uart16550, tx.err),
	STATE_FIELD(struct uart16550, tx.head),	  STATE_FIELD(struct uart16550, tx.count),
	STATE_TIME(struct uart16550, timeout_ns), STATE_FIELD(struct uart16550, divisor),
	STATE_FIELD(struct uart16550, ier),	  STATE_FIELD(struct uart16550, fcr),
	STATE_FIELD(struct uart16550, lcr),	  STATE_FIELD(struct uart16550, mcr),
	STATE_FIELD(struct uart16550, msr),	  STATE_FIELD(struct uart16550, scr),
	STATE_FIELD(struct uart16550, line_errs), STATE_FIELD(struct uart16550, thre_pending),
	STATE_FIELD(struct uart16550, timed_out), STATE_END,
};

static const struct device_class uart_class = {
	.name = "uart16550",
	.version = 1,
	.reset = uart_reset,
	.fields = uart_fields,
	.post_load = uart_post_load,
};

struct uart16550 *uart16550_new(struct io_loop *loop, struct irq_line irq, struct chardev *chr)
{
	struct uart16550 *u = calloc(1, sizeof(*u));

	if (!u)
		return NULL;
	u->dev.cls = &uart_class;
	u->irq = irq;
	u->chr = chr;
	io_timer_init(&u->timeout, loop, on_timeout, u);
	uart_reset(&u->dev);
	if (chr) {
		const struct chardev_frontend fe = {
			.can_receive = uart_can_receive,
			.receive = uart_receive,
			.event = uart_event,
			.writable = uart_writable,
			.opaque = u,
		};

		chardev_connect(chr, &fe);
	}
	return u;
}

void uart16550_free(struct uart16550 *u)
{
	if (!u)
		return;
	io_timer_cancel(&u->timeout);
	if (u->chr)
		chardev_connect(u->chr, NULL);
	free(u);
}

struct device *uart16550_device(struct uart16550 *u)
{
	return &u->dev;
}
