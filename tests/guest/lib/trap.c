// SPDX-License-Identifier: GPL-2.0-or-later
/* Descriptor tables, exceptions and the catching of them. Source: Intel SDM 3A ch. 3, 6, 7. */
#include "guest.h"

struct jump {
	word regs[8];
};

int trap_call(struct jump *j, void *fn, word a, word b);
int trap_call_user(struct jump *j, void *fn, word a, word b);
void trap_jump(struct jump *j) __attribute__((noreturn));
void guest_main(void);
void guest_finish(void);
void trap_entry(struct frame *f);

#define FLAT(type, dpl, extra) (0x000f00000000ffffull | (uint64_t)(D_P | D_DPL(dpl) | (type)) << 40 | \
				(uint64_t)((D_G | (extra)) & 0xf000) << 40)
uint64_t gdt[GDT_SLOTS] __attribute__((aligned(16))) = {
	0,
	FLAT(0x1b, 0, IS64 ? D_L : D_32),
	FLAT(0x13, 0, D_32),
	FLAT(0x1b, 3, D_32),
	FLAT(0x13, 3, D_32),
	FLAT(0x1b, 3, D_L),
	FLAT(0x1b, 0, D_32),
	0x00009b000000ffffull, /* 16-bit code, base 0 */
	0x000093000000ffffull, /* 16-bit data, base 0 */
};
struct dtable gdt_ptr = {sizeof(gdt) - 1, (word)gdt};
struct gate idt[256] __attribute__((aligned(4096)));
struct tss tss __attribute__((aligned(4096)));
volatile unsigned trap_count[256];
struct user_env user_env;
word user_offset;

static trap_handler handlers[256];
static struct jump catcher;
static bool catching;
static struct trap caught;
static uint8_t user_stack[16384] __attribute__((aligned(4096)));

void gdt_set(unsigned sel, uint32_t base, uint32_t limit, unsigned attr)
{
	gdt[sel >> 3] = (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 |
			(uint64_t)(attr & 0xf0ff) << 40 | (uint64_t)(limit >> 16 & 15) << 48 |
			(uint64_t)(base >> 24) << 56;
}

void gate_set(void *slot, unsigned sel, word offset, unsigned attr, unsigned count)
{
	uint64_t *p = slot;

	p[0] = (offset & 0xffff) | (uint64_t)(sel & 0xffff) << 16 | (uint64_t)count << 32 |
	       (uint64_t)(attr & 0xff) << 40 | (uint64_t)(offset >> 16 & 0xffff) << 48;
#if IS64
	p[1] = offset >> 32;
#endif
}

void idt_set(unsigned vec, unsigned sel, void *handler, unsigned attr)
{
	gate_set(&idt[vec], sel, (word)handler, attr, 0);
}

void idt_reset(void)
{
	for (unsigned i = 0; i < 256; i++)
		idt_set(i, SEL_KCODE, trap_stubs[i], D_INTGATE);
	idt_set(0x81, SEL_KCODE, trap_stubs[0x81], D_INTGATE | D_DPL(3));
	idt_set(BP, SEL_KCODE, trap_stubs[BP], D_INTGATE | D_DPL(3));
	idt_set(OF, SEL_KCODE, trap_stubs[OF], D_INTGATE | D_DPL(3));
	lidt(idt, sizeof(idt) - 1);
}

void tables_load(void)
{
	lgdt(gdt, sizeof(gdt) - 1);
	lidt(idt, sizeof(idt) - 1);
	gdt_set(SEL_TSS, (uint32_t)(word)&tss, sizeof(tss) - 1, D_TSS32);
	gdt[(SEL_TSS >> 3) + 1] = 0;
	ltr(SEL_TSS);
}

void set_handler(unsigned vec, trap_handler h)
{
	handlers[vec] = h;
}

static void record(struct trap *t, const struct frame *f)
{
	memset(t, 0, sizeof(*t));
	t->vec = (int)f->vec;
	t->err = f->err;
	t->ip = f->ip;
	t->cs = f->cs;
	t->flags = f->flags;
	t->cr2 = read_cr2();
	t->dr6 = read_dr6();
	t->f = *f;
#if IS64
	t->sp = f->sp;
	t->ss = f->ss;
#else
	if ((f->cs & 3) || (f->flags & FL_VM)) {
		t->sp = f->sp;
		t->ss = f->ss;
	} else {
		t->sp = (word)&f->sp;
	}
#endif
	t->result = f->ax;
	if (f->vec == 0x81)
		t->vec = NO_TRAP;
}

void trap_entry(struct frame *f)
{
	struct trap t;

	trap_count[f->vec & 255]++;
	if (handlers[f->vec & 255]) {
		handlers[f->vec & 255](f);
		return;
	}
	record(&t, f);
	if (catching) {
		caught = t;
		trap_jump(&catcher);
	}
	print("FAIL unexpected exception: vector %u error %w at %w:%w flags %w sp %w cr2 %w\n",
	      (unsigned)f->vec, t.err, t.cs, t.ip, t.flags, t.sp, t.cr2);
	guest_exit(0x11);
}

static struct trap *catch_with(int (*call)(struct jump *, void *, word, word), void *fn, word a,
			       word b)
{
	catching = true;
	if (!call(&catcher, fn, a, b)) {
		memset(&caught, 0, sizeof(caught));
		caught.vec = NO_TRAP;
		caught.result = call_result;
	}
	catching = false;
	return &caught;
}

#if !IS64
#include "v86.h"
int trap_call_v86(struct jump *j, struct v86_regs *r);

struct trap *catch_v86(const void *code, const void *end, word flags)
{
	struct v86_regs r = {
		.ip = V86_CODE, .cs = V86_SEG, .flags = flags | FL_VM | 2, .sp = 0xfff0, .ss = V86_SEG,
		.es = V86_SEG, .ds = V86_SEG, .fs = V86_SEG, .gs = V86_SEG,
	};

	memcpy((void *)(V86_SEG * 16 + V86_CODE), code,
	       (size_t)((const uint8_t *)end - (const uint8_t *)code));
	catching = true;
	trap_call_v86(&catcher, &r);
	catching = false;
	return &caught;
}
#endif

struct trap *catch_trap(void *fn, word a, word b)
{
	return catch_with(trap_call, fn, a, b);
}

struct trap *catch_user(void *fn, word a, word b)
{
	user_env.exit = USER(user_exit);
	user_env.stack = USER(user_env.kstack);
	return catch_with(trap_call_user, (void *)USER(fn), a, b);
}

bool trap_is(const struct trap *t, int vec, word err)
{
	bool has_err = vec == DF || (vec >= TS && vec <= PF) || vec == AC;

	return t->vec == vec && (!has_err || t->err == err);
}

void guest_main(void)
{
	user_env.ss = SEL_UDATA;
	user_env.cs = SEL_UCODE;
	user_env.flags = 2;
	user_env.kstack = (word)user_stack + sizeof(user_stack) - 64;
#if IS64
	user_offset = 0x40000000;
	for (int i = 0; i < 3; i++)
		tss.rsp[i] = (word)kernel_entry_stack;
#else
	tss.esp0 = (word)kernel_entry_stack;
	tss.ss0 = SEL_KDATA;
#endif
	tss.iomap = offsetof(struct tss, bitmap);
	memset(tss.bitmap, 0xff, sizeof(tss.bitmap));
	idt_reset();
	tables_load();
	pic_init(0);
	guest_test();
	guest_finish();
}
