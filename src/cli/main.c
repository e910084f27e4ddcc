// SPDX-License-Identifier: GPL-2.0-or-later
/* The program's entry: finds the verb and hands over. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "net/helper.h"
#include "vnc/vnc.h"

const struct cli_verb cli_verbs[] = {
	{"run", "build a PC and run an operating system in it", cli_run, cli_run_help},
	{"new", "make a disk image with an operating system on it", cli_new, cli_new_help},
	{"img", "create, convert, check and change disk images", cli_img, cli_img_help},
	{"ps", "list running machines", cli_ps, cli_ps_help},
	{"stop", "power a running machine off", cli_stop, cli_stop_help},
	{"kill", "end a running machine at once", cli_kill, cli_kill_help},
	{"reset", "press a running machine's reset button", cli_reset, cli_reset_help},
	{"pause", "stop a running machine where it is", cli_pause, cli_pause_help},
	{"resume", "let a paused machine go on", cli_resume, cli_resume_help},
	{"save", "write a running machine to a file, for 'lodge run -restore'", cli_save,
	 cli_save_help},
	{"console", "attach to a running machine's console", cli_console, cli_console_help},
	{"monitor", "talk to a running machine's monitor", cli_monitor, cli_monitor_help},
	{"screenshot", "take a picture of a running machine's screen", cli_screenshot,
	 cli_screenshot_help},
	{"key", "press keys of a running machine", cli_key, cli_key_help},
	{"type", "type text on a running machine's keyboard", cli_type, cli_type_help},
	{"click", "click somewhere on a running machine's screen", cli_click, cli_click_help},
	{"wait", "wait until a running machine's screen shows something", cli_wait, cli_wait_help},
	{"forward", "forward host ports to a running machine", cli_forward, cli_forward_help},
	{"doctor", "say what this host can do for guests", cli_doctor, cli_doctor_help},
	{"help", "explain a command", cli_help, cli_help_help},
	{"version", "print the version", cli_version, cli_version_help},
	{NULL, NULL, NULL, NULL},
};

const struct cli_verb *cli_verb_find(const char *name)
{
	for (const struct cli_verb *v = cli_verbs; v->name; v++) {
		if (!strcmp(v->name, name))
			return v;
	}
	return NULL;
}

int cli_error(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fputs("lodge: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return 1;
}

/* "-version", "--version" and the like are verbs in an option's clothes. */
static const char *verb_of_option(const char *arg)
{
	static const struct {
		const char *option, *verb;
	} map[] = {
		{"-h", "help"},	   {"-help", "help"},	    {"--help", "help"},
		{"-V", "version"}, {"-version", "version"}, {"--version", "version"},
	};

	for (unsigned i = 0; i < sizeof(map) / sizeof(map[0]); i++) {
		if (!strcmp(map[i].option, arg))
			return map[i].verb;
	}
	return NULL;
}

/*
 * With a standard descriptor closed, the next file opened would take its place and be written to by
 * mistake.
 */
static void fill_std_descriptors(void)
{
	for (int fd = 0; fd <= 2; fd++) {
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd ? O_WRONLY : O_RDONLY) != fd)
			_exit(1);
	}
}

int main(int argc, char **argv)
{
	const struct cli_verb *verb;
	const char *name, *alias;

	net_helper_main(argc, argv);
	vnc_helper_main(argc, argv);
	fill_std_descriptors();
	if (argc < 2) {
		cli_help(1, argv);
		return 1;
	}
	name = argv[1];
	alias = verb_of_option(name);
	verb = cli_verb_find(alias ? alias : name);
	if (verb)
		return verb->fn(argc - 1, argv + 1);
	if (name[0] == '-')
		return cli_error("'%s' comes before a command; write 'lodge run %s ...'", name,
				 name);
	return cli_error("there is no command '%s'; 'lodge help' lists them", name);
}
