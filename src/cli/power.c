// SPDX-License-Identifier: GPL-2.0-or-later
/* `lodge reset`, `lodge pause`, `lodge resume`. Threads: main only. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/ctl.h"

static int for_each(int argc, char **argv, const char *command)
{
	int r = 0;

	if (argc < 2)
		return cli_error("%s: which machine? 'lodge ps' lists them", argv[0]);
	for (int i = 1; i < argc; i++) {
		struct ctl ctl;

		if (ctl_open(&ctl, argv[i])) {
			r = 1;
			continue;
		}
		r |= ctl_do(&ctl, command);
		ctl_close(&ctl);
	}
	return r;
}

int cli_reset(int argc, char **argv)
{
	return for_each(argc, argv, "system_reset");
}

void cli_reset_help(void)
{
	puts("usage: lodge reset NAME...\n"
	     "\n"
	     "Press the reset button of running machines. Their guests are not asked.");
}

int cli_pause(int argc, char **argv)
{
	return for_each(argc, argv, "stop");
}

void cli_pause_help(void)
{
	puts("usage: lodge pause NAME...\n"
	     "\n"
	     "Stop running machines where they are; their clocks stand still. 'lodge resume' lets\n"
	     "them go on.");
}

int cli_resume(int argc, char **argv)
{
	return for_each(argc, argv, "cont");
}

void cli_resume_help(void)
{
	puts("usage: lodge resume NAME...\n"
	     "\n"
	     "Let machines go on that were paused, or that stopped because a disk failed: what\n"
	     "failed is tried again.");
}
