// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The window: SDL between an X server and the shared picture. The library is loaded in this process only, and the
 * connection to the X server, which could see other windows, is this process's only.
 *
 * Only what changed is drawn and sent to the X server, which shares the window's memory where it can. While
 * nothing changes the process sleeps: it waits for the connection and the VM's socket itself, since SDL cannot wait
 * for both.
 *
 * Source: SDL 2's documentation (wiki.libsdl.org/SDL2); QEMU's manual, -display sdl, for options and keys.
 * Threads: the process's only one.
 */
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <SDL2/SDL.h>
#include <SDL2/SDL_syswm.h>

#include "base/clock.h"
#include "base/range.h"
#include "input/keys.h"
#include "sandbox/child.h"
#include "vnc/frame.h"
#include "vnc/scale.h"
#include "vnc/vnc_int.h"

#define RECTS 64u
#define EVENTS_MAX 512u
/* SDL believes in a focus when some time has passed, and has to be called for that. */
#define LINGER_NS (400 * 1000000ull)
#define LINGER_MS 50
#define WHEEL_MAX 16

#define FUNCTIONS(X)                                                                            \
	X(Init)                                                                                 \
	X(SetHint)                                                                              \
	X(GetError)                                                                             \
	X(CreateWindow)                                                                         \
	X(GetWindowWMInfo)                                                                      \
	X(GetWindowSurface)                                                                     \
	X(UpdateWindowSurfaceRects)                                                             \
	X(FillRect)                                                                             \
	X(SetWindowTitle)                                                                       \
	X(SetWindowSize)                                                                        \
	X(GetWindowFlags) X(SetWindowFullscreen) X(SetWindowMouseGrab) X(SetWindowKeyboardGrab) \
		X(SetRelativeMouseMode) X(ShowCursor) X(PollEvent) X(GetDisplayUsableBounds)    \
			X(GetWindowDisplayIndex) X(StopTextInput) X(GetDisplayBounds)           \
				X(GetWindowPosition) X(SetWindowPosition)

#define X_FUNCTIONS(X) \
	X(ConnectionNumber) X(DefaultRootWindow) X(InternAtom) X(GetWindowProperty) X(Free)

/* What is used of the library. */
#define MEMBER(name) __typeof__(&SDL_##name) name;
static struct {
	FUNCTIONS(MEMBER)
} sdl;
#define X_MEMBER(name) __typeof__(&X##name) X##name;
static struct {
	X_FUNCTIONS(X_MEMBER)
} xlib;

static struct {
	struct vnc_setup setup;
	const struct vnc_shared *shared;
	SDL_Window *win;
	SDL_Surface *surface;
	Display *display;
	struct vnc_seen seen;
	struct vnc_scale scale;
	/* Parts of the picture to be drawn. */
	struct vnc_rect part[RECTS];
	unsigned parts;
	bool all, changed, visible;
	/* Input. */
	bool absolute, grabbed, full, moved;
	bool alone;    /* full screen without a window manager */
	int left, top; /* where the window was before */
	int32_t x, y;  /* in the picture; or by how many dots it moved */
	uint8_t buttons;
	bool key[INPUT_KEYS]; /* those that the guest was told of */
	char state[sizeof(((struct vnc_msg *)0)->text)];
	uint64_t linger_ns;
} w;

/* ---- To the VM ---------------------------------------------------------------------------------- */

static void tell(struct vnc_msg m)
{
	if (send(VNC_FD_SOCKET, &m, sizeof(m), MSG_NOSIGNAL) < 0 && errno != EINTR)
		_exit(0);
}

static void tell_pointer(void)
{
	tell((struct vnc_msg){.kind = w.absolute ? VNC_POINTER : VNC_MOVE,
			      .value = w.buttons,
			      .x = w.x,
			      .y = w.y});
	if (!w.absolute)
		w.x = w.y = 0;
	w.moved = false;
}

/* Movements that came together are one. */
static void flush_moves(void)
{
	if (w.moved)
		tell_pointer();
}

static void let_go(void)
{
	w.buttons = 0;
	memset(w.key, 0, sizeof(w.key));
	tell((struct vnc_msg){.kind = VNC_GONE});
}

/* ---- The window --------------------------------------------------------------------------------- */

static void set_title(void)
{
	static const char *const keys[] = {
		[VNC_GRAB_CTRL_ALT] = "Ctrl-Alt",
		[VNC_GRAB_SHIFT_CTRL_ALT] = "Shift-Ctrl-Alt",
		[VNC_GRAB_RCTRL] = "right Ctrl",
	};
	char title[512], grab[80] = "";

	if (w.grabbed)
		snprintf(grab, sizeof(grab), " - %s-G lets keys and pointer go",
			 keys[w.setup.window.grab_mod]);
	snprintf(title, sizeof(title), "%s%s%s%s%s - Lodge", w.setup.name, w.state[0] ? " [" : "",
		 w.state, w.state[0] ? "]" : "", grab);
	sdl.SetWindowTitle(w.win, title);
}

static void grab(bool on)
{
	SDL_bool yes = on ? SDL_TRUE : SDL_FALSE;

	flush_moves();
	w.grabbed = on;
	sdl.SetWindowMouseGrab(w.win, yes);
	sdl.SetWindowKeyboardGrab(w.win, yes);
	sdl.SetRelativeMouseMode(on && !w.absolute ? SDL_TRUE : SDL_FALSE);
	w.x = w.y = 0;
	set_title();
}

/* As large as the picture; smaller, in its shape, where the screen is. */
static void fit_window(void)
{
	struct vnc_scale s = {.w = w.seen.width, .h = w.seen.height};
	int screen = sdl.GetWindowDisplayIndex(w.win);
	SDL_Rect room;

	if (w.full || (sdl.GetWindowFlags(w.win) & SDL_WINDOW_MAXIMIZED))
		return;
	if (!sdl.GetDisplayUsableBounds(screen < 0 ? 0 : screen, &room) && room.w > 0 &&
	    room.h > 0 && ((uint32_t)room.w < s.w || (uint32_t)room.h < s.h))
		vnc_scale_fit(&s, s.w, s.h, (uint32_t)room.w, (uint32_t)room.h);
	sdl.SetWindowSize(w.win, (int)s.w, (int)s.h);
}

/* An absolute pointer is the guest's, which draws it. */
static void set_cursor(void)
{
	sdl.ShowCursor(w.setup.window.shows_cursor || !w.absolute ? SDL_ENABLE : SDL_DISABLE);
}

static void set_absolute(bool on)
{
	if (on == w.absolute)
		return;
	flush_moves();
	w.absolute = on;
	w.x = w.y = 0;
	/* What held the pointer in the window is not needed any more, or needed anew. */
	grab(on && !w.full ? false : w.grabbed);
	set_cursor();
}

/* A window manager that full screen can be asked of. Source: Extended Window Manager Hints 1.5, root properties. */
static bool is_managed(void)
{
	Atom check = xlib.XInternAtom(w.display, "_NET_SUPPORTING_WM_CHECK", False), type = 0;
	unsigned long n = 0, more;
	unsigned char *data = NULL;
	int format;

	if (xlib.XGetWindowProperty(w.display, xlib.XDefaultRootWindow(w.display), check, 0, 1,
				    False, AnyPropertyType, &type, &format, &n, &more,
				    &data) != Success)
		return false;
	if (data)
		xlib.XFree(data);
	return n > 0;
}

/* Without one a window is as large as it makes itself. SDL only asks for it. */
static void set_full_alone(bool on)
{
	int screen = sdl.GetWindowDisplayIndex(w.win);
	SDL_Rect all;

	w.alone = on;
	if (!on) {
		sdl.SetWindowPosition(w.win, w.left, w.top);
		return;
	}
	if (sdl.GetDisplayBounds(screen < 0 ? 0 : screen, &all))
		return;
	sdl.GetWindowPosition(w.win, &w.left, &w.top);
	sdl.SetWindowPosition(w.win, all.x, all.y);
	sdl.SetWindowSize(w.win, all.w, all.h);
}

static void set_full(bool on)
{
	w.full = on;
	if (on ? !is_managed() : w.alone)
		set_full_alone(on);
	else
		sdl.SetWindowFullscreen(w.win, on ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0);
	/* The mode may have changed meanwhile, and a window alone is as large as before. */
	fit_window();
	w.all = true;
	grab(on);
}

/* ---- The picture -------------------------------------------------------------------------------- */

static const uint32_t *dots(void)
{
	return (const uint32_t *)((const uint8_t *)w.shared + VNC_PIXELS);
}

/* A part of the picture, beside or below others. */
static void note(void *opaque, uint32_t x1, uint32_t y1, uint32_t x2, uint32_t y2)
{
	struct vnc_rect *last = w.parts ? &w.part[w.parts - 1] : NULL;

	(void)opaque;
	if (last && last->x1 == x1 && last->x2 == x2 && last->y2 == y1)
		last->y2 = y2;
	else if (w.parts < RECTS)
		w.part[w.parts++] = (struct vnc_rect){x1, y1, x2, y2};
	else
		w.all = true;
}

/* The surface is another one after each change of the window's size. */
static bool take_surface(void)
{
	w.surface = sdl.GetWindowSurface(w.win);
	if (!w.surface || w.surface->w < 1 || w.surface->h < 1 || w.surface->w > 16384 ||
	    w.surface->h > 16384)
		return false;
	vnc_scale_fit(&w.scale, w.seen.width, w.seen.height, (uint32_t)w.surface->w,
		      (uint32_t)w.surface->h);
	return true;
}

static void draw_parts(void)
{
	SDL_Rect out[RECTS];

	for (unsigned i = 0; i < w.parts; i++) {
		struct vnc_rect p = vnc_scale_part(&w.scale, w.part[i]);

		vnc_scale_draw(&w.scale, dots(), w.surface->pixels, (size_t)w.surface->pitch / 4,
			       p);
		out[i] = (SDL_Rect){(int)p.x1, (int)p.y1, (int)(p.x2 - p.x1), (int)(p.y2 - p.y1)};
	}
	if (w.parts)
		sdl.UpdateWindowSurfaceRects(w.win, out, (int)w.parts);
}

static void draw_all(void)
{
	SDL_Rect whole = {0, 0, w.surface->w, w.surface->h};

	sdl.FillRect(w.surface, NULL, 0);
	vnc_scale_draw(
		&w.scale, dots(), w.surface->pixels, (size_t)w.surface->pitch / 4,
		vnc_scale_part(&w.scale, (struct vnc_rect){0, 0, w.seen.width, w.seen.height}));
	sdl.UpdateWindowSurfaceRects(w.win, &whole, 1);
}

static void draw(void)
{
	uint32_t width, height;

	w.changed = false;
	vnc_frame_size(w.shared, &width, &height);
	if (width != w.seen.width || height != w.seen.height) {
		w.seen.width = width;
		w.seen.height = height;
		w.all = true;
		fit_window();
	}
	w.parts = 0;
	vnc_frame_changes(w.shared, &w.seen, note, NULL);
	/* The picture may have another shape, and the window another size, since the last time. */
	if (!take_surface())
		return;
	if (w.all)
		draw_all();
	else
		draw_parts();
	w.all = false;
}

/* ---- Keys --------------------------------------------------------------------------------------- */

/* `held`: with the key, when it went down; many events may have come since, and the state now is of the last. */
static bool is_hot(unsigned held)
{
	static const unsigned mods[] = {
		[VNC_GRAB_CTRL_ALT] = KMOD_LCTRL | KMOD_LALT,
		[VNC_GRAB_SHIFT_CTRL_ALT] = KMOD_LSHIFT | KMOD_LCTRL | KMOD_LALT,
		[VNC_GRAB_RCTRL] = KMOD_RCTRL,
	};
	unsigned want = mods[w.setup.window.grab_mod];

	return (held & want) == want;
}

/* Keys that are the window's; the guest does not see them. */
static bool take_hot_key(SDL_Scancode code)
{
	switch (code) {
	case SDL_SCANCODE_G:
		grab(!w.grabbed);
		break;
	case SDL_SCANCODE_F:
		set_full(!w.full);
		break;
	case SDL_SCANCODE_U:
		fit_window();
		break;
	default:
		return false;
	}
	let_go();
	return true;
}

static void on_key(const SDL_KeyboardEvent *e)
{
	bool down = e->type == SDL_KEYDOWN;
	enum input_key key;

	if (down && !e->repeat && is_hot(e->keysym.mod) && take_hot_key(e->keysym.scancode))
		return;
	/* SDL's numbers are those of USB's keyboard page, as far as that goes. */
	key = input_key_of_hid((unsigned)e->keysym.scancode);
	/* What was held when all was let go is not heard of again until it is pressed anew. */
	if (!key || (!down && !w.key[key]) || (e->repeat && !w.key[key]))
		return;
	w.key[key] = down;
	tell((struct vnc_msg){.kind = VNC_CODE, .value = key, .down = down});
}

/* ---- Pointer ------------------------------------------------------------------------------------ */

static void on_motion(const SDL_MouseMotionEvent *e)
{
	if (w.absolute) {
		vnc_scale_point(&w.scale, e->x, e->y, &w.x, &w.y);
		w.moved = true;
	} else if (w.grabbed) {
		w.x += e->xrel;
		w.y += e->yrel;
		w.moved = true;
	}
}

static void on_button(const SDL_MouseButtonEvent *e)
{
	/* As RFB counts them; the eighth is the first of two at the side. */
	static const uint8_t bits[] = {[SDL_BUTTON_LEFT] = 1,
				       [SDL_BUTTON_MIDDLE] = 2,
				       [SDL_BUTTON_RIGHT] = 4,
				       [SDL_BUTTON_X1] = 0x80};
	uint8_t bit = e->button < ARRAY_SIZE(bits) ? bits[e->button] : 0;
	bool down = e->type == SDL_MOUSEBUTTONDOWN;

	flush_moves();
	if (!w.absolute && !w.grabbed) {
		/* A click takes the pointer, and is not the guest's. */
		if (down && bit == 1)
			grab(true);
		return;
	}
	if (w.absolute)
		vnc_scale_point(&w.scale, e->x, e->y, &w.x, &w.y);
	if (!bit || (!down && !(w.buttons & bit)))
		return;
	w.buttons = (uint8_t)(down ? w.buttons | bit : w.buttons & ~bit);
	tell_pointer();
}

static void turn_wheel(int by, uint8_t forth, uint8_t back)
{
	uint8_t bit = by > 0 ? forth : back;

	by = by < 0 ? -by : by;
	for (int i = 0; i < by && i < WHEEL_MAX; i++) {
		w.buttons |= bit;
		tell_pointer();
		w.buttons &= (uint8_t)~bit;
		tell_pointer();
	}
}

static void on_wheel(const SDL_MouseWheelEvent *e)
{
	if (!w.absolute && !w.grabbed)
		return;
	flush_moves();
	turn_wheel(e->y, 8, 16);
	turn_wheel(-e->x, 32, 64);
}

/* ---- Events ------------------------------------------------------------------------------------- */

static void show(bool is)
{
	w.all |= is;
	if (is == w.visible)
		return;
	w.visible = is;
	tell((struct vnc_msg){.kind = VNC_LOOK, .value = is});
}

static void on_window(const SDL_WindowEvent *e)
{
	switch (e->event) {
	case SDL_WINDOWEVENT_SHOWN:
	case SDL_WINDOWEVENT_RESTORED:
	case SDL_WINDOWEVENT_EXPOSED:
		show(true);
		break;
	case SDL_WINDOWEVENT_HIDDEN:
	case SDL_WINDOWEVENT_MINIMIZED:
		show(false);
		break;
	case SDL_WINDOWEVENT_SIZE_CHANGED:
		w.all = true;
		break;
	case SDL_WINDOWEVENT_FOCUS_LOST:
		if (w.grabbed && !w.full)
			grab(false);
		let_go();
		break;
	case SDL_WINDOWEVENT_CLOSE:
		if (!w.setup.window.stays_open)
			tell((struct vnc_msg){.kind = VNC_QUIT});
		break;
	default:
		break;
	}
}

static void on_event(const SDL_Event *e)
{
	switch (e->type) {
	case SDL_WINDOWEVENT:
		on_window(&e->window);
		break;
	case SDL_KEYDOWN:
	case SDL_KEYUP:
		flush_moves();
		on_key(&e->key);
		break;
	case SDL_MOUSEMOTION:
		on_motion(&e->motion);
		break;
	case SDL_MOUSEBUTTONDOWN:
	case SDL_MOUSEBUTTONUP:
		on_button(&e->button);
		break;
	case SDL_MOUSEWHEEL:
		on_wheel(&e->wheel);
		break;
	default:
		break;
	}
}

/* True: there may be more. */
static bool take_events(void)
{
	SDL_Event e;
	unsigned n = 0;

	while (n < EVENTS_MAX && sdl.PollEvent(&e)) {
		n++;
		on_event(&e);
	}
	flush_moves();
	return n == EVENTS_MAX;
}

/* From the VM. */
static void take_messages(void)
{
	struct vnc_msg m;

	for (;;) {
		ssize_t n = recv(VNC_FD_SOCKET, &m, sizeof(m), MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n != (ssize_t)sizeof(m))
			_exit(0);
		if (m.kind == VNC_FRAME)
			w.changed = true;
		if (m.kind != VNC_STATE)
			continue;
		snprintf(w.state, sizeof(w.state), "%.*s", (int)sizeof(m.text) - 1, m.text);
		set_absolute(m.value == 1);
		set_title();
	}
}

static void turn(void)
{
	struct pollfd p[2] = {{.fd = xlib.XConnectionNumber(w.display), .events = POLLIN},
			      {.fd = VNC_FD_SOCKET, .events = POLLIN}};
	bool more;

	/* Drawing reads events into Xlib's row, of which poll() knows nothing: events come last. */
	do {
		if (w.visible && (w.changed || w.all))
			draw();
		more = take_events();
		take_messages();
	} while (more || (w.visible && (w.changed || w.all)));
	if (poll(p, 2, clock_mono_ns() < w.linger_ns ? LINGER_MS : -1) < 0 && errno != EINTR)
		_exit(1);
	if (p[0].revents)
		w.linger_ns = clock_mono_ns() + LINGER_NS;
}

/* ---- Set-up ------------------------------------------------------------------------------------- */

static void __attribute__((noreturn)) refuse(const char *why)
{
	char text[sizeof(((struct vnc_msg *)0)->text)];

	snprintf(text, sizeof(text), "-display sdl: %s", why);
	vnc_helper_ready(EINVAL, text);
	_exit(1);
}

static void load(void)
{
	void *so = dlopen("libSDL2-2.0.so.0", RTLD_NOW | RTLD_LOCAL);
	void *x11 = dlopen("libX11.so.6", RTLD_NOW | RTLD_LOCAL);

	if (!so || !x11)
		refuse("there is no SDL 2 on this host: install Debian's package libsdl2-2.0-0");
#define FIND(name)                                                                          \
	*(void **)&sdl.name = dlsym(so, "SDL_" #name);                                      \
	if (!sdl.name)                                                                      \
		refuse("the host's SDL 2 has no SDL_" #name "; version 2.0.18 or later is " \
		       "needed");
	FUNCTIONS(FIND)
#define X_FIND(name)                                     \
	*(void **)&xlib.X##name = dlsym(x11, "X" #name); \
	if (!xlib.X##name)                               \
		refuse("the host's libX11 has no X" #name);
	X_FUNCTIONS(X_FIND)
}

static void open_window(void)
{
	SDL_SysWMinfo info = {0};
	char why[200];

	if (!getenv("DISPLAY"))
		refuse("there is no X server to show a window: DISPLAY is not set; run this on a "
		       "desktop, or use -display vnc=:0 or web=127.0.0.1:6080");
	/* The picture is drawn here and put, not by OpenGL, which would want devices and threads. */
	sdl.SetHint(SDL_HINT_VIDEODRIVER, "x11");
	sdl.SetHint(SDL_HINT_FRAMEBUFFER_ACCELERATION, "0");
	sdl.SetHint(SDL_HINT_NO_SIGNAL_HANDLERS, "1");
	sdl.SetHint(SDL_HINT_VIDEO_ALLOW_SCREENSAVER, "1");
	sdl.SetHint(SDL_HINT_VIDEO_MINIMIZE_ON_FOCUS_LOSS, "0");
	sdl.SetHint(SDL_HINT_MOUSE_FOCUS_CLICKTHROUGH, "1");
	sdl.SetHint(SDL_HINT_VIDEO_X11_NET_WM_BYPASS_COMPOSITOR, "0");
	if (!sdl.Init(SDL_INIT_VIDEO)) {
		vnc_frame_size(w.shared, &w.seen.width, &w.seen.height);
		w.win = sdl.CreateWindow("Lodge", SDL_WINDOWPOS_CENTERED, SDL_WINDOWPOS_CENTERED,
					 (int)w.seen.width, (int)w.seen.height,
					 SDL_WINDOW_RESIZABLE);
	}
	SDL_VERSION(&info.version);
	if (!w.win || !sdl.GetWindowWMInfo(w.win, &info) || info.subsystem != SDL_SYSWM_X11) {
		snprintf(why, sizeof(why), "cannot open a window at the X server %s: %.120s",
			 getenv("DISPLAY"), sdl.GetError());
		refuse(why);
	}
	w.display = info.info.x11.display;
	sdl.StopTextInput();
	if (!take_surface() || w.surface->format->BytesPerPixel != 4 ||
	    w.surface->format->Rmask != 0xff0000 || w.surface->format->Bmask != 0xff)
		refuse("the X server's screen has not 24 bits of colour");
}

void vnc_window_run(void)
{
	struct lodge_err err = {""};

	child_leave_everything(VNC_FD_WEB + 1, "lodge-window");
	if (recv(VNC_FD_SOCKET, &w.setup, sizeof(w.setup), 0) != sizeof(w.setup))
		_exit(1);
	w.shared = vnc_map_shared(&err);
	if (!w.shared)
		refuse(err.msg);
	load();
	open_window();
	set_title();
	/* Cursors come from files, which are looked for when they are first used. */
	sdl.SetRelativeMouseMode(SDL_TRUE);
	sdl.SetRelativeMouseMode(SDL_FALSE);
	set_cursor();
	if (vnc_confine_window(&err))
		refuse(err.msg);
	vnc_helper_ready(0, "");
	w.all = true;
	w.linger_ns = clock_mono_ns() + LINGER_NS;
	show(true);
	if (w.setup.window.full_screen)
		set_full(true);
	for (;;)
		turn();
}
