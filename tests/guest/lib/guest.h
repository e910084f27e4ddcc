/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runtime of the bare-metal guest programs, 32-bit (no paging at start) and 64-bit (identity map).
 * One processor runs at CPL 0 with interrupts off; every exception is recorded, see catch_trap.
 * A program defines guest_test(); each of its checks prints "ok NAME" or "FAIL NAME: …", and the
 * verdict leaves through isa-debug-exit: 0x10 all passed, 0x11 not.
 */
#ifndef GUEST_H
#define GUEST_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef unsigned long word; /* as wide as a register */

#ifdef __x86_64__
#define IS64 1
#define CALL_REGS
#else
#define IS64 0
#endif

/* ---- printing and verdicts ------------------------------------------------------------------ */
void print(const char *fmt, ...);  /* %s %d %u %x %lx %c and %w (a word in hexadecimal) */
/* The name of a check is a format with its own arguments. */
bool check(bool good, const char *fmt, ...);
bool check_eq(uint64_t got, uint64_t want, const char *fmt, ...);
/* Many cases under one name: only failures are printed one by one, at most 10 of them. */
void group_begin(const char *name);
void group_case(bool good, const char *fmt, ...);
void group_end(void);
/* A check that this machine cannot run; the test runner counts it as a failure. */
void check_skip(const char *name, const char *why);
/* QEMU's TCG would hang or reset in what follows: says so and is true when this is QEMU's TCG. */
bool qemu_lacks(const char *name);
void guest_exit(unsigned value) __attribute__((noreturn));
void guest_test(void);

/* ---- exceptions ----------------------------------------------------------------------------- */
struct frame {
#if IS64
	word r15, r14, r13, r12, r11, r10, r9, r8;
	word di, si, bp, bx, unused, dx, cx, ax;
	word vec, err, ip, cs, flags, sp, ss;
#else
	word gs, fs, es, ds;
	word di, si, bp, unused, bx, dx, cx, ax;
	word vec, err, ip, cs, flags;
	word sp, ss;                 /* only from an outer level */
	word v_es, v_ds, v_fs, v_gs; /* only from virtual-8086 mode */
#endif
};

#define NO_TRAP (-1)
struct trap {
	int vec; /* NO_TRAP when the code came back */
	word err, ip, cs, flags, sp, ss, cr2, dr6;
	word result; /* what the function returned */
	struct frame f;
};

enum { DE, DB, NMI, BP, OF, BR, UD, NM, DF, CSO, TS, NP, SS, GP, PF, MF = 16, AC, MC, XM };

typedef word (*trap_fn)(word a, word b);
/*
 * Run fn(a, b) at CPL 0, or at CPL 3. An exception in it ends it and is described in the result
 * (valid until the next call). Segment registers and flags are set back.
 */
struct trap *catch_trap(void *fn, word a, word b);
struct trap *catch_user(void *fn, word a, word b);
/* Check that `t` is exception `vec` (or NO_TRAP) with error code `err` (where it has one). */
bool check_trap(const struct trap *t, int vec, word err, const char *fmt, ...);
bool trap_is(const struct trap *t, int vec, word err);

/* What catch_user enters user mode with; the layout is known to start32.S and start64.S. */
struct user_env {
	word ss, cs, stack, flags, exit, kstack;
};
extern struct user_env user_env;
/* An address as user mode sees it: the 64-bit map has a user alias, and so may a test's own. */
extern word user_offset;
#define USER(p) ((word)(p) + user_offset)

/* A handler that returns to the interrupted code, after it changed the frame if it wants to. */
typedef void (*trap_handler)(struct frame *f);
void set_handler(unsigned vec, trap_handler h);
extern volatile unsigned trap_count[256];
/* The entry code for a vector, for tests that write IDT entries of their own. */
extern uint8_t trap_stubs[256][16];

/* ---- descriptor tables ---------------------------------------------------------------------- */
#define SEL_KCODE 0x08
#define SEL_KDATA 0x10
#define SEL_UCODE32 0x1b
#define SEL_UDATA 0x23
#define SEL_UCODE64 0x2b
#define SEL_KCODE32 0x30
#define SEL_KCODE16 0x38
#define SEL_KDATA16 0x40
#define SEL_TSS 0x48
#define SEL_SPARE 0x60 /* free for tests from here to the end */
#define GDT_SLOTS 96
#define SEL_UCODE (IS64 ? SEL_UCODE64 : SEL_UCODE32)
extern uint64_t gdt[GDT_SLOTS];

/* Descriptor bits 40..55: type, S, DPL, P, AVL, L, DB, G. */
#define D_DATA 0x93
#define D_CODE 0x9b
#define D_P 0x80
#define D_DPL(n) ((n) << 5)
#define D_L 0x2000
#define D_32 0x4000
#define D_G 0x8000
#define D_TSS32 0x89
#define D_TSS16 0x81
#define D_LDT 0x82
#define D_CALLGATE 0x8c
#define D_CALLGATE16 0x84
#define D_TASKGATE 0x85
#define D_INTGATE 0x8e
#define D_TRAPGATE 0x8f
/* `limit` is the raw 20-bit field. */
void gdt_set(unsigned sel, uint32_t base, uint32_t limit, unsigned attr);
void gate_set(void *slot, unsigned sel, word offset, unsigned attr, unsigned count);
void idt_set(unsigned vec, unsigned sel, void *handler, unsigned attr);
void idt_reset(void);

struct dtable {
	uint16_t limit;
	word base;
} __attribute__((packed));

#if IS64
struct gate {
	uint64_t lo, hi;
};
struct tss {
	uint32_t pad0;
	uint64_t rsp[3], pad1, ist[7], pad2;
	uint16_t pad3, iomap;
	uint8_t bitmap[8192 + 1];
} __attribute__((packed));
#else
struct gate {
	uint64_t lo;
};
struct tss {
	uint32_t link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags;
	uint32_t eax, ecx, edx, ebx, esp, ebp, esi, edi, es, cs, ss, ds, fs, gs, ldt;
	uint16_t trap, iomap;
	uint8_t redirect[32];
	uint8_t bitmap[8192 + 1];
} __attribute__((packed));
#endif
extern struct gate idt[256];
extern struct tss tss;

/* ---- memory --------------------------------------------------------------------------------- */
/* Zeroed 4 KiB pages of RAM, never given back. `align` in bytes, at least 4096. */
void *alloc_pages(unsigned n, word align);
void *memset(void *p, int c, size_t n);
void *memcpy(void *d, const void *s, size_t n);
int memcmp(const void *a, const void *b, size_t n);

extern uint32_t boot_magic, boot_info;
/*
 * So many rounds; or a hundredth, if the loader's command line (-append) has the word `slow`: where processors of an
 * emulator take turns, each handshake costs slices of time.
 */
unsigned guest_rounds(unsigned n);
extern word call_result;
#if IS64
extern uint64_t boot_pml4[512], boot_pdpt[512], boot_pd[4 * 512];
#endif
extern uint8_t stack_top[], kernel_entry_stack[], user_exit[], image_end[];

/* ---- the processor -------------------------------------------------------------------------- */
#define DEFINE_CR(n)                                                                               \
	static inline word read_cr##n(void)                                                        \
	{                                                                                          \
		word v;                                                                            \
		asm volatile("mov %%cr" #n ", %0" : "=r"(v)::"memory");                            \
		return v;                                                                          \
	}                                                                                          \
	static inline void write_cr##n(word v)                                                     \
	{                                                                                          \
		asm volatile("mov %0, %%cr" #n ::"r"(v) : "memory");                               \
	}
DEFINE_CR(0)
DEFINE_CR(2)
DEFINE_CR(3)
DEFINE_CR(4)
#define DEFINE_DR(n)                                                                               \
	static inline word read_dr##n(void)                                                        \
	{                                                                                          \
		word v;                                                                            \
		asm volatile("mov %%dr" #n ", %0" : "=r"(v)::"memory");                            \
		return v;                                                                          \
	}                                                                                          \
	static inline void write_dr##n(word v)                                                     \
	{                                                                                          \
		asm volatile("mov %0, %%dr" #n ::"r"(v) : "memory");                               \
	}
DEFINE_DR(0)
DEFINE_DR(1)
DEFINE_DR(2)
DEFINE_DR(3)
DEFINE_DR(6)
DEFINE_DR(7)

static inline uint64_t rdmsr(uint32_t msr)
{
	uint32_t lo, hi;

	asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr) : "memory");
	return (uint64_t)hi << 32 | lo;
}

static inline void wrmsr(uint32_t msr, uint64_t v)
{
	asm volatile("wrmsr" ::"c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}

/* 0, or the vector of the exception. */
int wrmsr_safe(uint32_t msr, uint64_t v);
int rdmsr_safe(uint32_t msr, uint64_t *v);

static inline uint64_t rdtsc(void)
{
	uint32_t lo, hi;

	asm volatile("rdtsc" : "=a"(lo), "=d"(hi)::"memory");
	return (uint64_t)hi << 32 | lo;
}

struct cpuid {
	uint32_t a, b, c, d;
};
static inline struct cpuid cpuid(uint32_t leaf, uint32_t sub)
{
	struct cpuid r;

	asm volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(sub));
	return r;
}
bool is_amd(void);
unsigned phys_bits(void);
bool has_leaf7_b(unsigned bit);
bool has_leaf1_c(unsigned bit);
bool has_leaf1_d(unsigned bit);
bool has_ext1_d(unsigned bit);

#define DEFINE_IO(sfx, type)                                                                       \
	static inline type in##sfx(uint16_t port)                                                  \
	{                                                                                          \
		type v;                                                                            \
		asm volatile("in %1, %0" : "=a"(v) : "Nd"(port) : "memory");                       \
		return v;                                                                          \
	}                                                                                          \
	static inline void out##sfx(uint16_t port, type v)                                         \
	{                                                                                          \
		asm volatile("out %0, %1" ::"a"(v), "Nd"(port) : "memory");                        \
	}
DEFINE_IO(b, uint8_t)
DEFINE_IO(w, uint16_t)
DEFINE_IO(l, uint32_t)

static inline void sti(void)
{
	asm volatile("sti" ::: "memory");
}
static inline void cli(void)
{
	asm volatile("cli" ::: "memory");
}
static inline word read_flags(void)
{
	word f;

	asm volatile("pushf; pop %0" : "=r"(f)::"memory");
	return f;
}
static inline void write_flags(word f)
{
	asm volatile("push %0; popf" ::"r"(f) : "memory", "cc");
}
static inline void lidt(const void *base, unsigned limit)
{
	struct dtable d = {(uint16_t)limit, (word)base};

	asm volatile("lidt %0" ::"m"(d) : "memory");
}
static inline void lgdt(const void *base, unsigned limit)
{
	struct dtable d = {(uint16_t)limit, (word)base};

	asm volatile("lgdt %0" ::"m"(d) : "memory");
}
static inline void ltr(uint16_t sel)
{
	asm volatile("ltr %0" ::"r"(sel) : "memory");
}
static inline void lldt(uint16_t sel)
{
	asm volatile("lldt %0" ::"r"(sel) : "memory");
}
static inline void invlpg(word a)
{
	asm volatile("invlpg (%0)" ::"r"(a) : "memory");
}
static inline void flush_tlb(void)
{
	write_cr3(read_cr3());
}
/* Load GDT, IDT and TR with the runtime's own tables, e.g. after a test changed them. */
void tables_load(void);

#define FL_CF 0x1
#define FL_PF 0x4
#define FL_AF 0x10
#define FL_ZF 0x40
#define FL_SF 0x80
#define FL_TF 0x100
#define FL_IF 0x200
#define FL_DF 0x400
#define FL_OF 0x800
#define FL_IOPL3 0x3000
#define FL_NT 0x4000
#define FL_RF 0x10000
#define FL_VM 0x20000
#define FL_AC 0x40000
#define FL_VIF 0x80000
#define FL_VIP 0x100000
#define FL_ID 0x200000

#define C0_PE 0x1
#define C0_MP 0x2
#define C0_EM 0x4
#define C0_TS 0x8
#define C0_NE 0x20
#define C0_WP 0x10000
#define C0_AM 0x40000
#define C0_NW 0x20000000
#define C0_CD 0x40000000
#define C0_PG 0x80000000u
#define C4_VME 0x1
#define C4_PVI 0x2
#define C4_TSD 0x4
#define C4_DE 0x8
#define C4_PSE 0x10
#define C4_PAE 0x20
#define C4_PGE 0x80
#define C4_OSFXSR 0x200
#define C4_OSXMMEXCPT 0x400
#define C4_UMIP 0x800
#define C4_FSGSBASE 0x10000
#define C4_PCIDE 0x20000
#define C4_OSXSAVE 0x40000
#define C4_SMEP 0x100000
#define C4_SMAP 0x200000
#define MSR_EFER 0xc0000080
#define EFER_SCE 1
#define EFER_LME 0x100
#define EFER_LMA 0x400
#define EFER_NXE 0x800

/* ---- interrupt controllers and time --------------------------------------------------------- */
/* 8259s at vectors 0x20 and 0x28, everything masked but the lines in `open`. */
void pic_init(uint16_t open);
void pic_eoi(unsigned irq);
/* Spin (interrupts as they are) until *p != old or a few seconds have gone; true when it changed. */
bool wait_change(volatile unsigned *p, unsigned old);
/* Some milliseconds by the ACPI-independent 8254, channel 2. */
void delay_ms(unsigned ms);

#define APIC_BASE 0xfee00000u
static inline uint32_t apic_read(unsigned reg)
{
	return *(volatile uint32_t *)(word)(APIC_BASE + reg);
}
static inline void apic_write(unsigned reg, uint32_t v)
{
	*(volatile uint32_t *)(word)(APIC_BASE + reg) = v;
}
/* Software-enable the local APIC, spurious vector 0xff. */
void apic_enable(void);
#define apic_eoi() apic_write(0xb0, 0)

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define STR2(x) #x
#define STR(x) STR2(x)
/* Code under test, written as assembly: a label the C code can name. Ends in a return. */
#define SNIPPET(name, text)                                                                        \
	extern uint8_t name[];                                                                     \
	asm(".pushsection .text\n.globl " #name "\n" #name ":\n" text "\n\tret\n.popsection")
/* First and second argument of a snippet, and helpers that fit both widths. */
#if IS64
#define A0 "%rdi"
#define A1 "%rsi"
#define A0L "%edi"
#define A1L "%esi"
#define AX "rax"
#else
#define A0 "%eax"
#define A1 "%edx"
#define A0L "%eax"
#define A1L "%edx"
#define AX "eax"
#endif

#endif
