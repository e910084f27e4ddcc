// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The engine's side: a guest in long mode with the same user-space layout, whose exception handlers
 * are HLTs. One test is: state in, run until HLT, read the exception frame.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "engine/engine.h"
#include "oracle/oracle.h"

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
#define CODE_PHYS 0x10000u
#define DATA_PHYS 0x14000u
#define RAM_BYTES 0x100000u
#define PDPT_HIGH 0x18000u
#define PD_HIGH 0x19000u
/* The machinery is mapped out of reach of what a test can address without the kernel's half. */
#define HIGH 0xffff800000000000ull

#define PTE_P 1u
#define PTE_W 2u
#define PTE_U 4u
#define PTE_AD 0x60u

struct soft {
	struct mem *mem;
	struct x86_cpuid cpuid;
	struct engine *engine;
	struct vcpu *vcpu;
	struct x86_state clean; /* everything but the user registers */
};

/* ---- A machine without devices -------------------------------------------------------------- */

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

/* ---- The guest ------------------------------------------------------------------------------ */

static void tables(uint8_t *ram)
{
	const uint64_t user = PTE_P | PTE_W | PTE_U | PTE_AD;

	st_le64(ram + PML4, PDPT | user);
	st_le64(ram + PDPT, PD | user);
	st_le64(ram + PD + (ORACLE_CODE >> 21) * 8, PT_CODE | user);
	st_le64(ram + PD + (ORACLE_DATA >> 21) * 8, PT_DATA | user);
	st_le64(ram + PML4 + 256 * 8, PDPT_HIGH | user);
	st_le64(ram + PDPT_HIGH, PD_HIGH | user);
	st_le64(ram + PD_HIGH, PT_LOW | user);
	for (unsigned p = GDT; p < 0x10000; p += 0x1000)
		st_le64(ram + PT_LOW + (p >> 12) * 8, p | PTE_P | PTE_W | PTE_AD);
	for (unsigned i = 0; i < 2; i++) {
		st_le64(ram + PT_CODE + i * 8, (CODE_PHYS + i * 0x1000) | PTE_P | PTE_U | PTE_AD);
		st_le64(ram + PT_DATA + i * 8, (DATA_PHYS + i * 0x1000) | user | 1ull << 63);
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
	st_le64(ram + GDT + 0x40, segment(TSS, 0x67, 0x8b, 0));
	st_le64(ram + GDT + 0x50, segment(LDT, 0x0f, 0x82, 0));
	st_le64(ram + LDT, segment(ORACLE_CODE, ORACLE_CODE_BYTES - 1, 0xfb, 0));
	st_le64(ram + LDT + 8, segment(ORACLE_DATA, ORACLE_DATA_BYTES - 1, 0xf3, 0));
	st_le64(ram + TSS + 4, HIGH + STACK_TOP);
	st_le16(ram + TSS + 102, 0xffff); /* no I/O bitmap */
	for (unsigned v = 0; v < 256; v++) {
		unsigned dpl = v == 3 || v == 4 ? 3 : 0;
		unsigned at = STUBS + v * 16;

		st_le64(ram + IDT + v * 16,
			(at & 0xffff) | 0x10u << 16 | (0x8eull | dpl << 5) << 40);
		st_le64(ram + IDT + v * 16 + 8, HIGH >> 32);
		ram[at] = 0xf4;
	}
}

static struct x86_seg seg(uint16_t sel, uint64_t base, uint32_t limit, uint16_t attr)
{
	return (struct x86_seg){.sel = sel, .base = base, .limit = limit, .attr = attr};
}

static void clean_state(struct x86_state *s)
{
	x86_state_reset(s, true);
	s->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
	s->cr3 = PML4;
	s->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE | CR4_FSGSBASE | CR4_PGE |
		 CR4_UMIP;
	s->efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
	s->xcr0 = 7;
	s->gdtr = (struct x86_dtable){HIGH + GDT, 0x7f};
	s->idtr = (struct x86_dtable){HIGH + IDT, 0xfff};
	s->tr = seg(0x40, HIGH + TSS, 0x67, 0x8b);
	s->ldtr = seg(0x50, HIGH + LDT, 0x0f, 0x82);
	for (unsigned i = 0; i < SEG_COUNT; i++)
		s->seg[i] = seg(0x2b, 0, 0xffffffff, 0xc0f3);
	for (unsigned i = SEG_FS; i <= SEG_GS; i++) {
		s->seg[i] = seg(0, 0, 0, 0);
		s->seg[i].unusable = true;
	}
	s->seg[SEG_GS].base = ORACLE_GS_BASE;
	s->seg[SEG_CS] = seg(0x33, 0, 0xffffffff, 0xa0fb);
}

struct soft *soft_start(unsigned tier)
{
	struct soft *s = calloc(1, sizeof(*s));
	struct lodge_err err = {"out of memory"};

	if (!s)
		return NULL;
	s->mem = mem_new(RAM_BYTES, 0, &err);
	if (!s->mem || x86_cpuid_build(&s->cpuid, "max", 1, &err) < 0 ||
	    mem_map(s->mem, 0, RAM_BYTES, MEM_RAM, 0) < 0)
		goto fail;
	tables(mem_base(s->mem));
	descriptors(mem_base(s->mem));

	struct engine_config cfg = {
		.cpus = 1,
		.cpuid = &s->cpuid,
		.mem = s->mem,
		.host = no_host,
		.soft = {.tier = tier, .warm = 1, .check = tier == 2 && getenv("LODGE_CHECK")}};

	s->engine = engine_soft.create(&cfg, &err);
	if (!s->engine)
		goto fail;
	s->vcpu = engine_soft.vcpu(s->engine, 0);
	clean_state(&s->clean);
	return s;
fail:
	fprintf(stderr, "oracle: %s\n", err.msg);
	free(s);
	return NULL;
}

static void user_mode(struct x86_state *st, uint8_t mode)
{
	if (mode == X86_MODE_32) {
		st->seg[SEG_CS] = seg(0x23, 0, 0xffffffff, 0xc0fb);
	} else if (mode == X86_MODE_16) {
		st->seg[SEG_CS] = seg(0x07, ORACLE_CODE, ORACLE_CODE_BYTES - 1, 0x00fb);
		for (unsigned i = SEG_ES; i <= SEG_DS; i++) {
			if (i != SEG_CS)
				st->seg[i] = seg(0x0f, ORACLE_DATA, ORACLE_DATA_BYTES - 1, 0x00f3);
		}
	}
}

static void set_memory(struct soft *s, const struct oracle_test *t, bool again)
{
	uint8_t *ram = mem_base(s->mem);

	if (!again) {
		memset(ram + CODE_PHYS, 0xcc, ORACLE_CODE_BYTES);
		memcpy(ram + CODE_PHYS + t->code_off, t->code, ORACLE_CODE_MAX);
		mem_wrote(s->mem, CODE_PHYS, ORACLE_CODE_BYTES);
	}
	memset(ram + DATA_PHYS, 0, ORACLE_DATA_BYTES);
	memcpy(ram + DATA_PHYS + (ORACLE_DATA_BYTES - ORACLE_WINDOW) / 2, t->window, ORACLE_WINDOW);
}

/* The frame an exception of CPL 3 pushed: [error] rip cs rflags rsp ss. */
static void read_frame(struct soft *s, const struct x86_state *st, struct oracle_result *out)
{
	const uint8_t *ram = mem_base(s->mem);
	uint64_t sp = st->gpr[R_RSP] - HIGH;
	bool has_error = STACK_TOP - sp == 48;

	out->vector = (uint8_t)((st->rip - 1 - HIGH - STUBS) / 16);
	out->error = has_error ? (uint32_t)ld_le64(ram + sp) : 0;
	sp += has_error ? 8 : 0;
	out->s.rip = ld_le64(ram + sp);
	out->s.rflags = ld_le64(ram + sp + 16);
	for (unsigned i = 0; i < 16; i++)
		out->s.gpr[i] = st->gpr[i];
	out->s.gpr[R_RSP] = ld_le64(ram + sp + 24);
	out->cr2 = st->cr2;
}

bool soft_run_test(struct soft *s, const struct oracle_test *t, bool again,
		   struct oracle_result *out)
{
	struct x86_state *st = engine_soft.state(s->vcpu);
	enum engine_exit why;

	*st = s->clean;
	memcpy(st->gpr, t->in.gpr, sizeof(st->gpr));
	st->rip = t->in.rip;
	st->rflags = t->in.rflags;
	memcpy(st->xsave, t->in.xsave, ORACLE_XSAVE_BYTES);
	st->xsave[512] = 7;
	user_mode(st, t->mode);
	set_memory(s, t, again);
	engine_soft.state_changed(s->vcpu);
	why = engine_soft.run(s->vcpu);
	st = engine_soft.state(s->vcpu);
	if (why != ENGINE_EXIT_HALT || st->gpr[R_RSP] > HIGH + STACK_TOP - 40 ||
	    st->gpr[R_RSP] < HIGH + STACK_TOP - 48)
		return false;
	memset(out, 0, offsetof(struct oracle_result, data));
	read_frame(s, st, out);

	/* Components that XSAVE found in their initial state may keep old bytes. */
	memcpy(out->s.xsave, st->xsave, ORACLE_XSAVE_BYTES);
	if (!(st->xsave[512] & 2))
		memset(out->s.xsave + 160, 0, 256);
	if (!(st->xsave[512] & 4))
		memset(out->s.xsave + 576, 0, 256);
	if (!(st->xsave[512] & 1)) {
		memset(out->s.xsave, 0, 24);
		st_le16(out->s.xsave, 0x37f);
		memset(out->s.xsave + 32, 0, 128);
	}
	memcpy(out->data, mem_base(s->mem) + DATA_PHYS, ORACLE_DATA_BYTES);
	return true;
}

void soft_stop(struct soft *s)
{
	engine_soft.destroy(s->engine);
	mem_free(s->mem);
	free(s);
}
