//! The promises of the journal, on a disk that crashes, fills up and fails at any byte.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::testing::{Fault, FaultyDisk};

const PATH: &str = "/state/journal";

#[test]
fn appended_records_are_there_after_a_restart_and_the_file_is_private() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state/journal");
    let mut opened = Journal::open(&path).unwrap();
    assert!(opened.records.is_empty() && opened.damage.is_none());
    opened.journal.append(b"one").unwrap();
    opened.journal.append(b"").unwrap();
    drop(opened);
    let mut opened = Journal::open(&path).unwrap();
    assert_eq!(opened.records, [&b"one"[..], b""]);
    opened.journal.rewrite(&[b"two"], 0).unwrap();
    opened.journal.append(b"three").unwrap();
    drop(opened);
    assert_eq!(Journal::open(&path).unwrap().records, [&b"two"[..], b"three"]);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
}

/// The promise of the crate, at every byte.
#[test]
fn after_a_crash_at_any_byte_there_is_what_was_promised_and_at_most_one_record_more() {
    for lose in [false, true] {
        for point in 0.. {
            let disk = FaultyDisk::new();
            let mut opened = Journal::open_on(disk.clone(), PATH, None).unwrap();
            opened.journal.append(b"before").unwrap();
            disk.arm(Fault::CrashAfter(point));
            let mut promised = vec![b"before".to_vec()];
            let mut tried = promised.clone();
            for record in [&b"a first record"[..], b"a second one", b"third"] {
                tried.push(record.to_vec());
                if opened.journal.append(record).is_err() {
                    break;
                }
                promised.push(record.to_vec());
            }
            restart(&disk, lose);
            let found = Journal::open_on(disk.clone(), PATH, None).unwrap();
            assert!(found.damage.is_none(), "crash at {point}");
            assert!(found.records == promised || found.records == tried, "crash at {point}");
            let mut journal = found.journal;
            journal.append(b"and on").unwrap();
            let again = Journal::open_on(disk, PATH, None).unwrap();
            assert_eq!(again.records.len(), found.records.len() + 1, "the cut end is clean");
            if promised.len() == 4 {
                break;
            }
        }
    }
}

#[test]
fn a_crash_while_the_file_grows_loses_nothing() {
    let big = vec![7; STEP - 100];
    let steps = [0, 1, 50, STEP / 2, STEP - 1, STEP, STEP + 1, STEP + 2, 2 * STEP, 2 * STEP + 1];
    for lose in [false, true] {
        for point in steps {
            let disk = FaultyDisk::new();
            let mut journal = Journal::open_on(disk.clone(), PATH, None).unwrap().journal;
            journal.append(&big).unwrap();
            disk.arm(Fault::CrashAfter(point));
            let grown = journal.append(&big).is_ok();
            restart(&disk, lose);
            let found = Journal::open_on(disk, PATH, None).unwrap();
            assert!(found.damage.is_none(), "crash at {point}");
            assert!(found.records.len() == 2 || (found.records.len() == 1 && !grown), "crash at {point}");
        }
    }
}

#[test]
fn a_crash_while_rewriting_leaves_the_old_records_or_the_new() {
    for lose in [false, true] {
        for point in (0..200).chain(STEP - 5..) {
            let disk = FaultyDisk::new();
            let mut journal = Journal::open_on(disk.clone(), PATH, None).unwrap().journal;
            journal.append(b"old").unwrap();
            journal.append(b"older").unwrap();
            disk.arm(Fault::CrashAfter(point));
            let done = journal.rewrite(&[b"new"], 0).is_ok();
            restart(&disk, lose);
            let found = Journal::open_on(disk, PATH, None).unwrap();
            let new = found.records == [b"new"];
            assert!(new || found.records == [&b"old"[..], b"older"], "crash at {point}");
            assert!(found.damage.is_none());
            if done {
                assert!(new);
                break;
            }
        }
    }
}

#[test]
fn a_journal_that_somebody_has_removed_says_so_and_is_mended_by_a_rewrite() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state/journal");
    let mut journal = Journal::open(&path).unwrap().journal;
    journal.append(b"one").unwrap();
    assert!(!journal.is_removed());
    std::fs::remove_file(&path).unwrap();
    assert!(journal.is_removed());
    journal.rewrite(&[b"one", b"two"], 0).unwrap();
    assert!(!journal.is_removed());
    assert_eq!(Journal::open(&path).unwrap().records, [b"one", b"two"]);
    std::fs::remove_dir_all(directory.path().join("state")).unwrap();
    assert!(journal.is_removed());
    assert!(matches!(journal.rewrite(&[b"one"], 0), Err(RewriteError::Write { .. })));
}

#[test]
fn a_crash_at_the_very_first_opening_is_no_damage() {
    for lose in [false, true] {
        for point in (0..20).chain(STEP..) {
            let disk = FaultyDisk::new();
            disk.arm(Fault::CrashAfter(point));
            let opened = Journal::open_on(disk.clone(), PATH, None).is_ok();
            restart(&disk, lose);
            let found = Journal::open_on(disk, PATH, None).unwrap();
            assert!(found.records.is_empty() && found.damage.is_none(), "crash at {point}");
            if opened {
                break;
            }
        }
    }
}

#[test]
fn after_a_failed_write_or_sync_every_later_append_fails() {
    for fault in [Fault::FailWrite(0), Fault::FailSync(0)] {
        let disk = FaultyDisk::new();
        let mut journal = Journal::open_on(disk.clone(), PATH, None).unwrap().journal;
        disk.arm(fault);
        assert!(matches!(journal.append(b"lost"), Err(AppendError::Disk { .. })));
        disk.restart();
        assert!(matches!(journal.append(b"no"), Err(AppendError::Poisoned)));
        assert!(matches!(journal.rewrite(&[b"no"], 0), Err(RewriteError::Poisoned)));
        assert!(journal.is_poisoned());
    }
}

#[test]
fn a_rewrite_that_finds_no_space_leaves_a_journal_that_works() {
    let disk = FaultyDisk::new();
    let mut journal = Journal::open_on(disk.clone(), PATH, None).unwrap().journal;
    journal.append(b"kept").unwrap();
    disk.arm(Fault::NoSpaceAfter(100));
    assert!(matches!(journal.rewrite(&[b"new"], 0), Err(RewriteError::Write { .. })));
    journal.append(b"the prepared space is still there").unwrap();
    assert_eq!(Journal::open_on(disk, PATH, None).unwrap().records.len(), 2);
}

#[test]
fn a_rewrite_whose_durability_is_unknown_closes_the_journal() {
    let disk = FaultyDisk::new();
    let mut journal = Journal::open_on(disk.clone(), PATH, None).unwrap().journal;
    disk.arm(Fault::FailSync(1));
    assert!(matches!(journal.rewrite(&[b"new"], 0), Err(RewriteError::Replace { .. })));
    assert!(matches!(journal.append(b"no"), Err(AppendError::Poisoned)));
}

#[test]
fn a_full_disk_at_growth_is_an_error_and_loses_nothing_that_was_promised() {
    let disk = FaultyDisk::new();
    let mut journal = Journal::open_on(disk.clone(), PATH, None).unwrap().journal;
    journal.append(&vec![1; 40_000]).unwrap();
    disk.arm(Fault::NoSpaceAfter(1000));
    assert!(matches!(journal.append(&vec![2; 40_000]), Err(AppendError::Disk { .. })));
    disk.restart();
    let mut found = Journal::open_on(disk, PATH, None).unwrap();
    assert_eq!(found.records, [vec![1; 40_000]]);
    found.journal.append(&vec![2; 40_000]).unwrap();
}

/// The promise of `reserve`, at every size of what is left of the disk.
#[test]
fn what_has_room_is_appended_on_a_full_disk() {
    for free in [0, 1, STEP - 1, STEP, 3 * STEP] {
        let disk = FaultyDisk::new();
        let mut journal = Journal::open_on(disk.clone(), PATH, None).unwrap().journal;
        journal.append(b"first").unwrap();
        disk.arm(Fault::NoSpaceAfter(free));
        let room = 2 * STEP;
        match journal.reserve(room) {
            Ok(()) => {
                disk.arm(Fault::NoSpaceAfter(0));
                for _ in 0..16 {
                    journal.append(&vec![7; room / 16 - 8]).unwrap();
                }
            }
            Err(error) => {
                assert!(matches!(error, AppendError::Disk { .. }), "{error}");
                journal.append(b"what was prepared before is still there").unwrap();
            }
        }
        assert!(Journal::open_on(disk, PATH, None).unwrap().records.len() > 1, "{free}");
    }
}

#[test]
fn a_rewrite_leaves_the_room_that_was_asked_for() {
    let disk = FaultyDisk::new();
    let mut journal = Journal::open_on(disk.clone(), PATH, None).unwrap().journal;
    journal.rewrite(&[b"small"], 2 * STEP).unwrap();
    disk.arm(Fault::NoSpaceAfter(0));
    journal.append(&vec![7; 2 * STEP - 8]).unwrap();
    assert!(matches!(journal.reserve(STEP), Err(AppendError::Disk { .. })));
}

/// Whatever interrupts the opening.
#[test]
fn a_journal_that_has_lost_records_says_so_by_its_mark() {
    for lose in [false, true] {
        for point in (0..40).chain(STEP - 5..) {
            let (disk, _) = damaged_in_the_middle();
            disk.arm(Fault::CrashAfter(point));
            let opened = Journal::open_on(disk.clone(), PATH, Some(b"mark")).is_ok();
            restart(&disk, lose);
            let found = Journal::open_on(disk.clone(), PATH, Some(b"mark")).unwrap();
            assert_eq!(found.records, [&b"first"[..], b"mark"], "crash at {point}");
            if opened {
                break;
            }
        }
    }
}

/// A journal of three records, with a wrong bit in the second; and its bytes.
fn damaged_in_the_middle() -> (FaultyDisk, Vec<u8>) {
    let disk = FaultyDisk::new();
    let mut journal = Journal::open_on(disk.clone(), PATH, None).unwrap().journal;
    for record in ["first", "second", "third"] {
        journal.append(record.as_bytes()).unwrap();
    }
    let mut bytes = disk.content(Path::new(PATH)).unwrap();
    bytes[8 + 13 + 8] ^= 0xff;
    disk.plant(Path::new(PATH), &bytes);
    (disk, bytes)
}

#[test]
fn short_writes_are_continued() {
    let disk = FaultyDisk::new();
    let mut journal = Journal::open_on(disk.clone(), PATH, None).unwrap().journal;
    disk.arm(Fault::ShortWrites(3));
    journal.append(b"in small pieces").unwrap();
    assert_eq!(Journal::open_on(disk, PATH, None).unwrap().records, [b"in small pieces"]);
}

#[test]
fn a_damaged_middle_is_set_aside_and_the_whole_records_before_it_are_kept() {
    let (disk, bytes) = damaged_in_the_middle();
    let found = Journal::open_on(disk.clone(), PATH, None).unwrap();
    assert_eq!(found.records, [b"first"]);
    let damage = found.damage.unwrap();
    assert_eq!(damage.kind, DamageKind::Record { offset: 21 });
    assert_eq!(damage.set_aside, Path::new("/state/journal.damaged-1"));
    assert_eq!(disk.content(&damage.set_aside).unwrap(), bytes);
    let again = Journal::open_on(disk, PATH, None).unwrap();
    assert!(again.damage.is_none() && again.records == [b"first"]);
}

#[test]
fn a_file_that_cannot_be_read_or_is_foreign_is_set_aside_under_a_new_number() {
    let disk = FaultyDisk::new();
    disk.plant(Path::new(PATH), b"");
    let kind = |disk: &FaultyDisk| Journal::open_on(disk.clone(), PATH, None).unwrap().damage.unwrap();
    assert_eq!(kind(&disk).kind, DamageKind::NotAJournal);
    disk.arm(Fault::FailReads);
    let second = kind(&disk);
    assert_eq!(second.kind, DamageKind::Unreadable);
    assert_eq!(second.set_aside, Path::new("/state/journal.damaged-2"));
}

#[test]
fn a_disk_that_damages_the_journal_again_and_again_is_not_filled_and_stops_nobody() {
    let disk = FaultyDisk::new();
    let rubbish = |times: u32| format!("rubbish {times}");
    for times in 1..=2 * MOST_SET_ASIDE {
        disk.plant(Path::new(PATH), rubbish(times).as_bytes());
        let mut opened = Journal::open_on(disk.clone(), PATH, None).unwrap();
        let aside = opened.damage.unwrap().set_aside;
        assert_eq!(disk.content(&aside).unwrap(), rubbish(times).as_bytes());
        opened.journal.append(b"and on").unwrap();
    }
    let kept = disk.names().iter().filter(|name| name.to_string_lossy().contains("damaged")).count();
    assert_eq!(kept, MOST_SET_ASIDE as usize);
    assert_eq!(disk.content(Path::new("/state/journal.damaged-1")).unwrap(), b"rubbish 1");
}

#[test]
fn a_crash_while_setting_aside_never_makes_a_damaged_journal_look_new() {
    for lose in [false, true] {
        for point in (0..30).chain(STEP - 5..) {
            let disk = FaultyDisk::new();
            disk.plant(Path::new(PATH), b"rubbish");
            disk.arm(Fault::CrashAfter(point));
            let reported = Journal::open_on(disk.clone(), PATH, None).is_ok();
            restart(&disk, lose);
            let found = Journal::open_on(disk.clone(), PATH, None).unwrap();
            let kept = disk.names().iter().any(|name| name.ends_with("journal.damaged-1"));
            assert!(found.damage.is_some() || kept, "crash at {point}");
            if reported {
                break;
            }
        }
    }
}

#[test]
fn a_record_or_a_journal_beyond_the_limit_is_refused_and_harms_nothing() {
    let disk = FaultyDisk::new();
    let mut journal = Journal::open_on(disk.clone(), PATH, None).unwrap().journal;
    let largest = vec![1; MAX_RECORD];
    assert!(matches!(journal.append(&vec![0; MAX_RECORD + 1]), Err(AppendError::TooLong { .. })));
    let mut appended = 0;
    loop {
        match journal.append(&largest) {
            Ok(()) => appended += 1,
            Err(AppendError::Full) => break,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(Journal::open_on(disk, PATH, None).unwrap().records.len(), appended);
    journal.rewrite(&[b"small"], 0).unwrap();
    journal.append(&largest).unwrap();
}

fn restart(disk: &FaultyDisk, lose: bool) {
    if lose {
        disk.restart_without_what_was_not_synced();
    } else {
        disk.restart();
    }
}
