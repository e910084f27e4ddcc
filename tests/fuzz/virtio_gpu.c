// SPDX-License-Identifier: GPL-2.0-or-later
/* Fuzz virtio-gpu: commands, what is shown of them, other sizes: make t T=fuzz/virtio_gpu */
#include "device_harness.h"
#include "gpu_driver.h"
#include "virtio_harness.h"
#include "devices/virtio/virtio_gpu.h"

#define VRAM (1u << 20)

static struct display_picture pic;
static struct display_cursor cursor;

/* Whoever looks: what it gets is a picture, and a pointer within bounds. */
static void look(const struct display_source *s)
{
	struct display_lines l;

	s->look(s->opaque);
	l = s->changed(s->opaque);
	FUZZ_CHECK(!s->draw_lines(s->opaque, &pic, &l));
	FUZZ_CHECK(pic.width && pic.height && pic.width <= DISPLAY_SIZE_MAX &&
		   pic.height <= DISPLAY_SIZE_MAX);
	if (s->cursor(s->opaque, &cursor)) {
		FUZZ_CHECK(cursor.hot_x < DISPLAY_CURSOR_SIZE &&
			   cursor.hot_y < DISPLAY_CURSOR_SIZE);
		display_cursor_lay(&cursor, &pic, l);
	}
	if (l.first <= l.last) {
		/* Told once. */
		l = s->changed(s->opaque);
		FUZZ_CHECK(l.first > l.last);
	}
}

static void event(void *opaque, struct fuzz_in *in)
{
	const struct display_source *s = opaque;
	uint8_t how = fuzz_u8(in);

	if (how & 1)
		look(s);
	else if (s->resize)
		s->resize(s->opaque, (uint32_t)fuzz_uint(in, 2), (uint32_t)fuzz_uint(in, 2));
}

/* A command, sensible but for a field now and then. */
static void header(void *opaque, struct fuzz_in *in, unsigned q, uint8_t *p)
{
	static const uint16_t types[] = {0x100, 0x101, 0x102, 0x103, 0x104, 0x105, 0x106,
					 0x107, 0x10a, 0x300, 0x301, 0x101, 0x105, 0x106};
	uint8_t how = fuzz_u8(in), id = fuzz_u8(in) & 3;
	uint32_t type = q ? 0x300u + (how & 1) : types[how % (sizeof(types) / sizeof(types[0]))];
	uint32_t w = 1u + fuzz_u8(in), h = 1u + fuzz_u8(in);

	memset(p, 0, 64);
	st_le32(p, type);
	st_le32(p + 4, how >> 7);
	switch (type) {
	case 0x101:
		st_le32(p + 24, id);
		st_le32(p + 28, how & 32 ? 1 : 2);
		st_le32(p + 32, how & 64 ? 64 : w);
		st_le32(p + 36, how & 64 ? 64 : h);
		break;
	case 0x103:
	case 0x104:
	case 0x105:
		st_le32(p + 24, how >> 4 & 3);
		st_le32(p + 28, how >> 5 & 3);
		st_le32(p + 32, w & 63);
		st_le32(p + 36, h & 63);
		st_le32(p + (type == 0x103 ? 44 : type == 0x104 ? 40 : 48), id);
		break;
	case 0x106:
		st_le32(p + 24, id);
		st_le32(p + 28, 1 + (how >> 6));
		st_le32(p + 32, 0x100000 + (w << 12));
		st_le32(p + 40, h << 10);
		st_le32(p + 48, 0x200000);
		st_le32(p + 56, 4096);
		break;
	case 0x300:
	case 0x301:
		st_le32(p + 28, w - 32);
		st_le32(p + 32, h - 32);
		st_le32(p + 40, id);
		break;
	default:
		st_le32(p + 24, type == 0x10a ? 0 : id);
		break;
	}
	if ((how & 24) == 24)
		st_le32(p + 24 + 4 * (fuzz_u8(in) % 10), (uint32_t)fuzz_uint(in, 4));
}

/* One of those commands, whole, with room for any answer. */
static void command(struct fuzz_in *in, struct fuzz_virtio *f)
{
	struct drv_buf b[2] = {{0x2000, 64}, {0x4000, 1056}};
	unsigned q = fuzz_u8(in) % 8 == 0;

	if (f->d.q[q].size < 2)
		return;
	header(NULL, in, q, drv_p(&f->d, b[0].gpa));
	drv_submit(&f->d, q, b, 1, 1);
}

/* A picture is there and shown, as a driver leaves it: what follows finds something. */
static void begin(struct drv *d)
{
	if (!d->q[0].size || d->q[0].size < 2)
		return;
	for (uint32_t id = 1; id < 3; id++) {
		gpu_create_2d(d, id, id, 64, 64);
		gpu_attach_one(d, id, 0x200000 + (id << 16), 64 * 64 * 4);
		gpu_transfer_2d(d, id, 0, 0, 64, 64, 0);
	}
	gpu_scanout(d, 2, 0, 0, 64, 64);
	gpu_flush_2d(d, 2, 0, 0, 64, 64);
	gpu_cursor(d, 0x300, 1, 10, 10, 1, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	static struct fuzz_virtio f;
	struct virtio_gpu_config cfg = {
		.virtio = {.devfn = DRV_DEVFN, .loop = fake_begin(), .queues = VIRTIO_GPU_QUEUES},
		.no_edid = fuzz_u8(&in) & 1,
		.width = 640,
		.height = 480,
	};
	struct virtio_gpu *g;

	drv_init(&f.d);
	mem_free(f.d.mem);
	f.d.mem = mem_new(DRV_RAM + VRAM, 0, NULL);
	FUZZ_CHECK(f.d.mem && !mem_map(f.d.mem, 0, DRV_RAM, MEM_RAM, 0));
	cfg.virtio.bus = f.d.pb;
	cfg.virtio.mem = f.d.mem;
	cfg.vram = (struct vram){.mem = f.d.mem, .off = DRV_RAM, .bytes = VRAM};
	g = virtio_gpu_new(&cfg, NULL);
	FUZZ_CHECK(g);
	f.v = (struct virtio_dev *)virtio_gpu_device(g);
	f.device_id = 0x1050;
	f.event = event;
	f.header = header;
	f.header_bytes = 64;
	f.opaque = (void *)(uintptr_t)virtio_gpu_source(g);
	fuzz_start(&in, &f);
	if (fuzz_u8(&in) & 7)
		begin(&f.d);
	for (unsigned step = 0; in.left && step < 512; step++) {
		uint8_t what = fuzz_u8(&in);

		if (what & 3)
			command(&in, &f);
		else if (what & 4)
			event(f.opaque, &in);
		else
			fuzz_virtio_step(&in, &f);
	}
	look(virtio_gpu_source(g));
	virtio_gpu_free(g);
	FUZZ_CHECK(list_empty(&fake.loop.timers));
	drv_free(&f.d);
	return 0;
}
