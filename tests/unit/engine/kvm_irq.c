// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a kernel's interrupt controllers, descriptors and clock answer: KVM's interface itself, without our engine, on
 * the host's /dev/kvm. Skipped where there is none. Run: make t T=engine/kvm_irq
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/kvm.h>
#include <cmocka.h>

#include "base/bytes.h"

static int dev = -1, vm = -1;

static int setup(void **state)
{
	dev = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	vm = dev < 0 ? -1 : ioctl(dev, KVM_CREATE_VM, 0);
	return 0;
}

static int teardown(void **state)
{
	close(vm);
	close(dev);
	return 0;
}

#define NEED_KVM()                                      \
	do {                                            \
		if (vm < 0) {                           \
			print_message("no /dev/kvm\n"); \
			skip();                         \
		}                                       \
	} while (0)

static void expect_error(int r, int err)
{
	assert_int_equal(r, -1);
	assert_int_equal(errno, err);
}

static void make_chips(void)
{
	struct kvm_pit_config pit = {0};

	assert_int_equal(ioctl(vm, KVM_CREATE_IRQCHIP, 0), 0);
	assert_int_equal(ioctl(vm, KVM_CREATE_PIT2, &pit), 0);
}

static int new_vcpu(unsigned id)
{
	int fd = ioctl(vm, KVM_CREATE_VCPU, (unsigned long)id);

	assert_true(fd >= 0);
	return fd;
}

static struct kvm_irqchip chip(unsigned id)
{
	struct kvm_irqchip k = {.chip_id = id};

	assert_int_equal(ioctl(vm, KVM_GET_IRQCHIP, &k), 0);
	return k;
}

/* ---- Making them ------------------------------------------------------------------------------- */

static void irqchip_when_made_twice_or_late_expect_refused(void **state)
{
	struct kvm_enable_cap split = {.cap = KVM_CAP_SPLIT_IRQCHIP, .args[0] = 24};
	struct kvm_pit_config pit = {0};
	struct kvm_pit_state2 s;
	struct kvm_irqchip k = {.chip_id = 0};
	int cpu;

	NEED_KVM();
	expect_error(ioctl(vm, KVM_GET_PIT2, &s), ENXIO);
	expect_error(ioctl(vm, KVM_GET_IRQCHIP, &k), ENXIO);
	make_chips();
	expect_error(ioctl(vm, KVM_CREATE_IRQCHIP, 0), EEXIST);
	expect_error(ioctl(vm, KVM_CREATE_PIT2, &pit), EEXIST);
	expect_error(ioctl(vm, KVM_ENABLE_CAP, &split), EEXIST);
	k.chip_id = 3;
	expect_error(ioctl(vm, KVM_GET_IRQCHIP, &k), EINVAL);
	teardown(state);
	setup(state);
	cpu = new_vcpu(0);
	expect_error(ioctl(vm, KVM_CREATE_IRQCHIP, 0), EINVAL);
	close(cpu);
}

static int line_status(unsigned irq, bool level)
{
	struct kvm_irq_level l = {.irq = irq, .level = level};

	assert_int_equal(ioctl(vm, KVM_IRQ_LINE_STATUS, &l), 0);
	return l.status;
}

static void line_when_driven_expect_its_status(void **state)
{
	struct kvm_irq_level l = {.irq = 9, .level = 1};

	NEED_KVM();
	make_chips();
	/* The 8259 takes it, the I/O APIC has it masked. */
	assert_int_equal(line_status(4, true), 1);
	assert_int_equal(line_status(4, false), 2);
	assert_int_equal(line_status(4, true), 0);
	assert_int_equal(chip(KVM_IRQCHIP_PIC_MASTER).chip.pic.irr, 0x10);
	assert_int_equal(chip(KVM_IRQCHIP_IOAPIC).chip.ioapic.irr, 0x10);
	/* The slave's go by line 2. */
	assert_int_equal(ioctl(vm, KVM_IRQ_LINE, &l), 0);
	assert_int_equal(chip(KVM_IRQCHIP_PIC_SLAVE).chip.pic.irr, 2);
	assert_int_equal(chip(KVM_IRQCHIP_PIC_MASTER).chip.pic.irr, 0x14);
}

/* ---- Routes -------------------------------------------------------------------------------------- */

static int route(struct kvm_irq_routing_entry e)
{
	struct {
		uint32_t n, flags; /* struct kvm_irq_routing */
		struct kvm_irq_routing_entry e;
	} t = {.n = 1, .e = e};

	return ioctl(vm, KVM_SET_GSI_ROUTING, &t);
}

static void route_when_there_is_no_such_pin_expect_refused(void **state)
{
	struct kvm_irq_routing_entry e = {.gsi = 5, .type = KVM_IRQ_ROUTING_IRQCHIP};
	struct kvm_irq_level l = {.irq = 5, .level = 1};

	NEED_KVM();
	make_chips();
	e.u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
	e.u.irqchip.pin = 24;
	expect_error(route(e), EINVAL);
	e.u.irqchip.irqchip = 3;
	e.u.irqchip.pin = 0;
	expect_error(route(e), EINVAL);
	e.u.irqchip.irqchip = KVM_IRQCHIP_PIC_SLAVE;
	e.u.irqchip.pin = 3;
	e.gsi = 1u << 20;
	expect_error(route(e), EINVAL);
	e.gsi = 5;
	assert_int_equal(route(e), 0);
	assert_int_equal(ioctl(vm, KVM_IRQ_LINE, &l), 0);
	assert_int_equal(chip(KVM_IRQCHIP_PIC_SLAVE).chip.pic.irr, 8);
	assert_int_equal(chip(KVM_IRQCHIP_IOAPIC).chip.ioapic.irr, 0);
}

static void route_when_a_second_leads_to_the_same_expect_refused(void **state)
{
	struct {
		uint32_t n, flags; /* struct kvm_irq_routing */
		struct kvm_irq_routing_entry e[2];
	} t = {.n = 2};

	NEED_KVM();
	make_chips();
	for (unsigned i = 0; i < 2; i++) {
		t.e[i].gsi = 5;
		t.e[i].type = KVM_IRQ_ROUTING_IRQCHIP;
		t.e[i].u.irqchip.pin = 3 + i;
	}
	expect_error(ioctl(vm, KVM_SET_GSI_ROUTING, &t), EINVAL);
	t.e[1].u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
	assert_int_equal(ioctl(vm, KVM_SET_GSI_ROUTING, &t), 0);
	t.e[1].type = KVM_IRQ_ROUTING_MSI;
	expect_error(ioctl(vm, KVM_SET_GSI_ROUTING, &t), EINVAL);
}

static void msi_when_sent_expect_it_in_irr(void **state)
{
	struct kvm_msi m = {.address_lo = 0xfee00000 | 1 << 12, .data = 0x51};
	struct kvm_lapic_state s;
	int cpu;

	NEED_KVM();
	make_chips();
	cpu = new_vcpu(1);
	/* Its APIC is off yet. */
	assert_true(ioctl(vm, KVM_SIGNAL_MSI, &m) <= 0);
	assert_int_equal(ioctl(cpu, KVM_GET_LAPIC, &s), 0);
	assert_int_equal(ld_le32((uint8_t *)s.regs + 0x250), 0);
	st_le32((uint8_t *)s.regs + 0xf0, 0x1ff);
	assert_int_equal(ioctl(cpu, KVM_SET_LAPIC, &s), 0);
	assert_true(ioctl(vm, KVM_SIGNAL_MSI, &m) > 0);
	assert_int_equal(ioctl(cpu, KVM_GET_LAPIC, &s), 0);
	assert_int_equal(ld_le32((uint8_t *)s.regs + 0x220), 1u << (0x51 & 31));
	/* By a logical name, and to somebody else. */
	st_le32((uint8_t *)s.regs + 0xd0, 8u << 24);
	st_le32((uint8_t *)s.regs + 0xe0, ~0u);
	assert_int_equal(ioctl(cpu, KVM_SET_LAPIC, &s), 0);
	m = (struct kvm_msi){.address_lo = 0xfee00000 | 8 << 12 | 4, .data = 0x4152};
	assert_true(ioctl(vm, KVM_SIGNAL_MSI, &m) > 0);
	m.address_lo = 0xfee00000 | 4 << 12 | 4;
	assert_true(ioctl(vm, KVM_SIGNAL_MSI, &m) <= 0);
	assert_int_equal(ioctl(cpu, KVM_GET_LAPIC, &s), 0);
	assert_int_equal(ld_le32((uint8_t *)s.regs + 0x220), 3u << (0x51 & 31));
	close(cpu);
}

/* ---- Descriptors ----------------------------------------------------------------------------------- */

static void irqfd_when_written_expect_its_source(void **state)
{
	int fd = eventfd(0, EFD_NONBLOCK), other = eventfd(1, EFD_NONBLOCK);
	struct kvm_irqfd k = {.fd = (uint32_t)fd, .gsi = 6};
	uint64_t one = 1;

	NEED_KVM();
	make_chips();
	assert_int_equal(ioctl(vm, KVM_IRQFD, &k), 0);
	expect_error(ioctl(vm, KVM_IRQFD, &k), EBUSY);
	assert_int_equal(write(fd, &one, 8), 8);
	for (unsigned i = 0; i < 1000 && !chip(0).chip.pic.irr; i++)
		usleep(1000);
	assert_int_equal(chip(0).chip.pic.irr, 0x40);
	/* It was taken out of the descriptor. */
	assert_int_equal(read(fd, &one, 8), -1);
	k.flags = KVM_IRQFD_FLAG_DEASSIGN;
	assert_int_equal(ioctl(vm, KVM_IRQFD, &k), 0);
	/* One that was written before. */
	k = (struct kvm_irqfd){.fd = (uint32_t)other, .gsi = 7};
	assert_int_equal(ioctl(vm, KVM_IRQFD, &k), 0);
	for (unsigned i = 0; i < 1000 && chip(0).chip.pic.irr == 0x40; i++)
		usleep(1000);
	assert_int_equal(chip(0).chip.pic.irr, 0xc0);
	k.fd = 9999;
	expect_error(ioctl(vm, KVM_IRQFD, &k), EBADF);
	k.fd = (uint32_t)vm;
	expect_error(ioctl(vm, KVM_IRQFD, &k), EINVAL);
	/* Closed while it is assigned, and the VM with one. */
	close(other);
	k = (struct kvm_irqfd){.fd = (uint32_t)fd, .gsi = 6};
	assert_int_equal(ioctl(vm, KVM_IRQFD, &k), 0);
}

static void ioeventfd_when_wrong_expect_refused(void **state)
{
	int fd = eventfd(0, EFD_NONBLOCK);
	struct kvm_ioeventfd k = {.addr = 0x1000, .len = 3, .fd = fd};

	NEED_KVM();
	expect_error(ioctl(vm, KVM_IOEVENTFD, &k), EINVAL);
	k.len = 4;
	k.flags = 0x80;
	expect_error(ioctl(vm, KVM_IOEVENTFD, &k), EINVAL);
	k.flags = KVM_IOEVENTFD_FLAG_DEASSIGN;
	expect_error(ioctl(vm, KVM_IOEVENTFD, &k), ENOENT);
	k.flags = KVM_IOEVENTFD_FLAG_DATAMATCH;
	k.datamatch = 1;
	assert_int_equal(ioctl(vm, KVM_IOEVENTFD, &k), 0);
	expect_error(ioctl(vm, KVM_IOEVENTFD, &k), EEXIST);
	k.datamatch = 2;
	assert_int_equal(ioctl(vm, KVM_IOEVENTFD, &k), 0);
	k.flags = 0;
	expect_error(ioctl(vm, KVM_IOEVENTFD, &k), EEXIST);
	k.addr = ~0ull - 1;
	expect_error(ioctl(vm, KVM_IOEVENTFD, &k), EINVAL);
	close(fd);
}

/* ---- vCPUs ------------------------------------------------------------------------------------------- */

static uint32_t mp_state(int cpu)
{
	struct kvm_mp_state mp;

	assert_int_equal(ioctl(cpu, KVM_GET_MP_STATE, &mp), 0);
	return mp.mp_state;
}

static void vcpus_when_made_expect_who_waits(void **state)
{
	struct kvm_mp_state mp = {.mp_state = KVM_MP_STATE_HALTED};
	struct kvm_interrupt irq = {.irq = 256};
	struct kvm_lapic_state s;
	int first, second;

	NEED_KVM();
	make_chips();
	first = new_vcpu(0);
	second = new_vcpu(1);
	assert_int_equal(mp_state(first), KVM_MP_STATE_RUNNABLE);
	assert_int_equal(mp_state(second), KVM_MP_STATE_UNINITIALIZED);
	assert_int_equal(ioctl(first, KVM_SET_MP_STATE, &mp), 0);
	assert_int_equal(mp_state(first), KVM_MP_STATE_HALTED);
	mp.mp_state = 77;
	expect_error(ioctl(first, KVM_SET_MP_STATE, &mp), EINVAL);
	expect_error(ioctl(first, KVM_INTERRUPT, &irq), EINVAL);
	irq.irq = 0x20;
	expect_error(ioctl(first, KVM_INTERRUPT, &irq), ENXIO);
	assert_int_equal(ioctl(second, KVM_GET_LAPIC, &s), 0);
	assert_int_equal(ld_le32((uint8_t *)s.regs + 0x20), 1u << 24);
	assert_int_equal(ld_le32((uint8_t *)s.regs + 0x30), 0x50014);
	assert_int_equal(ld_le32((uint8_t *)s.regs + 0xf0), 0xff);
	assert_int_equal(ld_le32((uint8_t *)s.regs + 0x320), 0x10000);
	assert_int_equal(ld_le32((uint8_t *)s.regs + 0x350), 0x10000);
	assert_int_equal(ioctl(first, KVM_GET_LAPIC, &s), 0);
	assert_int_equal(ld_le32((uint8_t *)s.regs + 0x350), 0x700);
	close(first);
	close(second);
}

static int msr(int cpu, unsigned long cmd, uint32_t index, uint64_t *val)
{
	struct {
		uint32_t n, flags; /* struct kvm_msrs */
		struct kvm_msr_entry e;
	} m = {.n = 1, .e = {.index = index, .data = *val}};
	int r = ioctl(cpu, cmd, &m);

	*val = m.e.data;
	return r;
}

static void x2apic_when_on_expect_its_name(void **state)
{
	uint64_t base = 0xfee00c00, ldr = 0;
	struct {
		uint32_t n, flags; /* struct kvm_cpuid2 */
		struct kvm_cpuid_entry2 e;
	} cpuid = {.n = 1, .e = {.function = 1, .ecx = 1u << 21, .edx = 1u << 9}};
	struct kvm_lapic_state s;
	int cpu;

	NEED_KVM();
	make_chips();
	cpu = new_vcpu(0x13);
	/* Its processor must have it. */
	assert_int_equal(msr(cpu, KVM_SET_MSRS, 0x1b, &base), 0);
	assert_int_equal(ioctl(cpu, KVM_SET_CPUID2, &cpuid), 0);
	assert_int_equal(msr(cpu, KVM_SET_MSRS, 0x1b, &base), 1);
	assert_int_equal(msr(cpu, KVM_GET_MSRS, 0x80d, &ldr), 1);
	assert_int_equal(ldr, 1u << 16 | 1u << 3);
	assert_int_equal(ioctl(cpu, KVM_GET_LAPIC, &s), 0);
	assert_int_equal(ld_le32((uint8_t *)s.regs + 0x20), 0x13u << 24);
	/* No APIC at all cannot be x2APIC. */
	base = 0xfee00400;
	assert_int_equal(msr(cpu, KVM_SET_MSRS, 0x1b, &base), 0);
	close(cpu);
}

/* ---- Time ------------------------------------------------------------------------------------------------ */

static void clock_when_set_expect_it_goes_on_from_there(void **state)
{
	struct kvm_clock_data d = {.clock = 5000000000000ull};
	uint64_t first;
	int cpu;

	NEED_KVM();
	assert_int_equal(ioctl(vm, KVM_SET_CLOCK, &d), 0);
	assert_int_equal(ioctl(vm, KVM_GET_CLOCK, &d), 0);
	first = d.clock;
	assert_true(first >= 5000000000000ull && first < 5001000000000ull);
	usleep(20000);
	assert_int_equal(ioctl(vm, KVM_GET_CLOCK, &d), 0);
	assert_true(d.clock > first + 10000000 && d.clock < first + 2000000000);
	d.flags = 0x8000;
	expect_error(ioctl(vm, KVM_SET_CLOCK, &d), EINVAL);
	/* Who has no such clock cannot be told that it stood. */
	cpu = new_vcpu(0);
	expect_error(ioctl(cpu, KVM_KVMCLOCK_CTRL, 0), EINVAL);
	close(cpu);
}

static void timer_when_set_expect_ticks_at_the_8259(void **state)
{
	struct kvm_reinject_control r = {.pit_reinject = 0};
	struct kvm_pit_state2 s;

	NEED_KVM();
	make_chips();
	assert_int_equal(ioctl(vm, KVM_REINJECT_CONTROL, &r), 0);
	assert_int_equal(ioctl(vm, KVM_GET_PIT2, &s), 0);
	assert_int_equal(chip(0).chip.pic.irr & 1, 0);
	/* QEMU divides by it. */
	for (unsigned n = 0; n < 3; n++)
		assert_int_equal(s.channels[n].count, 0x10000);
	s.channels[0].mode = 2;
	s.channels[0].count = 11932;
	s.channels[0].rw_mode = 3;
	assert_int_equal(ioctl(vm, KVM_SET_PIT2, &s), 0);
	for (unsigned i = 0; i < 2000 && !chip(0).chip.pic.irr; i++)
		usleep(1000);
	assert_int_equal(chip(0).chip.pic.irr, 1);
	assert_int_equal(ioctl(vm, KVM_GET_PIT2, &s), 0);
	assert_int_equal(s.channels[0].count, 11932);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(irqchip_when_made_twice_or_late_expect_refused),
		T(line_when_driven_expect_its_status),
		T(route_when_there_is_no_such_pin_expect_refused),
		T(route_when_a_second_leads_to_the_same_expect_refused),
		T(msi_when_sent_expect_it_in_irr),
		T(irqfd_when_written_expect_its_source),
		T(ioeventfd_when_wrong_expect_refused),
		T(vcpus_when_made_expect_who_waits),
		T(x2apic_when_on_expect_its_name),
		T(clock_when_set_expect_it_goes_on_from_there),
		T(timer_when_set_expect_ticks_at_the_8259),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
