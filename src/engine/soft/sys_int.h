/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shared by the system operations (sys_*.c): descriptors, stacks that are not loaded yet, operands.
 * Source: Intel SDM vol. 3A ch. 3, 5, 6, 7; AMD APM vol. 2 ch. 4 and 8.
 * Private to src/engine/soft. Threads: the vCPU's own; bits of descriptors are changed by
 * host atomics, since other vCPUs may share the table.
 */
#ifndef LODGE_ENGINE_SOFT_SYS_INT_H
#define LODGE_ENGINE_SOFT_SYS_INT_H

#include "base/log.h"
#include "engine/soft/soft_int.h"

/* What SYSCALL and its kin make of CS and SS, but for DPL, L and CS.D. */
#define SEG_FLAT_CODE \
	(SEG_ATTR_P | SEG_ATTR_S | SEG_ATTR_CODE | SEG_ATTR_WRITE | SEG_ATTR_ACCESSED | SEG_ATTR_G)
#define SEG_FLAT_DATA \
	(SEG_ATTR_P | SEG_ATTR_S | SEG_ATTR_WRITE | SEG_ATTR_ACCESSED | SEG_ATTR_G | SEG_ATTR_DB)

/* ---- State questions ------------------------------------------------------------------------ */

static inline bool sys_protected(const struct soft_cpu *cpu)
{
	return (cpu->s.cr0 & CR0_PE) && !(cpu->s.rflags & FLAG_VM);
}

static inline bool sys_vm86(const struct soft_cpu *cpu)
{
	return (cpu->s.rflags & FLAG_VM) != 0;
}

static inline bool sys_lma(const struct soft_cpu *cpu)
{
	return (cpu->s.efer & EFER_LMA) != 0;
}

static inline bool sys_amd(const struct soft_cpu *cpu)
{
	return !soft_intel(cpu);
}

static inline bool sys_has(const struct soft_cpu *cpu, enum x86_feature f)
{
	return cpu->e->cfg.cpuid->has[f];
}

static inline unsigned sys_iopl(const struct soft_cpu *cpu)
{
	return (unsigned)(cpu->s.rflags >> FLAG_IOPL_SHIFT) & 3;
}

static inline bool sys_canonical(uint64_t lin)
{
	return (uint64_t)((int64_t)(lin << 16) >> 16) == lin;
}

/* Linear addresses wrap at 4 GiB outside 64-bit mode. */
static inline gva_t sys_wrap(const struct soft_cpu *cpu, gva_t lin)
{
	return soft_mode64(cpu) ? lin : (uint32_t)lin;
}

/* #GP(0) unless CPL is 0. */
static inline void sys_need_cpl0(struct soft_cpu *cpu)
{
	if (x86_cpl(&cpu->s) != 0)
		soft_raise_err(cpu, VEC_GP, 0);
}

/* #UD outside protected mode (descriptor instructions). */
static inline void sys_need_protected(struct soft_cpu *cpu)
{
	if (!sys_protected(cpu))
		soft_raise(cpu, VEC_UD);
}

static inline uint64_t sys_opsize_mask(unsigned opsize)
{
	return opsize == 8 ? ~0ull : (1ull << (8 * opsize)) - 1;
}

/* ---- Descriptors (sys_desc.c) --------------------------------------------------------------- */

/* System descriptor types; 64-bit mode knows LDT, TSS, call, interrupt and trap gate only. */
enum {
	DESC_TSS16 = 1,
	DESC_LDT = 2,
	DESC_TSS16_BUSY = 3,
	DESC_CALL16 = 4,
	DESC_TASK = 5,
	DESC_INT16 = 6,
	DESC_TRAP16 = 7,
	DESC_TSS32 = 9,
	DESC_TSS32_BUSY = 11,
	DESC_CALL32 = 12,
	DESC_INT32 = 14,
	DESC_TRAP32 = 15,
};

#define DESC_BUSY 2u

struct sys_desc {
	gva_t lin;	 /* where it lies */
	uint64_t raw;	 /* its first eight bytes */
	uint64_t raw_hi; /* long mode's upper half, when fetched */
	uint64_t base;
	uint32_t limit; /* in bytes */
	uint16_t attr;	/* as x86_seg.attr */
};

static inline unsigned desc_type(const struct sys_desc *d)
{
	return d->attr & SEG_ATTR_TYPE;
}

static inline unsigned desc_dpl(const struct sys_desc *d)
{
	return (unsigned)(d->attr >> SEG_ATTR_DPL_SHIFT) & 3;
}

static inline bool desc_present(const struct sys_desc *d)
{
	return (d->attr & SEG_ATTR_P) != 0;
}

static inline bool desc_system(const struct sys_desc *d)
{
	return !(d->attr & SEG_ATTR_S);
}

static inline bool desc_code(const struct sys_desc *d)
{
	return (d->attr & (SEG_ATTR_S | SEG_ATTR_CODE)) == (SEG_ATTR_S | SEG_ATTR_CODE);
}

static inline bool desc_conforming(const struct sys_desc *d)
{
	return desc_code(d) && (d->attr & SEG_ATTR_EXPDOWN);
}

static inline bool desc_writable_data(const struct sys_desc *d)
{
	return (d->attr & (SEG_ATTR_S | SEG_ATTR_CODE | SEG_ATTR_WRITE)) ==
	       (SEG_ATTR_S | SEG_ATTR_WRITE);
}

/* Null selectors: index 0 of the GDT with any RPL. */
static inline bool sel_null(uint16_t sel)
{
	return (sel & 0xfffc) == 0;
}

/* A selector as an error code names it. */
static inline uint32_t sel_err(uint16_t sel)
{
	return sel & 0xfffcu;
}

/* Fetch the descriptor `sel` names. False when it is outside its table. Raises #PF only. */
bool sys_desc_fetch(struct soft_cpu *cpu, uint16_t sel, struct sys_desc *d);
/* As above with the 16 bytes of a long-mode system descriptor; false also when those do not fit. */
bool sys_desc_fetch16(struct soft_cpu *cpu, uint16_t sel, struct sys_desc *d);
/* As sys_desc_fetch, raising `vector`(sel) when outside. */
void sys_desc_need(struct soft_cpu *cpu, uint16_t sel, struct sys_desc *d, uint8_t vector);
/* Set or clear bits of the descriptor's type in memory and in `d` (accessed, busy). */
void sys_desc_set_type(struct soft_cpu *cpu, struct sys_desc *d, unsigned set, unsigned clear);
static inline void sys_desc_set_accessed(struct soft_cpu *cpu, struct sys_desc *d)
{
	if (!(d->attr & SEG_ATTR_ACCESSED))
		sys_desc_set_type(cpu, d, SEG_ATTR_ACCESSED, 0);
}

struct x86_seg sys_seg_make(uint16_t sel, const struct sys_desc *d);
/* A null data segment; `dpl` matters for SS, whose DPL is the CPL. */
struct x86_seg sys_seg_null(uint16_t sel, unsigned dpl);
struct x86_seg sys_seg_vm86(uint16_t sel);

/* #GP(0) unless `ip` may be jumped to in the code segment `d` (limit, or canonical if 64-bit). */
void sys_check_ip(struct soft_cpu *cpu, const struct sys_desc *d, uint64_t ip);
/* Is `d` code that the mode can run (not L and D together in long mode)? */
static inline bool sys_code_runs(const struct soft_cpu *cpu, const struct sys_desc *d)
{
	return !(sys_lma(cpu) &&
		 (d->attr & (SEG_ATTR_L | SEG_ATTR_DB)) == (SEG_ATTR_L | SEG_ATTR_DB));
}

static inline bool sys_code64(const struct soft_cpu *cpu, const struct sys_desc *d)
{
	return sys_lma(cpu) && (d->attr & SEG_ATTR_L);
}

/* CS as loaded: RPL forced to `cpl`. The caller sets SS (or its DPL) to the same CPL. */
void sys_set_cs(struct soft_cpu *cpu, uint16_t sel, const struct sys_desc *d, unsigned cpl);
void sys_set_cs_real(struct soft_cpu *cpu, uint16_t sel);

/* ---- Segment register loads (sys_seg.c) ----------------------------------------------------- */

/* MOV/POP/Lxx to a segment register in whatever mode; checks before any change. */
void sys_load_seg(struct soft_cpu *cpu, unsigned seg, uint16_t sel);
/* After a return to an outer level: drop data segments it may not use (SDM 3A §5.8.6). */
void sys_drop_inner_segs(struct soft_cpu *cpu);
/* Checks of an SS to be loaded for privilege `cpl`, raising `vector`(sel) or #SS(sel). */
void sys_check_ss(struct soft_cpu *cpu, uint16_t sel, unsigned cpl, uint8_t vector,
		  struct sys_desc *d);

/* ---- Stacks --------------------------------------------------------------------------------- */

/* A stack to push to or pop from, current or about to be. */
struct sys_stack {
	struct x86_seg seg;
	uint64_t sp, mask;
	bool flat64;	/* 64-bit mode: canonical check only */
	bool super;	/* accesses are supervisor ones whatever the CPL is now */
	uint32_t error; /* of its #SS */
};

struct sys_stack sys_stack_current(const struct soft_cpu *cpu);
void sys_push(struct soft_cpu *cpu, struct sys_stack *st, uint64_t val, unsigned size);
uint64_t sys_pop(struct soft_cpu *cpu, struct sys_stack *st, unsigned size);
/* Write `sp` to rSP under a stack-size mask. */
void sys_set_sp(struct soft_cpu *cpu, uint64_t sp, uint64_t mask);
/* SS:SP of an inner level from the TSS, checked; `ext` adds to error codes. Long mode: RSPn. */
void sys_inner_stack(struct soft_cpu *cpu, unsigned cpl, struct sys_stack *st);
/* RSP0-2 or an IST entry (1-7) from a 64-bit TSS; offset in bytes. */
uint64_t sys_tss64_rsp(struct soft_cpu *cpu, unsigned offset);

/* ---- Task switches (sys_task.c) ------------------------------------------------------------- */

enum sys_task_reason { TASK_JMP, TASK_CALL, TASK_IRET, TASK_INT };
/*
 * Switch to the TSS `sel` names, described by `d` (type, presence and privilege already checked).
 * `next_ip` is saved as the old task's IP. An error code is pushed on the new stack if `error` is
 * not NULL. Raises; faults after the point of no return report the new task's state.
 */
void sys_task_switch(struct soft_cpu *cpu, uint16_t sel, struct sys_desc *d,
		     enum sys_task_reason why, uint64_t next_ip, const uint32_t *error);
/* The checks of a task gate's or far transfer's TSS selector, then the switch. */
void sys_task_gate(struct soft_cpu *cpu, uint64_t gate_raw, enum sys_task_reason why,
		   uint64_t next_ip, const uint32_t *error);
/* IRET with NT set. */
void sys_task_return(struct soft_cpu *cpu, uint64_t next_ip);

/* ---- Others --------------------------------------------------------------------------------- */

/* From here on faults of this operation report s.rip as it is. */
static inline void sys_commit_ip(struct soft_cpu *cpu)
{
	cpu->here.rip = cpu->s.rip;
	cpu->op = &cpu->here;
}

/*
 * The common end of RETF and IRET: to CS:`ip`, with `size`-byte SS:SP popped from `st` when the
 * privilege changes (or `always_ss`), releasing `extra` bytes of parameters on both stacks.
 */
void sys_far_return(struct soft_cpu *cpu, struct sys_stack *st, uint64_t ip, uint16_t cs,
		    unsigned size, unsigned extra, bool always_ss);
/* Flags common to IRET and POPF that this CPL may change, by operand size. */
uint64_t sys_iret_mask(const struct soft_cpu *cpu, unsigned opsize, unsigned cpl);
/* Load pdpte[] from `cr3`. False: a reserved bit is set, nothing changed. */
bool sys_load_pdptes(struct soft_cpu *cpu, uint64_t cr3);
/* #GP(0) for SGDT, SIDT, SLDT, SMSW, STR outside CPL 0 under CR4.UMIP. */
void sys_need_umip(struct soft_cpu *cpu);
bool sys_rdmsr(struct soft_cpu *cpu, uint32_t msr, uint64_t *val);
bool sys_wrmsr(struct soft_cpu *cpu, uint32_t msr, uint64_t val);
uint64_t sys_tsc(const struct soft_cpu *cpu);

/* ---- Operands ------------------------------------------------------------------------------- */

/* Operand `i` when it is a register: which one. */
static inline unsigned sys_reg(const struct soft_op *op, unsigned i)
{
	return op->insn->opd[i].reg & 15;
}

static inline bool sys_is_mem(const struct soft_op *op, unsigned i)
{
	return op->insn->opd[i].kind == X86_OPD_MEM;
}

/* Write a GPR with `size`'s rules (32-bit results clear the upper half). */
static inline void sys_set_reg(struct soft_cpu *cpu, unsigned reg, uint64_t val, unsigned size)
{
	uint64_t *r = &cpu->s.gpr[reg];

	*r = size == 8 ? val : size == 4 ? (uint32_t)val : (*r & ~0xffffull) | (val & 0xffff);
}

/* A 16-bit r/m operand (selectors). */
uint16_t sys_get_rm16(struct soft_cpu *cpu, const struct soft_op *op, unsigned i);
/* Store to r/m: a register takes opsize bytes, memory 16 bits (SLDT, STR, SMSW, MOV from Sreg). */
void sys_put_rm16(struct soft_cpu *cpu, const struct soft_op *op, unsigned i, uint64_t val);

/* ---- Handlers, by file ---------------------------------------------------------------------- */

#define SYS_HANDLER(name) void name(struct soft_cpu *cpu, const struct soft_op *op)

SYS_HANDLER(sys_jmp_far); /* and CALL */
SYS_HANDLER(sys_ret_far); /* sys_far.c */
SYS_HANDLER(sys_iret);	  /* sys_iret.c */
SYS_HANDLER(sys_int);
SYS_HANDLER(sys_int3);
SYS_HANDLER(sys_int1); /* sys_soft_int.c */
SYS_HANDLER(sys_into);
SYS_HANDLER(sys_bound);
SYS_HANDLER(sys_ud);
SYS_HANDLER(sys_mov_from_seg);
SYS_HANDLER(sys_mov_to_seg);
SYS_HANDLER(sys_push_seg); /* sys_seg.c */
SYS_HANDLER(sys_pop_seg);
SYS_HANDLER(sys_lseg);
SYS_HANDLER(sys_lar);
SYS_HANDLER(sys_lsl);
SYS_HANDLER(sys_verr); /* sys_table_ops.c */
SYS_HANDLER(sys_verw);
SYS_HANDLER(sys_arpl);
SYS_HANDLER(sys_lldt);
SYS_HANDLER(sys_ltr);
SYS_HANDLER(sys_sldt);
SYS_HANDLER(sys_str);
SYS_HANDLER(sys_lgdt);
SYS_HANDLER(sys_lidt);
SYS_HANDLER(sys_sgdt);
SYS_HANDLER(sys_sidt);
SYS_HANDLER(sys_mov_from_cr);
SYS_HANDLER(sys_mov_to_cr);
SYS_HANDLER(sys_clts); /* sys_cr.c */
SYS_HANDLER(sys_lmsw);
SYS_HANDLER(sys_smsw);
SYS_HANDLER(sys_xgetbv);
SYS_HANDLER(sys_xsetbv);
SYS_HANDLER(sys_invlpg);
SYS_HANDLER(sys_invpcid);
SYS_HANDLER(sys_mov_from_dr);
SYS_HANDLER(sys_mov_to_dr); /* sys_debug.c */
SYS_HANDLER(sys_rdmsr_op);
SYS_HANDLER(sys_wrmsr_op); /* sys_msr.c */
SYS_HANDLER(sys_syscall);
SYS_HANDLER(sys_sysret);
SYS_HANDLER(sys_sysenter); /* sys_syscall.c */
SYS_HANDLER(sys_sysexit);
SYS_HANDLER(sys_swapgs);
SYS_HANDLER(sys_rdfsgsbase);
SYS_HANDLER(sys_wrfsgsbase);
SYS_HANDLER(sys_cpuid);
SYS_HANDLER(sys_rdtsc);
SYS_HANDLER(sys_rdtscp); /* sys_misc.c */
SYS_HANDLER(sys_rdpmc);
SYS_HANDLER(sys_rdpid);
SYS_HANDLER(sys_hlt);
SYS_HANDLER(sys_invd);
SYS_HANDLER(sys_clac);
SYS_HANDLER(sys_stac);
SYS_HANDLER(sys_monitor);
SYS_HANDLER(sys_rdrand);
SYS_HANDLER(sys_rdseed);

#endif
