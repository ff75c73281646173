//! By which steps files keep coordinates.

use super::{
    File, file, gro, gzip,
    traps::{carbons, trajectory},
};
use crate::{quantum, read_trajectory};

/// An XTC file with a frame of 13 atoms for each of these precisions.
fn xtc(precisions: &[f32]) -> File {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.xtc");
    trajectory(&path, 13, 1);
    let frame = std::fs::read(&path).unwrap();
    // The precision stands after 56 bytes.
    let place = 56..60;
    assert_eq!(frame[place.clone()], 1000_f32.to_be_bytes());
    let frames = precisions.iter().map(|precision| {
        let mut frame = frame.clone();
        frame[place.clone()].copy_from_slice(&precision.to_be_bytes());
        frame
    });
    file("a.xtc", frames.collect::<Vec<_>>().concat())
}

#[test]
fn an_ending_tells_where_coordinates_have_few_decimals_compressed_or_not() {
    for (name, expected) in [
        ("a.pdb", Some(1e-3)),
        ("a.ent", Some(1e-3)),
        ("A.PDB", Some(1e-3)),
        ("a.pdb.gz", Some(1e-3)),
        ("a.ent.gz", Some(1e-3)),
        ("a.xyz", None),
        ("a.sdf.gz", None),
        ("a.rst7", None),
        ("a.trr", None),
        ("a.dcd", None),
        ("a.nc", None),
        ("a.npz", None),
        ("a", None),
    ] {
        // Nothing of these has to be read.
        assert_eq!(quantum(name.as_ref()).unwrap(), expected, "{name}");
    }
    assert_eq!(
        quantum(&file("a.gro", gro::WATER).path).unwrap(),
        Some(0.01)
    );
    let packed = file("a.gro.gz", gzip(gro::WATER));
    assert_eq!(quantum(&packed.path).unwrap(), Some(0.01));
    assert_eq!(quantum(&xtc(&[1000.0]).path).unwrap(), Some(0.01));
}

#[test]
fn an_xtc_file_keeps_coordinates_by_the_step_of_its_coarsest_frame() {
    let file = xtc(&[1e5, 100.0, 1000.0]);
    let step = quantum(&file.path).unwrap().unwrap();
    assert_eq!(step, 0.1);
    let conformers = read_trajectory(&file.path, &carbons(13)).unwrap();
    let steps = conformers.get(1).iter().map(|x| x / step);
    assert!(steps.clone().all(|x| (x - x.round()).abs() < 1e-9));
    assert!(steps.map(f64::round).any(|x| x % 10.0 != 0.0));
    assert_eq!(quantum(&xtc(&[1e5]).path).unwrap(), Some(1e-4));
}

#[test]
fn an_xtc_file_of_at_most_nine_atoms_has_no_step() {
    let directory = tempfile::tempdir().unwrap();
    for (atoms, expected) in [(9, None), (10, Some(0.01))] {
        let path = directory.path().join("a.xtc");
        trajectory(&path, atoms, 2);
        assert_eq!(quantum(&path).unwrap(), expected, "{atoms} atoms");
    }
}

#[test]
fn an_xtc_file_that_is_damaged_or_cut_tells_no_step() {
    let whole = std::fs::read(&xtc(&[1000.0; 2]).path).unwrap();
    let cut = file("a.xtc", &whole[..whole.len() - 7]);
    let message = quantum(&cut.path).unwrap_err().to_string();
    assert!(message.contains("frame 2: the file ends"), "{message}");
    for precision in [f32::NAN, f32::INFINITY, 0.0, -1000.0] {
        let message = quantum(&xtc(&[1000.0, precision]).path)
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("frame 2: expected packed coordinates"),
            "{message}"
        );
    }
}

#[test]
fn a_gro_file_keeps_coordinates_by_the_step_of_its_coarsest_frame() {
    let frame = |decimals: usize| {
        let width = decimals + 5;
        let fields = format!("{:width$.decimals$}", 0.5).repeat(3);
        format!("t\n1\n    1ION      C    1{fields}\n 1 1 1\n")
    };
    for (decimals, expected) in [
        (vec![3], 1e-2),
        (vec![5], 1e-4),
        (vec![1], 1.0),
        (vec![5, 2, 3], 1e-1),
        (vec![9, 9], 1e-8),
    ] {
        let text: String = decimals.iter().map(|&decimals| frame(decimals)).collect();
        let found = quantum(&file("a.gro", text).path).unwrap();
        assert_eq!(found, Some(expected), "{decimals:?} decimals");
    }
}

#[test]
fn a_gro_file_that_is_cut_tells_no_step() {
    let lines = gro::WATER.split_inclusive('\n').take(11);
    let message = quantum(&file("a.gro", lines.collect::<String>()).path)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("line 8 (frame 2)") && message.contains("but only 3 follow"),
        "{message}"
    );
    assert_eq!(quantum(&file("a.gro", "").path).unwrap(), None);
}
