// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * QMP: greeting, commands by their tables, replies.
 * Source: QEMU's QMP specification. Threads: the control thread's.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/mon_int.h"

/* The version of the protocol's commands that clients find here; what is missing is not found. */
#define QMP_MAJOR 7
#define QMP_MINOR 2

static json_t *version_json(void)
{
	return json_pack("{s:{s:i, s:i, s:i}, s:s}", "qemu", "micro", 0, "minor", QMP_MINOR,
			 "major", QMP_MAJOR, "package", "lodge " LODGE_VERSION);
}

void qmp_send(struct mon *m, json_t *value)
{
	size_t flags = m->mode == MON_QMP_PRETTY ? JSON_INDENT(4) : 0;
	char *text = value ? json_dumps(value, flags) : NULL;

	if (!text) {
		m->dead = true;
		return;
	}
	mon_buf_puts(&m->out, text);
	mon_buf_puts(&m->out, "\r\n");
	free(text);
}

/* Send and let go. */
static void send_new(struct mon *m, json_t *value)
{
	qmp_send(m, value);
	json_decref(value);
}

void qmp_greet(struct mon *m)
{
	send_new(m, json_pack("{s:{s:o, s:[]}}", "QMP", "version", version_json(), "capabilities"));
}

json_t *qmp_text(const char *text, size_t len)
{
	json_t *j = json_stringn(text, len);
	char *copy;

	/* No UTF-8, as names of files need not be: what is not ASCII is shown as '?'. */
	if (j || !(copy = malloc(len + 1)))
		return j;
	for (size_t i = 0; i < len; i++)
		copy[i] = (char)(text[i] & 0x80 ? '?' : text[i]);
	j = json_stringn(copy, len);
	free(copy);
	return j;
}

static json_t *error_json(const char *class, const char *desc)
{
	return json_pack("{s:{s:s, s:o}}", "error", "class", class, "desc",
			 qmp_text(desc, strlen(desc)));
}

void qmp_refuse(struct mon *m, const char *desc)
{
	send_new(m, error_json("GenericError", desc));
}

/* ---- Arguments ---------------------------------------------------------------------------------- */

const char *qmp_str(json_t *args, const char *key)
{
	return json_string_value(json_object_get(args, key));
}

bool qmp_bool(json_t *args, const char *key, bool other)
{
	json_t *v = json_object_get(args, key);

	return v ? json_is_true(v) : other;
}

json_int_t qmp_int(json_t *args, const char *key, json_int_t other)
{
	json_t *v = json_object_get(args, key);

	return v ? json_integer_value(v) : other;
}

/* The type of `key` (of `len` characters) in `spec`, or 0; *optional says whether it may be missing. */
static char type_of(const char *spec, const char *key, size_t len, bool *optional)
{
	while (*spec) {
		bool opt = *spec == '?';
		const char *name = spec + opt, *colon = strchr(name, ':');

		if ((size_t)(colon - name) == len && !memcmp(name, key, len)) {
			*optional = opt;
			return colon[1];
		}
		spec = colon + 2;
		spec += *spec == ',';
	}
	return 0;
}

static int check_type(const char *key, char type, const json_t *v, struct lodge_err *err)
{
	static const struct {
		char type;
		const char *name;
	} names[] = {{'s', "string"}, {'b', "boolean"}, {'i', "integer"}};
	bool ok = (type == 's' && json_is_string(v)) || (type == 'b' && json_is_boolean(v)) ||
		  (type == 'i' && json_is_integer(v)) || type == 'a';

	for (size_t i = 0; i < 3 && !ok; i++) {
		if (names[i].type == type)
			return err_set(err, -EINVAL,
				       "Invalid parameter type for '%s', expected: %s", key,
				       names[i].name);
	}
	return 0;
}

static int check_args(const char *spec, json_t *args, struct lodge_err *err)
{
	const char *key;
	bool optional;
	json_t *v;

	if (!spec)
		return 0;
	json_object_foreach (args, key, v) {
		char type = type_of(spec, key, strlen(key), &optional);

		if (!type)
			return err_set(err, -EINVAL, "Parameter '%.100s' is unexpected", key);
		if (check_type(key, type, v, err))
			return -EINVAL;
	}
	while (*spec) {
		bool opt = *spec == '?';
		const char *name = spec + opt, *colon = strchr(name, ':');
		char buf[64];

		snprintf(buf, sizeof(buf), "%.*s", (int)(colon - name), name);
		if (!opt && !json_object_get(args, buf))
			return err_set(err, -EINVAL, "Parameter '%s' is missing", buf);
		spec = colon + 2;
		spec += *spec == ',';
	}
	return 0;
}

/* ---- Commands of the protocol itself ------------------------------------------------------------ */

static int capabilities(struct mon *m, json_t *args, json_t **ret, struct lodge_err *err)
{
	json_t *enable = json_object_get(args, "enable");

	(void)ret;
	if (enable && json_array_size(enable))
		return err_set(err, -EINVAL, "there is no capability that could be enabled");
	m->ready = true;
	return 0;
}

static int query_version(struct mon *m, json_t *args, json_t **ret, struct lodge_err *err)
{
	(void)m;
	(void)args;
	(void)err;
	*ret = version_json();
	return 0;
}

static int query_commands(struct mon *m, json_t *args, json_t **ret, struct lodge_err *err)
{
	(void)m;
	(void)args;
	(void)err;
	*ret = json_array();
	for (const struct qmp_command *const *t = qmp_tables; *t; t++) {
		for (const struct qmp_command *c = *t; c->name; c++)
			json_array_append_new(*ret, json_pack("{s:s}", "name", c->name));
	}
	return 0;
}

static int human(struct mon *m, json_t *args, json_t **ret, struct lodge_err *err)
{
	struct mon_buf out = MON_BUF(MON_TEXT_MAX);

	(void)err;
	hmp_run(m, qmp_str(args, "command-line"), &out);
	*ret = qmp_text(out.p ? out.p : "", out.len);
	mon_buf_free(&out);
	return 0;
}

static const struct qmp_command own[] = {
	{"qmp_capabilities", "?enable:a", capabilities},
	{"query-version", "", query_version},
	{"query-commands", "", query_commands},
	{"human-monitor-command", "command-line:s,?cpu-index:i", human},
	{NULL, NULL, NULL},
};

const struct qmp_command *const qmp_tables[] = {own,
						qmp_run_commands,
						qmp_block_commands,
						qmp_device_commands,
						qmp_save_commands,
						qmp_look_commands,
						qmp_input_commands,
						qmp_screen_commands,
						qmp_display_commands,
						NULL};

/* ---- Carrying out ------------------------------------------------------------------------------- */

static const struct qmp_command *find(const char *name)
{
	for (const struct qmp_command *const *t = qmp_tables; *t; t++) {
		for (const struct qmp_command *c = *t; c->name; c++) {
			if (!strcmp(c->name, name))
				return c;
		}
	}
	return NULL;
}

static const char *class_of(int error)
{
	return error == -ENODEV	    ? "DeviceNotFound"
	       : error == -ENOTCONN ? "DeviceNotActive"
				    : "GenericError";
}

/* The reply to `name`, without the id. */
static json_t *execute(struct mon *m, const char *name, json_t *args)
{
	const struct qmp_command *c = find(name);
	struct lodge_err err = {""};
	json_t *ret = NULL, *none = NULL;
	char desc[200];
	int r;

	if (!m->ready && (!c || c->run != capabilities))
		return error_json("CommandNotFound",
				  "Expecting capabilities negotiation with 'qmp_capabilities'");
	if (m->ready && c && c->run == capabilities)
		return error_json("CommandNotFound",
				  "Capabilities negotiation is already complete, command ignored");
	if (!c) {
		snprintf(desc, sizeof(desc), "The command %.100s has not been found", name);
		return error_json("CommandNotFound", desc);
	}
	if (!args)
		args = none = json_object();
	r = check_args(c->args, args, &err);
	if (!r)
		r = c->run(m, args, &ret, &err);
	json_decref(none);
	if (r) {
		json_decref(ret);
		return error_json(class_of(r), err.msg);
	}
	return json_pack("{s:o}", "return", ret ? ret : json_object());
}

/* What stands at the top of a command: NULL, or what is wrong with it. */
static const char *check_top(json_t *top)
{
	const char *key;
	json_t *v;

	if (!json_is_object(top))
		return "QMP input must be a JSON object";
	json_object_foreach (top, key, v) {
		if (!strcmp(key, "arguments") && !json_is_object(v))
			return "QMP input member 'arguments' must be an object";
		if (!strcmp(key, "execute") && !json_is_string(v))
			return "QMP input member 'execute' must be a string";
		if (!strcmp(key, "exec-oob"))
			return "QMP input member 'exec-oob' is not there: commands come in order";
		if (strcmp(key, "arguments") && strcmp(key, "execute") && strcmp(key, "id"))
			return "QMP input has an unexpected member; there are execute, arguments "
			       "and id";
	}
	return json_object_get(top, "execute") ? NULL : "QMP input lacks member 'execute'";
}

void qmp_take(struct mon *m, const char *text, size_t len)
{
	json_error_t where;
	json_t *top = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where), *id, *reply;
	const char *wrong;
	char desc[300];

	if (!top) {
		snprintf(desc, sizeof(desc), "JSON parse error, %.200s", where.text);
		qmp_refuse(m, desc);
		return;
	}
	wrong = check_top(top);
	reply = wrong ? error_json("GenericError", wrong)
		      : execute(m, json_string_value(json_object_get(top, "execute")),
				json_object_get(top, "arguments"));
	id = json_is_object(top) ? json_object_get(top, "id") : NULL;
	if (m->before_reply)
		m->before_reply(m->before_opaque);
	if (id && reply)
		json_object_set(reply, "id", id);
	send_new(m, reply);
	json_decref(top);
}
