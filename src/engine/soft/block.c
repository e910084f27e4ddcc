// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The cache of decoded superblocks: hash, page lists, arena, invalidation. See block.h.
 * Threads and locks: block.h.
 */
#include "engine/soft/block.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/soft/codemem.h"
#include "engine/soft/exclusive.h"
#include "engine/soft/interp.h"
#include "engine/soft/jit_int.h"

#define RECENT_WRITES 64
#define PARTS JIT_PARTS
#define ARENA_PARTS 256u
#define ARENA_PART_BYTES (128ull << 10) /* operations; dropping a part takes some 40 us */
#define ARENA_BYTES (ARENA_PARTS * ARENA_PART_BYTES)
#define BLOCKS_OF_S1 (512u << 10)
#define CODE_PER_BLOCK 128u /* bytes, at least: blocks do not run out before code memory does */
#define CACHE_HASH_BITS 20
#define CACHE_KIN_BITS 17
#define KIN_BYTES (sizeof(struct soft_block *) << CACHE_KIN_BITS)
#define CACHE_LINE_BITS 16
#define CHURN_BITS 13
#define CHURN_FREE 8 /* blocks of a place may be overwritten so often without consequences */
#define CHURN_RUNS 4 /* runs to wait for each time more */
#define LINE_WAYS 4
#define LINE_BYTES (LINE_WAYS * sizeof(struct soft_block *) << CACHE_LINE_BITS)
#define OP_PAGE_BITS 13
#define OP_STARTS_BYTES (PAGE_BYTES / 8 << OP_PAGE_BITS)
#define HASH_BYTES (sizeof(uint32_t) << CACHE_HASH_BITS)

/* In the arena, in front of a block's operations. */
struct ops_head {
	_Alignas(64) struct soft_block *owner; /* if its `ops` still are these */
	gva_t lin;
	size_t bytes; /* of both */
};

struct soft_cache {
	struct soft_engine *e;
	pthread_mutex_t lock;
	/* Operations, in parts that go round by themselves. */
	uint8_t *arena;
	unsigned arena_part;
	size_t arena_used[ARENA_PARTS];
	bool arena_short; /* operations found no room where nothing could be dropped */
	/* Blocks, in parts that go round with those of the code memory. */
	struct soft_block *heads;
	unsigned part; /* the one being filled; the next one is the oldest */
	size_t part_blocks, blocks[PARTS],
		swept;		   /* so many of the next one's are dead for certain */
	pthread_mutex_t mark_lock; /* who takes write entries away, and waits for their users */
	_Atomic uint64_t epoch;	   /* counts writes to pages with code */
	struct {
		uint64_t page, lines;
	} recent[RECENT_WRITES]; /* the last writes, by epoch */
	uint32_t *hash;		 /* numbers of blocks, 0: none */
	struct soft_block **
		kin; /* by place and mode: the last that got code; it may be dead, or another by now */
	struct soft_block **around;	 /* by line: the last that hold bytes of it; the same */
	uint8_t churn[1u << CHURN_BITS]; /* by place: how many blocks were overwritten there */
	/* By backing page; demand-zero address space, so only pages with code cost memory. */
	uint64_t pages;
	uint32_t *by_page; /* number of its newest block, 0: none */
	uint64_t *lines;
	/* A bit for each byte of a page, for jit_join(); stale ones are harmless, and so are those of other pages. */
	uint64_t *op_starts;
};

/* Code memory of so many bytes may have so many blocks in a part. */
static size_t blocks_in_part(const struct soft_engine *e)
{
	bool s2 = e->cfg.soft.tier == 2;

	return (s2 ? ((size_t)e->cfg.soft.tb_size_mib << 20) / CODE_PER_BLOCK : BLOCKS_OF_S1) /
	       PARTS;
}

static size_t head_bytes(const struct soft_cache *c)
{
	return PARTS * c->part_blocks * sizeof(struct soft_block);
}

/* Blocks are made in the current part from now on. */
static void fill_heads_of(struct soft_cache *c)
{
	size_t bytes = c->part_blocks * sizeof(struct soft_block);

	soft_ahead_begin(&c->e->ahead, AHEAD_BLOCKS, c->part * bytes, (c->part + 1) * bytes);
}

struct soft_cache *soft_cache_new(struct soft_engine *e, struct lodge_err *err)
{
	struct soft_cache *c = calloc(1, sizeof(*c));

	if (!c) {
		err_set(err, -ENOMEM, "no memory for the code cache");
		return NULL;
	}
	c->e = e;
	c->pages = mem_backing_bytes(e->mem) >> PAGE_BITS;
	c->part_blocks = blocks_in_part(e);
	c->heads = soft_map_tables(head_bytes(c), false);
	c->hash = soft_map_tables(HASH_BYTES, false);
	c->kin = soft_map_tables(KIN_BYTES, false);
	c->around = soft_map_tables(LINE_BYTES, false);
	c->arena = soft_map_tables(ARENA_BYTES, false);
	c->by_page = soft_map_tables(c->pages * sizeof(*c->by_page), false);
	c->lines = soft_map_tables(c->pages * sizeof(*c->lines), false);
	c->op_starts = soft_map_tables(OP_STARTS_BYTES, false);
	soft_ahead_map(&e->ahead, AHEAD_BLOCKS, c->heads, NULL);
	fill_heads_of(c);
	pthread_mutex_init(&c->lock, NULL);
	pthread_mutex_init(&c->mark_lock, NULL);
	if (!c->heads || !c->hash || !c->kin || !c->around || !c->arena || !c->by_page ||
	    !c->lines || !c->op_starts) {
		soft_cache_free(c);
		err_set(err, -ENOMEM, "no address space for the code cache");
		return NULL;
	}
	return c;
}

void soft_cache_free(struct soft_cache *c)
{
	if (!c)
		return;
	soft_unmap_tables(c->hash, HASH_BYTES);
	soft_unmap_tables(c->kin, KIN_BYTES);
	soft_unmap_tables(c->around, LINE_BYTES);
	soft_unmap_tables(c->arena, ARENA_BYTES);
	soft_unmap_tables(c->heads, head_bytes(c));
	soft_unmap_tables(c->by_page, c->pages * sizeof(*c->by_page));
	soft_unmap_tables(c->lines, c->pages * sizeof(*c->lines));
	soft_unmap_tables(c->op_starts, OP_STARTS_BYTES);
	pthread_mutex_destroy(&c->lock);
	pthread_mutex_destroy(&c->mark_lock);
	free(c);
}

/* ---- Lookup --------------------------------------------------------------------------------- */

/* The block of that number, or NULL. */
static struct soft_block *numbered(const struct soft_cache *c, uint32_t number)
{
	return number ? &c->heads[number - 1] : NULL;
}

static uint32_t number_of(const struct soft_cache *c, const struct soft_block *b)
{
	return (uint32_t)(b - c->heads) + 1;
}

/* Near one another for blocks of a page, since these are looked up after one another. */
static uint32_t *bucket(struct soft_cache *c, uint64_t backing, gva_t lin, uint32_t mode)
{
	uint64_t page = backing >> PAGE_BITS ^ lin >> PAGE_BITS << 20 ^ (uint64_t)mode << 48;
	uint64_t h = page * 0x9e3779b97f4a7c15ull >> (64 - CACHE_HASH_BITS);

	return &c->hash[(h + (backing & ~PAGE_MASK) / 4) & ((1u << CACHE_HASH_BITS) - 1)];
}

/*
 * Is the block's second page still the one behind its first in this address space? Its first
 * instruction runs into it, so a #PF there is the guest's.
 */
static bool second_page_holds(struct soft_cpu *cpu, const struct soft_block *b)
{
	gva_t next = soft_lin_wrap(cpu, (b->lin | ~PAGE_MASK) + 1);
	const uint8_t *p = soft_code_place(cpu, next);

	return p && (uint64_t)(p - cpu->e->ram) >> PAGE_BITS == b->page[1];
}

static void block_kill(struct soft_cache *c, struct soft_block *b);
static void drop(struct soft_cache *c, struct soft_block *b);

struct soft_block *soft_cache_find(struct soft_cache *c, struct soft_cpu *cpu, gva_t lin,
				   uint64_t backing)
{
	const uint32_t *first = bucket(c, backing, lin, cpu->mode);
	struct soft_block *b;

	__builtin_prefetch(first);
	pthread_mutex_lock(&c->lock);
	for (b = numbered(c, *first); b; b = numbered(c, b->hash_next)) {
		if (b->backing == backing && b->lin == lin && b->mode == cpu->mode &&
		    b->cs_key == cpu->cs_key)
			break;
	}
	pthread_mutex_unlock(&c->lock);
	if (b && !b->ops && !b->jit)
		return NULL; /* to be decoded again */
	if (!b || b->page[1] == SOFT_NO_PAGE || second_page_holds(cpu, b))
		return b;
	/* Another address space put another page there: one such block at a time. */
	pthread_mutex_lock(&c->lock);
	if (atomic_load(&b->valid))
		block_kill(c, b);
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

/* ---- Invalidation --------------------------------------------------------------------------- */

/* What every operation of a dead block becomes: leave, and let the jump cache forget it. */
static const struct soft_op *stale(struct soft_cpu *cpu, const struct soft_op *op)
{
	gva_t lin = (cpu->segbase[SEG_CS] + op->rip) & cpu->rip_mask;

	soft_jcache_slot(cpu, lin)->key = 0;
	return leave_to(cpu, op->rip);
}

static void hash_unlink(struct soft_cache *c, struct soft_block *b)
{
	uint32_t *at = bucket(c, b->backing, b->lin, b->mode), n = number_of(c, b);

	while (*at && *at != n)
		at = &numbered(c, *at)->hash_next;
	if (*at)
		*at = b->hash_next;
}

/* Which of the block's pages is `page`? */
static unsigned slot_of(const struct soft_block *b, uint64_t page)
{
	return b->page[0] == page ? 0 : 1;
}

static struct soft_block *first_of(const struct soft_cache *c, uint64_t page)
{
	return numbered(c, c->by_page[page]);
}

/* The next older block of the page. */
static struct soft_block *next_of(const struct soft_cache *c, const struct soft_block *b,
				  uint64_t page)
{
	return numbered(c, b->page_next[slot_of(b, page)]);
}

static void page_link(struct soft_cache *c, struct soft_block *b, unsigned slot)
{
	uint64_t page = b->page[slot];
	struct soft_block *next = first_of(c, page);

	b->page_next[slot] = c->by_page[page];
	b->page_prev[slot] = 0;
	c->by_page[page] = number_of(c, b);
	if (next)
		next->page_prev[slot_of(next, page)] = number_of(c, b);
	c->lines[page] |= b->lines[slot];
}

static void page_unlink(struct soft_cache *c, struct soft_block *b, unsigned slot)
{
	uint64_t page = b->page[slot];
	struct soft_block *next = numbered(c, b->page_next[slot]);
	struct soft_block *prev = numbered(c, b->page_prev[slot]);

	if (prev)
		prev->page_next[slot_of(prev, page)] = b->page_next[slot];
	else
		c->by_page[page] = b->page_next[slot];
	if (next)
		next->page_prev[slot_of(next, page)] = b->page_prev[slot];
}

/* Has it a second page, in whose list it is too? */
static bool in_two_lists(const struct soft_block *b)
{
	return b->page[1] != SOFT_NO_PAGE && b->page[1] != b->page[0];
}

/* Entries into the code live no longer than it does; all of them are younger. */
static void code_kill(struct soft_cache *c, struct jit_block *jb)
{
	jit_kill(c->e->jit, jb);
	for (struct jit_block *in = jb->entries; in; in = in->next_entry) {
		if (atomic_load(&in->sb->valid))
			block_kill(c, in->sb);
	}
}

static void block_kill(struct soft_cache *c, struct soft_block *b)
{
	SOFT_COUNT_ALL(c->e, blocks_killed);
	atomic_store(&b->valid, false);
	for (uint32_t i = 0; b->ops && i < b->nops; i++)
		atomic_store_explicit(&b->ops[i].fn, stale, memory_order_relaxed);
	hash_unlink(c, b);
	page_unlink(c, b, 0);
	if (in_two_lists(b))
		page_unlink(c, b, 1);
	if (b->jit)
		code_kill(c, b->jit);
	for (struct jit_block *old = b->old; old; old = old->older)
		code_kill(c, old);
}

/* With the lock. */
static void note_write(struct soft_cache *c, uint64_t page, uint64_t lines)
{
	uint64_t n = atomic_fetch_add(&c->epoch, 1);

	c->recent[n % RECENT_WRITES].page = page;
	c->recent[n % RECENT_WRITES].lines = lines;
}

static void page_refresh(struct soft_cache *c, uint64_t page)
{
	uint64_t lines = 0;

	for (struct soft_block *b = first_of(c, page); b; b = next_of(c, b, page))
		lines |= b->lines[slot_of(b, page)];
	c->lines[page] = lines;
	if (c->by_page[page])
		return;
	/* From here on the page may be written unseen: blocks being built must not come through. */
	__atomic_fetch_and(&mem_page_flags(c->e->mem)[page], (uint8_t)~MEM_PAGE_CODE,
			   __ATOMIC_SEQ_CST);
	note_write(c, page, ~0ull);
}

static uint64_t line_mask(uint64_t off, uint64_t len)
{
	unsigned first = (unsigned)(off >> 6), last = (unsigned)((off + len - 1) >> 6);
	uint64_t up_to_last = last >= 63 ? ~0ull : (2ull << last) - 1;

	return up_to_last & (~0ull << first);
}

static unsigned churn_slot(uint64_t backing)
{
	return (unsigned)(backing * 0x9e3779b97f4a7c15ull >> (64 - CHURN_BITS));
}

static void note_churn(struct soft_cache *c, const struct soft_block *b)
{
	uint8_t *n = &c->churn[churn_slot(b->backing)];

	__atomic_store_n(n, (uint8_t)min_u64(*n + 1u, UINT8_MAX), __ATOMIC_RELAXED);
}

unsigned soft_cache_patience(const struct soft_cache *c, uint64_t backing)
{
	unsigned n = __atomic_load_n(&c->churn[churn_slot(backing)], __ATOMIC_RELAXED);

	return c->e->cfg.soft.patient && n > CHURN_FREE ? (n - CHURN_FREE) * CHURN_RUNS : 0;
}

void soft_cache_written(struct soft_cache *c, uint64_t backing, uint64_t len)
{
	uint64_t page = backing >> PAGE_BITS, mask = line_mask(backing & ~PAGE_MASK, len);
	struct soft_block *next;
	bool hit;

	SOFT_COUNT_ALL(c->e, code_writes);
	pthread_mutex_lock(&c->lock);
	note_write(c, page, mask);
	hit = c->lines[page] & mask;
	/* What dies with a block is younger, so not the next one. */
	for (struct soft_block *b = hit ? first_of(c, page) : NULL; b; b = next) {
		next = next_of(c, b, page);
		if (b->lines[slot_of(b, page)] & mask) {
			uint64_t other = b->page[1 - slot_of(b, page)];

			note_churn(c, b);
			block_kill(c, b);
			if (other != SOFT_NO_PAGE && other != page)
				page_refresh(c, other);
		}
	}
	if (hit || !c->by_page[page])
		page_refresh(c, page);
	pthread_mutex_unlock(&c->lock);
}

bool soft_cache_write_beside(struct soft_cache *c, uint64_t backing, uint64_t len)
{
	uint64_t page = backing >> PAGE_BITS, mask = line_mask(backing & ~PAGE_MASK, len);
	bool beside;

	pthread_mutex_lock(&c->lock);
	beside = c->by_page[page] && !(c->lines[page] & mask);
	if (beside)
		note_write(c, page, mask);
	pthread_mutex_unlock(&c->lock);
	return beside;
}

void soft_cache_forget(struct soft_cache *c, const gva_t *pages, unsigned n)
{
	pthread_mutex_lock(&c->lock);
	atomic_fetch_add(&c->epoch, 1);
	for (size_t part = 0; part < PARTS; part++) {
		struct soft_block *b = &c->heads[part * c->part_blocks];

		for (size_t i = 0; i < c->blocks[part]; i++, b++) {
			unsigned k = 0;

			while (k < n && (b->lin & PAGE_MASK) != pages[k])
				k++;
			if (k < n && atomic_load(&b->valid))
				drop(c, b);
		}
	}
	pthread_mutex_unlock(&c->lock);
}

/* ---- Building ------------------------------------------------------------------------------- */

void soft_cache_lock(struct soft_cache *c)
{
	pthread_mutex_lock(&c->lock);
}

void soft_cache_unlock(struct soft_cache *c)
{
	pthread_mutex_unlock(&c->lock);
}

uint64_t soft_cache_epoch(struct soft_cache *c)
{
	return atomic_load(&c->epoch);
}

void soft_cache_add_lines(struct soft_cache *c, struct soft_block *b, uint64_t lines)
{
	b->lines[0] |= lines;
	c->lines[b->page[0]] |= lines;
}

void soft_build_start(struct soft_cache *c, struct soft_build *bd)
{
	bd->epoch = atomic_load(&c->epoch);
	bd->nops = bd->ninsns = 0;
}

/* Does another vCPU write this page through a pointer it got without an entry? */
static bool written_directly(struct soft_cpu *cpu, const uint8_t *host)
{
	struct soft_engine *e = cpu->e;

	for (unsigned i = 0; i < e->cfg.cpus; i++) {
		if (e->cpus[i] != cpu && atomic_load(&e->cpus[i]->direct) == host)
			return true;
	}
	return false;
}

bool soft_cache_in_flux(struct soft_cpu *cpu, uint64_t page)
{
	return written_directly(cpu, cpu->e->ram + (page << PAGE_BITS));
}

/*
 * Take the pages' write entries from every vCPU, and wait for those that had one, but `self` (NULL: no
 * vCPU's thread). `places`: soft_tlb_drop_write's. Outside. How many were waited for.
 */
static unsigned take_write_entries(struct soft_engine *e, const struct soft_cpu *self,
				   const uint8_t *host, uint64_t bytes, uint64_t places)
{
	uint32_t seen[SOFT_MAX_CPUS];
	unsigned waits = 0;

	for (unsigned i = 0; i < e->cfg.cpus; i++) {
		bool had = soft_tlb_drop_write(e->cpus[i], host, bytes, places);

		atomic_thread_fence(memory_order_seq_cst);
		had |= (uintptr_t)atomic_load(&e->cpus[i]->direct) - (uintptr_t)host < bytes;
		seen[i] = had && e->cpus[i] != self ? soft_passage_ask(e->cpus[i]) : 0;
		waits += seen[i] != 0;
	}
	for (unsigned i = 0; i < e->cfg.cpus; i++)
		soft_passage_wait(e->cpus[i], seen[i]);
	return waits;
}

void soft_cache_watch_writes(struct soft_cache *c, uint64_t backing, uint64_t bytes)
{
	take_write_entries(c->e, NULL, c->e->ram + backing, bytes, SOFT_WRITE_PLACES_MANY);
}

static void take_page(struct soft_cpu *cpu, const uint8_t *host)
{
	uint64_t *places = &cpu->e->write_places[(uint64_t)(host - cpu->e->ram) >> PAGE_BITS];
	/* An entry that is filled from now on finds MEM_PAGE_CODE, and goes by itself. */
	unsigned waits = take_write_entries(cpu->e, cpu, host, PAGE_BYTES,
					    __atomic_exchange_n(places, 0, __ATOMIC_SEQ_CST));

	SOFT_COUNT(cpu, page_scans);
	SOFT_COUNT_ADD(cpu, passage_waits, waits);
	(void)waits;
}

static void mark_slow(struct soft_cpu *cpu, uint8_t *flag, const uint8_t *host)
{
	uint8_t old = __atomic_fetch_or(flag, MEM_PAGE_CODE | MEM_PAGE_MARKING, __ATOMIC_SEQ_CST);

	if ((old & MEM_PAGE_WRITABLE) || written_directly(cpu, host)) {
		/* An entry filled from now on is seen by its owner to be wrong, or sets it again. */
		__atomic_fetch_and(flag, (uint8_t)~MEM_PAGE_WRITABLE, __ATOMIC_SEQ_CST);
		take_page(cpu, host);
	}
	__atomic_fetch_and(flag, (uint8_t)~MEM_PAGE_MARKING, __ATOMIC_SEQ_CST);
}

void soft_cache_mark_page(struct soft_cache *c, struct soft_cpu *cpu, uint64_t page)
{
	uint8_t *flag = &mem_page_flags(c->e->mem)[page];
	const uint8_t *host = c->e->ram + (page << PAGE_BITS);
	uint8_t now = __atomic_load_n(flag, __ATOMIC_SEQ_CST);

	if ((now & (MEM_PAGE_CODE | MEM_PAGE_MARKING)) == MEM_PAGE_CODE &&
	    !written_directly(cpu, host))
		return;
	if (cpu->exclusive) { /* nobody is inside: nobody to wait for, and no race */
		__atomic_fetch_or(flag, MEM_PAGE_CODE, __ATOMIC_SEQ_CST);
		take_page(cpu, host);
		return;
	}
	soft_leave(cpu);
	pthread_mutex_lock(&c->mark_lock);
	mark_slow(cpu, flag, host);
	pthread_mutex_unlock(&c->mark_lock);
	soft_enter(cpu);
}

/* Operations first, then the instruction copies. */
static size_t ops_bytes(const struct soft_build *bd)
{
	return bd->nops * sizeof(struct soft_op);
}

size_t soft_build_bytes(const struct soft_build *bd)
{
	return align_up(ops_bytes(bd) + bd->ninsns * sizeof(struct x86_insn), 64);
}

void soft_build_place(const struct soft_build *bd, struct soft_block *at, void *room)
{
	struct x86_insn *insns = (struct x86_insn *)((uint8_t *)room + ops_bytes(bd));
	struct soft_op *ops = room;

	at->nops = bd->nops;
	gp_memcpy(ops, bd->ops, bd->nops * sizeof(struct soft_op));
	for (unsigned i = 0; i < bd->nops; i++) {
		if (bd->has_insn[i]) {
			*insns = bd->insns[i];
			ops[i].insn = insns++;
		} else if (bd->has_target[i]) {
			ops[i].target = &ops[(uintptr_t)bd->ops[i].target - 1];
		}
	}
	/* Other vCPUs may be in generated code of the block. Partner: take_op. */
	__atomic_store_n(&at->ops, ops, __ATOMIC_RELEASE);
}

/* Was anything under the block written since it was begun? With the lock. */
static bool overtaken(const struct soft_cache *c, const struct soft_build *bd)
{
	const uint8_t *flags = mem_page_flags(c->e->mem);
	uint64_t now = atomic_load(&c->epoch);

	for (unsigned k = 0; k < 2; k++) {
		uint64_t page = bd->head.page[k];

		/* The flag went with another block's death: the page could be written unseen. */
		if (page != SOFT_NO_PAGE &&
		    !(__atomic_load_n(&flags[page], __ATOMIC_RELAXED) & MEM_PAGE_CODE))
			return true;
	}
	if (now - bd->epoch > RECENT_WRITES)
		return true;
	for (uint64_t n = bd->epoch; n != now; n++) {
		uint64_t page = c->recent[n % RECENT_WRITES].page;
		uint64_t lines = c->recent[n % RECENT_WRITES].lines;

		for (unsigned k = 0; k < 2; k++) {
			if (bd->head.page[k] == page && (bd->head.lines[k] & lines))
				return true;
		}
	}
	return false;
}

static struct soft_block *find_same(struct soft_cache *c, const struct soft_block *head)
{
	struct soft_block *b = numbered(c, *bucket(c, head->backing, head->lin, head->mode));

	while (b && (b->backing != head->backing || b->lin != head->lin || b->mode != head->mode ||
		     b->cs_key != head->cs_key || b->page[1] != head->page[1]))
		b = numbered(c, b->hash_next);
	return b;
}

/* Does the current part of the arena have no room for the block's operations? */
static bool arena_full(const struct soft_cache *c, const struct soft_build *bd)
{
	return !bd->lean &&
	       c->arena_used[c->arena_part] + sizeof(struct ops_head) + soft_build_bytes(bd) >
		       ARENA_PART_BYTES;
}

static bool heads_full(const struct soft_cache *c)
{
	return c->blocks[c->part] == c->part_blocks;
}

/* Give the block its operations. */
static void attach(struct soft_cache *c, const struct soft_build *bd, struct soft_block *b)
{
	size_t *used = &c->arena_used[c->arena_part];
	struct ops_head *h =
		(struct ops_head *)(c->arena + c->arena_part * ARENA_PART_BYTES + *used);

	h->owner = b;
	h->lin = b->lin;
	h->bytes = sizeof(*h) + soft_build_bytes(bd);
	*used += h->bytes;
	soft_build_place(bd, b, h + 1);
}

/* Room for a block, of which there is some. */
static struct soft_block *new_block(struct soft_cache *c)
{
	size_t i = c->part * c->part_blocks + c->blocks[c->part]++;

	soft_ahead_used(&c->e->ahead, AHEAD_BLOCKS, (i + 1) * sizeof(*c->heads));
	return &c->heads[i];
}

/* Enter the block, which is complete but for its places in lists. */
static void add_block(struct soft_cache *c, struct soft_block *b)
{
	uint32_t *at = bucket(c, b->backing, b->lin, b->mode);

	b->hash_next = *at;
	*at = number_of(c, b);
	if (b->page[1] == b->page[0])
		b->lines[0] |= b->lines[1];
	page_link(c, b, 0);
	if (in_two_lists(b))
		page_link(c, b, 1);
	atomic_store(&b->valid, true);
}

static struct soft_block *place(struct soft_cache *c, const struct soft_build *bd)
{
	struct soft_block *b = new_block(c);

	*b = bd->head;
	b->nops = bd->nops;
	b->patience = (uint16_t)soft_cache_patience(c, b->backing);
	if (!bd->lean)
		attach(c, bd, b);
	add_block(c, b);
	soft_cache_sweep(c);
	return b;
}

/* ---- Parts ---------------------------------------------------------------------------------- */

static unsigned next_part(const struct soft_cache *c)
{
	return (c->part + 1) % PARTS;
}

/* A block is too old. */
static void drop(struct soft_cache *c, struct soft_block *b)
{
	SOFT_COUNT_ALL(c->e, blocks_dropped);
	block_kill(c, b);
	for (unsigned k = 0; k < 2; k++) {
		if (b->page[k] != SOFT_NO_PAGE && !c->by_page[b->page[k]])
			page_refresh(c, b->page[k]);
	}
}

/* The first `n` blocks of the next part are dead. With the lock. */
static void sweep(struct soft_cache *c, size_t n)
{
	struct soft_block *first = &c->heads[next_part(c) * c->part_blocks];

	for (; c->swept < n; c->swept++) {
		if (atomic_load(&first[c->swept].valid))
			drop(c, &first[c->swept]);
	}
}

#define HALF 512u /* of a part */

void soft_cache_sweep(struct soft_cache *c)
{
	size_t old = c->blocks[next_part(c)];
	size_t full = c->blocks[c->part] * 2 * HALF / c->part_blocks, code;

	if (!old)
		return;
	code = c->e->jit ? jit_used(c->e->jit, 2 * HALF) : 0;
	full = max_u64(full, code);
	if (full > HALF)
		sweep(c, old * (full - HALF) / HALF);
}

/* With the lock, in an exclusive section. */
static void use_next_part(struct soft_cache *c)
{
	SOFT_COUNT_ALL(c->e, parts_dropped);
	sweep(c, c->blocks[next_part(c)]);
	c->part = next_part(c);
	c->blocks[c->part] = c->swept = 0;
	fill_heads_of(c);
	c->e->freed++;
	if (c->e->jit)
		jit_cache_use_part(c->e->jit, c->part);
}

/* Forget operations, whose block decodes them anew if S1 is to run it; lockstep always has them. */
static void drop_ops(struct soft_cache *c, struct ops_head *h)
{
	const struct soft_op *ops = (const struct soft_op *)(h + 1);

	for (unsigned i = 0; i < c->e->cfg.cpus; i++) {
		struct soft_jcache_ent *j = soft_jcache_slot(c->e->cpus[i], h->lin);

		if (j->ops == ops)
			j->key = 0;
	}
	if (h->owner->ops != ops)
		return;
	if (c->e->cfg.soft.check && atomic_load(&h->owner->valid))
		drop(c, h->owner);
	h->owner->ops = NULL;
}

/* With the lock, in an exclusive section. */
static void use_next_arena_part(struct soft_cache *c)
{
	unsigned next = (c->arena_part + 1) % ARENA_PARTS;
	uint8_t *at = c->arena + next * ARENA_PART_BYTES, *end = at + c->arena_used[next];

	SOFT_COUNT_ALL(c->e, arena_dropped);
	while (at < end) {
		struct ops_head *h = (struct ops_head *)at;

		at += h->bytes;
		drop_ops(c, h);
	}
	c->arena_part = next;
	c->arena_used[next] = 0;
	c->arena_short = false;
	c->e->freed++;
}

/* Make room, unless another vCPU has while this one waited. `bd`: for this; NULL: for code. */
static void make_room(struct soft_cache *c, struct soft_cpu *cpu, const struct soft_build *bd)
{
	struct soft_stats_all *st = &c->e->stats;
	uint64_t asked = __builtin_ia32_rdtsc(), start, end;

	soft_exclusive_begin(cpu);
	start = __builtin_ia32_rdtsc();
	pthread_mutex_lock(&c->lock);
	if (heads_full(c) || (c->e->jit && jit_full(c->e->jit)))
		use_next_part(c);
	if (c->arena_short || (bd && arena_full(c, bd)))
		use_next_arena_part(c);
	end = __builtin_ia32_rdtsc();
	st->longest_drop = max_u64(st->longest_drop, end - start);
	st->longest_stop = max_u64(st->longest_stop, end - asked);
	pthread_mutex_unlock(&c->lock);
	soft_exclusive_end(cpu);
}

void soft_cache_next_part(struct soft_cache *c, struct soft_cpu *cpu)
{
	make_room(c, cpu, NULL);
}

/* ---- Placing -------------------------------------------------------------------------------- */

struct soft_block *soft_cache_commit(struct soft_cache *c, struct soft_cpu *cpu,
				     const struct soft_build *bd)
{
	struct soft_block *b = NULL;
	bool no_room = false;

	pthread_mutex_lock(&c->lock);
	if (!overtaken(c, bd)) {
		b = find_same(c, &bd->head);
		no_room = c->arena_short || (!b && heads_full(c)) ||
			  ((!b || !b->ops) && arena_full(c, bd));
		if (no_room)
			b = NULL;
		else if (!b)
			b = place(c, bd);
		else if (!b->ops && !bd->lean)
			attach(c, bd, b);
	}
	pthread_mutex_unlock(&c->lock);
	if (no_room)
		make_room(c, cpu, bd);
	return b;
}

void soft_cache_attach(struct soft_cache *c, struct soft_block *b, const struct soft_build *bd)
{
	pthread_mutex_lock(&c->lock);
	c->arena_short |= arena_full(c, bd);
	if (atomic_load(&b->valid) && !b->ops && !bd->lean && !overtaken(c, bd) &&
	    !arena_full(c, bd))
		attach(c, bd, b);
	pthread_mutex_unlock(&c->lock);
}

/* ---- Entries in the middle ------------------------------------------------------------------ */

static uint64_t *op_starts(const struct soft_cache *c, uint64_t backing)
{
	uint64_t h = (backing >> PAGE_BITS) * 0x9e3779b97f4a7c15ull >> (64 - OP_PAGE_BITS);

	return &c->op_starts[(h << PAGE_BITS | (backing & ~PAGE_MASK)) >> 6];
}

void soft_cache_note_op(struct soft_cache *c, uint64_t backing)
{
	__atomic_fetch_or(op_starts(c, backing), 1ull << (backing & 63), __ATOMIC_RELAXED);
}

bool soft_cache_has_op(const struct soft_cache *c, uint64_t backing)
{
	return __atomic_load_n(op_starts(c, backing), __ATOMIC_RELAXED) >> (backing & 63) & 1;
}

/* Places for the last blocks with bytes of a line, the newest first. */
static struct soft_block **line_slots(struct soft_cache *c, uint64_t backing, gva_t lin,
				      uint32_t mode)
{
	uint64_t h = backing >> 6 ^ lin >> PAGE_BITS << 24 ^ (uint64_t)mode << 48;

	h = h * 0x9e3779b97f4a7c15ull >> (64 - CACHE_LINE_BITS);
	return &c->around[h * LINE_WAYS];
}

static void note_lines(struct soft_cache *c, struct soft_block *b)
{
	uint64_t start = b->page[0] << PAGE_BITS;

	for (uint64_t rest = b->lines[0]; rest; rest &= rest - 1) {
		uint64_t line = start + 64u * (unsigned)__builtin_ctzll(rest);
		struct soft_block **slot = line_slots(c, line, b->lin, b->mode);

		for (unsigned i = LINE_WAYS - 1; i > 0; i--)
			slot[i] = slot[i - 1];
		slot[0] = b;
	}
}

struct soft_block *soft_cache_around(struct soft_cache *c, const struct soft_cpu *cpu, gva_t lin,
				     uint64_t backing, unsigned *seen)
{
	struct soft_block **slot = line_slots(c, backing, lin, cpu->mode);
	unsigned line = (unsigned)(backing & ~PAGE_MASK) >> 6;

	while (*seen < LINE_WAYS) {
		struct soft_block *b = slot[(*seen)++];

		if (b && atomic_load(&b->valid) && b->page[0] == backing >> PAGE_BITS &&
		    b->page[1] == SOFT_NO_PAGE && b->mode == cpu->mode &&
		    b->cs_key == cpu->cs_key && !((b->lin ^ lin) & PAGE_MASK) &&
		    (b->lines[0] >> line & 1))
			return b;
	}
	return NULL;
}

struct soft_block *soft_cache_add_entry(struct soft_cache *c, const struct soft_block *in,
					gva_t lin, uint64_t backing)
{
	struct soft_block *b;

	if (heads_full(c))
		return NULL;
	b = new_block(c);
	*b = *in;
	b->lin = lin;
	b->backing = backing;
	b->nops = 0;
	b->ops = NULL;
	b->jit = b->old = NULL;
	add_block(c, b);
	return b;
}

/* ---- Kin ------------------------------------------------------------------------------------ */

static struct soft_block **kin_slot(struct soft_cache *c, uint64_t backing, uint32_t mode)
{
	uint64_t h = (backing ^ (uint64_t)mode << 40) * 0x9e3779b97f4a7c15ull;

	return &c->kin[h >> (64 - CACHE_KIN_BITS)];
}

struct soft_block *soft_cache_kin(struct soft_cache *c, uint64_t backing, uint32_t mode,
				  uint64_t cs_key)
{
	struct soft_block *b = *kin_slot(c, backing, mode);

	return b && atomic_load(&b->valid) && b->backing == backing && b->mode == mode &&
			       b->cs_key == cs_key && b->page[1] == SOFT_NO_PAGE && b->jit &&
			       b->jit->nops
		       ? b
		       : NULL;
}

void soft_cache_note_jit(struct soft_cache *c, struct soft_block *b)
{
	*kin_slot(c, b->backing, b->mode) = b;
	if (b->page[1] == SOFT_NO_PAGE)
		note_lines(c, b);
}
