// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The instruction emulator's memory: segments, linear addresses, devices' answers, and the queue of
 * writes that an instruction leaves behind when nothing can fault any more.
 * Source: Intel SDM vol. 3A §5.3, §5.4, §3.3.7; AMD APM vol. 2 §4.5, §4.12.
 * Threads: the vCPU's own.
 */
#include "emu_int.h"

/* ---- Segments ------------------------------------------------------------------------------- */

const struct lodge_emu_seg *emu_seg(struct lodge_emu *e, unsigned n)
{
	if (!(e->seg_known & 1u << n)) {
		e->ops->get_seg(e->cpu, n, &e->seg[n]);
		e->seg_known = (uint8_t)(e->seg_known | 1u << n);
	}
	return &e->seg[n];
}

void emu_put_seg(struct lodge_emu *e, unsigned n, const struct lodge_emu_seg *s)
{
	e->seg[n] = *s;
	e->seg_known = (uint8_t)(e->seg_known | 1u << n);
	e->seg_dirty = (uint8_t)(e->seg_dirty | 1u << n);
}

bool emu_canonical(const struct lodge_emu *e, uint64_t lin)
{
	unsigned bits = e->cr4 & 0x1000 ? 57 : 48; /* CR4.LA57 */

	return (uint64_t)((int64_t)(lin << (64 - bits)) >> (64 - bits)) == lin;
}

static int seg_fault(struct lodge_emu *e, unsigned seg)
{
	return emu_raise(e, seg == LODGE_EMU_SS ? VEC_SS : VEC_GP, 0);
}

static bool in_limit(const struct lodge_emu_seg *s, uint64_t off, unsigned len, bool pm)
{
	bool code = s->attr & SEG_ATTR_CODE;
	uint64_t last = off + len - 1;

	if (pm && !code && (s->attr & SEG_ATTR_EXPDOWN)) {
		uint64_t top = s->attr & SEG_ATTR_DB ? 0xffffffff : 0xffff;

		return off > s->limit && last <= top;
	}
	return last <= s->limit;
}

static bool type_allows(const struct lodge_emu_seg *s, unsigned access)
{
	bool code = s->attr & SEG_ATTR_CODE, rw = s->attr & SEG_ATTR_WRITE;

	if (access & LODGE_EMU_W)
		return !code && rw;
	return !code || rw;
}

static int check_alignment(struct lodge_emu *e, uint64_t lin, unsigned len)
{
	/* Vectors that must be aligned get #GP in either case. */
	if (e->insn.flags & X86_IF_ALIGNED)
		return 0;
	if (e->wcpl != 3 || !(e->cr0 & CR0_AM) || !(e->wflags & FLAG_AC))
		return 0;
	if (e->insn.op == X86_OP_BOUND)
		len /= 2; /* two bounds */
	if (len & (len - 1))
		len = len == 6 ? 2 : len == 10 ? 8 : 1;
	if (lin & (len - 1))
		return emu_raise(e, VEC_AC, 0);
	return 0;
}

int emu_linear(struct lodge_emu *e, unsigned seg, uint64_t off, unsigned len, unsigned access,
	       uint64_t *lin)
{
	const struct lodge_emu_seg *s;

	if (EMU_64(e)) {
		uint64_t base = seg >= LODGE_EMU_FS ? emu_seg(e, seg)->base : 0;

		*lin = off + base;
		if (!emu_canonical(e, *lin) || !emu_canonical(e, *lin + len - 1))
			return seg_fault(e, seg);
		return check_alignment(e, *lin, len);
	}
	s = emu_seg(e, seg);
	off &= 0xffffffff;
	if (EMU_PM(e)) {
		if (s->unusable || !type_allows(s, access))
			return seg_fault(e, seg);
	}
	if (!in_limit(s, off, len, EMU_PM(e)))
		return seg_fault(e, seg);
	*lin = (s->base + off) & 0xffffffff;
	return check_alignment(e, *lin, len);
}

/* ---- Devices -------------------------------------------------------------------------------- */

int emu_ask(struct lodge_emu *e, bool port, uint64_t addr, void *buf, unsigned len)
{
	struct lodge_emu_answered *a = &e->answers[e->nasked];
	int r;

	if (e->nasked < e->nanswers && a->port == port && a->addr == addr && a->len == len) {
		__builtin_memcpy(buf, &a->data, len);
		e->nasked++;
		return 0;
	}
	e->nanswers = e->nasked; /* other questions than last time: its answers are void */
	if (e->nasked >= LODGE_EMU_ANSWERS)
		return LODGE_EMU_REFUSED;
	r = port ? e->ops->pio_in(e->cpu, (uint16_t)addr, len, buf, 1)
		 : e->ops->mmio_read(e->cpu, addr, buf, len);
	if (r == LODGE_EMU_USER) {
		e->io.port = port;
		e->io.write = false;
		e->io.addr = addr;
		e->io.size = (uint8_t)len;
		e->io.count = 1;
		e->state = EMU_WAITS_READ;
		return LODGE_EMU_NEED_IO;
	}
	if (r)
		return emu_answer(r);
	a->port = port;
	a->addr = addr;
	a->len = (uint8_t)len;
	a->data = 0;
	__builtin_memcpy(&a->data, buf, len);
	e->nanswers = ++e->nasked;
	return 0;
}

/* A device gets 1, 2, 4 or 8 bytes at a time. */
static unsigned piece(unsigned left)
{
	return left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

static int read_device(struct lodge_emu *e, uint64_t gpa, uint8_t *buf, unsigned len)
{
	while (len) {
		unsigned n = piece(len);
		int r = emu_ask(e, false, gpa, buf, n);

		if (r)
			return r;
		gpa += n;
		buf += n;
		len -= n;
	}
	return 0;
}

/* ---- Reading and queueing ------------------------------------------------------------------- */

int emu_translate(struct lodge_emu *e, uint64_t lin, unsigned access, uint64_t *gpa)
{
	int r;

	if (e->wcpl == 3 && !(access & LODGE_EMU_SYS))
		access |= LODGE_EMU_U;
	r = e->ops->translate(e->cpu, lin, access, gpa, &e->ex);
	return r ? emu_answer(r) : 0;
}

/* What the instruction itself has written already. */
static void overlay(const struct lodge_emu *e, uint64_t gpa, uint8_t *buf, unsigned len)
{
	for (unsigned i = 0; i < e->nwrites; i++) {
		const struct lodge_emu_write *w = &e->writes[i];

		if (w->gpa >= gpa + len || w->gpa + w->len <= gpa)
			continue;
		for (unsigned k = 0; k < w->len; k++) {
			if (w->gpa + k - gpa < len)
				buf[w->gpa + k - gpa] = w->data[k];
		}
	}
}

/* A device cannot be asked for what the instruction is about to write to it. */
static bool overlaps(const struct lodge_emu *e, uint64_t gpa, unsigned len)
{
	for (unsigned i = 0; i < e->nwrites; i++) {
		if (e->writes[i].gpa < gpa + len && e->writes[i].gpa + e->writes[i].len > gpa)
			return true;
	}
	return false;
}

static int read_gpa(struct lodge_emu *e, uint64_t gpa, void *buf, unsigned len)
{
	int r = e->ops->read(e->cpu, gpa, buf, len);

	if (r == LODGE_EMU_MMIO)
		return overlaps(e, gpa, len) ? LODGE_EMU_REFUSED : read_device(e, gpa, buf, len);
	if (r)
		return emu_answer(r);
	overlay(e, gpa, buf, len);
	return 0;
}

static unsigned to_page_end(uint64_t lin, unsigned len)
{
	unsigned left = 0x1000 - (unsigned)(lin & 0xfff);

	return left < len ? left : len;
}

static uint64_t next_lin(const struct lodge_emu *e, uint64_t lin)
{
	return EMU_LONG(e) ? lin : lin & 0xffffffff;
}

int emu_read_lin(struct lodge_emu *e, uint64_t lin, void *buf, unsigned len, unsigned access)
{
	unsigned n = to_page_end(lin, len);
	uint64_t gpa[2] = {0, 0};
	int r = emu_translate(e, lin, access, &gpa[0]);

	/* Both pages before the first device sees anything. */
	if (!r && n < len)
		r = emu_translate(e, next_lin(e, lin + n), access, &gpa[1]);
	if (!r)
		r = read_gpa(e, gpa[0], buf, n);
	if (!r && n < len)
		r = read_gpa(e, gpa[1], (uint8_t *)buf + n, len - n);
	return r;
}

static int queue(struct lodge_emu *e, uint64_t gpa, const void *buf, unsigned len)
{
	struct lodge_emu_write *w = &e->writes[e->nwrites];

	if (e->nwrites >= LODGE_EMU_QUEUE || len > LODGE_EMU_CHUNK)
		return LODGE_EMU_REFUSED;
	w->gpa = gpa;
	w->len = (uint8_t)len;
	w->done = 0;
	w->locked = false;
	__builtin_memcpy(w->data, buf, len);
	e->nwrites++;
	return 0;
}

int emu_write_lin(struct lodge_emu *e, uint64_t lin, const void *buf, unsigned len, unsigned access)
{
	unsigned n = to_page_end(lin, len);
	uint64_t gpa[2] = {0, 0};
	int r = emu_translate(e, lin, access | LODGE_EMU_W, &gpa[0]);

	if (!r && n < len)
		r = emu_translate(e, next_lin(e, lin + n), access | LODGE_EMU_W, &gpa[1]);
	if (!r)
		r = queue(e, gpa[0], buf, n);
	if (!r && n < len)
		r = queue(e, gpa[1], (const uint8_t *)buf + n, len - n);
	return r;
}

int emu_read_seg(struct lodge_emu *e, unsigned seg, uint64_t off, void *buf, unsigned len)
{
	uint64_t lin = 0;
	int r = emu_linear(e, seg, off, len, LODGE_EMU_R, &lin);

	return r ? r : emu_read_lin(e, lin, buf, len, LODGE_EMU_R);
}

int emu_write_seg(struct lodge_emu *e, unsigned seg, uint64_t off, const void *buf, unsigned len)
{
	uint64_t lin = 0;
	int r = emu_linear(e, seg, off, len, LODGE_EMU_W, &lin);

	return r ? r : emu_write_lin(e, lin, buf, len, LODGE_EMU_W);
}

/* ---- The end -------------------------------------------------------------------------------- */

void emu_begin(struct lodge_emu *e)
{
	__builtin_memcpy(e->w, e->gpr, sizeof(e->w));
	e->wrip = e->kind == EMU_INSN && e->insn.len ? e->next_rip : e->rip;
	e->wflags = e->rflags;
	e->wcpl = e->cpl;
	if (e->kind == EMU_INSN)
		e->mode = e->insn.mode;
	e->wshadow = 0;
	e->wtodo = LODGE_EMU_TODO_NONE;
	e->seg_known &= (uint8_t)~e->seg_dirty; /* of a run that did not end */
	e->seg_dirty = 0;
	e->nwrites = 0;
	e->nwritten = 0;
	e->nasked = 0;
	e->table_dirty = 0;
	e->vec_len = 0;
	e->mmx_dirty = false;
	e->rep_ended = true;
	e->has_out = false;
	e->ahead_used = false;
}

/* The rest of a write that no memory takes. */
static int write_device(struct lodge_emu *e, struct lodge_emu_write *w)
{
	while (w->done < w->len) {
		unsigned n = piece(w->len - (unsigned)w->done);
		int r = e->ops->mmio_write(e->cpu, w->gpa + w->done, w->data + w->done, n);

		if (r == LODGE_EMU_USER) {
			e->io.port = false;
			e->io.write = true;
			e->io.addr = w->gpa + w->done;
			e->io.size = (uint8_t)n;
			e->io.count = 1;
			__builtin_memcpy(e->io.data, w->data + w->done, n);
			e->state = EMU_WAITS_WRITE;
			return LODGE_EMU_NEED_IO;
		}
		if (r)
			return emu_answer(r);
		w->done = (uint8_t)(w->done + n);
	}
	return 0;
}

static int write_out(struct lodge_emu *e, struct lodge_emu_write *w)
{
	int r;

	if (w->done)
		return write_device(e, w);
	if (w->locked)
		r = e->ops->cmpxchg(e->cpu, w->gpa, e->old, w->data, w->len);
	else
		r = e->ops->write(e->cpu, w->gpa, w->data, w->len);
	if (r == LODGE_EMU_MMIO)
		return write_device(e, w);
	return r ? emu_answer(r) : 0;
}

static int write_port(struct lodge_emu *e)
{
	int r;

	if (!e->has_out)
		return 0;
	r = e->ops->pio_out(e->cpu, (uint16_t)e->io.addr, e->io.size, e->io.data, e->io.count);
	if (r == LODGE_EMU_USER) {
		e->state = EMU_WAITS_OUT;
		return LODGE_EMU_NEED_IO;
	}
	e->has_out = false;
	return r ? emu_answer(r) : 0;
}

static int commit_vectors(struct lodge_emu *e)
{
	int r = 0;

	if (e->vec_len)
		r = e->ops->set_vec(e->cpu, e->vec_reg, e->vec, e->vec_len);
	if (e->mmx_dirty)
		r = e->ops->set_mmx(e->cpu, e->vec_reg, e->vec[0]);
	return r ? emu_answer(r) : 0;
}

static void commit_registers(struct lodge_emu *e)
{
	bool tf = e->rflags & FLAG_TF;

	for (unsigned i = 0; i < LODGE_EMU_SEGS; i++) {
		if (e->seg_dirty & 1u << i)
			e->ops->set_seg(e->cpu, i, &e->seg[i]);
	}
	for (unsigned i = 0; i < 2; i++) {
		if (e->table_dirty & 1u << i)
			e->ops->set_table(e->cpu, i, e->table_base[i], e->table_limit[i]);
	}
	__builtin_memcpy(e->gpr, e->w, sizeof(e->gpr));
	e->cpl = e->wcpl;
	e->rflags = e->wflags;
	if (e->kind == EMU_INSN) {
		if (!e->rep_ended)
			e->wrip = e->rip;
		else if (e->insn.op != X86_OP_IRET)
			e->rflags &= ~(uint64_t)FLAG_RF;
		e->trap = tf && !(e->wshadow & LODGE_EMU_SHADOW_SS);
	}
	e->rip = e->wrip;
	e->shadow = e->wshadow;
	e->todo = e->wtodo;
	e->todo_arg = e->wtodo_arg;
	e->seg_dirty = 0;
	e->nanswers = 0;
	e->ahead.at = (uint16_t)(e->ahead.at + e->ahead_used);
}

int emu_commit(struct lodge_emu *e)
{
	int r;

	while (e->nwritten < e->nwrites) {
		r = write_out(e, &e->writes[e->nwritten]);
		if (r)
			return r;
		e->nwritten++;
	}
	r = write_port(e);
	if (!r)
		r = commit_vectors(e);
	if (!r)
		commit_registers(e);
	return r;
}
