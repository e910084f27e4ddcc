/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Encryption of VNC: a process for each client, between it and the one that serves it. Private to src/vnc.
 * Threads: the process's only one.
 */
#ifndef LODGE_VNC_TLS_H
#define LODGE_VNC_TLS_H

#include "vnc/vnc_int.h"

/* In the helper, before it is shut in: GnuTLS, certificates, key. -errno and a sentence. */
int vnc_tls_load(const struct vnc_tls_setup *s, struct lodge_err *err) MUST_CHECK;
/*
 * In a viewer's process, which is not shut in yet: another one is made that has the client from now on. Returns this
 * one's end of the connection to it, -1: there is none; the key is forgotten here.
 */
int vnc_tls_split(int client, bool password);

#endif
