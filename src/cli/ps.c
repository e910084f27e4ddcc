// SPDX-License-Identifier: GPL-2.0-or-later
/* `lodge ps`. Threads: main only. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "control/client.h"
#include "control/rundir.h"

#define SAMPLE_MS 200
/* A machine that does not answer is listed all the same. */
#define ANSWER_MS 500
#define ROWS_MAX 1024u

struct row {
	const json_t *info;
	uint64_t cpu_ticks, at_ns;
	double cpu_percent;
	char status[32];
};

static json_int_t number(const json_t *info, const char *key)
{
	return json_integer_value(json_object_get(info, key));
}

static const char *text(const json_t *info, const char *key)
{
	const char *s = json_string_value(json_object_get(info, key));

	return s ? s : "";
}

/* User and system time of a process, in clock ticks: fields 14 and 15 of proc(5)'s stat. */
static uint64_t cpu_ticks(json_int_t pid)
{
	char path[64], buf[1024], *at;
	unsigned long long user = 0, sys = 0;
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%lld/stat", (long long)pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	n = fread(buf, 1, sizeof(buf) - 1, f);
	fclose(f);
	buf[n] = '\0';
	/* The name in brackets may hold anything. */
	at = strrchr(buf, ')');
	if (!at || sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user,
			  &sys) != 2)
		return 0;
	return user + sys;
}

static void sample(struct row *r)
{
	uint64_t before = r->cpu_ticks, at = r->at_ns;
	long hz = sysconf(_SC_CLK_TCK);

	r->cpu_ticks = cpu_ticks(number(r->info, "pid"));
	r->at_ns = clock_mono_ns();
	if (at && r->at_ns > at && r->cpu_ticks >= before)
		r->cpu_percent = (double)(r->cpu_ticks - before) * 100.0 * (double)NS_PER_SEC /
				 (double)hz / (double)(r->at_ns - at);
}

static void ask_status(struct row *r)
{
	struct lodge_err err;
	struct client *c = client_open(r->info, ANSWER_MS, &err);
	json_t *ret = c ? client_call(c, "query-status", NULL, ANSWER_MS, &err) : NULL;

	snprintf(r->status, sizeof(r->status), "%.31s", ret ? text(ret, "status") : "no answer");
	json_decref(ret);
	client_close(c);
}

static json_int_t uptime_s(const json_t *info)
{
	json_int_t up = (json_int_t)time(NULL) - number(info, "started");

	return up > 0 ? up : 0;
}

static void print_json(const struct row *rows, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++) {
		const json_t *j = rows[i].info;

		json_array_append_new(
			list, json_pack("{s:s, s:I, s:s, s:s, s:s, s:I, s:I, s:I, s:f}", "name",
					text(j, "name"), "pid", number(j, "pid"), "status",
					rows[i].status, "engine", text(j, "engine"), "tier",
					text(j, "tier"), "cpus", number(j, "cpus"), "memory",
					number(j, "memory"), "uptime", uptime_s(j), "cpu-percent",
					rows[i].cpu_percent));
	}
	json_dumpf(list, stdout, JSON_INDENT(4) | JSON_REAL_PRECISION(4));
	putchar('\n');
	json_decref(list);
}

static void print_uptime(char out[32], json_int_t s)
{
	long long v = (long long)s;

	if (v >= 86400)
		snprintf(out, 32, "%lldd %02lld:%02lld", v / 86400, v / 3600 % 24, v / 60 % 60);
	else
		snprintf(out, 32, "%02lld:%02lld:%02lld", v / 3600, v / 60 % 60, v % 60);
}

static void print_table(const struct row *rows, size_t n)
{
	int wide = 4;

	for (size_t i = 0; i < n; i++) {
		int len = (int)strlen(text(rows[i].info, "name"));

		wide = len > wide ? len : wide;
	}
	printf("%-*s %8s %-10s %-6s %4s %9s %12s %6s\n", wide, "NAME", "PID", "STATUS", "ENGINE",
	       "CPUS", "MEMORY", "UPTIME", "CPU%");
	for (size_t i = 0; i < n; i++) {
		const json_t *j = rows[i].info;
		const char *name = text(j, "name");
		char up[32];

		print_uptime(up, uptime_s(j));
		/* A name is the user's own, but its control characters are not for this terminal. */
		for (const char *c = name; *c; c++) {
			if ((unsigned char)*c < ' ' || *c == 0x7f)
				name = text(j, "key");
		}
		printf("%-*s %8lld %-10s %-6s %4lld %5lld MiB %12s %6.1f\n", wide,
		       *name ? name : "-", (long long)number(j, "pid"), rows[i].status,
		       text(j, "engine"), (long long)number(j, "cpus"),
		       (long long)(number(j, "memory") >> 20), up, rows[i].cpu_percent);
	}
}

static int by_name(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	int r = strcmp(text(x->info, "name"), text(y->info, "name"));

	return r ? r : (number(x->info, "pid") > number(y->info, "pid")) * 2 - 1;
}

int cli_ps(int argc, char **argv)
{
	struct lodge_err err = {""};
	struct row *rows;
	size_t n = 0, i;
	json_t *list, *info;
	bool json = false;

	for (int a = 1; a < argc; a++) {
		if (strcmp(argv[a], "--json") && strcmp(argv[a], "-json"))
			return cli_error("ps: there is no '%s'; 'lodge help ps' explains", argv[a]);
		json = true;
	}
	list = rundir_list(&err);
	rows = calloc(ROWS_MAX, sizeof(*rows));
	if (!list || !rows) {
		free(rows);
		json_decref(list);
		return cli_error("%s", err.msg[0] ? err.msg : "no memory");
	}
	json_array_foreach (list, i, info) {
		if (n < ROWS_MAX)
			rows[n++].info = info;
	}
	qsort(rows, n, sizeof(*rows), by_name);
	for (i = 0; i < n; i++)
		sample(&rows[i]);
	for (i = 0; i < n; i++)
		ask_status(&rows[i]);
	if (n)
		poll(NULL, 0, SAMPLE_MS);
	for (i = 0; i < n; i++)
		sample(&rows[i]);
	if (json)
		print_json(rows, n);
	else
		print_table(rows, n);
	free(rows);
	json_decref(list);
	return fflush(stdout) ? 1 : 0;
}

void cli_ps_help(void)
{
	puts("usage: lodge ps [--json]\n"
	     "\n"
	     "List your running machines: name, process, whether they run, engine, processors,\n"
	     "memory, how long they have been up, and how much of a processor they take now.");
}
