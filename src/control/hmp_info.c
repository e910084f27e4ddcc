// SPDX-License-Identifier: GPL-2.0-or-later
/* HMP: "info". Source: QEMU's human monitor. Threads: the control thread's. */
#include "control/hmp_int.h"

static int status(struct hmp *h, char **word)
{
	enum vm_state state = vm_ctl_state(h->vm);

	(void)word;
	mon_buf_printf(h->out, "VM status: %s%s%s%s\n", state == VM_RUNNING ? "running" : "paused",
		       state == VM_RUNNING || state == VM_PAUSED ? "" : " (",
		       state == VM_RUNNING || state == VM_PAUSED ? "" : mon_state_name(state),
		       state == VM_RUNNING || state == VM_PAUSED ? "" : ")");
	return 0;
}

static int name(struct hmp *h, char **word)
{
	struct vm_ctl_info info;

	(void)word;
	vm_ctl_info(h->vm, &info);
	if (info.name)
		mon_buf_printf(h->out, "%s\n", info.name);
	return 0;
}

static int uuid(struct hmp *h, char **word)
{
	struct vm_ctl_info info;

	(void)word;
	vm_ctl_info(h->vm, &info);
	mon_buf_printf(h->out, "%s\n", info.uuid);
	return 0;
}

static int version(struct hmp *h, char **word)
{
	(void)word;
	mon_buf_puts(h->out, "lodge " LODGE_VERSION "\n");
	return 0;
}

static int kvm(struct hmp *h, char **word)
{
	struct vm_ctl_info info;

	(void)word;
	vm_ctl_info(h->vm, &info);
	mon_buf_printf(h->out, "kvm support: %s\n",
		       info.engine[0] == 'k' ? "enabled" : "disabled");
	return 0;
}

static int cpus(struct hmp *h, char **word)
{
	struct vm_ctl_info info;

	(void)word;
	vm_ctl_info(h->vm, &info);
	for (unsigned i = 0; i < info.cpus; i++) {
		struct vm_ctl_cpu cpu;

		vm_ctl_cpu(h->vm, i, &cpu);
		mon_buf_printf(h->out, "%s CPU #%u: thread_id=%d%s\n", i ? " " : "*", i, cpu.tid,
			       cpu.halted ? " (halted)" : "");
	}
	return 0;
}

const struct hmp_command hmp_infos[] = {
	{"status", NULL, "", "whether it runs", 0, 0, status},
	{"name", NULL, "", "its name", 0, 0, name},
	{"uuid", NULL, "", "its UUID", 0, 0, uuid},
	{"version", NULL, "", "the program's version", 0, 0, version},
	{"kvm", NULL, "", "whether KVM runs it", 0, 0, kvm},
	{"cpus", NULL, "", "its processors", 0, 0, cpus},
	{NULL, NULL, NULL, NULL, 0, 0, NULL},
};
