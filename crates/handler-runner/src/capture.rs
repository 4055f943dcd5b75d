//! What is kept of a stream: its end, and how much there was. Flat memory whatever flows through.

use crate::ending::Captured;

/// The end of a stream, in bytes, with counts.
#[derive(Debug)]
pub(crate) struct Tail {
    /// In UTF-16 units.
    units: usize,
    /// In bytes: enough for so many units.
    keep: usize,
    kept: Vec<u8>,
    bytes: u64,
    line_feeds: u64,
    ends_in_line_feed: bool,
}

impl Tail {
    pub(crate) fn new(units: usize) -> Self {
        // A unit is at most three bytes of UTF-8, and a character may be cut at the front.
        let keep = units * 3 + 3;
        Self { units, keep, kept: Vec::new(), bytes: 0, line_feeds: 0, ends_in_line_feed: true }
    }

    pub(crate) fn push(&mut self, chunk: &[u8]) {
        let Some(last) = chunk.last() else { return };
        self.bytes += chunk.len() as u64;
        self.line_feeds += memchr::memchr_iter(b'\n', chunk).count() as u64;
        self.ends_in_line_feed = *last == b'\n';
        let chunk = &chunk[chunk.len().saturating_sub(self.keep)..];
        // Room for twice as much, so that the bytes move once in a while and not at every push.
        if self.kept.len() + chunk.len() > 2 * self.keep {
            let surplus = (self.kept.len() + chunk.len()).saturating_sub(self.keep).min(self.kept.len());
            self.kept.drain(..surplus);
        }
        self.kept.extend_from_slice(chunk);
    }

    pub(crate) fn finish(&self) -> Captured {
        let mut end = &self.kept[self.kept.len().saturating_sub(self.keep)..];
        if self.bytes > end.len() as u64 {
            // The front may be the rest of a character that was cut.
            let rest = end.iter().take(3).take_while(|byte| **byte & 0xc0 == 0x80).count();
            end = &end[rest..];
        }
        let text = String::from_utf8_lossy(end);
        Captured {
            tail: last_units(&text, self.units).to_owned(),
            bytes: self.bytes,
            lines: self.line_feeds + u64::from(!self.ends_in_line_feed),
        }
    }
}

/// The end of a text, at most so many UTF-16 units, cut between characters.
fn last_units(text: &str, units: usize) -> &str {
    let mut left = units;
    let mut start = text.len();
    for (at, c) in text.char_indices().rev() {
        match left.checked_sub(c.len_utf16()) {
            Some(rest) => (left, start) = (rest, at),
            None => break,
        }
    }
    &text[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(chunks: &[&[u8]]) -> Captured {
        let mut tail = Tail::new(8);
        for chunk in chunks {
            tail.push(chunk);
        }
        tail.finish()
    }

    #[test]
    fn the_last_characters_are_kept_and_everything_is_counted() {
        assert_eq!(captured(&[]), Captured::default());
        let all = captured(&[b"one\n", b"two\n", b"thr", b"ee"]);
        assert_eq!((all.tail.as_str(), all.bytes, all.lines), ("wo\nthree", 13, 3));
        let ended = captured(&[b"one\n"]);
        assert_eq!((ended.tail.as_str(), ended.lines), ("one\n", 1));
    }

    #[test]
    fn a_character_is_never_cut_whatever_the_chunks() {
        let text = "ä€😀".repeat(50);
        for size in 1..20 {
            let chunks: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            assert_eq!(captured(&chunks).tail, "ä€😀ä€😀", "chunks of {size}");
        }
        assert_eq!(
            captured(&["xxxxxxxx😀1234567".as_bytes()]).tail,
            "1234567",
            "half a pair is no character"
        );
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced_one_by_one() {
        assert_eq!(captured(&[b"a\xffb\0c"]).tail, "a\u{fffd}b\0c");
        assert_eq!(captured(&[&[0x80; 100]]).tail.chars().count(), 8);
    }

    #[test]
    fn memory_stays_flat_under_a_flood() {
        let mut tail = Tail::new(1024);
        for _ in 0..10_000 {
            tail.push(&[b'x'; 70]);
            tail.push(&[b'\n'; 9000]);
            assert!(tail.kept.capacity() < 64 * 1024);
        }
        assert_eq!(tail.finish().lines, 90_000_000);
    }
}
