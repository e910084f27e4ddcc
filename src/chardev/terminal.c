// SPDX-License-Identifier: GPL-2.0-or-later
/* The process's terminal, raw and back. Threads: see the header. */
#include "chardev/terminal.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/range.h"

/* Written once by terminal_take, before other threads; then only `state` changes. */
static struct {
	int fd;
	pid_t pgrp; /* ours */
	struct termios before, raw;
	enum { TERM_NONE, TERM_COOKED, TERM_RAW } state;
	_Atomic int raw_now; /* partner: every function below; a handler may come at any time */
} term = {.fd = -1};

static bool in_foreground(void)
{
	pid_t pgrp = tcgetpgrp(term.fd);

	/* A terminal that is not our controlling one (ENOTTY) has no foreground to respect. */
	return pgrp < 0 || pgrp == term.pgrp;
}

void terminal_restore(void)
{
	int saved = errno;

	if (atomic_exchange(&term.raw_now, 0) && in_foreground())
		tcsetattr(term.fd, TCSANOW, &term.before);
	errno = saved;
}

void terminal_retake(void)
{
	if (term.state != TERM_RAW || !in_foreground())
		return;
	if (tcsetattr(term.fd, TCSANOW, &term.raw) == 0)
		atomic_store(&term.raw_now, 1);
}

void terminal_leave(void)
{
	terminal_restore();
	if (term.state == TERM_RAW)
		term.state = TERM_COOKED;
}

/*
 * The engine's fault handler may stand before this one and call it: the default action is put back
 * here, so that raising again ends the process as it should.
 */
static void on_crash(int sig)
{
	terminal_restore();
	signal(sig, SIG_DFL);
	raise(sig);
}

static void install_crash_handlers(void)
{
	static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGTRAP};
	struct sigaction sa = {.sa_handler = on_crash, .sa_flags = SA_ONSTACK};
	struct sigaction old;

	sigemptyset(&sa.sa_mask);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		/* A handler that is there already stays: it must end the process itself. */
		if (!sigaction(signals[i], NULL, &old) && old.sa_handler == SIG_DFL)
			sigaction(signals[i], &sa, NULL);
	}
}

static void make_raw(struct termios *t, bool signals)
{
	t->c_iflag &= ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
	t->c_oflag |= OPOST;
	t->c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | IEXTEN);
	if (!signals)
		t->c_lflag &= ~(tcflag_t)ISIG;
	t->c_cflag = (t->c_cflag & ~(tcflag_t)(CSIZE | PARENB)) | CS8;
	t->c_cc[VMIN] = 1;
	t->c_cc[VTIME] = 0;
}

int terminal_take(int fd, bool signals, struct lodge_err *err)
{
	if (!isatty(fd))
		return 0;
	term.fd = fd;
	term.pgrp = getpgrp();
	if (tcgetattr(fd, &term.before))
		return err_set(err, -errno, "cannot read the terminal's modes: %s",
			       strerror(errno));
	term.raw = term.before;
	make_raw(&term.raw, signals);
	if (term.state == TERM_NONE) {
		install_crash_handlers();
		atexit(terminal_leave);
	}
	term.state = TERM_RAW;
	terminal_retake();
	return 0;
}
