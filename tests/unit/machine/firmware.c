// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the board gives firmware: flash and its image, boot order, option ROMs, tables.
 * Run: make t T=machine/firmware
 */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/props.h"
#include "fake_engine.h"
#include "machine/vm_int.h"

#define CODE_BYTES 0x20000u
#define VARS_BYTES 0x3000u
#define VARS_AT (0x100000000ull - CODE_BYTES - VARS_BYTES)

struct env {
	char dir[64], code[96], vars[96], rom[96];
	struct vm_config cfg;
	struct vm *vm;
};

static void write_file(const char *path, uint8_t fill, uint32_t len, const char *end)
{
	uint8_t *b = malloc(len);
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);

	memset(b, fill, len);
	memcpy(b + len - strlen(end), end, strlen(end));
	assert_int_equal(write(fd, b, len), len);
	close(fd);
	free(b);
}

static uint8_t byte_of(const char *path, long off)
{
	uint8_t b = 0;
	int fd = open(path, O_RDONLY);

	assert_int_equal(pread(fd, &b, 1, off), 1);
	close(fd);
	return b;
}

static void add(struct vm_options *o, const char *what, const char *implied, const char *fmt, ...)
{
	struct lodge_err err = {""};
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	o->p[o->n] = props_parse(what, text, implied, &err);
	assert_non_null(o->p[o->n++]);
}

static int setup(void **state)
{
	struct env *t = calloc(1, sizeof(*t));

	strcpy(t->dir, "/tmp/lodge-fw-XXXXXX");
	if (!mkdtemp(t->dir))
		return -1;
	snprintf(t->code, sizeof(t->code), "%s/code", t->dir);
	snprintf(t->vars, sizeof(t->vars), "%s/vars", t->dir);
	snprintf(t->rom, sizeof(t->rom), "%s/x.rom", t->dir);
	write_file(t->code, 0xcc, CODE_BYTES, "reset vector 16B");
	write_file(t->vars, 0x5a, VARS_BYTES, "end of variables");
	write_file(t->rom, 0x55, 1024, "");
	t->cfg = (struct vm_config){.engine = &fake_engine, .ram_bytes = 64 << 20, .cpus = 1};
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct env *t = *state;

	vm_free(t->vm);
	while (t->cfg.drives.n)
		props_free(t->cfg.drives.p[--t->cfg.drives.n]);
	while (t->cfg.smbios.n)
		props_free(t->cfg.smbios.p[--t->cfg.smbios.n]);
	while (t->cfg.option_roms.n)
		props_free(t->cfg.option_roms.p[--t->cfg.option_roms.n]);
	unlink(t->code);
	unlink(t->vars);
	unlink(t->rom);
	rmdir(t->dir);
	free(t);
	return 0;
}

static void start(struct env *t)
{
	struct lodge_err err = {""};

	t->vm = vm_new(&t->cfg, &err);
	if (!t->vm)
		print_error("%s\n", err.msg);
	assert_non_null(t->vm);
	assert_int_equal(vm_start(t->vm, &err), 0);
}

static void refused(struct env *t, const char *word)
{
	struct lodge_err err = {""};

	assert_null(vm_new(&t->cfg, &err));
	if (!strstr(err.msg, word))
		fail_msg("'%s' does not say '%s'", err.msg, word);
}

static void add_flash(struct env *t)
{
	add(&t->cfg.drives, "-drive", NULL, "if=pflash,format=raw,readonly=on,file=%s", t->code);
	add(&t->cfg.drives, "-drive", NULL, "if=pflash,format=raw,file=%s", t->vars);
}

static void flash_when_mapped_expect_both_units_below_4_gib(void **state)
{
	struct env *t = *state;
	struct mem *mem;
	char buf[16];

	add_flash(t);
	start(t);
	mem = fake->cfg.mem;
	assert_int_equal(mem_read(mem, 0xfffffff0, buf, 16), 0);
	assert_memory_equal(buf, "reset vector 16B", 16);
	assert_int_equal(mem_read(mem, 0xffff0, buf, 16), 0);
	assert_memory_equal(buf, "reset vector 16B", 16);
	assert_int_equal(mem_read(mem, 0x100000000 - CODE_BYTES - 16, buf, 16), 0);
	assert_memory_equal(buf, "end of variables", 16);
	assert_int_equal(mem_lookup(mem, VARS_AT).kind, MEM_ROM);
	assert_int_equal(mem_lookup(mem, VARS_AT - 1).kind, MEM_MMIO);
}

static void flash_when_programmed_expect_array_then_image(void **state)
{
	struct env *t = *state;
	struct mem *mem;
	uint8_t b;

	add_flash(t);
	start(t);
	mem = fake->cfg.mem;
	fake_store(0, VARS_AT + 0x1003, 0x20, 1); /* erase */
	assert_int_equal(mem_lookup(mem, VARS_AT).kind, MEM_MMIO);
	fake_store(0, VARS_AT + 0x1003, 0xd0, 1);
	assert_int_equal(fake_load(0, VARS_AT, 1), 0x80);
	fake_store(0, VARS_AT + 0x1005, 0x40, 1);
	fake_store(0, VARS_AT + 0x1005, 0x77, 1);
	fake_store(0, VARS_AT, 0xff, 1);
	assert_int_equal(mem_lookup(mem, VARS_AT).kind, MEM_ROM);
	assert_int_equal(mem_read(mem, VARS_AT + 0x1005, &b, 1), 0);
	assert_int_equal(b, 0x77);
	/* The code is read-only, and says so. */
	fake_store(0, 0xfffff000, 0x40, 1);
	fake_store(0, 0xfffff000, 0, 1);
	assert_int_equal(fake_load(0, 0xfffff000, 1), 0x92);
	vm_free(t->vm);
	t->vm = NULL;
	assert_int_equal(byte_of(t->vars, 0xfff), 0x5a);
	assert_int_equal(byte_of(t->vars, 0x1000), 0xff);
	assert_int_equal(byte_of(t->vars, 0x1005), 0x77);
	assert_int_equal(byte_of(t->vars, 0x1fff), 0xff);
	assert_int_equal(byte_of(t->vars, 0x2000), 0x5a);
	assert_int_equal(byte_of(t->code, CODE_BYTES - 0x1000), 0xcc);
}

static void flash_when_odd_expect_sentence(void **state)
{
	struct env *t = *state;

	add_flash(t);
	assert_int_equal(truncate(t->vars, 1000), 0);
	refused(t, "4 KiB");
	assert_int_equal(truncate(t->vars, 9 << 20), 0);
	refused(t, "8 MiB");
	assert_int_equal(truncate(t->vars, VARS_BYTES), 0);
	t->cfg.bios = t->code;
	refused(t, "leave one out");
	t->cfg.bios = NULL;
	add(&t->cfg.drives, "-drive", NULL, "if=pflash,unit=3,format=raw,snapshot=on,file=%s",
	    t->code);
	refused(t, "units 0 and 1");
	props_free(t->cfg.drives.p[--t->cfg.drives.n]);
	props_free(t->cfg.drives.p[0]);
	props_free(t->cfg.drives.p[1]);
	t->cfg.drives.n = 0;
	add(&t->cfg.drives, "-drive", NULL, "if=pflash,unit=1,format=raw,file=%s", t->vars);
	refused(t, "unit 0");
}

/* ---- fw_cfg ----------------------------------------------------------------------------------- */

static void read_item(uint16_t key, uint8_t *buf, uint32_t len)
{
	fake_out(0, 0x510, key, 2);
	for (uint32_t i = 0; i < len; i++)
		buf[i] = (uint8_t)fake_in(0, 0x511, 1);
}

/* The file's bytes (to be freed), or NULL. */
static uint8_t *read_file(const char *name, uint32_t *len)
{
	static uint8_t dir[4 + 64 * 256];
	uint8_t *buf;
	unsigned n;

	read_item(0x19, dir, 4);
	n = dir[2] << 8 | dir[3];
	assert_in_range(n, 1, 256);
	read_item(0x19, dir, 4 + 64 * n);
	for (unsigned i = 0; i < n; i++) {
		const uint8_t *e = dir + 4 + 64 * i;

		if (strcmp((const char *)e + 8, name))
			continue;
		*len = (uint32_t)(e[1] << 16 | e[2] << 8 | e[3]);
		buf = malloc(*len + 1);
		read_item((uint16_t)(e[4] << 8 | e[5]), buf, *len);
		return buf;
	}
	return NULL;
}

static void boot_order_when_indexed_and_strict_expect_lines_and_halt(void **state)
{
	struct env *t = *state;
	uint32_t len;
	uint8_t *text;

	t->cfg.bios = t->code;
	t->cfg.boot.strict = true;
	add(&t->cfg.option_roms, "-option-rom", "romfile", "%s,bootindex=7", t->rom);
	start(t);
	text = read_file("bootorder", &len);
	assert_non_null(text);
	assert_string_equal((char *)text, "/rom@genroms/x.rom\nHALT");
	assert_int_equal(len, strlen((char *)text) + 1);
	free(text);
	text = read_file("genroms/x.rom", &len);
	assert_non_null(text);
	assert_int_equal(len, 1024);
	free(text);
}

static void option_rom_when_wrong_expect_sentence(void **state)
{
	struct env *t = *state;

	t->cfg.bios = t->code;
	add(&t->cfg.option_roms, "-option-rom", "romfile", "%s", t->rom);
	add(&t->cfg.option_roms, "-option-rom", "romfile", "%s", t->rom);
	refused(t, "of this name");
	props_free(t->cfg.option_roms.p[--t->cfg.option_roms.n]);
	add(&t->cfg.option_roms, "-option-rom", "romfile", "%s,color=red", t->rom);
	write_file(t->rom, 0, 2 << 20, "");
	refused(t, "is no option ROM");
}

/* OVMF and SeaBIOS choose their places for the PM block before they read the tables. */
static void tables_when_pm_block_is_moved_expect_its_place_in_the_fadt(void **state)
{
	static const uint32_t bases[] = {0x600, 0xb000};
	struct env *t = *state;
	uint32_t len, first = 0;

	t->cfg.bios = t->code;
	start(t);
	for (unsigned i = 0; i < 2; i++) {
		uint8_t *tables, *fadt;

		fake_out(0, 0xcf8, 0x80000b40, 4);
		fake_out(0, 0xcfc, bases[i] | 1, 4);
		fake_out(0, 0xcf8, 0x80000b80, 4);
		fake_out(0, 0xcfc, 1, 1);
		tables = read_file("etc/acpi/tables", &len);
		assert_non_null(tables);
		fadt = memmem(tables, len, "FACP", 4);
		assert_non_null(fadt);
		assert_int_equal(fadt[56] | fadt[57] << 8, bases[i]);
		assert_true(!first || first == len);
		first = len;
		free(tables);
	}
}

static void boot_order_when_once_expect_it_gone_after_a_reset(void **state)
{
	struct env *t = *state;
	struct vm_end end;
	struct pollfd p;

	t->cfg.bios = t->code;
	strcpy(t->cfg.boot.order, "cdn");
	strcpy(t->cfg.boot.once, "d");
	start(t);
	fake_out(0, 0x70, 0x3d, 1);
	assert_int_equal(fake_in(0, 0x71, 1), 0x03);
	fake_exit(0, ENGINE_EXIT_SHUTDOWN);
	p = (struct pollfd){.fd = vm_event_fd(t->vm), .events = POLLIN};
	while (poll(&p, 1, 300) > 0)
		assert_false(vm_service(t->vm, &end));
	fake_out(0, 0x70, 0x3d, 1);
	assert_int_equal(fake_in(0, 0x71, 1), 0x32);
	fake_out(0, 0x70, 0x38, 1);
	assert_int_equal(fake_in(0, 0x71, 1), 0x40);
}

static void add_smbios(struct env *t, const char *text)
{
	add(&t->cfg.smbios, "-smbios", NULL, "%s", text);
}

static void smbios_when_strings_given_expect_them(void **state)
{
	static const uint8_t uuid[16] = {0x52, 0x8a, 0x3c, 0x7f, 0x6b, 0x0d, 0x1e, 0x4b,
					 0x9a, 0x5f, 0x2b, 0x9c, 0x4e, 0x6d, 0x8f, 0x10};
	struct env *t = *state;
	uint32_t len;
	uint8_t *s;

	t->cfg.bios = t->code;
	t->cfg.uuid = "7f3c8a52-0d6b-4B1E-9a5f-2b9c4e6d8f10";
	add_smbios(t, "type=1,serial=ds=nocloud,,x,product=Toaster");
	add_smbios(t, "type=0,vendor=Somebody,release=3.7");
	add_smbios(t, "type=2,asset=42");
	add_smbios(t, "type=11,value=first");
	add_smbios(t, "type=11,value=second");
	start(t);
	s = read_file("etc/smbios/smbios-tables", &len);
	assert_non_null(s);
	assert_int_equal(s[0], 0);
	assert_int_equal(s[20], 3);
	assert_int_equal(s[21], 7);
	assert_non_null(memmem(s, len, "Somebody", 9));
	assert_non_null(memmem(s, len, "Lodge\0Toaster\0", 14));
	assert_non_null(memmem(s, len, "\0ds=nocloud,x", 14));
	assert_non_null(memmem(s, len, uuid, 16));
	assert_non_null(memmem(s, len,
			       "\x0b\x05\x00\x0b\x02"
			       "first\0second\0",
			       19));
	assert_non_null(memmem(s, len, "\x02\x0f\x00\x02", 4));
	free(s);
}

static void smbios_when_wrong_expect_sentence(void **state)
{
	static const struct {
		const char *text, *word;
	} wrong[] = {
		{"type=4,sock_pfx=x", "there are type=0"},
		{"file=/x", "file="},
		{"type=1,colour=red", "colour"},
		{"type=0,release=1", "MAJOR.MINOR"},
		{"type=1,uuid=12345678", "no UUID"},
		{"type=11", "value="},
		{"type=1,uuid=7f3c8a5200d6b-4b1e-9a5f-2b9c4e6d8f10", "no UUID"},
		{"type=1,uuid=7f3c8a52-0d6b-4b1e-9a5f-2b9c4e6d8f1", "no UUID"},
		{"type=1,uuid=7f3c8a52-0d6b-4b1e-9a5f-2b9c4e6d8f1012", "no UUID"},
	};
	struct env *t = *state;

	t->cfg.bios = t->code;
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		add_smbios(t, wrong[i].text);
		refused(t, wrong[i].word);
		props_free(t->cfg.smbios.p[--t->cfg.smbios.n]);
	}
}

static void smbios_when_too_long_expect_sentence(void **state)
{
	struct env *t = *state;
	char text[240];

	t->cfg.bios = t->code;
	memset(text, 'x', sizeof(text));
	memcpy(text, "type=11,value=", 14);
	text[sizeof(text) - 1] = '\0';
	for (unsigned i = 0; i < 63; i++)
		add_smbios(t, text);
	start(t); /* 14 KiB */
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(flash_when_mapped_expect_both_units_below_4_gib),
		T(flash_when_programmed_expect_array_then_image),
		T(flash_when_odd_expect_sentence),
		T(boot_order_when_indexed_and_strict_expect_lines_and_halt),
		T(option_rom_when_wrong_expect_sentence),
		T(tables_when_pm_block_is_moved_expect_its_place_in_the_fadt),
		T(boot_order_when_once_expect_it_gone_after_a_reset),
		T(smbios_when_strings_given_expect_them),
		T(smbios_when_wrong_expect_sentence),
		T(smbios_when_too_long_expect_sentence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
