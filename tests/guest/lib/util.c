// SPDX-License-Identifier: GPL-2.0-or-later
/* Memory, CPUID, interrupt controllers, delays. Source: Intel 8259A and 82C54 data sheets. */
#include "guest.h"

void *memset(void *p, int c, size_t n)
{
	void *d = p;

	asm volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(c) : "memory");
	return p;
}

void *memcpy(void *d, const void *s, size_t n)
{
	void *r = d;

	asm volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n)::"memory");
	return r;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const uint8_t *x = a, *y = b;

	for (; n; n--, x++, y++)
		if (*x != *y)
			return *x - *y;
	return 0;
}

void *alloc_pages(unsigned n, word align)
{
	static word next = 0x1000000; /* 16 MiB: above everything a loader puts down */
	word p = (next + align - 1) & ~(align - 1);

	next = p + n * 4096;
	memset((void *)p, 0, n * 4096);
	return (void *)p;
}

bool is_amd(void)
{
	return cpuid(0, 0).b == 0x68747541; /* "Auth"enticAMD */
}

unsigned phys_bits(void)
{
	if (cpuid(0x80000000, 0).a < 0x80000008)
		return 36;
	return cpuid(0x80000008, 0).a & 0xff;
}

bool has_leaf7_b(unsigned bit)
{
	return cpuid(0, 0).a >= 7 && (cpuid(7, 0).b >> bit & 1);
}

bool has_leaf1_c(unsigned bit)
{
	return cpuid(1, 0).c >> bit & 1;
}

bool has_leaf1_d(unsigned bit)
{
	return cpuid(1, 0).d >> bit & 1;
}

bool has_ext1_d(unsigned bit)
{
	return cpuid(0x80000000, 0).a >= 0x80000001 && (cpuid(0x80000001, 0).d >> bit & 1);
}

static word do_wrmsr(word msr, word value)
{
	wrmsr((uint32_t)msr, *(uint64_t *)value);
	return 0;
}

static word do_rdmsr(word msr, word value)
{
	*(uint64_t *)value = rdmsr((uint32_t)msr);
	return 0;
}

int wrmsr_safe(uint32_t msr, uint64_t v)
{
	struct trap *t = catch_trap(do_wrmsr, msr, (word)&v);

	return t->vec == NO_TRAP ? 0 : t->vec;
}

int rdmsr_safe(uint32_t msr, uint64_t *v)
{
	struct trap *t = catch_trap(do_rdmsr, msr, (word)v);

	return t->vec == NO_TRAP ? 0 : t->vec;
}

void pic_init(uint16_t open)
{
	outb(0x20, 0x11);
	outb(0xa0, 0x11);
	outb(0x21, 0x20);
	outb(0xa1, 0x28);
	outb(0x21, 4);
	outb(0xa1, 2);
	outb(0x21, 1);
	outb(0xa1, 1);
	outb(0x21, (uint8_t)~open);
	outb(0xa1, (uint8_t)(~open >> 8));
}

void pic_eoi(unsigned irq)
{
	if (irq >= 8)
		outb(0xa0, 0x20);
	outb(0x20, 0x20);
}

bool wait_change(volatile unsigned *p, unsigned old)
{
	uint64_t start = rdtsc();

	while (*p == old)
		if (rdtsc() - start > 20000000000ull) /* 5 to 10 s */
			return false;
	return true;
}

unsigned guest_rounds(unsigned n)
{
	const uint32_t *info = (const uint32_t *)(word)boot_info;
	const char *p = boot_magic == 0x2badb002 && info[0] & 4 ? (const char *)(word)info[4] : "";

	for (; *p; p++) {
		if (!memcmp(p, " slow", 5))
			return n > 100 ? n / 100 : 1;
	}
	return n;
}

/* Channel 2 in mode 0: its output, seen in port 0x61 bit 5, goes high when the count has run out. */
void delay_ms(unsigned ms)
{
	for (; ms; ms--) {
		outb(0x61, (uint8_t)((inb(0x61) & ~2) | 1));
		outb(0x43, 0xb0);
		outb(0x42, 1193 & 0xff);
		outb(0x42, 1193 >> 8);
		while (!(inb(0x61) & 0x20))
			;
	}
}

void apic_enable(void)
{
	apic_write(0xf0, 0x1ff);
}
