// SPDX-License-Identifier: GPL-2.0-or-later
/* Fuzz the 82540EM, with rings and buffers of random content: make t T=fuzz/e1000 */
#include "device_harness.h"
#include "e1000_driver.h"
#include "pci_harness.h"

/* Registers worth writing; the rest by chance. */
static const uint16_t regs[] = {CTRL, EECD,  EERD,     MDIC,  ICR,   ITR,    ICS,   IMS,
				IMC,  RCTL,  TCTL,     RDBAL, RDLEN, RDH,    RDT,   RDTR,
				RADV, TDBAL, TDLEN,    TDH,   TDT,   TIDV,   TADV,  RXCSUM,
				MTA,  RAL0,  RAL0 + 4, VFTA,  VET,   STATUS, GORCL, TDT};

/* Descriptors and data: some sane, some not. */
static void fuzz_ring(struct fuzz_in *in, struct edrv *d)
{
	unsigned i = fuzz_u8(in) % EDRV_DESCS;
	uint8_t how = fuzz_u8(in);
	uint64_t addr = how & 1 ? fuzz_uint(in, 8) : EDRV_DATA + fuzz_uint(in, 2);

	edrv_desc(d, i, addr, (uint32_t)fuzz_uint(in, 4), (uint32_t)fuzz_uint(in, 4));
	if (how & 2)
		st_le64(edrv_p(d, EDRV_RX + DESC_BYTES * i), fuzz_uint(in, 8));
}

static void fuzz_frame(struct fuzz_in *in, struct edrv *d)
{
	static uint8_t f[NET_FRAME_MAX];
	struct net_offload off = {0};
	size_t len = make_tcp4(f, fuzz_uint(in, 2) % 20000, fuzz_u8(in));

	for (unsigned i = 0; i < 8; i++)
		f[fuzz_u8(in) % 80] = fuzz_u8(in);
	if (in->left & 1) {
		off.flags = fuzz_u8(in);
		off.gso_type = fuzz_u8(in);
		off.gso_size = (uint16_t)fuzz_uint(in, 2);
		off.csum_start = (uint16_t)fuzz_uint(in, 2);
		off.csum_offset = fuzz_u8(in);
	}
	send_frame(&d->out.end, f, in->left & 2 ? len : fuzz_uint(in, 2) % len, &off);
}

static void fuzz_register(struct fuzz_in *in, struct edrv *d)
{
	uint8_t how = fuzz_u8(in);
	unsigned off = how & 0x80 ? (unsigned)fuzz_uint(in, 3) & 0x1fffc : regs[how & 31];

	if (how & 0x40)
		edrv_rd(d, off);
	else
		edrv_wr(d, off, (uint32_t)fuzz_uint(in, 4));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	static struct edrv d;

	edrv_init(&d, fake_begin());
	edrv_start(&d, RCTL_UPE);
	for (unsigned step = 0; in.left && step < FUZZ_MAX_STEPS; step++) {
		uint8_t op = fuzz_u8(&in);
		struct fuzz_pci p = {d.bus, d.pb};

		switch (op & 15) {
		case 0:
			fuzz_save_load(e1000_device(d.card));
			break;
		case 1:
			fuzz_load_damaged(&in, e1000_device(d.card));
			break;
		case 2:
			fuzz_pci_config(&in, &p, EDRV_DEVFN);
			break;
		case 3:
			if (op == 3)
				e1000_device(d.card)->cls->reset(e1000_device(d.card));
			pci_config_write(d.pb, EDRV_DEVFN, PCI_BAR0, EDRV_MMIO, 4);
			pci_config_write(d.pb, EDRV_DEVFN, PCI_COMMAND, 7, 2);
			break;
		case 4:
			fuzz_time(&in);
			break;
		case 5:
			d.out.room = fuzz_u8(&in) & 15;
			d.out.end.can = fuzz_u8(&in) & 15;
			net_ready(&d.out.end);
			break;
		case 6:
			net_set_link(&d.out.end, op & 16);
			break;
		case 7:
		case 8:
		case 9:
			fuzz_frame(&in, &d);
			break;
		case 10:
		case 11:
		case 12:
			fuzz_ring(&in, &d);
			break;
		default:
			fuzz_register(&in, &d);
			break;
		}
		for (unsigned i = 0; i < d.out.n; i++)
			FUZZ_CHECK(d.out.len[i] <= NET_FRAME_MAX);
		if (d.out.n > SINK_FRAMES / 2)
			sink_clear(&d.out);
	}
	edrv_free(&d);
	FUZZ_CHECK(list_empty(&fake.loop.timers));
	return 0;
}
