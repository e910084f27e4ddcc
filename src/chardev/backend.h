/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opening back ends by the words of `-serial` and `-debugcon`:
 *
 *   stdio | mon:stdio                    this terminal; mon: adds the Ctrl-A keys
 *   file:PATH                            output into a file
 *   unix:PATH[,server=on[,wait=off]]     a Unix socket, ours or somebody's
 *   tcp:HOST:PORT[,server=on[,wait=off]] a TCP connection; the other options as for unix
 *   pty                                  a new pseudo-terminal
 *   null | none                          nothing; none is also no device
 *
 * Output waits in a bounded queue (chardev/outq.h). A full one holds the guest's transmitter back.
 * Standard output does so for as long as its reader takes; a socket or pty client that takes
 * nothing for two seconds loses output instead, until it reads again.
 *
 * Threads: with the VM lock held, except opening, which happens before threads start.
 */
#ifndef LODGE_CHARDEV_BACKEND_H
#define LODGE_CHARDEV_BACKEND_H

#include "base/err.h"
#include "chardev/chardev.h"
#include "io/loop.h"

/* What back ends ask of the machine. Copied; functions may be NULL. */
struct chardev_host {
	struct io_loop *loop;
	/* Ctrl-A x. */
	void (*quit)(void *opaque);
	/* wait=on: the guest must not run until as many release as hold calls were made. */
	void (*hold)(void *opaque);
	void (*release)(void *opaque);
	/* Ctrl-A r: go on after a disk error. */
	void (*resume)(void *opaque);
	void *opaque;
	bool no_stdio;	   /* the process has no terminal (-daemonize) */
	bool *stdio_taken; /* somebody has opened stdio; shared by all opens of a machine */
};

/*
 * Open what `spec` names; `label` ("serial0") is for messages. NULL with `err` filled; NULL with
 * err->msg empty for "none".
 */
struct chardev *chardev_open(const char *spec, const char *label, const struct chardev_host *host,
			     struct lodge_err *err);

/* The channel behind Ctrl-A c of a mon:stdio, which lives as long; NULL for others. */
struct chardev *chardev_monitor_of(struct chardev *c);

/* ---- The back ends; `arg` is what stands behind the colon. ---------------------------------- */

struct chardev *chardev_open_null(void);
struct chardev *chardev_open_stdio(const char *label, bool mux, const struct chardev_host *host,
				   struct lodge_err *err);
struct chardev *chardev_open_file(const char *arg, const struct chardev_host *host,
				  struct lodge_err *err);
struct chardev *chardev_open_pty(const char *label, const struct chardev_host *host,
				 struct lodge_err *err);
struct chardev *chardev_open_unix(const char *arg, const char *label,
				  const struct chardev_host *host, struct lodge_err *err);
struct chardev *chardev_open_tcp(const char *arg, const char *label,
				 const struct chardev_host *host, struct lodge_err *err);

#endif
