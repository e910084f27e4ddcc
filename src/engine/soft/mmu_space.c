// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Spaces: the windows that generated code looks into before the soft TLB. It fills those of data itself,
 * from the TLB's entries (jit_emit_miss); here is what empties them.
 * Threads: the vCPU's own; soft_spaces_drop_write from any.
 *
 * Invariants
 * 1. A window is filled only from a TLB entry that is good at that moment, and goes with it.
 * 2. A filled window's group has its byte in `used`, and a write window its byte in `hosts`: for write
 *    windows, which others look for, before the window is filled.
 * 3. A users' space belongs to one generation of the TLB, so a process finds its windows again.
 */
#include "engine/soft/mmu_int.h"

static void window_empty(struct soft_window *w)
{
	__atomic_store_n(&w->page, SOFT_WINDOW_EMPTY, __ATOMIC_RELEASE);
	__atomic_store_n(&w->host, SOFT_WINDOW_EMPTY, __ATOMIC_RELEASE);
}

/* The windows of a group: the slots, then those for reading, then those for writing. */
static struct soft_window *group_of(struct soft_space *s, unsigned group)
{
	return group ? &s->win[0][0] + (group - 1) * SOFT_WINDOW_GROUP : s->slot;
}

_Static_assert(SOFT_SLOTS == SOFT_WINDOW_GROUP, "the slots are a group");

static void clear_group(struct soft_space *s, unsigned group)
{
	uint64_t *at = &group_of(s, group)->page;
	uint64_t count = SOFT_WINDOW_GROUP * sizeof(struct soft_window) / 8;

	__asm__ volatile("rep stosq" : "+D"(at), "+c"(count) : "a"(SOFT_WINDOW_EMPTY) : "memory");
}

static void clear_used(struct soft_space *s)
{
	for (unsigned g = 0; g < SOFT_WINDOW_GROUPS; g++) {
		if (!s->used[g])
			continue;
		clear_group(s, g);
		s->used[g] = 0;
	}
	for (unsigned g = 0; g < SOFT_WINDOWS / SOFT_WINDOW_GROUP; g++) {
		if (!s->used_exec[g])
			continue;
		gp_memset(&s->exec[g * SOFT_WINDOW_GROUP], 0, SOFT_WINDOW_GROUP * 8);
		s->used_exec[g] = 0;
	}
	gp_memset(s->hosts, 0, sizeof(s->hosts));
}

void soft_spaces_init(struct soft_cpu *cpu)
{
	for (unsigned i = 0; i < SOFT_SPACES; i++) {
		struct soft_space *s = &cpu->spaces[i];

		clear_group(s, 0);
		window_empty(&s->win[SOFT_READ][0]);
		window_empty(&s->win[SOFT_WRITE][0]);
	}
	cpu->view_space[SOFT_VIEW_SUPER] = &cpu->spaces[0];
	cpu->view_space[SOFT_VIEW_SUPER_AC] = &cpu->spaces[1];
	cpu->view_space[SOFT_VIEW_USER] = &cpu->spaces[1 + SOFT_SPACE_USERS];
}

void soft_space_clear(struct soft_cpu *cpu, enum soft_view view)
{
	clear_used(cpu->view_space[view]);
}

void soft_spaces_clear(struct soft_cpu *cpu)
{
	for (unsigned i = 0; i < SOFT_SPACES; i++)
		clear_used(&cpu->spaces[i]);
	soft_spaces_end(cpu, 0);
}

void soft_spaces_end(struct soft_cpu *cpu, uint16_t gen)
{
	for (unsigned i = 1; i < SOFT_SPACES; i++) {
		if (!gen || cpu->spaces[i].gen == gen)
			cpu->spaces[i].gen = 0;
	}
}

/* The pair of a generation; else one that no generation has, else the next in turn. Its first half. */
static struct soft_space *pair_of(struct soft_cpu *cpu, uint16_t gen)
{
	struct soft_space *first = &cpu->spaces[1], *free = NULL;

	for (unsigned i = 0; i < SOFT_SPACE_USERS; i++) {
		if (first[i].gen == gen)
			return &first[i];
		if (!first[i].gen)
			free = &first[i];
	}
	return free ? free : &first[cpu->next_user++ % SOFT_SPACE_USERS];
}

static void use(struct soft_space *s, uint16_t gen)
{
	if (s->gen == gen)
		return;
	clear_used(s);
	s->gen = gen;
}

void soft_spaces_use(struct soft_cpu *cpu, uint16_t gen)
{
	struct soft_space *pair = pair_of(cpu, gen);

	cpu->view_space[SOFT_VIEW_SUPER_AC] = pair;
	cpu->view_space[SOFT_VIEW_USER] = pair + SOFT_SPACE_USERS;
	use(pair, gen);
	use(pair + SOFT_SPACE_USERS, gen);
	cpu->space_base = (uint64_t)(uintptr_t)cpu->view_space[cpu->view]->win;
}

static unsigned index_of(gva_t lin)
{
	return lin >> PAGE_BITS & (SOFT_WINDOWS - 1);
}

void soft_space_note_exec(struct soft_cpu *cpu, gva_t lin, uint64_t page)
{
	struct soft_space *s = cpu->view_space[cpu->view];
	unsigned at = index_of(lin);

	s->exec[at] = soft_exec_word(lin, page);
	s->used_exec[at / SOFT_WINDOW_GROUP] = 1;
}

/* All are looked at without a branch: hardly ever is it one of them. */
static bool in_slots(const struct soft_space *s, gva_t page)
{
	unsigned found = 0;

	for (unsigned i = 0; i < SOFT_SLOTS; i++)
		found |= s->slot[i].page == page;
	return found;
}

static void drop(struct soft_space *s, gva_t lin)
{
	unsigned at = index_of(lin);

	if ((s->exec[at] ^ soft_exec_word(lin, 0)) >> SOFT_EXEC_BITS == 0)
		s->exec[at] = 0;
	lin &= PAGE_MASK;
	for (unsigned a = 0; a < 2; a++) {
		if (s->win[a][at].page == lin)
			window_empty(&s->win[a][at]);
	}
	if (!s->used[0] || !in_slots(s, lin))
		return;
	for (unsigned i = 0; i < SOFT_SLOTS; i++) {
		if (s->slot[i].page == lin)
			window_empty(&s->slot[i]);
	}
}

void soft_space_drop_super(struct soft_cpu *cpu, gva_t lin)
{
	drop(cpu->view_space[SOFT_VIEW_SUPER], lin);
}

/* The slots of a space that is not in use now go as a whole: the next page then finds none. */
static void drop_aside(struct soft_cpu *cpu, struct soft_space *s, gva_t lin)
{
	if (s->used[0] && s != cpu->view_space[cpu->view]) {
		clear_group(s, 0);
		s->used[0] = 0;
	}
	drop(s, lin);
}

void soft_spaces_drop(struct soft_cpu *cpu, gva_t lin, bool everywhere)
{
	for (unsigned v = 0; v < SOFT_VIEWS; v++)
		drop_aside(cpu, cpu->view_space[v], lin);
	for (unsigned i = 1; everywhere && i < SOFT_SPACES; i++) {
		if (cpu->spaces[i].gen) /* else it is emptied before it is used */
			drop_aside(cpu, &cpu->spaces[i], lin);
	}
}

static void drop_in_group(struct soft_space *s, unsigned group, gva_t lin, uint64_t bytes)
{
	struct soft_window *w = group_of(s, group);

	for (unsigned i = 0; s->used[group] && i < SOFT_WINDOW_GROUP; i++) {
		if (w[i].page - lin < bytes)
			window_empty(&w[i]);
	}
}

static void drop_execs(struct soft_space *s, unsigned group, gva_t lin, uint64_t bytes)
{
	uint64_t first = soft_exec_word(lin, 0) >> SOFT_EXEC_BITS;
	uint64_t *e = &s->exec[group * SOFT_WINDOW_GROUP];

	for (unsigned i = 0; s->used_exec[group] && i < SOFT_WINDOW_GROUP; i++) {
		if ((e[i] >> SOFT_EXEC_BITS) - first < bytes >> PAGE_BITS)
			e[i] = 0;
	}
}

void soft_spaces_drop_range(struct soft_cpu *cpu, gva_t lin, uint64_t bytes)
{
	const unsigned groups = SOFT_WINDOWS / SOFT_WINDOW_GROUP;
	unsigned first = index_of(lin) / SOFT_WINDOW_GROUP;
	uint64_t n = min_u64(bytes >> PAGE_BITS, SOFT_WINDOWS) / SOFT_WINDOW_GROUP;

	for (unsigned i = 0; i < SOFT_SPACES; i++) {
		struct soft_space *s = &cpu->spaces[i];

		drop_in_group(s, 0, lin, bytes);
		for (unsigned g = first; g < first + n; g++) {
			drop_in_group(s, 1 + g % groups, lin, bytes);
			drop_in_group(s, 1 + groups + g % groups, lin, bytes);
			drop_execs(s, g % groups, lin, bytes);
		}
	}
}

/* Slots for reading that have one of the pages go as well, which is harmless. */
static bool drop_hosts(struct soft_window *w, const uint8_t *host, uint64_t bytes)
{
	bool had = false;

	for (unsigned i = 0; i < SOFT_WINDOW_GROUP; i++) {
		if (__atomic_load_n(&w[i].host, __ATOMIC_RELAXED) - (uintptr_t)host >= bytes)
			continue;
		window_empty(&w[i]);
		had = true;
	}
	return had;
}

/* May the space have a write window of one of the pages? */
static bool has_hosts(const struct soft_space *s, const uint8_t *host, uint64_t bytes)
{
	uint64_t first = (uintptr_t)host >> PAGE_BITS;
	uint64_t n = min_u64(bytes >> PAGE_BITS, SOFT_SPACE_HOSTS);

	for (uint64_t i = 0; i < n; i++) {
		if (__atomic_load_n(&s->hosts[(first + i) & (SOFT_SPACE_HOSTS - 1)],
				    __ATOMIC_RELAXED))
			return true;
	}
	return false;
}

bool soft_spaces_drop_write(struct soft_cpu *cpu, const uint8_t *host, uint64_t bytes)
{
	const unsigned writes = 1 + SOFT_WINDOWS / SOFT_WINDOW_GROUP;
	bool had = false;

	for (unsigned i = 0; i < SOFT_SPACES; i++) {
		struct soft_space *s = &cpu->spaces[i];

		if (!has_hosts(s, host, bytes))
			continue;
		had |= drop_hosts(s->slot, host, bytes);
		for (unsigned g = writes; g < SOFT_WINDOW_GROUPS; g++) {
			if (__atomic_load_n(&s->used[g], __ATOMIC_RELAXED))
				had |= drop_hosts(group_of(s, g), host, bytes);
		}
	}
	return had;
}
