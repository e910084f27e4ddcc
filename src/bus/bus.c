// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Dispatch of port and memory-mapped accesses.
 *
 * Each space keeps its regions in the order they were mapped, and a flat view of them: sorted
 * spans without overlap, rebuilt when a region is mapped, moved, shown or hidden.
 * Threads: with the VM lock held.
 */
#include "bus/bus.h"

#include <stdlib.h>

#include "base/list.h"
#include "base/log.h"
#include "base/range.h"
#include "bus/shortcut.h"

#define PIO_SPACE 0x10000ull

struct bus_space {
	struct list regions; /* the order of mapping: later ones win */
	struct span *span;
	unsigned spans;
	unsigned recent; /* where the last address was, often the next one as well */
	unsigned region_count;
	bool pio;
	struct list shortcuts; /* those that are armed */
	const struct bus_shortcut_host *host;
};

struct bus_region {
	struct list link;
	struct bus_space *space;
	const struct bus_ops *ops;
	void *dev;
	const char *name;
	uint64_t base, len;
	uint64_t limit; /* first address past the space; 0 for 2^64 */
	unsigned min_size, max_size;
	bool on;
};

/* Addresses first..last, answered by one region. */
struct span {
	uint64_t first, last;
	const struct bus_region *r;
};

struct bus {
	struct bus_space pio, mmio;
	struct bus_shortcut_host host;
};

static void space_init(struct bus *bus, struct bus_space *s, bool pio)
{
	list_init(&s->regions);
	list_init(&s->shortcuts);
	s->pio = pio;
	s->host = &bus->host;
}

struct bus *bus_new(void)
{
	struct bus *bus = calloc(1, sizeof(*bus));

	if (!bus)
		return NULL;
	space_init(bus, &bus->pio, true);
	space_init(bus, &bus->mmio, false);
	return bus;
}

static void space_free(struct bus_space *s)
{
	while (!list_empty(&s->regions)) {
		struct bus_region *r = container_of(s->regions.next, struct bus_region, link);

		list_del(&r->link);
		free(r);
	}
	free(s->span);
}

void bus_free(struct bus *bus)
{
	if (!bus)
		return;
	space_free(&bus->pio);
	space_free(&bus->mmio);
	free(bus);
}

/*
 * Lay first..last of `r` over the spans, cutting what is below. Each call adds at most two spans,
 * so twice the number of regions is room enough.
 */
static void space_overlay(struct bus_space *s, const struct bus_region *r)
{
	uint64_t first = r->base, last = r->base + (r->len - 1);
	struct span add = {.first = first, .last = last, .r = r};
	unsigned i = 0;

	while (i < s->spans && s->span[i].last < first)
		i++;

	/* Spans i..j-1 overlap the new one; what is left of them is a head and a tail. */
	unsigned j = i;

	while (j < s->spans && s->span[j].first <= last)
		j++;

	struct span piece[3];
	unsigned n = 0;

	if (j > i && s->span[i].first < first) {
		piece[n] = s->span[i];
		piece[n++].last = first - 1;
	}
	piece[n++] = add;
	if (j > i && s->span[j - 1].last > last) {
		piece[n] = s->span[j - 1];
		piece[n++].first = last + 1;
	}

	unsigned tail = s->spans - j;

	if (i + n > j) {
		for (unsigned k = tail; k-- > 0;)
			s->span[i + n + k] = s->span[j + k];
	} else {
		for (unsigned k = 0; k < tail; k++)
			s->span[i + n + k] = s->span[j + k];
	}
	for (unsigned k = 0; k < n; k++)
		s->span[i + k] = piece[k];
	s->spans = i + n + tail;
}

static const struct span *space_find(struct bus_space *s, uint64_t addr)
{
	unsigned lo = 0, hi = s->spans;

	if (s->recent < hi && s->span[s->recent].first <= addr && addr <= s->span[s->recent].last)
		return &s->span[s->recent];
	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;

		if (s->span[mid].last < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo >= s->spans || s->span[lo].first > addr)
		return NULL;
	s->recent = lo;
	return &s->span[lo];
}

/* ---- Shortcuts ---------------------------------------------------------------------------------- */

static void let_go(struct bus_shortcut *s)
{
	const struct bus_shortcut_host *h = s->region->space->host;

	if (s->taken)
		h->take(h->opaque, s, false);
	s->taken = false;
}

/* Is all of it answered by its own region? */
static bool is_shown(const struct bus_shortcut *s, uint64_t addr)
{
	const struct bus_region *r = s->region;
	const struct span *sp = r->on ? space_find(r->space, addr) : NULL;

	return sp && sp->r == r && sp->last - addr >= max_u64(s->len, 1) - 1;
}

static void shortcut_update(struct bus_shortcut *s)
{
	const struct bus_shortcut_host *h = s->region->space->host;
	uint64_t addr = s->region->base + s->off;
	bool shown = is_shown(s, addr);

	if (s->taken && (!shown || s->addr != addr))
		let_go(s);
	if (!shown || s->taken)
		return;
	s->addr = addr;
	s->pio = s->region->space->pio;
	s->taken = h->take(h->opaque, s, true);
}

void bus_set_shortcut_host(struct bus *bus, const struct bus_shortcut_host *host)
{
	bus->host = *host;
}

bool bus_has_shortcuts(const struct bus *bus)
{
	return bus->host.take != NULL;
}

struct bus_bell *bus_bell_new(struct bus *bus, void (*ring)(void *dev), void *dev)
{
	return bus->host.take ? bus->host.bell_new(bus->host.opaque, ring, dev) : NULL;
}

void bus_bell_free(struct bus *bus, struct bus_bell *bell)
{
	if (bell)
		bus->host.bell_free(bell);
}

void bus_shortcut_init(struct bus_shortcut *s, struct bus_region *r, enum bus_shortcut_kind kind,
		       uint64_t off, uint32_t len)
{
	*s = (struct bus_shortcut){.region = r, .kind = kind, .off = off, .len = len};
	list_init(&s->link);
}

void bus_shortcut_arm(struct bus_shortcut *s, bool on)
{
	if (!s->region || !s->region->space->host->take || s->armed == on)
		return;
	s->armed = on;
	if (on) {
		list_add_tail(&s->region->space->shortcuts, &s->link);
		shortcut_update(s);
	} else {
		let_go(s);
		list_del(&s->link);
	}
}

/* Their region goes. */
static void disarm_all_of(const struct bus_region *r)
{
	struct list *pos = r->space->shortcuts.next;

	while (pos != &r->space->shortcuts) {
		struct bus_shortcut *s = container_of(pos, struct bus_shortcut, link);

		pos = pos->next;
		if (s->region != r)
			continue;
		bus_shortcut_arm(s, false);
		s->region = NULL;
	}
}

/* ---- The map ------------------------------------------------------------------------------------ */

static void space_rebuild(struct bus_space *s)
{
	struct bus_shortcut *c;
	struct bus_region *r;

	s->spans = 0;
	list_for_each_entry (r, &s->regions, link) {
		if (r->on)
			space_overlay(s, r);
	}
	list_for_each_entry (c, &s->shortcuts, link)
		shortcut_update(c);
}

static bool base_fits(uint64_t base, uint64_t len, uint64_t limit)
{
	if (limit)
		return range_ok(base, len, limit);
	return len - 1 <= UINT64_MAX - base;
}

static struct bus_region *space_map(struct bus_space *s, uint64_t base, uint64_t len,
				    uint64_t limit, unsigned max_default, const struct bus_ops *ops,
				    void *dev, const char *name)
{
	if (len == 0 || !base_fits(base, len, limit))
		return NULL;

	struct bus_region *r = calloc(1, sizeof(*r));
	struct span *span = realloc(s->span, (s->region_count + 1) * 2 * sizeof(*span));

	if (span)
		s->span = span;
	if (!r || !span) {
		free(r);
		return NULL;
	}
	*r = (struct bus_region){
		.space = s,
		.ops = ops,
		.dev = dev,
		.name = name,
		.base = base,
		.len = len,
		.limit = limit,
		.min_size = ops->min_size ? ops->min_size : 1,
		.max_size = ops->max_size ? ops->max_size : max_default,
		.on = true,
	};
	list_add_tail(&s->regions, &r->link);
	s->region_count++;
	space_rebuild(s);
	return r;
}

struct bus_region *bus_map_pio(struct bus *bus, uint16_t port, uint32_t len,
			       const struct bus_ops *ops, void *dev, const char *name)
{
	return space_map(&bus->pio, port, len, PIO_SPACE, 4, ops, dev, name);
}

struct bus_region *bus_map_mmio(struct bus *bus, gpa_t gpa, uint64_t len, const struct bus_ops *ops,
				void *dev, const char *name)
{
	return space_map(&bus->mmio, gpa, len, 0, 8, ops, dev, name);
}

void bus_region_move(struct bus_region *r, uint64_t base)
{
	/* A guest may put a BAR where it does not fit: then nothing answers for it. */
	bool fits = base_fits(base, r->len, r->limit);

	if (fits && r->base == base)
		return;
	if (fits)
		r->base = base;
	else
		r->on = false;
	space_rebuild(r->space);
}

void bus_region_enable(struct bus_region *r, bool on)
{
	if (r->on == on)
		return;
	r->on = on;
	space_rebuild(r->space);
}

void bus_unmap(struct bus_region *r)
{
	if (!r)
		return;
	disarm_all_of(r);
	list_del(&r->link);
	r->space->region_count--;
	space_rebuild(r->space);
	free(r);
}

static uint64_t ones(unsigned size)
{
	return size >= 8 ? UINT64_MAX : (1ull << size * 8) - 1;
}

/* The largest power of two that is at most `left` (1..8) and `max`. */
static unsigned piece_size(unsigned left, uint64_t room, unsigned max)
{
	unsigned n = max;

	while (n > left || n > room)
		n /= 2;
	return n ? n : 1;
}

/* Read `size` bytes at `off` of a region that wants units of at least min_size. */
static uint64_t read_widened(const struct bus_region *r, uint64_t off, unsigned size)
{
	uint64_t val = 0;

	for (unsigned done = 0; done < size;) {
		uint64_t unit = align_down(off + done, r->min_size);
		unsigned skip = (unsigned)(off + done - unit);
		unsigned n = r->min_size - skip;

		if (n > size - done)
			n = size - done;

		uint64_t v = r->ops->read(r->dev, unit, r->min_size) >> skip * 8;

		val |= (v & ones(n)) << done * 8;
		done += n;
	}
	return val;
}

static uint64_t region_read(const struct bus_region *r, uint64_t off, unsigned size)
{
	if (!r->ops->read)
		return ones(size);
	if (r->min_size > 1 && (size < r->min_size || off % r->min_size))
		return read_widened(r, off, size);
	return r->ops->read(r->dev, off, size) & ones(size);
}

/* The span that answers all of an access in one piece, as nearly all are; NULL: it goes by pieces. */
static const struct span *find_whole(struct bus_space *s, uint64_t addr, unsigned size)
{
	const struct span *sp = space_find(s, addr);

	return sp && size <= sp->r->max_size && sp->last - addr >= size - 1 && !(size & (size - 1))
		       ? sp
		       : NULL;
}

static uint64_t space_read(struct bus_space *s, const char *what, uint64_t addr, unsigned size)
{
	const struct span *whole = find_whole(s, addr, size);
	uint64_t val = 0;

	if (whole)
		return region_read(whole->r, addr - whole->r->base, size);
	for (unsigned done = 0; done < size;) {
		const struct span *sp = space_find(s, addr + done);
		unsigned n = 1;

		if (addr + done < addr || !sp) {
			log_trace(LOG_IOPORT, "%s read %#llx: nobody answers\n", what,
				  (unsigned long long)(addr + done));
			val |= 0xffull << done * 8;
		} else {
			const struct bus_region *r = sp->r;
			uint64_t room = sp->last - (addr + done);

			room = room == UINT64_MAX ? room : room + 1;
			n = piece_size(size - done, room, r->max_size);
			val |= region_read(r, addr + done - r->base, n) << done * 8;
		}
		done += n;
	}
	return val;
}

static void space_write(struct bus_space *s, const char *what, uint64_t addr, uint64_t val,
			unsigned size)
{
	const struct span *whole = find_whole(s, addr, size);

	if (whole) {
		if (whole->r->ops->write)
			whole->r->ops->write(whole->r->dev, addr - whole->r->base, val & ones(size),
					     size);
		return;
	}
	for (unsigned done = 0; done < size;) {
		const struct span *sp = space_find(s, addr + done);
		unsigned n = 1;

		if (addr + done < addr || !sp) {
			log_trace(LOG_IOPORT, "%s write %#llx: nobody answers\n", what,
				  (unsigned long long)(addr + done));
		} else {
			const struct bus_region *r = sp->r;
			uint64_t room = sp->last - (addr + done);

			room = room == UINT64_MAX ? room : room + 1;
			n = piece_size(size - done, room, r->max_size);
			if (r->ops->write)
				r->ops->write(r->dev, addr + done - r->base,
					      val >> done * 8 & ones(n), n);
		}
		done += n;
	}
}

uint64_t bus_pio_read(struct bus *bus, uint16_t port, unsigned size)
{
	return space_read(&bus->pio, "port", port, size);
}

void bus_pio_write(struct bus *bus, uint16_t port, uint64_t val, unsigned size)
{
	space_write(&bus->pio, "port", port, val, size);
}

uint64_t bus_mmio_read(struct bus *bus, gpa_t gpa, unsigned size)
{
	return space_read(&bus->mmio, "memory", gpa, size);
}

void bus_mmio_write(struct bus *bus, gpa_t gpa, uint64_t val, unsigned size)
{
	space_write(&bus->mmio, "memory", gpa, val, size);
}

void bus_each(const struct bus *bus, bool pio,
	      void (*fn)(void *opaque, uint64_t first, uint64_t last, const char *name),
	      void *opaque)
{
	const struct bus_space *s = pio ? &bus->pio : &bus->mmio;

	for (unsigned i = 0; i < s->spans; i++)
		fn(opaque, s->span[i].first, s->span[i].last, s->span[i].r->name);
}
