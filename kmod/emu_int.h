/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside the instruction emulator: what its files share.
 * Functions that return int give 0 to go on, or the enum lodge_emu_result the instruction ends with.
 * Registers are read and written in the working copy (e->w, e->wrip, e->wflags) only.
 */
#ifndef LODGE_KMOD_EMU_INT_H
#define LODGE_KMOD_EMU_INT_H

#include "emulate.h"
#include "x86/state.h"

#define EMU_REP_STEPS 1024

/* e->state */
enum { EMU_IDLE, EMU_RUNS, EMU_WAITS_READ, EMU_WAITS_AHEAD, EMU_WAITS_WRITE, EMU_WAITS_OUT };
/* e->kind: what resume runs again. */
enum { EMU_INSN, EMU_REAL_EVENT, EMU_TASK };

/* VM86 and real mode: selectors are paragraphs. */
#define EMU_PM(e) (((e)->cr0 & CR0_PE) && !((e)->wflags & FLAG_VM))
#define EMU_64(e) ((e)->mode == X86_MODE_64)
#define EMU_LONG(e) (((e)->efer & EFER_LMA) != 0)
#define EMU_IOPL(e) ((unsigned)((e)->wflags >> FLAG_IOPL_SHIFT) & 3u)

typedef int (*emu_fn)(struct lodge_emu *e);

static inline uint64_t emu_mask(unsigned bytes)
{
	return bytes >= 8 ? ~0ull : (1ull << 8 * bytes) - 1;
}

static inline uint64_t emu_sext(uint64_t v, unsigned bytes)
{
	unsigned sh = 64 - 8 * bytes;

	return bytes >= 8 ? v : (uint64_t)((int64_t)(v << sh) >> sh);
}

/* The low `bytes` of a register change; four bytes clear the upper half. */
static inline uint64_t emu_merge(uint64_t old, uint64_t v, unsigned bytes)
{
	if (bytes >= 4)
		return v & emu_mask(bytes);
	return (old & ~emu_mask(bytes)) | (v & emu_mask(bytes));
}

static inline void emu_set_gpr(struct lodge_emu *e, unsigned reg, uint64_t v, unsigned bytes)
{
	e->w[reg] = emu_merge(e->w[reg], v, bytes);
}

/* As addresses and counters change: the low `bytes`, and with four the rest becomes 0. */
static inline void emu_add_gpr(struct lodge_emu *e, unsigned reg, uint64_t add, unsigned bytes)
{
	emu_set_gpr(e, reg, e->w[reg] + add, bytes);
}

/* ---- emulate.c */
int emu_raise(struct lodge_emu *e, uint8_t vector, uint32_t error); /* with an error code */
int emu_raise_plain(struct lodge_emu *e, uint8_t vector);	    /* #UD, #DE, #NM, … */
static inline int emu_gp(struct lodge_emu *e)
{
	return emu_raise(e, VEC_GP, 0);
}
static inline int emu_gp_sel(struct lodge_emu *e, uint16_t sel)
{
	return emu_raise(e, VEC_GP, sel & 0xfffcu);
}
static inline int emu_ud(struct lodge_emu *e)
{
	return emu_raise_plain(e, VEC_UD);
}
int emu_answer(int answer); /* of a callback, to an enum lodge_emu_result */

/* ---- emu_mem.c: segments, linear addresses, the queue of writes. */
const struct lodge_emu_seg *emu_seg(struct lodge_emu *e, unsigned n);
void emu_put_seg(struct lodge_emu *e, unsigned n, const struct lodge_emu_seg *s);
bool emu_canonical(const struct lodge_emu *e, uint64_t lin);
/* Segment:offset to a linear address, with all checks for `len` bytes and LODGE_EMU_R, _W. */
int emu_linear(struct lodge_emu *e, unsigned seg, uint64_t off, unsigned len, unsigned access,
	       uint64_t *lin);
int emu_read_lin(struct lodge_emu *e, uint64_t lin, void *buf, unsigned len, unsigned access);
int emu_write_lin(struct lodge_emu *e, uint64_t lin, const void *buf, unsigned len,
		  unsigned access);
int emu_read_seg(struct lodge_emu *e, unsigned seg, uint64_t off, void *buf, unsigned len);
int emu_write_seg(struct lodge_emu *e, unsigned seg, uint64_t off, const void *buf, unsigned len);
int emu_translate(struct lodge_emu *e, uint64_t lin, unsigned access, uint64_t *gpa);
/* A device's or port's answer, once per run of the instruction. */
int emu_ask(struct lodge_emu *e, bool port, uint64_t addr, void *buf, unsigned len);
/* All that is queued becomes visible: memory, devices, segments, registers. */
int emu_commit(struct lodge_emu *e);
/* Start the instruction from the visible registers. */
void emu_begin(struct lodge_emu *e);

/* ---- emu_operand.c: operands and the stack. */
uint64_t emu_ea(struct lodge_emu *e); /* offset of the ModRM operand */
/* Its linear address, without checks. */
uint64_t emu_operand_linear(struct lodge_emu *e);
int emu_get(struct lodge_emu *e, unsigned n, uint64_t *v);
int emu_set(struct lodge_emu *e, unsigned n, uint64_t v);
/* The bytes of the memory operand; with `off` added to its address. */
int emu_get_mem(struct lodge_emu *e, uint64_t off, void *buf, unsigned len);
int emu_set_mem(struct lodge_emu *e, uint64_t off, const void *buf, unsigned len);
/* A far pointer: offset of `size` bytes, then the selector. */
int emu_get_far(struct lodge_emu *e, unsigned size, uint64_t *off, uint16_t *sel);
unsigned emu_stack_bytes(struct lodge_emu *e);
int emu_push(struct lodge_emu *e, uint64_t v, unsigned bytes);
int emu_pop(struct lodge_emu *e, uint64_t *v, unsigned bytes);
int emu_jump(struct lodge_emu *e, uint64_t rip, unsigned bytes);
/* RFLAGS as POPF, IRET may change them at this CPL; `bytes` of `v`. */
void emu_set_flags(struct lodge_emu *e, uint64_t v, unsigned bytes, uint64_t more);

/* ---- emu_far.c, emu_task.c: what is no instruction. */
int emu_real_event(struct lodge_emu *e, uint8_t vector, uint64_t return_rip);
int emu_task(struct lodge_emu *e); /* to e->arg, by e->arg_reason; saves e->wrip */

/* ---- emu_seg.c: descriptors. */
struct emu_desc {
	uint64_t raw, high; /* high: the other half of a 16-byte system descriptor */
	uint64_t at;	    /* linear address */
	bool has_high;	    /* the table has room for it */
};
#define EMU_TYPE(d) ((unsigned)((d)->raw >> 40) & 15u)
#define EMU_S(d) ((d)->raw >> 44 & 1)
#define EMU_DPL(d) ((unsigned)((d)->raw >> 45) & 3u)
#define EMU_P(d) ((d)->raw >> 47 & 1)
#define EMU_SEL_ERROR(sel) ((sel)&0xfffcu)
int emu_read_desc(struct lodge_emu *e, uint16_t sel, struct emu_desc *d, uint8_t vector);
void emu_desc_seg(const struct emu_desc *d, uint16_t sel, struct lodge_emu_seg *s);
/* Of system descriptors, in long mode. #GP if there is none. */
int emu_read_high(struct lodge_emu *e, struct emu_desc *d, uint16_t sel);
int emu_write_type(struct lodge_emu *e, const struct emu_desc *d);
int emu_set_accessed(struct lodge_emu *e, struct emu_desc *d);
/* ES, SS, DS, FS, GS by an instruction; `vector` is VEC_GP, or VEC_TS during a task switch. */
int emu_load_data_seg(struct lodge_emu *e, unsigned seg, uint16_t sel, unsigned cpl,
		      uint8_t vector);
int emu_load_ldt(struct lodge_emu *e, uint16_t sel, uint8_t vector);
/* A segment register as real mode and VM86 load it. */
void emu_load_paragraph(struct lodge_emu *e, unsigned seg, uint16_t sel);
int emu_io_allowed(struct lodge_emu *e, uint16_t port, unsigned size);

/* ---- emu_alu.c: d OP s of the current operation, with its flags. */
uint64_t emu_compute(struct lodge_emu *e, unsigned size, uint64_t d, uint64_t s);

/* ---- Handlers by operation, or NULL. */
emu_fn emu_handler(unsigned op);

#define EMU_HANDLERS(H)                                                                            \
	H(alu)                                                                                     \
	H(unary)                                                                                   \
	H(shift)                                                                                   \
	H(shift_double) H(mul) H(div) H(imul) H(bit) H(scan) H(cmpxchg) H(cmpxchg_pair) H(xadd) H( \
		bcd) H(mov) H(movx) H(movbe) H(lea) H(xchg) H(bswap) H(cbw) H(cwd) H(setcc)        \
		H(cmov) H(xlat) H(nop) H(flag) H(lahf) H(vec_load) H(vec_low) H(mmx) H(push) H(    \
			pop) H(pusha) H(popa) H(pushf) H(popf) H(enter) H(leave) H(jcc) H(jmp)     \
			H(jmp_ind) H(call) H(ret) H(loop) H(bound) H(soft_int) H(ud) H(string)     \
				H(io) H(ins) H(outs) H(mov_seg) H(push_seg) H(pop_seg) H(load_far) \
					H(far) H(ret_far) H(iret) H(table) H(ldt_tr) H(store_sel)  \
						H(verify) H(mov_cr) H(mov_dr) H(msw) H(clts)       \
							H(msr) H(tsc) H(xcr) H(cpuid) H(todo)      \
								H(cli_sti) H(swapgs) H(fsgs) H(ac) H(x87)
#define EMU_DECLARE(name) int emu_do_##name(struct lodge_emu *e);
EMU_HANDLERS(EMU_DECLARE)
#undef EMU_DECLARE

bool emu_condition(uint64_t flags, unsigned cc);

#endif
