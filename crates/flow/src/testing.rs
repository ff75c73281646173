//! Laws that every map, density and gradient must keep, stated once. They panic where a law is broken, and want `F64` inputs.
#![expect(
    clippy::needless_pass_by_value,
    reason = "a law reads best with the tensor it is about, and a tensor is a handle"
)]

use std::convert::Infallible;
use std::ops::Range;

use burn::tensor::{DType, Device, Tensor, TensorData};
use rand::RngExt;
use rand_distr::StandardNormal;

use crate::bijection::{Bijection, FlowError, host};
use crate::context::{Context, Samples};
use crate::distances::Distances;
use crate::random::{Purpose, stream};
use crate::space::Space;
use crate::{PerSample, Points};

/// Step of the differences taken here; fourth-order central ones are off by about `STEP⁴` and `ε/STEP`, so 1e-12 for smooth functions, and as long
/// as it is short few of them meet a knot of a spline.
const STEP: f64 = 2e-4;
/// How far from the cut of a circle the two points are that are compared across it.
const NEAR: f64 = 1e-9;

/// Standard normal clouds of a space, in `F64` on the CPU; what is bounded is even, and far enough from its ends for differences.
pub fn points(space: Space, batch: usize, seed: u64) -> Points {
    if let Space::Product { lines, .. } = space {
        let mut random = stream(seed, Purpose::Training, 0);
        let mut draw = |k: usize| {
            if k < lines {
                random.sample(StandardNormal)
            } else {
                random.random_range(0.02..0.98)
            }
        };
        let numbers = (0..batch * space.points()).map(|k| draw(k % space.points()));
        return cloud(numbers.collect(), space.points(), 1);
    }
    let random =
        |number| stream(seed, Purpose::Training, number as u64).sample_iter(StandardNormal);
    let clouds = (0..batch)
        .map(|number| space.embed(&random(number).take(space.dimension()).collect::<Vec<f64>>()));
    cloud(clouds.flatten().collect(), space.points(), space.dims())
}

/// A context of indistinguishable points for [`points`].
pub fn alike(space: Space, batch: usize) -> Context {
    Context::alike(
        space.points(),
        Samples::consecutive(1, 0..batch as u64),
        &Device::flex(),
        DType::F64,
    )
}

/// Asserts that `f` inverts, that its log-determinants cancel, and that its log-determinant is `log |det Pᵀ J Q|`, with `P` and `Q` the
/// bases of its spaces and `J` its Jacobian by central differences.
pub fn assert_lawful(
    f: &dyn Bijection,
    x: Points,
    context: &Context,
    tolerance: f64,
) -> Result<(), FlowError> {
    assert_eq!(
        f.input().dimension(),
        f.output().dimension(),
        "a bijection keeps the dimension"
    );
    let (y, log_det) = f.forward(x.clone(), context)?;
    let (back, inverse_log_det) = f.inverse(y.clone(), context)?;
    let off = largest(around(f.input(), back - x.clone()));
    assert!(off < tolerance, "f⁻¹(f(x)) is {off:e} away from x");
    let off = largest(log_det.clone() + inverse_log_det);
    assert!(
        off < tolerance,
        "the log-determinants of f and f⁻¹ add up to {off:e} instead of 0"
    );
    let outside = largest(y.clone() - projected(f.output(), &y));
    assert!(
        outside < tolerance,
        "f(x) is {outside:e} away from the {}",
        f.output()
    );

    for (found, claimed) in numerical_log_dets(f, &x, context)?
        .into_iter()
        .zip(host(log_det))
    {
        assert!(
            (found - claimed).abs() < tolerance,
            "log|det PᵀJQ| is {found}, but {claimed} was claimed"
        );
    }
    Ok(())
}

/// Asserts that `f` and its inverse do not see where circles are cut: points like `x`, one circle of which is moved to either side of its cut, go
/// to the same place, by the same log-determinant.
pub fn assert_round(
    f: &dyn Bijection,
    x: Points,
    context: &Context,
    tolerance: f64,
) -> Result<(), FlowError> {
    let check = |name: &str, end: Space, sides: [Result<(Points, PerSample), FlowError>; 2]| {
        let [low, high] = sides;
        let ((low, log_low), (high, log_high)) = (low?, high?);
        let off = largest(around(end, low - high));
        assert!(off < tolerance, "{name} jumps by {off:e}");
        let off = largest(log_low - log_high);
        assert!(
            off < tolerance,
            "the log-determinant of {name} jumps by {off:e}"
        );
        Ok::<_, FlowError>(())
    };
    let (start, end) = (f.input(), f.output());
    for circle in circles(start) {
        let sides = across(&x, circle).map(|x| f.forward(x, context));
        check(&format!("f across the cut of {circle}"), end, sides)?;
    }
    let (y, _) = f.forward(x, context)?;
    for circle in circles(end) {
        let sides = across(&y, circle).map(|y| f.inverse(y, context));
        check(&format!("f⁻¹ across the cut of {circle}"), start, sides)?;
    }
    Ok(())
}

/// The points with a circle moved to one side of its cut, and to the other.
pub fn across(x: &Points, circle: usize) -> [Points; 2] {
    [NEAR, 1.0 - NEAR].map(|place| {
        let batch = x.dims()[0];
        let place = Tensor::full([batch, 1, 1], place, (&x.device(), x.dtype()));
        x.clone()
            .slice_assign([0..batch, circle..circle + 1, 0..1], place)
    })
}

/// Asserts that `f` commutes with a rotation, a reflection and a permutation of points (whose features go along), and that these leave
/// its log-determinant as it is.
pub fn assert_equivariant(
    f: &dyn Bijection,
    x: Points,
    context: &Context,
    tolerance: f64,
) -> Result<(), FlowError> {
    let points = x.dims()[1];
    let (y, log_det) = f.forward(x.clone(), context)?;
    let check =
        |name: &str, moved: Points, context: &Context, expected: Points| -> Result<(), FlowError> {
            let (found, found_log_det) = f.forward(moved, context)?;
            let off = largest(found - expected);
            assert!(
                off < tolerance,
                "{name} before and after f differ by {off:e}"
            );
            let off = largest(found_log_det - log_det.clone());
            assert!(
                off < tolerance,
                "{name} changes the log-determinant by {off:e}"
            );
            Ok(())
        };
    for (name, determinant) in [("rotation", 1), ("reflection", -1)] {
        let [before, after] = [&x, &y].map(|x| turned_by(x, determinant));
        check(name, before, context, after)?;
    }
    let order: Vec<usize> = (1..points).chain([0]).collect();
    check(
        "permutation",
        permuted(&x, &order),
        &permuted_context(context, &order),
        permuted(&y, &order),
    )
}

/// Asserts that `∂f/∂x` by autodiff is the slope of `f` by central differences, coordinate by coordinate. `f` gives each sample's value.
pub fn assert_gradient_is_slope(f: impl Fn(Points) -> PerSample, x: Points, tolerance: f64) {
    let [_, points, dims] = x.dims();
    let leaf = x.clone().autodiff().require_grad();
    let gradients = f(leaf.clone()).sum().backward();
    let gradient = leaf.grad(&gradients).expect("f depends on x");
    let gradient = host(gradient);
    let size = points * dims;
    let space = Space::Free { points, dims };
    for coordinate in 0..size {
        let mut direction = vec![0.0; size];
        direction[coordinate] = 1.0;
        let Ok(slope) = slope(&direction, space, |step| {
            Ok::<_, Infallible>(host(f(x.clone() + step)))
        });
        for (sample, slope) in slope.into_iter().enumerate() {
            let claimed = gradient[sample * size + coordinate];
            let off = (slope - claimed).abs() / slope.abs().max(1.0);
            assert!(
                off < tolerance,
                "coordinate {coordinate} of sample {sample}: the slope is {slope}, but the gradient says {claimed}"
            );
        }
    }
}

/// `∫ exp(log p) dz` over the cube `[−half_width, half_width]ᵈ` of a space's orthonormal coordinates, what is bounded over all its 0…1, by the
/// midpoint rule with `cells` a side: exact to many digits for smooth densities that vanish at the faces. For dimensions of 1 to 3.
pub fn integral(
    space: Space,
    half_width: f64,
    cells: usize,
    log_density: impl Fn(Points) -> Vec<f64>,
) -> f64 {
    let dimension = space.dimension();
    assert!(
        (1..=3).contains(&dimension),
        "{dimension} dimensions need too many cells"
    );
    let unbounded = match space {
        Space::Product { lines, .. } => lines,
        Space::MeanFree { .. } | Space::Free { .. } => dimension,
    };
    let sides = (0..dimension).map(|axis| {
        if axis < unbounded {
            [-half_width, half_width]
        } else {
            [0.0, 1.0]
        }
    });
    let sides: Vec<[f64; 2]> = sides.collect();
    let cell = |number: usize| {
        let place = |axis| number / cells.pow(axis) % cells;
        let middle = |(axis, [from, to]): (u32, &[f64; 2])| {
            from + (place(axis) as f64 + 0.5) * (to - from) / cells as f64
        };
        let coordinates: Vec<f64> = (0..).zip(&sides).map(middle).collect();
        space.embed(&coordinates)
    };
    let clouds = (0..cells.pow(dimension as u32)).flat_map(cell).collect();
    let densities = log_density(cloud(clouds, space.points(), space.dims()));
    let volume = sides.iter().map(|[from, to]| (to - from) / cells as f64);
    densities.into_iter().map(f64::exp).sum::<f64>() * volume.product::<f64>()
}

/// Points in another order: point `i` of the result is point `order[i]`.
pub fn permuted(x: &Points, order: &[usize]) -> Points {
    let [batch, points, dims] = x.dims();
    assert_eq!(order.len(), points, "one place for each point");
    let values = host(x.clone());
    let mut moved = Vec::with_capacity(values.len());
    for cloud in values.chunks(points * dims) {
        for &from in order {
            moved.extend_from_slice(&cloud[from * dims..(from + 1) * dims]);
        }
    }
    Tensor::from_data(
        TensorData::new(moved, [batch, points, dims]),
        (&x.device(), x.dtype()),
    )
}

/// A context whose points are in another order, as in [`permuted`].
pub fn permuted_context(context: &Context, order: &[usize]) -> Context {
    let both = |pairs: &Tensor<4>| {
        let [batch, points, _, features] = pairs.dims();
        // First the rows, then, with the axes swapped, the columns.
        let rows = |pairs: Tensor<4>| {
            let flat = pairs.reshape([batch, points, points * features]);
            permuted(&flat, order)
                .reshape([batch, points, points, features])
                .swap_dims(1, 2)
        };
        rows(rows(pairs.clone()))
    };
    Context {
        nodes: permuted(&context.nodes, order),
        pairs: context.pairs.as_ref().map(both),
        kinds: context.kinds.as_ref().map(|kinds| {
            let points = order.len();
            let pairs = order
                .iter()
                .flat_map(|i| order.iter().map(move |j| (i * points + j) as i64));
            let pairs: Vec<i64> = pairs.collect();
            let pairs = Tensor::from_data(pairs.as_slice(), &kinds.device());
            kinds.clone().select(0, pairs)
        }),
        distances: context.distances.as_ref().map(|distances| Distances {
            mean: both(&distances.mean),
            variance: both(&distances.variance),
        }),
        ..context.clone()
    }
}

/// Two operations for every multiply-add of products `[a, b] × [b, c]`.
pub fn operations(products: &[[usize; 3]]) -> f64 {
    let each = products.iter().map(|[a, b, c]| 2 * a * b * c);
    each.sum::<usize>() as f64
}

/// The largest magnitude in a tensor; NaN if there is one.
pub fn largest<const D: usize>(tensor: Tensor<D>) -> f64 {
    host(tensor)
        .into_iter()
        .map(f64::abs)
        .fold(0.0, |a, b| if b.is_nan() || b > a { b } else { a })
}

/// `log |det Pᵀ J Q|` of each sample.
fn numerical_log_dets(
    f: &dyn Bijection,
    x: &Points,
    context: &Context,
) -> Result<Vec<f64>, FlowError> {
    let (input, output) = (f.input(), f.output());
    let (here, _) = f.forward(x.clone(), context)?;
    let moved = |step| {
        let (y, _) = f.forward(x.clone() + step, context)?;
        Ok::<_, FlowError>(host(around(output, y - here.clone())))
    };
    let columns: Result<Vec<_>, _> = input
        .basis()
        .iter()
        .map(|q| slope(q, input, moved))
        .collect();
    let columns = columns?;
    let size = output.coordinates();
    let log_det = |sample: usize| {
        let mine = sample * size..(sample + 1) * size;
        log_abs_det(
            columns
                .iter()
                .map(|column| output.project(&column[mine.clone()]))
                .collect(),
        )
    };
    Ok((0..x.dims()[0]).map(log_det).collect())
}

/// `df/dh` at `x + h·direction`, by central differences of fourth order, for everything `f` returns.
fn slope<E>(
    direction: &[f64],
    space: Space,
    f: impl Fn(Points) -> Result<Vec<f64>, E>,
) -> Result<Vec<f64>, E> {
    let mut total: Vec<f64> = Vec::new();
    for (place, weight) in [
        (-2.0, 1.0 / 12.0),
        (-1.0, -2.0 / 3.0),
        (1.0, 2.0 / 3.0),
        (2.0, -1.0 / 12.0),
    ] {
        let step: Vec<f64> = direction.iter().map(|d| d * place * STEP).collect();
        let values = f(cloud(step, space.points(), space.dims()))?;
        total.resize(values.len(), 0.0);
        for (total, value) in total.iter_mut().zip(values) {
            *total += weight * value / STEP;
        }
    }
    Ok(total)
}

/// `log |det A|` by Gaussian elimination with partial pivoting; `−∞` of a singular matrix.
pub fn log_abs_det(mut rows: Vec<Vec<f64>>) -> f64 {
    let size = rows.len();
    let mut total = 0.0;
    for k in 0..size {
        let pivot = (k..size)
            .max_by(|&i, &j| rows[i][k].abs().total_cmp(&rows[j][k].abs()))
            .unwrap_or(k);
        rows.swap(k, pivot);
        total += rows[k][k].abs().ln();
        let (above, below) = rows.split_at_mut(k + 1);
        for row in below {
            let factor = row[k] / above[k][k];
            for (value, pivot) in row[k..].iter_mut().zip(&above[k][k..]) {
                *value -= factor * pivot;
            }
        }
    }
    total
}

/// Differences within a space: on circles the shorter way round.
fn around(space: Space, difference: Points) -> Points {
    let (points, circles) = (space.points(), circles(space));
    if circles.is_empty() {
        return difference;
    }
    let wrap = |(k, value): (usize, f64)| {
        if circles.contains(&(k % points)) {
            value - value.round()
        } else {
            value
        }
    };
    let values = host(difference).into_iter().enumerate().map(wrap);
    cloud(values.collect(), points, 1)
}

/// Which of a space's coordinates are circles.
fn circles(space: Space) -> Range<usize> {
    let points = space.points();
    match space {
        Space::Product { circles, .. } => points - circles..points,
        Space::MeanFree { .. } | Space::Free { .. } => 0..0,
    }
}

/// The nearest clouds of a space.
fn projected(space: Space, x: &Points) -> Points {
    let clouds = host(x.clone());
    let bounded = |(k, x): (usize, f64)| match space {
        Space::Product { lines, .. } if k % space.points() >= lines => x.clamp(0.0, 1.0),
        _ => x,
    };
    let clouds: Vec<f64> = clouds.into_iter().enumerate().map(bounded).collect();
    let near = clouds
        .chunks(space.coordinates())
        .flat_map(|x| space.embed(&space.project(x)));
    cloud(near.collect(), space.points(), space.dims())
}

/// A random orthogonal matrix of given determinant (1 or −1), row by row: Householder reflections, of which an even number is a rotation.
fn orthogonal(dims: usize, determinant: i32, seed: u64) -> Vec<f64> {
    let mut random = stream(seed, Purpose::Training, u64::MAX);
    let mut matrix: Vec<f64> = (0..dims * dims)
        .map(|i| f64::from(u8::from(i % (dims + 1) == 0)))
        .collect();
    for _ in 0..if determinant > 0 { 2 } else { 3 } {
        let normal: Vec<f64> = (0..dims).map(|_| random.sample(StandardNormal)).collect();
        let length: f64 = normal.iter().map(|n| n * n).sum();
        for row in matrix.chunks_mut(dims) {
            let along: f64 = row.iter().zip(&normal).map(|(r, n)| r * n).sum();
            for (value, n) in row.iter_mut().zip(&normal) {
                *value -= 2.0 * along / length * n;
            }
        }
    }
    matrix
}

/// A batch turned at random, or turned and reflected where the determinant is −1.
pub fn turned_by(x: &Points, determinant: i32) -> Points {
    turned(x, &orthogonal(x.dims()[2], determinant, 17))
}

/// `x Rᵀ`, point by point.
fn turned(x: &Points, matrix: &[f64]) -> Points {
    let [batch, points, dims] = x.dims();
    let matrix: Tensor<2> = Tensor::from_data(
        TensorData::new(matrix.to_vec(), [dims, dims]),
        (&x.device(), x.dtype()),
    );
    x.clone()
        .reshape([batch * points, dims])
        .matmul(matrix.transpose())
        .reshape([batch, points, dims])
}

/// Clouds one after another as a batch, in `F64` on the CPU.
pub fn cloud(values: Vec<f64>, points: usize, dims: usize) -> Points {
    let batch = values.len() / (points * dims);
    Tensor::from_data(
        TensorData::new(values, [batch, points, dims]),
        (&Device::flex(), DType::F64),
    )
}

#[cfg(test)]
mod tests;

#[cfg(feature = "wgpu")]
impl Context {
    /// The same on this device, in this type.
    pub fn on(&self, options: (&Device, DType)) -> Self {
        fn moved<const D: usize>(x: &Tensor<D>, options: (&Device, DType)) -> Tensor<D> {
            Tensor::from_data(TensorData::new(host(x.clone()), x.dims()), options)
        }
        Self {
            nodes: moved(&self.nodes, options),
            pairs: self.pairs.as_ref().map(|pairs| moved(pairs, options)),
            kinds: self
                .kinds
                .as_ref()
                .map(|kinds| kinds.clone().to_device(options.0)),
            distances: self.distances.as_ref().map(|distances| Distances {
                mean: moved(&distances.mean, options),
                variance: moved(&distances.variance, options),
            }),
            global: self.global.as_ref().map(|global| moved(global, options)),
            samples: self.samples.clone(),
        }
    }
}
