// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * virtio-gpu: queues, commands, configuration space. See virtio_gpu.h and virtio_gpu_int.h.
 * Source: virtio 1.2 §5.7. Threads: with the VM lock held.
 * Saved state: version 1. No chain is ever out; pixels are memory (`vram`) and are saved as such.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/range.h"
#include "devices/virtio/virtio_gpu_int.h"

#define QUEUE_CONTROL 0u
#define QUEUE_CURSOR 1u
#define CONTROL_SIZE 256u
#define CURSOR_SIZE 16u

#define F_EDID VIRTIO_F_BIT(1)

/* Configuration space (§5.7.4). */
#define CFG_EVENTS_READ 0u
#define CFG_EVENTS_CLEAR 4u
#define CFG_SCANOUTS 8u
#define CFG_CAPSETS 12u
#define CFG_BYTES 16u
#define EVENT_DISPLAY 1u

/* struct virtio_gpu_ctrl_hdr (§5.7.6.7). */
#define HDR_TYPE 0u
#define HDR_FLAGS 4u
#define HDR_FENCE 8u
#define HDR_CTX 16u
#define HDR_BYTES 24u
#define FLAG_FENCE 1u

#define SCANOUTS_MAX 16u /* in answers */
#define EDID_ROOM 1024u
#define ANSWER_MAX (HDR_BYTES + 8 + EDID_ROOM)
#define CMD_MAX 56u

#define BAR_FB 0u

/* A command at work: `bytes` is the copy, with zeros behind what came. */
struct cmd {
	const struct vq_chain *c;
	uint8_t bytes[CMD_MAX];
	uint8_t answer[ANSWER_MAX]; /* zeros; the header is filled at the end */
	uint32_t answer_len;
};

static uint32_t field(const struct cmd *cmd, unsigned off)
{
	return ld_le32(cmd->bytes + off);
}

static struct gpu_rect rect_at(const struct cmd *cmd, unsigned off)
{
	return (struct gpu_rect){field(cmd, off), field(cmd, off + 4), field(cmd, off + 8),
				 field(cmd, off + 12)};
}

/* ---- Commands (§5.7.6.8) ------------------------------------------------------------------------- */

static uint32_t get_display_info(struct virtio_gpu *g, struct cmd *cmd)
{
	uint8_t *mode = cmd->answer + HDR_BYTES;

	st_le32(mode + 8, g->width);
	st_le32(mode + 12, g->height);
	st_le32(mode + 16, 1); /* enabled */
	cmd->answer_len = HDR_BYTES + SCANOUTS_MAX * 24;
	return GPU_OK_DISPLAY_INFO;
}

static uint32_t get_edid(struct virtio_gpu *g, struct cmd *cmd)
{
	if (!g->has_edid)
		return GPU_ERR_UNSPEC;
	if (field(cmd, 24))
		return GPU_ERR_INVALID_SCANOUT;
	st_le32(cmd->answer + HDR_BYTES, EDID_BYTES);
	memcpy(cmd->answer + HDR_BYTES + 8, g->edid, EDID_BYTES);
	cmd->answer_len = HDR_BYTES + 8 + EDID_ROOM;
	return GPU_OK_EDID;
}

static uint32_t create_2d(struct virtio_gpu *g, struct cmd *cmd)
{
	return gpu_create(g, field(cmd, 24), field(cmd, 28), field(cmd, 32), field(cmd, 36));
}

static uint32_t unref(struct virtio_gpu *g, struct cmd *cmd)
{
	struct gpu_resource *r = gpu_find(g, field(cmd, 24));

	if (!r)
		return GPU_ERR_INVALID_RESOURCE;
	gpu_unref(g, r);
	return GPU_OK;
}

static uint32_t set_scanout(struct virtio_gpu *g, struct cmd *cmd)
{
	struct gpu_rect rect = rect_at(cmd, 24);
	uint32_t id = field(cmd, 44);
	const struct gpu_resource *r = gpu_find(g, id);

	if (field(cmd, 40))
		return GPU_ERR_INVALID_SCANOUT;
	if (id && !r)
		return GPU_ERR_INVALID_RESOURCE;
	if (r && (!rect.width || !rect.height || rect.width > DISPLAY_SIZE_MAX ||
		  rect.height > DISPLAY_SIZE_MAX || !gpu_rect_in(&rect, r->width, r->height)))
		return GPU_ERR_INVALID_PARAMETER;
	gpu_set_scanout(g, r, &rect);
	return GPU_OK;
}

static uint32_t flush(struct virtio_gpu *g, struct cmd *cmd)
{
	struct gpu_rect rect = rect_at(cmd, 24);
	const struct gpu_resource *r = gpu_find(g, field(cmd, 40));

	if (!r)
		return GPU_ERR_INVALID_RESOURCE;
	if (!gpu_rect_in(&rect, r->width, r->height))
		return GPU_ERR_INVALID_PARAMETER;
	gpu_flush(g, r, &rect);
	return GPU_OK;
}

static uint32_t transfer(struct virtio_gpu *g, struct cmd *cmd)
{
	struct gpu_rect rect = rect_at(cmd, 24);
	const struct gpu_resource *r = gpu_find(g, field(cmd, 48));

	return r ? gpu_transfer(g, r, &rect, ld_le64(cmd->bytes + 40)) : GPU_ERR_INVALID_RESOURCE;
}

static uint32_t attach(struct virtio_gpu *g, struct cmd *cmd)
{
	struct gpu_resource *r = gpu_find(g, field(cmd, 24));

	return r ? gpu_attach(g, r, cmd->c, 32, field(cmd, 28)) : GPU_ERR_INVALID_RESOURCE;
}

static uint32_t detach(struct virtio_gpu *g, struct cmd *cmd)
{
	struct gpu_resource *r = gpu_find(g, field(cmd, 24));

	if (!r)
		return GPU_ERR_INVALID_RESOURCE;
	if (!r->entries)
		return GPU_ERR_UNSPEC;
	gpu_detach(g, r);
	return GPU_OK;
}

static uint32_t move_cursor(struct virtio_gpu *g, struct cmd *cmd)
{
	if (field(cmd, 24))
		return GPU_ERR_INVALID_SCANOUT;
	gpu_move_cursor(g, (int32_t)field(cmd, 28), (int32_t)field(cmd, 32));
	return GPU_OK;
}

static uint32_t update_cursor(struct virtio_gpu *g, struct cmd *cmd)
{
	uint32_t id = field(cmd, 40);
	const struct gpu_resource *r = gpu_find(g, id);

	if (field(cmd, 24))
		return GPU_ERR_INVALID_SCANOUT;
	if (id && !r)
		return GPU_ERR_INVALID_RESOURCE;
	if (r && (r->width != DISPLAY_CURSOR_SIZE || r->height != DISPLAY_CURSOR_SIZE))
		return GPU_ERR_INVALID_PARAMETER;
	gpu_set_cursor(g, r, field(cmd, 44), field(cmd, 48));
	return move_cursor(g, cmd);
}

static const struct command {
	uint32_t type, bytes; /* that must have come */
	uint32_t (*run)(struct virtio_gpu *g, struct cmd *cmd);
} commands[2][9] = {
	[QUEUE_CONTROL] =
		{
			{0x100, 24, get_display_info},
			{0x101, 40, create_2d},
			{0x102, 32, unref},
			{0x103, 48, set_scanout},
			{0x104, 48, flush},
			{0x105, 56, transfer},
			{0x106, 32, attach},
			{0x107, 32, detach},
			{0x10a, 32, get_edid},
		},
	[QUEUE_CURSOR] =
		{
			{0x300, 56, update_cursor},
			{0x301, 56, move_cursor},
		},
};

static uint32_t run(struct virtio_gpu *g, unsigned q, struct cmd *cmd, uint64_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands[q]); i++) {
		const struct command *k = &commands[q][i];

		if (!k->run || k->type != field(cmd, HDR_TYPE))
			continue;
		return len < k->bytes ? GPU_ERR_INVALID_PARAMETER : k->run(g, cmd);
	}
	return GPU_ERR_UNSPEC;
}

/* ---- Queues -------------------------------------------------------------------------------------- */

/* What was written of the answer. */
static uint64_t serve(struct virtio_gpu *g, unsigned q, struct vq_chain *c)
{
	struct cmd cmd = {.c = c, .answer_len = HDR_BYTES};
	uint64_t len = vq_chain_read(c, 0, cmd.bytes, sizeof(cmd.bytes));
	uint32_t answer = run(g, q, &cmd, len);

	if (answer >= GPU_ERR_UNSPEC)
		log_trace(LOG_GUEST_ERR, "%s: command 0x%x of %llu bytes: answer 0x%x\n",
			  g->v.pci.dev.cls->name, field(&cmd, HDR_TYPE), (unsigned long long)len,
			  answer);
	st_le32(cmd.answer + HDR_TYPE, answer);
	if (field(&cmd, HDR_FLAGS) & FLAG_FENCE) {
		st_le32(cmd.answer + HDR_FLAGS, FLAG_FENCE);
		memcpy(cmd.answer + HDR_FENCE, cmd.bytes + HDR_FENCE, 8);
		memcpy(cmd.answer + HDR_CTX, cmd.bytes + HDR_CTX, 4);
	}
	return vq_chain_write(c, 0, cmd.answer, cmd.answer_len);
}

static void kick(struct virtio_dev *v, unsigned q)
{
	struct virtio_gpu *g = container_of(v, struct virtio_gpu, v);
	unsigned n = 0;

	g->work = 0;
	while (n < VIRTIO_BATCH && g->work < GPU_WORK_BYTES) {
		struct vq_chain *c = virtio_pop(v, q);

		if (!c)
			break;
		virtqueue_push(c->vq, c, serve(g, q, c));
		n++;
	}
	if (n == VIRTIO_BATCH || g->work >= GPU_WORK_BYTES)
		virtio_again(v, q);
	virtio_notify(v, q);
}

/* ---- Configuration space ------------------------------------------------------------------------- */

static void config_written(struct virtio_dev *v, unsigned off, unsigned size)
{
	struct virtio_gpu *g = container_of(v, struct virtio_gpu, v);
	uint8_t *cfg = v->config.val;

	(void)off;
	(void)size;
	g->events &= ~ld_le32(cfg + CFG_EVENTS_CLEAR);
	st_le32(cfg + CFG_EVENTS_CLEAR, 0);
	st_le32(cfg + CFG_EVENTS_READ, g->events);
}

static void set_monitor(struct virtio_gpu *g, uint32_t width, uint32_t height)
{
	g->width = width;
	g->height = height;
	edid_make(g->edid, width, height);
}

void gpu_resize(void *opaque, uint32_t width, uint32_t height)
{
	struct virtio_gpu *g = opaque;

	/* Modes of Linux are whole characters wide. */
	width &= ~7u;
	if (width < EDID_SIZE_MIN || height < EDID_SIZE_MIN || width > EDID_SIZE_MAX ||
	    height > EDID_SIZE_MAX || (width == g->width && height == g->height))
		return;
	set_monitor(g, width, height);
	g->events |= EVENT_DISPLAY;
	st_le32(g->v.config.val + CFG_EVENTS_READ, g->events);
	virtio_config_changed(&g->v);
}

/* ---- Life ---------------------------------------------------------------------------------------- */

static void bar_moved(struct virtio_dev *v, unsigned bar, bool on, uint64_t base)
{
	struct virtio_gpu *g = container_of(v, struct virtio_gpu, v);

	if (bar == BAR_FB && g->has_vga)
		vga_unit_show(&g->vga, on, base);
}

static void reset(struct virtio_dev *v)
{
	struct virtio_gpu *g = container_of(v, struct virtio_gpu, v);

	gpu_drop_all(g);
	gpu_show_reset(g);
	g->events = 0;
	config_written(v, 0, 0);
}

static void device_reset(struct device *dev)
{
	struct virtio_gpu *g = container_of(dev, struct virtio_gpu, v.pci.dev);

	virtio_dev_reset(dev);
	set_monitor(g, g->first_width, g->first_height);
	if (g->has_vga)
		vga_unit_reset(&g->vga);
}

static int check_loaded(struct virtio_gpu *g)
{
	if (g->width < EDID_SIZE_MIN || g->width > EDID_SIZE_MAX || g->height < EDID_SIZE_MIN ||
	    g->height > EDID_SIZE_MAX || g->events & ~EVENT_DISPLAY)
		return -EINVAL;
	if (gpu_resources_loaded(g) || gpu_show_loaded(g))
		return -EINVAL;
	if (g->has_vga && vga_unit_check(&g->vga))
		return -EINVAL;
	return virtio_dev_loaded(&g->v) || g->v.vq[QUEUE_CONTROL].out || g->v.vq[QUEUE_CURSOR].out
		       ? -EINVAL
		       : 0;
}

static int post_load(struct device *dev)
{
	struct virtio_gpu *g = container_of(dev, struct virtio_gpu, v.pci.dev);

	if (check_loaded(g)) {
		/* None of it is believed, also when the device is freed now. */
		memset(g->res, 0, sizeof(g->res));
		(void)!gpu_resources_loaded(g);
		g->shown = 0;
		return -EINVAL;
	}
	set_monitor(g, g->width, g->height);
	config_written(&g->v, 0, 0);
	if (g->has_vga)
		vga_unit_loaded(&g->vga);
	return 0;
}

#define GPU_STATE_FIELDS                                                                           \
	VIRTIO_STATE_FIELDS(struct virtio_gpu, v), STATE_FIELD(struct virtio_gpu, events),         \
		STATE_FIELD(struct virtio_gpu, width), STATE_FIELD(struct virtio_gpu, height),     \
		STATE_FIELD(struct virtio_gpu, enabled), STATE_FIELD(struct virtio_gpu, shown),    \
		STATE_FIELD(struct virtio_gpu, scanout.x),                                         \
		STATE_FIELD(struct virtio_gpu, scanout.y),                                         \
		STATE_FIELD(struct virtio_gpu, scanout.width),                                     \
		STATE_FIELD(struct virtio_gpu, scanout.height),                                    \
		STATE_FIELD(struct virtio_gpu, has_cursor),                                        \
		STATE_FIELD(struct virtio_gpu, cursor_x),                                          \
		STATE_FIELD(struct virtio_gpu, cursor_y), STATE_FIELD(struct virtio_gpu, hot_x),   \
		STATE_FIELD(struct virtio_gpu, hot_y), STATE_ARRAY(struct virtio_gpu, cursor),     \
		STATE_EACH(struct virtio_gpu, res, id), STATE_EACH(struct virtio_gpu, res, width), \
		STATE_EACH(struct virtio_gpu, res, height),                                        \
		STATE_EACH(struct virtio_gpu, res, format),                                        \
		STATE_EACH(struct virtio_gpu, res, at),                                            \
		STATE_EACH(struct virtio_gpu, res, list_at),                                       \
		STATE_EACH(struct virtio_gpu, res, entries)

static const struct state_field gpu_fields[] = {GPU_STATE_FIELDS, STATE_END};
static const struct state_field vga_fields[] = {
	GPU_STATE_FIELDS, VGA_UNIT_STATE_FIELDS(struct virtio_gpu, vga), STATE_END};

static const struct device_class gpu_class = {
	.name = "virtio-gpu",
	.version = 1,
	.reset = device_reset,
	.fields = gpu_fields,
	.post_load = post_load,
};
static const struct device_class vga_class = {
	.name = "virtio-vga",
	.version = 1,
	.reset = device_reset,
	.fields = vga_fields,
	.post_load = post_load,
};

#define OPS(class)                                                                                 \
	{                                                                                          \
		.id = VIRTIO_ID_GPU, .pci_class = (class), .config_size = CFG_BYTES, .kick = kick, \
		.config_written = config_written, .reset = reset, .bar_moved = bar_moved,          \
	}
static const struct virtio_ops gpu_ops = OPS(0x0380), vga_ops = OPS(0x0300);

static int init(struct virtio_gpu *g, const struct virtio_gpu_config *cfg, struct lodge_err *err)
{
	struct virtio_config vc = cfg->virtio;
	int r;

	vc.queue_size = CONTROL_SIZE;
	if (g->has_edid)
		vc.features |= F_EDID;
	if (cfg->vga) {
		r = vga_unit_init(&g->vga, pci_bus_space(vc.bus), cfg->vga);
		if (r)
			return err_set(err, r, "no memory for a display");
		vc.front = &bochs_bar_ops;
		vc.front_opaque = &g->vga.bar;
	}
	r = virtio_dev_init(&g->v, &vc, cfg->vga ? &vga_class : &gpu_class,
			    cfg->vga ? &vga_ops : &gpu_ops, err);
	if (r) {
		if (cfg->vga)
			vga_unit_free(&g->vga);
		return r;
	}
	g->has_vga = cfg->vga;
	virtio_set_queue_size(&g->v, QUEUE_CURSOR, CURSOR_SIZE);
	virtio_config_reg(&g->v, "events_read", CFG_EVENTS_READ, 4, 0, 0);
	virtio_config_reg(&g->v, "events_clear", CFG_EVENTS_CLEAR, 4, 0, ~0u);
	virtio_config_reg(&g->v, "num_scanouts", CFG_SCANOUTS, 4, 1, 0);
	virtio_config_reg(&g->v, "num_capsets", CFG_CAPSETS, 4, 0, 0);
	gpu_show_init(g);
	if (cfg->vga && pci_dev_add_bar(&g->v.pci, BAR_FB, PCI_BAR_MEM32, true, g->vga.vram.bytes,
					NULL, NULL, "virtio-vga")) {
		virtio_dev_free(&g->v);
		vga_unit_free(&g->vga);
		return err_set(err, -ENOMEM, "no memory for a display");
	}
	return 0;
}

struct virtio_gpu *virtio_gpu_new(const struct virtio_gpu_config *cfg, struct lodge_err *err)
{
	struct virtio_gpu *g = calloc(1, sizeof(*g));
	uint64_t words = ((cfg->vram.bytes >> PAGE_BITS) + 63) / 64;

	if (g)
		g->used = calloc(words, sizeof(*g->used));
	if (!g || !g->used) {
		free(g);
		err_set(err, -ENOMEM, "no memory for a display");
		return NULL;
	}
	g->vram = cfg->vram;
	g->has_edid = !cfg->no_edid;
	g->first_width = cfg->width;
	g->first_height = cfg->height;
	set_monitor(g, cfg->width, cfg->height);
	if (init(g, cfg, err)) {
		free(g->used);
		free(g);
		return NULL;
	}
	return g;
}

void virtio_gpu_free(struct virtio_gpu *g)
{
	if (!g)
		return;
	virtio_dev_free(&g->v);
	if (g->has_vga)
		vga_unit_free(&g->vga);
	free(g->used);
	free(g);
}

struct device *virtio_gpu_device(struct virtio_gpu *g)
{
	return &g->v.pci.dev;
}

struct pci_dev *virtio_gpu_pci(struct virtio_gpu *g)
{
	return &g->v.pci;
}

const struct display_source *virtio_gpu_source(struct virtio_gpu *g)
{
	return &g->source;
}
