// SPDX-License-Identifier: GPL-2.0-or-later
/* The registers of Bochs' VBE extension. See dispi.h. Threads: with the VM lock held. */
#include "devices/display/dispi.h"

#include <errno.h>
#include <string.h>

#include "base/range.h"

#define ENABLE_BITS \
	(DISPI_ENABLED | DISPI_GETCAPS | DISPI_8BIT_DAC | DISPI_LFB_ENABLED | DISPI_NOCLEARMEM)

void dispi_reset(struct dispi *d)
{
	memset(d->reg, 0, sizeof(d->reg));
	d->reg[DISPI_ID] = DISPI_ID_LAST;
	d->big_endian = 0;
}

/* Bytes of `pixels` of a line; of a line of four planes, of all of them. */
static uint32_t line_bytes(unsigned bpp, uint32_t pixels)
{
	switch (bpp) {
	case 4:
		return pixels / 8 * 4;
	case 8:
		return pixels;
	case 15:
	case 16:
		return pixels * 2;
	case 24:
		return pixels * 3;
	case 32:
		return pixels * 4;
	default:
		return 0;
	}
}

bool dispi_mode(const struct dispi *d, struct dispi_mode *m)
{
	unsigned bpp = d->reg[DISPI_BPP] ? d->reg[DISPI_BPP] : 8;
	uint32_t mask = bpp == 4 ? ~7u : ~0u;
	uint32_t width = (uint32_t)min_u64(d->reg[DISPI_XRES], DISPI_XRES_MAX) & mask;
	uint32_t virt = (uint32_t)max_u64(d->reg[DISPI_VIRT_WIDTH], width) & mask;
	uint32_t stride = line_bytes(bpp, virt);
	uint64_t lines;

	if (!width || !stride)
		return false;
	lines = d->vram_bytes / stride;
	*m = (struct dispi_mode){
		.width = (uint16_t)width,
		.height = (uint16_t)min_u64(min_u64(d->reg[DISPI_YRES], DISPI_YRES_MAX), lines),
		.virt_width = (uint16_t)virt,
		.virt_height = (uint16_t)min_u64(lines, UINT16_MAX),
		.bpp = (uint8_t)bpp,
		.stride = stride,
	};
	if (!m->height)
		return false;
	m->x = (uint16_t)(min_u64(d->reg[DISPI_X_OFFSET], virt - width) & mask);
	m->y = (uint16_t)min_u64(d->reg[DISPI_Y_OFFSET], lines - m->height);
	m->start = (uint64_t)m->y * stride + line_bytes(bpp, m->x);
	return true;
}

uint64_t dispi_clear_bytes(const struct dispi *d)
{
	struct dispi_mode m;

	return dispi_mode(d, &m) ? (uint64_t)m.height * m.stride : 0;
}

static uint16_t read_caps(unsigned index)
{
	return index == DISPI_XRES   ? DISPI_XRES_MAX
	       : index == DISPI_YRES ? DISPI_YRES_MAX
				     : DISPI_BPP_MAX;
}

uint16_t dispi_read(const struct dispi *d, unsigned index)
{
	struct dispi_mode m;

	if (index == DISPI_VIDEO_MEMORY_64K)
		return (uint16_t)min_u64(d->vram_bytes / DISPI_BANK_BYTES, UINT16_MAX);
	if (index >= DISPI_REGS)
		return 0;
	if (index >= DISPI_XRES && index <= DISPI_BPP && d->reg[DISPI_ENABLE] & DISPI_GETCAPS)
		return read_caps(index);
	/* What would not fit reads as what there is instead: so drivers learn of it. */
	if (!dispi_mode(d, &m))
		return d->reg[index];
	switch (index) {
	case DISPI_VIRT_WIDTH:
		return m.virt_width;
	case DISPI_VIRT_HEIGHT:
		return m.virt_height;
	case DISPI_X_OFFSET:
		return m.x;
	case DISPI_Y_OFFSET:
		return m.y;
	default:
		return d->reg[index];
	}
}

static bool write_enable(struct dispi *d, uint16_t val)
{
	bool on = val & ~d->reg[DISPI_ENABLE] & DISPI_ENABLED;

	d->reg[DISPI_ENABLE] = val & ENABLE_BITS;
	d->reg[DISPI_BANK] = 0;
	if (!on)
		return false;
	d->reg[DISPI_VIRT_WIDTH] = d->reg[DISPI_XRES];
	d->reg[DISPI_X_OFFSET] = d->reg[DISPI_Y_OFFSET] = 0;
	return !(val & DISPI_NOCLEARMEM);
}

bool dispi_write(struct dispi *d, unsigned index, uint16_t val)
{
	switch (index) {
	case DISPI_ID:
		if (val >= DISPI_ID_FIRST && val <= DISPI_ID_LAST)
			d->reg[DISPI_ID] = val;
		return false;
	case DISPI_ENABLE:
		return write_enable(d, val);
	case DISPI_XRES:
	case DISPI_YRES:
	case DISPI_BPP:
	case DISPI_BANK:
	case DISPI_VIRT_WIDTH:
	case DISPI_X_OFFSET:
	case DISPI_Y_OFFSET:
		d->reg[index] = val;
		return false;
	default: /* VIRT_HEIGHT and VIDEO_MEMORY_64K follow from the others */
		return false;
	}
}

int dispi_check(const struct dispi *d)
{
	uint16_t id = d->reg[DISPI_ID];

	return id < DISPI_ID_FIRST || id > DISPI_ID_LAST || d->reg[DISPI_ENABLE] & ~ENABLE_BITS ||
			       d->reg[DISPI_VIRT_HEIGHT] || d->big_endian > 1
		       ? -EINVAL
		       : 0;
}
