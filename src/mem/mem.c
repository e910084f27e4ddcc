// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Guest memory: the backing, the map of guest physical addresses, checked copies.
 *
 * The map lives in a ring of fixed tables. A change fills the next table and then publishes its
 * index; a reader picks the published table and, when done, checks that the table's sequence number
 * is still the one it began with. A reader repeats only if MAP_SLOTS changes went by meanwhile, so
 * nothing waits, nothing is allocated and nothing is ever freed under a reader.
 *
 * Built without SIMD: lookups run while the guest's SIMD registers are live.
 * Threads: changes with the VM lock held; lookups and copies from any thread.
 */
#include "mem/mem_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/range.h"

#define A20_BIT (1ull << 20)

static uint64_t flag_bytes(const struct mem *mem)
{
	return align_up(mem->backing_bytes >> PAGE_BITS, PAGE_BYTES);
}

static int backing_create(struct mem *mem)
{
	mem->fd = memfd_create("lodge-ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (mem->fd < 0)
		return -errno;
	if (ftruncate(mem->fd, (off_t)mem->backing_bytes) < 0)
		return -errno;
	/* No one who gets the descriptor may shrink it and so make us fault. */
	if (fcntl(mem->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -errno;

	void *p = mmap(NULL, mem->backing_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
		       mem->fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	mem->base = p;
	/* A core dump of ours is not the place for a guest's memory. */
	madvise(p, mem->backing_bytes, MADV_DONTDUMP);
	p = mmap(NULL, flag_bytes(mem), PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return -errno;
	mem->page_flags = p;
	return 0;
}

struct mem *mem_new(uint64_t ram_bytes, uint64_t rom_bytes, struct lodge_err *err)
{
	uint64_t total;

	if (!add_ok(ram_bytes, rom_bytes, &total) || total > INT64_MAX || total == 0 ||
	    (ram_bytes | rom_bytes) & ~PAGE_MASK) {
		err_set(err, -EINVAL,
			"guest memory must be a whole number of pages and below 8 EiB");
		return NULL;
	}

	struct mem *mem = calloc(1, sizeof(*mem));

	if (!mem) {
		err_set(err, -ENOMEM, "no memory for the memory map");
		return NULL;
	}
	mem->fd = mem->file = mem->pagemap = -1;
	mem->ram_bytes = ram_bytes;
	mem->backing_bytes = total;
	mem->a20_mask = UINT64_MAX;
	int rc = backing_create(mem);

	if (rc < 0) {
		err_set(err, rc,
			"the host cannot give %llu MiB of address space for guest memory (%s); "
			"choose a smaller -m",
			(unsigned long long)(total >> 20), strerror(-rc));
		mem_free(mem);
		return NULL;
	}
	return mem;
}

void mem_free(struct mem *mem)
{
	if (!mem)
		return;
	if (mem->page_flags)
		munmap(mem->page_flags, flag_bytes(mem));
	if (mem->base)
		munmap(mem->base, mem->backing_bytes);
	if (mem->fd >= 0)
		close(mem->fd);
	if (mem->file >= 0)
		close(mem->file);
	if (mem->pagemap >= 0)
		close(mem->pagemap);
	free(mem);
}

uint8_t *mem_base(const struct mem *mem)
{
	return mem->base;
}

uint64_t mem_ram_bytes(const struct mem *mem)
{
	return mem->ram_bytes;
}

uint64_t mem_backing_bytes(const struct mem *mem)
{
	return mem->backing_bytes;
}

int mem_fd(const struct mem *mem)
{
	return mem->fd;
}

uint8_t *mem_page_flags(struct mem *mem)
{
	return mem->page_flags;
}

void mem_set_listener(struct mem *mem, const struct mem_listener *l)
{
	mem->listener = *l;
}

uint32_t mem_version(const struct mem *mem)
{
	return __atomic_load_n(&mem->version, __ATOMIC_ACQUIRE);
}

static void notify_map_changed(struct mem *mem)
{
	__atomic_fetch_add(&mem->version, 1, __ATOMIC_RELEASE);
	if (mem->listener.map_changed)
		mem->listener.map_changed(mem->listener.opaque);
}

/* Readers. Fields are read with relaxed atomics: a slot being refilled gives torn, discarded data.
 */

static const struct map_slot *slot_begin(const struct mem *mem, uint32_t *seq)
{
	uint32_t i = __atomic_load_n(&mem->current, __ATOMIC_ACQUIRE);
	const struct map_slot *s = &mem->slot[i % MAP_SLOTS];

	*seq = __atomic_load_n(&s->seq, __ATOMIC_ACQUIRE);
	return s;
}

static bool slot_valid(const struct map_slot *s, uint32_t seq)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return !(seq & 1) && __atomic_load_n(&s->seq, __ATOMIC_RELAXED) == seq;
}

static struct mem_range range_load(const struct mem_range *r)
{
	struct mem_range out = {
		.gpa = __atomic_load_n(&r->gpa, __ATOMIC_RELAXED),
		.len = __atomic_load_n(&r->len, __ATOMIC_RELAXED),
		.ram_off = __atomic_load_n(&r->ram_off, __ATOMIC_RELAXED),
		.kind = __atomic_load_n(&r->kind, __ATOMIC_RELAXED),
	};

	return out;
}

static void range_store(struct mem_range *r, const struct mem_range *v)
{
	__atomic_store_n(&r->gpa, v->gpa, __ATOMIC_RELAXED);
	__atomic_store_n(&r->len, v->len, __ATOMIC_RELAXED);
	__atomic_store_n(&r->ram_off, v->ram_off, __ATOMIC_RELAXED);
	__atomic_store_n(&r->kind, v->kind, __ATOMIC_RELAXED);
}

/* The range of slot `s` that holds `gpa`, or the gap around it. */
static struct mem_range slot_find(const struct map_slot *s, gpa_t gpa)
{
	uint32_t n = __atomic_load_n(&s->count, __ATOMIC_RELAXED);
	uint32_t lo = 0, hi = n < MAP_RANGES ? n : MAP_RANGES;

	n = hi;
	/* First range that begins above gpa. */
	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;

		if (__atomic_load_n(&s->range[mid].gpa, __ATOMIC_RELAXED) <= gpa)
			lo = mid + 1;
		else
			hi = mid;
	}

	gpa_t gap = 0;

	if (lo > 0) {
		struct mem_range r = range_load(&s->range[lo - 1]);

		if (gpa - r.gpa < r.len)
			return r;
		gap = r.gpa + r.len;
	}
	/* The last gap is one byte short of 2^64, so that its length fits. */
	gpa_t end = lo < n ? __atomic_load_n(&s->range[lo].gpa, __ATOMIC_RELAXED) : UINT64_MAX;

	return (struct mem_range){.gpa = gap, .len = end - gap, .kind = MEM_MMIO};
}

/* Keep only the part of `r` in the 1 MiB around gpa: with A20 closed the next one is an alias. */
static void clip_to_megabyte(struct mem_range *r, gpa_t gpa)
{
	gpa_t start = max_u64(r->gpa, align_down(gpa, A20_BIT));
	gpa_t end = min_u64(r->gpa + r->len, align_down(gpa, A20_BIT) + A20_BIT);

	if (r->kind != MEM_MMIO)
		r->ram_off += start - r->gpa;
	r->gpa = start;
	r->len = end - start;
}

struct mem_range mem_lookup(const struct mem *mem, gpa_t gpa)
{
	uint64_t mask = __atomic_load_n(&mem->a20_mask, __ATOMIC_RELAXED);
	const struct map_slot *s;
	struct mem_range r;
	uint32_t seq;

	gpa &= mask;
	do {
		s = slot_begin(mem, &seq);
		r = slot_find(s, gpa);
	} while (!slot_valid(s, seq));
	if (mask != UINT64_MAX)
		clip_to_megabyte(&r, gpa);
	return r;
}

/* Writers. */

static void slot_publish(struct mem *mem, const struct mem_range *ranges, uint32_t n)
{
	uint32_t next = (mem->current + 1) % MAP_SLOTS;
	struct map_slot *s = &mem->slot[next];

	__atomic_store_n(&s->seq, s->seq + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	for (uint32_t i = 0; i < n; i++)
		range_store(&s->range[i], &ranges[i]);
	__atomic_store_n(&s->count, n, __ATOMIC_RELAXED);
	__atomic_store_n(&s->seq, s->seq + 1, __ATOMIC_RELEASE);
	__atomic_store_n(&mem->current, next, __ATOMIC_RELEASE);
}

/* Append `r` to the list, joining it with the last one where both continue each other. */
static uint32_t range_append(struct mem_range *list, uint32_t n, const struct mem_range *r)
{
	if (r->len == 0 || r->kind == MEM_MMIO)
		return n;
	if (n > 0) {
		struct mem_range *last = &list[n - 1];

		if (last->kind == r->kind && last->gpa + last->len == r->gpa &&
		    last->ram_off + last->len == r->ram_off) {
			last->len += r->len;
			return n;
		}
	}
	list[n] = *r;
	return n + 1;
}

/* Build in `out` the current map with `add` laid over it. Returns the count. */
static uint32_t map_overlay(const struct map_slot *cur, const struct mem_range *add,
			    struct mem_range *out)
{
	gpa_t add_end = add->gpa + add->len;
	bool added = false;
	uint32_t n = 0;

	for (uint32_t i = 0; i < cur->count; i++) {
		struct mem_range r = cur->range[i];
		gpa_t end = r.gpa + r.len;

		if (r.gpa < add->gpa) {
			struct mem_range left = r;

			left.len = min_u64(end, add->gpa) - r.gpa;
			n = range_append(out, n, &left);
		}
		if (!added && end > add->gpa) {
			n = range_append(out, n, add);
			added = true;
		}
		if (end > add_end) {
			struct mem_range right = r;

			right.gpa = max_u64(r.gpa, add_end);
			right.len = end - right.gpa;
			right.ram_off += right.gpa - r.gpa;
			n = range_append(out, n, &right);
		}
	}
	if (!added)
		n = range_append(out, n, add);
	return n;
}

static bool map_equal(const struct map_slot *cur, const struct mem_range *list, uint32_t n)
{
	if (cur->count != n)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		const struct mem_range *a = &cur->range[i], *b = &list[i];

		if (a->gpa != b->gpa || a->len != b->len || a->ram_off != b->ram_off ||
		    a->kind != b->kind)
			return false;
	}
	return true;
}

int mem_map(struct mem *mem, gpa_t gpa, uint64_t len, enum mem_kind kind, uint64_t ram_off)
{
	struct mem_range add = {.gpa = gpa, .len = len, .ram_off = ram_off, .kind = kind};
	uint64_t end;

	if ((gpa | len) & ~PAGE_MASK || len == 0 || !add_ok(gpa, len, &end))
		return -EINVAL;
	if (kind != MEM_MMIO &&
	    (ram_off & ~PAGE_MASK || !range_ok(ram_off, len, mem->backing_bytes)))
		return -EINVAL;

	const struct map_slot *cur = &mem->slot[mem->current];
	uint32_t n = map_overlay(cur, &add, mem->scratch);

	if (n > MAP_RANGES)
		return -ENOSPC;
	/* Firmware rewrites PAM registers with the value they have; that must not flush TLBs. */
	if (map_equal(cur, mem->scratch, n))
		return 0;
	slot_publish(mem, mem->scratch, n);
	notify_map_changed(mem);
	return 0;
}

void mem_set_a20(struct mem *mem, bool on)
{
	uint64_t mask = on ? UINT64_MAX : ~A20_BIT;

	if (mem->a20_mask == mask)
		return;
	__atomic_store_n(&mem->a20_mask, mask, __ATOMIC_RELAXED);
	notify_map_changed(mem);
}

bool mem_a20(const struct mem *mem)
{
	return __atomic_load_n(&mem->a20_mask, __ATOMIC_RELAXED) == UINT64_MAX;
}

/* Access. */

/*
 * Host address of gpa when it is backed, with the bytes that follow it in the same range (at most
 * `want`) in *got; NULL on MMIO.
 */
static uint8_t *chunk(const struct mem *mem, gpa_t gpa, uint64_t want, uint64_t *got,
		      enum mem_kind *kind)
{
	struct mem_range r = mem_lookup(mem, gpa);

	if (r.kind == MEM_MMIO)
		return NULL;
	if (!mem_a20(mem))
		gpa &= ~A20_BIT;

	/* A changed A20 between the two steps must not lead outside the range. */
	uint64_t skip = gpa - r.gpa;

	if (skip >= r.len)
		return NULL;
	*got = min_u64(want, r.len - skip);
	*kind = r.kind;
	return mem->base + r.ram_off + skip;
}

uint8_t *mem_ptr(const struct mem *mem, gpa_t gpa, uint64_t len, bool write)
{
	enum mem_kind kind;
	uint64_t got;
	uint8_t *p = chunk(mem, gpa, len, &got, &kind);

	if (!p || got < len || (write && kind != MEM_RAM))
		return NULL;
	return p;
}

void mem_note_writes(struct mem *mem, uint64_t *bits)
{
	__atomic_store_n(&mem->noted, bits, __ATOMIC_RELAXED);
}

/* vCPUs come here, too, without the lock; whoever has the notes made has parked them before. */
static void note(struct mem *mem, uint64_t first, uint64_t last)
{
	uint64_t *bits = __atomic_load_n(&mem->noted, __ATOMIC_RELAXED);

	for (uint64_t page = first; bits && page <= last; page++)
		bits[page / 64] |= 1ull << page % 64;
}

void mem_wrote_backing(struct mem *mem, uint64_t off, uint64_t len)
{
	uint64_t last;

	if (!len || !range_ok(off, len, mem->backing_bytes))
		return;
	last = (off + len - 1) >> PAGE_BITS;
	note(mem, off >> PAGE_BITS, last);

	for (uint64_t page = off >> PAGE_BITS; page <= last; page++) {
		uint8_t old =
			__atomic_fetch_or(&mem->page_flags[page], MEM_PAGE_DIRTY, __ATOMIC_SEQ_CST);

		if (!(old & MEM_PAGE_CODE) || !mem->listener.code_written)
			continue;

		uint64_t from = max_u64(off, page << PAGE_BITS);
		uint64_t to = min_u64(off + len, (page + 1) << PAGE_BITS);

		mem->listener.code_written(mem->listener.opaque, from, to - from);
	}
}

void mem_wrote(struct mem *mem, gpa_t gpa, uint64_t len)
{
	while (len > 0) {
		enum mem_kind kind;
		uint64_t got;
		const uint8_t *p = chunk(mem, gpa, len, &got, &kind);

		if (!p)
			return;
		mem_wrote_backing(mem, (uint64_t)(p - mem->base), got);
		gpa += got;
		len -= got;
	}
}

uint64_t mem_take_dirty(struct mem *mem, uint64_t off, uint64_t len, uint64_t *bits)
{
	uint64_t pages = len >> PAGE_BITS, count = 0, first = 0, last = 0;
	uint8_t *flags = mem->page_flags + (off >> PAGE_BITS);

	if ((off | len) & ~PAGE_MASK || !range_ok(off, len, mem->backing_bytes))
		return 0;
	for (uint64_t i = 0; i < (pages + 63) / 64; i++)
		bits[i] = 0;
	if (mem->listener.sync_writes)
		mem->listener.sync_writes(mem->listener.opaque, off, len);
	for (uint64_t i = 0; i < pages; i++) {
		if (!(__atomic_load_n(&flags[i], __ATOMIC_RELAXED) & MEM_PAGE_DIRTY))
			continue;
		__atomic_fetch_and(&flags[i], (uint8_t)~MEM_PAGE_DIRTY, __ATOMIC_SEQ_CST);
		bits[i / 64] |= 1ull << (i % 64);
		first = count++ ? first : i;
		last = i;
	}
	if (count && mem->listener.watch_writes)
		mem->listener.watch_writes(mem->listener.opaque, off + (first << PAGE_BITS),
					   (last - first + 1) << PAGE_BITS);
	return count;
}

/* Whole pages of the backing: zeros from now on. */
static bool discard(struct mem *mem, uint64_t off, uint64_t len)
{
	if (mem->fd < 0)
		mem_discard_private(mem, off, len);
	else if (fallocate(mem->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off,
			   (off_t)len))
		return false;
	mem_wrote_backing(mem, off, len);
	return true;
}

uint64_t mem_discard(struct mem *mem, gpa_t gpa, uint64_t len)
{
	uint64_t end, sum = 0;

	if (!add_ok(gpa, len, &end) || !add_ok(gpa, PAGE_BYTES - 1, &gpa) || !mem_a20(mem))
		return 0;
	gpa &= PAGE_MASK;
	end &= PAGE_MASK;
	while (gpa < end) {
		struct mem_range r = mem_lookup(mem, gpa);
		uint64_t skip = gpa - r.gpa, part;

		if (skip >= r.len)
			break;
		part = min_u64(r.len - skip, end - gpa);
		if (r.kind == MEM_RAM && discard(mem, r.ram_off + skip, part))
			sum += part;
		gpa += part;
	}
	return sum;
}

void mem_discard_backing(struct mem *mem, uint64_t off, uint64_t len)
{
	if (!len || (off | len) & ~PAGE_MASK || !range_ok(off, len, mem->backing_bytes) ||
	    discard(mem, off, len))
		return;
	memset(mem->base + off, 0, len);
	mem_wrote_backing(mem, off, len);
}

int mem_read(const struct mem *mem, gpa_t gpa, void *buf, uint64_t len)
{
	uint8_t *out = buf;

	while (len > 0) {
		enum mem_kind kind;
		uint64_t got;
		const uint8_t *p = chunk(mem, gpa, len, &got, &kind);

		if (!p)
			return -EFAULT;
		memcpy(out, p, got);
		out += got;
		gpa += got;
		len -= got;
	}
	return 0;
}

static int copy_in(struct mem *mem, gpa_t gpa, const void *buf, uint64_t len, bool rom_too)
{
	const uint8_t *in = buf;

	while (len > 0) {
		enum mem_kind kind;
		uint64_t got;
		uint8_t *p = chunk(mem, gpa, len, &got, &kind);

		if (!p || (kind != MEM_RAM && !rom_too))
			return -EFAULT;
		memcpy(p, in, got);
		mem_wrote_backing(mem, (uint64_t)(p - mem->base), got);
		in += got;
		gpa += got;
		len -= got;
	}
	return 0;
}

int mem_write(struct mem *mem, gpa_t gpa, const void *buf, uint64_t len)
{
	return copy_in(mem, gpa, buf, len, false);
}

int mem_load(struct mem *mem, gpa_t gpa, const void *buf, uint64_t len)
{
	return copy_in(mem, gpa, buf, len, true);
}
