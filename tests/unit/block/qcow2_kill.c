// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * SIGKILL at a random moment. A child writes, zeroes, discards, snapshots and flushes; before each operation and after
 * each flush it says so through a pipe. The parent kills it, then qemu-img check must find nothing at all,
 * not even a leak, and every byte must be one that may be there: what was flushed, or what was done to it since.
 * Run: make t T=block/qcow2_kill; LODGE_SEED=… replays the operations, though not the moment; LODGE_COUNT
 * is the number of rounds (make check-images: 1,000).
 */
#include <signal.h>
#include <sys/prctl.h>

#include "qcow2_model.h"

static void say(int fd, uint32_t first, uint32_t count, uint32_t version)
{
	struct message m = {first, count, version};

	if (write(fd, &m, sizeof(m)) != sizeof(m))
		_exit(2);
}

static int step(struct blk *b, uint64_t *rnd, uint8_t *buf, int fd, uint32_t version)
{
	static const unsigned most[] = {1, 8, 64, 700};
	uint32_t first = (uint32_t)rnd_below(rnd, SECTORS), op = (uint32_t)rnd_below(rnd, 20);
	uint32_t n = 1 + (uint32_t)rnd_below(rnd, most[rnd_below(rnd, 4)]);

	n = (uint32_t)min_u64(n, SECTORS - first);
	if (op < 4) {
		if (blk_flush(b))
			return 3;
		say(fd, 0, 0, FLUSHED);
		return 0;
	}
	if (op < 7) {
		say(fd, first, n, version | ZEROS);
		return blk_zero(b, first * 512ull, n * 512ull, op == 5) ? 4 : 0;
	}
	for (uint32_t i = 0; i < n; i++)
		stamp(buf + i * 512, first + i, version);
	say(fd, first, n, version);
	return blk_write(b, first * 512ull, buf, n * 512ull) ? 5 : 0;
}

static void __attribute__((noreturn)) child(uint64_t seed, int fd)
{
	struct blk_open how = {.path = env_path("k.qcow2"), .format = "qcow2", .discard = true};
	uint8_t *buf = malloc(SECTORS * 512);
	struct lodge_err err = {""};
	char snap[32] = "";
	struct blk *b;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (blk_open(&how, &b, &err)) {
		fprintf(stderr, "%s\n", err.msg);
		_exit(6);
	}
	for (uint32_t version = 1;; version++) {
		int r = step(b, &seed, buf, fd, version);

		if (!r && !rnd_below(&seed, 60)) {
			if (snap[0] && rnd_below(&seed, 2)) {
				r = q_snapshot_delete(b, snap, &err);
				snap[0] = '\0';
			} else {
				snprintf(snap, sizeof(snap), "s%u", version);
				r = q_snapshot_create(b, snap, &err);
			}
		}
		if (r) {
			fprintf(stderr, "step %u: %d %s\n", version, r, err.msg);
			_exit(r < 0 ? 7 : r);
		}
	}
}

static void round_of(uint64_t seed, uint64_t *flushes)
{
	static struct model m;
	uint64_t rnd = seed;
	struct message msg;
	int pipes[2], status;
	pid_t pid;

	create(env_path("k.qcow2"), &rnd);
	model_start(&m);
	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	if (!pid) {
		close(pipes[0]);
		child(splitmix64(&rnd), pipes[1]);
	}
	close(pipes[1]);
	/* The pipe is emptied while it runs; after the kill, what is left in it was said before. */
	for (uint64_t until = 1 + rnd_below(&rnd, 400), n = 0; n < until; n++) {
		if (read(pipes[0], &msg, sizeof(msg)) != sizeof(msg))
			break;
		note(&m, &msg);
		*flushes += !msg.count;
	}
	usleep((useconds_t)rnd_below(&rnd, 3000));
	kill(pid, SIGKILL);
	while (read(pipes[0], &msg, sizeof(msg)) == sizeof(msg)) {
		note(&m, &msg);
		*flushes += !msg.count;
	}
	close(pipes[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	env_check_clean("k.qcow2");
	verify(&m, env_path("k.qcow2"));
}

static void kill_when_at_a_random_moment_expect_clean_image_and_flushed_bytes(void **state)
{
	uint64_t seed = env_u64("LODGE_SEED", (uint64_t)time(NULL) << 20), flushes = 0;
	uint64_t n = env_u64("LODGE_COUNT", 30);

	for (uint64_t i = 0; i < n; i++, seed++) {
		if (n <= 30 || i % 50 == 0)
			fprintf(stderr, "LODGE_SEED=%llu\n", (unsigned long long)seed);
		round_of(seed, &flushes);
	}
	fprintf(stderr, "%llu rounds, %llu flushes\n", (unsigned long long)n,
		(unsigned long long)flushes);
	assert_true(flushes > n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kill_when_at_a_random_moment_expect_clean_image_and_flushed_bytes),
	};

	return cmocka_run_group_tests(tests, env_setup, env_teardown);
}
