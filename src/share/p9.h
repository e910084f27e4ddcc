/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A 9P2000.L server for one folder of the host and one client, which is hostile.
 *
 * Nothing outside the folder is ever opened or changed: a client names entries one by one, each is opened
 * below its folder's descriptor without following symbolic links (openat2, RESOLVE_BENEATH), and all
 * later work is done on that descriptor, whatever is renamed or replaced meanwhile. Only regular files and
 * folders are opened for their contents. Entries on other file systems are not reached.
 *
 * Source: 9P2000.L as Linux's client speaks it (Documentation/filesystems/9p.rst, include/net/9p/9p.h for
 * the numbers), 9P2000 intro(5).
 * Threads: one at a time; these functions wait for the host's file system.
 */
#ifndef LODGE_SHARE_P9_H
#define LODGE_SHARE_P9_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define P9_MSIZE_MAX (512u << 10)
#define P9_MSIZE_MIN 4096u
#define P9_HEADER 7u /* size, type, tag */

/* security_model= */
enum p9_model {
	P9_NONE,	 /* files are this process's; changes of owners are forgotten */
	P9_PASSTHROUGH,	 /* owners and modes as the guest wants them, or an error */
	P9_MAPPED_XATTR, /* owners, modes and kinds of files in extended attributes */
};

struct p9_config {
	const char *path;
	bool read_only;
	enum p9_model model;
};

struct p9_server;

/* NULL and a sentence on failure. */
struct p9_server *p9_server_new(const struct p9_config *cfg, struct lodge_err *err);
void p9_server_free(struct p9_server *s);
/* Forget the client and all that it had open. */
void p9_server_reset(struct p9_server *s);
/* The client has a name or a file open. With nothing being handled. */
bool p9_server_has_open(const struct p9_server *s);
/* The longest message that is agreed on. */
uint32_t p9_server_msize(const struct p9_server *s);
/*
 * Answer the message `req` of `len` bytes in `reply`, at most `cap` bytes (P9_HEADER + 4 or more). Bytes of the
 * answer; 0 if the message is none, or the answer does not fit.
 */
size_t p9_server_handle(struct p9_server *s, const uint8_t *req, size_t len, uint8_t *reply,
			size_t cap);

#endif
