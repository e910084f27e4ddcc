/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A virtio-gpu driver for tests: commands one by one, each answered before the next (virtio_driver.h). */
#ifndef LODGE_TESTS_GPU_DRIVER_H
#define LODGE_TESTS_GPU_DRIVER_H

#include "virtio_driver.h"

#define GPU_F_EDID VIRTIO_F_BIT(1)

/* Guest memory for commands and answers; below the driver's heap. */
#define GPU_COMMAND 0x1000u
#define GPU_ANSWER 0x4000u
#define GPU_ANSWER_BYTES 2048u

#define GPU_OK 0x1100u
#define GPU_OK_DISPLAY_INFO 0x1101u
#define GPU_OK_EDID 0x1104u
#define GPU_ERR_UNSPEC 0x1200u
#define GPU_ERR_MEMORY 0x1201u
#define GPU_ERR_SCANOUT 0x1202u
#define GPU_ERR_RESOURCE 0x1203u
#define GPU_ERR_PARAMETER 0x1205u

static uint32_t gpu_answer_len;

/* The type of the answer in queue `q`; 0: there is none. */
static inline uint32_t gpu_take(struct drv *d, unsigned q)
{
	uint32_t id;

	gpu_answer_len = 0;
	if (!drv_used(d, q, &id, &gpu_answer_len) || gpu_answer_len < 24)
		return 0;
	return ld_le32(drv_p(d, GPU_ANSWER));
}

/* A command with `n` words behind its header. */
static inline void gpu_send(struct drv *d, unsigned q, uint32_t type, const uint32_t *args,
			    unsigned n)
{
	struct drv_buf b[2] = {{GPU_COMMAND, 24 + 4 * n}, {GPU_ANSWER, GPU_ANSWER_BYTES}};
	uint8_t *p = drv_p(d, GPU_COMMAND);

	memset(p, 0, 24);
	st_le32(p, type);
	for (unsigned i = 0; i < n; i++)
		st_le32(p + 24 + 4 * i, args[i]);
	memset(drv_p(d, GPU_ANSWER), 0xee, GPU_ANSWER_BYTES);
	drv_submit(d, q, b, 1, 1);
}

static inline uint32_t gpu_ask(struct drv *d, uint32_t type, const uint32_t *args, unsigned n)
{
	gpu_send(d, 0, type, args, n);
	return gpu_take(d, 0);
}

static inline uint32_t gpu_create_2d(struct drv *d, uint32_t id, uint32_t format, uint32_t w,
				     uint32_t h)
{
	const uint32_t args[] = {id, format, w, h};

	return gpu_ask(d, 0x101, args, 4);
}

static inline uint32_t gpu_attach_one(struct drv *d, uint32_t id, uint64_t at, uint32_t len)
{
	const uint32_t args[] = {id, 1, (uint32_t)at, (uint32_t)(at >> 32), len, 0};

	return gpu_ask(d, 0x106, args, 6);
}

static inline uint32_t gpu_scanout(struct drv *d, uint32_t id, uint32_t x, uint32_t y, uint32_t w,
				   uint32_t h)
{
	const uint32_t args[] = {x, y, w, h, 0, id};

	return gpu_ask(d, 0x103, args, 6);
}

static inline uint32_t gpu_transfer_2d(struct drv *d, uint32_t id, uint32_t x, uint32_t y,
				       uint32_t w, uint32_t h, uint64_t off)
{
	const uint32_t args[] = {x, y, w, h, (uint32_t)off, (uint32_t)(off >> 32), id, 0};

	return gpu_ask(d, 0x105, args, 8);
}

static inline uint32_t gpu_flush_2d(struct drv *d, uint32_t id, uint32_t x, uint32_t y, uint32_t w,
				    uint32_t h)
{
	const uint32_t args[] = {x, y, w, h, id, 0};

	return gpu_ask(d, 0x104, args, 6);
}

/* UPDATE_CURSOR (0x300) or MOVE_CURSOR (0x301); its answer is there to be taken. */
static inline void gpu_cursor(struct drv *d, uint32_t type, uint32_t id, uint32_t x, uint32_t y,
			      uint32_t hot_x, uint32_t hot_y)
{
	const uint32_t args[] = {0, x, y, 0, id, hot_x, hot_y, 0};

	gpu_send(d, 1, type, args, 8);
}

#endif
