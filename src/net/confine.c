// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Shutting in the NAT process: what it can name (files), what it may do (rights, system calls), how much
 * it can take (limits). Each alone keeps it from the host's files; it takes at least the system calls and
 * one of the two ways for files, or it does not start.
 *
 * Source: mount_namespaces(7), user_namespaces(7), pivot_root(2), landlock(7), seccomp(2).
 * Threads: the helper's only one.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <netinet/tcp.h>

#include "base/range.h"
#include "net/user_int.h"
#include "sandbox/child.h"
#include "sandbox/filter.h"

#define RESOLV "/etc/resolv.conf"
#define RESOLV_MAX 65536u
#define MEMORY_MAX (1ull << 30)
#define FILES_MAX 4096u

/* ---- Files --------------------------------------------------------------------------------------
 */

static int write_file(const char *path, const char *buf, size_t len, int flags)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | flags, 0444);
	ssize_t n = fd < 0 ? -1 : write(fd, buf, len);
	int r = n == (ssize_t)len ? 0 : -EIO;

	if (fd >= 0)
		close(fd);
	return r;
}

/* A mount namespace, with a user namespace around it for those without the right to make one. */
static int unshare_mounts(void)
{
	const int flags = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS;
	char map[64];
	uid_t uid = geteuid();
	gid_t gid = getegid();
	int n;

	if (!unshare(flags))
		return 0;
	if (unshare(flags | CLONE_NEWUSER))
		return -errno;
	n = snprintf(map, sizeof(map), "%u %u 1", uid, uid);
	if (write_file("/proc/self/setgroups", "deny", 4, 0) ||
	    write_file("/proc/self/uid_map", map, (size_t)n, 0))
		return -EPERM;
	n = snprintf(map, sizeof(map), "%u %u 1", gid, gid);
	return write_file("/proc/self/gid_map", map, (size_t)n, 0);
}

static size_t read_resolv(char *buf, size_t cap)
{
	int fd = open(RESOLV, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return 0;
	while (len < cap && (n = read(fd, buf + len, cap - len)) > 0)
		len += (size_t)n;
	close(fd);
	return len;
}

static int bind_tftp(int dir)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
					      MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC};
	char from[64];

	snprintf(from, sizeof(from), "/proc/self/fd/%d", dir);
	if (mkdir("tftp", 0555) || mount(from, "tftp", NULL, MS_BIND, NULL) ||
	    mount_setattr(AT_FDCWD, "tftp", AT_RECURSIVE, &attr, sizeof(attr)))
		return -errno;
	return 0;
}

/* In a mount namespace of its own: the new root, in a memory file system over /tmp, in the place of the old. */
static int new_root(const char *tftp)
{
	static char resolv[RESOLV_MAX];
	size_t len = read_resolv(resolv, sizeof(resolv));
	int dir = -1, r;

	/* Of this namespace, before /tmp is covered. */
	if (tftp && (dir = open(tftp, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
		return -errno;
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
		  "size=256k,nr_inodes=16,mode=0555") ||
	    chdir("/tmp") || mkdir("etc", 0555))
		return -errno;
	r = write_file("etc/resolv.conf", resolv, len, O_CREAT | O_EXCL);
	if (!r && dir >= 0)
		r = bind_tftp(dir);
	if (r)
		return r;
	close(dir);
	if (syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH) || chdir("/") ||
	    mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL))
		return -errno;
	return 0;
}

static int allow_path(int ruleset, int dir, const char *path, uint64_t access)
{
	struct landlock_path_beneath_attr rule = {.allowed_access = access};
	int r;

	rule.parent_fd = dir >= 0 ? dir : open(path, O_PATH | O_CLOEXEC);
	if (rule.parent_fd < 0)
		return errno == ENOENT ? 0 : -errno;
	r = (int)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	if (dir < 0)
		close(rule.parent_fd);
	return r ? -errno : 0;
}

/* Landlock: of all files, the resolver's settings and the folder can be read. */
static int landlock_files(int dir)
{
	/* All of the first version; later ones only add. */
	struct landlock_ruleset_attr attr = {.handled_access_fs =
						     (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1};
	int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0), r;

	if (ruleset < 0)
		return -errno;
	r = allow_path(ruleset, -1, RESOLV, LANDLOCK_ACCESS_FS_READ_FILE);
	if (!r && dir >= 0)
		r = allow_path(ruleset, dir, NULL,
			       LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR);
	if (!r && syscall(SYS_landlock_restrict_self, ruleset, 0))
		r = -errno;
	close(ruleset);
	return r;
}

/* ---- Rights and limits --------------------------------------------------------------------------
 */

/* All capabilities go, but the one that low host ports want. */
static void drop_rights(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct cap[2] = {{0}};
	uint32_t keep = 0;

	if (!syscall(SYS_capget, &head, cap))
		keep = cap[0].permitted & (1u << CAP_NET_BIND_SERVICE);
	if (geteuid() == 0)
		(void)!setgroups(0, NULL);
	for (int c = 0; c < 64; c++) {
		if (c != CAP_NET_BIND_SERVICE)
			prctl(PR_CAPBSET_DROP, c, 0, 0, 0);
	}
	memset(cap, 0, sizeof(cap));
	cap[0].effective = cap[0].permitted = keep;
	syscall(SYS_capset, &head, cap);
}

/* The folder, or -1 without one. */
static int open_folder(const char *tftp, struct lodge_err *err)
{
	int dir = tftp ? open(tftp, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;

	if (tftp && dir < 0)
		return err_set(err, -errno, "tftp=%s: cannot open the folder: %s", tftp,
			       strerror(errno));
	return dir;
}

int net_confine_files(const char *tftp, struct lodge_err *err)
{
	int dir = open_folder(tftp, err), root, landlock, r;

	if (tftp && dir < 0)
		return dir;
	root = unshare_mounts();
	if (!root) {
		if (dir >= 0)
			close(dir);
		r = new_root(tftp);
		if (r)
			return err_set(err, r, "cannot give the NAT process a root of its own: %s",
				       strerror(-r));
		dir = tftp ? open("/tftp", O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return err_set(err, -errno, "cannot give up new privileges: %s", strerror(errno));
	landlock = landlock_files(dir);
	if (dir >= 0)
		close(dir);
	if (root && landlock)
		return err_set(err, -EPERM,
			       "the NAT process cannot be kept from files: this host allows "
			       "neither user namespaces (%s) nor Landlock (%s); use passt or tap",
			       strerror(-root), strerror(-landlock));
	drop_rights();
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	child_limit(FILES_MAX, MEMORY_MAX);
	child_limit_alone();
	return root ? 1 : 0;
}

/* ---- System calls -------------------------------------------------------------------------------
 */

#define ALWAYS 1u
#define FILES 2u
#define ANY SANDBOX_ANY
#define TYPE 0xfu /* of a socket, without its flags */
#define CALL(name) SANDBOX_CALL(name, ALWAYS)
#define IF(name, arg, mask, val) SANDBOX_IF(name, ALWAYS, arg, mask, val)
#define SOCKET(domain, type) SANDBOX_IF2(socket, ALWAYS, 0, ANY, domain, 1, TYPE, type)
#define NO_SOCKET(domain, type) \
	SANDBOX_REFUSE2(socket, ALWAYS, 0, ANY, domain, 1, TYPE, type, EPERM)
#define OPTION(level, name) SANDBOX_IF2(setsockopt, ALWAYS, 1, ANY, level, 2, ANY, name)

static const struct sandbox_call calls[] = {
	/* data in and out, of descriptors it has */
	CALL(read),
	CALL(readv),
	CALL(recvfrom),
	CALL(recvmsg),
	CALL(recvmmsg),
	CALL(write),
	CALL(writev),
	CALL(sendto),
	CALL(sendmsg),
	CALL(sendmmsg),
	CALL(poll),
	CALL(ppoll),
	CALL(close),
	CALL(lseek),
	/* sockets it may make */
	CALL(bind),
	CALL(listen),
	CALL(accept),
	CALL(accept4),
	CALL(connect),
	CALL(shutdown),
	CALL(getsockname),
	CALL(getpeername),
	CALL(getsockopt),
	/* memory and time */
	CALL(brk),
	CALL(munmap),
	CALL(mremap),
	CALL(madvise),
	CALL(futex),
	CALL(clock_gettime),
	CALL(gettimeofday),
	CALL(getrandom),
	/* its own end */
	CALL(rt_sigreturn),
	CALL(rt_sigprocmask),
	CALL(restart_syscall),
	CALL(exit),
	CALL(exit_group),
	CALL(getpid),
	/* what files are left */
	CALL(fstat),
	CALL(newfstatat),
	SANDBOX_IF(openat, FILES, 2, O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND | O_PATH, O_RDONLY),
	IF(mmap, 2, PROT_EXEC, 0),
	IF(mprotect, 2, PROT_EXEC, 0),
	IF(ioctl, 1, ANY, FIONREAD),
	IF(ioctl, 1, ANY, FIONBIO),
	IF(fcntl, 1, ANY, F_GETFL),
	IF(fcntl, 1, ANY, F_SETFL),
	IF(fcntl, 1, ANY, F_GETFD),
	IF(fcntl, 1, ANY, F_SETFD),
	SOCKET(AF_INET, SOCK_STREAM),
	SOCKET(AF_INET, SOCK_DGRAM),
	SOCKET(AF_INET6, SOCK_STREAM),
	SOCKET(AF_INET6, SOCK_DGRAM),
	/* The library tries raw sockets where "ping sockets" are not allowed, and does without. */
	NO_SOCKET(AF_INET, SOCK_RAW),
	NO_SOCKET(AF_INET6, SOCK_RAW),
	OPTION(SOL_SOCKET, SO_REUSEADDR),
	OPTION(SOL_SOCKET, SO_OOBINLINE),
	OPTION(SOL_SOCKET, SO_BROADCAST),
	OPTION(IPPROTO_TCP, TCP_NODELAY),
	OPTION(IPPROTO_IPV6, IPV6_V6ONLY),
	OPTION(IPPROTO_IP, IP_TTL),
	OPTION(IPPROTO_IP, IP_RECVERR),
	OPTION(IPPROTO_IPV6, IPV6_RECVERR),
	OPTION(IPPROTO_IPV6, IPV6_UNICAST_HOPS),
};

unsigned net_confine_count(void)
{
	return sandbox_filter_count(calls, ARRAY_SIZE(calls), ALWAYS | FILES);
}

int net_confine_calls(bool files, struct lodge_err *err)
{
	return sandbox_filter_take(calls, ARRAY_SIZE(calls), files ? ALWAYS | FILES : ALWAYS,
				   "the NAT process", err);
}
