// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * -restore and -incoming: the options of a saved machine, and those given beside it.
 *
 * The saved options describe the guest's hardware; what is given beside them may say where the host's side of it
 * is now (disks, networks, consoles) and how the process runs, and nothing else. The result is a command line
 * that is parsed as any other.
 * Threads: main only.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/keyval.h"
#include "base/props.h"
#include "base/range.h"
#include "cli/run_opts.h"
#include "state/state.h"

#define ARGS_MAX 1024u

/* How an option goes with a saved machine. */
enum how {
	HARDWARE, /* saved; not to be given beside it */
	PROCESS,  /* not saved; each run has its own */
	REPLACES, /* saved; given beside it, it stands in its place, by its name alone */
	BY_ORDER, /* the same: the first for the first, and so on */
	BY_ID,	  /* the same: for the one of the same id */
	CONSOLE,  /* saved; one of these in place of all of these */
	EITHER,	  /* saved; may be added or given again */
};

static const struct {
	const char *name;
	enum how how;
} kinds[] = {
	{"d", PROCESS},
	{"D", PROCESS},
	{"pidfile", PROCESS},
	{"daemonize", PROCESS},
	{"S", PROCESS},
	{"control", PROCESS},
	{"help", PROCESS},
	{"h", PROCESS},
	{"no-user-config", PROCESS},
	{"nodefconfig", PROCESS},
	{"accel", PROCESS},
	{"enable-kvm", PROCESS},
	{"sandbox", PROCESS},
	{"runas", PROCESS},
	{"monitor", PROCESS},
	{"qmp", PROCESS},
	{"qmp-pretty", PROCESS},
	{"mon", PROCESS},
	{"restore", PROCESS},
	{"incoming", PROCESS},
	{"gdb", PROCESS},
	{"s", PROCESS},
	{"hda", REPLACES},
	{"hdb", REPLACES},
	{"hdc", REPLACES},
	{"hdd", REPLACES},
	{"cdrom", REPLACES},
	{"fda", REPLACES},
	{"fdb", REPLACES},
	{"pflash", REPLACES},
	{"cidata", REPLACES},
	{"kernel", REPLACES},
	{"initrd", REPLACES},
	{"debugcon", REPLACES},
	{"serial", BY_ORDER},
	{"drive", BY_ID},
	{"blockdev", BY_ID},
	{"netdev", BY_ID},
	{"chardev", BY_ID},
	{"fsdev", BY_ID},
	{"nographic", CONSOLE},
	{"display", CONSOLE},
	{"vnc", PROCESS},
	{"k", PROCESS},
	{"full-screen", PROCESS},
	{"name", EITHER},
	{"no-reboot", EITHER},
	{"no-shutdown", EITHER},
	{"L", EITHER},
};

static const char *bare(const char *arg)
{
	return arg + (arg[0] == '-') + (arg[0] == '-' && arg[1] == '-');
}

static enum how how_of(const char *arg, const char *val)
{
	if (arg[0] != '-')
		return REPLACES;
	/* An object that is not the guest's memory. */
	if (!strcmp(bare(arg), "object") && val && !strncmp(val, "tls-creds-", 10))
		return PROCESS;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (!strcmp(kinds[i].name, bare(arg)))
			return kinds[i].how;
	}
	return HARDWARE;
}

/* ---- Paths -------------------------------------------------------------------------------------- */

static const char *absolute(struct run_opts *o, const char *path)
{
	char cwd[PATH_MAX], whole[PATH_MAX * 2];

	if (path[0] == '/' || !path[0] || !getcwd(cwd, sizeof(cwd)))
		return path;
	snprintf(whole, sizeof(whole), "%s/%s", cwd, path);
	return run_opts_keep(o, whole);
}

/* "file:PATH", "unix:PATH,..." */
static const char *absolute_device(struct run_opts *o, const char *val)
{
	static const char *const kinds_of[] = {"file:", "unix:", "path="};
	char whole[PATH_MAX * 2];
	const char *path;

	for (size_t i = 0; i < ARRAY_SIZE(kinds_of); i++) {
		size_t n = strlen(kinds_of[i]);

		if (strncmp(val, kinds_of[i], n))
			continue;
		path = absolute(o, val + n);
		if (!path)
			return NULL;
		snprintf(whole, sizeof(whole), "%.*s%s", (int)n, val, path);
		return run_opts_keep(o, whole);
	}
	return val;
}

static bool put(char *out, size_t size, size_t *len, const char *text)
{
	for (; *text; text++) {
		if (*len + 3 > size)
			return false;
		if (*text == ',')
			out[(*len)++] = ',';
		out[(*len)++] = *text;
	}
	out[*len] = '\0';
	return true;
}

/* In "key=value,..." the values of these keys. What cannot be read stays, and is refused later. */
static const char *absolute_keys(struct run_opts *o, const char *val)
{
	static const char *const keys[] = {"file",	    "path", "filename",
					   "file.filename", "dir",  "password-file"};
	char out[8192];
	size_t len = 0;
	struct keyval kv;
	struct lodge_err err;

	if (val[0] == '{')
		return val;
	keyval_init(&kv, val, "");
	while (keyval_next(&kv, &err) > 0) {
		const char *v = kv.val;

		for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
			if (!strcmp(kv.key, keys[i]))
				v = absolute(o, kv.val);
		}
		if (!v || len + strlen(kv.key) + 2 > sizeof(out))
			return NULL;
		if (len)
			out[len++] = ',';
		len += (size_t)sprintf(out + len, "%s%s", kv.key, kv.key[0] ? "=" : "");
		if (!put(out, sizeof(out), &len, v))
			return NULL;
	}
	return run_opts_keep(o, out);
}

/* An option given here, as it means the same from the saved machine's folder. */
static const char *from_here(struct run_opts *o, const char *name, const char *val)
{
	static const char *const files[] = {"hda", "hdb",    "hdc",    "hdd",	  "cdrom",
					    "fda", "fdb",    "pflash", "cidata",  "kernel",
					    "L",   "initrd", "D",      "pidfile", ""};
	static const char *const devices[] = {"serial", "monitor", "qmp", "qmp-pretty", "debugcon"};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		if (!strcmp(name, files[i]))
			return absolute(o, val);
	}
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
		if (!strcmp(name, devices[i]))
			return absolute_device(o, val);
	}
	return how_of(name, val) == HARDWARE ? val : absolute_keys(o, val);
}

/* ---- Two command lines ------------------------------------------------------------------------- */

/* An option: its name and value; a disk that stands alone has the name "". */
struct arg {
	const char *name; /* as written, with its dashes; NULL: it stands alone */
	const char *val;  /* NULL: it takes none */
	bool used;
};

struct args {
	struct arg a[ARGS_MAX];
	unsigned n;
};

static const char *key_of(const struct arg *a)
{
	return a->name ? bare(a->name) : "";
}

static int split(struct args *out, const char *const *words, unsigned n, struct lodge_err *err)
{
	for (unsigned i = 0; i < n; i++) {
		const char *word = words[i];
		struct arg *a = &out->a[out->n];
		bool takes = word[0] == '-' && run_opts_takes_value(bare(word));

		if (out->n == ARGS_MAX)
			return err_set(err, -E2BIG, "too many options");
		if (takes && i + 1 == n)
			return err_set(err, -EINVAL, "%s needs an argument", word);
		*a = word[0] == '-' ? (struct arg){.name = word} : (struct arg){.val = word};
		if (takes)
			a->val = words[++i];
		out->n++;
	}
	return 0;
}

#define ID_BYTES 128u

/* id= or node-name= of an option's value; false: it has none. */
static bool get_id(const char *val, char id[ID_BYTES])
{
	struct lodge_err err;
	struct props *p =
		val[0] == '{' ? props_parse_json("", val, &err) : props_parse("", val, "", &err);
	const char *its = p ? props_get(p, "id") : NULL;
	bool ok;

	if (p && !its)
		its = props_get(p, "node-name");
	ok = its && strlen(its) < ID_BYTES;
	if (ok)
		strcpy(id, its);
	props_free(p);
	return ok;
}

static struct arg *find(struct args *saved, const struct arg *given, enum how how)
{
	char id[ID_BYTES], other[ID_BYTES];

	if (how == BY_ID && !get_id(given->val, id))
		return NULL;
	for (unsigned i = 0; i < saved->n; i++) {
		struct arg *a = &saved->a[i];

		if (strcmp(key_of(a), key_of(given)) || a->used)
			continue;
		if (how != BY_ID || (get_id(a->val, other) && !strcmp(id, other)))
			return a;
	}
	return NULL;
}

static int refuse(const struct arg *given, enum how how, struct lodge_err *err)
{
	const char *name = given->name ? given->name : given->val;

	if (how == BY_ID)
		return err_set(
			err, -EINVAL,
			"%s: the saved machine has none with this id; beside -restore it can "
			"only take another's place",
			name);
	if (how == REPLACES || how == BY_ORDER)
		return err_set(err, -EINVAL,
			       "%s: the saved machine has none; beside -restore it can only take "
			       "another's place",
			       name);
	return err_set(err, -EINVAL,
		       "%s cannot be given beside -restore: a saved machine's hardware stays as it "
		       "was",
		       name);
}

static int add(struct args *to, const char *name, const char *val, struct lodge_err *err)
{
	if (to->n == ARGS_MAX)
		return err_set(err, -E2BIG, "too many options");
	to->a[to->n++] = (struct arg){.name = name, .val = val};
	return 0;
}

static unsigned count(const struct args *all, const char *key)
{
	unsigned n = 0;

	for (unsigned i = 0; i < all->n; i++)
		n += !strcmp(key_of(&all->a[i]), key);
	return n;
}

/* `given` into `saved`: in the place of another, or behind all. */
static int merge_one(struct run_opts *o, struct args *saved, const struct arg *given,
		     struct args *rest, struct lodge_err *err)
{
	enum how how = how_of(given->name ? given->name : "disk", given->val);
	const char *val = given->val ? from_here(o, key_of(given), given->val) : NULL;
	struct arg *a;

	if (given->val && !val)
		return err_set(err, -ENOMEM, "too many options");
	if (!strcmp(key_of(given), "restore") || !strcmp(key_of(given), "incoming"))
		return 0;
	if (how == HARDWARE)
		return refuse(given, how, err);
	if (how == CONSOLE) {
		for (unsigned i = 0; i < saved->n; i++) {
			if (saved->a[i].name &&
			    how_of(saved->a[i].name, saved->a[i].val) == CONSOLE)
				saved->a[i].used = true;
		}
	}
	if (how == PROCESS || how == EITHER || how == CONSOLE)
		return add(rest, given->name, val, err);
	a = find(saved, given, how);
	/* The first serial line is there without a word. */
	if (!a && how == BY_ORDER && strcmp(val, "none") && !count(saved, "serial") &&
	    !count(rest, "serial") && !count(saved, "nodefaults"))
		return add(rest, given->name, val, err);
	if (!a)
		return refuse(given, how, err);
	if (how == BY_ORDER && !strcmp(a->val, "none") != !strcmp(val, "none"))
		return refuse(given, HARDWARE, err);
	/* The next of its kind takes the next place. */
	*a = (struct arg){.name = given->name, .val = val, .used = how == BY_ORDER};
	return 0;
}

/* ---- The whole ---------------------------------------------------------------------------------- */

/* "FILE[,verify=on]" */
static const char *restore_value(struct run_opts *o, const char *val, struct lodge_err *err)
{
	struct props *p = props_parse("-restore", val, "file", err);
	const char *file = p ? props_get(p, "file") : NULL, *path = "";
	int r = p ? props_bool(p, "verify", &o->vm.restore_check, err) : -EINVAL;

	if (!r)
		r = props_done(p, err);
	if (!r && (!file || !*file))
		r = err_set(err, -EINVAL, "-restore %s: it names no file", val);
	if (!r)
		path = run_opts_keep(o, file);
	props_free(p);
	return path;
}

/* "file:FILE" */
static const char *incoming_value(const char *val, struct lodge_err *err)
{
	static const char scheme[] = "file:";

	if (!strncmp(val, scheme, sizeof(scheme) - 1) && val[sizeof(scheme) - 1])
		return val + sizeof(scheme) - 1;
	err_set(err, -ENOTSUP, "-incoming %s: machines come from files only; write file:PATH", val);
	return "";
}

const char *run_restore_path(struct run_opts *o, int argc, char **argv, struct lodge_err *err)
{
	const char *path = NULL;

	for (int i = 1; i < argc; i++) {
		const char *name = bare(argv[i]);

		if (argv[i][0] != '-' || !run_opts_takes_value(name))
			continue;
		i++;
		if (i == argc)
			break;
		if (strcmp(name, "restore") && strcmp(name, "incoming"))
			continue;
		if (path) {
			err_set(err, -EINVAL, "-restore comes twice; one machine is one process");
			return "";
		}
		path = name[0] == 'r' ? restore_value(o, argv[i], err)
				      : incoming_value(argv[i], err);
		if (!path)
			err_set(err, -ENOMEM, "too many options");
		if (!path || !*path)
			return "";
	}
	return path;
}

/* The saved options, and the folder they are from. */
static int read_saved(struct run_opts *o, struct args *saved, struct lodge_err *err)
{
	const char *words[ARGS_MAX];
	unsigned n = 0;
	const char *p;
	size_t len;

	while ((p = (const char *)state_section(o->restore, "option", n, &len))) {
		if (n == ARGS_MAX || !len || strnlen(p, len) != len - 1)
			return err_set(err, -EINVAL, "'%s' has options that cannot be read",
				       state_path(o->restore));
		words[n++] = p;
	}
	return split(saved, words, n, err);
}

static int go_to_folder(struct run_opts *o, struct lodge_err *err)
{
	size_t len;
	const char *text = (const char *)state_section(o->restore, "machine", 0, &len);
	struct props *p =
		text && len && !text[len - 1] ? props_parse("-restore", text, NULL, err) : NULL;
	const char *folder = p ? props_get(p, "folder") : NULL;

	/* It may be gone; then only whole paths lead anywhere. */
	if (folder && folder[0] == '/')
		(void)!chdir(folder);
	props_free(p);
	return 0;
}

static int flatten(struct run_opts *o, const char *first, const struct args *saved,
		   const struct args *rest, struct lodge_err *err)
{
	const struct args *both[] = {saved, rest};
	unsigned n = 0;

	o->merged = calloc(2 * (saved->n + rest->n) + 2, sizeof(*o->merged));
	if (!o->merged)
		return err_set(err, -ENOMEM, "no memory for the options");
	o->merged[n++] = (char *)(uintptr_t)first;
	for (unsigned k = 0; k < 2; k++) {
		for (unsigned i = 0; i < both[k]->n; i++) {
			const struct arg *a = &both[k]->a[i];

			if (a->used && a->name && how_of(a->name, a->val) == CONSOLE)
				continue;
			if (a->name)
				o->merged[n++] = (char *)(uintptr_t)a->name;
			if (a->val)
				o->merged[n++] = (char *)(uintptr_t)a->val;
		}
	}
	o->merged_count = (int)n;
	return 0;
}

int run_restore_merge(struct run_opts *o, const char *path, int argc, char **argv,
		      struct lodge_err *err)
{
	struct args *saved = calloc(3, sizeof(*saved)), *given = saved + 1, *rest = saved + 2;
	int r;

	if (!saved)
		return err_set(err, -ENOMEM, "no memory for the options");
	o->restore = state_open(path, err);
	r = o->restore ? read_saved(o, saved, err) : -EINVAL;
	if (!r)
		r = split(given, (const char *const *)argv + 1, (unsigned)argc - 1, err);
	for (unsigned i = 0; i < given->n && !r; i++)
		r = merge_one(o, saved, &given->a[i], rest, err);
	if (!r)
		r = go_to_folder(o, err);
	if (!r)
		r = flatten(o, argv[0], saved, rest, err);
	free(saved);
	return r;
}

/* ---- What is to be saved ------------------------------------------------------------------------ */

/* "-machine pc,accel=kvm" without the engine, which is the process's. */
static const char *without_accel(struct run_opts *o, const char *val)
{
	char out[8192] = "";
	size_t len = 0;
	struct keyval kv;
	struct lodge_err err;

	keyval_init(&kv, val, "type");
	while (keyval_next(&kv, &err) > 0) {
		if (!strcmp(kv.key, "accel"))
			continue;
		if (len + strlen(kv.key) + 4 > sizeof(out))
			return NULL;
		len += (size_t)sprintf(out + len, "%s%s=", len ? "," : "", kv.key);
		if (!put(out, sizeof(out), &len, kv.val))
			return NULL;
	}
	return run_opts_keep(o, out);
}

int run_restore_said(struct run_opts *o, int argc, char **argv, struct lodge_err *err)
{
	struct args *all = calloc(1, sizeof(*all));
	char cwd[PATH_MAX];
	unsigned n = 0;
	int r = all ? 0 : -ENOMEM;

	if (!r)
		r = split(all, (const char *const *)argv + 1, (unsigned)argc - 1, err);
	if (!r)
		/* And what defaults add: -vga, a USB controller, a tablet. */
		o->said = calloc(2 * (size_t)argc + 9, sizeof(*o->said));
	for (unsigned i = 0; all && i < all->n && o->said; i++) {
		const struct arg *a = &all->a[i];
		const char *key = key_of(a), *val = a->val;

		if (a->name && how_of(a->name, a->val) == PROCESS)
			continue;
		if (!strcmp(key, "machine") || !strcmp(key, "M"))
			val = without_accel(o, val);
		if (!val && a->val)
			continue;
		if (a->name && val && !*val)
			continue;
		if (a->name)
			o->said[n++] = a->name;
		if (val)
			o->said[n++] = val;
	}
	free(all);
	if (r || !o->said)
		return r ? r : err_set(err, -ENOMEM, "no memory for the options");
	o->vm.said = o->said;
	o->vm.n_said = n;
	if (getcwd(cwd, sizeof(cwd)))
		o->vm.folder = run_opts_keep(o, cwd);
	return 0;
}
