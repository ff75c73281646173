//! How wide the vector instructions of force fields may be. Energies are the same bits within one width only.

use std::sync::OnceLock;

/// Widths, in increasing order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Widest {
    /// What the build's target guarantees.
    Portable,
    /// AVX2 with fused multiply-add.
    Avx2,
    /// AVX-512.
    Avx512,
}

static LIMIT: OnceLock<Widest> = OnceLock::new();

/// Uses nothing wider from now on, once per process, before the first evaluator is made.
pub fn limit(widest: Widest) {
    LIMIT.get_or_init(|| widest);
}

/// Whether this width may be used.
#[cfg(target_arch = "x86_64")]
pub(crate) fn allows(width: Widest) -> bool {
    width <= *LIMIT.get_or_init(|| Widest::Avx512)
}
