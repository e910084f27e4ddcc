// SPDX-License-Identifier: GPL-2.0-or-later
/* Verdicts on devices that are not KVM's; and this host's, in time. Run: make t T=engine/kvm_probe */
#include <fcntl.h>
#include <setjmp.h>
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

static void device_when_forbidden_expect_its_group(void **state)
{
	char path[] = "/tmp/lodge-kvm-XXXXXX";
	int fd = mkstemp(path), status = 0;
	pid_t pid;

	assert_true(fd >= 0);
	close(fd);
	chmod(path, 0);
	pid = fork();
	if (pid == 0) {
		struct kvm_probe p;

		/* Root may open everything. */
		if (geteuid() == 0 && setuid(65534))
			_exit(3);
		engine_kvm_probe(path, &p);
		_exit(p.verdict == KVM_FORBIDDEN && strstr(p.mend, "usermod -aG") ? 0 : 4);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	unlink(path);
	assert_int_equal(status, 0);
}

/* Whatever it is: it is said, and soon. Processor time, since the host may be busy. */
static void host_when_probed_expect_a_verdict_in_time(void **state)
{
	struct timespec a, b;
	struct kvm_probe p;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
	engine_kvm_probe(NULL, &p);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
	printf("verdict %d: %s; %s (%ld ms)\n", p.verdict, p.why, p.mend,
	       (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000);
	assert_true((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000 < 150);
	if (p.verdict != KVM_GOOD)
		said(&p);
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
