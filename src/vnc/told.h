/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What viewers say, as events for the guest. Private to src/vnc. Messages come from processes that a client may
 * have taken over: any bytes are understood or left out.
 * Threads: the owner's.
 */
#ifndef LODGE_VNC_TOLD_H
#define LODGE_VNC_TOLD_H

#include <sys/types.h>

#include "vnc/vnc.h"
#include "vnc/vnc_int.h"

struct vnc_told {
	uint32_t width, height; /* of the picture that viewers see */
	/* What each viewer holds down. */
	struct {
		uint8_t buttons;
		uint8_t key[INPUT_KEYS / 8 + 1];
	} held[VNC_SLOTS];
	uint8_t count[INPUT_KEYS]; /* how many hold a key */
	bool caps;		   /* Caps Lock, by what viewers typed */
	/* Held for a viewer that did not, as long as the key is down that needs it. */
	struct {
		uint8_t slot, mods; /* INPUT_SHIFT, INPUT_ALTGR */
		uint16_t key;
	} lent;
	uint32_t lookers; /* viewers */
	bool window_looks;
};

/*
 * The next message of the helper's socket, as recv() without waiting has it. `*fd`: the stream socket that a
 * VNC_CONSOLE brought, which is the caller's; else -1, and whatever else came along is closed.
 */
ssize_t vnc_told_receive(int sock, struct vnc_msg *m, int *fd);
/* `len` bytes came, from viewers or the window. False: it is no message, and nothing was done. */
bool vnc_told_message(struct vnc_told *t, const void *bytes, size_t len, bool window,
		      const struct vnc_screen *screen);
/* All viewers, or the window, are gone. */
void vnc_told_gone(struct vnc_told *t, bool window, const struct vnc_screen *screen);
/* Does anybody look? */
bool vnc_told_looked_at(const struct vnc_told *t);

#endif
