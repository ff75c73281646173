//! SDF, both versions.

use boltzflow_molecule::{Atom, Bond, BondOrder, Element, Molecule};

use super::{charges, file, symbols};
use crate::{ReadOptions, SdfVersion, Structure, Tags, Value, read, write_sdf};

/// A zwitterion as RDKit writes it: charges only in `M  CHG`, item headers with two blanks and a number.
pub(super) const ZWITTERION: &str = "glycine
     RDKit          3D

  5  4  0  0  0  0  0  0  0  0999 V2000
    1.0000    0.0000    0.0000 N   0  0  0  0  0  4  0  0  0  0  0  0
    2.0000    0.0000    0.0000 C   0  0  0  0  0  0  0  0  0  0  0  0
    3.0000    0.0000    0.0000 C   0  3  0  0  0  0  0  0  0  0  0  0
    4.0000    0.0000    0.0000 O   0  0  0  0  0  0  0  0  0  0  0  0
    5.0000   -1.2345    0.0001 O   0  0  0  0  0  0  0  0  0  0  0  0
  1  2  1  0
  2  3  1  0
  3  4  2  0
  3  5  1  0
M  CHG  2   1   1   5  -1
M  END
>  <ENERGY_KCAL_MOL>  (1) 
-1.5

>  <NOTE>  (1) 
two
lines

$$$$
";

/// Atoms numbered at will, and a line that goes on in the next.
pub(super) const V3000: &str = "glycine
  program           3D

  0  0  0     0  0            999 V3000
M  V30 BEGIN CTAB
M  V30 COUNTS 3 2 0 0 0
M  V30 BEGIN ATOM
M  V30 7 N 1.00000000000000001 0.5 -2e-17 0 CHG=1 RAD=1
M  V30 9 C 2.123456789012345 0 -
M  V30 0 0
M  V30 4 Cl 3 0 0 0 CHG=-1
M  V30 END ATOM
M  V30 BEGIN BOND
M  V30 1 2 9 7
M  V30 2 1 9 4 CFG=1
M  V30 END BOND
M  V30 END CTAB
M  END
$$$$
";

#[test]
fn charges_in_m_chg_are_kept_and_replace_the_column() {
    let record = file("a.sdf", ZWITTERION).read().unwrap();
    assert_eq!(charges(&record.molecule), [1, 0, 0, 0, -1]);
    let column = ZWITTERION.replace("M  CHG  2   1   1   5  -1\n", "");
    assert_eq!(
        charges(&file("a.sdf", column).read().unwrap().molecule),
        [0, 0, 1, 0, 0]
    );
}

#[test]
fn data_items_are_kept_however_their_header_is_written() {
    let text = ZWITTERION.replace("$$$$", "> 25 <OLD>\n3\n\n> DT12\n4\n\n$$$$");
    let tags = file("a.sdf", text).read().unwrap().tags.remove(0);
    assert_eq!(tags.real("ENERGY_KCAL_MOL"), Some(-1.5));
    assert_eq!(tags.value("NOTE"), Some(&Value::from("two\nlines")));
    assert_eq!(tags.real("OLD"), Some(3.0));
    assert_eq!(tags.len(), 4);
}

#[test]
fn v3000_is_not_empty_and_keeps_charges_orders_and_bits() {
    let record = file("a.sdf", V3000).read().unwrap();
    let molecule = &record.molecule;
    assert_eq!(symbols(molecule), ["N", "C", "Cl"]);
    assert_eq!(charges(molecule), [1, 0, -1]);
    assert_eq!(
        molecule.bonds[0],
        Bond {
            atoms: [0, 1],
            order: BondOrder::Double
        }
    );
    assert_eq!(
        molecule.bonds[1],
        Bond {
            atoms: [1, 2],
            order: BondOrder::Single
        }
    );
    assert_eq!(record.conformers.get(0)[2..4], [-2e-17, 2.123456789012345]);
}

#[test]
fn line_ends_of_windows_change_nothing() {
    for text in [ZWITTERION, V3000] {
        let unix = file("a.sdf", text).read().unwrap();
        assert_eq!(
            file("a.sdf", text.replace('\n', "\r\n")).read().unwrap(),
            unix
        );
    }
}

#[test]
fn records_of_one_molecule_are_conformers_and_a_molfile_needs_no_end() {
    let record = file("a.sdf", ZWITTERION.repeat(3) + "\n").read().unwrap();
    assert_eq!((record.conformers.len(), record.tags.len()), (3, 3));
    let molfile = V3000.replace("$$$$\n", "");
    assert_eq!(file("a.mol", &molfile).read().unwrap().conformers.len(), 1);
    let records = file("a.sdf", format!("{ZWITTERION}{V3000}"))
        .records()
        .unwrap();
    assert_eq!(records.len(), 2);
}

#[test]
fn both_versions_are_written_as_they_are_read() {
    let zwitterion = file("a.sdf", ZWITTERION).read().unwrap();
    let (molecule, tags) = (&zwitterion.molecule, &zwitterion.tags[0]);
    let directory = tempfile::tempdir().unwrap();
    for (name, version) in [
        ("a.sdf", SdfVersion::V2000),
        ("b.sdf", SdfVersion::V3000),
        ("c.sdf.gz", SdfVersion::V3000),
    ] {
        let path = directory.path().join(name);
        let structure = Structure {
            molecule,
            positions: zwitterion.conformers.get(0),
            tags,
        };
        write_sdf(&path, [structure, structure], version).unwrap();
        let back = read(&path, &ReadOptions::default()).unwrap();
        assert_eq!(&back.molecule, molecule);
        assert_eq!(back.conformers.get(1), zwitterion.conformers.get(0));
        assert_eq!(&back.tags[1], tags);
    }
}

#[test]
fn v3000_keeps_every_bit_in_lines_of_eighty_columns() {
    let atom = |number| Atom {
        element: Element::from_number(number).unwrap(),
        formal_charge: -1,
        name: String::new(),
        residue: None,
    };
    let molecule = Molecule {
        atoms: (1..=100).map(|index| atom(1 + index % 100)).collect(),
        ..Molecule::default()
    };
    let positions: Vec<f64> = (0..300)
        .map(|index| -(f64::from(index) + 0.1).sin() * 10_f64.powi(index % 21 - 10))
        .collect();
    let mut tags = Tags::new();
    tags.set("LOG_Q", -12345.678901234567);
    tags.set("LOG_WEIGHT", f64::NEG_INFINITY);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.sdf");
    write_sdf(
        &path,
        [Structure {
            molecule: &molecule,
            positions: &positions,
            tags: &tags,
        }],
        SdfVersion::V3000,
    )
    .unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(
        text.lines().all(|line| line.len() <= 80) && text.lines().any(|line| line.ends_with(" -"))
    );
    let back = read(&path, &ReadOptions::default()).unwrap();
    assert_eq!(back.conformers.positions(), positions);
    assert_eq!(back.tags[0].real("LOG_Q"), Some(-12345.678901234567));
    assert_eq!(back.tags[0].real("LOG_WEIGHT"), Some(f64::NEG_INFINITY));
}

#[test]
fn a_thousand_atoms_are_written_as_v3000_only() {
    let text = format!("1000\n\n{}", "C 0 0 0\n".repeat(1000));
    let big = file("a.xyz", text).read().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.sdf");
    let structure = Structure {
        molecule: &big.molecule,
        positions: big.conformers.get(0),
        tags: &big.tags[0],
    };
    let message = write_sdf(&path, [structure], SdfVersion::V2000)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("1000 atoms do not fit the columns of V2000; write V3000"),
        "{message}"
    );
    write_sdf(&path, [structure], SdfVersion::V3000).unwrap();
    assert_eq!(
        read(&path, &ReadOptions::default())
            .unwrap()
            .molecule
            .atoms
            .len(),
        1000
    );
}

#[test]
fn faults_are_named_with_their_line() {
    let cut = |words: &str| ZWITTERION[..ZWITTERION.find(words).unwrap()].to_owned();
    let change = |from: &str, to: &str| ZWITTERION.replace(from, to);
    for (text, words) in [
        (cut("M  CHG"), "\"M  END\" is missing"),
        (cut("  3  4  2"), "4 bonds are announced, but only 2 follow"),
        (
            cut("    4.0000"),
            "5 atoms are announced, but only 3 follow",
        ),
        (cut("two"), "\"$$$$\" is missing"),
        (
            format!("{ZWITTERION}{}", cut("$$$$")),
            "\"$$$$\" is missing",
        ),
        (
            cut("  5  4"),
            "4 header lines are announced, but only 3 follow",
        ),
        (
            change(
                "  5  4  0  0  0  0  0  0  0",
                " 1200 1300  0  0  0  0  0  0",
            ),
            "more than 999 atoms or bonds need V3000",
        ),
        (change("V2000", "V4000"), "version \"V4000\""),
        (
            change("  3  5  1", "  3 99  1"),
            "line 13 (frame 1): bond 4 joins atoms [3, 99], but the atoms are 1 to 5",
        ),
        (
            change("  3  5  1", "  0  5  1"),
            "bond 4 joins atoms [0, 5]",
        ),
        (change("  3  5  1", "  5  5  1"), "which are one atom"),
        (
            change("  3  5  1", "  2  1  1"),
            "which an earlier bond joins already",
        ),
        (change("  3  5  1", "  3  5 77"), "bond 4 is of type \"77\""),
        (
            change("5  -1\n", "6  -1\n"),
            "a charge is given to atom 6, but the atoms are 1 to 5",
        ),
        (change("5  -1\n", "5  -99\n"), "formal charge \"-99\""),
        (
            change("CHG  2", "CHG  3"),
            "M  CHG has 4 values where 6 belong",
        ),
        (
            change(" N   0", " R#  0"),
            "atom 1 is of no known element: \"R#\"",
        ),
        (change("   -1.2345", "       nan"), "y is nan; only finite"),
        (
            change("   -1.2345", "   1.0D+00"),
            "y is \"1.0D+00\", which is not a number",
        ),
        (change("  5  4", "  0  0"), "0 atoms"),
        (
            change("    5.0000", "   µ5.0000"),
            "'µ', which is not ASCII",
        ),
        (
            V3000.replace("COUNTS 3", "COUNTS 4"),
            "4 atoms are announced, but only 3 follow",
        ),
        (
            V3000.replace("COUNTS 3", "COUNTS 99999999999"),
            "99999999999 atoms are announced",
        ),
        (
            V3000.replace("2 1 9 4", "2 1 9 5"),
            "bond 2 joins atoms [9, 5]",
        ),
        (
            V3000.replace("CHG=-1", "CHG=x"),
            "atom 3 has the formal charge \"x\"",
        ),
        (
            V3000.replace("M  V30 END ATOM\n", ""),
            "\"M  V30 END ATOM\" is missing",
        ),
        (V3000.replace("M  V30 4 Cl", "M  V30 9 Cl"), "9 again"),
        (
            V3000[..V3000.find("M  V30 BEGIN BOND").unwrap()].to_owned(),
            "\"M  END\" is missing",
        ),
    ] {
        let message = file("a.sdf", text).message();
        assert!(message.contains(words), "{message}\n  lacks: {words}");
    }
}

#[test]
fn tags_that_would_break_the_file_are_refused() {
    let zwitterion = file("a.sdf", ZWITTERION).read().unwrap();
    let directory = tempfile::tempdir().unwrap();
    for (name, value) in [
        ("A>B", "x"),
        ("", "x"),
        ("A", "x\n\ny"),
        ("A", "$$$$"),
        ("A", "x\n> <B>"),
    ] {
        let tags: Tags = [(name, value)].into_iter().collect();
        let structure = Structure {
            molecule: &zwitterion.molecule,
            positions: zwitterion.conformers.get(0),
            tags: &tags,
        };
        let message = write_sdf(
            &directory.path().join("a.sdf"),
            [structure],
            SdfVersion::V3000,
        )
        .unwrap_err()
        .to_string();
        assert!(
            message.contains("which the format cannot express"),
            "{message}"
        );
    }
}
