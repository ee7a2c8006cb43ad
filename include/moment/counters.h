/*
 * counters.h: how everything ends. The four floors of the ledger (SEMANTICS 7) as tables; a counter per
 * value, named after it, in status and metrics. Value 0 is NONE and never counted.
 */
#ifndef MOMENT_COUNTERS_H
#define MOMENT_COUNTERS_H

/* What an event can end as, exactly one. X(NAME, what it means) */
#define EVENT_OUTCOMES(X)                                                                                    \
	X(FILTERED, "dropped by the pre-filter: nothing in the catalogue can use it")                        \
	X(DUPLICATE, "its sequence was seen before in its stream")                                           \
	X(BAD_BODY, "a good header with an unreadable body")                                                 \
	X(UNKNOWN_TYPE, "an event type that the catalogue does not have")                                    \
	X(DUPLICATE_REF, "the same ref, stage and type was counted before")                                  \
	X(TOO_LATE, "later than bank.lateness: windows take it, no message")                                 \
	X(FROM_THE_FUTURE, "more than five minutes ahead of now")                                            \
	X(REVERSAL_UNMATCHED, "takes back a reference that is not known, or nothing is left of it")          \
	X(DECIDED, "rules ran, with or without a hit")

/* Other causes: changes, receipts, replies. */
#define CHANGE_OUTCOMES(X)                                                                                   \
	X(APPLIED, "the change is in force")                                                                 \
	X(REFUSED, "unreadable, or names what the catalogue does not have")                                  \
	X(NOT_YET, "asks for what this version does not do")

/* A hit: cause x rule x subscription. */
#define HIT_OUTCOMES(X)                                                                                      \
	X(NOTICED, "became one notice or more")                                                              \
	X(MERGED, "updated an open alert")                                                                   \
	X(SCORED, "added its score")                                                                         \
	X(SHADOW, "the rule runs in shadow")                                                                 \
	X(SUPPRESSED, "no notice, for a named reason")

#define SUPPRESSED_REASONS(X)                                                                                \
	X(STALE, "the event is older than the rule's `fresh`")                                               \
	X(PROVISIONAL, "the customer has no record yet")                                                     \
	X(REVERSED, "the transaction was taken back")                                                        \
	X(NO_RECIPIENT, "nobody to tell: no actor and no holder")

/* A notice: hit x recipient. The first three are open. */
#define NOTICE_STATES(X)                                                                                     \
	X(QUEUED, "has a leg that no gateway accepted yet")                                                  \
	X(HELD, "waits for its hours")                                                                       \
	X(DIGESTED, "waits for its digest")                                                                  \
	X(SENT, "a gateway accepted a leg of it")                                                            \
	X(EXPIRED, "too old to be of use")                                                                   \
	X(SUPPRESSED, "not sent, for a named reason")                                                        \
	X(UNREACHABLE, "no channel can take it")

/* A leg: notice x channel x attempt. The first is open. DELIVERED and READ come after ACCEPTED. */
#define LEG_STATES(X)                                                                                        \
	X(QUEUED, "in the outbox")                                                                           \
	X(ACCEPTED, "a gateway took it on")                                                                  \
	X(FAILED, "the gateway could not deliver it")                                                        \
	X(EXPIRED, "too old to be sent")                                                                     \
	X(DELIVERED, "reached the device")                                                                   \
	X(READ, "was opened")

/* A frame that closes its connection; no outcome of an event, it will come again. */
#define REFUSALS(X)                                                                                          \
	X(MALFORMED, "the header breaks the protocol")                                                       \
	X(GAP, "a sequence above the expected one")                                                          \
	X(FORBIDDEN, "this peer may not send that")                                                          \
	X(OVERRUN, "more in flight than the window allows")                                                  \
	X(LOST, "the source can no longer send what we expect")                                              \
	X(PEERS, "no room for another peer")                                                                 \
	X(BUSY, "a live connection has this name, with another stream")                                      \
	X(NO_HELLO, "the first frame was no HELLO, or none came in time")                                    \
	X(BROKEN, "the kernel could not follow the bytes of the connection")

enum event_outcome {
	EVENT_NONE = 0,
#define X(name, text) EVENT_##name,
	EVENT_OUTCOMES(X)
#undef X
		EVENT_OUTCOME_COUNT
};

enum change_outcome {
	CHANGE_NONE = 0,
#define X(name, text) CHANGE_##name,
	CHANGE_OUTCOMES(X)
#undef X
		CHANGE_OUTCOME_COUNT
};

enum hit_outcome {
	HIT_NONE = 0,
#define X(name, text) HIT_##name,
	HIT_OUTCOMES(X)
#undef X
		HIT_OUTCOME_COUNT
};

enum suppressed_reason {
	SUPPRESSED_NONE = 0,
#define X(name, text) SUPPRESSED_##name,
	SUPPRESSED_REASONS(X)
#undef X
		SUPPRESSED_REASON_COUNT
};

enum notice_state {
	NOTICE_NONE = 0,
#define X(name, text) NOTICE_##name,
	NOTICE_STATES(X)
#undef X
		NOTICE_STATE_COUNT
};

enum leg_state {
	LEG_NONE = 0,
#define X(name, text) LEG_##name,
	LEG_STATES(X)
#undef X
		LEG_STATE_COUNT
};

enum refusal {
	REFUSAL_NONE = 0,
#define X(name, text) REFUSAL_##name,
	REFUSALS(X)
#undef X
		REFUSAL_COUNT
};

#endif
