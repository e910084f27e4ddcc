/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside of virtio-gpu: its parts and what they share.
 *
 *   virtio_gpu.c        queues, commands, configuration space, life
 *   virtio_gpu_res.c    resources: their pixels, the guest memory behind them, transfers
 *   virtio_gpu_show.c   what is shown: scanout, cursor
 *
 * The driver is hostile. What holds all the same:
 *
 *  G1  A command is copied once; the copy is checked and used.
 *  G2  Pixels, and the lists of guest memory behind them, are kept in `vram`, which is bounded and which no guest
 *      sees. So they are saved as memory is; what is in a list is checked each time it is used.
 *  G3  A piece of `vram` belongs to one resource at most (`used`); what is freed is zeros when it is used again.
 *  G4  A scanout lies inside its resource, which is there as long as the scanout is.
 *  G5  A kick does GPU_WORK_BYTES and what one command needs at most; then others get the VM lock.
 *
 * Source: virtio 1.2 §5.7. Private to src/devices/virtio. Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_VIRTIO_VIRTIO_GPU_INT_H
#define LODGE_DEVICES_VIRTIO_VIRTIO_GPU_INT_H

#include "devices/display/edid.h"
#include "devices/display/vga_unit.h"
#include "devices/virtio/virtio_gpu.h"

#define GPU_RESOURCES 1024u
#define GPU_SIZE_MAX 16384u    /* of a resource, in pixels */
#define GPU_ENTRIES_MAX 16384u /* pieces of guest memory behind one */
#define GPU_ENTRY_BYTES 16u
#define GPU_PIXEL_BYTES 4u /* in all formats */
/* What a kick may do, in bytes that are copied; other work counts as so many of them. */
#define GPU_WORK_BYTES (32ull << 20)
#define GPU_WORK_PAGE 16u    /* taking or giving back a page of `vram` */
#define GPU_WORK_PIECE 256u  /* finding a piece of guest memory */
#define GPU_WORK_CHECK 1024u /* checking one */

/* Answers (§5.7.6.7). */
enum gpu_answer {
	GPU_OK = 0x1100,
	GPU_OK_DISPLAY_INFO = 0x1101,
	GPU_OK_EDID = 0x1104,
	GPU_ERR_UNSPEC = 0x1200,
	GPU_ERR_OUT_OF_MEMORY = 0x1201,
	GPU_ERR_INVALID_SCANOUT = 0x1202,
	GPU_ERR_INVALID_RESOURCE = 0x1203,
	GPU_ERR_INVALID_PARAMETER = 0x1205,
};

struct gpu_rect {
	uint32_t x, y, width, height;
};

/* A picture of the guest's; saved state, all of it. */
struct gpu_resource {
	uint32_t id; /* 0: there is none here */
	uint16_t width, height;
	uint8_t format;	  /* §5.7.6.8 */
	uint32_t at;	  /* page of `vram` where its pixels begin, line after line */
	uint32_t list_at; /* page where its list of guest memory begins, */
	uint16_t entries; /* as many entries: 64 bits address, 32 bits length, 32 bits nothing */
};

struct virtio_gpu {
	struct virtio_dev v; /* first */
	struct vram vram;
	uint64_t *used; /* a bit a page of `vram` */
	uint64_t work;	/* of the kick that is under way */
	bool has_edid, has_vga;
	uint8_t edid[EDID_BYTES];
	uint32_t first_width, first_height; /* of the monitor after a reset */
	/* Lines of the picture that have changed; last below first: none. Not saved: all have, then. */
	struct display_lines dirty;
	struct display_source source;
	struct vga_unit vga; /* where has_vga */
	/* Saved from here on. */
	uint32_t events;	/* of configuration space, events_read */
	uint32_t width, height; /* of the monitor */
	uint8_t enabled;	/* the driver has set a scanout, since a reset */
	uint32_t shown;		/* the resource of the scanout; 0: none */
	struct gpu_rect scanout;
	uint8_t has_cursor;
	int32_t cursor_x, cursor_y;
	uint32_t hot_x, hot_y;
	uint32_t cursor[DISPLAY_CURSOR_SIZE * DISPLAY_CURSOR_SIZE]; /* 0xAARRGGBB */
	struct gpu_resource res[GPU_RESOURCES];
};

/* ---- virtio_gpu_res.c ---------------------------------------------------------------------------- */

struct gpu_resource *gpu_find(struct virtio_gpu *g, uint32_t id);
/* `line` of a resource's pixels, in its format. */
const uint8_t *gpu_line(const struct virtio_gpu *g, const struct gpu_resource *r, uint32_t line);
/* The commands. `r` is there; the answer's type. */
uint32_t gpu_create(struct virtio_gpu *g, uint32_t id, uint32_t format, uint32_t width,
		    uint32_t height);
void gpu_unref(struct virtio_gpu *g, struct gpu_resource *r);
/* The list is in the chain's readable bytes, from `off` on. */
uint32_t gpu_attach(struct virtio_gpu *g, struct gpu_resource *r, const struct vq_chain *c,
		    uint64_t off, uint32_t entries);
void gpu_detach(struct virtio_gpu *g, struct gpu_resource *r);
uint32_t gpu_transfer(struct virtio_gpu *g, const struct gpu_resource *r,
		      const struct gpu_rect *rect, uint64_t off);
bool gpu_rect_in(const struct gpu_rect *rect, uint32_t width, uint32_t height);
/* All resources go. */
void gpu_drop_all(struct virtio_gpu *g);
/* After res[] was loaded: -EINVAL, or the rest is derived. */
int gpu_resources_loaded(struct virtio_gpu *g) MUST_CHECK;

/* ---- virtio_gpu_show.c --------------------------------------------------------------------------- */

/* `n` pixels of a format as 0xAARRGGBB, as far as `mask` lets them through. */
void gpu_convert(uint32_t *out, const uint8_t *in, uint32_t n, uint8_t format, uint32_t mask);
bool gpu_format_ok(uint32_t format);
void gpu_show_init(struct virtio_gpu *g);
void gpu_show_reset(struct virtio_gpu *g);
void gpu_show_all(struct virtio_gpu *g);
/* Show a part of `r` (which lies inside it); NULL: nothing. */
void gpu_set_scanout(struct virtio_gpu *g, const struct gpu_resource *r,
		     const struct gpu_rect *rect);
/* What is in that part of `r` is to be seen. */
void gpu_flush(struct virtio_gpu *g, const struct gpu_resource *r, const struct gpu_rect *rect);
void gpu_move_cursor(struct virtio_gpu *g, int32_t x, int32_t y);
/* `r` NULL: none. One of another size than a cursor's is left out. */
void gpu_set_cursor(struct virtio_gpu *g, const struct gpu_resource *r, uint32_t hot_x,
		    uint32_t hot_y);
int gpu_show_loaded(struct virtio_gpu *g) MUST_CHECK;

/* ---- virtio_gpu.c -------------------------------------------------------------------------------- */

/* Whoever looks at the screen would like it that big. */
void gpu_resize(void *opaque, uint32_t width, uint32_t height);

#endif
