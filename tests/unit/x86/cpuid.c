// SPDX-License-Identifier: GPL-2.0-or-later
/* CPU models. Run: make t T=x86/cpuid */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "x86/cpuid.h"
#include "x86/cpuid_int.h"
#include "x86/msr.h"

enum { EAX, EBX, ECX, EDX };
static struct lodge_err err;
static struct x86_cpuid c;

static void build(const char *spec, unsigned cpus)
{
	err.msg[0] = 0;
	if (x86_cpuid_build(&c, spec, cpus, &err) != 0)
		fail_msg("%s", err.msg);
}

static void refuse(const char *spec, const char *word)
{
	err.msg[0] = 0;
	assert_int_equal(x86_cpuid_build(&c, spec, 1, &err), -EINVAL);
	assert_non_null(strstr(err.msg, word));
}

static uint32_t reg(unsigned cpu, uint32_t leaf, uint32_t sub, unsigned r)
{
	uint32_t regs[4];

	x86_cpuid_query(&c, cpu, 0, 7, true, leaf, sub, regs);
	return regs[r];
}

static void max_when_built_has_what_the_engine_emulates(void **state)
{
	(void)state;
	build(NULL, 1);
	assert_string_equal(c.model, "max");
	assert_true(c.has[X86_FEAT_SMAP] && c.has[X86_FEAT_SMEP] && c.has[X86_FEAT_UMIP]);
	assert_true(c.has[X86_FEAT_PCID] && c.has[X86_FEAT_X2APIC] && c.has[X86_FEAT_PDPE1GB]);
	assert_false(c.has[X86_FEAT_MONITOR]);
	assert_false(c.has[X86_FEAT_XSAVES]);
	assert_true(reg(0, 1, 0, ECX) >> 31 & 1);
	assert_int_equal(reg(0, 7, 0, EBX) >> 16 & 1, 0); /* no AVX-512 */
	assert_true(c.tsc_hz > 100000000ull && c.tsc_hz < 10000000000ull);
}

static void leaves_when_built_agree_with_has(void **state)
{
	static const struct {
		unsigned leaf, sub, reg, bit;
	} where[] = {{0},
#define FEAT(id, name, leaf, sub, r, bit) {leaf, sub, r, bit},
		     X86_FEATURES(FEAT)
#undef FEAT
	};

	(void)state;
	build("max", 2);
	for (unsigned f = 1; f < X86_FEAT_COUNT; f++) {
		bool bit = reg(0, where[f].leaf, where[f].sub, where[f].reg) >> where[f].bit & 1;

		if (bit != c.has[f])
			fail_msg("%s", x86_feature_name((enum x86_feature)f));
	}
}

static void model_when_named_has_its_level(void **state)
{
	(void)state;
	build("x86-64-v1", 1);
	assert_true(c.has[X86_FEAT_SSE2] && c.has[X86_FEAT_LM] && !c.has[X86_FEAT_SSE3]);
	build("qemu64", 1);
	assert_true(c.has[X86_FEAT_CX16] && !c.has[X86_FEAT_SSSE3]);
	build("x86-64-v2", 1);
	assert_true(c.has[X86_FEAT_SSE42] && !c.has[X86_FEAT_AVX]);
	assert_int_equal(c.xcr0_mask, 1);
	build("x86-64-v2,+aes", 1);
	assert_true(c.has[X86_FEAT_AES]);
	assert_int_equal(reg(0, 1, 0, EAX), c.amd ? 0xa00f11 : 0x6fb);
	build("qemu64", 1);
	assert_int_equal(reg(0, 1, 0, EAX), 0x60fb1);
}

static void feature_when_off_takes_dependents_along(void **state)
{
	(void)state;
	build("max,-avx", 1);
	assert_false(c.has[X86_FEAT_AVX] || c.has[X86_FEAT_AVX2] || c.has[X86_FEAT_FMA]);
	assert_int_equal(c.xcr0_mask & 4, 0);
	build("max,sse4_2=off", 1);
	assert_false(c.has[X86_FEAT_SSE42] || c.has[X86_FEAT_AVX2]);
	assert_true(c.has[X86_FEAT_SSE41]);
}

static void feature_when_on_brings_what_it_needs(void **state)
{
	(void)state;
	build("max", 1);
	if (!c.has[X86_FEAT_AVX2])
		skip();
	build("x86-64-v2,+avx2", 1);
	assert_true(c.has[X86_FEAT_AVX] && c.has[X86_FEAT_XSAVE]);
	refuse("x86-64-v2,-avx,+avx2", "avx2");
}

static void spec_when_wrong_is_refused_with_its_name(void **state)
{
	(void)state;
	refuse("pentium99", "pentium99");
	refuse("max,+frobnicate", "frobnicate");
	refuse("max,aes=maybe", "aes=maybe");
	refuse("max,", "\"\"");
	refuse("max,+", "\"\"");
	refuse("max,+monitor", "monitor");
	refuse("max,+xsaves", "xsaves");
	refuse("MAX", "MAX");
}

static void hypervisor_when_named_is_taken_as_qemu_spells_it(void **state)
{
	(void)state;
	build("max", 1);
	assert_int_equal(c.pv.kvm, X86_PV_AUTO);
	assert_int_equal(x86_cpuid_needs_kvm(&c, &err), 0);
	build("max,kvm=off,-kvm_pv_eoi,hv-tlbflush=off", 1);
	assert_int_equal(c.pv.kvm, X86_PV_OFF);
	assert_int_equal(c.pv.kvm_off, 1u << X86_KVM_PV_EOI);
	assert_int_equal(x86_cpuid_needs_kvm(&c, &err), 0);
	build("max,kvm=on", 1);
	assert_int_equal(x86_cpuid_needs_kvm(&c, &err), -ENOTSUP);
	build("max,+kvmclock,kvm-pv-ipi=on", 1);
	assert_int_equal(c.pv.kvm_on, 1u << X86_KVM_CLOCK | 1u << X86_KVM_CLOCK_OLD |
					      1u << X86_KVM_CLOCK_STABLE | 1u << X86_KVM_PV_IPI);
	assert_int_equal(x86_cpuid_needs_kvm(&c, &err), -ENOTSUP);
	build("max,hv_relaxed,hv-vpindex,hv_spinlocks=0x1fff,hv_synic=on,hv_relaxed=off", 1);
	assert_int_equal(c.pv.hv, 1u << X86_HV_VPINDEX | 1u << X86_HV_SYNIC);
	assert_int_equal(c.pv.hv_spin, 0x1fff);
	assert_int_equal(x86_cpuid_needs_kvm(&c, &err), -ENOTSUP);
	assert_non_null(strstr(err.msg, "hv_"));
	build("max,hv_passthrough", 1);
	assert_true(x86_hypervisor_has_hv(&c.pv));
}

static void hypervisor_when_wrong_is_refused(void **state)
{
	(void)state;
	refuse("max,hv_evmcs", "hv_evmcs");
	refuse("max,hv_synic", "hv-vpindex");
	refuse("max,hv_vpindex,hv_synic,hv_stimer", "hv-time");
	refuse("max,hv_spinlocks=12", "0xfff");
	refuse("max,hv_spinlocks=0x1fffz", "0x1fffz");
	refuse("max,hv_spinlocks", "hv_spinlocks=0x1fff");
	refuse("max,kvm-asyncpf=on", "kvm-asyncpf");
	refuse("max,kvm=off,kvm-pv-eoi=on", "kvm-pv-eoi");
	refuse("max,kvmcloc=on", "kvmcloc");
}

static void hypervisor_when_the_guest_saw_kvm_needs_it(void **state)
{
	(void)state;
	build("max", 1);
	for (unsigned i = 0; i < c.count; i++) {
		if (c.leaf[i].leaf == X86_LEAF_HYPERVISOR)
			memcpy(&c.leaf[i].ebx, "KVMK", 4);
	}
	assert_int_equal(x86_cpuid_needs_kvm(&c, &err), -ENOTSUP);
	assert_non_null(strstr(err.msg, "saved"));
}

static void query_when_state_differs_fills_it_in(void **state)
{
	uint32_t r[4];

	(void)state;
	build("max", 4);
	x86_cpuid_query(&c, 3, 0, 1, false, 1, 0, r);
	assert_int_equal(r[EBX] >> 24, 3);
	assert_int_equal(r[EDX] >> 9 & 1, 0);
	assert_int_equal(r[ECX] >> 27 & 1, 0);
	if (!c.has[X86_FEAT_XSAVE])
		return;
	x86_cpuid_query(&c, 3, 1u << 18, 1, true, 1, 0, r);
	assert_int_equal(r[ECX] >> 27 & 1, 1);
	assert_int_equal(r[EDX] >> 9 & 1, 1);
	x86_cpuid_query(&c, 0, 0, 3, true, 0xd, 0, r);
	assert_int_equal(r[EBX], 576);
	x86_cpuid_query(&c, 0, 0, 7, true, 0xd, 0, r);
	assert_int_equal(r[EBX], 832);
}

static void topology_when_several_cpus_is_one_package(void **state)
{
	(void)state;
	build("max", 6);
	assert_int_equal(reg(5, 1, 0, EBX) >> 16 & 0xff, 6);
	assert_int_equal(reg(5, 1, 0, EBX) >> 24, 5);
	assert_int_equal(reg(5, 0xb, 0, EBX), 1);
	assert_int_equal(reg(5, 0xb, 0, EDX), 5);
	assert_int_equal(reg(5, 0xb, 1, EAX), 3);
	assert_int_equal(reg(5, 0xb, 1, EBX), 6);
	assert_int_equal(reg(5, 0xb, 2, ECX), 2);
	assert_int_equal(reg(5, 0xb, 2, EBX), 0);
	if (c.amd) {
		assert_int_equal(reg(0, 0x80000008, 0, ECX), 3 << 12 | 5);
		assert_int_equal(reg(5, 0x8000001e, 0, EAX), 5);
		assert_int_equal(reg(5, 0x8000001e, 0, EBX), 5);
	}
	build("max", 1);
	assert_int_equal(reg(0, 1, 0, EDX) >> 28 & 1, 0);
}

static void vulnerabilities_when_max_are_declared_absent(void **state)
{
	(void)state;
	build("max", 1);
	assert_true(c.arch_caps & ARCH_CAP_RDCL_NO);
	assert_true(c.arch_caps & ARCH_CAP_IBRS_ALL);
	assert_int_equal(reg(0, 7, 0, EDX) >> 29 & 1, 1);
	if (c.amd) {
		assert_int_equal(reg(0, 0x80000008, 0, EBX) >> 26 & 1, 1); /* SSB_NO */
		assert_int_equal(reg(0, 0x80000008, 0, EBX) >> 12 & 1, 0); /* no IBPB to do */
		assert_int_equal(reg(0, 0x80000021, 0, EAX) >> 8 & 1, 1);  /* automatic IBRS */
		assert_int_equal(reg(0, 0x80000021, 0, EAX) >> 2 & 1, 1);  /* LFENCE serializes */
	}
}

static void leaf_when_unknown_reads_zero(void **state)
{
	(void)state;
	build("max", 1);
	for (unsigned r = 0; r < 4; r++) {
		assert_int_equal(reg(0, 0x17, 0, r), 0);
		assert_int_equal(reg(0, 0x80000099, 0, r), 0);
		assert_int_equal(reg(0, 0xdeadbeef, 7, r), 0);
	}
	assert_int_equal(reg(0, 0x40000000, 0, EBX), 0x67646f4c); /* "Lodg" */
}

/* As Linux takes it (native_calibrate_tsc): kHz, in 32 bits. */
static void tsc_ratio_when_linux_multiplies_expect_its_frequency(void **state)
{
	static const uint64_t hz[] = {40000000,	  100000000,  999999999,  1000000000,
				      1345294336, 2099998000, 2445404000, 2899999123,
				      3600000000, 4200000001, 4700000000, 5999999999};

	for (unsigned i = 0; i < sizeof(hz) / sizeof(hz[0]); i++) {
		uint32_t num, den, khz;
		int64_t off;

		cpuid_tsc_ratio(hz[i], &num, &den);
		assert_true(num && den);
		khz = 1000000u * num / den;
		off = (int64_t)(khz - hz[i] / 1000);
		/* A part in a million, or the last kHz. */
		assert_true(off >= -1 - (int64_t)(hz[i] / 1000000000));
		assert_true(off <= 1 + (int64_t)(hz[i] / 1000000000));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tsc_ratio_when_linux_multiplies_expect_its_frequency),
		cmocka_unit_test(max_when_built_has_what_the_engine_emulates),
		cmocka_unit_test(leaves_when_built_agree_with_has),
		cmocka_unit_test(model_when_named_has_its_level),
		cmocka_unit_test(feature_when_off_takes_dependents_along),
		cmocka_unit_test(feature_when_on_brings_what_it_needs),
		cmocka_unit_test(spec_when_wrong_is_refused_with_its_name),
		cmocka_unit_test(hypervisor_when_named_is_taken_as_qemu_spells_it),
		cmocka_unit_test(hypervisor_when_wrong_is_refused),
		cmocka_unit_test(hypervisor_when_the_guest_saw_kvm_needs_it),
		cmocka_unit_test(query_when_state_differs_fills_it_in),
		cmocka_unit_test(topology_when_several_cpus_is_one_package),
		cmocka_unit_test(vulnerabilities_when_max_are_declared_absent),
		cmocka_unit_test(leaf_when_unknown_reads_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
