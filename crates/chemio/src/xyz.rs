//! XYZ: a count, a comment, and a symbol with three coordinates per atom; extended XYZ says in its comment what stands in which column.

use boltzflow_molecule::{Atom, Element, Molecule};

use crate::{
    Fault, Frame, Tags, Value,
    extended::{Column, Kind, Layout},
    lines::Lines,
    tags::names,
    text::{self, Located},
};

/// Reads the next frame; after a fault inside a frame the following one can still be read.
pub(crate) fn next(lines: &mut Lines<'_>) -> Option<Located<Frame>> {
    lines.skip_blank();
    let (at, line) = lines.next()?;
    let count = match text::count(line) {
        Ok(count) => count,
        Err(fault) => {
            lines.finish();
            return Some(Err((at, fault)));
        }
    };
    let comment = lines.next();
    let atoms = lines.block(count);
    if atoms.len() < count {
        return Some(Err((
            at,
            Fault::Missing {
                what: "atoms",
                announced: count,
                found: atoms.len(),
            },
        )));
    }
    let (comment_at, comment) = comment.unwrap_or((at + 1, ""));
    Some(frame(comment_at, comment, &atoms))
}

/// Reads one frame from its lines.
fn frame(at: usize, comment: &str, lines: &[(usize, &str)]) -> Located<Frame> {
    let (layout, mut tags) = header(comment).map_err(|fault| (at, fault))?;
    let mut atoms = Vec::with_capacity(lines.len());
    let mut positions = Vec::with_capacity(3 * lines.len());
    for (index, (at, line)) in lines.iter().enumerate() {
        let (atom, position) = match &layout {
            Some(layout) => laid_out(index, line, layout),
            None => plain(index, line),
        }
        .map_err(|fault| (*at, fault))?;
        atoms.push(atom);
        positions.extend_from_slice(&position);
    }
    let name = match tags.take(NAME) {
        Some(name) => name.to_string(),
        None => String::new(),
    };
    Ok(Frame {
        molecule: Molecule {
            name,
            atoms,
            ..Molecule::default()
        },
        positions,
        tags,
    })
}

/// The key under which an extended XYZ comment names its molecule.
pub(crate) const NAME: &str = "name";

/// What the comment says: the layout of the columns, if it is extended XYZ, and tags.
fn header(comment: &str) -> Result<(Option<Layout>, Tags), Fault> {
    let comment = comment.trim();
    match crate::extended::pairs(comment) {
        Some(pairs) => {
            let mut layout = None;
            let mut tags = Tags::new();
            for (key, value) in pairs {
                if key.eq_ignore_ascii_case("properties") {
                    layout = Some(Layout::parse(&value.to_string())?);
                    continue;
                }
                if matches!(value, Value::Real(number) if number.is_nan()) {
                    return Err(Fault::NotFinite {
                        what: key,
                        found: "nan".to_owned(),
                    });
                }
                tags.set(key, value);
            }
            Ok((layout, tags))
        }
        None if comment.contains("Properties=") => Err(Fault::Expected {
            expected: "key=value pairs beside Properties=",
            found: comment.chars().take(80).collect(),
        }),
        None if comment.is_empty() => Ok((None, Tags::new())),
        None => Ok((None, [(names::COMMENT, comment)].into_iter().collect())),
    }
}

/// The element of an XYZ line: a symbol or an atomic number.
fn element(index: usize, name: &str) -> Result<Element, Fault> {
    let element = match name.parse::<u8>() {
        Ok(number) => Element::from_number(number),
        Err(_) => text::element(name),
    };
    element.ok_or_else(|| Fault::UnknownElement {
        atom: index + 1,
        name: name.to_owned(),
    })
}

/// An atom that bears its element's symbol.
pub(crate) fn anonymous(element: Element, formal_charge: i32) -> Atom {
    Atom {
        element,
        formal_charge,
        name: element.symbol().to_owned(),
        residue: None,
    }
}

/// Reads `symbol x y z`; columns after these are not read.
fn plain(index: usize, line: &str) -> Result<(Atom, [f64; 3]), Fault> {
    let fields: Vec<&str> = line.split_whitespace().take(4).collect();
    let [name, x, y, z] = fields[..] else {
        return Err(Fault::Fields {
            what: "the line of an atom",
            found: fields.len(),
            expected: 4,
        });
    };
    let element = element(index, name)?;
    Ok((
        anonymous(element, 0),
        [
            text::real("x", x)?,
            text::real("y", y)?,
            text::real("z", z)?,
        ],
    ))
}

/// Reads a line as its layout says, checking every column.
fn laid_out(index: usize, line: &str, layout: &Layout) -> Result<(Atom, [f64; 3]), Fault> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    if fields.len() != layout.width {
        return Err(Fault::Fields {
            what: "the line of an atom",
            found: fields.len(),
            expected: layout.width,
        });
    }
    let mut rest = fields.as_slice();
    let mut atom = None;
    let mut charge = 0;
    let mut position = [0.0; 3];
    for Column { name, kind, count } in &layout.columns {
        let (values, after) = rest.split_at(*count);
        rest = after;
        match (name.as_str(), kind) {
            ("species" | "Z", _) => atom = Some(element(index, values[0])?),
            ("pos", _) => {
                for (axis, what) in ["x", "y", "z"].into_iter().enumerate() {
                    position[axis] = text::real(what, values[axis])?;
                }
            }
            ("formal_charge", Kind::Integer) => {
                let found = values[0].to_owned();
                charge = text::integer("formal_charge", values[0])?;
                if charge.abs() > 15 {
                    return Err(Fault::Charge {
                        atom: index + 1,
                        found,
                    });
                }
            }
            (_, kind) => values.iter().try_for_each(|value| kind.check(value))?,
        }
    }
    let element = atom.expect("a layout without elements is refused");
    Ok((anonymous(element, charge as i32), position))
}
