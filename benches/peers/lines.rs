//! The line protocol of the peers: one JSON object a line in, one out; `{"error": …}` where a request is refused.

use std::error::Error;
use std::io::{BufRead, Write};

use serde::{Serialize, de::DeserializeOwned};

/// Answers the requests on standard input until it ends.
pub fn serve<Request: DeserializeOwned, Answer: Serialize>(
    mut answer: impl FnMut(Request) -> Result<Answer, Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let mut output = std::io::stdout();
    for line in std::io::stdin().lock().lines() {
        let outcome = serde_json::from_str(&line?)
            .map_err(Into::into)
            .and_then(&mut answer);
        let text = match outcome {
            Ok(answer) => serde_json::to_string(&answer)?,
            Err(error) => serde_json::json!({ "error": error.to_string() }).to_string(),
        };
        writeln!(output, "{text}")?;
        output.flush()?;
    }
    Ok(())
}
