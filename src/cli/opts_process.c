// SPDX-License-Identifier: GPL-2.0-or-later
/* Options of `lodge run` about the process: traces, pidfile, background. Threads: main only. */
#include <errno.h>
#include <string.h>

#include "base/keyval.h"
#include "base/log.h"
#include "base/range.h"
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

/* One of QEMU's switches: what it would forbid is forbidden always. */
static int check_switch(const struct keyval *kv, const char *what, struct lodge_err *err)
{
	if (!strcmp(kv->val, "deny") || !strcmp(kv->val, "off"))
		return 0;
	return err_set(err, -EINVAL,
		       "-sandbox %.40s=%.40s: %s; only deny is there, or '-sandbox off' for no "
		       "sandbox at all",
		       kv->key, kv->val, what);
}

static int set_sandbox_part(struct run_opts *o, const struct keyval *kv, struct lodge_err *err)
{
	static const struct {
		const char *name, *what;
	} switches[] = {
		{"obsolete", "no thread makes obsolete system calls"},
		{"elevateprivileges", "the process never gets more rights"},
		{"spawn", "helpers are started before the sandbox is closed, and none later"},
		{"resourcecontrol", "no thread changes priorities or affinity later"},
	};
	struct sandbox_config *s = &o->sandbox;
	bool on;

	for (size_t i = 0; i < ARRAY_SIZE(switches); i++) {
		if (!strcmp(kv->key, switches[i].name))
			return check_switch(kv, switches[i].what, err);
	}
	if (!strcmp(kv->key, "path")) {
		if (s->n_paths == SANDBOX_PATHS)
			return err_set(err, -EINVAL, "-sandbox: %u path= are the most",
				       SANDBOX_PATHS);
		s->paths[s->n_paths] = run_opts_keep(o, kv->val);
		return s->paths[s->n_paths++] ? 0 : err_set(err, -ENOMEM, "too many options");
	}
	if (parse_bool(kv->val, &on))
		return err_set(err, -EINVAL, "-sandbox %.40s=%.40s: it is on or off", kv->key,
			       kv->val);
	if (!strcmp(kv->key, "log"))
		s->log_only = on;
	else if (!strcmp(kv->key, "image-folders"))
		s->no_image_folders = !on;
	else
		return err_set(err, -EINVAL,
			       "-sandbox: there is no '%.40s'; there are path=, image-folders=, "
			       "log=, and QEMU's obsolete=, elevateprivileges=, spawn=, "
			       "resourcecontrol=",
			       kv->key);
	return 0;
}

static int set_sandbox(struct run_opts *o, const char *val, struct lodge_err *err)
{
	struct keyval kv;
	bool on;
	int r;

	keyval_init(&kv, val, "enable");
	while ((r = keyval_next(&kv, err)) > 0) {
		if (strcmp(kv.key, "enable") != 0) {
			r = set_sandbox_part(o, &kv, err);
			if (r)
				return r;
			continue;
		}
		if (parse_bool(kv.val, &on))
			return err_set(err, -EINVAL, "-sandbox %.100s: it is on or off", val);
		o->sandbox.off = !on;
	}
	return r;
}

static int set_runas(struct run_opts *o, const char *val, struct lodge_err *err)
{
	o->sandbox.runas = true;
	return rights_find_user(val, &o->sandbox.user, err);
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
	{"sandbox", "on|off[,path=PATH][,image-folders=on|off][,log=on|off]",
	 "shut the process in (on)", set_sandbox},
	{"runas", "USER|UID:GID", "become that user once all is open", set_runas},
	{"no-user-config", NULL, "accepted; there are no configuration files", set_nothing},
	{"nodefconfig", NULL, "accepted, as above", set_nothing},
	{"help", NULL, "this list", set_help},
	{"h", NULL, "this list", set_help},
	{NULL, NULL, NULL, NULL},
};
