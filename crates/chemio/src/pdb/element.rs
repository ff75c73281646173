//! The element of a PDB atom: columns 77–78, or else what its name says.

use std::collections::HashSet;

use boltzflow_molecule::Element;

use crate::text::{self, columns};

/// Residues whose atoms are all named after one-letter elements: amino acids with their protonation states and caps,
/// nucleotides, water.
const BIOPOLYMER: &[&str] = &[
    "ALA", "ARG", "ASN", "ASP", "ASH", "CYS", "CYX", "CYM", "GLN", "GLU", "GLH", "GLY", "HIS",
    "HID", "HIE", "HIP", "HSD", "HSE", "HSP", "ILE", "LEU", "LYS", "LYN", "MET", "PHE", "PRO",
    "SER", "THR", "TRP", "TYR", "VAL", "ACE", "NME", "NMA", "NH2", "NHE", "A", "C", "G", "U", "DA",
    "DC", "DG", "DT", "HOH", "WAT", "TIP", "TIP3", "SPC", "SOL",
];

/// Where an atom's line names it and its element.
#[derive(Clone, Copy, Debug)]
pub(super) struct Label<'a> {
    /// Columns 77–78.
    pub(super) symbol: &'a str,
    /// Columns 13–16, with their blanks.
    pub(super) name: &'a str,
    /// The name of its residue.
    pub(super) residue: &'a str,
}

/// The residues of a model whose names all begin in column 13, so that where a name begins says nothing.
#[derive(Debug, Default)]
pub(super) struct LeftAligned<'a>(HashSet<&'a str>);

impl<'a> LeftAligned<'a> {
    /// Finds these residues by names that begin in column 13, do not fill all four columns, and begin with no two-letter
    /// element: `C1`, `O`, `HN`.
    pub(super) fn find(labels: impl Iterator<Item = Label<'a>>) -> Self {
        let misplaced = labels.filter(|label| {
            let begins = label.name.starts_with(|c: char| c.is_ascii_alphabetic());
            begins && label.name.trim_end().len() < 4 && pair(label.name).is_none()
        });
        Self(misplaced.map(|label| label.residue).collect())
    }

    /// Finds the element of an atom, or gives back the text that names none.
    ///
    /// Without the element columns: an atom of an amino acid, a nucleotide or water is of a one-letter element (`CA` is carbon,
    /// `HG1` hydrogen); one that bears its residue's name is that ion (`CA` in `CA`); letters of both cases are a symbol (`Cl1`).
    /// Then the alignment decides, where the residue keeps it: a two-letter symbol begins in column 13 (`FE` in haem, `SE`), a
    /// one-letter symbol in column 14; names of four characters fill both. Elsewhere `CL` and `BR` are halogens, and of other names the
    /// first letter counts, if it is an element, else the first two.
    pub(super) fn element(&self, label: Label<'a>) -> Result<Element, &'a str> {
        let symbol = label.symbol.trim();
        // Old files carry their identifier and line numbers there.
        if !symbol.is_empty() && symbol.chars().all(|letter| letter.is_ascii_alphabetic()) {
            return text::element(symbol).ok_or(symbol);
        }
        let name = label.name.trim();
        let bare = name.trim_start_matches(|letter: char| letter.is_ascii_digit());
        let first = bare.get(..1).and_then(text::element);
        let element = if BIOPOLYMER.contains(&label.residue) {
            first
        } else if self.is_of_two_letters(label, bare) {
            pair(bare).or(first)
        } else {
            first.or(pair(bare))
        };
        element.ok_or(name)
    }

    /// Whether the first two letters of a name, `bare` of leading digits, are rather a symbol than the first alone.
    fn is_of_two_letters(&self, label: Label<'_>, bare: &str) -> bool {
        let letters = bare
            .find(|letter: char| !letter.is_ascii_alphabetic())
            .map_or(bare, |end| &bare[..end]);
        let halogen = letters
            .get(..2)
            .is_some_and(|two| two.eq_ignore_ascii_case("CL") || two.eq_ignore_ascii_case("BR"));
        let mixed = letters
            .as_bytes()
            .get(..2)
            .is_some_and(|two| two[0].is_ascii_uppercase() && two[1].is_ascii_lowercase());
        let residue = label.residue;
        let residue = residue.trim_end_matches(|letter: char| !letter.is_ascii_alphabetic());
        let ion = letters.len() == 2 && letters.eq_ignore_ascii_case(residue);
        let short = label.name.trim_end().len() < 4;
        let begins = label.name.starts_with(|c: char| c.is_ascii_alphabetic());
        let aligned = short && begins && !self.0.contains(label.residue);
        halogen || mixed || ion || aligned
    }
}

/// The element whose symbol is the first two characters.
fn pair(name: &str) -> Option<Element> {
    name.get(..2)
        .filter(|two| two.chars().all(|letter| letter.is_ascii_alphabetic()))
        .and_then(text::element)
}

/// What an atom's line says of its element.
pub(super) fn label(line: &str) -> Label<'_> {
    Label {
        symbol: columns(line, 76, 78),
        name: columns(line, 12, 16),
        residue: residue(line),
    }
}

/// The name of an atom's residue. Four letters reach into column 21.
pub(super) fn residue(line: &str) -> &str {
    columns(line, 17, 21)
        .split_whitespace()
        .next()
        .unwrap_or("")
}
