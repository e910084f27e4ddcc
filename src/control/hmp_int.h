/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The monitor for people: its tables of commands. Private to src/control. Threads: the control thread's. */
#ifndef LODGE_CONTROL_HMP_INT_H
#define LODGE_CONTROL_HMP_INT_H

#include "control/mon_int.h"

#define HMP_WORDS 16

/* One line being carried out. */
struct hmp {
	struct mon *m;
	struct vm *vm;
	struct mon_buf *out; /* lines end in "\n" */
	const char *format;  /* of "x/FORMAT", or NULL */
	struct lodge_err err;
};

struct hmp_command {
	const char *name, *alias; /* alias may be NULL */
	const char *args, *help;
	int least, most; /* words behind the name */
	/* `word` ends with NULL. A failure is in h->err. */
	int (*run)(struct hmp *h, char **word);
};

/* Each ends with a NULL name. */
extern const struct hmp_command hmp_run_commands[], hmp_device_commands[], hmp_look_commands[],
	hmp_input_commands[], hmp_infos[];
extern const struct hmp_command *const hmp_tables[];

/* Of "info": hmp_look.c, hmp_map.c. */
int hmp_registers(struct hmp *h, char **word);
int hmp_pci(struct hmp *h, char **word);
int hmp_mtree(struct hmp *h, char **word);
int hmp_qtree(struct hmp *h, char **word);
int hmp_device_state(struct hmp *h, char **word);
int hmp_pic(struct hmp *h, char **word);
int hmp_lapic(struct hmp *h, char **word);
int hmp_memory_size(struct hmp *h, char **word);
int hmp_info_mice(struct hmp *h, char **word);

#endif
