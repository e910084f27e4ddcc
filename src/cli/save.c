// SPDX-License-Identifier: GPL-2.0-or-later
/* `lodge save`. Threads: main only. */
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/ctl.h"

#define SAVE_MS 3600000
#define GONE_MS 600000
/* How often it is asked, in the first moments and then. */
#define LOOK_SOON_MS 10
#define LOOK_MS 200
#define SOON_NS NS_PER_SEC

enum after { AFTER_END, AFTER_GO_ON, AFTER_STAY };

static void tell_figures(const char *path, const json_t *ret)
{
	json_t *ram = json_object_get(ret, "ram");

	printf("%s: saved in %lld ms: %lld MiB of %lld MiB of memory hold something\n", path,
	       (long long)json_integer_value(json_object_get(ret, "total-time")),
	       (long long)json_integer_value(json_object_get(ram, "transferred")) >> 20,
	       (long long)json_integer_value(json_object_get(ram, "total")) >> 20);
}

/* Ctrl-C: the machine goes on, and no file is left. */
static volatile sig_atomic_t given_up;

static void on_interrupt(int sig)
{
	given_up = sig;
}

/* Ask until it is over; ret is what query-migrate said last, or NULL. */
static json_t *wait_for_it(struct ctl *ctl, struct lodge_err *err)
{
	uint64_t start = clock_mono_ns();
	bool bar = isatty(STDERR_FILENO);
	json_t *ret;

	for (;;) {
		const char *status;
		json_int_t all, left;
		json_t *ram;

		ret = client_call(ctl->client, "query-migrate", NULL, SAVE_MS, err);
		status = json_string_value(json_object_get(ret, "status"));
		if (!status || (strcmp(status, "setup") && strcmp(status, "active") &&
				strcmp(status, "cancelling")))
			break;
		ram = json_object_get(ret, "ram");
		all = json_integer_value(json_object_get(ram, "total"));
		left = json_integer_value(json_object_get(ram, "remaining"));
		if (bar)
			ctl_bar(ctl->who, "saving", (uint64_t)(all - left), (uint64_t)all,
				clock_mono_ns() - start);
		json_decref(ret);
		if (given_up) {
			given_up = 0;
			json_decref(client_call(ctl->client, "migrate_cancel", NULL, SAVE_MS, err));
		}
		poll(NULL, 0, clock_mono_ns() - start < SOON_NS ? LOOK_SOON_MS : LOOK_MS);
	}
	if (bar)
		ctl_bar_wipe();
	return ret;
}

/* The machine's folder may be another than ours. */
static int save(struct ctl *ctl, const char *path)
{
	char cwd[PATH_MAX] = "", uri[PATH_MAX * 2];
	struct lodge_err err = {""};
	const char *status, *why;
	json_t *ret;
	int r = 0;

	if (path[0] != '/' && !getcwd(cwd, sizeof(cwd)))
		return cli_error("save: write a whole path, from / on");
	snprintf(uri, sizeof(uri), "file:%s%s%s", cwd, cwd[0] ? "/" : "", path);
	ret = client_call(ctl->client, "migrate", json_pack("{s:s}", "uri", uri), SAVE_MS, &err);
	json_decref(ret);
	if (!ret)
		return cli_error("%s: %s", ctl->who, err.msg);
	signal(SIGINT, on_interrupt);
	ret = wait_for_it(ctl, &err);
	signal(SIGINT, SIG_DFL);
	status = json_string_value(json_object_get(ret, "status"));
	why = json_string_value(json_object_get(ret, "error-desc"));
	if (!status)
		r = cli_error("%s: %s", ctl->who, ret ? "it was not saved" : err.msg);
	else if (strcmp(status, "completed"))
		r = cli_error("%s: %s", ctl->who, why ? why : "the save was cancelled");
	else
		tell_figures(path, ret);
	json_decref(ret);
	return r;
}

static int save_and(struct ctl *ctl, const char *path, enum after after)
{
	bool ran = ctl_is_running(ctl);
	int r = save(ctl, path);

	if (r)
		return r;
	if (after == AFTER_GO_ON && ran)
		return ctl_do(ctl, "cont");
	if (after != AFTER_END)
		return 0;
	if (ctl_do(ctl, "quit"))
		return 1;
	return ctl_wait_gone(ctl, GONE_MS) ? 0
					   : cli_error("%s: it is saved, but its process does not "
						       "end; 'lodge kill %s' ends it",
						       ctl->who, ctl->who);
}

int cli_save(int argc, char **argv)
{
	enum after after = AFTER_END;
	struct ctl ctl;
	int i = 1, r;

	for (; i < argc && argv[i][0] == '-'; i++) {
		const char *o = argv[i] + (argv[i][1] == '-' ? 2 : 1);

		if (!strcmp(o, "keep"))
			after = AFTER_GO_ON;
		else if (!strcmp(o, "pause"))
			after = AFTER_STAY;
		else
			return cli_error("save: there is no '%s'; 'lodge help save' explains",
					 argv[i]);
	}
	if (argc - i != 2)
		return cli_error("save: write the machine and the file: lodge save NAME FILE; "
				 "'lodge ps' lists machines");
	if (ctl_open(&ctl, argv[i]))
		return 1;
	r = save_and(&ctl, argv[i + 1], after);
	ctl_close(&ctl);
	return r;
}

void cli_save_help(void)
{
	puts("usage: lodge save [--keep | --pause] NAME FILE\n"
	     "\n"
	     "Write a running machine to a file: memory, processors, devices and its options; "
	     "then\n"
	     "it ends. 'lodge run -restore FILE' goes on with it, as often as you like.\n"
	     "\n"
	     "Disks are not in the file: they are to be as they are now when it is restored. So a\n"
	     "machine that goes on with --keep, or waits with --pause, is for those without "
	     "disks,\n"
	     "or whose disks you copy.\n"
	     "\n"
	     "Where the kernel has Landlock, a machine may make files in its disks' folders only; "
	     "start\n"
	     "it with '-sandbox on,path=FOLDER' to have it saved elsewhere.\n"
	     "\n"
	     "On a terminal a bar shows how far it is; Ctrl-C gives it up. When it is not saved, no "
	     "file\n"
	     "is left, and the machine goes on.");
}
