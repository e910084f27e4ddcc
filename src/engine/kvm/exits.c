// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Why KVM_RUN came back: port, memory and MSR accesses for the machine, HLT, and what ends a guest.
 * Source: Linux, Documentation/virt/kvm/api.rst §5 (struct kvm_run).
 * Threads: the vCPU's own.
 */
#include <string.h>
#include <x86intrin.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/range.h"
#include "engine/kvm/kvm_int.h"
#include "x86/msr.h"

/* PIIX3's reset control register: a hard reset, now. */
#define RESET_PORT 0xcf9
#define RESET_PORT_FULL 6

static uint64_t get_le(const uint8_t *p, unsigned size)
{
	uint64_t v = 0;

	memcpy(&v, p, size);
	return v;
}

static void put_le(uint8_t *p, uint64_t v, unsigned size)
{
	memcpy(p, &v, size);
}

/* ---- Ports ---------------------------------------------------------------------------------- */

static enum kvm_next do_io(struct kvm_cpu *cpu)
{
	const struct engine_host *h = &cpu->e->cfg.host;
	struct kvm_run *run = cpu->run;
	unsigned size = run->io.size;
	uint64_t end = run->io.data_offset + (uint64_t)size * run->io.count;
	uint8_t *p = (uint8_t *)run + run->io.data_offset;

	if ((size != 1 && size != 2 && size != 4) || end > cpu->e->run_bytes) {
		kvm_report(cpu, "KVM tells of a port access of %u bytes", size);
		return NEXT_ERROR;
	}
	for (uint32_t i = 0; i < run->io.count; i++, p += size) {
		if (run->io.direction == KVM_EXIT_IO_OUT)
			h->pio_write(h->opaque, run->io.port, get_le(p, size), size);
		else
			put_le(p, h->pio_read(h->opaque, run->io.port, size), size);
	}
	cpu->unfinished = true;
	return NEXT_RUN;
}

/* ---- Memory --------------------------------------------------------------------------------- */

/* One access of a size that devices know. */
static void one_access(struct kvm_cpu *cpu, gpa_t gpa, uint8_t *data, unsigned size, bool write)
{
	const struct engine_host *h = &cpu->e->cfg.host;

	if (write)
		h->mmio_write(h->opaque, cpu->index, gpa, get_le(data, size), size);
	else
		put_le(data, h->mmio_read(h->opaque, cpu->index, gpa, size), size);
}

/* Memory that has no slot at the moment (slots.c says when). */
static bool is_memory(struct kvm_cpu *cpu, gpa_t gpa, uint8_t *data, unsigned len, bool write)
{
	struct mem *mem = cpu->e->cfg.mem;
	struct mem_range r = mem_lookup(mem, gpa);

	if (r.kind == MEM_MMIO || (write && r.kind == MEM_ROM))
		return false;
	return write ? mem_write(mem, gpa, data, len) == 0 : mem_read(mem, gpa, data, len) == 0;
}

static enum kvm_next do_mmio(struct kvm_cpu *cpu)
{
	struct kvm_run *run = cpu->run;
	gpa_t gpa = run->mmio.phys_addr;
	uint8_t *data = run->mmio.data;
	unsigned len = run->mmio.len;
	bool write = run->mmio.is_write;

	cpu->unfinished = true;
	if (len > sizeof(run->mmio.data)) {
		kvm_report(cpu, "KVM tells of a memory access of %u bytes", len);
		return NEXT_ERROR;
	}
	if (is_memory(cpu, gpa, data, len, write))
		return NEXT_RUN;
	if (!mem_a20(cpu->e->cfg.mem))
		gpa &= ~(1ull << 20);
	while (len) {
		unsigned n = len >= 8 ? 8 : len >= 4 ? 4 : len >= 2 ? 2 : 1;

		one_access(cpu, gpa, data, n, write);
		gpa += n;
		data += n;
		len -= n;
	}
	/* It may have been the task priority. */
	cpu->tpr_stale |= write;
	return NEXT_RUN;
}

/* ---- MSRs ----------------------------------------------------------------------------------- */

static bool apic_owned(const struct kvm_cpu *cpu, uint32_t msr)
{
	if (kvm_has_chip(cpu->e))
		return false;
	return msr == MSR_APIC_BASE || msr == MSR_TSC_DEADLINE ||
	       (msr >= MSR_X2APIC && msr <= MSR_X2APIC_LAST);
}

/*
 * The guest's TSC jumps: its APIC timer's deadline, if armed, means another moment now.
 * Other threads read the offset (partner: guest_tsc in the machine).
 */
static void move_tsc(struct kvm_cpu *cpu, uint64_t delta)
{
	const struct engine_host *h = &cpu->e->cfg.host;
	uint64_t deadline = 0;

	__atomic_store_n(&cpu->s.tsc_offset, cpu->s.tsc_offset + delta, __ATOMIC_RELAXED);
	cpu->s.tsc_adjust += delta;
	kvm_store_tsc(cpu);
	if (kvm_set_msr(cpu, MSR_TSC_ADJUST, cpu->s.tsc_adjust))
		log_trace(LOG_UNIMP, "cpu%u: KVM refuses TSC_ADJUST\n", cpu->index);
	if (kvm_has_chip(cpu->e))
		kvm_rearm_deadline(cpu);
	else if (h->apic_msr_read(h->opaque, cpu->index, MSR_TSC_DEADLINE, &deadline) == 0 &&
		 deadline)
		(void)h->apic_msr_write(h->opaque, cpu->index, MSR_TSC_DEADLINE, deadline);
}

static bool read_msr(struct kvm_cpu *cpu, uint32_t msr, uint64_t *val)
{
	const struct engine_host *h = &cpu->e->cfg.host;

	return apic_owned(cpu, msr) && h->apic_msr_read(h->opaque, cpu->index, msr, val) == 0;
}

static bool write_msr(struct kvm_cpu *cpu, uint32_t msr, uint64_t val)
{
	const struct engine_host *h = &cpu->e->cfg.host;

	if (apic_owned(cpu, msr)) {
		if (h->apic_msr_write(h->opaque, cpu->index, msr, val))
			return false;
		cpu->tpr_stale = true;
		/* The kernel shows it in CPUID. */
		return msr != MSR_APIC_BASE || kvm_set_msr(cpu, msr, val) == 0;
	}
	if (msr == MSR_TSC)
		move_tsc(cpu, val - (x86_tsc_scale(&cpu->e->cpuid, __rdtsc()) + cpu->s.tsc_offset));
	else if (msr == MSR_TSC_ADJUST && cpu->e->cpuid.has[X86_FEAT_TSC_ADJUST])
		move_tsc(cpu, val - cpu->s.tsc_adjust);
	else
		return false;
	return true;
}

static enum kvm_next do_msr(struct kvm_cpu *cpu, bool write)
{
	struct kvm_run *run = cpu->run;
	uint64_t val = 0;
	bool ok;

	if (write) {
		ok = write_msr(cpu, run->msr.index, run->msr.data);
	} else {
		ok = read_msr(cpu, run->msr.index, &val);
		run->msr.data = val;
	}
	if (!ok)
		log_trace(LOG_UNIMP, "cpu%u: %s of MSR %08x refused\n", cpu->index,
			  write ? "write" : "read", run->msr.index);
	run->msr.error = !ok;
	cpu->unfinished = true;
	return NEXT_RUN;
}

/* ---- What ends a guest ---------------------------------------------------------------------- */

static enum kvm_next internal_error(struct kvm_cpu *cpu)
{
	static const char *const why[] = {
		[KVM_INTERNAL_ERROR_EMULATION] = "it cannot emulate an instruction",
		[KVM_INTERNAL_ERROR_SIMUL_EX] = "two events at once",
		[KVM_INTERNAL_ERROR_DELIVERY_EV] = "an event could not be delivered",
		[KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON] = "the processor left for an unknown "
							      "reason",
	};
	uint32_t sub = cpu->run->internal.suberror;
	const char *text = sub < ARRAY_SIZE(why) && why[sub] ? why[sub] : "no reason named";

	kvm_report(cpu,
		   "KVM cannot go on (internal error %u: %s); '-accel soft' runs the guest "
		   "without KVM",
		   sub, text);
	return NEXT_ERROR;
}

/* A guest of Hyper-V may ask for a reset by an MSR: as any PC by its port. */
static enum kvm_next system_event(struct kvm_cpu *cpu)
{
	const struct engine_host *h = &cpu->e->cfg.host;

	if (cpu->run->system_event.type != KVM_SYSTEM_EVENT_RESET) {
		kvm_report(cpu, "KVM tells of system event %u, which this version does not know",
			   cpu->run->system_event.type);
		return NEXT_ERROR;
	}
	h->pio_write(h->opaque, RESET_PORT, RESET_PORT_FULL, 1);
	return NEXT_RUN;
}

enum kvm_next kvm_handle_exit(struct kvm_cpu *cpu)
{
	const struct engine_host *h = &cpu->e->cfg.host;
	struct kvm_run *run = cpu->run;

	kvm_count_exit(cpu, run->exit_reason);
	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		return do_io(cpu);
	case KVM_EXIT_MMIO:
		return do_mmio(cpu);
	case KVM_EXIT_X86_RDMSR:
		return do_msr(cpu, false);
	case KVM_EXIT_X86_WRMSR:
		return do_msr(cpu, true);
	case KVM_EXIT_IOAPIC_EOI:
		h->eoi(h->opaque, run->eoi.vector);
		return NEXT_RUN;
	case KVM_EXIT_IRQ_WINDOW_OPEN:
	case KVM_EXIT_INTR:
	case KVM_EXIT_SET_TPR: /* run->cr8 tells */
		return NEXT_RUN;
	case KVM_EXIT_HLT:
		return NEXT_HALT;
	case KVM_EXIT_SHUTDOWN:
		return NEXT_SHUTDOWN;
	case KVM_EXIT_DEBUG:
		return kvm_debug_exit(cpu);
	case KVM_EXIT_HYPERV:
		return kvm_hv_exit(cpu);
	case KVM_EXIT_SYSTEM_EVENT:
		return system_event(cpu);
	case KVM_EXIT_INTERNAL_ERROR:
		return internal_error(cpu);
	case KVM_EXIT_FAIL_ENTRY:
		kvm_report(cpu,
			   "the processor does not enter the guest (hardware reason 0x%llx); "
			   "'-accel soft' runs it without KVM",
			   (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
		return NEXT_ERROR;
	default:
		kvm_report(cpu,
			   "KVM left the guest for reason %u, which this version does not know",
			   run->exit_reason);
		return NEXT_ERROR;
	}
}
