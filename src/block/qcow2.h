/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What only qcow2 images can do, for tools. The image is open (blk_open); every function here wants it for
 * itself and waits until nobody else is at work in it.
 */
#ifndef LODGE_BLOCK_QCOW2_H
#define LODGE_BLOCK_QCOW2_H

#include "block/block.h"

struct qcow2;

/* ---- Facts ---- */

struct q_info {
	unsigned version, refcount_bits, cluster_bits;
	bool lazy_refcounts, ext_l2, corrupt, dirty;
	const char *compression;		   /* "zlib", "zstd" */
	const char *backing_name, *backing_format; /* as they stand there, or NULL */
	unsigned snapshots;
};
/* false: it is not a qcow2 image. Strings live as long as the image is open. */
bool q_get_info(struct blk *b, struct q_info *out);

/* ---- Creation ---- */

struct q_create {
	const char *path;
	uint64_t size;
	unsigned version; /* 2 or 3 */
	uint64_t cluster_size;
	unsigned refcount_bits;
	bool lazy_refcounts, ext_l2, zstd;
	const char *backing_name, *backing_format; /* or NULL */
	enum { Q_PREALLOC_OFF, Q_PREALLOC_METADATA, Q_PREALLOC_FALLOC, Q_PREALLOC_FULL } prealloc;
};
int q_create(const struct q_create *c, struct lodge_err *err) MUST_CHECK;

/* ---- Compressed clusters ---- */

uint64_t q_cluster_size(const struct blk *b);
/* What one thread compresses with, to be used again and again. NULL: no memory. */
struct q_packer;
struct q_packer *q_packer_new(const struct blk *b);
void q_packer_free(struct q_packer *p); /* NULL is allowed */
/* Compress a cluster's bytes: its length in `out` (a cluster long), 0 if it does not become smaller, or -errno. */
long q_pack(struct q_packer *p, const uint8_t *cluster, uint8_t *out) MUST_CHECK;
/* Write such a one; `off` is a cluster's and nothing is there yet. */
int q_write_compressed(struct blk *b, uint64_t off, const uint8_t *data, uint64_t len) MUST_CHECK;

/* ---- Check ---- */

enum { Q_REPAIR_LEAKS = 1, Q_REPAIR_ERRORS = 2, Q_REPAIR_ALL = 3 };
enum { Q_CHECK_WHOLE, Q_CHECK_QUICK }; /* quick: refuses what takes long, for opening */

struct q_check_result {
	uint64_t corruptions, leaks, check_errors;
	uint64_t corruptions_fixed, leaks_fixed;
	uint64_t end_off; /* behind the last cluster in use */
	uint64_t total_clusters, allocated_clusters, fragmented_clusters, compressed_clusters;
	/* Each finding as a sentence; may be NULL. */
	void (*say)(void *opaque, const char *sentence);
	void *opaque;
};
int q_check(struct qcow2 *q, unsigned repair, int how, struct q_check_result *out,
	    struct lodge_err *err) MUST_CHECK;
int q_check_image(struct blk *b, unsigned repair, struct q_check_result *out,
		  struct lodge_err *err) MUST_CHECK;

/* ---- Internal snapshots ---- */

struct q_snapshot {
	char *id, *name;
	uint32_t date_sec, date_nsec;
	uint64_t vm_clock_nsec, vm_state_size, disk_size;
	uint64_t l1_off;
	uint32_t l1_size;
	uint8_t *extra; /* all extra data, as it stands there */
	uint32_t extra_len;
};
struct q_snapshots {
	struct q_snapshot *at;
	unsigned count;
};
int q_snapshot_list(struct blk *b, struct q_snapshots *out, struct lodge_err *err) MUST_CHECK;
void q_snapshots_free(struct q_snapshots *s);
int q_snapshot_create(struct blk *b, const char *name, struct lodge_err *err) MUST_CHECK;
/* By id, else by name. */
int q_snapshot_apply(struct blk *b, const char *which, struct lodge_err *err) MUST_CHECK;
int q_snapshot_delete(struct blk *b, const char *which, struct lodge_err *err) MUST_CHECK;

/* Show the snapshot instead of the image, which is open for reading only and stays so. */
int q_snapshot_view(struct blk *b, const char *which, struct lodge_err *err) MUST_CHECK;

/* ---- Backing files ---- */

/* The path a backing file's name means, seen from the image. */
int q_backing_path(const char *image, const char *name, char *out, size_t n,
		   struct lodge_err *err) MUST_CHECK;
/* Write another name into the header; NULL: none. Nothing else changes. */
int q_set_backing(struct blk *b, const char *name, const char *format,
		  struct lodge_err *err) MUST_CHECK;
/* Every cluster and L2 table of the image empty again: all is seen through to the backing file. */
int q_make_empty(struct blk *b) MUST_CHECK;

#endif
