/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A real software engine with 16 MiB of RAM, no devices, tables at fixed places, and a handler for
 * every vector that only halts: for tests and fuzzing of system instructions in every mode.
 * Included once by a program.
 */
#ifndef LODGE_TESTS_SYS_MACHINE_H
#define LODGE_TESTS_SYS_MACHINE_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "engine/engine.h"
#include "mem/mem.h"

/* Not every program uses every helper. */
#pragma GCC diagnostic ignored "-Wunused-function"

/* Where everything lies. */
enum {
	A_GDT = 0x1000,
	A_IDT = 0x2000,
	A_LDT = 0x3000,
	A_TSS = 0x4000,	 /* of the running task */
	A_TSS2 = 0x5000, /* another one, 32-bit; TSS16 at +0x800 */
	A_PDPT32 = 0x6000,
	A_STACK0 = 0x9000, /* tops of stacks by privilege */
	A_STACK1 = 0xa000,
	A_STACK2 = 0xb000,
	A_STACK3 = 0xc000,
	A_IST1 = 0xd000,
	A_DATA = 0xe000,
	A_CODE = 0x10000,
	A_CODE2 = 0x11000,    /* a second place to go to */
	A_HANDLERS = 0x20000, /* 16 bytes a vector */
	A_PML4 = 0x100000,
	RAM_BYTES = 16 << 20,
};

/* Selectors: code and data of each ring, conforming code, 16-bit and 64-bit segments, and so on. */
enum {
	S_CODE0 = 0x08,
	S_DATA0 = 0x10,
	S_CODE1 = 0x19,
	S_DATA1 = 0x21,
	S_CODE3 = 0x2b,
	S_DATA3 = 0x33,
	S_CONF0 = 0x38,
	S_CODE16 = 0x40,
	S_DATA16 = 0x48,
	S_CODE64 = 0x50,
	S_CODE64_3 = 0x5b,
	S_TSS = 0x60,
	/* two slots */ S_LDT = 0x70,
	/* two slots */ S_TSS2 = 0x80,
	S_TSS16 = 0x88,
	S_GATE = 0x90,
	/* two slots; tests fill it */ S_TASKGATE = 0xa0,
	S_ABSENT = 0xa8,
	S_EXECONLY = 0xb0,
	S_ROD = 0xb8,
	S_FREE = 0xc0,
	/* tests fill it */ S_SYSCALL = 0xd0,
	GDT_BYTES = 0x100,
};

static struct x86_cpuid env_cpuid;
static struct mem *env_mem;
static struct engine *env_engine;
static struct vcpu *env_vcpu;
static struct x86_state *S;
static uint8_t *R; /* guest RAM */
static struct engine_soft_options env_soft; /* for env_setup; zeros are defaults */
static uint8_t env_cr8;
static uint64_t env_apic_base = 0xfee00900;

static uint64_t env_pio_read(void *o, uint16_t port, unsigned size)
{
	(void)o;
	return port & ((1ull << (8 * size)) - 1);
}

static void env_pio_write(void *o, uint16_t port, uint64_t val, unsigned size)
{
	(void)o, (void)port, (void)val, (void)size;
}

static uint64_t env_mmio_read(void *o, unsigned cpu, gpa_t gpa, unsigned size)
{
	(void)o, (void)cpu, (void)gpa, (void)size;
	return ~0ull;
}

static void env_mmio_write(void *o, unsigned cpu, gpa_t gpa, uint64_t val, unsigned size)
{
	(void)o, (void)cpu, (void)gpa, (void)val, (void)size;
}

static int env_vector = -1;
static int env_irq_ack(void *o, unsigned cpu)
{
	int v = env_vector;

	(void)o, (void)cpu;
	env_vector = -1;
	engine_soft.signal(env_vcpu, VCPU_SIGNAL_INTR_OFF, 0);
	return v;
}

static int env_apic_read(void *o, unsigned cpu, uint32_t msr, uint64_t *val)
{
	(void)o, (void)cpu;
	*val = env_apic_base;
	return msr == 0x1b ? 0 : -1;
}

static int env_apic_write(void *o, unsigned cpu, uint32_t msr, uint64_t val)
{
	(void)o, (void)cpu;
	env_apic_base = val;
	return msr == 0x1b ? 0 : -1;
}

static uint8_t env_cr8_read(void *o, unsigned cpu)
{
	(void)o, (void)cpu;
	return env_cr8;
}

static void env_cr8_write(void *o, unsigned cpu, uint8_t val)
{
	(void)o, (void)cpu;
	env_cr8 = val;
}

static void env_ferr(void *o, bool level)
{
	(void)o, (void)level;
}

static int env_setup(void **state)
{
	struct lodge_err err;
	struct engine_config cfg = {
		.cpus = 1,
		.cpuid = &env_cpuid,
		.soft = env_soft,
		.host = {.pio_read = env_pio_read,
			 .pio_write = env_pio_write,
			 .mmio_read = env_mmio_read,
			 .mmio_write = env_mmio_write,
			 .irq_ack = env_irq_ack,
			 .apic_msr_read = env_apic_read,
			 .apic_msr_write = env_apic_write,
			 .cr8_read = env_cr8_read,
			 .cr8_write = env_cr8_write,
			 .ferr = env_ferr},
	};

	(void)state;
	if (x86_cpuid_build(&env_cpuid, "max", 1, &err) < 0)
		return -1;
	env_mem = mem_new(RAM_BYTES, 0, &err);
	if (!env_mem || mem_map(env_mem, 0, RAM_BYTES, MEM_RAM, 0) < 0)
		return -1;
	cfg.mem = env_mem;
	env_engine = engine_soft.create(&cfg, &err);
	if (!env_engine)
		return -1;
	env_vcpu = engine_soft.vcpu(env_engine, 0);
	S = engine_soft.state(env_vcpu);
	R = mem_base(env_mem);
	return 0;
}

static int env_teardown(void **state)
{
	(void)state;
	engine_soft.destroy(env_engine);
	mem_free(env_mem);
	return 0;
}

/* ---- Tables --------------------------------------------------------------------------------- */

static void put_desc(unsigned sel, uint32_t base, uint32_t limit, uint16_t attr)
{
	uint64_t d = (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 |
		     (uint64_t)(attr & 0xf0ff) << 40 | (uint64_t)(limit >> 16 & 0xf) << 48 |
		     (uint64_t)(base >> 24) << 56;

	st_le64(R + A_GDT + (sel & ~7u), d);
}

static void put_gate(uint8_t *at, uint16_t sel, uint64_t off, unsigned type, unsigned dpl,
		     unsigned low, bool wide)
{
	st_le64(at, (off & 0xffff) | (uint64_t)sel << 16 | (uint64_t)low << 32 |
			    (uint64_t)(0x80 | dpl << 5 | type) << 40 | (off >> 16 & 0xffff) << 48);
	if (wide)
		st_le64(at + 8, off >> 32);
}

static void idt_gate(unsigned vec, uint16_t sel, unsigned type, unsigned dpl, unsigned ist)
{
	bool wide = S->efer & EFER_LMA;

	put_gate(R + A_IDT + vec * (wide ? 16 : 8), sel, A_HANDLERS + vec * 16, type, dpl, ist,
		 wide);
}

static void put_gdt(void)
{
	memset(R + A_GDT, 0, GDT_BYTES);
	put_desc(S_CODE0, 0, 0xfffff, 0xc09a);
	put_desc(S_DATA0, 0, 0xfffff, 0xc092);
	put_desc(S_CODE1, 0, 0xfffff, 0xc0ba);
	put_desc(S_DATA1, 0, 0xfffff, 0xc0b2);
	put_desc(S_CODE3, 0, 0xfffff, 0xc0fa);
	put_desc(S_DATA3, 0, 0xfffff, 0xc0f2);
	put_desc(S_CONF0, 0, 0xfffff, 0xc09e);
	put_desc(S_CODE16, 0, 0xffff, 0x009a);
	put_desc(S_DATA16, 0, 0xffff, 0x0092);
	put_desc(S_CODE64, 0, 0xfffff, 0xa09a);
	put_desc(S_CODE64_3, 0, 0xfffff, 0xa0fa);
	put_desc(S_TSS, A_TSS, 0x1ff, 0x008b);
	put_desc(S_LDT, A_LDT, 0x1f, 0x0082);
	put_desc(S_TSS2, A_TSS2, 0x67, 0x0089);
	put_desc(S_TSS16, A_TSS2 + 0x800, 0x2b, 0x0081);
	put_desc(S_ABSENT, 0, 0xfffff, 0xc012);
	put_desc(S_EXECONLY, 0, 0xfffff, 0xc098);
	put_desc(S_ROD, 0, 0xfffff, 0xc0f0);
}

static struct x86_seg seg_of(uint16_t sel)
{
	uint64_t d = ld_le64(R + A_GDT + (sel & ~7u));
	uint32_t limit = (uint32_t)((d & 0xffff) | (d >> 32 & 0xf0000));
	uint16_t attr = d >> 40 & 0xf0ff;

	return (struct x86_seg){.base = (d >> 16 & 0xffffff) | (d >> 32 & 0xff000000),
				.limit = attr & SEG_ATTR_G ? limit << 12 | 0xfff : limit,
				.sel = sel,
				.attr = attr | SEG_ATTR_ACCESSED};
}

/* Identity map of the first GiB, user accessible. */
static void put_page_tables(void)
{
	memset(R + A_PML4, 0, 0x3000);
	st_le64(R + A_PML4, (A_PML4 + 0x1000) | 7);
	st_le64(R + A_PML4 + 0x1000, (A_PML4 + 0x2000) | 7);
	for (unsigned i = 0; i < 512; i++)
		st_le64(R + A_PML4 + 0x2000 + 8 * i, ((uint64_t)i << 21) | 0x87);
}

static void common_reset(void)
{
	memset(R, 0, 0x110000);
	memset(R + A_HANDLERS, 0xf4, 256 * 16);
	x86_state_reset(S, true);
	put_gdt();
	S->gdtr = (struct x86_dtable){.base = A_GDT, .limit = GDT_BYTES - 1};
	S->idtr = (struct x86_dtable){.base = A_IDT, .limit = 0xfff};
	S->rip = A_CODE;
	S->gpr[R_RSP] = A_STACK0;
	S->cr4 = 0x200;
	env_vector = -1;
}

static void set_ring(unsigned cpl, uint16_t code, uint16_t data)
{
	S->seg[SEG_CS] = seg_of(code);
	for (unsigned i = 0; i < SEG_COUNT; i++) {
		if (i != SEG_CS)
			S->seg[i] = seg_of(data);
	}
	S->gpr[R_RSP] = cpl == 3 ? A_STACK3 : cpl == 1 ? A_STACK1 : A_STACK0;
}

/* 32-bit protected mode without paging; CPL 0, 1 or 3; IDT of 32-bit interrupt gates, DPL 3 for
 * 0x80. */
static void env_pm(unsigned cpl)
{
	common_reset();
	S->cr0 |= CR0_PE;
	for (unsigned v = 0; v < 256; v++)
		idt_gate(v, S_CODE0, 14, v == 0x80 || v == 3 || v == 4 ? 3 : 0, 0);
	st_le32(R + A_TSS + 4, A_STACK0 - 0x400);
	st_le16(R + A_TSS + 8, S_DATA0);
	st_le32(R + A_TSS + 12, A_STACK1 - 0x400);
	st_le16(R + A_TSS + 16, S_DATA1);
	st_le16(R + A_TSS + 0x66, 0x88); /* I/O bitmap; interrupt redirection at 0x68 */
	memset(R + A_TSS + 0x88, 0xff, 0x100);
	S->tr = seg_of(S_TSS);
	S->ldtr = (struct x86_seg){.unusable = true};
	if (cpl == 3)
		set_ring(3, S_CODE3, S_DATA3);
	else if (cpl == 1)
		set_ring(1, S_CODE1, S_DATA1);
	else
		set_ring(0, S_CODE0, S_DATA0);
}

/* Long mode: 64-bit code at CPL 0 or 3. */
static void env_long(unsigned cpl)
{
	common_reset();
	put_page_tables();
	S->cr0 |= CR0_PE | CR0_PG | CR0_WP;
	S->cr4 |= CR4_PAE;
	S->cr3 = A_PML4;
	S->efer = EFER_LME | EFER_LMA | EFER_SCE | EFER_NXE;
	for (unsigned v = 0; v < 256; v++)
		idt_gate(v, S_CODE64, 14, v == 0x80 || v == 3 ? 3 : 0, 0);
	st_le64(R + A_TSS + 4, A_STACK0 - 0x400);
	st_le64(R + A_TSS + 36, A_IST1);
	st_le16(R + A_TSS + 0x66, 0x68);
	S->tr = seg_of(S_TSS);
	S->ldtr = (struct x86_seg){.unusable = true};
	if (cpl == 3)
		set_ring(3, S_CODE64_3, S_DATA3);
	else
		set_ring(0, S_CODE64, S_DATA0);
}

static void env_real(void)
{
	common_reset();
	S->idtr.base = 0;
	S->idtr.limit = 0x3ff;
	for (unsigned v = 0; v < 256; v++)
		st_le32(R + v * 4, (A_HANDLERS >> 4) << 16 | v * 16);
	S->seg[SEG_CS].sel = A_CODE >> 4;
	S->seg[SEG_CS].base = A_CODE;
	S->rip = 0;
}

static void env_vm86(unsigned iopl)
{
	env_pm(0);
	for (unsigned i = 0; i < SEG_COUNT; i++)
		S->seg[i] = (struct x86_seg){.limit = 0xffff, .attr = 0xf3};
	S->seg[SEG_CS].sel = A_CODE >> 4;
	S->seg[SEG_CS].base = A_CODE;
	S->rip = 0;
	S->gpr[R_RSP] = A_STACK3;
	S->rflags |= FLAG_VM | iopl << FLAG_IOPL_SHIFT;
}

#endif
