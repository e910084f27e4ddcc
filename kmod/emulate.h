/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The instruction emulator of the kernel component: what the processor cannot run or finish itself.
 * Device memory after a nested page fault, lengths and operands where next_rip is missing, real mode
 * and odd segment states without unrestricted guest, task switches.
 * Source: Intel SDM vol. 2 and vol. 3A ch. 3, 5, 6, 7; AMD APM vol. 2 ch. 4, 8, 12 and vol. 3.
 * Threads: a struct lodge_emu belongs to one vCPU; no locks, no sleep of its own. Touches neither
 * FPU nor guest state but through the callbacks.
 *
 * One instruction is all or nothing. While it runs, reads go out at once, writes are checked
 * (translated for writing) and queued; registers are a working copy. When nothing can fault any more,
 * the queue is written and the registers become visible. A read that user space must answer ends the
 * call with LODGE_EMU_NEED_IO; the answer is kept and the instruction runs again with it, so that no
 * device sees a read twice. So does a write for user space, which the rest of the queue waits for.
 *
 *	fill gpr, rip, rflags, cr0, cr4, efer, cpl, shadow
 *	r = lodge_emu_run(e);
 *	while (r == LODGE_EMU_NEED_IO) {
 *		hand e->io to user space; on its return, for reads, its answer is in e->io.data
 *		r = lodge_emu_resume(e);
 *	}
 *	LODGE_EMU_DONE: take gpr, rip, rflags, shadow back; then e->todo; then e->trap
 *
 * Between NEED_IO and resume the caller may leave for user space, but may not enter the guest; when
 * user space sets registers or resets the vCPU meanwhile, lodge_emu_drop() forgets the instruction.
 */
#ifndef LODGE_KMOD_EMULATE_H
#define LODGE_KMOD_EMULATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "x86/decode.h"

enum lodge_emu_result {
	LODGE_EMU_DONE,	     /* ended; of a REP instruction, perhaps only a part (rip stays) */
	LODGE_EMU_EXCEPTION, /* inject e->ex; nothing has changed (or whole steps of a REP) */
	/* INT n, INT3, INTO, INT1: inject e->ex as a software event; rip is unchanged, the one after is next_rip */
	LODGE_EMU_EVENT,
	LODGE_EMU_NEED_IO, /* user space has to do e->io */
	LODGE_EMU_RETRY,   /* nothing has changed: enter the guest again, or run once more */
	LODGE_EMU_REFUSED, /* not among those that can be emulated: internal error, with e->bytes */
	LODGE_EMU_SHUTDOWN, /* triple fault (a real-mode event without room in the IDT, …) */
};

/* What callbacks answer. */
enum lodge_emu_answer {
	LODGE_EMU_OK,
	LODGE_EMU_FAULT, /* *ex is filled */
	LODGE_EMU_MMIO,	 /* read, write, cmpxchg: that is not memory; ask mmio */
	LODGE_EMU_USER,	 /* mmio, pio: user space has to */
	LODGE_EMU_AGAIN, /* give up for now: ends as LODGE_EMU_RETRY. From cmpxchg: another value */
	LODGE_EMU_BROKEN, /* cannot be done at all: ends as LODGE_EMU_REFUSED */
};

/* Kinds of linear access, for translate. */
#define LODGE_EMU_W 1u
#define LODGE_EMU_X 2u /* instruction fetch */
#define LODGE_EMU_U 4u /* with user rights (CPL 3 and not a descriptor or TSS) */
/* A descriptor table or TSS: supervisor rights, whatever CPL is; SMAP does not look at AC. */
#define LODGE_EMU_SYS 8u
#define LODGE_EMU_R 16u

/* Numbers of segment registers, as encoded; then those of tables, of which GDTR and IDTR are base and limit alone. */
enum {
	LODGE_EMU_ES,
	LODGE_EMU_CS,
	LODGE_EMU_SS,
	LODGE_EMU_DS,
	LODGE_EMU_FS,
	LODGE_EMU_GS,
	LODGE_EMU_TR,
	LODGE_EMU_LDTR,
	LODGE_EMU_GDTR,
	LODGE_EMU_IDTR,
	LODGE_EMU_SEGS
};

/* Numbers of `gpr`, as encoded: rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 … r15. */

/*
 * `attr` is the access rights as VMX has them (SDM 3C table 25-2): type 3:0, S 4, DPL 6:5, P 7,
 * AVL 12, L 13, D/B 14, G 15. `limit` is in bytes.
 */
struct lodge_emu_seg {
	uint64_t base;
	uint32_t limit;
	uint16_t sel, attr;
	bool unusable;
};

struct lodge_emu_exception {
	uint8_t vector;
	bool has_error;
	uint32_t error;
	uint64_t cr2; /* #PF: the address */
};

/* Registers by number. */
enum lodge_emu_kind { LODGE_EMU_CR, LODGE_EMU_DR, LODGE_EMU_MSR, LODGE_EMU_XCR };

/*
 * Every callback gets `cpu` of struct lodge_emu. All return enum lodge_emu_answer unless they say
 * void; those with `ex` may answer FAULT. Optional ones (NULL) make instructions that need them
 * LODGE_EMU_REFUSED.
 */
struct lodge_emu_ops {
	/* Guest page tables: linear to guest-physical, of one byte; A and D bits are set as for a
	 * real access. Access rights by `access`. */
	int (*translate)(void *cpu, uint64_t lin, unsigned access, uint64_t *gpa,
			 struct lodge_emu_exception *ex);
	/* Guest memory: 1..1024 bytes within one page. Naturally aligned 1, 2, 4 and 8 bytes in one
	 * access. MMIO if it is no memory, or for write a read-only slot. */
	int (*read)(void *cpu, uint64_t gpa, void *buf, unsigned len);
	int (*write)(void *cpu, uint64_t gpa, const void *buf, unsigned len);
	/* Replace `old` by `new` at once (1, 2, 4, 8, 16 bytes): OK; AGAIN if another value is there. */
	int (*cmpxchg)(void *cpu, uint64_t gpa, const void *old, const void *new, unsigned len);
	/* Devices: 1..8 bytes within a page. OK: one in the kernel did it (APIC, ioeventfd, …); USER. */
	int (*mmio)(void *cpu, uint64_t gpa, void *buf, unsigned len, bool write);
	/* Ports: `count` elements of `size` (1, 2, 4), all from the same port. OK or USER, for all. */
	int (*pio)(void *cpu, uint16_t port, unsigned size, void *buf, unsigned count, bool write);

	/* LODGE_EMU_ES …; a CS or SS that is set brings a new CPL in e->cpl. */
	void (*get_seg)(void *cpu, unsigned seg, struct lodge_emu_seg *s);
	void (*set_seg)(void *cpu, unsigned seg, const struct lodge_emu_seg *s);

	/* CR0, 2, 3, 4, 8; DR0 … 7; MSRs (also the TSC and TSC_AUX of RDTSC(P)); XCR0. set_sys checks the
	 * value; e->cr0, cr4 and efer are the caller's to refresh. BROKEN: it has none of the kind. */
	int (*get_sys)(void *cpu, enum lodge_emu_kind kind, uint32_t n, uint64_t *v,
		       struct lodge_emu_exception *ex);
	int (*set_sys)(void *cpu, enum lodge_emu_kind kind, uint32_t n, uint64_t v,
		       struct lodge_emu_exception *ex);
	/* Optional. regs: eax, ebx, ecx, edx; eax and ecx come filled. */
	int (*cpuid)(void *cpu, uint32_t regs[4]);
	/* Optional. 16 or 32 bytes of XMM or YMM, or 8 of MMX. set_vec with 16 leaves bits 255:128 alone,
	 * with 32 it sets all of them, with 8 it also makes the x87 stack full. */
	int (*get_vec)(void *cpu, unsigned reg, void *buf, unsigned len);
	int (*set_vec)(void *cpu, unsigned reg, const void *buf, unsigned len);
	/* Optional. FNINIT, FNSTCW, FNSTSW (enum x86_op), by which programs look for an x87. */
	int (*x87)(void *cpu, unsigned op, uint16_t *v);
	/* Optional: true ends a long REP early, since something waits (a signal, an interrupt). */
	bool (*pending)(void *cpu);
};

#define LODGE_EMU_IO_BYTES 1024

/* What user space has to do: a port or device memory, read or write. */
struct lodge_emu_io {
	bool port, write;
	uint8_t size;	/* bytes of an element: ports 1, 2, 4; memory 1 … 8 */
	uint16_t count; /* elements; 1 for memory */
	uint64_t addr;	/* port, or guest-physical address */
	uint8_t data[LODGE_EMU_IO_BYTES];
};

/* What the instruction asks of the caller after it is done (registers taken back): e->todo. */
enum lodge_emu_todo {
	LODGE_EMU_TODO_NONE,
	LODGE_EMU_TODO_HLT,
	LODGE_EMU_TODO_INVLPG,
	LODGE_EMU_TODO_HYPERCALL,
	LODGE_EMU_TODO_IRET, /* NMIs are no longer blocked */
};

/* What blocks events until the next instruction ends: e->shadow. As KVM_X86_SHADOW_INT_*. */
#define LODGE_EMU_SHADOW_SS 1u
#define LODGE_EMU_SHADOW_STI 2u

/* e->hints, by the caller. */
#define LODGE_EMU_IO_CHECKED 1u /* the processor has checked IOPL and the I/O bitmap already */
/* The processor has accepted the instruction (a nested page fault, an intercept): what the decoder does
 * not know is REFUSED, not #UD. */
#define LODGE_EMU_VALID 2u

#define LODGE_EMU_QUEUE 48 /* writes of one instruction: ENTER with 31 levels, PUSHA across pages */
#define LODGE_EMU_ANSWERS 24 /* reads from devices of one instruction */
#define LODGE_EMU_CHUNK 32   /* bytes of the largest operand */

struct lodge_emu_write {
	uint64_t gpa;
	uint8_t len, done; /* done: bytes that a device has already */
	bool locked;	   /* replace `old` or start again */
	uint8_t data[LODGE_EMU_CHUNK];
};

struct lodge_emu_answered {
	uint64_t addr, data;
	bool port;
	uint8_t len;
};

struct lodge_emu {
	/* ---- Set once. */
	const struct lodge_emu_ops *ops;
	void *cpu;
	bool intel; /* where makers differ, as on Intel's processors, not AMD's */

	/* ---- In before each instruction, out after it. */
	uint64_t gpr[16], rip, rflags;
	uint64_t cr0, cr4, efer;
	uint8_t cpl; /* 0 in real mode, 3 in VM86 */
	uint8_t shadow;
	uint8_t hints;
	uint8_t fetched; /* bytes of the instruction that the processor has left in `bytes`, or 0 */
	uint8_t bytes[X86_MAX_INSN_BYTES];

	/* ---- Out. */
	struct lodge_emu_exception ex;
	struct lodge_emu_io io;
	enum lodge_emu_todo todo;
	bool trap;	   /* RFLAGS.TF was set: #DB with DR6.BS is due */
	bool t_bit;	   /* a task switch to a TSS with T set: #DB with DR6.BT is due */
	uint64_t next_rip; /* after lodge_emu_decode, and with LODGE_EMU_EVENT */
	struct x86_insn insn;

	/* ---- The emulator's own. */
	uint8_t end; /* enum lodge_emu_result, once it is known */
	uint8_t state, kind, mode, wcpl, wshadow, wtodo;
	uint8_t arg_reason;
	bool arg_has_error;
	uint16_t arg;  /* vector, selector */
	uint16_t left; /* rounds of a REP, user space between them or not */
	uint32_t arg_error;
	uint64_t arg_rip;
	bool rep_ended, has_out, ahead_used;
	uint64_t w[16], wrip, wflags; /* the working copy */
	struct lodge_emu_seg seg[LODGE_EMU_SEGS];
	uint16_t seg_known, seg_dirty; /* bits by segment */
	uint8_t nwrites, nwritten, nanswers, nasked;
	uint8_t vec_reg, vec_len; /* of `vec`: 0 none, 8 MMX, 16 XMM, 32 YMM */
	uint8_t old[16];	  /* of the one locked write */
	uint8_t vec[LODGE_EMU_CHUNK];
	struct lodge_emu_write writes[LODGE_EMU_QUEUE];
	struct lodge_emu_answered answers[LODGE_EMU_ANSWERS];
	struct { /* INS: what the port has given already */
		uint16_t port, count, at;
		uint8_t size;
		uint8_t data[LODGE_EMU_IO_BYTES];
	} ahead;
};

/* Prepare a zeroed or used structure. */
void lodge_emu_init(struct lodge_emu *e, const struct lodge_emu_ops *ops, void *cpu);

/* Run the instruction at rip. Bounded: at most 15 bytes fetched, 1024 steps of a REP. */
enum lodge_emu_result lodge_emu_run(struct lodge_emu *e);
/* Go on after LODGE_EMU_NEED_IO. */
enum lodge_emu_result lodge_emu_resume(struct lodge_emu *e);
/* Forget an instruction that waits for user space (and data read ahead for INS). */
void lodge_emu_drop(struct lodge_emu *e);
/* True after LODGE_EMU_NEED_IO, until resume or drop. */
bool lodge_emu_waits(const struct lodge_emu *e);

/*
 * Only fetch and decode: e->insn (operands as x86/decode.h has them) and e->next_rip. DONE,
 * EXCEPTION (fetch fault, #UD, #GP of 15 bytes), RETRY.
 */
enum lodge_emu_result lodge_emu_decode(struct lodge_emu *e);

/*
 * Deliver interrupt or exception `vector` in real mode by the table at IDTR: pushes flags, CS, IP.
 * `return_rip` is pushed. DONE, EXCEPTION (a fault of the delivery), SHUTDOWN, NEED_IO, ….
 */
enum lodge_emu_result lodge_emu_real_event(struct lodge_emu *e, uint8_t vector,
					   uint64_t return_rip);

/* Task switches that the processor left to us (SVM and VMX exits). */
enum lodge_emu_task_reason {
	LODGE_EMU_TASK_CALL, /* CALL, or an event without error code through a task gate */
	LODGE_EMU_TASK_IRET,
	LODGE_EMU_TASK_JMP,
	LODGE_EMU_TASK_GATE, /* an event through a task gate */
};
/*
 * Switch to the TSS of `sel`. e->rip must already be the one to save (after the instruction for CALL,
 * JMP, IRET and INT n). With `has_error`, `error` is pushed on the new stack.
 */
enum lodge_emu_result lodge_emu_task_switch(struct lodge_emu *e, uint16_t sel,
					    enum lodge_emu_task_reason reason, bool has_error,
					    uint32_t error);

#endif
