//! What is said, and where: results on standard output, progress on standard error.

use std::fmt::Display;
use std::io::Write;
use std::path::Path;

use anyhow::{Result, bail};
use boltzflow_boltzmann::{Estimate, TorsionSummary};
use boltzflow_chemio::{Array, AtomicFile, Npz};
use serde::Serialize;

/// Prints a line of results.
pub fn say(line: impl Display) -> Result<()> {
    writeln!(std::io::stdout().lock(), "{line}")?;
    Ok(())
}

/// Prints a result as text, or as one JSON object.
pub fn print<T: Display + Serialize>(result: &T, json: bool) -> Result<()> {
    if json {
        say(serde_json::to_string(result)?)
    } else {
        write!(std::io::stdout().lock(), "{result}")?;
        Ok(())
    }
}

/// Refuses a file for histograms that [`write_histograms`] would not write.
pub fn check_histograms(path: &Path) -> Result<()> {
    match extension(path) {
        "json" | "npz" => Ok(()),
        _ => bail!(
            "{} is neither .json nor .npz; histograms are written as one of these",
            path.display()
        ),
    }
}

/// Writes histograms of torsions: JSON, or NPZ with the arrays `center` (bins, in degrees), `probability`, `error`, `profile` and
/// `profile_error` (torsions × bins, the latter two in kT), `atoms` (torsions × 4, from 0) and `names` (text, a line each).
pub fn write_histograms(path: &Path, torsions: &[TorsionSummary]) -> Result<()> {
    if extension(path) == "json" {
        AtomicFile::write_all_to(path, &serde_json::to_vec_pretty(torsions)?)?;
        return Ok(());
    }
    let bins = torsions.first().map_or(0, |t| t.histogram.bins.len());
    let table = |values: Vec<f64>| Array::new(&[torsions.len(), bins], values);
    let centers: Vec<f64> = torsions.first().map_or_else(Vec::new, |torsion| {
        let center = |bin| torsion.histogram.center(bin).to_degrees();
        (0..bins).map(center).collect()
    });
    let probabilities = |of: fn(&Estimate) -> f64| {
        let bins = torsions.iter().flat_map(|torsion| &torsion.histogram.bins);
        table(bins.map(of).collect())
    };
    let profiles = |of: fn(&Estimate) -> f64| {
        let all = torsions.iter();
        let all = all.flat_map(|torsion| torsion.histogram.profile(1.0));
        table(all.map(|bin| of(&bin)).collect())
    };
    let atoms: Vec<u64> = torsions
        .iter()
        .flat_map(|torsion| torsion.atoms.map(|atom| atom as u64))
        .collect();
    let names: Vec<&str> = torsions
        .iter()
        .map(|torsion| torsion.name.as_str())
        .collect();
    Npz::write(
        path,
        &[
            ("center", &Array::new(&[bins], centers)),
            ("probability", &probabilities(|bin| bin.value)),
            ("error", &probabilities(|bin| bin.error)),
            ("profile", &profiles(|bin| bin.value)),
            ("profile_error", &profiles(|bin| bin.error)),
            ("atoms", &Array::new(&[torsions.len(), 4], atoms)),
            ("names", &Array::text(&names.join("\n"))),
        ],
    )?;
    Ok(())
}

fn extension(path: &Path) -> &str {
    path.extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or("")
}
