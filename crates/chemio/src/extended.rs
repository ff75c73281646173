//! The comment line of extended XYZ: `key=value` pairs, and `Properties`, the layout of the columns.

use crate::{Fault, Value};

/// What kind of value a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `S`.
    Text,
    /// `R`.
    Real,
    /// `I`.
    Integer,
    /// `L`.
    Flag,
}

impl Kind {
    /// Refuses a value of another kind.
    pub(crate) fn check(self, value: &str) -> Result<(), Fault> {
        match self {
            Self::Text => Ok(()),
            Self::Real => crate::text::real("a value of a column of reals", value).map(drop),
            Self::Integer => {
                crate::text::integer("a value of a column of integers", value).map(drop)
            }
            Self::Flag
                if matches!(
                    value,
                    "T" | "F" | "True" | "False" | "true" | "false" | "TRUE" | "FALSE"
                ) =>
            {
                Ok(())
            }
            Self::Flag => Err(Fault::Expected {
                expected: "T or F in a logical column",
                found: value.to_owned(),
            }),
        }
    }
}

/// Columns of one property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    /// Its name.
    pub(crate) name: String,
    /// Its kind.
    pub(crate) kind: Kind,
    /// How many columns it takes.
    pub(crate) count: usize,
}

/// What stands in which column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The properties in order.
    pub(crate) columns: Vec<Column>,
    /// Values in each line.
    pub(crate) width: usize,
}

impl Layout {
    /// Reads `name:kind:count:name:kind:count…`, which must hold `species:S:1` (or `Z:I:1`) and `pos:R:3`.
    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        let fault = |problem| Fault::Properties {
            found: text.to_owned(),
            problem,
        };
        let fields: Vec<&str> = text.split(':').collect();
        if !fields.len().is_multiple_of(3) {
            return Err(fault("is not made of triples name:kind:count"));
        }
        let mut columns = Vec::new();
        let mut width = 0_usize;
        for triple in fields.chunks_exact(3) {
            let kind = match triple[1] {
                "S" => Kind::Text,
                "R" => Kind::Real,
                "I" => Kind::Integer,
                "L" => Kind::Flag,
                _ => return Err(fault("has a kind that is none of S, R, I, L")),
            };
            let count = match triple[2].parse::<usize>() {
                Ok(0) => return Err(fault("gives a property 0 columns")),
                Ok(count) if count <= 1000 => count,
                Ok(_) => return Err(fault("gives a property more than 1000 columns")),
                Err(_) => return Err(fault("has a number of columns that is no number")),
            };
            width += count;
            columns.push(Column {
                name: triple[0].to_owned(),
                kind,
                count,
            });
        }
        let has = |name: &str, kind: Kind, count: usize| {
            columns
                .iter()
                .filter(|column| {
                    column.name == name && column.kind == kind && column.count == count
                })
                .count()
                == 1
        };
        if !has("pos", Kind::Real, 3)
            || columns.iter().filter(|column| column.name == "pos").count() != 1
        {
            return Err(fault("lacks pos:R:3, the positions"));
        }
        if !has("species", Kind::Text, 1) && !has("Z", Kind::Integer, 1) {
            return Err(fault("lacks species:S:1, the elements"));
        }
        Ok(Self { columns, width })
    }
}

/// Splits a comment into its pairs; `None` if it is no list of `key=value`.
pub(crate) fn pairs(comment: &str) -> Option<Vec<(String, Value)>> {
    let mut rest = comment.trim_start();
    if rest.is_empty() {
        return None;
    }
    let mut pairs = Vec::new();
    while !rest.is_empty() {
        let (key, after) = key(rest)?;
        let (value, after) = value(after)?;
        pairs.push((key, value));
        // Pairs are separated: `a="b"c=1` is no list.
        if !after.is_empty() && !after.starts_with(char::is_whitespace) {
            return None;
        }
        rest = after.trim_start();
    }
    Some(pairs)
}

/// A key and what follows its `=`; a key may be quoted.
fn key(text: &str) -> Option<(String, &str)> {
    if text.starts_with('"') {
        let (key, after) = quoted(text)?;
        return Some((key, after.trim_start().strip_prefix('=')?.trim_start()));
    }
    let end = text.find(|letter: char| letter == '=' || letter.is_whitespace())?;
    let (key, after) = text.split_at(end);
    if key.is_empty() {
        None
    } else {
        Some((
            key.to_owned(),
            after.trim_start().strip_prefix('=')?.trim_start(),
        ))
    }
}

/// A value and what follows it: bare, quoted, or in brackets, which stay text.
fn value(text: &str) -> Option<(Value, &str)> {
    let closing = match text.chars().next()? {
        '"' => {
            let (words, after) = quoted(text)?;
            return Some((Value::Text(words), after));
        }
        '{' => '}',
        '[' => ']',
        _ => {
            let end = text.find(char::is_whitespace).unwrap_or(text.len());
            let (word, after) = text.split_at(end);
            return Some((bare(word), after));
        }
    };
    let mut depth = 0_usize;
    let opening = text.chars().next()?;
    for (at, letter) in text.char_indices() {
        if letter == opening {
            depth += 1;
        } else if letter == closing {
            depth -= 1;
            if depth == 0 {
                let end = at + letter.len_utf8();
                return Some((Value::Text(text[..end].to_owned()), &text[end..]));
            }
        }
    }
    None
}

/// The kind of a bare word: a whole number, a real, a flag or text.
fn bare(word: &str) -> Value {
    if let Ok(number) = word.parse::<i64>() {
        return Value::Integer(number);
    }
    if let Ok(number) = word.parse::<f64>() {
        return Value::Real(number);
    }
    match word {
        "T" | "True" | "true" | "TRUE" => Value::Flag(true),
        "F" | "False" | "false" | "FALSE" => Value::Flag(false),
        _ => Value::Text(word.to_owned()),
    }
}

/// The words between quotation marks, and what follows; a backslash takes its meaning from the next letter.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut words = String::new();
    let mut letters = text.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((words, &text[at + 1..])),
            '\\' => match letters.next()?.1 {
                'n' => words.push('\n'),
                other => words.push(other),
            },
            other => words.push(other),
        }
    }
    None
}
