/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An ATA disk or ATAPI CD-ROM: registers, commands, the data they move. How its cable works is its
 * controller's (ide.c: ports and bus-master DMA; ahci.c: FISes): the drive offers blocks of data and
 * tells of ends of commands through struct ata_host.
 * Source: ATA8-ACS (T13/1699-D), ATA/ATAPI-7 (T13/1532D) volume 2 for PIO and DMA protocols, MMC-5,
 * SPC-3 for the packet commands.
 *
 * Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_STORAGE_ATA_H
#define LODGE_DEVICES_STORAGE_ATA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "block/queue.h"
#include "bus/device.h"

#define ATA_STATUS_BSY 0x80u
#define ATA_STATUS_DRDY 0x40u
#define ATA_STATUS_DF 0x20u
#define ATA_STATUS_DSC 0x10u
#define ATA_STATUS_DRQ 0x08u
#define ATA_STATUS_ERR 0x01u

#define ATA_DEVICE_DEV 0x10u
#define ATA_DEVICE_LBA 0x40u

#define ATA_CONTROL_NIEN 0x02u
#define ATA_CONTROL_SRST 0x04u
#define ATA_CONTROL_HOB 0x80u

#define ATA_CMD_PACKET 0xa0u
#define ATA_CMD_DIAGNOSTIC 0x90u
#define ATA_CMD_DEVICE_RESET 0x08u

#define ATA_PACKET_BYTES 12u

struct ata_drive; /* begins with struct device */

enum ata_kind { ATA_DISK, ATA_CDROM };

struct ata_config {
	enum ata_kind kind;
	struct blk_queue *queue; /* borrowed; NULL: no medium, which only a CD-ROM may lack */
	bool read_only;
	const char *serial; /* at most 20 characters count; "" or NULL: made from `number` */
	unsigned number;
	/* A CD-ROM's tray has moved; may be NULL. */
	void (*tray_moved)(void *opaque, bool open);
	void *opaque;
};

/* The command block. Two bytes deep, for 48-bit commands: the present and the previous content. */
struct ata_regs {
	uint8_t feature[2], count[2], lba0[2], lba1[2], lba2[2];
	uint8_t device, status, error;
};

/* What the drive tells its controller; it may act on the drive at once. */
struct ata_host {
	void *opaque;
	/* A block of data is to be moved by PIO (ata_block); with INTRQ if `irq`. */
	void (*pio)(void *opaque, struct ata_drive *d, bool irq);
	/* DMARQ: call ata_dma_go() when the DMA engine runs. */
	void (*dma)(void *opaque, struct ata_drive *d);
	/*
	 * Move `len` bytes between `buf` and the guest's memory, from byte `off` of the command's
	 * data on. Returns how many bytes the guest had described memory for.
	 */
	uint32_t (*dma_move)(void *opaque, struct ata_drive *d, uint64_t off, uint8_t *buf,
			     uint32_t len, bool to_guest);
	/* A command has ended; status is final. */
	void (*done)(void *opaque, struct ata_drive *d, bool irq);
	/* A soft reset has ended; the registers hold the signature. May be NULL. */
	void (*reset_done)(void *opaque, struct ata_drive *d);
	/* The drive is about to be freed. */
	void (*gone)(void *opaque, struct ata_drive *d);
};

/* NULL and a sentence on failure. The configuration is copied. */
struct ata_drive *ata_drive_new(const struct ata_config *cfg, struct lodge_err *err);
/* Waits for its requests. NULL is allowed. */
void ata_drive_free(struct ata_drive *d);
struct device *ata_drive_device(struct ata_drive *d);
/* Once, before use. `host` is copied. */
void ata_drive_attach(struct ata_drive *d, const struct ata_host *host, bool sata);

bool ata_is_cdrom(const struct ata_drive *d);
struct ata_regs *ata_drive_regs(struct ata_drive *d);
struct blk_queue *ata_drive_queue(struct ata_drive *d);
uint64_t ata_drive_sectors(const struct ata_drive *d); /* of 512 bytes; disks */
bool ata_drive_read_only(const struct ata_drive *d);
/* Neither a command nor a reset is under way. */
bool ata_drive_idle(const struct ata_drive *d);
/* A request to the image is under way. */
bool ata_drive_busy(const struct ata_drive *d);

/* The command register was written. Ignored while another is under way, but for DEVICE RESET. */
void ata_execute(struct ata_drive *d, uint8_t cmd);
/* The SRST bit went up (`on`) or down; or COMRESET, which is both. */
void ata_soft_reset(struct ata_drive *d, bool on);
/* EXECUTE DEVICE DIAGNOSTIC, which both drives of a cable do; the host is not told. */
void ata_diagnose(struct ata_drive *d);

/* What programmed I/O is to move. NULL and 0 when there is nothing. */
struct ata_block {
	uint8_t *data;
	uint32_t len;
	bool to_host;
	bool packet; /* a command packet */
};
struct ata_block ata_block(struct ata_drive *d);
/* All of the block was moved. */
void ata_block_done(struct ata_drive *d);
/* The DMA engine runs; harmless when the drive waits for nothing. */
void ata_dma_go(struct ata_drive *d);
/* Does the drive wait for the DMA engine? And which way: true to the guest's memory. */
bool ata_dma_wanted(const struct ata_drive *d);

/* NCQ (AHCI): what READ LOG EXT page 10h tells of the last failed command. */
void ata_set_ncq_error(struct ata_drive *d, unsigned tag, uint8_t status, uint8_t error,
		       uint64_t lba, uint8_t device);

/* ---- CD-ROM: the medium ------------------------------------------------------------------------- */

/* A new medium, or NULL for none; the guest hears of it. Requests to the old one end first. */
void ata_set_medium(struct ata_drive *d, struct blk_queue *queue);
/* The guest has locked the door. */
bool ata_medium_locked(const struct ata_drive *d);
/* The eject button: opens the tray, or if locked asks the guest to. */
void ata_press_eject(struct ata_drive *d);
bool ata_tray_open(const struct ata_drive *d);
/* By force, whether it is locked or not. */
void ata_move_tray(struct ata_drive *d, bool open);

#endif
