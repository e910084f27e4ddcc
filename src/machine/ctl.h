/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a running machine can be asked and told: the machine's side of monitors.
 *
 * Threads: any but the machine's own (a monitor's), one at a time, between vm_start and vm_stop; each function
 * takes the VM lock for as long as it copies, and waits for disks and helper processes without it. Results
 * are copies.
 */
#ifndef LODGE_MACHINE_CTL_H
#define LODGE_MACHINE_CTL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "machine/vm.h"

#define VM_CTL_TEXT 256u
#define VM_CTL_PATH 1024u

/* ---- Events ------------------------------------------------------------------------------------- */

enum vm_event_kind {
	VM_EVENT_SHUTDOWN,
	VM_EVENT_RESET,
	VM_EVENT_STOP,
	VM_EVENT_RESUME,
	VM_EVENT_POWERDOWN,
	VM_EVENT_BLOCK_IO_ERROR,
	VM_EVENT_TRAY_MOVED,
	VM_EVENT_BALLOON,
};

struct vm_event {
	enum vm_event_kind kind;
	enum vm_cause cause;	 /* SHUTDOWN, RESET */
	char device[64], id[64]; /* BLOCK_IO_ERROR, TRAY_MOVED: the drive's, and its -device's (or "") */
	bool write, stopped;	 /* BLOCK_IO_ERROR */
	int error;		 /* the same: -errno */
	bool open;		 /* TRAY_MOVED */
	uint64_t bytes;		 /* BALLOON: what the guest has now */
};

/* ---- Running ------------------------------------------------------------------------------------ */

enum vm_state { VM_RUNNING, VM_PRELAUNCH, VM_PAUSED, VM_IO_ERROR, VM_SHUT_DOWN };

enum vm_state vm_ctl_state(struct vm *vm);
/* Stop vCPUs and clock; done when it returns. Nothing to do when it is stopped. -ESHUTDOWN: it ends. */
int vm_ctl_stop(struct vm *vm, struct lodge_err *err) MUST_CHECK;
/* Go on, after a stop or a disk error. -EPERM when it is powered off: only a reset helps. */
int vm_ctl_cont(struct vm *vm, struct lodge_err *err) MUST_CHECK;
void vm_ctl_power_button(struct vm *vm);
void vm_ctl_reset(struct vm *vm);
void vm_ctl_quit(struct vm *vm);

struct vm_ctl_info {
	const char *name; /* or NULL; the configuration's */
	char uuid[37];
	const char *engine, *tier;
	unsigned cpus;
	uint64_t ram_bytes;
};

void vm_ctl_info(struct vm *vm, struct vm_ctl_info *out);

struct vm_ctl_cpu {
	int tid;
	bool halted;
};

void vm_ctl_cpu(struct vm *vm, unsigned cpu, struct vm_ctl_cpu *out);

#endif
