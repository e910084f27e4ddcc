// SPDX-License-Identifier: GPL-2.0-or-later
/* Keys and pointer of a running machine. Threads: see machine/ctl_input.h. */
#include "machine/ctl_input.h"

#include <errno.h>

#include "machine/vm_int.h"

/* Without sending any. */
static int check(const struct input *in, const struct input_event *ev, unsigned n,
		 struct lodge_err *err)
{
	if (n > input_room(in))
		return err_set(err, -EAGAIN,
			       "the guest has %u events to take before more find room",
			       input_waiting(in));
	for (unsigned i = 0; i < n; i++) {
		if (ev[i].kind == INPUT_KEY && !input_current(in, INPUT_CAN_KEYS))
			return err_set(err, -ENODEV, "the machine has no keyboard");
		if (ev[i].kind == INPUT_REL && !input_current(in, INPUT_CAN_REL))
			return err_set(err, -ENODEV, "the machine has no pointer that moves");
		if ((ev[i].kind == INPUT_ABS || ev[i].kind == INPUT_BUTTON) &&
		    !input_current(in, INPUT_CAN_ABS | INPUT_CAN_REL))
			return err_set(err, -ENODEV, "the machine has no pointer");
	}
	return 0;
}

int vm_ctl_input(struct vm *vm, const struct input_event *ev, unsigned n, struct lodge_err *err)
{
	struct input *in = board_input(vm->board);
	int r;

	pthread_mutex_lock(&vm->lock);
	r = check(in, ev, n, err);
	for (unsigned i = 0; i < n && !r; i++) {
		if (ev[i].kind == INPUT_SYNC)
			input_sync(in);
		else
			r = input_send(in, &ev[i]);
	}
	input_sync(in);
	pthread_mutex_unlock(&vm->lock);
	if (r == -EINVAL)
		err_set(err, r, "there is no such key, button or position");
	else if (r && !err->msg[0])
		err_set(err, r, "the guest has not taken what was sent before");
	return r;
}

unsigned vm_ctl_input_waiting(struct vm *vm)
{
	unsigned n;

	pthread_mutex_lock(&vm->lock);
	n = input_waiting(board_input(vm->board));
	pthread_mutex_unlock(&vm->lock);
	return n;
}

void vm_ctl_input_release(struct vm *vm)
{
	pthread_mutex_lock(&vm->lock);
	input_release_all(board_input(vm->board));
	pthread_mutex_unlock(&vm->lock);
}

bool vm_ctl_input_absolute(struct vm *vm)
{
	bool is;

	pthread_mutex_lock(&vm->lock);
	is = input_current(board_input(vm->board), INPUT_CAN_ABS);
	pthread_mutex_unlock(&vm->lock);
	return is;
}

const char *vm_ctl_keyboard(struct vm *vm)
{
	const struct input_sink *s;
	const char *name;

	pthread_mutex_lock(&vm->lock);
	s = input_current(board_input(vm->board), INPUT_CAN_KEYS);
	name = s ? s->name : "";
	pthread_mutex_unlock(&vm->lock);
	return name;
}

void vm_ctl_input_screen(struct vm *vm, uint32_t width, uint32_t height)
{
	pthread_mutex_lock(&vm->lock);
	input_set_screen(board_input(vm->board), width, height);
	pthread_mutex_unlock(&vm->lock);
}

void vm_set_vnc(struct vm *vm, struct vnc *vnc)
{
	vm->vnc = vnc;
}

struct vnc *vm_vnc(struct vm *vm)
{
	return vm->vnc;
}

unsigned vm_ctl_pointers(struct vm *vm, struct vm_ctl_pointer *out)
{
	const struct input *in = board_input(vm->board);
	const struct input_sink *s = NULL, *current;
	unsigned n = 0;

	pthread_mutex_lock(&vm->lock);
	current = input_current(in, INPUT_CAN_ABS);
	if (!current)
		current = input_current(in, INPUT_CAN_REL);
	while (n < VM_CTL_POINTERS && (s = input_each(in, s))) {
		if (s->can & (INPUT_CAN_ABS | INPUT_CAN_REL))
			out[n++] = (struct vm_ctl_pointer){
				.name = s->name,
				.current = s == current,
				.absolute = s->can & INPUT_CAN_ABS,
			};
	}
	pthread_mutex_unlock(&vm->lock);
	return n;
}
