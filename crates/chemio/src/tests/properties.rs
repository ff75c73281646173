//! SDF: what the counts announce, and the properties after the bonds.

use super::{
    file,
    sdf::{V3000, ZWITTERION},
};

#[test]
fn bonds_that_the_counts_forget_are_refused() {
    for (text, words) in [
        (
            ZWITTERION.replace("  5  4  0", "  5  3  0"),
            "line 13 (frame 1): 3 bonds are announced, and after them comes \"  3  5  1  0\"",
        ),
        (
            ZWITTERION.replace("  5  4  0", "  5  0  0"),
            "line 10 (frame 1): 0 bonds are announced, and after them comes \"  1  2  1  0\"",
        ),
        (
            // What follows an alias is its text, and no more.
            ZWITTERION
                .replace("  5  4  0", "  5  2  0")
                .replace("  3  4  2  0\n", "A    3\n  3  4  2  0\n"),
            "line 14 (frame 1): 2 bonds are announced",
        ),
        (
            ZWITTERION.replace("M  CHG", "M CHG"),
            "after them comes \"M CHG",
        ),
        (
            V3000.replace("COUNTS 3 2", "COUNTS 3 0"),
            "line 6 (frame 1): 0 bonds are announced, but 2 follow",
        ),
        (
            V3000.replace("COUNTS 3 2", "COUNTS 3 1"),
            "1 bonds are announced, but 2 follow",
        ),
        (
            V3000.replace("COUNTS 3 2", "COUNTS 2 2"),
            "2 atoms are announced, but 3 follow",
        ),
    ] {
        let message = file("a.sdf", text).message();
        assert!(message.contains(words), "{message}\n  lacks: {words}");
    }
}

#[test]
fn properties_that_are_not_needed_are_passed_over() {
    let plain = file("a.sdf", ZWITTERION).read().unwrap();
    let properties = [
        "M  ISO  1   1  15\n",
        "M  STY  1   1 DAT\n",
        "M  ALS   1  2 F C   N   \n",
        "M  SED   1 text\n",
        "A    2\n  1  2  1\n",
        "V    3 a value\n",
        "G    2  1\nabbreviation\n",
        "S  SKP  2\n  1  2  1\n$ anything\n",
        "\n",
    ];
    for property in properties {
        let text = ZWITTERION.replace("M  CHG", &format!("{property}M  CHG"));
        let record = file("a.sdf", text).read();
        let record = record.unwrap_or_else(|error| panic!("{property:?}: {error}"));
        assert_eq!(record.molecule, plain.molecule, "{property:?}");
    }
    // Lists of atoms and texts of drawings, announced by the counts line; and announced, but not there.
    let announced = ZWITTERION.replace("  5  4  0  0  0  0", "  5  4  1  0  0  1");
    let listed = announced.replace(
        "M  CHG",
        "  2 F    2   6   7\n    0.0    0.0    0.0 text\ntext\nM  CHG",
    );
    for text in [listed, announced] {
        assert_eq!(file("a.sdf", text).read().unwrap().molecule, plain.molecule);
    }
    // A block of no bonds may be there or not.
    let bonds = "M  V30 1 2 9 7\nM  V30 2 1 9 4 CFG=1\n";
    let empty = V3000.replace("COUNTS 3 2", "COUNTS 3 0").replace(bonds, "");
    let none = empty.replace("M  V30 BEGIN BOND\nM  V30 END BOND\n", "");
    for text in [empty, none] {
        assert_eq!(file("a.sdf", text).read().unwrap().molecule.bonds, []);
    }
}
