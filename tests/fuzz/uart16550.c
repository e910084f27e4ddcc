// SPDX-License-Identifier: GPL-2.0-or-later
/* Fuzz the UART from both sides: make t T=fuzz/uart16550 */
#include "device_harness.h"
#include "devices/legacy/uart16550.h"
#include "wire.h"

static size_t room; /* what the channel takes next */

static size_t host_write(struct chardev *c, const uint8_t *buf, size_t len)
{
	size_t n = len < room ? len : room;

	(void)c;
	(void)buf;
	room -= n;
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t ports[] = {0x3f8, 0x3f9, 0x3fa, 0x3fb, 0x3fc, 0x3fd, 0x3fe, 0x3ff};
	static const struct chardev_ops ops = {.write = host_write};
	struct chardev chr = {.ops = &ops};
	struct fuzz_in in = {data, size};
	struct wire irq = {0};
	struct bus *bus = bus_new();
	struct uart16550 *u = uart16550_new(fake_begin(), wire_line(&irq), &chr);
	uint8_t buf[256] = {0};
	size_t n;

	room = 0;
	FUZZ_CHECK(bus && u && uart16550_map(u, bus, 0x3f8) == 0);
	while (in.left) {
		uint8_t op = fuzz_u8(&in);

		switch (op & 7) {
		case 0:
			fuzz_time(&in);
			break;
		case 1:
			n = chardev_can_receive(&chr);
			FUZZ_CHECK(n <= 16);
			buf[0] = op;
			chardev_receive(&chr, buf, n < op >> 3u ? n : op >> 3u);
			break;
		case 2:
			chardev_event(&chr, (enum chardev_event)(op >> 3) % 3);
			break;
		case 3:
			room = op >> 3;
			chardev_writable(&chr);
			break;
		case 4:
			if (op & 8)
				fuzz_save_load(uart16550_device(u));
			else
				fuzz_load_damaged(&in, uart16550_device(u));
			break;
		default:
			fuzz_port_access(&in, bus, ports, 8);
			break;
		}
		/* The pin is exactly "IIR shows something"; reading IIR may take THRE back. */
		bool was = irq.level;

		FUZZ_CHECK(was == !(inb(bus, 0x3fa) & 1));
	}
	/* With all interrupts off and everything read the pin is low. */
	outb(bus, 0x3fb, 0x03);
	outb(bus, 0x3f9, 0);
	FUZZ_CHECK(!irq.level && inb(bus, 0x3f9) == 0);
	uart16550_free(u);
	bus_free(bus);
	return 0;
}
