// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * SSE and AVX: availability by CR0 and CR4, #XM and MXCSR, alignment, page ends, upper halves;
 * XSAVE and its relatives. QEMU 7.2 (TCG) has no #XM. Source: Intel SDM 1 ch. 11, 13, 14, 3A ch. 13.
 */
#include "paging.h"

#define VA 0x8000000000ull

static uint8_t mem[4096] __attribute__((aligned(4096)));
static uint8_t xs[2][2048] __attribute__((aligned(64)));

SNIPPET(s_add, "addps %xmm1, %xmm0");
SNIPPET(s_movaps, "movaps (%rdi), %xmm0");
SNIPPET(s_movups, "movups (%rdi), %xmm0");
SNIPPET(s_movups_st, "movups %xmm0, (%rdi)");
SNIPPET(s_paddd, "paddd (%rdi), %xmm0");
SNIPPET(s_movntdq, "movntdq %xmm0, (%rdi)");
SNIPPET(s_lddqu, "lddqu (%rdi), %xmm0");
SNIPPET(s_movq, "movq (%rdi), %xmm0");
SNIPPET(s_ldmxcsr, "ldmxcsr (%rdi)");
SNIPPET(s_stmxcsr, "stmxcsr (%rdi)");
SNIPPET(s_prefetch, "prefetcht0 (%rdi)");
SNIPPET(s_sfence, "sfence\n lfence\n mfence");
SNIPPET(s_movnti, "movnti %eax, (%rdi)");
SNIPPET(s_crc, "crc32l (%rdi), %eax");
SNIPPET(s_popcnt, "popcnt (%rdi), %eax");

static void availability(void)
{
	static const struct {
		const char *name;
		uint8_t *code;
		int plain, em, ts; /* with OSFXSR; with EM; with TS */
		int no_osfxsr;
	} rows[] = {
		{"ADDPS", s_add, NO_TRAP, UD, NM, UD},
		{"MOVUPS", s_movups, NO_TRAP, UD, NM, UD},
		{"LDMXCSR", s_ldmxcsr, NO_TRAP, UD, NM, UD},
		{"PREFETCH", s_prefetch, NO_TRAP, NO_TRAP, NO_TRAP, NO_TRAP},
		{"fences", s_sfence, NO_TRAP, NO_TRAP, NO_TRAP, NO_TRAP},
		{"MOVNTI", s_movnti, NO_TRAP, NO_TRAP, NO_TRAP, NO_TRAP},
		{"CRC32", s_crc, NO_TRAP, NO_TRAP, NO_TRAP, NO_TRAP},
		{"POPCNT", s_popcnt, NO_TRAP, NO_TRAP, NO_TRAP, NO_TRAP},
	};
	word cr0 = read_cr0() & ~(word)(C0_EM | C0_TS), cr4 = read_cr4();

	*(uint32_t *)mem = 0x1f80;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		write_cr4(cr4 & ~(word)C4_OSFXSR);
		check_trap(catch_trap(rows[i].code, (word)mem, 0), rows[i].no_osfxsr, 0,
			   "%s without CR4.OSFXSR", rows[i].name);
		write_cr4(cr4 | C4_OSFXSR);
		check_trap(catch_trap(rows[i].code, (word)mem, 0), rows[i].plain, 0, "%s",
			   rows[i].name);
		write_cr0(cr0 | C0_EM);
		check_trap(catch_trap(rows[i].code, (word)mem, 0), rows[i].em, 0, "%s with CR0.EM",
			   rows[i].name);
		write_cr0(cr0 | C0_TS);
		check_trap(catch_trap(rows[i].code, (word)mem, 0), rows[i].ts, 0, "%s with CR0.TS",
			   rows[i].name);
		write_cr0(cr0);
	}
}

/* 1/0 with ZM clear; the destination must not change. */
SNIPPET(x_div, "push $0x1d80\n ldmxcsr (%rsp)\n pop %rax\n mov $0x3f800000, %eax\n movd %eax, %xmm0\n"
	       "xorps %xmm1, %xmm1\n.globl x_div_at\nx_div_at: divss %xmm1, %xmm0\n push $0x1f80\n ldmxcsr (%rsp)\n pop %rax");
extern uint8_t x_div_at[];
SNIPPET(x_state, "movd %xmm0, %ecx\n push $0\n stmxcsr (%rsp)\n pop %rax\n push $0x1f80\n ldmxcsr (%rsp)\n pop %rdx");
SNIPPET(x_masked, "push $0x1f80\n ldmxcsr (%rsp)\n mov $0x3f800000, %eax\n movd %eax, %xmm0\n xorps %xmm1, %xmm1\n"
		  "divss %xmm1, %xmm0\n stmxcsr (%rsp)\n pop %rax\n push $0x1f80\n ldmxcsr (%rsp)\n pop %rdx");
static void simd_exceptions(void)
{
	word cr4 = read_cr4() | C4_OSFXSR;
	struct trap *t;

	write_cr4(cr4 | C4_OSXMMEXCPT);
	t = catch_trap(x_div, 0, 0);
	check_trap(t, XM, 0, "unmasked SSE division by zero");
	check_eq(t->ip, (word)x_div_at, "#XM is a fault");
	t = catch_trap(x_state, 0, 0);
	check_eq(t->result & 0x3f, 4, "MXCSR.ZE");
	write_cr4(cr4 & ~(word)C4_OSXMMEXCPT);
	check_trap(catch_trap(x_div, 0, 0), UD, 0, "without CR4.OSXMMEXCPT: #UD");
	catch_trap(x_state, 0, 0);
	check_eq(catch_trap(x_masked, 0, 0)->result, 0x1f84, "masked: only the flag");
	*(uint32_t *)mem = 0xffff;
	check_trap(catch_trap(s_ldmxcsr, (word)mem, 0), NO_TRAP, 0, "LDMXCSR");
	*(uint32_t *)mem = 0x10000;
	check_trap(catch_trap(s_ldmxcsr, (word)mem, 0), GP, 0, "LDMXCSR, reserved bit");
	check_trap(catch_trap(s_stmxcsr, (word)mem, 0), NO_TRAP, 0, "STMXCSR");
	check_eq(*(uint32_t *)mem, 0xffff, "it kept the old value");
	*(uint32_t *)mem = 0x1f80;
	catch_trap(s_ldmxcsr, (word)mem, 0);
	write_cr4(cr4 | C4_OSXMMEXCPT);
}

static void alignment(void)
{
	static const struct {
		const char *name;
		uint8_t *code;
		bool aligned;
	} rows[] = {{"MOVAPS", s_movaps, true},	  {"MOVUPS", s_movups, false},
		    {"PADDD", s_paddd, true},	  {"MOVNTDQ", s_movntdq, true},
		    {"LDDQU", s_lddqu, false},	  {"MOVQ", s_movq, false},
		    {"MOVUPS store", s_movups_st, false}};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		check_trap(catch_trap(rows[i].code, (word)mem + 16, 0), NO_TRAP, 0, "%s, aligned",
			   rows[i].name);
		check_trap(catch_trap(rows[i].code, (word)mem + 17, 0),
			   rows[i].aligned ? GP : NO_TRAP, 0, "%s, misaligned", rows[i].name);
	}
	check_trap(catch_trap(s_movups, 0x900000000000ull, 0), GP, 0, "MOVUPS, non-canonical");
}

static uint64_t *pt;
static uint8_t *page[2];
static void map_pages(void)
{
	uint64_t *pdpt = alloc_pages(1, 4096), *pd = alloc_pages(1, 4096);

	pt = alloc_pages(1, 4096);
	boot_pml4[1] = (uint64_t)pdpt | 7;
	pdpt[0] = (uint64_t)pd | 7;
	pd[0] = (uint64_t)pt | 7;
	for (unsigned i = 0; i < 2; i++) {
		page[i] = alloc_pages(1, 4096);
		pt[i] = (uint64_t)page[i] | 7;
	}
	flush_tlb();
}

static void page_ends(void)
{
	struct trap *t;

	map_pages();
	for (unsigned i = 0; i < 32; i++)
		((uint8_t *)VA)[4080 + i] = (uint8_t)i;
	check_trap(catch_trap(s_movups, VA + 4088, 0), NO_TRAP, 0, "MOVUPS over a page end");
	check_trap(catch_trap(s_movups_st, VA + 4090, 0), NO_TRAP, 0, "MOVUPS store over a page end");
	check_eq(page[1][0], 14, "its second part");
	check_eq(page[0][4091], 9, "its first part");
	pt[1] = 0;
	invlpg(VA + 4096);
	memset(page[0], 0x11, 4096);
	t = catch_trap(s_movups, VA + 4088, 0);
	check_trap(t, PF, 0, "MOVUPS into an absent page");
	check_eq(t->cr2, VA + 4096, "CR2");
	t = catch_trap(s_movups_st, VA + 4088, 0);
	check_trap(t, PF, ERR_W, "MOVUPS store into an absent page");
	check_eq(t->cr2, VA + 4096, "CR2");
	check_eq(page[0][4095], 0x11, "nothing was stored");
	pt[1] = (uint64_t)page[1] | 7;
	flush_tlb();
}

SNIPPET(a_vadd, "vaddps %ymm1, %ymm0, %ymm0");
SNIPPET(a_vmovaps, "vmovaps (%rdi), %ymm0");
SNIPPET(a_vpaddd_mem, "vpaddd (%rdi), %xmm0, %xmm0");
SNIPPET(a_vex128, "vpcmpeqd %ymm0, %ymm0, %ymm0\n vpxor %xmm1, %xmm1, %xmm1\n vmovdqa %xmm0, %xmm0\n"
		  "vextracti128 $1, %ymm0, %xmm2\n vmovd %xmm2, %eax");
SNIPPET(a_sse_keeps, "vpcmpeqd %ymm0, %ymm0, %ymm0\n pxor %xmm0, %xmm0\n vextracti128 $1, %ymm0, %xmm2\n"
		     "vmovd %xmm2, %eax");
SNIPPET(a_zeroupper, "vpcmpeqd %ymm3, %ymm3, %ymm3\n vzeroupper\n vextracti128 $1, %ymm3, %xmm2\n"
		     "vmovd %xmm2, %eax\n vmovd %xmm3, %ecx\n add %ecx, %eax");
SNIPPET(a_xgetbv, "xor %ecx, %ecx\n xgetbv");
SNIPPET(a_xgetbv1, "mov $5, %ecx\n xgetbv");
SNIPPET(a_xsetbv, "xor %ecx, %ecx\n mov %edi, %eax\n mov %rdi, %rdx\n shr $32, %rdx\n xsetbv");
SNIPPET(a_xsetbv1, "mov $1, %ecx\n mov $1, %eax\n xor %edx, %edx\n xsetbv");
SNIPPET(a_andn, "andn %eax, %ecx, %eax");

static void avx(void)
{
	word cr4 = read_cr4();

	check_trap(catch_trap(a_xgetbv, 0, 0), UD, 0, "XGETBV without CR4.OSXSAVE");
	check_eq(cpuid(1, 0).c >> 27 & 1, 0, "CPUID.OSXSAVE follows CR4");
	check_trap(catch_trap(a_vadd, 0, 0), UD, 0, "AVX without CR4.OSXSAVE");
	write_cr4(cr4 | C4_OSXSAVE);
	check_eq(cpuid(1, 0).c >> 27 & 1, 1, "CPUID.OSXSAVE follows CR4");
	check_eq(catch_trap(a_xgetbv, 0, 0)->result, 1, "XCR0 at reset");
	check_trap(catch_trap(a_vadd, 0, 0), UD, 0, "AVX with XCR0 = 1");
	if (has_leaf7_b(3))
		check_trap(catch_trap(a_andn, 0, 0), NO_TRAP, 0, "BMI needs no XCR0");
	check_trap(catch_trap(a_xsetbv, 0, 0), GP, 0, "XCR0 without x87");
	check_trap(catch_trap(a_xsetbv, 5, 0), GP, 0, "XCR0 with AVX but no SSE");
	check_trap(catch_trap(a_xsetbv, 1ull << 62 | 1, 0), GP, 0, "reserved bit in XCR0");
	check_trap(catch_trap(a_xsetbv1, 0, 0), GP, 0, "XCR1");
	check_trap(catch_trap(a_xgetbv1, 0, 0), GP, 0, "XGETBV of register 5");
	check_trap(catch_user(a_xsetbv, 7, 0), GP, 0, "XSETBV at CPL 3");
	check_trap(catch_trap(a_xsetbv, 3, 0), NO_TRAP, 0, "XCR0 with SSE");
	check_trap(catch_trap(a_vadd, 0, 0), UD, 0, "AVX with XCR0 = 3");
	if (!has_leaf1_c(28)) {
		check_skip("AVX", "CPUID has no AVX");
		return;
	}
	check_trap(catch_trap(a_xsetbv, 7, 0), NO_TRAP, 0, "XCR0 with AVX");
	check_eq(catch_trap(a_xgetbv, 0, 0)->result, 7, "XGETBV");
	check_trap(catch_user(a_xgetbv, 0, 0), NO_TRAP, 0, "XGETBV at CPL 3");
	check_trap(catch_trap(a_vadd, 0, 0), NO_TRAP, 0, "AVX");
	write_cr0(read_cr0() | C0_TS);
	check_trap(catch_trap(a_vadd, 0, 0), NM, 0, "AVX with CR0.TS");
	write_cr0(read_cr0() & ~(word)C0_TS);
	check_trap(catch_trap(a_vmovaps, (word)mem + 16, 0), GP, 0, "VMOVAPS, misaligned");
	check_trap(catch_trap(a_vpaddd_mem, (word)mem + 3, 0), NO_TRAP, 0, "VPADDD, misaligned");
	if (!has_leaf7_b(5)) {
		check_skip("AVX2", "CPUID has no AVX2");
		return;
	}
	check_eq(catch_trap(a_vex128, 0, 0)->result, 0, "VEX.128 clears the upper half");
	check_eq(catch_trap(a_sse_keeps, 0, 0)->result, 0xffffffff, "SSE keeps the upper half");
	check_eq(catch_trap(a_zeroupper, 0, 0)->result, 0xffffffff, "VZEROUPPER");
}

SNIPPET(v_xsave, "mov %esi, %eax\n xor %edx, %edx\n xsave64 (%rdi)");
SNIPPET(v_xsaveopt, "mov %esi, %eax\n xor %edx, %edx\n xsaveopt64 (%rdi)");
SNIPPET(v_xrstor, "mov %esi, %eax\n xor %edx, %edx\n xrstor64 (%rdi)");
SNIPPET(v_fill, "vpcmpeqd %ymm5, %ymm5, %ymm5\n vpcmpeqd %xmm6, %xmm6, %xmm6");
SNIPPET(v_clear, "vpxor %xmm5, %xmm5, %xmm5");
SNIPPET(v_read5, "vextracti128 $1, %ymm5, %xmm2\n vmovd %xmm2, %eax\n shl $32, %rax\n vmovd %xmm5, %ecx\n or %rcx, %rax");

static void xsave(void)
{
	uint64_t *header = (uint64_t *)(xs[0] + 512);
	struct cpuid c = cpuid(13, 0);
	struct trap *t;

	if (!has_leaf7_b(5))
		return;
	check_eq(c.a & 7, 7, "CPUID 13: x87, SSE, AVX");
	check_eq(c.b, 512 + 64 + 256, "CPUID 13: size for XCR0 = 7");
	check_eq(cpuid(13, 2).a, 256, "CPUID 13: AVX state is 256 bytes");
	check_eq(cpuid(13, 2).b, 576, "CPUID 13: at 576");
	catch_trap(v_fill, 0, 0);
	memset(xs, 0, sizeof(xs));
	check_trap(catch_trap(v_xsave, (word)xs[0], 7), NO_TRAP, 0, "XSAVE");
	check_eq(header[0] & 6, 6, "XSTATE_BV has SSE and AVX");
	check_eq(*(uint32_t *)(xs[0] + 160 + 16 * 5), 0xffffffff, "XMM5 in the image");
	check_eq(*(uint32_t *)(xs[0] + 576 + 16 * 5), 0xffffffff, "upper YMM5 in the image");
	check_eq(*(uint32_t *)(xs[0] + 576 + 16 * 6), 0, "upper YMM6 is clear");
	catch_trap(v_clear, 0, 0);
	check_eq(catch_trap(v_read5, 0, 0)->result, 0, "cleared");
	check_trap(catch_trap(v_xrstor, (word)xs[0], 7), NO_TRAP, 0, "XRSTOR");
	check_eq(catch_trap(v_read5, 0, 0)->result, ~0ul, "it is back");
	check_trap(catch_trap(v_xrstor, (word)xs[0], 4), NO_TRAP, 0, "XRSTOR of AVX alone");
	header[0] = 3;
	catch_trap(v_xrstor, (word)xs[0], 4);
	check_eq(catch_trap(v_read5, 0, 0)->result, 0xffffffff,
		 "XRSTOR with XSTATE_BV clear: initial state");
	header[0] = 7;
	catch_trap(v_xrstor, (word)xs[0], 7);
	memset(xs[1], 0, sizeof(xs[1]));
	catch_trap(v_xsave, (word)xs[1], 2);
	check_eq(*(uint32_t *)(xs[1] + 576 + 16 * 5), 0, "XSAVE of SSE alone leaves AVX out");
	check_eq(*(uint64_t *)(xs[1] + 512) & 4, 0, "and its XSTATE_BV bit as it was");
	check_eq(*(uint16_t *)xs[1], 0, "and x87 out");
	check_trap(catch_trap(v_xsave, (word)xs[0] + 16, 7), GP, 0, "XSAVE, misaligned");
	check_trap(catch_trap(v_xrstor, (word)xs[0] + 16, 7), GP, 0, "XRSTOR, misaligned");
	header[0] = 15;
	check_trap(catch_trap(v_xrstor, (word)xs[0], 7), GP, 0, "XRSTOR, XSTATE_BV beyond XCR0");
	header[0] = 7;
	header[2] = 1;
	check_trap(catch_trap(v_xrstor, (word)xs[0], 7), GP, 0, "XRSTOR, reserved header bytes");
	header[2] = 0;
	header[1] = 1;
	check_trap(catch_trap(v_xrstor, (word)xs[0], 7), GP, 0, "XRSTOR, XCOMP_BV bit 0");
	header[1] = 0;
	*(uint32_t *)(xs[0] + 24) = 0x10000;
	check_trap(catch_trap(v_xrstor, (word)xs[0], 7), GP, 0, "XRSTOR, reserved bit in MXCSR");
	*(uint32_t *)(xs[0] + 24) = 0x1f80;
	write_cr0(read_cr0() | C0_TS);
	check_trap(catch_trap(v_xsave, (word)xs[0], 7), NM, 0, "XSAVE with CR0.TS");
	check_trap(catch_trap(v_xrstor, (word)xs[0], 7), NM, 0, "XRSTOR with CR0.TS");
	write_cr0(read_cr0() & ~(word)C0_TS);
	write_cr4(read_cr4() & ~(word)C4_OSXSAVE);
	check_trap(catch_trap(v_xsave, (word)xs[0], 7), UD, 0, "XSAVE without CR4.OSXSAVE");
	write_cr4(read_cr4() | C4_OSXSAVE);
	if (cpuid(13, 1).a & 1) {
		check_trap(catch_trap(v_xsaveopt, (word)xs[0], 7), NO_TRAP, 0, "XSAVEOPT");
		catch_trap(v_clear, 0, 0);
		catch_trap(v_xrstor, (word)xs[0], 7);
		check_eq(catch_trap(v_read5, 0, 0)->result, ~0ul, "XSAVEOPT and XRSTOR keep AVX");
	}
	/* An image over a page end whose second page is absent: nothing is loaded. */
	pt[0] = (uint64_t)page[0] | 7;
	memset((void *)VA, 0, 8192);
	memcpy((void *)(VA + 4096 - 576), xs[0], 832);
	catch_trap(v_clear, 0, 0);
	pt[1] = 0;
	invlpg(VA + 4096);
	t = catch_trap(v_xrstor, VA + 4096 - 576, 7);
	check_trap(t, PF, 0, "XRSTOR into an absent page");
	check_eq(t->cr2, VA + 4096, "CR2");
	t = catch_trap(v_xsave, VA + 4096 - 576, 7);
	check_trap(t, PF, ERR_W, "XSAVE into an absent page");
	pt[1] = (uint64_t)page[1] | 7;
	invlpg(VA + 4096);
}

void guest_test(void)
{
	availability();
	simd_exceptions();
	alignment();
	page_ends();
	avx();
	xsave();
}
