// SPDX-License-Identifier: GPL-2.0-or-later
/* Background and pidfile. Threads: main only. */
#include "cli/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/files.h"

/* The parent: exit as the child's set-up went. Errors were printed by the child. */
static _Noreturn void wait_for_child(int fd)
{
	char ok = 0;
	ssize_t n;

	do
		n = read(fd, &ok, 1);
	while (n < 0 && errno == EINTR);
	_exit(n == 1 && ok ? 0 : 1);
}

int daemon_start(struct lodge_err *err)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC))
		return err_set(err, -errno, "cannot go to the background: %s", strerror(errno));
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return err_set(err, -errno, "cannot go to the background: %s", strerror(errno));
	if (pid > 0) {
		close(fds[1]);
		wait_for_child(fds[0]);
	}
	close(fds[0]);
	setsid();
	return fds[1];
}

void daemon_ready(int fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	fflush(NULL);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		if (null > STDERR_FILENO)
			close(null);
	}
	/* It stays in its directory: a reset reads the kernel again, maybe by a relative path. */
	if (write(fd, "\1", 1) == 1)
		close(fd);
}

int pidfile_create(const char *path, struct lodge_err *err)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char text[32];
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644), len;

	if (fd < 0)
		return err_set(err, -errno, "cannot create the pidfile '%s': %s", path,
			       strerror(errno));
	if (fcntl(fd, F_SETLK, &lock)) {
		close(fd);
		return err_set(err, -EBUSY,
			       "the pidfile '%s' is held by a machine that still runs; end it or "
			       "choose another file",
			       path);
	}
	len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	if (ftruncate(fd, 0) || write(fd, text, (size_t)len) != len) {
		int r = -errno;

		unlink(path);
		close(fd);
		return err_set(err, r, "cannot write the pidfile '%s': %s", path, strerror(-r));
	}
	file_note(path, FILE_REMOVE);
	return fd;
}

void pidfile_remove(const char *path, int fd)
{
	struct stat ours, there;

	if (fd < 0)
		return;
	if (!fstat(fd, &ours) && !lstat(path, &there) && ours.st_ino == there.st_ino &&
	    ours.st_dev == there.st_dev)
		unlink(path);
	close(fd);
}
