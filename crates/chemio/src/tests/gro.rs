//! GRO.

use super::{
    file, gzip,
    traps::{carbons, trajectory},
};
use crate::{Error, ReadOptions, Source, read};

/// Two frames of three atoms, the second without a title; the first atom moves to the left, the last to the right.
pub(super) const WATER: &str = "\
Water, t= 0.0
    3
    1WATER  OW1    1   0.126   1.624-100.679  0.1227 -0.0580  0.0434
    1WATER  HW2    2   0.190   1.661   1.747  0.8085  0.3191 -0.7791
    1WATER  HW3    3   0.177   1.568   1.613 -0.9045 -2.6469  1.3180
   1.82060   1.82060   1.82060

    3
    1WATER  OW1    1   0.026   1.624-100.679
    1WATER  HW2    2   0.190   1.661   1.747
    1WATER  HW3    3   0.277   1.568   1.613
   1.82060   1.82060   1.82060   0.00000   0.00000   0.91030   0.00000   0.91030   0.91030
";

/// What reading this text complains of.
fn complaint(text: &str) -> String {
    let error = file("a.gro", text).read_for(&carbons(3)).unwrap_err();
    error.to_string()
}

#[test]
fn frames_are_read_with_velocities_or_without_in_ångström() {
    let molecule = carbons(3);
    let crlf = WATER.replace('\n', "\r\n") + "\r\n\r\n";
    for file in [
        file("a.gro", WATER),
        file("a.gro", crlf),
        file("A.GRO.gz", gzip(WATER)),
    ] {
        let record = file.read_for(&molecule).unwrap();
        assert_eq!(record.molecule, molecule);
        assert_eq!(record.conformers.len(), 2);
        let nanometres = [
            0.126, 1.624, -100.679, 0.19, 1.661, 1.747, 0.177, 1.568, 1.613,
        ];
        assert_eq!(record.conformers.get(0), nanometres.map(|x| 10.0 * x));
        let [first, last] = [record.conformers.get(1)[0], record.conformers.get(1)[6]];
        assert_eq!([first, last], [0.026, 0.277].map(|x| 10.0 * x));
    }
}

#[test]
fn any_number_of_decimals_is_read() {
    for decimals in [1, 3, 5, 9] {
        let width = decimals + 5;
        let positions = [1.25, -20.5, 300.125];
        let fields: String = positions.map(|x| format!("{x:width$.decimals$}")).concat();
        let moving = decimals + 1;
        let velocities = format!("{:width$.moving$}", -0.5).repeat(3);
        let text = format!("ion.s\n 1\n    1A.B..   C.    1{fields}{velocities}\n 1 1 1\n");
        let record = file("a.gro", text).read_for(&carbons(1)).unwrap();
        for (found, nanometres) in record.conformers.get(0).iter().zip(positions) {
            let off = (found - 10.0 * nanometres).abs();
            assert!(
                off <= 5.001 * 0.1_f64.powi(decimals as i32),
                "{decimals}: {found}"
            );
        }
    }
}

#[test]
fn frames_are_those_that_chemfiles_writes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.gro");
    trajectory(&path, 13, 3);
    let molecule = carbons(13);
    let options = ReadOptions {
        molecule: Some(&molecule),
        format: None,
    };
    let record = read(&path, &options).unwrap();
    assert_eq!(record.conformers.len(), 3);
    for (step, conformer) in record.conformers.iter().enumerate() {
        for (index, position) in conformer.chunks(3).enumerate() {
            let place = (index + 100 * step) as f64;
            let expected = [place.sin(), place.cos(), 0.1 * index as f64];
            for (found, expected) in position.iter().zip(expected) {
                assert!((found - expected).abs() < 5.001e-3, "{found}, {expected}");
            }
        }
    }
}

#[test]
fn a_faulty_frame_is_refused_by_its_line() {
    let line = |number: usize| WATER.lines().nth(number - 1).unwrap();
    let cut = |lines: usize| -> String { WATER.split_inclusive('\n').take(lines).collect() };
    let replaced = |number: usize, with: &str| WATER.replacen(line(number), with, 1);
    for (text, words) in [
        (
            WATER.replacen("    3\n", "    4\n", 1),
            "line 2 (frame 1): it has 4 atoms, but the molecule has 3",
        ),
        (
            WATER.replacen("    3\n", "    2\n", 1),
            "line 2 (frame 1): it has 2 atoms, but the molecule has 3",
        ),
        (
            WATER.replacen("    3\n", "99999999999999\n", 1),
            "line 2 (frame 1): 100000000000000 lines of atoms and a box are announced, but only 10 follow",
        ),
        (
            WATER.replacen("    3\n", "18446744073709551615\n", 1),
            "line 2 (frame 1): 18446744073709551615 lines of atoms and a box are announced, but only 10",
        ),
        (
            WATER.replacen("    3\n", "    0\n", 1),
            "line 2 (frame 1): 0 atoms",
        ),
        (
            WATER.replacen("    3\n", "three\n", 1),
            "line 2 (frame 1): expected a number of atoms, found \"three\"",
        ),
        (
            // One atom too many for the count.
            WATER.replacen(line(6), &format!("{}\n{}", line(5), line(6)), 1),
            "line 6 (frame 1): a number of the box is \"1WATER\"",
        ),
        (
            WATER.replacen(line(12), &format!("{}\n{}", line(11), line(12)), 1),
            "line 12 (frame 2): expected a box of three or nine numbers",
        ),
        (
            // One too few.
            WATER.replacen(&format!("{}\n", line(5)), "", 1),
            "line 5 (frame 1): the line of an atom ends after 30 of 44 columns",
        ),
        (
            cut(1),
            "line 2 (frame 1): 2 header lines are announced, but only 1 follow",
        ),
        (
            cut(4),
            "line 2 (frame 1): 4 lines of atoms and a box are announced, but only 2 follow",
        ),
        (
            cut(11),
            "line 8 (frame 2): 4 lines of atoms and a box are announced, but only 3 follow",
        ),
        (
            WATER[..WATER.find("  0.3191").unwrap() + 5].to_owned() + "\n\n\n",
            "line 4 (frame 1): the line of an atom ends after 57 of 68 columns",
        ),
        (
            WATER.replacen("   1.661", "   1.x61", 1),
            "line 4 (frame 1): y is \"1.x61\", which is not a number",
        ),
        (
            WATER.replacen("   1.747", "     nan", 1),
            "line 4 (frame 1): z is nan; only finite numbers",
        ),
        (
            WATER.replacen("   1.747", "     inf", 1),
            "line 4 (frame 1): z is inf; only finite numbers",
        ),
        (
            WATER.replacen("   1.747", " 1.2e308", 1),
            "line 4 (frame 1): z in Å is inf; only finite numbers",
        ),
        (
            WATER.replacen("  0.8085", "     nan", 1),
            "line 4 (frame 1): vx is nan; only finite numbers",
        ),
        (
            WATER.replacen("   0.126", "     nan", 1),
            "line 3 (frame 1): expected an atom with x, y and z from column 21 on",
        ),
        (
            WATER.replacen("   1.624", "  1.6240", 1),
            "line 3 (frame 1): expected an atom with x, y and z from column 21 on",
        ),
        (
            WATER.replacen("HW3    3", "HW3     3", 1),
            "line 5 (frame 1): expected the end of the line after the velocities, found \"0\"",
        ),
        (
            replaced(4, &format!("{} ; H", line(4))),
            "line 4 (frame 1): expected the end of the line after the velocities, found \" ; H\"",
        ),
        (
            replaced(4, &line(4).replace("HW2", "Hé2")),
            "line 4 (frame 1): a line of fixed columns holds the character 'é'",
        ),
        (
            replaced(3, &line(3).replace("OW1", "Oé1")),
            "line 3 (frame 1): a line of fixed columns holds the character 'é'",
        ),
        (
            replaced(6, "1.8 nan 1.8"),
            "line 6 (frame 1): a number of the box is nan; only finite",
        ),
        (
            replaced(6, "1.8 1.8"),
            "line 6 (frame 1): expected a box of three or nine numbers",
        ),
    ] {
        let message = complaint(&text);
        assert!(message.contains(words), "{message}\n  lacks: {words}");
    }
}

#[test]
fn a_frame_after_a_faulty_one_can_still_be_read() {
    let text = WATER.replacen("   1.661", "   1.x61", 1);
    let (file, molecule) = (file("a.gro", text), carbons(3));
    let options = ReadOptions {
        molecule: Some(&molecule),
        format: None,
    };
    let source = Source::open(&file.path, &options).unwrap();
    let frames: Vec<bool> = source.frames().map(|frame| frame.is_ok()).collect();
    assert_eq!(frames, [false, true]);
}

#[test]
fn a_file_needs_its_molecule_and_a_frame() {
    assert!(matches!(
        file("a.gro", WATER).read(),
        Err(Error::NeedsMolecule { .. })
    ));
    for text in ["", "\n  \n"] {
        let error = file("a.gro", text).read_for(&carbons(3)).unwrap_err();
        assert!(matches!(error, Error::Empty { .. }), "{error}");
    }
}
