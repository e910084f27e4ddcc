// SPDX-License-Identifier: GPL-2.0-or-later
/* A CD-ROM on PIIX3 IDE, packet by packet: make t T=devices/atapi */
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

#define SECTORS 1000u
#define BM 0xc000u
#define RAM (1u << 20)

static struct {
	struct bus *bus;
	struct mem *mem;
	struct pci_bus *pb;
	struct piix3_ide *ide;
	struct ata_drive *d;
	struct blk_queue *q;
	struct wire irq[2];
	uint8_t buf[65536];
	uint32_t got; /* bytes of the last reply */
	unsigned blocks;
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
	t.q = fake_blk_new(SECTORS * 2048ull);
	for (unsigned i = 0; i < SECTORS; i++)
		st_le32(t.q->b.data + i * 2048ull, i + 1);

	const struct ata_config cd = {.kind = ATA_CDROM, .queue = t.q, .read_only = true};

	t.d = ata_drive_new(&cd, NULL);
	assert_int_equal(piix3_ide_attach(t.ide, 1, 0, t.d), 0);
	piix3_ide_device(t.ide)->cls->reset(piix3_ide_device(t.ide));
	ata_drive_device(t.d)->cls->reset(ata_drive_device(t.d));
	piix3_ide_program(t.ide, BM);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	ata_drive_free(t.d);
	piix3_ide_free(t.ide);
	pci_bus_free(t.pb);
	bus_free(t.bus);
	mem_free(t.mem);
	fake_blk_free(t.q);
	return 0;
}

static uint8_t status(void)
{
	return inb(t.bus, 0x376);
}

static void begin(const uint8_t packet[12], uint16_t limit, bool dma)
{
	outb(t.bus, 0x176, 0xa0);
	outb(t.bus, 0x171, dma);
	outb(t.bus, 0x174, (uint8_t)limit);
	outb(t.bus, 0x175, (uint8_t)(limit >> 8));
	outb(t.bus, 0x177, 0xa0);
	assert_int_equal(status() & 0x88, 0x08);
	assert_int_equal(inb(t.bus, 0x172) & 3, 1); /* a packet, to the drive */
	for (unsigned i = 0; i < 12; i += 2)
		bus_pio_write(t.bus, 0x170, ld_le16(packet + i), 2);
}

/* By PIO; returns the sense key, 0 when all is well. */
static uint8_t command(const uint8_t packet[12], uint16_t limit)
{
	t.got = t.blocks = 0;
	begin(packet, limit, false);
	for (;;) {
		uint32_t n;

		fake_blk_run(t.q);
		assert_true(t.irq[1].level);
		if (!(inb(t.bus, 0x177) & 8))
			break;
		assert_int_equal(inb(t.bus, 0x172) & 3, 2);
		n = inb(t.bus, 0x174) | inb(t.bus, 0x175) << 8;
		assert_true(n && n <= limit);
		t.blocks++;
		for (uint32_t i = 0; i < n; i += 2)
			st_le16(t.buf + t.got + i, (uint16_t)bus_pio_read(t.bus, 0x170, 2));
		t.got += n;
	}
	assert_false(t.irq[1].level);
	assert_int_equal(inb(t.bus, 0x172) & 3, 3);
	return status() & 1 ? inb(t.bus, 0x171) >> 4 : 0;
}

#define PACKET(...)         \
	(const uint8_t[12]) \
	{                   \
		__VA_ARGS__ \
	}

static const uint8_t test_unit_ready[12] = {0};

/* ASC << 8 | ASCQ of the last error. */
static unsigned sense(void)
{
	assert_int_equal(command(PACKET(3, 0, 0, 0, 18), 18), 0);
	assert_int_equal(t.buf[0], 0x70);
	return (unsigned)t.buf[12] << 8 | t.buf[13];
}

static void settle(void)
{
	command(test_unit_ready, 512);
	command(test_unit_ready, 512);
}

static void signature_when_reset_expect_atapi(void **state)
{
	(void)state;
	assert_int_equal(status(), 0);
	assert_int_equal(inb(t.bus, 0x174), 0x14);
	assert_int_equal(inb(t.bus, 0x175), 0xeb);
	outb(t.bus, 0x177, 0xec);
	assert_int_equal(inb(t.bus, 0x177) & 1, 1);
	assert_int_equal(inb(t.bus, 0x174), 0x14);
	outb(t.bus, 0x177, 0xa1);
	assert_int_equal(inb(t.bus, 0x177) & 8, 8);
	assert_int_equal(bus_pio_read(t.bus, 0x170, 2), 0x85c0);
	outb(t.bus, 0x177, 0x08); /* DEVICE RESET, in the middle */
	assert_int_equal(status(), 0);
}

static void attention_when_reset_expect_once(void **state)
{
	(void)state;
	assert_int_equal(command(test_unit_ready, 512), 6);
	assert_int_equal(sense(), 0x2900);
	assert_int_equal(command(test_unit_ready, 512), 0);
	assert_int_equal(sense(), 0);
}

static void inquiry_when_short_expect_cut(void **state)
{
	(void)state;
	assert_int_equal(command(PACKET(0x12, 0, 0, 0, 36), 36), 0);
	assert_int_equal(t.got, 36);
	assert_int_equal(t.buf[0], 5);
	assert_memory_equal(t.buf + 8, "LODGE   ", 8);
	assert_int_equal(command(PACKET(0x12, 0, 0, 0, 5), 512), 0);
	assert_int_equal(t.got, 5);
	assert_int_equal(command(PACKET(0x12, 1, 0, 0, 36), 36), 5);
}

static void capacity_when_asked_expect_last_sector(void **state)
{
	(void)state;
	settle();
	assert_int_equal(command(PACKET(0x25), 512), 0);
	assert_int_equal(ld_be32(t.buf), SECTORS - 1);
	assert_int_equal(ld_be32(t.buf + 4), 2048);
}

static void read_when_limited_expect_blocks_of_that_size(void **state)
{
	(void)state;
	settle();
	assert_int_equal(command(PACKET(0x28, 0, 0, 0, 0, 10, 0, 0, 6), 3000), 0);
	assert_int_equal(t.got, 6 * 2048);
	assert_true(t.blocks >= 5);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(ld_le32(t.buf + 2048 * i), 11 + i);
	assert_int_equal(command(PACKET(0xa8, 0, 0, 0, 0, 10, 0, 0, 0, 1), 0xffff), 0);
	assert_int_equal(t.got, 2048);
	assert_int_equal(command(PACKET(0x28, 0, 0, 0, 0, 10, 0, 0, 0), 2048), 0);
	assert_int_equal(t.got, 0);
	assert_int_equal(command(PACKET(0x28, 0, 0, 0, 0x03, 0xe7, 0, 0, 2), 2048), 5);
	assert_int_equal(sense(), 0x2100);
	assert_int_equal(command(PACKET(0xbe, 0, 0, 0, 0, 3, 0, 0, 1, 0x10), 2048), 0);
	assert_int_equal(ld_le32(t.buf), 4);
	assert_int_equal(command(PACKET(0xbe, 0, 0, 0, 0, 3, 0, 0, 1, 0xf8), 2048), 5);
}

static void read_when_by_dma_expect_in_memory(void **state)
{
	uint8_t prd[8], b[4];

	(void)state;
	settle();
	st_le32(prd, 0x20000);
	st_le32(prd + 4, 0x80000000u | 40960);
	assert_int_equal(mem_write(t.mem, 0x1000, prd, 8), 0);
	bus_pio_write(t.bus, BM + 12, 0x1000, 4);
	begin(PACKET(0x28, 0, 0, 0, 0, 100, 0, 0, 20), 0, true);
	fake_blk_run(t.q);
	assert_int_equal(t.q->reads, 0);
	outb(t.bus, BM + 8, 9);
	fake_blk_run(t.q);
	assert_int_equal(inb(t.bus, BM + 10) & 5, 4);
	assert_int_equal(status() & 0x89, 0);
	assert_int_equal(mem_read(t.mem, 0x20000 + 19 * 2048, b, 4), 0);
	assert_int_equal(ld_le32(b), 120);
}

static void read_when_sector_bad_expect_medium_error(void **state)
{
	(void)state;
	settle();
	t.q->b.bad_from = 12 * 2048;
	t.q->b.bad_to = 13 * 2048;
	assert_int_equal(command(PACKET(0x28, 0, 0, 0, 0, 10, 0, 0, 6), 2048), 3);
	assert_int_equal(t.got, 2 * 2048);
	assert_int_equal(sense(), 0x1100);
}

static void toc_when_asked_expect_one_track(void **state)
{
	(void)state;
	settle();
	assert_int_equal(command(PACKET(0x43, 0, 0, 0, 0, 0, 0, 0, 64), 64), 0);
	assert_int_equal(t.got, 20);
	assert_int_equal(ld_be16(t.buf), 18);
	assert_int_equal(t.buf[6], 1);
	assert_int_equal(t.buf[14], 0xaa);
	assert_int_equal(ld_be32(t.buf + 16), SECTORS);
	assert_int_equal(command(PACKET(0x43, 2, 0, 0, 0, 0, 0xaa, 0, 64), 64), 0);
	assert_int_equal(t.got, 12);
	/* 1150 frames: 15 s and 25. */
	assert_int_equal(ld_be32(t.buf + 8), 0x000f19);
	assert_int_equal(command(PACKET(0x43, 0, 1, 0, 0, 0, 0, 0, 64), 64), 0);
	assert_int_equal(t.got, 12);
	assert_int_equal(command(PACKET(0x43, 0, 2, 0, 0, 0, 0, 0, 64), 64), 0);
	assert_int_equal(t.got, 48);
	assert_int_equal(command(PACKET(0x43, 0, 5, 0, 0, 0, 0, 0, 64), 64), 5);
}

static void configuration_when_asked_expect_profile(void **state)
{
	(void)state;
	assert_int_equal(command(PACKET(0x46, 0, 0, 0, 0, 0, 0, 1, 0), 256), 0);
	assert_int_equal(ld_be16(t.buf + 6), 8); /* CD-ROM */
	assert_int_equal(ld_be32(t.buf), t.got - 4);
	assert_int_equal(command(PACKET(0x46, 2, 0, 3, 0, 0, 0, 1, 0), 256), 0);
	assert_int_equal(ld_be16(t.buf + 8), 3);
	assert_int_equal(t.got, 16);
	settle();
	assert_int_equal(command(PACKET(0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 128), 128), 0);
	assert_int_equal(t.buf[8], 0x2a);
	assert_int_equal(t.buf[14], 0x29);
	assert_int_equal(command(PACKET(0x5a, 0, 0x3f, 0, 0, 0, 0, 0, 128), 128), 0);
	assert_int_equal(ld_be16(t.buf), t.got - 2);
	assert_int_equal(command(PACKET(0x5a, 0, 0x15, 0, 0, 0, 0, 0, 128), 128), 5);
	assert_int_equal(command(PACKET(0xff), 128), 5);
	assert_int_equal(sense(), 0x2000);
}

static const uint8_t get_event[12] = {0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8};

static void tray_when_locked_expect_it_stays(void **state)
{
	(void)state;
	settle();
	assert_int_equal(command(PACKET(0x1e, 0, 0, 0, 1), 8), 0);
	assert_true(ata_medium_locked(t.d));
	assert_int_equal(command(PACKET(0x1b, 0, 0, 0, 2), 8), 5);
	assert_int_equal(sense(), 0x5302);
	ata_press_eject(t.d);
	assert_int_equal(command(get_event, 8), 0);
	assert_int_equal(t.buf[4], 1); /* eject request */
	assert_int_equal(t.buf[5], 2);
	assert_int_equal(command(PACKET(0x1e, 0, 0, 0, 0), 8), 0);
	assert_int_equal(command(PACKET(0x1b, 0, 0, 0, 2), 8), 0);
	assert_true(ata_tray_open(t.d));
	assert_int_equal(command(get_event, 8), 0);
	assert_int_equal(t.buf[4], 3);
	assert_int_equal(t.buf[5], 1);
	assert_int_equal(command(test_unit_ready, 8), 2);
	assert_int_equal(sense(), 0x3a02);
	assert_int_equal(command(PACKET(0x1b, 0, 0, 0, 3), 8), 0);
	assert_int_equal(command(test_unit_ready, 8), 6);
	assert_int_equal(sense(), 0x2800);
	assert_int_equal(command(test_unit_ready, 8), 0);
}

static void medium_when_changed_expect_told(void **state)
{
	struct blk_queue *dvd = fake_blk_new(4096);

	(void)state;
	settle();
	ata_set_medium(t.d, NULL);
	assert_int_equal(command(test_unit_ready, 8), 2);
	assert_int_equal(sense(), 0x3a01);
	assert_int_equal(command(PACKET(0x46, 2, 0, 3, 0, 0, 0, 1, 0), 256), 0);
	assert_int_equal(ld_be16(t.buf + 6), 0);
	ata_set_medium(t.d, dvd);
	assert_int_equal(command(get_event, 8), 0);
	assert_int_equal(t.buf[4], 2);
	assert_int_equal(command(test_unit_ready, 8), 6);
	assert_int_equal(sense(), 0x2800);
	assert_int_equal(command(PACKET(0x25), 512), 0);
	assert_int_equal(ld_be32(t.buf), 1);
	ata_set_medium(t.d, NULL);
	fake_blk_free(dvd);
}

static void medium_when_changed_in_a_read_expect_error(void **state)
{
	(void)state;
	settle();
	begin(PACKET(0x28, 0, 0, 0, 0, 10, 0, 0, 9), 8192, false);
	fake_blk_run(t.q);
	assert_int_equal(inb(t.bus, 0x177) & 8, 8);
	ata_set_medium(t.d, NULL);
	for (unsigned i = 0; i < 4096; i++)
		bus_pio_read(t.bus, 0x170, 2);
	assert_int_equal(inb(t.bus, 0x177) & 9, 1);
}

static uint8_t saved[32768];

static void state_when_reply_waits_for_dma_expect_taken_back(void **state)
{
	struct device *d = ata_drive_device(t.d);
	uint8_t prd[8], b[4];
	long n;

	(void)state;
	settle();
	begin(PACKET(0x25), 0, true);
	n = device_save(d, saved, sizeof(saved));
	assert_true(n > 0);
	d->cls->reset(d);
	assert_int_equal(device_load(d, saved, (size_t)n, NULL), 0);
	st_le32(prd, 0x20000);
	st_le32(prd + 4, 0x80000008u);
	assert_int_equal(mem_write(t.mem, 0x1000, prd, 8), 0);
	bus_pio_write(t.bus, BM + 12, 0x1000, 4);
	outb(t.bus, BM + 8, 9);
	assert_int_equal(mem_read(t.mem, 0x20000, b, 4), 0);
	assert_int_equal(ld_be32(b), SECTORS - 1);
	assert_true(t.irq[1].level);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(signature_when_reset_expect_atapi),
		T(attention_when_reset_expect_once),
		T(inquiry_when_short_expect_cut),
		T(capacity_when_asked_expect_last_sector),
		T(read_when_limited_expect_blocks_of_that_size),
		T(read_when_by_dma_expect_in_memory),
		T(read_when_sector_bad_expect_medium_error),
		T(toc_when_asked_expect_one_track),
		T(configuration_when_asked_expect_profile),
		T(tray_when_locked_expect_it_stays),
		T(medium_when_changed_expect_told),
		T(medium_when_changed_in_a_read_expect_error),
		T(state_when_reply_waits_for_dma_expect_taken_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
