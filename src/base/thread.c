// SPDX-License-Identifier: GPL-2.0-or-later
/* Threads by what they do. See thread.h. Threads: any. */
#include "base/thread.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct thread_start {
	void *(*fn)(void *arg);
	void *arg;
	enum thread_kind kind, maker;
	char name[16];
};

/* Set before the first thread. */
static void (*enter_hook)(enum thread_kind kind, enum thread_kind maker);
static _Thread_local enum thread_kind this_kind = THREAD_KINDS;

void thread_set_enter(void (*enter)(enum thread_kind kind, enum thread_kind maker))
{
	enter_hook = enter;
}

static void enter_as(enum thread_kind kind, enum thread_kind maker)
{
	this_kind = kind;
	if (enter_hook && kind != maker)
		enter_hook(kind, maker);
}

void thread_enter(enum thread_kind kind)
{
	enter_as(kind, THREAD_KINDS);
}

enum thread_kind thread_this_kind(void)
{
	return this_kind;
}

static void *begin(void *arg)
{
	struct thread_start s = *(struct thread_start *)arg;

	free(arg);
	pthread_setname_np(pthread_self(), s.name);
	enter_as(s.kind, s.maker);
	return s.fn(s.arg);
}

int thread_create(pthread_t *t, enum thread_kind kind, const char *name, size_t stack,
		  void *(*fn)(void *arg), void *arg)
{
	struct thread_start *s = malloc(sizeof(*s));
	pthread_attr_t attr;
	int r;

	if (!s)
		return -ENOMEM;
	*s = (struct thread_start){.fn = fn, .arg = arg, .kind = kind, .maker = this_kind};
	snprintf(s->name, sizeof(s->name), "%s", name);
	pthread_attr_init(&attr);
	if (stack)
		pthread_attr_setstacksize(&attr, stack);
	r = pthread_create(t, &attr, begin, s);
	pthread_attr_destroy(&attr);
	if (r)
		free(s);
	return -r;
}
