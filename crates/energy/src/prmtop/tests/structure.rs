//! Structures held against a topology.

use boltzflow_molecule::{Atom, Bond, Element};

use super::*;

/// H–O–C(H)–H, as in [`five_atoms`]: HO and O are of one residue; C, H11 and H12 of another.
fn prmtop() -> Prmtop {
    read(&text(&five_atoms())).unwrap()
}

/// Atoms without names.
fn structure(symbols: &[&str]) -> Molecule {
    Molecule::from_elements(symbols.iter().map(|s| Element::from_symbol(s).unwrap()))
}

/// The molecule with its atoms called so.
fn named(names: [&str; 5]) -> Molecule {
    let mut named = structure(&["H", "O", "C", "H", "H"]);
    for (atom, name) in named.atoms.iter_mut().zip(names) {
        *atom = Atom {
            name: name.into(),
            ..atom.clone()
        };
    }
    named
}

/// The molecule with its bonds.
fn bonded(orders: [BondOrder; 4]) -> Molecule {
    let mut bonded = structure(&["H", "O", "C", "H", "H"]);
    let atoms = [[0, 1], [1, 2], [2, 3], [2, 4]];
    let bonds = atoms.iter().zip(orders);
    let bonds = bonds.map(|([a, b], order)| Bond::new(*a, *b, order));
    bonded.set_bonds(bonds.collect()).unwrap();
    bonded
}

#[test]
fn a_structure_must_have_the_same_elements_in_the_same_order() {
    let prmtop = prmtop();
    let check = |symbols: &[&str]| prmtop.check_structure(&structure(symbols));
    assert_eq!(check(&["H", "O", "C", "H", "H"]), Ok(vec![]));
    let error = check(&["H", "O", "C", "H"]).unwrap_err().to_string();
    assert!(
        error.contains("has 4 atoms") && error.contains("has 5"),
        "{error}"
    );
    let error = check(&["H", "C", "O", "H", "H"]).unwrap_err().to_string();
    assert!(
        error.contains("atom 2 of the structure is C, but O"),
        "{error}"
    );
}

#[test]
fn other_names_are_worth_a_warning() {
    let warnings = prmtop()
        .check_structure(&named(["HO", "O", "CX", "1H1", "2H1"]))
        .unwrap();
    assert_eq!(warnings.len(), 1);
    assert_eq!(
        warnings[0].to_string(),
        "atom 3 is named \"CX\" in the structure, but \"C\" in the topology"
    );
    // Another scheme for all of a residue.
    let warnings = prmtop().check_structure(&named(["H1", "O", "C1", "H2", "H3"]));
    assert_eq!(warnings.unwrap().len(), 4);
}

#[test]
fn the_same_names_in_another_order_are_refused() {
    let message = |names| {
        let found = prmtop().check_structure(&named(names));
        found.unwrap_err().to_string()
    };
    // Within a residue, whatever another residue is called.
    for other in ["HO", "HX"] {
        let message = message([other, "O", "C", "2H1", "1H1"]);
        assert!(
            message.contains("atom 4 is named \"2H1\" in the structure, but \"H11\"")
                && message.contains("in the same order"),
            "{message}"
        );
    }
    // Across residues.
    let message = message(["H12", "O", "C", "H11", "HO"]);
    assert!(message.contains("atom 1 is named \"H12\""), "{message}");
}

#[test]
fn a_bond_that_is_far_too_long_is_refused_with_its_atoms() {
    let mut x = [
        [-0.96, 0.0, 0.0],
        [0.0, 0.0, 0.0],
        [1.41, 0.0, 0.0],
        [1.8, 1.0, 0.0],
        [1.8, -1.0, 0.0],
    ];
    prmtop().check_bond_lengths(&x.concat()).unwrap();
    // Hotter than a bond ever is.
    x[3][1] = 1.35;
    prmtop().check_bond_lengths(&x.concat()).unwrap();
    // The hydrogens at the two ends exchanged.
    x.swap(0, 3);
    let message = prmtop().check_bond_lengths(&x.concat()).unwrap_err();
    let message = message.to_string();
    assert!(
        message.contains("atoms 1 (HO) and 2 (O), bonded in the topology")
            && message.contains("lie 2.250 Å apart"),
        "{message}"
    );
}

#[test]
fn orders_and_charges_come_from_a_structure_that_has_them() {
    use BondOrder::{Double, Single, Unknown};
    let mut structure = bonded([Single, Double, Single, Single]);
    structure.atoms[1].formal_charge = 1;
    let molecule = prmtop().molecule_like(&structure).unwrap();
    assert_eq!(molecule.bonds, structure.bonds);
    assert_eq!(molecule.formal_charge(), 1);
    assert_eq!(molecule.atoms[3].name, "H11");
    // Nothing is taken where no order is known.
    for unknown in [bonded([Unknown; 4]), named(["HO", "O", "C", "H11", "H12"])] {
        assert_eq!(
            prmtop().molecule_like(&unknown).unwrap(),
            prmtop().molecule()
        );
    }
}

#[test]
fn other_bonds_than_those_of_the_topology_are_refused() {
    let mut structure = bonded([BondOrder::Single; 4]);
    let all = structure.bonds.clone();
    structure.set_bonds(all[..3].to_vec()).unwrap();
    let message = |structure: &Molecule| {
        let found = prmtop().molecule_like(structure);
        found.unwrap_err().to_string()
    };
    let words = "atoms 3 (C) and 5 (H12) are bonded in the topology only";
    assert!(message(&structure).contains(words));
    let moved = Bond::new(1, 4, BondOrder::Single);
    let moved = all[..3].iter().copied().chain([moved]).collect();
    structure.set_bonds(moved).unwrap();
    let words = "atoms 2 (O) and 5 (H12) are bonded in the structure only";
    assert!(message(&structure).contains(words));
}
