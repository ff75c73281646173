//! Broken files: each gives the message that `broken/expected.toml` names, and no file is left without one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use boltzflow_chemio::{ReadOptions, Source, read};
use boltzflow_energy::Prmtop;
use libtest_mimic::{Failed, Trial};

use crate::support::{carbons, reference, root, trial};

/// The tests of this file.
pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "each_broken_structure_gives_the_message_that_is_expected",
            false,
            structures,
        ),
        trial(
            "each_broken_topology_gives_the_message_that_is_expected",
            false,
            topologies,
        ),
        trial(
            "each_broken_file_of_the_reference_set_gives_the_message_that_is_expected",
            true,
            reference_files,
        ),
        trial(
            "every_broken_file_has_the_message_that_it_is_to_give",
            false,
            none_is_left_out,
        ),
    ]
}

/// The messages of one section of `expected.toml`, by file and frame.
type Messages = BTreeMap<String, String>;

/// The folder of broken files.
fn folder() -> PathBuf {
    root().join("tests/broken")
}

/// All sections of `expected.toml`.
fn sections() -> Result<BTreeMap<String, Messages>, Failed> {
    let text = std::fs::read_to_string(folder().join("expected.toml"))?;
    Ok(toml::from_str(&text)?)
}

/// One section of `expected.toml`.
fn expected(section: &str) -> Result<Messages, Failed> {
    sections()?
        .remove(section)
        .ok_or_else(|| format!("expected.toml has no section {section:?}").into())
}

/// The file of `name` or `name#frame`.
fn file_of(name: &str) -> &str {
    name.split('#').next().unwrap_or(name)
}

/// The names of the files in a folder.
fn files(folder: &Path) -> Result<BTreeSet<String>, Failed> {
    std::fs::read_dir(folder)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect()
}

/// Checks what was said of one file: these words, and its name.
fn check(name: &str, words: &str, said: Option<String>) -> Result<(), Failed> {
    let message = said.ok_or_else(|| format!("{name} is read without an error"))?;
    if message.contains(words) && message.contains(file_of(name)) {
        Ok(())
    } else {
        Err(format!("{name}: {message:?} does not say {words:?}").into())
    }
}

/// What reading a structure says; `name#frame` means that frame alone.
fn reading(folder: &Path, name: &str, options: &ReadOptions<'_>) -> Result<Option<String>, Failed> {
    let path = folder.join(file_of(name));
    let error = match name.split_once('#') {
        None => read(&path, options).err(),
        Some((_, frame)) => Source::open(&path, options)?
            .frames()
            .nth(frame.parse::<usize>()? - 1)
            .ok_or_else(|| format!("{name}: the file has fewer frames"))?
            .err(),
    };
    Ok(error.map(|error| error.to_string()))
}

fn structures() -> Result<(), Failed> {
    let molecule = carbons(22);
    let options = ReadOptions {
        molecule: Some(&molecule),
        format: None,
    };
    for (name, words) in expected("structures")? {
        check(&name, &words, reading(&folder(), &name, &options)?)?;
    }
    Ok(())
}

fn topologies() -> Result<(), Failed> {
    for (name, words) in expected("topologies")? {
        let error = Prmtop::open(folder().join(&name)).err();
        check(&name, &words, error.map(|error| error.to_string()))?;
    }
    Ok(())
}

fn reference_files() -> Result<(), Failed> {
    let folder = reference("broken-files").ok_or("the reference data lack broken-files")?;
    let expected = expected("reference")?;
    for (name, words) in &expected {
        check(
            name,
            words,
            reading(&folder, name, &ReadOptions::default())?,
        )?;
    }
    for file in files(&folder)? {
        // Each frame of a file that is read frame by frame is named.
        let named = expected.keys().filter(|name| file_of(name) == file);
        let frames = Source::open(&folder.join(&file), &ReadOptions::default())?
            .frames()
            .count();
        let separate = named.clone().any(|name| name.contains('#'));
        let (found, wanted) = (named.count(), if separate { frames } else { 1 });
        if found != wanted {
            return Err(format!("{file}: expected.toml has {found} messages for {wanted}").into());
        }
    }
    Ok(())
}

fn none_is_left_out() -> Result<(), Failed> {
    let mut sections = sections()?;
    sections.remove("reference");
    let named: BTreeSet<String> = sections
        .values()
        .flat_map(BTreeMap::keys)
        .map(|name| file_of(name).to_owned())
        .collect();
    let mut there = files(&folder())?;
    there.remove("expected.toml");
    if named == there {
        Ok(())
    } else {
        let odd: Vec<_> = named.symmetric_difference(&there).collect();
        Err(format!("in the folder or in expected.toml, but not in both: {odd:?}").into())
    }
}
