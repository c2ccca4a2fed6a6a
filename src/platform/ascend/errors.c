/* SPDX-License-Identifier: Apache-2.0 */
/* Codes of CANN as sentences.  docs/ascend.md, "Errors". */
#include <string.h>

#include "platform/ascend/device.h"

static const char *meaning_of(int code)
{
    static const struct {
        int code;
        const char *meaning;
    } list[] = {
        {161001, "a null pointer"}, {161002, "an invalid parameter"},
        {361001, "the run time refused"}, {561000, "an internal error"},
        {561001, "no shape follows from the inputs"},
        {561002, "no tiling for this shape"}, {561003, "no kernel for it"},
        {561101, "no executor could be made"}, {561103, "a null pointer inside"},
        {561107, "the operator packages are not found"},
        {561112, "the kernel package is not installed"},
        {100000, "an invalid parameter"}, {100001, "not initialised"},
        {107000, "an invalid parameter"}, {107001, "no such device"},
        {107002, "no context"}, {107003, "the stream is not of this context"},
        {107017, "an invalid handle"}, {107019, "a wait timed out"},
        {107020, "a task timed out"}, {107027, "the stream is being captured"},
        {107029, "the stream is not being captured"},
        {107030, "not while a stream is captured"}, {507903, "the capture was spoilt"},
        {200002, "no such device"}, {200003, "an unaligned address"},
        {200005, "an invalid handle"}, {200006, "not supported here"},
        {207000, "not supported here"},
        {500000, "an internal error"}, {500003, "the run time failed"},
        {ACL_BAD_ALLOC, "out of memory"}, {ACL_OUT_OF_MEMORY, "out of device memory"},
        {ACL_DEVICE_OUT_OF_MEMORY, "out of device memory"},
        {507000, "an internal error"}, {507011, "a recorded graph failed"},
        {507014, "an AI core timed out"}, {507015, "an exception on an AI core"},
        {507018, "an exception on an AI CPU"}, {507034, "a vector core timed out"},
        {507035, "an exception on a vector core"},
        {507046, "waiting for the stream timed out"}, {507899, "the driver failed"},
    };
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
        if (list[i].code == code)
            return list[i].meaning;
    return "a CANN error";
}

static bool is_memory(int code)
{
    return code == ACL_OUT_OF_MEMORY || code == ACL_DEVICE_OUT_OF_MEMORY ||
           code == ACL_BAD_ALLOC;
}

/* Joins the indented lines of CANN's text by single blanks.  A text that is too long is cut
 * between two characters of UTF-8. */
static void take_detail(const char *text, char *out, size_t room)
{
    size_t used = 0;
    for (const char *at = text; at && *at; at++) {
        bool space = strchr(" \t\r\n", *at) != NULL;
        if (space && (used == 0 || out[used - 1] == ' '))
            continue;
        if (used + 1 == room) {
            while (used > 0 && ((unsigned char)*at & 0xc0u) == 0x80u)
                at = &out[--used];
            break;
        }
        out[used++] = space ? ' ' : *at;
    }
    if (used > 0 && out[used - 1] == ' ')
        used--;
    out[used] = '\0';
}

int pf_ascend_called(ascend *a, const char *name, int code)
{
    a->call = name;
    return code;
}

pf_status pf_ascend_explain(void *handle, int code, const char *doing, pf_error *error)
{
    const ascend *a = handle;
    pf_status status = is_memory(code) ? PF_E_MEMORY : PF_E_PLATFORM;
    char detail[256];
    if (!error)
        return status;
    take_detail(a->api->aclGetRecentErrMsg(), detail, sizeof detail);
    return pf_fail(error, status, "ascend: %s failed with %d (%s)%s%s",
                   doing ? doing : a->call, code, meaning_of(code), detail[0] ? ": " : "",
                   detail);
}
