// SPDX-License-Identifier: GPL-2.0-or-later
/* An option string, asked for key by key. Threads: see base/props.h. */
#include "base/props.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/keyval.h"

#define PROPS_MAX 64u

struct prop {
	char *key, *val;
	bool used;
};

struct props {
	const char *what;
	unsigned n;
	struct prop p[PROPS_MAX];
};

static struct prop *find(const struct props *p, const char *key)
{
	for (unsigned i = 0; i < p->n; i++) {
		if (!strcmp(p->p[i].key, key))
			return (struct prop *)&p->p[i];
	}
	return NULL;
}

static int append(struct props *p, const char *key, const char *val)
{
	char *copy, *name;

	if (p->n == PROPS_MAX)
		return -ENOMEM;
	copy = strdup(val);
	name = strdup(key);
	if (!copy || !name) {
		free(copy);
		free(name);
		return -ENOMEM;
	}
	p->p[p->n++] = (struct prop){name, copy, false};
	return 0;
}

int props_set(struct props *p, const char *key, const char *val)
{
	struct prop *at = find(p, key);
	char *copy;

	if (!at)
		return append(p, key, val);
	copy = strdup(val);
	if (!copy)
		return -ENOMEM;
	free(at->val);
	at->val = copy;
	return 0;
}

/* Lists, in QEMU's spelling: one value each time. */
static bool may_repeat(const char *key)
{
	static const char *const lists[] = {"hostfwd", "guestfwd", "dnssearch"};

	for (unsigned i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		if (!strcmp(lists[i], key))
			return true;
	}
	return false;
}

int props_add(struct props *p, const char *key, const char *val)
{
	return find(p, key) && !may_repeat(key) ? -EEXIST : append(p, key, val);
}

struct props *props_parse(const char *what, const char *text, const char *implied,
			  struct lodge_err *err)
{
	struct props *p = calloc(1, sizeof(*p));
	struct keyval kv;
	int r = p ? 0 : err_set(err, -ENOMEM, "%s: no memory", what);

	if (r)
		return NULL;
	p->what = what;
	keyval_init(&kv, text, implied);
	while ((r = keyval_next(&kv, err)) > 0) {
		r = props_add(p, kv.key, kv.val);
		if (r == -EEXIST)
			r = err_set(err, -EINVAL, "%s %s: '%s' comes twice", what, text, kv.key);
		else if (r)
			r = err_set(err, -ENOMEM, "%s: at most %u settings", what, PROPS_MAX);
		if (r < 0)
			break;
	}
	if (!r)
		return p;
	props_free(p);
	return NULL;
}

void props_free(struct props *p)
{
	if (!p)
		return;
	for (unsigned i = 0; i < p->n; i++) {
		free(p->p[i].key);
		free(p->p[i].val);
	}
	free(p);
}

const char *props_what(const struct props *p)
{
	return p->what;
}

const char *props_get(struct props *p, const char *key)
{
	struct prop *at = find(p, key);

	if (!at)
		return NULL;
	at->used = true;
	return at->val;
}

const char *props_next(struct props *p, const char *key)
{
	for (unsigned i = 0; i < p->n; i++) {
		if (!p->p[i].used && !strcmp(p->p[i].key, key)) {
			p->p[i].used = true;
			return p->p[i].val;
		}
	}
	return NULL;
}

bool props_has(const struct props *p, const char *key)
{
	return find(p, key) != NULL;
}

int props_bool(struct props *p, const char *key, bool *out, struct lodge_err *err)
{
	const char *val = props_get(p, key);

	if (val && parse_bool(val, out))
		return err_set(err, -EINVAL, "%s: %s=%s is neither on nor off", p->what, key, val);
	return 0;
}

int props_u64(struct props *p, const char *key, uint64_t max, uint64_t *out, struct lodge_err *err)
{
	const char *val = props_get(p, key);
	uint64_t n;

	if (!val)
		return 0;
	if (parse_u64(val, &n) || n > max)
		return err_set(err, -EINVAL, "%s: %s=%s is not a number from 0 to %llu", p->what,
			       key, val, (unsigned long long)max);
	*out = n;
	return 0;
}

int props_size(struct props *p, const char *key, uint64_t *out, struct lodge_err *err)
{
	const char *val = props_get(p, key);

	if (val && parse_size(val, 1, out))
		return err_set(err, -EINVAL, "%s: %s=%s is not a size, as 512M or 10G", p->what,
			       key, val);
	return 0;
}

int props_choice(struct props *p, const char *key, const char *const *words, unsigned *out,
		 struct lodge_err *err)
{
	const char *val = props_get(p, key);
	char list[256] = "";
	size_t at = 0;

	if (!val)
		return 0;
	for (unsigned i = 0; words[i]; i++) {
		if (!strcmp(words[i], val)) {
			*out = i;
			return 0;
		}
		if (at < sizeof(list))
			at += (size_t)snprintf(list + at, sizeof(list) - at, "%s%s", i ? ", " : "",
					       words[i]);
	}
	return err_set(err, -EINVAL, "%s: there is no %s=%s; there are: %s", p->what, key, val,
		       list);
}

int props_done(const struct props *p, struct lodge_err *err)
{
	for (unsigned i = 0; i < p->n; i++) {
		if (!p->p[i].used)
			return err_set(err, -EINVAL,
				       find(p, p->p[i].key)->used ? "%s: '%s' comes twice"
								  : "%s: there is no '%s' here",
				       p->what, p->p[i].key);
	}
	return 0;
}
