// SPDX-License-Identifier: GPL-2.0-or-later
/* Options of `lodge run` about consoles and devices. Threads: main only. */
#include <errno.h>
#include <string.h>

#include "base/props.h"
#include "base/keyval.h"
#include "cli/run_opts.h"
#include "machine/board_pc.h"

/* QEMU's defaults for isa-debug-exit. */
#define DEBUG_EXIT_BASE 0x501
#define DEBUG_EXIT_SIZE 2

static int set_nographic(struct run_opts *o, const char *val, struct lodge_err *err)
{
	(void)val;
	(void)err;
	o->nographic = true;
	return 0;
}

static int set_nodefaults(struct run_opts *o, const char *val, struct lodge_err *err)
{
	(void)val;
	(void)err;
	o->nodefaults = true;
	return 0;
}

static int set_serial(struct run_opts *o, const char *val, struct lodge_err *err)
{
	if (o->serials == VM_SERIALS)
		return err_set(err, -EINVAL, "-serial: %u serial ports are the most", VM_SERIALS);
	o->vm.serial[o->serials++] = strcmp(val, "none") ? val : NULL;
	return 0;
}

static int set_chardev(struct run_opts *o, const char *val, struct lodge_err *err)
{
	return run_opts_add(&o->vm.chardevs, "-chardev", val, "backend", err);
}

static int set_share(struct run_opts *o, const char *val, struct lodge_err *err)
{
	return run_opts_add(&o->vm.shares, "-share", val, "path", err);
}

static int set_fsdev(struct run_opts *o, const char *val, struct lodge_err *err)
{
	return run_opts_add(&o->vm.fsdevs, "-fsdev", val, "fsdriver", err);
}

static int set_virtfs(struct run_opts *o, const char *val, struct lodge_err *err)
{
	return run_opts_add(&o->vm.virtfs, "-virtfs", val, "fsdriver", err);
}

static int set_debugcon(struct run_opts *o, const char *val, struct lodge_err *err)
{
	(void)err;
	o->vm.debugcon = strcmp(val, "none") ? val : NULL;
	return 0;
}

/* Options of which only "none" is there. */
static int only_none(const char *opt, const char *what, const char *val, struct lodge_err *err)
{
	if (!strcmp(val, "none"))
		return 0;
	return err_set(err, -EINVAL, "-%s %s: %s not there yet; '-%s none' is what there is", opt,
		       val, what, opt);
}

/* ---- Monitors ---------------------------------------------------------------------------------- */

static int add_monitor(struct run_opts *o, const char *opt, const char *val,
		       enum vm_monitor_mode mode, struct lodge_err *err)
{
	if (!strcmp(val, "none"))
		return 0;
	if (o->vm.n_monitors == VM_MONITORS)
		return err_set(err, -EINVAL, "-%s: %u monitors are the most", opt, VM_MONITORS);
	o->vm.monitors[o->vm.n_monitors++] = (struct vm_monitor){val, mode};
	return 0;
}

static int set_monitor(struct run_opts *o, const char *val, struct lodge_err *err)
{
	return add_monitor(o, "monitor", val, VM_MONITOR_HMP, err);
}

static int set_qmp(struct run_opts *o, const char *val, struct lodge_err *err)
{
	return add_monitor(o, "qmp", val, VM_MONITOR_QMP, err);
}

static int set_qmp_pretty(struct run_opts *o, const char *val, struct lodge_err *err)
{
	return add_monitor(o, "qmp-pretty", val, VM_MONITOR_QMP_PRETTY, err);
}

/*
 * As QEMU spells it; a socket is one that waits for the debugger, of this host alone unless an address says
 * otherwise.
 */
static int set_gdb(struct run_opts *o, const char *val, struct lodge_err *err)
{
	bool tcp = !strncmp(val, "tcp:", 4), local = !strncmp(val, "unix:", 5);
	char text[600];
	const char *copy;

	if (!tcp && !local)
		return add_monitor(o, "gdb", val, VM_MONITOR_GDB, err);
	snprintf(text, sizeof(text), "%s%s%s%s",
		 tcp ? "tcp:" : "unix:", tcp && val[4] == ':' ? "localhost" : "",
		 val + (tcp ? 4 : 5), strstr(val, ",server") ? "" : ",server=on,wait=off");
	copy = run_opts_keep(o, text);
	if (!copy)
		return err_set(err, -ENOMEM, "-gdb: too many options");
	return add_monitor(o, "gdb", copy, VM_MONITOR_GDB, err);
}

static int set_gdb_default(struct run_opts *o, const char *val, struct lodge_err *err)
{
	(void)val;
	return set_gdb(o, "tcp::1234", err);
}

static int read_mon(struct keyval *kv, char *chardev, size_t size, bool *control, bool *pretty,
		    struct lodge_err *err)
{
	int r;

	while ((r = keyval_next(kv, err)) > 0) {
		if (!strcmp(kv->key, "chardev")) {
			if (snprintf(chardev, size, "chardev:%s", kv->val) >= (int)size)
				return err_set(err, -EINVAL, "-mon: the id is too long");
		} else if (!strcmp(kv->key, "mode") && !strcmp(kv->val, "control")) {
			*control = true;
		} else if (!strcmp(kv->key, "mode") && !strcmp(kv->val, "readline")) {
			*control = false;
		} else if (!strcmp(kv->key, "pretty")) {
			if (parse_bool(kv->val, pretty))
				return err_set(err, -EINVAL, "-mon: pretty is on or off");
		} else {
			return err_set(err, -EINVAL,
				       "-mon: there is no '%s=%s'; there are chardev=ID, "
				       "mode=control|readline and pretty=on|off",
				       kv->key, kv->val);
		}
	}
	return r;
}

static int set_mon(struct run_opts *o, const char *val, struct lodge_err *err)
{
	bool control = false, pretty = false;
	char chardev[128] = "";
	struct keyval kv;
	const char *copy;
	int r;

	keyval_init(&kv, val, "chardev");
	r = read_mon(&kv, chardev, sizeof(chardev), &control, &pretty, err);
	if (r)
		return r;
	copy = chardev[0] ? run_opts_keep(o, chardev) : NULL;
	if (!copy)
		return err_set(err, -EINVAL, "-mon: chardev=ID is missing");
	return add_monitor(o, "mon", copy,
			   !control ? VM_MONITOR_HMP
			   : pretty ? VM_MONITOR_QMP_PRETTY
				    : VM_MONITOR_QMP,
			   err);
}

/* The last one counts; the adapter is made when all options are known. */
static int set_vga(struct run_opts *o, const char *val, struct lodge_err *err)
{
	if (strcmp(val, "std") && strcmp(val, "virtio") && strcmp(val, "none"))
		return err_set(err, -EINVAL,
			       "-vga %s: this adapter is not there; there are std, virtio and none",
			       val);
	o->vga_std = !strcmp(val, "std");
	o->vga_virtio = !strcmp(val, "virtio");
	o->vga_said = true;
	return 0;
}

static int set_parallel(struct run_opts *o, const char *val, struct lodge_err *err)
{
	(void)o;
	return only_none("parallel", "parallel ports are", val, err);
}

static int read_port(struct props *p, const char *key, uint64_t least, uint16_t *out,
		     struct lodge_err *err)
{
	uint64_t n = *out;
	int r = props_u64(p, key, 0xffff, &n, err);

	if (!r && n < least)
		r = err_set(err, -EINVAL, "%s: %s=%llu is no number of ports", props_what(p), key,
			    (unsigned long long)n);
	*out = (uint16_t)n;
	return r;
}

static int set_debug_exit(struct run_opts *o, struct props *p, struct lodge_err *err)
{
	int r;

	o->vm.debug_exit = true;
	o->vm.debug_exit_base = DEBUG_EXIT_BASE;
	o->vm.debug_exit_size = DEBUG_EXIT_SIZE;
	(void)props_get(p, "id");
	r = read_port(p, "iobase", 0, &o->vm.debug_exit_base, err);
	if (!r)
		r = read_port(p, "iosize", 1, &o->vm.debug_exit_size, err);
	if (!r)
		r = props_done(p, err);
	if (!r && o->vm.debug_exit_base + o->vm.debug_exit_size > 0x10000)
		r = err_set(err, -EINVAL,
			    "-device isa-debug-exit: its ports leave the 64 KiB there "
			    "are");
	return r;
}

static int set_device(struct run_opts *o, const char *val, struct lodge_err *err)
{
	struct vm_options *list = &o->vm.devices;
	struct props *p;
	const char *name;
	int r;

	if (!strcmp(val, "help") || !strcmp(val, "?")) {
		puts("  isa-debug-exit,iobase=0x501,iosize=2   a port whose write ends the "
		     "machine");
		board_print_kinds(stdout);
		return 1;
	}
	r = run_opts_add_json(list, "-device", val, "driver", err);
	if (r)
		return r;
	p = list->p[list->n - 1];
	name = props_get(p, "driver");
	if (!name)
		return err_set(err, -EINVAL, "-device %s: the device's name (driver) is missing",
			       val);
	if (strcmp(name, "isa-debug-exit"))
		return 0;
	list->n--;
	r = set_debug_exit(o, p, err);
	props_free(p);
	return r;
}

const struct run_opt run_opts_console[] = {
	{"nographic", NULL, "no display; the first serial port is this terminal (default)",
	 set_nographic},
	{"serial", "DEV",
	 "a serial port's other end, up to four times: stdio, mon:stdio, file:PATH, "
	 "unix:PATH[,server=on[,wait=off]], tcp:HOST:PORT[,...], pty, null, chardev:ID, none",
	 set_serial},
	{"chardev", "BACKEND,id=ID[,SETTING=VALUE]",
	 "another end for -device virtconsole, virtserialport and -serial: stdio[,mux=on], "
	 "file,path=, socket,path=|host=,port=[,server=on[,wait=off]], pty, null",
	 set_chardev},
	{"debugcon", "DEV", "the other end of the debug ports 0xe9 and 0x402", set_debugcon},
	{"device", "NAME[,id=ID][,addr=SLOT][,SETTING=VALUE]",
	 "one more device, also as a JSON object; 'help' lists them", set_device},
	{"usb", NULL, "the PIIX3's USB controller (UHCI), usb-bus.0", run_opts_set_usb},
	{"usbdevice", "tablet|mouse|keyboard", "the same, and such a device", run_opts_set_usbdevice},
	{"virtfs", "local,path=FOLDER,mount_tag=TAG[,readonly=off][,security_model=MODEL]",
	 "a folder for the guest by virtio-9p, read-only unless asked; models: none, passthrough, "
	 "mapped-xattr",
	 set_virtfs},
	{"share", "FOLDER,tag=TAG[,readonly=off][,cache=auto|always|none]",
	 "a folder for the guest by virtio-fs: starts Debian's virtiofsd for it; read-only unless "
	 "asked",
	 set_share},
	{"fsdev", "local,id=ID,path=FOLDER[,...]", "the same for -device virtio-9p-pci,fsdev=ID",
	 set_fsdev},
	{"vga", "std|virtio|none",
	 "a VGA; virtio-gpu with a VGA for what has no driver; or no video adapter (the default)",
	 set_vga},
	{"monitor", "DEV",
	 "a monitor for people, on what -serial can name; 'none' (Ctrl-A c of mon:stdio has one "
	 "always)",
	 set_monitor},
	{"qmp", "DEV", "a monitor for programs (QMP), e.g. unix:PATH,server=on,wait=off", set_qmp},
	{"qmp-pretty", "DEV", "the same, its answers indented", set_qmp_pretty},
	{"mon", "chardev=ID[,mode=control|readline][,pretty=on]", "either, on a -chardev", set_mon},
	{"gdb", "DEV",
	 "a debugger's socket: tcp::PORT (of this host), tcp:HOST:PORT, unix:PATH, or what -serial "
	 "can "
	 "name; with -S it waits before the first instruction",
	 set_gdb},
	{"s", NULL, "the same as -gdb tcp::1234", set_gdb_default},
	{"parallel", "none", "no parallel port", set_parallel},
	{"nodefaults", NULL, "no device that was not asked for", set_nodefaults},
	{NULL, NULL, NULL, NULL},
};
