// SPDX-License-Identifier: GPL-2.0-or-later
/* `lodge img info`. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "block/qcow2.h"
#include "cli/img.h"
#include "cli/img_snapshots.h"

static uint64_t disk_size(const char *path)
{
	struct stat st;

	return stat(path, &st) ? 0 : (uint64_t)st.st_blocks * 512;
}

static json_t *specific_json(const struct q_info *q)
{
	return json_pack("{s:s, s:{s:s, s:s, s:b, s:i, s:b, s:b}}", "type", "qcow2", "data",
			 "compat", q->version == 2 ? "0.10" : "1.1", "compression-type",
			 q->compression, "lazy-refcounts", (int)q->lazy_refcounts, "refcount-bits",
			 (int)q->refcount_bits, "corrupt", (int)q->corrupt, "extended-l2",
			 (int)q->ext_l2);
}

static json_t *info_json(struct blk *b, const struct q_info *q, const char *full,
			 const struct q_snapshots *snaps)
{
	json_t *j =
		json_pack("{s:I, s:s, s:s, s:I, s:b}", "virtual-size", (json_int_t)blk_size(b),
			  "filename", blk_path(b), "format", blk_format(b), "actual-size",
			  (json_int_t)disk_size(blk_path(b)), "dirty-flag", q ? (int)q->dirty : 0);

	if (!q || !j)
		return j;
	json_object_set_new(j, "cluster-size", json_integer(1ll << q->cluster_bits));
	json_object_set_new(j, "format-specific", specific_json(q));
	if (q->backing_name) {
		json_object_set_new(j, "backing-filename", json_string(q->backing_name));
		json_object_set_new(j, "full-backing-filename", json_string(full));
	}
	if (q->backing_name && q->backing_format)
		json_object_set_new(j, "backing-filename-format", json_string(q->backing_format));
	if (snaps->count)
		json_object_set_new(j, "snapshots", img_snapshots_json(snaps));
	return j;
}

static void info_text(struct blk *b, const struct q_info *q, const char *full,
		      const struct q_snapshots *snaps)
{
	char virtual[32], disk[32];

	img_human(blk_size(b), virtual, sizeof(virtual));
	img_human(disk_size(blk_path(b)), disk, sizeof(disk));
	printf("image: %s\nfile format: %s\nvirtual size: %s (%llu bytes)\ndisk size: %s\n",
	       blk_path(b), blk_format(b), virtual, (unsigned long long)blk_size(b), disk);
	if (!q)
		return;
	printf("cluster_size: %llu\n", 1ull << q->cluster_bits);
	if (q->backing_name) {
		printf("backing file: %s", q->backing_name);
		if (strcmp(full, q->backing_name))
			printf(" (actual path: %s)", full);
		putchar('\n');
	}
	if (q->backing_name && q->backing_format)
		printf("backing file format: %s\n", q->backing_format);
	if (snaps->count)
		img_snapshots_print(snaps);
	printf("Format specific information:\n    compat: %s\n    compression type: %s\n"
	       "    lazy refcounts: %s\n    refcount bits: %u\n    corrupt: %s\n"
	       "    extended l2: %s\n",
	       q->version == 2 ? "0.10" : "1.1", q->compression,
	       q->lazy_refcounts ? "true" : "false", q->refcount_bits,
	       q->corrupt ? "true" : "false", q->ext_l2 ? "true" : "false");
}

/* One image; *next is its backing file's path or empty. */
static json_t *info_one(struct img_args *a, const char *path, const char *format, char *next,
			size_t n, char *next_format, size_t n_format, bool *ok)
{
	struct blk_open how = {.read_only = true,
			       .no_backing = true,
			       .no_lock = a->val['U'],
			       .format = format};
	struct q_snapshots snaps = {NULL, 0};
	struct lodge_err err = {""};
	struct blk *b = img_open(a, &how, path);
	struct q_info q;
	bool is_q;
	json_t *j = NULL;

	*ok = b;
	next[0] = next_format[0] = '\0';
	if (!b)
		return NULL;
	is_q = q_get_info(b, &q);
	if (q_snapshot_list(b, &snaps, &err)) {
		fprintf(stderr, "lodge: %s\n", err.msg);
		*ok = false;
	}
	if (is_q && q.backing_name && q_backing_path(path, q.backing_name, next, n, &err))
		snprintf(next, n, "%s", q.backing_name);
	if (is_q && q.backing_format)
		snprintf(next_format, n_format, "%s", q.backing_format);
	if (a->json)
		j = info_json(b, is_q ? &q : NULL, next, &snaps);
	else
		info_text(b, is_q ? &q : NULL, next, &snaps);
	q_snapshots_free(&snaps);
	if (blk_close(b))
		*ok = false;
	return j;
}

int img_info(struct img_args *a)
{
	char path[4096], next[4096], format[32] = "", next_format[32];
	json_t *all = json_array(), *j;
	bool ok = true;
	int r = 0;

	if (img_names(a, 1, 1, "a file's name is wanted"))
		return 1;
	snprintf(path, sizeof(path), "%s", a->argv[0]);
	snprintf(format, sizeof(format), "%s", a->val['f'] ? a->val['f'] : "");
	for (unsigned depth = 0; path[0] && ok; depth++) {
		if (depth == 64) {
			ok = false;
			img_fail(a, 1, "there are more than 64 backing files");
			break;
		}
		if (depth && !a->json)
			putchar('\n');
		j = info_one(a, path, format[0] ? format : NULL, next, sizeof(next), next_format,
			     sizeof(next_format), &ok);
		if (j)
			json_array_append_new(all, j);
		if (!a->val[IMG_CHAIN])
			break;
		memcpy(path, next, sizeof(path));
		memcpy(format, next_format, sizeof(format));
	}
	if (a->json && ok)
		r = a->val[IMG_CHAIN] ? img_print_json(json_incref(all))
				      : img_print_json(json_incref(json_array_get(all, 0)));
	json_decref(all);
	return ok ? r : 1;
}
