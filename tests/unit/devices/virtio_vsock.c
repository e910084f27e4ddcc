// SPDX-License-Identifier: GPL-2.0-or-later
/* virtio-vsock, with sockets in /tmp: make t T=devices/virtio_vsock */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "fake_time.h"
#include "fake_watch.h"
#include "virtio_driver.h"
#include "devices/virtio/virtio_vsock.h"

#define CID 7u
#define TX 0x1000
#define RX 0x100000
#define RX_BYTES 4096u
#define ALLOC 65536u
enum { REQUEST = 1, RESPONSE, RST, SHUTDOWN, RW, CREDIT_UPDATE, CREDIT_REQUEST };

struct packet {
	uint32_t src_port, dst_port, len, flags, buf_alloc, fwd_cnt;
	unsigned op;
	const uint8_t *data;
};

struct fixture {
	struct drv d;
	struct virtio_vsock_config cfg;
	struct virtio_vsock *s;
	char path[64];
	uint32_t fwd; /* bytes the driver has taken */
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct lodge_err err = {0};

	drv_init(&f->d);
	snprintf(f->path, sizeof(f->path), "/tmp/lodge-vsock-%d", (int)getpid());
	f->cfg.virtio.bus = f->d.pb;
	f->cfg.virtio.devfn = DRV_DEVFN;
	f->cfg.virtio.mem = f->d.mem;
	f->cfg.virtio.loop = fake_begin();
	f->cfg.guest_cid = CID;
	f->cfg.path = f->path;
	f->s = virtio_vsock_new(&f->cfg, &err);
	if (!f->s)
		print_error("%s\n", err.msg);
	assert_non_null(f->s);
	virtio_vsock_device(f->s)->cls->reset(virtio_vsock_device(f->s));
	drv_start(&f->d, 1, 3, 64);
	for (unsigned i = 0; i < 8; i++) {
		struct drv_buf b = {RX + RX_BYTES * i, RX_BYTES};

		drv_submit(&f->d, 0, &b, 0, 1);
	}
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	virtio_vsock_free(f->s);
	assert_int_equal(access(f->path, F_OK), -1);
	assert_true(list_empty(&fake_watches));
	drv_free(&f->d);
	free(f);
	return 0;
}

static void header(struct fixture *f, uint64_t src_cid, uint64_t dst_cid, uint32_t src_port,
		   uint32_t dst_port, unsigned op, uint32_t flags, uint32_t len)
{
	uint8_t *p = drv_p(&f->d, TX);

	st_le64(p, src_cid);
	st_le64(p + 8, dst_cid);
	st_le32(p + 16, src_port);
	st_le32(p + 20, dst_port);
	st_le32(p + 24, len);
	st_le16(p + 28, 1);
	st_le16(p + 30, (uint16_t)op);
	st_le32(p + 32, flags);
	st_le32(p + 36, ALLOC);
	st_le32(p + 40, f->fwd);
}

static void guest_sends(struct fixture *f, uint32_t src_port, uint32_t dst_port, unsigned op,
			uint32_t flags, uint32_t len)
{
	struct drv_buf b = {TX, 44 + len};
	uint32_t id, n;

	header(f, CID, 2, src_port, dst_port, op, flags, len);
	drv_submit(&f->d, 1, &b, 1, 0);
	assert_true(drv_used(&f->d, 1, &id, &n));
}

/* The next packet the guest got; its buffer goes back into the ring. */
static bool guest_gets(struct fixture *f, struct packet *p)
{
	static uint8_t copy[RX_BYTES];
	struct drv_buf b;
	uint32_t id, len;

	if (!drv_used(&f->d, 0, &id, &len))
		return false;
	b = (struct drv_buf){ld_le64(drv_p(&f->d, f->d.q[0].desc + 16 * id)), RX_BYTES};
	memcpy(copy, drv_p(&f->d, b.gpa), RX_BYTES);
	assert_int_equal(ld_le64(copy), 2);
	assert_int_equal(ld_le64(copy + 8), CID);
	*p = (struct packet){
		.src_port = ld_le32(copy + 16),
		.dst_port = ld_le32(copy + 20),
		.len = ld_le32(copy + 24),
		.op = ld_le16(copy + 30),
		.flags = ld_le32(copy + 32),
		.buf_alloc = ld_le32(copy + 36),
		.fwd_cnt = ld_le32(copy + 40),
		.data = copy + 44,
	};
	assert_int_equal(len, 44 + p->len);
	f->fwd += p->len;
	drv_submit(&f->d, 0, &b, 0, 1);
	return true;
}

static struct packet expect_packet(struct fixture *f, unsigned op)
{
	struct packet p = {0};

	fake_watch_poll(100);
	assert_true(guest_gets(f, &p));
	assert_int_equal(p.op, op);
	return p;
}

static void expect_silence(struct fixture *f)
{
	struct packet p;

	fake_watch_poll(100);
	assert_false(guest_gets(f, &p));
}

static int host_connects(struct fixture *f, const char *text)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(sun.sun_path, f->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(send(fd, text, strlen(text), 0), strlen(text));
	fake_watch_poll(100);
	return fd;
}

static int host_listens(struct fixture *f, unsigned port)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s_%u", f->path, port);
	unlink(sun.sun_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(fd, 4), 0);
	return fd;
}

static void unlisten(struct fixture *f, int fd, unsigned port)
{
	char path[80];

	snprintf(path, sizeof(path), "%s_%u", f->path, port);
	unlink(path);
	close(fd);
}

/* A stream that a host program began, accepted: its host port. */
static uint32_t open_from_host(struct fixture *f, int *fd)
{
	struct packet p;
	char line[32] = {0};
	int want;

	*fd = host_connects(f, "CONNECT 5000\n");
	p = expect_packet(f, REQUEST);
	assert_int_equal(p.dst_port, 5000);
	assert_int_equal(p.buf_alloc, VIRTIO_VSOCK_BUFFER);
	guest_sends(f, 5000, p.src_port, RESPONSE, 0, 0);
	want = snprintf(line, sizeof(line), "OK %u\n", p.src_port);
	memset(line + want, 0, sizeof(line) - (size_t)want);
	char got[32] = {0};

	assert_int_equal(recv(*fd, got, sizeof(got), MSG_DONTWAIT), want);
	assert_string_equal(got, line);
	return p.src_port;
}

static void config_when_read_expect_cid(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(drv_cfg(&f->d, 0, 4), 0x10121af4);
	assert_int_equal(drv_rd(&f->d, 0x2000, 4), CID);
	assert_int_equal(drv_rd(&f->d, 0x2004, 4), 0);
}

static void stream_when_host_connects_expect_bytes_both_ways(void **state)
{
	struct fixture *f = *state;
	struct packet p;
	char buf[16] = {0};
	uint32_t port;
	int fd;

	port = open_from_host(f, &fd);
	assert_int_equal(send(fd, "to the guest", 12, 0), 12);
	p = expect_packet(f, RW);
	assert_int_equal(p.len, 12);
	assert_memory_equal(p.data, "to the guest", 12);
	memcpy(drv_p(&f->d, TX + 44), "to the host", 11);
	guest_sends(f, 5000, port, RW, 0, 11);
	assert_int_equal(recv(fd, buf, sizeof(buf), MSG_DONTWAIT), 11);
	assert_string_equal(buf, "to the host");
	/* The host is done, then the guest: the stream is over. */
	close(fd);
	p = expect_packet(f, SHUTDOWN);
	assert_int_equal(p.flags, 2);
	guest_sends(f, 5000, port, SHUTDOWN, 3, 0);
	expect_packet(f, RST);
	assert_int_equal(virtio_vsock_streams(f->s), 0);
}

static void greeting_when_in_pieces_expect_what_follows_kept(void **state)
{
	struct fixture *f = *state;
	int fd = host_connects(f, "CONN");
	struct packet p;

	expect_silence(f);
	assert_int_equal(send(fd, "ECT 77\nrest", 11, 0), 11);
	p = expect_packet(f, REQUEST);
	assert_int_equal(p.dst_port, 77);
	guest_sends(f, 77, p.src_port, RESPONSE, 0, 0);
	p = expect_packet(f, RW);
	assert_int_equal(p.len, 4);
	assert_memory_equal(p.data, "rest", 4);
	close(fd);
}

static void greeting_when_nonsense_expect_closed(void **state)
{
	static const char *const bad[] = {"HELLO\n",
					  "CONNECT\n",
					  "CONNECT -1\n",
					  "CONNECT 4294967295\n",
					  "CONNECT 1 2\n",
					  "CONNECT 00000000000000000000000000000001\n",
					  "\n"};
	struct fixture *f = *state;

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int fd = host_connects(f, bad[i]);
		char c;

		assert_int_equal(virtio_vsock_streams(f->s), 0);
		assert_true(recv(fd, &c, 1, MSG_DONTWAIT) <= 0);
		close(fd);
	}
	expect_silence(f);
}

static void request_when_guest_refuses_expect_socket_closed(void **state)
{
	struct fixture *f = *state;
	int fd = host_connects(f, "CONNECT 5000\n");
	struct packet p = expect_packet(f, REQUEST);
	char c;

	guest_sends(f, 5000, p.src_port, RST, 0, 0);
	assert_int_equal(recv(fd, &c, 1, MSG_DONTWAIT), 0);
	close(fd);
	/* One that leaves before an answer. */
	fd = host_connects(f, "CONNECT 5000\n");
	p = expect_packet(f, REQUEST);
	close(fd);
	expect_packet(f, RST);
	guest_sends(f, 5000, p.src_port, RESPONSE, 0, 0);
	expect_packet(f, RST);
	assert_int_equal(virtio_vsock_streams(f->s), 0);
}

static void stream_when_guest_connects_expect_host_socket(void **state)
{
	struct fixture *f = *state;
	int listener = host_listens(f, 6000), fd;
	char buf[8] = {0};

	guest_sends(f, 1025, 6000, REQUEST, 0, 0);
	expect_packet(f, RESPONSE);
	fd = accept(listener, NULL, NULL);
	memcpy(drv_p(&f->d, TX + 44), "hello", 5);
	guest_sends(f, 1025, 6000, RW, 0, 5);
	assert_int_equal(recv(fd, buf, sizeof(buf), MSG_DONTWAIT), 5);
	/* The same ports again are a mistake that ends the stream. */
	guest_sends(f, 1025, 6000, REQUEST, 0, 0);
	expect_packet(f, RST);
	assert_int_equal(recv(fd, buf, sizeof(buf), MSG_DONTWAIT), 0);
	close(fd);
	unlisten(f, listener, 6000);
	/* Nobody there any more. */
	guest_sends(f, 1026, 6000, REQUEST, 0, 0);
	assert_int_equal(expect_packet(f, RST).dst_port, 1026);
}

static void packet_when_foreign_expect_no_stream_touched(void **state)
{
	struct fixture *f = *state;
	struct drv_buf b = {TX, 44};
	uint32_t id, len;

	header(f, CID + 1, 2, 1, 2, REQUEST, 0, 0); /* as somebody else */
	drv_submit(&f->d, 1, &b, 1, 0);
	header(f, CID, 3, 1, 2, REQUEST, 0, 0); /* to somebody else */
	drv_submit(&f->d, 1, &b, 1, 0);
	header(f, CID, 2, 1, 2, RW, 0, 100); /* says more than it has */
	drv_submit(&f->d, 1, &b, 1, 0);
	b.len = 43;
	drv_submit(&f->d, 1, &b, 1, 0);
	for (unsigned i = 0; i < 4; i++)
		assert_true(drv_used(&f->d, 1, &id, &len));
	expect_silence(f);
	guest_sends(f, 1, 2, RW, 0, 10); /* of no stream */
	expect_packet(f, RST);
	guest_sends(f, 1, 2, RST, 0, 0);
	expect_silence(f);
}

static void credit_when_used_up_expect_host_waits(void **state)
{
	struct fixture *f = *state;
	static uint8_t data[200000];
	uint32_t got = 0, port;
	struct packet p;
	bool asked = false;
	ssize_t sent;
	int fd;

	port = open_from_host(f, &fd);
	sent = send(fd, data, sizeof(data), MSG_DONTWAIT);
	assert_true(sent > (ssize_t)ALLOC);
	for (unsigned i = 0; i < 100; i++) {
		fake_watch_poll(100);
		fake_advance(1);
		while (guest_gets(f, &p)) {
			got += p.len;
			asked |= p.op == CREDIT_REQUEST;
		}
	}
	assert_int_equal(got, ALLOC);
	assert_true(asked);
	guest_sends(f, 5000, port, CREDIT_UPDATE, 0, 0);
	for (unsigned i = 0; i < 100 && got < 2 * ALLOC; i++) {
		fake_watch_poll(100);
		fake_advance(1);
		while (guest_gets(f, &p))
			got += p.len;
	}
	assert_true(got > ALLOC);
	close(fd);
}

static void guest_when_it_exceeds_credit_expect_reset(void **state)
{
	struct fixture *f = *state;
	uint32_t port, sent = 0;
	struct packet p;
	int fd, small = 4096;

	port = open_from_host(f, &fd);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	/* The host program reads nothing: its socket fills, then the buffer, then the guest is told off. */
	for (unsigned i = 0; i < 1000 && virtio_vsock_streams(f->s); i++, sent += 3000) {
		guest_sends(f, 5000, port, RW, 0, 3000);
		while (guest_gets(f, &p))
			assert_true(p.op == RST || p.op == CREDIT_UPDATE);
	}
	assert_int_equal(virtio_vsock_streams(f->s), 0);
	assert_true(sent > VIRTIO_VSOCK_BUFFER - 3000);
	close(fd);
}

static void streams_when_many_expect_bound(void **state)
{
	struct fixture *f = *state;
	int listener = host_listens(f, 6000);
	struct packet p;
	unsigned refused = 0;

	for (unsigned i = 0; i < VIRTIO_VSOCK_STREAMS + 20; i++) {
		guest_sends(f, 2000 + i, 6000, REQUEST, 0, 0);
		while (guest_gets(f, &p))
			refused += p.op == RST;
		if (virtio_vsock_streams(f->s) < VIRTIO_VSOCK_STREAMS)
			close(accept(listener, NULL, NULL));
	}
	assert_true(virtio_vsock_streams(f->s) <= VIRTIO_VSOCK_STREAMS);
	drv_wr(&f->d, 0x14, 0, 1);
	assert_int_equal(virtio_vsock_streams(f->s), 0);
	unlisten(f, listener, 6000);
}

static void state_when_moved_expect_driver_told_of_reset(void **state)
{
	struct fixture *f = *state;
	struct virtio_vsock_config c = f->cfg;
	struct drv_buf b = {0x5000, 8};
	struct virtio_vsock *other;
	char path[80];
	uint32_t id, len;
	int fd;

	open_from_host(f, &fd);
	snprintf(path, sizeof(path), "%s-other", f->path);
	c.path = path;
	c.virtio.devfn = 0x30;
	other = virtio_vsock_new(&c, NULL);
	assert_non_null(other);
	memset(drv_p(&f->d, 0x5000), 0xff, 8);
	drv_submit(&f->d, 2, &b, 0, 1);
	assert_false(drv_used(&f->d, 2, &id, &len));
	wire_transfer(virtio_vsock_device(f->s), virtio_vsock_device(other));
	fake_advance(1);
	assert_true(drv_used(&f->d, 2, &id, &len));
	assert_int_equal(len, 4);
	assert_int_equal(ld_le32(drv_p(&f->d, 0x5000)), 0);
	virtio_vsock_free(other);
	close(fd);
}

static void buffer_when_too_small_expect_needs_reset_and_state_that_loads(void **state)
{
	struct fixture *f = *state;
	struct device *dev = virtio_vsock_device(f->s);
	struct drv_buf b = {RX, 44};
	static uint8_t saved[65536];
	long n;

	drv_start(&f->d, 1, 3, 64);
	drv_submit(&f->d, 0, &b, 0, 1);
	guest_sends(f, 1, 2, RW, 0, 0);
	assert_int_equal(drv_status(&f->d), 15 | VIRTIO_STATUS_NEEDS_RESET);
	n = device_save(dev, saved, sizeof(saved));
	assert_true(n > 0);
	assert_int_equal(device_load(dev, saved, (size_t)n, NULL), 0);
}

static void settings_when_impossible_expect_sentence(void **state)
{
	struct fixture *f = *state;
	struct virtio_vsock_config c = f->cfg;
	struct lodge_err err;
	char path[200];

	c.virtio.devfn = 0x30;
	c.guest_cid = 2;
	assert_null(virtio_vsock_new(&c, &err));
	c.guest_cid = 1ull << 32;
	assert_null(virtio_vsock_new(&c, &err));
	c.guest_cid = 3;
	memset(path, 'x', sizeof(path));
	path[199] = 0;
	c.path = path;
	assert_null(virtio_vsock_new(&c, &err));
	c.path = f->path; /* in use */
	assert_null(virtio_vsock_new(&c, &err));
	assert_null(pci_bus_find(f->d.pb, 0x30));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(config_when_read_expect_cid),
		T(stream_when_host_connects_expect_bytes_both_ways),
		T(greeting_when_in_pieces_expect_what_follows_kept),
		T(greeting_when_nonsense_expect_closed),
		T(request_when_guest_refuses_expect_socket_closed),
		T(stream_when_guest_connects_expect_host_socket),
		T(packet_when_foreign_expect_no_stream_touched),
		T(credit_when_used_up_expect_host_waits),
		T(guest_when_it_exceeds_credit_expect_reset),
		T(streams_when_many_expect_bound),
		T(state_when_moved_expect_driver_told_of_reset),
		T(buffer_when_too_small_expect_needs_reset_and_state_that_loads),
		T(settings_when_impossible_expect_sentence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
