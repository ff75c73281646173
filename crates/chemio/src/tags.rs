//! What a record says about itself besides atoms: energies, densities, weights.

/// The names of the tags that this program writes, as SDF has them; extended XYZ has the same in lower case.
pub mod names {
    /// Potential energy in kcal/mol.
    pub const ENERGY: &str = "ENERGY_KCAL_MOL";
    /// Log-density of the sampler.
    pub const LOG_Q: &str = "LOG_Q";
    /// Logarithm of the importance weight, up to a constant.
    pub const LOG_WEIGHT: &str = "LOG_WEIGHT";
    /// Normalised importance weight: those of all samples of the run sum to one.
    pub const WEIGHT: &str = "WEIGHT";
    /// Share of the ensemble that the record stands for: the weights of all samples that it represents, its own among them.
    pub const POPULATION: &str = "POPULATION";
    /// Temperature in kelvin.
    pub const TEMPERATURE: &str = "TEMPERATURE_K";
    /// Seed of the run.
    pub const SEED: &str = "SEED";
    /// Number of the sample in its run.
    pub const SAMPLE: &str = "SAMPLE";
    /// Whether the diagnostics allow the weights to be trusted.
    pub const TRUSTED: &str = "TRUSTED";
    /// Marks a record that was minimised after it was sampled.
    pub const MINIMISED: &str = "MINIMISED";
    /// The comment line of an XYZ file that is not in extended form.
    pub const COMMENT: &str = "comment";
}

/// What a tag says.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Words; all that an SDF file states arrives as this.
    Text(String),
    /// A number, written so that it reads back bit for bit.
    Real(f64),
    /// A whole number.
    Integer(i64),
    /// Yes or no.
    Flag(bool),
}

impl Value {
    /// The number that the tag states, also where it states it as text.
    pub fn real(&self) -> Option<f64> {
        match self {
            Self::Text(text) => text.trim().parse().ok(),
            Self::Real(number) => Some(*number),
            Self::Integer(number) => Some(*number as f64),
            Self::Flag(_) => None,
        }
    }

    /// The whole number that the tag states, also where it states it as text.
    pub fn integer(&self) -> Option<i64> {
        match self {
            Self::Text(text) => text.trim().parse().ok(),
            Self::Integer(number) => Some(*number),
            Self::Real(_) | Self::Flag(_) => None,
        }
    }

    /// Whether the tag says yes or no, also where it says so as text.
    pub fn flag(&self) -> Option<bool> {
        match self {
            Self::Text(text) => match text.trim() {
                "true" | "True" | "T" => Some(true),
                "false" | "False" | "F" => Some(false),
                _ => None,
            },
            Self::Flag(flag) => Some(*flag),
            Self::Real(_) | Self::Integer(_) => None,
        }
    }
}

impl std::fmt::Display for Value {
    /// Writes reals with the fewest digits that read back to the same bits.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => out.write_str(text),
            Self::Real(number) => write!(out, "{number:?}"),
            Self::Integer(number) => write!(out, "{number}"),
            Self::Flag(flag) => write!(out, "{flag}"),
        }
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// Names with values, in the order in which they are written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tags(Vec<(String, Value)>);

impl Tags {
    /// No tags.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a tag; one of the same name (letter case aside) is replaced in its place.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        let (name, value) = (name.into(), value.into());
        match self
            .0
            .iter_mut()
            .find(|(known, _)| known.eq_ignore_ascii_case(&name))
        {
            Some(tag) => *tag = (name, value),
            None => self.0.push((name, value)),
        }
    }

    /// The value of this name, letter case aside.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.0
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The number of this name, if it is there and a number.
    pub fn real(&self, name: &str) -> Option<f64> {
        self.value(name).and_then(Value::real)
    }

    /// Removes the tag of this name and hands over its value.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        let at = self
            .0
            .iter()
            .position(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(self.0.remove(at).1)
    }

    /// The tags in order.
    pub fn iter(&self) -> std::slice::Iter<'_, (String, Value)> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> IntoIterator for &'a Tags {
    type Item = &'a (String, Value);
    type IntoIter = std::slice::Iter<'a, (String, Value)>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<N: Into<String>, V: Into<Value>> FromIterator<(N, V)> for Tags {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(tags: I) -> Self {
        let mut all = Self::new();
        tags.into_iter()
            .for_each(|(name, value)| all.set(name, value));
        all
    }
}
