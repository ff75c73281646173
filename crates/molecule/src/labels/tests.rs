use super::*;
use crate::{ZMatrix, embed};

fn matrix(smiles: &str) -> (Molecule, Vec<f64>, ZMatrix) {
    let molecule = Molecule::from_smiles(smiles).unwrap();
    let positions = embed(&molecule, 1, 1).unwrap().get(0).to_vec();
    let matrix = ZMatrix::new(&molecule, &positions).unwrap();
    (molecule, positions, matrix)
}

/// Chains, rings, an aromatic one, linear groups, a cumulene, few atoms.
const MOLECULES: [&str; 8] = [
    "O",
    "CCCC",
    "CC(=O)N[C@@H](C)C(=O)NC",
    "C1CC1",
    "c1ccccc1",
    "CC#CC",
    "C=C=C",
    "FS(F)(F)(F)(F)F",
];

fn rows(numbers: &[f64], width: usize) -> Vec<&[f64]> {
    numbers.chunks(width).collect()
}

#[test]
fn there_are_as_many_numbers_for_every_coordinate_and_pair_of_any_molecule() {
    for smiles in MOLECULES {
        let (molecule, _, matrix) = matrix(smiles);
        let labels = labels(&molecule, matrix.places());
        let count = 3 * molecule.len() - 6;
        assert_eq!(labels.coordinates.len(), count * Labels::COORDINATE);
        assert_eq!(labels.pairs.len(), count * count * Labels::PAIR);
        let all = labels.coordinates.iter().chain(&labels.pairs);
        assert!(all.clone().all(|value| (0.0..=1.0).contains(value)));
    }
}

#[test]
fn labels_do_not_depend_on_how_atoms_are_numbered() {
    for smiles in MOLECULES {
        let (molecule, _, matrix) = matrix(smiles);
        let count = molecule.len();
        let order: Vec<usize> = (0..count).rev().collect();
        let place = |atom: usize| count - 1 - atom;
        let renumbered = |old: &Place| Place {
            atom: place(old.atom),
            references: old.references.iter().map(|&k| place(k)).collect(),
            direction: old.direction,
        };
        let places: Vec<Place> = matrix.places().iter().map(renumbered).collect();
        let expected = labels(&molecule, matrix.places());
        assert_eq!(labels(&molecule.reordered(&order), &places), expected);
    }
}

#[test]
fn like_coordinates_of_one_molecule_and_of_another_are_labelled_alike() {
    let (butane, _, of_butane) = matrix("CCCC");
    let (hexane, _, of_hexane) = matrix("CCCCCC");
    let [small, large] = [(&butane, &of_butane), (&hexane, &of_hexane)]
        .map(|(molecule, matrix)| labels(molecule, matrix.places()));
    let large = rows(&large.coordinates, Labels::COORDINATE);
    let small = rows(&small.coordinates, Labels::COORDINATE);
    // Bonds to hydrogens, and those between two methylene groups, are in both; of butane's kinds of coordinates, most are.
    let known = small.iter().filter(|label| large.contains(label)).count();
    assert!(known > small.len() / 2, "{known} of {}", small.len());
    // The three hydrogens of a methyl group.
    let is_of_methyl = |place: &&Place| {
        let &[parent, ..] = &place.references[..] else {
            return false;
        };
        butane.atoms[place.atom].element == crate::Element::HYDROGEN
            && butane.neighbours()[parent]
                .iter()
                .filter(|k| **k >= 4)
                .count()
                == 3
    };
    let places = of_butane.places();
    let methyl: Vec<usize> = (1..places.len())
        .filter(|&index| is_of_methyl(&&places[index]))
        .collect();
    assert_eq!(methyl.len(), 6);
    for index in &methyl {
        assert_eq!(small[index - 1], small[methyl[0] - 1]);
    }
}

#[test]
fn what_is_different_is_told_apart() {
    let label = |smiles: &str| {
        let (molecule, _, matrix) = matrix(smiles);
        let labels = labels(&molecule, matrix.places());
        rows(&labels.coordinates, Labels::COORDINATE)
            .into_iter()
            .map(<[f64]>::to_vec)
            .collect::<Vec<_>>()
    };
    // Of another element, order, ring, hybridisation: no bond between heavy atoms of the one is labelled as one of the other.
    for (one, other) in [
        ("CC", "CN"),
        ("CC", "C=C"),
        ("CC=C", "CC#C"),
        ("C1CC1", "C1CCC1"),
        ("c1ccccc1", "C1CCCCC1"),
    ] {
        let (one, other) = (label(one), label(other));
        assert!(!one.iter().any(|label| other[0] == *label));
    }
    let mut unknown = Molecule::from_smiles("CC").unwrap();
    let (ethane, positions, matrix) = matrix("CC");
    let known = labels(&ethane, matrix.places());
    for bond in &mut unknown.bonds {
        bond.order = BondOrder::Unknown;
    }
    let matrix = ZMatrix::new(&unknown, &positions).unwrap();
    assert_ne!(labels(&unknown, matrix.places()), known);
}

#[test]
fn the_label_of_water_is_that_by_hand() {
    let (water, _, matrix) = matrix("O");
    let labels = labels(&water, matrix.places());
    let rows = rows(&labels.coordinates, Labels::COORDINATE);
    let hydrogen = [[1.0].as_slice(), &[0.0; 9], &[1.0, 0.0, 0.0, 0.0], &[0.0]].concat();
    let hydrogen = [&hydrogen[..], &[0.0, 0.0, 1.0], &[0.0; 5]].concat();
    let element = [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    let oxygen = [&element[..], &[0.0, 1.0, 0.0, 0.0], &[0.5]].concat();
    let oxygen = [&oxygen[..], &[0.0, 0.0, 1.0], &[0.0; 5]].concat();
    let nobody = vec![0.0; OF_ATOM];
    let single = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    let none = [0.0; OF_BOND];
    let distance = [
        &[1.0, 0.0, 0.0, 0.0, 0.0, 0.0][..],
        &hydrogen,
        &oxygen,
        &nobody,
        &nobody,
        &single,
        &none,
        &none,
        &[0.0],
    ];
    let angle = [
        &[0.0, 1.0, 0.0, 0.0, 0.0, 0.0][..],
        &hydrogen,
        &oxygen,
        &hydrogen,
        &nobody,
        &single,
        &single,
        &none,
        &[0.0],
    ];
    let place = &matrix.places()[1];
    let (h, o) = (place.atom, place.references[0]);
    assert!(h != o);
    // The root is the oxygen, so both distances are of hydrogens.
    assert_eq!(rows[0], distance.concat());
    assert_eq!(rows[1], distance.concat());
    assert_eq!(rows[2], angle.concat());
    let pairs = labels.pairs.chunks(Labels::PAIR).collect::<Vec<_>>();
    // Two bonds at the oxygen: no bond between them, one atom shared, each places another atom.
    let apart = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    let two_bonds = [&apart[..], &[0.0, 1.0, 0.0, 0.0, 0.0], &[0.0; 6]].concat();
    assert_eq!(pairs[1], two_bonds);
    // The angle and the first bond: two atoms shared; the bond places the angle's second reference.
    let shared = [0.0, 0.0, 1.0, 0.0, 0.0];
    let angle_and_bond = [&apart[..], &shared, &[0.0; 3], &[0.0, 1.0, 0.0]].concat();
    assert_eq!(pairs[2 * 3], angle_and_bond);
}
