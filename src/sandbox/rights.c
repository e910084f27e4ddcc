// SPDX-License-Identifier: GPL-2.0-or-later
/* Users and capabilities. See rights.h. Threads: see there. */
#include "sandbox/rights.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CAPS 64

/* "1000:1000" */
static bool parse_numbers(const char *text, struct rights_user *u)
{
	unsigned long uid, gid;
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	uid = strtoul(text, &end, 10);
	if (*end != ':' || end[1] < '0' || end[1] > '9')
		return false;
	gid = strtoul(end + 1, &end, 10);
	if (*end || errno || uid >= UINT32_MAX || gid >= UINT32_MAX)
		return false;
	*u = (struct rights_user){.uid = (uid_t)uid, .gid = (gid_t)gid};
	return true;
}

int rights_find_user(const char *text, struct rights_user *u, struct lodge_err *err)
{
	const struct passwd *pw;

	if (parse_numbers(text, u))
		return 0;
	pw = getpwnam(text);
	if (!pw)
		return err_set(err, -ENOENT,
			       "-runas %s: there is no such user on this host; a name, or numbers "
			       "as UID:GID",
			       text);
	*u = (struct rights_user){.uid = pw->pw_uid, .gid = pw->pw_gid};
	snprintf(u->name, sizeof(u->name), "%s", pw->pw_name);
	return 0;
}

int rights_become(const struct rights_user *u, struct lodge_err *err)
{
	const char *what = "cannot";

	if (geteuid() && (geteuid() != u->uid || getegid() != u->gid))
		return err_set(err, -EPERM,
			       "-runas: only root can become another user; leave it "
			       "out, or start this as root");
	/* Groups first: they need the right that goes with the user. The C library sees to all threads. */
	if (!geteuid() && (u->name[0] ? initgroups(u->name, u->gid) : setgroups(1, &u->gid)))
		return err_set(err, -errno, "-runas: %s take the user's groups: %s", what,
			       strerror(errno));
	if (setresgid(u->gid, u->gid, u->gid) || setresuid(u->uid, u->uid, u->uid))
		return err_set(err, -errno, "-runas: %s become user %u: %s", what, u->uid,
			       strerror(errno));
	if (u->uid && (!setuid(0) || !seteuid(0)))
		return err_set(err, -EPERM,
			       "-runas: root's rights stay within reach; this host's "
			       "kernel has taken none away");
	return 0;
}

int rights_no_new(void)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? -errno : 0;
}

void rights_bound(void)
{
	/* To the first that the kernel does not know; or only who may set capabilities can, and others have none. */
	for (unsigned c = 0; c < CAPS && !prctl(PR_CAPBSET_DROP, c, 0, 0, 0); c++)
		;
}

int rights_drop(uint64_t keep)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct cap[2] = {{0}};

	if (syscall(SYS_capget, &head, cap))
		return -errno;
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	for (unsigned i = 0; i < 2; i++) {
		cap[i].permitted &= (uint32_t)(keep >> (32 * i));
		cap[i].effective = cap[i].permitted;
		cap[i].inheritable = 0;
	}
	return syscall(SYS_capset, &head, cap) ? -errno : 0;
}
