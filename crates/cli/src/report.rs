//! What is said, and where: results on standard output, progress on standard error.

use std::fmt::Display;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};
use boltzflow_boltzmann::{Estimate, Histogram, ProfileComparison, TorsionSummary};
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

/// Refuses a file for histograms or profiles that [`write_histograms`] and [`write_profiles`] would not write.
pub fn check_histograms(path: &Path) -> Result<()> {
    match extension(path) {
        "json" | "npz" => Ok(()),
        _ => bail!(
            "{} is neither .json nor .npz; histograms are written as one of these",
            path.display()
        ),
    }
}

/// Histograms of all torsions in one ensemble.
struct Ensemble<'a> {
    /// What the names of its arrays begin with.
    prefix: &'static str,
    histograms: Vec<&'a Histogram>,
    /// In kT.
    profiles: Vec<Vec<Estimate>>,
}

/// Writes histograms of torsions: JSON, or NPZ with the arrays `center` (bins, in degrees), `probability`, `error`, `profile` and
/// `profile_error` (torsions × bins, the latter two in kT over the likeliest bin), `atoms` (torsions × 4, from 0) and `names` (text, a line each).
pub fn write_histograms(path: &Path, torsions: &[TorsionSummary]) -> Result<()> {
    if extension(path) == "json" {
        return write_json(path, torsions);
    }
    let histograms = torsions.iter().map(|torsion| &torsion.histogram);
    let profiles = histograms.clone().map(|histogram| histogram.profile(1.0));
    let ensemble = Ensemble {
        prefix: "",
        profiles: profiles.collect(),
        histograms: histograms.collect(),
    };
    let labels = torsions.iter().map(|of| (&of.name[..], of.atoms));
    write_arrays(path, labels.collect(), &[ensemble])
}

/// Writes profiles of a flow and of a reference: JSON, or NPZ with the arrays of [`write_histograms`] of the flow, and the same of the reference with
/// `reference_` before their names. Both profiles are in kT over the likeliest bin of the reference.
pub fn write_profiles(path: &Path, torsions: &[ProfileComparison]) -> Result<()> {
    if extension(path) == "json" {
        return write_json(path, torsions);
    }
    let ensemble = |prefix, of: fn(&ProfileComparison) -> (&Histogram, &Vec<Estimate>)| {
        let all = torsions.iter().map(of);
        let (histograms, profiles) = all.map(|(bins, profile)| (bins, profile.clone())).unzip();
        Ensemble {
            prefix,
            histograms,
            profiles,
        }
    };
    let flow = ensemble("", |of| (&of.flow, &of.flow_profile));
    let reference = ensemble("reference_", |of| (&of.reference, &of.reference_profile));
    let labels = torsions.iter().map(|of| (&of.name[..], of.atoms));
    write_arrays(path, labels.collect(), &[flow, reference])
}

fn write_json<T: Serialize>(path: &Path, torsions: &[T]) -> Result<()> {
    AtomicFile::write_all_to(path, &serde_json::to_vec_pretty(torsions)?)?;
    Ok(())
}

fn write_arrays(
    path: &Path,
    labels: Vec<(&str, [usize; 4])>,
    ensembles: &[Ensemble],
) -> Result<()> {
    let (names, atoms): (Vec<&str>, Vec<[usize; 4]>) = labels.into_iter().unzip();
    let all = ensembles.iter().flat_map(|ensemble| &ensemble.histograms);
    let first = all
        .clone()
        .next()
        .context("there are no torsions to write")?;
    let bins = first.bins.len();
    let centers: Vec<f64> = (0..bins)
        .map(|bin| first.center(bin).to_degrees())
        .collect();
    let atoms: Vec<u64> = atoms
        .into_iter()
        .flatten()
        .map(|atom| atom as u64)
        .collect();
    let mut arrays = vec![("center".to_owned(), Array::new(&[bins], centers))];
    for ensemble in ensembles {
        let histograms = ensemble
            .histograms
            .iter()
            .flat_map(|histogram| &histogram.bins);
        let profiles = ensemble.profiles.iter().flatten();
        let (histograms, profiles): (Vec<_>, Vec<_>) = (histograms.collect(), profiles.collect());
        let mut table = |name: &str, bins_of: &[&Estimate], of: fn(&Estimate) -> f64| {
            let values = bins_of.iter().map(|bin| of(bin)).collect::<Vec<f64>>();
            let name = format!("{}{name}", ensemble.prefix);
            arrays.push((name, Array::new(&[names.len(), bins], values)));
        };
        table("probability", &histograms, |bin| bin.value);
        table("error", &histograms, |bin| bin.error);
        table("profile", &profiles, |bin| bin.value);
        table("profile_error", &profiles, |bin| bin.error);
    }
    arrays.push(("atoms".to_owned(), Array::new(&[names.len(), 4], atoms)));
    arrays.push(("names".to_owned(), Array::text(&names.join("\n"))));
    let arrays: Vec<(&str, &Array)> = arrays
        .iter()
        .map(|(name, array)| (&name[..], array))
        .collect();
    Npz::write(path, &arrays)?;
    Ok(())
}

fn extension(path: &Path) -> &str {
    path.extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or("")
}
