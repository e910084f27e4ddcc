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
	if (!(e->seg_known & 1u << n))
		e->ops->get_seg(e->cpu, n, &e->seg[n]);
	e->seg_known = (uint16_t)(e->seg_known | 1u << n);
	return &e->seg[n];
}

void emu_put_seg(struct lodge_emu *e, unsigned n, const struct lodge_emu_seg *s)
{
	e->seg[n] = *s;
	e->seg_known = (uint16_t)(e->seg_known | 1u << n);
	e->seg_dirty = (uint16_t)(e->seg_dirty | 1u << n);
}

bool emu_canonical(const struct lodge_emu *e, uint64_t lin)
{
	unsigned sh = e->cr4 & 0x1000 ? 64 - 57 : 64 - 48; /* CR4.LA57 */

	return (uint64_t)((int64_t)(lin << sh) >> sh) == lin;
}

static bool in_limit(const struct lodge_emu *e, const struct lodge_emu_seg *s, uint64_t off,
		     unsigned len)
{
	uint64_t last = off + len - 1;

	if (EMU_PM(e) && !(s->attr & SEG_ATTR_CODE) && (s->attr & SEG_ATTR_EXPDOWN))
		return off > s->limit && last <= (s->attr & SEG_ATTR_DB ? 0xffffffff : 0xffff);
	/* Across the end of 4 GiB Intel's processors go on at 0 if the segment begins there; AMD's do not. */
	if (s->base == 0 && s->limit == 0xffffffff && e->intel)
		return true;
	return last <= s->limit;
}

static bool type_allows(const struct lodge_emu_seg *s, unsigned access)
{
	bool code = s->attr & SEG_ATTR_CODE, rw = s->attr & SEG_ATTR_WRITE;

	if (access & LODGE_EMU_W)
		return !code && rw;
	return !code || rw;
}

static void check_alignment(struct lodge_emu *e, uint64_t lin, unsigned len)
{
	/* Vectors that must be aligned get #GP in either case. */
	if ((e->insn.flags & X86_IF_ALIGNED) || e->wcpl != 3 || !(e->cr0 & CR0_AM) ||
	    !(e->wflags & FLAG_AC))
		return;
	/* Intel's processors check no vectors of their whole length. */
	if (e->intel && len >= 16)
		return;
	if (e->insn.op == X86_OP_BOUND)
		len /= 2; /* two bounds */
	if (len & (len - 1))
		len = len == 6 ? 2 : len == 10 ? 8 : 1;
	if (lin & (len - 1))
		emu_raise(e, VEC_AC, 0);
}

uint64_t emu_linear(struct lodge_emu *e, unsigned seg, uint64_t off, unsigned len, unsigned access)
{
	const struct lodge_emu_seg *s;
	uint64_t lin;
	bool ok;

	if (EMU_64(e)) {
		lin = off + (seg >= LODGE_EMU_FS ? emu_seg(e, seg)->base : 0);
		ok = emu_canonical(e, lin) && emu_canonical(e, lin + len - 1);
	} else {
		s = emu_seg(e, seg);
		off &= 0xffffffff;
		lin = (s->base + off) & 0xffffffff;
		ok = !EMU_PM(e) || (!s->unusable && type_allows(s, access));
		ok = ok && in_limit(e, s, off, len);
	}
	if (!ok)
		emu_raise(e, seg == LODGE_EMU_SS ? VEC_SS : VEC_GP, 0);
	check_alignment(e, lin, len);
	return lin;
}

/* ---- Devices -------------------------------------------------------------------------------- */

void emu_ask(struct lodge_emu *e, bool port, uint64_t addr, void *buf, unsigned len)
{
	struct lodge_emu_answered *a = &e->answers[e->nasked];
	int r;

	if (e->end)
		return;
	if (e->nasked < e->nanswers && a->port == port && a->addr == addr && a->len == len) {
		__builtin_memcpy(buf, &a->data, len);
		e->nasked++;
		return;
	}
	e->nanswers = e->nasked; /* other questions than last time: its answers are void */
	if (e->nasked >= LODGE_EMU_ANSWERS) {
		emu_end(e, LODGE_EMU_REFUSED);
		return;
	}
	r = port ? e->ops->pio(e->cpu, (uint16_t)addr, len, buf, 1, false)
		 : e->ops->mmio(e->cpu, addr, buf, len, false);
	if (r == LODGE_EMU_USER) {
		e->io.port = port;
		emu_ask_user(e, EMU_WAITS_READ, addr, len, 1);
	} else if (emu_ok(e, r)) {
		*a = (struct lodge_emu_answered){.port = port, .addr = addr, .len = (uint8_t)len};
		__builtin_memcpy(&a->data, buf, len);
		e->nanswers = ++e->nasked;
	}
}

/* A device gets 1, 2, 4 or 8 bytes at a time. */
static unsigned piece(unsigned left)
{
	return left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

/* ---- Reading and queueing ------------------------------------------------------------------- */

uint64_t emu_translate(struct lodge_emu *e, uint64_t lin, unsigned access)
{
	uint64_t gpa = 0;

	if (e->wcpl == 3 && !(access & LODGE_EMU_SYS))
		access |= LODGE_EMU_U;
	if (!e->end)
		emu_ok(e, e->ops->translate(e->cpu, lin, access, &gpa, &e->ex));
	return gpa;
}

/* What the instruction itself has written already; true if there is some. */
static bool overlay(const struct lodge_emu *e, uint64_t gpa, uint8_t *buf, unsigned len)
{
	bool some = false;

	for (unsigned i = 0; i < e->nwrites; i++) {
		const struct lodge_emu_write *w = &e->writes[i];

		for (unsigned k = 0; k < w->len; k++) {
			if (w->gpa + k - gpa >= len)
				continue;
			buf[w->gpa + k - gpa] = w->data[k];
			some = true;
		}
	}
	return some;
}

static void read_gpa(struct lodge_emu *e, uint64_t gpa, uint8_t *buf, unsigned len)
{
	int r;

	if (e->end)
		return;
	r = e->ops->read(e->cpu, gpa, buf, len);
	if (r != LODGE_EMU_MMIO) {
		emu_ok(e, r);
		overlay(e, gpa, buf, len);
		return;
	}
	/* A device cannot be asked for what the instruction is about to write to it. */
	if (overlay(e, gpa, buf, len))
		emu_end(e, LODGE_EMU_REFUSED);
	for (unsigned at = 0; at < len; at += piece(len - at))
		emu_ask(e, false, gpa + at, buf + at, piece(len - at));
}

unsigned emu_in_page(uint64_t lin, unsigned len)
{
	unsigned left = 0x1000 - (unsigned)(lin & 0xfff);

	return left < len ? left : len;
}

/* Where the one or two pages of an access are, before anybody sees something. Bytes in the first. */
static unsigned find_pages(struct lodge_emu *e, uint64_t lin, unsigned len, unsigned access,
			   uint64_t gpa[2])
{
	unsigned n = emu_in_page(lin, len);
	bool wide = EMU_64(e) || (EMU_LONG(e) && (access & LODGE_EMU_SYS));
	uint64_t second = wide ? lin + n : (lin + n) & 0xffffffff;

	gpa[0] = emu_translate(e, lin, access);
	gpa[1] = n < len ? emu_translate(e, second, access) : 0;
	return n;
}

void emu_read_lin(struct lodge_emu *e, uint64_t lin, void *buf, unsigned len, unsigned access)
{
	uint64_t gpa[2];
	unsigned n = find_pages(e, lin, len, access, gpa);

	__builtin_memset(buf, 0, len);
	read_gpa(e, gpa[0], buf, n);
	if (n < len)
		read_gpa(e, gpa[1], (uint8_t *)buf + n, len - n);
}

static void queue(struct lodge_emu *e, uint64_t gpa, const void *buf, unsigned len)
{
	struct lodge_emu_write *w = &e->writes[e->nwrites];

	if (e->nwrites >= LODGE_EMU_QUEUE || len > LODGE_EMU_CHUNK)
		emu_end(e, LODGE_EMU_REFUSED);
	if (e->end || !len)
		return;
	w->gpa = gpa;
	w->len = (uint8_t)len;
	w->done = 0;
	w->locked = false;
	__builtin_memcpy(w->data, buf, len);
	e->nwrites++;
}

void emu_write_lin(struct lodge_emu *e, uint64_t lin, const void *buf, unsigned len,
		   unsigned access)
{
	uint64_t gpa[2];
	unsigned n = find_pages(e, lin, len, access | LODGE_EMU_W, gpa);

	queue(e, gpa[0], buf, n);
	queue(e, gpa[1], (const uint8_t *)buf + n, len - n);
}

uint64_t emu_read_sys(struct lodge_emu *e, uint64_t lin, unsigned len)
{
	uint64_t v = 0;

	emu_read_lin(e, lin, &v, len, EMU_SYS_R);
	return v;
}

void emu_write_sys(struct lodge_emu *e, uint64_t lin, uint64_t v, unsigned len)
{
	emu_write_lin(e, lin, &v, len, LODGE_EMU_SYS);
}

uint64_t emu_read_seg(struct lodge_emu *e, unsigned seg, uint64_t off, unsigned len)
{
	uint64_t lin = emu_linear(e, seg, off, len, LODGE_EMU_R), v = 0;

	emu_read_lin(e, lin, &v, len, LODGE_EMU_R);
	return v;
}

void emu_write_seg(struct lodge_emu *e, unsigned seg, uint64_t off, uint64_t v, unsigned len)
{
	emu_write_lin(e, emu_linear(e, seg, off, len, LODGE_EMU_W), &v, len, LODGE_EMU_W);
}

/* ---- The end -------------------------------------------------------------------------------- */

void emu_begin(struct lodge_emu *e)
{
	bool insn = e->kind == EMU_INSN;

	__builtin_memcpy(e->w, e->gpr, sizeof(e->w));
	e->wrip = insn ? e->next_rip : e->rip;
	e->wflags = e->rflags;
	e->wcpl = e->cpl;
	if (insn)
		e->mode = e->insn.mode;
	e->wshadow = 0;
	e->wtodo = LODGE_EMU_TODO_NONE;
	e->seg_known &= (uint16_t)~e->seg_dirty; /* of a run that did not end */
	e->seg_dirty = 0;
	e->nwrites = 0;
	e->nwritten = 0;
	e->nasked = 0;
	e->vec_len = 0;
	e->rep_ended = true;
	e->has_out = false;
	e->ahead_used = false;
	e->end = 0;
}

/* The rest of a write that no memory takes. */
static void write_device(struct lodge_emu *e, struct lodge_emu_write *w)
{
	while (w->done < w->len && !e->end) {
		unsigned n = piece(w->len - (unsigned)w->done);
		int r = e->ops->mmio(e->cpu, w->gpa + w->done, w->data + w->done, n, true);

		if (r == LODGE_EMU_USER) {
			e->io.port = false;
			__builtin_memcpy(e->io.data, w->data + w->done, n);
			emu_ask_user(e, EMU_WAITS_WRITE, w->gpa + w->done, n, 1);
		} else if (emu_ok(e, r)) {
			w->done = (uint8_t)(w->done + n);
		}
	}
}

static void write_out(struct lodge_emu *e, struct lodge_emu_write *w)
{
	int r = LODGE_EMU_MMIO;

	if (!w->done)
		r = w->locked ? e->ops->cmpxchg(e->cpu, w->gpa, e->old, w->data, w->len)
			      : e->ops->write(e->cpu, w->gpa, w->data, w->len);
	if (r == LODGE_EMU_MMIO)
		write_device(e, w);
	else
		emu_ok(e, r);
}

static void write_port(struct lodge_emu *e)
{
	struct lodge_emu_io *io = &e->io;
	int r = e->ops->pio(e->cpu, (uint16_t)io->addr, io->size, io->data, io->count, true);

	if (r == LODGE_EMU_USER)
		emu_ask_user(e, EMU_WAITS_OUT, io->addr, io->size, io->count);
	else
		emu_ok(e, r);
}

static void commit_registers(struct lodge_emu *e)
{
	bool tf = e->rflags & FLAG_TF;

	for (unsigned i = 0; i < LODGE_EMU_SEGS; i++) {
		if (e->seg_dirty & 1u << i)
			e->ops->set_seg(e->cpu, i, &e->seg[i]);
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
	e->todo = (enum lodge_emu_todo)e->wtodo;
	e->seg_dirty = 0;
	e->nanswers = 0;
	e->ahead.at = (uint16_t)(e->ahead.at + e->ahead_used);
}

void emu_commit(struct lodge_emu *e)
{
	while (e->nwritten < e->nwrites && !e->end) {
		write_out(e, &e->writes[e->nwritten]);
		if (!e->end)
			e->nwritten++;
	}
	if (e->has_out && !e->end)
		write_port(e);
	if (e->vec_len && !e->end)
		emu_ok(e, e->ops->set_vec(e->cpu, e->vec_reg, e->vec, e->vec_len));
	if (!e->end)
		commit_registers(e);
}
