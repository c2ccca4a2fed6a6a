/* SPDX-License-Identifier: Apache-2.0 */
/* Settings (phonofilm.h): what the files that read and use them share. */
#ifndef PF_PIPELINE_SETTING_H
#define PF_PIPELINE_SETTING_H

#include "phonofilm.h"

/* PF_E_ARGUMENT, in the words of pf_setting_read, when `value` is not in the range of the
 * setting `name`. */
pf_status pf_setting_check(const char *name, double value, pf_error *error);

/* Fills value->text from the other members. */
void pf_setting_spell(const pf_setting *setting, pf_setting_value *value);

#endif
