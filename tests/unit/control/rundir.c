// SPDX-License-Identifier: GPL-2.0-or-later
/* Where running machines are found. Run: make t T=control/rundir */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "control/rundir.h"

static char xdg[300];
static struct lodge_err err;

static int setup(void **state)
{
	/* Longer than a socket's path can be. */
	strcpy(xdg, "/tmp/lodge-rundir-XXXXXX");
	if (!mkdtemp(xdg))
		return -1;
	memset(xdg + strlen(xdg), '/', 1);
	memset(xdg + strlen("/tmp/lodge-rundir-XXXXXX/"), 'd', 120);
	if (mkdir(xdg, 0700))
		return -1;
	return setenv("XDG_RUNTIME_DIR", xdg, 1);
}

static int teardown(void **state)
{
	char cmd[400];

	snprintf(cmd, sizeof(cmd), "rm -rf %.24s", xdg);
	return system(cmd);
}

static void key_when_made_expect_plain_bounded_and_distinct(void **state)
{
	char key[RUNDIR_KEY], other[RUNDIR_KEY], name[300];

	rundir_key(key, "web-1.x_y", 1);
	assert_string_equal(key, "web-1.x_y");
	rundir_key(key, "../a b", 1);
	assert_string_equal(key, "%2E.%2Fa%20b");
	rundir_key(key, NULL, 77);
	assert_string_equal(key, "@77");
	rundir_key(key, "@77", 1);
	assert_string_not_equal(key, "@77");
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	rundir_key(key, name, 1);
	name[298] = 'm';
	rundir_key(other, name, 1);
	assert_string_not_equal(key, other);
	assert_true(strlen(key) < 64);
	assert_null(strchr(key, '/'));
}

static void claim_when_name_is_taken_expect_refusal_until_it_is_left(void **state)
{
	struct rundir_claim a, b;

	assert_int_equal(rundir_claim(&a, "twin", &err), 0);
	assert_int_equal(rundir_claim(&b, "twin", &err), -EEXIST);
	assert_non_null(strstr(err.msg, "'twin' runs already"));
	assert_int_equal(rundir_claim(&b, "other", &err), 0);
	rundir_leave(&b);
	rundir_leave(&a);
	assert_int_equal(rundir_claim(&a, "twin", &err), 0);
	rundir_leave(&a);
	rundir_leave(&a); /* once is enough, twice no harm */
}

static void list_when_machines_live_and_died_expect_the_living(void **state)
{
	struct rundir_claim a;
	json_t *info = json_pack("{s:s, s:i}", "name", "alive", "pid", (int)getpid()), *list;
	char path[400];
	pid_t pid = fork();

	if (!pid) {
		struct rundir_claim dead;

		if (rundir_claim(&dead, "dead", &err) || rundir_listen(&dead, "qmp", &err) < 0)
			_exit(1);
		raise(SIGKILL);
	}
	waitpid(pid, NULL, 0);
	snprintf(path, sizeof(path), "%s/lodge/dead.qmp", xdg);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(rundir_claim(&a, "alive", &err), 0);
	assert_int_equal(rundir_tell(&a, info, &err), 0);
	list = rundir_list(&err);
	assert_int_equal(json_array_size(list), 1);
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "key")),
			    "alive");
	assert_int_equal(access(path, F_OK), -1); /* cleared away */
	json_decref(list);
	json_decref(info);
	rundir_leave(&a);
}

static void socket_when_made_expect_mode_0600_and_a_way_to_it(void **state)
{
	struct rundir_claim a;
	char path[400];
	struct stat st;
	int fd, to;

	assert_int_equal(rundir_claim(&a, "sock", &err), 0);
	fd = rundir_listen(&a, "qmp", &err);
	assert_true(fd >= 0);
	snprintf(path, sizeof(path), "%s/lodge/sock.qmp", xdg);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	to = rundir_connect("sock", "qmp", &err);
	assert_true(to >= 0);
	close(to);
	rundir_unlisten(&a);
	assert_true(rundir_connect("sock", "qmp", &err) < 0);
	close(fd);
	rundir_leave(&a);
}

static void folder_when_not_ours_alone_expect_refusal(void **state)
{
	struct rundir_claim a;
	char path[400];

	snprintf(path, sizeof(path), "%s/lodge", xdg);
	mkdir(path, 0700);
	chmod(path, 0750);
	assert_int_equal(rundir_claim(&a, "x", &err), -EPERM);
	assert_non_null(strstr(err.msg, "not yours alone"));
	rmdir(path);
	assert_int_equal(symlink("/tmp", path), 0);
	assert_true(rundir_claim(&a, "x", &err) < 0);
}

static void info_when_damaged_expect_machine_left_out(void **state)
{
	static const char *const bad[] = {"", "{", "[1]", "\xff\xfe", "{\"name\": 1}"};

	for (unsigned i = 0; i < 5; i++) {
		struct rundir_claim a;
		json_t *list;

		assert_int_equal(rundir_claim(&a, "odd", &err), 0);
		assert_true(pwrite(a.info, bad[i], strlen(bad[i]), 0) >= 0);
		list = rundir_list(&err);
		assert_non_null(list);
		assert_int_equal(json_array_size(list), i == 4);
		json_decref(list);
		rundir_leave(&a);
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(key_when_made_expect_plain_bounded_and_distinct),
		T(claim_when_name_is_taken_expect_refusal_until_it_is_left),
		T(list_when_machines_live_and_died_expect_the_living),
		T(socket_when_made_expect_mode_0600_and_a_way_to_it),
		T(folder_when_not_ours_alone_expect_refusal),
		T(info_when_damaged_expect_machine_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
