//! Rows beside each other.

use std::fmt;

use boltzflow_boltzmann::Tail;
use serde::Serialize;

use super::list::Published;
use super::row::{Exchange, Row};

/// What was found, target by target; as text in Markdown.
#[derive(Default, Serialize)]
pub struct Table {
    pub sections: Vec<Section>,
}

/// What was found on one target.
#[derive(Serialize)]
pub struct Section {
    pub target: String,
    pub rows: Vec<Row>,
    pub published: Vec<Published>,
}

const HEAD: &str = "\
| flow | parameters | frames | energy calls: frames, training, samples | training, core-s | n | raw ESS, % | k̂ | NLL | forward ESS, % \
| compared | E-W2 raw, resampled | T-W2 raw, resampled | core-s for 1e4: samples, densities | effective a core-s | effective; replica exchange at as many calls |";

const LEGEND: &str = "\
Raw ESS is Kish's, of all n samples; errors are standard errors. NLL (nats), forward ESS, E-W2 (reduced energies) and T-W2 (φ and ψ, radians) are those
of as many configurations of the reference, and samples, as stand under `compared`. Energy calls count each energy, with or without gradient. The last column:
effective samples of the flow, and those of a replica exchange that had as many energy calls as the flow's frames, training and samples together;
before it effective samples per core-second of sampling, densities and energies among it, without training.
";

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{LEGEND}")?;
        for section in &self.sections {
            write!(f, "{section}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "## {}\n", self.target)?;
        writeln!(f, "{HEAD}")?;
        writeln!(f, "|{}", "---|".repeat(HEAD.matches(" |").count()))?;
        for row in &self.rows {
            writeln!(f, "{row}")?;
        }
        self.write_exchange(f)?;
        writeln!(f)?;
        if let Some(first) = self
            .rows
            .first()
            .and_then(|row| row.evaluation.comparison.as_ref())
        {
            writeln!(
                f,
                "E-W2 between halves of the reference: {:.3}.",
                first.energy_floor
            )?;
        }
        for Published {
            name,
            found,
            source,
        } in &self.published
        {
            writeln!(f, "Published: {name}: {found} ({source}).")?;
        }
        writeln!(f)
    }
}

impl Section {
    /// The row of the replica exchange.
    fn write_exchange(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Row {
            equal_cost: cost,
            exchange,
            ..
        }) = self.rows.first()
        else {
            return Ok(());
        };
        let Exchange {
            frames,
            energy_calls,
            core_seconds,
        } = *exchange;
        let effective = frames as f64 / cost.autocorrelation_time;
        let rate = core_seconds.map(|seconds| effective / seconds);
        writeln!(
            f,
            "| replica exchange | – | – | {} | – | {frames} | {:.1} | – | – | – | – | – | – | {}, – | {} | {effective:.0} |",
            calls(energy_calls),
            100.0 / cost.autocorrelation_time,
            known(core_seconds.map(|seconds| 1e4 * seconds / frames as f64)),
            known(rate),
        )
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |x: f64| 100.0 * x;
        let [frames, training, samples] = self.energy_calls.map(calls);
        write!(
            f,
            "| {} | {} | {} | {frames}, {training}, {samples} | {} | {} | ",
            self.flow,
            self.parameters,
            self.frames,
            known(self.training_core_seconds),
            self.samples,
        )?;
        let trust = if self.verdict.is_trusted() {
            ""
        } else {
            ", not to be trusted"
        };
        let (ess, forward) = (self.efficiency, self.evaluation.forward_efficiency);
        write!(
            f,
            "{:.2} ± {:.2}{trust} | ",
            percent(ess.value),
            percent(ess.error)
        )?;
        match self.tail {
            Tail::Fitted { shape, .. } => write!(f, "{shape:.2} | ")?,
            Tail::Flat { .. } => write!(f, "none | ")?,
            Tail::TooFew { .. } => write!(f, "unknown | ")?,
        }
        let nll = self.evaluation.nll;
        write!(f, "{:.3} ± {:.3}", nll.value, nll.blocked)?;
        if let Some(averaged) = self.evaluation.averaged {
            write!(f, ", K = {}", averaged.draws)?;
        }
        if self.evaluation.outside > 0 {
            let of = self.evaluation.reference;
            write!(f, ", {} of {of} outside", self.evaluation.outside)?;
        }
        write!(
            f,
            " | {:.2} ± {:.2} | {} | ",
            percent(forward.value),
            percent(forward.error),
            self.evaluation.reference
        )?;
        if let Some(found) = &self.evaluation.comparison {
            let (raw, resampled) = (found.energy_raw.value, found.energy_resampled.value);
            write!(f, "{raw:.3}, {resampled:.3} | ")?;
            let torsions = found.torsions.iter();
            let torsions =
                torsions.map(|t| format!("{:.3}, {:.3}", t.raw.value, t.resampled.value));
            let torsions: Vec<String> = torsions.collect();
            write!(
                f,
                "{} | ",
                if torsions.is_empty() {
                    "–".to_owned()
                } else {
                    torsions.join("; ")
                }
            )?;
        } else {
            write!(f, "– | – | ")?;
        }
        let [sample, density, _] = self.core_seconds;
        write!(
            f,
            "{:.2}, {:.2} | {:.0} | ",
            1e4 * sample,
            1e4 * density,
            self.rate()
        )?;
        write!(
            f,
            "{:.0}; {:.0} |",
            self.equal_cost.flow, self.equal_cost.reference
        )
    }
}

fn known(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.1}"))
}

/// A number of calls, to three digits.
fn calls(count: u64) -> String {
    match count {
        0..10_000 => count.to_string(),
        _ => format!("{:.2e}", count as f64),
    }
}
