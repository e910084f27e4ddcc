// SPDX-License-Identifier: GPL-2.0-or-later
/* `lodge help [command]`. */
#include <stdio.h>

#include "cli/cli.h"

static void print_overview(void)
{
	puts("lodge - virtual machines on x86-64 Linux, also without VT-x or AMD-V\n"
	     "\n"
	     "usage: lodge COMMAND [OPTION...]\n"
	     "\n"
	     "commands:");
	for (const struct cli_verb *v = cli_verbs; v->name; v++)
		printf("  %-10s %s\n", v->name, v->summary);
	puts("\n"
	     "A first machine, with its console on this terminal (Ctrl-A x ends it):\n"
	     "  lodge run -m 512M -nographic -kernel vmlinuz -initrd initrd.img "
	     "-append console=ttyS0\n"
	     "\n"
	     "'lodge help COMMAND' explains a command; 'man lodge' has everything.");
}

int cli_help(int argc, char **argv)
{
	const struct cli_verb *verb;

	if (argc < 2) {
		print_overview();
		return fflush(stdout) ? 1 : 0;
	}
	verb = cli_verb_find(argv[1]);
	if (!verb)
		return cli_error("there is no command '%s'; 'lodge help' lists them", argv[1]);
	verb->help();
	return fflush(stdout) ? 1 : 0;
}

void cli_help_help(void)
{
	puts("usage: lodge help [COMMAND]\n"
	     "\n"
	     "Without a command: list the commands. With one: explain it and its options.");
}
