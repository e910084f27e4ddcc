/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A machine for the kernel component's instruction emulator: registers in struct x86_state, flat RAM
 * from address 0, all else a device. Paging maps the first GiB onto itself, for everybody.
 * Used by tests/unit/kmod and tests/fuzz/kemu.c.
 */
#ifndef LODGE_TESTS_KEMU_MACHINE_H
#define LODGE_TESTS_KEMU_MACHINE_H

#include <stdint.h>
#include <string.h>

#include "emulate.h"
#include "x86/state.h"

#pragma GCC diagnostic ignored "-Wunused-function"

#define KEMU_LOG 64

/* What reached a device or port. */
struct kemu_access {
	bool port, write;
	uint64_t addr, value;
	unsigned size, count;
};

struct kemu {
	struct lodge_emu e;
	struct x86_state s;
	uint8_t *ram;
	uint64_t ram_bytes;
	bool user;	    /* devices and ports are user space's, else answered at once */
	uint64_t device[2]; /* also a device: [from, to) within RAM */
	unsigned changes;   /* cmpxchg finds another value so many times */
	struct kemu_access log[KEMU_LOG];
	unsigned logged, nsets; /* nsets: segments set */
	/* The answer of a device or port. */
	uint64_t (*answer)(struct kemu *k, bool port, uint64_t addr, unsigned size);
};

static uint64_t kemu_answer(struct kemu *k, bool port, uint64_t addr, unsigned size)
{
	if (k->answer)
		return k->answer(k, port, addr, size);
	return port ? addr & (size == 1 ? 0xff : 0xffff) : ~0ull;
}

static void kemu_log(struct kemu *k, bool port, bool write, uint64_t addr, const void *buf,
		     unsigned size, unsigned count)
{
	struct kemu_access *a = &k->log[k->logged % KEMU_LOG];

	*a = (struct kemu_access){.port = port,
				  .write = write,
				  .addr = addr,
				  .size = size,
				  .count = count};
	if (buf)
		memcpy(&a->value, buf, size <= 8 ? size : 8);
	k->logged++;
}

static bool kemu_is_ram(const struct kemu *k, uint64_t gpa, unsigned len)
{
	if (gpa + len > k->device[0] && gpa < k->device[1])
		return false;
	return gpa < k->ram_bytes && len <= k->ram_bytes - gpa;
}

static int kemu_translate(void *cpu, uint64_t lin, unsigned access, uint64_t *gpa,
			  struct lodge_emu_exception *ex)
{
	struct kemu *k = cpu;

	*gpa = lin;
	if (!(k->s.cr0 & CR0_PG) || lin < 1u << 30)
		return LODGE_EMU_OK;
	*ex = (struct lodge_emu_exception){.vector = VEC_PF,
					   .has_error = true,
					   .error = (access & LODGE_EMU_W ? PF_W : 0) |
						    (access & LODGE_EMU_U ? PF_U : 0) |
						    (access & LODGE_EMU_X ? PF_I : 0),
					   .cr2 = lin};
	return LODGE_EMU_FAULT;
}

static int kemu_read(void *cpu, uint64_t gpa, void *buf, unsigned len)
{
	struct kemu *k = cpu;

	if (!kemu_is_ram(k, gpa, len))
		return LODGE_EMU_MMIO;
	memcpy(buf, k->ram + gpa, len);
	return LODGE_EMU_OK;
}

static int kemu_write(void *cpu, uint64_t gpa, const void *buf, unsigned len)
{
	struct kemu *k = cpu;

	if (!kemu_is_ram(k, gpa, len))
		return LODGE_EMU_MMIO;
	memcpy(k->ram + gpa, buf, len);
	return LODGE_EMU_OK;
}

static int kemu_cmpxchg(void *cpu, uint64_t gpa, const void *old, const void *new, unsigned len)
{
	struct kemu *k = cpu;

	if (!kemu_is_ram(k, gpa, len))
		return LODGE_EMU_MMIO;
	if (k->changes) {
		k->changes--;
		k->ram[gpa]++;
	}
	if (memcmp(k->ram + gpa, old, len))
		return LODGE_EMU_AGAIN;
	memcpy(k->ram + gpa, new, len);
	return LODGE_EMU_OK;
}

static int kemu_mmio(void *cpu, uint64_t gpa, void *buf, unsigned len, bool write)
{
	struct kemu *k = cpu;
	uint64_t v;

	if (k->user)
		return LODGE_EMU_USER;
	kemu_log(k, false, write, gpa, write ? buf : NULL, len, 1);
	if (!write) {
		v = kemu_answer(k, false, gpa, len);
		memcpy(buf, &v, len);
	}
	return LODGE_EMU_OK;
}

static void kemu_fill(struct kemu *k, uint16_t port, unsigned size, uint8_t *buf, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		uint64_t v = kemu_answer(k, true, port, size);

		memcpy(buf + (size_t)i * size, &v, size);
	}
}

static int kemu_pio(void *cpu, uint16_t port, unsigned size, void *buf, unsigned count, bool write)
{
	struct kemu *k = cpu;

	if (k->user)
		return LODGE_EMU_USER;
	kemu_log(k, true, write, port, write ? buf : NULL, size, count);
	if (!write)
		kemu_fill(k, port, size, buf, count);
	return LODGE_EMU_OK;
}

static struct x86_seg *kemu_seg(struct kemu *k, unsigned seg)
{
	return seg == LODGE_EMU_LDTR ? &k->s.ldtr : seg == LODGE_EMU_TR ? &k->s.tr : &k->s.seg[seg];
}

static struct x86_dtable *kemu_table(struct kemu *k, unsigned seg)
{
	return seg == LODGE_EMU_GDTR ? &k->s.gdtr : seg == LODGE_EMU_IDTR ? &k->s.idtr : NULL;
}

static void kemu_get_seg(void *cpu, unsigned seg, struct lodge_emu_seg *s)
{
	const struct x86_dtable *t = kemu_table(cpu, seg);
	const struct x86_seg *x;

	if (t) {
		*s = (struct lodge_emu_seg){.base = t->base, .limit = t->limit};
		return;
	}
	x = kemu_seg(cpu, seg);
	*s = (struct lodge_emu_seg){.base = x->base,
				    .limit = x->limit,
				    .sel = x->sel,
				    .attr = x->attr,
				    .unusable = x->unusable};
}

static void kemu_set_seg(void *cpu, unsigned seg, const struct lodge_emu_seg *s)
{
	struct kemu *k = cpu;
	struct x86_dtable *t = kemu_table(cpu, seg);

	if (t) {
		*t = (struct x86_dtable){s->base, (uint16_t)s->limit};
		return;
	}
	k->nsets++;
	*kemu_seg(k, seg) = (struct x86_seg){.base = s->base,
					     .limit = s->limit,
					     .sel = s->sel,
					     .attr = s->attr,
					     .unusable = s->unusable};
}

static int kemu_gp(struct lodge_emu_exception *ex)
{
	*ex = (struct lodge_emu_exception){.vector = VEC_GP, .has_error = true};
	return LODGE_EMU_FAULT;
}

/* Where a register is kept, if it is. */
static uint64_t *kemu_reg(struct kemu *k, enum lodge_emu_kind kind, uint32_t n)
{
	if (kind == LODGE_EMU_XCR)
		return &k->s.xcr0;
	if (kind == LODGE_EMU_DR)
		return &k->s.dr[n & 7];
	if (kind == LODGE_EMU_MSR)
		return n == 0xc0000102 ? &k->s.kernel_gs_base : NULL;
	return n == 0	? &k->s.cr0
	       : n == 2 ? &k->s.cr2
	       : n == 3 ? &k->s.cr3
	       : n == 4 ? &k->s.cr4
			: NULL;
}

static int kemu_get_sys(void *cpu, enum lodge_emu_kind kind, uint32_t n, uint64_t *v,
			struct lodge_emu_exception *ex)
{
	struct kemu *k = cpu;
	const uint64_t *p = kemu_reg(k, kind, n);

	if (p)
		*v = *p;
	else if (kind == LODGE_EMU_CR)
		*v = 0;
	else if (n == 0x10)
		*v = 0x1122334455667788;
	else if (n == 0xc0000103)
		*v = k->s.tsc_aux;
	else
		return kemu_gp(ex);
	return LODGE_EMU_OK;
}

/* Enough checks to have a fault. */
static int kemu_set_sys(void *cpu, enum lodge_emu_kind kind, uint32_t n, uint64_t v,
			struct lodge_emu_exception *ex)
{
	struct kemu *k = cpu;
	uint64_t *p = kemu_reg(k, kind, n);

	if (kind == LODGE_EMU_CR && n == 0) {
		if ((v & CR0_PG) && !(v & CR0_PE))
			return kemu_gp(ex);
		v |= CR0_ET;
	}
	if (!p && kind == LODGE_EMU_MSR)
		return kemu_gp(ex);
	if (p)
		*p = v;
	k->e.cr0 = k->s.cr0;
	k->e.cr4 = k->s.cr4;
	return LODGE_EMU_OK;
}

static int kemu_cpuid(void *cpu, uint32_t regs[4])
{
	(void)cpu;
	regs[0] += 0x100;
	regs[1] = 0x200;
	regs[2] += 0x300;
	regs[3] = 0x400;
	return LODGE_EMU_OK;
}

static int kemu_get_vec(void *cpu, unsigned reg, void *buf, unsigned len)
{
	struct kemu *k = cpu;

	memcpy(buf, k->s.xsave + (len == 8 ? 32 : 160) + 16 * reg, len < 16 ? len : 16);
	if (len == 32)
		memcpy((uint8_t *)buf + 16, k->s.xsave + 576 + 16 * reg, 16);
	return LODGE_EMU_OK;
}

static int kemu_set_vec(void *cpu, unsigned reg, const void *buf, unsigned len)
{
	struct kemu *k = cpu;

	memcpy(k->s.xsave + (len == 8 ? 32 : 160) + 16 * reg, buf, len < 16 ? len : 16);
	if (len == 32)
		memcpy(k->s.xsave + 576 + 16 * reg, (const uint8_t *)buf + 16, 16);
	return LODGE_EMU_OK;
}

/* One that is there, as after FNINIT. */
static int kemu_x87(void *cpu, unsigned op, uint16_t *v)
{
	(void)cpu;
	*v = op == X86_OP_FNSTCW ? 0x37f : 0;
	return LODGE_EMU_OK;
}

static const struct lodge_emu_ops kemu_ops = {
	.translate = kemu_translate,
	.read = kemu_read,
	.write = kemu_write,
	.cmpxchg = kemu_cmpxchg,
	.mmio = kemu_mmio,
	.pio = kemu_pio,
	.get_seg = kemu_get_seg,
	.set_seg = kemu_set_seg,
	.get_sys = kemu_get_sys,
	.set_sys = kemu_set_sys,
	.cpuid = kemu_cpuid,
	.get_vec = kemu_get_vec,
	.set_vec = kemu_set_vec,
	.x87 = kemu_x87,
};

/* X86_SHADOW_* to LODGE_EMU_SHADOW_*, and back: the other way round. */
static uint8_t kemu_shadow(uint8_t s)
{
	return (uint8_t)((s & 1) << 1 | (s >> 1 & 1));
}

/* k->s into the emulator, and back. */
static void kemu_in(struct kemu *k)
{
	memcpy(k->e.gpr, k->s.gpr, sizeof(k->e.gpr));
	k->e.rip = k->s.rip;
	k->e.rflags = k->s.rflags;
	k->e.cr0 = k->s.cr0;
	k->e.cr4 = k->s.cr4;
	k->e.efer = k->s.efer;
	k->e.cpl = (uint8_t)x86_cpl(&k->s);
	k->e.shadow = kemu_shadow(k->s.int_shadow);
}

static void kemu_out(struct kemu *k)
{
	memcpy(k->s.gpr, k->e.gpr, sizeof(k->e.gpr));
	k->s.rip = k->e.rip;
	k->s.rflags = k->e.rflags;
	k->s.int_shadow = kemu_shadow(k->e.shadow);
}

/* User space does what the emulator waits for. */
static void kemu_serve(struct kemu *k)
{
	struct lodge_emu_io *io = &k->e.io;

	kemu_log(k, io->port, io->write, io->addr, io->write ? io->data : NULL, io->size,
		 io->count);
	if (io->write)
		return;
	if (io->port) {
		kemu_fill(k, (uint16_t)io->addr, io->size, io->data, io->count);
	} else {
		uint64_t v = kemu_answer(k, false, io->addr, io->size);

		memcpy(io->data, &v, io->size);
	}
}

/* Until it is over, whatever user space has to do between. */
static enum lodge_emu_result kemu_finish(struct kemu *k, enum lodge_emu_result r)
{
	while (r == LODGE_EMU_NEED_IO) {
		kemu_serve(k);
		r = lodge_emu_resume(&k->e);
	}
	kemu_out(k);
	return r;
}

static enum lodge_emu_result kemu_run(struct kemu *k)
{
	kemu_in(k);
	return kemu_finish(k, lodge_emu_run(&k->e));
}

#endif
