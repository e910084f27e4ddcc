// SPDX-License-Identifier: GPL-2.0-or-later
/* Options of `lodge run` about who looks at the machine, and what they type on. Threads: main only. */
#include <errno.h>
#include <string.h>

#include "base/props.h"
#include "cli/run_opts.h"
#include "input/layout.h"

static void forget(struct props **p)
{
	props_free(*p);
	*p = NULL;
}

/* The last one counts. */
static int set_viewer(struct props **p, const char *what, const char *val, const char *implied,
		      struct lodge_err *err)
{
	forget(p);
	*p = props_parse(what, val, implied, err);
	return *p ? 0 : -EINVAL;
}

static int set_display(struct run_opts *o, const char *val, struct lodge_err *err)
{
	o->no_display = true;
	if (!strcmp(val, "none")) {
		forget(&o->vnc);
		forget(&o->web);
		forget(&o->window);
		return 0;
	}
	if (!strncmp(val, "vnc=", 4))
		return set_viewer(&o->vnc, "-display vnc", val, "vnc", err);
	if (!strncmp(val, "web=", 4))
		return set_viewer(&o->web, "-display web", val, "vnc", err);
	if (!strcmp(val, "sdl") || !strncmp(val, "sdl,", 4))
		return set_viewer(&o->window, "-display sdl", val, "sdl", err);
	return err_set(err, -EINVAL,
		       "-display %.60s: there are none, sdl, vnc=[HOST]:N and web=127.0.0.1:PORT",
		       val);
}

static int set_vnc(struct run_opts *o, const char *val, struct lodge_err *err)
{
	o->no_display = true;
	if (strcmp(val, "none") != 0)
		return set_viewer(&o->vnc, "-vnc", val, "vnc", err);
	forget(&o->vnc);
	return 0;
}

static int set_full_screen(struct run_opts *o, const char *val, struct lodge_err *err)
{
	(void)val;
	(void)err;
	o->full_screen = true;
	return 0;
}

static int set_layout(struct run_opts *o, const char *val, struct lodge_err *err)
{
	input_layout_free(o->layout);
	o->layout = input_layout_new(val, err);
	return o->layout ? 0 : -EINVAL;
}

bool run_opts_looked_at(const struct run_opts *o)
{
	return o->vnc || o->web || o->window;
}

int run_opts_tls(struct run_opts *o, struct props *p, struct lodge_err *err)
{
	const char *type = props_get(p, "qom-type"), *id = props_get(p, "id");
	const char *wanted = o->vnc ? props_get(o->vnc, "tls-creds") : NULL;

	if (!type || strncmp(type, "tls-creds-", 10) != 0)
		return 0;
	if (!id || !wanted || strcmp(wanted, id) != 0)
		return err_set(err, -EINVAL,
			       "-object %s: nothing uses '%s'; write '-vnc ADDRESS,tls-creds=ID'",
			       type, id ? id : "");
	if (o->tls)
		return err_set(err, -EINVAL, "-object %s: '%s' is there twice", type, id);
	o->tls = p;
	return 1;
}

int run_opts_check_display(const struct run_opts *o, struct lodge_err *err)
{
	if (o->full_screen && !o->window)
		return err_set(err, -EINVAL, "-full-screen is for a window; add -display sdl");
	return 0;
}

void run_opts_free_display(struct run_opts *o)
{
	forget(&o->vnc);
	forget(&o->web);
	forget(&o->window);
	input_layout_free(o->layout);
}

const struct run_opt run_opts_display[] = {
	{"display",
	 "none|sdl[,...]|vnc=[HOST]:N[,...]|web=127.0.0.1:PORT[,novnc=FOLDER][,xterm=FOLDER]",
	 "no display; a window (full-screen=on, window-close=off, show-cursor=on, "
	 "grab-mod=rctrl|lshift-lctrl-lalt); for VNC viewers, as -vnc; for a browser, whose "
	 "address is printed",
	 set_display},
	{"full-screen", NULL, "the window begins as large as the screen", set_full_screen},
	{"vnc", "[HOST]:N|unix:PATH[,password=on|off][,password-file=FILE][,tls-creds=ID]",
	 "the screen for VNC viewers, at port 5900 + N of this host alone unless HOST says "
	 "otherwise; a password is made and printed if none is named; encrypted by -object "
	 "tls-creds-x509 or -anon",
	 set_vnc},
	{"k", "LAYOUT",
	 "what the keys of VNC viewers write that do not say which keys they are: en-us (the "
	 "default), de, fr-ch, ...",
	 set_layout},
	{NULL, NULL, NULL, NULL},
};
