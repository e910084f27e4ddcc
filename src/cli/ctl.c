// SPDX-License-Identifier: GPL-2.0-or-later
/* What the commands about running machines share. Threads: main only. */
#include "cli/ctl.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/range.h"
#include "chardev/terminal.h"
#include "cli/cli.h"
#include "control/rundir.h"

#define OPEN_MS 10000
#define LOOK_MS 20

int ctl_open(struct ctl *ctl, const char *who)
{
	struct lodge_err err = {""};

	*ctl = (struct ctl){.who = who, .info = client_find(who, &err)};
	if (ctl->info)
		ctl->client = client_open(ctl->info, OPEN_MS, &err);
	if (ctl->client)
		return 0;
	ctl_close(ctl);
	return cli_error("%s", err.msg);
}

void ctl_close(struct ctl *ctl)
{
	client_close(ctl->client);
	json_decref(ctl->info);
	*ctl = (struct ctl){0};
}

int ctl_do(struct ctl *ctl, const char *command)
{
	struct lodge_err err = {""};
	json_t *ret = client_call(ctl->client, command, NULL, CLIENT_CALL_MS, &err);

	json_decref(ret);
	return ret ? 0 : cli_error("%s: %s", ctl->who, err.msg);
}

/* Its files are there, and the process is the same. */
static bool is_there(const struct ctl *ctl)
{
	struct lodge_err err;
	json_t *list = rundir_list(&err), *info;
	bool there = false;
	size_t i;

	json_array_foreach (list, i, info) {
		there |=
			json_equal(json_object_get(info, "key"),
				   json_object_get(ctl->info, "key")) &&
			json_equal(json_object_get(info, "pid"), json_object_get(ctl->info, "pid"));
	}
	json_decref(list);
	return there;
}

bool ctl_is_running(struct ctl *ctl)
{
	struct lodge_err err;
	json_t *ret = client_call(ctl->client, "query-status", NULL, CLIENT_CALL_MS, &err);
	bool running = json_is_true(json_object_get(ret, "running"));

	json_decref(ret);
	return running;
}

bool ctl_wait_gone(const struct ctl *ctl, int ms)
{
	uint64_t end = clock_mono_ns() + (uint64_t)ms * 1000000;

	while (is_there(ctl)) {
		if (clock_mono_ns() >= end)
			return false;
		poll(NULL, 0, LOOK_MS);
	}
	return true;
}

/* ---- The bar ------------------------------------------------------------------------------------ */

#define BAR_CELLS 30

void ctl_bar(const char *who, const char *what, uint64_t done, uint64_t all, uint64_t gone_ns)
{
	int full = all ? (int)(min_u64(done, all) * BAR_CELLS / all) : 0;

	fprintf(stderr, "\r%.40s: %s [%.*s%.*s] %llu s ", who, what, full,
		"##############################", BAR_CELLS - full,
		"                              ", (unsigned long long)(gone_ns / NS_PER_SEC));
}

void ctl_bar_wipe(void)
{
	fputs("\r\033[K", stderr);
}

/* ---- The terminal ------------------------------------------------------------------------------- */

static bool write_all(int fd, const char *p, size_t len)
{
	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno != EINTR)
			return false;
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
	return true;
}

/* What was typed: false when it is the end. */
static bool from_keys(int fd, char escape, bool *eof)
{
	char buf[1024], *at;
	ssize_t n = read(STDIN_FILENO, buf, sizeof(buf));

	if (n <= 0) {
		*eof = true;
		return true;
	}
	at = escape ? memchr(buf, escape, (size_t)n) : NULL;
	return write_all(fd, buf, at ? (size_t)(at - buf) : (size_t)n) && !at;
}

int ctl_copy(int fd, char escape)
{
	struct lodge_err err = {""};
	bool eof = false;
	char buf[4096];

	signal(SIGPIPE, SIG_IGN);
	if (escape && terminal_take(STDIN_FILENO, false, &err))
		return cli_error("%s", err.msg);
	for (;;) {
		struct pollfd p[2] = {{.fd = fd, .events = POLLIN},
				      {.fd = eof ? -1 : STDIN_FILENO, .events = POLLIN}};
		ssize_t n;

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			break;
		if (p[0].revents) {
			n = read(fd, buf, sizeof(buf));
			if (n <= 0 || !write_all(STDOUT_FILENO, buf, (size_t)n))
				break;
		}
		if (p[1].revents && !from_keys(fd, escape, &eof))
			break;
		/* All was said: the answers still come. */
		if (eof && p[1].fd >= 0)
			shutdown(fd, SHUT_WR);
	}
	terminal_leave();
	return 0;
}
