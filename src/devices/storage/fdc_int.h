/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside the floppy controller. Private to fdc*.c.
 *
 * A command is taken byte by byte (FDC_COMMAND), executed (FDC_EXECUTE), and its result read byte by
 * byte (FDC_RESULT). Execution that moves data goes sector by sector; `step` says what it waits for.
 *
 * Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_STORAGE_FDC_INT_H
#define LODGE_DEVICES_STORAGE_FDC_INT_H

#include "devices/storage/fdc.h"

#define FDC_SECTOR 512u
#define FDC_FIFO 16u
#define FDC_UNITS 4u /* that commands can name; the last two are never there */

/* Data rates, as CCR and DSR have them. */
#define FDC_RATE_500K 0u
#define FDC_RATE_300K 1u
#define FDC_RATE_250K 2u
#define FDC_RATE_1M 3u

enum fdc_phase { FDC_COMMAND, FDC_EXECUTE, FDC_RESULT, FDC_PHASES };
enum fdc_step {
	STEP_NONE,
	STEP_IO,	/* a request to the image */
	STEP_TO_HOST,	/* buf[pos, FDC_SECTOR) is for the host */
	STEP_FROM_HOST, /* it is to come from the host */
	STEP_STEPS
};

struct fdc_format {
	uint32_t bytes;
	uint8_t tracks, heads, sectors;
	uint8_t rate; /* data rate of its sectors, as the CCR has it */
	uint8_t type; /* the drive it is usually in */
};

struct fdc_drive {
	uint8_t type; /* FDC_TYPE_NONE: no drive */
	struct blk_queue *queue;
	bool read_only;
	struct fdc_format format; /* of the medium */
	/* Saved. */
	uint8_t track;	 /* where the heads are */
	uint8_t changed; /* the change line */
	uint8_t sector;	 /* the last that went by, for READ ID */
};

struct fdc {
	struct device dev; /* first */
	struct fdc_config cfg;
	struct fdc_drive drive[FDC_UNITS];
	/* Saved. */
	uint8_t dor, tdr, rate, irq;
	uint8_t reset_senses; /* SENSE INTERRUPTs still due after a reset */
	uint8_t seek_st0;     /* of a seek that ended, for SENSE INTERRUPT; 0: none */
	uint8_t specify[2], config[2], perpendicular, lock;
	uint8_t phase, step;
	uint8_t fifo[FDC_FIFO];
	uint8_t fifo_pos, fifo_len;
	uint8_t cmd[FDC_FIFO];	/* the command under way, with its parameters */
	uint8_t cyl, head, sec; /* of the sector under way */
	uint8_t last;		/* no more after it: terminal count */
	uint8_t formatting;	/* sectors of a FORMAT TRACK left */
	uint32_t pos;		/* within buf */
	uint8_t buf[FDC_SECTOR];
	/* Not saved. */
	struct blk_req req;
	struct iovec iov;
	struct blk_queue *req_queue;
	bool busy;    /* req is the queue's */
	bool stale;   /* its command was given up */
	bool unheard; /* nothing is to follow its end */
	bool waiting; /* the next one waits for its end */
};

#define DOR_DRIVE 0x03u
#define DOR_RUN 0x04u
#define DOR_DMA 0x08u

#define SPECIFY_NO_DMA 0x01u
#define CONFIG_IMPLIED_SEEK 0x40u
#define CONFIG_NO_POLL 0x10u

#define ST0_ABNORMAL 0x40u
#define ST0_INVALID 0x80u
#define ST0_SEEK_END 0x20u
#define ST0_EQUIPMENT 0x10u
#define ST0_NOT_READY 0x08u
#define ST1_END 0x80u
#define ST1_DATA 0x20u
#define ST1_NO_DATA 0x04u
#define ST1_WRITE_PROTECT 0x02u
#define ST1_NO_ADDRESS 0x01u
#define ST2_WRONG_CYLINDER 0x10u

/* ---- fdc.c -------------------------------------------------------------------------------------- */

void fdc_set_irq(struct fdc *f, bool on);
/* The drive of the command under way. */
struct fdc_drive *fdc_current(struct fdc *f);
/* The command has no result phase: ready for the next. */
void fdc_ready(struct fdc *f);
/* fifo[0, n) is the result; with an interrupt if `irq`. */
void fdc_result(struct fdc *f, unsigned n, bool irq);

/* ---- fdc_cmd.c ---------------------------------------------------------------------------------- */

/* Bytes of the command that begins with this one. */
unsigned fdc_command_len(uint8_t first);
/* Execute cmd[]. */
void fdc_execute(struct fdc *f);

/* ---- fdc_data.c --------------------------------------------------------------------------------- */

void fdc_read_data(struct fdc *f);
void fdc_write_data(struct fdc *f);
void fdc_verify(struct fdc *f);
void fdc_format_track(struct fdc *f);
/* Result of commands that end with status and address. */
void fdc_end_transfer(struct fdc *f, uint8_t st0, uint8_t st1, uint8_t st2);
/* The DMA channel may be ready, or a byte was moved. */
void fdc_pump(struct fdc *f);
/* (Re)make the request of STEP_IO. */
void fdc_submit(struct fdc *f);
/* Wait for the request; nothing follows. */
void fdc_quiesce(struct fdc *f);
/* Does the medium's data rate fit what is set? */
bool fdc_rate_fits(const struct fdc *f, const struct fdc_drive *d);

#endif
