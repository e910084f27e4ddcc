// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * `lodge doctor`: what this host can do for guests, and how to mend what it cannot.
 * One check fills one part of struct report; then the report is printed for people or as JSON.
 * Threads: main only.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "base/range.h"
#include "cli/cli.h"
#include "machine/engines.h"
#include "machine/vm.h"
#include "sandbox/sandbox.h"
#include "x86/cpuid.h"

#define FIRMWARE_MAX 16

struct report {
	struct kvm_probe kvm;
	unsigned kvm_ms; /* what the probe took */
	bool cpu_ok;
	char cpu_err[512];
	struct x86_cpuid cpuid;
	char features[4096]; /* separated by spaces */
	uint64_t ram_total, ram_available;
	char firmware[FIRMWARE_MAX][64];
	unsigned firmware_count;
	struct sandbox_host sandbox;
};

/* ---- KVM --------------------------------------------------------------------------------------
 */

static void check_kvm(struct report *r)
{
	struct timespec before, after;

	clock_gettime(CLOCK_MONOTONIC, &before);
	vm_probe_kvm(&r->kvm);
	clock_gettime(CLOCK_MONOTONIC, &after);
	r->kvm_ms = (unsigned)((after.tv_sec - before.tv_sec) * 1000 +
			       (after.tv_nsec - before.tv_nsec) / 1000000);
}

/* ---- Processor, memory, firmware ---------------------------------------------------------------
 */

static void list_features(struct report *r)
{
	size_t used = 0;

	for (unsigned f = 1; f < X86_FEAT_COUNT; f++) {
		const char *name = x86_feature_name((enum x86_feature)f);
		size_t room = sizeof(r->features) - used;

		if (!r->cpuid.has[f] || strlen(name) + 2 > room)
			continue;
		used += (size_t)snprintf(r->features + used, room, "%s%s", used ? " " : "", name);
	}
}

static void check_cpu(struct report *r)
{
	struct lodge_err err = {""};

	r->cpu_ok = !x86_cpuid_build(&r->cpuid, "max", 1, &err);
	snprintf(r->cpu_err, sizeof(r->cpu_err), "%s", err.msg);
	if (r->cpu_ok)
		list_features(r);
}

static void check_memory(struct report *r)
{
	struct sysinfo si;
	char line[128];
	FILE *f = fopen("/proc/meminfo", "re");
	unsigned long long kib;

	if (!sysinfo(&si)) {
		r->ram_total = (uint64_t)si.totalram * si.mem_unit;
		r->ram_available = (uint64_t)si.freeram * si.mem_unit;
	}
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
			r->ram_available = kib << 10;
	}
	if (f)
		fclose(f);
}

static void check_firmware(struct report *r)
{
	static const char *const files[] = {
		"/usr/share/seabios/bios-256k.bin",
		"/usr/share/seabios/bios.bin",
		"/usr/share/seabios/bios-microvm.bin",
		"/usr/share/qemu/bios-256k.bin",
		"/usr/share/qemu/bios.bin",
		"/usr/share/ovmf/OVMF.fd",
		"/usr/share/OVMF/OVMF_CODE.fd",
		"/usr/share/OVMF/OVMF_CODE_4M.fd",
		"/usr/share/qemu/OVMF.fd",
	};

	for (size_t i = 0; i < ARRAY_SIZE(files) && r->firmware_count < FIRMWARE_MAX; i++) {
		if (!access(files[i], R_OK))
			snprintf(r->firmware[r->firmware_count++], sizeof(r->firmware[0]), "%s",
				 files[i]);
	}
}

/* ---- Printing ---------------------------------------------------------------------------------
 */

/* Words at most to column 78, indented. */
static void print_wrapped(const char *words)
{
	size_t col = 0;

	while (*words) {
		size_t len = strcspn(words, " ");

		if (!col || col + 1 + len > 78)
			col = (size_t)printf("%s    %.*s", col ? "\n" : "", (int)len, words) -
			      !!col;
		else
			col += (size_t)printf(" %.*s", (int)len, words);
		words += len + strspn(words + len, " ");
	}
	putchar('\n');
}

static void print_sandbox(const struct sandbox_host *h)
{
	printf("\nsandbox\n");
	printf("  system calls  %s\n",
	       h->filters ? "filtered, a list for each kind of thread (seccomp)"
			  : "not filtered: this kernel has no seccomp filters; '-sandbox off' is "
			    "the only way here");
	if (h->landlock)
		printf("  files         those of the command line and no others (Landlock version "
		       "%u%s)\n",
		       h->landlock,
		       h->landlock < 3 ? "; shortening files is free until version 3, Linux 6.2"
				       : "");
	else
		printf("  files         not checked: no Landlock; %s\n", h->no_landlock);
	printf("  NAT process   %s\n",
	       h->user_namespaces ? "in a root of its own (user name spaces)"
				  : "kept from files by Landlock alone: no user name spaces "
				    "for this user");
}

static void print_text(const struct report *r)
{
	printf("lodge %s\n\nengines\n", LODGE_VERSION);
	printf("  soft  ready: the software engine (%s), on any x86-64 host\n",
	       engine_soft_tier_name(&(struct engine_soft_options){0}));
	if (r->kvm.verdict == KVM_GOOD)
		printf("  kvm   ready: two test guests ran (%u ms), and it is what guests run on\n",
		       r->kvm_ms);
	else
		printf("  kvm   not used: %s (found out in %u ms)\n        mend: %s\n", r->kvm.why,
		       r->kvm_ms, r->kvm.mend);
	printf("\nprocessor for guests (-cpu max)\n");
	if (r->cpu_ok)
		print_wrapped(r->features);
	else
		printf("  not possible: %s\n", r->cpu_err);
	printf("\nmemory\n  %llu MiB, %llu MiB of it available\n",
	       (unsigned long long)(r->ram_total >> 20),
	       (unsigned long long)(r->ram_available >> 20));
	print_sandbox(&r->sandbox);
	printf("\nfirmware for -bios\n");
	for (unsigned i = 0; i < r->firmware_count; i++)
		printf("  %s\n", r->firmware[i]);
	if (!r->firmware_count)
		printf("  none found; -kernel needs none (Debian: apt-get install seabios)\n");
}

static void json_string(const char *s)
{
	putchar('"');
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			printf("\\%c", *s);
		else if ((unsigned char)*s < 0x20)
			printf("\\u%04x", *s);
		else
			putchar(*s);
	}
	putchar('"');
}

/* A list of words as a JSON array. */
static void json_words(const char *words)
{
	const char *sep = "";

	putchar('[');
	while (*words) {
		size_t len = strcspn(words, " ");

		printf("%s\"%.*s\"", sep, (int)len, words);
		sep = ",";
		words += len + strspn(words + len, " ");
	}
	putchar(']');
}

static void print_json(const struct report *r)
{
	printf("{\"version\":\"%s\",\"engines\":{\"soft\":{\"usable\":true},\"kvm\":{"
	       "\"usable\":%s,\"probe_ms\":%u,\"reason\":",
	       LODGE_VERSION, r->kvm.verdict == KVM_GOOD ? "true" : "false", r->kvm_ms);
	json_string(r->kvm.why);
	printf(",\"mend\":");
	json_string(r->kvm.mend);
	printf("}},\"cpu\":{\"ok\":%s,\"features\":", r->cpu_ok ? "true" : "false");
	json_words(r->features);
	printf("},\"sandbox\":{\"filters\":%s,\"landlock\":%u,\"user_namespaces\":%s",
	       r->sandbox.filters ? "true" : "false", r->sandbox.landlock,
	       r->sandbox.user_namespaces ? "true" : "false");
	printf("},\"memory\":{\"total\":%llu,\"available\":%llu},\"firmware\":[",
	       (unsigned long long)r->ram_total, (unsigned long long)r->ram_available);
	for (unsigned i = 0; i < r->firmware_count; i++) {
		if (i)
			putchar(',');
		json_string(r->firmware[i]);
	}
	puts("]}");
}

int cli_doctor(int argc, char **argv)
{
	struct report *r;
	bool json = false;
	int code;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "-h") || !strcmp(argv[i], "--help")) {
			cli_doctor_help();
			return 0;
		}
		if (strcmp(argv[i], "--json"))
			return cli_error("doctor: there is no option '%s'; there is --json",
					 argv[i]);
		json = true;
	}
	r = calloc(1, sizeof(*r));
	if (!r)
		return cli_error("out of memory");
	check_kvm(r);
	check_cpu(r);
	check_memory(r);
	check_firmware(r);
	sandbox_probe(&r->sandbox);
	if (json)
		print_json(r);
	else
		print_text(r);
	code = r->cpu_ok && !fflush(stdout) ? 0 : 1;
	free(r);
	return code;
}

void cli_doctor_help(void)
{
	puts("usage: lodge doctor [--json]\n"
	     "\n"
	     "Say what this host can do: which engines run and why not, what the guest's "
	     "processor\n"
	     "has, memory, the sandbox, firmware files. --json prints the same for programs. Exit "
	     "code 0 if\n"
	     "guests can run.");
}
