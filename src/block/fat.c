// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A FAT12 volume in a memfd: boot sector, two FATs, root directory, files one behind the other.
 * Source: Microsoft, "FAT: General Overview of On-Disk Format" 1.03 (boot sector, FAT entries, long names).
 * Threads: no shared state.
 */
#include "block/fat.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/range.h"

#define SECTOR 512u
#define CLUSTER_SECTORS 8u
#define CLUSTER (SECTOR * CLUSTER_SECTORS)
#define ROOT_ENTRIES 64u
#define ROOT_SECTORS (ROOT_ENTRIES * 32 / SECTOR)
#define FATS 2u
#define CLUSTERS_MAX 4084u /* with more of them it would be FAT16 */
#define END_OF_CHAIN 0xfffu

#define ATTR_READ_ONLY 0x01
#define ATTR_LABEL 0x08
#define ATTR_LONG 0x0f
#define LONG_LAST 0x40
#define LONG_CHARS 13u

struct volume {
	uint8_t *bytes;
	unsigned fat_sectors, clusters;
	unsigned entries;      /* of the root directory, so far */
	unsigned next_cluster; /* the first is 2 */
};

static uint8_t *fat(struct volume *v, unsigned which)
{
	return v->bytes + SECTOR * (1 + which * v->fat_sectors);
}

static uint8_t *root(struct volume *v)
{
	return v->bytes + SECTOR * (1 + FATS * v->fat_sectors);
}

static uint8_t *cluster(struct volume *v, unsigned n)
{
	return root(v) + ROOT_SECTORS * SECTOR + (size_t)(n - 2) * CLUSTER;
}

static void set_fat(struct volume *v, unsigned n, unsigned next)
{
	for (unsigned f = 0; f < FATS; f++) {
		uint8_t *at = fat(v, f) + n * 3 / 2;
		unsigned old = ld_le16(at);

		st_le16(at, (uint16_t)(n & 1 ? (old & 0x000f) | next << 4 : (old & 0xf000) | next));
	}
}

static void boot_sector(struct volume *v, unsigned sectors)
{
	uint8_t *b = v->bytes;

	memcpy(b, "\xeb\x3c\x90LODGE   ", 11);
	st_le16(b + 11, SECTOR);
	b[13] = CLUSTER_SECTORS;
	st_le16(b + 14, 1);
	b[16] = FATS;
	st_le16(b + 17, ROOT_ENTRIES);
	st_le16(b + 19, (uint16_t)sectors);
	b[21] = 0xf8;
	st_le16(b + 22, (uint16_t)v->fat_sectors);
	st_le16(b + 24, 32);
	st_le16(b + 26, 2);
	b[36] = 0x80;
	b[38] = 0x29;
	st_le32(b + 39, 0x10d6e001);
	memcpy(b + 43, "NO NAME    FAT12   ", 19);
	st_le16(b + 510, 0xaa55);
}

static void add_label(struct volume *v, const char *label)
{
	uint8_t *e = root(v) + 32 * v->entries++;
	size_t n = min_u64(strlen(label), 11);

	memset(e, ' ', 11);
	memcpy(e, label, n);
	e[11] = ATTR_LABEL;
	memcpy(v->bytes + 43, e, 11);
}

/* A long name's place for each of its 13 characters in an entry. */
static const uint8_t long_at[LONG_CHARS] = {1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30};

static void add_long_name(struct volume *v, const char *name, uint8_t sum)
{
	size_t n = strlen(name);
	unsigned pieces = (unsigned)((n + LONG_CHARS - 1) / LONG_CHARS);

	for (unsigned p = pieces; p-- > 0;) {
		uint8_t *e = root(v) + 32 * v->entries++;

		e[0] = (uint8_t)((p + 1) | (p + 1 == pieces ? LONG_LAST : 0));
		e[11] = ATTR_LONG;
		e[13] = sum;
		for (unsigned i = 0; i < LONG_CHARS; i++) {
			size_t c = p * LONG_CHARS + i;

			st_le16(e + long_at[i], c < n	 ? (uint16_t)(uint8_t)name[c]
						: c == n ? 0
							 : 0xffff);
		}
	}
}

static void add_file(struct volume *v, const struct fat_file *f)
{
	unsigned count = (unsigned)((f->len + CLUSTER - 1) / CLUSTER), first = v->next_cluster;
	uint8_t short_name[12] = "FILE0001   ", sum = 0, *e;

	short_name[7] = (uint8_t)('1' + v->entries % 9);
	short_name[6] = (uint8_t)('0' + v->entries / 9);
	for (unsigned i = 0; i < 11; i++)
		sum = (uint8_t)((sum >> 1 | sum << 7) + short_name[i]);
	add_long_name(v, f->name, sum);
	e = root(v) + 32 * v->entries++;
	memcpy(e, short_name, 11);
	e[11] = ATTR_READ_ONLY;
	st_le16(e + 24, 0x0021); /* 1 January 1980: there is no date before */
	st_le16(e + 26, (uint16_t)(count ? first : 0));
	st_le32(e + 28, (uint32_t)f->len);
	if (count)
		memcpy(cluster(v, first), f->data, f->len);
	for (unsigned i = 0; i < count; i++)
		set_fat(v, first + i, i + 1 < count ? first + i + 1 : END_OF_CHAIN);
	v->next_cluster += count;
}

static int check(const struct fat_file *files, unsigned n, unsigned *clusters,
		 struct lodge_err *err)
{
	*clusters = 1;
	for (unsigned i = 0; i < n; i++) {
		if (strlen(files[i].name) > 2 * LONG_CHARS || files[i].len > FAT_FILE_BYTES_MAX)
			return err_set(err, -EFBIG, "'%s' is too large: 1 MiB is the most",
				       files[i].name);
		*clusters += (unsigned)((files[i].len + CLUSTER - 1) / CLUSTER);
	}
	return n > FAT_FILES_MAX || *clusters > CLUSTERS_MAX
		       ? err_set(err, -EFBIG, "%u files are too many for a small volume", n)
		       : 0;
}

int fat_volume(const char *label, const struct fat_file *files, unsigned n, struct lodge_err *err)
{
	struct volume v = {.next_cluster = 2};
	unsigned sectors;
	size_t bytes;
	int fd, r = check(files, n, &v.clusters, err);

	if (r)
		return r;
	v.fat_sectors = ((v.clusters + 2) * 3 / 2 + SECTOR) / SECTOR;
	sectors = 1 + FATS * v.fat_sectors + ROOT_SECTORS + v.clusters * CLUSTER_SECTORS;
	bytes = (size_t)sectors * SECTOR;
	fd = memfd_create("lodge-volume", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)bytes))
		r = err_set(err, -errno, "no memory for a small volume: %s", strerror(errno));
	else if ((v.bytes = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) ==
		 MAP_FAILED)
		r = err_set(err, -errno, "no memory for a small volume: %s", strerror(errno));
	if (r) {
		if (fd >= 0)
			close(fd);
		return r;
	}
	boot_sector(&v, sectors);
	set_fat(&v, 0, 0xff8);
	set_fat(&v, 1, END_OF_CHAIN);
	add_label(&v, label);
	for (unsigned i = 0; i < n; i++)
		add_file(&v, &files[i]);
	munmap(v.bytes, bytes);
	return fd;
}
