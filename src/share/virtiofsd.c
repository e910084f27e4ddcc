// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Starting virtiofsd. See virtiofsd.h.
 *
 * virtiofsd takes one connection on a socket that it gets listening. That has a path for a moment, in a folder
 * which only we can enter; it is gone, and our connection waits, before virtiofsd begins.
 *
 * Debian 12's wants to be root. Who is not, becomes it in a user name space of its own, where root is this user and
 * there is nobody else.
 *
 * It cannot share a folder read-only. So the folder is that for it: in a mount name space of its
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
	int said; /* what it prints; nobody waits for anybody there */
};

/* Descriptors that it starts with. */
struct child {
	int listener, said, report;
};

/* What went wrong between fork and exec. */
struct report {
	int error;
	char what[100];
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

/* One line into one of our files in /proc. */
static void put(const char *path, const char *line, int report)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, line, strlen(line)) < 0)
		fail(report, "only root can do without a user name space; -virtfs needs none");
	close(fd);
}

/* Root, in a name space with nobody else. */
static void become_root(int report)
{
	char uid[40], gid[40];

	snprintf(uid, sizeof(uid), "0 %u 1", (unsigned)geteuid());
	snprintf(gid, sizeof(gid), "0 %u 1", (unsigned)getegid());
	if (unshare(CLONE_NEWUSER) < 0)
		fail(report, "only root can do without a user name space; -virtfs needs none");
	put("/proc/self/setgroups", "deny", report);
	put("/proc/self/uid_map", uid, report);
	put("/proc/self/gid_map", gid, report);
}

static void make_read_only(const char *folder, int report)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount(folder, folder, NULL, MS_BIND | MS_REC, NULL) < 0 ||
	    mount_setattr(AT_FDCWD, folder, AT_RECURSIVE, &attr, sizeof(attr)) < 0)
		fail(report, "the folder cannot be made read-only for it");
}

static void __attribute__((noreturn))
become_virtiofsd(const struct virtiofsd_config *cfg, struct child c, char **argv)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	if (geteuid())
		become_root(c.report);
	if (cfg->read_only)
		make_read_only(cfg->folder, c.report);
	/* Away from the numbers that are wanted. */
	c.report = fcntl(c.report, F_DUPFD_CLOEXEC, 10);
	c.listener = fcntl(c.listener, F_DUPFD_CLOEXEC, 10);
	c.said = fcntl(c.said, F_DUPFD_CLOEXEC, 10);
	dup2(open("/dev/null", O_RDONLY | O_CLOEXEC), 0);
	dup2(c.said, 1);
	dup2(c.said, 2);
	dup2(c.listener, LISTEN_FD);
	setsid();
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	execvp(argv[0], argv);
	fail(c.report, argv[0]);
}

static pid_t start(const struct virtiofsd_config *cfg, struct child c, char **argv,
		   struct lodge_err *err)
{
	struct report rep = {0};
	int report[2];
	pid_t pid;
	ssize_t n;

	if (pipe2(report, O_CLOEXEC))
		return err_set(err, -errno, "cannot start virtiofsd: %s", strerror(errno));
	c.report = report[1];
	pid = fork();
	if (pid == 0)
		become_virtiofsd(cfg, c, argv);
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

/* Socket, pipe, process. */
static int launch(struct virtiofsd *d, const struct virtiofsd_config *cfg, char **argv, int *fd,
		  struct lodge_err *err)
{
	struct child c = {.report = -1};
	int said[2];

	if (pipe2(said, O_CLOEXEC | O_NONBLOCK))
		return err_set(err, -errno, "cannot start virtiofsd: %s", strerror(errno));
	d->said = said[0];
	c.said = said[1];
	d->pid = make_connection(&c.listener, fd, err);
	if (!d->pid) {
		d->pid = start(cfg, c, argv, err);
		close(c.listener);
		if (d->pid < 0)
			close(*fd);
	}
	close(said[1]);
	if (d->pid > 0)
		return 0;
	close(said[0]);
	return d->pid;
}

struct virtiofsd *virtiofsd_start(const struct virtiofsd_config *cfg, int *fd,
				  struct lodge_err *err)
{
	char program[ARG_BYTES], source[ARG_BYTES], cache[40], sandbox[40];
	char listen[] = "--fd=3", option[] = "-o", level[] = "log_level=warn";
	/* As it is; only root in the first name space may raise it. */
	char limit[] = "--rlimit-nofile=0";
	char *argv[] = {program,
			listen,
			option,
			source,
			option,
			cache,
			option,
			sandbox,
			option,
			level,
			geteuid() ? limit : NULL,
			NULL};
	int a = snprintf(program, sizeof(program), "%s", find_program(cfg));
	int b = snprintf(source, sizeof(source), "source=%s", cfg->folder);
	struct virtiofsd *d = calloc(1, sizeof(*d));

	snprintf(cache, sizeof(cache), "cache=%s", cfg->cache ? cfg->cache : "auto");
	snprintf(sandbox, sizeof(sandbox), "sandbox=%s", cfg->sandbox ? cfg->sandbox : "namespace");
	if (!d || a < 0 || (size_t)a >= sizeof(program) || b < 0 || (size_t)b >= sizeof(source) ||
	    strchr(cfg->folder, ',')) {
		free(d);
		err_set(err, -EINVAL,
			"-share: the folder's name is too long, or has a comma, which virtiofsd "
			"does not take");
		return NULL;
	}
	if (!launch(d, cfg, argv, fd, err))
		return d;
	free(d);
	return NULL;
}

void virtiofsd_last_words(struct virtiofsd *d, char *buf, size_t size)
{
	char text[1024];
	size_t have = 0, from;
	ssize_t n;

	/* Of much, the end. */
	while ((n = read(d->said, text + have, sizeof(text) - have)) > 0) {
		have += (size_t)n;
		if (have == sizeof(text)) {
			have /= 2;
			memmove(text, text + have, have);
		}
	}
	while (have && (text[have - 1] == '\n' || text[have - 1] == '\r'))
		have--;
	for (from = have; from && text[from - 1] != '\n'; from--)
		;
	snprintf(buf, size, "%.*s", (int)(have - from), text + from);
}

void virtiofsd_stop(struct virtiofsd *d)
{
	const struct timespec step = {.tv_nsec = 10000000};
	bool ended = false;

	if (!d)
		return;
	for (unsigned i = 0; i < END_STEPS && !ended; i++) {
		ended = waitpid(d->pid, NULL, WNOHANG);
		if (!ended)
			nanosleep(&step, NULL);
	}
	if (!ended) {
		kill(d->pid, SIGKILL);
		waitpid(d->pid, NULL, 0);
	}
	close(d->said);
	free(d);
}
