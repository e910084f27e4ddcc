/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where viewers connect: addresses as -vnc spells them, bound. Private to src/vnc. Threads: main. */
#ifndef LODGE_VNC_ADDR_H
#define LODGE_VNC_ADDR_H

#include <stdbool.h>

#include "base/err.h"
#include "base/props.h"

struct vnc_addr {
	int fd;		     /* listening; -1: none */
	bool loopback;	     /* only this host can connect */
	char unix_path[108]; /* removed at the end; empty: TCP */
	char text[160];	     /* as a person writes it */
};

/*
 * "HOST:N" is port `base` + N, HOST may be empty (this host alone); "unix:PATH". `what` names the option.
 * -errno and a sentence.
 */
int vnc_addr_open(struct vnc_addr *a, const char *text, const char *what, unsigned base,
		  struct lodge_err *err) MUST_CHECK;
/* The helper has it: our descriptor is closed, the name stays. */
void vnc_addr_given(struct vnc_addr *a);
void vnc_addr_close(struct vnc_addr *a);

#endif
