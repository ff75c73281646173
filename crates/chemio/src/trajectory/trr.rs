//! TRR: frames are found by their headers and lengths, then decoded by chemfiles.
//!
//! Chemfiles passes over a frame that is cut without a word, and believes what a header says of sizes; so it sees only files whose
//! frames follow each other, end where the file ends, and are of the right number of atoms.

use std::{
    panic::{self, AssertUnwindSafe},
    path::Path,
    sync::Once,
};

use boltzflow_molecule::Conformers;

use super::{
    bytes::{Bytes, Stop, check_atoms},
    check_finite,
};
use crate::{Error, Fault, source::binary};

/// Reads a TRR file.
pub(super) fn read(path: &Path, atoms: usize) -> Result<Conformers, Error> {
    let announced = count(path, atoms)?;
    let decoded = panic::catch_unwind(AssertUnwindSafe(|| frames(path, atoms)));
    let message = "it makes chemfiles fail; the file is damaged";
    let conformers = decoded.map_err(|_| Error::Chemfiles {
        path: path.to_owned(),
        message: message.to_owned(),
    })??;
    match conformers.len() {
        0 => Err(Error::Empty {
            path: path.to_owned(),
        }),
        found if found != announced => Err(binary(
            path,
            found.min(announced),
            Fault::LostFrames { announced, found },
        )),
        _ => Ok(conformers),
    }
}

/// Counts whole frames.
fn count(path: &Path, atoms: usize) -> Result<usize, Error> {
    let mut bytes = Bytes::open(path)?;
    let mut frames = 0;
    while bytes.begin() {
        pass(&mut bytes, atoms).map_err(|stop| bytes.error(frames, stop))?;
        frames += 1;
    }
    Ok(frames)
}

/// Passes one frame: a header with the sizes of ten blocks, then the blocks.
fn pass(bytes: &mut Bytes, expected: usize) -> Result<(), Stop> {
    if bytes.size()? != 1993 {
        return Err(Stop::NoFrame);
    }
    bytes.skip(4)?;
    let version = bytes.size()?;
    if bytes.vec(version)? != b"GMX_trn_file" {
        return Err(Stop::NoFrame);
    }
    let mut blocks = [0; 10];
    for block in &mut blocks {
        *block = bytes.size()?;
    }
    let atoms = bytes.size()?;
    check_atoms(atoms, expected)?;
    let [.., positions, velocities, forces] = blocks;
    let vector = 3 * atoms;
    let real = positions / vector;
    if (real != 4 && real != 8)
        || [positions, velocities, forces]
            .iter()
            .any(|&block| block != 0 && block != real * vector)
    {
        return Err(Stop::NoFrame);
    }
    bytes.skip(4 + 4 + 2 * real)?;
    bytes.skip(blocks.iter().sum())
}

/// Reads frame after frame through chemfiles.
fn frames(path: &Path, atoms: usize) -> Result<Conformers, Error> {
    route_warnings();
    let failed = |error: chemfiles::Error| Error::Chemfiles {
        path: path.to_owned(),
        message: error.to_string(),
    };
    let mut trajectory =
        chemfiles::Trajectory::open_with_format(path, 'r', "TRR").map_err(failed)?;
    let steps = trajectory.nsteps();
    let mut conformers = Conformers::empty(atoms, 3);
    let mut frame = chemfiles::Frame::new();
    for step in 0..steps {
        trajectory.read(&mut frame).map_err(failed)?;
        // Asking an empty frame for its positions is undefined behaviour.
        if frame.size() != atoms {
            return Err(binary(
                path,
                step,
                Fault::FrameAtoms {
                    found: frame.size(),
                    expected: atoms,
                },
            ));
        }
        let positions = frame.positions().as_flattened();
        check_finite(positions).map_err(|fault| binary(path, step, fault))?;
        conformers.push(positions);
    }
    Ok(conformers)
}

/// Sends what chemfiles warns of to the log, once for the process.
///
/// The crate aborts the process on a warning that is not UTF-8. Warnings quote text of the file; TRR holds none but its version, which
/// has been checked by then.
fn route_warnings() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        chemfiles::set_warning_callback(|message| log::warn!("chemfiles: {message}"));
    });
}
