//! Topologies.

use super::*;

fn atoms(symbols: &str) -> Vec<Atom> {
    symbols
        .split(' ')
        .map(|symbol| Atom::new(Element::from_symbol(symbol).unwrap()))
        .collect()
}

fn bonds(pairs: &[[usize; 2]]) -> Vec<Bond> {
    pairs
        .iter()
        .map(|&[a, b]| Bond::new(a, b, BondOrder::Single))
        .collect()
}

#[test]
fn bonds_that_cannot_be_are_refused_with_their_atoms() {
    let build = |pairs: &[[usize; 2]]| Molecule::new("", atoms("O H H"), bonds(pairs), vec![]);
    assert_eq!(build(&[[1, 1]]), Err(MoleculeError::SelfBond { atom: 1 }));
    assert_eq!(
        build(&[[0, 3]]),
        Err(MoleculeError::BondOutOfRange { atom: 3, atoms: 3 })
    );
    assert_eq!(
        build(&[[0, 1], [1, 0]]),
        Err(MoleculeError::DuplicateBond { atoms: [0, 1] })
    );
    assert_eq!(
        build(&[[0, 3]]).unwrap_err().to_string(),
        "a bond names atom 4, but there are only 3 atoms"
    );
}

#[test]
fn bonds_are_sorted_however_they_are_listed() {
    let water = Molecule::new("", atoms("O H H"), bonds(&[[2, 0], [1, 0]]), vec![]).unwrap();
    assert_eq!(water.bonds, bonds(&[[0, 1], [0, 2]]));
    assert_eq!(water.neighbours(), [vec![1, 2], vec![0], vec![0]]);
}

#[test]
fn pieces_without_a_bond_between_them_are_separate() {
    let molecule = Molecule::new("", atoms("O H H Na"), bonds(&[[0, 1], [0, 2]]), vec![]).unwrap();
    assert_eq!(molecule.components(), [vec![0, 1, 2], vec![3]]);
    assert!(!molecule.is_connected());
    assert!(Molecule::default().is_connected());
    assert!(Molecule::default().components().is_empty());
}

#[test]
fn formulae_are_in_the_order_of_hill() {
    let mut molecule = Molecule::from_elements(
        "O N H H C C Cl"
            .split(' ')
            .map(|symbol| Element::from_symbol(symbol).unwrap()),
    );
    assert_eq!(molecule.formula(), "C2H2ClNO");
    molecule.atoms[0].formal_charge = -1;
    assert_eq!(molecule.formula(), "C2H2ClNO-");
    molecule.atoms[0].formal_charge = 2;
    assert_eq!(molecule.formula(), "C2H2ClNO+2");
    assert_eq!(
        Molecule::from_elements([Element::OXYGEN, Element::HYDROGEN]).formula(),
        "HO"
    );
    assert_eq!(Molecule::default().formula(), "");
}

#[test]
fn reordering_there_and_back_changes_nothing() {
    let molecule = Molecule::new(
        "",
        atoms("C O H H"),
        bonds(&[[0, 1], [0, 2], [0, 3]]),
        vec![],
    )
    .unwrap();
    let there = molecule.reordered(&[2, 0, 3, 1]);
    assert_eq!(there.neighbours()[1], [0, 2, 3]);
    assert_eq!(there.reordered(&[1, 3, 0, 2]), molecule);
}
