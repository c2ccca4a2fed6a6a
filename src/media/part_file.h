/* SPDX-License-Identifier: Apache-2.0 */
/* Files that get their name when they are whole, for the program, which stands on this
 * folder alone. */
#ifndef PF_MEDIA_PART_FILE_H
#define PF_MEDIA_PART_FILE_H

#include "base/part_file.h"

#endif
