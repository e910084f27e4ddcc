// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The real processor's side: a child process whose signal handler loads a test's registers into the
 * signal frame, returns into one instruction with TF set, or into several with INT3 behind them, and
 * reads everything back from the next signal's frame. A timer ends code that does not end. The child may only return from signals and talk over its pipes (seccomp), since a
 * random instruction could be a system call.
 */
#include <asm/ldt.h>
#include <asm/prctl.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "oracle/oracle.h"

#define SEL_CS64 0x33
#define SEL_CS32 0x23
#define SEL_DATA 0x2b
#define SEL_LDT_CODE 0x07
#define SEL_LDT_DATA 0x0f
#define TICK_US 5000 /* of processor time; code that lasts through two ticks has no end */
/* But where a split lock is held up (src/engine/soft/split_lock.c), one took 10 s. */
#define LOCK_TICKS 6000u

struct shared {
	bool has_16bit;
	unsigned count;
	volatile unsigned at; /* the test in flight */
	struct oracle_test tests[];
};

struct host {
	struct shared *sh;
	size_t bytes;
	unsigned batch;
	pid_t pid;
	int to, from; /* pipes: a byte starts a batch, a byte ends it */
};

/* The child's own; a signal handler has no other way to its data. */
static struct shared *sh;
static uint8_t *code_rw;
static ucontext_t home;
static uint8_t home_fp[4096] __attribute__((aligned(64)));
static size_t home_fp_bytes;
static bool at_home = true;
static unsigned seen_at;    /* the test in flight at the last tick */
static unsigned lock_ticks; /* of it, at a locked instruction */

/* ---- Signal frames -------------------------------------------------------------------------- */

static const int greg_of[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
				REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
				REG_R12, REG_R13, REG_R14, REG_R15};

static void put_xsave(uint8_t *fp, const uint8_t *xsave)
{
	uint64_t bv = 7;

	memcpy(fp, xsave, 464); /* up to the software bytes, which tell the kernel the layout */
	memcpy(fp + 512, &bv, 8);
	memset(fp + 520, 0, 56);
	memcpy(fp + 576, xsave + 576, 256);
}

static void get_xsave(uint8_t *xsave, const uint8_t *fp)
{
	uint64_t bv;

	memset(xsave, 0, ORACLE_XSAVE_BYTES);
	memcpy(&bv, fp + 512, 8);
	memcpy(xsave, fp, 464);
	if (!(bv & 1)) {
		memset(xsave, 0, 24);
		xsave[0] = 0x7f;
		xsave[1] = 0x03;
		memset(xsave + 32, 0, 128);
	}
	if (!(bv & 2))
		memset(xsave + 160, 0, 256);
	if (bv & 4)
		memcpy(xsave + 576, fp + 576, 256);
}

static void load_segments(uint16_t sel)
{
	__asm__ volatile("mov %0, %%ds\n\tmov %0, %%es" : : "r"((uint32_t)sel));
}

static void load_test(ucontext_t *uc, const struct oracle_test *t)
{
	greg_t *g = uc->uc_mcontext.gregs;
	uint64_t cs = t->mode == X86_MODE_64   ? SEL_CS64
		      : t->mode == X86_MODE_32 ? SEL_CS32
					       : SEL_LDT_CODE;
	uint64_t ss = t->mode == X86_MODE_16 ? SEL_LDT_DATA : SEL_DATA;

	for (unsigned i = 0; i < 16; i++)
		g[greg_of[i]] = (greg_t)t->in.gpr[i];
	g[REG_RIP] = (greg_t)t->in.rip;
	g[REG_EFL] = (greg_t)t->in.rflags;
	g[REG_CSGSFS] = (greg_t)(cs | ss << 48);
	put_xsave((uint8_t *)uc->uc_mcontext.fpregs, t->in.xsave);
	memset(code_rw, 0xcc, ORACLE_CODE_BYTES);
	memcpy(code_rw + t->code_off, t->code,
	       t->code_off + ORACLE_CODE_MAX <= ORACLE_CODE_BYTES
		       ? ORACLE_CODE_MAX
		       : ORACLE_CODE_BYTES - t->code_off);
	memset((void *)ORACLE_DATA, 0, ORACLE_DATA_BYTES);
	memcpy((uint8_t *)ORACLE_DATA + (ORACLE_DATA_BYTES - ORACLE_WINDOW) / 2, t->window,
	       ORACLE_WINDOW);
	load_segments(t->mode == X86_MODE_16 ? SEL_LDT_DATA : SEL_DATA);
}

static void store_result(const ucontext_t *uc, struct oracle_test *t)
{
	const greg_t *g = uc->uc_mcontext.gregs;

	for (unsigned i = 0; i < 16; i++)
		t->host.s.gpr[i] = (uint64_t)g[greg_of[i]];
	t->host.s.rip = (uint64_t)g[REG_RIP];
	t->host.s.rflags = (uint64_t)g[REG_EFL];
	t->host.vector = (uint8_t)g[REG_TRAPNO];
	t->host.error = (uint32_t)g[REG_ERR];
	t->host.cr2 = (uint64_t)g[REG_CR2];
	get_xsave(t->host.s.xsave, (const uint8_t *)uc->uc_mcontext.fpregs);
	memcpy(t->host.data, (void *)ORACLE_DATA, ORACLE_DATA_BYTES);
}

static void save_home(const ucontext_t *uc)
{
	home = *uc;
	memcpy(home_fp, uc->uc_mcontext.fpregs, home_fp_bytes);
}

static void go_home(ucontext_t *uc)
{
	memcpy(uc->uc_mcontext.gregs, home.uc_mcontext.gregs, sizeof(home.uc_mcontext.gregs));
	memcpy(uc->uc_mcontext.fpregs, home_fp, home_fp_bytes);
	load_segments(SEL_DATA);
}

/* Is a locked instruction next? */
static bool at_lock(const ucontext_t *uc)
{
	uint64_t at = (uint64_t)uc->uc_mcontext.gregs[REG_RIP];
	uint8_t b = 0;

	if ((uc->uc_mcontext.gregs[REG_CSGSFS] & 0xffff) != SEL_LDT_CODE)
		at -= ORACLE_CODE;
	for (; at < ORACLE_CODE_BYTES; at++) {
		b = code_rw[at];
		if (b == 0xf0)
			return true;
		if (b != 0x66 && b != 0x67 && (b & 0xf0) != 0x40 && (b & 0xe7) != 0x26 &&
		    (b & 0xfe) != 0x64 && (b & 0xfe) != 0xf2)
			break;
	}
	return (b & 0xfe) == 0x86; /* XCHG */
}

static void on_signal(int sig, siginfo_t *si, void *ctx)
{
	ucontext_t *uc = ctx;

	/*
	 * The kernel leaves the test's AC, NT and ID flags on; C code is not always aligned, and
	 * the next test would inherit the others.
	 */
	__asm__ volatile("pushf\n\tandl $~0x244000, (%%rsp)\n\tpopf" : : : "cc", "memory");
	(void)si;
	if (sig == SIGVTALRM && (at_home || seen_at != sh->at)) {
		seen_at = sh->at;
		lock_ticks = 0;
		return;
	}
	if (sig == SIGVTALRM && at_lock(uc) && ++lock_ticks < LOCK_TICKS)
		return;
	if (at_home) {
		save_home(uc);
		at_home = false;
		sh->at = 0;
	} else {
		store_result(uc, &sh->tests[sh->at]);
		if (sig == SIGVTALRM)
			sh->tests[sh->at].host.vector = ORACLE_NO_END;
		sh->at++;
	}
	seen_at = ~0u;
	if (sh->at < sh->count) {
		load_test(uc, &sh->tests[sh->at]);
	} else {
		go_home(uc);
		at_home = true;
	}
}

/* ---- The child ------------------------------------------------------------------------------ */

static bool map_layout(void)
{
	int fd = memfd_create("oracle-code", 0);

	if (fd < 0 || ftruncate(fd, ORACLE_CODE_BYTES) < 0)
		return false;
	code_rw = mmap(NULL, ORACLE_CODE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
		       fd, 0);
	void *rx = mmap((void *)ORACLE_CODE, ORACLE_CODE_BYTES, PROT_READ | PROT_EXEC,
			MAP_SHARED | MAP_POPULATE | MAP_FIXED_NOREPLACE, fd, 0);
	void *data = mmap((void *)ORACLE_DATA, ORACLE_DATA_BYTES, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE | MAP_FIXED_NOREPLACE, -1, 0);

	close(fd);
	return code_rw != MAP_FAILED && rx == (void *)ORACLE_CODE && data == (void *)ORACLE_DATA;
}

static bool set_ldt(unsigned entry, uint64_t base, unsigned limit, unsigned contents)
{
	struct user_desc d = {.entry_number = entry,
			      .base_addr = (unsigned)base,
			      .limit = limit,
			      .contents = contents,
			      .useable = 1};

	return syscall(SYS_modify_ldt, 1, &d, sizeof(d)) == 0;
}

static bool lock_down(void)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 5),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 4, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_read, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {.len = sizeof(f) / sizeof(f[0]), .filter = f};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0;
}

static bool catch_signals(void)
{
	static uint8_t stack[65536];
	stack_t ss = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction sa = {.sa_sigaction = on_signal,
			       .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | SA_RESTART};
	struct itimerval tick = {{0, TICK_US}, {0, TICK_US}};
	const int sigs[] = {SIGTRAP, SIGSEGV, SIGILL, SIGFPE, SIGBUS, SIGVTALRM};
	bool ok = sigaltstack(&ss, NULL) == 0;

	sigaddset(&sa.sa_mask, SIGVTALRM);
	for (unsigned i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++)
		ok = ok && sigaction(sigs[i], &sa, NULL) == 0;
	return ok && setitimer(ITIMER_VIRTUAL, &tick, NULL) == 0;
}

_Noreturn static void child(struct shared *shared, int in, int out)
{
	char byte;
	uint32_t eax = 13, ecx = 0, ebx, edx;

	sh = shared;
	__asm__ volatile("cpuid" : "+a"(eax), "+c"(ecx), "=b"(ebx), "=d"(edx));
	home_fp_bytes = ebx + 4 < sizeof(home_fp) ? ebx + 4 : sizeof(home_fp);
	sh->has_16bit = set_ldt(0, ORACLE_CODE, ORACLE_CODE_BYTES - 1, MODIFY_LDT_CONTENTS_CODE) &&
			set_ldt(1, ORACLE_DATA, ORACLE_DATA_BYTES - 1, MODIFY_LDT_CONTENTS_DATA);
	if (!map_layout() || syscall(SYS_arch_prctl, ARCH_SET_GS, (long)ORACLE_GS_BASE) != 0 ||
	    !catch_signals() || !lock_down() || write(out, "r", 1) != 1)
		_exit(3);
	load_segments(SEL_DATA);
	while (read(in, &byte, 1) == 1) {
		__asm__ volatile("int3"
				 :
				 :
				 : "memory"); /* the handler runs the batch and comes back */
		if (write(out, "d", 1) != 1)
			break;
	}
	_exit(0);
}

/* ---- The parent's view ---------------------------------------------------------------------- */

static bool spawn(struct host *h)
{
	int to[2], from[2];
	char byte;

	if (pipe(to) < 0 || pipe(from) < 0)
		return false;
	h->pid = fork();
	if (h->pid == 0) {
		close(to[1]);
		close(from[0]);
		child(h->sh, to[0], from[1]);
	}
	close(to[0]);
	close(from[1]);
	h->to = to[1];
	h->from = from[0];
	return h->pid > 0 && read(h->from, &byte, 1) == 1;
}

struct host *host_start(unsigned batch)
{
	struct host *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	signal(SIGPIPE, SIG_IGN);
	h->batch = batch;
	h->bytes = sizeof(struct shared) + batch * sizeof(struct oracle_test);
	h->sh = mmap(NULL, h->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (h->sh == MAP_FAILED || !spawn(h)) {
		fprintf(stderr, "oracle: cannot start the child process: %s\n", strerror(errno));
		free(h);
		return NULL;
	}
	return h;
}

struct oracle_test *host_tests(struct host *h)
{
	return h->sh->tests;
}

bool host_has_16bit(const struct host *h)
{
	return h->sh->has_16bit;
}

static void reap(struct host *h)
{
	close(h->to);
	close(h->from);
	kill(h->pid, SIGKILL);
	waitpid(h->pid, NULL, 0);
}

bool host_run(struct host *h, unsigned n, unsigned *died)
{
	char byte;

	h->sh->count = n;
	if (write(h->to, "g", 1) == 1 && read(h->from, &byte, 1) == 1)
		return true;
	*died = h->sh->at;
	reap(h);
	if (!spawn(h))
		exit(2);
	return false;
}

void host_stop(struct host *h)
{
	reap(h);
	munmap(h->sh, h->bytes);
	free(h);
}
