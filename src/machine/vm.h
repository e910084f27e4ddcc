/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A virtual machine's life: set-up, threads, reset, end.
 *
 * Threads: the one that made the VM (main), `io` (the event loop), `vcpuN`. The functions here are
 * main's, except where they say "any thread". Locks: see docs/locking.md.
 */
#ifndef LODGE_MACHINE_VM_H
#define LODGE_MACHINE_VM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "display/source.h"
#include "engine/options.h"

#define VM_SERIALS 4
#define VM_MONITORS 8
#define VM_FWCFG_ITEMS 32
#define VM_CPUS_MAX 64
#define VM_OPTIONS_MAX 64
#define VM_DATA_DIRS 16
#define VM_RAM_MIN (8ull << 20)
#define VM_RAM_MAX (1ull << 40)

/* props_what() of a card that nobody asked for: where it cannot be had, the machine goes without. */
#define VM_DEFAULT_NIC "-nic (of itself)"

struct engine_ops;
struct props;
struct state_file;

/* Options of one kind, in the order given. */
struct vm_options {
	struct props *p[VM_OPTIONS_MAX];
	unsigned n;
};

/* A file for the guest from `-fw_cfg`: its bytes are `string` or the contents of the file `file`.
 */
struct vm_fwcfg_item {
	const char *name, *string, *file;
};

/* -boot: letters of the order and of the first boot alone, as QEMU's: a floppy, c disk, d CD, n network. */
struct vm_boot {
	char order[4], once[4]; /* at most three letters; empty: "cad" */
	bool menu, strict, no_floppy_check;
	bool has_splash_time, has_reboot_timeout;
	uint16_t splash_time_ms;    /* how long the menu's prompt stays */
	uint32_t reboot_timeout_ms; /* when nothing can be booted; ~0: never */
};

/* -monitor, -qmp, -mon. */
enum vm_monitor_mode {
	VM_MONITOR_QMP,
	VM_MONITOR_QMP_PRETTY,
	VM_MONITOR_HMP,
	VM_MONITOR_HMP_ECHO,
	VM_MONITOR_GDB, /* -gdb */
};

struct vm_monitor {
	const char *chardev; /* as -serial spells it, or chardev:ID */
	enum vm_monitor_mode mode;
};

/* What machine to build. All strings are borrowed for the VM's life; NULL means "not given". */
struct vm_config {
	const char *name;
	const struct engine_ops *engine; /* NULL: the software engine */
	struct engine_soft_options soft; /* for that one */
	struct engine_kvm_options kvm;	 /* for the other */
	uint64_t ram_bytes;		 /* VM_RAM_MIN .. VM_RAM_MAX, page-aligned */
	unsigned cpus;			 /* 1 .. VM_CPUS_MAX */
	const char *cpu;		 /* CPU model and features, "max" if NULL */
	const char *kernel, *initrd, *append;
	/*
	 * Firmware image: a path, or a name to look for in data_dirs; NULL: boot the kernel without
	 * firmware, or by the flash of -drive if=pflash.
	 */
	const char *bios;
	const char *data_dirs[VM_DATA_DIRS]; /* before the usual places */
	unsigned n_data_dirs;
	struct vm_boot boot;
	bool bios_on_serial;	       /* what the BIOS prints goes to the first serial port */
	const char *uuid;	       /* as text; NULL: none */
	struct vm_options option_roms; /* -option-rom */
	struct vm_options smbios;
	const char *serial[VM_SERIALS]; /* character device of each UART; NULL: no UART */
	struct vm_monitor monitors[VM_MONITORS];
	unsigned n_monitors;
	const char *debugcon; /* character device of ports 0xe9 and 0x402 */
	bool debug_exit;      /* isa-debug-exit */
	uint16_t debug_exit_base, debug_exit_size;
	bool no_reboot;	  /* a reset ends the VM */
	bool no_shutdown; /* a power-off stops the vCPUs, and the process stays */
	bool rtc_localtime;
	bool start_stopped; /* -S */
	bool no_stdio;	    /* the process has no terminal: refuse stdio back ends */
	struct vm_fwcfg_item fwcfg[VM_FWCFG_ITEMS];
	unsigned fwcfg_items;
	const char *cidata; /* a cloud-init seed: a folder, or the user-data */
	/* -drive and its short forms; -blockdev; -netdev, -nic; -device. The caller's, for the VM's life. */
	struct vm_options drives, blockdevs, netdevs, devices;
	struct vm_options chardevs; /* -chardev */
	struct vm_options fsdevs, virtfs;
	struct vm_options shares; /* -share */
	bool snapshot;		  /* what guests write to -drive goes when the machine ends */
	/* What describes the machine in a saved one: options of the command line, and the folder they were given in. */
	const char *const *said;
	unsigned n_said;
	const char *folder;
	/* The process shuts itself in before vm_start; who starts NAT processes for it then (net_host.starter). */
	bool shut_in;
	int net_starter;
	/* Go on with this saved machine instead of booting; borrowed until vm_new() returns. */
	struct state_file *restore;
	bool restore_check; /* all of its memory is read and compared with its checksums first */
	/* Called by vm_start() when its threads are there and no guest instruction has run; -errno ends it. */
	int (*before_run)(void *opaque, struct lodge_err *err);
	void *before_run_opaque;
};

/* How a VM ended. */
struct vm_end {
	int code;      /* for exit() */
	char msg[512]; /* a sentence for the person, or empty */
};

/* Who wanted a reset or an end. */
enum vm_cause {
	VM_CAUSE_GUEST_SHUTDOWN,
	VM_CAUSE_GUEST_RESET,
	VM_CAUSE_QUIT,
	VM_CAUSE_CONTROL_RESET,
	VM_CAUSE_SIGNAL,
	VM_CAUSE_CONSOLE, /* Ctrl-A x */
	VM_CAUSE_ERROR,
};

struct vm;
struct vm_event;

/*
 * Build the machine and load what it boots; nothing runs yet. NULL and a sentence in `err` when
 * something is missing; nothing is left behind then. Takes no thread.
 */
struct vm *vm_new(const struct vm_config *cfg, struct lodge_err *err);
/*
 * `fn` hears of every event (machine/ctl.h): on any thread, often with the VM lock held, so it must neither
 * wait nor call back. Before vm_start.
 */
void vm_set_listener(struct vm *vm, void (*fn)(void *opaque, const struct vm_event *ev),
		     void *opaque);
/*
 * `fn` gets a connected socket for each client of a monitor, which is then its own; with the VM lock held,
 * or before threads start. Before vm_start.
 */
void vm_set_monitor_host(struct vm *vm, void (*fn)(void *opaque, enum vm_monitor_mode mode, int fd),
			 void *opaque);
/* There is a first serial line; take clients for it from a listening Unix socket (taken). Before vm_start. */
bool vm_has_console(const struct vm *vm);
int vm_console_listen(struct vm *vm, int fd, struct lodge_err *err) MUST_CHECK;
/* Start the io and vCPU threads. 0 or -errno; vm_free is due in both cases. */
int vm_start(struct vm *vm, struct lodge_err *err) MUST_CHECK;

/* A descriptor that polls readable when vm_service has something to do. */
int vm_event_fd(const struct vm *vm);
/*
 * Do what threads asked for: a reset, a power-off. Returns true when the VM has ended, with `end`
 * filled; false to go on polling.
 */
bool vm_service(struct vm *vm, struct vm_end *end);

/* Any thread, with or without the VM lock; end the VM with exit code `code`; the first request of
 * several counts. */
void vm_request_end(struct vm *vm, int code, const char *msg);
/* The same, with what the SHUTDOWN event says. */
void vm_request_end_by(struct vm *vm, int code, const char *msg, enum vm_cause cause);
/* The machine ends by a signal: the event of vm_service() for an end that did not come through it. */
void vm_tell_end(struct vm *vm, enum vm_cause cause);
/* The same: ask for a reset, or (power-off) for the end that -no-shutdown turns into a stop. */
void vm_request_reset(struct vm *vm);
void vm_request_poweroff(struct vm *vm);

/*
 * Write the machine to a file, by a thread of its own: it is stopped first and stays so; a failure lets it go on if it
 * ran, and leaves no file. -errno with a sentence when it does not begin. As machine/ctl.h.
 */
int vm_ctl_save(struct vm *vm, const char *path, struct lodge_err *err) MUST_CHECK;
/* It ends as soon as it can; nothing when there is none. */
void vm_ctl_save_cancel(struct vm *vm);
/* The same, and wait for it: before vm_stop, when no monitor can start another. */
void vm_ctl_save_end(struct vm *vm);

struct vm_saved {
	/* Of guest memory, firmware, video; looked at so far; written so far, being not zero. */
	uint64_t memory_bytes, done_bytes, data_bytes;
	uint64_t stop_ns, total_ns; /* until vCPUs and disks stood still; in all */
};
/* What became of the last one, or how far it is: *why when it failed. Any thread. */
enum vm_save_state {
	VM_NEVER_SAVED,
	VM_SAVE_SETUP,
	VM_SAVING,
	VM_SAVE_CANCELLING,
	VM_SAVED,
	VM_SAVE_FAILED,
	VM_SAVE_CANCELLED,
};
enum vm_save_state vm_ctl_saved(struct vm *vm, struct vm_saved *out, struct lodge_err *why);

/*
 * Try again the disk requests that failed and stopped the machine (werror=stop, rerror=stop), and let the
 * vCPUs go on, unless somebody else stopped them. Nothing when it is not stopped for that.
 */
void vm_continue(struct vm *vm);

/*
 * What the first display adapter shows: as a picture; as text, where letters of a console in a frame buffer are
 * read from its picture (-ENODATA and a sentence when what it shows is none); as a file (display_picture_save).
 * -ENODEV without an adapter. Any thread, without the VM lock.
 */
int vm_screen_draw(struct vm *vm, struct display_picture *pic, struct lodge_err *err) MUST_CHECK;
/* The same, where only those lines (of vm_screen_changed()) of the picture in *pic are to be drawn again. */
int vm_screen_draw_lines(struct vm *vm, struct display_picture *pic, struct display_lines lines,
			 struct lodge_err *err) MUST_CHECK;
int vm_screen_text(struct vm *vm, struct display_text *text, struct lodge_err *err) MUST_CHECK;
/* Which lines of the picture may have changed since the last call (display/source.h); none without an adapter. */
struct display_lines vm_screen_changed(struct vm *vm);
/*
 * Somebody would like a picture of that size, which is possible with some adapters. The guest is told, and takes it or not. -ENODEV, -ENOTSUP with a
 * sentence. Any thread, without the VM lock.
 */
bool vm_screen_resizes(struct vm *vm);
int vm_screen_resize(struct vm *vm, uint32_t width, uint32_t height,
		     struct lodge_err *err) MUST_CHECK;
int vm_screenshot(struct vm *vm, const char *path, struct lodge_err *err) MUST_CHECK;

/* Stop and join all threads: nothing runs any more. vm_free is due. */
void vm_stop(struct vm *vm);
/*
 * After vm_stop: wait for disk requests that are under way, and bring to the disk what the guest wrote. May
 * take long. -errno, having told the person, when not all could be kept.
 */
int vm_flush(struct vm *vm);
/* Stop and join all threads, flush the character devices, free everything. NULL is allowed. */
void vm_free(struct vm *vm);

#endif
