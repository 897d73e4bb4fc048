//! What `sam build` has made, before it is deployed. `cargo test --test artifact` after a build.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod deployed_parameters;

use std::{env, fs, path::PathBuf};

use object::{
    Architecture, Object,
    read::elf::{ElfFile64, FileHeader},
};

/// The newest glibc that the runtime `provided.al2023` has.
const GLIBC: (u32, u32) = (2, 34);

/// The binaries in `.aws-sam/build`.
fn binaries() -> Vec<PathBuf> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../.aws-sam/build");
    let entries = fs::read_dir(directory).expect("nothing is built: run `sam build`");
    let binaries = entries.map(|entry| entry.unwrap().path().join("bootstrap"));
    let binaries: Vec<_> = binaries.filter(|path| path.is_file()).collect();
    assert!(!binaries.is_empty(), "nothing is built: run `sam build`");
    binaries
}

/// The `Architecture` of the environment in `AMELIE_CONFIG_ENV`.
fn architecture() -> Architecture {
    let environment = env::var("AMELIE_CONFIG_ENV").unwrap_or_else(|_| "default".to_owned());
    let parameters = deployed_parameters::of(&environment);
    match parameters.get("Architecture").map(String::as_str) {
        Some("arm64") => Architecture::Aarch64,
        Some("x86_64") => Architecture::X86_64,
        other => panic!("Architecture is {other:?} in {environment}"),
    }
}

#[test]
fn every_binary_is_for_the_architecture_that_is_deployed() {
    for path in binaries() {
        let file = fs::read(&path).unwrap();
        let binary = object::File::parse(&*file).unwrap();
        assert_eq!(binary.architecture(), architecture(), "{}", path.display());
    }
}

#[test]
fn no_binary_needs_a_newer_glibc_than_the_runtime_has() {
    for path in binaries() {
        let file = fs::read(&path).unwrap();
        let newest = newest_glibc(&file);
        assert!(newest <= Some(GLIBC), "{} needs glibc {newest:?}", path.display());
    }
}

/// The newest version of glibc of which a binary needs a symbol, if it is linked to glibc at all.
fn newest_glibc(file: &[u8]) -> Option<(u32, u32)> {
    let elf = ElfFile64::<object::Endianness>::parse(file).unwrap();
    let endian = elf.endian();
    let header = elf.elf_header();
    let sections = header.sections(endian, file).unwrap();
    let (mut needed, strings) = sections.gnu_verneed(endian, file).unwrap()?;
    let strings = sections.strings(endian, file, strings).unwrap();
    let mut newest = None;
    while let Some((_, mut symbols)) = needed.next().unwrap() {
        while let Some(symbol) = symbols.next().unwrap() {
            let name = String::from_utf8_lossy(symbol.name(endian, strings).unwrap()).into_owned();
            let version = name.strip_prefix("GLIBC_").and_then(|version| {
                let (major, rest) = version.split_once('.')?;
                let minor = rest.split('.').next()?;
                Some((major.parse().ok()?, minor.parse().ok()?))
            });
            newest = newest.max(version);
        }
    }
    newest
}
