/* The emulator's own test: each wrong use gets its documented code and a message.
 * docs/ascend.md, "What the emulator enforces".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exports.h"

/* --- what every case finds ready ------------------------------------------------------- */

static aclrtStream stream;
static char *memory;                    /* 1 MiB on the device */
static uint64_t workspace;
static aclOpExecutor *executor;

enum { ROOM = 1 << 20 };

static aclTensor *tensor_of(aclDataType dtype, aclFormat format, char *data, int rank,
                            const int64_t *shape)
{
    return aclCreateTensor(shape, (uint64_t)rank, dtype, NULL, 0, format, shape,
                           (uint64_t)rank, data);
}

#define SHAPE(...) (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), \
    (int64_t[]){__VA_ARGS__}
#define F32(data, ...) tensor_of(ACL_FLOAT, ACL_FORMAT_ND, data, SHAPE(__VA_ARGS__))
#define BF16(data, ...) tensor_of(ACL_BF16, ACL_FORMAT_ND, data, SHAPE(__VA_ARGS__))
#define OF(dtype, data, ...) tensor_of(dtype, ACL_FORMAT_ND, data, SHAPE(__VA_ARGS__))
#define MAP(format, data, ...) tensor_of(ACL_FLOAT, format, data, SHAPE(__VA_ARGS__))
#define ARRAY(...) aclCreateIntArray((int64_t[]){__VA_ARGS__}, \
    sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

static char *at(int part)
{
    return memory + part * (ROOM / 8);
}

static aclScalar *number(float value)
{
    return aclCreateScalar(&value, ACL_FLOAT);
}

static int plan_silu(aclTensor *x, aclTensor *y)
{
    return aclnnSiluGetWorkspaceSize(x, y, &workspace, &executor);
}

/* A good executor. */
static void silu_ready(void)
{
    if (plan_silu(F32(at(0), 8), F32(at(1), 8)) != 0)
        abort();
}

static int launch_silu(void)
{
    return aclnnSilu(at(7), workspace, executor, stream);
}

/* --- the cases --------------------------------------------------------------------------- */

typedef struct wrong_use {
    const char *what;
    int code;
    int (*run)(void);
} wrong_use;

#define CASE(name) static int name(void)

CASE(init_twice) { return aclInit(NULL); }
CASE(no_such_device) { return aclrtSetDevice(99); }
CASE(negative_device) { return aclrtSetDevice(-1); }
CASE(reset_of_unset) { return aclrtResetDevice(1); }
CASE(context_of_no_device)
{
    aclrtContext c;
    return aclrtCreateContext(&c, 9);
}
CASE(context_not_living) { return aclrtSetCurrentContext(memory); }
CASE(context_destroyed_twice)
{
    aclrtContext c;
    aclrtCreateContext(&c, 0);
    aclrtDestroyContext(c);
    aclrtSetDevice(0);
    return aclrtDestroyContext(c);
}
CASE(context_with_streams)
{
    aclrtContext c;
    aclrtStream s;
    aclrtCreateContext(&c, 0);
    aclrtCreateStream(&s);
    int code = aclrtDestroyContext(c);
    aclrtSetDevice(0);
    return code;
}
CASE(stream_of_another_context)
{
    aclrtContext c;
    aclrtCreateContext(&c, 0);
    int code = aclrtSynchronizeStream(stream);
    aclrtSetDevice(0);
    return code;
}
CASE(stream_not_living) { return aclrtSynchronizeStream(memory); }
CASE(stream_destroyed_twice)
{
    aclrtStream s;
    aclrtCreateStream(&s);
    aclrtDestroyStream(s);
    return aclrtDestroyStream(s);
}
CASE(stream_null) { return aclrtCreateStream(NULL); }
CASE(timeout_negative) { return aclrtSynchronizeStreamWithTimeout(stream, -7); }
CASE(event_null) { return aclrtCreateEvent(NULL); }
CASE(event_not_living) { return aclrtRecordEvent(memory, stream); }
CASE(event_destroyed_twice)
{
    aclrtEvent e;
    aclrtCreateEvent(&e);
    aclrtDestroyEvent(e);
    return aclrtDestroyEvent(e);
}
CASE(event_not_recorded)
{
    aclrtEvent e;
    aclrtCreateEvent(&e);
    int code = aclrtSynchronizeEvent(e);
    aclrtDestroyEvent(e);
    return code;
}
CASE(event_timeout_negative)
{
    aclrtEvent e;
    aclrtCreateEvent(&e);
    aclrtRecordEvent(e, stream);
    int code = aclrtSynchronizeEventWithTimeout(e, -7);
    aclrtDestroyEvent(e);
    return code;
}
CASE(malloc_nothing)
{
    void *m;
    return aclrtMalloc(&m, 0, 0);
}
CASE(malloc_policies_combined)
{
    void *m;
    return aclrtMalloc(&m, 64, 3 | 8);
}
CASE(malloc_too_much)
{
    void *m;
    return aclrtMalloc(&m, (size_t)1 << 50, 0);
}
CASE(malloc_host_nothing)
{
    void *m;
    return aclrtMallocHost(&m, 0);
}
CASE(free_of_middle) { return aclrtFree(memory + 64); }
CASE(free_twice)
{
    void *m;
    aclrtMalloc(&m, 64, 0);
    aclrtFree(m);
    return aclrtFree(m);
}
CASE(free_host_of_device) { return aclrtFreeHost(memory); }
CASE(free_while_queued)
{
    void *m;
    aclrtMalloc(&m, 4096, 0);
    plan_silu(F32(m, 8), F32(at(1), 8));
    launch_silu();
    return aclrtFree(m);
}
CASE(free_of_workspace_in_use)
{
    void *m;
    aclrtMalloc(&m, 4096, 0);
    silu_ready();
    aclnnSilu(m, workspace, executor, stream);
    return aclrtFree(m);
}
CASE(memory_of_no_kind)
{
    size_t a, b;
    return aclrtGetMemInfo(0, &a, &b);
}
CASE(capability_unknown)
{
    int64_t v;
    return aclGetDeviceCapability(0, 17, &v);
}
CASE(copy_too_long)
{
    char host[64] = {0};
    return aclrtMemcpy(memory, 32, host, 64, ACL_MEMCPY_HOST_TO_DEVICE);
}
CASE(copy_beyond_block)
{
    static char host[2 * ROOM];
    return aclrtMemcpy(memory, sizeof host, host, sizeof host, ACL_MEMCPY_HOST_TO_DEVICE);
}
CASE(copy_of_wrong_kind)
{
    char host[64] = {0};
    return aclrtMemcpy(host, 64, host, 64, ACL_MEMCPY_DEVICE_TO_HOST);
}
CASE(copy_null) { return aclrtMemcpy(memory, 64, NULL, 64, ACL_MEMCPY_HOST_TO_DEVICE); }
CASE(copy_host_to_host_async)
{
    char a[64] = {0}, b[64] = {0};
    return aclrtMemcpyAsync(a, 64, b, 64, ACL_MEMCPY_HOST_TO_HOST, stream);
}
CASE(copy_on_device_unaligned)
{
    return aclrtMemcpyAsync(at(1) + 32, 64, at(0), 64, ACL_MEMCPY_DEVICE_TO_DEVICE, stream);
}
CASE(tensor_dead)
{
    aclTensor *x = F32(at(0), 8);
    aclDestroyTensor(x);
    return plan_silu(x, F32(at(1), 8));
}
CASE(tensor_destroyed_twice)
{
    aclTensor *x = F32(at(0), 8);
    aclDestroyTensor(x);
    return aclDestroyTensor(x);
}
CASE(tensor_of_list_destroyed)
{
    const aclTensor *x = F32(at(0), 8);
    aclDestroyTensorList(aclCreateTensorList(&x, 1));
    return aclDestroyTensor(x);
}
CASE(scalar_dead)
{
    aclScalar *s = number(1.0f);
    aclDestroyScalar(s);
    return aclnnAddGetWorkspaceSize(F32(at(0), 8), F32(at(1), 8), s, F32(at(2), 8),
                                    &workspace, &executor);
}
CASE(array_destroyed_twice)
{
    aclIntArray *a = ARRAY(1);
    aclDestroyIntArray(a);
    return aclDestroyIntArray(a);
}
CASE(tensor_null) { return plan_silu(NULL, F32(at(1), 8)); }
CASE(scalar_null)
{
    return aclnnAddGetWorkspaceSize(F32(at(0), 8), F32(at(1), 8), NULL, F32(at(2), 8),
                                    &workspace, &executor);
}
CASE(executor_null)
{
    return aclnnSiluGetWorkspaceSize(F32(at(0), 8), F32(at(1), 8), &workspace, NULL);
}
CASE(memory_unaligned) { return plan_silu(F32(at(0) + 4, 8), F32(at(1), 8)); }
CASE(memory_of_host)
{
    static _Alignas(64) char host[256];
    return plan_silu(F32(host, 8), F32(at(1), 8));
}
CASE(memory_too_short) { return plan_silu(F32(at(7), ROOM), F32(at(1), ROOM)); }
CASE(view_beyond_storage)
{
    int64_t shape = 8, stride = 4, storage = 8;
    return plan_silu(aclCreateTensor(&shape, 1, ACL_FLOAT, &stride, 0, ACL_FORMAT_ND,
                                     &storage, 1, at(0)), F32(at(1), 8));
}
CASE(stride_negative)
{
    int64_t shape = 8, stride = -1, storage = 8;
    return plan_silu(aclCreateTensor(&shape, 1, ACL_FLOAT, &stride, 7, ACL_FORMAT_ND,
                                     &storage, 1, at(0)), F32(at(1), 8));
}
CASE(stride_zero)
{
    int64_t shape = 8, stride = 0, storage = 1;
    return plan_silu(aclCreateTensor(&shape, 1, ACL_FLOAT, &stride, 0, ACL_FORMAT_ND,
                                     &storage, 1, at(0)), F32(at(1), 8));
}
CASE(output_is_input) { return plan_silu(F32(at(0), 8), F32(at(0), 8)); }
CASE(output_overlaps_input) { return plan_silu(F32(at(0), 16), F32(at(0) + 32, 16)); }
CASE(launched_twice)
{
    silu_ready();
    launch_silu();
    return launch_silu();
}
CASE(launched_as_another)
{
    silu_ready();
    int code = aclnnMul(at(7), workspace, executor, stream);
    launch_silu();
    return code;
}
CASE(workspace_missing)
{
    silu_ready();
    int code = aclnnSilu(NULL, 0, executor, stream);
    launch_silu();
    return code;
}
CASE(workspace_unaligned)
{
    silu_ready();
    int code = aclnnSilu(at(7) + 8, workspace, executor, stream);
    launch_silu();
    return code;
}
CASE(repeatable_too_late)
{
    silu_ready();
    aclSetAclOpExecutorRepeatable(executor);
    launch_silu();
    int code = aclSetAclOpExecutorRepeatable(executor);
    aclDestroyAclOpExecutor(executor);
    return code;
}
CASE(destroy_of_single)
{
    silu_ready();
    int code = aclDestroyAclOpExecutor(executor);
    launch_silu();
    return code;
}
CASE(address_of_single)
{
    silu_ready();
    int code = aclSetInputTensorAddr(executor, 0, F32(at(0), 8), at(2));
    launch_silu();
    return code;
}
CASE(address_unaligned)
{
    silu_ready();
    aclSetAclOpExecutorRepeatable(executor);
    int code = aclSetInputTensorAddr(executor, 0, F32(at(0), 8), at(2) + 4);
    aclDestroyAclOpExecutor(executor);
    return code;
}
CASE(address_of_no_tensor)
{
    silu_ready();
    aclSetAclOpExecutorRepeatable(executor);
    int code = aclSetInputTensorAddr(executor, 3, F32(at(0), 8), at(2));
    aclDestroyAclOpExecutor(executor);
    return code;
}
CASE(list_address_of_tensor)
{
    const aclTensor *x = F32(at(0), 8);
    silu_ready();
    aclSetAclOpExecutorRepeatable(executor);
    int code = aclSetDynamicInputTensorAddr(executor, 0, 0, aclCreateTensorList(&x, 1),
                                            at(2));
    aclDestroyAclOpExecutor(executor);
    return code;
}
CASE(silu_of_integers) { return plan_silu(OF(ACL_INT32, at(0), 8), OF(ACL_INT32, at(1), 8)); }
CASE(silu_of_two_dtypes) { return plan_silu(F32(at(0), 8), BF16(at(1), 8)); }
CASE(silu_of_two_shapes) { return plan_silu(F32(at(0), 8), F32(at(1), 9)); }
CASE(gelu_of_unknown_kind)
{
    return aclnnGeluV2GetWorkspaceSize(F32(at(0), 8), 2, F32(at(1), 8), &workspace,
                                       &executor);
}
CASE(clamp_without_bounds)
{
    return aclnnClampGetWorkspaceSize(F32(at(0), 8), NULL, NULL, F32(at(1), 8),
                                      &workspace, &executor);
}
CASE(mul_not_broadcast)
{
    return aclnnMulGetWorkspaceSize(F32(at(0), 3, 4), F32(at(1), 3), F32(at(2), 3, 4),
                                    &workspace, &executor);
}
CASE(mul_out_too_large)
{
    return aclnnMulGetWorkspaceSize(F32(at(0), 1, 4), F32(at(1), 1, 4), F32(at(2), 3, 4),
                                    &workspace, &executor);
}
CASE(mul_float_into_integer)
{
    return aclnnMulGetWorkspaceSize(F32(at(0), 4), F32(at(1), 4), OF(ACL_INT32, at(2), 4),
                                    &workspace, &executor);
}
CASE(cast_to_another)
{
    return aclnnCastGetWorkspaceSize(F32(at(0), 4), ACL_BF16, F32(at(1), 4), &workspace,
                                     &executor);
}
CASE(copy_not_broadcast)
{
    return aclnnInplaceCopyGetWorkspaceSize(F32(at(0), 4), F32(at(1), 3), &workspace,
                                            &executor);
}
CASE(pad_of_wrong_shape)
{
    return aclnnConstantPadNdGetWorkspaceSize(F32(at(0), 4), ARRAY(1, 1), number(0.0f),
                                              F32(at(1), 7), &workspace, &executor);
}
CASE(pad_of_odd_count)
{
    return aclnnConstantPadNdGetWorkspaceSize(F32(at(0), 4), ARRAY(1), number(0.0f),
                                              F32(at(1), 5), &workspace, &executor);
}
CASE(flip_of_no_axis)
{
    return aclnnFlipGetWorkspaceSize(F32(at(0), 4), ARRAY(1), F32(at(1), 4), &workspace,
                                     &executor);
}
CASE(amax_axis_twice)
{
    return aclnnAmaxGetWorkspaceSize(F32(at(0), 4, 4), ARRAY(1, 1), true,
                                     F32(at(1), 4, 1), &workspace, &executor);
}
CASE(amax_of_wrong_shape)
{
    return aclnnAmaxGetWorkspaceSize(F32(at(0), 4, 4), ARRAY(1), true, F32(at(1), 4),
                                     &workspace, &executor);
}

static int plan_mm(aclTensor *a, aclTensor *b, aclTensor *c, int8_t cube)
{
    return aclnnMmGetWorkspaceSize(a, b, c, cube, &workspace, &executor);
}

static int plan_trans(aclTensor *weight)
{
    return aclnnTransMatmulWeightGetWorkspaceSize(weight, &workspace, &executor);
}

/* The transposed view [48, 32] of a weight in blocks; storage [48 / 16, 32 / 16, 16, 16]. */
static aclTensor *blocked_of(aclFormat format, int rank, const int64_t *storage)
{
    int64_t shape[2] = {48, 32}, stride[2] = {1, 48};
    return aclCreateTensor(shape, 2, ACL_BF16, stride, 0, format, storage, (uint64_t)rank,
                           at(1));
}
#define BLOCKED(format, ...) blocked_of(format, SHAPE(__VA_ARGS__))

static int plan_blocked(aclTensor *x, aclTensor *w, aclTensor *y)
{
    return aclnnMatmulWeightNzGetWorkspaceSize(x, w, y, 0, &workspace, &executor);
}

CASE(trans_of_f32) { return plan_trans(F32(at(1), 32, 48)); }
CASE(trans_of_nothing) { return plan_trans(BF16(at(1), 0, 48)); }
CASE(trans_of_vector) { return plan_trans(BF16(at(1), 48)); }
CASE(trans_twice)
{
    aclTensor *w = BF16(at(1), 32, 48);
    plan_trans(w);
    aclnnTransMatmulWeight(at(7), workspace, executor, stream);
    return plan_trans(w);
}
CASE(trans_without_room) { return plan_trans(BF16(memory + ROOM - 64, 2, 16)); }
CASE(trans_made_repeatable)
{
    plan_trans(BF16(at(1), 32, 48));
    int code = aclSetAclOpExecutorRepeatable(executor);
    aclnnTransMatmulWeight(at(7), workspace, executor, stream);
    return code;
}
CASE(blocked_weight_in_plain_format)
{
    return plan_blocked(BF16(at(0), 2, 48), BLOCKED(ACL_FORMAT_ND, 3, 2, 16, 16),
                        BF16(at(2), 2, 32));
}
CASE(blocked_weight_with_plain_storage)
{
    return plan_blocked(BF16(at(0), 2, 48), BLOCKED(ACL_FORMAT_FRACTAL_NZ, 1536),
                        BF16(at(2), 2, 32));
}
CASE(blocked_weight_with_turned_storage)
{
    return plan_blocked(BF16(at(0), 2, 48), BLOCKED(ACL_FORMAT_FRACTAL_NZ, 2, 3, 16, 16),
                        BF16(at(2), 2, 32));
}
CASE(blocked_weight_of_f32_input)
{
    return plan_blocked(F32(at(0), 2, 48), BLOCKED(ACL_FORMAT_FRACTAL_NZ, 3, 2, 16, 16),
                        BF16(at(2), 2, 32));
}
CASE(blocked_product_into_f32)
{
    return plan_blocked(BF16(at(0), 2, 48), BLOCKED(ACL_FORMAT_FRACTAL_NZ, 3, 2, 16, 16),
                        F32(at(2), 2, 32));
}
CASE(blocked_weight_in_plain_product)
{
    return plan_mm(BF16(at(0), 2, 48), BLOCKED(ACL_FORMAT_FRACTAL_NZ, 3, 2, 16, 16),
                   BF16(at(2), 2, 32), 0);
}
CASE(blocked_sum_with_wrong_bias)
{
    return aclnnAddmmWeightNzGetWorkspaceSize(
        F32(at(3), 31), BF16(at(0), 2, 48), BLOCKED(ACL_FORMAT_FRACTAL_NZ, 3, 2, 16, 16),
        number(1), number(1), F32(at(2), 2, 32), 0, &workspace, &executor);
}
CASE(mm_of_bf16_and_f32)
{
    return plan_mm(BF16(at(0), 2, 3), F32(at(1), 3, 4), F32(at(2), 2, 4), 0);
}
CASE(mm_of_bf16_into_f32)
{
    return plan_mm(BF16(at(0), 2, 3), BF16(at(1), 3, 4), F32(at(2), 2, 4), 0);
}
CASE(mm_of_inner_extents)
{
    return plan_mm(F32(at(0), 2, 3), F32(at(1), 4, 4), F32(at(2), 2, 4), 0);
}
CASE(mm_of_cube_type)
{
    return plan_mm(F32(at(0), 2, 3), F32(at(1), 3, 4), F32(at(2), 2, 4), 5);
}
CASE(mm_of_batches)
{
    return plan_mm(F32(at(0), 1, 2, 3), F32(at(1), 1, 3, 4), F32(at(2), 1, 2, 4), 0);
}
CASE(mm_into_strided)
{
    int64_t shape[2] = {2, 4}, stride[2] = {9, 1}, storage = 32;
    return plan_mm(F32(at(0), 2, 3), F32(at(1), 3, 4),
                   aclCreateTensor(shape, 2, ACL_FLOAT, stride, 0, ACL_FORMAT_ND,
                                   &storage, 1, at(2)), 0);
}
CASE(batches_differ)
{
    return aclnnBatchMatMulGetWorkspaceSize(F32(at(0), 2, 2, 3), F32(at(1), 3, 3, 4),
                                            F32(at(2), 3, 2, 4), 0, &workspace,
                                            &executor);
}

typedef struct conv_case {
    aclTensor *x, *w, *y;
    int64_t stride, padding, dilation;
    int8_t cube;
} conv_case;

static int plan_conv(conv_case c)
{
    return aclnnConvolutionGetWorkspaceSize(
        c.x, c.w, NULL, ARRAY(c.stride), ARRAY(c.padding), ARRAY(c.dilation), false,
        ARRAY(0), 1, c.y, c.cube, &workspace, &executor);
}

#define NCL ACL_FORMAT_NCL

CASE(conv_of_nd)
{
    return plan_conv((conv_case){F32(at(0), 1, 2, 9), F32(at(1), 3, 2, 3),
                                 F32(at(2), 1, 3, 7), 1, 0, 1, 1});
}
CASE(conv_of_wrong_output)
{
    return plan_conv((conv_case){MAP(NCL, at(0), 1, 2, 9), MAP(NCL, at(1), 3, 2, 3),
                                 MAP(NCL, at(2), 1, 3, 8), 1, 0, 1, 1});
}
CASE(conv_of_channels)
{
    return plan_conv((conv_case){MAP(NCL, at(0), 1, 4, 9), MAP(NCL, at(1), 3, 2, 3),
                                 MAP(NCL, at(2), 1, 3, 7), 1, 0, 1, 1});
}
CASE(conv_of_dilation)
{
    return plan_conv((conv_case){MAP(NCL, at(0), 1, 1, 600), MAP(NCL, at(1), 1, 1, 2),
                                 MAP(NCL, at(2), 1, 1, 344), 1, 0, 256, 1});
}
CASE(conv_of_padding)
{
    return plan_conv((conv_case){MAP(NCL, at(0), 1, 1, 9), MAP(NCL, at(1), 1, 1, 1),
                                 MAP(NCL, at(2), 1, 1, 521), 1, 256, 1, 1});
}
CASE(conv_shorter_than_kernel)
{
    return plan_conv((conv_case){MAP(NCL, at(0), 1, 1, 2), MAP(NCL, at(1), 1, 1, 3),
                                 MAP(NCL, at(2), 1, 1, 1), 1, 0, 1, 1});
}
CASE(conv_array_of_wrong_length)
{
    return aclnnConvolutionGetWorkspaceSize(
        MAP(NCL, at(0), 1, 1, 9), MAP(NCL, at(1), 1, 1, 1), NULL, ARRAY(1, 1), ARRAY(0),
        ARRAY(1), false, ARRAY(0), 1, MAP(NCL, at(2), 1, 1, 9), 1, &workspace,
        &executor);
}
CASE(conv_without_array)
{
    return aclnnConvolutionGetWorkspaceSize(
        MAP(NCL, at(0), 1, 1, 9), MAP(NCL, at(1), 1, 1, 1), NULL, ARRAY(1), ARRAY(0),
        ARRAY(1), false, NULL, 1, MAP(NCL, at(2), 1, 1, 9), 1, &workspace, &executor);
}
CASE(norm_of_wrong_shape)
{
    return aclnnLayerNormGetWorkspaceSize(F32(at(0), 2, 8), ARRAY(4), NULL, NULL, 1e-6,
                                          F32(at(1), 2, 8), NULL, NULL, &workspace,
                                          &executor);
}
CASE(norm_of_affine_dtypes)
{
    return aclnnLayerNormGetWorkspaceSize(
        F32(at(0), 2, 8), ARRAY(8), BF16(at(2), 8), BF16(at(3), 8), 1e-6,
        F32(at(1), 2, 8), NULL, NULL, &workspace, &executor);
}

typedef struct sum_case {
    aclTensor *x1, *x2, *gamma, *y, *rstd, *x;
} sum_case;

static int plan_sum(sum_case c)
{
    return aclnnAddLayerNormGetWorkspaceSize(
        c.x1, c.x2, c.gamma, F32(at(3) + 64, 8), NULL, 1e-6, true, c.y,
        F32(at(6), 2, 1), c.rstd, c.x, &workspace, &executor);
}

CASE(sum_of_dtypes)
{
    return plan_sum((sum_case){F32(at(0), 2, 8), BF16(at(1), 2, 8), BF16(at(3), 8),
                               F32(at(2), 2, 8), F32(at(5), 2, 1), F32(at(4), 2, 8)});
}
CASE(sum_into_bf16)
{
    return plan_sum((sum_case){F32(at(0), 2, 8), F32(at(1), 2, 8), F32(at(3), 8),
                               BF16(at(2), 2, 8), F32(at(5), 2, 1), BF16(at(4), 2, 8)});
}
CASE(sum_of_shapes)
{
    return plan_sum((sum_case){F32(at(0), 2, 8), F32(at(1), 1, 8), F32(at(3), 8),
                               F32(at(2), 2, 8), F32(at(5), 2, 1), F32(at(4), 2, 8)});
}
CASE(sum_of_short_rstd)
{
    return plan_sum((sum_case){F32(at(0), 2, 8), F32(at(1), 2, 8), F32(at(3), 8),
                               F32(at(2), 2, 8), F32(at(5), 1, 1), F32(at(4), 2, 8)});
}
CASE(sum_in_place)
{
    aclTensor *x = F32(at(0), 2, 8);
    return plan_sum((sum_case){x, F32(at(1), 2, 8), F32(at(3), 8), F32(at(2), 2, 8),
                               F32(at(5), 2, 1), x});
}
CASE(sum_without_x)
{
    return plan_sum((sum_case){F32(at(0), 2, 8), F32(at(1), 2, 8), F32(at(3), 8),
                               F32(at(2), 2, 8), F32(at(5), 2, 1), NULL});
}
CASE(rms_without_gamma)
{
    return aclnnRmsNormGetWorkspaceSize(F32(at(0), 2, 8), NULL, 1e-6, F32(at(1), 2, 8),
                                        F32(at(2), 2, 1), &workspace, &executor);
}
CASE(rms_without_rstd)
{
    return aclnnRmsNormGetWorkspaceSize(F32(at(0), 2, 8), F32(at(3), 8), 1e-6,
                                        F32(at(1), 2, 8), NULL, &workspace, &executor);
}
CASE(rms_of_short_rstd)
{
    return aclnnRmsNormGetWorkspaceSize(F32(at(0), 2, 8), F32(at(3), 8), 1e-6,
                                        F32(at(1), 2, 8), F32(at(2), 1, 1), &workspace,
                                        &executor);
}

static int plan_rope(aclTensor *x, aclTensor *c, aclTensor *s, int64_t mode, aclTensor *y)
{
    return aclnnRotaryPositionEmbeddingGetWorkspaceSize(x, c, s, mode, y, &workspace,
                                                        &executor);
}

CASE(rope_of_dtypes)
{
    return plan_rope(F32(at(0), 1, 2, 1, 8), BF16(at(1), 1, 2, 1, 8),
                     BF16(at(2), 1, 2, 1, 8), 0, F32(at(3), 1, 2, 1, 8));
}
CASE(rope_of_quarters)
{
    return plan_rope(F32(at(0), 1, 2, 1, 8), F32(at(1), 1, 2, 1, 8),
                     F32(at(2), 1, 2, 1, 8), 2, F32(at(3), 1, 2, 1, 8));
}
CASE(rope_too_wide)
{
    return plan_rope(F32(at(0), 1, 1, 1, 896), F32(at(1), 1, 1, 1, 896),
                     F32(at(2), 1, 1, 1, 896), 0, F32(at(3), 1, 1, 1, 896));
}
CASE(rope_of_many_heads)
{
    return plan_rope(F32(at(0), 1, 1, 1000, 2), F32(at(1), 1, 1, 1, 2),
                     F32(at(2), 1, 1, 1, 2), 1, F32(at(3), 1, 1, 1000, 2));
}
CASE(rope_of_three_axes)
{
    return plan_rope(F32(at(0), 2, 1, 8), F32(at(1), 2, 1, 8), F32(at(2), 2, 1, 8), 0,
                     F32(at(3), 2, 1, 8));
}

typedef struct attention_case {
    aclTensor *q;
    const aclTensor *k, *v;
    aclTensor *y;
    int64_t heads;
    char *layout;
    bool lse;
} attention_case;

static int plan_attention(attention_case c)
{
    return aclnnFusedInferAttentionScoreV2GetWorkspaceSize(
        c.q, aclCreateTensorList(&c.k, 1), aclCreateTensorList(&c.v, 1), NULL, NULL, NULL,
        NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
        NULL, NULL, NULL, NULL, NULL, c.heads, 1.0, 2147483647, 2147483647, c.layout, 0,
        0, 0, 0, 0, c.lse, 0, 0, c.y, NULL, &workspace, &executor);
}

static char bsnd[] = "BSND", bogus[] = "XYZ";

#define ATTENTION(make, n, d)                                                  \
    make(at(0), 1, 2, n, d), make(at(1), 1, 2, n, d), make(at(2), 1, 2, n, d), \
    make(at(3), 1, 2, n, d), n

CASE(attention_of_f32)
{
    return plan_attention((attention_case){ATTENTION(F32, 1, 16), bsnd, false});
}
CASE(attention_of_width)
{
    return plan_attention((attention_case){ATTENTION(BF16, 1, 24), bsnd, false});
}
CASE(attention_too_wide)
{
    return plan_attention((attention_case){ATTENTION(BF16, 1, 528), bsnd, false});
}
CASE(attention_of_many_heads)
{
    return plan_attention((attention_case){ATTENTION(BF16, 257, 16), bsnd, false});
}
CASE(attention_of_layout)
{
    return plan_attention((attention_case){ATTENTION(BF16, 1, 16), bogus, false});
}
CASE(attention_without_lse)
{
    return plan_attention((attention_case){ATTENTION(BF16, 1, 16), bsnd, true});
}
CASE(attention_of_heads_given)
{
    attention_case c = {ATTENTION(BF16, 2, 16), bsnd, false};
    c.heads = 3;
    return plan_attention(c);
}

/* Capture. */
enum { GLOBAL = ACL_MODEL_RI_CAPTURE_MODE_GLOBAL };

/* What `wrong` gets while a stream is captured. */
static int in_capture(int mode, int (*wrong)(void))
{
    aclmdlRI graph = NULL;
    aclmdlRICaptureBegin(stream, mode);
    int code = wrong();
    if (aclmdlRICaptureEnd(stream, &graph) == 0)
        aclmdlRIDestroy(graph);
    return code;
}

/* A captured Silu with its workspace at `space`. */
static aclmdlRI graph_of(char *x, char *space)
{
    aclmdlRI graph = NULL;
    if (aclmdlRICaptureBegin(stream, GLOBAL) != 0 || plan_silu(F32(x, 8), F32(at(1), 8)) != 0 ||
        aclnnSilu(space, workspace, executor, stream) != 0 ||
        aclmdlRICaptureEnd(stream, &graph) != 0)
        abort();
    return graph;
}

static int wait_for_stream(void) { return aclrtSynchronizeStream(stream); }
static int wait_in_time(void) { return aclrtSynchronizeStreamWithTimeout(stream, 100); }
static int ask_stream(void)
{
    int status;
    return aclrtStreamQuery(stream, &status);
}
static int begin_again(void) { return aclmdlRICaptureBegin(stream, GLOBAL); }
static int copy_now(void)
{
    char host[32] = {0};
    return aclrtMemcpy(at(0), 32, host, 32, ACL_MEMCPY_HOST_TO_DEVICE);
}
static int set_now(void) { return aclrtMemset(at(0), 32, 0, 32); }
static int copy_pageable(void)
{
    static char host[32];
    return aclrtMemcpyAsync(at(0), 32, host, 32, ACL_MEMCPY_HOST_TO_DEVICE, stream);
}
static int destroy_it(void) { return aclrtDestroyStream(stream); }
static int launch_when_spoilt(void)
{
    wait_for_stream();
    silu_ready();
    return launch_silu();
}
static int wait_for_event_of_capture(void)
{
    aclrtEvent e;
    aclrtCreateEvent(&e);
    aclrtRecordEvent(e, stream);
    int code = aclrtSynchronizeEvent(e);
    aclrtDestroyEvent(e);
    return code;
}

CASE(capture_of_no_stream) { return aclmdlRICaptureBegin(NULL, GLOBAL); }
CASE(capture_of_dead_stream) { return aclmdlRICaptureBegin(memory, GLOBAL); }
CASE(capture_in_no_mode) { return aclmdlRICaptureBegin(stream, 3); }
CASE(capture_twice) { return in_capture(GLOBAL, begin_again); }
CASE(capture_waited_for) { return in_capture(GLOBAL, wait_for_stream); }
CASE(capture_relaxed_waited_for)
{
    return in_capture(ACL_MODEL_RI_CAPTURE_MODE_RELAXED, wait_in_time);
}
CASE(capture_asked) { return in_capture(GLOBAL, ask_stream); }
CASE(capture_device_waited_for) { return in_capture(GLOBAL, aclrtSynchronizeDevice); }
CASE(capture_event_inside) { return in_capture(GLOBAL, wait_for_event_of_capture); }
CASE(capture_event_before)
{
    aclrtEvent e;
    aclmdlRI graph;
    aclrtCreateEvent(&e);
    aclrtRecordEvent(e, stream);
    aclmdlRICaptureBegin(stream, GLOBAL);
    int code = aclrtSynchronizeEvent(e);
    aclmdlRICaptureEnd(stream, &graph);
    aclrtDestroyEvent(e);
    return code;
}
CASE(capture_copy) { return in_capture(GLOBAL, copy_now); }
CASE(capture_copy_of_own_thread)
{
    return in_capture(ACL_MODEL_RI_CAPTURE_MODE_THREAD_LOCAL, copy_now);
}
CASE(capture_copy_relaxed) { return in_capture(ACL_MODEL_RI_CAPTURE_MODE_RELAXED, copy_now); }
CASE(capture_set) { return in_capture(GLOBAL, set_now); }
CASE(capture_copy_pageable) { return in_capture(GLOBAL, copy_pageable); }
CASE(capture_stream_destroyed) { return in_capture(GLOBAL, destroy_it); }
CASE(capture_spoilt_launch) { return in_capture(GLOBAL, launch_when_spoilt); }
CASE(capture_spoilt_end)
{
    aclmdlRI graph = memory;
    aclmdlRICaptureBegin(stream, GLOBAL);
    wait_for_stream();
    int code = aclmdlRICaptureEnd(stream, &graph);
    return graph ? 0 : code;
}
CASE(capture_end_alone)
{
    aclmdlRI graph;
    return aclmdlRICaptureEnd(stream, &graph);
}
CASE(graph_not_living) { return aclmdlRIExecuteAsync(memory, stream); }
CASE(graph_on_no_stream)
{
    aclmdlRI graph = graph_of(at(0), at(7));
    int code = aclmdlRIExecuteAsync(graph, NULL);
    aclmdlRIDestroy(graph);
    return code;
}
CASE(graph_destroyed_twice)
{
    aclmdlRI graph = graph_of(at(0), at(7));
    aclmdlRIDestroy(graph);
    return aclmdlRIDestroy(graph);
}
CASE(graph_destroyed_while_queued)
{
    aclmdlRI graph = graph_of(at(0), at(7));
    aclmdlRIExecuteAsync(graph, stream);
    int code = aclmdlRIDestroy(graph);
    aclrtSynchronizeStream(stream);
    aclmdlRIDestroy(graph);
    return code;
}
CASE(graph_without_its_memory)
{
    void *m;
    aclrtMalloc(&m, 4096, 0);
    aclmdlRI graph = graph_of(m, at(7));
    int code = aclrtFree(m);
    aclmdlRIDestroy(graph);
    aclrtFree(m);
    return code;
}
CASE(graph_without_its_workspace)
{
    void *m;
    aclrtMalloc(&m, 4096, 0);
    aclmdlRI graph = graph_of(at(0), m);
    int code = aclrtFree(m);
    aclmdlRIDestroy(graph);
    aclrtFree(m);
    return code;
}
CASE(graph_without_its_upload)
{
    void *m;
    aclmdlRI graph;
    aclrtMallocHost(&m, 64);
    aclmdlRICaptureBegin(stream, GLOBAL);
    aclrtMemcpyAsync(at(0), 64, m, 64, ACL_MEMCPY_HOST_TO_DEVICE, stream);
    aclmdlRICaptureEnd(stream, &graph);
    int code = aclrtFreeHost(m);
    aclmdlRIDestroy(graph);
    aclrtFreeHost(m);
    return code;
}
CASE(set_beyond_block) { return aclrtMemset(memory, 2 * ROOM, 0, 2 * ROOM); }

/* Faults by injection. */
CASE(injected_allocation)
{
    void *m;
    cann_emulator_fail("aclrtMalloc", 1, 207001);
    return aclrtMalloc(&m, 64, 0);
}
CASE(injected_on_the_core)
{
    aclrtStream own, before = stream;
    aclrtCreateStream(&own);
    stream = own;
    cann_emulator_fail("aclnnSilu", 1, 507015);
    silu_ready();
    launch_silu();
    stream = before;
    int code = aclrtSynchronizeStream(own);
    aclrtDestroyStream(own);
    return code;
}

static const wrong_use cases[] = {
#define USE(code, name) {#name, code, name}
    USE(100002, init_twice),
    USE(107001, no_such_device), USE(107001, negative_device),
    USE(107001, reset_of_unset), USE(100000, context_of_no_device),
    USE(107017, context_not_living), USE(107017, context_destroyed_twice),
    USE(107017, context_with_streams), USE(107003, stream_of_another_context),
    USE(107017, stream_not_living), USE(107017, stream_destroyed_twice),
    USE(100000, stream_null), USE(107000, timeout_negative),
    USE(100000, event_null), USE(107017, event_not_living),
    USE(107017, event_destroyed_twice), USE(107000, event_not_recorded),
    USE(107000, event_timeout_negative),
    USE(107000, malloc_nothing), USE(107000, malloc_policies_combined),
    USE(207001, malloc_too_much), USE(107000, malloc_host_nothing),
    USE(107000, free_of_middle), USE(107000, free_twice),
    USE(107000, free_host_of_device), USE(107000, free_while_queued),
    USE(107000, free_of_workspace_in_use), USE(207000, memory_of_no_kind),
    USE(100000, capability_unknown), USE(107000, copy_too_long),
    USE(107000, copy_beyond_block), USE(107000, copy_of_wrong_kind),
    USE(107000, copy_null), USE(207000, copy_host_to_host_async),
    USE(200003, copy_on_device_unaligned),
    USE(161002, tensor_dead), USE(161002, tensor_destroyed_twice),
    USE(161002, tensor_of_list_destroyed), USE(161002, scalar_dead),
    USE(161002, array_destroyed_twice), USE(161001, tensor_null),
    USE(161001, scalar_null), USE(161001, executor_null),
    USE(161002, memory_unaligned), USE(161002, memory_of_host),
    USE(161002, memory_too_short), USE(161002, view_beyond_storage),
    USE(161002, stride_negative), USE(161002, stride_zero),
    USE(161002, output_is_input), USE(161002, output_overlaps_input),
    USE(161002, launched_twice), USE(161002, launched_as_another),
    USE(161002, workspace_missing), USE(161002, workspace_unaligned),
    USE(161002, repeatable_too_late), USE(161002, destroy_of_single),
    USE(161002, address_of_single), USE(161002, address_unaligned),
    USE(161002, address_of_no_tensor), USE(161002, list_address_of_tensor),
    USE(161002, silu_of_integers), USE(161002, silu_of_two_dtypes),
    USE(161002, silu_of_two_shapes), USE(161002, gelu_of_unknown_kind),
    USE(161002, clamp_without_bounds), USE(161002, mul_not_broadcast),
    USE(161002, mul_out_too_large), USE(161002, mul_float_into_integer),
    USE(161002, cast_to_another), USE(161002, copy_not_broadcast),
    USE(161002, pad_of_wrong_shape), USE(161002, pad_of_odd_count),
    USE(161002, flip_of_no_axis), USE(161002, amax_axis_twice),
    USE(161002, trans_of_f32), USE(161002, trans_of_nothing),
    USE(161002, trans_of_vector), USE(161002, trans_twice),
    USE(161002, trans_without_room), USE(161002, trans_made_repeatable),
    USE(161002, blocked_weight_in_plain_format),
    USE(161002, blocked_weight_with_plain_storage),
    USE(161002, blocked_weight_with_turned_storage),
    USE(161002, blocked_weight_of_f32_input),
    USE(161002, blocked_product_into_f32),
    USE(161002, blocked_weight_in_plain_product),
    USE(161002, blocked_sum_with_wrong_bias),
    USE(161002, amax_of_wrong_shape), USE(161002, mm_of_bf16_and_f32),
    USE(161002, mm_of_bf16_into_f32), USE(161002, mm_of_inner_extents),
    USE(161002, mm_of_cube_type), USE(161002, mm_of_batches),
    USE(161002, mm_into_strided), USE(161002, batches_differ),
    USE(161002, conv_of_nd), USE(161002, conv_of_wrong_output),
    USE(161002, conv_of_channels), USE(161002, conv_of_dilation),
    USE(161002, conv_of_padding), USE(161002, conv_shorter_than_kernel),
    USE(161002, conv_array_of_wrong_length), USE(161001, conv_without_array),
    USE(161002, norm_of_wrong_shape), USE(161002, norm_of_affine_dtypes),
    USE(161001, rms_without_gamma), USE(161001, rms_without_rstd),
    USE(161002, sum_of_dtypes), USE(161002, sum_into_bf16), USE(561002, sum_of_shapes),
    USE(561002, sum_of_short_rstd), USE(161002, sum_in_place), USE(161001, sum_without_x),
    USE(161002, rms_of_short_rstd), USE(161002, rope_of_dtypes),
    USE(161002, rope_of_quarters), USE(161002, rope_too_wide),
    USE(161002, rope_of_many_heads), USE(161002, rope_of_three_axes),
    USE(161002, attention_of_f32), USE(161002, attention_of_width),
    USE(161002, attention_too_wide), USE(161002, attention_of_many_heads),
    USE(161002, attention_of_layout), USE(161002, attention_without_lse),
    USE(161002, attention_of_heads_given),
    USE(107031, capture_of_no_stream), USE(107017, capture_of_dead_stream),
    USE(107000, capture_in_no_mode), USE(107027, capture_twice),
    USE(107027, capture_waited_for), USE(107027, capture_relaxed_waited_for),
    USE(107027, capture_asked), USE(107027, capture_device_waited_for),
    USE(107028, capture_event_inside), USE(107027, capture_event_before),
    USE(107030, capture_copy), USE(107030, capture_copy_of_own_thread),
    USE(0, capture_copy_relaxed), USE(107030, capture_set),
    USE(107030, capture_copy_pageable), USE(107027, capture_stream_destroyed),
    USE(361001, capture_spoilt_launch), USE(507903, capture_spoilt_end),
    USE(107029, capture_end_alone), USE(107017, graph_not_living),
    USE(107031, graph_on_no_stream), USE(107017, graph_destroyed_twice),
    USE(107000, graph_destroyed_while_queued), USE(107000, graph_without_its_memory),
    USE(107000, graph_without_its_workspace), USE(107000, graph_without_its_upload),
    USE(107000, set_beyond_block),
    USE(207001, injected_allocation), USE(507015, injected_on_the_core),
};

enum { CASES = sizeof cases / sizeof cases[0] };

/* --- before and after ------------------------------------------------------------------- */

static int failures;

static void expect(const char *what, int found, int code)
{
    const char *text = aclGetRecentErrMsg();
    bool fine = found == code && (code == 0 || (text && text[0]));
    if (!fine)
        printf("FAIL %s: %d (%s), expected %d\n", what, found, text ? text : "no message",
               code);
    failures += !fine;
}

/* What has to work, and what the results are. */
static void right_use(void)
{
    float values[8] = {0, 1, -1, 2, -2, 3, -3, 4}, results[8] = {0};
    expect("an upload", aclrtMemcpy(at(0), 32, values, 32, ACL_MEMCPY_HOST_TO_DEVICE), 0);
    silu_ready();
    expect("a launch", launch_silu(), 0);
    aclrtMemcpy(results, 32, at(1), 32, ACL_MEMCPY_DEVICE_TO_HOST);
    expect("what is queued has not happened", results[0] == results[0], 0);
    expect("a wait", aclrtSynchronizeStream(stream), 0);
    aclrtMemcpy(results, 32, at(1), 32, ACL_MEMCPY_DEVICE_TO_HOST);
    expect("the result", results[1] < 0.731f || results[1] > 0.7311f, 0);
}

static float silu_of(float x)
{
    float out[8];
    aclrtSynchronizeStream(stream);
    aclrtMemcpy(out, 32, at(1), 32, ACL_MEMCPY_DEVICE_TO_HOST);
    printf("  silu of %g is %g\n", (double)x, (double)out[1]);
    return out[1];
}

/* A graph does nothing until it is replayed, and then reads its memory anew, that of
 * the host included. */
static void right_capture(void)
{
    void *pinned;
    aclmdlRI graph = NULL;
    aclrtMallocHost(&pinned, 64);
    float *values = pinned;
    values[1] = 1.0f;
    aclrtMemset(at(1), 32, 0, 32);
    expect("a capture", aclmdlRICaptureBegin(stream, GLOBAL), 0);
    aclrtMemcpyAsync(at(0), 32, pinned, 32, ACL_MEMCPY_HOST_TO_DEVICE, stream);
    silu_ready();
    expect("a captured launch", launch_silu(), 0);
    expect("the end of a capture", aclmdlRICaptureEnd(stream, &graph), 0);
    expect("nothing happened", silu_of(1.0f) != 0.0f, 0);
    aclmdlRIExecuteAsync(graph, stream);
    float one = silu_of(1.0f);
    expect("the first replay", one < 0.731f || one > 0.7311f, 0);
    values[1] = 2.0f;
    aclmdlRIExecuteAsync(graph, stream);
    float two = silu_of(2.0f);
    expect("the second replay", two < 1.7615f || two > 1.7617f, 0);
    expect("the end of the graph", aclmdlRIDestroy(graph), 0);
    aclrtFreeHost(pinned);
}

static void before_anything(void)
{
    uint32_t count;
    size_t a, b;
    expect("a call before aclInit", aclrtGetDeviceCount(&count), 100001);
    expect("finalising before aclInit", aclFinalize(), 100037);
    expect("aclInit", aclInit(NULL), 0);
    expect("no context", aclrtGetMemInfo(1, &a, &b), 107002);
}

int main(void)
{
    void *block;
    before_anything();
    if (aclrtSetDevice(0) != 0 || aclrtCreateStream(&stream) != 0 ||
        aclrtMalloc(&block, ROOM, 0) != 0)
        return 1;
    memory = block;
    right_use();
    right_capture();
    for (int i = 0; i < CASES; i++) {
        expect(cases[i].what, cases[i].run(), cases[i].code);
        aclrtSynchronizeStream(stream);
    }
    expect("the end", aclFinalize(), 0);
    expect("aclInit after the end", aclInit(NULL), 100002);
    printf("%d wrong uses, %d failures\n", CASES + 4, failures);
    return failures > 0;
}
