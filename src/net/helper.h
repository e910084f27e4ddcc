/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The process that does user-mode NAT. Threads: its only one. */
#ifndef LODGE_NET_HELPER_H
#define LODGE_NET_HELPER_H

/*
 * Called first by main(): when `argv` says that this process is the helper, it runs as that and never
 * returns; otherwise nothing happens. A program that opens a back end of type user has to call it.
 */
void net_helper_main(int argc, char **argv);

#endif
