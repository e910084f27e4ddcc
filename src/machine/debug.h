/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a debugger asks of a machine: stop and go on, vCPU by vCPU, breakpoints, registers, memory.
 *
 * One debugger at a time: vm_debug_attach() says whether it is there already. Memory and registers are read and
 * written while the machine is stopped (vm_debug_stop).
 * Threads: the monitors' (machine/ctl.h). Which guests' memory is meant: as the vCPU sees it, paging and A20
 * included; devices are not touched.
 */
#ifndef LODGE_MACHINE_DEBUG_H
#define LODGE_MACHINE_DEBUG_H

#include "engine/engine.h"
#include "machine/vm.h"

/* -EBUSY: another one is at work. */
int vm_debug_attach(struct vm *vm, struct lodge_err *err) MUST_CHECK;
/* All points go; the machine goes on if it was the debugger that stopped it, or with `go` in any case. */
void vm_debug_detach(struct vm *vm, bool go);

unsigned vm_debug_cpus(const struct vm *vm);
/* Has its CPU model 64-bit mode, AVX? */
bool vm_debug_has_long_mode(const struct vm *vm);
bool vm_debug_has_avx(const struct vm *vm);
/* A 32-bit system runs: the first vCPU pages, and not in 64-bit mode. While it is stopped. */
bool vm_debug_is_32bit(struct vm *vm);

/* Stop all vCPUs; done when it returns. -ESHUTDOWN: the machine ends. */
int vm_debug_stop(struct vm *vm, struct lodge_err *err) MUST_CHECK;

/* It is stopped for the debugger, or about to be. */
bool vm_debug_stopped(const struct vm *vm);

struct vm_debug_hit {
	unsigned cpu;
	struct engine_stop stop;
};

/*
 * After vm_debug_stop(): a vCPU that stopped by itself and has not been told of, the lowest first. False: none
 * did.
 */
bool vm_debug_take_hit(struct vm *vm, struct vm_debug_hit *hit);

enum vm_debug_how { VM_DEBUG_HOLD, VM_DEBUG_GO, VM_DEBUG_STEP };

/*
 * Let vCPUs go on, each as `how[cpu]` says; VM_EVENT_DEBUG tells when one has stopped. Also when a monitor or a disk
 * error stopped the machine. -EPERM: it is powered off. -EALREADY: a watchpoint was met that has not been told of:
 * nothing runs, vm_debug_take_hit() has it.
 */
int vm_debug_go(struct vm *vm, const enum vm_debug_how *how, struct lodge_err *err) MUST_CHECK;

/* Replace all breakpoints and watchpoints (engine.h). */
int vm_debug_points(struct vm *vm, const struct engine_point *points, unsigned n,
		    struct lodge_err *err) MUST_CHECK;

/* A vCPU's state, to read; and, to write, with vm_debug_changed() afterwards. */
struct x86_state *vm_debug_state(struct vm *vm, unsigned cpu);
void vm_debug_changed(struct vm *vm, unsigned cpu);
/* CR8: it is the local APIC's. */
uint8_t vm_debug_cr8(struct vm *vm, unsigned cpu);

/* Where a linear address of a vCPU lies; false: not mapped. Source: Intel SDM 3A §4.3–4.5. */
bool vm_debug_translate(struct vm *vm, unsigned cpu, gva_t lin, gpa_t *gpa);
/*
 * Copy guest memory at a linear or physical address: how many bytes it did, up to the first that is not there or is a
 * device's. Writing reaches ROM, too.
 */
uint64_t vm_debug_read(struct vm *vm, unsigned cpu, bool physical, uint64_t addr, void *buf,
		       uint64_t len);
uint64_t vm_debug_write(struct vm *vm, unsigned cpu, bool physical, uint64_t addr, const void *buf,
			uint64_t len);

#endif
