/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which engine runs a machine: what `-accel` allowed, and what this host can do.
 * Threads: main, before the machine is made.
 */
#ifndef LODGE_MACHINE_ENGINES_H
#define LODGE_MACHINE_ENGINES_H

#include <stdbool.h>

#include "base/err.h"
#include "engine/probe.h"
#include "machine/vm.h"

/* All false is auto: KVM if it is good, else software. */
struct vm_engine_wish {
	bool kvm, soft, any;  /* which were named */
	bool soft_properties; /* some that only the software engine has */
};

struct vm_engine_choice {
	char line[400]; /* which, and why: one line for the person, without a full stop */
};

/* Sets cfg->engine. -ENOTSUP with reason and mend when what was asked for cannot be had. */
int vm_choose_engine(struct vm_config *cfg, const struct vm_engine_wish *wish,
		     struct vm_engine_choice *out, struct lodge_err *err) MUST_CHECK;

/* For `lodge doctor`. */
void vm_probe_kvm(struct kvm_probe *out);

#endif
