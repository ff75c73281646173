//! The chemical elements.

use serde::{Deserialize, Serialize};

/// A chemical element, by atomic number 1–118.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Element(u8);

impl Element {
    /// Hydrogen, which many rules name.
    pub const HYDROGEN: Self = Self(1);

    /// The element of this atomic number, if there is one.
    pub fn from_number(number: u8) -> Option<Self> {
        (1..=118).contains(&number).then_some(Self(number))
    }

    /// Its atomic number.
    pub fn number(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for Element {
    type Error = String;
    fn try_from(number: u8) -> Result<Self, String> {
        Self::from_number(number).ok_or_else(|| format!("{number} is no atomic number"))
    }
}

impl From<Element> for u8 {
    fn from(element: Element) -> Self {
        element.0
    }
}
