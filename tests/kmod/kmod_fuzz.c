// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Random ioctls for the kernel component: sequences that make some sense, over the system's, VMs' and vCPUs' descriptors,
 * with structures that are random, were read and changed in some bytes, or are nearly right; threads that do so at once,
 * and one that takes memory away beneath and writes to what vCPUs share with user space.
 *
 *   kmod_fuzz [-d DEVICE] [-s SEED] [-n OPERATIONS] [-t THREADS] [-r ROUNDS] [-l SECONDS a round at most] [-v]
 *
 * A round is a process of its own with new descriptors, and begins with the line "seed": the same with -r 1 does the
 * same again, exactly so with one thread. Finding nothing is the kernel's log without a word, and counters of zero.
 * Threads: -t of them, one that disturbs, one that brings those in KVM_RUN back.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kmod_code.h"

#define MEM (16u << 20)
#define VMS 3
#define VCPUS 6
#define BUF 8192
#define EVENTS 8
#define MOVES 0x10000000u /* where a slot is moved about */
#define RUN_ROOM 0x10000u
#define MAX_THREADS 8

static const char *device = "/dev/lodge";
static unsigned operations = 2000, threads = 3, limit = 120;
static bool verbose;

/* ---- What there is --------------------------------------------------------------------------------------- */

struct world {
	int dev;
	_Atomic int vm[VMS], vcpu[VCPUS];
	_Atomic(struct kvm_run *) run[VCPUS];
	int event[EVENTS];
	size_t run_size;
	uint8_t *mem, *runs;
	_Atomic bool over;
	struct worker {
		struct world *w;
		uint64_t rnd;
		pthread_t thread;
		_Atomic int running; /* in KVM_RUN: since so many looks */
		uint8_t *buf;
	} worker[MAX_THREADS];
};

struct op {
	const char *name;
	unsigned long cmd;
	unsigned char on;  /* 'd', 'v', 'c' */
	unsigned long get; /* where its structure can be read first */
	void (*fill)(struct worker *k, void *buf);
};

/* ---- Structures that are nearly right -------------------------------------------------------------------- */

static uint64_t address(struct worker *k)
{
	uint64_t *s = &k->rnd, at = (uintptr_t)k->w->mem + ((uint64_t)below(s, MEM / 4096) << 12);

	switch (below(s, 12)) {
	case 0:
		return number(s);
	case 1:
		return at + below(s, 4096);
	}
	return at;
}

static void fill_slot(struct worker *k, void *buf)
{
	uint64_t *s = &k->rnd;
	uint64_t at = below(s, 3) ? (uintptr_t)k->w->mem : address(k);

	*(struct kvm_userspace_memory_region *)buf = (struct kvm_userspace_memory_region){
		.slot = below(s, 10) ? below(s, 4) : (uint32_t)number(s),
		.flags = below(s, 8) ? below(s, 4) : (uint32_t)number(s),
		.guest_phys_addr =
			below(s, 6) ? (uint64_t)below(s, 4) * MEM : number(s) & ~0xfffull,
		/* The log of 8 TiB would be 256 MiB, which the first level has not often. */
		.memory_size = below(s, 3) ? MEM
			       : below(s, 2)
				       ? 0
				       : number(s) & ~0xfffull &
						 (below(s, 9) ? (1ull << 38) - 1 : ~0ull << 43),
		.userspace_addr = at};
}

static void fill_dirty(struct worker *k, void *buf)
{
	*(struct kvm_dirty_log *)buf =
		(struct kvm_dirty_log){.slot = below(&k->rnd, 4),
				       .dirty_bitmap = (void *)(uintptr_t)address(k)};
}

static void fill_msrs(struct worker *k, void *buf)
{
	static const uint32_t some[] = {
		0x10,	    0x11,	0x12,	    0x1b,	0x8b,	    0x174,	0x175,
		0x176,	    0x17a,	0x1a0,	    0x1d9,	0x200,	    0x20f,	0x250,
		0x277,	    0x2ff,	0x400,	    0x427,	0x6e0,	    0x800,	0x830,
		0x4b564d00, 0x4b564d01, 0xc0000080, 0xc0000081, 0xc0000082, 0xc0000084, 0xc0000100,
		0xc0000102, 0xc0000103, 0xc0010015, 0x3b,	0xc0010117};
	uint64_t *s = &k->rnd;
	struct kvm_msrs *m = buf;

	m->nmsrs = below(s, 20) ? below(s, 16) : (uint32_t)number(s);
	for (unsigned i = 0; i < 16; i++)
		m->entries[i] = (struct kvm_msr_entry){
			.index = below(s, 8) ? some[below(s, sizeof(some) / sizeof(some[0]))]
					     : (uint32_t)number(s),
			.data = number(s)};
}

static void fill_filter(struct worker *k, void *buf)
{
	uint64_t *s = &k->rnd;
	struct kvm_msr_filter *f = buf;

	memset(f, 0, sizeof(*f));
	f->flags = below(s, 3);
	for (unsigned i = below(s, 17); i; i--)
		f->ranges[i - 1] = (struct kvm_msr_filter_range){
			.flags = below(s, 5),
			.nmsrs = below(s, 8) ? below(s, 64) : (uint32_t)number(s),
			.base = (uint32_t)number(s),
			.bitmap = (void *)(uintptr_t)address(k)};
}

static void fill_cpuid(struct worker *k, void *buf)
{
	struct kvm_cpuid2 *c = buf;

	memset(c, 0, BUF);
	c->nent = 100;
	(void)ioctl(k->w->dev, KVM_GET_SUPPORTED_CPUID, c);
	if (!below(&k->rnd, 4))
		c->nent = (uint32_t)number(&k->rnd);
	if (!below(&k->rnd, 2))
		c->entries[below(&k->rnd, 32)].ecx = (uint32_t)number(&k->rnd);
}

static void fill_cap(struct worker *k, void *buf)
{
	static const uint32_t caps[] = {
		KVM_CAP_X86_USER_SPACE_MSR,	   KVM_CAP_SPLIT_IRQCHIP, KVM_CAP_X2APIC_API,
		KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, KVM_CAP_HALT_POLL,	  KVM_CAP_MAX_VCPU_ID};
	uint64_t *s = &k->rnd;

	*(struct kvm_enable_cap *)buf = (struct kvm_enable_cap){
		.cap = below(s, 4) ? caps[below(s, sizeof(caps) / sizeof(caps[0]))]
				   : (uint32_t)number(s),
		.args = {below(s, 2) ? below(s, 32) : number(s)}};
}

static void fill_routing(struct worker *k, void *buf)
{
	uint64_t *s = &k->rnd;
	struct kvm_irq_routing *r = buf;

	memset(r, 0, BUF);
	r->nr = below(s, 12) ? below(s, 32) : (uint32_t)number(s);
	for (unsigned i = 0; i < 32; i++) {
		struct kvm_irq_routing_entry *e = &r->entries[i];

		e->gsi = below(s, 8) ? below(s, 32) : (uint32_t)number(s);
		e->type = 1 + below(s, 2);
		if (e->type == KVM_IRQ_ROUTING_IRQCHIP) {
			e->u.irqchip.irqchip = below(s, 4);
			e->u.irqchip.pin = below(s, 26);
		} else {
			e->u.msi.address_lo = 0xfee00000 | below(s, 1u << 20);
			e->u.msi.address_hi = below(s, 8) ? 0 : (uint32_t)number(s);
			e->u.msi.data = below(s, 0x10000);
		}
	}
}

static void fill_line(struct worker *k, void *buf)
{
	*(struct kvm_irq_level *)buf = (struct kvm_irq_level){
		.irq = below(&k->rnd, 8) ? below(&k->rnd, 26) : (uint32_t)number(&k->rnd),
		.level = below(&k->rnd, 2)};
}

static void fill_msi(struct worker *k, void *buf)
{
	*(struct kvm_msi *)buf =
		(struct kvm_msi){.address_lo = 0xfee00000 | below(&k->rnd, 1u << 20),
				 .data = below(&k->rnd, 0x10000)};
}

static int an_eventfd(struct worker *k)
{
	return below(&k->rnd, 10) ? k->w->event[below(&k->rnd, EVENTS)] : (int)number(&k->rnd);
}

static void fill_irqfd(struct worker *k, void *buf)
{
	*(struct kvm_irqfd *)buf = (struct kvm_irqfd){.fd = (uint32_t)an_eventfd(k),
						      .gsi = below(&k->rnd, 32),
						      .flags = below(&k->rnd, 4),
						      .resamplefd = (uint32_t)an_eventfd(k)};
}

static void fill_ioeventfd(struct worker *k, void *buf)
{
	uint64_t *s = &k->rnd;

	*(struct kvm_ioeventfd *)buf = (struct kvm_ioeventfd){
		.datamatch = number(s),
		.addr = below(s, 2) ? below(s, 256) : 0xd0000000 + below(s, 4096),
		.len = 1u << below(s, 4),
		.fd = an_eventfd(k),
		.flags = below(s, 8)};
}

static void fill_irq(struct worker *k, void *buf)
{
	*(struct kvm_interrupt *)buf = (struct kvm_interrupt){
		.irq = below(&k->rnd, 10) ? below(&k->rnd, 256) : (uint32_t)number(&k->rnd)};
}

static void fill_mask(struct worker *k, void *buf)
{
	struct kvm_signal_mask *m = buf;

	/* Never that signal which brings it back. */
	m->len = below(&k->rnd, 8) ? 8 : (uint32_t)number(&k->rnd);
	memset(m->sigset, 0, 8);
}

static void fill_attr(struct worker *k, void *buf)
{
	*(struct kvm_device_attr *)buf = (struct kvm_device_attr){.group = below(&k->rnd, 3),
								  .attr = below(&k->rnd, 3),
								  .addr = address(k)};
}

static void fill_debug(struct worker *k, void *buf)
{
	struct kvm_guest_debug *d = buf;

	memset(d, 0, sizeof(*d));
	d->control = below(&k->rnd, 4) ? below(&k->rnd, 4) | below(&k->rnd, 4) << 16
				       : (uint32_t)number(&k->rnd);
	for (unsigned i = 0; i < 8; i++)
		d->arch.debugreg[i] = number(&k->rnd);
}

/* Where a device is, memory that may be away, or the end of one of them. */
static uint64_t place(struct worker *k)
{
	static const uint32_t pages[] = {0xd0000000, 0xfee00000, 0xfec00000, MEM,
					 2 * MEM,    MOVES,	 MOVES,	     0x100000};
	uint64_t *s = &k->rnd, at = pages[below(s, sizeof(pages) / sizeof(pages[0]))];

	switch (below(s, 4)) {
	case 0:
		return at - below(s, 16);
	case 1:
		return at + below(s, 16) * 4096;
	}
	return at + below(s, 64) * 16;
}

/* Registers with which guest code comes to run: real mode, or what the bits say. */
static void fill_sregs(struct worker *k, void *buf)
{
	uint64_t *r = &k->rnd;
	struct kvm_sregs *s = buf;

	switch (below(r, 4)) {
	case 0: /* long mode, tables at 0x3000 */
		s->cr0 = 0x80000031;
		s->cr4 = 0x620;
		s->cr3 = 0x3000;
		s->efer = 0xd00;
		s->cs.l = 1;
		s->cs.db = 0;
		break;
	case 1: /* flat, 32 bits */
		s->cr0 = below(r, 2) ? 0x11 : 0x80000011;
		s->cr4 = below(r, 2) ? 0 : 0x30;
		s->cr3 = 0x3000;
		s->efer = 0;
		s->cs.l = 0;
		s->cs.db = 1;
		break;
	default:
		s->cr0 = 0x10;
		s->cr4 = s->efer = 0;
		s->cs.l = s->cs.db = 0;
	}
	s->cs.base = s->ds.base = s->ss.base = 0;
	s->es.base = below(r, 2) ? place(k) : 0;
	s->cs.type = 11;
	s->cs.s = s->cs.present = s->ss.s = s->ss.present = 1;
	s->cs.dpl = s->ss.dpl = below(r, 4) ? 0 : 3;
	s->cs.limit = s->ds.limit = s->es.limit = s->ss.limit = 0xffffffff;
	s->cs.g = s->ds.g = 1;
	/* QEMU ends with "invalid tss" where a gate leads to a task; a table of nothing leads nowhere. */
	s->idt.base = 0x6000;
	s->idt.limit = s->cr0 & 1 ? 0 : (uint16_t)number(r);
	s->gdt.base = 0x7000;
	s->gdt.limit = (uint16_t)number(r);
}

static void fill_regs(struct worker *k, void *buf)
{
	struct kvm_regs *r = buf;

	r->rip = below(&k->rnd, 8) ? 0x1000 + below(&k->rnd, 0x800) : number(&k->rnd);
	r->rflags = below(&k->rnd, 2) ? 2 | (uint64_t)below(&k->rnd, 2) << 9
				      : number(&k->rnd) & 0x3f7fd7;
	r->rsp = 0x8000;
	for (unsigned i = 0; i < 16; i++) {
		__u64 *reg = &r->rax + i;

		if (reg != &r->rsp && below(&k->rnd, 2))
			*reg = below(&k->rnd, 6) ? place(k) : number(&k->rnd);
	}
}

static void fill_pit(struct worker *k, void *buf)
{
	*(struct kvm_pit_config *)buf = (struct kvm_pit_config){
		.flags = below(&k->rnd, 8) ? below(&k->rnd, 2) : (uint32_t)number(&k->rnd)};
}

static void fill_chip(struct worker *k, void *buf)
{
	((struct kvm_irqchip *)buf)->chip_id =
		below(&k->rnd, 8) ? below(&k->rnd, 3) : (uint32_t)number(&k->rnd);
}

/* Its state was read, and some registers are otherwise: those of the timer above all. */
static void fill_lapic(struct worker *k, void *buf)
{
	static const unsigned char some[] = {0x02, 0x08, 0x0d, 0x0f, 0x10, 0x18, 0x20, 0x27, 0x30,
					     0x32, 0x32, 0x35, 0x37, 0x38, 0x38, 0x39, 0x3e};
	uint64_t *s = &k->rnd;

	for (unsigned n = below(s, 6); n; n--) {
		uint32_t val =
			below(s, 2) ? below(s, 8) << 17 | below(s, 256) : (uint32_t)number(s);

		memcpy((char *)buf + some[below(s, sizeof(some))] * 16, &val, 4);
	}
}

static void fill_reinject(struct worker *k, void *buf)
{
	*(struct kvm_reinject_control *)buf =
		(struct kvm_reinject_control){.pit_reinject = (uint8_t)below(&k->rnd, 2)};
}

static void fill_numbers(struct worker *k, void *buf)
{
	uint64_t *p = buf;

	for (unsigned i = 0; i < 64; i++)
		p[i] = number(&k->rnd);
}

/* ---- The operations -------------------------------------------------------------------------------------- */

#define OP(cmd, on, get, fill)           \
	{                                \
#cmd, cmd, on, get, fill \
	}
static const struct op ops[] = {
	OP(KVM_GET_API_VERSION, 'd', 0, NULL),
	OP(KVM_CHECK_EXTENSION, 'd', 0, NULL),
	OP(KVM_CHECK_EXTENSION, 'v', 0, NULL),
	OP(KVM_GET_VCPU_MMAP_SIZE, 'd', 0, NULL),
	OP(KVM_GET_SUPPORTED_CPUID, 'd', 0, fill_cpuid),
	OP(KVM_GET_EMULATED_CPUID, 'd', 0, fill_cpuid),
	OP(KVM_GET_MSR_INDEX_LIST, 'd', 0, fill_numbers),
	OP(KVM_GET_MSR_FEATURE_INDEX_LIST, 'd', 0, fill_numbers),
	OP(KVM_GET_MSRS, 'd', 0, fill_msrs),
	OP(KVM_SET_USER_MEMORY_REGION, 'v', 0, fill_slot),
	OP(KVM_SET_USER_MEMORY_REGION, 'v', 0, fill_slot),
	OP(KVM_SET_USER_MEMORY_REGION, 'v', 0, fill_slot),
	OP(KVM_GET_DIRTY_LOG, 'v', 0, fill_dirty),
	OP(KVM_CLEAR_DIRTY_LOG, 'v', 0, fill_numbers),
	OP(KVM_ENABLE_CAP, 'v', 0, fill_cap),
	OP(KVM_X86_SET_MSR_FILTER, 'v', 0, fill_filter),
	OP(KVM_SET_IDENTITY_MAP_ADDR, 'v', 0, fill_numbers),
	OP(KVM_CREATE_IRQCHIP, 'v', 0, NULL),
	OP(KVM_GET_IRQCHIP, 'v', 0, fill_chip),
	OP(KVM_SET_IRQCHIP, 'v', KVM_GET_IRQCHIP, NULL),
	OP(KVM_SET_IRQCHIP, 'v', KVM_GET_IRQCHIP, fill_chip),
	OP(KVM_IRQ_LINE, 'v', 0, fill_line),
	OP(KVM_IRQ_LINE_STATUS, 'v', 0, fill_line),
	OP(KVM_CREATE_PIT2, 'v', 0, fill_pit),
	OP(KVM_GET_PIT2, 'v', 0, NULL),
	OP(KVM_GET_PIT, 'v', 0, NULL),
	OP(KVM_SET_PIT, 'v', KVM_GET_PIT, NULL),
	OP(KVM_SET_PIT2, 'v', KVM_GET_PIT2, NULL),
	OP(KVM_SET_GSI_ROUTING, 'v', 0, fill_routing),
	OP(KVM_SIGNAL_MSI, 'v', 0, fill_msi),
	OP(KVM_IRQFD, 'v', 0, fill_irqfd),
	OP(KVM_IOEVENTFD, 'v', 0, fill_ioeventfd),
	OP(KVM_SET_CLOCK, 'v', KVM_GET_CLOCK, NULL),
	OP(KVM_GET_CLOCK, 'v', 0, NULL),
	OP(KVM_REINJECT_CONTROL, 'v', 0, fill_reinject),
	OP(KVM_CREATE_DEVICE, 'v', 0, fill_numbers),
	OP(KVM_GET_REGS, 'c', 0, NULL),
	OP(KVM_SET_REGS, 'c', KVM_GET_REGS, fill_regs),
	OP(KVM_SET_REGS, 'c', KVM_GET_REGS, NULL),
	OP(KVM_GET_SREGS, 'c', 0, NULL),
	OP(KVM_SET_SREGS, 'c', KVM_GET_SREGS, fill_sregs),
	OP(KVM_SET_SREGS, 'c', KVM_GET_SREGS, NULL),
	OP(KVM_GET_SREGS2, 'c', 0, NULL),
	OP(KVM_SET_SREGS2, 'c', KVM_GET_SREGS2, NULL),
	OP(KVM_GET_FPU, 'c', 0, NULL),
	OP(KVM_SET_FPU, 'c', KVM_GET_FPU, NULL),
	OP(KVM_GET_XSAVE, 'c', 0, NULL),
	OP(KVM_SET_XSAVE, 'c', KVM_GET_XSAVE, NULL),
	OP(KVM_GET_XCRS, 'c', 0, NULL),
	OP(KVM_SET_XCRS, 'c', KVM_GET_XCRS, NULL),
	OP(KVM_GET_DEBUGREGS, 'c', 0, NULL),
	OP(KVM_SET_DEBUGREGS, 'c', KVM_GET_DEBUGREGS, NULL),
	OP(KVM_GET_VCPU_EVENTS, 'c', 0, NULL),
	OP(KVM_SET_VCPU_EVENTS, 'c', KVM_GET_VCPU_EVENTS, NULL),
	OP(KVM_GET_MP_STATE, 'c', 0, NULL),
	OP(KVM_SET_MP_STATE, 'c', KVM_GET_MP_STATE, fill_irq),
	OP(KVM_SET_GUEST_DEBUG, 'c', 0, fill_debug),
	OP(KVM_SET_CPUID2, 'c', 0, fill_cpuid),
	OP(KVM_GET_CPUID2, 'c', 0, fill_cpuid),
	OP(KVM_GET_MSRS, 'c', 0, fill_msrs),
	OP(KVM_SET_MSRS, 'c', 0, fill_msrs),
	OP(KVM_INTERRUPT, 'c', 0, fill_irq),
	OP(KVM_NMI, 'c', 0, NULL),
	OP(KVM_SMI, 'c', 0, NULL),
	OP(KVM_SET_SIGNAL_MASK, 'c', 0, fill_mask),
	OP(KVM_GET_TSC_KHZ, 'c', 0, NULL),
	OP(KVM_SET_TSC_KHZ, 'c', 0, fill_numbers),
	OP(KVM_HAS_DEVICE_ATTR, 'c', 0, fill_attr),
	OP(KVM_GET_DEVICE_ATTR, 'c', 0, fill_attr),
	OP(KVM_SET_DEVICE_ATTR, 'c', 0, fill_attr),
	OP(KVM_GET_LAPIC, 'c', 0, NULL),
	OP(KVM_SET_LAPIC, 'c', KVM_GET_LAPIC, fill_lapic),
	OP(KVM_SET_LAPIC, 'c', KVM_GET_LAPIC, fill_lapic),
	OP(KVM_SET_LAPIC, 'c', KVM_GET_LAPIC, NULL),
	OP(KVM_TRANSLATE, 'c', 0, fill_numbers),
	OP(KVM_TPR_ACCESS_REPORTING, 'c', 0, fill_numbers),
	OP(KVM_SET_VAPIC_ADDR, 'c', 0, fill_numbers),
	OP(KVM_X86_SETUP_MCE, 'c', 0, fill_numbers),
	OP(KVM_KVMCLOCK_CTRL, 'c', 0, NULL),
	OP(KVM_SET_BOOT_CPU_ID, 'v', 0, fill_numbers),
	OP(KVM_SET_TSS_ADDR, 'v', 0, fill_numbers),
};
#define OPS ((unsigned)(sizeof(ops) / sizeof(ops[0])))

/* Some bytes of it otherwise. */
static void change(struct worker *k, unsigned long cmd)
{
	unsigned size = _IOC_SIZE(cmd) ? _IOC_SIZE(cmd) : 8;

	for (unsigned n = below(&k->rnd, 5); n; n--) {
		unsigned at = below(&k->rnd, size > BUF ? BUF : size);

		if (below(&k->rnd, 2) && (at & ~7u) + 8 <= BUF)
			*(uint64_t *)(void *)(k->buf + (at & ~7u)) = number(&k->rnd);
		else
			k->buf[at] ^= (uint8_t)(1u << below(&k->rnd, 8));
	}
}

/* As above: what the processor looks at as a task is one. */
static void keep_task(struct kvm_sregs *r)
{
	r->tr.type = 11;
	r->tr.present = 1;
	r->tr.s = r->tr.unusable = 0;
	if (r->cr0 & 1)
		r->idt.limit = 0;
}

static void do_op(struct worker *k, const struct op *op)
{
	struct world *w = k->w;
	uint64_t *s = &k->rnd;
	int fd = op->on == 'd'	 ? w->dev
		 : op->on == 'v' ? w->vm[below(s, VMS)]
				 : w->vcpu[below(s, VCPUS)];
	void *arg = k->buf;
	long r;

	/* Sometimes to a descriptor of another kind. */
	if (!below(s, 40))
		fd = below(s, 2) ? w->vm[0] : w->vcpu[0];
	if (op->get == KVM_GET_IRQCHIP)
		fill_chip(k, k->buf);
	if (op->get && ioctl(fd, op->get, k->buf) == 0 && below(s, 3))
		change(k, op->cmd);
	else if (!op->fill && !below(s, 4))
		for (unsigned i = 0; i < 512; i++)
			k->buf[i] = (uint8_t)splitmix64(s);
	if (op->fill)
		op->fill(k, k->buf);
	if (op->fill && !below(s, 6))
		change(k, op->cmd);
	if (op->cmd == KVM_SET_SREGS || op->cmd == KVM_SET_SREGS2)
		keep_task((void *)k->buf);
	switch (below(s, 60)) {
	case 0:
		arg = (void *)(uintptr_t)address(k);
		break;
	case 1:
		arg = NULL;
		break;
	case 2: /* its end is where no memory is */
		arg = k->buf + BUF - below(s, 64);
		break;
	}
	if (_IOC_SIZE(op->cmd) == 0)
		arg = below(s, 4) ? NULL : (void *)(uintptr_t)number(s);
	r = ioctl(fd, op->cmd, arg);
	if (verbose)
		printf("%s %d: %ld %s\n", op->name, fd, r, r < 0 ? strerror(errno) : "");
	if (op->cmd == KVM_CREATE_DEVICE && r == 0)
		close((int)((struct kvm_create_device *)(void *)k->buf)->fd);
}

/* ---- Life ------------------------------------------------------------------------------------------------ */

static void new_vm(struct worker *k, unsigned n)
{
	struct world *w = k->w;
	int fd = ioctl(w->dev, KVM_CREATE_VM, 0), old;
	struct kvm_userspace_memory_region r = {.memory_size = MEM,
						.userspace_addr = (uintptr_t)w->mem};

	if (fd < 0)
		return;
	(void)ioctl(fd, KVM_SET_USER_MEMORY_REGION, &r);
	switch (below(&k->rnd, 4)) {
	case 0:
		(void)ioctl(fd, KVM_CREATE_IRQCHIP, 0);
		if (below(&k->rnd, 2))
			(void)ioctl(fd, KVM_CREATE_PIT2, &(struct kvm_pit_config){.flags = 1});
		break;
	case 1:
		(void)ioctl(fd, KVM_ENABLE_CAP,
			    &(struct kvm_enable_cap){.cap = KVM_CAP_SPLIT_IRQCHIP, .args = {24}});
		break;
	}
	if (!below(&k->rnd, 4))
		(void)ioctl(
			fd, KVM_ENABLE_CAP,
			&(struct kvm_enable_cap){.cap = KVM_CAP_X86_USER_SPACE_MSR, .args = {7}});
	old = atomic_exchange(&w->vm[n], fd);
	if (old > 2)
		close(old);
}

static void new_vcpu(struct worker *k, unsigned n)
{
	struct world *w = k->w;
	int fd = ioctl(w->vm[below(&k->rnd, VMS)], KVM_CREATE_VCPU,
		       below(&k->rnd, 10) ? below(&k->rnd, 8) : (uint32_t)number(&k->rnd));
	struct kvm_run *run;
	int old;

	if (fd < 0)
		return;
	/* Not where memory has been taken away: it would be taken away again. */
	run = mmap(w->runs + n * RUN_ROOM, w->run_size, PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_FIXED, fd, 0);
	fill_cpuid(k, k->buf);
	if (below(&k->rnd, 4))
		(void)ioctl(fd, KVM_SET_CPUID2, k->buf);
	if (ioctl(fd, KVM_GET_SREGS, k->buf) == 0) {
		fill_sregs(k, k->buf);
		(void)ioctl(fd, KVM_SET_SREGS, k->buf);
	}
	memset(k->buf, 0, sizeof(struct kvm_regs));
	fill_regs(k, k->buf);
	(void)ioctl(fd, KVM_SET_REGS, k->buf);
	old = atomic_exchange(&w->vcpu[n], fd);
	w->run[n] = run == MAP_FAILED ? NULL : run;
	if (old > 2)
		close(old);
}

static void run_it(struct worker *k)
{
	unsigned n = below(&k->rnd, VCPUS);
	int fd = k->w->vcpu[n];
	struct kvm_run *run = k->w->run[n];
	long r;

	/* What a device answered, if that is what it waits for. */
	if (run && below(&k->rnd, 4)) {
		uint64_t val = number(&k->rnd);

		memcpy(run->mmio.data, &val, 8);
		for (unsigned i = 0; i < 8; i++)
			((volatile uint64_t *)run)[512 + i] = number(&k->rnd);
	}
	k->running = 1;
	r = ioctl(fd, KVM_RUN, 0);
	k->running = 0;
	if (verbose)
		printf("KVM_RUN %d: %ld %s\n", fd, r, r < 0 ? strerror(errno) : "");
}

static void *work(void *arg)
{
	struct worker *k = arg;

	for (unsigned i = 0; i < operations; i++) {
		switch (below(&k->rnd, 20)) {
		case 0:
			new_vm(k, below(&k->rnd, VMS));
			break;
		case 1:
		case 2:
			new_vcpu(k, below(&k->rnd, VCPUS));
			break;
		case 3:
		case 4:
		case 5:
		case 6:
			run_it(k);
			break;
		default:
			do_op(k, &ops[below(&k->rnd, OPS)]);
		}
	}
	return NULL;
}

/* What vCPUs share with user space is written to, and memory goes and comes, beneath them. */
static void *disturb(void *arg)
{
	struct worker *k = arg;
	struct world *w = k->w;
	uint64_t *s = &k->rnd;

	while (!w->over) {
		struct kvm_run *run = w->run[below(s, VCPUS)];
		struct kvm_userspace_memory_region r = {
			.slot = 5,
			.guest_phys_addr = MOVES + below(s, 16) * 0x8000,
			.memory_size = below(s, 4) ? 0x10000 : 0,
			.flags = below(s, 2) * KVM_MEM_LOG_DIRTY_PAGES,
			.userspace_addr = (uintptr_t)w->mem + 0x200000};
		uint8_t *at = w->mem + (size_t)below(s, MEM / 4096) * 4096;
		size_t len = (size_t)(1 + below(s, 600)) * 4096;

		if (len > (size_t)(w->mem + MEM - at))
			len = (size_t)(w->mem + MEM - at);
		switch (below(s, 14)) {
		case 10:
		case 11:
		case 12:
			(void)ioctl(w->vm[below(s, VMS)], KVM_SET_USER_MEMORY_REGION, &r);
			break;
		case 13:
			mprotect(w->mem + 0x200000, 0x10000, (int)below(s, 4));
			madvise(w->mem + 0x200000, 0x10000, MADV_DONTNEED);
			break;
		case 0:
			munmap(at, len);
			break;
		case 1:
		case 2:
			(void)!mmap(at, len, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
			break;
		case 3:
			mprotect(at, len, (int)below(s, 4));
			break;
		case 4:
			mprotect(at, len, PROT_READ | PROT_WRITE);
			break;
		case 5:
			madvise(at, len,
				below(s, 2)   ? MADV_DONTNEED
				: below(s, 2) ? MADV_HUGEPAGE
					      : MADV_COLD);
			break;
		case 6:
			mprotect(w->mem, MEM, PROT_READ | PROT_WRITE);
			break;
		default:
			if (run && w->run_size > 64)
				((volatile uint8_t *)run)[below(s, (unsigned)w->run_size)] =
					(uint8_t)number(s);
			if (run && below(s, 2))
				run->immediate_exit = 0;
		}
		usleep(below(s, 300));
	}
	return NULL;
}

static void on_signal(int sig)
{
	(void)sig;
}

/* Whoever is in KVM_RUN is brought back. */
static void *watch(void *arg)
{
	struct world *w = arg;

	while (!w->over) {
		usleep(1000);
		for (unsigned i = 0; i < threads; i++) {
			if (w->worker[i].running && w->worker[i].running++ > 2)
				pthread_kill(w->worker[i].thread, SIGUSR1);
		}
	}
	return NULL;
}

static void round_of(uint64_t seed)
{
	static struct world world;
	struct world *w = &world;
	struct sigaction sa = {.sa_handler = on_signal};
	pthread_t watcher, disturber;
	struct worker *chaos = &w->worker[threads];

	sigaction(SIGUSR1, &sa, NULL);
	w->dev = open(device, O_RDWR | O_CLOEXEC);
	if (w->dev < 0) {
		fprintf(stderr, "kmod_fuzz: %s: %s\n", device, strerror(errno));
		_exit(2);
	}
	w->run_size = (size_t)ioctl(w->dev, KVM_GET_VCPU_MMAP_SIZE, 0);
	w->mem = mmap(NULL, MEM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	w->runs = mmap(NULL, VCPUS * RUN_ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);
	for (unsigned i = 0; i < EVENTS; i++)
		w->event[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	for (unsigned i = 0; i < VMS; i++)
		w->vm[i] = -1;
	for (unsigned i = 0; i < VCPUS; i++)
		w->vcpu[i] = -1;
	for (unsigned i = 0; i <= threads; i++) {
		struct worker *k = &w->worker[i];
		uint8_t *page = mmap(NULL, BUF + 4096, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		k->w = w;
		k->rnd = seed * 31 + i;
		munmap(page + BUF, 4096);
		k->buf = page;
	}
	fill_memory(w->mem, &w->worker[0].rnd);
	for (unsigned i = 0; i < VMS; i++)
		new_vm(&w->worker[0], i);
	for (unsigned i = 0; i < VCPUS; i++)
		new_vcpu(&w->worker[0], i);
	for (unsigned i = 0; i < threads; i++)
		pthread_create(&w->worker[i].thread, NULL, work, &w->worker[i]);
	pthread_create(&watcher, NULL, watch, w);
	if (threads > 1)
		pthread_create(&disturber, NULL, disturb, chaos);
	for (unsigned i = 0; i < threads; i++)
		pthread_join(w->worker[i].thread, NULL);
	/* The rest ends with the process, wherever it is. */
	_exit(0);
}

/* ---- Rounds that do not end ------------------------------------------------------------------------------ */

static void print_file(const char *path)
{
	char text[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text));

	if (n > 0)
		(void)!write(STDOUT_FILENO, text, (size_t)n);
	close(fd);
}

/* Where its threads are. */
static void print_threads(pid_t pid)
{
	char path[80];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		printf("kmod_fuzz: thread %s\n", e->d_name);
		fflush(stdout);
		snprintf(path, sizeof(path), "/proc/%d/task/%.10s/syscall", pid, e->d_name);
		print_file(path);
		snprintf(path, sizeof(path), "/proc/%d/task/%.10s/stack", pid, e->d_name);
		print_file(path);
		snprintf(path, sizeof(path), "/proc/%d/task/%.10s/stat", pid, e->d_name);
		print_file(path);
	}
	if (d)
		closedir(d);
}

static int wait_for(pid_t child)
{
	int status;

	for (unsigned i = 0; i < limit * 100; i++) {
		if (waitpid(child, &status, WNOHANG) == child)
			return status;
		usleep(10000);
	}
	printf("kmod_fuzz: it does not end\n");
	print_threads(child);
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	return status;
}

int main(int argc, char **argv)
{
	uint64_t seed = 1;
	unsigned rounds = 1, bad = 0;
	int c;

	while ((c = getopt(argc, argv, "d:s:n:t:r:l:v")) != -1) {
		switch (c) {
		case 'd':
			device = optarg;
			break;
		case 's':
			seed = strtoull(optarg, NULL, 0);
			break;
		case 'n':
			operations = (unsigned)atoi(optarg);
			break;
		case 't':
			threads = (unsigned)atoi(optarg);
			break;
		case 'r':
			rounds = (unsigned)atoi(optarg);
			break;
		case 'l':
			limit = (unsigned)atoi(optarg);
			break;
		case 'v':
			verbose = true;
			break;
		default:
			return 2;
		}
	}
	if (!threads || threads >= MAX_THREADS)
		return 2;
	for (unsigned i = 0; i < rounds; i++, seed++) {
		pid_t child;
		int status;

		printf("kmod_fuzz: seed %llu\n", (unsigned long long)seed);
		fflush(stdout);
		child = fork();
		if (child < 0)
			return 1;
		if (!child)
			round_of(seed);
		status = wait_for(child);
		/* Memory that a thread wanted may be gone: that ends a round, and is nothing. */
		if (!WIFEXITED(status) && !(WIFSIGNALED(status) && (WTERMSIG(status) == SIGSEGV ||
								    WTERMSIG(status) == SIGBUS)))
			bad++;
		if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
			return 2;
	}
	printf("kmod_fuzz: %u rounds of %u operations in %u threads, %u ended badly\n", rounds,
	       operations, threads, bad);
	return bad != 0;
}
