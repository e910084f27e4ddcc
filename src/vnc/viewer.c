// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One viewer: libvncserver between its connection and the shared picture. The library is loaded in the helper and
 * its children only.
 *
 * A viewer that stalls, floods or sends half a message keeps this process busy or waiting, and nobody else; what it
 * sends is passed on as struct vnc_msg, which the VM's process checks.
 *
 * Source: RFC 6143; the RFB protocol as rfbproto keeps it, "QEMU Extended Key Event Message"; rfb/rfb.h of libvncserver
 * 0.9.14. Threads: the process's only one.
 */
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rfb/rfb.h>

#include "base/bytes.h"
#include "base/range.h"
#include "input/keys.h"
#include "vnc/frame.h"
#include "vnc/vnc_int.h"

#define HANDSHAKE_S 30u
#define STALL_MS 15000
#define FAILED_S 2u
#define KEY_ENCODING (-258) /* QEMU Extended Key Event */
#define KEY_MESSAGE 255
#define TEXT2(x) #x
#define TEXT(x) TEXT2(x)

/* What is used of the library. */
static struct {
	rfbScreenInfoPtr (*get_screen)(int *argc, char **argv, int width, int height, int bits,
				       int samples, int bytes);
	void (*init)(rfbScreenInfoPtr screen);
	rfbClientPtr (*new_client)(rfbScreenInfoPtr screen, rfbSocket sock);
	rfbBool (*process)(rfbScreenInfoPtr screen, long us);
	void (*new_buffer)(rfbScreenInfoPtr screen, char *buffer, int width, int height, int bits,
			   int samples, int bytes);
	rfbBool (*translate)(rfbClientPtr cl);
	void (*mark)(rfbScreenInfoPtr screen, int x1, int y1, int x2, int y2);
	rfbBool (*check_list)(rfbClientPtr cl, const char *response, int len);
	void (*log_enable)(int on);
	void (*random_bytes)(unsigned char *bytes);
	void (*encrypt)(unsigned char *bytes, char *password);
	void (*register_extension)(rfbProtocolExtension *extension);
	int (*read_exact)(rfbClientPtr cl, char *buf, int len);
	int (*write_exact)(rfbClientPtr cl, const char *buf, int len);
	rfbScreenInfoPtr screen;
} lib;

/* The one viewer of this process. */
static struct {
	const struct vnc_viewer *v;
	struct vnc_seen seen;
	rfbClientPtr client;
	bool over, normal, failed;
	char *passwords[2];
} me;

/* The helper need not hear it: then one that may be here makes room for others. */
void vnc_viewer_mark(const struct vnc_viewer *v, enum vnc_mark mark)
{
	char c = (char)mark;

	(void)!send(v->wake, &c, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* ---- To the VM ---------------------------------------------------------------------------------- */

static void tell(const struct vnc_msg *m)
{
	struct vnc_msg out = *m;

	out.slot = me.v->slot;
	/* It waits while the VM's process is busy: a flood ends here. */
	if (send(me.v->socket, &out, sizeof(out), MSG_NOSIGNAL) < 0 && errno != EINTR)
		_exit(0);
}

static void on_key(rfbBool down, rfbKeySym key, rfbClientPtr cl)
{
	(void)cl;
	tell(&(struct vnc_msg){.kind = VNC_KEY, .down = down != 0, .value = (uint32_t)key});
}

/* ---- Keys by their place ------------------------------------------------------------------------ */

static rfbBool on_encoding(rfbClientPtr cl, void **data, int encoding)
{
	/* An update without dots, by which the client knows. */
	static const uint8_t yes[16] = {0, 0, 0, 1, [12] = 0xff, 0xff, 0xfe, 0xfe};

	(void)data;
	return encoding == KEY_ENCODING && lib.write_exact(cl, (const char *)yes, sizeof(yes)) > 0;
}

/* QEMU's message of a key: kind 0, whether it is down, keysym, code of a PS/2 keyboard. */
static rfbBool on_message(rfbClientPtr cl, void *data, const rfbClientToServerMsg *msg)
{
	uint8_t rest[11];

	(void)data;
	if (msg->type != KEY_MESSAGE)
		return FALSE;
	if (lib.read_exact(cl, (char *)rest, sizeof(rest)) <= 0 || rest[0] != 0) {
		_exit(0); /* what follows could not be understood */
	}
	tell(&(struct vnc_msg){.kind = VNC_CODE,
			       .down = ld_be16(rest + 1) != 0,
			       .value = input_key_of_ps2(ld_be32(rest + 7)),
			       .x = (int32_t)ld_be32(rest + 3)});
	return TRUE;
}

static int key_encodings[] = {KEY_ENCODING, 0};
static rfbProtocolExtension key_extension = {
	.pseudoEncodings = key_encodings,
	.enablePseudoEncoding = on_encoding,
	.handleMessage = on_message,
};

/* ---- Pointer, power ----------------------------------------------------------------------------- */

static void on_pointer(int buttons, int x, int y, rfbClientPtr cl)
{
	(void)cl;
	tell(&(struct vnc_msg){.kind = VNC_POINTER,
			       .value = (uint32_t)buttons & 0xff,
			       .x = x,
			       .y = y});
}

static rfbBool on_power(rfbClientPtr cl, uint8_t version, uint8_t code)
{
	uint32_t what = code == rfbXvp_Shutdown ? VNC_POWER_DOWN : VNC_POWER_RESET;

	(void)cl;
	(void)version;
	if (code != rfbXvp_Shutdown && code != rfbXvp_Reboot && code != rfbXvp_Reset)
		return FALSE;
	tell(&(struct vnc_msg){.kind = VNC_POWER, .value = what});
	return TRUE;
}

/* ExtendedDesktopSize: the guest is asked, and viewers hear of its new size when it has taken one. */
static int on_size(int width, int height, int screens, struct rfbExtDesktopScreen *screen,
		   rfbClientPtr cl)
{
	(void)screens;
	(void)screen;
	(void)cl;
	if (!atomic_load_explicit(&me.v->shared->resizes, memory_order_relaxed))
		return rfbExtDesktopSize_ResizeProhibited;
	tell(&(struct vnc_msg){.kind = VNC_SIZE, .x = width, .y = height});
	return rfbExtDesktopSize_Success;
}

/* Clipboards are not the guest's. */
static void on_text(char *text, int len, rfbClientPtr cl)
{
	(void)text;
	(void)len;
	(void)cl;
}

static void on_gone(rfbClientPtr cl)
{
	(void)cl;
	me.over = true;
	me.client = NULL;
}

static rfbBool check_password(rfbClientPtr cl, const char *response, int len)
{
	rfbBool ok = lib.check_list(cl, response, len);

	me.failed = !ok;
	return ok;
}

/* ---- The library -------------------------------------------------------------------------------- */

static void set_colours(void)
{
	lib.screen->serverFormat.redShift = 16;
	lib.screen->serverFormat.greenShift = 8;
	lib.screen->serverFormat.blueShift = 0;
}

static int find_functions(void *so, struct lodge_err *err)
{
	const struct {
		const char *name;
		void **where;
	} names[] = {
		{"rfbGetScreen", (void **)&lib.get_screen},
		{TEXT(rfbInitServer), (void **)&lib.init},
		{"rfbNewClient", (void **)&lib.new_client},
		{"rfbProcessEvents", (void **)&lib.process},
		{"rfbNewFramebuffer", (void **)&lib.new_buffer},
		{"rfbSetTranslateFunction", (void **)&lib.translate},
		{"rfbMarkRectAsModified", (void **)&lib.mark},
		{"rfbCheckPasswordByList", (void **)&lib.check_list},
		{"rfbLogEnable", (void **)&lib.log_enable},
		{"rfbRandomBytes", (void **)&lib.random_bytes},
		{"rfbEncryptBytes", (void **)&lib.encrypt},
		{"rfbRegisterProtocolExtension", (void **)&lib.register_extension},
		{"rfbReadExact", (void **)&lib.read_exact},
		{"rfbWriteExact", (void **)&lib.write_exact},
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		*names[i].where = dlsym(so, names[i].name);
		if (!*names[i].where)
			return err_set(err, -ENOENT,
				       "the host's libvncserver has no %s; version 0.9.14 is what "
				       "this is made for",
				       names[i].name);
	}
	return 0;
}

int vnc_viewer_load(struct lodge_err *err)
{
	void *so = dlopen("libvncserver.so.1", RTLD_NOW | RTLD_LOCAL);
	unsigned char bytes[CHALLENGESIZE];
	char password[] = "password";
	int r, argc = 0;

	if (!so)
		return err_set(err, -ENOENT,
			       "there is no libvncserver on this host: install Debian's package "
			       "libvncserver1");
	r = find_functions(so, err);
	if (r)
		return r;
	lib.log_enable(0);
	lib.screen = lib.get_screen(&argc, NULL, 640, 480, 8, 3, 4);
	if (!lib.screen)
		return err_set(err, -ENOMEM, "libvncserver does not start");
	/* It takes no connections itself: it is given them. */
	lib.screen->port = lib.screen->ipv6port = 0;
	lib.screen->httpPort = lib.screen->http6Port = 0;
	lib.screen->udpPort = 0;
	lib.screen->alwaysShared = TRUE;
	lib.screen->deferUpdateTime = 0;
	lib.screen->maxClientWait = STALL_MS;
	lib.screen->cursor = NULL;
	lib.screen->kbdAddEvent = on_key;
	lib.screen->ptrAddEvent = on_pointer;
	lib.screen->setXCutText = on_text;
	lib.screen->xvpHook = on_power;
	lib.screen->setDesktopSizeHook = on_size;
	lib.screen->permitFileTransfer = FALSE;
	set_colours();
	lib.register_extension(&key_extension);
	lib.init(lib.screen);
	/* What it sets up at first use is set up while files can be opened. */
	lib.random_bytes(bytes);
	lib.encrypt(bytes, password);
	return 0;
}

/* ---- The picture -------------------------------------------------------------------------------- */

static void mark(void *opaque, uint32_t x1, uint32_t y1, uint32_t x2, uint32_t y2)
{
	(void)opaque;
	lib.mark(lib.screen, (int)x1, (int)y1, (int)x2, (int)y2);
}

static char *pixels(void)
{
	return (char *)(uintptr_t)me.v->shared + VNC_PIXELS;
}

static void look(void)
{
	uint32_t width, height;

	vnc_frame_size(me.v->shared, &width, &height);
	if (width != me.seen.width || height != me.seen.height) {
		me.seen.width = width;
		me.seen.height = height;
		lib.new_buffer(lib.screen, pixels(), (int)width, (int)height, 8, 3, 4);
		set_colours();
		if (me.client)
			lib.translate(me.client);
		lib.mark(lib.screen, 0, 0, (int)width, (int)height);
	}
	vnc_frame_changes(me.v->shared, &me.seen, mark, NULL);
}

/* ---- Life --------------------------------------------------------------------------------------- */

static void begin(struct vnc_viewer *v)
{
	me.v = v;
	if (v->has_password) {
		/* Without one nobody gets in: no answer is right. */
		me.passwords[0] = v->password[0] ? v->password : NULL;
		lib.screen->authPasswdData = me.passwords;
		lib.screen->passwordCheck = check_password;
	}
	lib.screen->desktopName = v->name;
	vnc_frame_size(v->shared, &me.seen.width, &me.seen.height);
	lib.new_buffer(lib.screen, pixels(), (int)me.seen.width, (int)me.seen.height, 8, 3, 4);
	set_colours();
	if (!v->web && vnc_confine_viewer())
		_exit(VNC_EXIT_SHUT_IN);
	signal(SIGALRM, SIG_DFL);
	alarm(HANDSHAKE_S);
	me.client = lib.new_client(lib.screen, v->client);
	if (!me.client)
		_exit(0);
	me.client->clientGoneHook = on_gone;
	/* Browsers come by the page, which asks who they are. */
	if (me.client->wsctx && !v->web)
		_exit(0);
}

static void turn(void)
{
	struct pollfd p[2] = {{.fd = me.v->client, .events = POLLIN},
			      {.fd = me.v->wake, .events = POLLIN}};
	char bytes[64];

	if (poll(p, 2, -1) < 0 && errno != EINTR)
		_exit(1);
	if (p[1].revents && recv(me.v->wake, bytes, sizeof(bytes), MSG_DONTWAIT) == 0)
		_exit(0);
	look();
	lib.process(lib.screen, 0);
	if (me.over) {
		if (me.failed)
			sleep(FAILED_S); /* so that nobody tries many */
		_exit(0);
	}
	if (!me.normal && me.client && me.client->state == RFB_NORMAL) {
		me.normal = true;
		vnc_viewer_mark(me.v, VNC_MARK_IN);
		alarm(0);
	}
}

void vnc_viewer_run(struct vnc_viewer *v)
{
	begin(v);
	for (;;)
		turn();
}
