// SPDX-License-Identifier: GPL-2.0-or-later
/* User-mode NAT: its settings, and a helper at work: make t T=net/user */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/props.h"
#include "base/range.h"
#include "net/helper.h"
#include "net/user_int.h"
#include "net_frames.h"

/* ---- Settings ---- */

static struct lodge_err err;

static int parse(struct net_user_config *c, const char *text)
{
	struct props *p = props_parse("-netdev", text, "type", &err);
	int r;

	assert_non_null(p);
	props_get(p, "type");
	props_get(p, "id");
	r = net_user_parse(c, p, &err);
	if (!r)
		r = props_done(p, &err);
	props_free(p);
	return r;
}

static void expect_refusal(const char *text, const char *word)
{
	static struct net_user_config c;

	err.msg[0] = '\0';
	if (parse(&c, text) >= 0 || !strstr(err.msg, word)) {
		print_error("'%s' says '%s'\n", text, err.msg);
		fail();
	}
}

static void expect_addr(struct in_addr a, const char *text)
{
	char buf[INET_ADDRSTRLEN];

	assert_string_equal(inet_ntop(AF_INET, &a, buf, sizeof(buf)), text);
}

static void settings_when_none_given_expect_qemus(void **state)
{
	static struct net_user_config c;

	assert_int_equal(parse(&c, "user,id=n"), 0);
	expect_addr(c.net, "10.0.2.0");
	expect_addr(c.mask, "255.255.255.0");
	expect_addr(c.host, "10.0.2.2");
	expect_addr(c.dns, "10.0.2.3");
	expect_addr(c.dhcp_start, "10.0.2.15");
	assert_true(c.v4 && c.v6 && !c.restricted && !c.tftp);
}

static void settings_when_given_expect_them(void **state)
{
	static struct net_user_config c;

	assert_int_equal(
		parse(&c, "user,net=192.168.7.0/28,restrict=on,hostname=h,domainname=d.example,"
			  "dnssearch=a.example,dnssearch=b.example,tftp=/srv/tftp,bootfile=pxe.0,"
			  "tftp-server-name=10.0.0.1,ipv6=off"),
		0);
	expect_addr(c.net, "192.168.7.0");
	expect_addr(c.mask, "255.255.255.240");
	expect_addr(c.host, "192.168.7.2");
	expect_addr(c.dhcp_start, "192.168.7.14");
	assert_true(c.v4 && !c.v6 && c.restricted && c.tftp);
	assert_int_equal(c.searches, 2);
	assert_memory_equal(c.search, "a.example\0b.example", 20);
	assert_string_equal(c.bootfile, "pxe.0");
	assert_int_equal(parse(&c, "user,net=10.1.0.0,host=10.1.2.3,dns=10.1.2.4,"
				   "dhcpstart=10.1.9.9,ipv4=on"),
			 0);
	expect_addr(c.mask, "255.0.0.0");
	expect_addr(c.dhcp_start, "10.1.9.9");
	assert_false(c.v6);
	assert_int_equal(parse(&c, "user,ipv6-prefix=fd00::,ipv6-prefixlen=96,ipv6-host=fd00::9"),
			 0);
	assert_int_equal(c.prefix6_len, 96);
}

static void settings_when_wrong_expect_a_sentence(void **state)
{
	expect_refusal("user,net=10.0.2.0/31", "room for four");
	expect_refusal("user,net=nonsense", "net=nonsense");
	expect_refusal("user,net=10.0.2.0/255.0.255.0", "net=");
	expect_refusal("user,host=10.0.3.2", "10.0.3.2");
	expect_refusal("user,host=10.0.2.255", "host=");
	expect_refusal("user,dns=10.0.2.2", "same address");
	expect_refusal("user,dhcpstart=10.0.2.3", "dhcpstart");
	expect_refusal("user,ipv4=off,ipv6=off", "nothing is left");
	expect_refusal("user,ipv6-host=fe80::1", "ipv6-prefix");
	expect_refusal("user,restrict=maybe", "restrict");
	expect_refusal("user,guestfwd=tcp:10.0.2.100:1-cmd:sh", "guestfwd");
	expect_refusal("user,smb=/srv", "smb");
	expect_refusal("user,colour=red", "colour");
	expect_refusal("user,hostname=a-name-that-is-too-long-for-this-option", "hostname");
}

static void expect_bad_rule(bool add, const char *rule)
{
	struct net_user_fwd f;

	err.msg[0] = '\0';
	if (net_user_parse_fwd(&f, add, rule, &err) >= 0 || !strstr(err.msg, "hostfwd=")) {
		print_error("'%s' is taken\n", rule);
		fail();
	}
}

static void rule_when_given_expect_its_parts(void **state)
{
	struct net_user_fwd f;

	assert_int_equal(net_user_parse_fwd(&f, true, "tcp:127.0.0.1:2222-10.0.2.15:22", &err), 0);
	expect_addr(f.host_addr, "127.0.0.1");
	expect_addr(f.guest_addr, "10.0.2.15");
	assert_true(!f.udp && f.host_port == 2222 && f.guest_port == 22);
	assert_int_equal(net_user_parse_fwd(&f, true, "udp::53-:53", &err), 0);
	assert_true(f.udp && !f.host_addr.s_addr && !f.guest_addr.s_addr);
	assert_int_equal(net_user_parse_fwd(&f, true, "::80-:8080", &err), 0);
	assert_int_equal(net_user_parse_fwd(&f, false, "tcp:127.0.0.1:2222", &err), 0);
	expect_bad_rule(true, "");
	expect_bad_rule(true, "tcp");
	expect_bad_rule(true, "tcp:-");
	expect_bad_rule(true, "-tcp::1-:1");
	expect_bad_rule(true, "tcp::0-:22");
	expect_bad_rule(true, "tcp::65536-:22");
	expect_bad_rule(true, "tcp::22");
	expect_bad_rule(true, "sctp::22-:22");
	expect_bad_rule(true, "tcp:localhost:22-:22");
	expect_bad_rule(false, "tcp::22-:22");
}

/* ---- At work ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct io_loop *loop;
static pthread_t thread;
static struct net_backend *nb;
static struct sink guest;

static void *run(void *arg)
{
	io_loop_run(loop);
	return arg;
}

static struct net_backend *open_user(const char *text)
{
	struct props *p = props_parse("-netdev", text, "type", &err);
	const struct net_host host = {.loop = loop};
	struct net_backend *n = net_backend_open(p, &host, &err);

	props_free(p);
	return n;
}

static int setup(void **state)
{
	loop = io_loop_new(&lock, &err);
	nb = open_user("user,id=n0");
	if (!nb) {
		print_error("%s\n", err.msg);
		return -1;
	}
	sink_init(&guest, SINK_FRAMES, 0);
	net_connect(&guest.end, net_backend_end(nb));
	return pthread_create(&thread, NULL, run, NULL);
}

static int teardown(void **state)
{
	io_loop_stop(loop);
	pthread_join(thread, NULL);
	net_backend_close(nb);
	sink_clear(&guest);
	io_loop_free(loop);
	return 0;
}

/* Wait for a condition that the io thread brings about. */
#define wait_for(cond)                                             \
	({                                                         \
		uint64_t end_ = clock_mono_ns() + 20 * NS_PER_SEC; \
		bool ok_ = false;                                  \
		while (!ok_ && clock_mono_ns() < end_) {           \
			pthread_mutex_lock(&lock);                 \
			ok_ = (cond);                              \
			pthread_mutex_unlock(&lock);               \
			usleep(1000);                              \
		}                                                  \
		ok_;                                               \
	})

static void ask_who_has(uint8_t last)
{
	static const uint8_t arp[42] =
		"\xff\xff\xff\xff\xff\xff\x52\x54\x00\x12\x34\x56\x08\x06"
		"\x00\x01\x08\x00\x06\x04\x00\x01\x52\x54\x00\x12\x34\x56\x0a\x00\x02\x0f"
		"\x00\x00\x00\x00\x00\x00\x0a\x00\x02";
	uint8_t f[42];

	memcpy(f, arp, 42);
	f[41] = last;
	pthread_mutex_lock(&lock);
	assert_true(send_frame(&guest.end, f, sizeof(f), NULL));
	pthread_mutex_unlock(&lock);
}

static bool got_arp_from(uint8_t last)
{
	for (unsigned i = 0; i < guest.n; i++) {
		const uint8_t *f = guest.frame[i];

		if (guest.len[i] >= 42 && ld_be16(f + 12) == 0x0806 && f[21] == 2 && f[31] == last)
			return true;
	}
	return false;
}

static void gateway_when_asked_for_expect_its_answer(void **state)
{
	ask_who_has(2);
	assert_true(wait_for(got_arp_from(2)));
}

static void frames_when_mad_expect_the_helper_alive(void **state)
{
	static uint8_t f[NET_FRAME_MAX];
	unsigned seed = 1;

	for (unsigned i = 0; i < 3000; i++) {
		size_t len = 14 + (i % 10 ? (size_t)rand_r(&seed) % 200
					  : (size_t)rand_r(&seed) % (NET_FRAME_MAX - 14));
		struct net_offload off = {
			.flags = (uint8_t)(rand_r(&seed) & 1),
			.gso_type = (uint8_t)(i % 3 ? 0 : NET_GSO_TCPV4),
			.gso_size = (uint16_t)rand_r(&seed),
			.csum_start = (uint16_t)(rand_r(&seed) % 300),
			.csum_offset = (uint16_t)(rand_r(&seed) % 30),
		};

		for (size_t k = 0; k < len && k < 100; k++)
			f[k] = (uint8_t)rand_r(&seed);
		if (i & 1)
			make_tcp4(f, len > 60 ? (len - 60) % 40000 : 0, (uint8_t)rand_r(&seed));
		if (i & 2)
			f[14 + i % 40] ^= (uint8_t)rand_r(&seed);
		pthread_mutex_lock(&lock);
		send_frame(&guest.end, f, len, &off);
		pthread_mutex_unlock(&lock);
		if (i % 100 == 0)
			usleep(1000);
	}
	usleep(50000);
	assert_true(wait_for(!net_backend_end(nb)->full));
	ask_who_has(3);
	assert_true(wait_for(got_arp_from(3)));
}

static int try_port(uint16_t port)
{
	struct sockaddr_in in = {.sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int r = connect(fd, (struct sockaddr *)&in, sizeof(in)) ? -errno : 0;

	close(fd);
	return r;
}

/* A port that is free now. */
static uint16_t free_port(int *keep)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	if (keep)
		*keep = fd;
	else
		close(fd);
	return ntohs(in.sin_port);
}

static int hostfwd(bool add, const char *fmt, unsigned port)
{
	char rule[64];
	int r;

	snprintf(rule, sizeof(rule), fmt, port);
	pthread_mutex_lock(&lock);
	r = net_backend_hostfwd(nb, add, rule, &err);
	pthread_mutex_unlock(&lock);
	return r;
}

static void forward_when_added_and_removed_expect_the_port_to_follow(void **state)
{
	uint16_t port = free_port(NULL);
	int taken;

	assert_int_equal(try_port(port), -ECONNREFUSED);
	assert_int_equal(hostfwd(true, "tcp:127.0.0.1:%u-:22", port), 0);
	assert_int_equal(try_port(port), 0);
	assert_true(hostfwd(true, "tcp:127.0.0.1:%u-:23", port) < 0);
	assert_non_null(strstr(err.msg, "in use"));
	assert_int_equal(hostfwd(false, "tcp:127.0.0.1:%u", port), 0);
	assert_int_equal(try_port(port), -ECONNREFUSED);
	assert_int_equal(hostfwd(false, "tcp:127.0.0.1:%u", port), -ENOENT);
	assert_non_null(strstr(err.msg, "no such forward"));
	assert_true(hostfwd(true, "tcp:nonsense:%u-:1", port) < 0);
	port = free_port(&taken);
	listen(taken, 1);
	assert_true(hostfwd(true, "tcp:127.0.0.1:%u-:22", port) < 0);
	close(taken);
}

/* What a monitor does, without the VM lock between the halves. */
static void forward_when_in_halves_expect_answer_and_list(void **state)
{
	uint16_t port = free_port(NULL);
	struct pollfd p = {.events = POLLIN};
	char rule[64], list[256], want[64];

	snprintf(rule, sizeof(rule), "tcp:127.0.0.1:%u-:22", port);
	snprintf(want, sizeof(want), "tcp:127.0.0.1:%u-:22\n", port);
	/* An answer that nobody took is not the next one's. */
	p.fd = net_backend_hostfwd_ask(nb, false, "tcp:127.0.0.1:1", &err);
	assert_true(p.fd >= 0);
	assert_int_equal(poll(&p, 1, 5000), 1);
	close(p.fd);
	p.fd = net_backend_hostfwd_ask(nb, true, rule, &err);
	assert_true(p.fd >= 0);
	assert_int_equal(poll(&p, 1, 5000), 1);
	assert_int_equal(net_backend_hostfwd_answer(nb, p.fd, true, rule, &err), 0);
	assert_int_equal(try_port(port), 0);
	net_backend_hostfwds(nb, list, sizeof(list));
	assert_string_equal(list, want);
	net_backend_hostfwds(nb, list, 5);
	assert_string_equal(list, "tcp:");
	assert_int_equal(hostfwd(false, "tcp:127.0.0.1:%u", port), 0);
	net_backend_hostfwds(nb, list, sizeof(list));
	assert_string_equal(list, "");
}

static pid_t helper_pid(void)
{
	char path[64];
	FILE *f;
	int pid = 0;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	f = fopen(path, "r");
	if (!f || fscanf(f, "%d", &pid) != 1)
		pid = 0;
	if (f)
		fclose(f);
	return pid;
}

static void helper_when_killed_expect_link_down_and_no_more(void **state)
{
	pid_t pid = helper_pid();

	assert_true(pid > 0 && guest.up);
	kill(pid, SIGKILL);
	assert_true(wait_for(!guest.up));
	assert_int_equal(helper_pid(), 0);
	ask_who_has(2);
	assert_true(hostfwd(true, "tcp:127.0.0.1:%u-:22", free_port(NULL)) < 0);
	assert_non_null(strstr(err.msg, "has ended"));
}

static void helper_when_closed_expect_no_child_left(void **state)
{
	assert_true(helper_pid() > 0);
	io_loop_stop(loop);
	pthread_join(thread, NULL);
	net_backend_close(nb);
	assert_int_equal(helper_pid(), 0);
	sink_clear(&guest);
	io_loop_free(loop);
}

static void backend_when_it_cannot_start_expect_a_sentence(void **state)
{
	char text[128];
	int taken;
	uint16_t port = free_port(&taken);

	listen(taken, 1);
	loop = io_loop_new(&lock, &err);
	snprintf(text, sizeof(text), "user,id=x,hostfwd=tcp:127.0.0.1:%u-:22", port);
	assert_null(open_user(text));
	assert_non_null(strstr(err.msg, "cannot listen on TCP port"));
	assert_null(open_user("user,id=x,tftp=/nonexistent"));
	assert_non_null(strstr(err.msg, "tftp=/nonexistent"));
	assert_null(open_user("user"));
	assert_null(open_user("carrier-pigeon,id=x"));
	assert_non_null(strstr(err.msg, "no such type"));
	assert_null(open_user("user,id=x,colour=red"));
	assert_int_equal(helper_pid(), 0);
	io_loop_free(loop);
	close(taken);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(settings_when_none_given_expect_qemus),
		cmocka_unit_test(settings_when_given_expect_them),
		cmocka_unit_test(settings_when_wrong_expect_a_sentence),
		cmocka_unit_test(rule_when_given_expect_its_parts),
		T(gateway_when_asked_for_expect_its_answer),
		T(frames_when_mad_expect_the_helper_alive),
		T(forward_when_added_and_removed_expect_the_port_to_follow),
		T(forward_when_in_halves_expect_answer_and_list),
		T(helper_when_killed_expect_link_down_and_no_more),
		cmocka_unit_test_setup(helper_when_closed_expect_no_child_left, setup),
		cmocka_unit_test(backend_when_it_cannot_start_expect_a_sentence),
	};

	net_helper_main(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
