/* SPDX-License-Identifier: Apache-2.0 */
/* Components that hold memory: at any time only those of the current stage.  See engine.h;
 * docs/design.md, "Memory".
 *
 * Loading fills the platform's memory from the mapped files; evicting gives that back, and the
 * pages of the files to the page cache, from which the next film reads them again:
 *
 *     disk <--> page cache <--map--> params --weight_fill--> device
 *                            ^ pf_weights_forget     ^ pf_params_unload
 */
#include "pipeline/engine.h"

static void evict(pf_engine *engine, pf_component_set set)
{
    for (int c = 0; c < PF_COMPONENTS; c++) {
        bool wanted = set >> c & 1u;
        if (wanted || engine->keep_resident || !pf_params_loaded(engine->params[c]))
            continue;
        pf_params_unload(engine->params[c]);
        pf_weights_forget(pf_params_weights(engine->params[c]));
    }
}

/* Evicts first, so that two stages' components are never there together. */
static pf_status use(pf_engine *engine, pf_component_set set, pf_error *error)
{
    evict(engine, set);
    for (int c = 0; c < PF_COMPONENTS; c++) {
        if (!(set >> c & 1u) || pf_params_loaded(engine->params[c]))
            continue;
        PF_TRY(pf_params_load(engine->params[c], engine->platform, error));
    }
    return PF_OK;
}

void pf_residency_evict(pf_engine *engine, pf_component_set set)
{
    pthread_rwlock_wrlock(&engine->residency);
    evict(engine, set);
    pthread_rwlock_unlock(&engine->residency);
}

pf_status pf_residency_use(pf_engine *engine, pf_component_set set,
                           pf_error *error)
{
    pthread_rwlock_wrlock(&engine->residency);
    pf_status status = use(engine, set, error);
    pthread_rwlock_unlock(&engine->residency);
    return status;
}

pf_status pf_residency_check(const pf_engine *engine, pf_component_set set, bool lost_only,
                             pf_error *error)
{
    for (int c = 0; c < PF_COMPONENTS; c++)
        if (set >> c & 1u)
            PF_TRY(pf_weights_check(pf_params_weights(engine->params[c]), lost_only, error));
    return PF_OK;
}

pf_status pf_residency_renew(pf_engine *engine, pf_error *error)
{
    pf_status status = PF_OK;
    pthread_rwlock_wrlock(&engine->residency);
    for (int c = 0; status == PF_OK && c < PF_COMPONENTS; c++)
        status = pf_params_renew(engine->params[c], error);
    pthread_rwlock_unlock(&engine->residency);
    return status;
}

pf_status pf_residency_check_renewal(pf_engine *engine, pf_error *error)
{
    pf_status status = PF_OK;
    pthread_rwlock_rdlock(&engine->residency);
    for (int c = 0; status == PF_OK && c < PF_COMPONENTS; c++)
        status = pf_weights_check_renewal(pf_params_weights(engine->params[c]), error);
    pthread_rwlock_unlock(&engine->residency);
    return status;
}

pf_memory pf_residency_bytes(pf_engine *engine, pf_component_set set,
                             int64_t text_tokens)
{
    pf_memory bytes = {0};
    for (int c = 0; c < PF_COMPONENTS; c++) {
        if (!(set >> c & 1u))
            continue;
        pf_params_size size = pf_params_measure(engine->params[c], engine->platform);
        bytes.device += size.device_bytes;
        int64_t beside = size.loading_bytes - size.device_bytes;
        bytes.loading = beside > bytes.loading ? beside : bytes.loading;
        bytes.host += size.mapped_bytes + size.rounded_bytes;
        int64_t mapped = size.mapped_bytes;
        if (c == PF_TEXT_ENCODER) {
            /* A row costs the pages that it lies in: two at most beside its bytes. */
            int64_t row = 4 * pf_umt5_width(engine->text_encoder) + 8192;
            int64_t touched = text_tokens * row;
            touched = touched < size.table_bytes ? touched : size.table_bytes;
            bytes.host += touched;
            mapped += touched;
        }
        bytes.mapped += mapped;
        if (pf_weights_in_memory(pf_params_weights(engine->params[c])))
            bytes.there += mapped;
    }
    return bytes;
}
