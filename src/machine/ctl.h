/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a running machine can be asked and told: the machine's side of monitors.
 *
 * Threads: any but the machine's own (a monitor's), one at a time, between vm_start and vm_stop; each function
 * takes the VM lock for as long as it copies, and waits for disks and helper processes without it. Results
 * are copies.
 */
#ifndef LODGE_MACHINE_CTL_H
#define LODGE_MACHINE_CTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "machine/vm.h"

#define VM_CTL_TEXT 256u
#define VM_CTL_PATH 1024u

/* ---- Events ------------------------------------------------------------------------------------- */

enum vm_event_kind {
	VM_EVENT_SHUTDOWN,
	VM_EVENT_RESET,
	VM_EVENT_STOP,
	VM_EVENT_RESUME,
	VM_EVENT_POWERDOWN,
	VM_EVENT_BLOCK_IO_ERROR,
	VM_EVENT_TRAY_MOVED,
	VM_EVENT_BALLOON,
	VM_EVENT_DEVICE_DELETED, /* device: its id, or "" */
	VM_EVENT_MIGRATION,	 /* save */
	VM_EVENT_EJECTED,	 /* not for clients: vm_ctl_take_out() is due */
	VM_EVENT_DEBUG, /* not for clients either: a vCPU stopped for the debugger (machine/debug.h) */
};

struct vm_event {
	enum vm_event_kind kind;
	enum vm_cause cause; /* SHUTDOWN, RESET */
	char device[64],
		id[64]; /* BLOCK_IO_ERROR, TRAY_MOVED: the drive's, and its -device's (or "") */
	bool write, stopped; /* BLOCK_IO_ERROR */
	int error;	     /* the same: -errno */
	bool open;	     /* TRAY_MOVED */
	uint64_t bytes;	     /* BALLOON: what the guest has now */
	enum vm_save_state save;
};

/* ---- Running ------------------------------------------------------------------------------------ */

enum vm_state { VM_RUNNING, VM_PRELAUNCH, VM_PAUSED, VM_IO_ERROR, VM_SHUT_DOWN, VM_DEBUG };

enum vm_state vm_ctl_state(struct vm *vm);
/* Stop vCPUs and clock; done when it returns. Nothing to do when it is stopped. -ESHUTDOWN: it ends. */
int vm_ctl_stop(struct vm *vm, struct lodge_err *err) MUST_CHECK;
/*
 * Go on, after a stop or a disk error. -EPERM when it is powered off: only a reset helps; -EBUSY while a debugger
 * looks at it, or it is being saved.
 */
int vm_ctl_cont(struct vm *vm, struct lodge_err *err) MUST_CHECK;
void vm_ctl_power_button(struct vm *vm);
void vm_ctl_reset(struct vm *vm);
/*
 * One more at the first serial line, by a stream socket as chardev_hub_add() has it (taken). -ENODEV: there is no
 * such line; -EBUSY: too many are at it.
 */
int vm_ctl_console(struct vm *vm, int fd) MUST_CHECK;
void vm_ctl_quit(struct vm *vm);
/* The machine is about to end: what waits for a disk to become idle gives up. Any thread. */
void vm_ctl_hurry(struct vm *vm);

struct vm_ctl_info {
	const char *name; /* or NULL; the configuration's */
	char uuid[37];
	const char *engine, *tier;
	unsigned cpus;
	uint64_t ram_bytes;
};

void vm_ctl_info(struct vm *vm, struct vm_ctl_info *out);

struct vm_ctl_cpu {
	int tid;
	bool halted;
};

void vm_ctl_cpu(struct vm *vm, unsigned cpu, struct vm_ctl_cpu *out);

/* ---- Disks -------------------------------------------------------------------------------------- */

struct vm_ctl_drive {
	char device[64], id[64]; /* the drive's; its -device's (or "") */
	char path[VM_CTL_PATH];	 /* "": no medium */
	char format[16], driver[16];
	uint64_t size;
	bool removable, locked, tray_open, read_only, inserted, snapshot, io_error;
	struct {
		uint64_t ops, bytes, errors;
	} read, write, flush, unmap;
};

#define VM_CTL_DRIVES 64u
/* All of them, VM_CTL_DRIVES at most: how many. */
unsigned vm_ctl_drives(struct vm *vm, struct vm_ctl_drive *out);

/*
 * In these, `name` is the drive's or its device's. -ENODEV: there is none. Errors come with a sentence.
 *
 * Another medium for a CD-ROM or floppy drive: `format` NULL: looked at; read_only of a floppy. A locked door
 * opens with `force` only.
 */
int vm_ctl_change(struct vm *vm, const char *name, const char *path, const char *format,
		  bool read_only, bool force, struct lodge_err *err) MUST_CHECK;
int vm_ctl_eject(struct vm *vm, const char *name, bool force, struct lodge_err *err) MUST_CHECK;
/* A CD-ROM drive's tray; the medium stays in it. */
int vm_ctl_tray(struct vm *vm, const char *name, bool open, bool force,
		struct lodge_err *err) MUST_CHECK;
/* Another size for a disk that can tell its guest. */
int vm_ctl_resize(struct vm *vm, const char *name, uint64_t bytes,
		  struct lodge_err *err) MUST_CHECK;
/* Go on writing to a new qcow2 image that stands on the present one; `existing`: it has been made. */
int vm_ctl_snapshot(struct vm *vm, const char *name, const char *path, bool existing,
		    struct lodge_err *err) MUST_CHECK;

/* ---- Network ------------------------------------------------------------------------------------ */

struct vm_ctl_net {
	char id[64], type[16];
	bool plugged, link_up;
	uint64_t to_guest_frames, to_guest_bytes, from_guest_frames, from_guest_bytes;
};

struct props;

#define VM_CTL_NETS 64u
unsigned vm_ctl_nets(struct vm *vm, struct vm_ctl_net *out);
/* `id` NULL: the first back end that has host forwards. */
int vm_ctl_hostfwd(struct vm *vm, const char *id, bool add, const char *rule,
		   struct lodge_err *err) MUST_CHECK;
/* The rules there are, one a line, each with its back end's id and a blank in front; cut at the end. */
void vm_ctl_hostfwds(struct vm *vm, char *out, size_t size);
/*
 * A back end for a later device_add, as -netdev has it (type=, id= and the rest; `p` stays the caller's); and away with one
 * that no card uses. In the sandbox: type user only.
 */
int vm_ctl_netdev_add(struct vm *vm, struct props *p, struct lodge_err *err) MUST_CHECK;
int vm_ctl_netdev_del(struct vm *vm, const char *id, struct lodge_err *err) MUST_CHECK;
int vm_ctl_set_link(struct vm *vm, const char *id, bool up, struct lodge_err *err) MUST_CHECK;

/* ---- Hotplug ------------------------------------------------------------------------------------ */

/*
 * Add a device, as -device would; its drive= or netdev= is there. `p` (driver= and the rest) stays the
 * caller's. The guest hears of it by ACPI.
 */
int vm_ctl_device_add(struct vm *vm, struct props *p, struct lodge_err *err) MUST_CHECK;
/* Ask the guest to let it go; VM_EVENT_DEVICE_DELETED tells when it has. */
int vm_ctl_device_del(struct vm *vm, const char *id, struct lodge_err *err) MUST_CHECK;
/* After VM_EVENT_EJECTED: take out what guests let go. */
void vm_ctl_take_out(struct vm *vm);
/* A drive for a later device_add; and away with one that no device shows. */
int vm_ctl_drive_add(struct vm *vm, const char *id, const char *path, const char *format,
		     bool read_only, struct lodge_err *err) MUST_CHECK;
int vm_ctl_drive_del(struct vm *vm, const char *id, struct lodge_err *err) MUST_CHECK;

/* ---- A look inside (ctl_look.c, ctl_map.c) ------------------------------------------------------ */

struct x86_state;

/* vCPUs stand still for the moment of these three. -EINVAL: there is no such vCPU; -ESHUTDOWN. */
int vm_ctl_registers(struct vm *vm, unsigned cpu, struct x86_state *out,
		     struct lodge_err *err) MUST_CHECK;
/* Where a linear address of a vCPU lies. -EFAULT: nowhere. */
int vm_ctl_translate(struct vm *vm, unsigned cpu, uint64_t lin, uint64_t *gpa,
		     struct lodge_err *err) MUST_CHECK;
/*
 * Memory at a linear or a physical address, all of it: -EFAULT with *err naming the first address that is not there
 * or is a device's. A machine that runs may write it meanwhile.
 */
int vm_ctl_memory(struct vm *vm, unsigned cpu, bool physical, uint64_t addr, void *buf, size_t len,
		  struct lodge_err *err) MUST_CHECK;
/* Where the host has a physical address, for whoever debugs this process: NULL where there is no memory. */
const void *vm_ctl_host_address(struct vm *vm, uint64_t gpa);
/* The NMI pin of all processors: LINT1 of their local APICs. */
void vm_ctl_nmi(struct vm *vm);

struct vm_ctl_pci {
	char name[64], id[64]; /* class; of -device, or "" */
	uint8_t slot, function, irq, pin;
	uint16_t vendor, device, subsys_vendor, subsys, class_code;
	struct {
		bool io, wide, prefetch, there;
		uint64_t base, size; /* base: UINT64_MAX while it is not mapped */
	} bar[7];
};

#define VM_CTL_PCI 256u
unsigned vm_ctl_pci(struct vm *vm, struct vm_ctl_pci *out);

/* Text, line by line. */
typedef void (*vm_ctl_say)(void *opaque, const char *line);
/* What physical addresses and ports are. */
void vm_ctl_map(struct vm *vm, vm_ctl_say say, void *opaque);
/* All devices, with their places. */
void vm_ctl_devices(struct vm *vm, vm_ctl_say say, void *opaque);
/* What is saved of each device whose class begins with `name`: its registers. -ENODEV: there is none. */
int vm_ctl_device_state(struct vm *vm, const char *name, vm_ctl_say say, void *opaque,
			struct lodge_err *err) MUST_CHECK;

/* ---- Others ------------------------------------------------------------------------------------- */

/* -ENOTCONN: there is no balloon, or no driver for it. */
#define VM_BALLOON_MIN (16u << 20)
int vm_ctl_balloon(struct vm *vm, uint64_t bytes, struct lodge_err *err) MUST_CHECK;
int vm_ctl_query_balloon(struct vm *vm, uint64_t *bytes, struct lodge_err *err) MUST_CHECK;

struct vm_ctl_chardev {
	char label[64], name[VM_CTL_TEXT];
	bool open; /* a device has it */
};

#define VM_CTL_CHARDEVS 72u
unsigned vm_ctl_chardevs(struct vm *vm, struct vm_ctl_chardev *out);

/* The engine's counters, of all vCPUs together (cpu < 0) or of one: `fn` for each. They go on meanwhile. */
void vm_ctl_counters(struct vm *vm, int cpu,
		     void (*fn)(void *opaque, const char *name, const char *what, uint64_t value),
		     void *opaque);

#endif
