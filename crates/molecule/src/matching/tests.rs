use super::*;
use crate::geometry::{distance, mirror};
use crate::{Element, StereoMatch, compare, embed, stereo_of};

/// A bondless structure in another order of atoms, with its positions, from a SMILES text; nothing else of the text is kept.
fn structure(smiles: &str, stride: usize) -> (Molecule, Vec<f64>) {
    let molecule = Molecule::from_smiles(smiles).unwrap();
    let x = embed(&molecule, 5, 1).unwrap();
    let count = molecule.len();
    let stride = (stride..count)
        .find(|stride| (2..=*stride).all(|k| !stride.is_multiple_of(k) || !count.is_multiple_of(k)))
        .unwrap();
    let order = (0..count)
        .map(|k| (stride * k + 1) % count)
        .collect::<Vec<_>>();
    let mut bare = Molecule::from_elements(order.iter().map(|&atom| molecule.atoms[atom].element));
    for (atom, number) in bare.atoms.iter_mut().zip(1..) {
        atom.name = format!("X{number}");
    }
    let x = order
        .iter()
        .flat_map(|&atom| x.positions()[3 * atom..3 * atom + 3].to_vec());
    (bare, x.collect())
}

#[test]
fn a_template_in_another_order_gives_its_bonds_and_the_structure_keeps_its_names() {
    for text in [
        "CCCC",
        "CC(=O)N[C@@H](C)C(=O)NC",
        "c1ccc2c(c1)cc(C(F)(F)F)cn2",
        "[NH3+][C@@H](CO)C(=O)[O-]",
        "CC(C)(C)OC(=O)C(C)(C)C",
        "C12C3C4C1C5C2C3C45",
        "C[N+](=O)[O-]",
        "C/C=C\\C=C",
        "C/C=C/C=C\\C",
        "C[C@H]1CC[C@@H](C)CC1",
        "C[C@H](F)[C@@H](Cl)[C@H](F)C",
        "COC[C@@]12C[C@@H]3C[C@@H](C[C@@](Br)(C3)C1)C2",
    ] {
        let template = Molecule::from_smiles(text).unwrap();
        let (bare, x) = structure(text, 5);
        let found = assign_bonds(&bare, &x, &template).unwrap();
        assert_eq!(found.bonds.len(), template.bonds.len());
        assert_eq!(found.atoms[3].name, "X4");
        assert_eq!(found.formal_charge(), template.formal_charge());
        assert!(
            found
                .bonds
                .iter()
                .all(|bond| distance(&x, bond.atoms) < 2.0)
        );
        let shown = stereo_of(&found, &x).unwrap();
        assert_eq!(found.stereo.centers.len(), template.stereo.centers.len());
        assert_eq!(compare(&found.stereo, &shown), StereoMatch::Same, "{text}");
        let mut sorted = [&found, &template].map(crate::classes);
        for classes in &mut sorted {
            classes.sort_unstable();
        }
        assert_eq!(sorted[0], sorted[1]);
    }
}

#[test]
fn other_atoms_are_refused_with_both_formulae() {
    let (bare, x) = structure("CCCC", 3);
    let template = Molecule::from_smiles("CCC").unwrap();
    assert_eq!(
        assign_bonds(&bare, &x, &template).unwrap_err(),
        MoleculeError::Formula {
            structure: "C4H10".into(),
            template: "C3H8".into()
        }
    );
}

#[test]
fn another_isomer_is_refused_with_the_difference() {
    let (bare, x) = structure("CCO", 2);
    let ether = Molecule::from_smiles("COC").unwrap();
    let message = assign_bonds(&bare, &x, &ether).unwrap_err().to_string();
    assert!(
        message.contains("C–H bonds instead of 6") || message.contains("O–C bonds instead of 2"),
        "{message}"
    );
    let (bare, x) = structure("CCCC", 3);
    let isobutane = Molecule::from_smiles("CC(C)C").unwrap();
    let message = assign_bonds(&bare, &x, &isobutane).unwrap_err().to_string();
    assert!(message.contains("constitutional isomer"), "{message}");
}

#[test]
fn a_torn_bond_is_named() {
    let (bare, mut x) = structure("CCCC", 3);
    let hydrogen = bare.hydrogens()[0];
    x[3 * hydrogen] += 8.0;
    let template = Molecule::from_smiles("CCCC").unwrap();
    let message = assign_bonds(&bare, &x, &template).unwrap_err().to_string();
    assert!(message.contains("9 C–H bonds instead of 10"), "{message}");
}

#[test]
fn the_other_enantiomer_is_refused_as_such_and_a_template_without_stereo_takes_both() {
    let text = "CC(=O)N[C@@H](C)C(=O)NC";
    let template = Molecule::from_smiles(text).unwrap();
    let (bare, mut x) = structure(text, 5);
    mirror(&mut x);
    assert_eq!(
        assign_bonds(&bare, &x, &template),
        Err(MoleculeError::Enantiomer { centers: 1 })
    );
    let plain = Molecule::from_smiles("CC(=O)NC(C)C(=O)NC").unwrap();
    assert!(assign_bonds(&bare, &x, &plain).unwrap().stereo.is_empty());
}

#[test]
fn a_template_of_coordinates_states_what_they_show_and_a_drawing_states_nothing() {
    for text in [
        "CC(=O)N[C@@H](C)C(=O)NC",
        "C/C=C\\CF",
        "C[C@H](F)[C@@H](Cl)Br",
    ] {
        let molecule = Molecule::from_smiles(text).unwrap();
        let mut template = molecule.clone();
        template.stereo = Stereo::default();
        let shown = embed(&molecule, 3, 1).unwrap();
        let stating = template.clone().stating_stereo_of(shown.get(0)).unwrap();
        let (bare, mut x) = structure(text, 5);
        let found = assign_bonds(&bare, &x, &stating).unwrap();
        assert_eq!(found.stereo.is_empty(), molecule.stereo.is_empty());
        let known = assign_bonds(&bare, &x, &molecule).unwrap();
        assert_eq!(compare(&known.stereo, &found.stereo), StereoMatch::Same);
        let is_chiral = !molecule.stereo.centers.is_empty();
        mirror(&mut x);
        assert_eq!(assign_bonds(&bare, &x, &stating).is_err(), is_chiral);
        let drawn = shown.get(0).iter().enumerate();
        let drawn = drawn.map(|(k, x)| if k % 3 == 2 { 0.0 } else { *x });
        let drawing = template.stating_stereo_of(&drawn.collect::<Vec<_>>());
        assert!(drawing.unwrap().stereo.is_empty());
    }
    let (bare, x) = structure("C/C=C/CF", 5);
    let cis = Molecule::from_smiles("C/C=C\\CF").unwrap();
    let shown = embed(&cis, 3, 1).unwrap();
    let cis = cis.stating_stereo_of(shown.get(0)).unwrap();
    let message = assign_bonds(&bare, &x, &cis).unwrap_err().to_string();
    assert!(message.contains("double bond"), "{message}");
    assert!(cis.stating_stereo_of(&x[3..]).is_err());
}

#[test]
fn another_diastereomer_is_refused_with_its_centres() {
    let template = Molecule::from_smiles("C[C@H](F)[C@@H](Cl)Br").unwrap();
    let (bare, x) = structure("C[C@H](F)[C@H](Cl)Br", 3);
    let message = assign_bonds(&bare, &x, &template).unwrap_err().to_string();
    assert!(message.contains("centre"), "{message}");
    let template = Molecule::from_smiles("C[C@H]1CC[C@@H](C)CC1").unwrap();
    let (bare, x) = structure("C[C@H]1CC[C@H](C)CC1", 3);
    assert!(matches!(
        assign_bonds(&bare, &x, &template),
        Err(MoleculeError::Stereo { .. })
    ));
    let template = Molecule::from_smiles("C/C=C/C").unwrap();
    let (bare, x) = structure("C/C=C\\C", 5);
    let message = assign_bonds(&bare, &x, &template).unwrap_err().to_string();
    assert!(message.contains("double bond"), "{message}");
}

#[test]
fn a_meso_compound_is_matched_so_that_each_centre_is_right() {
    let text = "C[C@H](Cl)[C@H](Cl)C";
    let template = Molecule::from_smiles(text).unwrap();
    let [a, b] = [0, 1].map(|k| template.stereo.centers[k].chirality);
    assert_ne!(a, b, "the text is a meso compound");
    for mirrored in [false, true] {
        let (bare, mut x) = structure(text, 3);
        if mirrored {
            mirror(&mut x);
        }
        let found = assign_bonds(&bare, &x, &template).unwrap();
        let shown = stereo_of(&found, &x).unwrap();
        assert_eq!(compare(&found.stereo, &shown), StereoMatch::Same);
    }
    let chiral = Molecule::from_smiles("C[C@H](Cl)[C@@H](Cl)C").unwrap();
    let (bare, x) = structure(text, 3);
    assert!(matches!(
        assign_bonds(&bare, &x, &chiral),
        Err(MoleculeError::Stereo { .. })
    ));
}

#[test]
fn ions_and_solvent_need_no_bond_between_them() {
    let template = Molecule::from_smiles("[Na+].O.O").unwrap();
    let elements =
        ["O", "H", "H", "Na", "O", "H", "H"].map(|symbol| Element::from_symbol(symbol).unwrap());
    let x = [
        [0.0, 0.0, 0.0],
        [0.6, 0.8, 0.0],
        [0.6, -0.8, 0.0],
        [-2.3, 0.0, 0.0],
        [-4.6, 0.0, 0.0],
        [-5.2, 0.0, 0.8],
        [-5.2, 0.0, -0.8],
    ];
    let found = assign_bonds(&Molecule::from_elements(elements), &x.concat(), &template).unwrap();
    assert_eq!(found.atoms[3].formal_charge, 1);
    assert_eq!(found.components().len(), 3);
}

#[test]
fn symmetric_molecules_are_matched_without_trying_their_permutations() {
    // 4! · 3!⁴ · 3!¹² permutations of the first, 40! · (4! · 3!⁴)⁴⁰ of the second.
    let neopentane = "CC(C)(C)C";
    for text in [
        "CC(C)(C)C(C(C)(C)C)(C(C)(C)C)C(C)(C)C".to_owned(),
        [neopentane; 40].join("."),
    ] {
        let molecule = Molecule::from_smiles(&text).unwrap();
        let bonds = molecule.bonds.iter().map(|bond| bond.atoms).collect();
        let x = vec![0.0; 3 * molecule.len()];
        let matching = Matching::new(&molecule, &molecule, &x, bonds).unwrap();
        assert!(matching.find().is_ok());
    }
}

#[test]
fn empty_structures_and_bad_coordinates_do_not_panic() {
    let none = Molecule::default();
    assert_eq!(assign_bonds(&none, &[], &none), Ok(none.clone()));
    let (bare, mut x) = structure("CCO", 2);
    let template = Molecule::from_smiles("CCO").unwrap();
    assert!(assign_bonds(&bare, &x[3..], &template).is_err());
    x[7] = f64::INFINITY;
    assert_eq!(
        assign_bonds(&bare, &x, &template),
        Err(MoleculeError::NotFinite { atom: 2 })
    );
    let zeros = vec![0.0; x.len()];
    assert!(assign_bonds(&bare, &zeros, &template).is_err());
}

#[test]
fn bonds_of_the_file_help_where_distances_do_not() {
    let template = Molecule::from_smiles("CCO").unwrap();
    let stretched = embed(&template, 1, 1)
        .unwrap()
        .positions()
        .iter()
        .map(|x| 3.0 * x)
        .collect::<Vec<_>>();
    let mut structure = Molecule::from_elements(template.elements());
    assert!(assign_bonds(&structure, &stretched, &template).is_err());
    structure
        .set_bonds(
            template
                .bonds
                .iter()
                .map(|bond| Bond {
                    order: BondOrder::Unknown,
                    ..*bond
                })
                .collect(),
        )
        .unwrap();
    assert_eq!(
        assign_bonds(&structure, &stretched, &template)
            .unwrap()
            .bonds,
        template.bonds
    );
}
