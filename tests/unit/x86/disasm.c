// SPDX-License-Identifier: GPL-2.0-or-later
/* Text of decoded instructions. Run: make t T=x86/disasm */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "unit/x86/hex.h"
#include "x86/disasm.h"

static const struct {
	enum x86_mode mode;
	const char *hex, *text;
} cases[] = {
	{X86_MODE_64, "48 89 e5", "mov rbp, rsp"},
	{X86_MODE_64, "88 f4", "mov ah, dh"},
	{X86_MODE_64, "40 88 f4", "mov spl, sil"},
	{X86_MODE_64, "66 45 01 c8", "add r8w, r9w"},
	{X86_MODE_64, "65 48 8b 04 25 28 00 00 00", "mov rax, qword ptr gs:[0x28]"},
	{X86_MODE_64, "48 8b 05 f8 ff ff ff", "mov rax, qword ptr [rip-0x8]"},
	{X86_MODE_64, "48 8d 44 8b 10", "lea rax, [rbx+rcx*4+0x10]"},
	{X86_MODE_64, "f0 0f b1 0f", "lock cmpxchg dword ptr [rdi], ecx"},
	{X86_MODE_64, "f3 48 a5", "rep movsq"},
	{X86_MODE_64, "f2 ae", "repne scasb"},
	{X86_MODE_64, "48 83 c0 ff", "add rax, 0xffffffffffffffff"},
	{X86_MODE_64, "c1 e0 04", "shl eax, 0x4"},
	{X86_MODE_64, "d3 e0", "shl eax, cl"},
	{X86_MODE_64, "0f 95 c0", "setne al"},
	{X86_MODE_64, "eb fe", "jmp 0x1000"},
	{X86_MODE_64, "0f 84 00 01 00 00", "je 0x1106"},
	{X86_MODE_64, "48 98", "cdqe"},
	{X86_MODE_64, "48 cf", "iretq"},
	{X86_MODE_64, "d8 c1", "fadd st0, st1"},
	{X86_MODE_64, "db 2c 24", "fld tbyte ptr [rsp]"},
	{X86_MODE_64, "c4 e2 75 90 04 93", "vpgatherdd ymm0, dword ptr [rbx+ymm2*4], ymm1"},
	{X86_MODE_64, "c4 e2 f5 92 04 93", "vgatherdpd ymm0, qword ptr [rbx+xmm2*4], ymm1"},
	{X86_MODE_64, "c5 f5 fe 10", "vpaddd ymm2, ymm1, ymmword ptr [rax]"},
	{X86_MODE_64, "0f 22 d8", "mov cr3, rax"},
	{X86_MODE_32, "ea 78 56 34 12 08 00", "jmp 0x8:0x12345678"},
	{X86_MODE_32, "a1 00 00 00 f0", "mov eax, dword ptr [0xf0000000]"},
	{X86_MODE_32, "c8 10 00 01", "enter 0x10, 0x1"},
	{X86_MODE_16, "8b 42 fe", "mov ax, word ptr [bp+si-0x2]"},
	{X86_MODE_16, "e3 05", "jcxz 0x1007"},
	{X86_MODE_16, "e9 fd ef", "jmp 0x0"},
};

static void disasm_when_known_bytes_expect_text(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct x86_insn in;
		char buf[X86_DISASM_MAX];

		if (decode_hex(&in, cases[i].mode, cases[i].hex) <= 0)
			fail_msg("%s does not decode", cases[i].hex);
		assert_int_equal(x86_disasm(buf, sizeof(buf), &in, 0x1000), strlen(cases[i].text));
		assert_string_equal(buf, cases[i].text);
	}
}

static void disasm_when_buffer_short_expect_cut_and_terminated(void **state)
{
	struct x86_insn in;
	char buf[8] = "xxxxxxx";

	(void)state;
	decode_hex(&in, X86_MODE_64, "65 48 8b 04 25 28 00 00 00");
	assert_int_equal(x86_disasm(buf, 6, &in, 0), 5);
	assert_string_equal(buf, "mov r");
	assert_int_equal(buf[6], 'x');
	assert_int_equal(x86_disasm(buf, 0, &in, 0), 0);
	assert_int_equal(buf[0], 'm');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(disasm_when_known_bytes_expect_text),
		cmocka_unit_test(disasm_when_buffer_short_expect_cut_and_terminated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
