/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The commands a person types: one verb, one file. Threads: main only. */
#ifndef LODGE_CLI_CLI_H
#define LODGE_CLI_CLI_H

#include <stdbool.h>

/* A verb: `fn` gets its own arguments (argv[0] is the verb) and returns the exit code. */
struct cli_verb {
	const char *name, *summary;
	int (*fn)(int argc, char **argv);
	void (*help)(void); /* prints the verb's full help to standard output */
};

/* Ends with a NULL name. */
extern const struct cli_verb cli_verbs[];
const struct cli_verb *cli_verb_find(const char *name);

/* "lodge: " and the sentence on standard error; returns 1, the exit code of every refusal. */
int cli_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

int cli_run(int argc, char **argv);
void cli_run_help(void);
int cli_img(int argc, char **argv);
void cli_img_help(void);
int cli_doctor(int argc, char **argv);
void cli_doctor_help(void);
int cli_new(int argc, char **argv);
void cli_new_help(void);
int cli_ps(int argc, char **argv);
void cli_ps_help(void);
int cli_stop(int argc, char **argv);
void cli_stop_help(void);
int cli_kill(int argc, char **argv);
void cli_kill_help(void);
int cli_reset(int argc, char **argv);
void cli_reset_help(void);
int cli_pause(int argc, char **argv);
void cli_pause_help(void);
int cli_resume(int argc, char **argv);
void cli_resume_help(void);
int cli_save(int argc, char **argv);
void cli_save_help(void);
int cli_console(int argc, char **argv);
void cli_console_help(void);
int cli_monitor(int argc, char **argv);
void cli_monitor_help(void);
int cli_screenshot(int argc, char **argv);
void cli_screenshot_help(void);
int cli_key(int argc, char **argv);
void cli_key_help(void);
int cli_type(int argc, char **argv);
void cli_type_help(void);
int cli_click(int argc, char **argv);
void cli_click_help(void);
int cli_wait(int argc, char **argv);
void cli_wait_help(void);
int cli_forward(int argc, char **argv);
void cli_forward_help(void);
int cli_help(int argc, char **argv);
void cli_help_help(void);
int cli_version(int argc, char **argv);
void cli_version_help(void);

#endif
