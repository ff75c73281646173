//! What `evaluate` prints.

use std::fmt;

use super::{Averaged, Evaluation, Likelihood};
use crate::relabelling::convention;
use crate::report::{write_tail, write_unreached, write_verdict};
use crate::weights::tail_limit;

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(found) = &self.comparison {
            write_verdict(f, &found.verdict)?;
        }
        let Likelihood {
            value,
            error,
            blocked,
        } = self.nll;
        if self.outside > 0 {
            writeln!(
                f,
                "outside           {} of {} configurations of the reference are outside the flow's bounds, where its density is zero; what follows is of the others",
                self.outside, self.reference
            )?;
        }
        let n = self.reference - self.outside;
        writeln!(
            f,
            "NLL               {value:.4} ± {blocked:.4} by blocking (± {error:.4} if independent) over n = {n} of the reference (normalised, mean-free, {})",
            convention(self.labels)
        )?;
        if let Some(Averaged { draws, error, bias }) = self.averaged {
            write!(
                f,
                "                  with auxiliary points averaged out by K = {draws} draws each, "
            )?;
            if error.is_finite() {
                writeln!(
                    f,
                    "which leave ± {error:.4}, and the NLL about {bias:.4} too high"
                )?;
            } else {
                writeln!(f, "which do not tell their error")?;
            }
        }
        let [forward, error] =
            [self.forward_efficiency.value, self.forward_efficiency.error].map(|x| 100.0 * x);
        writeln!(
            f,
            "forward ESS       {forward:.2} ± {error:.2} % of n = {n}"
        )?;
        if let Some(found) = &self.comparison {
            let [percent, error] =
                [found.efficiency.value, found.efficiency.error].map(|x| 100.0 * x);
            let n = found.samples;
            writeln!(
                f,
                "ESS (raw, Kish)   {percent:.2} ± {error:.2} % of n = {n}"
            )?;
            write_tail(f, found.tail, tail_limit(n))?;
            write_unreached(f, &found.unreached)?;
            writeln!(f, "E-W2              {} raw, n = {n}", found.energy_raw)?;
            writeln!(
                f,
                "E-W2              {} resampled, n = {n}",
                found.energy_resampled
            )?;
            writeln!(
                f,
                "E-W2              {:.3} between the halves of the reference",
                found.energy_floor
            )?;
            for torsion in &found.torsions {
                let (residue, n) = (&torsion.residue, torsion.count);
                writeln!(f, "T-W2 of {residue:<9} {} raw, n = {n}", torsion.raw)?;
                writeln!(
                    f,
                    "T-W2 of {residue:<9} {} resampled, n = {n}",
                    torsion.resampled
                )?;
            }
        }
        if let Some(agreement) = &self.agreement {
            write!(f, "{agreement}")?;
        }
        if let Some(cost) = &self.equal_cost {
            writeln!(
                f,
                "at {} energy calls: {:.1} effective samples of the flow, {:.1} of the reference's method (τ = {:.1} configurations; {} calls in all)",
                cost.energy_calls,
                cost.flow,
                cost.reference,
                cost.autocorrelation_time,
                cost.reference_calls
            )?;
        }
        Ok(())
    }
}
