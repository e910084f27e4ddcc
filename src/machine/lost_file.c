// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Guest memory is mapped from a file, and the file is cut off, or its disk cannot be read: the page that is
 * wanted will never be there. A guest must not go on with anything else in its place, so the process ends at
 * once, with a sentence; for the guest's disks that is as if the plug were pulled.
 *
 * Source: sigaction(2) (SIGBUS). Threads: the handler runs on any thread, on its alternate stack where it has
 * one, and uses async-signal-safe calls only. The data are written once, before any vCPU runs.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/range.h"
#include "chardev/terminal.h"
#include "machine/vm_int.h"

/* Signal dispositions are the process's, so this is too. */
static struct {
	uintptr_t base;
	uint64_t len;
	struct sigaction before;
	char msg[1200];
	size_t msg_len;
} lost;

static void on_bus_error(int sig, siginfo_t *si, void *ctx)
{
	uintptr_t at = (uintptr_t)si->si_addr;

	if (si->si_code > 0 && at - lost.base < lost.len) {
		terminal_leave();
		if (write(STDERR_FILENO, lost.msg, lost.msg_len) < 0)
			_exit(1);
		_exit(1);
	}
	if (lost.before.sa_flags & SA_SIGINFO) {
		lost.before.sa_sigaction(sig, si, ctx);
		return;
	}
	signal(sig, lost.before.sa_handler == SIG_IGN ? SIG_IGN : SIG_DFL);
	if (si->si_code <= 0)
		raise(sig);
}

void vm_watch_file(const struct vm *vm, const char *path)
{
	struct sigaction sa = {.sa_flags = SA_SIGINFO | SA_ONSTACK}, old;
	int n = snprintf(lost.msg, sizeof(lost.msg),
			 "lodge: the saved machine '%.1000s' was cut off or cannot be read any "
			 "more, and this machine's memory is in it; it ends\n",
			 path);

	lost.msg_len = min_u64((uint64_t)(n < 0 ? 0 : n), sizeof(lost.msg) - 1);
	lost.base = (uintptr_t)mem_base(vm->mem);
	lost.len = mem_backing_bytes(vm->mem);
	sa.sa_sigaction = on_bus_error;
	sigemptyset(&sa.sa_mask);
	if (sigaction(SIGBUS, &sa, &old))
		return;
	if (!(old.sa_flags & SA_SIGINFO) || old.sa_sigaction != on_bus_error)
		lost.before = old;
}
