/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside the qcow2 format (qcow2*.c). Source: QEMU docs/interop/qcow2.txt.
 *
 * How nothing is lost. Tables on the disk that the header leads to are never changed. A changed L2
 * table or refcount block is held in memory and then written to a free cluster; so are, at a commit, the
 * L1 table and the refcount table. Then the file is flushed, and one write of the header's first sector,
 * in which all the roots stand side by side, makes the new state the image's. At every instant the file is a
 * whole and clean image, without a leaked cluster: the last commit's. What was free in it may be overwritten,
 * what became free since may not, until the next commit (`struct q_freed`).
 * Guest data in clusters that only this state refers to is overwritten in place, as on a disk.
 *
 * Rules:
 *  1. `lock` protects everything here. It is dropped for guest data and for a commit's flushes.
 *  2. Who allocates for guest data is in `inflight` from the allocation until the L2 entry stands; a
 *     commit waits for those, since it would make a leak of what they have.
 *  3. Guest data is read and written between q_io_begin and q_io_end. Clusters freed by a commit are handed
 *     out again only when every access that began before it has ended.
 *  4. Who is in `inflight` or between q_io_begin and q_io_end never waits for a commit.
 *  5. A table pointer is good until the next table of the same kind is asked for, or the lock dropped.
 */
#ifndef LODGE_BLOCK_QCOW2_INT_H
#define LODGE_BLOCK_QCOW2_INT_H

#include <pthread.h>

#include "base/bytes.h"
#include "base/list.h"
#include "base/range.h"
#include "block/block_int.h"

#define Q_MAGIC 0x514649fbu
#define Q_HEADER_V2 72u
#define Q_HEADER_V3 104u
#define Q_MIN_BITS 9u
#define Q_MAX_BITS 21u
#define Q_MAX_L1_BYTES (32u << 20)
#define Q_MAX_REFTABLE_BYTES (8u << 20)
#define Q_MAX_SNAPSHOTS 65536u
#define Q_META_CHUNKS (1u << 16) /* of q->meta, for tables that are there at opening */
#define Q_MAX_DEPTH 64u		 /* images in a chain */

#define Q_INCOMPAT_DIRTY (1ull << 0)
#define Q_INCOMPAT_CORRUPT (1ull << 1)
#define Q_INCOMPAT_DATA_FILE (1ull << 2)
#define Q_INCOMPAT_COMPRESSION (1ull << 3)
#define Q_INCOMPAT_EXT_L2 (1ull << 4)
#define Q_COMPAT_LAZY (1ull << 0)
#define Q_AUTOCLEAR_BITMAPS (1ull << 0)

#define Q_EXT_END 0u
#define Q_EXT_BACKING 0xe2792acau
#define Q_EXT_FEATURES 0x6803f857u
#define Q_EXT_BITMAPS 0x23852875u

#define Q_OFFSET_MASK 0x00fffffffffffe00ull
#define Q_COPIED (1ull << 63)
#define Q_COMPRESSED (1ull << 62)
#define Q_ZERO 1ull
#define Q_ALL_SUB 0xffffffffull

enum { Q_ZLIB, Q_ZSTD };

/* The header, in the machine's own numbers. */
struct q_header {
	uint32_t version, cluster_bits, crypt_method;
	uint64_t size;
	uint64_t backing_off;
	uint32_t backing_len;
	uint32_t l1_size;
	uint64_t l1_off;
	uint64_t reftable_off;
	uint32_t reftable_clusters;
	uint32_t snapshots;
	uint64_t snapshots_off;
	uint64_t incompatible, compatible, autoclear;
	uint32_t refcount_order, header_length;
	uint8_t compression;
	/* From the extensions. */
	char backing_format[16];
	char *backing_name; /* or NULL */
	uint64_t bitmaps_off, bitmaps_size;
	uint32_t bitmaps;
};

/* A cluster of metadata in memory, as on the disk: an L2 table, or a block of refcounts. */
struct q_table {
	struct list lru; /* in q_cache.lru: the tail was used last */
	struct q_table *next;
	uint64_t index; /* in the L1 table, or the refcount table */
	bool dirty;	/* not what is on the disk */
	bool placed;	/* written where a commit that is under way will lead to */
	uint8_t *data;
};

struct q_cache {
	struct list lru;
	struct q_table **hash;
	unsigned hash_size, count, max, dirty;
};

/* A set of clusters. */
struct q_set {
	struct q_chunk *slot; /* 512 clusters each */
	size_t size, used;
};

struct q_chunk {
	uint64_t key; /* first cluster / 512 + 1; 0: empty */
	uint64_t bits[8];
};

/* Guest clusters [first, first + count) are being allocated. */
struct q_inflight {
	struct list link;
	uint64_t first, count;
};

struct qcow2 {
	struct blk *b;
	pthread_mutex_t lock;
	pthread_cond_t cond; /* inflight, preparing, committing, io */
	struct q_header h;
	uint64_t cluster_size, l2_entries, l2_span; /* guest bytes of one L2 table */
	uint64_t ref_entries;			    /* in a block */
	uint64_t ref_max;
	bool ext_l2, v3;

	uint64_t *l1; /* h.l1_size entries; dirty tables stand in the cache alone */
	uint64_t l1_clusters;
	uint64_t *reftable;
	uint64_t reftable_size;
	uint64_t reftable_room; /* allocated for the array */
	struct q_cache l2, refs;
	bool l1_dirty, reftable_dirty, header_dirty;
	bool tables_spilled; /* tables were written outside a commit */

	struct q_set meta;     /* where tables are, so that guest data never goes there */
	struct q_set freed[2]; /* [0]: since the last commit began; [1]: by the commit under way */
	bool freed_data[2];    /* guest data among them */
	uint64_t data_hint, meta_hint; /* nothing is free below */
	uint64_t file_end;	       /* nothing was ever written from here on */
	uint64_t packed_off;	       /* next byte for compressed data, or 0 */
	uint64_t packed_end;	       /* so long must the file be at the next commit */

	struct list inflight;
	bool preparing, committing, exclusive;
	unsigned io_count[2], io_epoch;
	bool corrupt; /* met or marked: no more writes */
	bool stale;   /* only what is in memory is: q_revert() mends it */
	bool quiet;   /* do not say so on standard error */
};

/* qcow2_header.c */
int q_header_read(struct blk_file *f, struct q_header *h, struct lodge_err *err) MUST_CHECK;
void q_header_free(struct q_header *h);
/* The fields that change while an image is open, by one write. */
int q_header_write(struct blk_file *f, const struct q_header *h) MUST_CHECK;
/* A whole first cluster, with extensions and backing name; for creation and rebase. */
int q_header_format(const struct q_header *h, uint8_t *cluster) MUST_CHECK;
int q_header_rewrite(struct blk_file *f, const struct q_header *h,
		     struct lodge_err *err) MUST_CHECK;

/* qcow2_set.c */
bool q_set_has(const struct q_set *s, uint64_t cluster);
int q_set_add(struct q_set *s, uint64_t cluster) MUST_CHECK;
void q_set_del(struct q_set *s, uint64_t cluster);
void q_set_free(struct q_set *s);
/* Of b into a, b is empty afterwards. */
int q_set_merge(struct q_set *a, struct q_set *b) MUST_CHECK;

/* qcow2_cache.c; all with the lock */
int q_cache_init(struct q_cache *c, unsigned max) MUST_CHECK;
void q_cache_free(struct q_cache *c);
/* The L2 table of an L1 entry. *out is NULL if there is none and not `make`. */
int q_l2_get(struct qcow2 *q, uint64_t l1_index, bool make, struct q_table **out) MUST_CHECK;
/* The block of refcounts of a refcount table's entry. The same. */
int q_refs_get(struct qcow2 *q, uint64_t index, bool make, struct q_table **out) MUST_CHECK;
void q_table_dirty(struct q_cache *c, struct q_table *t);
/* The table is gone: forget what is in memory. */
void q_cache_drop(struct q_cache *c, uint64_t index);
void q_cache_drop_all(struct q_cache *c);
struct q_table *q_cache_find(struct q_cache *c, uint64_t index);

/* qcow2_refcount.c; all with the lock */
uint64_t q_ref_load(const uint8_t *block, uint32_t order, uint64_t i);
void q_ref_store(uint8_t *block, uint32_t order, uint64_t i, uint64_t val);
int q_ref_get(struct qcow2 *q, uint64_t cluster, uint64_t *out) MUST_CHECK;
int q_ref_set(struct qcow2 *q, uint64_t cluster, uint64_t val) MUST_CHECK;
int q_ref_inc(struct qcow2 *q, uint64_t cluster) MUST_CHECK;
/* `data`: guest data, which somebody may be reading or writing at the moment. */
int q_ref_dec(struct qcow2 *q, uint64_t cluster, bool data) MUST_CHECK;
/* Take that back, before anything else happens. */
void q_ref_undo_dec(struct qcow2 *q, uint64_t cluster);
/* The clusters [off, off + len) touches: all of them or, with an error, none. */
int q_free_bytes(struct qcow2 *q, uint64_t off, uint64_t len, bool data) MUST_CHECK;
/* The first free run, at most `want` clusters; their refcounts are 1 then. */
int q_alloc(struct qcow2 *q, uint64_t want, uint64_t *first, uint64_t *got) MUST_CHECK;
/* `n` clusters in a row, for tables. */
int q_alloc_meta(struct qcow2 *q, uint64_t n, uint64_t *first) MUST_CHECK;
/* Room for `len` bytes of compressed data, at most a cluster. */
int q_alloc_packed(struct qcow2 *q, uint64_t len, uint64_t *off) MUST_CHECK;
/*
 * Compressed data ends anywhere, and readers want whole sectors: the file reaches to the end of its last
 * cluster. For a commit.
 */
int q_reach_packed_end(struct qcow2 *q) MUST_CHECK;
/* What the commit freed may be used again. */
void q_release_freed(struct qcow2 *q);

/* qcow2_commit.c; with the lock, which they drop for a while */
bool q_is_dirty(const struct qcow2 *q);
int q_commit(struct qcow2 *q) MUST_CHECK;
/* The same; 1 if there was something to commit. */
int q_commit_if_dirty(struct qcow2 *q) MUST_CHECK;
/* Too much is in memory: commit before the next change. */
bool q_must_relieve(const struct qcow2 *q);
/* Write changed L2 tables to their new places, without a commit. */
int q_place_l2(struct qcow2 *q) MUST_CHECK;
/* A table of `bytes` bytes at `off`: `n` entries, each with `mask`, then zeros. */
int q_write_entries(struct qcow2 *q, uint64_t off, const uint64_t *entries, uint64_t n,
		    uint64_t mask, uint64_t bytes) MUST_CHECK;
void q_exclusive_begin(struct qcow2 *q);
void q_exclusive_end(struct qcow2 *q);
unsigned q_io_begin(struct qcow2 *q);
void q_io_end(struct qcow2 *q, unsigned epoch);
/* The image is damaged: no more writes, and its header says so. Returns -EIO. */
int q_corrupt(struct qcow2 *q, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* qcow2_map.c; with the lock */
enum q_kind { Q_NONE, Q_ZEROS, Q_DATA, Q_PACKED };
struct q_map {
	enum q_kind kind;
	bool owned; /* Q_DATA: a write may go there */
	uint64_t host, len;
	uint64_t entry; /* Q_PACKED */
};
int q_lookup(struct qcow2 *q, uint64_t off, uint64_t len, struct q_map *m) MUST_CHECK;
uint64_t q_entry(const struct qcow2 *q, const struct q_table *t, uint64_t i, uint64_t *bitmap);
void q_entry_set(const struct qcow2 *q, struct q_table *t, uint64_t i, uint64_t entry,
		 uint64_t bitmap);
void q_packed_place(const struct qcow2 *q, uint64_t entry, uint64_t *off, uint64_t *len);
uint64_t q_packed_entry(const struct qcow2 *q, uint64_t off, uint64_t len);
/* Give up what an entry refers to, before it is changed: if that fails, nothing is. */
int q_entry_free(struct qcow2 *q, uint64_t entry) MUST_CHECK;
/* Guest data may be at this place: aligned, and no table's. Marks the image corrupt otherwise. */
int q_data_ok(struct qcow2 *q, uint64_t host) MUST_CHECK;
int q_map_extent(struct blk *b, uint64_t off, uint64_t len, struct blk_extent *out);
bool q_quick(struct blk *b, bool write, uint64_t off, uint64_t len, int *fd, uint64_t *host_off);

/* qcow2_io.c */
int q_preadv(struct blk *b, uint64_t off, const struct iovec *iov, unsigned n, uint64_t len);
int q_pwritev(struct blk *b, uint64_t off, const struct iovec *iov, unsigned n, uint64_t len);
/* Cluster `first` is being allocated: wait a while and say so. *count ends before the next such one. */
bool q_wait_inflight(struct qcow2 *q, uint64_t first, uint64_t *count);
/* With the lock: wait until a change may be made, keep memory within bounds. */
int q_enter_write(struct qcow2 *q) MUST_CHECK;

/* qcow2_zero.c */
int q_zero(struct blk *b, uint64_t off, uint64_t len, bool unmap);
int q_discard(struct blk *b, uint64_t off, uint64_t len);
int q_resize(struct blk *b, uint64_t size, struct lodge_err *err);

/* For creation: a cluster for every empty entry; and zeros written into all of them. */
int q_preallocate(struct qcow2 *q) MUST_CHECK;
int q_write_all_zeros(struct blk *b) MUST_CHECK;

/* qcow2_packed.c: compressed clusters */
int q_unpack(unsigned type, const uint8_t *in, size_t in_len, uint8_t *out,
	     size_t out_len) MUST_CHECK;
int q_read_packed(struct qcow2 *q, uint64_t entry, uint64_t in_cluster, const struct iovec *iov,
		  unsigned n, uint64_t skip, uint64_t len) MUST_CHECK;

/* qcow2.c: `n` entries of a table, in the machine's own numbers; *out is to be freed, also on failure. */
int q_load_entries(struct qcow2 *q, uint64_t off, uint64_t n, uint64_t **out) MUST_CHECK;

/* With the lock, exclusively: forget every change since the last commit. */
int q_revert(struct qcow2 *q) MUST_CHECK;

/* qcow2_snapshot.c: the snapshot table, and how long it is. */
struct q_snapshots;
int q_snapshots_load(struct qcow2 *q, struct q_snapshots *out, uint64_t *bytes,
		     struct lodge_err *err) MUST_CHECK;

#endif
