// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * -device virtio-gpu-pci and virtio-vga. What a guest has copied to its resources is kept in memory behind the RAM,
 * which no guest sees. Threads: before threads start.
 */
#include <errno.h>

#include "base/props.h"
#include "base/range.h"
#include "devices/virtio/virtio_gpu.h"
#include "machine/board_virtio.h"

#define HOSTMEM_DEFAULT (256ull << 20)
#define HOSTMEM_MIN (1ull << 20)
#define HOSTMEM_MAX (4ull << 30)
#define VGA_MIB 8u

int board_gpu_bytes(struct props *p, uint64_t *bytes, struct lodge_err *err)
{
	uint64_t n = HOSTMEM_DEFAULT;
	int r = props_size(p, "max_hostmem", &n, err);

	if (r)
		return r;
	if (n < HOSTMEM_MIN || n > HOSTMEM_MAX)
		return err_set(err, -EINVAL,
			       "%s: max_hostmem= is %llu MiB at least and %llu at most",
			       props_what(p), HOSTMEM_MIN >> 20, HOSTMEM_MAX >> 20);
	*bytes = align_up(n, PAGE_BYTES);
	return 0;
}

int board_virtio_vga_bytes(struct props *p, uint64_t *bytes, struct lodge_err *err)
{
	uint64_t vga = 0, gpu = 0;
	int r = board_vga_bytes(p, VGA_MIB, &vga, err);

	if (!r)
		r = board_gpu_bytes(p, &gpu, err);
	if (!r)
		*bytes = vga + gpu;
	return r;
}

static void free_gpu(void *s)
{
	virtio_gpu_free(s);
}

static int read_gpu(struct board *b, struct props *p, struct virtio_gpu_config *cfg,
		    struct lodge_err *err)
{
	uint64_t outputs = 1;
	int r = props_u64(p, "max_outputs", UINT32_MAX, &outputs, err);

	if (r)
		return r;
	if (outputs != 1)
		return err_set(err, -EINVAL,
			       "%s: max_outputs=%llu: there is one screen; leave max_outputs out",
			       props_what(p), (unsigned long long)outputs);
	r = board_virtio_config(b, p, VIRTIO_GPU_QUEUES, 256, &cfg->virtio, err);
	if (!r && cfg->virtio.no_modern)
		r = err_set(err, -EINVAL, "%s: there is no legacy interface of it", props_what(p));
	if (!r)
		r = board_read_monitor(p, &cfg->no_edid, &cfg->width, &cfg->height, err);
	return r;
}

static int make(struct board *b, struct props *p, struct vga_config *vga, struct lodge_err *err)
{
	struct virtio_gpu_config cfg = {.vga = vga};
	struct board_video *v;
	struct virtio_gpu *g;
	uint64_t bytes;
	int r = board_gpu_bytes(p, &bytes, err);

	if (!r)
		r = read_gpu(b, p, &cfg, err);
	if (r)
		return r;
	v = board_video_new(b, bytes);
	if (!v)
		return err_set(err, -ENOMEM, "no memory for a display");
	cfg.vram = *board_video_vram(v);
	if (vga) {
		vga->no_edid = cfg.no_edid;
		vga->width = cfg.width;
		vga->height = cfg.height;
	}
	g = virtio_gpu_new(&cfg, err);
	if (!g)
		return -EINVAL;
	board_video_shows(v, virtio_gpu_source(g));
	r = board_adopt(b, props_get(p, "id"), virtio_gpu_device(g), g, free_gpu, err);
	if (r || !vga)
		return r;
	b->has_vga = true;
	return board_pci_rom(b, p, virtio_gpu_pci(g), "vgabios-virtio.bin", err);
}

static int make_gpu(struct board *b, struct props *p, struct lodge_err *err)
{
	return make(b, p, NULL, err);
}

const struct board_kind board_virtio_gpu = {
	.name = "virtio-gpu-pci",
	.alias = "virtio-gpu",
	.help = "screen for guests with a driver for it: "
		"xres=N,yres=N,edid=on|off,max_hostmem=SIZE",
	.make = make_gpu,
};

static int make_vga(struct board *b, struct props *p, struct lodge_err *err)
{
	struct vga_config vga = {0};
	struct board_video *v;
	uint64_t bytes;
	int r = board_vga_bytes(p, VGA_MIB, &bytes, err);

	if (r)
		return r;
	if (b->has_vga)
		return err_set(err, -EBUSY, "%s: there is a VGA already, and ports for one only",
			       props_what(p));
	v = board_video_new(b, bytes);
	if (!v)
		return err_set(err, -ENOMEM, "no memory for a display");
	vga.vram = *board_video_vram(v);
	return make(b, p, &vga, err);
}

const struct board_kind board_virtio_vga = {
	.name = "virtio-vga",
	.help = "the same, and a VGA until the driver runs (-vga virtio): "
		"vgamem_mb=N,romfile=FILE as well",
	.make = make_vga,
};
