/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads of the process, by what they do. Whoever shuts the process in sets what each of them does first.
 * Threads: any; thread_set_enter() before there is another than main.
 */
#ifndef LODGE_BASE_THREAD_H
#define LODGE_BASE_THREAD_H

#include <pthread.h>
#include <stddef.h>

#include "base/err.h"

enum thread_kind {
	THREAD_MAIN,	/* signals, requests; starts first, ends last */
	THREAD_CONTROL, /* monitors */
	THREAD_IO,	/* descriptors and timers */
	THREAD_VCPU,
	THREAD_DISK, /* one request after another */
	THREAD_9P,   /* a shared folder */
	THREAD_DISPLAY, /* draws for viewers, and does what they type */
	THREAD_ENGINE,	/* what an engine does beside its vCPUs */
	THREAD_KINDS
};

/*
 * `enter(kind, maker)` is called on each thread of thread_create() before its function, and by thread_enter();
 * `maker`: who made it, THREAD_KINDS before anybody had entered.
 */
void thread_set_enter(void (*enter)(enum thread_kind kind, enum thread_kind maker));
/* The calling thread, which was not made by thread_create(), is of this kind from now on. */
void thread_enter(enum thread_kind kind);
/* THREAD_KINDS: nobody has said. */
enum thread_kind thread_this_kind(void);
/*
 * `name`: as ps and gdb show it, 15 bytes at most; `stack` 0: as usual. 0 or -errno. Threads made by one of
 * the same kind have what that one took on already: `enter` is not called again.
 */
int thread_create(pthread_t *t, enum thread_kind kind, const char *name, size_t stack,
		  void *(*fn)(void *arg), void *arg) MUST_CHECK;

#endif
