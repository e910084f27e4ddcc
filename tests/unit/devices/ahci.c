// SPDX-License-Identifier: GPL-2.0-or-later
/* AHCI with a disk and a CD-ROM, at its registers: make t T=devices/ahci */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "devices/storage/ahci.h"
#include "fake_blk.h"
#include "wire.h"

#define SECTORS 100000u
#define ABAR 0xf0000000u
#define RAM (4u << 20)
#define CLB 0x1000u /* of port 0; port 1's is 0x400 behind */
#define RFIS 0x2000u
#define TABLES 0x10000u /* command table of slot n: 0x1000 each */
#define DATA 0x100000u
#define DEVFN 0x10u

#define PORT(p, r) (ABAR + 0x100 + 0x80 * (p) + (r))
enum {
	CLBR = 0,
	FBR = 8,
	IS = 0x10,
	IE = 0x14,
	CMD = 0x18,
	TFD = 0x20,
	SIG = 0x24,
	SSTS = 0x28,
	SCTL = 0x2c,
	SERR = 0x30,
	SACT = 0x34,
	CI = 0x38
};

static struct {
	struct bus *bus;
	struct mem *mem;
	struct pci_bus *pb;
	struct ahci *a;
	struct ata_drive *d[2];
	struct blk_queue *q, *cd;
	struct wire irq;
	unsigned msis;
	uint32_t msi_data;
} t;

static void set32(uint32_t at, uint32_t v)
{
	bus_mmio_write(t.bus, at, v, 4);
}

static uint32_t get32(uint32_t at)
{
	return (uint32_t)bus_mmio_read(t.bus, at, 4);
}

static void msi(void *opaque, uint64_t addr, uint32_t data)
{
	(void)opaque;
	assert_int_equal(addr, 0xfee00000);
	t.msis++;
	t.msi_data = data;
}

static void start(unsigned port)
{
	set32(PORT(port, CLBR), CLB + 0x400 * port);
	set32(PORT(port, FBR), RFIS + 0x100 * port);
	set32(PORT(port, CMD), 0x10);
	set32(PORT(port, CMD), 0x11);
	set32(PORT(port, SERR), 0xffffffff);
	set32(PORT(port, IS), 0xffffffff);
	set32(PORT(port, IE), 0x7dc0007f);
	set32(ABAR + 8, 0xffffffff);
}

static int set_up(void **state)
{
	const struct irq_line pirq[4] = {wire_line(&t.irq), wire_line(&t.irq), wire_line(&t.irq),
					 wire_line(&t.irq)};

	(void)state;
	memset(&t, 0, sizeof(t));
	t.bus = bus_new();
	t.mem = mem_new(RAM, 0, NULL);
	assert_int_equal(mem_map(t.mem, 0, RAM, MEM_RAM, 0), 0);
	t.pb = pci_bus_new(t.bus);
	pci_bus_set_pirq(t.pb, pirq);
	pci_bus_set_msi(t.pb, msi, NULL);
	t.a = ahci_new(t.pb, DEVFN, t.mem, NULL);
	t.q = fake_blk_new(SECTORS * 512ull);
	t.cd = fake_blk_new(2048 * 100);
	for (unsigned i = 0; i < SECTORS; i++)
		st_le32(t.q->b.data + i * 512ull, i + 1);
	for (unsigned i = 0; i < 100; i++)
		st_le32(t.cd->b.data + i * 2048ull, i + 1);

	const struct ata_config disk = {.kind = ATA_DISK, .queue = t.q};
	const struct ata_config cdrom = {.kind = ATA_CDROM, .queue = t.cd, .read_only = true};

	t.d[0] = ata_drive_new(&disk, NULL);
	t.d[1] = ata_drive_new(&cdrom, NULL);
	assert_int_equal(ahci_attach(t.a, 0, t.d[0]), 0);
	assert_int_equal(ahci_attach(t.a, 1, t.d[1]), 0);
	ahci_device(t.a)->cls->reset(ahci_device(t.a));
	ata_drive_device(t.d[0])->cls->reset(ata_drive_device(t.d[0]));
	ata_drive_device(t.d[1])->cls->reset(ata_drive_device(t.d[1]));
	pci_config_write(t.pb, DEVFN, 0x24, ABAR, 4);
	pci_config_write(t.pb, DEVFN, PCI_COMMAND, PCI_COMMAND_MEM | PCI_COMMAND_MASTER, 2);
	set32(ABAR + 4, 0x80000002);
	start(0);
	start(1);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	ata_drive_free(t.d[0]);
	ata_drive_free(t.d[1]);
	ahci_free(t.a);
	pci_bus_free(t.pb);
	bus_free(t.bus);
	mem_free(t.mem);
	fake_blk_free(t.q);
	fake_blk_free(t.cd);
	return 0;
}

static uint32_t table_of(unsigned port, unsigned slot)
{
	return TABLES + 0x20000 * port + 0x1000 * slot;
}

static void put(uint32_t at, const void *b, unsigned n)
{
	assert_int_equal(mem_write(t.mem, at, b, n), 0);
}

static uint32_t ram32(uint32_t at)
{
	uint8_t b[4];

	assert_int_equal(mem_read(t.mem, at, b, 4), 0);
	return ld_le32(b);
}

/* Command header and table with one region. `fis` has 20 bytes. */
static void prepare(unsigned port, unsigned slot, const uint8_t *fis, uint32_t flags, uint32_t at,
		    uint32_t bytes)
{
	uint8_t h[32] = {0}, e[16] = {0};

	st_le32(h, flags | 5 | (bytes ? 1u << 16 : 0));
	st_le32(h + 8, table_of(port, slot));
	put(CLB + 0x400 * port + 32 * slot, h, sizeof(h));
	put(table_of(port, slot), fis, 20);
	st_le32(e, at);
	st_le32(e + 12, (bytes - 1) | 0x80000000u);
	put(table_of(port, slot) + 0x80, e, sizeof(e));
}

static void command(unsigned slot, uint8_t cmd, uint64_t lba, uint16_t count, uint32_t flags,
		    uint32_t at, uint32_t bytes)
{
	const uint8_t fis[20] = {0x27,
				 0x80,
				 cmd,
				 0,
				 (uint8_t)lba,
				 (uint8_t)(lba >> 8),
				 (uint8_t)(lba >> 16),
				 0x40,
				 (uint8_t)(lba >> 24),
				 (uint8_t)(lba >> 32),
				 (uint8_t)(lba >> 40),
				 0,
				 (uint8_t)count,
				 (uint8_t)(count >> 8)};

	prepare(0, slot, fis, flags, at, bytes);
	set32(PORT(0, CI), 1u << slot);
}

static void queued(unsigned slot, bool write, uint64_t lba, uint16_t count, uint32_t at)
{
	const uint8_t fis[20] = {0x27,
				 0x80,
				 write ? 0x61 : 0x60,
				 (uint8_t)count,
				 (uint8_t)lba,
				 (uint8_t)(lba >> 8),
				 (uint8_t)(lba >> 16),
				 0x40,
				 0,
				 0,
				 0,
				 (uint8_t)(count >> 8),
				 (uint8_t)(slot << 3)};

	prepare(0, slot, fis, write ? 0x40 : 0, at, count * 512u);
	set32(PORT(0, SACT), 1u << slot);
	set32(PORT(0, CI), 1u << slot);
}

static void registers_when_read_expect_the_adapter(void **state)
{
	(void)state;
	assert_int_equal(get32(ABAR), 0xc1249f05);
	assert_int_equal(get32(ABAR + 0x0c), 0x3f);
	assert_int_equal(get32(ABAR + 4), 0x80000002);
	assert_int_equal(get32(PORT(0, SSTS)), 0x123);
	assert_int_equal(get32(PORT(2, SSTS)), 0);
	assert_int_equal(get32(PORT(2, TFD)), 0x7f);
	assert_int_equal(get32(PORT(0, SIG)), 0x00000101);
	assert_int_equal(get32(PORT(1, SIG)), 0xeb140101);
	assert_int_equal(get32(PORT(0, CMD)) & 0xc011, 0xc011);
	assert_int_equal(get32(PORT(0, TFD)) & 0xff, 0x50);
	/* Not in whole doublewords: not taken. */
	bus_mmio_write(t.bus, PORT(0, CMD), 0, 1);
	assert_int_equal(get32(PORT(0, CMD)) & 1, 1);
}

static void identify_when_by_pio_expect_setup_frame(void **state)
{
	(void)state;
	command(3, 0xec, 0, 0, 0, DATA, 512);
	assert_int_equal(get32(PORT(0, CI)), 0);
	assert_int_equal(ram32(DATA + 120), SECTORS);
	assert_int_equal(ram32(DATA + 152) & 0x100, 0x100); /* NCQ */
	assert_int_equal(get32(PORT(0, IS)) & 0x22, 0x22);  /* PIO setup; region used up */
	assert_int_equal(ram32(RFIS + 0x20) & 0xff, 0x5f);
	assert_int_equal(ram32(CLB + 32 * 3 + 4), 512);
	assert_true(t.irq.level);
	assert_int_equal(get32(ABAR + 8), 1);
	set32(PORT(0, IS), 0xffffffff);
	set32(ABAR + 8, 1);
	assert_false(t.irq.level);
}

static void dma_when_read_and_written_expect_data(void **state)
{
	uint8_t b[512];

	(void)state;
	command(0, 0x25, 1000, 600, 0, DATA, 600 * 512);
	assert_int_equal(get32(PORT(0, CI)), 1);
	assert_int_equal(get32(PORT(0, TFD)) & 0x80, 0x80);
	fake_blk_run(t.q);
	assert_int_equal(get32(PORT(0, CI)), 0);
	assert_int_equal(ram32(DATA), 1001);
	assert_int_equal(ram32(DATA + 599 * 512), 1600);
	assert_int_equal(ram32(CLB + 4), 600 * 512);
	assert_int_equal(ram32(RFIS + 0x40) & 0xffff, 0x4034);
	memset(b, 0x5a, sizeof(b));
	put(DATA, b, sizeof(b));
	command(0, 0x35, 5, 1, 0x40, DATA, 512);
	fake_blk_run(t.q);
	assert_int_equal(t.q->b.data[5 * 512], 0x5a);
	assert_int_equal(get32(PORT(0, TFD)), 0x50);
}

static void dma_when_regions_too_short_expect_overflow(void **state)
{
	(void)state;
	command(0, 0x25, 0, 4, 0, DATA, 512);
	fake_blk_run(t.q);
	assert_int_equal(get32(PORT(0, IS)) >> 24 & 1, 1);
	assert_int_equal(get32(PORT(0, CI)), 1);
	/* COMRESET brings it back. */
	set32(PORT(0, CMD), 0x10);
	assert_int_equal(get32(PORT(0, CMD)) & 0x8000, 0);
	set32(PORT(0, SCTL), 0x301);
	assert_int_equal(get32(PORT(0, SSTS)), 0);
	set32(PORT(0, SCTL), 0x300);
	assert_int_equal(get32(PORT(0, SSTS)), 0x123);
	assert_int_equal(get32(PORT(0, IS)) & 0x40, 0x40);
	set32(PORT(0, SERR), 0xffffffff);
	assert_int_equal(get32(PORT(0, IS)) & 0x40, 0);
	assert_int_equal(get32(PORT(0, TFD)), 0x150);
	set32(PORT(0, CMD), 0x11);
	command(0, 0x25, 7, 1, 0, DATA, 512);
	fake_blk_run(t.q);
	assert_int_equal(ram32(DATA), 8);
}

static void error_when_out_of_range_expect_port_halts(void **state)
{
	(void)state;
	command(2, 0x25, SECTORS, 1, 0, DATA, 512);
	assert_int_equal(get32(PORT(0, IS)) >> 30 & 1, 1);
	assert_int_equal(get32(PORT(0, TFD)), 0x1051);
	assert_int_equal(get32(PORT(0, CMD)) >> 8 & 31, 2);
	command(0, 0x25, 0, 1, 0, DATA, 512);
	fake_blk_run(t.q);
	assert_int_equal(get32(PORT(0, CI)), 5);
	set32(PORT(0, CMD), 0x10);
	assert_int_equal(get32(PORT(0, CI)), 0);
	set32(PORT(0, CMD), 0x11);
	command(0, 0x25, 0, 1, 0, DATA, 512);
	fake_blk_run(t.q);
	assert_int_equal(get32(PORT(0, CI)), 0);
}

static void ncq_when_many_expect_all_at_once(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 32; i++)
		queued(i, false, 100 * i, 2, DATA + 4096 * i);
	assert_int_equal(get32(PORT(0, CI)), 0);
	assert_int_equal(get32(PORT(0, SACT)), 0xffffffff);
	fake_blk_one(t.q);
	assert_int_equal(get32(PORT(0, SACT)), 0xfffffffe);
	assert_int_equal(get32(PORT(0, IS)) & 8, 8);
	assert_int_equal(ram32(RFIS + 0x58) & 0xffff, 0x40a1);
	assert_int_equal(ram32(RFIS + 0x5c), 1);
	/* A plain command waits for all of them. */
	command(0, 0xea, 0, 0, 0, 0, 0);
	assert_int_equal(get32(PORT(0, CI)), 1);
	fake_blk_run(t.q);
	assert_int_equal(get32(PORT(0, SACT)), 0);
	assert_int_equal(get32(PORT(0, CI)), 0);
	assert_int_equal(t.q->flushes, 1);
	for (unsigned i = 0; i < 32; i++)
		assert_int_equal(ram32(DATA + 4096 * i + 512), 100 * i + 2);
}

static void ncq_when_sector_bad_expect_log(void **state)
{
	(void)state;
	t.q->b.bad_from = 503 * 512;
	t.q->b.bad_to = 504 * 512;
	queued(4, false, 500, 8, DATA);
	queued(5, false, 600, 1, DATA + 8192);
	fake_blk_run(t.q);
	assert_int_equal(get32(PORT(0, IS)) >> 30 & 1, 1);
	assert_int_equal(get32(PORT(0, TFD)), 0x4041);
	assert_int_equal(get32(PORT(0, SACT)) & 0x10, 0x10);
	assert_int_equal(ram32(DATA + 1024), 503);
	set32(PORT(0, CMD), 0x10);
	set32(PORT(0, CMD), 0x11);
	command(0, 0x2f, 0x10, 1, 0, DATA + 0x10000, 512);
	assert_int_equal(get32(PORT(0, CI)), 0);
	assert_int_equal(ram32(DATA + 0x10000) & 0xff, 4);
	assert_int_equal(ram32(DATA + 0x10000) >> 16, 0x4041);
	assert_int_equal(ram32(DATA + 0x10004) & 0xffffff, 503);
}

static void ncq_when_stopped_under_way_expect_running_until_they_end(void **state)
{
	uint8_t b[512];

	(void)state;
	memset(b, 0x77, sizeof(b));
	put(DATA, b, sizeof(b));
	queued(1, true, 9, 1, DATA);
	set32(PORT(0, CMD), 0x10);
	assert_int_equal(get32(PORT(0, CMD)) & 0x8000, 0x8000);
	fake_blk_run(t.q);
	assert_int_equal(get32(PORT(0, CMD)) & 0x8000, 0);
	assert_int_equal(t.q->b.data[9 * 512], 0x77);
	assert_int_equal(get32(PORT(0, SACT)), 0);
}

static void soft_reset_when_two_frames_expect_signature(void **state)
{
	const uint8_t on[20] = {0x27, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4};
	const uint8_t off[20] = {0x27};

	(void)state;
	prepare(0, 0, on, 0x500, 0, 0);
	set32(PORT(0, CI), 1);
	assert_int_equal(get32(PORT(0, CI)), 0);
	assert_int_equal(get32(PORT(0, TFD)) & 0x80, 0x80);
	prepare(0, 1, off, 0, 0, 0);
	set32(PORT(0, CI), 2);
	assert_int_equal(get32(PORT(0, TFD)), 0x150);
	assert_int_equal(get32(PORT(0, SIG)), 0x101);
}

static void packet(const uint8_t cdb[12], bool dma, uint32_t at, uint32_t bytes)
{
	const uint8_t fis[20] = {0x27, 0x80, 0xa0, dma, 0, 0xff, 0xff};

	prepare(1, 0, fis, 0x20, at, bytes);
	put(table_of(1, 0) + 0x40, cdb, 12);
	set32(PORT(1, CI), 1);
	fake_blk_run(t.cd);
}

static void packet_when_read_expect_data(void **state)
{
	(void)state;
	packet((const uint8_t[12]){0}, false, 0, 0); /* the attention of the reset */
	assert_int_equal(get32(PORT(1, TFD)) >> 12, 6);
	set32(PORT(1, CMD), 0x10);
	set32(PORT(1, CMD), 0x11);
	packet((const uint8_t[12]){0x28, 0, 0, 0, 0, 10, 0, 0, 5}, true, DATA, 5 * 2048);
	assert_int_equal(get32(PORT(1, CI)), 0);
	assert_int_equal(ram32(DATA + 4 * 2048), 15);
	packet((const uint8_t[12]){0x28, 0, 0, 0, 0, 20, 0, 0, 9}, false, DATA, 9 * 2048);
	assert_int_equal(get32(PORT(1, CI)), 0);
	assert_int_equal(ram32(DATA + 8 * 2048), 29);
	packet((const uint8_t[12]){0x25}, false, DATA, 8);
	assert_int_equal(ram32(DATA) >> 24, 99);
}

/* Thousands of blocks of two bytes must not nest. */
static void packet_when_limit_is_tiny_expect_all(void **state)
{
	const uint8_t fis[20] = {0x27, 0x80, 0xa0, 0, 0, 2, 0};
	const uint8_t cdb[12] = {0x28, 0, 0, 0, 0, 0, 0, 0, 50};

	packet_when_read_expect_data(state);
	prepare(1, 0, fis, 0x20, DATA, 50 * 2048);
	put(table_of(1, 0) + 0x40, cdb, 12);
	set32(PORT(1, CI), 1);
	fake_blk_run(t.cd);
	assert_int_equal(get32(PORT(1, CI)), 0);
	assert_int_equal(ram32(DATA + 49 * 2048), 50);
}

static void msi_when_enabled_expect_messages(void **state)
{
	uint8_t cap = (uint8_t)pci_config_read(t.pb, DEVFN, PCI_CAP_PTR, 1);

	(void)state;
	assert_int_equal(pci_config_read(t.pb, DEVFN, cap, 1), 5);
	pci_config_write(t.pb, DEVFN, cap + 4, 0xfee00000, 4);
	pci_config_write(t.pb, DEVFN, cap + 12, 0x4321, 2);
	pci_config_write(t.pb, DEVFN, cap + 2, 1, 2);
	command(0, 0x25, 0, 1, 0, DATA, 512);
	fake_blk_run(t.q);
	assert_false(t.irq.level);
	assert_true(t.msis >= 1);
	assert_int_equal(t.msi_data, 0x4321);
}

static uint8_t saved[3][65536];

static void state_when_saved_under_way_expect_made_again(void **state)
{
	struct device *dev[3] = {ahci_device(t.a), ata_drive_device(t.d[0]),
				 ata_drive_device(t.d[1])};
	long n[3];

	(void)state;
	queued(7, false, 70, 3, DATA);
	queued(9, false, 90, 300, DATA + 0x10000);
	for (unsigned i = 0; i < 3; i++) {
		n[i] = device_save(dev[i], saved[i], sizeof(saved[i]));
		assert_true(n[i] > 0);
	}
	for (unsigned i = 0; i < 3; i++)
		dev[i]->cls->reset(dev[i]);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(device_load(dev[i], saved[i], (size_t)n[i], NULL), 0);
	assert_int_equal(get32(PORT(0, SACT)), 0x280);
	fake_blk_run(t.q);
	assert_int_equal(get32(PORT(0, SACT)), 0);
	assert_int_equal(ram32(DATA + 1024), 73);
	assert_int_equal(ram32(DATA + 0x10000 + 299 * 512), 390);
	command(0, 0x25, 500, 500, 0, DATA, 500 * 512);
	fake_blk_one(t.q); /* in the middle */
	for (unsigned i = 0; i < 3; i++)
		n[i] = device_save(dev[i], saved[i], sizeof(saved[i]));
	for (unsigned i = 0; i < 3; i++)
		dev[i]->cls->reset(dev[i]);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(device_load(dev[i], saved[i], (size_t)n[i], NULL), 0);
	fake_blk_run(t.q);
	assert_int_equal(get32(PORT(0, CI)), 0);
	for (unsigned i = 0; i < 500; i++)
		assert_int_equal(ram32(DATA + 512 * i), 501 + i);
}

static void state_when_loaded_over_requests_expect_them_unheard(void **state)
{
	struct device *d = ahci_device(t.a);
	long n = device_save(d, saved[0], sizeof(saved[0]));

	(void)state;
	assert_true(n > 0);
	queued(7, false, 70, 3, DATA);
	assert_int_equal(device_load(d, saved[0], (size_t)n, NULL), 0);
	assert_false(fake_blk_one(t.q));
	assert_int_equal(get32(PORT(0, SACT)), 0);
	queued(7, false, 71, 1, DATA);
	fake_blk_run(t.q);
	assert_int_equal(ram32(DATA), 72);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(registers_when_read_expect_the_adapter),
		T(identify_when_by_pio_expect_setup_frame),
		T(dma_when_read_and_written_expect_data),
		T(dma_when_regions_too_short_expect_overflow),
		T(error_when_out_of_range_expect_port_halts),
		T(ncq_when_many_expect_all_at_once),
		T(ncq_when_sector_bad_expect_log),
		T(ncq_when_stopped_under_way_expect_running_until_they_end),
		T(soft_reset_when_two_frames_expect_signature),
		T(packet_when_read_expect_data),
		T(packet_when_limit_is_tiny_expect_all),
		T(msi_when_enabled_expect_messages),
		T(state_when_saved_under_way_expect_made_again),
		T(state_when_loaded_over_requests_expect_them_unheard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
