/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What character device tests share: an event loop on a thread of its own, and a device that keeps
 * what it receives and can refuse it.
 */
#ifndef TESTS_CHARDEV_CHR_ENV_H
#define TESTS_CHARDEV_CHR_ENV_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "chardev/backend.h"

struct chr_env {
	pthread_mutex_t lock;
	struct io_loop *loop;
	pthread_t thread;
	struct chardev_host host;
	bool stdio_taken;
	int quits, holds, releases;
	/* The device. */
	size_t room; /* it takes so much */
	uint8_t got[65536];
	size_t got_len;
	int opens, closes, breaks, writables;
	char dir[64];
};

static size_t env_can_receive(void *opaque)
{
	struct chr_env *e = opaque;

	return e->room;
}

static void env_receive(void *opaque, const uint8_t *buf, size_t len)
{
	struct chr_env *e = opaque;

	assert_true(len <= e->room && e->got_len + len <= sizeof(e->got));
	memcpy(e->got + e->got_len, buf, len);
	e->got_len += len;
	e->room -= len;
}

static void env_event(void *opaque, enum chardev_event event)
{
	struct chr_env *e = opaque;

	e->opens += event == CHARDEV_EVENT_OPEN;
	e->closes += event == CHARDEV_EVENT_CLOSE;
	e->breaks += event == CHARDEV_EVENT_BREAK;
}

static void env_writable(void *opaque)
{
	struct chr_env *e = opaque;

	e->writables++;
}

static void env_quit(void *opaque)
{
	((struct chr_env *)opaque)->quits++;
}

static void env_hold(void *opaque)
{
	((struct chr_env *)opaque)->holds++;
}

static void env_release(void *opaque)
{
	((struct chr_env *)opaque)->releases++;
}

static void *env_loop(void *opaque)
{
	io_loop_run(((struct chr_env *)opaque)->loop);
	return NULL;
}

static int env_setup(void **state)
{
	struct chr_env *e = calloc(1, sizeof(*e));
	struct lodge_err err;

	pthread_mutex_init(&e->lock, NULL);
	e->loop = io_loop_new(&e->lock, &err);
	e->host = (struct chardev_host){.loop = e->loop,
					.quit = env_quit,
					.hold = env_hold,
					.release = env_release,
					.opaque = e,
					.stdio_taken = &e->stdio_taken};
	e->room = sizeof(e->got);
	strcpy(e->dir, "/tmp/lodge-chr-XXXXXX");
	*state = e;
	return !e->loop || !mkdtemp(e->dir) || pthread_create(&e->thread, NULL, env_loop, e);
}

static int env_teardown(void **state)
{
	struct chr_env *e = *state;
	int r;

	io_loop_stop(e->loop);
	pthread_join(e->thread, NULL);
	io_loop_free(e->loop);
	r = rmdir(e->dir); /* fails when a back end left something behind */
	if (r)
		fprintf(stderr, "%s is not empty\n", e->dir);
	free(e);
	return r;
}

static inline struct chardev *env_open(struct chr_env *e, const char *spec)
{
	struct chardev_frontend fe = {env_can_receive, env_receive, env_event, env_writable, e};
	struct lodge_err err = {""};
	struct chardev *c;

	pthread_mutex_lock(&e->lock);
	c = chardev_open(spec, "serial0", &e->host, &err);
	if (!c)
		print_error("%s: %s\n", spec, err.msg);
	assert_non_null(c);
	chardev_connect(c, &fe);
	pthread_mutex_unlock(&e->lock);
	return c;
}

static inline void env_close(struct chr_env *e, struct chardev *c)
{
	pthread_mutex_lock(&e->lock);
	chardev_connect(c, NULL);
	chardev_free(c);
	pthread_mutex_unlock(&e->lock);
}

static inline size_t env_write(struct chr_env *e, struct chardev *c, const void *buf, size_t len)
{
	size_t n;

	pthread_mutex_lock(&e->lock);
	n = chardev_write(c, buf, len);
	pthread_mutex_unlock(&e->lock);
	return n;
}

/* The device has room for `room` more bytes. */
static inline void env_give_room(struct chr_env *e, struct chardev *c, size_t room)
{
	pthread_mutex_lock(&e->lock);
	e->room = room;
	chardev_accept_input(c);
	pthread_mutex_unlock(&e->lock);
}

/* Wait up to 5 s, with the lock held while looking. */
#define ENV_WAIT(e, cond)                                   \
	do {                                                \
		bool ok_ = false;                           \
		for (int i_ = 0; i_ < 5000 && !ok_; i_++) { \
			pthread_mutex_lock(&(e)->lock);     \
			ok_ = (cond);                       \
			pthread_mutex_unlock(&(e)->lock);   \
			if (!ok_)                           \
				usleep(1000);               \
		}                                           \
		assert_true(ok_);                           \
	} while (0)

/* Read exactly `len` bytes, or fail. */
static inline void env_read_all(int fd, void *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = read(fd, (char *)buf + done, len - done);

		assert_true(n > 0);
		done += (size_t)n;
	}
}

#endif
