// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Saved vCPUs and CPUID, damaged in places the input names: what is taken must be what a processor could have.
 * Run: make t T=fuzz/state_cpu
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "machine/vm_int.h"

static struct x86_state state;

static struct x86_state *fuzz_state(struct vcpu *v)
{
	(void)v;
	return &state;
}

static void fuzz_changed(struct vcpu *v)
{
	(void)v;
}

static void fuzz_signal(struct vcpu *v, enum vcpu_signal sig, uint8_t arg)
{
	(void)v;
	(void)sig;
	(void)arg;
}

static const struct engine_ops ops = {
	.name = "fuzz", .state = fuzz_state, .state_changed = fuzz_changed, .signal = fuzz_signal};

static void check_state(const struct x86_cpuid *id)
{
	bool lma = state.efer & EFER_LMA;

	if (lma && (!(state.cr0 & CR0_PG) || !(state.cr4 & CR4_PAE)))
		abort();
	if (ld_le32(state.xsave + 24) & ~id->mxcsr_mask || state.run_state > X86_SHUTDOWN)
		abort();
	/* The host takes it. */
	__asm__ volatile("fxrstor64 %0" : : "m"(state.xsave));
	__asm__ volatile("ldmxcsr %0" : : "m"((unsigned){0x1f80}));
	__asm__ volatile("fninit");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct x86_cpuid built;
	static struct vm vm;
	static struct vm_cpu cpu;
	uint8_t buf[STATE_CPU_BYTES];
	struct lodge_err err = {""};
	long n;

	if (!built.count && x86_cpuid_build(&built, "max", 2, &err))
		abort();
	vm.ops = &ops;
	vm.cpus = &cpu;
	vm.cpuid = built;
	vm.stopped_tsc = 1000;
	x86_state_reset(&state, true);
	n = size && data[0] & 1 ? vm_cpuid_save(&built, buf, sizeof(buf))
				: vm_cpu_save(&vm, 0, buf, sizeof(buf));
	if (n < 0)
		abort();
	for (size_t i = 1; i + 2 < size; i += 3)
		buf[(data[i] | (size_t)data[i + 1] << 8) % (size_t)n] = data[i + 2];
	if (size && data[0] & 1) {
		int r = vm_cpuid_load(&vm.cpuid, buf, (size_t)n, &err);

		if (r ? !err.msg[0] || memcmp(&vm.cpuid, &built, sizeof(built))
		      : vm.cpuid.count > X86_CPUID_LEAVES)
			abort();
	} else if (!vm_cpu_load(&vm, 0, buf, (size_t)n, &err)) {
		check_state(&built);
	} else if (!err.msg[0]) {
		abort();
	}
	return 0;
}
