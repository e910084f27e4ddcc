// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A pointer of the display adapter's, for test_screen.py: `drmcursor`, as root in a guest. 64 by 64 dots whose
 * alpha grows from row to row, first at 500, 300, then at -10, 20.
 * Source: Linux, include/uapi/drm/drm.h, drm_mode.h (of which only this is needed).
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

struct resources {
	uint64_t fbs, crtcs, connectors, encoders;
	uint32_t n_fbs, n_crtcs, n_connectors, n_encoders, min_w, max_w, min_h, max_h;
};
struct create_dumb {
	uint32_t height, width, bpp, flags, handle, pitch;
	uint64_t size;
};
struct map_dumb {
	uint32_t handle, pad;
	uint64_t offset;
};
struct cursor {
	uint32_t flags, crtc;
	int32_t x, y;
	uint32_t width, height, handle;
	int32_t hot_x, hot_y;
};

#define GET_RESOURCES _IOWR('d', 0xa0, struct resources)
#define CREATE_DUMB _IOWR('d', 0xb2, struct create_dumb)
#define MAP_DUMB _IOWR('d', 0xb3, struct map_dumb)
#define CURSOR2 _IOWR('d', 0xbb, struct cursor)
#define CURSOR_BO 1u
#define CURSOR_MOVE 2u

static int fail(const char *what)
{
	perror(what);
	return 1;
}

int main(void)
{
	int fd = open("/dev/dri/card0", O_RDWR);
	struct create_dumb dumb = {.width = 64, .height = 64, .bpp = 32};
	struct resources res = {0};
	struct map_dumb map = {0};
	struct cursor c = {0};
	uint32_t crtc = 0, *px;

	res.crtcs = (uintptr_t)&crtc;
	res.n_crtcs = 1;
	if (fd < 0 || ioctl(fd, GET_RESOURCES, &res) || !res.n_crtcs)
		return fail("card0");
	if (ioctl(fd, CREATE_DUMB, &dumb))
		return fail("CREATE_DUMB");
	map.handle = dumb.handle;
	if (ioctl(fd, MAP_DUMB, &map))
		return fail("MAP_DUMB");
	px = mmap(NULL, dumb.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)map.offset);
	if (px == MAP_FAILED)
		return fail("mmap");
	for (uint32_t i = 0; i < 64 * 64; i++) {
		uint32_t a = i / 64 * 4;

		px[i] = a << 24 | (a * (i % 64) / 64) << 16 | (a / 2) << 8 | a / 4;
	}
	c = (struct cursor){.flags = CURSOR_BO | CURSOR_MOVE,
			    .crtc = crtc,
			    .x = 500,
			    .y = 300,
			    .width = 64,
			    .height = 64,
			    .handle = dumb.handle};
	if (ioctl(fd, CURSOR2, &c))
		return fail("CURSOR2");
	c.flags = CURSOR_MOVE;
	c.x = -10;
	c.y = 20;
	if (ioctl(fd, CURSOR2, &c))
		return fail("CURSOR2");
	puts("there");
	fflush(stdout);
	pause();
	return 0;
}
