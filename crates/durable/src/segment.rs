//! The bytes of a journal: how records lie in the file, and what a file that was read says about them. Pure;
//! reading and writing is left to `journal`.
//!
//! A file is an 8 byte mark and then records, each with its length (u32, little endian), a CRC-32 and its
//! bytes; after the last one there are only zeros. The CRC also covers the record's place in the file, so that
//! bytes inside a record can never be taken for a record.

/// The longest record in bytes (512 KiB): a job document of 128 KiB, the most that fits into a message, takes up to twice
/// that as a text within a text, and there is room around it.
pub const MAX_RECORD: usize = 512 * 1024;
/// The longest journal file in bytes (16 MiB). A longer one is not read into memory but set aside.
pub const MAX_JOURNAL: u64 = 16 * 1024 * 1024;
/// A file is prepared with zeros in steps of this many bytes, so that an append changes no metadata.
pub(crate) const STEP: usize = 64 * 1024;

const MARK: [u8; 8] = *b"DURABLE1";
const HEADER: usize = 8;

/// What is wrong with a journal file that was set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DamageKind {
    /// The disk could not give the content.
    #[error("the disk cannot read it")]
    Unreadable,
    /// The file does not begin as a journal does; an empty file is one of these.
    #[error("it is not a journal of a known format")]
    NotAJournal,
    /// The file is longer than [`MAX_JOURNAL`].
    #[error("it is longer than a journal can be")]
    TooLong,
    /// A record is damaged although whole ones follow it; no torn write can do that.
    #[error("the record at byte {offset} is damaged")]
    Record {
        /// Where the damaged record begins.
        offset: u64,
    },
}

/// What a file's bytes say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Scan {
    /// The whole records from the beginning of the file on.
    pub(crate) records: Vec<Vec<u8>>,
    /// Where the next record goes.
    pub(crate) end: usize,
    /// Whether bytes of a torn write lie behind the end.
    pub(crate) torn: bool,
    /// What is wrong, if it is more than a torn last record.
    pub(crate) damage: Option<DamageKind>,
}

/// A whole file: these records and zeros up to the next step. At least `room` bytes of zeros follow.
pub(crate) fn file_of(records: &[impl AsRef<[u8]>], room: usize) -> Vec<u8> {
    let mut bytes = MARK.to_vec();
    for record in records {
        let offset = bytes.len();
        bytes.extend_from_slice(&encode(offset, record.as_ref()));
    }
    let padded = (bytes.len() + room).next_multiple_of(STEP);
    bytes.resize(padded, 0);
    bytes
}

/// The end of the last record of [`file_of`] the same records.
pub(crate) fn end_of(records: &[impl AsRef<[u8]>]) -> usize {
    records.iter().fold(MARK.len(), |end, record| end + size_of_record(record.as_ref().len()))
}

/// How many bytes a record of this length takes in the file.
pub(crate) fn size_of_record(len: usize) -> usize {
    HEADER + len
}

/// A record as it stands at this offset. Its length is at most [`MAX_RECORD`]; the caller has checked.
pub(crate) fn encode(offset: usize, record: &[u8]) -> Vec<u8> {
    let len = u32::try_from(record.len()).expect("a record is no longer than MAX_RECORD").to_le_bytes();
    let mut bytes = Vec::with_capacity(HEADER + record.len());
    bytes.extend_from_slice(&len);
    bytes.extend_from_slice(&checksum(offset, len, record).to_le_bytes());
    bytes.extend_from_slice(record);
    bytes
}

/// Reads a whole file.
pub(crate) fn scan(bytes: &[u8]) -> Scan {
    let mut scan = Scan { records: Vec::new(), end: MARK.len(), torn: false, damage: None };
    if !bytes.starts_with(&MARK) {
        scan.damage = Some(DamageKind::NotAJournal);
        return scan;
    }
    while let Some(record) = record_at(bytes, scan.end) {
        scan.end += size_of_record(record.len());
        scan.records.push(record.to_vec());
    }
    let rest = bytes.get(scan.end..).unwrap_or_default();
    scan.torn = rest.iter().any(|byte| *byte != 0);
    if scan.torn && a_record_follows(bytes, scan.end) {
        scan.damage = Some(DamageKind::Record { offset: scan.end as u64 });
    }
    scan
}

/// Only one record is ever under way, so a whole record behind a bad one means that the bad one was once good.
fn a_record_follows(bytes: &[u8], bad: usize) -> bool {
    (bad + 1..bytes.len()).any(|offset| record_at(bytes, offset).is_some())
}

fn record_at(bytes: &[u8], offset: usize) -> Option<&[u8]> {
    let (len, rest) = bytes.get(offset..)?.split_first_chunk::<4>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let size = usize::try_from(u32::from_le_bytes(*len)).ok()?;
    if size > MAX_RECORD {
        return None;
    }
    let record = rest.get(..size)?;
    (u32::from_le_bytes(*crc) == checksum(offset, *len, record)).then_some(record)
}

fn checksum(offset: usize, len: [u8; 4], record: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&(offset as u64).to_le_bytes());
    crc.update(&len);
    crc.update(record);
    crc.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREE: [&[u8]; 3] = [b"first", b"", b"third and last"];

    #[test]
    fn what_was_written_is_read_back_in_order() {
        let scan = scan(&file_of(&THREE, 0));
        assert_eq!(scan.records, THREE);
        assert_eq!(scan.end, end_of(&THREE));
        assert!(!scan.torn && scan.damage.is_none());
    }

    #[test]
    fn a_last_record_torn_at_any_byte_is_cut_and_is_no_damage() {
        let whole = file_of(&THREE, 0);
        let (start, end) = (end_of(&THREE[..2]), end_of(&THREE));
        for cut in start..end {
            let mut bytes = whole.clone();
            bytes[cut..].fill(0);
            let scan = scan(&bytes);
            assert_eq!((scan.records.len(), scan.end, scan.damage), (2, start, None), "cut at {cut}");
        }
    }

    #[test]
    fn a_torn_record_of_which_only_the_end_reached_the_disk_is_cut() {
        let mut bytes = file_of(&THREE, 0);
        let start = end_of(&THREE[..2]);
        bytes[start..start + HEADER].fill(0);
        let scan = scan(&bytes);
        assert_eq!((scan.records.len(), scan.torn, scan.damage), (2, true, None));
    }

    #[test]
    fn one_wrong_bit_in_a_record_that_others_follow_is_damage() {
        for at in MARK.len()..end_of(&THREE[..2]) {
            let mut bytes = file_of(&THREE, 0);
            bytes[at] ^= 0x10;
            let scan = scan(&bytes);
            assert!(matches!(scan.damage, Some(DamageKind::Record { .. })), "bit at {at}");
            assert!(scan.records.len() < 2);
        }
    }

    #[test]
    fn a_record_inside_a_torn_record_is_not_taken_for_a_record() {
        let inner = encode(MARK.len(), b"I was first");
        let start = MARK.len();
        let mut bytes = file_of(&[inner], 0);
        bytes[start] ^= 1;
        assert_eq!(scan(&bytes).damage, None);
    }

    #[test]
    fn an_empty_or_foreign_file_is_not_an_empty_journal() {
        for bytes in [&b""[..], b"{}", &[0; 4096]] {
            assert_eq!(scan(bytes).damage, Some(DamageKind::NotAJournal));
        }
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_without_reading_it() {
        let mut bytes = file_of(&THREE[..0], 0);
        bytes[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!((scan(&bytes).records.len(), scan(&bytes).torn), (0, true));
    }
}
