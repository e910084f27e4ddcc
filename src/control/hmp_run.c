// SPDX-License-Identifier: GPL-2.0-or-later
/* HMP: the machine as a whole. Source: QEMU's human monitor. Threads: the control thread's. */
#include <string.h>

#include "control/hmp_int.h"

static int stop(struct hmp *h, char **word)
{
	(void)word;
	return vm_ctl_stop(h->vm, &h->err);
}

static int cont(struct hmp *h, char **word)
{
	(void)word;
	return vm_ctl_cont(h->vm, &h->err);
}

static int quit(struct hmp *h, char **word)
{
	(void)word;
	vm_ctl_quit(h->vm);
	return 0;
}

static int reset(struct hmp *h, char **word)
{
	(void)word;
	vm_ctl_reset(h->vm);
	return 0;
}

static int powerdown(struct hmp *h, char **word)
{
	(void)word;
	vm_ctl_power_button(h->vm);
	return 0;
}

/* As QEMU's where the monitor cannot wait: it says so, and goes on. */
static int migrate(struct hmp *h, char **word)
{
	bool detached = false;
	int r;

	for (; word[0] && word[0][0] == '-' && word[1]; word++)
		detached |= strchr(word[0], 'd') != NULL;
	r = mon_save(h->m, word[0], &h->err);
	if (!r && !detached)
		mon_buf_puts(h->out, "it goes on by itself, as with -d: 'info migrate' says how "
				     "far it is\n");
	return r;
}

static int migrate_cancel(struct hmp *h, char **word)
{
	(void)word;
	vm_ctl_save_cancel(h->vm);
	return 0;
}

const struct hmp_command hmp_run_commands[] = {
	{"stop", "s", "", "stop the machine; its clock stands still", 0, 0, stop},
	{"cont", "c", "", "let it go on", 0, 0, cont},
	{"system_reset", NULL, "", "reset it", 0, 0, reset},
	{"system_powerdown", NULL, "", "press its power button", 0, 0, powerdown},
	{"migrate", NULL, "[-d] file:PATH", "save the machine to a file; it stays stopped", 1, 2,
	 migrate},
	{"migrate_cancel", NULL, "", "give up the save that goes on", 0, 0, migrate_cancel},
	{"quit", "q", "", "end it at once", 0, 0, quit},
	{NULL, NULL, NULL, NULL, 0, 0, NULL},
};
