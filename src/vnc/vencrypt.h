/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a VNC client and server say before encryption begins: version, security type VeNCrypt, its version, its kind.
 * One step at a time: so many bytes are wanted, and what they are decides what is answered. Private to src/vnc.
 *
 * Source: RFC 6143 §7.1; the RFB protocol as rfbproto keeps it, "VeNCrypt". Threads: the owner's.
 */
#ifndef LODGE_VNC_VENCRYPT_H
#define LODGE_VNC_VENCRYPT_H

#include <stddef.h>
#include <stdint.h>

#define VENCRYPT_TYPE 19u /* among security types */
#define VENCRYPT_TLS_NONE 257u
#define VENCRYPT_TLS_VNC 258u
#define VENCRYPT_X509_NONE 260u
#define VENCRYPT_X509_VNC 261u

#define VENCRYPT_VERSION_BYTES 12u
#define VENCRYPT_OUT_MAX 80u

enum vencrypt_stage {
	VENCRYPT_VERSION,  /* of the protocol */
	VENCRYPT_SECURITY, /* the type that the client takes */
	VENCRYPT_OWN_VERSION,
	VENCRYPT_KIND,
	VENCRYPT_READY, /* TLS begins */
	VENCRYPT_OVER,	/* the connection ends, when `out` is sent */
};

struct vencrypt {
	enum vencrypt_stage stage;
	uint32_t kind; /* the one that is offered */
	uint8_t minor; /* of the protocol's version, 7 or 8, when it is ready */
	/* To be sent now. */
	uint8_t out[VENCRYPT_OUT_MAX];
	size_t out_len;
};

void vencrypt_begin(struct vencrypt *v, uint32_t kind);
/* How many bytes the next step takes; 0: there is none. */
size_t vencrypt_wants(const struct vencrypt *v);
/* They are here. */
void vencrypt_take(struct vencrypt *v, const uint8_t *in);

#endif
