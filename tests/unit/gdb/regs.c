// SPDX-License-Identifier: GPL-2.0-or-later
/* Registers as GDB sees them: the list, values there and back, what is refused. Run: make t T=gdb/regs */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "gdb/regs.h"
#include "x86/state.h"

static struct gdb_regs r;
static struct x86_state *s;

static int setup_as(bool amd64)
{
	s = aligned_alloc(64, (sizeof(*s) + 63) / 64 * 64);
	if (!s || gdb_regs_init(&r, amd64, true))
		return -1;
	memset(s, 0, sizeof(*s));
	x86_state_reset(s, true);
	return 0;
}

static int setup(void **state)
{
	return setup_as(true);
}

static int setup32(void **state)
{
	return setup_as(false);
}

static int teardown(void **state)
{
	gdb_regs_free(&r);
	free(s);
	return 0;
}

static void go_long(void)
{
	s->cr0 |= CR0_PE | CR0_PG;
	s->cr4 |= CR4_PAE;
	s->efer |= EFER_LME | EFER_LMA;
}

/* The number of the register of that name, as its description gives it. */
static unsigned number(const char *name)
{
	char want[40];
	const char *at, *n;

	snprintf(want, sizeof(want), "<reg name=\"%s\" ", name);
	at = strstr(r.xml, want);
	assert_non_null(at);
	n = strstr(at, "regnum=\"");
	assert_non_null(n);
	return (unsigned)strtoul(n + 8, NULL, 10);
}

static uint64_t get(const char *name)
{
	uint8_t buf[GDB_REG_BYTES] = {0};

	gdb_reg_read(&r, number(name), s, 5, buf);
	return ld_le64(buf);
}

static int set(const char *name, uint64_t v)
{
	uint8_t buf[GDB_REG_BYTES] = {0};

	st_le64(buf, v);
	return gdb_reg_write(&r, number(name), s, 5, buf);
}

static void list_when_64_bit_expect_gdbs_order_and_sizes(void **state)
{
	/* Debugging with GDB, G.5.7: the core feature's order is the protocol's. */
	static const char *const first[] = {"rax", "rbx", "rcx", "rdx",	   "rsi", "rdi", "rbp",
					    "rsp", "r8",  "r9",	 "r10",	   "r11", "r12", "r13",
					    "r14", "r15", "rip", "eflags", "cs",  "ss",	 "ds",
					    "es",  "fs",  "gs",	 "st0"};

	for (unsigned i = 0; i < sizeof(first) / sizeof(first[0]); i++)
		assert_int_equal(number(first[i]), i);
	assert_int_equal(r.reg[number("rax")].bytes, 8);
	assert_int_equal(r.reg[number("eflags")].bytes, 4);
	assert_int_equal(r.reg[number("st7")].bytes, 10);
	assert_int_equal(r.reg[number("xmm15")].bytes, 16);
	assert_int_equal(r.reg[number("ymm15h")].bytes, 16);
	assert_int_equal(number("fop"), number("st7") + 8);
	assert_true(r.xml_len < r.xml_cap - 1);
	assert_string_equal(r.xml + r.xml_len - strlen("</target>\n"), "</target>\n");
}

static void list_when_32_bit_expect_i386(void **state)
{
	assert_int_equal(number("eax"), 0);
	assert_int_equal(number("ecx"), 1);
	assert_int_equal(number("eip"), 8);
	assert_int_equal(r.reg[number("eax")].bytes, 4);
	assert_null(strstr(r.xml, "\"r8\""));
	assert_null(strstr(r.xml, "xmm8"));
	assert_non_null(strstr(r.xml, "<architecture>i386</architecture>"));
}

static void words_when_written_expect_them_in_the_state(void **state)
{
	go_long();
	assert_int_equal(set("rbx", 0x1122334455667788), 1);
	assert_int_equal(s->gpr[3], 0x1122334455667788);
	assert_int_equal(get("rbx"), 0x1122334455667788);
	assert_int_equal(set("rbx", 0x1122334455667788), 0);
	assert_int_equal(set("r15", 7), 1);
	assert_int_equal(s->gpr[15], 7);
	assert_int_equal(set("rip", 0xffffffff81000000), 1);
	assert_int_equal(s->rip, 0xffffffff81000000);
	assert_int_equal(set("rip", 0x8000000000000000), -EINVAL);
	assert_int_equal(s->rip, 0xffffffff81000000);
	assert_int_equal(set("gs_base", 0xffff888000000000), 1);
	assert_int_equal(s->seg[SEG_GS].base, 0xffff888000000000);
	assert_int_equal(set("fs_base", 0x0800000000000000), -EINVAL);
	assert_int_equal(set("k_gs_base", 0xfff), 1);
	assert_int_equal(s->kernel_gs_base, 0xfff);
	assert_int_equal(get("cr8"), 5);
}

static void words_when_not_in_64_bit_mode_expect_the_low_half(void **state)
{
	assert_int_equal(set("rax", 0x1122334455667788), 1);
	assert_int_equal(s->gpr[0], 0x55667788);
}

static void flags_when_written_expect_fixed_bits_kept(void **state)
{
	assert_int_equal(set("eflags", 0xffffffff), 1);
	assert_int_equal(s->rflags & FLAG_FIXED, FLAG_FIXED);
	assert_int_equal(s->rflags & FLAG_VM, 0); /* another mode is not entered this way */
	assert_int_equal(s->rflags & 0x8028, 0);  /* reserved */
	assert_int_equal(set("eflags", 0), 1);
	assert_int_equal(s->rflags, FLAG_FIXED);
}

static void selectors_when_real_mode_expect_bases_else_refused(void **state)
{
	assert_int_equal(set("ds", 0x1234), 1);
	assert_int_equal(s->seg[SEG_DS].base, 0x12340);
	assert_int_equal(set("ds", 0x12345), -EINVAL);
	s->cr0 |= CR0_PE;
	assert_int_equal(set("ds", 0x10), -EINVAL);
	assert_int_equal(get("ds"), 0x1234);
}

static void control_registers_when_written_expect_what_may_be(void **state)
{
	go_long();
	assert_int_equal(set("cr2", 0x1000), 1);
	assert_int_equal(set("cr3", 0x5000), 1);
	assert_int_equal(s->cr3, 0x5000);
	assert_int_equal(set("cr3", 1ull << 60), -EINVAL);
	assert_int_equal(set("cr0", 0), -EINVAL);
	assert_int_equal(set("cr4", 0), -EINVAL);
	assert_int_equal(set("efer", 0), -EINVAL);
	/* PAE without 64-bit mode has its four pointers elsewhere. */
	s->efer = 0;
	assert_int_equal(set("cr3", 0x6000), -EINVAL);
}

static void x87_when_unused_expect_reset_values_and_tags(void **state)
{
	s->xsave[512] = 0; /* XSTATE_BV */
	assert_int_equal(get("fctrl"), 0x37f);
	assert_int_equal(get("ftag"), 0xffff);
	assert_int_equal(get("st0"), 0);
	/* Writing brings the part into use, with all else as after a reset. */
	memset(s->xsave + 32, 0xee, 128);
	assert_int_equal(set("fstat", 0x3800), 1); /* top 7 */
	assert_int_equal(s->xsave[512] & 1, 1);
	assert_int_equal(get("fctrl"), 0x37f);
	assert_int_equal(get("st3"), 0);
}

static void tags_when_registers_hold_values_expect_the_word_of_old(void **state)
{
	uint8_t *xs = s->xsave, one[10] = {0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x3f}, nan[10];

	xs[512] = 1;
	st_le16(xs + 2, 6u << 11);   /* top 6: st0 is physical 6 */
	xs[4] = 0xc1;		     /* 6, 7 and 0 are not empty */
	memcpy(xs + 32, one, 10);    /* st0: valid */
	memset(xs + 32 + 16, 0, 10); /* st1, physical 7: zero */
	memcpy(nan, one, 10);
	nan[8] = 0xff, nan[9] = 0x7f;
	memcpy(xs + 32 + 2 * 16, nan, 10); /* st2, physical 0: special */
	assert_int_equal(get("ftag"), 0x4ffe);
	assert_int_equal(set("ftag", 0xfffc), 1);
	assert_int_equal(xs[4], 1);
}

static void vectors_when_written_expect_halves_apart(void **state)
{
	s->xsave[512] = 0;
	assert_int_equal(get("mxcsr"), 0x1f80);
	assert_int_equal(set("xmm3", 0x1122334455667788), 1);
	assert_int_equal(ld_le64(s->xsave + 160 + 3 * 16), 0x1122334455667788);
	assert_int_equal(s->xsave[512], 2);
	assert_int_equal(get("ymm3h"), 0);
	assert_int_equal(set("ymm3h", 9), -EINVAL); /* the guest has not switched AVX on */
	s->xcr0 = 7;
	assert_int_equal(set("ymm3h", 9), 1);
	assert_int_equal(s->xsave[512], 6);
	assert_int_equal(get("xmm3"), 0x1122334455667788);
	assert_int_equal(get("ymm3h"), 9);
	assert_int_equal(set("mxcsr", 0xffff1f80), 1);
	assert_int_equal(get("mxcsr"), 0x1f80); /* reserved bits would fault */
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(list_when_64_bit_expect_gdbs_order_and_sizes),
		cmocka_unit_test_setup_teardown(list_when_32_bit_expect_i386, setup32, teardown),
		T(words_when_written_expect_them_in_the_state),
		T(words_when_not_in_64_bit_mode_expect_the_low_half),
		T(flags_when_written_expect_fixed_bits_kept),
		T(selectors_when_real_mode_expect_bases_else_refused),
		T(control_registers_when_written_expect_what_may_be),
		T(x87_when_unused_expect_reset_values_and_tags),
		T(tags_when_registers_hold_values_expect_the_word_of_old),
		T(vectors_when_written_expect_halves_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
