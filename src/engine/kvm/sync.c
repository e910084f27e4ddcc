// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A vCPU's state out of the kernel and into it.
 * Source: Linux, Documentation/virt/kvm/api.rst.
 * Threads: the vCPU's own, or another while the vCPU does not run; kvm_cpu.lock is held by callers
 * in run.c.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <x86intrin.h>

#include "base/log.h"
#include "engine/kvm/kvm_int.h"
#include "x86/msr.h"

static int failed(struct kvm_cpu *cpu, const char *what)
{
	int r = -errno;

	snprintf(cpu->error, sizeof(cpu->error),
		 "KVM: %s of vCPU %u: %s; '-accel soft' runs the guest without KVM", what,
		 cpu->index, strerror(errno));
	return r;
}

int kvm_set_msr(const struct kvm_cpu *cpu, uint32_t msr, uint64_t val)
{
	struct kvm_one_msr m = {.nmsrs = 1, .entry = {.index = msr, .data = val}};

	return ioctl(cpu->fd, KVM_SET_MSRS, &m) == 1 ? 0 : -EINVAL;
}

uint64_t kvm_get_msr(const struct kvm_cpu *cpu, uint32_t msr)
{
	struct kvm_one_msr m = {.nmsrs = 1, .entry.index = msr};

	return ioctl(cpu->fd, KVM_GET_MSRS, &m) == 1 ? m.entry.data : 0;
}

void kvm_find_msrs(struct kvm_engine *e)
{
	for (unsigned i = 0; i < kvm_msr_count(); i++) {
		struct kvm_one_msr m = {.nmsrs = 1, .entry.index = kvm_msr_index(i)};

		e->msr_ok[i] = ioctl(e->cpus[0]->fd, KVM_GET_MSRS, &m) == 1;
	}
}

/* ---- Time ----------------------------------------------------------------------------------- */

static struct kvm_device_attr tsc_offset_attr(uint64_t *val)
{
	return (struct kvm_device_attr){.group = KVM_VCPU_TSC_CTRL,
					.attr = KVM_VCPU_TSC_OFFSET,
					.addr = (uint64_t)(uintptr_t)val};
}

void kvm_store_tsc(struct kvm_cpu *cpu)
{
	uint64_t offset = cpu->s.tsc_offset;
	struct kvm_device_attr attr = tsc_offset_attr(&offset);

	cpu->tsc_told = offset;
	if ((!cpu->e->has_tsc_offset || ioctl(cpu->fd, KVM_SET_DEVICE_ATTR, &attr) < 0) &&
	    kvm_set_msr(cpu, MSR_TSC, x86_tsc_scale(&cpu->e->cpuid, __rdtsc()) + offset))
		log_trace(LOG_UNIMP, "cpu%u: KVM refuses a TSC\n", cpu->index);
	kvm_clock_tsc_moved(cpu);
}

static void fetch_tsc(struct kvm_cpu *cpu)
{
	struct kvm_one_msr m = {.nmsrs = 1, .entry.index = MSR_TSC};
	uint64_t offset;
	struct kvm_device_attr attr = tsc_offset_attr(&offset);

	/* With exits for the guest's writes the offset is what we set. */
	if (cpu->e->has_msr_exits)
		return;
	if (cpu->e->has_tsc_offset && ioctl(cpu->fd, KVM_GET_DEVICE_ATTR, &attr) == 0)
		cpu->s.tsc_offset = offset;
	else if (ioctl(cpu->fd, KVM_GET_MSRS, &m) == 1)
		cpu->s.tsc_offset = m.entry.data - x86_tsc_scale(&cpu->e->cpuid, __rdtsc());
	cpu->tsc_told = cpu->s.tsc_offset;
}

/* ---- Out ------------------------------------------------------------------------------------ */

static int get_sregs(struct kvm_cpu *cpu, struct kvm_sregs2 *s)
{
	struct kvm_sregs old;
	int r;

	if (cpu->e->has_sregs2)
		return ioctl(cpu->fd, KVM_GET_SREGS2, s);
	r = ioctl(cpu->fd, KVM_GET_SREGS, &old);
	memcpy(s, &old, offsetof(struct kvm_sregs2, flags));
	s->flags = 0;
	return r;
}

static void get_msrs(struct kvm_cpu *cpu, struct kvm_image *im)
{
	struct kvm_msrs_room list = {.nmsrs = 0};
	unsigned n = 0;

	for (unsigned i = 0; i < kvm_msr_count(); i++) {
		if (cpu->e->msr_ok[i])
			list.entry[n++].index = kvm_msr_index(i);
	}
	list.nmsrs = n;
	if (ioctl(cpu->fd, KVM_GET_MSRS, &list) < 0)
		return;
	n = 0;
	for (unsigned i = 0; i < kvm_msr_count(); i++) {
		if (cpu->e->msr_ok[i])
			im->msr[i] = list.entry[n++].data;
	}
}

int kvm_fetch(struct kvm_cpu *cpu)
{
	struct kvm_image im;

	if (cpu->where != WHERE_KERNEL)
		return 0;
	kvm_count(cpu, COUNT_FETCH);
	/* First, since an INIT or SIPI that has come is taken by asking. */
	if (kvm_has_chip(cpu->e) && kvm_fetch_run_state(cpu) < 0)
		return failed(cpu, "cannot read whether it runs");
	/* What the kernel does not know stays as it is. */
	kvm_image_of_state(&im, &cpu->s, cpu->e->xcr0);
	if (ioctl(cpu->fd, KVM_GET_REGS, &im.regs) < 0 || get_sregs(cpu, &im.sregs) < 0 ||
	    ioctl(cpu->fd, KVM_GET_XSAVE, &im.xsave) < 0 ||
	    ioctl(cpu->fd, KVM_GET_DEBUGREGS, &im.dr) < 0 ||
	    ioctl(cpu->fd, KVM_GET_VCPU_EVENTS, &im.ev) < 0)
		return failed(cpu, "cannot read the registers");
	/* Without XSAVE there is no XCR0. */
	if (ioctl(cpu->fd, KVM_GET_XCRS, &im.xcrs) < 0)
		im.xcrs.nr_xcrs = 0;
	get_msrs(cpu, &im);
	kvm_state_of_image(&cpu->s, &im);
	fetch_tsc(cpu);
	cpu->where = WHERE_BOTH;
	return 0;
}

/* ---- In ------------------------------------------------------------------------------------- */

static uint64_t apic_base(struct kvm_cpu *cpu)
{
	const struct engine_host *h = &cpu->e->cfg.host;
	uint64_t val = 0;

	if (h->apic_msr_read && h->apic_msr_read(h->opaque, cpu->index, MSR_APIC_BASE, &val) == 0)
		return val;
	return 0xfee00800 | (cpu->index == 0 ? 0x100 : 0);
}

/* Two registers of the local APIC are among the special ones: they stay as they are, wherever it is. */
static int keep_apic(struct kvm_cpu *cpu, struct kvm_sregs2 *s)
{
	const struct engine_host *h = &cpu->e->cfg.host;
	struct kvm_sregs now;

	if (!kvm_has_chip(cpu->e)) {
		s->apic_base = apic_base(cpu);
		s->cr8 = h->cr8_read(h->opaque, cpu->index);
		return 0;
	}
	if (ioctl(cpu->fd, KVM_GET_SREGS, &now) < 0)
		return -1;
	s->apic_base = now.apic_base;
	s->cr8 = now.cr8;
	return 0;
}

static int set_sregs(struct kvm_cpu *cpu, struct kvm_sregs2 *s)
{
	struct kvm_sregs old = {0};

	if (keep_apic(cpu, s) < 0)
		return -1;
	if (cpu->e->has_sregs2)
		return ioctl(cpu->fd, KVM_SET_SREGS2, s);
	memcpy(&old, s, offsetof(struct kvm_sregs2, flags));
	return ioctl(cpu->fd, KVM_SET_SREGS, &old);
}

static void set_msrs(struct kvm_cpu *cpu, const struct kvm_image *im)
{
	struct kvm_msrs_room list = {.nmsrs = 0};
	struct kvm_image now = {.ev.flags = 0};
	unsigned n = 0;

	get_msrs(cpu, &now);
	for (unsigned i = 0; i < kvm_msr_count(); i++) {
		/* Some kernels log each write of what they read as 0. */
		if (!cpu->e->msr_ok[i] || now.msr[i] == im->msr[i])
			continue;
		list.entry[n].index = kvm_msr_index(i);
		list.entry[n++].data = im->msr[i];
	}
	list.nmsrs = n;
	if (ioctl(cpu->fd, KVM_SET_MSRS, &list) == (int)n)
		return;
	/* One of them is not to be written: the others are. */
	for (unsigned i = 0; i < n; i++) {
		if (kvm_set_msr(cpu, list.entry[i].index, list.entry[i].data))
			log_trace(LOG_UNIMP, "cpu%u: KVM refuses %016llx in MSR %08x\n", cpu->index,
				  (unsigned long long)list.entry[i].data, list.entry[i].index);
	}
}

int kvm_store(struct kvm_cpu *cpu)
{
	struct kvm_image im;

	if (cpu->where != WHERE_STATE)
		return 0;
	kvm_count(cpu, COUNT_STORE);
	kvm_image_of_state(&im, &cpu->s, cpu->e->xcr0);
	/* Special registers first: the others are checked against them. */
	if (set_sregs(cpu, &im.sregs) < 0)
		return failed(cpu, "cannot write the special registers");
	if (ioctl(cpu->fd, KVM_SET_REGS, &im.regs) < 0)
		return failed(cpu, "cannot write the registers");
	if (ioctl(cpu->fd, KVM_SET_XSAVE, &im.xsave) < 0)
		return failed(cpu, "cannot write the vector registers");
	if ((cpu->e->xcr0 & ~3ull) && ioctl(cpu->fd, KVM_SET_XCRS, &im.xcrs) < 0)
		return failed(cpu, "cannot write XCR0");
	set_msrs(cpu, &im);
	kvm_store_tsc(cpu);
	if (kvm_has_chip(cpu->e))
		kvm_rearm_deadline(cpu);
	if (ioctl(cpu->fd, KVM_SET_DEBUGREGS, &im.dr) < 0)
		return failed(cpu, "cannot write the debug registers");
	/* No INIT waits that was meant for the state before. */
	if (cpu->e->has_smm)
		im.ev.flags |= KVM_VCPUEVENT_VALID_SMM;
	if (ioctl(cpu->fd, KVM_SET_VCPU_EVENTS, &im.ev) < 0)
		return failed(cpu, "cannot write the pending events");
	if (kvm_has_chip(cpu->e) && kvm_store_run_state(cpu) < 0)
		return failed(cpu, "cannot write whether it runs");
	cpu->tpr_stale = true;
	atomic_store(&cpu->if_on, (cpu->s.rflags & FLAG_IF) != 0);
	cpu->where = WHERE_BOTH;
	return 0;
}
