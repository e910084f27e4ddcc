// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Starting virtiofsd. See virtiofsd.h.
 *
 * virtiofsd takes one connection on a socket that it gets listening. That has a path for a moment, in a folder
 * which only we can enter; it is gone, and our connection waits, before virtiofsd begins.
 *
 * Debian 12's cannot share a folder read-only. So the folder is that for it: in a mount name space of its
 * own, where all that is mounted there is read-only.
 * Threads: set-up and the end.
 */
#include "share/virtiofsd.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/range.h"

#define LISTEN_FD 3
#define ARG_BYTES 4200u
#define END_STEPS 200u /* of 10 ms */

struct virtiofsd {
	pid_t pid;
};

/* What went wrong between fork and exec. */
struct report {
	int error;
	char what[60];
};

static const char *find_program(const struct virtiofsd_config *cfg)
{
	/* Debian 12 (qemu-system-common), 13 (virtiofsd). */
	static const char *const places[] = {"/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd"};

	if (cfg->program)
		return cfg->program;
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		if (!access(places[i], X_OK))
			return places[i];
	}
	return "virtiofsd";
}

/* ---- The connection --------------------------------------------------------------------------------- */

static int listen_at(const struct sockaddr_un *at, int *listener, int *fd)
{
	*listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (*listener < 0 || *fd < 0 ||
	    bind(*listener, (const struct sockaddr *)at, sizeof(*at)) < 0)
		return -errno;
	if (listen(*listener, 1) < 0 ||
	    connect(*fd, (const struct sockaddr *)at, sizeof(*at)) < 0) {
		int e = errno;

		unlink(at->sun_path);
		return -e;
	}
	unlink(at->sun_path);
	return 0;
}

static void close_both(int listener, int fd)
{
	if (listener >= 0)
		close(listener);
	if (fd >= 0)
		close(fd);
}

/* A listening socket with our connection in its queue, and no path any more. */
static int make_connection(int *listener, int *fd, struct lodge_err *err)
{
	const char *tmp = getenv("TMPDIR");
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	char folder[sizeof(at.sun_path) - 8];
	int n = snprintf(folder, sizeof(folder), "%s/lodge-XXXXXX", tmp ? tmp : "/tmp"), r;

	*listener = *fd = -1;
	if (n < 0 || (size_t)n >= sizeof(folder))
		snprintf(folder, sizeof(folder), "/tmp/lodge-XXXXXX");
	if (!mkdtemp(folder))
		return err_set(err, -errno, "-share: cannot make the folder %s: %s", folder,
			       strerror(errno));
	snprintf(at.sun_path, sizeof(at.sun_path), "%s/fs", folder);
	r = listen_at(&at, listener, fd);
	rmdir(folder);
	if (!r)
		return 0;
	close_both(*listener, *fd);
	return err_set(err, r, "-share: no socket for virtiofsd: %s", strerror(-r));
}

/* ---- The process ------------------------------------------------------------------------------------- */

static void __attribute__((noreturn)) fail(int report, const char *what)
{
	struct report r = {.error = errno};

	snprintf(r.what, sizeof(r.what), "%s", what);
	if (write(report, &r, sizeof(r)) < 0)
		_exit(126);
	_exit(127);
}

static void make_read_only(const char *folder, int report)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount(folder, folder, NULL, MS_BIND | MS_REC, NULL) < 0 ||
	    mount_setattr(AT_FDCWD, folder, AT_RECURSIVE, &attr, sizeof(attr)) < 0)
		fail(report, "it cannot be read-only without root's rights (readonly=off)");
}

static void __attribute__((noreturn))
become_virtiofsd(const struct virtiofsd_config *cfg, int listener, int report, char **argv)
{
	sigset_t none;
	int null;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	if (cfg->read_only)
		make_read_only(cfg->folder, report);
	report = fcntl(report, F_DUPFD_CLOEXEC, 10);
	listener = fcntl(listener, F_DUPFD_CLOEXEC, 10);
	dup2(listener, LISTEN_FD);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	dup2(null, 0);
	dup2(null, 1);
	if (cfg->no_stdio)
		dup2(null, 2);
	setsid();
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	execvp(argv[0], argv);
	fail(report, argv[0]);
}

static pid_t start(const struct virtiofsd_config *cfg, int listener, char **argv,
		   struct lodge_err *err)
{
	struct report rep = {0};
	int report[2];
	pid_t pid;
	ssize_t n;

	if (pipe2(report, O_CLOEXEC))
		return err_set(err, -errno, "cannot start virtiofsd: %s", strerror(errno));
	pid = fork();
	if (pid == 0)
		become_virtiofsd(cfg, listener, report[1], argv);
	close(report[1]);
	n = pid < 0 ? -1 : read(report[0], &rep, sizeof(rep));
	close(report[0]);
	if (n == 0)
		return pid;
	if (pid > 0)
		waitpid(pid, NULL, 0);
	rep.what[sizeof(rep.what) - 1] = '\0';
	if (n == sizeof(rep) && rep.error == ENOENT && !strcmp(rep.what, argv[0]))
		return err_set(err, -ENOENT,
			       "there is no virtiofsd: install Debian's package "
			       "qemu-system-common (virtiofsd from Debian 13 on), or use -virtfs");
	return err_set(err, -EIO, "-share %s: cannot start virtiofsd: %s: %s", cfg->folder,
		       n > 0 ? rep.what : "fork", strerror(n > 0 ? rep.error : EAGAIN));
}

struct virtiofsd *virtiofsd_start(const struct virtiofsd_config *cfg, int *fd,
				  struct lodge_err *err)
{
	char source[ARG_BYTES], cache[40], sandbox[40];
	char *argv[] = {(char *)(uintptr_t)find_program(cfg),
			(char *)"--fd=3",
			(char *)"-o",
			source,
			(char *)"-o",
			cache,
			(char *)"-o",
			sandbox,
			(char *)"-o",
			(char *)"log_level=warn",
			cfg->no_stdio ? (char *)"--syslog" : NULL,
			NULL};
	struct virtiofsd *d = calloc(1, sizeof(*d));
	int listener, n = snprintf(source, sizeof(source), "source=%s", cfg->folder);

	snprintf(cache, sizeof(cache), "cache=%s", cfg->cache ? cfg->cache : "auto");
	snprintf(sandbox, sizeof(sandbox), "sandbox=%s", cfg->sandbox ? cfg->sandbox : "namespace");
	if (!d || n < 0 || (size_t)n >= sizeof(source) || strchr(cfg->folder, ',')) {
		free(d);
		err_set(err, -EINVAL,
			"-share: the folder's name is too long, or has a comma, which virtiofsd "
			"does not take");
		return NULL;
	}
	if (make_connection(&listener, fd, err)) {
		free(d);
		return NULL;
	}
	d->pid = start(cfg, listener, argv, err);
	if (d->pid < 0) {
		close_both(listener, *fd);
		free(d);
		return NULL;
	}
	close(listener);
	return d;
}

void virtiofsd_stop(struct virtiofsd *d)
{
	const struct timespec step = {.tv_nsec = 10000000};

	if (!d)
		return;
	for (unsigned i = 0; i < END_STEPS; i++) {
		if (waitpid(d->pid, NULL, WNOHANG)) {
			free(d);
			return;
		}
		nanosleep(&step, NULL);
	}
	kill(d->pid, SIGKILL);
	waitpid(d->pid, NULL, 0);
	free(d);
}
