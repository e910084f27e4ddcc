// SPDX-License-Identifier: GPL-2.0-or-later
/* An EDID of one block. See edid.h. Threads: any. */
#include "devices/display/edid.h"

#include <string.h>

#include "base/bytes.h"
#include "base/range.h"

#define DPI 100u
#define REFRESH_HZ 60u
/* CVT reduced blanking, version 1 (§3.4.2), in pixels and lines. */
#define H_BLANK 160u
#define H_FRONT 48u
#define H_SYNC 32u
#define V_FRONT 3u
#define V_SYNC 8u /* 4:3 to 16:10 have 4 to 7; 8 is for what has no name */
#define V_BLANK_US 460u

static const struct {
	uint16_t width, height;
	uint8_t byte, bit; /* of the established timings; 0: a standard timing */
} sizes[] = {
	{640, 480, 35, 5},  {800, 600, 35, 0},	{1024, 768, 36, 3}, {1280, 800, 0, 0},
	{1280, 1024, 0, 0}, {1440, 900, 0, 0},	{1600, 900, 0, 0},  {1680, 1050, 0, 0},
	{1600, 1200, 0, 0}, {1920, 1080, 0, 0}, {1920, 1200, 0, 0},
};

static unsigned mm(unsigned pixels)
{
	return pixels * 254 / 10 / DPI;
}

/* §3.9: both bytes of a standard timing. Width in steps of 8 from 256; one of four shapes. */
static void standard_timing(uint8_t *p, unsigned width, unsigned height)
{
	static const struct {
		uint8_t w, h;
	} shapes[] = {{16, 10}, {4, 3}, {5, 4}, {16, 9}};

	for (unsigned i = 0; i < ARRAY_SIZE(shapes); i++) {
		if (width * shapes[i].h != height * shapes[i].w)
			continue;
		p[0] = (uint8_t)(width / 8 - 31);
		p[1] = (uint8_t)(i << 6 | (REFRESH_HZ - 60));
	}
}

static void timings(uint8_t *e, unsigned width, unsigned height)
{
	uint8_t *p = e + 38;

	memset(p, 0x01, 16); /* unused ones */
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		if (sizes[i].byte) {
			e[sizes[i].byte] |= (uint8_t)(1u << sizes[i].bit);
		} else if ((sizes[i].width != width || sizes[i].height != height) && p < e + 54) {
			standard_timing(p, sizes[i].width, sizes[i].height);
			p += 2;
		}
	}
}

/* §3.10.2: 18 bytes. */
static void detailed_timing(uint8_t *p, unsigned width, unsigned height)
{
	unsigned line_ns = (1000000000u / REFRESH_HZ - V_BLANK_US * 1000) / height;
	unsigned v_blank = (unsigned)max_u64(V_BLANK_US * 1000 / line_ns + 1, V_FRONT + V_SYNC + 6);
	uint64_t hz = (uint64_t)(width + H_BLANK) * (height + v_blank) * REFRESH_HZ;
	unsigned mm_w = mm(width), mm_h = mm(height);

	st_le16(p, (uint16_t)min_u64(hz / 10000, UINT16_MAX));
	p[2] = (uint8_t)width;
	p[3] = (uint8_t)H_BLANK;
	p[4] = (uint8_t)(width >> 8 << 4 | H_BLANK >> 8);
	p[5] = (uint8_t)height;
	p[6] = (uint8_t)v_blank;
	p[7] = (uint8_t)(height >> 8 << 4 | v_blank >> 8);
	p[8] = H_FRONT;
	p[9] = H_SYNC;
	p[10] = V_FRONT << 4 | V_SYNC;
	p[11] = 0;
	p[12] = (uint8_t)mm_w;
	p[13] = (uint8_t)mm_h;
	p[14] = (uint8_t)(mm_w >> 8 << 4 | mm_h >> 8);
	p[17] = 0x1a; /* digital, separate syncs: horizontal positive, vertical negative */
}

/* §3.10.3: a descriptor of text, ended by a line feed and filled with spaces. */
static void text_descriptor(uint8_t *p, uint8_t tag, const char *text)
{
	size_t n = strlen(text);

	p[3] = tag;
	memset(p + 5, ' ', 13);
	memcpy(p + 5, text, n);
	p[5 + n] = '\n';
}

/* §3.10.3.3: what the monitor can follow: 50 to 125 Hz, 30 to 255 kHz, 2550 MHz. */
static void range_descriptor(uint8_t *p)
{
	static const uint8_t range[18] = {0,   0,    0,	   0xfd, 0,   50,  125, 30,  255,
					  255, 0x01, '\n', ' ',	 ' ', ' ', ' ', ' ', ' '};

	memcpy(p, range, sizeof(range));
}

void edid_make(uint8_t e[EDID_BYTES], unsigned width, unsigned height)
{
	static const uint8_t header[8] = {0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0};
	/* §3.7: sRGB's primaries and white. */
	static const uint8_t colours[10] = {0xee, 0x91, 0xa3, 0x54, 0x4c,
					    0x99, 0x26, 0x0f, 0x50, 0x54};
	uint8_t sum = 0;

	memset(e, 0, EDID_BYTES);
	memcpy(e, header, sizeof(header));
	st_be16(e + 8, ('L' - '@') << 10 | ('D' - '@') << 5 | ('G' - '@')); /* maker */
	st_le16(e + 10, 1);						    /* its product */
	e[16] = 0xff;							    /* model year */
	e[17] = 2024 - 1990;
	e[18] = 1;
	e[19] = 4;
	e[20] = 0xa5; /* digital, 8 bits a colour, DisplayPort */
	e[21] = (uint8_t)min_u64(mm(width) / 10, 255);
	e[22] = (uint8_t)min_u64(mm(height) / 10, 255);
	e[23] = 120;  /* gamma 2.2 */
	e[24] = 0x06; /* RGB 4:4:4, sRGB, and the first timing is the preferred one */
	memcpy(e + 25, colours, sizeof(colours));
	timings(e, width, height);
	detailed_timing(e + 54, width, height);
	range_descriptor(e + 72);
	text_descriptor(e + 90, 0xfc, "Lodge");
	e[108 + 3] = 0x10; /* unused */
	for (unsigned i = 0; i < EDID_BYTES - 1; i++)
		sum = (uint8_t)(sum + e[i]);
	e[127] = (uint8_t)-sum;
}
