// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Every slow path of guest memory: TLB misses, page faults, page-crossing and MMIO accesses, code
 * invalidation, data breakpoints, alignment checks, segment checks.
 * Source: Intel SDM 3A §5.3 (limit checks), §17.2.4 (data breakpoints). Threads: the vCPU's own.
 * The TLB itself and its invariants: mmu_tlb.c.
 */
#include "engine/soft/mmu_int.h"

#include "engine/soft/block.h"
#include "engine/soft/check.h"
#include "engine/soft/debugger.h"
#include "engine/soft/interp.h"
#include "engine/soft/trace.h"

/* ---- Filling -------------------------------------------------------------------------------- */

_Noreturn static void raise_pf(struct soft_cpu *cpu, gva_t lin, uint32_t error)
{
	struct soft_event ev = {.vector = VEC_PF, .has_error = true, .error = error};

	if (log_on(LOG_MMU))
		soft_trace_fault(cpu, lin, error);
	cpu->s.cr2 = lin;
	soft_raise_event(cpu, &ev);
}

/* Does an enabled data breakpoint (RW = 1 or 3), or a debugger, watch this page? */
static bool page_watched(const struct soft_cpu *cpu, gva_t lin)
{
	uint64_t dr7 = cpu->s.dr[7];

	if (soft_watched_page(cpu->e, lin))
		return true;
	for (unsigned i = 0; (dr7 & 0xff) && i < 4; i++) {
		if ((dr7 >> (2 * i) & 3) && ((cpu->s.dr[i] ^ lin) & ~0xfffull) == 0)
			return true;
	}
	return false;
}

/* The page that the walk for `lin` came to, entered in the TLB as far as it may be. */
static struct soft_page enter_page(struct soft_cpu *cpu, enum soft_view view, gva_t lin,
				   enum soft_access access, const struct mmu_walk *w)
{
	bool a20 = mem_a20(cpu->e->mem);
	struct soft_page pg = {.gpa = a20 ? w->gpa : w->gpa & ~(1ull << 20), .kind = MEM_MMIO};

	if (pg.gpa - cpu->device.gpa < cpu->device.len)
		return pg;
	pg.host = mmu_ram(cpu, pg.gpa);
	if (likely(pg.host)) {
		pg.kind = MEM_RAM;
		pg.backing = (uint64_t)(pg.host - cpu->e->ram);
	} else {
		struct mem_range r = mem_lookup(cpu->e->mem, pg.gpa);

		pg.kind = r.kind;
		if (r.kind == MEM_MMIO) {
			cpu->device.gpa = r.gpa;
			cpu->device.len = a20 ? r.len : 0;
			return pg;
		}
		pg.backing = r.ram_off + (pg.gpa - r.gpa);
		pg.host = cpu->e->ram + pg.backing;
	}
	if (access == SOFT_EXEC || likely(!page_watched(cpu, lin)))
		mmu_tlb_fill(cpu, view, lin, access, w, &pg);
	return pg;
}

struct soft_page soft_translate(struct soft_cpu *cpu, enum soft_view view, gva_t lin,
				enum soft_access access)
{
	struct mmu_walk w;

	if (cpu->walked.is) {
		cpu->walked.is = false;
		if (cpu->walked.lin == lin && cpu->walked.access == access &&
		    cpu->walked.view == view)
			return (struct soft_page){.gpa = cpu->walked.gpa, .kind = MEM_MMIO};
	}
	SOFT_COUNT_WALK(cpu, access);
	if (!mmu_walk(cpu, lin, view, access, &w))
		raise_pf(cpu, lin, w.error);
	return enter_page(cpu, view, lin, access, &w);
}

const uint8_t *soft_code_place(struct soft_cpu *cpu, gva_t lin)
{
	const uint8_t *p = soft_code_hit(cpu, lin);

	if (p)
		return p;
	soft_translate(cpu, soft_code_view(cpu), lin, SOFT_EXEC);
	return soft_code_hit(cpu, lin);
}

bool soft_tlb_try(struct soft_cpu *cpu, gva_t lin, enum soft_access access, struct soft_page *pg)
{
	struct mmu_walk w;

	pg->host = NULL;
	if (soft_mode64(cpu) && !soft_canonical(lin))
		return false;
	SOFT_COUNT_WALK(cpu, access);
	if (!mmu_walk(cpu, lin, (enum soft_view)cpu->view, access, &w))
		return false;
	*pg = enter_page(cpu, (enum soft_view)cpu->view, lin, access, &w);
	return soft_tlb_hit_in(cpu->tlb, cpu->tlb_gen, lin, 1, access) != NULL;
}

static struct soft_beside *beside_slot(struct soft_cpu *cpu, gva_t lin)
{
	return &cpu->beside[(lin >> PAGE_BITS) % SOFT_BESIDE];
}

static bool write_beside(struct soft_cpu *cpu, gva_t lin, unsigned len, const struct soft_beside *s)
{
	if ((cpu->mode & SOFT_MODE_AC) || page_watched(cpu, lin))
		return false;
	atomic_store(&cpu->direct, s->host);
	__atomic_fetch_or(&mem_page_flags(cpu->e->mem)[s->backing >> PAGE_BITS], MEM_PAGE_DIRTY,
			  __ATOMIC_SEQ_CST);
	return soft_cache_write_beside(cpu->e->cache, s->backing | (lin & ~PAGE_MASK), len);
}

bool soft_write_beside_code(struct soft_cpu *cpu, gva_t lin, unsigned len,
			    const struct soft_page *pg)
{
	struct soft_beside *s = beside_slot(cpu, lin);

	if (!pg->host || pg->kind != MEM_RAM)
		return false;
	*s = (struct soft_beside){.tag = (lin & PAGE_MASK) | cpu->tlb_gen,
				  .backing = pg->backing & PAGE_MASK,
				  .host = pg->host - (lin & ~PAGE_MASK),
				  .view = (uint8_t)cpu->view};
	return write_beside(cpu, lin, len, s);
}

uint8_t *soft_write_beside_again(struct soft_cpu *cpu, gva_t lin, unsigned len)
{
	const struct soft_beside *s = beside_slot(cpu, lin);

	if (s->tag != ((lin & PAGE_MASK) | cpu->tlb_gen) || s->view != cpu->view ||
	    !write_beside(cpu, lin, len, s))
		return NULL;
	return s->host + (lin & ~PAGE_MASK);
}

/* ---- Slow paths ----------------------------------------------------------------------------- */

/* Not canonical, or beyond the limit: #GP(0), or #SS(0) when the operand's segment is SS. */
_Noreturn static void raise_beyond(struct soft_cpu *cpu)
{
	bool ss = cpu->op && cpu->op->seg == SEG_SS;

	soft_raise_err(cpu, ss ? VEC_SS : VEC_GP, 0);
}

/* What #AC demands of an operand (SDM 3A table 6-7): its size; 8, 4 or 2 for x87's; of vectors, Intel nothing, AMD 16. */
static uint64_t alignment_mask(const struct soft_cpu *cpu, unsigned size)
{
	if (size == 10)
		return 7;
	if (size == 28 || size == 108)
		return 3;
	if (size == 14 || size == 94)
		return 1;
	if (size >= 16)
		size = size <= 32 && !soft_intel(cpu) ? 16 : 1;
	return size & (size - 1) ? 0 : size - 1;
}

static void check_address(struct soft_cpu *cpu, gva_t lin, unsigned size)
{
	if (soft_mode64(cpu) &&
	    (!soft_canonical(lin) || (size > 1 && !soft_canonical(lin + size - 1))))
		raise_beyond(cpu);
	/* Flat segments are not checked before; the end of their 4 GiB is, as by soft_seg_holds(). */
	if ((cpu->mode & SOFT_MODE_FLAT) && lin + size - 1 > 0xffffffff && !soft_intel(cpu) &&
	    !(cpu->op && (cpu->op->flags & SOFT_OP_SEGCHECK)))
		raise_beyond(cpu);
	if ((cpu->mode & SOFT_MODE_AC) && (lin & alignment_mask(cpu, size)))
		soft_raise_err(cpu, VEC_AC, 0);
}

/*
 * Note a hit of [lin, lin+size) on the data breakpoints; the trap comes after the instruction. A debugger may
 * want the instruction given up, so before anything is changed.
 */
static void note_watch(struct soft_cpu *cpu, gva_t lin, unsigned size, bool write)
{
	uint64_t dr7 = cpu->s.dr[7];

	soft_watch(cpu, lin, size, write);
	if (likely(!(dr7 & 0xff)))
		return;
	for (unsigned i = 0; i < 4; i++) {
		unsigned rw = dr7 >> (16 + 4 * i) & 3, enc = dr7 >> (18 + 4 * i) & 3;
		unsigned len = enc == 2 ? 8 : enc + 1;
		gva_t at = cpu->s.dr[i] & ~(uint64_t)(len - 1);

		if (!(rw & 1) || (rw == 1 && !write))
			continue;
		if (lin < at + len && at < lin + size)
			cpu->pending_dr6 |= 1ull << i;
	}
}

/*
 * `len` bytes at a translated place were written. The flags are looked at after the bytes are there
 * for all to see: block.h.
 */
static void after_write(struct soft_cpu *cpu, const struct soft_page *pg, unsigned len)
{
	uint8_t *flags = &mem_page_flags(cpu->e->mem)[pg->backing >> PAGE_BITS];

	if (__atomic_fetch_or(flags, MEM_PAGE_DIRTY, __ATOMIC_SEQ_CST) & MEM_PAGE_CODE)
		soft_cache_written(cpu->e->cache, pg->backing, len);
}

static void piece_read(struct soft_cpu *cpu, const struct soft_page *pg, uint8_t *buf, unsigned len)
{
	if (pg->kind != MEM_MMIO) {
		gp_memcpy(buf, pg->host, len);
		return;
	}
	for (unsigned done = 0; done < len;) {
		unsigned n = soft_mmio_chunk(pg->gpa + done, len - done);
		uint64_t v = soft_mmio_read(cpu, pg->gpa + done, n);

		gp_memcpy(buf + done, &v, n);
		done += n;
	}
}

static void piece_write(struct soft_cpu *cpu, const struct soft_page *pg, const uint8_t *buf,
			unsigned len)
{
	if (pg->kind == MEM_RAM) {
		soft_check_write(cpu, pg->host, len);
		gp_memcpy(pg->host, buf, len);
		after_write(cpu, pg, len);
		return;
	}
	/* Writes to ROM are somebody's commands (flash), or nobody's. */
	for (unsigned done = 0; done < len;) {
		unsigned n = soft_mmio_chunk(pg->gpa + done, len - done);
		uint64_t v = 0;

		gp_memcpy(&v, buf + done, n);
		soft_mmio_write(cpu, pg->gpa + done, v, n);
		done += n;
	}
}

/*
 * As soft_translate, but an entry that is there is used: another vCPU may be changing the page
 * tables, and an instruction whose operand was probed must not fault after it has changed state.
 */
static struct soft_page page_at(struct soft_cpu *cpu, enum soft_view view, gva_t lin,
				enum soft_access access)
{
	uint8_t *p = soft_tlb_hit_in(&cpu->views[view], soft_view_gen(cpu, view), lin, 1, access);

	if (!p)
		return soft_translate(cpu, view, lin, access);
	return (struct soft_page){.host = p,
				  .backing = (uint64_t)(p - cpu->e->ram),
				  .kind = MEM_RAM};
}

/* Any access of up to one page: both pages are translated before anything is transferred. */
static void access_slow(struct soft_cpu *cpu, enum soft_view view, gva_t lin, uint8_t *buf,
			unsigned len, enum soft_access access)
{
	unsigned first = (unsigned)min_u64(len, PAGE_BYTES - (lin & 0xfff));
	gva_t next = soft_lin_wrap(cpu, lin + first);
	struct soft_page a = page_at(cpu, view, lin, access), b = {0};

	if (first < len)
		b = page_at(cpu, view, next, access);
	note_watch(cpu, lin, len, access == SOFT_WRITE);
	if (access == SOFT_WRITE) {
		piece_write(cpu, &a, buf, first);
		if (first < len)
			piece_write(cpu, &b, buf + first, len - first);
	} else {
		piece_read(cpu, &a, buf, first);
		if (first < len)
			piece_read(cpu, &b, buf + first, len - first);
	}
}

/* A single aligned value in RAM is moved by one host access, so that other CPUs see it whole. */
static bool value_in_ram(struct soft_cpu *cpu, enum soft_view view, gva_t lin, unsigned size,
			 enum soft_access access, struct soft_page *pg)
{
	if ((lin & 0xfff) + size > PAGE_BYTES)
		return false;
	*pg = soft_translate(cpu, view, lin, access);
	note_watch(cpu, lin, size, access == SOFT_WRITE);
	return true;
}

static uint64_t load_view(struct soft_cpu *cpu, enum soft_view view, gva_t lin, unsigned size)
{
	struct soft_page pg;
	uint64_t v = 0;

	if (!value_in_ram(cpu, view, lin, size, SOFT_READ, &pg)) {
		access_slow(cpu, view, lin, (uint8_t *)&v, size, SOFT_READ);
		return v;
	}
	if (pg.kind == MEM_MMIO) {
		if (likely(soft_mmio_chunk(pg.gpa, size) == size))
			return soft_mmio_read(cpu, pg.gpa, size) & (~0ull >> (64 - 8 * size));
		piece_read(cpu, &pg, (uint8_t *)&v, size);
		return v;
	}
	return soft_host_load(pg.host, size);
}

static void store_view(struct soft_cpu *cpu, enum soft_view view, gva_t lin, uint64_t val,
		       unsigned size)
{
	struct soft_page pg;

	if (!value_in_ram(cpu, view, lin, size, SOFT_WRITE, &pg)) {
		access_slow(cpu, view, lin, (uint8_t *)&val, size, SOFT_WRITE);
	} else if (pg.kind != MEM_RAM) {
		if (likely(soft_mmio_chunk(pg.gpa, size) == size))
			soft_mmio_write(cpu, pg.gpa, val, size);
		else
			piece_write(cpu, &pg, (const uint8_t *)&val, size);
	} else {
		soft_check_write(cpu, pg.host, size);
		soft_host_store(pg.host, val, size);
		after_write(cpu, &pg, size);
	}
}

uint64_t soft_ld_slow(struct soft_cpu *cpu, gva_t lin, unsigned size)
{
	check_address(cpu, lin, size);
	return load_view(cpu, (enum soft_view)cpu->view, lin, size);
}

/* A hit for writing that tlb_wgen hides, which is when lockstep wants to hear of it. */
static uint8_t *hidden_hit(struct soft_cpu *cpu, gva_t lin, unsigned size)
{
	uint8_t *p = NULL;

	if (unlikely(cpu->check))
		p = soft_tlb_hit_in(cpu->tlb, cpu->tlb_gen, lin, size, SOFT_WRITE);
	if (p)
		soft_check_write(cpu, p, size);
	return p;
}

void soft_st_slow(struct soft_cpu *cpu, gva_t lin, uint64_t val, unsigned size)
{
	uint8_t *p = hidden_hit(cpu, lin, size);

	if (p) {
		soft_host_store(p, val, size);
		return;
	}
	check_address(cpu, lin, size);
	store_view(cpu, (enum soft_view)cpu->view, lin, val, size);
}

uint64_t soft_ld(struct soft_cpu *cpu, gva_t lin, unsigned size)
{
	const uint8_t *p = soft_tlb_hit(cpu, lin, size, SOFT_READ);

	return p ? soft_host_load(p, size) : soft_ld_slow(cpu, lin, size);
}

void soft_st(struct soft_cpu *cpu, gva_t lin, uint64_t val, unsigned size)
{
	uint8_t *p = soft_tlb_hit(cpu, lin, size, SOFT_WRITE);

	if (p)
		soft_host_store(p, val, size);
	else
		soft_st_slow(cpu, lin, val, size);
}

uint8_t soft_update_sys(struct soft_cpu *cpu, gva_t lin, uint8_t set, uint8_t clear)
{
	struct soft_page pg = page_at(cpu, SOFT_VIEW_SUPER, lin, SOFT_WRITE);
	uint8_t old;

	note_watch(cpu, lin, 1, true);
	if (pg.kind != MEM_RAM) {
		piece_read(cpu, &pg, &old, 1);
		old = (uint8_t)((old | set) & ~clear);
		piece_write(cpu, &pg, &old, 1);
		return old;
	}
	old = __atomic_load_n(pg.host, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(pg.host, &old, (uint8_t)((old | set) & ~clear), false,
					    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
	after_write(cpu, &pg, 1);
	return (uint8_t)((old | set) & ~clear);
}

uint64_t soft_ld_sys(struct soft_cpu *cpu, gva_t lin, unsigned size)
{
	const uint8_t *p =
		soft_tlb_hit_in(&cpu->views[SOFT_VIEW_SUPER], cpu->super_gen, lin, size, SOFT_READ);

	return p ? soft_host_load(p, size) : load_view(cpu, SOFT_VIEW_SUPER, lin, size);
}

void soft_st_sys(struct soft_cpu *cpu, gva_t lin, uint64_t val, unsigned size)
{
	uint8_t *p = soft_tlb_hit_in(&cpu->views[SOFT_VIEW_SUPER], cpu->super_gen, lin, size,
				     SOFT_WRITE);

	if (p)
		soft_host_store(p, val, size);
	else
		store_view(cpu, SOFT_VIEW_SUPER, lin, val, size);
}

static void probe_view(struct soft_cpu *cpu, enum soft_view view, gva_t lin, unsigned len,
		       enum soft_access access)
{
	for (unsigned done = 0; done < len;) {
		gva_t at = soft_lin_wrap(cpu, lin + done);
		unsigned n = (unsigned)min_u64(len - done, PAGE_BYTES - (at & 0xfff));

		if (!soft_tlb_hit_in(&cpu->views[view], soft_view_gen(cpu, view), at, 1, access))
			soft_translate(cpu, view, at, access);
		done += n;
	}
}

void soft_probe_write(struct soft_cpu *cpu, gva_t lin, unsigned len)
{
	check_address(cpu, lin, len);
	probe_view(cpu, (enum soft_view)cpu->view, lin, len, SOFT_WRITE);
}

void soft_probe_read(struct soft_cpu *cpu, gva_t lin, unsigned len)
{
	check_address(cpu, lin, len);
	probe_view(cpu, (enum soft_view)cpu->view, lin, len, SOFT_READ);
}

void soft_probe_write_sys(struct soft_cpu *cpu, gva_t lin, unsigned len)
{
	probe_view(cpu, SOFT_VIEW_SUPER, lin, len, SOFT_WRITE);
}

void soft_ld_bytes(struct soft_cpu *cpu, gva_t lin, void *buf, unsigned len)
{
	uint8_t *b = buf;

	soft_probe_read(cpu, lin, len);
	while (len) {
		unsigned n = (unsigned)min_u64(len, PAGE_BYTES - (lin & 0xfff));

		access_slow(cpu, (enum soft_view)cpu->view, lin, b, n, SOFT_READ);
		b += n;
		len -= n;
		lin = soft_lin_wrap(cpu, lin + n);
	}
}

void soft_st_bytes(struct soft_cpu *cpu, gva_t lin, const void *buf, unsigned len)
{
	const uint8_t *b = buf;

	soft_probe_write(cpu, lin, len);
	while (len) {
		unsigned n = (unsigned)min_u64(len, PAGE_BYTES - (lin & 0xfff));

		/* access_slow only reads the buffer when it writes the guest */
		access_slow(cpu, (enum soft_view)cpu->view, lin, (uint8_t *)(uintptr_t)b, n,
			    SOFT_WRITE);
		b += n;
		len -= n;
		lin = soft_lin_wrap(cpu, lin + n);
	}
}

/*
 * The caller will write the page by its host address, with no entry to take away. Code decoded from
 * it goes now; who decodes more of it before the next safepoint waits for that (block.h).
 */
static void announce_direct(struct soft_cpu *cpu, const struct soft_page *pg, unsigned len)
{
	uint8_t *flags = &mem_page_flags(cpu->e->mem)[pg->backing >> PAGE_BITS];

	atomic_store(&cpu->direct, pg->host - (pg->backing & ~PAGE_MASK));
	if (__atomic_fetch_or(flags, MEM_PAGE_DIRTY, __ATOMIC_SEQ_CST) & MEM_PAGE_CODE)
		soft_cache_written(cpu->e->cache, pg->backing, len);
}

void *soft_ptr(struct soft_cpu *cpu, gva_t lin, unsigned len, bool read, bool write)
{
	uint8_t *p = write ? hidden_hit(cpu, lin, len) : NULL;
	struct soft_page pg;

	if (!p)
		p = soft_tlb_hit(cpu, lin, len, write ? SOFT_WRITE : SOFT_READ);

	if (p)
		return p;
	check_address(cpu, lin, len);
	if ((lin & 0xfff) + len > PAGE_BYTES) {
		probe_view(cpu, (enum soft_view)cpu->view, lin, len,
			   write ? SOFT_WRITE : SOFT_READ);
		return NULL;
	}
	pg = soft_translate(cpu, (enum soft_view)cpu->view, lin, write ? SOFT_WRITE : SOFT_READ);
	if (pg.kind == MEM_MMIO || (write && pg.kind != MEM_RAM))
		return NULL;
	note_watch(cpu, lin, len, write);
	if (read && write)
		soft_watch(cpu, lin, len, false);
	if (write && !soft_tlb_hit_in(cpu->tlb, cpu->tlb_gen, lin, len, SOFT_WRITE))
		announce_direct(cpu, &pg, len);
	if (write)
		soft_check_write(cpu, pg.host, len);
	return pg.host;
}

bool soft_device_at(struct soft_cpu *cpu, gva_t lin, unsigned size, enum soft_access access,
		    gpa_t *gpa)
{
	struct soft_page pg = soft_translate(cpu, (enum soft_view)cpu->view, lin, access);

	*gpa = pg.gpa;
	return pg.kind == MEM_MMIO && !(pg.gpa & (size - 1)) && !page_watched(cpu, lin);
}

/* ---- Segmentation --------------------------------------------------------------------------- */

bool soft_seg_holds(const struct soft_cpu *cpu, const struct x86_seg *sg, uint64_t off,
		    unsigned size)
{
	uint64_t last = off + size - 1;
	const uint16_t kind = SEG_ATTR_S | SEG_ATTR_CODE | SEG_ATTR_EXPDOWN;

	if ((sg->attr & kind) == (SEG_ATTR_S | SEG_ATTR_EXPDOWN)) {
		uint64_t top = sg->attr & SEG_ATTR_DB ? 0xffffffffull : 0xffffull;

		return off > sg->limit && last <= top;
	}
	/*
	 * An operand that crosses the end of 4 GiB may be a fault or not (SDM 3A §5.3): on Intel's processors it
	 * goes on at 0 if the segment begins there.
	 */
	if (sg->base == 0 && sg->limit == 0xffffffff && soft_intel(cpu))
		return true;
	return last <= sg->limit;
}

static bool seg_type_ok(const struct soft_cpu *cpu, const struct x86_seg *sg, bool write)
{
	if (!(cpu->mode & SOFT_MODE_PE) || (cpu->mode & SOFT_MODE_VM86))
		return true; /* real mode and VM86 know limits only */
	if (sg->unusable)
		return false;
	if (sg->attr & SEG_ATTR_CODE)
		return !write && (sg->attr & SEG_ATTR_WRITE); /* bit 1: readable */
	return !write || (sg->attr & SEG_ATTR_WRITE);
}

void soft_seg_rooms(struct soft_cpu *cpu)
{
	bool typed = (cpu->mode & SOFT_MODE_PE) && !(cpu->mode & SOFT_MODE_VM86);
	const unsigned kind = SEG_ATTR_CODE | SEG_ATTR_EXPDOWN | SEG_ATTR_S;

	for (unsigned i = 0; i < SEG_COUNT; i++) {
		const struct x86_seg *sg = &cpu->s.seg[i];
		bool down = (sg->attr & kind) == (SEG_ATTR_EXPDOWN | SEG_ATTR_S);
		uint64_t room = down || (typed && sg->unusable) ? 0 : (uint64_t)sg->limit + 1;
		bool bit1 = !typed || (sg->attr & SEG_ATTR_WRITE); /* of code: readable */
		bool code = typed && (sg->attr & SEG_ATTR_CODE);

		cpu->seg_room[0][i] = bit1 || !code ? room : 0;
		cpu->seg_room[1][i] = bit1 && !code ? room : 0;
	}
}

gva_t soft_lin(struct soft_cpu *cpu, unsigned seg, uint64_t off, unsigned size, bool write)
{
	const struct x86_seg *sg = &cpu->s.seg[seg];

	if (soft_mode64(cpu)) {
		gva_t lin = cpu->segbase[seg] + off;

		if (!soft_canonical(lin) || (size > 1 && !soft_canonical(lin + size - 1)))
			soft_raise_err(cpu, seg == SEG_SS ? VEC_SS : VEC_GP, 0);
		return lin;
	}
	if (!seg_type_ok(cpu, sg, write) || (size && !soft_seg_holds(cpu, sg, off, size)))
		soft_raise_err(cpu, seg == SEG_SS ? VEC_SS : VEC_GP, 0);
	return (uint32_t)(sg->base + off);
}

gva_t soft_ea_lin(struct soft_cpu *cpu, const struct soft_op *op, unsigned size, bool write)
{
	return soft_lin(cpu, op->seg, soft_ea_off(cpu, op), size, write);
}

uint64_t soft_ea_off(const struct soft_cpu *cpu, const struct soft_op *op)
{
	const uint64_t *r = cpu->s.gpr;

	return (r[op->base] + (r[op->index] << op->scale) + (uint64_t)op->disp) & op->ea_mask;
}
