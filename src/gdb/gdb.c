// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A session: packets in, answers out; registers and memory.
 * Source: Debugging with GDB, E.2 "Packets". Threads: the monitors'.
 */
#include "gdb/gdb.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gdb/gdb_int.h"

#define FEED_BYTES 512u
#define OUT_HIGH (64u << 10)

/* ---- Answers ------------------------------------------------------------------------------------ */

void gdb_say_bytes(struct gdb *g, const char *data, size_t len)
{
	gdb_out_packet(&g->out, data, len);
}

void gdb_say_text(struct gdb *g, const char *text)
{
	gdb_say_bytes(g, text, strlen(text));
}

void gdb_say_error(struct gdb *g, unsigned n)
{
	char text[4];

	snprintf(text, sizeof(text), "E%02x", n & 0xff);
	gdb_say_text(g, text);
}

bool gdb_thread(const char **p, unsigned cpus, unsigned *cpu, bool *all)
{
	uint64_t n;

	*all = !strncmp(*p, "-1", 2);
	if (*all) {
		*p += 2;
		return true;
	}
	if (!gdb_hex(p, &n) || n > cpus)
		return false;
	*all = !n;
	if (n)
		*cpu = (unsigned)n - 1;
	return true;
}

/* ---- Registers ---------------------------------------------------------------------------------- */

static uint8_t cr8(struct gdb *g)
{
	return vm_debug_cr8(g->vm, g->cpu);
}

static void read_all(struct gdb *g)
{
	const struct x86_state *s = vm_debug_state(g->vm, g->cpu);
	uint8_t value[GDB_REG_BYTES];
	size_t len = 0;

	for (unsigned i = 0; i < g->regs.n; i++) {
		gdb_reg_read(&g->regs, i, s, cr8(g), value);
		gdb_put_hex(g->reply + len, value, g->regs.reg[i].bytes);
		len += 2u * g->regs.reg[i].bytes;
	}
	gdb_say_bytes(g, g->reply, len);
}

/* Those that cannot be what is asked for stay: gdb writes all of them to change one. */
static void write_all(struct gdb *g, const char *hex)
{
	struct x86_state *s = vm_debug_state(g->vm, g->cpu);
	size_t left = strlen(hex), all = 0;
	uint8_t value[GDB_REG_BYTES];
	bool changed = false;

	/* As many as 'g' gives, or none is written. */
	for (unsigned i = 0; i < g->regs.n; i++)
		all += 2u * g->regs.reg[i].bytes;
	if (left != all || strspn(hex, "0123456789abcdefABCDEF") != left) {
		gdb_say_error(g, GDB_EINVAL);
		return;
	}
	for (unsigned i = 0; i < g->regs.n; i++) {
		size_t bytes = g->regs.reg[i].bytes;

		if (!gdb_get_hex(hex, left, value, bytes))
			break;
		changed |= gdb_reg_write(&g->regs, i, s, cr8(g), value) > 0;
		hex += 2 * bytes;
		left -= 2 * bytes;
	}
	if (changed)
		vm_debug_changed(g->vm, g->cpu);
	gdb_say_ok(g);
}

static void read_one(struct gdb *g, const char *args)
{
	uint8_t value[GDB_REG_BYTES];
	uint64_t n;

	if (!gdb_hex(&args, &n) || n >= g->regs.n) {
		gdb_say_error(g, GDB_EINVAL);
		return;
	}
	gdb_reg_read(&g->regs, (unsigned)n, vm_debug_state(g->vm, g->cpu), cr8(g), value);
	gdb_put_hex(g->reply, value, g->regs.reg[n].bytes);
	gdb_say_bytes(g, g->reply, 2u * g->regs.reg[n].bytes);
}

static void write_one(struct gdb *g, const char *args)
{
	uint8_t value[GDB_REG_BYTES];
	uint64_t n;
	int r = -EINVAL;

	if (gdb_hex(&args, &n) && n < g->regs.n && *args == '=' &&
	    gdb_get_hex(args + 1, strlen(args + 1), value, g->regs.reg[n].bytes))
		r = gdb_reg_write(&g->regs, (unsigned)n, vm_debug_state(g->vm, g->cpu), cr8(g),
				  value);
	if (r > 0)
		vm_debug_changed(g->vm, g->cpu);
	if (r < 0)
		gdb_say_error(g, GDB_EINVAL);
	else
		gdb_say_ok(g);
}

/* ---- Memory ------------------------------------------------------------------------------------- */

/* "addr,length" and, behind it, `then`. */
static bool address(const char **p, char then, uint64_t *addr, uint64_t *len)
{
	if (!gdb_hex(p, addr) || *(*p)++ != ',' || !gdb_hex(p, len) || **p != then)
		return false;
	if (then)
		(*p)++;
	return true;
}

static void read_memory(struct gdb *g, const char *args)
{
	uint8_t buf[GDB_PACKET_MAX / 2];
	uint64_t addr, len, got;

	if (!address(&args, '\0', &addr, &len)) {
		gdb_say_error(g, GDB_EINVAL);
		return;
	}
	if (len > sizeof(buf))
		len = sizeof(buf);
	got = vm_debug_read(g->vm, g->cpu, g->physical, addr, buf, len);
	if (len && !got) {
		gdb_say_error(g, GDB_EFAULT);
		return;
	}
	gdb_put_hex(g->reply, buf, got);
	gdb_say_bytes(g, g->reply, 2 * got);
}

static void put_memory(struct gdb *g, uint64_t addr, const void *data, uint64_t len)
{
	if (vm_debug_write(g->vm, g->cpu, g->physical, addr, data, len) == len)
		gdb_say_ok(g);
	else
		gdb_say_error(g, GDB_EFAULT);
}

static void write_memory(struct gdb *g, const char *args)
{
	uint8_t buf[GDB_PACKET_MAX / 2];
	uint64_t addr, len;

	if (address(&args, ':', &addr, &len) && len <= sizeof(buf) &&
	    gdb_get_hex(args, strlen(args), buf, len))
		put_memory(g, addr, buf, len);
	else
		gdb_say_error(g, GDB_EINVAL);
}

/* The same in binary: the data may hold anything. */
static void write_binary(struct gdb *g, const char *args)
{
	uint64_t addr, len;

	if (address(&args, ':', &addr, &len) && len == g->in.len - (size_t)(args - g->in.data))
		put_memory(g, addr, args, len);
	else
		gdb_say_error(g, GDB_EINVAL);
}

/* ---- Threads and the rest ----------------------------------------------------------------------- */

static void choose(struct gdb *g, const char *args)
{
	char what = *args ? *args++ : '\0';
	unsigned cpu = g->cpu;
	bool all;

	if ((what != 'g' && what != 'c') || !gdb_thread(&args, g->cpus, &cpu, &all)) {
		gdb_say_error(g, GDB_EINVAL);
		return;
	}
	if (what == 'g') {
		g->cpu = cpu;
	} else {
		g->run_cpu = cpu;
		g->run_all = all;
	}
	gdb_say_ok(g);
}

static void alive(struct gdb *g, const char *args)
{
	unsigned cpu;
	bool all;

	if (gdb_thread(&args, g->cpus, &cpu, &all) && !all)
		gdb_say_ok(g);
	else
		gdb_say_error(g, GDB_EINVAL);
}

static void let_go(struct gdb *g, bool go)
{
	if (g->attached)
		vm_debug_detach(g->vm, go);
	g->attached = g->runs = false;
	g->n_points = 0;
}

static void detach(struct gdb *g)
{
	let_go(g, true);
	gdb_say_ok(g);
}

static void kill_machine(struct gdb *g)
{
	let_go(g, false);
	vm_ctl_quit(g->vm);
}

static void on_v(struct gdb *g, const char *args)
{
	if (!strncmp(args, "Cont?", 5)) {
		gdb_say_text(g, "vCont;c;C;s;S;r");
	} else if (!strncmp(args, "Cont;", 5)) {
		gdb_on_vcont(g, args + 5);
	} else if (!strncmp(args, "Attach;", 7)) {
		gdb_on_why(g);
	} else if (!strncmp(args, "Kill", 4)) {
		kill_machine(g);
		gdb_say_ok(g);
	} else {
		gdb_say_text(g, "");
	}
}

static void carry_out(struct gdb *g)
{
	const char *args = g->in.data + 1;

	switch (g->in.data[0]) {
	case '?':
		gdb_on_why(g);
		break;
	case '!':
		gdb_say_ok(g);
		break;
	case 'g':
		read_all(g);
		break;
	case 'G':
		write_all(g, args);
		break;
	case 'p':
		read_one(g, args);
		break;
	case 'P':
		write_one(g, args);
		break;
	case 'm':
		read_memory(g, args);
		break;
	case 'M':
		write_memory(g, args);
		break;
	case 'X':
		write_binary(g, args);
		break;
	case 'H':
		choose(g, args);
		break;
	case 'T':
		alive(g, args);
		break;
	case 'Z':
	case 'z':
		gdb_on_points(g, args, g->in.data[0] == 'Z');
		break;
	case 'c':
	case 's':
		gdb_on_go(g, args, g->in.data[0] == 's');
		break;
	case 'q':
		gdb_on_query(g, args);
		break;
	case 'Q':
		gdb_on_set(g, args);
		break;
	case 'v':
		on_v(g, args);
		break;
	case 'D':
		detach(g);
		break;
	case 'k':
		kill_machine(g);
		break;
	default:
		gdb_say_text(g, "");
	}
}

/* The first packet: now the debugger is there. */
static bool attach(struct gdb *g)
{
	struct lodge_err err;
	char text[600];
	bool amd64;

	if (vm_debug_attach(g->vm, &err)) {
		snprintf(text, sizeof(text), "E.%s", err.msg);
		gdb_say_text(g, text);
		g->dead = true;
		return false;
	}
	g->attached = true;
	if (vm_debug_stop(g->vm, &err)) {
		g->dead = true;
		return false;
	}
	amd64 = vm_debug_has_long_mode(g->vm) && !vm_debug_is_32bit(g->vm);
	if (!g->regs.xml && gdb_regs_init(&g->regs, amd64, vm_debug_has_avx(g->vm))) {
		g->dead = true;
		return false;
	}
	return true;
}

static void on_packet(struct gdb *g)
{
	struct lodge_err err;

	if (!g->attached && !attach(g))
		return;
	/* Nothing but an interrupt is due while it runs: what came is answered about a machine that stands. */
	if (g->runs) {
		g->runs = false;
		if (vm_debug_stop(g->vm, &err)) {
			g->dead = true;
			return;
		}
	}
	carry_out(g);
}

/* ---- Bytes -------------------------------------------------------------------------------------- */

/* Ask again. */
static void repeat(struct gdb *g)
{
	char *p;

	if (g->no_ack || !g->out.last || g->out.len < g->out.last)
		return;
	p = malloc(g->out.last);
	if (p) {
		memcpy(p, g->out.p + g->out.len - g->out.last, g->out.last);
		gdb_out_raw(&g->out, p, g->out.last);
		free(p);
	}
}

static void acknowledge(struct gdb *g, const char *sign)
{
	if (!g->no_ack)
		gdb_out_raw(&g->out, sign, 1);
}

void gdb_feed(struct gdb *g, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len && !g->dead; i++) {
		switch (gdb_in_byte(&g->in, bytes[i])) {
		case GDB_GOT_PACKET:
			acknowledge(g, "+");
			on_packet(g);
			break;
		case GDB_GOT_TOO_LONG:
			acknowledge(g, "+");
			gdb_say_text(g, "E.the packet is longer than PacketSize says");
			break;
		case GDB_GOT_DAMAGED:
			acknowledge(g, "-");
			break;
		case GDB_GOT_NAK:
			repeat(g);
			break;
		case GDB_GOT_INTERRUPT:
			gdb_interrupt(g);
			break;
		case GDB_GOT_ACK:
		case GDB_GOT_NOTHING:
			break;
		}
	}
}

size_t gdb_room(const struct gdb *g)
{
	return g->out.len > OUT_HIGH ? 0 : FEED_BYTES;
}

const char *gdb_output(const struct gdb *g, size_t *len)
{
	*len = g->out.len;
	return g->out.p;
}

void gdb_sent(struct gdb *g, size_t len)
{
	gdb_out_take(&g->out, len);
}

bool gdb_dead(const struct gdb *g)
{
	return g->out.lost || (g->dead && !g->out.len);
}

/* ---- Life --------------------------------------------------------------------------------------- */

struct gdb *gdb_new(struct vm *vm)
{
	struct gdb *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->vm = vm;
	g->cpus = vm_debug_cpus(vm);
	g->run_all = true;
	return g;
}

void gdb_free(struct gdb *g)
{
	if (!g)
		return;
	let_go(g, false);
	gdb_regs_free(&g->regs);
	gdb_out_free(&g->out);
	free(g);
}

void gdb_set_monitor(struct gdb *g,
		     void (*fn)(void *opaque, const char *line, struct gdb *g, gdb_say say),
		     void *opaque)
{
	g->monitor = fn;
	g->monitor_opaque = opaque;
}

void gdb_ended(struct gdb *g)
{
	if (g->runs)
		gdb_say_text(g, "W00");
	/* From here on it is not to be asked anything. */
	g->runs = g->attached = false;
	g->dead = true;
}
