// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Resources of virtio-gpu: pixels, the guest memory behind them, and copying from there. See virtio_gpu_int.h.
 * Source: virtio 1.2 §5.7.6.8. Threads: with the VM lock held.
 */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"
#include "devices/virtio/virtio_gpu_int.h"

/* ---- Pages of vram ------------------------------------------------------------------------------- */

static uint64_t pages_of(uint64_t bytes)
{
	return align_up(bytes, PAGE_BYTES) >> PAGE_BITS;
}

static bool is_used(const struct virtio_gpu *g, uint64_t page)
{
	return g->used[page / 64] >> page % 64 & 1;
}

static void mark(struct virtio_gpu *g, uint64_t page, uint64_t n, bool used)
{
	for (; n; n--, page++) {
		uint64_t bit = 1ull << page % 64;

		g->used[page / 64] = used ? g->used[page / 64] | bit : g->used[page / 64] & ~bit;
	}
}

/* The first `n` pages in a row that are free become used. */
static bool take_pages(struct virtio_gpu *g, uint64_t n, uint32_t *at)
{
	uint64_t pages = g->vram.bytes >> PAGE_BITS, run = 0;

	g->work += pages * GPU_WORK_PAGE;
	for (uint64_t i = 0; i < pages; i++) {
		if (!(i % 64) && g->used[i / 64] == UINT64_MAX) {
			run = 0;
			i += 63;
			continue;
		}
		run = is_used(g, i) ? 0 : run + 1;
		if (run < n)
			continue;
		*at = (uint32_t)(i + 1 - n);
		mark(g, *at, n, true);
		return true;
	}
	return false;
}

static void give_pages(struct virtio_gpu *g, uint32_t at, uint64_t n)
{
	g->work += n * GPU_WORK_PAGE;
	mark(g, at, n, false);
	mem_discard_backing(g->vram.mem, g->vram.off + ((uint64_t)at << PAGE_BITS), n << PAGE_BITS);
}

static uint8_t *page_host(const struct virtio_gpu *g, uint32_t page)
{
	return vram_host(&g->vram) + ((uint64_t)page << PAGE_BITS);
}

static uint64_t pixel_bytes(const struct gpu_resource *r)
{
	return (uint64_t)r->width * r->height * GPU_PIXEL_BYTES;
}

static uint64_t list_bytes(const struct gpu_resource *r)
{
	return (uint64_t)r->entries * GPU_ENTRY_BYTES;
}

/* ---- Resources ----------------------------------------------------------------------------------- */

struct gpu_resource *gpu_find(struct virtio_gpu *g, uint32_t id)
{
	for (unsigned i = 0; id && i < GPU_RESOURCES; i++) {
		if (g->res[i].id == id)
			return &g->res[i];
	}
	return NULL;
}

const uint8_t *gpu_line(const struct virtio_gpu *g, const struct gpu_resource *r, uint32_t line)
{
	return page_host(g, r->at) + (uint64_t)line * r->width * GPU_PIXEL_BYTES;
}

uint32_t gpu_create(struct virtio_gpu *g, uint32_t id, uint32_t format, uint32_t width,
		    uint32_t height)
{
	struct gpu_resource *r = NULL, new = {.id = id, .format = (uint8_t)format};

	if (!id || gpu_find(g, id))
		return GPU_ERR_INVALID_RESOURCE;
	if (!gpu_format_ok(format) || !width || !height || width > GPU_SIZE_MAX ||
	    height > GPU_SIZE_MAX)
		return GPU_ERR_INVALID_PARAMETER;
	for (unsigned i = 0; !r && i < GPU_RESOURCES; i++) {
		if (!g->res[i].id)
			r = &g->res[i];
	}
	new.width = (uint16_t)width;
	new.height = (uint16_t)height;
	if (!r || !take_pages(g, pages_of(pixel_bytes(&new)), &new.at))
		return GPU_ERR_OUT_OF_MEMORY;
	*r = new;
	return GPU_OK;
}

void gpu_unref(struct virtio_gpu *g, struct gpu_resource *r)
{
	if (g->shown == r->id)
		gpu_set_scanout(g, NULL, NULL);
	gpu_detach(g, r);
	give_pages(g, r->at, pages_of(pixel_bytes(r)));
	memset(r, 0, sizeof(*r));
}

void gpu_drop_all(struct virtio_gpu *g)
{
	for (unsigned i = 0; i < GPU_RESOURCES; i++) {
		if (g->res[i].id)
			gpu_unref(g, &g->res[i]);
	}
}

static bool claim(struct virtio_gpu *g, uint32_t at, uint64_t n)
{
	if (!range_ok(at, n, g->vram.bytes >> PAGE_BITS))
		return false;
	for (uint64_t i = at; i < at + n; i++) {
		if (is_used(g, i))
			return false;
		mark(g, i, 1, true);
	}
	return true;
}

static bool resource_ok(struct virtio_gpu *g, const struct gpu_resource *r)
{
	const struct gpu_resource none = {0};

	if (!r->id)
		return r->width == none.width && r->height == none.height && !r->format && !r->at &&
		       !r->list_at && !r->entries;
	return r->width && r->height && r->width <= GPU_SIZE_MAX && r->height <= GPU_SIZE_MAX &&
	       gpu_format_ok(r->format) && gpu_find(g, r->id) == r &&
	       r->entries <= GPU_ENTRIES_MAX && claim(g, r->at, pages_of(pixel_bytes(r))) &&
	       (r->entries || !r->list_at) && claim(g, r->list_at, pages_of(list_bytes(r)));
}

int gpu_resources_loaded(struct virtio_gpu *g)
{
	memset(g->used, 0, align_up(g->vram.bytes >> PAGE_BITS, 64) / 8);
	for (unsigned i = 0; i < GPU_RESOURCES; i++) {
		if (!resource_ok(g, &g->res[i]))
			return -EINVAL;
	}
	return 0;
}

/* ---- Guest memory -------------------------------------------------------------------------------- */

static bool is_memory(const struct mem *mem, gpa_t gpa, uint64_t len)
{
	uint64_t end;

	if (!len || !add_ok(gpa, len, &end))
		return false;
	while (gpa < end) {
		struct mem_range m = mem_lookup(mem, gpa);

		if (m.kind == MEM_MMIO)
			return false;
		gpa = m.gpa + m.len;
		if (gpa <= m.gpa)
			return false;
	}
	return true;
}

uint32_t gpu_attach(struct virtio_gpu *g, struct gpu_resource *r, const struct vq_chain *c,
		    uint64_t off, uint32_t entries)
{
	struct gpu_resource new = *r;
	uint8_t *list;

	if (r->entries)
		return GPU_ERR_UNSPEC;
	if (!entries || entries > GPU_ENTRIES_MAX)
		return GPU_ERR_INVALID_PARAMETER;
	new.entries = (uint16_t)entries;
	if (!take_pages(g, pages_of(list_bytes(&new)), &new.list_at))
		return GPU_ERR_OUT_OF_MEMORY;
	list = page_host(g, new.list_at);
	g->work += entries * (uint64_t)GPU_WORK_CHECK;
	if (vq_chain_read(c, off, list, list_bytes(&new)) != list_bytes(&new))
		goto bad;
	vram_wrote(&g->vram, (uint64_t) new.list_at << PAGE_BITS, list_bytes(&new));
	for (uint32_t i = 0; i < entries; i++, list += GPU_ENTRY_BYTES) {
		if (!is_memory(g->v.mem, ld_le64(list), ld_le32(list + 8)))
			goto bad;
	}
	*r = new;
	return GPU_OK;
bad:
	give_pages(g, new.list_at, pages_of(list_bytes(&new)));
	return GPU_ERR_INVALID_PARAMETER;
}

void gpu_detach(struct virtio_gpu *g, struct gpu_resource *r)
{
	if (r->entries)
		give_pages(g, r->list_at, pages_of(list_bytes(r)));
	r->entries = 0;
	r->list_at = 0;
}

/* ---- Transfers ----------------------------------------------------------------------------------- */

/* A way along a list. */
struct way {
	const struct mem *mem;
	const uint8_t *entry;
	unsigned left; /* entries, with this one */
	uint32_t done; /* of this one */
};

/* The next `len` bytes to `to`; NULL: they are left out. False: there are not so many, or they are no memory. */
static bool go(struct way *w, uint8_t *to, uint64_t len)
{
	while (len) {
		uint64_t n;

		if (!w->left)
			return false;
		n = min_u64(ld_le32(w->entry + 8) - w->done, len);
		if (to) {
			if (mem_read(w->mem, ld_le64(w->entry) + w->done, to, n))
				return false;
			to += n;
		}
		len -= n;
		w->done += (uint32_t)n;
		if (w->done == ld_le32(w->entry + 8)) {
			w->entry += GPU_ENTRY_BYTES;
			w->left--;
			w->done = 0;
		}
	}
	return true;
}

bool gpu_rect_in(const struct gpu_rect *rect, uint32_t width, uint32_t height)
{
	return range_ok(rect->x, rect->width, width) && range_ok(rect->y, rect->height, height);
}

uint32_t gpu_transfer(struct virtio_gpu *g, const struct gpu_resource *r,
		      const struct gpu_rect *rect, uint64_t off)
{
	uint64_t stride = (uint64_t)r->width * GPU_PIXEL_BYTES;
	uint64_t len = (uint64_t)rect->width * GPU_PIXEL_BYTES, lines = rect->height;
	uint64_t at = rect->y * stride + rect->x * (uint64_t)GPU_PIXEL_BYTES;
	struct way w = {.mem = g->v.mem, .entry = page_host(g, r->list_at), .left = r->entries};
	bool ok;

	if (!r->entries)
		return GPU_ERR_UNSPEC;
	if (!gpu_rect_in(rect, r->width, r->height))
		return GPU_ERR_INVALID_PARAMETER;
	if (!len || !lines)
		return GPU_OK;
	/* Lines that touch are one. */
	if (len == stride) {
		len *= lines;
		lines = 1;
	}
	g->work += len * lines + (lines + r->entries) * GPU_WORK_PIECE;
	ok = go(&w, NULL, off);
	for (uint64_t i = 0; ok && i < lines; i++) {
		ok = go(&w, page_host(g, r->at) + at + i * stride, len);
		if (ok && i + 1 < lines)
			ok = go(&w, NULL, stride - len);
	}
	vram_wrote(&g->vram, ((uint64_t)r->at << PAGE_BITS) + at, (lines - 1) * stride + len);
	return ok ? GPU_OK : GPU_ERR_INVALID_PARAMETER;
}
