// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A machine whose screen a test looks at: `screen OPTIONS` as of `lodge run`, then commands on its input,
 * one a line, each answered by lines that end with one of "." alone:
 *
 *   text        the rows of a text screen, without empty ones at the end; or "error: SENTENCE"
 *   shot PATH   the picture as a file
 *   size        its size, as "WIDTH HEIGHT"
 *   quit
 *
 * Built as build/gcc/tests/system/screen.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/run_opts.h"
#include "display/source.h"

static void print_text(struct vm *vm)
{
	static struct display_text t;
	static char row[3 * DISPLAY_TEXT_COLS + 1];
	struct lodge_err err;
	unsigned empty = 0;

	if (vm_screen_text(vm, &t, &err)) {
		printf("error: %s\n", err.msg);
		return;
	}
	for (unsigned y = 0; y < t.rows; y++) {
		display_text_row(&t, y, row);
		if (!*row) {
			empty++;
			continue;
		}
		for (; empty; empty--)
			puts("");
		puts(row);
	}
}

static void print_size(struct vm *vm)
{
	struct display_picture pic = {0};
	struct lodge_err err;

	if (vm_screen_draw(vm, &pic, &err))
		printf("error: %s\n", err.msg);
	else
		printf("%u %u\n", pic.width, pic.height);
	display_picture_free(&pic);
}

/* False: the end. */
static bool command(struct vm *vm, char *line)
{
	struct lodge_err err;

	line[strcspn(line, "\n")] = '\0';
	if (!strcmp(line, "quit"))
		return false;
	if (!strcmp(line, "text"))
		print_text(vm);
	else if (!strcmp(line, "size"))
		print_size(vm);
	else if (!strncmp(line, "shot ", 5) && vm_screenshot(vm, line + 5, &err))
		printf("error: %s\n", err.msg);
	puts(".");
	fflush(stdout);
	return true;
}

static void serve(struct vm *vm)
{
	struct pollfd p[2] = {{.fd = vm_event_fd(vm), .events = POLLIN},
			      {.fd = STDIN_FILENO, .events = POLLIN}};
	struct vm_end end;
	char line[4096];

	setvbuf(stdin, NULL, _IONBF, 0);
	while (poll(p, 2, -1) > 0 || errno == EINTR) {
		if (p[0].revents && vm_service(vm, &end))
			return;
		if (p[1].revents && (!fgets(line, sizeof(line), stdin) || !command(vm, line)))
			return;
	}
}

int main(int argc, char **argv)
{
	static struct run_opts o;
	struct lodge_err err = {""};
	struct vm *vm = NULL;
	int r = run_opts_parse(&o, argc, argv, &err);

	if (!r)
		vm = vm_new(&o.vm, &err);
	if (!vm || vm_start(vm, &err)) {
		fprintf(stderr, "screen: %s\n", err.msg);
		return 1;
	}
	serve(vm);
	vm_stop(vm);
	vm_free(vm);
	run_opts_free(&o);
	return 0;
}
