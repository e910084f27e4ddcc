/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Drives: what -drive, -hda, -cdrom, -fda and -blockdev name, opened, for the devices that show them.
 * Threads: with the VM lock held, or before threads start.
 */
#ifndef LODGE_MACHINE_DRIVE_H
#define LODGE_MACHINE_DRIVE_H

#include <stdbool.h>

#include "base/list.h"
#include "base/props.h"
#include "block/queue.h"

struct board;

/* if= */
enum drive_if { DRIVE_NONE, DRIVE_IDE, DRIVE_VIRTIO, DRIVE_FLOPPY, DRIVE_PFLASH };

enum drive_shown { SHOWN_NOT, SHOWN_ATA, SHOWN_FLOPPY, SHOWN_VIRTIO, SHOWN_NVME };

struct drive {
	struct list link;
	char *id; /* as given, or made as QEMU makes it: "ide0-hd0" */
	enum drive_if iface;
	unsigned bus, unit; /* IDE: 0..1 each; pflash: unit; others: unit counts */
	bool cdrom;
	bool used;		/* a device has it */
	enum drive_shown shown; /* as what */
	void *device; /* struct ata_drive, virtio_blk, ...; NULL: none that could be asked */
	unsigned device_unit;	 /* a floppy's */
	char device_id[64];	 /* id= of -device, or empty */
	bool snapshot;		 /* what is written goes with the machine */
	bool hot;		 /* it came while the machine ran */
	struct blk *image;	 /* NULL: no medium (a CD or floppy drive's) */
	struct blk_queue *queue; /* NULL without an image */
	bool read_only;
	char serial[41]; /* serial= of -drive, or empty */
	char *said;	 /* the path its option named; NULL: none did */
	struct board *board;
	unsigned errors; /* told to the person so far */
	bool lost;	 /* told that not all was saved */
};

/* Open all of them, in order. Once, before devices. */
int drives_open(struct board *b, struct lodge_err *err) MUST_CHECK;
/* Start the threads of their queues (blk_queue_start). */
int drives_start(struct board *b, struct lodge_err *err) MUST_CHECK;
/*
 * Flush and close. After the devices that use them are gone. -errno, having told the person, when
 * something a guest wrote could not be kept.
 */
int drives_close(struct board *b);
/* As the first half of that. */
int drives_flush(struct board *b);
/* Wait for all that is under way, calling `done` of the devices. For resets, and before devices go. */
void drives_drain(struct board *b);
/* Give up the requests that wait for the machine to go on: the devices are being reset. */
void drives_drop_held(struct board *b);
/* Try those again. */
void drives_resume(struct board *b);
/* All devices are made: a drive that none of them shows is a mistake of the command line. */
int drives_check(struct board *b, struct lodge_err *err) MUST_CHECK;
struct drive *drive_find(struct board *b, const char *id);
/* The device that shows it; `id` may be NULL. `d` NULL: nothing. */
void drive_show(struct drive *d, enum drive_shown as, void *device, const char *id);
/*
 * Another image for a drive whose medium can be changed: opened, with a queue, and not yet shown. The first
 * without the VM lock, since it waits for the disk.
 */
struct drive_medium {
	struct blk *image;
	struct blk_queue *queue;
	bool read_only;
};
int drive_open_image(struct drive *d, const char *path, const char *format, bool read_only,
		     struct drive_medium *m, struct lodge_err *err) MUST_CHECK;
int drive_make_queue(struct drive *d, struct drive_medium *m, struct lodge_err *err) MUST_CHECK;
/* The drive that this device shows, or NULL. */
struct drive *drive_shown_by(struct board *b, const void *device);
/* The drive of this kind at this place, or NULL. */
struct drive *drive_at(struct board *b, enum drive_if iface, unsigned bus, unsigned unit);
/*
 * For -device: the drive that drive=ID names, now used by it; rerror=, werror= and write-cache= of the
 * device are applied. NULL and a sentence if there is none.
 */
struct drive *drive_of(struct board *b, struct props *p, struct lodge_err *err);

#endif
