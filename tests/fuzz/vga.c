// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fuzz the VGA: ports, memory, VBE, saved state, and the picture of whatever came of it.
 * Run: make t T=fuzz/vga
 */
#include "display_env.h"
#include "pci_harness.h"
#include "devices/display/vga.h"
#include "vga_modes.h"

#define VRAM (1u << 18)
#define DEVFN 0x10
#define REGS 0xfebf0000u

static struct display_env e;

static void out(uint16_t port, uint8_t val)
{
	bus_pio_write(e.bus, port, val, 1);
}

static void outw_(uint16_t port, unsigned val)
{
	bus_pio_write(e.bus, port, val, 2);
}

static uint8_t in(uint16_t port)
{
	return (uint8_t)bus_pio_read(e.bus, port, 1);
}

/* A standard mode, of few lines: that is what drawing takes its time for. */
static void set_mode(unsigned n)
{
	vga_set_mode(n, out, in);
	outw_(0x3d4, CRTC_V_RETRACE_END); /* no protection */
	outw_(0x3d4, CRTC_OVERFLOW);
	outw_(0x3d4, 40 << 8 | CRTC_V_DISPLAY_END);
}

static void place(void)
{
	pci_config_write(e.pb, DEVFN, PCI_BAR0, 0xfd000000, 4);
	pci_config_write(e.pb, DEVFN, PCI_BAR0 + 8, REGS, 4);
	pci_config_write(e.pb, DEVFN, PCI_COMMAND, PCI_COMMAND_MEM, 2);
}

/* An index and a value for one of the groups of registers. */
static void indexed(struct fuzz_in *in_, unsigned group)
{
	static const uint16_t ports[] = {0x3c4, 0x3ce, 0x3d4, 0x3b4};
	uint8_t index = fuzz_u8(in_);

	bus_pio_write(e.bus, ports[group & 3], (uint64_t)fuzz_u8(in_) << 8 | (index & 0x1f), 2);
}

static void memory(struct fuzz_in *in_, uint8_t op)
{
	uint32_t at = 0xa0000 + ((uint32_t)fuzz_uint(in_, 2) << 1 | (op & 1));
	unsigned size = 1u << (op >> 1 & 3);

	if (op & 8)
		bus_mmio_write(e.bus, at, fuzz_uint(in_, size > 2 ? 2 : size), size);
	else
		bus_mmio_read(e.bus, at, size);
}

static void vbe(struct fuzz_in *in_, uint8_t op)
{
	bus_pio_write(e.bus, 0x1ce, op & 15, 2);
	if (op & 16)
		bus_pio_read(e.bus, 0x1cf, 2);
	else
		bus_pio_write(e.bus, 0x1cf, fuzz_uint(in_, 2), 2);
}

static void look(const struct display_source *src, struct display_picture *pic)
{
	static struct display_text text;
	static char row[3 * DISPLAY_TEXT_COLS + 1];

	src->look(src->opaque);
	src->changed(src->opaque);
	FUZZ_CHECK(src->draw(src->opaque, pic) == 0);
	if (src->text(src->opaque, &text) == 0) {
		FUZZ_CHECK(text.cols <= DISPLAY_TEXT_COLS && text.rows <= DISPLAY_TEXT_ROWS);
		for (unsigned i = 0; i < text.rows; i++)
			display_text_row(&text, i, row);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct mem *mem;
	struct fuzz_in fi = {data, size};
	struct display_picture pic = {0};
	struct vga_config cfg = {.devfn = DEVFN, .width = 1280, .height = 800};
	const struct display_source *src;
	struct device *d;
	unsigned looks = 2;
	struct vga *s;

	fake_begin();
	display_env_init_with(&e, VRAM, mem);
	memset(vram_host(&e.vram), 0, VRAM);
	FUZZ_CHECK(bus_map_pio(e.bus, PCI_CFG1_PORT, PCI_CFG1_LEN, &pci_cfg1_ops, e.pb, "pci"));
	cfg.vram = e.vram;
	s = vga_new(e.pb, &cfg, NULL);
	d = vga_device(s);
	src = vga_source(s);
	d->cls->reset(d);
	place();
	set_mode(fuzz_u8(&fi) % VGA_MODES);
	for (unsigned step = 0; fi.left && step < 512; step++) {
		uint8_t op = fuzz_u8(&fi);

		switch (op >> 5) {
		case 0:
		case 1:
			indexed(&fi, op);
			break;
		case 2:
			memory(&fi, op);
			break;
		case 3:
			vbe(&fi, op);
			break;
		case 4:
			if (op & 1)
				out((uint16_t)(0x3b0 + (op >> 1 & 15) + 0x10), fuzz_u8(&fi));
			else
				in((uint16_t)(0x3b0 + (op >> 1 & 15) + 0x20));
			break;
		case 5:
			bus_mmio_write(e.bus, REGS + 0x400 + (fuzz_u8(&fi) << 2 | (op & 3)),
				       fuzz_uint(&fi, 2), 1u << (op >> 2 & 1));
			break;
		case 6:
			if (looks) {
				looks--;
				look(src, &pic);
			}
			break;
		default:
			if (op & 16) {
				struct fuzz_pci p = {e.bus, e.pb};

				fuzz_pci_config(&fi, &p, DEVFN);
			} else if (op & 8) {
				fuzz_load_damaged(&fi, d);
				fuzz_save_load(d);
			} else if (op & 4) {
				set_mode(op % VGA_MODES);
			} else {
				fuzz_time(&fi);
				place();
			}
			break;
		}
	}
	look(src, &pic);
	/* Whatever happened, a mode set anew is what it is. */
	bus_pio_write(e.bus, 0x1ce, DISPI_ENABLE, 2);
	bus_pio_write(e.bus, 0x1cf, 0, 2);
	set_mode(MODE_16);
	look(src, &pic);
	FUZZ_CHECK(pic.width == 640 && pic.height == 41);
	display_picture_free(&pic);
	vga_free(s);
	mem = display_env_free_but_mem(&e);
	return 0;
}
