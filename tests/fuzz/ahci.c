// SPDX-License-Identifier: GPL-2.0-or-later
/* Fuzz AHCI with a disk and a CD-ROM: make t T=fuzz/ahci */
#include "base/bytes.h"
#include "devices/storage/ahci.h"
#include "storage_harness.h"

#define ABAR 0xf0000000u
#define DEVFN 0x10u
#define PORT(p, r) (ABAR + 0x100 + 0x80 * (p) + (r))
#define CLB 0x1000u
#define RFIS 0x2000u
#define TABLES 0x4000u /* command table of slot n: 0x200 each, n < 8 */

static void set32(struct bus *bus, uint32_t at, uint32_t v)
{
	bus_mmio_write(bus, at, v, 4);
}

static void start(struct bus *bus, unsigned port)
{
	set32(bus, PORT(port, 0x00), CLB);
	set32(bus, PORT(port, 0x08), RFIS);
	set32(bus, PORT(port, 0x18), 0x11);
	set32(bus, PORT(port, 0x14), 0xffffffff);
}

/* Header, frame, packet and regions of a slot. */
static void random_slot(struct fuzz_in *in, struct mem *mem, unsigned slot)
{
	static const uint8_t cmds[] = {0x60, 0x61, 0x25, 0x35, 0xec, 0xa0, 0xa0, 0x06,
				       0x20, 0x30, 0xea, 0x2f, 0xa1, 0x90, 0x08, 0xc4};
	uint32_t table = TABLES + 0x200 * slot;
	uint8_t h[32] = {0}, fis[20] = {0x27, 0x80}, cdb[16] = {0}, e[16], how = fuzz_u8(in);
	uint8_t regions = fuzz_u8(in) & 7;

	st_le32(h, (uint32_t)regions << 16 | (how & 0x40 ? 0x420 : 0x25));
	st_le64(h + 8, how & 0x20 ? fuzz_gpa(in) : table);
	fuzz_put(mem, CLB + 32 * slot, h, sizeof(h));
	fis[2] = how & 0x10 ? fuzz_u8(in) : cmds[how & 15];
	for (unsigned i = 3; i < 16; i++)
		fis[i] = i >= 8 && i <= 11 ? 0 : fuzz_u8(in) & 31;
	if (!(how & 0x80) && (fis[2] == 0x60 || fis[2] == 0x61))
		fis[12] = (uint8_t)(slot << 3);
	if (how == 0xff)
		fis[1] = fuzz_u8(in);
	fuzz_put(mem, table, fis, sizeof(fis));
	for (unsigned i = 0; i < 12; i++)
		cdb[i] = fuzz_u8(in);
	fuzz_put(mem, table + 0x40, cdb, sizeof(cdb));
	for (unsigned i = 0; i < regions; i++) {
		st_le64(e, fuzz_gpa(in));
		st_le32(e + 8, 0);
		st_le32(e + 12, (uint32_t)fuzz_uint(in, 2) | (uint32_t)(fuzz_u8(in) & 0x80) << 24);
		fuzz_put(mem, table + 0x80 + 16 * i, e, sizeof(e));
	}
}

static void step(struct fuzz_in *in, struct fuzz_pci *p, struct ahci *a, struct ata_drive *d[2],
		 struct blk_queue *q[2], struct mem *mem)
{
	struct device *dev[3] = {ahci_device(a), ata_drive_device(d[0]), ata_drive_device(d[1])};
	uint8_t op = fuzz_u8(in);
	unsigned port = op >> 4 & 1, slot = op >> 5;

	switch (op & 15) {
	case 0:
		fuzz_save_load(dev[(op >> 4) % 3]);
		break;
	case 1:
		fuzz_load_damaged(in, dev[(op >> 4) % 3]);
		break;
	case 2:
	case 3:
	case 4:
	case 5:
		random_slot(in, mem, slot);
		set32(p->bus, PORT(port, 0x34), 1u << slot);
		set32(p->bus, PORT(port, 0x38), 1u << slot);
		break;
	case 6:
	case 7:
		fuzz_blk(in, q[port]);
		break;
	case 8:
		set32(p->bus, PORT(port, 0x18), 0);
		set32(p->bus, PORT(port, 0x2c), op & 32 ? 1 : 0);
		set32(p->bus, PORT(port, 0x2c), 0);
		start(p->bus, port);
		break;
	case 9:
		fuzz_pci_config(in, p, DEVFN);
		break;
	case 10:
		pci_config_write(p->pb, DEVFN, 0x24, ABAR, 4);
		pci_config_write(p->pb, DEVFN, PCI_COMMAND, 6, 2);
		break;
	case 11:
		ata_set_medium(d[1], op & 64 ? q[1] : NULL);
		break;
	case 12:
		bus_mmio_read(p->bus, ABAR + (fuzz_u8(in) & 0xfc) * 4, 1u << (op >> 4 & 3));
		break;
	case 13:
		if (op == 13)
			dev[0]->cls->reset(dev[0]);
		break;
	default:
		set32(p->bus, PORT(port, fuzz_u8(in) & 0x7c), (uint32_t)fuzz_uint(in, 4));
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	struct mem *mem = fuzz_mem();
	struct fuzz_pci p = fuzz_pci_new();
	struct ahci *a = ahci_new(p.pb, DEVFN, mem, NULL);
	struct blk_queue *q[2] = {fake_blk_new(400 * 512), fake_blk_new(100 * 2048)};
	const struct ata_config disk = {.kind = ATA_DISK, .queue = q[0]};
	const struct ata_config cd = {.kind = ATA_CDROM, .queue = q[1], .read_only = true};
	struct ata_drive *d[2] = {ata_drive_new(&disk, NULL), ata_drive_new(&cd, NULL)};

	FUZZ_CHECK(ahci_attach(a, 0, d[0]) == 0 && ahci_attach(a, 1, d[1]) == 0);
	pci_config_write(p.pb, DEVFN, 0x24, ABAR, 4);
	pci_config_write(p.pb, DEVFN, PCI_COMMAND, 6, 2);
	start(p.bus, 0);
	start(p.bus, 1);
	for (unsigned n = 0; in.left && n < 512; n++) {
		step(&in, &p, a, d, q, mem);
		fuzz_pci_check(&p, DEVFN, 0x29228086);
	}
	fake_blk_run(q[0]);
	fake_blk_run(q[1]);
	/* Whatever happened, a reset makes the disk answer. */
	ahci_device(a)->cls->reset(ahci_device(a));
	ata_drive_device(d[0])->cls->reset(ata_drive_device(d[0]));
	pci_config_write(p.pb, DEVFN, 0x24, ABAR, 4);
	pci_config_write(p.pb, DEVFN, PCI_COMMAND, 6, 2);
	FUZZ_CHECK(bus_mmio_read(p.bus, PORT(0, 0x24), 4) == 0x101);
	FUZZ_CHECK(bus_mmio_read(p.bus, PORT(0, 0x20), 4) == 0x150);
	ata_drive_free(d[0]);
	ata_drive_free(d[1]);
	ahci_free(a);
	fuzz_pci_free(&p);
	fake_blk_free(q[0]);
	fake_blk_free(q[1]);
	return 0;
}
