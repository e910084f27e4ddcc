// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * `lodge new debian`: an installed Debian on a disk image, in one command. The work is Debian's own
 * tools', led by new_debian.sh, which is a part of this program; here are options and progress.
 * Threads: main only.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/keyval.h"
#include "cli/cli.h"

/* The script's text. */
__asm__(".section .rodata\n"
	"new_script: .incbin \"src/cli/new_debian.sh\"\n"
	"new_script_end:\n"
	".previous");
extern const char new_script[], new_script_end[];

#define PROGRESS_FD 3
#define BAR 30

struct new_opts {
	const char *out, *size, *user, *password, *key_file, *hostname, *packages, *release, *arch,
		*kernel, *format, *mirror, *timeout, *cmdline;
	bool force, quiet;
};

/* ---- Progress ---------------------------------------------------------------------------------- */

static void show(const struct new_opts *o, unsigned percent, const char *text, bool terminal)
{
	static unsigned last = ~0u;

	if (o->quiet || (!terminal && percent == last))
		return;
	if (terminal) {
		fprintf(stderr, "\r\033[K[%-*.*s] %3u %% %s", BAR, (int)(percent * BAR / 100),
			"##############################", percent, text);
		if (percent == 100)
			fputc('\n', stderr);
	} else {
		fprintf(stderr, "lodge: %3u %% %s\n", percent, text);
	}
	last = percent;
}

static void follow(const struct new_opts *o, int fd)
{
	bool terminal = isatty(2);
	FILE *f = fdopen(fd, "r");
	char line[512];

	while (f && fgets(line, sizeof(line), f)) {
		char *text;
		unsigned long percent = strtoul(line, &text, 10);

		text[strcspn(text, "\n")] = '\0';
		show(o, percent > 100 ? 100 : (unsigned)percent, *text ? text + 1 : text, terminal);
	}
	if (f)
		fclose(f);
}

/* ---- The script -------------------------------------------------------------------------------- */

static void become_script(int progress)
{
	size_t n = (size_t)(new_script_end - new_script);
	char *text = strndup(new_script, n);

	if (!text || dup2(progress, PROGRESS_FD) < 0)
		_exit(126);
	/* A shell's descriptors have one digit: leave it the rest. */
	close_range(PROGRESS_FD + 1, ~0u, 0);
	execl("/bin/sh", "sh", "-c", text, "lodge", (char *)NULL);
	_exit(127);
}

static int run_script(const struct new_opts *o)
{
	int progress[2], status = -1;
	pid_t child;

	if (pipe2(progress, O_CLOEXEC))
		return cli_error("new: cannot start the script: %s", strerror(errno));
	child = fork();
	if (child < 0)
		return cli_error("new: cannot start the script: %s", strerror(errno));
	if (!child) {
		become_script(progress[1]);
	}
	close(progress[1]);
	follow(o, progress[0]);
	if (waitpid(child, &status, 0) != child)
		return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* ---- Options ----------------------------------------------------------------------------------- */

/* A name that is safe in a file of settings: no blanks, no signs of a shell, none of `more`. */
static bool word(const char *s, const char *more)
{
	size_t n = strlen(s);

	return n && n <= 63 && s[0] != '-' && strcspn(s, " \t\n'\"\\$`;&|<>()") == n &&
	       strcspn(s, more) == n;
}

static int read_key(const char *path, char **out)
{
	FILE *f = fopen(path, "r");
	static char key[16384];
	size_t n = f ? fread(key, 1, sizeof(key) - 1, f) : 0;

	if (f)
		fclose(f);
	key[n] = '\0';
	if (!f || !n)
		return cli_error("new: cannot read the public key '%s'%s%s", path, f ? "" : ": ",
				 f ? " (it is empty)" : strerror(errno));
	if (strstr(key, "PRIVATE KEY"))
		return cli_error("new: '%s' is a private key; give the public one, '%s.pub'", path,
				 path);
	*out = key;
	return 0;
}

static int set_environment(const struct new_opts *o)
{
	char *key = "", size[32], self[4096];
	uint64_t bytes;
	ssize_t n;

	if (parse_size(o->size, 1, &bytes) || bytes < 1ull << 30 || bytes > 64ull << 40)
		return cli_error("new: --size %s is not a size from 1G to 64T", o->size);
	if (!word(o->user, ":,/") || !word(o->hostname, ":,/_") || !word(o->release, ",") ||
	    !word(o->kernel, ",/"))
		return cli_error(
			"new: a user, host, release or kernel name has no blanks or signs");
	if (strpbrk(o->packages, " \t\n'\"\\$`;&|<>()"))
		return cli_error("new: --packages are names with commas between them");
	if (strpbrk(o->password, "\n:"))
		return cli_error("new: a password has no line end and no colon");
	if (o->key_file && read_key(o->key_file, &key))
		return 1;
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	self[n > 0 ? n : 0] = '\0';
	snprintf(size, sizeof(size), "%llu", (unsigned long long)bytes);
	const char *const env[][2] = {
		{"NEW_OUT", o->out},
		{"NEW_SIZE", size},
		{"NEW_USER", o->user},
		{"NEW_PASSWORD", o->password},
		{"NEW_KEY", key},
		{"NEW_HOSTNAME", o->hostname},
		{"NEW_PACKAGES", o->packages},
		{"NEW_RELEASE", o->release},
		{"NEW_ARCH", o->arch},
		{"NEW_KERNEL", o->kernel},
		{"NEW_FORMAT", o->format},
		{"NEW_MIRROR", o->mirror},
		{"NEW_TIMEOUT", o->timeout},
		{"NEW_CMDLINE", o->cmdline},
		{"LODGE", self},
	};
	for (unsigned i = 0; i < sizeof(env) / sizeof(env[0]); i++) {
		if (setenv(env[i][0], env[i][1], 1))
			return cli_error("new: no memory");
	}
	return 0;
}

static int parse(struct new_opts *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{"size", 1, NULL, 's'},	   {"user", 1, NULL, 'u'},     {"password", 1, NULL, 'p'},
		{"ssh-key", 1, NULL, 'k'}, {"hostname", 1, NULL, 'n'}, {"packages", 1, NULL, 'P'},
		{"release", 1, NULL, 'r'}, {"arch", 1, NULL, 'A'},     {"kernel", 1, NULL, 'K'},
		{"format", 1, NULL, 'f'},  {"mirror", 1, NULL, 'm'},   {"append", 1, NULL, 'a'},
		{"timeout", 1, NULL, 't'}, {"force", 0, NULL, 'F'},    {"quiet", 0, NULL, 'q'},
		{"help", 0, NULL, 'h'},	   {NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "f:hq", longs, NULL)) >= 0) {
		const char **where = c == 's'	? &o->size
				     : c == 'u' ? &o->user
				     : c == 'p' ? &o->password
				     : c == 'k' ? &o->key_file
				     : c == 'n' ? &o->hostname
				     : c == 'P' ? &o->packages
				     : c == 'r' ? &o->release
				     : c == 'A' ? &o->arch
				     : c == 'K' ? &o->kernel
				     : c == 'f' ? &o->format
				     : c == 'm' ? &o->mirror
				     : c == 'a' ? &o->cmdline
				     : c == 't' ? &o->timeout
						: NULL;

		if (where)
			*where = optarg;
		else if (c == 'F')
			o->force = true;
		else if (c == 'q')
			o->quiet = true;
		else if (c == 'h')
			return -1;
		else
			return 1;
	}
	if (optind >= argc || strcmp(argv[optind], "debian"))
		return cli_error("new: write 'lodge new debian FILE'; debian is all there is yet");
	o->out = argv[optind + 1];
	if (!o->out)
		return cli_error("new debian: which file? Write 'lodge new debian FILE'");
	if (argv[optind + 2])
		return cli_error("new debian: '%s' is one word too many", argv[optind + 2]);
	return 0;
}

int cli_new(int argc, char **argv)
{
	struct new_opts o = {
		.size = "8G",
		.user = "debian",
		.password = "",
		.hostname = "debian",
		.packages = "",
		.release = "bookworm",
		.arch = "amd64",
		.mirror = "",
		.timeout = "0",
		.cmdline = "",
	};
	struct stat st;
	size_t n;
	int r = parse(&o, argc, argv);

	if (r < 0) {
		cli_new_help();
		return 0;
	}
	if (r)
		return 1;
	if (strcmp(o.arch, "amd64") && strcmp(o.arch, "i386"))
		return cli_error("new: --arch %s is not there; there are amd64 and i386", o.arch);
	if (!o.kernel)
		o.kernel = !strcmp(o.arch, "amd64") ? "amd64" : "686-pae";
	n = strlen(o.out);
	if (!o.format)
		o.format =
			n > 4 && (!strcmp(o.out + n - 4, ".img") || !strcmp(o.out + n - 4, ".raw"))
				? "raw"
				: "qcow2";
	if (strcmp(o.format, "raw") && strcmp(o.format, "qcow2"))
		return cli_error("new: --format %s is not there; there are raw and qcow2",
				 o.format);
	if (!o.force && !stat(o.out, &st))
		return cli_error("new: '%s' is there already; --force replaces it", o.out);
	if (set_environment(&o))
		return 1;
	r = run_script(&o);
	if (!r && !o.quiet)
		printf("Start it: lodge run -m 1G -nographic -drive file=%s,format=%s,if=virtio\n",
		       o.out, o.format);
	return r;
}

void cli_new_help(void)
{
	puts("usage: lodge new debian [OPTION...] FILE\n"
	     "\n"
	     "Make FILE a disk image with a Debian system on it (GPT, ext4; GRUB for BIOS and "
	     "UEFI;\n"
	     "console on the first serial port, network by DHCP, SSH server). No root rights are\n"
	     "needed where user name spaces are allowed. A FILE that ends in .img or .raw is raw,\n"
	     "any other is qcow2.\n"
	     "\n"
	     "  --size SIZE        of the disk (8G; what is not used takes no space)\n"
	     "  --user NAME        who logs in; may use sudo (debian; 'root' is possible)\n"
	     "  --ssh-key FILE     that user's public key\n"
	     "  --password TEXT    that user's password; without one the serial console logs in "
	     "by\n"
	     "                     itself, and the network only by key\n"
	     "  --hostname NAME    (debian)\n"
	     "  --packages A,B     more packages\n"
	     "  --release NAME     (bookworm)\n"
	     "  --arch ARCH        amd64, or i386, of 32 bits and for BIOS only (amd64)\n"
	     "  --kernel FLAVOUR   (amd64, 686-pae); cloud-amd64 is smaller and knows only "
	     "virtio,\n"
	     "                     NVMe and the like; 686 runs without PAE\n"
	     "  --append TEXT      more for the kernel's command line\n"
	     "  --timeout SECONDS  of GRUB's menu (0: none is shown)\n"
	     "  --mirror URL       where packages come from (what the host uses, or Debian's)\n"
	     "  -f, --format FMT   raw or qcow2\n"
	     "  --force            replace FILE\n"
	     "  -q, --quiet        no progress");
}
