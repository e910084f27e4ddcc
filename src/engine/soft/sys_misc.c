// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * CPUID, time stamps, HLT, cache control, SMAP's flag, random numbers.
 * Source: Intel SDM vol. 2 of each instruction; 3A §2.8; AMD APM vol. 3.
 * Threads: the vCPU's own.
 */
#include "engine/soft/sys_int.h"
#include "x86/msr.h"

static void set_edx_eax(struct soft_cpu *cpu, uint64_t val)
{
	cpu->s.gpr[R_RAX] = (uint32_t)val;
	cpu->s.gpr[R_RDX] = val >> 32;
}

/* Leaves 1 and 8000_0001 show the APIC only while its base MSR enables it. */
static bool apic_enabled(struct soft_cpu *cpu)
{
	uint64_t base = 0;

	return sys_rdmsr(cpu, MSR_APIC_BASE, &base) && (base & 0x800);
}

void sys_cpuid(struct soft_cpu *cpu, const struct soft_op *op)
{
	struct x86_state *s = &cpu->s;
	uint32_t leaf = (uint32_t)s->gpr[R_RAX], sub = (uint32_t)s->gpr[R_RCX], r[4];
	bool apic = (leaf & 0x7fffffff) != 1 || apic_enabled(cpu);

	(void)op;
	x86_cpuid_query(cpu->e->cfg.cpuid, cpu->index, s->cr4, s->xcr0, apic, leaf, sub, r);
	s->gpr[R_RAX] = r[0];
	s->gpr[R_RBX] = r[1];
	s->gpr[R_RCX] = r[2];
	s->gpr[R_RDX] = r[3];
}

static void need_tsc(struct soft_cpu *cpu)
{
	if ((cpu->s.cr4 & CR4_TSD) && x86_cpl(&cpu->s) != 0)
		soft_raise_err(cpu, VEC_GP, 0);
}

void sys_rdtsc(struct soft_cpu *cpu, const struct soft_op *op)
{
	(void)op;
	need_tsc(cpu);
	set_edx_eax(cpu, sys_tsc(cpu));
}

void sys_rdtscp(struct soft_cpu *cpu, const struct soft_op *op)
{
	(void)op;
	if (!sys_has(cpu, X86_FEAT_RDTSCP))
		soft_raise(cpu, VEC_UD);
	need_tsc(cpu);
	set_edx_eax(cpu, sys_tsc(cpu));
	cpu->s.gpr[R_RCX] = (uint32_t)cpu->s.tsc_aux;
}

/* No counters but AMD's four legacy ones, which never count. */
void sys_rdpmc(struct soft_cpu *cpu, const struct soft_op *op)
{
	(void)op;
	if (!(cpu->s.cr4 & CR4_PCE) && x86_cpl(&cpu->s) != 0)
		soft_raise_err(cpu, VEC_GP, 0);
	if (!sys_amd(cpu) || (uint32_t)cpu->s.gpr[R_RCX] > 3)
		soft_raise_err(cpu, VEC_GP, 0);
	set_edx_eax(cpu, 0);
}

void sys_rdpid(struct soft_cpu *cpu, const struct soft_op *op)
{
	if (!sys_has(cpu, X86_FEAT_RDPID))
		soft_raise(cpu, VEC_UD);
	sys_set_reg(cpu, sys_reg(op, 0), cpu->s.tsc_aux, soft_mode64(cpu) ? 8 : 4);
}

void sys_hlt(struct soft_cpu *cpu, const struct soft_op *op)
{
	(void)op;
	sys_need_cpl0(cpu);
	cpu->s.run_state = X86_HALTED;
	soft_request_exit(cpu);
}

/* INVD, WBINVD, WBNOINVD: the caches are the host's, and coherent. */
void sys_invd(struct soft_cpu *cpu, const struct soft_op *op)
{
	(void)op;
	sys_need_cpl0(cpu);
}

static void set_ac(struct soft_cpu *cpu, uint64_t ac)
{
	if (!sys_has(cpu, X86_FEAT_SMAP) || x86_cpl(&cpu->s) != 0)
		soft_raise(cpu, VEC_UD);
	cpu->s.rflags = (cpu->s.rflags & ~(uint64_t)FLAG_AC) | ac;
	soft_mode_changed(cpu);
}

void sys_clac(struct soft_cpu *cpu, const struct soft_op *op)
{
	(void)op;
	set_ac(cpu, 0);
}

void sys_stac(struct soft_cpu *cpu, const struct soft_op *op)
{
	(void)op;
	set_ac(cpu, FLAG_AC);
}

/* Not offered: MWAIT would have to watch memory. */
void sys_monitor(struct soft_cpu *cpu, const struct soft_op *op)
{
	(void)op;
	soft_raise(cpu, VEC_UD);
}

/* ---- Random numbers: the host's ------------------------------------------------------------- */

static bool host_random(bool seed, uint64_t *val)
{
	bool ok;

	if (seed)
		__asm__ volatile("rdseed %0" : "=r"(*val), "=@ccc"(ok));
	else
		__asm__ volatile("rdrand %0" : "=r"(*val), "=@ccc"(ok));
	return ok;
}

static void random_op(struct soft_cpu *cpu, const struct soft_op *op, bool seed)
{
	uint64_t val = 0;
	bool ok;

	if (!sys_has(cpu, seed ? X86_FEAT_RDSEED : X86_FEAT_RDRAND))
		soft_raise(cpu, VEC_UD);
	ok = host_random(seed, &val);
	sys_set_reg(cpu, sys_reg(op, 0), ok ? val : 0, op->opsize);
	cpu->s.rflags = (cpu->s.rflags & ~(uint64_t)FLAGS_ARITH) | (ok ? FLAG_CF : 0);
}

void sys_rdrand(struct soft_cpu *cpu, const struct soft_op *op)
{
	random_op(cpu, op, false);
}

void sys_rdseed(struct soft_cpu *cpu, const struct soft_op *op)
{
	random_op(cpu, op, true);
}
