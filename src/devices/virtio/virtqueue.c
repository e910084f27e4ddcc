// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Split virtqueues. See virtqueue.h, whose invariants Q1 to Q10 are named here.
 * Source: virtio 1.2 §2.7. Threads: with the VM lock held.
 */
#include "devices/virtio/virtqueue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"

#define DESC_NEXT 1u
#define DESC_WRITE 2u
#define DESC_INDIRECT 4u

#define AVAIL_NO_INTERRUPT 1u
#define RING_FLAGS 0u
#define RING_IDX 2u
#define RING_ENTRIES 4u

struct vq_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

/* A chain while it is put together in the scratch arrays. */
struct builder {
	unsigned n, n_out;
	uint64_t out_len, in_len;
};

/* ---- Memory ------------------------------------------------------------------------------------ */

/* Acquire pairs with the driver's barrier between filling and publishing (§2.7.13.3). */
static uint16_t ring_get16(const uint8_t *p)
{
	return __atomic_load_n((const uint16_t *)(const void *)p, __ATOMIC_ACQUIRE);
}

static void ring_put16(uint8_t *p, uint16_t v)
{
	__atomic_store_n((uint16_t *)(void *)p, v, __ATOMIC_RELEASE);
}

static int broken(struct virtqueue *vq, const char *why)
{
	if (!vq->why)
		vq->why = why;
	return -EINVAL;
}

/* Q2. Host addresses of the rings, found anew when the map has changed. */
static int map_rings(struct virtqueue *vq)
{
	uint32_t version = mem_version(vq->mem);

	if (vq->mapped && vq->map_version == version)
		return 0;
	vq->mapped = false;
	vq->near.len = 0;
	vq->map_version = version;
	if (vq->desc & 15 || vq->avail & 1 || vq->used & 3)
		return broken(vq, "a ring is not aligned");
	vq->desc_ptr = mem_ptr(vq->mem, vq->desc, vq_desc_bytes(vq->size), false);
	vq->avail_ptr = mem_ptr(vq->mem, vq->avail, vq_avail_bytes(vq->size), false);
	vq->used_ptr = mem_ptr(vq->mem, vq->used, vq_used_bytes(vq->size), true);
	if (!vq->desc_ptr || !vq->avail_ptr || !vq->used_ptr)
		return broken(vq, "a ring is not in RAM");
	vq->mapped = true;
	return 0;
}

static int usable(struct virtqueue *vq)
{
	if (vq->why)
		return -EINVAL;
	return map_rings(vq);
}

/* Host address of the bytes at `gpa`, as many as there are in one piece, at most *len. */
static uint8_t *piece(struct virtqueue *vq, gpa_t gpa, uint64_t *len, bool write)
{
	struct mem_range *r = &vq->near;
	uint64_t skip = gpa - r->gpa;

	if (skip >= r->len) {
		if (!mem_a20(vq->mem)) {
			/* Rare enough to go byte ranges of one MiB each, where the gate changes nothing. */
			*len = min_u64(*len, align_up(gpa + 1, 1u << 20) - gpa);
			return mem_ptr(vq->mem, gpa, *len, write);
		}
		*r = mem_lookup(vq->mem, gpa);
		skip = gpa - r->gpa;
		if (r->kind == MEM_MMIO || skip >= r->len) {
			r->len = 0;
			return NULL;
		}
	}
	if (write && r->kind != MEM_RAM)
		return NULL;
	*len = min_u64(*len, r->len - skip);
	return mem_base(vq->mem) + r->ram_off + skip;
}

/* ---- Chains ------------------------------------------------------------------------------------ */

/* Q1: a copy nobody else can change; the barrier keeps the compiler from reading memory again. */
static struct vq_desc desc_copy(const uint8_t *p)
{
	uint8_t raw[VQ_DESC_BYTES];
	struct vq_desc d;

	memcpy(raw, p, sizeof(raw));
	__asm__ volatile("" : : "r"(raw) : "memory");
	d.addr = ld_le64(raw);
	d.len = ld_le32(raw + 8);
	d.flags = ld_le16(raw + 12);
	d.next = ld_le16(raw + 14);
	return d;
}

/* Q3, Q5: add the pieces of one buffer. */
static int add_buffer(struct virtqueue *vq, struct builder *b, const struct vq_desc *d)
{
	bool write = d->flags & DESC_WRITE;
	uint64_t *total = write ? &b->in_len : &b->out_len;
	uint64_t left = d->len, end;
	gpa_t gpa = d->addr;

	if (!left)
		return broken(vq, "a buffer has no bytes");
	if (!add_ok(gpa, left, &end))
		return broken(vq, "a buffer wraps around");
	if (!write && b->in_len)
		return broken(vq, "a readable buffer behind a writable one");
	*total += left;
	if (*total > UINT32_MAX)
		return broken(vq, "a chain has 4 GiB or more");
	while (left) {
		uint64_t len = left;
		uint8_t *p = piece(vq, gpa, &len, write);

		if (!p)
			return broken(vq, "a buffer is not in RAM");
		if (b->n == VQ_SEGS_MAX)
			return broken(vq, "a chain has too many buffers");
		vq->scratch->iov[b->n] = (struct iovec){p, len};
		vq->scratch->seg[b->n++] = (struct vq_seg){gpa, len};
		gpa += len;
		left -= len;
	}
	if (!write)
		b->n_out = b->n;
	return 0;
}

/* Q4: the entries of an indirect table. */
static int walk_indirect(struct virtqueue *vq, struct builder *b, const struct vq_desc *ind)
{
	unsigned entries = ind->len / VQ_DESC_BYTES, i = 0;
	const uint8_t *table;

	if (!vq->indirect)
		return broken(vq, "an indirect descriptor, which was not negotiated");
	if (ind->len % VQ_DESC_BYTES || !entries || entries > VQ_SEGS_MAX)
		return broken(vq, "an indirect table of impossible size");
	if (ind->flags & DESC_NEXT)
		return broken(vq, "an indirect descriptor with another behind it");
	table = mem_ptr(vq->mem, ind->addr, ind->len, false);
	if (!table)
		return broken(vq, "an indirect table is not in RAM");
	for (unsigned count = 0; count < entries; count++) {
		struct vq_desc d = desc_copy(table + (size_t)i * VQ_DESC_BYTES);
		int r;

		if (d.flags & DESC_INDIRECT)
			return broken(vq, "an indirect descriptor inside an indirect table");
		r = add_buffer(vq, b, &d);
		if (r || !(d.flags & DESC_NEXT))
			return r;
		i = d.next;
		if (i >= entries)
			return broken(vq, "a descriptor leads out of its indirect table");
	}
	return broken(vq, "an indirect table's chain has a loop");
}

static int walk(struct virtqueue *vq, struct builder *b, uint16_t head)
{
	unsigned i = head;

	for (unsigned count = 0; count < vq->size; count++) {
		struct vq_desc d = desc_copy(vq->desc_ptr + (size_t)i * VQ_DESC_BYTES);
		int r;

		if (d.flags & DESC_INDIRECT)
			return walk_indirect(vq, b, &d);
		r = add_buffer(vq, b, &d);
		if (r || !(d.flags & DESC_NEXT))
			return r;
		i = d.next;
		if (i >= vq->size)
			return broken(vq, "a descriptor leads out of the table");
	}
	return broken(vq, "a chain has a loop");
}

static struct vq_chain *chain_new(struct virtqueue *vq, const struct builder *b, uint16_t head)
{
	unsigned n_in = b->n - b->n_out;
	struct vq_chain *c =
		malloc(sizeof(*c) + b->n * sizeof(struct iovec) + n_in * sizeof(struct vq_seg));

	if (!c)
		return NULL;
	c->vq = vq;
	c->gen = vq->gen;
	c->head = head;
	c->n_out = b->n_out;
	c->n_in = n_in;
	c->out_len = b->out_len;
	c->in_len = b->in_len;
	c->out = (struct iovec *)(c + 1);
	c->in = c->out + b->n_out;
	c->n_segs = n_in;
	c->segs = (struct vq_seg *)(c->out + b->n);
	memcpy(c->out, vq->scratch->iov, b->n * sizeof(struct iovec));
	memcpy(c->segs, vq->scratch->seg + b->n_out, n_in * sizeof(struct vq_seg));
	return c;
}

void vq_chain_free(struct vq_chain *c)
{
	free(c);
}

static bool head_is_out(const struct virtqueue *vq, uint16_t head)
{
	return vq->out_map[head / 8] & 1u << head % 8;
}

static void set_out(struct virtqueue *vq, uint16_t head, bool out)
{
	uint8_t bit = (uint8_t)(1u << head % 8);

	if (out) {
		vq->out_map[head / 8] |= bit;
		vq->out++;
	} else {
		vq->out_map[head / 8] &= (uint8_t)~bit;
		vq->out--;
	}
}

static int fetch(struct virtqueue *vq, uint16_t head, struct vq_chain **c)
{
	struct builder b = {0};
	int r = walk(vq, &b, head);

	if (r)
		return r;
	*c = chain_new(vq, &b, head);
	return *c ? 1 : -ENOMEM;
}

/* ---- Popping ------------------------------------------------------------------------------------ */

static uint8_t *used_event(const struct virtqueue *vq)
{
	return vq->avail_ptr + RING_ENTRIES + 2u * vq->size;
}

/* With the event index: "notify me of the next one" (§2.7.10). */
static void ask_for_next(struct virtqueue *vq)
{
	uint64_t off = RING_ENTRIES + 8u * (uint64_t)vq->size;

	ring_put16(vq->used_ptr + off, vq->last_avail);
	mem_wrote(vq->mem, vq->used + off, 2);
	/* Partner: the driver publishes, then looks at avail_event. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* How many are available: Q6. */
static int available(struct virtqueue *vq, uint16_t *n)
{
	*n = (uint16_t)(ring_get16(vq->avail_ptr + RING_IDX) - vq->last_avail);
	if (*n > vq->size)
		return broken(vq, "the available index has run ahead");
	return 0;
}

bool virtqueue_has(struct virtqueue *vq)
{
	uint16_t n = 0;

	return vq->enabled && !usable(vq) && !available(vq, &n) && n;
}

int virtqueue_pop(struct virtqueue *vq, struct vq_chain **c)
{
	uint16_t n = 0, head;
	int r;

	if (!vq->enabled)
		return 0;
	r = usable(vq);
	if (!r)
		r = available(vq, &n);
	if (!r && !n && vq->event_idx) {
		ask_for_next(vq);
		r = available(vq, &n);
	}
	if (r || !n)
		return r;
	if (vq->out >= vq->size)
		return broken(vq, "more chains are available than the queue has entries");
	head = ring_get16(vq->avail_ptr + RING_ENTRIES + 2u * (vq->last_avail & (vq->size - 1u)));
	if (head >= vq->size)
		return broken(vq, "the available ring names no descriptor");
	if (head_is_out(vq, head))
		return broken(vq, "a chain is made available twice");
	r = fetch(vq, head, c);
	if (r < 0)
		return r;
	set_out(vq, head, true);
	vq->last_avail++;
	return 1;
}

int virtqueue_refetch(struct virtqueue *vq, uint16_t head, struct vq_chain **c)
{
	int r = usable(vq);

	if (r)
		return r;
	if (head >= vq->size || !head_is_out(vq, head))
		return -EINVAL;
	return fetch(vq, head, c);
}

void virtqueue_unpop(struct virtqueue *vq, struct vq_chain *c)
{
	if (c->gen == vq->gen) {
		set_out(vq, c->head, false);
		vq->last_avail--;
	}
	vq_chain_free(c);
}

/* ---- Pushing ------------------------------------------------------------------------------------ */

static void mark_written(struct virtqueue *vq, const struct vq_chain *c, uint64_t written)
{
	for (unsigned i = 0; i < c->n_segs && written; i++) {
		uint64_t len = min_u64(written, c->segs[i].len);

		mem_wrote(vq->mem, c->segs[i].gpa, len);
		written -= len;
	}
}

void virtqueue_fill(struct virtqueue *vq, struct vq_chain *c, uint64_t written, unsigned n)
{
	uint16_t slot = (uint16_t)((vq->used_idx + n) & (vq->size - 1u));
	uint64_t off = RING_ENTRIES + 8u * (uint64_t)slot;

	written = min_u64(written, c->in_len);
	mark_written(vq, c, written);
	/* Q9; and a map that has changed under the rings. */
	if (c->gen == vq->gen) {
		set_out(vq, c->head, false);
		if (!usable(vq)) {
			st_le32(vq->used_ptr + off, c->head);
			st_le32(vq->used_ptr + off + 4, (uint32_t)written);
			mem_wrote(vq->mem, vq->used + off, 8);
		}
	}
	vq_chain_free(c);
}

void virtqueue_flush(struct virtqueue *vq, unsigned n)
{
	uint16_t old = vq->used_idx;

	if (!vq->enabled || usable(vq))
		return;
	vq->used_idx = (uint16_t)(old + n);
	ring_put16(vq->used_ptr + RING_IDX, vq->used_idx);
	mem_wrote(vq->mem, vq->used + RING_IDX, 2);
	/* So many that the index has gone round past the last notification. */
	if ((uint16_t)(vq->used_idx - vq->signalled) < (uint16_t)n)
		vq->signalled_ok = false;
}

void virtqueue_push(struct virtqueue *vq, struct vq_chain *c, uint64_t written)
{
	bool mine = c->gen == vq->gen;

	virtqueue_fill(vq, c, written, 0);
	if (mine)
		virtqueue_flush(vq, 1);
}

/* §2.7.7.2, §2.7.10. */
bool virtqueue_wants_notify(struct virtqueue *vq)
{
	uint16_t old = vq->signalled, now = vq->used_idx, event;
	bool known = vq->signalled_ok;

	if (!vq->enabled || usable(vq))
		return false;
	/* Partner: the driver writes used_event or the flags, then looks at the used index. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!vq->event_idx)
		return !(ring_get16(vq->avail_ptr + RING_FLAGS) & AVAIL_NO_INTERRUPT);
	vq->signalled = now;
	vq->signalled_ok = true;
	event = ring_get16(used_event(vq));
	return !known || (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}

/* ---- Life ---------------------------------------------------------------------------------------- */

void virtqueue_init(struct virtqueue *vq, struct mem *mem, struct vq_scratch *scratch,
		    uint16_t size_max)
{
	memset(vq, 0, sizeof(*vq));
	vq->mem = mem;
	vq->scratch = scratch;
	vq->size_max = size_max;
	virtqueue_reset(vq);
}

void virtqueue_reset(struct virtqueue *vq)
{
	vq->desc = vq->avail = vq->used = 0;
	vq->size = vq->size_max;
	vq->vector = 0xffff;
	vq->enabled = 0;
	vq->last_avail = vq->used_idx = vq->signalled = 0;
	vq->signalled_ok = 0;
	memset(vq->out_map, 0, sizeof(vq->out_map));
	vq->event_idx = vq->indirect = false;
	vq->out = 0;
	vq->gen++;
	vq->why = NULL;
	vq->mapped = false;
	vq->near.len = 0;
}

void virtqueue_start(struct virtqueue *vq, bool event_idx, bool indirect)
{
	vq->event_idx = event_idx;
	vq->indirect = indirect;
	vq->enabled = 1;
	/* A violation is kept in `why`, and found by the first pop. */
	if (map_rings(vq))
		return;
}

static bool size_ok(const struct virtqueue *vq)
{
	return vq->size && vq->size <= vq->size_max && !(vq->size & (vq->size - 1));
}

int virtqueue_loaded(struct virtqueue *vq, bool event_idx, bool indirect)
{
	vq->gen++;
	vq->why = NULL;
	vq->mapped = false;
	vq->near.len = 0;
	vq->event_idx = event_idx && vq->enabled;
	vq->indirect = indirect && vq->enabled;
	vq->out = 0;
	if (!size_ok(vq) || vq->enabled > 1 || vq->signalled_ok > 1)
		return -EINVAL;
	for (unsigned i = 0; i < sizeof(vq->out_map); i++) {
		uint8_t heads = vq->out_map[i];

		if (!heads)
			continue;
		if (!vq->enabled || 8 * i + 31u - (unsigned)__builtin_clz(heads) >= vq->size)
			return -EINVAL;
		vq->out += (unsigned)__builtin_popcount(heads);
	}
	return 0;
}

/* ---- Bytes of chains ------------------------------------------------------------------------------ */

uint64_t iov_bytes(const struct iovec *iov, unsigned n)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum += iov[i].iov_len;
	return sum;
}

unsigned iov_cut_front(struct iovec **iov, unsigned n, uint64_t len)
{
	while (n && len >= (*iov)->iov_len) {
		len -= (*iov)->iov_len;
		(*iov)++;
		n--;
	}
	if (n) {
		(*iov)->iov_base = (uint8_t *)(*iov)->iov_base + len;
		(*iov)->iov_len -= len;
	}
	return n;
}

unsigned iov_cut_back(struct iovec *iov, unsigned n, uint64_t len)
{
	while (n && len >= iov[n - 1].iov_len)
		len -= iov[--n].iov_len;
	if (n)
		iov[n - 1].iov_len -= len;
	return n;
}

/* The next piece of [*off, ...) in iov[*i...], NULL at the end; *got its length, at most `want`. */
static uint8_t *iov_next(const struct iovec *iov, unsigned n, unsigned *i, uint64_t *off,
			 size_t want, size_t *got)
{
	while (*i < n && *off >= iov[*i].iov_len)
		*off -= iov[(*i)++].iov_len;
	if (*i == n)
		return NULL;
	*got = (size_t)min_u64(want, iov[*i].iov_len - *off);
	return (uint8_t *)iov[*i].iov_base + *off;
}

size_t iov_read(const struct iovec *iov, unsigned n, uint64_t off, void *buf, size_t len)
{
	size_t done = 0, got;
	unsigned i = 0;

	while (done < len) {
		const uint8_t *p = iov_next(iov, n, &i, &off, len - done, &got);

		if (!p)
			break;
		memcpy((uint8_t *)buf + done, p, got);
		done += got;
		off += got;
	}
	__asm__ volatile("" : : "r"(buf) : "memory"); /* Q1 */
	return done;
}

size_t iov_write(const struct iovec *iov, unsigned n, uint64_t off, const void *buf, size_t len)
{
	size_t done = 0, got;
	unsigned i = 0;

	while (done < len) {
		uint8_t *p = iov_next(iov, n, &i, &off, len - done, &got);

		if (!p)
			break;
		memcpy(p, (const uint8_t *)buf + done, got);
		done += got;
		off += got;
	}
	return done;
}

size_t vq_chain_read(const struct vq_chain *c, uint64_t off, void *buf, size_t len)
{
	return iov_read(c->out, c->n_out, off, buf, len);
}

size_t vq_chain_write(struct vq_chain *c, uint64_t off, const void *buf, size_t len)
{
	return iov_write(c->in, c->n_in, off, buf, len);
}
