// SPDX-License-Identifier: GPL-2.0-or-later
/* Firmware configuration: make t T=devices/fw_cfg */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "devices/legacy/fw_cfg.h"
#include "wire.h"

#define MIB (1u << 20)
#define REQUEST 0x1000u

enum { ERROR = 1, READ = 2, SKIP = 4, SELECT = 8, WRITE = 16 };

struct fix {
	struct bus *bus;
	struct mem *mem;
	struct fw_cfg *f;
	uint8_t rw[64];
	unsigned writes;
	uint32_t w_off, w_len;
};

static void on_write(void *opaque, uint32_t off, uint32_t len)
{
	struct fix *f = opaque;

	f->writes++;
	f->w_off = off;
	f->w_len = len;
}

static int setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));

	f->bus = bus_new();
	f->mem = mem_new(2 * MIB, 0, NULL);
	f->f = fw_cfg_new(f->mem);
	*state = f;
	if (mem_map(f->mem, 0, 2 * MIB, MEM_RAM, 0) || fw_cfg_map(f->f, f->bus, 0x510))
		return -1;
	return fw_cfg_add_file(f->f, "etc/one", "first file", 10) ||
	       fw_cfg_add_file_writable(f->f, "etc/rw", f->rw, 64, on_write, f);
}

static int teardown(void **state)
{
	struct fix *f = *state;

	fw_cfg_free(f->f);
	mem_free(f->mem);
	bus_free(f->bus);
	free(f);
	return 0;
}

static void sel(struct fix *f, uint16_t key)
{
	bus_pio_write(f->bus, 0x510, key, 2);
}

static uint64_t next(struct fix *f, unsigned bytes)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < bytes; i++)
		v |= (uint64_t)inb(f->bus, 0x511) << i * 8;
	return v;
}

/* Run a DMA request; returns its control word afterwards. */
static uint32_t dma(struct fix *f, uint32_t control, uint32_t len, uint64_t addr)
{
	uint8_t *p = mem_base(f->mem) + REQUEST;

	st_be32(p, control);
	st_be32(p + 4, len);
	st_be64(p + 8, addr);
	bus_pio_write(f->bus, 0x514, 0, 4);
	bus_pio_write(f->bus, 0x518, __builtin_bswap32(REQUEST), 4);
	return ld_be32(p);
}

static void ports_when_probed_expect_signature_and_features(void **state)
{
	struct fix *f = *state;

	sel(f, 0);
	assert_int_equal(next(f, 4), 0x554d4551); /* "QEMU" */
	assert_int_equal(next(f, 4), 0);
	sel(f, 0x4000); /* the old write channel bit */
	assert_int_equal(next(f, 4), 0x554d4551);
	sel(f, 1);
	assert_int_equal(next(f, 4), 3);
	sel(f, 0x7777);
	assert_int_equal(next(f, 8), 0);
	assert_int_equal(bus_pio_read(f->bus, 0x514, 4), 0x554d4551);
	assert_int_equal(bus_pio_read(f->bus, 0x518, 4), 0x47464320);
	assert_int_equal(inb(f->bus, 0x51b), 'G');
}

static void directory_when_read_expect_files(void **state)
{
	struct fix *f = *state;

	sel(f, FW_CFG_FILE_DIR);
	assert_int_equal(next(f, 4), 0x02000000);
	assert_int_equal(next(f, 4), 0x0a000000);
	assert_int_equal(next(f, 4), 0x2000); /* be16 0x0020, be16 0 */

	char name[56];

	for (int i = 0; i < 56; i++)
		name[i] = (char)next(f, 1);
	assert_string_equal(name, "etc/one");
	sel(f, 0x20);
	assert_int_equal(next(f, 5), 0x7473726966); /* "first" */
	sel(f, 0x22);
	assert_int_equal(next(f, 4), 0);
}

static void add_when_wrong_expect_errno(void **state)
{
	struct fix *f = *state;
	char name[64];

	memset(name, 'x', sizeof(name));
	name[56] = 0;
	assert_int_equal(fw_cfg_add_file(f->f, name, "", 0), -ENAMETOOLONG);
	name[55] = 0;
	assert_int_equal(fw_cfg_add_file(f->f, name, "", 0), 0);
	assert_int_equal(fw_cfg_add_file(f->f, "", "", 0), -ENAMETOOLONG);
	assert_int_equal(fw_cfg_add_file(f->f, "etc/one", "", 0), -EEXIST);
	assert_int_equal(fw_cfg_add_u16(f->f, 0x20, 1), -EINVAL);
	assert_int_equal(fw_cfg_add_u16(f->f, 0x8020, 1), -EINVAL);
	assert_int_equal(fw_cfg_add_u64(f->f, 0x801f, 1), 0);
	for (unsigned i = 0; i < FW_CFG_MAX_FILES - 3; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		assert_int_equal(fw_cfg_add_file(f->f, name, "", 0), 0);
	}
	assert_int_equal(fw_cfg_add_file(f->f, "full", "", 0), -ENOSPC);
}

static void item_when_set_again_expect_new_value(void **state)
{
	struct fix *f = *state;

	assert_int_equal(fw_cfg_add_u16(f->f, FW_CFG_NB_CPUS, 1), 0);
	assert_int_equal(fw_cfg_add_u64(f->f, FW_CFG_NB_CPUS, 0x0807060504030201), 0);
	sel(f, FW_CFG_NB_CPUS);
	assert_true(next(f, 8) == 0x0807060504030201);
	assert_int_equal(fw_cfg_add_bytes_borrowed(f->f, FW_CFG_E820_TABLE, f->rw, 64), 0);
	f->rw[3] = 9;
	sel(f, FW_CFG_E820_TABLE);
	assert_int_equal(next(f, 4), 0x09000000);
}

static void dma_when_reading_expect_bytes_then_zeros(void **state)
{
	struct fix *f = *state;
	uint8_t *ram = mem_base(f->mem);

	memset(ram + 0x2000, 0xcc, 64);
	assert_int_equal(dma(f, SELECT | READ | 0x20u << 16, 16, 0x2000), 0);
	assert_memory_equal(ram + 0x2000, "first file\0\0\0\0\0\0\xcc", 17);
	/* In pieces, with a skip. */
	assert_int_equal(dma(f, SELECT | 0x20u << 16, 5, 0x3000), 0);
	assert_int_equal(ram[0x3000], 0);
	assert_int_equal(dma(f, SKIP, 2, 0), 0);
	assert_int_equal(dma(f, READ, 3, 0x3000), 0);
	assert_memory_equal(ram + 0x3000, "rst", 3);
	assert_int_equal(next(f, 1), ' ');
	assert_int_equal(dma(f, SKIP, 0xffffffff, 0), 0);
	assert_int_equal(dma(f, READ, 4, 0x3000), 0);
	assert_int_equal(ld_le32(ram + 0x3000), 0);
	/* An item that is not there is all zeros. */
	memset(ram + 0x2000, 0xcc, 8);
	assert_int_equal(dma(f, SELECT | READ | 0x7000u << 16, 8, 0x2000), 0);
	assert_int_equal(ld_le32(ram + 0x2000), 0);
}

static void dma_when_target_is_no_ram_expect_error(void **state)
{
	struct fix *f = *state;

	assert_int_equal(dma(f, SELECT | READ | 0x20u << 16, 4, 8 * MIB), ERROR);
	assert_int_equal(dma(f, SELECT | READ | 0x20u << 16, 0xffffffff, 0x4000), ERROR);
	assert_int_equal(dma(f, SELECT | READ | 0x20u << 16, 10, UINT64_MAX - 3), ERROR);
	assert_int_equal(dma(f, SELECT | READ | 0x7000u << 16, 10, UINT64_MAX - 3), ERROR);
	assert_int_equal(dma(f, READ, 0, UINT64_MAX), 0);
	/* The request itself outside RAM: nothing happens. */
	bus_pio_write(f->bus, 0x514, 0xffffffff, 4);
	bus_pio_write(f->bus, 0x518, 0xffffffff, 4);
	bus_pio_write(f->bus, 0x518, __builtin_bswap32(2 * MIB - 8), 4);
	assert_int_equal(ld_be32(mem_base(f->mem) + 2 * MIB - 8), ERROR);
}

static void dma_when_writing_expect_callback_and_bounds(void **state)
{
	struct fix *f = *state;

	memcpy(mem_base(f->mem) + 0x5000, "hello", 5);
	assert_int_equal(dma(f, SELECT | WRITE | 0x21u << 16, 5, 0x5000), 0);
	assert_memory_equal(f->rw, "hello", 5);
	assert_int_equal(f->writes, 1);
	assert_int_equal(dma(f, WRITE, 2, 0x5001), 0);
	assert_memory_equal(f->rw, "helloel", 7);
	assert_int_equal(f->w_off, 5);
	assert_int_equal(f->w_len, 2);
	assert_int_equal(dma(f, WRITE, 58, 0x5000), ERROR); /* 57 are left */
	assert_int_equal(dma(f, WRITE, 0xffffffff, 0x5000), ERROR);
	assert_int_equal(dma(f, WRITE, 57, 0x5000), 0);
	assert_int_equal(dma(f, SELECT | WRITE | 0x21u << 16, 5, 8 * MIB), ERROR);
	assert_int_equal(dma(f, SELECT | WRITE | 0x20u << 16, 5, 0x5000), ERROR);
	assert_int_equal(dma(f, SELECT | WRITE | 0x7000u << 16, 0, 0x5000), ERROR);
	assert_int_equal(f->writes, 3);
	assert_memory_equal(mem_base(f->mem) + 0x5000, "hello", 5);
}

static void ports_when_other_sizes_expect_nothing_selected(void **state)
{
	struct fix *f = *state;

	sel(f, 0x20);
	outb(f->bus, 0x510, 1);
	outb(f->bus, 0x511, 1);
	bus_pio_write(f->bus, 0x514, 0, 2);
	bus_pio_write(f->bus, 0x51a, 0, 2);
	assert_int_equal(next(f, 2), 0x6966);
	assert_int_equal(inb(f->bus, 0x510), 'r');
}

static void load_when_saved_expect_position(void **state)
{
	struct fix *f = *state;

	sel(f, 0x20);
	next(f, 6);

	uint8_t buf[512];
	long n = device_save(fw_cfg_device(f->f), buf, sizeof(buf));

	fw_cfg_device(f->f)->cls->reset(fw_cfg_device(f->f));
	assert_int_equal(next(f, 1), 'Q');
	assert_int_equal(device_load(fw_cfg_device(f->f), buf, (size_t)n, NULL), 0);
	assert_int_equal(next(f, 4), 0x656c6966); /* "file" */
}

static void on_select(void *opaque)
{
	((struct fix *)opaque)->rw[0]++;
}

static void select_when_file_has_a_hook_expect_it_called_before_each_reading(void **state)
{
	struct fix *f = *state;

	assert_int_equal(fw_cfg_on_select(f->f, "etc/none", on_select, f), -ENOENT);
	assert_int_equal(fw_cfg_on_select(f->f, "etc/rw", on_select, f), 0);
	sel(f, FW_CFG_FILE_FIRST); /* another one */
	assert_int_equal(f->rw[0], 0);
	sel(f, FW_CFG_FILE_FIRST + 1);
	assert_int_equal(next(f, 1), 1);
	assert_int_equal(dma(f, (FW_CFG_FILE_FIRST + 1) << 16 | SELECT | READ, 1, 0x3000), 0);
	assert_int_equal(mem_base(f->mem)[0x3000], 2);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(ports_when_probed_expect_signature_and_features),
		T(directory_when_read_expect_files),
		T(add_when_wrong_expect_errno),
		T(item_when_set_again_expect_new_value),
		T(dma_when_reading_expect_bytes_then_zeros),
		T(dma_when_target_is_no_ram_expect_error),
		T(dma_when_writing_expect_callback_and_bounds),
		T(ports_when_other_sizes_expect_nothing_selected),
		T(load_when_saved_expect_position),
		T(select_when_file_has_a_hook_expect_it_called_before_each_reading),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
