/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VMCB: what the processor and we tell each other about a guest.
 * Source: AMD APM vol. 2 appendix B (layout), §15.9 (intercepts), §15.20 (events), appendix C (exit codes).
 */
#ifndef LODGE_SVM_VMCB_H
#define LODGE_SVM_VMCB_H

#include <linux/build_bug.h>
#include <linux/types.h>

struct svm_seg {
	u16 selector, attrib;
	u32 limit;
	u64 base;
};

/* attrib: a descriptor's attributes without the hole of four bits in them */
#define SVM_SEG_P (1u << 7)

struct svm_control {
	u16 cr_read, cr_write, dr_read, dr_write;
	u32 exceptions, misc1, misc2, misc3;
	u8 reserved1[0x3c - 0x18];
	u16 pause_threshold, pause_count;
	u64 iopm, msrpm, tsc_offset;
	u32 asid;
	u8 tlb_control;
	u8 reserved2[3];
	u64 vintr;
	u64 shadow;
	u64 exit_code, exit_info1, exit_info2, exit_int_info;
	u64 np_enable, avic_bar, ghcb;
	u64 event_inject, n_cr3, lbr, clean, next_rip;
	u8 fetched, bytes[15];
	u8 reserved3[0x400 - 0xe0];
};

struct svm_save {
	struct svm_seg es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
	u8 reserved1[0xcb - 0xa0];
	u8 cpl;
	u32 reserved2;
	u64 efer;
	u8 reserved3[0x148 - 0xd8];
	u64 cr4, cr3, cr0, dr7, dr6, rflags, rip;
	u8 reserved4[0x1d8 - 0x180];
	u64 rsp;
	u8 reserved5[0x1f8 - 0x1e0];
	u64 rax, star, lstar, cstar, sfmask, kernel_gs_base;
	u64 sysenter_cs, sysenter_esp, sysenter_eip, cr2;
	u8 reserved6[0x268 - 0x248];
	u64 g_pat, dbgctl;
	u8 reserved7[0xc00 - 0x278];
} __packed;

struct vmcb {
	struct svm_control control;
	struct svm_save save;
};

static_assert(offsetof(struct svm_control, iopm) == 0x40);
static_assert(offsetof(struct svm_control, vintr) == 0x60);
static_assert(offsetof(struct svm_control, exit_code) == 0x70);
static_assert(offsetof(struct svm_control, np_enable) == 0x90);
static_assert(offsetof(struct svm_control, event_inject) == 0xa8);
static_assert(offsetof(struct svm_control, next_rip) == 0xc8);
static_assert(offsetof(struct vmcb, save) == 0x400);
static_assert(offsetof(struct svm_save, cpl) == 0xcb);
static_assert(offsetof(struct svm_save, efer) == 0xd0);
static_assert(offsetof(struct svm_save, rip) == 0x178);
static_assert(offsetof(struct svm_save, rax) == 0x1f8);
static_assert(offsetof(struct svm_save, cr2) == 0x240);
static_assert(offsetof(struct svm_save, g_pat) == 0x268);
static_assert(sizeof(struct vmcb) == 4096);

/* misc1 */
#define SVM_I_INTR (1u << 0)
#define SVM_I_NMI (1u << 1)
#define SVM_I_SMI (1u << 2)
#define SVM_I_INIT (1u << 3)
#define SVM_I_VINTR (1u << 4)
#define SVM_I_CR0_SEL (1u << 5)
#define SVM_I_RDPMC (1u << 15)
#define SVM_I_CPUID (1u << 18)
#define SVM_I_IRET (1u << 20)
#define SVM_I_INVD (1u << 22)
#define SVM_I_HLT (1u << 24)
#define SVM_I_INVLPGA (1u << 26)
#define SVM_I_IO (1u << 27)
#define SVM_I_MSR (1u << 28)
#define SVM_I_TASK (1u << 29)
#define SVM_I_FERR (1u << 30)
#define SVM_I_SHUTDOWN (1u << 31)
/* misc2: VMRUN, VMMCALL, VMLOAD, VMSAVE, STGI, CLGI, SKINIT */
#define SVM_I_SVM 0x7fu
#define SVM_I_WBINVD (1u << 9)
#define SVM_I_MONITOR (1u << 10)
#define SVM_I_MWAIT (1u << 11)
#define SVM_I_XSETBV (1u << 13)
#define SVM_I_RDPRU (1u << 14)

/* vintr */
#define SVM_V_TPR 0xffull
#define SVM_V_IRQ (1ull << 8)
#define SVM_V_PRIO (15ull << 16)
#define SVM_V_IGNORE_TPR (1ull << 20)
#define SVM_V_MASKING (1ull << 24)

/* clean: what the processor may have kept from the last VMRUN (§15.15) */
#define SVM_CLEAN_INTERCEPTS (1u << 0) /* and the TSC's offset */
#define SVM_CLEAN_ASID (1u << 2)
#define SVM_CLEAN_VINTR (1u << 3)
#define SVM_CLEAN_NP (1u << 4) /* and PAT */
#define SVM_CLEAN_CR (1u << 5) /* and EFER */
#define SVM_CLEAN_DR (1u << 6)
#define SVM_CLEAN_DT (1u << 7)
#define SVM_CLEAN_SEG (1u << 8)
#define SVM_CLEAN_CR2 (1u << 9)
#define SVM_CLEAN_ALL 0x7ffu /* bitmaps' addresses and branch records never change */

#define SVM_TLB_KEEP 0
#define SVM_TLB_FLUSH_ALL 1

/* event_inject, exit_int_info */
#define SVM_EVENT_TYPE (7u << 8)
#define SVM_EVENT_IRQ (0u << 8)
#define SVM_EVENT_NMI (2u << 8)
#define SVM_EVENT_EXCEPTION (3u << 8)
#define SVM_EVENT_SOFT (4u << 8)
#define SVM_EVENT_ERROR (1u << 11)
#define SVM_EVENT_VALID (1u << 31)

enum svm_exit {
	SVM_EXIT_READ_CR0 = 0x0,
	SVM_EXIT_WRITE_CR15 = 0x1f,
	SVM_EXIT_READ_DR0 = 0x20,
	SVM_EXIT_WRITE_DR15 = 0x3f,
	SVM_EXIT_DB = 0x41,
	SVM_EXIT_BP = 0x43,
	SVM_EXIT_AC = 0x51,
	SVM_EXIT_MC = 0x52,
	SVM_EXIT_INTR = 0x60,
	SVM_EXIT_NMI,
	SVM_EXIT_SMI,
	SVM_EXIT_INIT,
	SVM_EXIT_VINTR,
	SVM_EXIT_CR0_SEL,
	SVM_EXIT_RDPMC = 0x6f,
	SVM_EXIT_CPUID = 0x72,
	SVM_EXIT_IRET = 0x74,
	SVM_EXIT_INVD = 0x76,
	SVM_EXIT_HLT = 0x78,
	SVM_EXIT_INVLPGA = 0x7a,
	SVM_EXIT_IO,
	SVM_EXIT_MSR,
	SVM_EXIT_TASK,
	SVM_EXIT_FERR,
	SVM_EXIT_SHUTDOWN,
	SVM_EXIT_VMRUN,
	SVM_EXIT_VMMCALL,
	SVM_EXIT_VMLOAD,
	SVM_EXIT_VMSAVE,
	SVM_EXIT_STGI,
	SVM_EXIT_CLGI,
	SVM_EXIT_SKINIT,
	SVM_EXIT_WBINVD = 0x89,
	SVM_EXIT_MONITOR,
	SVM_EXIT_MWAIT,
	SVM_EXIT_XSETBV = 0x8d,
	SVM_EXIT_RDPRU,
	SVM_EXIT_NPF = 0x400,
};
#define SVM_EXIT_INVALID ~0ull

/* exit_info1 of SVM_EXIT_IO */
#define SVM_IO_IN (1u << 0)
#define SVM_IO_STRING (1u << 2)
#define SVM_IO_SIZE(info) ((info) >> 4 & 7)
#define SVM_IO_PORT(info) ((u16)((info) >> 16))

/* exit_info1 of SVM_EXIT_NPF */
#define SVM_NPF_WRITE (1u << 1)

#endif
