//! What a batch system sets: threads, shards, the time that is left.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use boltzflow_boltzmann::sampling;
use clap::Args;

/// When to stop.
#[derive(Args, Debug)]
pub struct TimeLimit {
    /// Stop in time to be done within this, such as 90s, 10m or 2h: finish the piece of work at hand, save, exit with 75; the same command
    /// goes on from there [default: until SLURM_JOB_END_TIME, if that is set].
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub time_limit: Option<Duration>,
}

impl TimeLimit {
    /// The limit that was given, else what Slurm leaves this job.
    pub fn get(&self) -> Option<Duration> {
        self.time_limit.or_else(|| {
            let end = std::env::var("SLURM_JOB_END_TIME").ok()?;
            left_until(&end, SystemTime::now())
        })
    }
}

/// The time from `now` to a Unix time in seconds. One that has passed is no limit: Slurm would have ended the job, had its end not been
/// moved.
fn left_until(end: &str, now: SystemTime) -> Option<Duration> {
    let end = UNIX_EPOCH.checked_add(Duration::from_secs(end.trim().parse().ok()?))?;
    end.duration_since(now).ok().filter(|left| !left.is_zero())
}

/// A time such as `90s`, `10m`, `1.5h`, `1h30m` or, in seconds, `90`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let refused = || format!("{text:?} is no time such as 90s, 10m, 2h or 1h30m");
    let mut rest = text.trim();
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let number: f64 = rest[..end].parse().map_err(|_| refused())?;
        let mut after = rest[end..].chars();
        seconds += number
            * match after.next() {
                None | Some('s') => 1.0,
                Some('m') => 60.0,
                Some('h') => 3600.0,
                Some('d') => 86_400.0,
                Some(_) => return Err(refused()),
            };
        rest = after.as_str();
    }
    if seconds <= 0.0 {
        return Err(format!("{text:?} is no time above zero"));
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| refused())
}

/// What a batch system grants: `SLURM_CPUS_PER_TASK`, else `OMP_NUM_THREADS`.
pub fn threads_of_environment() -> Option<usize> {
    ["SLURM_CPUS_PER_TASK", "OMP_NUM_THREADS"]
        .iter()
        .find_map(|name| std::env::var(name).ok()?.trim().parse().ok())
        .filter(|threads| *threads > 0)
}

/// Which chunks a shard draws: `index` modulo `count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// From 0.
    pub index: u64,
    /// How many there are.
    pub count: u64,
}

impl Shard {
    /// From `i/n`, or `auto`; the whole where nothing was given.
    pub fn parse(text: Option<&str>) -> Result<Self> {
        let shard = match text {
            None => Self { index: 0, count: 1 },
            Some("auto") => Self::of_slurm()?,
            Some(text) => {
                let numbers = text
                    .split_once('/')
                    .and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
                let Some((index, count)) = numbers else {
                    bail!("--shard {text:?} is not `i/n` such as 0/4, nor `auto`")
                };
                Self { index, count }
            }
        };
        if shard.index >= shard.count {
            bail!(
                "shard {}/{} does not exist: i goes from 0 to n − 1",
                shard.index,
                shard.count
            );
        }
        Ok(shard)
    }

    /// How many of `count` samples a shard draws, at most.
    pub fn share(self, count: u64) -> u64 {
        let chunks = count.div_ceil(sampling::CHUNK as u64);
        (chunks
            .div_ceil(self.count)
            .saturating_mul(sampling::CHUNK as u64))
        .min(count)
    }

    fn of_slurm() -> Result<Self> {
        let number = |name: &str| -> Result<u64> {
            let value = std::env::var(name).with_context(|| {
                format!("--shard auto needs {name}, which Slurm sets in job arrays")
            })?;
            value
                .parse()
                .with_context(|| format!("{name} is {value:?}, not a number"))
        };
        let [id, first, last, count] =
            ["ID", "MIN", "MAX", "COUNT"].map(|name| number(&format!("SLURM_ARRAY_TASK_{name}")));
        let (id, first, last, count) = (id?, first?, last?, count?);
        if last.checked_sub(first).map(|span| span + 1) != Some(count) || id < first {
            bail!(
                "the job array {first}-{last} has {count} tasks, so its step is not 1; give --shard i/n instead"
            );
        }
        Ok(Self {
            index: id - first,
            count,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_seconds_minutes_hours_and_days() {
        let cases = [
            ("90", 90.0),
            ("90s", 90.0),
            ("10m", 600.0),
            ("1.5h", 5400.0),
            ("1h30m", 5400.0),
            ("2d", 172_800.0),
        ];
        for (text, seconds) in cases {
            assert_eq!(duration(text), Ok(Duration::from_secs_f64(seconds)));
        }
        for text in [
            "",
            "0",
            "-5",
            "m",
            "ten",
            "5x",
            "1e3s",
            "nan",
            "99999999999999999999d",
        ] {
            assert!(duration(text).is_err(), "{text} was taken for a time");
        }
    }

    #[test]
    fn the_end_of_a_slurm_job_is_a_limit_until_it_has_passed() {
        let now = UNIX_EPOCH + Duration::from_secs(1000);
        assert_eq!(left_until("1060", now), Some(Duration::from_mins(1)));
        assert_eq!(left_until("1000", now), None);
        assert_eq!(left_until("900", now), None);
        assert_eq!(left_until("Unknown", now), None);
    }
}
