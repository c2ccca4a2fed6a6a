/* SPDX-License-Identifier: Apache-2.0 */
/* The emulator's own test of operators: dtypes, shapes and formats that they do not
 * document get their codes and a message.  docs/ascend.md, "Operators".
 */
#include "misuse.h"

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
CASE(mul_bf16_into_integer)
{
    return aclnnMulGetWorkspaceSize(BF16(at(0), 4), BF16(at(1), 4), OF(ACL_INT32, at(2), 4),
                                    &workspace, &executor);
}
CASE(muls_of_integers_by_float)
{
    return aclnnMulsGetWorkspaceSize(OF(ACL_INT32, at(0), 4), number(1.5f),
                                     OF(ACL_INT32, at(1), 4), &workspace, &executor);
}
CASE(silu_into_rows_that_overlap)
{
    int64_t shape[2] = {2, 4}, stride[2] = {3, 1}, storage = 7;
    return plan_silu(F32(at(0), 2, 4), aclCreateTensor(shape, 2, ACL_FLOAT, stride, 0,
                                                       ACL_FORMAT_ND, &storage, 1, at(1)));
}
CASE(addcmul_of_dtypes)
{
    return aclnnAddcmulGetWorkspaceSize(F32(at(0), 4), BF16(at(1), 4), F32(at(2), 4),
                                        number(1.0f), F32(at(3), 4), &workspace, &executor);
}
CASE(sum_of_another_dtype)
{
    return aclnnReduceSumGetWorkspaceSize(F32(at(0), 4, 4), ARRAY(1), true, ACL_FLOAT,
                                          BF16(at(1), 4, 1), &workspace, &executor);
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
CASE(mm_of_f16_and_bf16)
{
    return plan_mm(F16(at(0), 2, 3), BF16(at(1), 3, 4), BF16(at(2), 2, 4), 0);
}
CASE(mm_of_inner_extents)
{
    return plan_mm(F32(at(0), 2, 3), F32(at(1), 4, 4), F32(at(2), 2, 4), 0);
}
CASE(mm_of_cube_type)
{
    return plan_mm(F32(at(0), 2, 3), F32(at(1), 3, 4), F32(at(2), 2, 4), 5);
}
CASE(mm_in_f16)
{
    return plan_mm(F32(at(0), 2, 3), F32(at(1), 3, 4), F32(at(2), 2, 4), 2);
}
CASE(addmm_of_a_number)
{
    return aclnnAddmmGetWorkspaceSize(
        aclCreateTensor(NULL, 0, ACL_FLOAT, NULL, 0, ACL_FORMAT_ND, (int64_t[]){1}, 1, at(3)),
        F32(at(0), 2, 3), F32(at(1), 3, 4), number(1.0f), number(1.0f), F32(at(2), 2, 4), 0,
        &workspace, &executor);
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
/* A million and one samples. */
CASE(conv_too_long)
{
    enum { LENGTH = 1000001 };
    void *x, *y;
    aclrtMalloc(&x, 4 * LENGTH, 0);
    aclrtMalloc(&y, 4 * LENGTH, 0);
    int code = plan_conv((conv_case){MAP(NCL, x, 1, 1, LENGTH), MAP(NCL, at(1), 1, 1, 1),
                                     MAP(NCL, y, 1, 1, LENGTH), 1, 0, 1, 1});
    aclrtFree(x);
    aclrtFree(y);
    return code;
}
CASE(conv_of_dtypes)
{
    return plan_conv((conv_case){
        MAP(NCL, at(0), 1, 1, 9), tensor_of(ACL_BF16, NCL, at(1), SHAPE(1, 1, 1)),
        MAP(NCL, at(2), 1, 1, 9), 1, 0, 1, 1});
}
CASE(conv_of_cube_type)
{
    return plan_conv((conv_case){MAP(NCL, at(0), 1, 1, 9), MAP(NCL, at(1), 1, 1, 1),
                                 MAP(NCL, at(2), 1, 1, 9), 1, 0, 1, 4});
}

CASE(conv_in_f16)
{
    return plan_conv((conv_case){MAP(NCL, at(0), 1, 1, 9), MAP(NCL, at(1), 1, 1, 1),
                                 MAP(NCL, at(2), 1, 1, 9), 1, 0, 1, 2});
}
CASE(conv_of_no_kernel)
{
    return plan_conv((conv_case){MAP(NCL, at(0), 1, 1, 9), MAP(NCL, at(1), 1, 1, 0),
                                 MAP(NCL, at(2), 1, 1, 10), 1, 0, 1, 1});
}

/* In three axes; the kernel is as large as the map, or the stride goes along h. */
static int plan_conv3d(int64_t h, int64_t w, bool whole, int64_t stride, int64_t out)
{
    const aclFormat map = ACL_FORMAT_NCDHW;
    return aclnnConvolutionGetWorkspaceSize(
        MAP(map, at(0), 1, 1, 1, h, w),
        MAP(map, at(1), 1, 1, 1, whole ? h : 1, whole ? w : 1), NULL, ARRAY(1, stride, 1),
        ARRAY(0, 0, 0), ARRAY(1, 1, 1), false, ARRAY(0, 0, 0), 1,
        MAP(map, at(2), 1, 1, 1, out, whole ? 1 : w), 1, &workspace, &executor);
}
CASE(conv3d_of_kernel) { return plan_conv3d(512, 1, true, 1, 1); }
CASE(conv3d_of_kernel_area) { return plan_conv3d(64, 64, true, 1, 1); }
CASE(conv3d_of_stride) { return plan_conv3d(65, 1, false, 64, 2); }

static int plan_transposed(int64_t kernel, int64_t more)
{
    return aclnnConvolutionGetWorkspaceSize(
        MAP(NCL, at(0), 1, 1, 1), MAP(NCL, at(1), 1, 1, kernel), NULL, ARRAY(1), ARRAY(0),
        ARRAY(1), true, ARRAY(more), 1, MAP(NCL, at(2), 1, 1, kernel + more), 1, &workspace,
        &executor);
}
CASE(transposed_of_kernel) { return plan_transposed(256, 0); }
CASE(transposed_with_too_much_more) { return plan_transposed(3, 1); }
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

CASE(rms_of_gamma)
{
    return aclnnRmsNormGetWorkspaceSize(F32(at(0), 2, 8), BF16(at(3), 8), 1e-6,
                                        F32(at(1), 2, 8), F32(at(2), 2, 1), &workspace,
                                        &executor);
}
CASE(rms_of_empty_gamma)
{
    return aclnnRmsNormGetWorkspaceSize(F32(at(0), 2, 0), F32(at(3), 0), 1e-6,
                                        F32(at(1), 2, 0), F32(at(2), 2, 1), &workspace,
                                        &executor);
}
CASE(rms_of_one_output_in_another)
{
    return aclnnRmsNormGetWorkspaceSize(F32(at(0), 2, 8), F32(at(3), 8), 1e-6,
                                        F32(at(1), 2, 8), F32(at(1) + 32, 2, 1), &workspace,
                                        &executor);
}
CASE(rms_of_bf16_rstd)
{
    return aclnnRmsNormGetWorkspaceSize(BF16(at(0), 2, 8), BF16(at(3), 8), 1e-6,
                                        BF16(at(1), 2, 8), BF16(at(2), 2, 1), &workspace,
                                        &executor);
}
CASE(rms_of_flat_rstd)
{
    return aclnnRmsNormGetWorkspaceSize(F32(at(0), 2, 8), F32(at(3), 8), 1e-6,
                                        F32(at(1), 2, 8), F32(at(2), 2), &workspace,
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
CASE(rope_of_many_batches)
{
    return plan_rope(F32(at(0), 2, 1, 500, 2), F32(at(1), 1, 1, 1, 2),
                     F32(at(2), 1, 1, 1, 2), 1, F32(at(3), 2, 1, 500, 2));
}
CASE(rope_of_odd_width)
{
    return plan_rope(F32(at(0), 1, 2, 1, 7), F32(at(1), 1, 2, 1, 7),
                     F32(at(2), 1, 2, 1, 7), 0, F32(at(3), 1, 2, 1, 7));
}
CASE(rope_of_short_tables)
{
    return plan_rope(F32(at(0), 1, 2, 1, 8), F32(at(1), 1, 1, 1, 8),
                     F32(at(2), 1, 1, 1, 8), 0, F32(at(3), 1, 2, 1, 8));
}
/* [1, 2, 1, D] with rows that lie apart. */
static aclTensor *rows_apart(aclDataType dtype, char *data, int64_t width)
{
    int64_t shape[4] = {1, 2, 1, width}, stride[4] = {4 * width, 2 * width, width, 1};
    int64_t storage = 4 * width;
    return aclCreateTensor(shape, 4, dtype, stride, 0, ACL_FORMAT_ND, &storage, 1, data);
}
CASE(rope_into_strided)
{
    return plan_rope(F32(at(0), 1, 2, 1, 8), F32(at(1), 1, 2, 1, 8),
                     F32(at(2), 1, 2, 1, 8), 0, rows_apart(ACL_FLOAT, at(3), 8));
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
CASE(attention_of_columns)
{
    attention_case c = {BF16(at(0), 1, 1, 128, 512), BF16(at(1), 1, 1, 128, 512),
                        BF16(at(2), 1, 1, 128, 512), BF16(at(3), 1, 1, 128, 512), 128, bsnd,
                        false};
    return plan_attention(c);
}
CASE(attention_of_many_batches)
{
    enum { BATCH = 65537 };
    void *m, *out;
    aclrtMalloc(&m, 32 * BATCH, 0);
    aclrtMalloc(&out, 32 * BATCH, 0);
    attention_case c = {BF16(m, BATCH, 1, 1, 16), BF16(m, BATCH, 1, 1, 16),
                        BF16(m, BATCH, 1, 1, 16), BF16(out, BATCH, 1, 1, 16), 1, bsnd,
                        false};
    int code = plan_attention(c);
    aclrtFree(m);
    aclrtFree(out);
    return code;
}
CASE(attention_of_strided)
{
    attention_case c = {ATTENTION(BF16, 1, 16), bsnd, false};
    c.q = rows_apart(ACL_BF16, at(0), 16);
    return plan_attention(c);
}
CASE(attention_of_dtypes)
{
    attention_case c = {ATTENTION(BF16, 1, 16), bsnd, false};
    c.k = F16(at(1), 1, 2, 1, 16);
    return plan_attention(c);
}
CASE(attention_of_batches)
{
    attention_case c = {ATTENTION(BF16, 1, 16), bsnd, false};
    c.k = BF16(at(1), 2, 2, 1, 16);
    c.v = BF16(at(2), 2, 2, 1, 16);
    return plan_attention(c);
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

static const wrong_use cases[] = {
#define USE(code, name) {#name, code, name}
    USE(161002, silu_of_integers), USE(161002, silu_of_two_dtypes),
    USE(161002, silu_of_two_shapes), USE(161002, gelu_of_unknown_kind),
    USE(161002, clamp_without_bounds), USE(161002, mul_not_broadcast),
    USE(161002, mul_out_too_large), USE(161002, mul_float_into_integer),
    USE(161002, mul_bf16_into_integer), USE(161002, muls_of_integers_by_float),
    USE(161002, silu_into_rows_that_overlap),
    USE(161002, addcmul_of_dtypes), USE(161002, sum_of_another_dtype),
    USE(161002, cast_to_another), USE(161002, copy_not_broadcast),
    USE(161002, pad_of_wrong_shape), USE(161002, pad_of_odd_count),
    USE(161002, flip_of_no_axis), USE(161002, amax_axis_twice),
    USE(161002, amax_of_wrong_shape), USE(161002, mm_of_bf16_and_f32),
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
    USE(161002, mm_of_f16_and_bf16), USE(161002, mm_of_bf16_into_f32),
    USE(161002, mm_of_inner_extents), USE(161002, mm_of_cube_type),
    USE(161002, mm_in_f16), USE(161002, addmm_of_a_number),
    USE(161002, mm_of_batches), USE(161002, mm_into_strided), USE(161002, batches_differ),
    USE(161002, conv_of_nd), USE(161002, conv_of_wrong_output),
    USE(161002, conv_of_channels), USE(161002, conv_of_dilation),
    USE(161002, conv_too_long), USE(161002, conv_of_dtypes), USE(161002, conv_of_cube_type),
    USE(161002, conv_in_f16), USE(161002, conv_of_no_kernel),
    USE(161002, conv3d_of_kernel), USE(161002, conv3d_of_kernel_area),
    USE(161002, conv3d_of_stride), USE(161002, transposed_of_kernel),
    USE(161002, transposed_with_too_much_more), USE(161002, conv_of_padding),
    USE(161002, conv_shorter_than_kernel), USE(161002, conv_array_of_wrong_length),
    USE(161001, conv_without_array), USE(161002, norm_of_wrong_shape),
    USE(161002, norm_of_affine_dtypes), USE(161001, rms_without_gamma),
    USE(161001, rms_without_rstd), USE(161002, sum_of_dtypes), USE(161002, sum_into_bf16),
    USE(561002, sum_of_shapes), USE(561002, sum_of_short_rstd), USE(161002, sum_in_place),
    USE(161001, sum_without_x), USE(161002, rms_of_gamma), USE(161002, rms_of_bf16_rstd),
    USE(161002, rms_of_empty_gamma), USE(161002, rms_of_one_output_in_another),
    USE(161002, rms_of_flat_rstd), USE(161002, rope_of_many_batches),
    USE(161002, rope_of_odd_width), USE(161002, rope_of_short_tables),
    USE(161002, rope_into_strided), USE(161002, rms_of_short_rstd),
    USE(161002, rope_of_dtypes), USE(161002, rope_of_quarters), USE(161002, rope_too_wide),
    USE(161002, rope_of_many_heads), USE(161002, rope_of_three_axes),
    USE(161002, attention_of_f32), USE(161002, attention_of_width),
    USE(161002, attention_too_wide), USE(161002, attention_of_many_heads),
    USE(161002, attention_of_columns), USE(161002, attention_of_many_batches),
    USE(161002, attention_of_strided), USE(161002, attention_of_dtypes),
    USE(161002, attention_of_batches), USE(161002, attention_of_layout),
    USE(161002, attention_without_lse), USE(161002, attention_of_heads_given),
#undef USE
};

enum { CASES = sizeof cases / sizeof cases[0] };

/* --- right uses ------------------------------------------------------------------------ */

/* The product of one number by another with this type of cube, or as bf16. */
static float product_of(float x, float y, int8_t cube, bool narrow)
{
    float out[8] = {0}, in[2][8] = {{x}, {y}};
    aclrtMemcpy(at(3), 32, in[0], 32, ACL_MEMCPY_HOST_TO_DEVICE);
    aclrtMemcpy(at(4), 32, in[1], 32, ACL_MEMCPY_HOST_TO_DEVICE);
    if (plan_mm(F32(at(3), 1, 1), F32(at(4), 1, 1), F32(at(5), 1, 1), cube) != 0 ||
        aclnnMm(at(7), workspace, executor, stream) != 0)
        abort();
    if (narrow && (aclnnCastGetWorkspaceSize(F32(at(5), 1), ACL_BF16, BF16(at(6), 1),
                                             &workspace, &executor) != 0 ||
                   aclnnCast(at(7), workspace, executor, stream) != 0 ||
                   aclnnCastGetWorkspaceSize(BF16(at(6), 1), ACL_FLOAT, F32(at(5), 1),
                                             &workspace, &executor) != 0 ||
                   aclnnCast(at(7), workspace, executor, stream) != 0))
        abort();
    aclrtSynchronizeStream(stream);
    aclrtMemcpy(out, 32, at(5), 32, ACL_MEMCPY_DEVICE_TO_HOST);
    return out[0];
}

/* HF32 keeps 11 bits behind the point of both operands, bf16 keeps 7 of a result; ties go
 * to the even neighbour. */
static void right_precision(void)
{
    const float tie = 1.0f + 0x1p-12f, above = 1.0f + 0x3p-12f;
    expect("f32 keeps all", product_of(tie, 1.0f, 0, false) != tie, 0);
    expect("HF32 to even below", product_of(tie, 1.0f, 1, false) != 1.0f, 0);
    expect("HF32 to even above", product_of(1.0f, above, 3, false) != 1.0f + 0x1p-10f, 0);
    expect("bf16 to even below", product_of(1.0f + 0x1p-8f, 1.0f, 0, true) != 1.0f, 0);
    expect("bf16 to even above",
           product_of(1.0f + 0x3p-8f, 1.0f, 0, true) != 1.0f + 0x1p-6f, 0);
}

int main(void)
{
    if (aclInit(NULL) != 0)
        return 1;
    make_ready();
    right_precision();
    run_cases(cases, CASES);
    aclFinalize();
    printf("%d wrong uses, %d failures\n", CASES, failures);
    return failures > 0;
}
