// SPDX-License-Identifier: GPL-2.0-or-later
/* Requests of devices, by io_uring and by threads. Run: make t T=block/queue */
#include "blk_env.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include "base/range.h"
#include "block/block_int.h"
#include "block/queue.h"

#define MIB (1u << 20)
#define REQS 300

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct io_loop *loop;
static pthread_t io;
static struct blk_queue_config cfg;

static struct seen {
	unsigned done, errors, stops, writes;
	int last, last_error;
	pthread_t thread;
} seen;

static void *io_main(void *arg)
{
	io_loop_run(loop);
	return arg;
}

static int setup(void **state)
{
	memset(&seen, 0, sizeof(seen));
	loop = io_loop_new(&lock, NULL);
	if (!loop || pthread_create(&io, NULL, io_main, NULL))
		return -1;
	cfg = (struct blk_queue_config){.loop = loop, .write_cache = true};
	return 0;
}

static int teardown(void **state)
{
	io_loop_stop(loop);
	pthread_join(io, NULL);
	io_loop_free(loop);
	return tmp_remove(state);
}

static void on_done(struct blk_req *req, int result)
{
	(void)req;
	assert_true(pthread_mutex_trylock(&lock) == EBUSY);
	seen.done++;
	seen.last = result;
	seen.thread = pthread_self();
}

static void on_error(void *opaque, struct blk_queue *q, bool write, int result, bool stopped)
{
	assert_ptr_equal(opaque, &seen);
	assert_non_null(q);
	seen.errors++;
	seen.stops += stopped;
	seen.writes += write;
	seen.last_error = result;
}

static struct blk_queue *queue_on(struct blk *b, int aio)
{
	struct blk_queue *q;

	cfg.aio = aio;
	cfg.on_error = on_error;
	cfg.opaque = &seen;
	err.msg[0] = '\0';
	q = blk_queue_new(b, &cfg, &err);
	if (!q)
		print_error("%s\n", err.msg);
	assert_non_null(q);
	return q;
}

/* Wait for the io thread to bring `n` in all. */
static void wait_done(unsigned n)
{
	for (unsigned i = 0; i < 5000; i++) {
		pthread_mutex_lock(&lock);
		unsigned have = seen.done;
		pthread_mutex_unlock(&lock);
		if (have >= n)
			return;
		usleep(1000);
	}
	fail_msg("%u of %u requests ended", seen.done, n);
}

static void wait_errors(unsigned n)
{
	for (unsigned i = 0; i < 5000; i++) {
		pthread_mutex_lock(&lock);
		unsigned have = seen.errors;
		pthread_mutex_unlock(&lock);
		if (have >= n)
			return;
		usleep(1000);
	}
	fail_msg("%u of %u errors came", seen.errors, n);
}

static void submit(struct blk_queue *q, struct blk_req *req)
{
	pthread_mutex_lock(&lock);
	req->done = on_done;
	blk_queue_submit(q, req);
	pthread_mutex_unlock(&lock);
}

static void end(struct blk_queue *q, struct blk *b)
{
	pthread_mutex_lock(&lock);
	blk_queue_free(q);
	pthread_mutex_unlock(&lock);
	assert_int_equal(blk_close(b), 0);
}

/* ---- A real file ------------------------------------------------------------------------------- */

static void write_and_read_back(int aio, enum blk_cache cache)
{
	static uint8_t buf[REQS][4096] __attribute__((aligned(4096)));
	static struct blk_req req[REQS];
	static struct iovec iov[REQS];
	struct blk_queue_stats st;
	struct blk_queue *q;
	struct blk *b;

	tmp_make(REQS * 4096, 0);
	b = open_how((struct blk_open){.format = "raw", .cache = cache});
	q = queue_on(b, aio);
	for (unsigned pass = 0; pass < 2; pass++) {
		pthread_mutex_lock(&lock);
		blk_queue_plug(q);
		for (unsigned i = 0; i < REQS; i++) {
			memset(buf[i], pass ? 0xff : (int)(i + 1), 4096);
			iov[i] = (struct iovec){buf[i], 4096};
			req[i] = (struct blk_req){.op = pass ? BLK_READ : BLK_WRITE,
						  .off = i * 4096,
						  .len = 4096,
						  .iov = &iov[i],
						  .niov = 1,
						  .done = on_done};
			blk_queue_submit(q, &req[i]);
		}
		assert_int_equal(seen.done, pass * REQS);
		blk_queue_unplug(q);
		pthread_mutex_unlock(&lock);
		wait_done((pass + 1) * REQS);
		assert_int_equal(seen.last, 0);
		assert_true(pthread_equal(seen.thread, io));
	}
	for (unsigned i = 0; i < REQS; i++)
		assert_true(buf[i][0] == (uint8_t)(i + 1) && buf[i][4095] == (uint8_t)(i + 1));
	blk_queue_get_stats(q, &st);
	assert_int_equal(st.ops[BLK_READ], REQS);
	assert_int_equal(st.bytes[BLK_WRITE], REQS * 4096);
	assert_int_equal(st.errors[BLK_WRITE], 0);
	end(q, b);
	file_read(4096, buf[0], 1);
	assert_int_equal(buf[0][0], 2);
}

static void queue_when_uring_expect_bytes_there_and_back(void **state)
{
	struct blk_queue *q;
	struct blk *b;

	tmp_make(MIB, 0);
	b = open_how((struct blk_open){.format = "raw"});
	q = queue_on(b, BLK_AIO_AUTO);
	if (!blk_queue_uses_uring(q)) {
		end(q, b);
		skip();
	}
	end(q, b);
	tmp_remove(NULL);
	write_and_read_back(BLK_AIO_URING, BLK_CACHE_WRITEBACK);
}

static void queue_when_direct_expect_bytes_there_and_back(void **state)
{
	write_and_read_back(BLK_AIO_AUTO, BLK_CACHE_NONE);
}

static void queue_when_writethrough_expect_bytes_there_and_back(void **state)
{
	write_and_read_back(BLK_AIO_AUTO, BLK_CACHE_DIRECTSYNC);
}

static void queue_when_threads_expect_bytes_there_and_back(void **state)
{
	write_and_read_back(BLK_AIO_THREADS, BLK_CACHE_WRITEBACK);
}

static struct blk_req leaver_req[REQS];

/* As a vCPU's thread at the end: the host cancels what a thread that goes has not got to the disk. */
static void *submit_and_leave(void *q)
{
	static struct iovec iov = {(void *)(uintptr_t) "x", 1};

	pthread_mutex_lock(&lock);
	blk_queue_plug(q);
	for (unsigned i = 0; i < REQS; i++) {
		leaver_req[i] = (struct blk_req){.op = BLK_WRITE,
						 .off = i * 4096,
						 .len = 1,
						 .iov = &iov,
						 .niov = 1,
						 .done = on_done};
		blk_queue_submit(q, &leaver_req[i]);
	}
	blk_queue_unplug(q);
	pthread_mutex_unlock(&lock);
	return NULL;
}

static void queue_when_submitter_is_gone_expect_all_done(void **state)
{
	struct blk_queue *q;
	struct blk *b;
	pthread_t t;
	uint8_t c;

	tmp_make(0, 0);
	assert_int_equal(truncate(tmp_path, REQS * 4096), 0);
	b = open_how((struct blk_open){.format = "raw"});
	q = queue_on(b, BLK_AIO_AUTO);
	assert_int_equal(pthread_create(&t, NULL, submit_and_leave, q), 0);
	pthread_join(t, NULL);
	pthread_mutex_lock(&lock);
	blk_queue_drain(q);
	pthread_mutex_unlock(&lock);
	assert_true(seen.done == REQS && seen.last == 0 && seen.errors == 0);
	end(q, b);
	for (unsigned i = 0; i < REQS; i++) {
		file_read(i * 4096, &c, 1);
		assert_int_equal(c, 'x');
	}
}

/* Odd offsets, many pieces, the end of a file that is shorter than the disk. */
static void queue_when_odd_expect_what_was_asked(void **state)
{
	static uint8_t buf[70000];
	static struct iovec iov[1500];
	struct blk_req req = {.op = BLK_READ, .iov = iov};
	struct blk_queue *q;
	struct blk *b;

	for (int direct = 0; direct < 2; direct++) {
		tmp_make(100100, 0x42);
		b = open_how(
			(struct blk_open){.format = "raw",
					  .cache = direct ? BLK_CACHE_NONE : BLK_CACHE_WRITEBACK});
		q = queue_on(b, BLK_AIO_AUTO);
		memset(&seen, 0, sizeof(seen));
		memset(buf, 0, sizeof(buf));
		for (unsigned i = 0; i < 1500; i++)
			iov[i] = (struct iovec){buf + i * 3, 3};
		req.off = 7;
		req.niov = 1500;
		req.len = 4500;
		submit(q, &req);
		wait_done(1);
		assert_int_equal(seen.last, 0);
		assert_true(buf[0] == 0x42 && buf[4499] == 0x42 && buf[4500] == 0);
		memset(buf, 0xff, sizeof(buf));
		iov[0] = (struct iovec){buf, 352};
		req.off = 100000;
		req.niov = 1;
		req.len = 352;
		submit(q, &req);
		wait_done(2);
		assert_int_equal(seen.last, 0);
		assert_true(buf[99] == 0x42 && buf[100] == 0 && buf[351] == 0 && buf[352] == 0xff);
		end(q, b);
		tmp_remove(NULL);
	}
}

static void submit_when_wrong_expect_einval_later(void **state)
{
	uint8_t buf[512];
	struct iovec iov = {buf, 512};
	struct blk_req req = {.op = BLK_READ, .off = MIB - 511, .len = 512, .iov = &iov, .niov = 1};
	struct blk_queue *q;
	struct blk *b;

	cfg.rerror = BLK_STOP;
	cfg.werror = BLK_IGNORE;
	tmp_make(MIB, 0);
	b = open_how((struct blk_open){.format = "raw", .read_only = true});
	q = queue_on(b, BLK_AIO_AUTO);
	submit(q, &req);
	wait_done(1);
	assert_int_equal(seen.last, -EINVAL);
	req.off = UINT64_MAX - 100;
	submit(q, &req);
	wait_done(2);
	assert_int_equal(seen.last, -EINVAL);
	req.off = 0;
	req.len = 1024; /* and the buffers hold 512 */
	submit(q, &req);
	wait_done(3);
	assert_int_equal(seen.last, -EINVAL);
	req.len = 512;
	req.op = BLK_WRITE;
	submit(q, &req);
	wait_done(4);
	assert_int_equal(seen.last, -EROFS);
	/* The guest's own mistakes are not the disk's errors. */
	assert_int_equal(seen.errors, 0);
	end(q, b);
}

static void flush_discard_zero_when_asked_expect_them_done(void **state)
{
	struct blk_req req = {.op = BLK_ZERO, .off = 512, .len = 1024, .unmap = true};
	struct blk_queue *q;
	uint8_t buf[2048];
	struct blk *b;

	tmp_make(MIB, 0x33);
	b = open_how((struct blk_open){.format = "raw", .discard = true});
	q = queue_on(b, BLK_AIO_AUTO);
	submit(q, &req);
	wait_done(1);
	assert_int_equal(seen.last, 0);
	file_read(0, buf, sizeof(buf));
	assert_true(buf[511] == 0x33 && buf[512] == 0 && buf[1535] == 0 && buf[1536] == 0x33);
	req = (struct blk_req){.op = BLK_DISCARD, .off = 65536, .len = 65536};
	submit(q, &req);
	wait_done(2);
	file_read(65536, buf, 1);
	assert_int_equal(buf[0], 0);
	req = (struct blk_req){.op = BLK_FLUSH};
	submit(q, &req);
	wait_done(3);
	assert_int_equal(seen.last, 0);
	end(q, b);
}

/* What a host with kernel.io_uring_disabled, or a container, says. */
static void forbid_uring(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog prog = {ARRAY_SIZE(code), code};

	assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	assert_int_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog), 0);
}

static void *without_uring(void *arg)
{
	struct blk *b = open_how((struct blk_open){.format = "raw"});
	struct blk_queue *q;

	forbid_uring(); /* for this thread */
	cfg.aio = BLK_AIO_URING;
	assert_null(blk_queue_new(b, &cfg, &err));
	assert_non_null(strstr(err.msg, "aio=threads"));
	q = queue_on(b, BLK_AIO_AUTO);
	assert_false(blk_queue_uses_uring(q));
	end(q, b);
	return arg;
}

static void queue_when_uring_is_forbidden_expect_threads(void **state)
{
	pthread_t t;

	tmp_make(MIB, 0);
	assert_int_equal(pthread_create(&t, NULL, without_uring, NULL), 0);
	pthread_join(t, NULL);
}

/* ---- A disk that does as it is told ------------------------------------------------------------ */

static struct fake {
	pthread_mutex_t lock;
	pthread_cond_t go;
	bool block;
	int fail;	/* writes and reads give this */
	unsigned fails; /* so many times; then they work */
	unsigned writes, flushes, inside;
	int fd; /* blk_quick() gives this one */
} fake;

static int fake_open(struct blk *b, const struct blk_open *how, struct lodge_err *e)
{
	return 0;
}

static int fake_io(struct blk *b, uint64_t off, const struct iovec *iov, unsigned n, uint64_t len)
{
	int r = 0;

	pthread_mutex_lock(&fake.lock);
	fake.inside++;
	while (fake.block)
		pthread_cond_wait(&fake.go, &fake.lock);
	if (fake.fails) {
		fake.fails--;
		r = fake.fail;
	}
	fake.writes += r == 0;
	fake.inside--;
	pthread_mutex_unlock(&fake.lock);
	return r;
}

static int fake_flush(struct blk *b)
{
	fake.flushes++;
	return 0;
}

static bool fake_quick(struct blk *b, bool write, uint64_t off, uint64_t len, int *fd,
		       uint64_t *host_off)
{
	*fd = fake.fd;
	*host_off = off;
	return fake.fd >= 0;
}

static const struct blk_format fake_format = {
	.name = "fake",
	.can_write = true,
	.open = fake_open,
	.preadv = fake_io,
	.pwritev = fake_io,
	.flush = fake_flush,
	.quick = fake_quick,
};

static struct blk *fake_disk(void)
{
	struct blk *b = blk_alloc("fake");

	assert_non_null(b);
	b->format = &fake_format;
	b->size = MIB;
	memset(&fake, 0, sizeof(fake));
	pthread_mutex_init(&fake.lock, NULL);
	pthread_cond_init(&fake.go, NULL);
	fake.fd = -1;
	return b;
}

static void let_go(void)
{
	pthread_mutex_lock(&fake.lock);
	fake.block = false;
	pthread_cond_broadcast(&fake.go);
	pthread_mutex_unlock(&fake.lock);
}

static uint8_t sector[512];
static struct iovec one = {sector, 512};

static struct blk_req plain(enum blk_op op)
{
	return (struct blk_req){.op = op, .len = 512, .iov = &one, .niov = 1};
}

static void error_when_report_expect_it_told(void **state)
{
	struct blk *b = fake_disk();
	struct blk_queue *q = queue_on(b, BLK_AIO_AUTO);
	struct blk_req req = plain(BLK_WRITE);
	struct blk_queue_stats st;

	fake.fail = -EIO;
	fake.fails = 1;
	submit(q, &req);
	wait_done(1);
	assert_int_equal(seen.last, -EIO);
	assert_true(seen.errors == 1 && seen.stops == 0 && seen.writes == 1);
	blk_queue_get_stats(q, &st);
	assert_int_equal(st.errors[BLK_WRITE], 1);
	end(q, b);
}

static void error_when_ignore_expect_success_told(void **state)
{
	struct blk *b = fake_disk();
	struct blk_queue *q;
	struct blk_req req = plain(BLK_READ);

	cfg.rerror = BLK_IGNORE;
	q = queue_on(b, BLK_AIO_AUTO);
	fake.fail = -EIO;
	fake.fails = 1;
	submit(q, &req);
	wait_done(1);
	assert_int_equal(seen.last, 0);
	assert_int_equal(seen.last_error, -EIO);
	end(q, b);
}

static void error_when_stop_expect_held_and_tried_again(void **state)
{
	struct blk *b = fake_disk();
	struct blk_queue *q;
	struct blk_req req[4];

	cfg.werror = BLK_STOP;
	q = queue_on(b, BLK_AIO_AUTO);
	fake.fail = -EIO;
	fake.fails = 6;
	for (unsigned i = 0; i < 4; i++) {
		req[i] = plain(BLK_WRITE);
		submit(q, &req[i]);
	}
	wait_errors(4);
	pthread_mutex_lock(&lock);
	assert_true(seen.stops == 4 && seen.done == 0);
	blk_queue_drain(q); /* does not wait for those held */
	blk_queue_resume(q);
	pthread_mutex_unlock(&lock);
	/* Two fail once more, two get through. */
	wait_errors(6);
	wait_done(2);
	pthread_mutex_lock(&lock);
	blk_queue_resume(q);
	blk_queue_drain(q);
	assert_true(seen.done == 4 && seen.last == 0);
	pthread_mutex_unlock(&lock);
	assert_int_equal(fake.writes, 4);
	end(q, b);
}

static void error_when_enospc_policy_expect_stop_for_that_only(void **state)
{
	struct blk *b = fake_disk();
	struct blk_queue *q;
	struct blk_req req = plain(BLK_WRITE);

	cfg.werror = BLK_ENOSPC;
	q = queue_on(b, BLK_AIO_AUTO);
	fake.fail = -EIO;
	fake.fails = 1;
	submit(q, &req);
	wait_done(1);
	assert_int_equal(seen.last, -EIO);
	fake.fail = -ENOSPC;
	fake.fails = 1;
	submit(q, &req);
	wait_errors(2);
	assert_true(seen.stops == 1 && seen.done == 1);
	pthread_mutex_lock(&lock);
	blk_queue_drop_held(q);
	blk_queue_resume(q);
	blk_queue_drain(q);
	assert_int_equal(seen.done, 1);
	pthread_mutex_unlock(&lock);
	end(q, b);
}

static void write_when_no_write_cache_expect_a_flush_each(void **state)
{
	struct blk *b = fake_disk();
	struct blk_queue *q;
	struct blk_req req = plain(BLK_WRITE);

	cfg.write_cache = false;
	q = queue_on(b, BLK_AIO_AUTO);
	assert_false(blk_queue_write_cache(q));
	submit(q, &req);
	wait_done(1);
	assert_int_equal(fake.flushes, 1);
	pthread_mutex_lock(&lock);
	blk_queue_set_write_cache(q, true);
	pthread_mutex_unlock(&lock);
	req = plain(BLK_WRITE);
	submit(q, &req);
	wait_done(2);
	assert_int_equal(fake.flushes, 1);
	req = plain(BLK_WRITE);
	req.fua = true;
	submit(q, &req);
	wait_done(3);
	assert_int_equal(fake.flushes, 2);
	end(q, b);
}

/* More than there are threads: all come, none twice; and the VM lock is free meanwhile. */
static void drain_when_disk_is_slow_expect_all_done(void **state)
{
	struct blk *b = fake_disk();
	struct blk_queue *q = queue_on(b, BLK_AIO_AUTO);
	static struct blk_req req[100];
	pthread_t helper;

	fake.block = true;
	for (unsigned i = 0; i < 100; i++) {
		req[i] = plain(BLK_WRITE);
		submit(q, &req[i]);
	}
	usleep(20000);
	pthread_mutex_lock(&lock);
	assert_int_equal(seen.done, 0);
	pthread_mutex_lock(&fake.lock);
	assert_true(fake.inside > 1 && fake.inside <= 16);
	pthread_mutex_unlock(&fake.lock);
	assert_int_equal(pthread_create(&helper, NULL, (void *(*)(void *))let_go, NULL), 0);
	blk_queue_drain(q);
	assert_int_equal(seen.done, 100);
	pthread_mutex_unlock(&lock);
	pthread_join(helper, NULL);
	end(q, b);
}

static void *hold(void *b)
{
	blk_quick_hold(b);
	fake.inside = 77;
	blk_quick_release(b);
	return NULL;
}

/* Who moves data waits for requests in the ring; new ones go round meanwhile. */
static void quick_when_held_expect_the_pool(void **state)
{
	struct blk *b = fake_disk();
	uint64_t off;
	pthread_t t;
	int fd;

	fake.fd = 5;
	assert_true(blk_quick(b, true, 0, 512, &fd, &off));
	assert_int_equal(fd, 5);
	assert_false(blk_quick(b, true, MIB, 512, &fd, &off));
	assert_int_equal(pthread_create(&t, NULL, hold, b), 0);
	usleep(20000);
	assert_int_equal(fake.inside, 0);
	assert_false(blk_quick(b, false, 0, 512, &fd, &off));
	blk_quick_done(b);
	pthread_join(t, NULL);
	assert_int_equal(fake.inside, 77);
	blk_quick_hold(b);
	blk_quick_hold(b);
	blk_quick_release(b);
	assert_false(blk_quick(b, false, 0, 512, &fd, &off));
	blk_quick_release(b);
	assert_true(blk_quick(b, false, 0, 512, &fd, &off));
	blk_quick_done(b);
	assert_int_equal(blk_close(b), 0);
}

/* The ring's errors: a descriptor that cannot be written goes to the policy. */
static void ring_when_it_fails_expect_the_policy(void **state)
{
	struct blk *b = fake_disk();
	struct blk_queue *q;
	struct blk_req req = plain(BLK_WRITE);

	cfg.werror = BLK_STOP;
	q = queue_on(b, BLK_AIO_AUTO);
	if (!blk_queue_uses_uring(q)) {
		end(q, b);
		skip();
	}
	fake.fd = open("/dev/null", O_RDONLY);
	submit(q, &req);
	wait_errors(1);
	assert_int_equal(seen.last_error, -EBADF);
	assert_int_equal(seen.done, 0);
	close(fake.fd);
	fake.fd = open("/dev/full", O_RDWR);
	pthread_mutex_lock(&lock);
	blk_queue_resume(q);
	pthread_mutex_unlock(&lock);
	wait_errors(2);
	assert_int_equal(seen.last_error, -ENOSPC);
	close(fake.fd);
	fake.fd = -1;
	pthread_mutex_lock(&lock);
	blk_queue_resume(q);
	pthread_mutex_unlock(&lock);
	wait_done(1);
	assert_int_equal(seen.last, 0);
	end(q, b);
}

/* A short transfer is done again, as a whole, by the format. */
static void ring_when_short_expect_the_format_asked(void **state)
{
	struct blk *b = fake_disk();
	struct blk_queue *q = queue_on(b, BLK_AIO_AUTO);
	struct blk_req req = plain(BLK_READ);

	fake.fd = open("/dev/null", O_RDONLY);
	submit(q, &req);
	wait_done(1);
	assert_int_equal(seen.last, 0);
	assert_int_equal(fake.writes, 1);
	close(fake.fd);
	end(q, b);
}

static struct blk_queue *again_q;
static unsigned again_left;

static void again(struct blk_req *req, int result)
{
	seen.done++;
	seen.last |= result;
	if (again_left) {
		again_left--;
		blk_queue_submit(again_q, req);
	}
}

static void done_when_it_submits_expect_it_served(void **state)
{
	struct blk_req req = {.op = BLK_READ, .len = 512, .iov = &one, .niov = 1, .done = again};
	struct blk *b;

	tmp_make(MIB, 0);
	b = open_how((struct blk_open){.format = "raw"});
	again_q = queue_on(b, BLK_AIO_AUTO);
	again_left = 1000;
	pthread_mutex_lock(&lock);
	blk_queue_submit(again_q, &req);
	blk_queue_drain(again_q);
	assert_int_equal(seen.done, 1001);
	assert_int_equal(seen.last, 0);
	pthread_mutex_unlock(&lock);
	end(again_q, b);
}

/* Reads of what the host has in its cache end before the call does; whatever does not ends as ever. */
static void unplug_now_when_the_host_has_it_expect_done_at_once(void **state)
{
	static uint8_t buf[64][4096] __attribute__((aligned(4096)));
	static struct blk_req req[64];
	static struct iovec iov[64];
	unsigned at_once = 0;
	struct statfs fs;
	struct blk_queue *q;
	struct blk *b;

	tmp_make(MIB, 0xa5);
	b = open_how((struct blk_open){.format = "raw"});
	q = queue_on(b, BLK_AIO_AUTO);
	for (unsigned round = 0; round < 50; round++) {
		pthread_mutex_lock(&lock);
		blk_queue_plug(q);
		for (unsigned i = 0; i < 64; i++) {
			memset(buf[i], 0, 4096);
			iov[i] = (struct iovec){buf[i], 4096};
			req[i] = (struct blk_req){.op = i % 8 == 7 ? BLK_FLUSH : BLK_READ,
						  .off = i % 8 == 7 ? 0 : i * 4096,
						  .len = i % 8 == 7 ? 0 : 4096,
						  .iov = &iov[i],
						  .niov = 1,
						  .done = on_done};
			blk_queue_submit(q, &req[i]);
		}
		assert_int_equal(seen.done, round * 64);
		blk_queue_unplug_now(q);
		at_once += seen.done - round * 64;
		pthread_mutex_unlock(&lock);
		wait_done((round + 1) * 64);
		assert_int_equal(seen.last, 0);
		for (unsigned i = 0; i < 64; i++)
			assert_int_equal(buf[i][4095], i % 8 == 7 ? 0 : 0xa5);
	}
	assert_int_equal(statfs(tmp_path, &fs), 0);
	if (blk_queue_uses_uring(q) && fs.f_type == 0xef53) /* ext4 */
		assert_true(at_once >= 50 * 28);
	end(q, b);
}

/* ---- Frozen ------------------------------------------------------------------------------------ */

static void frozen_when_submitted_to_expect_it_on_the_image_of_the_thaw(void **state)
{
	static uint8_t buf[512];
	struct iovec iov = {buf, 512};
	struct blk_req req = {.op = BLK_READ, .len = 512, .iov = &iov, .niov = 1};
	struct blk_queue *q;
	struct blk *b, *other;
	char first[64];

	tmp_make(65536, 'a');
	b = open_how((struct blk_open){.format = "raw"});
	strcpy(first, tmp_path);
	tmp_make(65536, 'b');
	other = open_how((struct blk_open){.format = "raw"});
	q = queue_on(b, BLK_AIO_AUTO);
	pthread_mutex_lock(&lock);
	blk_queue_freeze(q);
	pthread_mutex_unlock(&lock);
	submit(q, &req);
	usleep(20000);
	pthread_mutex_lock(&lock);
	assert_int_equal(seen.done, 0);
	assert_true(blk_queue_idle(q));
	blk_queue_resume(q); /* a machine that goes on does not start them either */
	assert_true(blk_queue_idle(q));
	blk_queue_drain(q);
	assert_int_equal(seen.done, 0);
	blk_queue_set_image(q, other);
	blk_queue_thaw(q);
	pthread_mutex_unlock(&lock);
	wait_done(1);
	assert_int_equal(seen.last, 0);
	assert_int_equal(buf[0], 'b');
	assert_int_equal(blk_close(b), 0);
	unlink(first);
	end(q, other);
}

static void frozen_when_device_is_reset_expect_waiting_ones_given_up(void **state)
{
	static uint8_t buf[512];
	struct iovec iov = {buf, 512};
	struct blk_req req = {.op = BLK_READ, .len = 512, .iov = &iov, .niov = 1};
	struct blk_queue *q;
	struct blk *b;

	tmp_make(65536, 'a');
	b = open_how((struct blk_open){.format = "raw"});
	q = queue_on(b, BLK_AIO_AUTO);
	pthread_mutex_lock(&lock);
	blk_queue_freeze(q);
	pthread_mutex_unlock(&lock);
	submit(q, &req);
	pthread_mutex_lock(&lock);
	blk_queue_drain(q);
	blk_queue_drop_held(q);
	blk_queue_thaw(q);
	blk_queue_drain(q);
	pthread_mutex_unlock(&lock);
	assert_int_equal(seen.done, 0);
	end(q, b);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(queue_when_uring_expect_bytes_there_and_back),
		T(queue_when_direct_expect_bytes_there_and_back),
		T(queue_when_writethrough_expect_bytes_there_and_back),
		T(queue_when_threads_expect_bytes_there_and_back),
		T(queue_when_uring_is_forbidden_expect_threads),
		T(queue_when_submitter_is_gone_expect_all_done),
		T(queue_when_odd_expect_what_was_asked),
		T(submit_when_wrong_expect_einval_later),
		T(flush_discard_zero_when_asked_expect_them_done),
		T(error_when_report_expect_it_told),
		T(error_when_ignore_expect_success_told),
		T(error_when_stop_expect_held_and_tried_again),
		T(error_when_enospc_policy_expect_stop_for_that_only),
		T(write_when_no_write_cache_expect_a_flush_each),
		T(drain_when_disk_is_slow_expect_all_done),
		T(quick_when_held_expect_the_pool),
		T(ring_when_it_fails_expect_the_policy),
		T(ring_when_short_expect_the_format_asked),
		T(done_when_it_submits_expect_it_served),
		T(unplug_now_when_the_host_has_it_expect_done_at_once),
		T(frozen_when_submitted_to_expect_it_on_the_image_of_the_thaw),
		T(frozen_when_device_is_reset_expect_waiting_ones_given_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
