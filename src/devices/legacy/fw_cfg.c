// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * QEMU's firmware configuration device.
 * Source: QEMU docs/specs/fw_cfg. Register table: docs/devices/fw_cfg.md.
 * Saved state: version 1: what is selected and where its reading stands; items come from the board.
 *
 * DMA is done within the write that asks for it, in pieces, and ends at the first address that is
 * no RAM, so its length is bounded by the guest's RAM whatever the guest claims.
 * Threads: with the VM lock held.
 */
#include "devices/legacy/fw_cfg.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/range.h"

#define ITEMS 0x20u /* numbered items, in each of the two ranges */
#define KEY_NONE 0xffffu
#define KEY_WRITE_CHANNEL 0x4000u /* of old; has no meaning any more */

#define ID_TRADITIONAL 1u
#define ID_DMA 2u

/* What the DMA address register reads as. */
#define DMA_SIGNATURE 0x51454d5520434647ull /* "QEMU CFG" */

#define DMA_ERROR 0x01u
#define DMA_READ 0x02u
#define DMA_SKIP 0x04u
#define DMA_SELECT 0x08u
#define DMA_WRITE 0x10u

#define DIR_HEAD 4u
#define DIR_ENTRY 64u

struct item {
	const uint8_t *data;
	uint32_t len;
	bool owned;
	uint8_t *writable; /* the same bytes if the guest may write them */
	void (*written)(void *opaque, uint32_t off, uint32_t len);
	void *opaque;
	void (*selected)(void *opaque);
	void *selected_opaque;
};

struct fw_cfg {
	struct device dev;
	struct mem *mem;
	struct item fixed[ITEMS], arch[ITEMS];
	struct item file[FW_CFG_MAX_FILES];
	char name[FW_CFG_MAX_FILES][FW_CFG_MAX_NAME];
	unsigned files;
	uint16_t key;	   /* selected item */
	uint32_t offset;   /* next byte of it */
	uint64_t dma_addr; /* as far as the guest has written it */
};

/* A DMA request in guest memory, all big-endian. */
struct dma_access {
	uint32_t control;
	uint32_t length;
	uint64_t address;
};
_Static_assert(sizeof(struct dma_access) == 16, "fw_cfg DMA request");

static struct item *item_slot(struct fw_cfg *f, uint16_t key)
{
	if (key < ITEMS)
		return &f->fixed[key];
	if (key >= FW_CFG_ARCH_LOCAL && key < FW_CFG_ARCH_LOCAL + ITEMS)
		return &f->arch[key - FW_CFG_ARCH_LOCAL];
	return NULL;
}

/* What the guest selected; NULL when there is no such item. */
static const struct item *item_find(struct fw_cfg *f, uint16_t key)
{
	const struct item *it = item_slot(f, key);

	if (!it && key >= FW_CFG_FILE_FIRST && key < FW_CFG_FILE_FIRST + f->files)
		it = &f->file[key - FW_CFG_FILE_FIRST];
	return it && it->data ? it : NULL;
}

/* Building the items. */

static int item_set(struct item *it, const void *data, uint32_t len, bool copy)
{
	uint8_t *mine = NULL;

	if (copy) {
		mine = malloc(len ? len : 1);
		if (!mine)
			return -ENOMEM;
		if (len)
			memcpy(mine, data, len);
	}
	if (it->owned)
		free((void *)it->data);
	/* An empty item is there all the same. */
	*it = (struct item){
		.data = copy   ? mine
			: data ? data
			       : (const uint8_t *)"",
		.len = len,
		.owned = copy,
	};
	return 0;
}

int fw_cfg_add_bytes(struct fw_cfg *f, uint16_t key, const void *data, uint32_t len)
{
	struct item *it = item_slot(f, key);

	return it ? item_set(it, data, len, true) : -EINVAL;
}

int fw_cfg_add_bytes_borrowed(struct fw_cfg *f, uint16_t key, const void *data, uint32_t len)
{
	struct item *it = item_slot(f, key);

	return it ? item_set(it, data, len, false) : -EINVAL;
}

int fw_cfg_add_u16(struct fw_cfg *f, uint16_t key, uint16_t val)
{
	uint8_t b[2];

	st_le16(b, val);
	return fw_cfg_add_bytes(f, key, b, sizeof(b));
}

int fw_cfg_add_u32(struct fw_cfg *f, uint16_t key, uint32_t val)
{
	uint8_t b[4];

	st_le32(b, val);
	return fw_cfg_add_bytes(f, key, b, sizeof(b));
}

int fw_cfg_add_u64(struct fw_cfg *f, uint16_t key, uint64_t val)
{
	uint8_t b[8];

	st_le64(b, val);
	return fw_cfg_add_bytes(f, key, b, sizeof(b));
}

/* The directory: be32 count; then be32 size, be16 key, be16 0, name[56] each. */
static int update_directory(struct fw_cfg *f)
{
	uint32_t len = DIR_HEAD + f->files * DIR_ENTRY;
	uint8_t *dir = calloc(1, len);

	if (!dir)
		return -ENOMEM;
	st_be32(dir, f->files);
	for (unsigned i = 0; i < f->files; i++) {
		uint8_t *e = dir + DIR_HEAD + i * DIR_ENTRY;

		st_be32(e, f->file[i].len);
		st_be16(e + 4, (uint16_t)(FW_CFG_FILE_FIRST + i));
		memcpy(e + 8, f->name[i], FW_CFG_MAX_NAME);
	}

	int rc = item_set(&f->fixed[FW_CFG_FILE_DIR], dir, len, true);

	free(dir);
	return rc;
}

static int file_add(struct fw_cfg *f, const char *name, const void *data, uint32_t len, bool copy)
{
	size_t n = strlen(name);

	if (n == 0 || n >= FW_CFG_MAX_NAME)
		return -ENAMETOOLONG;
	for (unsigned i = 0; i < f->files; i++) {
		if (!strcmp(f->name[i], name))
			return -EEXIST;
	}
	if (f->files == FW_CFG_MAX_FILES)
		return -ENOSPC;

	int rc = item_set(&f->file[f->files], data, len, copy);

	if (rc < 0)
		return rc;
	memcpy(f->name[f->files], name, n);
	f->files++;
	return update_directory(f);
}

int fw_cfg_add_file(struct fw_cfg *f, const char *name, const void *data, uint32_t len)
{
	return file_add(f, name, data, len, true);
}

int fw_cfg_add_file_borrowed(struct fw_cfg *f, const char *name, const void *data, uint32_t len)
{
	return file_add(f, name, data, len, false);
}

int fw_cfg_add_file_writable(struct fw_cfg *f, const char *name, void *data, uint32_t len,
			     void (*written)(void *opaque, uint32_t off, uint32_t len),
			     void *opaque)
{
	int rc = file_add(f, name, data, len, false);

	if (rc < 0)
		return rc;

	struct item *it = &f->file[f->files - 1];

	it->writable = data;
	it->written = written;
	it->opaque = opaque;
	return 0;
}

int fw_cfg_on_select(struct fw_cfg *f, const char *name, void (*selected)(void *opaque),
		     void *opaque)
{
	for (unsigned i = 0; i < f->files; i++) {
		if (strcmp(f->name[i], name))
			continue;
		f->file[i].selected = selected;
		f->file[i].selected_opaque = opaque;
		return 0;
	}
	return -ENOENT;
}

/* The guest's side. */

static void select_key(struct fw_cfg *f, uint16_t key)
{
	const struct item *it;

	key &= (uint16_t)~KEY_WRITE_CHANNEL;
	it = item_find(f, key);
	f->offset = 0;
	f->key = it ? key : KEY_NONE;
	if (it && it->selected)
		it->selected(it->selected_opaque);
	log_trace(LOG_FWCFG, "fw_cfg: select %#x%s\n", key,
		  f->key == KEY_NONE ? " (no such item)" : "");
}

/* The next byte; 0 behind the end and when nothing is selected. */
static uint8_t next_byte(struct fw_cfg *f)
{
	const struct item *it = item_find(f, f->key);

	return it && f->offset < it->len ? it->data[f->offset++] : 0;
}

/* Bytes of the selected item from the current offset on; sets *left. */
static const uint8_t *rest_of_item(struct fw_cfg *f, uint32_t *left)
{
	const struct item *it = item_find(f, f->key);

	if (!it || f->offset >= it->len) {
		*left = 0;
		return NULL;
	}
	*left = it->len - f->offset;
	return it->data + f->offset;
}

/* The item's bytes, then zeros, into guest memory. False at the first address that is no RAM. */
static bool dma_read(struct fw_cfg *f, uint64_t addr, uint32_t len)
{
	static const uint8_t zeros[4096];

	while (len > 0) {
		uint32_t left;
		const uint8_t *src = rest_of_item(f, &left);
		uint32_t n = (uint32_t)min_u64(len, src ? left : sizeof(zeros));

		/* In pieces: whatever length is claimed, the first bad address ends it. */
		n = (uint32_t)min_u64(n, 1u << 20);
		if (addr + n < addr || mem_write(f->mem, addr, src ? src : zeros, n) < 0)
			return false;
		if (src)
			f->offset += n;
		addr += n;
		len -= n;
	}
	return true;
}

static bool dma_write(struct fw_cfg *f, uint64_t addr, uint32_t len)
{
	const struct item *it = item_find(f, f->key);

	if (!it || !it->writable || !range_ok(f->offset, len, it->len))
		return false;
	if (mem_read(f->mem, addr, it->writable + f->offset, len) < 0)
		return false;
	f->offset += len;
	if (it->written && len)
		it->written(it->opaque, f->offset - len, len);
	return true;
}

static void dma_skip(struct fw_cfg *f, uint32_t len)
{
	uint32_t left;

	(void)rest_of_item(f, &left);
	f->offset += (uint32_t)min_u64(left, len);
}

static void dma_run(struct fw_cfg *f)
{
	uint64_t at = f->dma_addr;
	struct dma_access raw;
	uint8_t done[4];
	bool ok = true;

	f->dma_addr = 0;
	if (mem_read(f->mem, at, &raw, sizeof(raw)) < 0) {
		log_trace(LOG_GUEST_ERR, "fw_cfg: DMA request at %#llx is not in RAM\n",
			  (unsigned long long)at);
		/* As much of an answer as can be given. */
		st_be32(done, DMA_ERROR);
		(void)!mem_write(f->mem, at, done, sizeof(done));
		return;
	}

	uint32_t control = ld_be32(&raw.control);
	uint32_t len = ld_be32(&raw.length);
	uint64_t addr = ld_be64(&raw.address);

	if (control & DMA_SELECT)
		select_key(f, (uint16_t)(control >> 16));
	if (control & DMA_READ)
		ok = dma_read(f, addr, len);
	else if (control & DMA_WRITE)
		ok = dma_write(f, addr, len);
	else if (control & DMA_SKIP)
		dma_skip(f, len);
	st_be32(done, ok ? 0 : DMA_ERROR);
	(void)!mem_write(f->mem, at, done, sizeof(done));
}

static uint64_t ports_read(void *dev, uint64_t off, unsigned size)
{
	(void)off;
	/* Only bytes; the selector cannot be read, its port gives data too. */
	return size == 1 ? next_byte(dev) : UINT64_MAX;
}

static void ports_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
	/* Writing data by port was given up long ago. */
	if (off == 0 && size == 2)
		select_key(dev, (uint16_t)val);
}

static uint64_t dma_port_read(void *dev, uint64_t off, unsigned size)
{
	(void)dev;
	/* Big-endian: the byte at the lowest port is 'Q'. */
	uint64_t sig = __builtin_bswap64(DMA_SIGNATURE);

	(void)size;
	return sig >> off * 8;
}

static void dma_port_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
	struct fw_cfg *f = dev;

	if (size != 4 || off & 3)
		return;
	if (off == 0) {
		f->dma_addr = (uint64_t)__builtin_bswap32((uint32_t)val) << 32;
	} else {
		f->dma_addr |= __builtin_bswap32((uint32_t)val);
		dma_run(f);
	}
}

static const struct bus_ops port_ops = {ports_read, ports_write, 1, 2};
static const struct bus_ops dma_ops = {dma_port_read, dma_port_write, 1, 4};

int fw_cfg_map(struct fw_cfg *f, struct bus *bus, uint16_t base)
{
	if (!bus_map_pio(bus, base, 2, &port_ops, f, "fw_cfg") ||
	    !bus_map_pio(bus, (uint16_t)(base + 4), 8, &dma_ops, f, "fw_cfg dma"))
		return -ENOMEM;
	return 0;
}

static void fw_cfg_reset(struct device *dev)
{
	struct fw_cfg *f = (struct fw_cfg *)dev;

	/* Item 0, the signature, is selected. */
	f->key = FW_CFG_SIGNATURE;
	f->offset = 0;
	f->dma_addr = 0;
}

static int fw_cfg_post_load(struct device *dev)
{
	struct fw_cfg *f = (struct fw_cfg *)dev;

	/* Any offset is safe; an item this board does not have is as none. */
	if (!item_find(f, f->key))
		f->key = KEY_NONE;
	return 0;
}

static const struct state_field fw_cfg_fields[] = {
	STATE_FIELD(struct fw_cfg, key),
	STATE_FIELD(struct fw_cfg, offset),
	STATE_FIELD(struct fw_cfg, dma_addr),
	STATE_END,
};

static const struct device_class fw_cfg_class = {
	.name = "fw_cfg",
	.version = 1,
	.reset = fw_cfg_reset,
	.fields = fw_cfg_fields,
	.post_load = fw_cfg_post_load,
};

struct fw_cfg *fw_cfg_new(struct mem *mem)
{
	struct fw_cfg *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->dev.cls = &fw_cfg_class;
	f->mem = mem;
	if (fw_cfg_add_bytes(f, FW_CFG_SIGNATURE, "QEMU", 4) < 0 ||
	    fw_cfg_add_u32(f, FW_CFG_ID, ID_TRADITIONAL | ID_DMA) < 0 || update_directory(f) < 0) {
		fw_cfg_free(f);
		return NULL;
	}
	fw_cfg_reset(&f->dev);
	return f;
}

static void items_free(struct item *it, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (it[i].owned)
			free((void *)it[i].data);
	}
}

void fw_cfg_free(struct fw_cfg *f)
{
	if (!f)
		return;
	items_free(f->fixed, ITEMS);
	items_free(f->arch, ITEMS);
	items_free(f->file, f->files);
	free(f);
}

struct device *fw_cfg_device(struct fw_cfg *f)
{
	return &f->dev;
}
