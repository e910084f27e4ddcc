// SPDX-License-Identifier: GPL-2.0-or-later
/* Fuzz port 0x92, the debug console and isa-debug-exit: make t T=fuzz/small_ports */
#include "device_harness.h"
#include "devices/legacy/debugcon.h"
#include "devices/legacy/isa_debug_exit.h"
#include "devices/legacy/pci_hotplug.h"
#include "devices/legacy/port92.h"
#include "wire.h"

static void on_exit_vm(void *opaque, int code)
{
	FUZZ_CHECK(code > 0 && code & 1);
	++*(unsigned *)opaque;
}

static void on_notify(void *opaque)
{
	(void)opaque;
}

static void on_eject(void *opaque, unsigned slot)
{
	FUZZ_CHECK(slot < 32);
	(void)opaque;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t ports[] = {0x92,	0xe9,	0x402,	0x501,	0x502,	0x504,
					 0xae00, 0xae03, 0xae04, 0xae08, 0xae0a, 0xae0b};
	struct fuzz_in in = {data, size};
	struct wire a20 = {0}, reset = {0};
	struct bus *bus = bus_new();
	unsigned exits = 0;

	fake_begin();

	struct port92 *p = port92_new(wire_line(&a20), wire_line(&reset));
	const struct pci_hotplug_config hp = {.notify = on_notify, .eject = on_eject, .opaque = &exits};
	struct pci_hotplug *h = pci_hotplug_new(&hp);
	struct debugcon *d = debugcon_new(NULL);
	struct isa_debug_exit *e = isa_debug_exit_new(on_exit_vm, &exits);

	FUZZ_CHECK(port92_map(p, bus, 0x92) == 0 && debugcon_map(d, bus, 0x402) == 0);
	FUZZ_CHECK(debugcon_map(d, bus, 0xe9) == 0 && isa_debug_exit_map(e, bus, 0x501, 4) == 0);
	FUZZ_CHECK(pci_hotplug_map(h, bus) == 0);
	pci_hotplug_added(h, 31);
	pci_hotplug_leave(h, 2);
	while (in.left) {
		uint8_t op = fuzz_u8(&in);

		if ((op & 15) == 0)
			fuzz_save_load(op & 16 ? port92_device(p) : pci_hotplug_device(h));
		else if ((op & 15) == 1)
			fuzz_load_damaged(&in, op & 16 ? port92_device(p) : pci_hotplug_device(h));
		else
			fuzz_port_access(&in, bus, ports, 12);
		FUZZ_CHECK(!reset.level && !(inb(bus, 0x92) & 0xfc));
		FUZZ_CHECK(inb(bus, 0x402) == 0xff);
	}
	port92_free(p);
	pci_hotplug_free(h);
	debugcon_free(d);
	isa_debug_exit_free(e);
	bus_free(bus);
	return 0;
}
