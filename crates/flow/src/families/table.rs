//! The table of constructors: one row for each family.

use super::*;

pub(super) const LINES: Space = product(5, 0, 0);
pub(super) const TURNS: Space = product(2, 0, 3);
pub(super) const BOUNDED: Space = product(0, 3, 3);

/// Of which every family finds one that it acts on.
#[derive(Clone, Copy)]
pub(super) struct Spaces {
    lines: Space,
    /// With lines and circles.
    turns: Space,
    /// With intervals and circles.
    bounded: Space,
}

/// With some coordinates of each kind beside others.
pub(super) const MANY: Spaces = Spaces {
    lines: LINES,
    turns: TURNS,
    bounded: BOUNDED,
};
/// Few enough coordinates for densities to be summed on a grid.
pub(super) const TWO: Spaces = Spaces {
    lines: product(2, 0, 0),
    turns: product(1, 0, 1),
    bounded: product(0, 1, 1),
};
/// What intervals stand for.
pub(super) const BOUNDS: [[f64; 2]; 3] = [[-3.0, 3.5], [-2.0, 2.0], [-9.0, 4.0]];
pub(super) const SIZE: Size = Size {
    width: 12,
    layers: 2,
};
/// Few bins: differences across a knot, where the second derivative jumps, are of first order.
pub(super) const SPLINE: Elementwise = Elementwise::Spline { bins: 3 };
pub(super) const BUMP: Elementwise = Elementwise::Bump { ramps: 3 };
/// Features of the whole.
pub(super) const GLOBALS: usize = 2;
/// Numbers that label a coordinate, and a pair of them.
pub(super) const LABELS: [usize; 2] = [3, 2];
const PERCEPTRON: NetworkConfig = NetworkConfig::Perceptron(SIZE);
pub(super) const ATTENTION: NetworkConfig = NetworkConfig::Attention(AttentionConfig {
    size: AttentionSize {
        width: 8,
        heads: 2,
        layers: 2,
    },
    node_features: LABELS[0],
    pair_features: LABELS[1],
});

pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) space: Space,
    /// As it is made.
    pub(super) new: Box<dyn Family>,
    /// With its parameters moved by normal noise.
    pub(super) map: Box<dyn Family>,
}

fn row<M: Bijection + Module + 'static>(
    name: &'static str,
    space: Space,
    make: impl FnOnce(&mut Initializer) -> Result<M, FlowError>,
) -> Row {
    let new = made(make).unwrap();
    Row {
        name,
        space,
        map: new.shaken(0.2),
        new: Box::new(new),
    }
}

fn coupling(name: &'static str, space: Space, map: Elementwise, network: NetworkConfig) -> Row {
    row(name, space, |make| {
        Coupling::new(space, active(space), map, GLOBALS, network, make)
    })
}

/// A coupling whose network sees no coordinate.
fn coupling_of_all(
    name: &'static str,
    space: Space,
    map: Elementwise,
    network: NetworkConfig,
) -> Row {
    row(name, space, |make| {
        Coupling::new(space, all(space), map, GLOBALS, network, make)
    })
}

fn autoregressive(name: &'static str, space: Space, map: Elementwise, given: Given) -> Row {
    row(name, space, |make| {
        Autoregressive::new(space, order(space), map, given, GLOBALS, SIZE, make)
    })
}

fn all(space: Space) -> Vec<usize> {
    (0..space.points()).collect()
}

/// Two of three coordinates, of each kind where there are several.
fn active(space: Space) -> Vec<usize> {
    (0..space.points()).filter(|k| k % 3 != 0).collect()
}

/// Coordinates in an order that is neither theirs nor its reverse, if there are more than two.
pub(super) fn order(space: Space) -> Vec<usize> {
    let count = space.points();
    let evens = (0..count).step_by(2).collect::<Vec<_>>();
    (1..count)
        .step_by(2)
        .chain(evens.into_iter().rev())
        .collect()
}

pub(super) fn rows(spaces: Spaces) -> Vec<Row> {
    let parts = [
        couplings(spaces),
        triangular(spaces),
        unconditional(spaces),
        chains(spaces),
    ];
    parts.into_iter().flatten().collect()
}

fn couplings(
    Spaces {
        lines,
        turns,
        bounded,
    }: Spaces,
) -> Vec<Row> {
    use Elementwise::{Additive, Affine};
    vec![
        coupling("NICE", turns, Additive, PERCEPTRON),
        coupling("RealNVP", lines, Affine, PERCEPTRON),
        coupling("spline coupling", bounded, SPLINE, PERCEPTRON),
        coupling_of_all("spline of all", bounded, SPLINE, PERCEPTRON),
        coupling("bump coupling", bounded, BUMP, PERCEPTRON),
        coupling("attentive NICE", turns, Additive, ATTENTION),
        coupling("attentive RealNVP", lines, Affine, ATTENTION),
        coupling("attentive spline", bounded, SPLINE, ATTENTION),
        coupling_of_all("attentive spline of all", bounded, SPLINE, ATTENTION),
    ]
}

pub(super) fn triangular(
    Spaces {
        lines,
        turns,
        bounded,
    }: Spaces,
) -> Vec<Row> {
    use Elementwise::{Additive, Affine};
    vec![
        autoregressive("additive MAF", turns, Additive, Given::Data),
        autoregressive("additive IAF", turns, Additive, Given::Latent),
        autoregressive("affine MAF", lines, Affine, Given::Data),
        autoregressive("affine IAF", lines, Affine, Given::Latent),
        autoregressive("spline MAF", bounded, SPLINE, Given::Data),
        autoregressive("spline IAF", bounded, SPLINE, Given::Latent),
        autoregressive("bump MAF", bounded, BUMP, Given::Data),
        autoregressive("bump IAF", bounded, BUMP, Given::Latent),
    ]
}

/// Maps without a network.
fn unconditional(
    Spaces {
        lines,
        turns,
        bounded,
    }: Spaces,
) -> Vec<Row> {
    let independent = |name, map| row(name, bounded, |make| Marginals::new(bounded, map, make));
    vec![
        row("actnorm", turns, |make| Actnorm::new(turns, make)),
        row("actnorm of lines", lines, |make| Actnorm::new(lines, make)),
        row("LU", turns, |make| lower_upper(turns, make)),
        row("LU of lines", lines, |make| lower_upper(lines, make)),
        independent("independent splines", SPLINE),
        independent("independent bumps", BUMP),
    ]
}

fn chains(Spaces { lines, bounded, .. }: Spaces) -> Vec<Row> {
    let scores = product(bounded.points(), 0, 0);
    vec![
        row("Glow", lines, |make| glow(lines, make)),
        row("spline flow", bounded, |make| halves(bounded, SPLINE, make)),
        row(COPULAS[0], scores, |make| copula(bounded, SPLINE, make)),
        row(COPULAS[1], scores, |make| copula(bounded, BUMP, make)),
    ]
}

/// Rows that stretch nothing.
pub(super) const SHIFTS: [&str; 4] = ["NICE", "attentive NICE", "additive MAF", "additive IAF"];
pub(super) const COPULAS: [&str; 2] = ["copula of splines", "copula of bumps"];

fn lower_upper(space: Space, make: &mut Initializer) -> Result<LowerUpper, FlowError> {
    let Space::Product { lines, .. } = space else {
        panic!("the spaces of this table are products");
    };
    LowerUpper::new(space, (0..lines).collect(), make)
}

/// Lines scaled and shifted, mixed, and mapped by a coupling: a step of Glow (Kingma & Dhariwal 2018).
fn glow(lines: Space, make: &mut Initializer) -> Result<Chain<Layer>, FlowError> {
    let (active, map) = (active(lines), Elementwise::Affine);
    Chain::new(vec![
        Layer::Actnorm(Actnorm::new(lines, make)?),
        Layer::LowerUpper(lower_upper(lines, make)?),
        Layer::Coupling(Coupling::new(lines, active, map, GLOBALS, SIZE, make)?),
    ])
}

/// A coupling of some coordinates and one of the others.
fn halves(
    space: Space,
    map: Elementwise,
    make: &mut Initializer,
) -> Result<Chain<Layer>, FlowError> {
    let others = coupling::others(space, &active(space));
    let layers = [others, active(space)].into_iter().map(|active| {
        let coupling = Coupling::new(space, active, map, GLOBALS, SIZE, make)?;
        Ok(Layer::Coupling(coupling))
    });
    Chain::new(layers.collect::<Result<_, FlowError>>()?)
}

/// Mixed normal numbers, made even or cut off, and mapped one by one.
pub(super) fn copula(
    space: Space,
    map: Elementwise,
    make: &mut Initializer,
) -> Result<Chain<Layer>, FlowError> {
    let scores = product(space.points(), 0, 0);
    Chain::new(vec![
        Layer::LowerUpper(lower_upper(scores, make)?),
        Layer::Scores(Scores::new(prior(space))),
        Layer::Marginals(Marginals::new(space, map, make)?),
    ])
}

pub(super) fn prior(space: Space) -> ProductPrior {
    let Space::Product { intervals, .. } = space else {
        panic!("the spaces of this table are products");
    };
    ProductPrior {
        space,
        bounds: BOUNDS[..intervals].to_vec(),
    }
}

const fn product(lines: usize, intervals: usize, circles: usize) -> Space {
    Space::Product {
        lines,
        intervals,
        circles,
    }
}

pub(super) fn made<M>(
    make: impl FnOnce(&mut Initializer) -> Result<M, FlowError>,
) -> Result<M, FlowError> {
    let mut random = stream(20, Purpose::Parameters, 0);
    let device = Device::flex();
    make(&mut Initializer {
        random: &mut random,
        device: &device,
        dtype: DType::F64,
    })
}
