// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fw_cfg: signature, features, file directory, DMA: reading, skipping, errors.
 * Source: QEMU docs/specs/fw_cfg.
 */
#include "guest.h"

#define SELECTOR 0x510
#define DATA 0x511
#define DMA_PORT 0x514
enum { ERROR = 1, READ = 2, SKIP = 4, SELECT = 8, WRITE = 16 };

struct request {
	uint32_t control, length;
	uint64_t address;
};

static volatile struct request request __attribute__((aligned(16)));
static uint8_t buf[4096], twin[4096];

static uint32_t be32(uint32_t v)
{
	return __builtin_bswap32(v);
}

static void read_bytes(void *to, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		((uint8_t *)to)[i] = inb(DATA);
}

static uint32_t read_be32(void)
{
	uint32_t v;

	read_bytes(&v, 4);
	return be32(v);
}

static void dma_at(uint64_t at)
{
	outl(DMA_PORT, be32((uint32_t)(at >> 32)));
	outl(DMA_PORT + 4, be32((uint32_t)at));
}

/* The control word afterwards. */
static uint32_t dma(uint32_t control, uint64_t address, uint32_t length)
{
	request.control = be32(control);
	request.length = be32(length);
	request.address = __builtin_bswap64(address);
	dma_at((uint64_t)&request);
	for (int i = 0; i < 1000000 && (be32(request.control) & ~(uint32_t)ERROR); i++)
		;
	return be32(request.control);
}


static uint16_t dir_key;
static uint32_t dir_size;

static void directory(void)
{
	static const char want[] = "etc/e820";
	bool keys = true, good_names = true;
	unsigned files;

	outw(SELECTOR, 0x19);
	files = read_be32();
	check(files > 0 && files < 1000, "the directory has files");
	for (unsigned i = 0; i < files && files < 1000; i++) {
		uint32_t size = read_be32(), key = read_be32() >> 16;
		char name[56];

		read_bytes(name, sizeof(name));
		if (key < 0x20 || key > 0x3fff)
			keys = false;
		if (!name[0] || name[55])
			good_names = false;
		if (!memcmp(name, want, sizeof(want))) {
			dir_key = (uint16_t)key;
			dir_size = size;
		}
	}
	check(keys, "keys of files");
	check(good_names, "names end with a zero");
	check(dir_key != 0, "a file with the memory map");
}

static void ports(void)
{
	outw(SELECTOR, 0);
	read_bytes(buf, 8);
	check(!memcmp(buf, "QEMU\0\0\0\0", 8), "the signature, then zeros");
	outw(SELECTOR, 1);
	check_eq(inb(DATA) & 3, 3, "features: ports and DMA");
	outw(SELECTOR, 5);
	check_eq(inb(DATA), 1, "the number of processors");
	outw(SELECTOR, 0x3abc);
	check_eq(inb(DATA), 0, "an item that is not there reads 0");
	check_eq(be32(inl(DMA_PORT)), 0x51454d55, "the DMA port says QEMU");
	check_eq(be32(inl(DMA_PORT + 4)), 0x20434647, "and CFG");
}

static void transfers(void)
{
	uint32_t n = dir_size < sizeof(buf) ? dir_size : sizeof(buf);

	memset(buf, 0xee, sizeof(buf));
	check_eq(dma(SELECT | READ, (uint64_t)buf, 4), 0, "DMA: select and read");
	check(!memcmp(buf, "QEMU", 4), "DMA: the signature");
	check_eq(buf[4], 0xee, "DMA: no more than was asked for");
	check_eq(dma(READ, (uint64_t)buf, 8), 0, "DMA: reading behind the end is no error");
	check(!memcmp(buf, "\0\0\0\0\0\0\0\0", 8), "DMA: it gives zeros");
	outw(SELECTOR, dir_key);
	read_bytes(twin, n);
	dma((uint32_t)dir_key << 16 | SELECT | READ, (uint64_t)buf, n);
	check(n && !memcmp(buf, twin, n), "DMA and the port give the same");
	dma((uint32_t)dir_key << 16 | SELECT | SKIP, 0, 10);
	dma(READ, (uint64_t)buf, 10);
	check(!memcmp(buf, twin + 10, 10), "DMA: skipping");
	check_eq(inb(DATA), twin[20], "the port goes on where DMA stopped");
	check_eq(dma((uint32_t)dir_key << 16 | SELECT, 0, 0), 0, "DMA: only select");
	check_eq(inb(DATA), twin[0], "DMA: it did");
	check_eq(dma(READ, (uint64_t)buf, 0), 0, "DMA: no bytes");
	buf[0] = 0x77;
	outw(SELECTOR, 0);
	dma_at(0xfffffffff0000000); /* no memory: nothing can be said, but nothing may break */
	outw(SELECTOR, 0);
	check_eq(inb(DATA), 'Q', "a descriptor outside memory does no harm");
}

static void errors(void)
{
	check_eq(dma((uint32_t)dir_key << 16 | SELECT | READ, 0xf0000000000, 64), ERROR,
		 "DMA to where no memory is: error");
	check_eq(dma((uint32_t)dir_key << 16 | SELECT | READ, 0xfffffffffffffff8, 64), ERROR,
		 "DMA over the end of addresses: error");
	check_eq(dma(SELECT | WRITE, (uint64_t)buf, 4), ERROR, "writing the signature: error");
	outw(SELECTOR, 0);
	read_bytes(buf, 4);
	check(!memcmp(buf, "QEMU", 4), "which did not change it");
	check_eq(dma(SELECT | READ, (uint64_t)buf, 4), 0, "afterwards DMA works");
}

void guest_test(void)
{
	ports();
	directory();
	transfers();
	errors();
}
