/*
 * crc32c: CRC-32C (Castagnoli), as RFC 3720 appendix B.4 and iSCSI have it. SSE4.2 where the CPU has it, else
 * a table; both give the same.
 */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The crc of bytes, after `crc` of what came before them (0 at the start). */
uint32_t crc32c(uint32_t crc, const void *bytes, size_t count);
/* The same by table, whatever the CPU has. */
uint32_t crc32c_table(uint32_t crc, const void *bytes, size_t count);

#endif
