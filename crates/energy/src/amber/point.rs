//! Points in space, of several conformers each.

use super::vector::Vector;

/// Cartesian coordinates.
pub(super) type Point<V> = [V; 3];

/// `a − b`.
#[inline(always)]
pub(super) fn minus<V: Vector>(a: Point<V>, b: Point<V>) -> Point<V> {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

/// `a · b`.
#[inline(always)]
pub(super) fn dot<V: Vector>(a: Point<V>, b: Point<V>) -> V {
    a[2].fma(b[2], a[1].fma(b[1], a[0] * b[0]))
}

/// `a × b`.
#[inline(always)]
pub(super) fn cross<V: Vector>(a: Point<V>, b: Point<V>) -> Point<V> {
    [
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    ]
}

/// `s a + t b`.
#[inline(always)]
pub(super) fn scaled_sum<V: Vector>(a: Point<V>, s: V, b: Point<V>, t: V) -> Point<V> {
    [
        a[0].fma(s, b[0] * t),
        a[1].fma(s, b[1] * t),
        a[2].fma(s, b[2] * t),
    ]
}

/// `sum += s a`.
#[inline(always)]
pub(super) fn accumulate<V: Vector>(sum: &mut Point<V>, a: Point<V>, s: V) {
    for axis in 0..3 {
        sum[axis] = a[axis].fma(s, sum[axis]);
    }
}
