//! The blocks of a topology file: `%FLAG` name, `%FORMAT` of Fortran, values in columns.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::PrmtopError;

/// The raw sections of a file.
pub(super) struct Sections<'a> {
    path: PathBuf,
    blocks: HashMap<&'a str, Block<'a>>,
}

/// One section: its lines with their number in the file, cut into columns of `width`.
struct Block<'a> {
    width: usize,
    lines: Vec<(usize, &'a str)>,
}

impl<'a> Sections<'a> {
    /// Finds the blocks.
    pub fn new(text: &'a str, path: &Path) -> Result<Self, PrmtopError> {
        let path = path.to_owned();
        let mut blocks: HashMap<&str, Block> = HashMap::new();
        let mut current: Option<(&str, Option<Block>)> = None;
        let mut started = false;
        for (index, line) in text.lines().enumerate() {
            if let Some(flag) = line.strip_prefix("%FLAG") {
                close(&mut blocks, current.take(), &path)?;
                current = Some((flag.trim(), None));
            } else if let Some(format) = line.strip_prefix("%FORMAT") {
                let Some((section, block)) = &mut current else {
                    continue;
                };
                let width = width(format).ok_or_else(|| PrmtopError::Format {
                    path: path.clone(),
                    section: (*section).to_owned(),
                    found: format.trim().to_owned(),
                })?;
                *block = Some(Block {
                    width,
                    lines: Vec::new(),
                });
            } else if !line.starts_with('%') {
                match &mut current {
                    Some((_, Some(block))) => block.lines.push((index + 1, line)),
                    Some((section, None)) => {
                        let (section, found) = ((*section).to_owned(), line.trim().to_owned());
                        return Err(PrmtopError::Format {
                            path,
                            section,
                            found,
                        });
                    }
                    None => {
                        return Err(PrmtopError::Start {
                            path,
                            found: line.chars().take(40).collect(),
                        });
                    }
                }
            }
            started |= line.starts_with('%');
        }
        close(&mut blocks, current.take(), &path)?;
        if !started {
            return Err(PrmtopError::Start {
                path,
                found: String::new(),
            });
        }
        Ok(Self { path, blocks })
    }

    /// Whether there is such a section.
    pub fn has(&self, section: &str) -> bool {
        self.blocks.contains_key(section)
    }

    /// The first section whose name begins so.
    pub fn starting_with(&self, prefix: &str) -> Option<&'a str> {
        self.blocks
            .keys()
            .copied()
            .filter(|name| name.starts_with(prefix))
            .min()
    }

    /// A free line of text, or nothing.
    pub fn line(&self, section: &str) -> &'a str {
        self.blocks
            .get(section)
            .and_then(|block| block.lines.first())
            .map_or("", |(_, line)| line.trim())
    }

    /// Names: blanks are dropped at both ends.
    pub fn names(
        &self,
        section: &'static str,
        expected: usize,
    ) -> Result<Vec<String>, PrmtopError> {
        let mut names: Vec<String> = self
            .fields(section)?
            .map(|(_, field)| field.trim().to_owned())
            .collect();
        while names.len() > expected && names.last().is_some_and(String::is_empty) {
            names.pop();
        }
        self.count(section, expected, names.len())?;
        Ok(names)
    }

    /// Numbers that are finite.
    pub fn reals(&self, section: &'static str, expected: usize) -> Result<Vec<f64>, PrmtopError> {
        let values = self.numbers(section, "a finite number", |field| {
            let value = field.replace(['D', 'd'], "e").parse().ok();
            value.filter(|value: &f64| value.is_finite())
        })?;
        self.count(section, expected, values.len())?;
        Ok(values)
    }

    /// Whole numbers.
    pub fn integers(
        &self,
        section: &'static str,
        expected: usize,
    ) -> Result<Vec<i64>, PrmtopError> {
        let values = self.all_integers(section)?;
        self.count(section, expected, values.len())?;
        Ok(values)
    }

    /// Whole numbers, as many as there are.
    pub fn all_integers(&self, section: &'static str) -> Result<Vec<i64>, PrmtopError> {
        self.numbers(section, "a whole number", |field| field.parse().ok())
    }

    fn numbers<T>(
        &self,
        section: &'static str,
        expected: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>, PrmtopError> {
        let fields = self.fields(section)?;
        let fields = fields.filter(|(_, field)| !field.trim().is_empty());
        fields
            .map(|(line, field)| {
                parse(field.trim()).ok_or_else(|| PrmtopError::Number {
                    path: self.path.clone(),
                    section,
                    line,
                    expected,
                    found: field.trim().to_owned(),
                })
            })
            .collect()
    }

    /// Line numbers and columns.
    fn fields(
        &self,
        section: &'static str,
    ) -> Result<impl Iterator<Item = (usize, String)> + '_, PrmtopError> {
        let block = self
            .blocks
            .get(section)
            .ok_or_else(|| PrmtopError::Missing {
                path: self.path.clone(),
                section,
            })?;
        Ok(block.lines.iter().flat_map(|&(number, line)| {
            let characters: Vec<char> = line.trim_end_matches(['\r', '\n']).chars().collect();
            let columns = characters
                .chunks(block.width)
                .map(|column| column.iter().collect())
                .collect::<Vec<String>>();
            columns.into_iter().map(move |column| (number, column))
        }))
    }

    fn count(
        &self,
        section: &'static str,
        expected: usize,
        found: usize,
    ) -> Result<(), PrmtopError> {
        if found == expected {
            return Ok(());
        }
        Err(PrmtopError::Count {
            path: self.path.clone(),
            section,
            expected,
            found,
        })
    }
}

/// Files a finished block.
fn close<'a>(
    blocks: &mut HashMap<&'a str, Block<'a>>,
    current: Option<(&'a str, Option<Block<'a>>)>,
    path: &Path,
) -> Result<(), PrmtopError> {
    let Some((section, block)) = current else {
        return Ok(());
    };
    let fail = |found: &str| {
        let (section, found) = (section.to_owned(), found.to_owned());
        Err(PrmtopError::Format {
            path: path.to_owned(),
            section,
            found,
        })
    };
    let Some(block) = block else {
        return fail("the end of the section");
    };
    if blocks.insert(section, block).is_some() {
        return fail("the same section a second time");
    }
    Ok(())
}

/// The width of a column: 8 of `(10I8)`, 16 of `(5E16.8)`, 4 of `(20a4)`, 80 of `(a80)`.
fn width(format: &str) -> Option<usize> {
    let format = format.trim().strip_prefix('(')?.strip_suffix(')')?;
    let letter = format.find(|c: char| c.is_ascii_alphabetic())?;
    let (count, rest) = format.split_at(letter);
    let width = rest[1..].split('.').next()?;
    let known = rest.starts_with(['a', 'A', 'i', 'I', 'e', 'E', 'f', 'F', 'd', 'D', 'g', 'G']);
    let counted = count.is_empty() || count.parse::<usize>().is_ok();
    width
        .parse()
        .ok()
        .filter(|width| known && counted && (1..=1000).contains(width))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_cut_by_the_format_of_their_section() {
        for (format, expected) in [
            ("(10I8)  ", Some(8)),
            ("(5E16.8)", Some(16)),
            ("(20a4)", Some(4)),
            ("(a80)", Some(80)),
            ("(I0)", None),
            ("10I8", None),
        ] {
            assert_eq!(width(format), expected, "{format}");
        }
        let text =
            "%FLAG A\n%FORMAT(20a4)\nHH31CH3 O   \n%FLAG B\n%FORMAT(3I4)\n  12-345   7\n   8\n";
        let sections = Sections::new(text, Path::new("x")).unwrap();
        assert_eq!(sections.names("A", 3).unwrap(), ["HH31", "CH3", "O"]);
        assert_eq!(sections.integers("B", 4).unwrap(), [12, -345, 7, 8]);
    }
}
