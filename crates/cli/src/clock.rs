//! What work costs: time of processors, which other work on the machine does not lengthen much.

use rustix::time::{ClockId, clock_gettime};

/// Core-seconds that this process has had so far, all threads together.
pub fn core_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + 1e-9 * time.tv_nsec as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_takes_time() {
        let start = core_seconds();
        let mut x = 1.0_f64;
        for _ in 0..1_000_000 {
            x = std::hint::black_box(x.sin() + 1.0);
        }
        assert!(x > 0.0 && core_seconds() > start);
    }
}
