/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside the RTL8139C+: registers (data sheet chapter 6). Threads: with the VM lock held. */
#ifndef LODGE_DEVICES_NET_RTL8139_INT_H
#define LODGE_DEVICES_NET_RTL8139_INT_H

#include "devices/net/eeprom93.h"
#include "devices/net/rtl8139.h"

enum {
	IDR0 = 0x00,
	MAR0 = 0x08,
	TSD0 = 0x10,  /* four of them; in C+ mode DTCCR */
	TSAD0 = 0x20, /* four; in C+ mode TNPDS and THPDS */
	RBSTART = 0x30,
	ERBCR = 0x34,
	ERSR = 0x36,
	CR = 0x37,
	CAPR = 0x38,
	CBR = 0x3a,
	IMR = 0x3c,
	ISR = 0x3e,
	TCR = 0x40,
	RCR = 0x44,
	TCTR = 0x48,
	MPC = 0x4c,
	CR9346 = 0x50,
	CONFIG0 = 0x51,
	CONFIG1 = 0x52,
	TIMERINT = 0x54,
	MSR = 0x58,
	CONFIG3 = 0x59,
	CONFIG4 = 0x5a,
	MULINT = 0x5c,
	RERID = 0x5e,
	TSAD = 0x60,
	BMCR = 0x62,
	BMSR = 0x64,
	ANAR = 0x66,
	ANLPAR = 0x68,
	ANER = 0x6a,
	CSCR = 0x74,
	CONFIG5 = 0xd8,
	TPPOLL = 0xd9,
	CPCR = 0xe0,
	RDSAR = 0xe4,
	ETTHR = 0xec,
};

#define CR_BUFE 0x01u
#define CR_TE 0x04u
#define CR_RE 0x08u
#define CR_RST 0x10u

#define ISR_ROK 0x0001u
#define ISR_TOK 0x0004u
#define ISR_TER 0x0008u
#define ISR_RXOVW 0x0010u /* C+: no descriptor */
#define ISR_LINK 0x0020u
#define ISR_FOVW 0x0040u
#define ISR_TDU 0x0080u
#define ISR_SWINT 0x0100u
#define ISR_TIMEOUT 0x4000u
#define ISR_ALL 0xe1ffu

#define RCR_AAP 0x01u
#define RCR_APM 0x02u
#define RCR_AM 0x04u
#define RCR_AB 0x08u
#define RCR_WRAP 0x80u
#define RCR_RBLEN_SHIFT 11

#define CPCR_TE 0x0001u
#define CPCR_RE 0x0002u
#define CPCR_RXCSUM 0x0020u
#define CPCR_VLAN 0x0040u

#define TSD_OWN 0x00002000u
#define TSD_TOK 0x00008000u
#define TSD_SIZE 0x00001fffu

#define TCR_LOOPBACK 0x00060000u

#define RTL_REGS 256u
#define RTL_TX_REGS 4u
/* Descriptors handled in one turn; those of one frame. */
#define RTL_TURN_MAX 1024u
#define RTL_CHAIN_MAX 64u

struct rtl8139 {
	struct pci_dev pci;
	struct net_end end;
	struct rtl8139_config cfg;
	uint8_t reg[RTL_REGS]; /* as a driver reads it, apart from what read_reg() adds */
	struct eeprom93 eeprom;
	uint16_t isr;
	uint32_t rx_at;		   /* old mode: where the next frame goes */
	uint32_t rx_desc, tx_desc; /* C+: which descriptor is next */
	uint8_t tx_next;	   /* old mode: which of the four */
	uint8_t link_up;
	uint64_t timer_ns; /* when the counter was 0 */
	struct io_timer timer, more;
	bool in_tx;
	uint8_t frame[NET_FRAME_MAX];
	uint8_t rx_frame[NET_FRAME_MAX + 8];
};

static inline uint32_t rtl_get(const struct rtl8139 *s, unsigned off, unsigned size)
{
	uint32_t v = 0;

	for (unsigned i = size; i-- > 0;)
		v = v << 8 | s->reg[(off + i) % RTL_REGS];
	return v;
}

static inline void rtl_set(struct rtl8139 *s, unsigned off, unsigned size, uint32_t v)
{
	for (unsigned i = 0; i < size; i++)
		s->reg[(off + i) % RTL_REGS] = (uint8_t)(v >> 8 * i);
}

static inline bool rtl_cplus(const struct rtl8139 *s, uint32_t what)
{
	return rtl_get(s, CPCR, 2) & what;
}

/* ---- rtl8139.c ---- */
void rtl8139_cause(struct rtl8139 *s, uint16_t causes);
/* The receive buffer of old mode: its size, and the bytes between what is written and what was read. */
uint32_t rtl8139_rx_size(const struct rtl8139 *s);
bool rtl8139_rx_empty(const struct rtl8139 *s);

/* ---- rtl8139_tx.c, rtl8139_rx.c ---- */
void rtl8139_tx(struct rtl8139 *s);
bool rtl8139_receive(void *opaque, const struct iovec *iov, unsigned n,
		     const struct net_offload *off);

#endif
