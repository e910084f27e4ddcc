// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * -chardev: QEMU's settings of each back end, put into the words of -serial (chardev/backend.h).
 * Threads: before threads start.
 */
#include "machine/chardevs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine/vm_int.h"

#define SPEC_BYTES 512u

struct spec {
	char text[SPEC_BYTES];
	size_t len;
	bool waits, terminal;
};

/* Put `s` at the end; with `quote`, a comma is doubled. What does not fit is found by is_whole(). */
static void add(struct spec *sp, const char *s, bool quote)
{
	for (; *s; s++) {
		for (unsigned n = quote && *s == ',' ? 2 : 1; n; n--) {
			if (sp->len < SPEC_BYTES - 1)
				sp->text[sp->len] = *s;
			sp->len++;
		}
	}
	sp->text[sp->len < SPEC_BYTES ? sp->len : SPEC_BYTES - 1] = '\0';
}

static const char *need(struct props *p, const char *key, const char *backend,
			struct lodge_err *err)
{
	const char *val = props_get(p, key);

	if (!val)
		err_set(err, -EINVAL, "-chardev %s: %s= is missing", backend, key);
	return val;
}

static int spell_file(struct props *p, struct spec *sp, struct lodge_err *err)
{
	const char *path = need(p, "path", "file", err);

	if (!path)
		return -EINVAL;
	add(sp, "file:", false);
	add(sp, path, false);
	return 0;
}

static int spell_socket(struct props *p, struct spec *sp, struct lodge_err *err)
{
	static const char *const switches[] = {"server", "wait", "nodelay"};
	const char *path = props_get(p, "path");
	bool on[3] = {false, true, false};
	uint64_t reconnect = 0;

	if (props_u64(p, "reconnect", UINT32_MAX, &reconnect, err))
		return -EINVAL;
	if (reconnect)
		return err_set(err, -ENOTSUP,
			       "-chardev socket: reconnect= is not there: what hangs up is not "
			       "connected again; leave it out");
	if (path) {
		add(sp, "unix:", false);
		add(sp, path, true);
	} else {
		const char *port = need(p, "port", "socket without path", err);
		const char *host = props_get(p, "host");

		if (!port)
			return -EINVAL;
		add(sp, "tcp:", false);
		add(sp, host ? host : "", true);
		add(sp, ":", false);
		add(sp, port, true);
	}
	for (unsigned i = 0; i < 3; i++) {
		if (!props_has(p, switches[i]))
			continue;
		if (props_bool(p, switches[i], &on[i], err))
			return -EINVAL;
		add(sp, ",", false);
		add(sp, switches[i], false);
		add(sp, on[i] ? "=on" : "=off", false);
	}
	sp->waits = on[0];
	return 0;
}

static int spell_stdio(struct props *p, struct spec *sp, struct lodge_err *err)
{
	bool mux = false;
	int r = props_bool(p, "mux", &mux, err);

	add(sp, mux ? "mon:stdio" : "stdio", false);
	sp->terminal = true;
	return r;
}

static int spell_pty(struct props *p, struct spec *sp, struct lodge_err *err)
{
	(void)p;
	(void)err;
	add(sp, "pty", false);
	sp->waits = sp->terminal = true;
	return 0;
}

static int spell_null(struct props *p, struct spec *sp, struct lodge_err *err)
{
	(void)p;
	(void)err;
	add(sp, "null", false);
	return 0;
}

static const struct {
	const char *name;
	int (*spell)(struct props *p, struct spec *sp, struct lodge_err *err);
} backends[] = {
	{"file", spell_file}, {"socket", spell_socket}, {"stdio", spell_stdio},
	{"pty", spell_pty},   {"null", spell_null},
};

static int spell(struct props *p, struct spec *sp, struct lodge_err *err)
{
	const char *name = props_get(p, "backend");

	for (size_t i = 0; name && i < sizeof(backends) / sizeof(backends[0]); i++) {
		int r;

		if (strcmp(name, backends[i].name))
			continue;
		r = backends[i].spell(p, sp, err);
		if (!r && sp->len >= SPEC_BYTES)
			r = err_set(err, -EINVAL, "-chardev: a setting is too long");
		return r ? r : props_done(p, err);
	}
	return err_set(err, -EINVAL,
		       "-chardev: '%s' is no back end; there are stdio, file, socket, pty and null",
		       name ? name : "");
}

struct named_chardev *chardevs_find(struct vm *vm, const char *id)
{
	struct named_chardev *n;

	list_for_each_entry (n, &vm->chardevs, link) {
		if (!strcmp(n->id, id))
			return n;
	}
	return NULL;
}

static int open_one(struct vm *vm, struct props *p, const struct chardev_host *host,
		    struct lodge_err *err)
{
	const char *id = need(p, "id", "BACKEND", err);
	struct spec sp = {0};
	struct named_chardev *n;

	if (!id || spell(p, &sp, err))
		return -EINVAL;
	if (chardevs_find(vm, id))
		return err_set(err, -EEXIST, "-chardev: the id '%s' is taken", id);
	n = calloc(1, sizeof(*n));
	if (n)
		n->id = strdup(id);
	if (!n || !n->id) {
		free(n);
		return err_set(err, -ENOMEM, "no memory for a character device");
	}
	n->waits = sp.waits;
	n->terminal = sp.terminal;
	n->chr = chardev_open(sp.text, id, host, err);
	if (!n->chr) {
		free(n->id);
		free(n);
		return -EINVAL;
	}
	list_add_tail(&vm->chardevs, &n->link);
	return 0;
}

int chardevs_open(struct vm *vm, const struct chardev_host *host, struct lodge_err *err)
{
	for (unsigned i = 0; i < vm->cfg.chardevs.n; i++) {
		int r = open_one(vm, vm->cfg.chardevs.p[i], host, err);

		if (r)
			return r;
	}
	return 0;
}

void chardevs_close(struct vm *vm)
{
	while (!list_empty(&vm->chardevs)) {
		struct named_chardev *n =
			container_of(vm->chardevs.next, struct named_chardev, link);

		list_del(&n->link);
		chardev_free(n->chr);
		free(n->id);
		free(n);
	}
}

struct named_chardev *chardevs_take(struct vm *vm, const char *id, struct lodge_err *err)
{
	struct named_chardev *n = chardevs_find(vm, id);

	if (!n)
		err_set(err, -ENOENT, "there is no -chardev with id=%s", id);
	else if (n->used)
		err_set(err, -EBUSY, "the -chardev with id=%s is in use already", id);
	if (!n || n->used)
		return NULL;
	n->used = true;
	return n;
}
