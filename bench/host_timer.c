// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the host itself needs from a timer's expiry to a signal handler in a thread that spins: no
 * guest on this host can have its interrupts sooner. Built and run by bench/latency.py.
 * Source: timer_create(2), SIGEV_THREAD_ID.
 *
 * usage: host_timer SAMPLES; prints p50, p90, p99 and max in nanoseconds.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000ll

static volatile long long fired;

static long long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * SECOND + t.tv_nsec;
}

static void on_timer(int sig)
{
	(void)sig;
	fired = now();
}

static int by_size(const void *a, const void *b)
{
	long long x = *(const long long *)a, y = *(const long long *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 1000;
	long long *took = n > 0 ? calloc((size_t)n, sizeof(*took)) : NULL;
	struct sigaction sa = {.sa_handler = on_timer};
	struct sigevent ev = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN};
	timer_t timer;

	ev._sigev_un._tid = (int)syscall(SYS_gettid);
	if (!took || sigaction(SIGRTMIN, &sa, NULL) || timer_create(CLOCK_MONOTONIC, &ev, &timer))
		return 1;
	for (int i = 0; i < n; i++) {
		/* The guest's intervals: from one to two milliseconds. */
		long long at = now() + 1000000 + i * 617 % 1000 * 1000;
		struct itimerspec when = {.it_value = {at / SECOND, at % SECOND}};

		fired = 0;
		if (timer_settime(timer, TIMER_ABSTIME, &when, NULL))
			return 1;
		while (!fired)
			;
		took[i] = fired - at;
	}
	qsort(took, (size_t)n, sizeof(*took), by_size);
	printf("%lld %lld %lld %lld\n", took[n / 2], took[n * 9 / 10], took[n * 99 / 100],
	       took[n - 1]);
	return 0;
}
