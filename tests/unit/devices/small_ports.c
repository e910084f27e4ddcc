// SPDX-License-Identifier: GPL-2.0-or-later
/* Port 0x92, debug console, isa-debug-exit: make t T=devices/small_ports */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "devices/legacy/debugcon.h"
#include "devices/legacy/isa_debug_exit.h"
#include "devices/legacy/pci_hotplug.h"
#include "devices/legacy/port92.h"
#include "wire.h"

static void port92_when_written_expect_a20_and_one_reset(void **state)
{
	struct wire a20 = {0}, reset = {0};
	struct bus *bus = bus_new();
	struct port92 *p = port92_new(wire_line(&a20), wire_line(&reset));

	(void)state;
	assert_int_equal(port92_map(p, bus, 0x92), 0);
	assert_int_equal(inb(bus, 0x92), 0);
	outb(bus, 0x92, 0xfe);
	assert_true(a20.level);
	assert_int_equal(inb(bus, 0x92), 2);
	assert_int_equal(reset.rises, 0);
	outb(bus, 0x92, 0x01);
	assert_false(a20.level);
	assert_int_equal(reset.rises, 1);
	outb(bus, 0x92, 0x01);
	assert_int_equal(reset.rises, 1);
	assert_false(reset.level);
	port92_device(p)->cls->reset(port92_device(p));
	outb(bus, 0x92, 0x03);
	assert_int_equal(reset.rises, 2);

	struct port92 *q = port92_new(wire_line(&a20), wire_line(&reset));

	wire_transfer(port92_device(p), port92_device(q));
	outb(bus, 0x92, 0x03);
	assert_int_equal(reset.rises, 2);
	port92_free(p);
	port92_free(q);
	bus_free(bus);
}

struct sink {
	struct chardev chr;
	char text[32];
	size_t len, room;
};

static size_t sink_write(struct chardev *c, const uint8_t *buf, size_t len)
{
	struct sink *s = (struct sink *)c;

	if (len > s->room - s->len)
		len = s->room - s->len;
	memcpy(s->text + s->len, buf, len);
	s->len += len;
	return len;
}

static void debugcon_when_written_expect_bytes_on_channel(void **state)
{
	static const struct chardev_ops ops = {.write = sink_write};
	struct sink s = {.chr = {.ops = &ops}, .room = 5};
	struct bus *bus = bus_new();
	struct debugcon *d = debugcon_new(&s.chr);

	(void)state;
	assert_int_equal(debugcon_map(d, bus, 0x402), 0);
	assert_int_equal(debugcon_map(d, bus, 0xe9), 0);
	assert_int_equal(inb(bus, 0x402), 0xe9);
	for (const char *p = "hello, world"; *p; p++)
		outb(bus, p[0] & 1 ? 0x402 : 0xe9, (uint8_t)*p);
	assert_int_equal(s.len, 5);
	assert_memory_equal(s.text, "hello", 5);
	debugcon_free(d);
	d = debugcon_new(NULL);
	assert_int_equal(debugcon_map(d, bus, 0x404), 0);
	assert_int_equal(inb(bus, 0x404), 0xff);
	outb(bus, 0x404, 1);
	debugcon_free(d);
	bus_free(bus);
}

static void note_code(void *opaque, int code)
{
	*(int *)opaque = code;
}

static void debug_exit_when_written_expect_status(void **state)
{
	struct bus *bus = bus_new();
	int code = 0;
	struct isa_debug_exit *d = isa_debug_exit_new(note_code, &code);

	(void)state;
	assert_int_equal(isa_debug_exit_map(d, bus, 0x501, 0), -EINVAL);
	assert_int_equal(isa_debug_exit_map(d, bus, 0xffff, 2), -EINVAL);
	assert_int_equal(isa_debug_exit_map(d, bus, 0xf4, 4), 0);
	assert_int_equal(bus_pio_read(bus, 0xf4, 4), 0);
	assert_int_equal(code, 0);
	outb(bus, 0xf4, 0x10);
	assert_int_equal(code, 0x21);
	bus_pio_write(bus, 0xf4, 0, 4);
	assert_int_equal(code, 1);
	bus_pio_write(bus, 0xf4, 0xffffffff, 4);
	assert_int_equal(code, 0x7fffffff);
	isa_debug_exit_free(d);
	bus_free(bus);
}

struct slots {
	unsigned notified;
	uint32_t ejected;
};

static void note_notify(void *opaque)
{
	((struct slots *)opaque)->notified++;
}

static void note_eject(void *opaque, unsigned slot)
{
	((struct slots *)opaque)->ejected |= 1u << slot;
}

static void hotplug_when_cards_come_and_go_expect_bits_and_ejects(void **state)
{
	struct slots s = {0};
	const struct pci_hotplug_config cfg = {note_notify, note_eject, &s};
	struct bus *bus = bus_new();
	struct pci_hotplug *h = pci_hotplug_new(&cfg), *copy = pci_hotplug_new(&cfg);

	(void)state;
	assert_int_equal(pci_hotplug_map(h, bus), 0);
	assert_int_equal(bus_pio_read(bus, 0xae00, 4), 0);
	pci_hotplug_added(h, 2);
	pci_hotplug_added(h, 31);
	pci_hotplug_leave(h, 9);
	assert_int_equal(s.notified, 3);
	wire_transfer(pci_hotplug_device(h), pci_hotplug_device(copy));
	assert_int_equal(bus_pio_read(bus, 0xae00, 4), 0x80000004);
	assert_int_equal(bus_pio_read(bus, 0xae04, 4), 0x200);
	outb(bus, 0xae00, 4); /* write 1 to clear, a byte alone */
	assert_int_equal(bus_pio_read(bus, 0xae00, 4), 0x80000000);
	bus_pio_write(bus, 0xae04, 0xffffffff, 4);
	assert_int_equal(bus_pio_read(bus, 0xae04, 4), 0);
	assert_int_equal(s.ejected, 0);
	bus_pio_write(bus, 0xae08, 0x40000208, 4);
	assert_int_equal(s.ejected, 0x40000208);
	assert_int_equal(bus_pio_read(bus, 0xae08, 4), 0);
	pci_hotplug_device(h)->cls->reset(pci_hotplug_device(h));
	assert_int_equal(bus_pio_read(bus, 0xae00, 4), 0);
	pci_hotplug_free(h);
	pci_hotplug_free(copy);
	bus_free(bus);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(port92_when_written_expect_a20_and_one_reset),
		cmocka_unit_test(debugcon_when_written_expect_bytes_on_channel),
		cmocka_unit_test(debug_exit_when_written_expect_status),
		cmocka_unit_test(hotplug_when_cards_come_and_go_expect_bits_and_ejects),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
