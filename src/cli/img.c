// SPDX-License-Identifier: GPL-2.0-or-later
/* `lodge img`: finds the verb, reads its options, which are spelled as qemu-img spells them. */
#include "cli/img.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/keyval.h"
#include "base/range.h"
#include "cli/cli.h"

#define LONGS(...) ((const char[]){__VA_ARGS__, 0})

static const struct img_verb verbs[] = {
	{"create", "[-q] [-f FORMAT] [-b BACKING -F FORMAT] [-u] [-o OPTIONS] FILE [SIZE]",
	 "qf:b:F:uo:", "", img_create, 1},
	{"info", "[-f FORMAT] [--backing-chain] [-U] [--output=json] FILE", "f:U",
	 LONGS(IMG_OUTPUT, IMG_JSON, IMG_CHAIN), img_info, 1},
	{"check", "[-q] [-f FORMAT] [-r leaks|all] [-T CACHE] [-U] [--output=json] FILE",
	 "qf:r:T:U", LONGS(IMG_OUTPUT, IMG_JSON), img_check, 1},
	{"convert",
	 "[-c] [-p] [-q] [-n] [-U] [-W] [-f FORMAT] [-O FORMAT] [-B BACKING [-F FORMAT]]\n"
	 "            [-o OPTIONS] [-l SNAPSHOT] [-S SIZE] [-m THREADS] [-t CACHE] [-T CACHE]\n"
	 "            [--target-is-zero] FILE... TARGET",
	 "cpqnUWf:O:B:F:o:l:S:m:t:T:", LONGS(IMG_IS_ZERO), img_convert, 1},
	{"resize", "[-q] [-f FORMAT] [--shrink] FILE [+|-]SIZE", "qf:", LONGS(IMG_SHRINK),
	 img_resize, 1},
	{"snapshot",
	 "[-q] [-f FORMAT] [-U] [-l | -c NAME | -a NAME | -d NAME] [--output=json] FILE",
	 "qf:Ula:c:d:", LONGS(IMG_OUTPUT, IMG_JSON), img_snapshot, 1},
	{"rebase",
	 "[-q] [-p] [-u] [-U] [-f FORMAT] [-t CACHE] [-T CACHE] -b BACKING [-F FORMAT] FILE",
	 "qpuUf:t:T:b:F:", "", img_rebase, 1},
	{"map", "[-f FORMAT] [-U] [--start-offset=N] [--max-length=N] [--output=json] FILE",
	 "f:Us:l:", LONGS(IMG_OUTPUT, IMG_JSON, IMG_START, IMG_MAX), img_map, 1},
	{"commit", "[-q] [-p] [-d] [-f FORMAT] [-t CACHE] [-b BASE] FILE", "qpdf:t:b:", "",
	 img_commit, 1},
	{"compare", "[-q] [-p] [-s] [-U] [-f FORMAT] [-F FORMAT] [-T CACHE] FILE FILE",
	 "qpsUf:F:T:", "", img_compare, 2},
};

static const struct option long_options[] = {
	{"output", required_argument, NULL, IMG_OUTPUT},
	{"json", no_argument, NULL, IMG_JSON},
	{"backing-chain", no_argument, NULL, IMG_CHAIN},
	{"shrink", no_argument, NULL, IMG_SHRINK},
	{"target-is-zero", no_argument, NULL, IMG_IS_ZERO},
	{"start-offset", required_argument, NULL, IMG_START},
	{"max-length", required_argument, NULL, IMG_MAX},
	{"preallocation", required_argument, NULL, IMG_PREALLOC},
	{"force-share", no_argument, NULL, 'U'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

int img_fail(const struct img_args *a, int code, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	cli_error("img %s: %s", a->verb, text);
	return code;
}

int img_names(const struct img_args *a, int min, int max, const char *what)
{
	if (a->argc >= min && a->argc <= max)
		return 0;
	return img_fail(a, 1, "%s; 'lodge help img' explains", what);
}

int img_size(const struct img_args *a, const char *text, uint64_t *out, struct lodge_err *err)
{
	int r = parse_size(text, 1, out);

	(void)a;
	if (!r && *out > INT64_MAX)
		r = -ERANGE;
	return r ? err_set(err, r, "'%s' is not a size: a number of bytes, or with K, M, G, T",
			   text)
		 : 0;
}

static const struct {
	const char *word;
	enum blk_cache cache;
} caches[] = {
	{"writeback", BLK_CACHE_WRITEBACK},
	{"none", BLK_CACHE_NONE},
	{"writethrough", BLK_CACHE_WRITETHROUGH},
	{"directsync", BLK_CACHE_DIRECTSYNC},
	{"unsafe", BLK_CACHE_UNSAFE},
};

int img_open_how(const struct img_args *a, char format, char cache, struct blk_open *how,
		 struct lodge_err *err)
{
	const char *word = cache ? a->val[(unsigned char)cache] : NULL;
	size_t i = 0;

	if (format)
		how->format = a->val[(unsigned char)format];
	how->no_lock = a->val['U'];
	if (!word)
		return 0;
	while (i < ARRAY_SIZE(caches) && strcmp(caches[i].word, word))
		i++;
	if (i == ARRAY_SIZE(caches))
		return err_set(err, -EINVAL,
			       "there is no cache mode '%s'; there are none, writeback, "
			       "writethrough, directsync and unsafe",
			       word);
	how->cache = caches[i].cache;
	return 0;
}

struct blk *img_open(const struct img_args *a, const struct blk_open *how, const char *path)
{
	struct blk_open full = *how;
	struct lodge_err err = {""};
	struct blk *b;

	full.path = path;
	if (!blk_open(&full, &b, &err))
		return b;
	img_fail(a, 1, "%s", err.msg);
	return NULL;
}

void img_human(uint64_t bytes, char *out, size_t n)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double v = (double)bytes;
	unsigned i = 0;

	for (; v >= 1000 && i + 1 < ARRAY_SIZE(units); i++)
		v /= 1024;
	snprintf(out, n, "%.3g %s", v, units[i]);
}

int img_print_json(json_t *j)
{
	int r = j ? json_dumpf(j, stdout, JSON_INDENT(4)) : -1;

	json_decref(j);
	putchar('\n');
	return r || fflush(stdout) ? 1 : 0;
}

/* ---- The bar ----------------------------------------------------------------------------------- */

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void draw(void *opaque, uint64_t done, uint64_t total)
{
	struct img_bar *bar = opaque;
	unsigned promille = total ? (unsigned)((double)done * 1000 / (double)total) : 1000, cells;
	double now = seconds();

	if (promille == bar->last_promille || now - bar->last < 0.1)
		return;
	bar->last = now;
	bar->last_promille = promille;
	bar->drawn = true;
	cells = promille / 25;
	fprintf(stderr, "\r[%.*s%*s] %3u.%u%%", (int)cells,
		"########################################", 40 - (int)cells, "", promille / 10,
		promille % 10);
	fflush(stderr);
}

struct blk_progress img_bar(struct img_bar *bar, const struct img_args *a)
{
	*bar = (struct img_bar){.last = seconds(), .last_promille = 1001};
	bar->on = !a->val['q'] && (a->val['p'] || isatty(2));
	if (a->val['p'])
		bar->last = 0;
	return (struct blk_progress){.report = bar->on ? draw : NULL, .opaque = bar};
}

void img_bar_end(struct img_bar *bar, bool done)
{
	if (!bar->drawn)
		return;
	if (done) {
		bar->last = 0;
		bar->last_promille = 1001;
		draw(bar, 1, 1);
	}
	fputc('\n', stderr);
}

/* ---- Options ----------------------------------------------------------------------------------- */

static int take_option(const struct img_verb *v, struct img_args *a, int c)
{
	size_t used = strlen(a->o);
	int n;

	if (c < 32 && !strchr(v->longs, c))
		return img_fail(a, v->failure, "it has no option '%s'", a->argv[optind - 1]);
	a->val[c] = optarg ? optarg : "";
	if (c != 'o')
		return 0;
	n = snprintf(a->o + used, sizeof(a->o) - used, "%s%s", used ? "," : "", optarg);
	if (n < 0 || (size_t)n >= sizeof(a->o) - used)
		return img_fail(a, v->failure, "-o is too long");
	return 0;
}

static int parse(const struct img_verb *v, int argc, char **argv, struct img_args *a)
{
	char letters[64];
	int c, r, last = 0;

	*a = (struct img_args){.verb = v->name, .argv = argv};
	snprintf(letters, sizeof(letters), ":h%s", v->letters);
	opterr = 0;
	optind = 1;
	/* "-1G" at the end of `resize` is a size. */
	if (v->fn == img_resize && argc > 2 && argv[argc - 1][0] == '-' &&
	    strchr("0123456789", argv[argc - 1][1]))
		last = 1;
	while ((c = getopt_long(argc - last, argv, letters, long_options, NULL)) != -1) {
		if (c == ':')
			return img_fail(a, v->failure, "the option '%s' wants a value",
					argv[optind - 1]);
		if (c == '?')
			return img_fail(a, v->failure,
					"it has no option '%s'; 'lodge help img' lists them",
					optopt && optopt < 128 && optopt > 32
						? ((char[]){'-', (char)optopt, 0})
						: argv[optind - 1]);
		if (c == 'h') {
			printf("usage: lodge img %s %s\n", v->name, v->usage);
			return -1;
		}
		r = take_option(v, a, c);
		if (r)
			return r;
	}
	a->argc = argc - optind;
	a->argv = argv + optind;
	a->json = a->val[IMG_JSON];
	if (a->val[IMG_OUTPUT] && !strcmp(a->val[IMG_OUTPUT], "json"))
		a->json = true;
	else if (a->val[IMG_OUTPUT] && strcmp(a->val[IMG_OUTPUT], "human"))
		return img_fail(a, v->failure, "--output is human or json");
	return 0;
}

int cli_img(int argc, char **argv)
{
	struct img_args a;
	int r;

	if (argc < 2)
		return cli_error("img: which verb? 'lodge help img' lists them");
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		cli_img_help();
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		if (strcmp(verbs[i].name, argv[1]))
			continue;
		r = parse(&verbs[i], argc - 1, argv + 1, &a);
		if (r)
			return r < 0 ? 0 : r;
		r = verbs[i].fn(&a);
		return fflush(stdout) && !r ? 1 : r;
	}
	return cli_error("img: there is no verb '%s'; 'lodge help img' lists them", argv[1]);
}

void cli_img_help(void)
{
	puts("usage: lodge img VERB [OPTION...] FILE...\n"
	     "\n"
	     "Work on disk images; options and exit codes are qemu-img's.\n");
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		printf("  %-9s %s\n", verbs[i].name, verbs[i].usage);
	puts("\n"
	     "Formats: raw and qcow2 are read and written; vmdk, vpc (VHD) and vdi are read.\n"
	     "  -f, -F      formats of what is read, of the backing file or the second image\n"
	     "  -O          format of what is written (raw)\n"
	     "  -o          options of the new image; 'lodge img create -f qcow2 -o help' lists "
	     "them\n"
	     "  -p          a bar also where standard error is no terminal\n"
	     "  -U          do not lock: the image may be in use\n"
	     "  -t, -T      cache of what is written, of what is read: none, writeback, ...\n"
	     "  --json      the same as --output=json\n"
	     "Sizes are in bytes, or with K, M, G, T.");
}
