/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A machine's screen for viewers over the network, VNC (RFB) and a page for browsers, and in a window.
 *
 *   vnc_open()   the sockets are bound, the helper process is started; before the sandbox is closed
 *   vnc_start()  the thread that draws for viewers and carries out what they type
 *   vnc_stop()   before the machine stops; vnc_close() afterwards
 *
 * Source: RFC 6143. Threads: main; the functions of struct vnc_screen are called by the thread.
 */
#ifndef LODGE_VNC_VNC_H
#define LODGE_VNC_VNC_H

#include "base/err.h"
#include "display/source.h"
#include "input/input.h"

struct input_layout;
struct props;
struct vnc;

/* What a viewer sees and reaches. */
struct vnc_screen {
	void *opaque;
	/* Those lines of *pic again, as vm_screen_draw_lines(). */
	int (*draw)(void *opaque, struct display_picture *pic, struct display_lines lines);
	struct display_lines (*changed)(void *opaque);
	void (*size)(void *opaque, uint32_t width, uint32_t height);
	/* A viewer would like another size; NULL: there is none to be had. */
	void (*resize)(void *opaque, uint32_t width, uint32_t height);
	/* Events that belong together. */
	void (*input)(void *opaque, const struct input_event *ev, unsigned n);
	void (*power_button)(void *opaque);
	void (*reset)(void *opaque);
	/* The window's: the machine shall end; can the pointer be told where it is; what it does, "" while it runs. */
	void (*quit)(void *opaque);
	bool (*absolute)(void *opaque);
	const char *(*state)(void *opaque);
	/* What the keys of viewers write that say nothing else of them; NULL: a US keyboard. Borrowed. */
	const struct input_layout *layout;
	/* Somebody wants to be at the first serial line, by this stream socket (taken; not trusted). */
	void (*console)(void *opaque, int fd);
};

/* What shows it: options, of which each may be NULL, borrowed. */
struct vnc_wish {
	struct props *vnc;    /* -vnc or -display vnc, with the address as "vnc" */
	struct props *web;    /* -display web, likewise */
	struct props *window; /* -display sdl */
	struct props *tls;    /* the -object that vnc's tls-creds names */
	bool full_screen;     /* -full-screen */
	const char *name;     /* of the machine; NULL: it has none */
};

/* What a person must know (addresses, a password that was made) is printed. NULL and a sentence. */
struct vnc *vnc_open(const struct vnc_wish *wish, struct lodge_err *err);
int vnc_start(struct vnc *v, const struct vnc_screen *screen, struct lodge_err *err) MUST_CHECK;
void vnc_stop(struct vnc *v);  /* NULL is allowed */
void vnc_close(struct vnc *v); /* NULL is allowed */

/* Any thread, while it runs. */
int vnc_set_password(struct vnc *v, const char *password, struct lodge_err *err) MUST_CHECK;
/* An address for a browser, for one use. -ENODEV: there is no page. */
int vnc_web_address(struct vnc *v, char *out, size_t size, struct lodge_err *err) MUST_CHECK;

struct vnc_info {
	bool vnc, web, running;
	bool has_password;
	const char *auth;  /* as QEMU names it */
	char address[160]; /* of VNC, as a person writes it */
	unsigned viewers;
};
void vnc_info(struct vnc *v, struct vnc_info *out);

/* ---- Helpers (helper.c, window.c) --------------------------------------------------------------- */

/* Does not return when the arguments say that this process is a helper. */
void vnc_helper_main(int argc, char **argv);

#endif
