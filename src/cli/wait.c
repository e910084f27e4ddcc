// SPDX-License-Identifier: GPL-2.0-or-later
/* `lodge wait`: until the screen shows something. Threads: main only. */
#include <poll.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/screen.h"

#define LOOK_MS 200
#define TIMEOUT_S 60

struct wish {
	const char *text, *regex, *picture;
	regex_t compiled;
	struct display_picture part;
	double timeout_s;
	bool gone; /* until it is not to be seen any more */
};

/* -1: it cannot be known, which was told. */
static int sees_text(struct ctl *ctl, const struct wish *w)
{
	struct lodge_err err = {""};
	json_t *ret = client_call(ctl->client, "x-screen-text", NULL, CLIENT_CALL_MS, &err), *v;
	bool seen = false;
	size_t i;

	if (!ret) {
		cli_error("%s: %s", ctl->who, err.msg);
		return -1;
	}
	json_array_foreach (json_object_get(ret, "lines"), i, v) {
		const char *line = json_string_value(v);

		if (line && w->text)
			seen |= strstr(line, w->text) != NULL;
		else if (line)
			seen |= !regexec(&w->compiled, line, 0, NULL, 0);
	}
	json_decref(ret);
	return seen;
}

static int sees_picture(struct ctl *ctl, const struct wish *w)
{
	struct display_picture now = {0};
	struct lodge_err err = {""};
	int r;

	if (screen_look(ctl, &now, &err)) {
		cli_error("%s: %s", ctl->who, err.msg);
		return -1;
	}
	r = screen_contains(&now, &w->part);
	display_picture_free(&now);
	return r;
}

static void show_text(struct ctl *ctl)
{
	struct lodge_err err;
	json_t *ret = client_call(ctl->client, "x-screen-text", NULL, CLIENT_CALL_MS, &err), *v;
	size_t i;

	if (json_is_true(json_object_get(ret, "text")))
		fputs("The screen shows:\n", stderr);
	json_array_foreach (json_object_get(ret, "lines"), i, v) {
		if (json_string_length(v))
			fprintf(stderr, "  %s\n", json_string_value(v));
	}
	json_decref(ret);
}

static int wait_for(struct ctl *ctl, const struct wish *w)
{
	uint64_t end = clock_mono_ns() + (uint64_t)(w->timeout_s * 1e9);

	for (;;) {
		int r = w->picture ? sees_picture(ctl, w) : sees_text(ctl, w);

		if (r < 0)
			return 1;
		if (r == !w->gone)
			return 0;
		if (clock_mono_ns() >= end)
			break;
		poll(NULL, 0, LOOK_MS);
	}
	if (!w->picture)
		show_text(ctl);
	return cli_error("wait: %s was %s on the screen of %s within %g s",
			 w->picture ? w->picture
			 : w->text  ? w->text
				    : w->regex,
			 w->gone ? "still" : "not", ctl->who, w->timeout_s);
}

/* A line of the screen has no spaces at its end. */
static void trim(char *text)
{
	size_t n = strlen(text);

	while (n > 1 && text[n - 1] == ' ')
		text[--n] = '\0';
}

static int read_wish(struct wish *w)
{
	struct lodge_err err = {""};

	if (!!w->text + !!w->regex + !!w->picture != 1)
		return cli_error("wait: for what? --text TEXT, --regex REGEX or --picture FILE");
	if (w->regex && regcomp(&w->compiled, w->regex, REG_EXTENDED | REG_NOSUB))
		return cli_error("wait: '%s' is no extended regular expression", w->regex);
	if (w->picture && screen_read_file(&w->part, w->picture, &err))
		return cli_error("wait: %s", err.msg);
	return 0;
}

/* An option with a value; NULL if this is another. */
static const char **place_of(struct wish *w, const char *name)
{
	return !strcmp(name, "text")	  ? &w->text
	       : !strcmp(name, "regex")	  ? &w->regex
	       : !strcmp(name, "picture") ? &w->picture
					  : NULL;
}

int cli_wait(int argc, char **argv)
{
	struct wish w = {.timeout_s = TIMEOUT_S};
	const char *who = NULL;
	struct ctl ctl;
	int r;

	for (int i = 1; i < argc; i++) {
		const char *o =
			argv[i] + (argv[i][0] == '-') + (argv[i][0] == '-' && argv[i][1] == '-');
		const char **place = place_of(&w, o);

		if (argv[i][0] != '-' && !who) {
			who = argv[i];
		} else if (argv[i][0] == '-' && !strcmp(o, "gone")) {
			w.gone = true;
		} else if (argv[i][0] == '-' && place && i + 1 < argc) {
			*place = argv[++i];
			if (place == &w.text)
				trim(argv[i]);
		} else if (argv[i][0] == '-' && !strcmp(o, "timeout") && i + 1 < argc) {
			char *end;

			w.timeout_s = strtod(argv[++i], &end);
			if (*end || !(w.timeout_s >= 0 && w.timeout_s < 1e7))
				return cli_error("wait: '%s' is no number of seconds", argv[i]);
		} else {
			return cli_error("wait: '%s' is not understood; 'lodge help wait' explains",
					 argv[i]);
		}
	}
	if (!who)
		return cli_error("wait: which machine? 'lodge ps' lists them");
	r = read_wish(&w);
	if (!r && !ctl_open(&ctl, who)) {
		r = wait_for(&ctl, &w);
		ctl_close(&ctl);
	} else {
		r = 1;
	}
	if (w.regex)
		regfree(&w.compiled);
	display_picture_free(&w.part);
	return r;
}

void cli_wait_help(void)
{
	puts("usage: lodge wait NAME --text TEXT | --regex REGEX | --picture FILE [--gone]\n"
	     "                       [--timeout SECONDS]\n"
	     "\n"
	     "Wait until a running machine's screen shows something: text in one line of a text "
	     "mode,\n"
	     "or of a console in a frame buffer whose letters have 8 by 16 dots, exactly or by an\n"
	     "extended regular expression; or a picture (PNG, PPM: a screenshot or a part of "
	     "one),\n"
	     "dot for dot anywhere on it. With --gone, until it does not any more.\n"
	     "Exit code 0 when it does; 1 after 60 seconds or as many as were given.");
}
