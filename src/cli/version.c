// SPDX-License-Identifier: GPL-2.0-or-later
/* `lodge version`: one line. */
#include <stdio.h>

#include "cli/cli.h"

int cli_version(int argc, char **argv)
{
	if (argc > 1)
		return cli_error("version: '%s' is one argument too many", argv[1]);
	printf("lodge %s\n", LODGE_VERSION);
	return fflush(stdout) ? 1 : 0;
}

void cli_version_help(void)
{
	puts("usage: lodge version\n"
	     "\n"
	     "Print the program's name and version on one line. 'lodge --version' is the same.");
}
