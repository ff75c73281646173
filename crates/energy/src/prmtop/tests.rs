#![expect(clippy::float_cmp, reason = "what is read is compared bit for bit")]

mod structure;

use std::fmt::Write;
use std::path::Path;

use boltzflow_molecule::BondOrder;

use super::*;

/// Five atoms: hydrogen peroxide-like H–O–C(H)–H with every kind of term and three 1-4 pairs.
pub(crate) fn five_atoms() -> Vec<(&'static str, &'static str, String)> {
    let reals = |values: &[f64]| {
        values.chunks(5).fold(String::new(), |mut text, row| {
            for value in row {
                write!(text, "{value:16.8E}").unwrap();
            }
            text + "\n"
        })
    };
    let integers = |values: &[i64]| {
        values.chunks(10).fold(String::new(), |mut text, row| {
            for value in row {
                write!(text, "{value:8}").unwrap();
            }
            text + "\n"
        })
    };
    let mut pointers = [0; 31];
    for (place, value) in [
        (0, 5),
        (1, 3),
        (2, 3),
        (3, 1),
        (4, 4),
        (5, 0),
        (6, 4),
        (7, 0),
        (9, 1),
        (10, 8),
        (11, 2),
        (12, 1),
        (13, 0),
        (14, 0),
        (15, 3),
        (16, 2),
        (17, 3),
        (18, 3),
        (28, 3),
    ] {
        pointers[place] = value;
    }
    vec![
        ("TITLE", "20a4", "five\n".into()),
        ("POINTERS", "10I8", integers(&pointers)),
        ("ATOM_NAME", "20a4", "HO  O   C   H11 H12 \n".into()),
        ("CHARGE", "5E16.8", reals(&[7.2, -10.9, 1.8, 0.9, 1.0])),
        ("MASS", "5E16.8", reals(&[1.008, 16.0, 12.01, 1.008, 1.008])),
        ("ATOM_TYPE_INDEX", "10I8", integers(&[1, 2, 3, 1, 1])),
        ("NUMBER_EXCLUDED_ATOMS", "10I8", integers(&[2, 3, 2, 0, 1])),
        (
            "NONBONDED_PARM_INDEX",
            "10I8",
            integers(&[1, 2, 4, 2, 3, 5, 4, 5, 6]),
        ),
        ("RESIDUE_LABEL", "20a4", "HYD MET \n".into()),
        ("RESIDUE_POINTER", "10I8", integers(&[1, 3])),
        (
            "BOND_FORCE_CONSTANT",
            "5E16.8",
            reals(&[553.0, 320.0, 340.0]),
        ),
        ("BOND_EQUIL_VALUE", "5E16.8", reals(&[0.96, 1.41, 1.09])),
        ("ANGLE_FORCE_CONSTANT", "5E16.8", reals(&[55.0, 50.0])),
        ("ANGLE_EQUIL_VALUE", "5E16.8", reals(&[1.8937, 1.911])),
        (
            "DIHEDRAL_FORCE_CONSTANT",
            "5E16.8",
            reals(&[0.3, 1.1, 0.25]),
        ),
        ("DIHEDRAL_PERIODICITY", "5E16.8", reals(&[3.0, 2.0, 1.0])),
        (
            "DIHEDRAL_PHASE",
            "5E16.8",
            reals(&[0.0, std::f64::consts::PI, 0.7]),
        ),
        ("SOLTY", "5E16.8", reals(&[0.0; 3])),
        (
            "LENNARD_JONES_ACOEF",
            "5E16.8",
            reals(&[7516.0, 68000.0, 379_876.0, 100_000.0, 530_000.0, 924_822.0]),
        ),
        (
            "LENNARD_JONES_BCOEF",
            "5E16.8",
            reals(&[21.7, 130.0, 564.9, 120.0, 600.0, 599.0]),
        ),
        (
            "BONDS_INC_HYDROGEN",
            "10I8",
            integers(&[0, 3, 1, 6, 9, 3, 6, 12, 3]),
        ),
        ("BONDS_WITHOUT_HYDROGEN", "10I8", integers(&[3, 6, 2])),
        (
            "ANGLES_INC_HYDROGEN",
            "10I8",
            integers(&[0, 3, 6, 1, 3, 6, 9, 2, 3, 6, 12, 2, 9, 6, 12, 1]),
        ),
        ("ANGLES_WITHOUT_HYDROGEN", "10I8", "\n".into()),
        // Two terms of one quartet (the second does not count the ends again), a second quartet, and an improper torsion.
        (
            "DIHEDRALS_INC_HYDROGEN",
            "10I8",
            integers(&[
                0, 3, 6, 9, 1, 0, 3, -6, 9, 3, 0, 3, 6, 12, 1, 9, 3, 6, -12, 2,
            ]),
        ),
        ("DIHEDRALS_WITHOUT_HYDROGEN", "10I8", "\n".into()),
        (
            "EXCLUDED_ATOMS_LIST",
            "10I8",
            integers(&[2, 3, 3, 4, 5, 4, 5, 0]),
        ),
        ("HBOND_ACOEF", "5E16.8", "\n".into()),
        ("HBOND_BCOEF", "5E16.8", "\n".into()),
        (
            "RADIUS_SET",
            "1a80",
            "modified Bondi radii (mbondi)\n".into(),
        ),
        ("RADII", "5E16.8", reals(&[0.8, 1.5, 1.7, 1.3, 1.3])),
        ("SCREEN", "5E16.8", reals(&[0.85, 0.85, 0.72, 0.85, 0.85])),
    ]
}

/// The text of such a file.
pub(crate) fn text(sections: &[(&str, &str, String)]) -> String {
    sections.iter().fold(
        "%VERSION  VERSION_STAMP = V0001.000\n".to_owned(),
        |mut text, (flag, format, values)| {
            write!(text, "%FLAG {flag:<74}\n%FORMAT({format})\n{values}").unwrap();
            text
        },
    )
}

fn read(text: &str) -> Result<Prmtop, String> {
    Prmtop::parse(text, Path::new("five.prmtop")).map_err(|error| error.to_string())
}

/// The file with one section replaced.
fn with(section: &str, values: &str) -> String {
    let mut sections = five_atoms();
    sections
        .iter_mut()
        .find(|(flag, ..)| *flag == section)
        .unwrap()
        .2 = values.to_owned();
    text(&sections)
}

#[test]
fn a_topology_is_read() {
    let prmtop = read(&text(&five_atoms())).unwrap();
    let molecule = prmtop.molecule();
    assert_eq!(molecule.name, "five");
    assert_eq!(molecule.formula(), "CH3O");
    assert_eq!(molecule.atoms[3].name, "H11");
    assert_eq!(molecule.residues[1].name, "MET");
    assert_eq!(molecule.atoms[1].residue, Some(0));
    assert_eq!(molecule.atoms[2].residue, Some(1));
    let bonds: Vec<_> = molecule.bonds.iter().map(|bond| bond.atoms).collect();
    assert_eq!(bonds, [[0, 1], [1, 2], [2, 3], [2, 4]]);
    assert!(
        molecule
            .bonds
            .iter()
            .all(|bond| bond.order == BondOrder::Unknown)
    );
    approx::assert_relative_eq!(prmtop.charges().iter().sum::<f64>(), 0.0, epsilon = 1e-12);
    approx::assert_relative_eq!(prmtop.charges()[0], 7.2 / 18.2223, epsilon = 1e-12);
    assert_eq!(prmtop.radius_set(), "modified Bondi radii (mbondi)");
    assert_eq!(prmtop.torsion_terms().len(), 4);
    let one_four: Vec<_> = prmtop
        .one_four_pairs()
        .iter()
        .map(|pair| pair.atoms)
        .collect();
    assert_eq!(one_four, [[0, 3], [0, 4]]);
    assert!(
        prmtop
            .one_four_pairs()
            .iter()
            .all(|pair| pair.coulomb_divisor == 1.2 && pair.lennard_jones_divisor == 2.0)
    );
    assert!(prmtop.excluded(2, 0) && prmtop.excluded(1, 4) && !prmtop.excluded(0, 4));
    assert_eq!(prmtop.lennard_jones(0, 2), [100_000.0, 120.0]);
}

#[test]
fn scale_factors_of_the_file_replace_the_old_ones() {
    let mut sections = five_atoms();
    let factors = |first: f64| format!("{first:16.8E}{:16.8E}{:16.8E}\n", 0.0, 0.0);
    sections.push(("SCEE_SCALE_FACTOR", "5E16.8", factors(1.5)));
    sections.push(("SCNB_SCALE_FACTOR", "5E16.8", factors(3.0)));
    let pair = read(&text(&sections)).unwrap().one_four_pairs()[0];
    assert_eq!(
        (pair.coulomb_divisor, pair.lennard_jones_divisor),
        (1.5, 3.0)
    );
    sections.last_mut().unwrap().2 = factors(0.0);
    let error = read(&text(&sections)).unwrap_err();
    assert!(
        error.contains(
            "value 1 of section SCNB_SCALE_FACTOR must be above 0 where a torsion has a 1-4 pair"
        ),
        "{error}"
    );
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let whole = text(&five_atoms());
    // What stands after the last bond of the last needed section may be missing; RADII and SCREEN only matter in water.
    let needed = whole.find("%FLAG HBOND_ACOEF").unwrap();
    for end in (0..needed - 90).step_by(37) {
        assert!(
            read(&whole[..end]).is_err(),
            "cut after {end} of {needed} bytes"
        );
    }
}

#[test]
fn no_single_damaged_byte_makes_the_reader_panic() {
    let whole = text(&five_atoms());
    for place in (0..whole.len()).step_by(3) {
        for byte in [b'-', b'9', b' ', b'%', b'\n'] {
            let mut damaged = whole.clone().into_bytes();
            damaged[place] = byte;
            if let Ok(prmtop) = read(&String::from_utf8_lossy(&damaged)) {
                let _ = crate::AmberEnergy::new(&prmtop, crate::Implicit::Obc2);
            }
        }
    }
}

#[test]
fn faults_are_named_with_section_and_value() {
    for (section, values, message) in [
        (
            "CHARGE",
            "  1.0E+00  \n",
            "section CHARGE holds 1 values where 5 belong",
        ),
        (
            "CHARGE",
            "             NaN\n",
            "section CHARGE should hold a finite number, but \"NaN\" was found",
        ),
        (
            "CHARGE",
            "****************\n",
            "but \"****************\" was found",
        ),
        (
            "BONDS_WITHOUT_HYDROGEN",
            "       3      15       2\n",
            "must be a multiple of 3 from 0 to 12, but is 15",
        ),
        (
            "BONDS_WITHOUT_HYDROGEN",
            "       3       7       2\n",
            "value 2 of section BONDS_WITHOUT_HYDROGEN",
        ),
        (
            "BONDS_WITHOUT_HYDROGEN",
            "       3       3       2\n",
            "an atom that this term does not have already",
        ),
        (
            "BONDS_WITHOUT_HYDROGEN",
            "       3       6       4\n",
            "must be from 1 to 3, but is 4",
        ),
        (
            "BONDS_WITHOUT_HYDROGEN",
            "       0       3       2\n",
            "atoms 1 and 2 are bonded twice",
        ),
        (
            "ATOM_TYPE_INDEX",
            "       1       2       4       1       1\n",
            "value 3 of section ATOM_TYPE_INDEX must be from 1 to 3",
        ),
        (
            "MASS",
            "  1.008E+00       16.000E+00      13.110E+00      1.008E+00       1.008E+00       \n",
            "which is of no element",
        ),
        (
            "RESIDUE_POINTER",
            "       1       1\n",
            "value 2 of section RESIDUE_POINTER must be at least 2, but is 1",
        ),
        (
            "EXCLUDED_ATOMS_LIST",
            "       2       3       3       4       5       4       5       9\n",
            "EXCLUDED_ATOMS_LIST must be from 1 to 5",
        ),
        (
            "NUMBER_EXCLUDED_ATOMS",
            "       2       3       2       0       0\n",
            "section EXCLUDED_ATOMS_LIST holds 8 values where 7",
        ),
        (
            "NUMBER_EXCLUDED_ATOMS",
            "       2       3       2       0       2\n",
            "from 0 to 1, what is left",
        ),
        (
            "DIHEDRAL_PERIODICITY",
            "  3.00000000E+00  2.50000000E+00  1.00000000E+00\n",
            "a whole number from 0 to 12, but is 2.5",
        ),
        (
            "NONBONDED_PARM_INDEX",
            "       1       2       4       3       3       5       4       5       6\n",
            "for the same two types",
        ),
        (
            "NONBONDED_PARM_INDEX",
            "       1       2      -4       2       3       5      -4       5       6\n",
            "from -0 to -1",
        ),
    ] {
        let error = read(&with(section, values)).unwrap_err();
        assert!(error.contains(message), "{section}: {error}");
        assert!(error.contains("five.prmtop"), "{error}");
    }
}

#[test]
fn what_is_not_computed_is_refused() {
    let pointers = five_atoms()
        .iter()
        .find(|(flag, ..)| *flag == "POINTERS")
        .unwrap()
        .2
        .clone();
    let changed = |place: usize, value: i64| {
        let mut values: Vec<i64> = pointers
            .split_whitespace()
            .map(|value| value.parse().unwrap())
            .collect();
        values[place] = value;
        let mut text = String::new();
        for (index, value) in values.iter().enumerate() {
            write!(text, "{value:8}{}", if index % 10 == 9 { "\n" } else { "" }).unwrap();
        }
        with("POINTERS", &(text + "\n"))
    };
    for (place, value, message) in [
        (27, 1, "a periodic box (section POINTERS, IFBOX = 1)"),
        (29, 1, "a solvent cap"),
        (30, 2, "extra points"),
        (20, 1, "perturbed atoms"),
        (9, 2, "locally enhanced sampling"),
        (
            0,
            -5,
            "value 1 of section POINTERS must be from 0 to 100000000, but is -5",
        ),
        (0, 0, "at least 1, the number of atoms"),
    ] {
        let error = read(&changed(place, value)).unwrap_err();
        assert!(error.contains(message), "{error}");
    }
    for (section, values, message) in [
        ("CTITLE", "x\n", "terms of CHARMM"),
        (
            "CHARMM_UREY_BRADLEY_COUNT",
            "       0       0\n",
            "terms of CHARMM",
        ),
        ("CMAP_COUNT", "       1       1\n", "a CMAP correction"),
        (
            "LENNARD_JONES_CCOEF",
            &"  1.00000000E+00".repeat(6),
            "12-6-4 potentials",
        ),
        ("IPOL", "       1\n", "polarisable atoms"),
    ] {
        let mut sections = five_atoms();
        let format = if section == "LENNARD_JONES_CCOEF" {
            "5E16.8"
        } else {
            "10I8"
        };
        sections.push((section, format, values.to_owned()));
        let error = read(&text(&sections)).unwrap_err();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn elements_come_from_their_numbers_before_their_masses() {
    let mut sections = five_atoms();
    sections.push((
        "ATOMIC_NUMBER",
        "10I8",
        "       1       8       6       1       1\n".into(),
    ));
    let heavy =
        "  3.02400000E+00  1.60000000E+01  7.97800000E+00  3.02400000E+00  3.02400000E+00\n";
    sections
        .iter_mut()
        .find(|(flag, ..)| *flag == "MASS")
        .unwrap()
        .2 = heavy.into();
    assert_eq!(read(&text(&sections)).unwrap().molecule().formula(), "CH3O");
    sections.last_mut().unwrap().2 = "       1       8       6       1      -1\n".into();
    let error = read(&text(&sections)).unwrap_err();
    assert!(
        error.contains("atom 5 (\"H12\") has atomic number -1"),
        "{error}"
    );
}

#[test]
fn files_of_another_kind_are_told_apart() {
    assert!(read("").unwrap_err().contains("is no AMBER topology"));
    assert!(
        read("HEADER of a PDB")
            .unwrap_err()
            .contains("\"HEADER of a PDB\"")
    );
    assert!(
        read("%FLAG TITLE\n%FORMAT(20a4)\nx\n")
            .unwrap_err()
            .contains("no section POINTERS")
    );
    assert!(
        read("%FLAG TITLE\n%FORMAT(wide)\nx\n")
            .unwrap_err()
            .contains("needs a line such as %FORMAT(10I8)")
    );
    let twice = text(&five_atoms()) + "%FLAG TITLE\n%FORMAT(20a4)\nx\n";
    assert!(read(&twice).unwrap_err().contains("a second time"));
}

#[test]
fn water_needs_radii() {
    let sections: Vec<_> = five_atoms()
        .into_iter()
        .filter(|(flag, ..)| *flag != "SCREEN")
        .collect();
    let prmtop = read(&text(&sections)).unwrap();
    assert!(crate::AmberEnergy::new(&prmtop, crate::Implicit::Vacuum).is_ok());
    let error = crate::AmberEnergy::new(&prmtop, crate::Implicit::Hct)
        .err()
        .unwrap();
    assert!(error.to_string().contains("no section SCREEN"));
}
