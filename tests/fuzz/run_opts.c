// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The options of `lodge run` and the words of -serial: arguments separated by line ends.
 * Run: make t T=fuzz/run_opts
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chardev/socket.h"
#include "cli/run_opts.h"

#define MAX_ARGS 64

/* Options that write files or much text; everything else is only parsed. */
static int skipped(const char *arg)
{
	arg += strspn(arg, "-");
	return !strcmp(arg, "D") || !strcmp(arg, "help") || !strcmp(arg, "?");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), *argv[MAX_ARGS] = {(char *)"run"}, *save, *word;
	struct lodge_err err = {""};
	struct socket_spec spec;
	struct run_opts o;
	int argc = 1;

	memcpy(text, data, size);
	text[size] = '\0';
	for (word = strtok_r(text, "\n", &save); word && argc < MAX_ARGS;
	     word = strtok_r(NULL, "\n", &save)) {
		if (!skipped(word))
			argv[argc++] = word;
	}
	if (run_opts_parse(&o, argc, argv, &err) < 0 && !err.msg[0])
		abort(); /* every refusal has its sentence */
	run_opts_free(&o);
	for (int i = 1; i < argc; i++) {
		if (socket_parse(&spec, i & 1, argv[i], &err) < 0 && !err.msg[0])
			abort();
	}
	free(text);
	return 0;
}
