// SPDX-License-Identifier: GPL-2.0-or-later
/* Fuzz virtio-console: make t T=fuzz/virtio_console */
#include "device_harness.h"
#include "fake_chardev.h"
#include "virtio_harness.h"
#include "devices/virtio/virtio_console.h"

static struct fake_chardev chr[2];

static void event(void *opaque, struct fuzz_in *in)
{
	static const uint8_t text[2048];
	uint8_t how = fuzz_u8(in);
	struct fake_chardev *c = &chr[how & 1];

	switch (how >> 1 & 3) {
	case 0:
		c->room = fuzz_u8(in);
		chardev_writable(&c->c);
		break;
	case 1:
		chardev_event(&c->c, (enum chardev_event)(how >> 3 & 1));
		break;
	default:
		FUZZ_CHECK(chardev_can_receive(&c->c) <= 1024);
		fake_chardev_send(c, text, 8u * fuzz_u8(in));
		break;
	}
}

/* A control message, which is as good as any text. */
static void header(void *opaque, struct fuzz_in *in, unsigned q, uint8_t *p)
{
	st_le32(p, fuzz_u8(in) & 3);
	st_le16(p + 4, fuzz_u8(in) & 7);
	st_le16(p + 6, fuzz_u8(in) & 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	static struct fuzz_virtio f;
	struct virtio_config cfg = {.devfn = DRV_DEVFN, .loop = fake_begin(), .vectors = 2};
	struct virtio_console_port console = {.chr = &chr[0].c, .console = true};
	struct virtio_console_port channel = {.chr = &chr[1].c, .name = "name", .waits = true};
	struct virtio_console *s;

	drv_init(&f.d);
	cfg.bus = f.d.pb;
	cfg.mem = f.d.mem;
	fake_chardev_init(&chr[0]);
	fake_chardev_init(&chr[1]);
	s = virtio_console_new(&cfg, 3, NULL);
	FUZZ_CHECK(s);
	FUZZ_CHECK(virtio_console_add(s, -1, &console, NULL) == 0);
	FUZZ_CHECK(virtio_console_add(s, -1, &channel, NULL) == 1);
	f.v = (struct virtio_dev *)virtio_console_device(s);
	f.device_id = 0x1003;
	f.event = event;
	f.header = header;
	fuzz_virtio_run(&in, &f);
	virtio_console_free(s);
	drv_free(&f.d);
	return 0;
}
