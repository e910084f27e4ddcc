// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The memory thunks live in (codemem.h) and a hash of what is in it. Threads: vCPU threads, under a
 * spin lock held for the making of one thunk.
 */
#include "engine/soft/thunk_int.h"

#include <cpuid.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/soft/codemem.h"
#include "engine/soft/perfmap.h"

#define XGETBV_1 4u /* CPUID leaf 0xd, 1: EAX */

/* In front of each thunk. */
struct thunk_head {
	uint64_t key;
	uint32_t next; /* offset of the next head in the chain, or 0 */
	uint32_t len;
};

_Static_assert(THUNK_MAX_BYTES <= THUNK_SLOT_BYTES, "a slot holds any thunk");

static bool emit_moves(struct thunk_cache *tc);

#define TRIES 16

/*
 * Which x87 pointers does an instruction leave that raises no unmasked exception? A switch of
 * threads in between loses them on AMD's processors: once seen is kept.
 */
static void probe_x87_pointers(struct thunk_cache *tc)
{
	static const float one = 1.0f;
	uint8_t env[28];

	tc->fop_on_error = tc->fdp_on_error = tc->no_selectors = true;
	for (unsigned i = 0; i < TRIES; i++) {
		__asm__ volatile("fninit\n\tflds %1\n\tfnstenv %0\n\tfninit"
				 : "=m"(env)
				 : "m"(one));
		if (ld_le16(env + 16))
			tc->no_selectors = false;
		if (ld_le16(env + 18))
			tc->fop_on_error = false;
		if (ld_le32(env + 20))
			tc->fdp_on_error = false;
	}
}

static void probe_host(struct thunk_cache *tc)
{
	uint32_t a, b, c, d;
	bool intel = !x86_host_is_amd();
	_Alignas(16) uint8_t fx[512] = {0};

	if (__get_cpuid(1, &a, &b, &c, &d) && (c & bit_OSXSAVE)) {
		uint32_t lo, hi;

		__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
		tc->xmask = lo & 7;
		tc->avx = (c & bit_AVX) && (lo & 7) == 7;
		tc->in_use = intel && __get_cpuid_count(0xd, 1, &a, &b, &c, &d) && (a & XGETBV_1);
	}
	__asm__ volatile("fxsave64 %0" : "+m"(fx));
	tc->mxcsr_mask = ld_le32(fx + FX_MXCSR_MASK);
	if (!tc->mxcsr_mask)
		tc->mxcsr_mask = 0xffbf;
	__asm__ volatile("fninit; fld1; fxsave64 %0; fninit" : "+m"(fx));
	tc->saves_pointers = ld_le64(fx + FX_FIP) != 0;
	probe_x87_pointers(tc);
	/* To try these takes faults; Intel's processors do so. */
	tc->holds_first = tc->gather_signs = tc->far_first = tc->mmx_top_first = tc->sha_aligned =
		intel;
}

struct thunk_cache *thunk_cache_new(struct lodge_err *err)
{
	struct thunk_cache *tc = calloc(1, sizeof(*tc));
	int rc;

	if (!tc) {
		err_set(err, -ENOMEM, "no memory for the cache of host instructions");
		return NULL;
	}
	atomic_flag_clear(&tc->lock);
	probe_host(tc);
	rc = soft_code_map(THUNK_CACHE_BYTES, &tc->rw, &tc->rx);
	if (rc < 0) {
		err_set(err, rc,
			"cannot map memory for generated code: %s; does a security policy "
			"forbid executable memory?",
			strerror(-rc));
		thunk_cache_free(tc);
		return NULL;
	}
	tc->used = THUNK_SLOTS * THUNK_SLOT_BYTES;
	if (!emit_moves(tc)) {
		thunk_cache_free(tc);
		return NULL;
	}
	return tc;
}

void thunk_cache_free(struct thunk_cache *tc)
{
	if (!tc)
		return;
	soft_code_unmap(THUNK_CACHE_BYTES, tc->rw, tc->rx);
	free(tc);
}

void thunk_cache_tell(const struct thunk_cache *tc, struct soft_perf *perf)
{
	soft_perf_add_region(perf, tc->rx, THUNK_CACHE_BYTES, "lodge:thunks");
}

static void lock(struct thunk_cache *tc)
{
	while (atomic_flag_test_and_set_explicit(&tc->lock, memory_order_acquire))
		__builtin_ia32_pause();
}

static void unlock(struct thunk_cache *tc)
{
	atomic_flag_clear_explicit(&tc->lock, memory_order_release);
}

static unsigned hash(uint64_t key)
{
	return (unsigned)(key * 0x9e3779b97f4a7c15ull >> (64 - THUNK_HASH_BITS));
}

static const void *add_locked(struct thunk_cache *tc, uint64_t key, uint32_t *head)
{
	uint32_t at = (tc->used + 15) & ~15u;
	struct thunk_head h = {.key = key, .next = *head};

	if (at + sizeof(h) + THUNK_MAX_BYTES > THUNK_CACHE_BYTES)
		return NULL;
	h.len = thunk_emit(key, tc->rw + at + sizeof(h));
	memcpy(tc->rw + at, &h, sizeof(h));
	tc->used = at + (uint32_t)sizeof(h) + h.len;
	tc->count++;
	*head = at;
	return tc->rx + at + sizeof(h);
}

/* The same code serves every memory form: the operand is [rsi]. */
static uint64_t canonical_key(uint64_t key)
{
	if (tk_get(key, TK_HAS_MODRM, 1) && tk_get(key, TK_MODRM, 8) < 0xc0) {
		key = (key & ~(0xc7ull << TK_MODRM)) | 6ull << TK_MODRM;
		key &= ~(3ull << TK_REX);
	}
	return key;
}

const void *thunk_get(struct thunk_cache *tc, uint64_t key)
{
	const void *code = NULL;
	uint32_t *head;

	key = canonical_key(key);
	head = &tc->head[hash(key)];
	lock(tc);
	for (uint32_t at = *head; at && !code;) {
		struct thunk_head h;

		memcpy(&h, tc->rw + at, sizeof(h));
		if (h.key == key)
			code = tc->rx + at + sizeof(h);
		at = h.next;
	}
	if (!code)
		code = add_locked(tc, key, head);
	unlock(tc);
	return code;
}

/*
 * Code that was executed before is changed through another mapping: only a serializing instruction
 * makes sure that the new bytes are fetched (SDM 3A §8.1.3). IRET is the cheapest of them.
 */
static void serialize(void)
{
	__asm__ volatile("lea -128(%%rsp), %%rsp\n\t"
			 "movq %%rsp, %%rcx\n\t"
			 "movl %%ss, %%eax\n\t"
			 "pushq %%rax\n\t"
			 "pushq %%rcx\n\t"
			 "pushfq\n\t"
			 "movl %%cs, %%eax\n\t"
			 "pushq %%rax\n\t"
			 "leaq 1f(%%rip), %%rax\n\t"
			 "pushq %%rax\n\t"
			 "iretq\n"
			 "1:\tsubq $-128, %%rsp"
			 :
			 :
			 : "rax", "rcx", "memory", "cc");
}

const void *thunk_get_for(struct thunk_cache *tc, unsigned index, uint64_t key)
{
	uint32_t at = (index % THUNK_SLOTS) * THUNK_SLOT_BYTES;
	const void *code = thunk_get(tc, key);

	if (code)
		return code;
	thunk_emit(key, tc->rw + at);
	serialize();
	return tc->rx + at;
}

/* A whole-register move as an instruction's key. */
static uint64_t move_key(enum thunk_move m, unsigned reg)
{
	static const struct {
		uint8_t opcode, pp, vex, l;
	} how[THUNK_MOVES] = {
		[THUNK_LD_XMM] = {0x10, 0, 0, 0},  [THUNK_ST_XMM] = {0x11, 0, 0, 0},
		[THUNK_LD_YMM] = {0x10, 0, 1, 1},  [THUNK_ST_YMM] = {0x11, 0, 1, 1},
		[THUNK_LD_MMX] = {0x6f, 0, 0, 0},  [THUNK_ST_MMX] = {0x7f, 0, 0, 0},
		[THUNK_LD_VXMM] = {0x10, 0, 1, 0},
	};
	uint64_t key = 1ull << TK_VALID | 1ull << TK_HAS_MODRM | (uint64_t)X86_MAP_0F << TK_MAP;

	key |= (uint64_t)how[m].opcode << TK_OPCODE | (uint64_t)how[m].pp << TK_PP;
	key |= (uint64_t)how[m].vex << TK_VEX | (uint64_t)how[m].l << TK_L;
	key |= (uint64_t)((reg & 7) << 3 | 6) << TK_MODRM | (uint64_t)(reg >> 3 << 2) << TK_REX;
	return key;
}

static bool emit_moves(struct thunk_cache *tc)
{
	tc->fwait = thunk_get(tc, 1ull << TK_VALID | 0x9bull << TK_OPCODE);
	for (unsigned m = 0; m < THUNK_MOVES; m++) {
		for (unsigned reg = 0; reg < 16; reg++) {
			tc->move[m][reg] = thunk_get(tc, move_key((enum thunk_move)m, reg));
			if (!tc->move[m][reg])
				return false;
		}
	}
	return true;
}
