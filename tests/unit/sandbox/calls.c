// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What code in a thread of the VM can do, should somebody get code in there: make t T=sandbox/calls
 * Each drill is a child that shuts itself in as `lodge run` does, makes a thread of some kind as the machine
 * does, and tries something in it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <sched.h>
#include <seccomp.h>
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
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/files.h"
#include "base/range.h"
#include "base/thread.h"
#include "sandbox/calls.h"
#include "sandbox/landlock.h"
#include "sandbox/sandbox.h"

#define OK 0
#define COULD 43  /* it could, and must not */
#define BROKEN 44 /* shutting in did not work */

typedef int drill(void);

static pid_t parent;
static char folder[] = "/tmp/lodge-sandbox-XXXXXX";
static char granted[64], other[64], image_dir[64], image[80], beside[80];

static void *in_thread(void *arg)
{
	_exit(((drill *)arg)());
}

static void shut_in_and(enum thread_kind kind, drill *d, int err_fd)
{
	const struct sandbox_config cfg = {.folders = true};
	struct lodge_err err = {""};
	pthread_t t;

	dup2(err_fd, 2);
	/* Not cmocka's, which would go on with the next test. */
	signal(SIGSYS, SIG_DFL);
	file_note(granted, FILE_READ);
	file_note(image, FILE_IMAGE);
	if (sandbox_close(&cfg, &err)) {
		fprintf(stderr, "%s\n", err.msg);
		_exit(BROKEN);
	}
	if (kind != THREAD_MAIN) {
		if (thread_create(&t, kind, "drill", 0, in_thread, d))
			_exit(BROKEN);
		pthread_join(t, NULL);
		_exit(BROKEN);
	}
	thread_enter(THREAD_MAIN);
	_exit(d());
}

/* What it said on standard error goes to `said`. */
static int in_child(enum thread_kind kind, drill *d, char *said, size_t size)
{
	int status, fds[2];
	size_t have = 0;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (!pid)
		shut_in_and(kind, d, fds[1]);
	assert_true(pid > 0);
	close(fds[1]);
	while (have < size - 1 && (n = read(fds[0], said + have, size - 1 - have)) > 0)
		have += (size_t)n;
	said[have] = '\0';
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void expect_killed(enum thread_kind kind, drill *d, const char *what, const char *call)
{
	char said[1000];
	int status = in_child(kind, d, said, sizeof(said));

	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS || (call && !strstr(said, call))) {
		print_error("%s, %s: status 0x%x, said: %s\n", sandbox_kind_name(kind), what,
			    status, said);
		fail();
	}
}

static void expect_exit(enum thread_kind kind, drill *d, int code, const char *what)
{
	char said[1000];
	int status = in_child(kind, d, said, sizeof(said));

	if (!WIFEXITED(status) || WEXITSTATUS(status) != code) {
		print_error("%s, %s: status 0x%x, said: %s\n", sandbox_kind_name(kind), what,
			    status, said);
		fail();
	}
}

/* ---- What nobody may ---------------------------------------------------------------------------- */

static int execute(void)
{
	char *argv[] = {"sh", NULL};

	execv("/bin/sh", argv);
	return OK;
}

static int fork_one(void)
{
	return syscall(SYS_fork) >= 0 ? COULD : OK;
}

static int clone_process(void)
{
	return syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) >= 0 ? COULD : OK;
}

static int inet_socket(void)
{
	return socket(AF_INET, SOCK_STREAM, 0) >= 0 ? COULD : OK;
}

static int unix_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0) >= 0 ? COULD : OK;
}

static int connect_somewhere(void)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX, .sun_path = "/run/x"};

	return connect(0, (struct sockaddr *)&sun, sizeof(sun)) ? OK : COULD;
}

static int trace_parent(void)
{
	return ptrace(PTRACE_ATTACH, parent, NULL, NULL) ? OK : COULD;
}

static int read_parent(void)
{
	char c;
	struct iovec us = {&c, 1}, them = {(void *)(uintptr_t)folder, 1};

	return process_vm_readv(1, &us, 1, &them, 1, 0) == 1 ? COULD : OK;
}

static int executable_memory(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0) == MAP_FAILED
		       ? OK
		       : COULD;
}

static int make_executable(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return mprotect(p, 4096, PROT_READ | PROT_EXEC) ? OK : COULD;
}

static int make_ring(void)
{
	struct io_uring_params p = {0};

	return syscall(SYS_io_uring_setup, 4, &p) >= 0 ? COULD : OK;
}

static int new_namespace(void)
{
	return unshare(CLONE_NEWUSER) ? OK : COULD;
}

static int mount_one(void)
{
	return mount("none", "/tmp", "tmpfs", 0, NULL) ? OK : COULD;
}

static int become_root(void)
{
	return setuid(0) ? OK : COULD;
}

/* As kill(-1) would, were there such a group. */
static int kill_group(void)
{
	return kill(-0x3fffffff, SIGKILL) && errno == ESRCH ? COULD : OK;
}

static int signal_parent(void)
{
	return syscall(SYS_tgkill, parent, parent, SIGCONT) ? OK : COULD;
}

static int type_into_terminal(void)
{
	return ioctl(0, TIOCSTI, "x") ? OK : COULD;
}

static int load_program(void)
{
	return syscall(SYS_bpf, 0, NULL, 0) ? OK : COULD;
}

static int call_of_32_bits(void)
{
	int r;

	__asm__ volatile("int $0x80" : "=a"(r) : "0"(20) : "memory");
	return r > 0 ? COULD : OK;
}

static const enum thread_kind all[] = {THREAD_MAIN, THREAD_CONTROL, THREAD_IO,	    THREAD_VCPU,
				       THREAD_DISK, THREAD_9P,	    THREAD_DISPLAY, THREAD_ENGINE};

static void planted_code_when_it_wants_out_expect_killed(void **state)
{
	static const struct {
		drill *d;
		const char *what, *call;
	} drills[] = {
		{execute, "execve", "execve"},
		{fork_one, "fork", "fork"},
		{inet_socket, "a TCP socket", "socket"},
		{unix_socket, "a Unix socket", "socket"},
		{connect_somewhere, "connect", "connect"},
		{trace_parent, "ptrace", "ptrace"},
		{read_parent, "process_vm_readv", "process_vm_readv"},
		{executable_memory, "memory to write and execute", "mmap"},
		{make_executable, "memory made executable", "mprotect"},
		{new_namespace, "a name space", "unshare"},
		{mount_one, "mount", "mount"},
		{become_root, "setuid", "setuid"},
		{signal_parent, "a signal to its parent", "tgkill"},
		{type_into_terminal, "TIOCSTI", "ioctl"},
		{load_program, "bpf", "bpf"},
		{call_of_32_bits, "a system call of 32-bit programs", NULL},
	};

	for (size_t k = 0; k < ARRAY_SIZE(all); k++) {
		for (size_t i = 0; i < ARRAY_SIZE(drills); i++)
			expect_killed(all[k], drills[i].d, drills[i].what, drills[i].call);
	}
}

static void planted_code_when_it_makes_a_process_by_clone_expect_killed(void **state)
{
	for (size_t k = 0; k < ARRAY_SIZE(all); k++)
		expect_killed(all[k], clone_process, "clone of a process", "clone");
}

static void planted_code_when_it_makes_a_ring_expect_none(void **state)
{
	for (size_t k = 0; k < ARRAY_SIZE(all); k++) {
		if (all[k] == THREAD_CONTROL)
			expect_exit(all[k], make_ring, OK, "io_uring");
		else
			expect_killed(all[k], make_ring, "io_uring", "io_uring_setup");
	}
}

static void planted_code_when_it_kills_a_group_expect_killed(void **state)
{
	for (size_t k = 0; k < ARRAY_SIZE(all); k++)
		expect_killed(all[k], kill_group, "kill of a group", "kill");
}

/* ---- Files -------------------------------------------------------------------------------------- */

static int open_granted(void)
{
	return open(granted, O_RDONLY) >= 0 ? COULD : OK;
}

static int write_granted(void)
{
	return open(granted, O_RDWR) >= 0 ? COULD : OK;
}

static int open_other(void)
{
	int fd = open(other, O_RDONLY);

	return fd >= 0 || errno != EACCES ? COULD : OK;
}

static int open_own_memory(void)
{
	return open("/proc/self/mem", O_RDWR) >= 0 ? COULD : OK;
}

static int create_other(void)
{
	char path[80];

	snprintf(path, sizeof(path), "%s/new", folder);
	return open(path, O_RDWR | O_CREAT, 0600) >= 0 ? COULD : OK;
}

static int remove_other(void)
{
	return unlink(other) ? OK : COULD;
}

static int make_beside_image(void)
{
	int fd = open(beside, O_RDWR | O_CREAT | O_EXCL, 0600);

	return fd >= 0 && !unlink(beside) ? COULD : OK;
}

static int open_image(void)
{
	return open(image, O_RDWR) >= 0 ? COULD : OK;
}

static void a_vcpu_when_it_opens_any_file_expect_none(void **state)
{
	static const enum thread_kind without[] = {THREAD_VCPU, THREAD_IO, THREAD_DISK};

	for (size_t k = 0; k < ARRAY_SIZE(without); k++) {
		expect_exit(without[k], open_granted, OK, "open");
		expect_exit(without[k], open_image, OK, "open an image");
		expect_exit(without[k], open_own_memory, OK, "/proc/self/mem");
		expect_killed(without[k], remove_other, "unlink", "unlink");
	}
}

static void main_when_it_opens_files_expect_only_those_granted(void **state)
{
	static const enum thread_kind with[] = {THREAD_MAIN, THREAD_CONTROL};
	int error;

	if (!landlock_version(&error))
		skip();
	for (size_t k = 0; k < ARRAY_SIZE(with); k++) {
		expect_exit(with[k], open_granted, COULD, "a file read at reset");
		expect_exit(with[k], write_granted, OK, "that file, to write");
		expect_exit(with[k], open_other, OK, "another file");
		expect_exit(with[k], open_own_memory, OK, "/proc/self/mem");
		expect_exit(with[k], create_other, OK, "a new file");
		expect_exit(with[k], remove_other, OK, "removing a file");
		expect_exit(with[k], open_image, COULD, "an image");
		expect_exit(with[k], make_beside_image, COULD, "a snapshot beside the image");
	}
	/* Shared folders only, and there is none. */
	expect_exit(THREAD_9P, open_granted, OK, "a file of the machine");
	expect_exit(THREAD_9P, open_other, OK, "another file");
}

static void a_folder_when_it_holds_more_than_images_expect_too_wide(void **state)
{
	static const char *const wide[] = {
		"/",	     "/tmp",	"/etc",	    "/etc/x",	      "/usr/lib",	    "/home",
		"/home/ada", "/proc/1", "/dev/shm", "/home/ada/.ssh", "/home/ada/.config/x"};
	static const char *const fine[] = {"/home/ada/vms",
					   "/tmp/x",
					   "/var/lib/images",
					   "/home/bob",
					   "/home/ada/.local/share/vms",
					   "/srv/x"};

	for (size_t i = 0; i < ARRAY_SIZE(wide); i++) {
		if (!landlock_too_wide(wide[i], "/home/ada"))
			fail_msg("%s is opened", wide[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(fine); i++) {
		if (landlock_too_wide(fine[i], "/home/ada"))
			fail_msg("%s is not opened", fine[i]);
	}
}

/* ---- Rights, and what must go on --------------------------------------------------------------------- */

static int allocate(void)
{
	void *p = malloc(1 << 20), *q;

	memset(p, 1, 1 << 20);
	q = realloc(p, 8 << 20);
	free(q);
	fprintf(stderr, "it works\n");
	return OK;
}

static void a_thread_when_it_does_its_work_expect_it_goes_on(void **state)
{
	char said[1000];

	for (size_t k = 0; k < ARRAY_SIZE(all); k++) {
		int status = in_child(all[k], allocate, said, sizeof(said));

		if (!WIFEXITED(status) || WEXITSTATUS(status) || !strstr(said, "it works"))
			fail_msg("%s: status 0x%x, said %s", sandbox_kind_name(all[k]), status,
				 said);
	}
}

static void a_list_when_counted_expect_at_most_fifty(void **state)
{
	for (size_t k = 0; k < ARRAY_SIZE(all); k++) {
		unsigned n = sandbox_calls_count(all[k], 0);
		unsigned most = sandbox_calls_count(all[k], SANDBOX_VSOCK | SANDBOX_DGRAM);

		print_message("%-8s %u system calls%s\n", sandbox_kind_name(all[k]), n,
			      most > n ? ", 2 more with a vsock" : "");
		assert_in_range(n, 10, SANDBOX_CALLS_MAX);
		assert_in_range(most, n, SANDBOX_CALLS_MAX);
	}
}

static void make_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT, 0600);

	assert_true(fd >= 0);
	close(fd);
}

static int set_up(void **state)
{
	parent = getpid();
	assert_non_null(mkdtemp(folder));
	snprintf(granted, sizeof(granted), "%s/granted", folder);
	snprintf(other, sizeof(other), "%s/other", folder);
	snprintf(image_dir, sizeof(image_dir), "%s/images", folder);
	snprintf(image, sizeof(image), "%s/disk.img", image_dir);
	snprintf(beside, sizeof(beside), "%s/snapshot", image_dir);
	assert_int_equal(mkdir(image_dir, 0700), 0);
	make_file(granted);
	make_file(other);
	make_file(image);
	return 0;
}

static int tear_down(void **state)
{
	unlink(granted);
	unlink(other);
	unlink(image);
	rmdir(image_dir);
	rmdir(folder);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_when_counted_expect_at_most_fifty),
		cmocka_unit_test(a_folder_when_it_holds_more_than_images_expect_too_wide),
		cmocka_unit_test(a_thread_when_it_does_its_work_expect_it_goes_on),
		cmocka_unit_test(planted_code_when_it_wants_out_expect_killed),
		cmocka_unit_test(planted_code_when_it_makes_a_process_by_clone_expect_killed),
		cmocka_unit_test(planted_code_when_it_makes_a_ring_expect_none),
		cmocka_unit_test(planted_code_when_it_kills_a_group_expect_killed),
		cmocka_unit_test(a_vcpu_when_it_opens_any_file_expect_none),
		cmocka_unit_test(main_when_it_opens_files_expect_only_those_granted),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
