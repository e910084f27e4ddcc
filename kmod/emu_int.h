/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside the instruction emulator: what its files share.
 *
 * e->end is 0 while all goes well, else the enum lodge_emu_result the instruction ends with: the first
 * counts. From then on nothing is read (zeros come instead), asked for or translated, and nothing the
 * instruction has done is committed. So handlers go straight on after whatever may fail, and look at
 * e->end only where zeros would do harm.
 *
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

/* Of the processor's own tables. */
#define EMU_SYS_R (LODGE_EMU_R | LODGE_EMU_SYS)

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
static inline void emu_set_gpr(struct lodge_emu *e, unsigned reg, uint64_t v, unsigned bytes)
{
	uint64_t kept = bytes >= 4 ? 0 : e->w[reg] & ~emu_mask(bytes);

	e->w[reg] = kept | (v & emu_mask(bytes));
}

static inline void emu_add_gpr(struct lodge_emu *e, unsigned reg, uint64_t add, unsigned bytes)
{
	emu_set_gpr(e, reg, e->w[reg] + add, bytes);
}

static inline void emu_set_flag(struct lodge_emu *e, uint64_t flag, bool on)
{
	e->wflags = (e->wflags & ~flag) | (on ? flag : 0);
}

/* ---- emulate.c */
void emu_end(struct lodge_emu *e, enum lodge_emu_result r);
void emu_raise(struct lodge_emu *e, uint8_t vector, uint32_t error);
static inline void emu_gp(struct lodge_emu *e)
{
	emu_raise(e, VEC_GP, 0);
}
static inline void emu_ud(struct lodge_emu *e)
{
	emu_raise(e, VEC_UD, 0);
}
/* SGDT, SIDT, SLDT, STR, SMSW */
static inline void emu_check_umip(struct lodge_emu *e)
{
	if ((e->cr4 & CR4_UMIP) && e->cpl)
		emu_gp(e);
}
/* What a callback has answered: true for LODGE_EMU_OK. */
bool emu_ok(struct lodge_emu *e, int answer);
/* User space has to do it; e->io.data is the caller's, for writes. */
void emu_ask_user(struct lodge_emu *e, uint8_t state, uint64_t addr, unsigned size, unsigned count);

/* ---- emu_mem.c: segments, linear addresses, the queue of writes. */
const struct lodge_emu_seg *emu_seg(struct lodge_emu *e, unsigned n);
void emu_put_seg(struct lodge_emu *e, unsigned n, const struct lodge_emu_seg *s);
bool emu_canonical(const struct lodge_emu *e, uint64_t lin);
/* Segment:offset to a linear address, with all checks for `len` bytes and LODGE_EMU_R, _W. */
uint64_t emu_linear(struct lodge_emu *e, unsigned seg, uint64_t off, unsigned len, unsigned access);
uint64_t emu_translate(struct lodge_emu *e, uint64_t lin, unsigned access);
/* `len`, or less at the end of a page. */
unsigned emu_in_page(uint64_t lin, unsigned len);
void emu_read_lin(struct lodge_emu *e, uint64_t lin, void *buf, unsigned len, unsigned access);
void emu_write_lin(struct lodge_emu *e, uint64_t lin, const void *buf, unsigned len,
		   unsigned access);
/* Up to 8 bytes of a table of the processor's own. */
uint64_t emu_read_sys(struct lodge_emu *e, uint64_t lin, unsigned len);
void emu_write_sys(struct lodge_emu *e, uint64_t lin, uint64_t v, unsigned len);
/* Up to 8 bytes of a segment. */
uint64_t emu_read_seg(struct lodge_emu *e, unsigned seg, uint64_t off, unsigned len);
void emu_write_seg(struct lodge_emu *e, unsigned seg, uint64_t off, uint64_t v, unsigned len);
/* A device's or port's answer, once per run of the instruction. */
void emu_ask(struct lodge_emu *e, bool port, uint64_t addr, void *buf, unsigned len);
/* Start the instruction from the visible registers. */
void emu_begin(struct lodge_emu *e);
/* All that is queued becomes visible: memory, devices, segments, registers. */
void emu_commit(struct lodge_emu *e);

/* ---- emu_operand.c: operands, the stack, rip and RFLAGS. */
uint64_t emu_ea(struct lodge_emu *e); /* offset of the ModRM operand */
uint64_t emu_get(struct lodge_emu *e, unsigned n);
void emu_set(struct lodge_emu *e, unsigned n, uint64_t v);
/* The bytes of the memory operand; with `off` added to its address. */
void emu_get_mem(struct lodge_emu *e, uint64_t off, void *buf, unsigned len);
void emu_set_mem(struct lodge_emu *e, uint64_t off, const void *buf, unsigned len);
/* A far pointer: offset of `size` bytes, then the selector. */
uint16_t emu_get_far(struct lodge_emu *e, unsigned size, uint64_t *off);
unsigned emu_stack_bytes(struct lodge_emu *e);
void emu_push(struct lodge_emu *e, uint64_t v, unsigned bytes);
uint64_t emu_pop(struct lodge_emu *e, unsigned bytes);
void emu_jump(struct lodge_emu *e, uint64_t rip, unsigned bytes);
/* RFLAGS as POPF, IRET may change them at this CPL; `bytes` of `v`. */
void emu_set_flags(struct lodge_emu *e, uint64_t v, unsigned bytes, uint64_t more);
bool emu_condition(uint64_t flags, unsigned cc);
/* In VM86 with IOPL below 3 it is #GP, or of the virtual-8086 extensions, which are not here. */
void emu_vm86_sensitive(struct lodge_emu *e);

/* ---- emu_alu.c: d OP s of the current operation, with its flags. */
uint64_t emu_compute(struct lodge_emu *e, unsigned size, uint64_t d, uint64_t s);

/* ---- emu_string.c */
void emu_io_check(struct lodge_emu *e, uint16_t port, unsigned size);

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
#define EMU_L(d) ((d)->raw >> 53 & 1)
#define EMU_DB(d) ((d)->raw >> 54 & 1)
#define EMU_NULL(sel) (!((sel)&0xfffcu))

void emu_raise_sel(struct lodge_emu *e, uint8_t vector, uint16_t sel);
void emu_read_desc(struct lodge_emu *e, uint16_t sel, struct emu_desc *d, uint8_t vector);
/* Also, that the selector is not null. */
void emu_find_desc(struct lodge_emu *e, uint16_t sel, struct emu_desc *d, uint8_t vector);
/* Of system descriptors, in long mode. #GP if there is none. */
void emu_read_high(struct lodge_emu *e, struct emu_desc *d, uint16_t sel);
/* An LDT's or TSS's, of one of `types`, a bit each; `absent`: the vector if it is not present. */
void emu_system_seg(struct lodge_emu *e, uint16_t sel, unsigned types, uint8_t vector,
		    uint8_t absent, struct lodge_emu_seg *s);
void emu_set_busy(struct lodge_emu *e, uint16_t sel, bool busy);
/* What of a code or data descriptor stays in a segment register; it is accessed now. */
void emu_put_desc(struct lodge_emu *e, unsigned seg, struct emu_desc *d, uint16_t sel);
void emu_put_null(struct lodge_emu *e, unsigned seg, uint16_t sel, unsigned dpl);
/* ES, SS, DS, FS, GS by an instruction; `vector` is VEC_GP, or VEC_TS during a task switch. */
void emu_load_data_seg(struct lodge_emu *e, unsigned seg, uint16_t sel, unsigned cpl,
		       uint8_t vector);
void emu_load_ldt(struct lodge_emu *e, uint16_t sel, uint8_t vector);
/* A segment register as real mode and VM86 load it. */
void emu_load_paragraph(struct lodge_emu *e, unsigned seg, uint16_t sel);

/* ---- emu_far.c, emu_task.c: what is no instruction. */
/* Code of `d` may be entered, if the caller's own rules say `allowed`. */
void emu_check_code(struct lodge_emu *e, const struct emu_desc *d, uint16_t sel, bool allowed,
		    uint8_t vector);
void emu_enter_code(struct lodge_emu *e, struct emu_desc *d, uint16_t sel, unsigned cpl);
void emu_real_event(struct lodge_emu *e, uint8_t vector, uint64_t return_rip);
/* To e->arg, by e->arg_reason; saves e->wrip. */
void emu_task(struct lodge_emu *e);

/* ---- emu_sys.c */
uint64_t emu_get_sys(struct lodge_emu *e, enum lodge_emu_kind kind, uint32_t n);
void emu_set_sys(struct lodge_emu *e, enum lodge_emu_kind kind, uint32_t n, uint64_t v);

/* ---- Which function does which operation. What is not here is refused. ----------------------- */

/* clang-format off */
#define EMU_OPS(H) \
	/* emu_alu.c */ \
	H(ADD, alu) H(OR, alu) H(ADC, alu) H(SBB, alu) H(AND, alu) H(SUB, alu) H(XOR, alu) H(CMP, alu) \
	H(TEST, alu) H(NOT, alu) H(NEG, alu) H(INC, alu) H(DEC, alu) H(ROL, alu) H(ROR, alu) H(RCL, alu) \
	H(RCR, alu) H(SHL, alu) H(SHR, alu) H(SAR, alu) H(SHLD, alu) H(SHRD, alu) H(MUL, mul) H(IMUL, mul) \
	H(DIV, div) H(IDIV, div) H(BT, bit) H(BTS, bit) H(BTR, bit) H(BTC, bit) H(BSF, scan) H(BSR, scan) \
	H(CMPXCHG, cmpxchg) H(CMPXCHG8B, cmpxchg_pair) H(CMPXCHG16B, cmpxchg_pair) H(XADD, exchange) \
	H(XCHG, exchange) H(DAA, bcd) H(DAS, bcd) H(AAA, bcd) H(AAS, bcd) H(AAM, bcd) H(AAD, bcd) \
	/* emu_move.c */ \
	H(MOV, mov) H(MOVNTI, mov) H(MOVZX, mov) H(MOVSX, mov) H(MOVSXD, mov) H(MOVBE, mov) H(LEA, mov) \
	H(BSWAP, mov) H(SETCC, mov) H(CMOVCC, mov) H(CBW, widen) H(CWD, widen) H(XLAT, xlat) H(NOP, nop) \
	H(PREFETCH, nop) H(LFENCE, nop) H(MFENCE, nop) H(SFENCE, nop) H(CLC, flag) H(STC, flag) H(CMC, flag) \
	H(CLD, flag) H(STD, flag) H(SALC, flag) H(LAHF, lahf) H(SAHF, lahf) \
	H(MOVAPS, vec) H(MOVAPD, vec) H(MOVUPS, vec) H(MOVUPD, vec) H(MOVDQA, vec) H(MOVDQU, vec) \
	H(LDDQU, vec) H(MOVNTPS, vec) H(MOVNTPD, vec) H(MOVNTDQ, vec) H(MOVNTDQA, vec) H(MOVNTQ, vec) \
	H(MOVD, vec) H(MOVQ, vec) H(MOVSS, vec) H(MOVSD, vec) H(VMOVAPS, vec) H(VMOVAPD, vec) H(VMOVUPS, vec) \
	H(VMOVUPD, vec) H(VMOVDQA, vec) H(VMOVDQU, vec) H(VLDDQU, vec) H(VMOVNTPS, vec) H(VMOVNTPD, vec) \
	H(VMOVNTDQ, vec) H(VMOVNTDQA, vec) H(VMOVD, vec) H(VMOVQ, vec) H(VMOVSS, vec) H(VMOVSD, vec) \
	H(MOVLPS, vec_half) H(MOVLPD, vec_half) H(MOVHPS, vec_half) H(MOVHPD, vec_half) H(VMOVLPS, vec_half) \
	H(VMOVLPD, vec_half) H(VMOVHPS, vec_half) H(VMOVHPD, vec_half) \
	/* emu_flow.c */ \
	H(PUSH, push) H(POP, pop) H(PUSHA, pusha) H(POPA, popa) H(PUSHF, pushf) H(POPF, popf) H(ENTER, enter) \
	H(LEAVE, leave) H(JCC, jmp) H(JMP, jmp) H(JMP_IND, jmp) H(CALL, jmp) H(CALL_IND, jmp) H(RET, ret) \
	H(LOOP, loop) H(LOOPE, loop) H(LOOPNE, loop) H(JCXZ, loop) H(BOUND, bound) H(INT, soft_int) \
	H(INT3, soft_int) H(INT1, soft_int) H(INTO, soft_int) H(UD0, ud) H(UD1, ud) H(UD2, ud) \
	/* emu_far.c */ \
	H(JMP_FAR, far) H(JMP_FAR_IND, far) H(CALL_FAR, far) H(CALL_FAR_IND, far) H(RET_FAR, ret_far) \
	H(IRET, iret) \
	/* emu_string.c */ \
	H(MOVS, string) H(STOS, string) H(LODS, string) H(SCAS, string) H(CMPS, string) H(INS, ins) \
	H(OUTS, outs) H(IN, io) H(OUT, io) \
	/* emu_seg.c */ \
	H(MOV_FROM_SEG, store_seg) H(PUSH_SEG, store_seg) H(MOV_TO_SEG, load_seg) H(POP_SEG, load_seg) \
	H(LES, load_far) H(LDS, load_far) H(LSS, load_far) H(LFS, load_far) H(LGS, load_far) H(LGDT, table) \
	H(LIDT, table) H(SGDT, table) H(SIDT, table) H(LLDT, ldt_tr) H(LTR, ldt_tr) H(SLDT, store_sel) \
	H(STR, store_sel) H(LAR, verify) H(LSL, verify) H(VERR, verify) H(VERW, verify) H(ARPL, arpl) \
	/* emu_sys.c */ \
	H(MOV_FROM_CR, mov_cr) H(MOV_TO_CR, mov_cr) H(MOV_FROM_DR, mov_dr) H(MOV_TO_DR, mov_dr) H(CLTS, msw) \
	H(LMSW, msw) H(SMSW, msw) H(RDMSR, msr) H(WRMSR, msr) H(RDTSC, tsc) H(RDTSCP, tsc) H(XGETBV, msr) \
	H(XSETBV, msr) H(CPUID, cpuid) H(CLI, cli_sti) H(STI, cli_sti) H(SWAPGS, swapgs) H(RDFSBASE, fsgs) \
	H(RDGSBASE, fsgs) H(WRFSBASE, fsgs) H(WRGSBASE, fsgs) H(CLAC, cli_sti) H(STAC, cli_sti) H(HLT, caller) \
	H(PAUSE, nop) H(INVLPG, caller) H(INVD, nop) H(WBINVD, nop) H(WBNOINVD, nop) H(VMCALL, caller) \
	H(VMMCALL, caller) H(MONITOR, monitor) H(MWAIT, monitor) H(FNINIT, x87) H(FNSTCW, x87) \
	H(FNSTSW, x87)
/* clang-format on */

#define H(op, name) void emu_do_##name(struct lodge_emu *e);
EMU_OPS(H)
#undef H

#endif
