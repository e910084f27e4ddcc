// SPDX-License-Identifier: GPL-2.0-or-later
/* Fuzz the floppy controller and the DMA it uses: make t T=fuzz/fdc */
#include "devices/storage/fdc.h"
#include "storage_harness.h"

static void random_dma(struct fuzz_in *in, struct bus *bus)
{
	outb(bus, 0x0a, 6);
	outb(bus, 0x0c, 0);
	outb(bus, 0x0b, (fuzz_u8(in) & 0xfc) | 2);
	outb(bus, 0x04, fuzz_u8(in));
	outb(bus, 0x04, fuzz_u8(in));
	outb(bus, 0x81, fuzz_u8(in) & 15);
	outb(bus, 0x05, fuzz_u8(in));
	outb(bus, 0x05, fuzz_u8(in) & 63);
	outb(bus, 0x0a, 2);
}

static void random_command(struct fuzz_in *in, struct bus *bus)
{
	static const uint8_t first[] = {0x46, 0xe6, 0x45, 0xc5, 0x4d, 0x4a, 0x07, 0x08,
					0x03, 0x0f, 0x16, 0x13, 0x8f, 0x0e, 0x04, 0x94};
	uint8_t how = fuzz_u8(in);

	outb(bus, 0x3f5, how & 0x80 ? fuzz_u8(in) : first[how & 15]);
	for (unsigned i = 0; i < 8; i++)
		outb(bus, 0x3f5, fuzz_u8(in) & (how & 0x40 ? 0xff : 3));
}

static void step(struct fuzz_in *in, struct bus *bus, struct fdc *f, struct blk_queue *q)
{
	static const uint16_t ports[] = {0x3f0, 0x3f1, 0x3f2, 0x3f3, 0x3f4, 0x3f5, 0x3f7, 0x0a};
	struct device *d = fdc_device(f);
	uint8_t op = fuzz_u8(in);

	switch (op & 15) {
	case 0:
		fuzz_save_load(d);
		break;
	case 1:
		fuzz_load_damaged(in, d);
		break;
	case 2:
	case 3:
	case 4:
		random_command(in, bus);
		break;
	case 5:
	case 6:
		fuzz_blk(in, q);
		break;
	case 7:
		random_dma(in, bus);
		break;
	case 8:
		for (unsigned i = 0; i < op * 4u; i++)
			inb(bus, 0x3f5);
		break;
	case 9:
		if (fdc_set_medium(f, 0, op & 16 ? q : NULL, op & 32, NULL))
			abort();
		break;
	case 10:
		outb(bus, 0x3f2, 0);
		outb(bus, 0x3f2, 0x1c);
		outb(bus, 0x3f7, 0);
		break;
	case 11:
		if (op == 11)
			d->cls->reset(d);
		break;
	default:
		fuzz_port_access(in, bus, ports, sizeof(ports) / sizeof(ports[0]));
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	struct wire irq = {0};
	struct bus *bus = bus_new();
	struct i8237_pair *dma = i8237_new(fuzz_mem());
	const struct fdc_config cfg = {.irq = wire_line(&irq), .dma = dma};
	struct fdc *f = fdc_new(&cfg);
	struct blk_queue *q = fake_blk_new(size & 1 ? 1474560 : 100000);

	FUZZ_CHECK(i8237_map(dma, bus) == 0 && fdc_map(f, bus, 0x3f0) == 0);
	FUZZ_CHECK(fdc_add_drive(f, 0, q, false, FDC_TYPE_NONE, NULL) == 0);
	outb(bus, 0x3f2, 0x1c);
	outb(bus, 0x3f7, 0);
	for (unsigned n = 0; in.left && n < 512; n++)
		step(&in, bus, f, q);
	/* Whatever happened, a reset makes it answer. */
	fake_blk_run(q);
	outb(bus, 0x3f2, 0);
	outb(bus, 0x3f2, 0x1c);
	FUZZ_CHECK(inb(bus, 0x3f4) == 0x80);
	outb(bus, 0x3f5, 0x10);
	FUZZ_CHECK(inb(bus, 0x3f5) == 0x90);
	fdc_free(f);
	i8237_free(dma);
	bus_free(bus);
	fake_blk_free(q);
	return 0;
}
