use super::*;

const SPACE: Space = Space::MeanFree { points: 3, dims: 2 };

/// `y = x (1 + |x|²)`, with `log |det| = d ln(1 + r²) + ln(1 + 2r²/(1 + r²))`, or so it claims.
struct Radial {
    exaggeration: f64,
}

impl Radial {
    fn log_det(&self, r: f64) -> f64 {
        let growth = 1.0 + r * r;
        self.exaggeration
            * (SPACE.dimension() as f64 * growth.ln() + (1.0 + 2.0 * r * r / growth).ln())
    }

    /// `r` with `r (1 + r²) = s`, by Newton's method.
    fn radius(s: f64) -> f64 {
        (0..100).fold(s.min(s.cbrt()), |r, _| {
            r - (r + r.powi(3) - s) / (1.0 + 3.0 * r * r)
        })
    }

    fn map(x: &Points, to: impl Fn(f64) -> (f64, f64)) -> (Points, PerSample) {
        let (mut moved, mut log_dets) = (Vec::new(), Vec::new());
        for x in host(x.clone()).chunks(SPACE.coordinates()) {
            let (factor, log_det) = to(x.iter().map(|x| x * x).sum::<f64>().sqrt());
            moved.extend(x.iter().map(|x| x * factor));
            log_dets.push(log_det);
        }
        let count = log_dets.len();
        let log_dets =
            Tensor::from_data(TensorData::new(log_dets, [count]), (&x.device(), x.dtype()));
        (cloud(moved, SPACE.points(), SPACE.dims()), log_dets)
    }
}

impl Bijection for Radial {
    fn input(&self) -> Space {
        SPACE
    }

    fn output(&self) -> Space {
        SPACE
    }

    fn forward(&self, x: Points, _context: &Context) -> Result<(Points, PerSample), FlowError> {
        Ok(Self::map(&x, |r| (1.0 + r * r, self.log_det(r))))
    }

    fn inverse(&self, y: Points, _context: &Context) -> Result<(Points, PerSample), FlowError> {
        Ok(Self::map(&y, |s| {
            let r = Self::radius(s);
            (1.0 / (1.0 + r * r), -self.log_det(r))
        }))
    }
}

/// Doubles the first axis.
struct Stretch;

impl Stretch {
    fn by(x: &Points, factor: f64) -> (Points, PerSample) {
        let factors = cloud(
            [factor, 1.0].repeat(SPACE.points()),
            SPACE.points(),
            SPACE.dims(),
        );
        let log_det = (SPACE.points() - 1) as f64 * factor.ln();
        (
            x.clone() * factors,
            Tensor::full([x.dims()[0]], log_det, (&x.device(), x.dtype())),
        )
    }
}

impl Bijection for Stretch {
    fn input(&self) -> Space {
        SPACE
    }

    fn output(&self) -> Space {
        SPACE
    }

    fn forward(&self, x: Points, _context: &Context) -> Result<(Points, PerSample), FlowError> {
        Ok(Self::by(&x, 2.0))
    }

    fn inverse(&self, y: Points, _context: &Context) -> Result<(Points, PerSample), FlowError> {
        Ok(Self::by(&y, 0.5))
    }
}

#[test]
fn a_lawful_equivariant_map_passes() {
    let radial = Radial { exaggeration: 1.0 };
    assert_lawful(&radial, points(SPACE, 4, 1), &alike(SPACE, 4), 1e-8).unwrap();
    assert_equivariant(&radial, points(SPACE, 4, 1), &alike(SPACE, 4), 1e-11).unwrap();
    assert_lawful(&Stretch, points(SPACE, 4, 1), &alike(SPACE, 4), 1e-9).unwrap();
}

#[test]
#[should_panic(expected = "was claimed")]
fn a_wrong_log_determinant_is_caught() {
    let _ = assert_lawful(
        &Radial {
            exaggeration: 1.001,
        },
        points(SPACE, 1, 1),
        &alike(SPACE, 1),
        1e-6,
    );
}

#[test]
#[should_panic(expected = "rotation before and after f differ")]
fn a_preferred_direction_is_caught() {
    let _ = assert_equivariant(&Stretch, points(SPACE, 1, 1), &alike(SPACE, 1), 1e-6);
}

#[test]
#[should_panic(expected = "away from the mean-free space")]
fn leaving_the_space_is_caught() {
    struct Drift;
    impl Bijection for Drift {
        fn input(&self) -> Space {
            SPACE
        }
        fn output(&self) -> Space {
            SPACE
        }
        fn forward(&self, x: Points, _context: &Context) -> Result<(Points, PerSample), FlowError> {
            let none = Tensor::zeros([x.dims()[0]], (&x.device(), x.dtype()));
            Ok((x + 1.0, none))
        }
        fn inverse(&self, y: Points, context: &Context) -> Result<(Points, PerSample), FlowError> {
            let (x, none) = self.forward(y, context)?;
            Ok((x - 2.0, none))
        }
    }
    let _ = assert_lawful(&Drift, points(SPACE, 1, 1), &alike(SPACE, 1), 1e-6);
}

/// Shifts a line by where a circle is, as far as this turns it.
struct Screw {
    pitch: fn(Tensor<2>) -> Tensor<2>,
}

impl Screw {
    const SPACE: Space = Space::Product {
        lines: 1,
        intervals: 0,
        circles: 1,
    };

    fn by(&self, x: &Points, times: f64) -> (Points, PerSample) {
        let batch = x.dims()[0];
        let part = |k| x.clone().narrow(1, k, 1).reshape([batch, 1]);
        let line = part(0) + (self.pitch)(part(1)) * times;
        let log_det = Tensor::zeros([batch], (&x.device(), x.dtype()));
        let y = Tensor::cat(vec![line, part(1)], 1);
        (y.reshape([batch, 2, 1]), log_det)
    }
}

impl Bijection for Screw {
    fn input(&self) -> Space {
        Self::SPACE
    }

    fn output(&self) -> Space {
        Self::SPACE
    }

    fn forward(&self, x: Points, _context: &Context) -> Result<(Points, PerSample), FlowError> {
        Ok(self.by(&x, 1.0))
    }

    fn inverse(&self, y: Points, _context: &Context) -> Result<(Points, PerSample), FlowError> {
        Ok(self.by(&y, -1.0))
    }
}

#[test]
fn a_map_that_does_not_see_the_cut_passes() {
    let map = Screw {
        pitch: |turn| (turn * std::f64::consts::TAU).sin(),
    };
    let (x, context) = (points(Screw::SPACE, 3, 1), alike(Screw::SPACE, 3));
    assert_lawful(&map, x.clone(), &context, 1e-9).unwrap();
    assert_round(&map, x, &context, 1e-7).unwrap();
}

#[test]
#[should_panic(expected = "f across the cut of 1 jumps by 9.99")]
fn a_map_that_sees_the_cut_is_caught() {
    let map = Screw { pitch: |turn| turn };
    let (x, context) = (points(Screw::SPACE, 3, 1), alike(Screw::SPACE, 3));
    assert_lawful(&map, x.clone(), &context, 1e-9).unwrap();
    let _ = assert_round(&map, x, &context, 1e-7);
}

#[test]
#[should_panic(expected = "but the gradient says")]
fn a_gradient_that_is_cut_off_is_caught() {
    let cut = |x: Points| (x.clone() * x.detach()).sum_dim(2).sum_dim(1).reshape([-1]);
    assert_gradient_is_slope(cut, points(SPACE, 1, 1), 1e-6);
}

#[test]
fn a_density_pushed_forward_still_integrates_to_one() {
    use crate::prior::{MeanFreeGaussian, Prior};
    // Log-densities through the inverse of a nonlinear map, on its four-dimensional space, would take too many cells: its
    // one-parameter cousin on the line will do.
    let line = Space::MeanFree { points: 2, dims: 1 };
    let prior = MeanFreeGaussian { points: 2, dims: 1 };
    let log_density = |y: Points| {
        let one = |y: f64| {
            let r = Radial::radius(y.abs());
            prior.log_density_of(&line.embed(&[r])) - (1.0 + 3.0 * r * r).ln()
        };
        host(y).chunks(2).map(|y| one(line.project(y)[0])).collect()
    };
    let mass = integral(line, 80.0, 20_000, log_density);
    assert!(
        (mass - 1.0).abs() < 1e-4,
        "the density integrates to {mass}"
    );
}

#[test]
fn bounded_coordinates_are_summed_over_all_that_they_can_be() {
    // ∫∫∫ u sin²(πv) N(z) = 1/2 · 1/2 · 1.
    let space = Space::Product {
        lines: 1,
        intervals: 1,
        circles: 1,
    };
    let log_density = |x: Points| {
        let one = |x: &[f64]| {
            let normal = (-0.5 * x[0] * x[0]).exp() / std::f64::consts::TAU.sqrt();
            (normal * x[1] * (std::f64::consts::PI * x[2]).sin().powi(2)).ln()
        };
        host(x).chunks(3).map(one).collect()
    };
    let found = integral(space, 8.0, 32, log_density);
    assert!((found - 0.25).abs() < 1e-10, "{found}");
}

#[test]
fn permuting_a_context_moves_rows_and_columns_of_pairs() {
    let pairs = cloud((0..9).map(f64::from).collect(), 3, 3).reshape([1, 3, 3, 1]);
    let context = Context {
        pairs: Some(pairs),
        ..alike(SPACE, 1)
    };
    let moved = permuted_context(&context, &[2, 0, 1]);
    assert_eq!(
        host(moved.pairs.unwrap()),
        [8.0, 6.0, 7.0, 2.0, 0.0, 1.0, 5.0, 3.0, 4.0]
    );
}

#[test]
fn determinants_are_those_of_known_matrices() {
    let rotation = orthogonal(3, 1, 5);
    assert!(log_abs_det(rotation.chunks(3).map(<[f64]>::to_vec).collect()).abs() < 1e-14);
    assert!((log_abs_det(vec![vec![0.0, 2.0], vec![3.0, 1.0]]) - 6_f64.ln()).abs() < 1e-15);
    assert_eq!(
        log_abs_det(vec![vec![1.0, 2.0], vec![2.0, 4.0]]),
        f64::NEG_INFINITY
    );
}
