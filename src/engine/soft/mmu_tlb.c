// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The soft TLB: generations, entries, invalidation.
 * Source: Intel SDM 3A §4.10 (TLBs), vol. 2 INVPCID.
 * Threads: the vCPU's own; soft_tlb_drop_write from any.
 *
 * Invariants
 * 1. An entry in the write table means: writable under this view, D set, plain RAM, no decoded code
 *    on the page, no data breakpoint near. Whatever breaks one of them must drop the entry.
 * 2. A tag carries a generation in its low 12 bits, and a flush is a new generation. Each PCID in use
 *    has one, for the user view and the one with SMAP lifted, so an address space comes back to its
 *    entries.
 * 3. The supervisor's view has a generation that outlives address spaces. Entries in it that are
 *    not of global pages are listed in cpu->local and dropped when CR3 is written.
 * 4. Tables are indexed by the page number, so entries of one address are in one slot, whatever
 *    their generation.
 * 5. A jump cache entry's code page is in code_seen.
 */
#include "engine/soft/mmu_int.h"

/* ---- Bits by hash ---------------------------------------------------------------------------- */

_Static_assert(SOFT_SEEN_BITS == 1u << 15, "two bits of each number, from a hash of 30");

static uint32_t seen_hash(uint64_t n)
{
	return (uint32_t)(n * 0x9e3779b97f4a7c15ull >> 34);
}

static void seen_set(uint64_t *map, uint64_t n)
{
	uint32_t h = seen_hash(n), a = h % SOFT_SEEN_BITS, b = h / SOFT_SEEN_BITS;

	map[a / 64] |= 1ull << (a % 64);
	map[b / 64] |= 1ull << (b % 64);
}

static bool seen(const uint64_t *map, uint64_t n)
{
	uint32_t h = seen_hash(n), a = h % SOFT_SEEN_BITS, b = h / SOFT_SEEN_BITS;

	return (map[a / 64] >> (a % 64) & 1) && (map[b / 64] >> (b % 64) & 1);
}

#define CODE_REGION (1ull << 63) /* code_seen: a page number, or this and the number of its 2 MiB */

void soft_code_page_seen(struct soft_cpu *cpu, gva_t lin)
{
	seen_set(cpu->code_seen, lin >> PAGE_BITS);
	seen_set(cpu->code_seen, CODE_REGION | lin >> 21);
}

/* No jump cache entry matches any more. */
static void forget_code(struct soft_cpu *cpu)
{
	SOFT_COUNT(cpu, code_moved);
	gp_memset(cpu->code_seen, 0, sizeof(cpu->code_seen));
	soft_code_moved(cpu);
}

/* ---- Generations ----------------------------------------------------------------------------- */

static unsigned current_pcid(const struct soft_cpu *cpu)
{
	return cpu->s.cr4 & CR4_PCIDE ? (unsigned)(cpu->s.cr3 & 0xfff) : 0;
}

static void tag_set(struct soft_tlb_ent *t, uint64_t tag)
{
	__atomic_store_n(&t->tag, tag, __ATOMIC_RELEASE);
}

/* ---- New generations ------------------------------------------------------------------------- */

/* A generation no entry carries. When the 12 bits are used up, every entry goes. */
static uint16_t new_generation(struct soft_cpu *cpu)
{
	if (++cpu->last_gen < SOFT_NO_GEN)
		return cpu->last_gen;
	SOFT_COUNT(cpu, tlb_gen_wrap);
	soft_spaces_clear(cpu);
	for (unsigned v = 0; v < SOFT_VIEWS; v++) {
		for (unsigned a = 0; a < 3; a++) {
			for (unsigned i = 0; i < SOFT_TLB_ENTRIES; i++)
				tag_set(&cpu->views[v].ent[a][i], 0);
		}
	}
	gp_memset(cpu->pcid_gen, 0, sizeof(cpu->pcid_gen));
	gp_memset(cpu->large_seen, 0, sizeof(cpu->large_seen));
	soft_code_new_epoch(cpu);
	cpu->super_gen = 1;
	cpu->last_gen = 2;
	return cpu->last_gen;
}

static void forget_beside(struct soft_cpu *cpu)
{
	for (unsigned i = 0; i < SOFT_BESIDE; i++)
		cpu->beside[i].tag = 0;
}

/* After a change of super_gen, pcid_gen or PCID. */
static void use_generations(struct soft_cpu *cpu)
{
	unsigned pcid = current_pcid(cpu);

	forget_beside(cpu);
	if (!cpu->pcid_gen[pcid]) {
		uint16_t gen = new_generation(cpu);

		cpu->pcid_gen[pcid] = gen;
	}
	cpu->space_gen = cpu->pcid_gen[pcid];
	soft_spaces_use(cpu, cpu->space_gen);
	cpu->tlb_gen = soft_view_gen(cpu, (enum soft_view)cpu->view);
	cpu->tlb_wgen = cpu->check ? SOFT_NO_GEN : cpu->tlb_gen;
	soft_code_key_changed(cpu);
}

/* The supervisor's entries of pages that are not global go. */
static void drop_local(struct soft_cpu *cpu)
{
	if (cpu->local.count > SOFT_TLB_LOCALS) {
		cpu->super_gen = new_generation(cpu);
		soft_space_clear(cpu, SOFT_VIEW_SUPER);
	} else {
		struct soft_tlb *tlb = &cpu->views[SOFT_VIEW_SUPER];

		for (unsigned i = 0; i < cpu->local.count; i++) {
			gva_t lin = cpu->local.page[i] & PAGE_MASK;
			enum soft_access access = (enum soft_access)(cpu->local.page[i] & 3);

			tag_set(soft_tlb_slot(tlb, access, lin), 0);
			soft_space_drop_super(cpu, lin);
		}
		if (cpu->local.code)
			forget_code(cpu);
	}
	cpu->local.count = 0;
	cpu->local.code = false;
}

static void drop_pcids(struct soft_cpu *cpu)
{
	soft_spaces_end(cpu, 0);
	if (cpu->many_pcids)
		gp_memset(cpu->pcid_gen, 0, sizeof(cpu->pcid_gen));
	cpu->many_pcids = false;
	cpu->pcid_gen[current_pcid(cpu)] = 0;
}

/* ---- Flushing -------------------------------------------------------------------------------- */

void soft_tlb_flush(struct soft_cpu *cpu)
{
	SOFT_COUNT(cpu, tlb_flush);
	drop_pcids(cpu);
	cpu->super_gen = new_generation(cpu);
	soft_space_clear(cpu, SOFT_VIEW_SUPER);
	cpu->local.count = 0;
	cpu->local.code = false;
	gp_memset(cpu->global_seen, 0, sizeof(cpu->global_seen));
	gp_memset(cpu->large_seen, 0, sizeof(cpu->large_seen));
	gp_memset(cpu->ram, 0, sizeof(cpu->ram));
	cpu->device.len = 0;
	use_generations(cpu);
}

void soft_tlb_flush_all_pcids(struct soft_cpu *cpu)
{
	SOFT_COUNT(cpu, tlb_flush_pcid);
	drop_pcids(cpu);
	drop_local(cpu);
	use_generations(cpu);
}

void soft_tlb_flush_pcid(struct soft_cpu *cpu, unsigned pcid)
{
	SOFT_COUNT(cpu, tlb_flush_pcid);
	soft_spaces_end(cpu, cpu->pcid_gen[pcid]);
	cpu->pcid_gen[pcid] = 0;
	if (pcid == current_pcid(cpu)) {
		drop_local(cpu);
		if (!cpu->many_pcids)
			gp_memset(cpu->large_seen[0], 0, sizeof(cpu->large_seen[0]));
	}
	use_generations(cpu);
}

void soft_tlb_switch(struct soft_cpu *cpu)
{
	SOFT_COUNT(cpu, tlb_switch);
	cpu->many_pcids = true;
	drop_local(cpu);
	use_generations(cpu);
}

/* Every entry of [lin, lin + bytes), which is aligned to its size. */
static void drop_range(struct soft_cpu *cpu, gva_t lin, uint64_t bytes)
{
	uint64_t n = min_u64(bytes >> PAGE_BITS, SOFT_TLB_ENTRIES);

	forget_beside(cpu);
	soft_spaces_drop_range(cpu, lin, bytes);
	for (unsigned v = 0; v < SOFT_VIEWS; v++) {
		for (unsigned a = 0; a < 3; a++) {
			/* The index of one page of the range differs from another's in low bits. */
			struct soft_tlb_ent *t =
				&cpu->views[v].ent[a][soft_tlb_index(lin) & ~(n - 1)];

			for (uint64_t i = 0; i < n; i++) {
				if (((t[i].tag ^ lin) & ~(bytes - 1)) == 0)
					tag_set(&t[i], 0);
			}
		}
	}
}

/*
 * What is looked up in large_seen for a page of `bytes` at `lin`: with the address space's generation, unless
 * it is global, so that what one process has there is nothing to the next.
 */
static uint64_t large_key(const struct soft_cpu *cpu, gva_t lin, uint64_t bytes, bool global)
{
	uint64_t key = (lin & ~(bytes - 1)) + (bytes >> 21);

	return global ? key : key ^ (uint64_t)cpu->space_gen << 52;
}

static bool code_in(const struct soft_cpu *cpu, gva_t lin, uint64_t bytes)
{
	if (bytes > 4ull << 20)
		return true;
	for (uint64_t at = 0; at < bytes; at += 2ull << 20) {
		if (seen(cpu->code_seen, CODE_REGION | (lin + at) >> 21))
			return true;
	}
	return false;
}

/* `lin` may be in a large page, whose entries are spread: they go. True: there may be code. */
static bool drop_large(struct soft_cpu *cpu, gva_t lin)
{
	static const uint64_t sizes[] = {2ull << 20, 4ull << 20, 1ull << 30};
	bool code = false;

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		gva_t start = lin & ~(sizes[i] - 1);

		if (!seen(cpu->large_seen[0], large_key(cpu, lin, sizes[i], false)) &&
		    !seen(cpu->large_seen[1], large_key(cpu, lin, sizes[i], true)))
			continue;
		SOFT_COUNT(cpu, tlb_invlpg_large);
		drop_range(cpu, start, sizes[i]);
		code = code || code_in(cpu, start, sizes[i]);
	}
	return code;
}

void soft_tlb_invlpg(struct soft_cpu *cpu, gva_t lin)
{
	bool code = drop_large(cpu, lin) || seen(cpu->code_seen, lin >> PAGE_BITS);

	SOFT_COUNT(cpu, tlb_invlpg);
	forget_beside(cpu);
	soft_spaces_drop(cpu, lin, seen(cpu->global_seen, lin >> PAGE_BITS));
	for (unsigned v = 0; v < SOFT_VIEWS; v++) {
		for (unsigned a = 0; a < 3; a++)
			tag_set(soft_tlb_slot(&cpu->views[v], (enum soft_access)a, lin), 0);
	}
	if (code)
		forget_code(cpu);
}

/* ---- Write entries by page ------------------------------------------------------------------- */

_Static_assert(SOFT_VIEWS *SOFT_TLB_ENTRIES < 0xffff, "a place, counted from 1, has 16 bits");

/* Before the entry is there. Partner: take_page, whose MEM_PAGE_CODE the filler looks at afterwards. */
static void note_place(struct soft_cpu *cpu, enum soft_view view, gva_t lin, uint64_t page)
{
	uint64_t *at = &cpu->e->write_places[page], old = __atomic_load_n(at, __ATOMIC_RELAXED);
	uint64_t place = 1 + (uint64_t)view * SOFT_TLB_ENTRIES + soft_tlb_index(lin), now;

	do {
		unsigned shift = 0;

		if (old == SOFT_WRITE_PLACES_MANY)
			return;
		for (uint64_t rest = old; rest; rest >>= 16, shift += 16) {
			if ((rest & 0xffff) == place)
				return;
		}
		now = shift < 64 ? old | place << shift : SOFT_WRITE_PLACES_MANY;
	} while (!__atomic_compare_exchange_n(at, &old, now, false, __ATOMIC_SEQ_CST,
					      __ATOMIC_RELAXED));
}

static bool drop_entry(struct soft_tlb_ent *t, const uint8_t *host, uint64_t bytes)
{
	uint64_t tag = __atomic_load_n(&t->tag, __ATOMIC_ACQUIRE);
	uint64_t addend = __atomic_load_n(&t->addend, __ATOMIC_RELAXED);

	if (!tag || (tag & PAGE_MASK) + addend - (uintptr_t)host >= bytes)
		return false;
	tag_set(t, 0);
	return true;
}

static bool drop_place(struct soft_cpu *cpu, uint64_t place, const uint8_t *host, uint64_t bytes)
{
	struct soft_tlb *tlb = &cpu->views[(place - 1) / SOFT_TLB_ENTRIES];

	return drop_entry(&tlb->ent[SOFT_WRITE][(place - 1) % SOFT_TLB_ENTRIES], host, bytes);
}

/*
 * An entry that its owner replaces at the same time may be dropped wrongly, which is harmless, or be
 * missed: then the owner is past every store by the old one.
 */
bool soft_tlb_drop_write(struct soft_cpu *cpu, const uint8_t *host, uint64_t bytes, uint64_t places)
{
	bool had = false;

	if (places != SOFT_WRITE_PLACES_MANY) {
		for (; places; places >>= 16)
			had |= drop_place(cpu, places & 0xffff, host, bytes);
	} else {
		for (unsigned i = 0; i < SOFT_VIEWS * SOFT_TLB_ENTRIES; i++)
			had |= drop_place(cpu, 1 + i, host, bytes);
	}
	/* A window filled from one of these at this moment is seen by its owner to be wrong. */
	atomic_thread_fence(memory_order_seq_cst);
	return soft_spaces_drop_write(cpu, host, bytes) || had;
}

/* ---- Filling --------------------------------------------------------------------------------- */

uint8_t *mmu_ram_find(struct soft_cpu *cpu, gpa_t gpa)
{
	bool a20 = mem_a20(cpu->e->mem);
	struct mem_range r = mem_lookup(cpu->e->mem, gpa);

	if (!a20)
		gpa &= ~(1ull << 20);
	if (r.kind != MEM_RAM || gpa - r.gpa >= r.len)
		return NULL;
	if (a20) { /* else ranges are not what they seem: look each time */
		cpu->ram[1] = cpu->ram[0];
		cpu->ram[0].gpa = r.gpa;
		cpu->ram[0].len = r.len;
		cpu->ram[0].host = cpu->e->ram + r.ram_off;
	}
	return cpu->e->ram + r.ram_off + (gpa - r.gpa);
}

static void tlb_set(struct soft_cpu *cpu, enum soft_view view, enum soft_access access, gva_t lin,
		    const uint8_t *host_page)
{
	struct soft_tlb_ent *t = soft_tlb_slot(&cpu->views[view], access, lin);

	tag_set(t, 0);
	__atomic_store_n(&t->addend, (uint64_t)(uintptr_t)host_page - (lin & PAGE_MASK),
			 __ATOMIC_RELEASE);
	tag_set(t, (lin & PAGE_MASK) | soft_view_gen(cpu, view));
}

/*
 * A write entry, unless the page has code. The entry comes first, then the flags are looked at:
 * soft_cache_mark_page sets its flag first, then looks for entries.
 */
static void tlb_set_write(struct soft_cpu *cpu, enum soft_view view, gva_t lin,
			  const uint8_t *host_page, uint64_t page)
{
	uint8_t *flags = &mem_page_flags(cpu->e->mem)[page];

	if (__atomic_load_n(flags, __ATOMIC_RELAXED) & MEM_PAGE_CODE)
		return;
	note_place(cpu, view, lin, page);
	tlb_set(cpu, view, SOFT_WRITE, lin, host_page);
	if (__atomic_fetch_or(flags, MEM_PAGE_DIRTY | MEM_PAGE_WRITABLE, __ATOMIC_SEQ_CST) &
	    MEM_PAGE_CODE)
		tag_set(soft_tlb_slot(&cpu->views[view], SOFT_WRITE, lin), 0);
}

/* One of the supervisor's tables now holds a page that is not global. */
static void note_local(struct soft_cpu *cpu, enum soft_access access, gva_t lin)
{
	if (access == SOFT_EXEC)
		cpu->local.code = true;
	if (cpu->local.count < SOFT_TLB_LOCALS)
		cpu->local.page[cpu->local.count] = (lin & PAGE_MASK) | access;
	if (cpu->local.count <= SOFT_TLB_LOCALS)
		cpu->local.count++;
}

void mmu_tlb_fill(struct soft_cpu *cpu, enum soft_view view, gva_t lin, enum soft_access access,
		  const struct mmu_walk *w, const struct soft_page *pg)
{
	const uint8_t *host_page = pg->host - (lin & ~PAGE_MASK);
	bool local = view == SOFT_VIEW_SUPER && !w->global;

	if (view != SOFT_VIEW_SUPER && w->global)
		seen_set(cpu->global_seen, lin >> PAGE_BITS);
	if (w->page_bytes > PAGE_BYTES)
		seen_set(cpu->large_seen[w->global], large_key(cpu, lin, w->page_bytes, w->global));
	if (access == SOFT_EXEC) {
		tlb_set(cpu, view, SOFT_EXEC, lin, host_page);
		if (local)
			note_local(cpu, SOFT_EXEC, lin);
		return;
	}
	if (w->may_read) {
		tlb_set(cpu, view, SOFT_READ, lin, host_page);
		if (local)
			note_local(cpu, SOFT_READ, lin);
	}
	if (w->may_write && w->dirty && pg->kind == MEM_RAM) {
		tlb_set_write(cpu, view, lin, host_page, pg->backing >> PAGE_BITS);
		if (local)
			note_local(cpu, SOFT_WRITE, lin);
	}
}
