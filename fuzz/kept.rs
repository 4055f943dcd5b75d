//! The inputs that are kept in the repository, for the tests that replay them: a part of each crate that has a target.

/// Has `run` read every input of a target. A finding is kept there, so that it stays mended.
pub(crate) fn replay(target: &str, run: impl Fn(&[u8])) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let files = std::fs::read_dir(folder).expect("the inputs are in the repository");
    let mut count = 0;
    for file in files {
        run(&std::fs::read(file.expect("it can be listed").path()).expect("it can be read"));
        count += 1;
    }
    assert!(count >= 5, "{count} inputs");
}
