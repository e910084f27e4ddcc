// SPDX-License-Identifier: GPL-2.0-or-later
/* The Ctrl-A keys. Threads: no shared state. */
#include "chardev/mux.h"

#include "base/range.h"

static const struct {
	uint8_t key;
	enum mux_action action;
} keys[] = {
	{'x', MUX_QUIT},    {'h', MUX_HELP},	    {'?', MUX_HELP},   {'b', MUX_BREAK},
	{'c', MUX_MONITOR}, {MUX_ESCAPE, MUX_PASS}, {'r', MUX_RESUME},
};

enum mux_action mux_feed(bool *escaped, uint8_t byte)
{
	if (!*escaped) {
		*escaped = byte == MUX_ESCAPE;
		return *escaped ? MUX_NOTHING : MUX_PASS;
	}
	*escaped = false;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (keys[i].key == byte)
			return keys[i].action;
	}
	return MUX_NOTHING;
}

const char *mux_help(void)
{
	return "\r\n"
	       "Ctrl-A h       this list\r\n"
	       "Ctrl-A x       end the virtual machine\r\n"
	       "Ctrl-A b       send a break to the guest\r\n"
	       "Ctrl-A r       go on, where a disk error stopped the machine\r\n"
	       "Ctrl-A c       to the monitor, and back to the guest\r\n"
	       "Ctrl-A Ctrl-A  send Ctrl-A to the guest\r\n";
}

const char *mux_no_monitor(void)
{
	return "\r\nlodge: there is no monitor on this console; Ctrl-A h lists the keys\r\n";
}
