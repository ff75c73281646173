//! Data items: `> <NAME>`, lines of text, a blank line.

use crate::{Tags, text::Located};

/// The name in a header: `> <NAME>`, `>  <NAME>  (1)`, `> 25 <NAME>`, or `> DT12` without angle brackets.
fn name(header: &str) -> &str {
    let rest = header[1..].trim();
    match rest
        .split_once('<')
        .and_then(|(_, name)| name.split_once('>'))
    {
        Some((name, _)) => name,
        None => rest,
    }
}

/// Whether a line opens an item, also inside another item whose blank line was forgotten.
fn opens(line: &str) -> bool {
    line.starts_with('>') && line.contains('<') && line.trim_end().contains('>')
}

/// Reads the items of a record, each as text.
pub(super) fn read(lines: &[(usize, &str)]) -> Located<Tags> {
    let mut tags = Tags::new();
    let mut lines = lines.iter().peekable();
    while let Some((at, line)) = lines.next() {
        if line.trim().is_empty() {
            continue;
        }
        if !line.starts_with('>') {
            let found = line.chars().take(80).collect();
            return Err((
                *at,
                crate::Fault::Expected {
                    expected: "a data item (> <NAME>) or $$$$",
                    found,
                },
            ));
        }
        let mut words: Vec<&str> = Vec::new();
        while let Some((_, line)) =
            lines.next_if(|(_, line)| !line.trim().is_empty() && !opens(line))
        {
            words.push(line.trim_end());
        }
        tags.set(name(line), words.join("\n"));
    }
    Ok(tags)
}
