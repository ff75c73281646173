//! What the benches share: how long each is measured.

use std::time::Duration;

use criterion::Criterion;

/// Two seconds a figure, so that all of them take a few minutes.
pub fn short() -> Criterion {
    Criterion::default()
        .sample_size(15)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
}
