// SPDX-License-Identifier: GPL-2.0-or-later
/* `lodge key`, `lodge type`, `lodge click`. Threads: main only. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/range.h"
#include "cli/cli.h"
#include "cli/ctl.h"
#include "input/keys.h"
#include "input/layout.h"

#define HOLD_MS 20
#define LOOK_MS 20
/* More than that many events are not sent ahead. */
#define WAITING_MAX 400
#define TAKEN_MS 60000

/* ---- What all of them do ------------------------------------------------------------------------- */

static int call(struct ctl *ctl, const char *command, json_t *args)
{
	struct lodge_err err = {""};
	json_t *ret = client_call(ctl->client, command, args, CLIENT_CALL_MS, &err);

	json_decref(ret);
	return ret ? 0 : cli_error("%s: %s", ctl->who, err.msg);
}

/* How many events wait, or -1 having told; *absolute as well. */
static long waiting(struct ctl *ctl, bool *absolute)
{
	struct lodge_err err = {""};
	json_t *ret = client_call(ctl->client, "x-query-input", NULL, CLIENT_CALL_MS, &err);
	long n = ret ? (long)json_integer_value(json_object_get(ret, "waiting")) : -1;

	if (absolute)
		*absolute = json_is_true(json_object_get(ret, "absolute"));
	json_decref(ret);
	if (n < 0)
		cli_error("%s: %s", ctl->who, err.msg);
	return n;
}

/* Until at most `most` events wait. */
static int wait_taken(struct ctl *ctl, long most)
{
	uint64_t end = clock_mono_ns() + (uint64_t)TAKEN_MS * 1000000;
	long n, before = -1;

	while ((n = waiting(ctl, NULL)) > most) {
		if (n != before)
			end = clock_mono_ns() + (uint64_t)TAKEN_MS * 1000000;
		before = n;
		if (!ctl_is_running(ctl))
			return cli_error("%s does not run: what was typed waits for "
					 "'lodge resume'",
					 ctl->who);
		if (clock_mono_ns() > end)
			return cli_error("%s does not take what is typed", ctl->who);
		poll(NULL, 0, LOOK_MS);
	}
	return n < 0 ? 1 : 0;
}

static json_t *key_json(enum input_key key)
{
	return json_pack("{s:s, s:s}", "type", "qcode", "data", input_key_name(key));
}

static int press(struct ctl *ctl, json_t *keys, int hold_ms)
{
	return call(ctl, "send-key", json_pack("{s:o, s:i}", "keys", keys, "hold-time", hold_ms));
}

/* -k LAYOUT and --hold MS, in any order; returns where the other arguments begin. */
static int take_type_options(int argc, char **argv, int *hold, const char **layout)
{
	int i = 1;

	*hold = HOLD_MS;
	*layout = "en-us";
	for (; i + 1 < argc && argv[i][0] == '-'; i += 2) {
		const char *o = argv[i] + (argv[i][1] == '-' ? 2 : 1);

		if (!strcmp(o, "hold"))
			*hold = atoi(argv[i + 1]);
		else if (!strcmp(o, "k"))
			*layout = argv[i + 1];
		else
			break;
	}
	return i;
}

/* ---- lodge key ------------------------------------------------------------------------------------ */

/* "ctrl-alt-delete" */
static json_t *chord(const char *text)
{
	json_t *keys = json_array();

	for (const char *at = text;;) {
		size_t len = strcspn(at, "-");
		bool shift = false;
		enum input_key key = input_key_named(at, len);

		if (!key && len == 1)
			key = input_key_of_char((unsigned char)*at, &shift);
		if (!key || shift) {
			json_decref(keys);
			return NULL;
		}
		json_array_append_new(keys, key_json(key));
		if (!at[len])
			return keys;
		at += len + 1;
	}
}

/* How long keys are held; returns where the other arguments begin. */
static int take_hold(int argc, char **argv, int *hold)
{
	bool given = argc > 2 && (!strcmp(argv[1], "--hold") || !strcmp(argv[1], "-hold"));

	*hold = given ? atoi(argv[2]) : HOLD_MS;
	return given ? 3 : 1;
}

int cli_key(int argc, char **argv)
{
	int hold, i = take_hold(argc, argv, &hold), r = 0;
	struct ctl ctl;

	if (argc - i < 2)
		return cli_error("key: write the machine and keys: lodge key NAME "
				 "ctrl-alt-delete; 'lodge help key' explains");
	if (ctl_open(&ctl, argv[i++]))
		return 1;
	for (; i < argc && !r; i++) {
		json_t *keys = chord(argv[i]);

		r = keys ? press(&ctl, keys, hold)
			 : cli_error("key: '%s' names a key that there is not; 'lodge help key' "
				     "lists them",
				     argv[i]);
		if (!r)
			r = wait_taken(&ctl, i + 1 < argc ? WAITING_MAX : 0);
	}
	ctl_close(&ctl);
	return r;
}

void cli_key_help(void)
{
	unsigned col = 0;

	puts("usage: lodge key [--hold MS] NAME KEYS...\n"
	     "\n"
	     "Press keys of a running machine: those of one word together, as ctrl-alt-delete, "
	     "words\n"
	     "one after another. Each is held 20 ms. Returns when the guest has taken them.\n"
	     "\n"
	     "Keys:");
	for (unsigned k = 1; k < INPUT_KEYS; k++) {
		const char *name = input_key_name((enum input_key)k);

		if (!input_key_ps2((enum input_key)k))
			continue;
		col += (unsigned)strlen(name) + 1;
		if (col > 78) {
			putchar('\n');
			col = (unsigned)strlen(name) + 1;
		}
		printf(" %s", name);
	}
	puts("\nand control, enter, return, escape, del, ins, space, pageup, pagedown, super, "
	     "win,\n"
	     "altgr for some of them.");
}

/* ---- lodge type ----------------------------------------------------------------------------------- */

/* One character of UTF-8; a byte that is none stands for itself, and no key has it. */
static uint32_t take_utf8(const char **at)
{
	const unsigned char *p = (const unsigned char *)*at;
	unsigned more = p[0] >= 0xf0 && p[0] < 0xf8 ? 3 : p[0] >= 0xe0 ? 2 : p[0] >= 0xc2 ? 1 : 0;
	uint32_t c = more ? p[0] & (0x3fu >> more) : p[0];

	for (unsigned i = 1; i <= more; i++) {
		if ((p[i] & 0xc0) != 0x80) {
			*at += 1;
			return p[0] | 0x80000000u;
		}
		c = c << 6 | (p[i] & 0x3f);
	}
	*at += more + 1;
	return !more && c >= 0x80 ? c | 0x80000000u : c;
}

/* The next character; \n, \t, \e, \b and \\ stand for keys. */
static uint32_t next_char(const char **at)
{
	static const char names[] = "nrteb\\", chars[] = "\n\r\t\033\b\\";
	const char *p = *at;
	const char *name = p[0] == '\\' && p[1] ? strchr(names, p[1]) : NULL;

	if (!name)
		return take_utf8(at);
	*at += 2;
	return (unsigned char)chars[name - names];
}

static int type_char(struct ctl *ctl, const struct input_layout *layout, uint32_t c, int hold)
{
	struct input_stroke stroke[INPUT_STROKES];
	unsigned n = input_layout_write(layout, c, stroke);
	int r = 0;

	if (!n && c >> 31)
		return cli_error("type: the byte 0x%02x is no UTF-8", c & 0xff);
	if (!n)
		return cli_error(
			"type: the keyboard has no key for the character U+%04X; -k LAYOUT "
			"names another one",
			c);
	for (unsigned i = 0; i < n && !r; i++) {
		json_t *keys = json_array();

		if (stroke[i].held & INPUT_SHIFT)
			json_array_append_new(keys, key_json(INPUT_KEY_shift));
		if (stroke[i].held & INPUT_ALTGR)
			json_array_append_new(keys, key_json(INPUT_KEY_alt_r));
		json_array_append_new(keys, key_json(stroke[i].key));
		r = press(ctl, keys, hold);
	}
	return r;
}

static int type(struct ctl *ctl, const struct input_layout *layout, const char *text, int hold)
{
	unsigned n = 0;
	int r = 0;

	while (*text && !r) {
		r = type_char(ctl, layout, next_char(&text), hold);
		if (!r && ++n % 16 == 0)
			r = wait_taken(ctl, WAITING_MAX);
	}
	return r ? r : wait_taken(ctl, 0);
}

int cli_type(int argc, char **argv)
{
	struct lodge_err err = {""};
	struct input_layout *layout;
	const char *name;
	int hold, i = take_type_options(argc, argv, &hold, &name), r = 0;
	struct ctl ctl;

	if (argc - i < 2)
		return cli_error("type: write the machine and the text: lodge type NAME 'root\\n'");
	layout = input_layout_new(name, &err);
	if (!layout)
		return cli_error("type: %s", err.msg);
	if (ctl_open(&ctl, argv[i++])) {
		input_layout_free(layout);
		return 1;
	}
	for (; i < argc && !r; i++)
		r = type(&ctl, layout, argv[i], hold);
	ctl_close(&ctl);
	input_layout_free(layout);
	return r;
}

void cli_type_help(void)
{
	puts("usage: lodge type [-k LAYOUT] [--hold MS] NAME TEXT...\n"
	     "\n"
	     "Type text on a running machine's keyboard, as a US keyboard has it, or the one that "
	     "-k\n"
	     "names (de, fr-ch, 'us(dvorak)'): the guest has to have the same. ASCII, or UTF-8 as\n"
	     "far as the keyboard has it; \\n for\n"
	     "Enter, \\t for Tab, \\e for Escape, \\b for Backspace, \\\\ for a backslash. Keys "
	     "are held\n"
	     "20 ms, so it makes 25 characters a second. Returns when the guest has taken them.");
}

/* ---- lodge click ---------------------------------------------------------------------------------- */

static json_t *move(const char *type, const char *axis, long value)
{
	return json_pack("{s:s, s:{s:s, s:I}}", "type", type, "data", "axis", axis, "value",
			 (json_int_t)value);
}

static json_t *button(const char *name, bool down)
{
	return json_pack("{s:s, s:{s:s, s:b}}", "type", "btn", "data", "button", name, "down",
			 down);
}

static int send(struct ctl *ctl, json_t *a, json_t *b)
{
	json_t *events = json_array();

	json_array_append_new(events, a);
	if (b)
		json_array_append_new(events, b);
	return call(ctl, "input-send-event", json_pack("{s:o}", "events", events));
}

/* A mouse only moves: to the corner first, where it stops, and from there. */
static int go_by_mouse(struct ctl *ctl, long x, long y)
{
	int r = send(ctl, move("rel", "x", -10000), move("rel", "y", -10000));

	/* Steps of one dot are not made faster by the guest. */
	poll(NULL, 0, 300);
	for (long i = 0; !r && (i < x || i < y); i++) {
		r = send(ctl, move("rel", "x", i < x), move("rel", "y", i < y));
		if (i % 8 == 7)
			poll(NULL, 0, LOOK_MS);
	}
	poll(NULL, 0, 100);
	return r;
}

static int go(struct ctl *ctl, long x, long y)
{
	struct lodge_err err = {""};
	json_t *size = client_call(ctl->client, "x-screen-size", NULL, CLIENT_CALL_MS, &err);
	long w = (long)json_integer_value(json_object_get(size, "width"));
	long h = (long)json_integer_value(json_object_get(size, "height"));
	bool absolute;

	json_decref(size);
	if (!size)
		return cli_error("%s: %s", ctl->who, err.msg);
	if (x < 0 || y < 0 || x >= w || y >= h)
		return cli_error("click: the screen has %ld by %ld dots", w, h);
	if (waiting(ctl, &absolute) < 0)
		return 1;
	if (!absolute)
		return go_by_mouse(ctl, x, y);
	return send(ctl, move("abs", "x", (x * 0x7fff + (w - 1) / 2) / (w > 1 ? w - 1 : 1)),
		    move("abs", "y", (y * 0x7fff + (h - 1) / 2) / (h > 1 ? h - 1 : 1)));
}

static int click(struct ctl *ctl, const char *name, unsigned times)
{
	int r = 0;

	for (unsigned i = 0; i < times && !r; i++) {
		r = send(ctl, button(name, true), NULL);
		poll(NULL, 0, 2 * LOOK_MS);
		if (!r)
			r = send(ctl, button(name, false), NULL);
		poll(NULL, 0, 2 * LOOK_MS);
	}
	return r ? r : wait_taken(ctl, 0);
}

static bool position(const char *text, long *out)
{
	char *end;

	*out = strtol(text, &end, 10);
	return end != text && !*end;
}

int cli_click(int argc, char **argv)
{
	const char *name = "left";
	unsigned times = 1;
	struct ctl ctl;
	int i = 1, r;
	long x, y;

	for (; i < argc && argv[i][0] == '-'; i++) {
		const char *o = argv[i] + (argv[i][1] == '-' ? 2 : 1);

		if (!strcmp(o, "double"))
			times = 2;
		else if (!strcmp(o, "move"))
			times = 0;
		else if (!strcmp(o, "right") || !strcmp(o, "middle"))
			name = o;
		else
			return cli_error("click: there is no '%s'; 'lodge help click' explains",
					 argv[i]);
	}
	if (argc - i != 3 || !position(argv[i + 1], &x) || !position(argv[i + 2], &y))
		return cli_error("click: write the machine and the place: lodge click NAME X Y");
	if (ctl_open(&ctl, argv[i]))
		return 1;
	r = go(&ctl, x, y);
	if (!r)
		r = click(&ctl, name, times);
	ctl_close(&ctl);
	return r;
}

void cli_click_help(void)
{
	puts("usage: lodge click [--right | --middle] [--double | --move] NAME X Y\n"
	     "\n"
	     "Go to a place on a running machine's screen, counted in dots from the upper left "
	     "corner,\n"
	     "and click there; --move only goes. With a PS/2 mouse, which can only move, it goes "
	     "to\n"
	     "that corner first and then dot by dot, which takes a moment and is right where the\n"
	     "guest does not make movements faster.");
}
