/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Viewers over the network and a window, in processes of their own. Private to src/vnc.
 *
 *   the VM's process (host.c)   draws the screen into shared memory while somebody looks; carries out input
 *   the helper (helper.c)       the same program started again, shut in by confine.c: takes connections, and
 *     |                         makes a process for each; has no file and no socket but those it was given
 *   a viewer (viewer.c, http.c) one client: libvncserver, or files of a web page; can hurt nobody but itself
 *   a TLS process (tls.c)       between a client with encryption and its viewer: the only one that uses the key
 *   the window (window.c)       the same program once more: SDL and a connection to the X server
 *
 * They share a memory file, which only the VM's process can write to, and one SOCK_SEQPACKET socket of struct
 * vnc_msg. The VM's side trusts nothing that comes back.
 */
#ifndef LODGE_VNC_VNC_INT_H
#define LODGE_VNC_VNC_INT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "display/picture.h"
#include "vnc/ws.h"

/* Descriptors of the helper. */
#define VNC_FD_SOCKET 3
#define VNC_FD_MEMORY 4
#define VNC_FD_VNC 5 /* listening; /dev/null where there is none */
#define VNC_FD_WEB 6
/* argv[1] of the helper. */
#define VNC_HELPER_ROLE "__vnc"
#define VNC_WINDOW_ROLE "__window"

#define VNC_VIEWERS_MAX 64u
/* Who holds keys: viewers, and behind them the window. */
#define VNC_SLOT_WINDOW VNC_VIEWERS_MAX
#define VNC_SLOTS (VNC_VIEWERS_MAX + 1)
#define VNC_PASSWORD_MAX 8u /* what the protocol's challenge takes */
#define VNC_TOKEN_BYTES 32u

/* ---- The picture -------------------------------------------------------------------------------- */

/* It is compared and told of in tiles. */
#define VNC_TILE_W 64u
#define VNC_TILE_H 16u
#define VNC_COLS (DISPLAY_SIZE_MAX / VNC_TILE_W)
#define VNC_ROWS (DISPLAY_SIZE_MAX / VNC_TILE_H)

struct vnc_shared {
	/* Grows with each change, and is never 0. Partner: viewers, which read it first. */
	_Atomic uint32_t seq;
	_Atomic uint32_t resizes; /* 1: viewers may wish for another size */
	_Atomic uint64_t size;	  /* width << 32 | height */
	/* `seq` of a tile's last change. */
	_Atomic uint32_t tile[VNC_ROWS * VNC_COLS];
};

/* Behind it the dots, 0x00RRGGBB, line after line as wide as the picture is now. */
#define VNC_PIXELS ((sizeof(struct vnc_shared) + 4095) & ~4095ull)
#define VNC_PIXEL_BYTES (4ull * DISPLAY_SIZE_MAX * DISPLAY_SIZE_MAX)
#define VNC_SHARED_BYTES (VNC_PIXELS + VNC_PIXEL_BYTES)

/* ---- Messages ----------------------------------------------------------------------------------- */

enum vnc_kind {
	/* to the VM */
	VNC_READY = 1, /* set-up is done; x: 0 or an errno, and a sentence follows as text */
	VNC_LOOKERS,   /* value: viewers that show the screen */
	VNC_KEY,       /* value: X keysym; down */
	VNC_CODE,      /* value: enum input_key; down; x: X keysym, or 0 */
	VNC_POINTER,   /* value: buttons, bit 0 left, as RFB has them; x, y: where, in dots */
	VNC_POWER,     /* value: enum vnc_power */
	VNC_GONE,      /* a viewer has ended: what it holds is let go */
	VNC_MOVE,      /* of the window: value as VNC_POINTER's; x, y: by how many dots */
	VNC_LOOK,      /* of the window: value: 1, it is to be seen; 0, it is not */
	VNC_QUIT,      /* of the window: it was closed, and the machine shall end */
	VNC_SIZE,      /* x, y: the size it would like */
	VNC_CONSOLE,   /* with a descriptor (SCM_RIGHTS): a stream socket for the serial line */
	/* to the helper */
	VNC_FRAME,    /* `seq` has grown */
	VNC_PASSWORD, /* text: the password from now on */
	VNC_TOKEN,    /* text: one more token for the page */
	VNC_STATE, /* to the window; value: the pointer is absolute; text: what the machine does, or "" */
};

enum vnc_power { VNC_POWER_DOWN = 1, VNC_POWER_RESET };

struct vnc_msg {
	uint8_t kind;
	uint8_t slot; /* of a viewer, below VNC_VIEWERS_MAX */
	uint8_t down, zero;
	uint32_t value;
	int32_t x, y;
	char text[240];
};

/* Encryption: -object tls-creds-*. */
struct vnc_tls_setup {
	bool on, anon, verify;
	char folder[256], priority[128];
};

enum vnc_grab_mod { VNC_GRAB_CTRL_ALT, VNC_GRAB_SHIFT_CTRL_ALT, VNC_GRAB_RCTRL };

/* -display sdl */
struct vnc_window_setup {
	bool full_screen, stays_open, shows_cursor;
	uint8_t grab_mod; /* enum vnc_grab_mod */
};

/* The first message to a helper. */
struct vnc_setup {
	char name[128]; /* of the machine */
	bool vnc, web;
	bool has_password;		     /* else anybody may look who can connect */
	char password[VNC_PASSWORD_MAX + 1]; /* empty: nobody may, until one is set */
	char token[VNC_TOKEN_BYTES * 2 + 1];
	char novnc[256], xterm[256]; /* folders of the page's files; empty: the usual ones */
	struct vnc_tls_setup tls;
	struct vnc_window_setup window;
};

/* ---- window_opts.c, tls_opts.c: the VM's side --------------------------------------------------- */

struct props;

#define VNC_WINDOW_ENV 8
/* What of the environment the window gets: how to find the X server, and may connect. Ends with NULL. */
void vnc_window_env(char *env[VNC_WINDOW_ENV + 1]);
int vnc_window_options(struct vnc_window_setup *s, struct props *p,
		       struct lodge_err *err) MUST_CHECK;
/* `p`: the -object that tls-creds names; NULL: there is none. */
int vnc_tls_options(struct vnc_tls_setup *s, struct props *p, struct lodge_err *err) MUST_CHECK;
const char *vnc_tls_auth_name(const struct vnc_setup *s);

/* ---- confine.c ---------------------------------------------------------------------------------- */

/* The helper: no files, no rights, no network but its sockets. -errno and a sentence. */
int vnc_confine_helper(struct lodge_err *err) MUST_CHECK;
/* A process of one viewer, once: no more processes either. -errno. */
int vnc_confine_viewer(void) MUST_CHECK;
unsigned vnc_confine_count(bool viewer);
/* What all of them have in common but the list of system calls; `ipc`: it keeps memory shared with an X server. */
int vnc_confine_rights(bool ipc, struct lodge_err *err) MUST_CHECK;
/* confine_window.c: the window, whose connection is open. */
int vnc_confine_window(struct lodge_err *err) MUST_CHECK;
unsigned vnc_confine_window_count(void);

/* ---- helper.c ----------------------------------------------------------------------------------- */

/* Tell the VM's process that set-up is done, or has failed (an errno and a sentence). */
void vnc_helper_ready(int error, const char *text);
/* The picture, which cannot be written to. NULL and a sentence. */
const struct vnc_shared *vnc_map_shared(struct lodge_err *err);

/* ---- window.c ----------------------------------------------------------------------------------- */

/* In a process of its own, started with VNC_WINDOW_ROLE. */
void __attribute__((noreturn)) vnc_window_run(void);

/* ---- viewer.c ----------------------------------------------------------------------------------- */

struct vnc_viewer {
	const struct vnc_shared *shared; /* VNC_SHARED_BYTES */
	int socket;			 /* to the VM's process */
	int client;			 /* the connection */
	int wake; /* readable when `seq` has grown, at its end when all is over */
	uint8_t slot;
	const char *name;
	bool has_password, web;
	char password[VNC_PASSWORD_MAX + 1];
};

/* In the helper, before it is shut in: load libvncserver and have it ready. */
int vnc_viewer_load(struct lodge_err *err) MUST_CHECK;
/* Serve it until it ends. */
void __attribute__((noreturn)) vnc_viewer_run(struct vnc_viewer *v);
/* Exit codes of a viewer's process that the helper looks at. */
#define VNC_EXIT_SHUT_IN 4

/* To the helper, over `wake`: this viewer may be here, and makes no room for others; it shows the screen. */
enum vnc_mark { VNC_MARK_IN = 'i', VNC_MARK_LOOKS = 'l' };
void vnc_viewer_mark(const struct vnc_viewer *v, enum vnc_mark mark);

/* ---- web.c, http.c, serial.c ------------------------------------------------------------------------------ */

struct vnc_web; /* files, tokens, sessions */

/* Reads all files of the page. */
struct vnc_web *vnc_web_new(const struct vnc_setup *s, struct lodge_err *err);
void vnc_web_token(struct vnc_web *w, const char *token);
/* Answer one request, or become a viewer. */
void __attribute__((noreturn)) vnc_web_run(struct vnc_web *w, struct vnc_viewer *v);

/* The first serial line for a browser whose Sec-WebSocket-Key is `key`. */
void __attribute__((noreturn)) vnc_serial_run(const struct vnc_viewer *v, const char *key);

enum http_verdict {
	HTTP_MORE, /* the head has not come whole */
	HTTP_BAD,
	HTTP_OK
};

struct http_request {
	char path[256];			       /* without the query */
	char token[VNC_TOKEN_BYTES * 2 + 1];   /* of the query; or empty */
	char session[VNC_TOKEN_BYTES * 2 + 1]; /* of the cookie; or empty */
	char host[128], origin[160];
	char key[WS_KEY_CHARS + 1]; /* of a WebSocket of version 13; or empty */
	bool get, head, upgrade;
	bool version13;
	bool keep;  /* another request may follow */
	size_t len; /* of the head, in bytes */
};

#define HTTP_HEAD_MAX 4096u
/* Understand the head of a request. */
enum http_verdict http_parse(const char *text, size_t len, struct http_request *out);

#endif
