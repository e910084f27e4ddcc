// SPDX-License-Identifier: GPL-2.0-or-later
/* PIIX3 IDE with disks, at its ports: make t T=devices/piix3_ide */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "devices/storage/piix3_ide.h"
#include "fake_blk.h"
#include "wire.h"

#define DISK_SECTORS 200000u
#define BM 0xc000u
#define PRD 0x1000u
#define RAM (2u << 20)

static struct {
	struct bus *bus;
	struct mem *mem;
	struct pci_bus *pb;
	struct piix3_ide *ide;
	struct ata_drive *d[2];
	struct blk_queue *q;
	struct wire irq[2];
} t;

static int set_up(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	t.bus = bus_new();
	t.mem = mem_new(RAM, 0, NULL);
	assert_int_equal(mem_map(t.mem, 0, RAM, MEM_RAM, 0), 0);
	t.pb = pci_bus_new(t.bus);

	struct piix3_ide_config cfg = {.mem = t.mem,
				       .irq = {wire_line(&t.irq[0]), wire_line(&t.irq[1])}};

	t.ide = piix3_ide_new(t.pb, &cfg, NULL);
	t.q = fake_blk_new(DISK_SECTORS * 512ull);
	for (unsigned i = 0; i < DISK_SECTORS; i++)
		st_le32(t.q->b.data + i * 512ull, i + 1);

	const struct ata_config disk = {.kind = ATA_DISK, .queue = t.q, .serial = "S1"};

	t.d[0] = ata_drive_new(&disk, NULL);
	assert_int_equal(piix3_ide_attach(t.ide, 0, 0, t.d[0]), 0);
	piix3_ide_device(t.ide)->cls->reset(piix3_ide_device(t.ide));
	piix3_ide_program(t.ide, BM);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	ata_drive_free(t.d[0]);
	ata_drive_free(t.d[1]);
	piix3_ide_free(t.ide);
	pci_bus_free(t.pb);
	bus_free(t.bus);
	mem_free(t.mem);
	fake_blk_free(t.q);
	return 0;
}

static void second_drive(void)
{
	const struct ata_config disk = {.kind = ATA_DISK, .queue = t.q};

	t.d[1] = ata_drive_new(&disk, NULL);
	assert_int_equal(piix3_ide_attach(t.ide, 0, 1, t.d[1]), 0);
}

static uint8_t status(void)
{
	return inb(t.bus, 0x3f6);
}

static void lba28(uint32_t lba, uint8_t count, uint8_t cmd)
{
	outb(t.bus, 0x1f6, (uint8_t)(0xe0 | lba >> 24));
	outb(t.bus, 0x1f2, count);
	outb(t.bus, 0x1f3, (uint8_t)lba);
	outb(t.bus, 0x1f4, (uint8_t)(lba >> 8));
	outb(t.bus, 0x1f5, (uint8_t)(lba >> 16));
	outb(t.bus, 0x1f7, cmd);
}

static void lba48(uint64_t lba, uint16_t count, uint8_t cmd)
{
	outb(t.bus, 0x1f6, 0x40);
	outb(t.bus, 0x1f2, (uint8_t)(count >> 8));
	outb(t.bus, 0x1f3, (uint8_t)(lba >> 24));
	outb(t.bus, 0x1f4, (uint8_t)(lba >> 32));
	outb(t.bus, 0x1f5, (uint8_t)(lba >> 40));
	outb(t.bus, 0x1f2, (uint8_t)count);
	outb(t.bus, 0x1f3, (uint8_t)lba);
	outb(t.bus, 0x1f4, (uint8_t)(lba >> 8));
	outb(t.bus, 0x1f5, (uint8_t)(lba >> 16));
	outb(t.bus, 0x1f7, cmd);
}

static void read_words(uint8_t *buf, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i += 2)
		st_le16(buf + i, (uint16_t)bus_pio_read(t.bus, 0x1f0, 2));
}

static void write_words(const uint8_t *buf, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i += 2)
		bus_pio_write(t.bus, 0x1f0, ld_le16(buf + i), 2);
}

static void put_prd(unsigned i, uint32_t addr, uint32_t bytes, bool last)
{
	uint8_t e[8];

	st_le32(e, addr);
	st_le32(e + 4, (bytes & 0xffff) | (last ? 0x80000000u : 0));
	assert_int_equal(mem_write(t.mem, PRD + 8 * i, e, 8), 0);
}

static uint32_t ram32(uint32_t at)
{
	uint8_t b[4];

	assert_int_equal(mem_read(t.mem, at, b, 4), 0);
	return ld_le32(b);
}

static void bm_start(bool to_mem)
{
	bus_pio_write(t.bus, BM + 4, PRD, 4);
	outb(t.bus, BM + 2, 0x66);
	outb(t.bus, BM, to_mem ? 9 : 1);
}

/* ---- Presence ----------------------------------------------------------------------------------- */

static void ports_when_not_decoded_expect_nobody(void **state)
{
	(void)state;
	assert_int_equal(status(), 0x50);
	pci_config_write(t.pb, 0x09, 0x40, 0, 2);
	assert_int_equal(status(), 0xff);
	pci_config_write(t.pb, 0x09, 0x40, 0x8000, 2);
	pci_config_write(t.pb, 0x09, PCI_COMMAND, 0, 2);
	assert_int_equal(status(), 0xff);
	assert_int_equal(pci_config_read(t.pb, 0x09, 0, 4), 0x70108086);
	assert_int_equal(pci_config_read(t.pb, 0x09, 8, 4), 0x01018000);
}

static void drive_when_missing_expect_zeros(void **state)
{
	(void)state;
	outb(t.bus, 0x1f6, 0xb0);
	assert_int_equal(status(), 0);
	outb(t.bus, 0x1f7, 0xec);
	assert_int_equal(t.irq[0].rises, 0);
	assert_int_equal(inb(t.bus, 0x177), 0);
}

static void signature_when_reset_expect_disk(void **state)
{
	(void)state;
	outb(t.bus, 0x1f6, 0xe5);
	outb(t.bus, 0x3f6, 4);
	assert_int_equal(status(), 0x80);
	outb(t.bus, 0x3f6, 0);
	assert_int_equal(status(), 0x50);
	assert_int_equal(inb(t.bus, 0x1f1), 1);
	assert_int_equal(inb(t.bus, 0x1f2), 1);
	assert_int_equal(inb(t.bus, 0x1f3), 1);
	assert_int_equal(inb(t.bus, 0x1f4), 0);
	assert_int_equal(inb(t.bus, 0x1f5), 0);
	assert_int_equal(inb(t.bus, 0x1f6), 0xa0);
}

static void diagnostic_when_run_expect_code_and_interrupt(void **state)
{
	(void)state;
	outb(t.bus, 0x1f7, 0x90);
	assert_true(t.irq[0].level);
	assert_int_equal(inb(t.bus, 0x1f1), 1);
	assert_int_equal(inb(t.bus, 0x1f7), 0x50);
	assert_false(t.irq[0].level);
}

static void identify_when_asked_expect_the_disk(void **state)
{
	uint8_t b[512], sum = 0;

	(void)state;
	lba28(0, 0, 0xec);
	assert_int_equal(status(), 0x58);
	assert_true(t.irq[0].level);
	assert_int_equal(inb(t.bus, 0x1f7), 0x58);
	assert_false(t.irq[0].level);
	read_words(b, 512);
	assert_int_equal(status(), 0x50);
	assert_false(t.irq[0].level);
	assert_int_equal(ld_le32(b + 120), DISK_SECTORS);
	assert_int_equal(ld_le64(b + 200), DISK_SECTORS);
	assert_memory_equal(b + 20, "1S  ", 4);
	assert_memory_equal(b + 54, "OLGD EAHDRIDKS", 14);
	assert_int_equal(ld_le16(b + 2), DISK_SECTORS / 1008);
	for (unsigned i = 0; i < 512; i++)
		sum = (uint8_t)(sum + b[i]);
	assert_int_equal(sum, 0);
	/* No queueing on a parallel cable. */
	assert_int_equal(ld_le16(b + 152), 0);
}

/* ---- PIO ---------------------------------------------------------------------------------------- */

static void read_when_two_sectors_expect_interrupt_each(void **state)
{
	uint8_t b[512];

	(void)state;
	lba28(7, 2, 0x20);
	assert_int_equal(status(), 0x80);
	assert_int_equal(t.irq[0].rises, 0);
	fake_blk_run(t.q);
	assert_int_equal(inb(t.bus, 0x1f7), 0x58);
	assert_int_equal(t.irq[0].rises, 1);
	read_words(b, 512);
	assert_int_equal(ld_le32(b), 8);
	assert_int_equal(status(), 0x80);
	fake_blk_run(t.q);
	assert_int_equal(t.irq[0].rises, 2);
	inb(t.bus, 0x1f7);
	for (unsigned i = 0; i < 512; i += 4)
		st_le32(b + i, (uint32_t)bus_pio_read(t.bus, 0x1f0, 4));
	assert_int_equal(ld_le32(b), 9);
	assert_int_equal(status(), 0x50);
	assert_int_equal(t.irq[0].rises, 2);
	assert_int_equal(inb(t.bus, 0x1f3), 8);
}

static void read_when_by_cylinder_expect_translated(void **state)
{
	uint8_t b[512];

	(void)state;
	outb(t.bus, 0x1f6, 0xa3); /* head 3 */
	outb(t.bus, 0x1f2, 1);
	outb(t.bus, 0x1f3, 5);
	outb(t.bus, 0x1f4, 2);
	outb(t.bus, 0x1f5, 0);
	outb(t.bus, 0x1f7, 0x20);
	fake_blk_run(t.q);
	read_words(b, 512);
	assert_int_equal(ld_le32(b), (2 * 16 + 3) * 63 + 4 + 1);
	outb(t.bus, 0x1f3, 0); /* there is no sector 0 */
	outb(t.bus, 0x1f2, 1);
	outb(t.bus, 0x1f7, 0x20);
	assert_int_equal(status(), 0x51);
	assert_int_equal(inb(t.bus, 0x1f1), 0x10);
}

static void write_when_two_sectors_expect_them_on_disk(void **state)
{
	uint8_t b[512];

	(void)state;
	memset(b, 0x5a, sizeof(b));
	lba48(DISK_SECTORS - 2, 2, 0x34);
	assert_int_equal(status(), 0x58);
	assert_false(t.irq[0].level);
	write_words(b, 512);
	assert_int_equal(status(), 0x80);
	fake_blk_run(t.q);
	assert_int_equal(inb(t.bus, 0x1f7), 0x58);
	assert_int_equal(t.irq[0].rises, 1);
	write_words(b, 512);
	fake_blk_run(t.q);
	assert_int_equal(inb(t.bus, 0x1f7), 0x50);
	assert_int_equal(t.irq[0].rises, 2);
	assert_int_equal(t.q->b.data[(DISK_SECTORS - 2) * 512ull], 0x5a);
	assert_int_equal(t.q->b.data[DISK_SECTORS * 512ull - 1], 0x5a);
}

static void multiple_when_set_expect_larger_blocks(void **state)
{
	static uint8_t b[512 * 20];

	(void)state;
	lba28(0, 20, 0xc4); /* not set yet */
	assert_int_equal(inb(t.bus, 0x1f7), 0x51);
	assert_int_equal(inb(t.bus, 0x1f1), 4);
	lba28(0, 3, 0xc6);
	assert_int_equal(inb(t.bus, 0x1f7), 0x51);
	lba28(0, 16, 0xc6);
	assert_int_equal(inb(t.bus, 0x1f7), 0x50);
	t.irq[0].rises = 0;
	lba28(0, 20, 0xc4);
	fake_blk_run(t.q);
	read_words(b, 512 * 16);
	inb(t.bus, 0x1f7);
	fake_blk_run(t.q);
	read_words(b + 512 * 16, 512 * 4);
	assert_int_equal(inb(t.bus, 0x1f7), 0x50);
	assert_int_equal(t.irq[0].rises, 2);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(ld_le32(b + 512 * i), i + 1);
}

static void range_when_behind_the_end_expect_idnf(void **state)
{
	(void)state;
	lba48(DISK_SECTORS - 1, 2, 0x24);
	assert_int_equal(status(), 0x51);
	assert_int_equal(inb(t.bus, 0x1f1), 0x10);
	lba48(0xffffffffffff, 0, 0x25);
	assert_int_equal(status(), 0x51);
	assert_int_equal(t.q->reads, 0);
}

static void hob_when_set_expect_previous_contents(void **state)
{
	(void)state;
	outb(t.bus, 0x1f2, 0x12);
	outb(t.bus, 0x1f2, 0x34);
	assert_int_equal(inb(t.bus, 0x1f2), 0x34);
	outb(t.bus, 0x3f6, 0x80);
	assert_int_equal(inb(t.bus, 0x1f2), 0x12);
	outb(t.bus, 0x1f3, 0);
	assert_int_equal(inb(t.bus, 0x1f2), 0x34);
}

static void interrupt_when_nien_expect_none(void **state)
{
	(void)state;
	outb(t.bus, 0x3f6, 2);
	lba28(0, 0, 0xec);
	assert_false(t.irq[0].level);
	outb(t.bus, 0x3f6, 0);
	assert_true(t.irq[0].level);
}

static void interrupt_when_other_drive_selected_expect_it_waits(void **state)
{
	(void)state;
	second_drive();
	lba28(0, 1, 0x20);
	outb(t.bus, 0x1f6, 0xf0);
	fake_blk_run(t.q);
	assert_false(t.irq[0].level);
	outb(t.bus, 0x1f6, 0xe0);
	assert_true(t.irq[0].level);
}

/* ---- DMA ---------------------------------------------------------------------------------------- */

static void dma_when_read_expect_scattered(void **state)
{
	(void)state;
	put_prd(0, 0x10000, 512 + 256, false);
	put_prd(1, 0x20000, 256, true);
	lba48(100, 2, 0x25);
	assert_int_equal(status() & 0x80, 0);
	assert_int_equal(t.q->reads, 0);
	bm_start(true);
	assert_int_equal(inb(t.bus, BM + 2), 0x61);
	fake_blk_run(t.q);
	assert_true(t.irq[0].level);
	assert_int_equal(inb(t.bus, BM + 2), 0x64);
	assert_int_equal(ram32(0x10000), 101);
	assert_int_equal(ram32(0x10200), 102);
	outb(t.bus, BM, 8);
	outb(t.bus, BM + 2, 0x64);
	assert_int_equal(inb(t.bus, BM + 2), 0x60);
	assert_int_equal(inb(t.bus, 0x1f7), 0x50);
	assert_false(t.irq[0].level);
}

static void dma_when_started_first_expect_the_same(void **state)
{
	(void)state;
	put_prd(0, 0x10000, 0, true); /* 64 KiB */
	bm_start(true);
	lba28(5, 128, 0xc8);
	fake_blk_run(t.q);
	assert_int_equal(ram32(0x10000), 6);
	assert_int_equal(ram32(0x10000 + 127 * 512), 133);
	assert_int_equal(inb(t.bus, BM + 2), 0x64);
}

static void dma_when_longer_than_the_buffer_expect_all(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 10; i++)
		put_prd(i, 0x10000 * (i + 2), 0, i == 9);
	lba48(1000, 1280, 0x25);
	bm_start(true);
	fake_blk_run(t.q);
	for (unsigned i = 0; i < 1280; i++)
		assert_int_equal(ram32(0x20000 + 512 * i), 1001 + i);
	assert_true(t.irq[0].level);
	assert_int_equal(t.q->reads, 5);
}

static void dma_when_write_expect_them_on_disk(void **state)
{
	uint8_t b[1024];

	(void)state;
	memset(b, 0xa5, sizeof(b));
	assert_int_equal(mem_write(t.mem, 0x30000, b, sizeof(b)), 0);
	put_prd(0, 0x30000, 1024, true);
	lba28(50, 2, 0xca);
	bm_start(false);
	fake_blk_run(t.q);
	assert_int_equal(inb(t.bus, 0x1f7), 0x50);
	assert_int_equal(t.q->b.data[50 * 512], 0xa5);
	assert_int_equal(t.q->b.data[52 * 512 - 1], 0xa5);
	assert_int_equal(ld_le32(t.q->b.data + 52 * 512), 53);
	assert_int_equal(t.q->fuas, 0);
	lba48(50, 2, 0x3d);
	bm_start(false);
	outb(t.bus, BM, 0);
	bm_start(false);
	fake_blk_run(t.q);
	assert_int_equal(t.q->fuas, 1);
}

static void dma_when_table_too_short_expect_no_end(void **state)
{
	(void)state;
	put_prd(0, 0x10000, 512, true);
	lba28(0, 2, 0xc8);
	bm_start(true);
	fake_blk_run(t.q);
	assert_false(t.irq[0].level);
	assert_int_equal(inb(t.bus, BM + 2), 0x60);
	assert_int_equal(status(), 0x58);
	/* A reset helps. */
	outb(t.bus, BM, 0);
	outb(t.bus, 0x3f6, 4);
	outb(t.bus, 0x3f6, 0);
	assert_int_equal(status(), 0x50);
}

static void dma_when_table_longer_expect_active(void **state)
{
	(void)state;
	put_prd(0, 0x10000, 1024, true);
	lba28(0, 1, 0xc8);
	bm_start(true);
	fake_blk_run(t.q);
	assert_int_equal(inb(t.bus, BM + 2), 0x65);
}

static void dma_when_no_master_expect_waiting(void **state)
{
	(void)state;
	pci_config_write(t.pb, 0x09, PCI_COMMAND, PCI_COMMAND_IO, 2);
	put_prd(0, 0x10000, 512, true);
	lba28(0, 1, 0xc8);
	bm_start(true);
	fake_blk_run(t.q);
	assert_int_equal(t.q->reads, 0);
	assert_int_equal(ram32(0x10000), 0);
}

static void dma_when_memory_missing_expect_error_bit(void **state)
{
	(void)state;
	put_prd(0, 0xf0000000, 512, true);
	lba28(0, 1, 0xc8);
	bm_start(true);
	fake_blk_run(t.q);
	assert_int_equal(inb(t.bus, BM + 2) & 2, 2);
}

/* ---- Errors, reset, power ----------------------------------------------------------------------- */

static void read_when_sector_bad_expect_its_address(void **state)
{
	(void)state;
	t.q->b.bad_from = 105 * 512;
	t.q->b.bad_to = 106 * 512;
	put_prd(0, 0x10000, 20 * 512, true);
	lba28(100, 20, 0xc8);
	bm_start(true);
	fake_blk_run(t.q);
	assert_int_equal(inb(t.bus, 0x1f7), 0x51);
	assert_int_equal(inb(t.bus, 0x1f1), 0x40);
	assert_int_equal(inb(t.bus, 0x1f3), 105);
	/* What is before it has come. */
	assert_int_equal(ram32(0x10000 + 4 * 512), 105);
	assert_int_equal(ram32(0x10000 + 5 * 512), 0);
	lba28(100, 8, 0x40);
	fake_blk_run(t.q);
	assert_int_equal(inb(t.bus, 0x1f7), 0x51);
	assert_int_equal(inb(t.bus, 0x1f3), 105);
}

static void write_when_disk_fails_expect_error(void **state)
{
	uint8_t b[512] = {0};

	(void)state;
	t.q->b.bad_from = 0;
	t.q->b.bad_to = 512;
	lba28(0, 1, 0x30);
	write_words(b, 512);
	fake_blk_run(t.q);
	assert_int_equal(inb(t.bus, 0x1f7), 0x51);
	lba28(0, 1, 0xe7);
	fake_blk_run(t.q);
	assert_int_equal(inb(t.bus, 0x1f7), 0x50);
	t.q->b.bad_from = 1;
	lba28(0, 1, 0xe7);
	fake_blk_run(t.q);
	assert_int_equal(inb(t.bus, 0x1f7), 0x51);
}

static void reset_when_write_under_way_expect_busy_until_it_ends(void **state)
{
	uint8_t b[512] = {0};

	(void)state;
	lba28(0, 1, 0x30);
	write_words(b, 512);
	outb(t.bus, 0x3f6, 4);
	outb(t.bus, 0x3f6, 0);
	assert_int_equal(status(), 0x80);
	lba28(0, 1, 0x20); /* not taken */
	fake_blk_run(t.q);
	assert_int_equal(status(), 0x50);
	assert_int_equal(inb(t.bus, 0x1f1), 1);
	assert_int_equal(t.q->reads, 0);
	assert_int_equal(t.irq[0].rises, 0);
}

static void features_when_set_expect_what_they_say(void **state)
{
	uint8_t b[512];

	(void)state;
	outb(t.bus, 0x1f1, 0x82);
	outb(t.bus, 0x1f7, 0xef);
	fake_blk_run(t.q);
	assert_int_equal(inb(t.bus, 0x1f7), 0x50);
	assert_false(t.q->cache);
	assert_int_equal(t.q->flushes, 1);
	outb(t.bus, 0x1f1, 0x03);
	outb(t.bus, 0x1f2, 0x45);
	outb(t.bus, 0x1f7, 0xef);
	lba28(0, 0, 0xec);
	read_words(b, 512);
	assert_int_equal(ld_le16(b + 176), 0x203f);
	assert_int_equal(ld_le16(b + 170) & 0x20, 0);
	outb(t.bus, 0x1f1, 0x77);
	outb(t.bus, 0x1f7, 0xef);
	assert_int_equal(inb(t.bus, 0x1f7), 0x51);
	outb(t.bus, 0x1f7, 0xe0); /* STANDBY IMMEDIATE */
	fake_blk_run(t.q);
	outb(t.bus, 0x1f7, 0xe5);
	assert_int_equal(inb(t.bus, 0x1f2), 0);
	outb(t.bus, 0x1f7, 0xe1);
	outb(t.bus, 0x1f7, 0xe5);
	assert_int_equal(inb(t.bus, 0x1f2), 0xff);
	outb(t.bus, 0x1f7, 0xb0); /* no SMART */
	assert_int_equal(inb(t.bus, 0x1f7), 0x51);
}

static void trim_when_ranges_expect_discards(void **state)
{
	uint8_t b[512] = {0};

	(void)state;
	st_le64(b, 10 | 2ull << 48);
	st_le64(b + 8, 0);
	st_le64(b + 16, 20 | 1ull << 48);
	assert_int_equal(mem_write(t.mem, 0x30000, b, 512), 0);
	put_prd(0, 0x30000, 512, true);
	outb(t.bus, 0x1f1, 0);
	outb(t.bus, 0x1f1, 1);
	lba48(0, 1, 0x06);
	bm_start(false);
	fake_blk_run(t.q);
	assert_int_equal(inb(t.bus, 0x1f7), 0x50);
	assert_int_equal(t.q->discards, 2);
	assert_int_equal(ld_le32(t.q->b.data + 11 * 512), 0);
	assert_int_equal(ld_le32(t.q->b.data + 12 * 512), 13);
	st_le64(b, DISK_SECTORS | 1ull << 48);
	assert_int_equal(mem_write(t.mem, 0x30000, b, 512), 0);
	outb(t.bus, BM, 0);
	lba48(0, 1, 0x06);
	bm_start(false);
	fake_blk_run(t.q);
	assert_int_equal(inb(t.bus, 0x1f7), 0x51);
}

/* ---- Saved state -------------------------------------------------------------------------------- */

static uint8_t saved[2][65536];

static void state_when_saved_in_a_block_expect_it_goes_on(void **state)
{
	uint8_t b[512];
	long n0, n1;

	(void)state;
	lba28(7, 1, 0x20);
	fake_blk_run(t.q);
	read_words(b, 256);
	n0 = device_save(ata_drive_device(t.d[0]), saved[0], sizeof(saved[0]));
	n1 = device_save(piix3_ide_device(t.ide), saved[1], sizeof(saved[1]));
	assert_true(n0 > 0 && n1 > 0);
	ata_drive_device(t.d[0])->cls->reset(ata_drive_device(t.d[0]));
	piix3_ide_device(t.ide)->cls->reset(piix3_ide_device(t.ide));
	assert_int_equal(device_load(ata_drive_device(t.d[0]), saved[0], (size_t)n0, NULL), 0);
	assert_int_equal(device_load(piix3_ide_device(t.ide), saved[1], (size_t)n1, NULL), 0);
	assert_true(t.irq[0].level);
	assert_int_equal(inb(t.bus, 0x1f7), 0x58);
	read_words(b + 256, 256);
	assert_int_equal(ld_le32(b), 8);
	assert_int_equal(status(), 0x50);
}

static void state_when_saved_under_way_expect_request_made_again(void **state)
{
	long n0, n1;

	(void)state;
	put_prd(0, 0x10000, 512, true);
	lba28(7, 1, 0xc8);
	bm_start(true);
	n0 = device_save(ata_drive_device(t.d[0]), saved[0], sizeof(saved[0]));
	n1 = device_save(piix3_ide_device(t.ide), saved[1], sizeof(saved[1]));
	ata_drive_device(t.d[0])->cls->reset(ata_drive_device(t.d[0]));
	piix3_ide_device(t.ide)->cls->reset(piix3_ide_device(t.ide));
	assert_int_equal(ram32(0x10000), 0);
	assert_int_equal(device_load(piix3_ide_device(t.ide), saved[1], (size_t)n1, NULL), 0);
	assert_int_equal(device_load(ata_drive_device(t.d[0]), saved[0], (size_t)n0, NULL), 0);
	fake_blk_run(t.q);
	assert_int_equal(ram32(0x10000), 8);
	assert_true(t.irq[0].level);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(ports_when_not_decoded_expect_nobody),
		T(drive_when_missing_expect_zeros),
		T(signature_when_reset_expect_disk),
		T(diagnostic_when_run_expect_code_and_interrupt),
		T(identify_when_asked_expect_the_disk),
		T(read_when_two_sectors_expect_interrupt_each),
		T(read_when_by_cylinder_expect_translated),
		T(write_when_two_sectors_expect_them_on_disk),
		T(multiple_when_set_expect_larger_blocks),
		T(range_when_behind_the_end_expect_idnf),
		T(hob_when_set_expect_previous_contents),
		T(interrupt_when_nien_expect_none),
		T(interrupt_when_other_drive_selected_expect_it_waits),
		T(dma_when_read_expect_scattered),
		T(dma_when_started_first_expect_the_same),
		T(dma_when_longer_than_the_buffer_expect_all),
		T(dma_when_write_expect_them_on_disk),
		T(dma_when_table_too_short_expect_no_end),
		T(dma_when_table_longer_expect_active),
		T(dma_when_no_master_expect_waiting),
		T(dma_when_memory_missing_expect_error_bit),
		T(read_when_sector_bad_expect_its_address),
		T(write_when_disk_fails_expect_error),
		T(reset_when_write_under_way_expect_busy_until_it_ends),
		T(features_when_set_expect_what_they_say),
		T(trim_when_ranges_expect_discards),
		T(state_when_saved_in_a_block_expect_it_goes_on),
		T(state_when_saved_under_way_expect_request_made_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
