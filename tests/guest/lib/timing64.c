// SPDX-License-Identifier: GPL-2.0-or-later
/* Time in guest programs. Source: ACPI 6.5 §4.8.3.3. */
#include "timing.h"

/* A busy machine is given so long to let something happen undisturbed. */
#define TRY_US 3000000

uint32_t pm_timer(void)
{
	return inl(PM_TIMER_PORT);
}

/* Both clocks at one moment; a pause between the two reads is noticed and they are read again. */
static void both_clocks(uint64_t *tsc, uint32_t *pm)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < 50; i++) {
		uint64_t before = rdtsc();
		uint32_t t = pm_timer();
		uint64_t took = rdtsc() - before;

		if (took < best) {
			best = took;
			*tsc = before;
			*pm = t;
		}
	}
}

uint64_t tsc_hz(void)
{
	static uint64_t hz;
	uint64_t t0 = 0, t1 = 0;
	uint32_t p0 = 0, p1 = 0;

	if (hz)
		return hz;
	both_clocks(&t0, &p0);
	while (((pm_timer() - p0) & 0xffffff) < PM_TIMER_HZ / 20)
		;
	both_clocks(&t1, &p1);
	hz = (t1 - t0) * PM_TIMER_HZ / ((p1 - p0) & 0xffffff);
	return hz;
}

uint64_t usec(void)
{
	static uint64_t start;
	uint64_t hz = tsc_hz();

	if (!start)
		start = rdtsc();
	return (rdtsc() - start) * 1000 / (hz / 1000);
}

void wait_us(unsigned us)
{
	uint64_t end = usec() + us;

	while (usec() < end)
		;
}

bool wait_count(volatile unsigned *p, unsigned want, unsigned ms)
{
	uint64_t end = usec() + ms * 1000ull;

	while (*p < want)
		if (usec() > end)
			return *p >= want;
	return true;
}

bool wait_irqs(volatile unsigned *p, unsigned want, unsigned ms)
{
	bool good;

	sti();
	good = wait_count(p, want, ms);
	cli();
	return good;
}

bool check_near(uint64_t (*measure)(word arg), word arg, uint64_t want, const char *name, ...)
{
	uint64_t start = usec(), got = 0;
	const char *what;
	va_list ap;

	va_start(ap, name);
	what = va_arg(ap, const char *); /* something harmless when the name has none */
	va_end(ap);
	for (int i = 0; i < 5 || usec() - start < TRY_US; i++) {
		got = measure(arg);
		if (!got || (got >= want / 2 && got <= want * 2))
			break;
	}
	if (got >= want / 2 && got <= want * 2)
		return check(true, name, what);
	print("  expected %q within a factor of 2, got %q\n", want, got);
	return check(false, name, what);
}

bool check_tries(bool (*f)(void), const char *name)
{
	uint64_t start = usec();
	bool good = f();

	while (!good && usec() - start < TRY_US)
		good = f();
	return check(good, "%s", name);
}
