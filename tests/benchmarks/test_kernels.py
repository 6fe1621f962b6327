"""What a profile's kernels are counted as, and for how long the GPU was busy."""

import pytest

from benchmarks import kernels
from benchmarks.kernels import Kernel


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("sm90_xmma_fprop_implicit_gemm_f32f32_tf32f32_f32_nhwckrsc_nhwc", "convolutions"),
        ("void cudnn::engines_precompiled::convertTensor_kernel<float>", "layouts and workspaces"),
        ("sm80_xmma_gemm_f32f32_f32f32_f32_nn_n_tilesize32x32x8", "products"),
        ("void cublasLt::splitKreduce_kernel<32, 16, int>", "products"),
        ("input_add_reduce_fusion_66", "fusions with a reduction"),
        ("loop_select_fusion_130", "other fusions"),
        ("memcpy32_post", "copies and fills"),
        ("wrapped_transpose_3", "the rest"),
    ],
)
def test_a_kernel_is_counted_by_its_name(name, kind):
    assert kernels.kind_of(name) == kind


def test_two_kernels_at_once_keep_the_gpu_busy_once():
    """[0, 10] with [2, 4] inside, [8, 15] across its end, and [20, 21]: 16 of 21."""
    runs = [Kernel("d", 20, 21), Kernel("b", 2, 4), Kernel("a", 0, 10), Kernel("c", 8, 15)]
    assert kernels.busy_nanoseconds(runs) == 16


def test_a_folder_without_a_profile_is_an_error(tmp_path):
    with pytest.raises(SystemExit, match="holds no profile of a GPU"):
        kernels.read(tmp_path)
