//! A job document of any content: it is read or refused, and what is read keeps its promises. The fuzzer (`fuzz/`)
//! calls [`run`] with whatever it likes.

#![cfg_attr(
    test,
    expect(
        clippy::disallowed_methods,
        reason = "the ban is for the crate; its test reads inputs from files"
    )
)]

use jobs_protocol::document::{Action, JobDocument};

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match JobDocument::parse(text) {
        Ok(document) => {
            assert!(!document.steps.is_empty(), "there is something to run");
            for step in document.steps.iter().chain(&document.final_step) {
                assert!(!step.name.is_empty());
                let (program, args) = match &step.action {
                    Action::RunHandler { handler, args, .. } => (handler, args),
                    Action::RunCommand { program, args } => {
                        assert!(!program.contains([' ', '\t', '\n', '\r']), "one word");
                        (program, args)
                    }
                };
                assert!(!program.is_empty());
                let texts = args.iter().chain([program]).chain(&step.run_as_user);
                for text in texts {
                    assert!(!text.contains('\0'), "no process can be given a NUL");
                }
            }
        }
        Err(error) => {
            let told = error.to_string();
            assert!(!told.chars().any(char::is_control), "what is told cannot steer a terminal: {told:?}");
            assert!(error.problem.len() < 4096, "and is no longer than anybody reads");
        }
    }
}

/// Every input that is kept in the repository goes through; a finding is kept there, so that it stays mended.
#[test]
fn every_kept_input_passes() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/document");
    let files = std::fs::read_dir(folder).expect("the inputs are in the repository");
    let mut count = 0;
    for file in files {
        run(&std::fs::read(file.expect("it can be listed").path()).expect("it can be read"));
        count += 1;
    }
    assert!(count >= 5, "{count} inputs");
}
