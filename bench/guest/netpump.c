// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The guest's side of bench/net.py: moves bytes over TCP as the host says.
 *
 *	netpump ADDRESS PORT
 *
 * Each round is a connection of its own to the host, which says what to do: 'D' (down: the host sends), 'U' (up) or
 * 'Q', 'v' for "look at every byte" or '-', and a size of 8 bytes, little-endian. The stream is known: byte i of it is byte i of a
 * fixed block of BLOCK bytes, which begins anew at each. Down ends with one byte from here, 'y' if what came was
 * right; up ends with one from the host. In timed rounds only the first 8 bytes of each KiB are looked at, which costs
 * nothing to speak of.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 65536u

static uint8_t known[2 * BLOCK], buf[BLOCK];

/* A generator that is three lines in Python, too. */
static void make_known(void)
{
	uint32_t x = 1;

	for (unsigned i = 0; i < BLOCK; i++) {
		x = x * 1103515245u + 12345u;
		known[i] = known[i + BLOCK] = (uint8_t)(x >> 16);
	}
}

static bool is_right(const uint8_t *p, size_t n, uint64_t at, bool all)
{
	const uint8_t *want = known + at % BLOCK;

	if (all)
		return !memcmp(p, want, n);
	for (size_t i = (size_t)(-at & 1023); i + 8 <= n; i += 1024) {
		if (memcmp(p + i, want + i, 8))
			return false;
	}
	return true;
}

static bool get(int fd, void *p, size_t n)
{
	while (n) {
		ssize_t r = recv(fd, p, n, 0);

		if (r <= 0)
			return false;
		p = (uint8_t *)p + r;
		n -= (size_t)r;
	}
	return true;
}

static bool down(int fd, uint64_t size, bool all)
{
	bool right = true;
	uint64_t at = 0;

	while (at < size) {
		ssize_t r = recv(fd, buf, size - at < BLOCK ? size - at : BLOCK, 0);

		if (r <= 0)
			return false;
		right &= is_right(buf, (size_t)r, at, all);
		at += (uint64_t)r;
	}
	return send(fd, right ? "y" : "n", 1, 0) == 1 && right;
}

static bool up(int fd, uint64_t size)
{
	uint64_t at = 0;
	char end;

	while (at < size) {
		ssize_t r = send(fd, known + at % BLOCK, size - at < BLOCK ? size - at : BLOCK, 0);

		if (r <= 0)
			return false;
		at += (uint64_t)r;
	}
	return get(fd, &end, 1);
}

/* 1: go on, 0: the end, -1: it went wrong. */
static int one_round(const struct sockaddr_in *host)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), r = -1;
	uint8_t what[2];
	uint64_t size;

	if (fd < 0 || connect(fd, (const struct sockaddr *)host, sizeof(*host)))
		perror("netpump: connect");
	else if (!get(fd, what, 2) || !get(fd, &size, 8))
		fprintf(stderr, "netpump: no command\n");
	else if (what[0] == 'Q')
		r = 0;
	else
		r = (what[0] == 'D' ? down(fd, size, what[1] == 'v') : up(fd, size)) ? 1 : -1;
	close(fd);
	return r;
}

int main(int argc, char **argv)
{
	struct sockaddr_in host = {.sin_family = AF_INET};
	int r;

	if (argc != 3 || inet_pton(AF_INET, argv[1], &host.sin_addr) != 1) {
		fprintf(stderr, "usage: netpump ADDRESS PORT\n");
		return 2;
	}
	host.sin_port = htons((uint16_t)atoi(argv[2]));
	make_known();
	while ((r = one_round(&host)) > 0)
		;
	return r ? 1 : 0;
}
