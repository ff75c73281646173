//! XYZ and extended XYZ.

use super::{charges, file, symbols};
use crate::{ReadOptions, Structure, Tags, Value, read, write_extxyz};

#[test]
fn frames_of_one_molecule_become_its_conformers() {
    let file = file(
        "a.xyz",
        "2\nfirst\nH 0 0 0\nf 0 0 1.5\n\n2\nsecond\n1 0 0 0.5\n9 0 0 2 extra\n\n\n",
    );
    let record = file.read().unwrap();
    assert_eq!(symbols(&record.molecule), ["H", "F"]);
    assert_eq!(
        record.conformers.positions(),
        [0.0, 0.0, 0.0, 0.0, 0.0, 1.5, 0.0, 0.0, 0.5, 0.0, 0.0, 2.0]
    );
    assert_eq!(
        record.tags[1].value("comment"),
        Some(&Value::from("second"))
    );
}

#[test]
fn different_molecules_are_separate_records_and_named_where_one_is_wanted() {
    let file = file("a.xyz", "1\n\nH 0 0 0\n1\n\nH 0 0 1\n1\n\nF 0 0 0\n");
    let records = file.records().unwrap();
    assert_eq!(
        records
            .iter()
            .map(|record| record.conformers.len())
            .collect::<Vec<_>>(),
        [2, 1]
    );
    assert!(
        file.message()
            .contains("frame 3 differs from frame 1: atom 1 has atomic number 9 instead of 1"),
        "{}",
        file.message()
    );
}

#[test]
fn extended_xyz_takes_its_columns_and_numbers_from_the_comment() {
    let text = "2\nProperties=id:I:1:pos:R:3:species:S:1:forces:R:3 energy=-154.1 name=\"a \\\"b\\\"\" quoted=\"-2.5\" n=3 ok=T pbc=\"F F F\" Lattice=[[1,0,0],[0,1,0],[0,0,1]]\n\
        7 0 0 0 C 1 2 3\n8 1 0 0 O 1 2 3\n";
    let record = file("a.extxyz", text).read().unwrap();
    assert_eq!(symbols(&record.molecule), ["C", "O"]);
    assert_eq!(record.molecule.name, "a \"b\"");
    let tags = &record.tags[0];
    assert_eq!(tags.value("energy"), Some(&Value::Real(-154.1)));
    assert_eq!(tags.real("quoted"), Some(-2.5));
    assert_eq!(tags.value("n"), Some(&Value::Integer(3)));
    assert_eq!(tags.value("ok"), Some(&Value::Flag(true)));
}

#[test]
fn written_positions_and_numbers_read_back_to_the_same_bits() {
    let molecule = file("a.sdf", super::sdf::ZWITTERION)
        .read()
        .unwrap()
        .molecule;
    let mut molecule = molecule;
    molecule.name = "a \"quoted\" \\ name".to_owned();
    let positions: Vec<f64> = (0..3 * molecule.atoms.len())
        .map(|index| (index as f64 * 1.3).sin() * 1e-3_f64.powi(index as i32 - 3))
        .collect();
    let mut tags = Tags::new();
    tags.set("ENERGY_KCAL_MOL", -1_234_567.890_123_456);
    tags.set("LOG_Q", -12345.678901234567);
    tags.set("LOG_WEIGHT", f64::NEG_INFINITY);
    tags.set("SEED", 7_i64);
    tags.set("TRUSTED", false);
    tags.set("WORDS", "a \"b\"\nc");
    let directory = tempfile::tempdir().unwrap();
    for name in ["a.extxyz", "a.xyz.gz"] {
        let path = directory.path().join(name);
        write_extxyz(
            &path,
            [Structure {
                molecule: &molecule,
                positions: &positions,
                tags: &tags,
            }],
        )
        .unwrap();
        let back = read(&path, &ReadOptions::default()).unwrap();
        assert_eq!(back.conformers.positions(), positions);
        assert_eq!(back.molecule.name, molecule.name);
        assert_eq!(charges(&back.molecule), charges(&molecule));
        for ((name, value), (back_name, back)) in tags.iter().zip(&back.tags[0]) {
            assert_eq!((&name.to_lowercase(), value), (back_name, back));
        }
    }
}

#[test]
fn numbers_that_are_not_finite_are_refused_wherever_they_stand() {
    for (text, words) in [
        ("1\n\nH 0 nan 0\n", "y is nan; only finite"),
        ("1\n\nH 0 0 -inf\n", "z is -inf; only finite"),
        ("1\n\nH 1e999 0 0\n", "x is 1e999; only finite"),
        ("1\nenergy=NaN\nH 0 0 0\n", "energy is nan; only finite"),
        (
            "1\n\nH 0 1.0D+00 0\n",
            "y is \"1.0D+00\", which is not a number",
        ),
    ] {
        let message = file("a.xyz", text).message();
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn counts_are_believed_only_as_far_as_the_file_goes() {
    for (text, words) in [
        ("", "holds no molecule"),
        ("\n \n", "holds no molecule"),
        ("0\n\n", "0 atoms"),
        ("-3\n\nH 0 0 0\n", "found \"-3\""),
        (
            "99999999999999\n\nH 0 0 0\n",
            "99999999999999 atoms are announced, but only 1 follow",
        ),
        (
            "99999999999999999999999\n\nH 0 0 0\n",
            "expected a number of atoms",
        ),
        ("2\n\nH 0 0 0\n", "2 atoms are announced, but only 1 follow"),
        ("1\n\nQq 0 0 0\n", "atom 1 is of no known element: \"Qq\""),
        ("1\n\nX 0 0 0\n", "atom 1 is of no known element"),
        ("1\n\n0 0 0 0\n", "atom 1 is of no known element: \"0\""),
        ("1\n\nH 0 0\n", "has 3 values where 4 belong"),
    ] {
        let message = file("a.xyz", text).message();
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn frames_after_one_with_a_fault_can_be_read() {
    let frames = file("a.xyz", "1\n\nH 0 0 0\n1\n\nH 0 x 0\n1\n\nH 0 0 2\n").frames();
    assert!(frames[0].is_ok() && frames[2].is_ok());
    let message = frames[1].as_ref().unwrap_err().to_string();
    assert!(
        message.contains("line 6 (frame 2): y is \"x\""),
        "{message}"
    );
}

#[test]
fn a_structure_that_cannot_be_written_leaves_no_file() {
    let molecule = file("a.xyz", "1\n\nH 0 0 0\n").read().unwrap().molecule;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.xyz");
    let tags = Tags::new();
    let good = Structure {
        molecule: &molecule,
        positions: &[0.0; 3],
        tags: &tags,
    };
    let bad = Structure {
        positions: &[0.0, f64::NAN, 0.0],
        ..good
    };
    let message = write_extxyz(&path, [good, bad]).unwrap_err().to_string();
    assert!(
        message.contains("record 2 cannot be written")
            && message.contains("coordinate y of atom 1 is NaN"),
        "{message}"
    );
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}
