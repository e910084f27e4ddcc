// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Any debugger: its bytes in pieces of any size, on a whole machine whose vCPUs do nothing, with stops between.
 * Run: make t T=fuzz/gdb
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../unit/machine/fake_engine.h"
#include "gdb/gdb.h"
#include "machine/debug.h"
#include "machine/vm_int.h"
#include "machine_harness.h"

static struct engine_stop next_stop;

static int no_debug(struct engine *e, const struct engine_point *points, unsigned n,
		    struct lodge_err *err)
{
	(void)e;
	(void)points;
	return n > 100 ? err_set(err, -ENOSPC, "too many") : 0;
}

static void no_debug_cpu(struct vcpu *v, unsigned how)
{
	(void)v;
	(void)how;
}

static struct engine_stop stop_of(const struct vcpu *v)
{
	(void)v;
	return next_stop;
}

static struct vm *make_vm(void)
{
	static struct engine_ops ops;
	char bios[] = FUZZ_BIOS_PATH;
	struct vm_config cfg = {.engine = &ops, .ram_bytes = 16 << 20, .cpus = 2, .bios = bios};

	ops = fake_engine;
	ops.debug = no_debug;
	ops.debug_cpu = no_debug_cpu;
	ops.debug_stop = stop_of;
	fuzz_bios(bios);
	return fuzz_vm(&cfg);
}

/* Bytes 0xf0 and up are no text of a packet here but what the machine does. */
static void happen(struct vm *vm, struct gdb *g, uint8_t what)
{
	/* Without a debugger there are no points to meet. */
	if (!vm->debugged)
		return;
	next_stop = (struct engine_stop){.kind = (enum engine_stop_kind)(1 + what % 3),
					 .point = (enum engine_point_kind)(1 + what / 4 % 3),
					 .lin = 0x1000};
	vm_debug_hit(vm, what & 1);
	gdb_look(g);
}

/* A packet's end with the right sum, so that mutations get through. */
static void end_packet(struct gdb *g, uint8_t sum)
{
	char text[4];

	snprintf(text, sizeof(text), "#%02x", sum);
	gdb_feed(g, text, 3);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct vm *vm;
	struct gdb *g;
	uint8_t sum = 0;
	size_t len;

	if (!vm)
		vm = make_vm();
	g = gdb_new(vm);
	for (size_t i = 0; i < size && !gdb_dead(g); i++) {
		char c = (char)data[i];

		if (data[i] >= 0xf0)
			happen(vm, g, data[i]);
		else if (data[i] == '#')
			end_packet(g, sum);
		else
			gdb_feed(g, &c, 1);
		sum = data[i] == '$' || data[i] >= 0xf0 ? 0 : (uint8_t)(sum + data[i]);
		gdb_output(g, &len);
		if (len > 256u << 10)
			gdb_sent(g, len);
	}
	gdb_free(g);
	if (vm->debugged || vm_debug_stopped(vm))
		abort();
	return 0;
}
