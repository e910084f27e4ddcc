// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fuzz the 9P server, with a folder it may write to: make t T=fuzz/p9
 * Beside the folder lies another one, to which links lead: it stays as it is.
 */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "device_harness.h"
#include "p9_client.h"

static char top[] = "/tmp/lodge-fuzz-p9-XXXXXX", share[64], outside[64];

static void leave(void)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", top);
	if (system(cmd))
		return;
}

static void enter(void)
{
	char path[128];

	FUZZ_CHECK(mkdtemp(top));
	atexit(leave);
	snprintf(share, sizeof(share), "%s/share", top);
	snprintf(outside, sizeof(outside), "%s/outside", top);
	FUZZ_CHECK(!mkdir(share, 0755) && !mkdir(outside, 0755));
	snprintf(path, sizeof(path), "%s/l", share);
	FUZZ_CHECK(!symlink("../outside", path));
}

/* Few names, so that they meet. */
static const char *name_of(struct fuzz_in *in)
{
	static const char *const names[] = {"a", "b", "c", "l", "..", ".", "../outside", "a/b",
					    "",	 "/", "a", "b", "c",  "l", "d",		 "d"};

	return names[fuzz_u8(in) & 15];
}

static void well_formed(struct fuzz_in *in, struct p9_client *c)
{
	static const uint32_t modes[] = {0644, 0755, S_IFIFO | 0600, S_IFREG | 06777};
	uint8_t op = fuzz_u8(in);
	uint32_t fid = fuzz_u8(in) & 7, other = fuzz_u8(in) & 7;
	const char *name = name_of(in);

	switch (op % 18) {
	case 0:
		c_attach(c, fid);
		break;
	case 1:
	case 2:
		c_walk(c, fid, other, name, op & 64 ? name_of(in) : NULL,
		       op & 128 ? name_of(in) : NULL);
		break;
	case 3:
		c_clunk(c, fid);
		break;
	case 4:
		c_open(c, fid, fuzz_u8(in) & 3);
		break;
	case 5:
		c_create(c, fid, name, fuzz_u8(in) & 3, modes[op >> 6]);
		break;
	case 6:
		c_read(c, op & 64 ? 40 : 116, fid, fuzz_u8(in), (uint32_t)fuzz_uint(in, 2));
		break;
	case 7:
		c_write(c, fid, fuzz_u8(in), name);
		break;
	case 8:
		c_mkdir(c, fid, name, 0755);
		break;
	case 9:
		c_symlink(c, fid, name, op & 64 ? "../outside" : "a");
		break;
	case 10:
		c_mknod(c, fid, name, modes[op >> 6], 0, 0);
		break;
	case 11:
		c_renameat(c, fid, name, other, name_of(in));
		break;
	case 12:
		c_rename(c, fid, other, name);
		break;
	case 13:
		c_link(c, fid, other, name);
		break;
	case 14:
		c_unlinkat(c, fid, name, op & 64 ? 0x200 : 0);
		break;
	case 15:
		c_setattr(c, fid, fuzz_u8(in), modes[op >> 6], 0, fuzz_u8(in), fuzz_u8(in));
		break;
	case 16:
		c_getattr(c, fid);
		break;
	default:
		c_fid(c, (uint8_t)(op & 64 ? 22 : op & 128 ? 122 : 8), fid);
		break;
	}
}

/* Any bytes behind a header. */
static void any(struct fuzz_in *in, struct p9_client *c)
{
	uint8_t n = fuzz_u8(in);

	c_begin(c, fuzz_u8(in) & 126);
	for (unsigned i = 0; i < (n & 63u); i++)
		c_u8(c, fuzz_u8(in));
	if (n & 64)
		c->len -= c->len > 7 ? 1 : 0;
	c_send(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct p9_client c;
	struct fuzz_in in = {data, size};
	struct p9_config cfg = {.path = share, .model = P9_NONE};
	struct stat before, after;

	if (!share[0])
		enter();
	c.s = p9_server_new(&cfg, NULL);
	FUZZ_CHECK(c.s && !stat(outside, &before));
	c_version(&c, 8192);
	c_attach(&c, 0);
	for (unsigned step = 0; in.left && step < 256; step++) {
		if (fuzz_u8(&in) & 7)
			well_formed(&in, &c);
		else
			any(&in, &c);
		FUZZ_CHECK(c.reply_len <= P9_MSIZE_MAX);
	}
	p9_server_free(c.s);
	FUZZ_CHECK(!stat(outside, &after));
	FUZZ_CHECK(before.st_mode == after.st_mode && before.st_nlink == after.st_nlink &&
		   before.st_mtim.tv_sec == after.st_mtim.tv_sec &&
		   before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
	return 0;
}
