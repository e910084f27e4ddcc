// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The board: wire() is the schematic. ISA interrupt n goes to input n of the 8259 pair and to pin n
 * of the I/O APIC, but for the timer's, which sits on pin 2 as the MADT says.
 *
 * Source: see machine/board_pc.h. Threads: with the VM lock held, or before threads start.
 */
#include "machine/board_pc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/range.h"
#include "machine/board_int.h"
#include "machine/drive.h"

static const struct {
	uint16_t port;
	uint8_t irq;
} com[VM_SERIALS] = {{0x3f8, 4}, {0x2f8, 3}, {0x3e8, 4}, {0x2e8, 3}};

/* ---- Wires ------------------------------------------------------------------------------------
 */

static void set_isa_irq(void *opaque, unsigned n, bool level)
{
	struct board *b = opaque;

	if (b->loading) {
		b->load_set |= (uint16_t)(1u << n);
		b->load_level &= (uint16_t) ~(1u << n);
		b->load_level |= (uint16_t)((unsigned)level << n);
		return;
	}
	i8259_set_irq(b->pic, n, level);
	ioapic_set_pin(b->ioapic, n == 0 ? 2 : n, level);
	if (b->chips_remote)
		b->vm->ops->irqchip->line(b->vm->engine, n, level);
}

/* A pin that only the I/O APIC has; 2 is that of ISA's interrupt 0. */
static void set_ioapic_pin(void *opaque, unsigned n, bool level)
{
	struct board *b = opaque;

	ioapic_set_pin(b->ioapic, n, level);
	if (b->chips_remote)
		b->vm->ops->irqchip->line(b->vm->engine, n == 2 ? 0 : n, level);
}

void board_hold_lines(struct board *b)
{
	b->loading = true;
	b->load_level = b->load_set = 0;
}

static struct irq_line isa_irq(struct board *b, unsigned n)
{
	return (struct irq_line){set_isa_irq, b, n};
}

/* Two UARTs may share an interrupt: the wire is the OR of both. */
static void set_uart_irq(void *opaque, unsigned n, bool level)
{
	struct board *b = opaque;

	b->uart_irq &= ~(1u << n);
	b->uart_irq |= (unsigned)level << n;
	set_isa_irq(b, com[n].irq, (b->uart_irq & (5u << (n & 1))) != 0);
}

static void set_nmi(struct board *b)
{
	if (!b->loading)
		apic_bus_set_lint(b->apics, 1, b->nmi_line && !b->nmi_masked);
}

void board_press_nmi(struct board *b)
{
	apic_bus_set_lint(b->apics, 1, false);
	apic_bus_set_lint(b->apics, 1, true);
	set_nmi(b);
}

void board_release_lines(struct board *b)
{
	b->loading = false;
	for (unsigned n = 0; n < 16; n++) {
		if (b->load_set >> n & 1)
			set_isa_irq(b, n, b->load_level >> n & 1);
	}
	set_nmi(b);
}

static void nmi_line(void *opaque, unsigned n, bool level)
{
	struct board *b = opaque;

	(void)n;
	b->nmi_line = level;
	set_nmi(b);
}

static void nmi_mask(void *opaque, unsigned n, bool level)
{
	struct board *b = opaque;

	(void)n;
	b->nmi_masked = level;
	set_nmi(b);
}

static void set_a20(void *opaque, unsigned n, bool level)
{
	struct board *b = opaque;

	(void)n;
	mem_set_a20(b->vm->mem, level);
}

static void reset_line(void *opaque, unsigned n, bool level)
{
	struct board *b = opaque;

	(void)n;
	if (level)
		vm_request_reset(b->vm);
}

static void reset_port(void *opaque, bool hard)
{
	struct board *b = opaque;

	(void)hard;
	vm_request_reset(b->vm);
}

static void power_off(void *opaque)
{
	struct board *b = opaque;

	vm_request_poweroff(b->vm);
}

static void debug_exit(void *opaque, int code)
{
	struct board *b = opaque;

	vm_request_end(b->vm, code, NULL);
}

/* ---- What local APICs ask of the machine -------------------------------------------------------
 */

static void cpu_intr(void *opaque, unsigned cpu, bool level)
{
	struct board *b = opaque;

	vm_cpu_signal(b->vm, cpu, level ? VCPU_SIGNAL_INTR_ON : VCPU_SIGNAL_INTR_OFF, 0);
}

static void cpu_nmi(void *opaque, unsigned cpu)
{
	struct board *b = opaque;

	vm_cpu_signal(b->vm, cpu, VCPU_SIGNAL_NMI, 0);
}

static void cpu_init(void *opaque, unsigned cpu)
{
	struct board *b = opaque;

	vm_cpu_signal(b->vm, cpu, VCPU_SIGNAL_INIT, 0);
}

static void cpu_sipi(void *opaque, unsigned cpu, uint8_t vector)
{
	struct board *b = opaque;

	vm_cpu_signal(b->vm, cpu, VCPU_SIGNAL_SIPI, vector);
}

static uint64_t guest_tsc(void *opaque, unsigned cpu)
{
	struct board *b = opaque;
	struct vm *vm = b->vm;
	const struct x86_state *s = vm->ops->state(vm->cpus[cpu].vcpu);

	/* The one member read while the vCPU may run: a word that only WRMSR changes. */
	return vm_host_tsc(vm) + __atomic_load_n(&s->tsc_offset, __ATOMIC_RELAXED);
}

static uint64_t tsc_to_mono_ns(void *opaque, unsigned cpu, uint64_t tsc)
{
	struct board *b = opaque;
	uint64_t now = clock_vm_ns(), delta = tsc - guest_tsc(opaque, cpu);
	uint64_t hz = b->vm->cpuid.tsc_hz;

	if ((int64_t)delta <= 0 || !hz)
		return now;
	/* 2^62 cycles are a lifetime; no more, so that nothing here overflows. */
	return now +
	       mul_div_u64(min_u64(delta, 1ull << 62), NS_PER_SEC, max_u64(hz, NS_PER_SEC / 4));
}

static int extint_ack(void *opaque)
{
	struct board *b = opaque;

	return i8259_ack(b->pic);
}

/* ---- FERR# and port 0xf0 -----------------------------------------------------------------------
 */

void board_ferr(struct board *b, bool level)
{
	set_isa_irq(b, 13, level);
}

/* Any write to port 0xf0 takes the x87's interrupt back (PIIX3 data sheet §2.5.7). */
static void f0_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
	(void)off;
	(void)val;
	(void)size;
	board_ferr(opaque, false);
}

static const struct bus_ops f0_ops = {.write = f0_write, .min_size = 1, .max_size = 1};

/* ---- The schematic ----------------------------------------------------------------------------
 */

/* Into the reset order, if mapping it went well. */
static int plug(struct board *b, struct device *dev, int mapped)
{
	list_add_tail(&b->devices, &dev->link);
	return mapped;
}

static int wire_cpus(struct board *b)
{
	const struct x86_cpuid *id = &b->vm->cpuid;
	const struct lapic_host host = {
		.opaque = b,
		.intr = cpu_intr,
		.nmi = cpu_nmi,
		.init = cpu_init,
		.sipi = cpu_sipi,
		.guest_tsc = guest_tsc,
		.tsc_to_mono_ns = tsc_to_mono_ns,
		.extint_ack = extint_ack,
	};

	b->apics = apic_bus_new(b->vm->cfg.cpus, &host);
	b->lapics = calloc(b->vm->cfg.cpus, sizeof(struct lapic *));
	if (!b->apics || !b->lapics)
		return -ENOMEM;
	board_wire_irqchip(b);
	board_wire_shortcuts(b->vm);
	for (unsigned i = 0; i < b->vm->cfg.cpus; i++) {
		const struct lapic_config cfg = {
			.cpu = i,
			.apic_id = i,
			.bsp = i == 0,
			.x2apic = id->has[X86_FEAT_X2APIC],
			.tsc_deadline = id->has[X86_FEAT_TSC_DEADLINE],
			.phys_bits = id->phys_bits,
			.remote = b->apics_remote,
		};

		b->lapics[i] = lapic_new(b->apics, b->vm->loop, &cfg);
		if (!b->lapics[i])
			return -ENOMEM;
		plug(b, lapic_device(b->lapics[i]), 0);
	}
	return 0;
}

static int wire_pci(struct board *b, struct lodge_err *err)
{
	struct bus *bus = b->vm->bus;
	const struct i440fx_host host = {.opaque = b, .pam = board_pam};
	struct piix3_config isa = {.reset = reset_port, .opaque = b};
	const struct piix4_pm_config pm = {.sci = isa_irq(b, PIIX4_SCI_IRQ),
					   .power_off = power_off,
					   .opaque = b};

	const struct piix3_ide_config ide = {.irq = {isa_irq(b, 14), isa_irq(b, 15)},
					     .mem = b->vm->mem};

	for (unsigned n = 0; n < ARRAY_SIZE(isa.isa_irq); n++)
		isa.isa_irq[n] = isa_irq(b, n);
	b->pci = pci_bus_new(bus);
	if (!b->pci || !bus_map_pio(bus, PCI_CFG1_PORT, PCI_CFG1_LEN, &pci_cfg1_ops, b->pci, "pci"))
		return -ENOMEM;
	plug(b, pci_bus_device(b->pci), 0);
	board_wire_msi(b);

	b->host_bridge = i440fx_new(b->pci, &host, err); /* 00:00.0 */
	if (!b->host_bridge)
		return -EINVAL;
	plug(b, i440fx_device(b->host_bridge), 0);
	b->isa_bridge = piix3_new(b->pci, &isa, err); /* 00:01.0 */
	if (!b->isa_bridge)
		return -EINVAL;
	plug(b, piix3_device(b->isa_bridge), 0);
	b->ide = piix3_ide_new(b->pci, &ide, err); /* 00:01.1 */
	if (!b->ide)
		return -EINVAL;
	plug(b, piix3_ide_device(b->ide), 0);
	b->pm = piix4_pm_new(b->pci, b->vm->loop, &pm, err); /* 00:01.3 */
	if (!b->pm)
		return -EINVAL;
	plug(b, piix4_pm_device(b->pm), 0);
	return board_wire_hotplug(b);
}

static int wire_serial(struct board *b)
{
	for (unsigned i = 0; i < VM_SERIALS; i++) {
		if (!b->vm->serial[i])
			continue;
		b->uart[i] = uart16550_new(b->vm->loop, (struct irq_line){set_uart_irq, b, i},
					   b->vm->serial[i]);
		if (!b->uart[i] || plug(b, uart16550_device(b->uart[i]),
					uart16550_map(b->uart[i], b->vm->bus, com[i].port)))
			return -ENOMEM;
	}
	return 0;
}

static int64_t clock_offset_s(const struct vm_config *cfg)
{
	time_t now = time(NULL);
	struct tm tm;

	return cfg->rtc_localtime && localtime_r(&now, &tm) ? tm.tm_gmtoff : 0;
}

static int wire_hpet(struct board *b)
{
	struct hpet_config cfg = {.routes = 1u << 2, .legacy = {board_chip_hpet, b, 0}};

	cfg.gsi[0] = isa_irq(b, 0);
	cfg.gsi[8] = isa_irq(b, 8);
	for (unsigned n = 1; n < HPET_GSIS; n++) {
		if (n != 8)
			cfg.gsi[n] = (struct irq_line){set_ioapic_pin, b, n};
	}
	b->hpet = hpet_new(b->vm->loop, &cfg);
	if (!b->hpet || !bus_map_mmio(b->vm->bus, HPET_DEFAULT_BASE, HPET_MMIO_LEN, &hpet_mmio_ops,
				      b->hpet, "hpet"))
		return -ENOMEM;
	return plug(b, hpet_device(b->hpet), 0);
}

/*
 * Ports of the board that isa-debug-exit must not cover; not the debug console's, which only lend
 * themselves to it.
 */
static const struct {
	uint16_t first, last;
	const char *owner;
} taken_ports[] = {
	{0x00, 0x0f, "a DMA controller"},
	{0x20, 0x21, "an interrupt controller"},
	{0x40, 0x43, "the timer"},
	{0x60, 0x64, "the keyboard controller"},
	{0x70, 0x73, "the clock"},
	{0x80, 0x8f, "the DMA page registers"},
	{0x92, 0x92, "the A20 gate"},
	{0xa0, 0xa1, "an interrupt controller"},
	{0xb2, 0xb3, "power management"},
	{0xc0, 0xdf, "a DMA controller"},
	{0xf0, 0xf0, "the x87 error latch"},
	{0x170, 0x177, "the second IDE channel"},
	{0x1f0, 0x1f7, "the first IDE channel"},
	{0x2e8, 0x2ef, "COM4"},
	{0x2f8, 0x2ff, "COM2"},
	{0x376, 0x376, "the second IDE channel"},
	{0x3e8, 0x3ef, "COM3"},
	{0x3f0, 0x3f5, "the floppy controller"},
	{0x3f6, 0x3f6, "the first IDE channel"},
	{0x3f7, 0x3f7, "the floppy controller"},
	{0x3f8, 0x3ff, "COM1"},
	{0x4d0, 0x4d1, "an interrupt controller"},
	{0x510, 0x51b, "fw_cfg"},
	{0x600, 0x63f, "power management"},
	{0xcf8, 0xcff, "PCI configuration"},
	{0xae00, 0xae0b, "PCI hotplug"},
};

static int check_ports(uint16_t base, uint16_t size, struct lodge_err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(taken_ports); i++) {
		if (base <= taken_ports[i].last && base + size > taken_ports[i].first)
			return err_set(err, -EBUSY,
				       "isa-debug-exit: port 0x%x is taken by %s; choose another, "
				       "as iobase=0xf4",
				       (unsigned)max_u64(base, taken_ports[i].first),
				       taken_ports[i].owner);
	}
	return 0;
}

static int wire_debug(struct board *b, struct lodge_err *err)
{
	const struct vm_config *cfg = &b->vm->cfg;
	struct bus *bus = b->vm->bus;

	b->debugcon = debugcon_new(b->vm->debugcon);
	if (!b->debugcon ||
	    plug(b, debugcon_device(b->debugcon), debugcon_map(b->debugcon, bus, 0x402)) ||
	    debugcon_map(b->debugcon, bus, 0xe9))
		return -ENOMEM;
	if (!cfg->debug_exit)
		return 0;
	if (check_ports(cfg->debug_exit_base, cfg->debug_exit_size, err))
		return -EBUSY;
	b->debug_exit = isa_debug_exit_new(debug_exit, b);
	if (!b->debug_exit)
		return -ENOMEM;
	if (plug(b, isa_debug_exit_device(b->debug_exit),
		 isa_debug_exit_map(b->debug_exit, bus, cfg->debug_exit_base,
				    cfg->debug_exit_size)))
		return err_set(err, -EINVAL, "isa-debug-exit does not fit at port 0x%x",
			       cfg->debug_exit_base);
	return 0;
}

/* Every device of the board, with its ports and wires, in reset order. */
static int wire(struct board *b, struct lodge_err *err)
{
	struct bus *bus = b->vm->bus;
	struct io_loop *loop = b->vm->loop;
	int r;

	/* Interrupt controllers: local APICs, I/O APIC, the 8259 pair on LINT0. */
	r = wire_cpus(b);
	if (r)
		return r;
	b->ioapic = ioapic_new(b->apics, (uint8_t)b->vm->cfg.cpus);
	if (!b->ioapic || plug(b, ioapic_device(b->ioapic), 0) ||
	    !bus_map_mmio(bus, IOAPIC_DEFAULT_BASE, IOAPIC_MMIO_LEN, &ioapic_mmio_ops, b->ioapic,
			  "ioapic"))
		return -ENOMEM;
	b->pic = i8259_new((struct irq_line){apic_bus_set_lint, b->apics, 0});
	if (!b->pic || plug(b, i8259_device(b->pic), i8259_map(b->pic, bus)))
		return -ENOMEM;

	/* 00:00.0 440FX, 00:01.0 PIIX3, 00:01.1 its IDE, 00:01.3 PIIX4 power management. */
	r = wire_pci(b, err);
	if (r)
		return r;

	/* Clocks: PIT and RTC reach IRQ 0 and 8 through the HPET's legacy switch. */
	r = wire_hpet(b);
	if (r)
		return r;
	b->pit = i8254_new(loop, (struct irq_line){hpet_set_legacy_input, b->hpet, 0});
	if (!b->pit || plug(b, i8254_device(b->pit), i8254_map(b->pit, bus, 0x40)))
		return -ENOMEM;
	board_rest_chips(b);
	const struct mc146818_config rtc = {
		.loop = loop,
		.irq = {hpet_set_legacy_input, b->hpet, 8},
		.nmi_mask = {nmi_mask, b, 0},
		.offset_s = clock_offset_s(&b->vm->cfg),
	};
	b->rtc = mc146818_new(&rtc);
	if (!b->rtc || plug(b, mc146818_device(b->rtc), mc146818_map(b->rtc, bus, 0x70)))
		return -ENOMEM;
	mc146818_set_memory(b->rtc, b->ram_low, b->ram_high);
	mc146818_set_cpus(b->rtc, b->vm->cfg.cpus);

	/* Keyboard controller, system control ports, DMA, floppies, the x87's error latch. */
	const struct i8042_config kbc = {
		.irq1 = isa_irq(b, 1),
		.irq12 = isa_irq(b, 12),
		.a20 = {set_a20, b, 0},
		.reset = {reset_line, b, 0},
	};
	b->kbc = i8042_new(&kbc);
	if (!b->kbc || plug(b, i8042_device(b->kbc), i8042_map(b->kbc, bus)))
		return -ENOMEM;
	plug(b, ps2_keyboard_device(i8042_keyboard(b->kbc)), 0);
	plug(b, ps2_mouse_device(i8042_mouse(b->kbc)), 0);
	if (board_wire_input(b))
		return -ENOMEM;
	b->port61 = port61_new(b->pit, (struct irq_line){nmi_line, b, 0});
	if (!b->port61 || plug(b, port61_device(b->port61), port61_map(b->port61, bus, 0x61)))
		return -ENOMEM;
	b->port92 =
		port92_new((struct irq_line){set_a20, b, 0}, (struct irq_line){reset_line, b, 0});
	if (!b->port92 || plug(b, port92_device(b->port92), port92_map(b->port92, bus, 0x92)))
		return -ENOMEM;
	b->dma = i8237_new(b->vm->mem);
	if (!b->dma || plug(b, i8237_device(b->dma), i8237_map(b->dma, bus)))
		return -ENOMEM;
	const struct fdc_config fdc = {.irq = isa_irq(b, FDC_IRQ), .dma = b->dma};
	b->fdc = fdc_new(&fdc);
	if (!b->fdc || plug(b, fdc_device(b->fdc), fdc_map(b->fdc, bus, FDC_PORT)))
		return -ENOMEM;
	if (!bus_map_pio(bus, 0xf0, 1, &f0_ops, b, "ferr"))
		return -ENOMEM;

	/* COM1 to COM4, fw_cfg, debug ports. */
	r = wire_serial(b);
	if (r)
		return r;
	b->fw_cfg = fw_cfg_new(b->vm->mem);
	if (!b->fw_cfg || plug(b, fw_cfg_device(b->fw_cfg), fw_cfg_map(b->fw_cfg, bus, 0x510)))
		return -ENOMEM;
	if (board_wire_flash(b))
		return -ENOMEM;
	return wire_debug(b, err);
}

/* ---- Life -------------------------------------------------------------------------------------
 */

struct board *board_new(struct vm *vm, struct lodge_err *err)
{
	struct board *b = calloc(1, sizeof(*b));
	int r;

	if (!b) {
		err_set(err, -ENOMEM, "no memory for the board");
		return NULL;
	}
	b->vm = vm;
	list_init(&b->devices);
	list_init(&b->added);
	list_init(&b->drives);
	list_init(&b->boot);
	list_init(&b->nets);
	list_init(&b->roms);
	list_init(&b->videos);
	list_init(&b->shares);
	err->msg[0] = '\0';
	r = board_video_bytes(&vm->cfg, &b->video_bytes, err);
	if (!r)
		r = board_read_smbios(b, err);
	if (!r)
		r = drives_open(b, err);
	if (!r)
		r = board_open_flash(b, err);
	if (!r)
		r = board_map_memory(b, err);
	if (!r)
		r = board_load_rom(b, err);
	if (!r) {
		r = wire(b, err);
		if (r && !err->msg[0])
			err_set(err, r, "no memory for the board's devices");
	}
	if (!r)
		r = board_open_nets(b, err);
	if (!r)
		r = board_add_devices(b, err);
	if (!r)
		r = board_add_storage(b, err);
	if (!r)
		r = drives_check(b, err);
	if (!r)
		board_check_nets(b);
	if (!r)
		r = board_add_option_roms(b, err);
	if (!r)
		r = board_add_kernel(b, err);
	if (!r)
		r = board_fill_fw_cfg(b, err);
	if (r) {
		board_free(b);
		return NULL;
	}
	return b;
}

/* In the reverse order of wire(). */
void board_free(struct board *b)
{
	if (!b)
		return;
	/* Requests end while their devices are there. */
	drives_drain(b);
	drives_drop_held(b);
	board_free_added(b);
	board_close_nets(b);
	board_free_roms(b);
	board_free_videos(b);
	isa_debug_exit_free(b->debug_exit);
	debugcon_free(b->debugcon);
	board_free_flash(b);
	fw_cfg_free(b->fw_cfg);
	fw_loader_free(&b->tables);
	for (unsigned i = 0; i < VM_SERIALS; i++)
		uart16550_free(b->uart[i]);
	fdc_free(b->fdc);
	i8237_free(b->dma);
	port92_free(b->port92);
	port61_free(b->port61);
	board_free_input(b);
	i8042_free(b->kbc);
	mc146818_free(b->rtc);
	i8254_free(b->pit);
	hpet_free(b->hpet);
	piix4_pm_free(b->pm);
	pci_hotplug_free(b->hotplug);
	piix3_ide_free(b->ide);
	piix3_free(b->isa_bridge);
	i440fx_free(b->host_bridge);
	pci_bus_free(b->pci);
	i8259_free(b->pic);
	ioapic_free(b->ioapic);
	for (unsigned i = 0; b->lapics && i < b->vm->cfg.cpus; i++)
		lapic_free(b->lapics[i]);
	free(b->lapics);
	apic_bus_free(b->apics);
	drives_close(b);
	free(b);
}

void board_reset_devices(struct board *b)
{
	struct device *dev;

	vm_drain_locked(b->vm);
	drives_drain(b);
	drives_drop_held(b);
	board_take_out_leaving(b);
	list_for_each_entry (dev, &b->devices, link) {
		if (dev->cls->reset)
			dev->cls->reset(dev);
	}
	b->nmi_masked = b->nmi_line = false;
	b->uart_irq = 0;
	mem_set_a20(b->vm->mem, true);
}

int board_reset(struct board *b, struct lodge_err *err)
{
	int r;

	board_reset_devices(b);
	r = board_boot(b, err);
	return r ? r : board_irqchip_put(b, err);
}

struct lapic *board_lapic(struct board *b, unsigned cpu)
{
	return b->lapics[cpu];
}

void board_power_button(struct board *b)
{
	piix4_pm_power_button(b->pm);
}

void board_uuid(const struct board *b, uint8_t out[16])
{
	memcpy(out, b->uuid, sizeof(b->uuid));
}
