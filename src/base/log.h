/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Traces by subsystem (`-d LIST -D FILE`) and messages for the person at the terminal.
 * The set of enabled traces is the one process-wide variable: a process is one VM, and it is
 * written once, before any other thread starts.
 */
#ifndef LODGE_BASE_LOG_H
#define LODGE_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "base/err.h"

enum log_item {
	LOG_IN_ASM,     /* in_asm: guest code when it is first decoded */
	LOG_OUT_ASM,    /* out_asm: generated host code */
	LOG_EXEC,       /* exec: each block entered */
	LOG_INT,        /* int: interrupts and exceptions delivered */
	LOG_CPU_RESET,  /* cpu_reset: processor state at reset and shutdown */
	LOG_UNIMP,      /* unimp: accesses to what is not implemented */
	LOG_GUEST_ERR,  /* guest_errors: what no sane guest does */
	LOG_PCI,        /* pci */
	LOG_IOPORT,     /* ioport: port accesses nobody answers */
	LOG_MMU,        /* mmu: page faults, flushes */
	LOG_IRQ,        /* irq: interrupt controllers */
	LOG_FWCFG,      /* fw_cfg */
	LOG_STATS,      /* stats: counters of the engine, at the end */
	LOG_SANDBOX,    /* sandbox: what the process keeps in reach */
	LOG_ITEMS
};

extern uint32_t log_mask;

static inline bool log_on(enum log_item item)
{
	return __builtin_expect((log_mask & 1u << item) != 0, 0);
}

/* Enable the items in `list` ("int,guest_errors"; "help" is not handled here). 0 or -EINVAL. */
int log_set_items(const char *list, struct lodge_err *err) MUST_CHECK;
/* Send traces to `path` instead of standard error. 0 or -errno. */
int log_set_file(const char *path, struct lodge_err *err) MUST_CHECK;
/* Print "name  what it traces" lines to `out`, for `-d help`. */
void log_list_items(FILE *out);
/* Write a trace line (no check whether the item is on: callers use log_on first). Any thread. */
void log_print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Lines that this thread prints between these two stay together. They nest. */
void log_lock(void);
void log_unlock(void);

#define log_trace(item, ...)                                                                       \
	do {                                                                                       \
		if (log_on(item))                                                                  \
			log_print(__VA_ARGS__);                                                    \
	} while (0)

#endif
