// SPDX-License-Identifier: GPL-2.0-or-later
/* The mapped region; see map.h. */
#include "map.h"

static word *table;
static uint8_t *ram;

#if IS64
void map_init(void)
{
	uint64_t *pdpt = alloc_pages(1, 4096), *pd = alloc_pages(1, 4096);

	table = alloc_pages(1, 4096);
	ram = alloc_pages(MAP_PAGES, 4096);
	boot_pml4[MAP_VA >> 39] = (uint64_t)pdpt | 7;
	pdpt[0] = (uint64_t)pd | 7;
	pd[0] = (uint64_t)table | 7;
	for (unsigned i = 0; i < MAP_PAGES; i++)
		map_set(i, 7);
}
#else
#define TABLES 16 /* 64 MiB of identity map */

uint32_t *map_dir;

/* Identity for the kernel, the same 64 MiB at 1 GiB for user mode, the APICs' neighbourhood. */
static void kernel_map(void)
{
	uint32_t *t = alloc_pages(2 * TABLES + 5, 4096);

	map_dir = alloc_pages(1, 4096);
	for (unsigned i = 0; i < TABLES; i++) {
		for (unsigned j = 0; j < 1024; j++) {
			t[i * 1024 + j] = (i * 1024 + j) << 12 | 3;
			t[(TABLES + i) * 1024 + j] = (i * 1024 + j) << 12 | 7;
		}
		map_dir[i] = (uint32_t)&t[i * 1024] | 7;
		map_dir[256 + i] = (uint32_t)&t[(TABLES + i) * 1024] | 7;
	}
	for (unsigned i = 0; i < 5; i++) {
		uint32_t *high = &t[(2 * TABLES + i) * 1024];

		for (unsigned j = 0; j < 1024; j++)
			high[j] = (0xfec00000u + (i << 22) + (j << 12)) | 3;
		map_dir[1019 + i] = (uint32_t)high | 7;
	}
}

void map_init(void)
{
	kernel_map();
	table = alloc_pages(1, 4096);
	ram = alloc_pages(MAP_PAGES, 4096);
	map_dir[MAP_VA >> 22] = (uint32_t)table | 7;
	for (unsigned i = 0; i < MAP_PAGES; i++)
		map_set(i, 7);
	write_cr3((word)map_dir);
	write_cr0(read_cr0() | C0_PG);
	user_offset = 0x40000000;
}
#endif

void map_set(unsigned i, word flags)
{
	map_to(i, (word)map_ram(i), flags);
}

void map_to(unsigned i, word phys, word flags)
{
	table[i] = phys | flags;
	invlpg(MAP_VA + i * 4096);
}

uint8_t *map_ram(unsigned i)
{
	return ram + i * 4096;
}
