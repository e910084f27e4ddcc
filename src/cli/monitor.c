// SPDX-License-Identifier: GPL-2.0-or-later
/* `lodge monitor`. Threads: main only. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/ctl.h"
#include "control/rundir.h"

#define LINE_BYTES 4096u

/* 0, 1 after an error, which the machine's answer says; 2: it has hung up. */
static int one(struct ctl *ctl, const char *line)
{
	struct lodge_err err = {""};
	char *text = client_human(ctl->client, line, &err);
	bool failed;

	if (!text) {
		/* "quit" is answered by the end. */
		if (strcmp(line, "quit") && strcmp(line, "q"))
			cli_error("%s: %s", ctl->who, err.msg);
		return 2;
	}
	for (const char *c = text; *c; c++) {
		if (*c != '\r')
			putchar(*c);
	}
	fflush(stdout);
	failed = !strncmp(text, "Error:", 6);
	free(text);
	return failed;
}

static int talk(struct ctl *ctl)
{
	bool person = isatty(STDIN_FILENO);
	char line[LINE_BYTES];
	int r = 0;

	for (;;) {
		if (person) {
			printf("(%.60s) ", ctl->who);
			fflush(stdout);
		}
		if (!fgets(line, sizeof(line), stdin))
			break;
		line[strcspn(line, "\n")] = '\0';
		r |= one(ctl, line);
		if (r & 2)
			break;
	}
	if (person)
		putchar('\n');
	return person ? 0 : r & 1;
}

static int speak_qmp(const char *who)
{
	struct lodge_err err = {""};
	json_t *info = client_find(who, &err);
	int fd = info ? rundir_connect(json_string_value(json_object_get(info, "key")), "qmp", &err)
		      : -1;
	int r;

	json_decref(info);
	if (fd < 0)
		return cli_error("%s", err.msg);
	r = ctl_copy(fd, 0);
	close(fd);
	return r;
}

/* The words of a command as one line. */
static bool join(char *line, size_t size, int argc, char **argv)
{
	size_t used = 0;

	for (int i = 0; i < argc && used < size; i++)
		used += (size_t)snprintf(line + used, size - used, "%s%s", i ? " " : "", argv[i]);
	return used < size;
}

int cli_monitor(int argc, char **argv)
{
	char line[LINE_BYTES];
	struct ctl ctl;
	int r;

	if (argc == 3 && (!strcmp(argv[1], "--qmp") || !strcmp(argv[1], "-qmp")))
		return speak_qmp(argv[2]);
	if (argc < 2 || argv[1][0] == '-')
		return cli_error(
			"monitor: which machine? 'lodge ps' lists them, 'lodge help monitor' "
			"explains");
	if (!join(line, sizeof(line), argc - 2, argv + 2))
		return cli_error("monitor: the command is too long");
	if (ctl_open(&ctl, argv[1]))
		return 1;
	r = argc > 2 ? one(&ctl, line) & 1 : talk(&ctl);
	ctl_close(&ctl);
	return r;
}

void cli_monitor_help(void)
{
	puts("usage: lodge monitor NAME [COMMAND...]\n"
	     "       lodge monitor --qmp NAME\n"
	     "\n"
	     "Talk to a running machine's monitor: 'help' lists its commands, 'info' what can be\n"
	     "asked. With a COMMAND: carry that one out. --qmp: JSON from standard input to the\n"
	     "machine's control socket, answers to standard output.");
}
