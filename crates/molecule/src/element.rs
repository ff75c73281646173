//! The chemical elements.

use serde::{Deserialize, Serialize};

/// A chemical element, by atomic number 1–118.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Element(u8);

impl Element {
    /// Hydrogen, which many rules name.
    pub const HYDROGEN: Self = Self(1);
    /// Carbon.
    pub const CARBON: Self = Self(6);
    /// Nitrogen.
    pub const NITROGEN: Self = Self(7);
    /// Oxygen.
    pub const OXYGEN: Self = Self(8);

    /// The element of this atomic number, if there is one.
    pub fn from_number(number: u8) -> Option<Self> {
        (1..=118).contains(&number).then_some(Self(number))
    }

    /// The element of this symbol, in any case (`CL`, `Cl`, `cl`), blanks around it ignored.
    pub fn from_symbol(symbol: &str) -> Option<Self> {
        let symbol = symbol.trim();
        let index = SYMBOLS
            .iter()
            .position(|known| known.eq_ignore_ascii_case(symbol))?;
        Some(Self(index as u8 + 1))
    }

    /// The element whose standard atomic weight lies nearest to `mass` (u), if that is within 0.2 u.
    ///
    /// Force-field files round masses to two digits; the tolerance admits that, and refuses repartitioned hydrogen masses.
    pub fn from_mass(mass: f64) -> Option<Self> {
        let off = |number: &u8| (MASSES[*number as usize - 1] - mass).abs();
        let nearest = (1..=118_u8).min_by(|a, b| off(a).total_cmp(&off(b)))?;
        (off(&nearest) <= 0.2).then_some(Self(nearest))
    }

    /// Its atomic number.
    pub fn number(self) -> u8 {
        self.0
    }

    /// Its symbol (`Cl`).
    pub fn symbol(self) -> &'static str {
        SYMBOLS[self.index()]
    }

    /// Its standard atomic weight in u (IUPAC 2021, abridged); for elements without one, the mass number of the longest-lived isotope.
    pub fn mass(self) -> f64 {
        MASSES[self.index()]
    }

    /// Its covalent radius in Å (Cordero et al., 2008; carbon as sp³; 1.6 Å beyond curium, where none was measured).
    pub fn covalent_radius(self) -> f64 {
        RADII.get(self.index()).copied().unwrap_or(1.6)
    }

    /// Whether an atom of it with three neighbours keeps its handedness, as in sulphoxides and phosphines: P, S, As, Se.
    pub fn inverts_slowly(self) -> bool {
        matches!(self.0, 15 | 16 | 33 | 34)
    }

    /// Whether it is oxygen or below it in the periodic table: with two neighbours it has two lone pairs.
    pub fn is_chalcogen(self) -> bool {
        matches!(self.0, 8 | 16 | 34 | 52 | 84)
    }

    fn index(self) -> usize {
        self.0 as usize - 1
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

impl std::fmt::Display for Element {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.pad(self.symbol())
    }
}

#[rustfmt::skip]
const SYMBOLS: [&str; 118] = [
    "H", "He",
    "Li", "Be", "B", "C", "N", "O", "F", "Ne",
    "Na", "Mg", "Al", "Si", "P", "S", "Cl", "Ar",
    "K", "Ca", "Sc", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Ga", "Ge", "As", "Se", "Br", "Kr",
    "Rb", "Sr", "Y", "Zr", "Nb", "Mo", "Tc", "Ru", "Rh", "Pd", "Ag", "Cd", "In", "Sn", "Sb", "Te", "I", "Xe",
    "Cs", "Ba", "La", "Ce", "Pr", "Nd", "Pm", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho", "Er", "Tm", "Yb", "Lu",
    "Hf", "Ta", "W", "Re", "Os", "Ir", "Pt", "Au", "Hg", "Tl", "Pb", "Bi", "Po", "At", "Rn",
    "Fr", "Ra", "Ac", "Th", "Pa", "U", "Np", "Pu", "Am", "Cm", "Bk", "Cf", "Es", "Fm", "Md", "No", "Lr",
    "Rf", "Db", "Sg", "Bh", "Hs", "Mt", "Ds", "Rg", "Cn", "Nh", "Fl", "Mc", "Lv", "Ts", "Og",
];

#[rustfmt::skip]
const MASSES: [f64; 118] = [
    1.008, 4.0026,
    6.94, 9.0122, 10.81, 12.011, 14.007, 15.999, 18.998, 20.180,
    22.990, 24.305, 26.982, 28.085, 30.974, 32.06, 35.45, 39.95,
    39.098, 40.078, 44.956, 47.867, 50.942, 51.996, 54.938, 55.845, 58.933, 58.693, 63.546, 65.38, 69.723, 72.630, 74.922, 78.971, 79.904, 83.798,
    85.468, 87.62, 88.906, 91.224, 92.906, 95.95, 97.0, 101.07, 102.91, 106.42, 107.87, 112.41, 114.82, 118.71, 121.76, 127.60, 126.90, 131.29,
    132.91, 137.33, 138.91, 140.12, 140.91, 144.24, 145.0, 150.36, 151.96, 157.25, 158.93, 162.50, 164.93, 167.26, 168.93, 173.05, 174.97,
    178.49, 180.95, 183.84, 186.21, 190.23, 192.22, 195.08, 196.97, 200.59, 204.38, 207.2, 208.98, 209.0, 210.0, 222.0,
    223.0, 226.0, 227.0, 232.04, 231.04, 238.03, 237.0, 244.0, 243.0, 247.0, 247.0, 251.0, 252.0, 257.0, 258.0, 259.0, 262.0,
    267.0, 268.0, 269.0, 270.0, 269.0, 277.0, 281.0, 282.0, 285.0, 286.0, 290.0, 290.0, 293.0, 294.0, 294.0,
];

#[rustfmt::skip]
const RADII: [f64; 96] = [
    0.31, 0.28,
    1.28, 0.96, 0.84, 0.76, 0.71, 0.66, 0.57, 0.58,
    1.66, 1.41, 1.21, 1.11, 1.07, 1.05, 1.02, 1.06,
    2.03, 1.76, 1.70, 1.60, 1.53, 1.39, 1.39, 1.32, 1.26, 1.24, 1.32, 1.22, 1.22, 1.20, 1.19, 1.20, 1.20, 1.16,
    2.20, 1.95, 1.90, 1.75, 1.64, 1.54, 1.47, 1.46, 1.42, 1.39, 1.45, 1.44, 1.42, 1.39, 1.39, 1.38, 1.39, 1.40,
    2.44, 2.15, 2.07, 2.04, 2.03, 2.01, 1.99, 1.98, 1.98, 1.96, 1.94, 1.92, 1.92, 1.89, 1.90, 1.87, 1.87,
    1.75, 1.70, 1.62, 1.51, 1.44, 1.41, 1.36, 1.36, 1.32, 1.45, 1.46, 1.48, 1.40, 1.50, 1.50,
    2.60, 2.21, 2.15, 2.06, 2.00, 1.96, 1.90, 1.87, 1.80, 1.69,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_is_found_by_its_own_symbol_in_any_case() {
        for number in 1..=118 {
            let element = Element::from_number(number).unwrap();
            assert_eq!(Element::from_symbol(element.symbol()), Some(element));
            assert_eq!(
                Element::from_symbol(&element.symbol().to_uppercase()),
                Some(element)
            );
        }
        assert_eq!(Element::from_symbol(" cl ").map(Element::number), Some(17));
        for nonsense in ["", "X", "Hydrogen", "ö"] {
            assert_eq!(Element::from_symbol(nonsense), None);
        }
    }

    #[test]
    fn a_mass_rounded_to_two_digits_names_its_element() {
        for (mass, number) in [
            (1.01, 1),
            (12.01, 6),
            (14.01, 7),
            (16.0, 8),
            (35.45, 17),
            (126.9, 53),
        ] {
            assert_eq!(Element::from_mass(mass).map(Element::number), Some(number));
        }
        // The hydrogen of a repartitioned topology.
        assert_eq!(Element::from_mass(3.024), None);
        assert_eq!(Element::from_mass(f64::NAN), None);
    }

    #[test]
    fn there_is_no_element_zero_and_none_beyond_oganesson() {
        assert_eq!(Element::from_number(0), None);
        assert_eq!(Element::from_number(119), None);
        assert_eq!(Element::from_number(118).unwrap().symbol(), "Og");
    }
}
