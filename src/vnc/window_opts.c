// SPDX-License-Identifier: GPL-2.0-or-later
/* -display sdl: what is said of the window, and what it gets of the environment. See vnc_int.h. Threads: main. */
#include <errno.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "base/props.h"
#include "base/range.h"
#include "vnc/vnc_int.h"

void vnc_window_env(char *env[VNC_WINDOW_ENV + 1])
{
	static const char *const names[] = {"DISPLAY=", "XAUTHORITY=", "HOME=", "XDG_RUNTIME_DIR="};
	/* The window has no business on the desktop's message bus, whose library would start one. */
	static char no_bus[] = "DBUS_SESSION_BUS_ADDRESS=disabled:";
	unsigned n = 0;

	env[n++] = no_bus;
	for (char **e = environ; e && *e; e++) {
		for (size_t i = 0; i < ARRAY_SIZE(names) && n < VNC_WINDOW_ENV; i++) {
			if (!strncmp(*e, names[i], strlen(names[i])))
				env[n++] = *e;
		}
	}
	env[n] = NULL;
}

/* A program without a loader cannot load libraries of the host. */
static bool is_static(void)
{
	return !getauxval(AT_BASE);
}

int vnc_window_options(struct vnc_window_setup *s, struct props *p, struct lodge_err *err)
{
	static const char *const gls[] = {"off", "on", "core", "es", NULL};
	static const char *const mods[] = {"lctrl-lalt", "lshift-lctrl-lalt", "rctrl", NULL};
	bool closes = true;
	unsigned gl = 0, mod = VNC_GRAB_CTRL_ALT;
	int r;

	if (is_static())
		return err_set(
			err, -ENOTSUP,
			"-display sdl: this lodge was built without shared libraries and has "
			"no window; use -display vnc=:0 or -display web=127.0.0.1:6080");
	(void)props_get(p, "sdl");
	r = props_choice(p, "gl", gls, &gl, err);
	if (!r && gl)
		r = err_set(err, -EINVAL,
			    "-display sdl,gl=%s: guests have no 3D here, and the window draws by "
			    "itself; leave gl= out",
			    gls[gl]);
	if (!r)
		r = props_choice(p, "grab-mod", mods, &mod, err);
	if (!r)
		r = props_bool(p, "window-close", &closes, err);
	if (!r)
		r = props_bool(p, "show-cursor", &s->shows_cursor, err);
	if (!r)
		r = props_bool(p, "full-screen", &s->full_screen, err);
	s->stays_open = !closes;
	s->grab_mod = (uint8_t)mod;
	return r ? r : props_done(p, err);
}
