// SPDX-License-Identifier: GPL-2.0-or-later
/* Traces by subsystem. Threads: log_print from any; the set-up functions before threads start. */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/range.h"

uint32_t log_mask;
static FILE *log_file; /* NULL = standard error; set once, before threads start */

static const struct {
	const char *name, *what;
} items[LOG_ITEMS] = {
	[LOG_IN_ASM] = { "in_asm", "guest code when it is first decoded" },
	[LOG_OUT_ASM] = { "out_asm", "host code generated for a block" },
	[LOG_EXEC] = { "exec", "each block entered" },
	[LOG_INT] = { "int", "interrupts and exceptions delivered" },
	[LOG_CPU_RESET] = { "cpu_reset", "processor state at reset and shutdown" },
	[LOG_UNIMP] = { "unimp", "accesses to what is not implemented" },
	[LOG_GUEST_ERR] = { "guest_errors", "what no sane guest does" },
	[LOG_PCI] = { "pci", "PCI configuration" },
	[LOG_IOPORT] = { "ioport", "port accesses nobody answers" },
	[LOG_MMU] = { "mmu", "page faults and flushes" },
	[LOG_IRQ] = { "irq", "interrupt controllers" },
	[LOG_FWCFG] = { "fw_cfg", "firmware configuration items read" },
	[LOG_SANDBOX] = { "sandbox", "what the process keeps in reach when it shuts itself in" },
	[LOG_STATS] = { "stats", "counters of the engine, when the machine ends" },
};

static int log_set_item(const char *name, size_t len)
{
	if (len == 3 && !memcmp(name, "all", 3)) {
		log_mask = (1u << LOG_ITEMS) - 1;
		return 0;
	}
	for (unsigned i = 0; i < LOG_ITEMS; i++) {
		if (strlen(items[i].name) == len && !memcmp(items[i].name, name, len)) {
			log_mask |= 1u << i;
			return 0;
		}
	}
	return -EINVAL;
}

int log_set_items(const char *list, struct lodge_err *err)
{
	while (*list) {
		size_t len = strcspn(list, ",");

		if (log_set_item(list, len))
			return err_set(err, -EINVAL,
				       "-d: no trace item '%.*s' ('-d help' lists them)", (int)len,
				       list);
		list += len;
		list += *list == ',';
	}
	return 0;
}

int log_set_file(const char *path, struct lodge_err *err)
{
	FILE *f = fopen(path, "we");

	if (!f)
		return err_set(err, -errno, "-D %s: %s", path, strerror(errno));
	setvbuf(f, NULL, _IOLBF, 0);
	log_file = f;
	return 0;
}

void log_list_items(FILE *out)
{
	for (unsigned i = 0; i < LOG_ITEMS; i++)
		fprintf(out, "%-14s %s\n", items[i].name, items[i].what);
	fprintf(out, "%-14s %s\n", "all", "everything above");
}

static FILE *log_out(void)
{
	return log_file ? log_file : stderr;
}

void log_lock(void)
{
	flockfile(log_out());
}

void log_unlock(void)
{
	funlockfile(log_out());
}

void log_print(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(log_out(), fmt, ap);
	va_end(ap);
}
