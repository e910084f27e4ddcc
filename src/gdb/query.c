// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What gdb asks and sets.
 * Source: Debugging with GDB, E.4 "General Query Packets"; QEMU's manual, "GDB usage", for qqemu.*.
 * Threads: the monitors'.
 */
#include <stdio.h>
#include <string.h>

#include "gdb/gdb_int.h"

/* QEMU's bits of qqemu.sstep; ours are always set: interrupts and timers wait during a step. */
#define SSTEP_ALL 7u

/* `args` begins with `name`, and that ends there or at one of `:;,`. What is behind it, or NULL. */
static const char *is(const char *args, const char *name)
{
	size_t n = strlen(name);

	if (strncmp(args, name, n) || (args[n] && !strchr(":;,", args[n])))
		return NULL;
	return args + n + (args[n] != '\0');
}

static void supported(struct gdb *g, const char *args)
{
	char text[200];

	g->swbreak = strstr(args, "swbreak+");
	g->hwbreak = strstr(args, "hwbreak+");
	snprintf(text, sizeof(text),
		 "PacketSize=%x;qXfer:features:read+;QStartNoAckMode+;vContSupported+%s%s",
		 GDB_PACKET_MAX, g->swbreak ? ";swbreak+" : "", g->hwbreak ? ";hwbreak+" : "");
	gdb_say_text(g, text);
}

/* "features:read:target.xml:offset,length" */
static void transfer(struct gdb *g, const char *args)
{
	const char *at = is(args, "features:read:target.xml");
	uint64_t off, len;

	if (!at) {
		gdb_say_text(g, strncmp(args, "features:read:", 14) ? "" : "E00");
		return;
	}
	if (!gdb_hex(&at, &off) || *at++ != ',' || !gdb_hex(&at, &len) || off > g->regs.xml_len) {
		gdb_say_error(g, GDB_EINVAL);
		return;
	}
	if (len > GDB_PACKET_MAX / 2)
		len = GDB_PACKET_MAX / 2;
	g->reply[0] = 'm';
	if (len >= g->regs.xml_len - off) {
		len = g->regs.xml_len - off;
		g->reply[0] = 'l';
	}
	memcpy(g->reply + 1, g->regs.xml + off, len);
	gdb_say_bytes(g, g->reply, len + 1);
}

static void threads(struct gdb *g, bool first)
{
	size_t len = 0;

	if (first)
		g->next_thread = 0;
	for (; g->next_thread < g->cpus && len < 1024; g->next_thread++)
		len += (size_t)snprintf(g->reply + len, sizeof(g->reply) - len, "%c%x",
					len ? ',' : 'm', g->next_thread + 1);
	if (len)
		gdb_say_bytes(g, g->reply, len);
	else
		gdb_say_text(g, "l");
}

static void extra(struct gdb *g, const char *args)
{
	static const char *const states[] = {[X86_RUNNING] = "running",
					     [X86_HALTED] = "halted",
					     [X86_WAIT_SIPI] = "not started",
					     [X86_SHUTDOWN] = "shut down"};
	char text[64], hex[2 * sizeof(text) + 1];
	unsigned cpu = 0;
	bool all;
	int n;

	if (!gdb_thread(&args, g->cpus, &cpu, &all) || all) {
		gdb_say_error(g, GDB_EINVAL);
		return;
	}
	n = snprintf(text, sizeof(text), "CPU#%u [%s]", cpu,
		     states[vm_debug_state(g->vm, cpu)->run_state & 3]);
	gdb_put_hex(hex, text, (size_t)n);
	gdb_say_bytes(g, hex, 2 * (size_t)n);
}

/* What a monitor says, as gdb prints it. */
static void say(struct gdb *g, const char *text, size_t len)
{
	while (len) {
		size_t n = len < GDB_PACKET_MAX / 4 ? len : GDB_PACKET_MAX / 4;

		g->reply[0] = 'O';
		gdb_put_hex(g->reply + 1, text, n);
		gdb_say_bytes(g, g->reply, 2 * n + 1);
		text += n;
		len -= n;
	}
}

static void command(struct gdb *g, const char *hex)
{
	size_t n = strlen(hex) / 2;
	char line[GDB_PACKET_MAX / 2 + 1];

	if (!g->monitor || n >= sizeof(line) || !gdb_get_hex(hex, 2 * n, line, n)) {
		gdb_say_error(g, GDB_EINVAL);
		return;
	}
	line[n] = '\0';
	g->monitor(g->monitor_opaque, line, g, say);
	gdb_say_ok(g);
}

void gdb_on_query(struct gdb *g, const char *args)
{
	const char *at;
	char text[32];

	if ((at = is(args, "Supported")))
		supported(g, at);
	else if ((at = is(args, "Xfer")))
		transfer(g, at);
	else if ((at = is(args, "Rcmd")))
		command(g, at);
	else if ((at = is(args, "ThreadExtraInfo")))
		extra(g, at);
	else if (is(args, "fThreadInfo"))
		threads(g, true);
	else if (is(args, "sThreadInfo"))
		threads(g, false);
	else if (is(args, "Attached"))
		gdb_say_text(g, "1");
	else if (is(args, "Symbol"))
		gdb_say_ok(g);
	else if (is(args, "qemu.sstepbits"))
		gdb_say_text(g, "ENABLE=1,NOIRQ=2,NOTIMER=4");
	else if (is(args, "qemu.sstep"))
		gdb_say_text(g, "0x7");
	else if (is(args, "qemu.PhyMemMode"))
		gdb_say_text(g, g->physical ? "1" : "0");
	else if (!strcmp(args, "C")) {
		snprintf(text, sizeof(text), "QC%x", g->cpu + 1);
		gdb_say_text(g, text);
	} else {
		gdb_say_text(g, "");
	}
}

void gdb_on_set(struct gdb *g, const char *args)
{
	const char *at;
	uint64_t n;

	if (is(args, "StartNoAckMode")) {
		gdb_say_ok(g);
		g->no_ack = true;
	} else if ((at = is(args, "qemu.PhyMemMode"))) {
		g->physical = *at && *at != '0';
		gdb_say_ok(g);
	} else if ((at = is(args, "qemu.sstep"))) {
		if (gdb_hex(&at, &n) && n == SSTEP_ALL)
			gdb_say_ok(g);
		else
			gdb_say_error(g, GDB_EINVAL);
	} else {
		gdb_say_text(g, "");
	}
}
