/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside the AHCI adapter. Private to ahci*.c.
 *
 * A command's life: the guest sets its bit in CI; ahci_port_run() takes it, in slot order, when the drive is
 * idle. A plain command is `slot` until the drive ends it. A queued one (NCQ) becomes a request of its own,
 * its bit leaves CI at once, and SACT when it has ended. Plain and queued ones never overlap.
 *
 * Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_STORAGE_AHCI_INT_H
#define LODGE_DEVICES_STORAGE_AHCI_INT_H

#include "bus/msi.h"
#include "devices/storage/ahci.h"

#define AHCI_SLOTS 32u
#define AHCI_NO_SLOT 0xffu

/* Port registers, by number of doubleword. */
enum {
	PX_CLB,
	PX_CLBU,
	PX_FB,
	PX_FBU,
	PX_IS,
	PX_IE,
	PX_CMD,
	PX_RESERVED,
	PX_TFD,
	PX_SIG,
	PX_SSTS,
	PX_SCTL,
	PX_SERR,
	PX_SACT,
	PX_CI,
	PX_SNTF,
	PX_REGS
};

#define PXIS_DHRS (1u << 0)
#define PXIS_PSS (1u << 1)
#define PXIS_DSS (1u << 2)
#define PXIS_SDBS (1u << 3)
#define PXIS_DPS (1u << 5)
#define PXIS_PCS (1u << 6)
#define PXIS_PRCS (1u << 22)
#define PXIS_OFS (1u << 24)
#define PXIS_HBFS (1u << 29)
#define PXIS_TFES (1u << 30)

#define PXCMD_ST (1u << 0)
#define PXCMD_SUD (1u << 1)
#define PXCMD_POD (1u << 2)
#define PXCMD_CLO (1u << 3)
#define PXCMD_FRE (1u << 4)
#define PXCMD_FR (1u << 14)
#define PXCMD_CR (1u << 15)
#define PXCMD_ATAPI (1u << 24)
#define PXCMD_ICC 0xf0000000u

#define CMDHDR_WRITE (1u << 6)
#define CMDHDR_CLEAR (1u << 10)

/* How far a command has come through its table of physical regions. */
struct prdt_cursor {
	uint64_t off;	/* bytes of the command moved */
	uint32_t index; /* the next entry */
	uint32_t entries;
	uint64_t table;
	uint64_t addr; /* the present entry */
	uint32_t left;
	bool interrupt; /* the present entry asks for one when it is used up */
};

/* A queued command. Its tag is its slot. */
struct ahci_ncq {
	struct ahci_port *port;
	uint8_t *buf; /* AHCI_NCQ_BYTES while active */
	struct blk_req req;
	struct iovec iov;
	bool write, active;
	uint8_t device;
	uint32_t left, chunk, most; /* sectors */
	uint64_t lba;
	struct prdt_cursor cur;
};
#define AHCI_NCQ_BYTES 131072u

struct ahci_port {
	struct ahci *ahci;
	struct ata_drive *drive;
	/* Saved. */
	uint32_t reg[PX_REGS]; /* TFD, SSTS are made up when read */
	uint8_t slot;	       /* plain command under way, or AHCI_NO_SLOT */
	uint8_t in_reset;      /* COMRESET is held: SCTL.DET = 1 */
	uint8_t halted;	       /* a command failed: nothing runs until ST is cleared */
	uint8_t pio_in;	       /* the command has moved data to the host by PIO */
	uint32_t active;       /* queued commands under way */
	uint64_t pio_off;      /* bytes moved by PIO in this command */
	/* Not saved. */
	bool running, pumping; /* inside ahci_port_run, inside the PIO loop */
	bool pio_irq;	       /* the block offered comes with an interrupt */
	uint8_t fis[64];       /* the command under way */
	struct prdt_cursor cur, prev;
	struct ahci_ncq ncq[AHCI_SLOTS];
};

struct ahci {
	struct pci_dev pci; /* first */
	struct msi msi;
	struct mem *mem;
	uint32_t ghc, is;
	struct ahci_port port[AHCI_PORTS];
};

/* ---- ahci.c ------------------------------------------------------------------------------------- */

/* Set bits of PxIS, and with them the interrupt. */
void ahci_port_raise(struct ahci_port *p, uint32_t is);
bool ahci_can_dma(const struct ahci *a);

/* ---- ahci_port.c -------------------------------------------------------------------------------- */

/* Take what CI asks for, as far as it can be begun. */
void ahci_port_run(struct ahci_port *p);
/* ST was cleared: what is under way is forgotten once it has ended. */
void ahci_port_stop(struct ahci_port *p);
/* Requests are under way. */
bool ahci_port_busy(const struct ahci_port *p);
/* Callbacks for the drive. */
void ahci_port_attach(struct ahci_port *p, struct ata_drive *d);
/* The device sends its registers as after a reset. */
void ahci_port_signature(struct ahci_port *p);
/* Frames to the guest. */
void ahci_send_d2h(struct ahci_port *p, uint32_t is);
void ahci_send_sdb(struct ahci_port *p, uint32_t done, uint8_t status, uint8_t error);

/* Command header and table of `slot`: the cursor at its beginning. False when it cannot be read. */
bool ahci_read_header(struct ahci_port *p, unsigned slot, struct prdt_cursor *cur, uint8_t fis[64],
		      uint32_t *flags);
/* Move up to `len` bytes; less when the table ends. */
uint32_t ahci_prdt_move(struct ahci_port *p, struct prdt_cursor *cur, uint8_t *buf, uint32_t len,
			bool to_guest);
/* Bytes done, into the command header. */
void ahci_write_prdbc(struct ahci_port *p, unsigned slot, uint64_t bytes);

/* ---- ahci_ncq.c --------------------------------------------------------------------------------- */

bool ahci_is_ncq(uint8_t cmd);
/* Begin the queued command in `slot`; p->fis is its frame. */
void ahci_ncq_start(struct ahci_port *p, unsigned slot, const struct prdt_cursor *cur);
/* Wait for all of them, hearing nothing of their ends. */
void ahci_ncq_quiesce(struct ahci_port *p);

#endif
