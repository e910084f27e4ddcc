// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fuzz target: the kernel component's instruction emulator with any code, any registers, and callbacks
 * that answer what they like. No crash, and bounded work: so many callbacks a call, so many calls an
 * instruction. Run: make t T=fuzz/kemu
 */
#include "fuzz/fuzz_in.h"
#include "kemu_machine.h"

#define RAM (64 * 1024)
/* A round of a REP asks at most some twenty times; there are 1024 of them in a call. */
#define MOST_CALLBACKS (1024 * 32)
/* Each call but the last has some answer or write out of the queue to show for itself. */
#define MOST_RESUMES (1024 * 16)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct fuzz_in in;
static struct kemu K;
static uint8_t ram[RAM];
static unsigned callbacks;

/* Mostly what a machine would answer, sometimes anything. */
static int odd(int usual)
{
	uint8_t b = fuzz_u8(&in);

	FUZZ_CHECK(++callbacks <= MOST_CALLBACKS);
	return b >= 0xf0 ? b & 7 : usual;
}

static int h_translate(void *cpu, uint64_t lin, unsigned access, uint64_t *gpa,
		       struct lodge_emu_exception *ex)
{
	int r = kemu_translate(cpu, lin, access, gpa, ex);

	FUZZ_CHECK(access & (LODGE_EMU_R | LODGE_EMU_W | LODGE_EMU_X));
	*gpa &= RAM * 2 - 1;
	return odd(r);
}

static int h_read(void *cpu, uint64_t gpa, void *buf, unsigned len)
{
	FUZZ_CHECK(len && len <= 1024 && (gpa & 0xfff) + len <= 0x1000);
	return odd(kemu_read(cpu, gpa, buf, len));
}

static int h_write(void *cpu, uint64_t gpa, const void *buf, unsigned len)
{
	FUZZ_CHECK(len && len <= 1024 && (gpa & 0xfff) + len <= 0x1000);
	return odd(kemu_write(cpu, gpa, buf, len));
}

static int h_cmpxchg(void *cpu, uint64_t gpa, const void *old, const void *new, unsigned len)
{
	FUZZ_CHECK(len && len <= 16 && !(gpa & (len - 1)));
	return odd(kemu_cmpxchg(cpu, gpa, old, new, len));
}

static int h_mmio(void *cpu, uint64_t gpa, void *buf, unsigned len, bool write)
{
	FUZZ_CHECK(len && len <= 8 && (gpa & 0xfff) + len <= 0x1000);
	return odd(kemu_mmio(cpu, gpa, buf, len, write));
}

static int h_pio(void *cpu, uint16_t port, unsigned size, void *buf, unsigned count, bool write)
{
	FUZZ_CHECK(count && size * count <= LODGE_EMU_IO_BYTES);
	return odd(kemu_pio(cpu, port, size, buf, count, write));
}

static void pick_segments(uint8_t mode)
{
	static const uint16_t code[4] = {0x009b, 0xc09b, 0xa09b, 0x00fb};

	for (unsigned i = 0; i < SEG_COUNT; i++) {
		K.s.seg[i] = (struct x86_seg){.base = fuzz_uint(&in, 2) & ~15u,
					      .limit = mode & 1 ? 0xffffffff : 0xffff,
					      .sel = (uint16_t)fuzz_uint(&in, 2),
					      .attr = mode & 4 ? 0xc0f3 : 0xc093,
					      .unusable = fuzz_u8(&in) > 0xf0};
	}
	K.s.seg[SEG_CS].attr = code[mode & 3];
	K.s.ldtr = (struct x86_seg){.base = 0x2000, .limit = 0xff, .attr = 0x82};
	K.s.tr = (struct x86_seg){.base = 0x3000,
				  .limit = 0x2067,
				  .attr = mode & 8 ? 0x8b : 0x83,
				  .sel = 0x28};
	K.s.gdtr = (struct x86_dtable){.base = 0x1000, .limit = 0xff};
	K.s.idtr = (struct x86_dtable){.base = 0, .limit = (uint16_t)fuzz_uint(&in, 2)};
}

static void pick_state(void)
{
	uint8_t mode = fuzz_u8(&in), bits = fuzz_u8(&in);

	memset(&K.s, 0, sizeof(K.s));
	for (unsigned i = 0; i < 16; i++)
		K.s.gpr[i] = fuzz_uint(&in, 1 + (bits & 7));
	K.s.rflags = (fuzz_uint(&in, 3) & 0x3f7fd7) | 2;
	K.s.rip = fuzz_uint(&in, 2);
	K.s.cr0 = bits & 0x10 ? CR0_PE | (bits & 0x20 ? CR0_PG : 0) | CR0_AM : 0;
	K.s.cr4 = CR4_OSFXSR | CR4_OSXSAVE | CR4_FSGSBASE;
	K.s.xcr0 = 7;
	K.s.efer = (bits & 0x70) == 0x70 ? EFER_LMA : 0;
	if (!(bits & 0x10) || K.s.efer)
		K.s.rflags &= ~(uint64_t)FLAG_VM;
	pick_segments(mode);
	K.user = bits & 0x80;
}

static void finish(enum lodge_emu_result r)
{
	for (unsigned i = 0; r == LODGE_EMU_NEED_IO; i++) {
		FUZZ_CHECK(lodge_emu_waits(&K.e) && i < MOST_RESUMES);
		FUZZ_CHECK((unsigned)K.e.io.size * K.e.io.count <= LODGE_EMU_IO_BYTES &&
			   K.e.io.count);
		kemu_serve(&K);
		if (fuzz_u8(&in) == 0xff) {
			lodge_emu_drop(&K.e);
			return;
		}
		callbacks = 0;
		r = lodge_emu_resume(&K.e);
	}
	FUZZ_CHECK(!lodge_emu_waits(&K.e));
	FUZZ_CHECK(r <= LODGE_EMU_SHUTDOWN);
	FUZZ_CHECK(K.e.rflags & 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lodge_emu_ops ops = kemu_ops;
	uint8_t how;

	if (size < 8 || size > 4096)
		return 0;
	ops.translate = h_translate;
	ops.read = h_read;
	ops.write = h_write;
	ops.cmpxchg = h_cmpxchg;
	ops.mmio = h_mmio;
	ops.pio = h_pio;
	in = (struct fuzz_in){data, size};
	K.ram = ram;
	K.ram_bytes = RAM;
	for (size_t i = 0; i < RAM; i += size)
		memcpy(ram + i, data, size < RAM - i ? size : RAM - i);
	lodge_emu_init(&K.e, &ops, &K);
	pick_state();
	how = fuzz_u8(&in);
	K.e.intel = how & 8;
	for (unsigned i = 0; i < 4; i++) {
		callbacks = 0;
		kemu_in(&K);
		K.e.hints = how & 3;
		if (i == 0 && (how & 0xf0) == 0x10)
			finish(lodge_emu_task_switch(&K.e, (uint16_t)fuzz_uint(&in, 2),
						     (enum lodge_emu_task_reason)(how & 3), how & 4,
						     7));
		else if (i == 0 && (how & 0xf0) == 0x20)
			finish(lodge_emu_real_event(&K.e, fuzz_u8(&in), 0x1234));
		else
			finish(lodge_emu_run(&K.e));
		kemu_out(&K);
		K.s.seg[SEG_SS].attr =
			(uint16_t)((K.s.seg[SEG_SS].attr & ~0x60u) | (unsigned)K.e.cpl << 5);
	}
	return 0;
}
