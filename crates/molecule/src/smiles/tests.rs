use super::*;
use crate::geometry::{angle, mirror};
use crate::{Chirality, stereogenic};

const ALANINE: &str = "CC(=O)N[C@@H](C)C(=O)NC";

#[test]
fn a_smiles_text_gives_all_hydrogens_and_kekule_bonds() {
    let benzene = Molecule::from_smiles("c1ccccc1").unwrap();
    assert_eq!(benzene.formula(), "C6H6");
    let doubles = benzene
        .bonds
        .iter()
        .filter(|bond| bond.order == BondOrder::Double);
    assert_eq!(doubles.count(), 3);
    let zwitterion = Molecule::from_smiles("[NH3+]CC(=O)[O-]").unwrap();
    assert_eq!(zwitterion.formula(), "C2H5NO2");
    assert_eq!(zwitterion.atoms[0].formal_charge, 1);
    assert!(zwitterion.is_connected());
}

#[test]
fn nonsense_is_refused_with_the_text() {
    for text in ["C(", "CXC", "C(C)(C)(C)(C)C", "c1cccc1", "*C"] {
        let message = Molecule::from_smiles(text).unwrap_err().to_string();
        assert!(message.contains(text), "{message}");
    }
}

#[test]
fn an_at_sign_says_that_the_others_turn_counter_clockwise_seen_from_the_first() {
    // From F, then Cl, Br, I turn counter-clockwise; the classes ascend in this order, after hydrogen-free carbon.
    let molecule = Molecule::from_smiles("F[C@](Cl)(Br)I").unwrap();
    // F on +z, the others below it; seen from +z they turn counter-clockwise, as the angle grows.
    let turn = |k: f64| {
        let angle = k * std::f64::consts::TAU / 3.0;
        [angle.cos(), angle.sin(), -0.3]
    };
    let positions = [[0.0, 0.0, 1.0], [0.0; 3], turn(0.0), turn(1.0), turn(2.0)].concat();
    let shown = stereo_of(&molecule, &positions).unwrap();
    assert_eq!(compare(&molecule.stereo, &shown), StereoMatch::Same);
    assert_eq!(
        compare(&molecule.stereo, &shown.mirrored()),
        StereoMatch::Mirror
    );
}

#[test]
fn l_alanine_has_one_centre_and_its_text_backwards_has_the_same() {
    let molecule = Molecule::from_smiles(ALANINE).unwrap();
    assert_eq!(molecule.stereo.centers.len(), 1);
    assert!(molecule.stereo.double_bonds.is_empty());
    let backwards = Molecule::from_smiles("CNC(=O)[C@H](C)NC(C)=O").unwrap();
    assert_eq!(
        molecule.stereo.centers[0].chirality,
        backwards.stereo.centers[0].chirality
    );
    let d_alanine = Molecule::from_smiles("CC(=O)N[C@H](C)C(=O)NC").unwrap();
    assert_ne!(
        molecule.stereo.centers[0].chirality,
        d_alanine.stereo.centers[0].chirality
    );
    assert!(
        Molecule::from_smiles("CC(=O)NC(C)C(=O)NC")
            .unwrap()
            .stereo
            .is_empty()
    );
}

#[test]
fn start_geometries_have_the_stereo_of_their_text() {
    for text in [
        ALANINE,
        "C/C=C/C",
        "C/C=C\\C",
        "C/C(F)=N\\O",
        "C[S@](=O)CC",
        "C[S@@](=O)CC",
        "C[C@H](F)[C@@H](Cl)Br",
        "C[N@+](CC)(CCC)CCCC",
        "F/C=C/[C@H](O)C",
    ] {
        let molecule = Molecule::from_smiles(text).unwrap();
        assert!(!molecule.stereo.is_empty(), "{text}");
        let conformers = embed(&molecule, 7, 3).unwrap();
        assert_eq!(conformers.len(), 3);
        for x in &conformers {
            let shown = stereo_of(&molecule, x).unwrap();
            assert_eq!(
                compare(&molecule.stereo, &shown),
                StereoMatch::Same,
                "{text}"
            );
            let mut image = x.to_vec();
            mirror(&mut image);
            let found = compare(&molecule.stereo, &stereo_of(&molecule, &image).unwrap());
            let expected = if molecule.stereo.centers.is_empty() {
                StereoMatch::Same
            } else {
                StereoMatch::Mirror
            };
            assert_eq!(found, expected, "{text}");
        }
    }
}

#[test]
fn one_wrong_centre_of_two_is_another_molecule() {
    let one = Molecule::from_smiles("C[C@H](F)[C@@H](Cl)Br").unwrap();
    let other = Molecule::from_smiles("C[C@H](F)[C@H](Cl)Br").unwrap();
    let x = embed(&other, 1, 1).unwrap();
    let shown = stereo_of(&one, x.get(0)).unwrap();
    assert_eq!(compare(&one.stereo, &shown), StereoMatch::Other);
    let cis = Molecule::from_smiles("C/C=C\\C").unwrap();
    let trans = Molecule::from_smiles("C/C=C/C").unwrap();
    let x = embed(&trans, 1, 1).unwrap();
    let shown = stereo_of(&cis, x.get(0)).unwrap();
    assert_eq!(compare(&cis.stereo, &shown), StereoMatch::Other);
}

#[test]
fn coordinates_that_are_no_numbers_match_nothing() {
    let molecule = Molecule::from_smiles(ALANINE).unwrap();
    let shown = stereo_of(&molecule, &vec![f64::NAN; 3 * molecule.len()]).unwrap();
    assert_eq!(shown.centers[0].chirality, Chirality::Flat);
    assert_eq!(compare(&molecule.stereo, &shown), StereoMatch::Other);
    assert_eq!(compare(&shown, &shown), StereoMatch::Other);
    assert!(stereo_of(&molecule, &[0.0; 3]).is_err());
}

#[test]
fn a_seed_gives_the_same_geometries_again_and_another_gives_others() {
    let butane = Molecule::from_smiles("CCCC").unwrap();
    let first = embed(&butane, 3, 2).unwrap();
    assert_eq!(first, embed(&butane, 3, 2).unwrap());
    assert_ne!(first, embed(&butane, 4, 2).unwrap());
    let bend = angle(first.get(0), [0, 1, 2]).to_degrees();
    assert!((105.0..120.0).contains(&bend), "{bend}");
    assert!(embed(&butane, 3, 0).unwrap().is_empty());
    assert!(embed(&Molecule::default(), 3, 1).is_err());
}

#[test]
fn small_and_double_bonds_that_cannot_be_arranged_have_no_stereo() {
    assert!(
        Molecule::from_smiles("C[C@H](C)C")
            .unwrap()
            .stereo
            .is_empty()
    );
    for text in [
        "C=C",
        "CC=C",
        "C1CCCC=C1",
        "C=C=C",
        "CC#N",
        "NC(N)=N",
        "c1ccccc1",
        "CC(=O)NC",
        "CN=[N+]=[N-]",
    ] {
        assert!(
            stereogenic(&Molecule::from_smiles(text).unwrap()).is_empty(),
            "{text}"
        );
    }
    for text in ["CC=CC", "CC=NO", "CN=NC", "C1CCCCCC=C1"] {
        assert_eq!(
            stereogenic(&Molecule::from_smiles(text).unwrap())
                .double_bonds
                .len(),
            1,
            "{text}"
        );
    }
}

#[test]
fn stereo_that_depends_on_other_centres_is_kept_where_it_is_stated() {
    let stated = [
        ("C[C@H]1CC[C@@H](C)CC1", 2),
        ("C[C@H]1CC[C@H](C)CC1", 2),
        ("C[C@H](F)[C@H](Cl)[C@H](F)C", 3),
        ("C[C@H](F)[C@@H](Cl)[C@H](F)C", 3),
        (
            "C[C@]12CC[C@H]3[C@@H](CCC4=CC(=O)CC[C@@]34C)[C@@H]1CC[C@@H]2O",
            6,
        ),
        ("C[C@@]12C[C@@H]3C[C@@H](C[C@@](Br)(C3)C1)C2", 4),
    ];
    for (text, centers) in stated {
        let molecule = Molecule::from_smiles(text).unwrap();
        assert_eq!(molecule.stereo.centers.len(), centers, "{text}");
        let conformers = embed(&molecule, 3, 4).unwrap();
        for x in &conformers {
            let shown = stereo_of(&molecule, x).unwrap();
            assert_eq!(
                compare(&molecule.stereo, &shown),
                StereoMatch::Same,
                "{text}"
            );
        }
    }
    let [cis, trans] = [1, 0].map(|k| Molecule::from_smiles(stated[k].0).unwrap());
    let x = embed(&trans, 1, 1).unwrap();
    let shown = stereo_of(&cis, x.get(0)).unwrap();
    assert_eq!(compare(&cis.stereo, &shown), StereoMatch::Other);
    assert!(stereogenic(&Molecule::from_smiles("CC1CCC(C)CC1").unwrap()).is_empty());
}

#[test]
fn pieces_are_read_and_placed_without_complaint() {
    let molecule = Molecule::from_smiles("[Na+].[Cl-].O").unwrap();
    assert_eq!(molecule.components().len(), 3);
    assert_eq!(molecule.formal_charge(), 0);
    assert!(stereogenic(&molecule).is_empty());
}

#[test]
fn cosmolkit_gets_the_same_molecule_back() {
    let molecule = Molecule::from_smiles("c1cc(C)ncc1/C=C/[C@H](O)[N+](=O)[O-]").unwrap();
    let x = embed(&molecule, 1, 1).unwrap();
    let theirs = to_cosmolkit(&molecule, Some(x.get(0))).unwrap();
    assert_eq!(theirs.num_atoms(), molecule.len());
    assert_eq!(theirs.conformers_3d()[0].coordinates().concat(), x.get(0));
    assert_eq!(stated_stereo(&molecule, &theirs).unwrap(), molecule.stereo);
    let mut unknown = molecule.clone();
    unknown.bonds[2].order = BondOrder::Unknown;
    let atoms = unknown.bonds[2].atoms;
    assert_eq!(
        to_cosmolkit(&unknown, None).unwrap_err(),
        MoleculeError::UnknownOrder { atoms }
    );
    assert!(to_cosmolkit(&molecule, Some(&[0.0])).is_err());
}
