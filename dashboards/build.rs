//! The pages are built by `make web` and carried in the binary: without them nothing here compiles.

fn main() {
    println!("cargo:rerun-if-changed=web/dist");
    assert!(std::path::Path::new("web/dist/index.html").exists(), "the pages are not built; run `make web` first");
}
