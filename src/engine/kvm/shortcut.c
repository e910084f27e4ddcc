// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Writes that do not stop the vCPU: bells, by ioeventfd, and late writes, in a ring of the VM that the kernel fills
 * and we empty. A ring that is full stops the vCPU, as any write does.
 * Source: Linux, Documentation/virt/kvm/api.rst (KVM_IOEVENTFD, KVM_CAP_IOEVENTFD_ANY_LENGTH,
 * KVM_REGISTER_COALESCED_MMIO, KVM_CAP_COALESCED_PIO).
 * Threads: with the VM lock held; the kernel's side of the ring is any vCPU's.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/range.h"
#include "engine/kvm/kvm_int.h"

#define RING_ENTRIES \
	((PAGE_BYTES - sizeof(struct kvm_coalesced_mmio_ring)) / sizeof(struct kvm_coalesced_mmio))

/* What drivers write, where the kernel must be told a size. */
#define USUAL_BYTES 2u

void kvm_shortcuts_find(struct kvm_engine *e)
{
	int r = ioctl(e->vm, KVM_CHECK_EXTENSION, KVM_CAP_COALESCED_MMIO);
	uint64_t page = r > 0 ? (unsigned)r : 0;

	/* Pages behind each vCPU's structure, which all show the same ring. */
	if (page && (page + 1) * PAGE_BYTES <= e->run_bytes)
		e->ring_off = page * PAGE_BYTES;
	e->has_late_ports = ioctl(e->vm, KVM_CHECK_EXTENSION, KVM_CAP_COALESCED_PIO) > 0;
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

static bool late(struct engine *engine, bool pio, uint64_t addr, uint32_t len, bool on)
{
	struct kvm_engine *e = (struct kvm_engine *)engine;
	struct kvm_coalesced_mmio_zone z = {.addr = addr, .size = len, .pio = pio};

	if (!e->ring_off || (pio && !e->has_late_ports))
		return false;
	return ioctl(e->vm, on ? KVM_REGISTER_COALESCED_MMIO : KVM_UNREGISTER_COALESCED_MMIO, &z) ==
	       0;
}

static void drain(struct engine *engine,
		  void (*fn)(void *opaque, bool pio, uint64_t addr, uint64_t val, unsigned size),
		  void *opaque)
{
	struct kvm_engine *e = (struct kvm_engine *)engine;
	struct kvm_coalesced_mmio_ring *ring;

	if (!e->ring_off)
		return;
	ring = (struct kvm_coalesced_mmio_ring *)((uint8_t *)e->cpus[0]->run + e->ring_off);
	/* The kernel writes an entry, then `last`; it uses an entry again once `first` is past it. One round is enough. */
	for (unsigned n = 0; n < RING_ENTRIES; n++) {
		uint32_t at = ring->first % (uint32_t)RING_ENTRIES;
		struct kvm_coalesced_mmio w;
		uint64_t val = 0;

		if (ring->first == __atomic_load_n(&ring->last, __ATOMIC_ACQUIRE))
			return;
		w = ring->coalesced_mmio[at];
		__atomic_store_n(&ring->first, (at + 1) % (uint32_t)RING_ENTRIES, __ATOMIC_RELEASE);
		e->late_writes++;
		if (w.len > sizeof(w.data) || (w.len & (w.len - 1)) || !w.len)
			continue;
		memcpy(&val, w.data, w.len);
		fn(opaque, w.pio, w.phys_addr, val, w.len);
	}
}

const struct engine_shortcut_ops kvm_shortcut_ops = {
	.bell = bell,
	.late = late,
	.drain = drain,
};
