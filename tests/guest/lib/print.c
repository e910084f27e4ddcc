// SPDX-License-Identifier: GPL-2.0-or-later
/* Output of the guest programs: the debug console when there is one, else the first serial port. */
#include "guest.h"

static unsigned failed, total;
static const char *group;
static unsigned group_bad, group_cases;

static void put(char c)
{
	static int console = -1;

	if (console < 0)
		console = inb(0xe9) == 0xe9;
	if (console) {
		outb(0xe9, (uint8_t)c);
		return;
	}
	while (!(inb(0x3fd) & 0x20))
		;
	outb(0x3f8, (uint8_t)c);
}

static void put_text(const char *s)
{
	while (*s)
		put(*s++);
}

static void put_hex(uint64_t v)
{
	int i = 60;

	put_text("0x");
	while (i > 0 && !(v >> i))
		i -= 4;
	for (; i >= 0; i -= 4)
		put("0123456789abcdef"[v >> i & 15]);
}

static void put_dec(unsigned v)
{
	char buf[12];
	unsigned n = 0;

	do {
		buf[n++] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	while (n)
		put(buf[--n]);
}

static void put_signed(int v)
{
	if (v < 0) {
		put('-');
		v = -v;
	}
	put_dec((unsigned)v);
}

static void vprint(const char *fmt, va_list ap)
{
	for (; *fmt; fmt++) {
		if (*fmt != '%') {
			put(*fmt);
			continue;
		}
		switch (*++fmt) {
		case 's': put_text(va_arg(ap, const char *)); break;
		case 'c': put((char)va_arg(ap, int)); break;
		case 'd': put_signed(va_arg(ap, int)); break;
		case 'u': put_dec(va_arg(ap, unsigned)); break;
		case 'x': put_hex(va_arg(ap, unsigned)); break;
		case 'w': put_hex(va_arg(ap, word)); break;
		case 'q': put_hex(va_arg(ap, uint64_t)); break;
		default: put(*fmt); break;
		}
	}
}

void print(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprint(fmt, ap);
	va_end(ap);
}

static void verdict(bool good, const char *fmt, va_list ap)
{
	total++;
	failed += !good;
	put_text(good ? "ok " : "FAIL ");
	vprint(fmt, ap);
}

bool check(bool good, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	verdict(good, fmt, ap);
	va_end(ap);
	put_text(good ? "\n" : ": expected true got false\n");
	return good;
}

bool check_eq(uint64_t got, uint64_t want, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	verdict(got == want, fmt, ap);
	va_end(ap);
	if (got != want)
		print(": expected %q got %q", want, got);
	put('\n');
	return got == want;
}

static void print_trap(int vec, word err)
{
	static const char names[20][4] = {"DE", "DB", "NMI", "BP", "OF", "BR", "UD", "NM", "DF", "9",
					  "TS", "NP", "SS", "GP", "PF", "15", "MF", "AC", "MC", "XM"};

	if (vec == NO_TRAP)
		put_text("nothing");
	else if (vec < 20)
		print("#%s(%w)", names[vec], err);
	else
		print("interrupt %x", (unsigned)vec);
}

bool check_trap(const struct trap *t, int vec, word err, const char *fmt, ...)
{
	bool good = trap_is(t, vec, err);
	va_list ap;

	va_start(ap, fmt);
	verdict(good, fmt, ap);
	va_end(ap);
	if (!good) {
		put_text(": expected ");
		print_trap(vec, err);
		put_text(" got ");
		print_trap(t->vec, t->err);
		print(" at %w, cr2 %w", t->ip, t->cr2);
	}
	put('\n');
	return good;
}

void group_begin(const char *name)
{
	group = name;
	group_bad = group_cases = 0;
}

void group_case(bool good, const char *fmt, ...)
{
	va_list ap;

	group_cases++;
	if (good)
		return;
	if (++group_bad > 10)
		return;
	print("  %s, case %u: ", group, group_cases);
	va_start(ap, fmt);
	vprint(fmt, ap);
	va_end(ap);
	put('\n');
}

void group_end(void)
{
	total++;
	failed += group_bad != 0;
	if (group_bad)
		print("FAIL %s: %u of %u cases\n", group, group_bad, group_cases);
	else
		print("ok %s (%u cases)\n", group, group_cases);
}

void check_skip(const char *name, const char *why)
{
	print("skip %s: %s\n", name, why);
}

bool qemu_lacks(const char *name)
{
	struct cpuid c = cpuid(0x40000000, 0);

	if (c.b != 0x54474354) /* "TCGT" */
		return false;
	check_skip(name, "QEMU's TCG does not do this");
	return true;
}

void guest_exit(unsigned value)
{
	print("%u checks, %u failed\n", total, failed);
	outl(0xf4, value);
	for (;;)
		asm volatile("cli; hlt");
}

void guest_finish(void)
{
	guest_exit(failed || !total ? 0x11 : 0x10);
}
