// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Shutting the VM's process in. See sandbox.h.
 * Source: seccomp(2), landlock(7), capabilities(7). Threads: see there.
 */
#include "sandbox/sandbox.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/files.h"
#include "base/log.h"
#include "base/range.h"
#include "base/thread.h"
#include "sandbox/calls.h"
#include "sandbox/landlock.h"

/* The sanitizers' own system calls are on no list. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* Memory pools of the C library. */
#define ARENAS 8
#define TRIM_BYTES (256 << 20)
#define MMAP_BYTES (2 << 20)

/* si_code of SIGSYS, where the C library does not name it. */
#ifndef SYS_SECCOMP
#define SYS_SECCOMP 1
#endif

/* What sharing a folder as root takes: files of any user, and making them so. */
#define FOLDER_CAPS                                                                               \
	(1ull << CAP_CHOWN | 1ull << CAP_DAC_OVERRIDE | 1ull << CAP_FOWNER | 1ull << CAP_FSETID | \
	 1ull << CAP_MKNOD)

/* The process's; written by sandbox_close() before there are other threads. */
static struct {
	struct sandbox_filter filter[THREAD_KINDS];
	int files;   /* Landlock's rules of main and control; -1: the kernel has none */
	int folders; /* of shared folders */
	int nothing; /* of all others */
	bool keep_folder_rights;
	struct sigaction before; /* SIGSYS */
} box = {.files = -1, .folders = -1, .nothing = -1};

/* ---- A call that is not on the list ------------------------------------------------------------- */

static size_t put(char *at, size_t n, size_t cap, const char *s)
{
	while (*s && n < cap)
		at[n++] = *s++;
	return n;
}

static size_t put_number(char *at, size_t n, size_t cap, uint64_t v, unsigned base)
{
	char digits[24];
	size_t i = sizeof(digits) - 1;

	digits[i] = '\0';
	do {
		digits[--i] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v);
	return put(at, n, cap, digits + i);
}

/*
 * The name's memory comes from malloc(), whose own calls are on every list: none of them was stopped while
 * it held its lock.
 */
static void say_call(const siginfo_t *si)
{
	char line[300], thread[16] = "?";
	char *name = seccomp_syscall_resolve_num_arch(si->si_arch, si->si_syscall);
	size_t n = 0, cap = sizeof(line) - 1;

	prctl(PR_GET_NAME, thread);
	n = put(line, n, cap, "lodge: the sandbox stopped the system call ");
	n = put(line, n, cap, name ? name : "of number");
	n = put(line, n, cap, " (");
	n = put_number(line, n, cap, (uint64_t)(unsigned)si->si_syscall, 10);
	n = put(line, n, cap, ") of the thread '");
	n = put(line, n, cap, thread);
	n = put(line, n, cap, "' at 0x");
	n = put_number(line, n, cap, (uint64_t)(uintptr_t)si->si_call_addr, 16);
	n = put(line, n, cap,
		", and ends the machine: an error in lodge, or code that is not lodge's. '-sandbox "
		"on,log=on' finds all such calls.\n");
	if (write(STDERR_FILENO, line, n) < 0)
		return;
}

static void let_sigsys_through(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGSYS);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void on_sigsys(int sig, siginfo_t *si, void *ctx)
{
	static _Atomic bool said;

	if (si->si_code == SYS_SECCOMP && !atomic_exchange(&said, true))
		say_call(si);
	/* The terminal's, which puts it back. */
	if (!(box.before.sa_flags & SA_SIGINFO) && box.before.sa_handler != SIG_DFL &&
	    box.before.sa_handler != SIG_IGN)
		box.before.sa_handler(sig);
	(void)ctx;
	signal(sig, SIG_DFL);
	raise(sig);
	/* Blocked until here: the process ends when it is let through. */
	let_sigsys_through();
	_exit(1);
}

/* ---- A thread ------------------------------------------------------------------------------------ */

static int take_files(enum thread_kind kind)
{
	int rules = kind == THREAD_MAIN || kind == THREAD_CONTROL ? box.files
		    : kind == THREAD_9P				  ? box.folders
								  : box.nothing;

	return rules < 0 ? 0 : landlock_take(rules);
}

/* By each thread before it does anything else. One that cannot be shut in must not run. */
static void enter(enum thread_kind kind, enum thread_kind maker)
{
	uint64_t keep = kind == THREAD_9P && box.keep_folder_rights ? FOLDER_CAPS : 0;
	int r;

	/* Some threads block all signals; a blocked one would end the process without a word. */
	let_sigsys_through();
	/* One that was made by a thread with filters has the rest from that one, and may not ask for it. */
	r = maker == THREAD_KINDS ? rights_drop(keep) : 0;
	if (!r && maker == THREAD_KINDS)
		r = take_files(kind);
	if (!r)
		r = sandbox_filter_load(&box.filter[kind]);
	if (!r)
		return;
	fprintf(stderr,
		"lodge: cannot shut in the thread '%s': %s; '-sandbox off' runs without a "
		"sandbox\n",
		sandbox_kind_name(kind), strerror(-r));
	_exit(1);
}

/* ---- Files ---------------------------------------------------------------------------------------- */

struct granting {
	const struct sandbox_config *cfg;
	int version;
	char home[256];
};

static int allow(struct granting *g, int rules, const char *path, enum file_use use)
{
	int r = landlock_allow(rules, g->version, path, use);

	log_trace(LOG_SANDBOX, "sandbox: %s %s\n", path,
		  r ? "cannot be opened again" : "may be opened again");
	return r;
}

/* The folder of `path` by its full name; NULL if there is none. The caller frees it. */
static char *folder_of(const char *path)
{
	char *whole = realpath(path, NULL), *slash;

	/* What is gone, or not there yet: where it was. */
	if (!whole) {
		char *copy = strdup(path);

		slash = copy ? strrchr(copy, '/') : NULL;
		if (slash)
			slash[slash == copy] = '\0';
		whole = copy ? realpath(slash ? copy : ".", NULL) : NULL;
		free(copy);
		return whole;
	}
	slash = strrchr(whole, '/');
	slash[slash == whole] = '\0';
	return whole;
}

static void allow_folder(struct granting *g, const char *path, enum file_use use)
{
	char *folder = folder_of(path);

	if (folder && (use == FILE_REMOVE || !landlock_too_wide(folder, g->home)))
		(void)allow(g, box.files, folder, use);
	else if (folder)
		log_trace(LOG_SANDBOX, "sandbox: other images in %s stay out of reach\n", folder);
	free(folder);
}

static void grant(void *opaque, const char *path, enum file_use use)
{
	struct granting *g = opaque;

	switch (use) {
	case FILE_READ:
	case FILE_WRITE:
		(void)allow(g, box.files, path, use);
		break;
	case FILE_IMAGE_READ:
	case FILE_IMAGE:
		(void)allow(g, box.files, path, use);
		if (!g->cfg->no_image_folders)
			allow_folder(g, path, use);
		break;
	case FILE_TREE:
	case FILE_TREE_WRITE:
		(void)allow(g, box.folders, path, use);
		break;
	case FILE_REMOVE:
		allow_folder(g, path, use);
		break;
	}
}

static void forget(void *opaque, const char *path, enum file_use use)
{
	(void)opaque;
	(void)path;
	(void)use;
}

static int no_landlock(int error)
{
	log_trace(LOG_SANDBOX,
		  "sandbox: the kernel has no Landlock (%s): which files are opened again is not "
		  "checked\n",
		  strerror(error));
	file_notes_take(forget, NULL);
	return 0;
}

static int make_rules(const struct sandbox_config *cfg, struct lodge_err *err)
{
	struct granting g = {.cfg = cfg};
	const char *home = getenv("HOME");
	int error;

	g.version = landlock_version(&error);
	if (!g.version)
		return no_landlock(error);
	snprintf(g.home, sizeof(g.home), "%s", home ? home : "");
	box.files = landlock_new(g.version);
	box.folders = landlock_new(g.version);
	box.nothing = landlock_new(g.version);
	if (box.files < 0 || box.folders < 0 || box.nothing < 0)
		return err_set(err, -EPERM,
			       "the sandbox cannot make rules for files (Landlock); "
			       "'-sandbox off' runs without");
	file_notes_take(grant, &g);
	for (unsigned i = 0; i < cfg->n_paths; i++) {
		int r = allow(&g, box.files, cfg->paths[i], FILE_IMAGE);

		if (r)
			return err_set(err, r, "-sandbox path=%s: it cannot be kept in reach: %s",
				       cfg->paths[i], strerror(-r));
	}
	file_set_denied_hint(
		" (the sandbox has only the files and folders of the command line: name "
		"others with '-sandbox on,path=FOLDER')");
	return 0;
}

/* ---- Closing --------------------------------------------------------------------------------------- */

static int make_filters(const struct sandbox_config *cfg, struct lodge_err *err)
{
	enum sandbox_else other = cfg->log_only ? SANDBOX_LOG : SANDBOX_TRAP;
	unsigned extras = (cfg->vsock ? SANDBOX_VSOCK : 0) | (cfg->dgram ? SANDBOX_DGRAM : 0);
	int r = 0;

	for (unsigned k = 0; k < THREAD_KINDS && !r; k++) {
		if (k != THREAD_9P || cfg->folders)
			r = sandbox_calls_build(&box.filter[k], (enum thread_kind)k, extras, other,
						err);
	}
	return r;
}

static int watch_sigsys(struct lodge_err *err)
{
	struct sigaction sa = {.sa_flags = SA_SIGINFO | SA_ONSTACK};

	sa.sa_sigaction = on_sigsys;
	sigfillset(&sa.sa_mask);
	return sigaction(SIGSYS, &sa, &box.before)
		       ? err_set(err, -errno, "cannot handle SIGSYS: %s", strerror(errno))
		       : 0;
}

int sandbox_close(const struct sandbox_config *cfg, struct lodge_err *err)
{
	int r;

	if (!cfg->off)
		rights_bound();
	r = cfg->runas ? rights_become(&cfg->user, err) : 0;
	if (r || cfg->off || SANITIZED)
		return r;
	r = rights_no_new();
	if (r)
		return err_set(err, r, "cannot give up new privileges: %s", strerror(-r));
	r = make_rules(cfg, err);
	if (!r)
		r = make_filters(cfg, err);
	if (!r)
		r = watch_sigsys(err);
	if (r)
		return r;
	box.keep_folder_rights = cfg->folders && !geteuid();
	/* More, and giving memory back, would ask for files that are out of reach. */
	mallopt(M_ARENA_MAX, ARENAS);
	mallopt(M_TRIM_THRESHOLD, TRIM_BYTES);
	mallopt(M_MMAP_THRESHOLD, MMAP_BYTES);
	thread_set_enter(enter);
	return 0;
}

/* ---- The host -------------------------------------------------------------------------------------- */

static bool can_make_user_namespaces(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(unshare(CLONE_NEWUSER | CLONE_NEWNS) ? 1 : 0);
	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
	       !WEXITSTATUS(status);
}

void sandbox_probe(struct sandbox_host *h)
{
	uint32_t trap = SECCOMP_RET_TRAP;
	int error;

	*h = (struct sandbox_host){.landlock = (unsigned)landlock_version(&error)};
	h->filters = !syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &trap);
	if (!h->landlock)
		h->no_landlock =
			error == EOPNOTSUPP
				? "it is switched off: add landlock to lsm= on the kernel's "
				  "command line"
				: "this kernel has none: Linux 5.13 and newer can (Debian 12 does)";
	h->user_namespaces = can_make_user_namespaces();
}
