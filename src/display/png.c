// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Pictures as files: PNG (by zlib) and PPM.
 * Source: PNG (ISO/IEC 15948:2004) §5.3 (chunks), §9.2 (filter types), §11.2; netpbm's ppm(5).
 * Threads: any.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/bytes.h"
#include "base/files.h"
#include "base/range.h"
#include "display/picture.h"

#define PNG_RGB 2
#define FILTER_UP 2

static void chunk(FILE *f, const char *type, const uint8_t *data, uint32_t len)
{
	uint8_t word[4];
	uLong crc = crc32(crc32(0, Z_NULL, 0), (const Bytef *)type, 4);

	st_be32(word, len);
	fwrite(word, 1, 4, f);
	fwrite(type, 1, 4, f);
	if (len) {
		crc = crc32(crc, data, len);
		fwrite(data, 1, len, f);
	}
	st_be32(word, (uint32_t)crc);
	fwrite(word, 1, 4, f);
}

static void rgb_line(uint8_t *out, const uint32_t *px, uint32_t width)
{
	for (uint32_t x = 0; x < width; x++) {
		*out++ = (uint8_t)(px[x] >> 16);
		*out++ = (uint8_t)(px[x] >> 8);
		*out++ = (uint8_t)px[x];
	}
}

/* Each line as what changed from the one above: screens repeat themselves. */
static int write_lines(FILE *f, z_stream *z, const struct display_picture *pic, uint8_t *buf)
{
	size_t len = (size_t)pic->width * 3;
	uint8_t *line = buf, *above = buf + len, *diff = above + len, *packed = diff + len + 1;
	int r;

	memset(above, 0, len);
	diff[0] = FILTER_UP;
	for (uint32_t y = 0; y < pic->height; y++) {
		bool last = y + 1 == pic->height;

		rgb_line(line, display_picture_line(pic, y), pic->width);
		for (size_t i = 0; i < len; i++)
			diff[1 + i] = (uint8_t)(line[i] - above[i]);
		memcpy(above, line, len);
		z->next_in = diff;
		z->avail_in = (uInt)len + 1;
		do {
			z->next_out = packed;
			z->avail_out = 65536;
			r = deflate(z, last ? Z_FINISH : Z_NO_FLUSH);
			if (r == Z_STREAM_ERROR)
				return -EIO;
			if (z->avail_out < 65536)
				chunk(f, "IDAT", packed, 65536 - z->avail_out);
		} while (!z->avail_out || (last && r != Z_STREAM_END));
	}
	return 0;
}

static int write_png(FILE *f, const struct display_picture *pic)
{
	static const uint8_t signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
	uint8_t head[13] = {0}, *buf = malloc((size_t)pic->width * 9 + 1 + 65536);
	z_stream z = {0};
	int r;

	if (!buf)
		return -ENOMEM;
	if (deflateInit(&z, 6) != Z_OK) {
		free(buf);
		return -ENOMEM;
	}
	st_be32(head, pic->width);
	st_be32(head + 4, pic->height);
	head[8] = 8;
	head[9] = PNG_RGB;
	fwrite(signature, 1, sizeof(signature), f);
	chunk(f, "IHDR", head, sizeof(head));
	r = write_lines(f, &z, pic, buf);
	chunk(f, "IEND", NULL, 0);
	deflateEnd(&z);
	free(buf);
	return r;
}

static int write_ppm(FILE *f, const struct display_picture *pic)
{
	uint8_t *line = malloc((size_t)pic->width * 3);

	if (!line)
		return -ENOMEM;
	fprintf(f, "P6\n%u %u\n255\n", pic->width, pic->height);
	for (uint32_t y = 0; y < pic->height; y++) {
		rgb_line(line, display_picture_line(pic, y), pic->width);
		fwrite(line, 3, pic->width, f);
	}
	free(line);
	return 0;
}

int display_picture_file(const struct display_picture *pic, enum display_format format,
			 uint8_t **out, size_t *len)
{
	char *p = NULL;
	FILE *f = open_memstream(&p, len);
	int r;

	if (!f)
		return -ENOMEM;
	r = format == DISPLAY_PPM ? write_ppm(f, pic) : write_png(f, pic);
	if (fclose(f) && !r)
		r = -ENOMEM;
	if (r) {
		free(p);
		return r;
	}
	*out = (uint8_t *)p;
	return 0;
}

int display_picture_save(const struct display_picture *pic, const char *path,
			 enum display_format format, struct lodge_err *err)
{
	size_t n = strlen(path);
	bool named_ppm = n >= 4 && !strcmp(path + n - 4, ".ppm");
	bool ppm = format == DISPLAY_BY_NAME ? named_ppm : format == DISPLAY_PPM;
	FILE *f = fopen(path, "wbe");
	struct stat st;
	bool regular;
	int r;

	if (!f)
		return err_set(err, -errno, "cannot write '%s': %s%s", path, strerror(errno),
			       file_denied_hint(errno));
	regular = !fstat(fileno(f), &st) && S_ISREG(st.st_mode); /* not a device, not a pipe */
	errno = 0;
	r = ppm ? write_ppm(f, pic) : write_png(f, pic);
	if (!r && ferror(f))
		r = errno ? -errno : -EIO;
	if (fclose(f) && !r)
		r = errno ? -errno : -EIO;
	if (!r)
		return 0;
	if (regular)
		unlink(path);
	return err_set(err, r, "cannot write '%s': %s", path, strerror(-r));
}
