// SPDX-License-Identifier: GPL-2.0-or-later
/* The other end of a control socket. Threads: the caller's. */
#include "control/client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "control/buf.h"
#include "control/rundir.h"

#define LINE_MAX_BYTES (16u << 20)
#define EVENTS_KEPT 256u

struct client {
	int fd;
	struct mon_buf in;
	json_t *events; /* array */
	bool ended;
};

/* ---- Which -------------------------------------------------------------------------------------- */

static bool is_called(const json_t *info, const char *who)
{
	const char *name = json_string_value(json_object_get(info, "name"));
	json_int_t pid = json_integer_value(json_object_get(info, "pid"));
	char text[32];

	snprintf(text, sizeof(text), "%lld", (long long)pid);
	return (name && *name && !strcmp(name, who)) || !strcmp(text, who);
}

static void say_who_there_is(const json_t *list, const char *who, struct lodge_err *err)
{
	char names[300] = "";
	size_t used = 0, i;
	json_t *info;

	json_array_foreach (list, i, info) {
		const char *name = json_string_value(json_object_get(info, "name"));
		json_int_t pid = json_integer_value(json_object_get(info, "pid"));

		if (used >= sizeof(names) - 80)
			break;
		if (name && *name)
			used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%.60s",
						 i ? ", " : "", name);
		else
			used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%lld",
						 i ? ", " : "", (long long)pid);
	}
	if (*names)
		err_set(err, -ENOENT, "no machine '%.100s' runs; there are: %s", who, names);
	else
		err_set(err, -ENOENT, "no machine '%.100s' runs; none does", who);
}

json_t *client_find(const char *who, struct lodge_err *err)
{
	json_t *list = rundir_list(err), *info, *found = NULL;
	size_t i;

	if (!list)
		return NULL;
	json_array_foreach (list, i, info) {
		/* A name comes before a process of that number. */
		const char *name = json_string_value(json_object_get(info, "name"));

		if (is_called(info, who) && (!found || (name && !strcmp(name, who))))
			found = info;
	}
	if (!found)
		say_who_there_is(list, who, err);
	json_incref(found);
	json_decref(list);
	return found;
}

/* ---- Lines -------------------------------------------------------------------------------------- */

/* More bytes, waiting until `end_ns`: 0, or -ETIMEDOUT, or -EPIPE. */
static int read_more(struct client *c, uint64_t end_ns)
{
	struct pollfd p = {.fd = c->fd, .events = POLLIN};
	uint64_t now = clock_mono_ns();
	char buf[16384];
	ssize_t n;

	if (poll(&p, 1, now < end_ns ? (int)((end_ns - now + 999999) / 1000000) : 0) <= 0)
		return -ETIMEDOUT;
	n = recv(c->fd, buf, sizeof(buf), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n > 0)
		mon_buf_put(&c->in, buf, (size_t)n);
	if (n <= 0 || c->in.lost) {
		c->ended = true;
		return -EPIPE;
	}
	return 0;
}

/* The next line as JSON, or NULL with *r: -ETIMEDOUT, -EPIPE, -EPROTO. */
static json_t *next_line(struct client *c, uint64_t end_ns, int *r)
{
	for (;;) {
		char *nl = c->in.len ? memchr(c->in.p, '\n', c->in.len) : NULL;
		json_t *j;

		if (nl) {
			size_t len = (size_t)(nl - c->in.p);

			j = json_loadb(c->in.p, len, 0, NULL);
			mon_buf_take(&c->in, len + 1);
			*r = j ? 0 : -EPROTO;
			return j;
		}
		*r = read_more(c, end_ns);
		if (*r)
			return NULL;
	}
}

static uint64_t until(int ms)
{
	return clock_mono_ns() + (uint64_t)ms * 1000000;
}

/* ---- Calls -------------------------------------------------------------------------------------- */

static int fail(int r, struct lodge_err *err)
{
	if (r == -ETIMEDOUT)
		return err_set(err, r, "the machine does not answer");
	if (r == -EPIPE)
		return err_set(err, r, "the machine has ended");
	return err_set(err, r, "the machine's answer makes no sense");
}

json_t *client_call(struct client *c, const char *command, json_t *args, int ms,
		    struct lodge_err *err)
{
	json_t *q = args ? json_pack("{s:s, s:o}", "execute", command, "arguments", args)
			 : json_pack("{s:s}", "execute", command);
	char *text = q ? json_dumps(q, 0) : NULL;
	ssize_t sent = text ? send(c->fd, text, strlen(text), MSG_NOSIGNAL) : -1;
	uint64_t end = until(ms);
	json_t *reply, *ret;
	int r;

	free(text);
	json_decref(q);
	if (sent < 0) {
		fail(-EPIPE, err);
		return NULL;
	}
	for (;;) {
		reply = next_line(c, end, &r);
		if (!reply || !json_object_get(reply, "event"))
			break;
		if (json_array_size(c->events) < EVENTS_KEPT)
			json_array_append(c->events, reply);
		json_decref(reply);
	}
	if (!reply) {
		fail(r, err);
		return NULL;
	}
	ret = json_object_get(reply, "return");
	if (ret) {
		json_incref(ret);
	} else {
		const char *desc =
			json_string_value(json_object_get(json_object_get(reply, "error"), "desc"));

		err_set(err, -EIO, "%s", desc ? desc : "the machine's answer makes no sense");
	}
	json_decref(reply);
	return ret;
}

char *client_human(struct client *c, const char *line, struct lodge_err *err)
{
	json_t *args = json_pack("{s:s}", "command-line", line), *ret;
	char *text = NULL;

	if (!args) {
		err_set(err, -EINVAL, "the command is no text in UTF-8");
		return NULL;
	}
	ret = client_call(c, "human-monitor-command", args, CLIENT_CALL_MS, err);
	if (json_is_string(ret))
		text = strdup(json_string_value(ret));
	json_decref(ret);
	return text;
}

json_t *client_event(struct client *c, int ms, bool *ended)
{
	uint64_t end = until(ms);
	json_t *j;
	int r = 0;

	if (json_array_size(c->events)) {
		j = json_incref(json_array_get(c->events, 0));
		json_array_remove(c->events, 0);
		return j;
	}
	while ((j = next_line(c, end, &r)) && !json_object_get(j, "event"))
		json_decref(j);
	*ended = c->ended;
	return j;
}

/* ---- Life --------------------------------------------------------------------------------------- */

struct client *client_open(const json_t *info, int ms, struct lodge_err *err)
{
	const char *key = json_string_value(json_object_get(info, "key"));
	struct client *c = calloc(1, sizeof(*c));
	json_t *greeting, *ret;
	int r;

	if (!c || !key) {
		free(c);
		err_set(err, -ENOMEM, "no memory for a connection");
		return NULL;
	}
	c->in = MON_BUF(LINE_MAX_BYTES);
	c->events = json_array();
	c->fd = rundir_connect(key, "qmp", err);
	if (c->fd < 0) {
		client_close(c);
		return NULL;
	}
	greeting = next_line(c, until(ms), &r);
	if (!greeting) {
		fail(r, err);
		client_close(c);
		return NULL;
	}
	json_decref(greeting);
	ret = client_call(c, "qmp_capabilities", NULL, ms, err);
	json_decref(ret);
	if (!ret) {
		client_close(c);
		return NULL;
	}
	return c;
}

void client_close(struct client *c)
{
	if (!c)
		return;
	if (c->fd >= 0)
		close(c->fd);
	json_decref(c->events);
	mon_buf_free(&c->in);
	free(c);
}
