/* SPDX-License-Identifier: Apache-2.0 */
/* Launching operators: descriptors, both phases and workspaces.  docs/ascend.md, "Two phases".
 *
 * A call is a value: the operator, its tensors and attributes.  Calls that differ in
 * addresses only share one executor, which is cached and given the addresses of each call.
 *
 *     ascend_call --key--> cached executor ---- addresses of the call ----.
 *         |                      ^                                        v
 *         |  not cached          | if it can be repeated         phase two: the stream
 *         v                      |                                        ^
 *     descriptors ---> phase one: GetWorkspaceSize ---> workspace --------'
 *                      executor, bytes of workspace     (common/device.h)
 *
 * Phase one runs on the host and queues nothing; phase two queues the operator.
 */
#ifndef PF_PLATFORM_ASCEND_LAUNCH_H
#define PF_PLATFORM_ASCEND_LAUNCH_H

#include "platform/ascend/call.h"

/* Queues one operator. */
pf_status pf_ascend_launch(ascend *a, const ascend_call *call);
/* Launches an operator whose executor can neither be cached nor destroyed.  The workspace
 * must exist before phase one, so the caller gives an upper bound in bytes, `room`. */
pf_status pf_ascend_launch_once(ascend *a, const ascend_call *call, int64_t room);

/* Runs phase one alone: would this version of CANN take the call?  Failures that are no
 * refusal are errors. */
pf_status pf_ascend_accepts(ascend *a, const ascend_call *call, bool *out);

/* Does this version of CANN have the operator? */
bool pf_ascend_has(const ascend *a, ascend_operator op);

#endif
