//! `evaluate`: a flow against samples of its target.

use std::path::Path;

use anyhow::{Context, Result, bail};
use boltzflow_boltzmann::{
    Agreement, Bootstrap, Comparison, EqualCost, Evaluation, Model, SampleFile, System,
    TargetSamples, is_same, sampling, spread,
};
use boltzflow_chemio::read_npy;
use boltzflow_molecule::Conformers;

use super::marginal::{self, Averaged};
use super::{
    Existing, check_fit, configurations, flow_of, has_extension, prepare_histograms, read_samples,
};
use crate::arguments::Evaluate;
use crate::memory::Need;
use crate::progress::Progress;
use crate::{device, report};

pub fn evaluate(arguments: &Evaluate, json: bool) -> Result<()> {
    let system = arguments.system.system(None)?;
    if let Some(path) = &arguments.profiles {
        prepare_histograms(path, &system, Existing::from_flag(arguments.overwrite))?;
    }
    let checkpoint = flow_of(&arguments.checkpoint, &system)?;
    let model = checkpoint
        .model(&device::current())?
        .proposing_at(system.temperature)?;
    marginal::check(&model, arguments.draws)?;
    let frames = reference(arguments, &system, &model)?;
    let reference = match arguments.reference_count.map(|count| count as usize) {
        Some(count) if count < frames.len() => frames.select(&spread(frames.len(), count)),
        _ => frames.clone(),
    };
    Need::sampling(&model, reference.len() as u64).check()?;
    let log_q = folded_log_densities(&system, &model, &reference)?;
    let averaged = folded_averages(&system, &model, &reference, arguments.draws)?;
    let target = TargetSamples::new(&system, reference)?;
    let bootstrap = Bootstrap {
        seed: arguments.seed,
        ..Bootstrap::default()
    };
    let labels = model.architecture().labels(&system);
    let mut found = Evaluation::new(&target, &log_q, bootstrap)?.with_labels(labels);
    if let Some(Averaged { draws, marginals }) = averaged {
        found = found.with_marginals(&marginals, draws)?;
    }
    if let Some(path) = &arguments.samples {
        let file = read_samples(path, &system)?;
        check_temperature(path, &file, &model)?;
        let ensemble = system.reweight(&file.drawn, file.fingerprint.mirror)?;
        let pairs = arguments.torsion_pairs as usize;
        found.comparison = Some(Comparison::new(
            &system,
            (&target, &log_q),
            &ensemble,
            pairs,
            &bootstrap,
        )?);
        let reachable = model.reachable(&frames)?;
        let outside = frames.len() - reachable.len();
        let frames = (&frames.select(&reachable), outside);
        found.agreement = Agreement::new(&system, frames, &ensemble, &bootstrap)?;
        found.equal_cost = arguments.reference_calls.map(|calls| {
            let samples = ensemble.weights.len() as u64;
            let spent = samples + arguments.training_calls;
            EqualCost::new(&system, &target, &ensemble.weights, calls.get(), spent)
        });
    }
    if let (Some(path), Some(agreement)) = (&arguments.profiles, &found.agreement) {
        report::write_profiles(path, &agreement.profiles)?;
    }
    report::print(&found, json)
}

/// Refuses samples of the flow at another temperature than that at which the reference has its densities: the two would be of different proposals.
fn check_temperature(path: &Path, file: &SampleFile, model: &Model) -> Result<()> {
    let (Some(drawn), Some(evaluated)) = (file.temperature, model.temperature()) else {
        return Ok(());
    };
    if is_same(drawn, evaluated) {
        return Ok(());
    }
    bail!(
        "{} holds samples drawn for {drawn} K, but the flow is evaluated at {evaluated} K; give --temperature {drawn} and a reference at it, or samples of `sample --temperature {evaluated}`",
        path.display()
    )
}

/// All configurations of the reference.
fn reference(arguments: &Evaluate, system: &System, model: &Model) -> Result<Conformers> {
    let path = &arguments.reference;
    let reference = reference_positions(path, system, model)?;
    check_fit(model, &reference, path)?;
    let right = |x: &&[f64]| system.has_right_stereo(x);
    let wrong = reference.len() - reference.iter().filter(right).count();
    if wrong > 0 {
        bail!(
            "{wrong} of the {} configurations of {} are of another stereoisomer than the molecule",
            reference.len(),
            path.display()
        );
    }
    Ok(reference)
}

/// Those of positions under a flow with auxiliary points, these averaged out by so many draws, mirror images folded; none of other flows.
pub(super) fn folded_averages(
    system: &System,
    model: &Model,
    reference: &Conformers,
    draws: Option<u64>,
) -> Result<Option<Averaged>> {
    let fold = system.log_fold(model.architecture().mirror());
    let mut found = Averaged::new(model, reference, 0, draws)?;
    if let Some(averaged) = &mut found {
        let marginals = averaged.marginals.iter_mut();
        marginals.for_each(|marginal| marginal.log_density += fold);
    }
    Ok(found)
}

/// The log-densities of the flow, mirror images folded; of one with auxiliary points, those of both together.
pub(super) fn folded_log_densities(
    system: &System,
    model: &Model,
    reference: &Conformers,
) -> Result<Vec<f64>> {
    if !model.has_exact_densities() {
        eprintln!(
            "warning: the divergence is estimated, so log q is noisy, and the forward ESS biased"
        );
    }
    let bar = Progress::new(reference.len() as u64, 0, "log-densities of the reference");
    let drawn = sampling::density(model, reference, 0, sampling::CHUNK, |done| {
        bar.inc(done as u64);
    })?;
    bar.finish_and_clear();
    let fold = system.log_fold(model.architecture().mirror());
    let log_q = drawn.log_q().into_iter();
    Ok(log_q.map(|log_q| log_q + fold).collect())
}

/// Reference configurations from NPY with one row each, or from any other file of configurations.
fn reference_positions(path: &Path, system: &System, model: &Model) -> Result<Conformers> {
    if !has_extension(path, "npy") {
        let found = configurations(path, system)?.counting_the_same()?;
        return found.at(Some(system.temperature));
    }
    let array = read_npy(path)?;
    let values = array
        .as_f64()
        .with_context(|| format!("{} holds no real numbers", path.display()))?;
    let size = model.points() * model.dims();
    if array.shape.last() != Some(&size) {
        bail!(
            "{} has rows of {:?} numbers, the flow has {size}",
            path.display(),
            array.shape.last()
        );
    }
    Ok(Conformers::new(
        model.points(),
        model.dims(),
        values.to_vec(),
    ))
}
