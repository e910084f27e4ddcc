// SPDX-License-Identifier: GPL-2.0-or-later
/* Fuzz PIIX3 IDE with a disk and a CD-ROM: make t T=fuzz/ide */
#include "base/bytes.h"
#include "devices/storage/piix3_ide.h"
#include "storage_harness.h"

#define BM 0xc000u

static void random_prds(struct fuzz_in *in, struct mem *mem)
{
	uint8_t n = fuzz_u8(in) & 7, e[8];

	for (unsigned i = 0; i <= n; i++) {
		st_le32(e, (uint32_t)fuzz_gpa(in));
		st_le16(e + 4, (uint16_t)fuzz_uint(in, 2));
		st_le16(e + 6, i == n ? 0x8000 : 0);
		fuzz_put(mem, 0x1000 + 8 * i, e, 8);
	}
}

/* A whole command, so that all are reached. */
static void random_command(struct fuzz_in *in, struct bus *bus, uint16_t base)
{
	uint8_t dev = fuzz_u8(in);

	outb(bus, base + 6, dev);
	for (unsigned r = 1; r < 6; r++) {
		outb(bus, base + r, fuzz_u8(in) & 3);
		outb(bus, base + r, fuzz_u8(in));
	}
	outb(bus, base + 7, fuzz_u8(in));
}

static void random_packet(struct fuzz_in *in, struct bus *bus)
{
	outb(bus, 0x176, 0xa0);
	outb(bus, 0x171, fuzz_u8(in) & 1);
	outb(bus, 0x174, fuzz_u8(in));
	outb(bus, 0x175, fuzz_u8(in));
	outb(bus, 0x177, 0xa0);
	for (unsigned i = 0; i < 6; i++)
		bus_pio_write(bus, 0x170, fuzz_uint(in, 2), 2);
}

static void step(struct fuzz_in *in, struct fuzz_pci *p, struct piix3_ide *s,
		 struct ata_drive *d[2], struct blk_queue *q[2])
{
	static const uint16_t ports[] = {0x1f0, 0x1f1,	0x1f2,	0x1f6,	0x1f7,	 0x3f6,
					 0x170, 0x171,	0x172,	0x176,	0x177,	 0x376,
					 BM,	BM + 2, BM + 4, BM + 8, BM + 10, BM + 12,
					 0x1f3, 0x1f4,	0x1f5,	0x174,	0x175,	 BM + 1};
	struct device *dev[3] = {piix3_ide_device(s), ata_drive_device(d[0]),
				 ata_drive_device(d[1])};
	uint8_t op = fuzz_u8(in), n;

	switch (op & 15) {
	case 0:
		fuzz_save_load(dev[(op >> 4) % 3]);
		break;
	case 1:
		fuzz_load_damaged(in, dev[(op >> 4) % 3]);
		break;
	case 2:
	case 3:
		random_command(in, p->bus, op & 16 ? 0x1f0 : 0x170);
		break;
	case 4:
		random_packet(in, p->bus);
		break;
	case 5:
	case 6:
		fuzz_blk(in, q[op >> 4 & 1]);
		break;
	case 7:
		random_prds(in, fuzz_mem());
		bus_pio_write(p->bus, op & 16 ? BM + 4 : BM + 12, 0x1000, 4);
		outb(p->bus, op & 16 ? BM : BM + 8, 9);
		break;
	case 8:
		n = fuzz_u8(in);
		for (unsigned i = 0; i < n * 8u; i++)
			bus_pio_read(p->bus, op & 16 ? 0x1f0 : 0x170, 4);
		break;
	case 9:
		n = fuzz_u8(in);
		for (unsigned i = 0; i < n * 8u; i++)
			bus_pio_write(p->bus, op & 16 ? 0x1f0 : 0x170, i, 4);
		break;
	case 10:
		if (op & 16)
			fuzz_pci_config(in, p, 0x09);
		else if (op & 32)
			ata_press_eject(d[1]);
		else
			ata_set_medium(d[1], op & 64 ? q[1] : NULL);
		break;
	case 11:
		n = fuzz_u8(in) % 3;
		if (op == 11)
			dev[n]->cls->reset(dev[n]);
		piix3_ide_program(s, BM);
		break;
	default:
		fuzz_port_access(in, p->bus, ports, sizeof(ports) / sizeof(ports[0]));
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	struct wire irq[2] = {{0}};
	struct piix3_ide_config cfg = {.irq = {wire_line(&irq[0]), wire_line(&irq[1])},
				       .mem = fuzz_mem()};
	struct fuzz_pci p = fuzz_pci_new();
	struct piix3_ide *s = piix3_ide_new(p.pb, &cfg, NULL);
	struct blk_queue *q[2] = {fake_blk_new(400 * 512), fake_blk_new(100 * 2048)};
	const struct ata_config disk = {.kind = ATA_DISK, .queue = q[0]};
	const struct ata_config cd = {.kind = ATA_CDROM, .queue = q[1], .read_only = true};
	struct ata_drive *d[2] = {ata_drive_new(&disk, NULL), ata_drive_new(&cd, NULL)};

	FUZZ_CHECK(piix3_ide_attach(s, 0, 0, d[0]) == 0 && piix3_ide_attach(s, 1, 0, d[1]) == 0);
	piix3_ide_program(s, BM);
	for (unsigned n = 0; in.left && n < 512; n++) {
		step(&in, &p, s, d, q);
		fuzz_pci_check(&p, 0x09, 0x70108086);
	}
	/* Whatever happened, a reset makes the disk answer. */
	fake_blk_run(q[0]);
	fake_blk_run(q[1]);
	piix3_ide_device(s)->cls->reset(piix3_ide_device(s));
	ata_drive_device(d[0])->cls->reset(ata_drive_device(d[0]));
	piix3_ide_program(s, BM);
	outb(p.bus, 0x1f7, 0xec);
	FUZZ_CHECK(inb(p.bus, 0x1f7) == 0x58 && bus_pio_read(p.bus, 0x1f0, 2) == 0x40);
	ata_drive_free(d[0]);
	ata_drive_free(d[1]);
	piix3_ide_free(s);
	fuzz_pci_free(&p);
	fake_blk_free(q[0]);
	fake_blk_free(q[1]);
	return 0;
}
