/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a line of the benchmark is: a fixed amount of work, of which a checksum remains that must be
 * the same on the host, under Lodge and under QEMU. It is either a function here or a command.
 */
#ifndef LODGE_BENCH_H
#define LODGE_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#define BENCH_MAX_ARGS 12
#define BENCH_WORK_DIR "/tmp/bench"
#define BENCH_INPUT BENCH_WORK_DIR "/in"

/* A real program. What it writes to standard output goes to a file, of which the checksum is. */
struct bench_command {
	const char *file;  /* of /bench; so many bytes of it become BENCH_INPUT */
	const char *env;   /* "NAME=VALUE" or NULL */
	bool input;	   /* BENCH_INPUT is the standard input */
	uint8_t processes; /* so many at once; 0: one */
	/* "@" stands for the amount of work. */
	const char *argv[BENCH_MAX_ARGS];
};

struct bench {
	const char *name;
	const char *group;		 /* "integer", "fp", "stream", "kernel", "smp", "small" */
	uint32_t work;			 /* the amount at scale 100: loops, or bytes of the input */
	bool per_one;			 /* a time is told for one of `work`, not for all */
	void (*prepare)(uint32_t work);	 /* not timed; may be NULL */
	uint64_t (*run)(uint32_t work);	 /* returns the checksum */
	void (*finish)(void);		 /* not timed; may be NULL */
	bool (*possible)(void);		 /* NULL: always */
	const struct bench_command *cmd; /* in the place of `run` */
};

/* A fixed pseudo-random sequence (xorshift64, Marsaglia 2003). */
static inline uint64_t bench_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static inline uint64_t bench_mix(uint64_t sum, uint64_t v)
{
	return (sum ^ v) * 0x100000001b3ull;
}

/* Say what could not be done, and exit. */
void bench_fail(const char *what) __attribute__((noreturn));

/* Prepare a command's input, run it, take the checksum of its outputs. (command.c) */
void bench_command_prepare(const struct bench_command *c, uint32_t work);
void bench_command_run(const struct bench_command *c, uint32_t work);
uint64_t bench_command_sum(const struct bench_command *c);

/* Run `run` in two processes at once, half of the work each. (smp.c) */
uint64_t bench_in_two(uint64_t (*run)(uint32_t work), uint32_t work);

/* Tables, each ended by a line without a name. */
extern const struct bench bench_real[], bench_crypto[], bench_fp[], bench_stream[], bench_kernel[],
	bench_smp[], bench_small[];

/* The functions that more than one table uses, or that have a file of their own. */
uint64_t bench_sieve(uint32_t work), bench_crc32(uint32_t work), bench_quicksort(uint32_t work),
	bench_fib(uint32_t work), bench_list(uint32_t work), bench_hash(uint32_t work),
	bench_vm(uint32_t work), bench_matrix_int(uint32_t work), bench_matrix_float(uint32_t work),
	bench_matrix_double(uint32_t work), bench_mandelbrot(uint32_t work),
	bench_nbody(uint32_t work), bench_x87(uint32_t work), bench_vector_fma(uint32_t work),
	bench_vector_int(uint32_t work);

#endif
