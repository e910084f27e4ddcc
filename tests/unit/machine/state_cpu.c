// SPDX-License-Identifier: GPL-2.0-or-later
/* vCPUs and CPUID as saved state. Run: make t T=machine/state_cpu */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "machine/vm_int.h"

static struct x86_state state;
static struct vm vm;
static struct vm_cpu cpu;
static struct lodge_err err;
static uint8_t buf[STATE_CPU_BYTES];
static unsigned signals[8], changes;

static struct x86_state *get_state(struct vcpu *v)
{
	return &state;
}

static void changed(struct vcpu *v)
{
	changes++;
}

static void signalled(struct vcpu *v, enum vcpu_signal sig, uint8_t arg)
{
	signals[sig] += 1 + arg;
}

static void settle(struct vcpu *v)
{
	state.sipi_pending = true;
	state.sipi_vector = 0x9a;
}

static const struct engine_ops plain = {
	.name = "test", .state = get_state, .state_changed = changed, .signal = signalled};
static const struct engine_ops pending = {.name = "test",
					  .state = get_state,
					  .state_changed = changed,
					  .signal = signalled,
					  .settle = settle};

static int setup(void **s)
{
	memset(&vm, 0, sizeof(vm));
	memset(&err, 0, sizeof(err));
	memset(signals, 0, sizeof(signals));
	changes = 0;
	vm.ops = &plain;
	vm.cpus = &cpu;
	vm.stopped_tsc = 1000000;
	x86_state_reset(&state, true);
	return x86_cpuid_build(&vm.cpuid, "max", 1, &err);
}

static void cpu_when_saved_and_loaded_expect_the_same(void **s)
{
	struct x86_state before;
	long n;

	for (unsigned i = 0; i < 16; i++)
		state.gpr[i] = 0x1111111111111111ull * i;
	state.rip = 0xffffffff81000123;
	state.seg[SEG_GS].base = 0xffff888000000000;
	state.mtrr_var[3].mask = 0xff000800;
	state.xsave[160] = 0x42; /* XMM0 */
	state.tsc_offset = (uint64_t)-999000;
	state.run_state = X86_HALTED;
	state.nmi_blocked = true;
	before = state;
	n = vm_cpu_save(&vm, 0, buf, sizeof(buf));
	assert_true(n > 0);
	memset(&state, 0, sizeof(state));
	/* Another host, later. */
	vm.stopped_tsc = 77;
	assert_int_equal(vm_cpu_load(&vm, 0, buf, (size_t)n, &err), 0);
	assert_int_equal(changes, 1);
	/* Its count goes on from 1000. */
	assert_int_equal(vm.stopped_tsc + state.tsc_offset, 1000);
	before.tsc_offset = state.tsc_offset;
	assert_memory_equal(&state, &before, sizeof(state));
}

static void interrupt_when_on_its_way_expect_it_kept(void **s)
{
	long n;

	state.rflags |= FLAG_IF;
	state.irq_taken = true;
	state.irq_vector = 0xec;
	n = vm_cpu_save(&vm, 0, buf, sizeof(buf));
	x86_state_reset(&state, true);
	assert_int_equal(vm_cpu_load(&vm, 0, buf, (size_t)n, &err), 0);
	assert_true(state.irq_taken);
	assert_int_equal(state.irq_vector, 0xec);
}

static void avx_when_the_model_has_none_expect_it_left_out(void **s)
{
	long n;

	vm.cpuid.xcr0_mask = 0;
	st_le64(state.xsave + 512, 7);
	st_le32(state.xsave + 28, 0xffff);
	state.xsave[580] = 1;
	state.xsave[160] = 0x42;
	n = vm_cpu_save(&vm, 0, buf, sizeof(buf));
	x86_state_reset(&state, true);
	assert_int_equal(vm_cpu_load(&vm, 0, buf, (size_t)n, &err), 0);
	assert_int_equal(ld_le64(state.xsave + 512), 3);
	assert_int_equal(ld_le32(state.xsave + 28), 0);
	assert_int_equal(state.xsave[580], 0);
	assert_int_equal(state.xsave[160], 0x42);
}

static void signal_when_not_taken_yet_expect_it_again_on_both_sides(void **s)
{
	long n;

	vm.ops = &pending;
	n = vm_cpu_save(&vm, 0, buf, sizeof(buf));
	assert_int_equal(signals[VCPU_SIGNAL_SIPI], 1 + 0x9a);
	assert_int_equal(vm_cpu_load(&vm, 0, buf, (size_t)n, &err), 0);
	assert_int_equal(signals[VCPU_SIGNAL_SIPI], 2 * (1 + 0x9a));
	assert_int_equal(signals[VCPU_SIGNAL_INIT], 0);
	assert_false(state.sipi_pending);
}

/* Saves what `state` is, and expects it refused, and nothing taken. */
static void refused(const char *what)
{
	long n = vm_cpu_save(&vm, 0, buf, sizeof(buf));

	x86_state_reset(&state, true);
	if (vm_cpu_load(&vm, 0, buf, (size_t)n, &err) != -EINVAL)
		print_error("taken: %s\n", what);
	assert_non_null(strstr(err.msg, "impossible"));
	assert_int_equal(changes, 0);
	x86_state_reset(&state, true);
}

static void cpu_when_impossible_expect_refusal(void **s)
{
	state.cr0 |= CR0_PG;
	state.cr0 &= ~(uint64_t)CR0_PE;
	refused("paging in real mode");
	state.efer = EFER_LMA;
	refused("long mode without paging");
	state.cr4 = 1ull << 40;
	refused("CR4");
	state.rflags = 0;
	refused("flags without bit 1");
	state.rip = 1ull << 60;
	refused("rip that is not canonical");
	state.seg[SEG_FS].base = 1ull << 50;
	refused("base that is not canonical");
	state.xcr0 = 0;
	refused("XCR0 without x87");
	st_le32(state.xsave + 24, 0x80000000);
	refused("MXCSR");
	st_le64(state.xsave + 520, 1ull << 63);
	refused("compacted XSAVE area");
	state.run_state = 9;
	refused("run state");
	state.pat = 0x0202020202020202;
	refused("PAT");
	*(uint8_t *)&state.nmi_pending = 7;
	refused("a switch that is 7");
	state.irq_taken = true;
	refused("an interrupt on its way with IF = 0");
	state.irq_taken = true;
	state.rflags |= FLAG_IF;
	state.run_state = X86_HALTED;
	refused("an interrupt on its way in HLT");
}

static void cpuid_when_the_host_has_more_expect_what_the_guest_saw(void **s)
{
	struct x86_cpuid small, id = vm.cpuid;
	long n;

	assert_int_equal(x86_cpuid_build(&small, "x86-64-v2", 1, &err), 0);
	n = vm_cpuid_save(&small, buf, sizeof(buf));
	assert_int_equal(vm_cpuid_load(&id, buf, (size_t)n, &err), 0);
	assert_memory_equal(id.has, small.has, sizeof(id.has));
	assert_int_equal(id.count, small.count);
	assert_memory_equal(id.leaf, small.leaf, small.count * sizeof(id.leaf[0]));
	assert_string_equal(id.model, "x86-64-v2");
}

static void cpuid_when_the_host_has_less_expect_the_feature_named(void **s)
{
	struct x86_cpuid small;
	long n = vm_cpuid_save(&vm.cpuid, buf, sizeof(buf));

	assert_int_equal(x86_cpuid_build(&small, "max,-aes", 1, &err), 0);
	assert_int_equal(vm_cpuid_load(&small, buf, (size_t)n, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "feature aes"));
}

static void cpuid_when_the_tsc_differs_expect_the_engine_is_to_scale(void **s)
{
	struct x86_cpuid id = vm.cpuid;
	long n;

	id.tsc_hz += id.tsc_hz / 5000;
	n = vm_cpuid_save(&id, buf, sizeof(buf));
	id = vm.cpuid;
	assert_int_equal(vm_cpuid_load(&id, buf, (size_t)n, &err), 0);
	assert_int_equal(id.host_tsc_hz, 0);
	id.tsc_hz += id.tsc_hz / 100;
	n = vm_cpuid_save(&id, buf, sizeof(buf));
	id = vm.cpuid;
	assert_int_equal(vm_cpuid_load(&id, buf, (size_t)n, &err), 0);
	assert_int_equal(id.host_tsc_hz, vm.cpuid.tsc_hz);
	assert_true(id.tsc_hz > vm.cpuid.tsc_hz);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(t) cmocka_unit_test_setup(t, setup)
		TEST(cpu_when_saved_and_loaded_expect_the_same),
		TEST(interrupt_when_on_its_way_expect_it_kept),
		TEST(avx_when_the_model_has_none_expect_it_left_out),
		TEST(signal_when_not_taken_yet_expect_it_again_on_both_sides),
		TEST(cpu_when_impossible_expect_refusal),
		TEST(cpuid_when_the_host_has_more_expect_what_the_guest_saw),
		TEST(cpuid_when_the_host_has_less_expect_the_feature_named),
		TEST(cpuid_when_the_tsc_differs_expect_the_engine_is_to_scale),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
