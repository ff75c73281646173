//! Sums over pairs of points along many directions, as products of matrices that all directions share.

use burn::tensor::Tensor;

use crate::product::product;

/// `Σ_j c_ij^h m_ij` for every point `i`, head `h` and channel of it: coefficients that differ from direction to direction of a matrix that does not.
///
/// # Shapes
/// `coefficients` `[K · batch, N, N, heads]`, `matrix` `[batch, N, N, channels]`, head by head, the answer `[K · batch, N, channels]`.
pub(super) fn weighted(coefficients: Tensor<4>, matrix: Tensor<4>) -> Tensor<3> {
    let [rows, points, _, heads] = coefficients.dims();
    let [batch, _, _, channels] = matrix.dims();
    let (copies, each) = (rows / batch, channels / heads);
    let matrices = batch * points * heads;
    let coefficients = coefficients
        .reshape([copies, batch * points, points, heads])
        .permute([1, 3, 0, 2])
        .reshape([matrices, copies, points]);
    let matrix = matrix
        .reshape([batch * points, points, heads, each])
        .permute([0, 2, 1, 3])
        .reshape([matrices, points, each]);
    product(coefficients, matrix)
        .reshape([batch * points, heads, copies, each])
        .permute([2, 0, 1, 3])
        .reshape([rows, points, channels])
}

/// `Σ_j m_rj ⊙ y_jc` for every row `r` of a matrix that all directions share, channel by channel.
///
/// # Shapes
/// `matrix` `[batch, R, N, width]`, `y` `[K · batch, N, C, width]`, the answer `[K · batch, R, C, width]`.
pub(super) fn mixed(matrix: Tensor<4>, y: Tensor<4>) -> Tensor<4> {
    let [batch, receivers, points, width] = matrix.dims();
    let [rows, _, components, _] = y.dims();
    let copies = rows / batch;
    let matrix = matrix
        .permute([0, 3, 1, 2])
        .reshape([batch * width, receivers, points]);
    let y = y
        .reshape([copies, batch, points, components, width])
        .permute([1, 4, 2, 0, 3])
        .reshape([batch * width, points, copies * components]);
    product(matrix, y)
        .reshape([batch, width, receivers, copies, components])
        .permute([3, 0, 2, 4, 1])
        .reshape([rows, receivers, components, width])
}

/// `Σ_f y_if m_ijf` over the channels `f` of every head.
///
/// # Shapes
/// `y` `[K · batch, N, width]`, `matrix` `[batch, N, N, width]`, the answer `[K · batch, N, N, heads]`.
pub(super) fn dotted(y: Tensor<3>, matrix: Tensor<4>, heads: usize) -> Tensor<4> {
    let [rows, points, width] = y.dims();
    let batch = matrix.dims()[0];
    let (copies, each) = (rows / batch, width / heads);
    let matrices = batch * points * heads;
    let y = y
        .reshape([copies, batch * points, heads, each])
        .permute([1, 2, 0, 3])
        .reshape([matrices, copies, each]);
    let matrix = matrix
        .reshape([batch * points, points, heads, each])
        .permute([0, 2, 3, 1])
        .reshape([matrices, each, points]);
    product(y, matrix)
        .reshape([batch * points, heads, copies, points])
        .permute([2, 0, 3, 1])
        .reshape([rows, points, points, heads])
}

/// `Σ_j c_ij (ẋ_i − ẋ_j)` for every channel.
///
/// # Shapes
/// `coefficients` `[batch, N, N, width]`, `moved` `[K · batch, N, dims]`, the answer `[K · batch, N, dims, width]`.
pub(super) fn pulled(coefficients: Tensor<4>, moved: Tensor<3>) -> Tensor<4> {
    let [batch, points, _, width] = coefficients.dims();
    let [rows, _, dims] = moved.dims();
    let copies = rows / batch;
    let others = crate::separation::others(points, &coefficients);
    let total = coefficients.clone().sum_dim(2) * (others.neg() + 1.0);
    let laplacian =
        (total - coefficients)
            .permute([0, 1, 3, 2])
            .reshape([batch, points * width, points]);
    let moved = moved
        .reshape([copies, batch, points, dims])
        .permute([1, 2, 0, 3])
        .reshape([batch, points, copies * dims]);
    product(laplacian, moved)
        .reshape([batch, points, width, copies, dims])
        .permute([3, 0, 1, 4, 2])
        .reshape([rows, points, dims, width])
}
