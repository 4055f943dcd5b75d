//! A page of documentation as what is to be run and what comes of it: its fenced blocks.

/// A fenced block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    /// Where it begins in the page, counted from 1.
    pub(crate) line: usize,
    pub(crate) kind: Kind,
    pub(crate) text: String,
}

/// What is to be done with a block: the words behind its opening fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `sh`: run, in the shell of the blocks before it.
    Run,
    /// `sh background`: started, in a terminal of its own.
    Background,
    /// `sh end`: run when all in the background has been stopped.
    End,
    /// `sh skip`: for the reader only.
    Skip,
    /// `text`: lines that the block before has printed, or prints before long.
    Printed,
}

/// The blocks of a page. The error is the line of a block that nobody knows what to do with.
pub(crate) fn blocks(page: &str) -> Result<Vec<Block>, usize> {
    let mut blocks = Vec::new();
    let mut lines = (1..).zip(page.lines());
    while let Some((line, text)) = lines.next() {
        let Some(words) = text.strip_prefix("```") else { continue };
        let kind = match words {
            "sh" => Kind::Run,
            "sh background" => Kind::Background,
            "sh end" => Kind::End,
            "sh skip" => Kind::Skip,
            "text" => Kind::Printed,
            _ => return Err(line),
        };
        let body: Vec<_> = lines.by_ref().map(|(_, text)| text).take_while(|text| *text != "```").collect();
        blocks.push(Block { line, kind, text: body.join("\n") + "\n" });
    }
    Ok(blocks)
}

/// The first of the wanted lines that was not printed. In a wanted line `…` stands for any text.
pub(crate) fn missing<'a>(wanted: &'a str, printed: &str) -> Option<&'a str> {
    wanted.lines().map(str::trim).find(|wanted| !printed.lines().any(|line| is_like(wanted, line)))
}

/// Whether the parts of the wanted line are in the other one, in this order.
fn is_like(wanted: &str, line: &str) -> bool {
    let mut rest = line;
    wanted.split('…').all(|part| match rest.split_once(part.trim()) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_read_with_their_lines_and_kinds() {
        let page = "a\n```sh\nls\n\npwd\n```\nb\n```text\nx\n```\n```sh background\ny\n```\n";
        let found = blocks(page).unwrap();
        let kinds: Vec<_> = found.iter().map(|block| (block.line, block.kind)).collect();
        assert_eq!(kinds, [(2, Kind::Run), (8, Kind::Printed), (11, Kind::Background)]);
        assert_eq!(found[0].text, "ls\n\npwd\n");
        assert_eq!(blocks("```python\n```\n"), Err(1));
    }

    #[test]
    fn a_line_is_missing_unless_its_parts_were_printed_in_order() {
        let printed = "    \"status\": \"FAILED\",\n  made /tmp/x/desk/ca.pem\n";
        assert_eq!(missing("\"status\": \"FAILED\",\nmade …/desk/ca…\n", printed), None);
        assert_eq!(missing("made …/ca…/desk\n", printed), Some("made …/ca…/desk"));
        assert_eq!(missing("\"SUCCEEDED\"\n", printed), Some("\"SUCCEEDED\""));
    }
}
