// SPDX-License-Identifier: GPL-2.0-or-later
/* Fuzz the RTL8139C+ in both modes: make t T=fuzz/rtl8139 */
#include "device_harness.h"
#include "rtl8139_driver.h"
#include "pci_harness.h"

static void fuzz_frame(struct fuzz_in *in, struct rdrv *d)
{
	static uint8_t f[NET_FRAME_MAX];
	size_t len = make_tcp4(f, fuzz_uint(in, 2) % 2000, fuzz_u8(in));

	for (unsigned i = 0; i < 6; i++)
		f[fuzz_u8(in) % 60] = fuzz_u8(in);
	send_frame(&d->out.end, f, in->left & 2 ? len : fuzz_uint(in, 2) % len, NULL);
}

static void fuzz_register(struct fuzz_in *in, struct rdrv *d)
{
	uint8_t off = fuzz_u8(in), how = fuzz_u8(in);
	unsigned size = 1u << how % 3;

	if (how & 0x40)
		rdrv_rd(d, off, size);
	else
		rdrv_wr(d, off, (uint32_t)fuzz_uint(in, size), size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	static struct rdrv d;

	rdrv_init(&d, fake_begin());
	if (fuzz_u8(&in) & 1)
		rdrv_cplus(&d, RCR_AAP | RCR_AB, fuzz_u8(&in) & 0x7c);
	else
		rdrv_old(&d, RCR_AAP | RCR_AB | fuzz_u8(&in) << 8 | RCR_WRAP);
	for (unsigned step = 0; in.left && step < FUZZ_MAX_STEPS; step++) {
		uint8_t op = fuzz_u8(&in);
		struct fuzz_pci p = {d.bus, d.pb};

		switch (op & 15) {
		case 0:
			fuzz_save_load(rtl8139_device(d.card));
			break;
		case 1:
			fuzz_load_damaged(&in, rtl8139_device(d.card));
			break;
		case 2:
			fuzz_pci_config(&in, &p, RDRV_DEVFN);
			break;
		case 3:
			if (op == 3)
				rtl8139_device(d.card)->cls->reset(rtl8139_device(d.card));
			rdrv_place(&d);
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
			rdrv_desc(&d, op & 16 ? RDRV_TX : RDRV_RX, op >> 5,
				  (uint32_t)fuzz_uint(&in, 4), (uint32_t)fuzz_uint(&in, 3),
				  op & 1 ? fuzz_uint(&in, 8) : RDRV_DATA + fuzz_uint(&in, 2));
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
	rdrv_free(&d);
	FUZZ_CHECK(list_empty(&fake.loop.timers));
	return 0;
}
