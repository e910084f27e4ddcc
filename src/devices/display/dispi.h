/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The "dispi" registers of Bochs' VBE extension: a picture of any size, without a VGA's timings.
 * Source: Bochs, "VBE Display API" (version 0xb0c5, with VIDEO_MEMORY_64K); what QEMU adds by its BAR 2 is
 * in bochs_bar.h. Register table: docs/devices/bochs_display.md.
 * Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_DISPLAY_DISPI_H
#define LODGE_DEVICES_DISPLAY_DISPI_H

#include <stdbool.h>
#include <stdint.h>

enum dispi_index {
	DISPI_ID,
	DISPI_XRES,
	DISPI_YRES,
	DISPI_BPP,
	DISPI_ENABLE,
	DISPI_BANK,
	DISPI_VIRT_WIDTH,
	DISPI_VIRT_HEIGHT,
	DISPI_X_OFFSET,
	DISPI_Y_OFFSET,
	DISPI_REGS, /* that are kept */
	DISPI_VIDEO_MEMORY_64K = DISPI_REGS,
};

#define DISPI_ID_FIRST 0xb0c0u
#define DISPI_ID_LAST 0xb0c5u

/* ENABLE */
#define DISPI_ENABLED 0x01u
#define DISPI_GETCAPS 0x02u /* XRES, YRES and BPP read as the most there is */
#define DISPI_8BIT_DAC 0x20u
#define DISPI_LFB_ENABLED 0x40u
#define DISPI_NOCLEARMEM 0x80u

#define DISPI_XRES_MAX 7680u
#define DISPI_YRES_MAX 4320u
#define DISPI_BPP_MAX 32u
#define DISPI_BANK_BYTES 0x10000u

struct dispi {
	uint16_t reg[DISPI_REGS]; /* as written; with big_endian all there is of state */
	uint8_t big_endian;	  /* state too: how a guest wants its pixels read, 1 or 0 */
	uint64_t vram_bytes;
};

/* What is to be shown. With bpp 4 the memory holds four planes, byte by byte in turn. */
struct dispi_mode {
	uint16_t width, height, virt_width, virt_height, x, y;
	uint8_t bpp;	 /* 4, 8, 15, 16, 24, 32 */
	uint32_t stride; /* bytes of memory from one line to the next */
	uint64_t start;	 /* byte of memory of the first pixel */
};

void dispi_reset(struct dispi *d);
uint16_t dispi_read(const struct dispi *d, unsigned index);
/* True when a mode was switched on that begins with cleared memory: dispi_clear_bytes() of it. */
bool dispi_write(struct dispi *d, unsigned index, uint16_t val);
uint64_t dispi_clear_bytes(const struct dispi *d);

static inline bool dispi_enabled(const struct dispi *d)
{
	return d->reg[DISPI_ENABLE] & DISPI_ENABLED;
}

/* The mode that the registers make, all of it inside the memory. False when they make none. */
bool dispi_mode(const struct dispi *d, struct dispi_mode *m);
/* After reg[] was loaded: -EINVAL if no write could have left it so. */
int dispi_check(const struct dispi *d);

#endif
