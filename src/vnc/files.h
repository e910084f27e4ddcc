/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The files of the page for browsers: its own, noVNC's, and a terminal's (xterm.js), all in memory. Private to
 * src/vnc. Threads: the owner's.
 */
#ifndef LODGE_VNC_FILES_H
#define LODGE_VNC_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define VNC_FILES_MAX 256u

struct vnc_file {
	char path[192]; /* below the page's own folder, as "novnc/core/rfb.js"; "" is the page */
	const char *type;
	uint8_t *bytes;
	size_t len;
	bool early; /* the page needs it, so the browser is told at once */
};

struct vnc_files {
	struct vnc_file file[VNC_FILES_MAX];
	unsigned n;
};

/*
 * Read them all. `novnc` and `xterm` are folders; NULL: where Debian's package or npm puts it, and without a terminal
 * there is one tab less of use. -errno and a sentence.
 */
int vnc_files_read(struct vnc_files *f, const char *novnc, const char *xterm,
		   struct lodge_err *err) MUST_CHECK;
/* NULL: there is none. */
const struct vnc_file *vnc_files_find(const struct vnc_files *f, const char *path);

#endif
