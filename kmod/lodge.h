/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The core's structures and functions. docs/kmod.md tells how an exit travels through them.
 *
 * Locks, in the order in which they are taken:
 *   lodge_hw_lock (hardware.c)   which processors have virtualization on, the vendor module
 *   vcpu->lock                   one vCPU's ioctls, KVM_RUN among them
 *   vm->lock                     slots, list of vCPUs
 *   vm->srcu                     readers of vm->slots; a slot that a reader has found stays
 *   vm->mmu_lock (spin)          second-level tables, invalidation counters
 *   vm->tsc_lock (spin)          the TSC that vCPUs have in common; nothing is taken with it
 *   vm->irqfd_lock               list of irqfds; then the wait queue of an eventfd (spin, interrupts off)
 *   pit->lock                    registers of the 8254
 *   vm->chip_lock (spin, interrupts off)  8259s, I/O APIC, where the clock begins
 * Local APICs have none: who sends sets bits, the vCPU's own thread does the rest.
 */
#ifndef LODGE_H
#define LODGE_H

#include <linux/hrtimer.h>
#include <linux/kvm.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/preempt.h>
#include <linux/signal.h>
#include <linux/spinlock.h>
#include <linux/srcu.h>
#include <linux/swait.h>
#include <linux/types.h>
#include <linux/workqueue.h>
#include <asm/fpu/api.h>
#include <asm/io.h>
#include <asm/msr.h>
#include <asm/processor-flags.h>

#define LODGE_MAX_VCPUS 64
#define LODGE_MAX_SLOTS 512
#define LODGE_MAX_CPUID 256
#define LODGE_MC_BANKS 10  /* as QEMU's processors have */
#define LODGE_GPA_BITS 48  /* what four levels of tables reach */
#define LODGE_MAX_GSI 1024 /* interrupt sources that can have routes */
#define LODGE_VECTORS 256

/* kvm_run, and the data of port accesses. */
#define LODGE_RUN_PAGES 2
#define LODGE_PIO_BYTES PAGE_SIZE

enum lodge_reg {
	LODGE_RAX,
	LODGE_RCX,
	LODGE_RDX,
	LODGE_RBX,
	LODGE_RSP,
	LODGE_RBP,
	LODGE_RSI,
	LODGE_RDI,
	LODGE_R8,
	LODGE_R15 = 15,
	LODGE_GPRS = 16,
};

enum lodge_seg {
	LODGE_ES,
	LODGE_CS,
	LODGE_SS,
	LODGE_DS,
	LODGE_FS,
	LODGE_GS,
	LODGE_TR,
	LODGE_LDTR,
};

enum {
	LODGE_DB = 1,
	LODGE_BP = 3,
	LODGE_UD = 6,
	LODGE_DF = 8,
	LODGE_TS = 10,
	LODGE_NP = 11,
	LODGE_SS_FAULT = 12,
	LODGE_GP = 13,
	LODGE_PF = 14,
	LODGE_AC = 17,
	LODGE_MC = 18,
};

/* What an access to guest memory is for. */
#define LODGE_WRITE 1u
#define LODGE_FETCH 2u
#define LODGE_USER 4u
#define LODGE_SYSTEM 8u /* the processor's own, of a table: SMAP does not look at AC */

/* ---- Memory -------------------------------------------------------------------------------------- */

struct lodge_slot {
	u32 id, flags;
	u64 base_gfn, npages;
	unsigned long hva;
	unsigned long *dirty; /* with KVM_MEM_LOG_DIRTY_PAGES */
	bool gone;	      /* nothing is mapped any more: mmu_lock */
};

/* Never changed once it is published: another takes its place. */
struct lodge_slots {
	unsigned int count;
	struct lodge_slot *slot[LODGE_MAX_SLOTS]; /* by base_gfn */
};

struct lodge_vm {
	struct mm_struct *mm;
	struct mutex lock;
	refcount_t users;

	struct srcu_struct srcu;
	struct lodge_slots __rcu *slots;

	spinlock_t mmu_lock;
	u64 *root;	     /* of the second-level tables */
	unsigned int levels; /* 4 or 5, as the processor's own */
	unsigned int top_pages;
	/* A fault that looked a page up before an invalidation does not map it after: notifier.c. */
	unsigned long invalidate_seq;
	unsigned long invalidating;
	struct mmu_notifier notifier;

	struct lodge_vcpu *vcpus[LODGE_MAX_VCPUS];
	unsigned int vcpu_count;

	struct lodge_filter __rcu *filter; /* filter.c */
	u32 msr_reasons;		   /* KVM_MSR_EXIT_REASON_* */

	u64 identity_addr;

	spinlock_t tsc_lock; /* what the vCPUs' TSCs have in common: msr.c */
	s64 tsc_offset;
	bool tsc_known;
	bool has_apics;		   /* local APICs are here; set before there is a vCPU */
	unsigned int split_pins;   /* of the I/O APIC that user space has */
	struct lodge_chips *chips; /* or all controllers are here: set once */
	spinlock_t chip_lock;
	struct lodge_routes __rcu *routes;
	/* Of these vectors the end of interrupt is told: to the I/O APIC, or to user space. */
	DECLARE_BITMAP(eoi_wanted, LODGE_VECTORS);

	struct mutex irqfd_lock;
	struct list_head irqfds;
	struct work_struct irqfd_reaper;
	struct list_head doorbells; /* ioeventfds: srcu; vm->lock to change it */

	u64 tsc_lost;		 /* lodge_tsc_lost, as the clock knows it */
	s64 clock_offset;	 /* of the guest's clock to the host's */
	u64 clock_tsc, clock_ns; /* where it stood when the TSC did, if that is to be trusted */
};

/* ---- vCPUs --------------------------------------------------------------------------------------- */

struct lodge_exception {
	bool pending;  /* to be delivered */
	bool injected; /* was on its way when the guest was left, and goes again */
	bool has_error;
	u8 nr;
	u32 error;
	u64 payload; /* CR2 of #PF, DR6 of #DB */
};

struct lodge_events {
	struct lodge_exception ex;
	bool nmi_pending, nmi_injected;
	bool irq_injected, irq_soft;
	bool irq_again; /* its delivery had begun: IF was looked at */
	u8 irq;
	bool triple_fault;
};

enum lodge_mode { LODGE_OUTSIDE, LODGE_IN_GUEST };

/* Bits of vcpu->requests. All but the first keep the vCPU from entering the guest, and wake it. */
#define LODGE_REQ_FLUSH 0 /* the TLB */
#define LODGE_REQ_EVENT 1 /* something for its local APIC */
#define LODGE_REQ_NMI 2
#define LODGE_REQ_INIT 3
#define LODGE_REQ_SIPI 4
#define LODGE_REQ_EOI 5 /* user space is to be told: vcpu->eoi_vector */
#define LODGE_REQ_CLOCK 6
#define LODGE_REQ_BREAK (~1ul)

struct lodge_msrs {
	u64 pat, tsc_aux, misc_enable, tsc_adjust, apic_base;
	u64 mtrr_def, mtrr_fixed[11], mtrr_var[16];
	u64 mcg_status, mcg_ctl, patch;
	u64 mc[4 * LODGE_MC_BANKS]; /* kept for user space: no machine check comes from here */
	u64 wall_clock, system_time, poll_control, pv_eoi;
};

struct lodge_vcpu {
	struct lodge_vm *vm;
	unsigned int id, index;
	struct mutex lock;
	struct kvm_run *run;
	u8 *pio; /* behind run, as its user maps it */
	struct page *pages[LODGE_RUN_PAGES];

	/* The registers, as the guest sees them. Those of the vendor's: segments, tables, MSRs that it keeps. */
	u64 regs[LODGE_GPRS];
	u64 rip, rflags;
	u64 cr0, cr2, cr3, cr4, cr8, efer, xcr0;
	u64 dr[4], dr6, dr7;
	bool dr_live;	  /* the guest has its debug registers to itself until the next exit */
	bool tpr_lowered; /* user space is to look for interrupts */
	u64 host_xcr0;
	struct lodge_msrs msrs;
	s64 tsc_offset; /* to lodge_host_tsc() */
	u64 tsc_lost;	/* as the vendor's module knows it */
	struct fpu_guest fpu;
	struct lodge_events ev;
	u32 mp_state;
	struct lodge_apic *apic; /* NULL: it is user space's */
	int ext_irq;		 /* a vector from user space's 8259s, or -1 */
	u8 eoi_vector;
	bool clock_stopped; /* user space stood still: the guest is to know */
	u32 clock_version;
	struct swait_queue_head wait;

	struct kvm_cpuid_entry2 *cpuid;
	unsigned int cpuid_count;

	struct kvm_guest_debug debug;

	/* What is left of an instruction when user space has answered; > 0: goes on, 0: out again, < 0: error. */
	int (*complete)(struct lodge_vcpu *vcpu);
	bool msr_write;
	u64 io_rip,
		next_rip; /* of an access to a port or MSR that user space answers, and after it */
	struct lodge_emu *emu;
	bool memory_gone; /* while it was emulating: -EIO of guestmem.c */

	struct preempt_notifier notifier;
	int cpu; /* where it is loaded, or was last */
	enum lodge_mode mode;
	unsigned long requests;
	bool irq_window_asked;
	bool sigset_active;
	sigset_t sigset;

	/* Tables for a fault, so that none need be allocated with mmu_lock held. */
	struct page *spare[5];
	unsigned int spares;

	void *vendor; /* the vendor module's */
};

/* ---- The vendor's part --------------------------------------------------------------------------- */

struct module;

/* What entries of second-level tables have beside P, W, U, BIG and the address, which are where EPT has R, W, X. */
struct lodge_paging {
	u64 leaf;	     /* in each mapping */
	u64 accessed, dirty; /* 0: the processor does not note that */
	u8 levels;	     /* 0: as many as the host's own tables */
	u8 max_level;	     /* of mappings: 1 is 4 KiB, 2 is 2 MiB, 3 is 1 GiB */
};

/*
 * What a module for one kind of hardware provides. All but the first four and is_idle are called on the vCPU's
 * thread, with vcpu->lock held; those marked "loaded" between load and put.
 */
struct lodge_vendor_ops {
	const char *name;
	struct module *owner;
	u64 efer_bits; /* that guests may set */
	const struct lodge_paging *paging;
	bool makes_umip; /* where the processor does not */
	bool counts_tsc; /* the guest is left when lodge_timer_left is over */

	int (*hardware_enable)(void); /* on each processor, interrupts off */
	void (*hardware_disable)(void);

	int (*vcpu_create)(struct lodge_vcpu *vcpu);
	void (*vcpu_free)(struct lodge_vcpu *vcpu);
	void (*vcpu_load)(struct lodge_vcpu *vcpu, int cpu); /* preemption off */
	void (*vcpu_put)(struct lodge_vcpu *vcpu);

	void (*get_seg)(struct lodge_vcpu *vcpu, enum lodge_seg n, struct kvm_segment *seg);
	void (*set_seg)(struct lodge_vcpu *vcpu, enum lodge_seg n, const struct kvm_segment *seg);
	void (*get_tables)(struct lodge_vcpu *vcpu, struct kvm_dtable *gdt, struct kvm_dtable *idt);
	void (*set_tables)(struct lodge_vcpu *vcpu, const struct kvm_dtable *gdt,
			   const struct kvm_dtable *idt);
	unsigned int (*cpl)(struct lodge_vcpu *vcpu);
	/* cr0, cr4, efer, debug registers or the guest's debugging have changed. */
	void (*state_changed)(struct lodge_vcpu *vcpu);
	int (*get_msr)(struct lodge_vcpu *vcpu, u32 msr, u64 *val); /* 1: not the vendor's */
	int (*set_msr)(struct lodge_vcpu *vcpu, u32 msr, u64 val);
	void (*tsc_changed)(struct lodge_vcpu *vcpu);

	u32 (*get_shadow)(struct lodge_vcpu *vcpu); /* KVM_X86_SHADOW_INT_* */
	void (*set_shadow)(struct lodge_vcpu *vcpu, u32 shadow);
	bool (*nmi_masked)(struct lodge_vcpu *vcpu);
	void (*set_nmi_masked)(struct lodge_vcpu *vcpu, bool masked);
	/* Loaded: what is to be delivered at the next entry; windows: leave the guest when it can be. */
	void (*inject_exception)(struct lodge_vcpu *vcpu);
	void (*inject_nmi)(struct lodge_vcpu *vcpu);
	void (*inject_irq)(struct lodge_vcpu *vcpu);
	void (*want_irq_window)(struct lodge_vcpu *vcpu, bool on);
	void (*want_nmi_window)(struct lodge_vcpu *vcpu);
	/* Takes back what was to be delivered, if the guest was not entered after all. */
	void (*cancel_injection)(struct lodge_vcpu *vcpu);

	void (*flush_tlb)(struct lodge_vcpu *vcpu); /* at the next entry; interrupts off */
	void (*prepare)(struct lodge_vcpu *vcpu);   /* loaded, preemption off */
	void (*enter)(struct lodge_vcpu *vcpu);	    /* interrupts off */
	/* As lodge_vcpu.complete. */
	int (*handle_exit)(struct lodge_vcpu *vcpu);
};

extern const struct lodge_vendor_ops *lodge_ops;
int lodge_vendor_register(const struct lodge_vendor_ops *ops);
void lodge_vendor_unregister(const struct lodge_vendor_ops *ops);

/* ---- main.c, hardware.c -------------------------------------------------------------------------- */

/* What there is at the moment, in debugfs: all zero when nobody uses the device. */
struct lodge_counts {
	atomic_t vms, vcpus, tables, slots, eventfds;
};
extern struct lodge_counts lodge_counts;

/* A copy, which is accounted to who asked for it; kvfree. */
void *lodge_dup_user(const void __user *from, size_t size);
int lodge_device_create(void);
void lodge_device_remove(void);
int lodge_check_extension(long cap);
int lodge_hardware_get(void);
void lodge_hardware_put(void);
bool lodge_hardware_is_on(void);
/* What the host's TSC has lost while the machine slept; guests' go on. */
extern u64 lodge_tsc_lost;

static inline u64 lodge_host_tsc(void)
{
	return rdtsc_ordered() + READ_ONCE(lodge_tsc_lost);
}

int lodge_hardware_init(void);
void lodge_hardware_exit(void);

/* ---- vm.c ---------------------------------------------------------------------------------------- */

int lodge_vm_create(void);
struct lodge_vm *lodge_vm_new(void);
void lodge_vm_get(struct lodge_vm *vm);
void lodge_vm_put(struct lodge_vm *vm);
/* All vCPUs are out of the guest, or see the request before they enter. */
void lodge_request_all(struct lodge_vm *vm, unsigned int request);
/* Any context. The vCPU does not enter the guest, or leaves it, or wakes, and looks at its requests. */
void lodge_request(struct lodge_vcpu *vcpu, unsigned int request);

/* ---- slots.c, dirty.c ------------------------------------------------------------------------------ */

int lodge_slots_init(struct lodge_vm *vm);
void lodge_slots_free(struct lodge_vm *vm);
int lodge_slot_set(struct lodge_vm *vm, const struct kvm_userspace_memory_region *r);
/* With vm->srcu read-locked. */
struct lodge_slot *lodge_slot_find(struct lodge_vm *vm, u64 gfn);
struct lodge_slot *lodge_slot_by_id(struct lodge_vm *vm, u32 id);
void lodge_mark_dirty(struct lodge_slot *slot, u64 gfn);
int lodge_dirty_get(struct lodge_vm *vm, const struct kvm_dirty_log *log);

static inline unsigned long lodge_slot_hva(const struct lodge_slot *slot, u64 gfn)
{
	return slot->hva + ((gfn - slot->base_gfn) << PAGE_SHIFT);
}

static inline bool lodge_slot_has(const struct lodge_slot *slot, u64 gfn)
{
	return gfn - slot->base_gfn < slot->npages;
}

/* ---- tables.c: second-level page tables ------------------------------------------------------------- */

#define LODGE_PTE_P 1ull
#define LODGE_PTE_W 2ull
#define LODGE_PTE_U 4ull
#define LODGE_PTE_BIG (1ull << 7)
#define LODGE_PTE_ADDR 0x000ffffffffff000ull

int lodge_tables_init(struct lodge_vm *vm);
void lodge_tables_free(struct lodge_vm *vm);
int lodge_spares_fill(struct lodge_vcpu *vcpu);
void lodge_spares_free(struct lodge_vcpu *vcpu);
/* With mmu_lock. Level 1: 4 KiB, 2: 2 MiB, 3: 1 GiB. *flush: TLBs hold something else. */
void lodge_table_set(struct lodge_vcpu *vcpu, u64 gfn, unsigned int level, u64 pte, bool *flush);
/* Those that do something to entries of [gfn, end) tell whether TLBs are to be flushed. */
bool lodge_table_zap(struct lodge_vm *vm, u64 gfn, u64 end, struct list_head *freed);
bool lodge_table_protect(struct lodge_vm *vm, u64 gfn, u64 end);
bool lodge_table_age(struct lodge_vm *vm, u64 gfn, u64 end, bool clear);
void lodge_table_free_list(struct list_head *freed);
/* Zap, flush, free. Not with mmu_lock. */
void lodge_zap(struct lodge_vm *vm, u64 gfn, u64 end);

/* ---- fault.c, notifier.c ------------------------------------------------------------------------- */

/* 1: mapped, or nothing to do; 0: there is no memory for this access, it is a device's; < 0: error. */
int lodge_fault(struct lodge_vcpu *vcpu, u64 gpa, bool write);
int lodge_notifier_init(struct lodge_vm *vm);

/* ---- guestmem.c, walk.c: the kernel's own accesses ----------------------------------------------- */

/*
 * Guest-physical. 0; -ENOENT: not all of it is memory (or, for writing, writable); -EIO: user space has taken away what is behind
 * it. srcu is held.
 */
int lodge_read_gpa(struct lodge_vm *vm, u64 gpa, void *data, unsigned int len);
int lodge_write_gpa(struct lodge_vm *vm, u64 gpa, const void *data, unsigned int len);
/* 1, 2, 4 or 8 bytes, aligned, if they are still `old`: -EAGAIN if not; -EINVAL: not of that kind. */
int lodge_cmpxchg_gpa(struct lodge_vm *vm, u64 gpa, const void *old, const void *new,
		      unsigned int len);

struct lodge_walk {
	u64 gpa;
	u32 error; /* of the #PF, when the walk fails with -EFAULT */
};
/* Linear to physical, as the processor does it, A and D bits included. -EFAULT: #PF; else as above, of its tables. */
int lodge_walk(struct lodge_vcpu *vcpu, u64 lin, unsigned int access, struct lodge_walk *w);

/* ---- vcpu.c, regs.c, run.c --------------------------------------------------------------------------- */

int lodge_vcpu_create(struct lodge_vm *vm, u32 id);
struct lodge_vcpu *lodge_vcpu_new(struct lodge_vm *vm, u32 id);
void lodge_vcpu_free(struct lodge_vcpu *vcpu);
void lodge_vcpu_load(struct lodge_vcpu *vcpu);
void lodge_vcpu_put(struct lodge_vcpu *vcpu);
void lodge_vcpu_reset(struct lodge_vcpu *vcpu);
void lodge_vcpu_init(struct lodge_vcpu *vcpu); /* by an INIT */
/*
 * A segment's attributes as bits 8 to 23 of a descriptor's second half have them (SDM 3A fig. 3-8).
 * `unusable` is the caller's.
 */
u16 lodge_seg_attr(const struct kvm_segment *s);
void lodge_seg_set_attr(struct kvm_segment *s, u16 attr);
/* -ENOTTY: not one of theirs. */
long lodge_regs_ioctl(struct lodge_vcpu *vcpu, unsigned int cmd, void __user *arg);
int lodge_run(struct lodge_vcpu *vcpu);
/* They fill run's exit and return 0. */
int lodge_exit(struct lodge_vcpu *vcpu, u32 reason);
int lodge_exit_internal(struct lodge_vcpu *vcpu, u32 suberror, u64 what, u64 more);
/* After HLT, as complete: here, or to user space. */
int lodge_halt(struct lodge_vcpu *vcpu);
/* Past an instruction; its own trap (TF) included. As lodge_vcpu.complete. */
int lodge_skip_to(struct lodge_vcpu *vcpu, u64 next_rip);

static inline bool lodge_long_mode(const struct lodge_vcpu *vcpu)
{
	return vcpu->efer & EFER_LMA;
}

/* ---- events.c ------------------------------------------------------------------------------------ */

void lodge_queue(struct lodge_vcpu *vcpu, u8 nr);
void lodge_queue_error(struct lodge_vcpu *vcpu, u8 nr, u32 error);
void lodge_queue_pf(struct lodge_vcpu *vcpu, u64 lin, u32 error);
void lodge_queue_db(struct lodge_vcpu *vcpu, u64 dr6);
bool lodge_irq_allowed(struct lodge_vcpu *vcpu);
/* User space's 8259s have a way to it; and it can be given an interrupt of theirs now. */
bool lodge_takes_user_irq(const struct lodge_vcpu *vcpu);
bool lodge_ready_for_irq(struct lodge_vcpu *vcpu);
/* What others have asked of it, but the end of interrupt for user space. */
void lodge_take_requests(struct lodge_vcpu *vcpu);
/* A vCPU in HLT or before its SIPI: is there something to go on for? */
bool lodge_wakes(struct lodge_vcpu *vcpu);
void lodge_inject(struct lodge_vcpu *vcpu);
void lodge_events_get(struct lodge_vcpu *vcpu, struct kvm_vcpu_events *e);
int lodge_events_set(struct lodge_vcpu *vcpu, const struct kvm_vcpu_events *e);

/* ---- cpuid.c, msr.c ------------------------------------------------------------------------------- */

long lodge_cpuid_supported(struct kvm_cpuid2 __user *arg);
long lodge_cpuid_set(struct lodge_vcpu *vcpu, struct kvm_cpuid2 __user *arg);
long lodge_cpuid_get(struct lodge_vcpu *vcpu, struct kvm_cpuid2 __user *arg);
int lodge_do_cpuid(struct lodge_vcpu *vcpu, u64 next_rip);
/* eax and ecx come filled. */
void lodge_cpuid_query(struct lodge_vcpu *vcpu, u32 regs[4]);
const struct kvm_cpuid_entry2 *lodge_cpuid_find(const struct lodge_vcpu *vcpu, u32 leaf, u32 sub);
u64 lodge_xcr0_supported(void);

long lodge_msr_list(struct kvm_msr_list __user *arg, bool features);
long lodge_msrs_io(struct lodge_vcpu *vcpu, struct kvm_msrs __user *arg, bool set);
/* 0; -EINVAL: not this value; -ENOENT: no such register. */
int lodge_msr_read(struct lodge_vcpu *vcpu, u32 msr, u64 *val);
int lodge_msr_write(struct lodge_vcpu *vcpu, u32 msr, u64 val, bool host);
int lodge_do_rdmsr(struct lodge_vcpu *vcpu, u64 next_rip);
int lodge_do_wrmsr(struct lodge_vcpu *vcpu, u64 next_rip);
u64 lodge_guest_tsc(const struct lodge_vcpu *vcpu);
s64 lodge_tsc_offset(struct lodge_vm *vm, u64 val);
/* tsc_offset has changed. */
void lodge_tsc_moved(struct lodge_vcpu *vcpu);

/* ---- filter.c ---------------------------------------------------------------------------------------- */

long lodge_filter_set(struct lodge_vm *vm, void __user *arg);
void lodge_filter_free(struct lodge_vm *vm);
/* With srcu. Is the guest to find it here? */
bool lodge_msr_allowed(struct lodge_vm *vm, u32 msr, bool write);
/* RDMSR, WRMSR, to the end or to user space. As complete. */
int lodge_msr_exit(struct lodge_vcpu *vcpu, bool write, u64 next_rip);

/* ---- io.c, emulate_ops.c, cr.c, debug.c ------------------------------------------------------------- */

int lodge_do_io(struct lodge_vcpu *vcpu, u16 port, unsigned int size, bool in, u64 next_rip);
/* The instruction at rip, by the emulator: device memory, string ports, whatever has operands. As complete. */
int lodge_emulate(struct lodge_vcpu *vcpu, bool io_checked);
/* In a row, where the processor cannot run the guest at all; events by the table of real mode. As complete. */
int lodge_emulate_next(struct lodge_vcpu *vcpu);
int lodge_emulate_event(struct lodge_vcpu *vcpu, u8 vector, u64 return_rip);
/* rip after it, by decoding alone, where the processor does not tell; 0: it cannot be had. */
u64 lodge_insn_end(struct lodge_vcpu *vcpu);
int lodge_emulate_task_switch(struct lodge_vcpu *vcpu, u16 sel, unsigned int reason, bool has_error,
			      u32 error);
int lodge_emulate_init(struct lodge_vcpu *vcpu);
void lodge_emulate_free(struct lodge_vcpu *vcpu);
/* Registers were set: an instruction that waits for user space is forgotten. */
void lodge_emulate_drop(struct lodge_vcpu *vcpu);

int lodge_set_cr0(struct lodge_vcpu *vcpu, u64 val); /* -EINVAL: #GP */
int lodge_set_cr3(struct lodge_vcpu *vcpu, u64 val);
int lodge_set_cr4(struct lodge_vcpu *vcpu, u64 val);
bool lodge_cr4_exists(u64 val);
int lodge_set_efer(struct lodge_vcpu *vcpu, u64 val);
int lodge_set_xcr0(struct lodge_vcpu *vcpu, u64 val);
int lodge_do_xsetbv(struct lodge_vcpu *vcpu, u64 next_rip);

int lodge_debug_set(struct lodge_vcpu *vcpu, const struct kvm_guest_debug *d);
int lodge_exit_debug(struct lodge_vcpu *vcpu, u32 exception, u64 dr6);
/* What is to be in the processor: the guest's, or its debugger's. */
u64 lodge_effective_dr7(const struct lodge_vcpu *vcpu);
u64 lodge_effective_dr(const struct lodge_vcpu *vcpu, unsigned int n);

/* ---- exits.c ------------------------------------------------------------------------------------------- */

/* What to do when the guest was left, as complete. insn: by an instruction, which ends at next_rip. */
struct lodge_handler {
	int (*fn)(struct lodge_vcpu *vcpu);
	int (*insn)(struct lodge_vcpu *vcpu, u64 next_rip);
};
/* clang-format off */
#define LODGE_FN(f) {.fn = f}
#define LODGE_INSN(f) {.insn = f}
/* clang-format on */
/* The one of `code`; next says where an instruction ends, 0: that is not known. */
int lodge_handle(struct lodge_vcpu *vcpu, const struct lodge_handler *h, size_t n, u64 code,
		 u64 (*next)(struct lodge_vcpu *vcpu));
int lodge_go_on(struct lodge_vcpu *vcpu);
int lodge_do_ud(struct lodge_vcpu *vcpu);
int lodge_do_gp(struct lodge_vcpu *vcpu);
int lodge_do_ac(struct lodge_vcpu *vcpu);
int lodge_do_emulate(struct lodge_vcpu *vcpu);
int lodge_do_hlt(struct lodge_vcpu *vcpu, u64 next_rip);
int lodge_do_hypercall(struct lodge_vcpu *vcpu, u64 next_rip);
int lodge_exit_not_entered(struct lodge_vcpu *vcpu, u64 reason);

/* ---- selftest.c ---------------------------------------------------------------------------------------- */

#ifdef LODGE_DEBUG
int lodge_selftest(void);
#else
static inline int lodge_selftest(void)
{
	return 0;
}
#endif
/* ---- lapic.c, lapic_timer.c -------------------------------------------------------------------------- */

enum lodge_delivery {
	LODGE_FIXED,
	LODGE_LOWEST,
	LODGE_SMI,
	LODGE_NMI = 4,
	LODGE_INIT,
	LODGE_STARTUP,
	LODGE_EXTINT
};

struct lodge_msg {
	u32 dest;
	u8 vector, mode;
	bool logical, level;
	bool wide; /* x2APIC's: dest has 32 bits */
	bool all;  /* whatever dest says */
	const struct lodge_vcpu *but;
	unsigned int news; /* out: how many had it not waiting already */
};

#define LODGE_APIC_REG(offset) ((offset) >> 4)

struct lodge_apic {
	struct lodge_vcpu *vcpu;
	u32 reg[64]; /* one every 16 bytes; those of the next three are not used */
	DECLARE_BITMAP(irr, LODGE_VECTORS);
	DECLARE_BITMAP(isr, LODGE_VECTORS);
	DECLARE_BITMAP(tmr, LODGE_VECTORS);
	u8 sipi;
	u32 turns; /* lowest priority: who has had more waits */

	struct hrtimer timer;
	u64 period; /* ns */
	u64 deadline;
	atomic_t fired;
};

int lodge_apic_create(struct lodge_vcpu *vcpu);
void lodge_apic_free(struct lodge_vcpu *vcpu);
void lodge_apic_reset(struct lodge_vcpu *vcpu);
/* Any context. How many took it; < 0: there is nobody of that name. */
int lodge_apic_send(struct lodge_vm *vm, struct lodge_msg *msg);
/* The vCPU's thread: what is to be delivered, -1: nothing; and that it is. */
int lodge_apic_irq(const struct lodge_apic *a);
void lodge_apic_take(struct lodge_apic *a, u8 vector);
bool lodge_apic_takes_ext(const struct lodge_vcpu *vcpu);
/* INT of the 8259s has risen. */
void lodge_apic_lint0(struct lodge_apic *a);
void lodge_apic_cr8(struct lodge_vcpu *vcpu, u64 val);
bool lodge_apic_at(const struct lodge_vcpu *vcpu, u64 gpa);
void lodge_apic_mmio(struct lodge_vcpu *vcpu, unsigned int offset, void *data, unsigned int len,
		     bool write);
/* x2APIC and the TSC deadline; -ENOENT: no such register, or not now. */
int lodge_apic_msr(struct lodge_vcpu *vcpu, u32 msr, u64 *val, bool write);
int lodge_apic_set_base(struct lodge_vcpu *vcpu, u64 val, bool host);
void lodge_apic_get(struct lodge_vcpu *vcpu, struct kvm_lapic_state *s);
int lodge_apic_set(struct lodge_vcpu *vcpu, const struct kvm_lapic_state *s);

void lodge_timer_init(struct lodge_apic *a);
void lodge_timer_stop(struct lodge_apic *a);
/* With `count` left to go. */
void lodge_timer_start(struct lodge_apic *a, u32 count);
u32 lodge_timer_count(struct lodge_apic *a);
u64 lodge_timer_deadline(const struct lodge_apic *a);
void lodge_timer_set_deadline(struct lodge_apic *a, u64 tsc);
/* Until the deadline, by the TSC; ~0: there is none. And as handle_exit, when a processor that counts has done so. */
u64 lodge_timer_left(const struct lodge_vcpu *vcpu);
int lodge_timer_counted(struct lodge_vcpu *vcpu);
void lodge_timer_sleeps(struct lodge_apic *a, bool sleeps);
void lodge_timer_lvt(struct lodge_apic *a, u32 lvt);
/* What has fired becomes an interrupt. */
void lodge_timer_sync(struct lodge_apic *a);

/* ---- pic.c, ioapic.c, pit.c --------------------------------------------------------------------------- */

/* Who drives a line: it is high while one of them holds it. */
#define LODGE_SRC_USER 0
#define LODGE_SRC_PIT 1

#define LODGE_IOAPIC_BASE 0xfec00000u
#define LODGE_IOAPIC_PINS KVM_IOAPIC_NUM_PINS

/* With chip_lock, but the last. */
struct lodge_chips {
	struct kvm_pic_state pic[2];
	u8 pic_lines[16], io_lines[LODGE_IOAPIC_PINS]; /* bits by source */
	bool pic_out;				       /* INT, to who takes ExtINT */
	u32 pit_pins;				       /* of the I/O APIC, that the 8254 reaches */
	struct kvm_ioapic_state io;
	struct lodge_pit *pit; /* set once */
};

void lodge_pic_init(struct lodge_chips *c);
/* chip_lock is held. As KVM_IRQ_LINE_STATUS: < 0 masked, 0 was there already, or how many. */
int lodge_pic_line(struct lodge_vm *vm, unsigned int pin, unsigned int src, bool level);
int lodge_pic_take(struct lodge_vm *vm);
void lodge_pic_set(struct lodge_vm *vm, unsigned int n, const struct kvm_pic_state *s);
bool lodge_pic_io(struct lodge_vm *vm, u16 port, u8 *val, bool write);

void lodge_ioapic_init(struct lodge_chips *c);
int lodge_ioapic_line(struct lodge_vm *vm, unsigned int pin, unsigned int src, bool level);
void lodge_ioapic_eoi(struct lodge_vm *vm, u8 vector);
void lodge_ioapic_wanted(const struct lodge_chips *c, unsigned long *vectors);
void lodge_ioapic_mmio(struct lodge_vm *vm, unsigned int offset, void *data, unsigned int len,
		       bool write);
void lodge_ioapic_set(struct lodge_vm *vm, const struct kvm_ioapic_state *s);

long lodge_pit_create(struct lodge_vm *vm, const struct kvm_pit_config *cfg);
void lodge_pit_free(struct lodge_vm *vm);
void lodge_pit_acked(struct lodge_vm *vm);
bool lodge_pit_io(struct lodge_vm *vm, u16 port, u8 *val, bool write);
long lodge_pit_ioctl(struct lodge_vm *vm, unsigned int cmd, void __user *arg);

/* ---- routing.c, irqfd.c, ioeventfd.c, clock.c ---------------------------------------------------------- */

long lodge_irq_ioctl(struct lodge_vm *vm, unsigned int cmd, void __user *arg);
long lodge_irq_split(struct lodge_vm *vm, u64 pins);
void lodge_routes_free(struct lodge_vm *vm);
/* Any context. As KVM_IRQ_LINE_STATUS. */
int lodge_gsi(struct lodge_vm *vm, unsigned int src, u32 gsi, bool level);
/* With chip_lock: the routes, or entries of the I/O APIC, have changed. */
void lodge_eoi_changed(struct lodge_vm *vm);

void lodge_irqfd_init(struct lodge_vm *vm);
long lodge_irqfd(struct lodge_vm *vm, void __user *arg);
void lodge_irqfd_release(struct lodge_vm *vm);

long lodge_ioeventfd(struct lodge_vm *vm, void __user *arg);
void lodge_ioeventfd_release(struct lodge_vm *vm);
/* With srcu. The devices that are here: true if one of them answered. */
bool lodge_device_mmio(struct lodge_vcpu *vcpu, u64 gpa, void *data, unsigned int len, bool write);
bool lodge_device_port(struct lodge_vcpu *vcpu, u16 port, void *data, unsigned int len, bool write);

void lodge_clock_init(struct lodge_vm *vm);
long lodge_clock_ioctl(struct lodge_vm *vm, unsigned int cmd, void __user *arg);
void lodge_clock_update(struct lodge_vcpu *vcpu);
/* The machine has slept since the vCPU was loaded last. */
void lodge_clock_woken(struct lodge_vcpu *vcpu);
/* The vCPU comes to a processor, where a TSC that is not to be trusted may say something else. */
void lodge_clock_moved(struct lodge_vcpu *vcpu);
int lodge_clock_msr(struct lodge_vcpu *vcpu, u32 msr, u64 val);
long lodge_clock_stopped(struct lodge_vcpu *vcpu);
/* So much of the TSC, in nanoseconds. */
u64 lodge_tsc_to_ns(u64 tsc);

#endif
