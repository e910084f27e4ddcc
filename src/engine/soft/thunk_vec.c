// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Vector instructions that touch memory element by element, under a mask: VGATHER, VPGATHER,
 * VMASKMOV, VPMASKMOV, MASKMOVQ, MASKMOVDQU. Elements that are masked off do not fault.
 * Source: Intel SDM vol. 2 (these instructions). Threads: the vCPU's own.
 *
 * The elements are moved here, in general registers; whole vector registers are read and written
 * by the small thunks of thunk_move_reg().
 */
#include "engine/soft/thunk_int.h"

#include <string.h>

#define YMM 32u
#define XMM 16u

/* The register operands, from the key in op->imm. */
static unsigned key_reg(const struct soft_op *op)
{
	return tk_get(op->imm, TK_MODRM + 3, 3) | (tk_get(op->imm, TK_REX, 4) & 4) << 1;
}

static unsigned key_rm(const struct soft_op *op)
{
	return tk_get(op->imm, TK_MODRM, 3) | (tk_get(op->imm, TK_REX, 4) & 1) << 3;
}

static unsigned key_vvvv(const struct soft_op *op)
{
	return tk_get(op->imm, TK_VVVV, 4);
}

static bool key_w(const struct soft_op *op)
{
	return tk_get(op->imm, TK_REX, 4) >> 3;
}

static uint64_t get_elem(const uint8_t *v, unsigned i, unsigned size)
{
	return size == 4 ? ld_le32(v + 4 * i) : ld_le64(v + 8 * i);
}

static void put_elem(uint8_t *v, unsigned i, unsigned size, uint64_t val)
{
	if (size == 4)
		st_le32(v + 4 * i, (uint32_t)val);
	else
		st_le64(v + 8 * i, val);
}

/* A mask element is its sign bit. */
static bool masked_in(const uint8_t *mask, unsigned i, unsigned size)
{
	return mask[size * i + size - 1] >> 7;
}

static uint64_t wrap(const struct soft_op *op, uint64_t off)
{
	if (op->addrsize == 8)
		return off;
	return off & (op->addrsize == 4 ? 0xffffffffu : 0xffffu);
}

/* ---- VMASKMOVPS/PD, VPMASKMOVD/Q ------------------------------------------------------------ */

static unsigned maskmov_size(const struct soft_op *op)
{
	switch (tk_get(op->imm, TK_OPCODE, 8)) {
	case 0x2c:
	case 0x2e:
		return 4;
	case 0x2d:
	case 0x2f:
		return 8;
	default:
		return key_w(op) ? 8 : 4;
	}
}

/*
 * Processors do not check the alignment of masked moves, nor of what a gather loads. What
 * raises meanwhile makes the mode anew.
 */
static uint32_t alignment_check_off(struct soft_cpu *cpu)
{
	uint32_t mode = cpu->mode;

	cpu->mode &= ~SOFT_MODE_AC;
	return mode;
}

/* Elements behind the end of 4 GiB are at its beginning: only one that crosses it is beyond. */
static gva_t elem_lin(struct soft_cpu *cpu, const struct soft_op *op, uint64_t off, unsigned size,
		      bool write)
{
	return soft_lin(cpu, op->seg, soft_lin_wrap(cpu, off), size, write);
}

void thunk_maskmov_load(struct soft_cpu *cpu, const struct soft_op *op, const void *code)
{
	uint32_t mode = alignment_check_off(cpu);
	bool l = tk_get(op->imm, TK_L, 1);
	unsigned size = maskmov_size(op), n = (l ? YMM : XMM) / size;
	uint64_t off = soft_ea_off(cpu, op);
	uint8_t *mask = cpu->bounce[0], *out = cpu->bounce[1];

	(void)code;
	thunk_move_reg(cpu, THUNK_ST_YMM, key_vvvv(op), mask);
	memset(out, 0, YMM);
	for (unsigned i = 0; i < n; i++) {
		if (masked_in(mask, i, size)) {
			gva_t lin = elem_lin(cpu, op, off + size * i, size, false);

			put_elem(out, i, size, soft_ld(cpu, lin, size));
		}
	}
	cpu->mode = mode;
	thunk_move_reg(cpu, l ? THUNK_LD_YMM : THUNK_LD_VXMM, key_reg(op), out);
}

/*
 * On Intel's processors a store to two pages whose second one faults does so with the last byte that is
 * masked in.
 */
static void probe_far(struct soft_cpu *cpu, const gva_t *lin, const uint8_t *mask, unsigned n,
		      unsigned size)
{
	unsigned first = 0, last = n;
	gva_t end;

	while (first < n && !masked_in(mask, first, size))
		first++;
	if (first == n)
		return;
	while (!masked_in(mask, last - 1, size))
		last--;
	end = soft_lin_wrap(cpu, lin[last - 1] + size - 1);
	if ((lin[first] ^ end) & PAGE_MASK) {
		soft_probe_write(cpu, lin[first], 1);
		soft_probe_write(cpu, end, 1);
	}
}

void thunk_maskmov_store(struct soft_cpu *cpu, const struct soft_op *op, const void *code)
{
	uint32_t mode = alignment_check_off(cpu);
	bool l = tk_get(op->imm, TK_L, 1);
	unsigned size = maskmov_size(op), n = (l ? YMM : XMM) / size;
	uint64_t off = soft_ea_off(cpu, op);
	uint8_t *mask = cpu->bounce[0], *data = cpu->bounce[1];
	bool far_first = cpu->e->thunks->far_first;
	gva_t lin[8] = {0};

	(void)code;
	thunk_move_reg(cpu, THUNK_ST_YMM, key_vvvv(op), mask);
	thunk_move_reg(cpu, THUNK_ST_YMM, key_reg(op), data);
	for (unsigned i = 0; i < n; i++) {
		if (masked_in(mask, i, size)) {
			lin[i] = elem_lin(cpu, op, off + size * i, size, true);
			if (!far_first)
				soft_probe_write(cpu, lin[i], size);
		}
	}
	if (far_first)
		probe_far(cpu, lin, mask, n, size);
	for (unsigned i = 0; i < n && far_first; i++) {
		if (masked_in(mask, i, size))
			soft_probe_write(cpu, lin[i], size);
	}
	for (unsigned i = 0; i < n; i++) {
		if (masked_in(mask, i, size))
			soft_st(cpu, lin[i], get_elem(data, i, size), size);
	}
	cpu->mode = mode;
}

/* ---- MASKMOVQ, (V)MASKMOVDQU ---------------------------------------------------------------- */

/* As processors do it, the whole operand must be writable, whatever the mask. */
void thunk_maskmov_bytes(struct soft_cpu *cpu, const struct soft_op *op, const void *code)
{
	bool xmm = tk_get(op->imm, TK_PP, 2) == 1;
	enum thunk_move get = xmm ? THUNK_ST_XMM : THUNK_ST_MMX;
	unsigned n = xmm ? 16 : 8;
	uint8_t *mask = cpu->bounce[0], *data = cpu->bounce[1];
	uint32_t mode;
	gva_t lin;

	(void)code;
	thunk_move_reg(cpu, get, xmm ? key_rm(op) : key_rm(op) & 7, mask);
	thunk_move_reg(cpu, get, xmm ? key_reg(op) : key_reg(op) & 7, data);
	/* Written by eight bytes: that is the alignment #AC asks for, before the limit of the rest. */
	lin = soft_ea_lin(cpu, op, 8, true);
	if ((cpu->mode & SOFT_MODE_AC) && (lin & 7))
		soft_raise_err(cpu, VEC_AC, 0);
	lin = soft_ea_lin(cpu, op, n, true);
	mode = alignment_check_off(cpu);
	if (xmm && cpu->e->thunks->far_first)
		soft_probe_write(cpu, lin + 8, 8);
	soft_probe_write(cpu, lin, n);
	for (unsigned i = 0; i < n; i++) {
		if (masked_in(mask, i, 1))
			soft_st(cpu, lin + i, data[i], 1);
	}
	cpu->mode = mode;
}

/* ---- Gathers -------------------------------------------------------------------------------- */

/*
 * Each element is committed before the next one may fault: the destination has it and its mask
 * element is clear, so the instruction can be restarted where it was.
 */
void thunk_gather(struct soft_cpu *cpu, const struct soft_op *op, const void *code)
{
	bool l = tk_get(op->imm, TK_L, 1), qindex = tk_get(op->imm, TK_OPCODE, 8) & 1;
	unsigned size = key_w(op) ? 8 : 4, isize = qindex ? 8 : 4;
	unsigned n = (l ? YMM : XMM) / (size > isize ? size : isize);
	uint64_t off = soft_ea_off(cpu, op);
	uint8_t *dst = cpu->bounce[0], *mask = cpu->bounce[0] + YMM, *index = cpu->bounce[1];
	uint32_t mode = alignment_check_off(cpu);

	(void)code;
	thunk_move_reg(cpu, THUNK_ST_YMM, key_reg(op), dst);
	thunk_move_reg(cpu, THUNK_ST_YMM, key_vvvv(op), mask);
	thunk_move_reg(cpu, THUNK_ST_YMM, op->src, index);
	if (cpu->e->thunks->gather_signs) {
		for (unsigned i = 0; i < YMM / size; i++)
			put_elem(mask, i, size,
				 i * size < (l ? YMM : XMM) && masked_in(mask, i, size) ? ~0ull
											: 0);
		thunk_move_reg(cpu, THUNK_LD_YMM, key_vvvv(op), mask);
	}
	for (unsigned i = 0; i < n; i++) {
		uint64_t at = get_elem(index, i, isize);
		gva_t lin;

		if (!masked_in(mask, i, size)) {
			put_elem(mask, i, size, 0);
			thunk_move_reg(cpu, THUNK_LD_YMM, key_vvvv(op), mask);
			continue;
		}
		if (!qindex)
			at = (uint64_t)(int64_t)(int32_t)at;
		lin = soft_lin(cpu, op->seg, wrap(op, off + (at << op->scale)), size, false);
		put_elem(dst, i, size, soft_ld(cpu, lin, size));
		if (cpu->e->thunks->gather_signs && !l)
			memset(dst + XMM, 0, YMM - XMM);
		put_elem(mask, i, size, 0);
		thunk_move_reg(cpu, THUNK_LD_YMM, key_reg(op), dst);
		thunk_move_reg(cpu, THUNK_LD_YMM, key_vvvv(op), mask);
	}
	cpu->mode = mode;
	memset(dst + size * n, 0, YMM - size * n);
	memset(mask, 0, YMM);
	thunk_move_reg(cpu, THUNK_LD_YMM, key_reg(op), dst);
	thunk_move_reg(cpu, THUNK_LD_YMM, key_vvvv(op), mask);
}

/* ---- Choosing ------------------------------------------------------------------------------- */

bool thunk_vec_shape(const struct x86_insn *insn, enum thunk_shape *shape)
{
	bool vex = (insn->flags & X86_IF_VEX) != 0;

	if (insn->map == X86_MAP_0F && insn->opcode == 0xf7) {
		*shape = SHAPE_MASKMOV_BYTES;
		return true;
	}
	if (!vex || insn->map != X86_MAP_0F38)
		return false;
	switch (insn->opcode) {
	case 0x2c:
	case 0x2d:
	case 0x8c:
		*shape = SHAPE_MASKMOV_LOAD;
		return true;
	case 0x2e:
	case 0x2f:
	case 0x8e:
		*shape = SHAPE_MASKMOV_STORE;
		return true;
	case 0x90:
	case 0x91:
	case 0x92:
	case 0x93:
		*shape = SHAPE_GATHER;
		return true;
	default:
		return false;
	}
}

/* VZEROALL and VZEROUPPER outside 64-bit mode leave registers 8 to 15 alone (SDM vol. 2). */
void thunk_zero_low(struct soft_cpu *cpu, const struct soft_op *op, const void *code)
{
	(void)code;
	fpu_need(cpu);
	if (tk_get(op->imm, TK_L, 1))
		__asm__ volatile("vpxor %xmm0, %xmm0, %xmm0\n\tvpxor %xmm1, %xmm1, %xmm1\n\t"
				 "vpxor %xmm2, %xmm2, %xmm2\n\tvpxor %xmm3, %xmm3, %xmm3\n\t"
				 "vpxor %xmm4, %xmm4, %xmm4\n\tvpxor %xmm5, %xmm5, %xmm5\n\t"
				 "vpxor %xmm6, %xmm6, %xmm6\n\tvpxor %xmm7, %xmm7, %xmm7");
	else
		__asm__ volatile("vmovaps %xmm0, %xmm0\n\tvmovaps %xmm1, %xmm1\n\t"
				 "vmovaps %xmm2, %xmm2\n\tvmovaps %xmm3, %xmm3\n\t"
				 "vmovaps %xmm4, %xmm4\n\tvmovaps %xmm5, %xmm5\n\t"
				 "vmovaps %xmm6, %xmm6\n\tvmovaps %xmm7, %xmm7");
}
