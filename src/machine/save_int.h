/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside saving: what save_run.c asks of save.c. Private to src/machine. */
#ifndef LODGE_MACHINE_SAVE_INT_H
#define LODGE_MACHINE_SAVE_INT_H

#include "machine/vm_int.h"
#include "state/state.h"

/* So much memory at a time, with the VM lock held. */
#define SAVE_PIECE_BYTES (8u << 20)

/* With the VM lock, every vCPU parked, disks at rest: all sections but that of memory's sums. */
int save_sections(struct vm *vm, struct state_writer *w, bool runs,
		  struct lodge_err *err) MUST_CHECK;
/* With the VM lock, every vCPU parked. 1: there is more. */
int save_some_memory(struct vm *vm, struct state_writer *w, struct lodge_err *err) MUST_CHECK;
/* The same: pages that mem_note_writes() told of, once more. */
int save_noted(struct vm *vm, struct state_writer *w, const uint64_t *bits,
	       struct lodge_err *err) MUST_CHECK;

#endif
