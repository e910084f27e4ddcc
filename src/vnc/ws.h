/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * WebSockets, the server's side: the answer to a browser's greeting, and frames of bytes both ways. Messages mean
 * nothing here: what they carry is one stream. Private to src/vnc.
 *
 * Source: RFC 6455 §1.3, §4.2.2, §5. Threads: the owner's.
 */
#ifndef LODGE_VNC_WS_H
#define LODGE_VNC_WS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WS_KEY_CHARS 24u    /* of Sec-WebSocket-Key: 16 bytes in base64 */
#define WS_ACCEPT_CHARS 28u /* of Sec-WebSocket-Accept */
#define WS_HEAD_MAX 10u	    /* bytes in front of what is sent */
#define WS_CONTROL_MAX 125u
#define WS_FRAME_MAX (1u << 20) /* a longer one is refused, though none is kept whole */

enum ws_op {
	WS_CONTINUED = 0,
	WS_TEXT = 1,
	WS_BINARY = 2,
	WS_CLOSE = 8,
	WS_PING = 9,
	WS_PONG = 10
};

/* Codes of a close. */
enum { WS_DONE = 1000, WS_PROTOCOL = 1002, WS_TOO_BIG = 1009, WS_AGAIN = 1013 };

/* `key` has WS_KEY_CHARS characters. */
void ws_accept(const char *key, char out[WS_ACCEPT_CHARS + 1]);

/* What comes from a browser, piece by piece; all zero at the start. */
struct ws_in {
	uint8_t head[14];
	unsigned have; /* bytes of the head that have come */
	bool in_frame, in_message;
	uint8_t op;
	uint64_t left; /* of the frame */
	uint8_t mask[4];
	unsigned at; /* place in the mask */
	uint8_t control[WS_CONTROL_MAX];
	unsigned control_len;
};

enum ws_what {
	WS_GOT_NOTHING,
	WS_GOT_DATA,
	WS_GOT_PING,  /* its words are in `control` */
	WS_GOT_CLOSE, /* nothing more comes */
	WS_GOT_BAD    /* no frame of a browser's: `*code` says why */
};

/*
 * The next thing in `buf`, of which `*used` bytes are taken; data is unmasked in place, at *data. WS_GOT_NOTHING: all
 * of it is taken. `code` is for WS_GOT_BAD only.
 */
enum ws_what ws_next(struct ws_in *w, uint8_t *buf, size_t len, size_t *used, uint8_t **data,
		     size_t *data_len, unsigned *code);

/* The head of a frame that carries `len` bytes; how long it is. */
size_t ws_head(uint8_t out[WS_HEAD_MAX], enum ws_op op, size_t len);

#endif
