// SPDX-License-Identifier: GPL-2.0-or-later
/* NVMe, queue by queue: make t T=devices/nvme */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "bus/msix.h"
#include "devices/storage/nvme.h"
#include "fake_blk.h"
#include "wire.h"

#define SECTORS 100000u
#define BAR 0xf0000000u
#define MSIX_AT 0xf1000000u
#define RAM (8u << 20)
#define DEVFN 0x10u
#define ASQ 0x1000u
#define ACQ 0x2000u
#define SQ1 0x3000u
#define CQ1 0x4000u
#define LIST 0x8000u
#define DATA 0x100000u
#define ENTRIES 8u

static struct {
	struct bus *bus;
	struct mem *mem;
	struct pci_bus *pb;
	struct nvme *n;
	struct blk_queue *q;
	struct wire irq;
	unsigned msis;
	struct {
		uint32_t sq_at, cq_at, tail, head, phase;
	} queue[2];
	uint32_t result;
} t;

static void set32(uint32_t off, uint32_t v)
{
	bus_mmio_write(t.bus, BAR + off, v, 4);
}

static uint32_t get32(uint32_t off)
{
	return (uint32_t)bus_mmio_read(t.bus, BAR + off, 4);
}

static void msi(void *opaque, uint64_t addr, uint32_t data)
{
	(void)opaque;
	(void)addr;
	(void)data;
	t.msis++;
}

static void enable(void)
{
	set32(0x24, (ENTRIES - 1) << 16 | (ENTRIES - 1));
	set32(0x28, ASQ);
	set32(0x2c, 0);
	set32(0x30, ACQ);
	set32(0x34, 0);
	set32(0x14, 0x00460001);
	for (unsigned i = 0; i < 2; i++) {
		t.queue[i].sq_at = i ? SQ1 : ASQ;
		t.queue[i].cq_at = i ? CQ1 : ACQ;
		t.queue[i].tail = t.queue[i].head = 0;
		t.queue[i].phase = 1;
	}
	for (uint32_t at = ACQ; at < LIST; at += 8) {
		uint8_t z[8] = {0};

		assert_int_equal(mem_write(t.mem, at, z, 8), 0);
	}
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
	t.q = fake_blk_new(SECTORS * 512ull);
	for (unsigned i = 0; i < SECTORS; i++)
		st_le32(t.q->b.data + i * 512ull, i + 1);

	const struct nvme_config cfg = {.queue = t.q, .serial = "S1", .mem = t.mem};

	t.n = nvme_new(t.pb, DEVFN, &cfg, NULL);
	assert_non_null(t.n);
	pci_config_write(t.pb, DEVFN, 0x10, BAR, 4);
	pci_config_write(t.pb, DEVFN, 0x20, MSIX_AT, 4);
	pci_config_write(t.pb, DEVFN, PCI_COMMAND, PCI_COMMAND_MEM | PCI_COMMAND_MASTER, 2);
	enable();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	nvme_free(t.n);
	pci_bus_free(t.pb);
	bus_free(t.bus);
	mem_free(t.mem);
	fake_blk_free(t.q);
	return 0;
}

static uint32_t ram32(uint32_t at)
{
	uint8_t b[4];

	assert_int_equal(mem_read(t.mem, at, b, 4), 0);
	return ld_le32(b);
}

struct cmd {
	uint8_t op;
	uint32_t nsid, dw10, dw11, dw12;
	uint64_t prp1, prp2;
};

static void submit(unsigned q, uint16_t cid, struct cmd c)
{
	uint8_t b[64] = {0};

	b[0] = c.op;
	st_le16(b + 2, cid);
	st_le32(b + 4, c.nsid);
	st_le64(b + 24, c.prp1);
	st_le64(b + 32, c.prp2);
	st_le32(b + 40, c.dw10);
	st_le32(b + 44, c.dw11);
	st_le32(b + 48, c.dw12);
	assert_int_equal(mem_write(t.mem, t.queue[q].sq_at + 64 * t.queue[q].tail, b, 64), 0);
	t.queue[q].tail = (t.queue[q].tail + 1) % ENTRIES;
	set32(0x1000 + 8 * q, t.queue[q].tail);
}

/* Is there a completion? Its command and status. */
static bool peek(unsigned q, uint16_t *cid, uint16_t *status)
{
	uint32_t at = t.queue[q].cq_at + 16 * t.queue[q].head, dw3 = ram32(at + 12);

	if ((dw3 >> 16 & 1) != t.queue[q].phase)
		return false;
	*cid = (uint16_t)dw3;
	*status = (uint16_t)(dw3 >> 17);
	t.result = ram32(at);
	return true;
}

static void pop(unsigned q)
{
	if (++t.queue[q].head == ENTRIES) {
		t.queue[q].head = 0;
		t.queue[q].phase ^= 1;
	}
	set32(0x1004 + 8 * q, t.queue[q].head);
}

/* Run one command to its end; its status without "do not retry". */
static uint16_t run(unsigned q, struct cmd c)
{
	static uint16_t cid;
	uint16_t got = 0, status = 0;

	submit(q, ++cid, c);
	fake_blk_run(t.q);
	assert_true(peek(q, &got, &status));
	assert_int_equal(got, cid);
	pop(q);
	return status & 0x3fff;
}

static void make_queues(void)
{
	assert_int_equal(
		run(0,
		    (struct cmd){.op = 5, .dw10 = (ENTRIES - 1) << 16 | 1, .dw11 = 3, .prp1 = CQ1}),
		0);
	assert_int_equal(run(0, (struct cmd){.op = 1,
					     .dw10 = (ENTRIES - 1) << 16 | 1,
					     .dw11 = 1 << 16 | 1,
					     .prp1 = SQ1}),
			 0);
}

static struct cmd rw(bool write, uint32_t lba, uint32_t n, uint64_t prp1, uint64_t prp2)
{
	return (struct cmd){.op = write ? 1 : 2,
			    .nsid = 1,
			    .dw10 = lba,
			    .dw12 = n - 1,
			    .prp1 = prp1,
			    .prp2 = prp2};
}

static void registers_when_read_expect_the_controller(void **state)
{
	(void)state;
	assert_int_equal(get32(0), 0x0f0107ff);
	assert_int_equal(get32(4), 0x00400020);
	assert_int_equal(get32(8), 0x00010400);
	assert_int_equal(get32(0x1c), 1);
	set32(0x14, 0);
	assert_int_equal(get32(0x1c), 0);
	set32(0x24, 0); /* queues of one entry: there is no such thing */
	set32(0x14, 0x00460001);
	assert_int_equal(get32(0x1c), 2);
}

static void identify_when_asked_expect_sizes(void **state)
{
	(void)state;
	assert_int_equal(run(0, (struct cmd){.op = 6, .dw10 = 1, .prp1 = DATA}), 0);
	assert_int_equal(ram32(DATA) & 0xffff, 0x1b36);
	assert_int_equal(ram32(DATA + 516), 1);
	assert_int_equal(run(0, (struct cmd){.op = 6, .nsid = 1, .dw10 = 0, .prp1 = DATA}), 0);
	assert_int_equal(ram32(DATA), SECTORS);
	assert_int_equal(ram32(DATA + 128), 9 << 16);
	assert_int_equal(run(0, (struct cmd){.op = 6, .dw10 = 2, .prp1 = DATA}), 0);
	assert_int_equal(ram32(DATA), 1);
	assert_int_equal(run(0, (struct cmd){.op = 6, .nsid = 2, .dw10 = 0, .prp1 = DATA}), 0x0b);
	assert_int_equal(run(0, (struct cmd){.op = 6, .dw10 = 0x77, .prp1 = DATA}), 0x02);
	/* Across two pages. */
	assert_int_equal(
		run(0,
		    (struct cmd){.op = 6, .nsid = 1, .prp1 = DATA + 4096 - 8, .prp2 = DATA + 8192}),
		0);
	assert_int_equal(ram32(DATA + 4096 - 8), SECTORS);
	assert_int_equal(ram32(DATA + 8192), SECTORS); /* NCAP */
	assert_int_equal(run(0, (struct cmd){.op = 6, .nsid = 1, .prp1 = DATA + 1}), 0x13);
	assert_int_equal(run(0, (struct cmd){.op = 0x7f}), 0x01);
}

static void queues_when_made_wrong_expect_refusal(void **state)
{
	(void)state;
	struct cmd cq = {.op = 5, .dw10 = 7 << 16 | 1, .dw11 = 3, .prp1 = CQ1};
	struct cmd sq = {.op = 1, .dw10 = 7 << 16 | 1, .dw11 = 1 << 16 | 1, .prp1 = SQ1};
	struct cmd c = cq;

	assert_int_equal(run(0, sq), 0x100); /* no such completion queue */
	c.dw10 = 7 << 16 | 65;
	assert_int_equal(run(0, c), 0x101);
	c.dw10 = 1;
	assert_int_equal(run(0, c), 0x102);
	c = cq;
	c.prp1 += 8;
	assert_int_equal(run(0, c), 0x13);
	c = cq;
	c.dw11 = 1 << 16 | 3; /* vector 1 without MSI-X */
	assert_int_equal(run(0, c), 0x108);
	assert_int_equal(run(0, cq), 0);
	assert_int_equal(run(0, cq), 0x101);
	assert_int_equal(run(0, sq), 0);
	assert_int_equal(run(0, (struct cmd){.op = 4, .dw10 = 1}), 0x10c);
	assert_int_equal(run(0, (struct cmd){.op = 0, .dw10 = 1}), 0);
	assert_int_equal(run(0, (struct cmd){.op = 4, .dw10 = 1}), 0);
	assert_int_equal(run(0, (struct cmd){.op = 0, .dw10 = 1}), 0x101);
	assert_int_equal(run(0, (struct cmd){.op = 9, .dw10 = 7, .dw11 = 0x00ff00ff}), 0);
	assert_int_equal(t.result, 0x003f003f);
}

static void io_when_read_and_written_expect_data(void **state)
{
	uint8_t list[8 * 40], b[4096];

	(void)state;
	make_queues();
	assert_int_equal(run(1, rw(false, 7, 1, DATA, 0)), 0);
	assert_int_equal(ram32(DATA), 8);
	assert_int_equal(run(1, rw(false, 7, 16, DATA, DATA + 0x3000)), 0);
	assert_int_equal(ram32(DATA + 0x3000), 16);
	/* 128 KiB from the middle of a page: a list of 32, backwards. */
	for (unsigned i = 0; i < 40; i++)
		st_le64(list + 8 * i, DATA + 0x40000 - 0x1000 * i);
	assert_int_equal(mem_write(t.mem, LIST, list, sizeof(list)), 0);
	assert_int_equal(run(1, rw(false, 1000, 256, DATA + 0x800, LIST)), 0);
	assert_int_equal(ram32(DATA + 0x800), 1001);
	assert_int_equal(ram32(DATA + 0x40000), 1005);
	assert_int_equal(ram32(DATA + 0x40000 - 0x1000 * 31), 1000 + 4 + 8 * 31 + 1);
	/* A list that goes on in another page. */
	st_le64(list, LIST + 0x1000);
	assert_int_equal(mem_write(t.mem, LIST + 0xff8, list, 8), 0);
	st_le64(list, DATA + 0x50000);
	st_le64(list + 8, DATA + 0x60000);
	assert_int_equal(mem_write(t.mem, LIST + 0x1000, list, 16), 0);
	assert_int_equal(run(1, rw(false, 0, 24, DATA, LIST + 0xff8)), 0);
	assert_int_equal(ram32(DATA + 0x50000), 9);
	assert_int_equal(ram32(DATA + 0x60000), 17);

	memset(b, 0x5a, sizeof(b));
	assert_int_equal(mem_write(t.mem, DATA, b, sizeof(b)), 0);
	struct cmd c = rw(true, 50, 8, DATA, 0);

	assert_int_equal(run(1, c), 0);
	assert_int_equal(t.q->b.data[54 * 512 - 1], 0x5a);
	assert_int_equal(t.q->fuas, 0);
	c.dw12 |= 0x40000000;
	assert_int_equal(run(1, c), 0);
	assert_int_equal(t.q->fuas, 1);
	assert_int_equal(run(1, (struct cmd){.op = 0, .nsid = 1}), 0);
	assert_int_equal(t.q->flushes, 1);
	assert_int_equal(run(1, (struct cmd){.op = 8, .nsid = 1, .dw10 = 50, .dw12 = 7}), 0);
	assert_int_equal(t.q->b.data[54 * 512 - 1], 0);
}

static void io_when_wrong_expect_status(void **state)
{
	uint8_t list[16];

	(void)state;
	make_queues();
	assert_int_equal(run(1, rw(false, SECTORS, 1, DATA, 0)), 0x80);
	assert_int_equal(run(1, rw(false, 0, 257, DATA, LIST)), 0x02);
	struct cmd c = rw(false, 0, 1, DATA, 0);

	c.nsid = 2;
	assert_int_equal(run(1, c), 0x0b);
	assert_int_equal(run(1, (struct cmd){.op = 5, .nsid = 1}), 0x01);
	assert_int_equal(run(1, rw(false, 0, 16, DATA, DATA + 8)), 0x13);
	st_le64(list, DATA + 8);
	assert_int_equal(mem_write(t.mem, LIST, list, 8), 0);
	assert_int_equal(run(1, rw(false, 0, 24, DATA, LIST)), 0x13);
	assert_int_equal(run(1, rw(false, 0, 1, 0xffffff0000000000, 0)), 0x04);
	t.q->b.bad_from = 512;
	t.q->b.bad_to = 1024;
	assert_int_equal(run(1, rw(false, 1, 1, DATA, 0)), 0x281);
	assert_int_equal(run(1, rw(true, 1, 1, DATA, 0)), 0x280);
}

static void ranges_when_deallocated_expect_discards(void **state)
{
	uint8_t b[32] = {0};

	(void)state;
	make_queues();
	st_le32(b + 4, 3);
	st_le64(b + 8, 10);
	st_le32(b + 20, 1);
	st_le64(b + 24, 90);
	assert_int_equal(mem_write(t.mem, DATA, b, sizeof(b)), 0);
	struct cmd c = {.op = 9, .nsid = 1, .dw10 = 1, .dw11 = 4, .prp1 = DATA};

	assert_int_equal(run(1, c), 0);
	assert_int_equal(t.q->discards, 2);
	assert_int_equal(ld_le32(t.q->b.data + 12 * 512), 0);
	assert_int_equal(ld_le32(t.q->b.data + 13 * 512), 14);
	st_le64(b + 24, SECTORS);
	assert_int_equal(mem_write(t.mem, DATA, b, sizeof(b)), 0);
	assert_int_equal(run(1, c), 0x80);
}

static void completions_when_queue_full_expect_they_wait(void **state)
{
	uint16_t cid = 0, status = 0;

	(void)state;
	make_queues();
	for (unsigned i = 0; i < 7; i++)
		submit(1, (uint16_t)(100 + i), rw(false, i, 1, DATA + 512 * i, 0));
	fake_blk_run(t.q);
	/* The submission queue is free again; the completion queue holds seven, its most. */
	for (unsigned i = 0; i < 5; i++)
		submit(1, (uint16_t)(200 + i), rw(false, i, 1, DATA, 0));
	fake_blk_run(t.q);
	assert_int_equal(t.q->reads, 7);
	for (unsigned i = 0; i < 7; i++) {
		assert_true(peek(1, &cid, &status));
		assert_int_equal(cid, 100 + i);
		pop(1);
	}
	fake_blk_run(t.q);
	for (unsigned i = 0; i < 5; i++) {
		assert_true(peek(1, &cid, &status));
		assert_int_equal(cid, 200 + i);
		pop(1);
	}
	assert_false(peek(1, &cid, &status));
}

static void interrupt_when_completed_expect_until_taken(void **state)
{
	(void)state;
	make_queues();
	assert_false(t.irq.level);
	submit(1, 1, rw(false, 0, 1, DATA, 0));
	fake_blk_run(t.q);
	assert_true(t.irq.level);
	set32(0x0c, 1);
	assert_false(t.irq.level);
	set32(0x10, 1);
	assert_true(t.irq.level);
	pop(1);
	assert_false(t.irq.level);
}

static void msix_when_enabled_expect_messages(void **state)
{
	uint8_t cap = (uint8_t)pci_config_read(t.pb, DEVFN, PCI_CAP_PTR, 1);
	unsigned before;

	(void)state;
	assert_int_equal(pci_config_read(t.pb, DEVFN, cap, 1), 0x11);
	assert_int_equal(pci_config_read(t.pb, DEVFN, cap + 2, 2) & 0x7ff, 64);
	bus_mmio_write(t.bus, MSIX_AT, 0xfee00000, 4);
	bus_mmio_write(t.bus, MSIX_AT + 12, 0, 4);
	pci_config_write(t.pb, DEVFN, cap + 2, 0x8000, 2);
	make_queues();
	before = t.msis;
	assert_int_equal(run(1, rw(false, 0, 1, DATA, 0)), 0);
	assert_int_equal(t.msis, before + 1);
	assert_false(t.irq.level);
}

static void queue_when_deleted_under_way_expect_unheard(void **state)
{
	uint16_t cid = 0, status = 0;

	(void)state;
	make_queues();
	submit(1, 1, rw(true, 0, 1, DATA, 0));
	submit(0, 2, (struct cmd){.op = 0, .dw10 = 1});
	assert_true(peek(0, &cid, &status));
	assert_int_equal(status, 0);
	pop(0);
	assert_int_equal(run(0, (struct cmd){.op = 4, .dw10 = 1}), 0);
	fake_blk_run(t.q);
	assert_int_equal(t.q->writes, 1);
	assert_int_equal(ram32(CQ1 + 12), 0);
}

static void disable_when_under_way_expect_ready_until_ended(void **state)
{
	(void)state;
	make_queues();
	submit(1, 1, rw(true, 0, 1, DATA, 0));
	set32(0x14, 0);
	assert_int_equal(get32(0x1c), 1);
	fake_blk_run(t.q);
	assert_int_equal(get32(0x1c), 0);
	enable();
	make_queues();
	assert_int_equal(run(1, rw(false, 0, 1, DATA, 0)), 0);
}

static void shutdown_when_asked_expect_flushed(void **state)
{
	(void)state;
	set32(0x14, 0x00464001);
	assert_int_equal(get32(0x1c), 5);
	fake_blk_run(t.q);
	assert_int_equal(get32(0x1c), 9);
	assert_int_equal(t.q->flushes, 1);
}

static void events_when_doorbell_is_wrong_expect_told(void **state)
{
	uint16_t cid = 0, status = 0;

	(void)state;
	submit(0, 77, (struct cmd){.op = 0x0c});
	assert_false(peek(0, &cid, &status));
	set32(0x1000 + 8 * 5, 1);
	assert_true(peek(0, &cid, &status));
	assert_int_equal(cid, 77);
	assert_int_equal(t.result, 0x00010000);
	pop(0);
	for (unsigned i = 0; i < 4; i++)
		submit(0, (uint16_t)(80 + i), (struct cmd){.op = 0x0c});
	assert_int_equal(run(0, (struct cmd){.op = 0x0c}), 0x105);
	set32(0x1000, 9999);
	assert_false(peek(0, &cid, &status)); /* not before the log was read */
	submit(0, 90, (struct cmd){.op = 2, .dw10 = 15 << 16 | 1, .prp1 = DATA});
	assert_true(peek(0, &cid, &status));
	pop(0);
	assert_true(peek(0, &cid, &status));
	pop(0);
}

static void features_when_set_expect_kept(void **state)
{
	(void)state;
	assert_int_equal(run(0, (struct cmd){.op = 9, .dw10 = 6, .dw11 = 0}), 0);
	assert_false(t.q->cache);
	assert_int_equal(run(0, (struct cmd){.op = 0x0a, .dw10 = 6}), 0);
	assert_int_equal(t.result, 0);
	assert_int_equal(run(0, (struct cmd){.op = 9, .dw10 = 0x0b, .dw11 = 0x1f}), 0);
	assert_int_equal(run(0, (struct cmd){.op = 0x0a, .dw10 = 0x0b}), 0);
	assert_int_equal(t.result, 0x1f);
	assert_int_equal(run(0, (struct cmd){.op = 0x0a, .dw10 = 0x10b}), 0);
	assert_int_equal(t.result, 0);
	assert_int_equal(run(0, (struct cmd){.op = 9, .dw10 = 0x8000000b}), 0x10d);
	assert_int_equal(run(0, (struct cmd){.op = 9, .dw10 = 0x55}), 0x02);
	assert_int_equal(run(0, (struct cmd){.op = 2, .dw10 = 127 << 16 | 2, .prp1 = DATA}), 0);
	assert_int_equal(ram32(DATA) >> 8 & 0xffff, 300);
	assert_int_equal(run(0, (struct cmd){.op = 2, .dw10 = 0x99, .prp1 = DATA}), 0x109);
	assert_int_equal(run(0, (struct cmd){.op = 8, .dw10 = 1}), 0);
	assert_int_equal(t.result, 1);
}

static uint8_t saved[1 << 17];

static void state_when_saved_under_way_expect_made_again(void **state)
{
	struct device *d = nvme_device(t.n);
	uint16_t cid = 0, status = 0;
	long n;

	(void)state;
	make_queues();
	submit(1, 41, rw(false, 40, 1, DATA, 0));
	submit(1, 42, rw(false, 41, 1, DATA + 512, 0));
	n = device_save(d, saved, sizeof(saved));
	assert_true(n > 0);
	d->cls->reset(d);
	assert_int_equal(device_load(d, saved, (size_t)n, NULL), 0);
	assert_int_equal(ram32(DATA), 0);
	fake_blk_run(t.q);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(peek(1, &cid, &status));
		assert_int_equal(cid, 41 + i);
		pop(1);
	}
	assert_int_equal(ram32(DATA + 512), 42);
	/* Loading over requests that are under way. */
	submit(1, 43, rw(false, 1, 1, DATA, 0));
	assert_int_equal(device_load(d, saved, (size_t)n, NULL), 0);
	fake_blk_run(t.q);
	/* Registers that make no sense are state all the same. */
	set32(0x14, 0x00460780);
	n = device_save(d, saved, sizeof(saved));
	assert_int_equal(device_load(d, saved, (size_t)n, NULL), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(registers_when_read_expect_the_controller),
		T(identify_when_asked_expect_sizes),
		T(queues_when_made_wrong_expect_refusal),
		T(io_when_read_and_written_expect_data),
		T(io_when_wrong_expect_status),
		T(ranges_when_deallocated_expect_discards),
		T(completions_when_queue_full_expect_they_wait),
		T(interrupt_when_completed_expect_until_taken),
		T(msix_when_enabled_expect_messages),
		T(queue_when_deleted_under_way_expect_unheard),
		T(disable_when_under_way_expect_ready_until_ended),
		T(shutdown_when_asked_expect_flushed),
		T(events_when_doorbell_is_wrong_expect_told),
		T(features_when_set_expect_kept),
		T(state_when_saved_under_way_expect_made_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
