//! Splines in one pass: some coordinates at once, each in a lane of its own, without branches.
//!
//! Numbers, of type `N`, are what a network gives; coordinates, of type `T`, may be of more digits. Exponentials are taken of the former, all else of
//! the latter, so that both ways along a spline agree to the digits of the coordinates.

use super::{AT_ONE, LEAST, Splines};
use crate::elementwise::Way;
use crate::elementwise::operation::{self, Map, Pull};
use crate::simd::{Kernel, Real, lanes};

/// Coordinates at once: as many as fit a register of single precision.
const LANES: usize = 16;

/// One number for each lane.
type Lanes<T> = [T; LANES];

/// The same numbers of another type.
#[inline(always)]
fn cast<A: Real, B: Real>(values: &Lanes<A>) -> Lanes<B> {
    lanes(|lane| B::of(values[lane].wide()))
}

#[inline(always)]
fn pair<A: Real, B: Real>([a, b]: [A; 2]) -> [B; 2] {
    [B::of(a.wide()), B::of(b.wide())]
}

type Batch<'a, N, T> = operation::Batch<'a, Splines, N, T>;

/// Room for the bins of each lane.
struct Bins<T> {
    width: Vec<Lanes<T>>,
    height: Vec<Lanes<T>>,
}

/// The coordinates that are dealt with together.
struct Block<T> {
    /// Where each lane's numbers start.
    start: Lanes<usize>,
    /// One for a circle, zero for an interval.
    is_circle: Lanes<T>,
    /// By how much a circle is turned.
    turn: Lanes<T>,
}

/// The bins that the lanes' coordinates are in.
struct Found<T> {
    index: Lanes<u32>,
    left: Lanes<T>,
    width: Lanes<T>,
    bottom: Lanes<T>,
    height: Lanes<T>,
}

/// One bin: see [`super::Knots`].
#[derive(Clone, Copy)]
struct Bin<T> {
    left: T,
    width: T,
    bottom: T,
    height: T,
    slope: T,
    next_slope: T,
}

/// The gradient of a bin's numbers, and of the coordinate in it.
#[derive(Default)]
struct Gradient<V> {
    x: V,
    left: V,
    width: V,
    bottom: V,
    height: V,
    slope: V,
    next_slope: V,
}

impl<T: Real> Gradient<Lanes<T>> {
    #[inline(always)]
    fn set(&mut self, lane: usize, one: &Gradient<T>) {
        self.x[lane] = one.x;
        self.left[lane] = one.left;
        self.width[lane] = one.width;
        self.bottom[lane] = one.bottom;
        self.height[lane] = one.height;
        self.slope[lane] = one.slope;
        self.next_slope[lane] = one.next_slope;
    }
}

impl<T: Real> Bins<T> {
    fn new(bins: usize) -> Self {
        let none = vec![[T::default(); LANES]; bins];
        Self {
            width: none.clone(),
            height: none,
        }
    }
}

impl<N: Real, T: Real> Batch<'_, N, T> {
    /// The coordinates from `first` on; lanes past the last repeat it.
    #[inline(always)]
    fn block(&self, first: usize) -> Block<T> {
        let count = self.maps.parameters();
        let last = self.x.len() - 1;
        let start = lanes(|lane| (first + lane).min(last) * count);
        let is_circle = lanes(|lane| {
            let coordinate = (first + lane).min(last) % self.coordinates;
            T::of(f64::from(u8::from(coordinate >= self.maps.intervals)))
        });
        let turn =
            lanes(|lane| is_circle[lane] * T::of(self.numbers[start[lane] + count - 1].wide()));
        Block {
            start,
            is_circle,
            turn,
        }
    }

    /// One value for each lane of a block.
    #[inline(always)]
    fn of(first: usize, values: &[T]) -> Lanes<T> {
        let last = values.len() - 1;
        lanes(|lane| values[(first + lane).min(last)])
    }

    /// The numbers at these places.
    #[inline(always)]
    fn at(&self, places: &Lanes<usize>) -> Lanes<N> {
        lanes(|lane| self.numbers[places[lane]])
    }

    /// Positive parts of one, of the numbers from `from` on.
    #[inline(always)]
    fn parts<const FMA: bool>(&self, block: &Block<T>, from: usize, parts: &mut [Lanes<T>]) {
        let bins = parts.len();
        let row =
            |k: usize| -> Lanes<N> { lanes(|lane| self.numbers[block.start[lane] + from + k]) };
        let mut largest = row(0);
        for k in 1..bins {
            let row = row(k);
            largest = lanes(|lane| larger(largest[lane], row[lane]));
        }
        let mut total = [T::default(); LANES];
        for (k, part) in parts.iter_mut().enumerate() {
            let row = row(k);
            *part = cast(&lanes(|lane| (row[lane] - largest[lane]).exp::<FMA>()));
            total = lanes(|lane| total[lane] + part[lane]);
        }
        let factor: Lanes<T> = lanes(|lane| T::of(1.0 - LEAST) / total[lane]);
        let least = T::of(LEAST / bins as f64);
        for part in parts {
            *part = lanes(|lane| part[lane] * factor[lane] + least);
        }
    }

    /// The slopes that the numbers at these places stand for. (The closures of an array's `map` are not compiled with the vector instructions of what
    /// calls it, so these two have a name.)
    #[inline(always)]
    fn slope<const FMA: bool>(&self, places: &Lanes<usize>) -> Lanes<T> {
        let numbers = self.at(places);
        cast(&lanes(|lane| slope::<N, FMA>(numbers[lane])[0]))
    }

    /// All bins of a block.
    #[inline(always)]
    fn bins<const FMA: bool>(&self, block: &Block<T>, bins: &mut Bins<T>) {
        self.parts::<FMA>(block, 0, &mut bins.width);
        self.parts::<FMA>(block, self.maps.bins, &mut bins.height);
    }

    /// The numbers of the slopes at both ends of the bins found: where they are.
    #[inline(always)]
    fn slopes(&self, block: &Block<T>, found: &Found<T>) -> [Lanes<usize>; 2] {
        let bins = self.maps.bins;
        let place = |lane: usize, index: usize| block.start[lane] + 2 * bins + index;
        let next = lanes(|lane| {
            let index = found.index[lane] as usize + 1;
            // The slope after a circle's last is its first.
            let is_around = index == bins && block.is_circle[lane] > T::default();
            place(lane, if is_around { 0 } else { index })
        });
        [lanes(|lane| place(lane, found.index[lane] as usize)), next]
    }
}

/// The last bins that start no higher than `x`, or the first ones where rounding put a coordinate below them.
#[inline(always)]
fn find<T: Real>(bins: &Bins<T>, x: &Lanes<T>, way: Way) -> Found<T> {
    let zero = [T::default(); LANES];
    let mut found = Found {
        index: [0; LANES],
        left: zero,
        width: bins.width[0],
        bottom: zero,
        height: bins.height[0],
    };
    let (mut left, mut bottom) = (bins.width[0], bins.height[0]);
    for k in 1..bins.width.len() {
        let (width, height) = (bins.width[k], bins.height[k]);
        let ends = match way {
            Way::Forward => &left,
            Way::Inverse => &bottom,
        };
        let is_in = lanes(|lane| x[lane] >= ends[lane]);
        found.index = chosen(&is_in, &[k as u32; LANES], &found.index);
        found.left = chosen(&is_in, &left, &found.left);
        found.bottom = chosen(&is_in, &bottom, &found.bottom);
        found.width = chosen(&is_in, &width, &found.width);
        found.height = chosen(&is_in, &height, &found.height);
        left = lanes(|lane| left[lane] + width[lane]);
        bottom = lanes(|lane| bottom[lane] + height[lane]);
    }
    found
}

/// The first number where something holds, else the second.
#[inline(always)]
fn chosen<V: Copy + Default>(is: &Lanes<bool>, yes: &Lanes<V>, no: &Lanes<V>) -> Lanes<V> {
    lanes(|lane| {
        let (yes, no) = (yes[lane], no[lane]);
        if is[lane] { yes } else { no }
    })
}

impl<T: Real> Found<T> {
    #[inline(always)]
    fn bin(&self, lane: usize, slope: T, next_slope: T) -> Bin<T> {
        Bin {
            left: self.left[lane],
            width: self.width[lane],
            bottom: self.bottom[lane],
            height: self.height[lane],
            slope,
            next_slope,
        }
    }
}

#[inline(always)]
fn larger<T: Real>(a: T, b: T) -> T {
    if b > a { b } else { a }
}

/// In 0…1.
#[inline(always)]
fn bounded<T: Real>(x: T) -> T {
    let one = T::of(1.0);
    let x = if x < T::default() { T::default() } else { x };
    if x > one { one } else { x }
}

/// A slope, and its derivative, of a number: `softplus(x + AT_ONE) + LEAST`, which is 1 at 0.
#[inline(always)]
fn slope<T: Real, const FMA: bool>(number: T) -> [T; 2] {
    let (zero, one) = (T::default(), T::of(1.0));
    let x = number + T::of(AT_ONE);
    let is_positive = x >= zero;
    let small = (if is_positive { -x } else { x }).exp::<FMA>();
    let value = larger(x, zero) + (one + small).ln::<FMA>() + T::of(LEAST);
    [
        value,
        (if is_positive { one } else { small }) / (one + small),
    ]
}

impl<T: Real> Bin<T> {
    /// `y` and `ln dy/dx` of `x`.
    #[inline(always)]
    fn forward<const FMA: bool>(self, x: T) -> [T; 2] {
        let xi = bounded((x - self.left) / self.width);
        let (part, slope) = self.rise(xi);
        [self.bottom + self.height * part, slope.ln::<FMA>()]
    }

    /// `x` and `ln dx/dy` of `y`.
    #[inline(always)]
    fn inverse<const FMA: bool>(self, y: T) -> [T; 2] {
        // h (s ξ² + d ξ(1−ξ)) = η h (s + c ξ(1−ξ)) with η = (y − y_k)/h and c = d + d' − 2s, solved for the root in 0…1 in the form that
        // does not cancel.
        let (two, four) = (T::of(2.0), T::of(4.0));
        let eta = bounded((y - self.bottom) / self.height);
        let s = self.height / self.width;
        let curve = eta * (self.slope + self.next_slope - two * s);
        let (a, b, c) = (s - self.slope + curve, self.slope - curve, eta * s);
        let root = larger(b * b + four * a * c, T::default()).sqrt();
        let xi = bounded(two * c / (b + root));
        let (_, slope) = self.rise(xi);
        [self.left + xi * self.width, -slope.ln::<FMA>()]
    }

    /// `(y − y_k)/h` and `dy/dx` at `ξ`.
    #[inline(always)]
    fn rise(self, xi: T) -> (T, T) {
        let s = self.height / self.width;
        let rest = T::of(1.0) - xi;
        let both = xi * rest;
        let below = s + (self.slope + self.next_slope - T::of(2.0) * s) * both;
        let above = s * xi * xi + self.slope * both;
        let slope = self.next_slope * xi * xi + T::of(2.0) * s * both + self.slope * rest * rest;
        let scale = s / below;
        (above / below, scale * scale * slope)
    }

    /// Takes the gradients of `y` and `ln dy/dx` at `x` back, or, inverse, those of `x` and `ln dx/dy`.
    ///
    /// With `α` and `β` above and below the line, `σ` the other factor of the slope `s² σ/β²`, and an index for a derivative, what
    /// depends on `p = ξ, s, d_k, d_{k+1}` changes by `(α/β)_p = (α_p − (α/β) β_p)/β` and `(ln y')_p = 2 s_p/s + σ_p/σ − 2 β_p/β`.
    ///
    /// The inverse is told by the forward map `F`: from `F(x) = y` follows `dx = (dy − F_θ dθ)/F_x`, so its gradients are those of `F`
    /// with `−(g_x − g_l (ln F_x)_x)/F_x` for `y` and `−g_l` for the log-slope.
    #[inline(always)]
    fn pull(self, x: T, way: Way, gradient: [T; 2]) -> Gradient<T> {
        let (one, two) = (T::of(1.0), T::of(2.0));
        let (d, next) = (self.slope, self.next_slope);
        let s = self.height / self.width;
        let xi = bounded((x - self.left) / self.width);
        let rest = one - xi;
        let (both, tilt) = (xi * rest, rest - xi);
        let curve = d + next - two * s;
        let by_below = one / (s + curve * both);
        let part = (s * xi * xi + d * both) * by_below;
        let sigma = next * xi * xi + two * s * both + d * rest * rest;
        let (scale, by_sigma) = (s * by_below, one / sigma);
        let slope = scale * scale * sigma;
        // β_p of s, and of both slopes.
        let (below_s, below_d) = (one - two * both, both);
        let log_xi =
            two * (next * xi + s * tilt - d * rest) * by_sigma - two * curve * tilt * by_below;
        let log_s = two / s + two * both * by_sigma - two * below_s * by_below;
        let log_d = rest * rest * by_sigma - two * below_d * by_below;
        let log_next = xi * xi * by_sigma - two * below_d * by_below;

        let [value, log] = gradient;
        let (value, log, x) = match way {
            Way::Forward => (value, log, value * slope + log * log_xi / self.width),
            Way::Inverse => {
                let x = (value - log * log_xi / self.width) / slope;
                (-x, -log, x)
            }
        };
        let rise = value * self.height;
        // (α/β)_ξ = s σ/β².
        let at = rise * scale * by_below * sigma + log * log_xi;
        let of_s = rise * (xi * xi - part * below_s) * by_below + log * log_s;
        Gradient {
            x,
            left: -at / self.width,
            width: -(at * xi + of_s * s) / self.width,
            bottom: value,
            height: value * part + of_s / self.width,
            slope: rise * (both - part * below_d) * by_below + log * log_d,
            next_slope: log * log_next - rise * part * below_d * by_below,
        }
    }
}

impl<N: Real, T: Real> Kernel for Map<'_, Splines, N, T> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let way = self.batch.way;
        let mut bins = Bins::new(self.batch.maps.bins);
        for first in (0..self.y.len()).step_by(LANES) {
            let block = self.batch.block(first);
            self.batch.bins::<FMA>(&block, &mut bins);
            let mut x = Batch::<N, T>::of(first, self.batch.x);
            if way == Way::Inverse {
                x = lanes(|lane| {
                    let back = x[lane] - block.turn[lane];
                    back - block.is_circle[lane] * back.floor()
                });
            }
            let found = find(&bins, &x, way);
            let places = self.batch.slopes(&block, &found);
            let left = self.batch.slope::<FMA>(&places[0]);
            let right = self.batch.slope::<FMA>(&places[1]);
            let (mut y, mut log_slope) = (x, x);
            for lane in 0..LANES {
                let bin = found.bin(lane, left[lane], right[lane]);
                let values = match way {
                    Way::Forward => bin.forward::<FMA>(x[lane]),
                    Way::Inverse => bin.inverse::<FMA>(x[lane]),
                };
                [y[lane], log_slope[lane]] = values;
            }
            if way == Way::Forward {
                y = lanes(|lane| {
                    let there = y[lane] + block.turn[lane];
                    there - block.is_circle[lane] * there.floor()
                });
            }
            let count = LANES.min(self.y.len() - first);
            self.y[first..][..count].copy_from_slice(&y[..count]);
            self.log_slope[first..][..count].copy_from_slice(&log_slope[..count]);
        }
    }
}

impl<N: Real, T: Real> Kernel for Pull<'_, Splines, N, T> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Batch {
            way, maps: splines, ..
        } = self.batch;
        let (count, total) = (splines.parameters(), self.batch.x.len());
        let mut bins = Bins::new(splines.bins);
        for first in (0..total).step_by(LANES) {
            let block = self.batch.block(first);
            self.batch.bins::<FMA>(&block, &mut bins);
            let x = Batch::<N, T>::of(first, self.batch.x);
            let found = find(&bins, &x, Way::Forward);
            let places = self.batch.slopes(&block, &found);
            let left = self.batch.at(&places[0]);
            let right = self.batch.at(&places[1]);
            let of_y = Batch::<N, T>::of(first, self.y);
            let of_log_slope = Batch::<N, T>::of(first, self.log_slope);
            let mut gradient = Gradient::<Lanes<T>>::default();
            for lane in 0..LANES {
                let left = pair::<N, T>(slope::<N, FMA>(left[lane]));
                let right = pair::<N, T>(slope::<N, FMA>(right[lane]));
                let bin = found.bin(lane, left[0], right[0]);
                let mut one = bin.pull(x[lane], way, [of_y[lane], of_log_slope[lane]]);
                one.slope = one.slope * left[1];
                one.next_slope = one.next_slope * right[1];
                gradient.set(lane, &one);
            }
            let here = LANES.min(total - first);
            self.x[first..][..here].copy_from_slice(&gradient.x[..here]);
            for lane in 0..here {
                if block.is_circle[lane] > T::default() {
                    self.numbers[block.start[lane] + count - 1] =
                        N::of(gradient.bottom[lane].wide());
                }
                self.numbers[places[0][lane]] += N::of(gradient.slope[lane].wide());
                self.numbers[places[1][lane]] += N::of(gradient.next_slope[lane].wide());
            }
            // Ends are sums of what is before them.
            let mut rows = Rows {
                numbers: &mut *self.numbers,
                start: &block.start,
                here,
            };
            let [of_width, of_height] = [
                [&gradient.left, &gradient.width],
                [&gradient.bottom, &gradient.height],
            ];
            rows.pull(0, &mut bins.width, &found.index, of_width);
            rows.pull(splines.bins, &mut bins.height, &found.index, of_height);
        }
    }
}

/// Where the gradients of the lanes' numbers go.
struct Rows<'a, N> {
    numbers: &'a mut [N],
    start: &'a Lanes<usize>,
    /// Lanes that are not repeated.
    here: usize,
}

impl<N: Real> Rows<'_, N> {
    /// Takes the gradient of all parts before a bin, and that of the bin's own, back through [`Batch::parts`]: `p_k (g_k − Σ p g)`.
    /// Leaves it in `parts`.
    #[inline(always)]
    fn pull<T: Real>(
        &mut self,
        from: usize,
        parts: &mut [Lanes<T>],
        index: &Lanes<u32>,
        [before, of]: [&Lanes<T>; 2],
    ) {
        let least = T::of(LEAST / parts.len() as f64);
        let whole = T::of(1.0 / (1.0 - LEAST));
        let gradient = |k: usize, lane: usize| {
            let after = if k as u32 == index[lane] {
                of[lane]
            } else {
                T::default()
            };
            if (k as u32) < index[lane] {
                before[lane]
            } else {
                after
            }
        };
        let mut mean = [T::default(); LANES];
        for (k, part) in parts.iter().enumerate() {
            mean = lanes(|lane| mean[lane] + (part[lane] - least) * whole * gradient(k, lane));
        }
        for (k, part) in parts.iter_mut().enumerate() {
            *part = lanes(|lane| (part[lane] - least) * (gradient(k, lane) - mean[lane]));
        }
        for lane in 0..self.here {
            let numbers = &mut self.numbers[self.start[lane] + from..][..parts.len()];
            for (number, part) in numbers.iter_mut().zip(&*parts) {
                *number = N::of(part[lane].wide());
            }
        }
    }
}
