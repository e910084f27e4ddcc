// SPDX-License-Identifier: GPL-2.0-or-later
/* `lodge forward`. Threads: main only. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/ctl.h"

/* The answer says what is wrong, behind "Error: ". */
static int tell(struct ctl *ctl, const char *line, bool show)
{
	struct lodge_err err = {""};
	char *text = client_human(ctl->client, line, &err);
	int r = 0;

	if (!text)
		return cli_error("%s: %s", ctl->who, err.msg);
	if (!strncmp(text, "Error: ", 7)) {
		text[strcspn(text, "\r\n")] = '\0';
		r = cli_error("%s: %s", ctl->who, text + 7);
	}
	for (const char *c = text; show && !r && *c; c++) {
		if (*c != '\r')
			putchar(*c);
	}
	free(text);
	return r;
}

/* "8080:80" is the usual case: TCP, this host only. */
static bool spell(char *out, size_t size, const char *rule, bool add)
{
	unsigned host, guest;
	int end = 0, n;

	if (strlen(rule) < size - 40 && add && sscanf(rule, "%u:%u%n", &host, &guest, &end) == 2 &&
	    !rule[end])
		n = snprintf(out, size, "tcp:127.0.0.1:%u-:%u", host, guest);
	else if (!add && sscanf(rule, "%u%n", &host, &end) == 1 && !rule[end])
		n = snprintf(out, size, "tcp:127.0.0.1:%u", host);
	else
		n = snprintf(out, size, "%s", rule);
	return n > 0 && (size_t)n < size && !strpbrk(out, " \"\\\n\r");
}

int cli_forward(int argc, char **argv)
{
	char line[600], rule[256];
	const char *net = NULL;
	struct ctl ctl;
	bool add;
	int r;

	if (argc >= 4 && !strcmp(argv[1], "--net")) {
		net = argv[2];
		argc -= 2;
		argv += 2;
	}
	if (argc < 2 || argv[1][0] == '-')
		return cli_error("forward: which machine? 'lodge ps' lists them, 'lodge help "
				 "forward' explains");
	if (argc != 2 && (argc != 4 || (strcmp(argv[2], "add") && strcmp(argv[2], "remove"))) &&
	    (argc != 3 || strcmp(argv[2], "list")))
		return cli_error("forward: write NAME, NAME add RULE, or NAME remove RULE");
	add = argc == 4 && !strcmp(argv[2], "add");
	if (argc == 4 && (!spell(rule, sizeof(rule), argv[3], add) ||
			  (net && strpbrk(net, " \"\\\n\r")) || (net && strlen(net) > 100)))
		return cli_error("forward: '%.100s' is no rule, as 8080:80 or "
				 "udp:127.0.0.1:5353-:53",
				 argv[3]);
	if (ctl_open(&ctl, argv[1]))
		return 1;
	if (argc == 4)
		snprintf(line, sizeof(line), "%s %s%s%s", add ? "hostfwd_add" : "hostfwd_remove",
			 net ? net : "", net ? " " : "", rule);
	else
		snprintf(line, sizeof(line), "info usernet");
	r = tell(&ctl, line, argc < 4);
	ctl_close(&ctl);
	return r;
}

void cli_forward_help(void)
{
	puts("usage: lodge forward NAME\n"
	     "       lodge forward [--net ID] NAME add RULE\n"
	     "       lodge forward [--net ID] NAME remove RULE\n"
	     "\n"
	     "List, add or remove forwards of host ports to a running guest with -netdev user. A\n"
	     "RULE is HOSTPORT:GUESTPORT for TCP of this host only, or as hostfwd= has it:\n"
	     "[tcp|udp]:[HOSTADDR]:HOSTPORT-[GUESTADDR]:GUESTPORT; what is removed is named by\n"
	     "HOSTPORT, or by the part before '-'.");
}
