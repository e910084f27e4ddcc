// SPDX-License-Identifier: GPL-2.0-or-later
/* `lodge console`. Threads: main only. */
#include <stdio.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/ctl.h"
#include "control/rundir.h"

#define ESCAPE 0x1d /* Ctrl-] */

int cli_console(int argc, char **argv)
{
	struct lodge_err err = {""};
	json_t *info;
	int fd, r;

	if (argc != 2 || argv[1][0] == '-')
		return cli_error("console: which machine? 'lodge ps' lists them");
	info = client_find(argv[1], &err);
	fd = info ? rundir_connect(json_string_value(json_object_get(info, "key")), "console", &err)
		  : -1;
	json_decref(info);
	if (fd < 0)
		return cli_error("%s", err.msg);
	if (isatty(STDIN_FILENO))
		fprintf(stderr, "lodge: the console of %s; Ctrl-] leaves it\n", argv[1]);
	r = ctl_copy(fd, ESCAPE);
	close(fd);
	return r;
}

void cli_console_help(void)
{
	puts("usage: lodge console NAME\n"
	     "\n"
	     "Attach to the first serial port of a running machine, beside whoever is there\n"
	     "already: what it said last is shown, and keys go to the guest. Ctrl-] leaves.");
}
