// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The lines that are Debian's own programs. Which packages they come from: bench/mkroot.py; their
 * input: bench/gendata.py and bench/guest. "crypto" is bench/programs/crypto: Debian's libcrypto.
 */
#include <stddef.h>

#include "bench.h"

/* No extension is left that OpenSSL would use: plain integer code. OPENSSL_ia32cap(3). */
#define NO_EXTENSIONS "OPENSSL_ia32cap=0:0"

#define COMMAND(...) (&(const struct bench_command){__VA_ARGS__})
#define FILTER(file_, ...) COMMAND(.file = file_, .input = true, .argv = {__VA_ARGS__})
#define CRYPTO(env_, what) COMMAND(.env = env_, .argv = {"/bin/lodge-crypto", what, "@"})
#define LINE(name_, group_, work_) .name = name_, .group = group_, .work = work_, .cmd

const struct bench bench_real[] = {
	{LINE("gzip", "integer", 1200000) = FILTER("text", "/bin/gzip", "-6", "-n", "-c")},
	{LINE("xz", "integer", 500000) = FILTER("text", "/bin/xz", "-2", "-T1", "-c")},
	{LINE("zstd", "integer", 3000000) =
		 FILTER("text", "/bin/zstd", "-6", "--single-thread", "-q", "-c")},
	{LINE("cc1-O2", "integer", 6000) =
		 COMMAND(.file = "source.i", .argv = {"/bin/cc1", "-quiet", "-fpreprocessed", "-O2",
						      "-w", BENCH_INPUT, "-o", "-"})},
	{LINE("perl", "integer", 400000) = FILTER("text", "/bin/perl", "/bench/words.pl")},
	{LINE("python", "integer", 12) =
		 COMMAND(.argv = {"/bin/python3", "-I", "-S", "/bench/objects.py", "@"})},
	{LINE("sqlite", "integer", 400000) =
		 FILTER("script.sql", "/bin/sqlite3", "-batch", BENCH_WORK_DIR "/db")},
	{LINE("sort", "integer", 2000000) =
		 FILTER("lines", "/bin/sort", "--parallel=1", "-S", "64M", "-k1,1", "-k2,2n")},
	{LINE("sha256", "integer", 1500) = CRYPTO(NO_EXTENSIONS, "sha256")},
	{LINE("md5", "integer", 2000) = CRYPTO(NO_EXTENSIONS, "md5")},
	{LINE("aes", "integer", 400) = CRYPTO(NO_EXTENSIONS, "aes")},
	{LINE("rsa-sign", "integer", 80) = CRYPTO(NULL, "rsa")},
	{LINE("sha256-hw", "fp", 8000) = CRYPTO(NULL, "sha256")},
	{LINE("aes-hw", "fp", 30000) = CRYPTO(NULL, "aes")},
	{.name = NULL},
};
