// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The 82540EM's serial EEPROM (a 93C46: 64 words, Microwire) and its PHY (an M88E1011, by MDIC).
 * Source: 317453-006 chapter 5 (EEPROM), §8.5 and §13.4.4 (access), chapter 11 and table 13-6 (PHY).
 * Threads: with the VM lock held.
 *
 * The EEPROM is read-only.
 */
#include <string.h>

#include "base/bytes.h"
#include "devices/net/e1000_int.h"

/* ---- EEPROM -------------------------------------------------------------------------------------
 */

#define EE_SUM 0xbabau

void e1000_eeprom_fill(struct e1000 *s)
{
	/* Table 5-2. Words that are not named are not used. */
	static const struct {
		uint8_t word;
		uint16_t val;
	} fixed[] = {
		{0x03, 0x0000},			/* compatibility */
		{0x04, 0xffff},			/* LEDs: defaults */
		{0x08, 0xffff},			/* PBA number: none */
		{0x09, 0xffff}, {0x0a, 0x4403}, /* signature 01, full duplex, load both identities */
		{0x0b, 0x1100}, {0x0c, 0x1af4}, {0x0d, 0x100e},
		{0x0e, 0x8086}, {0x0f, 0x3000}, /* pause in both directions is announced */
		{0x24, 0x0000},			/* no wake-up */
	};
	uint16_t sum = 0;

	memset(s->eeprom.word, 0xff, sizeof(s->eeprom.word));
	for (unsigned i = 0; i < 3; i++)
		s->eeprom.word[i] = ld_le16(s->cfg.mac + 2 * i);
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		s->eeprom.word[fixed[i].word] = fixed[i].val;
	for (unsigned i = 0; i < EEPROM93_WORDS - 1; i++)
		sum = (uint16_t)(sum + s->eeprom.word[i]);
	s->eeprom.word[EEPROM93_WORDS - 1] = (uint16_t)(EE_SUM - sum);
}

void e1000_eecd_write(struct e1000 *s, uint32_t val)
{
	val &= EECD_SK | EECD_CS | EECD_DI | EECD_FWE | EECD_REQ;
	eeprom93_set(&s->eeprom, val & EECD_CS, val & EECD_SK, val & EECD_DI);
	*e1000_reg(s, EECD) = val;
}

uint32_t e1000_eecd_read(struct e1000 *s)
{
	uint32_t val = *e1000_reg(s, EECD) | EECD_PRES;

	if (val & EECD_REQ)
		val |= EECD_GNT;
	if (eeprom93_out(&s->eeprom))
		val |= EECD_DO;
	return val;
}

/* EERD (§13.4.4): START 0, DONE 4, address 15:8, data 31:16. What it shows after `val` was written. */
uint32_t e1000_eerd(struct e1000 *s, uint32_t val)
{
	uint32_t addr = val >> 8 & 0xff;

	if (!(val & 1))
		return val & 0xff00;
	return addr << 8 | 0x10 |
	       (addr < EEPROM93_WORDS ? (uint32_t)s->eeprom.word[addr] << 16 : 0xffff0000u);
}

/* ---- PHY ----------------------------------------------------------------------------------------
 */

#define PHY_ADDR 1u
#define PCTRL 0u
#define PSTATUS 1u
#define PCTRL_RESET 0x8000u
#define PCTRL_RESTART 0x0200u
#define PSTATUS_LINK 0x0004u
#define PSTATUS_DONE 0x0020u
#define PSSR 17u
#define PSSR_LINK 0x0400u

/* Reset value and writable bits. */
static const struct {
	uint16_t reset, write;
} phy_regs[PHY_REGS] = {
	[0] = {0x1140, 0x7dc0}, /* control: autonegotiation, full duplex, 1000 */
	[1] = {0x7949, 0x0000}, /* status: all modes, extended status, can negotiate */
	[2] = {0x0141, 0x0000}, /* identifier */
	[3] = {0x0c24, 0x0000},	 [4] = {0x0de1, 0xffff}, /* advertisement */
	[5] = {0xcde1, 0x0000},				 /* partner: the same, acknowledged */
	[6] = {0x000f, 0x0000},				 /* partner can negotiate */
	[7] = {0x2001, 0xffff},	 [8] = {0x0000, 0x0000},
	[9] = {0x0e00, 0xffff},	 /* 1000BASE-T control */
	[10] = {0x7c00, 0x0000}, /* 1000BASE-T status: partner full and half duplex */
	[15] = {0x3000, 0x0000}, /* extended status */
	[16] = {0x0068, 0xffff}, /* PHY specific control */
	[17] = {0xa800, 0x0000}, /* PHY specific status: 1000, full duplex, resolved */
	[18] = {0x0000, 0xffff}, [20] = {0x0d60, 0xffff},
	[29] = {0x0000, 0xffff}, [30] = {0x0000, 0xffff},
};

void e1000_phy_reset(struct e1000 *s)
{
	for (unsigned i = 0; i < PHY_REGS; i++)
		s->phy[i] = phy_regs[i].reset;
}

static uint16_t phy_read(const struct e1000 *s, unsigned n)
{
	uint16_t val = s->phy[n];

	if (n == PSTATUS && s->link_up)
		val |= PSTATUS_LINK | PSTATUS_DONE;
	if (n == PSSR && s->link_up)
		val |= PSSR_LINK;
	return val;
}

static void phy_write(struct e1000 *s, unsigned n, uint16_t val)
{
	if (n == PCTRL && (val & PCTRL_RESET)) {
		e1000_phy_reset(s);
		return;
	}
	s->phy[n] = (uint16_t)((s->phy[n] & ~phy_regs[n].write) | (val & phy_regs[n].write));
	/* Negotiation takes no time. */
	if (n == PCTRL && (val & PCTRL_RESTART) && s->link_up)
		e1000_cause(s, INT_LSC);
}

/* MDIC (§13.4.8): data 15:0, register 20:16, PHY 25:21, operation 27:26, ready 28, interrupt 29, error 30. */
void e1000_mdic(struct e1000 *s, uint32_t val)
{
	unsigned reg = val >> 16 & 31, phy = val >> 21 & 31, op = val >> 26 & 3;

	val &= ~(1u << 28 | 1u << 30);
	if (phy != PHY_ADDR || (op != 1 && op != 2))
		val |= 1u << 30;
	else if (op == 1)
		phy_write(s, reg, (uint16_t)val);
	else
		val = (val & 0xffff0000u) | phy_read(s, reg);
	*e1000_reg(s, MDIC) = val | 1u << 28;
	if (val & 1u << 29)
		e1000_cause(s, INT_MDAC);
}
