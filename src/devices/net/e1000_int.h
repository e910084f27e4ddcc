/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside the 82540EM: registers, and what its files ask of each other. Chapter and table numbers are those
 * of the Software Developer's Manual (317453-006).
 * Threads: with the VM lock held.
 */
#ifndef LODGE_DEVICES_NET_E1000_INT_H
#define LODGE_DEVICES_NET_E1000_INT_H

#include "devices/net/e1000.h"
#include "devices/net/eeprom93.h"

/* Registers (table 13-2), byte offsets. */
enum {
	CTRL = 0x0000,
	STATUS = 0x0008,
	EECD = 0x0010,
	EERD = 0x0014,
	CTRL_EXT = 0x0018,
	MDIC = 0x0020,
	FCAL = 0x0028,
	FCAH = 0x002c,
	FCT = 0x0030,
	VET = 0x0038,
	ICR = 0x00c0,
	ITR = 0x00c4,
	ICS = 0x00c8,
	IMS = 0x00d0,
	IMC = 0x00d8,
	RCTL = 0x0100,
	FCTTV = 0x0170,
	TXCW = 0x0178,
	RXCW = 0x0180,
	TCTL = 0x0400,
	TIPG = 0x0410,
	AIFS = 0x0458,
	LEDCTL = 0x0e00,
	PBA = 0x1000,
	FCRTL = 0x2160,
	FCRTH = 0x2168,
	RDBAL = 0x2800,
	RDBAH = 0x2804,
	RDLEN = 0x2808,
	RDH = 0x2810,
	RDT = 0x2818,
	RDTR = 0x2820,
	RXDCTL = 0x2828,
	RADV = 0x282c,
	RSRPD = 0x2c00,
	TXDMAC = 0x3000,
	TDBAL = 0x3800,
	TDBAH = 0x3804,
	TDLEN = 0x3808,
	TDH = 0x3810,
	TDT = 0x3818,
	TIDV = 0x3820,
	TXDCTL = 0x3828,
	TADV = 0x382c,
	TSPMT = 0x3830,
	STATS = 0x4000, /* 64 counters, cleared when read (§13.7) */
	MPC = 0x4010,
	PRC64 = 0x405c,
	GPRC = 0x4074,
	BPRC = 0x4078,
	MPRC = 0x407c,
	GPTC = 0x4080,
	GORCL = 0x4088,
	GORCH = 0x408c,
	GOTCL = 0x4090,
	GOTCH = 0x4094,
	RUC = 0x40a4,
	ROC = 0x40ac,
	TORL = 0x40c0,
	TORH = 0x40c4,
	TOTL = 0x40c8,
	TOTH = 0x40cc,
	TPR = 0x40d0,
	TPT = 0x40d4,
	PTC64 = 0x40d8,
	MPTC = 0x40f0,
	BPTC = 0x40f4,
	TSCTC = 0x40f8,
	STATS_END = 0x4100,
	RXCSUM = 0x5000,
	MTA = 0x5200,
	MTA_END = 0x5400,
	RAL0 = 0x5400,
	RA_END = 0x5480,
	VFTA = 0x5600,
	VFTA_END = 0x5800,
	WUC = 0x5800,
	WUFC = 0x5808,
	WUS = 0x5810,
	MANC = 0x5820,
	E1000_REGS_END = 0x6000,
};

#define CTRL_FD 0x00000001u
#define CTRL_SLU 0x00000040u
#define CTRL_RST 0x04000000u
#define CTRL_VME 0x40000000u
#define CTRL_PHY_RST 0x80000000u
#define STATUS_FD 0x0001u
#define STATUS_LU 0x0002u
#define STATUS_SPEED_1000 0x0080u
#define STATUS_ASDV_1000 0x0300u

/* Interrupt causes (§13.4.17). */
#define INT_TXDW 0x00000001u
#define INT_TXQE 0x00000002u
#define INT_LSC 0x00000004u
#define INT_RXDMT0 0x00000010u
#define INT_RXO 0x00000040u
#define INT_RXT0 0x00000080u
#define INT_MDAC 0x00000200u
#define INT_ALL 0x0001ffffu

#define RCTL_EN 0x00000002u
#define RCTL_UPE 0x00000008u
#define RCTL_MPE 0x00000010u
#define RCTL_LPE 0x00000020u
#define RCTL_LBM 0x000000c0u
#define RCTL_RDMTS_SHIFT 8
#define RCTL_MO_SHIFT 12
#define RCTL_BAM 0x00008000u
#define RCTL_BSIZE_SHIFT 16
#define RCTL_VFE 0x00040000u
#define RCTL_BSEX 0x02000000u
#define RCTL_SECRC 0x04000000u
#define TCTL_EN 0x00000002u
#define TCTL_PSP 0x00000008u

#define RXCSUM_PCSS 0x000000ffu
#define RXCSUM_IPOFL 0x00000100u
#define RXCSUM_TUOFL 0x00000200u

#define EECD_SK 0x001u
#define EECD_CS 0x002u
#define EECD_DI 0x004u
#define EECD_DO 0x008u
#define EECD_FWE 0x030u
#define EECD_REQ 0x040u
#define EECD_GNT 0x080u
#define EECD_PRES 0x100u

#define PHY_REGS 32u
#define DESC_BYTES 16u
/* Descriptors of one frame; and handled in one turn, after which others get the VM lock. */
#define TX_CHAIN_MAX 256u
#define TX_TURN_MAX 1024u

/* A transmit context: what a context descriptor has set (§3.3.6). */
struct e1000_context {
	uint8_t ipcss, ipcso, tucss, tucso;
	uint16_t ipcse, tucse;
	uint32_t paylen;
	uint8_t hdrlen, tucmd;
	uint16_t mss;
};

struct e1000 {
	struct pci_dev pci;
	struct net_end end;
	struct e1000_config cfg;
	uint32_t reg[E1000_REGS_END / 4];
	uint16_t phy[PHY_REGS];
	struct eeprom93 eeprom;
	uint32_t ioaddr;
	struct e1000_context ctx[2]; /* without and with segmentation */
	/* Causes that wait for their delay; when interrupts may come again. */
	uint32_t delayed;
	uint64_t rx_abs_ns, tx_abs_ns, throttle_ns;
	struct io_timer rx_timer, tx_timer, throttle, more;
	uint8_t link_up;
	bool in_tx;
	uint8_t frame[NET_FRAME_MAX];	     /* being sent */
	uint8_t rx_frame[NET_FRAME_MAX + 4]; /* being received; with its FCS */
};

static inline uint32_t *e1000_reg(struct e1000 *s, unsigned off)
{
	return &s->reg[off / 4];
}

/* ---- e1000.c ---------------------------------------------------------------------------------- */

/* Set causes in ICR and drive the interrupt. */
void e1000_cause(struct e1000 *s, uint32_t causes);
/* The same after the receive or transmit delay timers, if they are on. */
void e1000_cause_rx(struct e1000 *s, uint32_t causes);
void e1000_cause_tx(struct e1000 *s, bool delay);
/* Count a frame: `packets` and the low half of `octets` are counter registers. */
void e1000_count(struct e1000 *s, unsigned packets, unsigned octets, size_t len);
static inline void e1000_count_one(struct e1000 *s, unsigned counter)
{
	uint32_t *r = e1000_reg(s, counter);

	*r += *r != UINT32_MAX;
}

/* ---- e1000_rom.c: the serial EEPROM and the PHY ------------------------------------------------- */

void e1000_eeprom_fill(struct e1000 *s);
void e1000_eecd_write(struct e1000 *s, uint32_t val);
uint32_t e1000_eecd_read(struct e1000 *s);
uint32_t e1000_eerd(struct e1000 *s, uint32_t val);
void e1000_phy_reset(struct e1000 *s);
void e1000_mdic(struct e1000 *s, uint32_t val);

/* ---- e1000_tx.c, e1000_rx.c ------------------------------------------------------------------- */

/* Send what the ring holds, as far as it goes. */
void e1000_tx(struct e1000 *s);
bool e1000_receive(void *opaque, const struct iovec *iov, unsigned n,
		   const struct net_offload *off);

#endif
