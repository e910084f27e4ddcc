// SPDX-License-Identifier: GPL-2.0-or-later
/* -d out_asm and -d stats: what the text says. Run: make t T=engine/trace */
#include "sys_env.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/soft/block.h"
#include "engine/soft/trace.h"

static char path[] = "/tmp/lodge-trace-XXXXXX";
static char text[65536];

/* What was traced since the last call. */
static const char *traced(void)
{
	static long from;
	FILE *f = fopen(path, "r");
	size_t n;

	assert_non_null(f);
	fseek(f, from, SEEK_SET);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = 0;
	from += (long)n;
	fclose(f);
	return text;
}

static struct soft_cpu *cpu(void)
{
	return (struct soft_cpu *)env_vcpu;
}

#define AT 0x5000

/* mov eax, ebx at 0x5000; jmp to itself; a crossing block in the second test. */
static struct soft_op ops[3];
static struct soft_block block;

static void make_block(uint64_t lin, uint64_t page0, uint64_t page1)
{
	memset(ops, 0, sizeof(ops));
	ops[0].rip = lin;
	ops[0].len = 3;
	ops[1].rip = lin + 3;
	ops[1].len = 2;
	ops[2].rip = lin + 5; /* the end: no bytes */
	block = (struct soft_block){.lin = lin,
				    .nops = 3,
				    .ops = ops,
				    .mode = SOFT_MODE_CS64,
				    .page = {page0, page1}};
}

static const uint8_t guest[] = {0x48, 0x89, 0xd8, 0xeb, 0xfb}; /* mov rax, rbx; jmp */
static const uint8_t host[] = {
	0x90,				    /* entry */
	0x48, 0x89, 0xd8,		    /* mov rax, rbx */
	0xeb, 0xfa,			    /* jmp back */
	0x65, 0xff, 0x04, 0x25, 0, 1, 0, 0, /* cold: inc dword gs:[0x100] */
	0x06,				    /* no instruction in 64-bit mode */
};

static void out_asm_when_block_traced_expect_guest_and_host_code(void **state)
{
	static const uint32_t off[] = {1, 4, 6};
	const char *t, *entry, *first, *second, *end, *cold;
	char addr[32];

	memcpy(R + AT, guest, sizeof(guest));
	make_block(AT, AT >> 12, SOFT_NO_PAGE);
	traced();
	soft_trace_out_asm(cpu(), &block, host, sizeof(host), off, 6);
	t = traced();
	entry = strstr(t, "  -- entry\n");
	first = strstr(t, "  -- 0000000000005000: mov rax, rbx\n");
	second = strstr(t, "  -- 0000000000005003: jmp 0x5000\n");
	end = strstr(t, "  -- 0000000000005005: (end of the block)\n");
	cold = strstr(t, "  -- out of line\n");
	if (!entry || !first || !second || !end || !cold)
		print_error("%s", t);
	assert_true(entry && first && second && end && cold);
	assert_true(entry < first && first < second && second < end && end < cold);
	assert_int_equal(strncmp(t, "OUT: ", 5), 0);
	/* The host's: address, bytes, text; its own jump target; unknown bytes. */
	snprintf(addr, sizeof(addr), "%016lx:  90 ", (unsigned long)(uintptr_t)host);
	assert_non_null(strstr(entry, addr));
	assert_non_null(strstr(first, "48 89 d8 "));
	snprintf(addr, sizeof(addr), "jmp 0x%lx\n", (unsigned long)(uintptr_t)host);
	assert_non_null(strstr(second + 10, addr));
	assert_non_null(strstr(cold, "65 ff 04 25 00 01 00 00 "));
	assert_non_null(strstr(cold, ".byte 0x06\n"));
}

static void out_asm_when_first_crosses_pages_expect_bytes_of_both(void **state)
{
	static const uint32_t off[] = {0, 0, 0};
	const char *t;

	memcpy(R + 0x5ffe, guest, 2);	  /* page 5 */
	memcpy(R + 0x9000, guest + 2, 3); /* page 9 is mapped behind it */
	make_block(0x7ffffe, 5, 9);
	block.nops = 1;
	traced();
	soft_trace_out_asm(cpu(), &block, host, 1, off, 1);
	t = traced();
	assert_non_null(strstr(t, "  -- 00000000007ffffe: mov rax, rbx\n"));
	assert_null(strstr(t, "entry"));
	assert_null(strstr(t, "out of line"));

	/* Odd operations: bytes gone, and no page at all. */
	R[0x5ffe] = 0x06;
	soft_trace_out_asm(cpu(), &block, host, 1, off, 1);
	assert_non_null(strstr(traced(), "(overwritten)"));
	block.page[1] = SOFT_NO_PAGE;
	soft_trace_out_asm(cpu(), &block, host, 0, off, 0);
	assert_non_null(strstr(traced(), "(overwritten)"));
}

/* The number behind `what`. */
static long counter(const char *t, const char *what)
{
	const char *at = strstr(t, what);

	if (!at)
		print_error("no '%s' in:\n%s", what, t);
	assert_non_null(at);
	return strtol(at + strlen(what), NULL, 10);
}

static void stats_when_printed_expect_what_was_counted(void **state)
{
	struct soft_cpu *c = cpu();
	const char *t;

	memset(&c->stats, 0, sizeof(c->stats));
	memset(&c->e->stats, 0, sizeof(c->e->stats));
	SOFT_COUNT(c, exit_indirect);
	SOFT_COUNT_ADD(c, jit_insns, 10);
	SOFT_COUNT_ADD(c, jit_ns, 2000);
	SOFT_COUNT_WALK(c, SOFT_READ);
	SOFT_COUNT_WALK(c, SOFT_WRITE);
	SOFT_COUNT_WALK(c, SOFT_WRITE);
	for (unsigned i = 0; i < 3; i++)
		SOFT_COUNT_WALK(c, SOFT_EXEC);
	SOFT_COUNT_ALL(c->e, blocks_killed);
	for (unsigned i = 1; i <= 30; i++) { /* the first ten fall off the list */
		for (unsigned n = 0; n < i + 100; n++)
			SOFT_COUNT_UNSUPPORTED(c, i);
	}
	SOFT_COUNT_UNSUPPORTED(c, X86_OP_CPUID); /* so does this */
	c->stats.vector[13] = 7;
	c->e->start_tsc = 0; /* no cycles to convert */
	traced();
	soft_stats_print(c->e);
	t = traced();
	assert_int_equal(counter(t, "indirect branch not found "), 1);
	assert_int_equal(counter(t, "page walks, read "), 1);
	assert_int_equal(counter(t, "page walks, write "), 2);
	assert_int_equal(counter(t, "page walks, execute "), 3);
	assert_int_equal(counter(t, "blocks killed "), 1);
	assert_int_equal(counter(t, "13 #GP protection "), 7);
	assert_int_equal(counter(t, "translation: "), 200);
	assert_null(strstr(t, "#PF"));

	const char *list = strstr(t, "instructions not translated, by count\n");
	unsigned lines = 0;

	assert_non_null(list);
	for (const char *at = strchr(list, '\n'); at && at[1] == ' '; at = strchr(at + 1, '\n'))
		lines++;
	assert_int_equal(lines, 20);
	assert_null(strstr(list, "cpuid"));
	assert_true(strncmp(strchr(list, '\n') + 3, x86_op_name(30), strlen(x86_op_name(30))) == 0);
}

static void stats_when_guest_runs_expect_its_events(void **state)
{
	struct soft_cpu *c = cpu();

	env_long(0);
	memset(&c->stats, 0, sizeof(c->stats));
	env_code(0x0f, 0x0b); /* UD2 */
	assert_int_equal(env_run(), 6);
	assert_int_equal(c->stats.exceptions, 1);
	assert_int_equal(c->stats.vector[6], 1);
	assert_int_equal(c->stats.halts, 1);
	assert_true(c->stats.blocks_decoded >= 2);
	assert_true(c->stats.insns_decoded >= c->stats.blocks_decoded);
	assert_true(c->stats.tlb_fill_exec >= 1);
	assert_true(c->stats.tlb_flush >= 1);
	assert_int_equal(c->stats.interrupts + c->stats.nmis + c->stats.soft_ints, 0);
}

static int setup(void **state)
{
	struct lodge_err err;
	int fd = mkstemp(path);

	if (fd < 0 || log_set_file(path, &err) || log_set_items("stats,out_asm", &err))
		return -1;
	close(fd);
	return env_setup(state);
}

static int teardown(void **state)
{
	unlink(path);
	return env_teardown(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(out_asm_when_block_traced_expect_guest_and_host_code),
		cmocka_unit_test(out_asm_when_first_crosses_pages_expect_bytes_of_both),
		cmocka_unit_test(stats_when_printed_expect_what_was_counted),
		cmocka_unit_test(stats_when_guest_runs_expect_its_events),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
