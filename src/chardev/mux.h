/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The Ctrl-A keys of a console shared with the person who runs the machine. Pure.
 */
#ifndef LODGE_CHARDEV_MUX_H
#define LODGE_CHARDEV_MUX_H

#include <stdbool.h>
#include <stdint.h>

#define MUX_ESCAPE 0x01 /* Ctrl-A */

enum mux_action {
	MUX_PASS,    /* the byte is the guest's */
	MUX_NOTHING, /* it was an escape, or a key without meaning */
	MUX_QUIT,
	MUX_HELP,
	MUX_BREAK,
	MUX_MONITOR,
	MUX_RESUME,
};

/* `escaped`: the state between bytes, false at first. */
enum mux_action mux_feed(bool *escaped, uint8_t byte);
/* What Ctrl-A h prints, and what Ctrl-A c does; lines end in CR LF. */
const char *mux_help(void);
const char *mux_no_monitor(void);

#endif
