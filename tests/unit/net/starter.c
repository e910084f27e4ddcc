// SPDX-License-Identifier: GPL-2.0-or-later
/* The process that starts NAT processes later: make t T=net/starter */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/props.h"
#include "net/helper.h"
#include "net/starter.h"
#include "net/user_int.h"

#define PATIENCE_MS 20000

static struct lodge_err err;
static int fd;
static pid_t starter; /* the only child */

static int setup(void **state)
{
	FILE *f;

	fd = net_starter_new(&err);
	f = fopen("/proc/thread-self/children", "r");
	if (fd < 0 || !f || fscanf(f, "%d", &starter) != 1)
		return -1;
	fclose(f);
	return 0;
}

static int teardown(void **state)
{
	close(fd);
	return waitpid(starter, NULL, 0) == starter ? 0 : -1;
}

static bool readable(int of)
{
	struct pollfd p = {.fd = of, .events = POLLIN};

	return poll(&p, 1, PATIENCE_MS) == 1;
}

static void done(struct net_user_child *c)
{
	close(c->data);
	close(c->ctl);
	/* It ends by itself, and nobody has to wait for it. */
	assert_true(readable(c->pidfd));
	close(c->pidfd);
}

static void helper_when_asked_for_expect_one_that_answers(void **state)
{
	static struct net_user_config cfg;
	struct props *p = props_parse("netdev_add", "user", "type", &err);
	struct net_user_child c[2];

	props_get(p, "type");
	assert_int_equal(net_user_parse(&cfg, p, &err), 0);
	props_free(p);
	for (unsigned i = 0; i < 2; i++) {
		struct net_user_answer a = {.error = -1};

		assert_int_equal(net_starter_ask(fd, &c[i], &err), 0);
		assert_int_equal(c[i].pid, 0);
		assert_int_equal(fcntl(c[i].ctl, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
		assert_int_equal(send(c[i].ctl, &cfg, sizeof(cfg), MSG_NOSIGNAL), sizeof(cfg));
		assert_true(readable(c[i].ctl));
		assert_int_equal(recv(c[i].ctl, &a, sizeof(a), 0), sizeof(a));
		assert_string_equal(a.msg, "");
		assert_int_equal(a.error, 0);
	}
	done(&c[0]);
	done(&c[1]);
}

static void descriptors_when_it_starts_expect_none_of_ours_kept(void **state)
{
	struct net_user_child c;
	int ends[2], later;
	char byte;

	assert_int_equal(pipe(ends), 0);
	later = net_starter_new(&err);
	assert_true(later >= 0);
	assert_int_equal(net_starter_ask(later, &c, &err), 0);
	close(ends[1]);
	assert_true(readable(ends[0]));
	assert_int_equal(read(ends[0], &byte, 1), 0); /* no other process has the end to write */
	close(ends[0]);
	done(&c);
	close(later);
	assert_true(waitpid(-1, NULL, 0) > 0);
}

static void question_when_the_process_is_gone_expect_a_sentence(void **state)
{
	struct net_user_child c;

	kill(starter, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)starter, NULL, WEXITED | WNOWAIT), 0);
	assert_int_equal(net_starter_ask(fd, &c, &err), -EPIPE);
	assert_non_null(strstr(err.msg, "cannot start the NAT process"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		T(helper_when_asked_for_expect_one_that_answers),
		T(descriptors_when_it_starts_expect_none_of_ours_kept),
		T(question_when_the_process_is_gone_expect_a_sentence),
	};

	net_helper_main(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
