//! Whom the daemon trusts and who trusts it: where something is wrong there is a clear word in the log, and no
//! connection.

use std::os::unix::fs::PermissionsExt;

use local_service::pki::{Authority, Validity};
use serde_json::json;
use testkit::{Board, Desk};

use crate::{THING, desk, document, start};

#[test]
fn a_service_of_an_unknown_authority_is_not_spoken_to() {
    let desk = desk();
    let mut board = board(&desk);
    board.use_root(Authority::new().expect("an authority can be made").certificate());
    complains(&desk, &board, "is not signed by a trusted root");
}

#[test]
fn a_service_with_another_name_is_not_spoken_to() {
    let desk = Desk::start_with(&[THING], &["elsewhere.example"], Validity::Long);
    complains(&desk, &board(&desk), "certificate is not for localhost");
}

#[test]
fn a_service_whose_certificate_has_expired_is_not_spoken_to() {
    let desk = Desk::start_with(&[THING], &["localhost"], Validity::Expired);
    complains(&desk, &board(&desk), "certificate has expired");
}

#[test]
fn a_device_with_a_foreign_certificate_is_told_that_it_is_refused() {
    let desk = desk();
    let mut board = board(&desk);
    let stranger = Authority::new().expect("an authority can be made");
    board.use_identity(&stranger.device(THING, Validity::Long).expect("a certificate can be made"));
    complains(&desk, &board, "the server refuses this device's certificate");
}

#[test]
fn a_device_with_an_expired_certificate_is_told_that_it_is_refused() {
    let desk = desk();
    let mut board = board(&desk);
    let expired = desk.authority().device(THING, Validity::Expired);
    board.use_identity(&expired.expect("a certificate can be made"));
    complains(&desk, &board, "the server refuses this device's certificate");
}

#[test]
fn a_key_that_others_can_read_is_a_mistake_of_the_configuration() {
    let desk = desk();
    let board = board(&desk);
    let key = board.path().join("device.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).expect("the file is ours");
    let mut daemon = start(&board);
    assert_eq!(daemon.wait().code(), Some(78));
    let log = daemon.log();
    assert!(log.contains(&key.display().to_string()) && log.contains("644"), "{log}");
}

fn board(desk: &Desk) -> Board {
    let board = Board::new(desk, THING);
    board.handler("greeting", "#!/bin/sh\n");
    board
}

/// Starts the daemon; it says this, stays alive, and takes no job.
fn complains(desk: &Desk, board: &Board, words: &str) {
    desk.create_job(THING, "j", &document("greeting", json!({})));
    let mut daemon = start(board);
    daemon.wait_for_log(words);
    assert_eq!(desk.execution(THING, "j").status, "QUEUED");
    assert!(daemon.is_alive(), "{}", daemon.log());
    assert_eq!(daemon.terminate().code(), Some(0));
}
