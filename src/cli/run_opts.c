// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The options of `lodge run`: finding them in the tables, and what only the whole of them can tell.
 * Threads: main only.
 */
#include "cli/run_opts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/props.h"
#include "base/range.h"
#include "machine/board_pc.h"
#include "state/state.h"

#define DEFAULT_BIOS "bios-256k.bin"
#define DEFAULT_RAM (128ull << 20) /* as QEMU */

static const struct {
	const char *title;
	const struct run_opt *opts;
} groups[] = {
	{"machine", run_opts_machine}, {"memory", run_opts_memory},
	{"what boots", run_opts_boot}, {"firmware", run_opts_firmware},
	{"disks", run_opts_disks},     {"consoles and devices", run_opts_console},
	{"screen", run_opts_display},  {"network", run_opts_net},
	{"process", run_opts_process},
};

const char *run_opts_keep(struct run_opts *o, const char *s)
{
	char *copy;

	if (o->string_count == RUN_STRINGS_MAX)
		return NULL;
	copy = strdup(s);
	if (copy)
		o->strings[o->string_count++] = copy;
	return copy;
}

/* Takes `p`, which is NULL if it could not be read. */
static int append(struct vm_options *list, const char *what, struct props *p, struct lodge_err *err)
{
	if (!p)
		return -EINVAL;
	if (list->n == VM_OPTIONS_MAX) {
		props_free(p);
		return err_set(err, -EINVAL, "%s: %u of them are the most", what, VM_OPTIONS_MAX);
	}
	list->p[list->n++] = p;
	return 0;
}

int run_opts_add(struct vm_options *list, const char *what, const char *text, const char *implied,
		 struct lodge_err *err)
{
	return append(list, what, props_parse(what, text, implied, err), err);
}

int run_opts_add_json(struct vm_options *list, const char *what, const char *text,
		      const char *implied, struct lodge_err *err)
{
	if (text[0] == '{')
		return append(list, what, props_parse_json(what, text, err), err);
	return run_opts_add(list, what, text, implied, err);
}

static void free_options(struct vm_options *list)
{
	while (list->n)
		props_free(list->p[--list->n]);
}

void run_opts_free(struct run_opts *o)
{
	free_options(&o->vm.drives);
	free_options(&o->vm.blockdevs);
	free_options(&o->vm.netdevs);
	free_options(&o->vm.devices);
	free_options(&o->vm.chardevs);
	free_options(&o->vm.fsdevs);
	free_options(&o->vm.virtfs);
	free_options(&o->vm.shares);
	free_options(&o->vm.option_roms);
	free_options(&o->vm.smbios);
	free_options(&o->objects);
	run_opts_free_display(o);
	state_close(o->restore);
	free(o->merged);
	free(o->said);
	while (o->string_count)
		free(o->strings[--o->string_count]);
}

static const struct run_opt *find(const char *name)
{
	for (size_t g = 0; g < ARRAY_SIZE(groups); g++) {
		for (const struct run_opt *opt = groups[g].opts; opt->name; opt++) {
			if (!strcmp(opt->name, name))
				return opt;
		}
	}
	return NULL;
}

bool run_opts_takes_value(const char *name)
{
	const struct run_opt *opt = find(name);

	return opt && opt->arg;
}

static int unknown(const char *arg, const char *name, struct lodge_err *err)
{
	const char *why = run_opt_missing(name);

	if (why)
		return err_set(err, -EINVAL, "%s: %s", arg, why);
	return err_set(err, -EINVAL, "there is no option '%s'; 'lodge help run' lists them", arg);
}

/* One option at argv[i]; moves i over its argument. */
static int parse_one(struct run_opts *o, int argc, char **argv, int *i, struct lodge_err *err)
{
	const char *arg = argv[*i], *name = arg + 1;
	const struct run_opt *opt;

	if (arg[0] != '-')
		return run_opts_disk(o, arg, err);
	if (!arg[1])
		return err_set(err, -EINVAL, "'-' names no option and no disk");
	if (*name == '-')
		name++;
	opt = find(name);
	if (!opt)
		return unknown(arg, name, err);
	if (opt->arg && *i + 1 >= argc)
		return err_set(err, -EINVAL, "%s needs an argument: %s %s", arg, arg, opt->arg);
	return opt->set(o, opt->arg ? argv[++*i] : NULL, err);
}

static bool monitor_has_terminal(const struct run_opts *o)
{
	for (unsigned i = 0; i < o->vm.n_monitors; i++) {
		if (!strcmp(o->vm.monitors[i].chardev, "stdio"))
			return true;
	}
	return false;
}

/* What the console is when nobody said: the terminal, unless there shall be none. */
static void default_console(struct run_opts *o)
{
	bool terminal = !o->no_display && !o->daemonize && !monitor_has_terminal(o);

	if (!o->serials && !o->nodefaults && terminal)
		o->vm.serial[0] = "mon:stdio";
	/* Nobody is there at first; 'lodge console' attaches. */
	if (!o->serials && !o->nodefaults && !terminal)
		o->vm.serial[0] = "null";
	o->vm.bios_on_serial = o->vm.serial[0] && !o->no_display;
}

/* SeaBIOS, unless the kernel or other firmware was given. */
static void default_bios(struct run_opts *o)
{
	if (!o->vm.kernel && !o->vm.bios && !board_has_flash(&o->vm))
		o->vm.bios = DEFAULT_BIOS;
}

/*
 * What boots by firmware has a card, as on QEMU: firmware and installed systems expect one. A kernel
 * started by itself has what was asked for.
 */
static int default_nic(struct run_opts *o, struct lodge_err *err)
{
	if (o->nic_said || o->vm.netdevs.n || o->nodefaults || o->vm.kernel)
		return 0;
	return run_opts_add(&o->vm.netdevs, VM_DEFAULT_NIC, "user,model=e1000", "type", err);
}

/* -vga is a device, and the first one: its slot is 2, where QEMU has it. */
static int add_vga(struct run_opts *o, struct lodge_err *err)
{
	struct vm_options *d = &o->vm.devices;
	struct props *vga;
	int r = 0;

	if (o->vga_virtio)
		r = run_opts_add(d, "-vga virtio", "virtio-vga", "driver", err);
	else if (o->vga_std)
		r = run_opts_add(d, "-vga std", "VGA", "driver", err);
	if (r || !(o->vga_std || o->vga_virtio))
		return r;
	vga = d->p[d->n - 1];
	memmove(d->p + 1, d->p, (d->n - 1) * sizeof(d->p[0]));
	d->p[0] = vga;
	return 0;
}

/* A screen that is looked at needs an adapter: QEMU's, unless another was asked for. */
static int default_vga(struct run_opts *o, struct lodge_err *err)
{
	static const char *const adapters[] = {"VGA", "bochs-display", "virtio-gpu-pci",
					       "virtio-gpu", "virtio-vga"};

	if (!run_opts_looked_at(o))
		return 0;
	for (unsigned i = 0; i < o->vm.devices.n; i++) {
		const char *driver = props_get(o->vm.devices.p[i], "driver");

		for (size_t k = 0; driver && k < ARRAY_SIZE(adapters); k++) {
			if (!strcmp(driver, adapters[k]))
				return 0;
		}
	}
	if (o->vga_std || o->vga_virtio)
		return 0;
	if (o->vga_said || o->nodefaults)
		return err_set(err, -EINVAL,
			       "there is nothing to look at: add -vga std, or leave -display and "
			       "-vnc out");
	o->vga_std = true;
	/* It is the machine's from now on, also when that is saved. */
	o->said[o->vm.n_said++] = "-vga";
	o->said[o->vm.n_said++] = "std";
	return 0;
}

static int check_boot(const struct run_opts *o, struct lodge_err *err)
{
	const struct vm_config *vm = &o->vm;

	if (!vm->kernel && (vm->initrd || vm->append))
		return err_set(err, -EINVAL, "%s needs a -kernel",
			       vm->initrd ? "-initrd" : "-append");
	return 0;
}

static int check_engine(struct run_opts *o, struct lodge_err *err)
{
	const struct vm_engine_wish *w = &o->accel;

	if (w->soft_properties && w->kvm && !w->soft && !w->any)
		return err_set(err, -EINVAL,
			       "-accel kvm has none of tier, check, tb-size and perf; these are "
			       "the software engine's");
	if (o->vm.kvm.device && w->soft && !w->kvm && !w->any)
		return err_set(err, -EINVAL,
			       "-accel soft has no device; that is a property of -accel kvm");
	if (o->vm.soft.check && o->vm.soft.tier == 1)
		return err_set(err, -EINVAL,
			       "-accel: check=on compares tier 2 with tier 1; leave tier=1 out");
	return 0;
}

static int check(struct run_opts *o, struct lodge_err *err)
{
	int r = check_engine(o, err);

	if (!r)
		r = check_boot(o, err);
	if (!r)
		r = run_opts_check_memory(o, err);
	if (!r)
		r = run_opts_check_display(o, err);
	if (!r && o->vm.snapshot && o->vm.blockdevs.n)
		r = err_set(err, -EINVAL,
			    "-snapshot is for -drive; with -blockdev write read-only=on, or use "
			    "-drive");
	if (!r && o->daemonize && o->nographic)
		r = err_set(err, -EINVAL,
			    "-nographic and -daemonize exclude each other; use -display none and "
			    "-serial file:PATH, unix:PATH or pty");
	return r;
}

/* With -restore the options are the saved machine's, and those beside it. */
static int take_saved(struct run_opts *o, int *argc, char ***argv, struct lodge_err *err)
{
	const char *path = run_restore_path(o, *argc, *argv, err);
	int r;

	if (!path)
		return 0;
	if (!*path)
		return -EINVAL;
	r = run_restore_merge(o, path, *argc, *argv, err);
	*argc = o->merged_count;
	*argv = o->merged;
	o->vm.restore = o->restore;
	return r;
}

int run_opts_parse(struct run_opts *o, int argc, char **argv, struct lodge_err *err)
{
	int r;

	memset(o, 0, sizeof(*o));
	o->vm.ram_bytes = DEFAULT_RAM;
	o->vm.kvm.irqchip = ENGINE_IRQCHIP_BEST;
	o->vm.cpus = 1;
	r = take_saved(o, &argc, &argv, err);
	if (r)
		return r;
	for (int i = 1; i < argc; i++) {
		r = parse_one(o, argc, argv, &i, err);
		if (r)
			return r;
		if (o->help)
			return 0;
	}
	default_console(o);
	default_bios(o);
	o->vm.no_stdio = o->daemonize;
	r = run_restore_said(o, argc, argv, err);
	if (!r)
		r = default_nic(o, err);
	if (!r)
		r = default_vga(o, err);
	if (!r)
		r = add_vga(o, err);
	if (!r)
		r = run_opts_add_usb(o, err);
	return r ? r : check(o, err);
}

static void print_group(FILE *out, const struct run_opt *opt)
{
	char head[64];

	for (; opt->name; opt++) {
		snprintf(head, sizeof(head), "-%s %s", opt->name, opt->arg ? opt->arg : "");
		if (strlen(head) < 26)
			fprintf(out, "  %-25s %s\n", head, opt->help);
		else
			fprintf(out, "  %s\n  %-25s %s\n", head, "", opt->help);
	}
}

void run_opts_print(FILE *out)
{
	for (size_t g = 0; g < ARRAY_SIZE(groups); g++) {
		fprintf(out, "\n%s:\n", groups[g].title);
		print_group(out, groups[g].opts);
	}
}
