// SPDX-License-Identifier: GPL-2.0-or-later
/* What makes a running machine be found and controlled. Threads: main only. */
#include "cli/run_control.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

int run_control_claim(struct run_control *rc, const struct run_opts *o, struct lodge_err *err)
{
	int r;

	*rc = (struct run_control){.claim = {.dir = -1, .info = -1}};
	if (o->no_control)
		return 0;
	r = rundir_claim(&rc->claim, o->vm.name, err);
	if (!r || r == -EEXIST)
		return r;
	fprintf(stderr, "lodge: no control socket: %s\n", err->msg);
	err->msg[0] = '\0';
	return 0;
}

/* Who it is, for `lodge ps`. */
static int tell_who(struct run_control *rc, const struct run_opts *o, struct vm *vm,
		    struct lodge_err *err)
{
	struct vm_ctl_info info;
	json_t *j;
	int r;

	(void)o;
	vm_ctl_info(vm, &info);
	j = json_pack("{s:s, s:I, s:s, s:s, s:i, s:I, s:I}", "name", info.name ? info.name : "",
		      "pid", (json_int_t)getpid(), "engine", info.engine, "tier", info.tier, "cpus",
		      (int)info.cpus, "memory", (json_int_t)info.ram_bytes, "started",
		      (json_int_t)(clock_real_ns() / NS_PER_SEC));
	/* A name that is no text in UTF-8 is known by its key alone. */
	if (!j)
		j = json_pack("{s:s, s:I, s:s, s:s, s:i, s:I, s:I}", "name", "", "pid",
			      (json_int_t)getpid(), "engine", info.engine, "tier", info.tier,
			      "cpus", (int)info.cpus, "memory", (json_int_t)info.ram_bytes,
			      "started", (json_int_t)(clock_real_ns() / NS_PER_SEC));
	r = rundir_tell(&rc->claim, j, err);
	json_decref(j);
	return r;
}

static void new_client(void *opaque, enum vm_monitor_mode mode, int fd)
{
	static const enum mon_mode modes[] = {
		[VM_MONITOR_QMP] = MON_QMP, [VM_MONITOR_QMP_PRETTY] = MON_QMP_PRETTY,
		[VM_MONITOR_HMP] = MON_HMP, [VM_MONITOR_HMP_ECHO] = MON_HMP_ECHO,
		[VM_MONITOR_GDB] = MON_GDB,
	};

	control_add(opaque, fd, modes[mode]);
}

int run_control_new(struct run_control *rc, const struct run_opts *o, struct vm *vm,
		    struct lodge_err *err)
{
	int fd;

	rc->vm = vm;
	rc->control = control_new(vm, err);
	if (!rc->control)
		return -ENOMEM;
	vm_set_monitor_host(vm, new_client, rc->control);
	if (rc->claim.dir < 0)
		return 0;
	fd = rundir_listen(&rc->claim, "qmp", err);
	if (fd < 0)
		return fd;
	if (control_listen(rc->control, fd, err))
		return -ENOMEM;
	fd = vm_has_console(vm) ? rundir_listen(&rc->claim, "console", err) : -1;
	if (vm_has_console(vm) && (fd < 0 || vm_console_listen(vm, fd, err)))
		return -EINVAL;
	if (o->sandbox.runas && rundir_leave_behind(&rc->claim, err))
		return -EAGAIN;
	return tell_who(rc, o, vm, err);
}

int run_control_start(struct run_control *rc, struct lodge_err *err)
{
	return control_start(rc->control, err);
}

void run_control_end(struct run_control *rc)
{
	/* The name stays taken until all is over, but nobody is answered any more. */
	rundir_unlisten(&rc->claim);
	if (rc->vm)
		vm_ctl_hurry(rc->vm);
	control_stop(rc->control);
	if (rc->vm)
		vm_ctl_save_end(rc->vm);
}

void run_control_free(struct run_control *rc)
{
	control_free(rc->control);
	rundir_leave(&rc->claim);
}
