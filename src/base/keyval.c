// SPDX-License-Identifier: GPL-2.0-or-later
/* Option strings: key=value lists, numbers, sizes. Threads: no shared state. */
#include "base/keyval.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"

void keyval_init(struct keyval *kv, const char *text, const char *implied)
{
	kv->rest = text;
	kv->implied = implied;
	kv->key[0] = kv->val[0] = '\0';
}

static int set_key(struct keyval *kv, const char *key, size_t len, struct lodge_err *err)
{
	if (len >= sizeof(kv->key))
		return err_set(err, -EINVAL, "'%.20s...' is too long for the name of a property",
			       key);
	memcpy(kv->key, key, len);
	kv->key[len] = '\0';
	return 0;
}

/* Copies a value up to the next single comma and steps over it. */
static int take_val(struct keyval *kv, const char *p, struct lodge_err *err)
{
	size_t n = 0;

	for (; *p; p++) {
		if (*p == ',' && *++p != ',') {
			p--;
			break;
		}
		if (n + 1 >= sizeof(kv->val))
			return err_set(err, -EINVAL, "the value of '%s' is too long", kv->key);
		kv->val[n++] = *p;
	}
	kv->val[n] = '\0';
	kv->rest = *p ? p + 1 : p;
	return 0;
}

/* A piece of `len` bytes without '=': a switch. */
static int take_switch(struct keyval *kv, const char *p, size_t len, struct lodge_err *err)
{
	bool off = len > 2 && !strncmp(p, "no", 2);
	int r = set_key(kv, p + (off ? 2 : 0), len - (off ? 2 : 0), err);

	strcpy(kv->val, off ? "off" : "on");
	kv->rest = p + len + (p[len] == ',');
	return r;
}

int keyval_next(struct keyval *kv, struct lodge_err *err)
{
	const char *p = kv->rest, *implied = kv->implied;
	size_t len = strcspn(p, "=,");
	int r;

	kv->implied = NULL;
	if (!*p)
		return 0;
	if (p[len] == '=') {
		r = set_key(kv, p, len, err);
		if (!r)
			r = take_val(kv, p + len + 1, err);
	} else if (implied) {
		r = set_key(kv, implied, strlen(implied), err);
		if (!r)
			r = take_val(kv, p, err);
	} else {
		r = take_switch(kv, p, len, err);
	}
	return r ? r : 1;
}

int parse_bool(const char *text, bool *out)
{
	static const struct {
		const char *word;
		bool val;
	} words[] = {
		{"on", true},	{"yes", true}, {"true", true},	 {"y", true},
		{"off", false}, {"no", false}, {"false", false}, {"n", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (!strcmp(words[i].word, text)) {
			*out = words[i].val;
			return 0;
		}
	}
	return -EINVAL;
}

static int take_u64(const char *text, const char **end, uint64_t *out)
{
	bool hex = text[0] == '0' && (text[1] | 0x20) == 'x';
	char *stop;

	/* strtoull would take signs, spaces and octal too. */
	if (!strchr("0123456789", text[0]) || !text[0])
		return -EINVAL;
	errno = 0;
	*out = strtoull(text, &stop, hex ? 16 : 10);
	if (errno)
		return -errno;
	*end = stop;
	return 0;
}

int parse_u64(const char *text, uint64_t *out)
{
	const char *end;
	int r = take_u64(text, &end, out);

	return r ? r : *end ? -EINVAL : 0;
}

/* Digits behind a decimal point, as so many 2^-32 parts of one; at most nine digits count. */
static uint64_t take_fraction(const char *p, const char **end)
{
	uint64_t num = 0, den = 1;

	for (; *p >= '0' && *p <= '9'; p++) {
		if (den < 1000000000ull) {
			num = num * 10 + (uint64_t)(*p - '0');
			den *= 10;
		}
	}
	*end = p;
	return (num << 32) / den;
}

int parse_size(const char *text, uint64_t unit, uint64_t *out)
{
	static const char suffixes[] = "BKMGTPE";
	uint64_t whole, frac = 0;
	const char *end, *s;
	int r = take_u64(text, &end, &whole);

	if (r)
		return r;
	if (*end == '.')
		frac = take_fraction(end + 1, &end);
	if (*end) {
		s = strchr(suffixes, *end >= 'a' && *end <= 'z' ? *end - 32 : *end);
		if (!s || end[1])
			return -EINVAL;
		unit = 1ull << (10 * (s - suffixes));
	}
	if (!mul_ok(whole, unit, out))
		return -ERANGE;
	if (!add_ok(*out, (uint64_t)((unsigned __int128)frac * unit >> 32), out))
		return -ERANGE;
	return 0;
}
