/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside the ATA drive. Private to ata*.c and atapi*.c.
 *
 * A command is a *job* in a *phase*. The job's operations say what comes next; all they need is in saved
 * fields, so that a request under way can be made again from them (submit).
 *
 *   ATA_PIO_IN/OUT  DRQ: the host moves buf[pos, pos + len)            -> job->moved
 *   ATA_DMA         DMARQ: waits for the DMA engine                    -> job->go
 *   ATA_IO          BSY: a request to the image is under way           -> job->io
 *   ATA_RESETTING   a reset waits for such a request to end
 *
 * Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_STORAGE_ATA_INT_H
#define LODGE_DEVICES_STORAGE_ATA_INT_H

#include "devices/storage/ata.h"

#define ATA_SECTOR 512u
#define CD_SECTOR 2048u
#define ATA_BUF_BYTES 8192u
#define ATA_MULT_MAX 16u /* sectors a DRQ block of READ MULTIPLE */
#define ATA_BOUNCE_BYTES 131072u
#define ATA_TRIM_BLOCKS 8u /* of 64 ranges each, in one DATA SET MANAGEMENT */

#define ATA_ERROR_ABRT 0x04u
#define ATA_ERROR_IDNF 0x10u
#define ATA_ERROR_UNC 0x40u

enum ata_phase { ATA_IDLE, ATA_PIO_IN, ATA_PIO_OUT, ATA_DMA, ATA_IO, ATA_RESETTING, ATA_PHASES };

enum ata_job {
	JOB_NONE,
	JOB_READ_PIO,
	JOB_WRITE_PIO,
	JOB_READ_DMA,
	JOB_WRITE_DMA,
	JOB_VERIFY,
	JOB_FLUSH,
	JOB_SEND, /* buf to the host, by PIO or DMA */
	JOB_TRIM,
	JOB_PACKET,
	JOB_CD_REPLY,
	JOB_CD_READ,
	ATA_JOBS
};

struct ata_job_ops {
	void (*moved)(struct ata_drive *d);
	void (*go)(struct ata_drive *d);
	void (*submit)(struct ata_drive *d);
	void (*io)(struct ata_drive *d, int result);
};
extern const struct ata_job_ops ata_disk_jobs[ATA_JOBS], ata_cd_jobs[ATA_JOBS];

struct ata_drive {
	struct device dev; /* first */
	struct ata_host host;
	struct blk_queue *queue;
	void (*tray_moved)(void *opaque, bool open);
	void *tray_opaque;
	uint8_t kind;
	bool sata, read_only;
	bool default_cache; /* write cache after a reset */
	char serial[21];
	uint64_t sectors;   /* of 512 bytes; a CD's of 2048 */
	uint16_t cylinders; /* the default CHS geometry: 16 heads, 63 sectors */

	/* Saved from here on. */
	struct ata_regs r;
	uint8_t cmd; /* the last command */
	uint8_t phase, job;
	uint8_t dma;	  /* this command moves its data by DMA */
	uint8_t srst;	  /* the SRST bit is up */
	uint8_t diagnose; /* the reset under way is a diagnostic */
	uint8_t standby;
	uint8_t mult;	   /* SET MULTIPLE MODE; 0: none */
	uint8_t xfer_mode; /* SET FEATURES 03h: 0x20 | n multiword, 0x40 | n ultra, 0: PIO */
	uint8_t look_ahead;
	uint8_t cache; /* write cache on */
	uint8_t fua;
	uint8_t heads, spt;	/* INITIALIZE DEVICE PARAMETERS */
	uint8_t lba48;		/* how the command addresses, for what an error tells */
	uint32_t left;		/* sectors still to do */
	uint32_t chunk;		/* sectors of the step under way */
	uint32_t most;		/* most sectors a step: 1 once a step failed, to find the bad one */
	uint64_t lba;		/* first sector of the step */
	uint64_t moved;		/* bytes moved by DMA in this command before the step */
	uint32_t pos, len, end; /* PIO: block [pos, pos + len) of buf[0, end) */
	uint8_t ncq_error[16];	/* READ LOG EXT page 10h, its first bytes */
	/* CD-ROM. */
	uint8_t packet[16];
	uint8_t sense_key, asc, ascq;
	uint8_t attention; /* ASC of a unit attention to be reported, or 0 */
	uint8_t media_event; /* for GET EVENT STATUS NOTIFICATION: 1 eject request, 2 new, 3 removed */
	uint8_t tray_open, locked;
	uint32_t limit;	 /* byte count limit of PIO */
	uint32_t remain; /* bytes of the reply or the sectors still to move, PIO */
	uint8_t buf[ATA_BUF_BYTES];
	/* Not saved. */
	uint8_t *bounce; /* ATA_BOUNCE_BYTES for DMA; full only inside a step */
	struct blk_req req;
	struct iovec iov;
	bool busy;    /* req is the queue's */
	bool discard; /* its end is not to be heard of */
};

static inline const struct ata_job_ops *ata_job_ops(const struct ata_drive *d)
{
	return d->kind == ATA_CDROM ? &ata_cd_jobs[d->job] : &ata_disk_jobs[d->job];
}

/* ---- ata.c: what all commands are made of ------------------------------------------------------ */

/* Hand a request to the image; phase is ATA_IO until job->io. */
void ata_submit(struct ata_drive *d, enum blk_op op, uint64_t off, void *buf, uint64_t len);
/* The command ends well; with INTRQ if `irq`. */
void ata_end(struct ata_drive *d, bool irq);
/* It ends with ERR and these bits of the error register. */
void ata_fail(struct ata_drive *d, uint8_t error);
/* Offer buf[pos, pos + len). */
void ata_offer(struct ata_drive *d, bool to_host, bool irq);
/* Wait for the DMA engine. */
void ata_want_dma(struct ata_drive *d);
/* The DMA engine has stopped, or has no memory left for this command: wait until it is started anew. */
void ata_stall(struct ata_drive *d);
/* Send buf[0, len) as a whole: a job of JOB_SEND. */
void ata_send(struct ata_drive *d, uint32_t len, bool dma);
void ata_signature(struct ata_drive *d);
/* Size and geometry from the image. */
void ata_measure(struct ata_drive *d);

/* ---- ata_cmd.c, ata_rw.c, ata_identify.c, atapi.c ----------------------------------------------- */

struct ata_cmd {
	void (*disk)(struct ata_drive *d); /* NULL: aborted */
	void (*cdrom)(struct ata_drive *d);
	uint8_t flags;
};
#define ATA_CMD_EXT 1u /* 48-bit */
#define ATA_CMD_DMA 2u
#define ATA_CMD_MULT 4u
#define ATA_CMD_WRITE 8u
#define ATA_CMD_FUA 16u
extern const struct ata_cmd ata_cmds[256];

void ata_cmd_rw(struct ata_drive *d);
void ata_cmd_verify(struct ata_drive *d);
void ata_cmd_flush(struct ata_drive *d);
void ata_cmd_trim(struct ata_drive *d);
void ata_cmd_identify(struct ata_drive *d);
void ata_cmd_identify_packet(struct ata_drive *d);
void ata_cmd_packet(struct ata_drive *d);
void ata_send_moved(struct ata_drive *d);
void ata_send_go(struct ata_drive *d);
/* Do the saved fields of the job hold what it relies on? */
bool ata_job_restorable(const struct ata_drive *d);

bool atapi_job_restorable(const struct ata_drive *d);

/* MMC's commands: atapi_cmd.c. A reply is in buf[0, n); see atapi.c. */
void atapi_reply(struct ata_drive *d, uint32_t n, uint32_t alloc);
void atapi_ok(struct ata_drive *d);
void atapi_fail(struct ata_drive *d, uint8_t key, uint8_t asc, uint8_t ascq);
void atapi_read(struct ata_drive *d, uint32_t lba, uint32_t n);
/* The tray opens or closes; who wants to know is told if it moves. */
void atapi_move_tray(struct ata_drive *d, bool open);
bool atapi_has_medium(const struct ata_drive *d);
/* Execute d->packet. */
void atapi_execute(struct ata_drive *d);

#define SENSE_NONE 0x0u
#define SENSE_NOT_READY 0x2u
#define SENSE_MEDIUM_ERROR 0x3u
#define SENSE_ILLEGAL_REQUEST 0x5u
#define SENSE_UNIT_ATTENTION 0x6u

#define ASC_UNRECOVERED_READ 0x11u
#define ASC_INVALID_OPCODE 0x20u
#define ASC_LBA_RANGE 0x21u
#define ASC_INVALID_FIELD 0x24u
#define ASC_MEDIUM_CHANGED 0x28u
#define ASC_RESET 0x29u
#define ASC_SAVING_PARAMETERS 0x39u
#define ASC_NO_MEDIUM 0x3au
#define ASC_REMOVAL_PREVENTED 0x53u
#define ASC_ILLEGAL_MODE 0x64u

#endif
