// SPDX-License-Identifier: GPL-2.0-or-later
/* `lodge stop` and `lodge kill`. Threads: main only. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/keyval.h"
#include "cli/cli.h"
#include "cli/ctl.h"

#define TIMEOUT_S 90u
/* What the guest wrote may take long to reach the disk. */
#define GONE_MS 600000
#define KILL_MS 15000
#define TURN_MS 250

/* ---- stop --------------------------------------------------------------------------------------- */

/* Until it ends by itself, or the time is over. */
static bool wait_for_end(struct ctl *ctl, uint64_t all_ns)
{
	uint64_t start = clock_mono_ns(), now;
	bool bar = isatty(STDERR_FILENO), ended = false;

	while (!ended && (now = clock_mono_ns()) < start + all_ns) {
		if (bar)
			ctl_bar(ctl->who, "waiting for the guest", now - start, all_ns,
				now - start);
		json_decref(client_event(ctl->client, TURN_MS, &ended));
	}
	if (bar)
		ctl_bar_wipe();
	return ended;
}

static int end_at_once(struct ctl *ctl)
{
	if (ctl_do(ctl, "quit"))
		return 1;
	return ctl_wait_gone(ctl, GONE_MS)
		       ? 0
		       : cli_error("%s: its process does not end; 'lodge kill %s' ends it by force",
				   ctl->who, ctl->who);
}

static int stop_one(const char *who, uint64_t timeout_s, bool force)
{
	struct ctl ctl;
	int r;

	if (ctl_open(&ctl, who))
		return 1;
	if (!ctl_is_running(&ctl) && !force) {
		ctl_close(&ctl);
		return cli_error(
			"%s does not run, so its guest cannot power off: 'lodge resume %s' "
			"first, or 'lodge kill %s' ends it at once",
			who, who, who);
	}
	r = ctl_do(&ctl, "system_powerdown");
	if (!r && wait_for_end(&ctl, timeout_s * NS_PER_SEC)) {
		if (!ctl_wait_gone(&ctl, GONE_MS))
			r = cli_error("%s: its process does not end", who);
	} else if (!r && force) {
		r = end_at_once(&ctl);
	} else if (!r) {
		r = cli_error("%s: the guest did not power off within %llu s; 'lodge kill %s' ends "
			      "it at once, 'lodge stop --timeout N %s' waits longer",
			      who, (unsigned long long)timeout_s, who, who);
	}
	ctl_close(&ctl);
	return r;
}

int cli_stop(int argc, char **argv)
{
	uint64_t timeout_s = TIMEOUT_S;
	bool force = false;
	int r = 0, i = 1;

	for (; i < argc && argv[i][0] == '-'; i++) {
		const char *o = argv[i] + (argv[i][1] == '-' ? 2 : 1);

		if (!strcmp(o, "force"))
			force = true;
		else if (strcmp(o, "timeout"))
			return cli_error("stop: there is no '%s'; 'lodge help stop' explains",
					 argv[i]);
		else if (i + 1 == argc || parse_u64(argv[++i], &timeout_s) || timeout_s > 1000000)
			return cli_error("stop: --timeout needs a number of seconds");
	}
	if (i == argc)
		return cli_error("stop: which machine? 'lodge ps' lists them");
	for (; i < argc; i++)
		r |= stop_one(argv[i], timeout_s, force);
	return r;
}

void cli_stop_help(void)
{
	printf("usage: lodge stop [--timeout SECONDS] [--force] NAME...\n"
	       "\n"
	       "Press the power button of running machines and wait until their guests have\n"
	       "powered off, %u seconds at most. With --force what still runs then is ended.\n",
	       TIMEOUT_S);
}

/* ---- kill --------------------------------------------------------------------------------------- */

/* The process of `info`, if it is still the one: by a descriptor, so that it cannot become another. */
static bool kill_process(const struct ctl *ctl)
{
	pid_t pid = (pid_t)json_integer_value(json_object_get(ctl->info, "pid"));
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	bool ok = false;

	if (fd >= 0 && !ctl_wait_gone(ctl, 0))
		ok = !syscall(SYS_pidfd_send_signal, fd, 9, NULL, 0);
	if (fd >= 0)
		close(fd);
	return ok && ctl_wait_gone(ctl, KILL_MS);
}

static int kill_one(const char *who)
{
	struct lodge_err err = {""};
	struct ctl ctl = {.who = who, .info = client_find(who, &err)};
	json_t *ret = NULL;
	int r = 0;

	if (!ctl.info)
		return cli_error("%s", err.msg);
	ctl.client = client_open(ctl.info, KILL_MS, &err);
	if (ctl.client)
		ret = client_call(ctl.client, "quit", NULL, KILL_MS, &err);
	json_decref(ret);
	if (!ret || !ctl_wait_gone(&ctl, KILL_MS)) {
		fprintf(stderr,
			"lodge: %s does not end by itself; its process is killed, and what "
			"its guest wrote last may be lost\n",
			who);
		if (!kill_process(&ctl))
			r = cli_error("%s: its process could not be killed", who);
	}
	ctl_close(&ctl);
	return r;
}

int cli_kill(int argc, char **argv)
{
	int r = 0;

	if (argc < 2)
		return cli_error("kill: which machine? 'lodge ps' lists them");
	for (int i = 1; i < argc; i++)
		r |= kill_one(argv[i]);
	return r;
}

void cli_kill_help(void)
{
	puts("usage: lodge kill NAME...\n"
	     "\n"
	     "End running machines at once, as if their plugs were pulled: their guests are not\n"
	     "asked, but what they wrote to disks is kept. A process that does not even do that\n"
	     "is killed.");
}
