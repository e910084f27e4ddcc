// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Writes that do not stop the vCPU: bells, by ioeventfd.
 * Source: Linux, Documentation/virt/kvm/api.rst (KVM_IOEVENTFD, KVM_CAP_IOEVENTFD_ANY_LENGTH).
 * Threads: with the VM lock held.
 */
#include <errno.h>
#include <sys/ioctl.h>

#include "engine/kvm/kvm_int.h"

/* What drivers write, where the kernel must be told a size. */
#define USUAL_BYTES 2u

void kvm_shortcuts_find(struct kvm_engine *e)
{
	e->has_bells = ioctl(e->vm, KVM_CHECK_EXTENSION, KVM_CAP_IOEVENTFD) > 0;
	e->has_any_bells = ioctl(e->vm, KVM_CHECK_EXTENSION, KVM_CAP_IOEVENTFD_ANY_LENGTH) > 0;
}

static bool bell(struct engine *engine, const struct engine_bell *b, bool on)
{
	struct kvm_engine *e = (struct kvm_engine *)engine;
	struct kvm_ioeventfd k = {
		.datamatch = b->value,
		.addr = b->addr,
		.len = b->size || e->has_any_bells ? b->size : USUAL_BYTES,
		.fd = b->fd,
		.flags = (b->pio ? KVM_IOEVENTFD_FLAG_PIO : 0) |
			 (b->matches ? KVM_IOEVENTFD_FLAG_DATAMATCH : 0) |
			 (on ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN),
	};

	return e->has_bells && ioctl(e->vm, KVM_IOEVENTFD, &k) == 0;
}

const struct engine_shortcut_ops kvm_shortcut_ops = {
	.bell = bell,
};
