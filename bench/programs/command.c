// SPDX-License-Identifier: GPL-2.0-or-later
/* Real programs: input of the right size, processes with their output in files, checksums. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

static void output_name(char *buf, size_t n, unsigned process)
{
	snprintf(buf, n, BENCH_WORK_DIR "/out%u", process);
}

static char *read_file(const char *path, size_t max, size_t *size)
{
	FILE *f = fopen(path, "rb");
	char *data = malloc(max + 1);

	if (!f || !data)
		bench_fail(path);
	*size = fread(data, 1, max, f);
	data[*size] = 0;
	fclose(f);
	return data;
}

/* The first `bytes` of the file, up to the last blank line, or failing that the last line's end. */
static void make_input(const char *file, uint32_t bytes)
{
	char path[64];
	size_t size;
	char *data, *end = NULL;
	FILE *f = fopen(BENCH_INPUT, "wb");

	snprintf(path, sizeof(path), "/bench/%s", file);
	data = read_file(path, bytes, &size);
	if (size == bytes) {
		for (char *p = data; (p = strstr(p, "\n\n")) != NULL; p += 2)
			end = p + 2;
		if (!end && (end = memrchr(data, '\n', size)) != NULL)
			end++;
	}
	if (end)
		size = (size_t)(end - data);
	if (!f || fwrite(data, 1, size, f) != size || fclose(f))
		bench_fail(BENCH_INPUT);
	free(data);
}

void bench_command_prepare(const struct bench_command *c, uint32_t work)
{
	if (system("/bin/busybox rm -rf " BENCH_WORK_DIR) || mkdir(BENCH_WORK_DIR, 0700))
		bench_fail(BENCH_WORK_DIR);
	if (c->file)
		make_input(c->file, work);
}

static void become(const struct bench_command *c, uint32_t work, unsigned process)
{
	char out[64], amount[16];
	const char *argv[BENCH_MAX_ARGS + 1] = {NULL};
	int in, fd;

	output_name(out, sizeof(out), process);
	snprintf(amount, sizeof(amount), "%u", work);
	for (unsigned i = 0; i < BENCH_MAX_ARGS && c->argv[i]; i++)
		argv[i] = strcmp(c->argv[i], "@") ? c->argv[i] : amount;
	if (c->env)
		putenv((char *)c->env);
	setenv("LC_ALL", "C", 1);
	setenv("PYTHONDONTWRITEBYTECODE", "1", 1);
	setenv("PYTHONHASHSEED", "0", 1);
	setenv("PERL_HASH_SEED", "0", 1);
	in = open(c->input ? BENCH_INPUT : "/dev/null", O_RDONLY);
	fd = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (in < 0 || fd < 0 || dup2(in, 0) < 0 || dup2(fd, 1) < 0 || chdir(BENCH_WORK_DIR))
		_exit(126);
	close(in);
	close(fd);
	execv(argv[0], (char **)argv);
	_exit(127);
}

void bench_command_run(const struct bench_command *c, uint32_t work)
{
	unsigned n = c->processes ? c->processes : 1;
	bool good = true;

	for (unsigned i = 0; i < n; i++) {
		pid_t child = fork();

		if (child < 0)
			bench_fail("fork");
		if (!child)
			become(c, work, i);
	}
	for (unsigned i = 0; i < n; i++) {
		int status = -1;

		good = wait(&status) > 0 && !status && good;
	}
	if (!good)
		bench_fail(c->argv[0]);
}

uint64_t bench_command_sum(const struct bench_command *c)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < (c->processes ? c->processes : 1); i++) {
		char out[64];
		size_t size, at;
		uint64_t v;
		char *data;

		output_name(out, sizeof(out), i);
		data = read_file(out, 64u << 20, &size);
		for (at = 0; at + 8 <= size; at += 8) {
			memcpy(&v, data + at, 8);
			sum = bench_mix(sum, v) ^ sum >> 29;
		}
		for (; at < size; at++)
			sum = bench_mix(sum, (uint8_t)data[at]);
		sum = bench_mix(sum, size);
		free(data);
	}
	return sum;
}
