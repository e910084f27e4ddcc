// SPDX-License-Identifier: GPL-2.0-or-later
/* Which back end the words of `-serial` and `-debugcon` mean. Threads: set-up only. */
#include <errno.h>
#include <string.h>

#include "base/range.h"
#include "chardev/backend.h"

/* Words without a colon, whole; words with one, as a prefix. */
static const struct {
	const char *word;
	enum { B_NONE, B_NULL, B_STDIO, B_MUX, B_PTY, B_FILE, B_UNIX, B_TCP, B_MISSING } what;
} words[] = {
	{"none", B_NONE},
	{"null", B_NULL},
	{"stdio", B_STDIO},
	{"mon:stdio", B_MUX},
	{"pty", B_PTY},
	{"file:", B_FILE},
	{"unix:", B_UNIX},
	{"tcp:", B_TCP},
	{"telnet:", B_MISSING},
	{"udp:", B_MISSING},
	{"websocket:", B_MISSING},
	{"pipe:", B_MISSING},
	{"mon:", B_MISSING},
	{"chardev:", B_MISSING},
	{"vc", B_MISSING},
	{"vc:", B_MISSING},
	{"msmouse", B_MISSING},
	{"braille", B_MISSING},
	{"/dev/", B_MISSING},
};

static bool word_matches(const char *word, const char *spec)
{
	size_t len = strlen(word);
	bool prefix = word[len - 1] == ':' || word[len - 1] == '/';

	return prefix ? !strncmp(word, spec, len) : !strcmp(word, spec);
}

static struct chardev *no_memory(struct chardev *c, struct lodge_err *err)
{
	if (!c)
		err_set(err, -ENOMEM, "no memory for a character device");
	return c;
}

struct chardev *chardev_open(const char *spec, const char *label, const struct chardev_host *host,
			     struct lodge_err *err)
{
	const char *colon = strchr(spec, ':'), *arg = colon ? colon + 1 : "";
	size_t i = 0;

	err->msg[0] = '\0';
	while (i < ARRAY_SIZE(words) && !word_matches(words[i].word, spec))
		i++;
	switch (i < ARRAY_SIZE(words) ? (int)words[i].what : -1) {
	case B_NONE:
		return NULL;
	case B_NULL:
		return no_memory(chardev_open_null(), err);
	case B_STDIO:
		return chardev_open_stdio(label, false, host, err);
	case B_MUX:
		return chardev_open_stdio(label, true, host, err);
	case B_PTY:
		return chardev_open_pty(label, host, err);
	case B_FILE:
		return chardev_open_file(arg, host, err);
	case B_UNIX:
		return chardev_open_unix(arg, label, host, err);
	case B_TCP:
		return chardev_open_tcp(arg, label, host, err);
	case B_MISSING:
		err_set(err, -ENOTSUP,
			"%s: '%s' is not there yet; use stdio, mon:stdio, file:, unix:, tcp:, pty "
			"or null",
			label, spec);
		return NULL;
	default:
		err_set(err, -EINVAL,
			"%s: '%s' is no character device; there are stdio, mon:stdio, file:PATH, "
			"unix:PATH, tcp:HOST:PORT, pty, null and none",
			label, spec);
		return NULL;
	}
}
