// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * -object tls-creds-x509 and tls-creds-anon, as far as VNC takes them. See vnc_int.h.
 * Source: QEMU's manual, "TLS credentials". Threads: main.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/props.h"
#include "vnc/vnc_int.h"

static int copy(char *out, size_t size, const char *val, const char *key, struct lodge_err *err)
{
	if (val && snprintf(out, size, "%s", val) >= (int)size)
		return err_set(err, -EINVAL, "-object: %s= is longer than %zu bytes", key,
			       size - 1);
	return 0;
}

static int read_common(struct vnc_tls_setup *s, struct props *p, struct lodge_err *err)
{
	const char *end = props_get(p, "endpoint"), *dir = props_get(p, "dir");
	int r = copy(s->folder, sizeof(s->folder), dir, "dir", err);

	(void)props_get(p, "id");
	if (!r)
		r = copy(s->priority, sizeof(s->priority), props_get(p, "priority"), "priority",
			 err);
	if (!r && (!end || strcmp(end, "server") != 0))
		r = err_set(err, -EINVAL,
			    "-object tls-creds-%s: viewers connect to this machine; write "
			    "endpoint=server",
			    s->anon ? "anon" : "x509");
	if (!r && !s->anon && !dir)
		r = err_set(err, -EINVAL,
			    "-object tls-creds-x509: dir= is missing, the folder of ca-cert.pem, "
			    "server-cert.pem and server-key.pem");
	return r;
}

int vnc_tls_options(struct vnc_tls_setup *s, struct props *p, struct lodge_err *err)
{
	const char *type = p ? props_get(p, "qom-type") : NULL;
	bool sane = true;
	int r;

	if (!type)
		return err_set(err, -EINVAL,
			       "-vnc: tls-creds= names no object there is; write '-object "
			       "tls-creds-x509,id=ID,endpoint=server,dir=FOLDER'");
	s->anon = !strcmp(type, "tls-creds-anon");
	if (!s->anon && strcmp(type, "tls-creds-x509") != 0)
		return err_set(err, -EINVAL,
			       "-object %s: VNC takes tls-creds-x509 and tls-creds-anon", type);
	s->on = true;
	s->verify = !s->anon;
	r = read_common(s, p, err);
	if (!r && !s->anon)
		r = props_bool(p, "verify-peer", &s->verify, err);
	if (!r && !s->anon)
		r = props_bool(p, "sanity-check", &sane, err);
	if (!r && !sane)
		r = err_set(err, -EINVAL,
			    "-object tls-creds-x509: certificates are always checked; leave "
			    "sanity-check=off out");
	return r ? r : props_done(p, err);
}

const char *vnc_tls_auth_name(const struct vnc_setup *s)
{
	if (!s->tls.on)
		return s->has_password ? "vnc" : "none";
	if (s->tls.anon)
		return s->has_password ? "vencrypt+tls+vnc" : "vencrypt+tls+none";
	return s->has_password ? "vencrypt+x509+vnc" : "vencrypt+x509+none";
}
