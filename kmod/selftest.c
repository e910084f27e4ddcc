// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Builds with DEBUG=1 check themselves when the vendor's module comes: what is announced, second-level tables, walks of
 * guest tables, samples of the emulator. A VM of the loading process has memory for them; the guest is not entered.
 * Threads: the loading one.
 */
#include <linux/mman.h>
#include <linux/module.h>
#include <linux/uaccess.h>

#include "lodge.h"

#define MEM (4u << 20)

static unsigned int checks, wrong;

static void check(bool ok, const char *what)
{
	checks++;
	if (ok)
		return;
	wrong++;
	pr_err("lodge: selftest: %s\n", what);
}

/* ---- What is announced --------------------------------------------------------------------------------- */

static void capabilities(void)
{
	static const int wanted[] = {KVM_CAP_USER_MEMORY,
				     KVM_CAP_DESTROY_MEMORY_REGION_WORKS,
				     KVM_CAP_JOIN_MEMORY_REGIONS_WORKS,
				     KVM_CAP_SET_TSS_ADDR,
				     KVM_CAP_EXT_CPUID,
				     KVM_CAP_MP_STATE,
				     KVM_CAP_IRQ_ROUTING};

	for (unsigned int i = 0; i < ARRAY_SIZE(wanted); i++)
		check(lodge_check_extension(wanted[i]) > 0, "what QEMU demands is announced");
	for (long cap = -2; cap < 512; cap++)
		check(lodge_check_extension(cap) >= 0, "no capability is an error");
	check(!lodge_check_extension(KVM_CAP_NESTED_STATE), "no nested virtualization");
	check(lodge_check_extension(KVM_CAP_NR_VCPUS) <= lodge_check_extension(KVM_CAP_MAX_VCPUS),
	      "as many vCPUs as there can be");
}

/* ---- Second-level tables --------------------------------------------------------------------------------- */

static void set(struct lodge_vcpu *vcpu, u64 gfn, unsigned int level, u64 pte, bool *flush)
{
	check(!lodge_spares_fill(vcpu), "spare tables");
	spin_lock(&vcpu->vm->mmu_lock);
	lodge_table_set(vcpu, gfn, level,
			pte | LODGE_PTE_P | LODGE_PTE_U | LODGE_PTE_W | lodge_ops->paging->accessed,
			flush);
	spin_unlock(&vcpu->vm->mmu_lock);
}

static bool young(struct lodge_vm *vm, u64 gfn)
{
	bool is;

	spin_lock(&vm->mmu_lock);
	is = lodge_table_age(vm, gfn, gfn + 1, false);
	spin_unlock(&vm->mmu_lock);
	return is;
}

/* Physical addresses here are only numbers: nobody goes by these tables. */
static void tables(struct lodge_vcpu *vcpu)
{
	struct lodge_vm *vm = vcpu->vm;
	const u64 far = (1ull << (LODGE_GPA_BITS - PAGE_SHIFT)) - 512;
	int before;
	bool flush = false;

	set(vcpu, 5, 1, 0x111000, &flush);
	check(young(vm, 5) && !young(vm, 4) && !flush, "a page is where it was put");
	set(vcpu, 5, 1, 0x222000, &flush);
	check(flush, "another page in its place wants a flush");
	flush = false;
	set(vcpu, 7, 2, LODGE_PTE_BIG, &flush);
	check(young(vm, 7) && !young(vm, 8), "a large page where small ones are is a small one");
	set(vcpu, 512, 2, 0x400000 | LODGE_PTE_BIG, &flush);
	check(young(vm, 512) && young(vm, 1023) && !young(vm, 1024),
	      "a large page is 512 small ones");
	set(vcpu, 600, 1, 0x333000, &flush);
	check(flush && young(vm, 600) && !young(vm, 601),
	      "a table in a large page's place wants a flush");
	flush = false;
	set(vcpu, 1u << 18, 3, 0x40000000 | LODGE_PTE_BIG, &flush);
	check(!flush && young(vm, 1u << 18) && young(vm, (2u << 18) - 1) && !young(vm, 2u << 18),
	      "a mapping of 1 GiB is 262144 small ones");
	set(vcpu, 3u << 17, 2, 0x60000000 | LODGE_PTE_BIG, &flush);
	check(flush && young(vm, 3u << 17) && !young(vm, 1u << 18),
	      "a table in its place wants a flush");
	set(vcpu, far, 2, 0x800000 | LODGE_PTE_BIG, &flush);
	check(young(vm, far + 511), "at the end of all addresses");
	spin_lock(&vm->mmu_lock);
	lodge_table_set(vcpu, 5, 1, 0x222000 | LODGE_PTE_P | lodge_ops->paging->accessed, &flush);
	check(lodge_table_protect(vm, 5, 6), "who reads takes no right away");
	check(lodge_table_protect(vm, 0, 512), "what was writable is told");
	check(!lodge_table_protect(vm, 0, 512), "and is not any more");
	check(lodge_table_age(vm, 5, 6, true) && !lodge_table_age(vm, 5, 6, true),
	      "age is forgotten");
	spin_unlock(&vm->mmu_lock);
	lodge_zap(vm, 5, 6);
	check(!young(vm, 5) && young(vm, 7), "one page goes alone");
	lodge_zap(vm, far + 3, far + 4);
	check(!young(vm, far), "of a large page none stays");
	before = atomic_read(&lodge_counts.tables);
	lodge_zap(vm, 0, far + 512);
	check(!young(vm, 7) && !young(vm, 600) && atomic_read(&lodge_counts.tables) < before,
	      "all goes, and its tables");
}

/* ---- Guest memory and its tables -------------------------------------------------------------------------- */

static void put(struct lodge_vm *vm, u64 gpa, u64 val)
{
	check(!lodge_write_gpa(vm, gpa, &val, 8), "guest memory is written");
}

static u64 peek(struct lodge_vm *vm, u64 gpa)
{
	u64 val = 0;

	check(!lodge_read_gpa(vm, gpa, &val, 8), "guest memory is read");
	return val;
}

/* -1: where to; else the error code. */
static long walk(struct lodge_vcpu *vcpu, u64 lin, unsigned int access, u64 *gpa)
{
	struct lodge_walk w;
	int r = lodge_walk(vcpu, lin, access, &w);

	*gpa = r ? 0 : w.gpa;
	return r == -EFAULT ? (long)w.error : r ? -2 : -1;
}

static void walks(struct lodge_vcpu *vcpu)
{
	const u64 nx = 1ull << 63;
	struct lodge_vm *vm = vcpu->vm;
	u64 gpa;

	put(vm, 0x10000, 0x11007); /* 0 … 512 GiB */
	put(vm, 0x11000, 0x12007);
	put(vm, 0x12000, 0x13007);
	put(vm, 0x12008, 0x200087 | nx); /* 2 MiB */
	put(vm, 0x13000, 0x20001);	 /* read-only, supervisor's */
	put(vm, 0x13008, 0x21007);
	put(vm, 0x11008, nx | 0x83); /* 1 GiB */
	vcpu->cr0 = X86_CR0_PG | X86_CR0_PE | X86_CR0_WP;
	vcpu->cr3 = 0x10000;
	vcpu->cr4 = X86_CR4_PAE | X86_CR4_SMEP | X86_CR4_SMAP;
	vcpu->efer = EFER_LME | EFER_LMA | EFER_NX;
	check(walk(vcpu, 0x123, 0, &gpa) == -1 && gpa == 0x20123, "a page is read");
	check((peek(vm, 0x13000) & 0x60) == 0x20, "it is accessed, and not dirty");
	check(walk(vcpu, 0x123, LODGE_WRITE, &gpa) == 3, "it is not written");
	check(walk(vcpu, 0x123, LODGE_USER, &gpa) == 5, "and none of the user's");
	check(walk(vcpu, 0x1ff8, LODGE_USER | LODGE_WRITE, &gpa) == -1 && gpa == 0x21ff8,
	      "the user's is");
	check((peek(vm, 0x13008) & 0x60) == 0x60, "and dirty");
	check(walk(vcpu, 0x1000, 0, &gpa) == 1, "SMAP");
	check(walk(vcpu, 0x1000, LODGE_FETCH, &gpa) == 0x11, "SMEP");
	check(walk(vcpu, 0x3ff123, LODGE_USER, &gpa) == -1 && gpa == 0x3ff123, "2 MiB");
	check(walk(vcpu, 0x200000, LODGE_USER | LODGE_FETCH, &gpa) == 0x15, "NX");
	check(walk(vcpu, 0x40000000 + 0x123456, 0, &gpa) == -1 && gpa == 0x123456, "1 GiB");
	check(walk(vcpu, 0x2000, LODGE_WRITE, &gpa) == 2, "nothing there");
	vcpu->efer &= ~(u64)EFER_NX;
	check(walk(vcpu, 0x200000, LODGE_USER, &gpa) == 0xd, "a reserved bit");
	vcpu->cr3 = 0xd0000000;
	check(walk(vcpu, 0, 0, &gpa) == -2, "tables where no memory is");
	vcpu->cr0 = X86_CR0_PE;
	check(walk(vcpu, 0x1234567890, 0, &gpa) == -1 && gpa == 0x34567890, "without paging");
}

/* ---- The emulator ----------------------------------------------------------------------------------------- */

/* In real mode with DS = 0 and ES where no memory is. 1: done; 0: user space is asked. */
static int emulate(struct lodge_vcpu *vcpu, const char *code, unsigned int len)
{
	check(!lodge_write_gpa(vcpu->vm, 0x1000, code, len), "code is written");
	vcpu->rip = 0x1000;
	vcpu->ev = (struct lodge_events){0};
	return lodge_emulate(vcpu, true);
}

static void samples(struct lodge_vcpu *vcpu)
{
	struct kvm_segment seg;
	struct lodge_vm *vm = vcpu->vm;

	lodge_vcpu_reset(vcpu);
	lodge_ops->get_seg(vcpu, LODGE_CS, &seg);
	seg.base = seg.selector = 0;
	lodge_ops->set_seg(vcpu, LODGE_CS, &seg);
	lodge_ops->get_seg(vcpu, LODGE_ES, &seg);
	seg.base = 0xd0000000;
	lodge_ops->set_seg(vcpu, LODGE_ES, &seg);
	put(vm, 0x500, 0x1122334455667788);
	check(emulate(vcpu, "\xa1\x00\x05", 3) == 1 && vcpu->regs[LODGE_RAX] == 0x7788 &&
		      vcpu->rip == 0x1003,
	      "MOV AX, [0x500]");
	check(emulate(vcpu, "\x66\x01\x06\x00\x05", 5) == 1 && (u32)peek(vm, 0x500) == 0x5566ef10,
	      "ADD [0x500], EAX");
	check(!(vcpu->rflags & X86_EFLAGS_CF), "no carry");
	check(emulate(vcpu, "\xf0\xfe\x06\x00\x05", 5) == 1 && (u8)peek(vm, 0x500) == 0x11,
	      "LOCK INC [0x500]");
	vcpu->regs[LODGE_RSP] = 0x900;
	check(emulate(vcpu, "\x60", 1) == 1 && vcpu->regs[LODGE_RSP] == 0x8f0, "PUSHA");
	check(emulate(vcpu, "\x26\xa2\x34\x12", 4) == 0 &&
		      vcpu->run->exit_reason == KVM_EXIT_MMIO &&
		      vcpu->run->mmio.phys_addr == 0xd0001234 && vcpu->run->mmio.is_write &&
		      vcpu->run->mmio.len == 1 && vcpu->run->mmio.data[0] == 0x88,
	      "MOV ES:[0x1234], AL asks user space");
	lodge_emulate_drop(vcpu);
	check(emulate(vcpu, "\x0f\x0b", 2) == 1 && vcpu->ev.ex.pending &&
		      vcpu->ev.ex.nr == LODGE_UD,
	      "UD2");
	check(emulate(vcpu, "\x0f\x20\xc0", 3) == 1 && (u32)vcpu->regs[LODGE_RAX] == vcpu->cr0,
	      "MOV EAX, CR0");
}

/* ---- All of it ---------------------------------------------------------------------------------------------- */

static void with_memory(struct lodge_vcpu *vcpu)
{
	unsigned long at =
		vm_mmap(NULL, 0, MEM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, 0);
	struct kvm_userspace_memory_region r = {.memory_size = MEM, .userspace_addr = at};
	struct lodge_vm *vm = vcpu->vm;
	int idx;

	check(!IS_ERR_VALUE(at), "user memory");
	mutex_lock(&vm->lock);
	check(!lodge_slot_set(vm, &r), "a slot");
	check(lodge_slot_set(vm, &(struct kvm_userspace_memory_region){.slot = 1,
								       .memory_size = MEM,
								       .userspace_addr = at}) ==
		      -EEXIST,
	      "none on top of it");
	mutex_unlock(&vm->lock);
	idx = srcu_read_lock(&vm->srcu);
	walks(vcpu);
	lodge_vcpu_load(vcpu);
	samples(vcpu);
	lodge_vcpu_put(vcpu);
	srcu_read_unlock(&vm->srcu, idx);
	vm_munmap(at, MEM);
}

int lodge_selftest(void)
{
	struct lodge_vcpu *vcpu;
	struct lodge_vm *vm;
	int r = lodge_hardware_get();

	if (r) {
		pr_warn("lodge: selftest left out: virtualization cannot be had (%d)\n", r);
		return 0;
	}
	vm = lodge_vm_new();
	if (IS_ERR(vm)) {
		lodge_hardware_put();
		return PTR_ERR(vm);
	}
	checks = wrong = 0;
	vcpu = lodge_vcpu_new(vm, 0);
	if (IS_ERR(vcpu)) {
		lodge_vm_put(vm);
		return PTR_ERR(vcpu);
	}
	vm->vcpus[0] = vcpu;
	vm->vcpu_count = 1;
	capabilities();
	tables(vcpu);
	with_memory(vcpu);
	lodge_vm_put(vm);
	check(!atomic_read(&lodge_counts.vms) && !atomic_read(&lodge_counts.vcpus) &&
		      !atomic_read(&lodge_counts.tables) && !atomic_read(&lodge_counts.slots),
	      "nothing is left");
	pr_info("lodge: selftest: %u checks, %u wrong\n", checks, wrong);
	return wrong ? -EINVAL : 0;
}
