// SPDX-License-Identifier: GPL-2.0-or-later
/* Rule sets of files. See landlock.h. Threads: see there. */
#include "sandbox/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/landlock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/range.h"

/* Newer than this host's headers may be. */
#define FS_REFER (1ull << 13)	  /* version 2 */
#define FS_TRUNCATE (1ull << 14)  /* 3 */
#define FS_IOCTL_DEV (1ull << 15) /* 5 */
#define FS_FIRST ((1ull << 13) - 1)
#define NET_TCP 3ull	    /* 4: bind and connect */
#define SCOPE_ABSTRACT 1ull /* 6 */

struct ruleset_attr {
	uint64_t fs, net, scoped;
};

#define FILE_ONLY                                                     \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | \
	 LANDLOCK_ACCESS_FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV)
#define READS (LANDLOCK_ACCESS_FS_READ_FILE)
#define WRITES (READS | LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE)
#define MAKES                                                                                      \
	(LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_SYM | \
	 LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SOCK |                             \
	 LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK |                            \
	 LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | FS_REFER)

static const uint64_t rights[] = {
	[FILE_READ] = READS,
	[FILE_WRITE] = WRITES,
	[FILE_IMAGE_READ] = READS,
	[FILE_IMAGE] = WRITES | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REMOVE_FILE,
	[FILE_TREE] = READS | LANDLOCK_ACCESS_FS_READ_DIR,
	[FILE_TREE_WRITE] = WRITES | MAKES | LANDLOCK_ACCESS_FS_READ_DIR,
	[FILE_REMOVE] = LANDLOCK_ACCESS_FS_REMOVE_FILE,
};

static uint64_t handled_fs(int version)
{
	return FS_FIRST | (version >= 2 ? FS_REFER : 0) | (version >= 3 ? FS_TRUNCATE : 0) |
	       (version >= 5 ? FS_IOCTL_DEV : 0);
}

int landlock_version(int *error)
{
	long r = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	*error = r < 0 ? errno : 0;
	return r < 0 ? 0 : (int)r;
}

int landlock_new(int version)
{
	const struct ruleset_attr attr = {
		.fs = handled_fs(version),
		.net = version >= 4 ? NET_TCP : 0,
		.scoped = version >= 6 ? SCOPE_ABSTRACT : 0,
	};
	size_t size = version >= 6 ? sizeof(attr) : version >= 4 ? 16 : 8;
	long fd = syscall(SYS_landlock_create_ruleset, &attr, size, 0);

	return fd < 0 ? -errno : (int)fd;
}

int landlock_allow(int rules, int version, const char *path, enum file_use use)
{
	struct landlock_path_beneath_attr rule = {.allowed_access =
							  rights[use] & handled_fs(version)};
	struct stat st;
	long r;

	rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (rule.parent_fd < 0)
		return -errno;
	if (!fstat(rule.parent_fd, &st) && !S_ISDIR(st.st_mode))
		rule.allowed_access &= FILE_ONLY;
	r = rule.allowed_access
		    ? syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0)
		    : 0;
	r = r ? -errno : 0;
	close(rule.parent_fd);
	return (int)r;
}

int landlock_take(int rules)
{
	return syscall(SYS_landlock_restrict_self, rules, 0) ? -errno : 0;
}

/* `path` is `top` or below it. */
static bool is_below(const char *path, const char *top)
{
	size_t len = strlen(top);

	return !strncmp(path, top, len) && (!path[len] || path[len] == '/' || len == 1);
}

bool landlock_too_wide(const char *folder, const char *home)
{
	static const char *const alone[] = {
		"/",	    "/home", "/root", "/tmp", "/var", "/var/tmp",
		"/var/lib", "/opt",  "/srv",  "/mnt", "/run", "/media",
	};
	static const char *const with_all[] = {"/etc",	 "/usr",  "/bin",  "/sbin", "/lib",
					       "/lib64", "/boot", "/proc", "/sys",  "/dev"};
	const char *rest;

	for (size_t i = 0; i < ARRAY_SIZE(alone); i++) {
		if (!strcmp(folder, alone[i]))
			return true;
	}
	for (size_t i = 0; i < ARRAY_SIZE(with_all); i++) {
		if (is_below(folder, with_all[i]))
			return true;
	}
	if (!home || home[0] != '/' || !home[1])
		return false;
	if (is_below(home, folder))
		return true;
	rest = folder + strlen(home);
	/* Where programs keep their settings, and keys. */
	return is_below(folder, home) && !strncmp(rest, "/.", 2) &&
	       strncmp(rest, "/.local/share/", 14) != 0 && strncmp(rest, "/.cache/", 8) != 0;
}
