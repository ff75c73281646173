//! Orthonormal bases from vectors that turn with the points.

use burn::tensor::Tensor;

use crate::Points;
use crate::divergence::tensor;

/// Length below which a vector's direction counts for less and less.
const UNSOUND: f64 = 0.1;
/// Length below which a vector has no direction that a float can tell.
const LEAST: f64 = 1e-6;

/// An orthonormal basis of every point, by Gram and Schmidt's method from learnt vectors: of the plane the first and what it is after a quarter
/// turn, of space the first two and their cross product. Bases turn with the points; mirrored, they do not become mirror images, which is how a
/// coupling tells these apart.
///
/// No basis is continuous where a vector vanishes or two are collinear. So each axis has a *soundness*, from 0 there to nearly 1, by which the
/// numbers of what is done along it have to be multiplied: what is done does not depend on the basis where there is none, and is smooth.
#[derive(Debug)]
pub(super) struct Basis {
    /// As many as there are dimensions, `[batch, points, dims]` each.
    axes: Vec<Points>,
    /// Of each axis, `[batch, points]`.
    soundness: Vec<Tensor<2>>,
}

impl Basis {
    /// Vectors that a basis takes.
    pub fn vectors(dims: usize) -> usize {
        dims.saturating_sub(1).max(1)
    }

    /// From [`Basis::vectors`] vectors.
    ///
    /// # Panics
    /// If they are fewer, or in more than three dimensions.
    pub fn of(vectors: &[Points]) -> Self {
        let [_, _, dims] = vectors[0].dims();
        let (first, sound) = direction(vectors[0].clone(), unit(0, &vectors[0]));
        match dims {
            1 => Self {
                axes: vec![first],
                soundness: vec![sound],
            },
            2 => Self {
                axes: vec![first.clone(), quarter_turn(&first)],
                soundness: vec![sound.clone(), sound],
            },
            3 => {
                let (second, both) = second(&first, &vectors[1]);
                let both = both * sound.clone();
                Self {
                    axes: vec![first.clone(), second.clone(), first.cross(second, 2)],
                    soundness: vec![sound, both.clone(), both],
                }
            }
            _ => panic!("bases in {dims} dimensions were to be refused"),
        }
    }

    /// `q_k · v` for every axis.
    pub fn components(&self, v: &Points) -> Vec<Tensor<2>> {
        let along = |axis: &Points| dot(v, axis).squeeze_dim(2);
        self.axes.iter().map(along).collect()
    }

    /// `Σ_k q_k p_k`.
    pub fn vector(&self, components: Vec<Tensor<2>>) -> Points {
        let terms = self.axes.iter().zip(components);
        terms
            .map(|(axis, p)| axis.clone() * p.unsqueeze_dim::<3>(2))
            .reduce(|sum, term| sum + term)
            .expect("a basis has axes")
    }

    /// Numbers of what is done along an axis times the axis' soundness.
    pub fn sound(&self, axis: usize, numbers: Tensor<3>) -> Tensor<3> {
        numbers * self.soundness[axis].clone().unsqueeze_dim::<3>(2)
    }
}

/// A vector's direction, or the spare one where it has none, and how sound that is: `|w|²/(|w|² + ε²)`.
fn direction(w: Points, spare: Points) -> (Points, Tensor<2>) {
    let square = w.clone().square().sum_dim(2);
    let soundness = square.clone() / (square.clone() + UNSOUND * UNSOUND);
    let is_none = square.lower_elem(LEAST * LEAST).expand(w.dims());
    let spare = spare.expand(w.dims());
    let w = w.mask_where(is_none, spare);
    let length = w.clone().square().sum_dim(2).sqrt();
    (w / length, soundness.squeeze_dim(2))
}

/// The direction of the part of `w` that is across the first axis.
fn second(first: &Points, w: &Points) -> (Points, Tensor<2>) {
    let across = |w: Points| w.clone() - first.clone() * dot(first, &w);
    // Once more, because the first time leaves what rounding has made of a long vector along the axis.
    let w = across(across(w.clone()));
    // Of two coordinate axes the one that the first axis is further from.
    let [x, y] = [0, 1].map(|axis| unit(axis, first).expand(first.dims()));
    let is_near = first.clone().narrow(2, 0, 1).square().greater_elem(0.5);
    let spare = x.mask_where(is_near.expand(first.dims()), y);
    let (second, soundness) = direction(w, across(spare));
    // Dividing by a small length enlarges the rounding error along the axis.
    let second = across(second);
    (
        second.clone() / second.square().sum_dim(2).sqrt(),
        soundness,
    )
}

/// `[1, 1, dims]`.
fn unit(axis: usize, like: &Points) -> Points {
    let dims = like.dims()[2];
    let values = (0..dims).map(|k| f64::from(u8::from(k == axis))).collect();
    tensor(values, [1, 1, dims], &like.device(), like.dtype())
}

fn dot(a: &Points, b: &Points) -> Points {
    (a.clone() * b.clone()).sum_dim(2)
}

/// Anticlockwise.
fn quarter_turn(a: &Points) -> Points {
    let [x, y] = [0, 1].map(|axis| a.clone().narrow(2, axis, 1));
    Tensor::cat(vec![y.neg(), x], 2)
}
