//! Every input of the corpora, once, in each crate's own tests: what a fuzzer found stays mended.

use std::path::Path;

#[test]
fn corpora() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    for (name, target) in super::TARGETS {
        let mut inputs = 0;
        for entry in corpora.join(name).read_dir().unwrap() {
            target(&std::fs::read(entry.unwrap().path()).unwrap());
            inputs += 1;
        }
        assert!(inputs > 0, "{name} has no corpus");
    }
}
