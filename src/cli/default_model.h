/* SPDX-License-Identifier: Apache-2.0 */
/* The model that is used when none is named. */
#ifndef PF_CLI_DEFAULT_MODEL_H
#define PF_CLI_DEFAULT_MODEL_H

/* The folder that the environment variable PHONOFILM_MODEL names, else that of the model
 * that comes with the program, found from where the program itself lies: installed
 * (PREFIX/share/phonofilm/models/nano) or in a build folder of the sources
 * (models/nano).  NULL when there is none, after a message
 * that names `missing`, the argument that chooses one.  Valid until the next call. */
const char *cli_default_model(const char *missing);

#endif
