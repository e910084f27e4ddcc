// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Where running machines are found. A machine holds a lock on its info file (an open file description lock,
 * so that it ends with the process, however that ends): who gets the lock may clear away.
 * Sockets are reached by way of /proc/self/fd, since the folder's path may be longer than a socket's can be.
 * Threads: no shared state.
 */
#include "control/rundir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/files.h"

/* Descriptors of the process that clears away. */
#define TIDY_MACHINE 3
#define TIDY_DIR 4
#define INFO_MAX 65536u
#define PLAIN_MAX 60u /* longer names are cut, with a sum behind */
#define BACKLOG 64
#define CLAIM_TRIES 10u
#define CLAIM_LOOK_US 2000

static const char *const suffixes[] = {"qmp", "console", "info"};
#define INFO_AT 2u /* the last, so that what is locked goes last */

/* ---- The folder --------------------------------------------------------------------------------- */

static bool is_mine(const char *path)
{
	struct stat st;

	return !lstat(path, &st) && S_ISDIR(st.st_mode) && st.st_uid == geteuid();
}

static void dir_path(char *out, size_t size)
{
	const char *xdg = getenv("XDG_RUNTIME_DIR");
	char user[64];

	snprintf(user, sizeof(user), "/run/user/%u", (unsigned)geteuid());
	if (xdg && xdg[0] == '/' && is_mine(xdg))
		snprintf(out, size, "%s/lodge", xdg);
	else if (is_mine(user))
		snprintf(out, size, "%s/lodge", user);
	else if (!geteuid() && is_mine("/run"))
		snprintf(out, size, "/run/lodge");
	else
		snprintf(out, size, "/tmp/lodge-%u", (unsigned)geteuid());
}

int rundir_open(bool make, struct lodge_err *err)
{
	char path[4096];
	struct stat st;
	int fd;

	dir_path(path, sizeof(path));
	if (make && mkdir(path, 0700) && errno != EEXIST)
		return err_set(err, -errno, "cannot make the folder %s for control sockets: %s",
			       path, strerror(errno));
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	/* What the machine makes there it takes away again. */
	snprintf(path + strlen(path), sizeof(path) - strlen(path), "/x");
	if (make && fd >= 0)
		file_note(path, FILE_REMOVE);
	path[strlen(path) - 2] = '\0';
	if (fd < 0 && errno == ENOENT && !make)
		return -ENOENT;
	if (fd < 0)
		return err_set(err, -errno, "cannot open the folder %s: %s", path, strerror(errno));
	if (fstat(fd, &st) || st.st_uid != geteuid() || st.st_mode & 077) {
		close(fd);
		return err_set(err, -EPERM,
			       "the folder %s for control sockets is not yours alone (its owner or "
			       "its mode); remove it, or set XDG_RUNTIME_DIR to a folder of yours",
			       path);
	}
	return fd;
}

/* ---- Keys --------------------------------------------------------------------------------------- */

static bool is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '-' || c == '.';
}

void rundir_key(char key[RUNDIR_KEY], const char *name, pid_t pid)
{
	uint64_t sum = 0xcbf29ce484222325; /* FNV-1a */
	size_t n = 0;

	if (!name || !*name) {
		snprintf(key, RUNDIR_KEY, "@%ld", (long)pid);
		return;
	}
	for (const char *c = name; *c; c++) {
		bool plain = is_plain(*c) && (n || *c != '.');

		sum = (sum ^ (uint8_t)*c) * 0x100000001b3;
		if (n + 3 > PLAIN_MAX)
			n = PLAIN_MAX + 1; /* no more of it */
		else if (plain)
			key[n++] = *c;
		else
			n += (size_t)snprintf(key + n, 4, "%%%02X", (uint8_t)*c);
	}
	if (n > PLAIN_MAX)
		snprintf(key + 40, RUNDIR_KEY - 40, "~%016llx", (unsigned long long)sum);
	else
		key[n] = '\0';
}

/* ---- Locks -------------------------------------------------------------------------------------- */

static void file_name(char *out, size_t size, const char *key, const char *suffix)
{
	snprintf(out, size, "%s.%s", key, suffix);
}

static void remove_files(int dir, const char *key)
{
	char name[RUNDIR_KEY + 16];

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		file_name(name, sizeof(name), key, suffixes[i]);
		unlinkat(dir, name, 0);
	}
}

/* Is `fd` still the file of that name? Somebody may have cleared it away meanwhile. */
static bool is_there(int dir, const char *name, int fd)
{
	struct stat a, b;

	return !fstat(fd, &a) && !fstatat(dir, name, &b, AT_SYMLINK_NOFOLLOW) &&
	       a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

/* The info file, locked by us: a descriptor; -EBUSY: a machine lives. */
static int lock_info(int dir, const char *key, int flags)
{
	char name[RUNDIR_KEY + 16];

	file_name(name, sizeof(name), key, "info");
	for (;;) {
		struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
		int fd = openat(dir, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | flags,
				0600);

		if (fd < 0)
			return -errno;
		if (fcntl(fd, F_OFD_SETLK, &lock)) {
			close(fd);
			return -EBUSY;
		}
		if (is_there(dir, name, fd))
			return fd;
		close(fd);
	}
}

static json_t *read_info(int fd)
{
	char *text = malloc(INFO_MAX);
	ssize_t n = text ? pread(fd, text, INFO_MAX, 0) : -1;
	json_t *j = n > 0 ? json_loadb(text, (size_t)n, 0, NULL) : NULL;

	free(text);
	if (json_is_object(j))
		return j;
	json_decref(j);
	return NULL;
}

/* ---- Those there are ----------------------------------------------------------------------------- */

/* Add the machine of `key` to `list` (unless that is NULL), or clear away what a dead one left. */
static void look_at(int dir, const char *key, json_t *list)
{
	char name[RUNDIR_KEY + 16];
	int fd = lock_info(dir, key, 0);
	json_t *info;

	if (fd >= 0) {
		remove_files(dir, key);
		close(fd);
		return;
	}
	if (fd != -EBUSY || !list)
		return;
	file_name(name, sizeof(name), key, "info");
	fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return;
	info = read_info(fd);
	close(fd);
	if (info) {
		json_object_set_new(info, "key", json_string(key));
		json_array_append_new(list, info);
	}
}

/* All there are; takes `fd`. */
static int look_at_all(int fd, json_t *list, struct lodge_err *err)
{
	struct dirent *e;
	DIR *d = fdopendir(fd);

	if (!d) {
		close(fd);
		return err_set(err, -errno, "cannot look for machines: %s", strerror(errno));
	}
	while ((e = readdir(d))) {
		const char *dot = strrchr(e->d_name, '.');
		char key[RUNDIR_KEY];

		if (!dot || strcmp(dot, ".info") || (size_t)(dot - e->d_name) >= sizeof(key))
			continue;
		snprintf(key, sizeof(key), "%.*s", (int)(dot - e->d_name), e->d_name);
		look_at(fd, key, list);
	}
	closedir(d);
	return 0;
}

static void clear_dead(int dir)
{
	struct lodge_err err;
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0 && look_at_all(fd, NULL, &err))
		return; /* another time */
}

/* ---- A machine's own ---------------------------------------------------------------------------- */

int rundir_claim(struct rundir_claim *claim, const char *name, struct lodge_err *err)
{
	int dir = rundir_open(true, err), info = -EBUSY;

	*claim = (struct rundir_claim){.dir = -1, .info = -1};
	if (dir < 0)
		return dir;
	rundir_key(claim->key, name, getpid());
	clear_dead(dir);
	/* Somebody who clears away holds the lock for a moment. */
	for (unsigned i = 0; i < CLAIM_TRIES; i++) {
		info = lock_info(dir, claim->key, O_CREAT);
		if (info != -EBUSY)
			break;
		usleep(CLAIM_LOOK_US);
	}
	if (info < 0) {
		close(dir);
		if (info == -EBUSY)
			return err_set(err, -EEXIST,
				       "a machine with the name '%.100s' runs already; choose "
				       "another -name, or end it ('lodge stop %.100s')",
				       name, name);
		return err_set(err, info, "cannot lock the control files of this machine: %s",
			       strerror(-info));
	}
	claim->dir = dir;
	claim->info = info;
	/* Of one that was killed. */
	if (ftruncate(info, 0))
		return 0;
	return 0;
}

int rundir_tell(const struct rundir_claim *claim, const json_t *info, struct lodge_err *err)
{
	char *text = json_dumps(info, 0);
	size_t len = text ? strlen(text) : 0;
	ssize_t n = text ? pwrite(claim->info, text, len, 0) : -1;

	free(text);
	if (n < 0 || (size_t)n != len)
		return err_set(err, -EIO, "cannot write the file by which the machine is found: %s",
			       strerror(errno));
	return 0;
}

static void socket_path(struct sockaddr_un *sun, int dir, const char *key, const char *suffix)
{
	*sun = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(sun->sun_path, sizeof(sun->sun_path), "/proc/self/fd/%d/%.*s.%s", dir,
		 (int)RUNDIR_KEY - 1, key, suffix);
}

int rundir_listen(const struct rundir_claim *claim, const char *suffix, struct lodge_err *err)
{
	char name[RUNDIR_KEY + 16];
	struct sockaddr_un sun;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r;

	file_name(name, sizeof(name), claim->key, suffix);
	unlinkat(claim->dir, name, 0);
	socket_path(&sun, claim->dir, claim->key, suffix);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sun, sizeof(sun)) ||
	    fchmodat(claim->dir, name, 0600, 0) || listen(fd, BACKLOG)) {
		r = -errno;
		if (fd >= 0)
			close(fd);
		return err_set(err, r, "cannot make the control socket %s: %s", name, strerror(-r));
	}
	return fd;
}

void rundir_unlisten(const struct rundir_claim *claim)
{
	char name[RUNDIR_KEY + 16];

	for (size_t i = 0; i < INFO_AT && claim->dir >= 0; i++) {
		file_name(name, sizeof(name), claim->key, suffixes[i]);
		unlinkat(claim->dir, name, 0);
	}
}

/*
 * The other process: until the machine's has ended. It has nothing else: no other descriptor, and of all its
 * memory it uses a page of stack. The lock on the info file is the machine's alone.
 */
static void __attribute__((noreturn)) tidy(int machine, int dir, const char *key)
{
	struct pollfd p = {.fd = TIDY_MACHINE, .events = POLLIN};
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {0};

	prctl(PR_SET_NAME, "lodge-tidy");
	/* Out of the way of the numbers they get. */
	machine = fcntl(machine, F_DUPFD, TIDY_DIR + 1);
	dir = fcntl(dir, F_DUPFD, TIDY_DIR + 1);
	if (dup2(machine, TIDY_MACHINE) < 0 || dup2(dir, TIDY_DIR) < 0 ||
	    close_range(TIDY_DIR + 1, ~0u, 0))
		_exit(1);
	for (int fd = 0; fd < TIDY_MACHINE; fd++)
		close(fd);
	/* The folder is its user's own. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_capset, &h, none))
		_exit(1);
	while (poll(&p, 1, -1) < 0 && errno == EINTR)
		;
	look_at(TIDY_DIR, key, NULL);
	_exit(0);
}

int rundir_leave_behind(const struct rundir_claim *claim, struct lodge_err *err)
{
	int machine = (int)syscall(SYS_pidfd_open, getpid(), 0), r = 0;
	pid_t pid = machine < 0 ? -1 : fork();

	if (!pid)
		tidy(machine, claim->dir, claim->key);
	if (pid < 0)
		r = err_set(err, -errno,
			    "cannot start the process that clears away the control files: %s",
			    strerror(errno));
	if (machine >= 0)
		close(machine);
	return r;
}

void rundir_leave(struct rundir_claim *claim)
{
	if (claim->dir < 0)
		return;
	remove_files(claim->dir, claim->key);
	close(claim->info);
	close(claim->dir);
	claim->dir = claim->info = -1;
}

/* ---- Others' ------------------------------------------------------------------------------------ */

json_t *rundir_list(struct lodge_err *err)
{
	int fd = rundir_open(false, err);
	json_t *list = json_array();

	if (fd == -ENOENT)
		return list;
	if (fd < 0 || look_at_all(fd, list, err)) {
		json_decref(list);
		return NULL;
	}
	return list;
}

int rundir_connect(const char *key, const char *suffix, struct lodge_err *err)
{
	struct sockaddr_un sun;
	int dir = rundir_open(false, err), fd, r;

	if (dir < 0)
		return dir == -ENOENT ? err_set(err, dir, "no machine runs") : dir;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socket_path(&sun, dir, key, suffix);
	r = fd < 0 || connect(fd, (struct sockaddr *)&sun, sizeof(sun)) ? -errno : 0;
	close(dir);
	if (!r)
		return fd;
	if (fd >= 0)
		close(fd);
	return err_set(err, r, "cannot reach the machine's %s socket: %s", suffix, strerror(-r));
}
