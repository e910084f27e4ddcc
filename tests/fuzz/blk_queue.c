// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Requests at odd places and of odd shapes through a queue to a raw image, with and without O_DIRECT
 * and a temporary layer, against a copy in memory: make t T=fuzz/blk_queue
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "block/queue.h"
#include "fuzz_in.h"

#define FILE_BYTES 70000u /* no multiple of anything */
#define DISK_BYTES 70144u
#define AT_ONCE 4u
#define PIECES 8u

struct op {
	struct blk_req req;
	struct iovec iov[PIECES];
	uint8_t *buf;
	bool ended;
	int result;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint8_t shadow[DISK_BYTES];
static struct op ops[AT_ONCE];
static char path[64];

static void make_file(void)
{
	static uint8_t buf[FILE_BYTES];
	int fd;

	snprintf(path, sizeof(path), "/var/tmp/lodge-fuzz-%d", (int)getpid());
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	for (unsigned i = 0; i < FILE_BYTES; i++)
		buf[i] = (uint8_t)(i * 3 + i / 256);
	FUZZ_CHECK(fd >= 0 && pwrite(fd, buf, FILE_BYTES, 0) == FILE_BYTES);
	close(fd);
	memset(shadow, 0, sizeof(shadow));
	memcpy(shadow, buf, FILE_BYTES);
}

static void done(struct blk_req *req, int result)
{
	struct op *o = container_of(req, struct op, req);

	FUZZ_CHECK(!o->ended);
	o->ended = true;
	o->result = result;
}

/* Cut `len` bytes of buf into pieces, some empty. */
static void cut(struct fuzz_in *in, struct op *o, uint64_t len)
{
	uint64_t at = 0;

	o->req.niov = 1 + fuzz_u8(in) % PIECES;
	for (unsigned i = 0; i < o->req.niov; i++) {
		uint64_t n = i + 1 == o->req.niov ? len - at : fuzz_uint(in, 2) % (len - at + 1);

		o->iov[i] = (struct iovec){o->buf + at, n};
		at += n;
	}
	o->req.iov = o->iov;
}

static void fill(struct fuzz_in *in, struct op *o)
{
	uint8_t how = fuzz_u8(in);
	uint64_t off = fuzz_uint(in, 3), len = fuzz_uint(in, 2);

	if (how & 0x80) {
		off &= ~511ull;
		len &= ~511ull;
	}
	if (how & 0x40)
		off = how & 0x20 ? UINT64_MAX - off : DISK_BYTES - off % 5000;
	else
		off %= DISK_BYTES + 512;
	o->req = (struct blk_req){.op = (enum blk_op)(how % 5),
				  .off = off,
				  .len = len,
				  .fua = how & 0x10,
				  .unmap = how & 0x08,
				  .done = done};
	o->ended = false;
	o->buf = malloc(len + 1);
	memset(o->buf, how, len);
	if (o->req.op == BLK_READ || o->req.op == BLK_WRITE)
		cut(in, o, len);
}

/* Do two of them touch the same bytes? Then what is left is not defined. */
static bool clear_of_others(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (ops[i].req.off < ops[n].req.off + ops[n].req.len &&
		    ops[n].req.off < ops[i].req.off + ops[i].req.len)
			return false;
	}
	return true;
}

static void check(struct op *o, bool discards)
{
	struct blk_req *r = &o->req;
	bool ok = r->op == BLK_FLUSH || (r->off <= DISK_BYTES && r->len <= DISK_BYTES - r->off);

	FUZZ_CHECK(o->ended);
	FUZZ_CHECK(o->result == (ok ? 0 : -EINVAL));
	if (ok && r->op == BLK_READ)
		FUZZ_CHECK(!memcmp(o->buf, shadow + r->off, r->len));
	if (ok && r->op == BLK_WRITE)
		memcpy(shadow + r->off, o->buf, r->len);
	if (ok && (r->op == BLK_ZERO || (r->op == BLK_DISCARD && discards)))
		memset(shadow + r->off, 0, r->len);
	free(o->buf);
}

static void batch(struct fuzz_in *in, struct blk_queue *q, bool discards)
{
	unsigned n = 0;

	blk_queue_plug(q);
	while (n < AT_ONCE && in->left) {
		fill(in, &ops[n]);
		if (!clear_of_others(n)) {
			free(ops[n].buf);
			break;
		}
		blk_queue_submit(q, &ops[n++].req);
	}
	if (in->left % 2)
		blk_queue_unplug_now(q);
	else
		blk_queue_unplug(q);
	blk_queue_drain(q);
	for (unsigned i = 0; i < n; i++)
		check(&ops[i], discards);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	uint8_t how = fuzz_u8(&in);
	bool layer = how & 2;
	struct blk_open open_how = {.path = path,
				    .format = "raw",
				    .discard = how & 1,
				    .read_only = layer,
				    .cache = (enum blk_cache)((how >> 2) % 5)};
	struct blk_queue_config cfg = {.aio = how & 0x40 ? BLK_AIO_THREADS : BLK_AIO_AUTO,
				       .write_cache = how & 0x80};
	struct blk_queue *q;
	struct blk *b = NULL, *top;

	make_file();
	cfg.loop = io_loop_new(&lock, NULL);
	FUZZ_CHECK(cfg.loop && !blk_open(&open_how, &b, NULL));
	if (layer) {
		FUZZ_CHECK(!blk_overlay(b, &top, NULL));
		b = top;
	}
	FUZZ_CHECK(blk_size(b) == DISK_BYTES);
	q = blk_queue_new(b, &cfg, NULL);
	FUZZ_CHECK(q);
	for (unsigned i = 0; i < 64 && in.left; i++)
		batch(&in, q, open_how.discard && !layer);
	blk_queue_free(q);
	FUZZ_CHECK(!blk_close(b));
	io_loop_free(cfg.loop);
	unlink(path);
	return 0;
}
