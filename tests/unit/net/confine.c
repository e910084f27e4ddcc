// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What code in the NAT process can do, should somebody get code in there: make t T=net/confine
 * Each drill is a child that shuts itself in as the helper does, and then tries something.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/range.h"
#include "net/user_int.h"

#define OK 0	  /* the drill could do what the helper needs */
#define FAILED 42 /* it was told no */
#define COULD 43  /* it could, and must not */
#define BROKEN 44 /* shutting in did not work */

static char folder[] = "/tmp/lodge-confine-XXXXXX";
static const char *tftp; /* or NULL */

static int in_child(int (*drill)(void))
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		struct lodge_err err = {""};

		if (net_confine_files(tftp, &err) < 0 || net_confine_calls(true, &err)) {
			fprintf(stderr, "%s\n", err.msg);
			_exit(BROKEN);
		}
		_exit(drill());
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void expect_killed(int (*drill)(void), const char *what)
{
	int status = in_child(drill);

	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS) {
		print_error("%s: status 0x%x\n", what, status);
		fail();
	}
}

static void expect_exit(int (*drill)(void), int code, const char *what)
{
	int status = in_child(drill);

	if (!WIFEXITED(status) || WEXITSTATUS(status) != code) {
		print_error("%s: status 0x%x\n", what, status);
		fail();
	}
}

/* ---- Killed for it ---- */

static int open_to_write(void)
{
	return open("/etc/resolv.conf", O_WRONLY) >= 0 ? COULD : FAILED;
}

static int create_file(void)
{
	return open("/tmp/lodge-was-here", O_RDWR | O_CREAT, 0600) >= 0 ? COULD : FAILED;
}

static int open_path(void)
{
	return open("/", O_PATH) >= 0 ? COULD : FAILED;
}

static int rename_file(void)
{
	return rename("/etc/resolv.conf", "/etc/other") ? FAILED : COULD;
}

static int list_folder(void)
{
	char buf[512];

	return syscall(SYS_getdents64, 0, buf, sizeof(buf)) >= 0 ? COULD : FAILED;
}

static int fork_one(void)
{
	return fork() >= 0 ? COULD : FAILED;
}

static int execute(void)
{
	char *argv[] = {"sh", NULL};

	execv("/bin/sh", argv);
	return FAILED;
}

static int unix_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0) >= 0 ? COULD : FAILED;
}

static int netlink_socket(void)
{
	return socket(AF_NETLINK, SOCK_RAW, 0) >= 0 ? COULD : FAILED;
}

static int packet_socket(void)
{
	return socket(AF_PACKET, SOCK_RAW, 0) >= 0 ? COULD : FAILED;
}

static int kill_parent(void)
{
	return kill(getpid(), 0) ? FAILED : COULD;
}

static int trace_other(void)
{
	return ptrace(PTRACE_ATTACH, 1, NULL, NULL) ? FAILED : COULD;
}

static int read_other(void)
{
	char b;
	struct iovec v = {&b, 1};

	return process_vm_readv(1, &v, 1, &v, 1, 0) >= 0 ? COULD : FAILED;
}

static int make_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
			       MAP_FAILED
		       ? FAILED
		       : COULD;
}

static int make_code_later(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return mprotect(p, 4096, PROT_READ | PROT_EXEC) ? FAILED : COULD;
}

static int mount_something(void)
{
	return mount("none", "/", "proc", 0, NULL) ? FAILED : COULD;
}

static int new_namespace(void)
{
	return unshare(CLONE_NEWUSER) ? FAILED : COULD;
}

static int type_into_terminal(void)
{
	return ioctl(0, TIOCSTI, "x") ? FAILED : COULD;
}

static int load_bpf(void)
{
	return syscall(SYS_bpf, 0, NULL, 0) < 0 ? FAILED : COULD;
}

static int use_io_uring(void)
{
	return syscall(SYS_io_uring_setup, 8, NULL) < 0 ? FAILED : COULD;
}

static int open_by_openat2(void)
{
	return syscall(SYS_openat2, AT_FDCWD, "/", NULL, 0) < 0 ? FAILED : COULD;
}

static void forbidden_call_when_made_expect_the_process_killed(void **state)
{
	static const struct {
		int (*drill)(void);
		const char *what;
	} drills[] = {
		{open_to_write, "open for writing"},
		{create_file, "create a file"},
		{open_path, "open O_PATH"},
		{rename_file, "rename"},
		{list_folder, "list a folder"},
		{fork_one, "fork"},
		{execute, "exec"},
		{unix_socket, "Unix socket"},
		{netlink_socket, "netlink"},
		{packet_socket, "packet socket"},
		{kill_parent, "kill"},
		{trace_other, "ptrace"},
		{read_other, "process_vm_readv"},
		{make_code, "executable mmap"},
		{make_code_later, "mprotect"},
		{mount_something, "mount"},
		{new_namespace, "unshare"},
		{type_into_terminal, "TIOCSTI"},
		{load_bpf, "bpf"},
		{use_io_uring, "io_uring"},
		{open_by_openat2, "openat2"},
	};

	tftp = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(drills); i++)
		expect_killed(drills[i].drill, drills[i].what);
}

/* ---- Told no ---- */

static int read_passwd(void)
{
	return open("/etc/passwd", O_RDONLY) >= 0 ? COULD : FAILED;
}

static int read_self(void)
{
	return open("/proc/self/mem", O_RDONLY) >= 0 ? COULD : FAILED;
}

static int read_the_folder(void)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/boot", folder);
	return open(path, O_RDONLY) >= 0 ? COULD : FAILED;
}

static int climb_out(void)
{
	return open("/tftp/../../etc/passwd", O_RDONLY) >= 0 ? COULD : FAILED;
}

static int follow_link_out(void)
{
	return open("/tftp/link", O_RDONLY) >= 0 ? COULD : FAILED;
}

static int raw_socket(void)
{
	return socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) >= 0 ? COULD : FAILED;
}

static int odd_option(void)
{
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	return setsockopt(fd, SOL_SOCKET, SO_MARK, &one, sizeof(one)) ? FAILED : COULD;
}

static void file_when_outside_expect_it_is_not_there(void **state)
{
	tftp = NULL;
	expect_exit(read_passwd, FAILED, "/etc/passwd");
	expect_exit(read_self, FAILED, "/proc/self/mem");
	expect_exit(read_the_folder, FAILED, "a folder nobody gave");
	expect_exit(raw_socket, FAILED, "raw socket");
}

static void option_when_not_needed_expect_killed(void **state)
{
	expect_killed(odd_option, "SO_MARK");
}

/* ---- What it needs ---- */

static int do_the_job(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int one = 1, tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int udp = socket(AF_INET, SOCK_DGRAM, 0), conf = open("/etc/resolv.conf", O_RDONLY);
	void *p = malloc(1 << 20);

	if (tcp < 0 || udp < 0 || conf < 0 || !p)
		return FAILED;
	if (setsockopt(tcp, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(tcp, (struct sockaddr *)&in, sizeof(in)) || listen(tcp, 1))
		return FAILED;
	free(p);
	close(conf);
	return OK;
}

static int read_tftp(void)
{
	char b[8] = "";
	int fd = open("/tftp/boot", O_RDONLY);

	return fd >= 0 && read(fd, b, 4) == 4 && !memcmp(b, "pxe!", 4) ? OK : FAILED;
}

static void job_when_confined_expect_it_done(void **state)
{
	tftp = NULL;
	expect_exit(do_the_job, OK, "sockets and resolv.conf");
}

static void folder_when_given_expect_it_and_nothing_beside(void **state)
{
	tftp = folder;
	expect_exit(read_tftp, OK, "/tftp/boot");
	expect_exit(climb_out, FAILED, "..");
	expect_exit(follow_link_out, FAILED, "a link out of it");
	expect_exit(read_passwd, FAILED, "/etc/passwd");
	expect_killed(create_file, "create a file");
	tftp = "/nonexistent";
	struct lodge_err err;

	assert_int_equal(net_confine_files(tftp, &err), -ENOENT);
	assert_non_null(strstr(err.msg, "tftp=/nonexistent"));
}

static void rights_when_confined_expect_none(void **state)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		struct rlimit r;
		struct lodge_err err = {""};
		char text[4096] = "";
		int fd = open("/proc/self/status", O_RDONLY);
		const char *at;

		if (net_confine_files(NULL, &err) < 0)
			_exit(BROKEN);
		if (read(fd, text, sizeof(text) - 1) <= 0)
			_exit(BROKEN);
		at = strstr(text, "CapEff:");
		/* Nothing but perhaps the right to low ports (bit 10). */
		if (!at || (strtoull(at + 7, NULL, 16) & ~(1ull << 10)))
			_exit(COULD);
		at = strstr(text, "NoNewPrivs:");
		if (!at || atoi(at + 11) != 1)
			_exit(COULD);
		getrlimit(RLIMIT_NPROC, &r);
		_exit(r.rlim_max == 0 ? OK : COULD);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
}

static void filter_expect_at_most_fifty_calls(void **state)
{
	assert_in_range(net_confine_count(), 20, 50);
}

int main(void)
{
	char path[256];
	FILE *f;
	int r;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forbidden_call_when_made_expect_the_process_killed),
		cmocka_unit_test(file_when_outside_expect_it_is_not_there),
		cmocka_unit_test(option_when_not_needed_expect_killed),
		cmocka_unit_test(job_when_confined_expect_it_done),
		cmocka_unit_test(folder_when_given_expect_it_and_nothing_beside),
		cmocka_unit_test(rights_when_confined_expect_none),
		cmocka_unit_test(filter_expect_at_most_fifty_calls),
	};

	if (!mkdtemp(folder))
		return 1;
	snprintf(path, sizeof(path), "%s/boot", folder);
	f = fopen(path, "w");
	if (!f || fputs("pxe!", f) < 0 || fclose(f))
		return 1;
	snprintf(path, sizeof(path), "%s/link", folder);
	if (symlink("/etc/passwd", path))
		return 1;
	r = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	snprintf(path, sizeof(path), "%s/boot", folder);
	unlink(path);
	rmdir(folder);
	return r;
}
