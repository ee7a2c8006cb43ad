// needs: user/prefilter/enrolment.c tests/unit/prefilter/traffic.c
/*
 * test_enrolment.c: the bits of enrolment against plain lists of who was ever enrolled and who holds what. An
 * event that concerns somebody who is in must always be kept; one that does not may be kept only because an
 * account has several holders or was named by a PROFILE, or because two numbers share a bucket.
 *
 * The seed is the first argument or MOMENT_SEED.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <prefilter/enrolment.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "traffic.h"

enum { CUSTOMERS = 400, ACCOUNTS = 200, HOLDERS = 4 };

/* Who is in, and who holds what, by place in the list of numbers. */
struct slow {
	uint64_t customer[CUSTOMERS], account[ACCOUNTS];
	bool in[CUSTOMERS];
	bool holds[ACCOUNTS][CUSTOMERS];
	bool named[ACCOUNTS]; /* by a PROFILE: its holders are in a body that is not looked at */
};

/* The number whose hash this is. */
static uint64_t unhash(uint64_t hash)
{
	uint64_t number = hash ^ hash >> 33;

	number *= UINT64_C(0x9cb4b2f8129337db); /* the inverses of the two factors */
	number ^= number >> 33;
	number *= UINT64_C(0x4f74430c22a54005);
	number ^= number >> 33;
	assert_true(enrolment_hash(number) == hash);
	return number;
}

/* A number whose hash begins with these bits. */
static uint64_t number_of(struct random *r, uint64_t bucket, unsigned bits)
{
	return unhash(bucket << (64 - bits) | (1 + below(r, (UINT64_C(1) << (64 - bits)) - 1)));
}

/* Numbers of as many buckets as given. */
static void slow_numbers(struct slow *s, struct random *r, uint32_t customer_buckets,
			 uint32_t account_buckets)
{
	memset(s, 0, sizeof *s);
	for (uint32_t i = 0; i < CUSTOMERS; i++)
		s->customer[i] = number_of(r, i % customer_buckets * 331777, ENROLMENT_CUSTOMER_BITS);
	for (uint32_t i = 0; i < ACCOUNTS; i++)
		s->account[i] = number_of(r, i % account_buckets * 17777, ENROLMENT_ACCOUNT_BITS);
}

static uint32_t holders_of(const struct slow *s, uint32_t account)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < CUSTOMERS; i++)
		count += s->holds[account][i];
	return count;
}

/* Is the actor in, or a holder of the account? -1: there is none. */
static bool slow_meant(const struct slow *s, int customer, int account)
{
	if (customer >= 0 && s->in[customer])
		return true;
	for (uint32_t i = 0; account >= 0 && i < CUSTOMERS; i++)
		if (s->holds[account][i] && s->in[i])
			return true;
	return false;
}

/* What the contract allows to be kept, when no bucket is shared. */
static bool slow_kept(const struct slow *s, int customer, int account)
{
	return slow_meant(s, customer, account) ||
	       (account >= 0 && (s->named[account] || holders_of(s, (uint32_t)account) > 1));
}

static void step_subscribe(struct enrolment *e, struct slow *s, struct random *r)
{
	uint32_t customer = (uint32_t)below(r, CUSTOMERS);
	struct frame_header h = { .kind = one_in(r, 2) ? FRAME_SUBSCRIBE : FRAME_PROFILE,
				  .customer = s->customer[customer] };

	if (one_in(r, 3))
		enrolment_customer_add(e, s->customer[customer]);
	else
		enrolment_frame_add(e, &h);
	s->in[customer] = true;
}

static void step_account(struct enrolment *e, struct slow *s, struct random *r)
{
	uint32_t account = (uint32_t)below(r, ACCOUNTS), count = (uint32_t)below(r, 3);
	uint64_t holders[HOLDERS];

	if (one_in(r, 4))
		count = (uint32_t)below(r, HOLDERS + 1);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t customer = (uint32_t)below(r, CUSTOMERS);
		holders[i] = s->customer[customer];
		s->holds[account][customer] = true;
	}
	enrolment_account_add(e, s->account[account], holders, count);
}

/* Of the account's own record, and now and then with a customer. */
static void step_profile(struct enrolment *e, struct slow *s, struct random *r)
{
	uint32_t account = (uint32_t)below(r, ACCOUNTS), customer = (uint32_t)below(r, CUSTOMERS);
	struct frame_header h = { .kind = FRAME_PROFILE, .account = s->account[account] };

	if (one_in(r, 3)) {
		h.customer = s->customer[customer];
		s->in[customer] = true;
	}
	enrolment_frame_add(e, &h);
	s->named[account] = true;
}

/* No other kind enrols. */
static void step_other(struct enrolment *e, struct slow *s, struct random *r)
{
	static const uint8_t kinds[] = { FRAME_EVENT, FRAME_MANAGE, FRAME_PING, FRAME_ACK, FRAME_HELLO };
	struct frame_header h = { .kind = PICK(r, kinds),
				  .customer = s->customer[below(r, CUSTOMERS)],
				  .account = s->account[below(r, ACCOUNTS)] };

	enrolment_frame_add(e, &h);
}

static void all_checked(const struct enrolment *e, const struct slow *s, bool exact)
{
	for (int customer = -1; customer < CUSTOMERS; customer++)
		for (int account = -1; account < ACCOUNTS; account += 1 + (customer & 7)) {
			struct frame_header h = { .kind = FRAME_EVENT,
						  .customer = customer < 0 ? 0 : s->customer[customer],
						  .account = account < 0 ? 0 : s->account[account] };
			bool kept = enrolment_concerns(e, &h);
			if (slow_meant(s, customer, account))
				assert_true(kept);
			if (exact)
				assert_int_equal(kept, slow_kept(s, customer, account));
		}
}

static void run(struct random *r, uint32_t customer_buckets, uint32_t account_buckets)
{
	bool exact = customer_buckets == CUSTOMERS && account_buckets == ACCOUNTS;
	struct slow *s = malloc(sizeof *s);
	struct enrolment e;
	void (*const steps[])(struct enrolment *, struct slow *,
			      struct random *) = { step_subscribe, step_account, step_account,
						   step_account,   step_profile, step_other };

	assert_non_null(s);
	assert_int_equal(enrolment_init(&e), 0);
	slow_numbers(s, r, customer_buckets, account_buckets);
	for (uint32_t step = 0; step <= 300; step++) {
		if (step % 50 == 0)
			all_checked(&e, s, exact);
		PICK(r, steps)(&e, s, r);
	}
	enrolment_deinit(&e);
	free(s);
}

static void it_is_exact_while_no_bucket_is_shared(void **state)
{
	for (unsigned round = 0; round < 8; round++)
		run(*state, CUSTOMERS, ACCOUNTS);
}

static void shared_buckets_keep_more_and_never_less(void **state)
{
	for (unsigned round = 0; round < 8; round++)
		run(*state, round & 1 ? CUSTOMERS / 7 : CUSTOMERS, round & 2 ? ACCOUNTS / 9 : ACCOUNTS);
	run(*state, 1, 1);
}

/* Whoever is in takes those of the same bucket along. */
static void a_neighbour_in_the_bucket_is_kept_too(void **state)
{
	struct random *r = *state;
	struct enrolment e;
	uint64_t first = number_of(r, 4711, ENROLMENT_CUSTOMER_BITS),
		 twin = number_of(r, 4711, ENROLMENT_CUSTOMER_BITS),
		 account = number_of(r, 815, ENROLMENT_ACCOUNT_BITS),
		 neighbour = number_of(r, 815, ENROLMENT_ACCOUNT_BITS);
	struct frame_header of_twin = { .kind = FRAME_EVENT, .customer = twin },
			    of_account = { .kind = FRAME_EVENT, .account = account },
			    of_neighbour = { .kind = FRAME_EVENT, .account = neighbour };

	assert_int_equal(enrolment_init(&e), 0);
	enrolment_account_add(&e, account, (uint64_t[]){ 5 }, 1);
	assert_false(enrolment_concerns(&e, &of_twin) || enrolment_concerns(&e, &of_account));
	enrolment_customer_add(&e, first);
	assert_true(enrolment_concerns(&e, &of_twin));
	enrolment_account_add(&e, neighbour, (uint64_t[]){ first }, 1); /* the bucket has two holders now */
	assert_true(enrolment_concerns(&e, &of_account) && enrolment_concerns(&e, &of_neighbour));
	enrolment_deinit(&e);
}

/* Two holders who share a bucket are one holder to an account: exact all the same, for they share the bit. */
static void two_holders_in_one_bucket_are_asked_for_as_one(void **state)
{
	struct random *r = *state;
	struct enrolment e;
	uint64_t first = number_of(r, 7, ENROLMENT_CUSTOMER_BITS),
		 twin = number_of(r, 7, ENROLMENT_CUSTOMER_BITS);
	struct frame_header h = { .kind = FRAME_EVENT, .account = 77 };

	assert_int_equal(enrolment_init(&e), 0);
	enrolment_account_add(&e, 77, (uint64_t[]){ first, twin }, 2);
	assert_false(enrolment_concerns(&e, &h));
	enrolment_customer_add(&e, twin);
	assert_true(enrolment_concerns(&e, &h));
	enrolment_deinit(&e);
}

static void nobody_and_no_account_are_never_meant(void **state)
{
	struct enrolment e;
	struct frame_header nobody = { .kind = FRAME_EVENT }, change = { .kind = FRAME_SUBSCRIBE };

	(void)state;
	assert_int_equal(enrolment_init(&e), 0);
	assert_false(enrolment_concerns(&e, &nobody));
	enrolment_frame_add(&e, &change); /* a bad frame, which the check of headers would not let by */
	enrolment_account_add(&e, 0, (uint64_t[]){ 7, 8 }, 2);
	assert_false(enrolment_concerns(&e, &nobody));
	enrolment_deinit(&e);
	assert_null(e.words);
}

/* ---- the engine and the program at once ---- */

struct adder {
	struct enrolment *e;
	uint64_t side; /* 0 or 1: of each word of bits every other one */
};

enum { ADDED = 60000 };

static uint64_t adders_customer(uint64_t side, uint64_t i)
{
	struct random any = { i };

	return number_of(&any, 2 * i + side, ENROLMENT_CUSTOMER_BITS);
}

static void *add(void *arg)
{
	struct adder *a = arg;

	for (uint64_t i = 0; i < ADDED; i++) {
		enrolment_customer_add(a->e, adders_customer(a->side, i));
		if (a->side) {
			struct frame_header h = { .kind = FRAME_PROFILE, .account = 1 + i };
			enrolment_frame_add(a->e, &h);
		} else {
			enrolment_account_add(a->e, 1 + i, (uint64_t[]){ 5 }, 1);
		}
	}
	return NULL;
}

/* No bit is lost, and an account that a PROFILE named is never again that of one holder. */
static void both_sides_may_add_at_once(void **state)
{
	struct enrolment e;
	pthread_t thread[2];

	(void)state;
	assert_int_equal(enrolment_init(&e), 0);
	struct adder adders[2] = { { &e, 0 }, { &e, 1 } };
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, add, &adders[i]), 0);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	for (uint64_t i = 0; i < 2 * ADDED; i++) {
		struct frame_header h = { .kind = FRAME_EVENT, .customer = adders_customer(i & 1, i / 2) };
		assert_true(enrolment_concerns(&e, &h));
	}
	for (uint64_t i = 1; i <= ADDED; i++)
		assert_int_equal(e.holders[enrolment_account(i)], ENROLMENT_HOLDER_SEVERAL);
	enrolment_deinit(&e);
}

int main(int argc, char **argv)
{
	struct random random = { seed_given(argc, argv) };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(it_is_exact_while_no_bucket_is_shared, &random),
		cmocka_unit_test_prestate(shared_buckets_keep_more_and_never_less, &random),
		cmocka_unit_test_prestate(a_neighbour_in_the_bucket_is_kept_too, &random),
		cmocka_unit_test_prestate(two_holders_in_one_bucket_are_asked_for_as_one, &random),
		cmocka_unit_test(nobody_and_no_account_are_never_meant),
		cmocka_unit_test(both_sides_may_add_at_once),
	};

	print_message("seed %llu\n", (unsigned long long)random.state);
	return cmocka_run_group_tests_name("enrolment", tests, NULL, NULL);
}
