// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The machine around a test: flat user code in long mode or in protected mode, real mode or
 * virtual-8086 mode, and exception handlers that are HLTs. Any engine runs it.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "isa/isa.h"

/* Physical layout. */
#define PML4 0x1000u
#define PDPT 0x2000u
#define PD 0x3000u
#define PT_LOW 0x4000u
#define PT_CODE 0x5000u
#define PT_DATA 0x6000u
#define GDT 0x7000u
#define LDT 0x7800u
#define IDT 0x8000u
#define TSS 0x9000u
#define STUBS 0xa000u /* 256 HLTs, 16 bytes apart */
#define STACK_TOP 0xd000u
#define PDPT_HIGH 0xe000u
#define PD_HIGH 0xf000u
#define CODE_PHYS 0x10000u
#define DATA_PHYS 0x20000u
#define PD32 0x30000u
#define PT32_LOW 0x31000u
#define PT32_HIGH 0x32000u
#define PT32_CODE 0x33000u
#define PT32_DATA 0x34000u
#define IDT32 0x35000u
#define TSS32 0x36000u
#define RAM_BYTES 0x100000u
/* The machinery is mapped out of reach of what a test addresses. */
#define HIGH 0xffff800000000000ull
#define HIGH32 0xc0000000u

#define PTE_P 1u
#define PTE_W 2u
#define PTE_U 4u
#define PTE_AD 0x60u
#define PTE_USER (PTE_P | PTE_W | PTE_U | PTE_AD)

#define TIME_LIMIT_S 5

struct isa_vm {
	const struct engine_ops *ops;
	struct mem *mem;
	struct x86_cpuid cpuid;
	struct engine *engine;
	struct vcpu *vcpu;
};

/* ---- A machine without devices -----------------------------------------------------------------
 */

static uint64_t no_read(void *o, uint16_t port, unsigned size)
{
	(void)o, (void)port, (void)size;
	return ~0ull;
}

static void no_write(void *o, uint16_t port, uint64_t v, unsigned size)
{
	(void)o, (void)port, (void)v, (void)size;
}

static uint64_t no_mmio_read(void *o, unsigned cpu, gpa_t gpa, unsigned size)
{
	(void)o, (void)cpu, (void)gpa, (void)size;
	return ~0ull;
}

static void no_mmio_write(void *o, unsigned cpu, gpa_t gpa, uint64_t v, unsigned size)
{
	(void)o, (void)cpu, (void)gpa, (void)v, (void)size;
}

static int no_ack(void *o, unsigned cpu)
{
	(void)o, (void)cpu;
	return -1;
}

static int no_msr_read(void *o, unsigned cpu, uint32_t msr, uint64_t *v)
{
	(void)o, (void)cpu, (void)msr;
	*v = 0;
	return -1;
}

static int no_msr_write(void *o, unsigned cpu, uint32_t msr, uint64_t v)
{
	(void)o, (void)cpu, (void)msr, (void)v;
	return -1;
}

static uint8_t no_cr8_read(void *o, unsigned cpu)
{
	(void)o, (void)cpu;
	return 0;
}

static void no_cr8_write(void *o, unsigned cpu, uint8_t v)
{
	(void)o, (void)cpu, (void)v;
}

static void no_ferr(void *o, bool level)
{
	(void)o, (void)level;
}

static const struct engine_host no_host = {
	.pio_read = no_read,
	.pio_write = no_write,
	.mmio_read = no_mmio_read,
	.mmio_write = no_mmio_write,
	.irq_ack = no_ack,
	.apic_msr_read = no_msr_read,
	.apic_msr_write = no_msr_write,
	.cr8_read = no_cr8_read,
	.cr8_write = no_cr8_write,
	.ferr = no_ferr,
};

/* ---- Tables
 * -------------------------------------------------------------------------------------- */

static void tables_long(uint8_t *ram)
{
	st_le64(ram + PML4, PDPT | PTE_USER);
	st_le64(ram + PDPT, PD | PTE_USER);
	st_le64(ram + PD + (ISA_CODE >> 21) * 8, PT_CODE | PTE_USER);
	st_le64(ram + PD + (ISA_DATA >> 21) * 8, PT_DATA | PTE_USER);
	st_le64(ram + PML4 + 256 * 8, PDPT_HIGH | PTE_USER);
	st_le64(ram + PDPT_HIGH, PD_HIGH | PTE_USER);
	st_le64(ram + PD_HIGH, PT_LOW | PTE_USER);
	for (unsigned p = GDT; p < 0x10000; p += 0x1000)
		st_le64(ram + PT_LOW + (p >> 12) * 8, p | PTE_P | PTE_W | PTE_AD);
	for (unsigned i = 0; i < 2; i++) {
		st_le64(ram + PT_CODE + i * 8, (CODE_PHYS + i * 0x1000) | PTE_P | PTE_U | PTE_AD);
		st_le64(ram + PT_DATA + i * 8, (DATA_PHYS + i * 0x1000) | PTE_USER | 1ull << 63);
	}
}

/* The same for 32-bit paging. The first MiB is there for virtual-8086 mode. */
static void tables_legacy(uint8_t *ram)
{
	st_le32(ram + PD32, PT32_LOW | PTE_USER);
	st_le32(ram + PD32 + (HIGH32 >> 22) * 4, PT32_HIGH | PTE_USER);
	st_le32(ram + PD32 + (ISA_CODE >> 22) * 4, PT32_CODE | PTE_USER);
	st_le32(ram + PD32 + (ISA_DATA >> 22) * 4, PT32_DATA | PTE_USER);
	for (unsigned p = GDT; p < 0x38000; p += 0x1000)
		st_le32(ram + PT32_HIGH + (p >> 12) * 4, p | PTE_P | PTE_W | PTE_AD);
	for (unsigned p = CODE_PHYS; p < DATA_PHYS + ISA_DATA_REAL; p += 0x1000)
		st_le32(ram + PT32_LOW + (p >> 12) * 4, p | PTE_USER);
	for (unsigned i = 0; i < 2; i++) {
		st_le32(ram + PT32_CODE + i * 4, (CODE_PHYS + i * 0x1000) | PTE_P | PTE_U | PTE_AD);
		st_le32(ram + PT32_DATA + i * 4, (DATA_PHYS + i * 0x1000) | PTE_USER);
	}
}

static uint64_t segment(uint64_t base, uint32_t limit, unsigned access, unsigned flags)
{
	return (limit & 0xffff) | (base & 0xffffff) << 16 | (uint64_t)access << 40 |
	       (uint64_t)(limit >> 16 & 15) << 48 | (uint64_t)flags << 52 | (base >> 24) << 56;
}

static void descriptors(uint8_t *ram)
{
	st_le64(ram + GDT + 0x10, segment(0, 0xfffff, 0x9b, 0xa)); /* kernel CS */
	st_le64(ram + GDT + 0x18, segment(0, 0xfffff, 0x93, 0xc));
	st_le64(ram + GDT + 0x20, segment(0, 0xfffff, 0xfb, 0xc)); /* 0x23: 32-bit user CS */
	st_le64(ram + GDT + 0x28, segment(0, 0xfffff, 0xf3, 0xc)); /* 0x2b: user data */
	st_le64(ram + GDT + 0x30, segment(0, 0xfffff, 0xfb, 0xa)); /* 0x33: 64-bit user CS */
	st_le64(ram + GDT + 0x38, segment(0, 0xfffff, 0x9b, 0xc)); /* 32-bit kernel CS */
	st_le64(ram + LDT, segment(ISA_CODE, ISA_CODE_BYTES - 1, 0xfb, 0));
	st_le64(ram + LDT + 8, segment(ISA_DATA, ISA_DATA_BYTES - 1, 0xf3, 0));
	st_le64(ram + TSS + 4, HIGH + STACK_TOP);
	st_le64(ram + TSS + 36, HIGH + STACK_TOP); /* IST1: handlers of kernel code */
	st_le16(ram + TSS + 102, 0xffff);	   /* no I/O bitmap */
	st_le32(ram + TSS32 + 4, HIGH32 + STACK_TOP);
	st_le32(ram + TSS32 + 8, 0x18);
	st_le16(ram + TSS32 + 102, 0xffff);
}

static void handlers(uint8_t *ram)
{
	for (unsigned v = 0; v < 256; v++) {
		unsigned type = v == 3 || v == 4 ? 0xee : 0x8e, at = STUBS + v * 16;

		st_le32(ram + v * 4, (STUBS >> 4) << 16 | v * 16);
		st_le64(ram + IDT + v * 16,
			(at & 0xffff) | 0x10u << 16 | 1ull << 32 | (uint64_t)type << 40);
		st_le64(ram + IDT + v * 16 + 8, HIGH >> 32);
		st_le64(ram + IDT32 + v * 8, (at & 0xffff) | 0x38u << 16 | (uint64_t)type << 40 |
						     (uint64_t)(HIGH32 >> 16) << 48);
		ram[at] = 0xf4;
	}
}

/* ---- State
 * --------------------------------------------------------------------------------------- */

static struct x86_seg seg(uint16_t sel, uint64_t base, uint32_t limit, uint16_t attr)
{
	return (struct x86_seg){.sel = sel, .base = base, .limit = limit, .attr = attr};
}

static void system_long(struct x86_state *s)
{
	s->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
	s->cr3 = PML4;
	s->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE | CR4_FSGSBASE | CR4_PGE |
		 CR4_UMIP;
	s->efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
	s->gdtr = (struct x86_dtable){HIGH + GDT, 0x3f};
	s->idtr = (struct x86_dtable){HIGH + IDT, 0xfff};
	s->tr = seg(0x40, HIGH + TSS, 0x67, 0x8b);
	s->ldtr = seg(0x50, HIGH + LDT, 0x0f, 0x82);
}

static void system_legacy(struct x86_state *s)
{
	system_long(s);
	s->cr3 = PD32;
	s->cr4 &= ~(uint64_t)(CR4_PAE | CR4_FSGSBASE);
	s->efer = 0;
	s->gdtr = (struct x86_dtable){HIGH32 + GDT, 0x3f};
	s->idtr = (struct x86_dtable){HIGH32 + IDT32, 0x7ff};
	s->tr = seg(0x40, HIGH32 + TSS32, 0x67, 0x8b);
	s->ldtr = seg(0x50, HIGH32 + LDT, 0x0f, 0x82);
}

static void system_real(struct x86_state *s)
{
	s->cr0 = CR0_ET | CR0_NE;
	s->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT;
	s->idtr = (struct x86_dtable){0, 0x3ff};
}

static void segments_flat(struct x86_state *s, enum isa_mode mode)
{
	unsigned dpl = mode == ISA_K64 || mode == ISA_K32 ? 0 : 3;
	uint16_t data = dpl ? 0x2b : 0x18, priv = (uint16_t)(dpl << SEG_ATTR_DPL_SHIFT);

	for (unsigned i = 0; i < SEG_COUNT; i++)
		s->seg[i] = seg(data, 0, 0xffffffff, 0xc093 | priv);
	for (unsigned i = SEG_FS; i <= SEG_GS; i++) {
		s->seg[i] = seg(0, 0, 0, 0);
		s->seg[i].unusable = true;
	}
	if (mode == ISA_64 || mode == ISA_K64)
		s->seg[SEG_CS] = seg(dpl ? 0x33 : 0x10, 0, 0xffffffff, 0xa09b | priv);
	else
		s->seg[SEG_CS] = seg(dpl ? 0x23 : 0x38, 0, 0xffffffff, 0xc09b | priv);
}

static void segments(struct x86_state *s, enum isa_mode mode, enum isa_variant how)
{
	segments_flat(s, mode);
	if (mode == ISA_16) {
		for (unsigned i = SEG_ES; i <= SEG_DS; i++)
			s->seg[i] = seg(0x0f, ISA_DATA, ISA_DATA_BYTES - 1, 0x00f3);
		s->seg[SEG_CS] = seg(0x07, ISA_CODE, ISA_CODE_BYTES - 1, 0x00fb);
	} else if (mode == ISA_REAL) {
		uint16_t attr = how == ISA_V86 ? 0xf3 : 0x93;

		for (unsigned i = 0; i < SEG_COUNT; i++)
			s->seg[i] = seg(DATA_PHYS >> 4, DATA_PHYS, 0xffff, attr);
		s->seg[SEG_CS] =
			seg(CODE_PHYS >> 4, CODE_PHYS, 0xffff, how == ISA_V86 ? 0xf3 : 0x9b);
	}
}

/* What a test says of system registers and hidden parts of segments. */
static void system_inits(struct x86_state *s, const struct isa_test *t)
{
	for (const struct isa_rec *r = t->first; r->kind != ISA_END; r = isa_next(r)) {
		if (r->kind == ISA_INIT_SEG && r->arg < SEG_COUNT) {
			s->seg[r->arg] = seg((uint16_t)r->val[3], r->val[0], (uint32_t)r->val[1],
					     (uint16_t)r->val[2]);
			s->seg[r->arg].unusable = !(r->val[2] & SEG_ATTR_P);
		}
		if (r->kind != ISA_INIT)
			continue;
		if (r->arg == ISA_REG_CR0)
			s->cr0 = r->val[0];
		else if (r->arg == ISA_REG_CR4)
			s->cr4 = r->val[0];
		else if (r->arg == ISA_REG_EFER)
			s->efer = r->val[0];
		else if (r->arg == ISA_REG_XCR0)
			s->xcr0 = r->val[0];
	}
}

static void load_state(struct x86_state *s, const struct isa_test *t, enum isa_variant how,
		       const struct x86_cpuid *c)
{
	x86_state_reset(s, true);
	if (how == ISA_PLAIN)
		system_real(s);
	else if (how == ISA_LONG)
		system_long(s);
	else
		system_legacy(s);
	/* A processor without takes no state that has it. */
	if (!c->has[X86_FEAT_FSGSBASE])
		s->cr4 &= ~(uint64_t)CR4_FSGSBASE;
	if (!c->has[X86_FEAT_UMIP])
		s->cr4 &= ~(uint64_t)CR4_UMIP;
	s->xcr0 = 7;
	segments(s, t->mode, how);
	memcpy(s->gpr, t->in.gpr, sizeof(s->gpr));
	s->rip = t->in.rip;
	s->rflags = t->in.rflags;
	if (how == ISA_V86)
		s->rflags |= FLAG_VM;
	memcpy(s->xsave, t->in.xsave, ISA_XSAVE_BYTES);
	s->xsave[512] = 7;
	system_inits(s, t);
}

/* Code that is there already stays, with whatever the engine made of it. */
static void load_memory(struct isa_vm *vm, const struct isa_test *t)
{
	static uint8_t page[ISA_CODE_BYTES];
	uint8_t *ram = mem_base(vm->mem);

	memset(page, 0xcc, sizeof(page));
	memcpy(page + t->code_off, t->code, t->code_len);
	if (memcmp(ram + CODE_PHYS, page, sizeof(page)) != 0) {
		memcpy(ram + CODE_PHYS, page, sizeof(page));
		mem_wrote(vm->mem, CODE_PHYS, sizeof(page));
	}
	memcpy(ram + DATA_PHYS, t->in.data, ISA_DATA_REAL);
}

/* ---- Results
 * ------------------------------------------------------------------------------------- */

static const char *frame_long(const uint8_t *ram, const struct x86_state *st, struct isa_state *out)
{
	uint64_t sp = st->gpr[R_RSP] - HIGH, at = st->rip - 1 - HIGH - STUBS;

	if (sp > STACK_TOP - 40 || sp < STACK_TOP - 48 || at >= 4096)
		return "HLT, but not by an exception";
	out->vector = (uint8_t)(at / 16);
	/* The stack was 16-byte aligned: 40 bytes, or 48 with an error code. */
	if (STACK_TOP - sp == 48) {
		out->error = (uint32_t)ld_le64(ram + sp);
		sp += 8;
	}
	out->rip = ld_le64(ram + sp);
	out->rflags = ld_le64(ram + sp + 16);
	out->gpr[R_RSP] = ld_le64(ram + sp + 24);
	return NULL;
}

static const char *frame_legacy(const uint8_t *ram, const struct x86_state *st, bool v86,
				struct isa_state *out)
{
	uint32_t sp = (uint32_t)st->gpr[R_RSP] - HIGH32, words = v86 ? 9 : 5;
	uint64_t at = st->rip - 1 - HIGH32 - STUBS;

	if ((sp != STACK_TOP - 4 * words && sp != STACK_TOP - 4 * words - 4) || at >= 4096)
		return "HLT, but not by an exception";
	out->vector = (uint8_t)(at / 16);
	if (STACK_TOP - sp == 4 * words + 4) {
		out->error = ld_le32(ram + sp);
		sp += 4;
	}
	out->rip = ld_le32(ram + sp);
	out->rflags = ld_le32(ram + sp + 8) & ~(uint64_t)FLAG_VM;
	out->gpr[R_RSP] = ld_le32(ram + sp + 12);
	return NULL;
}

/* Real mode pushes IP, CS and FLAGS on the test's own stack: those bytes are put back. */
static const char *frame_real(const struct isa_test *t, const struct x86_state *st,
			      struct isa_state *out)
{
	uint16_t sp = (uint16_t)st->gpr[R_RSP], frame[3];
	uint64_t at = st->rip - 1;

	if (st->seg[SEG_CS].sel != STUBS >> 4 || at >= 4096 || st->seg[SEG_SS].base != DATA_PHYS)
		return "HLT, but not by an exception";
	out->vector = (uint8_t)(at / 16);
	for (unsigned i = 0; i < 3; i++) {
		uint16_t lo = (uint16_t)(sp + 2 * i), hi = (uint16_t)(lo + 1);

		frame[i] = (uint16_t)(out->data[lo] | out->data[hi] << 8);
		out->data[lo] = t->in.data[lo];
		out->data[hi] = t->in.data[hi];
	}
	out->rip = frame[0];
	out->rflags = (st->rflags & ~0xffffull) | frame[2];
	out->gpr[R_RSP] = (st->gpr[R_RSP] & ~0xffffull) | (uint16_t)(sp + 6);
	return NULL;
}

/* Components that XSAVE found in their initial state may keep old bytes. */
static void take_xsave(const struct x86_state *st, uint8_t *x)
{
	memcpy(x, st->xsave, ISA_XSAVE_BYTES);
	if (!(st->xsave[512] & 2))
		memset(x + 160, 0, 256);
	if (!(st->xsave[512] & 4))
		memset(x + 576, 0, 256);
	if (!(st->xsave[512] & 1)) {
		memset(x, 0, 24);
		st_le16(x, 0x37f);
		memset(x + 32, 0, 128);
	}
}

/* ---- Running
 * ------------------------------------------------------------------------------------- */

/* A signal handler has no other way to the vCPU. */
static struct isa_vm *running;
static volatile bool kicked;

/* A kick from the vCPU's own thread may not reach a loop of generated code. */
static void on_alarm(int sig)
{
	static const char text[] = "isa: a test does not end, not even by a kick\n";

	(void)sig;
	if (kicked && write(STDERR_FILENO, text, sizeof(text) - 1) > 0)
		_exit(1);
	kicked = true;
	running->ops->kick(running->vcpu);
}

static enum engine_exit run_limited(struct isa_vm *vm)
{
	struct sigaction sa = {.sa_handler = on_alarm, .sa_flags = SA_ONSTACK};
	struct itimerval limit = {{TIME_LIMIT_S, 0}, {TIME_LIMIT_S, 0}}, none = {0};
	enum engine_exit why;

	running = vm;
	kicked = false;
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &limit, NULL);
	why = vm->ops->run(vm->vcpu);
	setitimer(ITIMER_REAL, &none, NULL);
	return why;
}

const char *isa_vm_run(struct isa_vm *vm, const struct isa_test *t, enum isa_variant how,
		       struct isa_state *out)
{
	const uint8_t *ram = mem_base(vm->mem);
	const struct x86_state *st;

	load_state(vm->ops->state(vm->vcpu), t, how, isa_vm_cpuid(vm));
	load_memory(vm, t);
	vm->ops->state_changed(vm->vcpu);
	switch (run_limited(vm)) {
	case ENGINE_EXIT_HALT:
		break;
	case ENGINE_EXIT_KICK:
		return "it does not end";
	case ENGINE_EXIT_SHUTDOWN:
		return "triple fault";
	default:
		return vm->ops->error(vm->vcpu);
	}
	st = vm->ops->state(vm->vcpu);
	memset(out, 0, sizeof(*out));
	memcpy(out->gpr, st->gpr, sizeof(out->gpr));
	memcpy(out->data, ram + DATA_PHYS, sizeof(out->data));
	take_xsave(st, out->xsave);
	out->cr2 = st->cr2;
	if (how == ISA_LONG)
		return frame_long(ram, st, out);
	if (how == ISA_PLAIN)
		return frame_real(t, st, out);
	return frame_legacy(ram, st, how == ISA_V86, out);
}

struct isa_vm *isa_vm_new(const struct isa_engine *engine, const char *model)
{
	struct isa_vm *vm = calloc(1, sizeof(*vm));
	struct lodge_err err = {"out of memory"};
	uint8_t *ram;

	if (!vm)
		return NULL;
	vm->ops = engine->ops;
	vm->mem = mem_new(RAM_BYTES, 0, &err);
	if (!vm->mem || x86_cpuid_build(&vm->cpuid, model, 1, &err) < 0 ||
	    mem_map(vm->mem, 0, RAM_BYTES, MEM_RAM, 0) < 0)
		goto fail;
	ram = mem_base(vm->mem);
	tables_long(ram);
	tables_legacy(ram);
	descriptors(ram);
	handlers(ram);

	struct engine_config cfg = {
		.cpus = 1,
		.soft = {.tier = engine->tier, .warm = 1, .check = engine->check},
		.cpuid = &vm->cpuid,
		.mem = vm->mem,
		.host = no_host};

	vm->engine = vm->ops->create(&cfg, &err);
	if (!vm->engine)
		goto fail;
	vm->vcpu = vm->ops->vcpu(vm->engine, 0);
	return vm;
fail:
	fprintf(stderr, "isa: %s: %s\n", model, err.msg);
	if (vm->mem)
		mem_free(vm->mem);
	free(vm);
	return NULL;
}

const struct x86_cpuid *isa_vm_cpuid(const struct isa_vm *vm)
{
	return vm->ops->cpuid ? vm->ops->cpuid(vm->engine) : &vm->cpuid;
}

void isa_vm_free(struct isa_vm *vm)
{
	vm->ops->destroy(vm->engine);
	mem_free(vm->mem);
	free(vm);
}
