/* A PKCS#11 module around SoftHSM that misbehaves as SHIM says, for tests of who has to live with it:
 *
 *   crash N     function N of the list (PKCS #11 3.1, 3.6) ends the process
 *   hang N      it never returns
 *   refuse N C  it returns C
 *   pull N C    the first call of it finds every session gone, as a pull leaves them, and returns C
 *   noise       C_GetTokenInfo writes to standard output
 *   serial      there is one token, whose serial it has from the beginning
 *   same        all tokens have one serial
 *   flags N     tokens have these flags too (N in decimal; CK_TOKEN_INFO.flags)
 *   pins N      PINs have at most N characters
 *   few         it says that it has no mechanism
 *   weak        keys are made so that they can leave the token
 *   forge       signatures are of the right length, and nothing else
 *
 * Types as PKCS #11 has them on 64-bit Linux; no header is needed.
 */
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MODULE "/usr/lib/softhsm/libsofthsm2.so"
#define FUNCTIONS 68
#define OK 0UL
#define TOKEN_NOT_PRESENT 0xe0UL
#define TOKEN_INITIALIZED 0x400UL
#define GET_TOKEN_INFO 6
#define GET_MECHANISM_LIST 7
#define INIT_TOKEN 9
#define OPEN_SESSION 12
#define CLOSE_ALL_SESSIONS 14
#define SIGN 43
#define GENERATE_KEY_PAIR 59
#define SENSITIVE 0x103UL
#define EXTRACTABLE 0x162UL

typedef unsigned long ulong_t;
typedef ulong_t (*any_t)();
struct list { unsigned char version[2]; any_t function[FUNCTIONS]; };
struct token_info {
	unsigned char label[32], maker[32], model[16], serial[16];
	ulong_t flags, sessions[4], most_pin, least_pin;
};
struct attribute { ulong_t type; void *value; ulong_t size; };

static struct list real, ours;
static ulong_t code, flags, opened;
static int pulled_at;

static ulong_t crash(void) { raise(SIGSEGV); return OK; }
static ulong_t hang(void) { for (;;) pause(); return OK; }
static ulong_t refuse(void) { return code; }

static ulong_t open_session(ulong_t slot, ulong_t how, void *data, void *notify, ulong_t *session)
{
	opened = slot;
	return real.function[OPEN_SESSION](slot, how, data, notify, session);
}

static ulong_t pull(ulong_t a, ulong_t b, ulong_t c, ulong_t d, ulong_t e)
{
	static int done;

	if (!done++) {
		real.function[CLOSE_ALL_SESSIONS](opened);
		return code;
	}
	return real.function[pulled_at](a, b, c, d, e);
}

static ulong_t noisy_info(ulong_t slot, struct token_info *info)
{
	puts("{\"answer\": \"from the module\"}");
	fflush(stdout);
	return real.function[GET_TOKEN_INFO](slot, info);
}

static ulong_t named_info(ulong_t slot, struct token_info *info)
{
	static int made; /* SoftHSM shows another blank token beside the one that was made */
	ulong_t result = real.function[GET_TOKEN_INFO](slot, info);

	if (result != OK)
		return result;
	made |= (info->flags & TOKEN_INITIALIZED) != 0;
	if (made && !(info->flags & TOKEN_INITIALIZED))
		return TOKEN_NOT_PRESENT;
	memcpy(info->serial, "BLANK-0001      ", sizeof info->serial);
	return OK;
}

static ulong_t same_info(ulong_t slot, struct token_info *info)
{
	ulong_t result = real.function[GET_TOKEN_INFO](slot, info);

	if (result == OK)
		memcpy(info->serial, "SAME-0001       ", sizeof info->serial);
	return result;
}

static ulong_t flagged_info(ulong_t slot, struct token_info *info)
{
	ulong_t result = real.function[GET_TOKEN_INFO](slot, info);

	if (result == OK)
		info->flags |= flags;
	return result;
}

static ulong_t short_pins_info(ulong_t slot, struct token_info *info)
{
	ulong_t result = real.function[GET_TOKEN_INFO](slot, info);

	if (result == OK)
		info->most_pin = flags;
	return result;
}

static ulong_t few(ulong_t slot, ulong_t *list, ulong_t *count)
{
	(void)slot;
	(void)list;
	*count = 0;
	return OK;
}

static ulong_t weak(ulong_t session, void *mechanism, void *public, ulong_t publics,
	struct attribute *private, ulong_t privates, ulong_t *one, ulong_t *other)
{
	ulong_t i;

	for (i = 0; i < privates; i++)
		if (private[i].type == EXTRACTABLE || private[i].type == SENSITIVE)
			*(unsigned char *)private[i].value = private[i].type == EXTRACTABLE;
	return real.function[GENERATE_KEY_PAIR](session, mechanism, public, publics, private,
		privates, one, other);
}

static ulong_t forge(ulong_t session, void *data, ulong_t size, unsigned char *made, ulong_t *length)
{
	ulong_t result = real.function[SIGN](session, data, size, made, length);

	if (result == OK && made != NULL)
		made[*length / 2] ^= 0x55;
	return result;
}

ulong_t C_GetFunctionList(struct list **list)
{
	const char *shim = getenv("SHIM");
	void *module = dlopen(MODULE, RTLD_NOW | RTLD_LOCAL);
	ulong_t (*get)(struct list **) = (ulong_t (*)(struct list **))dlsym(module, "C_GetFunctionList");
	struct list *found;
	char what[16] = "";
	int place = 0;

	if (get == NULL || get(&found) != OK)
		return 5; /* CKR_GENERAL_ERROR */
	real = ours = *found;
	if (shim != NULL)
		sscanf(shim, "%15s %d %lx", what, &place, &code);
	if (!strcmp(what, "crash"))
		ours.function[place] = (any_t)crash;
	else if (!strcmp(what, "hang"))
		ours.function[place] = (any_t)hang;
	else if (!strcmp(what, "refuse"))
		ours.function[place] = (any_t)refuse;
	else if (!strcmp(what, "pull")) {
		pulled_at = place;
		ours.function[place] = (any_t)pull;
		ours.function[OPEN_SESSION] = (any_t)open_session;
	} else if (!strcmp(what, "noise"))
		ours.function[GET_TOKEN_INFO] = (any_t)noisy_info;
	else if (!strcmp(what, "serial"))
		ours.function[GET_TOKEN_INFO] = (any_t)named_info;
	else if (!strcmp(what, "same"))
		ours.function[GET_TOKEN_INFO] = (any_t)same_info;
	else if (!strcmp(what, "flags")) {
		flags = (ulong_t)place;
		ours.function[GET_TOKEN_INFO] = (any_t)flagged_info;
	} else if (!strcmp(what, "pins")) {
		flags = (ulong_t)place;
		ours.function[GET_TOKEN_INFO] = (any_t)short_pins_info;
	} else if (!strcmp(what, "few"))
		ours.function[GET_MECHANISM_LIST] = (any_t)few;
	else if (!strcmp(what, "weak"))
		ours.function[GENERATE_KEY_PAIR] = (any_t)weak;
	else if (!strcmp(what, "forge"))
		ours.function[SIGN] = (any_t)forge;
	*list = &ours;
	return OK;
}
