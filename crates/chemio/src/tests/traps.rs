//! What chemfiles trips over, and what no file may do.

use boltzflow_molecule::Molecule;
use chemfiles::{Atom, Frame, Trajectory};

use super::{file, gzip};
use crate::{Error, ReadOptions, Source, quantum, read, read_records, read_trajectory};

/// A molecule of so many carbon atoms.
pub(super) fn carbons(count: usize) -> Molecule {
    file("a.xyz", format!("{count}\n\n{}", "C 0 0 0\n".repeat(count)))
        .read()
        .unwrap()
        .molecule
}

/// Frames of carbon atoms, written by chemfiles.
pub(super) fn trajectory(path: &std::path::Path, atoms: usize, frames: usize) {
    let mut trajectory = Trajectory::open(path, 'w').unwrap();
    for step in 0..frames {
        let mut frame = Frame::new();
        for index in 0..atoms {
            let place = (index + 100 * step) as f64;
            frame.add_atom(
                &Atom::new("C"),
                [place.sin(), place.cos(), 0.1 * index as f64],
                None,
            );
        }
        trajectory.write(&frame).unwrap();
    }
}

const TRAJECTORIES: [&str; 4] = ["xtc", "trr", "dcd", "nc"];

#[test]
fn trajectories_are_read_with_their_molecule() {
    let directory = tempfile::tempdir().unwrap();
    for (extension, atoms) in TRAJECTORIES
        .into_iter()
        .flat_map(|extension| [(extension, 5), (extension, 13)])
    {
        let path = directory.path().join("a").with_extension(extension);
        trajectory(&path, atoms, 4);
        let conformers =
            read_trajectory(&path, &carbons(atoms)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(conformers.len(), 4, "{extension}");
        let off = (conformers.get(3)[0] - 300_f64.sin()).abs();
        assert!(off < 6e-3, "{extension}: {off}");
        let message = read_trajectory(&path, &carbons(atoms + 1))
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("frame 1: it has") && message.contains("but the molecule has"),
            "{message}"
        );
        let message = read(&path, &ReadOptions::default())
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("holds coordinates only; say what its atoms are"),
            "{message}"
        );
    }
}

#[test]
fn a_trr_frame_of_no_atoms_is_refused_before_chemfiles_sees_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.trr");
    trajectory(&path, 5, 2);
    let whole = std::fs::read(&path).unwrap();
    // Magic number, the version and its lengths, ten sizes of blocks, then the number of atoms.
    let (sizes, atoms) = (24..64, 64..68);
    assert_eq!(whole[atoms.clone()], 5_u32.to_be_bytes());
    for frame in [0, whole.len() / 2] {
        let mut none = whole.clone();
        none[atoms.start + frame..atoms.end + frame].fill(0);
        let with_sizes = none.clone();
        none[sizes.start + frame..sizes.end + frame].fill(0);
        for bytes in [with_sizes, none] {
            std::fs::write(&path, bytes).unwrap();
            let message = read_trajectory(&path, &carbons(5)).unwrap_err().to_string();
            assert!(
                message.contains("it has 0 atoms, but the molecule has 5"),
                "{message}"
            );
            let empty = read_trajectory(&path, &Molecule::default());
            assert!(matches!(empty, Err(Error::NeedsMolecule { .. })));
        }
    }
}

#[test]
fn packed_coordinates_are_those_that_chemfiles_reads() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.xtc");
    for (atoms, scale) in [
        (10, 1.0),
        (13, 30.0),
        (100, 3.0),
        (999, 0.2),
        (37, 4000.0),
        (300, 0.0),
    ] {
        let mut writer = Trajectory::open(&path, 'w').unwrap();
        for step in 0..3 {
            let mut frame = Frame::new();
            for index in 0..atoms {
                let place = f64::from(index + 1000 * step);
                // Threes of close atoms, like water, far from each other.
                let far = f64::from(index / 3) * 0.7;
                let position = [
                    scale * far.sin() + place.sin(),
                    scale * far.cos(),
                    scale * (0.3 * far).sin() + (2.0 * place).cos(),
                ];
                frame.add_atom(&Atom::new("C"), position, None);
            }
            writer.write(&frame).unwrap();
        }
        drop(writer);
        let ours = read_trajectory(&path, &carbons(atoms as usize))
            .unwrap_or_else(|error| panic!("{atoms}: {error}"));
        let mut reader = Trajectory::open(&path, 'r').unwrap();
        let mut frame = Frame::new();
        assert_eq!(ours.len(), 3);
        for conformer in &ours {
            reader.read(&mut frame).unwrap();
            for (ours, theirs) in conformer.iter().zip(frame.positions().as_flattened()) {
                assert!(
                    (ours - theirs).abs() <= 1e-6 * (1.0 + theirs.abs()),
                    "{atoms} atoms: {ours} and {theirs}"
                );
            }
        }
    }
}

#[test]
fn a_trajectory_cut_at_any_byte_is_refused_or_ends_with_a_frame() {
    let directory = tempfile::tempdir().unwrap();
    for extension in TRAJECTORIES {
        let path = directory.path().join("a").with_extension(extension);
        trajectory(&path, 13, 3);
        let whole = std::fs::read(&path).unwrap();
        let molecule = carbons(13);
        let all = read_trajectory(&path, &molecule).unwrap();
        let mut accepted = 0;
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            if let Ok(some) = read_trajectory(&path, &molecule) {
                // Cut exactly between frames: nothing tells that there were more.
                assert_eq!(some.positions(), &all.positions()[..some.positions().len()]);
                accepted += 1;
            }
        }
        assert!(
            accepted <= 5,
            "{extension}: {accepted} of {} cuts went unnoticed",
            whole.len()
        );
        std::fs::write(&path, &whole[..whole.len() - 7]).unwrap();
        let message = read_trajectory(&path, &molecule).unwrap_err().to_string();
        assert!(
            message.contains("it is truncated"),
            "{extension}: {message}"
        );
    }
}

#[test]
fn a_trajectory_with_any_byte_changed_brings_nothing_down() {
    let directory = tempfile::tempdir().unwrap();
    let molecule = carbons(13);
    for extension in TRAJECTORIES {
        let path = directory.path().join("a").with_extension(extension);
        trajectory(&path, 13, 2);
        let whole = std::fs::read(&path).unwrap();
        for place in 0..whole.len() {
            for mask in [0xff, 0x01] {
                let mut changed = whole.clone();
                changed[place] ^= mask;
                std::fs::write(&path, &changed).unwrap();
                drop(read_trajectory(&path, &molecule));
                drop(quantum(&path));
            }
        }
    }
}

#[test]
fn text_that_is_no_text_is_refused_before_anybody_parses_it() {
    for name in ["a.pdb", "a.sdf", "a.xyz", "a.rst7", "a.gro"] {
        let file = file(name, [b'H', b' ', 0xff, 0xfe, 0x80]);
        let molecule = carbons(2);
        let message = file.read_for(&molecule).unwrap_err().to_string();
        assert!(
            message.contains("is not text: byte 2 is not valid UTF-8"),
            "{message}"
        );
    }
}

#[test]
fn random_bytes_and_torn_text_bring_no_reader_down() {
    let sources = [
        super::sdf::ZWITTERION.to_owned(),
        "2\nenergy=1 Properties=species:S:1:pos:R:3\nH 0 0 0\nH 0 0 1\n".to_owned(),
        super::gro::WATER.to_owned(),
    ];
    let mut state = 1_u64;
    let mut random = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    let molecule = carbons(3);
    for round in 0..400 {
        let source = &sources[round % sources.len()];
        let mut bytes = source.as_bytes().to_vec();
        for _ in 0..=random() % 4 {
            let place = random() % bytes.len();
            match random() % 3 {
                0 => bytes[place] = (random() % 128) as u8,
                1 => bytes.truncate(place.max(1)),
                _ => bytes
                    .splice(place..place, *b"  99999\n-1 nan $$$$")
                    .for_each(drop),
            }
        }
        for name in ["a.pdb", "a.sdf", "a.xyz", "a.rst7", "a.gro"] {
            let file = file(name, &bytes);
            let options = ReadOptions {
                molecule: Some(&molecule),
                format: None,
            };
            if let Ok(source) = Source::open(&file.path, &options) {
                assert!(source.frames().take(1000).count() < 1000);
            }
            drop(quantum(&file.path));
        }
    }
}

#[test]
fn empty_missing_and_unknown_files_are_named() {
    for name in ["a.pdb", "a.sdf", "a.xyz"] {
        let message = file(name, "").message();
        assert!(
            message.contains(name) && message.contains("holds no molecule"),
            "{message}"
        );
        assert!(matches!(
            read_records(&file(name, "\n\n").path, &ReadOptions::default()),
            Err(Error::Empty { .. })
        ));
    }
    for extension in TRAJECTORIES {
        let file = file(&format!("a.{extension}"), "");
        assert!(
            read_trajectory(&file.path, &carbons(2))
                .unwrap_err()
                .to_string()
                .contains("holds no molecule")
        );
    }
    assert!(
        file("a.docx", "")
            .message()
            .contains("no extension that names a format")
    );
    let directory = tempfile::tempdir().unwrap();
    let message = read(&directory.path().join("gone.xyz"), &ReadOptions::default())
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("cannot read") && message.contains("gone.xyz"),
        "{message}"
    );
    std::fs::create_dir(directory.path().join("folder.xyz")).unwrap();
    assert!(
        read(
            &directory.path().join("folder.xyz"),
            &ReadOptions::default()
        )
        .is_err()
    );
    std::fs::create_dir(directory.path().join("folder.xtc")).unwrap();
    assert!(read_trajectory(&directory.path().join("folder.xtc"), &carbons(2)).is_err());
}

#[test]
fn compressed_text_is_read_and_a_cut_one_refused() {
    let packed = gzip("1\n\nH 0 0 0\n");
    assert_eq!(
        file("a.xyz.gz", &packed).read().unwrap().conformers.len(),
        1
    );
    assert!(matches!(
        file("a.xyz.gz", &packed[..packed.len() - 5]).read(),
        Err(Error::Read { .. })
    ));
    assert_eq!(
        file("a.xyz.gz", "1\n\nH 0 0 0\n")
            .read()
            .unwrap()
            .conformers
            .len(),
        1
    );
}

#[test]
fn amber_coordinates_are_read_with_velocities_and_box_or_without() {
    let molecule = carbons(3);
    let row = |numbers: &[f64]| {
        let fields: Vec<String> = numbers
            .iter()
            .map(|number| format!("{number:12.7}"))
            .collect();
        fields.concat() + "\n"
    };
    let positions = row(&[1.0, -2.0, 3.25, 4.0, 5.0, 6.0]) + &row(&[-100.125, -200.5, -300.75]);
    let cell = row(&[10.0, 10.0, 10.0, 90.0, 90.0, 90.0]);
    let read_text = |text: &str| file("a.rst7", text).read_for(&molecule);
    for tail in [
        String::new(),
        cell.clone(),
        positions.clone(),
        positions.clone() + &cell,
    ] {
        let record = read_text(&format!("title\n    3  0.5E+00\n{positions}{tail}")).unwrap();
        assert_eq!(record.conformers.get(0)[2..3], [3.25]);
        assert_eq!(record.conformers.get(0)[6..], [-100.125, -200.5, -300.75]);
    }
    for (text, words) in [
        (
            format!("title\n    4\n{positions}"),
            "it has 4 atoms, but the molecule has 3",
        ),
        (
            "title\n    3\n".to_owned(),
            "2 lines of coordinates are announced, but only 0 follow",
        ),
        (
            format!("title\n    3\n{}", &positions[..60]),
            "announced, but only 1 follow",
        ),
        (
            format!("title\n    3\n{}", &positions[..positions.len() - 20]),
            "has 2 values where 3 belong",
        ),
        (
            format!(
                "title\n    3\n{}",
                positions.replace("-200.5000000", "         nan")
            ),
            "only finite",
        ),
        (
            format!("title\n    x\n{positions}"),
            "expected a number of atoms",
        ),
        ("title".to_owned(), "2 header lines"),
    ] {
        let message = read_text(&text).unwrap_err().to_string();
        assert!(message.contains(words), "{message}\n  lacks: {words}");
    }
}
