/*
 * money.c: the tables of ISO 4217 and ISO 3166-1, and the arithmetic of minor units.
 *
 * Codes and numbers go in, minor units come out; nothing is allocated, the tables are constant. What can
 * go wrong is told by the result: an unknown code, too many decimals, a figure beyond int64, no rate.
 * Every product is made in 128 bits and rounded once, half to even, so that no order of operations shows.
 *
 * Left out of ISO 4217: funds with four decimals (CLF, UYW), metals, test and "no currency" codes, which
 * have no minor unit, and ANG, whose number 532 now belongs to XCG. Withdrawn codes (HRK, SLL, ZWL, CUC)
 * stay, because old events carry them.
 */
#include "money.h"

#include <string.h>

/* clang-format off */
/* ISO 4217: X(code, number, minor digits), by code */
#define CURRENCIES(X) \
	X(AED, 784, 2) X(AFN, 971, 2) X(ALL, 8, 2) X(AMD, 51, 2) X(AOA, 973, 2) X(ARS, 32, 2) \
	X(AUD, 36, 2) X(AWG, 533, 2) X(AZN, 944, 2) X(BAM, 977, 2) X(BBD, 52, 2) X(BDT, 50, 2) \
	X(BGN, 975, 2) X(BHD, 48, 3) X(BIF, 108, 0) X(BMD, 60, 2) X(BND, 96, 2) X(BOB, 68, 2) \
	X(BOV, 984, 2) X(BRL, 986, 2) X(BSD, 44, 2) X(BTN, 64, 2) X(BWP, 72, 2) X(BYN, 933, 2) \
	X(BZD, 84, 2) X(CAD, 124, 2) X(CDF, 976, 2) X(CHE, 947, 2) X(CHF, 756, 2) X(CHW, 948, 2) \
	X(CLP, 152, 0) X(CNY, 156, 2) X(COP, 170, 2) X(COU, 970, 2) X(CRC, 188, 2) X(CUC, 931, 2) \
	X(CUP, 192, 2) X(CVE, 132, 2) X(CZK, 203, 2) X(DJF, 262, 0) X(DKK, 208, 2) X(DOP, 214, 2) \
	X(DZD, 12, 2) X(EGP, 818, 2) X(ERN, 232, 2) X(ETB, 230, 2) X(EUR, 978, 2) X(FJD, 242, 2) \
	X(FKP, 238, 2) X(GBP, 826, 2) X(GEL, 981, 2) X(GHS, 936, 2) X(GIP, 292, 2) X(GMD, 270, 2) \
	X(GNF, 324, 0) X(GTQ, 320, 2) X(GYD, 328, 2) X(HKD, 344, 2) X(HNL, 340, 2) X(HRK, 191, 2) \
	X(HTG, 332, 2) X(HUF, 348, 2) X(IDR, 360, 2) X(ILS, 376, 2) X(INR, 356, 2) X(IQD, 368, 3) \
	X(IRR, 364, 2) X(ISK, 352, 0) X(JMD, 388, 2) X(JOD, 400, 3) X(JPY, 392, 0) X(KES, 404, 2) \
	X(KGS, 417, 2) X(KHR, 116, 2) X(KMF, 174, 0) X(KPW, 408, 2) X(KRW, 410, 0) X(KWD, 414, 3) \
	X(KYD, 136, 2) X(KZT, 398, 2) X(LAK, 418, 2) X(LBP, 422, 2) X(LKR, 144, 2) X(LRD, 430, 2) \
	X(LSL, 426, 2) X(LYD, 434, 3) X(MAD, 504, 2) X(MDL, 498, 2) X(MGA, 969, 2) X(MKD, 807, 2) \
	X(MMK, 104, 2) X(MNT, 496, 2) X(MOP, 446, 2) X(MRU, 929, 2) X(MUR, 480, 2) X(MVR, 462, 2) \
	X(MWK, 454, 2) X(MXN, 484, 2) X(MXV, 979, 2) X(MYR, 458, 2) X(MZN, 943, 2) X(NAD, 516, 2) \
	X(NGN, 566, 2) X(NIO, 558, 2) X(NOK, 578, 2) X(NPR, 524, 2) X(NZD, 554, 2) X(OMR, 512, 3) \
	X(PAB, 590, 2) X(PEN, 604, 2) X(PGK, 598, 2) X(PHP, 608, 2) X(PKR, 586, 2) X(PLN, 985, 2) \
	X(PYG, 600, 0) X(QAR, 634, 2) X(RON, 946, 2) X(RSD, 941, 2) X(RUB, 643, 2) X(RWF, 646, 0) \
	X(SAR, 682, 2) X(SBD, 90, 2) X(SCR, 690, 2) X(SDG, 938, 2) X(SEK, 752, 2) X(SGD, 702, 2) \
	X(SHP, 654, 2) X(SLE, 925, 2) X(SLL, 694, 2) X(SOS, 706, 2) X(SRD, 968, 2) X(SSP, 728, 2) \
	X(STN, 930, 2) X(SVC, 222, 2) X(SYP, 760, 2) X(SZL, 748, 2) X(THB, 764, 2) X(TJS, 972, 2) \
	X(TMT, 934, 2) X(TND, 788, 3) X(TOP, 776, 2) X(TRY, 949, 2) X(TTD, 780, 2) X(TWD, 901, 2) \
	X(TZS, 834, 2) X(UAH, 980, 2) X(UGX, 800, 0) X(USD, 840, 2) X(USN, 997, 2) X(UYI, 940, 0) \
	X(UYU, 858, 2) X(UZS, 860, 2) X(VED, 926, 2) X(VES, 928, 2) X(VND, 704, 0) X(VUV, 548, 0) \
	X(WST, 882, 2) X(XAF, 950, 0) X(XCD, 951, 2) X(XCG, 532, 2) X(XOF, 952, 0) X(XPF, 953, 0) \
	X(YER, 886, 2) X(ZAR, 710, 2) X(ZMW, 967, 2) X(ZWG, 924, 2) X(ZWL, 932, 2)

/* ISO 3166-1: X(alpha-2, number), by code */
#define COUNTRIES(X) \
	X(AD, 20) X(AE, 784) X(AF, 4) X(AG, 28) X(AI, 660) X(AL, 8) X(AM, 51) X(AO, 24) \
	X(AQ, 10) X(AR, 32) X(AS, 16) X(AT, 40) X(AU, 36) X(AW, 533) X(AX, 248) X(AZ, 31) \
	X(BA, 70) X(BB, 52) X(BD, 50) X(BE, 56) X(BF, 854) X(BG, 100) X(BH, 48) X(BI, 108) \
	X(BJ, 204) X(BL, 652) X(BM, 60) X(BN, 96) X(BO, 68) X(BQ, 535) X(BR, 76) X(BS, 44) \
	X(BT, 64) X(BV, 74) X(BW, 72) X(BY, 112) X(BZ, 84) X(CA, 124) X(CC, 166) X(CD, 180) \
	X(CF, 140) X(CG, 178) X(CH, 756) X(CI, 384) X(CK, 184) X(CL, 152) X(CM, 120) X(CN, 156) \
	X(CO, 170) X(CR, 188) X(CU, 192) X(CV, 132) X(CW, 531) X(CX, 162) X(CY, 196) X(CZ, 203) \
	X(DE, 276) X(DJ, 262) X(DK, 208) X(DM, 212) X(DO, 214) X(DZ, 12) X(EC, 218) X(EE, 233) \
	X(EG, 818) X(EH, 732) X(ER, 232) X(ES, 724) X(ET, 231) X(FI, 246) X(FJ, 242) X(FK, 238) \
	X(FM, 583) X(FO, 234) X(FR, 250) X(GA, 266) X(GB, 826) X(GD, 308) X(GE, 268) X(GF, 254) \
	X(GG, 831) X(GH, 288) X(GI, 292) X(GL, 304) X(GM, 270) X(GN, 324) X(GP, 312) X(GQ, 226) \
	X(GR, 300) X(GS, 239) X(GT, 320) X(GU, 316) X(GW, 624) X(GY, 328) X(HK, 344) X(HM, 334) \
	X(HN, 340) X(HR, 191) X(HT, 332) X(HU, 348) X(ID, 360) X(IE, 372) X(IL, 376) X(IM, 833) \
	X(IN, 356) X(IO, 86) X(IQ, 368) X(IR, 364) X(IS, 352) X(IT, 380) X(JE, 832) X(JM, 388) \
	X(JO, 400) X(JP, 392) X(KE, 404) X(KG, 417) X(KH, 116) X(KI, 296) X(KM, 174) X(KN, 659) \
	X(KP, 408) X(KR, 410) X(KW, 414) X(KY, 136) X(KZ, 398) X(LA, 418) X(LB, 422) X(LC, 662) \
	X(LI, 438) X(LK, 144) X(LR, 430) X(LS, 426) X(LT, 440) X(LU, 442) X(LV, 428) X(LY, 434) \
	X(MA, 504) X(MC, 492) X(MD, 498) X(ME, 499) X(MF, 663) X(MG, 450) X(MH, 584) X(MK, 807) \
	X(ML, 466) X(MM, 104) X(MN, 496) X(MO, 446) X(MP, 580) X(MQ, 474) X(MR, 478) X(MS, 500) \
	X(MT, 470) X(MU, 480) X(MV, 462) X(MW, 454) X(MX, 484) X(MY, 458) X(MZ, 508) X(NA, 516) \
	X(NC, 540) X(NE, 562) X(NF, 574) X(NG, 566) X(NI, 558) X(NL, 528) X(NO, 578) X(NP, 524) \
	X(NR, 520) X(NU, 570) X(NZ, 554) X(OM, 512) X(PA, 591) X(PE, 604) X(PF, 258) X(PG, 598) \
	X(PH, 608) X(PK, 586) X(PL, 616) X(PM, 666) X(PN, 612) X(PR, 630) X(PS, 275) X(PT, 620) \
	X(PW, 585) X(PY, 600) X(QA, 634) X(RE, 638) X(RO, 642) X(RS, 688) X(RU, 643) X(RW, 646) \
	X(SA, 682) X(SB, 90) X(SC, 690) X(SD, 729) X(SE, 752) X(SG, 702) X(SH, 654) X(SI, 705) \
	X(SJ, 744) X(SK, 703) X(SL, 694) X(SM, 674) X(SN, 686) X(SO, 706) X(SR, 740) X(SS, 728) \
	X(ST, 678) X(SV, 222) X(SX, 534) X(SY, 760) X(SZ, 748) X(TC, 796) X(TD, 148) X(TF, 260) \
	X(TG, 768) X(TH, 764) X(TJ, 762) X(TK, 772) X(TL, 626) X(TM, 795) X(TN, 788) X(TO, 776) \
	X(TR, 792) X(TT, 780) X(TV, 798) X(TW, 158) X(TZ, 834) X(UA, 804) X(UG, 800) X(UM, 581) \
	X(US, 840) X(UY, 858) X(UZ, 860) X(VA, 336) X(VC, 670) X(VE, 862) X(VG, 92) X(VI, 850) \
	X(VN, 704) X(VU, 548) X(WF, 876) X(WS, 882) X(YE, 887) X(YT, 175) X(ZA, 710) X(ZM, 894) \
	X(ZW, 716)
/* clang-format on */

struct country {
	char code[3];
	uint16_t numeric;
};

static const struct money_currency currencies[] = {
#define X(name, number, digits) { .numeric = (number), .exponent = (digits), .code = #name },
	CURRENCIES(X)
#undef X
};

enum currency_index {
#define X(name, number, digits) INDEX_##name,
	CURRENCIES(X)
#undef X
		CURRENCY_COUNT
};
_Static_assert(CURRENCY_COUNT < UINT8_MAX, "an index and one fit in a byte");

enum { CURRENCY_NUMBERS = 1000 };

/* By number: index in `currencies` + 1, 0 = none. */
static const uint8_t currency_of_number[CURRENCY_NUMBERS] = {
#define X(name, number, digits) [number] = INDEX_##name + 1,
	CURRENCIES(X)
#undef X
};

static const struct country countries[] = {
#define X(name, number) { #name, number },
	COUNTRIES(X)
#undef X
};

enum { COUNTRY_COUNT = sizeof countries / sizeof countries[0] };

const struct money_currency *money_currency_find(const char *code, size_t len)
{
	size_t low = 0, high = CURRENCY_COUNT;

	if (len != 3)
		return NULL;
	while (low < high) {
		size_t mid = (low + high) / 2;
		int order = memcmp(currencies[mid].code, code, 3);
		if (order == 0)
			return &currencies[mid];
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

const struct money_currency *money_currency_by_number(uint16_t numeric)
{
	if (numeric >= CURRENCY_NUMBERS || currency_of_number[numeric] == 0)
		return NULL;
	return &currencies[currency_of_number[numeric] - 1];
}

uint16_t money_country_find(const char *code, size_t len)
{
	size_t low = 0, high = COUNTRY_COUNT;

	if (len != 2)
		return 0;
	while (low < high) {
		size_t mid = (low + high) / 2;
		int order = memcmp(countries[mid].code, code, 2);
		if (order == 0)
			return countries[mid].numeric;
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return 0;
}

/* n / d rounded half to even; false when it does not fit in int64. |n| < 2^126, 0 < d < 2^63. */
static bool divide_half_even(__int128 n, int64_t d, int64_t *out)
{
	__int128 quotient = n / d;
	__int128 rest = n % d;
	__int128 twice = rest < 0 ? -rest * 2 : rest * 2;

	if (twice > d || (twice == d && (quotient & 1)))
		quotient += n < 0 ? -1 : 1;
	if (quotient > INT64_MAX || quotient < INT64_MIN)
		return false;
	*out = (int64_t)quotient;
	return true;
}

bool money_muldiv(int64_t x, int64_t y, int64_t z, int64_t *out)
{
	return divide_half_even((__int128)x * y, z, out);
}

static int64_t power_of_ten(int exponent)
{
	int64_t p = 1;

	while (exponent-- > 0)
		p *= 10;
	return p;
}

static const struct money_rate *rate_find(const struct money_rates *rates, uint16_t currency)
{
	size_t low = 0, high = rates->count;

	while (low < high) {
		size_t mid = (low + high) / 2;
		if (rates->rate[mid].currency == currency)
			return &rates->rate[mid];
		if (rates->rate[mid].currency < currency)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

bool money_to_base(const struct money_rates *rates, int64_t minor, uint16_t currency, int64_t *base,
		   bool *overflow)
{
	*overflow = false;
	if (currency == rates->bank) {
		*base = minor;
		return true;
	}
	const struct money_rate *rate = rate_find(rates, currency);
	if (!rate)
		return false;
	/* One power of ten is left of the formula's three, so 128 bits are always enough. */
	int shift = rates->bank_exponent - rate->decimals - rate->exponent;
	__int128 product = (__int128)minor * rate->num;
	if (shift > 0 && __builtin_mul_overflow(product, (__int128)power_of_ten(shift), &product)) {
		*overflow = true;
		return false;
	}
	*overflow = !divide_half_even(product, shift < 0 ? power_of_ten(-shift) : 1, base);
	return !*overflow;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Digits with at most one point; the count of decimals in *decimals. False on anything else. */
static bool figure_parse(const char *text, size_t len, unsigned *decimals, __int128 *out)
{
	__int128 figure = 0;
	size_t point = len;

	for (size_t i = 0; i < len; i++) {
		if (text[i] == '.' && point == len && i > 0) {
			point = i;
			continue;
		}
		if (!is_digit(text[i]))
			return false;
		figure = figure * 10 + (text[i] - '0');
		if (figure > (__int128)INT64_MAX + 1)
			return false;
	}
	*decimals = point == len ? 0 : (unsigned)(len - point - 1);
	*out = figure;
	return len > 0 && (point == len || *decimals > 0);
}

bool money_parse(const char *text, size_t len, int64_t *minor, uint16_t *currency)
{
	bool negative = len > 0 && text[0] == '-';
	unsigned decimals;
	__int128 figure;

	if (len < 5 || text[len - 4] != ' ')
		return false;
	const struct money_currency *c = money_currency_find(text + len - 3, 3);
	if (!c || !figure_parse(text + negative, len - 4 - negative, &decimals, &figure) ||
	    decimals > c->exponent)
		return false;
	figure *= power_of_ten(c->exponent - (int)decimals);
	if (negative)
		figure = -figure;
	if (figure > INT64_MAX || figure < INT64_MIN)
		return false;
	*minor = (int64_t)figure;
	*currency = c->numeric;
	return true;
}
