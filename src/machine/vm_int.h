/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside the machine: the VM's structure, and what its files ask of each other. Private to
 * src/machine.
 *
 * Locks, outer first (docs/locking.md):
 *   vm->lock     the VM lock: devices, bus, memory map, event loop, character devices
 *   vm->run_lock who may run: vm->parked, vm->hold_count, vm->end. Nothing is called with it held.
 * An engine's own locks come after both.
 */
#ifndef LODGE_MACHINE_VM_INT_H
#define LODGE_MACHINE_VM_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "bus/bus.h"
#include "chardev/backend.h"
#include "engine/engine.h"
#include "io/loop.h"
#include "machine/board_pc.h"
#include "machine/ctl.h"
#include "machine/vm.h"
#include "mem/mem.h"
#include "x86/cpuid.h"

/* vm->pause: why vCPUs do not run. */
#define VM_PAUSE_REQUEST 1u /* main has something to do first: vm->requests */
#define VM_PAUSE_HOLD 2u    /* a back end waits for its client */
#define VM_PAUSE_STOPPED 4u /* powered off with -no-shutdown */
#define VM_PAUSE_QUIT 8u    /* threads end */
#define VM_PAUSE_IO 16u	    /* a disk failed, and werror= or rerror= says stop */
#define VM_PAUSE_USER 32u   /* somebody said stop, or -S */
#define VM_PAUSE_START 64u  /* not all threads are there yet */
#define VM_PAUSE_DEBUG 128u /* a debugger looks at the guest */
#define VM_PAUSE_LOOK 256u  /* for a moment: a monitor reads registers */
/* Those for which the guest's clock stands still. */
#define VM_PAUSE_CLOCK (VM_PAUSE_STOPPED | VM_PAUSE_IO | VM_PAUSE_USER | VM_PAUSE_DEBUG)

/* vm->requests */
#define VM_REQ_RESET 1u
#define VM_REQ_POWEROFF 2u
#define VM_REQ_END 4u
#define VM_REQ_CLOCK 8u /* the vCPUs stop, or have stopped: then the clock shall, too */

struct vm_cpu {
	struct vm *vm;
	unsigned index;
	struct vcpu *vcpu;
	pthread_t thread;
	bool started;
	_Atomic int tid; /* written by the thread when it begins */
	/* 1 while the thread sleeps or is about to; partner: vm_cpu_wake, vm_cpu_idle. */
	_Atomic uint32_t asleep;
	/* A debugger lets others go on alone. Written with run_lock while the vCPU is parked. */
	_Atomic bool held;
	struct engine_stop stop; /* what ended its last run, for the debugger; with run_lock */
	/* The debugger's: it knows of a breakpoint at debug_rip; it wrote the state. */
	bool debug_told, debug_changed;
	uint64_t debug_rip;
	uint64_t alarm_ns; /* when this thread is to fire timers, 0: never; its own */
};

struct vm {
	struct vm_config cfg;
	pthread_mutex_t lock;
	struct io_loop *loop;
	pthread_t io_thread, engine_thread;
	bool io_started, engine_started;
	struct mem *mem;
	struct bus *bus;
	struct x86_cpuid cpuid;
	const struct engine_ops *ops;
	struct engine *engine;
	struct chardev *serial[VM_SERIALS], *debugcon;
	struct chardev *console;       /* serial[0], as a hub; or NULL */
	bool serial_named[VM_SERIALS]; /* it belongs to chardevs */
	struct list chardevs;	       /* struct named_chardev */
	struct list monitors;	       /* struct monitor_pipe */
	void (*monitor_client)(void *opaque, enum vm_monitor_mode mode, int fd);
	void *monitor_opaque;
	bool stdio_taken;
	struct board *board;
	struct vnc *vnc; /* viewers over the network; the owner's, or NULL */
	struct vm_cpu *cpus;

	/* Set by any thread; partner: vm_cpu_main before each run. */
	_Atomic uint32_t pause;
	/* Set by any thread; partner: vm_service, woken by event_fd. */
	_Atomic uint32_t requests;
	int event_fd;
	_Atomic uint32_t reset_cause,
		end_cause;    /* enum vm_cause, written before the request's bit */
	_Atomic bool hurry;   /* written by vm_ctl_hurry(), read by whoever waits in ctl_block.c */
	bool launched;	      /* it has run; with the VM lock */
	bool debugged;	      /* a debugger is there; the monitors' threads */
	uint64_t stopped_tsc; /* the host's TSC when the clock stopped; 0: it goes */

	/* The save that goes on, or the last one (save_run.c). */
	struct {
		pthread_mutex_t lock; /* state, figures, start_ns, why */
		enum vm_save_state state;
		struct vm_saved figures;
		uint64_t start_ns;
		struct lodge_err why;
		pthread_t
			thread; /* these three: the control thread's, and main's when that has ended */
		bool started;
		char *path;
		bool runs, go_on;    /* it ran; it is to run after a failure. With the VM lock */
		_Atomic bool cancel; /* written by any, read by the save's thread */
		_Atomic bool spoilt; /* the same: the machine was reset */
	} save;

	/* Set before threads start. */
	void (*listener)(void *opaque, const struct vm_event *ev);
	void *listener_opaque;

	pthread_mutex_t run_lock;
	pthread_cond_t run_cond;    /* pause has lost a bit */
	pthread_cond_t parked_cond; /* parked has grown */
	unsigned parked, running;   /* vCPU threads that wait, that exist */
	unsigned hold_count;
	struct vm_end end;
	bool end_set;
};

/* ---- vm.c ------------------------------------------------------------------------------------- */

/* Main is to do it, with every vCPU parked. Any thread. */
void vm_request(struct vm *vm, uint32_t what);

/* ---- vcpu.c -----------------------------------------------------------------------------------
 */

/* Start the threads; those that started are joined by vm_cpus_join. */
int vm_cpus_start(struct vm *vm, struct lodge_err *err) MUST_CHECK;
void vm_cpus_join(struct vm *vm);
/* Set pause bits and make every vCPU notice. Any thread. */
void vm_pause(struct vm *vm, uint32_t why);
/*
 * Wait until every vCPU thread is parked; false when they end instead. Any thread but a vCPU's, pause set,
 * without the VM lock.
 */
bool vm_wait_parked(struct vm *vm);
void vm_resume(struct vm *vm, uint32_t why);
/* Signal a vCPU and wake its thread if it sleeps. Any thread. */
/* io_loop_set_alarm(): a vCPU's thread fires the timers it arms. */
bool vm_cpu_alarm(void *opaque, uint64_t deadline_ns);
void vm_cpu_signal(struct vm *vm, unsigned cpu, enum vcpu_signal sig, uint8_t arg);

/* ---- debug.c -------------------------------------------------------------------------------- */

/* A vCPU stopped for the debugger. Its thread. */
void vm_debug_hit(struct vm *vm, unsigned cpu);

/* ---- ctl_run.c ------------------------------------------------------------------------------ */

/* Tell whoever listens. Any thread, with or without the VM lock. */
void vm_tell(struct vm *vm, const struct vm_event *ev);
/* With every vCPU parked, and the VM lock: the guest's clock stops if VM_PAUSE_CLOCK says so. */
void vm_clock_stop_locked(struct vm *vm);
/* Pause for `why`, wait until every vCPU is parked, and stop the guest's clock. -ESHUTDOWN: the machine ends. */
int vm_stop_for(struct vm *vm, uint32_t why, struct lodge_err *err) MUST_CHECK;
/* With the VM lock: take back these bits of VM_PAUSE_CLOCK; when none is left, clock and vCPUs go on. */
void vm_go_locked(struct vm *vm, uint32_t why);
/* The host's TSC as the guest's is made of it. With the VM lock, or with the vCPUs parked. */
uint64_t vm_host_tsc(const struct vm *vm);

/* ---- ctl_look.c ----------------------------------------------------------------------------- */

/* Every vCPU is parked until vm_look_end(); the guest's clock goes on. As machine/ctl.h. */
int vm_look_begin(struct vm *vm, unsigned cpu, struct lodge_err *err) MUST_CHECK;
void vm_look_end(struct vm *vm);

/* ---- save_run.c ----------------------------------------------------------------------------- */

bool vm_save_goes_on(enum vm_save_state state);
/* Any thread: a save goes on, so the machine stays stopped. */
bool vm_is_being_saved(struct vm *vm);

/* ---- state_cpu.c: vCPUs as saved state ---------------------------------------------------------- */

#define STATE_CPU_BYTES 16384u
/* With every vCPU parked. Bytes, or -ENOSPC. */
long vm_cpu_save(struct vm *vm, unsigned cpu, uint8_t *buf, size_t cap) MUST_CHECK;
int vm_cpu_load(struct vm *vm, unsigned cpu, const uint8_t *buf, size_t len,
		struct lodge_err *err) MUST_CHECK;
/* CPUID: what guests see; and, over vm->cpuid as the options made it, what a saved guest saw. */
long vm_cpuid_save(const struct x86_cpuid *id, uint8_t *buf, size_t cap) MUST_CHECK;
int vm_cpuid_load(struct x86_cpuid *id, const uint8_t *buf, size_t len,
		  struct lodge_err *err) MUST_CHECK;

/* ---- restore.c ---------------------------------------------------------------------------------- */

/* cfg.restore against the rest of cfg, and CPUID from it. Once, before memory and engine. */
int vm_restore_begin(struct vm *vm, struct lodge_err *err) MUST_CHECK;
/* What a drive showed when the machine was saved. */
struct vm_saved_medium {
	struct props *
		known; /* NULL: the file says nothing of it; else whose the strings are, to be freed */
	const char *said;	   /* the path of its option; NULL: none */
	const char *path, *format; /* NULL: no medium */
};
int vm_restore_medium(const struct state_file *f, const char *id, struct vm_saved_medium *out,
		      struct lodge_err *err) MUST_CHECK;
/* Everything else, in place of the first board_reset(). */
int vm_restore(struct vm *vm, struct lodge_err *err) MUST_CHECK;

/* ---- lost_file.c -------------------------------------------------------------------------------- */

/* Guest memory is mapped from `path`: when that can no longer be read, the process ends with a sentence. */
void vm_watch_file(const struct vm *vm, const char *path);

/* ---- board_shortcut.c --------------------------------------------------------------------------- */

/* Guests' writes that the engine has kept come to their devices. With the VM lock, before a device is accessed. */
void vm_drain_locked(struct vm *vm);

/* ---- cpu_dump.c ----------------------------------------------------------------------------- */

/* With `-d cpu_reset`: a vCPU's state. Its own thread, or with it parked. */
void vm_cpu_dump(struct vm *vm, unsigned cpu, const char *why);

/* ---- host.c -----------------------------------------------------------------------------------
 */

/* What the engine calls: each takes the VM lock and asks the board. */
struct engine_host vm_engine_host(struct vm *vm);

#endif
