// SPDX-License-Identifier: GPL-2.0-or-later
/* A client's session: bytes in, bytes out. Threads: the control thread's. */
#include <stdlib.h>

#include "base/range.h"
#include "control/mon_int.h"

static bool is_qmp(const struct mon *m)
{
	return m->mode == MON_QMP || m->mode == MON_QMP_PRETTY;
}

struct mon *mon_new(struct vm *vm, enum mon_mode mode)
{
	struct mon *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->vm = vm;
	m->mode = mode;
	m->out = MON_BUF(MON_OUT_MAX);
	scan_init(&m->scan);
	if (is_qmp(m))
		qmp_greet(m);
	else
		hmp_greet(m);
	return m;
}

void mon_free(struct mon *m)
{
	if (!m)
		return;
	scan_free(&m->scan);
	mon_buf_free(&m->out);
	free(m);
}

void mon_set_before_reply(struct mon *m, void (*fn)(void *opaque), void *opaque)
{
	m->before_reply = fn;
	m->before_opaque = opaque;
}

size_t mon_room(const struct mon *m)
{
	return m->out.len > MON_OUT_HIGH ? 0 : MON_FEED_BYTES;
}

static void feed_qmp(struct mon *m, char byte)
{
	switch (scan_byte(&m->scan, byte)) {
	case SCAN_MORE:
		return;
	case SCAN_VALUE:
		qmp_take(m, m->scan.text.p, m->scan.text.len);
		break;
	case SCAN_STRAY:
		qmp_refuse(m, "JSON parse error, a command is a JSON object");
		break;
	case SCAN_TOO_LONG:
		qmp_refuse(m, "JSON token size limit exceeded");
		break;
	case SCAN_TOO_DEEP:
		qmp_refuse(m, "JSON nesting depth limit exceeded");
		break;
	}
	scan_next(&m->scan);
}

void mon_feed(struct mon *m, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len && !m->dead; i++) {
		if (is_qmp(m))
			feed_qmp(m, bytes[i]);
		else
			hmp_take(m, bytes[i]);
	}
	m->dead |= m->out.lost;
}

const char *mon_output(const struct mon *m, size_t *len)
{
	*len = m->out.len;
	return m->out.p;
}

void mon_sent(struct mon *m, size_t len)
{
	mon_buf_take(&m->out, len);
}

void mon_event(struct mon *m, json_t *event)
{
	if (!is_qmp(m) || !m->ready)
		return;
	qmp_send(m, event);
	m->dead |= m->out.lost;
}

bool mon_dead(const struct mon *m)
{
	return m->dead;
}
