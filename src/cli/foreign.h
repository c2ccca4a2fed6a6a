/* SPDX-License-Identifier: Apache-2.0 */
/* Flags of other programs that run the same models (sglang, MOVA's own script,
 * vllm-omni), so that their commands work here.  docs/from-sglang.md.
 *
 * A value that asks for nothing is taken, one that asks for something that there is here
 * becomes our own flag, and any other is refused by name with what to use instead.
 */
#ifndef PF_CLI_FOREIGN_H
#define PF_CLI_FOREIGN_H

#include <stdbool.h>
#include <stddef.h>

/* Commands that know a flag; or-ed. */
enum { FOREIGN_GENERATE = 1, FOREIGN_SERVE = 2, FOREIGN_BOTH = 3 };

typedef enum foreign_kind {
    FOREIGN_SWITCH,             /* --flag, --no-flag, --flag true, --flag=false */
    FOREIGN_VALUE               /* --flag VALUE, --flag=VALUE */
} foreign_kind;

typedef struct foreign_flag {
    const char *names;          /* without hyphens in front, "tp-size tp" */
    unsigned commands;
    foreign_kind kind;
    const char *neutral;        /* values that ask for nothing, "1|auto"; "*": any;
                                 * NULL: none */
    const char *when;           /* values that become our own flags; NULL: all others */
    const char *becomes;        /* these, with %s for the value, "--a=%s --b=%s"; NULL:
                                 * the others are refused */
    const char *instead;        /* the reason here, and the advice; NULL: nothing is
                                 * refused */
} foreign_flag;

/* The table [*count], for tests. */
const foreign_flag *foreign_flags(int *count);

/* The flag of that name ('_' may stand for '-') in one of `commands`, or NULL. */
const foreign_flag *foreign_find(unsigned commands, const char *name);

typedef enum foreign_verdict {
    FOREIGN_TAKEN,
    FOREIGN_BECOMES,            /* flag->becomes, with the value */
    FOREIGN_REFUSED
} foreign_verdict;

/* `value` of a switch is "true" or "false". */
foreign_verdict foreign_judge(const foreign_flag *flag, const char *value);

/* The sentence that refuses; `written` is the flag as the user wrote it. */
void foreign_sentence(const foreign_flag *flag, const char *written, const char *value,
                      char *out, size_t bytes);

/* Reads true, false, yes, no, on, off, 1, 0 in any case.  Returns false for other texts. */
bool foreign_boolean(const char *text, bool *out);

#endif
