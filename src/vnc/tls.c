// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Encryption of VNC (VeNCrypt) by GnuTLS, which is loaded in the helper and its children only. libvncserver's own
 * side knows nothing of it: a process of its own, which has the key, agrees with the client on VeNCrypt and TLS, and
 * with libvncserver on what is then inside; from then on it passes bytes on, one buffer each way.
 *
 * Source: the RFB protocol as rfbproto keeps it, "VeNCrypt"; GnuTLS's manual. Threads: the process's only one.
 */
#include "vnc/tls.h"

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "base/range.h"
#include "vnc/vencrypt.h"

#define HANDSHAKE_S 30u
#define FLUSH_S 5u
#define BUFFER 16384u
#define SECURITY_VNC 2u

/* Descriptors of the process. */
#define FD_CLIENT VNC_FD_SOCKET
#define FD_INSIDE VNC_FD_MEMORY

#define FUNCTIONS(X)                                                                              \
	X(certificate_allocate_credentials)                                                       \
	X(certificate_free_credentials)                                                           \
	X(certificate_set_x509_trust_file)                                                        \
	X(certificate_set_x509_crl_file) X(certificate_set_x509_key_file)                         \
		X(certificate_set_known_dh_params) X(certificate_server_set_request)              \
			X(session_set_verify_cert2) X(anon_allocate_server_credentials) X(        \
				anon_set_server_known_dh_params) X(priority_init) X(priority_set) \
				X(credentials_set) X(init) X(deinit) X(handshake) X(record_recv)  \
					X(record_send) X(record_check_pending) X(bye) X(strerror) \
						X(error_is_fatal) X(transport_set_ptr)            \
							X(transport_set_pull_function)            \
								X(transport_set_push_function)

#define MEMBER(name) __typeof__(&gnutls_##name) name;
static struct {
	FUNCTIONS(MEMBER)
	gnutls_certificate_credentials_t x509;
	gnutls_anon_server_credentials_t anon;
	gnutls_priority_t priority;
	bool verify;
} tls;

/* ---- Set-up ------------------------------------------------------------------------------------- */

static int find_functions(struct lodge_err *err)
{
	void *so = dlopen("libgnutls.so.30", RTLD_NOW | RTLD_LOCAL);

	if (!so)
		return err_set(err, -ENOENT,
			       "-vnc: tls-creds= needs GnuTLS: install Debian's package "
			       "libgnutls30");
#define FIND(name)                                                      \
	*(void **)&tls.name = dlsym(so, "gnutls_" #name);               \
	if (!tls.name)                                                  \
		return err_set(err, -ENOENT,                            \
			       "the host's GnuTLS has no gnutls_" #name \
			       "; version 3.6 or later is needed");
	FUNCTIONS(FIND)
	return 0;
}

static int bad_file(const char *folder, const char *file, int error, struct lodge_err *err)
{
	return err_set(err, -EINVAL, "-object tls-creds-x509: %s/%s: %s", folder, file,
		       tls.strerror(error));
}

static int load_x509(const struct vnc_tls_setup *s, struct lodge_err *err)
{
	char ca[300], crl[300], cert[300], key[300];
	int r = tls.certificate_allocate_credentials(&tls.x509);

	snprintf(ca, sizeof(ca), "%s/ca-cert.pem", s->folder);
	snprintf(crl, sizeof(crl), "%s/ca-crl.pem", s->folder);
	snprintf(cert, sizeof(cert), "%s/server-cert.pem", s->folder);
	snprintf(key, sizeof(key), "%s/server-key.pem", s->folder);
	if (r < 0)
		return err_set(err, -ENOMEM, "no memory for certificates");
	r = tls.certificate_set_x509_trust_file(tls.x509, ca, GNUTLS_X509_FMT_PEM);
	if (r < 0 || (!r && s->verify))
		return bad_file(s->folder, "ca-cert.pem", r < 0 ? r : GNUTLS_E_NO_CERTIFICATE_FOUND,
				err);
	r = access(crl, F_OK)
		    ? 0
		    : tls.certificate_set_x509_crl_file(tls.x509, crl, GNUTLS_X509_FMT_PEM);
	if (r < 0)
		return bad_file(s->folder, "ca-crl.pem", r, err);
	r = tls.certificate_set_x509_key_file(tls.x509, cert, key, GNUTLS_X509_FMT_PEM);
	if (r < 0)
		return bad_file(s->folder, "server-cert.pem or server-key.pem", r, err);
	(void)tls.certificate_set_known_dh_params(tls.x509, GNUTLS_SEC_PARAM_MEDIUM);
	tls.verify = s->verify;
	return 0;
}

int vnc_tls_load(const struct vnc_tls_setup *s, struct lodge_err *err)
{
	char priority[sizeof(s->priority) + 32];
	const char *at;
	int r = find_functions(err);

	if (r)
		return r;
	snprintf(priority, sizeof(priority), "%s%s", s->priority[0] ? s->priority : "NORMAL",
		 s->anon ? ":+ANON-ECDH:+ANON-DH" : "");
	r = tls.priority_init(&tls.priority, priority, &at);
	if (r < 0)
		return err_set(err, -EINVAL, "-object tls-creds-%s: priority=%s: %s",
			       s->anon ? "anon" : "x509", priority, tls.strerror(r));
	if (!s->anon)
		return load_x509(s, err);
	r = tls.anon_allocate_server_credentials(&tls.anon);
	if (r >= 0)
		r = tls.anon_set_server_known_dh_params(tls.anon, GNUTLS_SEC_PARAM_MEDIUM);
	return r < 0 ? err_set(err, -EINVAL, "-object tls-creds-anon: %s", tls.strerror(r)) : 0;
}

/* ---- Before encryption -------------------------------------------------------------------------- */

static void send_all(int fd, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;

	while (len) {
		ssize_t n = send(fd, at, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			_exit(0);
		at += n;
		len -= (size_t)n;
	}
}

static void take_all(int fd, uint8_t *bytes, size_t len)
{
	while (len) {
		ssize_t n = recv(fd, bytes, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			_exit(0);
		bytes += n;
		len -= (size_t)n;
	}
}

static uint32_t kind(bool password)
{
	if (tls.anon)
		return password ? VENCRYPT_TLS_VNC : VENCRYPT_TLS_NONE;
	return password ? VENCRYPT_X509_VNC : VENCRYPT_X509_NONE;
}

/* The client's version of the protocol. */
static unsigned agree_with_client(bool password)
{
	uint8_t in[VENCRYPT_VERSION_BYTES];
	struct vencrypt v;

	vencrypt_begin(&v, kind(password));
	for (;;) {
		send_all(FD_CLIENT, v.out, v.out_len);
		if (v.stage == VENCRYPT_OVER)
			_exit(0);
		if (v.stage == VENCRYPT_READY)
			return v.minor;
		take_all(FD_CLIENT, in, vencrypt_wants(&v));
		vencrypt_take(&v, in);
	}
}

/* libvncserver is told what the client would say if there were no encryption. */
static void agree_inside(unsigned minor, bool password)
{
	uint8_t in[256], choice = password ? SECURITY_VNC : 1, n;

	send_all(FD_INSIDE, minor == 7 ? "RFB 003.007\n" : "RFB 003.008\n", VENCRYPT_VERSION_BYTES);
	take_all(FD_INSIDE, in, VENCRYPT_VERSION_BYTES);
	take_all(FD_INSIDE, &n, 1);
	take_all(FD_INSIDE, in, n);
	if (!memchr(in, choice, n))
		_exit(1);
	send_all(FD_INSIDE, &choice, 1);
}

/* ---- TLS ---------------------------------------------------------------------------------------- */

static int flags; /* of the client's socket: first it waits, then it does not */

static ssize_t pull(gnutls_transport_ptr_t p, void *bytes, size_t len)
{
	(void)p;
	return recv(FD_CLIENT, bytes, len, flags);
}

static ssize_t push(gnutls_transport_ptr_t p, const void *bytes, size_t len)
{
	(void)p;
	return send(FD_CLIENT, bytes, len, flags | MSG_NOSIGNAL);
}

static gnutls_session_t handshake(void)
{
	/* A server's certificate is none of a viewer's. */
	static char kp_client[] = GNUTLS_KP_TLS_WWW_CLIENT;
	static gnutls_typed_vdata_st purpose = {
		.type = GNUTLS_DT_KEY_PURPOSE_OID,
		.data = (unsigned char *)kp_client,
	};
	gnutls_session_t s;
	int r = tls.init(&s, GNUTLS_SERVER | GNUTLS_NO_SIGNAL);

	if (r >= 0)
		r = tls.priority_set(s, tls.priority);
	if (r >= 0)
		r = tls.anon ? tls.credentials_set(s, GNUTLS_CRD_ANON, tls.anon)
			     : tls.credentials_set(s, GNUTLS_CRD_CERTIFICATE, tls.x509);
	if (r < 0)
		_exit(1);
	if (tls.verify) {
		tls.certificate_server_set_request(s, GNUTLS_CERT_REQUIRE);
		tls.session_set_verify_cert2(s, &purpose, 1, 0);
	}
	tls.transport_set_ptr(s, NULL);
	tls.transport_set_pull_function(s, pull);
	tls.transport_set_push_function(s, push);
	do
		r = tls.handshake(s);
	while (r < 0 && !tls.error_is_fatal(r));
	if (r < 0)
		_exit(0);
	return s;
}

/* ---- From then on ------------------------------------------------------------------------------- */

struct way {
	uint8_t bytes[BUFFER];
	size_t first, last;
};

static struct {
	gnutls_session_t s;
	struct way in, out; /* from the client; to it */
	bool client_waits;  /* it has no room */
	bool hung_up;	    /* libvncserver has */
} t;

static bool empty(const struct way *w)
{
	return w->first == w->last;
}

static bool is_again(ssize_t r)
{
	return r == GNUTLS_E_AGAIN || r == GNUTLS_E_INTERRUPTED ||
	       r == GNUTLS_E_WARNING_ALERT_RECEIVED;
}

static void from_client(void)
{
	if (empty(&t.in)) {
		ssize_t r = tls.record_recv(t.s, t.in.bytes, BUFFER);

		if (!r || (r < 0 && !is_again(r)))
			_exit(0);
		t.in.first = 0;
		t.in.last = r > 0 ? (size_t)r : 0;
	}
	if (!empty(&t.in)) {
		ssize_t n = send(FD_INSIDE, t.in.bytes + t.in.first, t.in.last - t.in.first,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN && errno != EINTR)
			t.in.first = t.in.last; /* it says why, and then goes */
		t.in.first += n > 0 ? (size_t)n : 0;
	}
}

static void to_client(void)
{
	if (empty(&t.out)) {
		ssize_t n = recv(FD_INSIDE, t.out.bytes, BUFFER, MSG_DONTWAIT);

		if (!n || (n < 0 && errno != EAGAIN && errno != EINTR)) {
			(void)tls.bye(t.s, GNUTLS_SHUT_WR);
			_exit(0);
		}
		t.out.first = 0;
		t.out.last = n > 0 ? (size_t)n : 0;
	}
	t.client_waits = false;
	if (!empty(&t.out)) {
		ssize_t r =
			tls.record_send(t.s, t.out.bytes + t.out.first, t.out.last - t.out.first);

		if (r < 0 && !is_again(r))
			_exit(0);
		t.client_waits = r < 0;
		t.out.first += r > 0 ? (size_t)r : 0;
	}
}

static short events(bool in, bool out)
{
	return (short)((in ? POLLIN : 0) | (out ? POLLOUT : 0));
}

static void turn(void)
{
	struct pollfd p[2];
	bool more;

	from_client();
	to_client();
	/* What GnuTLS has read ahead, poll() does not know. */
	more = (empty(&t.in) && tls.record_check_pending(t.s)) ||
	       (!empty(&t.out) && !t.client_waits);
	p[0] = (struct pollfd){FD_CLIENT, events(empty(&t.in), t.client_waits), 0};
	p[1] = (struct pollfd){t.hung_up && !empty(&t.out) ? -1 : FD_INSIDE,
			       events(empty(&t.out), !empty(&t.in)), 0};
	if (poll(p, 2, more ? 0 : -1) < 0 && errno != EINTR)
		_exit(1);
	/* The client has so long to read the last word. */
	if ((p[1].revents & POLLHUP) && !t.hung_up) {
		t.hung_up = true;
		alarm(FLUSH_S);
	}
}

static void __attribute__((noreturn)) run(bool password)
{
	unsigned minor;

	signal(SIGALRM, SIG_DFL);
	if (vnc_confine_viewer())
		_exit(VNC_EXIT_SHUT_IN);
	alarm(HANDSHAKE_S);
	minor = agree_with_client(password);
	t.s = handshake();
	agree_inside(minor, password);
	alarm(0);
	flags = MSG_DONTWAIT;
	for (;;)
		turn();
}

int vnc_tls_split(int client, bool password)
{
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return -1;
	pid = fork();
	if (!pid) {
		prctl(PR_SET_NAME, "lodge-tls");
		if (dup2(client, FD_CLIENT) < 0 || dup2(pair[1], FD_INSIDE) < 0)
			_exit(1);
		syscall(SYS_close_range, VNC_FD_VNC, ~0u, 0);
		run(password);
	}
	if (tls.x509)
		tls.certificate_free_credentials(tls.x509);
	tls.x509 = NULL;
	close(pair[1]);
	close(client);
	if (pid > 0)
		return pair[0];
	close(pair[0]);
	return -1;
}
