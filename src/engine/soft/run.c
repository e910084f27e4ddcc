// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The software engine's front: creation, the run loop, events between blocks, device accesses.
 * Source: Intel SDM 3A ch. 6 (event order: table 6-2), §9.1 (INIT), §8.4 (SIPI).
 * Threads: run() on the vCPU's own thread; kick, signal and has_work from any.
 * vCPUs run in parallel; what one may do to another, and when: exclusive.h.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "engine/soft/block.h"
#include "engine/soft/check.h"
#include "engine/soft/codemem.h"
#include "engine/soft/debugger.h"
#include "engine/soft/exclusive.h"
#include "engine/soft/interp.h"
#include "engine/soft/jit_int.h"
#include "engine/soft/mmu_int.h"
#include "engine/soft/perfmap.h"
#include "engine/soft/trace.h"

static struct soft_cpu *cpu_of(const struct vcpu *v)
{
	return (struct soft_cpu *)(uintptr_t)v;
}

/* ---- Raising -------------------------------------------------------------------------------- */

void soft_raise_event(struct soft_cpu *cpu, const struct soft_event *ev)
{
	cpu->event = *ev;
	_longjmp(cpu->unwind, 1);
}

void soft_raise(struct soft_cpu *cpu, uint8_t vector)
{
	struct soft_event ev = {.vector = vector};

	soft_raise_event(cpu, &ev);
}

void soft_raise_err(struct soft_cpu *cpu, uint8_t vector, uint32_t error)
{
	struct soft_event ev = {.vector = vector, .has_error = true, .error = error};

	soft_raise_event(cpu, &ev);
}

void soft_unwind(struct soft_cpu *cpu)
{
	_longjmp(cpu->unwind, 2);
}

void soft_restart(struct soft_cpu *cpu)
{
	_longjmp(cpu->unwind, 4);
}

void soft_fail(struct soft_cpu *cpu)
{
	_longjmp(cpu->unwind, 3);
}

void soft_request_exit(struct soft_cpu *cpu)
{
	soft_request(cpu, SOFT_REQ_EXIT);
}

/* ---- Mode ----------------------------------------------------------------------------------- */

static bool flat_data(const struct x86_seg *sg)
{
	return !sg->unusable && sg->base == 0 && sg->limit == 0xffffffff &&
	       (sg->attr & (SEG_ATTR_CODE | SEG_ATTR_WRITE | SEG_ATTR_EXPDOWN)) == SEG_ATTR_WRITE;
}

static bool flat_segments(const struct x86_state *s)
{
	const struct x86_seg *cs = &s->seg[SEG_CS];

	return cs->base == 0 && cs->limit == 0xffffffff && flat_data(&s->seg[SEG_SS]) &&
	       flat_data(&s->seg[SEG_DS]) && flat_data(&s->seg[SEG_ES]);
}

static uint32_t code_mode(const struct x86_state *s)
{
	bool pe = s->cr0 & CR0_PE, vm = s->rflags & FLAG_VM;
	uint32_t mode = 0;

	if ((s->efer & EFER_LMA) && (s->seg[SEG_CS].attr & SEG_ATTR_L))
		return SOFT_MODE_PE | SOFT_MODE_LMA | SOFT_MODE_CS64;
	if (s->efer & EFER_LMA)
		mode |= SOFT_MODE_LMA;
	if (pe)
		mode |= SOFT_MODE_PE;
	if (vm)
		mode |= SOFT_MODE_VM86;
	if (s->seg[SEG_CS].attr & SEG_ATTR_DB)
		mode |= SOFT_MODE_CS32;
	if (s->seg[SEG_SS].attr & SEG_ATTR_DB)
		mode |= SOFT_MODE_SS32;
	if (pe && !vm && flat_segments(s))
		mode |= SOFT_MODE_FLAT;
	return mode;
}

static bool fpu_restricted(const struct x86_state *s)
{
	if (s->cr0 & (CR0_EM | CR0_TS))
		return true;
	if (!(s->cr4 & CR4_OSFXSR) || !(s->cr4 & CR4_OSXSAVE))
		return true;
	return (s->xcr0 & 7) != 7;
}

/* The TLB holds no entries for watched pages, so it depends on the debug registers. */
static void check_debug_registers(struct soft_cpu *cpu)
{
	const struct x86_state *s = &cpu->s;
	uint64_t now[5] = {s->dr[0], s->dr[1], s->dr[2], s->dr[3], s->dr[7] & 0xffff00ff};

	if (!((now[4] | cpu->dr_seen[4]) & 0xff) || !gp_memcmp(now, cpu->dr_seen, sizeof(now)))
		return;
	gp_memcpy(cpu->dr_seen, now, sizeof(now));
	soft_tlb_flush(cpu);
}

/* When the key's bits are used up, the tables are emptied, lest an entry of ages ago match. */
void soft_code_new_epoch(struct soft_cpu *cpu)
{
	const unsigned bits = 64 - SOFT_MODE_BITS - SOFT_GEN_BITS - SOFT_MOVE_BITS - SOFT_CS_BITS;

	if (++cpu->code_epoch >> bits == 0)
		return;
	cpu->code_epoch = 1;
	gp_memset(cpu->jcache, 0, sizeof(cpu->jcache));
	gp_memset(cpu->jit_jc, 0, sizeof(cpu->jit_jc));
}

/* The table of generated code goes by instruction pointer, not by linear address. */
static void number_code_segment(struct soft_cpu *cpu)
{
	const unsigned n = 1u << SOFT_CS_BITS;

	if (likely(cpu->cs_keys[cpu->cs_id] == cpu->cs_key))
		return;
	for (unsigned i = 0; i < n; i++) {
		if (cpu->cs_keys[i] == cpu->cs_key) {
			cpu->cs_id = i;
			return;
		}
	}
	cpu->cs_id = cpu->cs_next++ % n;
	cpu->cs_keys[cpu->cs_id] = cpu->cs_key;
	soft_code_new_epoch(cpu);
}

void soft_mode_changed(struct soft_cpu *cpu)
{
	struct x86_state *s = &cpu->s;
	uint32_t mode = code_mode(s);
	bool user = (mode & SOFT_MODE_PE) && x86_cpl(s) == 3;

	if (user)
		mode |= SOFT_MODE_CPL3;
	else if ((mode & SOFT_MODE_PE) && x86_cpl(s))
		mode |= SOFT_MODE_CPL12;
	if (user && (s->cr0 & CR0_AM) && (s->rflags & FLAG_AC))
		mode |= SOFT_MODE_AC;
	if ((s->rflags & FLAG_TF) || (s->dr[7] & 0xff) || s->int_shadow || cpu->debug.step ||
	    cpu->debug.pass || cpu->debug.again)
		mode |= SOFT_MODE_STEP;
	if (fpu_restricted(s))
		mode |= SOFT_MODE_NOFPU;
	cpu->mode = mode;
	cpu->view = user					   ? SOFT_VIEW_USER
		    : (s->rflags & FLAG_AC) && (s->cr4 & CR4_SMAP) ? SOFT_VIEW_SUPER_AC
								   : SOFT_VIEW_SUPER;
	if (cpu->view == SOFT_VIEW_SUPER_AC)
		cpu->mode |= SOFT_MODE_VIEW_AC;
	cpu->tlb = mode & SOFT_MODE_AC ? &cpu->none : &cpu->views[cpu->view];
	cpu->tlb_gen = soft_view_gen(cpu, (enum soft_view)cpu->view);
	cpu->space_base = (uint64_t)(uintptr_t)cpu->view_space[cpu->view]->win;
	cpu->tlb_wgen = cpu->check ? SOFT_NO_GEN : cpu->tlb_gen;
	cpu->rip_mask = mode & SOFT_MODE_CS64 ? ~0ull : 0xffffffffull;
	cpu->cs_key = mode & SOFT_MODE_CS64
			      ? 0
			      : s->seg[SEG_CS].base ^ (uint64_t)s->seg[SEG_CS].limit << 32;
	number_code_segment(cpu);
	for (unsigned i = 0; i < SEG_COUNT; i++) {
		bool flat = (mode & SOFT_MODE_CS64) && i != SEG_FS && i != SEG_GS;

		cpu->segbase[i] = flat ? 0 : s->seg[i].base;
	}
	if (!(mode & SOFT_MODE_CS64))
		soft_seg_rooms(cpu);
	soft_code_key_changed(cpu);
	check_debug_registers(cpu);
}

/* ---- Device accesses ------------------------------------------------------------------------ */

static void device(struct soft_cpu *cpu)
{
	if (unlikely(cpu->check))
		soft_check_device(cpu);
}

uint64_t soft_pio_read(struct soft_cpu *cpu, uint16_t port, unsigned size)
{
	const struct engine_host *h = &cpu->e->cfg.host;
	enum soft_aside simd;
	uint64_t val;

	device(cpu);
	SOFT_COUNT(cpu, pio_read);
	simd = soft_fpu_aside(cpu);
	val = h->pio_read(h->opaque, port, size);
	soft_fpu_back(cpu, simd);
	return val;
}

void soft_pio_write(struct soft_cpu *cpu, uint16_t port, uint64_t val, unsigned size)
{
	const struct engine_host *h = &cpu->e->cfg.host;
	enum soft_aside simd;

	device(cpu);
	SOFT_COUNT(cpu, pio_write);
	simd = soft_fpu_aside(cpu);
	h->pio_write(h->opaque, port, val, size);
	soft_fpu_back(cpu, simd);
}

uint64_t soft_mmio_read(struct soft_cpu *cpu, gpa_t gpa, unsigned size)
{
	const struct engine_host *h = &cpu->e->cfg.host;
	enum soft_aside simd;
	uint64_t val;

	device(cpu);
	SOFT_COUNT(cpu, mmio_read);
	simd = soft_fpu_aside(cpu);
	val = h->mmio_read(h->opaque, cpu->index, gpa, size);
	soft_fpu_back(cpu, simd);
	return val;
}

void soft_mmio_write(struct soft_cpu *cpu, gpa_t gpa, uint64_t val, unsigned size)
{
	const struct engine_host *h = &cpu->e->cfg.host;
	enum soft_aside simd;

	device(cpu);
	SOFT_COUNT(cpu, mmio_write);
	simd = soft_fpu_aside(cpu);
	h->mmio_write(h->opaque, cpu->index, gpa, val, size);
	soft_fpu_back(cpu, simd);
}

uint64_t soft_mmio_string(struct soft_cpu *cpu, const struct engine_string *s)
{
	const struct engine_host *h = &cpu->e->cfg.host;
	enum soft_aside simd;
	uint64_t n;

	if (!h->mmio_string)
		return 0;
	device(cpu);
	if (s->reads && !s->from)
		SOFT_COUNT(cpu, mmio_read);
	if (!s->to)
		SOFT_COUNT(cpu, mmio_write);
	simd = soft_fpu_aside(cpu);
	n = h->mmio_string(h->opaque, cpu->index, s);
	soft_fpu_back(cpu, simd);
	return n;
}

/* ---- PAUSE ---------------------------------------------------------------------------------- */

/*
 * A vCPU that spins on a host with fewer CPUs than the guest has: let another thread run. Outside
 * meanwhile, so that nobody has to wait until this one is scheduled again.
 */
static void yield(struct soft_cpu *cpu)
{
	cpu->yield = false;
	soft_leave(cpu);
	sched_yield();
	soft_enter(cpu);
}

/* ---- Events between blocks ------------------------------------------------------------------ */

static void deliver(struct soft_cpu *cpu, const struct soft_event *ev)
{
	if (log_on(LOG_INT))
		soft_trace_event(cpu, ev);
	soft_stats_event(cpu, ev);
	if (soft_deliver(cpu, ev)) {
		cpu->s.int_shadow = 0;
		soft_mode_changed(cpu);
		return;
	}
	cpu->s.run_state = X86_SHUTDOWN;
	soft_request_exit(cpu);
}

static void start_ap(struct soft_cpu *cpu)
{
	uint8_t page = atomic_load(&cpu->sipi_vector);

	if (cpu->s.run_state != X86_WAIT_SIPI)
		return;
	cpu->s.seg[SEG_CS].sel = (uint16_t)(page << 8);
	cpu->s.seg[SEG_CS].base = (uint64_t)page << 12;
	cpu->s.rip = 0;
	cpu->s.run_state = X86_RUNNING;
	soft_mode_changed(cpu);
}

static void accept_requests(struct soft_cpu *cpu, uint32_t req)
{
	/* INTR is a level and KICK is the caller's: both stay. */
	atomic_fetch_and(&cpu->requests, ~(req & ~(SOFT_REQ_INTR | SOFT_REQ_KICK)));
	if (req & SOFT_REQ_FLUSH)
		soft_tlb_flush(cpu);
	if (req & SOFT_REQ_INIT) {
		soft_fpu_leave(cpu);
		x86_state_init_ipi(&cpu->s, cpu->index == 0);
		soft_tlb_flush(cpu);
		soft_mode_changed(cpu);
	}
	if (req & SOFT_REQ_SIPI)
		start_ap(cpu);
	if (req & SOFT_REQ_NMI)
		cpu->s.nmi_pending = true;
}

static void take_nmi(struct soft_cpu *cpu)
{
	struct soft_event ev = {.vector = VEC_NMI, .external = true};

	cpu->s.nmi_pending = false;
	cpu->s.nmi_blocked = true;
	cpu->s.run_state = X86_RUNNING;
	deliver(cpu, &ev);
}

static void take_interrupt(struct soft_cpu *cpu)
{
	const struct engine_host *h = &cpu->e->cfg.host;
	enum soft_aside simd = soft_fpu_aside(cpu);
	int vector = h->irq_ack(h->opaque, cpu->index);

	soft_fpu_back(cpu, simd);
	if (vector < 0) {
		return;
	}
	struct soft_event ev = {.vector = (uint8_t)vector, .external = true};

	cpu->s.run_state = X86_RUNNING;
	deliver(cpu, &ev);
}

/* Out of a saved state: KVM had asked for it. */
static void take_taken(struct soft_cpu *cpu)
{
	struct soft_event ev = {.vector = cpu->s.irq_vector, .external = true};

	cpu->s.irq_taken = false;
	deliver(cpu, &ev);
}

static void take_events(struct soft_cpu *cpu, uint32_t req)
{
	struct x86_state *s = &cpu->s;
	bool slept = s->run_state == X86_HALTED;

	if (s->nmi_pending && !s->nmi_blocked)
		take_nmi(cpu);
	else if ((req & SOFT_REQ_INTR) && (s->rflags & FLAG_IF))
		take_interrupt(cpu);
	if (unlikely(cpu->debug.step) && slept && s->run_state == X86_RUNNING)
		soft_debugger_after(cpu);
}

/* Look at everything that asked for attention. False: leave run() with *out. */
static bool service(struct soft_cpu *cpu, enum engine_exit *out)
{
	uint32_t req = atomic_load(&cpu->requests);
	struct x86_state *s = &cpu->s;

	accept_requests(cpu, req);
	if (req & SOFT_REQ_STOP)
		soft_pass(cpu);
	if (s->run_state == X86_SHUTDOWN) {
		*out = ENGINE_EXIT_SHUTDOWN;
		return false;
	}
	if (req & SOFT_REQ_DEBUG) {
		*out = ENGINE_EXIT_DEBUG;
		return false;
	}
	if (req & SOFT_REQ_KICK) {
		atomic_fetch_and(&cpu->requests, ~SOFT_REQ_KICK);
		SOFT_COUNT(cpu, kicks);
		*out = ENGINE_EXIT_KICK;
		return false;
	}
	if (s->run_state == X86_WAIT_SIPI) {
		*out = ENGINE_EXIT_HALT;
		return false;
	}
	if (unlikely(s->irq_taken))
		take_taken(cpu);
	if (!s->int_shadow && !(cpu->debug.step && s->run_state == X86_RUNNING))
		take_events(cpu, req);
	if (unlikely(atomic_load_explicit(&cpu->requests, memory_order_relaxed) & SOFT_REQ_DEBUG)) {
		atomic_fetch_and(&cpu->requests, ~SOFT_REQ_DEBUG);
		*out = ENGINE_EXIT_DEBUG;
		return false;
	}
	if (s->run_state == X86_HALTED) {
		SOFT_COUNT(cpu, halts);
		*out = ENGINE_EXIT_HALT;
		return false;
	}
	return true;
}

/* ---- The loop ------------------------------------------------------------------------------- */

/* The block at `lin`, by way of the TLB and the block cache; decoded if need be. */
static struct soft_block *find_slow(struct soft_cpu *cpu, gva_t lin)
{
	struct soft_block *b;

	/* Both come before paging has its say. */
	if (soft_mode64(cpu) ? !soft_canonical(lin) : cpu->s.rip > cpu->s.seg[SEG_CS].limit)
		soft_raise_err(cpu, VEC_GP, 0);

	const uint8_t *p = soft_code_place(cpu, lin);

	SOFT_COUNT(cpu, lookups);
	b = p ? soft_cache_find(cpu->e->cache, cpu, lin, (uint64_t)(p - cpu->e->ram)) : NULL;
	if (!b)
		b = soft_block_build(cpu, lin);
	if (b->page[0] != SOFT_NO_PAGE)
		soft_code_page_seen(cpu, lin);
	if (log_on(LOG_EXEC))
		soft_trace_block(cpu, b);
	else if (b->page[0] != SOFT_NO_PAGE && b->page[1] == SOFT_NO_PAGE && b->ops)
		*soft_jcache_slot(cpu, lin) = (struct soft_jcache_ent){.lin = lin,
								       .key = cpu->code_key,
								       .cs_key = cpu->cs_key,
								       .ops = b->ops};
	return b;
}

struct soft_block *soft_find_block(struct soft_cpu *cpu)
{
	return find_slow(cpu, (cpu->segbase[SEG_CS] + cpu->s.rip) & cpu->rip_mask);
}

void soft_run_ops(struct soft_cpu *cpu, const struct soft_op *op)
{
	cpu->op = op;
	do {
		op = atomic_load_explicit(&op->fn, memory_order_relaxed)(cpu, op);
	} while (op);
	cpu->op = NULL;
}

/* With the translator: generated code if there is some, S1 while a block is cold. */
static void run_translated(struct soft_cpu *cpu)
{
	struct soft_block *b;
	struct jit_block *jb;

	if (jit_enter_known(cpu))
		return;
	b = soft_find_block(cpu);
	jb = b->jit;
	if (!jb && jit_warm(cpu->e->jit, b)) {
		uint64_t freed = cpu->e->freed;

		jb = jit_translate(cpu, b);
		if (freed != cpu->e->freed)
			return; /* the cache has been emptied: look again */
				/*
		 * Else S1 runs it. Another vCPU may have the page for writing until its next
		 * safepoint, which may be never: it spins until this one has done something.
		 */
	}
	if (jb) {
		jit_enter(cpu, jb);
		return;
	}
	if (unlikely(!b->ops)) /* meant for S2, which cannot have it now */
		b = soft_block_build_ops(cpu, (cpu->segbase[SEG_CS] + cpu->s.rip) & cpu->rip_mask);
	atomic_fetch_add_explicit(&b->runs, 1, memory_order_relaxed);
	soft_run_ops(cpu, b->ops);
}

static inline void run_block(struct soft_cpu *cpu)
{
	gva_t lin = (cpu->segbase[SEG_CS] + cpu->s.rip) & cpu->rip_mask;
	const struct soft_jcache_ent *j = soft_jcache_slot(cpu, lin);
	const struct soft_op *op = j->ops;

	if (unlikely(j->lin != lin || j->key != cpu->code_key || j->cs_key != cpu->cs_key))
		op = find_slow(cpu, lin)->ops;
	soft_run_ops(cpu, op);
}

/* One instruction with traps to look for before and after it. */
static void run_step(struct soft_cpu *cpu)
{
	bool tf = cpu->s.rflags & FLAG_TF;

	cpu->op = NULL;
	if (!soft_debugger_before(cpu))
		return;
	if (!(cpu->s.int_shadow & X86_SHADOW_SS)) /* MOV SS holds its data breakpoints back */
		cpu->pending_dr6 = 0;
	soft_debug_before(cpu);
	cpu->s.int_shadow = 0;
	run_block(cpu);
	soft_mode_changed(cpu);
	soft_debug_after(cpu, tf);
	soft_debugger_after(cpu);
}

/*
 * At least one block, so that the guest goes on while something asks that must wait (an interrupt
 * that IF holds off), then as many as nothing asks.
 */
static void run_blocks(struct soft_cpu *cpu)
{
	do {
		if (unlikely(cpu->mode & SOFT_MODE_STEP))
			run_step(cpu);
		else if (unlikely(cpu->check))
			soft_check_run(cpu);
		else if (cpu->e->jit)
			run_translated(cpu);
		else
			run_block(cpu);
		if (unlikely(cpu->yield))
			yield(cpu);
	} while (!atomic_load_explicit(&cpu->requests, memory_order_relaxed));
}

/* Where soft_raise arrives. */
static void deliver_raised(struct soft_cpu *cpu)
{
	struct soft_event ev = cpu->event;

	if (cpu->op)
		cpu->s.rip = cpu->op->rip;
	cpu->op = NULL;
	soft_exclusive_abandon(cpu);
	deliver(cpu, &ev);
}

/*
 * Up to so many vCPUs have their tables, which are looked up at random, in huge pages, once they have left guest
 * code so often.
 */
#define DENSE_CPUS 8u
#define DENSE_AFTER 4u

static enum engine_exit soft_run(struct vcpu *v)
{
	struct soft_cpu *cpu = cpu_of(v);
	enum engine_exit out = ENGINE_EXIT_KICK;

	if (!soft_signals_thread_init(cpu)) {
		static const char text[] = "the host gives this vCPU's thread no signal stack; is "
					   "the process out of memory?";

		gp_memcpy(cpu->error, text, sizeof(text));
		return ENGINE_EXIT_ERROR;
	}
	/* Guests that are over in a moment do without. */
	if (cpu->runs <= DENSE_AFTER && cpu->runs++ == DENSE_AFTER &&
	    cpu->e->cfg.cpus <= DENSE_CPUS)
		soft_make_dense(cpu, sizeof(*cpu));
	soft_enter(cpu);
	int raised = _setjmp(cpu->unwind);

	atomic_store(&cpu->jit_in, false);
	cpu->walked.is = false;
	if (raised == 1)
		deliver_raised(cpu);
	if (raised == 4) {
		cpu->s.rip = cpu->op->rip;
		cpu->debug.again = true;
		soft_mode_changed(cpu);
	} else if (cpu->debug.inside) {
		soft_debugger_after(cpu);
	}
	cpu->op = NULL;
	soft_exclusive_abandon(cpu);
	if (raised == 3) {
		soft_leave(cpu);
		return ENGINE_EXIT_ERROR;
	}
	while (service(cpu, &out))
		run_blocks(cpu);
	soft_leave(cpu);
	return out;
}

/* ---- Signals from other threads ------------------------------------------------------------- */

static void soft_kick(struct vcpu *v)
{
	soft_request(cpu_of(v), SOFT_REQ_KICK);
}

static bool soft_alarm(struct vcpu *v, uint64_t deadline_ns)
{
	return soft_alarm_set(cpu_of(v), deadline_ns);
}

static void soft_signal(struct vcpu *v, enum vcpu_signal sig, uint8_t arg)
{
	struct soft_cpu *cpu = cpu_of(v);

	switch (sig) {
	case VCPU_SIGNAL_INTR_ON:
		soft_request(cpu, SOFT_REQ_INTR);
		break;
	case VCPU_SIGNAL_INTR_OFF:
		atomic_fetch_and(&cpu->requests, ~SOFT_REQ_INTR);
		break;
	case VCPU_SIGNAL_NMI:
		soft_request(cpu, SOFT_REQ_NMI);
		break;
	case VCPU_SIGNAL_INIT:
		/* A SIPI that came before it would have started what INIT now stops. */
		atomic_fetch_and(&cpu->requests, ~SOFT_REQ_SIPI);
		soft_request(cpu, SOFT_REQ_INIT);
		break;
	case VCPU_SIGNAL_SIPI:
		atomic_store(&cpu->sipi_vector, arg);
		soft_request(cpu, SOFT_REQ_SIPI);
		break;
	}
}

static bool soft_has_work(const struct vcpu *v)
{
	const struct soft_cpu *cpu = cpu_of(v);
	uint32_t req = atomic_load(&cpu->requests);

	if (req & (SOFT_REQ_KICK | SOFT_REQ_INIT))
		return true;
	switch (cpu->s.run_state) {
	case X86_WAIT_SIPI:
		return req & SOFT_REQ_SIPI;
	case X86_HALTED:
		return (req & SOFT_REQ_NMI) || (cpu->s.nmi_pending && !cpu->s.nmi_blocked) ||
		       ((req & SOFT_REQ_INTR) && (cpu->s.rflags & FLAG_IF));
	default:
		return true;
	}
}

static void map_changed(void *opaque)
{
	struct soft_engine *e = opaque;

	for (unsigned i = 0; i < e->cfg.cpus; i++)
		soft_request(e->cpus[i], SOFT_REQ_FLUSH);
}

static void watch_writes(void *opaque, uint64_t ram_off, uint64_t len)
{
	struct soft_engine *e = opaque;

	soft_cache_watch_writes(e->cache, ram_off, len);
}

/* DMA wrote pages with code. */
static void code_written(void *opaque, uint64_t ram_off, uint64_t len)
{
	struct soft_engine *e = opaque;

	while (len) {
		uint64_t n = min_u64(len, PAGE_BYTES - (ram_off & ~PAGE_MASK));

		soft_cache_written(e->cache, ram_off, n);
		ram_off += n;
		len -= n;
	}
}

/* ---- Life ----------------------------------------------------------------------------------- */

static struct vcpu *soft_vcpu(struct engine *engine, unsigned index)
{
	struct soft_engine *e = (struct soft_engine *)engine;

	return index < e->cfg.cpus ? (struct vcpu *)e->cpus[index] : NULL;
}

static struct x86_state *soft_state(struct vcpu *v)
{
	return &cpu_of(v)->s;
}

static void soft_state_changed(struct vcpu *v)
{
	struct soft_cpu *cpu = cpu_of(v);

	cpu->s.zero = 0;
	/* What was latched belonged to the state before; the INTR pin is its driver's. */
	atomic_fetch_and(&cpu->requests, ~(SOFT_REQ_NMI | SOFT_REQ_INIT | SOFT_REQ_SIPI));
	soft_tlb_flush(cpu);
	soft_mode_changed(cpu);
	if (cpu->check)
		cpu->check->dead_diff = 0;
}

static void soft_settle(struct vcpu *v)
{
	struct soft_cpu *cpu = cpu_of(v);
	uint32_t req =
		atomic_fetch_and(&cpu->requests, ~(SOFT_REQ_NMI | SOFT_REQ_INIT | SOFT_REQ_SIPI));

	cpu->s.nmi_pending |= (req & SOFT_REQ_NMI) != 0;
	cpu->s.init_pending = req & SOFT_REQ_INIT;
	cpu->s.sipi_pending = req & SOFT_REQ_SIPI;
	cpu->s.sipi_vector = cpu->s.sipi_pending ? atomic_load(&cpu->sipi_vector) : 0;
}

static const struct x86_cpuid *soft_cpuid(const struct engine *e)
{
	return ((const struct soft_engine *)e)->cfg.cpuid;
}

static const char *soft_error(const struct vcpu *v)
{
	return cpu_of(v)->error;
}

static struct soft_cpu *cpu_new(struct soft_engine *e, unsigned index)
{
	struct soft_cpu *cpu = soft_map_tables(sizeof(*cpu), e->cfg.cpus <= DENSE_CPUS);

	if (!cpu)
		return NULL;
	cpu->e = e;
	cpu->self = cpu;
	soft_spaces_init(cpu);
	cpu->index = index;
	cpu->code_epoch = 1;
	if (e->cfg.soft.check) {
		cpu->check = soft_check_new();
		if (!cpu->check) {
			soft_unmap_tables(cpu, sizeof(*cpu));
			return NULL;
		}
	}
	soft_tlb_flush(cpu);
	cpu->scratch = aligned_alloc(64, 4096);
	cpu->built = aligned_alloc(64, align_up(sizeof(*cpu->built), 64));
	if (!cpu->scratch || !cpu->built) {
		free(cpu->scratch);
		free(cpu->built);
		soft_check_free(cpu->check);
		soft_unmap_tables(cpu, sizeof(*cpu));
		return NULL;
	}
	cpu->built->block = NULL;
	x86_state_reset(&cpu->s, index == 0);
	soft_mode_changed(cpu);
	return cpu;
}

static size_t write_places_bytes(const struct soft_engine *e)
{
	return (mem_backing_bytes(e->mem) >> PAGE_BITS) * sizeof(*e->write_places);
}

static void soft_destroy(struct engine *engine)
{
	struct soft_engine *e = (struct soft_engine *)engine;
	struct mem_listener none = {0};

	if (!e)
		return;
	mem_set_listener(e->mem, &none);
	soft_stats_print(e);
	for (unsigned i = 0; e->cpus && i < e->cfg.cpus; i++) {
		if (!e->cpus[i])
			continue;
		soft_alarm_free(e->cpus[i]);
		free(e->cpus[i]->scratch);
		free(e->cpus[i]->built);
		soft_check_free(e->cpus[i]->check);
		soft_unmap_tables(e->cpus[i], sizeof(struct soft_cpu));
	}
	free(e->cpus);
	soft_ahead_destroy(&e->ahead);
	soft_cache_free(e->cache);
	soft_unmap_tables(e->write_places, write_places_bytes(e));
	jit_cache_free(e->jit);
	if (e->thunks)
		thunk_cache_free(e->thunks);
	soft_perf_free(e->perf);
	soft_exclusive_destroy(&e->exclusive);
	free(e);
}

static int engine_parts(struct soft_engine *e, struct lodge_err *err)
{
	int r = soft_signals_init(err);

	if (r < 0)
		return r;
	r = soft_perf_new(e->cfg.soft.perf, NULL, &e->perf, err);
	if (r < 0)
		return r;
	if (e->cfg.cpus > SOFT_MAX_CPUS)
		return err_set(err, -EINVAL, "the software engine has at most %u CPUs: use -smp %u",
			       SOFT_MAX_CPUS, SOFT_MAX_CPUS);
	if (e->cfg.soft.check && e->cfg.cpus > 1)
		return err_set(err, -EINVAL,
			       "check=on of -accel soft compares the tiers on one CPU only, since "
			       "others would see what is taken back: use -smp 1");
	e->write_places = soft_map_tables(write_places_bytes(e), false);
	if (!e->write_places)
		return err_set(err, -ENOMEM, "no address space for the soft TLB");
	e->cache = soft_cache_new(e, err);
	e->thunks = thunk_cache_new(err);
	if (!e->cache || !e->thunks)
		return -ENOMEM;
	thunk_cache_tell(e->thunks, e->perf);
	if (e->cfg.soft.tier == 2) {
		e->jit = jit_cache_new(e, e->cfg.soft.tb_size_mib, err);
		if (!e->jit)
			return -ENOMEM;
	}
	e->cpus = calloc(e->cfg.cpus, sizeof(*e->cpus));
	for (unsigned i = 0; e->cpus && i < e->cfg.cpus; i++) {
		e->cpus[i] = cpu_new(e, i);
		if (!e->cpus[i])
			return err_set(err, -ENOMEM, "no memory for CPU %u: use fewer with -smp",
				       i);
	}
	return e->cpus ? 0 : err_set(err, -ENOMEM, "no memory for the CPUs");
}

/* How many the process may use. */
static unsigned host_cpus(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

static struct engine *soft_create(const struct engine_config *cfg, struct lodge_err *err)
{
	struct soft_engine *e = calloc(1, sizeof(*e));
	unsigned host;

	if (!e) {
		err_set(err, -ENOMEM, "no memory for the software engine");
		return NULL;
	}
	e->cfg = *cfg;
	e->cfg.soft = engine_soft_options_fill(&cfg->soft);
	e->mem = cfg->mem;
	e->ram = mem_base(cfg->mem);
	soft_exclusive_init(&e->exclusive);
	soft_ahead_init(&e->ahead);
	soft_stats_start(e);
	/* Now: in the sandbox nobody may ask. */
	host = host_cpus();
	e->crowded = cfg->cpus > host;
	e->alone = host == 1;
	e->no_splits = soft_split_locks_dear();
	e->rotate_keeps_of = soft_rotate_keeps_of();
	if (engine_parts(e, err) < 0) {
		soft_destroy((struct engine *)e);
		return NULL;
	}

	struct mem_listener l = {.map_changed = map_changed,
				 .code_written = code_written,
				 .watch_writes = watch_writes,
				 .opaque = e};

	mem_set_listener(e->mem, &l);
	return (struct engine *)e;
}

static void soft_beside(struct engine *engine)
{
	struct soft_engine *e = (struct soft_engine *)engine;

	if (e->jit && !e->alone)
		soft_ahead_run(&e->ahead);
}

static void soft_beside_end(struct engine *engine)
{
	soft_ahead_stop(&((struct soft_engine *)engine)->ahead);
}

const struct engine_ops engine_soft = {
	.name = "soft",
	.create = soft_create,
	.destroy = soft_destroy,
	.vcpu = soft_vcpu,
	.run = soft_run,
	.kick = soft_kick,
	.signal = soft_signal,
	.alarm = soft_alarm,
	.has_work = soft_has_work,
	.state = soft_state,
	.state_changed = soft_state_changed,
	.settle = soft_settle,
	.cpuid = soft_cpuid,
	.error = soft_error,
	.debug = soft_op_debug,
	.debug_cpu = soft_op_debug_cpu,
	.debug_stop = soft_op_debug_stop,
	.counters = soft_stats_each,
	.beside = soft_beside,
	.beside_end = soft_beside_end,
};
