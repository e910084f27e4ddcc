// SPDX-License-Identifier: GPL-2.0-or-later
/* Kernels and initrds as files: make t T=firmware/boot */
#include "unit/firmware/fw_test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/lodge-boot-XXXXXX";
static struct lodge_err err;
static struct x86_state cpu;
static enum boot_kind kind;

static const char *path_of(const char *name)
{
	static char paths[8][64];
	static unsigned next;
	char *p = paths[next++ % 8];

	snprintf(p, sizeof(paths[0]), "%s/%s", dir, name);
	return p;
}

static const char *put_file(const char *name, const void *data, size_t len)
{
	const char *path = path_of(name);
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
	return path;
}

/* A Multiboot kernel of one segment. */
static const char *put_multiboot(void)
{
	static struct test_elf elf;

	test_elf_init(&elf, false, 0x100010);
	test_elf_phdr(&elf, 1, 0x200, 0x100000, 0x100000, 0x1000, 0x1000);
	st_le32(elf.bytes + 0x200, 0x1badb002);
	st_le32(elf.bytes + 0x204, 0);
	st_le32(elf.bytes + 0x208, 0u - 0x1badb002);
	return put_file("kernel", elf.bytes, elf.len);
}

static int load(const char *kernel, const char *initrd, struct mem **mem)
{
	struct boot_config cfg = {.kernel = kernel,
				  .initrd = initrd,
				  .cmdline = "x",
				  .ram_below_4g = 16 * MIB};
	int ret;

	*mem = pc_mem(16 * MIB);
	err.msg[0] = 0;
	ret = boot_load(*mem, &cfg, &cpu, &kind, &err);
	if (ret) {
		mem_free(*mem);
		*mem = NULL;
	}
	return ret;
}

static void assert_refused(const char *kernel, const char *initrd, int code, const char *words)
{
	struct mem *mem;

	assert_int_equal(load(kernel, initrd, &mem), code);
	if (!strstr(err.msg, words))
		fail_msg("'%s' is not in: %s", words, err.msg);
}

static void load_when_kernel_missing_expect_sentence(void **state)
{
	(void)state;
	assert_refused(path_of("nothing"), NULL, -ENOENT, "there is no kernel file '/tmp/lodge");
	assert_refused(dir, NULL, -EISDIR, "is a directory");
	assert_refused(put_file("empty", "", 0), NULL, -EINVAL, "is empty");
}

static void load_when_unreadable_expect_sentence(void **state)
{
	const char *path = put_file("secret", "x", 1);

	bool root = !geteuid();

	(void)state;
	assert_int_equal(chmod(path, 0), 0);
	/* root reads everything: be nobody meanwhile, who must still reach the file */
	assert_int_equal(root ? seteuid(65534) : 0, 0);
	assert_refused(path, NULL, -EACCES, "may not be read");
	assert_int_equal(root ? seteuid(0) : 0, 0);
}

static void load_when_not_a_kernel_expect_hint(void **state)
{
	static uint8_t sector[512] = {[510] = 0x55, [511] = 0xaa};

	(void)state;
	assert_refused(put_file("a", "hello", 5), NULL, -ENOEXEC, "is not a kernel: neither");
	assert_refused(put_file("b", "\x1f\x8b\x08xxxx", 7), NULL, -ENOEXEC, "gzip");
	assert_refused(put_file("c",
				"\xfd"
				"7zXZ\0\0\0",
				8),
		       NULL, -ENOEXEC, "xz-compressed");
	assert_refused(put_file("d", "070701000", 9), NULL, -ENOEXEC, "cpio");
	assert_refused(put_file("e", "QFI\xfb\0\0\0\3", 8), NULL, -ENOEXEC, "qcow2");
	assert_refused(put_file("f", sector, sizeof(sector)), NULL, -ENOEXEC, "boot sector");
}

static void load_when_initrd_bad_expect_sentence(void **state)
{
	const char *kernel = put_multiboot();

	(void)state;
	assert_refused(kernel, path_of("no-initrd"), -ENOENT, "there is no module file");
	assert_refused(kernel, put_file("none", "", 0), -EINVAL, "is empty");
}

static void load_when_modules_listed_expect_each_with_arguments(void **state)
{
	const char *kernel = put_multiboot();
	uint64_t mods;
	struct mem *mem;
	char list[256], want[128];

	(void)state;
	put_file("one", "1111", 4);
	put_file("t,wo", "22222", 5);
	put_file("three", "3", 1);
	snprintf(list, sizeof(list), "%s/one a=1 b,  %s/t,,wo x,,y,%s/three", dir, dir, dir);
	assert_int_equal(load(kernel, list, &mem), 0);
	assert_int_equal(kind, BOOT_KIND_MULTIBOOT);
	assert_int_equal(guest_u(mem, cpu.gpr[R_RBX] + 20, 4), 3);
	mods = guest_u(mem, cpu.gpr[R_RBX] + 24, 4);
	snprintf(want, sizeof(want), "%s/one a=1 b", dir);
	assert_guest_bytes(mem, guest_u(mem, mods, 4), "1111", 4);
	assert_guest_string(mem, guest_u(mem, mods + 8, 4), want);
	snprintf(want, sizeof(want), "%s/t,wo x,y", dir);
	assert_guest_bytes(mem, guest_u(mem, mods + 16, 4), "22222", 5);
	assert_guest_string(mem, guest_u(mem, mods + 24, 4), want);
	snprintf(want, sizeof(want), "%s/three", dir);
	assert_guest_string(mem, guest_u(mem, mods + 40, 4), want);
	mem_free(mem);
}

static void load_when_too_many_modules_expect_sentence(void **state)
{
	const char *kernel = put_multiboot();
	const char *one = put_file("one", "1", 1);
	char *list = calloc(BOOT_MODULES_MAX + 1, 64);

	(void)state;
	assert_non_null(list);
	for (unsigned i = 0; i <= BOOT_MODULES_MAX; i++) {
		strcat(list, one);
		strcat(list, ",");
	}
	assert_refused(kernel, list, -E2BIG, "more than 64 modules");
	free(list);
}

static void load_when_pipe_expect_contents(void **state)
{
	const char *kernel = put_multiboot();
	static uint8_t big[60000];
	struct mem *mem;
	char name[32];
	int fd[2];

	(void)state;
	memset(big, 0x3c, sizeof(big));
	assert_int_equal(pipe(fd), 0);
	assert_int_equal(write(fd[1], big, sizeof(big)), sizeof(big));
	close(fd[1]);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd[0]);
	assert_int_equal(load(kernel, name, &mem), 0);
	assert_guest_bytes(mem, guest_u(mem, guest_u(mem, cpu.gpr[R_RBX] + 24, 4), 4), big,
			   sizeof(big));
	mem_free(mem);
	close(fd[0]);
	/* A stream without end is refused, not swallowed. */
	assert_refused(kernel, "/dev/zero", -EFBIG, "larger than the guest's memory");
}

static void file_when_read_past_end_expect_erange(void **state)
{
	const char *path = put_file("ten", "0123456789", 10);
	struct fw_file f;
	uint8_t b[16];

	(void)state;
	assert_int_equal(fw_file_open(&f, path, "kernel", MIB, &err), 0);
	assert_int_equal(f.size, 10);
	assert_int_equal(fw_file_read(&f, 4, b, 6), 0);
	assert_memory_equal(b, "456789", 6);
	assert_int_equal(fw_file_read(&f, 4, b, 7), -ERANGE);
	assert_int_equal(fw_file_read(&f, UINT64_MAX, b, 2), -ERANGE);
	/* The file shrinks while it is open. */
	assert_int_equal(truncate(path, 5), 0);
	assert_int_equal(fw_file_read(&f, 4, b, 6), -ERANGE);
	fw_file_close(&f);
}

static void kind_names_when_asked_expect_words(void **state)
{
	(void)state;
	assert_string_equal(boot_kind_name(BOOT_KIND_BZIMAGE), "Linux bzImage");
	assert_string_equal(boot_kind_name(BOOT_KIND_PVH), "PVH ELF image");
	assert_string_equal(boot_kind_name(BOOT_KIND_MULTIBOOT), "Multiboot image");
}

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	char line[64];

	(void)state;
	snprintf(line, sizeof(line), "rm -rf %s", dir);
	return system(line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(load_when_kernel_missing_expect_sentence),
		cmocka_unit_test(load_when_unreadable_expect_sentence),
		cmocka_unit_test(load_when_not_a_kernel_expect_hint),
		cmocka_unit_test(load_when_initrd_bad_expect_sentence),
		cmocka_unit_test(load_when_modules_listed_expect_each_with_arguments),
		cmocka_unit_test(load_when_too_many_modules_expect_sentence),
		cmocka_unit_test(load_when_pipe_expect_contents),
		cmocka_unit_test(file_when_read_past_end_expect_erange),
		cmocka_unit_test(kind_names_when_asked_expect_words),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
