/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Compute-only operations that run as the host's own instruction: OP(IDENTIFIER, "mnemonic"). */
#ifndef LODGE_X86_OPS_SIMD_H
#define LODGE_X86_OPS_SIMD_H

#define X86_OPS_SIMD(OP)                                                                           \
	OP(POPCNT, "popcnt") OP(LZCNT, "lzcnt") OP(TZCNT, "tzcnt") OP(CRC32, "crc32")              \
	OP(ADCX, "adcx") OP(ADOX, "adox") OP(FWAIT, "fwait")

#endif
