/* SPDX-License-Identifier: Apache-2.0 */
/* Writing safetensors.  See weights.h; docs/model/file-formats.md#safetensors.
 *
 * Tensors go out in the order given, without gaps.  The JSON is padded with spaces, so that
 * the data begins at a multiple of 8, as the safetensors library writes it.  jansson's
 * setters accept NULL and fail; their failures are not looked at one by one, but the
 * number of members at the end tells. */
#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "base/part_file.h"
#include "weights/weights.h"

static json_t *describe_tensor(const pf_tensor *tensor, int64_t begin)
{
    json_t *shape = json_array();
    for (int i = 0; i < tensor->rank; i++)
        json_array_append_new(shape, json_integer(tensor->shape[i]));
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", pf_dtype_name(tensor->dtype),
                     "shape", shape, "data_offsets", (json_int_t)begin,
                     (json_int_t)(begin + pf_tensor_bytes(tensor)));
}

/* The header as text, padded so that the data begins at a multiple of 8. */
static char *make_header(const pf_named_tensor *tensors, int count,
                         const char *const *metadata, size_t *bytes)
{
    json_t *root = json_object(), *pairs = json_object();
    int64_t at = 0;
    for (; metadata && metadata[0]; metadata += 2)
        json_object_set_new(pairs, metadata[0], json_string(metadata[1]));
    json_object_set_new(root, "__metadata__", pairs);
    for (int i = 0; i < count; i++) {
        json_object_set_new(root, tensors[i].name,
                            describe_tensor(&tensors[i].tensor, at));
        at += pf_tensor_bytes(&tensors[i].tensor);
    }
    size_t length = json_dumpb(root, NULL, 0, JSON_COMPACT);
    size_t padded = (length + 7) / 8 * 8;
    char *text = length ? pf_alloc(padded) : NULL;
    if (text) {
        json_dumpb(root, text, length, JSON_COMPACT);
        memset(text + length, ' ', padded - length);
    }
    /* A failed allocation has left a tensor out. */
    if (json_object_size(root) != (size_t)count + 1) {
        pf_free(text);
        text = NULL;
    }
    json_decref(root);
    *bytes = padded;
    return text;
}

static pf_status write_all(pf_part_file *file, const char *header, size_t header_bytes,
                           const pf_named_tensor *tensors, int count, pf_error *error)
{
    unsigned char length[8];
    for (int i = 0; i < 8; i++)
        length[i] = (unsigned char)((uint64_t)header_bytes >> (8 * i));
    PF_TRY(pf_part_write(file, length, sizeof length, error));
    PF_TRY(pf_part_write(file, header, header_bytes, error));
    for (int i = 0; i < count; i++)
        PF_TRY(pf_part_write(file, tensors[i].tensor.data,
                             (size_t)pf_tensor_bytes(&tensors[i].tensor), error));
    PF_TRY(pf_part_finish(file, error));
    return pf_part_publish(file, error);
}

pf_status pf_safetensors_write(const char *path, const pf_named_tensor *tensors,
                               int count, const char *const *metadata,
                               pf_error *error)
{
    size_t header_bytes = 0;
    pf_part_file file;
    char *header = make_header(tensors, count, metadata, &header_bytes);
    if (!header)
        return pf_fail_memory(error, path, header_bytes);
    pf_status status = pf_part_open(path, &file, error);
    if (status == PF_OK) {
        status = write_all(&file, header, header_bytes, tensors, count, error);
        pf_part_discard(&file);
    }
    pf_free(header);
    return status;
}
