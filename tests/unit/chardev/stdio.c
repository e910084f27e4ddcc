// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The terminal, file and pseudo-terminal back ends. Standard input and output are replaced by pipes
 * or a pseudo-terminal for each case. Run: make t T=chardev/stdio
 */
#include "chr_env.h"

#include <fcntl.h>
#include <pty.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>

#include "chardev/terminal.h"

static int saved_in = -1, saved_out = -1;

static void use_std(int in, int out)
{
	fflush(stdout);
	saved_in = dup(0);
	saved_out = dup(1);
	dup2(in, 0);
	dup2(out, 1);
}

static void give_std_back(void)
{
	fflush(stdout);
	dup2(saved_in, 0);
	dup2(saved_out, 1);
	close(saved_in);
	close(saved_out);
}

static long cpu_us(void)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	return (ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1000000 + ru.ru_utime.tv_usec +
	       ru.ru_stime.tv_usec;
}

static void stdio_when_pipes_expect_both_directions(void **state)
{
	struct chr_env *e = *state;
	int in[2], out[2];
	struct chardev *c;
	char buf[4];

	assert_int_equal(pipe(in) | pipe(out), 0);
	use_std(in[0], out[1]);
	c = env_open(e, "stdio");
	assert_int_equal(write(in[1], "in\x01x", 4), 4); /* no Ctrl-A keys without mon: */
	ENV_WAIT(e, e->got_len == 4);
	assert_int_equal(env_write(e, c, "out\n", 4), 4);
	env_read_all(out[0], buf, 4);
	assert_memory_equal(buf, "out\n", 4);
	env_close(e, c);
	give_std_back();
	assert_int_equal(e->quits, 0);
}

static void mux_when_keys_come_expect_actions_and_rest_passed(void **state)
{
	struct chr_env *e = *state;
	int in[2], out[2];
	struct chardev *c;
	char buf[512] = "";

	assert_int_equal(pipe(in) | pipe(out), 0);
	use_std(in[0], out[1]);
	c = env_open(e, "mon:stdio");
	assert_int_equal(write(in[1],
			       "a\x01h\x01\x01\x01"
			       "bz\x01x",
			       10),
			 10);
	ENV_WAIT(e, e->quits == 1);
	assert_int_equal(e->got_len, 3);
	assert_memory_equal(e->got, "a\x01z", 3);
	assert_int_equal(e->breaks, 1);
	assert_true(read(out[0], buf, sizeof(buf) - 1) > 0);
	assert_non_null(strstr(buf, "Ctrl-A x"));
	env_close(e, c);
	give_std_back();
}

static void stdio_when_input_ends_expect_no_spin_and_output_alive(void **state)
{
	struct chr_env *e = *state;
	int in[2], out[2];
	struct chardev *c;
	char buf[2];
	long before;

	assert_int_equal(pipe(in) | pipe(out), 0);
	use_std(in[0], out[1]);
	close(in[1]);
	c = env_open(e, "mon:stdio");
	usleep(50000);
	before = cpu_us();
	usleep(300000);
	assert_true(cpu_us() - before < 100000);
	assert_int_equal(env_write(e, c, "y\n", 2), 2);
	env_read_all(out[0], buf, 2);
	env_close(e, c);
	give_std_back();
}

static void stdio_when_input_is_a_file_expect_all_of_it_in_order(void **state)
{
	struct chr_env *e = *state;
	static uint8_t text[10000];
	char path[128];
	int in, null = open("/dev/null", O_WRONLY);
	struct chardev *c;

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)('a' + i % 26);
	snprintf(path, sizeof(path), "%s/in", e->dir);
	in = open(path, O_RDWR | O_CREAT, 0600);
	assert_int_equal(write(in, text, sizeof(text)), sizeof(text));
	lseek(in, 0, SEEK_SET);
	unlink(path);
	use_std(in, null);
	e->room = 0;
	c = env_open(e, "mon:stdio");
	while (e->got_len < sizeof(text)) {
		size_t before = e->got_len;

		env_give_room(e, c, 500);
		ENV_WAIT(e, e->got_len > before);
		ENV_WAIT(e, e->room == 0 || e->got_len == sizeof(text));
	}
	assert_memory_equal(e->got, text, sizeof(text));
	env_close(e, c);
	give_std_back();
}

static void stdio_when_reader_is_slow_expect_backpressure_and_nothing_lost(void **state)
{
	struct chr_env *e = *state;
	static uint8_t text[300000], got[300000];
	int in[2], out[2], flags;
	struct chardev *c;
	size_t sent = 0, read_len = 0;
	bool was_short = false;

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i * 31 + i / 256);
	assert_int_equal(pipe(in) | pipe(out), 0);
	use_std(in[0], out[1]);
	c = env_open(e, "stdio");
	while (sent < sizeof(text)) {
		size_t n = sizeof(text) - sent, took;

		took = env_write(e, c, text + sent, n > 1000 ? 1000 : n);
		sent += took;
		if (took < 1000 && sent < sizeof(text)) {
			was_short = true;
			env_read_all(out[0], got + read_len, 5000);
			read_len += 5000;
			usleep(1000);
		}
	}
	/* Closing writes the rest while somebody reads: a thread's work here, so read first. */
	flags = fcntl(1, F_GETFL);
	assert_false(flags & O_NONBLOCK); /* shared with others: stays as it was */
	env_read_all(out[0], got + read_len, sizeof(got) - read_len);
	assert_memory_equal(got, text, sizeof(text));
	assert_true(was_short);
	assert_true(e->writables > 0);
	env_close(e, c);
	give_std_back();
}

static void stdio_when_reader_has_gone_expect_output_dropped(void **state)
{
	struct chr_env *e = *state;
	static uint8_t text[1000];
	int in[2], out[2];
	struct chardev *c;

	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(pipe(in) | pipe(out), 0);
	use_std(in[0], out[1]);
	c = env_open(e, "stdio");
	close(out[0]);
	for (int i = 0; i < 500; i++)
		assert_int_equal(env_write(e, c, text, sizeof(text)), sizeof(text));
	env_close(e, c);
	give_std_back();
}

static void stdio_when_opened_twice_expect_refusal(void **state)
{
	struct chr_env *e = *state;
	int in[2], out[2];
	struct chardev *c;
	struct lodge_err err = {""};

	assert_int_equal(pipe(in) | pipe(out), 0);
	use_std(in[0], out[1]);
	c = env_open(e, "mon:stdio");
	assert_null(chardev_open("stdio", "serial1", &e->host, &err));
	assert_non_null(strstr(err.msg, "stdio already"));
	env_close(e, c);
	c = env_open(e, "stdio"); /* free again */
	env_close(e, c);
	e->host.no_stdio = true;
	assert_null(chardev_open("stdio", "serial1", &e->host, &err));
	assert_non_null(strstr(err.msg, "daemon"));
	give_std_back();
}

static void file_when_written_expect_contents_after_close(void **state)
{
	struct chr_env *e = *state;
	char s[160], path[128], buf[16];
	struct chardev *c;
	int fd;

	snprintf(path, sizeof(path), "%s/a,b", e->dir);
	snprintf(s, sizeof(s), "file:%s", path);
	c = env_open(e, s);
	assert_int_equal(env_write(e, c, "one\ntwo", 7), 7);
	env_close(e, c);
	fd = open(path, O_RDONLY);
	assert_int_equal(read(fd, buf, sizeof(buf)), 7);
	assert_memory_equal(buf, "one\ntwo", 7);
	close(fd);
	unlink(path);
}

static void file_when_it_cannot_be_made_expect_sentence(void **state)
{
	struct chr_env *e = *state;
	struct lodge_err err = {""};

	assert_null(chardev_open("file:/nonexistent/x", "serial0", &e->host, &err));
	assert_non_null(strstr(err.msg, "/nonexistent/x"));
}

static void none_when_opened_expect_nothing_and_no_error(void **state)
{
	struct chr_env *e = *state;
	struct lodge_err err = {"left over"};

	assert_null(chardev_open("none", "serial0", &e->host, &err));
	assert_string_equal(err.msg, "");
}

static void pty_when_opened_expect_line_on_stdout_and_both_directions(void **state)
{
	struct chr_env *e = *state;
	int in[2], out[2], fd;
	char line[128] = "", path[64], label[32], buf[3];
	struct chardev *c;

	assert_int_equal(pipe(in) | pipe(out), 0);
	use_std(in[0], out[1]);
	c = env_open(e, "pty");
	give_std_back();
	assert_true(read(out[0], line, sizeof(line) - 1) > 0);
	assert_int_equal(
		sscanf(line, "char device redirected to %63s (label %31[^)])\n", path, label), 2);
	assert_string_equal(label, "serial0");
	assert_int_equal(env_write(e, c, "lost\n", 5), 5); /* nobody is there */
	fd = open(path, O_RDWR | O_NOCTTY);
	assert_true(fd >= 0);
	ENV_WAIT(e, e->opens == 1);
	assert_int_equal(write(fd, "in\r", 3), 3);
	ENV_WAIT(e, e->got_len == 3);
	assert_memory_equal(e->got, "in\r", 3); /* raw */
	assert_int_equal(env_write(e, c, "ou\n", 3), 3);
	env_read_all(fd, buf, 3);
	assert_memory_equal(buf, "ou\n", 3);
	close(fd);
	ENV_WAIT(e, e->closes == 1);
	fd = open(path, O_RDWR | O_NOCTTY);
	ENV_WAIT(e, e->opens == 2);
	close(fd);
	env_close(e, c);
}

/* A child with a pseudo-terminal as its terminal takes it, then ends in `how`. */
static void expect_restored_after(void (*how)(void), int sig)
{
	struct termios before = {0}, during, after = {0}; /* padding stays 0 */
	int master, slave, status, sync[2];
	char c;
	pid_t pid;

	assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
	assert_int_equal(pipe(sync), 0);
	tcgetattr(slave, &before);
	assert_true(before.c_lflag & ICANON);
	pid = fork();
	if (!pid) {
		struct lodge_err err;

		signal(SIGSEGV, SIG_DFL); /* not the test runner's */
		if (terminal_take(slave, false, &err) || write(sync[1], "x", 1) != 1)
			_exit(9);
		usleep(100000);
		how();
		exit(0);
	}
	assert_int_equal(read(sync[0], &c, 1), 1);
	tcgetattr(slave, &during);
	assert_false(during.c_lflag & (ICANON | ECHO | ISIG));
	assert_true(during.c_oflag & OPOST);
	waitpid(pid, &status, 0);
	if (sig)
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == sig);
	else
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	tcgetattr(slave, &after);
	assert_memory_equal(&before, &after, sizeof(before));
	close(master);
	close(slave);
}

static void end_by_exit(void)
{
}

static void end_by_abort(void)
{
	abort();
}

static void end_by_fault(void)
{
	raise(SIGSEGV);
}

static void terminal_when_process_exits_expect_restored(void **state)
{
	expect_restored_after(end_by_exit, 0);
}

static void terminal_when_process_aborts_expect_restored(void **state)
{
	expect_restored_after(end_by_abort, SIGABRT);
}

static void terminal_when_process_faults_expect_restored(void **state)
{
	expect_restored_after(end_by_fault, SIGSEGV);
}

#define T(f) cmocka_unit_test_setup_teardown(f, env_setup, env_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(stdio_when_pipes_expect_both_directions),
		T(mux_when_keys_come_expect_actions_and_rest_passed),
		T(stdio_when_input_ends_expect_no_spin_and_output_alive),
		T(stdio_when_input_is_a_file_expect_all_of_it_in_order),
		T(stdio_when_reader_is_slow_expect_backpressure_and_nothing_lost),
		T(stdio_when_reader_has_gone_expect_output_dropped),
		T(stdio_when_opened_twice_expect_refusal),
		T(file_when_written_expect_contents_after_close),
		T(file_when_it_cannot_be_made_expect_sentence),
		T(none_when_opened_expect_nothing_and_no_error),
		T(pty_when_opened_expect_line_on_stdout_and_both_directions),
		cmocka_unit_test(terminal_when_process_exits_expect_restored),
		cmocka_unit_test(terminal_when_process_aborts_expect_restored),
		cmocka_unit_test(terminal_when_process_faults_expect_restored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
