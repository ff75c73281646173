//! The element of a PDB atom: columns 77–78, or else what its name says.

use boltzflow_molecule::Element;

use crate::text;

/// Residues whose atoms are all named after one-letter elements: amino acids with their protonation states and caps,
/// nucleotides, water.
const BIOPOLYMER: &[&str] = &[
    "ALA", "ARG", "ASN", "ASP", "ASH", "CYS", "CYX", "CYM", "GLN", "GLU", "GLH", "GLY", "HIS",
    "HID", "HIE", "HIP", "HSD", "HSE", "HSP", "ILE", "LEU", "LYS", "LYN", "MET", "PHE", "PRO",
    "SER", "THR", "TRP", "TYR", "VAL", "ACE", "NME", "NMA", "NH2", "NHE", "A", "C", "G", "U", "DA",
    "DC", "DG", "DT", "HOH", "WAT", "TIP", "TIP3", "SPC", "SOL",
];

/// Finds an element, or gives back the text that names none.
///
/// Without the element columns: `CA` in an amino acid is carbon and `HG1` hydrogen; an atom that bears its residue's name is
/// that ion (`CA` in `CA`); `CL` and `BR` are halogens, as is `Cl1`; of other names the first letter counts, if it is an
/// element, else the first two.
pub(super) fn find<'a>(columns: &'a str, name: &'a str, residue: &str) -> Result<Element, &'a str> {
    let symbol = columns.trim();
    // Old files carry their identifier and line numbers there.
    if !symbol.is_empty() && symbol.chars().all(|letter| letter.is_ascii_alphabetic()) {
        return text::element(symbol).ok_or(symbol);
    }
    let name = name.trim();
    let bare = name.trim_start_matches(|letter: char| letter.is_ascii_digit());
    let letters = bare
        .find(|letter: char| !letter.is_ascii_alphabetic())
        .map_or(bare, |end| &bare[..end]);
    let first = letters.get(..1).and_then(text::element);
    let two = letters.get(..2).and_then(text::element);
    if BIOPOLYMER.contains(&residue) {
        return first.ok_or(name);
    }
    let halogen = letters
        .get(..2)
        .is_some_and(|two| two.eq_ignore_ascii_case("CL") || two.eq_ignore_ascii_case("BR"));
    let mixed = letters
        .as_bytes()
        .get(..2)
        .is_some_and(|two| two[0].is_ascii_uppercase() && two[1].is_ascii_lowercase());
    let ion = letters.eq_ignore_ascii_case(
        residue.trim_end_matches(|letter: char| !letter.is_ascii_alphabetic()),
    );
    let element = if halogen || mixed || (ion && letters.len() == 2) {
        two.or(first)
    } else {
        first.or(two)
    };
    element.ok_or(name)
}
