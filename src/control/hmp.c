// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * HMP: the monitor for people. A line is a command; arguments are words, quoted where they hold spaces.
 * Source: QEMU's human monitor (docs "QEMU Monitor"): names, arguments, and how answers look.
 * Threads: the control thread's.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/range.h"
#include "control/hmp_int.h"

/* As QEMU's, since programs wait for it. */
#define PROMPT "(qemu) "

/* ---- Words -------------------------------------------------------------------------------------- */

/* Cut `line` into words, in place. Their number, or -1 for a quote that does not end or too many. */
static int split(char *line, char *word[HMP_WORDS])
{
	char *in = line, *out = line;
	int n = 0;

	for (;;) {
		char quote = 0;

		while (*in == ' ' || *in == '\t')
			in++;
		if (!*in)
			return n;
		if (n == HMP_WORDS)
			return -1;
		word[n++] = out;
		while (*in && (quote || (*in != ' ' && *in != '\t'))) {
			if (*in == '\\' && quote && in[1]) {
				*out++ = in[1];
				in += 2;
			} else if (*in == '"') {
				quote = (char)(quote ? 0 : '"');
				in++;
			} else {
				*out++ = *in++;
			}
		}
		if (quote)
			return -1;
		if (*in)
			in++;
		*out++ = '\0';
	}
}

/* ---- Commands ----------------------------------------------------------------------------------- */

static int help(struct hmp *h, char **word)
{
	for (const struct hmp_command *const *t = hmp_tables; *t; t++) {
		for (const struct hmp_command *c = *t; c->name; c++) {
			if (!word[0] || !strcmp(word[0], c->name))
				mon_buf_printf(h->out, "%s%s%s -- %s\n", c->name,
					       *c->args ? " " : "", c->args, c->help);
		}
	}
	return 0;
}

static int info(struct hmp *h, char **word)
{
	int n = 0;

	while (word[0] && word[n + 1])
		n++;
	for (const struct hmp_command *c = hmp_infos; c->name; c++) {
		if (!word[0])
			mon_buf_printf(h->out, "info %s -- %s\n", c->name, c->help);
		else if (!strcmp(word[0], c->name))
			return n < c->least || n > c->most
				       ? err_set(&h->err, -EINVAL, "write it as: info %s %s",
						 c->name, c->args)
				       : c->run(h, word + 1);
	}
	return word[0] ? err_set(&h->err, -EINVAL,
				 "there is no 'info %.60s'; 'info' lists what there is", word[0])
		       : 0;
}

static const struct hmp_command own[] = {
	{"help", "?", "[command]", "explain commands", 0, 1, help},
	{"info", NULL, "[subject]", "what the machine is and does", 0, 2, info},
	{NULL, NULL, NULL, NULL, 0, 0, NULL},
};

const struct hmp_command *const hmp_tables[] = {own, hmp_run_commands, hmp_device_commands,
						hmp_look_commands, hmp_input_commands, NULL};

static const struct hmp_command *find(const char *name)
{
	for (const struct hmp_command *const *t = hmp_tables; *t; t++) {
		for (const struct hmp_command *c = *t; c->name; c++) {
			if (!strcmp(c->name, name) || (c->alias && !strcmp(c->alias, name)))
				return c;
		}
	}
	return NULL;
}

static void carry_out(struct hmp *h, const char *line)
{
	char copy[MON_LINE_MAX], *word[HMP_WORDS + 1] = {NULL}, *format;
	const struct hmp_command *c;
	int n;

	if (snprintf(copy, sizeof(copy), "%s", line) >= (int)sizeof(copy)) {
		err_set(&h->err, -EINVAL, "the command is too long");
		return;
	}
	n = split(copy, word);
	if (n < 0)
		err_set(&h->err, -EINVAL, "a quote does not end, or there are too many words");
	if (n <= 0)
		return;
	format = strchr(word[0], '/');
	if (format) {
		*format = '\0';
		h->format = format + 1;
	}
	c = find(word[0]);
	if (c && format && c->args[0] != '/')
		err_set(&h->err, -EINVAL, "'%s' takes no format", c->name);
	else if (!c)
		err_set(&h->err, -EINVAL, "unknown command: '%.60s'", word[0]);
	else if (n - 1 < c->least || n - 1 > c->most)
		err_set(&h->err, -EINVAL, "write it as: %s %s", c->name, c->args);
	else
		c->run(h, word + 1);
}

void hmp_run(struct mon *m, const char *line, struct mon_buf *out)
{
	struct mon_buf text = MON_BUF(MON_TEXT_MAX);
	struct hmp h = {.m = m, .vm = m->vm, .out = &text};

	carry_out(&h, line);
	if (h.err.msg[0])
		mon_buf_printf(&text, "Error: %s\n", h.err.msg);
	for (size_t i = 0; i < text.len; i++) {
		if (text.p[i] == '\n')
			mon_buf_puts(out, "\r\n");
		else
			mon_buf_put(out, text.p + i, 1);
	}
	mon_buf_free(&text);
}

/* ---- A session ---------------------------------------------------------------------------------- */

static void prompt(struct mon *m)
{
	mon_buf_puts(&m->out, PROMPT);
}

void hmp_greet(struct mon *m)
{
	mon_buf_puts(&m->out,
		     "Lodge " LODGE_VERSION " monitor - type 'help' for more information\r\n");
	prompt(m);
}

static void end_line(struct mon *m)
{
	if (m->mode == MON_HMP_ECHO)
		mon_buf_puts(&m->out, "\r\n");
	m->line[m->line_len] = '\0';
	if (m->line_lost)
		mon_buf_puts(&m->out, "Error: the command is too long\r\n");
	else
		hmp_run(m, m->line, &m->out);
	m->line_len = 0;
	m->line_lost = false;
	prompt(m);
}

/* The keys of a terminal that does not edit lines itself. */
static bool edit(struct mon *m, char c)
{
	if (c == '\b' || c == 0x7f) {
		if (m->line_len) {
			m->line_len--;
			mon_buf_puts(&m->out, "\b \b");
		}
		return true;
	}
	if (c == 0x15 || c == 0x03) { /* Ctrl-U, Ctrl-C */
		mon_buf_puts(&m->out, "\r\n");
		m->line_len = 0;
		m->line_lost = false;
		prompt(m);
		return true;
	}
	return false;
}

void hmp_take(struct mon *m, char c)
{
	bool after_cr = m->after_cr;

	m->after_cr = c == '\r';
	if (c == '\n' && after_cr)
		return;
	if (c == '\n' || c == '\r') {
		end_line(m);
		return;
	}
	if (m->mode == MON_HMP_ECHO && edit(m, c))
		return;
	/* What cannot be written has no meaning here. */
	if ((unsigned char)c < ' ' && c != '\t')
		return;
	if (m->line_len == MON_LINE_MAX - 1) {
		m->line_lost = true;
		return;
	}
	m->line[m->line_len++] = c;
	if (m->mode == MON_HMP_ECHO)
		mon_buf_put(&m->out, &c, 1);
}
