// SPDX-License-Identifier: GPL-2.0-or-later
/* BAR 2 of QEMU's display adapters. See bochs_bar.h. Threads: with the VM lock held. */
#include "devices/display/bochs_bar.h"

#include "base/bytes.h"
#include "base/range.h"

#define BAR_EDID_END 0x400u
#define BAR_VGA 0x400u
#define BAR_VGA_END 0x420u
#define BAR_DISPI 0x500u
#define BAR_DISPI_END (BAR_DISPI + 2 * (DISPI_VIDEO_MEMORY_64K + 1))
#define BAR_EXT_SIZE 0x600u
#define BAR_BYTE_ORDER 0x604u
#define BAR_EXT_END 0x608u

#define ORDER_BIG 0xbebebebeu
#define ORDER_LITTLE 0x1e1e1e1eu

static uint8_t read_byte(struct bochs_bar *b, unsigned off)
{
	if (off < BAR_EDID_END && b->has_edid)
		return off < EDID_BYTES ? b->edid[off] : 0;
	if (off >= BAR_VGA && off < BAR_VGA_END && b->port_read)
		return b->port_read(b->opaque, off - BAR_VGA);
	if (off >= BAR_DISPI && off < BAR_DISPI_END)
		return (uint8_t)(dispi_read(b->dispi, (off - BAR_DISPI) / 2) >> 8 * (off & 1));
	if (off >= BAR_EXT_SIZE && off < BAR_BYTE_ORDER)
		return off == BAR_EXT_SIZE ? BAR_EXT_END - BAR_EXT_SIZE : 0;
	if (off >= BAR_BYTE_ORDER && off < BAR_EXT_END)
		return (uint8_t)(b->dispi->big_endian ? ORDER_BIG : ORDER_LITTLE);
	return 0xff;
}

static uint64_t bar_read(void *opaque, uint64_t off, unsigned size)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < size; i++)
		v |= (uint64_t)read_byte(opaque, (unsigned)off + i) << 8 * i;
	return v;
}

/* Registers are written whole: a byte to an even address is a small number, one to an odd address nothing. */
static void write_dispi(struct bochs_bar *b, unsigned off, uint64_t val, unsigned size)
{
	for (unsigned i = 0; i < size; i += 2) {
		if (!((off + i) & 1) && off + i < BAR_DISPI_END) {
			bool clear = dispi_write(b->dispi, (off + i - BAR_DISPI) / 2,
						 (uint16_t)(val >> 8 * i));

			b->written(b->opaque, clear);
		}
	}
}

static void bar_write(void *opaque, uint64_t at, uint64_t val, unsigned size)
{
	struct bochs_bar *b = opaque;
	unsigned off = (unsigned)at;

	if (off >= BAR_VGA && off < BAR_VGA_END) {
		for (unsigned i = 0; b->port_write && i < size && off + i < BAR_VGA_END; i++)
			b->port_write(b->opaque, off + i - BAR_VGA, (uint8_t)(val >> 8 * i));
	} else if (off >= BAR_DISPI && off < BAR_DISPI_END) {
		write_dispi(b, off, val, size);
	} else if (off == BAR_BYTE_ORDER && size == 4) {
		if (val == ORDER_BIG || val == ORDER_LITTLE)
			b->dispi->big_endian = val == ORDER_BIG;
		b->written(b->opaque, false);
	}
}

const struct bus_ops bochs_bar_ops = {bar_read, bar_write, 1, 4};
