/*
 * enrolment.c: see enrolment.h. A store to an account's bucket may meet the program's: both only move it
 * up (none, one holder, several), and the exchange keeps the higher one.
 */
#include "enrolment.h"

#include <errno.h>
#include <sys/mman.h>

static const size_t WORDS_BYTES = sizeof(uint64_t) * ENROLMENT_WORDS,
		    HOLDERS_BYTES = sizeof(uint32_t) * ENROLMENT_ACCOUNTS;

int enrolment_init(struct enrolment *e)
{
	char *memory = mmap(NULL, WORDS_BYTES + HOLDERS_BYTES, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		return -errno;
	*e = (struct enrolment){ .words = (uint64_t *)memory,
				 .holders = (uint32_t *)(memory + WORDS_BYTES),
				 .own = memory };
	return 0;
}

void enrolment_deinit(struct enrolment *e)
{
	if (e->own)
		munmap(e->own, WORDS_BYTES + HOLDERS_BYTES);
	*e = (struct enrolment){ 0 };
}

void enrolment_customer_add(struct enrolment *e, uint64_t customer)
{
	uint32_t bucket = enrolment_customer(customer);

	__atomic_fetch_or(&e->words[bucket / 64], UINT64_C(1) << bucket % 64, __ATOMIC_SEQ_CST);
}

static void holder_join(struct enrolment *e, uint64_t account, uint32_t holder_bucket)
{
	uint32_t *at = &e->holders[enrolment_account(account)], is = __atomic_load_n(at, __ATOMIC_RELAXED);

	while (!__atomic_compare_exchange_n(at, &is, enrolment_holder_join(is, holder_bucket), false,
					    __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		;
}

void enrolment_account_add(struct enrolment *e, uint64_t account, const uint64_t *holders, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		holder_join(e, account, enrolment_customer(holders[i]));
}

void enrolment_frame_add(struct enrolment *e, const struct frame_header *h)
{
	if (h->kind != FRAME_SUBSCRIBE && h->kind != FRAME_PROFILE)
		return;
	if (h->customer)
		enrolment_customer_add(e, h->customer);
	if (h->account)
		__atomic_store_n(&e->holders[enrolment_account(h->account)], ENROLMENT_HOLDER_SEVERAL,
				 __ATOMIC_SEQ_CST);
}

static bool customer_in(const struct enrolment *e, uint32_t bucket)
{
	return __atomic_load_n(&e->words[bucket / 64], __ATOMIC_RELAXED) >> (bucket % 64) & 1;
}

bool enrolment_concerns(const struct enrolment *e, const struct frame_header *h)
{
	if (h->customer && customer_in(e, enrolment_customer(h->customer)))
		return true;
	if (!h->account)
		return false;
	uint32_t holder = __atomic_load_n(&e->holders[enrolment_account(h->account)], __ATOMIC_RELAXED);
	if (holder == ENROLMENT_HOLDER_SEVERAL)
		return true;
	return holder != ENROLMENT_HOLDER_NONE && customer_in(e, holder - 1);
}
