// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Low memory without a BIOS. There are no BIOS services: every vector leads to an IRET, which
 * returns the caller's registers unchanged. INT 18h, INT 19h and the reset vector reset the machine
 * (port 0xCF9, else the keyboard controller), then halt: the machine's reset loads the kernel anew.
 * Source: IBM PC/AT Technical Reference; BIOS data area layout as documented there.
 * Threads: one at a time.
 */
#include "firmware/lowmem.h"

#include <string.h>

#include "base/bytes.h"
#include "base/range.h"
#include "firmware/platform.h"

#define IVT_VECTORS 256u
#define IVT_BYTES (4 * IVT_VECTORS)
#define VEC_NO_BOOT 0x18u
#define VEC_BOOT 0x19u

/* The BIOS data area, from 0x400. */
enum {
	BDA = 0x400,
	BDA_COM = 0x00, /* four port numbers */
	BDA_EBDA_SEG = 0x0e,
	BDA_EQUIPMENT = 0x10,
	BDA_BASE_MEM_K = 0x13,
	BDA_KBD_HEAD = 0x1a,
	BDA_KBD_TAIL = 0x1c,
	BDA_VIDEO_MODE = 0x49,
	BDA_VIDEO_COLS = 0x4a,
	BDA_CRTC_PORT = 0x63,
	BDA_KBD_START = 0x80,
	BDA_KBD_END = 0x82,
	BDA_VIDEO_LAST_ROW = 0x84,
	BDA_CHAR_HEIGHT = 0x85,
	BDA_BYTES = 0x100,
};

#define KBD_BUFFER 0x1eu
#define KBD_BUFFER_END 0x3eu
#define EQUIP_FPU 0x0002u
#define EQUIP_MOUSE 0x0004u
#define EQUIP_COLOR80 0x0020u
#define EQUIP_COM_SHIFT 9

static const uint8_t reset_code[] = {
	0xfa,		  /* cli */
	0xb0, 0x06,	  /* mov al, 6 */
	0xba, 0xf9, 0x0c, /* mov dx, 0xcf9 */
	0xee,		  /* out dx, al */
	0xb0, 0xfe,	  /* mov al, 0xfe */
	0xe6, 0x64,	  /* out 0x64, al: pulse the reset line */
	0xf4,		  /* hlt */
	0xeb, 0xfd,	  /* jmp to the hlt */
};

_Static_assert(PC_RESET_PORT == 0xcf9 && PC_RESET_VALUE == 6, "as in the code above");

static const uint8_t reset_vector[16] = {
	0xea, 0x5b, 0xe0, 0x00, 0xf0,			/* jmp f000:e05b */
	'0',  '1',  '/',  '0',	'1',  '/', '2', '5', 0, /* the BIOS date */
	0xfc,						/* model: PC/AT */
	0,
};

static const uint16_t com_ports[4] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};

static void fill_vectors(uint8_t *ivt)
{
	for (unsigned v = 0; v < IVT_VECTORS; v++) {
		bool reset = v == VEC_NO_BOOT || v == VEC_BOOT;

		st_le16(ivt + 4 * v, reset ? LOWMEM_RESET_CODE : LOWMEM_DUMMY_IRET);
		st_le16(ivt + 4 * v + 2, LOWMEM_BIOS_SEG);
	}
}

static void fill_bda(uint8_t *bda, const struct fw_tables_config *cfg)
{
	unsigned coms = (unsigned)min_u64(cfg->com_ports, ARRAY_SIZE(com_ports));
	unsigned equipment = EQUIP_FPU | coms << EQUIP_COM_SHIFT;

	for (unsigned i = 0; i < coms; i++)
		st_le16(bda + BDA_COM + 2 * i, com_ports[i]);
	if (!cfg->no_i8042)
		equipment |= EQUIP_MOUSE;
	st_le16(bda + BDA_EBDA_SEG, PC_EBDA >> 4);
	st_le16(bda + BDA_BASE_MEM_K, PC_BASE_MEM_END >> 10);
	st_le16(bda + BDA_KBD_HEAD, KBD_BUFFER);
	st_le16(bda + BDA_KBD_TAIL, KBD_BUFFER);
	st_le16(bda + BDA_KBD_START, KBD_BUFFER);
	st_le16(bda + BDA_KBD_END, KBD_BUFFER_END);
	if (cfg->vga) {
		equipment |= EQUIP_COLOR80;
		bda[BDA_VIDEO_MODE] = 3;
		st_le16(bda + BDA_VIDEO_COLS, 80);
		st_le16(bda + BDA_CRTC_PORT, 0x3d4);
		bda[BDA_VIDEO_LAST_ROW] = 24;
		st_le16(bda + BDA_CHAR_HEIGHT, 16);
	}
	st_le16(bda + BDA_EQUIPMENT, (uint16_t)equipment);
}

static int load_code(struct mem *mem, uint32_t off, const uint8_t *code, uint64_t len)
{
	return mem_load(mem, (LOWMEM_BIOS_SEG << 4) + off, code, len);
}

int lowmem_build(struct mem *mem, const struct fw_tables_config *cfg)
{
	static const uint8_t iret = 0xcf;
	uint8_t low[IVT_BYTES + BDA_BYTES] = {0};
	uint8_t ebda[PC_EBDA_BYTES] = {PC_EBDA_BYTES >> 10};
	int ret;

	_Static_assert(IVT_BYTES == BDA, "the data area follows the vectors");
	fill_vectors(low);
	fill_bda(low + BDA, cfg);
	ret = mem_write(mem, 0, low, sizeof(low));
	if (!ret)
		ret = mem_write(mem, PC_EBDA, ebda, sizeof(ebda));
	if (!ret)
		ret = load_code(mem, LOWMEM_RESET_CODE, reset_code, sizeof(reset_code));
	if (!ret)
		ret = load_code(mem, LOWMEM_DUMMY_IRET, &iret, 1);
	if (!ret)
		ret = load_code(mem, LOWMEM_RESET_VECTOR, reset_vector, sizeof(reset_vector));
	return ret;
}
