//! PDB.

use boltzflow_molecule::{Bond, BondOrder};

use super::{charges, file, symbols};

/// An atom line; `name` and `tail` (occupancy onwards) in their columns.
fn atom(serial: usize, name: &str, alternate: &str, residue: &str, x: f64, tail: &str) -> String {
    format!(
        "ATOM  {serial:5} {name:4}{alternate:1}{residue:>3} A   1    {x:8.3}{:8.3}{:8.3}{tail}\n",
        0.0, 0.0
    )
}

#[test]
fn elements_come_from_their_columns_or_else_from_the_name() {
    let cases = [
        ("1HH3", "ACE", "", "H"),
        (" CA ", "ALA", "", "C"),
        ("CA  ", "ALA", "", "C"),
        ("HG1 ", "THR", "", "H"),
        ("HG11", "VAL", "", "H"),
        (" OXT", "ALA", "", "O"),
        ("CA  ", " CA", "", "Ca"),
        ("CL  ", " CL", "", "Cl"),
        ("CL1 ", "LIG", "", "Cl"),
        ("Br2 ", "LIG", "", "Br"),
        (" C12", "LIG", "", "C"),
        (" HO2", "LIG", "", "H"),
        ("ZN  ", " ZN", "", "Zn"),
        ("NA  ", " NA", "", "Na"),
        (" NA ", "HEM", "", "N"),
        (" CA ", "ALA", "  1.00  0.00          CA", "Ca"),
        (" X1 ", "LIG", "  1.00  0.00           S", "S"),
        (" C1 ", "LIG", "  1.00  0.00          12", "C"),
        // A symbol of two letters begins in column 13, one of one letter in column 14.
        ("SE  ", "MSE", "", "Se"),
        (" SD ", "MSE", "", "S"),
        ("FE  ", "HEM", "", "Fe"),
        ("MG  ", "CLA", "", "Mg"),
        ("SI1 ", "LIG", "", "Si"),
        ("CA  ", "LIG", "", "Ca"),
        (" CA ", "LIG", "", "C"),
        ("HG  ", "LIG", "", "Hg"),
        (" HG ", "LIG", "", "H"),
        ("HG11", "LIG", "", "H"),
        ("HO2A", "LIG", "", "H"),
        ("CL12", "LIG", "", "Cl"),
        ("1HO2", "LIG", "", "H"),
    ];
    for (name, residue, tail, symbol) in cases {
        let record = file("a.pdb", atom(1, name, "", residue, 0.0, tail))
            .read()
            .unwrap_or_else(|error| panic!("{name} in {residue}: {error}"));
        assert_eq!(symbols(&record.molecule), [symbol], "{name} in {residue}");
    }
    let message = file("a.pdb", atom(1, " QQ ", "", "LIG", 0.0, "")).message();
    assert!(
        message.contains("atom 1 is of no known element: \"QQ\""),
        "{message}"
    );
    let message = file(
        "a.pdb",
        atom(1, " C1 ", "", "LIG", 0.0, "  1.00  0.00          QQ"),
    )
    .message();
    assert!(
        message.contains("atom 1 is of no known element: \"QQ\""),
        "{message}"
    );
}

#[test]
fn names_that_all_begin_in_column_13_say_elements_as_if_they_were_aligned() {
    let symbols_of = |names: &[&str]| {
        let lines = names.iter().map(|name| atom(1, name, "", "LIG", 0.0, ""));
        symbols(
            &file("a.pdb", lines.collect::<String>())
                .read()
                .unwrap()
                .molecule,
        )
        .join(" ")
    };
    // `HO` and `C1` are no symbols where `N1` begins in column 13 too.
    assert_eq!(symbols_of(&["N1", "CA", "HO1", "CL", "HG12"]), "N C H Cl H");
    assert_eq!(
        symbols_of(&[" N1", "CA", "HO1", "CL", "HG12"]),
        "N Ca Ho Cl H"
    );
    // Each residue by itself: a ligand without alignment changes nothing in haem.
    let lines = [
        atom(1, "C1  ", "", "LIG", 0.0, ""),
        atom(2, "CO  ", "", "LIG", 0.0, ""),
        atom(3, " NA ", "", "HEM", 0.0, ""),
        atom(4, "FE  ", "", "HEM", 0.0, ""),
    ];
    let record = file("a.pdb", lines.concat()).read().unwrap();
    assert_eq!(symbols(&record.molecule), ["C", "C", "N", "Fe"]);
}

#[test]
fn identifiers_and_line_numbers_of_old_files_are_no_charges() {
    let line = |tail: &str| {
        atom(
            1,
            " N  ",
            "",
            "THR",
            0.0,
            &format!("  1.00 13.79      {tail}"),
        )
    };
    let tails = [
        "1CRN  70", "1CRN   3", "1CRN 170", "1CRN1070", "    1   ", "SEGA", "SEGA N", "SEGA N  ",
        "SEGA N1+",
    ];
    let text = tails.map(line).concat();
    let molecule = file("a.pdb", text).read().unwrap().molecule;
    assert_eq!(charges(&molecule), [0, 0, 0, 0, 0, 0, 0, 0, 1]);
    assert_eq!(symbols(&molecule), ["N"; 9]);
    // After an element two digits are no line number.
    let message = file("a.pdb", line("SEGA N70")).message();
    assert!(message.contains("the formal charge \"70\""), "{message}");
}

#[test]
fn charges_in_columns_79_and_80_are_kept() {
    let tail = |charge: &str| format!("  1.00  0.00           N{charge}");
    let text = ["1+", "2-", "+1", "", "-"]
        .iter()
        .map(|charge| atom(1, " N1 ", "", "LIG", 0.0, &tail(charge)))
        .collect::<String>();
    assert_eq!(
        charges(&file("a.pdb", text).read().unwrap().molecule),
        [1, -2, 1, 0, -1]
    );
    let message = file("a.pdb", atom(1, " N1 ", "", "LIG", 0.0, &tail("7?"))).message();
    assert!(
        message.contains("atom 1 has the formal charge \"7?\""),
        "{message}"
    );
}

#[test]
fn one_alternate_location_is_kept_the_same_in_the_whole_residue() {
    let lines = [
        atom(1, " N  ", "", "SER", 0.0, "  1.00  0.00           N"),
        atom(2, " CA ", "A", "SER", 1.0, "  0.40  0.00           C"),
        atom(3, " CA ", "B", "SER", 2.0, "  0.60  0.00           C"),
        atom(4, " CB ", "A", "SER", 3.0, "  0.50  0.00           C"),
        atom(5, " CB ", "B", "SER", 4.0, "  0.50  0.00           C"),
        atom(6, " OG ", "A", "SER", 5.0, "  0.40  0.00           O"),
    ];
    let record = file("a.pdb", lines.concat()).read().unwrap();
    let x: Vec<f64> = record
        .conformers
        .get(0)
        .iter()
        .step_by(3)
        .copied()
        .collect();
    assert_eq!(x, [0.0, 2.0, 4.0, 5.0]);
    let names: Vec<&str> = record
        .molecule
        .atoms
        .iter()
        .map(|atom| atom.name.as_str())
        .collect();
    assert_eq!(names, ["N", "CA", "CB", "OG"]);
    assert_eq!(record.molecule.residues.len(), 1);
    // Alternate residues at one place: the other residue goes as a whole.
    let other = [
        atom(1, " CA ", "A", "SER", 1.0, "  0.60"),
        atom(2, " OG ", "A", "SER", 2.0, "  0.60"),
        atom(3, " CA ", "B", "THR", 3.0, "  0.40"),
        atom(4, " OG1", "B", "THR", 4.0, "  0.40"),
    ];
    assert_eq!(
        file("a.pdb", other.concat())
            .read()
            .unwrap()
            .molecule
            .atoms
            .len(),
        2
    );
    // On a tie the first wins.
    let tie = [
        atom(1, " N  ", "A", "SER", 1.0, "  0.50"),
        atom(2, " N  ", "B", "SER", 2.0, "  0.50"),
    ]
    .concat();
    assert_eq!(
        file("a.pdb", tie).read().unwrap().conformers.get(0)[..1],
        [1.0]
    );
}

#[test]
fn models_are_conformers_and_conect_holds_for_each() {
    let model = |number: usize, x: f64| {
        format!(
            "MODEL     {number:4}\n{}{}ENDMDL\n",
            atom(1, " C1 ", "", "LIG", x, ""),
            atom(12, " O1 ", "", "LIG", x + 1.2, "")
        )
    };
    let text = format!(
        "REMARK é\n{}{}CONECT    1   12   12\nCONECT   12    1\nCONECT    1   77\nEND\n",
        model(1, 0.0),
        model(2, 3.0)
    );
    let record = file("a.pdb", &text).read().unwrap();
    assert_eq!(record.conformers.len(), 2);
    assert_eq!(
        record.molecule.bonds,
        [Bond {
            atoms: [0, 1],
            order: BondOrder::Unknown
        }]
    );
    let message = file("a.pdb", text.replace("ENDMDL\n", "")).message();
    assert!(message.contains("\"ENDMDL\" is missing"), "{message}");
    let separate = format!(
        "{}END\n{}END\n",
        atom(1, " C1 ", "", "LIG", 0.0, ""),
        atom(1, " C1 ", "", "LIG", 1.0, "")
    );
    assert_eq!(file("a.pdb", separate).read().unwrap().conformers.len(), 2);
}

#[test]
fn faults_are_named_with_their_line() {
    let good = atom(1, " C1 ", "", "LIG", 0.0, "  1.00  0.00           C");
    for (text, words) in [
        ("REMARK nothing\nEND\n".to_owned(), "holds no molecule"),
        ("MODEL        1\nENDMDL\n".to_owned(), "0 atoms"),
        (
            good[..50].to_owned(),
            "the line of an atom ends after 50 of 54 columns",
        ),
        (
            good.replacen("   0.000", "     nan", 1),
            "x is nan; only finite",
        ),
        (
            good.replacen("   0.000", "********", 1),
            "x is \"********\", which is not a number",
        ),
        (good.replace("C1", "É1"), "which is not ASCII"),
        (
            format!("{good}{good}CONECT    1    1\n"),
            "CONECT names serial number \"1\", which several atoms have",
        ),
        (
            good.replace("   1    ", "  ZZ    "),
            "the residue number is \"ZZ\"",
        ),
    ] {
        let message = file("a.pdb", text).message();
        assert!(message.contains(words), "{message}\n  lacks: {words}");
    }
}
