// SPDX-License-Identifier: GPL-2.0-or-later
/* Which engine runs a machine. Run: make t T=machine/engines */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "engine/engine.h"
#include "machine/engines.h"

static struct vm_config cfg;
static struct vm_engine_choice choice;
static struct lodge_err err;

static int choose(struct vm_engine_wish wish, const char *device)
{
	memset(&cfg, 0, sizeof(cfg));
	memset(&err, 0, sizeof(err));
	cfg.kvm.device = device;
	return vm_choose_engine(&cfg, &wish, &choice, &err);
}

static void auto_when_kvm_is_not_there_expect_software_and_why(void **state)
{
	assert_int_equal(choose((struct vm_engine_wish){.any = true}, "/nonexistent/kvm"), 0);
	assert_ptr_equal(cfg.engine, &engine_soft);
	assert_non_null(strstr(choice.line, "because there is no /nonexistent/kvm"));
	/* Nothing said is the same, and so is a list with both. */
	assert_int_equal(choose((struct vm_engine_wish){0}, "/nonexistent/kvm"), 0);
	assert_ptr_equal(cfg.engine, &engine_soft);
	assert_int_equal(choose((struct vm_engine_wish){.kvm = true, .soft = true}, "/dev/null"), 0);
	assert_ptr_equal(cfg.engine, &engine_soft);
	assert_null(strchr(choice.line, '\n'));
}

static void kvm_when_not_there_expect_reason_and_mend(void **state)
{
	assert_true(choose((struct vm_engine_wish){.kvm = true}, "/nonexistent/kvm") < 0);
	assert_non_null(strstr(err.msg, "-accel kvm: there is no /nonexistent/kvm"));
	assert_non_null(strstr(err.msg, "; "));
	assert_true(choose((struct vm_engine_wish){.kvm = true}, "/dev/null") < 0);
	assert_non_null(strstr(err.msg, "/dev/null is not KVM's device"));
}

static void soft_when_asked_for_expect_no_probe(void **state)
{
	assert_int_equal(choose((struct vm_engine_wish){.soft = true}, NULL), 0);
	assert_ptr_equal(cfg.engine, &engine_soft);
	assert_non_null(strstr(choice.line, "because you asked for it"));
}

static void properties_of_soft_when_given_expect_it(void **state)
{
	assert_int_equal(choose((struct vm_engine_wish){.any = true, .soft_properties = true}, NULL), 0);
	assert_ptr_equal(cfg.engine, &engine_soft);
	assert_non_null(strstr(choice.line, "properties"));
}

/* Whatever this host is, a choice is made and the two ways agree. */
static void host_when_probed_expect_auto_and_kvm_agree(void **state)
{
	struct kvm_probe probe;

	vm_probe_kvm(&probe);
	assert_int_equal(choose((struct vm_engine_wish){.any = true}, NULL), 0);
	assert_ptr_equal(cfg.engine, probe.verdict == KVM_GOOD ? &engine_kvm : &engine_soft);
	assert_int_equal(choose((struct vm_engine_wish){.kvm = true}, NULL) == 0, probe.verdict == KVM_GOOD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(auto_when_kvm_is_not_there_expect_software_and_why),
		cmocka_unit_test(kvm_when_not_there_expect_reason_and_mend),
		cmocka_unit_test(soft_when_asked_for_expect_no_probe),
		cmocka_unit_test(properties_of_soft_when_given_expect_it),
		cmocka_unit_test(host_when_probed_expect_auto_and_kvm_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
