// SPDX-License-Identifier: GPL-2.0-or-later
/* Fuzz the host bridge: make t T=fuzz/i440fx */
#include "pci_harness.h"
#include "devices/legacy/i440fx.h"

static unsigned told[16]; /* of each 16 KiB block */

static void on_pam(void *opaque, gpa_t gpa, uint32_t len, unsigned attr)
{
	(void)opaque;
	FUZZ_CHECK(gpa >= 0xc0000 && gpa + len <= 0x100000 && attr <= 3);
	for (gpa_t a = gpa; a < gpa + len; a += 0x4000)
		told[(a - 0xc0000) / 0x4000] = attr;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct i440fx_host host = {.pam = on_pam};
	struct fuzz_in in = {data, size};

	fake_begin();

	struct fuzz_pci p = fuzz_pci_new();
	struct i440fx *s = i440fx_new(p.pb, &host, NULL);
	struct device *d = i440fx_device(s);

	d->cls->reset(d);
	for (unsigned step = 0; in.left && step < FUZZ_MAX_STEPS; step++) {
		uint8_t op = fuzz_u8(&in);

		switch (op & 7) {
		case 0:
			fuzz_save_load(d);
			break;
		case 1:
			fuzz_load_damaged(&in, d);
			break;
		case 2:
			i440fx_set_pam(s, op >> 4);
			break;
		case 3:
			if (op == 3)
				d->cls->reset(d);
			break;
		default:
			fuzz_pci_config(&in, &p, 0);
			break;
		}
		fuzz_pci_check(&p, 0, 0x12378086);
		/* What the board was told is what the registers say. */
		for (unsigned i = 0; i < 12; i++) {
			uint32_t reg = pci_config_read(p.pb, 0, 0x5a + i / 2, 1);

			FUZZ_CHECK(told[i] == (reg >> (i % 2 * 4) & 3));
		}
		FUZZ_CHECK(told[15] == (pci_config_read(p.pb, 0, 0x59, 1) >> 4 & 3));
	}
	i440fx_free(s);
	fuzz_pci_free(&p);
	return 0;
}
