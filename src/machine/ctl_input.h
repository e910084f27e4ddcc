/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keys and pointer of a running machine. Threads: any, without the VM lock; each takes it for a short while. */
#ifndef LODGE_MACHINE_CTL_INPUT_H
#define LODGE_MACHINE_CTL_INPUT_H

#include "input/input.h"
#include "machine/vm.h"

/*
 * Events that belong together (INPUT_SYNC stands between those that do not), all or none of them. -EAGAIN: so
 * many wait that these find no room; -ENODEV, -EINVAL as input_send().
 */
int vm_ctl_input(struct vm *vm, const struct input_event *ev, unsigned n,
		 struct lodge_err *err) MUST_CHECK;
/* How many wait for the guest. */
unsigned vm_ctl_input_waiting(struct vm *vm);
/* Let go of all keys and buttons. */
void vm_ctl_input_release(struct vm *vm);
/* Can the guest be told where the pointer is? */
bool vm_ctl_input_absolute(struct vm *vm);
/* The keyboard that gets keys now. */
const char *vm_ctl_keyboard(struct vm *vm);
void vm_ctl_input_screen(struct vm *vm, uint32_t width, uint32_t height);

/* Viewers over the network: kept for monitors, and not looked into. Before vm_start. */
struct vnc;
void vm_set_vnc(struct vm *vm, struct vnc *vnc);
struct vnc *vm_vnc(struct vm *vm);

struct vm_ctl_pointer {
	const char *name;
	bool current, absolute;
};

#define VM_CTL_POINTERS 16u
unsigned vm_ctl_pointers(struct vm *vm, struct vm_ctl_pointer *out);

#endif
