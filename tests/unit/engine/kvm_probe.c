// SPDX-License-Identifier: GPL-2.0-or-later
/* Verdicts on devices that are not KVM's; and this host's, in time. Run: make t T=engine/kvm_probe */
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "engine/probe.h"

static void said(const struct kvm_probe *p)
{
	assert_true(strlen(p->why) > 10);
	assert_true(strlen(p->mend) > 10);
}

static void device_when_absent_expect_that_and_a_mend(void **state)
{
	struct kvm_probe p;

	engine_kvm_probe("/nonexistent/kvm", &p);
	assert_int_equal(p.verdict, KVM_ABSENT);
	assert_non_null(strstr(p.why, "/nonexistent/kvm"));
	said(&p);
}

static void device_when_something_else_expect_that(void **state)
{
	static const char *const others[] = {"/dev/null", "/dev/zero"};
	struct kvm_probe p;

	for (unsigned i = 0; i < 2; i++) {
		engine_kvm_probe(others[i], &p);
		assert_int_equal(p.verdict, KVM_OTHER);
		said(&p);
	}
	engine_kvm_probe("/", &p);
	assert_int_not_equal(p.verdict, KVM_GOOD);
	said(&p);
}

#define PROBES 11u

static long ns_since(clockid_t clock, const struct timespec *a)
{
	struct timespec b;

	clock_gettime(clock, &b);
	return (b.tv_sec - a->tv_sec) * 1000000000 + b.tv_nsec - a->tv_nsec;
}

static int by_value(const void *a, const void *b)
{
	long x = *(const long *)a, y = *(const long *)b;

	return (x > y) - (x < y);
}

/* A row of the table in docs/accel.md: verdict, and the median of what it takes by processor and by clock. */
static long probe_many(const char *row, const char *device, struct kvm_probe *p)
{
	long cpu[PROBES], wall[PROBES];

	for (unsigned i = 0; i < PROBES; i++) {
		struct timespec a, b;

		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
		clock_gettime(CLOCK_MONOTONIC, &b);
		engine_kvm_probe(device, p);
		cpu[i] = ns_since(CLOCK_THREAD_CPUTIME_ID, &a);
		wall[i] = ns_since(CLOCK_MONOTONIC, &b);
	}
	qsort(cpu, PROBES, sizeof(cpu[0]), by_value);
	qsort(wall, PROBES, sizeof(wall[0]), by_value);
	printf("@@probe %s: %s; median %.2f ms of processor, %.2f ms by the clock\n", row,
	       p->verdict == KVM_GOOD ? "good" : p->why, (double)cpu[PROBES / 2] / 1e6,
	       (double)wall[PROBES / 2] / 1e6);
	fflush(stdout);
	return cpu[PROBES / 2];
}

/* This host's own device, if it is closed to others; else a file that is. */
static void device_when_forbidden_expect_its_group(void **state)
{
	char path[] = "/tmp/lodge-kvm-XXXXXX";
	const char *device = NULL;
	int fd, status = 0;
	struct stat st;
	pid_t pid;

	if (stat("/dev/kvm", &st) || (st.st_mode & 6)) {
		fd = mkstemp(path);
		assert_true(fd >= 0);
		close(fd);
		chmod(path, 0);
		device = path;
	}
	pid = fork();
	if (pid == 0) {
		struct kvm_probe p;

		/* Root may open everything. */
		if (geteuid() == 0 && (setgroups(0, NULL) || setgid(65534) || setuid(65534)))
			_exit(3);
		probe_many("forbidden", device, &p);
		_exit(p.verdict == KVM_FORBIDDEN && strstr(p.mend, "usermod -aG") ? 0 : 4);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (device)
		unlink(path);
	assert_int_equal(status, 0);
}

/* Whatever it is: it is said, and soon. Processor time, since the host may be busy. */
static void host_when_probed_expect_a_verdict_in_time(void **state)
{
	struct kvm_probe p;
	long ns = probe_many("host", NULL, &p);
	/* An emulated processor takes what time it takes. */
	bool slow_host = getenv("LODGE_EMULATED") != NULL;

	assert_true(slow_host || ns < (p.verdict == KVM_GOOD ? 15 : 150) * 1000000l);
	if (p.verdict != KVM_GOOD)
		said(&p);
	assert_true(probe_many("none", "/nonexistent/kvm", &p) < 15000000 || slow_host);
	assert_int_equal(p.verdict, KVM_ABSENT);
	assert_true(probe_many("other", "/dev/null", &p) < 15000000 || slow_host);
	assert_int_equal(p.verdict, KVM_OTHER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(device_when_absent_expect_that_and_a_mend),
		cmocka_unit_test(device_when_something_else_expect_that),
		cmocka_unit_test(device_when_forbidden_expect_its_group),
		cmocka_unit_test(host_when_probed_expect_a_verdict_in_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
