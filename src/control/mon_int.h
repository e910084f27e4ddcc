/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside the monitors. Private to src/control. Threads: the control thread's. */
#ifndef LODGE_CONTROL_MON_INT_H
#define LODGE_CONTROL_MON_INT_H

#include "control/mon.h"
#include "control/scan.h"
#include "gdb/gdb.h"
#include "input/keys.h"

#define MON_FEED_BYTES 4096u
/* Commands wait while more than this waits to be sent. */
#define MON_OUT_HIGH (256u << 10)
/* A reply may come on top of that; events of a client that reads nothing end here. */
#define MON_OUT_MAX (4u << 20)
#define MON_LINE_MAX 4096u
/* Of one human command's answer. */
#define MON_TEXT_MAX (1u << 20)

struct mon {
	struct vm *vm;
	enum mon_mode mode;
	bool ready; /* QMP: qmp_capabilities was there */
	bool dead;
	unsigned cpu;		 /* HMP: whose registers and addresses are meant */
	bool tell_saves;	 /* QMP: MIGRATION events are wanted */
	struct scan scan;	 /* QMP */
	char line[MON_LINE_MAX]; /* HMP */
	size_t line_len;
	bool line_lost, after_cr;
	struct mon_buf out;
	uint8_t *picture; /* of x-screen-picture, while its pieces are fetched; or NULL */
	size_t picture_len;
	struct gdb *gdb; /* MON_GDB: it has all but `vm` and `mode` */
	void (*before_reply)(void *opaque);
	void *before_opaque;
};

/* ---- QMP: qmp.c and the tables of commands ------------------------------------------------------ */

struct qmp_command {
	const char *name;
	/* "name:t,?name:t": what it takes; t: s string, b boolean, i integer, a anything; ?: need not be.
	 * NULL: not checked. */
	const char *args;
	/* 0 with *ret (owned by the caller; NULL: an empty object), or -errno with a sentence. */
	int (*run)(struct mon *m, json_t *args, json_t **ret, struct lodge_err *err);
};

/* Each ends with a NULL name. */
extern const struct qmp_command qmp_run_commands[], qmp_block_commands[], qmp_device_commands[],
	qmp_save_commands[], qmp_look_commands[], qmp_input_commands[], qmp_screen_commands[],
	qmp_display_commands[];
/* Those tables, NULL at the end; qmp.c's own is the first. */
extern const struct qmp_command *const qmp_tables[];

void qmp_greet(struct mon *m);
/* One JSON value of the client. */
void qmp_take(struct mon *m, const char *text, size_t len);
/* A value that could not be read. */
void qmp_refuse(struct mon *m, const char *desc);
void qmp_send(struct mon *m, json_t *value);
/* The head of what carries out a QMP command: its arguments are checked, *ret is its answer. */
#define COMMAND(name)                                          \
	static int name(struct mon *m __attribute__((unused)), \
			json_t *args __attribute__((unused)),  \
			json_t **ret __attribute__((unused)),  \
			struct lodge_err *err __attribute__((unused)))

/* Arguments that were checked against the table; NULL, false, `other` where they are not there. */
const char *qmp_str(json_t *args, const char *key);
bool qmp_bool(json_t *args, const char *key, bool other);
json_int_t qmp_int(json_t *args, const char *key, json_int_t other);

/* A string of any bytes. */
json_t *qmp_text(const char *text, size_t len);

/* Begin to save the machine to "file:PATH". */
int mon_save(struct mon *m, const char *uri, struct lodge_err *err) MUST_CHECK;
/* "active", "completed", ... */
const char *mon_save_name(enum vm_save_state state);
/* Memory of the guest into a file. */
struct mon_memory {
	unsigned cpu; /* of a linear address */
	bool physical;
	uint64_t addr, bytes;
	const char *path;
};
int mon_save_memory(struct mon *m, const struct mon_memory *what, struct lodge_err *err) MUST_CHECK;
/* Of PCI: base class << 8 | subclass. */
const char *mon_pci_class(uint16_t code);
/* Press these together, hold them, let them go. */
int mon_press(struct mon *m, const enum input_key *keys, unsigned n, int64_t hold_ms,
	      struct lodge_err *err) MUST_CHECK;
/* A picture of the screen to a file of the host. */
int mon_screendump(struct mon *m, const char *path, bool png, struct lodge_err *err) MUST_CHECK;
/* "running", "paused", ... */
const char *mon_state_name(enum vm_state state);

/* ---- HMP: hmp.c --------------------------------------------------------------------------------- */

void hmp_greet(struct mon *m);
void hmp_take(struct mon *m, char byte);
/* Carry out one line; what it says goes to `out`, lines end in "\r\n". */
void hmp_run(struct mon *m, const char *line, struct mon_buf *out);

#endif
