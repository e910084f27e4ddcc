/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside the KVM engine: its structures, and what its files ask of each other. Private to
 * src/engine/kvm. Source: Linux, Documentation/virt/kvm/api.rst; <linux/kvm.h>.
 *
 * Where a vCPU's state is: in the kernel (WHERE_KERNEL), there and in `s` (WHERE_BOTH), or newer in
 * `s` (WHERE_STATE). It comes out when someone asks for it and goes back before the next KVM_RUN.
 *
 * Locks: kvm_cpu.lock guards `where` and the way out and in; nothing is called with it held.
 */
#ifndef LODGE_ENGINE_KVM_INT_H
#define LODGE_ENGINE_KVM_INT_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "engine/engine.h"

#define KVM_SLOTS_MAX 600u /* the memory map has up to 512 ranges */
#define KVM_CPUID_MAX 256u /* entries of KVM_GET_SUPPORTED_CPUID */
#define KVM_MSRS_MAX 96u
#define KVM_PINS ENGINE_PINS /* of the I/O APIC */

/* kvm_cpu.requests */
#define KVM_REQ_KICK 1u
#define KVM_REQ_INTR 2u
#define KVM_REQ_NMI 4u
#define KVM_REQ_INIT 8u
#define KVM_REQ_SIPI 16u

struct kvm_slot {
	gpa_t gpa;
	uint64_t len, off;
	bool rom, used;
	bool logs; /* the kernel notes which pages are written */
};

/* kvm_cpu.counts: stats.c names them. */
enum kvm_counter {
	COUNT_RUNS,
	COUNT_PIO,
	COUNT_MMIO,
	COUNT_MSR,
	COUNT_HALT,
	COUNT_WINDOW,
	COUNT_EOI,
	COUNT_KICK,
	COUNT_OTHER,
	COUNT_FETCH,
	COUNT_STORE,
	KVM_COUNTS
};

enum kvm_where { WHERE_KERNEL, WHERE_BOTH, WHERE_STATE };

struct kvm_engine;

struct kvm_cpu {
	struct kvm_engine *e;
	unsigned index;
	int fd;
	struct kvm_run *run;
	struct x86_state s;
	pthread_mutex_t lock;
	enum kvm_where where;
	_Atomic uint32_t requests;
	_Atomic uint8_t sipi_vector;
	/* In KVM_RUN, or about to: partner of kvm_poke and kvm_slots' stop. */
	_Atomic bool inside;
	_Atomic bool runs;  /* in run(): its state is not to be fetched */
	_Atomic bool if_on; /* interrupts are enabled, as of the last exit */
	bool unfinished;    /* the kernel has yet to take what an access gave */
	bool tpr_stale;	    /* run->cr8 is to be asked of the machine again */
	/* A debugger's: the kernel has to be told of its points and of `debug_step`. */
	bool debug_stale, debug_step, breaks_in;
	struct engine_stop stop;
	int thread;
	timer_t timer;
	bool has_timer;
	_Atomic uint64_t counts[KVM_COUNTS];
	uint64_t deadline; /* IA32_TSC_DEADLINE to be written once the TSC is; 0: none */
	uint64_t tsc_told; /* s.tsc_offset, as the kernel has it */
	struct kvm_held_timer {
		bool on;
		uint32_t initial, current;
		uint64_t deadline;
	} held; /* the local APIC's timer, while the clock stands still */
	char error[512];
};

struct kvm_engine {
	struct engine_config cfg;
	struct x86_cpuid cpuid; /* what is left of the model's */
	int dev, vm;
	size_t run_bytes;
	/* Guards slots and what is watched. Inside the VM lock, if that is held. */
	pthread_mutex_t slots_lock;
	unsigned slots_max, slot_count;
	/* What of the backing somebody asks about: of its RAM, and behind. */
	struct kvm_watched {
		uint64_t from, to;
	} watched[2];
	struct kvm_slot slots[KVM_SLOTS_MAX], wanted[KVM_SLOTS_MAX];
	bool has_sregs2, has_msr_exits, has_tsc_offset, has_smm, has_bells, has_any_bells,
		has_late_ports;
	uint64_t ring_off;	  /* of late writes, in kvm_cpu.run; 0: there is none */
	uint64_t late_writes;	  /* that were in it; with the VM lock */
	enum engine_irqchip chip; /* OFF, SPLIT or ON; else a wish */
	/* The 8254 as it was when the machine stopped, and when that was. */
	struct kvm_pit_state2 frozen_pit;
	uint64_t frozen_ns;
	struct kvm_routes *routes; /* with a chip: what the kernel was told */
	uint64_t xcr0;		   /* what guests may have */
	bool msr_ok[KVM_MSRS_MAX];
	uint64_t arch_caps;
	uint32_t pv_features, hv; /* what guests are told: KVM's, and enum x86_hyperv */
	bool stopped;		  /* the machine stands still; with the VM lock */
	uint64_t clock_ns;	  /* what its clock shows while it is stopped; with the VM lock */
	/* Memory slots go: nobody enters KVM_RUN. Under gate_lock, but looked at without. */
	_Atomic bool gate_shut;
	pthread_mutex_t gate_lock;
	pthread_cond_t gate_cond;
	/* Set once; then no vCPU runs again. broken_msg is written before. */
	_Atomic bool broken;
	char broken_msg[512];
	/* A debugger's, changed while no vCPU runs: those in debug registers, and those in memory. */
	struct engine_point points[4];
	unsigned n_points;
	struct kvm_break {
		gva_t lin;
		uint64_t off; /* in the backing */
		uint8_t was;
	} breaks[ENGINE_POINTS_MAX];
	unsigned n_breaks,
		breaks_users; /* vCPUs in run(), while the bytes are there: under breaks_lock */
	pthread_mutex_t breaks_lock;
	struct kvm_cpu **cpus;
	bool started; /* all of it is there */
};

/* ---- state.c: the same state in KVM's structures; no calls ------------------------------------ */

struct kvm_image {
	struct kvm_regs regs;
	struct kvm_sregs2 sregs; /* apic_base and cr8 are the caller's */
	struct kvm_xcrs xcrs;
	struct kvm_debugregs dr;
	struct kvm_vcpu_events ev;
	uint64_t msr[KVM_MSRS_MAX]; /* in the order of kvm_msr_index */
	struct kvm_xsave xsave;	    /* the last: it has no end of its own */
};

/* struct kvm_msrs, with room. */
struct kvm_msrs_room {
	uint32_t nmsrs, pad;
	struct kvm_msr_entry entry[KVM_MSRS_MAX];
};
_Static_assert(offsetof(struct kvm_msrs_room, entry) == sizeof(struct kvm_msrs), "as the kernel's");

/* One register at a time: KVM's list stops at the first it does not know. */
struct kvm_one_msr {
	uint32_t nmsrs, pad;
	struct kvm_msr_entry entry;
};

uint32_t kvm_msr_index(unsigned i);
unsigned kvm_msr_count(void);

/* `xcr0`: the components the kernel knows. */
void kvm_image_of_state(struct kvm_image *im, const struct x86_state *s, uint64_t xcr0);
void kvm_state_of_image(struct x86_state *s, const struct kvm_image *im);

/* ---- sync.c: between the kernel and `s` --------------------------------------------------------- */

/* Bring the state out (if it is not) or in (if `s` is newer). 0, or -errno with cpu->error set. */
int kvm_fetch(struct kvm_cpu *cpu) MUST_CHECK;
int kvm_store(struct kvm_cpu *cpu) MUST_CHECK;
int kvm_set_msr(const struct kvm_cpu *cpu, uint32_t msr, uint64_t val) MUST_CHECK;
/* 0 if there is none. */
uint64_t kvm_get_msr(const struct kvm_cpu *cpu, uint32_t msr);
/* Guest TSC = host TSC + s.tsc_offset, as of now. */
void kvm_store_tsc(struct kvm_cpu *cpu);
/* Which of kvm_msr_index this kernel has. */
void kvm_find_msrs(struct kvm_engine *e);

/* ---- paravirt.c ----------------------------------------------------------------------------------- */

/* struct kvm_cpuid2, with room. */
struct kvm_cpuid_room {
	uint32_t nent, pad;
	struct kvm_cpuid_entry2 entry[KVM_CPUID_MAX];
};
_Static_assert(offsetof(struct kvm_cpuid_room, entry) == sizeof(struct kvm_cpuid2),
	       "as the kernel's");

/* e->pv_features and KVM's leaves, from the wishes and the kernel's list; names of what it lacks go to `gone`. */
int kvm_pv_prepare(struct kvm_engine *e, const struct kvm_cpuid_room *l, char *gone, size_t size,
		   struct lodge_err *err) MUST_CHECK;
void kvm_pv_enforce(struct kvm_cpu *cpu);
/* The guest's clock goes by the TSC, which has moved. */
void kvm_clock_tsc_moved(struct kvm_cpu *cpu);
/* A leaf of guests' CPUID, made if there is none; NULL: no room. */
struct x86_cpuid_leaf *kvm_leaf(struct x86_cpuid *c, uint32_t leaf);
bool kvm_leaf_sign(struct x86_cpuid *c, uint32_t leaf, uint32_t last, const char signature[12]);
void kvm_gone_add(char *gone, size_t size, const char *name);

/* ---- pause.c -------------------------------------------------------------------------------------- */

extern const struct engine_clock_ops kvm_clock_ops;

/* ---- hyperv.c ------------------------------------------------------------------------------------- */

/* e->hv and Hyper-V's leaves; before kvm_pv_prepare. */
int kvm_hv_prepare(struct kvm_engine *e, struct lodge_err *err) MUST_CHECK;
int kvm_hv_set_up(struct kvm_cpu *cpu, struct lodge_err *err) MUST_CHECK;

/* ---- cpuid.c ------------------------------------------------------------------------------------ */

/* e->cpuid, e->xcr0, e->arch_caps from the model and the kernel; tells the person what had to go. */
int kvm_cpuid_prepare(struct kvm_engine *e, struct lodge_err *err) MUST_CHECK;
int kvm_cpuid_set(struct kvm_cpu *cpu, struct lodge_err *err) MUST_CHECK;
const struct kvm_cpuid_entry2 *kvm_cpuid_find(const struct kvm_cpuid_room *l, uint32_t leaf,
					      uint32_t sub);

/* ---- slots.c ------------------------------------------------------------------------------------ */

/* The slots as the memory map says. With the VM lock. Failure breaks the engine. */
void kvm_slots_update(struct kvm_engine *e);
/* Tell the kernel of slot `id`; its geometry may not change while it is there. 0 or -errno. With slots_lock. */
int kvm_slot_set(const struct kvm_engine *e, unsigned id, const struct kvm_slot *s,
		 bool there) MUST_CHECK;

/* ---- dirty.c ------------------------------------------------------------------------------------ */

/* The listener's: mem.h. */
void kvm_watch_writes(void *engine, uint64_t off, uint64_t len);
void kvm_sync_writes(void *engine, uint64_t off, uint64_t len);
/* Shall this slot log? With slots_lock. */
bool kvm_slot_is_watched(const struct kvm_engine *e, const struct kvm_slot *s);
/* What the kernel has noted of a slot, into the pages' flags. With slots_lock. */
void kvm_slot_take_log(struct kvm_engine *e, unsigned id);

/* ---- irqchip.c ------------------------------------------------------------------------------------ */

extern const struct engine_irqchip_ops kvm_irqchip_ops;
/* Before vCPUs are made: e->chip from the wish. */
int kvm_irqchip_create(struct kvm_engine *e, struct lodge_err *err) MUST_CHECK;
/* x86_state.run_state to and from the kernel, which has it along with the local APIC. 0 or -1. */
int kvm_fetch_run_state(struct kvm_cpu *cpu) MUST_CHECK;
int kvm_store_run_state(struct kvm_cpu *cpu) MUST_CHECK;
/* An armed TSC deadline, again: the TSC has moved. */
void kvm_rearm_deadline(struct kvm_cpu *cpu);
/* LINT1 is programmed to be an NMI. */
bool kvm_lint1_is_nmi(const struct kvm_cpu *cpu);

/* ---- apic_timer.c ------------------------------------------------------------------------------- */

/* engine_irqchip_ops.hold */
void kvm_timers_hold(struct engine *engine, bool on);
/* A local APIC's registers on their way out and in: those of a timer that is held. */
void kvm_timer_show(const struct kvm_cpu *cpu, struct engine_lapic *l);
void kvm_timer_take(struct kvm_cpu *cpu, struct engine_lapic *l);
/* The guest's clock may have been stopped since the vCPU ran: its TSC and its deadline. */
void kvm_clock_enter(struct kvm_cpu *cpu);

static inline bool kvm_has_chip(const struct kvm_engine *e)
{
	return e->chip != ENGINE_IRQCHIP_OFF;
}

/* ---- routes.c ----------------------------------------------------------------------------------- */

int kvm_routes_create(struct kvm_engine *e, struct lodge_err *err) MUST_CHECK;
void kvm_routes_free(struct kvm_engine *e);
/* Source `gsi` sends this message. Failure breaks the engine. */
void kvm_route_set(struct kvm_engine *e, unsigned gsi, uint64_t addr, uint32_t data);
/* Source `gsi` reaches a pin of a controller in the kernel, too; all that was said is told by kvm_routes_tell. */
void kvm_route_pin(struct kvm_engine *e, unsigned gsi, unsigned chip, unsigned pin);
void kvm_routes_tell(struct kvm_engine *e);
bool kvm_route_known(const struct kvm_engine *e, unsigned gsi);
/* engine_irqchip_ops: */
int kvm_way_open(struct engine *e);
void kvm_way_close(struct engine *e, int way);
bool kvm_way_send(struct engine *e, int way, uint64_t addr, uint32_t data);
void kvm_ways_settle(struct engine *e);
uint64_t kvm_ways_sent(const struct kvm_engine *e);

/* ---- fullchip.c ----------------------------------------------------------------------------------- */

int kvm_full_create(struct kvm_engine *e, struct lodge_err *err) MUST_CHECK;
void kvm_full_routes(struct kvm_engine *e);
/* The machine stands still; goes on. */
void kvm_full_stop(struct kvm_engine *e);
void kvm_full_go(struct kvm_engine *e);
/* engine_irqchip_ops: */
void kvm_full_line(struct engine *e, unsigned n, bool level);
void kvm_full_hpet_legacy(struct engine *e, bool on);
int kvm_full_get(struct engine *e, struct engine_chips *out) MUST_CHECK;
int kvm_full_set(struct engine *e, const struct engine_chips *in) MUST_CHECK;

/* ---- shortcut.c --------------------------------------------------------------------------------- */

extern const struct engine_shortcut_ops kvm_shortcut_ops;
void kvm_shortcuts_find(struct kvm_engine *e);

/* ---- exits.c ------------------------------------------------------------------------------------ */

enum kvm_next { NEXT_RUN, NEXT_HALT, NEXT_SHUTDOWN, NEXT_DEBUG, NEXT_ERROR };
enum kvm_next kvm_handle_exit(struct kvm_cpu *cpu);
enum kvm_next kvm_hv_exit(struct kvm_cpu *cpu);

/* ---- report.c ----------------------------------------------------------------------------------- */

/* cpu->error: the sentence, then registers and instruction bytes. */
void kvm_report(struct kvm_cpu *cpu, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void kvm_break(struct kvm_engine *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- run.c: engine.h's functions ------------------------------------------------------------------ */

enum engine_exit kvm_op_run(struct vcpu *v);
void kvm_op_kick(struct vcpu *v);
void kvm_op_signal(struct vcpu *v, enum vcpu_signal sig, uint8_t arg);
bool kvm_op_alarm(struct vcpu *v, uint64_t deadline_ns);
bool kvm_op_has_work(const struct vcpu *v);
struct x86_state *kvm_op_state(struct vcpu *v);
void kvm_op_settle(struct vcpu *v);
void kvm_op_state_changed(struct vcpu *v);
const char *kvm_op_error(const struct vcpu *v);

/* ---- stats.c ------------------------------------------------------------------------------------ */

static inline void kvm_count(struct kvm_cpu *cpu, enum kvm_counter n)
{
	/* Its own thread alone writes, but for COUNT_FETCH, where one less is no harm. */
	atomic_store_explicit(&cpu->counts[n],
			      atomic_load_explicit(&cpu->counts[n], memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

void kvm_count_exit(struct kvm_cpu *cpu, uint32_t reason);
void kvm_op_counters(const struct engine *engine, int cpu,
		     void (*fn)(void *opaque, const char *name, const char *what, uint64_t value),
		     void *opaque);
/* With LOG_STATS on, all of them. No vCPU runs any more. */
void kvm_stats_print(const struct kvm_engine *e);

/* ---- signals.c ---------------------------------------------------------------------------------- */

int kvm_signals_init(struct lodge_err *err) MUST_CHECK;
void kvm_signals_thread(struct kvm_cpu *cpu);
/* Out of KVM_RUN, or not into it, if it is there. Any thread, async-signal-safe. */
void kvm_poke(struct kvm_cpu *cpu);
bool kvm_alarm_set(struct kvm_cpu *cpu, uint64_t deadline_ns);
void kvm_alarm_free(struct kvm_cpu *cpu);

/* ---- debug.c ---------------------------------------------------------------------------------- */

int kvm_op_debug(struct engine *e, const struct engine_point *points, unsigned n,
		 struct lodge_err *err);
void kvm_op_debug_cpu(struct vcpu *v, unsigned how);
struct engine_stop kvm_op_debug_stop(const struct vcpu *v);
/* Before KVM_RUN: false with cpu->error set. After KVM_EXIT_DEBUG. */
bool kvm_debug_enter(struct kvm_cpu *cpu);
enum kvm_next kvm_debug_exit(struct kvm_cpu *cpu);

/* ---- breaks.c: breakpoints in guest memory ------------------------------------------------------ */

/* Is there memory at its address? Then it can be added to the list. */
bool kvm_break_can_be(const struct kvm_engine *e, const struct engine_point *p);
void kvm_break_add(struct kvm_engine *e, const struct engine_point *p);
bool kvm_break_is_at(const struct kvm_engine *e, gva_t lin);
/* Around run(): the bytes are in guest memory while somebody is inside. */
void kvm_breaks_enter(struct kvm_cpu *cpu);
void kvm_breaks_leave(struct kvm_cpu *cpu);

#endif
