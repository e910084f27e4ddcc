// SPDX-License-Identifier: GPL-2.0-or-later
/* Options of `lodge run` about the process: traces, pidfile, background. Threads: main only. */
#include <errno.h>
#include <string.h>

#include "base/keyval.h"
#include "base/log.h"
#include "cli/run_opts.h"

static int set_trace(struct run_opts *o, const char *val, struct lodge_err *err)
{
	(void)o;
	if (!strcmp(val, "help") || !strcmp(val, "?")) {
		log_list_items(stdout);
		return 1;
	}
	return log_set_items(val, err);
}

static int set_trace_file(struct run_opts *o, const char *val, struct lodge_err *err)
{
	(void)o;
	return log_set_file(val, err);
}

static int set_pidfile(struct run_opts *o, const char *val, struct lodge_err *err)
{
	(void)err;
	o->pidfile = val;
	return 0;
}

static int set_daemonize(struct run_opts *o, const char *val, struct lodge_err *err)
{
	(void)val;
	(void)err;
	o->daemonize = true;
	return 0;
}

static int set_stopped(struct run_opts *o, const char *val, struct lodge_err *err)
{
	(void)val;
	(void)err;
	o->vm.start_stopped = true;
	return 0;
}

static int set_control(struct run_opts *o, const char *val, struct lodge_err *err)
{
	bool on;

	if (parse_bool(val, &on))
		return err_set(err, -EINVAL, "-control %s: it is on or off", val);
	o->no_control = !on;
	return 0;
}

static int set_nothing(struct run_opts *o, const char *val, struct lodge_err *err)
{
	(void)o;
	(void)val;
	(void)err;
	return 0;
}

static int set_help(struct run_opts *o, const char *val, struct lodge_err *err)
{
	(void)val;
	(void)err;
	o->help = true;
	return 0;
}

/* Both were seen to before any other option; two of them would be two machines. */
static int set_restore(struct run_opts *o, const char *val, struct lodge_err *err)
{
	(void)o;
	return err_set(err, -EINVAL, "-restore %s: a saved machine names another", val);
}

const struct run_opt run_opts_process[] = {
	{"d", "LIST", "trace these items; 'help' lists them", set_trace},
	{"D", "FILE", "traces go there instead of standard error", set_trace_file},
	{"pidfile", "FILE", "write the process id there, while it runs", set_pidfile},
	{"daemonize", NULL, "go on in the background once the machine is set up", set_daemonize},
	{"S", NULL, "do not run until a monitor says cont ('lodge resume')", set_stopped},
	{"restore", "FILE[,verify=on]",
	 "go on with a machine that 'lodge save' wrote; options beside it may replace disks, "
	 "networks and consoles",
	 set_restore},
	{"incoming", "file:FILE", "the same, as QEMU spells it", set_restore},
	{"control", "on|off", "a control socket, by which 'lodge ps' and its like find it (on)",
	 set_control},
	{"no-user-config", NULL, "accepted; there are no configuration files", set_nothing},
	{"nodefconfig", NULL, "accepted, as above", set_nothing},
	{"help", NULL, "this list", set_help},
	{"h", NULL, "this list", set_help},
	{NULL, NULL, NULL, NULL},
};
