/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The options of `lodge run`, spelled as QEMU spells them, as tables: what each one sets, and what
 * is known but not there yet. Threads: main only.
 */
#ifndef LODGE_CLI_RUN_OPTS_H
#define LODGE_CLI_RUN_OPTS_H

#include <stdbool.h>
#include <stdio.h>

#include "machine/engines.h"
#include "machine/vm.h"
#include "sandbox/sandbox.h"

#define RUN_STRINGS_MAX 512

struct run_opts {
	struct vm_config vm;
	struct vm_engine_wish accel; /* what -accel and -machine named */
	bool nographic, nodefaults, no_display, vga_std, vga_virtio, vga_said;
	bool usb; /* -usb: the PIIX3's controller */
	struct props *vnc, *web; /* -vnc, -display vnc=; -display web=; or NULL */
	struct props *window;	 /* -display sdl; or NULL */
	struct props *tls;	 /* the -object of vnc's tls-creds, of `objects`; or NULL */
	bool full_screen;
	struct input_layout *layout; /* -k; NULL: a US keyboard */
	unsigned serials;	     /* -serial options so far */
	bool nic_said;		     /* there was a -nic or -net: no card of its own accord */
	bool ram_said, numa_said;    /* there was a -m, a -numa */
	struct vm_options objects;   /* -object */
	const char *memory_backend;  /* the id of the one that is the guest's memory */
	bool daemonize, help;
	const char *pidfile;
	bool no_control;	    /* -control off */
	struct state_file *restore; /* -restore; or NULL */
	char **merged;		    /* with it: its options and those beside it */
	int merged_count;
	const char **said;		/* vm.said */
	struct sandbox_config sandbox;	/* -sandbox, -runas */
	char *strings[RUN_STRINGS_MAX]; /* copies that the configuration points to */
	unsigned string_count;
};

/*
 * Fill `o` from argv[1..]; strings point into argv or belong to `o`. 0; 1 when an option such as
 * `-cpu help` printed what was asked for; -EINVAL with a sentence.
 */
int run_opts_parse(struct run_opts *o, int argc, char **argv, struct lodge_err *err) MUST_CHECK;
void run_opts_free(struct run_opts *o);
/* The option list for `lodge help run`. */
void run_opts_print(FILE *out);

/* ---- Between the files of the option parser ---------------------------------------------------
 */

/* A setter returns 0, 1 ("printed what was asked for") or a negative errno with a sentence. */
struct run_opt {
	const char *name; /* without dashes */
	const char *arg;  /* what its argument is called; NULL: it takes none */
	const char *help;
	int (*set)(struct run_opts *o, const char *val, struct lodge_err *err);
};
/* End with a NULL name. */
extern const struct run_opt run_opts_machine[], run_opts_memory[], run_opts_boot[],
	run_opts_firmware[], run_opts_disks[], run_opts_console[], run_opts_net[],
	run_opts_display[], run_opts_process[];

/* A copy of `s` that lives as long as `o`; NULL when there are too many, or no memory. */
const char *run_opts_keep(struct run_opts *o, const char *s);

/* The -object that is the guest's memory; and, when all options were read, what they say together. */
int run_opts_memory_backend(struct run_opts *o, const char *id, struct lodge_err *err) MUST_CHECK;
int run_opts_check_memory(struct run_opts *o, struct lodge_err *err) MUST_CHECK;

/* ---- opts_display.c ----------------------------------------------------------------------------- */

/* Does anybody look at the machine? */
bool run_opts_looked_at(const struct run_opts *o);
/* An -object: 1: it is for encryption, and taken; 0: it is none. */
int run_opts_tls(struct run_opts *o, struct props *p, struct lodge_err *err) MUST_CHECK;
/* When all options were read. */
int run_opts_check_display(const struct run_opts *o, struct lodge_err *err) MUST_CHECK;
void run_opts_free_display(struct run_opts *o);

/* A file name that stands alone is the first disk. */
int run_opts_disk(struct run_opts *o, const char *path, struct lodge_err *err) MUST_CHECK;
/* Parse `text` and put it at the end of `list`; freed with the options. */
int run_opts_add(struct vm_options *list, const char *what, const char *text, const char *implied,
		 struct lodge_err *err) MUST_CHECK;

/* The same; `text` may be a JSON object instead. */
int run_opts_add_json(struct vm_options *list, const char *what, const char *text,
		      const char *implied, struct lodge_err *err) MUST_CHECK;

/* ---- opts_usb.c --------------------------------------------------------------------------------- */

int run_opts_set_usb(struct run_opts *o, const char *val, struct lodge_err *err);
int run_opts_set_usbdevice(struct run_opts *o, const char *val, struct lodge_err *err);
/* The controller of -usb, and the tablet of its own accord. Once, when all options were read. */
int run_opts_add_usb(struct run_opts *o, struct lodge_err *err) MUST_CHECK;

/* Is there such an option, with an argument? Without dashes. */
bool run_opts_takes_value(const char *name);

/* ---- opts_restore.c ----------------------------------------------------------------------------- */

/* What -restore or -incoming names; NULL: neither is there; "" with a sentence: it cannot be. */
const char *run_restore_path(struct run_opts *o, int argc, char **argv, struct lodge_err *err);
/* o->restore, and o->merged of its options and argv's; goes to the folder those were given in. */
int run_restore_merge(struct run_opts *o, const char *path, int argc, char **argv,
		      struct lodge_err *err) MUST_CHECK;
/* vm.said and vm.folder: what of argv describes the machine. */
int run_restore_said(struct run_opts *o, int argc, char **argv, struct lodge_err *err) MUST_CHECK;

/* Options QEMU has and Lodge does not yet: the sentence, or NULL if the name is unknown. */
const char *run_opt_missing(const char *name);

#endif
