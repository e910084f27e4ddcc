// SPDX-License-Identifier: GPL-2.0-or-later
/* Between a machine and who looks at it. Threads: main; what struct vnc_screen has is the display thread's. */
#include "cli/run_display.h"

#include "machine/ctl.h"
#include "machine/ctl_input.h"

static int draw(void *opaque, struct display_picture *pic, struct display_lines lines)
{
	struct lodge_err err;

	return vm_screen_draw_lines(opaque, pic, lines, &err);
}

static struct display_lines changed(void *opaque)
{
	return vm_screen_changed(opaque);
}

static void size(void *opaque, uint32_t width, uint32_t height)
{
	vm_ctl_input_screen(opaque, width, height);
}

static void resize(void *opaque, uint32_t width, uint32_t height)
{
	(void)!vm_screen_resize(opaque, width, height, NULL);
}

/* What finds no room is lost, as on a keyboard whose buffer is full. */
static void input(void *opaque, const struct input_event *ev, unsigned n)
{
	struct lodge_err err = {""};

	(void)!vm_ctl_input(opaque, ev, n, &err);
}

static void power_button(void *opaque)
{
	vm_ctl_power_button(opaque);
}

static void reset(void *opaque)
{
	vm_ctl_reset(opaque);
}

static void quit(void *opaque)
{
	vm_ctl_quit(opaque);
}

static bool absolute(void *opaque)
{
	return vm_ctl_input_absolute(opaque);
}

static const char *state(void *opaque)
{
	static const char *const words[] = {
		[VM_RUNNING] = "",
		[VM_PRELAUNCH] = "not started",
		[VM_PAUSED] = "paused",
		[VM_IO_ERROR] = "stopped by a disk error",
		[VM_SHUT_DOWN] = "powered off",
		[VM_DEBUG] = "stopped by the debugger",
	};

	return words[vm_ctl_state(opaque)];
}

/* Whoever is refused finds the socket closed. */
static void console(void *opaque, int fd)
{
	(void)!vm_ctl_console(opaque, fd);
}

int run_display_open(struct run_display *d, const struct run_opts *o, struct vm *vm,
		     struct lodge_err *err)
{
	const struct vnc_wish wish = {
		.vnc = o->vnc,
		.web = o->web,
		.window = o->window,
		.tls = o->tls,
		.full_screen = o->full_screen,
		.name = o->vm.name,
	};

	*d = (struct run_display){.vm = vm, .layout = o->layout};
	if (!run_opts_looked_at(o))
		return 0;
	d->vnc = vnc_open(&wish, err);
	vm_set_vnc(vm, d->vnc);
	return d->vnc ? 0 : -1;
}

int run_display_start(struct run_display *d, struct lodge_err *err)
{
	const struct vnc_screen screen = {
		.opaque = d->vm,
		.draw = draw,
		.changed = changed,
		.size = size,
		.resize = vm_screen_resizes(d->vm) ? resize : NULL,
		.input = input,
		.power_button = power_button,
		.reset = reset,
		.quit = quit,
		.absolute = absolute,
		.state = state,
		.layout = d->layout,
		.console = console,
	};

	return d->vnc ? vnc_start(d->vnc, &screen, err) : 0;
}

void run_display_end(struct run_display *d)
{
	vnc_stop(d->vnc);
	vnc_close(d->vnc);
	d->vnc = NULL;
}
