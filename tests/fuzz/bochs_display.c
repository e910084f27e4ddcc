// SPDX-License-Identifier: GPL-2.0-or-later
/* Fuzz the linear frame buffer's registers and picture: make t T=fuzz/bochs_display */
#include "display_env.h"
#include "pci_harness.h"
#include "devices/display/bochs_display.h"

#define VRAM (1u << 18)
#define DEVFN 0x10
#define REGS 0xfebf0000u

static void place(struct display_env *e)
{
	pci_config_write(e->pb, DEVFN, PCI_BAR0, 0xfd000000, 4);
	pci_config_write(e->pb, DEVFN, PCI_BAR0 + 8, REGS, 4);
	pci_config_write(e->pb, DEVFN, PCI_COMMAND, PCI_COMMAND_MEM, 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct mem *mem;
	struct fuzz_in in = {data, size};
	struct display_env e;
	struct display_picture pic = {0};
	struct bochs_display_config cfg = {.devfn = DEVFN, .width = 1280, .height = 800};
	struct bochs_display *s;
	struct device *d;
	const struct display_source *src;

	display_env_init_with(&e, VRAM, mem);
	memset(vram_host(&e.vram), 0, VRAM);
	FUZZ_CHECK(bus_map_pio(e.bus, PCI_CFG1_PORT, PCI_CFG1_LEN, &pci_cfg1_ops, e.pb, "pci"));
	cfg.vram = e.vram;
	s = bochs_display_new(e.pb, &cfg, NULL);
	d = bochs_display_device(s);
	src = bochs_display_source(s);
	d->cls->reset(d);
	place(&e);
	for (unsigned step = 0; in.left && step < 256; step++) {
		uint8_t op = fuzz_u8(&in);
		unsigned width = 1u << (op >> 4 & 3);
		uint64_t at = REGS + 0x500 + 2 * (op & 15);

		if (op >= 0xf8) {
			struct fuzz_pci p = {e.bus, e.pb};

			fuzz_pci_config(&in, &p, DEVFN);
		} else if (op >= 0xf0) {
			place(&e);
		} else if (op >= 0xe8) {
			fuzz_load_damaged(&in, d);
			fuzz_save_load(d);
		} else if (op >= 0xe0) {
			src->look(src->opaque);
			src->changed(src->opaque);
			FUZZ_CHECK(src->draw(src->opaque, &pic) == 0);
		} else if (op >= 0xd0) {
			at = REGS + (fuzz_uint(&in, 2) & 0xfff);
			bus_mmio_write(e.bus, at, fuzz_uint(&in, 4), width);
		} else if (op & 0x40) {
			bus_mmio_read(e.bus, at, width);
		} else {
			bus_mmio_write(e.bus, at, fuzz_uint(&in, 2), 2);
		}
	}
	FUZZ_CHECK(src->draw(src->opaque, &pic) == 0);
	display_picture_free(&pic);
	bochs_display_free(s);
	mem = display_env_free_but_mem(&e);
	return 0;
}
