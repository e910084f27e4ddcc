// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * An option written as a JSON object, brought to the keys that the other spelling has: members of members with
 * dots between, members of lists by their numbers, "on" and "off" for true and false. Bounded in length, in
 * depth, and by the number of settings there may be.
 * Source: RFC 8259; qemu(1), -blockdev and -device. Threads: no shared state.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/props.h"

#define TEXT_MAX (64u << 10)
#define DEPTH_MAX 8u
#define KEY_MAX 64u /* as in base/keyval.h, like the next */
#define VAL_MAX 4096u

struct walk {
	struct props *p;
	struct lodge_err *err;
	char key[KEY_MAX];
};

static int walk(struct walk *w, const json_t *v, unsigned depth);

static int add(struct walk *w, const char *val)
{
	const char *what = props_what(w->p);
	int r;

	if (strlen(val) >= VAL_MAX)
		return err_set(w->err, -EINVAL, "%s: the value of '%s' is too long", what, w->key);
	r = props_add(w->p, w->key, val);
	if (r == -EEXIST)
		return err_set(w->err, r, "%s: '%s' comes twice", what, w->key);
	return r ? err_set(w->err, r, "%s: too many settings, or no memory", what) : 0;
}

/* Into a member: its name is put behind the key while `v` is walked. */
static int enter(struct walk *w, const char *name, const json_t *v, unsigned depth)
{
	size_t at = strlen(w->key), room = sizeof(w->key) - at;
	int n, r;

	if (depth > DEPTH_MAX)
		return err_set(w->err, -EINVAL, "%s: JSON of more than %u objects in one another",
			       props_what(w->p), DEPTH_MAX);
	/* A dotted name would be another way to say what an object says. */
	if (!*name || strpbrk(name, ".,="))
		return err_set(w->err, -EINVAL,
			       "%s: '%.40s' is no name of a setting in JSON; what has a dot in the "
			       "other spelling is an object there",
			       props_what(w->p), name);
	n = snprintf(w->key + at, room, "%s%s", at ? "." : "", name);
	if (n < 0 || (size_t)n >= room)
		r = err_set(w->err, -EINVAL, "%s: '%.20s...' is too long for the name of a setting",
			    props_what(w->p), w->key);
	else
		r = walk(w, v, depth);
	w->key[at] = '\0';
	return r;
}

static int walk_object(struct walk *w, const json_t *v, unsigned depth)
{
	json_t *object = (json_t *)v, *member;
	const char *name;
	int r = 0;

	json_object_foreach(object, name, member)
	{
		r = enter(w, name, member, depth + 1);
		if (r)
			break;
	}
	return r;
}

/* The text of {"str": TEXT}, which is how QEMU has the members of lists as hostfwd; or NULL. */
static const char *list_text(const json_t *v)
{
	return json_object_size(v) == 1 ? json_string_value(json_object_get(v, "str")) : NULL;
}

static int walk_array(struct walk *w, const json_t *v, unsigned depth)
{
	int r = 0;

	for (size_t i = 0; i < json_array_size(v) && !r; i++) {
		const json_t *member = json_array_get(v, i);
		char name[24];

		snprintf(name, sizeof(name), "%zu", i);
		r = list_text(member) ? add(w, list_text(member))
				      : enter(w, name, member, depth + 1);
	}
	return r;
}

static int walk(struct walk *w, const json_t *v, unsigned depth)
{
	char number[32];

	switch (json_typeof(v)) {
	case JSON_OBJECT:
		return walk_object(w, v, depth);
	case JSON_ARRAY:
		return walk_array(w, v, depth);
	case JSON_STRING:
		return add(w, json_string_value(v));
	case JSON_TRUE:
		return add(w, "on");
	case JSON_FALSE:
		return add(w, "off");
	case JSON_INTEGER:
		snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(v));
		return add(w, number);
	case JSON_REAL:
		return err_set(w->err, -EINVAL, "%s: '%s' is a number with a fraction",
			       props_what(w->p), w->key);
	case JSON_NULL:
		break;
	}
	return err_set(w->err, -EINVAL, "%s: '%s' is null, which says nothing; leave it out",
		       props_what(w->p), w->key);
}

struct props *props_parse_json(const char *what, const char *text, struct lodge_err *err)
{
	size_t len = strlen(text);
	json_error_t why;
	struct walk w = {.err = err};
	json_t *v;
	int r;

	if (len > TEXT_MAX) {
		err_set(err, -EINVAL, "%s: JSON of more than %u bytes", what, TEXT_MAX);
		return NULL;
	}
	v = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
	if (!v) {
		err_set(err, -EINVAL, "%s: this is not JSON, at its byte %d: %s", what,
			why.position, why.text);
		return NULL;
	}
	w.p = props_parse(what, "", NULL, err);
	if (!json_is_object(v))
		r = err_set(err, -EINVAL, "%s: a JSON object is wanted: {\"driver\": ...}", what);
	else
		r = w.p ? walk_object(&w, v, 0) : -ENOMEM;
	json_decref(v);
	if (!r)
		return w.p;
	props_free(w.p);
	return NULL;
}
