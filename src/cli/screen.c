// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * `lodge screenshot`, and pictures for `lodge wait`. Threads: main only.
 * Source: libpng's manual, "simplified API"; netpbm's ppm(5).
 */
#include "cli/screen.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/range.h"
#include "cli/cli.h"

#define FILE_MAX (512u << 20)

/* ---- From the machine --------------------------------------------------------------------------- */

static int digit(char c)
{
	return c >= 'A' && c <= 'Z'   ? c - 'A'
	       : c >= 'a' && c <= 'z' ? c - 'a' + 26
	       : c >= '0' && c <= '9' ? c - '0' + 52
	       : c == '+'	      ? 62
	       : c == '/'	      ? 63
				      : -1;
}

/* Bytes written, at most len / 4 * 3. */
static size_t from_base64(const char *text, size_t len, uint8_t *out)
{
	uint32_t v = 0;
	unsigned bits = 0;
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		int d = digit(text[i]);

		if (d < 0)
			break;
		v = v << 6 | (uint32_t)d;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			out[n++] = (uint8_t)(v >> bits);
		}
	}
	return n;
}

/* One piece more; the size of the whole in *size. */
static int fetch_piece(struct ctl *ctl, bool png, uint8_t **out, size_t *len, size_t *size,
		       struct lodge_err *err)
{
	json_t *args =
		json_pack("{s:s, s:I}", "format", png ? "png" : "ppm", "offset", (json_int_t)*len);
	json_t *ret = client_call(ctl->client, "x-screen-picture", args, CLIENT_CALL_MS, err);
	json_t *data = json_object_get(ret, "data");
	size_t chars = json_string_length(data), n;
	uint8_t *more = ret ? realloc(*out, *len + chars + 1) : NULL;

	if (!more) {
		json_decref(ret);
		return ret ? err_set(err, -ENOMEM, "no memory for the picture") : -EIO;
	}
	*out = more;
	n = from_base64(json_string_value(data) ? json_string_value(data) : "", chars, more + *len);
	*len += n;
	*size = (size_t)json_integer_value(json_object_get(ret, "size"));
	json_decref(ret);
	return n && *len <= FILE_MAX ? 0 : err_set(err, -EPROTO, "the machine sends no picture");
}

int screen_fetch(struct ctl *ctl, bool png, uint8_t **out, size_t *len, struct lodge_err *err)
{
	size_t size = 1;
	int r = 0;

	*out = NULL;
	for (*len = 0; !r && *len < size;)
		r = fetch_piece(ctl, png, out, len, &size, err);
	if (r) {
		free(*out);
		*out = NULL;
	}
	return r;
}

/* ---- Pictures as files -------------------------------------------------------------------------- */

/* A number of a PPM's head, with what is before it. */
static bool ppm_number(const uint8_t *p, size_t len, size_t *at, uint32_t *out)
{
	*out = 0;
	while (*at < len && (p[*at] == ' ' || p[*at] == '\n' || p[*at] == '\t' || p[*at] == '\r'))
		(*at)++;
	if (*at >= len || p[*at] < '0' || p[*at] > '9')
		return false;
	while (*at < len && p[*at] >= '0' && p[*at] <= '9' && *out < 100000)
		*out = *out * 10 + (uint32_t)(p[(*at)++] - '0');
	return *at < len;
}

static int fill(struct display_picture *pic, const uint8_t *rgb)
{
	for (uint64_t i = 0; i < (uint64_t)pic->width * pic->height; i++)
		pic->px[i] =
			(uint32_t)rgb[3 * i] << 16 | (uint32_t)rgb[3 * i + 1] << 8 | rgb[3 * i + 2];
	return 0;
}

static int from_ppm(struct display_picture *pic, const uint8_t *p, size_t len,
		    struct lodge_err *err)
{
	uint32_t width, height, most;
	size_t at = 2;

	if (!ppm_number(p, len, &at, &width) || !ppm_number(p, len, &at, &height) ||
	    !ppm_number(p, len, &at, &most) || most != 255 ||
	    !range_ok(at + 1, (uint64_t)width * height * 3, len) ||
	    display_picture_size(pic, width, height))
		return err_set(err, -EINVAL, "it is no PPM with three bytes a dot");
	return fill(pic, p + at + 1);
}

struct png_api {
	int (*begin)(png_imagep image, png_const_voidp memory, size_t size);
	int (*finish)(png_imagep image, png_const_colorp background, void *buffer,
		      png_int_32 row_stride, void *colormap);
	void (*free)(png_imagep image);
};

/* Only those who read pictures load the library. */
static int load_png(struct png_api *api, struct lodge_err *err)
{
	void *lib = dlopen("libpng16.so.16", RTLD_NOW | RTLD_LOCAL);

	if (lib) {
		*(void **)&api->begin = dlsym(lib, "png_image_begin_read_from_memory");
		*(void **)&api->finish = dlsym(lib, "png_image_finish_read");
		*(void **)&api->free = dlsym(lib, "png_image_free");
	}
	if (!lib || !api->begin || !api->finish || !api->free)
		return err_set(err, -ENOENT,
			       "PNG files are read by libpng, which is not here: install Debian's "
			       "package libpng16-16, or use PPM files");
	return 0;
}

static int from_png(struct display_picture *pic, const uint8_t *p, size_t len,
		    struct lodge_err *err)
{
	png_image image = {.version = PNG_IMAGE_VERSION};
	struct png_api api = {0};
	uint8_t *rgb;
	int r = load_png(&api, err);

	if (r)
		return r;
	if (!api.begin(&image, p, len))
		return err_set(err, -EINVAL, "%s", image.message);
	image.format = PNG_FORMAT_RGB;
	if (display_picture_size(pic, image.width, image.height)) {
		api.free(&image);
		return err_set(err, -EINVAL, "it has %u by %u dots", image.width, image.height);
	}
	rgb = malloc((size_t)image.width * image.height * 3);
	r = rgb && api.finish(&image, NULL, rgb, 0, NULL) ? fill(pic, rgb) : -EINVAL;
	free(rgb);
	return r ? err_set(err, r, "%s", image.message) : 0;
}

static int from_bytes(struct display_picture *pic, const uint8_t *p, size_t len,
		      struct lodge_err *err)
{
	if (len > 8 && !memcmp(p, "\x89PNG", 4))
		return from_png(pic, p, len, err);
	if (len > 8 && p[0] == 'P' && p[1] == '6')
		return from_ppm(pic, p, len, err);
	return err_set(err, -EINVAL, "it is neither PNG nor PPM (P6)");
}

int screen_look(struct ctl *ctl, struct display_picture *pic, struct lodge_err *err)
{
	uint8_t *p;
	size_t len;
	int r = screen_fetch(ctl, false, &p, &len, err);

	if (r)
		return r;
	r = from_bytes(pic, p, len, err);
	free(p);
	return r;
}

int screen_read_file(struct display_picture *pic, const char *path, struct lodge_err *err)
{
	FILE *f = fopen(path, "rbe");
	struct lodge_err why = {""};
	uint8_t *p = NULL;
	long len = -1;
	int r;

	if (!f)
		return err_set(err, -errno, "cannot read '%s': %s", path, strerror(errno));
	if (!fseek(f, 0, SEEK_END))
		len = ftell(f);
	rewind(f);
	if (len > 0 && len < FILE_MAX)
		p = malloc((size_t)len);
	r = p && fread(p, 1, (size_t)len, f) == (size_t)len
		    ? from_bytes(pic, p, (size_t)len, &why)
		    : err_set(&why, -EINVAL, "it is no picture");
	free(p);
	fclose(f);
	return r ? err_set(err, r, "cannot read '%s': %s", path, why.msg) : 0;
}

static bool is_at(const struct display_picture *whole, const struct display_picture *part,
		  uint32_t x, uint32_t y)
{
	for (uint32_t i = 0; i < part->height; i++) {
		if (memcmp(display_picture_line(whole, y + i) + x, display_picture_line(part, i),
			   (size_t)part->width * sizeof(*part->px)) != 0)
			return false;
	}
	return true;
}

bool screen_contains(const struct display_picture *whole, const struct display_picture *part)
{
	if (part->width > whole->width || part->height > whole->height)
		return false;
	for (uint32_t y = 0; y <= whole->height - part->height; y++) {
		for (uint32_t x = 0; x <= whole->width - part->width; x++) {
			if (display_picture_line(whole, y)[x] == part->px[0] &&
			    is_at(whole, part, x, y))
				return true;
		}
	}
	return false;
}

/* ---- lodge screenshot ---------------------------------------------------------------------------- */

static int write_out(const char *path, const uint8_t *p, size_t len)
{
	FILE *f = strcmp(path, "-") != 0 ? fopen(path, "wbe") : stdout;
	int r;

	if (!f)
		return cli_error("cannot write '%s': %s", path, strerror(errno));
	r = fwrite(p, 1, len, f) != len;
	r |= f == stdout ? fflush(f) : fclose(f);
	return r ? cli_error("cannot write '%s': %s", path, strerror(errno)) : 0;
}

int cli_screenshot(int argc, char **argv)
{
	struct lodge_err err = {""};
	struct ctl ctl;
	uint8_t *p;
	size_t len, n;
	bool ppm;
	int r;

	if (argc != 3)
		return cli_error("screenshot: write the machine and the file: lodge screenshot "
				 "NAME FILE.png; 'lodge ps' lists machines");
	n = strlen(argv[2]);
	ppm = n >= 4 && !strcmp(argv[2] + n - 4, ".ppm");
	if (ctl_open(&ctl, argv[1]))
		return 1;
	r = screen_fetch(&ctl, !ppm, &p, &len, &err) ? cli_error("%s: %s", ctl.who, err.msg)
						     : write_out(argv[2], p, len);
	if (!err.msg[0])
		free(p);
	ctl_close(&ctl);
	return r;
}

void cli_screenshot_help(void)
{
	puts("usage: lodge screenshot NAME FILE\n"
	     "\n"
	     "Write what a running machine's screen shows to a file: PNG, or PPM where the name\n"
	     "ends in .ppm. '-' is standard output. The machine needs a display adapter\n"
	     "(-vga std); nobody has to look at it.");
}
