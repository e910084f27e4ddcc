// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The reader of saved machines, with files as they come, and with right checksums so that it gets further.
 * Run: make t T=fuzz/state_file
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/range.h"
#include "state/format.h"
#include "state/state.h"

#define FILE_MAX (1u << 20)

/* Checksums of the header, and of the sections as far as there are any. */
static void mend(uint8_t *p, size_t size)
{
	size_t at = STATE_PAGE;

	memcpy(p, STATE_MAGIC, 8);
	st_le32(p + HDR_VERSION, STATE_VERSION);
	st_le32(p + HDR_FLAGS, 0);
	st_le32(p + HDR_CRC, crc32c(0, p, HDR_CRC));
	while (range_ok(at, SEC_HDR, size)) {
		uint64_t len = ld_le64(p + at + SEC_LEN);

		if (!range_ok(at + SEC_HDR, len, size))
			return;
		st_le32(p + at + SEC_CRC,
			crc32c(crc32c(0, p + at, SEC_CRC), p + at + SEC_HDR, (size_t)len));
		at += SEC_HDR + (size_t)align_up(len, 8);
	}
}

/* The input is a header's numbers and sections; the length of the file is its first three bytes. */
static size_t build(uint8_t *p, const uint8_t *data, size_t size)
{
	size_t head = HDR_LEN - HDR_COUNT, len = STATE_PAGE + size;

	if (size < head + 3)
		return 0;
	memcpy(p + HDR_COUNT, data + 3, head);
	memcpy(p + STATE_PAGE, data + 3 + head, size - head - 3);
	len = len > FILE_MAX ? FILE_MAX : len;
	mend(p, len);
	/* As long as it says, or nearly so. */
	return (data[0] | data[1] << 8 | data[2] << 16) & (FILE_MAX - 1);
}

static void look(int fd)
{
	static const char *const names[] = {"machine", "option", "drive", "cpuid",
					    "cpu",     "device", "memory"};
	struct lodge_err err = {""};
	struct state_file *f = state_open_fd(fd, "fuzz", &err);
	unsigned sum = 0;

	if (!f) {
		if (!err.msg[0])
			abort(); /* every refusal has its sentence */
		return;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		const uint8_t *p;
		size_t len;

		for (unsigned n = 0; (p = state_section(f, names[i], n, &len)); n++) {
			for (size_t k = 0; k < len; k++)
				sum += p[k];
		}
	}
	if (state_memory_off(f) % STATE_PAGE || !state_memory_len(f))
		abort();
	if (state_check_memory(f, &err) && !err.msg[0])
		abort();
	if (sum == 1)
		state_close(NULL);
	state_close(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t *buf;
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	size_t len;

	if (!buf)
		buf = malloc(FILE_MAX);
	if (fd < 0 || !buf || size > FILE_MAX / 2)
		return 0;
	if (size && data[0] & 1) {
		len = size;
		memcpy(buf, data, size);
	} else {
		memset(buf, 0, STATE_PAGE + size);
		len = build(buf, data, size);
	}
	if (ftruncate(fd, (off_t)len) || pwrite(fd, buf, min_u64(len, STATE_PAGE + size), 0) < 0)
		abort();
	look(fd);
	return 0;
}
