// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * QMP: the machine as a whole, and its processors. Source: QEMU's QMP reference.
 * Threads: the control thread's.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "control/mon_int.h"

const char *mon_state_name(enum vm_state state)
{
	static const char *const names[] = {[VM_RUNNING] = "running",
					    [VM_PRELAUNCH] = "prelaunch",
					    [VM_PAUSED] = "paused",
					    [VM_IO_ERROR] = "io-error",
					    [VM_DEBUG] = "debug",
					    [VM_SHUT_DOWN] = "shutdown"};

	return names[state];
}

COMMAND(query_status)
{
	enum vm_state state = vm_ctl_state(m->vm);

	*ret = json_pack("{s:s, s:b, s:b}", "status", mon_state_name(state), "singlestep", 0,
			 "running", state == VM_RUNNING);
	return 0;
}

COMMAND(query_name)
{
	struct vm_ctl_info info;

	vm_ctl_info(m->vm, &info);
	*ret = json_object();
	if (info.name)
		json_object_set_new(*ret, "name", qmp_text(info.name, strlen(info.name)));
	return 0;
}

COMMAND(query_uuid)
{
	struct vm_ctl_info info;

	vm_ctl_info(m->vm, &info);
	*ret = json_pack("{s:s}", "UUID", info.uuid);
	return 0;
}

COMMAND(query_kvm)
{
	struct vm_ctl_info info;
	bool kvm;

	vm_ctl_info(m->vm, &info);
	kvm = info.engine[0] == 'k';
	*ret = json_pack("{s:b, s:b}", "enabled", kvm, "present", kvm);
	return 0;
}

COMMAND(query_target)
{
	*ret = json_pack("{s:s}", "arch", "x86_64");
	return 0;
}

COMMAND(query_cpus)
{
	struct vm_ctl_info info;

	vm_ctl_info(m->vm, &info);
	*ret = json_array();
	for (unsigned i = 0; i < info.cpus; i++) {
		struct vm_ctl_cpu cpu;
		char path[64];

		vm_ctl_cpu(m->vm, i, &cpu);
		snprintf(path, sizeof(path), "/machine/unattached/device[%u]", i);
		json_array_append_new(*ret,
				      json_pack("{s:i, s:s, s:i, s:s, s:{s:i, s:i, s:i}}",
						"cpu-index", (int)i, "qom-path", path, "thread-id",
						cpu.tid, "target", "x86_64", "props", "core-id", 0,
						"thread-id", 0, "socket-id", (int)i));
	}
	return 0;
}

COMMAND(query_hotpluggable)
{
	/* All there can be are there from the start. */
	*ret = json_array();
	return 0;
}

COMMAND(query_memory)
{
	struct vm_ctl_info info;

	vm_ctl_info(m->vm, &info);
	*ret = json_pack("{s:I, s:i}", "base-memory", (json_int_t)info.ram_bytes, "plugged-memory",
			 0);
	return 0;
}

COMMAND(stop)
{
	return vm_ctl_stop(m->vm, err);
}

COMMAND(cont)
{
	return vm_ctl_cont(m->vm, err);
}

COMMAND(powerdown)
{
	vm_ctl_power_button(m->vm);
	return 0;
}

COMMAND(reset)
{
	vm_ctl_reset(m->vm);
	return 0;
}

COMMAND(quit)
{
	vm_ctl_quit(m->vm);
	return 0;
}

const struct qmp_command qmp_run_commands[] = {
	{"query-status", "", query_status},
	{"query-name", "", query_name},
	{"query-uuid", "", query_uuid},
	{"query-kvm", "", query_kvm},
	{"query-target", "", query_target},
	{"query-cpus-fast", "", query_cpus},
	{"query-hotpluggable-cpus", "", query_hotpluggable},
	{"query-memory-size-summary", "", query_memory},
	{"stop", "", stop},
	{"cont", "", cont},
	{"system_powerdown", "", powerdown},
	{"system_reset", "", reset},
	{"quit", "", quit},
	{NULL, NULL, NULL},
};
