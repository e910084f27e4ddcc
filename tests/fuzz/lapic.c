// SPDX-License-Identifier: GPL-2.0-or-later
/* Fuzz the local APIC: page, MSRs, timer, IPIs, saved state: make t T=fuzz/lapic */
#include "device_harness.h"
#include "apic_env.h"

static void msr_access(struct fuzz_in *in, struct lapic *l)
{
	static const uint32_t msrs[] = {MSR_APIC_BASE, MSR_APIC_TSC_DEADLINE};
	uint8_t how = fuzz_u8(in), n = fuzz_u8(in);
	uint32_t msr = n < 0x80 ? MSR_X2APIC_FIRST + n : msrs[n & 1];
	uint64_t v = 0;
	int rc;

	if (how & 1) {
		rc = lapic_msr_read(l, msr, &v);
	} else {
		/* Small values, upper halves, and all of it. */
		v = fuzz_uint(in, how & 2 ? 8 : 3);
		if (how & 4)
			v |= (lapic_base(l) & PAGE_MASK);
		if (how & 8)
			v = (uint64_t)clock_mono_ns() * 2 + (v & 0xffffff);
		rc = lapic_msr_write(l, msr, v);
	}
	FUZZ_CHECK(rc == 0 || rc == -1);
}

static void page_access(struct fuzz_in *in, struct lapic *l)
{
	uint8_t how = fuzz_u8(in);
	uint32_t off = (uint32_t)fuzz_u8(in) << 4;
	unsigned size = how & 0xc0 ? 4 : 1u << (how >> 1 & 3);

	if (!(how & 0xc0))
		off |= how >> 3 & 7;
	if (how & 1)
		lapic_mmio_read(l, off, size);
	else
		lapic_mmio_write(l, off, fuzz_uint(in, size), size);
}

static void pass_time(struct fuzz_in *in, struct io_loop *loop)
{
	uint8_t b = in->left ? *in->p : 0;
	uint64_t ns = (uint64_t)(b & 15) << (b >> 4) * 2;
	uint64_t before = loop->fired;

	fuzz_time(in);
	/* No programming makes the host work faster than the least period. */
	FUZZ_CHECK(loop->fired - before <= ENV_CPUS * (4 + ns / LAPIC_MIN_PERIOD_NS));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	struct apic_env *e = apic_env_new();

	for (unsigned i = 0; i < ENV_CPUS; i++)
		lapic_mmio_write(e->lapic[i], 0xf0, 0x1ff, 4);
	for (unsigned step = 0; in.left && step < FUZZ_MAX_STEPS; step++) {
		uint8_t op = fuzz_u8(&in);
		struct lapic *l = e->lapic[op >> 6];
		int v;

		switch (op & 15) {
		case 0:
			fuzz_save_load(lapic_device(l));
			break;
		case 1:
			fuzz_load_damaged(&in, lapic_device(l));
			break;
		case 2:
		case 3:
			v = lapic_ack(l);
			FUZZ_CHECK(v == -1 || v >= 16);
			break;
		case 4:
			apic_bus_set_lint(e->bus, op >> 4 & 1, op & 32);
			break;
		case 5:
			lapic_set_cr8(l, op >> 4);
			break;
		case 6:
		case 7:
			pass_time(&in, &fake.loop);
			break;
		case 8:
		case 9:
		case 10:
			msr_access(&in, l);
			break;
		case 11:
			ioapic_set_pin(e->ioapic, op >> 4, op & 16);
			break;
		case 12:
			e->cpu[op >> 6].tsc_offset += fuzz_uint(&in, 4);
			lapic_tsc_changed(l);
			break;
		default:
			page_access(&in, l);
			break;
		}
		for (unsigned i = 0; i < ENV_CPUS; i++)
			FUZZ_CHECK(e->cpu[i].intr == lapic_has_intr(e->lapic[i]));
	}
	/* Whatever happened, a reset APIC delivers. */
	for (unsigned i = 0; i < ENV_CPUS; i++)
		lapic_device(e->lapic[i])->cls->reset(lapic_device(e->lapic[i]));
	lapic_mmio_write(e->lapic[1], 0xf0, 0x1ff, 4);
	lapic_mmio_write(e->lapic[0], 0x310, 1u << 24, 4);
	lapic_mmio_write(e->lapic[0], 0x300, 0x4045, 4);
	apic_bus_set_lint(e->bus, 0, false);
	FUZZ_CHECK(e->cpu[1].intr && lapic_ack(e->lapic[1]) == 0x45);
	apic_env_free(e);
	FUZZ_CHECK(list_empty(&fake.loop.timers));
	return 0;
}
