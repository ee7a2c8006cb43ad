/*
 * privileges.c: what is needed to load the program, and what is kept afterwards. By the raw system calls:
 * two of them are no reason for a library.
 */
#include "privileges.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

struct capabilities {
	struct __user_cap_data_struct word[2];
};

static int capabilities_get(struct capabilities *c)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return syscall(SYS_capget, &header, c->word) ? -errno : 0;
}

static bool has(const struct capabilities *c, unsigned capability)
{
	return c->word[capability / 32].effective >> (capability % 32) & 1;
}

const char *privileges_missing(void)
{
	struct capabilities c;

	if (capabilities_get(&c))
		return "capget";
	bool admin = has(&c, CAP_SYS_ADMIN); /* stands for the two that were once part of it */
	if (!admin && !has(&c, CAP_BPF))
		return "CAP_BPF";
	if (!admin && !has(&c, CAP_PERFMON))
		return "CAP_PERFMON";
	return has(&c, CAP_NET_ADMIN) ? NULL : "CAP_NET_ADMIN";
}

int privileges_keep_few(void)
{
	static const unsigned kept[] = { CAP_DAC_OVERRIDE,     CAP_DAC_READ_SEARCH, CAP_FOWNER,
					 CAP_NET_BIND_SERVICE, CAP_IPC_LOCK,	    CAP_SYS_NICE,
					 CAP_SYS_RESOURCE };
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct capabilities c;
	uint32_t mask[2] = { 0 };
	int rc = capabilities_get(&c);

	if (rc)
		return rc;
	for (unsigned i = 0; i < sizeof kept / sizeof *kept; i++)
		mask[kept[i] / 32] |= UINT32_C(1) << kept[i] % 32;
	for (unsigned i = 0; i < 2; i++) {
		c.word[i].effective &= mask[i];
		c.word[i].permitted &= mask[i];
		c.word[i].inheritable = 0;
	}
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	return syscall(SYS_capset, &header, c.word) ? -errno : 0;
}
