// SPDX-License-Identifier: GPL-2.0-or-later
/* The socket back end. Run: make t T=chardev/socket */
#include "chr_env.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/clock.h"

static char spec_buf[256], path_buf[128];

static const char *spec(struct chr_env *e, const char *options)
{
	snprintf(path_buf, sizeof(path_buf), "%s/s", e->dir);
	snprintf(spec_buf, sizeof(spec_buf), "unix:%s%s", path_buf, options);
	return spec_buf;
}

static int dial(void)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(sun.sun_path, path_buf);
	assert_int_equal(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	return fd;
}

static void expect_refusal(struct chr_env *e, const char *s, const char *why)
{
	struct lodge_err err = {""};

	pthread_mutex_lock(&e->lock);
	assert_null(chardev_open(s, "serial0", &e->host, &err));
	pthread_mutex_unlock(&e->lock);
	if (!strstr(err.msg, why))
		print_error("'%s' does not say '%s'\n", err.msg, why);
	assert_non_null(strstr(err.msg, why));
}

static void server_when_client_writes_expect_device_receives(void **state)
{
	struct chr_env *e = *state;
	struct chardev *c = env_open(e, spec(e, ",server=on,wait=off"));
	int fd = dial();

	assert_int_equal(write(fd, "hello", 5), 5);
	ENV_WAIT(e, e->got_len == 5);
	assert_memory_equal(e->got, "hello", 5);
	assert_int_equal(e->opens, 1);
	close(fd);
	env_close(e, c);
}

static void server_when_device_writes_expect_client_receives(void **state)
{
	struct chr_env *e = *state;
	struct chardev *c = env_open(e, spec(e, ",server,nowait"));
	int fd = dial();
	char buf[16];

	ENV_WAIT(e, e->opens == 1);
	assert_int_equal(env_write(e, c, "out\n", 4), 4);
	env_read_all(fd, buf, 4);
	assert_memory_equal(buf, "out\n", 4);
	/* Without a line's end it comes a moment later. */
	assert_int_equal(env_write(e, c, "x", 1), 1);
	env_read_all(fd, buf, 1);
	close(fd);
	env_close(e, c);
}

static void server_when_client_leaves_expect_next_one_served(void **state)
{
	struct chr_env *e = *state;
	struct chardev *c = env_open(e, spec(e, ",server=on,wait=off"));

	for (int i = 1; i <= 3; i++) {
		int fd = dial();

		assert_int_equal(write(fd, "a", 1), 1);
		ENV_WAIT(e, e->got_len == (size_t)i);
		close(fd);
		ENV_WAIT(e, e->closes == i);
	}
	env_close(e, c);
}

static void server_when_wait_is_on_expect_hold_until_first_client(void **state)
{
	struct chr_env *e = *state;
	struct chardev *c = env_open(e, spec(e, ",server=on"));
	int fd;

	assert_int_equal(e->holds, 1);
	assert_int_equal(e->releases, 0);
	fd = dial();
	ENV_WAIT(e, e->releases == 1);
	close(fd);
	ENV_WAIT(e, e->closes == 1);
	close(dial());
	ENV_WAIT(e, e->closes == 2);
	assert_int_equal(e->releases, 1);
	env_close(e, c);
}

static void server_when_device_has_no_room_expect_nothing_lost(void **state)
{
	struct chr_env *e = *state;
	struct chardev *c = env_open(e, spec(e, ",server=on,wait=off"));
	static uint8_t out[20000];
	size_t sent = 0;
	int fd = dial();

	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 7);
	env_give_room(e, c, 0);
	while (sent < sizeof(out)) {
		ssize_t n = write(fd, out + sent, sizeof(out) - sent);

		assert_true(n > 0);
		sent += (size_t)n;
	}
	close(fd); /* the client has left before the device reads */
	usleep(20000);
	assert_int_equal(e->got_len, 0);
	while (e->got_len < sizeof(out)) {
		size_t before = e->got_len;

		env_give_room(e, c, 16);
		ENV_WAIT(e, e->got_len > before);
	}
	assert_memory_equal(e->got, out, sizeof(out));
	ENV_WAIT(e, e->closes == 1);
	env_close(e, c);
}

static void server_when_device_never_reads_and_client_left_expect_no_spin(void **state)
{
	struct chr_env *e = *state;
	struct chardev *c = env_open(e, spec(e, ",server=on,wait=off"));
	static uint8_t out[8192];
	struct rusage before, after;
	int fd = dial();
	long us;

	env_give_room(e, c, 0);
	assert_int_equal(write(fd, out, sizeof(out)), sizeof(out));
	close(fd);
	usleep(100000);
	getrusage(RUSAGE_SELF, &before);
	usleep(300000);
	getrusage(RUSAGE_SELF, &after);
	us = (after.ru_utime.tv_sec - before.ru_utime.tv_sec) * 1000000 + after.ru_utime.tv_usec -
	     before.ru_utime.tv_usec;
	us += (after.ru_stime.tv_sec - before.ru_stime.tv_sec) * 1000000 + after.ru_stime.tv_usec -
	      before.ru_stime.tv_usec;
	assert_true(us < 100000);
	/* In the end it is given up, and the next client gets through. */
	fd = dial();
	ENV_WAIT(e, e->opens == 2);
	close(fd);
	env_close(e, c);
}

static void server_when_client_never_reads_expect_device_not_held_for_ever(void **state)
{
	struct chr_env *e = *state;
	struct chardev *c = env_open(e, spec(e, ",server=on,wait=off"));
	static uint8_t out[4096];
	uint64_t start = clock_mono_ns();
	size_t sent = 0;
	int fd = dial();

	ENV_WAIT(e, e->opens == 1);
	/* More than the queue and any socket buffer hold. */
	while (sent < 8u << 20) {
		size_t n = env_write(e, c, out, sizeof(out));

		sent += n;
		if (n < sizeof(out))
			usleep(5000);
		assert_true(clock_mono_ns() - start < 20 * NS_PER_SEC);
	}
	assert_true(e->writables >= 1);
	close(fd);
	env_close(e, c);
}

static void open_when_path_is_taken_expect_refusal_and_no_harm(void **state)
{
	struct chr_env *e = *state;
	struct chardev *c = env_open(e, spec(e, ",server=on,wait=off"));
	struct stat st;

	expect_refusal(e, spec_buf, "taken");
	assert_int_equal(stat(path_buf, &st), 0);
	env_close(e, c);
	assert_int_equal(stat(path_buf, &st), -1);
}

static void open_when_dead_socket_is_left_over_expect_it_replaced(void **state)
{
	struct chr_env *e = *state;
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	spec(e, ",server=on,wait=off");
	strcpy(sun.sun_path, path_buf);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	close(fd);
	env_close(e, env_open(e, spec_buf));
}

static void open_when_path_is_a_file_expect_refusal_and_file_kept(void **state)
{
	struct chr_env *e = *state;

	spec(e, ",server=on,wait=off");
	close(open(path_buf, O_CREAT | O_WRONLY, 0600));
	expect_refusal(e, spec_buf, "no socket");
	assert_int_equal(unlink(path_buf), 0);
}

static void open_when_words_are_wrong_expect_sentence(void **state)
{
	struct chr_env *e = *state;
	char long_path[300];

	expect_refusal(e, "unix:", "path");
	expect_refusal(e, "unix:/x,server=maybe", "on");
	expect_refusal(e, "unix:/x,colour=red", "colour");
	expect_refusal(e, "unix:/nonexistent-dir/s,server=on", "cannot listen");
	expect_refusal(e, "unix:/nonexistent-dir/s", "cannot connect");
	memset(long_path, 'a', sizeof(long_path));
	memcpy(long_path, "unix:/", 6);
	long_path[299] = '\0';
	expect_refusal(e, long_path, "bytes");
	expect_refusal(e, "tcp:localhost", "HOST:PORT");
	expect_refusal(e, "tcp:localhost:99999", "65535");
	expect_refusal(e, "telnet:localhost:1,server", "not there yet");
	expect_refusal(e, "carrier-pigeon", "no character device");
}

static void tcp_server_when_port_is_taken_expect_refusal(void **state)
{
	struct chr_env *e = *state;
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM, 0), client;
	struct chardev *c;
	char text[64], buf[4];

	assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	snprintf(text, sizeof(text), "tcp:127.0.0.1:%u,server=on,wait=off", ntohs(sin.sin_port));
	expect_refusal(e, text, "taken");

	/* As a client to the same port it talks. */
	snprintf(text, sizeof(text), "tcp:127.0.0.1:%u", ntohs(sin.sin_port));
	c = env_open(e, text);
	client = accept(fd, NULL, NULL);
	assert_int_equal(env_write(e, c, "tcp\n", 4), 4);
	env_read_all(client, buf, 4);
	assert_memory_equal(buf, "tcp\n", 4);
	close(client);
	close(fd);
	env_close(e, c);
}

static void client_when_its_socket_is_taken_expect_it_whole(void **state)
{
	struct chr_env *e = *state;
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), peer, fd;
	struct lodge_err err;
	struct chardev *c;
	char buf[8];

	spec(e, "");
	strcpy(sun.sun_path, path_buf);
	assert_int_equal(bind(listener, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(listener, 1), 0);
	pthread_mutex_lock(&e->lock);
	c = chardev_open(spec_buf, "serial0", &e->host, &err);
	assert_non_null(c);
	fd = chardev_take_socket(c);
	assert_int_equal(chardev_take_socket(c), -1);
	pthread_mutex_unlock(&e->lock);
	assert_in_range(fd, 3, 1000);
	peer = accept(listener, NULL, NULL);
	assert_int_equal(write(peer, "hello", 5), 5);
	assert_int_equal(read(fd, buf, sizeof(buf)), 5);
	assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	pthread_mutex_lock(&e->lock);
	assert_int_equal(chardev_write(c, (const uint8_t *)"lost", 4), 4);
	chardev_free(c);
	pthread_mutex_unlock(&e->lock);
	/* It is the taker's, and nothing else came. */
	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(read(peer, buf, sizeof(buf)), 1);
	close(fd);
	close(peer);
	close(listener);
	unlink(path_buf);
}

static void server_when_its_socket_is_wanted_expect_none(void **state)
{
	struct chr_env *e = *state;
	struct chardev *c = env_open(e, spec(e, ",server=on,wait=off"));

	assert_int_equal(chardev_take_socket(c), -1);
	assert_int_equal(chardev_take_socket(NULL), -1);
	env_close(e, c);
}

#define T(f) cmocka_unit_test_setup_teardown(f, env_setup, env_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(server_when_client_writes_expect_device_receives),
		T(server_when_device_writes_expect_client_receives),
		T(server_when_client_leaves_expect_next_one_served),
		T(server_when_wait_is_on_expect_hold_until_first_client),
		T(server_when_device_has_no_room_expect_nothing_lost),
		T(server_when_device_never_reads_and_client_left_expect_no_spin),
		T(server_when_client_never_reads_expect_device_not_held_for_ever),
		T(open_when_path_is_taken_expect_refusal_and_no_harm),
		T(open_when_dead_socket_is_left_over_expect_it_replaced),
		T(open_when_path_is_a_file_expect_refusal_and_file_kept),
		T(open_when_words_are_wrong_expect_sentence),
		T(tcp_server_when_port_is_taken_expect_refusal),
		T(client_when_its_socket_is_taken_expect_it_whole),
		T(server_when_its_socket_is_wanted_expect_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
