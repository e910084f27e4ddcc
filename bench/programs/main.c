// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * usage: lodge-bench [--root DIR] [--scale PERCENT] [NAME|GROUP]…     (patterns as of a shell)
 *
 * For each line "bench: run NAME" when it starts and
 * "bench: NAME GROUP NANOSECONDS COUNT CHECKSUM" when it has ended, COUNT being what the time is to
 * be divided by; "bench: done NAME" comes between, at the end of what is timed, and "bench: skip
 * NAME" instead when the processor cannot do it. --root makes DIR the root, with /proc and a /tmp of
 * its own, so that the programs are the guest's. `lodge-bench --list` prints names and groups,
 * `lodge-bench --exit` only exits: what the fork-exec line runs.
 */
#include <errno.h>
#include <fnmatch.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

static const struct bench *const tables[] = {
	bench_real, bench_fp, bench_stream, bench_kernel, bench_smp, bench_small,
};

void bench_fail(const char *what)
{
	printf("bench: failed: %s: %s\n", what, strerror(errno));
	fflush(stdout);
	_exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static bool wanted(const struct bench *b, char **patterns)
{
	if (!*patterns)
		return true;
	for (; *patterns; patterns++) {
		if (!fnmatch(*patterns, b->name, 0) || !strcmp(*patterns, b->group))
			return true;
	}
	return false;
}

static void measure(const struct bench *b, uint32_t scale)
{
	uint32_t work = (uint32_t)((uint64_t)b->work * scale / 100);
	uint64_t t0, sum = 0, ns;

	if (work < 2)
		work = 2;
	if (b->possible && !b->possible()) {
		printf("bench: skip %s\n", b->name);
		return;
	}
	if (b->cmd)
		bench_command_prepare(b->cmd, work);
	else if (b->prepare)
		b->prepare(work);
	printf("bench: run %s\n", b->name);
	fflush(stdout);
	t0 = now_ns();
	if (b->cmd)
		bench_command_run(b->cmd, work);
	else
		sum = b->run(work);
	ns = now_ns() - t0;
	printf("bench: done %s\n", b->name);
	fflush(stdout);
	if (b->cmd)
		sum = bench_command_sum(b->cmd);
	else if (b->finish)
		b->finish();
	printf("bench: %s %s %llu %u %016llx\n", b->name, b->group, (unsigned long long)ns,
	       b->per_one ? work : 1, (unsigned long long)sum);
	fflush(stdout);
}

static void mount_at(const char *what, const char *root, const char *where, const char *type,
		     unsigned long flags)
{
	char path[512];

	snprintf(path, sizeof(path), "%s%s", root, where);
	if (mount(what, path, type, flags, NULL))
		bench_fail(path);
}

static void write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	if (!f || fputs(text, f) < 0 || fclose(f))
		bench_fail(path);
}

/* Without root's rights: become root of a user name space, which holds only this user. */
static void enter_user_space(void)
{
	char users[32], groups[32];

	snprintf(users, sizeof(users), "0 %u 1", getuid());
	snprintf(groups, sizeof(groups), "0 %u 1", getgid());
	if (unshare(CLONE_NEWNS | CLONE_NEWUSER))
		bench_fail("--root needs root's rights or user name spaces");
	write_text("/proc/self/setgroups", "deny");
	write_text("/proc/self/uid_map", users);
	write_text("/proc/self/gid_map", groups);
}

/* Mounts vanish with this process: they are in a name space of its own. */
static void enter_root(const char *root)
{
	if (unshare(CLONE_NEWNS))
		enter_user_space();
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		bench_fail("/");
	mount_at("/proc", root, "/proc", NULL, MS_BIND | MS_REC);
	mount_at("/dev", root, "/dev", NULL, MS_BIND | MS_REC);
	mount_at("none", root, "/tmp", "tmpfs", 0);
	if (chroot(root) || chdir("/"))
		bench_fail(root);
}

static int list(void)
{
	for (unsigned i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		for (const struct bench *b = tables[i]; b->name; b++)
			printf("%s %s\n", b->name, b->group);
	}
	return 0;
}

int main(int argc, char **argv)
{
	uint32_t scale = 100;
	int at = 1;

	if (argc > 1 && !strcmp(argv[1], "--exit"))
		return 0;
	for (; at + 1 < argc && !strncmp(argv[at], "--", 2); at += 2) {
		if (!strcmp(argv[at], "--root"))
			enter_root(argv[at + 1]);
		else if (!strcmp(argv[at], "--scale"))
			scale = (uint32_t)atoi(argv[at + 1]);
	}
	if (argc > 1 && !strcmp(argv[1], "--list"))
		return list();
	printf("bench: begin\n");
	fflush(stdout);
	for (unsigned i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		for (const struct bench *b = tables[i]; b->name; b++) {
			if (wanted(b, argv + at))
				measure(b, scale);
		}
	}
	printf("bench: end\n");
	return 0;
}
