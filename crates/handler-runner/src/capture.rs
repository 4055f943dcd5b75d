//! What is kept of a stream: its beginning, its end, and how much there was. Flat memory whatever flows through.

use crate::ending::Captured;

/// Beginning and end of a stream, in bytes, with counts.
#[derive(Debug)]
pub(crate) struct Kept {
    head: Head,
    tail: Tail,
    bytes: u64,
    line_feeds: u64,
    ends_in_line_feed: bool,
}

impl Kept {
    /// Keeps so many UTF-16 units of the beginning and of the end.
    pub(crate) fn new(head_units: usize, tail_units: usize) -> Self {
        Self {
            head: Head { units: head_units, kept: Vec::new() },
            tail: Tail { units: tail_units, kept: Vec::new() },
            bytes: 0,
            line_feeds: 0,
            ends_in_line_feed: true,
        }
    }

    pub(crate) fn push(&mut self, chunk: &[u8]) {
        let Some(last) = chunk.last() else { return };
        self.bytes += chunk.len() as u64;
        self.line_feeds += bytecount::count(chunk, b'\n') as u64;
        self.ends_in_line_feed = *last == b'\n';
        self.head.push(chunk);
        self.tail.push(chunk);
    }

    pub(crate) fn finish(&self) -> Captured {
        let (tail, taken) = self.tail.finish(self.bytes);
        // Nothing stands in both.
        let before = usize::try_from(self.bytes - taken as u64).unwrap_or(usize::MAX);
        Captured {
            head: self.head.finish(before),
            tail,
            bytes: self.bytes,
            lines: self.line_feeds + u64::from(!self.ends_in_line_feed),
        }
    }
}

/// A unit is at most three bytes of UTF-8, and a character may be cut at the end.
const fn bytes_for(units: usize) -> usize {
    if units == 0 { 0 } else { units * 3 + 3 }
}

#[derive(Debug)]
struct Head {
    units: usize,
    kept: Vec<u8>,
}

impl Head {
    fn push(&mut self, chunk: &[u8]) {
        let room = bytes_for(self.units) - self.kept.len();
        self.kept.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }

    /// The characters that begin in the first `before` bytes of the stream.
    fn finish(&self, before: usize) -> String {
        let mut left = self.units;
        let mut text = String::new();
        for (_, c) in characters(&self.kept[..self.kept.len().min(before)]) {
            match left.checked_sub(c.len_utf16()) {
                Some(rest) => left = rest,
                None => break,
            }
            text.push(c);
        }
        text
    }
}

#[derive(Debug)]
struct Tail {
    units: usize,
    kept: Vec<u8>,
}

impl Tail {
    fn push(&mut self, chunk: &[u8]) {
        let keep = bytes_for(self.units);
        let chunk = &chunk[chunk.len().saturating_sub(keep)..];
        // Room for twice as much, so that the bytes move once in a while and not at every push.
        if self.kept.len() + chunk.len() > 2 * keep {
            let surplus = (self.kept.len() + chunk.len()).saturating_sub(keep).min(self.kept.len());
            self.kept.drain(..surplus);
        }
        self.kept.extend_from_slice(chunk);
    }

    /// The last characters of a stream of so many bytes, and how many bytes they were.
    fn finish(&self, of: u64) -> (String, usize) {
        let mut end = &self.kept[self.kept.len().saturating_sub(bytes_for(self.units))..];
        if of > end.len() as u64 {
            // The front may be the rest of a character that was cut.
            let rest = end.iter().take(3).take_while(|byte| **byte & 0xc0 == 0x80).count();
            end = &end[rest..];
        }
        let all: Vec<_> = characters(end).collect();
        let (mut left, mut taken, mut start) = (self.units, 0, all.len());
        for (at, (bytes, c)) in all.iter().enumerate().rev() {
            match left.checked_sub(c.len_utf16()) {
                Some(rest) => (left, taken, start) = (rest, taken + bytes, at),
                None => break,
            }
        }
        (all[start..].iter().map(|(_, c)| c).collect(), taken)
    }
}

/// The characters of a text, each with the number of bytes it came from; what is no UTF-8 is U+FFFD.
fn characters(bytes: &[u8]) -> impl Iterator<Item = (usize, char)> {
    bytes.utf8_chunks().flat_map(|chunk| {
        let broken = chunk.invalid().len();
        let valid = chunk.valid().chars().map(|c| (c.len_utf8(), c));
        valid.chain((broken > 0).then_some((broken, char::REPLACEMENT_CHARACTER)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(chunks: &[&[u8]]) -> Captured {
        let mut tail = Kept::new(0, 8);
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
        let mut kept = Kept::new(1024, 1024);
        for _ in 0..10_000 {
            kept.push(&[b'x'; 70]);
            kept.push(&[b'\n'; 9000]);
            assert!(kept.head.kept.capacity() + kept.tail.kept.capacity() < 64 * 1024);
        }
        assert_eq!(kept.finish().lines, 90_000_000);
    }

    #[test]
    fn head_and_tail_are_all_of_a_short_stream_and_nothing_stands_in_both() {
        let text = "ä€😀b".repeat(8);
        for length in 0..=text.chars().count() {
            let text: String = text.chars().take(length).collect();
            for size in 1..9 {
                let mut kept = Kept::new(8, 8);
                text.as_bytes().chunks(size).for_each(|chunk| kept.push(chunk));
                let Captured { head, tail, bytes, .. } = kept.finish();
                assert!(text.starts_with(&head) && text.ends_with(&tail), "{text}: {head} {tail}");
                assert_eq!(bytes, text.len() as u64);
                let units = text.encode_utf16().count();
                if units <= 15 {
                    assert_eq!(format!("{head}{tail}"), text);
                }
                assert!(head.encode_utf16().count() <= 8 && tail.encode_utf16().count() <= 8);
                assert!(units < 20 || head.encode_utf16().count() + tail.encode_utf16().count() >= 14);
            }
        }
    }

    #[test]
    fn the_head_of_what_is_no_text_is_as_short_as_asked_for() {
        let mut kept = Kept::new(8, 8);
        for _ in 0..100 {
            kept.push(&[0xff, 0xe2, 0x82]);
        }
        let Captured { head, tail, .. } = kept.finish();
        assert_eq!((head.chars().count(), tail.chars().count()), (8, 8));
    }
}
