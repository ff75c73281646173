//! Bump maps in one pass, coordinate by coordinate, some ramps of one at once.
//!
//! As with splines, the functions of a network's numbers, of type `N`, are taken in their precision, and all else in that of the coordinates, `T`.

use super::{Bumps, FLAT, LARGEST_LOG_HEIGHT, LARGEST_LOG_WIDTH, LEAST, STEPS};
use crate::elementwise::Way;
use crate::elementwise::operation::{Batch, Map, Pull};
use crate::simd::{Kernel, Real, lanes};

/// Ramps at once: as many as fit a register of double precision.
const LANES: usize = 8;

/// One number for each lane.
type Lanes<T> = [T; LANES];

/// Some ramps of one coordinate; those past the last are of no height. See [`super::Ramps`].
#[derive(Clone)]
struct Ramps<T> {
    place: Lanes<T>,
    /// `1/w`.
    steepness: Lanes<T>,
    height: Lanes<T>,
}

/// What the numbers of some ramps do to these: derivatives by their number of the places, of `1/w`, and of the heights at given widths.
#[derive(Clone)]
struct Slopes<N> {
    place: Lanes<N>,
    steepness: Lanes<N>,
    height: Lanes<N>,
}

/// `g` and its derivatives.
#[derive(Clone, Copy)]
struct Rise<T> {
    value: T,
    slope: T,
    curvature: T,
}

/// All ramps of one coordinate.
struct Coordinate<T, N> {
    ramps: Vec<Ramps<T>>,
    slopes: Vec<Slopes<N>>,
    /// Places that numbers of zero stand for, as logits.
    usual: Vec<N>,
    /// One for a circle, zero for an interval.
    is_circle: T,
    /// `g(0)`.
    start: T,
    /// `g(1) − g(0)`.
    total: T,
    /// How near a solution has to be.
    precision: T,
}

/// One ramp at one place.
#[derive(Clone, Copy)]
struct Ramp<T> {
    /// How far the place is from its middle.
    from: T,
    /// `σ`, with the whole turns.
    value: T,
    /// `σ′`.
    slope: T,
    /// `σ″`.
    curvature: T,
}

impl<T: Real> Ramps<T> {
    #[inline(always)]
    fn at<const FMA: bool>(&self, lane: usize, x: T, is_circle: T) -> Ramp<T> {
        let (half, one, two) = (T::of(0.5), T::of(1.0), T::of(2.0));
        let from = x - self.place[lane];
        let rounds = (from + half).floor() * is_circle;
        let from = from - rounds;
        let u = between(
            from * self.steepness[lane] + half,
            T::of(FLAT),
            T::of(1.0 - FLAT),
        );
        let (near, far) = (one / u, one / (one - u));
        // σ(u) is the logistic function of 1/(1−u) − 1/u, whose derivative this is.
        let inner = near * near + far * far;
        let ramp = one / (far - near).one_plus_exp_neg::<FMA>();
        let spread = ramp * (one - ramp);
        let bend = two * (far * far * far - near * near * near);
        Ramp {
            from,
            value: ramp + rounds,
            slope: spread * inner,
            curvature: spread * ((one - two * ramp) * inner * inner + bend),
        }
    }
}

#[inline(always)]
fn between<T: Real>(x: T, low: T, high: T) -> T {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

/// The sum of all lanes, in a fixed order.
#[inline(always)]
fn sum<T: Real>(lanes: &Lanes<T>) -> T {
    let mut total = T::default();
    for lane in lanes {
        total += *lane;
    }
    total
}

/// `y = bound · tanh(x/bound)` and `dy/dx`.
#[inline(always)]
fn bounded<N: Real, const FMA: bool>(x: &Lanes<N>, bound: f64) -> [Lanes<N>; 2] {
    let bound = N::of(bound);
    let part: Lanes<N> = lanes(|lane| (x[lane] / bound).tanh::<FMA>());
    [
        lanes(|lane| part[lane] * bound),
        lanes(|lane| N::of(1.0) - part[lane] * part[lane]),
    ]
}

impl<T: Real, N: Real> Coordinate<T, N> {
    fn new(ramps: usize) -> Self {
        let blocks = ramps.div_ceil(LANES);
        let none = [T::default(); LANES];
        let no_slope = [N::default(); LANES];
        let usual = (0..ramps).map(|i| {
            let place = (i as f64 + 0.5) / ramps as f64;
            N::of((place / (1.0 - place)).ln())
        });
        Self {
            ramps: vec![
                Ramps {
                    place: none,
                    steepness: [T::of(1.0); LANES],
                    height: none,
                };
                blocks
            ],
            slopes: vec![
                Slopes {
                    place: no_slope,
                    steepness: no_slope,
                    height: no_slope,
                };
                blocks
            ],
            usual: usual.collect(),
            is_circle: T::default(),
            start: T::default(),
            total: T::of(1.0),
            precision: T::of(8.0 * T::dtype().finfo().expect("a float type").epsilon),
        }
    }

    /// Takes the numbers of one coordinate.
    #[inline(always)]
    fn set<const FMA: bool>(&mut self, numbers: &[N], is_circle: bool) {
        let count = self.usual.len();
        let one = N::of(1.0);
        let half = N::of(0.5 * count as f64);
        let share = N::of((1.0 - LEAST) / (2.0 * count as f64));
        let blocks = self.ramps.iter_mut().zip(&mut self.slopes);
        for (block, (ramps, slopes)) in blocks.enumerate() {
            let first = block * LANES;
            let here = LANES.min(count - first);
            let mut raw = [[N::default(); LANES]; 3];
            for lane in 0..here {
                raw[0][lane] = numbers[first + lane] + self.usual[first + lane];
                raw[1][lane] = numbers[count + first + lane];
                raw[2][lane] = numbers[2 * count + first + lane];
            }
            let place = lanes(|lane| one / raw[0][lane].one_plus_exp_neg::<FMA>());
            let [log_width, of_width] = bounded::<N, FMA>(&raw[1], LARGEST_LOG_WIDTH);
            let [log_height, of_height] = bounded::<N, FMA>(&raw[2], LARGEST_LOG_HEIGHT);
            let narrow: Lanes<N> = lanes(|lane| log_width[lane].exp::<FMA>() * half);
            let width: Lanes<N> = lanes(|lane| one / (narrow[lane] + one));
            let high: Lanes<N> = lanes(|lane| log_height[lane].exp::<FMA>());
            let wide = |values: &Lanes<N>| lanes(|lane| T::of(values[lane].wide()));
            ramps.place = wide(&place);
            ramps.steepness = wide(&lanes(|lane| narrow[lane] + one));
            ramps.height = wide(&lanes(|lane| width[lane] * (high[lane] - one) * share));
            slopes.place = lanes(|lane| place[lane] * (one - place[lane]));
            slopes.steepness = lanes(|lane| narrow[lane] * of_width[lane]);
            slopes.height = lanes(|lane| width[lane] * share * high[lane] * of_height[lane]);
            for lane in here..LANES {
                ramps.height[lane] = T::default();
            }
        }
        self.is_circle = T::of(f64::from(u8::from(is_circle)));
        self.start = self.rise::<FMA>(T::default()).value;
        self.total = self.rise::<FMA>(T::of(1.0)).value - self.start;
    }

    #[inline(always)]
    fn rise<const FMA: bool>(&self, x: T) -> Rise<T> {
        let mut found = Rise {
            value: x,
            slope: T::of(1.0),
            curvature: T::default(),
        };
        for ramps in &self.ramps {
            let (mut value, mut slope, mut curvature) = (ramps.height, ramps.height, ramps.height);
            for lane in 0..LANES {
                let at = ramps.at::<FMA>(lane, x, self.is_circle);
                let steep = ramps.height[lane] * ramps.steepness[lane];
                value[lane] = ramps.height[lane] * at.value;
                slope[lane] = steep * at.slope;
                curvature[lane] = steep * ramps.steepness[lane] * at.curvature;
            }
            found.value += sum(&value);
            found.slope += sum(&slope);
            found.curvature += sum(&curvature);
        }
        found
    }

    /// `F(x)`, not turned, and `F′(x)`.
    #[inline(always)]
    fn forward<const FMA: bool>(&self, x: T) -> [T; 2] {
        let rise = self.rise::<FMA>(x);
        [
            (rise.value - self.start) / self.total,
            rise.slope / self.total,
        ]
    }

    /// The solution of `F(x) = y`, as [`super::Ramps::solved`] finds it; and `F′` there.
    #[inline(always)]
    fn inverse<const FMA: bool>(&self, y: T) -> [T; 2] {
        let (zero, one, half) = (T::default(), T::of(1.0), T::of(0.5));
        let size = |x: T| if x < zero { -x } else { x };
        let (mut low, mut high) = (zero, one);
        let (mut x, mut moved) = (y, one);
        for _ in 0..STEPS {
            let [there, slope] = self.forward::<FMA>(x);
            let off = there - y;
            if off > zero {
                high = x;
            } else {
                low = x;
            }
            let newton = x - off / slope;
            let step = size(newton - x);
            let is_close = size(off) <= self.precision || step <= self.precision;
            let is_out = newton < low || newton > high || step > half * moved;
            let next = if is_out && !is_close {
                (low + high) * half
            } else {
                newton
            };
            moved = size(next - x);
            x = next;
            if is_close {
                break;
            }
        }
        let x = between(x, zero, one);
        [x, self.forward::<FMA>(x)[1]]
    }

    /// Brings a circle back to 0…1.
    #[inline(always)]
    fn around(&self, x: T) -> T {
        x - self.is_circle * x.floor()
    }

    /// Takes the gradients of `F` and `ln F′` at `x` back, or, inverse, those of `x` and `ln dx/dy` (told by those of `F` as a spline's are); writes those of
    /// the numbers and returns that of what was mapped.
    ///
    /// With `f = F(x)` and an index for a derivative by a number, `F_θ = (g_θ(x) − (1 − f) g_θ(0) − f g_θ(1))/G` and
    /// `(ln F′)_θ = g′_θ(x)/g′(x) − (g_θ(1) − g_θ(0))/G`, where `G = g(1) − g(0)`.
    #[inline(always)]
    fn pull<const FMA: bool>(&self, x: T, way: Way, [value, log]: [T; 2], numbers: &mut [N]) -> T {
        let (zero, one) = (T::default(), T::of(1.0));
        let rise = self.rise::<FMA>(x);
        let part = (rise.value - self.start) / self.total;
        let slope = rise.slope / self.total;
        let log_x = rise.curvature / rise.slope;
        let (value, log, of_x) = match way {
            Way::Forward => (value, log, value * slope + log * log_x),
            Way::Inverse => {
                let x = (value - log * log_x) / slope;
                (-x, -log, x)
            }
        };
        let of_slope = log / rise.slope;
        let whole = one / self.total;
        let of_value = value * whole;
        let ends = [
            (zero, (log - value * (one - part)) * whole),
            (one, -(log + value * part) * whole),
        ];
        let count = self.usual.len();
        for (block, (ramps, slopes)) in self.ramps.iter().zip(&self.slopes).enumerate() {
            let none = [zero; LANES];
            let (mut of_place, mut of_steepness, mut of_height) = (none, none, none);
            for lane in 0..LANES {
                let (steep, height) = (ramps.steepness[lane], ramps.height[lane]);
                let at = ramps.at::<FMA>(lane, x, self.is_circle);
                // Of σ(u), for a height of one.
                let mut of_ramp = of_value * at.slope + of_slope * steep * at.curvature;
                let mut of_from = of_ramp * at.from;
                let mut of_one = of_value * at.value + of_slope * steep * at.slope;
                for (end, weight) in ends {
                    let at = ramps.at::<FMA>(lane, end, self.is_circle);
                    of_ramp += weight * at.slope;
                    of_from += weight * at.slope * at.from;
                    of_one += weight * at.value;
                }
                let at_slope = of_slope * at.slope;
                of_place[lane] = -(height * steep * of_ramp);
                // Heights are in proportion to widths.
                of_steepness[lane] = height * (of_from + at_slope - of_one / steep);
                of_height[lane] = of_one;
            }
            let first = block * LANES;
            for lane in 0..LANES.min(count - first) {
                let times = |gradient: T, slope: N| N::of(gradient.wide() * slope.wide());
                numbers[first + lane] = times(of_place[lane], slopes.place[lane]);
                numbers[count + first + lane] = times(of_steepness[lane], slopes.steepness[lane]);
                numbers[2 * count + first + lane] = times(of_height[lane], slopes.height[lane]);
            }
        }
        if self.is_circle > zero {
            numbers[3 * count] = N::of(value.wide());
        }
        of_x
    }
}

impl<N: Real, T: Real> Batch<'_, Bumps, N, T> {
    /// The numbers of a coordinate, and whether it is a circle.
    #[inline(always)]
    fn of(&self, index: usize) -> (&[N], bool) {
        let count = self.maps.parameters();
        let numbers = &self.numbers[index * count..][..count];
        (numbers, index % self.coordinates >= self.maps.intervals)
    }
}

impl<N: Real, T: Real> Kernel for Map<'_, Bumps, N, T> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let batch = self.batch;
        let mut coordinate = Coordinate::<T, N>::new(batch.maps.ramps);
        for (index, &x) in batch.x.iter().enumerate() {
            let (numbers, is_circle) = batch.of(index);
            coordinate.set::<FMA>(numbers, is_circle);
            let turn = T::of(numbers[numbers.len() - 1].wide()) * coordinate.is_circle;
            let (y, log_slope) = match batch.way {
                Way::Forward => {
                    let [y, slope] = coordinate.forward::<FMA>(x);
                    (coordinate.around(y + turn), slope.ln::<FMA>())
                }
                Way::Inverse => {
                    let [x, slope] = coordinate.inverse::<FMA>(coordinate.around(x - turn));
                    (x, -slope.ln::<FMA>())
                }
            };
            self.y[index] = y;
            self.log_slope[index] = log_slope;
        }
    }
}

impl<N: Real, T: Real> Kernel for Pull<'_, Bumps, N, T> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let batch = self.batch;
        let count = batch.maps.parameters();
        let mut coordinate = Coordinate::<T, N>::new(batch.maps.ramps);
        for (index, &x) in batch.x.iter().enumerate() {
            let (numbers, is_circle) = batch.of(index);
            coordinate.set::<FMA>(numbers, is_circle);
            let gradient = [self.y[index], self.log_slope[index]];
            let numbers = &mut self.numbers[index * count..][..count];
            self.x[index] = coordinate.pull::<FMA>(x, batch.way, gradient, numbers);
        }
    }
}
