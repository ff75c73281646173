//! Arrays that come back, and files that do not.

use super::*;

fn arrays() -> Vec<(&'static str, Array)> {
    let odd = vec![
        0.1 + 0.2,
        -0.0,
        f64::MIN_POSITIVE,
        f64::NAN,
        f64::NEG_INFINITY,
        1e300,
    ];
    vec![
        ("x", Array::new(&[1, 2, 3], odd)),
        ("sample", Array::new(&[2], vec![u64::MAX, 7])),
        ("order", Array::new(&[3], vec![-1_i64, 0, i64::MIN])),
        ("none", Array::new(&[0, 3], Vec::<f64>::new())),
        ("one", Array::new(&[], vec![2.5])),
        ("fingerprint", Array::text("abc µ")),
    ]
}

fn written(path: &Path) -> Vec<(&'static str, Array)> {
    let arrays = arrays();
    let borrowed: Vec<(&str, &Array)> = arrays.iter().map(|(name, array)| (*name, array)).collect();
    Npz::write(path, &borrowed).unwrap();
    arrays
}

#[test]
fn arrays_come_back_bit_for_bit_in_their_order() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.npz");
    let arrays = written(&path);
    let back = Npz::read(&path).unwrap();
    assert_eq!(back.arrays().len(), arrays.len());
    for ((name, array), (back_name, back)) in arrays.iter().zip(back.arrays()) {
        assert_eq!(name, back_name);
        assert_eq!(array.shape, back.shape);
        match (&array.numbers, &back.numbers) {
            (Numbers::F64(ours), Numbers::F64(theirs)) => {
                assert!(
                    ours.iter()
                        .zip(theirs)
                        .all(|(a, b)| a.to_bits() == b.to_bits())
                );
            }
            (ours, theirs) => assert_eq!(ours, theirs),
        }
    }
    assert_eq!(back.array("fingerprint").unwrap().as_text(), Some("abc µ"));
}

#[test]
fn equal_arrays_make_equal_files() {
    let directory = tempfile::tempdir().unwrap();
    let [a, b] = ["a.npz", "b.npz"].map(|name| directory.path().join(name));
    written(&a);
    std::thread::sleep(std::time::Duration::from_millis(20));
    written(&b);
    assert_eq!(std::fs::read(a).unwrap(), std::fs::read(b).unwrap());
}

#[test]
fn a_file_cut_anywhere_or_with_a_changed_byte_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.npz");
    written(&path);
    let whole = std::fs::read(&path).unwrap();
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        let message = Npz::read(&path).unwrap_err().to_string();
        assert!(
            message.contains("no usable npz file"),
            "{length}: {message}"
        );
    }
    let mut changed = whole.clone();
    let place = whole
        .windows(8)
        .position(|bytes| bytes == 1e300_f64.to_le_bytes())
        .unwrap();
    changed[place] ^= 1;
    std::fs::write(&path, &changed).unwrap();
    assert!(Npz::read(&path).is_err());
    // No byte, whatever its value, may bring the reader down.
    for place in 0..whole.len() {
        let mut changed = whole.clone();
        changed[place] ^= 0xff;
        std::fs::write(&path, &changed).unwrap();
        drop(Npz::read(&path));
    }
}

#[test]
fn garbage_and_impossible_shapes_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.npy");
    let mut huge = b"\x93NUMPY\x01\x00".to_vec();
    let header =
        "{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296, 9), }\n";
    huge.extend_from_slice(&(header.len() as u16).to_le_bytes());
    huge.extend_from_slice(header.as_bytes());
    for (bytes, words) in [
        (&b"hello"[..], "NPY"),
        (b"", "NPY"),
        (&huge, "impossible shape"),
        (&huge[..30], "header"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let message = read_npy(&path).unwrap_err().to_string();
        assert!(message.contains(words), "{message}");
    }
}
