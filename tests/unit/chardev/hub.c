// SPDX-License-Identifier: GPL-2.0-or-later
/* A console that more may attach to. Run: make t T=chardev/hub */
#include "chr_env.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "../../fake_chardev.h"
#include "chardev/hub.h"

static struct fake_chardev inner;
static struct sockaddr_un sun;

static struct chardev *open_hub(struct chr_env *e)
{
	struct chardev_frontend fe = {env_can_receive, env_receive, env_event, env_writable, e};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct lodge_err err;
	struct chardev *c;

	sun.sun_family = AF_UNIX;
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/c", e->dir);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(fd, 8), 0);
	fake_chardev_init(&inner);
	pthread_mutex_lock(&e->lock);
	c = chardev_hub_new(&inner.c, false, e->loop);
	assert_non_null(c);
	chardev_connect(c, &fe);
	assert_int_equal(chardev_hub_listen(c, fd, &err), 0);
	pthread_mutex_unlock(&e->lock);
	return c;
}

static void close_hub(struct chr_env *e, struct chardev *c)
{
	env_close(e, c);
	unlink(sun.sun_path);
}

static int attach(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	return fd;
}

static void expect_text(int fd, const char *text)
{
	char buf[256] = "";
	size_t len = 0;

	while (len < strlen(text)) {
		struct pollfd p = {.fd = fd, .events = POLLIN};

		assert_int_equal(poll(&p, 1, 5000), 1);
		ssize_t n = recv(fd, buf + len, strlen(text) - len, 0);

		assert_true(n > 0);
		len += (size_t)n;
	}
	assert_string_equal(buf, text);
}

static void client_when_it_attaches_expect_the_past_and_the_present(void **state)
{
	struct chr_env *e = *state;
	struct chardev *c = open_hub(e);
	int a, b;

	assert_int_equal(env_write(e, c, "before\n", 7), 7);
	a = attach();
	expect_text(a, "before\n");
	assert_int_equal(env_write(e, c, "now\n", 4), 4);
	expect_text(a, "now\n");
	b = attach();
	expect_text(b, "before\nnow\n");
	assert_memory_equal(inner.buf, "before\nnow\n", 11);
	close(a);
	close(b);
	close_hub(e, c);
}

static void keys_when_typed_anywhere_expect_them_at_the_device(void **state)
{
	struct chr_env *e = *state;
	struct chardev *c = open_hub(e);
	int a = attach();

	assert_int_equal(send(a, "one", 3, 0), 3);
	ENV_WAIT(e, e->got_len == 3);
	pthread_mutex_lock(&e->lock);
	fake_chardev_send(&inner, "two", 3);
	pthread_mutex_unlock(&e->lock);
	ENV_WAIT(e, e->got_len == 6);
	assert_memory_equal(e->got, "onetwo", 6);
	/* A device without room gets the rest when it has some. */
	env_give_room(e, c, 1);
	assert_int_equal(send(a, "xyz", 3, 0), 3);
	ENV_WAIT(e, e->got_len == 7);
	env_give_room(e, c, 10);
	ENV_WAIT(e, e->got_len == 9);
	close(a);
	close_hub(e, c);
}

static void client_when_it_reads_nothing_expect_the_guest_not_held(void **state)
{
	static uint8_t much[4096];
	struct chr_env *e = *state;
	struct chardev *c = open_hub(e);
	int deaf = attach(), good;

	memset(much, 'm', sizeof(much));
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(env_write(e, c, much, sizeof(much)), sizeof(much));
	assert_int_equal(inner.len, 1000 * sizeof(much));
	good = attach();
	expect_text(good, "mmmm");
	close(deaf);
	close(good);
	/* And an inner back end that is full does hold it, whoever listens. */
	inner.room = 5;
	assert_int_equal(env_write(e, c, "0123456789", 10), 5);
	close_hub(e, c);
}

static void clients_when_too_many_expect_places_free_after_some_left(void **state)
{
	struct chr_env *e = *state;
	struct chardev *c = open_hub(e);
	int fd[HUB_CLIENTS_MAX], one;
	char byte;

	assert_int_equal(env_write(e, c, "hi", 2), 2);
	for (unsigned i = 0; i < HUB_CLIENTS_MAX; i++) {
		fd[i] = attach();
		expect_text(fd[i], "hi");
	}
	one = attach();
	assert_int_equal(recv(one, &byte, 1, 0), 0); /* hung up */
	close(one);
	for (unsigned i = 0; i < HUB_CLIENTS_MAX; i++)
		close(fd[i]);
	usleep(50000);
	one = attach();
	expect_text(one, "hi");
	close(one);
	close_hub(e, c);
}

#define T(name) cmocka_unit_test_setup_teardown(name, env_setup, env_teardown)

static void socket_when_handed_over_expect_one_more_client_and_no_more_than_may_be(void **state)
{
	struct chr_env *e = *state;
	struct chardev *c = open_hub(e);
	int pair[HUB_CLIENTS_MAX + 1][2], r = 0;
	char byte;

	assert_int_equal(env_write(e, c, "before\n", 7), 7);
	for (unsigned i = 0; i <= HUB_CLIENTS_MAX; i++) {
		/* Blocking ones: their flags are not relied on. */
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair[i]), 0);
		pthread_mutex_lock(&e->lock);
		r = chardev_hub_add(c, pair[i][1]);
		pthread_mutex_unlock(&e->lock);
		assert_int_equal(r, i < HUB_CLIENTS_MAX ? 0 : -EBUSY);
	}
	assert_int_equal(recv(pair[HUB_CLIENTS_MAX][0], &byte, 1, 0), 0);
	expect_text(pair[0][0], "before\n");
	assert_int_equal(send(pair[1][0], "key", 3, 0), 3);
	ENV_WAIT(e, e->got_len == 3);
	/* One that is full holds nobody. */
	for (unsigned i = 0; i < 500; i++)
		assert_int_equal(env_write(e, c, "0123456789abcdef0123456789abcdef\n", 33), 33);
	for (unsigned i = 0; i <= HUB_CLIENTS_MAX; i++)
		close(pair[i][0]);
	close_hub(e, c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(client_when_it_attaches_expect_the_past_and_the_present),
		T(keys_when_typed_anywhere_expect_them_at_the_device),
		T(client_when_it_reads_nothing_expect_the_guest_not_held),
		T(clients_when_too_many_expect_places_free_after_some_left),
		T(socket_when_handed_over_expect_one_more_client_and_no_more_than_may_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
