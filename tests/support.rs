//! What several areas need: where reference data are, how a test without them is reported, a molecule of any size.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use boltzflow_molecule::{Element, Molecule};
use libtest_mimic::{Failed, Trial};

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A file or folder of the reference data, in the folder that `BOLTZFLOW_REFERENCE` names (default `../shared/data`), if it is there.
pub fn reference(path: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("BOLTZFLOW_REFERENCE")
        .map_or_else(|| root().join("../shared/data"), PathBuf::from);
    let path = folder.join(path);
    path.exists().then_some(path)
}

/// A test by name. One that needs reference data is reported as ignored where there are none.
pub fn trial(
    name: impl Into<String>,
    needs_reference: bool,
    test: impl FnOnce() -> Result<(), Failed> + Send + 'static,
) -> Trial {
    let skipped = needs_reference && reference("README.md").is_none();
    Trial::test(name, test).with_ignored_flag(skipped)
}

/// Names of the files in a folder, sorted.
pub fn names(folder: &Path) -> Vec<OsString> {
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("an entry that can be read").file_name())
        .collect();
    names.sort();
    names
}

/// A molecule of as many carbon atoms.
pub fn carbons(count: usize) -> Molecule {
    Molecule::from_elements(std::iter::repeat_n(
        Element::from_number(6).expect("carbon"),
        count,
    ))
}
