//! The list of what is compared.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use boltzflow_boltzmann::Config;
use serde::{Deserialize, Serialize};

/// Flows and targets, from a TOML file; paths in it are from where the program is started.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// Samples of each flow that are weighted.
    pub samples: u64,
    /// Samples, and frames of the reference, that log-densities and distances are taken of.
    pub compared: usize,
    /// What is sampled.
    #[serde(rename = "target")]
    pub targets: Vec<Target>,
    /// What samples it.
    #[serde(rename = "flow")]
    pub flows: Vec<Entry>,
}

/// What is sampled.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Its name, in the table and in names of files.
    pub name: String,
    /// The arguments that name it to any verb: `["--molecule", "data/butane.xyz", …]`.
    pub system: Vec<String>,
    /// Those of `simulate` for what flows learn from: count, seed, ladder.
    pub frames: Vec<String>,
    /// Those for what they are compared with.
    pub reference: Vec<String>,
    /// What others have reached, to be printed beside.
    #[serde(default)]
    pub published: Vec<Published>,
}

/// A figure from elsewhere.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// What it is of.
    pub name: String,
    /// What was found.
    pub found: String,
    /// Where it is from.
    pub source: String,
}

/// A flow.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its name, in the table and in names of files; no other flow of the same target has it.
    pub name: String,
    /// Its experiments; each goes on from the one before.
    pub configs: Vec<PathBuf>,
    /// The targets that it is for; all if not given.
    #[serde(default)]
    pub targets: Option<Vec<String>>,
    /// Samples that are weighted, if not as many as of the others.
    #[serde(default)]
    pub samples: Option<u64>,
    /// Samples and frames that log-densities and distances are taken of, if not as many as of the others.
    #[serde(default)]
    pub compared: Option<usize>,
}

impl List {
    /// Reads and checks a file.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the list {}", path.display()))?;
        let list: Self = toml::from_str(&text)
            .with_context(|| format!("the list {} is not valid", path.display()))?;
        list.check()
            .with_context(|| format!("the list {} is not valid", path.display()))?;
        Ok(list)
    }

    fn check(&self) -> Result<()> {
        let counts = |samples, compared| {
            if samples == 0 || compared < 2 {
                bail!("samples = {samples} and compared = {compared}; at least 1 and 2 are needed");
            }
            Ok(())
        };
        counts(self.samples, self.compared)?;
        for (what, count) in [("target", self.targets.len()), ("flow", self.flows.len())] {
            if count == 0 {
                bail!("there is no {what} in it");
            }
        }
        let targets = distinct(
            "target",
            self.targets.iter().map(|target| target.name.clone()),
        )?;
        for target in &self.targets {
            let flows = self.flows.iter().filter(|flow| flow.is_of(target));
            distinct("flow", flows.map(Entry::file_name))
                .with_context(|| format!("the target {:?}", target.name))?;
        }
        for flow in &self.flows {
            if flow.configs.is_empty() {
                bail!("the flow {:?} has no configs", flow.name);
            }
            counts(self.samples_of(flow), self.compared_of(flow))
                .with_context(|| format!("the flow {:?}", flow.name))?;
            if self.compared_of(flow) > self.compared {
                bail!(
                    "the flow {:?} has more compared than the list's {}",
                    flow.name,
                    self.compared
                );
            }
            let named = flow.targets.iter().flatten();
            if let Some(other) = named.into_iter().find(|name| !targets.contains(*name)) {
                bail!(
                    "the flow {:?} is for {other:?}, which is no target of the list",
                    flow.name
                );
            }
        }
        Ok(())
    }

    /// Samples of a flow that are weighted.
    pub fn samples_of(&self, flow: &Entry) -> u64 {
        flow.samples.unwrap_or(self.samples)
    }

    /// Samples and frames that log-densities and distances of a flow are taken of.
    pub fn compared_of(&self, flow: &Entry) -> usize {
        flow.compared.unwrap_or(self.compared)
    }
}

/// The names, if each is there once and fit for a file's.
fn distinct(what: &str, names: impl Iterator<Item = String>) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for name in names {
        if name.is_empty() || name.contains(['/', '\\', '.']) {
            bail!("{name:?} is no name of a {what}: it goes into names of files, without . and /");
        }
        if found.contains(&name) {
            bail!("two of the list are the {what} {name:?}");
        }
        found.insert(name);
    }
    Ok(found)
}

impl Entry {
    /// Whether it is for this target.
    pub fn is_of(&self, target: &Target) -> bool {
        let named = self.targets.as_ref();
        named.is_none_or(|targets| targets.contains(&target.name))
    }

    /// Its experiments.
    pub fn experiments(&self) -> Result<Vec<Config>> {
        let configs = self.configs.iter();
        configs.map(|path| Ok(Config::read(path)?)).collect()
    }

    /// Its name without spaces.
    pub fn file_name(&self) -> String {
        self.name.to_lowercase().replace(' ', "-")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"
        samples = 10
        compared = 5
        [[target]]
        name = "a"
        system = []
        frames = []
        reference = []
        [[flow]]
        name = "f"
        configs = ["f.toml"]
    "#;

    #[test]
    fn lists_that_cannot_be_compared_are_refused_by_what_is_wrong() {
        for (from, to, message) in [
            ("samples = 10", "samples = 0", "at least 1"),
            ("name = \"a\"", "name = \"a/b\"", "names of files"),
            ("configs = [\"f.toml\"]", "configs = []", "no configs"),
            (
                "configs = [\"f.toml\"]",
                "configs = [\"f.toml\"]\ncompared = 1",
                "the flow \"f\"",
            ),
            (
                "configs = [\"f.toml\"]",
                "configs = [\"f.toml\"]\ntargets = [\"b\"]",
                "no target of the list",
            ),
            (
                "[[flow]]",
                "[[flow]]\nname = \"f\"\nconfigs = [\"g.toml\"]\n[[flow]]",
                "two of the list",
            ),
        ] {
            let list: List = toml::from_str(&LIST.replace(from, to)).expect("a list");
            let found = format!("{:#}", list.check().expect_err(message));
            assert!(found.contains(message), "{found}");
        }
        let list: List = toml::from_str(LIST).expect("a list");
        list.check().expect("it can be compared");
        // On another target, another experiment by the same name.
        let (targets, flow) = LIST.split_once("[[flow]]").expect("a flow");
        let other = targets.replace("name = \"a\"", "name = \"b\"");
        let (_, other) = other.split_once("[[target]]").expect("a target");
        let both = ["a", "b"]
            .map(|target| format!("[[flow]]{flow}targets = [{target:?}]\n"))
            .concat();
        let both = format!("{targets}[[target]]{other}{both}");
        let list: List = toml::from_str(&both).expect("a list");
        list.check().expect("names are those of a target's flows");
        assert!(toml::from_str::<List>(&format!("{LIST}\nmore = 1")).is_err());
    }
}
