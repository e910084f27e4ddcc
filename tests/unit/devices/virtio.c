// SPDX-License-Identifier: GPL-2.0-or-later
/* What virtio devices share: make t T=devices/virtio */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "bus/shortcut.h"
#include "fake_time.h"
#include "virtio_driver.h"
#include "virtio_echo.h"

#define EVENT_IDX VIRTIO_F_EVENT_IDX
#define INDIRECT VIRTIO_F_INDIRECT_DESC
#define RING_RESET VIRTIO_F_RING_RESET

struct fixture {
	struct drv d;
	struct echo e;
	struct virtio_config cfg;
};

static struct fixture *fixture_new(const struct virtio_config *how)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct lodge_err err;

	drv_init(&f->d);
	f->cfg = *how;
	f->cfg.bus = f->d.pb;
	f->cfg.devfn = DRV_DEVFN;
	f->cfg.mem = f->d.mem;
	f->cfg.loop = fake_begin();
	f->cfg.queues = 2;
	f->cfg.queue_size = 256;
	assert_int_equal(echo_init(&f->e, &f->cfg, &err), 0);
	f->e.v.pci.dev.cls->reset(&f->e.v.pci.dev);
	return f;
}

static int setup(void **state)
{
	*state = fixture_new(&(struct virtio_config){0});
	return 0;
}

static int setup_modern(void **state)
{
	*state = fixture_new(&(struct virtio_config){.no_legacy = true});
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	virtio_dev_free(&f->e.v);
	drv_free(&f->d);
	free(f);
	return 0;
}

/* One chain of 8 bytes each way on queue 0: the head. */
static uint16_t submit_one(struct fixture *f)
{
	struct drv_buf b[2] = {{drv_alloc(&f->d, 8, 8), 8}, {drv_alloc(&f->d, 8, 8), 8}};

	memcpy(drv_p(&f->d, b[0].gpa), "abcdefgh", 8);
	return drv_submit(&f->d, 0, b, 1, 1);
}

static void expect_used(struct fixture *f, uint32_t want_id, uint32_t want_len)
{
	uint32_t id, len;

	assert_true(drv_used(&f->d, 0, &id, &len));
	assert_int_equal(id, want_id);
	assert_int_equal(len, want_len);
}

static void expect_broken(struct fixture *f)
{
	uint32_t id, len;

	assert_int_equal(drv_status(&f->d) & VIRTIO_STATUS_NEEDS_RESET, VIRTIO_STATUS_NEEDS_RESET);
	assert_false(drv_used(&f->d, 0, &id, &len));
	/* It does nothing more ... */
	submit_one(f);
	assert_false(drv_used(&f->d, 0, &id, &len));
	/* ... until it is reset. */
	drv_start(&f->d, EVENT_IDX | INDIRECT, 1, 16);
	submit_one(f);
	expect_used(f, 0, 8);
}

/* ---- Identity and negotiation ------------------------------------------------------------------ */

static void ids_when_transitional_expect_legacy_device_id(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(drv_cfg(&f->d, 0, 4), 0x10051af4);
	assert_int_equal(drv_cfg(&f->d, PCI_REVISION, 1), 0);
	assert_int_equal(drv_cfg(&f->d, PCI_SUBSYS_ID, 2), 4);
	assert_int_equal(drv_cfg(&f->d, PCI_BAR0, 4), 1);
	for (unsigned type = 1; type <= 5; type++)
		assert_int_not_equal(drv_cap(&f->d, 9, type), 0);
	assert_int_not_equal(drv_cap(&f->d, 0x11, 0), 0);
}

static void ids_when_modern_only_expect_1040_and_no_ports(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(drv_cfg(&f->d, 0, 4), 0x10441af4);
	assert_int_equal(drv_cfg(&f->d, PCI_REVISION, 1), 1);
	drv_set_cfg(&f->d, PCI_BAR0, 0xffffffff, 4);
	assert_int_equal(drv_cfg(&f->d, PCI_BAR0, 4), 0);
}

static void init_when_settings_are_impossible_expect_sentence(void **state)
{
	struct fixture *f = *state;
	struct lodge_err err = {0};
	static struct echo other;
	struct virtio_config c = f->cfg;

	assert_int_equal(echo_init(&other, &c, &err), -EBUSY);
	c.devfn = 0x30;
	c.no_legacy = c.no_modern = true;
	assert_int_equal(echo_init(&other, &c, &err), -EINVAL);
	c.no_legacy = c.no_modern = false;
	c.queue_size = 48;
	assert_int_equal(echo_init(&other, &c, &err), -EINVAL);
	c.queue_size = 64;
	c.queues = VIRTIO_QUEUES_MAX + 1;
	assert_int_equal(echo_init(&other, &c, &err), -EINVAL);
	c.queues = 1;
	c.vectors = MSIX_VECTORS_MAX + 1;
	err.msg[0] = 0;
	assert_int_equal(echo_init(&other, &c, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "MSI-X"));
	assert_null(pci_bus_find(f->d.pb, 0x30));
}

static void features_when_not_offered_expect_refusal(void **state)
{
	struct fixture *f = *state;
	uint64_t offered;

	drv_place(&f->d);
	offered = drv_offered(&f->d);
	assert_int_equal(offered, VIRTIO_F_VERSION_1 | INDIRECT | EVENT_IDX | RING_RESET |
					  VIRTIO_F_ANY_LAYOUT);
	assert_false(drv_negotiate(&f->d, VIRTIO_F_VERSION_1 | 1));
	assert_false(drv_negotiate(&f->d, EVENT_IDX));
	assert_int_equal(f->e.negotiations, 0);
	assert_true(drv_negotiate(&f->d, offered));
	assert_int_equal(f->e.negotiations, 1);
	/* Final: what is written now is lost. */
	drv_wr(&f->d, 8, 0, 4);
	drv_wr(&f->d, 12, 0, 4);
	assert_int_equal(f->e.v.accepted, offered);
	/* Words beyond the second are empty. */
	drv_wr(&f->d, 0, 2, 4);
	assert_int_equal(drv_rd(&f->d, 4, 4), 0);
}

static void status_when_written_expect_bits_stay_until_reset(void **state)
{
	struct fixture *f = *state;

	drv_start(&f->d, 0, 2, 16);
	assert_int_equal(drv_status(&f->d), 15);
	assert_int_equal(f->e.starts, 1);
	drv_wr(&f->d, 0x14, 1, 1);
	assert_int_equal(drv_status(&f->d), 15);
	drv_wr(&f->d, 0x14, 0, 1);
	assert_int_equal(drv_status(&f->d), 0);
	assert_int_equal(f->e.v.features, 0);
	drv_wr(&f->d, 0x16, 0, 2);
	assert_int_equal(drv_rd(&f->d, 0x1c, 2), 0);
	assert_int_equal(drv_rd(&f->d, 0x18, 2), 256);
	assert_int_equal(drv_rd(&f->d, 0x20, 4), 0);
}

/* ---- Registers --------------------------------------------------------------------------------- */

static void common_block_when_read_in_pieces_expect_same_bytes(void **state)
{
	struct fixture *f = *state;

	drv_start(&f->d, 0, 2, 16);
	assert_int_equal(drv_rd(&f->d, 0x12, 2), 2);
	assert_int_equal(drv_rd(&f->d, 0x14, 2), 15 | f->e.v.generation << 8);
	for (unsigned off = 0; off < 0x40; off += 4) {
		uint32_t whole = drv_rd(&f->d, off, 4), bytes = 0;

		for (unsigned i = 0; i < 4; i++)
			bytes |= drv_rd(&f->d, off + i, 1) << 8 * i;
		assert_int_equal(whole, bytes);
	}
	assert_int_equal(drv_rd(&f->d, 0xffc, 4), 0);
}

static void queue_select_when_out_of_range_expect_empty_queue(void **state)
{
	struct fixture *f = *state;

	drv_place(&f->d);
	assert_true(drv_negotiate(&f->d, VIRTIO_F_VERSION_1));
	drv_wr(&f->d, 0x16, 2, 2);
	assert_int_equal(drv_rd(&f->d, 0x18, 2), 0);
	drv_wr(&f->d, 0x18, 16, 2);
	drv_wr(&f->d, 0x20, 0x1000, 4);
	drv_wr(&f->d, 0x1c, 1, 2);
	drv_wr(&f->d, 0x3a, 1, 2);
	assert_int_equal(drv_rd(&f->d, 0x1c, 2), 0);
	drv_wr(&f->d, 0x16, 0xffff, 2);
	assert_int_equal(drv_rd(&f->d, 0x1a, 2), 0xffff);
	drv_wr(&f->d, 0x3000 + 4 * 200, 0, 2); /* a notification for nobody */
	assert_int_equal(f->e.kicks, 0);
}

static void queue_size_when_not_a_power_of_two_expect_unchanged(void **state)
{
	struct fixture *f = *state;

	drv_place(&f->d);
	assert_true(drv_negotiate(&f->d, VIRTIO_F_VERSION_1));
	drv_wr(&f->d, 0x16, 0, 2);
	drv_wr(&f->d, 0x18, 48, 2);
	assert_int_equal(drv_rd(&f->d, 0x18, 2), 256);
	drv_wr(&f->d, 0x18, 512, 2);
	assert_int_equal(drv_rd(&f->d, 0x18, 2), 256);
	drv_wr(&f->d, 0x18, 0, 2);
	assert_int_equal(drv_rd(&f->d, 0x18, 2), 256);
	drv_wr(&f->d, 0x18, 64, 2);
	assert_int_equal(drv_rd(&f->d, 0x18, 2), 64);
}

static void queue_when_enabled_before_features_ok_expect_nothing(void **state)
{
	struct fixture *f = *state;

	drv_place(&f->d);
	drv_wr(&f->d, 0x14, 3, 1);
	drv_queue(&f->d, 0, 16);
	assert_int_equal(drv_rd(&f->d, 0x1c, 2), 0);
}

static void device_config_when_written_expect_masks_and_hook(void **state)
{
	struct fixture *f = *state;

	drv_place(&f->d);
	assert_int_equal(drv_rd(&f->d, 0x2000, 4), 0x12345678);
	drv_wr(&f->d, 0x2000, 0, 4);
	drv_wr(&f->d, 0x2004, 0xabcd, 2);
	assert_int_equal(f->e.writes, 2);
	assert_int_equal(drv_rd(&f->d, 0x2000, 4), 0x12345678);
	assert_int_equal(drv_rd(&f->d, 0x2004, 4), 0xabcd);
	assert_int_equal(drv_rd(&f->d, 0x2008, 4), 0xffffffff);
	/* The same by the ports, where it lies behind the header. */
	assert_int_equal(bus_pio_read(f->d.bus, DRV_BAR0 + 20, 4), 0x12345678);
	drv_msix(&f->d, 3);
	assert_int_equal(bus_pio_read(f->d.bus, DRV_BAR0 + 24, 4), 0x12345678);
}

static void config_when_changed_expect_generation_and_interrupt(void **state)
{
	struct fixture *f = *state;
	unsigned generation;

	drv_start(&f->d, 0, 1, 16);
	generation = drv_rd(&f->d, 0x15, 1);
	virtio_config_changed(&f->e.v);
	assert_int_equal(drv_rd(&f->d, 0x15, 1), generation + 1);
	assert_true(drv_intx(&f->d));
	assert_int_equal(drv_rd(&f->d, 0x1000, 1), 2);
	assert_false(drv_intx(&f->d));
	assert_int_equal(drv_rd(&f->d, 0x1000, 1), 0);
}

static void window_when_set_expect_bar_4_through_configuration_space(void **state)
{
	struct fixture *f = *state;
	unsigned cap = drv_cap(&f->d, 9, 5);

	drv_set_cfg(&f->d, cap + 4, 4, 1);
	drv_set_cfg(&f->d, cap + 8, 0x2000, 4);
	drv_set_cfg(&f->d, cap + 12, 4, 4);
	assert_int_equal(drv_cfg(&f->d, cap + 16, 4), 0x12345678);
	drv_set_cfg(&f->d, cap + 8, 0x14, 4);
	drv_set_cfg(&f->d, cap + 12, 1, 4);
	drv_set_cfg(&f->d, cap + 16, 3, 1);
	assert_int_equal(drv_cfg(&f->d, cap + 16, 1), 3);
	assert_int_equal(f->e.v.status, 3);
	/* Beyond the BAR, or crooked: nothing. */
	drv_set_cfg(&f->d, cap + 8, 0xfffffff4, 4);
	drv_cfg(&f->d, cap + 16, 1);
	drv_set_cfg(&f->d, cap + 16, 0, 1);
	drv_set_cfg(&f->d, cap + 8, 0x15, 4);
	drv_set_cfg(&f->d, cap + 12, 2, 4);
	drv_set_cfg(&f->d, cap + 16, 0, 1);
	drv_set_cfg(&f->d, cap + 12, 0x80000000, 4);
	drv_set_cfg(&f->d, cap + 16, 0, 1);
	assert_int_equal(f->e.v.status, 3);
}

/* ---- Chains ------------------------------------------------------------------------------------- */

static void chain_when_plain_expect_bytes_back_and_interrupt(void **state)
{
	struct fixture *f = *state;
	struct drv_buf b[4];

	drv_start(&f->d, 0, 1, 16);
	for (unsigned i = 0; i < 4; i++)
		b[i] = (struct drv_buf){drv_alloc(&f->d, 8, 1), i < 2 ? 4 : 3 + (i & 1) * 2};
	memcpy(drv_p(&f->d, b[0].gpa), "abcd", 4);
	memcpy(drv_p(&f->d, b[1].gpa), "efgh", 4);
	assert_int_equal(drv_submit(&f->d, 0, b, 2, 2), 0);
	expect_used(f, 0, 8);
	assert_memory_equal(drv_p(&f->d, b[2].gpa), "abc", 3);
	assert_memory_equal(drv_p(&f->d, b[3].gpa), "defgh", 5);
	assert_true(drv_intx(&f->d));
	assert_int_equal(drv_rd(&f->d, 0x1000, 1), 1);
	assert_false(drv_intx(&f->d));
}

static void ring_when_gone_round_expect_all_in_order(void **state)
{
	struct fixture *f = *state;

	drv_start(&f->d, EVENT_IDX, 1, 4);
	f->d.q[0].used_idx = 0;
	for (unsigned i = 0; i < 70000; i++) {
		struct drv_buf b[2] = {{0x1000, 1}, {0x2000, 1}};
		uint32_t id, len;

		*drv_p(&f->d, 0x1000) = (uint8_t)i;
		drv_submit(&f->d, 0, b, 1, 1);
		assert_true(drv_used(&f->d, 0, &id, &len));
		assert_int_equal(*drv_p(&f->d, 0x2000), (uint8_t)i);
	}
	assert_int_equal(drv_status(&f->d), 15);
}

static void dma_when_written_expect_dirty_pages(void **state)
{
	struct fixture *f = *state;
	struct drv_buf b[2] = {{0x1000, 8}, {0x8ffc, 8}};

	drv_start(&f->d, 0, 1, 16);
	memset(mem_page_flags(f->d.mem), 0, DRV_RAM >> 12);
	drv_submit(&f->d, 0, b, 1, 1);
	assert_int_equal(mem_page_flags(f->d.mem)[8], MEM_PAGE_DIRTY);
	assert_int_equal(mem_page_flags(f->d.mem)[9], MEM_PAGE_DIRTY);
	assert_int_equal(mem_page_flags(f->d.mem)[f->d.q[0].used >> 12], MEM_PAGE_DIRTY);
	assert_int_equal(mem_page_flags(f->d.mem)[1], 0);
}

static void buffer_when_across_ranges_expect_pieces(void **state)
{
	struct fixture *f = *state;
	struct drv_buf b[2] = {{0x1ffff0, 32}, {0x300000, 32}};

	/* The second MiB of these two comes from elsewhere in the backing. */
	assert_int_equal(mem_map(f->d.mem, 0x200000, 0x1000, MEM_RAM, 0x3ff000), 0);
	memset(mem_base(f->d.mem) + 0x1ffff0, 'x', 16);
	memset(mem_base(f->d.mem) + 0x3ff000, 'y', 16);
	drv_start(&f->d, 0, 1, 16);
	drv_submit(&f->d, 0, b, 1, 1);
	expect_used(f, 0, 32);
	assert_memory_equal(drv_p(&f->d, 0x300000), "xxxxxxxxxxxxxxxxyyyyyyyyyyyyyyyy", 32);
	/* And the other way round. */
	b[0].gpa = 0x300000;
	b[1].gpa = 0x1ffff0;
	memset(drv_p(&f->d, 0x300000), 'z', 32);
	drv_submit(&f->d, 0, b, 1, 1);
	expect_used(f, 2, 32);
	assert_int_equal(mem_base(f->d.mem)[0x3ff00f], 'z');
	assert_int_equal(mem_base(f->d.mem)[0x3ff010], 0);
}

static void buffer_when_rom_expect_readable_only(void **state)
{
	struct fixture *f = *state;
	struct drv_buf b[2] = {{0x200000, 8}, {0x300000, 8}};

	drv_start(&f->d, 0, 1, 16);
	assert_int_equal(mem_map(f->d.mem, 0x200000, 0x1000, MEM_ROM, 0x200000), 0);
	drv_submit(&f->d, 0, b, 1, 1);
	expect_used(f, 0, 8);
	b[0].gpa = 0x300000;
	b[1].gpa = 0x200000;
	drv_submit(&f->d, 0, b, 1, 1);
	expect_broken(f);
}

static void indirect_when_negotiated_expect_bytes_back(void **state)
{
	struct fixture *f = *state;
	gpa_t table;

	drv_start(&f->d, INDIRECT, 1, 16);
	table = drv_alloc(&f->d, 64, 16);
	memcpy(drv_p(&f->d, 0x1000), "indirect", 8);
	drv_desc(&f->d, table, 0, 0x1000, 8, DESC_F_NEXT, 2);
	drv_desc(&f->d, table, 2, 0x2000, 8, DESC_F_WRITE, 0);
	/* The write flag of the descriptor itself is ignored (§2.7.5.3.2). */
	drv_desc(&f->d, f->d.q[0].desc, 3, table, 48, DESC_F_INDIRECT | DESC_F_WRITE, 0);
	drv_avail(&f->d, 0, 3);
	drv_kick(&f->d, 0);
	expect_used(f, 3, 8);
	assert_memory_equal(drv_p(&f->d, 0x2000), "indirect", 8);
	/* Plain descriptors before it. */
	drv_desc(&f->d, f->d.q[0].desc, 4, 0x1000, 4, DESC_F_NEXT, 3);
	drv_avail(&f->d, 0, 4);
	drv_kick(&f->d, 0);
	expect_used(f, 4, 8);
	assert_memory_equal(drv_p(&f->d, 0x2000), "indiindi", 8);
}

/* ---- Hostile drivers ------------------------------------------------------------------------------ */

static void bad_chain(struct fixture *f, gpa_t gpa, uint32_t len, unsigned flags, unsigned next)
{
	drv_start(&f->d, INDIRECT | EVENT_IDX, 1, 16);
	drv_desc(&f->d, f->d.q[0].desc, 0, gpa, len, flags, next);
	drv_avail(&f->d, 0, 0);
	drv_kick(&f->d, 0);
	expect_broken(f);
}

static void descriptor_when_impossible_expect_needs_reset(void **state)
{
	struct fixture *f = *state;

	bad_chain(f, 0x1000, 8, DESC_F_NEXT, 0);      /* a loop */
	bad_chain(f, 0x1000, 8, DESC_F_NEXT, 16);     /* out of the table */
	bad_chain(f, 0x1000, 8, DESC_F_NEXT, 0xffff); /* far out */
	bad_chain(f, 0x1000, 0, 0, 0);		      /* empty */
	bad_chain(f, DRV_RAM, 8, 0, 0);		      /* not RAM */
	bad_chain(f, DRV_RAM - 4, 8, 0, 0);	      /* not all of it */
	bad_chain(f, UINT64_MAX - 3, 8, 0, 0);	      /* wraps */
	bad_chain(f, 0x1000, UINT32_MAX, 0, 0);	      /* huge */
	bad_chain(f, 0x1000, 0, DESC_F_INDIRECT, 0);
	bad_chain(f, 0x1000, 24, DESC_F_INDIRECT, 0);
	bad_chain(f, 0x1000, 16 * 1025, DESC_F_INDIRECT, 0);
	bad_chain(f, 0x1000, 16, DESC_F_INDIRECT | DESC_F_NEXT, 1);
	bad_chain(f, DRV_RAM, 16, DESC_F_INDIRECT, 0);
	bad_chain(f, UINT64_MAX - 15, 16, DESC_F_INDIRECT, 0);
}

static void indirect_when_impossible_expect_needs_reset(void **state)
{
	struct fixture *f = *state;

	/* Nested. */
	drv_desc(&f->d, 0x1000, 0, 0x2000, 16, DESC_F_INDIRECT, 0);
	bad_chain(f, 0x1000, 16, DESC_F_INDIRECT, 0);
	/* A loop inside. */
	drv_desc(&f->d, 0x1000, 0, 0x2000, 16, DESC_F_NEXT, 1);
	drv_desc(&f->d, 0x1000, 1, 0x2000, 16, DESC_F_NEXT, 0);
	bad_chain(f, 0x1000, 32, DESC_F_INDIRECT, 0);
	/* Out of the table. */
	bad_chain(f, 0x1000, 16, DESC_F_INDIRECT, 0);
	/* A writable buffer before a readable one. */
	drv_desc(&f->d, 0x1000, 0, 0x2000, 16, DESC_F_NEXT | DESC_F_WRITE, 1);
	drv_desc(&f->d, 0x1000, 1, 0x2000, 16, 0, 0);
	bad_chain(f, 0x1000, 32, DESC_F_INDIRECT, 0);
}

static void indirect_when_not_negotiated_expect_needs_reset(void **state)
{
	struct fixture *f = *state;

	drv_start(&f->d, 0, 1, 16);
	drv_desc(&f->d, 0x1000, 0, 0x2000, 16, 0, 0);
	drv_desc(&f->d, f->d.q[0].desc, 0, 0x1000, 16, DESC_F_INDIRECT, 0);
	drv_avail(&f->d, 0, 0);
	drv_kick(&f->d, 0);
	expect_broken(f);
}

static void chain_when_4_gib_expect_needs_reset(void **state)
{
	struct fixture *f = *state;

	drv_start(&f->d, INDIRECT, 1, 16);
	for (unsigned i = 0; i < 1024; i++)
		drv_desc(&f->d, 0x200000, i, 0, DRV_RAM, i < 1023 ? DESC_F_NEXT : 0, i + 1);
	drv_desc(&f->d, f->d.q[0].desc, 0, 0x200000, 16 * 1024, DESC_F_INDIRECT, 0);
	drv_avail(&f->d, 0, 0);
	drv_kick(&f->d, 0);
	expect_broken(f);
}

static void available_ring_when_impossible_expect_needs_reset(void **state)
{
	struct fixture *f = *state;

	drv_start(&f->d, 0, 1, 16);
	drv_avail(&f->d, 0, 16); /* no descriptor */
	drv_kick(&f->d, 0);
	expect_broken(f);
	drv_start(&f->d, 0, 1, 16);
	st_le16(drv_p(&f->d, f->d.q[0].avail + 2), 17); /* more than there can be */
	drv_kick(&f->d, 0);
	expect_broken(f);
}

static void head_when_available_twice_expect_needs_reset(void **state)
{
	struct fixture *f = *state;

	f->e.keep = true;
	drv_start(&f->d, 0, 1, 16);
	drv_desc(&f->d, f->d.q[0].desc, 0, 0x1000, 8, 0, 0);
	drv_avail(&f->d, 0, 0);
	drv_avail(&f->d, 0, 0);
	drv_kick(&f->d, 0);
	f->e.keep = false;
	expect_broken(f);
}

static void rings_when_not_in_ram_expect_needs_reset(void **state)
{
	static const struct {
		unsigned reg;
		uint32_t gpa;
	} bad[] = {
		{0x20, DRV_RAM},    {0x20, DRV_RAM - 16}, {0x20, 0x1008}, {0x28, DRV_RAM - 8},
		{0x28, 0x1001},	    {0x30, DRV_RAM - 8},  {0x30, 0x1002}, {0x24, 1},
		{0x34, 0xffffffff},
	};
	struct fixture *f = *state;

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		drv_place(&f->d);
		assert_true(drv_negotiate(&f->d, VIRTIO_F_VERSION_1));
		drv_wr(&f->d, 0x16, 0, 2);
		drv_wr(&f->d, 0x18, 16, 2);
		drv_wr(&f->d, 0x20, 0x1000, 4);
		drv_wr(&f->d, 0x28, 0x2000, 4);
		drv_wr(&f->d, 0x30, 0x3000, 4);
		drv_wr(&f->d, bad[i].reg, bad[i].gpa, 4);
		f->d.q[0] = (struct drv_queue){0x1000, 0x2000, 0x3000, 16, 0, 0, 0};
		drv_wr(&f->d, 0x1c, 1, 2);
		drv_ok(&f->d);
		drv_kick(&f->d, 0);
		expect_broken(f);
	}
}

static void rings_when_they_overlap_expect_no_harm(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 4; i++) {
		drv_place(&f->d);
		assert_true(drv_negotiate(&f->d, VIRTIO_F_VERSION_1 | EVENT_IDX));
		drv_wr(&f->d, 0x16, 0, 2);
		drv_wr(&f->d, 0x20, 0x1000, 4);
		drv_wr(&f->d, 0x28, 0x1000 + 4 * (i & 1), 4);
		drv_wr(&f->d, 0x30, 0x1000 + 8 * (i & 2), 4);
		drv_wr(&f->d, 0x1c, 1, 2);
		drv_ok(&f->d);
		for (unsigned n = 0; n < 64; n++) {
			drv_desc(&f->d, 0x1000, 0, 0x1000, 4096, DESC_F_WRITE, 0);
			drv_kick(&f->d, 0);
		}
	}
}

static void registers_when_queue_is_live_expect_unchanged(void **state)
{
	struct fixture *f = *state;

	drv_start(&f->d, 0, 1, 16);
	drv_wr(&f->d, 0x16, 0, 2);
	drv_wr(&f->d, 0x18, 256, 2);
	drv_wr(&f->d, 0x20, 0, 4);
	drv_wr(&f->d, 0x28, 0, 4);
	drv_wr(&f->d, 0x30, 0, 4);
	drv_wr(&f->d, 0x1c, 0, 2);
	assert_int_equal(drv_rd(&f->d, 0x18, 2), 16);
	assert_int_equal(drv_rd(&f->d, 0x20, 4), f->d.q[0].desc);
	assert_int_equal(drv_rd(&f->d, 0x1c, 2), 1);
	submit_one(f);
	expect_used(f, 0, 8);
}

static void chain_when_it_outlives_a_reset_expect_no_ring_touched(void **state)
{
	struct fixture *f = *state;
	struct vq_chain *c;

	f->e.keep = true;
	drv_start(&f->d, 0, 1, 16);
	submit_one(f);
	c = f->e.kept;
	assert_non_null(c);
	f->e.kept = NULL; /* it escapes its reset */
	f->e.keep = false;
	drv_start(&f->d, 0, 1, 16);
	virtqueue_push(c->vq, c, 8);
	assert_int_equal(ld_le16(drv_p(&f->d, f->d.q[0].used + 2)), 0);
	assert_int_equal(f->e.v.vq[0].out, 0);
	submit_one(f);
	expect_used(f, 0, 8);
}

static void queue_when_reset_alone_expect_new_life(void **state)
{
	struct fixture *f = *state;
	uint32_t id, len;

	f->e.keep = true;
	drv_start(&f->d, RING_RESET, 2, 16);
	submit_one(f);
	f->e.keep = false;
	drv_wr(&f->d, 0x16, 0, 2);
	drv_wr(&f->d, 0x3a, 1, 2);
	assert_int_equal(f->e.queue_resets, 1);
	assert_null(f->e.kept);
	assert_int_equal(drv_rd(&f->d, 0x3a, 2), 0);
	assert_int_equal(drv_rd(&f->d, 0x1c, 2), 0);
	drv_kick(&f->d, 0);
	assert_false(drv_used(&f->d, 0, &id, &len));
	drv_queue(&f->d, 0, 64);
	assert_int_equal(drv_rd(&f->d, 0x18, 2), 64);
	submit_one(f);
	expect_used(f, 0, 8);
	/* Without the feature the register is dead. */
	drv_start(&f->d, 0, 1, 16);
	drv_wr(&f->d, 0x16, 0, 2);
	drv_wr(&f->d, 0x3a, 1, 2);
	assert_int_equal(drv_rd(&f->d, 0x1c, 2), 1);
}

static void kick_when_more_than_a_batch_expect_rest_later(void **state)
{
	struct fixture *f = *state;
	struct drv_buf b[1] = {{0x1000, 1}};

	/* Each chain that comes back is at once made available again by "another processor". */
	drv_start(&f->d, 0, 1, 256);
	for (unsigned i = 0; i < 256; i++)
		drv_avail(&f->d, 0, drv_chain(&f->d, 0, b, 1, 0));
	drv_kick(&f->d, 0);
	assert_int_equal(f->e.kicks, 1);
	assert_true(f->e.v.again.armed);
	fake_advance(1);
	assert_int_equal(f->e.kicks, 2);
	assert_false(f->e.v.again.armed);
}

/* ---- Notifications ---------------------------------------------------------------------------------- */

static void interrupt_when_flag_says_no_expect_none(void **state)
{
	struct fixture *f = *state;

	drv_start(&f->d, 0, 1, 16);
	st_le16(drv_p(&f->d, f->d.q[0].avail), 1);
	submit_one(f);
	expect_used(f, 0, 8);
	assert_false(drv_intx(&f->d));
	st_le16(drv_p(&f->d, f->d.q[0].avail), 0);
	submit_one(f);
	assert_true(drv_intx(&f->d));
}

static void interrupt_when_event_index_expect_only_at_it(void **state)
{
	struct fixture *f = *state;
	gpa_t used_event, avail_event;

	drv_start(&f->d, EVENT_IDX, 1, 16);
	used_event = f->d.q[0].avail + 4 + 2 * 16;
	avail_event = f->d.q[0].used + 4 + 8 * 16;
	st_le16(drv_p(&f->d, used_event), 2);
	submit_one(f); /* the first one ever always interrupts */
	assert_int_equal(drv_rd(&f->d, 0x1000, 1), 1);
	assert_int_equal(ld_le16(drv_p(&f->d, avail_event)), 1);
	submit_one(f);
	assert_false(drv_intx(&f->d));
	submit_one(f);
	assert_true(drv_intx(&f->d));
	assert_int_equal(ld_le16(drv_p(&f->d, avail_event)), 3);
}

static void msix_when_enabled_expect_messages_and_no_pin(void **state)
{
	struct fixture *f = *state;

	drv_place(&f->d);
	drv_msix(&f->d, 3);
	drv_start(&f->d, 0, 2, 16);
	submit_one(f);
	assert_int_equal(f->d.msis, 1);
	assert_int_equal(f->d.msi_data[0], 0x101);
	assert_false(drv_intx(&f->d));
	drv_wr(&f->d, 0x10, 0, 2);
	assert_int_equal(drv_rd(&f->d, 0x10, 2), 0);
	virtio_config_changed(&f->e.v);
	assert_int_equal(f->d.msi_data[1], 0x100);
	/* A vector that is not there. */
	drv_wr(&f->d, 0x10, 3, 2);
	assert_int_equal(drv_rd(&f->d, 0x10, 2), 0xffff);
	virtio_config_changed(&f->e.v);
	assert_int_equal(f->d.msis, 2);
}

static void master_when_off_expect_no_dma_until_on(void **state)
{
	struct fixture *f = *state;
	uint32_t id, len;

	drv_start(&f->d, 0, 1, 16);
	drv_set_cfg(&f->d, PCI_COMMAND, 3, 2);
	submit_one(f);
	assert_false(drv_used(&f->d, 0, &id, &len));
	drv_set_cfg(&f->d, PCI_COMMAND, 7, 2);
	fake_advance(1);
	expect_used(f, 0, 8);
}

/* ---- Legacy --------------------------------------------------------------------------------------- */

static void lw(struct fixture *f, unsigned off, uint32_t v, unsigned size)
{
	bus_pio_write(f->d.bus, (uint16_t)(DRV_BAR0 + off), v, size);
}

static uint32_t lr(struct fixture *f, unsigned off, unsigned size)
{
	return (uint32_t)bus_pio_read(f->d.bus, (uint16_t)(DRV_BAR0 + off), size);
}

static void legacy_queue(struct fixture *f)
{
	struct drv_queue *q = &f->d.q[0];

	*q = (struct drv_queue){.size = 256, .desc = 0x100000};
	q->avail = q->desc + 16 * 256;
	q->used = q->desc + 0x2000;
	memset(drv_p(&f->d, q->desc), 0, 0x3000);
	lw(f, 0x0e, 0, 2);
	assert_int_equal(lr(f, 0x0c, 2), 256);
	lw(f, 0x08, 0x100, 4);
}

static void legacy_driver_when_set_up_expect_bytes_back(void **state)
{
	struct fixture *f = *state;
	struct drv_buf b[2] = {{0x1000, 4}, {0x2000, 4}};

	drv_place(&f->d);
	lw(f, 0x12, 0, 1);
	lw(f, 0x12, 3, 1);
	assert_int_equal(lr(f, 0, 4), INDIRECT | EVENT_IDX | VIRTIO_F_ANY_LAYOUT);
	lw(f, 4, (uint32_t)INDIRECT, 4);
	legacy_queue(f);
	assert_int_equal(lr(f, 0x08, 4), 0x100);
	lw(f, 0x12, 7, 1);
	assert_int_equal(lr(f, 0x12, 1), 7);
	assert_false(virtio_is_modern(&f->e.v));
	memcpy(drv_p(&f->d, 0x1000), "abcd", 4);
	drv_avail(&f->d, 0, drv_chain(&f->d, 0, b, 1, 1));
	lw(f, 0x10, 0, 2);
	expect_used(f, 0, 4);
	assert_memory_equal(drv_p(&f->d, 0x2000), "abcd", 4);
	assert_true(drv_intx(&f->d));
	assert_int_equal(lr(f, 0x13, 1), 1);
	assert_false(drv_intx(&f->d));
	/* PFN 0 ends the queue, status 0 the device. */
	lw(f, 0x08, 0, 4);
	assert_int_equal(lr(f, 0x08, 4), 0);
	lw(f, 0x12, 0, 1);
	assert_int_equal(lr(f, 0x12, 1), 0);
}

static void legacy_queue_when_used_before_driver_ok_expect_service(void **state)
{
	struct fixture *f = *state;
	struct drv_buf b[2] = {{0x1000, 4}, {0x2000, 4}};

	drv_place(&f->d);
	drv_set_cfg(&f->d, PCI_COMMAND, 3, 2); /* old drivers forget this bit, too */
	lw(f, 0x12, 3, 1);
	legacy_queue(f);
	drv_avail(&f->d, 0, drv_chain(&f->d, 0, b, 1, 1));
	lw(f, 0x10, 0, 2);
	expect_used(f, 0, 4);
}

/* ---- Saved state ------------------------------------------------------------------------------------- */

static void state_when_moved_expect_it_goes_on(void **state)
{
	struct fixture *f = *state;
	static struct echo other;
	struct virtio_config c = f->cfg;

	f->e.keep = true;
	drv_start(&f->d, EVENT_IDX, 2, 16);
	submit_one(f); /* out while it is saved */
	submit_one(f);
	f->d.q[0].used_idx = 0;
	expect_used(f, 2, 8);
	c.devfn = 0x30;
	assert_int_equal(echo_init(&other, &c, NULL), 0);
	wire_transfer(&f->e.v.pci.dev, &other.v.pci.dev);
	/* The one that was out is given back by the other. */
	expect_used(f, 0, 0);
	assert_int_equal(other.v.vq[0].out, 0);
	assert_int_equal(other.v.features, f->e.v.features);
	assert_int_equal(other.v.vq[0].last_avail, 2);
	virtio_dev_free(&other.v);
}

static void state_when_impossible_expect_refusal(void **state)
{
	struct fixture *f = *state;
	static uint8_t good[1 << 16];
	struct virtio_dev *v = &f->e.v;
	long n;

	drv_start(&f->d, 0, 2, 16);
	n = device_save(&v->pci.dev, good, sizeof(good));
	assert_true(n > 0);
	for (unsigned i = 0; i < 7; i++) {
		static uint8_t bad[1 << 16];
		long m;

		assert_int_equal(device_load(&v->pci.dev, good, (size_t)n, NULL), 0);
		switch (i) {
		case 0:
			v->features |= 1ull << 50;
			break;
		case 1:
			v->vq[0].size = 48;
			break;
		case 2:
			v->vq[0].size = 512;
			break;
		case 3:
			v->vq[2].enabled = 1; /* there are two queues */
			break;
		case 4:
			v->vq[0].out_map[2] = 1; /* beyond its size */
			break;
		case 5:
			v->status = 16;
			break;
		case 6:
			v->isr = 4;
			break;
		}
		m = device_save(&v->pci.dev, bad, sizeof(bad));
		assert_true(m > 0);
		assert_int_equal(device_load(&v->pci.dev, bad, (size_t)m, NULL), -EINVAL);
	}
	assert_int_equal(device_load(&v->pci.dev, good, (size_t)n, NULL), 0);
}

static void iovecs_when_cut_expect_what_is_left(void **state)
{
	char s[] = "abcdefghij";
	struct iovec iov[3] = {{s, 3}, {s + 3, 3}, {s + 6, 4}}, *p = iov;
	char out[16] = {0};
	unsigned n = 3;

	assert_int_equal(iov_bytes(iov, 3), 10);
	n = iov_cut_back(p, n, 5);
	assert_int_equal(n, 2);
	n = iov_cut_front(&p, n, 4);
	assert_int_equal(n, 1);
	assert_int_equal(iov_read(p, n, 0, out, sizeof(out)), 1);
	assert_string_equal(out, "e");
	assert_int_equal(iov_cut_front(&p, n, 100), 0);
	assert_int_equal(iov_cut_back(p, 0, 100), 0);
}

/* ---- Bells --------------------------------------------------------------------------------------- */

/* An engine that takes notifications: one bell a queue, and where it hangs. */
struct bus_bell {
	void (*ring)(void *dev);
	void *dev;
	uint64_t addr;
	uint32_t value, len;
	bool hangs, pio, matches;
};
static struct bus_bell bells[4];
static unsigned n_bells;

static struct bus_bell *bell_new(void *opaque, void (*ring)(void *dev), void *dev)
{
	bells[n_bells] = (struct bus_bell){.ring = ring, .dev = dev};
	return &bells[n_bells++];
}
static void bell_free(struct bus_bell *b)
{
	assert_false(b->hangs);
	n_bells--;
}
static bool bell_take(void *opaque, const struct bus_shortcut *s, bool on)
{
	struct bus_bell *b = s->bell;

	assert_int_equal(b->hangs, !on);
	b->hangs = on;
	b->addr = s->addr;
	b->len = s->len;
	b->value = s->value;
	b->pio = s->pio;
	b->matches = s->matches;
	return true;
}

static struct fixture *with_bells(enum virtio_bells how)
{
	static const struct bus_shortcut_host h = {.take = bell_take,
						   .bell_new = bell_new,
						   .bell_free = bell_free};
	struct fixture *f = fixture_new(&(struct virtio_config){.bells = VIRTIO_BELLS_OFF});

	assert_int_equal(n_bells, 0);
	virtio_dev_free(&f->e.v);
	bus_set_shortcut_host(f->d.bus, &h);
	f->cfg.bells = how;
	memset(&f->e, 0, sizeof(f->e));
	assert_int_equal(echo_init(&f->e, &f->cfg, NULL), 0);
	f->e.v.pci.dev.cls->reset(&f->e.v.pci.dev);
	return f;
}

static void bells_when_the_driver_is_ready_expect_kicks_by_them(void **state)
{
	struct fixture *f = with_bells(VIRTIO_BELLS_ON);
	unsigned kicks;

	(void)state;
	assert_int_equal(n_bells, 2);
	drv_place(&f->d);
	assert_true(drv_negotiate(&f->d, VIRTIO_F_VERSION_1));
	drv_queue(&f->d, 0, 16);
	assert_false(bells[0].hangs);
	drv_ok(&f->d);
	assert_true(bells[0].hangs && !bells[1].hangs);
	assert_int_equal(bells[0].addr, DRV_BAR4 + 0x3000);
	assert_int_equal(bells[0].len, 0);
	assert_false(bells[0].pio || bells[0].matches);
	kicks = f->e.kicks;
	drv_avail(&f->d, 0,
		  drv_chain(&f->d, 0, &(struct drv_buf){drv_alloc(&f->d, 8, 8), 8}, 0, 1));
	bells[0].ring(bells[0].dev);
	assert_int_equal(f->e.kicks, kicks + 1);
	expect_used(f, 0, 0);
	/* A queue that is enabled later; a BAR that moves. */
	drv_queue(&f->d, 1, 16);
	assert_true(bells[1].hangs);
	assert_int_equal(bells[1].addr, DRV_BAR4 + 0x3004);
	drv_set_cfg(&f->d, PCI_BAR0 + 16, 0xe4000000, 4);
	assert_int_equal(bells[1].addr, 0xe4003004);
	drv_set_cfg(&f->d, PCI_BAR0 + 16, DRV_BAR4, 4);
	/* An error, and a reset. A bell that rings late does nothing. */
	virtio_error(&f->e.v, "test");
	assert_false(bells[0].hangs || bells[1].hangs);
	drv_start(&f->d, 0, 1, 16);
	assert_true(bells[0].hangs && !bells[1].hangs);
	drv_wr(&f->d, 0x14, 0, 1);
	assert_false(bells[0].hangs);
	kicks = f->e.kicks;
	bells[0].ring(bells[0].dev);
	assert_int_equal(f->e.kicks, kicks);
	*state = f;
	teardown(state);
	assert_int_equal(n_bells, 0);
}

static void bells_when_the_driver_is_legacy_expect_them_by_value(void **state)
{
	struct fixture *f = with_bells(VIRTIO_BELLS_ON);

	drv_place(&f->d);
	bus_pio_write(f->d.bus, DRV_BAR0 + 0x12, 3, 1);
	bus_pio_write(f->d.bus, DRV_BAR0 + 0xe, 1, 2);
	bus_pio_write(f->d.bus, DRV_BAR0 + 8, 0x20, 4);
	assert_false(bells[1].hangs);
	bus_pio_write(f->d.bus, DRV_BAR0 + 0x12, 7, 1);
	assert_true(bells[1].hangs && !bells[0].hangs);
	assert_true(bells[1].pio && bells[1].matches);
	assert_int_equal(bells[1].addr, DRV_BAR0 + 0x10);
	assert_int_equal(bells[1].len, 2);
	assert_int_equal(bells[1].value, 1);
	*state = f;
	teardown(state);
}

static void bells_when_not_said_expect_patient_queues_alone(void **state)
{
	*state = with_bells(VIRTIO_BELLS_AUTO); /* the echo device is not */
	assert_int_equal(n_bells, 0);
	teardown(state);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TM(name) cmocka_unit_test_setup_teardown(name, setup_modern, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(ids_when_transitional_expect_legacy_device_id),
		TM(ids_when_modern_only_expect_1040_and_no_ports),
		T(init_when_settings_are_impossible_expect_sentence),
		T(features_when_not_offered_expect_refusal),
		T(status_when_written_expect_bits_stay_until_reset),
		T(common_block_when_read_in_pieces_expect_same_bytes),
		T(queue_select_when_out_of_range_expect_empty_queue),
		T(queue_size_when_not_a_power_of_two_expect_unchanged),
		T(queue_when_enabled_before_features_ok_expect_nothing),
		T(device_config_when_written_expect_masks_and_hook),
		T(config_when_changed_expect_generation_and_interrupt),
		T(window_when_set_expect_bar_4_through_configuration_space),
		T(chain_when_plain_expect_bytes_back_and_interrupt),
		T(ring_when_gone_round_expect_all_in_order),
		T(dma_when_written_expect_dirty_pages),
		T(buffer_when_across_ranges_expect_pieces),
		T(buffer_when_rom_expect_readable_only),
		T(indirect_when_negotiated_expect_bytes_back),
		T(descriptor_when_impossible_expect_needs_reset),
		T(indirect_when_impossible_expect_needs_reset),
		T(indirect_when_not_negotiated_expect_needs_reset),
		T(chain_when_4_gib_expect_needs_reset),
		T(available_ring_when_impossible_expect_needs_reset),
		T(head_when_available_twice_expect_needs_reset),
		T(rings_when_not_in_ram_expect_needs_reset),
		T(rings_when_they_overlap_expect_no_harm),
		T(registers_when_queue_is_live_expect_unchanged),
		T(chain_when_it_outlives_a_reset_expect_no_ring_touched),
		T(queue_when_reset_alone_expect_new_life),
		T(kick_when_more_than_a_batch_expect_rest_later),
		T(interrupt_when_flag_says_no_expect_none),
		T(interrupt_when_event_index_expect_only_at_it),
		T(msix_when_enabled_expect_messages_and_no_pin),
		T(master_when_off_expect_no_dma_until_on),
		T(legacy_driver_when_set_up_expect_bytes_back),
		T(legacy_queue_when_used_before_driver_ok_expect_service),
		T(state_when_moved_expect_it_goes_on),
		T(state_when_impossible_expect_refusal),
		cmocka_unit_test(bells_when_the_driver_is_ready_expect_kicks_by_them),
		cmocka_unit_test(bells_when_the_driver_is_legacy_expect_them_by_value),
		cmocka_unit_test(bells_when_not_said_expect_patient_queues_alone),
		cmocka_unit_test(iovecs_when_cut_expect_what_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
