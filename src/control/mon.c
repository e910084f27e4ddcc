// SPDX-License-Identifier: GPL-2.0-or-later
/* A client's session: bytes in, bytes out. Threads: the control thread's. */
#include <stdlib.h>

#include "base/range.h"
#include "control/mon_int.h"

static bool is_qmp(const struct mon *m)
{
	return m->mode == MON_QMP || m->mode == MON_QMP_PRETTY;
}

/* `monitor LINE` in gdb. */
static void gdb_command(void *opaque, const char *line, struct gdb *g, gdb_say say)
{
	struct mon_buf text = MON_BUF(MON_TEXT_MAX * 2);

	hmp_run(opaque, line, &text);
	if (text.len)
		say(g, text.p, text.len);
	mon_buf_free(&text);
}

static bool start_gdb(struct mon *m)
{
	m->gdb = gdb_new(m->vm);
	if (m->gdb)
		gdb_set_monitor(m->gdb, gdb_command, m);
	return m->gdb;
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
	if (mode == MON_GDB && !start_gdb(m)) {
		mon_free(m);
		return NULL;
	}
	if (is_qmp(m))
		qmp_greet(m);
	else if (!m->gdb)
		hmp_greet(m);
	return m;
}

void mon_free(struct mon *m)
{
	if (!m)
		return;
	gdb_free(m->gdb);
	scan_free(&m->scan);
	mon_buf_free(&m->out);
	free(m->picture);
	free(m);
}

void mon_set_before_reply(struct mon *m, void (*fn)(void *opaque), void *opaque)
{
	m->before_reply = fn;
	m->before_opaque = opaque;
}

size_t mon_room(const struct mon *m)
{
	if (m->gdb)
		return gdb_room(m->gdb);
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
	if (m->gdb) {
		gdb_feed(m->gdb, bytes, len);
		return;
	}
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
	if (m->gdb)
		return gdb_output(m->gdb, len);
	*len = m->out.len;
	return m->out.p;
}

void mon_sent(struct mon *m, size_t len)
{
	if (m->gdb) {
		gdb_sent(m->gdb, len);
		return;
	}
	mon_buf_take(&m->out, len);
}

void mon_event(struct mon *m, enum vm_event_kind kind, json_t *event)
{
	if (!is_qmp(m) || !m->ready || (kind == VM_EVENT_MIGRATION && !m->tell_saves))
		return;
	qmp_send(m, event);
	m->dead |= m->out.lost;
}

void mon_look(struct mon *m, bool ended)
{
	if (!m->gdb)
		return;
	if (ended)
		gdb_ended(m->gdb);
	else
		gdb_look(m->gdb);
}

bool mon_dead(const struct mon *m)
{
	return m->gdb ? gdb_dead(m->gdb) : m->dead;
}
