// SPDX-License-Identifier: GPL-2.0-or-later
/* HMP: "info". Source: QEMU's human monitor. Threads: the control thread's. */
#include <stdlib.h>
#include <string.h>

#include "control/hmp_int.h"

#define RULES_BYTES 65536u

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

static int migrate(struct hmp *h, char **word)
{
	struct vm_saved s;
	struct lodge_err why;
	enum vm_save_state state = vm_ctl_saved(h->vm, &s, &why);

	(void)word;
	if (state == VM_NEVER_SAVED)
		return 0;
	mon_buf_printf(h->out, "Migration status: %s", mon_save_name(state));
	if (state == VM_SAVE_FAILED)
		mon_buf_printf(h->out, " (%s)", why.msg);
	mon_buf_printf(h->out,
		       "\ntotal time: %llu ms\ntransferred ram: %llu kbytes\n"
		       "remaining ram: %llu kbytes\ntotal ram: %llu kbytes\n",
		       (unsigned long long)(s.total_ns / 1000000),
		       (unsigned long long)(s.data_bytes >> 10),
		       (unsigned long long)((s.memory_bytes - s.done_bytes) >> 10),
		       (unsigned long long)(s.memory_bytes >> 10));
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
	mon_buf_printf(h->out, "kvm support: %s\n", info.engine[0] == 'k' ? "enabled" : "disabled");
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

/* ---- Devices ------------------------------------------------------------------------------------ */

static int block(struct hmp *h, char **word)
{
	struct vm_ctl_drive *d = calloc(VM_CTL_DRIVES, sizeof(*d));
	unsigned n = d ? vm_ctl_drives(h->vm, d) : 0;

	for (unsigned i = 0; i < n; i++) {
		if (word[0] && strcmp(word[0], d[i].device))
			continue;
		if (d[i].inserted)
			mon_buf_printf(h->out, "%s: %s (%s%s)\n", d[i].device, d[i].path,
				       d[i].format, d[i].read_only ? ", read-only" : "");
		else
			mon_buf_printf(h->out, "%s: [not inserted]\n", d[i].device);
		mon_buf_printf(h->out, "    Attached to:      %s%s%s\n", d[i].driver,
			       d[i].id[0] ? " " : "", d[i].id);
		if (d[i].removable)
			mon_buf_printf(h->out, "    Removable device: %slocked, tray %s\n",
				       d[i].locked ? "" : "not ",
				       d[i].tray_open ? "open" : "closed");
		if (d[i].inserted)
			mon_buf_printf(h->out, "    Size:             %llu bytes\n",
				       (unsigned long long)d[i].size);
		if (d[i].snapshot)
			mon_buf_puts(h->out, "    Snapshot:         what is written is not kept\n");
	}
	free(d);
	return 0;
}

static int blockstats(struct hmp *h, char **word)
{
	struct vm_ctl_drive *d = calloc(VM_CTL_DRIVES, sizeof(*d));
	unsigned n = d ? vm_ctl_drives(h->vm, d) : 0;

	(void)word;
	for (unsigned i = 0; i < n; i++)
		mon_buf_printf(
			h->out,
			"%s: rd_bytes=%llu wr_bytes=%llu rd_operations=%llu "
			"wr_operations=%llu flush_operations=%llu\n",
			d[i].device, (unsigned long long)d[i].read.bytes,
			(unsigned long long)d[i].write.bytes, (unsigned long long)d[i].read.ops,
			(unsigned long long)d[i].write.ops, (unsigned long long)d[i].flush.ops);
	free(d);
	return 0;
}

static int network(struct hmp *h, char **word)
{
	struct vm_ctl_net *net = calloc(VM_CTL_NETS, sizeof(*net));
	unsigned n = net ? vm_ctl_nets(h->vm, net) : 0;

	(void)word;
	for (unsigned i = 0; i < n; i++)
		mon_buf_printf(h->out,
			       "%s: type=%s, link %s, %s; to the guest %llu frames, %llu bytes; "
			       "from it %llu frames, %llu bytes\n",
			       net[i].id, net[i].type, net[i].link_up ? "up" : "down",
			       net[i].plugged ? "plugged in" : "no card",
			       (unsigned long long)net[i].to_guest_frames,
			       (unsigned long long)net[i].to_guest_bytes,
			       (unsigned long long)net[i].from_guest_frames,
			       (unsigned long long)net[i].from_guest_bytes);
	free(net);
	return 0;
}

static int usernet(struct hmp *h, char **word)
{
	char *text = malloc(RULES_BYTES);

	(void)word;
	if (text) {
		vm_ctl_hostfwds(h->vm, text, RULES_BYTES);
		mon_buf_puts(h->out, text);
	}
	free(text);
	return 0;
}

static int balloon(struct hmp *h, char **word)
{
	uint64_t bytes;
	int r = vm_ctl_query_balloon(h->vm, &bytes, &h->err);

	(void)word;
	if (!r)
		mon_buf_printf(h->out, "balloon: actual=%llu\n", (unsigned long long)(bytes >> 20));
	return r;
}

static int chardev(struct hmp *h, char **word)
{
	struct vm_ctl_chardev *c = calloc(VM_CTL_CHARDEVS, sizeof(*c));
	unsigned n = c ? vm_ctl_chardevs(h->vm, c) : 0;

	(void)word;
	for (unsigned i = 0; i < n; i++)
		mon_buf_printf(h->out, "%s: filename=%s\n", c[i].label, c[i].name);
	free(c);
	return 0;
}

static void put_counter(void *opaque, const char *name, const char *what, uint64_t value)
{
	struct hmp *h = opaque;

	(void)name;
	mon_buf_printf(h->out, "  %-45s %14llu\n", what, (unsigned long long)value);
}

static int jit(struct hmp *h, char **word)
{
	(void)word;
	vm_ctl_counters(h->vm, -1, put_counter, h);
	return 0;
}

const struct hmp_command hmp_infos[] = {
	{"status", NULL, "", "whether it runs", 0, 0, status},
	{"name", NULL, "", "its name", 0, 0, name},
	{"migrate", NULL, "", "how far the save is, or what became of the last", 0, 0, migrate},
	{"uuid", NULL, "", "its UUID", 0, 0, uuid},
	{"version", NULL, "", "the program's version", 0, 0, version},
	{"kvm", NULL, "", "whether KVM runs it", 0, 0, kvm},
	{"cpus", NULL, "", "its processors", 0, 0, cpus},
	{"block", NULL, "[DEVICE]", "its drives", 0, 1, block},
	{"blockstats", NULL, "", "what they did", 0, 0, blockstats},
	{"network", NULL, "", "its networks", 0, 0, network},
	{"usernet", NULL, "", "ports of the host that lead to it", 0, 0, usernet},
	{"balloon", NULL, "", "how much memory it has now", 0, 0, balloon},
	{"chardev", NULL, "", "the other ends of its serial lines", 0, 0, chardev},
	{"registers", NULL, "[-a]", "registers of the processor, or of all", 0, 1, hmp_registers},
	{"pci", NULL, "", "its PCI functions", 0, 0, hmp_pci},
	{"mtree", NULL, "", "what addresses and ports are", 0, 0, hmp_mtree},
	{"qtree", NULL, "", "its devices", 0, 0, hmp_qtree},
	{"device", NULL, "NAME", "registers of a device, as they are saved", 1, 1,
	 hmp_device_state},
	{"pic", NULL, "", "the interrupt controllers", 0, 0, hmp_pic},
	{"lapic", NULL, "", "the processor's local APIC", 0, 0, hmp_lapic},
	{"memory_size_summary", NULL, "", "how much memory there is", 0, 0, hmp_memory_size},
	{"mice", NULL, "", "its pointers", 0, 0, hmp_info_mice},
	{"jit", NULL, "", "counters of the engine", 0, 0, jit},
	{NULL, NULL, NULL, NULL, 0, 0, NULL},
};
