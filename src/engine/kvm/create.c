// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The KVM engine's life: device, VM, vCPUs; and what engine.h calls it by.
 * Source: Linux, Documentation/virt/kvm/api.rst §2, §4, §7 (KVM_CAP_X86_USER_SPACE_MSR).
 * Threads: set-up and end are one thread's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/range.h"
#include "engine/kvm/kvm_int.h"
#include "x86/msr.h"

/* Below what a PC's firmware and APICs use, above its memory: three pages, and one. Intel alone needs them. */
#define TSS_ADDR 0xfeffd000u
#define IDENTITY_MAP_ADDR 0xfeffc000u

static struct kvm_engine *engine_of(struct engine *e)
{
	return (struct kvm_engine *)e;
}

/* ---- Memory ----------------------------------------------------------------------------------- */

static void map_changed(void *opaque)
{
	kvm_slots_update(opaque);
}

static void code_written(void *opaque, uint64_t ram_off, uint64_t len)
{
	/* The processor sees it by itself. */
	(void)opaque;
	(void)ram_off;
	(void)len;
}

/* Until somebody asks, nobody looks: so all counts as written. */
static void all_written(struct mem *mem)
{
	uint8_t *flags = mem_page_flags(mem);

	for (uint64_t i = 0; i < mem_backing_bytes(mem) >> PAGE_BITS; i++)
		__atomic_fetch_or(&flags[i], MEM_PAGE_DIRTY, __ATOMIC_SEQ_CST);
}

/* ---- VM --------------------------------------------------------------------------------------- */

static int cap(const struct kvm_engine *e, int what)
{
	int r = ioctl(e->vm, KVM_CHECK_EXTENSION, what);

	return r > 0 ? r : 0;
}

/*
 * The APIC is the machine's, if not in the kernel, and time is kept in x86_state: accesses to their MSRs come
 * here. x2APIC's come by being unknown to a kernel without an APIC of ours.
 */
static bool ask_for_msrs(struct kvm_engine *e)
{
	static uint8_t denied;
	struct kvm_enable_cap on = {
		.cap = KVM_CAP_X86_USER_SPACE_MSR,
		.args[0] = KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN |
			   KVM_MSR_EXIT_REASON_FILTER,
	};
	const uint32_t rw = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE;
	/* A range of none is no range. */
	const uint32_t apic = kvm_has_chip(e) ? 0 : 1;
	struct kvm_msr_filter f = {
		.flags = KVM_MSR_FILTER_DEFAULT_ALLOW,
		.ranges =
			{
				{.flags = rw,
				 .nmsrs = apic,
				 .base = MSR_APIC_BASE,
				 .bitmap = &denied},
				{.flags = rw,
				 .nmsrs = apic,
				 .base = MSR_TSC_DEADLINE,
				 .bitmap = &denied},
				{.flags = KVM_MSR_FILTER_WRITE,
				 .nmsrs = 1,
				 .base = MSR_TSC,
				 .bitmap = &denied},
				{.flags = KVM_MSR_FILTER_WRITE,
				 .nmsrs = 1,
				 .base = MSR_TSC_ADJUST,
				 .bitmap = &denied},
			},
	};

	if (!cap(e, KVM_CAP_X86_USER_SPACE_MSR) || !cap(e, KVM_CAP_X86_MSR_FILTER))
		return false;
	return ioctl(e->vm, KVM_ENABLE_CAP, &on) == 0 &&
	       ioctl(e->vm, KVM_X86_SET_MSR_FILTER, &f) == 0;
}

static int open_vm(struct kvm_engine *e, struct lodge_err *err)
{
	const char *device = e->cfg.kvm.device ? e->cfg.kvm.device : ENGINE_KVM_DEVICE;
	uint64_t identity = IDENTITY_MAP_ADDR;
	int n;

	e->dev = open(device, O_RDWR | O_CLOEXEC);
	if (e->dev < 0)
		return err_set(err, -errno, "cannot open %s: %s", device, strerror(errno));
	if (ioctl(e->dev, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		return err_set(err, -ENOTSUP, "%s is not KVM's device", device);
	e->vm = ioctl(e->dev, KVM_CREATE_VM, 0);
	if (e->vm < 0)
		return err_set(err, -errno, "KVM makes no VM: %s", strerror(errno));
	n = cap(e, KVM_CAP_NR_MEMSLOTS);
	e->slots_max = n ? (unsigned)n : 32;
	e->has_sregs2 = cap(e, KVM_CAP_SREGS2);
	n = ioctl(e->dev, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (n < (int)sizeof(struct kvm_run))
		return err_set(err, -EINVAL, "KVM's vCPU structure is too small (%d bytes)", n);
	e->run_bytes = (size_t)n;
	/* Where Intel processors without an unrestricted guest mode keep what real mode needs. */
	if (ioctl(e->vm, KVM_SET_IDENTITY_MAP_ADDR, &identity) < 0 ||
	    ioctl(e->vm, KVM_SET_TSS_ADDR, TSS_ADDR) < 0)
		return err_set(err, -errno, "KVM does not take the addresses of its own pages: %s",
			       strerror(errno));
	n = kvm_irqchip_create(e, err);
	if (n)
		return n;
	e->has_msr_exits = ask_for_msrs(e);
	kvm_shortcuts_find(e);
	n = cap(e, KVM_CAP_MAX_VCPUS);
	if (n && e->cfg.cpus > (unsigned)n)
		return err_set(err, -EINVAL, "this host's KVM has at most %d CPUs: use -smp %d", n,
			       n);
	return 0;
}

/* ---- vCPUs ------------------------------------------------------------------------------------ */

static void set_up_mce(struct kvm_cpu *cpu)
{
	uint64_t can = 0, mcg = X86_MC_BANKS | MCG_CAP_CTL_P | MCG_CAP_SER_P;

	if (ioctl(cpu->e->dev, KVM_X86_GET_MCE_CAP_SUPPORTED, &can) < 0)
		return;
	mcg = (mcg & 0xff) | (mcg & can & ~0xffull);
	/* Without it the guest sees the kernel's defaults, which do as well. */
	(void)!ioctl(cpu->fd, KVM_X86_SETUP_MCE, &mcg);
}

static bool has_tsc_offset(const struct kvm_cpu *cpu)
{
	struct kvm_device_attr attr = {.group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET};

	return ioctl(cpu->fd, KVM_HAS_DEVICE_ATTR, &attr) == 0;
}

/*
 * A guest that was saved on a host with another TSC: the processor scales, if it can. Without, the machine refuses.
 * All vCPUs alike.
 */
static void scale_tsc(struct kvm_cpu *cpu)
{
	struct kvm_engine *e = cpu->e;
	uint64_t khz = e->cfg.cpuid->tsc_hz / 1000;
	int host;

	if (!e->cfg.cpuid->host_tsc_hz || cap(e, KVM_CAP_TSC_CONTROL) == 0)
		return;
	host = ioctl(cpu->fd, KVM_GET_TSC_KHZ, 0);
	if (host <= 0 || khz > UINT32_MAX || ioctl(cpu->fd, KVM_SET_TSC_KHZ, khz) < 0) {
		e->cpuid.tsc_guest_khz = e->cpuid.tsc_host_khz = 0;
		return;
	}
	if (cpu->index == 0) {
		e->cpuid.tsc_guest_khz = (uint32_t)khz;
		e->cpuid.tsc_host_khz = (uint32_t)host;
	}
}

static void cpu_free(struct kvm_cpu *cpu)
{
	if (!cpu)
		return;
	kvm_alarm_free(cpu);
	if (cpu->run)
		munmap(cpu->run, cpu->e->run_bytes);
	if (cpu->fd >= 0)
		close(cpu->fd);
	pthread_mutex_destroy(&cpu->lock);
	free(cpu);
}

static int cpu_new(struct kvm_engine *e, unsigned index, struct lodge_err *err)
{
	struct kvm_cpu *cpu = aligned_alloc(64, align_up(sizeof(*cpu), 64));
	void *p;

	if (!cpu)
		return err_set(err, -ENOMEM, "no memory for CPU %u: use fewer with -smp", index);
	memset(cpu, 0, sizeof(*cpu));
	e->cpus[index] = cpu;
	cpu->e = e;
	cpu->index = index;
	pthread_mutex_init(&cpu->lock, NULL);
	cpu->fd = ioctl(e->vm, KVM_CREATE_VCPU, (unsigned long)index);
	if (cpu->fd < 0)
		return err_set(err, -errno, "KVM makes no vCPU %u: %s; try a smaller -smp", index,
			       strerror(errno));
	p = mmap(NULL, e->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, cpu->fd, 0);
	if (p == MAP_FAILED)
		return err_set(err, -errno, "cannot map KVM's structure of vCPU %u: %s", index,
			       strerror(errno));
	cpu->run = p;
	if (index == 0)
		e->has_tsc_offset = has_tsc_offset(cpu);
	scale_tsc(cpu);
	set_up_mce(cpu);
	kvm_pv_enforce(cpu);
	x86_state_reset(&cpu->s, index == 0);
	cpu->where = WHERE_STATE;
	if (kvm_hv_set_up(cpu, err))
		return -EINVAL;
	return kvm_cpuid_set(cpu, err);
}

/* ---- engine.h --------------------------------------------------------------------------------- */

static void kvm_destroy(struct engine *engine)
{
	struct kvm_engine *e = engine_of(engine);
	struct mem_listener none = {0};

	if (!e)
		return;
	mem_set_listener(e->cfg.mem, &none);
	if (e->started)
		kvm_stats_print(e);
	for (unsigned i = 0; e->cpus && i < e->cfg.cpus; i++)
		cpu_free(e->cpus[i]);
	free(e->cpus);
	kvm_routes_free(e);
	if (e->vm >= 0)
		close(e->vm);
	if (e->dev >= 0)
		close(e->dev);
	pthread_mutex_destroy(&e->gate_lock);
	pthread_mutex_destroy(&e->slots_lock);
	pthread_mutex_destroy(&e->breaks_lock);
	pthread_cond_destroy(&e->gate_cond);
	free(e);
}

static int engine_parts(struct kvm_engine *e, struct lodge_err *err)
{
	int r = kvm_signals_init(err);

	if (!r)
		r = open_vm(e, err);
	if (!r)
		r = kvm_cpuid_prepare(e, err);
	if (r)
		return r;
	e->cpus = calloc(e->cfg.cpus, sizeof(struct kvm_cpu *));
	if (!e->cpus)
		return err_set(err, -ENOMEM, "no memory for the CPUs");
	for (unsigned i = 0; i < e->cfg.cpus && !r; i++)
		r = cpu_new(e, i, err);
	if (!r)
		kvm_find_msrs(e);
	return r;
}

static struct engine *kvm_create(const struct engine_config *cfg, struct lodge_err *err)
{
	struct kvm_engine *e = calloc(1, sizeof(*e));

	if (!e) {
		err_set(err, -ENOMEM, "no memory for the KVM engine");
		return NULL;
	}
	e->cfg = *cfg;
	e->dev = e->vm = -1;
	pthread_mutex_init(&e->gate_lock, NULL);
	pthread_mutex_init(&e->slots_lock, NULL);
	pthread_mutex_init(&e->breaks_lock, NULL);
	pthread_cond_init(&e->gate_cond, NULL);
	if (engine_parts(e, err) < 0) {
		kvm_destroy((struct engine *)e);
		return NULL;
	}

	struct mem_listener l = {.map_changed = map_changed,
				 .code_written = code_written,
				 .watch_writes = kvm_watch_writes,
				 .sync_writes = kvm_sync_writes,
				 .opaque = e};

	mem_set_listener(cfg->mem, &l);
	all_written(cfg->mem);
	kvm_slots_update(e);
	e->started = true;
	return (struct engine *)e;
}

static struct vcpu *kvm_vcpu(struct engine *engine, unsigned index)
{
	struct kvm_engine *e = engine_of(engine);

	return index < e->cfg.cpus ? (struct vcpu *)e->cpus[index] : NULL;
}

static const struct x86_cpuid *kvm_cpuid(const struct engine *e)
{
	return &((const struct kvm_engine *)e)->cpuid;
}

const struct engine_ops engine_kvm = {
	.name = "kvm",
	.create = kvm_create,
	.destroy = kvm_destroy,
	.vcpu = kvm_vcpu,
	.run = kvm_op_run,
	.kick = kvm_op_kick,
	.signal = kvm_op_signal,
	.alarm = kvm_op_alarm,
	.has_work = kvm_op_has_work,
	.state = kvm_op_state,
	.state_changed = kvm_op_state_changed,
	.settle = kvm_op_settle,
	.cpuid = kvm_cpuid,
	.error = kvm_op_error,
	.debug = kvm_op_debug,
	.debug_cpu = kvm_op_debug_cpu,
	.debug_stop = kvm_op_debug_stop,
	.counters = kvm_op_counters,
	.irqchip = &kvm_irqchip_ops,
	.shortcuts = &kvm_shortcut_ops,
	.clock = &kvm_clock_ops,
};
