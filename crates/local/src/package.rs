//! Deployment packages of functions.

use std::{
    fs,
    io::{Cursor, Write},
    path::Path,
};

use aws_lc_rs::digest::{SHA256, digest};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use crate::{Error, error::io};

/// A package with one binary for a custom runtime.
pub(crate) struct Package {
    binary: Vec<u8>,
    key: String,
}

impl Package {
    pub(crate) fn read(name: &str, binary: &Path) -> Result<Self, Error> {
        let binary = fs::read(binary).map_err(io(format!("reading {}", binary.display())))?;
        // This implementation is fast in development builds too, whose binaries have 40 MB.
        let digest: String = digest(&SHA256, &binary)
            .as_ref()
            .iter()
            .take(16)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok(Self { key: format!("{name}/{digest}.zip"), binary })
    }

    /// Its S3 key. Equal contents have equal keys.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// The zip file. The binary has the name that a custom runtime starts. It is not compressed,
    /// because it stays on this machine.
    pub(crate) fn zip(&self) -> Result<Vec<u8>, Error> {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .unix_permissions(0o755);
        let mut zip = ZipWriter::new(Cursor::new(Vec::with_capacity(self.binary.len() + 1024)));
        let written =
            zip.start_file("bootstrap", options).and_then(|()| Ok(zip.write_all(&self.binary)?));
        let finished = written.and_then(|()| zip.finish());
        Ok(finished
            .map_err(|error| io(format!("packing {}", self.key))(error.into()))?
            .into_inner())
    }
}

#[cfg(test)]
mod tests {
    use zip::ZipArchive;

    use super::*;

    #[test]
    fn a_package_contains_the_binary_under_the_name_that_lambda_starts() {
        let binary = std::env::current_exe().unwrap();
        let zip = Package::read("greeter", &binary).unwrap().zip().unwrap();
        let mut archive = ZipArchive::new(Cursor::new(zip)).unwrap();
        let file = archive.by_name("bootstrap").unwrap();
        assert_eq!(file.size(), fs::metadata(&binary).unwrap().len());
        assert_eq!(file.unix_mode().map(|mode| mode & 0o111), Some(0o111));
    }

    #[test]
    fn equal_contents_have_equal_keys_and_different_contents_have_different_keys() {
        let key = |path: &str| Package::read("greeter", Path::new(path)).unwrap().key().to_owned();
        let (this, that) = (
            concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
            concat!(env!("CARGO_MANIFEST_DIR"), "/src/lib.rs"),
        );
        assert_eq!(key(this), key(this));
        assert_ne!(key(this), key(that));
    }
}
