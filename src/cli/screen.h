/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The screen of a running machine, for the commands that look at it. Threads: main only. */
#ifndef LODGE_CLI_SCREEN_H
#define LODGE_CLI_SCREEN_H

#include "cli/ctl.h"
#include "display/picture.h"

/* The bytes of a picture file of what it shows now, the caller's to free. -errno and a sentence. */
int screen_fetch(struct ctl *ctl, bool png, uint8_t **out, size_t *len,
		 struct lodge_err *err) MUST_CHECK;
/* The picture itself. */
int screen_look(struct ctl *ctl, struct display_picture *pic, struct lodge_err *err) MUST_CHECK;
/* Read a PNG or PPM file of the host. display_picture_free() is due. */
int screen_read_file(struct display_picture *pic, const char *path,
		     struct lodge_err *err) MUST_CHECK;
/* Is `part` to be seen somewhere in `whole`, dot for dot? */
bool screen_contains(const struct display_picture *whole, const struct display_picture *part);

#endif
