/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The process's terminal: raw while a guest has it, and always given back as it was: at exit, on
 * the signals that end or stop a process, and after a crash.
 *
 * What must be put back is the one process-wide variable here, since signal handlers and exit
 * functions have nothing else to hold on to: a process has one controlling terminal.
 * Source: POSIX.1-2017 ch. 11 (termios), QEMU's choice of modes (output processing stays on).
 */
#ifndef LODGE_CHARDEV_TERMINAL_H
#define LODGE_CHARDEV_TERMINAL_H

#include <stdbool.h>

#include "base/err.h"

/*
 * Make `fd` raw if it is a terminal (and this process in its foreground), else do nothing. With
 * `signals` Ctrl-C, Ctrl-Z and Ctrl-\ stay signals. Installs the crash handlers and the exit
 * function. Main thread, before other threads start. 0 or -errno.
 */
int terminal_take(int fd, bool signals, struct lodge_err *err) MUST_CHECK;
/* Give the terminal back. Any thread; async-signal-safe; again and again. */
void terminal_restore(void);
/* Make it raw again after terminal_restore, as after SIGCONT. Any thread. */
void terminal_retake(void);
/* As terminal_restore, and never raw again. */
void terminal_leave(void);

#endif
