//! What topology files may ask for that is not computed here.

use std::path::Path;

use super::super::PrmtopError;
use super::super::sections::Sections;
use super::Reader;

/// The error of a file that asks for `feature`.
pub(super) fn unsupported(
    path: &Path,
    section: &str,
    feature: &'static str,
    found: String,
    way_out: &'static str,
) -> PrmtopError {
    PrmtopError::Unsupported {
        path: path.to_owned(),
        section: section.to_owned(),
        feature,
        found,
        way_out,
    }
}

/// What to do about a potential that is not computed here.
pub(super) const OTHER_FIELD: &str = "use a topology of an AMBER or GAFF force field without it";

/// Refuses files of force fields with terms of another kind.
pub(super) fn refuse_foreign_sections(sections: &Sections, path: &Path) -> Result<(), PrmtopError> {
    for (prefix, feature) in [
        ("CTITLE", "terms of CHARMM"),
        ("CHARMM_", "terms of CHARMM"),
        ("CMAP_", "a CMAP correction"),
        ("AMOEBA_", "terms of AMOEBA"),
    ] {
        if let Some(section) = sections.starting_with(prefix) {
            return Err(unsupported(
                path,
                section,
                feature,
                "present".into(),
                OTHER_FIELD,
            ));
        }
    }
    Ok(())
}

impl Reader<'_> {
    /// Refuses potentials that are neither Lennard-Jones nor Coulomb, unless they are zero.
    pub(super) fn refuse_other_terms(&self) -> Result<(), PrmtopError> {
        let hydrogen_bonds = self.pointers.hydrogen_bond_types;
        let types = self.pointers.types;
        for (section, count, feature) in [
            ("HBOND_ACOEF", hydrogen_bonds, "10-12 hydrogen bonds"),
            ("HBOND_BCOEF", hydrogen_bonds, "10-12 hydrogen bonds"),
            (
                "LENNARD_JONES_CCOEF",
                types * (types + 1) / 2,
                "12-6-4 potentials",
            ),
        ] {
            if !self.sections.has(section) {
                continue;
            }
            let values = self.sections.reals(section, count)?;
            if let Some(value) = values.iter().find(|value| **value != 0.0) {
                return Err(unsupported(
                    &self.path,
                    section,
                    feature,
                    format!("a value of {value}"),
                    OTHER_FIELD,
                ));
            }
        }
        if self.sections.has("IPOL")
            && let Some(&found) = self.sections.all_integers("IPOL")?.first()
            && found != 0
        {
            return Err(unsupported(
                &self.path,
                "IPOL",
                "polarisable atoms",
                format!("IPOL = {found}"),
                OTHER_FIELD,
            ));
        }
        Ok(())
    }
}
