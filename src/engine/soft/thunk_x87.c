// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * x87 instructions: the pointers to the last instruction and operand, and the environment in its
 * four formats. Source: Intel SDM vol. 1 §8.1.8–8.1.10 and figures 8-9 to 8-12; §8.3.
 * Threads: the vCPU's own.
 *
 * The host executes FNSTENV, FLDENV, FNSAVE and FRSTOR on the 32-bit protected-mode format; what
 * differs from it, and every pointer (the host's point into thunks), is put right here.
 */
#include "engine/soft/thunk_int.h"

#include <string.h>

#define ENV32 28u
#define ENV16 14u
#define REGS 80u

/* ---- Pointers ------------------------------------------------------------------------------- */

void thunk_x87_reg(struct soft_cpu *cpu, const struct soft_op *op, const void *code)
{
	thunk_call(cpu, code, NULL);
	x87_track(cpu, op);
}

void thunk_x87_load(struct soft_cpu *cpu, const struct soft_op *op, const void *code)
{
	gva_t lin = thunk_lin(cpu, op, false);
	void *p;

	p = thunk_ptr(cpu, op, lin, false);
	if (unlikely(!p)) {
		p = thunk_bounce(cpu, 0, lin);
		soft_ld_bytes(cpu, lin, p, op->msize);
	}
	thunk_call(cpu, code, p);
	x87_track_mem(cpu, op, lin);
}

__attribute__((noinline)) bool x87_error(const struct soft_cpu *cpu)
{
	uint16_t fsw = ld_le16(cpu->s.xsave + FX_FSW);

	if (cpu->fpu_live)
		__asm__ volatile("fnstsw %0" : "=m"(fsw));
	return fsw & FSW_ES;
}

/* A store that an unmasked exception held back: all but precision are raised before it. */
static __attribute__((noinline)) bool store_held(void)
{
	uint16_t fsw, fcw;

	__asm__ volatile("fnstsw %0\n\tfnstcw %1" : "=m"(fsw), "=m"(fcw));
	return (fsw & FSW_ES) && (fsw & ~fcw & 0x1f);
}

/*
 * Where a store that is held back looks at neither address nor page: store aside, and if it is not
 * held, everything is as it was.
 */
static __attribute__((noinline)) bool held_aside(struct soft_cpu *cpu, const void *code)
{
	_Alignas(16) uint8_t before[512];
	uint16_t fcw;

	if (!cpu->e->thunks->holds_first)
		return false;
	fpu_need(cpu);
	__asm__ volatile("fnstcw %0" : "=m"(fcw));
	if ((fcw & 0x1f) == 0x1f)
		return false;
	thunk_call(cpu, cpu->e->thunks->fwait, NULL);
	__asm__ volatile("fxsave64 %0" : "=m"(before));
	thunk_call(cpu, code, cpu->bounce[0]);
	if (store_held())
		return true;
	__asm__ volatile("fxrstor64 %0" : : "m"(before));
	return false;
}

void thunk_x87_store(struct soft_cpu *cpu, const struct soft_op *op, const void *code)
{
	gva_t lin;
	void *p;

	if (unlikely(held_aside(cpu, code))) {
		x87_track_mem(cpu, op, cpu->segbase[op->seg] + soft_ea_off(cpu, op));
		return;
	}
	lin = thunk_lin(cpu, op, true);
	p = thunk_ptr(cpu, op, lin, true);
	if (likely(p)) {
		thunk_call(cpu, code, p);
	} else {
		p = thunk_bounce(cpu, 0, lin);
		soft_probe_write(cpu, lin, op->msize);
		thunk_call(cpu, code, p);
		if (!store_held())
			soft_st_bytes(cpu, lin, p, op->msize);
	}
	x87_track_mem(cpu, op, lin);
}

void thunk_x87_ferr_clear(struct soft_cpu *cpu)
{
	struct engine_host *host = &cpu->e->cfg.host;

	if (!cpu->ferr)
		return;
	cpu->ferr = false;
	soft_fpu_leave(cpu);
	if (host->ferr)
		host->ferr(host->opaque, false);
}

void thunk_x87_reset(struct soft_cpu *cpu, const struct soft_op *op, const void *code)
{
	thunk_call(cpu, code, NULL);
	if (tk_get(op->imm, TK_MODRM, 8) == 0xe3) /* FNINIT */
		x87_clear_pointers(cpu);
	thunk_x87_ferr_clear(cpu);
}

/* ---- Environment ---------------------------------------------------------------------------- */

static bool real_format(const struct soft_cpu *cpu)
{
	return !(cpu->s.cr0 & CR0_PE) || (cpu->s.rflags & FLAG_VM);
}

/* The guest's environment in its own format, from the host's 32-bit protected one. */
static void env_to_guest(const struct soft_cpu *cpu, uint8_t *out, const uint8_t *host, bool env32)
{
	const uint8_t *x = cpu->s.xsave;
	uint32_t fip = (uint32_t)ld_le64(x + FX_FIP), fdp = (uint32_t)ld_le64(x + FX_FDP);
	uint32_t fop = ld_le16(x + FX_FOP) & 0x7ffu;
	uint32_t cs = x87_selectors(cpu) & 0xffff, ds = x87_selectors(cpu) >> 16;
	unsigned step = env32 ? 4 : 2;

	if (env32)
		memcpy(out, host, ENV32);
	for (unsigned i = 0; i < 3; i++)
		st_le16(out + i * step, ld_le16(host + i * 4));
	if (real_format(cpu)) {
		uint32_t ip = fip + (cs << 4), dp = fdp + (ds << 4);

		if (env32) {
			st_le32(out + 12, ip & 0xffff);
			st_le32(out + 16, (ip >> 16) << 12 | fop);
			st_le32(out + 20, dp & 0xffff);
			st_le32(out + 24, (dp >> 16) << 12);
		} else {
			st_le16(out + 6, (uint16_t)ip);
			st_le16(out + 8, (uint16_t)((ip >> 16) << 12 | fop));
			st_le16(out + 10, (uint16_t)dp);
			st_le16(out + 12, (uint16_t)((dp >> 16) << 12));
		}
	} else if (env32) {
		st_le32(out + 12, fip);
		st_le32(out + 16, cs | fop << 16);
		st_le32(out + 20, fdp);
		st_le16(out + 24, (uint16_t)ds);
	} else {
		st_le16(out + 6, (uint16_t)fip);
		st_le16(out + 8, (uint16_t)cs);
		st_le16(out + 10, (uint16_t)fdp);
		st_le16(out + 12, (uint16_t)ds);
	}
}

struct pointers {
	uint32_t fip, fdp;
	uint16_t fop, cs, ds;
};

/* The host's 32-bit protected format from the guest's environment; its pointers aside. */
static struct pointers env_from_guest(const struct soft_cpu *cpu, uint8_t *host, const uint8_t *in,
				      bool env32)
{
	unsigned step = env32 ? 4 : 2;
	struct pointers p = {0};

	memset(host, 0, ENV32);
	for (unsigned i = 0; i < 3; i++)
		st_le16(host + i * 4, ld_le16(in + i * step));
	if (real_format(cpu)) {
		uint32_t ip_hi = env32 ? ld_le32(in + 16) : ld_le16(in + 8);
		uint32_t dp_hi = env32 ? ld_le32(in + 24) : ld_le16(in + 12);

		p.fip = ld_le16(in + (env32 ? 12 : 6)) | (ip_hi >> 12 & 0xffff) << 16;
		p.fdp = ld_le16(in + (env32 ? 20 : 10)) | (dp_hi >> 12 & 0xffff) << 16;
		p.fop = ip_hi & 0x7ff;
	} else if (env32) {
		p.fip = ld_le32(in + 12);
		p.cs = ld_le16(in + 16);
		p.fop = ld_le16(in + 18) & 0x7ff;
		p.fdp = ld_le32(in + 20);
		p.ds = ld_le16(in + 24);
	} else {
		p.fip = ld_le16(in + 6);
		p.cs = ld_le16(in + 8);
		p.fdp = ld_le16(in + 10);
		p.ds = ld_le16(in + 12);
	}
	return p;
}

void thunk_x87_env_store(struct soft_cpu *cpu, const struct soft_op *op, const void *code)
{
	bool env32 = op->opsize != 2;
	unsigned env = env32 ? ENV32 : ENV16, len = op->msize;
	gva_t lin = thunk_lin(cpu, op, true);
	uint8_t *host = cpu->bounce[0], *out = cpu->bounce[1];

	soft_probe_write(cpu, lin, len);
	thunk_call(cpu, code, host);
	env_to_guest(cpu, out, host, env32);
	if (len > env) {
		memcpy(out + env, host + ENV32, REGS);
		x87_clear_pointers(cpu);
	}
	soft_st_bytes(cpu, lin, out, len);
	thunk_x87_ferr_clear(cpu);
}

void thunk_x87_env_load(struct soft_cpu *cpu, const struct soft_op *op, const void *code)
{
	bool env32 = op->opsize != 2;
	unsigned env = env32 ? ENV32 : ENV16, len = op->msize;
	gva_t lin = thunk_lin(cpu, op, false);
	uint8_t *host = cpu->bounce[0], *in = cpu->bounce[1], *x = cpu->s.xsave;
	struct pointers p;

	thunk_wait_first(cpu, op);
	soft_ld_bytes(cpu, lin, in, len);
	p = env_from_guest(cpu, host, in, env32);
	if (len > env)
		memcpy(host + ENV32, in + env, REGS);
	thunk_call(cpu, code, host);
	st_le16(x + FX_FOP, p.fop);
	st_le64(x + FX_FIP, p.fip);
	st_le64(x + FX_FDP, p.fdp);
	st_le16(x + FX_FCS, p.cs);
	st_le16(x + FX_FDS, p.ds);
	thunk_x87_ferr_clear(cpu);
}

/* ---- Choosing ------------------------------------------------------------------------------- */

/*
 * Control instructions leave the pointers alone. As processors do it, not as SDM 1 §8.3.11 lists
 * them: FNOP, FINCSTP, FDECSTP and FFREE set FIP and FOP.
 */
static bool is_control(unsigned opcode, unsigned modrm)
{
	unsigned ext = modrm >> 3 & 7;

	if (modrm < 0xc0)
		return (opcode == 0xd9 && ext >= 4) || (opcode == 0xdd && ext >= 6);
	/* FENI, FDISI, FNCLEX, FNINIT, FSETPM; FNSTSW AX */
	return (opcode == 0xdb && ext == 4) || (opcode == 0xdf && modrm == 0xe0);
}

enum thunk_shape thunk_x87_shape(const struct x86_insn *insn, unsigned access)
{
	unsigned ext = insn->modrm >> 3 & 7;

	if (insn->modrm < 0xc0) {
		if ((insn->opcode == 0xd9 && ext == 4) || (insn->opcode == 0xdd && ext == 4))
			return SHAPE_X87_ENV_LOAD;
		if ((insn->opcode == 0xd9 && ext == 6) || (insn->opcode == 0xdd && ext == 6))
			return SHAPE_X87_ENV_STORE;
		if (is_control(insn->opcode, insn->modrm))
			return access & X86_ACC_W ? SHAPE_STORE : SHAPE_LOAD;
		return access & X86_ACC_W ? SHAPE_X87_STORE : SHAPE_X87_LOAD;
	}
	if (insn->opcode == 0xdb && (insn->modrm == 0xe2 || insn->modrm == 0xe3))
		return SHAPE_X87_RESET;
	return is_control(insn->opcode, insn->modrm) ? SHAPE_REG : SHAPE_X87_REG;
}
