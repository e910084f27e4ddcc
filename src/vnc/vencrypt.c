// SPDX-License-Identifier: GPL-2.0-or-later
/* Before encryption begins. See vencrypt.h. Threads: the owner's. */
#include "vnc/vencrypt.h"

#include <string.h>

#include "base/bytes.h"

static void say(struct vencrypt *v, const void *bytes, size_t len)
{
	memcpy(v->out, bytes, len);
	v->out_len = len;
}

void vencrypt_begin(struct vencrypt *v, uint32_t kind)
{
	*v = (struct vencrypt){.stage = VENCRYPT_VERSION, .kind = kind};
	say(v, "RFB 003.008\n", VENCRYPT_VERSION_BYTES);
}

size_t vencrypt_wants(const struct vencrypt *v)
{
	static const uint8_t bytes[] = {
		[VENCRYPT_VERSION] = VENCRYPT_VERSION_BYTES,
		[VENCRYPT_SECURITY] = 1,
		[VENCRYPT_OWN_VERSION] = 2,
		[VENCRYPT_KIND] = 4,
		[VENCRYPT_READY] = 0,
		[VENCRYPT_OVER] = 0,
	};

	return bytes[v->stage];
}

/* A reason in words, with its length before it. */
static void refuse(struct vencrypt *v, const char *why)
{
	size_t len = strlen(why);

	st_be32(v->out + v->out_len, (uint32_t)len);
	memcpy(v->out + v->out_len + 4, why, len);
	v->out_len += 4 + len;
	v->stage = VENCRYPT_OVER;
}

/* "RFB 003.008\n"; others than 7 and 8 are old, or mean one of them. */
static void take_version(struct vencrypt *v, const uint8_t *in)
{
	static const uint8_t types[] = {1, VENCRYPT_TYPE}, none[4] = {0};
	unsigned n = 0;

	if (memcmp(in, "RFB 003.", 8) != 0 || in[11] != '\n') {
		v->stage = VENCRYPT_OVER;
		return;
	}
	for (unsigned i = 8; i < 11; i++) {
		if (in[i] < '0' || in[i] > '9') {
			v->stage = VENCRYPT_OVER;
			return;
		}
		n = n * 10 + in[i] - '0';
	}
	if (n < 7) {
		say(v, none, sizeof(none));
		refuse(v, "this machine's screen is encrypted; use a newer viewer");
		return;
	}
	v->minor = n == 7 ? 7 : 8;
	say(v, types, sizeof(types));
	v->stage = VENCRYPT_SECURITY;
}

static void take_security(struct vencrypt *v, const uint8_t *in)
{
	static const uint8_t version[] = {0, 2}, failed[4] = {0, 0, 0, 1};

	if (in[0] == VENCRYPT_TYPE) {
		say(v, version, sizeof(version));
		v->stage = VENCRYPT_OWN_VERSION;
		return;
	}
	say(v, failed, sizeof(failed));
	v->stage = VENCRYPT_OVER;
	if (v->minor >= 8)
		refuse(v, "this machine's screen is encrypted");
}

void vencrypt_take(struct vencrypt *v, const uint8_t *in)
{
	uint8_t answer[6] = {0, 1};

	v->out_len = 0;
	switch (v->stage) {
	case VENCRYPT_VERSION:
		take_version(v, in);
		break;
	case VENCRYPT_SECURITY:
		take_security(v, in);
		break;
	case VENCRYPT_OWN_VERSION:
		if (in[0] == 0 && in[1] == 2) {
			/* It is right; one kind, and which. */
			st_be32(answer + 2, v->kind);
			say(v, answer, sizeof(answer));
			v->stage = VENCRYPT_KIND;
		} else {
			answer[0] = 0xff;
			say(v, answer, 1);
			v->stage = VENCRYPT_OVER;
		}
		break;
	case VENCRYPT_KIND:
		answer[0] = ld_be32(in) == v->kind;
		say(v, answer, 1);
		v->stage = answer[0] ? VENCRYPT_READY : VENCRYPT_OVER;
		break;
	default:
		v->stage = VENCRYPT_OVER;
	}
}
