// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The machine on an engine made of C functions: wiring, pausing, reset, ends.
 * Run: make t T=machine/vm
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/props.h"
#include "fake_engine.h"
#include "machine/vm_int.h"

#define BIOS_BYTES 0x40000u

struct env {
	char dir[64], bios[96], out[96], serial[128];
	struct vm_config cfg;
	struct vm *vm;
};

static int setup(void **state)
{
	struct env *t = calloc(1, sizeof(*t));
	uint8_t *rom = calloc(1, BIOS_BYTES);
	int fd;

	strcpy(t->dir, "/tmp/lodge-vm-XXXXXX");
	if (!mkdtemp(t->dir))
		return -1;
	snprintf(t->bios, sizeof(t->bios), "%s/bios", t->dir);
	snprintf(t->out, sizeof(t->out), "%s/out", t->dir);
	snprintf(t->serial, sizeof(t->serial), "file:%s", t->out);
	memcpy(rom + BIOS_BYTES - 16, "reset vector 16B", 16);
	memcpy(rom + BIOS_BYTES - 0x20000, "segment E", 9);
	fd = open(t->bios, O_CREAT | O_WRONLY, 0600);
	if (write(fd, rom, BIOS_BYTES) != BIOS_BYTES)
		return -1;
	close(fd);
	free(rom);
	t->cfg = (struct vm_config){.engine = &fake_engine,
				    .ram_bytes = 64 << 20,
				    .cpus = 1,
				    .bios = t->bios,
				    .debug_exit = true,
				    .debug_exit_base = 0xf4,
				    .debug_exit_size = 4};
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct env *t = *state;

	vm_free(t->vm);
	unlink(t->bios);
	unlink(t->out);
	rmdir(t->dir);
	free(t);
	return 0;
}

static void start(struct env *t)
{
	struct lodge_err err = {""};

	t->vm = vm_new(&t->cfg, &err);
	if (!t->vm)
		print_error("%s\n", err.msg);
	assert_non_null(t->vm);
	assert_int_equal(vm_start(t->vm, &err), 0);
}

/* Serve requests until the end, at most 5 s; -1 when it did not come. */
static int wait_end(struct env *t, struct vm_end *end, int timeout_ms)
{
	struct pollfd p = {.fd = vm_event_fd(t->vm), .events = POLLIN};

	while (poll(&p, 1, timeout_ms) > 0) {
		if (vm_service(t->vm, end))
			return end->code;
	}
	return -1;
}

static void debug_exit_when_written_expect_its_code(void **state)
{
	struct env *t = *state;
	struct vm_end end;

	start(t);
	fake_out(0, 0xf4, 0x10, 4);
	assert_int_equal(wait_end(t, &end, 5000), 0x21);
	assert_string_equal(end.msg, "");
}

static void engine_error_when_reported_expect_its_sentence(void **state)
{
	struct env *t = *state;
	struct vm_end end;

	start(t);
	fake_exit(0, ENGINE_EXIT_ERROR);
	assert_int_equal(wait_end(t, &end, 5000), 1);
	assert_string_equal(end.msg, "the fake engine is out of fakes");
}

static void triple_fault_when_reboot_allowed_expect_power_on_state_again(void **state)
{
	struct env *t = *state;
	struct vm_end end;
	struct x86_state *s;

	start(t);
	s = &fake->cpu[0].state;
	assert_int_equal(s->rip, 0xfff0);
	s->rip = 0x1234;
	fake_exit(0, ENGINE_EXIT_SHUTDOWN);
	assert_int_equal(wait_end(t, &end, 300), -1);
	assert_int_equal(s->rip, 0xfff0);
	assert_int_equal(s->seg[SEG_CS].base, 0xffff0000);
	assert_int_equal(fake->cpu[0].changes, 2);
	fake_out(0, 0xf4, 0, 1); /* and it runs */
	assert_int_equal(wait_end(t, &end, 5000), 1);
}

static void triple_fault_when_no_reboot_expect_end_with_0(void **state)
{
	struct env *t = *state;
	struct vm_end end;

	t->cfg.no_reboot = true;
	start(t);
	fake_exit(0, ENGINE_EXIT_SHUTDOWN);
	assert_int_equal(wait_end(t, &end, 5000), 0);
	assert_non_null(strstr(end.msg, "triple fault"));
}

/* Every way a PC is told to reset. */
static void reset_when_asked_by_any_port_expect_reset(void **state)
{
	static const struct {
		uint16_t port;
		uint8_t before, val;
	} ways[] = {{0xcf9, 0x02, 0x06}, {0x64, 0xd0, 0xfe}, {0x92, 0x02, 0x03}};
	struct env *t = *state;
	struct vm_end end;

	start(t);
	for (unsigned i = 0; i < 3; i++) {
		fake->cpu[0].state.rip = 1;
		fake_out(0, ways[i].port, ways[i].before, 1);
		fake_out(0, ways[i].port, ways[i].val, 1);
		assert_int_equal(wait_end(t, &end, 300), -1);
		assert_int_equal(fake->cpu[0].changes, 2 + i);
		assert_int_equal(fake->cpu[0].state.rip, 0xfff0);
	}
}

/* As firmware does: map the PM block, then SLP_EN with SLP_TYP 0. */
static void power_off(void)
{
	fake_out(0, 0xcf8, 0x80000b40, 4); /* 01.3, register 0x40: PMBA */
	fake_out(0, 0xcfc, 0x601, 4);
	fake_out(0, 0xcf8, 0x80000b80, 4); /* PMREGMISC */
	fake_out(0, 0xcfc, 1, 1);
	fake_out(0, 0x604, 0x2000, 2);
}

static void power_off_when_written_expect_end_with_0(void **state)
{
	struct env *t = *state;
	struct vm_end end;

	start(t);
	power_off();
	assert_int_equal(wait_end(t, &end, 5000), 0);
}

static void power_off_when_no_shutdown_expect_vcpus_stopped_and_no_end(void **state)
{
	struct env *t = *state;
	struct vm_end end;
	unsigned runs;

	t->cfg.no_shutdown = true;
	start(t);
	power_off();
	assert_int_equal(wait_end(t, &end, 300), -1);
	runs = fake->cpu[0].runs;
	fake_kick(&fake->cpu[0]);
	usleep(50000);
	assert_int_equal(fake->cpu[0].runs, runs);
	vm_request_end(t->vm, 7, "enough");
	assert_int_equal(wait_end(t, &end, 5000), 7);
}

static long cpu_us(void)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	return (ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1000000 + ru.ru_utime.tv_usec +
	       ru.ru_stime.tv_usec;
}

/* Local APIC on, the 8259s cut off: a fresh 8259 lets everything through. */
static void only_ioapic(void)
{
	fake_store(0, 0xfee000f0, 0x1ff, 4);
	fake_store(0, 0xfee00350, 0x10000, 4);
}

static void halt_when_nothing_to_do_expect_no_cpu_used(void **state)
{
	struct env *t = *state;
	unsigned runs;
	long before;

	start(t);
	only_ioapic();
	fake_exit(0, ENGINE_EXIT_HALT);
	usleep(20000);
	runs = fake->cpu[0].runs;
	before = cpu_us();
	usleep(300000);
	assert_true(cpu_us() - before < 20000);
	assert_int_equal(fake->cpu[0].runs, runs);
	vm_cpu_signal(t->vm, 0, VCPU_SIGNAL_NMI, 0);
	for (int i = 0; i < 2000 && fake->cpu[0].runs == runs; i++)
		usleep(1000);
	assert_true(fake->cpu[0].runs > runs);
}

static void halt_when_signalled_at_once_a_thousand_times_expect_none_lost(void **state)
{
	struct env *t = *state;

	start(t);
	only_ioapic();
	for (int n = 0; n < 1000; n++) {
		unsigned runs;
		int i = 0;

		fake_exit(0, ENGINE_EXIT_HALT); /* from here on only a signal makes it run */
		runs = __atomic_load_n(&fake->cpu[0].runs, __ATOMIC_RELAXED);
		vm_cpu_signal(t->vm, 0, VCPU_SIGNAL_INTR_ON, 0);
		while (__atomic_load_n(&fake->cpu[0].runs, __ATOMIC_RELAXED) == runs && i++ < 20000)
			usleep(100);
		assert_true(i < 20000);
		vm_cpu_signal(t->vm, 0, VCPU_SIGNAL_INTR_OFF, 0);
	}
}

static void sipi_when_sent_through_the_icr_expect_it_at_the_other_cpu(void **state)
{
	struct env *t = *state;

	t->cfg.cpus = 2;
	start(t);
	assert_int_equal(fake->cpu[0].state.run_state, X86_RUNNING);
	assert_int_equal(fake->cpu[1].state.run_state, X86_WAIT_SIPI);
	fake_store(0, 0xfee000f0, 0x1ff, 4);
	fake_store(0, 0xfee00310, 1u << 24, 4);
	fake_store(0, 0xfee00300, 0x4500, 4); /* INIT */
	fake_store(0, 0xfee00300, 0x4608, 4); /* start-up at 0x8000 */
	assert_int_equal(fake->cpu[1].inits, 1);
	assert_int_equal(fake->cpu[1].sipis, 1);
	assert_int_equal(fake->cpu[1].sipi_vector, 8);
	assert_int_equal(fake->cpu[0].sipis, 0);
	/* Each sees its own local APIC at the same address. */
	assert_int_equal(fake_load(0, 0xfee00020, 4) >> 24, 0);
	assert_int_equal(fake_load(1, 0xfee00020, 4) >> 24, 1);
}

/* 8259s with vectors 0x20 and 0x28, LINT0 open. */
/* Only the first serial line is open: the timer ticks by itself. */
static void program_pics(void)
{
	static const uint8_t seq[][2] = {{0x20, 0x11}, {0xa0, 0x11}, {0x21, 0x20}, {0xa1, 0x28},
					 {0x21, 4},    {0xa1, 2},    {0x21, 1},	   {0xa1, 1},
					 {0x21, 0xef}, {0xa1, 0xff}};

	for (unsigned i = 0; i < sizeof(seq) / sizeof(seq[0]); i++)
		fake_out(0, seq[i][0], seq[i][1], 1);
	fake_store(0, 0xfee000f0, 0x1ff, 4);
	fake_store(0, 0xfee00350, 0x700, 4);
}

static void uart_irq_when_it_asks_expect_vector_4_through_the_8259(void **state)
{
	struct env *t = *state;

	t->cfg.serial[0] = "null";
	start(t);
	program_pics();
	assert_false(fake->cpu[0].intr);
	fake_out(0, 0x3f9, 2, 1); /* transmitter empty */
	fake_out(0, 0x3fc, 8, 1); /* OUT2 */
	assert_true(fake->cpu[0].intr);
	assert_int_equal(fake_ack(0), 0x24);
	fake_out(0, 0x20, 0x20, 1);
}

static void ioapic_when_pin_4_open_expect_uart_there_too(void **state)
{
	struct env *t = *state;

	t->cfg.serial[0] = "null";
	start(t);
	only_ioapic();
	fake_store(0, 0xfec00000, 0x10 + 2 * 4 + 1, 4);
	fake_store(0, 0xfec00010, 0, 4);
	fake_store(0, 0xfec00000, 0x10 + 2 * 4, 4);
	fake_store(0, 0xfec00010, 0x54, 4);
	fake_out(0, 0x3f9, 2, 1);
	fake_out(0, 0x3fc, 8, 1);
	assert_true(fake->cpu[0].intr);
	assert_int_equal(fake_ack(0), 0x54);
}

static void pit_when_it_fires_expect_pin_2_of_the_ioapic(void **state)
{
	struct env *t = *state;

	start(t);
	only_ioapic();
	fake_store(0, 0xfec00000, 0x10 + 2 * 2, 4);
	fake_store(0, 0xfec00010, 0x60, 4);
	fake_out(0, 0x43, 0x30, 1); /* one shot, 2 ms */
	fake_out(0, 0x40, 0x52, 1);
	fake_out(0, 0x40, 0x09, 1);
	fake_exit(0, ENGINE_EXIT_HALT); /* and the io thread wakes it */
	for (int i = 0; i < 3000 && !fake->cpu[0].intr; i++)
		usleep(1000);
	assert_true(fake->cpu[0].intr);
	assert_int_equal(fake_ack(0), 0x60);
}

static void serial_when_written_expect_file_after_the_end(void **state)
{
	struct env *t = *state;
	char buf[16] = "";
	int fd;

	t->cfg.serial[1] = t->serial;
	start(t);
	for (const char *p = "lodge"; *p; p++)
		fake_out(0, 0x2f8, (uint8_t)*p, 1);
	vm_free(t->vm);
	t->vm = NULL;
	fd = open(t->out, O_RDONLY);
	assert_int_equal(read(fd, buf, sizeof(buf) - 1), 5);
	assert_string_equal(buf, "lodge");
	close(fd);
}

static void a20_when_port_92_closes_it_expect_closed_until_reset(void **state)
{
	struct env *t = *state;
	struct vm_end end;

	start(t);
	assert_true(mem_a20(fake->cfg.mem));
	fake_out(0, 0x92, 0, 1);
	assert_false(mem_a20(fake->cfg.mem));
	fake_exit(0, ENGINE_EXIT_SHUTDOWN);
	assert_int_equal(wait_end(t, &end, 300), -1);
	assert_true(mem_a20(fake->cfg.mem));
}

static void bios_when_mapped_expect_it_at_both_places_and_read_only(void **state)
{
	struct env *t = *state;
	struct mem *mem;
	char buf[16];

	start(t);
	mem = fake->cfg.mem;
	assert_int_equal(mem_read(mem, 0xfffffff0, buf, 16), 0);
	assert_memory_equal(buf, "reset vector 16B", 16);
	assert_int_equal(mem_read(mem, 0xffff0, buf, 16), 0);
	assert_memory_equal(buf, "reset vector 16B", 16);
	assert_int_equal(mem_read(mem, 0xe0000, buf, 9), 0);
	assert_memory_equal(buf, "segment E", 9);
	assert_int_equal(mem_lookup(mem, 0xffff0).kind, MEM_ROM);
	assert_int_equal(mem_lookup(mem, 0x100000000 - BIOS_BYTES).kind, MEM_ROM);
	assert_int_equal(mem_lookup(mem, 0x100000000 - BIOS_BYTES - 0x1000).kind, MEM_MMIO);
	/* Shadowing: 0xf0000 as RAM, by PAM0. */
	fake_out(0, 0xcf8, 0x80000058, 4);
	fake_out(0, 0xcfd, 0x30, 1);
	assert_int_equal(mem_lookup(mem, 0xffff0).kind, MEM_RAM);
	assert_int_equal(mem_lookup(mem, 0xe0000).kind, MEM_ROM);
}

static void memory_when_5_gib_expect_hole_below_4_gib(void **state)
{
	struct env *t = *state;
	struct mem_range r;

	t->cfg.ram_bytes = 5ull << 30;
	start(t);
	r = mem_lookup(fake->cfg.mem, 0x100000);
	assert_int_equal(r.kind, MEM_RAM);
	assert_int_equal(r.gpa + r.len, 0xc0000000);
	assert_int_equal(mem_lookup(fake->cfg.mem, 0xc0000000).kind, MEM_MMIO);
	r = mem_lookup(fake->cfg.mem, 0x100000000);
	assert_int_equal(r.kind, MEM_RAM);
	assert_int_equal(r.gpa + r.len, 0x100000000 + (2ull << 30));
	assert_int_equal(r.ram_off, 3ull << 30);
	assert_int_equal(mem_lookup(fake->cfg.mem, 0xa0000).kind, MEM_MMIO);
}

static void new_when_bios_is_missing_or_odd_expect_sentence_and_nothing_left(void **state)
{
	struct env *t = *state;
	struct lodge_err err = {""};

	t->cfg.bios = "/nonexistent/bios";
	assert_null(vm_new(&t->cfg, &err));
	assert_non_null(strstr(err.msg, "/nonexistent/bios"));
	t->cfg.bios = t->bios;
	assert_int_equal(truncate(t->bios, 1000), 0);
	assert_null(vm_new(&t->cfg, &err));
	assert_non_null(strstr(err.msg, "4 KiB"));
	assert_int_equal(truncate(t->bios, 0), 0);
	assert_null(vm_new(&t->cfg, &err));
	assert_null(fake);
}

static void new_when_serial_is_wrong_expect_sentence(void **state)
{
	struct env *t = *state;
	struct lodge_err err = {""};

	t->cfg.serial[0] = t->serial;
	t->cfg.serial[1] = "file:/nonexistent/x";
	assert_null(vm_new(&t->cfg, &err));
	assert_non_null(strstr(err.msg, "/nonexistent/x"));
}

static void new_when_debug_exit_covers_a_device_expect_sentence(void **state)
{
	static const struct {
		uint16_t base, size;
		const char *owner;
	} bad[] = {{0x3f8, 1, "COM1"},
		   {0x2f0, 16, "COM2"},
		   {0xcfc, 4, "PCI"},
		   {0x64, 1, "keyboard"}};
	struct env *t = *state;
	struct lodge_err err;

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		t->cfg.debug_exit_base = bad[i].base;
		t->cfg.debug_exit_size = bad[i].size;
		err.msg[0] = '\0';
		assert_null(vm_new(&t->cfg, &err));
		assert_non_null(strstr(err.msg, bad[i].owner));
	}
	t->cfg.debug_exit_base = 0x501; /* as in QEMU */
	t->cfg.debug_exit_size = 2;
	start(t);
}

static void free_when_never_started_expect_no_harm(void **state)
{
	struct env *t = *state;
	struct lodge_err err = {""};

	vm_free(vm_new(&t->cfg, &err));
}

/* vCPUs run only after a client came. */
static void wait_on_when_no_client_expect_guest_held(void **state)
{
	struct env *t = *state;
	struct pollfd none;

	snprintf(t->serial, sizeof(t->serial), "unix:%s,server=on", t->out);
	t->cfg.serial[0] = t->serial;
	start(t);
	poll(&none, 0, 100);
	assert_int_equal(fake->cpu[0].runs, 0);
	assert_int_equal(atomic_load(&t->vm->pause), VM_PAUSE_HOLD);
}

/* ---- Display adapters ---- */

#define PCI_AT(slot, off) (0x80000000u | (slot) << 11 | (off))

static void pci_out(unsigned slot, unsigned off, uint32_t val)
{
	fake_out(0, 0xcf8, PCI_AT(slot, off), 4);
	fake_out(0, 0xcfc, val, 4);
}

static void add_device(struct env *t, const char *text)
{
	t->cfg.devices.p[t->cfg.devices.n] = props_parse("-device", text, "driver", NULL);
	assert_non_null(t->cfg.devices.p[t->cfg.devices.n]);
	t->cfg.devices.n++;
}

static void free_devices(struct env *t)
{
	vm_free(t->vm);
	t->vm = NULL;
	while (t->cfg.devices.n)
		props_free(t->cfg.devices.p[--t->cfg.devices.n]);
}

static void expect_ram(struct env *t, gpa_t gpa, uint64_t len, uint64_t off)
{
	struct mem_range r = mem_lookup(t->vm->mem, gpa);

	assert_int_equal(r.kind, MEM_RAM);
	assert_true(gpa - r.gpa + len <= r.len);
	assert_int_equal(r.ram_off + (gpa - r.gpa), off);
}

static void frame_buffer_when_bar_moves_expect_memory_where_nothing_else_is(void **state)
{
	struct env *t = *state;
	const uint64_t ram = 64 << 20;

	add_device(t, "VGA,vgamem_mb=1");
	add_device(t, "bochs-display,vgamem=4M");
	start(t);
	expect_ram(t, 0, 0xa0000, 0);
	pci_out(2, 4, 2);
	pci_out(3, 4, 2);
	/* Right behind the RAM, where OVMF may have it, and elsewhere. */
	pci_out(3, 0x10, 0x80000000);
	expect_ram(t, 0x80000000, 4 << 20, ram + (1 << 20));
	pci_out(3, 0x10, 0xf0000000);
	assert_int_equal(mem_lookup(t->vm->mem, 0x80000000).kind, MEM_MMIO);
	expect_ram(t, 0xf0000000, 4 << 20, ram + (1 << 20));
	/* One over the other, and gone again. */
	pci_out(2, 0x10, 0xf0100000);
	expect_ram(t, 0xf0100000, 1 << 20, ram);
	expect_ram(t, 0xf0200000, 2 << 20, ram + (3 << 20));
	pci_out(2, 0x10, 0x100000);
	expect_ram(t, 0xf0000000, 4 << 20, ram + (1 << 20));
	/* Not over RAM, APICs or firmware; the RAM is as it was. */
	expect_ram(t, 0x100000, 1 << 20, 0x100000);
	pci_out(2, 0x10, 0xfee00000);
	assert_int_equal(mem_lookup(t->vm->mem, 0xfee00000).kind, MEM_MMIO);
	pci_out(2, 0x10, 0xffe00000);
	pci_out(2, 0x10, 0xfff00000);
	assert_int_equal(mem_lookup(t->vm->mem, 0xfffff000).kind, MEM_ROM);
	assert_memory_equal(mem_ptr(t->vm->mem, 0xfffffff0, 16, false), "reset vector 16B", 16);
	/* A reset takes the windows away. */
	assert_int_equal(board_reset(t->vm->board, NULL), 0);
	assert_int_equal(mem_lookup(t->vm->mem, 0xf0000000).kind, MEM_MMIO);
	free_devices(t);
}

static void vga_window_when_mode_is_linear_expect_memory_at_a0000(void **state)
{
	static const uint16_t to_13h[] = {0x3c4,  0x0f02, 0x3c4,  0x0e04, 0x3ce,
					  0x4005, 0x3ce,  0x0506, 0x3ce,  0xff08};
	struct env *t = *state;

	add_device(t, "VGA");
	start(t);
	assert_int_equal(mem_lookup(t->vm->mem, 0xa0000).kind, MEM_MMIO);
	fake_out(0, 0x3c2, 0x63, 1);
	for (unsigned i = 0; i < 10; i += 2)
		fake_out(0, to_13h[i], to_13h[i + 1], 2);
	expect_ram(t, 0xa0000, 0x10000, 64 << 20);
	assert_int_equal(mem_lookup(t->vm->mem, 0xb0000).kind, MEM_MMIO);
	fake_out(0, 0x3c4, 0x0602, 2);
	assert_int_equal(mem_lookup(t->vm->mem, 0xa0000).kind, MEM_MMIO);
	fake_store(0, 0xa0005, 0x77, 1); /* plane 1 is let through */
	assert_int_equal(mem_base(t->vm->mem)[(64 << 20) + 5], 0x77);
	free_devices(t);
}

static void new_when_display_is_wrong_expect_sentence(void **state)
{
	static const struct {
		const char *text, *word;
	} cases[] = {
		{"VGA,vgamem_mb=0", "vgamem_mb="},	     {"VGA,vgamem_mb=1024", "512"},
		{"bochs-display,vgamem=1M", "4 MiB"},	     {"bochs-display,vgamem=1G", "256"},
		{"bochs-display,xres=10", "xres="},	     {"bochs-display,yres=5000", "yres"},
		{"bochs-display,vgamem_mb=16", "vgamem_mb"}, {"VGA,edid=perhaps", "edid"},
		{"virtio-gpu-pci,max_outputs=2", "max_outputs"},
		{"virtio-gpu-pci,max_hostmem=4k", "1 MiB"},
		{"virtio-gpu,max_hostmem=5G", "4096"},
		{"virtio-vga,vgamem_mb=0", "vgamem_mb"},
		{"virtio-vga,disable-modern=on", "legacy"},
		{"virtio-gpu-pci,blob=on", "blob"},
		{"virtio-gpu-pci,vgamem_mb=8", "vgamem_mb"},
	};
	struct env *t = *state;
	struct lodge_err err;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		add_device(t, cases[i].text);
		assert_null(vm_new(&t->cfg, &err));
		assert_non_null(strstr(err.msg, cases[i].word));
		free_devices(t);
	}
	add_device(t, "VGA");
	add_device(t, "VGA");
	assert_null(vm_new(&t->cfg, &err));
	assert_non_null(strstr(err.msg, "a VGA already"));
	free_devices(t);
}

static void screen_when_no_adapter_expect_sentence(void **state)
{
	struct env *t = *state;
	struct lodge_err err;

	start(t);
	assert_int_equal(vm_screen_changed(t->vm).last, 0);
	assert_int_equal(vm_screenshot(t->vm, "/nonexistent/a.png", &err), -ENODEV);
	assert_non_null(strstr(err.msg, "-vga std"));
	free_devices(t);
	add_device(t, "bochs-display");
	start(t);
	assert_int_equal(vm_screenshot(t->vm, "/nonexistent/a.png", &err), -ENOENT);
	assert_int_equal(vm_screen_text(t->vm, NULL, &err), -ENODATA);
	assert_int_equal(vm_screen_changed(t->vm).last, UINT32_MAX);
	assert_int_equal(vm_screen_changed(t->vm).last, 0);
	free_devices(t);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(debug_exit_when_written_expect_its_code),
		T(engine_error_when_reported_expect_its_sentence),
		T(triple_fault_when_reboot_allowed_expect_power_on_state_again),
		T(triple_fault_when_no_reboot_expect_end_with_0),
		T(reset_when_asked_by_any_port_expect_reset),
		T(power_off_when_written_expect_end_with_0),
		T(power_off_when_no_shutdown_expect_vcpus_stopped_and_no_end),
		T(halt_when_nothing_to_do_expect_no_cpu_used),
		T(halt_when_signalled_at_once_a_thousand_times_expect_none_lost),
		T(sipi_when_sent_through_the_icr_expect_it_at_the_other_cpu),
		T(uart_irq_when_it_asks_expect_vector_4_through_the_8259),
		T(ioapic_when_pin_4_open_expect_uart_there_too),
		T(pit_when_it_fires_expect_pin_2_of_the_ioapic),
		T(serial_when_written_expect_file_after_the_end),
		T(a20_when_port_92_closes_it_expect_closed_until_reset),
		T(bios_when_mapped_expect_it_at_both_places_and_read_only),
		T(memory_when_5_gib_expect_hole_below_4_gib),
		T(new_when_bios_is_missing_or_odd_expect_sentence_and_nothing_left),
		T(new_when_serial_is_wrong_expect_sentence),
		T(new_when_debug_exit_covers_a_device_expect_sentence),
		T(free_when_never_started_expect_no_harm),
		T(wait_on_when_no_client_expect_guest_held),
		T(frame_buffer_when_bar_moves_expect_memory_where_nothing_else_is),
		T(vga_window_when_mode_is_linear_expect_memory_at_a0000),
		T(new_when_display_is_wrong_expect_sentence),
		T(screen_when_no_adapter_expect_sentence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
