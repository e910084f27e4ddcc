// SPDX-License-Identifier: GPL-2.0-or-later
/* Fuzz NVMe, its queues in memory: make t T=fuzz/nvme */
#include "base/bytes.h"
#include "devices/storage/nvme.h"
#include "storage_harness.h"

#define BAR 0xf0000000u
#define DEVFN 0x10u
#define ENTRIES 8u
#define QUEUES 4u

static void set32(struct bus *bus, uint32_t off, uint32_t v)
{
	bus_mmio_write(bus, BAR + off, v, 4);
}

static void bring_up(struct fuzz_pci *p)
{
	pci_config_write(p->pb, DEVFN, 0x10, BAR, 4);
	pci_config_write(p->pb, DEVFN, 0x14, 0, 4);
	pci_config_write(p->pb, DEVFN, PCI_COMMAND, 6, 2);
	set32(p->bus, 0x24, (ENTRIES - 1) << 16 | (ENTRIES - 1));
	set32(p->bus, 0x28, 0x1000);
	set32(p->bus, 0x30, 0x2000);
	set32(p->bus, 0x14, 0x00460001);
}

struct place {
	uint32_t tail[QUEUES], head[QUEUES];
};

/* A command at the tail of queue `q`, where the target last left it. */
static void random_command(struct fuzz_in *in, struct fuzz_pci *p, struct mem *mem,
			   struct place *at, unsigned q)
{
	static const uint8_t admin[] = {0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 1, 5, 5, 1, 9, 10};
	static const uint8_t io[] = {0, 1, 2, 8, 9, 1, 2, 9};
	uint8_t b[64] = {0}, how = fuzz_u8(in);

	b[0] = how & 0x80 ? fuzz_u8(in) : q ? io[how & 7] : admin[how & 15];
	b[2] = fuzz_u8(in);
	b[4] = how & 0x40 ? fuzz_u8(in) : 1;
	st_le64(b + 24, fuzz_gpa(in));
	st_le64(b + 32, fuzz_gpa(in));
	b[40] = fuzz_u8(in) & (q || how & 0x20 ? 0xff : 3);
	b[42] = fuzz_u8(in) & 15;
	b[44] = fuzz_u8(in);
	b[46] = fuzz_u8(in) & 3;
	b[48] = fuzz_u8(in);
	if (!q && (b[0] == 1 || b[0] == 5) && !(how & 0x20))
		b[44] |= 1;
	fuzz_put(mem, 0x1000 * (q ? 4 + q : 1) + 64 * at->tail[q], b, 64);
	at->tail[q] = (at->tail[q] + 1) % ENTRIES;
	set32(p->bus, 0x1000 + 8 * q, at->tail[q]);
}

static void step(struct fuzz_in *in, struct fuzz_pci *p, struct nvme *n, struct blk_queue *q,
		 struct mem *mem, struct place *at)
{
	struct device *d = nvme_device(n);
	uint8_t op = fuzz_u8(in), b[64];
	unsigned id = op >> 4 & 3;

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
	case 5:
		random_command(in, p, mem, at, id);
		break;
	case 6:
	case 7:
		fuzz_blk(in, q);
		break;
	case 8:
		at->head[id] = (at->head[id] + 1) % ENTRIES;
		set32(p->bus, 0x1004 + 8 * id, at->head[id]);
		break;
	case 9:
		fuzz_pci_config(in, p, DEVFN);
		break;
	case 10:
		if (op & 64)
			set32(p->bus, 0x14, op & 128 ? 0x00464001 : 0);
		memset(at, 0, sizeof(*at));
		bring_up(p);
		break;
	case 11:
		for (unsigned i = 0; i < 64; i += 8)
			st_le64(b + i, fuzz_gpa(in));
		fuzz_put(mem, fuzz_gpa(in), b, 64);
		break;
	case 12:
		if (op == 12)
			d->cls->reset(d);
		break;
	case 13:
		bus_mmio_read(p->bus, BAR + (fuzz_u8(in) & 0x3f), 1u << (op >> 4 & 3));
		break;
	default:
		set32(p->bus, op & 16 ? 0x1000 + (fuzz_u8(in) & 0x1f) * 4u : fuzz_u8(in) & 0x3c,
		      (uint32_t)fuzz_uint(in, op & 32 ? 1 : 4));
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	struct mem *mem = fuzz_mem();
	struct fuzz_pci p = fuzz_pci_new();
	struct blk_queue *q = fake_blk_new(400 * 512);
	const struct nvme_config cfg = {.queue = q, .serial = "fuzz", .mem = mem};
	struct nvme *n = nvme_new(p.pb, DEVFN, &cfg, NULL);
	struct place at = {{0}, {0}};

	FUZZ_CHECK(n);
	bring_up(&p);
	/* Queues 1 to 3, so that I/O is not far away. */
	for (unsigned i = 1; i < QUEUES; i++) {
		uint8_t b[64] = {5};

		st_le64(b + 24, 0x8000 + 0x1000 * i);
		st_le32(b + 40, (ENTRIES - 1) << 16 | i);
		st_le32(b + 44, 3);
		fuzz_put(mem, 0x1000 + 64 * at.tail[0]++, b, 64);
		b[0] = 1;
		st_le64(b + 24, 0x4000 + 0x1000 * i);
		st_le32(b + 44, i << 16 | 1);
		fuzz_put(mem, 0x1000 + 64 * at.tail[0]++, b, 64);
		set32(p.bus, 0x1000, at.tail[0]);
	}
	at.head[0] = 6;
	set32(p.bus, 0x1004, 6);
	for (unsigned i = 0; in.left && i < 512; i++) {
		step(&in, &p, n, q, mem, &at);
		fuzz_pci_check(&p, DEVFN, 0x00101b36);
	}
	fake_blk_run(q);
	/* Whatever happened, a reset makes it ready. */
	nvme_device(n)->cls->reset(nvme_device(n));
	bring_up(&p);
	FUZZ_CHECK(bus_mmio_read(p.bus, BAR + 0x1c, 4) == 1);
	nvme_free(n);
	fuzz_pci_free(&p);
	fake_blk_free(q);
	return 0;
}
