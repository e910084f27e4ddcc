// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * IN and OUT of one element: to user space, and on with the instruction when it has answered. String forms are the
 * emulator's.
 * Source: Linux, Documentation/virt/kvm/api.rst §5 (KVM_EXIT_IO).
 * Threads: the vCPU's own.
 */
#include <linux/module.h>

#include "lodge.h"

static void put_in(struct lodge_vcpu *vcpu, unsigned int size, u32 val)
{
	u64 *rax = &vcpu->regs[LODGE_RAX];

	if (size == 1)
		*rax = (*rax & ~0xffull) | (u8)val;
	else if (size == 2)
		*rax = (*rax & ~0xffffull) | (u16)val;
	else
		*rax = val;
}

static int finish(struct lodge_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	u32 val = 0;

	/* User space has set the guest going elsewhere. */
	if (vcpu->rip != vcpu->io_rip)
		return 1;
	if (run->io.direction == KVM_EXIT_IO_IN) {
		/* run is user space's to write: the size is looked at once. */
		unsigned int size = READ_ONCE(run->io.size);

		memcpy(&val, vcpu->pio, sizeof(val));
		put_in(vcpu, size, val);
	}
	return lodge_skip_to(vcpu, vcpu->next_rip);
}

int lodge_do_io(struct lodge_vcpu *vcpu, u16 port, unsigned int size, bool in, u64 next_rip)
{
	struct kvm_run *run = vcpu->run;
	u32 val = vcpu->regs[LODGE_RAX], got = 0;

	if (!in && lodge_device_port(vcpu, port, &val, size, true))
		return lodge_skip_to(vcpu, next_rip);
	if (in && lodge_device_port(vcpu, port, &got, size, false)) {
		put_in(vcpu, size, got);
		return lodge_skip_to(vcpu, next_rip);
	}
	vcpu->io_rip = vcpu->rip;
	vcpu->next_rip = next_rip;
	vcpu->complete = finish;
	run->io.direction = in ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT;
	run->io.size = size;
	run->io.port = port;
	run->io.count = 1;
	run->io.data_offset = PAGE_SIZE;
	if (!in)
		memcpy(vcpu->pio, &val, sizeof(val));
	return lodge_exit(vcpu, KVM_EXIT_IO);
}
EXPORT_SYMBOL_GPL(lodge_do_io);
