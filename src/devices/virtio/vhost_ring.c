// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The ring between a device and its vhost-user back end. See vhost_ring.h, whose rules R1 to R4 are named here.
 *
 * A chain's slot is its head in the guest's ring, so slots need no list: heads that are out differ (Q6). Each
 * slot has a table for an indirect descriptor, with room for the longest chain.
 * Source: virtio 1.2 §2.7. Threads: with the VM lock held.
 */
#include "devices/virtio/vhost_ring.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"

#define DESC_NEXT 1u
#define DESC_WRITE 2u
#define DESC_INDIRECT 4u
#define RING_IDX 2u
#define RING_ENTRIES 4u
#define TABLE_BYTES ((uint64_t)VQ_SEGS_MAX * VQ_DESC_BYTES)

static uint64_t pages(uint64_t bytes)
{
	return align_up(bytes, PAGE_BYTES);
}

uint64_t vhost_ring_bytes(uint16_t size)
{
	return pages(vq_desc_bytes(size)) + pages(vq_avail_bytes(size)) +
	       pages(vq_used_bytes(size)) + size * TABLE_BYTES;
}

void vhost_ring_init(struct vhost_ring *r, struct mem *mem, uint16_t size, uint8_t *base,
		     uint64_t address)
{
	memset(r, 0, sizeof(*r));
	r->mem = mem;
	r->size = size;
	r->base = base;
	r->address = address;
	r->avail_at = (uint32_t)pages(vq_desc_bytes(size));
	r->used_at = r->avail_at + (uint32_t)pages(vq_avail_bytes(size));
	r->tables_at = r->used_at + (uint32_t)pages(vq_used_bytes(size));
}

static void put_desc(uint8_t *p, uint64_t addr, uint64_t len, unsigned flags, unsigned next)
{
	st_le64(p, addr);
	st_le32(p + 8, (uint32_t)len);
	st_le16(p + 12, (uint16_t)flags);
	st_le16(p + 14, (uint16_t)next);
}

static unsigned put_pieces(struct vhost_ring *r, uint8_t *table, unsigned i,
			   const struct iovec *iov, unsigned n, unsigned flags)
{
	for (unsigned k = 0; k < n; k++, i++) {
		uint64_t off = (uint64_t)((uint8_t *)iov[k].iov_base - mem_base(r->mem));

		put_desc(table + (size_t)i * VQ_DESC_BYTES, VHOST_GUEST_BASE + off, iov[k].iov_len,
			 flags | DESC_NEXT, i + 1);
	}
	return i;
}

void vhost_ring_put(struct vhost_ring *r, struct vq_chain *c)
{
	uint64_t at = r->tables_at + c->head * TABLE_BYTES;
	uint8_t *table = r->base + at;
	unsigned n = put_pieces(r, table, 0, c->out, c->n_out, 0);

	n = put_pieces(r, table, n, c->in, c->n_in, DESC_WRITE);
	/* The last one ends the chain. */
	st_le16(table + (size_t)(n - 1) * VQ_DESC_BYTES + 12, (uint16_t)(c->n_in ? DESC_WRITE : 0));
	put_desc(r->base + (size_t)c->head * VQ_DESC_BYTES, r->address + at,
		 (uint64_t)n * VQ_DESC_BYTES, DESC_INDIRECT, 0);
	r->slot[c->head] = c;
	r->out++;
	st_le16(r->base + r->avail_at + RING_ENTRIES + 2u * (r->avail_idx & (r->size - 1u)),
		c->head);
	/* Partner: the back end's read of the index, before the entry. */
	__atomic_store_n((uint16_t *)(void *)(r->base + r->avail_at + RING_IDX), ++r->avail_idx,
			 __ATOMIC_RELEASE);
}

static uint32_t copy32(const uint8_t *p)
{
	return __atomic_load_n((const uint32_t *)(const void *)p, __ATOMIC_RELAXED);
}

/* R4. */
static void mark_written(struct vhost_ring *r, const struct vq_chain *c)
{
	for (unsigned i = 0; i < c->n_segs; i++)
		mem_wrote(r->mem, c->segs[i].gpa, c->segs[i].len);
}

static struct vq_chain *release(struct vhost_ring *r, unsigned slot)
{
	struct vq_chain *c = r->slot[slot];

	r->slot[slot] = NULL;
	r->out--;
	mark_written(r, c);
	return c;
}

int vhost_ring_take(struct vhost_ring *r, struct vq_chain **c, uint32_t *len)
{
	/* Acquire pairs with the back end's barrier between filling and publishing. */
	uint16_t idx =
		__atomic_load_n((const uint16_t *)(const void *)(r->base + r->used_at + RING_IDX),
				__ATOMIC_ACQUIRE);
	uint16_t n = (uint16_t)(idx - r->last_used);
	const uint8_t *entry;
	uint32_t id;

	if (!n)
		return 0;
	if (n > r->out)
		return -EPROTO;
	entry = r->base + r->used_at + RING_ENTRIES + 8u * (r->last_used & (r->size - 1u));
	id = copy32(entry);
	*len = copy32(entry + 4);
	if (id >= r->size || !r->slot[id])
		return -EPROTO;
	r->last_used++;
	*c = release(r, id);
	return 1;
}

struct vq_chain *vhost_ring_recall(struct vhost_ring *r)
{
	for (unsigned i = 0; r->out && i < r->size; i++) {
		if (r->slot[i])
			return release(r, i);
	}
	return NULL;
}
