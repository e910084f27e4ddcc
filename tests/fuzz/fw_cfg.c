// SPDX-License-Identifier: GPL-2.0-or-later
/* Fuzz firmware configuration, with requests in guest memory: make t T=fuzz/fw_cfg */
#include "base/bytes.h"
#include "device_harness.h"
#include "devices/legacy/fw_cfg.h"
#include "wire.h"

#define RAM 0x10000u

static uint8_t rw[40];

static void on_write(void *opaque, uint32_t off, uint32_t len)
{
	(void)opaque;
	FUZZ_CHECK(off <= sizeof(rw) && len <= sizeof(rw) - off);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t ports[] = {0x510, 0x511, 0x514, 0x518, 0x515, 0x51a};
	struct fuzz_in in = {data, size};
	struct bus *bus = bus_new();
	struct mem *mem = mem_new(RAM, 0, NULL);

	fake_begin();

	struct fw_cfg *f = fw_cfg_new(mem);

	FUZZ_CHECK(bus && f && fw_cfg_map(f, bus, 0x510) == 0);
	/* A hole and a read-only page in the middle. */
	FUZZ_CHECK(mem_map(mem, 0, RAM, MEM_RAM, 0) == 0);
	FUZZ_CHECK(mem_map(mem, 0x4000, 0x1000, MEM_MMIO, 0) == 0);
	FUZZ_CHECK(mem_map(mem, 0x8000, 0x1000, MEM_ROM, 0x8000) == 0);
	FUZZ_CHECK(fw_cfg_add_file(f, "a", "some bytes", 10) == 0);
	FUZZ_CHECK(fw_cfg_add_file_writable(f, "b", rw, sizeof(rw), on_write, NULL) == 0);
	while (in.left) {
		uint8_t op = fuzz_u8(&in);
		uint64_t at;

		switch (op & 7) {
		case 0:
			bus_pio_write(bus, 0x510, fuzz_uint(&in, 2), 2);
			break;
		case 1: /* a request that makes sense more often than chance */
		case 2:
		case 3:
			at = fuzz_uint(&in, 2) & 0xfff8;
			uint8_t *p = mem_base(mem) + at;

			st_be32(p, fuzz_u8(&in) | (op & 8 ? 0x20u + (op >> 4) : op) << 16);
			st_be32(p + 4, (uint32_t)fuzz_uint(&in, op & 16 ? 4 : 1));
			if (at + 16 <= RAM)
				st_be64(p + 8, fuzz_uint(&in, op & 32 ? 8 : 2));
			bus_pio_write(bus, 0x514, op == 1 ? 0xff : 0, 4);
			bus_pio_write(bus, 0x518, __builtin_bswap32((uint32_t)at), 4);
			if (op != 1 && mem_ptr(mem, at, 16, true))
				FUZZ_CHECK(ld_be32(p) <= 1);
			break;
		case 4:
			fuzz_save_load(fw_cfg_device(f));
			break;
		case 5:
			fuzz_load_damaged(&in, fw_cfg_device(f));
			break;
		default:
			fuzz_port_access(&in, bus, ports, 6);
			break;
		}
	}
	fw_cfg_free(f);
	mem_free(mem);
	bus_free(bus);
	return 0;
}
