// SPDX-License-Identifier: GPL-2.0-or-later
/* Frames over streams and datagrams, with peers that misbehave: make t T=net/stream */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/props.h"
#include "base/range.h"
#include "net_frames.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct lodge_err err;
static struct io_loop *loop;
static pthread_t thread;
static struct net_backend *nb;
static struct sink card;
static int peer; /* our end of its connection */

static void *run(void *arg)
{
	io_loop_run(loop);
	return arg;
}

static struct net_backend *open_text(const char *text)
{
	struct props *p = props_parse("-netdev", text, "type", &err);
	const struct net_host host = {.loop = loop};
	struct net_backend *n;

	assert_non_null(p);
	n = net_backend_open(p, &host, &err);
	props_free(p);
	return n;
}

static int start(int type)
{
	char text[64];
	int pair[2];

	loop = io_loop_new(&lock, &err);
	if (socketpair(AF_UNIX, type, 0, pair))
		return -1;
	peer = pair[0];
	snprintf(text, sizeof(text),
		 type == SOCK_STREAM ? "socket,id=n,fd=%d"
				     : "dgram,id=n,local.type=fd,local.str=%d",
		 pair[1]);
	nb = open_text(text);
	if (!nb) {
		print_error("%s\n", err.msg);
		return -1;
	}
	sink_init(&card, SINK_FRAMES, 0);
	net_connect(&card.end, net_backend_end(nb));
	return pthread_create(&thread, NULL, run, NULL);
}

static int setup(void **state)
{
	return start(SOCK_STREAM);
}

static int setup_dgram(void **state)
{
	return start(SOCK_DGRAM);
}

static int teardown(void **state)
{
	io_loop_stop(loop);
	pthread_join(thread, NULL);
	net_backend_close(nb);
	sink_clear(&card);
	io_loop_free(loop);
	close(peer);
	return 0;
}

#define wait_for(cond)                                             \
	({                                                         \
		uint64_t end_ = clock_mono_ns() + 20 * NS_PER_SEC; \
		bool ok_ = false;                                  \
		while (!ok_ && clock_mono_ns() < end_) {           \
			pthread_mutex_lock(&lock);                 \
			ok_ = (cond);                              \
			pthread_mutex_unlock(&lock);               \
			usleep(500);                               \
		}                                                  \
		ok_;                                               \
	})

static void put(const void *p, size_t len)
{
	assert_int_equal(send(peer, p, len, MSG_NOSIGNAL), len);
}

static void put_frame(size_t len, uint8_t fill)
{
	static uint8_t buf[4 + NET_FRAME_MAX];

	st_be32(buf, (uint32_t)len);
	memset(buf + 4, fill, len);
	put(buf, 4 + len);
}

static void frame_when_it_comes_in_pieces_expect_it_whole(void **state)
{
	uint8_t buf[4 + 100];

	st_be32(buf, 100);
	memset(buf + 4, 7, 100);
	for (unsigned i = 0; i < sizeof(buf); i++) {
		put(buf + i, 1);
		if (i % 16 == 0)
			usleep(500);
	}
	put_frame(60, 8);
	assert_true(wait_for(card.n == 2));
	assert_int_equal(card.len[0], 100);
	assert_int_equal(card.frame[1][59], 8);
}

static void frame_when_short_expect_it_skipped(void **state)
{
	put_frame(0, 0);
	put_frame(13, 1);
	put_frame(14, 2);
	assert_true(wait_for(card.n == 1));
	assert_int_equal(card.len[0], 14);
}

static void frame_when_of_the_greatest_length_expect_it(void **state)
{
	put_frame(NET_FRAME_MAX, 3);
	put_frame(NET_FRAME_MAX, 4);
	assert_true(wait_for(card.n == 2));
	assert_int_equal(card.len[1], NET_FRAME_MAX);
}

static void frame_when_giant_expect_the_connection_ended(void **state)
{
	uint8_t b[8] = {0};

	put_frame(20, 1);
	st_be32(b, NET_FRAME_MAX + 1);
	put(b, sizeof(b));
	assert_true(wait_for(!card.up));
	assert_int_equal(card.n, 1);
	/* End of file, or a reset for what was not read. */
	assert_true(recv(peer, b, 1, 0) <= 0);
}

static void peer_when_it_closes_within_a_frame_expect_link_down(void **state)
{
	uint8_t b[20];

	st_be32(b, 1000);
	put(b, sizeof(b));
	close(peer);
	peer = -1;
	assert_true(wait_for(!card.up));
	assert_int_equal(card.n, 0);
	pthread_mutex_lock(&lock);
	assert_true(send_frame(&card.end, "0123456789abcdef", 16, NULL)); /* lost */
	pthread_mutex_unlock(&lock);
}

static void peer_when_it_takes_nothing_expect_the_card_held_back_then_all(void **state)
{
	static uint8_t f[1000], buf[4004];
	unsigned sent = 0, got = 0;
	bool ok = true;

	while (ok && sent < 100000) {
		st_be32(f, sent);
		pthread_mutex_lock(&lock);
		ok = send_frame(&card.end, f, sizeof(f), NULL);
		pthread_mutex_unlock(&lock);
		sent += ok;
	}
	assert_in_range(sent, 10, 99999);
	while (got < sent) {
		assert_int_equal(recv(peer, buf, 4, MSG_WAITALL), 4);
		assert_int_equal(ld_be32(buf), sizeof(f));
		assert_int_equal(recv(peer, buf, sizeof(f), MSG_WAITALL), sizeof(f));
		assert_int_equal(ld_be32(buf), got);
		got++;
	}
	assert_true(wait_for(card.readies));
}

static void card_when_it_takes_nothing_expect_the_peer_held_back(void **state)
{
	static uint8_t buf[4 + 1000];
	unsigned sent = 0, seen;
	ssize_t n;

	pthread_mutex_lock(&lock);
	card.room = 0;
	pthread_mutex_unlock(&lock);
	st_be32(buf, 1000);
	/* Until the kernel's buffers are full, too. */
	for (unsigned idle = 0; idle < 20 && sent < 10000;) {
		n = send(peer, buf, sizeof(buf), MSG_DONTWAIT | MSG_NOSIGNAL);
		assert_true(n < 0 || n == sizeof(buf));
		sent += n > 0;
		idle = n > 0 ? 0 : idle + 1;
		if (n < 0)
			usleep(1000);
	}
	assert_in_range(sent, 10, 2000);
	for (;;) {
		pthread_mutex_lock(&lock);
		card.room = 10;
		net_ready(&card.end);
		seen = card.n;
		pthread_mutex_unlock(&lock);
		if (seen == sent)
			break;
		usleep(200);
	}
}

static void datagrams_when_odd_expect_only_frames(void **state)
{
	static uint8_t big[NET_FRAME_MAX + 1];

	put("short", 5);
	send(peer, big, 0, 0);
	put(big, sizeof(big));
	put(big, 60);
	assert_true(wait_for(card.n == 1));
	assert_int_equal(card.len[0], 60);
	assert_true(card.up);
}

static void datagrams_when_nobody_takes_them_expect_the_card_held_back(void **state)
{
	static uint8_t f[1000];
	unsigned sent = 0;
	bool ok = true;

	while (ok && sent < 100000) {
		pthread_mutex_lock(&lock);
		ok = send_frame(&card.end, f, sizeof(f), NULL);
		pthread_mutex_unlock(&lock);
		sent += ok;
	}
	assert_in_range(sent, 1, 99999);
	while (sent--)
		assert_int_equal(recv(peer, f, sizeof(f), 0), sizeof(f));
	assert_true(wait_for(card.readies));
}

/* ---- Opening ---- */

static void expect_refusal(const char *text, const char *word)
{
	struct net_backend *n;

	err.msg[0] = '\0';
	n = open_text(text);
	if (n || !strstr(err.msg, word)) {
		print_error("'%s' says '%s'\n", text, err.msg);
		fail();
	}
}

static void settings_when_wrong_expect_a_sentence(void **state)
{
	char text[64];

	loop = io_loop_new(&lock, &err);
	expect_refusal("socket,id=n", "listen=");
	expect_refusal("socket,id=n,listen=:1,connect=:1", "exclude each other");
	expect_refusal("socket,id=n,connect=127.0.0.1:1", "start the other side first");
	expect_refusal("socket,id=n,connect=127.0.0.1", "HOST:PORT");
	expect_refusal("socket,id=n,fd=77", "descriptor 77");
	expect_refusal("socket,id=n,fd=x", "descriptor's number");
	expect_refusal("socket,id=n,mcast=127.0.0.1:99", "no multicast group");
	expect_refusal("socket,id=n,udp=127.0.0.1:99", "localaddr");
	expect_refusal("stream,id=n", "addr.type");
	expect_refusal("stream,id=n,addr.type=unix", "addr.path");
	expect_refusal("stream,id=n,addr.type=tape", "tape");
	expect_refusal("stream,id=n,addr.type=unix,addr.path=/nonexistent/s", "/nonexistent/s");
	expect_refusal("dgram,id=n,remote.type=unix,remote.path=/tmp/x", "local.type");
	expect_refusal("tap,id=n,script=/etc/ifup", "no script is run");
	expect_refusal("tap,id=n,vhost=on", "vhost");
	expect_refusal("tap,id=n,queues=33", "queues");
	expect_refusal("tap,id=n,queues=0", "leaves nothing");
	expect_refusal("tap,id=n,fds=0,queues=2", "queues= is for ifname=");
	expect_refusal("tap,id=n,fd=1", "tap");
	expect_refusal("tap,id=n,ifname=a-name-that-is-too-long", "too long");
	expect_refusal("passt,id=n,path=/nonexistent/passt", "install Debian's package passt");
	expect_refusal("passt,id=n,hostfwd=tcp::1-:1", "tcp-ports");
	expect_refusal("bridge,id=n", "tap,ifname");
	expect_refusal("vde,id=n", "VDE");
	snprintf(text, sizeof(text), "stream,id=n,server=on,addr.type=unix,addr.path=/tmp");
	expect_refusal(text, "no socket");
	io_loop_free(loop);
}

static void server_when_peers_come_and_go_expect_link_to_follow(void **state)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	char text[128];
	int fd;

	snprintf(un.sun_path, sizeof(un.sun_path), "/tmp/lodge-net-%d.sock", getpid());
	snprintf(text, sizeof(text), "stream,id=n,server=on,addr.type=unix,addr.path=%s",
		 un.sun_path);
	loop = io_loop_new(&lock, &err);
	nb = open_text(text);
	assert_non_null(nb);
	sink_init(&card, SINK_FRAMES, 0);
	net_connect(&card.end, net_backend_end(nb));
	assert_false(card.up);
	assert_int_equal(pthread_create(&thread, NULL, run, NULL), 0);
	for (unsigned i = 0; i < 3; i++) {
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
		assert_true(wait_for(card.up));
		close(fd);
		assert_true(wait_for(!card.up));
	}
	peer = -1;
	teardown(state);
	assert_int_equal(access(un.sun_path, F_OK), -1);
}

/* ---- passt ---- */

/* In the place of passt: sends everything back. */
static int setup_echo(void **state)
{
	char text[96], path[] = "/tmp/lodge-echo-XXXXXX";
	static const char script[] = "#!/bin/sh\nexec cat <&3 >&3\n";
	int fd = mkstemp(path);

	if (fd < 0 || write(fd, script, sizeof(script) - 1) < 0 || fchmod(fd, 0700))
		return -1;
	close(fd);
	loop = io_loop_new(&lock, &err);
	snprintf(text, sizeof(text), "passt,id=n,path=%s", path);
	nb = open_text(text);
	if (!nb)
		print_error("%s\n", err.msg);
	sink_init(&card, SINK_FRAMES, 0);
	net_connect(&card.end, net_backend_end(nb));
	peer = -1;
	if (pthread_create(&thread, NULL, run, NULL))
		return -1;
	/* Once it has answered, the script has been read. */
	card.room = 1;
	pthread_mutex_lock(&lock);
	send_frame(&card.end, "0123456789abcdef", 16, NULL);
	pthread_mutex_unlock(&lock);
	if (!wait_for(card.n == 1))
		return -1;
	sink_clear(&card);
	card.room = SINK_FRAMES;
	return unlink(path);
}

static void passt_when_frames_are_padded_expect_the_padding_gone(void **state)
{
	static const struct {
		uint16_t type, ip_bytes;
		size_t len, want;
	} cases[] = {
		{0x0800, 40, 60, 54},			    /* an acknowledgement */
		{0x0800, 46, 60, 60}, {0x0800, 50, 60, 60}, /* a length that lies stays the peer's to refuse */
		{0x0800, 3, 60, 60},  {0x86dd, 8, 70, 62},  {0x86dd, 60, 70, 70},
		{0x0806, 40, 60, 60},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		uint8_t f[80] = {0};

		st_be16(f + 12, cases[i].type);
		st_be16(f + (cases[i].type == 0x0800 ? 16 : 18), cases[i].ip_bytes);
		pthread_mutex_lock(&lock);
		assert_true(send_frame(&card.end, f, cases[i].len, NULL));
		pthread_mutex_unlock(&lock);
		assert_true(wait_for(card.n == i + 1));
		assert_int_equal(card.len[i], cases[i].want);
	}
}

#define E(f) cmocka_unit_test_setup_teardown(f, setup_echo, teardown)
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define D(f) cmocka_unit_test_setup_teardown(f, setup_dgram, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(frame_when_it_comes_in_pieces_expect_it_whole),
		T(frame_when_short_expect_it_skipped),
		T(frame_when_of_the_greatest_length_expect_it),
		T(frame_when_giant_expect_the_connection_ended),
		T(peer_when_it_closes_within_a_frame_expect_link_down),
		T(peer_when_it_takes_nothing_expect_the_card_held_back_then_all),
		T(card_when_it_takes_nothing_expect_the_peer_held_back),
		D(datagrams_when_odd_expect_only_frames),
		D(datagrams_when_nobody_takes_them_expect_the_card_held_back),
		E(passt_when_frames_are_padded_expect_the_padding_gone),
		cmocka_unit_test(settings_when_wrong_expect_a_sentence),
		cmocka_unit_test(server_when_peers_come_and_go_expect_link_to_follow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
