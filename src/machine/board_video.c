// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Display adapters: their memory behind the RAM, the windows in which guests see it, and -device.
 *
 * A window shows memory only where nothing else of the machine is: between RAM and I/O APIC below 4 GiB, beyond
 * the RAM above it, and the video adapter's 128 KiB. Elsewhere the guest gets what is there anyway.
 * Threads: with the VM lock held, or before threads start.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "devices/display/bochs_display.h"
#include "devices/display/edid.h"
#include "devices/display/vga.h"
#include "firmware/platform.h"
#include "machine/board_int.h"

#define VIDEO_BYTES_DEFAULT (16ull << 20)
#define BOCHS_BYTES_MIN (4ull << 20)
#define BOCHS_BYTES_MAX (256ull << 20)
#define LEGACY_END 0xc0000u

struct board_video {
	struct list link;
	struct board *b;
	struct vram vram;
	struct mem_range window[VRAM_WINDOWS]; /* len 0: shows nothing */
	const struct display_source *source;
};

/* ---- Windows ------------------------------------------------------------------------------------ */

static void map(struct board *b, const struct mem_range *w, enum mem_kind kind)
{
	if (mem_map(b->vm->mem, w->gpa, w->len, kind, w->ram_off))
		vm_request_end(b->vm, 1, "the memory map could not be changed: out of memory");
}

static bool within(const struct mem_range *w, gpa_t start, gpa_t end)
{
	return w->gpa >= start && range_ok(w->gpa - start, w->len, end - start);
}

static bool may_be_seen(const struct board *b, enum vram_window n, const struct mem_range *w)
{
	if (!w->len || (w->gpa | w->len) & ~PAGE_MASK)
		return false;
	if (n == VRAM_WINDOW_LEGACY)
		return within(w, PC_VGA_START, LEGACY_END);
	/* OVMF begins with BARs at 2 GiB, SeaBIOS at 3. */
	return within(w, b->ram_low, PC_PCI32_END) || within(w, PC_4G + b->ram_high, UINT64_MAX);
}

/* After a window was taken away: another one that lay under it is seen again. */
static void map_others(struct board *b)
{
	struct board_video *v;

	list_for_each_entry (v, &b->videos, link) {
		for (unsigned n = 0; n < VRAM_WINDOWS; n++) {
			if (v->window[n].len)
				map(b, &v->window[n], MEM_RAM);
		}
	}
}

static void show(void *opaque, enum vram_window n, gpa_t gpa, uint64_t at, uint64_t len)
{
	struct board_video *v = opaque;
	struct mem_range old = v->window[n], *now = &v->window[n];
	struct mem_range w = {.gpa = gpa, .len = len, .ram_off = v->vram.off + at, .kind = MEM_RAM};

	if (!may_be_seen(v->b, n, &w))
		w.len = 0;
	if (old.len == w.len && (!w.len || (old.gpa == w.gpa && old.ram_off == w.ram_off)))
		return;
	*now = w;
	/* Another bank at the same place takes one change of the map. */
	if (old.len && (old.len != w.len || old.gpa != w.gpa)) {
		map(v->b, &old, MEM_MMIO);
		map_others(v->b);
	} else if (w.len) {
		map(v->b, now, MEM_RAM);
	}
}

/* ---- Memory ------------------------------------------------------------------------------------- */

static int read_bochs_bytes(struct props *p, uint64_t *bytes, struct lodge_err *err)
{
	uint64_t n = VIDEO_BYTES_DEFAULT;
	int r = props_size(p, "vgamem", &n, err);

	if (r)
		return r;
	if (n < BOCHS_BYTES_MIN || n > BOCHS_BYTES_MAX)
		return err_set(err, -EINVAL, "%s: vgamem= is %llu MiB at least and %llu at most",
			       props_what(p), BOCHS_BYTES_MIN >> 20, BOCHS_BYTES_MAX >> 20);
	for (*bytes = BOCHS_BYTES_MIN; *bytes < n;)
		*bytes *= 2;
	return 0;
}

int board_vga_bytes(struct props *p, uint64_t usual_mib, uint64_t *bytes, struct lodge_err *err)
{
	uint64_t mib = usual_mib;
	int r = props_u64(p, "vgamem_mb", UINT32_MAX, &mib, err);

	if (r)
		return r;
	if (!mib || mib > VRAM_BYTES_MAX >> 20)
		return err_set(err, -EINVAL, "%s: vgamem_mb= is 1 at least and %llu at most",
			       props_what(p), VRAM_BYTES_MAX >> 20);
	for (*bytes = 1 << 20; *bytes < mib << 20;)
		*bytes *= 2;
	return 0;
}

static int read_vga_bytes(struct props *p, uint64_t *bytes, struct lodge_err *err)
{
	return board_vga_bytes(p, VIDEO_BYTES_DEFAULT >> 20, bytes, err);
}

/* How much memory each kind of adapter has. */
static const struct {
	const struct board_kind *kind;
	int (*bytes)(struct props *p, uint64_t *bytes, struct lodge_err *err);
} adapters[] = {
	{&board_bochs_display, read_bochs_bytes},
	{&board_vga, read_vga_bytes},
	{&board_virtio_gpu, board_gpu_bytes},
	{&board_virtio_vga, board_virtio_vga_bytes},
};

int board_video_bytes(const struct vm_config *cfg, uint64_t *bytes, struct lodge_err *err)
{
	*bytes = 0;
	for (unsigned i = 0; i < cfg->devices.n; i++) {
		struct props *p = cfg->devices.p[i];
		const char *name = props_get(p, "driver");

		for (size_t k = 0; name && k < ARRAY_SIZE(adapters); k++) {
			uint64_t n;
			int r;

			if (board_kind_called(name) != adapters[k].kind)
				continue;
			r = adapters[k].bytes(p, &n, err);
			if (r)
				return r;
			*bytes += n;
		}
	}
	return 0;
}

struct board_video *board_video_new(struct board *b, uint64_t bytes)
{
	struct board_video *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	v->b = b;
	v->vram = (struct vram){
		.mem = b->vm->mem,
		.off = mem_ram_bytes(b->vm->mem) + b->video_used,
		.bytes = bytes,
		.show = show,
		.opaque = v,
	};
	b->video_used += bytes;
	list_add_tail(&b->videos, &v->link);
	return v;
}

const struct vram *board_video_vram(const struct board_video *v)
{
	return &v->vram;
}

void board_video_shows(struct board_video *v, const struct display_source *source)
{
	v->source = source;
}

void board_free_videos(struct board *b)
{
	while (!list_empty(&b->videos)) {
		struct board_video *v = container_of(b->videos.next, struct board_video, link);

		list_del(&v->link);
		free(v);
	}
}

/* The first adapter is the one that is looked at. */
const struct display_source *board_display(const struct board *b)
{
	const struct board_video *v;

	list_for_each_entry (v, &b->videos, link) {
		if (v->source)
			return v->source;
	}
	return NULL;
}

/* ---- -device ------------------------------------------------------------------------------------ */

int board_read_monitor(struct props *p, bool *no_edid, unsigned *width, unsigned *height,
		       struct lodge_err *err)
{
	uint64_t x = 1280, y = 800;
	bool edid = true;
	int r = props_bool(p, "edid", &edid, err);

	if (!r)
		r = props_u64(p, "xres", EDID_SIZE_MAX, &x, err);
	if (!r)
		r = props_u64(p, "yres", EDID_SIZE_MAX, &y, err);
	if (!r && (x < EDID_SIZE_MIN || y < EDID_SIZE_MIN))
		r = err_set(err, -EINVAL, "%s: xres= and yres= are at least %u", props_what(p),
			    EDID_SIZE_MIN);
	*no_edid = !edid;
	*width = (unsigned)x;
	*height = (unsigned)y;
	return r;
}

static void free_bochs(void *s)
{
	bochs_display_free(s);
}

static int make_bochs(struct board *b, struct props *p, struct lodge_err *err)
{
	struct bochs_display_config cfg = {0};
	struct bochs_display *s;
	struct board_video *v;
	uint64_t bytes;
	int r = read_bochs_bytes(p, &bytes, err);

	if (!r)
		r = board_pci_place(b, p, &cfg.devfn, err);
	if (!r)
		r = board_read_monitor(p, &cfg.no_edid, &cfg.width, &cfg.height, err);
	if (r)
		return r;
	v = board_video_new(b, bytes);
	if (!v)
		return err_set(err, -ENOMEM, "no memory for a display");
	cfg.vram = v->vram;
	s = bochs_display_new(b->pci, &cfg, err);
	if (!s)
		return -EINVAL;
	v->source = bochs_display_source(s);
	return board_adopt(b, props_get(p, "id"), bochs_display_device(s), s, free_bochs, err);
}

const struct board_kind board_bochs_display = {
	.name = "bochs-display",
	.help = "linear frame buffer, no VGA: vgamem=SIZE,edid=on|off,xres=N,yres=N",
	.make = make_bochs,
};

static void free_vga(void *s)
{
	vga_free(s);
}

static int make_vga(struct board *b, struct props *p, struct lodge_err *err)
{
	struct vga_config cfg = {0};
	struct board_video *v;
	struct vga *s;
	uint64_t bytes;
	int r = read_vga_bytes(p, &bytes, err);

	if (!r)
		r = board_pci_place(b, p, &cfg.devfn, err);
	if (!r)
		r = board_read_monitor(p, &cfg.no_edid, &cfg.width, &cfg.height, err);
	if (r)
		return r;
	if (b->has_vga)
		return err_set(err, -EBUSY, "%s: there is a VGA already, and ports for one only",
			       props_what(p));
	v = board_video_new(b, bytes);
	if (!v)
		return err_set(err, -ENOMEM, "no memory for a display");
	cfg.vram = v->vram;
	s = vga_new(b->pci, &cfg, err);
	if (!s)
		return -EINVAL;
	b->has_vga = true;
	v->source = vga_source(s);
	r = board_adopt(b, props_get(p, "id"), vga_device(s), s, free_vga, err);
	return r ? r : board_pci_rom(b, p, vga_pci(s), "vgabios-stdvga.bin", err);
}

const struct board_kind board_vga = {
	.name = "VGA",
	.help = "VGA with Bochs VBE (-vga std): vgamem_mb=N,edid=on|off,xres=N,yres=N,romfile=FILE",
	.make = make_vga,
};
