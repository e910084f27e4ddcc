// SPDX-License-Identifier: GPL-2.0-or-later
/* The 9P server, on a folder in /var/tmp: make t T=share/p9 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "p9_client.h"

#define DIRFLAG 0x200u

struct fixture {
	char top[64]; /* holds the share, and what is outside of it */
	char share[96];
	struct p9_client c;
};

static void put(const char *dir, const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void in_share(struct fixture *f, char *buf, const char *name)
{
	snprintf(buf, 256, "%s/%s", f->share, name);
}

/*
 * top/secret, top/outside/secret; top/share with hello, sub/deep, links to the outside, a pipe.
 */
static struct fixture *fixture_new(bool read_only, enum p9_model model)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct p9_config cfg = {.path = f->share, .read_only = read_only, .model = model};
	struct lodge_err err = {0};
	char path[256];

	strcpy(f->top, "/var/tmp/lodge-p9-XXXXXX");
	assert_non_null(mkdtemp(f->top));
	snprintf(f->share, sizeof(f->share), "%s/share", f->top);
	assert_int_equal(mkdir(f->share, 0755), 0);
	put(f->top, "secret", "SECRET");
	snprintf(path, sizeof(path), "%s/outside", f->top);
	assert_int_equal(mkdir(path, 0755), 0);
	put(path, "secret", "SECRET");
	put(f->share, "hello", "hello world");
	in_share(f, path, "sub");
	assert_int_equal(mkdir(path, 0755), 0);
	put(path, "deep", "deep inside");
	in_share(f, path, "file-link");
	assert_int_equal(symlink("../secret", path), 0);
	in_share(f, path, "dir-link");
	assert_int_equal(symlink("../outside", path), 0);
	in_share(f, path, "inner-link");
	assert_int_equal(symlink("sub", path), 0);
	in_share(f, path, "pipe");
	assert_int_equal(mkfifo(path, 0644), 0);
	f->c.s = p9_server_new(&cfg, &err);
	if (!f->c.s)
		print_error("%s\n", err.msg);
	assert_non_null(f->c.s);
	assert_int_equal(c_version(&f->c, 65536), 0);
	assert_int_equal(c_attach(&f->c, 1), 0);
	return f;
}

static int setup(void **state)
{
	*state = fixture_new(true, P9_NONE);
	return 0;
}

static int setup_writable(void **state)
{
	*state = fixture_new(false, P9_NONE);
	return 0;
}

static int setup_mapped(void **state)
{
	*state = fixture_new(false, P9_MAPPED_XATTR);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char cmd[128];

	p9_server_free(f->c.s);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", f->top);
	assert_int_equal(system(cmd), 0);
	free(f);
	return 0;
}

/* ---- Reading ----------------------------------------------------------------------------------- */

static void file_when_read_expect_bytes(void **state)
{
	struct fixture *f = *state;
	struct p9_client *c = &f->c;

	assert_int_equal(c_walk(c, 1, 2, "hello", NULL, NULL), 0);
	assert_int_equal(ld_le16(c->p), 1);
	assert_int_equal(c->p[2], 0);
	assert_int_equal(c_getattr(c, 2), 0);
	assert_int_equal(c_mode(c) & S_IFMT, S_IFREG);
	assert_int_equal(ld_le64(c->p + 49), 11);
	assert_int_equal(c_read(c, 116, 2, 0, 100), EBADF); /* not open */
	assert_int_equal(c_open(c, 2, 0), 0);
	assert_int_equal(c_open(c, 2, 0), EBUSY);
	assert_int_equal(c_read(c, 116, 2, 6, 100), 0);
	assert_int_equal(ld_le32(c->p), 5);
	assert_memory_equal(c->p + 4, "world", 5);
	assert_int_equal(c_read(c, 116, 2, 100, 100), 0);
	assert_int_equal(ld_le32(c->p), 0);
	assert_int_equal(c_read(c, 116, 2, UINT64_MAX, 100), EINVAL);
	assert_int_equal(c_clunk(c, 2), 0);
	assert_int_equal(c_clunk(c, 2), EBADF);
}

static void folder_when_read_in_pieces_expect_each_entry_once(void **state)
{
	struct fixture *f = *state;
	struct p9_client *c = &f->c;
	unsigned hello = 0, entries = 0;
	uint64_t off = 0;

	assert_int_equal(c_walk(c, 1, 2, NULL, NULL, NULL), 0);
	assert_int_equal(c_open(c, 2, 0), 0);
	for (;;) {
		uint32_t n;

		assert_int_equal(c_read(c, 40, 2, off, 64), 0);
		n = ld_le32(c->p);
		assert_true(n <= 64);
		if (!n)
			break;
		for (const uint8_t *e = c->p + 4; e < c->p + 4 + n; e += 24 + ld_le16(e + 22)) {
			off = ld_le64(e + 13);
			entries++;
			hello += ld_le16(e + 22) == 5 && !memcmp(e + 24, "hello", 5);
		}
	}
	assert_int_equal(hello, 1);
	assert_int_equal(entries, 8);
	assert_int_equal(c_read(c, 116, 2, 0, 64), EISDIR);
}

static void walk_when_partly_there_expect_count_and_no_fid(void **state)
{
	struct p9_client *c = &((struct fixture *)*state)->c;

	assert_int_equal(c_walk(c, 1, 2, "sub", "none", "x"), 0);
	assert_int_equal(ld_le16(c->p), 1);
	assert_int_equal(c_getattr(c, 2), EBADF);
	assert_int_equal(c_walk(c, 1, 2, "none", NULL, NULL), ENOENT);
	assert_int_equal(c_walk(c, 1, 1, "sub", NULL, NULL), 0); /* in place */
	assert_int_equal(c_walk(c, 1, 2, "deep", NULL, NULL), 0);
	assert_int_equal(c_walk(c, 1, 2, "deep", NULL, NULL), EINVAL); /* taken */
	assert_int_equal(c_walk(c, 9, 3, NULL, NULL, NULL), EBADF);
	assert_int_equal(c_fid(c, 8, 1), 0);
	assert_int_equal(ld_le32(c->p), 0x01021997);
}

/* ---- Staying inside ------------------------------------------------------------------------------ */

static void names_when_they_lead_elsewhere_expect_refusal(void **state)
{
	static const char *const bad[] = {"/", "/etc",	 "../secret", "sub/deep",  "sub/../..", ".",
					  "",  "hello/", "..\\",      "../../etc", "./hello"};
	struct p9_client *c = &((struct fixture *)*state)->c;

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_not_equal(c_walk(c, 1, 2, bad[i], NULL, NULL), 0);
	/* A NUL in a name ends nothing. */
	c_begin(c, 110);
	c_u32(c, 1);
	c_u32(c, 2);
	c_u16(c, 1);
	c_u16(c, 6);
	c_bytes(c, "sub\0xx", 6);
	assert_int_equal(c_send(c), EINVAL);
	assert_int_equal(c_getattr(c, 2), EBADF);
}

static void dotdot_when_at_the_root_expect_the_root(void **state)
{
	struct p9_client *c = &((struct fixture *)*state)->c;
	uint8_t root[13];

	assert_int_equal(c_getattr(c, 1), 0);
	memcpy(root, c->p + 8, 13);
	assert_int_equal(c_walk(c, 1, 2, "..", "..", ".."), 0);
	assert_int_equal(c_getattr(c, 2), 0);
	assert_memory_equal(c->p + 8, root, 13);
	assert_int_equal(c_walk(c, 1, 3, "sub", "..", "hello"), 0);
	assert_int_equal(c_walk(c, 1, 4, "..", "outside", NULL), 0);
	assert_int_equal(ld_le16(c->p), 1);
}

static void links_when_walked_expect_links_and_never_followed(void **state)
{
	struct p9_client *c = &((struct fixture *)*state)->c;

	assert_int_equal(c_walk(c, 1, 2, "file-link", NULL, NULL), 0);
	assert_int_equal(c->p[2], 0x02);
	assert_int_equal(c_getattr(c, 2), 0);
	assert_int_equal(c_mode(c) & S_IFMT, S_IFLNK);
	assert_int_equal(c_open(c, 2, 0), EACCES);
	assert_int_equal(c_fid(c, 22, 2), 0);
	assert_int_equal(ld_le16(c->p), 9);
	assert_memory_equal(c->p + 2, "../secret", 9);
	assert_int_equal(c_walk(c, 1, 3, "dir-link", "secret", NULL), 0);
	assert_int_equal(ld_le16(c->p), 1);
	assert_int_equal(c_walk(c, 1, 4, "dir-link", NULL, NULL), 0);
	assert_int_not_equal(c_walk(c, 4, 5, "secret", NULL, NULL), 0);
	/* Also not inside: that is the client's own to resolve. */
	assert_int_equal(c_walk(c, 1, 6, "inner-link", "deep", NULL), 0);
	assert_int_equal(ld_le16(c->p), 1);
}

static void pipe_when_opened_expect_refusal_at_once(void **state)
{
	struct p9_client *c = &((struct fixture *)*state)->c;

	assert_int_equal(c_walk(c, 1, 2, "pipe", NULL, NULL), 0);
	assert_int_equal(c_open(c, 2, 0), EACCES);
}

static void share_when_read_only_expect_no_change(void **state)
{
	struct p9_client *c = &((struct fixture *)*state)->c;

	assert_int_equal(c_walk(c, 1, 2, "hello", NULL, NULL), 0);
	assert_int_equal(c_walk(c, 1, 3, NULL, NULL, NULL), 0);
	assert_int_equal(c_create(c, 3, "new", 0, 0644), EROFS);
	assert_int_equal(c_mkdir(c, 1, "new", 0755), EROFS);
	assert_int_equal(c_symlink(c, 1, "new", "x"), EROFS);
	assert_int_equal(c_mknod(c, 1, "new", S_IFREG, 0, 0), EROFS);
	assert_int_equal(c_renameat(c, 1, "hello", 1, "new"), EROFS);
	assert_int_equal(c_rename(c, 2, 1, "new"), EROFS);
	assert_int_equal(c_link(c, 1, 2, "new"), EROFS);
	assert_int_equal(c_unlinkat(c, 1, "hello", 0), EROFS);
	assert_int_equal(c_setattr(c, 2, 1, 0600, 0, 0, 0), EROFS);
	assert_int_equal(c_open(c, 2, 1), EROFS);
	assert_int_equal(c_open(c, 2, 01000), EROFS); /* "read" and truncate */
	assert_int_equal(c_open(c, 2, 0), 0);
	assert_int_equal(c_write(c, 2, 0, "x"), EROFS);
	assert_int_equal(c_fid(c, 122, 2), EROFS);
	assert_int_equal(c_getattr(c, 2), EBADF); /* remove clunks all the same */
	assert_int_equal(c_walk(c, 1, 2, "hello", NULL, NULL), 0);
}

/* ---- Writing --------------------------------------------------------------------------------------- */

static void file_when_created_expect_it_on_the_host(void **state)
{
	struct fixture *f = *state;
	struct p9_client *c = &f->c;
	struct stat st;
	char path[256], text[16] = {0};
	int fd;

	assert_int_equal(c_walk(c, 1, 2, NULL, NULL, NULL), 0);
	assert_int_equal(c_create(c, 2, "new", 2, 06777), 0);
	assert_int_equal(c_write(c, 2, 0, "some text"), 0);
	assert_int_equal(ld_le32(c->p), 9);
	assert_int_equal(c_read(c, 116, 2, 5, 100), 0);
	assert_memory_equal(c->p + 4, "text", 4);
	assert_int_equal(c_fid(c, 50, 2), 0);
	in_share(f, path, "new");
	assert_int_equal(stat(path, &st), 0);
	/* No program of a guest runs as its owner on the host. */
	assert_int_equal(st.st_mode & 07777, 0777);
	fd = open(path, O_RDONLY);
	assert_int_equal(read(fd, text, sizeof(text)), 9);
	close(fd);
	assert_string_equal(text, "some text");
	/* What is there is not created, and no link is followed. */
	assert_int_equal(c_walk(c, 1, 3, NULL, NULL, NULL), 0);
	assert_int_equal(c_create(c, 3, "hello", 2, 0644), EEXIST);
	assert_int_equal(c_create(c, 3, "file-link", 2, 0644), EEXIST);
	assert_int_equal(c_create(c, 3, "../new", 2, 0644), EINVAL);
}

static void attributes_when_set_expect_them(void **state)
{
	struct p9_client *c = &((struct fixture *)*state)->c;

	assert_int_equal(c_walk(c, 1, 2, "hello", NULL, NULL), 0);
	assert_int_equal(c_setattr(c, 2, 1 | 2 | 4 | 8 | 32 | 256, 0640, 77, 5, 1234567), 0);
	assert_int_equal(c_getattr(c, 2), 0);
	assert_int_equal(c_mode(c), S_IFREG | 0640);
	assert_int_equal(ld_le64(c->p + 49), 5);
	assert_int_equal(ld_le64(c->p + 89), 1234567);
	assert_int_equal(c_setattr(c, 2, 8, 0, 0, UINT64_MAX, 0), EINVAL);
	/* A pipe has no length to set, and nobody waits for it. */
	assert_int_equal(c_walk(c, 1, 3, "pipe", NULL, NULL), 0);
	assert_int_equal(c_setattr(c, 3, 8, 0, 0, 0, 0), EACCES);
	/* Of a link, not of what it leads to. */
	assert_int_equal(c_walk(c, 1, 4, "file-link", NULL, NULL), 0);
	assert_int_equal(c_setattr(c, 4, 1, 0777, 0, 0, 0), EOPNOTSUPP);
	assert_int_equal(c_setattr(c, 4, 8, 0, 0, 0, 0), ELOOP);
}

static void entries_when_made_and_moved_expect_them(void **state)
{
	struct fixture *f = *state;
	struct p9_client *c = &f->c;
	char path[256], target[32];

	assert_int_equal(c_mkdir(c, 1, "dir", 0755), 0);
	assert_int_equal(c->p[0], 0x80);
	assert_int_equal(c_symlink(c, 1, "link", "anywhere"), 0);
	in_share(f, path, "link");
	assert_int_equal(readlink(path, target, sizeof(target)), 8);
	assert_int_equal(c_mknod(c, 1, "disk", S_IFBLK | 0600, 8, 0), EPERM);
	assert_int_equal(c_mknod(c, 1, "fifo", S_IFIFO | 0600, 0, 0), 0);
	assert_int_equal(c_walk(c, 1, 2, "hello", NULL, NULL), 0);
	assert_int_equal(c_walk(c, 1, 3, "dir", NULL, NULL), 0);
	assert_int_equal(c_link(c, 3, 2, "hard"), 0);
	assert_int_equal(c_renameat(c, 3, "hard", 1, "moved"), 0);
	assert_int_equal(c_renameat(c, 1, "none", 1, "x"), ENOENT);
	assert_int_equal(c_renameat(c, 1, "moved", 1, "../moved"), EINVAL);
	assert_int_equal(c_rename(c, 2, 3, "renamed"), 0);
	assert_int_equal(c_walk(c, 3, 4, "renamed", NULL, NULL), 0);
	assert_int_equal(c_rename(c, 3, 3, "self"), EINVAL);
	assert_int_equal(c_unlinkat(c, 1, "dir", 0), EISDIR);
	assert_int_equal(c_unlinkat(c, 1, "dir", DIRFLAG), ENOTEMPTY);
	assert_int_equal(c_fid(c, 122, 4), 0);
	assert_int_equal(c_fid(c, 122, 2), ESTALE); /* gone already */
	assert_int_equal(c_unlinkat(c, 1, "dir", DIRFLAG), 0);
	assert_int_equal(c_unlinkat(c, 1, "../secret", 0), EINVAL);
	assert_int_equal(c_fid(c, 122, 1), EBUSY); /* the root stays */
}

static void owners_when_mapped_expect_them_in_attributes(void **state)
{
	struct fixture *f = *state;
	struct p9_client *c = &f->c;
	struct stat st;
	char path[256];

	in_share(f, path, "hello");
	if (setxattr(path, "user.lodge", "x", 1, 0)) {
		print_message("no extended attributes here: not run\n");
		skip();
	}
	assert_int_equal(c_walk(c, 1, 2, NULL, NULL, NULL), 0);
	assert_int_equal(c_create(c, 2, "new", 2, 04755), 0);
	assert_int_equal(c_getattr(c, 2), 0);
	assert_int_equal(c_mode(c), S_IFREG | 04755);
	assert_int_equal(ld_le32(c->p + 25), 1000); /* of the attach */
	assert_int_equal(ld_le32(c->p + 29), 1001);
	in_share(f, path, "new");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(c_setattr(c, 2, 1 | 2, 0111, 5, 0, 0), 0);
	assert_int_equal(c_getattr(c, 2), 0);
	assert_int_equal(c_mode(c), S_IFREG | 0111);
	assert_int_equal(ld_le32(c->p + 25), 5);
	/* Links and devices are files that say what they are. */
	assert_int_equal(c_symlink(c, 1, "link", "/etc/shadow"), 0);
	assert_int_equal(c->p[0], 0x02);
	in_share(f, path, "link");
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(c_walk(c, 1, 3, "link", NULL, NULL), 0);
	assert_int_equal(c_fid(c, 22, 3), 0);
	assert_memory_equal(c->p + 2, "/etc/shadow", 11);
	assert_int_equal(c_open(c, 3, 0), EACCES);
	assert_int_equal(c_mknod(c, 1, "disk", S_IFBLK | 0600, 8, 1), 0);
	assert_int_equal(c_walk(c, 1, 4, "disk", NULL, NULL), 0);
	assert_int_equal(c_getattr(c, 4), 0);
	assert_int_equal(c_mode(c), S_IFBLK | 0600);
	assert_int_equal(ld_le64(c->p + 41), 0x801);
}

/* ---- Messages ------------------------------------------------------------------------------------- */

static void session_when_begun_anew_expect_fids_gone(void **state)
{
	struct p9_client *c = &((struct fixture *)*state)->c;

	assert_int_equal(c_version(c, 1 << 30), 0);
	assert_int_equal(ld_le32(c->p), P9_MSIZE_MAX);
	assert_int_equal(c_getattr(c, 1), EBADF);
	c_begin(c, 100);
	c_u32(c, 8192);
	c_str(c, "9P2000.u");
	assert_int_equal(c_send(c), 0);
	assert_memory_equal(c->p + 6, "unknown", 7);
	assert_int_equal(c_attach(c, 1), EPROTO);
	assert_int_equal(c_version(c, 10), EINVAL);
}

static void message_when_malformed_expect_error_or_nothing(void **state)
{
	struct p9_client *c = &((struct fixture *)*state)->c;
	uint8_t reply[64];

	c_begin(c, 24);
	c_u16(c, 1);
	assert_int_equal(c_send(c), EINVAL);
	c_begin(c, 251);
	assert_int_equal(c_send(c), EOPNOTSUPP);
	c_begin(c, 110);
	c_u32(c, 1);
	c_u32(c, 2);
	c_u16(c, 17);
	assert_int_equal(c_send(c), EINVAL);
	c_begin(c, 118); /* says more than it has */
	c_u32(c, 1);
	c_u64(c, 0);
	c_u32(c, 0xffffffff);
	assert_int_not_equal(c_send(c), 0);
	/* Size fields that lie. */
	st_le32(c->req, 6);
	assert_int_equal(p9_server_handle(c->s, c->req, 23, reply, sizeof(reply)), 0);
	st_le32(c->req, 24);
	assert_int_equal(p9_server_handle(c->s, c->req, 23, reply, sizeof(reply)), 0);
	assert_int_equal(p9_server_handle(c->s, c->req, 3, reply, sizeof(reply)), 0);
	/* An answer that does not fit is an error that does. */
	assert_int_equal(c_getattr(c, 1), 0);
	assert_int_equal(p9_server_handle(c->s, c->req, c->len, reply, 11), 11);
	assert_int_equal(reply[4], 7);
	assert_int_equal(ld_le32(reply + 7), EMSGSIZE);
}

static void locks_when_asked_expect_success(void **state)
{
	struct p9_client *c = &((struct fixture *)*state)->c;

	assert_int_equal(c_fid(c, 52, 1), 0);
	assert_int_equal(c->p[0], 0);
	c_begin(c, 54);
	c_u32(c, 1);
	c_u8(c, 0);
	c_u64(c, 0);
	c_u64(c, 10);
	c_u32(c, 5);
	c_str(c, "client");
	assert_int_equal(c_send(c), 0);
	assert_int_equal(c->p[0], 2);
}

/* ---- Races ----------------------------------------------------------------------------------------- */

static volatile bool stop;

/* Somebody swaps share/swap, a folder, with a link to the outside, without end. */
static void *swapper(void *arg)
{
	struct fixture *f = arg;
	char a[256], b[256];

	in_share(f, a, "swap");
	in_share(f, b, "swap-link");
	while (!stop)
		syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, 2 /* exchange */);
	return NULL;
}

static void folder_when_swapped_with_a_link_expect_never_outside(void **state)
{
	struct fixture *f = *state;
	struct p9_client *c = &f->c;
	unsigned inside = 0, links = 0;
	struct timespec t0, t;
	pthread_t thread;
	char path[256];

	in_share(f, path, "swap");
	assert_int_equal(mkdir(path, 0755), 0);
	put(path, "secret", "INSIDE");
	in_share(f, path, "swap-link");
	assert_int_equal(symlink("../outside", path), 0);
	stop = false;
	assert_int_equal(pthread_create(&thread, NULL, swapper, f), 0);
	clock_gettime(CLOCK_MONOTONIC, &t0);
	do {
		for (unsigned i = 0; i < 50; i++) {
			if (c_walk(c, 1, 2, "swap", "secret", NULL) || ld_le16(c->p) < 2) {
				links++;
			} else if (!c_open(c, 2, 0)) {
				assert_int_equal(c_read(c, 116, 2, 0, 100), 0);
				assert_memory_equal(c->p + 4, "INSIDE", 6);
				inside++;
			}
			c_clunk(c, 2);
			/* And made: in the folder, or nowhere. */
			if (!c_walk(c, 1, 2, "swap", NULL, NULL) &&
			    !c_create(c, 2, "made", 1, 0644))
				c_write(c, 2, 0, "x");
			c_clunk(c, 2);
			if (!c_walk(c, 1, 2, "swap", NULL, NULL))
				c_unlinkat(c, 2, "made", 0);
			c_clunk(c, 2);
		}
		clock_gettime(CLOCK_MONOTONIC, &t);
	} while (t.tv_sec - t0.tv_sec < 2 || ((!inside || !links) && t.tv_sec - t0.tv_sec < 20));
	stop = true;
	pthread_join(thread, NULL);
	assert_true(inside && links);
	snprintf(path, sizeof(path), "%s/outside/made", f->top);
	assert_int_equal(access(path, F_OK), -1);
	snprintf(path, sizeof(path), "%s/outside/secret", f->top);
	assert_int_equal(access(path, F_OK), 0);
}

static void folder_when_not_there_expect_sentence(void **state)
{
	struct p9_config cfg = {.path = "/nonexistent/folder"};
	struct lodge_err err;

	assert_null(p9_server_new(&cfg, &err));
	assert_non_null(strstr(err.msg, "/nonexistent/folder"));
}

#define T(name, how) cmocka_unit_test_setup_teardown(name, how, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(file_when_read_expect_bytes, setup),
		T(folder_when_read_in_pieces_expect_each_entry_once, setup),
		T(walk_when_partly_there_expect_count_and_no_fid, setup),
		T(names_when_they_lead_elsewhere_expect_refusal, setup),
		T(dotdot_when_at_the_root_expect_the_root, setup),
		T(links_when_walked_expect_links_and_never_followed, setup),
		T(pipe_when_opened_expect_refusal_at_once, setup),
		T(share_when_read_only_expect_no_change, setup),
		T(file_when_created_expect_it_on_the_host, setup_writable),
		T(attributes_when_set_expect_them, setup_writable),
		T(entries_when_made_and_moved_expect_them, setup_writable),
		T(owners_when_mapped_expect_them_in_attributes, setup_mapped),
		T(session_when_begun_anew_expect_fids_gone, setup),
		T(message_when_malformed_expect_error_or_nothing, setup),
		T(locks_when_asked_expect_success, setup),
		T(folder_when_swapped_with_a_link_expect_never_outside, setup_writable),
		cmocka_unit_test(folder_when_not_there_expect_sentence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
