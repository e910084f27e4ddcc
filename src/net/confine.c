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
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <netinet/tcp.h>

#include "base/range.h"
#include "net/user_int.h"

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

static void limit(__rlimit_resource_t what, rlim_t most)
{
	struct rlimit now;

	if (getrlimit(what, &now))
		return;
	now.rlim_max = min_u64(now.rlim_max, most);
	now.rlim_cur = now.rlim_max;
	setrlimit(what, &now);
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
	limit(RLIMIT_NOFILE, FILES_MAX);
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_FSIZE, 0);
	limit(RLIMIT_NPROC, 0);
#ifndef __SANITIZE_ADDRESS__
	limit(RLIMIT_AS, MEMORY_MAX);
#endif
	return root ? 1 : 0;
}

/* ---- System calls -------------------------------------------------------------------------------
 */

/* Allowed with any arguments. */
static const int plain_calls[] = {
	/* data in and out, of descriptors it has */
	SCMP_SYS(read),
	SCMP_SYS(readv),
	SCMP_SYS(recvfrom),
	SCMP_SYS(recvmsg),
	SCMP_SYS(recvmmsg),
	SCMP_SYS(write),
	SCMP_SYS(writev),
	SCMP_SYS(sendto),
	SCMP_SYS(sendmsg),
	SCMP_SYS(sendmmsg),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(close),
	SCMP_SYS(lseek),
	/* sockets it may make */
	SCMP_SYS(bind),
	SCMP_SYS(listen),
	SCMP_SYS(accept),
	SCMP_SYS(accept4),
	SCMP_SYS(connect),
	SCMP_SYS(shutdown),
	SCMP_SYS(getsockname),
	SCMP_SYS(getpeername),
	SCMP_SYS(getsockopt),
	/* memory and time */
	SCMP_SYS(brk),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(futex),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(getrandom),
	/* its own end */
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(getpid),
	/* what files are left */
	SCMP_SYS(fstat),
	SCMP_SYS(newfstatat),
};

/* Allowed if argument `arg`, masked, is `val`. */
struct call_rule {
	int call;
	unsigned arg;
	uint64_t mask, val;
};

#define ANY UINT64_MAX
static const struct call_rule arg_calls[] = {
	{SCMP_SYS(openat), 2, O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND | O_PATH, O_RDONLY},
	{SCMP_SYS(mmap), 2, PROT_EXEC, 0},
	{SCMP_SYS(mprotect), 2, PROT_EXEC, 0},
	{SCMP_SYS(ioctl), 1, ANY, FIONREAD},
	{SCMP_SYS(ioctl), 1, ANY, FIONBIO},
	{SCMP_SYS(fcntl), 1, ANY, F_GETFL},
	{SCMP_SYS(fcntl), 1, ANY, F_SETFL},
	{SCMP_SYS(fcntl), 1, ANY, F_GETFD},
	{SCMP_SYS(fcntl), 1, ANY, F_SETFD},
};

#define TYPE_MASK 0xfu
static const struct {
	int domain, type;
} sockets[] = {
	{AF_INET, SOCK_STREAM},
	{AF_INET, SOCK_DGRAM},
	{AF_INET6, SOCK_STREAM},
	{AF_INET6, SOCK_DGRAM},
};

static const struct {
	int level, name;
} options[] = {
	{SOL_SOCKET, SO_REUSEADDR}, {SOL_SOCKET, SO_OOBINLINE},	  {SOL_SOCKET, SO_BROADCAST},
	{IPPROTO_TCP, TCP_NODELAY}, {IPPROTO_IPV6, IPV6_V6ONLY},  {IPPROTO_IP, IP_TTL},
	{IPPROTO_IP, IP_RECVERR},   {IPPROTO_IPV6, IPV6_RECVERR}, {IPPROTO_IPV6, IPV6_UNICAST_HOPS},
};

static struct scmp_arg_cmp arg_is(unsigned arg, uint64_t mask, uint64_t val)
{
	return (struct scmp_arg_cmp){.arg = arg,
				     .op = SCMP_CMP_MASKED_EQ,
				     .datum_a = mask,
				     .datum_b = val};
}

static int add_rule(scmp_filter_ctx ctx, uint32_t action, int call, struct scmp_arg_cmp a,
		    struct scmp_arg_cmp b)
{
	const struct scmp_arg_cmp both[2] = {a, b};

	return seccomp_rule_add_array(ctx, action, call, 2, both);
}

static int add_socket_rules(scmp_filter_ctx ctx)
{
	static const int families[] = {AF_INET, AF_INET6};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(sockets) && !r; i++)
		r = add_rule(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket),
			     arg_is(0, ANY, (uint64_t)sockets[i].domain),
			     arg_is(1, TYPE_MASK, (uint64_t)sockets[i].type));
	/* The library tries raw sockets where "ping sockets" are not allowed, and does without. */
	for (size_t i = 0; i < ARRAY_SIZE(families) && !r; i++)
		r = add_rule(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket),
			     arg_is(0, ANY, (uint64_t)families[i]), arg_is(1, TYPE_MASK, SOCK_RAW));
	for (size_t i = 0; i < ARRAY_SIZE(options) && !r; i++)
		r = add_rule(ctx, SCMP_ACT_ALLOW, SCMP_SYS(setsockopt),
			     arg_is(1, ANY, (uint64_t)options[i].level),
			     arg_is(2, ANY, (uint64_t)options[i].name));
	return r;
}

unsigned net_confine_count(void)
{
	unsigned n = ARRAY_SIZE(plain_calls) + 2; /* socket, setsockopt */

	for (size_t i = 0; i < ARRAY_SIZE(arg_calls); i++)
		n += !i || arg_calls[i].call != arg_calls[i - 1].call;
	return n;
}

int net_confine_calls(bool files, struct lodge_err *err)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int r = ctx ? seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS)
		    : -ENOMEM;

	for (size_t i = 0; i < ARRAY_SIZE(plain_calls) && !r; i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, plain_calls[i], 0);
	for (size_t i = 0; i < ARRAY_SIZE(arg_calls) && !r; i++) {
		const struct call_rule *c = &arg_calls[i];

		if (c->call == SCMP_SYS(openat) && !files)
			continue;

		const struct scmp_arg_cmp cmp = arg_is(c->arg, c->mask, c->val);

		r = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, c->call, 1, &cmp);
	}
	if (!r)
		r = add_socket_rules(ctx);
	if (!r)
		r = seccomp_load(ctx);
	if (ctx)
		seccomp_release(ctx);
	return r ? err_set(err, r, "cannot filter the NAT process's system calls: %s", strerror(-r))
		 : 0;
}
